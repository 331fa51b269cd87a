//! Changes that take their time: what software asked for is seen to be done only after a while.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::device::{Device, Slow};
use super::setup::station_words;

/// A change of a register that takes effect after a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct Later {
    pub(super) offset: u32,
    pub(super) clear: u32,
    pub(super) set: u32,
    /// On the device's clock.
    due: Duration,
    /// Reads of the register after which it is done all the same.
    reads: u32,
    pub(super) effect: Effect,
}

/// What else changes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// The engine looks at its registers again.
    DataPath,
    /// The MAC address appears in receive address 0.
    Autoload,
    /// The link has trained.
    Trained,
}

/// What makes time pass for a change that was put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passing {
    /// Only the clock.
    Nothing,
    /// A read of this register.
    Read(u32),
    /// A step of the model.
    Step,
}

/// How long something takes: until the clock has moved on, or software has looked so often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Takes {
    pub(super) time: Duration,
    pub(super) reads: u32,
}

impl Device {
    /// Clears and sets bits of a register when `takes` is over.
    pub(super) fn after(
        &self,
        slow: &mut Slow,
        takes: Takes,
        offset: u32,
        clear: u32,
        set: u32,
        effect: Effect,
    ) {
        let due = self.clock.now() + takes.time;
        slow.later.retain(|l| l.offset != offset || l.effect != effect);
        slow.later.push(Later { offset, clear, set, due, reads: takes.reads, effect });
        self.pending.store(true, Ordering::Relaxed);
    }

    /// Carries out what is due.
    pub(super) fn settle(&self, slow: &mut Slow, passing: Passing) {
        if slow.later.is_empty() {
            return;
        }
        let now = self.clock.now();
        for later in &mut slow.later {
            let counts = match passing {
                Passing::Nothing => false,
                Passing::Read(offset) => offset == later.offset,
                Passing::Step => true,
            };
            if counts {
                later.reads = later.reads.saturating_sub(1);
            }
        }
        let due;
        (due, slow.later) =
            std::mem::take(&mut slow.later).into_iter().partition(|l| l.reads == 0 || now >= l.due);
        for later in due {
            self.apply(slow, &later);
        }
        self.pending.store(!slow.later.is_empty(), Ordering::Relaxed);
    }

    fn apply(&self, slow: &mut Slow, later: &Later) {
        let mut engine = self.engine();
        self.regs.change(later.offset, later.clear, later.set);
        match later.effect {
            Effect::None => {}
            Effect::DataPath => {
                // At once: a queue that is disabled and enabled again starts anew, even if no
                // step came in between.
                self.changed();
                engine.refresh(self.generation.load(Ordering::Relaxed));
            }
            Effect::Autoload => {
                let (low, high) = station_words(slow.eeprom.mac().0);
                self.regs.poke(self.chip.station(), low);
                self.regs.poke(self.chip.station() + 4, high);
                self.changed();
            }
            Effect::Trained => engine.training = false,
        }
    }
}
