//! One software NIC: register file, engine, and what connects them.
//!
//! Two locks, taken in this order: `slow` (everything that software does through registers but
//! tails) and `engine` (the data path). Changing a register that the data path goes by takes
//! both, so that whatever such a write stops has stopped when it returns.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use super::drive::{Clock, Drive};
use super::eeprom::Eeprom;
use super::engine::{Chaos, Engine, Way};
use super::iommu::SimIommu;
use super::lawyer::{Lawyer, Violation};
use super::link::Link;
use super::regs::RegFile;
use super::reset::{Effect, Later};
use super::setup::{QueueReg, queue_reg};
use super::spec::SimConfig;
use super::trace::{Event, Trace, Traced};
use super::wire::Wire;
use crate::drivers::ixgbe::regs::{BAR_LEN, CTRL, EICR};
use crate::mmio::Register;
use crate::port::MacAddr;

/// What register accesses go through.
#[derive(Debug)]
pub(super) struct Slow {
    pub(super) later: Vec<Later>,
    pub(super) eeprom: Eeprom,
    pub(super) link: Link,
    lawyer: Option<Lawyer>,
    /// Offsets outside the table that were logged already.
    logged: BTreeSet<u32>,
}

/// See the module's documentation.
pub(super) struct Device {
    pub(super) name: String,
    pub(super) drive: Drive,
    pub(super) regs: Arc<RegFile>,
    pub(super) iommu: Arc<SimIommu>,
    pub(super) clock: Clock,
    slow: Mutex<Slow>,
    engine: Mutex<Engine>,
    /// Counts changes of registers that the engine goes by.
    generation: AtomicU32,
    /// The control side waits for the engine: steppers keep out of its way.
    wanted: AtomicU32,
    /// Something in `Slow::later` is due in future.
    pending: AtomicBool,
    /// A step was skipped because another thread was at it.
    skipped: AtomicBool,
    gone: AtomicBool,
    /// Tails, too, go the slow way, to be traced or judged.
    watched: bool,
    trace: Option<Arc<Mutex<Trace>>>,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.name, self.drive)
    }
}

impl Device {
    pub(super) fn new(config: &SimConfig, mac: MacAddr, wire: Box<dyn Wire>) -> Arc<Self> {
        let regs = Arc::new(RegFile::new());
        let iommu = SimIommu::new(config.seed);
        let trace = (config.trace > 0).then(|| Arc::new(Mutex::new(Trace::new(config.trace))));
        let chaos = Chaos::new(config.faults.clone(), config.seed);
        let engine =
            Engine::new(wire, regs.clone(), iommu.clone(), chaos, trace.clone(), config.lawyer);
        let device = Arc::new(Self {
            name: config.name.clone(),
            drive: config.drive,
            regs,
            iommu,
            clock: Clock::new(config.drive),
            slow: Mutex::new(Slow {
                later: Vec::new(),
                eeprom: Eeprom::new(mac),
                link: Link::default(),
                lawyer: config.lawyer.then(Lawyer::default),
                logged: BTreeSet::new(),
            }),
            engine: Mutex::new(engine),
            generation: AtomicU32::new(1),
            wanted: AtomicU32::new(0),
            pending: AtomicBool::new(false),
            skipped: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            watched: config.lawyer || config.trace > 0,
            trace,
        });
        // Powered on long ago: autoload is over.
        let mut slow = device.slow();
        device.reset(&mut slow, CTRL(0));
        while !slow.later.is_empty() {
            device.settle(&mut slow, Passing::Step);
        }
        drop(slow);
        device
    }

    pub(super) fn slow(&self) -> MutexGuard<'_, Slow> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine, for the control side: steppers let it pass.
    pub(super) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        self.wanted.fetch_sub(1, Ordering::Relaxed);
        engine
    }

    /// The engine must look at the registers again. Only with the engine locked.
    pub(super) fn changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Pulls the card.
    pub(super) fn unplug(&self) {
        // With the engine locked, so that no DMA happens after this returns.
        let _engine = self.engine();
        self.gone.store(true, Ordering::Relaxed);
    }

    pub(super) fn note(&self, event: Event) {
        if let Some(trace) = &self.trace {
            trace.lock().unwrap_or_else(PoisonError::into_inner).push(self.clock.now(), event);
        }
    }

    pub(super) fn traced(&self) -> Vec<Traced> {
        let trace = self.trace.as_ref();
        trace.map_or(Vec::new(), |t| t.lock().unwrap_or_else(PoisonError::into_inner).events())
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        let mut found = self.slow().lawyer.as_ref().map_or(Vec::new(), Lawyer::found);
        let engine = self.engine();
        found.extend(engine.shared.lawyer.as_ref().map_or(Vec::new(), Lawyer::found));
        found
    }

    /// Whether an offset is one that the device answers at.
    fn answers(&self, offset: u32) -> bool {
        offset < BAR_LEN && offset.is_multiple_of(4) && !self.is_gone()
    }

    /// Reads a register as software does.
    pub(super) fn read(&self, offset: u32) -> u32 {
        if !self.answers(offset) {
            return u32::MAX;
        }
        let home = RegFile::home(offset);
        let mut slow = self.slow();
        self.settle(&mut slow, Passing::Read(home));
        if RegFile::meta(home).is_none() && slow.logged.insert(home) {
            tracing::debug!(nic = %self.name, offset = home, "read of an unmodelled register");
        }
        let value = self.read_special(&mut slow, home).unwrap_or_else(|| self.regs.read(home));
        self.note(Event::Read { offset: home, value });
        value
    }

    /// Writes a register as software does.
    pub(super) fn write(&self, offset: u32, value: u32) {
        if !self.answers(offset) {
            return;
        }
        let home = RegFile::home(offset);
        let mut slow = self.slow();
        self.note(Event::Write { offset: home, value });
        self.settle(&mut slow, Passing::Nothing);
        if let Some(lawyer) = &mut slow.lawyer {
            lawyer.write(&self.regs, home, value);
        }
        if RegFile::meta(home).is_none() && slow.logged.insert(home) {
            tracing::debug!(nic = %self.name, offset = home, "write to an unmodelled register");
        }
        if self.regs.get::<CTRL>(0).has(CTRL::RST) && home != CTRL::META.offset {
            // Nobody is at home during a reset.
            return;
        }
        match queue_reg(home) {
            Some((_, QueueReg::Tail)) => self.regs.poke(home, value & 0xffff),
            Some((_, QueueReg::Head)) => self.write_head(home, value),
            Some((_, QueueReg::Control)) => self.write_queue_control(&mut slow, home, value),
            _ if self.write_special(&mut slow, home, value) => {}
            _ => {
                let _engine = self.engine();
                self.regs.write(home, value);
                self.changed();
            }
        }
    }

    /// Writes a tail, which is all that the hot path ever does.
    #[inline]
    pub(super) fn ring(&self, offset: u32, tail: u32) {
        if self.watched {
            self.write(offset, tail);
        } else {
            self.regs.poke(offset, tail & 0xffff);
        }
    }

    /// Puts off a change of a register.
    pub(super) fn put_off(&self, slow: &mut Slow, later: Later) {
        slow.later.retain(|l| l.offset != later.offset || l.effect != later.effect);
        slow.later.push(later);
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
        let old = self.regs.peek(later.offset);
        self.regs.poke(later.offset, old & !later.clear | later.set);
        match later.effect {
            Effect::None => {}
            Effect::DataPath => {
                // At once: a queue that is disabled and enabled again starts anew, even if no
                // step came in between.
                self.changed();
                engine.refresh(self.generation.load(Ordering::Relaxed));
            }
            Effect::Autoload => {
                self.load_mac(slow);
                self.changed();
            }
            Effect::Trained => engine.training = false,
        }
    }

    /// Moves a batch if no other thread is at it. Returns whether anything moved.
    pub(super) fn try_step(&self) -> bool {
        self.try_step_way(Way::Both)
    }

    /// As [`try_step`](Self::try_step), one way only.
    pub(super) fn try_step_way(&self, way: Way) -> bool {
        if self.is_gone() {
            return false;
        }
        if self.wanted.load(Ordering::Relaxed) > 0 {
            std::thread::yield_now();
            return false;
        }
        if self.pending.load(Ordering::Relaxed)
            && let Ok(mut slow) = self.slow.try_lock()
        {
            self.settle(&mut slow, Passing::Step);
        }
        let mut engine = match self.engine.try_lock() {
            Ok(engine) => engine,
            Err(TryLockError::Poisoned(e)) => e.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.skipped.store(true, Ordering::Relaxed);
                return false;
            }
        };
        // What another thread could not do while we were at it last time is done now.
        let way = if self.skipped.load(Ordering::Relaxed) {
            self.skipped.store(false, Ordering::Relaxed);
            Way::Both
        } else {
            way
        };
        let moved =
            engine.step(way, self.generation.load(Ordering::Acquire), self.clock.wire_now());
        if engine.shared.removal {
            self.gone.store(true, Ordering::Relaxed);
        }
        if engine.link_changed() {
            let causes = self.regs.word(EICR::META.offset);
            let _old = causes.map(|w| w.fetch_or(EICR::LSC.mask(), Ordering::AcqRel));
        }
        moved
    }
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
