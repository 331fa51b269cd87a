//! The sending and the receiving side, and the loops that drive them.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use barewire::error::Result;
use barewire::{Batch, PoolCache, RxQueue, TxQueue};

use crate::check::{Checker, Findings};
use crate::common::pulse::{Beat, PortCounts, Seat, Snapshot};
use crate::pace::Pacer;
use crate::replay::{Comparer, Cursor};
use crate::template::Generator;

/// A drain ends when nothing has moved for so long,
const QUIET: Duration = Duration::from_millis(500);
/// and in any case after this.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// NICs report completions in groups, so fewer packets than this stay in flight for ever.
const REPORTED: usize = 32;
/// The queues that nothing is expected on are polled once in so many turns.
const ASIDE: u32 = 64;

/// Where a lane's packets come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Made from a template.
    Made(Generator),
    /// Replayed.
    Replay {
        /// The next frame.
        cursor: Cursor,
        /// Whether frames go when they went in the recording.
        recorded_pace: bool,
        /// Frames taken from it.
        taken: u64,
    },
}

impl Source {
    /// How many packets it has given.
    fn given(&self) -> u64 {
        match self {
            Self::Made(g) => g.seq,
            Self::Replay { taken, .. } => *taken,
        }
    }
}

/// One transmit queue with its source.
#[derive(Debug)]
pub(crate) struct Lane {
    queue: TxQueue,
    source: Source,
    batch: Batch,
}

impl Lane {
    pub(crate) fn new(queue: TxQueue, source: Source, burst: usize) -> Self {
        Self { queue, source, batch: Batch::new(burst) }
    }
}

/// All that sends.
#[derive(Debug)]
pub(crate) struct TxSide {
    port: usize,
    lanes: Vec<Lane>,
    /// The transmitting port's own receive queues, when no [`RxSide`] has them: what comes there
    /// is counted and thrown away.
    aside: Vec<RxQueue>,
    thrown: Batch,
    turns: u32,
    cache: PoolCache,
    pacer: Option<Pacer>,
    start: Instant,
    /// Packets still to be made.
    remaining: u64,
    unsent: u64,
    dropped: u64,
    trouble: Option<String>,
}

impl TxSide {
    pub(crate) fn new(
        port: usize,
        lanes: Vec<Lane>,
        aside: Vec<RxQueue>,
        cache: PoolCache,
        pacer: Option<Pacer>,
        count: Option<u64>,
    ) -> Self {
        Self {
            port,
            lanes,
            aside,
            thrown: Batch::new(64),
            turns: 0,
            cache,
            pacer,
            start: Instant::now(),
            remaining: count.unwrap_or(u64::MAX),
            unsent: 0,
            dropped: 0,
            trouble: None,
        }
    }

    /// Gives every queue a burst. With `go` false, only what was made before is sent. Returns how
    /// many packets the queues took.
    #[inline]
    fn turn(&mut self, go: bool) -> usize {
        let mut moved = 0;
        for i in 0..self.lanes.len() {
            if go && self.lanes[i].batch.is_empty() {
                self.make(i);
            }
            let lane = &mut self.lanes[i];
            moved += lane.queue.tx_burst(&mut self.cache, &mut lane.batch);
        }
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(ASIDE) {
            self.look_aside();
        }
        moved
    }

    #[inline]
    fn make(&mut self, i: usize) {
        let Self { lanes, pacer, cache, remaining, start, .. } = self;
        let Some(lane) = lanes.get_mut(i) else { return };
        let room = u64::try_from(lane.batch.capacity()).unwrap_or(u64::MAX).min(*remaining);
        let made = match &mut lane.source {
            Source::Made(generator) if pacer.is_none() => {
                cache.alloc_batch(&mut lane.batch, room as usize);
                // Every size fits: the pool's buffers were made for the longest.
                generator.make_all(&mut lane.batch);
                lane.batch.len() as u64
            }
            Source::Made(generator) => {
                let now = start.elapsed().as_nanos() as u64;
                let mut made = 0;
                if let Some(pacer) = pacer {
                    pacer.begin(now);
                    while made < room && pacer.due(now) {
                        let Some(mut packet) = cache.alloc() else { break };
                        let len = generator.next_len();
                        generator.make(&mut packet);
                        if lane.batch.push(packet).is_err() {
                            break;
                        }
                        pacer.charge(len);
                        made += 1;
                    }
                }
                made
            }
            Source::Replay { cursor, recorded_pace, taken } => {
                let now = start.elapsed().as_nanos() as u64;
                if let Some(pacer) = pacer {
                    pacer.begin(now);
                }
                let mut made = 0;
                while made < room {
                    let Some(frame) = cursor.frame() else { break };
                    if *recorded_pace && cursor.due_ns() > now {
                        break;
                    }
                    if let Some(pacer) = pacer {
                        if !pacer.due(now) {
                            break;
                        }
                        pacer.charge(frame.len() as u16);
                    }
                    let Some(mut packet) = cache.alloc() else { break };
                    // Longer than a buffer was refused before the start.
                    if packet.append(frame).is_err() || lane.batch.push(packet).is_err() {
                        break;
                    }
                    made += 1;
                    *taken += 1;
                    if let Err(e) = cursor.advance() {
                        self.trouble = Some(e.to_string());
                        break;
                    }
                }
                made
            }
        };
        *remaining -= made;
    }

    fn look_aside(&mut self) {
        for queue in &mut self.aside {
            queue.rx_burst(&mut self.cache, &mut self.thrown);
            self.dropped += self.thrown.len() as u64;
            self.cache.free_batch(&mut self.thrown);
        }
    }

    /// Whether there is nothing more to make.
    #[inline]
    fn finished(&self) -> bool {
        self.remaining == 0
            || self.trouble.is_some()
            || self.lanes.iter().all(|l| match &l.source {
                Source::Made(_) => false,
                Source::Replay { cursor, .. } => cursor.finished(),
            })
    }

    /// How long there is nothing to send.
    fn patience(&self) -> Duration {
        if self.lanes.is_empty() || !self.flushed() {
            return Duration::ZERO;
        }
        let now = self.start.elapsed().as_nanos() as u64;
        let paced = self.pacer.as_ref().map_or(0, |p| p.wait_ns(now));
        let wait = |lane: &Lane| match &lane.source {
            Source::Replay { cursor, recorded_pace: true, .. } => {
                paced.max(cursor.due_ns().saturating_sub(now))
            }
            _ => paced,
        };
        Duration::from_nanos(self.lanes.iter().map(wait).min().unwrap_or(0))
    }

    fn reclaim(&mut self) -> usize {
        self.lanes.iter_mut().map(|l| l.queue.reclaim(&mut self.cache)).sum()
    }

    /// Whether all that was made is in the rings.
    fn flushed(&self) -> bool {
        self.lanes.iter().all(|l| l.batch.is_empty())
    }

    /// Whether all that was made was sent, as far as can be known.
    fn empty(&self) -> bool {
        self.flushed() && self.lanes.iter().all(|l| l.queue.in_flight() < REPORTED)
    }

    /// Frees what the rings do not take.
    fn give_up(&mut self) {
        for lane in &mut self.lanes {
            self.unsent += lane.batch.len() as u64;
            self.cache.free_batch(&mut lane.batch);
        }
    }

    /// Packets that the queues took.
    fn sent(&self) -> u64 {
        self.lanes.iter().map(|l| l.queue.stats().packets).sum()
    }

    fn counts(&self, snap: &mut Snapshot) {
        let made: u64 = self.lanes.iter().map(|l| l.source.given()).sum();
        let waiting: u64 = self.lanes.iter().map(|l| l.batch.len() as u64).sum();
        let mut c = PortCounts {
            generated: made - waiting,
            offered: made - waiting,
            unsent: self.unsent,
            dropped: self.dropped,
            ..PortCounts::default()
        };
        self.lanes.iter().for_each(|l| c.add_tx(&l.queue));
        self.aside.iter().for_each(|q| c.add_rx(q));
        snap.ports[self.port] = c;
    }

    /// Per lane, how many of its packets a receiver may expect.
    fn sent_by_lane(&self) -> Vec<u64> {
        self.lanes.iter().map(|l| l.source.given() - l.batch.len() as u64).collect()
    }
}

/// How received packets are looked at.
#[derive(Debug)]
pub(crate) enum Judge {
    /// By their stamps.
    Stamps(Checker),
    /// Against the recording that is replayed.
    Recording(Box<Comparer>),
    /// Not at all: only counted.
    Count,
}

impl Judge {
    fn findings(&self) -> Findings {
        match self {
            Self::Stamps(checker) => checker.findings(),
            Self::Recording(comparer) => comparer.findings(),
            Self::Count => Findings::default(),
        }
    }
}

/// All that receives.
#[derive(Debug)]
pub(crate) struct RxSide {
    port: usize,
    queues: Vec<RxQueue>,
    batch: Batch,
    cache: PoolCache,
    judge: Judge,
    /// A packet of several buffers, in one piece.
    whole: Vec<u8>,
    /// Whether a packet out of order means that something is wrong.
    in_order: bool,
    /// Whether nobody else can have sent what arrives.
    alone: bool,
    received: u64,
    trouble: Option<String>,
}

impl RxSide {
    pub(crate) fn new(
        port: usize,
        queues: Vec<RxQueue>,
        burst: usize,
        cache: PoolCache,
        judge: Judge,
        in_order: bool,
        alone: bool,
    ) -> Self {
        Self {
            port,
            queues,
            batch: Batch::new(burst),
            cache,
            judge,
            whole: Vec::new(),
            in_order,
            alone,
            received: 0,
            trouble: None,
        }
    }

    /// Takes a burst from every queue. Returns how many packets came.
    #[inline]
    fn turn(&mut self) -> usize {
        let mut moved = 0;
        for queue in &mut self.queues {
            let n = queue.rx_burst(&mut self.cache, &mut self.batch);
            if n == 0 {
                continue;
            }
            moved += n;
            let (batch, whole) = (&self.batch, &mut self.whole);
            let looked = match &mut self.judge {
                Judge::Stamps(c) => look(batch, whole, |frame| {
                    c.packet(frame);
                    Ok(())
                }),
                Judge::Recording(c) => look(batch, whole, |frame| c.packet(frame)),
                Judge::Count => Ok(()),
            };
            if let Err(e) = looked {
                self.trouble = Some(e.to_string());
            }
            self.cache.free_batch(&mut self.batch);
        }
        self.received += moved as u64;
        moved
    }

    fn finish(&mut self, sent: &[u64]) {
        match &mut self.judge {
            Judge::Stamps(c) => c.finish(sent),
            Judge::Recording(c) => c.finish(sent.iter().sum()),
            Judge::Count => {}
        }
    }

    fn counts(&self, snap: &mut Snapshot) {
        let mut c = PortCounts { consumed: self.received, ..PortCounts::default() };
        self.queues.iter().for_each(|q| c.add_rx(q));
        let mut other = Snapshot::default();
        other.ports[self.port] = c;
        if !matches!(self.judge, Judge::Count) {
            let f = self.judge.findings();
            other.extra = vec![
                ("good", f.good),
                ("lost", f.lost),
                ("duplicate", f.duplicate),
                ("reordered", f.reordered),
                ("corrupt", f.corrupt),
                ("foreign", f.foreign),
            ];
            // A damaged packet came, but its number did not.
            other.missing = Some(f.lost.saturating_sub(f.corrupt + f.foreign));
            other.faults = f.duplicate + f.corrupt;
            other.faults += if self.in_order { f.reordered } else { 0 };
            other.faults += if self.alone { f.foreign } else { 0 };
        }
        snap.add(&other);
    }
}

/// Shows every packet of a batch to `judge`.
#[inline]
fn look(
    batch: &Batch,
    whole: &mut Vec<u8>,
    mut judge: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    for packet in batch.iter() {
        if packet.is_chain() {
            whole.clear();
            packet.segments().for_each(|s| whole.extend_from_slice(s));
            judge(whole)?;
        } else {
            judge(packet.data())?;
        }
    }
    Ok(())
}

/// Bounds a drain.
#[derive(Debug)]
struct Drain {
    start: Instant,
    last_move: Instant,
}

impl Drain {
    fn new() -> Self {
        let now = Instant::now();
        Self { start: now, last_move: now }
    }

    /// Whether to go on, after a turn that moved `packets`.
    fn goes_on(&mut self, packets: usize) -> bool {
        let now = Instant::now();
        if packets > 0 {
            self.last_move = now;
        }
        now - self.last_move < QUIET && now - self.start < DRAIN_LIMIT
    }
}

fn snapshot(tx: Option<&TxSide>, rx: Option<&RxSide>, active: Option<Duration>) -> Snapshot {
    let mut snap = Snapshot { active, ..Snapshot::default() };
    if let Some(tx) = tx {
        tx.counts(&mut snap);
    }
    if let Some(rx) = rx {
        rx.counts(&mut snap);
    }
    snap
}

/// Sends and receives in turns, in one thread.
pub(crate) fn both(mut seat: Seat<'_>, mut tx: TxSide, mut rx: RxSide) {
    let start = Instant::now();
    tx.start = start;
    let mut beat = Beat::Go;
    while beat == Beat::Go && !tx.finished() {
        beat = seat.beat(|| snapshot(Some(&tx), Some(&rx), None));
        let moved = tx.turn(true) + rx.turn();
        if moved == 0 && seat.sleeps_next() {
            tx.look_aside();
        }
        seat.turned(moved, || tx.patience(), || snapshot(Some(&tx), Some(&rx), None));
        report(&seat, tx.trouble.as_deref().or(rx.trouble.as_deref()));
    }
    let mut drain = Drain::new();
    while beat != Beat::Abort {
        beat = seat.beat(|| snapshot(Some(&tx), Some(&rx), None));
        let moved = tx.turn(false) + tx.reclaim() + rx.turn();
        seat.moved(moved);
        if (tx.flushed() && rx.received >= tx.sent()) || !drain.goes_on(moved) {
            break;
        }
    }
    tx.look_aside();
    rx.finish(&tx.sent_by_lane());
    tx.give_up();
    seat.publish(snapshot(Some(&tx), Some(&rx), Some(drain.last_move - start)));
}

fn report(seat: &Seat<'_>, trouble: Option<&str>) {
    if let Some(why) = trouble {
        seat.pulse.abort(why);
    }
}

/// Only sends. With a receiver in another thread, keeps the port going until that has all.
pub(crate) fn send(mut seat: Seat<'_>, mut tx: TxSide, receiver: bool) {
    let start = Instant::now();
    tx.start = start;
    let mut beat = Beat::Go;
    while beat == Beat::Go && !tx.finished() {
        beat = seat.beat(|| snapshot(Some(&tx), None, None));
        let moved = tx.turn(true);
        if moved == 0 && seat.sleeps_next() {
            tx.look_aside();
        }
        seat.turned(moved, || tx.patience(), || snapshot(Some(&tx), None, None));
        report(&seat, tx.trouble.as_deref());
    }
    let pulse = seat.pulse;
    let mut drain = Drain::new();
    while beat != Beat::Abort {
        beat = seat.beat(|| snapshot(Some(&tx), None, None));
        let moved = tx.turn(false) + tx.reclaim();
        seat.moved(moved);
        // A receiver knows better when all is there.
        let done = if receiver { tx.flushed() } else { tx.empty() };
        if done || !drain.goes_on(moved) {
            break;
        }
    }
    let last_move = drain.last_move;
    let given = tx.sent_by_lane();
    tx.give_up();
    pulse.set_sent(given, tx.sent());
    // A NIC that is driven by our calls still has frames on their way.
    let mut wait = Drain::new();
    while receiver
        && beat != Beat::Abort
        && !pulse.received_all.load(Ordering::Acquire)
        && wait.start.elapsed() < DRAIN_LIMIT
    {
        beat = seat.beat(|| snapshot(Some(&tx), None, None));
        let moved = tx.turn(false) + tx.reclaim();
        wait.goes_on(moved);
        seat.moved(moved);
    }
    tx.look_aside();
    tx.reclaim();
    seat.publish(snapshot(Some(&tx), None, Some(last_move - start)));
}

/// Only receives. With a sender in another thread, until all that it sent is here or nothing
/// comes any more; else until told to stop.
pub(crate) fn receive(mut seat: Seat<'_>, mut rx: RxSide, sender: bool, count: Option<u64>) {
    let start = Instant::now();
    let pulse = seat.pulse;
    let mut last_move = None;
    loop {
        let beat = seat.beat(|| snapshot(None, Some(&rx), None));
        let stop = match beat {
            Beat::Abort => true,
            Beat::Stop => !sender || pulse.sent().is_some(),
            Beat::Go => sender && pulse.sent().is_some(),
        };
        let moved = rx.turn();
        seat.turned(moved, || Duration::MAX, || snapshot(None, Some(&rx), None));
        report(&seat, rx.trouble.as_deref());
        if stop || (!sender && count.is_some_and(|n| rx.received >= n)) {
            break;
        }
    }
    if let Some((sent, by_lane)) = pulse.sent() {
        let mut drain = Drain::new();
        while rx.received < *sent {
            let moved = rx.turn();
            seat.moved(moved);
            if seat.beat(|| snapshot(None, Some(&rx), None)) == Beat::Abort || !drain.goes_on(moved)
            {
                break;
            }
        }
        last_move = Some(drain.last_move);
        rx.finish(by_lane);
    }
    pulse.received_all.store(true, Ordering::Release);
    let active = last_move.map_or_else(|| start.elapsed(), |at| at - start);
    seat.publish(snapshot(None, Some(&rx), Some(active)));
}
