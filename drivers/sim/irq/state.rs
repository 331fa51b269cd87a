//! What is waiting to be told, and the rules by which it is.

use std::sync::Arc;
use std::time::Duration;

use super::timer::TcpTimer;
use super::{InterruptMode, InterruptSink, OTHER, VECTORS};
use crate::drivers::sim::chip::Chip;
use crate::drivers::sim::regs::RegFile;
use crate::poll::Event;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct State {
    mode: InterruptMode,
    sink: Option<Arc<dyn InterruptSink>>,
    /// The slot lets the line through: PCI Command bit 10.
    pub(super) masked: bool,
    asserted: bool,
    /// Causes that were active at the last look.
    seen: u128,
    /// Vectors that have something to tell; bit 0 with one message or the line.
    wanting: u64,
    /// Those of them that the throttle does not hold.
    urgent: u64,
    /// When each throttle lets go.
    ready: [Duration; VECTORS],
    pub(super) timer: TcpTimer,
}

impl Default for State {
    fn default() -> Self {
        Self {
            mode: InterruptMode::Intx,
            sink: None,
            masked: false,
            asserted: false,
            seen: 0,
            wanting: 0,
            urgent: 0,
            ready: [Duration::ZERO; VECTORS],
            timer: TcpTimer::default(),
        }
    }
}

/// The numbers of the bits in a mask.
fn bits(mut mask: u64) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let next = (mask != 0).then(|| mask.trailing_zeros() as u8);
        mask &= mask.wrapping_sub(1);
        next
    })
}

/// What telling goes by.
struct Rules<'a> {
    chip: &'a dyn Chip,
    regs: &'a RegFile,
    now: &'a dyn Fn() -> Duration,
}

impl State {
    /// After a reset of the function.
    pub(super) fn reset(&mut self) {
        self.ready = [Duration::ZERO; VECTORS];
        self.timer = TcpTimer::default();
        self.forget();
    }

    /// Whatever is active counts as new.
    fn forget(&mut self) {
        (self.asserted, self.seen, self.wanting, self.urgent) = (false, 0, 0, 0);
    }

    pub(super) fn set_mode(&mut self, mode: InterruptMode) {
        self.mode = mode;
        self.forget();
    }

    pub(super) fn connect(&mut self, sink: Option<Arc<dyn InterruptSink>>) {
        self.sink = sink;
        self.forget();
    }

    pub(super) fn asserts(&self) -> bool {
        self.asserted
    }

    /// A card that is gone lets go of the line; its slot tells whoever waits.
    pub(super) fn line_gone(&mut self) {
        if let Some(sink) = &self.sink {
            sink.intx();
        }
    }

    pub(super) fn throttle_left(&self, vector: u8, now: Duration) -> Duration {
        self.ready
            .get(usize::from(vector))
            .map_or(Duration::ZERO, |ready| ready.saturating_sub(now))
    }

    pub(super) fn hold_throttle(&mut self, vector: u8, left: Duration, now: Duration) {
        if let Some(ready) = self.ready.get_mut(usize::from(vector)) {
            *ready = if left.is_zero() { Duration::ZERO } else { now + left };
        }
    }

    /// When something is due.
    pub(super) fn due(&self) -> Option<Duration> {
        let throttled = bits(self.wanting).filter_map(|v| self.ready.get(usize::from(v)).copied());
        throttled.chain(self.timer.due()).min()
    }

    /// Looks at the causes and tells what has risen, unless it is throttled.
    pub(super) fn tell(
        &mut self,
        chip: &dyn Chip,
        regs: &RegFile,
        now: &dyn Fn() -> Duration,
        event: Option<&Event>,
        urgent: bool,
    ) {
        let rules = Rules { chip, regs, now };
        let mut active = chip.active(regs);
        let mut rising = active & !self.seen;
        if rising != 0 && chip.latch(regs, rising) {
            active = chip.active(regs);
            rising = active & !self.seen;
        }
        self.seen = active;
        match self.mode {
            InterruptMode::Intx => self.drive_line(&rules, event, urgent),
            InterruptMode::Msix { vectors } if chip.vectored(regs) => {
                self.send_vectors(&rules, rising, vectors, urgent);
            }
            InterruptMode::Msi { .. } | InterruptMode::Msix { .. } => {
                self.send_one(&rules, rising, urgent);
            }
        }
    }

    /// The line is asserted as long as there is an active cause, once the throttle lets it.
    fn drive_line(&mut self, rules: &Rules<'_>, event: Option<&Event>, urgent: bool) {
        if self.seen == 0 {
            (self.asserted, self.wanting, self.urgent) = (false, 0, 0);
            return;
        }
        if !self.asserted {
            self.want(1, urgent);
            if !self.may_go(rules, 0) {
                return;
            }
            self.go(rules, 0);
            self.asserted = true;
        }
        if !self.masked {
            self.masked = true;
            if let Some(event) = event {
                event.raise();
            }
            if let Some(sink) = &self.sink {
                sink.intx();
            }
        }
    }

    /// One message for whatever rises.
    fn send_one(&mut self, rules: &Rules<'_>, rising: u128, urgent: bool) {
        if self.seen == 0 {
            (self.wanting, self.urgent) = (0, 0);
        } else {
            self.want((rising != 0).into(), urgent);
            if self.wanting != 0 && self.may_go(rules, 0) {
                self.go(rules, 0);
                self.send(0);
            }
        }
    }

    /// A message for each vector that has a cause which rises.
    fn send_vectors(&mut self, rules: &Rules<'_>, rising: u128, vectors: u16, urgent: bool) {
        const QUEUES: u128 = (1 << OTHER) - 1;
        let routes = rules.chip.routes(rules.regs);
        let mut want = (rising & QUEUES) as u64;
        for (causes, vector) in routes {
            if let Some(vector) = vector.filter(|_| rising & causes != 0) {
                want |= 1 << vector;
            }
        }
        self.want(want, urgent);
        for vector in bits(self.wanting) {
            let others = routes.iter().filter(|(_, to)| *to == Some(vector));
            let its = others.fold(1 << vector, |its, (causes, _)| its | causes);
            let causes = self.seen & its;
            if causes == 0 {
                self.wanting &= !(1 << vector);
                self.urgent &= !(1 << vector);
            } else if self.may_go(rules, vector) {
                self.go(rules, vector);
                rules.chip.sent(rules.regs, causes);
                // Beyond the slot's table there is nowhere to send it to.
                if u16::from(vector) < vectors {
                    self.send(vector.into());
                }
            }
        }
        // What sending has cleared or masked may rise again.
        self.seen &= rules.chip.active(rules.regs);
    }

    fn want(&mut self, vectors: u64, urgent: bool) {
        self.wanting |= vectors;
        if urgent {
            self.urgent |= vectors;
        }
    }

    /// Whether the throttle lets a vector go.
    fn may_go(&self, rules: &Rules<'_>, vector: u8) -> bool {
        let ready = self.ready.get(usize::from(vector)).copied().unwrap_or_default();
        self.urgent & 1 << vector != 0 || ready.is_zero() || (rules.now)() >= ready
    }

    /// It goes, and its throttle starts.
    fn go(&mut self, rules: &Rules<'_>, vector: u8) {
        self.wanting &= !(1 << vector);
        self.urgent &= !(1 << vector);
        let interval = rules.chip.throttle(rules.regs, vector);
        if let Some(ready) = self.ready.get_mut(usize::from(vector)) {
            *ready = if interval.is_zero() { interval } else { (rules.now)() + interval };
        }
    }

    fn send(&self, vector: u16) {
        if let Some(sink) = &self.sink {
            sink.message(vector);
        }
    }
}

#[cfg(test)]
mod tests;
