//! Transmit initialisation (4.5), in the datasheet's order.

use super::regs::{TCTL, TDBAH, TDBAL, TDH, TDLEN, TDT, TDWBAH, TDWBAL, TXCTL, TXDCTL};
use super::wait::modify;
use crate::drivers::intel::access;
use crate::error::Result;
use crate::mem::RingMem;
use crate::mmio::{Bar, Register};

/// Attempts after a collision, as 802.3 has it; for half duplex.
const COLLISIONS: u32 = 15;

/// Descriptors are fetched when this many or fewer are left on chip...
const PTHRESH: u32 = 8;
/// ...and at least this many wait in memory.
const HTHRESH: u32 = 1;
/// Write back each completion at once, and only those that were asked for (8.12: with zero, only
/// descriptors with report-status are written back).
const WTHRESH: u32 = 0;

/// Everything that belongs to no queue. Still off; the MAC pads short frames.
pub(super) fn port<B: Bar>(bar: &B) {
    modify::<TCTL, B>(bar, 0, |r| {
        r.with(TCTL::TXEN, 0).with(TCTL::PSP, 1).with(TCTL::CT, COLLISIONS).with(TCTL::RTLC, 1)
    });
}

/// Programs one queue; it stays disabled.
pub(super) fn queue<B: Bar>(bar: &B, n: u32, ring: &RingMem) {
    // Queue 0 is enabled by every reset; base and length are for a queue that is off.
    modify::<TXDCTL, B>(bar, n, |r| {
        r.with(TXDCTL::ENABLE, 0)
            .with(TXDCTL::PTHRESH, PTHRESH)
            .with(TXDCTL::HTHRESH, HTHRESH)
            .with(TXDCTL::WTHRESH, WTHRESH)
    });
    let iova = ring.iova().0;
    TDBAL(iova as u32).write_at(bar, n);
    TDBAH((iova >> 32) as u32).write_at(bar, n);
    TDLEN(ring.descriptors().len() as u32 * 16).write_at(bar, n);
    TDH(0).write_at(bar, n);
    TDT(0).write_at(bar, n);
    // No head write-back: completion is the DD bit.
    TDWBAL(0).write_at(bar, n);
    TDWBAH(0).write_at(bar, n);
    // Completions must not overtake each other.
    modify::<TXCTL, B>(bar, n, |r| r.with(TXCTL::DESC_WB_RO, 0));
}

/// Switches transmission on.
pub(super) fn enable<B: Bar>(bar: &B) {
    modify::<TCTL, B>(bar, 0, |r| r.with(TCTL::TXEN, 1));
}

/// Enables one queue and waits until it reads back; only then may TDT be written.
///
/// # Errors
/// [`Error::Timeout`](crate::Error::Timeout), [`Error::Gone`](crate::Error::Gone).
pub(super) fn enable_queue<B: Bar>(bar: &B, n: u32) -> Result<()> {
    access::enable_queue::<TXDCTL, B>(bar, n, TXDCTL::ENABLE)
}
