//! The software side of a descriptor ring: which slot each descriptor holds.

use super::mbuf::Words;
use super::{Batch, Mbuf, PoolCache, PoolInner, RxMeta, Slot};
use crate::mem::{Geometry, Lent, SlotMem, chunk_pool};

/// Makes packets of descriptors that a device has written back.
///
/// # Safety
/// `harvest` returns no more than `most`, nor than there are of any. Of the first so many places,
/// place `i` holds the name `ids[i]`, a length from 1 to the room of a buffer, no chain bit, and the
/// headroom as offset.
pub(crate) unsafe trait Harvest<D> {
    /// Takes descriptors from the first on while they are of whole, undamaged packets in one
    /// buffer each, and at most `most` or as many as there are of all. Returns how many, and the
    /// packets' bytes.
    fn harvest(
        &self,
        descriptors: &[D],
        ids: &[u32],
        places: &mut [Words],
        most: usize,
    ) -> (usize, u64);
}

/// Makes descriptors of packets to be sent.
///
/// # Safety
/// `post` returns no more than `most`, nor than there are of any, and writes no entry of `ids` from
/// `most` on. Of the first so many entries as it returns, `ids[i]` is the name in `packets[i]`, which
/// is no chain; nor is a packet that `post_one` takes.
pub(crate) unsafe trait Post<D> {
    /// Fills descriptors for packets from the first on while these are in one buffer each, known to
    /// the device, and of a length that it sends, and at most `most` or as many as there are of
    /// all. Returns how many, and their bytes.
    fn post(
        &self,
        packets: &[Words],
        descriptors: &[D],
        ids: &mut [u32],
        most: usize,
    ) -> (usize, u64);

    /// The same for one packet.
    fn post_one(&self, packet: &Words, descriptor: &D) -> Option<u64>;
}

/// What [`SlotFifo::receive_run`] did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    /// Entries that left the queue.
    pub(crate) gone: usize,
    /// Packets among them.
    pub(crate) arrived: usize,
    /// Bytes of these.
    pub(crate) bytes: u64,
}

/// Slots in ring order. Position `i` of the queue sits at index `i % size`, the same index as its
/// descriptor, so that the ring engine needs no second set of counters.
///
/// # Invariants
/// The `len` entries from `head` on, wrapping, are names owned by this queue; `tail` is where the
/// next one goes.
#[derive(Debug)]
pub(crate) struct SlotFifo {
    ids: Box<[u32]>,
    head: usize,
    tail: usize,
    len: usize,
}

impl SlotFifo {
    pub(crate) fn new(size: usize) -> Self {
        Self { ids: vec![0; size].into_boxed_slice(), head: 0, tail: 0, len: 0 }
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
        self.tail
    }

    /// The names in `range` of indices, to compute addresses with. Looking owns nothing.
    #[inline(always)]
    pub(crate) fn peek_run(&self, range: std::ops::Range<usize>) -> &[u32] {
        &self.ids[range]
    }

    /// Moves packets (at most the run up to the ring's end) from the front of the queue to `out`,
    /// as many of the descriptors there as `kernel` takes; `ring` has all of them. With a
    /// `software` device those that it still holds do not arrive and stay out of use for good.
    #[inline(always)]
    pub(crate) fn receive_run<D>(
        &mut self,
        software: bool,
        out: &mut Batch,
        ring: &[D],
        kernel: &impl Harvest<D>,
    ) -> Received {
        let first = self.head;
        let (ids, ring) = (&self.ids[first..], &ring[first..]);
        let places = out.spare();
        let (gone, mut bytes) = kernel.harvest(ring, ids, places, self.len);
        let mut arrived = gone;
        if software {
            arrived = 0;
            for i in 0..gone {
                let words = places[i];
                if Self::mem(words[0]).take_back(words[0], Lent::Rx) {
                    places[arrived] = words;
                    arrived += 1;
                } else {
                    bytes -= u64::from(words[1] as u16);
                }
            }
        }
        self.head = if gone == ids.len() { 0 } else { first + gone };
        self.len -= gone;
        // SAFETY: the kernel has written `gone` places with the names that left this queue, and
        // those that did not arrive were closed up.
        unsafe { out.grow(arrived) };
        Received { gone, arrived, bytes }
    }

    /// Moves packets from the front of `batch` into the queue (at most the run up to the ring's
    /// end), as many as `kernel` takes, and returns how many, with their bytes. `ring` has all
    /// descriptors, of which one always stays free.
    #[inline(always)]
    pub(crate) fn send_run<D>(
        &mut self,
        software: bool,
        batch: &mut Batch,
        ring: &[D],
        kernel: &impl Post<D>,
    ) -> (usize, u64) {
        let first = self.tail;
        let room = (self.ids.len() - 1).saturating_sub(self.len);
        let (ids, ring) = (&mut self.ids[first..], &ring[first..]);
        let packets = Mbuf::words(batch.as_slice());
        let (sent, bytes) = kernel.post(packets, ring, ids, room);
        if software {
            for id in &ids[..sent] {
                Self::mem(*id).lend(*id, Lent::Tx);
            }
        }
        self.tail = if sent == ids.len() { 0 } else { first + sent };
        self.len += sent;
        // SAFETY: the names of these packets, each its packet's only one, are in the queue.
        unsafe { batch.forget_front(sent) };
        (sent, bytes)
    }

    /// The same for just the first packet, when there is room beside the one that stays free.
    #[inline(always)]
    pub(crate) fn send_one<D>(
        &mut self,
        software: bool,
        batch: &mut Batch,
        ring: &[D],
        kernel: &impl Post<D>,
    ) -> Option<u64> {
        let at = self.tail;
        if self.len + 1 >= self.ids.len() {
            return None;
        }
        let words = Mbuf::words(batch.as_slice()).first()?;
        let (entry, descriptor) = (self.ids.get_mut(at)?, ring.get(at)?);
        let bytes = kernel.post_one(words, descriptor)?;
        *entry = words[0];
        if software {
            Self::mem(words[0]).lend(words[0], Lent::Tx);
        }
        self.tail = if at + 1 == self.ids.len() { 0 } else { at + 1 };
        self.len += 1;
        // SAFETY: the packet's name, its only one, is in the queue.
        unsafe { batch.forget_front(1) };
        Some(bytes)
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
        meta.size = meta.size & !0xffff | u32::from(meta.len().min(geometry.room()));
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
        let t = self.tail;
        self.ids[t] = slot.into_raw();
        self.tail = if t + 1 == self.ids.len() { 0 } else { t + 1 };
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
        let first = self.tail;
        let n = n.min(self.room());
        let ids = &mut self.ids[first..];
        let n = n.min(ids.len());
        let got = cache.take_raw(&mut ids[..n]);
        self.tail = if got == ids.len() { 0 } else { first + got };
        self.len += got;
        got
    }

    /// Moves the `n` oldest slots (or all, if fewer) to `cache`; all must be of the cache's pool.
    #[inline]
    pub(crate) fn drain_to(&mut self, cache: &mut PoolCache, n: usize) {
        let mut left = n.min(self.len);
        while left > 0 {
            let ids = &self.ids[self.head..];
            let run = left.min(ids.len());
            cache.put_raw(&ids[..run]);
            self.head = if run == ids.len() { 0 } else { self.head + run };
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
