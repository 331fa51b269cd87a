//! The EEPROM: 16-bit words with a checksum, read through EERD (82599 datasheet 6, 8.2.3.2.2;
//! 82576 datasheet 6, 8.4.2).

use std::ops::Range;

use crate::port::MacAddr;

mod spi;

pub(super) use spi::{Pins, Spi};

/// Words 0x00 to 0x3F and everything the section pointers reach sum to this (82599 datasheet
/// 6.3.5.5, 82576 datasheet 6.6).
const CHECKSUM: u16 = 0xBABA;
/// Where the checksum's own word is.
const CHECKSUM_WORD: usize = 0x3F;

/// One NIC's EEPROM.
#[derive(Debug, Clone)]
pub(super) struct Eeprom {
    words: Vec<u16>,
    /// Where the MAC address is.
    mac: u16,
}

impl Eeprom {
    /// `words`, with the checksum put right; it covers the sections behind `pointers`, too.
    pub(super) fn new(words: Vec<u16>, mac: u16, pointers: Range<usize>) -> Self {
        let mut eeprom = Self { words, mac };
        let rest = eeprom.sum(pointers);
        if let Some(word) = eeprom.words.get_mut(CHECKSUM_WORD) {
            *word = CHECKSUM.wrapping_sub(rest);
        }
        eeprom
    }

    /// `words` as they are.
    pub(super) fn holding(words: Vec<u16>, mac: u16) -> Self {
        Self { words, mac }
    }

    /// Puts the checksum of a section of its own right: its last word.
    pub(super) fn put_checksum(section: &mut [u16]) {
        if let Some((last, rest)) = section.split_last_mut() {
            *last = rest.iter().fold(CHECKSUM, |left, word| left.wrapping_sub(*word));
        }
    }

    /// Sum of everything that the checksum covers but the checksum itself.
    fn sum(&self, pointers: Range<usize>) -> u16 {
        let word = |at: usize| self.words.get(at).copied().unwrap_or(0xffff);
        let base = (0..CHECKSUM_WORD).fold(0u16, |s, at| s.wrapping_add(word(at)));
        pointers.fold(base, |sum, pointer| {
            let section = usize::from(word(pointer));
            let length = usize::from(word(section));
            if matches!(section, 0 | 0xffff) || matches!(length, 0 | 0xffff) {
                return sum;
            }
            // The checksum starts behind a section's length word.
            (section + 1..=section + length).fold(sum, |s, at| s.wrapping_add(word(at)))
        })
    }

    /// One word; all ones where there is none.
    pub(super) fn word(&self, address: u32) -> u16 {
        self.words.get(address as usize).copied().unwrap_or(0xffff)
    }

    /// How many words there are, as EEC.SIZE has it: 64 times two to the power of this.
    pub(super) fn size_code(&self) -> u32 {
        (self.words.len() / 64).max(1).ilog2().min(15)
    }

    /// Spoils one bit, for tests of drivers that check.
    pub(super) fn corrupt(&mut self, address: u32) {
        if let Some(word) = self.words.get_mut(address as usize) {
            *word ^= 0x0100;
        }
    }

    /// The MAC address that autoload puts into receive address 0.
    pub(super) fn mac(&self) -> MacAddr {
        let at = u32::from(self.mac);
        let [a, b, c] = [at, at + 1, at + 2].map(|at| self.word(at).to_le_bytes());
        MacAddr([a[0], a[1], b[0], b[1], c[0], c[1]])
    }
}

/// A MAC address in the order the EEPROM keeps it: low byte first.
pub(super) fn mac_words(mac: MacAddr) -> [u16; 3] {
    let [a, b, c, d, e, f] = mac.0;
    [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]), u16::from_le_bytes([e, f])]
}

#[cfg(test)]
mod tests {
    use super::super::chip::{Chip, I82599};
    use super::*;

    #[test]
    fn checksum_and_address() {
        let mac = MacAddr([2, 0x1b, 0x21, 0xaa, 0xbb, 0xcc]);
        let mut e = I82599.eeprom(mac);
        let pointers = 0x03..0x0F;
        assert_eq!(e.mac(), mac);
        assert_eq!(e.sum(pointers.clone()).wrapping_add(e.word(0x3f)), 0xBABA);
        e.corrupt(0x101);
        assert_ne!(e.sum(pointers).wrapping_add(e.word(0x3f)), 0xBABA);
        assert_eq!(e.word(0x4000), 0xffff);
    }
}
