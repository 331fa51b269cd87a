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
use crate::drivers::intel::{Counters, Sums};
use crate::error::Result;
use crate::mmio::{Access, Bar, Register};

/// Counter slots per direction.
const SLOTS: u32 = 16;

/// The four low bits of a byte pair's high half.
const HIGH: u32 = 0xf;

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

/// Adds what they say since the last time.
///
/// # Errors
/// [`Error::Gone`](crate::Error::Gone), and nothing was added.
pub(super) fn count<B: Bar>(bar: &B, counters: &mut Counters) -> Result<()> {
    counters.update(|| check_alive(bar), |c| read(bar, c))
}

fn read<B: Bar>(bar: &B, c: &mut Counters) -> Sums {
    let mut delta = Sums::default();
    for n in 0..SLOTS {
        delta.rx_packets += c.take::<QPRC, B>(bar, n);
        delta.rx_no_descriptor += c.take::<QPRDC, B>(bar, n);
        delta.rx_bytes += c.take_pair::<QBRC_L, QBRC_H, B>(bar, n, HIGH);
    }
    for n in 0..MPC::META.count {
        delta.rx_missed += c.take::<MPC, B>(bar, n);
    }
    delta.rx_crc_errors = c.take::<CRCERRS, B>(bar, 0) + c.take::<ILLERRC, B>(bar, 0);
    delta.rx_length_errors = c.take::<RLEC, B>(bar, 0)
        + c.take::<RUC, B>(bar, 0)
        + c.take::<RFC, B>(bar, 0)
        + c.take::<ROC, B>(bar, 0)
        + c.take::<RJC, B>(bar, 0);
    delta.pause_rx = c.take::<LXONRXCNT, B>(bar, 0) + c.take::<LXOFFRXCNT, B>(bar, 0);
    delta.pause_tx = c.take::<LXONTXC, B>(bar, 0) + c.take::<LXOFFTXC, B>(bar, 0);
    delta.tx_packets = c.take::<GPTC, B>(bar, 0);
    delta.tx_bytes = c.take_pair::<GOTCL, GOTCH, B>(bar, 0, HIGH);
    delta
}
