//! Transmit descriptors beyond the plain one, and what they make the chip insert (82599
//! datasheet 7.2.3.2, 7.2.4, 7.2.5).

use super::super::fault::FaultKind;
use super::super::packet;
use super::super::setup::TxPlan;
use super::SHORTEST;
use super::segment::{Order, Segmenter};
use crate::drivers::intel::TxDesc;

/// MAC field: the packet gets a time stamp.
const STAMP: u64 = 1 << 19;
/// VLAN tag insertion.
const VLE: u64 = 1 << 30;
/// TCP segmentation.
const TSE: u64 = 1 << 31;
/// Check the context that IDX names.
const CC: u64 = 1 << 39;
/// Insert the IPv4, and the TCP or UDP checksum.
const IXSM: u64 = 1 << 40;
const TXSM: u64 = 1 << 41;
/// Encrypt.
const IPSEC: u64 = 1 << 42;
/// Legacy descriptors: insert a checksum.
const IC: u64 = 1 << 26;

fn dtyp(w1: u64) -> u64 {
    w1 >> 20 & 0xf
}

/// Whether this is an advanced context descriptor.
pub(super) fn is_context(w1: u64) -> bool {
    w1 & TxDesc::DEXT != 0 && dtyp(w1) == 2
}

/// Whether reserved bits of an advanced data descriptor are set: 17:16, 26, 28, 35:32.
pub(super) fn reserved(w1: u64) -> bool {
    w1 & TxDesc::DEXT != 0 && w1 & (0x3 << 16 | 1 << 26 | 1 << 28 | 0xf << 32) != 0
}

/// L4T of a context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum L4 {
    #[default]
    Udp,
    Tcp,
    Sctp,
    /// The value that is reserved.
    Reserved,
}

/// A context, as programmed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Context {
    pub(super) index: u8,
    pub(super) valid: bool,
    pub(super) mac_len: usize,
    pub(super) ip_len: usize,
    pub(super) vlan: u16,
    /// The MAC header has a length and SNAP in place of a type.
    pub(super) snap: bool,
    pub(super) ipv4: bool,
    pub(super) l4: L4,
    /// Of the TCP or UDP header, for segmentation.
    pub(super) l4_len: usize,
    /// Payload bytes of each segment.
    pub(super) mss: usize,
}

impl Context {
    pub(super) fn decode(w0: u64, w1: u64) -> Self {
        Self {
            index: (w1 >> 36 & 1) as u8,
            valid: true,
            ip_len: (w0 & 0x1ff) as usize,
            mac_len: (w0 >> 9 & 0x7f) as usize,
            vlan: (w0 >> 16) as u16,
            snap: w1 >> 9 & 1 != 0,
            ipv4: w1 >> 10 & 1 != 0,
            l4: [L4::Udp, L4::Tcp, L4::Sctp, L4::Reserved][(w1 >> 11 & 3) as usize],
            l4_len: (w1 >> 40 & 0xff) as usize,
            mss: (w1 >> 48) as usize,
        }
    }

    pub(super) fn index(&self) -> usize {
        usize::from(self.index & 1)
    }
}

/// What the first descriptor of a packet asks for, legacy or advanced.
#[derive(Debug, Default)]
pub(super) struct Packet {
    first: u64,
    legacy: bool,
    /// Sum of the pieces so far.
    length: u64,
    /// The context in use.
    pub(super) context: usize,
    /// EOP was seen.
    pub(super) complete: bool,
    /// CRC insertion, from the last descriptor.
    insert_crc: bool,
    /// Legacy: the last descriptor's word.
    last: u64,
}

impl Packet {
    /// Takes a descriptor's command word and returns how many bytes it brings.
    pub(super) fn add(&mut self, w1: u64, first: bool) -> Result<usize, &'static str> {
        let legacy = w1 & TxDesc::DEXT == 0;
        if first {
            self.first = w1;
            self.legacy = legacy;
            self.context = (w1 >> 36 & 1) as usize;
        } else if legacy != self.legacy {
            return Err("legacy and advanced descriptors in one packet");
        }
        if !legacy && dtyp(w1) != 3 {
            return Err("DTYP is neither data nor context");
        }
        let len = w1 & 0xffff;
        if len == 0 {
            return Err("no bytes");
        }
        self.length += len;
        self.complete = w1 & TxDesc::EOP != 0;
        self.insert_crc = w1 & TxDesc::IFCS != 0;
        self.last = w1;
        Ok(len as usize)
    }

    /// Makes the frame ready for the wire.
    pub(super) fn finish(
        &self,
        frame: &mut Vec<u8>,
        context: &Context,
        tag_type: u16,
    ) -> Result<(), FaultKind> {
        let bad = FaultKind::BadDescriptor;
        if !self.insert_crc {
            let [.., a, b, c, d] = frame[..] else { return Err(bad("no bytes")) };
            frame.truncate(frame.len() - 4);
            if packet::crc32(frame).to_le_bytes() != [a, b, c, d] {
                return Err(bad("IFCS is not set and the packet does not end with its CRC"));
            }
        }
        if self.legacy {
            return self.finish_legacy(frame, tag_type);
        }
        let asks = |bit: u64| self.first & bit != 0;
        if asks(IPSEC) {
            return Err(FaultKind::NotModelled("IPsec"));
        }
        if self.first >> 46 != self.length {
            return Err(bad("PAYLEN differs from the bytes of the packet"));
        }
        if asks(IXSM | TXSM | VLE | CC) && !context.valid {
            return Err(bad("the context it names was never programmed"));
        }
        let l4 = context.mac_len + context.ip_len;
        if asks(IXSM) && context.ipv4 {
            let header = frame.get_mut(context.mac_len..l4).filter(|h| h.len() >= 20);
            let Some(header) = header else { return Err(bad("IP header beyond the packet")) };
            // What software left in the field counts: zero, or what cancels a tunnel's headers out.
            let sum = packet::checksum(header);
            header[10..12].copy_from_slice(&sum);
        }
        if asks(TXSM) {
            let least = match context.l4 {
                L4::Udp => 8,
                L4::Tcp => 18,
                L4::Sctp => 12,
                L4::Reserved => return Err(bad("L4T is reserved")),
            };
            let segment = frame.get_mut(l4..).filter(|s| s.len() >= least);
            let Some(segment) = segment else { return Err(bad("L4 header beyond the packet")) };
            match context.l4 {
                L4::Udp => insert_sum(segment, 6, true),
                L4::Tcp => insert_sum(segment, 16, false),
                _ => insert_crc32c(segment),
            }
        }
        if asks(VLE) {
            insert_tag(frame, tag_type, context.vlan);
        }
        Ok(())
    }

    /// Whether it gets a time stamp.
    pub(super) fn is_stamped(&self) -> bool {
        !self.legacy && self.first & STAMP != 0
    }

    /// Whether it goes as several frames.
    pub(super) fn is_segmented(&self) -> bool {
        !self.legacy && self.first & TSE != 0
    }

    /// Cuts it, all of which is in `bytes`, into frames.
    pub(super) fn segment(
        &self,
        bytes: Vec<u8>,
        context: &Context,
        plan: &TxPlan,
    ) -> Result<Segmenter, FaultKind> {
        let bad = |why| Err(FaultKind::BadDescriptor(why));
        if self.first & IPSEC != 0 {
            return Err(FaultKind::NotModelled("IPsec"));
        }
        if !self.insert_crc {
            return bad("TSE without IFCS");
        }
        if !context.valid {
            return bad("the context it names was never programmed");
        }
        if self.first & TXSM == 0 || context.ipv4 && self.first & IXSM == 0 {
            return bad("TSE without TXSM, or without IXSM in IPv4");
        }
        let order = Order {
            payload: (self.first >> 46) as usize,
            tag: (self.first & VLE != 0).then_some(plan.tag),
            flags: plan.flags,
            longest: plan.longest,
            shortest: if plan.pad { SHORTEST } else { 0 },
        };
        Segmenter::new(bytes, *context, order)
    }

    fn finish_legacy(&self, frame: &mut Vec<u8>, tag_type: u16) -> Result<(), FaultKind> {
        let (start, offset) =
            ((self.last >> 40 & 0xff) as usize, (self.last >> 16 & 0xff) as usize);
        if self.last & IC != 0 {
            let segment = frame.get_mut(start..);
            let field = offset.checked_sub(start);
            match (segment, field) {
                (Some(segment), Some(field)) if field + 2 <= segment.len() => {
                    insert_sum(segment, field, false);
                }
                _ => return Err(FaultKind::BadDescriptor("CSO or CSS beyond the packet")),
            }
        }
        if self.last & VLE != 0 {
            insert_tag(frame, tag_type, (self.last >> 48) as u16);
        }
        Ok(())
    }
}

/// Completes the checksum that software seeded with the pseudo-header's sum.
fn insert_sum(segment: &mut [u8], field: usize, udp: bool) {
    let mut sum = packet::checksum(segment);
    if udp && sum == [0, 0] {
        sum = [0xff, 0xff];
    }
    segment[field..field + 2].copy_from_slice(&sum);
}

/// SCTP has its CRC at bytes 8 to 11, which do not count, least significant byte first (RFC 9260).
fn insert_crc32c(packet: &mut [u8]) {
    if let Some(field) = packet.get_mut(8..12) {
        field.fill(0);
        let crc = packet::crc32c(packet).to_le_bytes();
        packet[8..12].copy_from_slice(&crc);
    }
}

pub(super) fn insert_tag(frame: &mut Vec<u8>, tag_type: u16, tag: u16) {
    let at = 12.min(frame.len());
    let ([a, b], [c, d]) = (tag_type.to_be_bytes(), tag.to_be_bytes());
    frame.splice(at..at, [a, b, c, d]);
}

#[cfg(test)]
mod tests {
    use super::super::super::packet::{Check, parse};
    use super::*;
    use etherparse::PacketBuilder;

    fn udp() -> Vec<u8> {
        let mut out = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9)
            .udp(7, 8)
            .write(&mut out, &[0x55; 31])
            .unwrap();
        out
    }

    /// The pseudo-header's sum, as software seeds the field.
    fn seed(frame: &mut [u8]) {
        let len = (frame.len() - 34) as u16;
        let mut pseudo = frame[26..34].to_vec();
        pseudo.extend([0, 17]);
        pseudo.extend(len.to_be_bytes());
        let sum = packet::checksum(&pseudo).map(|b| !b);
        frame[40..42].copy_from_slice(&sum);
    }

    fn run(frame: &mut Vec<u8>, bits: u64, context: &Context) -> Result<(), FaultKind> {
        let mut p = Packet::default();
        let w1 = TxDesc::data(frame.len() as u16, frame.len() as u32, TxDesc::EOP | bits);
        p.add(w1, true).unwrap();
        p.finish(frame, context, 0x8100)
    }

    #[test]
    fn checksums_are_inserted() {
        let want = udp();
        let mut frame = want.clone();
        seed(&mut frame);
        frame[24..26].fill(0);
        let context = Context::decode(14 << 9 | 20, 1 << 10 | TxDesc::DEXT | 2 << 20);
        run(&mut frame, IXSM | TXSM, &context).unwrap();
        assert_eq!(frame, want);
        let parsed = parse(&frame);
        assert_eq!((parsed.ip, parsed.transport), (Check::Good, Check::Good));
        assert!(run(&mut frame, TXSM, &Context::default()).is_err(), "no context");
    }

    #[test]
    fn sctp_gets_its_crc() {
        // Ethernet, IPv4, and an SCTP packet: common header and one chunk of 8 bytes.
        let mut frame = udp()[..34].to_vec();
        frame.extend([0x13, 0x88, 0x0b, 0xb8, 1, 2, 3, 4, 0xee, 0xee, 0xee, 0xee]);
        frame.extend([11, 0, 0, 8, 9, 9, 9, 9]);
        let context = Context::decode(14 << 9 | 20, 1 << 10 | TxDesc::DEXT | 2 << 20 | 2 << 11);
        run(&mut frame, TXSM, &context).unwrap();
        let crc = frame[42..46].to_vec();
        frame[42..46].fill(0);
        // Bit by bit, as RFC 9260 defines it.
        let mut want = !0u32;
        for byte in &frame[34..] {
            want ^= u32::from(*byte);
            for _ in 0..8 {
                want = if want & 1 != 0 { want >> 1 ^ 0x82f6_3b78 } else { want >> 1 };
            }
        }
        assert_eq!(crc, (!want).to_le_bytes());
    }

    #[test]
    fn tags_are_inserted_from_the_context() {
        let want = udp();
        let mut frame = want.clone();
        let context =
            Context::decode(0x2abc << 16 | 14 << 9 | 20, 1 << 36 | TxDesc::DEXT | 2 << 20);
        assert_eq!(context.index(), 1);
        run(&mut frame, VLE | CC | 1 << 36, &context).unwrap();
        assert_eq!(packet::vlan_tag(&frame), Some(0x2abc));
        frame.drain(12..16);
        assert_eq!(frame, want);
    }

    #[test]
    fn format_errors_are_named() {
        let mut p = Packet::default();
        assert!(p.add(TxDesc::DEXT | 5 << 20 | 60, true).is_err());
        assert!(p.add(TxDesc::DATA | TxDesc::DEXT, true).is_err(), "no bytes");
        p.add(TxDesc::data(60, 100, 0), true).unwrap();
        assert!(!p.complete);
        assert!(p.add(60, false).is_err(), "legacy behind advanced");
        p.add(TxDesc::data(30, 100, TxDesc::EOP), false).unwrap();
        let mut frame = vec![0; 90];
        let why = p.finish(&mut frame, &Context::default(), 0).unwrap_err();
        assert!(why.to_string().contains("PAYLEN"), "{why}");
    }

    #[test]
    fn a_packet_may_bring_its_own_crc() {
        let mut frame = udp();
        frame.extend(packet::crc32(&udp()).to_le_bytes());
        let mut p = Packet::default();
        let w1 = TxDesc::data(frame.len() as u16, frame.len() as u32, TxDesc::EOP) & !TxDesc::IFCS;
        p.add(w1, true).unwrap();
        let mut good = frame.clone();
        p.finish(&mut good, &Context::default(), 0).unwrap();
        assert_eq!(good, udp());
        frame[20] ^= 1;
        assert!(p.finish(&mut frame, &Context::default(), 0).is_err());
    }
}
