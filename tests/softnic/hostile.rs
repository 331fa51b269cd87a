//! Numbers, descriptors and packets of the kinds that mistakes are made with.

use etherparse::PacketBuilder;
use fastrand::Rng;

use crate::guest::{FIRST, LEN};

/// A window that the NIC may only read.
pub(crate) const READ_ONLY: u64 = FIRST + LEN + 0x10_0000;
/// Where packets to be sent are in the guest's memory, and how far apart.
pub(crate) const PACKETS: u64 = 0x10_0000;
pub(crate) const APART: u64 = 0x4000;
pub(crate) const PACKET_COUNT: u64 = 16;

/// A number from where mistakes live.
pub(crate) fn number(rng: &mut Rng) -> u32 {
    const KNOWN: [u32; 20] = [
        0,
        1,
        2,
        3,
        4,
        7,
        8,
        15,
        16,
        17,
        32,
        64,
        4095,
        4096,
        65535,
        65536,
        1 << 20,
        1 << 31,
        u32::MAX - 1,
        u32::MAX,
    ];
    match rng.u32(0..4) {
        0 => rng.u32(..),
        1 => 1 << rng.u32(0..32),
        _ => KNOWN[rng.usize(0..KNOWN.len())],
    }
}

/// The same of 64 bits.
pub(crate) fn long(rng: &mut Rng) -> u64 {
    match rng.u32(0..3) {
        0 => u64::from(number(rng)),
        1 => u64::from(number(rng)) << 12,
        _ => u64::from(number(rng)) << 32 | u64::from(number(rng)),
    }
}

/// A device address: mostly one that leads somewhere, or almost.
pub(crate) fn address(rng: &mut Rng) -> u64 {
    match rng.u32(0..10) {
        0..5 => (FIRST + rng.u64(0..LEN)) & !0x7f,
        5 => FIRST + rng.u64(0..LEN),
        // Across the end, and before the beginning.
        6 => FIRST + LEN - rng.u64(0..0x1000),
        7 => FIRST - rng.u64(0..0x1000),
        8 => READ_ONLY + rng.u64(0..0x1_1000),
        _ => rng.u64(..),
    }
}

/// What could be in a register.
pub(crate) fn value(rng: &mut Rng) -> u32 {
    match rng.u32(0..5) {
        0 => rng.u32(..),
        1 => address(rng) as u32,
        2 => (FIRST >> 32) as u32,
        // Lengths, tails, and the bit that enables queues.
        3 => [0x200, 0x80, 0x1000, 8, 31, 1 << 25, 1 << 25 | 0xffff, 0xf_ff80][rng.usize(0..8)],
        _ => number(rng),
    }
}

/// Any descriptor, or what could be taken for one (82599 datasheet 7.1.6, 7.2.3).
pub(crate) fn descriptor(rng: &mut Rng) -> [u64; 2] {
    match rng.u32(0..6) {
        0 => [rng.u64(..), rng.u64(..)],
        1 | 2 => {
            let len = rng.u32(0..2000);
            let said = if rng.bool() { len } else { rng.u32(0..0x4_0000) };
            data(address(rng), len, said, rng.u8(..), rng.u8(..))
        }
        3 => context(rng, [14, 20, 20], 1000),
        // Legacy: offsets of the checksum, commands.
        4 => {
            let commands = u64::from(rng.u8(..) & 0xdf) << 24 | u64::from(rng.u32(..)) << 32;
            [address(rng), commands | rng.u64(0..0x1000) | rng.u64(0..256) << 16]
        }
        // To receive into.
        _ => [address(rng), if rng.bool() { 0 } else { address(rng) }],
    }
}

/// Commands of a data descriptor: end of packet, FCS, status wanted, VLAN, segmentation.
const EOP: u8 = 1;
const IFCS: u8 = 1 << 1;
const RS: u8 = 1 << 3;
const VLE: u8 = 1 << 6;
const TSE: u8 = 1 << 7;

/// An advanced data descriptor; `said` is the payload's length.
fn data(address: u64, len: u32, said: u32, commands: u8, options: u8) -> [u64; 2] {
    let commands = u64::from(commands | 1 << 5) << 24;
    let len = u64::from(len & 0xffff) | 3 << 20;
    [address, u64::from(said & 0x3_ffff) << 46 | u64::from(options) << 38 | commands | len]
}

/// A context descriptor for headers of these lengths: MAC, IP, L4.
fn context(rng: &mut Rng, [mac, ip, l4]: [u32; 3], mss: u32) -> [u64; 2] {
    let any = |rng: &mut Rng, n: u32| if rng.u32(0..12) == 0 { number(rng) } else { n };
    let (mac, ip) = (any(rng, mac) & 0x7f, any(rng, ip) & 0x1ff);
    let low = u64::from(ip | mac << 9 | rng.u32(..) << 16);
    let high = u64::from(any(rng, mss) & 0xffff) << 48 | u64::from(any(rng, l4) & 0xff) << 40;
    // Which of the two contexts; IPv4 or not, UDP, TCP, SCTP.
    let index = if rng.u32(0..12) == 0 { 1 << 36 } else { 0 };
    let l4 = if rng.u32(0..8) == 0 { rng.u64(0..4) } else { rng.u64(0..2) };
    let kinds = u64::from(rng.bool()) << 10 | l4 << 11;
    [low, high | index | kinds | 1 << 29 | 2 << 20]
}

/// Descriptors of one packet, mostly right; the packets are where [`PACKETS`] says.
pub(crate) fn to_send(rng: &mut Rng) -> Vec<[u64; 2]> {
    let mut all = Vec::new();
    let segmented = rng.u32(0..3) == 0;
    let headers = [14, 20, if rng.bool() { 20 } else { 8 }];
    let described = segmented || rng.bool();
    if described {
        let mss = if rng.u32(0..8) == 0 { number(rng) } else { rng.u32(100..1500) };
        all.push(context(rng, headers, mss));
    }
    let len = if segmented { rng.u32(60..APART as u32) } else { rng.u32(17..1600) };
    let said = if segmented { len.saturating_sub(headers.iter().sum()) } else { len };
    let said = if rng.u32(0..24) == 0 { number(rng) } else { said };
    let mut commands = IFCS | RS | if segmented { TSE } else { 0 };
    if rng.u32(0..16) == 0 {
        commands ^= 1 << rng.u32(0..8);
    }
    if rng.u32(0..4) == 0 {
        commands |= VLE;
    }
    // Checksums of IP and L4; the context counts.
    let mut options = if described { 0b1110 } else { 0 };
    if rng.u32(0..8) == 0 {
        options ^= rng.u8(0..16);
    }
    let from = FIRST + PACKETS + rng.u64(0..PACKET_COUNT) * APART;
    let (mut at, parts) = (0, rng.u32(1..5));
    for part in 1..=parts {
        let end = if part == parts { len } else { rng.u32(at..=len) };
        let commands = if part == parts { commands | EOP } else { commands & !EOP };
        let place = if rng.u32(0..24) == 0 { address(rng) } else { from + u64::from(at) };
        all.push(data(place, end - at, said, commands, options));
        at = end;
    }
    if rng.u32(0..16) == 0 {
        let at = rng.usize(0..all.len());
        all[at][1] ^= 1 << rng.u32(0..64);
    }
    all
}

/// A packet of a kind that the NIC looks into, perhaps with something wrong.
pub(crate) fn packet(rng: &mut Rng, most: usize) -> Vec<u8> {
    let payload: Vec<u8> = vec![rng.u8(..); rng.usize(0..most)];
    let mut frame = Vec::with_capacity(payload.len() + 100);
    let (mac, ports) = ([2, 0, 0, 0, 0, rng.u8(0..4)], (rng.u16(0..4), rng.u16(0..4)));
    let to = if rng.u32(0..4) == 0 { [1, 0x80, 0xc2, 0, 0, rng.u8(0..16)] } else { mac };
    let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], to);
    let (ip, next) = if rng.bool() {
        (link.ipv4([10, 0, 0, rng.u8(0..4)], [10, 0, 0, 2], 64), 14 + 9)
    } else {
        (link.ipv6([rng.u8(0..4); 16], [2; 16], 64), 14 + 6)
    };
    let built = if rng.bool() {
        ip.udp(ports.0, if rng.bool() { ports.1 } else { 319 }).write(&mut frame, &payload)
    } else {
        let tcp = ip.tcp(ports.0, ports.1, rng.u32(0..3) * 100, 1000);
        let tcp = if rng.bool() { tcp.psh() } else { tcp.syn() };
        tcp.ack(1).write(&mut frame, &payload)
    };
    // Some do not fit into what their headers can say.
    let _too_long = built;
    if let Some(kind) = frame.get_mut(next).filter(|_| rng.u32(0..4) == 0) {
        // SCTP, fragments, routing, tunnels, nothing.
        *kind = [132, 44, 43, 0, 4, 41, 59, 60][rng.usize(0..8)];
    }
    if rng.u32(0..4) == 0 && frame.len() > 14 {
        let tags = [[0x81, 0, 0, 5], [0x88, 0xa8, 0, 1]];
        frame.splice(12..12, tags[rng.usize(0..2)]);
    }
    if rng.u32(0..8) == 0 && frame.len() > 60 {
        // PTP, LLDP, pause.
        let kinds = [[0x88, 0xf7], [0x88, 0xcc], [0x88, 0x08]];
        frame[12..14].copy_from_slice(&kinds[rng.usize(0..3)]);
        frame[14..18].copy_from_slice(&[0, rng.u8(0..4), rng.u8(..), rng.u8(..)]);
    }
    for _ in 0..rng.u32(0..4) {
        let at = rng.usize(0..frame.len().clamp(1, 60));
        if let Some(byte) = frame.get_mut(at).filter(|_| rng.u32(0..3) == 0) {
            *byte = rng.u8(..);
        }
    }
    if rng.u32(0..12) == 0 {
        frame.truncate(rng.usize(0..=frame.len()));
    }
    frame
}
