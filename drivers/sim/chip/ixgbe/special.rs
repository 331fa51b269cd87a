//! Registers that do something: reset, EEPROM access, semaphores, security
//! blocks, link (82599 datasheet 4.2, 4.6.3, 5.2.5.3.2, 8.2.3).

use std::time::Duration;

use super::table::{EEWR, GSCL_1};
use super::{Ixgbe, board, copper, irq, link, pcs, serdes, steer, x540};
use crate::drivers::ixgbe::regs::{
    ANLP1, ANLP2, AUTOC, AUTOC2, AUTOC3, CORECTL, CTRL, EEC, EEMNGCTL, EERD, ESDP, FACTPS, FLA,
    FRTIMER, FWSM, I2CCTL, LINKS, MACC, MSCA, MSRWD, PCS1GANA, PCS1GLCTL, RDRXCTL, SECRXCTRL,
    SECRXSTAT, SECTXCTRL, SECTXSTAT, SW_FW_SYNC, SWSM, TFCS,
};
use crate::drivers::sim::common::{AUTOLOAD, CTRL as CTRL_AT, QUICK};
use crate::drivers::sim::device::{Device, Slow};
use crate::drivers::sim::later::{Effect, Takes};
use crate::mmio::{RegMeta, Register};

const DMA_INIT: Takes = Takes { time: Duration::from_millis(3), reads: 4 };
const SECURITY: Takes = Takes { time: Duration::from_micros(50), reads: 2 };

/// GSCL_1: clears the counters.
const COUNT_RESET: u32 = 1 << 29;

/// Both kinds of reset.
const RESETS: u32 = CTRL::RST.mask() | CTRL::LRST.mask();

/// What ports and firmware share: no software reset touches it.
pub(super) const SHARED: [RegMeta; 2] = [SWSM::META, SW_FW_SYNC::META];
/// The link's own registers: CTRL.RST without LRST leaves them, and the link, alone (4.2.1.7).
const LINK: [RegMeta; 8] = [
    AUTOC::META,
    AUTOC2::META,
    AUTOC3::META,
    ANLP1::META,
    ANLP2::META,
    PCS1GLCTL::META,
    PCS1GANA::META,
    MACC::META,
];

/// Resets everything but the PCI configuration; that is all that a reset not asked for in CTRL
/// leaves.
pub(super) fn reset(chip: &Ixgbe, d: &Device, slow: &mut Slow, ctrl: u32) {
    let keeps_link = ctrl & RESETS == CTRL::RST.mask();
    let shared = SHARED.iter().filter(|_| ctrl & RESETS != 0);
    let kept: Vec<_> = shared
        .chain(LINK.iter().filter(|_| keeps_link))
        .map(|meta| (meta.offset, d.regs.peek(meta.offset)))
        .collect();
    let (size, module) = (slow.eeprom.size_code(), slow.cage.is_full());
    d.reset(slow, ctrl & RESETS, || {
        let eec = EEC(0).with(EEC::PRES, 1).with(EEC::ADDR_SIZE, 1).with(EEC::SIZE, size);
        d.regs.change(EEC::META.offset, 0, eec.raw());
        // One port, and the function is its first.
        d.regs.set(0, FACTPS(0).with(FACTPS::LAN0_VALID, 1));
        // Firmware that does no management, and is well.
        d.regs.set(0, FWSM(0).with(FWSM::FW_VAL, 1));
        // The security blocks can pass packets, and nothing else.
        d.regs.set(0, SECTXSTAT(0).with(SECTXSTAT::SECTX_OFF_DIS, 1));
        d.regs.set(0, SECRXSTAT(0).with(SECRXSTAT::SECRX_OFF_DIS, 1));
        if chip.variant.has_cage() {
            board::reset(d, module);
        } else {
            x540::reset(d);
        }
        for (offset, value) in kept {
            d.regs.poke(offset, value);
        }
    });
    let set = EEC::AUTO_RD.mask();
    d.after(slow, AUTOLOAD, EEC::META.offset, 0, set, Effect::Autoload);
    let set = EEMNGCTL::CFG_DONE0.mask() | EEMNGCTL::CFG_DONE1.mask();
    d.after(slow, AUTOLOAD, EEMNGCTL::META.offset, 0, set, Effect::None);
    let set = RDRXCTL::DMAIDONE.mask();
    d.after(slow, DMA_INIT, RDRXCTL::META.offset, 0, set, Effect::None);
    if !chip.variant.has_cage() && ctrl & RESETS == 0 {
        copper::power_on(d, slow);
    }
    if !keeps_link && chip.variant.has_cage() {
        serdes::reset(slow);
        link::train(d, slow);
    }
}

/// See [`Chip::read`](super::Chip::read).
pub(super) fn read(chip: &Ixgbe, d: &Device, slow: &mut Slow, offset: u32) -> Option<u32> {
    let is = |o: u32| offset == o;
    if !chip.variant.has_cage()
        && let Some(value) = x540::read(d, slow, offset)
    {
        Some(value)
    } else if is(SWSM::META.offset) {
        Some(d.read_swsm(offset))
    } else if is(LINKS::META.offset) {
        Some(link::read_links(d, slow).raw())
    } else if is(CORECTL::META.offset) {
        Some(serdes::read(d, slow).raw())
    } else if is(TFCS::META.offset) {
        Some(TFCS(0).with(TFCS::TC_XON, (!d.is_paused()).into()).raw())
    } else if is(FRTIMER::META.offset) {
        Some(d.clock.now().as_micros() as u32)
    } else if chip.variant.has_cage() && is(I2CCTL::META.offset) {
        Some(board::read_bus(d, slow))
    } else if chip.variant.has_cage()
        && let Some(value) = pcs::read(d, offset)
    {
        Some(value)
    } else {
        let rest = irq::read(d, offset).or_else(|| steer::read(d, offset));
        rest.or_else(|| d.read_time(offset))
    }
}

/// See [`Chip::write`](super::Chip::write).
pub(super) fn write(chip: &Ixgbe, d: &Device, slow: &mut Slow, offset: u32, value: u32) -> bool {
    let is = |o: u32| offset == o;
    if !chip.variant.has_cage() && x540::write(chip, d, slow, offset, value) {
        return true;
    }
    if is(CTRL::META.offset) {
        write_ctrl(chip, d, slow, value);
    } else if is(EERD::META.offset) {
        d.write_eerd(slow, offset, value);
    } else if chip.variant.has_cage() && is(EEC::META.offset) {
        d.write_serial_eeprom(slow, offset, value);
    } else if is(EEC::META.offset) {
        d.write_eeprom_control(offset, value);
    } else if is(EEWR::META.offset) {
        board::write_eewr(d, slow, EEWR(value));
    } else if is(FLA::META.offset) {
        board::write_flash(d, value);
    } else if is(GSCL_1::META.offset) {
        // The PCIe counters count nothing; clearing them is soon done.
        d.regs.poke(offset, value & !COUNT_RESET);
    } else if is(CORECTL::META.offset) {
        serdes::write(d, slow, CORECTL(value));
    } else if is(SWSM::META.offset) {
        d.write_swsm(offset, value);
    } else if is(AUTOC::META.offset) {
        link::write_autoc(d, slow, AUTOC(value));
    } else if chip.variant.has_cage() && is(I2CCTL::META.offset) {
        board::write_bus(d, slow, value);
    } else if chip.variant.has_cage() && is(ESDP::META.offset) {
        if board::write_pins(d, slow, value) {
            link::train(d, slow);
        }
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
    } else if steer::write(d, slow, offset, value) {
        return true;
    } else {
        return irq::write(d, offset, value) || d.write_time(offset, value);
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
