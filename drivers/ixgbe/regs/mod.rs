//! The 82599's register table, by chapter of the datasheet's section 8.2.3.
//!
//! One line a register: the driver programs through these types, the register dump and the
//! software NIC's register file read [`table`]. Reset values are those after a software reset;
//! bits that the EEPROM loads have a typical adapter's value.

mod general;
mod mac;
mod rx;
mod stats;
mod tx;
pub mod x550;

#[cfg(test)]
mod golden;

pub use general::*;
pub use mac::*;
pub use rx::*;
pub use stats::*;
pub use tx::*;

use crate::mmio::{Access, RegMeta};

/// Bytes of BAR 0 that hold registers.
pub const BAR_LEN: u32 = 0x2_0000;

/// Receive queues of the chip.
pub const RX_QUEUES: u32 = 128;

/// Transmit queues of the chip.
pub const TX_QUEUES: u32 = 128;

/// The whole table.
pub fn table() -> impl Iterator<Item = &'static RegMeta> {
    [GENERAL, MAC, RX, TX, STATS].into_iter().flatten()
}

/// Registers that are the same storage as another one: alias, what it stands for. Element `n` of
/// the alias is element `n` of the other.
pub const ALIASES: &[(&str, &str)] = &[
    ("PSRTYPE_ALIAS", "PSRTYPE"),
    ("RAL_ALIAS", "RAL"),
    ("RAH_ALIAS", "RAH"),
    ("MRQC_ALIAS", "MRQC"),
    ("RSSRK_ALIAS", "RSSRK"),
    ("RETA_ALIAS", "RETA"),
    ("SRRCTL_ALIAS", "SRRCTL"),
    ("DCA_RXCTRL_ALIAS", "DCA_RXCTRL"),
    ("QPTC_ALIAS", "QPTC"),
];

/// Byte offset of a receive queue's register, from the table's entry for queues 0 to 63: queues
/// 64 to 127 live in a second block (8.2.3.8). Outside every BAR for a queue that is not there.
#[inline]
pub const fn rx_reg(register: &RegMeta, queue: u32) -> u32 {
    if queue < 64 {
        register.offset_of(queue)
    } else if queue < RX_QUEUES && register.stride == 0x40 && register.count == 64 {
        register.offset - 0x1000 + 0xD000 + (queue - 64) * 0x40
    } else {
        !3
    }
}

/// Whether reading a register changes nothing in the device.
///
/// Besides everything that clears on read: EICR clears depending on GPIE, SWSM takes the
/// semaphore, and aliases only repeat what is dumped already.
pub fn safe_to_read(register: &RegMeta) -> bool {
    !matches!(register.access, Access::Wo | Access::Rc)
        && !matches!(register.name, "EICR" | "SWSM" | "FECS1" | "FECS2")
        && !ALIASES.iter().any(|(alias, _)| *alias == register.name)
}
