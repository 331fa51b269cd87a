//! Receive-side coalescing, register by register (82599 datasheet 4.6.7.2, 7.1.6.2, 7.11).

use super::super::SimBar;
use super::super::packet::{Check, parse};
use super::rig::Rig;
use crate::drivers::intel::RxDesc;
use crate::drivers::ixgbe::regs::{
    EITR, GPRC, IVAR, PSRTYPE, QBRC_L, QPRC, QPRDC, RDRXCTL, RFCTL, RSCCTL, RXDCTL, SRRCTL,
};
use crate::mmio::Register;

fn on(bar: &SimBar) {
    RSCCTL(0).with(RSCCTL::RSCEN, 1).with(RSCCTL::MAXDESC, 3).write(bar);
    PSRTYPE(0).with(PSRTYPE::PSR_TCPHDR, 1).write(bar);
    RDRXCTL::read(bar).with(RDRXCTL::RSCACKC, 1).with(RDRXCTL::RSCFRSTSIZE, 0).write(bar);
}

/// A segment of `len` bytes at `sequence` of the connection from `port`.
fn segment(port: u16, sequence: u32, len: usize, psh: bool) -> Vec<u8> {
    let mut frame = Vec::new();
    let tcp = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(port, 2000, sequence, 512)
        .ack(1);
    let tcp = if psh { tcp.psh() } else { tcp };
    let payload: Vec<u8> = (sequence..).take(len).map(|n| n as u8).collect();
    tcp.write(&mut frame, &payload).unwrap();
    frame
}

/// Puts frames on the wire together and takes what became of them: the lengths of the packets.
fn packets(rig: &mut Rig, frames: &[Vec<u8>]) -> Vec<usize> {
    for frame in frames {
        rig.nic.inject_frame(frame);
    }
    rig.nic.step_until_idle(50);
    let mut out = vec![0];
    for (_, w1, bytes) in rig.harvest() {
        *out.last_mut().unwrap() += bytes.len();
        if w1 & RxDesc::EOP != 0 {
            out.push(0);
        }
    }
    assert_eq!(out.pop(), Some(0), "the last packet is complete");
    out
}

#[test]
fn segments_share_buffers() {
    let mut rig = Rig::with(0, on);
    rig.post(20);
    for n in 0..4 {
        rig.nic.inject_frame(&segment(80, n * 1000, 1000, false));
    }
    rig.nic.step_until_idle(50);
    let got = rig.harvest();
    let lengths: Vec<_> = got.iter().map(|d| d.2.len()).collect();
    assert_eq!(lengths, [2048, 54 + 4000 - 2048], "one after the other");
    let count = |n: usize| got[n].0 >> 17 & 0xf;
    // Two segments start in either buffer, and RSCCNT is one more.
    assert_eq!((count(0), count(1)), (3, 3));
    assert_eq!((got[0].1 >> 4 & 0xffff, got[0].1 & RxDesc::EOP), (1, 0), "NEXTP");
    let w1 = got[1].1;
    assert!(w1 & RxDesc::EOP != 0 && w1 & RxDesc::L4CS != 0 && w1 & RxDesc::IPCS != 0);
    assert_eq!((w1 >> 30, RxDesc::packet_type(got[1].0)), (w1 >> 30 & !3, 0x11));
    let packet: Vec<u8> = got.iter().flat_map(|d| d.2.clone()).collect();
    assert_eq!(packet, segment(80, 0, 4000, false));
    // Every segment is counted.
    let bar = &rig.bar;
    assert_eq!((GPRC::read(bar).raw(), QPRC::read_at(bar, 0).raw()), (4, 4));
    assert_eq!(QBRC_L::read_at(bar, 0).raw(), 4 * 1054);
    assert_eq!((rig.nic.truth().delivered, rig.nic.truth().unexplained()), (4, 0));
}

#[test]
fn connections_are_kept_apart_and_order_within_them_is_kept() {
    let mut rig = Rig::with(0, on);
    rig.post(20);
    let mut frames = Vec::new();
    for n in 0..3 {
        frames.push(segment(80, n * 500, 500, false));
        frames.push(segment(81, n * 600, 600, false));
    }
    // A repetition is delivered behind what it repeats, and a small packet of no payload too.
    frames.push(segment(80, 1000, 500, false));
    let mut empty = segment(81, 1800, 0, false);
    empty.resize(60, 0);
    frames.push(empty);
    let mut got = packets(&mut rig, &frames);
    got.sort_unstable();
    assert_eq!(got, [60, 554, 1554, 1854]);
    // PSH ends a packet at once; a single segment is an ordinary packet.
    let frames = [(0, false), (100, true), (200, false)].map(|(n, psh)| segment(80, n, 100, psh));
    assert_eq!(packets(&mut rig, &frames), [254, 154]);
    let alone = rig.receive(&segment(80, 0, 700, false));
    assert_eq!((alone.len(), alone[0].0 >> 17 & 0xf), (1, 0));
}

#[test]
fn it_takes_all_the_switches() {
    let frames = [0, 300, 600].map(|n| segment(80, n, 300, false));
    let off: [fn(&SimBar); 4] = [
        |bar| RSCCTL(0).write(bar),
        |bar| RFCTL(0).with(RFCTL::RSC_DIS, 1).write(bar),
        |bar| PSRTYPE(0).write(bar),
        // RSCFRSTSIZE: none of these is 368 bytes long.
        |bar| RDRXCTL::read(bar).with(RDRXCTL::RSCFRSTSIZE, 23).write(bar),
    ];
    for off in off {
        let mut rig = Rig::with(0, |bar| {
            on(bar);
            off(bar);
        });
        rig.post(10);
        assert_eq!(packets(&mut rig, &frames), [354; 3]);
    }
}

#[test]
fn no_more_descriptors_than_maxdesc() {
    let mut rig = Rig::with(0, |bar| {
        on(bar);
        RSCCTL(0).with(RSCCTL::RSCEN, 1).with(RSCCTL::MAXDESC, 1).write(bar);
    });
    rig.post(20);
    let frames: Vec<_> = (0..8).map(|n| segment(80, n * 1400, 1400, false)).collect();
    // Four buffers of 2 KiB.
    assert_eq!(packets(&mut rig, &frames), [54 + 5 * 1400, 54 + 3 * 1400]);
}

#[test]
fn tags_are_stripped_once() {
    let mut rig = Rig::with(0, |bar| {
        on(bar);
        RXDCTL(0).with(RXDCTL::VME, 1).write(bar);
    });
    rig.post(10);
    for n in 0..3 {
        let mut frame = segment(80, n * 200, 200, false);
        frame.splice(12..12, [0x81, 0x00, 0x00, 0x07]);
        rig.nic.inject_frame(&frame);
    }
    rig.nic.step_until_idle(50);
    let got = rig.harvest();
    assert_eq!((got.len(), RxDesc::vlan(got[0].1)), (1, 7));
    assert!(got[0].1 & RxDesc::VP != 0);
    assert_eq!(got[0].2, segment(80, 0, 600, false));
}

#[test]
fn a_large_packet_waits_for_descriptors_and_loses_nothing() {
    let mut rig = Rig::with(0, |bar| {
        on(bar);
        SRRCTL::read(bar).with(SRRCTL::DROP_EN, 0).write(bar);
    });
    let frames: Vec<_> = (0..5).map(|n| segment(80, n * 1000, 1000, n == 4)).collect();
    assert_eq!(packets(&mut rig, &frames), [0usize; 0]);
    assert_eq!(packets(&mut rig, &[segment(80, 5000, 1000, false)]), [0usize; 0]);
    rig.post(3);
    assert_eq!(packets(&mut rig, &[]), [5054]);
    rig.post(3);
    assert_eq!(packets(&mut rig, &[]), [1054]);
    assert_eq!(rig.nic.truth().unexplained(), 0);
    // A queue that is disabled drops what it gathered.
    assert_eq!(packets(&mut rig, &frames[..4]), [4054]);
    assert_eq!(packets(&mut rig, &frames[..4]), [0usize; 0]);
    RXDCTL(0).write(&rig.bar);
    assert!((0..10).any(|_| !RXDCTL::read(&rig.bar).has(RXDCTL::ENABLE)));
    assert_eq!(packets(&mut rig, &[]), [0usize; 0]);
    assert_eq!(QPRDC::read_at(&rig.bar, 0).raw(), 4);
    assert_eq!(rig.nic.truth().unexplained(), 0);
}

#[test]
fn a_busy_wire_does_not_hold_packets_longer_than_the_interrupt() {
    let mut rig = Rig::with(0, |bar| {
        on(bar);
        IVAR(0x80).write(bar);
        EITR(0).with(EITR::ITR_INTERVAL, 1).write(bar);
    });
    // One segment that others might follow, and then more frames than a few steps take. A step
    // is 1 µs and the interval 2.
    rig.nic.inject_frame(&segment(80, 0, 800, false));
    for port in 0..400 {
        rig.nic.inject_frame(&segment(1000 + port, 0, 100, true));
    }
    rig.post(63);
    let mut seen = Vec::new();
    for _ in 0..4 {
        rig.nic.step();
        let got = rig.harvest();
        seen.push(got.iter().any(|d| d.2.len() == 854));
        rig.post(got.len());
    }
    assert_eq!(seen, [false, false, true, false]);
}

#[test]
fn as_many_contexts_as_the_chip_has() {
    let mut rig = Rig::with(0, on);
    rig.post(60);
    // The 33rd connection pushes the first one out.
    let mut frames: Vec<_> = (0..33).map(|port| segment(port, 0, 100, false)).collect();
    frames.push(segment(1, 100, 100, false));
    frames.push(segment(0, 100, 100, false));
    let got = packets(&mut rig, &frames);
    assert_eq!((got.len(), got.iter().filter(|len| **len == 254).count()), (34, 1));
    for frame in &frames {
        assert_eq!(parse(frame).transport, Check::Good);
    }
}
