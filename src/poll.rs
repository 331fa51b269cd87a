//! The busy-poll loop: a worker with its own pool cache that calls one function until told to
//! stop, and what it does when there is nothing to do.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::arch;
use crate::error::{Error, Result};
use crate::pool::{Mempool, PoolCache};

/// What a worker does after a poll that found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Idle {
    /// Polls again at once: lowest latency, a core of its own.
    Spin,
    /// Pauses the core for some tens of cycles: kinder to its sibling thread.
    #[default]
    Pause,
    /// After 64 empty polls in a row, lets other threads run: for more workers than cores.
    Yield,
}

/// What a worker did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkerStats {
    /// Calls of the poll function.
    pub polls: u64,
    /// Calls that found nothing.
    pub empty: u64,
    /// Packets, as the poll function counted them.
    pub packets: u64,
}

/// Empty polls in a row before [`Idle::Yield`] yields.
const PATIENCE: u32 = 64;

/// One thread of a packet application.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use barewire::{Mempool, poll::{Idle, Worker}, pool::PoolConfig};
/// let pool = Mempool::new(&PoolConfig { count: 64, ..PoolConfig::default() })?;
/// let stop = AtomicBool::new(false);
/// let stats = Worker::new(&pool, Idle::Pause).run(&stop, |cache| {
///     stop.store(true, Ordering::Relaxed);
///     usize::from(cache.alloc().is_some())
/// });
/// assert_eq!((stats.polls, stats.packets), (1, 1));
/// # Ok::<(), barewire::Error>(())
/// ```
#[derive(Debug)]
pub struct Worker {
    cache: PoolCache,
    idle: Idle,
}

impl Worker {
    /// A worker with a cache of `pool`.
    pub fn new(pool: &Mempool, idle: Idle) -> Self {
        Self { cache: pool.cache(), idle }
    }

    /// Calls `poll` until `stop` is set. It gets the worker's cache and answers how many packets
    /// it handled.
    pub fn run(
        mut self,
        stop: &AtomicBool,
        mut poll: impl FnMut(&mut PoolCache) -> usize,
    ) -> WorkerStats {
        let mut stats = WorkerStats::default();
        let mut in_a_row = 0;
        while !stop.load(Ordering::Relaxed) {
            let n = poll(&mut self.cache);
            stats.polls += 1;
            stats.packets += n as u64;
            if n > 0 {
                in_a_row = 0;
                continue;
            }
            stats.empty += 1;
            in_a_row += 1;
            match self.idle {
                Idle::Spin => {}
                Idle::Yield if in_a_row >= PATIENCE => std::thread::yield_now(),
                Idle::Pause | Idle::Yield => arch::pause(),
            }
        }
        stats
    }
}

/// Keeps the calling thread on one core (`sched_setaffinity`).
///
/// # Errors
/// [`Error::Config`] when there is no such core, or this process may not use it.
pub fn pin_to_core(core: usize) -> Result<()> {
    let refuse = |e: io::Error| Error::config("core", core, format!("an online core ({e})"));
    // SAFETY: all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if core >= 8 * size_of_val(&set) {
        return Err(refuse(io::ErrorKind::InvalidInput.into()));
    }
    // SAFETY: the index was checked against the size of the set.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the set is a live cpu_set_t of the size given; 0 is the calling thread.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) } {
        0 => Ok(()),
        _ => Err(refuse(io::Error::last_os_error())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinning_answers_for_cores_that_are_not_there() {
        std::thread::spawn(|| {
            assert!(pin_to_core(usize::MAX).is_err());
            assert!(pin_to_core(1023).unwrap_err().to_string().contains("core = 1023"));
        })
        .join()
        .unwrap();
    }
}
