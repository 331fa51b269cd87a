//! The filters that choose a receive queue, as the registers have them (82576 datasheet 7.1.2,
//! 8.11). The I350 has the same registers, with less in them.

use crate::drivers::igb::regs::{DAQF, ETQF, FTQF, IMIR, IMIREXT, RFCTL, SAQF, SPQF, SYNQF};
use crate::drivers::sim::regs::RegFile;
use crate::drivers::sim::steer::{
    EtherFilter, Protocol, Steering, SynFilter, TupleFilter, by_priority,
};
use crate::mmio::Register;

/// Bits of FTQF.MASK: what is not compared.
const PROTOCOL: u32 = 0;
const SOURCE: u32 = 1;
const DESTINATION: u32 = 2;
const SOURCE_PORT: u32 = 3;

/// The filters in use, if any are.
pub(super) fn decode(regs: &RegFile) -> Steering {
    let tuples = || (0..FTQF::META.count).filter(|n| regs.get::<FTQF>(*n).has(FTQF::QUEUE_EN));
    Steering {
        ethertypes: (0..ETQF::META.count).filter_map(|n| ethertype(regs, n)).collect(),
        syn: syn(regs),
        tuples: by_priority(tuples().map(|n| tuple(regs, n))),
        ..Steering::default()
    }
}

fn ethertype(regs: &RegFile, n: u32) -> Option<EtherFilter> {
    let filter = regs.get::<ETQF>(n);
    filter.has(ETQF::FILTER_EN).then(|| EtherFilter {
        number: n as u16,
        ethertype: filter.get(ETQF::ETYPE) as u16,
        priority: None,
        queue: filter.has(ETQF::QUEUE_EN).then(|| filter.get(ETQF::RX_QUEUE) as u8),
    })
}

fn syn(regs: &RegFile) -> Option<SynFilter> {
    let filter = regs.get::<SYNQF>(0);
    filter.has(SYNQF::QUEUE_EN).then(|| SynFilter {
        queue: filter.get(SYNQF::RX_QUEUE) as u8,
        first: regs.get::<RFCTL>(0).has(RFCTL::SYNQFP),
    })
}

/// A 5-tuple filter: destination port and priority are in IMIR, TCP flags in IMIREXT.
fn tuple(regs: &RegFile, n: u32) -> TupleFilter {
    let filter = regs.get::<FTQF>(n);
    let (port, flags) = (regs.get::<IMIR>(n), regs.get::<IMIREXT>(n));
    let compared = |bit: u32| filter.get(FTQF::MASK) >> bit & 1 == 0;
    let network = |port: u32| (port as u16).to_le_bytes();
    let source = compared(SOURCE).then(|| regs.get::<SAQF>(n).raw().to_le_bytes());
    let destination = compared(DESTINATION).then(|| regs.get::<DAQF>(n).raw().to_le_bytes());
    let flags = if flags.has(IMIREXT::CTRL_BIT_BP) { 0 } else { flags.get(IMIREXT::CTRL_BIT) };
    TupleFilter {
        priority: port.get(IMIR::PRIORITY) as u8,
        source,
        destination,
        source_port: compared(SOURCE_PORT)
            .then(|| network(regs.get::<SPQF>(n).get(SPQF::SRC_PORT))),
        destination_port: (!port.has(IMIR::PORT_BP)).then(|| network(port.get(IMIR::PORT))),
        protocol: compared(PROTOCOL).then(|| Protocol::Is(filter.get(FTQF::PROTOCOL) as u8)),
        flags: tcp_flags(flags),
        any_ip: source.is_none() && destination.is_none(),
        queue: filter.get(FTQF::RX_QUEUE) as u8,
    }
}

/// URG, ACK, PSH, RST, SYN and FIN, from the lowest bit up, as a TCP header has them.
fn tcp_flags(bits: u32) -> u8 {
    (bits as u8).reverse_bits() >> 2
}
