//! What makes a software NIC run, and its clock.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::device::Device;
use crate::poll::{self, Event, Woken};

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
    /// The same thread, for a NIC that is served to another process: whoever serves it says with
    /// [`SimNic::kick`](super::SimNic::kick) that there is something to do, and the thread sleeps
    /// until then if the wire is quiet. Not among the values of a spec string.
    Served,
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
/// The same when all NICs are served: other processes want the processor.
const EAGER_SERVED: u32 = 20;
/// How long it sleeps when idle, if nobody says when there is something to do.
const NAP: Duration = Duration::from_micros(20);
/// How long it sleeps at most, and how long at first when a wire has frames that nobody takes.
const NAPS_SERVED: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(1));
/// How often, in rounds, it looks for NICs that came or went.
const LOOK_EVERY: u32 = 256;

/// Lets the background thread run `device` until it is dropped. Starts the thread when needed.
pub(super) fn adopt(device: &Arc<Device>) -> std::io::Result<()> {
    let mut threaded = THREADED.lock().unwrap_or_else(PoisonError::into_inner);
    threaded.0.push(Arc::downgrade(device));
    if WAKE.get().is_none() {
        // Without one the thread looks for work a thousand times a second.
        let _there_is_one = Event::new().ok().map(|event| WAKE.set(event));
    }
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
    let (mut idle, mut rest) = (0u32, Rest::default());
    while let Some(devices) = muster() {
        let served = devices.iter().filter_map(Weak::upgrade).all(|d| d.drive == Drive::Served);
        let eager = if served { EAGER_SERVED } else { EAGER_ROUNDS };
        for _ in 0..LOOK_EVERY {
            let step = || {
                let alive = devices.iter().filter_map(Weak::upgrade);
                alive.fold(false, |busy, device| busy | device.try_step())
            };
            let busy = step();
            idle = if busy { 0 } else { idle.saturating_add(1) };
            if busy {
                rest.nap = NAPS_SERVED.0;
            } else if idle <= eager {
                std::thread::yield_now();
            } else if !served {
                std::thread::sleep(NAP);
            } else {
                rest.sleep(&devices, step);
            }
        }
    }
}

/// Whether the thread sleeps, and what wakes it.
static ASLEEP: AtomicBool = AtomicBool::new(false);
static WAKE: OnceLock<Event> = OnceLock::new();

/// Wakes the thread that runs served NICs, if it sleeps.
fn wake() {
    // The thread says that it sleeps and then looks for work; whoever has work makes it and then
    // looks whether the thread sleeps.
    fence(Ordering::SeqCst);
    if ASLEEP.load(Ordering::Relaxed)
        && let Some(event) = WAKE.get()
    {
        event.raise();
    }
}

/// How the thread sleeps when all its NICs are served.
#[derive(Debug)]
struct Rest {
    /// How long next time, when the wires cannot be waited for.
    nap: Duration,
    /// A wire had something to tell, and no NIC took it.
    deaf: bool,
}

impl Default for Rest {
    fn default() -> Self {
        Self { nap: NAPS_SERVED.0, deaf: false }
    }
}

impl Rest {
    /// Sleeps until a wire has frames, somebody wakes the thread, or something is due.
    fn sleep(&mut self, devices: &[Weak<Device>], step: impl Fn() -> bool) {
        let devices: Vec<_> = devices.iter().filter_map(Weak::upgrade).collect();
        let event = WAKE.get();
        ASLEEP.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !step() {
            let fds = devices.iter().filter(|_| !self.deaf).filter_map(|d| d.wire_fd.as_ref());
            let sources: Vec<_> =
                fds.map(AsFd::as_fd).chain(event.iter().map(|e| e.as_fd())).collect();
            let due = devices.iter().filter_map(|d| d.next_due()).min();
            let most = if self.deaf { self.nap } else { NAPS_SERVED.1 };
            // Should waiting fail, this is a nap all the same.
            match poll::wait(&sources, due.map_or(most, |due| due.min(most))) {
                Ok(Woken::Event) => self.deaf = event.is_none_or(|e| !e.take()) && !step(),
                Ok(_) => self.deaf = false,
                Err(_) => std::thread::sleep(self.nap),
            }
            self.nap = (self.nap * 2).min(NAPS_SERVED.1);
        }
        ASLEEP.store(false, Ordering::Relaxed);
    }
}

impl Device {
    /// See [`SimNic::kick`](super::SimNic::kick).
    pub(super) fn kick(&self) {
        self.try_step();
        wake();
    }

    /// How long until something is due that nobody will say.
    fn next_due(&self) -> Option<Duration> {
        let later = self.pending.load(Ordering::Relaxed).then_some(NAPS_SERVED.0);
        later.into_iter().chain(self.irq.next_due(self.clock.now())).min()
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
