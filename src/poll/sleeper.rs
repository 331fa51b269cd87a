//! When a loop that polls may sleep, and how it does so without missing a packet.
//!
//! After so many empty polls in a row: arm the interrupts, **poll once more**, sleep, disarm. The
//! poll between arming and sleeping is the caller's: [`Sleeper::polled`] returns right after arming
//! and sleeps only if it is then told of one more empty poll.

use std::time::{Duration, Instant};

use super::event::{Woken, wait};
use crate::arch;
use crate::error::{Error, Result};
use crate::port::{Port, RxInterrupt};

/// When to sleep, and for how long at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SleepConfig {
    /// Empty polls in a row before anything but a pause happens. About what going to sleep and
    /// waking cost, as they cost most when the next packet comes right after.
    pub after: u32,
    /// Naps of the length [`nap`](Self::nap) before the interrupt is armed: for traffic with gaps
    /// that are longer than `after` polls and yet too short for an interrupt each.
    pub naps: u32,
    /// Length of a nap. Also how long a worker sleeps at a time when one of its ports has no
    /// interrupt: what comes meanwhile must fit into the receive ring.
    pub nap: Duration,
    /// Longest sleep on the interrupts. It bounds how late a stop is noticed, and how long a packet
    /// waits whose interrupt was lost outside: somebody switched off bus mastering, say, or the
    /// kernel disabled a shared line that another device would not let go.
    pub timeout: Duration,
}

impl Default for SleepConfig {
    fn default() -> Self {
        Self {
            after: 300,
            naps: 0,
            nap: Duration::from_micros(200),
            timeout: Duration::from_millis(100),
        }
    }
}

/// What a poll found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polled {
    packets: usize,
    patience: Duration,
}

impl From<usize> for Polled {
    /// So many packets, and nothing left to do before more come.
    fn from(packets: usize) -> Self {
        Self { packets, patience: Duration::MAX }
    }
}

impl Polled {
    /// Says that there is something to do after `patience` at the latest, even if no packet
    /// comes: one is due to be sent. Zero when there is something to do already, such as packets
    /// that the transmit ring has not taken.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Packets that were handled.
    pub fn packets(&self) -> usize {
        self.packets
    }
}

/// How a worker slept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SleepStats {
    /// Times that it went to sleep on its interrupts.
    pub sleeps: u64,
    /// Sleeps that an interrupt ended.
    pub by_interrupt: u64,
    /// Sleeps that ended because the time was up.
    pub by_timeout: u64,
    /// Sleeps that a signal ended.
    pub by_signal: u64,
    /// Naps: sleeps with no interrupt to end them.
    pub naps: u64,
    /// Time spent in sleeps and naps.
    pub asleep: Duration,
}

/// Timers go off late by about so much (the kernel's default slack is 50 us); so what is due
/// sooner is waited for awake.
const LATE: Duration = Duration::from_micros(100);

/// What a loop that polls asks after each poll, to sleep while nothing comes.
///
/// It is for one thread. A port has one interrupt for all its queues, so when several threads poll
/// one port, one of them sleeps on the interrupt; the others have none, and nap.
///
/// ```
/// use barewire::{Batch, Mempool, Port, PortConfig, pool::PoolConfig};
/// use barewire::poll::{SleepConfig, Sleeper};
///
/// let pool = Mempool::new(&PoolConfig { count: 2048, ..PoolConfig::default() })?;
/// let mut cache = pool.cache();
/// let mut port = Port::open("sim:82599?wire=gen:rate=1000,count=20")?;
/// let mut rx = port.start(&PortConfig::default(), &pool)?.rx.remove(0);
/// let mut sleeper = Sleeper::new(SleepConfig::default());
/// sleeper.listen_to(&mut port)?;
/// let (mut batch, mut received) = (Batch::new(32), 0);
/// while received < 20 {
///     let n = rx.rx_burst(&mut cache, &mut batch);
///     received += n;
///     cache.free_batch(&mut batch);
///     sleeper.polled(n)?;
/// }
/// assert!(sleeper.stats().by_interrupt > 0 && !sleeper.stats().asleep.is_zero());
/// # Ok::<(), barewire::Error>(())
/// ```
#[derive(Debug)]
pub struct Sleeper {
    config: SleepConfig,
    interrupts: Vec<RxInterrupt>,
    /// Packets can come that raise nothing.
    deaf: bool,
    /// Empty polls in a row.
    empty: u32,
    /// Naps since the last packet.
    napped: u32,
    armed: bool,
    stats: SleepStats,
}

impl Sleeper {
    /// Without interrupts, which [`add`](Self::add) and [`listen_to`](Self::listen_to) give it, it
    /// only naps.
    pub fn new(config: SleepConfig) -> Self {
        Self {
            config,
            interrupts: Vec::new(),
            deaf: false,
            empty: 0,
            napped: 0,
            armed: false,
            stats: SleepStats::default(),
        }
    }

    /// Also wakes for this one. With the interrupts of all ports that the loop polls, any of them
    /// ends its sleep.
    pub fn add(&mut self, interrupt: RxInterrupt) {
        // Armed with the others, the next time.
        self.disarm().unwrap_or_else(|e| tracing::warn!("while adding an interrupt: {e}"));
        self.interrupts.push(interrupt);
    }

    /// Takes the interrupt of a started port that the loop polls. When it has none, the reason is
    /// logged, and the loop naps instead of sleeping.
    ///
    /// # Errors
    /// As [`Control::interrupt`](crate::port::Control::interrupt), but for
    /// [`NoInterrupt`](Error::NoInterrupt).
    pub fn listen_to(&mut self, port: &mut Port) -> Result<()> {
        match port.interrupt() {
            Ok(interrupt) => self.add(interrupt),
            Err(e @ Error::NoInterrupt { .. }) => {
                let nap = self.config.nap;
                tracing::warn!("{e}: when idle, it is polled every {nap:?} or so");
                self.deaf = true;
            }
            Err(other) => return Err(other),
        }
        Ok(())
    }

    /// Whether the next empty poll will be slept through, unless something is due: the moment to
    /// flush what was buffered.
    pub fn sleeps_next(&self) -> bool {
        self.empty >= self.config.after && (self.armed || self.naps_next())
    }

    fn naps_next(&self) -> bool {
        self.deaf || self.interrupts.is_empty() || self.napped < self.config.naps
    }

    /// How it slept so far.
    pub fn stats(&self) -> SleepStats {
        self.stats
    }

    /// To be called after each poll of all the rings, with the number of packets that it found, or
    /// a [`Polled`] when something is due to be done without one. Returns at once, after a pause,
    /// or after a sleep.
    ///
    /// # Errors
    /// When an interrupt fails, [`Error::Gone`] for the most part. It is given up then, so each is
    /// told once, and the call after that goes on with those that are left.
    #[inline]
    pub fn polled(&mut self, what: impl Into<Polled>) -> Result<()> {
        let what = what.into();
        if what.packets == 0 {
            return self.found_nothing(what.patience, &mut wait);
        }
        (self.empty, self.napped) = (0, 0);
        if self.armed { self.disarm() } else { Ok(()) }
    }

    /// `sleep` is [`wait`], but for the model.
    #[cold]
    pub(super) fn found_nothing(
        &mut self,
        patience: Duration,
        sleep: &mut dyn FnMut(&[RxInterrupt], Duration) -> Result<Woken>,
    ) -> Result<()> {
        if self.empty < self.config.after {
            self.empty += 1;
            arch::pause();
            return Ok(());
        }
        let limit = patience.saturating_sub(LATE);
        if limit.is_zero() {
            arch::pause();
            return Ok(());
        }
        if self.naps_next() {
            self.napped = self.napped.saturating_add(1);
            return self.nap(limit);
        }
        if !self.armed {
            // The caller polls once more now, and only then comes back to sleep.
            self.armed = true;
            return self.each(RxInterrupt::arm);
        }
        self.sleep(limit, sleep)
    }

    fn nap(&mut self, limit: Duration) -> Result<()> {
        self.stats.naps += 1;
        // What only moves when called moves now.
        let most = self.interrupts.iter().filter_map(RxInterrupt::run).min();
        let start = Instant::now();
        let result =
            wait::<RxInterrupt>(&[], self.config.nap.min(limit).min(most.unwrap_or(limit)));
        self.stats.asleep += start.elapsed();
        result.map(drop)
    }

    /// Sleeps with the interrupts armed.
    fn sleep(
        &mut self,
        limit: Duration,
        sleep: &mut dyn FnMut(&[RxInterrupt], Duration) -> Result<Woken>,
    ) -> Result<()> {
        self.stats.sleeps += 1;
        let (start, limit) = (Instant::now(), limit.min(self.config.timeout));
        let woken = loop {
            let left = limit.saturating_sub(start.elapsed());
            // A device that moves when it is called may raise its interrupt right here.
            let most = self.interrupts.iter().filter_map(RxInterrupt::run).min();
            let since = Instant::now();
            let woken = sleep(&self.interrupts, left.min(most.unwrap_or(left)));
            self.stats.asleep += since.elapsed();
            match woken {
                Ok(Woken::Timeout) if most.is_some() && start.elapsed() < limit => {}
                other => break other,
            }
        };
        match woken {
            Ok(Woken::Event) => self.stats.by_interrupt += 1,
            // Still armed: if the next poll finds nothing either, it goes on sleeping.
            Ok(Woken::Timeout) => {
                self.stats.by_timeout += 1;
                return Ok(());
            }
            Ok(Woken::Signal) => {
                self.stats.by_signal += 1;
                return Ok(());
            }
            Err(e) => {
                // Better awake than at the mercy of a wait that does not work.
                self.deaf = true;
                return self.disarm().and(Err(e));
            }
        }
        (self.empty, self.napped) = (0, 0);
        self.disarm()
    }

    /// Masks the interrupts and forgets what they raised, for a loop that stops asking. Dropping
    /// the sleeper does it too.
    ///
    /// # Errors
    /// As [`polled`](Self::polled).
    pub fn disarm(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.armed) {
            return Ok(());
        }
        self.each(|interrupt| interrupt.disarm().map(drop))
    }

    /// Does something with each interrupt and gives up those that fail: one whose device is gone
    /// is readable for ever. The first error is told, the others logged.
    fn each(&mut self, mut f: impl FnMut(&mut RxInterrupt) -> Result<()>) -> Result<()> {
        let mut first = Ok(());
        let Self { interrupts, deaf, .. } = self;
        interrupts.retain_mut(|interrupt| {
            let Err(e) = f(interrupt) else { return true };
            // From a device that is gone or stopped no packets come; from others they may.
            *deaf |= !matches!(e, Error::Gone { .. } | Error::State { .. });
            match first {
                Ok(()) => first = Err(e),
                Err(_) => tracing::warn!("another interrupt failed: {e}"),
            }
            false
        });
        first
    }
}
