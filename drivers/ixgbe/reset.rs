//! Bringing whatever runs to a halt, and the global reset (4.2.1.7, 4.6.3.1, 4.6.3.2, 4.6.7.1.2,
//! 5.2.5.3.2).

use super::ids::Family;
use super::irq;
use super::regs::{
    CTRL, CTRL_EXT, EEC, EEMNGCTL, GCR_EXT, HLREG0, MMNGC, RDRXCTL, RX_QUEUES, RXCTRL, RXDCTL,
    SECRXCTRL, SECRXSTAT, STATUS, TX_QUEUES, TXDCTL, rx_reg, x550,
};
use super::wait::{self, check_alive, modify};
use crate::drivers::intel::Halt;
use crate::drivers::intel::access::{disable_queues, reset_done};
use crate::drivers::intel::nvm::unusable;
use crate::error::{Error, Result};
use crate::mmio::{Bar, Register, wait_until};

/// Stops reception, both kinds of queues, and then all bus traffic.
pub(super) fn halt<B: Bar>(bar: &B) -> Halt {
    let mut halt = Halt::new();
    // 1. Mask interrupts (4.6.3.1).
    irq::mask_all(bar);
    if !halt.note(check_alive(bar)) {
        return halt;
    }
    // 2. No more frames into the chip.
    set_receive(bar, false);
    // 3. Queues off (4.6.7.1.2; the transmit side is symmetrical).
    halt.note(disable_rx_queues(bar));
    halt.note(disable_tx_queues(bar));
    bar.delay(wait::QUEUE_DRAIN);
    // 4. Master disable (5.2.5.3.2).
    halt.master_off = halt.note(disable_master(bar));
    halt
}

/// Clears or sets RXCTRL.RXEN while the receive path stands still (4.6.7: SECRXCTRL.RX_DIS, wait
/// for SECRX_RDY, change, release).
pub(super) fn set_receive<B: Bar>(bar: &B, on: bool) {
    hold_receive(bar);
    modify::<RXCTRL, B>(bar, 0, |r| r.with(RXCTRL::RXEN, on.into()));
    modify::<SECRXCTRL, B>(bar, 0, |r| r.with(SECRXCTRL::RX_DIS, 0));
}

/// Halts the receive path in front of the queues. When it does not report itself empty in time,
/// going on is safe: at most the frame in flight is lost.
fn hold_receive<B: Bar>(bar: &B) {
    modify::<SECRXCTRL, B>(bar, 0, |r| r.with(SECRXCTRL::RX_DIS, 1));
    let ready = |s: SECRXSTAT| s.has(SECRXSTAT::SECRX_RDY);
    if let Err(e) = wait_until::<SECRXSTAT, B>(bar, 0, wait::RX_HOLD, ready) {
        tracing::debug!(device = bar.name(), "receive path did not drain: {e}");
    }
}

fn disable_rx_queues<B: Bar>(bar: &B) -> Result<()> {
    let offsets = (0..RX_QUEUES).map(|q| rx_reg(&RXDCTL::META, q));
    disable_queues::<RXDCTL, B>(bar, offsets, RXDCTL::ENABLE.mask())
}

fn disable_tx_queues<B: Bar>(bar: &B) -> Result<()> {
    let offsets = (0..TX_QUEUES).map(|q| TXDCTL::META.offset_of(q));
    disable_queues::<TXDCTL, B>(bar, offsets, TXDCTL::ENABLE.mask())
}

/// 5.2.5.3.2. When requests stay pending the data path is flushed, so that a (double) reset is
/// safe, and the time-out is reported.
fn disable_master<B: Bar>(bar: &B) -> Result<()> {
    modify::<CTRL, B>(bar, 0, |r| r.with(CTRL::GIO_DIS, 1));
    let off = |s: STATUS| !s.has(STATUS::GIO_MASTER);
    let result = wait_until::<STATUS, B>(bar, 0, wait::MASTER, off);
    if let Err(Error::Timeout { .. }) = result {
        // a. Nothing leaves the chip any more, not even when pause or link-down end.
        modify::<HLREG0, B>(bar, 0, |r| r.with(HLREG0::LPBK, 1));
        modify::<RXCTRL, B>(bar, 0, |r| r.with(RXCTRL::RXEN, 0));
        // b. Flush.
        modify::<GCR_EXT, B>(bar, 0, |r| r.with(GCR_EXT::BUFFERS_CLEAR, 1));
        bar.delay(wait::FLUSH);
        // c. Back.
        modify::<HLREG0, B>(bar, 0, |r| r.with(HLREG0::LPBK, 0));
        modify::<GCR_EXT, B>(bar, 0, |r| r.with(GCR_EXT::BUFFERS_CLEAR, 0));
    }
    result.map(|_| ())
}

/// Resets the function (4.2.1.7, 4.6.3.2) and waits until it can be programmed.
///
/// `twice` is for a device that did not confirm the master disable (5.2.5.3.2).
///
/// # Errors
/// [`Error::Timeout`], [`Error::Gone`], or [`Error::Eeprom`] when the autoload found none.
pub(super) fn reset<B: Bar>(bar: &B, family: Family, twice: bool) -> Result<()> {
    // 1. LRST resets MAC and link, RST the rest of the function. Where a BMC uses the link
    //    (MMNGC), or firmware runs the PHY, the link is left alone.
    let keep_link = family != Family::I82599 || MMNGC::read(bar).has(MMNGC::MNG_VETO);
    let which = CTRL::default().with(CTRL::RST, 1).with(CTRL::LRST, u32::from(!keep_link));
    let write = || CTRL(CTRL::read(bar).raw() | which.raw()).write(bar);
    write();
    if twice {
        bar.delay(wait::BETWEEN_RESETS);
        write();
    }
    // 2. At least 1 ms of silence, then until the bits clear themselves.
    bar.delay(wait::AFTER_RESET);
    reset_done::<CTRL, B>(bar, which.raw())?;
    // 3. 10 ms for a smooth start (4.6.3.2), then mask interrupts again (4.6.3.1).
    bar.delay(wait::SETTLE);
    check_alive(bar)?;
    irq::mask_all(bar);
    // 4. EEPROM autoload (4.6.3, EEC.AUTO_RD). The bit is set without an EEPROM, too.
    let eec = if family == Family::X553 {
        let done = |r: x550::EEC_A| r.has(x550::EEC_A::AUTO_RD);
        EEC(wait_until::<x550::EEC_A, B>(bar, 0, wait::AUTOLOAD, done)?.raw())
    } else {
        wait_until::<EEC, B>(bar, 0, wait::AUTOLOAD, |r| r.has(EEC::AUTO_RD))?
    };
    if !eec.has(EEC::PRES) {
        return Err(unusable(bar, "the controller finds none with a valid signature (EEC.PRES)"));
    }
    // 5. Manageability has loaded this port's part. Boards without it may never say so.
    if family == Family::I82599 {
        let port = STATUS::read(bar).get(STATUS::LAN_ID) & 1;
        let bit = if port == 0 { EEMNGCTL::CFG_DONE0 } else { EEMNGCTL::CFG_DONE1 };
        if let Err(e) = wait_until::<EEMNGCTL, B>(bar, 0, wait::MNG_CONFIG, |r| r.has(bit)) {
            tracing::debug!(device = bar.name(), "no manageability configuration: {e}");
        }
    }
    // 6. DMA memories are initialised (RDRXCTL.DMAIDONE).
    wait_until::<RDRXCTL, B>(bar, 0, wait::DMA_INIT, |r| r.has(RDRXCTL::DMAIDONE))?;
    check_alive(bar)
}

/// Tells firmware whether a driver is at work (8.2.3.1.3), so that it keeps off, or takes over.
pub(super) fn claim<B: Bar>(bar: &B, on: bool) {
    modify::<CTRL_EXT, B>(bar, 0, |r| r.with(CTRL_EXT::DRV_LOAD, on.into()));
}
