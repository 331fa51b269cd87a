//! Registers that do something: reset, EEPROM access, semaphores, interrupt causes, security
//! blocks, link (82599 datasheet 4.2, 4.6.3, 5.2.5.3.2, 8.2.3).

use std::time::Duration;

use super::{Ixgbe, link, x540};
use crate::drivers::ixgbe::regs::{
    AUTOC, CTRL, EEC, EEMNGCTL, EERD, EIAM, EICR, EICS, EIMC, EIMC_EX, EIMS, EIMS_EX, FDIRCTRL,
    FRTIMER, GPIE, I2CCTL, LINKS, MSCA, MSRWD, RDRXCTL, SECRXCTRL, SECRXSTAT, SECTXCTRL, SECTXSTAT,
    SWSM,
};
use crate::drivers::sim::common::{AUTOLOAD, CTRL as CTRL_AT, QUICK};
use crate::drivers::sim::device::{Device, Slow};
use crate::drivers::sim::later::{Effect, Takes};
use crate::mmio::Register;

const DMA_INIT: Takes = Takes { time: Duration::from_millis(3), reads: 4 };
const SECURITY: Takes = Takes { time: Duration::from_micros(50), reads: 2 };
const TRAINING: Takes = Takes { time: Duration::from_millis(20), reads: 5 };

/// Both kinds of reset.
const RESETS: u32 = CTRL::RST.mask() | CTRL::LRST.mask();

/// Resets everything but the PCI configuration.
pub(super) fn reset(chip: &Ixgbe, d: &Device, slow: &mut Slow, ctrl: u32) {
    let copper = chip.variant.has_copper();
    let shared = x540::SHARED.map(|at| (at, d.regs.peek(at)));
    d.reset(slow, ctrl & RESETS, || {
        d.regs.change(EEC::META.offset, 0, EEC::PRES.mask());
        if copper {
            x540::reset(d, shared);
        }
    });
    let set = EEC::AUTO_RD.mask();
    d.after(slow, AUTOLOAD, EEC::META.offset, 0, set, Effect::Autoload);
    let set = EEMNGCTL::CFG_DONE0.mask() | EEMNGCTL::CFG_DONE1.mask();
    d.after(slow, AUTOLOAD, EEMNGCTL::META.offset, 0, set, Effect::None);
    let set = RDRXCTL::DMAIDONE.mask();
    d.after(slow, DMA_INIT, RDRXCTL::META.offset, 0, set, Effect::None);
    if !copper {
        train(d, slow);
    }
}

/// The link is being negotiated.
fn train(d: &Device, slow: &mut Slow) {
    d.engine().training = true;
    d.after(slow, TRAINING, LINKS::META.offset, 0, 0, Effect::Trained);
}

/// See [`Chip::read`](super::Chip::read).
pub(super) fn read(chip: &Ixgbe, d: &Device, slow: &mut Slow, offset: u32) -> Option<u32> {
    let is = |o: u32| offset == o;
    if chip.variant.has_copper()
        && let Some(value) = x540::read(d, slow, offset)
    {
        Some(value)
    } else if is(SWSM::META.offset) {
        Some(d.read_swsm(offset))
    } else if is(EICR::META.offset) {
        let value = d.regs.peek(offset);
        let gpie = d.regs.get::<GPIE>(0);
        // Without MSI-X, reading masks what EIAM says (8.2.3.5.6).
        let mask = if gpie.has(GPIE::MULTIPLE_MSIX) { 0 } else { d.regs.get::<EIAM>(0).raw() };
        d.change_causes(|regs| {
            regs.change(EIMS::META.offset, mask, 0);
            if !gpie.has(GPIE::OCD) {
                regs.write(offset, value);
            }
        });
        Some(value)
    } else if is(LINKS::META.offset) {
        Some(link::read_links(d, slow).raw())
    } else if is(FRTIMER::META.offset) {
        Some(d.clock.now().as_micros() as u32)
    } else if is(I2CCTL::META.offset) {
        // Nothing is plugged into the cage: both lines float high or follow our drivers.
        let value = d.regs.get::<I2CCTL>(0);
        let (clock, data) = (value.get(I2CCTL::CLK_OUT), value.get(I2CCTL::DATA_OUT));
        Some(value.with(I2CCTL::CLK_IN, clock).with(I2CCTL::DATA_IN, data).raw())
    } else {
        None
    }
}

/// See [`Chip::write`](super::Chip::write).
pub(super) fn write(chip: &Ixgbe, d: &Device, slow: &mut Slow, offset: u32, value: u32) -> bool {
    let is = |o: u32| offset == o;
    if chip.variant.has_copper() && x540::write(chip, d, slow, offset, value) {
        return true;
    }
    if is(CTRL::META.offset) {
        write_ctrl(chip, d, slow, value);
    } else if is(EERD::META.offset) {
        d.write_eerd(slow, offset, value);
    } else if is(EEC::META.offset) {
        d.write_eeprom_control(offset, value);
    } else if is(SWSM::META.offset) {
        d.write_swsm(offset, value);
    } else if is(AUTOC::META.offset) {
        write_autoc(d, slow, AUTOC(value));
    } else if is(RDRXCTL::META.offset) {
        let done = d.regs.get::<RDRXCTL>(0).get(RDRXCTL::DMAIDONE);
        let _engine = d.engine();
        d.regs.set(0, RDRXCTL(value).with(RDRXCTL::DMAIDONE, done));
        d.changed();
    } else if is(SECRXCTRL::META.offset) {
        d.regs.poke(offset, value);
        let (stat, ready) = (SECRXSTAT::META.offset, SECRXSTAT::SECRX_RDY.mask());
        hold(d, slow, SECRXCTRL(value).has(SECRXCTRL::RX_DIS), stat, ready);
    } else if is(SECTXCTRL::META.offset) {
        d.regs.poke(offset, value);
        let (stat, ready) = (SECTXSTAT::META.offset, SECTXSTAT::SECTX_RDY.mask());
        hold(d, slow, SECTXCTRL(value).has(SECTXCTRL::TX_DIS), stat, ready);
    } else if is(MSCA::META.offset) {
        // No PHY answers on the MDIO bus.
        d.regs.poke(offset, value);
        d.regs.set(0, d.regs.get::<MSRWD>(0).with(MSRWD::RDDATA, 0xffff));
        d.after(slow, QUICK, offset, MSCA::MDICMD.mask(), 0, Effect::None);
    } else if is(FDIRCTRL::META.offset) {
        d.regs.poke(offset, value);
        d.after(slow, QUICK, offset, 0, FDIRCTRL::INIT_DONE.mask(), Effect::None);
    } else {
        return write_causes(d, offset, value);
    }
    true
}

/// Interrupt causes and masks.
fn write_causes(d: &Device, offset: u32, value: u32) -> bool {
    let is = |o: u32| offset == o;
    if is(EICS::META.offset) {
        d.change_causes(|regs| regs.change(EICR::META.offset, 0, value));
    } else if is(EIMC::META.offset) {
        d.change_causes(|regs| regs.change(EIMS::META.offset, value, 0));
    } else if let Some(n) = (0..2).find(|n| is(EIMC_EX::META.offset_of(*n))) {
        d.change_causes(|regs| regs.change(EIMS_EX::META.offset_of(n), value, 0));
    } else if [EICR::META.offset, EIMS::META.offset].contains(&offset)
        || (0..2).any(|n| is(EIMS_EX::META.offset_of(n)))
    {
        d.change_causes(|regs| regs.write(offset, value));
    } else {
        return false;
    }
    true
}

fn write_ctrl(chip: &Ixgbe, d: &Device, slow: &mut Slow, ctrl: u32) {
    if ctrl & RESETS != 0 {
        reset(chip, d, slow, ctrl);
        return;
    }
    d.regs.change(CTRL_AT, !RESETS, ctrl);
    d.write_master(slow, ctrl);
}

fn write_autoc(d: &Device, slow: &mut Slow, autoc: AUTOC) {
    d.regs.set(0, autoc);
    if autoc.has(AUTOC::RESTART_AN) {
        let restart = AUTOC::RESTART_AN.mask();
        d.after(slow, QUICK, AUTOC::META.offset, restart, 0, Effect::None);
        train(d, slow);
    }
}

/// Holds a security block's path still, or lets it go.
fn hold(d: &Device, slow: &mut Slow, on: bool, stat: u32, ready: u32) {
    slow.later.retain(|l| l.offset != stat);
    if on {
        d.after(slow, SECURITY, stat, 0, ready, Effect::DataPath);
    } else {
        let _engine = d.engine();
        d.regs.change(stat, ready, 0);
        d.changed();
    }
}
