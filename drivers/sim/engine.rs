//! The data path's hub: who moves frames between rings and the wire, one step at a time.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::chip::Chip;
use super::drive::{Clock, Drive};
use super::fault::{Fault, FaultKind, FaultPlan, Inject, Random};
use super::flow::Hold;
use super::iommu::SimIommu;
use super::lawyer::{Lawyer, Rule};
use super::memory::Memory;
use super::regs::RegFile;
use super::rx::RxPath;
use super::setup::Mac;
use super::spec::SimConfig;
use super::stats::{Tally, Truth};
use super::timesync::TimeSync;
use super::trace::{Event, Trace};
use super::tx::TxPath;
use super::wire::{Loopback, Wire};

/// Frames received, and descriptors fetched per transmit queue, in one step at most.
pub(super) const BATCH: usize = 64;

/// Steps whose counts are added to the registers together, while there is traffic and nobody asks.
const ADD_UP_EVERY: u32 = 64;

/// Faults kept; a broken driver repeats itself.
const KEPT: usize = 1000;

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct FaultLog {
    all: Vec<Fault>,
    /// How many there were, kept or not.
    pub(super) met: u64,
    /// How many of them were reported.
    reported: usize,
}

impl FaultLog {
    #[cold]
    pub(super) fn push(&mut self, fault: Fault) {
        tracing::debug!(%fault, "the software NIC met a fault");
        self.met += 1;
        if self.all.len() < KEPT {
            self.all.push(fault);
        }
    }

    pub(super) fn all(&self) -> Vec<Fault> {
        self.all.clone()
    }

    /// The first fault that nobody has been told of, and how many others there are like it.
    pub(super) fn take_unreported(&mut self) -> Option<(Fault, usize)> {
        let new = self.all.get(self.reported..).unwrap_or_default();
        let first = new.first().cloned()?;
        let others = new.len() - 1;
        self.reported = self.all.len();
        Some((first, others))
    }
}

/// The misbehaviours to show, and the dice.
#[derive(Debug)]
pub(super) struct Chaos {
    plan: FaultPlan,
    any: bool,
    random: Random,
}

impl Chaos {
    pub(super) fn new(plan: FaultPlan, seed: u64) -> Self {
        Self { any: plan.any(), plan, random: Random::new(seed) }
    }

    pub(super) fn set(&mut self, inject: Inject, probability: f64) {
        self.plan.set(inject, probability);
        self.any = self.plan.any();
    }

    /// Whether any is on.
    #[inline(always)]
    pub(super) fn any(&self) -> bool {
        self.any
    }

    pub(super) fn has(&self, inject: Inject) -> bool {
        self.plan.has(inject)
    }

    /// Whether write-backs are held.
    #[inline(always)]
    pub(super) fn holds(&self) -> bool {
        self.any && self.plan.has(Inject::Late)
    }

    pub(super) fn strikes(&mut self, inject: Inject) -> bool {
        self.plan.strikes(inject, &mut self.random)
    }

    pub(super) fn below(&mut self, n: u32) -> u32 {
        self.random.below(n.max(1))
    }
}

/// What both directions use.
pub(super) struct Shared {
    pub(super) chip: &'static dyn Chip,
    pub(super) regs: Arc<RegFile>,
    pub(super) memory: Memory,
    pub(super) tally: Tally,
    pub(super) truth: Truth,
    pub(super) log: FaultLog,
    pub(super) chaos: Chaos,
    /// Whether descriptors are traced.
    pub(super) traced: bool,
    pub(super) trace: Arc<Mutex<Trace>>,
    /// Records descriptors that break the format, when that is asked for.
    pub(super) lawyer: Option<Lawyer>,
    /// Receive queues, one bit each, that have written packets back in this step.
    pub(super) written: u128,
    /// What the link carries, in Mbit/s.
    pub(super) mbps: u32,
    /// Pause frames hold the transmitter.
    pub(super) hold: Hold,
    /// SYSTIM.
    pub(super) time: TimeSync,
    /// A packet that was sent got its stamp in this step.
    pub(super) stamped: bool,
    /// Transmit queues that have reported packets done.
    pub(super) reported: u128,
    /// Those of them for which that is an interrupt cause.
    told: u128,
    /// The receive FIFO has overflown.
    pub(super) overrun: bool,
    /// The card was pulled in this step.
    pub(super) removal: bool,
    clock: Arc<Clock>,
    /// When this step began, if anybody asked.
    now: Cell<Option<Duration>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("truth", &self.truth).finish_non_exhaustive()
    }
}

impl Shared {
    /// The time of this step, on the wire's clock. Most steps do not ask for it: reading a clock
    /// takes as long as several frames do.
    pub(super) fn now(&self) -> Duration {
        let now = self.now.get().unwrap_or_else(|| self.clock.wire_now());
        self.now.set(Some(now));
        now
    }

    /// What a wire is told of the time.
    fn time_for(&self, wire: &dyn Wire) -> Duration {
        if wire.minds_time() { self.now() } else { Duration::ZERO }
    }

    /// Receive and transmit queues with a cause of an interrupt since the last call.
    #[inline]
    pub(super) fn take_written(&mut self) -> (u128, u128) {
        let reported = std::mem::take(&mut self.reported) & self.told;
        (std::mem::take(&mut self.written), reported)
    }

    #[cold]
    pub(super) fn note(&self, event: Event) {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).push(self.now(), event);
    }

    #[cold]
    pub(super) fn breach(&mut self, rule: Rule, offset: u32, value: u32) {
        if let Some(lawyer) = &mut self.lawyer {
            lawyer.record(rule, offset, value);
        }
    }
}

/// Which directions a step moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the wire to memory; and the other way when frames were left over there.
    Rx,
    /// From memory to the wire.
    Tx,
    /// Both.
    Both,
}

/// The data path of one NIC.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) wire: Box<dyn Wire>,
    pub(super) shared: Shared,
    /// In place of the wire while loopback leads the MAC's transmitter to its receiver.
    looped: Option<Loopback>,
    pub(super) rx: RxPath,
    tx: TxPath,
    iommu: Arc<SimIommu>,
    /// Generations of the registers and of the address map that the settings are from.
    seen: (u32, u32),
    /// PCI Command bit 2.
    pub(super) bus_master: bool,
    /// Somebody cleared that bit behind the driver's back.
    pub(super) master_lost: bool,
    /// The link is being negotiated, or the PHY is off.
    pub(super) training: bool,
    /// The PHY leads the MAC's transmitter to its receiver.
    pub(super) phy_loops: bool,
    mac: Mac,
    /// Steps for which the link stays down by chance.
    flap: u32,
    /// Steps whose counts are not in the registers yet.
    unadded: u32,
    /// Each step's are at once: tests step.
    stepped: bool,
    /// Frames do not wait on the wire for a receiver that is off, as they do when a test in this
    /// process starts the two ends one after the other.
    served: bool,
    /// Link forced down by a test.
    pub(super) unplugged: bool,
    was_up: bool,
}

impl Engine {
    pub(super) fn new(
        config: &SimConfig,
        wire: Box<dyn Wire>,
        regs: Arc<RegFile>,
        iommu: Arc<SimIommu>,
        trace: Option<Arc<Mutex<Trace>>>,
        clock: Arc<Clock>,
    ) -> Self {
        let map = regs.map;
        let shared = Shared {
            chip: config.chip.chip(),
            regs,
            memory: Memory::default(),
            tally: Tally::default(),
            truth: Truth::default(),
            log: FaultLog::default(),
            chaos: Chaos::new(config.faults.clone(), config.seed),
            traced: trace.is_some(),
            trace: trace.unwrap_or_else(|| Arc::new(Mutex::new(Trace::new(0, map)))),
            lawyer: config.lawyer.then(|| Lawyer::new(map)),
            written: 0,
            mbps: 0,
            hold: Hold::default(),
            time: TimeSync::new(clock.clone()),
            stamped: false,
            reported: 0,
            told: 0,
            overrun: false,
            removal: false,
            clock,
            now: Cell::new(None),
        };
        Self {
            wire,
            shared,
            looped: None,
            rx: RxPath::default(),
            tx: TxPath::default(),
            iommu,
            seen: (0, 0),
            bus_master: false,
            master_lost: false,
            training: false,
            phy_loops: false,
            mac: Mac { looped: false, master: true, linked: true, forced: false },
            flap: 0,
            unadded: 0,
            stepped: config.drive == Drive::Step,
            served: config.drive == Drive::Served,
            unplugged: false,
            was_up: false,
        }
    }

    /// Forgets all queues, as a reset does.
    pub(super) fn reset(&mut self) {
        self.rx.reset(&mut self.shared);
        self.tx = TxPath::default();
        self.seen = (0, 0);
        self.shared.time.reset();
        self.shared.hold = Hold::default();
        self.wire.announce_pause(false);
    }

    /// Whether there is a link.
    pub(super) fn link_up(&self) -> bool {
        self.mac.forced || !self.down() && self.medium().link_up()
    }

    /// Whether the PHY has a link, whatever the MAC makes of it.
    pub(super) fn carrier(&self) -> bool {
        !self.training && !self.unplugged && self.flap == 0 && self.wire.link_up()
    }

    /// What NIC and wire are good for, in Mbit/s.
    pub(super) fn speed_mbps(&self) -> u32 {
        self.medium().speed_mbps().min(self.shared.chip.mbps())
    }

    /// Whether the link has come or gone since the last call.
    pub(super) fn link_changed(&mut self) -> bool {
        let up = self.link_up();
        let was_up = std::mem::replace(&mut self.was_up, up);
        if was_up && !up {
            self.shared.chip.count_lost_link(&self.shared.regs);
        }
        was_up != up
    }

    /// Whether the link is down for a reason on this side of the wire.
    fn down(&self) -> bool {
        // Frames that turn round in the MAC need none.
        let out = self.training || self.unplugged || self.flap > 0 || !self.mac.linked;
        out && self.looped.is_none()
    }

    /// What the MAC is connected to.
    fn medium(&self) -> &dyn Wire {
        match &self.looped {
            Some(inner) => inner,
            None => &*self.wire,
        }
    }

    /// Looks at the registers again if they or the address map have changed.
    #[inline]
    pub(super) fn refresh(&mut self, generation: u32) {
        let seen = (generation, self.iommu.generation());
        if self.seen != seen {
            self.set_up(seen);
        }
    }

    /// Moves a batch, of what comes in no more than `most` frames. Returns whether anything moved.
    pub(super) fn step(&mut self, way: Way, most: usize, generation: u32) -> bool {
        self.refresh(generation);
        self.shared.now.set(None);
        // A flap ends even if no more are wanted.
        if self.shared.chaos.any() || self.flap > 0 {
            self.flap = self.flap.saturating_sub(1);
            if self.flap == 0 && self.shared.chaos.strikes(Inject::Flap) {
                self.flap = 1 + self.shared.chaos.below(50);
            }
        }
        let mut moved = false;
        if self.served && (self.down() || !self.rx.is_on()) {
            moved = self.wire.recv(self.shared.now(), BATCH, &mut |_| true) > 0;
        }
        if self.down() || !self.mac.master {
            return moved;
        }
        let master = self.bus_master;
        if self.tx.is_on() && (way != Way::Rx || self.tx.left_over) {
            let wire: &mut dyn Wire = match &mut self.looped {
                Some(inner) => inner,
                None => &mut *self.wire,
            };
            if self.shared.is_held() {
                self.tx.left_over = true;
            } else {
                let now = self.shared.time_for(wire);
                moved |= self.tx.step(&mut self.shared, wire, now, master);
            }
        }
        if self.rx.is_on() && way != Way::Tx && master {
            moved |= self.receive(most);
        }
        // While frames come, it is enough to add up now and then: whoever wants to know does it.
        self.unadded += 1;
        if !moved || self.stepped || self.unadded == ADD_UP_EVERY {
            self.add_up();
        }
        moved
    }

    /// Adds what was counted to the registers and to the truth.
    #[inline]
    pub(super) fn add_up(&mut self) {
        self.unadded = 0;
        let Shared { chip, tally, regs, truth, .. } = &mut self.shared;
        tally.flush(*chip, regs, truth);
    }

    fn receive(&mut self, most: usize) -> bool {
        let Self { wire, looped, shared, rx, .. } = self;
        let wire: &mut dyn Wire = match looped {
            Some(inner) => inner,
            None => &mut **wire,
        };
        rx.begin(shared);
        let now = shared.time_for(wire);
        let taken = wire.recv(now, most, &mut |frame| rx.accept(shared, frame));
        rx.finish(shared, taken < most);
        let missed = wire.take_missed();
        if missed > 0 {
            shared.tally.missed += missed;
            shared.tally.touch();
            shared.truth.arrived += missed;
            shared.overrun = true;
        }
        let pauses = wire.take_pauses();
        if pauses != (0, 0) {
            shared.tally.pauses.0 += pauses.0;
            shared.tally.pauses.1 += pauses.1;
            shared.tally.touch();
        }
        if let Some(error) = wire.take_error() {
            let what = FaultKind::Wire(error.to_string());
            shared.log.push(Fault { queue: None, descriptor: None, address: None, what });
        }
        taken > 0
    }

    #[cold]
    fn set_up(&mut self, seen: (u32, u32)) {
        if self.seen.1 != seen.1 {
            self.shared.memory.windows = self.iommu.windows();
        }
        self.seen = seen;
        let (chip, regs) = (self.shared.chip, self.shared.regs.clone());
        let mac = chip.mac(&regs);
        self.mac = mac;
        self.shared.told = chip.tx_told(&regs);
        if !mac.looped && !self.phy_loops {
            self.looped = None;
        } else if self.looped.is_none() {
            self.looped = Some(Loopback::new());
        }
        let memory = std::mem::take(&mut self.shared.memory);
        self.rx.set_up(&mut self.shared, |old| chip.rx_plan(&regs, &memory, old));
        self.tx.set_up(&mut self.shared, chip.tx_plan(&regs, &memory));
        self.shared.memory = memory;
        self.wire.announce_pause(self.tx.send_pause());
        if !self.tx.obeys_pause() {
            self.shared.hold = Hold::default();
        }
        self.pace();
    }

    /// SYSTIM goes as the registers say.
    pub(super) fn pace(&mut self) {
        self.shared.mbps = self.speed_mbps();
        let rate = self.shared.chip.pace(&self.shared.regs, self.shared.mbps);
        self.shared.time.pace(rate);
    }
}
