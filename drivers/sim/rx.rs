//! The receive engine: MAC, filters, queue choice, DMA and write-back (82599 datasheet 7.1).

use std::collections::VecDeque;

use super::engine::Shared;
use super::fault::{Fault, FaultKind, Inject, QueueId};
use super::memory::Ring;
use super::packet::{self, Check, Parsed, ptype};
use super::setup::{ErrorBits, RSS_ENTRIES, RxPlan, RxSetup};
use super::trace::Event;
use crate::drivers::intel::RxDesc;

/// Shortest frame without CRC.
const SHORTEST: usize = 60;
/// Queues of the chip that has most.
const QUEUES: usize = 128;

/// Passed only the multicast hash.
const PIF: u64 = 1 << 7;

/// A queue at work.
#[derive(Debug)]
struct RxQueue {
    setup: RxSetup,
    ring: Option<Ring>,
    head: u32,
    tail: u32,
    /// A fault has stopped it.
    stopped: bool,
    /// Write-backs that are held: index and both words.
    held: VecDeque<(u32, u64, u64)>,
    dirty: bool,
}

/// The receive path.
#[derive(Debug)]
pub(super) struct RxPath {
    plan: RxPlan,
    queues: Vec<RxQueue>,
    /// By queue number: its place in `queues` plus one.
    place: [u8; QUEUES],
    /// For frames that are not stored as they came.
    scratch: Vec<u8>,
    /// A frame waits for a descriptor.
    pub(super) blocked: bool,
}

/// What the filters say.
struct Passed {
    /// By the hash table only.
    inexact: bool,
}

/// Where a frame goes.
struct Target {
    number: u8,
    rss_type: u64,
    hash: u32,
}

impl Default for RxPath {
    fn default() -> Self {
        Self {
            plan: RxPlan::default(),
            queues: Vec::new(),
            place: [0; QUEUES],
            scratch: Vec::new(),
            blocked: false,
        }
    }
}

impl RxPath {
    /// Goes by new settings. Queues that stay enabled keep their place and their faults.
    pub(super) fn set_up(&mut self, shared: &Shared, decode: impl FnOnce(RxPlan) -> RxPlan) {
        let plan = decode(std::mem::take(&mut self.plan));
        let mut old = std::mem::take(&mut self.queues);
        self.place = [0; QUEUES];
        for setup in &plan.queues {
            let index = setup.common.index;
            let known = old.iter().position(|q| q.setup.common.index == index);
            let queue = match known.map(|at| old.swap_remove(at)) {
                Some(q) => RxQueue { ring: setup.common.ring.clone(), setup: setup.clone(), ..q },
                None => RxQueue {
                    ring: setup.common.ring.clone(),
                    head: shared.regs.peek(setup.common.head_offset),
                    tail: 0,
                    stopped: false,
                    held: VecDeque::new(),
                    dirty: false,
                    setup: setup.clone(),
                },
            };
            self.queues.push(queue);
            self.place[usize::from(index) % QUEUES] = self.queues.len() as u8;
        }
        self.plan = plan;
    }

    /// Whether frames are taken from the wire at all.
    pub(super) fn is_on(&self) -> bool {
        self.plan.on
    }

    /// Handles one frame. False: it stays in the FIFO.
    #[inline]
    pub(super) fn accept(&mut self, shared: &mut Shared, frame: &[u8]) -> bool {
        let mut extra = 0;
        if shared.chaos.any() {
            match self.hurt(shared, frame) {
                Hurt::None => {}
                Hurt::Gone => return true,
                Hurt::Marked => extra = self.plan.errors.damaged,
            }
        }
        let len = frame.len();
        let tag = packet::vlan_tag(frame);
        if len < SHORTEST
            || len > self.plan.longest + if tag.is_some() { self.plan.tag_room } else { 0 }
        {
            return self.bad_length(shared, frame);
        }
        let Some(passed) = self.filter(frame, tag) else {
            shared.tally.filtered.add(frame);
            shared.tally.touch();
            shared.truth.arrived += 1;
            return true;
        };
        let parsed = packet::parse(frame);
        let target = self.choose(frame, &parsed);
        let mut w1 = RxDesc::DD
            | RxDesc::EOP
            | checks(&parsed, self.plan.errors) & !self.plan.unchecked
            | extra;
        if passed.inexact {
            w1 |= PIF;
        }
        let hash = if self.plan.report_hash { target.hash } else { 0 };
        let w0 = target.rss_type | u64::from(parsed.ptype) << 4 | u64::from(hash) << 32;
        let number = usize::from(target.number) % QUEUES;
        let place = usize::from(self.place[number]).wrapping_sub(1);
        let Some(q) = self.queues.get_mut(place) else {
            // A queue that is off drops, and counts where it would count if it were on.
            let slot = self.plan.slots.get(number).copied().unwrap_or(0);
            shared.tally.rx.drop(slot);
            finish_frame(shared, frame, self.plan.errors, w1);
            return true;
        };
        let plain = tag.is_none() && self.plan.strip_crc && !shared.chaos.any();
        let done = if plain && q.takes(len) {
            q.store_one(shared, frame, w0, w1)
        } else {
            let strip = tag.filter(|_| q.setup.strip_vlan);
            // VP for every tagged frame; the tag field only when the tag was taken out (7.4.2).
            if tag.is_some() {
                w1 |= RxDesc::VP | u64::from(strip.unwrap_or(0)) << 48;
            }
            if strip.is_some() || !self.plan.strip_crc {
                rebuild(&mut self.scratch, frame, strip.is_some(), !self.plan.strip_crc);
                q.deliver(shared, &self.scratch, w0, w1)
            } else {
                q.deliver(shared, frame, w0, w1)
            }
        };
        let slot = q.setup.common.slot;
        match done {
            Ok(true) => {
                // QBRC counts what is stored: the CRC only when it is not stripped.
                let crc = if self.plan.strip_crc { 0 } else { 4 };
                shared.tally.rx.queue(slot, len + crc);
            }
            Ok(false) => shared.tally.rx.drop(slot),
            Err(Full) => {
                self.blocked = true;
                return false;
            }
        }
        finish_frame(shared, frame, self.plan.errors, w1);
        true
    }

    /// The seeded misfortunes that befall a frame before the MAC has it.
    #[cold]
    fn hurt(&self, shared: &mut Shared, frame: &[u8]) -> Hurt {
        if shared.chaos.strikes(Inject::Removal) {
            shared.removal = true;
        }
        if shared.chaos.strikes(Inject::Overrun) {
            shared.tally.missed += 1;
            shared.tally.touch();
            shared.truth.arrived += 1;
            return Hurt::Gone;
        }
        if shared.chaos.strikes(Inject::Damage) {
            if self.plan.accept.store_bad {
                shared.tally.delivered_bad += 1;
                return Hurt::Marked;
            }
            shared.tally.damaged.add(frame);
            shared.tally.touch();
            shared.truth.arrived += 1;
            return Hurt::Gone;
        }
        if shared.chaos.strikes(Inject::Rxe) { Hurt::Marked } else { Hurt::None }
    }

    #[cold]
    fn bad_length(&self, shared: &mut Shared, frame: &[u8]) -> bool {
        let tally = &mut shared.tally;
        if frame.len() < SHORTEST {
            tally.short.add(frame);
        } else {
            tally.long.add(frame);
        }
        tally.touch();
        shared.truth.arrived += 1;
        true
    }

    /// The address and VLAN filters (7.1.1.1).
    #[inline]
    fn filter(&self, frame: &[u8], tag: Option<u16>) -> Option<Passed> {
        let plan = &self.plan;
        if let (Some(vlans), Some(tag)) = (&plan.vlans, tag) {
            let id = u32::from(tag & 0xfff);
            if vlans.get((id / 32) as usize).is_none_or(|w| w >> (id % 32) & 1 == 0) {
                return None;
            }
        }
        let exact = Some(Passed { inexact: false });
        let to: [u8; 6] = *frame.first_chunk()?;
        if to[0] & 1 == 0 {
            return if plan.accept.unicast || plan.macs.contains(&to) { exact } else { None };
        }
        if plan.accept.multicast || to == [0xff; 6] && plan.accept.broadcast {
            return exact;
        }
        if plan.macs.contains(&to) {
            return exact;
        }
        let hashed = plan.multicast.as_ref().is_some_and(|m| m.passes(to));
        (hashed && to != [0xff; 6]).then_some(Passed { inexact: true })
    }

    /// The queue, by RSS (7.1.2.8). What is not hashed goes to queue 0.
    #[inline]
    fn choose(&self, frame: &[u8], parsed: &Parsed) -> Target {
        let unhashed = Target { number: 0, rss_type: 0, hash: 0 };
        let Some(rss) = &self.plan.rss else { return unhashed };
        let (v4, v6) = (parsed.ptype & ptype::IPV4 != 0, parsed.ptype & ptype::IPV6 != 0);
        let tcp = parsed.ptype & ptype::TCP != 0;
        let udp = parsed.ptype & ptype::UDP != 0;
        let on = rss.fields;
        // RSS types of the write-back: datasheet 7.1.6.2, table of RSS types.
        let (rss_type, ports) = match (v4, v6) {
            (true, _) if tcp && on.tcp4 => (1, true),
            (true, _) if udp && on.udp4 => (7, true),
            (true, _) if on.ipv4 => (2, false),
            (_, true) if tcp && on.tcp6 => (3, true),
            (_, true) if udp && on.udp6 => (8, true),
            (_, true) if on.ipv6 => (5, false),
            _ => return unhashed,
        };
        let addresses = if v4 { 12..20 } else { 8..40 };
        let ip = frame.get(parsed.l3..).unwrap_or_default();
        let addresses = ip.get(addresses).unwrap_or_default();
        let mut hash = rss.hash.update(0, 0, addresses);
        if ports {
            let ports = frame.get(parsed.l4..parsed.l4 + 4).unwrap_or_default();
            hash = rss.hash.update(hash, addresses.len(), ports);
        }
        Target { number: rss.table[hash as usize % RSS_ENTRIES], rss_type, hash }
    }

    /// Publishes heads and lets held write-backs go. Called at the end of each step.
    pub(super) fn finish(&mut self, shared: &mut Shared) {
        for q in &mut self.queues {
            if !q.held.is_empty() {
                q.release(shared);
            }
            if std::mem::take(&mut q.dirty) {
                shared.written |= q.bit();
                shared.regs.poke(q.setup.common.head_offset, q.head);
            }
        }
    }
}

/// What a misfortune did to a frame.
enum Hurt {
    None,
    Gone,
    Marked,
}

/// No descriptor is free, and the queue does not drop.
struct Full;

/// Counts a good frame that passed the filters.
#[inline(always)]
fn finish_frame(shared: &mut Shared, frame: &[u8], errors: ErrorBits, w1: u64) {
    shared.tally.checksum_errors += u64::from(w1 & (errors.l4 | errors.ip) != 0);
    shared.tally.rx.frame(frame);
    shared.tally.touch();
    shared.truth.arrived += 1;
}

/// The checksum bits of the write-back.
#[inline]
fn checks(parsed: &Parsed, errors: ErrorBits) -> u64 {
    let mut w1 = 0;
    if parsed.ip != Check::None {
        w1 |= RxDesc::IPCS;
        if parsed.ip == Check::Bad {
            w1 |= errors.ip;
        }
    }
    if parsed.transport != Check::None {
        w1 |= RxDesc::L4CS;
        if parsed.ptype & ptype::UDP != 0 {
            w1 |= RxDesc::UDPCS;
        }
        if parsed.transport == Check::Bad {
            w1 |= errors.l4;
        }
    }
    w1
}

/// The frame as it is stored: without its tag, with its CRC.
#[cold]
fn rebuild(scratch: &mut Vec<u8>, frame: &[u8], strip_vlan: bool, keep_crc: bool) {
    scratch.clear();
    let (head, rest) = frame.split_at(12.min(frame.len()));
    scratch.extend_from_slice(head);
    scratch.extend_from_slice(rest.get(if strip_vlan { 4 } else { 0 }..).unwrap_or_default());
    if keep_crc {
        scratch.extend_from_slice(&packet::crc32(frame).to_le_bytes());
    }
}

impl RxQueue {
    /// Its bit in a mask of all queues.
    fn bit(&self) -> u128 {
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
    fn takes(&self, len: usize) -> bool {
        self.head != self.tail
            && len <= self.setup.buffer as usize
            && self.held.is_empty()
            && !self.stopped
    }

    /// Puts `data` into the next descriptors. False: it was dropped.
    fn deliver(
        &mut self,
        shared: &mut Shared,
        data: &[u8],
        w0: u64,
        w1: u64,
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
        let stored = self.store(shared, data, buffer, w0, w1);
        Ok(self.unless_fault(shared, stored))
    }

    /// The way of nearly all frames: one descriptor, written back at once.
    #[inline]
    fn store_one(
        &mut self,
        shared: &mut Shared,
        frame: &[u8],
        w0: u64,
        w1: u64,
    ) -> Result<bool, Full> {
        let stored = self.write_buffer(shared, frame, self.setup.buffer as usize);
        if stored.is_ok() {
            self.write_back(self.head, w0, w1 | (frame.len() as u64) << 32);
            self.advance();
        }
        Ok(self.unless_fault(shared, stored))
    }

    #[inline(always)]
    fn advance(&mut self) {
        let size = self.ring.as_ref().map_or(1, |r| r.size);
        self.head = if self.head + 1 >= size { 0 } else { self.head + 1 };
        self.dirty = true;
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
        w0: u64,
        w1: u64,
    ) -> Result<(), Box<Fault>> {
        let mut rest = data;
        loop {
            let (part, more) = rest.split_at(rest.len().min(buffer));
            rest = more;
            let last = rest.is_empty();
            self.write_buffer(shared, part, buffer)?;
            let mut status = if last { w1 } else { RxDesc::DD };
            let mut length = part.len() as u64;
            if shared.chaos.any() {
                self.lie(shared, &mut status, &mut length);
            }
            let (w0, w1) =
                if last { (w0, status | length << 32) } else { (0, status | length << 32) };
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
}
