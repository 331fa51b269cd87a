//! A worker's own stock of free slots, over the pool's depot.

use super::depot::MAG;
use super::{Batch, Mbuf, Mempool, Slot};
use crate::mem::chunk_of;

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
    /// Of the pool, close at hand: its chunks and the headroom of a fresh packet.
    chunks: std::ops::Range<u32>,
    headroom: u16,
    /// Slots taken from the depot less those put back, not yet in the pool's balance.
    taken: i64,
}

impl PoolCache {
    pub(super) fn new(pool: Mempool) -> Self {
        let (first, count) = (pool.mem().first_chunk(), pool.mem().chunks());
        let headroom = pool.geometry().headroom();
        let slots = Box::new([0; CAPACITY]);
        Self { pool, slots, len: 0, chunks: first..first + count, headroom, taken: 0 }
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
        let wanted = n.min(out.room());
        out.compact();
        let mut left = wanted;
        while left > 0 {
            if self.len == 0 && !self.restock() {
                break;
            }
            let n = left.min(self.len);
            self.len -= n;
            let ids = &self.slots[self.len..self.len + n];
            let places = &mut out.spare()[..n];
            for i in 0..n {
                self.pool.note_taken(ids[i]);
                places[i] = Mbuf::empty_words(ids[i], self.headroom);
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
            let (first, count) = (self.chunks.start, self.chunks.end - self.chunks.start);
            let most = packets.len().min(CAPACITY - self.len);
            let places = &mut self.slots[self.len..self.len + most];
            let offered = &packets.as_slice()[..most];
            let mut n = 0;
            while n < most {
                let m = &offered[n];
                if m.is_chain() || chunk_of(m.id()).wrapping_sub(first) >= count {
                    break;
                }
                self.pool.note_freed(m.id());
                places[n] = m.id();
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
        let chunk = chunk_of(slot.id());
        if !self.chunks.contains(&chunk) {
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
        out[..n].copy_from_slice(&self.slots[self.len..self.len + n]);
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
        self.slots[self.len..self.len + ids.len()].copy_from_slice(ids);
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
