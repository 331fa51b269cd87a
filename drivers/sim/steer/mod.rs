//! Which receive queue a packet goes to, before RSS is asked: by its EtherType, as a TCP SYN, by
//! its 5-tuple, by Flow Director (82599 datasheet 7.1.2.1 and 7.1.2.3 to 7.1.2.7; 82576 datasheet
//! 7.1.2.4 to 7.1.2.6).
//!
//! A plan has a [`Steering`] only while some of these are in use, so that a packet costs nothing
//! more while none is.

use super::packet::{Parsed, ptype};

mod director;
mod hash;

pub(super) use director::{Director, Masks, Settings};
pub(super) use hash::Tuple;

/// A filter by EtherType.
#[derive(Debug, Clone, Copy)]
pub(super) struct EtherFilter {
    /// Its number, which the write-back tells.
    pub(super) number: u16,
    pub(super) ethertype: u16,
    /// Only of packets of this user priority.
    pub(super) priority: Option<u8>,
    pub(super) queue: Option<u8>,
}

/// Where TCP packets with SYN go.
#[derive(Debug, Clone, Copy)]
pub(super) struct SynFilter {
    pub(super) queue: u8,
    /// Ahead of the 5-tuple filters.
    pub(super) first: bool,
}

/// The protocols that a filter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// By its number in the IP header.
    Is(u8),
    /// None of TCP, UDP and SCTP.
    Other,
}

/// A filter by addresses, ports and protocol, each if it is given, in network order.
#[derive(Debug, Clone, Copy)]
pub(super) struct TupleFilter {
    /// 7 is the highest.
    pub(super) priority: u8,
    pub(super) source: Option<[u8; 4]>,
    pub(super) destination: Option<[u8; 4]>,
    pub(super) source_port: Option<[u8; 2]>,
    pub(super) destination_port: Option<[u8; 2]>,
    pub(super) protocol: Option<Protocol>,
    /// TCP flags, all of which must be set.
    pub(super) flags: u8,
    /// It matches IPv6 packets as well.
    pub(super) any_ip: bool,
    pub(super) queue: u8,
}

/// The filters in use.
#[derive(Debug, Default)]
pub(super) struct Steering {
    pub(super) ethertypes: Vec<EtherFilter>,
    pub(super) syn: Option<SynFilter>,
    /// By descending priority.
    pub(super) tuples: Vec<TupleFilter>,
    /// Flow Director is asked.
    pub(super) director: bool,
    /// The station's own IPv6 address.
    pub(super) own: [u32; 4],
}

const SYN: u8 = 0x02;

impl Steering {
    /// Whether any filter is in use.
    pub(super) fn any(&self) -> bool {
        let filters = !self.ethertypes.is_empty() || !self.tuples.is_empty();
        filters || self.syn.is_some() || self.director
    }

    /// The filter by EtherType that a frame matches.
    pub(super) fn by_ethertype(&self, frame: &[u8], tag: Option<u16>) -> Option<&EtherFilter> {
        let at = if tag.is_some() { 16 } else { 12 };
        let ethertype = u16::from_be_bytes(*frame.get(at..)?.first_chunk()?);
        let priority = tag.map(|tag| (tag >> 13) as u8);
        self.ethertypes
            .iter()
            .find(|f| f.ethertype == ethertype && (f.priority.is_none() || f.priority == priority))
    }

    /// The queue of the SYN filter or of a 5-tuple filter.
    pub(super) fn by_headers(&self, frame: &[u8], parsed: &Parsed) -> Option<u8> {
        if parsed.ptype & (ptype::IPV4 | ptype::IPV6) == 0 {
            return None;
        }
        let syn = || self.syn.filter(|_| flags(frame, parsed) & SYN != 0);
        if let Some(syn) = syn().filter(|syn| syn.first) {
            return Some(syn.queue);
        }
        let tuple = self.tuples.iter().find(|f| f.matches(frame, parsed));
        tuple.map(|f| f.queue).or_else(|| syn().map(|f| f.queue))
    }
}

/// Filters as [`Steering::tuples`] has them.
pub(super) fn by_priority(filters: impl Iterator<Item = TupleFilter>) -> Vec<TupleFilter> {
    let mut filters: Vec<_> = filters.collect();
    filters.sort_by_key(|f| std::cmp::Reverse(f.priority));
    filters
}

/// The flags of a TCP packet.
fn flags(frame: &[u8], parsed: &Parsed) -> u8 {
    let tcp = parsed.ptype & ptype::TCP != 0;
    frame.get(parsed.l4 + 13).filter(|_| tcp).map_or(0, |flags| flags & 0x3f)
}

impl TupleFilter {
    fn matches(&self, frame: &[u8], parsed: &Parsed) -> bool {
        let is = |bit: u16| parsed.ptype & bit != 0;
        if !is(ptype::IPV4) && !self.any_ip {
            return false;
        }
        let same = |want: Option<&[u8]>, at: usize| {
            want.is_none_or(|want| frame.get(at..at + want.len()) == Some(want))
        };
        let ported = is(ptype::TCP | ptype::UDP | ptype::SCTP);
        let ports = self.source_port.is_some() || self.destination_port.is_some();
        let protocol = self.protocol.is_none_or(|protocol| match protocol {
            Protocol::Is(6) => is(ptype::TCP),
            Protocol::Is(17) => is(ptype::UDP),
            Protocol::Is(132) => is(ptype::SCTP),
            Protocol::Is(n) => is(ptype::IPV4) && frame.get(parsed.l3 + 9) == Some(&n),
            Protocol::Other => !ported,
        });
        protocol
            && (ported || !ports)
            && same(self.source.as_ref().map(<[u8; 4]>::as_slice), parsed.l3 + 12)
            && same(self.destination.as_ref().map(<[u8; 4]>::as_slice), parsed.l3 + 16)
            && same(self.source_port.as_ref().map(<[u8; 2]>::as_slice), parsed.l4)
            && same(self.destination_port.as_ref().map(<[u8; 2]>::as_slice), parsed.l4 + 2)
            && flags(frame, parsed) & self.flags == self.flags
    }
}
