//! Interrupts: from causes and masks to the line, a message, or vectors (82599 datasheet 7.3,
//! 82576 datasheet 7.3).
//!
//! INTx is asserted for as long as an unmasked cause is set. When it is and the slot lets it
//! through, it is told once and the slot's mask closes, as the kernel's handler does. A message
//! is sent when an unmasked cause *rises*: it is set, or what masked it goes. With many vectors,
//! each has causes of its own, and sending clears and masks those that EIAC and EIAM name.
//!
//! What has risen waits until the vector's throttle (EITR) lets it go, and is forgotten if no
//! unmasked cause is left by then. The throttle starts when an interrupt is told.
//!
//! Whoever hears interrupts is heard under one lock, so every change of causes and masks and what
//! follows from it is one step for all threads. While nobody hears, changes take no lock.
//!
//! Not modelled: low latency interrupts and their credits, and the delay after an RSC completion
//! (GPIE.RSC_DELAY). EITR counts as on a link of 1 Gbit/s and more.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::device::Device;
use super::regs::RegFile;
use crate::error::Result;
use crate::poll::Event;

mod line;
mod state;
mod timer;

pub(super) use line::SimLine;
use state::State;

/// Where the interrupts of a served NIC go.
///
/// Called with or without locks of the model held: it must neither block nor call the NIC.
pub trait InterruptSink: fmt::Debug + Send + Sync {
    /// INTx is asserted, and the slot lets it through. The slot's mask has closed.
    fn intx(&self);

    /// An MSI, by its number, or a vector of MSI-X.
    fn message(&self, vector: u16);
}

/// How the slot has enabled interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterruptMode {
    /// The line.
    Intx,
    /// So many messages.
    Msi {
        /// 1 to 32.
        vectors: u16,
    },
    /// So many vectors.
    Msix {
        /// 1 to 2,048.
        vectors: u16,
    },
}

/// Vectors that the chip with most of them has.
pub(super) const VECTORS: usize = 64;

/// Where bit 0 of the causes that are not vectors is among [`Signals::active`].
pub(super) const OTHER: u32 = 64;

/// What happens in the model that may be an interrupt cause; queues have theirs besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The link has come or gone.
    Link,
    /// A packet did not fit into the receive FIFO.
    Missed,
    /// The TCP timer is over.
    Timer,
    /// A packet that was sent has got its time stamp.
    Stamp,
    /// A software-definable pin that is an input has gone high.
    Pin(u8),
}

/// Causes that are not queues and share a vector, and that vector if they have one.
pub(super) type Route = (u128, Option<u8>);

/// What sets one chip's interrupts apart from another's.
///
/// All but the first two are asked with the lock held, and change registers directly.
pub(super) trait Signals {
    /// Something has happened: sets its cause. Only through
    /// [`change_causes`](Device::change_causes).
    fn raise(&self, regs: &RegFile, cause: Cause);

    /// Receive and transmit queues, one bit each, have written descriptors back: sets their
    /// causes. Only through [`change_causes`](Device::change_causes).
    fn written_back(&self, regs: &RegFile, rx: u128, tx: u128);

    /// Transmit queues whose write-back is a cause at all.
    fn tx_told(&self, regs: &RegFile) -> u128;

    /// Causes that are set and unmasked. Bits from 0 are vectors or what stands in their place,
    /// bits from [`OTHER`] all others.
    fn active(&self, regs: &RegFile) -> u128;

    /// Carries causes that have just become active on to others. Returns whether it did.
    fn latch(&self, _regs: &RegFile, _rising: u128) -> bool {
        false
    }

    /// Whether causes have vectors of their own, if the slot has them.
    fn vectored(&self, regs: &RegFile) -> bool;

    /// Where causes go that are not vectors.
    fn routes(&self, regs: &RegFile) -> [Route; 2];

    /// A vector's shortest interval between interrupts.
    fn throttle(&self, regs: &RegFile, vector: u8) -> Duration;

    /// The message of a vector was sent for these active causes.
    fn sent(&self, regs: &RegFile, causes: u128);
}

/// One NIC's interrupts.
#[derive(Debug)]
pub(super) struct Interrupts {
    /// Made for the first who wants to wait for the line in this process.
    event: OnceLock<Arc<Event>>,
    /// Somebody hears.
    heard: AtomicBool,
    /// When the next thing is due, in nanoseconds of the NIC's clock; all ones for never.
    due: AtomicU64,
    state: Mutex<State>,
}

impl Default for Interrupts {
    fn default() -> Self {
        Self {
            event: OnceLock::new(),
            heard: AtomicBool::new(false),
            due: AtomicU64::new(u64::MAX),
            state: Mutex::default(),
        }
    }
}

impl Interrupts {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something is due.
    #[inline]
    pub(super) fn is_due(&self, now: impl FnOnce() -> Duration) -> bool {
        let due = self.due.load(Ordering::Relaxed);
        due != u64::MAX && u128::from(due) <= now().as_nanos()
    }

    /// How long until something is.
    pub(super) fn next_due(&self, now: Duration) -> Option<Duration> {
        let due = self.due.load(Ordering::Relaxed);
        (due != u64::MAX).then(|| Duration::from_nanos(due).saturating_sub(now))
    }
}

impl Device {
    /// Changes interrupt causes or masks. Every such change goes through here, software's and the
    /// model's own, with or without the engine locked.
    pub(super) fn change_causes<R>(&self, change: impl FnOnce(&RegFile) -> R) -> R {
        self.change_causes_urgently(false, change)
    }

    /// The same, and what rises is not throttled if it is `urgent`.
    pub(super) fn change_causes_urgently<R>(
        &self,
        urgent: bool,
        change: impl FnOnce(&RegFile) -> R,
    ) -> R {
        if !self.irq.heard.load(Ordering::Acquire) {
            let result = change(&self.regs);
            // One thread sets a cause and looks whether it is heard, another begins to hear and
            // looks at the causes: at least one of them must see both.
            fence(Ordering::SeqCst);
            if self.irq.heard.load(Ordering::Relaxed) {
                self.tell(&mut self.irq.lock(), urgent);
            }
            return result;
        }
        let mut state = self.irq.lock();
        let result = change(&self.regs);
        self.tell(&mut state, urgent);
        result
    }

    /// Tells what has risen and is due.
    fn tell(&self, state: &mut State, urgent: bool) {
        if self.irq.heard.load(Ordering::Relaxed) {
            let event = self.irq.event.get().map(Arc::as_ref);
            state.tell(self.chip, &self.regs, &|| self.clock.now(), event, urgent);
        }
        let due = state.due().map_or(u64::MAX, |due| due.as_nanos().try_into().unwrap_or(u64::MAX));
        self.irq.due.store(due, Ordering::Relaxed);
    }

    /// Everything as after a reset of the function, the registers included; the slot has not
    /// changed.
    pub(super) fn reset_causes(&self) {
        let mut state = self.irq.lock();
        self.regs.reset();
        state.reset();
        self.tell(&mut state, false);
    }

    /// Something has happened that may be a cause.
    pub(super) fn raise(&self, cause: Cause) {
        self.change_causes(|regs| self.chip.raise(regs, cause));
    }

    /// Tells what has become due.
    #[inline]
    pub(super) fn tell_due(&self) {
        if self.irq.is_due(|| self.clock.now()) {
            self.tell_late();
        }
    }

    #[cold]
    fn tell_late(&self) {
        let mut state = self.irq.lock();
        if state.timer.expire(self.clock.now()) {
            self.chip.raise(&self.regs, Cause::Timer);
        }
        self.tell(&mut state, false);
    }

    /// TCPTIMER, which is at `offset`.
    pub(super) fn write_tcp_timer(&self, offset: u32, value: u32) {
        let mut state = self.irq.lock();
        let (stored, finished) = state.timer.write(value, self.clock.now());
        self.regs.poke(offset, stored);
        if finished {
            self.chip.raise(&self.regs, Cause::Timer);
        }
        self.tell(&mut state, false);
    }

    /// How long a vector's throttle still holds.
    pub(super) fn throttle_left(&self, vector: u8) -> Duration {
        self.irq.lock().throttle_left(vector, self.clock.now())
    }

    /// Software has changed a vector's throttle; it holds for so long, if that was written, too.
    pub(super) fn set_throttle(&self, offset: u32, value: u32, holds: Option<(u8, Duration)>) {
        let mut state = self.irq.lock();
        self.regs.poke(offset, value);
        if let Some((vector, left)) = holds {
            state.hold_throttle(vector, left, self.clock.now());
        }
        self.tell(&mut state, false);
    }

    /// Where interrupts go from now on. When this returns, the old one hears nothing any more.
    pub(super) fn connect_interrupts(&self, sink: Option<Arc<dyn InterruptSink>>) {
        let mut state = self.irq.lock();
        let heard = sink.is_some() || self.irq.event.get().is_some();
        state.connect(sink);
        self.irq.heard.store(heard, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.tell(&mut state, false);
    }

    /// What the line raises for a waiter in this process.
    fn line_event(&self) -> Result<Arc<Event>> {
        let event = match self.irq.event.get() {
            Some(event) => Arc::clone(event),
            None => {
                let new = Arc::new(Event::new()?);
                Arc::clone(self.irq.event.get_or_init(|| new))
            }
        };
        let _state = self.irq.lock();
        self.irq.heard.store(true, Ordering::Relaxed);
        Ok(event)
    }

    /// The mode that the slot has enabled. What is pending is told anew.
    pub(super) fn set_interrupt_mode(&self, mode: InterruptMode) {
        let mut state = self.irq.lock();
        state.set_mode(mode);
        self.tell(&mut state, false);
    }

    /// PCI Command bit 10, or the kernel's own mask.
    pub(super) fn mask_intx(&self, masked: bool) {
        let mut state = self.irq.lock();
        state.masked = masked;
        self.tell(&mut state, false);
    }

    /// Whether the line is asserted, masked by the slot or not (PCI Status bit 3).
    pub(super) fn asserts_intx(&self) -> bool {
        let state = self.irq.lock();
        if self.irq.heard.load(Ordering::Relaxed) {
            state.asserts()
        } else {
            self.chip.active(&self.regs) != 0
        }
    }

    /// No register answers any more, and whoever waits for an interrupt learns it.
    pub(super) fn vanish(&self) {
        self.gone.store(true, Ordering::Release);
        if let Some(event) = self.irq.event.get() {
            event.raise();
        }
        self.irq.lock().line_gone();
    }
}
