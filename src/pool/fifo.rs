//! The software side of a descriptor ring: which slot each descriptor holds.

use super::{Batch, Mbuf, PoolCache, PoolInner, RxMeta, Slot};
use crate::mem::{Geometry, Lent, SlotMem, chunk_pool};

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

    /// The names in `range` of indices, to compute addresses with. Looking owns nothing.
    #[inline(always)]
    pub(crate) fn peek_run(&self, range: std::ops::Range<usize>) -> &[u32] {
        &self.ids[range]
    }

    /// Moves packets (at most the run up to the ring's end) from the front of the queue to `out`,
    /// one for each of `descriptors`, for as long as `meta` has something to say of the next one
    /// and its length is that of a whole packet in one buffer. Returns how many left the queue, and
    /// how many packets and bytes arrived: with a `software` device those that it still holds do
    /// not arrive and stay out of use for good.
    #[inline(always)]
    pub(crate) fn receive_run<D>(
        &mut self,
        geometry: Geometry,
        software: bool,
        out: &mut Batch,
        descriptors: &[D],
        mut meta: impl FnMut(&D) -> Option<RxMeta>,
    ) -> (usize, usize, u64) {
        let first = self.head;
        let n = descriptors.len().min(self.len).min(self.ids.len() - first);
        let places = out.spare();
        let n = n.min(places.len());
        let (headroom, room) = (geometry.headroom(), geometry.room());
        let ids = &self.ids[first..first + n];
        let (places, descriptors) = (&mut places[..n], &descriptors[..n]);
        let (mut gone, mut arrived, mut bytes) = (0, 0, 0);
        while gone < n {
            let Some(meta) = meta(&descriptors[gone]) else { break };
            if meta.len.wrapping_sub(1) >= room {
                break;
            }
            let id = ids[gone];
            // Without a software device the two indices are the same, and the compiler knows it.
            let at = if software { arrived } else { gone };
            gone += 1;
            if software && !Self::mem(id).take_back(id, Lent::Rx) {
                continue;
            }
            // SAFETY: the entry is owned by this queue, and below `head` and `len` let go of it
            // before the packet counts. (Should `meta` panic, neither happens.)
            let slot = unsafe { Slot::from_raw(id) };
            // SAFETY: the length is at most the room behind the headroom.
            places[at].write(unsafe { Mbuf::received(slot, headroom, meta) });
            arrived += 1;
            bytes += u64::from(meta.len);
        }
        self.head = if first + gone == self.ids.len() { 0 } else { first + gone };
        self.len -= gone;
        // SAFETY: the loop has written `arrived` places, from the first on.
        unsafe { out.grow(arrived) };
        (gone, arrived, bytes)
    }

    /// Moves packets from the front of `batch` into the queue, one for each of `descriptors` (the
    /// places from the tail on) that `post` fills for it, and returns how many. Stops at the first
    /// packet that is a chain or that `post` does not accept, at the ring's end, and when full.
    #[inline(always)]
    pub(crate) fn send_run<D>(
        &mut self,
        software: bool,
        batch: &mut Batch,
        descriptors: &[D],
        mut post: impl FnMut(&D, &Mbuf) -> bool,
    ) -> usize {
        let first = self.tail();
        let n = descriptors.len().min(self.room()).min(self.ids.len() - first).min(batch.len());
        let (ids, descriptors) = (&mut self.ids[first..first + n], &descriptors[..n]);
        let packets = &batch.as_slice()[..n];
        let mut sent = 0;
        while sent < n {
            let m = &packets[sent];
            // Written first, so that the compiler need not read the name again after `post`.
            ids[sent] = m.id();
            if m.is_chain() || !post(&descriptors[sent], m) {
                break;
            }
            if software {
                Self::mem(m.id()).lend(m.id(), Lent::Tx);
            }
            sent += 1;
        }
        self.len += sent;
        // SAFETY: the names of these packets, each its packet's only one, are in the queue.
        unsafe { batch.forget_front(sent) };
        sent
    }

    /// Takes the oldest entry as one received segment, as [`receive_run`](Self::receive_run) does, with a
    /// length beyond the buffer cut to it.
    pub(crate) fn receive_one(
        &mut self,
        geometry: Geometry,
        software: bool,
        mut meta: RxMeta,
    ) -> Option<Mbuf> {
        let slot = self.pop()?;
        if software && !Self::mem(slot.id()).take_back(slot.id(), Lent::Rx) {
            return None;
        }
        meta.len = meta.len.min(geometry.room());
        // SAFETY: the length was cut to the room behind the headroom.
        Some(unsafe { Mbuf::received(slot, geometry.headroom(), meta) })
    }

    /// Appends one slot, lent for sending.
    pub(crate) fn push_lent(&mut self, slot: Slot, software: bool) -> Result<(), Slot> {
        if self.room() == 0 {
            return Err(slot);
        }
        if software {
            Self::mem(slot.id()).lend(slot.id(), Lent::Tx);
        }
        let t = self.tail();
        self.ids[t] = slot.into_raw();
        self.len += 1;
        Ok(())
    }

    /// Lends the newest `n` entries to a software device for receiving.
    #[inline(always)]
    pub(crate) fn lend_rx(&self, run: std::ops::Range<usize>) {
        for id in &self.ids[run] {
            Self::mem(*id).lend(*id, Lent::Rx);
        }
    }

    /// The memory of an owned slot.
    #[inline(always)]
    fn mem<'a>(id: u32) -> &'a SlotMem {
        let pool: *const PoolInner = chunk_pool(id);
        // SAFETY: only called with names that this queue owns, and the borrow ends before it lets
        // go of them; a slot's existence keeps its pool alive.
        unsafe { &(*pool).mem }
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

    /// As [`drain_to`](Self::drain_to), slot by slot: each goes to `cache` or to its own pool.
    /// With a `software` device, slots that it still holds stay out of use; returns how many.
    pub(crate) fn drain_each(&mut self, cache: &mut PoolCache, n: usize, software: bool) -> usize {
        let mut lost = 0;
        for _ in 0..n {
            let Some(slot) = self.pop() else { break };
            if software && !Self::mem(slot.id()).take_back(slot.id(), Lent::Tx) {
                lost += 1;
            } else {
                cache.put_slot(slot);
            }
        }
        lost
    }

    /// Frees everything to the depots of the slots' pools. The device must be quiet.
    pub(crate) fn free_all(&mut self) {
        while let Some(s) = self.pop() {
            if Self::mem(s.id()).take_back_any(s.id()) {
                s.free();
            }
        }
    }
}

impl Drop for SlotFifo {
    fn drop(&mut self) {
        self.free_all();
    }
}
