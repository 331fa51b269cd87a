//! The NVM: reading it, checking it, and the station address (3.3, 6.2, 8.4, 8.10).

use super::ids::Family;
use super::regs::{EECD, EERD, RAH, RAL};
use super::sync::Held;
use super::wait;
use crate::error::{Error, Result};
use crate::mmio::{Bar, Register, wait_until};
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

/// The station address, which the autoload has put into receive address 0 (8.10).
///
/// # Errors
/// [`Error::Eeprom`] when it is not one station's address.
pub(super) fn mac<B: Bar>(bar: &B) -> Result<MacAddr> {
    let (low, high) = (RAL::read(bar), RAH::read(bar));
    let [a, b, c, d] = low.raw().to_le_bytes();
    let [e, f, ..] = high.raw().to_le_bytes();
    let mac = MacAddr([a, b, c, d, e, f]);
    if !mac.is_station() || !high.has(RAH::AV) {
        wait::check_alive(bar)?;
        return Err(bad(bar, format!("it gives {mac} as station address")));
    }
    Ok(mac)
}

/// Reads one word through EERD (8.4.2).
fn word<B: Bar>(bar: &B, address: u16) -> Result<u16> {
    EERD::default().with(EERD::START, 1).with(EERD::ADDR, address.into()).write(bar);
    let done = |r: EERD| r.has(EERD::DONE);
    match wait_until::<EERD, B>(bar, 0, wait::NVM_WORD, done) {
        Ok(r) => Ok(r.get(EERD::DATA) as u16),
        // The last word may be 0xffff and the address all ones: not a vanished device.
        Err(Error::Gone { .. }) => wait::check_alive(bar).map(|()| u16::MAX),
        Err(e) => Err(e),
    }
}

/// Whether an 82576 board wants a SerDes link without negotiation.
///
/// # Errors
/// [`Error::Timeout`], [`Error::Gone`].
pub(super) fn forbids_pcs_negotiation<B: Bar>(bar: &B) -> Result<bool> {
    let _ours = Held::nvm(bar)?;
    Ok(word(bar, COMPATIBILITY)? & NO_PCS_NEGOTIATION != 0)
}

/// Refuses a controller whose NVM content does not add up.
///
/// I210 and I211 without flash live on fuses, which have no checksum: nothing is refused then.
///
/// # Errors
/// [`Error::Eeprom`], [`Error::Timeout`], [`Error::Gone`].
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
            return Err(bad(
                bar,
                format!("words of port {port} add up to {sum:#06x} instead of {CHECKSUM:#06x}"),
            ));
        }
    }
    Ok(())
}

fn bad<B: Bar>(bar: &B, why: String) -> Error {
    Error::Eeprom { device: bar.name().to_owned(), why }
}
