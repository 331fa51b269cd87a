//! Turns an ARP or ICMP echo request into its answer, in place.

use std::net::Ipv4Addr;

use barewire::port::MacAddr;
use etherparse::checksum::Sum16BitWords;
use etherparse::{ArpOperation, ArpPacketSlice, Icmpv4Slice, IpNumber, Ipv4HeaderSlice};

/// The shortest frame without FCS.
const SHORTEST: usize = 60;
/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// Bytes of an ARP packet for IPv4 over Ethernet.
const ARP: usize = 28;
const ECHO_REQUEST: u8 = 8;
const HOPS: u8 = 64;

/// Whom requests are answered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Me {
    pub(crate) mac: MacAddr,
    pub(crate) ip: Ipv4Addr,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is now an ARP reply of so many bytes.
    Arp(usize),
    /// It is now an ICMP echo reply of so many bytes.
    Icmp(usize),
    /// It was for us, and is broken or not a request that can be answered. Unchanged.
    Refused,
    /// It was not for us. Unchanged.
    NotForUs,
}

/// Answers one frame.
pub(crate) fn answer(frame: &mut [u8], me: &Me) -> Answer {
    let Some((header, body)) = frame.split_first_chunk_mut::<ETHERNET>() else {
        return Answer::NotForUs;
    };
    let to: [u8; 6] = [header[0], header[1], header[2], header[3], header[4], header[5]];
    let from = MacAddr([header[6], header[7], header[8], header[9], header[10], header[11]]);
    let ours = to == me.mac.0;
    if !from.is_station() || !(ours || to == MacAddr::BROADCAST.0) {
        return Answer::NotForUs;
    }
    let done = match (header[12], header[13]) {
        (0x08, 0x06) => arp(body, me, from),
        // A ping must be addressed to us alone.
        (0x08, 0x00) if ours => icmp(body, me),
        _ => Answer::NotForUs,
    };
    if matches!(done, Answer::Arp(_) | Answer::Icmp(_)) {
        header[..6].copy_from_slice(&from.0);
        header[6..12].copy_from_slice(&me.mac.0);
    }
    match done {
        Answer::Arp(len) | Answer::Icmp(len) => {
            // What a short request was padded with must not go back out (CVE-2003-0001).
            let end = (ETHERNET + len).max(SHORTEST).min(frame.len());
            frame[ETHERNET + len..end].fill(0);
            match done {
                Answer::Arp(_) => Answer::Arp(end),
                _ => Answer::Icmp(end),
            }
        }
        other => other,
    }
}

/// RFC 826: who has our address?
fn arp(body: &mut [u8], me: &Me, from: MacAddr) -> Answer {
    let Ok(packet) = ArpPacketSlice::from_slice(body) else { return Answer::Refused };
    // Ethernet and IPv4, with their address lengths.
    if packet.slice().len() != ARP || body[..6] != [0, 1, 8, 0, 6, 4] {
        return Answer::Refused;
    }
    if packet.target_protocol_addr() != me.ip.octets()
        || packet.operation() != ArpOperation::REQUEST
    {
        return Answer::NotForUs;
    }
    // The answer goes to who sent the frame; a request that says otherwise is forged.
    if packet.sender_hw_addr() != from.0 {
        return Answer::Refused;
    }
    body[7] = 2;
    body.copy_within(8..18, 18);
    body[8..14].copy_from_slice(&me.mac.0);
    body[14..18].copy_from_slice(&me.ip.octets());
    Answer::Arp(ARP)
}

/// RFC 792: echo.
fn icmp(body: &mut [u8], me: &Me) -> Answer {
    let Ok(ip) = Ipv4HeaderSlice::from_slice(body) else { return Answer::Refused };
    if ip.destination_addr() != me.ip {
        return Answer::NotForUs;
    }
    let (head, total) = (ip.slice().len(), usize::from(ip.total_len()));
    let source = ip.source_addr();
    let answerable = !source.is_multicast()
        && !source.is_broadcast()
        && !source.is_unspecified()
        && source != me.ip;
    let whole = (head..=body.len()).contains(&total);
    // With options, a source route would have to be turned round: not for a ping.
    if !answerable || !whole || head != 20 || ip.is_fragmenting_payload() || sum(ip.slice()) != 0 {
        return Answer::Refused;
    }
    if ip.protocol() != IpNumber::ICMP {
        return Answer::NotForUs;
    }
    let (ip_bytes, message) = body[..total].split_at_mut(head);
    let Ok(icmp) = Icmpv4Slice::from_slice(message) else { return Answer::Refused };
    if (icmp.type_u8(), icmp.code_u8()) != (ECHO_REQUEST, 0) || sum(icmp.slice()) != 0 {
        return Answer::Refused;
    }
    message[0] = 0;
    message[2..4].fill(0);
    let check = sum(message);
    message[2..4].copy_from_slice(&check.to_be_bytes());

    ip_bytes.copy_within(12..16, 16);
    ip_bytes[12..16].copy_from_slice(&me.ip.octets());
    ip_bytes[8] = HOPS;
    ip_bytes[10..12].fill(0);
    let check = sum(ip_bytes);
    ip_bytes[10..12].copy_from_slice(&check.to_be_bytes());
    Answer::Icmp(total)
}

/// The Internet checksum: zero over bytes that include a right one.
fn sum(bytes: &[u8]) -> u16 {
    u16::from_be(Sum16BitWords::new().add_slice(bytes).ones_complement())
}

#[cfg(test)]
mod tests {
    use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
    use proptest::prelude::*;

    use super::*;

    const ME: Me = Me { mac: MacAddr([2, 0, 0, 0, 0, 9]), ip: Ipv4Addr::new(10, 0, 0, 2) };
    const PEER: [u8; 6] = [2, 0, 0, 0, 0, 7];

    fn ping(payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(PEER, ME.mac.0)
            .ipv4([10, 0, 0, 1], ME.ip.octets(), 5)
            .icmpv4_echo_request(77, 3);
        let mut frame = Vec::new();
        builder.write(&mut frame, payload).unwrap();
        frame.resize(frame.len().max(SHORTEST), 0xee);
        frame
    }

    fn arp_request() -> Vec<u8> {
        let mut f = [&[0xff; 6][..], &PEER, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &PEER].concat();
        f.extend([10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
        f.resize(60, 0xee);
        f
    }

    #[test]
    fn a_ping_is_answered_with_its_payload_and_right_checksums() {
        for n in [0, 1, 17, 56, 1472] {
            let payload: Vec<u8> = (0..n).map(|i| i as u8).collect();
            let mut frame = ping(&payload);
            let Answer::Icmp(len) = answer(&mut frame, &ME) else { panic!("no answer to {n}") };
            assert_eq!(len, (14 + 20 + 8 + payload.len()).max(60));
            let reply = SlicedPacket::from_ethernet(&frame[..len]).unwrap();
            assert_eq!(frame[..12], [PEER, ME.mac.0].concat());
            let Some(NetSlice::Ipv4(ip)) = reply.net else { panic!("no IPv4") };
            let h = ip.header().to_header();
            assert_eq!((h.source, h.destination), (ME.ip.octets(), [10, 0, 0, 1]));
            assert_eq!(h.header_checksum, h.calc_header_checksum());
            let Some(TransportSlice::Icmpv4(icmp)) = reply.transport else { panic!("no ICMP") };
            assert_eq!((icmp.type_u8(), icmp.code_u8()), (0, 0));
            assert_eq!(icmp.bytes5to8(), [0, 77, 0, 3]);
            assert_eq!(icmp.payload(), payload);
            assert_eq!(sum(icmp.slice()), 0);
            // No byte of the request's padding leaks.
            assert!(frame[14 + 28 + payload.len()..len].iter().all(|b| *b == 0));
        }
    }

    #[test]
    fn an_arp_request_is_answered() {
        let mut frame = arp_request();
        assert_eq!(answer(&mut frame, &ME), Answer::Arp(60));
        assert_eq!(frame[..12], [PEER, ME.mac.0].concat());
        let reply = ArpPacketSlice::from_slice(&frame[14..]).unwrap();
        assert_eq!(reply.operation(), ArpOperation::REPLY);
        assert_eq!(reply.sender_hw_addr(), ME.mac.0);
        assert_eq!(reply.sender_protocol_addr(), ME.ip.octets());
        assert_eq!(reply.target_hw_addr(), PEER);
        assert_eq!(reply.target_protocol_addr(), [10, 0, 0, 1]);
        assert!(frame[42..].iter().all(|b| *b == 0));
    }

    #[test]
    fn what_is_not_ours_or_broken_is_left_alone() {
        type Break = fn(&mut Vec<u8>);
        let breaks: [(&str, Break); 12] = [
            ("other station", |f| f[5] ^= 1),
            ("multicast source", |f| f[6] |= 1),
            ("other host", |f| f[33] ^= 1),
            ("IP checksum", |f| f[24] ^= 1),
            ("ICMP checksum", |f| f[36] ^= 1),
            ("payload", |f| f[60] ^= 1),
            ("total length beyond the frame", |f| f[16] = 0xff),
            ("total length below the header", |f| f[16..18].copy_from_slice(&[0, 19])),
            ("more fragments", |f| f[20] |= 0x20),
            ("fragment offset", |f| f[21] = 1),
            ("version", |f| f[14] = 0x65),
            ("echo to a broadcast", |f| f[..6].fill(0xff)),
        ];
        for (what, damage) in breaks {
            let mut frame = ping(&[0x55; 56]);
            damage(&mut frame);
            let before = frame.clone();
            let verdict = answer(&mut frame, &ME);
            assert!(matches!(verdict, Answer::Refused | Answer::NotForUs), "{what}: {verdict:?}");
            assert_eq!(frame, before, "{what}");
        }
        let forged = {
            let mut f = arp_request();
            f[22] ^= 2;
            f
        };
        assert_eq!(answer(&mut forged.clone(), &ME), Answer::Refused);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_grow(mut frame in prop::collection::vec(any::<u8>(), 0..200)) {
            let n = frame.len();
            match answer(&mut frame, &ME) {
                Answer::Arp(len) | Answer::Icmp(len) => prop_assert!(len <= n),
                _ => {}
            }
        }

        #[test]
        fn damaged_pings_are_answered_correctly_or_not_at_all(
            at in 14usize..98, bit in 0u8..8,
        ) {
            let mut frame = ping(&[0x55; 56]);
            frame[at] ^= 1 << bit;
            if let Answer::Icmp(len) = answer(&mut frame, &ME) {
                let reply = SlicedPacket::from_ethernet(&frame[..len]).unwrap();
                let Some(TransportSlice::Icmpv4(icmp)) = reply.transport else { panic!() };
                prop_assert_eq!(sum(icmp.slice()), 0);
            }
        }
    }
}
