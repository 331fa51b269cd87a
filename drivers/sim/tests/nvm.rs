//! The EEPROM as software reaches it: word by word, and bit by bit (82599 datasheet 3.3.1,
//! 8.2.3.2; 82576 datasheet 3.3.1, 8.4).

use std::time::Duration;

use super::registers::{asked, nic};
use crate::drivers::igb::regs as igb;
use crate::drivers::ixgbe::regs::{CTRL, EEC, EERD, FLA, RAL};
use crate::drivers::sim::{Model, SimBar};
use crate::mmio::{Bar, Register};

const EEWR: u32 = 0x1_0018;
/// EEC and EECD alike.
const SK: u32 = 1 << 0;
const CS: u32 = 1 << 1;
const DI: u32 = 1 << 2;
const DO: u32 = 1 << 3;
const REQ: u32 = 1 << 6;
const GNT: u32 = 1 << 7;

/// A serial EEPROM's user, as any textbook has it.
struct Serial {
    bar: SimBar,
    at: u32,
}

impl Serial {
    fn new(bar: &SimBar, at: u32) -> Self {
        let serial = Self { bar: bar.clone(), at };
        serial.set(CS, 0);
        assert_eq!(serial.bar.read32(at) & GNT, 0);
        serial.set(REQ, 0);
        assert_ne!(serial.bar.read32(at) & GNT, 0);
        serial
    }

    fn set(&self, set: u32, clear: u32) {
        self.bar.write32(self.at, self.bar.read32(self.at) & !clear | set);
    }

    fn send(&self, bytes: &[u8]) {
        for byte in bytes {
            for bit in (0..8).rev() {
                let data = if byte >> bit & 1 != 0 { DI } else { 0 };
                self.set(data, DI & !data);
                self.set(SK, 0);
                self.set(0, SK);
            }
        }
    }

    fn take(&self) -> u8 {
        (0..8).fold(0, |byte, _| {
            self.set(SK, 0);
            let bit = self.bar.read32(self.at) & DO != 0;
            self.set(0, SK);
            byte << 1 | u8::from(bit)
        })
    }

    /// One command, and what it answers.
    fn command<const N: usize>(&self, out: &[u8]) -> [u8; N] {
        self.set(0, CS | SK);
        self.send(out);
        let answer = std::array::from_fn(|_| self.take());
        self.set(CS, 0);
        answer
    }

    fn read(&self, word: u16) -> u16 {
        let [high, low] = (word * 2).to_be_bytes();
        u16::from_le_bytes(self.command(&[3, high, low]))
    }

    fn write(&self, word: u16, value: u16) {
        self.command::<0>(&[6]);
        let ([high, low], [first, second]) = ((word * 2).to_be_bytes(), value.to_le_bytes());
        self.command::<0>(&[2, high, low, first, second]);
        let asked = asked(|| self.command::<1>(&[5])[0] & 1 == 0);
        assert!((1..100).contains(&asked), "it takes its time");
    }
}

impl Drop for Serial {
    fn drop(&mut self) {
        self.set(0, REQ);
        assert_eq!(self.bar.read32(self.at) & GNT, 0);
    }
}

fn eerd(bar: &SimBar, word: u32) -> u16 {
    EERD(0).with(EERD::START, 1).with(EERD::ADDR, word).write(bar);
    assert!(asked(|| EERD::read(bar).has(EERD::DONE)) < 100);
    EERD::read(bar).get(EERD::DATA) as u16
}

#[test]
fn bits_and_words_lead_to_the_same_eeprom() {
    let bar = nic(Model::I82599).bar();
    let serial = Serial::new(&bar, EEC::META.offset);
    for word in [0x00, 0x09, 0x15, 0x3f, 0x101, 0x1fff] {
        assert_eq!(serial.read(word), eerd(&bar, word.into()), "{word:#x}");
    }
    serial.write(0x1000, 0xbead);
    drop(serial);
    assert_eq!(eerd(&bar, 0x1000), 0xbead);
    assert!(EEC::read(&bar).has(EEC::AUTO_RD), "what the chip says of itself stays");
}

#[test]
fn without_the_grant_the_lines_are_not_softwares() {
    let bar = nic(Model::I82599).bar();
    let before = eerd(&bar, 0x1000);
    let stranger = Serial { bar: bar.clone(), at: EEC::META.offset };
    stranger.set(0, CS);
    stranger.command::<0>(&[6]);
    stranger.command::<0>(&[2, 0x20, 0, 1, 2]);
    assert_eq!(stranger.read(0), 0xffff);
    assert_eq!(eerd(&bar, 0x1000), before);
    stranger.set(REQ, 0);
}

#[test]
fn an_address_that_was_written_is_the_stations_after_a_reset() {
    let nic = nic(Model::I82599);
    let bar = nic.bar();
    let core = eerd(&bar, 9);
    Serial::new(&bar, EEC::META.offset).write(core + 1, 0xbb02);
    assert_eq!(RAL::read(&bar).raw().to_le_bytes(), [2, 3, 4, 5]);
    for reset in [CTRL::RST, CTRL::LRST] {
        CTRL(0).with(reset, 1).write(&bar);
        bar.delay(Duration::from_millis(10));
        assert_eq!(RAL::read(&bar).raw().to_le_bytes(), [2, 0xbb, 4, 5]);
    }
    nic.function_reset();
    assert!(asked(|| EEC::read(&bar).has(EEC::AUTO_RD)) < 100);
    assert_eq!(RAL::read(&bar).raw().to_le_bytes(), [2, 0xbb, 4, 5]);
}

#[test]
fn a_word_is_written_at_once() {
    let bar = nic(Model::I82599).bar();
    bar.write32(EEWR, 0xcafe_0000 | 0x1234 << 2 | 1);
    assert!((1..100).contains(&asked(|| bar.read32(EEWR) & 2 != 0)));
    assert_eq!(bar.read32(EEWR) & 1, 0);
    assert_eq!(eerd(&bar, 0x1234), 0xcafe);
    // Beyond the end there is nothing.
    bar.write32(EEWR, 0xcafe_0000 | 0x3fff << 2 | 1);
    assert!(asked(|| bar.read32(EEWR) & 2 != 0) < 100);
    assert_eq!(eerd(&bar, 0x3fff), 0xffff);
}

#[test]
fn the_gigabit_chips_have_such_an_eeprom_too() {
    for model in [Model::I82576, Model::I350] {
        let bar = nic(model).bar();
        let eecd = igb::EECD::read(&bar);
        assert!(eecd.has(igb::EECD::ADDR_SIZE), "16 bits of address");
        assert_eq!(64 << eecd.get(igb::EECD::SIZE), 0x400, "words");
        let serial = Serial::new(&bar, igb::EECD::META.offset);
        assert_eq!([serial.read(0), serial.read(1), serial.read(2)], [0x0302, 0x0504, 0x0706]);
        serial.write(0x300, 0x1234);
        assert_eq!(serial.read(0x300), 0x1234);
    }
}

#[test]
fn there_is_no_flash() {
    let bar = nic(Model::I82599).bar();
    FLA(0).with(FLA::REQ, 1).with(FLA::CE, 1).write(&bar);
    let fla = FLA::read(&bar);
    assert!(fla.has(FLA::GNT) && fla.has(FLA::SO) && !fla.has(FLA::BUSY));
    FLA(0).write(&bar);
    assert!(!FLA::read(&bar).has(FLA::GNT));
}
