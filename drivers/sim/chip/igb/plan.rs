//! What the registers add up to.

use super::super::Chip;
use super::{Igb, Variant, steer, time};
use crate::drivers::igb::regs::later::{RAH_24, RAL_24};
use crate::drivers::igb::regs::{
    CTRL, DTXTCPFLGH, DTXTCPFLGL, FCAH, FCAL, FCT, MRQC, MTA, RAH, RAH_16, RAL, RAL_16, RCTL, RETA,
    RLPML, RSSRK, RXCSUM, SRRCTL, TCTL, VET, VFTA,
};
use crate::drivers::intel::RxDesc;
use crate::drivers::sim::flow::FlowPlan;
use crate::drivers::sim::memory::Memory;
use crate::drivers::sim::regs::RegFile;
use crate::drivers::sim::setup::{
    ErrorBits, FilterBits, MulticastTable, Rss, RssFields, RxPlan, RxSetup, TxPlan, address,
    rx_queues, station, tx_queues,
};
use crate::drivers::sim::steer::Steering;
use crate::drivers::sim::timesync::InPacket;
use crate::drivers::sim::tx::FlagMasks;
use crate::mmio::Register;

/// Error bits of the write-back (7.1.5.2).
const ERRORS: ErrorBits = ErrorBits { l4: 1 << 29, ip: 1 << 30, damaged: 1 << 31 };
/// Distance of SRRCTL from the start of a queue's block.
const SRRCTL_AT: u32 = 0x0c;
/// SRRCTL.DESCTYPE: advanced, one buffer.
const ONE_BUFFER: u32 = 1;
/// FCT: the EtherType of MAC control frames.
const MAC_CONTROL: u32 = 0x8808;
/// MRQC.MRQE: RSS over all queues.
const RSS: u32 = 2;
/// Longest frame sent, without CRC (9.5 KiB).
const LONGEST: usize = 9728 - 4;

/// The receive side.
pub(super) fn rx(chip: &Igb, regs: &RegFile, memory: &Memory, old: RxPlan) -> RxPlan {
    let (rctl, rxcsum) = (regs.get::<RCTL>(0), regs.get::<RXCSUM>(0));
    // Without long frames 1,522 bytes with CRC and tag are the most, 1,518 without a tag; RLPML
    // counts everything (8.10.1).
    let (longest, tag_room) = if rctl.has(RCTL::LPE) {
        (regs.get::<RLPML>(0).get(RLPML::RLPML) as usize, 0)
    } else {
        (1518, 4)
    };
    let strip_vlan = regs.get::<CTRL>(0).has(CTRL::VME);
    let front = (chip.variant == Variant::I350).then_some(InPacket::Front);
    let queues = rx_queues(chip, regs, memory, |common, block| {
        let srrctl = SRRCTL(regs.peek(block + SRRCTL_AT));
        let buffer = match srrctl.get(SRRCTL::BSIZEPACKET) {
            0 => 2048 >> rctl.get(RCTL::BSIZE),
            kib => kib * 1024,
        };
        RxSetup {
            buffer,
            drop: srrctl.has(SRRCTL::DROP_EN),
            strip_vlan,
            stamp: front.filter(|_| srrctl.has(SRRCTL::TIMESTAMP)),
            odd_type: srrctl.get(SRRCTL::DESCTYPE) != ONE_BUFFER,
            rsc: None,
            common,
        }
    });
    let more = if chip.variant == Variant::I350 { RAL_24::META.count as usize } else { 0 };
    let low = regs.all::<RAL>().chain(regs.all::<RAL_16>());
    let low = low.chain(regs.all::<RAL_24>().take(more));
    let high = regs.all::<RAH>().chain(regs.all::<RAH_16>());
    let high = high.chain(regs.all::<RAH_24>().take(more));
    RxPlan {
        on: rctl.has(RCTL::RXEN),
        errors: ERRORS,
        unchecked: unchecked(rxcsum),
        check_sctp: rxcsum.has(RXCSUM::CRCOFL),
        accept: FilterBits {
            store_bad: rctl.has(RCTL::SBP),
            multicast: rctl.has(RCTL::MPE),
            unicast: rctl.has(RCTL::UPE),
            broadcast: rctl.has(RCTL::BAM),
        },
        macs: low.zip(high).filter_map(|(l, h)| station(l, h)).collect(),
        multicast: Some(MulticastTable::new(regs.all::<MTA>().collect(), rctl.get(RCTL::MO))),
        flow: flow(regs),
        vlans: rctl.has(RCTL::VFE).then(|| regs.all::<VFTA>().collect()),
        longest: longest.saturating_sub(4),
        tag_room,
        steering: Some(steer::decode(regs)).filter(Steering::any).map(Box::new),
        rss: rss(regs, old.rss),
        stamps: time::stamps(regs),
        report_hash: rxcsum.has(RXCSUM::PCSD),
        strip_crc: rctl.has(RCTL::SECRC),
        slots: (0..chip.queues()).map(|q| chip.rx_slot(regs, q)).collect(),
        queues,
    }
}

/// Verdicts that are not given: RXCSUM.IPOFL and TUOFL switch the checks on (8.10).
fn unchecked(rxcsum: RXCSUM) -> u64 {
    let ip = if rxcsum.has(RXCSUM::IPOFL) { 0 } else { RxDesc::IPCS | ERRORS.ip };
    let l4 = RxDesc::L4CS | RxDesc::UDPCS | ERRORS.l4;
    ip | if rxcsum.has(RXCSUM::TUOFL) { 0 } else { l4 }
}

fn rss(regs: &RegFile, old: Option<Rss>) -> Option<Rss> {
    let mrqc = regs.get::<MRQC>(0);
    let fields = RssFields {
        tcp4: mrqc.has(MRQC::RSS_TCPIPV4),
        udp4: mrqc.has(MRQC::RSS_UDPIPV4),
        ipv4: mrqc.has(MRQC::RSS_IPV4),
        tcp6: mrqc.has(MRQC::RSS_TCPIPV6),
        udp6: mrqc.has(MRQC::RSS_UDPIPV6),
        ipv6: mrqc.has(MRQC::RSS_IPV6),
    };
    let on = mrqc.get(MRQC::MRQE) == RSS;
    on.then(|| Rss::new(fields, regs.all::<RSSRK>(), regs.all::<RETA>(), old))
}

/// What becomes of MAC control frames (8.10.1).
fn flow(regs: &RegFile) -> FlowPlan {
    let rctl = regs.get::<RCTL>(0);
    let known = regs.get::<FCT>(0).get(FCT::TYPE) == MAC_CONTROL;
    FlowPlan {
        address: known.then(|| address(regs.get::<FCAL>(0).raw(), regs.get::<FCAH>(0).raw())),
        obey: regs.get::<CTRL>(0).has(CTRL::RFCE),
        obey_classes: false,
        drop: rctl.has(RCTL::DPF),
        pass_others: rctl.has(RCTL::PMCF),
    }
}

/// The transmit side.
pub(super) fn tx(chip: &Igb, regs: &RegFile, memory: &Memory) -> TxPlan {
    let (tctl, ctrl) = (regs.get::<TCTL>(0), regs.get::<CTRL>(0));
    TxPlan {
        on: tctl.has(TCTL::TXEN),
        pad: tctl.has(TCTL::PSP),
        longest: LONGEST,
        tag: regs.get::<VET>(0).get(VET::VET) as u16,
        flags: FlagMasks::new(regs.get::<DTXTCPFLGL>(0).raw(), regs.get::<DTXTCPFLGH>(0).raw()),
        obey_pause: ctrl.has(CTRL::RFCE),
        send_pause: ctrl.has(CTRL::TFCE),
        queues: tx_queues(chip, regs, memory),
    }
}
