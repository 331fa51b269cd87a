//! What a port, its queues and its interrupt share for as long as one start lasts: whether the
//! device may still be touched, and the memory that it may still write.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::pool::SlotFifo;

/// Shared between a port's control side, its queues and its interrupt. Queues are the
/// application's and may be dropped at any time; the buffers that the device still has go into
/// custody here until the control side knows that it is quiet.
#[derive(Debug, Default)]
pub(crate) struct Lifeline {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    /// The stop has begun: nobody unmasks an interrupt behind its back.
    closing: bool,
    /// Somebody holds the interrupt.
    heard: bool,
    custody: Vec<SlotFifo>,
}

impl Lifeline {
    /// For a device that is about to be enabled.
    pub(crate) fn running() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { running: true, ..State::default() }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A queue's last will: its buffers are freed if the device is quiet, else kept.
    pub(crate) fn surrender(&self, slots: SlotFifo) {
        let mut state = self.state();
        if state.running {
            state.custody.push(slots);
        }
    }

    /// The device is about to be stopped. When this returns, nobody is inside
    /// [`while_open`](Self::while_open) and nobody comes in any more.
    pub(crate) fn close(&self) {
        self.state().closing = true;
    }

    /// The device is quiet: frees what is in custody.
    pub(crate) fn quiet(&self) {
        let mut state = self.state();
        state.running = false;
        state.custody.clear();
    }

    /// Whether the device may still do DMA.
    pub(crate) fn is_running(&self) -> bool {
        self.state().running
    }

    /// Does something to the device unless its stop has begun, which waits for the end of it.
    pub(crate) fn while_open<T>(&self, f: impl FnOnce() -> T) -> Option<T> {
        let state = self.state();
        (state.running && !state.closing).then(f)
    }

    /// Takes the interrupt, of which there is one. False when somebody has it.
    pub(crate) fn claim_interrupt(&self) -> bool {
        !std::mem::replace(&mut self.state().heard, true)
    }

    /// Gives it back.
    pub(crate) fn release_interrupt(&self) {
        self.state().heard = false;
    }
}
