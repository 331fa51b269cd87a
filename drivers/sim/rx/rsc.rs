//! Receive-side coalescing: consecutive TCP segments of a connection become one large packet
//! (82599 datasheet 7.11).
//!
//! The chip fills buffers as segments come. The model gathers a large packet on its own and fills
//! buffers when it is complete, so its descriptors always follow one another, which the format
//! allows. What is told apart from the chip's way by that is only when they are written.

use std::time::Duration;

use crate::drivers::sim::packet::{self, Check, Parsed, ptype};

/// Large packets being gathered, by all queues together.
pub(super) const CONTEXTS: usize = 32;
/// Segments that may start in one buffer: RSCCNT has four bits and is one more.
const STARTS: usize = 14;

/// TCP flags.
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
/// A timestamp option with the two paddings in front that RFC 7323 (appendix A) proposes.
const STAMP: [u8; 4] = [1, 1, 8, 10];
const STAMPED: usize = 20 + 12;

/// How a queue coalesces.
#[derive(Debug, Clone, Copy)]
pub(in crate::drivers::sim) struct RscSetup {
    /// Bytes of a large packet at most.
    pub(in crate::drivers::sim) most: usize,
    /// Shortest frame that starts one.
    pub(in crate::drivers::sim) first: usize,
    /// Segments with and without ACK do not mix.
    pub(in crate::drivers::sim) ack_change: bool,
    /// Longest time that one is held for more to come.
    pub(in crate::drivers::sim) hold: Duration,
}

/// Which connection: addresses, ports and VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flow {
    addresses: [u8; 8],
    ports: [u8; 4],
    tag: Option<u16>,
}

/// One TCP segment in IPv4.
#[derive(Debug)]
pub(super) struct Segment<'a> {
    frame: &'a [u8],
    flow: Flow,
    l3: usize,
    l4: usize,
    /// Where its payload starts.
    header: usize,
    payload: &'a [u8],
    sequence: u32,
    flags: u8,
    stamped: bool,
    /// It may be coalesced at all.
    fit: bool,
}

impl<'a> Segment<'a> {
    /// The segment in a frame; `None` for all other frames, which large packets do not heed.
    pub(super) fn of(frame: &'a [u8], tag: Option<u16>, parsed: &Parsed) -> Option<Self> {
        let Parsed { l3, l4, ptype: kind, .. } = *parsed;
        if kind & ptype::IPV4 == 0 || kind & ptype::TCP == 0 {
            return None;
        }
        let ip = frame.get(l3..l4)?;
        let end = l3 + usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
        let tcp = frame.get(l4..end)?;
        let length = usize::from(tcp.get(12)? >> 4) * 4;
        let stamped = length == STAMPED && tcp.get(20..24) == Some(&STAMP);
        let flags = *tcp.get(13)?;
        // 7.11.1: no options of either header but time stamps, no flags of either but ACK and
        // PSH, not even congestion experienced.
        let plain = kind & ptype::IPV4_OPTIONS == 0
            && (length == 20 || stamped)
            && tcp.get(12)? & 0xf == 0
            && flags & !(PSH | ACK) == 0
            && ip.get(1)? & 3 != 3;
        let good = parsed.ip == Check::Good && parsed.transport == Check::Good;
        let payload = tcp.get(length..).unwrap_or_default();
        Some(Self {
            frame,
            flow: Flow {
                addresses: *ip.get(12..)?.first_chunk()?,
                ports: *tcp.first_chunk()?,
                tag,
            },
            l3,
            l4,
            header: l4 + length,
            payload,
            sequence: u32::from_be_bytes(*tcp.get(4..)?.first_chunk()?),
            flags,
            stamped,
            fit: plain && good && !payload.is_empty(),
        })
    }

    /// It ends the large packet that it belongs to.
    pub(super) fn pushes(&self) -> bool {
        self.flags & PSH != 0
    }

    pub(super) fn is_tagged(&self) -> bool {
        self.flow.tag.is_some()
    }

    /// Whether a large packet may start with it.
    pub(super) fn opens(&self, setup: &RscSetup) -> bool {
        self.fit && !self.pushes() && self.frame.len() >= setup.first
    }
}

/// A large packet being gathered.
#[derive(Debug)]
pub(super) struct Context {
    flow: Flow,
    /// The first segment's headers, kept up to date but for lengths and checksums, and all
    /// payload so far.
    packet: Vec<u8>,
    l3: usize,
    l4: usize,
    next: u32,
    flags: u8,
    stamped: bool,
    /// Where in `packet` each segment starts.
    starts: Vec<u32>,
    /// Bytes of the segments' frames as they would be stored one by one.
    pub(super) octets: usize,
    /// When it was opened.
    pub(super) since: Duration,
    /// The write-back of the first segment.
    pub(super) w0: u64,
    pub(super) w1: u64,
}

impl Context {
    /// Starts with a segment, whose tag is left out when `strip` says so.
    pub(super) fn new(s: &Segment<'_>, strip: bool, now: Duration, w0: u64, w1: u64) -> Self {
        let out = if strip { 4 } else { 0 };
        let mut packet = Vec::with_capacity(8 * 1024);
        packet.extend_from_slice(&s.frame[..12]);
        packet.extend_from_slice(&s.frame[12 + out..s.header]);
        packet.extend_from_slice(s.payload);
        Self {
            flow: s.flow,
            l3: s.l3 - out,
            l4: s.l4 - out,
            next: s.sequence.wrapping_add(s.payload.len() as u32),
            flags: s.flags,
            stamped: s.stamped,
            starts: vec![0],
            octets: packet.len(),
            packet,
            since: now,
            w0,
            w1,
        }
    }

    /// Whether a segment is of the same connection.
    pub(super) fn is_of(&self, s: &Segment<'_>) -> bool {
        self.flow == s.flow
    }

    /// Segments in it.
    pub(super) fn count(&self) -> usize {
        self.starts.len()
    }

    /// Adds the next segment, if it is that and there is room, in buffers of `buffer` bytes.
    pub(super) fn add(&mut self, s: &Segment<'_>, setup: &RscSetup, buffer: usize) -> bool {
        let length = self.packet.len() + s.payload.len();
        let ack = !setup.ack_change || (self.flags ^ s.flags) & ACK == 0;
        // The IP packet's length has 16 bits.
        if !s.fit
            || self.flags & PSH != 0
            || s.sequence != self.next
            || s.stamped != self.stamped
            || !ack
            || length > setup.most
            || length - self.l3 > 0xffff
            || self.starts_in(self.packet.len() / buffer, buffer) >= STARTS
        {
            return false;
        }
        let (old, new) = (&mut self.packet[self.l4..], &s.frame[s.l4..]);
        // Of the last segment (7.11.4): acknowledgement, window, time stamps.
        old[8..12].copy_from_slice(&new[8..12]);
        old[13] |= new[13];
        self.flags |= s.flags;
        old[14..16].copy_from_slice(&new[14..16]);
        if self.stamped {
            old[24..STAMPED].copy_from_slice(&new[24..STAMPED]);
        }
        self.starts.push(self.packet.len() as u32);
        self.packet.extend_from_slice(s.payload);
        self.next = self.next.wrapping_add(s.payload.len() as u32);
        self.octets += self.l4 + s.header - s.l4 + s.payload.len();
        true
    }

    fn starts_in(&self, nth: usize, buffer: usize) -> usize {
        self.starts.iter().filter(|at| **at as usize / buffer == nth).count()
    }

    /// The packet as it is stored, and where its segments start: nowhere if it is just one.
    pub(super) fn complete(&mut self) -> (&[u8], &[u32]) {
        let (l3, l4) = (self.l3, self.l4);
        if self.starts.len() < 2 {
            return (&self.packet, &[]);
        }
        let ip = &mut self.packet[l3..];
        let [a, b] = (ip.len() as u16).to_be_bytes();
        (ip[2], ip[3]) = (a, b);
        ip[10..12].fill(0);
        let sum = packet::checksum(&ip[..l4 - l3]);
        ip[10..12].copy_from_slice(&sum);
        let [a, b] = ((ip.len() - (l4 - l3)) as u16).to_be_bytes();
        let mut pseudo = [0, 6, a, b, 0, 0, 0, 0, 0, 0, 0, 0];
        pseudo[4..].copy_from_slice(&ip[12..20]);
        let pseudo = !u16::from_be_bytes(packet::checksum(&pseudo));
        let tcp = &mut self.packet[l4..];
        tcp[16..18].fill(0);
        let sum = packet::checksum_with(tcp, pseudo);
        tcp[16..18].copy_from_slice(&sum);
        (&self.packet, &self.starts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETUP: RscSetup =
        RscSetup { most: 20_000, first: 128, ack_change: true, hold: Duration::ZERO };

    fn segment(sequence: u32, ack: u32, payload: &[u8], more: &[u8]) -> Vec<u8> {
        use etherparse::{PacketBuilder, TcpOptionElement as Option};
        let mut out = Vec::new();
        let stamp = [Option::Noop, Option::Noop, Option::Timestamp(ack * 10, ack * 20)];
        let options = if more.contains(&b't') { &stamp[..] } else { &[] };
        let mut tcp = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(80, 4000, sequence, ack as u16)
            .ack(ack)
            .options(options)
            .unwrap();
        for flag in more {
            tcp = match flag {
                b'p' => tcp.psh(),
                b'f' => tcp.fin(),
                b's' => tcp.syn(),
                b'e' => tcp.ece(),
                b'u' => tcp.urg(9),
                _ => tcp,
            };
        }
        tcp.write(&mut out, payload).unwrap();
        out
    }

    fn parse(frame: &[u8]) -> Segment<'_> {
        Segment::of(frame, packet::vlan_tag(frame), &packet::parse(frame)).unwrap()
    }

    fn open(frame: &[u8]) -> Context {
        let s = parse(frame);
        assert!(s.opens(&SETUP));
        Context::new(&s, false, Duration::ZERO, 1, 2)
    }

    #[test]
    fn three_segments_become_one_packet() {
        for stamps in [&b""[..], b"t"] {
            let parts: Vec<Vec<u8>> = (0..3u8).map(|n| vec![n + 1; 100 + usize::from(n)]).collect();
            let mut last = stamps.to_vec();
            last.push(b'p');
            let mut c = open(&segment(1000, 5, &parts[0], stamps));
            assert!(c.add(&parse(&segment(1100, 6, &parts[1], stamps)), &SETUP, 2048));
            let frame = segment(1201, 7, &parts[2], &last);
            let end = parse(&frame);
            assert!(end.pushes() && c.add(&end, &SETUP, 2048));
            // Sequence of the first; acknowledgement, window, stamps and PSH of the last; right
            // lengths and checksums.
            let want = segment(1000, 7, &parts.concat(), &last);
            let header = if stamps.is_empty() { 54 } else { 66 };
            let octets = 3 * header + 303;
            assert_eq!((c.count(), c.octets), (3, octets));
            let (packet, starts) = c.complete();
            assert_eq!(packet, want);
            assert_eq!(starts, [0, header as u32 + 100, header as u32 + 201]);
        }
    }

    #[test]
    fn what_ends_a_large_packet() {
        let data = [7; 200];
        let first = segment(0u32.wrapping_sub(200), 5, &data, b"");
        let next = |sequence, more: &[u8]| segment(sequence, 5, &data, more);
        assert!(open(&first).add(&parse(&next(0, b"")), &SETUP, 2048), "numbers wrap");
        for (why, frame) in [
            ("out of order", next(1, b"")),
            ("again", first.clone()),
            ("time stamps", next(0, b"t")),
            ("the end", next(0, b"f")),
            ("urgent", next(0, b"u")),
            ("congestion", next(0, b"e")),
            ("no payload", segment(0, 5, &[], b"")),
        ] {
            assert!(!open(&first).add(&parse(&frame), &SETUP, 2048), "{why}");
        }
        let mut marked = next(0, b"");
        marked[15] = 3;
        marked[24..26].fill(0);
        let sum = packet::checksum(&marked[14..34]);
        marked[24..26].copy_from_slice(&sum);
        assert!(!open(&first).add(&parse(&marked), &SETUP, 2048), "congestion experienced");
        let mut wrong = next(0, b"");
        wrong[100] ^= 1;
        assert!(!open(&first).add(&parse(&wrong), &SETUP, 2048), "checksum");
        let least = RscSetup { most: first.len() + 199, ..SETUP };
        assert!(!open(&first).add(&parse(&next(0, b"")), &least, 2048), "too long");
    }

    #[test]
    fn the_length_of_ip_and_the_count_of_a_buffer_are_limits() {
        let setup = RscSetup { most: 200_000, ..SETUP };
        let big = [1; 1400];
        let mut c = open(&segment(0, 1, &big, b""));
        let mut n = 1;
        while c.add(&parse(&segment(n * 1400, 1, &big, b"")), &setup, 2048) {
            n += 1;
        }
        assert_eq!(n, (65_535 - 40) / 1400);
        assert_eq!(packet::parse(c.complete().0).transport, Check::Good);
        let small = [1; 80];
        let mut c = open(&segment(0, 1, &small, b""));
        let mut n = 1;
        while c.add(&parse(&segment(n * 80, 1, &small, b"")), &setup, 16 * 1024) {
            n += 1;
        }
        assert_eq!(n as usize, STARTS);
    }

    #[test]
    fn padding_is_not_payload_and_tags_are_left_out() {
        let mut frame = segment(9, 1, &[3; 100], b"");
        frame.extend([0xee; 7]);
        frame.splice(12..12, [0x81, 0, 0, 5]);
        let s = parse(&frame);
        let mut c = Context::new(&s, true, Duration::ZERO, 0, 0);
        assert_eq!(c.complete().0, segment(9, 1, &[3; 100], b""));
        let untagged = segment(109, 1, &[3; 100], b"");
        assert!(!c.is_of(&parse(&untagged)), "another VLAN is another connection");
    }

    #[test]
    fn other_frames_are_none_of_its_business() {
        let mut out = Vec::new();
        etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv6([1; 16], [2; 16], 64)
            .tcp(1, 2, 3, 4)
            .write(&mut out, &[0; 200])
            .unwrap();
        assert!(Segment::of(&out, None, &packet::parse(&out)).is_none());
        let whole = segment(1, 1, &[1; 100], b"t");
        for len in 34..whole.len() {
            let mut cut = whole[..len].to_vec();
            // As long as IP says.
            let [a, b] = (len as u16 - 14).to_be_bytes();
            (cut[16], cut[17]) = (a, b);
            let parsed = packet::parse(&cut);
            if let Some(s) = Segment::of(&cut, None, &parsed) {
                assert!(!s.fit, "{len}");
            }
        }
        for offset in (0..=15).filter(|n| *n != 8) {
            let mut odd = whole.clone();
            odd[46] = offset << 4;
            let s = parse(&odd);
            assert!(!s.fit);
        }
    }
}
