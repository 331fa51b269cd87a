//! Hardware counters, added up. They clear on read and stick at their maximum on both families.

use crate::error::Result;
use crate::mmio::{Bar, Register};
use crate::port::PortStats;

/// Bytes of a pause frame without CRC.
const PAUSE_BYTES: u64 = 60;
/// Bytes of the CRC.
const CRC: u64 = 4;

/// Sums since the start, and which counters got stuck meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    sum: Sums,
    saturated: Vec<&'static str>,
}

/// What one look at the counters brought.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    /// Good frames that the MAC passed on to a queue.
    pub(crate) rx_packets: u64,
    /// Of those, what a queue without descriptors then dropped, where the counter above has it in.
    pub(crate) rx_dropped_later: u64,
    /// Bytes of good frames without CRC.
    pub(crate) rx_bytes: u64,
    /// As in [`PortStats`].
    pub(crate) rx_crc_errors: u64,
    /// As in [`PortStats`].
    pub(crate) rx_length_errors: u64,
    /// As in [`PortStats`].
    pub(crate) rx_missed: u64,
    /// As in [`PortStats`].
    pub(crate) rx_no_descriptor: u64,
    /// Good frames sent; pause frames are among them.
    pub(crate) tx_packets: u64,
    /// Their bytes with CRC.
    pub(crate) tx_bytes: u64,
    /// As in [`PortStats`].
    pub(crate) pause_tx: u64,
    /// As in [`PortStats`].
    pub(crate) pause_rx: u64,
}

impl Counters {
    /// Reads counters by `read` and adds them.
    ///
    /// # Errors
    /// What `alive` says before and after; nothing is added then, because a device that vanished
    /// half-way has read as all ones.
    pub(crate) fn update(
        &mut self,
        alive: impl Fn() -> Result<()>,
        read: impl FnOnce(&mut Self) -> Sums,
    ) -> Result<()> {
        alive()?;
        let mut next = self.clone();
        let delta = read(&mut next);
        alive()?;
        next.sum.add(&delta);
        *self = next;
        Ok(())
    }

    /// One 32-bit counter.
    pub(crate) fn take<R: Register, B: Bar>(&mut self, bar: &B, n: u32) -> u64 {
        let raw = R::read_at(bar, n).raw();
        self.note(raw == u32::MAX, R::META.name);
        u64::from(raw)
    }

    /// One pair with `high` as the valid bits of its high half; the low half first, the high half
    /// clears both.
    pub(crate) fn take_pair<L: Register, H: Register, B: Bar>(
        &mut self,
        bar: &B,
        n: u32,
        high: u32,
    ) -> u64 {
        let low = L::read_at(bar, n).raw();
        let upper = H::read_at(bar, n).raw() & high;
        self.note(low == u32::MAX && upper == high, L::META.name);
        u64::from(upper) << 32 | u64::from(low)
    }

    /// Remembers that a counter reached its maximum.
    pub(crate) fn note(&mut self, stuck: bool, name: &'static str) {
        if stuck && !self.saturated.contains(&name) {
            self.saturated.push(name);
        }
    }

    /// What the sums say.
    pub(crate) fn report(&self) -> PortStats {
        let s = &self.sum;
        PortStats {
            // Subtracted from the sums: a frame may be counted before one look and dropped after.
            rx_packets: s.rx_packets.saturating_sub(s.rx_dropped_later),
            rx_bytes: s.rx_bytes,
            // A sum that was cut short by saturation must not wrap below zero.
            tx_packets: s.tx_packets.saturating_sub(s.pause_tx),
            tx_bytes: s.tx_bytes.saturating_sub(s.tx_packets * CRC + s.pause_tx * PAUSE_BYTES),
            rx_crc_errors: s.rx_crc_errors,
            rx_length_errors: s.rx_length_errors,
            rx_missed: s.rx_missed,
            rx_no_descriptor: s.rx_no_descriptor,
            // Not told by any counter that is trusted to be exact on hardware.
            rx_filtered: 0,
            pause_tx: s.pause_tx,
            pause_rx: s.pause_rx,
            saturated: self.saturated.clone(),
        }
    }
}

impl Sums {
    fn add(&mut self, d: &Self) {
        self.rx_packets += d.rx_packets;
        self.rx_dropped_later += d.rx_dropped_later;
        self.rx_bytes += d.rx_bytes;
        self.rx_crc_errors += d.rx_crc_errors;
        self.rx_length_errors += d.rx_length_errors;
        self.rx_missed += d.rx_missed;
        self.rx_no_descriptor += d.rx_no_descriptor;
        self.tx_packets += d.tx_packets;
        self.tx_bytes += d.tx_bytes;
        self.pause_tx += d.pause_tx;
        self.pause_rx += d.pause_rx;
    }
}
