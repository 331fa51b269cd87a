//! What the registers add up to.

use std::time::Duration;

use super::super::{Chip, allotted};
use super::{Ixgbe, Variant, steer, table, time};
use crate::drivers::ixgbe::regs::{
    DMATXCTL, DTXTCPFLGH, DTXTCPFLGL, FCCFG, FCTRL, HLREG0, IVAR, MAXFRS, MCSTCTRL, MFLCN, MRQC,
    MTA, PSRTYPE, RAH, RAL, RDRXCTL, RETA, RFCTL, RSCCTL, RSSRK, RXCSUM, RXCTRL, RXDCTL, SECRXSTAT,
    SECTXSTAT, SRRCTL, VFTA, VLNCTRL, x550::ERETA,
};
use crate::drivers::sim::flow::FlowPlan;
use crate::drivers::sim::irq::Signals;
use crate::drivers::sim::memory::Memory;
use crate::drivers::sim::regs::RegFile;
use crate::drivers::sim::rx::RscSetup;
use crate::drivers::sim::setup::{
    ErrorBits, FilterBits, MulticastTable, QueueSetup, Rss, RssFields, RxPlan, RxSetup, TxPlan,
    rx_queues, station, tx_queues,
};
use crate::drivers::sim::steer::Steering;
use crate::drivers::sim::tx::FlagMasks;
use crate::mmio::Register;

/// Error bits of the write-back (datasheet 7.1.6.2).
const ERRORS: ErrorBits = ErrorBits { damaged: 1 << 29, l4: 1 << 30, ip: 1 << 31 };
/// Distances of SRRCTL and RSCCTL from the start of a queue's block.
const SRRCTL_AT: u32 = 0x14;
const RSCCTL_AT: u32 = 0x2c;
/// Longest time that a TCP segment waits for more to come.
const HOLD: Duration = Duration::from_micros(200);
/// Longest frame sent, without CRC.
const LONGEST: usize = 15_872 - 4;

/// The receive side.
pub(super) fn rx(chip: &Ixgbe, regs: &RegFile, memory: &Memory, old: RxPlan) -> RxPlan {
    let held = regs.get::<SECRXSTAT>(0).has(SECRXSTAT::SECRX_RDY);
    let fctrl = regs.get::<FCTRL>(0);
    let hlreg = regs.get::<HLREG0>(0);
    let mcst = regs.get::<MCSTCTRL>(0);
    // Without jumbo frames 1,518 bytes with CRC are the most (8.2.3.22.13).
    let longest = if hlreg.has(HLREG0::JUMBOEN) {
        regs.get::<MAXFRS>(0).get(MAXFRS::MFS) as usize
    } else {
        1518
    };
    let queues = rx_queues(chip, regs, memory, |common, block| {
        let srrctl = SRRCTL(regs.peek(block + SRRCTL_AT));
        RxSetup {
            buffer: srrctl.get(SRRCTL::BSIZEPACKET) * 1024,
            drop: srrctl.has(SRRCTL::DROP_EN),
            strip_vlan: RXDCTL(common.control).has(RXDCTL::VME),
            stamp: time::in_packet(chip, regs),
            odd_type: srrctl.get(SRRCTL::DESCTYPE) != 1,
            rsc: rsc(chip, regs, &common, block, srrctl),
            common,
        }
    });
    RxPlan {
        on: regs.get::<RXCTRL>(0).has(RXCTRL::RXEN) && !held,
        errors: ERRORS,
        unchecked: 0,
        check_sctp: true,
        accept: FilterBits {
            store_bad: fctrl.has(FCTRL::SBP),
            multicast: fctrl.has(FCTRL::MPE),
            unicast: fctrl.has(FCTRL::UPE),
            broadcast: fctrl.has(FCTRL::BAM),
        },
        macs: regs.all::<RAL>().zip(regs.all::<RAH>()).filter_map(|(l, h)| station(l, h)).collect(),
        multicast: mcst
            .has(MCSTCTRL::MFE)
            .then(|| MulticastTable::new(regs.all::<MTA>().collect(), mcst.get(MCSTCTRL::MO))),
        flow: flow(regs),
        vlans: regs.get::<VLNCTRL>(0).has(VLNCTRL::VFE).then(|| regs.all::<VFTA>().collect()),
        longest: longest.saturating_sub(4),
        tag_room: 4,
        steering: Some(steer::decode(regs)).filter(Steering::any).map(Box::new),
        rss: rss(chip, regs, old.rss),
        stamps: time::stamps(regs),
        report_hash: regs.get::<RXCSUM>(0).has(RXCSUM::PCSD),
        strip_crc: hlreg.has(HLREG0::RXCRCSTRP),
        slots: (0..chip.queues()).map(|q| chip.rx_slot(regs, q)).collect(),
        queues,
    }
}

/// How a queue coalesces, if it does: it and RFCTL must say so, TCP headers be recognised, and
/// CRCs be stripped (4.6.7.2).
fn rsc(
    chip: &Ixgbe,
    regs: &RegFile,
    queue: &QueueSetup,
    block: u32,
    srrctl: SRRCTL,
) -> Option<RscSetup> {
    let rscctl = RSCCTL(regs.peek(block + RSCCTL_AT));
    let on = rscctl.has(RSCCTL::RSCEN)
        && !regs.get::<RFCTL>(0).has(RFCTL::RSC_DIS)
        && regs.get::<PSRTYPE>(0).has(PSRTYPE::PSR_TCPHDR)
        && regs.get::<HLREG0>(0).has(HLREG0::RXCRCSTRP);
    if !on {
        return None;
    }
    let buffers = [1, 4, 8, 16][rscctl.get(RSCCTL::MAXDESC) as usize & 3];
    let bytes = buffers * srrctl.get(SRRCTL::BSIZEPACKET) * 1024;
    let rdrxctl = regs.get::<RDRXCTL>(0);
    Some(RscSetup {
        most: bytes as usize,
        first: rdrxctl.get(RDRXCTL::RSCFRSTSIZE) as usize * 16,
        ack_change: rdrxctl.has(RDRXCTL::RSCACKC),
        hold: interval(chip, regs, queue.index.into()).min(HOLD),
    })
}

/// The interval of the interrupt that a receive queue leads to.
fn interval(chip: &Ixgbe, regs: &RegFile, queue: u32) -> Duration {
    let entry = regs.get::<IVAR>(queue / 2).raw() >> (queue % 2 * 16);
    allotted(entry, u32::MAX).map_or(Duration::ZERO, |vector| chip.throttle(regs, vector))
}

fn rss(chip: &Ixgbe, regs: &RegFile, old: Option<Rss>) -> Option<Rss> {
    let mrqc = regs.get::<MRQC>(0);
    let fields = RssFields {
        tcp4: mrqc.has(MRQC::RSS_TCPIPV4),
        udp4: mrqc.has(MRQC::RSS_UDPIPV4),
        ipv4: mrqc.has(MRQC::RSS_IPV4),
        tcp6: mrqc.has(MRQC::RSS_TCPIPV6),
        udp6: mrqc.has(MRQC::RSS_UDPIPV6),
        ipv6: mrqc.has(MRQC::RSS_IPV6),
    };
    let on = mrqc.get(MRQC::MRQE) == 1;
    let more = if chip.variant == Variant::X550 { ERETA::META.count as usize } else { 0 };
    let table = regs.all::<RETA>().chain(regs.all::<ERETA>().take(more));
    on.then(|| Rss::new(fields, regs.all::<RSSRK>(), table, old))
}

/// What becomes of MAC control frames (8.2.3.22.34).
fn flow(regs: &RegFile) -> FlowPlan {
    let mflcn = regs.get::<MFLCN>(0);
    let (obey, obey_classes) = (mflcn.has(MFLCN::RFCE), mflcn.has(MFLCN::RPFCM));
    FlowPlan {
        address: Some(table::pause_address(regs)),
        obey,
        obey_classes,
        drop: mflcn.has(MFLCN::DPF) && (obey || obey_classes),
        pass_others: mflcn.has(MFLCN::PMCF),
    }
}

/// The transmit side.
pub(super) fn tx(chip: &Ixgbe, regs: &RegFile, memory: &Memory) -> TxPlan {
    let held = regs.get::<SECTXSTAT>(0).has(SECTXSTAT::SECTX_RDY);
    let dma = regs.get::<DMATXCTL>(0);
    TxPlan {
        on: dma.has(DMATXCTL::TE) && !held,
        pad: regs.get::<HLREG0>(0).has(HLREG0::TXPADEN),
        longest: LONGEST,
        tag: dma.get(DMATXCTL::VT) as u16,
        flags: FlagMasks::new(regs.get::<DTXTCPFLGL>(0).raw(), regs.get::<DTXTCPFLGH>(0).raw()),
        obey_pause: regs.get::<MFLCN>(0).has(MFLCN::RFCE),
        send_pause: regs.get::<FCCFG>(0).get(FCCFG::TFCE) == 1,
        queues: tx_queues(chip, regs, memory),
    }
}
