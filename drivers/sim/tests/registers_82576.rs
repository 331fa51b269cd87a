//! Registers of the 82576 that do something.

use std::time::Duration;

use super::registers::asked;
use super::rig::{Rig, udp};
use crate::drivers::igb::regs::{
    CTRL, EECD, EEMNGCTL, EERD, EICR, EICS, EIMC, EIMS, GPIE, IAM, ICR, ICS, IMC, IMS, MDIC, RAH,
    RAL, RAL_ALIAS, RDT, RDT_ALIAS, RXDCTL, STATUS, SW_FW_SYNC, TCTL, TDH, TDT, TXDCTL,
};
use crate::drivers::sim::{Model, Rule, SimBar, SimNic};
use crate::mmio::{Bar, Register};

const BMCR: u32 = 0;
const BMSR: u32 = 1;
const LINK: u16 = 1 << 2;
const COMPLETE: u16 = 1 << 5;

fn nic() -> SimNic {
    super::registers::nic(Model::I82576)
}

/// An MDIC command to the PHY at `phy`; its answer.
fn mdic(bar: &SimBar, phy: u32, op: u32, at: u32, data: u16) -> MDIC {
    let command = MDIC(data.into()).with(MDIC::PHYADD, phy).with(MDIC::REGADD, at);
    command.with(MDIC::OP, op).write(bar);
    assert!(!MDIC::read(bar).has(MDIC::READY), "the bus is slow");
    bar.delay(Duration::from_micros(64));
    let answer = MDIC::read(bar);
    assert!(answer.has(MDIC::READY));
    answer
}

fn phy_read(bar: &SimBar, at: u32) -> u16 {
    let answer = mdic(bar, 1, 2, at, 0);
    assert!(!answer.has(MDIC::ERROR));
    answer.get(MDIC::DATA) as u16
}

fn phy_write(bar: &SimBar, at: u32, value: u16) {
    assert!(!mdic(bar, 1, 1, at, value).has(MDIC::ERROR));
}

#[test]
fn a_reset_takes_its_time_and_loads_the_address_last() {
    let bar = nic().bar();
    let own = u32::from_le_bytes([2, 3, 4, 5]);
    assert_eq!(RAL::read(&bar).raw(), own, "powered on long ago");
    CTRL(0).with(CTRL::RST, 1).write(&bar);
    assert!(CTRL::read(&bar).has(CTRL::RST));
    RAL(77).write_at(&bar, 5);
    assert_eq!(RAL::read_at(&bar, 5).raw(), 0, "nobody is at home");
    assert!((1..100).contains(&asked(|| !CTRL::read(&bar).has(CTRL::RST))));
    assert!(!EECD::read(&bar).has(EECD::AUTO_RD) && EECD::read(&bar).has(EECD::PRES));
    assert_eq!((RAL::read(&bar).raw(), RAH::read(&bar).raw()), (0, 0));
    assert!((1..100).contains(&asked(|| EECD::read(&bar).has(EECD::AUTO_RD))));
    assert!((0..100).contains(&asked(|| EEMNGCTL::read(&bar).has(EEMNGCTL::CFG_DONE0))));
    assert!(RAH::read(&bar).has(RAH::AV));
    assert_eq!(RAL_ALIAS::read(&bar).raw(), own, "the older place");
    // Queue 0 is enabled, the others are not.
    assert!(RXDCTL::read(&bar).has(RXDCTL::ENABLE) && TXDCTL::read(&bar).has(TXDCTL::ENABLE));
    assert!((1..16).all(|n| !RXDCTL::read_at(&bar, n).has(RXDCTL::ENABLE)));
    // The clock alone does it, too.
    CTRL(0).with(CTRL::RST, 1).write(&bar);
    bar.delay(Duration::from_millis(10));
    assert!(!CTRL::read(&bar).has(CTRL::RST) && EECD::read(&bar).has(EECD::AUTO_RD));
}

#[test]
fn the_nvm_holds_the_address_and_sums_up() {
    let bar = nic().bar();
    let word = |at: u32| {
        EERD(0).with(EERD::START, 1).with(EERD::ADDR, at).write(&bar);
        assert!(!EERD::read(&bar).has(EERD::DONE));
        assert!(asked(|| EERD::read(&bar).has(EERD::DONE)) < 100);
        EERD::read(&bar).get(EERD::DATA) as u16
    };
    assert_eq!([word(0), word(1), word(2)], [0x0302, 0x0504, 0x0706]);
    assert_eq!((0..=0x3f).fold(0u16, |sum, at| sum.wrapping_add(word(at))), 0xBABA);
}

#[test]
fn the_phy_answers_at_its_address_only() {
    let bar = nic().bar();
    assert_eq!((phy_read(&bar, 2), phy_read(&bar, 3) & 0xfff0), (0x02a8, 0x0390));
    assert!(mdic(&bar, 2, 2, 2, 0).has(MDIC::ERROR));
    phy_write(&bar, 2, 0x1234);
    assert_eq!(phy_read(&bar, 2), 0x02a8, "read-only");
    phy_write(&bar, 4, 0x01e1);
    assert_eq!(phy_read(&bar, 4), 0x01e1);
    phy_write(&bar, BMCR, 1 << 15);
    assert_eq!(phy_read(&bar, BMCR), 0x1140 | 1 << 15, "it resets");
    bar.delay(Duration::from_millis(1));
    assert_eq!((phy_read(&bar, BMCR), phy_read(&bar, 4)), (0x1140, 0x0de1));
}

#[test]
fn the_link_is_negotiated_and_needs_slu() {
    let nic = nic();
    let bar = nic.bar();
    let up = || STATUS::read(&bar).has(STATUS::LU);
    let both = LINK | COMPLETE;
    phy_read(&bar, BMSR);
    assert_eq!(phy_read(&bar, BMSR) & both, both, "negotiated at power-on");
    assert!(!up(), "the MAC was not told to take notice");
    CTRL::read(&bar).with(CTRL::SLU, 1).write(&bar);
    assert!(up());
    assert_eq!(STATUS::read(&bar).get(STATUS::SPEED), 2, "1 Gbit/s");
    assert!(phy_read(&bar, 10) & 1 << 11 != 0, "so can the partner");
    // Anew, with 100 Mbit/s at most.
    phy_write(&bar, 9, 0);
    phy_write(&bar, BMCR, 0x1140 | 1 << 9);
    assert_eq!(phy_read(&bar, BMCR), 0x1140, "the restart bit clears itself");
    assert_eq!(phy_read(&bar, BMSR) & both, 0);
    assert!(!up());
    bar.delay(Duration::from_millis(400));
    assert_eq!(phy_read(&bar, BMSR) & both, 0);
    bar.delay(Duration::from_millis(100));
    assert_eq!(phy_read(&bar, BMSR) & both, COMPLETE, "it was lost since the last look");
    assert_eq!(phy_read(&bar, BMSR) & both, both);
    assert_eq!((up(), STATUS::read(&bar).get(STATUS::SPEED)), (true, 1));
    // A reset of the function does not touch it; one of the PHY does.
    CTRL(0).with(CTRL::RST, 1).write(&bar);
    bar.delay(Duration::from_millis(10));
    assert_eq!(phy_read(&bar, BMSR) & both, both);
    assert!(!up());
    CTRL(0).with(CTRL::PHY_RST, 1).with(CTRL::SLU, 1).write(&bar);
    assert!(STATUS::read(&bar).has(STATUS::PHYRA));
    STATUS(0).write(&bar);
    assert!(!STATUS::read(&bar).has(STATUS::PHYRA));
    CTRL(0).with(CTRL::SLU, 1).write(&bar);
    assert_eq!(phy_read(&bar, BMSR) & both, 0);
    assert!((1..100).contains(&asked(up)), "by how often software looks, too");
    assert_eq!(STATUS::read(&bar).get(STATUS::SPEED), 2);
    // Without power there is no link, nor when the cable is out.
    phy_write(&bar, BMCR, 0x1140 | 1 << 11);
    bar.delay(Duration::from_secs(1));
    assert!(!up());
    phy_write(&bar, BMCR, 0x1140);
    bar.delay(Duration::from_secs(1));
    assert!(up());
    nic.step();
    ICR::read(&bar);
    nic.set_link(false);
    nic.step();
    assert!(ICR::read(&bar).has(ICR::LSC) && !up());
}

#[test]
fn interrupt_causes_and_masks() {
    let bar = nic().bar();
    IMS(0b110).write(&bar);
    IMC(0b010).write(&bar);
    assert_eq!((IMS::read(&bar).raw(), IMC::read(&bar).raw()), (0b100, 0b100));
    ICS(0b1001).write(&bar);
    ICR(0b0001).write(&bar);
    // Causes that raised nothing stay, unless nothing is enabled or reading is to clear always.
    assert_eq!((ICR::read(&bar).raw(), ICR::read(&bar).raw()), (0b1000, 0b1000));
    GPIE(0).with(GPIE::NSICR, 1).write(&bar);
    assert_eq!((ICR::read(&bar).raw(), ICR::read(&bar).raw()), (0b1000, 0), "reading clears");
    GPIE(0).write(&bar);
    IMC(u32::MAX).write(&bar);
    ICS(0b1000).write(&bar);
    assert_eq!((ICR::read(&bar).raw(), ICR::read(&bar).raw()), (0b1000, 0), "all is masked");
    IMS(0b100).write(&bar);
    ICS(0b100).write(&bar);
    IAM(0b100).write(&bar);
    let seen = ICR::read(&bar);
    assert_eq!((seen.with(ICR::INTA, 0).raw(), seen.has(ICR::INTA)), (0b100, true), "enabled");
    assert_eq!(IMS::read(&bar).raw(), 0, "masked by reading");
    EIMS(0b11).write(&bar);
    EIMC(0b01).write(&bar);
    EICS(0b111).write(&bar);
    EICR(0b001).write(&bar);
    assert_eq!(EIMS::read(&bar).raw(), 0b10);
    // Not cleared by reading where each cause has a vector of its own.
    GPIE(0).with(GPIE::MULTIPLE_MSIX, 1).write(&bar);
    assert_eq!(EICR::read(&bar).raw(), 0b110);
    GPIE(0).write(&bar);
    assert_eq!((EICR::read(&bar).raw(), EICR::read(&bar).raw()), (0b110, 0));
}

#[test]
fn master_disable_stops_dma_before_it_shows() {
    let mut rig = Rig::on(Model::I82576, 0, |_| {});
    let frame = udp(None, 100);
    rig.post(4);
    CTRL::read(&rig.bar).with(CTRL::GIO_DIS, 1).write(&rig.bar);
    let reads = asked(|| !STATUS::read(&rig.bar).has(STATUS::GIO_MASTER));
    assert!((1..100).contains(&reads), "{reads}");
    assert_eq!(rig.receive(&frame).len(), 0);
    CTRL::read(&rig.bar).with(CTRL::GIO_DIS, 0).write(&rig.bar);
    assert_eq!(rig.receive(&frame).len(), 2);
}

#[test]
fn a_queue_that_is_off_takes_no_tail() {
    let rig = Rig::on(Model::I82576, 0, |bar| {
        TDT(5).write_at(bar, 1);
        RDT(5).write(bar);
        assert_eq!((TDT::read_at(bar, 1).raw(), RDT::read(bar).raw()), (0, 0));
        TDH(7).write(bar);
    });
    // Switching it on starts it anew.
    assert_eq!((TDH::read(&rig.bar).raw(), RDT::read(&rig.bar).raw()), (0, 0));
    RDT(5).write(&rig.bar);
    assert_eq!(RDT::read(&rig.bar).raw(), 5);
}

#[test]
fn the_lawyer_objects() {
    let nic = nic();
    let bar = nic.bar();
    RDT_ALIAS(5).write_at(&bar, 3);
    TDT(5).write_at(&bar, 15);
    RXDCTL(1 << 25).write_at(&bar, 1);
    EERD(1).write(&bar);
    MDIC(0).write(&bar);
    SW_FW_SYNC(1).write(&bar);
    TCTL(TCTL::TXEN.mask()).write(&bar);
    TCTL(0).write(&bar);
    let found = nic.violations();
    for (rule, name) in [
        (Rule::TailBeforeReceive, "RDT"),
        (Rule::TailBeforeEnable, "RDT"),
        (Rule::TailBeforeEnable, "TDT"),
        (Rule::TailBeyondRing, "TDT"),
        (Rule::EnabledWithoutRing, "RXDCTL"),
        (Rule::NotOwned, "EERD"),
        (Rule::NotOwned, "MDIC"),
        (Rule::NotOwned, "SW_FW_SYNC"),
        (Rule::PathOffBeforeQueues, "TCTL"),
    ] {
        assert!(found.iter().any(|v| (v.rule, v.name) == (rule, name)), "{rule:?}: {found:?}");
    }
}
