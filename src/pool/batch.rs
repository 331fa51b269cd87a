//! A bounded queue of packets, the unit of the burst interface.

use std::fmt;
use std::mem::MaybeUninit;

use super::Mbuf;

/// Packets in order, up to a capacity set once. Never allocates after it was made.
///
/// # Invariants
/// `items[head..tail]` are initialised; `head <= tail <= items.len()`.
pub struct Batch {
    items: Box<[MaybeUninit<Mbuf>]>,
    head: usize,
    tail: usize,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Batch {
    /// An empty batch for up to `capacity` packets.
    pub fn new(capacity: usize) -> Self {
        Self { items: (0..capacity).map(|_| MaybeUninit::uninit()).collect(), head: 0, tail: 0 }
    }

    /// Packets in it.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.tail - self.head
    }

    /// Whether it has none.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// How many it can hold.
    #[inline(always)]
    pub fn capacity(&self) -> usize {
        self.items.len()
    }

    /// How many more fit.
    #[inline(always)]
    pub fn room(&self) -> usize {
        self.items.len() - self.len()
    }

    /// Moves what is left to the start, so that all free places are at the end.
    #[inline]
    pub(crate) fn compact(&mut self) {
        if self.head == self.tail {
            self.head = 0;
            self.tail = 0;
        } else if self.head > 0 {
            // Bitwise moves within the slice; the head and tail below say which copies count.
            let n = self.len();
            let dst = self.items.as_mut_ptr();
            let src = dst.wrapping_add(self.head).cast_const();
            // SAFETY: both ranges are in bounds; `copy` allows overlap. The old copies are
            // forgotten by the new bounds.
            unsafe { std::ptr::copy(src, dst, n) };
            self.head = 0;
            self.tail = n;
        }
    }

    /// Appends a packet.
    ///
    /// # Errors
    /// Gives the packet back when the batch is full.
    #[inline]
    pub fn push(&mut self, packet: Mbuf) -> Result<(), Mbuf> {
        if self.room() == 0 {
            return Err(packet);
        }
        if self.tail == self.items.len() {
            self.compact();
        }
        self.push_within(packet);
        Ok(())
    }

    /// Appends a packet; the caller has checked that there is room and, if it appends several,
    /// called [`compact`](Self::compact) first. Without room the packet is freed.
    #[inline(always)]
    pub(crate) fn push_within(&mut self, packet: Mbuf) {
        if self.tail == self.items.len() {
            self.compact();
        }
        if let Some(place) = self.items.get_mut(self.tail) {
            place.write(packet);
            self.tail += 1;
        }
    }

    /// The places behind the last packet (all free ones, after [`compact`](Self::compact)).
    #[inline(always)]
    pub(super) fn spare(&mut self) -> &mut [MaybeUninit<Mbuf>] {
        &mut self.items[self.tail..]
    }

    /// Counts in `n` packets that were written to [`spare`](Self::spare).
    ///
    /// # Safety
    /// The first `n` spare places are initialised.
    #[inline(always)]
    pub(super) unsafe fn grow(&mut self, n: usize) {
        self.tail += n;
    }

    /// The packets in order.
    #[inline(always)]
    pub(super) fn as_slice(&self) -> &[Mbuf] {
        let range: *const [MaybeUninit<Mbuf>] = &raw const self.items[self.head..self.tail];
        // SAFETY: `items[head..tail]` are initialised, and `MaybeUninit<T>` is laid out as `T`.
        unsafe { &*(range as *const [Mbuf]) }
    }

    /// Lets go of the first `n` packets (at most all) without freeing them.
    ///
    /// # Safety
    /// The caller has taken over their slots.
    #[inline(always)]
    pub(super) unsafe fn forget_front(&mut self, n: usize) {
        self.head += n;
    }

    /// The first packet.
    #[inline(always)]
    pub fn first(&self) -> Option<&Mbuf> {
        self.iter().next()
    }

    /// Takes the first packet.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<Mbuf> {
        if self.head == self.tail {
            return None;
        }
        let i = self.head;
        self.head += 1;
        // SAFETY: `i` was in the initialised range, and `head` has just moved past it.
        Some(unsafe { self.items[i].assume_init_read() })
    }

    /// The packets in order.
    #[inline]
    pub fn iter(&self) -> std::slice::Iter<'_, Mbuf> {
        self.as_slice().iter()
    }

    /// The packets in order, to change.
    #[inline]
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Mbuf> {
        let range: *mut [MaybeUninit<Mbuf>] = &raw mut self.items[self.head..self.tail];
        // SAFETY: as in `iter`; the borrow is exclusive.
        unsafe { &mut *(range as *mut [Mbuf]) }.iter_mut()
    }

    /// Moves packets from the front of `other` to the end of this one, as far as there is room,
    /// and returns how many.
    pub fn append(&mut self, other: &mut Batch) -> usize {
        let n = self.room().min(other.len());
        for _ in 0..n {
            if let Some(p) = other.pop() {
                self.push_within(p);
            }
        }
        n
    }

    /// Keeps the packets for which `keep` answers true and frees the others.
    pub fn retain_mut(&mut self, mut keep: impl FnMut(&mut Mbuf) -> bool) {
        let (from, to) = (self.head, self.tail);
        // Should `keep` panic, the packets not looked at yet leak; nothing is freed twice.
        self.tail = from;
        for i in from..to {
            // SAFETY: `i` was in the initialised range, is read once, and `tail` no longer covers
            // it.
            let mut p = unsafe { self.items[i].assume_init_read() };
            if keep(&mut p) {
                self.items[self.tail].write(p);
                self.tail += 1;
            }
        }
    }

    /// Frees all packets. [`PoolCache::free_batch`](super::PoolCache::free_batch) is faster.
    pub fn clear(&mut self) {
        while let Some(p) = self.pop() {
            drop(p);
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.clear();
    }
}
