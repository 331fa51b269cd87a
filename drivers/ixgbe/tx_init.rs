//! Transmit initialisation (4.6.8), in the datasheet's order.

use super::regs::{
    DCA_TXCTRL, DMATXCTL, DTXMXSZRQ, HLREG0, MTQC, RTTBCNRC, RTTDCS, RTTDQSEL, RTTDT1C, RTTDT2C,
    RTTPCS, RTTPT2C, RTTUP2TC, TDBAH, TDBAL, TDH, TDLEN, TDT, TDWBAH, TDWBAL, TX_QUEUES, TXDCTL,
    TXPBSIZE, TXPBTHRESH,
};
use super::wait::modify;
use crate::drivers::intel::access;
use crate::error::Result;
use crate::mem::RingMem;
use crate::mmio::{Bar, Register};

/// Transmit queues without DCB and virtualisation: MTQC gives the one packet buffer 64 (8.2.3.9.15;
/// the other 64 exist only in the other modes).
pub(super) const MAX_QUEUES: u16 = 64;

/// KiB of transmit packet buffer.
const BUFFER_KIB: u32 = 160;
/// KiB that the longest frame may need.
const LONGEST_KIB: u32 = 10;

/// Descriptors are fetched when this many or fewer are left on chip...
const PTHRESH: u32 = 36;
/// ...and at least this many wait in memory.
const HTHRESH: u32 = 8;
/// Write back each completion at once: with report-status on some descriptors only, anything but
/// zero is forbidden (7.2.3.4.1).
const WTHRESH: u32 = 0;

/// RTTPCS.ARBD without DCB (4.6.11.3.4).
const ARBD_NO_DCB: u32 = 0x224;

/// Everything that belongs to no queue.
pub(super) fn port<B: Bar>(bar: &B) {
    // 1. The MAC appends the CRC and pads short frames.
    modify::<HLREG0, B>(bar, 0, |r| r.with(HLREG0::TXCRCEN, 1).with(HLREG0::TXPADEN, 1));
    // 2. Still off; ordinary VLANs.
    modify::<DMATXCTL, B>(bar, 0, |r| r.with(DMATXCTL::TE, 0).with(DMATXCTL::GDV, 0));
    // 3. Sizes and queue mode, with the arbiter stopped (7.2.1.2.1).
    modify::<RTTDCS, B>(bar, 0, |r| r.with(RTTDCS::ARBDIS, 1));
    // The upper bits are reserved: keep them.
    modify::<DTXMXSZRQ, B>(bar, 0, |r| r.with(DTXMXSZRQ::MAX_BYTES_NUM_REQ, 0xfff));
    for n in 0..TXPBSIZE::META.count {
        let (size, threshold) =
            if n == 0 { (BUFFER_KIB, BUFFER_KIB - LONGEST_KIB) } else { (0, 0) };
        TXPBSIZE::default().with(TXPBSIZE::SIZE, size).write_at(bar, n);
        TXPBTHRESH::default().with(TXPBTHRESH::THRESH, threshold).write_at(bar, n);
    }
    MTQC(0).write(bar);
    // 4. No credits, no rate limits (4.6.11.3.4: reset all arbiters); per-queue values are behind
    //    a selector and have no defined content after power-up.
    for q in 0..TX_QUEUES {
        RTTDQSEL(q).write(bar);
        RTTDT1C(0).write(bar);
        RTTBCNRC(0).write(bar);
    }
    RTTDQSEL(0).write(bar);
    for n in 0..RTTDT2C::META.count {
        RTTDT2C(0).write_at(bar, n);
        RTTPT2C(0).write_at(bar, n);
    }
    RTTUP2TC(0).write(bar);
    modify::<RTTPCS, B>(bar, 0, |r| {
        r.with(RTTPCS::TPPAC, 0).with(RTTPCS::TPRM, 0).with(RTTPCS::ARBD, ARBD_NO_DCB)
    });
    // 5. Arbiter on, plain round robin.
    modify::<RTTDCS, B>(bar, 0, |r| {
        r.with(RTTDCS::TDPAC, 0)
            .with(RTTDCS::VMPAC, 0)
            .with(RTTDCS::TDRM, 0)
            .with(RTTDCS::ARBDIS, 0)
    });
}

/// Programs one queue; it stays disabled.
pub(super) fn queue<B: Bar>(bar: &B, n: u32, ring: &RingMem) {
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
    modify::<DCA_TXCTRL, B>(bar, n, |r| r.with(DCA_TXCTRL::DESC_WB_RO, 0));
    modify::<TXDCTL, B>(bar, n, |r| {
        r.with(TXDCTL::PTHRESH, PTHRESH)
            .with(TXDCTL::HTHRESH, HTHRESH)
            .with(TXDCTL::WTHRESH, WTHRESH)
    });
}

/// Switches the transmit DMA on; before any queue is enabled.
pub(super) fn enable<B: Bar>(bar: &B) {
    modify::<DMATXCTL, B>(bar, 0, |r| r.with(DMATXCTL::TE, 1));
}

/// Enables one queue and waits until it reads back; only then may TDT be written.
///
/// # Errors
/// [`Error::Timeout`](crate::Error::Timeout), [`Error::Gone`](crate::Error::Gone).
pub(super) fn enable_queue<B: Bar>(bar: &B, n: u32) -> Result<()> {
    access::enable_queue::<TXDCTL, B>(bar, n, TXDCTL::ENABLE)
}
