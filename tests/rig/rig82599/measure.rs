//! Cycles for each frame, without start-up and detection: bursts of two sizes in turns, and the
//! slope between them.
//!
//! What a device writes is written on the program's own core, so that it is in that core's cache
//! as if it had been put there (`--dram`: nowhere but in memory). The first descriptor of a burst
//! is held back; its appearance is the start, the last tail's the end. Before each burst that
//! counts goes one of the same size, whose completions it takes.

use std::io;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::play::Rig;
use crate::rings::Way;
use crate::{Cli, stage};

const PATIENCE: Duration = Duration::from_secs(10);
/// Cycles without a tail change after which a burst that ends with none has ended.
const QUIET: u64 = 100_000;
/// Cycles in which the program gets back to polling.
const SETTLE: u64 = 20_000;

/// Runs all bursts and says what they took.
pub(crate) fn run(
    rig: &mut Rig,
    cli: &Cli,
    sizes: [usize; 2],
    child: &mut Child,
) -> io::Result<Value> {
    rig.await_rings(child, PATIENCE, if cli.way == Way::Generate { 0 } else { sizes[1] })?;
    if cli.way == Way::Generate {
        // Until the rings are full and stay so.
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut took = [Vec::new(), Vec::new()];
    for round in 0..cli.rounds {
        for (size, took) in sizes.iter().zip(&mut took) {
            burst(rig, cli, *size)?;
            took.push(burst(rig, cli, *size)?);
        }
        if round.is_multiple_of(64) && child.try_wait()?.is_some() {
            return Err(io::Error::other("the program ended"));
        }
    }
    took.iter_mut().for_each(|t| t.sort_unstable());
    let at = |q: f64| {
        let [small, large] = [0, 1].map(|i| took[i][(took[i].len() as f64 * q) as usize] as f64);
        (large - small) / (2 * (sizes[1] - sizes[0])) as f64
    };
    Ok(json!({ "p10": at(0.1), "median": at(0.5), "p90": at(0.9) }))
}

fn burst(rig: &mut Rig, cli: &Cli, size: usize) -> io::Result<u64> {
    stage::pin(0, cli.cores[0])?;
    let starts = [0, 1].map(|n| rig.prepare(n, cli, size));
    if cli.dram {
        (0..2).for_each(|n| rig.ports[n].flush(size));
    }
    stage::pin(0, cli.cores[1])?;
    let [Some(a), Some(b)] = starts else { return Err(io::Error::other("a ring is not ready")) };
    let settled = cycles() + SETTLE;
    while cycles() < settled {
        std::hint::spin_loop();
    }
    let from = rig.tails();
    let start = cycles();
    a.let_go();
    b.let_go();
    let (mut last, mut seen, limit) = (start, from, Instant::now() + PATIENCE);
    loop {
        // The two cores may be one core's two threads.
        std::hint::spin_loop();
        let tails = rig.tails();
        let now = cycles();
        if tails != seen {
            (seen, last) = (tails, now);
        }
        let all_sent = cli.way != Way::Rxonly
            && (0..2).all(|n| rig.ports[n].is_after(from[n].1, size, tails[n].1));
        if all_sent || cli.way == Way::Rxonly && last > start && now - last > QUIET {
            return Ok(last - start);
        }
        if Instant::now() > limit {
            let counts = rig.counts();
            return Err(io::Error::other(format!(
                "a burst does not end: {from:?} {tails:?} {counts}"
            )));
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn cycles() -> u64 {
    // SAFETY: every x86-64 processor has it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn cycles() -> u64 {
    use std::sync::LazyLock;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64
}
