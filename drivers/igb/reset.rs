//! Bringing whatever runs to a halt, and the function's reset (4.2, 4.3, 4.5, 5.2).

use std::iter::once;

use super::ids::Family;
use super::irq;
use super::regs::later::{DMACR, DTXMXPKTSZ, EEMNGCTL_I21X, TQAVCTRL};
use super::regs::{
    CTRL, CTRL_EXT, EECD, EEMNGCTL, GCR, RCTL, RXDCTL, RXPBS, STATUS, TCTL, TXDCTL, TXPBS,
};
use super::wait::{self, check_alive, hope_for, modify};
use crate::drivers::intel::Halt;
use crate::drivers::intel::access::{disable_queues, reset_done};
use crate::drivers::intel::nvm::unusable;
use crate::error::Result;
use crate::mmio::{Bar, Field, Register, wait_until};

/// GCR.CMPL_TMOUT: 10 ms.
const TEN_MS: u32 = 1;
/// An I210's packet buffers after power-up: 34 KiB for reception, 20 KiB for the first transmit
/// queue, and what a BMC's way to the host and back takes.
const I210_RXPBS: u32 = 0x0000_00a2;
const I210_TXPBS: u32 = 0x0400_0014;

/// Stops both kinds of queues, reception and transmission, and then all bus traffic.
pub(super) fn halt<B: Bar>(bar: &B, family: Family) -> Halt {
    let mut halt = Halt::new();
    // 1. Mask interrupts (4.5).
    irq::mask_all(bar);
    if !halt.note(check_alive(bar)) {
        return halt;
    }
    // 2. Queues off, then the paths: a path may be switched off only after all its queues (4.5).
    //    Frames for a queue that is off are dropped.
    let queues = u32::from(family.queues());
    let rx = (0..queues).map(|q| RXDCTL::META.offset_of(q));
    halt.note(disable_queues::<RXDCTL, B>(bar, rx, RXDCTL::ENABLE.mask()));
    modify::<RCTL, B>(bar, 0, |r| r.with(RCTL::RXEN, 0));
    let tx = (0..queues).map(|q| TXDCTL::META.offset_of(q));
    halt.note(disable_queues::<TXDCTL, B>(bar, tx, TXDCTL::ENABLE.mask()));
    modify::<TCTL, B>(bar, 0, |r| r.with(TCTL::TXEN, 0));
    bar.delay(wait::QUEUE_DRAIN);
    // 3. Master disable (5.2).
    halt.master_off = halt.note(disable_master(bar));
    halt
}

/// 5.2: no new requests, and wait until none is pending.
fn disable_master<B: Bar>(bar: &B) -> Result<()> {
    modify::<CTRL, B>(bar, 0, |r| r.with(CTRL::GIO_DIS, 1));
    let off = |s: STATUS| !s.has(STATUS::GIO_MASTER);
    wait_until::<STATUS, B>(bar, 0, wait::MASTER, off).map(|_| ())
}

/// Resets the function (4.3) and waits until it can be programmed.
///
/// `twice` is for a device that did not confirm the master disable.
///
/// # Errors
/// [`Timeout`](crate::Error::Timeout), [`Gone`](crate::Error::Gone), or
/// [`Eeprom`](crate::Error::Eeprom) when there is none.
pub(super) fn reset<B: Bar>(bar: &B, family: Family, twice: bool) -> Result<()> {
    // 1. RST resets the function; the PHY and its link stay as they are.
    let write = || modify::<CTRL, B>(bar, 0, |r| r.with(CTRL::RST, 1));
    write();
    if twice {
        bar.delay(wait::AFTER_RESET);
        write();
    }
    // 2. Silence, then until the bit clears itself.
    bar.delay(wait::AFTER_RESET);
    reset_done::<CTRL, B>(bar, CTRL::RST.mask())?;
    check_alive(bar)?;
    // 3. Mask interrupts again (4.5).
    irq::mask_all(bar);
    // 4. NVM autoload. QEMU's 82576 never says that it is done: whether it was, the checksum and
    //    the address tell.
    hope_for::<EECD, B>(bar, wait::AUTOLOAD, |r| r.has(EECD::AUTO_RD))?;
    if family.is_later() {
        hope_for::<STATUS, B>(bar, wait::PF_RESET, |r| r.has(STATUS::PF_RST_DONE))?;
    }
    // I210 and I211 can live on fuses; the others have nothing but the EEPROM.
    if !family.is_i21x() && !EECD::read(bar).has(EECD::PRES) {
        check_alive(bar)?;
        return Err(unusable(bar, "the controller finds none with a valid signature (EECD.PRES)"));
    }
    // 5. Manageability has loaded this port's part. Boards without it may never say so.
    manageability(bar, family)?;
    // 6. The default completion time-out is below what PCIe recommends, and a late completion that
    //    was asked for twice corrupts (8.6.1).
    if family == Family::I82576 {
        modify::<GCR, B>(bar, 0, |r| {
            let own = r.get(GCR::CMPL_TMOUT) == 0 && !r.has(GCR::CAP_VER2);
            let time = if own { TEN_MS } else { r.get(GCR::CMPL_TMOUT) };
            r.with(GCR::CMPL_TMOUT, time).with(GCR::CMPL_TMOUT_RESEND, 0)
        });
    }
    // 7. Queue 0 is enabled by every reset (8.10.10, 8.12). Its ring may be programmed when ENABLE
    //    has read back as zero, not when that was asked for.
    disable_queues::<RXDCTL, B>(bar, once(RXDCTL::META.offset), RXDCTL::ENABLE.mask())?;
    disable_queues::<TXDCTL, B>(bar, once(TXDCTL::META.offset), TXDCTL::ENABLE.mask())?;
    // 8. What a reset need not have taken away.
    leftovers(bar, family);
    check_alive(bar)
}

/// Undoes what firmware or the kernel's driver may have switched on.
fn leftovers<B: Bar>(bar: &B, family: Family) {
    // A poller that waits for the NIC to wake up sees packets late.
    if family.is_later() {
        modify::<DMACR, B>(bar, 0, |r| r.with(DMACR::DMAC_EN, 0));
    }
    // Time-aware queues have small buffers of their own, which long frames do not fit in: they
    // would never be sent. Only the I210 has them.
    if family == Family::I210 {
        RXPBS(I210_RXPBS).write(bar);
        TXPBS(I210_TXPBS).write(bar);
        DTXMXPKTSZ(DTXMXPKTSZ::META.reset).write(bar);
        modify::<TQAVCTRL, B>(bar, 0, |r| r.with(TQAVCTRL::MODE, 0));
    }
}

fn manageability<B: Bar>(bar: &B, family: Family) -> Result<()> {
    const DONE: [Field; 4] =
        [EEMNGCTL::CFG_DONE0, EEMNGCTL::CFG_DONE1, EEMNGCTL::CFG_DONE2, EEMNGCTL::CFG_DONE3];
    if family.is_i21x() {
        let done = |r: EEMNGCTL_I21X| r.has(EEMNGCTL_I21X::CFG_DONE0);
        hope_for::<EEMNGCTL_I21X, B>(bar, wait::MNG_CONFIG, done)?;
    } else {
        let port = STATUS::read(bar).get(STATUS::LAN_ID) as usize;
        hope_for::<EEMNGCTL, B>(bar, wait::MNG_CONFIG, |r| r.has(DONE[port & 3]))?;
    }
    Ok(())
}

/// Tells firmware whether a driver is at work (8.2.3), so that it keeps off, or takes over.
pub(super) fn claim<B: Bar>(bar: &B, on: bool) {
    modify::<CTRL_EXT, B>(bar, 0, |r| r.with(CTRL_EXT::DRV_LOAD, on.into()));
}
