//! The driver of each chip on its software NIC, end to end: the same tests for all.

mod kit;

use barewire::drivers::igb::regs as igb;
use barewire::drivers::ixgbe::regs as ixgbe;
use barewire::drivers::sim::{Family, FaultKind, Inject, Model};
use barewire::mmio::{Bar, Register};
use barewire::pool::Checksum;
use barewire::port::{Port, PortConfig};
use barewire::{Batch, Error};
use kit::{Lcg, bytes, fill, nic, numbered, on_all, pool, start, udp, whole};

on_all! {
    ten_thousand_frames_loop_back_unharmed,
    jumbo_frames_arrive_as_chains_and_leave_as_chains,
    vlan_tags_stay_or_come_out_as_asked,
    rss_spreads_flows_and_keeps_each_on_its_queue,
    the_loss_ladder_reconciles,
    without_drop_enable_frames_wait_for_descriptors,
    a_card_that_vanishes_is_noticed_and_nothing_is_lost,
    lost_bus_mastering_is_reported_and_a_restart_repairs_it,
    a_revoked_mapping_is_a_device_error_with_its_place,
    ports_start_and_stop_again_and_again,
    a_spoilt_eeprom_is_refused,
    every_fault_leaves_the_driver_whole,
    the_mac_loops_back_inside_with_no_cable_in,
    a_queue_that_a_fault_stopped_starts_anew_when_it_is_enabled_again,
}

fn ten_thousand_frames_loop_back_unharmed(chip: Model) {
    let nic = nic(chip, "loopback", |_| {});
    let mut port = nic.open_port().expect("open");
    let pool = pool(4096);
    let mut q = start(&mut port, &PortConfig::default(), &pool);
    assert_eq!(nic.violations(), []);
    let mut cache = pool.cache();
    let mut random = Lcg(7);
    let (mut sent, mut came) = (0u32, 0u32);
    let (mut out, mut back) = (Batch::new(32), Batch::new(32));
    let mut lengths = std::collections::VecDeque::new();
    for _ in 0..1_000_000 {
        if came == 10_000 {
            break;
        }
        while out.room() > 0 && sent < 10_000 {
            let len = 60 + random.below(1455);
            let Some(packet) = fill(&mut cache, &numbered(sent, len)) else { break };
            out.push(packet).expect("room");
            lengths.push_back(len);
            sent += 1;
        }
        q.tx[0].tx_burst(&mut cache, &mut out);
        nic.step();
        q.rx[0].rx_burst(&mut cache, &mut back);
        for packet in back.iter() {
            let len = lengths.pop_front().expect("one was sent");
            assert_eq!(packet.data(), numbered(came, len), "frame {came}");
            came += 1;
        }
        back.clear();
    }
    assert_eq!((sent, came), (10_000, 10_000));
    assert_eq!(nic.faults(), []);
    assert_eq!(nic.violations(), []);
    let (stats, truth) = (port.stats().expect("stats"), nic.truth());
    assert_eq!((stats.tx_packets, stats.rx_packets), (10_000, 10_000));
    assert_eq!((stats.tx_bytes, stats.rx_bytes), (truth.sent_bytes, truth.delivered_bytes));
    assert_eq!(truth.unexplained(), 0);
    port.stop().expect("stop");
    drop((q, cache, out, back));
    assert_eq!(nic.violations(), []);
    whole(&pool);
}

fn jumbo_frames_arrive_as_chains_and_leave_as_chains(chip: Model) {
    let nic = nic(chip, "loopback", |_| {});
    let mut port = nic.open_port().expect("open");
    let pool = pool(2048);
    let cfg = PortConfig { mtu: 9000, ..PortConfig::default() };
    let mut q = start(&mut port, &cfg, &pool);
    let mut cache = pool.cache();
    let (mut out, mut back) = (Batch::new(8), Batch::new(8));
    let mut came = Vec::new();
    let lengths = [9014, 2048, 2049, 4096, 4097, 60, 8999, 6144, 9018];
    for (n, len) in (0u32..).zip(lengths) {
        let frame = numbered(n, len);
        let mut parts = frame.chunks(1900);
        let mut packet = fill(&mut cache, parts.next().expect("bytes")).expect("a buffer");
        for part in parts {
            packet.chain(fill(&mut cache, part).expect("a buffer"));
        }
        out.push(packet).expect("room");
        assert_eq!(q.tx[0].tx_burst(&mut cache, &mut out), 1);
        nic.step_until_idle(100);
        q.rx[0].rx_burst(&mut cache, &mut back);
        came.extend(back.iter().map(bytes));
        back.clear();
    }
    let want: Vec<_> = (0u32..).zip(lengths).map(|(n, len)| numbered(n, len)).collect();
    assert!(came == want, "{:?}", came.iter().map(Vec::len).collect::<Vec<_>>());
    assert_eq!((nic.faults(), nic.violations()), (vec![], vec![]));
    port.stop().expect("stop");
    drop((q, cache, out, back));
    whole(&pool);
}

fn vlan_tags_stay_or_come_out_as_asked(chip: Model) {
    let mut frame = numbered(7, 100);
    frame.splice(12..12, [0x81, 0x00, 0x20, 0x64]);
    for strip in [false, true] {
        let nic = nic(chip, "probe", |_| {});
        let mut port = nic.open_port().expect("open");
        let pool = pool(4096);
        let cfg = PortConfig { vlan_strip: strip, ..PortConfig::default() };
        let mut q = start(&mut port, &cfg, &pool);
        let mut cache = pool.cache();
        nic.inject_frame(&frame);
        nic.step_until_idle(100);
        let mut back = Batch::new(8);
        assert_eq!(q.rx[0].rx_burst(&mut cache, &mut back), 1);
        let packet = back.first().expect("a packet");
        if strip {
            assert_eq!((packet.vlan(), packet.data()), (Some(0x2064), &numbered(7, 100)[..]));
        } else {
            assert_eq!((packet.vlan(), packet.data()), (None, &frame[..]));
        }
    }
}

fn rss_spreads_flows_and_keeps_each_on_its_queue(chip: Model) {
    let nic = nic(chip, "probe", |_| {});
    let mut port = nic.open_port().expect("open");
    let pool = pool(4096);
    let cfg = PortConfig { rx_queues: 4, tx_queues: 4, rxd: 256, ..PortConfig::default() };
    let mut q = start(&mut port, &cfg, &pool);
    let mut cache = pool.cache();
    let mut home = std::collections::HashMap::new();
    let mut per_queue = [0u32; 4];
    for round in 0..4 {
        for src in 0..200u16 {
            nic.inject_frame(&udp(src, 80));
        }
        nic.step_until_idle(100);
        for (n, rx) in q.rx.iter_mut().enumerate() {
            let mut back = Batch::new(256);
            rx.rx_burst(&mut cache, &mut back);
            for packet in back.iter() {
                let hash = packet.rss_hash().expect("a hash");
                assert_eq!(hash % 128 % 4, n as u32);
                assert_eq!(packet.ip_checksum(), Checksum::Good);
                assert_eq!(packet.l4_checksum(), Checksum::Good);
                assert!(packet.packet_type().is_ipv4() && packet.packet_type().is_udp());
                let flow = packet.data()[26..38].to_vec();
                assert_eq!(*home.entry(flow).or_insert(n), n, "round {round}");
                per_queue[n] += 1;
            }
        }
    }
    assert_eq!(per_queue.iter().sum::<u32>(), 800);
    assert!(per_queue.iter().all(|n| *n > 80), "{per_queue:?}");
    // And every transmit queue sends.
    for (n, tx) in (0u32..).zip(&mut q.tx) {
        let mut out = Batch::new(1);
        out.push(fill(&mut cache, &numbered(n, 100)).expect("a buffer")).expect("room");
        assert_eq!(tx.tx_burst(&mut cache, &mut out), 1);
    }
    nic.step_until_idle(100);
    let mut sent = nic.take_sent();
    sent.sort();
    assert_eq!(sent, (0..4).map(|n| numbered(n, 100)).collect::<Vec<_>>());
    assert_eq!((nic.faults(), nic.violations()), (vec![], vec![]));
}

fn the_loss_ladder_reconciles(chip: Model) {
    let nic = nic(chip, "probe", |_| {});
    let mut port = nic.open_port().expect("open");
    let pool = pool(1024);
    let cfg =
        PortConfig { promiscuous: false, allmulticast: false, rxd: 64, ..PortConfig::default() };
    let mut q = start(&mut port, &cfg, &pool);
    let mut cache = pool.cache();
    let mac = port.mac().0;
    let mut mine = numbered(0, 200);
    mine[..6].copy_from_slice(&mac);
    for _ in 0..10 {
        nic.inject_frame(&mine);
        nic.inject_frame(&numbered(1, 200));
        nic.inject_frame(&[0xff; 60]);
        nic.inject_frame(&mine[..40]);
        nic.inject_frame(&vec![1; 1600]);
    }
    nic.probe().miss(3);
    nic.step_until_idle(100);
    let mut back = Batch::new(64);
    assert_eq!(q.rx[0].rx_burst(&mut cache, &mut back), 20);
    back.clear();
    for _ in 0..100 {
        nic.inject_frame(&mine);
    }
    nic.step_until_idle(100);
    let stats = port.stats().expect("stats");
    let truth = nic.truth();
    assert_eq!(truth.unexplained(), 0, "{truth:?}");
    assert_eq!((stats.rx_filtered, truth.filtered), (10, 10));
    assert_eq!((stats.rx_length_errors, truth.bad_length), (20, 20));
    assert_eq!((stats.rx_missed, truth.missed), (3, 3));
    assert_eq!(stats.rx_packets, truth.delivered);
    assert_eq!(stats.rx_no_descriptor, truth.no_descriptor);
    assert!(truth.no_descriptor >= 37, "{truth:?}");
    // The 82576 counts bytes in front of its queues: those dropped for want of a descriptor are in.
    let in_front = if chip.family() == Family::Igb { truth.no_descriptor * 200 } else { 0 };
    assert_eq!(stats.rx_bytes, truth.delivered_bytes + in_front);
    let again = port.stats().expect("stats");
    assert_eq!(stats, again, "nothing is counted twice");
}

fn without_drop_enable_frames_wait_for_descriptors(chip: Model) {
    let nic = nic(chip, "probe", |_| {});
    let mut port = nic.open_port().expect("open");
    let pool = pool(1024);
    let cfg = PortConfig { rxd: 64, drop_when_full: false, ..PortConfig::default() };
    let mut q = start(&mut port, &cfg, &pool);
    let mut cache = pool.cache();
    for n in 0..500 {
        nic.inject_frame(&numbered(n, 64));
    }
    nic.step_until_idle(100);
    assert!(nic.probe().waiting() > 400);
    let mut came = 0;
    let mut back = Batch::new(32);
    for _ in 0..200 {
        nic.step();
        q.rx[0].rx_burst(&mut cache, &mut back);
        for packet in back.iter() {
            assert_eq!(packet.data(), numbered(came, 64));
            came += 1;
        }
        back.clear();
    }
    assert_eq!((came, nic.truth().no_descriptor), (500, 0));
}

fn a_card_that_vanishes_is_noticed_and_nothing_is_lost(chip: Model) {
    let nic = nic(chip, "loopback", |_| {});
    let mut port = nic.open_port().expect("open");
    let pool = pool(2048);
    let mut q = start(&mut port, &PortConfig::default(), &pool);
    let mut cache = pool.cache();
    let mut out = Batch::new(32);
    for n in 0..32 {
        out.push(fill(&mut cache, &numbered(n, 64)).expect("a buffer")).expect("room");
    }
    q.tx[0].tx_burst(&mut cache, &mut out);
    nic.step();
    nic.unplug();
    nic.step_until_idle(50);
    assert!(matches!(port.stats(), Err(Error::Gone { .. })));
    assert!(matches!(port.link(), Err(Error::Gone { .. })));
    assert!(matches!(port.set_promiscuous(true), Err(Error::Gone { .. })));
    assert!(matches!(port.stop(), Err(Error::Gone { .. })));
    // The bursts go on without harm.
    let mut back = Batch::new(32);
    q.rx[0].rx_burst(&mut cache, &mut back);
    q.tx[0].tx_burst(&mut cache, &mut out);
    drop((q, port, cache, out, back));
    whole(&pool);
}

fn lost_bus_mastering_is_reported_and_a_restart_repairs_it(chip: Model) {
    let nic = nic(chip, "loopback", |_| {});
    let mut port = nic.open_port().expect("open");
    let pool = pool(2048);
    let mut q = start(&mut port, &PortConfig::default(), &pool);
    let mut cache = pool.cache();
    nic.lose_bus_master();
    for _ in 0..2 {
        assert!(matches!(port.stats(), Err(Error::BusMasterLost { .. })), "until it is repaired");
    }
    let mut out = Batch::new(1);
    out.push(fill(&mut cache, &numbered(0, 64)).expect("a buffer")).expect("room");
    q.tx[0].tx_burst(&mut cache, &mut out);
    nic.step_until_idle(50);
    port.stop().expect("stop");
    drop((q, out, cache));
    whole(&pool);

    let mut q = start(&mut port, &PortConfig::default(), &pool);
    let mut cache = pool.cache();
    let mut out = Batch::new(1);
    out.push(fill(&mut cache, &numbered(1, 64)).expect("a buffer")).expect("room");
    q.tx[0].tx_burst(&mut cache, &mut out);
    nic.step_until_idle(50);
    let mut back = Batch::new(32);
    assert_eq!(q.rx[0].rx_burst(&mut cache, &mut back), 1);
    // The model recorded what was due while it could do no DMA.
    let _ = port.stats();
    port.stats().expect("repaired");
}

fn a_revoked_mapping_is_a_device_error_with_its_place(chip: Model) {
    let nic = nic(chip, "probe", |_| {});
    let mut port = nic.open_port().expect("open");
    let pool = pool(1024);
    let mut q = start(&mut port, &PortConfig::default(), &pool);
    let mut cache = pool.cache();
    nic.iommu().revoke_buffers();
    nic.inject_frame(&numbered(0, 64));
    nic.step_until_idle(50);
    match port.stats() {
        Err(Error::Device { what, .. }) => {
            for needle in ["not mapped", "receive queue 0", "descriptor 0", "address 0x"] {
                assert!(what.contains(needle), "{what}");
            }
        }
        other => panic!("{other:?}"),
    }
    let mut out = Batch::new(1);
    out.push(fill(&mut cache, &numbered(0, 64)).expect("a buffer")).expect("room");
    q.tx[0].tx_burst(&mut cache, &mut out);
    nic.step_until_idle(50);
    let faults = nic.faults();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults.iter().all(|f| f.what == FaultKind::Unmapped));
    assert!(port.stats().is_err(), "the new one is reported");
    assert_eq!(port.stats().expect("each only once").rx_no_descriptor, 1);
    // A restart maps everything again.
    port.stop().expect("stop");
    drop(q);
    let mut q = start(&mut port, &PortConfig::default(), &pool);
    nic.inject_frame(&numbered(5, 64));
    nic.step_until_idle(50);
    let mut back = Batch::new(1);
    assert_eq!(q.rx[0].rx_burst(&mut cache, &mut back), 1);
}

fn ports_start_and_stop_again_and_again(chip: Model) {
    let nic = nic(chip, "loopback", |_| {});
    let mut port = nic.open_port().expect("open");
    let pool = pool(1024);
    for round in 0..20 {
        let mut q = start(&mut port, &PortConfig::default(), &pool);
        let mut cache = pool.cache();
        let mut out = Batch::new(1);
        out.push(fill(&mut cache, &numbered(round, 64)).expect("a buffer")).expect("room");
        q.tx[0].tx_burst(&mut cache, &mut out);
        nic.step_until_idle(50);
        let mut back = Batch::new(4);
        assert_eq!(q.rx[0].rx_burst(&mut cache, &mut back), 1);
        assert_eq!(back.first().expect("one").data(), numbered(round, 64));
        port.stop().expect("stop");
    }
    assert_eq!((nic.faults(), nic.violations()), (vec![], vec![]));
    whole(&pool);
    drop(pool);
    assert_eq!(nic.iommu().reachable(), 0, "the NIC lets go of memory that nobody uses");
}

fn a_spoilt_eeprom_is_refused(chip: Model) {
    // Firmware has checked an X540's and an X550's, the driver does not.
    if matches!(chip, Model::X540 | Model::X550) {
        return;
    }
    let nic = nic(chip, "none", |_| {});
    // A word of the address.
    nic.corrupt_eeprom(if chip.family() == Family::Ixgbe { 0x101 } else { 0x01 });
    assert!(matches!(nic.open_port(), Err(Error::Eeprom { .. })));
}

fn every_fault_leaves_the_driver_whole(chip: Model) {
    for inject in Inject::all() {
        for seed in 0..8 {
            let nic = nic(chip, "loopback", |c| c.seed = seed);
            let mut port = nic.open_port().expect("open");
            let pool = pool(1024);
            let cfg = PortConfig { mtu: 4000, ..PortConfig::default() };
            let mut q = start(&mut port, &cfg, &pool);
            nic.inject(inject, 0.05);
            let mut cache = pool.cache();
            let mut out = Batch::new(32);
            let mut back = Batch::new(32);
            let mut random = Lcg(seed);
            let mut came = 0u32;
            for n in 0..100 {
                while out.room() > 0 {
                    let len = 60 + random.below(1900);
                    let Some(packet) = fill(&mut cache, &numbered(n, len)) else { break };
                    out.push(packet).expect("room");
                }
                q.tx[0].tx_burst(&mut cache, &mut out);
                nic.step();
                q.rx[0].rx_burst(&mut cache, &mut back);
                for packet in back.iter() {
                    came += 1;
                    // What is handed out is what was sent, whatever the device does.
                    let data = bytes(packet);
                    let n = u32::from_be_bytes(data[14..18].try_into().expect("four bytes"));
                    if inject != Inject::Length && inject != Inject::NoEop {
                        assert_eq!(data, numbered(n, data.len()), "{inject:?}");
                    }
                }
                back.clear();
            }
            assert_eq!(nic.truth().unexplained(), 0, "{inject:?}");
            assert!(came > 0 || inject == Inject::Removal || inject == Inject::StuckTx);
            nic.inject(inject, 0.0);
            let stopped = port.stop();
            drop((q, cache, out, back));
            if inject == Inject::Removal {
                assert!(matches!(stopped, Err(Error::Gone { .. })), "{stopped:?}");
            } else {
                assert!(stopped.is_ok(), "{inject:?} {stopped:?}");
            }
            whole(&pool);
        }
    }
}

fn the_mac_loops_back_inside_with_no_cable_in(chip: Model) {
    let nic = nic(chip, "none", |_| {});
    let mut port = nic.open_port().expect("open");
    let pool = pool(1024);
    let mut q = port.start(&PortConfig::default(), &pool).expect("start");
    assert!(!port.link().expect("link").up);
    let bar = nic.bar();
    if chip.family() == Family::Ixgbe {
        ixgbe::HLREG0::read(&bar).with(ixgbe::HLREG0::LPBK, 1).write(&bar);
    } else {
        igb::RCTL::read(&bar).with(igb::RCTL::LBM, 1).write(&bar);
    }
    nic.step_until_idle(50);
    assert!(port.link().expect("link").up);
    let mut cache = pool.cache();
    let (mut out, mut back) = (Batch::new(1), Batch::new(1));
    out.push(fill(&mut cache, &numbered(3, 300)).expect("a buffer")).expect("room");
    q.tx[0].tx_burst(&mut cache, &mut out);
    nic.step_until_idle(50);
    assert_eq!(q.rx[0].rx_burst(&mut cache, &mut back), 1);
    assert_eq!(back.first().expect("one").data(), numbered(3, 300));
}

fn a_queue_that_a_fault_stopped_starts_anew_when_it_is_enabled_again(chip: Model) {
    let nic = nic(chip, "probe", |_| {});
    let mut port = nic.open_port().expect("open");
    let pool = pool(1024);
    let mut q = start(&mut port, &PortConfig::default(), &pool);
    nic.inject(Inject::Stray, 1.0);
    nic.inject_frame(&numbered(0, 64));
    nic.step_until_idle(50);
    nic.inject(Inject::Stray, 0.0);
    nic.inject_frame(&numbered(1, 64));
    nic.step_until_idle(50);
    assert_eq!((nic.truth().delivered, nic.faults().len()), (0, 1));
    // RDH, RDT and RXDCTL stand alike in both chips' queue blocks.
    let block = if chip.family() == Family::Ixgbe { 0x1000 } else { 0xC000 };
    let (rdh, rdt, rxdctl, enable) = (block + 0x10, block + 0x18, block + 0x28, 1 << 25);
    let bar = nic.bar();
    let enabled = || bar.read32(rxdctl) & enable != 0;
    let (tail, control) = (bar.read32(rdt), bar.read32(rxdctl));
    bar.write32(rxdctl, control & !enable);
    let waits = (0..10).take_while(|_| enabled()).count();
    assert!((1..10).contains(&waits), "it takes a while, but not for ever: {waits}");
    bar.write32(rdh, 0);
    bar.write32(rxdctl, control);
    while !enabled() {}
    bar.write32(rdt, tail);
    nic.inject_frame(&numbered(2, 64));
    nic.step_until_idle(50);
    let (mut cache, mut back) = (pool.cache(), Batch::new(1));
    assert_eq!(q.rx[0].rx_burst(&mut cache, &mut back), 1);
    assert_eq!(back.first().expect("one").data(), numbered(2, 64));
}

#[test]
fn two_ports_run_themselves_over_a_cable() {
    let pairs = [("82599", "82599"), ("82599", "82576"), ("82576", "82576")];
    for (drive, (one, other)) in
        ["inline", "thread"].into_iter().flat_map(|d| pairs.map(|p| (d, p)))
    {
        let spec = |chip| format!("sim:{chip}?wire=cable:{drive}-{one}-{other}&drive={drive}");
        let mut a = Port::open(&spec(one)).expect("open");
        let mut b = Port::open(&spec(other)).expect("open");
        let pool = pool(4096);
        let mut qb = start(&mut b, &PortConfig::default(), &pool);
        let mut qa = start(&mut a, &PortConfig::default(), &pool);
        let mbps = if other == "82599" { 10_000 } else { 1_000 };
        for port in [&mut a, &mut b] {
            assert_eq!(port.link().expect("link").speed_mbps, mbps, "the slower one's");
        }
        let mut cache = pool.cache();
        let (mut out, mut back) = (Batch::new(32), Batch::new(32));
        let (mut sent, mut came) = (0u32, 0u32);
        for _ in 0..5_000_000 {
            if came == 10_000 {
                break;
            }
            // Never more under way than the receiver has descriptors for.
            while out.room() > 0 && sent < 10_000 && sent - came < 256 {
                let Some(packet) = fill(&mut cache, &numbered(sent, 64)) else { break };
                out.push(packet).expect("room");
                sent += 1;
            }
            qa.tx[0].tx_burst(&mut cache, &mut out);
            qb.rx[0].rx_burst(&mut cache, &mut back);
            for packet in back.iter() {
                assert_eq!(packet.data(), numbered(came, 64));
                came += 1;
            }
            back.clear();
            if drive == "thread" {
                std::thread::yield_now();
            }
        }
        assert_eq!(came, 10_000, "{drive}");
        assert_eq!(a.stats().expect("stats").tx_packets, 10_000);
        assert_eq!(b.stats().expect("stats").rx_packets, 10_000);
        a.stop().expect("stop");
        b.stop().expect("stop");
        drop((qa, qb, cache, out, back));
        whole(&pool);
    }
}
