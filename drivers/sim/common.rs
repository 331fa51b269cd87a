//! Registers that are the same on all chips but for where they are: device control, master
//! disable, queue enable, EEPROM reads, the semaphore (82599 datasheet 4.6, 5.2.5.3.2, 8.2.3;
//! 82576 datasheet 4.2, 5.2.3.3, 8.2, 8.4).

use std::time::Duration;

use super::device::{Device, Slow};
use super::eeprom::Pins;
use super::later::{Effect, Takes};
use super::regs::RegFile;
use super::setup::{CONTROL, ENABLE, HEAD, SWFLSH, TAIL};

/// Device control.
pub(super) const CTRL: u32 = 0x00;
/// CTRL: reset; no bus requests, please.
pub(super) const RST: u32 = 1 << 26;
const GIO_DIS: u32 = 1 << 2;
/// Device status.
pub(super) const STATUS: u32 = 0x08;
/// STATUS: bus requests are made.
pub(super) const GIO_MASTER: u32 = 1 << 19;

/// EERD: a read is asked for, done; the word's address and the word.
const START: u32 = 1 << 0;
const DONE: u32 = 1 << 1;
const ADDRESS: u32 = 0xfffc;

/// EEC and EECD: bit-banged pins, request, grant.
const PINS: u32 = 0x3f;
const CLOCK: u32 = 1 << 0;
/// Selected when it is low.
const CHIP_SELECT: u32 = 1 << 1;
/// Towards the EEPROM, and from it.
const DATA_IN: u32 = 1 << 2;
const DATA_OUT: u32 = 1 << 3;
const REQUEST: u32 = 1 << 6;
const GRANT: u32 = 1 << 7;

/// SWSM: taken by reading it as zero.
const SMBI: u32 = 1 << 0;

pub(super) const RESET: Takes = Takes { time: Duration::from_millis(1), reads: 3 };
pub(super) const AUTOLOAD: Takes = Takes { time: Duration::from_millis(3), reads: 6 };
/// An EEPROM word, and other things that are soon done.
pub(super) const QUICK: Takes = Takes { time: Duration::from_micros(20), reads: 2 };
const QUEUE: Takes = Takes { time: Duration::from_micros(50), reads: 3 };
const MASTER: Takes = Takes { time: Duration::from_micros(200), reads: 3 };

/// A reset is in progress.
pub(super) fn in_reset(regs: &RegFile) -> bool {
    regs.peek(CTRL) & RST != 0
}

impl Device {
    /// Resets everything but the PCI configuration; `set` puts into the register file what is not
    /// in the table. CTRL keeps showing its bits `busy` for a while.
    pub(super) fn reset(&self, slow: &mut Slow, busy: u32, set: impl FnOnce()) {
        let mut engine = self.engine();
        // A reset of the function leaves the PHY to its business.
        slow.later.retain(|l| l.effect == Effect::Trained);
        engine.reset();
        self.reset_causes();
        self.regs.change(CTRL, RST, busy);
        set();
        self.changed();
        drop(engine);
        self.after(slow, RESET, CTRL, busy, 0, Effect::None);
    }

    /// Master disable: STATUS shows when no bus request is pending any more.
    pub(super) fn write_master(&self, slow: &mut Slow, ctrl: u32) {
        slow.later.retain(|l| l.offset != STATUS || l.clear & GIO_MASTER == 0);
        if ctrl & GIO_DIS != 0 {
            self.after(slow, MASTER, STATUS, GIO_MASTER, 0, Effect::DataPath);
        } else if self.regs.peek(STATUS) & GIO_MASTER == 0 {
            let _engine = self.engine();
            self.regs.change(STATUS, 0, GIO_MASTER);
            self.changed();
        }
    }

    /// EERD, which is at `offset`.
    pub(super) fn write_eerd(&self, slow: &mut Slow, offset: u32, value: u32) {
        self.regs.poke(offset, value & (START | ADDRESS));
        if value & START != 0 {
            let word = u32::from(slow.eeprom.word((value & ADDRESS) >> 2));
            self.after(slow, QUICK, offset, START, DONE | word << 16, Effect::None);
        }
    }

    /// EEC or EECD, which is at `offset`, with a serial EEPROM behind it: its lines are software's
    /// while a request is granted, which is at once.
    pub(super) fn write_serial_eeprom(&self, slow: &mut Slow, offset: u32, value: u32) {
        let granted = value & REQUEST != 0;
        let selected = granted && value & CHIP_SELECT == 0;
        let pins = Pins { selected, clock: value & CLOCK != 0, data: value & DATA_IN != 0 };
        slow.spi.drive(pins, &mut slow.eeprom, self.clock.now());
        let shown = value & (PINS & !DATA_OUT | REQUEST);
        let shown = shown | if granted { GRANT } else { 0 };
        let shown = shown | if slow.spi.output() { DATA_OUT } else { 0 };
        self.regs.change(offset, PINS | REQUEST | GRANT, shown);
    }

    /// EEC or EECD, which is at `offset`: only the bit-banged pins and the request are software's;
    /// a request is granted.
    pub(super) fn write_eeprom_control(&self, offset: u32, value: u32) {
        let granted = if value & REQUEST != 0 { GRANT } else { 0 };
        self.regs.change(offset, PINS | REQUEST | GRANT, value & (PINS | REQUEST) | granted);
    }

    /// SWSM, which is at `offset`: reading SMBI as zero takes it.
    pub(super) fn read_swsm(&self, offset: u32) -> u32 {
        let value = self.regs.peek(offset);
        self.regs.poke(offset, value | SMBI);
        value
    }

    /// SMBI can be cleared but not set; the firmware of this NIC never objects to SWESMBI.
    pub(super) fn write_swsm(&self, offset: u32, value: u32) {
        self.regs.poke(offset, value & !SMBI | value & self.regs.peek(offset) & SMBI);
    }

    /// Heads are the device's while the queue, whose block this is, is enabled.
    pub(super) fn write_head(&self, block: u32, value: u32) {
        if self.regs.peek(block + CONTROL) & ENABLE == 0 {
            self.regs.poke(block + HEAD, value & 0xffff);
        }
    }

    /// RXDCTL and TXDCTL: ENABLE shows when the queue has really started or stopped.
    pub(super) fn write_queue_control(&self, slow: &mut Slow, offset: u32, value: u32) {
        let engine = self.engine();
        let shown = self.regs.peek(offset) & ENABLE;
        self.regs.poke(offset, value & !(ENABLE | SWFLSH) | shown);
        self.changed();
        drop(engine);
        slow.later.retain(|l| l.offset != offset);
        if self.deaf && value & !shown & ENABLE != 0 {
            self.regs.poke(offset - CONTROL + HEAD, 0);
            self.regs.poke(offset - CONTROL + TAIL, 0);
        }
        if value & ENABLE != shown {
            self.after(slow, QUEUE, offset, ENABLE, value & ENABLE, Effect::DataPath);
        }
    }
}
