//! The members of the family, and where they differ.

use super::time;
use crate::drivers::ixgbe::regs::x550::{
    B2OGPRC, B2OSPC, ERETA, FLEX_MNG, FWSTS, HICR, O2BGPTC, O2BSPC, VXLANCTRL,
};
use crate::mmio::{RegMeta, Register};

/// A chip of the family.
#[derive(Debug)]
pub(in crate::drivers::sim) struct Ixgbe {
    pub(super) variant: Variant,
}

impl Ixgbe {
    pub(super) const fn new(variant: Variant) -> Self {
        Self { variant }
    }
}

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::drivers::sim) enum Variant {
    I82599,
    X540,
    X550,
}

/// What came with the X540: the host interface, and frames between host and BMC.
const SINCE_X540: &[&RegMeta] = &[
    &FLEX_MNG::META,
    &HICR::META,
    &FWSTS::META,
    &B2OSPC::META,
    &B2OGPRC::META,
    &O2BGPTC::META,
    &O2BSPC::META,
];
/// What came with the X550.
const SINCE_X550: &[&RegMeta] = &[&ERETA::META, &VXLANCTRL::META];

impl Variant {
    pub(super) const COUNT: usize = 3;

    pub(super) const fn pci_id(self) -> u16 {
        match self {
            Self::I82599 => 0x10fb,
            Self::X540 => 0x1528,
            Self::X550 => 0x1563,
        }
    }

    /// Whether there is an SFP+ cage and not a PHY.
    pub(super) const fn has_cage(self) -> bool {
        matches!(self, Self::I82599)
    }

    /// Registers that the 82599 does not have, or not so.
    pub(super) fn more(self) -> impl Iterator<Item = &'static RegMeta> {
        let (lines, table): ([&[_]; 2], &'static [RegMeta]) = match self {
            Self::I82599 => ([&[], &[]], &[]),
            Self::X540 => ([SINCE_X540, &[]], &[]),
            Self::X550 => ([SINCE_X540, SINCE_X550], time::TIME_X550),
        };
        lines.into_iter().flatten().copied().chain(table)
    }
}
