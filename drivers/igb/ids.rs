//! Which PCI devices this driver drives, and how they differ.

use crate::mmio::RegMeta;

/// Intel.
pub const VENDOR: u16 = 0x8086;

/// A generation of the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// 82576: two ports, 16 queue pairs each.
    I82576,
    /// 82580, and its relative inside the DH89xx chipsets: up to four ports.
    I82580,
    /// I350: up to four ports.
    I350,
    /// I354: I350 inside an Atom C2000, its PHYs outside.
    I354,
    /// I210: one port, configured from flash or from on-chip fuses (iNVM).
    I210,
    /// I211: I210 without flash and with two queues.
    I211,
}

impl Family {
    /// Queues per direction (datasheets' chapter 1, feature tables).
    pub const fn queues(self) -> u16 {
        match self {
            Family::I82576 => 16,
            Family::I82580 | Family::I350 | Family::I354 => 8,
            Family::I210 => 4,
            Family::I211 => 2,
        }
    }

    /// Exact receive addresses.
    pub const fn receive_addresses(self) -> u32 {
        match self {
            Family::I82576 | Family::I82580 => 24,
            Family::I350 | Family::I354 => 32,
            Family::I210 | Family::I211 => 16,
        }
    }

    /// Whether there are pools, for virtual functions or for queues only, and with them the
    /// registers of the 82576's chapter 8.14.
    pub const fn pools(self) -> bool {
        !self.is_i21x()
    }

    /// 82580 and later: MDICNFG, PHPM, STATUS.PF_RST_DONE.
    pub const fn is_later(self) -> bool {
        !matches!(self, Family::I82576)
    }

    /// I350 and later: DVMOLR, which strips CRC and VLAN tag by queue.
    pub const fn strips_by_queue(self) -> bool {
        !matches!(self, Family::I82576 | Family::I82580)
    }

    /// Whether a register of [`LATER`](super::regs::later::LATER) is one of its.
    pub fn has(self, register: &RegMeta) -> bool {
        match register.name {
            "EEMNGCTL_I21X" | "INVM_DATA" => self.is_i21x(),
            "RAL_24" | "RAH_24" => self.receive_addresses() >= 32,
            "DVMOLR" => self.strips_by_queue(),
            "TQAVCTRL" => self == Family::I210,
            _ => self.is_later(),
        }
    }

    /// I210 and I211: no serial EEPROM.
    pub const fn is_i21x(self) -> bool {
        matches!(self, Family::I210 | Family::I211)
    }
}

/// What carries the link, as far as the device id tells. CTRL_EXT.LINK_MODE, which the NVM loads,
/// has the last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// 10/100/1000BASE-T: the PHY negotiates.
    Copper,
    /// 1000BASE-SX or LX, or an SFP cage: the on-chip PCS negotiates.
    Fiber,
    /// 1000BASE-BX or KX over a backplane.
    Serdes,
    /// An external PHY behind SGMII.
    Sgmii,
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

use Family::{I210, I211, I350, I354, I82576, I82580};
use Media::{Copper, Fiber, Serdes, Sgmii};

/// Physical functions only; the 82575 is another programming model.
pub const CHIPS: &[Chip] = &[
    chip(0x10C9, "82576", I82576, Copper),
    chip(0x10E6, "82576 fiber", I82576, Fiber),
    chip(0x10E7, "82576 SerDes", I82576, Serdes),
    chip(0x10E8, "82576 quad", I82576, Copper),
    chip(0x1526, "82576 quad (ET2)", I82576, Copper),
    chip(0x150A, "82576NS", I82576, Copper),
    chip(0x1518, "82576NS SerDes", I82576, Serdes),
    chip(0x150D, "82576 quad SerDes", I82576, Serdes),
    chip(0x150E, "82580", I82580, Copper),
    chip(0x150F, "82580 fiber", I82580, Fiber),
    chip(0x1510, "82580 SerDes", I82580, Serdes),
    chip(0x1511, "82580 SGMII", I82580, Sgmii),
    chip(0x1516, "82580 dual", I82580, Copper),
    chip(0x1527, "82580 quad fiber", I82580, Fiber),
    chip(0x0438, "DH89xxCC SGMII", I82580, Sgmii),
    chip(0x043A, "DH89xxCC SerDes", I82580, Serdes),
    chip(0x043C, "DH89xxCC backplane", I82580, Serdes),
    chip(0x0440, "DH89xxCC SFP", I82580, Fiber),
    chip(0x1521, "I350", I350, Copper),
    chip(0x1522, "I350 fiber", I350, Fiber),
    chip(0x1523, "I350 SerDes", I350, Serdes),
    chip(0x1524, "I350 SGMII", I350, Sgmii),
    chip(0x1546, "I350 DA4", I350, Serdes),
    chip(0x1F40, "I354 1 Gb/s backplane", I354, Serdes),
    chip(0x1F41, "I354 SGMII", I354, Sgmii),
    chip(0x1F45, "I354 2.5 Gb/s backplane", I354, Serdes),
    chip(0x1533, "I210", I210, Copper),
    chip(0x1534, "I210 (OEM)", I210, Copper),
    chip(0x1535, "I210-IT", I210, Copper),
    chip(0x1536, "I210 fiber", I210, Fiber),
    chip(0x1537, "I210 SerDes", I210, Serdes),
    chip(0x1538, "I210 SGMII", I210, Sgmii),
    chip(0x157B, "I210 flashless", I210, Copper),
    chip(0x157C, "I210 SerDes flashless", I210, Serdes),
    chip(0x15F6, "I210 SGMII flashless", I210, Sgmii),
    chip(0x1539, "I211", I211, Copper),
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
        assert_eq!(find(VENDOR, 0x10C9).map(|c| c.name), Some("82576"));
        assert_eq!(find(VENDOR, 0x1539).map(|c| c.family.queues()), Some(2));
        assert_eq!(find(VENDOR, 0x15F6).map(|c| c.media), Some(Media::Sgmii));
        assert_eq!(find(0x1234, 0x10C9), None);
        // The 82575, the 82576's and the I350's virtual functions have other programming models.
        for other in [0x10A7, 0x10CA, 0x1520] {
            assert_eq!(find(VENDOR, other), None);
        }
        for (n, c) in CHIPS.iter().enumerate() {
            assert!(CHIPS[n + 1..].iter().all(|o| o.device != c.device), "{:#x}", c.device);
            assert!(
                crate::drivers::ixgbe::ids::find(VENDOR, c.device).is_none(),
                "{:#x}",
                c.device
            );
        }
    }
}
