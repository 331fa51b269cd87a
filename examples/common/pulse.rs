//! Workers and the supervisor: the workers poll and never look at a clock for it; the supervisor
//! sleeps, watches the clock, the signals and the devices, and asks the workers for their counts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use barewire::arch::tsc;
use barewire::poll::pin_to_core;

use super::counts::Snapshot;
use super::ladder;
use super::meter::{Meter, Turn, Work};
use super::report::{Moment, Reporter};
use super::rest::Rest;
use super::session::Session;
use super::{Failure, Interrupt};

const STATE: u32 = 3;
const STOP: u32 = 1;
const ABORT: u32 = 2;
const TICK: u32 = 4;

/// What a worker is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Carry on.
    Go,
    /// Start nothing new, drain, and end.
    Stop,
    /// A device failed: end now.
    Abort,
}

/// Shared between the supervisor and its workers. The workers only read `word`, so it stays in
/// their caches until something changes.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// Tick counter and state in one word.
    word: AtomicU32,
    done: AtomicU32,
    board: Vec<Mutex<Snapshot>>,
    /// Packets that the queues took, and by lane, once no more will come.
    sent: OnceLock<(u64, Vec<u64>)>,
    /// Whether the receiver has all it will get.
    pub(crate) received_all: AtomicBool,
    failure: Mutex<Option<String>>,
}

impl Pulse {
    /// For so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            word: AtomicU32::new(0),
            done: AtomicU32::new(0),
            board: (0..workers).map(|_| Mutex::default()).collect(),
            sent: OnceLock::new(),
            received_all: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// A worker's place.
    pub(crate) fn seat(&self, index: usize) -> Seat<'_> {
        let rest = Rest::default();
        let meter = Meter::start();
        Seat { pulse: self, index, seen: 0, state: Beat::Go, rest, meter, busy: true, shown: false }
    }

    fn set(&self, state: u32) {
        // Abort wins over stop.
        let _ = self.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |w| {
            Some((w & !STATE) | (w & STATE).max(state))
        });
    }

    /// Asks the workers to drain and end.
    pub(crate) fn stop(&self) {
        self.set(STOP);
    }

    /// Tells the workers to end now, because of `why`.
    pub(crate) fn abort(&self, why: impl Into<String>) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert_with(|| why.into());
        drop(failure);
        self.set(ABORT);
    }

    /// The sender's last word to the receiver: what the queues took, by lane and in total.
    pub(crate) fn set_sent(&self, by_lane: Vec<u64>, total: u64) {
        let _ = self.sent.set((total, by_lane));
    }

    /// What the sender said.
    #[inline]
    pub(crate) fn sent(&self) -> Option<&(u64, Vec<u64>)> {
        self.sent.get()
    }

    fn tick(&self) {
        self.word.fetch_add(TICK, Ordering::Relaxed);
    }

    /// The sum of what the workers showed last.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut sum = Snapshot::default();
        for place in &self.board {
            let worker = place.lock().unwrap_or_else(PoisonError::into_inner);
            sum.add(&worker);
            sum.workers.push(worker.work);
        }
        sum
    }

    fn all_done(&self) -> bool {
        self.done.load(Ordering::Acquire) as usize >= self.board.len()
    }
}

/// One worker's view of the pulse. Dropping it says that the worker is done.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    pub(crate) pulse: &'a Pulse,
    index: usize,
    seen: u32,
    state: Beat,
    rest: Rest,
    meter: Meter,
    /// Whether the last turn moved something.
    busy: bool,
    /// Whether nothing has moved since the counts were shown.
    shown: bool,
}

impl Seat<'_> {
    /// The same, for a worker that rests in this way and begins now.
    pub(crate) fn resting(self, rest: Rest) -> Self {
        let mut seat = self;
        seat.rest = rest;
        seat.meter = Meter::start();
        seat
    }

    /// To be called once per turn of the worker's loop: one load when nothing changed. `counts`
    /// is called when the supervisor wants them.
    #[inline(always)]
    pub(crate) fn beat(&mut self, counts: impl FnOnce() -> Snapshot) -> Beat {
        let word = self.pulse.word.load(Ordering::Relaxed);
        if word != self.seen {
            self.changed(word, counts());
        }
        self.state
    }

    /// The same for a loop that ends when it is no longer [`Beat::Go`], and asks no more then: what
    /// the supervisor said before is not told again.
    #[inline(always)]
    pub(crate) fn goes_on(&mut self, counts: impl FnOnce() -> Snapshot) -> bool {
        let word = self.pulse.word.load(Ordering::Relaxed);
        if word == self.seen {
            return true;
        }
        self.changed(word, counts());
        self.state == Beat::Go
    }

    #[cold]
    fn changed(&mut self, word: u32, counts: Snapshot) {
        self.seen = word;
        self.state = match word & STATE {
            0 => Beat::Go,
            STOP => Beat::Stop,
            _ => Beat::Abort,
        };
        self.publish(counts);
    }

    /// Shows the counts to the supervisor.
    pub(crate) fn publish(&mut self, counts: Snapshot) {
        let work = Work { ticks: self.meter.ticks(), ..counts.work };
        let counts = Snapshot { slept: self.rest.slept(), work, ..counts };
        if let Some(place) = self.pulse.board.get(self.index) {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = counts;
        }
    }

    /// Says what this turn did, when there is more to do than to wait for packets.
    #[inline(always)]
    pub(crate) fn moved(&mut self, turn: impl Into<Turn>) {
        self.turned(turn, || Duration::ZERO, Snapshot::default);
    }

    /// Says what this turn did. After many that moved nothing, the worker may sleep for as long as
    /// `patience` says; `counts` is called before, so that the supervisor sees the last ones
    /// meanwhile.
    #[inline(always)]
    pub(crate) fn turned(
        &mut self,
        turn: impl Into<Turn>,
        patience: impl FnOnce() -> Duration,
        counts: impl FnOnce() -> Snapshot,
    ) {
        let turn = turn.into();
        if turn == Turn::Nothing {
            return self.idle(patience, counts);
        }
        self.busy = true;
        self.meter.worked(turn);
        if let Err(e) = self.rest.moved() {
            self.pulse.abort(e.to_string());
        }
    }

    #[cold]
    fn idle(&mut self, patience: impl FnOnce() -> Duration, counts: impl FnOnce() -> Snapshot) {
        self.meter.idle(tsc);
        if std::mem::take(&mut self.busy) {
            self.shown = false;
            self.rest.begin();
        }
        let patience = patience();
        if !self.shown && self.sleeps_next() && !patience.is_zero() {
            self.shown = true;
            self.publish(counts());
        }
        if let Err(e) = self.rest.idle(patience) {
            self.pulse.abort(e.to_string());
        }
        self.meter.resume(tsc());
    }

    /// Whether the worker will sleep if this turn moves nothing.
    pub(crate) fn sleeps_next(&self) -> bool {
        self.rest.sleeps_next()
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.pulse.abort("a worker panicked");
        }
        self.pulse.done.fetch_add(1, Ordering::Release);
    }
}

/// What one worker does, in its own thread.
pub(crate) type Job<'a> = Box<dyn FnOnce(Seat<'_>) + Send + 'a>;

/// What ends a run from outside.
#[derive(Debug)]
pub(crate) struct End<'a> {
    /// Signals.
    pub(crate) interrupt: &'a Interrupt,
    /// Time.
    pub(crate) secs: Option<f64>,
}

/// Runs the jobs, each on one of `cores` when there are any, and watches over them until all are
/// done. Reports once a second; stops them at the end, when a device fails, or when nobody reads
/// the output any more.
pub(crate) fn run(
    jobs: Vec<Job<'_>>,
    cores: &[usize],
    session: &mut Session,
    reporter: &mut Reporter,
    end: &End<'_>,
) -> Outcome {
    let pulse = Pulse::new(jobs.len());
    std::thread::scope(|scope| {
        let _guard = Guard(&pulse);
        for (i, job) in jobs.into_iter().enumerate() {
            let seat = pulse.seat(i);
            let core = cores.get(i % cores.len().max(1)).copied();
            let work = move || {
                if let Some(Err(e)) = core.map(pin_to_core) {
                    seat.pulse.abort(e.to_string());
                }
                job(seat);
            };
            // A panic is told by its seat, so that the ports are stopped in order; the scope would
            // raise it again.
            scope.spawn(|| drop(catch_unwind(AssertUnwindSafe(work))));
        }
        supervise(&pulse, session, reporter, end)
    })
}

/// Ends the workers when the supervisor panics; the scope would wait for them for ever.
struct Guard<'a>(&'a Pulse);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abort("the supervisor panicked");
        }
    }
}

fn supervise(
    pulse: &Pulse,
    session: &mut Session,
    reporter: &mut Reporter,
    end: &End<'_>,
) -> Outcome {
    let start = Instant::now();
    let deadline = end.secs.map(Duration::from_secs_f64);
    let mut next_report = Duration::from_secs(1);
    let mut output = Ok(());
    while !pulse.all_done() {
        std::thread::sleep(Duration::from_millis(5));
        let now = start.elapsed();
        if end.interrupt.came() || deadline.is_some_and(|d| now >= d) {
            pulse.stop();
        }
        if now < next_report || pulse.all_done() {
            continue;
        }
        next_report = (now + Duration::from_secs(1)).max(next_report);
        pulse.tick();
        std::thread::sleep(Duration::from_millis(2));
        if let Err(e) = session.refresh() {
            pulse.abort(e.to_string());
        }
        let moment = Moment { at: start.elapsed(), counts: pulse.snapshot() };
        if output.is_ok() {
            output = reporter.second(&moment, session);
            if output.is_err() {
                pulse.stop();
            }
        }
    }
    let mut failure = pulse.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Err(e) = session.refresh() {
        failure.get_or_insert_with(|| e.to_string());
    }
    Outcome { moment: Moment { at: start.elapsed(), counts: pulse.snapshot() }, failure, output }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The final counts.
    pub(crate) moment: Moment,
    /// What broke, if anything did.
    pub(crate) failure: Option<String>,
    /// Trouble with standard output.
    output: Result<(), Failure>,
}

impl Outcome {
    /// Makes this a failure when packets stayed in a transmit ring.
    pub(crate) fn fail_if_stuck(&mut self, session: &Session) {
        for (p, c) in session.ports.iter().zip(&self.moment.counts.ports) {
            let stuck = ladder::stuck(c, &p.stats);
            if stuck > 0 && !p.stale {
                let name = &p.port.info().name;
                let why = format!(
                    "{name}: {stuck} packets stayed in the transmit ring; check the link and \
                     whether the far end pauses it"
                );
                self.failure.get_or_insert(why);
            }
        }
    }

    /// Stops the ports, prints the summary, and says how the tool ends.
    pub(crate) fn finish(
        mut self,
        session: &mut Session,
        reporter: &mut Reporter,
    ) -> Result<(), Failure> {
        if let Err(e) = session.stop() {
            self.failure.get_or_insert_with(|| e.to_string());
        }
        self.output?;
        reporter.summary(&self.moment, session, self.failure.as_deref())?;
        self.failure.map_or(Ok(()), |why| Err(Failure::Broke(why)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::ladder::Topology;
    use super::super::options::{OutputOptions, PortOptions};
    use super::super::session::Need;
    use super::*;
    use barewire::poll::{SleepConfig, Sleeper};

    #[test]
    fn abort_wins_over_stop_and_its_first_reason_stays() {
        let pulse = Pulse::new(1);
        let mut seat = pulse.seat(0);
        assert_eq!(seat.beat(Snapshot::default), Beat::Go);
        pulse.stop();
        assert_eq!(seat.beat(Snapshot::default), Beat::Stop);
        pulse.abort("first");
        pulse.abort("second");
        pulse.stop();
        assert_eq!(seat.beat(Snapshot::default), Beat::Abort);
        assert_eq!(pulse.failure.lock().unwrap().as_deref(), Some("first"));
        assert!(!pulse.all_done());
        drop(seat);
        assert!(pulse.all_done());
    }

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        ports: PortOptions,
        #[command(flatten)]
        output: OutputOptions,
    }

    /// A tool on a software NIC with two workers, of which one does `first` and the other polls
    /// until it is told to end. Also says how many buffers the pool has and how many of them
    /// are there when all is over.
    fn tool(
        first: fn(Seat<'_>),
        secs: Option<f64>,
    ) -> (std::thread::Result<Result<(), Failure>>, u32, usize) {
        let cli: Cli = clap::Parser::parse_from(["test", "--quiet", "--json"]);
        let need = Need { rxq: 2, txq: 2, workers: 2, ..Need::default() };
        let names = ["sim:82599?wire=loopback"];
        let (session, queues) = Session::open(&names, &cli.ports, &need).unwrap();
        let pool = session.pool.clone();
        let result = catch_unwind(AssertUnwindSafe(|| {
            // What a tool's main function owns.
            let mut session = session;
            let mut reporter = Reporter::new("test", &cli.output, Topology::Closed);
            let mut pairs = queues.into_iter().flat_map(|q| q.rx.into_iter().zip(q.tx));
            let (mine, other) = (pairs.next(), pairs.next());
            let mut cache = session.pool.cache();
            let jobs: Vec<Job<'_>> = vec![
                Box::new(move |seat| {
                    let _mine = mine;
                    first(seat);
                }),
                Box::new(move |mut seat| {
                    let (mut rx, _tx) = other.unwrap();
                    let mut batch = barewire::Batch::new(32);
                    while seat.beat(Snapshot::default) == Beat::Go {
                        rx.rx_burst(&mut cache, &mut batch);
                        seat.moved(0);
                    }
                }),
            ];
            let end = End { interrupt: &Interrupt::default(), secs };
            let outcome = run(jobs, &[], &mut session, &mut reporter, &end);
            outcome.finish(&mut session, &mut reporter)
        }));
        let (mut cache, mut all) = (pool.cache(), Vec::new());
        all.extend(std::iter::from_fn(|| cache.alloc()));
        (result, pool.capacity(), all.len())
    }

    #[test]
    fn a_worker_that_panics_ends_the_tool_in_order() {
        let (result, buffers, back) = tool(|_| panic!("on purpose"), None);
        match result.unwrap() {
            Err(Failure::Broke(why)) => assert!(why.contains("a worker panicked"), "{why}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(back, buffers as usize, "the NIC gave its buffers back");
    }

    #[test]
    fn a_supervisor_that_panics_ends_its_workers_and_stops_the_ports() {
        // No duration can be made of this.
        let (result, buffers, back) = tool(|_| (), Some(-1.0));
        assert!(result.is_err());
        assert_eq!(back, buffers as usize, "the NIC gave its buffers back");
    }

    #[test]
    fn the_last_counts_are_shown_before_a_sleep_and_only_once() {
        let pulse = Pulse::new(1);
        let nap = Duration::from_micros(1);
        let config = SleepConfig { after: 2, nap, ..SleepConfig::default() };
        let sleeper = Box::new(Sleeper::new(config));
        let mut seat = pulse.seat(0).resting(Rest::Sleep { sleeper, since: Instant::now() });
        let shown = || pulse.snapshot().extra;
        let counts = |n| move || Snapshot { extra: vec![("n", n)], ..Snapshot::default() };
        seat.turned(5, || Duration::MAX, counts(1));
        seat.turned(0, || Duration::MAX, counts(2));
        seat.turned(0, || Duration::MAX, counts(3));
        assert_eq!(shown(), []);
        seat.turned(0, || Duration::ZERO, counts(4));
        assert_eq!(shown(), [], "there is something to do");
        seat.turned(0, || Duration::MAX, counts(5));
        assert_eq!(shown(), [("n", 5)]);
        seat.turned(0, || Duration::MAX, counts(6));
        assert_eq!(shown(), [("n", 5)], "nothing has moved");
        assert_eq!(pulse.snapshot().slept.map(|s| s.stats.naps), Some(0));
        seat.publish(Snapshot::default());
        assert_eq!(pulse.snapshot().slept.map(|s| s.stats.naps), Some(2));
    }

    #[test]
    fn a_tick_collects_every_workers_counts_once() {
        let pulse = Pulse::new(2);
        let mut seats = [pulse.seat(0), pulse.seat(1)];
        pulse.tick();
        for (seat, lost) in seats.iter_mut().zip([3, 4]) {
            let mut calls = 0;
            for _ in 0..3 {
                seat.beat(|| {
                    calls += 1;
                    Snapshot { extra: vec![("lost", lost)], ..Snapshot::default() }
                });
            }
            assert_eq!(calls, 1);
        }
        assert_eq!(pulse.snapshot().extra, [("lost", 7)]);
    }
}
