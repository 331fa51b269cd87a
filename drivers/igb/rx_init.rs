//! Receive initialisation (4.5), in the datasheet's order.

use super::filter;
use super::flow;
use super::ids::Family;
use super::regs::later::DVMOLR;
use super::regs::{
    CTRL, MRQC, RCTL, RDBAH, RDBAL, RDH, RDLEN, RDT, RETA, RFCTL, RLPML, RSSRK, RXCSUM, RXCTL,
    RXDCTL, SRRCTL,
};
use super::wait::modify;
use crate::drivers::intel::{Accept, access, rss};
use crate::error::Result;
use crate::mem::{Geometry, RingMem};
use crate::mmio::{Bar, Register};
use crate::port::{MacAddr, PortConfig};

/// SRRCTL.DESCTYPE: advanced descriptors, one buffer.
const ONE_BUFFER: u32 = 1;

/// MRQC.MRQE: RSS over all of the chip's queues, no virtualisation (8.10).
const RSS_ONLY: u32 = 2;

/// Bytes of the Ethernet CRC.
const CRC: u32 = 4;

/// Descriptors are fetched when this many or fewer are left on chip...
const PTHRESH: u32 = 8;
/// ...and at least this many wait in memory.
const HTHRESH: u32 = 8;
/// Each descriptor is written back by itself, as soon as its packet is in memory.
const WTHRESH: u32 = 1;

/// Everything that belongs to no queue. The receiver is off.
pub(super) fn port<B: Bar>(bar: &B, family: Family, mac: MacAddr, cfg: &PortConfig) {
    // 1. Filter tables, station address, acceptance.
    filter::clear_tables(bar, family);
    let accept = Accept { promiscuous: cfg.promiscuous, allmulticast: cfg.allmulticast };
    filter::program(bar, mac, accept);
    // 2. Offloads: checksums are always verified (their verdict is in the descriptor), the RSS
    //    hash stands where a fragment's checksum would (PCSD).
    modify::<RXCSUM, B>(bar, 0, |r| {
        r.with(RXCSUM::IPOFL, 1)
            .with(RXCSUM::TUOFL, 1)
            .with(RXCSUM::IPPCSE, 0)
            .with(RXCSUM::PCSD, 1)
    });
    // IPv6 extension headers confuse the parser (82576 specification update).
    modify::<RFCTL, B>(bar, 0, |r| r.with(RFCTL::IPV6_EX_DIS, 1).with(RFCTL::LEF, 0));
    // 3. VLAN tags stay in the packet unless they are asked for beside it; for all queues alike.
    modify::<CTRL, B>(bar, 0, |r| r.with(CTRL::VME, cfg.vlan_strip.into()));
    // 4. Frame length. LPE makes RLPML count, for short MTUs too. The MAC strips the CRC; buffer
    //    sizes are each queue's.
    RLPML(u32::from(cfg.max_frame()) + CRC).write(bar);
    modify::<RCTL, B>(bar, 0, |r| {
        r.with(RCTL::LPE, 1).with(RCTL::SECRC, 1).with(RCTL::LBM, 0).with(RCTL::BSIZE, 0)
    });
    // 5. Pause frames.
    flow::program(bar, family, cfg);
    // 6. Which queue.
    rss::program::<MRQC, RETA, RSSRK, B>(bar, &cfg.rss, cfg.rx_queues, RSS_ONLY);
}

/// Programs one queue; it stays disabled.
///
/// What a full ring does is `cfg.drop_when_full`: with DROP_EN its frames are dropped and counted
/// (RQDPC), and the other queues go on; without, they wait in the packet buffer that all queues
/// share, until that overflows (MPC) or pause frames slow the sender down.
pub(super) fn queue<B: Bar>(
    bar: &B,
    family: Family,
    n: u32,
    ring: &RingMem,
    buffers: Geometry,
    cfg: &PortConfig,
) {
    // Queue 0 is enabled by every reset; base and length are for a queue that is off (8.10.5).
    modify::<RXDCTL, B>(bar, n, |r| {
        r.with(RXDCTL::ENABLE, 0)
            .with(RXDCTL::PTHRESH, PTHRESH)
            .with(RXDCTL::HTHRESH, HTHRESH)
            .with(RXDCTL::WTHRESH, WTHRESH)
    });
    let iova = ring.iova().0;
    RDBAL(iova as u32).write_at(bar, n);
    RDBAH((iova >> 32) as u32).write_at(bar, n);
    RDLEN(ring.descriptors().len() as u32 * 16).write_at(bar, n);
    modify::<SRRCTL, B>(bar, n, |r| {
        r.with(SRRCTL::BSIZEPACKET, u32::from(buffers.room()) / 1024)
            .with(SRRCTL::DESCTYPE, ONE_BUFFER)
            .with(SRRCTL::RDMTS, 0)
            .with(SRRCTL::TIMESTAMP, 0)
            .with(SRRCTL::DROP_EN, cfg.drop_when_full.into())
    });
    // From the I350 on each queue has a say besides RCTL.SECRC and CTRL.VME: about the CRC it has
    // to agree, and a tag that it takes out is taken out whatever VME says (I210 7.4.3.2).
    if family.strips_by_queue() {
        DVMOLR(0).with(DVMOLR::STRCRC, 1).write_at(bar, n);
    }
    RDH(0).write_at(bar, n);
    RDT(0).write_at(bar, n);
    // Packet data must not overtake each other nor the descriptor that announces them, so relaxed
    // ordering of writes is off; of descriptor reads it is harmless.
    modify::<RXCTL, B>(bar, n, |r| {
        r.with(RXCTL::DESC_WB_RO, 0).with(RXCTL::DATA_WR_RO, 0).with(RXCTL::HEAD_WR_RO, 0)
    });
}

/// Enables one queue and waits until it reads back; only then may RDT be written.
///
/// # Errors
/// [`Error::Timeout`](crate::Error::Timeout), [`Error::Gone`](crate::Error::Gone).
pub(super) fn enable_queue<B: Bar>(bar: &B, n: u32) -> Result<()> {
    access::enable_queue::<RXDCTL, B>(bar, n, RXDCTL::ENABLE)
}

/// Opens the receive path. Buffers are posted afterwards: RDT is ignored before (4.5).
pub(super) fn enable<B: Bar>(bar: &B) {
    modify::<RCTL, B>(bar, 0, |r| r.with(RCTL::RXEN, 1));
}
