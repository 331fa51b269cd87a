//! The flash of X540 and X550 and its shadow RAM, which is what software reads and writes; the
//! chip copies it to the flash when it is told to (82599 datasheet 6 for the words that are the
//! same; Intel's public drivers for what the checksum covers and how the flash is updated).

use std::time::Duration;

use super::Variant;
use crate::drivers::ixgbe::regs::EEC;
use crate::drivers::sim::device::{Device, Slow};
use crate::drivers::sim::eeprom::{Eeprom, mac_words};
use crate::drivers::sim::later::{Effect, Takes};
use crate::mmio::Register;
use crate::port::MacAddr;

/// Words of the shadow RAM.
const WORDS: usize = 0x1000;

/// EEC: copy to the flash; the copy is done.
const FLUP: u32 = 1 << 23;
const FLUDONE: u32 = 1 << 26;
/// Some sectors are erased and written.
const UPDATE: Takes = Takes { time: Duration::from_millis(2), reads: 4 };

/// The checksum's own word, and the sum.
const CHECKSUM_WORD: usize = 0x3F;
const CHECKSUM: u16 = 0xBABA;
/// The word behind the last pointer that the checksum follows; it leaves out the PHY's and the
/// option ROM's, and the firmware's, which is that word.
const FIRMWARE_POINTER: usize = 0x0F;
const UNCHECKED: [usize; 2] = [0x04, 0x05];

/// Where sections are. The MAC address is the first three words of core 0's.
const PCIE_ANALOG: u16 = 0x080;
const PHY: u16 = 0x090;
const PCIE_GENERAL: u16 = 0x0A0;
const PCIE_CONFIG: u16 = 0x0D0;
const CORE: u16 = 0x100;
const MAC: u16 = 0x180;
const CSR: u16 = 0x1C0;
const PART: u16 = 0x200;

/// Words that the checksum covers in front of the sections.
const fn covered(variant: Variant) -> usize {
    if matches!(variant, Variant::X550) { 0x42 } else { CHECKSUM_WORD }
}

/// The words of the section behind a pointer that the checksum covers. Most begin with their
/// length; some of an X550's have one and the same length and no word for it.
fn section(variant: Variant, words: &[u16], pointer: usize) -> std::ops::Range<usize> {
    let at = usize::from(words[pointer]);
    match (variant, pointer) {
        (Variant::X550, 0x06) => at..at + 0x24,
        (Variant::X550, 0x07 | 0x08) => at..at + 0x08,
        _ => at + 1..at + 1 + usize::from(words[at]),
    }
}

/// The content for an adapter whose first port has the address `mac`.
pub(super) fn image(variant: Variant, mac: MacAddr) -> Eeprom {
    let mut words = vec![0xffffu16; WORDS];
    words[..0x42].fill(0);
    // Control words 1 to 3.
    words[0x00] = 0x4500;
    words[0x01] = 0x0010;
    words[0x38] = 0x0003;
    let analog = if variant == Variant::X550 { 0x02 } else { 0x03 };
    words[analog..=FIRMWARE_POINTER].fill(0xffff);
    let mut put = |pointer: usize, at: u16, content: &[u16]| {
        words[pointer] = at;
        let headless = variant == Variant::X550 && (0x06..=0x08).contains(&pointer);
        let from = usize::from(at) + usize::from(!headless);
        if !headless {
            words[usize::from(at)] = content.len() as u16;
        }
        words[from..from + content.len()].copy_from_slice(content);
    };
    put(analog, PCIE_ANALOG, &[0x0014, 0x0021, 0x0104]);
    put(0x04, PHY, &[0x0001, 0x0002]);
    put(0x06, PCIE_GENERAL, &[0x0a00; 0x24]);
    let config = [variant.pci_id(), 0x0d03, 0x8086, 0x0003, 0, 0, 0, 0];
    put(0x07, PCIE_CONFIG, &config);
    put(0x09, CORE, &mac_words(mac));
    put(0x0B, MAC, &[0x6004, 0xc09c, 0x000a, 0x8004]);
    put(0x0D, CSR, &[0x0020, 0x2800]);
    // The part number is text in a section whose length counts itself.
    (words[0x15], words[0x16]) = (0xfafa, PART);
    let text = match variant {
        Variant::X550 => b"BW0550-001",
        _ => b"BW0540-001",
    };
    words[usize::from(PART)] = 1 + text.len() as u16 / 2;
    for (word, two) in words[usize::from(PART) + 1..].iter_mut().zip(text.chunks_exact(2)) {
        *word = u16::from_be_bytes([two[0], two[1]]);
    }
    // No storage addresses.
    (words[0x27], words[0x28]) = (0xffff, 0xffff);
    // Version of the image, and its tracking number.
    words[0x29] = 0x0080;
    (words[0x2d], words[0x2e]) = (0x8000, 0x0540);
    // Device capabilities: no FCoE, no wake-up.
    words[0x2c] = 0x0002;
    words[CHECKSUM_WORD] = checksum(variant, &words);
    Eeprom::holding(words, CORE + 1)
}

/// What the checksum word has to be.
fn checksum(variant: Variant, words: &[u16]) -> u16 {
    let base = (0..covered(variant)).filter(|at| *at != CHECKSUM_WORD);
    let first = if variant == Variant::X550 { 0x02 } else { 0x03 };
    let pointers = (first..FIRMWARE_POINTER)
        .filter(|p| !UNCHECKED.contains(p) && !matches!(words[*p], 0 | 0xffff));
    let all = base.chain(pointers.flat_map(|p| section(variant, words, p)));
    all.fold(CHECKSUM, |left, at| left.wrapping_sub(words[at]))
}

/// After a reset: nothing is being copied.
pub(super) fn reset(d: &Device) {
    d.regs.change(EEC::META.offset, 0, FLUDONE);
}

/// EEC: FLUP copies the shadow RAM.
pub(super) fn write_eec(d: &Device, slow: &mut Slow, value: u32) {
    let at = EEC::META.offset;
    d.write_eeprom_control(at, value);
    if value & FLUP != 0 {
        d.regs.change(at, FLUDONE, FLUP);
        d.after(slow, UPDATE, at, FLUP, FLUDONE, Effect::None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: MacAddr = MacAddr([2, 0x1b, 0x21, 0xaa, 0xbb, 0xcc]);

    /// An X540's: words 0 to 0x3F, and what pointers 3 and 6 to 0xE lead to.
    #[test]
    fn an_x540s_words_add_up() {
        let e = image(Variant::X540, ADDRESS);
        let mut sum = (0..=0x3f).fold(0u16, |s, at| s.wrapping_add(e.word(at)));
        let mut sections = 0;
        for pointer in [3, 6, 7, 8, 9, 0xa, 0xb, 0xc, 0xd, 0xe] {
            let at = u32::from(e.word(pointer));
            if at != 0xffff {
                let length = u32::from(e.word(at));
                assert!((1..0x80).contains(&length));
                sum = (at + 1..=at + length).fold(sum, |s, at| s.wrapping_add(e.word(at)));
                sections += 1;
            }
        }
        assert_eq!((sum, sections), (0xbaba, 6));
        assert_eq!(e.mac(), ADDRESS);
    }

    /// An X550's: words 0 to 0x41, and some sections have no word for their length.
    #[test]
    fn an_x550s_words_add_up() {
        let e = image(Variant::X550, ADDRESS);
        let mut sum = (0..=0x41).fold(0u16, |s, at| s.wrapping_add(e.word(at)));
        for pointer in [2, 3, 6, 7, 8, 9, 0xa, 0xb, 0xc, 0xd, 0xe] {
            let at = u32::from(e.word(pointer));
            if at == 0xffff {
                continue;
            }
            let words = match pointer {
                6 => at..at + 0x24,
                7 | 8 => at..at + 8,
                _ => at + 1..at + 1 + u32::from(e.word(at)),
            };
            sum = words.fold(sum, |s, at| s.wrapping_add(e.word(at)));
        }
        assert_eq!(sum, 0xbaba);
        assert_eq!(e.mac(), ADDRESS);
    }

    #[test]
    fn the_part_number_is_text() {
        let e = image(Variant::X550, ADDRESS);
        let at = u32::from(e.word(0x16));
        let text: Vec<u8> = (1..6).flat_map(|n| e.word(at + n).to_be_bytes()).collect();
        assert_eq!((e.word(0x15), e.word(at), &text[..]), (0xfafa, 6, &b"BW0550-001"[..]));
    }
}
