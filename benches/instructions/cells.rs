//! The cells of the table, and what counts them.

use std::fmt;
#[cfg(target_arch = "x86_64")]
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use barewire::port::DataPath;

use crate::rig::{self, Bench, Lag, RigConfig, Work};

pub(crate) const BATCHES: [usize; 6] = [1, 4, 8, 32, 64, 256];

/// Descriptors of a ring. After so many packets all is where it was, but for the descriptors'
/// contents: counting more of them gives the same.
#[cfg(target_arch = "x86_64")]
pub(crate) const TURN: usize = 512;
/// Until queues and caches hold what they hold ever after.
#[cfg(target_arch = "x86_64")]
pub(crate) const WARM_UP: usize = 16 * TURN;

/// What a burst finds done by the NIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nic {
    Behind,
    AtOnce,
}

impl Nic {
    pub(crate) const fn lag(self) -> Lag {
        match self {
            Self::Behind => Lag::NIC,
            Self::AtOnce => Lag::NONE,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::AtOnce => "at-once",
        }
    }
}

impl fmt::Display for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lag { group, behind } = self.lag();
        match self {
            Self::Behind => {
                write!(f, "a NIC that receives {group} at a time and reports {behind} packets late")
            }
            Self::AtOnce => f.write_str("a NIC that is always done: no hardware, the worst case"),
        }
    }
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) work: Work,
    /// The path, where the work has one.
    pub(crate) path: Option<DataPath>,
    pub(crate) nic: Nic,
    /// Instructions per packet, by batch.
    pub(crate) each: [f64; BATCHES.len()],
}

impl Row {
    pub(crate) fn path_name(&self) -> &'static str {
        self.path.map_or("-", DataPath::name)
    }

    /// At a burst of `n`.
    pub(crate) fn at(&self, n: usize) -> Option<f64> {
        BATCHES.iter().position(|b| *b == n).map(|i| self.each[i])
    }
}

/// Two ports on a pool of their own.
pub(crate) fn bench(work: Work, path: DataPath, nic: Nic, n: usize) -> (barewire::Mempool, Bench) {
    let (pool, _) = rig::pool();
    let cfg = RigConfig { path: Some(path), lag: nic.lag(), ..RigConfig::default() };
    let bench = Bench::new(&pool, work, n, cfg);
    (pool, bench)
}

/// So many packets, uncounted.
pub(crate) fn run(work: Work, path: DataPath, nic: Nic, n: usize, packets: usize) {
    let (_pool, mut bench) = bench(work, path, nic, n);
    bench.turns(packets.div_ceil(n));
}

/// What counts.
#[derive(Debug)]
pub(crate) enum Counter {
    #[cfg(target_arch = "x86_64")]
    Steps(crate::step::Stepper),
    #[cfg(not(target_arch = "x86_64"))]
    Callgrind,
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Steps(_) => f.write_str("counted one by one on the processor"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Callgrind => f.write_str("counted by callgrind"),
        }
    }
}

impl Counter {
    pub(crate) fn new() -> Result<Self, String> {
        #[cfg(target_arch = "x86_64")]
        return crate::step::Stepper::new().map(Self::Steps);
        #[cfg(not(target_arch = "x86_64"))]
        return Ok(Self::Callgrind);
    }

    fn count(&self, work: Work, path: DataPath, nic: Nic, n: usize) -> Result<f64, String> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Steps(stepper) => {
                let (_pool, mut bench) = bench(work, path, nic, n);
                bench.turns(WARM_UP / n);
                let mut total = 0;
                for _ in 0..TURN / n {
                    bench.turn(|f, bench| {
                        let (got, steps) = stepper.count(f, bench);
                        total += steps;
                        got
                    });
                }
                Ok(total as f64 / TURN as f64)
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Callgrind => crate::callgrind::count(work, path, nic, n),
        }
    }
}

/// All rows for a NIC. To save time, only what the NIC's haste makes a difference to is counted for
/// one that is always done, and that, as the worker's loop, on the first and the last path alone.
/// What has no path is counted once.
pub(crate) fn rows(counter: &Counter, paths: &[DataPath], nic: Nic) -> Result<Vec<Row>, String> {
    let mut plan = Vec::new();
    let ends = match *paths {
        [first, .., last] => vec![first, last],
        _ => paths.to_vec(),
    };
    let hasty = |work: &Work| matches!(work, Work::Io | Work::Tx | Work::Rx);
    for work in Work::ALL.into_iter().filter(|w| nic == Nic::Behind || hasty(w)) {
        if work.has_path() {
            let few = nic == Nic::AtOnce || work == Work::Worker;
            let paths = if few { &ends } else { paths };
            plan.extend(paths.iter().map(|path| (work, Some(*path))));
        } else {
            plan.push((work, None));
        }
    }
    let cells = plan.len() * BATCHES.len();
    let counted = in_parallel(cells, |i| {
        let (work, path) = plan[i / BATCHES.len()];
        let path = path.unwrap_or(DataPath::Scalar);
        counter.count(work, path, nic, BATCHES[i % BATCHES.len()])
    });
    let mut counted = counted.into_iter();
    let row = |(work, path)| {
        let mut each = [0.0; BATCHES.len()];
        for cell in &mut each {
            *cell = counted.next().unwrap_or(Err("a thread ended early".to_owned()))?;
        }
        Ok(Row { work, path, nic, each })
    };
    plan.iter().copied().map(row).collect()
}

/// `f` of all numbers below `n`, on all cores.
pub(crate) fn in_parallel<T: Send>(n: usize, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, T)> = std::thread::scope(|s| {
        let work = || {
            let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|i| *i < n);
            std::iter::from_fn(|| take().map(|i| (i, f(i)))).collect::<Vec<_>>()
        };
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let threads: Vec<_> = (0..threads).map(|_| s.spawn(work)).collect();
        threads.into_iter().flat_map(|t| t.join().expect("no panic")).collect()
    });
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, t)| t).collect()
}

/// What two threads do with as many instructions each, over what one does: on one pool, each with
/// its own queues and cache, bursts of 32.
#[derive(Debug)]
pub(crate) struct Scaling {
    pub(crate) work: Work,
    pub(crate) path: Option<DataPath>,
    pub(crate) ratio: f64,
}

pub(crate) fn two_threads(counter: &Counter, paths: &[DataPath]) -> Result<Vec<Scaling>, String> {
    let io = paths.iter().map(|path| (Work::Io, Some(*path)));
    let all = io.chain([(Work::Pool, None)]);
    let scaling = |(work, path)| {
        let on = |threads| threads_at_once(counter, work, path, threads);
        Ok(Scaling { work, path, ratio: 2.0 * on(1)? / on(2)? })
    };
    all.map(scaling).collect()
}

/// Instructions per packet of so many threads that work at the same time.
#[cfg(target_arch = "x86_64")]
fn threads_at_once(
    counter: &Counter,
    work: Work,
    path: Option<DataPath>,
    threads: usize,
) -> Result<f64, String> {
    const BATCH: usize = 32;
    let Counter::Steps(stepper) = counter;
    let (pool, _) = rig::pool();
    let barrier = Barrier::new(threads);
    let one = || {
        let cfg = RigConfig { path, ..RigConfig::default() };
        let mut bench = Bench::new(&pool, work, BATCH, cfg);
        bench.turns(WARM_UP / BATCH);
        let mut total = 0;
        barrier.wait();
        for _ in 0..TURN / BATCH {
            bench.turn(|f, bench| {
                let (got, steps) = stepper.count(f, bench);
                total += steps;
                got
            });
        }
        // Its buffers stay where they are until the others are done.
        barrier.wait();
        total
    };
    let total: u64 = std::thread::scope(|s| {
        let all: Vec<_> = (0..threads).map(|_| s.spawn(one)).collect();
        all.into_iter().map(|t| t.join().expect("no panic")).sum()
    });
    Ok(total as f64 / (threads * TURN) as f64)
}

/// Callgrind runs one thread at a time: nothing would be seen.
#[cfg(not(target_arch = "x86_64"))]
fn threads_at_once(_: &Counter, _: Work, _: Option<DataPath>, _: usize) -> Result<f64, String> {
    Ok(f64::NAN)
}
