//! Flow Director: filters for single flows, found by a hash (82599 datasheet 7.1.2.7).
//!
//! In signature mode a filter is two hashes of its flow, in perfect mode all of the flow's fields.
//! Software adds and removes filters through registers at any time, also for every connection that
//! it has; so the table is no part of the plan.

use super::hash::Tuple;
use crate::drivers::sim::packet::{Parsed, ptype};

/// FDIRCMD: what to do; whether the filter that was asked for is there; replace it if it is.
const ADD: u32 = 1;
const REMOVE: u32 = 2;
const QUERY: u32 = 3;
const CMD: u32 = 0x3;
const VALID: u32 = 1 << 2;
const UPDATE: u32 = 1 << 3;
/// The destination is the station's own IPv6 address.
const V6_MATCH: u32 = 1 << 4;
/// Kind of packet, see [`Tuple::kind`].
const KIND_AT: u32 = 5;
/// Forget all filters.
const CLEAR: u32 = 1 << 8;
const DROP: u32 = 1 << 9;
/// Another flow has the same hashes.
const COLLISION: u32 = 1 << 12;
const QUEUE_EN: u32 = 1 << 15;
/// Bits that a filter keeps as software gave them.
const KEPT: u32 = 0xff << 16 | QUEUE_EN | DROP | 0xf8;

/// FDIRHASH and FDIRLEN: bits of the two hashes.
const HALF: u32 = 0x7fff;

/// Errors of the write-back: too far down in its list, to be dropped, collided (7.1.6.2).
const TOO_LONG: u64 = 1 << 20;
const DROPPED: u64 = 1 << 21;
const COLLIDED: u64 = 1 << 22;

/// What the registers say about the table.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::drivers::sim) struct Settings {
    /// FDIRCTRL.
    pub(in crate::drivers::sim) control: u32,
    /// FDIRHKEY and FDIRSKEY.
    pub(in crate::drivers::sim) keys: [u32; 2],
    pub(in crate::drivers::sim) masks: Masks,
}

impl Settings {
    fn field(&self, at: u32, bits: u32) -> u32 {
        self.control >> at & ((1 << bits) - 1)
    }

    /// PBALLOC: a part of the packet buffer is the table's.
    pub(in crate::drivers::sim) fn on(&self) -> bool {
        self.field(0, 2) != 0
    }

    fn perfect(&self) -> bool {
        self.field(4, 1) != 0
    }

    /// Bits of a bucket's number: 64, 128 or 256 KiB have 8 or 2 Ki filters, or more.
    fn bits(&self) -> u32 {
        (if self.perfect() { 11 } else { 13 }) + self.field(0, 2).saturating_sub(1)
    }

    /// Filters that fit. Two places are the table's own.
    fn size(&self) -> u32 {
        if self.on() { (1 << self.bits()) - 2 } else { 0 }
    }

    /// Free filters at which software is told.
    fn threshold(&self) -> u32 {
        self.field(28, 4) * 16
    }
}

/// The bits that are compared.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::drivers::sim) struct Masks {
    pub(in crate::drivers::sim) vlan: u16,
    /// Whether the kind of packet above IP counts.
    pub(in crate::drivers::sim) l4: bool,
    pub(in crate::drivers::sim) flex: bool,
    /// Whether an IPv6 destination counts, in perfect mode.
    pub(in crate::drivers::sim) v6_match: bool,
    /// Source and destination.
    pub(in crate::drivers::sim) v4: [u32; 2],
    pub(in crate::drivers::sim) v6: [[u32; 4]; 2],
    /// Ports of packets of each kind; none has no ports.
    pub(in crate::drivers::sim) ports: [[u16; 2]; 4],
}

impl Masks {
    fn apply(&self, mut t: Tuple) -> Tuple {
        t.vlan &= self.vlan;
        let ports = self.ports[usize::from(t.kind & 3)];
        if !self.l4 {
            t.kind &= !3;
        }
        for (port, mask) in t.ports.iter_mut().zip(ports) {
            *port &= if self.l4 { mask } else { 0 };
        }
        if !self.flex {
            t.flex = 0;
        }
        if t.kind & 4 == 0 {
            t.source[0] &= self.v4[0];
            t.destination[0] &= self.v4[1];
        } else {
            for (words, masks) in [&mut t.source, &mut t.destination].into_iter().zip(&self.v6) {
                for (word, mask) in words.iter_mut().zip(masks) {
                    *word &= mask;
                }
            }
        }
        t
    }
}

#[derive(Debug, Clone, Copy)]
struct Filter {
    /// Its signature, or the index that software knows it by.
    id: u16,
    /// FDIRCMD as it was added with.
    command: u32,
    /// Perfect mode: what it is for.
    flow: Tuple,
}

/// What a command has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::drivers::sim) struct Answer {
    /// FDIRCMD, with its command done.
    pub(in crate::drivers::sim) command: u32,
    /// FDIRHASH.
    pub(in crate::drivers::sim) hash: u32,
    /// The flow of the filter that was asked for.
    pub(in crate::drivers::sim) flow: Option<Tuple>,
    /// Software is to be told that few filters are left.
    pub(in crate::drivers::sim) nearly_full: bool,
}

/// What was found for a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::drivers::sim) struct Hit {
    pub(in crate::drivers::sim) queue: Option<u8>,
    pub(in crate::drivers::sim) errors: u64,
    /// The bucket in the upper half, the filter's id in the lower.
    pub(in crate::drivers::sim) id: u32,
}

/// The counters: all are cleared when they are read.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    added: u32,
    removed: u32,
    not_added: u32,
    not_removed: u32,
    matches: u32,
    misses: u32,
    /// The longest list and its bucket.
    longest: u32,
    at: u32,
}

/// The table.
#[derive(Debug, Default)]
pub(in crate::drivers::sim) struct Director {
    settings: Settings,
    buckets: Vec<Vec<Filter>>,
    used: u32,
    collided: u32,
    counts: Counts,
}

impl Director {
    /// Starts over with an empty table (FDIRCTRL was written).
    pub(in crate::drivers::sim) fn start(&mut self, settings: Settings) {
        *self = Self { settings, counts: self.counts, ..Self::default() };
        if settings.on() {
            self.buckets.resize(1 << settings.bits(), Vec::new());
        }
    }

    /// Goes by other keys and masks from now on.
    pub(in crate::drivers::sim) fn set(&mut self, settings: Settings) {
        self.settings = Settings { control: self.settings.control, ..settings };
    }

    /// Carries out what was written to FDIRCMD, with FDIRHASH and the flow as they are.
    pub(in crate::drivers::sim) fn command(
        &mut self,
        command: u32,
        hash: u32,
        mut flow: Tuple,
    ) -> Answer {
        if command & CLEAR != 0 {
            self.buckets.iter_mut().for_each(Vec::clear);
            (self.used, self.collided) = (0, 0);
        }
        let before = self.free();
        let mut answer =
            Answer { command: command & !(CMD | VALID), hash, flow: None, nearly_full: false };
        let (bucket, id) = (hash & HALF, (hash >> 16 & HALF) as u16);
        match command & CMD {
            ADD => {
                flow.kind = (command >> KIND_AT & 7) as u8;
                let added = self.add(bucket, Filter { id, command: command & KEPT, flow });
                let counts = &mut self.counts;
                let count = if added { &mut counts.added } else { &mut counts.not_added };
                *count = count.saturating_add(1);
            }
            REMOVE => self.remove(bucket, id),
            QUERY => {
                answer.command = 0;
                let perfect = self.settings.perfect();
                if let Some(found) = self.list(bucket).and_then(|l| l.iter().find(|f| f.id == id)) {
                    answer.command = found.command & !UPDATE | VALID;
                    answer.hash |= 1 << 15;
                    answer.flow = perfect.then_some(found.flow);
                }
            }
            _ => {}
        }
        let (now, threshold) = (self.free(), self.settings.threshold());
        answer.nearly_full = now < before && now <= threshold;
        answer
    }

    fn list(&mut self, bucket: u32) -> Option<&mut Vec<Filter>> {
        let mask = (self.buckets.len() as u32).checked_sub(1)?;
        self.buckets.get_mut((bucket & mask) as usize)
    }

    fn add(&mut self, bucket: u32, filter: Filter) -> bool {
        let full = self.free() == 0;
        let perfect = self.settings.perfect();
        let Some(list) = self.list(bucket) else { return false };
        let known = list.iter_mut().find(|f| match perfect {
            true => f.flow == filter.flow && (f.command ^ filter.command) & V6_MATCH == 0,
            false => f.id == filter.id,
        });
        match known {
            Some(known) if filter.command & UPDATE != 0 => {
                let collision = known.command & COLLISION;
                *known = Filter { command: filter.command | collision, ..filter };
                true
            }
            // Two flows that look the same: packets of both tell (7.1.2.7.3).
            Some(known) if !perfect => {
                let new = known.command & COLLISION == 0;
                known.command |= COLLISION;
                self.collided += u32::from(new);
                true
            }
            Some(_) => false,
            None if full => false,
            None => {
                list.push(filter);
                let length = list.len() as u32 - 1;
                self.used += 1;
                if length >= self.counts.longest {
                    (self.counts.longest, self.counts.at) = (length, bucket);
                }
                true
            }
        }
    }

    fn remove(&mut self, bucket: u32, id: u16) {
        let at = self.list(bucket).and_then(|list| {
            let at = list.iter().position(|f| f.id == id)?;
            Some(list.remove(at))
        });
        match at {
            Some(filter) => {
                self.used -= 1;
                self.collided -= u32::from(filter.command & COLLISION != 0);
                self.counts.removed = self.counts.removed.saturating_add(1);
            }
            None => self.counts.not_removed = self.counts.not_removed.saturating_add(1),
        }
    }

    fn free(&self) -> u32 {
        self.settings.size().saturating_sub(self.used)
    }

    /// FDIRFREE.
    pub(in crate::drivers::sim) fn room(&self) -> u32 {
        self.collided.min(HALF) << 16 | self.free().min(0xffff)
    }

    /// FDIRLEN, FDIRUSTAT, FDIRFSTAT, FDIRMATCH and FDIRMISS, by their order: reading clears.
    pub(in crate::drivers::sim) fn take_counter(&mut self, n: u32) -> u32 {
        let c = &mut self.counts;
        let take = |count: &mut u32, most: u32| std::mem::take(count).min(most);
        match n {
            0 => take(&mut c.longest, 0x3f) | take(&mut c.at, HALF) << 16,
            1 => take(&mut c.added, 0xffff) | take(&mut c.removed, 0xffff) << 16,
            2 => take(&mut c.not_added, 0xff) | take(&mut c.not_removed, 0xff) << 8,
            3 => take(&mut c.matches, u32::MAX),
            4 => take(&mut c.misses, u32::MAX),
            _ => 0,
        }
    }

    /// Whether every packet that could have matched tells what came of it (REPORT_STATUS_ALWAYS),
    /// or those that matched (REPORT_STATUS), or none.
    pub(in crate::drivers::sim) fn reports(&self, hit: bool) -> bool {
        self.settings.field(5, 1) != 0 && (hit || self.settings.field(7, 1) != 0)
    }

    /// The filter of a packet. `None`: none can be, as for what is not IP. `own` tells whether an
    /// IPv6 address is the station's.
    pub(in crate::drivers::sim) fn look(
        &mut self,
        frame: &[u8],
        tag: Option<u16>,
        parsed: &Parsed,
        own: impl Fn([u32; 4]) -> bool,
    ) -> Option<Option<Hit>> {
        let offset = self.settings.field(16, 5) as usize * 2;
        let mut flow = flow(frame, tag, parsed, offset)?;
        let mut wanted = 0;
        if self.settings.perfect() && flow.kind & 4 != 0 {
            // A filter has no room for an IPv6 destination.
            if self.settings.masks.v6_match && own(flow.destination) {
                wanted = V6_MATCH;
            }
            flow.destination = [0; 4];
        }
        let hit = self.find(&self.settings.masks.apply(flow), wanted);
        let counts = &mut self.counts;
        let count = if hit.is_some() { &mut counts.matches } else { &mut counts.misses };
        *count = count.saturating_add(1);
        Some(hit)
    }

    fn find(&self, flow: &Tuple, wanted: u32) -> Option<Hit> {
        if self.used == 0 {
            return None;
        }
        let Settings { keys, masks, .. } = self.settings;
        let bucket = usize::from(flow.hash(keys[0])) & (self.buckets.len() - 1);
        let list = self.buckets.get(bucket)?;
        let at = if self.settings.perfect() {
            let counts = if masks.v6_match { V6_MATCH } else { 0 };
            list.iter()
                .position(|f| masks.apply(f.flow) == *flow && (f.command ^ wanted) & counts == 0)?
        } else {
            let signature = flow.hash(keys[1]) & HALF as u16;
            list.iter().position(|f| f.id == signature)?
        };
        let filter = list.get(at)?;
        let asks = |bit: u32| filter.command & bit != 0;
        // Twice MAX_LENGTH is the most that a list should have.
        let mut errors = if at >= self.settings.field(24, 4) as usize * 2 { TOO_LONG } else { 0 };
        errors |= if asks(DROP) { DROPPED } else { 0 };
        errors |= if asks(COLLISION) { COLLIDED } else { 0 };
        let queue = if asks(DROP) {
            Some(self.settings.field(8, 7) as u8)
        } else {
            asks(QUEUE_EN).then_some((filter.command >> 16 & 0x7f) as u8)
        };
        Some(Hit { queue, errors, id: (bucket as u32) << 16 | u32::from(filter.id) })
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_be_bytes(*b))
}

/// The fields of a packet; `None` for one that has no filters: what is not IP, and fragments.
/// `offset` is where the flexible bytes stand.
fn flow(frame: &[u8], tag: Option<u16>, parsed: &Parsed, offset: usize) -> Option<Tuple> {
    let is = |bit: u16| parsed.ptype & bit != 0;
    if parsed.fragment || !is(ptype::IPV4 | ptype::IPV6) {
        return None;
    }
    let kind = match () {
        () if is(ptype::UDP) => 1,
        () if is(ptype::TCP) => 2,
        () if is(ptype::SCTP) => 3,
        () => 0,
    };
    let mut t = Tuple { kind, vlan: tag.unwrap_or(0) & 0xefff, ..Tuple::default() };
    if is(ptype::IPV4) {
        t.source[0] = word(frame, parsed.l3 + 12);
        t.destination[0] = word(frame, parsed.l3 + 16);
    } else {
        t.kind |= 4;
        for (n, at) in (parsed.l3 + 8..).step_by(4).take(4).enumerate() {
            t.source[n] = word(frame, at);
            t.destination[n] = word(frame, at + 16);
        }
    }
    if kind != 0 {
        let ports = word(frame, parsed.l4);
        t.ports = [(ports >> 16) as u16, ports as u16];
    }
    t.flex =
        frame.get(offset..).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_be_bytes(*b));
    Some(t)
}
