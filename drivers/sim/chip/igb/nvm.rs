//! What the EEPROM holds (82576 datasheet 6, I350 datasheet 6).

use super::Variant;
use crate::drivers::sim::eeprom::{Eeprom, mac_words};
use crate::port::MacAddr;

/// Words of the EEPROM.
const SIZE: usize = 0x400;
/// Where the I350 keeps what ports 1 to 3 have of their own, and how long each section is.
const PORTS: [usize; 3] = [0x80, 0xC0, 0x100];
const SECTION: usize = 0x40;
/// Where the part number is.
const PART: u16 = 0x200;

/// The image of an adapter whose first port has the address `mac`: the address comes first, the
/// checksum covers words 0x00 to 0x3F and nothing else.
pub(super) fn image(variant: Variant, mac: MacAddr) -> Eeprom {
    let mut words = vec![0xffffu16; SIZE];
    words[..SECTION].fill(0);
    words[..3].copy_from_slice(&mac_words(mac));
    // Version of the image, initialisation control 1 and 2 (signature 01b at 15:14), ids.
    words[0x05] = 0x1430;
    words[0x0a] = 0x4024;
    words[0x0b] = 0x8086;
    words[0x0c] = 0x8086;
    words[0x0d] = variant.pci_id();
    // With both kinds of pause.
    words[0x0f] = 0x7030;
    // The part number is text in a section whose length counts itself.
    let text = match variant {
        Variant::I82576 => b"BW2576-001",
        Variant::I350 => b"BW0350-001",
    };
    (words[0x08], words[0x09]) = (0xfafa, PART);
    words[usize::from(PART)] = 1 + text.len() as u16 / 2;
    for (word, two) in words[usize::from(PART) + 1..].iter_mut().zip(text.chunks_exact(2)) {
        *word = u16::from_be_bytes([two[0], two[1]]);
    }
    if variant == Variant::I350 {
        for (n, base) in (1u8..).zip(PORTS) {
            let section = &mut words[base..base + SECTION];
            section.fill(0);
            let mut other = mac;
            other.0[5] = other.0[5].wrapping_add(n);
            section[..3].copy_from_slice(&mac_words(other));
            Eeprom::put_checksum(section);
        }
    }
    Eeprom::new(words, 0, 0..0)
}
