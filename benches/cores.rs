//! Two cores with a queue pair each, over one pool, against one core: total throughput, in rounds
//! that take turns, so that what else the machine does falls on both. Nothing is shared but the
//! pool, so what is lost is lost there, or is the machine's: `spin` is arithmetic in registers, and
//! no work does better than that.
//!
//! The last rows have a NIC that moves 256 packets at once: more come back than a worker's cache
//! takes, so they go through the pool's depot, which is all that the two share.
//!
//! `scripts/instructions` has the same ratio in instructions.

#[allow(dead_code)]
#[path = "rig/mod.rs"]
mod rig;

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use barewire::poll::pin_to_core;
use barewire::port::DataPath;

use rig::{Bench, RigConfig, UNCLOCKED, Work};

const BURST: usize = 32;
const ROUNDS: usize = 31;
/// Bursts of a thread in a round.
const BURSTS: usize = 1 << 14;

/// What a thread does.
#[derive(Debug, Clone, Copy)]
enum Job {
    Spin,
    /// The NIC moves so many packets at once.
    Bursts(Work, DataPath, usize),
}

/// Packets per nanosecond of this thread; rounds for `Spin`.
fn rate(job: Job, pool: &barewire::Mempool, barrier: &Barrier) -> f64 {
    match job {
        Job::Spin => {
            barrier.wait();
            let round = || {
                let start = Instant::now();
                // Four chains, so that cores that are one core's threads are noticed.
                let mut x = [1u64, 2, 3, 4];
                for i in 0..4096 {
                    x = x.map(|x| x.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ i);
                }
                black_box(x);
                start.elapsed()
            };
            let mut all: Vec<_> = (0..1024).map(|_| round()).collect();
            all.sort();
            1.0 / all[all.len() / 2].as_nanos() as f64
        }
        Job::Bursts(work, path, bunch) => {
            let cfg = RigConfig { path: Some(path), ..RigConfig::default() };
            let mut bench = Bench::new(pool, work, BURST, cfg);
            bench.time(BURSTS / 16, bunch);
            barrier.wait();
            let each = bench.time(BURSTS, bunch);
            // The other thread's time is not to be without this one's company.
            barrier.wait();
            BURST as f64 / each.as_nanos() as f64
        }
    }
}

/// The sum over threads on these cores.
fn total(job: Job, cores: &[usize]) -> f64 {
    let (pool, _) = rig::pool();
    let barrier = Barrier::new(cores.len());
    std::thread::scope(|s| {
        let on = |core: usize| {
            let (pool, barrier) = (&pool, &barrier);
            s.spawn(move || {
                pin_to_core(core).expect("the core is there");
                rate(job, pool, barrier)
            })
        };
        let threads: Vec<_> = cores.iter().map(|core| on(*core)).collect();
        threads.into_iter().map(|t| t.join().expect("no panic")).sum()
    })
}

fn median(mut all: Vec<f64>) -> (f64, f64, f64) {
    all.sort_by(f64::total_cmp);
    (all[all.len() / 2], all[0], all[all.len() - 1])
}

fn main() {
    if std::thread::available_parallelism().map_or(1, |n| n.get()) < 2 {
        println!("two cores are needed");
        return;
    }
    let best = DataPath::supported().next().unwrap_or(DataPath::Scalar);
    let scalar = DataPath::Scalar;
    let jobs = [
        ("spin".to_owned(), Job::Spin),
        ("pool".to_owned(), Job::Bursts(Work::Pool, best, UNCLOCKED)),
        (format!("io, {best}"), Job::Bursts(Work::Io, best, UNCLOCKED)),
        (format!("io, {scalar}"), Job::Bursts(Work::Io, scalar, UNCLOCKED)),
        (format!("io, {best}, 256"), Job::Bursts(Work::Io, best, 256)),
        (format!("io, {scalar}, 256"), Job::Bursts(Work::Io, scalar, 256)),
    ];
    println!("two cores over one: medians of {ROUNDS} rounds [least to most]; bursts of {BURST}\n");
    println!("{:18}{:>16}{:>10}", "", "ns per packet", "ratio");
    for (name, job) in jobs {
        let (mut ratios, mut alone) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let one = (total(job, &[0]) + total(job, &[1])) / 2.0;
            ratios.push(total(job, &[0, 1]) / one);
            alone.push(1.0 / one);
        }
        let (ratio, least, most) = median(ratios);
        let each = match job {
            Job::Spin => "-".to_owned(),
            Job::Bursts(..) => format!("{:.2}", median(alone).0),
        };
        println!("{name:18}{each:>16}{ratio:>9.2}x [{least:.2} to {most:.2}]");
    }
}
