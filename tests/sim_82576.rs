//! What is the 82576's own on its software NIC.

mod kit;

use barewire::Batch;
use barewire::drivers::igb::regs::{MDIC, STATUS, SW_FW_SYNC, SWSM};
use barewire::drivers::sim::{Model, SimNic};
use barewire::mmio::{Bar, Register};
use barewire::port::{LinkStatus, PortConfig};
use kit::{fill, numbered, pool, start};

fn nic(wire: &str) -> SimNic {
    kit::nic(Model::I82576, wire, |_| {})
}

/// Writes a register of the PHY as another driver might have left it.
fn phy_write(nic: &SimNic, register: u32, value: u16) {
    let bar = nic.bar();
    let command = MDIC(value.into()).with(MDIC::PHYADD, 1).with(MDIC::REGADD, register);
    command.with(MDIC::OP, 1).write(&bar);
    bar.delay(std::time::Duration::from_millis(1));
    assert!(MDIC::read(&bar).has(MDIC::READY));
}

const UP: LinkStatus = LinkStatus { up: true, speed_mbps: 1_000, full_duplex: true };

#[test]
fn the_link_comes_up_however_the_phy_was_left() {
    // Powered down, isolated and in loopback; as it comes.
    for control in [0x0800 | 0x0400 | 0x4000, 0x1140] {
        let nic = nic("loopback");
        phy_write(&nic, 0, control);
        let mut port = nic.open_port().expect("open");
        let before = nic.violations().len();
        let pool = pool(1024);
        let _q = port.start(&PortConfig::default(), &pool).expect("start");
        assert_eq!(port.link().expect("link"), UP, "{control:#x}");
        port.stop().expect("stop");
        assert_eq!(nic.violations().len(), before);
    }
}

#[test]
fn a_lost_link_is_told_and_comes_back() {
    let nic = nic("loopback");
    let mut port = nic.open_port().expect("open");
    let pool = pool(1024);
    let _q = start(&mut port, &PortConfig::default(), &pool);
    nic.set_link(false);
    assert_eq!(port.link().expect("link"), LinkStatus::DOWN);
    nic.set_link(true);
    assert_eq!(port.link().expect("link"), LinkStatus::DOWN, "the PHYs negotiate first");
    nic.advance(std::time::Duration::from_millis(500));
    assert_eq!(port.link().expect("link"), UP);
}

#[test]
fn semaphores_that_a_killed_process_left_are_taken() {
    let nic = nic("loopback");
    let bar = nic.bar();
    assert!(!SWSM::read(&bar).has(SWSM::SMBI));
    SWSM(0).with(SWSM::SMBI, 1).with(SWSM::SWESMBI, 1).write(&bar);
    SW_FW_SYNC(0).with(SW_FW_SYNC::SW_EEP, 1).with(SW_FW_SYNC::SW_PHY0, 1).write(&bar);
    phy_write(&nic, 0, 0x0800);
    let began = nic.violations().len();
    let mut port = nic.open_port().expect("open");
    let pool = pool(1024);
    let _q = start(&mut port, &PortConfig::default(), &pool);
    assert_eq!(SW_FW_SYNC::read(&bar).raw(), 0, "and given back");
    assert!(!SWSM::read(&bar).has(SWSM::SMBI));
    assert_eq!(nic.violations()[began..], []);
}

#[test]
fn firmware_that_keeps_the_nvm_is_waited_for_in_vain() {
    let nic = nic("none");
    SW_FW_SYNC(0).with(SW_FW_SYNC::FW_EEP, 1).write(&nic.bar());
    match nic.open_port() {
        Err(barewire::Error::Timeout { register: "SW_FW_SYNC", .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_sixteen_queues_carry_traffic() {
    let nic = nic("probe");
    let mut port = nic.open_port().expect("open");
    let pool = pool(4096);
    let cfg = PortConfig { rx_queues: 16, tx_queues: 16, rxd: 64, ..PortConfig::default() };
    let mut q = start(&mut port, &cfg, &pool);
    let mut cache = pool.cache();
    for src in 0..640 {
        nic.inject_frame(&kit::udp(src, 80));
    }
    nic.step_until_idle(200);
    let mut back = Batch::new(640);
    let counts: Vec<_> = q.rx.iter_mut().map(|rx| rx.rx_burst(&mut cache, &mut back)).collect();
    assert!(counts.iter().all(|n| *n > 0), "{counts:?}");
    let stats = port.stats().expect("stats");
    assert_eq!(counts.iter().sum::<usize>() as u64, stats.rx_packets);
    assert_eq!(stats.rx_packets + stats.rx_no_descriptor, 640);
    for (n, tx) in (0u32..).zip(&mut q.tx) {
        let mut out = Batch::new(1);
        out.push(fill(&mut cache, &numbered(n, 100)).expect("a buffer")).expect("room");
        assert_eq!(tx.tx_burst(&mut cache, &mut out), 1);
    }
    nic.step_until_idle(100);
    assert_eq!(nic.take_sent().len(), 16);
    assert_eq!((nic.faults(), nic.violations()), (vec![], vec![]));
    assert!(STATUS::read(&nic.bar()).has(STATUS::LU));
}
