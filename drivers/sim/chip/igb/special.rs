//! Registers that do something: reset, NVM access, semaphores, device status, PHY access (82576
//! datasheet 4.2, 4.5, 5.2.3, 8.2, 8.4, 8.7).

use std::time::Duration;

use super::table::I2CPARAMS;
use super::{Igb, Variant, causes, phy};
use crate::drivers::igb::regs::{
    CTRL, CTRL_EXT, EECD, EEMNGCTL, EERD, FRTIMER, I2CCMD, MDIC, RXDCTL, RXPBS, STATUS, SW_FW_SYNC,
    SWSM, TXDCTL, TXPBS,
};
use crate::drivers::sim::common::{AUTOLOAD, QUICK};
use crate::drivers::sim::device::{Device, Slow};
use crate::drivers::sim::later::Effect;
use crate::mmio::Register;

/// STATUS.SPEED by line rate.
fn speed_code(mbps: u32) -> u32 {
    match mbps {
        1000.. => 2,
        100.. => 1,
        _ => 0,
    }
}

/// What ports and firmware share.
pub(super) const SHARED: [u32; 2] = [SWSM::META.offset, SW_FW_SYNC::META.offset];

/// CTRL of the I350: resets the whole device.
const DEV_RST: u32 = 1 << 29;

/// The bits of CTRL that reset.
fn resets(chip: &Igb) -> u32 {
    CTRL::RST.mask() | if chip.variant == Variant::I350 { DEV_RST } else { 0 }
}

/// Resets the function. The PHY and its link are left alone (4.2.1.6), and so is what the ports
/// and firmware share; but not if it is not by CTRL: then all is as after power-on.
pub(super) fn reset(chip: &Igb, d: &Device, slow: &mut Slow, ctrl: u32) {
    let shared = SHARED.map(|at| (at, d.regs.peek(at)));
    let size = slow.eeprom.size_code();
    d.reset(slow, ctrl & resets(chip), || {
        let eecd = EECD(0).with(EECD::PRES, 1).with(EECD::ADDR_SIZE, 1).with(EECD::SIZE, size);
        d.regs.change(EECD::META.offset, 0, eecd.raw());
        if chip.variant == Variant::I350 {
            // This one also tells whether there is a flash.
            d.regs.change(EECD::META.offset, 0, EECD::FLASH_DETECTED.mask());
            // Sizes are codes: 0 is 36 KiB to receive and 20 to send.
            d.regs.set(0, RXPBS(0));
            d.regs.set(0, TXPBS(0));
        }
        // Queue 0 is enabled after a reset (8.10.10, 8.12).
        d.regs.change(RXDCTL::META.offset, 0, RXDCTL::ENABLE.mask());
        d.regs.change(TXDCTL::META.offset, 0, TXDCTL::ENABLE.mask());
        for (at, value) in shared.into_iter().filter(|_| ctrl != 0) {
            d.regs.poke(at, value);
        }
    });
    if ctrl == 0 {
        phy::power_on(chip, d, slow);
    }
    autoload(d, slow);
    let set = EEMNGCTL::CFG_DONE0.mask() | EEMNGCTL::CFG_DONE1.mask();
    d.after(slow, AUTOLOAD, EEMNGCTL::META.offset, 0, set, Effect::None);
    if chip.variant == Variant::I350 {
        if ctrl & DEV_RST != 0 {
            d.regs.change(STATUS::META.offset, 0, STATUS::DEV_RST_SET.mask());
        }
        let set = STATUS::PF_RST_DONE.mask();
        d.after(slow, AUTOLOAD, STATUS::META.offset, 0, set, Effect::None);
    }
}

fn autoload(d: &Device, slow: &mut Slow) {
    let done = EECD::AUTO_RD.mask();
    d.regs.change(EECD::META.offset, done, 0);
    d.after(slow, AUTOLOAD, EECD::META.offset, 0, done, Effect::Autoload);
}

/// See [`Chip::read`](super::Chip::read).
pub(super) fn read(chip: &Igb, d: &Device, slow: &mut Slow, offset: u32) -> Option<u32> {
    let is = |o: u32| offset == o;
    if is(STATUS::META.offset) {
        Some(read_status(d, slow))
    } else if is(SWSM::META.offset) {
        Some(d.read_swsm(offset))
    } else if is(FRTIMER::META.offset) {
        Some(timer(d.clock.now()))
    } else if chip.variant == Variant::I350 && is(I2CPARAMS::META.offset) {
        Some(read_bus(d))
    } else {
        causes::read(d, offset)
    }
}

/// I2CPARAMS with the levels of both lines: nobody but software pulls them down.
fn read_bus(d: &Device) -> u32 {
    let bus = d.regs.get::<I2CPARAMS>(0);
    let high = |out, floats| (bus.has(out) || bus.has(floats)).into();
    bus.with(I2CPARAMS::CLK_IN, high(I2CPARAMS::CLK_OUT, I2CPARAMS::CLK_OE_N))
        .with(I2CPARAMS::DATA_IN, high(I2CPARAMS::DATA_OUT, I2CPARAMS::DATA_OE_N))
        .raw()
}

fn timer(now: Duration) -> u32 {
    FRTIMER(0)
        .with(FRTIMER::MICRO, now.subsec_micros() % 1000)
        .with(FRTIMER::MILLI, now.subsec_millis())
        .with(FRTIMER::SECONDS, now.as_secs() as u32)
        .raw()
}

/// Link and speed as they are now.
fn read_status(d: &Device, slow: &Slow) -> u32 {
    let engine = d.current_engine();
    let (up, wire) = (engine.link_up(), engine.speed_mbps());
    drop(engine);
    let mut status = d.regs.get::<STATUS>(0).with(STATUS::LU, up.into());
    if up {
        status = status.with(STATUS::SPEED, speed_code(slow.phy.speed(wire)));
    }
    let shown = STATUS::LU.mask() | STATUS::SPEED.mask();
    d.regs.change(STATUS::META.offset, shown, status.raw() & shown);
    status.raw()
}

/// See [`Chip::write`](super::Chip::write).
pub(super) fn write(chip: &Igb, d: &Device, slow: &mut Slow, offset: u32, value: u32) -> bool {
    let is = |o: u32| offset == o;
    if is(CTRL::META.offset) {
        write_ctrl(chip, d, slow, CTRL(value));
    } else if is(STATUS::META.offset) {
        // Only PHYRA, the memory of a PHY reset, can be cleared (8.2.2), and the I350's memory of
        // a reset of the device, by a one.
        let clear = STATUS::PHYRA.mask() & !value | STATUS::DEV_RST_SET.mask() & value;
        d.regs.change(offset, clear, 0);
    } else if is(CTRL_EXT::META.offset) {
        let once = CTRL_EXT::EE_RST.mask() | CTRL_EXT::ASDCHK.mask();
        d.regs.poke(offset, value & !once);
        if CTRL_EXT(value).has(CTRL_EXT::EE_RST) {
            autoload(d, slow);
        }
    } else if is(EERD::META.offset) {
        d.write_eerd(slow, offset, value);
    } else if is(EECD::META.offset) {
        d.write_serial_eeprom(slow, offset, value);
    } else if is(SWSM::META.offset) {
        d.write_swsm(offset, value);
    } else if is(MDIC::META.offset) {
        phy::write_mdic(chip, d, slow, MDIC(value));
    } else if is(I2CCMD::META.offset) {
        // No SFP module answers.
        d.regs.poke(offset, value & !I2CCMD::READY.mask());
        let set = I2CCMD::READY.mask() | I2CCMD::ERROR.mask();
        d.after(slow, QUICK, offset, 0, set, Effect::None);
    } else {
        return false;
    }
    true
}

fn write_ctrl(chip: &Igb, d: &Device, slow: &mut Slow, ctrl: CTRL) {
    if ctrl.raw() & resets(chip) != 0 {
        reset(chip, d, slow, ctrl.raw());
        return;
    }
    let old = d.regs.get::<CTRL>(0);
    let busy = resets(chip);
    let engine = d.engine();
    d.regs.set(0, CTRL(old.raw() & busy | ctrl.raw() & !busy));
    d.changed();
    drop(engine);
    if ctrl.has(CTRL::PHY_RST) && !old.has(CTRL::PHY_RST) {
        phy::reset(chip, d, slow);
        d.regs.change(STATUS::META.offset, 0, STATUS::PHYRA.mask());
    }
    d.write_master(slow, ctrl.raw());
}
