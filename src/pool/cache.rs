//! A worker's own stock of free slots, over the pool's depot.

use super::depot::MAG;
use super::mbuf::CHAIN;
use super::{Batch, Mbuf, Mempool, Slot};
use crate::arch::plain_names;
use crate::error::{Error, Result};
use crate::mem::name;

/// Slots a cache holds at most: two magazines beside a burst each way.
const CAPACITY: usize = 256;
const _: () = assert!(CAPACITY > MAG);

/// Slots that a cache may have taken or returned without reporting it; see `PoolInner`.
const UNREPORTED_MAX: u64 = if cfg!(test) { 1 << 10 } else { 1 << 30 };

/// One worker's stock of free buffers: no locks, no atomics, until it runs empty or full and
/// moves a magazine of 64 from or to the shared depot. Owned by the worker and passed to the
/// queues as `&mut`.
///
/// # Invariants
/// `slots[..len]` are names owned by this cache, all of `pool`.
#[derive(Debug)]
pub struct PoolCache {
    pool: Mempool,
    slots: Box<[u32; CAPACITY]>,
    len: usize,
    /// Of the pool, close at hand: its names, and the headroom of a fresh packet.
    names: std::ops::Range<u32>,
    headroom: u16,
    room: u16,
    /// Slots taken from the depot less those put back, not yet in the pool's balance.
    taken: i64,
}

impl PoolCache {
    pub(super) fn new(pool: Mempool) -> Self {
        let (first, count) = (pool.mem().first_chunk(), pool.mem().chunks());
        let (headroom, room) = (pool.geometry().headroom(), pool.geometry().room());
        let slots = Box::new([0; CAPACITY]);
        let names = name(first, 0)..name(first + count, 0);
        Self { pool, slots, len: 0, names, headroom, room, taken: 0 }
    }

    /// The pool it belongs to.
    pub fn pool(&self) -> &Mempool {
        &self.pool
    }

    /// An empty packet, or `None` when the pool is exhausted.
    #[inline]
    pub fn alloc(&mut self) -> Option<Mbuf> {
        self.take_slot().map(|s| Mbuf::empty(s, self.headroom))
    }

    /// Puts up to `n` empty packets into `out`, as far as there is room and the pool has any, and
    /// returns how many.
    #[inline]
    pub fn alloc_batch(&mut self, out: &mut Batch, n: usize) -> usize {
        self.alloc_words(out, n, 0)
    }

    /// As [`alloc_batch`](Self::alloc_batch), packets of `len` bytes each, which are whatever the
    /// buffers held: to be filled by the caller.
    ///
    /// # Errors
    /// [`Error::Config`] when `len` is more than the [`room`](crate::mem::Geometry::room) of a
    /// buffer.
    #[inline]
    pub fn alloc_batch_sized(&mut self, out: &mut Batch, n: usize, len: u16) -> Result<usize> {
        if len > self.room {
            return Err(self.no_room(len));
        }
        Ok(self.alloc_words(out, n, len))
    }

    #[cold]
    fn no_room(&self, len: u16) -> Error {
        Error::config("packet length", len, format!("0 to {} in one buffer", self.room))
    }

    /// `len` is at most the room of a buffer.
    #[inline(always)]
    fn alloc_words(&mut self, out: &mut Batch, n: usize, len: u16) -> usize {
        let (wanted, headroom) = (n.min(out.room()), self.headroom);
        out.compact();
        let mut left = wanted;
        while left > 0 {
            if self.len == 0 && !self.restock() {
                break;
            }
            let n = left.min(self.len);
            self.len -= n;
            let ids = &self.slots[self.len..self.len + n];
            for (id, place) in ids.iter().zip(out.spare()) {
                self.pool.note_taken(*id);
                *place = Mbuf::fresh_words(*id, len, headroom);
            }
            // SAFETY: the loop has written `n` places with names in `slots[..len]`, which are this
            // cache's to give, and `len` has let go of them.
            unsafe { out.grow(n) };
            left -= n;
        }
        wanted - left
    }

    /// Frees a packet into this cache; a packet of another pool goes home to that one.
    #[inline]
    pub fn free(&mut self, packet: Mbuf) {
        packet.each_slot(|s| self.put_slot(s));
    }

    /// Frees all packets of a batch.
    #[inline]
    pub fn free_batch(&mut self, packets: &mut Batch) {
        while !packets.is_empty() {
            if self.len == CAPACITY {
                self.unload();
            }
            let places = &mut self.slots[self.len..];
            let offered = Mbuf::words(packets.as_slice());
            let most = offered.len().min(places.len());
            let (offered, places) = (&offered[..most], &mut places[..most]);
            let mut n = 0;
            let fours = offered.as_chunks::<4>().0.iter().zip(places.as_chunks_mut::<4>().0);
            for (four, place) in fours {
                let Some(names) = plain_names(four, &self.names) else { break };
                names.iter().for_each(|id| self.pool.note_freed(*id));
                *place = names;
                n += 4;
            }
            while n < most {
                let [id, size, ..] = offered[n];
                if size & CHAIN != 0 || !self.names.contains(&id) {
                    break;
                }
                self.pool.note_freed(id);
                places[n] = id;
                n += 1;
            }
            self.len += n;
            // SAFETY: the names of these packets, each its packet's only one, are in the cache.
            unsafe { packets.forget_front(n) };
            if n == 0
                && let Some(odd) = packets.pop()
            {
                self.free(odd);
            }
        }
    }

    #[inline]
    fn take_slot(&mut self) -> Option<Slot> {
        if self.len == 0 {
            self.restock();
        }
        self.len = self.len.checked_sub(1)?;
        self.pool.note_taken(self.slots[self.len]);
        // SAFETY: a name in `slots[..len]` is this cache's to give.
        Some(unsafe { Slot::from_raw(self.slots[self.len]) })
    }

    #[inline]
    pub(crate) fn put_slot(&mut self, slot: Slot) {
        if !self.names.contains(&slot.id()) {
            return slot.free();
        }
        if self.len == CAPACITY {
            self.unload();
        }
        self.pool.note_freed(slot.id());
        self.slots[self.len] = slot.into_raw();
        self.len += 1;
    }

    /// Moves up to `out.len()` names into `out`, from its start, and returns how many.
    #[inline]
    pub(super) fn take_raw(&mut self, out: &mut [u32]) -> usize {
        if self.len < out.len() {
            self.restock_for(out.len());
        }
        let n = out.len().min(self.len);
        self.len -= n;
        copy_names(&mut out[..n], &self.slots[self.len..self.len + n]);
        out[..n].iter().for_each(|id| self.pool.note_taken(*id));
        n
    }

    /// Takes over the names in `ids`, which must be of this cache's pool and owned by the caller.
    #[inline]
    pub(super) fn put_raw(&mut self, ids: &[u32]) {
        ids.iter().for_each(|id| self.pool.note_freed(*id));
        let fits = CAPACITY - self.len;
        if ids.len() > fits {
            return self.put_many(ids);
        }
        copy_names(&mut self.slots[self.len..self.len + ids.len()], ids);
        self.len += ids.len();
    }

    #[cold]
    fn put_many(&mut self, ids: &[u32]) {
        for part in ids.chunks(MAG) {
            while self.len + part.len() > CAPACITY {
                self.unload();
            }
            self.slots[self.len..self.len + part.len()].copy_from_slice(part);
            self.len += part.len();
        }
    }

    #[cold]
    fn restock_for(&mut self, wanted: usize) {
        while self.len < wanted && self.len + MAG <= CAPACITY && self.restock() {}
    }

    /// Gets up to a magazine from the depot. False when it had nothing.
    #[cold]
    fn restock(&mut self) -> bool {
        let mut mag = [0; MAG];
        let before = self.len;
        if self.pool.depot().take_magazine(&mut mag) {
            self.slots[self.len..self.len + MAG].copy_from_slice(&mag);
            self.len += MAG;
        } else {
            while self.len < before + MAG {
                let Some(id) = self.pool.depot().take() else { break };
                self.slots[self.len] = id;
                self.len += 1;
            }
        }
        self.taken += (self.len - before) as i64;
        self.report_much();
        self.len > before
    }

    /// Puts a magazine into the depot. Needs at least a magazine's worth.
    #[cold]
    fn unload(&mut self) {
        // The oldest names go: those put back last are still in the processor's cache.
        let mut mag = [0; MAG];
        mag.copy_from_slice(&self.slots[..MAG]);
        if !self.pool.depot().put_magazine(&mag) {
            for id in mag {
                self.pool.depot().put(id, self.pool.mem().index(id));
            }
        }
        self.slots.copy_within(MAG..self.len, 0);
        self.len -= MAG;
        self.taken -= MAG as i64;
        self.report_much();
    }
}

/// Copies names to as many places. Whole magazines, what queues mostly move, without a call.
#[inline(always)]
fn copy_names(to: &mut [u32], from: &[u32]) {
    if let (Ok(to), Ok(from)) = (<&mut [u32; MAG]>::try_from(&mut *to), from.try_into()) {
        let from: &[u32; MAG] = from;
        *to = *from;
    } else {
        to.copy_from_slice(from);
    }
}

impl PoolCache {
    /// Keeps what is not reported well below this cache's own weight in the balance, so that
    /// packets that are dropped one by one, each reported at once, can never use that up.
    fn report_much(&mut self) {
        if self.taken.unsigned_abs() >= UNREPORTED_MAX {
            self.pool.report(std::mem::take(&mut self.taken));
        }
    }
}

impl Drop for PoolCache {
    fn drop(&mut self) {
        while self.len >= MAG {
            self.unload();
        }
        for id in &self.slots[..self.len] {
            self.pool.depot().put(*id, self.pool.mem().index(*id));
        }
        self.taken -= self.len as i64;
        self.pool.report(self.taken);
    }
}
