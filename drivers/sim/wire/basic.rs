//! The wires with nothing behind them.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Sent, Wire};

/// Nothing plugged in: no link.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoWire;

impl Wire for NoWire {
    fn minds_time(&self) -> bool {
        false
    }

    fn send(&mut self, _: &[u8], _: Duration, _: bool) -> Sent {
        Sent::Wait
    }
    fn recv(&mut self, _: Duration, _: usize, _: &mut dyn FnMut(&[u8]) -> bool) -> usize {
        0
    }
    fn link_up(&self) -> bool {
        false
    }
}

/// Swallows everything, for measuring a transmitter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sink {
    frames: u64,
}

impl Wire for Sink {
    fn minds_time(&self) -> bool {
        false
    }

    fn send(&mut self, _: &[u8], _: Duration, _: bool) -> Sent {
        self.frames += 1;
        Sent::Yes
    }
    fn recv(&mut self, _: Duration, _: usize, _: &mut dyn FnMut(&[u8]) -> bool) -> usize {
        0
    }
}

/// Bytes of the loopback plug's FIFO; the 82599's receive packet buffer has 512 KiB.
const LOOP_BYTES: usize = 512 << 10;
/// Frames that fit, whatever their size.
const LOOP_FRAMES: usize = 4096;

/// A plug that leads the transmit pair back to the receive pair.
#[derive(Debug)]
pub struct Loopback {
    bytes: Box<[u8]>,
    /// Start and length of each frame, oldest first. No frame wraps around the end of `bytes`.
    frames: VecDeque<(usize, usize)>,
    /// Where the next frame goes.
    at: usize,
    missed: u64,
}

impl Loopback {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; LOOP_BYTES].into_boxed_slice(),
            frames: VecDeque::with_capacity(LOOP_FRAMES),
            at: 0,
            missed: 0,
        }
    }

    /// Where `len` bytes can go.
    fn place(&self, len: usize) -> Option<usize> {
        let Some((first, _)) = self.frames.front() else {
            return (len <= LOOP_BYTES).then_some(0);
        };
        if self.frames.len() == LOOP_FRAMES {
            return None;
        }
        if self.at > *first {
            if self.at + len <= LOOP_BYTES {
                return Some(self.at);
            }
            return (len < *first).then_some(0);
        }
        (self.at + len < *first).then_some(self.at)
    }
}

impl Default for Loopback {
    fn default() -> Self {
        Self::new()
    }
}

impl Wire for Loopback {
    fn minds_time(&self) -> bool {
        false
    }

    fn send(&mut self, frame: &[u8], _: Duration, obey_pause: bool) -> Sent {
        match self.place(frame.len()) {
            Some(at) => {
                self.bytes[at..at + frame.len()].copy_from_slice(frame);
                self.frames.push_back((at, frame.len()));
                self.at = at + frame.len();
                Sent::Yes
            }
            None if obey_pause => Sent::Wait,
            None => {
                self.missed += 1;
                Sent::Lost
            }
        }
    }

    fn recv(&mut self, _: Duration, max: usize, sink: &mut dyn FnMut(&[u8]) -> bool) -> usize {
        let mut taken = 0;
        while taken < max {
            let Some((at, len)) = self.frames.front() else { break };
            if !sink(&self.bytes[*at..*at + *len]) {
                break;
            }
            self.frames.pop_front();
            taken += 1;
        }
        taken
    }

    fn take_missed(&mut self) -> u64 {
        std::mem::take(&mut self.missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_keeps_order_and_bytes_and_counts_what_does_not_fit() {
        let mut wire = Loopback::new();
        let (mut sent, mut lost, mut back, mut seed) = (0u64, 0u64, 0u64, 1u64);
        let mut next = VecDeque::new();
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            if seed >> 63 == 0 {
                let len = 60 + (seed >> 40) as usize % 9000;
                let frame = vec![(seed >> 32) as u8; len];
                match wire.send(&frame, Duration::ZERO, false) {
                    Sent::Yes => {
                        next.push_back(frame);
                        sent += 1;
                    }
                    _ => lost += 1,
                }
            } else {
                back += wire.recv(Duration::ZERO, 2, &mut |f| {
                    assert_eq!(Some(f), next.pop_front().as_deref());
                    true
                }) as u64;
            }
        }
        assert!(sent > 5000 && sent == back + next.len() as u64);
        let mut full = Loopback::new();
        while full.send(&[0; 1000], Duration::ZERO, true) == Sent::Yes {}
        assert_eq!(full.send(&[0; 1000], Duration::ZERO, false), Sent::Lost);
        assert_eq!((full.take_missed(), full.take_missed()), (1, 0));
        assert_eq!(wire.take_missed(), lost);
        assert_eq!(full.recv(Duration::ZERO, 9, &mut |_| false), 0, "a refused frame stays");
    }
}
