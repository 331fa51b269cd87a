//! What the EEPROM says: the station address, and whether its content is sound (6.2, 6.3.5).

use super::ids::Family;
use super::regs::{EERD, FWSM, RAH_ALIAS, RAL_ALIAS, STATUS};
use crate::drivers::intel::nvm::{self, unusable};
use crate::error::Result;
use crate::mmio::{Bar, Register};
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

/// The station address (8.2.3.7.9), from the place of the first 16 entries that every driver uses:
/// what stands in for a device may have no other. Nor is AV asked for; it is set with the address
/// when that is programmed.
///
/// A sound EEPROM that has none at all is no reason to refuse: then an address is made up, always
/// the same for one device.
///
/// # Errors
/// [`Error::Eeprom`](crate::Error::Eeprom) when it is not one station's address.
pub(super) fn mac<B: Bar>(bar: &B) -> Result<MacAddr> {
    if RAL_ALIAS::read(bar).raw() == 0 && RAH_ALIAS::read(bar).raw() & 0xffff == 0 {
        let mac = made_up(bar.name());
        tracing::warn!(device = bar.name(), "it has no station address; {mac} is made up");
        return Ok(mac);
    }
    nvm::mac::<RAL_ALIAS, RAH_ALIAS, STATUS, B>(bar, 0)
}

/// A locally administered address, from a name (FNV-1a).
fn made_up(name: &str) -> MacAddr {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let [a, b, c, d, e, ..] = hash.to_be_bytes();
    MacAddr([0x02, a, b, c, d, e])
}

/// Reads one word through EERD (8.2.3.2.2).
fn word<B: Bar>(bar: &B, address: u16) -> Result<u16> {
    nvm::word::<EERD, STATUS, B>(bar, address)
}

/// Refuses an 82599 whose EEPROM content does not add up. X540 and X550 keep theirs in a shadow
/// RAM that firmware has checked.
///
/// # Errors
/// [`Error::Eeprom`](crate::Error::Eeprom), [`Error::Timeout`](crate::Error::Timeout), [`Error::Gone`](crate::Error::Gone).
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
            return Err(unusable(bar, format!("section {pointer:#04x} claims {length} words")));
        }
        for at in section + 1..=section + length {
            sum = sum.wrapping_add(word(bar, at)?);
        }
    }
    if sum != CHECKSUM {
        return Err(unusable(
            bar,
            format!("its words add up to {sum:#06x} instead of {CHECKSUM:#06x}"),
        ));
    }
    Ok(())
}
