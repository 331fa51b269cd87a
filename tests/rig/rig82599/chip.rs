//! The registers of one 82599, as plain memory that the driver has mapped: what it writes reads
//! back as written until this program looks, and answers come some microseconds after that.
//!
//! Section numbers are those of the 82599 datasheet.

use std::fs::File;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use memmap2::{MmapOptions, MmapRaw};

pub(crate) const BAR: usize = 128 << 10;

const CTRL: usize = 0x00000;
const STATUS: usize = 0x00008;
const EEC: usize = 0x10010;
const EERD: usize = 0x10014;
const EEMNGCTL: usize = 0x10110;
const AUTOC: usize = 0x042a0;
const LINKS: usize = 0x042a4;
const ANLP1: usize = 0x042b0;
const RDRXCTL: usize = 0x02f00;
const SECRXCTRL: usize = 0x08d00;
const SECRXSTAT: usize = 0x08d04;
/// Where every driver looks for the station address; 0xA200 is the same on silicon, not here.
const RAL: usize = 0x05400;
const RAH: usize = 0x05404;

pub(crate) const RDBAL: usize = 0x01000;
pub(crate) const RDBAH: usize = 0x01004;
pub(crate) const RDLEN: usize = 0x01008;
pub(crate) const RDH: usize = 0x01010;
pub(crate) const RDT: usize = 0x01018;
pub(crate) const RXDCTL: usize = 0x01028;
pub(crate) const RXCTRL: usize = 0x03000;
pub(crate) const TDBAL: usize = 0x06000;
pub(crate) const TDBAH: usize = 0x06004;
pub(crate) const TDLEN: usize = 0x06008;
pub(crate) const TDH: usize = 0x06010;
pub(crate) const TDT: usize = 0x06018;
pub(crate) const TXDCTL: usize = 0x06028;
pub(crate) const ENABLE: u32 = 1 << 25;

const LRST: u32 = 1 << 3;
const RST: u32 = 1 << 26;
const GIO_DIS: u32 = 1 << 2;
const GIO_MASTER: u32 = 1 << 19;
const AUTO_RD: u32 = 1 << 9;
const PRES: u32 = 1 << 8;
const CFG_DONE: u32 = 0b11 << 18;
const DMAIDONE: u32 = 1 << 3;
const RX_DIS: u32 = 1 << 1;
const SECRX_RDY: u32 = 1 << 0;
const RESTART_AN: u32 = 1 << 12;
/// AUTOC as the EEPROM of a board with a backplane has it (8.2.3.22.19).
const BACKPLANE: u32 = 0xc09c_6004;
/// ANLP1: auto-negotiation has left its first state (8.2.3.22).
const NEGOTIATING: u32 = 1 << 16;
const UP_10G: u32 = 1 << 30 | 0b11 << 28;
const START: u32 = 1 << 0;
const DONE: u32 = 1 << 1;

/// The checksum word, and what all words add up to (6.3.5).
const CHECKSUM_WORD: usize = 0x3f;
const CHECKSUM: u16 = 0xbaba;

/// What is to be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Reset,
    Loaded,
    MemoriesReady,
    MasterOff,
    Word,
    Receive,
    Link,
}

/// One 82599.
pub(crate) struct Chip {
    registers: MmapRaw,
    words: [u16; 64],
    mac: [u8; 6],
    delay: Duration,
    due: Vec<(Instant, Answer)>,
    /// Resets so far.
    pub(crate) resets: u64,
}

impl Chip {
    pub(crate) fn new(resource0: &File, mac: [u8; 6], delay: Duration) -> std::io::Result<Self> {
        let mut words = [0u16; 64];
        for (i, word) in words.iter_mut().enumerate() {
            *word = 0x1100 + i as u16;
        }
        // No sections that the checksum would cover, too.
        words[0x03..=0x0f].fill(0xffff);
        let sum = words[..CHECKSUM_WORD].iter().fold(0u16, |sum, w| sum.wrapping_add(*w));
        words[CHECKSUM_WORD] = CHECKSUM.wrapping_sub(sum);
        let chip = Self {
            registers: MmapOptions::new().len(BAR).map_raw(resource0)?,
            words,
            mac,
            delay,
            due: Vec::new(),
            resets: 0,
        };
        // As something else has left it: queues enabled, no reset for a long time.
        chip.set(STATUS, GIO_MASTER);
        chip.set(EEC, AUTO_RD | PRES);
        Ok(chip)
    }

    pub(crate) fn get(&self, offset: usize) -> u32 {
        self.register(offset).load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, offset: usize, value: u32) {
        self.register(offset).store(value, Ordering::Release);
    }

    fn register(&self, offset: usize) -> &AtomicU32 {
        assert!(offset + 4 <= BAR && offset.is_multiple_of(4));
        let at = self.registers.as_mut_ptr().wrapping_add(offset).cast();
        // SAFETY: inside the mapping, aligned, and accessed by atomics only on this side.
        unsafe { AtomicU32::from_ptr(at) }
    }

    /// Looks at what the driver asks for, and gives the answers that are due.
    pub(crate) fn look(&mut self, now: Instant) {
        let ctrl = self.get(CTRL);
        if ctrl & (RST | LRST) != 0 {
            self.later(now, 1, Answer::Reset);
        }
        if ctrl & GIO_DIS != 0 && self.get(STATUS) & GIO_MASTER != 0 {
            self.later(now, 1, Answer::MasterOff);
        }
        if self.get(EERD) & (START | DONE) == START {
            self.later(now, 1, Answer::Word);
        }
        if (self.get(SECRXCTRL) & RX_DIS != 0) != (self.get(SECRXSTAT) & SECRX_RDY != 0) {
            self.later(now, 1, Answer::Receive);
        }
        if self.get(AUTOC) & RESTART_AN != 0 {
            self.later(now, 4, Answer::Link);
        }
        while let Some(at) = self.due.iter().position(|(when, _)| *when <= now) {
            let (_, answer) = self.due.swap_remove(at);
            self.give(answer, now);
        }
    }

    /// Schedules an answer, unless it is under way.
    fn later(&mut self, now: Instant, delays: u32, answer: Answer) {
        if !self.due.iter().any(|(_, a)| *a == answer) {
            self.due.push((now + self.delay * delays, answer));
        }
    }

    fn give(&mut self, answer: Answer, now: Instant) {
        match answer {
            // 4.2.1.7: everything forgotten; what the EEPROM loads comes later.
            Answer::Reset => {
                self.resets += 1;
                self.due.clear();
                // First, for there are drivers that allow no more than 10 us.
                self.set(CTRL, self.get(CTRL) & !(RST | LRST | GIO_DIS));
                for offset in (4..BAR).step_by(4) {
                    self.set(offset, 0);
                }
                self.set(STATUS, GIO_MASTER);
                self.later(now, 8, Answer::Loaded);
            }
            Answer::Loaded => {
                let [a, b, c, d, e, f] = self.mac;
                self.set(RAL, u32::from_le_bytes([a, b, c, d]));
                self.set(RAH, u32::from_le_bytes([e, f, 0, 0]));
                self.set(AUTOC, BACKPLANE);
                self.set(ANLP1, NEGOTIATING);
                self.set(EEC, AUTO_RD | PRES);
                self.set(EEMNGCTL, CFG_DONE);
                self.later(now, 2, Answer::MemoriesReady);
            }
            Answer::MemoriesReady => self.set(RDRXCTL, self.get(RDRXCTL) | DMAIDONE),
            Answer::MasterOff => self.set(STATUS, self.get(STATUS) & !GIO_MASTER),
            Answer::Word => {
                let address = self.get(EERD) >> 2 & 0x3fff;
                let word = self.words.get(address as usize).copied().unwrap_or(0xffff);
                self.set(EERD, u32::from(word) << 16 | address << 2 | DONE);
            }
            Answer::Receive => {
                let held = self.get(SECRXCTRL) & RX_DIS != 0;
                self.set(SECRXSTAT, if held { SECRX_RDY } else { 0 });
            }
            Answer::Link => {
                self.set(AUTOC, self.get(AUTOC) & !RESTART_AN);
                self.set(LINKS, UP_10G);
            }
        }
    }
}
