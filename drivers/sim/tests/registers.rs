//! Registers that do something.

use super::rig::Rig;
use crate::drivers::igb::regs as igb;
use crate::drivers::ixgbe::regs::{
    AUTOC, CTRL, EEC, EERD, EICR, EICS, EIMC, EIMS, GPIE, LINKS, MSCA, RAH, RAL, RDRXCTL, STATUS,
    SWSM,
};
use crate::drivers::sim::{Drive, Model, SimConfig, SimNic};
use crate::mmio::{Bar, Register};
use crate::port::MacAddr;

pub(super) fn nic(chip: Model) -> SimNic {
    let mac = Some(MacAddr([2, 3, 4, 5, 6, 7]));
    let wire = "probe".to_owned();
    SimNic::new(&SimConfig {
        chip,
        mac,
        wire,
        lawyer: true,
        drive: Drive::Step,
        ..SimConfig::default()
    })
    .unwrap()
}

/// How often `done` must be asked until it says yes; at most 100.
pub(super) fn asked(mut done: impl FnMut() -> bool) -> usize {
    (0..100).take_while(|_| !done()).count()
}

#[test]
fn a_reset_takes_its_time_and_loads_the_address_last() {
    let bar = nic(Model::I82599).bar();
    assert_eq!(RAL::read(&bar).raw(), u32::from_le_bytes([2, 3, 4, 5]), "powered on long ago");
    CTRL(0).with(CTRL::RST, 1).write(&bar);
    assert!(CTRL::read(&bar).has(CTRL::RST));
    RAL(77).write_at(&bar, 5);
    assert_eq!(RAL::read_at(&bar, 5).raw(), 0, "nobody is at home");
    assert!((1..100).contains(&asked(|| !CTRL::read(&bar).has(CTRL::RST))));
    assert!(!EEC::read(&bar).has(EEC::AUTO_RD));
    assert_eq!((RAL::read(&bar).raw(), RAH::read(&bar).raw()), (0, 0));
    assert!((1..100).contains(&asked(|| EEC::read(&bar).has(EEC::AUTO_RD))));
    assert!(RAH::read(&bar).has(RAH::AV));
    assert!((1..100).contains(&asked(|| RDRXCTL::read(&bar).has(RDRXCTL::DMAIDONE))));
    // The clock alone does it, too.
    CTRL(0).with(CTRL::LRST, 1).write(&bar);
    bar.delay(std::time::Duration::from_millis(10));
    assert!(!CTRL::read(&bar).has(CTRL::LRST) && EEC::read(&bar).has(EEC::AUTO_RD));
}

#[test]
fn eeprom_words_come_when_they_are_done() {
    let bar = nic(Model::I82599).bar();
    let word = |at: u32| {
        EERD(0).with(EERD::START, 1).with(EERD::ADDR, at).write(&bar);
        assert!(!EERD::read(&bar).has(EERD::DONE));
        assert!(asked(|| EERD::read(&bar).has(EERD::DONE)) < 100);
        EERD::read(&bar).get(EERD::DATA) as u16
    };
    let lan = u32::from(word(0x09));
    assert_eq!(word(lan + 1), u16::from_le_bytes([2, 3]));
    assert_eq!(word(0x3fff), 0xffff);
}

#[test]
fn the_semaphore_is_taken_by_reading() {
    for (chip, at) in [(Model::I82599, SWSM::META.offset), (Model::I82576, igb::SWSM::META.offset)]
    {
        let bar = nic(chip).bar();
        let read = || SWSM(bar.read32(at));
        assert!(!read().has(SWSM::SMBI), "ours");
        assert!(read().has(SWSM::SMBI), "taken");
        bar.write32(at, SWSM(0).with(SWSM::SMBI, 1).with(SWSM::SWESMBI, 1).raw());
        assert!(read().has(SWSM::SWESMBI));
        bar.write32(at, 0);
        assert!(!read().has(SWSM::SMBI));
    }
}

#[test]
fn interrupt_causes_and_masks() {
    let bar = nic(Model::I82599).bar();
    EIMS(0b110).write(&bar);
    EIMC(0b010).write(&bar);
    assert_eq!(EIMS::read(&bar).raw(), 0b100);
    EICS(0b101).write(&bar);
    EICR(0b001).write(&bar);
    GPIE(0).with(GPIE::OCD, 1).write(&bar);
    assert_eq!((EICR::read(&bar).raw(), EICR::read(&bar).raw()), (0b100, 0b100));
    GPIE(0).write(&bar);
    assert_eq!((EICR::read(&bar).raw(), EICR::read(&bar).raw()), (0b100, 0));
}

#[test]
fn links_tells_of_losses_in_between() {
    let nic = nic(Model::I82599);
    let bar = nic.bar();
    LINKS::read(&bar);
    assert_eq!(LINKS::read(&bar).get(LINKS::LINK_SPEED), 3);
    assert!(LINKS::read(&bar).has(LINKS::LINK_STATUS));
    nic.step();
    EICR::read(&bar);
    nic.set_link(false);
    nic.step();
    assert!(EICR::read(&bar).has(EICR::LSC));
    assert!(!LINKS::read(&bar).has(LINKS::LINK_UP));
    nic.set_link(true);
    let first = LINKS::read(&bar);
    assert!(first.has(LINKS::LINK_UP) && !first.has(LINKS::LINK_STATUS), "it was lost");
    assert!(LINKS::read(&bar).has(LINKS::LINK_STATUS));
    AUTOC::read(&bar).with(AUTOC::RESTART_AN, 1).write(&bar);
    assert!(!LINKS::read(&bar).has(LINKS::LINK_UP), "it trains");
    assert!((1..100).contains(&asked(|| LINKS::read(&bar).has(LINKS::LINK_UP))));
    assert!(asked(|| !AUTOC::read(&bar).has(AUTOC::RESTART_AN)) < 100);
}

#[test]
fn accesses_that_nothing_answers() {
    for chip in Model::ALL {
        let nic = nic(chip);
        let bar = nic.bar();
        for offset in [0x2_0000, 0xffff_fffc, 2] {
            assert_eq!(bar.read32(offset), u32::MAX);
            bar.write32(offset, 1);
        }
        assert_eq!(bar.read32(0x1_fff8), 0, "inside the BAR, not in the table");
        nic.unplug();
        assert_eq!(bar.read32(STATUS::META.offset), u32::MAX);
        STATUS(0).write(&bar);
    }
}

#[test]
fn nobody_is_on_the_mdio_bus() {
    let bar = nic(Model::I82599).bar();
    MSCA(0).with(MSCA::MDICMD, 1).write(&bar);
    assert!((1..100).contains(&asked(|| !MSCA::read(&bar).has(MSCA::MDICMD))));
}

#[test]
fn a_reset_stops_the_data_path() {
    let mut rig = Rig::new();
    rig.post(8);
    assert_eq!(rig.receive(&super::rig::udp(None, 20)).len(), 1);
    CTRL(0).with(CTRL::RST, 1).write(&rig.bar);
    rig.nic.advance(std::time::Duration::from_millis(50));
    assert_eq!(rig.receive(&super::rig::udp(None, 20)).len(), 0);
}
