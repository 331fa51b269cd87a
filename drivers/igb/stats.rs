//! Hardware counters, added up (8.19).
//!
//! They clear on read and stick at their maximum. Four things that their names do not say:
//! - GPRC is counted in the MAC, behind the filters and the FIFO, so it leaves out what MPC counts
//!   and has what a queue without descriptors drops afterwards (RQDPC). Of those no counter tells
//!   the bytes, so received bytes have them in.
//! - GPTC and GOTC leave the MAC's own pause frames out.
//! - GORC and GOTC have the CRC in.
//! - RLEC counts every frame that is too short or too long, so it has in what RUC, RFC, ROC and RJC
//!   tell apart; the 82599's register of that name counts something else.

use super::ids::Family;
use super::regs::{
    ALGNERRC, CRCERRS, GORCH, GORCL, GOTCH, GOTCL, GPRC, GPTC, MPC, RFC, RJC, ROC, RQDPC, RUC,
    RXERRC, SCVPC, STATS, XOFFRXC, XOFFTXC, XONRXC, XONTXC,
};
use super::wait::check_alive;
use crate::drivers::intel::{Counters, Sums};
use crate::error::Result;
use crate::mmio::{Access, Bar, Register};

/// Byte counters have 64 bits in a pair.
const HIGH: u32 = u32::MAX;
/// Bytes of the CRC.
const CRC: u64 = 4;
/// Bytes of a pause frame with CRC.
const PAUSE_BYTES: u64 = 64;

/// Reads every clear-on-read counter away.
pub(super) fn clear<B: Bar>(bar: &B, family: Family) {
    let read = |r: &&crate::mmio::RegMeta| {
        // Not to be read on a copper port, and nothing here adds it up.
        r.access == Access::Rc && r.name != SCVPC::META.name
    };
    for counter in STATS.iter().filter(read) {
        for n in 0..counter.count {
            bar.read32(counter.offset_of(n));
        }
    }
    for n in 0..u32::from(family.queues()) {
        dropped(bar, family, n);
    }
}

/// Adds what they say since the last time.
///
/// # Errors
/// [`Error::Gone`](crate::Error::Gone), and nothing was added.
pub(super) fn count<B: Bar>(bar: &B, family: Family, counters: &mut Counters) -> Result<()> {
    counters.update(|| check_alive(bar), |c| read(bar, family, c))
}

/// Takes one queue's drop counter, and says whether it got stuck. It has 12 bits on the 82576 and
/// up to 32 on later chips; those of I210 and I211 do not clear on read.
fn dropped<B: Bar>(bar: &B, family: Family, n: u32) -> (u64, bool) {
    let raw = RQDPC::read_at(bar, n);
    if family.is_i21x() {
        RQDPC(0).write_at(bar, n);
    }
    let count = if family.is_later() { raw.raw() } else { raw.get(RQDPC::COUNT) };
    (count.into(), count == u32::MAX || (!family.is_i21x() && count == RQDPC::COUNT.mask()))
}

fn read<B: Bar>(bar: &B, family: Family, c: &mut Counters) -> Sums {
    let mut delta = Sums::default();
    // Drops first: what they count, GPRC has counted before.
    for n in 0..u32::from(family.queues()) {
        let (count, stuck) = dropped(bar, family, n);
        c.note(stuck, RQDPC::META.name);
        delta.rx_no_descriptor += count;
    }
    delta.rx_dropped_later = delta.rx_no_descriptor;
    delta.rx_packets = c.take::<GPRC, B>(bar, 0);
    let octets = c.take_pair::<GORCL, GORCH, B>(bar, 0, HIGH);
    delta.rx_bytes = octets.saturating_sub(delta.rx_packets * CRC);
    delta.rx_missed = c.take::<MPC, B>(bar, 0);
    delta.rx_crc_errors =
        c.take::<CRCERRS, B>(bar, 0) + c.take::<ALGNERRC, B>(bar, 0) + c.take::<RXERRC, B>(bar, 0);
    delta.rx_length_errors = c.take::<RUC, B>(bar, 0)
        + c.take::<RFC, B>(bar, 0)
        + c.take::<ROC, B>(bar, 0)
        + c.take::<RJC, B>(bar, 0);
    delta.pause_rx = c.take::<XONRXC, B>(bar, 0) + c.take::<XOFFRXC, B>(bar, 0);
    delta.pause_tx = c.take::<XONTXC, B>(bar, 0) + c.take::<XOFFTXC, B>(bar, 0);
    // The sums have pause frames in, as the other family's counters do.
    delta.tx_packets = c.take::<GPTC, B>(bar, 0) + delta.pause_tx;
    delta.tx_bytes =
        c.take_pair::<GOTCL, GOTCH, B>(bar, 0, HIGH).saturating_add(delta.pause_tx * PAUSE_BYTES);
    delta
}
