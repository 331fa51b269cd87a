//! The sending and the receiving side, and the loops that drive them.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use barewire::error::Result;
use barewire::{Batch, PoolCache, RxQueue, TxQueue};

use crate::check::{Checker, Findings};
use crate::common::counts::{PortCounts, Snapshot};
use crate::common::meter::{Fill, Turn};
use crate::common::pulse::{Beat, Seat};
use crate::pace::Pacer;
use crate::replay::{Comparer, Cursor};
use crate::template::Generator;

/// A drain ends when nothing has moved for so long,
const QUIET: Duration = Duration::from_millis(500);
/// and in any case after this.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// NICs report completions in groups, so fewer packets than this stay in flight for ever.
const REPORTED: usize = 64;
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
    fill: Fill,
}

impl Lane {
    pub(crate) fn new(queue: TxQueue, source: Source, burst: usize) -> Self {
        Self { queue, source, batch: Batch::new(burst), fill: Fill::new(burst) }
    }

    /// Makes what is due `now`, in nanoseconds since the start: at a rate, or as it was recorded.
    #[inline(never)]
    fn make(
        &mut self,
        mut pacer: Option<&mut Pacer>,
        cache: &mut PoolCache,
        remaining: &mut u64,
        now: u64,
    ) -> Result<()> {
        if let Some(pacer) = &mut pacer {
            pacer.begin(now);
        }
        while *remaining > 0 && self.batch.room() > 0 {
            let len = match &self.source {
                Source::Made(generator) => generator.next_len(),
                Source::Replay { cursor, recorded_pace, .. } => {
                    let Some(frame) = cursor.frame() else { break };
                    if *recorded_pace && cursor.due_ns() > now {
                        break;
                    }
                    frame.len() as u16
                }
            };
            if pacer.as_ref().is_some_and(|pacer| !pacer.due(now)) {
                break;
            }
            let Some(mut packet) = cache.alloc() else { break };
            match &mut self.source {
                Source::Made(generator) => generator.make(&mut packet),
                Source::Replay { cursor, .. } => {
                    // Longer than a buffer was refused before the start.
                    packet.append(cursor.frame().unwrap_or_default())?;
                }
            }
            // There is room.
            drop(self.batch.push(packet));
            *remaining -= 1;
            if let Some(pacer) = &mut pacer {
                pacer.charge(len);
            }
            if let Source::Replay { cursor, taken, .. } = &mut self.source {
                *taken += 1;
                cursor.advance()?;
            }
        }
        Ok(())
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
    /// Whether what is sent was recorded, and ends some time.
    replays: bool,
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
        let replays = lanes.iter().all(|l| matches!(l.source, Source::Replay { .. }));
        Self {
            port,
            lanes,
            replays,
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

    /// Gives every queue a burst. With `go` false, only what was made before is sent.
    #[inline(always)]
    fn turn(&mut self, go: bool) -> Turn {
        let mut turn = Turn::Nothing;
        let Self { lanes, pacer, cache, remaining, .. } = self;
        for lane in lanes {
            if go && lane.batch.is_empty() {
                match (&mut lane.source, &mut *pacer) {
                    (Source::Made(generator), None) => {
                        let room = (*remaining).min(lane.batch.capacity() as u64);
                        // Every size fits: the pool's buffers were made for the longest.
                        let len = generator.fresh_len();
                        match cache.alloc_batch_sized(&mut lane.batch, room as usize, len) {
                            Ok(n) => *remaining -= n as u64,
                            Err(e) => self.trouble = Some(e.to_string()),
                        }
                        generator.make_all(&mut lane.batch);
                    }
                    (_, pacer) => {
                        let now = self.start.elapsed().as_nanos() as u64;
                        if let Err(e) = lane.make(pacer.as_mut(), cache, remaining, now) {
                            self.trouble = Some(e.to_string());
                        }
                    }
                }
            }
            let n = lane.queue.tx_burst(cache, &mut lane.batch);
            lane.fill.burst(n, &mut turn);
        }
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(ASIDE) {
            self.look_aside();
        }
        turn
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
        self.remaining == 0 || self.replays && self.played()
    }

    fn played(&self) -> bool {
        self.trouble.is_some()
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
        self.lanes.iter().for_each(|l| snap.work.add(&l.fill.work()));
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
    fill: Fill,
    cache: PoolCache,
    judge: Judge,
    /// A packet of several buffers, in one piece.
    whole: Vec<u8>,
    /// Whether a packet out of order means that something is wrong.
    in_order: bool,
    /// Whether nobody else can have sent what arrives.
    alone: bool,
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
            fill: Fill::new(burst),
            cache,
            judge,
            whole: Vec::new(),
            in_order,
            alone,
            trouble: None,
        }
    }

    /// Takes a burst from every queue.
    #[inline(always)]
    fn turn(&mut self) -> Turn {
        let mut turn = Turn::Nothing;
        for queue in &mut self.queues {
            let n = queue.rx_burst(&mut self.cache, &mut self.batch);
            if n == 0 {
                continue;
            }
            self.fill.burst(n, &mut turn);
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
        turn
    }

    fn received(&self) -> u64 {
        self.fill.packets
    }

    fn finish(&mut self, sent: &[u64]) {
        match &mut self.judge {
            Judge::Stamps(c) => c.finish(sent),
            Judge::Recording(c) => c.finish(sent.iter().sum()),
            Judge::Count => {}
        }
    }

    fn counts(&self, snap: &mut Snapshot) {
        let mut c = PortCounts { consumed: self.received(), ..PortCounts::default() };
        self.queues.iter().for_each(|q| c.add_rx(q));
        let mut other = Snapshot::default();
        other.ports[self.port] = c;
        other.work = self.fill.work();
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

    /// Whether to go on, after such a turn.
    fn goes_on(&mut self, turn: Turn) -> bool {
        let now = Instant::now();
        if turn != Turn::Nothing {
            self.last_move = now;
        }
        now - self.last_move < QUIET && now - self.start < DRAIN_LIMIT
    }
}

fn snapshot(tx: &[TxSide], rx: &[RxSide], active: Option<Duration>) -> Snapshot {
    let mut snap = Snapshot { active, ..Snapshot::default() };
    tx.iter().for_each(|side| side.counts(&mut snap));
    rx.iter().for_each(|side| side.counts(&mut snap));
    snap
}

/// Sends and receives in turns, in one thread.
pub(crate) fn both(mut seat: Seat<'_>, mut tx: TxSide, mut rx: RxSide) {
    fn counts(tx: &TxSide, rx: &RxSide, active: Option<Duration>) -> Snapshot {
        snapshot(std::slice::from_ref(tx), std::slice::from_ref(rx), active)
    }
    let start = Instant::now();
    tx.start = start;
    while !tx.finished() {
        let turn = tx.turn(true).max(rx.turn());
        if turn == Turn::Nothing && seat.sleeps_next() {
            tx.look_aside();
        }
        seat.turned(turn, || tx.patience(), || counts(&tx, &rx, None));
        report(&seat, tx.trouble.as_deref().or(rx.trouble.as_deref()));
        if !seat.goes_on(|| counts(&tx, &rx, None)) {
            break;
        }
    }
    let mut drain = Drain::new();
    while seat.beat(|| counts(&tx, &rx, None)) != Beat::Abort {
        let turn = tx.turn(false).max(tx.reclaim().into()).max(rx.turn());
        seat.moved(turn);
        if (tx.flushed() && rx.received() >= tx.sent()) || !drain.goes_on(turn) {
            break;
        }
    }
    tx.look_aside();
    rx.finish(&tx.sent_by_lane());
    tx.give_up();
    seat.publish(counts(&tx, &rx, Some(drain.last_move - start)));
}

fn report(seat: &Seat<'_>, trouble: Option<&str>) {
    if let Some(why) = trouble {
        seat.pulse.abort(why);
    }
}

/// Only sends, on one port or several. With a receiver in another thread, keeps the ports going
/// until that has all.
pub(crate) fn send(mut seat: Seat<'_>, mut sides: Vec<TxSide>, receiver: bool) {
    let start = Instant::now();
    sides.iter_mut().for_each(|side| side.start = start);
    while !sides.iter().all(TxSide::finished) {
        let mut turn = Turn::Nothing;
        sides.iter_mut().for_each(|side| turn = turn.max(side.turn(true)));
        if turn == Turn::Nothing && seat.sleeps_next() {
            sides.iter_mut().for_each(TxSide::look_aside);
        }
        let patience = || sides.iter().map(TxSide::patience).min().unwrap_or_default();
        seat.turned(turn, patience, || snapshot(&sides, &[], None));
        report(&seat, sides.iter().find_map(|side| side.trouble.as_deref()));
        if !seat.goes_on(|| snapshot(&sides, &[], None)) {
            break;
        }
    }
    let pulse = seat.pulse;
    let mut drain = Drain::new();
    while seat.beat(|| snapshot(&sides, &[], None)) != Beat::Abort {
        let turn = flush(&mut sides);
        seat.moved(turn);
        // A receiver knows better when all is there.
        let done = if receiver { TxSide::flushed } else { TxSide::empty };
        if sides.iter().all(done) || !drain.goes_on(turn) {
            break;
        }
    }
    let last_move = drain.last_move;
    let given = sides.iter().flat_map(TxSide::sent_by_lane).collect();
    sides.iter_mut().for_each(TxSide::give_up);
    pulse.set_sent(given, sides.iter().map(TxSide::sent).sum());
    // A NIC that is driven by our calls still has frames on their way.
    let wait = Instant::now();
    while receiver
        && seat.beat(|| snapshot(&sides, &[], None)) != Beat::Abort
        && !pulse.received_all.load(Ordering::Acquire)
        && wait.elapsed() < DRAIN_LIMIT
    {
        let turn = flush(&mut sides);
        seat.moved(turn);
    }
    for side in &mut sides {
        side.look_aside();
        side.reclaim();
    }
    seat.publish(snapshot(&sides, &[], Some(last_move - start)));
}

/// Makes nothing more, and gives the rings what was made.
fn flush(sides: &mut [TxSide]) -> Turn {
    sides
        .iter_mut()
        .fold(Turn::Nothing, |turn, side| turn.max(side.turn(false)).max(side.reclaim().into()))
}

/// Only receives, from one port or several. With a sender in another thread, until all that it
/// sent is here or nothing comes any more; else until told to stop, or until each port has got
/// `count` packets.
pub(crate) fn receive(
    mut seat: Seat<'_>,
    mut sides: Vec<RxSide>,
    sender: bool,
    count: Option<u64>,
) {
    let start = Instant::now();
    let pulse = seat.pulse;
    let enough = if sender { u64::MAX } else { count.unwrap_or(u64::MAX) };
    let mut last_move = None;
    loop {
        let beat = seat.beat(|| snapshot(&[], &sides, None));
        let stop = match beat {
            Beat::Abort => true,
            Beat::Stop => !sender || pulse.sent().is_some(),
            Beat::Go => sender && pulse.sent().is_some(),
        };
        let mut turn = Turn::Nothing;
        sides.iter_mut().for_each(|side| turn = turn.max(side.turn()));
        seat.turned(turn, || Duration::MAX, || snapshot(&[], &sides, None));
        report(&seat, sides.iter().find_map(|side| side.trouble.as_deref()));
        if stop || sides.iter().all(|side| side.received() >= enough) {
            break;
        }
    }
    if let Some((sent, by_lane)) = pulse.sent() {
        let mut drain = Drain::new();
        while sides.iter().map(RxSide::received).sum::<u64>() < *sent {
            let mut turn = Turn::Nothing;
            sides.iter_mut().for_each(|side| turn = turn.max(side.turn()));
            seat.moved(turn);
            let beat = seat.beat(|| snapshot(&[], &sides, None));
            if beat == Beat::Abort || !drain.goes_on(turn) {
                break;
            }
        }
        last_move = Some(drain.last_move);
        sides.iter_mut().for_each(|side| side.finish(by_lane));
    }
    pulse.received_all.store(true, Ordering::Release);
    let active = last_move.map_or_else(|| start.elapsed(), |at| at - start);
    seat.publish(snapshot(&[], &sides, Some(active)));
}
