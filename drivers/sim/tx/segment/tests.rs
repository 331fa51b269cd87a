//! Segments against the frames that etherparse builds.

use etherparse::{
    IpFragOffset, IpHeaders, IpNumber, Ipv4Header, PacketBuilder, TcpHeader, TcpOptionElement,
};

use super::*;
use crate::drivers::sim::packet::{self, Check, parse, vlan_tag};

const IFCS_LATER: usize = 15_868;
const MASKS: FlagMasks = FlagMasks { first: 0xff6, middle: 0xff6, last: 0xf7f };
const FIN: u16 = 1;
const PSH: u16 = 8;
const ACK: u16 = 16;
const CWR: u16 = 128;

/// One kind of packet.
#[derive(Debug, Clone, Copy)]
struct Kind {
    v6: bool,
    udp: bool,
    flags: u16,
}

/// The frame with `payload` that is number `n` of a stream which cuts every `mss` bytes.
fn frame(kind: Kind, n: u32, mss: usize, flags: u16, payload: &[u8]) -> Vec<u8> {
    let eth = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let step = if kind.v6 {
        eth.ipv6([1; 16], [0xfe; 16], 64)
    } else {
        let mut ip =
            Ipv4Header::new(0, 64, IpNumber::TCP, [10, 1, 2, 3], [192, 168, 9, 8]).unwrap();
        ip.identification = 0xfffe_u16.wrapping_add(n as u16);
        ip.dont_fragment = true;
        ip.fragment_offset = IpFragOffset::ZERO;
        eth.ip(IpHeaders::Ipv4(ip, Default::default()))
    };
    let mut out = Vec::new();
    if kind.udp {
        step.udp(1000, 2000).write(&mut out, payload).unwrap();
    } else {
        let seq = 0xffff_f000_u32.wrapping_add(n * mss as u32);
        let mut tcp = TcpHeader::new(80, 4000, seq, 512);
        tcp.set_options(&[TcpOptionElement::Noop, TcpOptionElement::Timestamp(1, 2)]).unwrap();
        (tcp.fin, tcp.psh) = (flags & FIN != 0, flags & PSH != 0);
        (tcp.ack, tcp.cwr) = (flags & ACK != 0, flags & CWR != 0);
        tcp.acknowledgment_number = 99;
        step.tcp_header(tcp).write(&mut out, payload).unwrap();
    }
    out
}

fn context(kind: Kind, mss: u64) -> Context {
    let l4_len = if kind.udp { 8 } else { 32 };
    let ip_len = if kind.v6 { 40 } else { 20 };
    let (v4, tcp) = (u64::from(!kind.v6), u64::from(!kind.udp));
    Context::decode(
        0x2abc << 16 | 14 << 9 | ip_len,
        v4 << 10 | tcp << 11 | l4_len << 40 | mss << 48,
    )
}

/// The packet as a driver hands it over: lengths zero, the pseudo-header's sum without a length
/// in the TCP or UDP checksum.
fn prototype(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut p = frame(kind, 0, 0, kind.flags, &[]);
    let l4 = if kind.v6 { 54 } else { 34 };
    let mut pseudo = p[if kind.v6 { 22..54 } else { 26..34 }].to_vec();
    pseudo.extend([0, if kind.udp { 17 } else { 6 }]);
    let seed = packet::checksum(&pseudo).map(|b| !b);
    let at = l4 + if kind.udp { 6 } else { 16 };
    p[at..at + 2].copy_from_slice(&seed);
    if kind.udp {
        p[l4 + 4..l4 + 6].fill(0);
    }
    if kind.v6 {
        p[18..20].fill(0);
    } else {
        p[16..18].fill(0);
        p[24..26].fill(0);
    }
    p.extend(payload);
    p
}

fn order(payload: usize) -> Order {
    Order { payload, tag: None, flags: MASKS, longest: IFCS_LATER, shortest: 60 }
}

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

fn all(mut segments: Segmenter) -> Vec<Vec<u8>> {
    let mut out = vec![segments.frame().to_vec()];
    while segments.advance() {
        out.push(segments.frame().to_vec());
    }
    out
}

#[test]
fn segments_are_what_etherparse_builds() {
    for case in 0..4 {
        let kind = Kind { v6: case & 1 != 0, udp: case & 2 != 0, flags: FIN | PSH | ACK | CWR };
        for (len, mss) in [(1, 1448), (1448, 1448), (1449, 1448), (65_000, 1447), (9000, 536)] {
            let payload = data(len);
            let packet = prototype(kind, &payload);
            let segments = Segmenter::new(packet, context(kind, mss as u64), order(len)).unwrap();
            let got = all(segments);
            let count = len.div_ceil(mss);
            assert_eq!(got.len(), count);
            for (n, (got, part)) in got.iter().zip(payload.chunks(mss)).enumerate() {
                let flags = match (n == 0, n + 1 == count) {
                    (true, true) => FIN | PSH | ACK | CWR,
                    (_, true) => FIN | PSH | ACK,
                    // The chip leaves CWR in the middle, too (its reset value).
                    _ => ACK | CWR,
                };
                let mut want = frame(kind, n as u32, mss, flags, part);
                want.resize(want.len().max(60), 0);
                assert!(*got == want, "case {case}, segment {n} of {len} by {mss}");
            }
        }
    }
}

#[test]
fn as_much_as_paylen_can_say_is_cut() {
    let kind = Kind { v6: false, udp: false, flags: ACK | PSH };
    let len = (1 << 18) - 1;
    let payload = data(len);
    let segments =
        Segmenter::new(prototype(kind, &payload), context(kind, 1460), order(len)).unwrap();
    let got = all(segments);
    assert_eq!(got.len(), len.div_ceil(1460));
    assert!(got.iter().all(|f| {
        let p = parse(f);
        p.ip == Check::Good && p.transport == Check::Good
    }));
    let bytes: Vec<u8> = got.iter().flat_map(|f| f[66..].to_vec()).collect();
    assert!(bytes == payload);
}

#[test]
fn every_segment_gets_the_tag() {
    let kind = Kind { v6: true, udp: false, flags: ACK };
    let payload = data(3000);
    let with = Order { tag: Some(0x8100), ..order(3000) };
    let got = all(Segmenter::new(prototype(kind, &payload), context(kind, 1400), with).unwrap());
    let plain =
        all(Segmenter::new(prototype(kind, &payload), context(kind, 1400), order(3000)).unwrap());
    for (mut got, plain) in got.into_iter().zip(plain) {
        assert_eq!(vlan_tag(&got), Some(0x2abc));
        got.drain(12..16);
        assert_eq!(got, plain);
    }
}

/// Linux hands a tunnel over like this: IPLEN spans all from the outer IP header to the inner TCP
/// header, and the outer checksum field holds what cancels the rest out.
#[test]
fn a_tunnel_s_outer_header_is_updated() {
    let kind = Kind { v6: false, udp: false, flags: ACK };
    let payload = data(2800);
    let inner = prototype(kind, &payload);
    let mut outer = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([172, 16, 0, 1], [172, 16, 0, 2], 64)
        .write(&mut outer, IpNumber::IPV4, &[])
        .unwrap();
    outer[16..18].fill(0);
    outer[24..26].fill(0);
    // The inner header is complete already, for segments of the full size.
    let mut inner_ip = inner[14..34].to_vec();
    inner_ip[2..4].copy_from_slice(&(20u16 + 32 + 1400).to_be_bytes());
    let sum = packet::checksum(&inner_ip);
    inner_ip[10..12].copy_from_slice(&sum);
    let cancel = packet::checksum(&inner_ip);
    outer[24..26].copy_from_slice(&cancel);
    outer.extend(&inner_ip);
    outer.extend(&inner[34..]);
    let context = Context::decode(14 << 9 | 40, 1 << 10 | 1 << 11 | 32 << 40 | 1400 << 48);
    let got = all(Segmenter::new(outer, context, order(2800)).unwrap());
    assert_eq!(got.len(), 2);
    for (n, frame) in (0u16..).zip(&got) {
        assert_eq!(frame.len(), 14 + 20 + 20 + 32 + 1400);
        assert_eq!(parse(frame).ip, Check::Good, "the outer header");
        assert_eq!(frame[16..20], [0x05, 0xd0 - 0x10, 0, n as u8], "length and identification");
        let mut whole = frame[..14].to_vec();
        whole.extend(&frame[34..]);
        let p = parse(&whole);
        assert_eq!((p.ip, p.transport), (Check::Good, Check::Good), "the inner headers");
    }
}

#[test]
fn snap_headers_get_their_length() {
    let kind = Kind { v6: false, udp: true, flags: 0 };
    let payload = data(150);
    let packet = prototype(kind, &payload);
    let mut snap = packet[..12].to_vec();
    snap.extend([0, 0, 0xaa, 0xaa, 3, 0, 0, 0]);
    snap.extend(&packet[12..]);
    let context =
        Context::decode(0x123 << 16 | 22 << 9 | 20, 1 << 9 | 1 << 10 | 8 << 40 | 100 << 48);
    let with = Order { tag: Some(0x8100), ..order(150) };
    let got = all(Segmenter::new(snap, context, with).unwrap());
    for (got, data) in got.iter().zip([100, 50]) {
        assert_eq!(got.len(), 26 + 28 + data);
        assert_eq!(usize::from(get(got, 16)), 8 + 28 + data);
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let kind = Kind { v6: false, udp: false, flags: ACK };
    let packet = prototype(kind, &data(100));
    let good = context(kind, 50);
    let tries: [(&str, Context, Order); 9] = [
        ("MSS", Context { mss: 0, ..good }, order(100)),
        ("PAYLEN", good, order(0)),
        ("PAYLEN", good, order(99)),
        ("PAYLEN", good, order(101)),
        ("PAYLEN", Context { l4_len: 255, ..good }, order(100)),
        ("too small", Context { mac_len: 13, ..good }, order(100)),
        ("too small", Context { ip_len: 19, ..good }, order(100)),
        ("too small", Context { l4_len: 19, ..good }, order(100)),
        ("neither", Context { l4: L4::Sctp, ..good }, order(100)),
    ];
    for (why, context, order) in tries {
        let text = Segmenter::new(packet.clone(), context, order).unwrap_err().to_string();
        assert!(text.contains(why), "{text}");
    }
    let short = Order { longest: 66 + 49, ..order(100) };
    let text = Segmenter::new(packet.clone(), good, short).unwrap_err().to_string();
    assert!(text.contains("longer"), "{text}");
    let text = Segmenter::new(Vec::new(), good, order(100)).unwrap_err().to_string();
    assert!(text.contains("PAYLEN"), "{text}");
    // An IPv6 packet that says nothing but nonsense is cut like any other.
    let v6 = Context { ipv4: false, ip_len: 40, l4_len: 20, ..good };
    assert_eq!(all(Segmenter::new(vec![0xff; 174], v6, order(100)).unwrap()).len(), 2);
}
