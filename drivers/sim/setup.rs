//! What the registers add up to: decoded once when they change, not for every packet.

use super::chip::Chip;
use super::flow::FlowPlan;
use super::memory::{Memory, Ring};
use super::regs::RegFile;
use super::rss::Toeplitz;
use super::rx::RscSetup;
use super::steer::Steering;
use super::timesync::{InPacket, Stamps};
use super::tx::FlagMasks;

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

impl QueueReg {
    /// By its distance from the start of a queue's block, which is the same on all chips.
    pub(super) fn at(within: u32) -> Option<Self> {
        Some(match within {
            BASE => QueueReg::Base,
            BASE_HIGH => QueueReg::BaseHigh,
            LENGTH => QueueReg::Length,
            HEAD => QueueReg::Head,
            TAIL => QueueReg::Tail,
            CONTROL => QueueReg::Control,
            _ => return None,
        })
    }
}

/// Distances of a queue's registers from the start of its block.
pub(super) const BASE: u32 = 0x00;
pub(super) const BASE_HIGH: u32 = 0x04;
pub(super) const LENGTH: u32 = 0x08;
pub(super) const HEAD: u32 = 0x10;
pub(super) const TAIL: u32 = 0x18;
pub(super) const CONTROL: u32 = 0x28;
/// Of a transmit queue: TDWBAL and TDWBAH.
const HEAD_AT: u32 = 0x38;
const HEAD_AT_HIGH: u32 = 0x3c;
/// TDWBAL: the head is written back, to a multiple of four.
const HEAD_WB_EN: u32 = 1 << 0;

/// RXDCTL and TXDCTL of all chips: the queue is enabled.
pub(super) const ENABLE: u32 = 1 << 25;
/// The same: software flush of write-backs.
pub(super) const SWFLSH: u32 = 1 << 26;

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
    /// Where in the buffer time stamps are put.
    pub(super) stamp: Option<InPacket>,
    /// Descriptor type that the model does not know, if that is so.
    pub(super) odd_type: bool,
    /// TCP segments are coalesced.
    pub(super) rsc: Option<RscSetup>,
}

/// A transmit queue's own settings.
#[derive(Debug, Clone)]
pub(super) struct TxSetup {
    pub(super) common: QueueSetup,
    /// Where its head is written instead of descriptors.
    pub(super) head_at: Option<u64>,
}

/// Entries of the redirection table of an X550; the other chips have 128.
pub(super) const RSS_ENTRIES: usize = 512;

/// Receive-side scaling as programmed.
#[derive(Debug)]
pub(super) struct Rss {
    pub(super) fields: RssFields,
    pub(super) hash: Toeplitz,
    /// As long as the longest chip's; a shorter one repeats.
    pub(super) table: [u8; RSS_ENTRIES],
}

/// Which packets are hashed.
#[derive(Debug, Clone, Copy)]
pub(super) struct RssFields {
    pub(super) tcp4: bool,
    pub(super) udp4: bool,
    pub(super) ipv4: bool,
    pub(super) tcp6: bool,
    pub(super) udp6: bool,
    pub(super) ipv6: bool,
}

impl Rss {
    /// From key and table as the registers hold them; `old` lends its hash when it has the key.
    pub(super) fn new(
        fields: RssFields,
        key: impl Iterator<Item = u32>,
        table: impl Iterator<Item = u32>,
        old: Option<Rss>,
    ) -> Self {
        let mut bytes = [0u8; 40];
        for (to, word) in bytes.chunks_exact_mut(4).zip(key) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        let mut entries = [0u8; RSS_ENTRIES];
        let words: Vec<u32> = table.collect();
        for (to, word) in entries.chunks_exact_mut(4).zip(words.iter().cycle()) {
            to.copy_from_slice(&word.to_le_bytes().map(|entry| entry & 0xf));
        }
        let hash = match old {
            Some(old) if *old.hash.key() == bytes => old.hash,
            _ => Toeplitz::new(bytes),
        };
        Self { fields, hash, table: entries }
    }
}

/// The address of a receive address pair, if it is valid (bit 31 of the high register).
pub(super) fn station(low: u32, high: u32) -> Option<[u8; 6]> {
    (high >> 31 != 0).then_some(address(low, high))
}

/// The address in a pair of registers.
pub(super) fn address(low: u32, high: u32) -> [u8; 6] {
    let ([a, b, c, d], [e, f, ..]) = (low.to_le_bytes(), high.to_le_bytes());
    [a, b, c, d, e, f]
}

/// The low and high register of a valid receive address pair.
pub(super) fn station_words([a, b, c, d, e, f]: [u8; 6]) -> (u32, u32) {
    (u32::from_le_bytes([a, b, c, d]), u32::from(u16::from_le_bytes([e, f])) | 1 << 31)
}

/// The multicast filter: 4,096 bits and which address bits choose one.
#[derive(Debug)]
pub(super) struct MulticastTable {
    bits: Vec<u32>,
    shift: u32,
}

impl MulticastTable {
    /// `choice` says which 12 of the address's top 16 bits count: MCSTCTRL.MO and RCTL.MO.
    pub(super) fn new(bits: Vec<u32>, choice: u32) -> Self {
        Self { bits, shift: [4, 3, 2, 0][choice as usize & 3] }
    }

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
    /// Receiving is enabled, and nothing holds the path still.
    pub(super) on: bool,
    pub(super) errors: ErrorBits,
    /// Bits of checksum verdicts that are not given.
    pub(super) unchecked: u64,
    /// The CRC of SCTP packets is checked.
    pub(super) check_sctp: bool,
    pub(super) accept: FilterBits,
    pub(super) macs: Vec<[u8; 6]>,
    pub(super) multicast: Option<MulticastTable>,
    pub(super) flow: FlowPlan,
    /// The VLAN filter table, when it is on.
    pub(super) vlans: Option<Vec<u32>>,
    /// Longest frame without CRC.
    pub(super) longest: usize,
    /// Bytes that a tagged frame may have on top of that.
    pub(super) tag_room: usize,
    /// The filters that choose a queue before RSS does, while any is in use.
    pub(super) steering: Option<Box<Steering>>,
    pub(super) rss: Option<Rss>,
    /// Which packets get time stamps, if any do.
    pub(super) stamps: Option<Stamps>,
    /// RXCSUM.PCSD: the hash is reported.
    pub(super) report_hash: bool,
    pub(super) strip_crc: bool,
    /// Statistics slots of all queues, enabled or not.
    pub(super) slots: Vec<u8>,
    pub(super) queues: Vec<RxSetup>,
}

/// Error bits of a receive write-back's second word.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct ErrorBits {
    /// RXE: damaged on the wire.
    pub(super) damaged: u64,
    /// L4E: TCP or UDP checksum.
    pub(super) l4: u64,
    /// IPE: IPv4 checksum.
    pub(super) ip: u64,
}

/// What is accepted whatever its address.
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
    /// Longest frame without CRC.
    pub(super) longest: usize,
    /// EtherType of inserted tags.
    pub(super) tag: u16,
    /// Which TCP flags segments keep.
    pub(super) flags: FlagMasks,
    /// Pause frames hold the transmitter.
    pub(super) obey_pause: bool,
    /// Pause frames are sent.
    pub(super) send_pause: bool,
    pub(super) queues: Vec<TxSetup>,
}

/// What the engine goes by besides the plans.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mac {
    /// The MAC's transmitter leads to its receiver.
    pub(super) looped: bool,
    /// The driver has not asked for master disable.
    pub(super) master: bool,
    /// The MAC takes notice of the link.
    pub(super) linked: bool,
    /// The MAC says that there is a link whether there is or not.
    pub(super) forced: bool,
}

/// The settings of the queue whose block starts at `block`, if it is enabled.
fn queue(regs: &RegFile, memory: &Memory, index: u32, block: u32, slot: u8) -> Option<QueueSetup> {
    let control = regs.peek(block + CONTROL);
    if control & ENABLE == 0 {
        return None;
    }
    let low = regs.peek(block + BASE) & !0x7f;
    let base = u64::from(regs.peek(block + BASE_HIGH)) << 32 | u64::from(low);
    Some(QueueSetup {
        index: index as u16,
        base,
        ring: memory.ring(base, regs.peek(block + LENGTH) & 0xf_ff80),
        head_offset: block + HEAD,
        tail_offset: block + TAIL,
        slot,
        control,
    })
}

/// The enabled receive queues of a chip.
pub(super) fn rx_queues(
    chip: &dyn Chip,
    regs: &RegFile,
    memory: &Memory,
    finish: impl Fn(QueueSetup, u32) -> RxSetup,
) -> Vec<RxSetup> {
    (0..chip.queues())
        .filter_map(|q| {
            let block = chip.rx_block(q);
            queue(regs, memory, q, block, chip.rx_slot(regs, q)).map(|setup| finish(setup, block))
        })
        .collect()
}

/// The enabled transmit queues of a chip.
pub(super) fn tx_queues(chip: &dyn Chip, regs: &RegFile, memory: &Memory) -> Vec<TxSetup> {
    let one = |q| {
        let block = chip.tx_block(q);
        let common = queue(regs, memory, q, block, chip.tx_slot(regs, q))?;
        let (low, high) = (regs.peek(block + HEAD_AT), regs.peek(block + HEAD_AT_HIGH));
        let head_at =
            (low & HEAD_WB_EN != 0).then_some(u64::from(high) << 32 | u64::from(low & !3));
        Some(TxSetup { common, head_at })
    };
    (0..chip.queues()).filter_map(one).collect()
}
