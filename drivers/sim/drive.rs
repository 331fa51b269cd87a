//! What makes a software NIC run, and its clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::device::Device;

/// Who runs the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Drive {
    /// Tests, by [`SimNic::step`](super::SimNic::step). The clock is virtual and nothing depends
    /// on real time.
    Step,
    /// The bursts of the port's own queues.
    Inline,
    /// One background thread for all such NICs of the process.
    Thread,
}

/// A NIC's clock.
#[derive(Debug)]
pub(super) struct Clock {
    real: bool,
    /// Nanoseconds that were waited for on this clock. A real clock runs ahead by them, so that a
    /// driver's delays cost it nothing here; wires see real time all the same.
    skipped: AtomicU64,
}

/// Real time since the first software NIC of the process was made: what its wires go by.
fn real_time() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

impl Clock {
    pub(super) fn new(drive: Drive) -> Self {
        real_time();
        Self { real: drive != Drive::Step, skipped: AtomicU64::new(0) }
    }

    /// Time as the driver sees it.
    pub(super) fn now(&self) -> Duration {
        self.wire_now_plus(Duration::from_nanos(self.skipped.load(Ordering::Relaxed)))
    }

    fn wire_now_plus(&self, skipped: Duration) -> Duration {
        if self.real { real_time() + skipped } else { skipped }
    }

    /// Time as the wire sees it: the same for all NICs with a real clock.
    #[inline]
    pub(super) fn wire_now(&self) -> Duration {
        if self.real {
            real_time()
        } else {
            Duration::from_nanos(self.skipped.load(Ordering::Relaxed))
        }
    }

    pub(super) fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.skipped.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// NICs that the background thread runs.
static THREADED: Mutex<(Vec<Weak<Device>>, bool)> = Mutex::new((Vec::new(), false));

/// Rounds without work before the thread sleeps a little.
const EAGER_ROUNDS: u32 = 2_000;
/// How long it sleeps when idle.
const NAP: Duration = Duration::from_micros(20);
/// How often, in rounds, it looks for NICs that came or went.
const LOOK_EVERY: u32 = 256;

/// Lets the background thread run `device` until it is dropped. Starts the thread when needed.
pub(super) fn adopt(device: &Arc<Device>) -> std::io::Result<()> {
    let mut threaded = THREADED.lock().unwrap_or_else(PoisonError::into_inner);
    threaded.0.push(Arc::downgrade(device));
    if !threaded.1 {
        std::thread::Builder::new().name("barewire-sim".to_owned()).spawn(run)?;
        threaded.1 = true;
    }
    Ok(())
}

/// The NICs to run; `None`, and the thread counts as gone, when none is left.
fn muster() -> Option<Vec<Weak<Device>>> {
    let mut threaded = THREADED.lock().unwrap_or_else(PoisonError::into_inner);
    threaded.0.retain(|d| d.strong_count() > 0);
    threaded.1 = !threaded.0.is_empty();
    threaded.1.then(|| threaded.0.clone())
}

/// Should a model panic, the thread that ran it is gone: the next NIC starts another. A thread
/// that ends in order has said so in [`muster`] already, and another may have been started since.
struct Leaving(&'static Mutex<(Vec<Weak<Device>>, bool)>);

impl Drop for Leaving {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = false;
        }
    }
}

fn run() {
    let _leaving = Leaving(&THREADED);
    let mut idle = 0u32;
    while let Some(devices) = muster() {
        for _ in 0..LOOK_EVERY {
            let mut busy = false;
            for device in devices.iter().filter_map(Weak::upgrade) {
                busy |= device.try_step();
            }
            idle = if busy { 0 } else { idle.saturating_add(1) };
            if idle > EAGER_ROUNDS {
                std::thread::sleep(NAP);
            } else if !busy {
                std::thread::yield_now();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_does_not_count_as_running() {
        static RUNNING: Mutex<(Vec<Weak<Device>>, bool)> = Mutex::new((Vec::new(), true));
        let running = || RUNNING.lock().unwrap_or_else(PoisonError::into_inner).1;
        let ends = |how: fn()| {
            std::thread::spawn(move || {
                let _leaving = Leaving(&RUNNING);
                how();
            })
            .join()
        };
        // The flag may be a later thread's by then.
        assert!(ends(|| {}).is_ok() && running());
        assert!(ends(|| panic!("as a broken model would")).is_err());
        assert!(!running());
    }
}
