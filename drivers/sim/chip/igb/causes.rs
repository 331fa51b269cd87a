//! Interrupt causes and masks (82576 datasheet 7.3.4, 8.8).

use super::Igb;
use crate::drivers::igb::regs::{EICR, EICS, EIMC, EIMS, GPIE, IAM, ICR, ICS, IMC, IMS, IVAR};
use crate::drivers::sim::chip::{allotted, queues_in};
use crate::drivers::sim::device::Device;
use crate::drivers::sim::regs::RegFile;
use crate::mmio::Register;

/// Reads that do more than show.
pub(super) fn read(d: &Device, offset: u32) -> Option<u32> {
    if offset == ICR::META.offset {
        return Some(read_icr(d));
    }
    if offset == EICR::META.offset {
        let value = d.regs.peek(offset);
        // With vectors of their own, causes are cleared by hand or by their message (8.8.15).
        if !d.regs.get::<GPIE>(0).has(GPIE::MULTIPLE_MSIX) {
            d.change_causes(|regs| regs.change(offset, value, 0));
        }
        return Some(value);
    }
    // Reading the place that clears the mask shows the mask (8.8.10).
    (offset == IMC::META.offset).then(|| d.regs.peek(IMS::META.offset))
}

/// The causes, and whether an enabled one is among them.
fn causes(regs: &RegFile) -> ICR {
    let causes = regs.get::<ICR>(0).with(ICR::INTA, 0);
    let enabled = causes.raw() & regs.get::<IMS>(0).raw() != 0;
    causes.with(ICR::INTA, enabled.into())
}

/// Reading clears if there was an interrupt, if nothing is enabled, or if GPIE.NSICR says so in any
/// case (7.3.4.4, 8.8.15). With one vector or with many.
fn read_icr(d: &Device) -> u32 {
    let value = causes(&d.regs);
    let always = d.regs.get::<GPIE>(0).has(GPIE::NSICR);
    let masked = d.regs.get::<IMS>(0).raw() == 0;
    if always || masked || value.has(ICR::INTA) {
        d.change_causes(|regs| regs.change(ICR::META.offset, value.raw(), 0));
    }
    auto_mask(d, value);
    value.raw()
}

/// IAM: causes that are masked when ICR is read or written, if there was an interrupt.
fn auto_mask(d: &Device, seen: ICR) {
    if d.regs.get::<GPIE>(0).has(GPIE::NSICR) || seen.has(ICR::INTA) {
        let mask = d.regs.get::<IAM>(0).raw();
        d.change_causes(|regs| regs.change(IMS::META.offset, mask, 0));
    }
}

/// Packets were written back: RXDW for any of them, and by IVAR the queue's own extended cause
/// (7.3.4.1; 8.8.13).
pub(super) fn received(chip: &Igb, regs: &RegFile, queues: u128) {
    let byte = |q: u32| {
        let (register, bit) = chip.variant.ivar(q);
        regs.get::<IVAR>(register).raw() >> bit
    };
    let causes = queues_in(queues).fold(0, |all, q| all | allotted(byte(q)));
    regs.change(EICR::META.offset, 0, causes);
    regs.change(ICR::META.offset, 0, ICR::RXDW.mask());
}

/// Writes to them. False: it is none of them.
pub(super) fn write(d: &Device, offset: u32, value: u32) -> bool {
    let is = |o: u32| offset == o;
    let (clear, set, at) = if is(ICR::META.offset) {
        auto_mask(d, causes(&d.regs));
        (value, 0, ICR::META.offset)
    } else if is(ICS::META.offset) {
        (0, value & !ICR::INTA.mask(), ICR::META.offset)
    } else if is(IMS::META.offset) {
        (0, value, IMS::META.offset)
    } else if is(IMC::META.offset) {
        (value, 0, IMS::META.offset)
    } else if is(EICR::META.offset) {
        (value, 0, EICR::META.offset)
    } else if is(EICS::META.offset) {
        (0, value, EICR::META.offset)
    } else if is(EIMS::META.offset) {
        (0, value, EIMS::META.offset)
    } else if is(EIMC::META.offset) {
        (value, 0, EIMS::META.offset)
    } else {
        return false;
    };
    d.change_causes(|regs| regs.change(at, clear, set));
    true
}
