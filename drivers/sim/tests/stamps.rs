//! Stamps of received packets: which get them, and where they are put.

use std::time::Duration;

use super::super::Model;
use super::rig::{Rig, udp};
use crate::drivers::igb::regs as igb;
use crate::drivers::ixgbe::regs::ETQF;
use crate::mmio::{Bar, Register};

/// The write-back's bits: the registers have its stamp, the buffer has.
const TS: u64 = 1 << 16;
const TSIP: u64 = 1 << 15;

/// TSYNCRXCTL: on, and the types of packets.
const ON: u32 = 1 << 4;
const ETHERNET: u32 = 0;
const UDP_V1: u32 = 1 << 1;
const ALL: u32 = 4 << 1;
const EVENTS: u32 = 5 << 1;

/// A message: version, kind, control field; the clock that sent it ends in 1 to 6.
fn message(version: u8, kind: u8, control: u8) -> Vec<u8> {
    let mut bytes = vec![0; 44];
    (bytes[0], bytes[1], bytes[32]) = (0xa0 | kind, version, control);
    bytes[22..28].copy_from_slice(&[1, 2, 3, 4, 5, 6]);
    bytes[30..32].copy_from_slice(&[7, 8]);
    bytes
}

fn ethernet(message: &[u8], tagged: bool) -> Vec<u8> {
    let mut frame = vec![1, 0x1b, 0x19, 0, 0, 0, 2, 0, 0, 0, 0, 1];
    if tagged {
        frame.extend([0x81, 0, 0, 5]);
    }
    frame.extend([0x88, 0xf7]);
    frame.extend(message);
    frame.resize(64, 0);
    frame
}

fn in_udp(message: &[u8], from: u16, to: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1])
        .ipv4([10, 0, 0, 1], [224, 0, 1, 129], 1)
        .udp(from, to)
        .write(&mut frame, message)
        .unwrap();
    frame
}

/// Where the registers are that the tests use: TSYNCRXCTL, the kinds of messages, RXSTMP, RXSATR,
/// TIMINCA, SYSTIML.
struct At {
    control: u32,
    messages: u32,
    stamp: [u32; 2],
    source: [u32; 2],
    timinca: u32,
    systim: [u32; 2],
}

const IXGBE: At = At {
    control: 0x5188,
    messages: 0x5120,
    stamp: [0x51e8, 0x51a4],
    source: [0x51a0, 0x51a8],
    timinca: 0x8c14,
    systim: [0x8c0c, 0x8c10],
};

const IGB: At = At {
    control: 0xb620,
    messages: 0x5f50,
    stamp: [0xb624, 0xb628],
    source: [0xb62c, 0xb630],
    timinca: 0xb608,
    systim: [0xb600, 0xb604],
};

fn pair(rig: &Rig, [low, high]: [u32; 2]) -> u64 {
    let low = u64::from(rig.bar.read32(low));
    u64::from(rig.bar.read32(high)) << 32 | low
}

/// As stock drivers set it up: EtherType 0x88F7 in filter 3, UDP port 319.
fn rig(model: Model) -> (Rig, &'static At) {
    let (at, ixgbe) = match model {
        Model::I82599 | Model::X540 | Model::X550 => (&IXGBE, true),
        _ => (&IGB, false),
    };
    let mut rig = Rig::on(model, 0, |bar| {
        if ixgbe {
            bar.write32(ETQF::META.offset_of(3), 1 << 31 | 1 << 30 | 0x88f7);
            bar.write32(at.messages, 319 << 16);
        } else {
            bar.write32(igb::ETQF::META.offset_of(3), 1 << 26 | 1 << 30 | 0x88f7);
            bar.write32(igb::IMIR::META.offset_of(3), 0x3f01);
            bar.write32(igb::SPQF::META.offset_of(3), 0x3f01);
            let any_but_protocol_and_source = 0x6 << 28;
            bar.write32(
                igb::FTQF::META.offset_of(3),
                17 | 1 << 15 | 1 << 27 | any_but_protocol_and_source,
            );
        }
    });
    rig.bar.write32(at.timinca, 1 << 24 | 1);
    rig.post(20);
    rig.nic.advance(Duration::from_secs(1));
    (rig, at)
}

/// Whether a frame that was received got a stamp into the registers, which are read.
fn stamped(rig: &mut Rig, at: &At, frame: &[u8]) -> bool {
    let got = rig.receive(frame);
    let [(_, w1, bytes)] = &got[..] else { panic!("{got:?}") };
    assert_eq!(bytes, frame);
    let valid = rig.bar.read32(at.control) & 1 != 0;
    assert_eq!(w1 & TS != 0, valid);
    rig.bar.read32(at.stamp[1]);
    valid
}

#[test]
fn the_type_says_which_messages_get_a_stamp() {
    for model in [Model::I82599, Model::X540, Model::I82576] {
        let (mut rig, at) = rig(model);
        let (sync, request) = (message(2, 0, 0), message(2, 1, 1));
        let [delay, announce] = [message(2, 2, 5), message(2, 11, 5)];
        let ports = rig.bar.read32(at.messages) & 0xffff_0000;
        let mut check = |control: u32, messages: u32, want: &[(Vec<u8>, bool)]| {
            rig.bar.write32(at.control, control);
            rig.bar.write32(at.messages, ports | messages);
            for (n, (frame, want)) in want.iter().enumerate() {
                assert_eq!(stamped(&mut rig, at, frame), *want, "{model:?} {control:#x} {n}");
            }
        };
        check(EVENTS, 0, &[(ethernet(&sync, false), false)]);
        check(
            ON | ETHERNET,
            1 << 8,
            &[
                (ethernet(&sync, false), false),
                (ethernet(&request, false), true),
                (ethernet(&request, true), true),
                (ethernet(&delay, false), true),
                (in_udp(&request, 319, 319), false),
            ],
        );
        check(
            ON | EVENTS,
            0,
            &[
                (ethernet(&sync, false), true),
                (ethernet(&announce, false), false),
                (in_udp(&sync, 319, 319), true),
                (in_udp(&announce, 319, 319), false),
                (in_udp(&sync, 319, 320), false),
                (udp(None, 60), false),
            ],
        );
        check(
            ON | UDP_V1,
            1,
            &[
                (in_udp(&message(1, 0, 1), 319, 319), true),
                (in_udp(&message(1, 0, 0), 319, 319), false),
                (in_udp(&message(2, 0, 1), 319, 319), false),
                (ethernet(&message(1, 0, 1), false), false),
            ],
        );
    }
}

#[test]
fn the_registers_keep_a_stamp_and_its_source_until_it_is_read() {
    for model in [Model::I82599, Model::I82576] {
        let (mut rig, at) = rig(model);
        rig.bar.write32(at.control, ON | EVENTS);
        let first = pair(&rig, at.systim);
        let got = rig.receive(&ethernet(&message(2, 0, 0), false));
        assert_eq!(got[0].1 & (TS | TSIP), TS);
        let later = pair(&rig, at.systim);
        let mut other = message(2, 0, 0);
        other[22] = 9;
        let got = rig.receive(&ethernet(&other, false));
        assert_eq!(got[0].1 & (TS | TSIP), 0, "the registers are taken");
        assert_eq!(rig.bar.read32(at.source[0]), 0x0403_0201);
        assert_eq!(rig.bar.read32(at.source[1]), 0x0807_0605);
        let stamp = pair(&rig, at.stamp);
        assert!((first..=later).contains(&stamp), "{model:?}");
        assert_eq!(rig.bar.read32(at.control) & 1, 0);
        let got = rig.receive(&ethernet(&other, false));
        assert_eq!(got[0].1 & TS, TS);
        assert!(pair(&rig, at.stamp) > later);
    }
}

#[test]
fn stamps_of_all_packets_do_not_lock_the_registers() {
    let (mut rig, at) = rig(Model::I82599);
    rig.bar.write32(at.control, ON | ALL);
    let mut last = 0;
    for _ in 0..3 {
        let got = rig.receive(&udp(None, 60));
        assert_eq!(got[0].1 & (TS | TSIP), 0);
        assert_eq!(rig.bar.read32(at.control) & 1, 0);
        let stamp = pair(&rig, at.stamp);
        assert!(stamp > last);
        last = stamp;
    }
}

#[test]
fn an_x550_puts_stamps_behind_the_packet() {
    let (mut rig, at) = rig(Model::X550);
    rig.bar.write32(at.timinca, 0);
    rig.bar.write32(0x8c20, 0);
    rig.nic.advance(Duration::from_nanos(5_000_000_000));
    let frame = udp(None, 60);
    rig.bar.write32(at.control, ON | ALL | 1 << 23);
    let got = rig.receive(&frame);
    let (_, w1, bytes) = &got[0];
    assert_eq!(w1 & (TS | TSIP), TSIP);
    let (packet, stamp) = bytes.split_at(frame.len());
    assert_eq!(packet, frame);
    let [a, b, c, d, e, f, g, h] = stamp[..] else { panic!("{stamp:?}") };
    assert_eq!(u32::from_le_bytes([e, f, g, h]), 5, "seconds");
    assert!(u32::from_le_bytes([a, b, c, d]) < 1_000_000, "nanoseconds");
}

#[test]
fn an_i350_puts_stamps_in_front_of_the_packet_in_queues_that_say_so() {
    let (mut rig, at) = rig(Model::I350);
    rig.bar.write32(0xb640, 0);
    rig.bar.write32(at.systim[1], 3);
    let frame = udp(None, 60);
    rig.bar.write32(at.control, ON | ALL);
    let got = rig.receive(&frame);
    assert_eq!((got[0].1 & TSIP, &got[0].2), (0, &frame), "SRRCTL.TIMESTAMP is zero");
    let srrctl = Model::I350.chip().rx_block(0) + 0x0c;
    rig.bar.write32(srrctl, rig.bar.read32(srrctl) | 1 << 30);
    let got = rig.receive(&frame);
    let (_, w1, bytes) = &got[0];
    assert_eq!(w1 & (TS | TSIP), TSIP);
    assert_eq!(bytes[..8], [0; 8]);
    assert_eq!(bytes[12..16], [3, 0, 0, 0]);
    assert_eq!(bytes[16..], frame);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn any_registers_and_any_frame_are_taken(
        registers in proptest::array::uniform4(proptest::num::u32::ANY),
        ixgbe in proptest::bool::ANY,
        mut frame in proptest::collection::vec(proptest::num::u8::ANY, 60..200),
        kind in 0usize..4,
    ) {
        let (mut rig, at) = rig(if ixgbe { Model::X550 } else { Model::I350 });
        let [control, messages, pace, time] = registers;
        rig.bar.write32(at.control, control | ON);
        rig.bar.write32(at.messages, messages);
        rig.bar.write32(at.timinca, pace);
        rig.bar.write32(at.systim[1], time);
        rig.bar.write32(if ixgbe { 0x8c20 } else { 0xb640 }, 0);
        match kind {
            0 => frame[12..14].copy_from_slice(&[0x88, 0xf7]),
            1 => frame = in_udp(&frame, 319, 319),
            2 => frame[12..18].copy_from_slice(&[0x81, 0, 0, 5, 0x88, 0xf7]),
            _ => frame[12..14].copy_from_slice(&[0x88, 0x08]),
        }
        rig.receive(&frame);
        proptest::prop_assert_eq!(rig.nic.truth().unexplained(), 0);
        proptest::prop_assert_eq!(rig.nic.faults(), []);
    }
}
