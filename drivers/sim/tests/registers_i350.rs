//! What stock drivers go by on an 82576 and an I350 besides: PHY loopback, the PHYs' own registers,
//! the size of the NVM, registers that are tested with the queues off.

use super::registers::{asked, nic};
use super::rig::{Rig, udp};
use crate::drivers::igb::regs::later::PHPM;
use crate::drivers::igb::regs::{
    CTRL, EECD, EERD, MDIC, RDT, RXDCTL, RXPBS, STATUS, SW_FW_SYNC, TDT, TXPBS,
};
use crate::drivers::sim::{Model, SimBar};
use crate::mmio::{Bar, Register};

const BOTH: [Model; 2] = [Model::I82576, Model::I350];
const BMCR: u32 = 0;
const LOOPBACK_1000: u16 = 0x4140;

fn mdic(bar: &SimBar, op: u32, at: u32, data: u16) -> u16 {
    let command = MDIC(data.into()).with(MDIC::PHYADD, 1).with(MDIC::REGADD, at);
    command.with(MDIC::OP, op).write(bar);
    assert!(asked(|| MDIC::read(bar).has(MDIC::READY)) < 100);
    assert!(!MDIC::read(bar).has(MDIC::ERROR));
    MDIC::read(bar).get(MDIC::DATA) as u16
}

fn phy_write(bar: &SimBar, at: u32, value: u16) {
    mdic(bar, 1, at, value);
}

fn phy_read(bar: &SimBar, at: u32) -> u16 {
    mdic(bar, 2, at, 0)
}

fn word(bar: &SimBar, at: u32) -> u16 {
    EERD(0).with(EERD::START, 1).with(EERD::ADDR, at).write(bar);
    assert!(asked(|| EERD::read(bar).has(EERD::DONE)) < 100);
    EERD::read(bar).get(EERD::DATA) as u16
}

/// Sends a frame; how many have come back.
fn looped(rig: &mut Rig) -> usize {
    let frame = udp(None, 64);
    let (iova, m) = rig.buffer(&frame);
    // Legacy: end of packet, insert CRC, report status.
    rig.descriptor(iova, frame.len() as u64 | 0xb << 24);
    let sent = rig.send();
    rig.reclaim(m);
    rig.harvest().len() * 10 + sent.len()
}

#[test]
fn a_phy_in_loopback_returns_what_the_mac_sends() {
    for model in BOTH {
        let mut rig = Rig::on(model, 0, |bar| CTRL::read(bar).with(CTRL::SLU, 1).write(bar));
        rig.post(8);
        assert_eq!(looped(&mut rig), 1, "to the wire");
        rig.nic.set_link(false);
        if model == Model::I350 {
            phy_write(&rig.bar, 19, 0x8041);
        }
        phy_write(&rig.bar, BMCR, LOOPBACK_1000);
        assert_eq!(phy_read(&rig.bar, BMCR), LOOPBACK_1000);
        let forced = CTRL::read(&rig.bar).with(CTRL::FRCSPD, 1).with(CTRL::FRCDPLX, 1);
        forced.with(CTRL::SPEED, 2).write(&rig.bar);
        assert!(STATUS::read(&rig.bar).has(STATUS::LU));
        assert_eq!(looped(&mut rig), 10, "no cable is needed");
        // A reset of the PHY ends it.
        phy_write(&rig.bar, BMCR, phy_read(&rig.bar, BMCR) & !0x4000);
        phy_write(&rig.bar, BMCR, phy_read(&rig.bar, BMCR) | 0x8000);
        assert!(!STATUS::read(&rig.bar).has(STATUS::LU));
        rig.nic.set_link(true);
        assert!(asked(|| STATUS::read(&rig.bar).has(STATUS::LU)) < 100);
        assert_eq!(looped(&mut rig), 1);
    }
}

#[test]
fn the_phys_show_rate_and_cable_in_their_own_registers() {
    let bar = nic(Model::I82576).bar();
    // The page is written as the whole number of the register.
    phy_write(&bar, 31, 0x0011);
    assert_eq!(phy_read(&bar, 0x11) & 0xC000, 0xC000, "1000 Mbit/s");
    for pair in [0x11B1, 0x12B1, 0x14B1, 0x18B1] {
        phy_write(&bar, 31, pair);
        assert!((1..113).contains(&(phy_read(&bar, 0x11) >> 9 & 0x7f)), "gain");
    }
    let bar = nic(Model::I350).bar();
    assert_eq!(phy_read(&bar, 26) & 0x0300, 0x0200);
    assert_ne!(phy_read(&bar, 31) >> 2 & 0xff, 0xff, "a length");
    assert_eq!((phy_read(&bar, 2), phy_read(&bar, 3) & 0xfff0), (0x0154, 0x03b0));
}

#[test]
fn every_ports_nvm_section_is_within_its_size_and_sums_up() {
    for (model, ports) in [(Model::I82576, &[0u32][..]), (Model::I350, &[0, 0x80, 0xC0, 0x100])] {
        let bar = nic(model).bar();
        let size = 64 << EECD::read(&bar).get(EECD::SIZE);
        assert!((0x200..0x8000).contains(&size), "EERD reaches it all");
        for base in ports {
            let sum = (*base..base + 0x40).fold(0u16, |s, at| s.wrapping_add(word(&bar, at)));
            assert_eq!(sum, 0xBABA, "{base:#x}");
        }
        // The part number is text in a section whose length counts itself.
        assert_eq!(word(&bar, 8), 0xfafa);
        let part = u32::from(word(&bar, 9));
        let length = u32::from(word(&bar, part));
        let text: Vec<u8> = (1..length).flat_map(|n| word(&bar, part + n).to_be_bytes()).collect();
        assert!(part + length < size && text.is_ascii() && text.len() == 10);
    }
}

#[test]
fn a_queue_of_an_82576_takes_its_tail_as_soon_as_it_is_told_to_start() {
    let bar = nic(Model::I82576).bar();
    RDT(9).write_at(&bar, 3);
    assert_eq!(RDT::read_at(&bar, 3).raw(), 0, "it is off");
    RXDCTL(0).with(RXDCTL::ENABLE, 1).write_at(&bar, 3);
    RDT(9).write_at(&bar, 3);
    assert_eq!(RDT::read_at(&bar, 3).raw(), 9);
}

#[test]
fn an_i350_keeps_tails_of_queues_that_are_off() {
    let bar = nic(Model::I350).bar();
    for n in 0..8 {
        RDT(0x5a5a).write_at(&bar, n);
        TDT(0xffff).write_at(&bar, n);
        assert_eq!((RDT::read_at(&bar, n).raw(), TDT::read_at(&bar, n).raw()), (0x5a5a, 0xffff));
    }
}

#[test]
fn an_i350s_buffer_sizes_are_codes() {
    let bar = nic(Model::I350).bar();
    assert_eq!((RXPBS::read(&bar).raw(), TXPBS::read(&bar).raw()), (0, 0));
    assert_eq!(RXPBS::read(&nic(Model::I82576).bar()).raw(), 64);
}

#[test]
fn an_i350s_device_reset_is_remembered() {
    let bar = nic(Model::I350).bar();
    SW_FW_SYNC(0x100).write(&bar);
    let set = || STATUS::read(&bar).has(STATUS::DEV_RST_SET);
    CTRL(1 << 29).write(&bar);
    assert!(set());
    assert!((1..100).contains(&asked(|| CTRL::read(&bar).raw() & 1 << 29 == 0)));
    assert!(asked(|| EECD::read(&bar).has(EECD::AUTO_RD)) < 100);
    assert_eq!(SW_FW_SYNC::read(&bar).raw(), 0x100, "semaphores stay");
    let rest = STATUS::read(&bar).with(STATUS::DEV_RST_SET, 0).raw();
    STATUS(rest).write(&bar);
    assert!(set(), "cleared by a one");
    STATUS(rest).with(STATUS::DEV_RST_SET, 1).write(&bar);
    assert!(!set());
    // The 82576 has no such bit.
    let bar = nic(Model::I82576).bar();
    CTRL(1 << 29).write(&bar);
    assert_eq!(CTRL::read(&bar).raw() & 1 << 26, 0);
    assert!(!STATUS::read(&bar).has(STATUS::DEV_RST_SET));
}

#[test]
fn an_i350_can_be_told_to_leave_the_link() {
    let bar = nic(Model::I350).bar();
    CTRL::read(&bar).with(CTRL::SLU, 1).write(&bar);
    assert!(STATUS::read(&bar).has(STATUS::LU));
    PHPM(0).with(PHPM::GO_LINKD, 1).write(&bar);
    assert!(!STATUS::read(&bar).has(STATUS::LU));
    PHPM(0).write(&bar);
    assert!(STATUS::read(&bar).has(STATUS::LU));
}

/// Lines that nobody drives are high, and there is no sensor that would answer.
#[test]
fn the_two_wire_bus_of_an_i350_follows_software() {
    let bar = nic(Model::I350).bar();
    let (out, floats, level) = ([0x200, 0x400], [0x2000, 0x800], [0x4000, 0x1000]);
    for n in 0..2 {
        for (drive, high) in [(0, false), (out[n], true), (floats[n], true)] {
            bar.write32(0x102C, drive);
            assert_eq!(bar.read32(0x102C) & level[n] != 0, high, "{drive:#x}");
        }
    }
}
