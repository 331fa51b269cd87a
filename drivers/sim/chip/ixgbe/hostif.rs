//! The host interface: commands to the firmware in FLEX_MNG, HICR tells of them (X540 datasheet,
//! host interface; the commands as Intel's public drivers send them).

use std::time::Duration;

use super::Variant;
use crate::drivers::ixgbe::regs::{RXCTRL, x550::FLEX_MNG, x550::HICR};
use crate::drivers::sim::device::{Device, Slow};
use crate::drivers::sim::later::{Effect, Takes};
use crate::drivers::sim::regs::RegFile;
use crate::mmio::Register;

/// The first byte of a command.
const PHY_TOKEN: u8 = 0x0A;
const READ_SHADOW_RAM: u8 = 0x31;
const WRITE_SHADOW_RAM: u8 = 0x33;
const DUMP_SHADOW_RAM: u8 = 0x36;
const DRIVER_INFO: u8 = 0xDD;
const DISABLE_RECEIVE: u8 = 0xDE;

/// Status in an answer.
const SUCCESS: u8 = 1;
const BAD_CHECKSUM: u8 = 2;
const BAD_ADDRESS: u8 = 3;

/// Shadow RAM commands: where in the memory the word to write is, and the words that were read.
const DATA: u32 = 3;

/// How long the firmware is at a command.
const COMMAND: Takes = Takes { time: Duration::from_micros(100), reads: 2 };

/// HICR: C starts a command.
pub(super) fn write_hicr(variant: Variant, d: &Device, slow: &mut Slow, value: u32) {
    let at = HICR::META.offset;
    if value & HICR::C.mask() == 0 || d.regs.get::<HICR>(0).has(HICR::C) {
        return;
    }
    d.regs.change(at, HICR::SV.mask(), HICR::C.mask());
    let known = answer(variant, d, slow);
    let valid = if known { HICR::SV.mask() } else { 0 };
    d.after(slow, COMMAND, at, HICR::C.mask(), valid, Effect::None);
}

/// Byte `n` of the memory.
fn byte(regs: &RegFile, n: u32) -> u8 {
    (regs.get::<FLEX_MNG>(n / 4).raw() >> (n % 4 * 8)) as u8
}

/// Does what the command says and puts the answer in its place. False: the firmware knows no such
/// command.
fn answer(variant: Variant, d: &Device, slow: &mut Slow) -> bool {
    let regs = &d.regs;
    let command = byte(regs, 0);
    let (length, status) = match command {
        DRIVER_INFO => {
            // Header and what it announces sum to zero.
            let bytes = 0..4 + u32::from(byte(regs, 1));
            let sum = bytes.fold(0u8, |sum, n| sum.wrapping_add(byte(regs, n)));
            (0, if sum == 0 { SUCCESS } else { BAD_CHECKSUM })
        }
        _ if variant != Variant::X550 => return false,
        READ_SHADOW_RAM => read_words(regs, slow),
        WRITE_SHADOW_RAM => {
            let (address, _) = operands(regs);
            let word = regs.get::<FLEX_MNG>(DATA).raw() as u16;
            (0, if slow.eeprom.set_word(address, word) { SUCCESS } else { BAD_ADDRESS })
        }
        // A dump is done when it is asked for: what is in the shadow RAM stays.
        DUMP_SHADOW_RAM | PHY_TOKEN => (0, SUCCESS),
        DISABLE_RECEIVE => {
            let _engine = d.engine();
            regs.change(RXCTRL::META.offset, RXCTRL::RXEN.mask(), 0);
            d.changed();
            (0, SUCCESS)
        }
        _ => return false,
    };
    // Command, low byte of the length, its high bits and the status, checksum.
    let [low, high] = u16::to_le_bytes(length);
    let header = [command, low, high << 5 | status];
    let sum = header.iter().fold(0u8, |left, b| left.wrapping_sub(*b));
    let [a, b, c] = header;
    regs.set(0, FLEX_MNG(u32::from_le_bytes([a, b, c, sum])));
    true
}

/// Of a shadow RAM command: the word's address and how many words. Both are sent as bytes, the
/// high one first.
fn operands(regs: &RegFile) -> (u32, u32) {
    let bytes = regs.get::<FLEX_MNG>(1).raw().swap_bytes();
    let length = (regs.get::<FLEX_MNG>(2).raw() as u16).swap_bytes();
    (bytes / 2, u32::from(length).div_ceil(2))
}

/// Two words an element, the first in the low half.
fn read_words(regs: &RegFile, slow: &Slow) -> (u16, u8) {
    let (address, words) = operands(regs);
    let words = words.min((FLEX_MNG::META.count - DATA) * 2);
    for n in (0..words).step_by(2) {
        let [low, high] = [n, n + 1].map(|n| match address.checked_add(n) {
            Some(at) if n < words => slow.eeprom.word(at),
            _ => 0,
        });
        regs.set(DATA + n / 2, FLEX_MNG(u32::from(high) << 16 | u32::from(low)));
    }
    ((words * 2) as u16, SUCCESS)
}
