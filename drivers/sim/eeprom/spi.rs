//! The EEPROM's own interface, which software can clock bit by bit through EEC or EECD: a serial
//! part of 16 address bits (82599 datasheet 3.3.1.3; the commands are those of every AT25).
//!
//! Bits are taken when the clock rises and given when it falls, the highest first.

use std::time::Duration;

use super::Eeprom;

/// Commands. Bit 3 is an address bit of smaller parts, and ignored.
const WRITE: u8 = 0x02;
const READ: u8 = 0x03;
const WRITE_DISABLE: u8 = 0x04;
const STATUS: u8 = 0x05;
const WRITE_ENABLE: u8 = 0x06;
const COMMAND: u8 = 0x07;

/// Status: a write is going on; writing is enabled.
const BUSY: u8 = 1 << 0;
const ENABLED: u8 = 1 << 1;

/// Bytes of a page: a write cannot leave the one that it began in.
const PAGE: usize = 64;
/// How long a write takes: until the clock has moved on, or software has asked so often.
const WRITES_FOR: Duration = Duration::from_millis(2);
const ASKED: u8 = 3;

/// What the part makes of the next bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing until it is selected anew.
    Deaf,
    /// A command.
    Command,
    /// The rest of the address after a command that wants one.
    Address { write: bool },
    /// A byte for the page, with the next one's place in it.
    Page { at: u16 },
    /// Bytes from this address on are given.
    Give { at: u16 },
    /// The status is given again and again.
    Status,
}

/// The part's logic; the words are elsewhere.
#[derive(Debug)]
pub(in crate::drivers::sim) struct Spi {
    selected: bool,
    clock: bool,
    /// The level of the data output.
    out: bool,
    phase: Phase,
    /// Bits that came, and how many.
    bits: u16,
    count: u8,
    /// Bits to give, and how many.
    giving: u8,
    left: u8,
    enabled: bool,
    /// Bytes of a page to write when the part is let go: all that came since the command.
    page: [Option<u8>; PAGE],
    first: u16,
    /// A write goes on until then, or until the status was read so often.
    busy: Option<(Duration, u8)>,
}

impl Default for Spi {
    fn default() -> Self {
        Self {
            selected: false,
            clock: false,
            out: true,
            phase: Phase::Deaf,
            bits: 0,
            count: 0,
            giving: 0,
            left: 0,
            enabled: false,
            page: [None; PAGE],
            first: 0,
            busy: None,
        }
    }
}

/// The lines that software drives.
#[derive(Debug, Clone, Copy)]
pub(in crate::drivers::sim) struct Pins {
    pub(in crate::drivers::sim) selected: bool,
    pub(in crate::drivers::sim) clock: bool,
    pub(in crate::drivers::sim) data: bool,
}

impl Spi {
    /// The level of the data output; it is high when nobody drives it.
    pub(in crate::drivers::sim) fn output(&self) -> bool {
        self.out
    }

    /// Software has changed the lines.
    pub(in crate::drivers::sim) fn drive(
        &mut self,
        pins: Pins,
        eeprom: &mut Eeprom,
        now: Duration,
    ) {
        if self.busy.is_some_and(|(until, asked)| now >= until || asked == 0) {
            self.busy = None;
        }
        if pins.selected != self.selected {
            self.selected = pins.selected;
            if pins.selected {
                (self.phase, self.bits, self.count, self.left) = (Phase::Command, 0, 0, 0);
            } else {
                self.let_go(eeprom, now);
            }
            // Edges of the clock count while the part is selected.
            self.clock = pins.clock;
            return;
        }
        if pins.selected && pins.clock != self.clock {
            if pins.clock { self.rising(pins.data) } else { self.falling(eeprom) }
        }
        self.clock = pins.clock;
    }

    /// A page is written when its command ends with a whole byte (one that does not is forgotten).
    fn let_go(&mut self, eeprom: &mut Eeprom, now: Duration) {
        if let Phase::Page { .. } = self.phase
            && self.count == 0
            && std::mem::take(&mut self.enabled)
        {
            let first = usize::from(self.first) & !(PAGE - 1);
            for (at, byte) in (first..).zip(self.page) {
                if let Some(byte) = byte {
                    eeprom.set_byte(at, byte);
                }
            }
            self.busy = Some((now + WRITES_FOR, ASKED));
        }
        self.page = [None; PAGE];
        (self.phase, self.out) = (Phase::Deaf, true);
    }

    fn rising(&mut self, data: bool) {
        let wanted = match self.phase {
            Phase::Command | Phase::Page { .. } => 8,
            Phase::Address { .. } => 16,
            Phase::Deaf | Phase::Give { .. } | Phase::Status => return,
        };
        self.bits = self.bits << 1 | u16::from(data);
        self.count += 1;
        if self.count == wanted {
            self.count = 0;
            self.phase = self.taken(self.bits);
            self.bits = 0;
        }
    }

    /// What comes after a whole command, address or byte.
    fn taken(&mut self, bits: u16) -> Phase {
        match self.phase {
            Phase::Command => self.command(bits as u8 & COMMAND),
            Phase::Address { write: true } => {
                self.first = bits;
                Phase::Page { at: bits % PAGE as u16 }
            }
            Phase::Address { write: false } => Phase::Give { at: bits },
            Phase::Page { at } => {
                self.page[usize::from(at)] = Some(bits as u8);
                Phase::Page { at: (at + 1) % PAGE as u16 }
            }
            other => other,
        }
    }

    /// While it writes, the part answers nothing but what its status is.
    fn command(&mut self, command: u8) -> Phase {
        match command {
            STATUS => return Phase::Status,
            _ if self.busy.is_some() => {}
            WRITE_ENABLE => self.enabled = true,
            WRITE_DISABLE => self.enabled = false,
            WRITE | READ => return Phase::Address { write: command == WRITE },
            _ => {}
        }
        Phase::Deaf
    }

    fn falling(&mut self, eeprom: &Eeprom) {
        if self.left == 0 {
            self.giving = match &mut self.phase {
                Phase::Give { at } => {
                    let byte = eeprom.byte(usize::from(*at));
                    *at = eeprom.behind(*at);
                    byte
                }
                Phase::Status => {
                    let busy = if self.busy.is_some() { BUSY } else { 0 };
                    if let Some((_, asked)) = &mut self.busy {
                        *asked = asked.saturating_sub(1);
                    }
                    busy | if self.enabled { ENABLED } else { 0 }
                }
                _ => return,
            };
            self.left = 8;
        }
        self.out = self.giving & 0x80 != 0;
        self.giving <<= 1;
        self.left -= 1;
    }
}

impl Eeprom {
    /// One byte: the words' low bytes come first.
    fn byte(&self, at: usize) -> u8 {
        let word = self.words.get(at / 2).copied().unwrap_or(0xffff);
        word.to_le_bytes()[at % 2]
    }

    /// Replaces one word. False: there is none.
    pub(in crate::drivers::sim) fn set_word(&mut self, address: u32, value: u16) -> bool {
        let word = self.words.get_mut(address as usize);
        word.map(|word| *word = value).is_some()
    }

    fn set_byte(&mut self, at: usize, byte: u8) {
        if let Some(word) = self.words.get_mut(at / 2) {
            let mut bytes = word.to_le_bytes();
            bytes[at % 2] = byte;
            *word = u16::from_le_bytes(bytes);
        }
    }

    /// The address behind another: the part begins anew at its end.
    fn behind(&self, at: u16) -> u16 {
        let end = self.words.len() * 2;
        let next = usize::from(at) + 1;
        if next >= end { 0 } else { next as u16 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Part {
        spi: Spi,
        eeprom: Eeprom,
        now: Duration,
    }

    impl Part {
        fn new() -> Self {
            let words = (0..0x2000).collect();
            Self { spi: Spi::default(), eeprom: Eeprom { words, mac: 0 }, now: Duration::ZERO }
        }

        fn pins(&mut self, selected: bool, clock: bool, data: bool) {
            self.spi.drive(Pins { selected, clock, data }, &mut self.eeprom, self.now);
        }

        /// Sends `out` and takes `n` bytes.
        fn transfer(&mut self, out: &[u8], n: usize) -> Vec<u8> {
            self.pins(true, false, false);
            for byte in out {
                for bit in (0..8).rev() {
                    let data = byte >> bit & 1 != 0;
                    self.pins(true, false, data);
                    self.pins(true, true, data);
                    self.pins(true, false, data);
                }
            }
            let taken = (0..n)
                .map(|_| {
                    (0..8).fold(0, |byte, _| {
                        self.pins(true, true, false);
                        let bit = self.spi.output();
                        self.pins(true, false, false);
                        byte << 1 | u8::from(bit)
                    })
                })
                .collect();
            self.pins(false, false, false);
            taken
        }

        fn status(&mut self) -> u8 {
            self.transfer(&[STATUS], 1)[0]
        }

        fn write(&mut self, at: u16, bytes: &[u8]) {
            self.transfer(&[WRITE_ENABLE], 0);
            let [high, low] = at.to_be_bytes();
            self.transfer(&[&[WRITE, high, low], bytes].concat(), 0);
        }
    }

    #[test]
    fn bytes_come_low_ones_first_and_begin_anew_at_the_end() {
        let mut part = Part::new();
        assert_eq!(part.transfer(&[READ, 0x24, 0x68], 4), [0x34, 0x12, 0x35, 0x12]);
        assert_eq!(part.transfer(&[READ | 8, 0x3f, 0xfe], 4), [0xff, 0x1f, 0, 0]);
        assert_eq!(part.transfer(&[READ, 0x40, 0x00], 1), [0xff], "there is nothing");
        assert!(part.spi.output());
    }

    #[test]
    fn writing_must_be_enabled_each_time() {
        let mut part = Part::new();
        part.transfer(&[WRITE, 0, 4, 0xaa, 0xbb], 0);
        assert_eq!((part.eeprom.word(2), part.status()), (2, 0));
        part.transfer(&[WRITE_ENABLE], 0);
        assert_eq!(part.status(), ENABLED);
        part.transfer(&[WRITE_DISABLE], 0);
        part.transfer(&[WRITE, 0, 4, 0xaa, 0xbb], 0);
        assert_eq!(part.eeprom.word(2), 2);
        part.write(4, &[0xaa, 0xbb]);
        assert_eq!((part.eeprom.word(2), part.eeprom.word(3)), (0xbbaa, 3));
        assert_eq!(part.status(), BUSY);
        part.now += WRITES_FOR;
        assert_eq!(part.status(), 0);
        part.transfer(&[WRITE, 0, 4, 1, 2], 0);
        assert_eq!(part.eeprom.word(2), 0xbbaa, "enabled once, not for ever");
    }

    #[test]
    fn a_write_takes_its_time() {
        let mut part = Part::new();
        part.write(0x40, &[1]);
        assert_eq!(part.transfer(&[READ, 0, 0x40], 1), [0xff], "not while it writes");
        part.transfer(&[WRITE_ENABLE], 0);
        let asked = (0..10).take_while(|_| part.status() & BUSY != 0).count();
        assert!((1..10).contains(&asked));
        assert_eq!(part.status(), 0);
        assert_eq!(part.transfer(&[READ, 0, 0x40], 1), [1]);
    }

    /// As drivers find out how long a page is.
    #[test]
    fn a_write_stays_in_its_page() {
        let mut part = Part::new();
        let bytes: Vec<u8> = (0u16..128).flat_map(u16::to_le_bytes).collect();
        part.write(0x400, &bytes);
        assert_eq!(part.eeprom.word(0x200), 96, "128 words less a page of 32");
        assert_eq!(part.eeprom.word(0x21f), 127);
        assert_eq!(part.eeprom.word(0x220), 0x220);
        part.now += WRITES_FOR;
        part.write(0x43f, &[7, 8]);
        assert_eq!((part.eeprom.word(0x21f), part.eeprom.word(0x200)), (0x077f, 8));
    }

    #[test]
    fn any_sequence_of_levels_is_survived() {
        let mut part = Part::new();
        let mut state = 0x2545_f491u32;
        for _ in 0..50_000 {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            // Selected for a while, most of the time.
            part.pins(state >> 8 & 0xff != 0, state & 1 != 0, state & 2 != 0);
        }
        part.pins(false, false, false);
        part.now += WRITES_FOR;
        assert_eq!(part.status() & BUSY, 0);
    }
}
