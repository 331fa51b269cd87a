//! The 82576's register table, by chapter of the datasheet's section 8.
//!
//! One line a register: the driver programs through these types, the register dump and the
//! software NIC's register file read [`table`]. Reset values are those after a software reset;
//! bits that the NVM loads have a typical adapter's value. 82580 to I211 keep the addresses; what
//! they have besides is in [`later`].

mod general;
mod irq;
pub mod later;
mod link;
mod rx;
mod stats;
mod tx;

#[cfg(test)]
mod golden;

pub use general::*;
pub use irq::*;
pub use link::*;
pub use rx::*;
pub use stats::*;
pub use tx::*;

use crate::mmio::{Access, RegMeta};

/// Bytes of BAR 0 that hold registers.
pub const BAR_LEN: u32 = 0x2_0000;

/// Receive and transmit queues of the largest chip, the 82576, and of the register blocks.
pub const QUEUES: u32 = 16;

/// The whole table.
pub fn table() -> impl Iterator<Item = &'static RegMeta> {
    [GENERAL, IRQ, LINK, RX, TX, STATS].into_iter().flatten()
}

/// Registers that are the same storage as another one: alias, what it stands for. Element `n` of
/// the alias is element `n` of the other.
pub const ALIASES: &[(&str, &str)] = &[
    ("CTRL_ALIAS", "CTRL"),
    ("ICR_ALIAS", "ICR"),
    ("ICS_ALIAS", "ICS"),
    ("IMS_ALIAS", "IMS"),
    ("IMC_ALIAS", "IMC"),
    ("IAM_ALIAS", "IAM"),
    ("FCRTL_ALIAS", "FCRTL"),
    ("MTA_ALIAS", "MTA"),
    ("RAL_ALIAS", "RAL"),
    ("RAH_ALIAS", "RAH"),
    ("VFTA_ALIAS", "VFTA"),
    ("RDBAL_ALIAS", "RDBAL"),
    ("RDBAH_ALIAS", "RDBAH"),
    ("RDLEN_ALIAS", "RDLEN"),
    ("SRRCTL_ALIAS", "SRRCTL"),
    ("RDH_ALIAS", "RDH"),
    ("RXCTL_ALIAS", "RXCTL"),
    ("RDT_ALIAS", "RDT"),
    ("RXDCTL_ALIAS", "RXDCTL"),
    ("RQDPC_ALIAS", "RQDPC"),
    ("TDBAL_ALIAS", "TDBAL"),
    ("TDBAH_ALIAS", "TDBAH"),
    ("TDLEN_ALIAS", "TDLEN"),
    ("TDH_ALIAS", "TDH"),
    ("TXCTL_ALIAS", "TXCTL"),
    ("TDT_ALIAS", "TDT"),
    ("TXDCTL_ALIAS", "TXDCTL"),
    ("TDWBAL_ALIAS", "TDWBAL"),
    ("TDWBAH_ALIAS", "TDWBAH"),
];

/// Whether reading a register changes nothing in the device.
///
/// Besides everything that clears on read: ICR and EICR clear depending on GPIE and the mask, SWSM
/// takes the semaphore, and aliases only repeat what is dumped already.
pub fn safe_to_read(register: &RegMeta) -> bool {
    !matches!(register.access, Access::Wo | Access::Rc)
        && !matches!(register.name, "ICR" | "EICR" | "SWSM")
        && !ALIASES.iter().any(|(alias, _)| *alias == register.name)
}
