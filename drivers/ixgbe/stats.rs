//! Hardware counters, added up (4.6.5, 8.2.3.23).
//!
//! They clear on read and stick at their maximum, 2^32 - 1, or 2^36 - 1 for byte pairs. Three of
//! them do not mean what their names say:
//! - GPRC also counts frames that MPC counts as missed, so received frames are the sum of QPRC;
//!   that is why every queue is mapped to a counter slot.
//! - GPTC and GOTC also count the pause frames that the MAC sends (64 bytes each).
//! - QBRC leaves the CRC out when it is stripped, as it always is here; GOTC has it in.

use super::regs::{
    CRCERRS, GOTCH, GOTCL, GPTC, ILLERRC, LXOFFRXCNT, LXOFFTXC, LXONRXCNT, LXONTXC, MPC, QBRC_H,
    QBRC_L, QPRC, QPRDC, RFC, RJC, RLEC, ROC, RQSMR, RUC, STATS, TQSM,
};
use super::wait::check_alive;
use crate::error::Result;
use crate::mmio::{Access, Bar, Register};
use crate::port::PortStats;

/// Counter slots per direction.
const SLOTS: u32 = 16;

/// The four low bits of a byte pair's high half.
const HIGH: u32 = 0xf;

/// Bytes of a pause frame without CRC.
const PAUSE_BYTES: u64 = 60;
/// Bytes of the CRC.
const CRC: u64 = 4;

/// Sums since the start.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    sum: Sums,
    saturated: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    rx_packets: u64,
    rx_bytes: u64,
    rx_crc_errors: u64,
    rx_length_errors: u64,
    rx_missed: u64,
    rx_no_descriptor: u64,
    tx_packets: u64,
    tx_bytes: u64,
    pause_tx: u64,
    pause_rx: u64,
}

/// Maps queue `q` to slot `q` modulo 16: receive queues, of which there are 16 at most, have a
/// slot each; transmit queues share.
pub(super) fn map_queues<B: Bar>(bar: &B) {
    for n in 0..RQSMR::META.count {
        // Four queues a register, in byte lanes.
        let base = (n * 4) % SLOTS;
        let lanes = base | (base + 1) << 8 | (base + 2) << 16 | (base + 3) << 24;
        RQSMR(lanes).write_at(bar, n);
        TQSM(lanes).write_at(bar, n);
    }
}

/// Reads every clear-on-read counter away (4.6.5).
pub(super) fn clear<B: Bar>(bar: &B) {
    for counter in STATS.iter().filter(|r| r.access == Access::Rc) {
        for n in 0..counter.count {
            bar.read32(counter.offset_of(n));
        }
    }
}

impl Counters {
    /// Reads the counters and adds them.
    ///
    /// # Errors
    /// [`Error::Gone`](crate::Error::Gone); nothing is added then, because a device that
    /// vanished half-way has read as all ones.
    pub(super) fn update<B: Bar>(&mut self, bar: &B) -> Result<()> {
        check_alive(bar)?;
        let mut next = self.clone();
        next.read(bar);
        check_alive(bar)?;
        *self = next;
        Ok(())
    }

    fn read<B: Bar>(&mut self, bar: &B) {
        let mut delta = Sums::default();
        for n in 0..SLOTS {
            delta.rx_packets += self.take::<QPRC, B>(bar, n);
            delta.rx_no_descriptor += self.take::<QPRDC, B>(bar, n);
            delta.rx_bytes += self.take_pair::<QBRC_L, QBRC_H, B>(bar, n);
        }
        for n in 0..MPC::META.count {
            delta.rx_missed += self.take::<MPC, B>(bar, n);
        }
        delta.rx_crc_errors = self.take::<CRCERRS, B>(bar, 0) + self.take::<ILLERRC, B>(bar, 0);
        delta.rx_length_errors = self.take::<RLEC, B>(bar, 0)
            + self.take::<RUC, B>(bar, 0)
            + self.take::<RFC, B>(bar, 0)
            + self.take::<ROC, B>(bar, 0)
            + self.take::<RJC, B>(bar, 0);
        delta.pause_rx = self.take::<LXONRXCNT, B>(bar, 0) + self.take::<LXOFFRXCNT, B>(bar, 0);
        delta.pause_tx = self.take::<LXONTXC, B>(bar, 0) + self.take::<LXOFFTXC, B>(bar, 0);
        delta.tx_packets = self.take::<GPTC, B>(bar, 0);
        delta.tx_bytes = self.take_pair::<GOTCL, GOTCH, B>(bar, 0);
        self.sum.add(&delta);
    }

    /// One 32-bit counter.
    fn take<R: Register, B: Bar>(&mut self, bar: &B, n: u32) -> u64 {
        let raw = R::read_at(bar, n).raw();
        self.note(raw == u32::MAX, R::META.name);
        u64::from(raw)
    }

    /// One 36-bit pair; the low half first, the high half clears both.
    fn take_pair<L: Register, H: Register, B: Bar>(&mut self, bar: &B, n: u32) -> u64 {
        let low = L::read_at(bar, n).raw();
        let high = H::read_at(bar, n).raw() & HIGH;
        self.note(low == u32::MAX && high == HIGH, L::META.name);
        u64::from(high) << 32 | u64::from(low)
    }

    fn note(&mut self, stuck: bool, name: &'static str) {
        if stuck && !self.saturated.contains(&name) {
            self.saturated.push(name);
        }
    }

    /// What the sums say.
    pub(super) fn report(&self) -> PortStats {
        let s = &self.sum;
        PortStats {
            rx_packets: s.rx_packets,
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
