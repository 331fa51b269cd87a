//! The driver against a register file that logs: order of the steps, and every way of failing.

use std::sync::Arc;
use std::time::Duration;

mod bounds;
mod chips;
mod fake;

use fake::{Chip82576, Fake};

use super::regs::*;
use super::{Igb, ids};
use crate::drivers::intel::tests::fake::{
    Event, FakeHost, FarMap, MAC, ascending, bus, free, pool, sets, when,
};
use crate::drivers::intel::tests::lives::{self, config};
use crate::error::{Error, Result};
use crate::mmio::{Access, Bar, Register};
use crate::port::{Control, FlowControl, MacAddr, PortConfig, Queues};

/// For the tests that both families have.
struct E82576;

impl lives::Family for E82576 {
    type Model = Chip82576;
    type Chip = ids::Chip;
    const STATUS: u32 = STATUS::META.offset;
    const PATIENCE: Duration = Duration::from_secs(2);

    fn open(bar: &Fake) -> Result<Igb<Fake>> {
        open(bar)
    }
}

fn open(bar: &Fake) -> Result<Igb<Fake>> {
    open_as(bar, 0x10C9)
}

fn open_as(bar: &Fake, device: u16) -> Result<Igb<Fake>> {
    let host = Box::new(FakeHost(bar.clone()));
    Igb::open(bar.clone(), host, Arc::new(FarMap::default()), ids::VENDOR, device)
}

fn started(bar: &Fake) -> (Igb<Fake>, Queues) {
    lives::started::<E82576>(bar)
}

/// What the PHY is told: abilities to 100 Mb/s, 1000 Mb/s full duplex, negotiate.
const OFFER: [(u32, u32); 3] = [(4, 0x0de1), (9, 0x0200), (0, 0x1340)];

#[test]
fn opening_halts_what_ran_then_resets_and_reads_the_address() {
    let bar = Fake::new();
    let nic = open(&bar).unwrap();
    assert_eq!(nic.mac(), MAC);
    assert_eq!((nic.info().driver, nic.info().chip), ("igb", "82576"));
    assert_eq!((nic.info().max_rx_queues, nic.info().max_tx_queues), (16, 16));
    assert!(nic.info().max_mtu >= 9000);
    assert_eq!(nic.info().numa_node, Some(1));
    let log = bar.log();
    let off = |at: u32| log.iter().position(|e| *e == Event::Write(at, 0)).unwrap();
    ascending(&[
        ("mask", when::<IMC>(&log, 0, |r| r.raw() == u32::MAX)),
        ("mask queues", when::<EIMC>(&log, 0, |r| r.raw() == u32::MAX)),
        ("receive queue off", off(RXDCTL::META.offset_of(3))),
        ("receive off", when::<RCTL>(&log, 0, |r| !r.has(RCTL::RXEN))),
        ("transmit queue off", off(TXDCTL::META.offset_of(1))),
        ("transmit off", when::<TCTL>(&log, 0, |r| !r.has(TCTL::TXEN))),
        ("master disable", sets::<CTRL>(&log, 0, CTRL::GIO_DIS)),
        ("bus master off", bus(&log, false)),
        ("reset", sets::<CTRL>(&log, 0, CTRL::RST)),
        ("mask again", log.iter().rposition(|e| *e == Event::Write(0xd8, u32::MAX)).unwrap()),
    ]);
    assert!(!bar.state().bus_master);
    // Every reset enables queue 0, which may not be programmed while it is.
    assert!(!bar.peek::<RXDCTL>(0).has(RXDCTL::ENABLE));
    assert!(!bar.peek::<TXDCTL>(0).has(TXDCTL::ENABLE));
    // Every semaphore was given back.
    assert_eq!(bar.peek::<SW_FW_SYNC>(0).raw(), 0);
    assert_eq!(bar.peek::<SWSM>(0).raw(), 0);
}

#[test]
fn starting_keeps_the_datasheets_order() {
    let bar = Fake::new();
    let (_nic, queues) = started(&bar);
    assert_eq!((queues.rx.len(), queues.tx.len()), (2, 3));
    let log = bar.log();
    // What the halt in front of the reset did is another test's.
    let log = &log[sets::<CTRL>(&log, 0, CTRL::RST)..];
    for n in 0..2 {
        ascending(&[
            // Queue 0 is on after a reset, and its base may not change while it is.
            ("queue off", when::<RXDCTL>(log, n, |r| !r.has(RXDCTL::ENABLE))),
            ("ring address", when::<RDBAH>(log, n, |r| r.raw() == 0x77)),
            ("split control", sets::<SRRCTL>(log, n, SRRCTL::DESCTYPE)),
            ("bus master on", bus(log, true)),
            // RDT is ignored before this.
            ("receive on", sets::<RCTL>(log, 0, RCTL::RXEN)),
            ("queue on", sets::<RXDCTL>(log, n, RXDCTL::ENABLE)),
            ("buffers posted", when::<RDT>(log, n, |r| r.raw() == 63)),
        ]);
    }
    for n in 0..3 {
        ascending(&[
            ("queue off", when::<TXDCTL>(log, n, |r| !r.has(TXDCTL::ENABLE))),
            ("ring length", when::<TDLEN>(log, n, |r| r.raw() == 128 * 16)),
            ("transmit on", sets::<TCTL>(log, 0, TCTL::TXEN)),
            ("queue on", sets::<TXDCTL>(log, n, TXDCTL::ENABLE)),
        ]);
    }
    ascending(&[
        ("driver at work", sets::<CTRL_EXT>(log, 0, CTRL_EXT::DRV_LOAD)),
        ("negotiation", when::<MDIC>(log, 0, |r| r.get(MDIC::OP) == 1)),
        ("bus master on", bus(log, true)),
    ]);
    // The PHY was told to offer everything, powered up and told to negotiate, under its semaphore.
    assert_eq!(bar.state().model.phy_writes, OFFER);
    assert_eq!(bar.state().model.unguarded, 0);
    assert_eq!(bar.peek::<SW_FW_SYNC>(0).raw(), 0);
}

#[test]
fn started_registers_say_what_was_asked_for() {
    let bar = Fake::new();
    let (_nic, _queues) = started(&bar);
    let rctl = bar.peek::<RCTL>(0);
    for field in [RCTL::RXEN, RCTL::SECRC, RCTL::LPE, RCTL::BAM, RCTL::UPE, RCTL::MPE, RCTL::DPF] {
        assert!(rctl.has(field), "{}", field.name);
    }
    for field in [RCTL::SBP, RCTL::LBM, RCTL::VFE, RCTL::PMCF, RCTL::BSIZE] {
        assert!(!rctl.has(field), "{}", field.name);
    }
    assert_eq!(bar.peek::<RLPML>(0).raw(), 1500 + 14 + 8 + 4);
    let srrctl = bar.peek::<SRRCTL>(1);
    assert_eq!((srrctl.get(SRRCTL::BSIZEPACKET), srrctl.get(SRRCTL::DESCTYPE)), (2, 1));
    assert_eq!(srrctl.raw() >> 31, 1, "drop when full is bit 31 here");
    let rxcsum = bar.peek::<RXCSUM>(0);
    assert!(rxcsum.has(RXCSUM::PCSD) && rxcsum.has(RXCSUM::IPOFL) && rxcsum.has(RXCSUM::TUOFL));
    let order = bar.peek::<RXCTL>(0);
    assert_eq!(order.raw() & (1 << 11 | 1 << 13 | 1 << 15), 0);
    assert!(order.has(RXCTL::DESC_RD_RO));
    assert!(!bar.peek::<TXCTL>(2).has(TXCTL::DESC_WB_RO));
    let tctl = bar.peek::<TCTL>(0);
    assert!(tctl.has(TCTL::TXEN) && tctl.has(TCTL::PSP));
    // Reserved bits survive.
    assert_eq!(tctl.raw() | TCTL::RTLC.mask(), TCTL::META.reset | 1 << 24 | 1 << 1);
    // A report on some descriptors only wants no write-back threshold.
    assert_eq!(bar.peek::<TXDCTL>(1).get(TXDCTL::WTHRESH), 0);
    assert_eq!(bar.peek::<RXDCTL>(1).get(RXDCTL::WTHRESH), 1);
    // Two queues: entries in turn, both key ends, hashing on, over 16 queues.
    assert_eq!(bar.peek::<RETA>(31).raw(), 0x0100_0100);
    assert_eq!(bar.peek::<RSSRK>(9).raw(), 0x5a6d_5a6d);
    assert_eq!(bar.peek::<MRQC>(0).raw(), 0x00f3_0002);
    // No pause frames.
    let ctrl = bar.peek::<CTRL>(0);
    assert!(!ctrl.has(CTRL::RFCE) && !ctrl.has(CTRL::TFCE) && !ctrl.has(CTRL::VME));
    assert!(ctrl.has(CTRL::SLU) && !ctrl.has(CTRL::FRCSPD) && !ctrl.has(CTRL::FRCDPLX));
    assert_eq!(bar.peek::<FCRTH>(0).raw(), 0);
    // One interrupt line, everything masked, no auto-mask; both queues on EICR bit 0. Reading ICR
    // clears it, whether an interrupt was raised or not.
    assert_eq!((bar.peek::<GPIE>(0).raw(), bar.peek::<IAM>(0).raw()), (1, 0));
    assert_eq!((bar.peek::<IVAR>(0).raw(), bar.peek::<IVAR>(1).raw()), (0x80, 0x80));
    assert_eq!(bar.peek::<IVAR>(2).raw(), 0);
    let log = bar.log();
    assert!(!log.iter().any(|e| matches!(e, Event::Write(0xd0 | 0x1508 | 0x1524, _))));
}

#[test]
fn options_reach_their_registers() {
    let bar = Fake::new();
    let mut nic = open(&bar).unwrap();
    let mac = MacAddr([2, 0, 0, 0, 0, 9]);
    nic.set_mac(mac).unwrap();
    assert!(matches!(nic.set_mac(MacAddr::BROADCAST), Err(Error::Config { .. })));
    let cfg = PortConfig {
        mtu: 9000,
        promiscuous: false,
        allmulticast: false,
        vlan_strip: true,
        flow_control: FlowControl::Full,
        drop_when_full: false,
        rxd: 64,
        ..PortConfig::default()
    };
    let pool = pool();
    let _queues = nic.start(&cfg, &pool).unwrap();
    assert_eq!(nic.mac(), mac);
    assert_eq!(bar.peek::<RAL>(0).raw(), 2);
    assert_eq!(bar.peek::<RAH>(0).raw(), 0x8000_0900);
    assert_eq!(bar.peek::<RLPML>(0).raw(), 9026);
    assert!(!bar.peek::<SRRCTL>(0).has(SRRCTL::DROP_EN));
    let rctl = bar.peek::<RCTL>(0);
    assert!(!rctl.has(RCTL::UPE) && !rctl.has(RCTL::MPE) && rctl.has(RCTL::BAM));
    let ctrl = bar.peek::<CTRL>(0);
    assert!(ctrl.has(CTRL::VME) && ctrl.has(CTRL::RFCE) && ctrl.has(CTRL::TFCE));
    let (low, high) = (bar.peek::<FCRTL>(0), bar.peek::<FCRTH>(0));
    // 64 KiB of buffer, room for two more of the longest frames.
    assert_eq!(high.raw(), (64 * 1024 - 2 * 9022) & !0xf);
    assert!(low.has(FCRTL::XONE) && low.get(FCRTL::RTL) << 4 < high.raw());
    assert_eq!(bar.peek::<FCAL>(0).raw(), 0x00c2_8001);
    assert_eq!(bar.peek::<MRQC>(0).raw(), 0, "one queue needs no hashing");
    // On the fly, the receiver staying on and the address never valid while half written.
    bar.state().log.clear();
    nic.set_promiscuous(true).unwrap();
    nic.set_mac(MAC).unwrap();
    let log = bar.log();
    ascending(&[
        ("mode", sets::<RCTL>(&log, 0, RCTL::UPE)),
        ("invalid", when::<RAH>(&log, 0, |r| !r.has(RAH::AV))),
        ("low half", when::<RAL>(&log, 0, |r| r.raw() == 0x0121_1b02)),
        ("valid", sets::<RAH>(&log, 0, RAH::AV)),
    ]);
    assert!(!log.iter().any(|e| matches!(e, Event::Write(0x100, v) if v & 2 == 0)));
    nic.set_allmulticast(true).unwrap();
    nic.set_promiscuous(false).unwrap();
    let rctl = bar.peek::<RCTL>(0);
    assert!(!rctl.has(RCTL::UPE) && rctl.has(RCTL::MPE) && rctl.has(RCTL::RXEN));
    nic.attach(&pool).unwrap();
}

#[test]
fn pause_frames_leave_room_for_what_is_under_way() {
    let bar = Fake::new();
    let mut nic = open(&bar).unwrap();
    let cfg = PortConfig { flow_control: FlowControl::Full, ..config() };
    drop(nic.start(&cfg, &pool()).unwrap());
    // Two frames, the pause quanta that a partner may take (802.3 annex 31B), cable and PHYs.
    let room = 64 * 1024 - bar.peek::<FCRTH>(0).raw();
    assert!(room > 2 * 1526 + 1024, "{room}");
}

#[test]
fn what_cannot_be_started_is_refused_before_anything_is_touched() {
    let bar = Fake::new();
    let mut nic = open(&bar).unwrap();
    bar.state().log.clear();
    let pool = pool();
    let refused = |nic: &mut Igb<Fake>, cfg: PortConfig| match nic.start(&cfg, &pool) {
        Err(Error::Config { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut nic, PortConfig { rx_queues: 17, ..config() }), "receive queues");
    assert_eq!(refused(&mut nic, PortConfig { tx_queues: 17, ..config() }), "transmit queues");
    assert_eq!(refused(&mut nic, PortConfig { mtu: 9703, ..config() }), "MTU");
    assert_eq!(refused(&mut nic, PortConfig { rxd: 4096, rx_queues: 16, ..config() }), "pool size");
    assert!(matches!(nic.attach(&pool), Err(Error::State { .. })));
    assert_eq!(bar.log(), []);
    // The 82575, the 82576's virtual function, somebody else's chip.
    for (vendor, device) in [(0x8086, 0x10A7), (0x8086, 0x10CA), (0x1234, 0x10C9)] {
        let host = Box::new(FakeHost(bar.clone()));
        let nic = Igb::open(bar.clone(), host, Arc::new(FarMap::default()), vendor, device);
        assert!(matches!(nic, Err(Error::Unsupported { .. })));
    }
}

#[test]
fn stopping_halts_then_takes_the_bus_away_then_resets() {
    let bar = Fake::new();
    let (mut nic, queues) = started(&bar);
    bar.state().log.clear();
    let pool = pool();
    nic.stop().unwrap();
    let log = bar.log();
    ascending(&[
        ("mask", when::<IMC>(&log, 0, |_| true)),
        ("receive queue off", when::<RXDCTL>(&log, 1, |r| !r.has(RXDCTL::ENABLE))),
        ("receive off", when::<RCTL>(&log, 0, |r| !r.has(RCTL::RXEN))),
        ("transmit queue off", when::<TXDCTL>(&log, 2, |r| !r.has(TXDCTL::ENABLE))),
        ("transmit off", when::<TCTL>(&log, 0, |r| !r.has(TCTL::TXEN))),
        ("master disable", sets::<CTRL>(&log, 0, CTRL::GIO_DIS)),
        ("bus master off", bus(&log, false)),
        ("reset", sets::<CTRL>(&log, 0, CTRL::RST)),
    ]);
    assert!(!bar.peek::<CTRL_EXT>(0).has(CTRL_EXT::DRV_LOAD));
    drop(queues);
    drop(nic.start(&config(), &pool).unwrap());
}

#[test]
fn counters_add_up_and_tell_when_they_stuck() {
    let bar = Fake::new();
    let (mut nic, queues) = started(&bar);
    let set = |m: u32, v: u32| bar.poke(m, v);
    for _ in 0..2 {
        // Of 20 frames that the MAC passed on, a queue dropped three.
        set(GPRC::META.offset, 20);
        set(GORCL::META.offset, 20 * 64);
        set(GORCH::META.offset, 1);
        set(RQDPC::META.offset_of(1), 2);
        set(RQDPC::META.offset_of(15), 1);
        set(MPC::META.offset, 2);
        set(RNBC::META.offset, 99);
        set(CRCERRS::META.offset, 4);
        set(ROC::META.offset, 6);
        set(RUC::META.offset, 1);
        set(RLEC::META.offset, 7);
        set(GPTC::META.offset, 8);
        set(GOTCL::META.offset, 8 * 64);
        set(XONTXC::META.offset, 1);
        set(XOFFTXC::META.offset, 1);
        set(XOFFRXC::META.offset, 9);
        nic.stats().unwrap();
    }
    let s = nic.stats().unwrap();
    assert_eq!((s.rx_packets, s.rx_no_descriptor, s.rx_missed), (34, 6, 4));
    assert_eq!(s.rx_bytes, 2 * (20 * 60 + (1 << 32)));
    assert_eq!((s.rx_crc_errors, s.rx_length_errors), (8, 14));
    assert_eq!((s.tx_packets, s.tx_bytes), (16, 16 * 60));
    assert_eq!((s.pause_tx, s.pause_rx), (4, 18));
    assert!(s.saturated.is_empty());
    // A frame that was counted before one look and dropped after it.
    set(RQDPC::META.offset_of(0), 1);
    assert_eq!(nic.stats().unwrap().rx_packets, 33);
    // 12 bits are all that a queue's counter has.
    set(RQDPC::META.offset_of(0), 0xfff);
    set(GPRC::META.offset, u32::MAX);
    assert_eq!(nic.stats().unwrap().saturated, ["RQDPC", "GPRC"]);
    // Frames counted until the stop are still reported after it; a new start begins at zero.
    let before = nic.stats().unwrap().rx_packets;
    set(GPRC::META.offset, 1);
    nic.stop().unwrap();
    assert_eq!(nic.stats().unwrap().rx_packets, before + 1);
    drop(queues);
    let _queues = nic.start(&config(), &pool()).unwrap();
    assert_eq!(nic.stats().unwrap(), Default::default());
}

#[test]
fn the_register_dump_disturbs_nothing() {
    let bar = Fake::new();
    let (nic, _queues) = started(&bar);
    bar.poke(GPRC::META.offset, 5);
    bar.poke(ICR::META.offset, 0x80);
    bar.state().log.clear();
    let dump = nic.registers();
    assert_eq!((bar.peek::<GPRC>(0).raw(), bar.peek::<SWSM>(0).raw()), (5, 0));
    assert_eq!(bar.log(), []);
    let rdt = dump.iter().find(|r| r.name == "RDT" && r.index == 1).unwrap();
    assert_eq!((rdt.offset, rdt.value), (0xc058, 63));
    let clears = |name| table().any(|r| r.name == name && r.access == Access::Rc);
    assert!(dump.iter().all(|r| !clears(r.name) && r.name != "ICR" && r.name != "MDICNFG"));
}

/// As the public headers have them: RXE, then TCPE and IPE.
#[test]
fn descriptors_say_damage_where_this_family_says_it() {
    use super::{Flavor, IgbFlavor};
    assert_eq!(IgbFlavor::RX_DAMAGED, 0x8000_0000);
    assert_eq!(0b01_u64 << IgbFlavor::RX_CHECKSUM_ERRORS, 0x2000_0000);
    assert_eq!(0b10_u64 << IgbFlavor::RX_CHECKSUM_ERRORS, 0x4000_0000);
}

#[test]
fn the_interrupt_is_one_cause_masked_by_hand() {
    use crate::drivers::intel::Silicon;
    use crate::port::Causes;
    let bar = Fake::new();
    let chip = ids::find(ids::VENDOR, 0x10C9).unwrap();
    let causes = chip.causes(&bar);
    bar.state().log.clear();
    causes.unmask();
    causes.mask();
    assert_eq!(bar.log(), [Event::Write(0xd0, 0x80), Event::Write(0xd8, u32::MAX)]);
    bar.poke(ICR::META.offset, 0x8000_0094);
    assert_eq!(causes.take(), 0x80);
    bar.poke(ICR::META.offset, 0x8000_0004);
    assert_eq!(causes.take(), 0);
}
