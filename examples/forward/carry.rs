//! The worker that carries packets.

use std::time::{Duration, Instant};

use barewire::{Batch, PoolCache, RxQueue, TxQueue};

use crate::common::counts::Snapshot;
use crate::common::meter::{Fill, Turn};
use crate::common::pulse::{Beat, Seat};
use crate::edit::Edit;

/// At the end, what is in the transmit rings gets so long to leave.
const DRAIN: Duration = Duration::from_millis(500);
/// NICs report completions in groups, so fewer packets than this stay in flight for ever.
const REPORTED: usize = 64;

/// A receive queue and where its packets go.
#[derive(Debug)]
pub(crate) struct Lane<E> {
    pub(crate) rx: RxQueue,
    /// The port that it is of.
    pub(crate) from: usize,
    /// Index of the transmit queue.
    pub(crate) out: usize,
    pub(crate) edit: E,
    batch: Batch,
    fill: Fill,
    unsent: u64,
}

impl<E: Edit> Lane<E> {
    pub(crate) fn new(rx: RxQueue, from: usize, out: usize, edit: E, burst: usize) -> Self {
        let (batch, fill) = (Batch::new(burst), Fill::new(burst));
        Self { rx, from, out, edit, batch, fill, unsent: 0 }
    }

    fn give_up(&mut self, cache: &mut PoolCache) {
        self.unsent += self.batch.len() as u64;
        cache.free_batch(&mut self.batch);
    }
}

/// A transmit queue.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) tx: TxQueue,
    /// The port that it is of.
    pub(crate) to: usize,
}

/// What one worker carries, and how.
#[derive(Debug)]
pub(crate) struct Carrier<E> {
    pub(crate) lanes: Vec<Lane<E>>,
    pub(crate) outs: Vec<Out>,
    pub(crate) cache: PoolCache,
    /// How often a full ring is tried again before packets are dropped; `None`: they are kept.
    pub(crate) retries: Option<u32>,
    /// Packets received, and how many are enough.
    pub(crate) received: u64,
    pub(crate) count: u64,
}

impl<E: Edit> Carrier<E> {
    /// Carries a burst of each receive queue.
    #[inline(always)]
    fn turn(&mut self) -> Turn {
        let Self { lanes, outs, cache, .. } = self;
        let mut turn = Turn::Nothing;
        for lane in lanes {
            if !lane.batch.is_empty() {
                // Nothing more comes in before it is gone.
                turn = turn.max(retry(lane, outs, cache).into());
                continue;
            }
            let n = lane.rx.rx_burst(cache, &mut lane.batch);
            if n == 0 {
                continue;
            }
            self.received += n as u64;
            lane.fill.burst(n, &mut turn);
            if E::FREES {
                cache.free_batch(&mut lane.batch);
                continue;
            }
            lane.edit.apply(&mut lane.batch);
            let Some(out) = outs.get_mut(lane.out) else { continue };
            if out.tx.tx_burst(cache, &mut lane.batch) < n {
                left_over(lane, out, cache, self.retries);
            }
        }
        turn
    }

    /// Lets the NIC send: for a device that moves only when it is called, and to free buffers.
    fn kick(&mut self) -> usize {
        let Self { lanes, outs, cache, .. } = self;
        let mut moved = 0;
        for lane in lanes {
            moved += retry(lane, outs, cache);
        }
        moved + outs.iter_mut().map(|out| out.tx.reclaim(cache)).sum::<usize>()
    }

    /// Whether it holds packets that a transmit ring has not taken yet.
    fn holds(&self) -> bool {
        self.lanes.iter().any(|l| !l.batch.is_empty())
    }

    fn busy(&self) -> bool {
        self.holds() || self.outs.iter().any(|o| o.tx.in_flight() >= REPORTED)
    }

    fn counts(&self, active: Option<Duration>) -> Snapshot {
        let mut snap = Snapshot { active, ..Snapshot::default() };
        for lane in &self.lanes {
            let received = lane.fill.packets;
            let from = &mut snap.ports[lane.from];
            from.add_rx(&lane.rx);
            if E::FREES {
                from.consumed += received;
            } else if let Some(out) = self.outs.get(lane.out) {
                let to = &mut snap.ports[out.to];
                to.offered += received;
                to.unsent += lane.unsent;
            }
            snap.work.add(&lane.fill.work());
        }
        self.outs.iter().for_each(|out| snap.ports[out.to].add_tx(&out.tx));
        snap
    }
}

/// Offers a lane's packets to its ring once more.
#[cold]
fn retry<E>(lane: &mut Lane<E>, outs: &mut [Out], cache: &mut PoolCache) -> usize {
    outs.get_mut(lane.out).map_or(0, |out| out.tx.tx_burst(cache, &mut lane.batch))
}

/// Offers what a full ring did not take once more, and again, and frees the rest; or keeps it.
#[cold]
fn left_over<E: Edit>(
    lane: &mut Lane<E>,
    out: &mut Out,
    cache: &mut PoolCache,
    retries: Option<u32>,
) {
    let Some(retries) = retries else { return };
    for _ in 0..retries {
        std::hint::spin_loop();
        out.tx.tx_burst(cache, &mut lane.batch);
        if lane.batch.is_empty() {
            return;
        }
    }
    lane.give_up(cache);
}

/// Carries until told to stop or all is received, and then lets the rings run empty.
pub(crate) fn carry<E: Edit>(mut seat: Seat<'_>, mut carrier: Carrier<E>) {
    let start = Instant::now();
    let mut idle_turns = 0u32;
    while carrier.received < carrier.count && seat.goes_on(|| carrier.counts(None)) {
        let turn = carrier.turn();
        let patience = || if carrier.holds() { Duration::ZERO } else { Duration::MAX };
        seat.turned(turn, patience, || carrier.counts(None));
        if turn != Turn::Nothing {
            idle_turns = 0;
            continue;
        }
        // Nothing comes in: see to what has not gone out.
        if idle_turns.is_multiple_of(64) {
            carrier.kick();
        }
        idle_turns = idle_turns.wrapping_add(1);
    }
    let active = start.elapsed();
    let mut last_move = Instant::now();
    let mut beat = seat.beat(|| carrier.counts(None));
    while beat != Beat::Abort && carrier.busy() && last_move.elapsed() < DRAIN {
        let moved = carrier.kick();
        if moved > 0 {
            last_move = Instant::now();
        }
        beat = seat.beat(|| carrier.counts(None));
        seat.moved(moved);
    }
    let Carrier { lanes, cache, .. } = &mut carrier;
    lanes.iter_mut().for_each(|lane| lane.give_up(cache));
    seat.publish(carrier.counts(Some(active)));
}
