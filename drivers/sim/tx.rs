//! The transmit engine: descriptor fetch, the plain fast path, completion (82599 datasheet 7.2).

use std::collections::VecDeque;
use std::time::Duration;

use super::engine::{BATCH, Shared};
use super::fault::{Fault, FaultKind, Inject, QueueId};
use super::lawyer::Rule;
use super::memory::Ring;
use super::setup::{QueueSetup, TxPlan, TxSetup};
use super::trace::Event;
use super::wire::{Sent, Wire};
use crate::drivers::intel::TxDesc;

mod offload;
mod plain;
mod segment;

use offload::{Context, Packet};
use plain::is_plain;
pub(super) use segment::FlagMasks;
use segment::Segmenter;

/// Shortest frame without CRC; padding fills up to it.
const SHORTEST: usize = 60;
/// Fewer bytes than this the hardware cannot pad (datasheet 7.2.1.2.1).
const PADDABLE: usize = 17;
/// Bytes of the CRC.
const CRC: usize = 4;
/// Descriptors of one packet at most (datasheet 7.2.1.1).
const CHAIN: u32 = 40;
/// Bytes of one packet at most: what PAYLEN can say and the longest headers that a context can.
const MOST: usize = (1 << 18) + 1024;

/// A queue at work.
#[derive(Debug)]
struct TxQueue {
    setup: QueueSetup,
    /// Where the head is written instead of descriptors.
    head_at: Option<u64>,
    head: u32,
    contexts: [Context; 2],
    /// The packet at the head, if it has been gathered and some of its segments are still to go.
    segmented: Option<Box<Segmented>>,
    /// A segment has gone in this step.
    worked: bool,
    stopped: bool,
    /// Completions that are held, oldest first.
    held: VecDeque<u32>,
    /// Buffers read only after they were reported done: address and length.
    afterwards: VecDeque<(u64, u32)>,
    dirty: bool,
}

/// A packet that goes as several frames.
#[derive(Debug)]
struct Segmented {
    segments: Segmenter,
    /// Its descriptors, and the last one's command word.
    taken: u32,
    last: u64,
}

/// The transmit path.
#[derive(Debug, Default)]
pub(super) struct TxPath {
    plan: TxPlan,
    queues: Vec<TxQueue>,
    scratch: Vec<u8>,
    /// A descriptor's bytes, where they must be copied.
    piece: Vec<u8>,
    /// Descriptors were left in some ring by the last step.
    pub(super) left_over: bool,
    /// The queue that goes first, so that none starves.
    turn: usize,
}

/// Why a queue stops for now.
enum Stop {
    /// Nothing to do.
    Idle,
    /// The wire is full, or the batch is.
    Wait,
    /// For good.
    Fault(Box<Fault>),
}

impl TxPath {
    pub(super) fn set_up(&mut self, shared: &mut Shared, plan: TxPlan) {
        let mut old = std::mem::take(&mut self.queues);
        for TxSetup { common: setup, head_at } in &plan.queues {
            let head_at = *head_at;
            let known = old.iter().position(|q| q.setup.index == setup.index);
            self.queues.push(match known.map(|at| old.swap_remove(at)) {
                Some(q) => TxQueue { setup: setup.clone(), head_at, ..q },
                None => TxQueue {
                    head_at,
                    head: shared.regs.peek(setup.head_offset),
                    contexts: Default::default(),
                    segmented: None,
                    worked: false,
                    stopped: false,
                    held: VecDeque::new(),
                    afterwards: VecDeque::new(),
                    dirty: false,
                    setup: setup.clone(),
                },
            });
        }
        self.plan = plan;
    }

    pub(super) fn is_on(&self) -> bool {
        self.plan.on
    }

    pub(super) fn obeys_pause(&self) -> bool {
        self.plan.obey_pause
    }

    pub(super) fn send_pause(&self) -> bool {
        self.plan.send_pause
    }

    /// Sends up to a batch from every queue. Returns whether anything was sent.
    pub(super) fn step(
        &mut self,
        shared: &mut Shared,
        wire: &mut dyn Wire,
        now: Duration,
        master: bool,
    ) -> bool {
        let count = self.queues.len();
        let mut moved = false;
        let mut left_over = false;
        wire.cork(true);
        self.turn = if self.turn + 1 >= count { 0 } else { self.turn + 1 };
        for n in 0..count {
            let at = (self.turn + n) % count;
            let Some(q) = self.queues.get_mut(at).filter(|q| !q.stopped) else { continue };
            let Self { plan, scratch, piece, .. } = self;
            let mut sender = Sender { plan, scratch, piece, wire, now, segments: BATCH };
            let before = q.head;
            let stop = q.run(shared, &mut sender, master);
            moved |= q.head != before || std::mem::take(&mut q.worked);
            match stop {
                Some(Stop::Fault(fault)) => {
                    q.stopped = true;
                    shared.log.push(*fault);
                }
                Some(Stop::Idle) => {}
                Some(Stop::Wait) | None => left_over = true,
            }
            if !q.held.is_empty() || !q.afterwards.is_empty() {
                q.release(shared);
                left_over = true;
            }
            if std::mem::take(&mut q.dirty) {
                shared.regs.poke(q.setup.head_offset, q.head);
            }
        }
        wire.cork(false);
        self.left_over = left_over;
        moved
    }
}

/// What sending needs besides the queue.
struct Sender<'a> {
    plan: &'a TxPlan,
    scratch: &'a mut Vec<u8>,
    piece: &'a mut Vec<u8>,
    wire: &'a mut dyn Wire,
    now: Duration,
    /// How many may still go in this step.
    segments: usize,
}

impl Sender<'_> {
    /// Puts a finished frame on the wire and counts it.
    #[inline(always)]
    fn send(&mut self, shared: &mut Shared, slot: u8, frame: &[u8]) -> Result<(), Stop> {
        match self.wire.send(frame, self.now, self.plan.obey_pause) {
            Sent::Wait => return Err(Stop::Wait),
            Sent::Lost => shared.truth.lost_on_wire += 1,
            Sent::Yes => {}
        }
        shared.tally.tx.through(frame, slot, frame.len() + CRC);
        shared.tally.touch();
        Ok(())
    }
}

impl TxQueue {
    fn fault(&self, at: u32, address: Option<u64>, what: FaultKind) -> Stop {
        let queue = Some(QueueId::Tx(self.setup.index));
        Stop::Fault(Box::new(Fault { queue, descriptor: Some(at), address, what }))
    }

    /// Works through a batch of descriptors. `None`: there may be more.
    fn run(&mut self, shared: &mut Shared, sender: &mut Sender<'_>, master: bool) -> Option<Stop> {
        let tail = shared.regs.peek(self.setup.tail_offset);
        if tail == self.head {
            return Some(Stop::Idle);
        }
        let Some(ring) = self.setup.ring.take() else {
            return Some(self.fault(self.head, Some(self.setup.base), FaultKind::Unmapped));
        };
        let stop = if !master {
            Some(self.fault(self.head, Some(self.setup.base), FaultKind::BusMasterOff))
        } else if tail >= ring.size || self.head >= ring.size {
            let what = FaultKind::BadDescriptor("the tail or head lies beyond the ring");
            Some(self.fault(tail, Some(self.setup.base), what))
        } else {
            self.run_ring(shared, sender, &ring, tail)
        };
        self.setup.ring = Some(ring);
        stop
    }

    fn run_ring(
        &mut self,
        shared: &mut Shared,
        sender: &mut Sender<'_>,
        ring: &Ring,
        tail: u32,
    ) -> Option<Stop> {
        if self.segmented.is_some()
            && let Err(stop) = self.send_segments(shared, sender, ring)
        {
            return Some(stop);
        }
        let mut left = BATCH as u32;
        loop {
            if self.head == tail {
                return Some(Stop::Idle);
            }
            if left == 0 {
                return None;
            }
            let plainly = !shared.chaos.any() && !shared.traced;
            if plainly && self.held.is_empty() && self.head_at.is_none() {
                match self.send_run(shared, sender, ring, tail, left) {
                    Ok(0) => {}
                    Ok(sent) => {
                        left -= sent;
                        continue;
                    }
                    Err(stop) => return Some(stop),
                }
            }
            if let Err(stop) = self.send_next(shared, sender, ring, tail) {
                return Some(stop);
            }
            left -= 1;
        }
    }

    /// Works on the next descriptor, of whatever kind and wherever it leads.
    fn send_next(
        &mut self,
        shared: &mut Shared,
        sender: &mut Sender<'_>,
        ring: &Ring,
        tail: u32,
    ) -> Result<(), Stop> {
        if shared.chaos.any() && shared.chaos.strikes(Inject::StuckTx) {
            self.stopped = true;
            return Err(Stop::Idle);
        }
        let Some((address, command)) = ring.get(self.head) else {
            return Err(self.fault(self.head, Some(self.setup.base), FaultKind::Unmapped));
        };
        if is_plain(command, sender.plan.longest) && !shared.chaos.any() {
            self.send_plain(shared, sender, address, usize::from(command as u16))?;
            self.done(shared, ring, 1, command);
            return Ok(());
        }
        self.send_any(shared, sender, ring, tail)
    }

    /// Any other packet, or a context.
    #[cold]
    fn send_any(
        &mut self,
        shared: &mut Shared,
        sender: &mut Sender<'_>,
        ring: &Ring,
        tail: u32,
    ) -> Result<(), Stop> {
        let load = |at: u32| {
            let gone = || self.fault(at, Some(self.setup.base), FaultKind::Unmapped);
            ring.get(at).ok_or_else(gone)
        };
        let (w0, w1) = load(self.head)?;
        if offload::is_context(w1) {
            let context = Context::decode(w0, w1);
            self.contexts[context.index()] = context;
            self.done(shared, ring, 1, w1);
            return Ok(());
        }
        let mut packet = Packet::default();
        sender.scratch.clear();
        let (mut at, mut taken) = (self.head, 0);
        let early = shared.chaos.any() && shared.chaos.strikes(Inject::EarlyDone);
        let mut pieces = Vec::new();
        let last = loop {
            if at == tail {
                // The rest of the packet has not been posted yet.
                return Err(Stop::Idle);
            }
            let (address, command) = load(at)?;
            let piece = packet
                .add(command, taken == 0)
                .map_err(|why| self.fault(at, Some(address), FaultKind::BadDescriptor(why)))?;
            if shared.lawyer.is_some() && offload::reserved(command) {
                shared.breach(Rule::DescriptorFormat, self.setup.tail_offset, at);
            }
            if sender.scratch.len() + piece > MOST {
                let what = FaultKind::BadDescriptor("a packet longer than PAYLEN can say");
                return Err(self.fault(at, Some(address), what));
            }
            self.gather(shared, sender, at, address, piece)?;
            if early {
                pieces.push((address, piece as u32));
            }
            taken += 1;
            at = if at + 1 == ring.size { 0 } else { at + 1 };
            if packet.complete {
                break command;
            }
            if taken == CHAIN || taken == ring.size {
                let what = FaultKind::BadDescriptor("a packet of more than 40 descriptors");
                return Err(self.fault(at, None, what));
            }
        };
        let context = &self.contexts[packet.context];
        if packet.is_segmented() {
            let segments = packet
                .segment(std::mem::take(sender.scratch), context, sender.plan)
                .map_err(|what| self.fault(self.head, None, what))?;
            self.segmented = Some(Box::new(Segmented { segments, taken, last }));
            return self.send_segments(shared, sender, ring);
        }
        let frame = &mut *sender.scratch;
        packet
            .finish(frame, context, sender.plan.tag)
            .map_err(|what| self.fault(self.head, None, what))?;
        if frame.len() < PADDABLE || frame.len() > sender.plan.longest {
            let what = FaultKind::BadDescriptor(
                "a packet shorter than 17 bytes or longer than the MAC takes",
            );
            return Err(self.fault(self.head, None, what));
        }
        if frame.len() < SHORTEST && sender.plan.pad {
            frame.resize(SHORTEST, 0);
        }
        let frame = std::mem::take(sender.scratch);
        let sent = sender.send(shared, self.setup.slot, &frame);
        *sender.scratch = frame;
        sent?;
        if packet.is_stamped() {
            shared.stamp_sent();
        }
        self.afterwards.extend(pieces);
        self.done(shared, ring, taken, last);
        Ok(())
    }

    /// Sends segments of the packet at the head, up to a batch in a step. Its descriptors are used
    /// up with the last one.
    #[cold]
    fn send_segments(
        &mut self,
        shared: &mut Shared,
        sender: &mut Sender<'_>,
        ring: &Ring,
    ) -> Result<(), Stop> {
        let Some(mut packet) = self.segmented.take() else { return Ok(()) };
        while sender.segments > 0 {
            sender.segments -= 1;
            if let Err(stop) = sender.send(shared, self.setup.slot, packet.segments.frame()) {
                self.segmented = Some(packet);
                return Err(stop);
            }
            self.worked = true;
            if !packet.segments.advance() {
                shared.tally.segmented += 1;
                *sender.scratch = packet.segments.into_memory();
                self.done(shared, ring, packet.taken, packet.last);
                return Ok(());
            }
        }
        self.segmented = Some(packet);
        Err(Stop::Wait)
    }

    /// Reads one descriptor's bytes.
    fn gather(
        &self,
        shared: &Shared,
        sender: &mut Sender<'_>,
        at: u32,
        address: u64,
        len: usize,
    ) -> Result<(), Stop> {
        let fetched = shared.memory.fetch(address, len as u32, sender.piece);
        let bytes = fetched.map_err(|what| self.fault(at, Some(address), what))?;
        sender.scratch.extend_from_slice(&bytes);
        if shared.traced {
            let queue = QueueId::Tx(self.setup.index);
            let len = len as u32;
            shared.note(Event::Descriptor { queue, index: at, address, len });
        }
        Ok(())
    }

    /// Its bit in a mask of queues.
    #[inline(always)]
    fn bit(&self) -> u128 {
        1 << (self.setup.index % 128)
    }

    /// Uses up `taken` descriptors, the last of which has the command word `last`.
    #[inline(always)]
    fn done(&mut self, shared: &mut Shared, ring: &Ring, taken: u32, last: u64) {
        let mut end = self.head + taken - 1;
        if end >= ring.size {
            end -= ring.size;
        }
        if last & TxDesc::RS != 0 {
            if shared.chaos.holds() || !self.held.is_empty() {
                self.held.push_back(end);
            } else if self.head_at.is_some() {
                self.report_head(shared, ring, end);
            } else {
                report(ring, end);
                shared.reported |= self.bit();
            }
        }
        self.head = if end + 1 == ring.size { 0 } else { end + 1 };
        self.dirty = true;
    }

    /// Writes the head to memory when descriptor `at` and all before it are done (82599 datasheet
    /// 7.2.3.5.2). The descriptors stay as they are.
    #[cold]
    fn report_head(&mut self, shared: &mut Shared, ring: &Ring, at: u32) {
        let Some(address) = self.head_at else { return };
        let head = if at + 1 >= ring.size { 0 } else { at + 1 };
        if let Err(what) = shared.memory.put(address, head) {
            self.stopped = true;
            let queue = Some(QueueId::Tx(self.setup.index));
            let descriptor = Some(at);
            shared.log.push(Fault { queue, descriptor, address: Some(address), what });
            return;
        }
        shared.reported |= self.bit();
    }

    /// Reports some or all held completions, and reads what was reported too early.
    #[cold]
    fn release(&mut self, shared: &mut Shared) {
        let most = self.held.len() as u32;
        let go = if shared.chaos.has(Inject::Late) {
            if shared.chaos.strikes(Inject::Late) { 0 } else { shared.chaos.below(most + 1) }
        } else {
            most
        };
        let ring = self.setup.ring.take();
        for _ in 0..go {
            let (Some(at), Some(ring)) = (self.held.pop_front(), &ring) else { break };
            if self.head_at.is_some() {
                self.report_head(shared, ring, at);
            } else {
                report(ring, at);
                shared.reported |= self.bit();
            }
        }
        self.setup.ring = ring;
        if most == 0
            && let Some((address, len)) = self.afterwards.pop_front()
        {
            // Long taken back, as a rule; then the claim fails and nothing is touched.
            let mut copy = Vec::new();
            let late = shared.memory.fetch(address, len, &mut copy);
            shared.truth.late_reads += 1;
            shared.truth.late_reads_denied += u64::from(late.is_err());
        }
    }
}

/// Writes a completed descriptor back: DD, and nothing else that anyone may rely on.
#[inline(always)]
fn report(ring: &Ring, at: u32) {
    // The device is done with the buffers of this and all earlier descriptors.
    ring.put_second(at, TxDesc::DD);
}
