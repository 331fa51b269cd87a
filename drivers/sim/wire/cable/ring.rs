//! A ring of frames for one sender and one receiver, which may be on two threads.
//!
//! Frames lie packed in 64-bit words. The words are relaxed atomics, which cost what plain loads
//! and stores cost; the two positions publish them. A position only ever grows: it counts words
//! since the ring was made, so that a full ring and an empty one cannot be taken for each other.
//!
//! ```text
//! word 0         length in bits 0..32, TIMED
//! word 1         when it is due, in nanoseconds; only with TIMED
//! then           the frame, 8 bytes to a word, little-endian; the last word is filled with zeros
//! ```

use std::fmt;
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use super::sync::{AtomicU64, CONSUME, Ordering, PUBLISH};

/// Longest frame that a ring carries: more than any frame of an 82599 (15.5 KiB, 82599 datasheet
/// section 7.1).
pub(super) const MAX_FRAME: usize = 16 * 1024;
/// Header bit: the second word says when the frame is due.
const TIMED: u64 = 1 << 32;
/// The receiver frees the space of what it took at least this often within one call.
const FREE_EVERY: usize = 64;

/// What both halves share.
pub(super) struct Ring {
    /// A power of two of them.
    words: Box<[AtomicU64]>,
    /// Where the sender writes next. Only the sender stores it.
    head: CachePadded<AtomicU64>,
    /// Where the receiver reads next. Only the receiver stores it.
    tail: CachePadded<AtomicU64>,
}

impl Ring {
    /// An empty ring with room for `words` 64-bit words or more.
    pub(super) fn new(words: usize) -> Arc<Self> {
        let words = (0..Self::size(words)).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { words, head: CachePadded::default(), tail: CachePadded::default() })
    }

    /// Whether [`new`](Self::new) would make one as large for `words`.
    pub(super) fn fits(&self, words: usize) -> bool {
        self.words.len() == Self::size(words)
    }

    fn size(words: usize) -> usize {
        words.next_power_of_two()
    }

    /// The `count` words from `position` on: they may go over the end, so in two parts.
    #[inline]
    fn at(&self, position: u64, count: usize) -> (&[AtomicU64], &[AtomicU64]) {
        let start = position as usize & (self.words.len() - 1);
        let first = count.min(self.words.len() - start);
        (&self.words[start..start + first], &self.words[..count - first])
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("words", &self.words.len())
            .field("head", &self.head.load(Ordering::Relaxed))
            .field("tail", &self.tail.load(Ordering::Relaxed))
            .finish()
    }
}

/// Words that a frame of `length` bytes needs behind its header.
#[inline]
fn body(length: usize) -> usize {
    length.div_ceil(8)
}

/// The sender's half.
#[derive(Debug)]
pub(super) struct Producer {
    ring: Arc<Ring>,
    head: u64,
    /// The receiver's position when it was last looked at; the real one is no smaller.
    tail: u64,
}

impl Producer {
    /// The sending half, behind whatever an earlier sender left.
    pub(super) fn new(ring: Arc<Ring>) -> Self {
        let head = ring.head.load(CONSUME);
        let tail = ring.tail.load(CONSUME);
        Self { ring, head, tail }
    }

    /// Words that a frame takes.
    #[inline]
    pub(super) fn need(length: usize, timed: bool) -> usize {
        1 + usize::from(timed) + body(length)
    }

    /// Words in use as far as known without looking at the receiver's cache line; never too few.
    #[inline]
    pub(super) fn used_at_most(&self) -> usize {
        (self.head - self.tail) as usize
    }

    /// Words in use now.
    pub(super) fn used(&mut self) -> usize {
        self.tail = self.ring.tail.load(CONSUME);
        self.used_at_most()
    }

    /// Adds a frame of at most [`MAX_FRAME`] bytes. The caller has made sure that there is room, and
    /// calls [`publish`](Self::publish) afterwards.
    #[inline]
    pub(super) fn push(&mut self, frame: &[u8], due: Option<u64>) {
        debug_assert!(frame.len() <= MAX_FRAME);
        let need = Self::need(frame.len(), due.is_some());
        debug_assert!(self.used_at_most() + need <= self.ring.words.len());
        let header = frame.len() as u64 | if due.is_some() { TIMED } else { 0 };
        let (first, rest) = self.ring.at(self.head, need);
        if rest.is_empty() {
            // Nearly always: the frame lies in one piece.
            let mut words = first.iter();
            store(words.next(), header);
            if let Some(due) = due {
                store(words.next(), due);
            }
            pack(words, frame);
        } else {
            let mut words = first.iter().chain(rest);
            store(words.next(), header);
            if let Some(due) = due {
                store(words.next(), due);
            }
            pack(words, frame);
        }
        self.head += need as u64;
    }

    /// Shows the receiver what was pushed.
    #[inline]
    pub(super) fn publish(&mut self) {
        self.ring.head.store(self.head, PUBLISH);
    }
}

#[inline]
fn store(word: Option<&AtomicU64>, value: u64) {
    if let Some(word) = word {
        word.store(value, Ordering::Relaxed);
    }
}

/// Stores `bytes` in `words`.
#[inline]
fn pack<'a>(mut words: impl Iterator<Item = &'a AtomicU64>, bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<8>();
    for chunk in whole {
        store(words.next(), u64::from_le_bytes(*chunk));
    }
    if rest.is_empty() {
        return;
    }
    let last = match bytes.last_chunk::<8>() {
        // The last eight bytes, less those that are stored already.
        Some(chunk) => u64::from_le_bytes(*chunk) >> (64 - 8 * rest.len()),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    store(words.next(), last);
}

/// The receiver's half.
pub(super) struct Consumer {
    ring: Arc<Ring>,
    tail: u64,
    /// The sender's position when it was last looked at; the real one is no smaller.
    head: u64,
    /// Where a frame is unpacked.
    scratch: Box<[u8]>,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("ring", &self.ring)
            .field("tail", &self.tail)
            .finish_non_exhaustive()
    }
}

impl Consumer {
    /// The receiving half, at whatever an earlier receiver left.
    pub(super) fn new(ring: Arc<Ring>) -> Self {
        let tail = ring.tail.load(CONSUME);
        Self { ring, tail, head: tail, scratch: vec![0; MAX_FRAME].into() }
    }

    /// Whether this is a half of `ring`.
    pub(super) fn is_of(&self, ring: &Arc<Ring>) -> bool {
        Arc::ptr_eq(&self.ring, ring)
    }

    /// Throws away what has arrived so far.
    pub(super) fn discard(&mut self) {
        self.head = self.ring.head.load(CONSUME);
        self.tail = self.head;
        self.ring.tail.store(self.tail, PUBLISH);
    }

    /// Looks at the sender's position; true when there is a frame.
    #[inline]
    pub(super) fn look(&mut self) -> bool {
        if self.head == self.tail {
            self.head = self.ring.head.load(CONSUME);
        }
        self.head != self.tail
    }

    /// Words that wait, looking at the sender's position anew when there are fewer than `enough`.
    #[inline]
    pub(super) fn waiting(&mut self, enough: u64) -> u64 {
        if self.head - self.tail < enough {
            self.head = self.ring.head.load(CONSUME);
        }
        self.head - self.tail
    }

    /// Hands at most `max` frames that are due to `sink`, until it returns false; that frame stays.
    pub(super) fn take(
        &mut self,
        now: impl Fn() -> u64,
        max: usize,
        sink: &mut dyn FnMut(&[u8]) -> bool,
    ) -> usize {
        let mut taken = 0;
        while taken < max && self.look() {
            let header = self.first(self.tail);
            let mut at = self.tail + 1;
            if header & TIMED != 0 {
                if self.first(at) > now() {
                    break;
                }
                at += 1;
            }
            let length = (header as u32 as usize).min(MAX_FRAME);
            let (first, rest) = self.ring.at(at, body(length));
            let (out, over) = self.scratch.split_at_mut(8 * first.len());
            unpack(first, out);
            unpack(rest, over);
            if !sink(&self.scratch[..length]) {
                break;
            }
            taken += 1;
            self.tail = at + body(length) as u64;
            if taken.is_multiple_of(FREE_EVERY) {
                self.ring.tail.store(self.tail, PUBLISH);
            }
        }
        if taken > 0 {
            self.ring.tail.store(self.tail, PUBLISH);
        }
        taken
    }

    #[inline]
    fn first(&self, position: u64) -> u64 {
        self.ring.words[position as usize & (self.ring.words.len() - 1)].load(Ordering::Relaxed)
    }
}

/// Loads `words` into the start of `out`.
#[inline]
fn unpack(words: &[AtomicU64], out: &mut [u8]) {
    for (word, chunk) in words.iter().zip(out.as_chunks_mut::<8>().0) {
        *chunk = word.load(Ordering::Relaxed).to_le_bytes();
    }
}
