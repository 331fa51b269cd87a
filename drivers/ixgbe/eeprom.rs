//! What the EEPROM says: the station address, and whether its content is sound (6.2, 6.3.5).

use super::ids::Family;
use super::regs::{EERD, FWSM, RAH, RAL};
use super::wait;
use crate::error::{Error, Result};
use crate::mmio::{Bar, Register, wait_until};
use crate::port::MacAddr;

/// Sum of all words that the checksum covers, itself included.
const CHECKSUM: u16 = 0xBABA;
/// Where the checksum word is; the words in front of it are covered.
const CHECKSUM_WORD: u16 = 0x3F;
/// Pointers to sections that are covered too. Word 0x0F, the firmware's, is not.
const SECTIONS: std::ops::Range<u16> = 0x03..0x0F;
/// EERD addresses 14 bits.
const WORDS: u32 = 0x4000;
/// No section of a sane image is longer, so that a spoilt length costs no minutes.
const LONGEST_SECTION: u16 = 0x400;

/// The station address, which the autoload has put into receive address 0 (8.2.3.7.9).
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
        return Err(Error::Eeprom {
            device: bar.name().to_owned(),
            why: format!("it gives {mac} as station address"),
        });
    }
    Ok(mac)
}

/// Reads one word through EERD (8.2.3.2.2).
fn word<B: Bar>(bar: &B, address: u16) -> Result<u16> {
    EERD::default().with(EERD::START, 1).with(EERD::ADDR, address.into()).write(bar);
    let done = |r: EERD| r.has(EERD::DONE);
    match wait_until::<EERD, B>(bar, 0, wait::EEPROM_WORD, done) {
        Ok(r) => Ok(r.get(EERD::DATA) as u16),
        // The last word may be 0xffff and the address all ones: not a vanished device.
        Err(Error::Gone { .. }) => wait::check_alive(bar).map(|()| u16::MAX),
        Err(e) => Err(e),
    }
}

/// Refuses an 82599 whose EEPROM content does not add up. X540 and X550 keep theirs in a shadow
/// RAM that firmware has checked.
///
/// # Errors
/// [`Error::Eeprom`], [`Error::Timeout`], [`Error::Gone`].
pub(super) fn verify<B: Bar>(bar: &B, family: Family) -> Result<()> {
    if family != Family::I82599 {
        return Ok(());
    }
    let fwsm = FWSM::read(bar);
    if fwsm.has(FWSM::EXT_ERR_IND) {
        tracing::warn!(
            device = bar.name(),
            code = fwsm.get(FWSM::EXT_ERR_IND),
            "firmware reports an EEPROM error"
        );
    }
    let mut sum = 0u16;
    for at in 0..=CHECKSUM_WORD {
        sum = sum.wrapping_add(word(bar, at)?);
    }
    for pointer in SECTIONS {
        let section = word(bar, pointer)?;
        if matches!(section, 0 | 0xffff) {
            continue;
        }
        let length = word(bar, section)?;
        if matches!(length, 0 | 0xffff) {
            continue;
        }
        if length > LONGEST_SECTION || u32::from(section) + u32::from(length) >= WORDS {
            return Err(bad(bar, format!("section {pointer:#04x} claims {length} words")));
        }
        for at in section + 1..=section + length {
            sum = sum.wrapping_add(word(bar, at)?);
        }
    }
    if sum != CHECKSUM {
        return Err(bad(bar, format!("its words add up to {sum:#06x} instead of {CHECKSUM:#06x}")));
    }
    Ok(())
}

fn bad<B: Bar>(bar: &B, why: String) -> Error {
    Error::Eeprom { device: bar.name().to_owned(), why }
}
