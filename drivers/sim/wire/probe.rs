//! The wire that a test holds the other end of.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Sent, Wire};

#[derive(Debug, Default)]
struct State {
    to_nic: VecDeque<Vec<u8>>,
    from_nic: Vec<Vec<u8>>,
    /// Frames that the far end still takes; `None`: any number.
    credit: Option<usize>,
    missed: u64,
}

/// The other end of a [`ProbeWire`]. Clones name the same one.
#[derive(Debug, Clone, Default)]
pub struct Probe(Arc<Mutex<State>>);

/// A wire that keeps what is sent and delivers what it is given.
#[derive(Debug, Clone, Default)]
pub struct ProbeWire(Probe);

impl Probe {
    /// The NIC's end.
    pub fn wire(&self) -> ProbeWire {
        ProbeWire(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a frame on the wire to the NIC.
    pub fn inject(&self, frame: &[u8]) {
        self.state().to_nic.push_back(frame.to_vec());
    }

    /// Loses `n` frames in the NIC's FIFO.
    pub fn miss(&self, n: u64) {
        self.state().missed += n;
    }

    /// What the NIC has sent since the last call.
    pub fn take_sent(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.state().from_nic)
    }

    /// Takes only so many more frames, then holds the NIC back; `None` lifts that.
    pub fn limit(&self, frames: Option<usize>) {
        self.state().credit = frames;
    }

    /// Frames that the NIC has not taken yet.
    pub fn waiting(&self) -> usize {
        self.state().to_nic.len()
    }
}

impl Wire for ProbeWire {
    fn send(&mut self, frame: &[u8], _: Duration, _: bool) -> Sent {
        let mut state = self.0.state();
        match &mut state.credit {
            Some(0) => return Sent::Wait,
            Some(n) => *n -= 1,
            None => {}
        }
        state.from_nic.push(frame.to_vec());
        Sent::Yes
    }

    fn recv(&mut self, _: Duration, max: usize, sink: &mut dyn FnMut(&[u8]) -> bool) -> usize {
        let mut state = self.0.state();
        let mut taken = 0;
        while taken < max {
            match state.to_nic.front() {
                Some(frame) if sink(frame) => {}
                _ => break,
            }
            state.to_nic.pop_front();
            taken += 1;
        }
        taken
    }

    fn take_missed(&mut self) -> u64 {
        std::mem::take(&mut self.0.state().missed)
    }
}
