//! The SFP+ cage, the laser and the link of an 82599 (82599 datasheet 3.7.4, 4.2.1.7, 8.2.3.1).

use super::registers::{asked, nic};
use crate::drivers::ixgbe::regs::{
    ANLP1, AUTOC, CTRL, EEC, ESDP, FWSM, I2CCTL, LINKS, RAL, SW_FW_SYNC, SWSM,
};
use crate::drivers::sim::{Model, SimBar};
use crate::mmio::Register;

/// SDP2 and SDP3.
const PRESENT: u32 = 1 << 2;
const LASER_OFF: u32 = 1 << 3;

/// Drives both lines and returns their levels.
fn lines(bar: &SimBar, clock: bool, data: bool) -> (bool, bool) {
    let value = I2CCTL(0).with(I2CCTL::CLK_OUT, clock.into());
    value.with(I2CCTL::DATA_OUT, data.into()).write(bar);
    let value = I2CCTL::read(bar);
    assert_eq!(value.has(I2CCTL::CLK_OUT), clock);
    (value.has(I2CCTL::CLK_IN), value.has(I2CCTL::DATA_IN))
}

/// Sends a byte; whether it was acknowledged.
fn send(bar: &SimBar, byte: u8) -> bool {
    for n in (0..8).rev() {
        let level = byte >> n & 1 != 0;
        lines(bar, false, level);
        lines(bar, true, level);
        lines(bar, false, level);
    }
    lines(bar, false, true);
    let acknowledged = !lines(bar, true, true).1;
    lines(bar, false, true);
    acknowledged
}

fn start(bar: &SimBar) {
    lines(bar, false, true);
    lines(bar, true, true);
    lines(bar, true, false);
    lines(bar, false, false);
}

fn stop(bar: &SimBar) {
    lines(bar, false, false);
    lines(bar, true, false);
    lines(bar, true, true);
}

/// One byte of the module's memory.
fn module_byte(bar: &SimBar, page: u8, at: u8) -> Option<u8> {
    start(bar);
    if !(send(bar, page) && send(bar, at)) {
        stop(bar);
        return None;
    }
    start(bar);
    assert!(send(bar, page | 1));
    let byte = (0..8).fold(0, |byte, _| {
        lines(bar, false, true);
        let bit = lines(bar, true, true).1;
        lines(bar, false, true);
        byte << 1 | u8::from(bit)
    });
    lines(bar, true, true);
    lines(bar, false, true);
    stop(bar);
    Some(byte)
}

fn up(bar: &SimBar) -> bool {
    LINKS::read(bar).has(LINKS::LINK_UP)
}

#[test]
fn a_module_comes_and_goes() {
    let nic = nic(Model::I82599);
    let bar = nic.bar();
    assert_eq!(ESDP::read(&bar).raw() & PRESENT, PRESENT);
    assert_eq!(module_byte(&bar, 0xa0, 0), Some(3));
    assert_eq!(module_byte(&bar, 0xa0, 68), Some(b'B'));
    assert!(asked(|| up(&bar)) < 100);
    nic.set_module(false);
    assert_eq!(ESDP::read(&bar).raw() & PRESENT, 0);
    assert_eq!(module_byte(&bar, 0xa0, 0), None);
    assert!(!up(&bar));
    // Software cannot drive an input.
    ESDP(ESDP::read(&bar).raw() | PRESENT).write(&bar);
    assert_eq!(ESDP::read(&bar).raw() & PRESENT, 0);
    CTRL(0).with(CTRL::RST, 1).write(&bar);
    assert!(asked(|| !CTRL::read(&bar).has(CTRL::RST)) < 100);
    assert_eq!(ESDP::read(&bar).raw() & PRESENT, 0, "a reset brings no module");
    nic.set_module(true);
    assert_eq!(module_byte(&bar, 0xa0, 0), Some(3));
    assert!((1..100).contains(&asked(|| up(&bar))));
}

#[test]
fn the_laser_makes_the_link() {
    let nic = nic(Model::I82599);
    let bar = nic.bar();
    assert!(asked(|| up(&bar)) < 100);
    assert_eq!(module_byte(&bar, 0xa2, 110), Some(0));
    ESDP(ESDP::read(&bar).raw() | LASER_OFF).write(&bar);
    assert!(!up(&bar));
    assert_eq!(module_byte(&bar, 0xa2, 110), Some(0x80));
    ESDP(ESDP::read(&bar).raw() & !LASER_OFF).write(&bar);
    assert!((1..100).contains(&asked(|| up(&bar))), "it locks again");
    nic.set_link(false);
    assert_eq!(module_byte(&bar, 0xa2, 110), Some(0x02));
}

/// Toggling LMS with Restart_AN, as a reset of the pipeline does.
#[test]
fn the_arbitration_state_leaves_zero_after_a_restart() {
    let bar = nic(Model::I82599).bar();
    let autoc = AUTOC::read(&bar).with(AUTOC::RESTART_AN, 1);
    let other = autoc.with(AUTOC::LMS, autoc.get(AUTOC::LMS) ^ 4);
    other.write(&bar);
    assert!((1..10).contains(&asked(|| ANLP1::read(&bar).has(ANLP1::AN_STATE))));
    assert_eq!(asked(|| up(&bar)), 100, "no module negotiates as a backplane does");
    autoc.write(&bar);
    assert!((1..100).contains(&asked(|| up(&bar))));
    assert!(asked(|| !AUTOC::read(&bar).has(AUTOC::RESTART_AN)) < 100);
}

#[test]
fn one_gigabit_by_link_mode() {
    let bar = nic(Model::I82599).bar();
    AUTOC::read(&bar).with(AUTOC::LMS, 2).with(AUTOC::RESTART_AN, 1).write(&bar);
    assert!(asked(|| up(&bar)) < 100);
    assert_eq!(LINKS::read(&bar).get(LINKS::LINK_SPEED), 2);
}

#[test]
fn what_each_kind_of_reset_leaves() {
    let nic = nic(Model::I82599);
    let bar = nic.bar();
    assert!(asked(|| up(&bar)) < 100);
    let set = || {
        AUTOC::read(&bar).with(AUTOC::PB, 3).write(&bar);
        SW_FW_SYNC(5).write(&bar);
        SWSM::read(&bar);
        RAL(7).write_at(&bar, 5);
    };
    let left = || {
        let taken = SWSM(SWSM::read(&bar).raw()).has(SWSM::SMBI);
        SWSM(0).write(&bar);
        (AUTOC::read(&bar).get(AUTOC::PB), SW_FW_SYNC::read(&bar).raw(), taken)
    };
    for (reset, link_stays) in [(CTRL::RST.mask(), true), (CTRL::LRST.mask(), false)] {
        set();
        assert!(asked(|| up(&bar)) < 100);
        CTRL(reset).write(&bar);
        assert!(asked(|| CTRL::read(&bar).raw() & reset == 0) < 100);
        assert_eq!(up(&bar), link_stays);
        assert_eq!(RAL::read_at(&bar, 5).raw(), 0);
        assert_eq!(left(), (if link_stays { 3 } else { 0 }, 5, true));
    }
    set();
    nic.function_reset();
    assert!(asked(|| !CTRL::read(&bar).has(CTRL::RST)) < 100);
    assert!(!up(&bar));
    assert_eq!(left(), (0, 0, false), "everything is as after power-on");
}

#[test]
fn what_a_driver_reads_first() {
    let bar = nic(Model::I82599).bar();
    let eec = EEC::read(&bar);
    assert!(eec.has(EEC::PRES) && eec.has(EEC::ADDR_SIZE) && eec.has(EEC::AUTO_RD));
    assert_eq!(64 << eec.get(EEC::SIZE), 0x2000, "words");
    let fwsm = FWSM::read(&bar);
    assert!(fwsm.has(FWSM::FW_VAL) && !fwsm.has(FWSM::FW_MODE) && !fwsm.has(FWSM::EXT_ERR_IND));
}
