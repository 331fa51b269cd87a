//! Keeps memory out of circulation for as long as a device may do DMA to it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::pool::SlotFifo;

/// Shared between a port's control side and its queues. Queues are the application's and may be
/// dropped at any time; the buffers that the device still has go into custody here until the
/// control side knows that it is quiet.
#[derive(Debug, Default)]
pub(crate) struct Lifeline {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    custody: Vec<SlotFifo>,
}

impl Lifeline {
    /// For a device that is about to be enabled.
    pub(crate) fn running() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { running: true, custody: Vec::new() }) })
    }

    /// A queue's last will: its buffers are freed if the device is quiet, else kept.
    pub(crate) fn surrender(&self, slots: SlotFifo) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.running {
            state.custody.push(slots);
        }
    }

    /// The device is quiet: frees what is in custody.
    pub(crate) fn quiet(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running = false;
        state.custody.clear();
    }

    /// Whether the device may still do DMA.
    pub(crate) fn is_running(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).running
    }
}
