//! What workers count, and how the counts of several add up.

use std::time::Duration;

use barewire::port::{RxQueue, RxQueueStats, TxQueue, TxQueueStats};

use super::meter::Work;
use super::rest::Slept;

/// Ports that a tool has at most.
pub(crate) const MAX_PORTS: usize = 2;

/// What a worker counted on one port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PortCounts {
    /// Sum over its receive queues.
    pub(crate) rx: RxQueueStats,
    /// Packets received into the rings and not taken.
    pub(crate) backlog: u64,
    /// Sum over its transmit queues.
    pub(crate) tx: TxQueueStats,
    /// Packets in the transmit rings that are not known to be sent.
    pub(crate) in_flight: u64,
    /// Packets that the tool made to send on this port.
    pub(crate) generated: u64,
    /// Packets that the tool meant to send on this port: generated or forwarded.
    pub(crate) offered: u64,
    /// Those of them that it freed because the ring stayed full.
    pub(crate) unsent: u64,
    /// Received packets that the tool was there for: checked, captured, answered.
    pub(crate) consumed: u64,
    /// Received packets that the tool threw away.
    pub(crate) dropped: u64,
}

impl PortCounts {
    /// Adds a receive queue's counters.
    pub(crate) fn add_rx(&mut self, queue: &RxQueue) {
        self.add_rx_stats(queue.stats());
        self.backlog += queue.backlog() as u64;
    }

    /// Adds a transmit queue's counters.
    pub(crate) fn add_tx(&mut self, queue: &TxQueue) {
        self.add_tx_stats(queue.stats());
        self.in_flight += queue.in_flight() as u64;
    }

    fn add_rx_stats(&mut self, s: RxQueueStats) {
        self.rx.packets += s.packets;
        self.rx.bytes += s.bytes;
        self.rx.errors += s.errors;
        self.rx.bad_descriptors += s.bad_descriptors;
        self.rx.pool_empty += s.pool_empty;
    }

    fn add_tx_stats(&mut self, s: TxQueueStats) {
        self.tx.packets += s.packets;
        self.tx.bytes += s.bytes;
        self.tx.errors += s.errors;
        self.tx.ring_full += s.ring_full;
        self.tx.quarantined += s.quarantined;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.add_rx_stats(other.rx);
        self.add_tx_stats(other.tx);
        self.backlog += other.backlog;
        self.in_flight += other.in_flight;
        self.generated += other.generated;
        self.offered += other.offered;
        self.unsent += other.unsent;
        self.consumed += other.consumed;
        self.dropped += other.dropped;
    }
}

/// A worker's counts at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// By port, in the order of the session.
    pub(crate) ports: [PortCounts; MAX_PORTS],
    /// What the tool counts beside, by name.
    pub(crate) extra: Vec<(&'static str, u64)>,
    /// Packets that never came, as their sequence numbers tell, when somebody looks at those.
    pub(crate) missing: Option<u64>,
    /// Those of `extra` that mean something is wrong.
    pub(crate) faults: u64,
    /// How long this worker's part of the traffic took, when it is over.
    pub(crate) active: Option<Duration>,
    /// How it slept, when that is what it does; the seat sees to it.
    pub(crate) slept: Option<Slept>,
    /// Its bursts; the seat adds the ticks.
    pub(crate) work: Work,
    /// The same by worker, in a sum of all.
    pub(crate) workers: Vec<Work>,
}

impl Snapshot {
    /// Adds another worker's counts.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.ports.iter_mut().zip(&other.ports) {
            mine.add(theirs);
        }
        for (name, n) in &other.extra {
            match self.extra.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += n,
                None => self.extra.push((name, *n)),
            }
        }
        self.faults += other.faults;
        self.missing = match (self.missing, other.missing) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        self.active = self.active.max(other.active);
        if let Some(theirs) = &other.slept {
            self.slept.get_or_insert_default().add(theirs);
        }
        self.work.add(&other.work);
    }
}
