//! A bounded queue of packets, the unit of the burst interface.

use super::Mbuf;
use super::mbuf::Words;
use std::fmt;

/// Packets in order, up to a capacity set once. Never allocates after it was made.
///
/// # Invariants
/// The places `head..tail` hold handles that this batch owns, as words; the others hold what nobody
/// owns. `head <= tail <= capacity`, and that is at most four times the number of lines.
pub struct Batch {
    lines: Box<[Line]>,
    capacity: usize,
    head: usize,
    tail: usize,
}

/// A cache line of handles: vector code moves up to four at a time.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([Words; 4]);

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Batch {
    /// An empty batch for up to `capacity` packets.
    pub fn new(capacity: usize) -> Self {
        let lines = vec![Line([[0; 4]; 4]); capacity.div_ceil(4)].into_boxed_slice();
        Self { lines, capacity, head: 0, tail: 0 }
    }

    /// All places.
    #[inline(always)]
    fn places(&mut self) -> &mut [Words] {
        let first: *mut Words = self.lines.as_mut_ptr().cast();
        // SAFETY: a line is four places without padding, and there are enough lines.
        unsafe { std::slice::from_raw_parts_mut(first, self.capacity) }
    }

    #[inline(always)]
    fn place(&self, i: usize) -> *const Words {
        self.lines.as_ptr().cast::<Words>().wrapping_add(i)
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
        self.capacity
    }

    /// How many more fit.
    #[inline(always)]
    pub fn room(&self) -> usize {
        self.capacity - self.len()
    }

    /// Moves what is left to the start, so that all free places are at the end.
    #[inline]
    pub(crate) fn compact(&mut self) {
        if self.head == self.tail {
            self.head = 0;
            self.tail = 0;
        } else if self.head > 0 {
            let (head, tail) = (self.head, self.tail);
            self.places().copy_within(head..tail, 0);
            self.head = 0;
            self.tail = tail - head;
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
        if self.tail == self.capacity {
            self.compact();
        }
        self.push_within(packet);
        Ok(())
    }

    /// Appends a packet; the caller has checked that there is room and, if it appends several,
    /// called [`compact`](Self::compact) first. Without room the packet is freed.
    #[inline(always)]
    pub(crate) fn push_within(&mut self, packet: Mbuf) {
        if self.tail == self.capacity {
            self.compact();
        }
        let tail = self.tail;
        if let Some(place) = self.places().get_mut(tail) {
            *place = packet.into_words();
            self.tail += 1;
        }
    }

    /// The places behind the last packet (all free ones, after [`compact`](Self::compact)).
    #[inline(always)]
    pub(super) fn spare(&mut self) -> &mut [Words] {
        let tail = self.tail;
        &mut self.places()[tail..]
    }

    /// Counts in `n` packets that were written to [`spare`](Self::spare).
    ///
    /// # Safety
    /// The first `n` spare places hold handles, whose slots this batch owns from now on.
    #[inline(always)]
    pub(super) unsafe fn grow(&mut self, n: usize) {
        self.tail += n;
    }

    /// The packets in order.
    #[inline(always)]
    pub(super) fn as_slice(&self) -> &[Mbuf] {
        // SAFETY: the places `head..tail` hold handles of this batch's.
        unsafe { std::slice::from_raw_parts(self.place(self.head).cast(), self.len()) }
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
        // SAFETY: place `i` held a handle of this batch's, and `head` has just moved past it.
        Some(unsafe { self.place(i).cast::<Mbuf>().read() })
    }

    /// The packets in order.
    #[inline]
    pub fn iter(&self) -> std::slice::Iter<'_, Mbuf> {
        self.as_slice().iter()
    }

    /// The packets in order, to change.
    #[inline]
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Mbuf> {
        let first: *mut Mbuf = self.lines.as_mut_ptr().cast();
        let first = first.wrapping_add(self.head);
        // SAFETY: as in `as_slice`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(first, self.len()) }.iter_mut()
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

    /// [`append`](Self::append) for few packets.
    #[inline(always)]
    pub(crate) fn take_few(&mut self, other: &mut Batch) -> usize {
        if self.head == self.tail {
            self.head = 0;
            self.tail = 0;
        } else if self.head > 0 {
            self.compact();
        }
        let n = other.len().min(self.capacity - self.tail);
        let from = other.place(other.head);
        let to: *mut Words = self.lines.as_mut_ptr().cast();
        let to = to.wrapping_add(self.tail);
        if n == 1 {
            // SAFETY: there is a place to read.
            let words = unsafe { from.read() };
            // SAFETY: there is one to write to.
            unsafe { to.write(words) };
        } else {
            // SAFETY: there are `n` places on either side, of two batches.
            unsafe { std::ptr::copy_nonoverlapping(from, to, n) };
        }
        // The handles change hands.
        self.tail += n;
        other.head += n;
        n
    }

    /// Keeps the packets for which `keep` answers true and frees the others.
    pub fn retain_mut(&mut self, mut keep: impl FnMut(&mut Mbuf) -> bool) {
        let (from, to) = (self.head, self.tail);
        // Should `keep` panic, the packets not looked at yet leak; nothing is freed twice.
        self.tail = from;
        for i in from..to {
            // SAFETY: place `i` held a handle, is read once, and `tail` no longer covers it.
            let mut p = unsafe { self.place(i).cast::<Mbuf>().read() };
            if keep(&mut p) {
                let tail = self.tail;
                self.places()[tail] = p.into_words();
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
