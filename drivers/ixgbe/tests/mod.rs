//! The driver against a register file that logs: order of the steps, and every way of failing.

use std::sync::Arc;
use std::time::Duration;

mod bounds;
mod fake;

use fake::{Chip82599, Fake};

use super::regs::*;
use super::{Ixgbe, ids};
use crate::drivers::intel::tests::fake::{
    Event, FakeHost, FarMap, MAC, ascending, bus, free, pool, sets, when,
};
use crate::drivers::intel::tests::lives::{self, config};
use crate::error::{Error, Result};
use crate::mmio::{Access, Bar, Register};
use crate::port::{Control, FlowControl, MacAddr, PortConfig, Queues};

/// For the tests that both families have.
struct X520;

impl lives::Family for X520 {
    type Model = Chip82599;
    type Chip = ids::Chip;
    const STATUS: u32 = STATUS::META.offset;
    const PATIENCE: Duration = Duration::from_secs(3);

    fn open(bar: &Fake) -> Result<Ixgbe<Fake>> {
        open(bar)
    }
}

fn open(bar: &Fake) -> Result<Ixgbe<Fake>> {
    open_as(bar, 0x10FB)
}

fn open_as(bar: &Fake, device: u16) -> Result<Ixgbe<Fake>> {
    let host = Box::new(FakeHost(bar.clone()));
    Ixgbe::open(bar.clone(), host, Arc::new(FarMap::default()), ids::VENDOR, device)
}

fn started(bar: &Fake) -> (Ixgbe<Fake>, Queues) {
    lives::started::<X520>(bar)
}

#[test]
fn opening_halts_what_ran_then_resets_and_reads_the_address() {
    let bar = Fake::new();
    let nic = open(&bar).unwrap();
    assert_eq!(nic.mac(), MAC);
    assert_eq!(nic.info().chip, "82599ES");
    assert_eq!((nic.info().max_rx_queues, nic.info().max_tx_queues), (16, 64));
    assert!(nic.info().max_mtu >= 9000);
    assert_eq!(nic.info().numa_node, Some(1));
    let log = bar.log();
    let off = |at: u32| log.iter().position(|e| *e == Event::Write(at, 0)).unwrap();
    ascending(&[
        ("mask", when::<EIMC>(&log, 0, |r| r.raw() == 0x7fff_ffff)),
        ("receive queue off", off(RXDCTL::META.offset_of(3))),
        ("second-block receive queue off", off(rx_reg(&RXDCTL::META, 100))),
        ("transmit queue off", off(TXDCTL::META.offset_of(100))),
        ("master disable", sets::<CTRL>(&log, 0, CTRL::GIO_DIS)),
        ("bus master off", bus(&log, false)),
        ("reset", when::<CTRL>(&log, 0, |r| r.has(CTRL::RST) && r.has(CTRL::LRST))),
        ("mask again", log.iter().rposition(|e| *e == Event::Write(0x888, 0x7fff_ffff)).unwrap()),
    ]);
    assert!(!bar.state().bus_master);
}

#[test]
fn starting_keeps_the_datasheets_order() {
    let bar = Fake::new();
    let (_nic, queues) = started(&bar);
    assert_eq!((queues.rx.len(), queues.tx.len()), (2, 3));
    let log = bar.log();
    for n in 0..2 {
        ascending(&[
            ("reset", sets::<CTRL>(&log, 0, CTRL::RST)),
            ("driver at work", sets::<CTRL_EXT>(&log, 0, CTRL_EXT::DRV_LOAD)),
            ("ring address", when::<RDBAH>(&log, n, |r| r.raw() == 0x77)),
            ("split control", sets::<SRRCTL_ALIAS>(&log, n, SRRCTL::DESCTYPE)),
            ("bus master on", bus(&log, true)),
            ("queue on", sets::<RXDCTL>(&log, n, RXDCTL::ENABLE)),
            ("buffers posted", when::<RDT>(&log, n, |r| r.raw() == 63)),
            ("receive on", sets::<RXCTRL>(&log, 0, RXCTRL::RXEN)),
            ("no-snoop off", sets::<CTRL_EXT>(&log, 0, CTRL_EXT::NS_DIS)),
        ]);
    }
    for n in 0..3 {
        ascending(&[
            ("arbiter off", sets::<RTTDCS>(&log, 0, RTTDCS::ARBDIS)),
            ("mode", when::<MTQC>(&log, 0, |r| r.raw() == 0)),
            (
                "arbiter on",
                log.iter()
                    .rposition(|e| matches!(e, Event::Write(0x4900, v) if v & 0x40 == 0))
                    .unwrap(),
            ),
            ("ring length", when::<TDLEN>(&log, n, |r| r.raw() == 128 * 16)),
            ("thresholds", sets::<TXDCTL>(&log, n, TXDCTL::PTHRESH)),
            ("bus master on", bus(&log, true)),
            ("transmit on", sets::<DMATXCTL>(&log, 0, DMATXCTL::TE)),
            ("queue on", sets::<TXDCTL>(&log, n, TXDCTL::ENABLE)),
        ]);
    }
    // The receive path stood still while RXEN changed.
    let on = sets::<RXCTRL>(&log, 0, RXCTRL::RXEN);
    let held = |e: &Event| matches!(e, Event::Write(0x8d00, v) if v & 2 != 0);
    let released = |e: &Event| matches!(e, Event::Write(0x8d00, v) if v & 2 == 0);
    assert!(log[..on].iter().rposition(held) > log[..on].iter().rposition(released));
    assert!(log[on..].iter().any(released));
}

#[test]
fn started_registers_say_what_was_asked_for() {
    let bar = Fake::new();
    let (_nic, _queues) = started(&bar);
    // CRC strip agrees in both places.
    assert!(bar.peek::<HLREG0>(0).has(HLREG0::RXCRCSTRP));
    assert!(bar.peek::<RDRXCTL>(0).has(RDRXCTL::CRCSTRIP));
    assert_eq!(bar.peek::<RDRXCTL>(0).get(RDRXCTL::RSCFRSTSIZE), 0);
    assert!(
        bar.peek::<HLREG0>(0).has(HLREG0::TXCRCEN) && bar.peek::<HLREG0>(0).has(HLREG0::TXPADEN)
    );
    assert_eq!(bar.peek::<MAXFRS>(0).get(MAXFRS::MFS), 1500 + 14 + 8 + 4);
    let srrctl = bar.peek::<SRRCTL_ALIAS>(1);
    assert_eq!(srrctl.get(SRRCTL::BSIZEPACKET), 2);
    assert_eq!(srrctl.get(SRRCTL::DESCTYPE), 1);
    assert!(srrctl.has(SRRCTL::DROP_EN));
    let dca = bar.peek::<DCA_RXCTRL>(0);
    assert_eq!(dca.raw() & (1 << 12 | 1 << 13 | 1 << 15), 0);
    assert!(dca.has(DCA_RXCTRL::DESC_RD_RO));
    assert!(!bar.peek::<DCA_TXCTRL>(2).has(DCA_TXCTRL::DESC_WB_RO));
    // Reserved bits survive.
    assert_eq!(bar.peek::<DTXMXSZRQ>(0).raw(), 0xabc0_0fff);
    assert_eq!(bar.peek::<TXPBSIZE>(0).get(TXPBSIZE::SIZE), 160);
    assert_eq!(bar.peek::<RXPBSIZE>(0).get(RXPBSIZE::SIZE), 512);
    assert_eq!(bar.peek::<RXPBSIZE>(1).raw() | bar.peek::<TXPBSIZE>(7).raw(), 0);
    assert_eq!(bar.peek::<TXPBTHRESH>(0).get(TXPBTHRESH::THRESH), 150);
    assert_eq!(bar.peek::<FCRTH>(0).raw(), 512 * 1024 - 0x6000);
    assert_eq!(bar.peek::<FCCFG>(0).raw(), 0);
    assert_eq!(bar.state().model.cleared_credits, (0..128).collect::<Vec<_>>());
    // Two queues: entries in turn, both key ends, hashing on.
    assert_eq!(bar.peek::<RETA>(31).raw(), 0x0100_0100);
    assert_eq!(bar.peek::<RSSRK>(9).raw(), 0x5a6d_5a6d);
    assert_eq!(bar.peek::<MRQC>(0).raw(), 0x00f3_0001);
    assert_eq!(bar.peek::<RQSMR>(3).raw(), 0x0f0e_0d0c);
    assert_eq!(bar.peek::<TQSM>(4).raw(), 0x0302_0100);
    let fctrl = bar.peek::<FCTRL>(0);
    assert!(fctrl.has(FCTRL::UPE) && fctrl.has(FCTRL::MPE) && fctrl.has(FCTRL::BAM));
    assert!(!fctrl.has(FCTRL::SBP));
    assert!(bar.peek::<MFLCN>(0).has(MFLCN::DPF) && !bar.peek::<MFLCN>(0).has(MFLCN::RFCE));
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
        flow_control: FlowControl::Full,
        drop_when_full: false,
        rxd: 64,
        ..PortConfig::default()
    };
    let pool = pool();
    let _queues = nic.start(&cfg, &pool).unwrap();
    assert_eq!(nic.mac(), mac);
    assert_eq!(bar.peek::<RAL_ALIAS>(0).raw(), 2);
    assert_eq!(bar.peek::<RAH_ALIAS>(0).raw(), 0x8000_0900);
    assert_eq!(bar.peek::<MAXFRS>(0).get(MAXFRS::MFS), 9026);
    assert!(bar.peek::<HLREG0>(0).has(HLREG0::JUMBOEN));
    assert!(!bar.peek::<SRRCTL_ALIAS>(0).has(SRRCTL::DROP_EN));
    assert_eq!(bar.peek::<FCTRL>(0).raw(), FCTRL::BAM.mask());
    assert!(bar.peek::<MFLCN>(0).has(MFLCN::RFCE));
    assert_eq!(bar.peek::<FCCFG>(0).get(FCCFG::TFCE), 1);
    assert!(bar.peek::<FCRTH>(0).has(FCRTH::FCEN) && bar.peek::<FCRTL>(0).has(FCRTL::XONE));
    assert_eq!(bar.peek::<MRQC>(0).raw(), 0, "one queue needs no hashing");
    // On the fly, with the receiver off meanwhile.
    bar.state().log.clear();
    nic.set_promiscuous(true).unwrap();
    let log = bar.log();
    ascending(&[
        ("off", when::<RXCTRL>(&log, 0, |r| !r.has(RXCTRL::RXEN))),
        ("mode", sets::<FCTRL>(&log, 0, FCTRL::UPE)),
        ("on", sets::<RXCTRL>(&log, 0, RXCTRL::RXEN)),
    ]);
    nic.set_allmulticast(true).unwrap();
    nic.set_promiscuous(false).unwrap();
    let fctrl = bar.peek::<FCTRL>(0);
    assert!(!fctrl.has(FCTRL::UPE) && fctrl.has(FCTRL::MPE));
    nic.attach(&pool).unwrap();
}

#[test]
fn what_cannot_be_started_is_refused_before_anything_is_touched() {
    let bar = Fake::new();
    let mut nic = open(&bar).unwrap();
    bar.state().log.clear();
    let pool = pool();
    let refused = |nic: &mut Ixgbe<Fake>, cfg: PortConfig| match nic.start(&cfg, &pool) {
        Err(Error::Config { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut nic, PortConfig { rx_queues: 17, ..config() }), "receive queues");
    assert_eq!(refused(&mut nic, PortConfig { tx_queues: 65, ..config() }), "transmit queues");
    assert_eq!(refused(&mut nic, PortConfig { mtu: 9703, ..config() }), "MTU");
    assert_eq!(refused(&mut nic, PortConfig { rxd: 4096, rx_queues: 16, ..config() }), "pool size");
    assert!(matches!(nic.attach(&pool), Err(Error::State { .. })));
    assert_eq!(bar.log(), []);
    let ids = [(0x8086, 0x10B6), (0x1234, 0x10FB)];
    for (vendor, device) in ids {
        let host = Box::new(FakeHost(bar.clone()));
        let nic = Ixgbe::open(bar.clone(), host, Arc::new(FarMap::default()), vendor, device);
        assert!(matches!(nic, Err(Error::Unsupported { .. })));
    }
}

#[test]
fn stopping_halts_then_takes_the_bus_away_then_resets() {
    let bar = Fake::new();
    let (mut nic, queues) = started(&bar);
    bar.state().log.clear();
    nic.stop().unwrap();
    let log = bar.log();
    ascending(&[
        ("mask", when::<EIMC>(&log, 0, |_| true)),
        ("receive off", when::<RXCTRL>(&log, 0, |r| !r.has(RXCTRL::RXEN))),
        ("receive queue off", when::<RXDCTL>(&log, 1, |r| !r.has(RXDCTL::ENABLE))),
        ("transmit queue off", when::<TXDCTL>(&log, 2, |r| !r.has(TXDCTL::ENABLE))),
        ("master disable", sets::<CTRL>(&log, 0, CTRL::GIO_DIS)),
        ("bus master off", bus(&log, false)),
        ("reset", sets::<CTRL>(&log, 0, CTRL::RST)),
    ]);
    assert!(!bar.peek::<CTRL_EXT>(0).has(CTRL_EXT::DRV_LOAD));
    drop(queues);
    drop(nic.start(&config(), &pool()).unwrap());
}

#[test]
fn pending_requests_are_flushed_and_reset_away_twice() {
    let bar = Fake::new();
    let (mut nic, _queues) = started(&bar);
    bar.state().log.clear();
    bar.trouble(|t| t.stuck = Some((STATUS::META.offset, 0)));
    nic.stop().unwrap();
    let log = bar.log();
    ascending(&[
        ("loopback", sets::<HLREG0>(&log, 0, HLREG0::LPBK)),
        ("flush", sets::<GCR_EXT>(&log, 0, GCR_EXT::BUFFERS_CLEAR)),
        ("reset", sets::<CTRL>(&log, 0, CTRL::RST)),
    ]);
    let resets =
        log.iter().filter(|e| matches!(e, Event::Write(0, v) if v & CTRL::RST.mask() != 0));
    assert_eq!(resets.count(), 2);
    // The bus was taken away, so the memory is free all the same.
    bar.trouble(|t| t.stuck = None);
    drop(_queues);
    drop(nic.start(&config(), &pool()).unwrap());
}

#[test]
fn an_unreliable_eeprom_is_refused() {
    let bar = Fake::new();
    bar.model(|m| m.bad_eeprom = true);
    let why = open(&bar).unwrap_err().to_string();
    assert!(why.contains("0xbabb instead of 0xbaba"), "{why}");
    bar.model(|m| m.no_eeprom = true);
    assert!(matches!(open(&bar), Err(Error::Eeprom { .. })));
}

#[test]
fn a_blank_station_address_is_made_up_and_a_wrong_one_refused() {
    let bar = Fake::new();
    bar.model(|m| m.address = Some(MacAddr::default()));
    let made_up = open(&bar).unwrap().mac();
    assert!(made_up.is_station() && made_up.0[0] == 0x02, "{made_up}");
    assert_eq!(open(&bar).unwrap().mac(), made_up, "always the same");
    for wrong in [MacAddr::BROADCAST, MacAddr([1, 0, 0, 0, 0, 0])] {
        bar.model(|m| m.address = Some(wrong));
        assert!(matches!(open(&bar), Err(Error::Eeprom { .. })), "{wrong}");
    }
}

#[test]
fn later_chips_keep_their_link_and_have_less_buffer() {
    let bar = Fake::new();
    let mut nic = open_as(&bar, 0x1528).unwrap();
    assert_eq!(nic.info().chip, "X540-AT2");
    let _queues = nic.start(&config(), &pool()).unwrap();
    let log = bar.log();
    assert!(sets::<CTRL>(&log, 0, CTRL::RST) > 0);
    assert!(!log.iter().any(|e| matches!(e, Event::Write(0, v) if v & CTRL::LRST.mask() != 0)));
    assert_eq!(bar.peek::<RXPBSIZE>(0).get(RXPBSIZE::SIZE), 384);
    assert_eq!(bar.peek::<FCRTH>(0).get(FCRTH::RTH) << 5, 384 * 1024 - 0x6000);
    // The X553's EEC is elsewhere; looked for in the old place it never gets ready.
    bar.model(|m| m.moved_eec = true);
    drop(open_as(&bar, 0x15C2).unwrap());
    assert!(matches!(open(&bar), Err(Error::Timeout { register: "EEC", .. })));
}

fn asks_phy(bar: &Fake) -> bool {
    bar.log().iter().any(|e| matches!(e, Event::Write(at, _) if *at == MSCA::META.offset))
}

#[test]
fn a_phy_that_sleeps_is_woken_and_a_forced_link_is_not_believed() {
    const LOW_POWER: u32 = 1 << 11;
    for (device, phy) in [(0x1528, 0), (0x1563, 3)] {
        let bar = Fake::new();
        bar.model(|m| {
            (m.phy, m.phy_control) = (phy, LOW_POWER | 0x8001);
            m.macc = MACC(0).with(MACC::FLU, 1).with(MACC::FSV, 3).raw();
        });
        let mut nic = open_as(&bar, device).unwrap();
        let _queues = nic.start(&config(), &pool()).unwrap();
        assert_eq!(bar.state().model.phy_control, 0x8001);
        assert_eq!(bar.peek::<MACC>(0), MACC(0).with(MACC::FSV, 3));
        // Given back.
        assert_eq!((bar.peek::<SW_FW_SYNC>(0).raw(), bar.peek::<SWSM>(0).raw()), (0, 0));
    }
    // No other PHY is asked, an 82599's, an X552's, an X553's.
    for device in [0x10FB, 0x15AD, 0x15E4] {
        let bar = Fake::new();
        bar.model(|m| m.moved_eec = device == 0x15E4);
        let mut nic = open_as(&bar, device).unwrap();
        let _queues = nic.start(&config(), &pool()).unwrap();
        assert!(!asks_phy(&bar));
    }
}

#[test]
fn a_phy_that_firmware_keeps_or_that_is_not_there_stops_nobody() {
    let bar = Fake::new();
    let mut nic = open_as(&bar, 0x1528).unwrap();
    bar.model(|m| m.sync = SW_FW_SYNC::FW_PHY0.mask());
    let queues = nic.start(&config(), &pool()).unwrap();
    assert!(!asks_phy(&bar));
    assert_eq!(bar.peek::<SW_FW_SYNC>(0).raw(), SW_FW_SYNC::FW_PHY0.mask());
    nic.stop().unwrap();
    drop(queues);
    // A dead owner's is taken.
    let left = SW_FW_SYNC(0).with(SW_FW_SYNC::SW_PHY0, 1).with(SW_FW_SYNC::REGSMP, 1);
    bar.model(|m| (m.sync, m.phy) = (left.raw(), 99));
    let _queues = nic.start(&config(), &pool()).unwrap();
    assert_eq!(bar.peek::<SW_FW_SYNC>(0).raw(), 0);
}

#[test]
fn a_missing_link_is_waited_for_but_is_no_error() {
    let bar = Fake::new();
    bar.model(|m| m.no_link = true);
    let (mut nic, _queues) = started(&bar);
    assert!(bar.now() >= config().link_wait);
    assert!(!nic.link().unwrap().up);
    // A negotiation was asked for, in the mode that the board's EEPROM has chosen.
    assert_eq!(bar.peek::<AUTOC>(0).raw(), AUTOC::META.reset | AUTOC::RESTART_AN.mask());
    for (speed, mbps) in [(3, 10_000), (2, 1_000), (1, 100)] {
        bar.poke(
            LINKS::META.offset,
            LINKS(0).with(LINKS::LINK_UP, 1).with(LINKS::LINK_SPEED, speed).raw(),
        );
        assert_eq!(nic.link().unwrap().speed_mbps, mbps);
    }
}

#[test]
fn counters_add_up_and_tell_when_they_stuck() {
    let bar = Fake::new();
    let (mut nic, _queues) = started(&bar);
    let set = |m: u32, v: u32| bar.poke(m, v);
    for _ in 0..2 {
        set(QPRC::META.offset_of(0), 10);
        set(QPRC::META.offset_of(15), 5);
        set(QBRC_L::META.offset_of(0), 700);
        set(QBRC_H::META.offset_of(0), 1);
        set(QPRDC::META.offset_of(1), 3);
        set(MPC::META.offset_of(0), 2);
        set(GPRC::META.offset, 17);
        set(CRCERRS::META.offset, 4);
        set(ROC::META.offset, 6);
        // Eight frames of 64 bytes with CRC and two pause frames.
        set(GPTC::META.offset, 10);
        set(GOTCL::META.offset, 640);
        set(LXONTXC::META.offset, 1);
        set(LXOFFTXC::META.offset, 1);
        set(LXOFFRXCNT::META.offset, 9);
        nic.stats().unwrap();
    }
    let s = nic.stats().unwrap();
    assert_eq!(s.rx_packets, 30);
    assert_eq!(s.rx_bytes, 2 * (700 + (1 << 32)));
    assert_eq!((s.rx_no_descriptor, s.rx_missed), (6, 4));
    assert_eq!((s.rx_crc_errors, s.rx_length_errors), (8, 12));
    assert_eq!((s.tx_packets, s.tx_bytes), (16, 16 * 60));
    assert_eq!((s.pause_tx, s.pause_rx), (4, 18));
    assert!(s.saturated.is_empty());
    set(QPRC::META.offset_of(3), u32::MAX);
    set(GOTCL::META.offset, u32::MAX);
    set(GOTCH::META.offset, 0xf);
    assert_eq!(nic.stats().unwrap().saturated, ["QPRC", "GOTCL"]);
    // Frames counted until the stop are still reported after it; a new start begins at zero.
    set(QPRC::META.offset_of(0), 1);
    nic.stop().unwrap();
    assert_eq!(nic.stats().unwrap().rx_packets, 31 + u64::from(u32::MAX));
    drop(_queues);
    let _queues = nic.start(&config(), &pool()).unwrap();
    assert_eq!(nic.stats().unwrap(), Default::default());
}

#[test]
fn the_register_dump_disturbs_nothing() {
    let bar = Fake::new();
    let (nic, _queues) = started(&bar);
    bar.poke(GPRC::META.offset, 5);
    bar.state().log.clear();
    let dump = nic.registers();
    assert_eq!(bar.peek::<GPRC>(0).raw(), 5);
    assert_eq!(bar.log(), []);
    let rdt = dump.iter().find(|r| r.name == "RDT" && r.index == 1).unwrap();
    assert_eq!((rdt.offset, rdt.value), (0x1058, 63));
    let clears = |name| table().any(|r| r.name == name && r.access == Access::Rc);
    assert!(dump.iter().all(|r| !clears(r.name)));
}
