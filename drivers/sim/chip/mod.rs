//! What sets one chip apart from another: its registers, and what they mean to the engine.
//!
//! The engine goes by decoded plans and never asks a chip about a frame; what is asked here is
//! asked when a register is accessed, when the plans are decoded again, and once a step.

use std::fmt;

use super::device::{Device, Slow};
use super::eeprom::Eeprom;
use super::fault::QueueId;
use super::irq::Signals;
use super::lawyer::Lawyer;
use super::memory::Memory;
use super::regs::{Map, RegFile};
use super::setup::{Mac, QueueReg, RxPlan, TxPlan};
use super::sfp::Cage;
use super::stats::Tally;
use super::timesync::{Rate, TimeRegs};
use crate::port::MacAddr;

mod igb;
mod ixgbe;

pub(super) use igb::Phy;
use igb::{I350, I82576};
pub(super) use ixgbe::{Copper, I82599};
use ixgbe::{X540, X550};

/// The numbers of the queues in a mask of all.
fn queues_in(mask: u128) -> impl Iterator<Item = u32> {
    let mut left = mask;
    std::iter::from_fn(move || {
        let next = (left != 0).then(|| left.trailing_zeros());
        left &= left.wrapping_sub(1);
        next
    })
}

/// The vector that a byte of IVAR leads to, if it is valid and one of `vectors`. Without MSI-X it
/// is the number of one of 16 causes.
fn allotted(byte: u32, vectors: u32) -> Option<u8> {
    let (valid, number) = (byte & 0x80 != 0, byte & 0x3f);
    (valid && number < vectors).then_some(number as u8)
}

/// The chips there are a model of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Model {
    /// 82599 with an SFP+ cage, 10 Gbit/s.
    I82599,
    /// X540 with its copper PHY, 10 Gbit/s.
    X540,
    /// X550 with its copper PHY, 10 Gbit/s.
    X550,
    /// 82576 with its copper PHY, 1 Gbit/s.
    I82576,
    /// I350 with its copper PHY, 1 Gbit/s.
    I350,
}

/// Chips of one programming model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// 82599, X540, X550.
    Ixgbe,
    /// 82576, I350.
    Igb,
}

impl Model {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::I82599, Self::X540, Self::X550, Self::I82576, Self::I350];

    /// Its name in a spec string.
    pub fn name(self) -> &'static str {
        match self {
            Self::I82599 => "82599",
            Self::X540 => "x540",
            Self::X550 => "x550",
            Self::I82576 => "82576",
            Self::I350 => "i350",
        }
    }

    /// Whose driver drives it.
    pub fn family(self) -> Family {
        match self {
            Self::I82599 | Self::X540 | Self::X550 => Family::Ixgbe,
            Self::I82576 | Self::I350 => Family::Igb,
        }
    }

    pub(super) fn chip(self) -> &'static dyn Chip {
        match self {
            Self::I82599 => &I82599,
            Self::X540 => &X540,
            Self::X550 => &X550,
            Self::I82576 => &I82576,
            Self::I350 => &I350,
        }
    }
}

/// One chip.
pub(super) trait Chip: Signals + fmt::Debug + Send + Sync {
    /// Its register table.
    fn map(&self) -> &'static Map;

    /// PCI device id.
    fn pci_id(&self) -> u16;

    /// The EEPROM of an adapter whose address is `mac`.
    fn eeprom(&self, mac: MacAddr) -> Eeprom;

    /// The PHY on its MDIO bus.
    fn phy(&self) -> Phy {
        Phy::default()
    }

    /// The SFP+ cage of an adapter whose address is `mac`.
    fn cage(&self, _mac: MacAddr) -> Cage {
        Cage::new(None)
    }

    /// The 10GBASE-T PHY on its MDIO bus.
    fn copper(&self) -> Option<Copper> {
        None
    }

    /// Its line rate in Mbit/s.
    fn mbps(&self) -> u32;

    /// Queues of each direction.
    fn queues(&self) -> u32;

    /// BAR offset of a receive queue's block of registers.
    fn rx_block(&self, queue: u32) -> u32;

    /// BAR offset of a transmit queue's block of registers.
    fn tx_block(&self, queue: u32) -> u32;

    /// The queue in whose block an offset is.
    fn queue_of(&self, offset: u32) -> Option<QueueId>;

    /// If an offset is a queue's register: the queue's block, and which register.
    fn queue_block(&self, offset: u32) -> Option<(u32, QueueReg)> {
        let block = match self.queue_of(offset)? {
            QueueId::Rx(q) => self.rx_block(q.into()),
            QueueId::Tx(q) => self.tx_block(q.into()),
        };
        Some((block, QueueReg::at(offset - block)?))
    }

    /// Whether a queue that is off ignores its tail, and starts with head and tail at zero.
    fn deaf_queues(&self) -> bool {
        false
    }

    /// Statistics slot of a receive queue.
    fn rx_slot(&self, regs: &RegFile, queue: u32) -> u8;

    /// Statistics slot of a transmit queue.
    fn tx_slot(&self, regs: &RegFile, queue: u32) -> u8;

    /// A reset, which software asked for by writing `ctrl`.
    fn reset(&self, device: &Device, slow: &mut Slow, ctrl: u32);

    /// Whether a register belongs to all ports and the firmware, so that a reset of the function
    /// neither changes it nor keeps software from it.
    fn shared(&self, offset: u32) -> bool;

    /// Receive address 0, which autoload fills: its low register; the high one follows.
    fn station(&self) -> u32;

    /// Registers whose value is not simply what is stored.
    fn read(&self, device: &Device, slow: &mut Slow, offset: u32) -> Option<u32>;

    /// Writes that do more than store. False: there is nothing special about the register.
    fn write(&self, device: &Device, slow: &mut Slow, offset: u32, value: u32) -> bool;

    /// The cable was plugged in again.
    fn plugged_in(&self, _device: &Device, _slow: &mut Slow) {}

    /// A module was put into the cage, or taken out.
    fn module_changed(&self, _device: &Device, _slow: &mut Slow) {}

    /// Loopback and master disable.
    fn mac(&self, regs: &RegFile) -> Mac;

    /// Decodes the receive side; `old` lends what is expensive to make.
    fn rx_plan(&self, regs: &RegFile, memory: &Memory, old: RxPlan) -> RxPlan;

    /// Decodes the transmit side.
    fn tx_plan(&self, regs: &RegFile, memory: &Memory) -> TxPlan;

    /// Where the registers of its PTP clock are.
    fn time(&self) -> &'static TimeRegs;

    /// How fast that clock goes, on a link of `mbps`.
    fn pace(&self, regs: &RegFile, mbps: u32) -> Rate;

    /// Adds what a step has counted to the statistics registers.
    fn count(&self, regs: &RegFile, tally: &Tally);

    /// Counts the link's loss, where the chip does.
    fn count_lost_link(&self, _regs: &RegFile) {}

    /// The chip's own rules for a write that is about to happen.
    fn judge(&self, lawyer: &mut Lawyer, regs: &RegFile, offset: u32, value: u32);

    /// Names of the registers whose reserved bits are all known to the table: bits outside fields
    /// keep their reset value.
    fn strict(&self) -> &'static [&'static str];
}
