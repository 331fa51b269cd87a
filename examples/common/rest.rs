//! What a worker does after a turn that moved nothing: `--idle`.

use std::time::{Duration, Instant};

use barewire::error::Result;
use barewire::poll::{Polled, SleepConfig, SleepStats, Sleeper};

use super::Failure;
use super::options::{IdleOptions, IdlePolicy};
use super::session::Session;

/// Idle turns after which a worker lets others run, unless the user says.
const YIELD_AFTER: u32 = 64;

/// How a worker slept, and out of what time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Slept {
    pub(crate) stats: SleepStats,
    /// Since the worker began; of several workers, the sum.
    pub(crate) alive: Duration,
}

impl Slept {
    /// Adds another worker's.
    pub(crate) fn add(&mut self, other: &Self) {
        let (mine, theirs) = (&mut self.stats, other.stats);
        mine.sleeps += theirs.sleeps;
        mine.by_interrupt += theirs.by_interrupt;
        mine.by_timeout += theirs.by_timeout;
        mine.by_signal += theirs.by_signal;
        mine.naps += theirs.naps;
        mine.asleep += theirs.asleep;
        self.alive += other.alive;
    }

    /// Part of the time that was slept, in percent.
    pub(crate) fn percent(&self) -> f64 {
        let alive = self.alive.as_secs_f64();
        if alive > 0.0 { 100.0 * self.stats.asleep.as_secs_f64() / alive } else { 0.0 }
    }
}

/// One worker's way of doing nothing.
#[derive(Debug)]
pub(crate) enum Rest {
    Spin,
    Pause,
    Yield { after: u32, idle: u32 },
    Sleep { sleeper: Box<Sleeper>, since: Instant },
}

impl Default for Rest {
    fn default() -> Self {
        Self::Yield { after: YIELD_AFTER, idle: 0 }
    }
}

impl Rest {
    /// For a worker that polls these ports of the session, which are started. With `sleep`, it
    /// takes their interrupts.
    pub(crate) fn new(
        options: &IdleOptions,
        session: &mut Session,
        ports: &[usize],
    ) -> Result<Self, Failure> {
        Ok(match options.idle {
            IdlePolicy::Spin => Self::Spin,
            IdlePolicy::Pause => Self::Pause,
            IdlePolicy::Yield => {
                Self::Yield { after: options.idle_polls.unwrap_or(YIELD_AFTER), idle: 0 }
            }
            IdlePolicy::Sleep => {
                let default = SleepConfig::default();
                let mut sleeper = Sleeper::new(SleepConfig {
                    after: options.idle_polls.unwrap_or(default.after),
                    timeout: Duration::from_millis(options.idle_timeout.into()),
                    ..default
                });
                for port in ports {
                    if let Some(p) = session.ports.get_mut(*port) {
                        sleeper.listen_to(&mut p.port)?;
                    }
                }
                Self::Sleep { sleeper: Box::new(sleeper), since: Instant::now() }
            }
        })
    }

    /// Packets were moved.
    #[inline(always)]
    pub(crate) fn moved(&mut self) -> Result<()> {
        match self {
            Self::Sleep { sleeper, .. } => sleeper.polled(1),
            _ => Ok(()),
        }
    }

    /// Nothing was moved, for the first time since packets were.
    pub(crate) fn begin(&mut self) {
        if let Self::Yield { idle, .. } = self {
            *idle = 0;
        }
    }

    /// Nothing was moved, and there is nothing to do for so long unless a packet comes.
    pub(crate) fn idle(&mut self, patience: Duration) -> Result<()> {
        match self {
            Self::Spin => {}
            Self::Pause => std::hint::spin_loop(),
            Self::Yield { after, idle } => {
                *idle += 1;
                if *idle >= *after {
                    *idle = 0;
                    std::thread::yield_now();
                } else {
                    std::hint::spin_loop();
                }
            }
            Self::Sleep { sleeper, .. } => {
                return sleeper.polled(Polled::from(0).with_patience(patience));
            }
        }
        Ok(())
    }

    /// Whether one more idle turn will be slept through.
    pub(crate) fn sleeps_next(&self) -> bool {
        matches!(self, Self::Sleep { sleeper, .. } if sleeper.sleeps_next())
    }

    /// How it slept, if that is what it does.
    pub(crate) fn slept(&self) -> Option<Slept> {
        match self {
            Self::Sleep { sleeper, since } => {
                Some(Slept { stats: sleeper.stats(), alive: since.elapsed() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up_to_their_average() {
        let slept = |asleep, alive| Slept {
            stats: SleepStats {
                asleep: Duration::from_secs(asleep),
                sleeps: 2,
                by_interrupt: 1,
                by_timeout: 1,
                ..SleepStats::default()
            },
            alive: Duration::from_secs(alive),
        };
        let mut sum = Slept::default();
        assert_eq!(sum.percent(), 0.0);
        sum.add(&slept(9, 10));
        sum.add(&slept(6, 10));
        assert_eq!(sum.percent(), 75.0);
        assert_eq!((sum.stats.sleeps, sum.stats.by_interrupt, sum.stats.by_timeout), (4, 2, 2));
    }
}
