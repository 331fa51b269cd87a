//! The members of the family, and where they differ.

use super::time;
use crate::drivers::igb::regs::later::{DMACR, DVMOLR, MDICNFG, PHPM, RAH_24, RAL_24};
use crate::mmio::{RegMeta, Register};

/// A chip of the family.
#[derive(Debug)]
pub(in crate::drivers::sim) struct Igb {
    pub(super) variant: Variant,
}

impl Igb {
    pub(super) const fn new(variant: Variant) -> Self {
        Self { variant }
    }
}

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::drivers::sim) enum Variant {
    I82576,
    I350,
}

impl Variant {
    pub(super) const COUNT: usize = 2;

    pub(super) const fn pci_id(self) -> u16 {
        match self {
            Self::I82576 => 0x10c9,
            Self::I350 => 0x1521,
        }
    }

    /// Queues of each direction.
    pub(super) const fn queues(self) -> u32 {
        match self {
            Self::I82576 => 16,
            Self::I350 => 8,
        }
    }

    /// Register and bit of a receive queue's entry in IVAR: the 82576 has queues `n` and `n + 8`
    /// in one register (8.8.13), the I350 `2n` and `2n + 1`.
    pub(super) const fn ivar(self, queue: u32) -> (u32, u32) {
        match self {
            Self::I82576 => (queue % 8, queue / 8 * 16),
            Self::I350 => (queue / 2, queue % 2 * 16),
        }
    }

    /// Registers that the 82576 does not have, or not so.
    pub(super) fn more(self) -> impl Iterator<Item = &'static RegMeta> {
        let (lines, table): (&[_], &'static [RegMeta]) = match self {
            Self::I82576 => (&[], &[]),
            Self::I350 => (
                &[
                    &MDICNFG::META,
                    &PHPM::META,
                    &DMACR::META,
                    &RAL_24::META,
                    &RAH_24::META,
                    &DVMOLR::META,
                ],
                time::TIME_I350,
            ),
        };
        lines.iter().copied().chain(table)
    }
}
