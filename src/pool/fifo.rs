//! The software side of a descriptor ring: which slot each descriptor holds.

use super::{Mempool, PoolCache, Slot};

/// Slots in ring order. Position `i` of the queue sits at index `i % size`, the same index as its
/// descriptor, so that the ring engine needs no second set of counters.
///
/// # Invariants
/// The `len` entries from `head` on, wrapping, are names owned by this queue.
#[derive(Debug)]
pub(crate) struct SlotFifo {
    ids: Box<[u32]>,
    head: usize,
    len: usize,
}

impl SlotFifo {
    pub(crate) fn new(size: usize) -> Self {
        Self { ids: vec![0; size].into_boxed_slice(), head: 0, len: 0 }
    }

    /// Entries held.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Entries that fit beside those held.
    #[inline(always)]
    pub(crate) fn room(&self) -> usize {
        self.ids.len() - self.len
    }

    /// Index of the oldest entry.
    #[inline(always)]
    pub(crate) fn head(&self) -> usize {
        self.head
    }

    /// Index where the next entry will sit.
    #[inline(always)]
    pub(crate) fn tail(&self) -> usize {
        let t = self.head + self.len;
        if t >= self.ids.len() { t - self.ids.len() } else { t }
    }

    /// The name at an index, to compute addresses with. Looking owns nothing.
    #[inline(always)]
    pub(crate) fn peek(&self, index: usize) -> u32 {
        self.ids[index]
    }

    /// The names in `range` of indices, likewise.
    #[inline(always)]
    pub(crate) fn peek_run(&self, range: std::ops::Range<usize>) -> &[u32] {
        &self.ids[range]
    }

    /// Appends one slot; gives it back when full.
    #[inline(always)]
    pub(crate) fn push(&mut self, slot: Slot) -> Result<(), Slot> {
        if self.room() == 0 {
            return Err(slot);
        }
        let t = self.tail();
        self.ids[t] = slot.into_raw();
        self.len += 1;
        Ok(())
    }

    /// Takes the oldest slot.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Slot> {
        self.len = self.len.checked_sub(1)?;
        let id = self.ids[self.head];
        self.head = if self.head + 1 == self.ids.len() { 0 } else { self.head + 1 };
        // SAFETY: the entry at `head` was owned by this queue, and `head` and `len` have just let
        // go of it.
        Some(unsafe { Slot::from_raw(id) })
    }

    /// Appends up to `n` slots from `cache`, in at most one run (it stops at the ring's end), and
    /// returns how many.
    #[inline]
    pub(crate) fn fill_run(&mut self, cache: &mut PoolCache, n: usize) -> usize {
        let t = self.tail();
        let n = n.min(self.room()).min(self.ids.len() - t);
        let got = cache.take_raw(&mut self.ids[t..t + n]);
        self.len += got;
        got
    }

    /// Moves the `n` oldest slots (or all, if fewer) to `cache`; all must be of the cache's pool.
    #[inline]
    pub(crate) fn drain_to(&mut self, cache: &mut PoolCache, n: usize) {
        let mut left = n.min(self.len);
        while left > 0 {
            let run = left.min(self.ids.len() - self.head);
            cache.put_raw(&self.ids[self.head..self.head + run]);
            self.head = if self.head + run == self.ids.len() { 0 } else { self.head + run };
            self.len -= run;
            left -= run;
        }
    }

    /// Frees everything to the depots of the slots' pools.
    pub(crate) fn free_all(&mut self) {
        while let Some(s) = self.pop() {
            s.free();
        }
    }

    /// Appends up to `n` slots straight from the pool's depot, for a queue that was given a cache
    /// of another pool.
    pub(crate) fn fill_from_depot(&mut self, pool: &Mempool, n: usize) -> usize {
        let mut cache = pool.cache();
        self.fill_run(&mut cache, n)
    }
}

impl Drop for SlotFifo {
    fn drop(&mut self) {
        self.free_all();
    }
}
