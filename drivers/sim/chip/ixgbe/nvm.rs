//! What is in the EEPROM of an adapter with one SFP+ cage (82599 datasheet 6, and the words that
//! Intel's public drivers look at).

use crate::drivers::sim::eeprom::{Eeprom, mac_words};
use crate::port::MacAddr;

/// Words: a part of 128 Kbit.
const WORDS: usize = 0x2000;
/// The pointers to sections that the checksum covers: words 0x03 to 0x0E (analog, PCIe, link,
/// core, MAC and CSR sections; datasheet 6.2). The first word of a section is its length.
const POINTERS: std::ops::Range<usize> = 0x03..0x0F;

/// Where sections are. The MAC address is the first three words of core 0's.
const PCIE_ANALOG: u16 = 0x040;
const CORE_ANALOG: u16 = 0x050;
const PCIE_GENERAL: u16 = 0x060;
const PCIE0: u16 = 0x080;
const CORE0: u16 = 0x100;
const MAC0: u16 = 0x180;
const CSR0: u16 = 0x1c0;
const FIRMWARE: u16 = 0x200;
const SAN_MAC: u16 = 0x280;
const PART_NUMBER: u16 = 0x290;
const MODULES: u16 = 0x300;

/// What modules the list knows, by the numbers that the drivers give them: direct-attach cables
/// and optical ones, each at port 0 and 1.
const MODULE_KINDS: [(u16, u16); 4] = [(3, 0x20), (4, 0x20), (5, 0x40), (6, 0x40)];

/// The part number: ten characters, two a word.
const PART: &[u8; 10] = b"BW8259-001";

/// The content.
pub(super) fn eeprom(mac: MacAddr) -> Eeprom {
    let mut words = vec![0xffff; WORDS];
    words[..0x40].fill(0);
    // EEPROM control words 1 to 3: signature 01b at 15:14 of word 0, and size.
    words[0x00] = 0x4700;
    words[0x01] = 0x0010;
    words[0x38] = 0x0003;
    words[POINTERS].fill(0xffff);
    let mut section = |pointer: usize, at: u16, content: &[u16]| {
        words[pointer] = at;
        words[usize::from(at)] = content.len() as u16;
        put(&mut words, at + 1, content);
    };
    section(0x03, PCIE_ANALOG, &[0x0014, 0x0021, 0x0104]);
    section(0x04, CORE_ANALOG, &[0x0020, 0x0117, 0x0302]);
    section(0x06, PCIE_GENERAL, &[0x0a00, 0x0004, 0x94de, 0x0160]);
    section(0x07, PCIE0, &[0x10fb, 0x0d03, 0x8086, 0x0003]);
    section(0x09, CORE0, &mac_words(mac));
    section(0x0B, MAC0, &[0x6004, 0xc09c, 0x000a, 0x8004]);
    section(0x0D, CSR0, &[0x0020, 0x2800]);
    // Firmware, outside the checksum: no LESM at 2, pass-through patch configuration at 4, whose
    // eighth word is the version that drivers want to be above 0.5.
    words[0x0F] = FIRMWARE;
    put(&mut words, FIRMWARE, &[0x0008, 0xffff, 0xffff, 0xffff, FIRMWARE + 0x10]);
    put(&mut words, FIRMWARE + 0x10, &[0, 0, 0, 0, 0, 0, 0, 0x0009]);
    // The part number is text in a section whose length counts itself.
    (words[0x15], words[0x16]) = (0xfafa, PART_NUMBER);
    words[usize::from(PART_NUMBER)] = 1 + PART.len() as u16 / 2;
    for (n, two) in PART.chunks_exact(2).enumerate() {
        words[usize::from(PART_NUMBER) + 1 + n] = u16::from_be_bytes([two[0], two[1]]);
    }
    // Storage addresses of both ports: this one has its own.
    words[0x28] = SAN_MAC;
    put(&mut words, SAN_MAC, &mac_words(storage(mac)));
    // Version of the image, and its tracking number.
    words[0x29] = 0x0080;
    (words[0x2d], words[0x2e]) = (0x8000, 0x0210);
    // Device capabilities: any module will do, no FCoE.
    words[0x2c] = 0x0003;
    words[0x2b] = MODULES;
    modules(&mut words);
    Eeprom::new(words, CORE0 + 1, POINTERS)
}

/// What is loaded into the analog registers of the core: address and value, a word each.
pub(super) fn analog(eeprom: &Eeprom) -> impl Iterator<Item = u16> {
    let section = u32::from(eeprom.word(0x04));
    let words = match eeprom.word(section) {
        _ if section == 0xffff => 0,
        length => u32::from(length).min(0x100),
    };
    (section + 1..=section + words).map(|at| eeprom.word(at))
}

fn put(words: &mut [u16], at: u16, content: &[u16]) {
    let at = usize::from(at);
    words[at..at + content.len()].copy_from_slice(content);
}

/// The list of modules, and for each kind what is written to CORECTL when it is found: a header
/// word, then address and data until all ones.
fn modules(words: &mut [u16]) {
    for (n, (kind, sequence)) in (0u16..).zip(MODULE_KINDS) {
        put(words, MODULES + 1 + n * 2, &[kind, MODULES + sequence]);
    }
    words[usize::from(MODULES)] = MODULE_KINDS.len() as u16;
    put(words, MODULES + 0x20, &[0x0000, 0x1a00, 0x1b02, 0x2f54, 0x0d01, 0xffff]);
    put(words, MODULES + 0x40, &[0x0000, 0x1a00, 0x1b03, 0x2f30, 0x0d01, 0xffff]);
}

/// A second address of the same adapter.
fn storage(mac: MacAddr) -> MacAddr {
    let [a, b, c, d, e, f] = mac.0;
    MacAddr([a | 2, b, c, d ^ 0x80, e, f])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Eeprom {
        eeprom(MacAddr([2, 0x1b, 0x21, 0xaa, 0xbb, 0xcc]))
    }

    /// As the drivers do it: every section's words, but for those of the firmware's pointer.
    #[test]
    fn the_checksum_adds_up() {
        let e = image();
        let mut sum = (0..=0x3f).fold(0u16, |s, at| s.wrapping_add(e.word(at)));
        for pointer in 0x03..0x0f {
            let at = u32::from(e.word(pointer));
            if at != 0xffff {
                let length = u32::from(e.word(at));
                assert!((1..0x40).contains(&length));
                sum = (at + 1..=at + length).fold(sum, |s, at| s.wrapping_add(e.word(at)));
            }
        }
        assert_eq!(sum, 0xbaba);
    }

    #[test]
    fn no_two_sections_overlap() {
        let e = image();
        let mut used: Vec<_> = (0x03..0x0f)
            .map(|p| u32::from(e.word(p)))
            .filter(|at| *at != 0xffff)
            .map(|at| (at, at + u32::from(e.word(at))))
            .chain([(0x200, 0x217), (0x280, 0x282), (0x290, 0x295), (0x300, 0x345)])
            .collect();
        used.sort_unstable();
        assert!(used[0].0 >= 0x40);
        assert!(used.windows(2).all(|w| w[0].1 < w[1].0), "{used:x?}");
    }

    #[test]
    fn part_number_and_addresses() {
        let e = image();
        assert_eq!(e.word(0x15), 0xfafa);
        let at = u32::from(e.word(0x16));
        assert_eq!(e.word(at), 6);
        let text: Vec<u8> = (1..6).flat_map(|n| e.word(at + n).to_be_bytes()).collect();
        assert_eq!(&text, PART);
        assert_eq!(e.mac().0, [2, 0x1b, 0x21, 0xaa, 0xbb, 0xcc]);
        let san = u32::from(e.word(0x28));
        let bytes: Vec<u8> = (san..san + 3).flat_map(|at| e.word(at).to_le_bytes()).collect();
        assert_eq!(bytes, [2, 0x1b, 0x21, 0x2a, 0xbb, 0xcc]);
    }

    /// Firmware above 0.5, and none that runs the link.
    #[test]
    fn firmware() {
        let e = image();
        let firmware = u32::from(e.word(0x0f));
        assert_eq!(e.word(firmware + 2), 0xffff);
        assert!(e.word(u32::from(e.word(firmware + 4)) + 7) > 5);
    }

    /// Each kind of module leads to a sequence that ends.
    #[test]
    fn sequences_for_modules() {
        let e = image();
        let mut at = u32::from(e.word(0x2b)) + 1;
        let mut kinds = Vec::new();
        while e.word(at) != 0xffff {
            kinds.push(e.word(at));
            let sequence = u32::from(e.word(at + 1));
            let length = (1..50).find(|n| e.word(sequence + n) == 0xffff).unwrap();
            assert!(length > 1);
            at += 2;
        }
        assert_eq!(kinds, [3, 4, 5, 6]);
    }
}
