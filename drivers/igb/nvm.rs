//! The NVM: reading it, checking it, and the station address (3.3, 6.2, 8.4, 8.10).

use super::ids::Family;
use super::regs::{EECD, EERD, RAH, RAL, STATUS};
use super::sync::Held;
use crate::drivers::intel::nvm;
use crate::error::Result;
use crate::mmio::{Bar, Register};
use crate::port::MacAddr;

/// What the covered words of a section must add up to (6.2.31).
const CHECKSUM: u16 = 0xBABA;
/// Words of a section, the last of which is the checksum.
const SECTION: u16 = 0x40;
/// Where each port's section begins (82580 and I350 datasheets, NVM map).
const PORTS: [u16; 4] = [0, 0x80, 0xC0, 0x100];
/// Word 3, bit 15 (82580): ports 1 to 3 have checksums of their own.
const COMPATIBILITY: u16 = 0x03;
const ALL_PORTS: u16 = 1 << 15;
/// Word 3, bit 14 (82576): the PCS is not to negotiate.
const NO_PCS_NEGOTIATION: u16 = 1 << 14;

/// The station address (8.10).
///
/// # Errors
/// [`Error::Eeprom`](crate::Error::Eeprom) when it is not one station's address.
pub(super) fn mac<B: Bar>(bar: &B) -> Result<MacAddr> {
    nvm::mac::<RAL, RAH, STATUS, B>(bar, RAH::AV.mask())
}

/// Reads one word through EERD (8.4.2).
fn word<B: Bar>(bar: &B, address: u16) -> Result<u16> {
    nvm::word::<EERD, STATUS, B>(bar, address)
}

/// Whether an 82576 board wants a SerDes link without negotiation.
///
/// # Errors
/// [`Error::Timeout`](crate::Error::Timeout), [`Error::Gone`](crate::Error::Gone).
pub(super) fn forbids_pcs_negotiation<B: Bar>(bar: &B) -> Result<bool> {
    let _ours = Held::nvm(bar)?;
    Ok(word(bar, COMPATIBILITY)? & NO_PCS_NEGOTIATION != 0)
}

/// Refuses a controller whose NVM content does not add up.
///
/// I210 and I211 without flash live on fuses, which have no checksum: nothing is refused then.
///
/// # Errors
/// [`Error::Eeprom`](crate::Error::Eeprom), [`Error::Timeout`](crate::Error::Timeout), [`Error::Gone`](crate::Error::Gone).
pub(super) fn verify<B: Bar>(bar: &B, family: Family) -> Result<()> {
    if family.is_i21x() && !EECD::read(bar).has(EECD::FLASH_DETECTED) {
        tracing::debug!(device = bar.name(), "no flash: configured from fuses");
        return Ok(());
    }
    let _ours = Held::nvm(bar)?;
    let ports = match family {
        Family::I82576 | Family::I210 | Family::I211 => 1,
        Family::I82580 if word(bar, COMPATIBILITY)? & ALL_PORTS == 0 => 1,
        Family::I82580 | Family::I350 | Family::I354 => PORTS.len(),
    };
    for (port, base) in PORTS.into_iter().enumerate().take(ports) {
        let mut sum = 0u16;
        for at in base..base + SECTION {
            sum = sum.wrapping_add(word(bar, at)?);
        }
        if sum != CHECKSUM {
            return Err(nvm::unusable(
                bar,
                format!("words of port {port} add up to {sum:#06x} instead of {CHECKSUM:#06x}"),
            ));
        }
    }
    Ok(())
}
