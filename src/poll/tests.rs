//! Every interleaving of a sleeper with arriving packets, the chip, the bus and the kernel: none
//! may leave it asleep with a packet in the ring.
//!
//! The sleeper and the interrupt are the real ones. Before each of their steps (each call of
//! [`Line`] and [`Causes`], each look at the ring, going to sleep) the world may make any number
//! of its own: a packet's descriptor is written, its cause is set, the kernel's handler runs, the
//! kernel's thread signals. All choices are tried, but for states that were met before.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::*;
use crate::error::{Error, Result};
use crate::port::{Causes, Lifeline, Line};

/// How chip and kernel deliver an interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// INTx under uio_pci_generic: asserted while an unmasked cause is set; the handler masks the
    /// line, and a thread signals later (kernel 6.12).
    Level,
    /// MSI-X under igb_uio: a message when an unmasked cause newly rises, be it by setting or by
    /// unmasking it; kept while the line is masked; the handler masks nothing.
    Edge,
    /// The same, on a chip that sends no message for a cause that was set when it was unmasked.
    Strict,
}

/// What can break the protocol, to show that the model notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// Nobody looks at the ring between arming and sleeping.
    NoSecondLook,
    /// Arming clears no cause.
    CausesStay,
    /// Arming clears causes only before it unmasks them.
    LateCauseStays,
    /// Arming does not open the line.
    LineStaysShut,
    /// An event is forgotten between the second look and sleeping.
    LateTake,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    kind: Kind,
    to_come: u8,
    /// A packet's descriptor is written and its cause is not set yet.
    half: bool,
    in_ring: u8,
    received: u8,
    cause: bool,
    cause_open: bool,
    line_open: bool,
    /// A message waits for the line to open.
    kept: bool,
    /// A message is on its way to the handler.
    message: bool,
    /// The handler has run, its thread has not.
    thread: bool,
    /// The file is readable.
    event: bool,
}

/// What the world can do by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Arrive,
    Cause,
    Handler,
    Thread,
}

impl State {
    fn new(kind: Kind, packets: u8) -> Self {
        // As a busy worker leaves it: causes masked, and everything stale that there can be.
        Self {
            kind,
            to_come: packets,
            half: false,
            in_ring: 0,
            received: 0,
            cause: true,
            cause_open: false,
            line_open: kind != Kind::Level,
            kept: false,
            message: false,
            thread: false,
            event: true,
        }
    }

    fn asserted(&self) -> bool {
        self.cause && self.cause_open
    }

    fn can(&self, what: Move) -> bool {
        match what {
            Move::Arrive => self.to_come > 0 && !self.half,
            Move::Cause => self.half,
            Move::Handler if self.kind == Kind::Level => self.asserted() && self.line_open,
            Move::Handler => self.message,
            Move::Thread => self.thread,
        }
    }

    fn make(&mut self, what: Move) {
        match what {
            Move::Arrive => {
                (self.half, self.in_ring, self.to_come) = (true, self.in_ring + 1, self.to_come - 1)
            }
            Move::Cause => {
                let was = std::mem::replace(&mut self.cause, true);
                self.half = false;
                self.rises(!was && self.cause_open);
            }
            Move::Handler if self.kind == Kind::Level => {
                (self.line_open, self.thread) = (false, true);
            }
            Move::Handler => (self.message, self.event) = (false, true),
            Move::Thread => (self.thread, self.event) = (false, true),
        }
    }

    /// A cause rises behind its mask.
    fn rises(&mut self, newly: bool) {
        if self.kind != Kind::Level && newly {
            if self.line_open { self.message = true } else { self.kept = true }
        }
    }
}

/// One run through the choices, and the tree of those to come.
#[derive(Debug)]
struct World {
    state: State,
    flaw: Flaw,
    /// Choices of this run: which, of how many.
    path: Vec<(usize, usize)>,
    depth: usize,
    /// What the sleeper did last: with the state, all that the future depends on.
    last: [&'static str; 3],
    met: HashSet<(State, [&'static str; 3])>,
    /// The rest of this run is known, or there is none.
    over: bool,
    lost: bool,
}

impl World {
    fn choose(&mut self, of: usize) -> usize {
        if self.depth == self.path.len() {
            self.path.push((0, of));
        }
        let (chosen, _) = self.path[self.depth];
        self.depth += 1;
        chosen
    }

    /// The sleeper is about to do `what`.
    fn turn(&mut self, what: &'static str) {
        self.last = [self.last[1], self.last[2], what];
        loop {
            if self.over {
                return;
            }
            // Beyond what is tried again from the last run, only what is new is of interest.
            let new = self.met.insert((self.state.clone(), self.last));
            if self.depth >= self.path.len() && !new {
                self.over = true;
                return;
            }
            let moves = [Move::Arrive, Move::Cause, Move::Handler, Move::Thread];
            let can: Vec<_> = moves.into_iter().filter(|m| self.state.can(*m)).collect();
            match self.choose(can.len() + 1) {
                0 => return,
                n => self.state.make(can[n - 1]),
            }
        }
    }

    fn sleep(&mut self) -> Woken {
        self.turn("sleep");
        loop {
            if self.state.event {
                return Woken::Event;
            }
            if self.over || self.choose(2) == 0 {
                return Woken::Timeout;
            }
            // What is under way gets there, in the end.
            let under_way = [Move::Cause, Move::Handler, Move::Thread];
            if let Some(m) = under_way.into_iter().find(|m| self.state.can(*m)) {
                self.state.make(m);
            } else if self.state.in_ring > 0 {
                (self.lost, self.over) = (true, true);
            } else if self.state.can(Move::Arrive) {
                self.state.make(Move::Arrive);
            } else {
                self.over = true;
            }
        }
    }

    /// The next run's choices; false when all were tried.
    fn next(&mut self) -> bool {
        while let Some((chosen, of)) = self.path.pop() {
            if chosen + 1 < of {
                self.path.push((chosen + 1, of));
                return true;
            }
        }
        false
    }
}

#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<World>>);

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }
}

#[derive(Debug)]
struct FakeLine {
    shared: Shared,
    /// Never looked at: the model says what is readable.
    file: File,
}

impl Line for FakeLine {
    fn unmask(&self) -> Result<()> {
        let mut w = self.shared.world();
        w.turn("open line");
        if w.flaw != Flaw::LineStaysShut {
            w.state.line_open = true;
            w.state.message |= std::mem::take(&mut w.state.kept);
        }
        Ok(())
    }

    fn take(&self) -> Result<bool> {
        let mut w = self.shared.world();
        w.turn("take event");
        Ok(std::mem::take(&mut w.state.event))
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[derive(Debug)]
struct FakeCauses(Shared);

impl Causes for FakeCauses {
    fn unmask(&self) {
        let mut w = self.0.world();
        w.turn("unmask");
        let was = w.state.asserted();
        w.state.cause_open = true;
        let newly = w.state.asserted() && !was && w.state.kind != Kind::Strict;
        w.state.rises(newly);
    }

    fn mask(&self) {
        let mut w = self.0.world();
        w.turn("mask");
        w.state.cause_open = false;
    }

    fn take(&self) -> u32 {
        let mut w = self.0.world();
        w.turn("take cause");
        let was = w.state.cause;
        let late = w.flaw == Flaw::LateCauseStays && w.state.cause_open;
        w.state.cause &= w.flaw == Flaw::CausesStay || late;
        u32::from(was)
    }
}

/// Tries everything. Returns whether a wake-up was lost, and how many states were met.
fn explore(kind: Kind, packets: u8, flaw: Flaw) -> (bool, usize) {
    let shared = Shared(Arc::new(Mutex::new(World {
        state: State::new(kind, packets),
        flaw,
        path: Vec::new(),
        depth: 0,
        last: [""; 3],
        met: HashSet::new(),
        over: false,
        lost: false,
    })));
    loop {
        let mut w = shared.world();
        (w.state, w.depth, w.last) = (State::new(kind, packets), 0, [""; 3]);
        // Not before the interrupt is made: that is no part of the protocol.
        w.over = true;
        drop(w);
        let file = File::open("/dev/null").unwrap();
        let line = Box::new(FakeLine { shared: shared.clone(), file });
        let causes = Box::new(FakeCauses(shared.clone()));
        let interrupt = RxInterrupt::new(line, causes, Lifeline::running()).unwrap();
        (shared.world().over, shared.world().last) = (false, [""; 3]);
        run(&shared, interrupt, flaw);
        let mut w = shared.world();
        if w.lost {
            return (true, w.met.len());
        }
        if !w.next() {
            // Else it is the model that is asleep.
            assert!(w.met.iter().any(|(s, _)| s.received == packets), "{kind:?} {flaw:?}");
            return (false, w.met.len());
        }
    }
}

fn run(shared: &Shared, mut interrupt: RxInterrupt, flaw: Flaw) {
    let look = || {
        let mut w = shared.world();
        w.turn("look");
        let n = std::mem::take(&mut w.state.in_ring);
        w.state.received += n;
        usize::from(n)
    };
    if flaw == Flaw::NoSecondLook {
        while !shared.world().over {
            interrupt.arm().unwrap();
            shared.world().sleep();
            interrupt.disarm().unwrap();
            while look() > 0 {}
        }
        return;
    }
    let mut sleeper = Sleeper::new(SleepConfig { after: 0, ..SleepConfig::default() });
    sleeper.add(interrupt);
    while !shared.world().over {
        let found = look();
        if found > 0 {
            sleeper.polled(found).unwrap();
            continue;
        }
        let mut sleep = |_: &[RxInterrupt], _| {
            let mut w = shared.world();
            if flaw == Flaw::LateTake {
                w.turn("take late");
                w.state.event = false;
            }
            Ok(w.sleep())
        };
        sleeper.found_nothing(Duration::MAX, &mut sleep).unwrap();
    }
}

#[test]
fn no_interleaving_loses_a_wake_up() {
    for kind in [Kind::Level, Kind::Edge, Kind::Strict] {
        for packets in 1..=3 {
            let (lost, states) = explore(kind, packets, Flaw::None);
            assert!(!lost, "{kind:?}, {packets} packets, after {states} states");
            assert!(states > 100, "{kind:?}, {packets} packets: only {states} states");
            println!("{kind:?}, {packets} packets: {states} states");
        }
    }
}

#[test]
fn the_model_notices_a_broken_protocol() {
    use Flaw::*;
    use Kind::*;
    for (flaw, kinds) in [
        (NoSecondLook, &[Level, Edge, Strict][..]),
        (CausesStay, &[Strict]),
        (LateCauseStays, &[Strict]),
        (LineStaysShut, &[Level]),
        (LateTake, &[Level, Edge, Strict]),
    ] {
        for kind in kinds {
            assert!(explore(*kind, 2, flaw).0, "{kind:?} with {flaw:?}");
        }
    }
}

/// An interrupt whose line answers as it is told to.
#[derive(Debug)]
struct Scripted {
    event: Arc<Event>,
    fails: Arc<Mutex<Option<Error>>>,
}

impl Scripted {
    fn answer(&self) -> Result<()> {
        self.fails.lock().unwrap().take().map_or(Ok(()), Err)
    }
}

impl Line for Scripted {
    fn unmask(&self) -> Result<()> {
        self.answer()
    }

    fn take(&self) -> Result<bool> {
        self.answer()?;
        Ok(self.event.take())
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[derive(Debug)]
struct NoCauses;

impl Causes for NoCauses {
    fn unmask(&self) {}
    fn mask(&self) {}
    fn take(&self) -> u32 {
        0
    }
}

type Handles = (Arc<Event>, Arc<Mutex<Option<Error>>>);

fn scripted(life: Arc<Lifeline>) -> (RxInterrupt, Handles) {
    let (event, fails) = (Arc::new(Event::new().unwrap()), Arc::default());
    let line = Scripted { event: Arc::clone(&event), fails: Arc::clone(&fails) };
    let interrupt = RxInterrupt::new(Box::new(line), Box::new(NoCauses), life).unwrap();
    (interrupt, (event, fails))
}

fn gone() -> Error {
    Error::Gone { device: "0000:03:00.0".to_owned(), how: "it was removed".to_owned() }
}

const SHORT: Duration = Duration::from_millis(2);
/// Sleeps at the second empty poll.
const AT_ONCE: SleepConfig = SleepConfig { after: 0, naps: 0, nap: SHORT, timeout: SHORT };

#[test]
fn a_device_that_goes_is_told_once_and_slept_without() {
    let mut sleeper = Sleeper::new(AT_ONCE);
    let (a, (gone_event, fails)) = scripted(Lifeline::running());
    let (b, (event, _)) = scripted(Lifeline::running());
    sleeper.add(a);
    sleeper.add(b);
    // Armed, then asleep, then woken because the device went.
    sleeper.polled(0).unwrap();
    gone_event.raise();
    *fails.lock().unwrap() = Some(gone());
    assert!(matches!(sleeper.polled(0), Err(Error::Gone { .. })));
    assert_eq!((sleeper.stats().sleeps, sleeper.stats().naps), (1, 0));
    // The other goes on waking.
    sleeper.polled(0).unwrap();
    event.raise();
    sleeper.polled(0).unwrap();
    assert_eq!((sleeper.stats().by_interrupt, sleeper.stats().naps), (2, 0));
}

#[test]
fn with_no_interrupt_left_it_naps_and_never_spins() {
    let mut sleeper = Sleeper::new(AT_ONCE);
    let (a, (_, fails)) = scripted(Lifeline::running());
    sleeper.add(a);
    *fails.lock().unwrap() = Some(gone());
    assert!(matches!(sleeper.polled(0), Err(Error::Gone { .. })));
    let start = std::time::Instant::now();
    for _ in 0..5 {
        sleeper.polled(0).unwrap();
    }
    assert!(start.elapsed() >= 5 * SHORT && sleeper.stats().asleep >= 5 * SHORT);
    assert_eq!((sleeper.stats().sleeps, sleeper.stats().naps), (0, 5));
}

#[test]
fn an_interrupt_that_fails_on_a_live_device_leaves_naps() {
    let mut sleeper = Sleeper::new(AT_ONCE);
    let (a, (_, fails)) = scripted(Lifeline::running());
    let (b, _) = scripted(Lifeline::running());
    sleeper.add(a);
    sleeper.add(b);
    *fails.lock().unwrap() = Some(Error::NoInterrupt { addr: String::new(), why: String::new() });
    assert!(sleeper.polled(0).is_err());
    // Packets of the first still come and wake nobody, so sleeping on the second alone is wrong.
    sleeper.polled(0).unwrap();
    sleeper.polled(0).unwrap();
    assert_eq!((sleeper.stats().sleeps, sleeper.stats().naps), (0, 2));
}

#[test]
fn what_is_due_is_not_slept_past() {
    let mut sleeper = Sleeper::new(SleepConfig { timeout: Duration::from_millis(50), ..AT_ONCE });
    sleeper.add(scripted(Lifeline::running()).0);
    let mut asked = Vec::new();
    let mut poll = |patience| {
        sleeper.found_nothing(patience, &mut |_, limit| {
            asked.push(limit);
            Ok(Woken::Timeout)
        })
    };
    poll(Duration::MAX).unwrap();
    for patience in [0, 50, 100] {
        poll(Duration::from_micros(patience)).unwrap();
    }
    poll(Duration::from_micros(1100)).unwrap();
    poll(Duration::MAX).unwrap();
    // Those that were too short to sleep are not there.
    assert_eq!(asked.len(), 2);
    assert!(asked[0] <= Duration::from_millis(1) && asked[1] <= Duration::from_millis(50));
    assert!(asked[1] > Duration::from_millis(5));
}

#[test]
fn it_pauses_then_naps_then_arms_then_sleeps() {
    let mut sleeper = Sleeper::new(SleepConfig { after: 3, naps: 2, nap: SHORT, timeout: SHORT });
    sleeper.add(scripted(Lifeline::running()).0);
    let mut seen = Vec::new();
    for _ in 0..8 {
        sleeper.polled(0).unwrap();
        seen.push((sleeper.stats().naps, sleeper.stats().sleeps));
    }
    let expected = [(0, 0), (0, 0), (0, 0), (1, 0), (2, 0), (2, 0), (2, 1), (2, 2)];
    assert_eq!(seen, expected);
    sleeper.polled(1).unwrap();
    sleeper.polled(0).unwrap();
    assert_eq!(sleeper.stats().by_timeout, 2);
    assert_eq!((sleeper.stats().naps, sleeper.stats().sleeps), (2, 2));
}

#[test]
fn a_port_has_one_interrupt_at_a_time_and_none_after_its_stop() {
    let life = Lifeline::running();
    let (mut first, _) = scripted(life.clone());
    let second = || {
        let line = Scripted { event: Arc::new(Event::new().unwrap()), fails: Arc::default() };
        RxInterrupt::new(Box::new(line), Box::new(NoCauses), life.clone())
    };
    assert!(matches!(second(), Err(Error::State { why }) if why.contains("taken")));
    first.arm().unwrap();
    drop(first);
    let mut next = second().unwrap();
    life.close();
    assert!(matches!(next.arm(), Err(Error::State { why }) if why.contains("stopped")));
    assert!(matches!(next.disarm(), Err(Error::State { .. })));
}

#[test]
fn a_signal_ends_a_sleep_and_the_interrupt_stays_armed() {
    let mut sleeper = Sleeper::new(AT_ONCE);
    sleeper.add(scripted(Lifeline::running()).0);
    sleeper.polled(0).unwrap();
    for n in 1..=2 {
        sleeper.found_nothing(Duration::MAX, &mut |_, _| Ok(Woken::Signal)).unwrap();
        assert_eq!((sleeper.stats().sleeps, sleeper.stats().by_signal), (n, n));
    }
}
