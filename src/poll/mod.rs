//! The busy-poll loop: a worker with its own pool cache that calls one function until told to
//! stop, and what it does when there is nothing to do.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::arch;
use crate::error::Result;
use crate::pool::{Mempool, PoolCache};
use crate::port::{Port, RxInterrupt};

mod event;
mod pin;
mod sleeper;

#[cfg(test)]
mod tests;

pub(crate) use event::{Event, LONGEST, pollfd, ppoll};
pub use event::{Woken, wait};
pub use pin::pin_to_core;
pub use sleeper::{Polled, SleepConfig, SleepStats, Sleeper};

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
    /// Pauses for a while, then sleeps until a packet arrives: next to no load when idle, and some
    /// tens of microseconds more for the first packet after a lull. See [`Worker::listen_to`].
    Sleep(SleepConfig),
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
    /// How it slept, with [`Idle::Sleep`].
    pub sleep: SleepStats,
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
/// })?;
/// assert_eq!((stats.polls, stats.packets), (1, 1));
/// # Ok::<(), barewire::Error>(())
/// ```
///
/// One that sleeps while nothing comes:
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use barewire::{Batch, Mempool, Port, PortConfig, pool::PoolConfig};
/// use barewire::poll::{Idle, SleepConfig, Worker};
/// let pool = Mempool::new(&PoolConfig { count: 2048, ..PoolConfig::default() })?;
/// let mut port = Port::open("sim:82599?wire=gen:rate=1000,count=20")?;
/// let mut rx = port.start(&PortConfig::default(), &pool)?.rx.remove(0);
/// let mut worker = Worker::new(&pool, Idle::Sleep(SleepConfig::default()));
/// worker.listen_to(&mut port)?;
/// let (stop, mut batch, mut received) = (AtomicBool::new(false), Batch::new(32), 0);
/// let stats = worker.run(&stop, |cache| {
///     let n = rx.rx_burst(cache, &mut batch);
///     cache.free_batch(&mut batch);
///     received += n;
///     stop.store(received == 20, Ordering::Relaxed);
///     n
/// })?;
/// assert!(stats.packets == 20 && stats.sleep.by_interrupt > 0);
/// # Ok::<(), barewire::Error>(())
/// ```
#[derive(Debug)]
pub struct Worker {
    cache: PoolCache,
    idle: Idle,
    /// With [`Idle::Sleep`].
    sleeper: Sleeper,
    stats: WorkerStats,
}

impl Worker {
    /// A worker with a cache of `pool`.
    pub fn new(pool: &Mempool, idle: Idle) -> Self {
        let config = match idle {
            Idle::Sleep(config) => config,
            _ => SleepConfig::default(),
        };
        let (sleeper, stats) = (Sleeper::new(config), WorkerStats::default());
        Self { cache: pool.cache(), idle, sleeper, stats }
    }

    /// With [`Idle::Sleep`], also wakes for packets on this port, as [`Sleeper::listen_to`]. To be
    /// called for every port that the worker polls; without any it naps.
    ///
    /// # Errors
    /// As [`Sleeper::listen_to`].
    pub fn listen_to(&mut self, port: &mut Port) -> Result<()> {
        match self.idle {
            Idle::Sleep(_) => self.sleeper.listen_to(port),
            _ => Ok(()),
        }
    }

    /// As [`listen_to`](Self::listen_to), for an interrupt that was taken before.
    pub fn add(&mut self, interrupt: RxInterrupt) {
        self.sleeper.add(interrupt);
    }

    /// What it did so far, over all its runs.
    pub fn stats(&self) -> WorkerStats {
        WorkerStats { sleep: self.sleeper.stats(), ..self.stats }
    }

    /// Calls `poll` until `stop` is set. It gets the worker's cache and answers how many packets
    /// it handled; a [`Polled`] when it has something to do without more packets, such as sending
    /// those that it holds.
    ///
    /// A worker that sleeps looks at `stop` when it wakes, which is after
    /// [`SleepConfig::timeout`] at the latest, and right after a signal that its thread handles.
    ///
    /// # Errors
    /// [`Error::Gone`](crate::Error::Gone) when a device that it sleeps on is gone, other errors of
    /// its interrupt. Running again goes on with the ports that are left.
    pub fn run<P: Into<Polled>>(
        &mut self,
        stop: &AtomicBool,
        mut poll: impl FnMut(&mut PoolCache) -> P,
    ) -> Result<WorkerStats> {
        let mut in_a_row = 0;
        while !stop.load(Ordering::Relaxed) {
            let polled = poll(&mut self.cache).into();
            let n = polled.packets();
            self.stats.polls += 1;
            self.stats.packets += n as u64;
            self.stats.empty += u64::from(n == 0);
            if matches!(self.idle, Idle::Sleep(_)) {
                self.sleeper.polled(polled)?;
                continue;
            }
            in_a_row = if n > 0 { 0 } else { PATIENCE.min(in_a_row + 1) };
            match self.idle {
                _ if n > 0 => {}
                Idle::Spin | Idle::Sleep(_) => {}
                Idle::Yield if in_a_row >= PATIENCE => std::thread::yield_now(),
                Idle::Pause | Idle::Yield => arch::pause(),
            }
        }
        // Whoever stopped the worker may have stopped the port.
        if let Err(e) = self.sleeper.disarm() {
            tracing::debug!("after a worker's end: {e}");
        }
        Ok(self.stats())
    }
}
