//! The receive engine: MAC, filters, queue choice, DMA and write-back (82599 datasheet 7.1).

use super::engine::Shared;
use super::fault::Inject;
use super::flow::is_control;
use super::packet::{self, Check, Parsed, ptype};
use super::setup::{ErrorBits, RSS_ENTRIES, Rss, RxPlan};
use super::stats::{Count, Tally};
use super::steer::Director;
use crate::drivers::intel::RxDesc;

mod queue;
mod rsc;

use queue::{Full, RxQueue};
pub(super) use rsc::RscSetup;
use rsc::Segment;

/// Shortest frame without CRC.
const SHORTEST: usize = 60;
/// Queues of the chip that has most.
const QUEUES: usize = 128;

/// Passed only the multicast hash.
const PIF: u64 = 1 << 7;
/// A filter of Flow Director matched.
const FLM: u64 = 1 << 2;
/// The packet type is the number of an EtherType filter, as it stands in [`ptype`].
const L2_TYPE: u16 = 1 << 11;
/// RSS type: what stands in place of the hash tells of Flow Director.
const DIRECTED: u64 = 0xf;

/// The receive path.
#[derive(Debug)]
pub(super) struct RxPath {
    plan: RxPlan,
    queues: Vec<RxQueue>,
    /// By queue number: its place in `queues` plus one.
    place: [u8; QUEUES],
    /// For frames that are not stored as they came.
    scratch: Vec<u8>,
    /// Plain frames are handled the short way by these settings, and in this step.
    short_way: bool,
    shortened: bool,
    /// Flow Director's table.
    pub(super) director: Director,
    /// Whether it has a match for the frame at hand, if it was asked.
    matched: Option<bool>,
    /// Large packets being gathered.
    gathering: usize,
}

/// What the filters say.
struct Passed {
    /// By the hash table only.
    inexact: bool,
}

/// Where a frame goes, and what the write-back tells of it.
struct Target {
    number: u8,
    rss_type: u64,
    hash: u32,
    ptype: u16,
    /// More bits of the second word.
    status: u64,
}

impl Target {
    /// Queue 0, and no hash.
    #[inline(always)]
    fn unhashed(parsed: &Parsed) -> Self {
        Self { number: 0, rss_type: 0, hash: 0, ptype: parsed.ptype, status: 0 }
    }

    /// The first word of the write-back.
    #[inline(always)]
    fn first_word(&self, plan: &RxPlan) -> u64 {
        let hash = if plan.report_hash { self.hash } else { 0 };
        self.rss_type | u64::from(self.ptype) << 4 | u64::from(hash) << 32
    }
}

impl Default for RxPath {
    fn default() -> Self {
        Self {
            plan: RxPlan::default(),
            queues: Vec::new(),
            place: [0; QUEUES],
            scratch: Vec::new(),
            short_way: false,
            shortened: false,
            director: Director::default(),
            matched: None,
            gathering: 0,
        }
    }
}

impl RxPath {
    /// Goes by new settings. Queues that stay enabled keep their place and their faults.
    pub(super) fn set_up(&mut self, shared: &mut Shared, decode: impl FnOnce(RxPlan) -> RxPlan) {
        let plan = decode(std::mem::take(&mut self.plan));
        let mut old = std::mem::take(&mut self.queues);
        self.place = [0; QUEUES];
        self.matched = None;
        for setup in &plan.queues {
            let index = setup.common.index;
            let known = old.iter().position(|q| q.setup.common.index == index);
            let queue = match known.map(|at| old.swap_remove(at)) {
                Some(q) => q.with(setup),
                None => RxQueue::new(setup, shared),
            };
            self.queues.push(queue);
            self.place[usize::from(index) % QUEUES] = self.queues.len() as u8;
        }
        self.short_way = plan.steering.is_none() && plan.stamps.is_none() && plan.strip_crc;
        self.plan = plan;
        for mut gone in old {
            gone.abandon(shared, &mut self.gathering);
        }
    }

    /// Forgets all queues.
    pub(super) fn reset(&mut self, shared: &mut Shared) {
        for q in &mut self.queues {
            q.abandon(shared, &mut self.gathering);
        }
        *self = Self::default();
    }

    /// Whether frames are taken from the wire at all.
    pub(super) fn is_on(&self) -> bool {
        self.plan.on
    }

    /// Called at the start of each step: large packets that have waited long enough get
    /// descriptors before new frames do.
    #[inline]
    pub(super) fn begin(&mut self, shared: &mut Shared) {
        self.shortened = self.short_way && !shared.chaos.any();
        if self.gathering > 0 {
            for q in &mut self.queues {
                q.close_due(shared, &mut self.gathering, false);
            }
        }
    }

    /// Handles one frame. False: it stays in the FIFO.
    #[inline]
    pub(super) fn accept(&mut self, shared: &mut Shared, frame: &[u8]) -> bool {
        if self.shortened
            && let Some(parsed) = packet::parse_plain(frame)
            && self.accept_plain(shared, frame, &parsed)
        {
            return true;
        }
        self.accept_any(shared, frame)
    }

    /// The way of nearly all frames: to a station address, stored in one descriptor that is free.
    /// False: nothing was done; [`accept_any`](Self::accept_any) comes to the same and more.
    #[inline(always)]
    fn accept_plain(&mut self, shared: &mut Shared, frame: &[u8], parsed: &Parsed) -> bool {
        let (plan, len) = (&self.plan, frame.len());
        let Some(to) = frame.first_chunk::<6>() else { return false };
        let ours = to[0] & 1 == 0 && (plan.accept.unicast || plan.macs.contains(to));
        if !ours || !(SHORTEST..=plan.longest).contains(&len) {
            return false;
        }
        let target = self.choose(frame, parsed);
        let w1 = RxDesc::DD | RxDesc::EOP | checks(parsed, plan) & !plan.unchecked;
        let (w0, errors) = (target.first_word(plan), plan.errors);
        let place = self.place[usize::from(target.number) % QUEUES];
        let Some(q) = self.queues.get_mut(usize::from(place).wrapping_sub(1)) else { return false };
        if !q.takes_plain(shared, len) {
            return false;
        }
        let slot = q.setup.common.slot;
        if q.store_one(shared, frame, w0, w1) {
            shared.tally.rx.through(frame, slot, len);
        } else {
            shared.tally.rx.drop(slot);
            shared.tally.rx.frame(frame);
            shared.tally.touch();
        }
        shared.tally.checksum_errors += u64::from(w1 & (errors.l4 | errors.ip) != 0);
        shared.truth.arrived += 1;
        true
    }

    /// Handles any frame.
    #[inline(never)]
    fn accept_any(&mut self, shared: &mut Shared, frame: &[u8]) -> bool {
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
        if is_control(frame) && shared.hear(&self.plan.flow, self.plan.macs.first(), frame) {
            return true;
        }
        let Some(passed) = self.filter(frame, tag) else {
            shared.tally.filtered.add(frame);
            shared.tally.touch();
            shared.truth.arrived += 1;
            return true;
        };
        let parsed = packet::parse(frame);
        let mut target = self.choose(frame, &parsed);
        if self.plan.steering.is_some() {
            self.steer(frame, tag, &parsed, &mut target);
        }
        let mut w1 = RxDesc::DD
            | RxDesc::EOP
            | checks(&parsed, &self.plan) & !self.plan.unchecked
            | target.status
            | extra;
        if passed.inexact {
            w1 |= PIF;
        }
        let w0 = target.first_word(&self.plan);
        let number = usize::from(target.number) % QUEUES;
        let place = usize::from(self.place[number]).wrapping_sub(1);
        let Some(q) = self.queues.get_mut(place) else {
            // A queue that is off drops, and counts where it would count if it were on.
            let slot = self.plan.slots.get(number).copied().unwrap_or(0);
            shared.tally.rx.drop(slot);
            finish_frame(shared, frame, self.plan.errors, w1);
            return true;
        };
        if let Some(setup) = q.setup.rsc
            && extra == 0
            && let Some(segment) = Segment::of(frame, tag, &parsed)
        {
            let tagged = tag.map_or(0, |tag| vp(tag, q.setup.strip_vlan));
            let words = (w0, w1 | tagged);
            match q.coalesce(shared, &mut self.gathering, &setup, &segment, words) {
                Ok(false) => {}
                Ok(true) => {
                    finish_frame(shared, frame, self.plan.errors, w1);
                    return true;
                }
                Err(Full) => return self.put_back(),
            }
        }
        let mut stamped = None;
        if let Some(stamps) = &self.plan.stamps {
            stamped = shared.stamp_for(stamps, q.setup.stamp, frame, tag.is_some(), &parsed);
            w1 |= stamped.map_or(0, |s| s.status);
        }
        let inside = stamped.and_then(|s| s.inside);
        let plain = tag.is_none() && self.plan.strip_crc && inside.is_none() && !shared.chaos.any();
        let done = if plain && q.takes(len) {
            Ok(q.store_one(shared, frame, w0, w1))
        } else {
            let strip = tag.filter(|_| q.setup.strip_vlan);
            w1 |= tag.map_or(0, |tag| vp(tag, strip.is_some()));
            if strip.is_some() || !self.plan.strip_crc || inside.is_some() {
                rebuild(&mut self.scratch, frame, strip.is_some(), !self.plan.strip_crc);
                if let Some(at) = inside {
                    shared.stamp_inside(at, &mut self.scratch);
                }
                q.deliver(shared, &self.scratch, w0, w1, &[])
            } else {
                q.deliver(shared, frame, w0, w1, &[])
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
                shared.hold.offered(shared.truth.arrived);
                return self.put_back();
            }
        }
        if let Some(stamped) = stamped {
            shared.stamp_received(stamped);
        }
        finish_frame(shared, frame, self.plan.errors, w1);
        true
    }

    /// The frame stays in the FIFO: what was counted of it will be when it is looked at again.
    #[cold]
    fn put_back(&mut self) -> bool {
        if let Some(hit) = self.matched.take() {
            self.director.forget(hit);
        }
        false
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
            self.damaged(&mut shared.tally, frame).add(frame);
            shared.tally.touch();
            shared.truth.arrived += 1;
            return Hurt::Gone;
        }
        if shared.chaos.strikes(Inject::Rxe) { Hurt::Marked } else { Hurt::None }
    }

    /// Where a frame with a wrong CRC counts: those of a wrong length apart.
    fn damaged<'a>(&self, tally: &'a mut Tally, frame: &[u8]) -> &'a mut Count {
        let tagged = packet::vlan_tag(frame).is_some();
        let longest = self.plan.longest + if tagged { self.plan.tag_room } else { 0 };
        match frame.len() {
            ..SHORTEST => &mut tally.fragments,
            len if len > longest => &mut tally.jabbers,
            _ => &mut tally.damaged,
        }
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
    #[inline(always)]
    fn choose(&self, frame: &[u8], parsed: &Parsed) -> Target {
        match &self.plan.rss {
            None => Target::unhashed(parsed),
            Some(rss) => Self::hash(rss, frame, parsed),
        }
    }

    fn hash(rss: &Rss, frame: &[u8], parsed: &Parsed) -> Target {
        let unhashed = Target::unhashed(parsed);
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
        Target { number: rss.table[hash as usize % RSS_ENTRIES], rss_type, hash, ..unhashed }
    }

    /// The filters that come before RSS (7.1.2.1).
    #[inline(never)]
    fn steer(&mut self, frame: &[u8], tag: Option<u16>, parsed: &Parsed, target: &mut Target) {
        self.matched = None;
        let Some(steering) = &self.plan.steering else { return };
        let ethertype = steering.by_ethertype(frame, tag);
        if let Some(filter) = ethertype {
            target.ptype = L2_TYPE | filter.number;
        }
        let queue = ethertype.and_then(|f| f.queue).or_else(|| steering.by_headers(frame, parsed));
        if let Some(queue) = queue {
            target.number = queue;
            return;
        }
        if !steering.director {
            return;
        }
        let own = |address: [u32; 4]| address == steering.own;
        let Some(hit) = self.director.look(frame, tag, parsed, own) else { return };
        self.matched = Some(hit.is_some());
        if self.director.reports(hit.is_some()) {
            // A packet that matched nothing tells no filter.
            (target.rss_type, target.hash) = (DIRECTED, hit.map_or(0, |hit| hit.id));
        }
        if let Some(hit) = hit {
            target.status |= FLM | hit.errors;
            target.number = hit.queue.unwrap_or(target.number);
        }
    }

    /// Publishes heads and lets go what is held back. Called at the end of each step; `drained`
    /// says that nothing more is on the wire.
    pub(super) fn finish(&mut self, shared: &mut Shared, drained: bool) {
        for q in &mut self.queues {
            q.finish(shared, &mut self.gathering, drained);
        }
    }
}

/// What a misfortune did to a frame.
enum Hurt {
    None,
    Gone,
    Marked,
}

/// Counts a good frame that passed the filters.
#[inline(always)]
fn finish_frame(shared: &mut Shared, frame: &[u8], errors: ErrorBits, w1: u64) {
    shared.tally.checksum_errors += u64::from(w1 & (errors.l4 | errors.ip) != 0);
    shared.tally.rx.frame(frame);
    shared.tally.touch();
    shared.truth.arrived += 1;
}

/// What the write-back tells of a tag: VP for every tagged frame; the tag field only when the tag
/// was taken out (7.4.2).
fn vp(tag: u16, stripped: bool) -> u64 {
    RxDesc::VP | if stripped { u64::from(tag) << 48 } else { 0 }
}

/// The checksum bits of the write-back.
#[inline(always)]
fn checks(parsed: &Parsed, plan: &RxPlan) -> u64 {
    let errors = plan.errors;
    let mut w1 = 0;
    if parsed.ip != Check::None {
        w1 |= RxDesc::IPCS;
        if parsed.ip == Check::Bad {
            w1 |= errors.ip;
        }
    }
    if parsed.transport != Check::None {
        let mut l4 = RxDesc::L4CS;
        if parsed.transport == Check::Bad {
            l4 |= errors.l4;
        }
        if parsed.ptype & (ptype::UDP | ptype::SCTP) != 0 {
            if parsed.ptype & ptype::UDP != 0 {
                l4 |= RxDesc::UDPCS;
            } else if !plan.check_sctp {
                l4 = 0;
            }
        }
        w1 |= l4;
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
