//! Which PCI devices this driver drives, and how they differ.

/// Intel.
pub const VENDOR: u16 = 0x8086;

/// A generation of the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// 82599 and the X520 adapters built on it.
    I82599,
    /// X540: the PHY is on chip and firmware runs it.
    X540,
    /// X550, stand-alone.
    X550,
    /// X552: X550 inside a Xeon D.
    X552,
    /// X553: X550 inside an Atom C3000; its NVM and semaphore registers have moved.
    X553,
}

impl Family {
    /// Whether the redirection table has 512 entries and not 128.
    pub const fn has_long_reta(self) -> bool {
        matches!(self, Family::X550 | Family::X552 | Family::X553)
    }

    /// KiB of receive packet buffer (datasheets' 8.2.3.8.9).
    pub const fn rx_buffer_kib(self) -> u32 {
        match self {
            Family::I82599 => 512,
            _ => 384,
        }
    }
}

/// What carries the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// SFP+ or QSFP cage: serial, the laser is on a software-definable pin.
    Fiber,
    /// KX, KX4, KR, CX4 or XAUI: the MAC negotiates.
    Backplane,
    /// A PHY that firmware or its own microcode runs: the MAC is told the outcome.
    Phy,
}

/// One line of the device table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chip {
    /// PCI device id.
    pub device: u16,
    /// What to call it.
    pub name: &'static str,
    /// Generation.
    pub family: Family,
    /// Link.
    pub media: Media,
}

const fn chip(device: u16, name: &'static str, family: Family, media: Media) -> Chip {
    Chip { device, name, family, media }
}

use Family::{I82599, X540, X550, X552, X553};
use Media::{Backplane, Fiber, Phy};

/// Physical functions only; the 82598 is another programming model.
pub const CHIPS: &[Chip] = &[
    chip(0x10F7, "82599 KX4", I82599, Backplane),
    chip(0x10F8, "82599 combined backplane", I82599, Backplane),
    chip(0x10F9, "82599 CX4", I82599, Backplane),
    chip(0x10FB, "82599ES", I82599, Fiber),
    chip(0x10FC, "82599 XAUI", I82599, Backplane),
    chip(0x1507, "82599 SFP+ (EM)", I82599, Fiber),
    chip(0x1514, "82599 KX4 mezzanine", I82599, Backplane),
    chip(0x1517, "82599 KR", I82599, Backplane),
    chip(0x151C, "82599 10GBASE-T", I82599, Phy),
    chip(0x1529, "82599 SFP+ (FCoE)", I82599, Fiber),
    chip(0x152A, "82599 backplane (FCoE)", I82599, Backplane),
    chip(0x154A, "X520-4", I82599, Fiber),
    chip(0x154D, "X520-2", I82599, Fiber),
    chip(0x154F, "82599 LS", I82599, Fiber),
    chip(0x1557, "82599EN", I82599, Fiber),
    chip(0x1558, "X520-Q1", I82599, Fiber),
    chip(0x1528, "X540-AT2", X540, Phy),
    chip(0x1560, "X540-AT1", X540, Phy),
    chip(0x1563, "X550-AT2", X550, Phy),
    chip(0x15D1, "X550-AT", X550, Phy),
    chip(0x15AA, "X552 KX4", X552, Phy),
    chip(0x15AB, "X552 KR", X552, Phy),
    chip(0x15AC, "X552 SFP+", X552, Phy),
    chip(0x15AD, "X552 10GBASE-T", X552, Phy),
    chip(0x15AE, "X552 1GBASE-T", X552, Phy),
    chip(0x15B0, "X552 XFI", X552, Phy),
    chip(0x15C2, "X553 KR", X553, Phy),
    chip(0x15C3, "X553 KR-L", X553, Phy),
    chip(0x15C4, "X553 SFP+ (N)", X553, Phy),
    chip(0x15C6, "X553 SGMII", X553, Phy),
    chip(0x15C7, "X553 SGMII-L", X553, Phy),
    chip(0x15C8, "X553 10GBASE-T", X553, Phy),
    chip(0x15CA, "X553 QSFP", X553, Phy),
    chip(0x15CC, "X553 QSFP (N)", X553, Phy),
    chip(0x15CE, "X553 SFP+", X553, Phy),
    chip(0x15E4, "X553 1GBASE-T", X553, Phy),
    chip(0x15E5, "X553 1GBASE-T-L", X553, Phy),
];

/// The table's line for a PCI device.
pub fn find(vendor: u16, device: u16) -> Option<&'static Chip> {
    (vendor == VENDOR).then(|| CHIPS.iter().find(|c| c.device == device)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_found_by_id_and_listed_once() {
        assert_eq!(find(VENDOR, 0x10FB).map(|c| c.name), Some("82599ES"));
        assert_eq!(find(VENDOR, 0x1528).map(|c| c.family), Some(X540));
        assert_eq!(find(0x1234, 0x10FB), None);
        // The 82598 and the virtual function have other programming models.
        assert_eq!(find(VENDOR, 0x10B6), None);
        assert_eq!(find(VENDOR, 0x10ED), None);
        for (n, c) in CHIPS.iter().enumerate() {
            assert!(CHIPS[n + 1..].iter().all(|o| o.device != c.device), "{:#x}", c.device);
        }
    }
}
