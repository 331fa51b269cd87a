//! The clock of the precision time protocol, SYSTIM, and the stamps that packets get from it
//! (82599 datasheet 7.9 and 8.2.3.26, 82576 datasheet 7.10 and 8.16).
//!
//! It runs by the device's clock, at the pace that TIMINCA gives it. A stamp stays in its pair of
//! registers, and no other is taken, until the high one is read.

use std::sync::Arc;

use super::device::Device;
use super::drive::Clock;
use super::engine::Shared;
use super::regs::RegFile;

mod counter;
mod receive;

use counter::Counter;
pub(super) use counter::{Rate, Scale, Word};
pub(super) use receive::{InPacket, Stamps};

/// TSYNCTXCTL and TSYNCRXCTL: there is a stamp; stamps are taken.
pub(super) const VALID: u32 = 1 << 0;
pub(super) const ENABLED: u32 = 1 << 4;
/// TSICR and TSIM: a transmit stamp.
const TXTS: u32 = 1 << 1;

/// Where a direction's stamps are.
#[derive(Debug, Clone, Copy)]
pub(super) struct StampRegs {
    /// TSYNCTXCTL, TSYNCRXCTL.
    pub(super) control: u32,
    pub(super) low: u32,
    pub(super) high: u32,
}

/// Where a chip's registers are.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeRegs {
    pub(super) scale: Scale,
    pub(super) low: u32,
    pub(super) high: u32,
    /// SYSTIMR, of which reading latches the others.
    pub(super) residue: Option<u32>,
    /// TIMINCA, and what else the pace depends on.
    pub(super) pace: &'static [u32],
    /// TIMADJL and TIMADJH. Writing the last of them adjusts the time; bit 31 is its sign.
    pub(super) adjust: &'static [u32],
    /// TSICR and TSIM.
    pub(super) causes: Option<(u32, u32)>,
    pub(super) sent: StampRegs,
    pub(super) received: StampRegs,
    /// RXSATRL and RXSATRH.
    pub(super) source: (u32, u32),
}

impl TimeRegs {
    fn word(&self, offset: u32) -> Option<Word> {
        match offset {
            o if o == self.low => Some(Word::Low),
            o if o == self.high => Some(Word::High),
            o if Some(o) == self.residue => Some(Word::Residue),
            _ => None,
        }
    }
}

/// What reading one word keeps for the others.
#[derive(Debug, Clone, Copy)]
struct Latch {
    count: u128,
    /// By the residue: the low word is still to be read.
    low_too: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct TimeSync {
    clock: Arc<Clock>,
    counter: Counter,
    latch: Option<Latch>,
}

impl TimeSync {
    /// Standing still, as after a reset.
    pub(super) fn new(clock: Arc<Clock>) -> Self {
        Self { clock, counter: Counter::default(), latch: None }
    }

    pub(super) fn reset(&mut self) {
        (self.counter, self.latch) = (Counter::default(), None);
    }

    /// Goes at that rate from now on.
    pub(super) fn pace(&mut self, rate: Rate) {
        self.counter.pace(self.clock.now(), rate);
    }

    /// SYSTIM now: its low and its high word.
    pub(super) fn now(&self, scale: Scale) -> (u32, u32) {
        let count = self.counter.at(self.clock.now());
        (scale.word(count, Word::Low), scale.word(count, Word::High))
    }

    /// As software reads it: a word, and what belongs to it, are of one moment.
    fn read(&mut self, scale: Scale, word: Word) -> u32 {
        let kept = self.latch.filter(|latch| match word {
            Word::Residue => false,
            Word::Low => latch.low_too,
            Word::High => true,
        });
        let count = kept.map_or_else(|| self.counter.at(self.clock.now()), |latch| latch.count);
        self.latch = match word {
            Word::Residue => Some(Latch { count, low_too: true }),
            Word::Low => Some(Latch { count, low_too: false }),
            Word::High => None,
        };
        scale.word(count, word)
    }

    /// As software writes it, at once.
    fn write(&mut self, scale: Scale, word: Word, value: u32) {
        let now = self.clock.now();
        self.counter.set(now, scale.with(self.counter.at(now), word, value));
        self.latch = None;
    }

    /// Puts the clock forward, or back.
    fn adjust(&mut self, by: u128, back: bool) {
        let now = self.clock.now();
        let count = self.counter.at(now);
        let count = if back { count.wrapping_sub(by) } else { count.wrapping_add(by) };
        self.counter.set(now, count);
    }
}

/// Takes a stamp, unless one is there that nobody has read yet. Returns whether it did.
fn stamp(regs: &RegFile, time: &TimeSync, scale: Scale, to: StampRegs) -> bool {
    if regs.peek(to.control) & (ENABLED | VALID) != ENABLED {
        return false;
    }
    let (low, high) = time.now(scale);
    regs.poke(to.low, low);
    regs.poke(to.high, high);
    regs.change(to.control, 0, VALID);
    true
}

impl Shared {
    /// A packet whose descriptor asks for a stamp has gone.
    #[cold]
    pub(super) fn stamp_sent(&mut self) {
        let at = self.chip.time();
        self.stamped |= stamp(&self.regs, &self.time, at.scale, at.sent);
    }
}

/// Sets TSICR when a packet that was sent has its stamp. Whether that is a cause of an interrupt.
pub(super) fn tell_sent(regs: &RegFile, at: &TimeRegs) -> bool {
    at.causes.is_some_and(|(cause, mask)| {
        regs.change(cause, 0, TXTS);
        regs.peek(mask) & TXTS != 0
    })
}

impl Device {
    /// Reads one of the clock's registers.
    pub(super) fn read_time(&self, offset: u32) -> Option<u32> {
        let at = self.chip.time();
        if let Some(word) = at.word(offset) {
            return Some(self.engine().shared.time.read(at.scale, word));
        }
        if let Some(stamps) = [at.sent, at.received].iter().find(|s| s.high == offset) {
            let _engine = self.engine();
            self.regs.change(stamps.control, VALID, 0);
            return Some(self.regs.peek(offset));
        }
        let (cause, _) = at.causes.filter(|(cause, _)| *cause == offset)?;
        let value = self.regs.peek(cause);
        self.regs.change(cause, value, 0);
        Some(value)
    }

    /// Writes one of the clock's registers. False: it is none of them.
    pub(super) fn write_time(&self, offset: u32, value: u32) -> bool {
        let at = self.chip.time();
        if let Some(word) = at.word(offset) {
            self.engine().shared.time.write(at.scale, word, value);
        } else if at.pace.contains(&offset) {
            let mut engine = self.engine();
            self.regs.write(offset, value);
            engine.pace();
        } else if at.adjust.last() == Some(&offset) {
            let mut engine = self.engine();
            self.regs.write(offset, value);
            let (back, value) = (value >> 31 != 0, value & !(1 << 31));
            let by = match at.adjust {
                [low, _] => at.scale.span(self.regs.peek(*low), value),
                _ => at.scale.span(value, 0),
            };
            engine.shared.time.adjust(by, back);
        } else if [at.sent, at.received].iter().any(|s| s.control == offset) {
            let _engine = self.engine();
            self.regs.change(offset, !VALID, value & !VALID);
            self.changed();
        } else {
            return false;
        }
        true
    }
}
