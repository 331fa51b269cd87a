//! The SFP+ cage, the laser and the link of an 82599 (82599 datasheet 3.7.4, 4.2.1.7, 8.2.3.1).

use std::time::Duration;

use super::registers::{asked, nic};
use crate::drivers::ixgbe::regs::{
    ANLP1, AUTOC, CORECTL, CTRL, CTRL_EXT, EEC, EEMNGCTL, EICR, EIMS, ESDP, FACTPS, FWSM, GPIE,
    I2CCTL, LINKS, MACC, PCS1GANLP, PCS1GLSTA, PCSS1, PCSS2, RAL, RXCTRL, SW_FW_SYNC, SWSM,
};
use crate::drivers::sim::{Model, SimBar};
use crate::mmio::{Bar, Register};

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

/// What stock drivers do with a module of two rates, and when they look: nothing but their own
/// sleeps passes.
#[test]
fn a_dual_rate_module_has_its_link_when_drivers_look() {
    let nic = nic(Model::I82599);
    let bar = nic.bar();
    let sleep = |ms: u64| bar.delay(Duration::from_millis(ms));
    let pin = |pin: u32, high: bool| {
        let esdp = ESDP::read(&bar).raw() & !(1 << pin);
        ESDP(esdp | 1 << (8 + pin) | u32::from(high) << pin).write(&bar);
    };
    let attempt = |lms: u32, fast: bool| {
        // Rate select, link mode, laser off and on.
        pin(5, fast);
        sleep(40);
        AUTOC::read(&bar).with(AUTOC::LMS, lms).with(AUTOC::RESTART_AN, 1).write(&bar);
        sleep(50);
        pin(3, true);
        bar.delay(Duration::from_micros(100));
        assert!(!up(&bar));
        pin(3, false);
        sleep(100);
        sleep(100);
        up(&bar).then(|| LINKS::read(&bar).get(LINKS::LINK_SPEED))
    };
    // After a reset of the whole, that of software, and with the cable out for a while.
    for reset in [CTRL::LRST.mask(), CTRL::RST.mask()] {
        CTRL(reset).write(&bar);
        sleep(50);
        assert_eq!(attempt(3, true), Some(3));
    }
    nic.set_link(false);
    assert_eq!((attempt(3, true), attempt(2, false)), (None, None));
    nic.set_link(true);
    assert_eq!(attempt(3, true), Some(3));
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

#[test]
fn a_module_that_comes_is_an_interrupt_cause() {
    let nic = nic(Model::I82599);
    let bar = nic.bar();
    let told = || {
        let bits = EICR::read(&bar);
        EICR(u32::MAX).write(&bar);
        bits.has(EICR::GPI_SDP2)
    };
    nic.set_module(false);
    nic.set_module(true);
    assert!(!told(), "GPIE does not say so");
    GPIE::read(&bar).with(GPIE::SDP2_GPIEN, 1).write(&bar);
    assert!(!told(), "it is in, but does not come");
    nic.set_module(false);
    assert!(!told());
    nic.set_module(true);
    assert!(told() && !told(), "once");
    // An output does not listen; an input that was one shows what is there.
    let esdp = ESDP::read(&bar).raw();
    ESDP(esdp & !PRESENT | PRESENT << 8).write(&bar);
    nic.set_module(false);
    nic.set_module(true);
    assert!(!told());
    ESDP(esdp & !PRESENT).write(&bar);
    assert_eq!(ESDP::read(&bar).raw() & PRESENT, PRESENT);
}

#[test]
fn the_link_can_be_forced() {
    let nic = nic(Model::I82599);
    let bar = nic.bar();
    nic.set_module(false);
    assert!(!up(&bar));
    AUTOC::read(&bar).with(AUTOC::FLU, 1).write(&bar);
    assert!(up(&bar));
    assert_eq!(LINKS::read(&bar).get(LINKS::LINK_SPEED), 3);
    AUTOC::read(&bar).with(AUTOC::FLU, 0).write(&bar);
    assert!(!up(&bar));
    MACC(0).with(MACC::FLU, 1).with(MACC::FS, 1).with(MACC::FSV, 2).write(&bar);
    assert!(up(&bar));
    assert_eq!(LINKS::read(&bar).get(LINKS::LINK_SPEED), 2);
    MACC(0).write(&bar);
    assert!(!up(&bar));
}

#[test]
fn the_pcs_blocks_agree_with_the_link() {
    let bar = nic(Model::I82599).bar();
    assert!(asked(|| up(&bar)) < 100);
    assert_eq!((PCSS1::read(&bar).raw(), PCSS2::read(&bar).raw()), (1 << 2, 0x8001));
    assert_eq!((PCS1GLSTA::read(&bar).raw(), PCS1GANLP::read(&bar).raw()), (0, 0));
    // 1 Gbit/s without negotiation, and with it.
    for (lms, negotiated) in [(0, false), (2, true)] {
        AUTOC::read(&bar).with(AUTOC::LMS, lms).with(AUTOC::RESTART_AN, 1).write(&bar);
        assert!(!PCS1GLSTA::read(&bar).has(PCS1GLSTA::LINK_OK));
        assert!(asked(|| up(&bar)) < 100);
        let status = PCS1GLSTA::read(&bar);
        assert!(status.has(PCS1GLSTA::LINK_OK) && status.has(PCS1GLSTA::SYNC_OK));
        assert_eq!(status.has(PCS1GLSTA::AN_COMPLETE), negotiated);
        assert!(!status.has(PCS1GLSTA::AN_TIMEDOUT));
        let offers = PCS1GANLP::read(&bar).raw();
        assert_eq!(offers & 1 << 7 != 0, negotiated, "symmetric pauses");
        assert_eq!(PCSS2::read(&bar).raw() & 1 << 10, 1 << 10, "nothing at 10 Gbit/s");
    }
}

#[test]
fn analog_registers_are_read_and_written_through_one() {
    let nic = nic(Model::I82599);
    let bar = nic.bar();
    let read = |at: u32| {
        CORECTL(0).with(CORECTL::LATCH, 1).with(CORECTL::ADDRESS, at).write(&bar);
        CORECTL::read(&bar).get(CORECTL::DATA)
    };
    assert_eq!((read(1), read(3), read(4)), (0x17, 0x02, 0), "as the EEPROM has them");
    for at in 0..=0xff {
        CORECTL(0).with(CORECTL::ADDRESS, at).with(CORECTL::DATA, at ^ 0x5a).write(&bar);
    }
    assert!((0..=0xff).all(|at| read(at) == at ^ 0x5a));
    CTRL(0).with(CTRL::RST, 1).write(&bar);
    assert!(asked(|| !CTRL::read(&bar).has(CTRL::RST)) < 100);
    assert_eq!(read(1), 0x5b, "the link stays as it is");
    nic.function_reset();
    assert!(asked(|| !CTRL::read(&bar).has(CTRL::RST)) < 100);
    assert_eq!(read(1), 0x17);
}

/// A NIC whose last driver left it in whatever state, as the next one finds it.
#[test]
fn a_driver_finds_the_nic_as_after_power_on() {
    let nic = nic(Model::I82599);
    let bar = nic.bar();
    let fresh = || {
        assert!(asked(|| EEMNGCTL::read(&bar).has(EEMNGCTL::CFG_DONE0)) < 100);
        assert!(!CTRL_EXT::read(&bar).has(CTRL_EXT::DRV_LOAD));
        assert!(!RXCTRL::read(&bar).has(RXCTRL::RXEN));
        assert_eq!((EIMS::read(&bar).raw(), GPIE::read(&bar).raw()), (0, 0));
        assert_eq!((SW_FW_SYNC::read(&bar).raw(), SWSM::read(&bar).raw()), (0, 0));
        let factps = FACTPS::read(&bar);
        assert!(factps.has(FACTPS::LAN0_VALID) && !factps.has(FACTPS::LFS));
        assert_eq!(ESDP::read(&bar).raw() & (PRESENT | LASER_OFF), PRESENT);
    };
    fresh();
    CTRL_EXT::read(&bar).with(CTRL_EXT::DRV_LOAD, 1).write(&bar);
    assert!(CTRL_EXT::read(&bar).has(CTRL_EXT::DRV_LOAD));
    RXCTRL(1).write(&bar);
    EIMS(0xffff).write(&bar);
    GPIE(0x4000_0004).write(&bar);
    SW_FW_SYNC(0xffff_ffff).write(&bar);
    assert_eq!(SW_FW_SYNC::read(&bar).raw(), 0x3ff);
    ESDP(ESDP::read(&bar).raw() | LASER_OFF).write(&bar);
    nic.function_reset();
    fresh();
}

#[test]
fn what_is_the_firmwares_stays_the_firmwares() {
    let bar = nic(Model::I82599).bar();
    for at in [FWSM::META.offset, EEMNGCTL::META.offset, FACTPS::META.offset] {
        let before = bar.read32(at);
        bar.write32(at, !before);
        assert_eq!(bar.read32(at), before, "{at:#x}");
    }
}
