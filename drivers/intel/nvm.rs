//! What both families' NVM is read by: EERD, with the same bits on both, and receive address 0,
//! where the autoload puts the station address (82599 datasheet 8.2.3.2.2, 8.2.3.7.9; 82576
//! datasheet 8.4.2, 8.10).

use std::time::Duration;

use super::access::check_alive;
use crate::error::{Error, Result};
use crate::mmio::{Bar, Register, wait_until};
use crate::port::MacAddr;

/// EERD: start, done, and where address and data begin.
const START: u32 = 1 << 0;
const DONE: u32 = 1 << 1;
const ADDRESS: u32 = 2;
const DATA: u32 = 16;
/// Until EERD.DONE: microseconds, unless the device is a program that waits for a processor.
const WORD: Duration = Duration::from_millis(100);

/// Reads one word. `Status` is a register that never reads as all ones.
///
/// # Errors
/// [`Error::Timeout`], [`Error::Gone`].
pub(crate) fn word<Eerd: Register, Status: Register, B: Bar>(bar: &B, address: u16) -> Result<u16> {
    Eerd::from_raw(START | u32::from(address) << ADDRESS).write(bar);
    match wait_until::<Eerd, B>(bar, 0, WORD, |r| r.raw() & DONE != 0) {
        Ok(r) => Ok((r.raw() >> DATA) as u16),
        // The last word may be 0xffff and the address all ones: not a vanished device.
        Err(Error::Gone { .. }) => check_alive::<Status, B>(bar).map(|()| u16::MAX),
        Err(e) => Err(e),
    }
}

/// The station address. `valid` are bits of `Rah` without which it counts as none.
///
/// # Errors
/// [`Error::Eeprom`] when it is not one station's address, [`Error::Gone`].
pub(crate) fn mac<Ral: Register, Rah: Register, Status: Register, B: Bar>(
    bar: &B,
    valid: u32,
) -> Result<MacAddr> {
    let (low, high) = (Ral::read(bar).raw(), Rah::read(bar).raw());
    let [a, b, c, d] = low.to_le_bytes();
    let [e, f, ..] = high.to_le_bytes();
    let mac = MacAddr([a, b, c, d, e, f]);
    if mac.is_station() && high & valid == valid {
        return Ok(mac);
    }
    check_alive::<Status, B>(bar)?;
    Err(unusable(bar, format!("it gives {mac} as station address")))
}

/// The NVM's content is of no use.
pub(crate) fn unusable<B: Bar>(bar: &B, why: impl Into<String>) -> Error {
    Error::Eeprom { device: bar.name().to_owned(), why: why.into() }
}
