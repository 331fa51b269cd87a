//! A register file with just enough life for the driver to come up, and a log of all writes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::regs::*;
use crate::error::{Error, Result};
use crate::mem::{Backing, CHUNK, DmaMap, DmaTarget, Iova, Mapping};
use crate::mmio::{Access, Bar, Doorbell, Register};
use crate::port::{Host, Line, MacAddr};

pub(super) const MAC: MacAddr = MacAddr([0x02, 0x1b, 0x21, 1, 2, 3]);

/// One access, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Write(u32, u32),
    BusMaster(bool),
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trouble {
    /// All ones from this access on.
    pub(super) gone_after: Option<u64>,
    /// All ones for this long after a reset.
    pub(super) mute_after_reset: Duration,
    /// These bits of this offset never change from what they are.
    pub(super) stuck: Option<(u32, u32)>,
    /// These bits of this offset read so, whatever was written.
    pub(super) reads: Option<(u32, u32, u32)>,
    pub(super) bus_master_stuck: bool,
    pub(super) no_link: bool,
    pub(super) bad_eeprom: bool,
    pub(super) no_eeprom: bool,
    /// EEC is where the X553 has it.
    pub(super) moved_eec: bool,
}

#[derive(Debug)]
pub(super) struct State {
    words: Vec<u32>,
    /// Which words clear when they are read.
    clears: Vec<bool>,
    pub(super) log: Vec<Event>,
    now: Duration,
    mute_until: Duration,
    pub(super) accesses: u64,
    pub(super) trouble: Trouble,
    pub(super) bus_master: bool,
    /// RTTDQSEL-addressed registers that were written as zero.
    pub(super) cleared_credits: Vec<u32>,
}

#[derive(Debug, Clone)]
pub(super) struct Fake(Arc<Mutex<State>>);

impl Fake {
    pub(super) fn new() -> Self {
        let mut clears = vec![false; (BAR_LEN / 4) as usize];
        for r in table().filter(|r| r.access == Access::Rc) {
            for n in 0..r.count {
                clears[(r.offset_of(n) / 4) as usize] = true;
            }
        }
        let state = State {
            clears,
            words: vec![0; (BAR_LEN / 4) as usize],
            log: Vec::new(),
            now: Duration::ZERO,
            mute_until: Duration::ZERO,
            accesses: 0,
            trouble: Trouble::default(),
            // Somebody left it running.
            bus_master: true,
            cleared_credits: Vec::new(),
        };
        let fake = Self(Arc::new(Mutex::new(state)));
        fake.state().reset();
        // The last user left a queue pair running.
        fake.poke(RXDCTL::META.offset_of(3), RXDCTL::ENABLE.mask());
        fake.poke(TXDCTL::META.offset_of(100), TXDCTL::ENABLE.mask());
        fake.poke(rx_reg(&RXDCTL::META, 100), RXDCTL::ENABLE.mask());
        fake
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Without being seen.
    pub(super) fn poke(&self, at: u32, value: u32) {
        self.state().words[(at / 4) as usize] = value;
    }

    pub(super) fn peek<R: Register>(&self, n: u32) -> R {
        R::from_raw(self.state().words[(R::META.offset_of(n) / 4) as usize])
    }

    pub(super) fn trouble(&self, change: impl FnOnce(&mut Trouble)) {
        change(&mut self.state().trouble);
    }

    pub(super) fn log(&self) -> Vec<Event> {
        self.state().log.clone()
    }
}

const fn at<R: Register>() -> u32 {
    R::META.offset
}

impl State {
    fn word(&mut self, at: u32) -> &mut u32 {
        &mut self.words[(at / 4) as usize]
    }

    fn set<R: Register>(&mut self, value: R) {
        *self.word(R::META.offset) = value.raw();
    }

    fn get<R: Register>(&mut self) -> R {
        R::from_raw(*self.word(R::META.offset))
    }

    fn reset(&mut self) {
        for r in table() {
            for n in 0..r.count {
                *self.word(r.offset_of(n)) = r.reset;
            }
        }
        let eec = EEC::default().with(EEC::AUTO_RD, 1);
        let present = u32::from(!self.trouble.no_eeprom);
        let eec = eec.with(EEC::PRES, present);
        if self.trouble.moved_eec {
            self.set(x550::EEC_A(eec.raw()));
        } else {
            self.set(eec);
        }
        self.set(EEMNGCTL::default().with(EEMNGCTL::CFG_DONE0, 1));
        let rdrxctl: RDRXCTL = self.get();
        self.set(rdrxctl.with(RDRXCTL::DMAIDONE, 1));
        let [a, b, c, d, e, f] = MAC.0;
        self.set(RAL(u32::from_le_bytes([a, b, c, d])));
        self.set(RAH(u32::from_le_bytes([e, f, 0, 0x80])));
        if !self.trouble.no_link {
            self.set(LINKS(0).with(LINKS::LINK_UP, 1).with(LINKS::LINK_SPEED, 3));
        }
        // What the driver must keep.
        self.set(DTXMXSZRQ(0xabc0_0010));
    }

    fn all_ones(&mut self) -> bool {
        self.accesses += 1;
        self.trouble.gone_after.is_some_and(|n| self.accesses > n) || self.now < self.mute_until
    }

    fn write(&mut self, offset: u32, mut value: u32) {
        self.log.push(Event::Write(offset, value));
        let old = *self.word(offset);
        if let Some((stuck, bits)) = self.trouble.stuck
            && stuck == offset
        {
            value = (value & !bits) | (old & bits);
        }
        *self.word(offset) = value;
        if offset == at::<CTRL>() {
            let ctrl = CTRL(value);
            if ctrl.has(CTRL::RST) || ctrl.has(CTRL::LRST) {
                self.mute_until = self.now + self.trouble.mute_after_reset;
                self.reset();
            } else if ctrl.has(CTRL::GIO_DIS)
                && self.trouble.stuck.is_none_or(|s| s.0 != at::<STATUS>())
            {
                let status: STATUS = self.get();
                self.set(status.with(STATUS::GIO_MASTER, 0));
            }
        } else if offset == at::<SECRXCTRL>() {
            let held = SECRXCTRL(value).get(SECRXCTRL::RX_DIS);
            self.set(SECRXSTAT(0).with(SECRXSTAT::SECRX_RDY, held));
        } else if offset == at::<EERD>() {
            let word = eeprom(EERD(value).get(EERD::ADDR), self.trouble.bad_eeprom);
            self.set(EERD(value).with(EERD::DONE, 1).with(EERD::DATA, word));
        } else if offset == at::<RTTDT1C>() && value == 0 {
            let selected: RTTDQSEL = self.get();
            self.cleared_credits.push(selected.raw());
        }
    }
}

/// One section of two words; the checksum word makes up for it.
fn eeprom(address: u32, bad: bool) -> u32 {
    const SECTION: u32 = 0x50;
    let body = [0x1234u32, 0xfff0];
    let sum = SECTION + body.iter().sum::<u32>() + 11 * 0xffff;
    match address {
        0x3f => 0xbaba_u32.wrapping_sub(sum).wrapping_add(bad.into()) & 0xffff,
        0x05 => SECTION,
        0x03..=0x0e => 0xffff,
        SECTION => 2,
        0x51 | 0x52 => body[(address - 0x51) as usize],
        _ => 0,
    }
}

impl Bar for Fake {
    type Bell = Bell;
    const SOFTWARE: bool = false;

    fn read32(&self, offset: u32) -> u32 {
        let mut s = self.state();
        if offset >= BAR_LEN || s.all_ones() {
            return u32::MAX;
        }
        let value = *s.word(offset);
        if s.clears[(offset / 4) as usize] {
            *s.word(offset) = 0;
        }
        match s.trouble.reads {
            Some((at, mask, bits)) if at == offset => value & !mask | bits & mask,
            _ => value,
        }
    }

    fn write32(&self, offset: u32, value: u32) {
        let mut s = self.state();
        if offset < BAR_LEN && !s.all_ones() {
            s.write(offset, value);
        }
    }

    fn doorbell(&self, offset: u32) -> Bell {
        Bell(self.clone(), offset)
    }

    fn now(&self) -> Duration {
        self.state().now
    }

    fn delay(&self, time: Duration) {
        self.state().now += time;
    }

    fn name(&self) -> &str {
        "fake"
    }
}

#[derive(Debug)]
pub(super) struct Bell(Fake, u32);

impl Doorbell for Bell {
    fn ring(&self, tail: u32) {
        self.0.write32(self.1, tail);
    }
}

#[derive(Debug)]
pub(super) struct FakeHost(pub(super) Fake);

impl Host for FakeHost {
    fn set_bus_master(&self, on: bool) -> Result<()> {
        let mut s = self.0.state();
        if s.trouble.bus_master_stuck {
            return Err(Error::State { why: "bus mastering does not change".to_owned() });
        }
        s.bus_master = on;
        s.log.push(Event::BusMaster(on));
        Ok(())
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn line(&self) -> Result<Box<dyn Line>> {
        Err(Error::NoInterrupt { addr: "test".to_owned(), why: "this host has none".to_owned() })
    }

    fn numa_node(&self) -> Option<u32> {
        Some(1)
    }
}

/// Device addresses above 4 GiB, so that a lost upper half shows.
#[derive(Debug, Default)]
pub(super) struct FarMap(Mutex<Vec<DmaTarget>>);

impl DmaMap for FarMap {
    fn map(&self, target: DmaTarget) -> Result<Vec<Iova>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = all.iter().map(|t| t.mapping().len() / CHUNK).sum::<usize>();
        let n = target.mapping().len() / CHUNK;
        all.push(target);
        Ok((first..first + n).map(|i| Iova(0x77_0000_0000 + (i * 2 * CHUNK) as u64)).collect())
    }

    fn ring_backing(&self) -> Backing {
        Backing::Heap
    }

    fn accepts(&self, _: &Mapping) -> Result<()> {
        Ok(())
    }
}
