//! What the receive parser sees in a frame, and checksums both ways.
//!
//! The 82599 parses every frame once, whatever is enabled: the packet type (datasheet 7.1.6.2,
//! table of advanced write-back), and the IPv4, TCP, UDP and SCTP checksums (7.1.11).

/// Packet-type bits, as they stand at 16:4 of the write-back's first word (shifted down).
pub(super) mod ptype {
    pub(in crate::drivers::sim) const IPV4: u16 = 1;
    pub(in crate::drivers::sim) const IPV4_OPTIONS: u16 = 1 << 1;
    pub(in crate::drivers::sim) const IPV6: u16 = 1 << 2;
    pub(in crate::drivers::sim) const IPV6_EXTENSIONS: u16 = 1 << 3;
    pub(in crate::drivers::sim) const TCP: u16 = 1 << 4;
    pub(in crate::drivers::sim) const UDP: u16 = 1 << 5;
    pub(in crate::drivers::sim) const SCTP: u16 = 1 << 6;
}

/// What one checksum turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Check {
    /// Nothing there to check.
    #[default]
    None,
    /// Right.
    Good,
    /// Wrong.
    Bad,
}

/// One frame, parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Parsed {
    /// See [`ptype`].
    pub(super) ptype: u16,
    /// Offset of the IP header, when `ptype` names one.
    pub(super) l3: usize,
    /// Offset of the TCP, UDP or SCTP header, when `ptype` names one.
    pub(super) l4: usize,
    /// A fragment: its ports, if any, mean nothing.
    pub(super) fragment: bool,
    /// IPv4 header checksum.
    pub(super) ip: Check,
    /// TCP or UDP checksum, or the CRC of SCTP.
    pub(super) transport: Check,
}

const VLAN: [u8; 2] = [0x81, 0x00];

#[inline(always)]
fn be16(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 2).map_or(0, |b| usize::from(b[0]) << 8 | usize::from(b[1]))
}

/// The VLAN tag of an 802.1Q frame.
#[inline(always)]
pub(super) fn vlan_tag(frame: &[u8]) -> Option<u16> {
    (frame.len() >= 18 && frame[12..14] == VLAN)
        .then(|| u16::from(frame[14]) << 8 | u16::from(frame[15]))
}

/// One's-complement sum of `bytes` as little-endian words, an odd last byte padded with zero. Sums
/// of parts at even offsets may be added; whether the whole is all ones does not depend on the byte
/// order.
#[inline]
fn sum(bytes: &[u8]) -> u64 {
    if bytes.len() >= LONG {
        return sum_long(bytes);
    }
    // With the carry brought back in: shorter than setting vector registers up.
    let (words, rest) = bytes.as_chunks::<8>();
    let mut total = 0u64;
    for word in words {
        let (next, carry) = total.overflowing_add(u64::from_le_bytes(*word));
        total = next + u64::from(carry);
    }
    (total & 0xffff_ffff) + (total >> 32) + sum_rest(rest)
}

/// From here on vectors pay.
const LONG: usize = 192;

#[inline(never)]
fn sum_long(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    words.iter().map(|w| u64::from(u32::from_le_bytes(*w))).sum::<u64>() + sum_rest(rest)
}

/// The last few bytes, fewer than eight.
#[inline(always)]
fn sum_rest(rest: &[u8]) -> u64 {
    let (words, rest) = rest.as_chunks::<4>();
    let mut total: u64 = words.iter().map(|w| u64::from(u32::from_le_bytes(*w))).sum();
    let (half, last) = rest.split_at(rest.len() & 2);
    if let [a, b] = half {
        total += u64::from(u16::from_le_bytes([*a, *b]));
    }
    if let [a] = last {
        total += u64::from(u16::from_le_bytes([*a, 0]));
    }
    total
}

#[inline]
fn fold(sum: u64) -> u16 {
    let mut sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// The checksum field value, in network order, that makes `bytes` and `seed` sum to all ones.
pub(super) fn checksum(bytes: &[u8]) -> [u8; 2] {
    (!fold(sum(bytes))).to_le_bytes()
}

/// The same with `more` in the sum, as if it stood among the bytes in network order.
pub(super) fn checksum_with(bytes: &[u8], more: u16) -> [u8; 2] {
    (!fold(sum(bytes) + u64::from(u16::from_le_bytes(more.to_be_bytes())))).to_le_bytes()
}

/// The pseudo-header's share of a TCP or UDP checksum.
#[inline]
fn pseudo(addresses: &[u8], protocol: u8, length: usize) -> u64 {
    sum(addresses)
        + u64::from(u16::from_le_bytes([0, protocol]))
        + u64::from(u16::from_le_bytes((length as u16).to_be_bytes()))
}

/// Parses `frame`.
#[inline]
pub(super) fn parse(frame: &[u8]) -> Parsed {
    parse_plain(frame).unwrap_or_else(|| parse_any(frame))
}

/// What [`parse`] gives for nearly all frames there are: untagged, with a whole TCP or UDP packet
/// in IPv4 without options. `None` for all others.
#[inline(always)]
pub(super) fn parse_plain(frame: &[u8]) -> Option<Parsed> {
    // EtherType IPv4; version 4, five words of header.
    const START: u64 = 0x45_0008;
    /// Up to where the checksum of UDP is.
    const HEADERS: usize = 48;
    let head: &[u8; HEADERS] = frame.first_chunk()?;
    // In the pieces in which a cable has just stored them, from which they are had at once: loads
    // that cross two stores wait until both are in the cache.
    let [_, w8, w16, w24, w32, w40] = head.as_chunks::<8>().0.first_chunk()?;
    let [w8, w16, w24, w32] = [w8, w16, w24, w32].map(|word| u64::from_le_bytes(*word));
    let total = usize::from((w16 as u16).swap_bytes());
    let (fragment, protocol) = ((w16 >> 32) as u16 & 0xff3f, (w16 >> 56) as u8);
    let segment = frame.get(34..14 + total)?;
    let (bit, least) = match protocol {
        17 => (ptype::UDP, 8),
        6 => (ptype::TCP, 20),
        _ => return None,
    };
    if w8 >> 32 & 0xff_ffff != START || fragment != 0 || segment.len() < least {
        return None;
    }
    let addresses = (w24 >> 16) + (w32 & 0xffff);
    let header = add(add(w16, w24), (w8 >> 48) + (w32 & 0xffff));
    let transport = if bit == ptype::UDP && w40[..2] == [0, 0] {
        Check::None
    } else {
        // The pseudo-header's share first: protocol and length, in network order.
        let length = (segment.len() as u16).swap_bytes();
        let pseudo = addresses + (u64::from(protocol) << 8) + u64::from(length);
        verdict(add_segment(pseudo, frame, segment))
    };
    Some(Parsed {
        ptype: ptype::IPV4 | bit,
        l3: 14,
        l4: 34,
        fragment: false,
        ip: verdict(header),
        transport,
    })
}

/// One's-complement addition: the carry comes in at the other end.
#[inline(always)]
fn add(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u64::from(carry)
}

/// Adds the sum of `segment`, which lies in `frame` from byte 34 on, to `total`.
#[inline(always)]
fn add_segment(total: u64, frame: &[u8], segment: &[u8]) -> u64 {
    if segment.len() >= LONG {
        return total + sum_long(segment);
    }
    let (words, rest) = segment.as_chunks::<8>();
    let total = words.iter().fold(total, |total, word| add(total, u64::from_le_bytes(*word)));
    match frame.get(..34 + segment.len()).and_then(|bytes| bytes.last_chunk::<8>()) {
        // The last eight bytes, less those that are in the sum already.
        Some(last) if !rest.is_empty() => {
            add(total, u64::from_le_bytes(*last) >> (8 * (8 - rest.len())))
        }
        _ => total,
    }
}

/// Of a sum that has something other than zeros in it: whether it comes to all ones. 2^16 leaves
/// one when divided by 65,535, so folding a sum changes nothing about what it leaves.
#[inline(always)]
fn verdict(sum: u64) -> Check {
    if sum.is_multiple_of(0xffff) { Check::Good } else { Check::Bad }
}

/// Parses any frame.
#[inline(never)]
fn parse_any(frame: &[u8]) -> Parsed {
    if frame.len() < 34 {
        return Parsed::default();
    }
    let l3 = if frame[12..14] == VLAN { 18 } else { 14 };
    match [frame[l3 - 2], frame[l3 - 1]] {
        [0x08, 0x00] => ipv4(frame, l3),
        [0x86, 0xdd] => ipv6(frame, l3),
        _ => Parsed::default(),
    }
}

#[inline]
fn ipv4(frame: &[u8], l3: usize) -> Parsed {
    let ip = &frame[l3..];
    let header = usize::from(ip[0] & 0xf) * 4;
    if ip[0] >> 4 != 4 || header < 20 || ip.len() < header {
        return Parsed::default();
    }
    let options = if header > 20 { ptype::IPV4_OPTIONS } else { 0 };
    let good = fold(sum(&ip[..header])) == 0xffff;
    let mut parsed = Parsed {
        ptype: ptype::IPV4 | options,
        l3,
        l4: l3 + header,
        fragment: be16(ip, 6) & 0x3fff != 0,
        ip: if good { Check::Good } else { Check::Bad },
        transport: Check::None,
    };
    let total = be16(ip, 2);
    if total >= header && total <= ip.len() {
        transport(&mut parsed, ip[9], &ip[12..20], &ip[header..total]);
    }
    parsed
}

#[inline]
fn ipv6(frame: &[u8], l3: usize) -> Parsed {
    let ip = &frame[l3..];
    if ip.len() < 40 || ip[0] >> 4 != 6 {
        return Parsed::default();
    }
    let mut parsed = Parsed { ptype: ptype::IPV6, l3, l4: l3 + 40, ..Parsed::default() };
    let total = 40 + be16(ip, 4);
    if total > ip.len() {
        return parsed;
    }
    let (mut next, mut at) = (ip[6], 40);
    // Hop-by-hop, routing, fragment, destination options: at most one of each and a spare.
    for _ in 0..5 {
        if !matches!(next, 0 | 43 | 44 | 60) || at + 8 > total {
            break;
        }
        parsed.ptype |= ptype::IPV6_EXTENSIONS;
        parsed.fragment |= next == 44;
        let length = if next == 44 { 8 } else { (usize::from(ip[at + 1]) + 1) * 8 };
        next = ip[at];
        at += length;
    }
    if at <= total {
        parsed.l4 = l3 + at;
        transport(&mut parsed, next, &ip[8..40], &ip[at..total]);
    }
    parsed
}

#[inline]
fn transport(parsed: &mut Parsed, protocol: u8, addresses: &[u8], segment: &[u8]) {
    let (bit, least) = match protocol {
        6 => (ptype::TCP, 20),
        17 => (ptype::UDP, 8),
        132 => (ptype::SCTP, 12),
        _ => return,
    };
    if parsed.fragment {
        return;
    }
    if segment.len() < least {
        return;
    }
    parsed.ptype |= bit;
    let no_checksum = bit == ptype::UDP && segment[6..8] == [0, 0];
    if bit == ptype::SCTP {
        parsed.transport = sctp(segment);
        return;
    }
    if no_checksum {
        return;
    }
    let total = pseudo(addresses, protocol, segment.len()) + sum(segment);
    parsed.transport = if fold(total) == 0xffff { Check::Good } else { Check::Bad };
}

/// Whether the CRC of an SCTP packet is right: it is computed with its field as zero.
#[cold]
fn sctp(packet: &[u8]) -> Check {
    let mut whole = packet.to_vec();
    let Some(field) = whole.get_mut(8..12) else { return Check::None };
    let told = [field[0], field[1], field[2], field[3]];
    field.fill(0);
    if crc32c(&whole).to_le_bytes() == told { Check::Good } else { Check::Bad }
}

/// What a CRC makes of each byte. `polynomial` is reflected.
const fn crc_table(polynomial: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 != 0 { crc >> 1 ^ polynomial } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

fn crc(table: &[u32; 256], bytes: &[u8]) -> u32 {
    let next = |crc: u32, byte: &u8| table[usize::from(crc as u8 ^ byte)] ^ crc >> 8;
    !bytes.iter().fold(!0, next)
}

/// The Ethernet CRC of `bytes`, for the rare frame that brings its own.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    static TABLE: [u32; 256] = crc_table(0xedb8_8320);
    crc(&TABLE, bytes)
}

/// The CRC of SCTP (Castagnoli's).
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    static TABLE: [u32; 256] = crc_table(0x82f6_3b78);
    crc(&TABLE, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame by etherparse, whose checksums are not ours.
    fn frame(v6: bool, tcp: bool, vlan: bool, payload: &[u8]) -> Vec<u8> {
        use etherparse::PacketBuilder;
        let eth = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let mut out = Vec::new();
        let ip = match (vlan, v6) {
            (false, false) => eth.ipv4([10, 1, 2, 3], [192, 168, 9, 8], 64),
            (false, true) => eth.ipv6([1; 16], [0xfe; 16], 64),
            (true, v6) => {
                let eth = eth.single_vlan(0x123.try_into().unwrap());
                if v6 { eth.ipv6([1; 16], [0xfe; 16], 64) } else { eth.ipv4([9; 4], [7; 4], 3) }
            }
        };
        if tcp {
            ip.tcp(1000, 2000, 77, 512).write(&mut out, payload).unwrap();
        } else {
            ip.udp(5, 6).write(&mut out, payload).unwrap();
        }
        out
    }

    #[test]
    fn types_offsets_and_checksums_of_etherparse_frames() {
        for case in 0..8 {
            let (v6, tcp, vlan) = (case & 1 != 0, case & 2 != 0, case & 4 != 0);
            for len in [0, 1, 2, 3, 7, 100, 163, 164, 171, 172, 184, 185, 1459] {
                let payload: Vec<u8> = (0..len).map(|i| (i * 37) as u8).collect();
                let mut f = frame(v6, tcp, vlan, &payload);
                let p = parse(&f);
                let l3 = if v6 { ptype::IPV6 } else { ptype::IPV4 };
                let l4 = if tcp { ptype::TCP } else { ptype::UDP };
                assert_eq!(p.ptype, l3 | l4);
                assert_eq!(p.l3, if vlan { 18 } else { 14 });
                assert_eq!(p.l4 - p.l3, if v6 { 40 } else { 20 });
                assert_eq!(p.ip, if v6 { Check::None } else { Check::Good });
                assert_eq!(p.transport, Check::Good, "{case} {len}");
                assert_eq!(vlan_tag(&f), vlan.then_some(0x123));
                let (last, l4) = (f.len() - 1, p.l4);
                f[if len > 0 { last } else { l4 }] ^= 0x40;
                assert_eq!(parse(&f).transport, Check::Bad);
                if !v6 {
                    f[p.l3 + 8] ^= 1;
                    assert_eq!(parse(&f).ip, Check::Bad);
                }
                // Padding behind the packet changes nothing.
                f.extend([0xaa; 9]);
                assert_eq!(parse(&f).ptype, p.ptype);
            }
        }
    }

    #[test]
    fn nothing_is_assumed_about_what_arrives() {
        let whole = frame(true, true, true, &[9; 40]);
        for cut in 0..whole.len() {
            parse(&whole[..cut]);
            vlan_tag(&whole[..cut]);
        }
        let mut seed = 1u64;
        for _ in 0..20_000 {
            let mut f = frame(seed & 1 != 0, seed & 2 != 0, seed & 4 != 0, &[1; 30]);
            for _ in 0..4 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let at = (seed >> 33) as usize % f.len();
                f[at] = (seed >> 20) as u8;
            }
            parse(&f);
        }
        assert_eq!(parse(&[0; 60]), Parsed::default());
        let mut udp = frame(false, false, false, b"x");
        udp[40..42].fill(0);
        assert_eq!(parse(&udp).transport, Check::None, "UDP without a checksum");
        let mut part = frame(false, false, false, b"x");
        part[20] = 0x20;
        let p = parse(&part);
        assert!(p.fragment && p.ptype == ptype::IPV4, "no ports in a fragment");
    }

    #[test]
    fn plain_frames_are_parsed_as_any_are() {
        let (mut seed, mut plain, mut bad) = (9u64, 0, 0);
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % below
        };
        for n in 0..60_000 {
            let payload: Vec<u8> = (0..random(260)).map(|_| random(256) as u8).collect();
            let mut f = frame(n % 16 == 0, n & 1 != 0, n % 16 == 1, &payload);
            f.resize(f.len().max(60) + random(3), 0);
            if n % 32 == 2 {
                f[40..42].fill(0);
            }
            for _ in 0..random(3) {
                // Headers, as a rule.
                let at = random(if n & 2 != 0 { f.len() } else { 54 });
                f[at] = random(256) as u8;
            }
            f.truncate(f.len() - random(50).saturating_sub(46));
            if let Some(parsed) = parse_plain(&f) {
                assert_eq!(parsed, parse_any(&f), "{f:x?}");
                plain += 1;
                bad += u32::from(parsed.ip == Check::Bad || parsed.transport == Check::Bad);
            }
        }
        assert!(plain > 20_000 && bad > 5_000, "{plain} {bad}");
    }

    #[test]
    fn the_crc_of_sctp() {
        // An INIT from port 80 to 90 in IPv6, behind destination options.
        let mut f = vec![2; 12];
        f.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, 60, 64]);
        f.extend([7; 32]);
        f.extend([132, 0, 1, 4, 0, 0, 0, 0]);
        let mut sctp = vec![0, 80, 0, 90, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 20];
        sctp.extend([9; 16]);
        let crc = crc32c(&sctp).to_le_bytes();
        sctp[8..12].copy_from_slice(&crc);
        f.extend(&sctp);
        f.extend([0; 4]);
        let p = parse(&f);
        assert_eq!(p.ptype, ptype::IPV6 | ptype::IPV6_EXTENSIONS | ptype::SCTP);
        assert_eq!((p.transport, p.l4), (Check::Good, 62));
        f[70] ^= 1;
        assert_eq!(parse(&f).transport, Check::Bad);
    }

    #[test]
    fn crcs_of_the_check_string() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
