//! One software NIC: register file, engine, and what connects them.
//!
//! Two locks, taken in this order: `slow` (everything that software does through registers but
//! tails) and `engine` (the data path). Changing a register that the data path goes by takes
//! both, so that whatever such a write stops has stopped when it returns.

use std::collections::BTreeSet;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::chip::{Chip, Copper, Model, Phy};
use super::common;
use super::drive::{Clock, Drive};
use super::eeprom::{Eeprom, Spi};
use super::engine::{BATCH, Engine, Way};
use super::iommu::SimIommu;
use super::irq::{Cause, InterruptMode, Interrupts};
use super::later::{Later, Passing};
use super::lawyer::{Lawyer, Violation};
use super::memory::GuestMemory;
use super::regs::RegFile;
use super::setup::{CONTROL, ENABLE, HEAD, QueueReg, TAIL};
use super::sfp::Cage;
use super::spec::SimConfig;
use super::trace::{Event, Trace, Traced};
use super::wire::Wire;
use crate::port::MacAddr;

/// What register accesses go through.
#[derive(Debug)]
pub(super) struct Slow {
    pub(super) later: Vec<Later>,
    pub(super) eeprom: Eeprom,
    pub(super) spi: Spi,
    pub(super) link: Link,
    /// On the MDIO bus, where the chip has one.
    pub(super) phy: Phy,
    /// For an SFP+ module, where the board has one.
    pub(super) cage: Cage,
    /// The 10GBASE-T one.
    pub(super) copper: Option<Copper>,
    /// Analog registers of the SerDes, where the chip has them.
    pub(super) analog: Box<[u8; 256]>,
    lawyer: Option<Lawyer>,
    /// Offsets outside the table, and of registers without effect, that were logged already.
    logged: BTreeSet<u32>,
}

impl Slow {
    /// Whether the queue with this control register will soon be enabled.
    fn starts(&self, control: u32) -> bool {
        self.later.iter().any(|l| l.offset == control && l.set & ENABLE != 0)
    }
}

/// What the registers that show the link remember.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The link was lost since it was last looked at.
    lost: bool,
    was_up: bool,
}

impl Link {
    /// Whether the link is up and was so since the last look. The look after one that found it
    /// lost starts anew.
    pub(super) fn look(&mut self, up: bool) -> bool {
        self.lost |= self.was_up && !up;
        self.was_up = up;
        up & !std::mem::replace(&mut self.lost, !up)
    }
}

/// See the module's documentation.
pub(super) struct Device {
    pub(super) name: String,
    pub(super) drive: Drive,
    pub(super) model: Model,
    pub(super) chip: &'static dyn Chip,
    /// See [`Chip::deaf_queues`].
    pub(super) deaf: bool,
    pub(super) regs: Arc<RegFile>,
    pub(super) iommu: Arc<SimIommu>,
    pub(super) clock: Arc<Clock>,
    slow: Mutex<Slow>,
    engine: Mutex<Engine>,
    /// Counts changes of registers that the engine goes by.
    pub(super) generation: AtomicU32,
    /// The control side waits for the engine: steppers keep out of its way.
    wanted: AtomicU32,
    /// Something in `Slow::later` is due in future.
    pub(super) pending: AtomicBool,
    /// A step was skipped because another thread was at it.
    skipped: AtomicBool,
    /// The engine has counted what is not in the registers yet.
    uncounted: AtomicBool,
    pub(super) gone: AtomicBool,
    /// What the thread that runs it waits for, if it is served.
    pub(super) wire_fd: Option<OwnedFd>,
    pub(super) irq: Interrupts,
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
        let chip = config.chip.chip();
        let regs = Arc::new(RegFile::new(chip.map()));
        let iommu = SimIommu::new(config.seed);
        let trace =
            (config.trace > 0).then(|| Arc::new(Mutex::new(Trace::new(config.trace, regs.map))));
        let clock = Arc::new(Clock::new(config.drive));
        // Without it, frames are looked for now and then.
        let wire_fd = wire.fd().and_then(|fd| fd.try_clone_to_owned().ok());
        let (r, i) = (regs.clone(), iommu.clone());
        let engine = Engine::new(config, wire, r, i, trace.clone(), clock.clone());
        let device = Arc::new(Self {
            name: config.name.clone(),
            drive: config.drive,
            model: config.chip,
            chip,
            deaf: chip.deaf_queues(),
            regs,
            iommu,
            clock,
            slow: Mutex::new(Slow {
                later: Vec::new(),
                eeprom: chip.eeprom(mac),
                spi: Spi::default(),
                link: Link::default(),
                phy: chip.phy(),
                cage: chip.cage(mac),
                copper: chip.copper(),
                analog: Box::new([0; 256]),
                lawyer: config.lawyer.then(|| Lawyer::new(chip.map())),
                logged: BTreeSet::new(),
            }),
            engine: Mutex::new(engine),
            generation: AtomicU32::new(1),
            wanted: AtomicU32::new(0),
            pending: AtomicBool::new(false),
            skipped: AtomicBool::new(false),
            uncounted: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            wire_fd,
            irq: Interrupts::default(),
            watched: config.lawyer || config.trace > 0,
            trace,
        });
        // Powered on long ago: autoload is over.
        let mut slow = device.slow();
        chip.reset(&device, &mut slow, 0);
        while !slow.later.is_empty() {
            device.settle(&mut slow, Passing::Step);
        }
        drop(slow);
        device
    }

    pub(super) fn slow(&self) -> MutexGuard<'_, Slow> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine, for the control side: steppers let it pass. All that it has counted is in the
    /// registers.
    pub(super) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        self.wanted.fetch_sub(1, Ordering::Relaxed);
        engine.add_up();
        self.uncounted.store(false, Ordering::Relaxed);
        engine
    }

    /// The same, and it goes by the registers as they are now.
    pub(super) fn current_engine(&self) -> MutexGuard<'_, Engine> {
        let mut engine = self.engine();
        engine.refresh(self.generation.load(Ordering::Relaxed));
        engine
    }

    /// The engine must look at the registers again. Only with the engine locked.
    pub(super) fn changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Plugs the cable in or out.
    pub(super) fn plug(&self, up: bool) {
        let mut slow = self.slow();
        let was_out = std::mem::replace(&mut self.engine().unplugged, !up);
        if up && was_out {
            self.chip.plugged_in(self, &mut slow);
        }
    }

    /// See [`SimNic::set_module`](super::SimNic::set_module).
    pub(super) fn plug_module(&self, present: bool) {
        let mut slow = self.slow();
        if slow.cage.insert(present) {
            self.chip.module_changed(self, &mut slow);
        }
    }

    /// Pulls the card.
    pub(super) fn unplug(&self) {
        // With the engine locked, so that no DMA happens after this returns.
        let _engine = self.engine();
        self.vanish();
    }

    /// See [`SimNic::set_guest_memory`](super::SimNic::set_guest_memory).
    pub(super) fn set_guest_memory(&self, memory: Option<Arc<dyn GuestMemory>>) {
        let mut engine = self.engine();
        engine.shared.memory.guest = memory;
        // Rings know their memory: they are found anew.
        self.changed();
        engine.refresh(self.generation.load(Ordering::Relaxed));
    }

    /// What the kernel calls FLR (PCIe base specification 6.6.2).
    pub(super) fn function_reset(&self) {
        self.set_bus_master(false);
        let mut slow = self.slow();
        slow.later.clear();
        self.chip.reset(self, &mut slow, 0);
        drop(slow);
        self.set_interrupt_mode(InterruptMode::Intx);
        self.mask_intx(false);
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
        offset < self.regs.map.len && offset.is_multiple_of(4) && !self.is_gone()
    }

    /// Reads a register as software does.
    pub(super) fn read(&self, offset: u32) -> u32 {
        if !self.answers(offset) {
            return u32::MAX;
        }
        let home = self.regs.map.home(offset);
        let mut slow = self.slow();
        self.settle(&mut slow, Passing::Read(home));
        self.tell_due();
        if self.uncounted.load(Ordering::Relaxed) {
            drop(self.engine());
        }
        if self.regs.map.meta(home).is_none() && slow.logged.insert(home) {
            tracing::debug!(nic = %self.name, offset = home, "read of an unmodelled register");
        }
        let value = self.chip.read(self, &mut slow, home).unwrap_or_else(|| self.regs.read(home));
        self.note(Event::Read { offset: home, value });
        value
    }

    /// Writes a register as software does.
    pub(super) fn write(&self, offset: u32, value: u32) {
        if !self.answers(offset) {
            return;
        }
        let home = self.regs.map.home(offset);
        let mut slow = self.slow();
        self.note(Event::Write { offset: home, value });
        self.settle(&mut slow, Passing::Nothing);
        self.tell_due();
        if let Some(lawyer) = &mut slow.lawyer {
            lawyer.write(self.chip, &self.regs, home, value);
        }
        if self.regs.map.meta(home).is_none() && slow.logged.insert(home) {
            tracing::debug!(nic = %self.name, offset = home, "write to an unmodelled register");
        }
        if common::in_reset(&self.regs) && home != common::CTRL && !self.chip.shared(home) {
            // Nobody is at home during a reset.
            return;
        }
        if let Some(meta) = self.regs.map.without_effect(home)
            && value != meta.reset
            && slow.logged.insert(meta.offset)
        {
            tracing::info!(nic = %self.name, register = meta.name, offset = home, "not modelled");
        }
        let value = self.regs.merge(home, value);
        match self.chip.queue_block(home).map(|(_, register)| register) {
            // A queue that is being switched on takes its tail.
            Some(QueueReg::Tail) if slow.starts(home - TAIL + CONTROL) => {
                self.regs.poke(home, value & 0xffff);
            }
            Some(QueueReg::Tail) => self.poke_tail(home, value),
            Some(QueueReg::Head) => self.write_head(home - HEAD, value),
            Some(QueueReg::Control) => self.write_queue_control(&mut slow, home, value),
            _ if self.chip.write(self, &mut slow, home, value) => {}
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
            self.poke_tail(offset, tail);
        }
    }

    /// Takes a tail, unless the queue is off and takes none then.
    #[inline]
    fn poke_tail(&self, offset: u32, tail: u32) {
        if self.deaf && self.regs.peek(offset - TAIL + CONTROL) & ENABLE == 0 {
            return;
        }
        self.regs.poke(offset, tail & 0xffff);
    }

    /// Moves a batch if no other thread is at it. Returns whether anything moved.
    pub(super) fn try_step(&self) -> bool {
        self.try_step_way(Way::Both, BATCH)
    }

    /// As [`try_step`](Self::try_step), one way only, and of what comes in no more than `most`
    /// frames.
    pub(super) fn try_step_way(&self, way: Way, most: usize) -> bool {
        if self.is_gone() {
            return false;
        }
        self.tell_due();
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
        let moved = engine.step(way, most, self.generation.load(Ordering::Acquire));
        self.uncounted.store(engine.shared.tally.pending(), Ordering::Relaxed);
        if engine.shared.removal {
            self.vanish();
        }
        let (rx, tx) = engine.shared.take_written();
        if rx | tx != 0 {
            self.change_causes(|regs| self.chip.written_back(regs, rx, tx));
        }
        if std::mem::take(&mut engine.shared.overrun) {
            self.raise(Cause::Missed);
        }
        if std::mem::take(&mut engine.shared.stamped) {
            self.raise(Cause::Stamp);
        }
        if engine.link_changed() {
            self.raise(Cause::Link);
        }
        moved
    }
}
