//! TCP and UDP segmentation: one packet of up to 256 KiB becomes frames of MSS bytes each, with
//! the packet's header in front (82599 datasheet 7.2.4, 82576 datasheet 7.2.4).
//!
//! All of the packet is gathered first and then cut, so that what a driver changes meanwhile cannot
//! tear it, and a wire that is full can be waited for between two frames.

use super::super::fault::FaultKind;
use super::super::packet::checksum_with;
use super::offload::{Context, L4, insert_tag};

/// The IPv4 header's length, identification and checksum.
const IP_LENGTH: usize = 2;
const IP_ID: usize = 4;
const IP_SUM: usize = 10;
/// The IPv6 header's payload length, and how long the header is itself.
const IPV6_LENGTH: usize = 4;
const IPV6_HEADER: usize = 40;
/// The TCP header's sequence number, flags and checksum.
const TCP_SEQ: usize = 4;
const TCP_FLAGS: usize = 12;
const TCP_SUM: usize = 16;
/// The UDP header's length and checksum.
const UDP_LENGTH: usize = 4;
const UDP_SUM: usize = 6;
/// Length of the addresses and the type or length field of an Ethernet header.
const ETHERNET: usize = 14;

/// Which TCP flags segments keep: DTXTCPFLGL and DTXTCPFLGH.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::drivers::sim) struct FlagMasks {
    pub(in crate::drivers::sim) first: u16,
    pub(in crate::drivers::sim) middle: u16,
    pub(in crate::drivers::sim) last: u16,
}

impl FlagMasks {
    /// From the two registers, which are the same on all chips.
    pub(in crate::drivers::sim) fn new(low: u32, high: u32) -> Self {
        let bits = |value: u32| (value & 0xfff) as u16;
        Self { first: bits(low), middle: bits(low >> 16), last: bits(high) }
    }
}

/// What holds for every segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    /// Payload bytes of the packet, header excluded (PAYLEN).
    pub(super) payload: usize,
    /// EtherType of a tag to insert from the context.
    pub(super) tag: Option<u16>,
    pub(super) flags: FlagMasks,
    /// Longest frame without CRC.
    pub(super) longest: usize,
    /// Frames are padded to this.
    pub(super) shortest: usize,
}

/// A packet that is being cut.
#[derive(Debug)]
pub(super) struct Segmenter {
    /// The packet as the descriptors brought it.
    packet: Vec<u8>,
    /// Where its payload starts.
    payload: usize,
    /// The header, tag inserted.
    header: Vec<u8>,
    context: Context,
    order: Order,
    /// Where the IP and the TCP or UDP header are.
    l3: usize,
    l4: usize,
    /// Segments and payload bytes that are gone.
    number: u32,
    sent: usize,
    /// The frame that is next.
    frame: Vec<u8>,
}

impl Segmenter {
    /// The first segment is ready then.
    pub(super) fn new(packet: Vec<u8>, context: Context, order: Order) -> Result<Self, FaultKind> {
        let bad = |why| Err(FaultKind::BadDescriptor(why));
        let c = &context;
        let l4_least = match c.l4 {
            L4::Tcp => 20,
            L4::Udp => 8,
            L4::Sctp | L4::Reserved => return bad("segmentation of neither TCP nor UDP"),
        };
        if c.mac_len < ETHERNET
            || c.ip_len < if c.ipv4 { 20 } else { IPV6_HEADER }
            || c.l4_len < l4_least
        {
            return bad("MACLEN, IPLEN or L4LEN is too small to segment");
        }
        if c.mss == 0 || order.payload == 0 {
            return bad("segmentation with MSS or PAYLEN zero");
        }
        let payload = c.mac_len + c.ip_len + c.l4_len;
        if packet.len() != payload + order.payload {
            return bad("PAYLEN and header lengths differ from the bytes of the packet");
        }
        let inserted = if order.tag.is_some() { 4 } else { 0 };
        if payload + inserted + c.mss.min(order.payload) > order.longest {
            return bad("MSS makes segments longer than the MAC takes");
        }
        let mut header = packet.get(..payload).unwrap_or_default().to_vec();
        if let Some(tag_type) = order.tag {
            insert_tag(&mut header, tag_type, c.vlan);
        }
        let l3 = c.mac_len + inserted;
        let l4 = l3 + c.ip_len;
        let frame = Vec::with_capacity(header.len() + c.mss.min(order.payload));
        let mut all =
            Self { packet, payload, header, context, order, l3, l4, number: 0, sent: 0, frame };
        all.build();
        Ok(all)
    }

    /// The frame that goes next.
    pub(super) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// That frame has gone. False: it was the last one.
    pub(super) fn advance(&mut self) -> bool {
        self.sent += self.size();
        self.number += 1;
        let more = self.sent < self.order.payload;
        if more {
            self.build();
        }
        more
    }

    /// The memory of the packet, for the next one.
    pub(super) fn into_memory(self) -> Vec<u8> {
        self.packet
    }

    /// Payload bytes of the segment at hand.
    fn size(&self) -> usize {
        self.context.mss.min(self.order.payload - self.sent)
    }

    /// TCP flags that the segment at hand keeps. Of a packet that is one segment, those that a
    /// first or a last one keeps.
    fn kept(&self) -> u16 {
        let flags = self.order.flags;
        let last = self.sent + self.size() == self.order.payload;
        match (self.number == 0, last) {
            (true, true) => flags.first | flags.last,
            (true, false) => flags.first,
            (false, false) => flags.middle,
            (false, true) => flags.last,
        }
    }

    fn build(&mut self) {
        let from = self.payload + self.sent;
        let data = self.packet.get(from..from + self.size()).unwrap_or_default();
        self.frame.clear();
        self.frame.extend_from_slice(&self.header);
        self.frame.extend_from_slice(data);
        let size = self.size();
        let length = self.context.ip_len + self.context.l4_len + size;
        if self.context.snap {
            // The 802.3 length counts all behind it, and a tag is in front of it.
            let length = (length + self.context.mac_len - ETHERNET) as u16;
            put(&mut self.frame, self.l3 - self.context.mac_len + 12, length);
        }
        self.build_l4(size);
        self.build_l3(length);
        if self.frame.len() < self.order.shortest {
            self.frame.resize(self.order.shortest, 0);
        }
    }

    /// `length`: of the IP packet.
    fn build_l3(&mut self, length: usize) {
        let Self { frame, l3, l4, .. } = self;
        let Some(ip) = frame.get_mut(*l3..*l4) else { return };
        if self.context.ipv4 {
            put(ip, IP_LENGTH, length as u16);
            let id = get(ip, IP_ID).wrapping_add(self.number as u16);
            put(ip, IP_ID, id);
            // What software left in the field counts: with it, the fields of a tunnel's headers,
            // which IPLEN spans, are cancelled out.
            let sum = checksum_with(ip, 0);
            put(ip, IP_SUM, u16::from_be_bytes(sum));
        } else {
            put(ip, IPV6_LENGTH, length.saturating_sub(IPV6_HEADER) as u16);
        }
    }

    /// `size`: payload bytes of the segment.
    fn build_l4(&mut self, size: usize) {
        let kept = self.kept();
        let Some(l4) = self.frame.get_mut(self.l4..) else { return };
        let length = (self.context.l4_len + size) as u16;
        // Software's seed is the pseudo-header's sum without a length.
        if self.context.l4 == L4::Tcp {
            let before = self.sent as u32;
            if let Some(seq) = l4.get_mut(TCP_SEQ..).and_then(|b| b.first_chunk_mut::<4>()) {
                *seq = u32::from_be_bytes(*seq).wrapping_add(before).to_be_bytes();
            }
            let flags = get(l4, TCP_FLAGS);
            put(l4, TCP_FLAGS, flags & (0xf000 | kept));
            let sum = u16::from_be_bytes(checksum_with(l4, length));
            put(l4, TCP_SUM, sum);
        } else {
            put(l4, UDP_LENGTH, length);
            let sum = u16::from_be_bytes(checksum_with(l4, length));
            // Zero means that there is none.
            put(l4, UDP_SUM, if sum == 0 { 0xffff } else { sum });
        }
    }
}

/// The field of 16 bits at `at`.
fn get(bytes: &[u8], at: usize) -> u16 {
    let field = bytes.get(at..).and_then(|b| b.first_chunk::<2>());
    field.map_or(0, |f| u16::from_be_bytes(*f))
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(field) = bytes.get_mut(at..).and_then(|b| b.first_chunk_mut::<2>()) {
        *field = value.to_be_bytes();
    }
}

#[cfg(test)]
mod tests;
