//! Where the chips differ: NVM, link, queues, filters.

use super::*;
use crate::drivers::igb::regs::later::{
    DMACR, DTXMXPKTSZ, DVMOLR, MDICNFG, PHPM, RAH_24, TQAVCTRL,
};

#[test]
fn an_unreliable_nvm_is_refused() {
    let bar = Fake::new();
    bar.model(|m| m.bad_nvm = true);
    let why = open(&bar).unwrap_err().to_string();
    assert!(why.contains("0xbabb instead of 0xbaba"), "{why}");
    bar.model(|m| (m.bad_nvm, m.no_nvm) = (false, true));
    assert!(matches!(open(&bar), Err(Error::Eeprom { .. })));
    // The address, too.
    bar.model(|m| m.no_nvm = false);
    bar.trouble(|t| t.reads = Some((RAH::META.offset, RAH::AV.mask(), 0)));
    let why = open(&bar).unwrap_err().to_string();
    assert!(why.contains("station address"), "{why}");
}

#[test]
fn each_port_of_a_multi_port_chip_has_its_section() {
    let bar = Fake::new();
    // The fourth port's section is spoilt: an 82580 looks there only when word 3 says so.
    drop(open_as(&bar, 0x150E).unwrap());
    bar.model(|m| m.compatibility = 0x8000);
    for device in [0x150E, 0x1521] {
        let why = open_as(&bar, device).unwrap_err().to_string();
        assert!(why.contains("port 3"), "{why}");
    }
    drop(open(&bar).unwrap());
}

#[test]
fn an_i210_lives_without_flash() {
    let bar = Fake::new();
    bar.model(|m| (m.no_flash, m.no_nvm) = (true, true));
    let mut nic = open_as(&bar, 0x157B).unwrap();
    assert_eq!((nic.info().chip, nic.info().max_rx_queues), ("I210 flashless", 4));
    drop(nic.start(&config(), &pool()).unwrap());
    // Its PHY has pages, and the registers that are wanted are on the first.
    let writes = bar.state().model.phy_writes.clone();
    assert_eq!(writes[0], (22, 0));
    assert_eq!(writes[1..], OFFER);
    assert_eq!(open_as(&bar, 0x1539).unwrap().info().max_tx_queues, 2);
    // With flash, its checksum counts.
    bar.model(|m| (m.no_flash, m.bad_nvm) = (false, true));
    assert!(matches!(open_as(&bar, 0x1533), Err(Error::Eeprom { .. })));
}

#[test]
fn drop_counters_of_an_i210_are_cleared_by_hand() {
    let bar = Fake::new();
    let mut nic = open_as(&bar, 0x1533).unwrap();
    let cfg = PortConfig { rx_queues: 2, tx_queues: 2, rxd: 64, ..PortConfig::default() };
    let _queues = nic.start(&cfg, &pool()).unwrap();
    bar.poke(RQDPC::META.offset_of(1), 0x1_0000);
    bar.state().log.clear();
    assert_eq!(nic.stats().unwrap().rx_no_descriptor, 0x1_0000);
    assert!(bar.log().contains(&Event::Write(0xc070, 0)));
}

#[test]
fn drop_counters_of_an_82580_have_more_than_12_bits() {
    let bar = Fake::new();
    let mut nic = open_as(&bar, 0x150E).unwrap();
    let _queues = nic.start(&config(), &pool()).unwrap();
    for (count, saturated) in [(0x1_0000, false), (u32::MAX, true)] {
        bar.poke(RQDPC::META.offset_of(1), count);
        let (before, stats) = (nic.stats().unwrap(), nic.stats().unwrap());
        assert_eq!(before, stats);
        assert_eq!(stats.saturated.is_empty(), !saturated);
    }
    assert_eq!(nic.stats().unwrap().rx_no_descriptor, 0x1_0000 + u64::from(u32::MAX));
}

#[test]
fn the_crc_is_taken_out_by_every_queue_of_an_i210() {
    let bar = Fake::new();
    let mut nic = open_as(&bar, 0x1533).unwrap();
    // As a driver leaves it that keeps the CRC and strips tags.
    bar.state().log.clear();
    drop(nic.start(&PortConfig { vlan_strip: false, ..config() }, &pool()).unwrap());
    for n in 0..2 {
        when::<DVMOLR>(&bar.log(), n, |r| r.raw() == 0x8000_0000);
    }
    // Queues 2 and 3 are not used.
    let log = bar.log();
    assert!(!log.iter().any(|e| matches!(e, Event::Write(0xc0b8 | 0xc0f8, _))));
}

#[test]
fn what_the_kernel_s_driver_switched_on_is_undone() {
    let bar = Fake::new();
    // Resets of this fake clear everything, so the bits come back as somebody's who is stronger.
    bar.trouble(|t| t.reads = Some((DMACR::META.offset, 0xb000_0000, 0xb000_0000)));
    drop(open_as(&bar, 0x1533).unwrap());
    // Coalescing off, reserved bits kept.
    when::<DMACR>(&bar.log(), 0, |r| r.raw() == 0x3000_0000);
    bar.trouble(|t| t.reads = Some((TQAVCTRL::META.offset, 1, 1)));
    bar.state().log.clear();
    drop(open_as(&bar, 0x1533).unwrap());
    when::<TQAVCTRL>(&bar.log(), 0, |r| !r.has(TQAVCTRL::MODE));
    let buffers = (bar.peek::<RXPBS>(0).raw(), bar.peek::<TXPBS>(0).raw());
    assert_eq!(buffers, (0xa2, 0x0400_0014));
    assert_eq!(bar.peek::<DTXMXPKTSZ>(0).raw() * 64, 9728);
    // The other chips' buffers are nobody's business, and the 82576 does not coalesce.
    for device in [0x1539, 0x150E, 0x10C9] {
        bar.trouble(|t| t.reads = None);
        bar.state().log.clear();
        drop(open_as(&bar, device).unwrap());
        let writes = |at| bar.log().iter().any(|e| matches!(e, Event::Write(o, _) if *o == at));
        assert!(!writes(TXPBS::META.offset) && !writes(TQAVCTRL::META.offset), "{device:#x}");
        assert_eq!(writes(DMACR::META.offset), device != 0x10C9);
    }
}

#[test]
fn the_dump_has_each_chip_s_own_registers() {
    let bar = Fake::new();
    let names = |device, name: &str| {
        let nic = open_as(&bar, device).unwrap();
        nic.registers().iter().any(|r| r.name == name)
    };
    for (name, on) in [
        ("MDICNFG", [false, true, true, true]),
        ("DVMOLR", [false, false, true, true]),
        ("TQAVCTRL", [false, false, true, false]),
        ("INVM_DATA", [false, false, true, true]),
        ("RAH_24", [false; 4]),
    ] {
        let has = [0x10C9, 0x150E, 0x1533, 0x1539].map(|device| names(device, name));
        assert_eq!(has, on, "{name}");
    }
}

#[test]
fn each_port_has_its_own_phy_semaphore_and_done_bit() {
    let bar = Fake::new();
    bar.model(|m| m.port = 1);
    bar.trouble(|t| {
        let others = EEMNGCTL::CFG_DONE0.mask() | EEMNGCTL::CFG_DONE2.mask();
        t.reads = Some((EEMNGCTL::META.offset, others, 0));
    });
    let (mut nic, queues) = started(&bar);
    assert_eq!(bar.state().model.unguarded, 0);
    // The done bit of this port was found at once.
    let before = bar.now();
    drop(queues);
    nic.stop().unwrap();
    assert!(bar.now() - before < Duration::from_millis(9));
}

#[test]
fn a_link_that_is_up_or_belongs_to_a_bmc_is_left_alone() {
    let bar = Fake::new();
    bar.model(|m| m.linked = true);
    let (mut nic, _queues) = started(&bar);
    assert!(nic.link().unwrap().up);
    assert_eq!(bar.state().model.phy_writes, []);
    let bar = Fake::new();
    bar.model(|m| m.no_link = true);
    let kept = MANC::BLK_PHY_RST_ON_IDE.mask();
    bar.trouble(|t| t.reads = Some((MANC::META.offset, kept, kept)));
    let (mut nic, _queues) = started(&bar);
    assert!(!nic.link().unwrap().up);
    assert_eq!(bar.state().model.phy_writes, []);
    assert!(bar.peek::<CTRL>(0).has(CTRL::SLU));
}

#[test]
fn a_phy_that_has_its_link_is_left_alone_if_it_can_use_it() {
    let writes = |bmcr| {
        let bar = Fake::new();
        bar.model(|m| (m.phy_up, m.bmcr) = (true, Some(bmcr)));
        let (_nic, _queues) = started(&bar);
        let writes = bar.state().model.phy_writes.clone();
        writes.last().copied()
    };
    assert_eq!(writes(0x1140), None);
    // Powered down, isolated, looped back, without negotiation.
    for bmcr in [0x1940, 0x1540, 0x5140, 0x0140] {
        assert_eq!(writes(bmcr), Some((0, 0x1340)), "{bmcr:#x}");
    }
}

#[test]
fn a_missing_link_is_waited_for_but_is_no_error() {
    let bar = Fake::new();
    bar.model(|m| m.no_link = true);
    let (mut nic, _queues) = started(&bar);
    assert!(bar.now() >= config().link_wait);
    assert!(!nic.link().unwrap().up);
    for (speed, mbps) in [(3, 1_000), (2, 1_000), (1, 100), (0, 10)] {
        let up = STATUS(0).with(STATUS::LU, 1).with(STATUS::SPEED, speed);
        bar.poke(STATUS::META.offset, up.raw());
        let link = nic.link().unwrap();
        assert_eq!((link.up, link.speed_mbps, link.full_duplex), (true, mbps, false));
    }
    bar.poke(STATUS::META.offset, STATUS(0).with(STATUS::LU, 1).with(STATUS::FD, 1).raw());
    assert!(nic.link().unwrap().full_duplex);
}

#[test]
fn a_phy_that_answers_with_errors_leaves_the_port_usable() {
    let bar = Fake::new();
    bar.model(|m| (m.phy_error, m.no_link) = (true, true));
    let (mut nic, queues) = started(&bar);
    assert!(!nic.link().unwrap().up);
    assert_eq!(queues.rx.len(), 2);
}

#[test]
fn ports_without_a_phy_negotiate_by_the_pcs() {
    // Fibre: 1000 Mb/s full duplex, negotiated.
    let bar = Fake::new();
    bar.model(|m| m.link_mode = 3);
    let mut nic = open_as(&bar, 0x10E6).unwrap();
    let _queues = nic.start(&config(), &pool()).unwrap();
    let (ctrl, pcs) = (bar.peek::<CTRL>(0), bar.peek::<PCS_LCTL>(0));
    assert!(ctrl.has(CTRL::SLU) && ctrl.has(CTRL::FRCSPD) && ctrl.has(CTRL::FD));
    assert_eq!(ctrl.get(CTRL::SPEED), 2);
    assert!(pcs.has(PCS_LCTL::AN_ENABLE) && !pcs.has(PCS_LCTL::FSD));
    assert_eq!(bar.state().model.phy_writes, []);
    let link = nic.link().unwrap();
    assert_eq!((link.up, link.speed_mbps, link.full_duplex), (true, 1_000, true));
    // What STATUS says was forced, and is no link.
    bar.poke(PCS_LSTS::META.offset, 0);
    bar.poke(STATUS::META.offset, STATUS(0).with(STATUS::LU, 1).raw());
    assert!(!nic.link().unwrap().up);
    // A board whose NVM forbids to negotiate.
    let bar = Fake::new();
    bar.model(|m| (m.link_mode, m.compatibility) = (3, 1 << 14));
    let mut nic = open_as(&bar, 0x10E7).unwrap();
    drop(nic.start(&config(), &pool()).unwrap());
    let pcs = bar.peek::<PCS_LCTL>(0);
    assert!(!pcs.has(PCS_LCTL::AN_ENABLE) && pcs.has(PCS_LCTL::FSD));
    // SGMII: the PHY outside tells the speed.
    let bar = Fake::new();
    bar.model(|m| (m.link_mode, m.no_flash) = (2, true));
    let mut nic = open_as(&bar, 0x1538).unwrap();
    drop(nic.start(&config(), &pool()).unwrap());
    let (ctrl, pcs) = (bar.peek::<CTRL>(0), bar.peek::<PCS_LCTL>(0));
    assert!(!ctrl.has(CTRL::FRCSPD) && pcs.has(PCS_LCTL::AN_ENABLE));
    assert!(!pcs.has(PCS_LCTL::AN_TIMEOUT_EN));
}

#[test]
fn two_and_a_half_gigabits_of_an_i354_are_recognised() {
    let bar = Fake::new();
    // No section of this fake's is good for four ports, so the chip is asked by hand.
    bar.model(|m| m.link_mode = 1);
    let up = PCS_LSTS(0).with(PCS_LSTS::LINK_OK, 1).with(PCS_LSTS::SYNC_OK, 1);
    bar.poke(PCS_LSTS::META.offset, up.with(PCS_LSTS::SPEED, 2).raw());
    bar.poke(CTRL_EXT::META.offset, CTRL_EXT(0).with(CTRL_EXT::LINK_MODE, 1).raw());
    let sku = STATUS(0).with(STATUS::SKU_2500, 1);
    for (status, mbps) in [(sku, 2_500), (sku.with(STATUS::SKU_2500_OVER, 1), 1_000)] {
        bar.poke(STATUS::META.offset, status.raw());
        let link = super::super::link::status(&bar, ids::Family::I354).unwrap();
        assert_eq!((link.up, link.speed_mbps), (true, mbps));
    }
}

#[test]
fn later_chips_get_their_link_switched_on_and_their_own_tables_cleared() {
    let bar = Fake::new();
    let mut nic = open_as(&bar, 0x150E).unwrap();
    bar.trouble(|t| t.reads = Some((PHPM::META.offset, 1 << 5, 1 << 5)));
    bar.state().log.clear();
    drop(nic.start(&config(), &pool()).unwrap());
    let log = bar.log();
    when::<PHPM>(&log, 0, |r| !r.has(PHPM::GO_LINKD));
    let wrote =
        |at: u32| log.iter().filter(|e| matches!(e, Event::Write(o, _) if *o == at)).count();
    // 24 addresses, pools without virtual functions, queues 2n and 2n + 1 share an interrupt entry.
    assert_eq!((wrote(RAH_16::META.offset_of(7)), wrote(RAH_24::META.offset_of(0))), (1, 0));
    assert_eq!((wrote(UTA::META.offset_of(0)), wrote(VFTA::META.offset_of(9))), (1, 1));
    assert_eq!((bar.peek::<IVAR>(0).raw(), wrote(IVAR::META.offset_of(4))), (0x0080_0080, 0));
    assert_eq!((wrote(MDICNFG::META.offset), wrote(DVMOLR::META.offset_of(0))), (0, 0));
    // An I210 has no pools.
    let bar = Fake::new();
    super::super::filter::clear_tables(&bar, ids::Family::I210);
    let uta = Event::Write(UTA::META.offset, 0);
    assert!(!bar.log().contains(&uta));
    // An I350 can lose a write to its VLAN table.
    let bar = Fake::new();
    super::super::filter::clear_tables(&bar, ids::Family::I350);
    let log = bar.log();
    let wrote =
        |at: u32| log.iter().filter(|e| matches!(e, Event::Write(o, _) if *o == at)).count();
    assert_eq!((wrote(VFTA::META.offset_of(9)), wrote(RAH_24::META.offset_of(7))), (10, 1));
}
