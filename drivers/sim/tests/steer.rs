//! The filters that choose a receive queue, register by register (82599 datasheet 7.1.2, 8.2.3.7,
//! 8.2.3.22).

use super::super::SimBar;
use super::rig::{Rig, udp};
use crate::drivers::intel::RxDesc;
use crate::drivers::ixgbe::regs::{
    DAQF, EICR, ETQF, ETQS, FDIRCTRL, FTQF, L34TIMIR, QPRDC, RXCSUM, SAQF, SDPQF, SYNQF,
};
use crate::mmio::{Bar, Register};

/// The queue that is on. What is led nowhere goes to queue 0, which is off.
const QUEUE: u32 = 5;

/// Flow Director's registers (8.2.3.22).
const SIPV6: u32 = 0xee0c;
const IPSA: u32 = 0xee18;
const IPDA: u32 = 0xee1c;
const PORT: u32 = 0xee20;
const VLAN: u32 = 0xee24;
const HASH: u32 = 0xee28;
const CMD: u32 = 0xee2c;
const FREE: u32 = 0xee38;
const DIP4M: u32 = 0xee3c;
const TCPM: u32 = 0xee44;
const UDPM: u32 = 0xee48;
const LEN: u32 = 0xee4c;
const USTAT: u32 = 0xee50;
const FSTAT: u32 = 0xee54;
const MATCH: u32 = 0xee58;
const MISS: u32 = 0xee5c;
const HKEY: u32 = 0xee68;
const SKEY: u32 = 0xee6c;
const M: u32 = 0xee70;

/// FDIRCMD: add, remove, query; update, TCP, UDP, drop, queue enable, and the queue.
const ADD: u32 = 1;
const REMOVE: u32 = 2;
const QUERY: u32 = 3;
const VALID: u32 = 1 << 2;
const UPDATE: u32 = 1 << 3;
const UDP: u32 = 1 << 5;
const TCP: u32 = 2 << 5;
const IPV6: u32 = 1 << 7;
const DROP: u32 = 1 << 9;
const TO_QUEUE: u32 = 1 << 15 | QUEUE << 16;

/// Write-back: a filter matched; errors.
const FLM: u64 = 1 << 2;
const TOO_LONG: u64 = 1 << 20;
const DROPPED: u64 = 1 << 21;
const COLLIDED: u64 = 1 << 22;

fn rig(change: impl FnOnce(&SimBar)) -> Rig {
    let mut rig = Rig::with(QUEUE, change);
    rig.post(40);
    rig
}

/// A TCP packet from 10.0.0.1 to 10.0.0.2 with these flags and ports.
fn tcp(syn: bool, ports: [u16; 2]) -> Vec<u8> {
    let mut frame = Vec::new();
    let ip = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(ports[0], ports[1], 7, 512);
    let ip = if syn { ip.syn() } else { ip.ack(9) };
    ip.write(&mut frame, &[0x33; 20]).unwrap();
    frame
}

/// The same over IPv6, from fe80::1 to fe80::2.
fn tcp6(ports: [u16; 2]) -> Vec<u8> {
    let mut frame = Vec::new();
    let address = |last| {
        let mut a = [0; 16];
        (a[0], a[1], a[15]) = (0xfe, 0x80, last);
        a
    };
    etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1])
        .ipv6(address(1), address(2), 64)
        .tcp(ports[0], ports[1], 7, 512)
        .write(&mut frame, &[0x33; 20])
        .unwrap();
    frame
}

fn of_type(ethertype: u16) -> Vec<u8> {
    let mut frame = vec![0x11; 60];
    frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
    frame
}

/// Whether a frame came to the queue.
fn arrives(rig: &mut Rig, frame: &[u8]) -> bool {
    !rig.receive(frame).is_empty()
}

#[test]
fn by_ethertype() {
    let filter = |ethertype| ETQF(ethertype).with(ETQF::FILTER_EN, 1);
    let mut rig = rig(|bar| {
        filter(0x8809).write_at(bar, 3);
        ETQS(0).with(ETQS::QUEUE_EN, 1).with(ETQS::RX_QUEUE, QUEUE).write_at(bar, 3);
        // A match without a queue only shows in the packet type.
        filter(0x88cc).write_at(bar, 6);
    });
    let got = rig.receive(&of_type(0x8809));
    assert_eq!(got[0].0 >> 4 & 0x1fff, 1 << 11 | 3, "the type is the filter's number");
    assert!(!arrives(&mut rig, &of_type(0x88cc)) && !arrives(&mut rig, &of_type(0x8808)));
    let mut tagged = of_type(0x8809);
    tagged.splice(12..12, [0x81, 0x00, 0x60, 0x05]);
    assert!(arrives(&mut rig, &tagged), "behind a tag");
    filter(0x8809).with(ETQF::UP_EN, 1).with(ETQF::UP, 3).write_at(&rig.bar, 3);
    assert!(arrives(&mut rig, &tagged) && !arrives(&mut rig, &of_type(0x8809)), "priority 3 only");
}

#[test]
fn syn_packets() {
    let syn = SYNQF(0).with(SYNQF::QUEUE_ENABLE, 1).with(SYNQF::RX_QUEUE, QUEUE);
    let mut rig = rig(|bar| syn.write(bar));
    assert!(arrives(&mut rig, &tcp(true, [1, 2])));
    assert!(!arrives(&mut rig, &tcp(false, [1, 2])));
    // A 5-tuple filter for all TCP comes first, unless SYNQFP says otherwise.
    FTQF(0).with(FTQF::MASK, 0xf).with(FTQF::QUEUE_ENABLE, 1).write(&rig.bar);
    L34TIMIR(0).with(L34TIMIR::RX_QUEUE, QUEUE + 1).write(&rig.bar);
    assert!(!arrives(&mut rig, &tcp(true, [1, 2])));
    syn.with(SYNQF::SYNQFP, 1).write(&rig.bar);
    assert!(arrives(&mut rig, &tcp(true, [1, 2])));
}

#[test]
fn by_5_tuple() {
    let filter = |mask| FTQF(0).with(FTQF::MASK, mask).with(FTQF::QUEUE_ENABLE, 1);
    let to = |queue| L34TIMIR(0).with(L34TIMIR::RX_QUEUE, queue);
    let mut rig = rig(|bar| {
        // Addresses and ports stand in network order.
        SAQF(u32::from_le_bytes([10, 0, 0, 1])).write_at(bar, 127);
        DAQF(u32::from_le_bytes([10, 0, 0, 2])).write_at(bar, 127);
        SDPQF(u32::from(7000u16.to_be()) | u32::from(80u16.to_be()) << 16).write_at(bar, 127);
        filter(0).write_at(bar, 127);
        to(QUEUE).write_at(bar, 127);
    });
    assert!(arrives(&mut rig, &tcp(false, [7000, 80])));
    assert!(!arrives(&mut rig, &tcp(false, [7000, 81])));
    assert!(!arrives(&mut rig, &tcp(false, [7001, 80])));
    assert!(!arrives(&mut rig, &udp(None, 30)));
    filter(0b01111).with(FTQF::PROTOCOL, 1).write_at(&rig.bar, 127);
    assert!(arrives(&mut rig, &udp(None, 30)) && !arrives(&mut rig, &tcp(false, [7000, 80])));
    // Of two that match, the one of the higher priority wins.
    filter(0b11111).with(FTQF::PRIORITY, 6).write_at(&rig.bar, 4);
    to(QUEUE + 1).write_at(&rig.bar, 4);
    assert!(!arrives(&mut rig, &udp(None, 30)));
    filter(0b01111).with(FTQF::PROTOCOL, 1).with(FTQF::PRIORITY, 7).write_at(&rig.bar, 127);
    assert!(arrives(&mut rig, &udp(None, 30)));
    // A filter for ports misses fragments, which have none.
    filter(0b10111).with(FTQF::PRIORITY, 7).write_at(&rig.bar, 127);
    SDPQF(u32::from(2000u16.to_be()) << 16).write_at(&rig.bar, 127);
    assert!(arrives(&mut rig, &udp(None, 30)));
    let mut fragment = udp(None, 30);
    fragment[20] = 0x20;
    assert!(!arrives(&mut rig, &fragment));
}

/// FDIRCTRL, and the wait for its table.
fn start(bar: &SimBar, control: FDIRCTRL) {
    bar.write32(HKEY, 0x3dad_14e2);
    bar.write32(SKEY, 0x174d_3614);
    control.write(bar);
    assert!(!FDIRCTRL::read(bar).has(FDIRCTRL::INIT_DONE));
    assert!((0..10).any(|_| FDIRCTRL::read(bar).has(FDIRCTRL::INIT_DONE)));
}

/// Flexible bytes from the EtherType, lists of up to 20, an interrupt at 64 free filters, the
/// drop queue, and the smallest table.
fn control() -> FDIRCTRL {
    FDIRCTRL(0)
        .with(FDIRCTRL::PBALLOC, 1)
        .with(FDIRCTRL::FLEX_OFFSET, 6)
        .with(FDIRCTRL::MAX_LENGTH, 10)
        .with(FDIRCTRL::FULL_THRESH, 4)
        .with(FDIRCTRL::DROP_Q, 127)
}

/// Writes a command and returns FDIRCMD when it is done.
fn command(bar: &SimBar, hash: u32, command: u32) -> u32 {
    bar.write32(HASH, hash);
    bar.write32(CMD, command);
    let done = (0..10).map(|_| bar.read32(CMD)).find(|cmd| cmd & 3 == 0);
    done.expect("the command is done")
}

/// The hashes of `tcp(_, [40000, 5001])` with Linux's keys, which a driver would compute: from
/// 10.0.0.1 to 10.0.0.2, EtherType 0x0800, no tag. See the tests of the hash.
const FLOW: [u16; 2] = [40000, 5001];

fn hashes(bar: &SimBar, frame: &[u8]) -> (u32, u32) {
    use super::super::steer::Tuple;
    let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
    let t = Tuple {
        kind: 2,
        source: [word(26), 0, 0, 0],
        destination: [word(30), 0, 0, 0],
        ports: [word(34) >> 16, word(34) & 0xffff].map(|p| p as u16),
        flex: 0x0800,
        ..Tuple::default()
    };
    (t.hash(bar.read32(HKEY)).into(), t.hash(bar.read32(SKEY)).into())
}

#[test]
fn signature_filters() {
    let mut rig = rig(|_| {});
    let bar = rig.bar.clone();
    RXCSUM::read(&bar).with(RXCSUM::PCSD, 1).write(&bar);
    assert_eq!(bar.read32(FREE), 0);
    start(&bar, control());
    assert_eq!(bar.read32(FREE), 8192 - 2);
    let frame = tcp(false, FLOW);
    assert!(!arrives(&mut rig, &frame));
    let (bucket, signature) = hashes(&bar, &frame);
    let hash = (signature & 0x7fff) << 16 | bucket & 0x7fff;
    command(&bar, hash, ADD | UPDATE | TCP | TO_QUEUE);
    let got = rig.receive(&frame);
    assert!(got[0].1 & FLM != 0 && RxDesc::rss_type(got[0].0) == 0, "{got:x?}");
    assert!(!arrives(&mut rig, &tcp(false, [40000, 5002])));
    assert!(!arrives(&mut rig, &udp(None, 40)));
    assert_eq!((bar.read32(MATCH), bar.read32(MISS)), (1, 3));
    assert_eq!((bar.read32(MATCH), bar.read32(MISS)), (0, 0), "cleared by reading");
    assert_eq!((bar.read32(USTAT), bar.read32(FREE)), (1, 8192 - 3));
    // With REPORT_STATUS the hashes are told.
    start(&bar, control().with(FDIRCTRL::REPORT_STATUS, 1));
    assert!(!arrives(&mut rig, &frame), "the table starts empty");
    command(&bar, hash, ADD | UPDATE | TCP | TO_QUEUE);
    let (w0, w1, _) = rig.receive(&frame).remove(0);
    assert_eq!((RxDesc::rss_type(w0), w1 & FLM), (0xf, FLM));
    assert_eq!(RxDesc::rss_hash(w0), (bucket & 0x1fff) << 16 | signature & 0x7fff);
    // The same hashes again without "update" are another flow: a collision.
    command(&bar, hash, ADD | TCP | TO_QUEUE);
    assert_eq!(bar.read32(FREE) >> 16, 1);
    assert!(rig.receive(&frame)[0].1 & COLLIDED != 0);
    assert!(command(&bar, hash, QUERY) & VALID != 0);
    command(&bar, hash, REMOVE);
    assert_eq!(command(&bar, hash, QUERY) & VALID, 0);
    assert!(!arrives(&mut rig, &frame));
    assert_eq!(bar.read32(FREE), 8192 - 2);
    command(&bar, hash, REMOVE);
    assert_eq!(bar.read32(FSTAT), 1 << 8, "it is gone already");
}

#[test]
fn tagged_packets_and_ipv6_have_signatures_too() {
    use super::super::steer::Tuple;
    let mut rig = rig(|bar| start(bar, control()));
    let bar = rig.bar.clone();
    let mut add = |t: Tuple, frame: &[u8]| {
        assert!(!arrives(&mut rig, frame));
        let hash = |key| u32::from(t.hash(bar.read32(key)) & 0x7fff);
        let kind = u32::from(t.kind) << 5;
        command(&bar, hash(SKEY) << 16 | hash(HKEY), ADD | UPDATE | kind | TO_QUEUE);
        assert!(arrives(&mut rig, frame));
    };
    let mut tagged = tcp(false, FLOW);
    tagged.splice(12..12, [0x81, 0x00, 0x70, 0x05]);
    let (source, destination) = ([0x0a00_0001, 0, 0, 0], [0x0a00_0002, 0, 0, 0]);
    // Bit 12 of the tag does not count.
    let t = Tuple { kind: 2, vlan: 0x6005, source, destination, ports: FLOW, flex: 0x8100 };
    add(t, &tagged);
    let (source, destination) = ([0xfe80_0000, 0, 0, 1], [0xfe80_0000, 0, 0, 2]);
    add(Tuple { kind: 6, vlan: 0, source, destination, ports: FLOW, flex: 0x86dd }, &tcp6(FLOW));
}

/// Masks that leave addresses, ports and kind; pools, tags, flexible bytes and the IPv6
/// destination do not count.
fn perfect(bar: &SimBar, more: FDIRCTRL) {
    start(bar, FDIRCTRL(control().raw() | more.raw()).with(FDIRCTRL::PERFECT_MATCH, 1));
    bar.write32(M, 0b11_0111);
}

/// The filter of `tcp(_, FLOW)`: its hash with the index by which software knows it.
fn program(bar: &SimBar, frame: &[u8], index: u32) -> u32 {
    use super::super::steer::Tuple;
    bar.write32(IPSA, u32::from_le_bytes(frame[26..30].try_into().unwrap()));
    bar.write32(IPDA, u32::from_le_bytes(frame[30..34].try_into().unwrap()));
    let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    bar.write32(PORT, u32::from(port(36)) << 16 | u32::from(port(34)));
    bar.write32(VLAN, 0);
    let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
    let t = Tuple {
        kind: if frame[23] == 6 { 2 } else { 1 },
        source: [word(26), 0, 0, 0],
        destination: [word(30), 0, 0, 0],
        ports: [port(34), port(36)],
        ..Tuple::default()
    };
    u32::from(t.hash(bar.read32(HKEY))) & 0x1fff | index << 16
}

#[test]
fn perfect_filters() {
    let mut rig = rig(|_| {});
    let bar = rig.bar.clone();
    RXCSUM::read(&bar).with(RXCSUM::PCSD, 1).write(&bar);
    perfect(&bar, FDIRCTRL(0).with(FDIRCTRL::REPORT_STATUS, 1));
    assert_eq!(bar.read32(FREE), 2048 - 2);
    let frame = tcp(false, FLOW);
    let hash = program(&bar, &frame, 77);
    command(&bar, hash, ADD | UPDATE | TCP | TO_QUEUE);
    let (w0, w1, _) = rig.receive(&frame).remove(0);
    assert!(w1 & FLM != 0 && w1 & (TOO_LONG | DROPPED | COLLIDED) == 0);
    assert_eq!(RxDesc::rss_hash(w0), (hash & 0x7ff) << 16 | 77);
    assert!(!arrives(&mut rig, &tcp(false, [40001, 5001])));
    // What a query shows, whatever stood in the registers.
    for register in [IPSA, IPDA, PORT, VLAN] {
        bar.write32(register, 0);
    }
    let shown = command(&bar, hash, QUERY);
    assert_eq!(shown, VALID | TCP | TO_QUEUE);
    assert_eq!(bar.read32(IPSA), u32::from_le_bytes([10, 0, 0, 1]));
    assert_eq!(bar.read32(IPDA), u32::from_le_bytes([10, 0, 0, 2]));
    assert_eq!(bar.read32(PORT), 5001 << 16 | 40000);
    // Updated, it drops: to the drop queue, which is off.
    program(&bar, &frame, 77);
    command(&bar, hash, ADD | UPDATE | TCP | DROP | TO_QUEUE);
    let before = QPRDC::read_at(&bar, 0).raw();
    assert!(!arrives(&mut rig, &frame));
    assert_eq!((before, QPRDC::read_at(&bar, 0).raw()), (1, 1));
    assert_eq!(bar.read32(FREE), 2048 - 3, "still one");
    command(&bar, hash, REMOVE);
    assert_eq!((bar.read32(FREE), bar.read32(USTAT)), (2048 - 2, 1 << 16 | 2));
}

#[test]
fn masks_leave_out_what_they_cover() {
    let mut rig = rig(|_| {});
    let bar = rig.bar.clone();
    perfect(&bar, FDIRCTRL(0));
    // Ports: of the source none counts, of the destination all but the lowest four bits, whose
    // places in the register are the highest. The last byte of the destination does not count.
    let masked = 0xf000 << 16 | 0xffff;
    bar.write32(TCPM, masked);
    bar.write32(UDPM, !0);
    bar.write32(DIP4M, u32::from_le_bytes([0, 0, 0, 0xff]));
    let mut model = tcp(false, [0, 5000 & !15]);
    model[33] = 0;
    let hash = program(&bar, &model, 3);
    command(&bar, hash, ADD | UPDATE | TCP | TO_QUEUE);
    assert!(arrives(&mut rig, &tcp(false, [9, 5000])));
    assert!(arrives(&mut rig, &tcp(false, [8, 4999])));
    assert!(!arrives(&mut rig, &tcp(false, [8, 4991])));
    let mut elsewhere = tcp(false, [9, 5000]);
    elsewhere[33] = 99;
    assert!(arrives(&mut rig, &elsewhere));
    elsewhere[32] = 1;
    assert!(!arrives(&mut rig, &elsewhere));
    assert!(!arrives(&mut rig, &udp(None, 30)), "UDP is another kind");
    let mut udp_model = udp(None, 30);
    udp_model[33..38].fill(0);
    let hash = program(&bar, &udp_model, 4);
    command(&bar, hash, ADD | UPDATE | UDP | TO_QUEUE);
    assert!(arrives(&mut rig, &udp(None, 30)));
    // Fragments match nothing.
    let mut fragment = udp(None, 30);
    fragment[20] = 0x20;
    assert!(!arrives(&mut rig, &fragment));
}

#[test]
fn flexible_bytes_and_tags_can_be_compared() {
    let mut rig = rig(|_| {});
    let bar = rig.bar.clone();
    perfect(&bar, FDIRCTRL(0));
    // The first two bytes of the payload of an untagged packet, and the VLAN id.
    start(&bar, control().with(FDIRCTRL::PERFECT_MATCH, 1).with(FDIRCTRL::FLEX_OFFSET, 27));
    bar.write32(M, 0b10_0110);
    let frame = tcp(false, FLOW);
    program(&bar, &frame, 1);
    bar.write32(VLAN, u32::from(u16::from_le_bytes([0x33, 0x33])) << 16);
    use super::super::steer::Tuple;
    let t = Tuple {
        kind: 2,
        source: [0x0a00_0001, 0, 0, 0],
        destination: [0x0a00_0002, 0, 0, 0],
        ports: FLOW,
        flex: 0x3333,
        ..Tuple::default()
    };
    command(&bar, u32::from(t.hash(bar.read32(HKEY))), ADD | UPDATE | TCP | TO_QUEUE);
    assert!(arrives(&mut rig, &frame));
    let mut other = frame.clone();
    other[55] = 0x34;
    assert!(!arrives(&mut rig, &other));
    let mut tagged = frame;
    tagged.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
    assert!(!arrives(&mut rig, &tagged), "no tag was programmed");
}

#[test]
fn ipv6_sources_can_be_matched_perfectly() {
    use super::super::steer::Tuple;
    let mut rig = rig(|_| {});
    let bar = rig.bar.clone();
    perfect(&bar, FDIRCTRL(0));
    for (n, word) in [0xfe80_0000u32, 0, 0].into_iter().enumerate() {
        bar.write32(SIPV6 + 4 * n as u32, word.swap_bytes());
    }
    bar.write32(IPSA, 1u32.swap_bytes());
    bar.write32(PORT, u32::from(FLOW[1]) << 16 | u32::from(FLOW[0]));
    let source = [0xfe80_0000, 0, 0, 1];
    let t = Tuple { kind: 6, source, ports: FLOW, ..Tuple::default() };
    command(&bar, u32::from(t.hash(bar.read32(HKEY))), ADD | TCP | IPV6 | TO_QUEUE);
    assert!(arrives(&mut rig, &tcp6(FLOW)));
    assert!(!arrives(&mut rig, &tcp6([1, 2])));
}

#[test]
fn a_table_fills_up_and_says_so() {
    let rig = rig(|_| {});
    let bar = rig.bar.clone();
    start(&bar, control());
    let full = || EICR::read(&bar).has(EICR::FLOW_DIR);
    for n in 0..8192 - 2 {
        if n == 8192 - 2 - 64 {
            assert_eq!(bar.read32(FREE), 64);
            assert!(full() && !full(), "told at 64, once it is read no more");
        }
        command(&bar, (n / 32) | (n % 32) << 16, ADD | TCP | TO_QUEUE);
    }
    assert_eq!((bar.read32(FREE), bar.read32(USTAT) & 0xffff), (0, 8190));
    assert_eq!(bar.read32(LEN) & 0x3f, 31, "the longest list, less one");
    command(&bar, 0x7fff << 16, ADD | TCP | TO_QUEUE);
    assert_eq!(bar.read32(FSTAT), 1);
    // FDIRCMD.CLEARHT.
    bar.write32(CMD, 1 << 8);
    assert_eq!(bar.read32(FREE), 8190);
    // A reset takes the table away.
    crate::drivers::ixgbe::regs::CTRL(0)
        .with(crate::drivers::ixgbe::regs::CTRL::RST, 1)
        .write(&bar);
    assert_eq!((bar.read32(FREE), bar.read32(HKEY), bar.read32(M)), (0, 0, 0));
}

#[test]
fn long_lists_are_told() {
    let mut rig = rig(|_| {});
    let bar = rig.bar.clone();
    start(&bar, control().with(FDIRCTRL::MAX_LENGTH, 1));
    let frame = tcp(false, FLOW);
    let (bucket, signature) = hashes(&bar, &frame);
    for other in [1, 2] {
        command(&bar, bucket & 0x7fff | ((signature + other) & 0x7fff) << 16, ADD | TCP | TO_QUEUE);
    }
    command(&bar, bucket & 0x7fff | (signature & 0x7fff) << 16, ADD | TCP | TO_QUEUE);
    assert!(rig.receive(&frame)[0].1 & TOO_LONG != 0);
}

/// Whatever is written and received, nothing panics and every frame is accounted for.
#[test]
fn any_registers_and_any_frames() {
    use crate::drivers::ixgbe::regs::{EITR, IVAR, PSRTYPE, RDRXCTL, RFCTL, RSCCTL};
    let mut seed = 0x5eed_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 32) as u32
    };
    let blocks = [
        (0xee00, 32),
        (ETQF::META.offset, 8),
        (ETQS::META.offset, 13),
        (FTQF::META.offset, 4),
        (SAQF::META.offset, 4),
        (DAQF::META.offset, 4),
        (SDPQF::META.offset, 4),
        (L34TIMIR::META.offset, 4),
        (RSCCTL::META.offset_of(QUEUE), 1),
        (PSRTYPE::META.offset, 1),
        (RDRXCTL::META.offset, 1),
        (RFCTL::META.offset, 1),
        (IVAR::META.offset, 4),
        (EITR::META.offset, 8),
        (RXCSUM::META.offset, 1),
    ];
    let mut rig = rig(|_| {});
    let frames = [tcp(false, FLOW), tcp(true, FLOW), tcp6(FLOW), udp(None, 30), of_type(0x8809)];
    for round in 0..3000 {
        let (first, count) = blocks[random() as usize % blocks.len()];
        let mut value = random();
        if random() % 2 == 0 {
            value &= random() & random();
        }
        let at = first + random() % count * 4;
        rig.bar.write32(at, value);
        rig.bar.read32(at);
        let mut frame = frames[random() as usize % frames.len()].clone();
        if random() % 2 == 0 {
            let at = random() as usize % frame.len();
            frame[at] ^= 1 << (random() % 8);
        }
        rig.nic.inject_frame(&frame);
        rig.nic.step();
        if round % 16 == 0 {
            let got = rig.harvest().len();
            rig.post(got);
        }
    }
    rig.nic.step_until_idle(50);
    assert_eq!((rig.nic.faults(), rig.nic.truth().unexplained()), (vec![], 0));
}
