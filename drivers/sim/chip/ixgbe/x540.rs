//! What X540 and X550 do otherwise than the 82599: a PHY instead of a cage, a flash instead of an
//! EEPROM, firmware that takes commands, a semaphore in front of SW_FW_SYNC (X540 datasheet; Intel's
//! public drivers).

use super::{Ixgbe, copper, flash, hostif};
use crate::drivers::ixgbe::regs::{
    AUTOC, EEC, FWSM, LINKS, MSCA, RXPBSIZE, SW_FW_SYNC, x550::HICR,
};
use crate::drivers::sim::device::{Device, Slow};
use crate::mmio::Register;

/// FWSM.FW_MODE: the firmware serves the host and no BMC.
const HOST_ONLY: u32 = 4;
/// Receive packet buffer 0 has all 384 KiB after a reset.
const BUFFER: u32 = 384;

/// What a reset leaves otherwise. The PHY and its link are left alone.
pub(super) fn reset(d: &Device) {
    flash::reset(d);
    d.regs.set(0, FWSM(0).with(FWSM::FW_MODE, HOST_ONLY).with(FWSM::FW_VAL, 1));
    d.regs.set(0, RXPBSIZE(0).with(RXPBSIZE::SIZE, BUFFER));
}

/// See [`Chip::read`](super::Chip::read). `None` where the 82599 does the same.
pub(super) fn read(d: &Device, slow: &mut Slow, offset: u32) -> Option<u32> {
    if offset == LINKS::META.offset {
        Some(copper::read_links(d, slow).raw())
    } else if offset == SW_FW_SYNC::META.offset {
        // Reading the semaphore as zero takes it.
        let value = d.regs.get::<SW_FW_SYNC>(0);
        d.regs.set(0, value.with(SW_FW_SYNC::REGSMP, 1));
        Some(value.raw())
    } else {
        None
    }
}

/// See [`Chip::write`](super::Chip::write). False where the 82599 does the same.
pub(super) fn write(chip: &Ixgbe, d: &Device, slow: &mut Slow, offset: u32, value: u32) -> bool {
    let is = |o: u32| offset == o;
    if is(MSCA::META.offset) {
        copper::write_msca(d, slow, MSCA(value));
    } else if is(EEC::META.offset) {
        flash::write_eec(d, slow, value);
    } else if is(HICR::META.offset) {
        hostif::write_hicr(chip.variant, d, slow, value);
    } else if is(SW_FW_SYNC::META.offset) {
        // Like SMBI the semaphore can be given back, but not taken.
        let held = d.regs.peek(offset) & SW_FW_SYNC::REGSMP.mask();
        d.regs.poke(offset, value & !SW_FW_SYNC::REGSMP.mask() | value & held);
    } else if is(AUTOC::META.offset) {
        // The link is the PHY's business.
        d.regs.poke(offset, value & !AUTOC::RESTART_AN.mask());
    } else {
        return false;
    }
    true
}
