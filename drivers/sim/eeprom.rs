//! The EEPROM: 16-bit words with a checksum, read through EERD (82599 datasheet 6, 8.2.3.2.2).

use crate::port::MacAddr;

/// Words 0x00 to 0x3F and everything the section pointers reach sum to this (datasheet 6.3.5.5).
const CHECKSUM: u16 = 0xBABA;
/// Where the checksum's own word is.
const CHECKSUM_WORD: usize = 0x3F;

/// The pointers to sections that the checksum covers: words 0x03 to 0x0E (analog, PCIe, link,
/// core, MAC and CSR sections; datasheet 6.2).
const POINTERS: std::ops::RangeInclusive<usize> = 0x03..=0x0E;
/// Link configuration words of LAN 0 and LAN 1: pointers to sections whose first word is their
/// length.
const CORE0: u16 = 0x100;
const MAC0: u16 = 0x180;
const LINK0: u16 = 0x1c0;

/// One NIC's EEPROM.
#[derive(Debug, Clone)]
pub(super) struct Eeprom {
    words: Vec<u16>,
}

impl Eeprom {
    /// The EEPROM of an adapter with one port used, whose address is `mac`.
    pub(super) fn new(mac: MacAddr) -> Self {
        let mut words = vec![0xffffu16; 0x400];
        words[..=CHECKSUM_WORD].fill(0);
        // EEPROM control words 1 to 3: signature 01b at 15:14 of word 0, and size.
        words[0x00] = 0x4500;
        words[0x01] = 0x0010;
        words[0x38] = 0x0003;
        for pointer in POINTERS {
            words[pointer] = 0xffff;
        }
        // Device capabilities: any SFP module will do.
        words[0x2c] = 0x0001;
        // Version of the image, and where to find the tracking id.
        words[0x29] = 0x0080;
        words[0x2d] = 0x8000;
        words[0x2e] = 0x0210;
        for (pointer, section, content) in [
            // LAN core 0: the MAC address is the first three words behind the length.
            (0x09, CORE0, mac_words(mac).to_vec()),
            (0x0B, MAC0, vec![0x6004, 0xc09c, 0x000a, 0x8004]),
            (0x04, LINK0, vec![0; 6]),
        ] {
            words[pointer] = section;
            let at = usize::from(section);
            words[at] = content.len() as u16;
            words[at + 1..at + 1 + content.len()].copy_from_slice(&content);
        }
        let mut eeprom = Self { words };
        let rest = eeprom.sum();
        eeprom.words[CHECKSUM_WORD] = CHECKSUM.wrapping_sub(rest);
        eeprom
    }

    /// Sum of everything that the checksum covers but the checksum itself.
    fn sum(&self) -> u16 {
        let word = |at: usize| self.words.get(at).copied().unwrap_or(0xffff);
        let base = (0..CHECKSUM_WORD).fold(0u16, |s, at| s.wrapping_add(word(at)));
        POINTERS.fold(base, |sum, pointer| {
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

    /// Spoils one bit, for tests of drivers that check.
    pub(super) fn corrupt(&mut self, address: u32) {
        if let Some(word) = self.words.get_mut(address as usize) {
            *word ^= 0x0100;
        }
    }

    /// The MAC address that autoload puts into receive address 0.
    pub(super) fn mac(&self) -> MacAddr {
        let at = u32::from(self.word(0x09)) + 1;
        let [a, b, c] = [at, at + 1, at + 2].map(|at| self.word(at).to_le_bytes());
        MacAddr([a[0], a[1], b[0], b[1], c[0], c[1]])
    }
}

/// A MAC address in the order the EEPROM keeps it: low byte first.
fn mac_words(mac: MacAddr) -> [u16; 3] {
    let [a, b, c, d, e, f] = mac.0;
    [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]), u16::from_le_bytes([e, f])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_and_address() {
        let mac = MacAddr([2, 0x1b, 0x21, 0xaa, 0xbb, 0xcc]);
        let mut e = Eeprom::new(mac);
        assert_eq!(e.mac(), mac);
        assert_eq!(e.sum().wrapping_add(e.word(0x3f)), 0xBABA);
        e.corrupt(0x101);
        assert_ne!(e.sum().wrapping_add(e.word(0x3f)), 0xBABA);
        assert_eq!(e.word(0x4000), 0xffff);
    }
}
