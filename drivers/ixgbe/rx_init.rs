//! Receive initialisation (4.6.7), in the datasheet's order.

use super::filter;
use super::flow;
use super::ids::Family;
use super::regs::{
    CTRL_EXT, DCA_RXCTRL, HLREG0, MAXFRS, MRQC, RDBAH, RDBAL, RDH, RDLEN, RDRXCTL, RDT, RETA,
    RFCTL, RSCCTL, RSSRK, RTRPCS, RTRUP2TC, RXCSUM, RXDCTL, RXPBSIZE, SRRCTL, SRRCTL_ALIAS,
    x550::ERETA,
};
use super::wait::modify;
use crate::drivers::intel::{Accept, access, rss};
use crate::error::Result;
use crate::mem::{Geometry, RingMem};
use crate::mmio::{Bar, Register};
use crate::port::{MacAddr, PortConfig};

/// SRRCTL.DESCTYPE: advanced descriptors, one buffer.
const ONE_BUFFER: u32 = 1;

/// MRQC.MRQE: RSS, neither DCB nor virtualisation.
const RSS_ONLY: u32 = 1;

/// Queues that a redirection entry can name: four bits (8.2.3.7.15).
pub(super) const MAX_QUEUES: u16 = 16;

/// Bytes of the Ethernet CRC.
const CRC: u32 = 4;

/// Everything that belongs to no queue. The receiver is off.
pub(super) fn port<B: Bar>(bar: &B, family: Family, mac: MacAddr, cfg: &PortConfig) {
    // 1. Filter tables, station address, acceptance.
    filter::clear_tables(bar);
    let accept = Accept { promiscuous: cfg.promiscuous, allmulticast: cfg.allmulticast };
    filter::program(bar, mac, accept);
    // 2. Offloads: checksums are always verified (their verdict is in the descriptor), the RSS
    //    hash stands where a fragment's checksum would (PCSD); no coalescing (RFCTL.RSC_DIS).
    modify::<RXCSUM, B>(bar, 0, |r| r.with(RXCSUM::IPPCSE, 0).with(RXCSUM::PCSD, 1));
    modify::<RFCTL, B>(bar, 0, |r| r.with(RFCTL::RSC_DIS, 1));
    // 3. The MAC strips the CRC and the DMA unit must know (RDRXCTL.CRCSTRIP equals
    //    HLREG0.RXCRCSTRP). The other three bits are as 4.6.7 and 8.2.3.8.8 want them, against
    //    their reset values.
    modify::<RDRXCTL, B>(bar, 0, |r| {
        r.with(RDRXCTL::CRCSTRIP, 1)
            .with(RDRXCTL::RSCFRSTSIZE, 0)
            .with(RDRXCTL::RSCACKC, 1)
            .with(RDRXCTL::FCOE_WRFIX, 1)
    });
    // 4. Frame length. JUMBOEN makes MAXFRS count, for short MTUs too.
    modify::<HLREG0, B>(bar, 0, |r| {
        r.with(HLREG0::RXCRCSTRP, 1)
            .with(HLREG0::JUMBOEN, 1)
            .with(HLREG0::LPBK, 0)
            .with(HLREG0::RXPADSTRIPEN, 0)
    });
    let longest = u32::from(cfg.max_frame()) + CRC;
    modify::<MAXFRS, B>(bar, 0, |r| r.with(MAXFRS::MFS, longest));
    // 5. One packet buffer, no DCB, no virtualisation (4.6.11.3.4).
    for n in 0..RXPBSIZE::META.count {
        let kib = if n == 0 { family.rx_buffer_kib() } else { 0 };
        RXPBSIZE::default().with(RXPBSIZE::SIZE, kib).write_at(bar, n);
    }
    RTRUP2TC(0).write(bar);
    modify::<RTRPCS, B>(bar, 0, |r| r.with(RTRPCS::RRM, 0).with(RTRPCS::RAC, 0));
    flow::program(bar, family, cfg.flow_control);
    // 6. Which queue.
    rss::program::<MRQC, RETA, RSSRK, B>(bar, &cfg.rss, cfg.rx_queues, RSS_ONLY);
    // An X550 looks up nine bits of the hash: its 512 entries repeat the table four times.
    if family.has_long_reta() && cfg.rx_queues > 1 {
        for n in 0..ERETA::META.count {
            ERETA(RETA::read_at(bar, n % RETA::META.count).raw()).write_at(bar, n);
        }
    }
}

/// Programs one queue; it stays disabled.
///
/// What a full ring does is `cfg.drop_when_full`: with DROP_EN its frames are dropped and counted
/// (QPRDC), and the other queues go on; without, they wait in the packet buffer that all queues
/// share, until that overflows (MPC) or pause frames slow the sender down.
pub(super) fn queue<B: Bar>(bar: &B, n: u32, ring: &RingMem, buffers: Geometry, cfg: &PortConfig) {
    let iova = ring.iova().0;
    RDBAL(iova as u32).write_at(bar, n);
    RDBAH((iova >> 32) as u32).write_at(bar, n);
    RDLEN(ring.descriptors().len() as u32 * 16).write_at(bar, n);
    // Of these 16 queues, other drivers use this place; what stands in for a device may have no other.
    modify::<SRRCTL_ALIAS, B>(bar, n, |r| {
        r.with(SRRCTL::BSIZEPACKET, u32::from(buffers.room()) / 1024)
            .with(SRRCTL::DESCTYPE, ONE_BUFFER)
            .with(SRRCTL::RDMTS, 0)
            .with(SRRCTL::DROP_EN, cfg.drop_when_full.into())
    });
    RSCCTL(0).write_at(bar, n);
    RDH(0).write_at(bar, n);
    RDT(0).write_at(bar, n);
    // Bit 12 must be written as zero (last paragraph of 4.6.7). Packet data must not overtake
    // each other nor the descriptor that announces them, so relaxed ordering of writes is off;
    // of descriptor reads it is harmless.
    modify::<DCA_RXCTRL, B>(bar, n, |r| {
        r.with(DCA_RXCTRL::RESERVED12, 0)
            .with(DCA_RXCTRL::DATA_WR_RO, 0)
            .with(DCA_RXCTRL::HEAD_WR_RO, 0)
    });
    // VLAN tags stay in the packet unless they are asked for beside it (7.4.2).
    let strip = u32::from(cfg.vlan_strip);
    modify::<RXDCTL, B>(bar, n, |r| r.with(RXDCTL::VME, strip).with(RXDCTL::RLPML_EN, 0));
}

/// Enables one queue and waits until it reads back; only then may RDT be written.
///
/// # Errors
/// [`Error::Timeout`](crate::Error::Timeout), [`Error::Gone`](crate::Error::Gone).
pub(super) fn enable_queue<B: Bar>(bar: &B, n: u32) -> Result<()> {
    access::enable_queue::<RXDCTL, B>(bar, n, RXDCTL::ENABLE)
}

/// Opens the receive path, after everything else.
pub(super) fn enable<B: Bar>(bar: &B) {
    super::reset::set_receive(bar, true);
    // No-snoop off: the CPU's caches are to see what the NIC writes (4.6.7).
    modify::<CTRL_EXT, B>(bar, 0, |r| r.with(CTRL_EXT::NS_DIS, 1));
}
