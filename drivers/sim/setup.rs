//! What the registers add up to: decoded once when they change, not for every packet.

use std::sync::Arc;

use super::fault::QueueId;
use super::iommu::{Place, Windows};
use super::regs::RegFile;
use super::rss::Toeplitz;
use crate::drivers::ixgbe::regs::{
    self, DMATXCTL, FCCFG, FCTRL, HLREG0, MAXFRS, MCSTCTRL, MFLCN, MRQC, MTA, RAH, RAL, RDBAH,
    RDBAL, RDH, RDLEN, RDT, RETA, RQSMR, RSSRK, RXCSUM, RXCTRL, RXDCTL, SECRXSTAT, SECTXSTAT,
    SRRCTL, TDBAH, TDBAL, TDH, TDLEN, TDT, TDWBAL, TQSM, TXDCTL, VFTA, VLNCTRL,
};
use crate::mem::{CHUNK, DmaTarget};
use crate::mmio::{RegMeta, Register};

/// A register of a queue's block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueueReg {
    Base,
    BaseHigh,
    Length,
    Head,
    Tail,
    Control,
}

/// Which queue register an offset is.
pub(super) fn queue_reg(offset: u32) -> Option<(QueueId, QueueReg)> {
    let queue = match offset {
        0x1000..0x2000 => QueueId::Rx(((offset - 0x1000) / 0x40) as u16),
        0xD000..0xE000 => QueueId::Rx(((offset - 0xD000) / 0x40) as u16 + 64),
        0x6000..0x8000 => QueueId::Tx(((offset - 0x6000) / 0x40) as u16),
        _ => return None,
    };
    let register = match offset % 0x40 {
        0x00 => QueueReg::Base,
        0x04 => QueueReg::BaseHigh,
        0x08 => QueueReg::Length,
        0x10 => QueueReg::Head,
        0x18 => QueueReg::Tail,
        0x28 => QueueReg::Control,
        _ => return None,
    };
    Some((queue, register))
}

/// A descriptor ring in memory.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    block: Arc<crate::mem::RingBlock>,
    /// First word in the block.
    first: usize,
    /// In descriptors.
    pub(super) size: u32,
}

impl Ring {
    /// The ring at `base`; `None` when not all of it is mapped ring memory.
    fn find(windows: &Windows, base: u64, bytes: u32) -> Option<Self> {
        match windows.translate(base) {
            Some(Place { target: DmaTarget::Rings(block), chunk, offset })
                if bytes > 0 && offset as usize + bytes as usize <= CHUNK =>
            {
                let first = (chunk as usize * CHUNK + offset as usize) / 8;
                Some(Self { block: block.clone(), first, size: bytes / 16 })
            }
            _ => None,
        }
    }

    /// Its words, two a descriptor.
    #[inline(always)]
    pub(super) fn words(&self) -> &[std::sync::atomic::AtomicU64] {
        let end = self.first + self.size as usize * 2;
        self.block.words().get(self.first..end).unwrap_or_default()
    }
}

/// What is common to a queue of either direction.
#[derive(Debug, Clone)]
pub(super) struct QueueSetup {
    pub(super) index: u16,
    pub(super) base: u64,
    /// `None`: the device address leads nowhere, and the first fetch will fail.
    pub(super) ring: Option<Ring>,
    pub(super) head_offset: u32,
    pub(super) tail_offset: u32,
    /// Statistics slot.
    pub(super) slot: u8,
    pub(super) control: u32,
}

/// A receive queue's own settings.
#[derive(Debug, Clone)]
pub(super) struct RxSetup {
    pub(super) common: QueueSetup,
    /// Bytes of each buffer.
    pub(super) buffer: u32,
    pub(super) drop: bool,
    pub(super) strip_vlan: bool,
    /// Descriptor type that the model does not know, if that is so.
    pub(super) odd_type: bool,
}

/// Receive-side scaling as programmed.
#[derive(Debug)]
pub(super) struct Rss {
    /// MRQC: which packets are hashed.
    pub(super) fields: MRQC,
    pub(super) hash: Toeplitz,
    pub(super) table: [u8; 128],
}

/// The multicast filter: 4,096 bits and which address bits choose one.
#[derive(Debug)]
pub(super) struct MulticastTable {
    bits: Vec<u32>,
    shift: u32,
}

impl MulticastTable {
    /// Whether the table lets `destination` pass (82599 datasheet 7.1.1.1.3).
    pub(super) fn passes(&self, destination: [u8; 6]) -> bool {
        let high = u32::from(destination[4]) | u32::from(destination[5]) << 8;
        let hash = high >> self.shift & 0xfff;
        self.bits.get((hash / 32) as usize).is_some_and(|w| w >> (hash % 32) & 1 != 0)
    }
}

/// Everything that the receive path goes by.
#[derive(Debug, Default)]
pub(super) struct RxPlan {
    /// RXCTRL.RXEN, and the security block not holding the path still.
    pub(super) on: bool,
    pub(super) fctrl: FilterBits,
    pub(super) macs: Vec<[u8; 6]>,
    pub(super) multicast: Option<MulticastTable>,
    /// VFTA, when VLNCTRL.VFE is set.
    pub(super) vlans: Option<Vec<u32>>,
    /// Longest frame without CRC and tag.
    pub(super) longest: usize,
    pub(super) rss: Option<Rss>,
    /// RXCSUM.PCSD: the hash is reported.
    pub(super) report_hash: bool,
    pub(super) strip_crc: bool,
    /// Statistics slots of all queues, enabled or not.
    pub(super) slots: Vec<u8>,
    pub(super) queues: Vec<RxSetup>,
}

/// FCTRL, decoded.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct FilterBits {
    pub(super) store_bad: bool,
    pub(super) multicast: bool,
    pub(super) unicast: bool,
    pub(super) broadcast: bool,
}

/// Everything that the transmit path goes by.
#[derive(Debug, Default)]
pub(super) struct TxPlan {
    pub(super) on: bool,
    pub(super) pad: bool,
    /// EtherType of inserted tags.
    pub(super) tag: u16,
    /// Pause frames hold the transmitter.
    pub(super) obey_pause: bool,
    /// Pause frames are sent.
    pub(super) send_pause: bool,
    pub(super) queues: Vec<QueueSetup>,
    /// Some queue wants its head written back, which the model cannot do.
    pub(super) head_writeback: Option<u16>,
}

/// The statistics slot of queue `n`, from RQSMR or TQSM.
fn slot<R: Register>(regs: &RegFile, n: u32) -> u8 {
    (regs.get::<R>(n / 4).raw() >> (n % 4 * 8) & 0xf) as u8
}

/// Registers of a direction's queue block.
struct Block {
    low: u32,
    high: u32,
    length: u32,
    head: u32,
    tail: u32,
    control: u32,
}

impl Block {
    fn rx(q: u32) -> Self {
        let at = |meta: &RegMeta| regs::rx_reg(meta, q);
        Self {
            low: at(&RDBAL::META),
            high: at(&RDBAH::META),
            length: at(&RDLEN::META),
            head: at(&RDH::META),
            tail: at(&RDT::META),
            control: at(&RXDCTL::META),
        }
    }

    fn tx(q: u32) -> Self {
        Self {
            low: TDBAL::META.offset_of(q),
            high: TDBAH::META.offset_of(q),
            length: TDLEN::META.offset_of(q),
            head: TDH::META.offset_of(q),
            tail: TDT::META.offset_of(q),
            control: TXDCTL::META.offset_of(q),
        }
    }

    /// The queue's settings, if it is enabled.
    fn decode(
        &self,
        regs: &RegFile,
        windows: &Windows,
        index: u32,
        slot: u8,
    ) -> Option<QueueSetup> {
        let control = regs.peek(self.control);
        if control & RXDCTL::ENABLE.mask() == 0 {
            return None;
        }
        let base = u64::from(regs.peek(self.high)) << 32 | u64::from(regs.peek(self.low) & !0x7f);
        let bytes = regs.peek(self.length) & 0xf_ff80;
        Some(QueueSetup {
            index: index as u16,
            base,
            ring: Ring::find(windows, base, bytes),
            head_offset: self.head,
            tail_offset: self.tail,
            slot,
            control,
        })
    }
}

impl RxPlan {
    /// Decodes the receive side; `old` lends what is expensive to make.
    pub(super) fn decode(regs: &RegFile, windows: &Windows, old: RxPlan) -> Self {
        let held = regs.get::<SECRXSTAT>(0).has(SECRXSTAT::SECRX_RDY);
        let fctrl = regs.get::<FCTRL>(0);
        let hlreg = regs.get::<HLREG0>(0);
        let mcst = regs.get::<MCSTCTRL>(0);
        let rxcsum = regs.get::<RXCSUM>(0);
        // Without jumbo frames 1,518 bytes with CRC are the most (8.2.3.22.13).
        let longest = if hlreg.has(HLREG0::JUMBOEN) {
            regs.get::<MAXFRS>(0).get(MAXFRS::MFS) as usize
        } else {
            1518
        };
        let queues = (0..regs::RX_QUEUES)
            .filter_map(|q| {
                let common = Block::rx(q).decode(regs, windows, q, slot::<RQSMR>(regs, q))?;
                let srrctl = SRRCTL(regs.peek(regs::rx_reg(&SRRCTL::META, q)));
                Some(RxSetup {
                    buffer: srrctl.get(SRRCTL::BSIZEPACKET) * 1024,
                    drop: srrctl.has(SRRCTL::DROP_EN),
                    strip_vlan: RXDCTL(common.control).has(RXDCTL::VME),
                    odd_type: srrctl.get(SRRCTL::DESCTYPE) != 1,
                    common,
                })
            })
            .collect();
        Self {
            on: regs.get::<RXCTRL>(0).has(RXCTRL::RXEN) && !held,
            fctrl: FilterBits {
                store_bad: fctrl.has(FCTRL::SBP),
                multicast: fctrl.has(FCTRL::MPE),
                unicast: fctrl.has(FCTRL::UPE),
                broadcast: fctrl.has(FCTRL::BAM),
            },
            macs: macs(regs),
            multicast: mcst.has(MCSTCTRL::MFE).then(|| MulticastTable {
                bits: (0..128).map(|n| regs.get::<MTA>(n).raw()).collect(),
                shift: [4, 3, 2, 0][mcst.get(MCSTCTRL::MO) as usize],
            }),
            vlans: regs
                .get::<VLNCTRL>(0)
                .has(VLNCTRL::VFE)
                .then(|| (0..128).map(|n| regs.get::<VFTA>(n).raw()).collect()),
            longest: longest.saturating_sub(4),
            rss: rss(regs, old.rss),
            report_hash: rxcsum.has(RXCSUM::PCSD),
            strip_crc: hlreg.has(HLREG0::RXCRCSTRP),
            slots: (0..regs::RX_QUEUES).map(|q| slot::<RQSMR>(regs, q)).collect(),
            queues,
        }
    }
}

/// The receive addresses that are valid.
fn macs(regs: &RegFile) -> Vec<[u8; 6]> {
    let valid = (0..RAH::META.count).filter(|n| regs.get::<RAH>(*n).has(RAH::AV));
    valid
        .map(|n| {
            let [a, b, c, d] = regs.get::<RAL>(n).raw().to_le_bytes();
            let [e, f, ..] = regs.get::<RAH>(n).raw().to_le_bytes();
            [a, b, c, d, e, f]
        })
        .collect()
}

fn rss(regs: &RegFile, old: Option<Rss>) -> Option<Rss> {
    let fields = regs.get::<MRQC>(0);
    if fields.get(MRQC::MRQE) != 1 {
        return None;
    }
    let mut key = [0u8; 40];
    for (n, bytes) in (0u32..).zip(key.chunks_exact_mut(4)) {
        bytes.copy_from_slice(&regs.get::<RSSRK>(n).raw().to_le_bytes());
    }
    let mut table = [0u8; 128];
    for (n, entries) in (0u32..).zip(table.chunks_exact_mut(4)) {
        let word = regs.get::<RETA>(n).raw().to_le_bytes();
        for (entry, byte) in entries.iter_mut().zip(word) {
            *entry = byte & 0xf;
        }
    }
    let hash = match old {
        Some(old) if *old.hash.key() == key => old.hash,
        _ => Toeplitz::new(key),
    };
    Some(Rss { fields, hash, table })
}

impl TxPlan {
    /// Decodes the transmit side.
    pub(super) fn decode(regs: &RegFile, windows: &Windows) -> Self {
        let held = regs.get::<SECTXSTAT>(0).has(SECTXSTAT::SECTX_RDY);
        let dma = regs.get::<DMATXCTL>(0);
        let queues: Vec<_> = (0..regs::TX_QUEUES)
            .filter_map(|q| Block::tx(q).decode(regs, windows, q, slot::<TQSM>(regs, q)))
            .collect();
        let writes_head =
            |q: &&QueueSetup| regs.get::<TDWBAL>(q.index.into()).has(TDWBAL::HEAD_WB_EN);
        Self {
            on: dma.has(DMATXCTL::TE) && !held,
            pad: regs.get::<HLREG0>(0).has(HLREG0::TXPADEN),
            tag: dma.get(DMATXCTL::VT) as u16,
            obey_pause: regs.get::<MFLCN>(0).has(MFLCN::RFCE),
            send_pause: regs.get::<FCCFG>(0).get(FCCFG::TFCE) == 1,
            head_writeback: queues.iter().find(writes_head).map(|q| q.index),
            queues,
        }
    }
}
