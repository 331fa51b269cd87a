//! One receive queue: descriptors, DMA and write-back (82599 datasheet 7.1.6, 7.1.9).

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::QUEUES;
use super::rsc::{CONTEXTS, Context, RscSetup, Segment};
use crate::drivers::intel::RxDesc;
use crate::drivers::sim::engine::Shared;
use crate::drivers::sim::fault::{Fault, FaultKind, Inject, QueueId};
use crate::drivers::sim::memory::Ring;
use crate::drivers::sim::setup::RxSetup;
use crate::drivers::sim::trace::Event;

/// A queue at work.
#[derive(Debug)]
pub(super) struct RxQueue {
    pub(super) setup: RxSetup,
    ring: Option<Ring>,
    pub(super) head: u32,
    tail: u32,
    /// A fault has stopped it.
    stopped: bool,
    /// Write-backs that are held: index and both words.
    held: VecDeque<(u32, u64, u64)>,
    dirty: bool,
    /// Large packets being gathered, the oldest first.
    gathering: Vec<Context>,
}

/// No descriptor is free, and the queue does not drop.
pub(super) struct Full;

impl RxQueue {
    /// A queue that was just enabled; its head is where software left it.
    pub(super) fn new(setup: &RxSetup, shared: &Shared) -> Self {
        Self {
            ring: setup.common.ring.clone(),
            head: shared.regs.peek(setup.common.head_offset),
            tail: 0,
            stopped: false,
            held: VecDeque::new(),
            dirty: false,
            gathering: Vec::new(),
            setup: setup.clone(),
        }
    }

    /// The same queue with new settings: it keeps its place and its faults.
    pub(super) fn with(self, setup: &RxSetup) -> Self {
        Self { ring: setup.common.ring.clone(), setup: setup.clone(), ..self }
    }

    /// Publishes the head and lets large packets and held write-backs go.
    #[inline]
    pub(super) fn finish(&mut self, shared: &mut Shared, open: &mut usize, drained: bool) {
        if !self.gathering.is_empty() {
            self.close_due(shared, open, drained);
        }
        if !self.held.is_empty() {
            self.release(shared);
        }
        if std::mem::take(&mut self.dirty) {
            shared.written |= self.bit();
            shared.regs.poke(self.setup.common.head_offset, self.head);
        }
    }

    /// Its bit in a mask of all queues.
    pub(super) fn bit(&self) -> u128 {
        1 << (usize::from(self.setup.common.index) % QUEUES)
    }

    /// Descriptors that the device may fill, as far as it has seen the tail.
    #[inline(always)]
    fn available(&self) -> u32 {
        let size = self.ring.as_ref().map_or(0, |r| r.size);
        if self.tail >= self.head {
            self.tail - self.head
        } else {
            (size + self.tail).saturating_sub(self.head)
        }
    }

    /// Whether a frame of `len` bytes fits into one descriptor that is free for sure.
    #[inline(always)]
    pub(super) fn takes(&self, len: usize) -> bool {
        self.head != self.tail
            && len <= self.setup.buffer as usize
            && self.held.is_empty()
            && !self.stopped
    }

    /// The same for one that is not to be coalesced, looking at the tail when it must.
    #[inline(always)]
    pub(super) fn takes_plain(&mut self, shared: &mut Shared, len: usize) -> bool {
        if self.head == self.tail {
            self.reload_tail(shared);
        }
        self.setup.rsc.is_none() && self.takes(len)
    }

    /// Puts `data` into the next descriptors. False: it was dropped. Of a large packet, `starts`
    /// are where its segments start.
    pub(super) fn deliver(
        &mut self,
        shared: &mut Shared,
        data: &[u8],
        w0: u64,
        w1: u64,
        starts: &[u32],
    ) -> Result<bool, Full> {
        if self.stopped {
            return Ok(false);
        }
        let buffer = self.setup.buffer.max(1) as usize;
        let need = data.len().div_ceil(buffer) as u32;
        if self.available() < need {
            self.reload_tail(shared);
            if self.stopped {
                return Ok(false);
            }
            if self.available() < need {
                let hopeless = self.ring.as_ref().is_some_and(|r| need >= r.size);
                return if self.setup.drop || hopeless { Ok(false) } else { Err(Full) };
            }
        }
        let stored = self.store(shared, data, buffer, (w0, w1), starts);
        Ok(self.unless_fault(shared, stored))
    }

    /// The way of nearly all frames: one descriptor, written back at once. False: it was dropped.
    #[inline]
    pub(super) fn store_one(
        &mut self,
        shared: &mut Shared,
        frame: &[u8],
        w0: u64,
        w1: u64,
    ) -> bool {
        let w1 = w1 | (frame.len() as u64) << 32;
        if !shared.traced
            && !shared.chaos.any()
            && let Some([a, b]) = self.ring.as_ref().and_then(|ring| ring.ours(self.head))
        {
            let address = a.load(Ordering::Relaxed);
            if shared.memory.fill_slot(address, self.setup.buffer, frame) {
                a.store(w0, Ordering::Relaxed);
                b.store(w1, Ordering::Release);
                self.advance();
                return true;
            }
        }
        self.store_one_of_any(shared, frame, w0, w1)
    }

    /// The same in a guest's memory, with a trace, or when that failed.
    #[cold]
    fn store_one_of_any(&mut self, shared: &mut Shared, frame: &[u8], w0: u64, w1: u64) -> bool {
        let stored = self.write_buffer(shared, frame, self.setup.buffer as usize);
        if stored.is_ok() {
            self.write_back(self.head, w0, w1);
            self.advance();
        }
        self.unless_fault(shared, stored)
    }

    #[inline(always)]
    fn advance(&mut self) {
        self.head = self.next();
        self.dirty = true;
    }

    #[inline(always)]
    fn next(&self) -> u32 {
        let size = self.ring.as_ref().map_or(1, |r| r.size);
        if self.head + 1 >= size { 0 } else { self.head + 1 }
    }

    /// Stops the queue on a fault.
    #[inline(always)]
    fn unless_fault(&mut self, shared: &mut Shared, stored: Result<(), Box<Fault>>) -> bool {
        match stored {
            Ok(()) => true,
            Err(fault) => {
                self.stopped = true;
                shared.log.push(*fault);
                false
            }
        }
    }

    #[cold]
    fn fault(&self, what: FaultKind, address: Option<u64>) -> Box<Fault> {
        Box::new(Fault {
            queue: Some(QueueId::Rx(self.setup.common.index)),
            descriptor: Some(self.head),
            address,
            what,
        })
    }

    #[inline]
    fn reload_tail(&mut self, shared: &mut Shared) {
        let tail = shared.regs.peek(self.setup.common.tail_offset);
        if tail == self.tail {
            return;
        }
        let what = match &self.ring {
            None => FaultKind::Unmapped,
            Some(_) if self.setup.odd_type => {
                FaultKind::NotModelled("a receive descriptor type other than advanced one-buffer")
            }
            Some(r) if tail >= r.size || self.head >= r.size => {
                FaultKind::BadDescriptor("the tail or head lies beyond the ring")
            }
            Some(_) => {
                self.tail = tail;
                return;
            }
        };
        self.stopped = true;
        shared.log.push(*self.fault(what, Some(self.setup.common.base)));
    }

    /// Writes a frame to memory and its descriptors back.
    #[inline]
    fn store(
        &mut self,
        shared: &mut Shared,
        data: &[u8],
        buffer: usize,
        (w0, w1): (u64, u64),
        starts: &[u32],
    ) -> Result<(), Box<Fault>> {
        let mut rest = data;
        let mut at = 0;
        loop {
            let (part, more) = rest.split_at(rest.len().min(buffer));
            rest = more;
            let last = rest.is_empty();
            self.write_buffer(shared, part, buffer)?;
            let mut status = if last { w1 } else { RxDesc::DD };
            let mut count = 0;
            if !starts.is_empty() {
                // RSCCNT: one more than the segments that start here. NEXTP: the next descriptor.
                let here = at..at + part.len();
                let segments = starts.iter().filter(|s| here.contains(&(**s as usize))).count();
                count = (segments as u64 + 1) << 17;
                status |= if last { 0 } else { u64::from(self.next()) << 4 };
                at = here.end;
            }
            let mut length = part.len() as u64;
            if shared.chaos.any() {
                self.lie(shared, &mut status, &mut length);
            }
            let (w0, w1) = (if last { w0 } else { 0 } | count, status | length << 32);
            if shared.chaos.holds() || !self.held.is_empty() {
                self.held.push_back((self.head, w0, w1));
            } else {
                self.write_back(self.head, w0, w1);
            }
            self.advance();
            if last {
                return Ok(());
            }
        }
    }

    #[inline]
    fn write_buffer(
        &mut self,
        shared: &mut Shared,
        part: &[u8],
        buffer: usize,
    ) -> Result<(), Box<Fault>> {
        let descriptor = self.ring.as_ref().and_then(|r| r.get(self.head));
        let Some((mut address, _)) = descriptor else {
            return Err(self.fault(FaultKind::Unmapped, Some(self.setup.common.base)));
        };
        if shared.chaos.any() && shared.chaos.strikes(Inject::Stray) {
            address ^= 1 << 40;
        }
        // The chip may write as much as SRRCTL says, so that much must be there.
        if let Err(what) = shared.memory.fill(address, buffer as u32, part) {
            return Err(self.fault(what, Some(address)));
        }
        if shared.traced {
            let queue = QueueId::Rx(self.setup.common.index);
            let (index, len) = (self.head, part.len() as u32);
            shared.note(Event::Descriptor { queue, index, address, len });
        }
        Ok(())
    }

    #[cold]
    fn lie(&self, shared: &mut Shared, status: &mut u64, length: &mut u64) {
        if shared.chaos.strikes(Inject::Length) {
            *length = if shared.chaos.below(2) == 0 {
                0
            } else {
                u64::from(self.setup.buffer + 1 + shared.chaos.below(20_000)).min(0xffff)
            };
        }
        if shared.chaos.strikes(Inject::NoEop) {
            *status &= !RxDesc::EOP;
        }
    }

    #[inline(always)]
    fn write_back(&self, index: u32, w0: u64, w1: u64) {
        if let Some(ring) = &self.ring {
            ring.put(index, w0, w1);
        }
    }

    /// Writes some or all held descriptors back, oldest first.
    #[cold]
    fn release(&mut self, shared: &mut Shared) {
        let most = self.held.len() as u32;
        let go = if shared.chaos.has(Inject::Late) {
            if shared.chaos.strikes(Inject::Late) { 0 } else { shared.chaos.below(most + 1) }
        } else {
            most
        };
        for _ in 0..go {
            if let Some((index, w0, w1)) = self.held.pop_front() {
                self.write_back(index, w0, w1);
                shared.written |= self.bit();
            }
        }
    }

    /// Takes a TCP segment into a large packet (82599 datasheet 7.11.2). `open` counts those of
    /// all queues. False: it is to be delivered on its own.
    pub(super) fn coalesce(
        &mut self,
        shared: &mut Shared,
        open: &mut usize,
        setup: &RscSetup,
        segment: &Segment<'_>,
        (w0, w1): (u64, u64),
    ) -> Result<bool, Full> {
        let buffer = self.setup.buffer.max(1) as usize;
        if let Some(n) = self.gathering.iter().position(|c| c.is_of(segment)) {
            if self.gathering[n].add(segment, setup, buffer) {
                if segment.pushes() {
                    // If it has to wait for descriptors, it does so complete.
                    let _later = self.close(shared, open, n);
                }
                return Ok(true);
            }
            self.close(shared, open, n)?;
        }
        if !segment.opens(setup) {
            return Ok(false);
        }
        if *open >= CONTEXTS {
            if self.gathering.is_empty() {
                return Ok(false);
            }
            self.close(shared, open, 0)?;
        }
        let strip = self.setup.strip_vlan && segment.is_tagged();
        self.gathering.push(Context::new(segment, strip, shared.now(), w0, w1));
        *open += 1;
        Ok(true)
    }

    /// Delivers a large packet.
    fn close(&mut self, shared: &mut Shared, open: &mut usize, n: usize) -> Result<(), Full> {
        let mut context = self.gathering.remove(n);
        let (w0, w1) = (context.w0, context.w1);
        let (packet, starts) = context.complete();
        match self.deliver(shared, packet, w0, w1, starts) {
            Ok(stored) => {
                *open -= 1;
                self.tally(shared, &context, stored);
                Ok(())
            }
            Err(Full) => {
                self.gathering.insert(n, context);
                Err(Full)
            }
        }
    }

    /// Counts the segments of a large packet.
    fn tally(&self, shared: &mut Shared, context: &Context, stored: bool) {
        let slot = self.setup.common.slot;
        for n in 0..context.count() {
            if stored {
                shared.tally.rx.queue(slot, if n == 0 { context.octets } else { 0 });
            } else {
                shared.tally.rx.drop(slot);
            }
        }
        shared.tally.touch();
    }

    /// Delivers the large packets that have waited long enough: all of them when nothing more is
    /// on the wire.
    #[cold]
    pub(super) fn close_due(&mut self, shared: &mut Shared, open: &mut usize, drained: bool) {
        let hold = self.setup.rsc.map_or(Duration::ZERO, |rsc| rsc.hold);
        let mut n = 0;
        while let Some(context) = self.gathering.get(n) {
            let due = drained || shared.now().saturating_sub(context.since) >= hold;
            // What cannot be delivered yet stays.
            if !due || self.close(shared, open, n).is_err() {
                n += 1;
            }
        }
    }

    /// Drops the large packets, since the queue is no more.
    pub(super) fn abandon(&mut self, shared: &mut Shared, open: &mut usize) {
        for context in std::mem::take(&mut self.gathering) {
            *open -= 1;
            self.tally(shared, &context, false);
        }
    }
}
