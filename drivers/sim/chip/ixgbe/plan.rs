//! What the registers add up to.

use super::super::Chip;
use super::{Ixgbe, Variant};
use crate::drivers::ixgbe::regs::{
    DMATXCTL, DTXTCPFLGH, DTXTCPFLGL, FCCFG, FCTRL, HLREG0, MAXFRS, MCSTCTRL, MFLCN, MRQC, MTA,
    RAH, RAL, RETA, RSSRK, RXCSUM, RXCTRL, RXDCTL, SECRXSTAT, SECTXSTAT, SRRCTL, VFTA, VLNCTRL,
    x550::ERETA,
};
use crate::drivers::sim::memory::Memory;
use crate::drivers::sim::regs::RegFile;
use crate::drivers::sim::setup::{
    ErrorBits, FilterBits, MulticastTable, Rss, RssFields, RxPlan, RxSetup, TxPlan, rx_queues,
    station, tx_queues,
};
use crate::drivers::sim::tx::FlagMasks;
use crate::mmio::Register;

/// Error bits of the write-back (datasheet 7.1.6.2).
const ERRORS: ErrorBits = ErrorBits { damaged: 1 << 29, l4: 1 << 30, ip: 1 << 31 };
/// Distance of SRRCTL from the start of a queue's block.
const SRRCTL_AT: u32 = 0x14;
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
            odd_type: srrctl.get(SRRCTL::DESCTYPE) != 1,
            common,
        }
    });
    RxPlan {
        on: regs.get::<RXCTRL>(0).has(RXCTRL::RXEN) && !held,
        errors: ERRORS,
        unchecked: 0,
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
        vlans: regs.get::<VLNCTRL>(0).has(VLNCTRL::VFE).then(|| regs.all::<VFTA>().collect()),
        longest: longest.saturating_sub(4),
        tag_room: 4,
        rss: rss(chip, regs, old.rss),
        report_hash: regs.get::<RXCSUM>(0).has(RXCSUM::PCSD),
        strip_crc: hlreg.has(HLREG0::RXCRCSTRP),
        slots: (0..chip.queues()).map(|q| chip.rx_slot(regs, q)).collect(),
        queues,
    }
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
