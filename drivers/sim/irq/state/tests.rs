//! Every interleaving of arriving packets, the chip, the bus, a driver that polls after an
//! interrupt, and its watchdog: none may leave a packet in the ring with nobody to look.
//!
//! The chip is the real model. A change of causes or masks is one step under its lock, so the
//! moves are whole register accesses and whole causes. All orders are tried, but for states that
//! were met before: the chip's part of a state is taken out and put back.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex};

use super::*;
use crate::drivers::ixgbe::regs::{
    EIAC, EIAM_EX, EICR, EICS_EX, EIMC_EX, EIMS, EIMS_EX, EITR, GPIE, IVAR,
};
use crate::drivers::sim::{Drive, SimBar, SimConfig, SimNic};
use crate::mmio::Register;

/// The queue's vector, and its bit.
const VECTOR: u16 = 1;
const BIT: u32 = 1 << VECTOR;

/// How interrupts reach the driver, and what masks them while it polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// A vector, cleared and masked by being sent.
    AutoMask,
    /// A vector, cleared by being sent; the handler masks it.
    HandMask,
    /// The same, and nothing is masked at all: it may be sent while the driver polls.
    Open,
    /// One message; the handler reads EICR, which clears and masks.
    Message,
    /// The line; the same, and the slot's mask opens when the handler is done.
    Line,
}

const KINDS: [Kind; 5] = [Kind::AutoMask, Kind::HandMask, Kind::Open, Kind::Message, Kind::Line];

/// What can be wrong, to show that the search notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// The cause is set before the descriptor is there.
    EarlyCause,
    /// The driver does not unmask when it has polled.
    StaysMasked,
    /// It clears the cause when it has polled.
    LateClear,
    /// The chip does not tell of a cause that was pending when its mask went.
    DeafToUnmask,
    /// The chip forgets what the throttle held.
    ThrottleForgets,
    /// The slot's mask never opens again.
    SlotStaysShut,
}

/// What the driver does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Driver {
    Idle,
    Polls,
    /// It has found the ring empty and is about to unmask.
    Unmasks,
}

/// The chip's part. Times are relative, so that states meet again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Chip {
    causes: u32,
    mask: u32,
    seen: u128,
    wanting: u64,
    held: [Duration; 2],
    slot_masked: bool,
    asserted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    chip: Chip,
    to_come: u8,
    /// One of a packet's two steps is done: its descriptor, its cause.
    half: bool,
    ring: u8,
    /// An interrupt is on its way to the handler.
    message: bool,
    /// The handler has run and the slot's mask is still closed.
    shut: bool,
    scheduled: bool,
    driver: Driver,
    rearms: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Arrive,
    Cause,
    /// Time passes until the throttle lets go.
    Time,
    Handler,
    Open,
    Driver,
    Rearm,
}

#[derive(Debug, Default)]
struct Sink(AtomicBool);

impl InterruptSink for Sink {
    fn intx(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn message(&self, _: u16) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Search {
    kind: Kind,
    flaw: Flaw,
    nic: SimNic,
    bar: SimBar,
    sink: Arc<Sink>,
}

/// Queue 0's receive entry leads to the vector, with auto-clear; `gpie` and EITR as given.
fn set_up(bar: &SimBar, gpie: GPIE, eitr: u32) {
    gpie.write(bar);
    IVAR(0x80 | u32::from(VECTOR)).write(bar);
    EIAC(BIT).write(bar);
    EIAM_EX(BIT).write_at(bar, 0);
    for vector in 0..2 {
        EITR(eitr).write_at(bar, vector);
    }
    EIMS_EX(BIT).write_at(bar, 0);
}

fn nic() -> SimNic {
    SimNic::new(&SimConfig { drive: Drive::Step, ..SimConfig::default() }).unwrap()
}

impl Search {
    fn new(kind: Kind, flaw: Flaw, eitr: u32) -> Self {
        let nic = nic();
        let (bar, sink) = (nic.bar(), Arc::new(Sink::default()));
        let vectors = matches!(kind, Kind::AutoMask | Kind::HandMask | Kind::Open);
        let gpie = GPIE(0).with(GPIE::MULTIPLE_MSIX, vectors.into());
        set_up(&bar, gpie.with(GPIE::EIAME, (kind == Kind::AutoMask).into()), eitr);
        EICR::read(&bar);
        EIMS_EX(BIT).write_at(&bar, 0);
        nic.connect_interrupts(Some(sink.clone()));
        nic.set_interrupt_mode(match kind {
            Kind::Line => InterruptMode::Intx,
            Kind::Message => InterruptMode::Msi { vectors: 1 },
            _ => InterruptMode::Msix { vectors: 64 },
        });
        Self { kind, flaw, nic, bar, sink }
    }

    fn save(&self) -> Chip {
        let device = self.nic.device();
        let (now, state) = (device.clock.now(), device.irq.lock());
        Chip {
            causes: device.regs.get::<EICR>(0).raw(),
            mask: device.regs.get::<EIMS>(0).raw(),
            seen: state.seen,
            wanting: state.wanting,
            held: [0, 1].map(|v| state.throttle_left(v, now)),
            slot_masked: state.masked,
            asserted: state.asserted,
        }
    }

    fn load(&self, chip: &Chip) {
        let device = self.nic.device();
        let (now, mut state) = (device.clock.now(), device.irq.lock());
        device.regs.set(0, EICR(chip.causes));
        device.regs.set(0, EIMS(chip.mask));
        (state.seen, state.wanting) = (chip.seen, chip.wanting);
        (state.masked, state.asserted) = (chip.slot_masked, chip.asserted);
        for (vector, held) in (0..).zip(chip.held) {
            state.hold_throttle(vector, held, now);
        }
        let due = state.due().map_or(u64::MAX, |due| due.as_nanos() as u64);
        device.irq.due.store(due, Ordering::Relaxed);
    }

    fn moves(&self, w: &World) -> Vec<Move> {
        let throttled = w.chip.wanting != 0;
        let driver = w.driver != Driver::Idle || w.scheduled;
        [
            (Move::Arrive, w.to_come > 0 && !w.half),
            (Move::Cause, w.half),
            (Move::Time, throttled),
            (Move::Handler, w.message),
            (Move::Open, w.shut),
            (Move::Driver, driver),
            (Move::Rearm, w.rearms > 0),
        ]
        .into_iter()
        .filter_map(|(what, can)| can.then_some(what))
        .collect()
    }

    /// The packet's first or second step.
    fn packet(&self, w: &mut World, first: bool) {
        if first == (self.flaw != Flaw::EarlyCause) {
            w.ring += 1;
        } else {
            let device = self.nic.device();
            device.change_causes(|regs| device.chip.written_back(regs, 1, 0));
        }
    }

    fn make(&self, w: &mut World, what: Move) {
        let device = self.nic.device();
        self.load(&w.chip);
        match what {
            Move::Arrive => {
                (w.to_come, w.half) = (w.to_come - 1, true);
                self.packet(w, true);
            }
            Move::Cause => {
                w.half = false;
                self.packet(w, false);
            }
            Move::Time => {
                let due = device.irq.next_due(device.clock.now()).expect("something is held");
                self.nic.advance(due);
                if self.flaw == Flaw::ThrottleForgets {
                    device.irq.lock().wanting = 0;
                } else {
                    device.tell_due();
                }
            }
            Move::Handler => {
                w.message = false;
                w.shut = self.kind == Kind::Line;
                let masks = match self.kind {
                    Kind::AutoMask | Kind::Open => false,
                    Kind::HandMask => {
                        EIMC_EX(BIT).write_at(&self.bar, 0);
                        true
                    }
                    Kind::Message | Kind::Line => EICR::read(&self.bar).raw() & BIT != 0,
                };
                w.scheduled |= masks || matches!(self.kind, Kind::AutoMask | Kind::Open);
                if !masks && matches!(self.kind, Kind::Message | Kind::Line) && !w.scheduled {
                    // A spurious one: reading has masked all the same.
                    EIMS(BIT).write(&self.bar);
                }
            }
            Move::Open => {
                w.shut = false;
                if self.flaw != Flaw::SlotStaysShut {
                    self.nic.mask_intx(false);
                }
            }
            Move::Driver => self.drive(w),
            Move::Rearm => {
                w.rearms -= 1;
                EICS_EX(BIT).write_at(&self.bar, 0);
            }
        }
        w.message |= self.sink.0.swap(false, Ordering::Relaxed);
        w.chip = self.save();
    }

    fn drive(&self, w: &mut World) {
        match w.driver {
            Driver::Idle => w.driver = Driver::Polls,
            Driver::Polls if w.ring > 0 => w.ring -= 1,
            // From here on an interrupt schedules it anew.
            Driver::Polls => (w.driver, w.scheduled) = (Driver::Unmasks, false),
            Driver::Unmasks => {
                w.driver = Driver::Idle;
                match self.flaw {
                    Flaw::StaysMasked => {}
                    Flaw::DeafToUnmask => {
                        let device = self.nic.device();
                        device.regs.change(EIMS::META.offset, 0, BIT);
                        let active = device.chip.active(&device.regs);
                        device.irq.lock().seen = active;
                    }
                    flaw => {
                        if flaw == Flaw::LateClear {
                            EICR(BIT).write(&self.bar);
                        }
                        EIMS_EX(BIT).write_at(&self.bar, 0);
                    }
                }
            }
        }
    }

    /// Tries everything. Returns whether a packet can be left behind, and how many states there
    /// are.
    fn run(&self, packets: u8, rearms: u8) -> (bool, usize) {
        let first = World {
            chip: self.save(),
            to_come: packets,
            half: false,
            ring: 0,
            message: false,
            shut: false,
            scheduled: false,
            driver: Driver::Idle,
            rearms,
        };
        let (mut met, mut open) = (HashSet::from([first.clone()]), vec![first]);
        while let Some(world) = open.pop() {
            let moves = self.moves(&world);
            // The watchdog comes too late to count.
            if world.ring > 0 && moves.iter().all(|m| *m == Move::Rearm) {
                return (true, met.len());
            }
            for what in moves {
                let mut next = world.clone();
                self.make(&mut next, what);
                if met.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        // Else it is the search that does nothing.
        assert!(met.iter().any(|w| w.to_come == 0 && w.ring == 0 && w.driver == Driver::Idle));
        (false, met.len())
    }
}

/// Off; and 10 units, with the counter at zero.
const THROTTLES: [u32; 2] = [0, 10 << 3];

#[test]
fn no_interleaving_leaves_a_packet_behind() {
    for kind in KINDS {
        for eitr in THROTTLES {
            for rearms in [0, 2] {
                let (lost, states) = Search::new(kind, Flaw::None, eitr).run(3, rearms);
                assert!(!lost, "{kind:?}, EITR {eitr:#x}, {rearms} rearms: {states} states");
                assert!(states > 50, "{kind:?}: only {states} states");
                println!("{kind:?}, EITR {eitr:#x}, {rearms} rearms: {states} states");
            }
        }
    }
}

#[test]
fn the_search_notices_a_broken_chip_or_driver() {
    use Flaw::*;
    use Kind::*;
    for (flaw, kinds) in [
        (EarlyCause, &KINDS[..]),
        (StaysMasked, &[AutoMask, HandMask, Message, Line]),
        (LateClear, &[AutoMask, HandMask, Message, Line]),
        (DeafToUnmask, &[AutoMask, HandMask, Message]),
        (ThrottleForgets, &KINDS),
        (SlotStaysShut, &[Line]),
    ] {
        for kind in kinds {
            let eitr = if flaw == ThrottleForgets { THROTTLES[1] } else { 0 };
            assert!(Search::new(*kind, flaw, eitr).run(2, 0).0, "{kind:?} with {flaw:?}");
        }
    }
}

/// Counts vectors, and whoever waits for one wakes.
#[derive(Debug, Default)]
struct Waiter {
    told: Mutex<u32>,
    changed: Condvar,
}

impl InterruptSink for Waiter {
    fn intx(&self) {}

    fn message(&self, _: u16) {
        *self.told.lock().unwrap() += 1;
        self.changed.notify_one();
    }
}

#[test]
fn threads_that_race_lose_nothing() {
    const PACKETS: u32 = 20_000;
    let nic = nic();
    let waiter = Arc::new(Waiter::default());
    nic.set_interrupt_mode(InterruptMode::Msix { vectors: 64 });
    nic.connect_interrupts(Some(waiter.clone()));
    let bar = nic.bar();
    set_up(&bar, GPIE(0).with(GPIE::MULTIPLE_MSIX, 1).with(GPIE::EIAME, 1), 0);
    let ring = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let device = nic.device();
            for n in 0..PACKETS {
                ring.fetch_add(1, Ordering::Release);
                device.change_causes(|regs| device.chip.written_back(regs, 1, 0));
                if n % 7 == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let mut received = 0;
        while received < PACKETS {
            let told = waiter.told.lock().unwrap();
            let patience = Duration::from_secs(20);
            let waits = |told: &mut u32| *told == 0;
            let (mut told, late) =
                waiter.changed.wait_timeout_while(told, patience, waits).unwrap();
            assert!(!late.timed_out(), "{received} of {PACKETS}, and no interrupt");
            *told = 0;
            drop(told);
            received += ring.swap(0, Ordering::Acquire);
            EIMS_EX(BIT).write_at(&bar, 0);
        }
    });
}
