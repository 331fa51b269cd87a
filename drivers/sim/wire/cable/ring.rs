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

use super::sync::{AtomicU64, CONSUME, Ordering, PUBLISH, expect_store};

/// Longest frame that a ring carries: more than any frame of an 82599 (15.5 KiB, 82599 datasheet
/// section 7.1).
pub(super) const MAX_FRAME: usize = 16 * 1024;
/// Header bit: the second word says when the frame is due.
const TIMED: u64 = 1 << 32;
/// How many words ahead of itself the sender asks for cache lines.
const AHEAD: u64 = 256;
/// Bytes of the shortest kind of frame, and how many of them are unpacked at a time.
const SHORT: usize = 64;
const GROUP: usize = 16;
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

    /// Where in `words` a position is.
    #[inline(always)]
    fn place(&self, position: u64) -> usize {
        position as usize & (self.words.len() - 1)
    }

    #[inline(always)]
    fn word(&self, position: u64) -> &AtomicU64 {
        &self.words[self.place(position)]
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
    /// The position that the receiver was shown last.
    shown: u64,
    /// The receiver's position when it was last looked at; the real one is no smaller.
    tail: u64,
}

impl Producer {
    /// The sending half, behind whatever an earlier sender left.
    pub(super) fn new(ring: Arc<Ring>) -> Self {
        let head = ring.head.load(CONSUME);
        let tail = ring.tail.load(CONSUME);
        Self { ring, head, shown: head, tail }
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
    #[inline(always)]
    pub(super) fn push(&mut self, frame: &[u8], due: Option<u64>) {
        debug_assert!(frame.len() <= MAX_FRAME);
        let need = Self::need(frame.len(), due.is_some());
        debug_assert!(self.used_at_most() + need <= self.ring.words.len());
        // The receiver has had it since the last time round.
        expect_store(self.ring.word(self.head + AHEAD));
        let start = self.ring.place(self.head);
        match self.ring.words.get(start..start + need) {
            Some([head, body @ ..]) if due.is_none() => {
                head.store(frame.len() as u64, Ordering::Relaxed);
                pack(body, frame);
            }
            _ => self.push_around(frame, due),
        }
        self.head += need as u64;
    }

    /// The same for a frame that goes over the ring's end or has a time.
    #[cold]
    fn push_around(&self, frame: &[u8], due: Option<u64>) {
        let header = frame.len() as u64 | if due.is_some() { TIMED } else { 0 };
        let values = [header].into_iter().chain(due).chain(words_of(frame));
        for (position, value) in (self.head..).zip(values) {
            self.ring.word(position).store(value, Ordering::Relaxed);
        }
    }

    /// Shows the receiver what was pushed.
    #[inline]
    pub(super) fn publish(&mut self) {
        // The receiver looks at this cache line all the time: it is not touched for nothing.
        if self.shown != self.head {
            self.shown = self.head;
            self.ring.head.store(self.head, PUBLISH);
        }
    }
}

/// The words that `bytes` take, one after the other.
fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let (whole, rest) = bytes.as_chunks::<8>();
    let last = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let last = (!rest.is_empty()).then_some(last);
    whole.iter().map(|chunk| u64::from_le_bytes(*chunk)).chain(last)
}

/// Words that are copied at a time: four loads and four stores without a branch in between.
const BLOCK: usize = 4;

/// Stores `bytes` in as many words as they need.
#[inline(always)]
fn pack(words: &[AtomicU64], bytes: &[u8]) {
    match (words.first_chunk::<BLOCK>(), bytes.first_chunk::<{ 8 * BLOCK }>()) {
        // The shortest frames: two blocks, which may share words.
        (Some(block), Some(from)) if words.len() <= 2 * BLOCK => {
            copy_in(block, from.as_chunks().0);
            pack_end(words, bytes);
        }
        _ => pack_long(words, bytes),
    }
}

fn pack_long(words: &[AtomicU64], bytes: &[u8]) {
    if words.len() < BLOCK || bytes.len() < 8 {
        return words.iter().zip(words_of(bytes)).for_each(|(w, v)| w.store(v, Ordering::Relaxed));
    }
    let (blocks, _) = words.as_chunks::<BLOCK>();
    for (block, from) in blocks.iter().zip(bytes.as_chunks::<{ 8 * BLOCK }>().0) {
        copy_in(block, from.as_chunks().0);
    }
    pack_end(words, bytes);
}

/// The last block of words, whether or not some of them have been stored already.
#[inline(always)]
fn pack_end(words: &[AtomicU64], bytes: &[u8]) {
    let (Some(block), Some(last)) = (words.last_chunk::<BLOCK>(), bytes.last_chunk::<8>()) else {
        return;
    };
    let whole = bytes.get(8 * (words.len() - BLOCK)..).unwrap_or_default();
    let (Some(from), [most @ .., end]) = (whole.first_chunk::<{ 8 * (BLOCK - 1) }>(), block) else {
        return;
    };
    copy_in(most, from.as_chunks().0);
    // The last eight bytes, less those that are in the word before.
    let known = 8 * (8 * words.len() - bytes.len());
    end.store(u64::from_le_bytes(*last) >> (known & 63), Ordering::Relaxed);
}

#[inline(always)]
fn copy_in(words: &[AtomicU64], from: &[[u8; 8]]) {
    for (word, chunk) in words.iter().zip(from) {
        word.store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
    }
}

/// The receiver's half.
pub(super) struct Consumer {
    ring: Arc<Ring>,
    tail: u64,
    /// The sender's position when it was last looked at; the real one is no smaller.
    head: u64,
    /// The position that the sender was shown last.
    freed: u64,
    /// Where frames are unpacked: one, or a few of the shortest.
    scratch: Box<[u8]>,
    /// Of the latter, the lengths and where each ends.
    gathered: [(usize, u64); GROUP],
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
        let scratch = vec![0; MAX_FRAME].into();
        Self { ring, tail, head: tail, freed: tail, scratch, gathered: [(0, 0); GROUP] }
    }

    /// Whether this is a half of `ring`.
    pub(super) fn is_of(&self, ring: &Arc<Ring>) -> bool {
        Arc::ptr_eq(&self.ring, ring)
    }

    /// Throws away what has arrived so far.
    pub(super) fn discard(&mut self) {
        self.head = self.ring.head.load(CONSUME);
        self.tail = self.head;
        self.free();
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
            let gathered = self.gather(max - taken);
            let mut refused = false;
            for (n, (length, end)) in self.gathered.iter().enumerate().take(gathered) {
                let frame = self.scratch.get(n * SHORT..).and_then(|s| s.get(..*length));
                if !sink(frame.unwrap_or_default()) {
                    refused = true;
                    break;
                }
                taken += 1;
                self.tail = *end;
            }
            if refused || gathered == 0 && !self.take_one(&now, sink, &mut taken) {
                break;
            }
            if taken.is_multiple_of(FREE_EVERY) {
                self.free();
            }
        }
        self.free();
        taken
    }

    /// Unpacks the next few frames, as long as they are of the shortest kind, due at once and in
    /// one piece. Returns how many. Their words come from another processor's cache, so they are
    /// asked for together: whatever becomes of a frame makes the next load wait.
    #[inline(always)]
    fn gather(&mut self, max: usize) -> usize {
        let (mut at, mut count) = (self.tail, 0);
        let places = self.scratch.chunks_exact_mut(SHORT).zip(&mut self.gathered);
        for (place, known) in places.take(max) {
            let start = self.ring.place(at);
            if at == self.head {
                break;
            }
            let Some([header, rest @ ..]) = self.ring.words.get(start..) else { break };
            let length = header.load(Ordering::Relaxed) as usize;
            // One that is not due at once looks longer.
            let Some(words) = rest.get(..body(length)).filter(|_| length <= SHORT) else { break };
            unpack(words, place);
            at += 1 + words.len() as u64;
            *known = (length, at);
            count += 1;
        }
        count
    }

    /// Hands one frame of any kind over. False: none is due, or it stays.
    #[cold]
    fn take_one(
        &mut self,
        now: &impl Fn() -> u64,
        sink: &mut dyn FnMut(&[u8]) -> bool,
        taken: &mut usize,
    ) -> bool {
        let header = self.ring.word(self.tail).load(Ordering::Relaxed);
        let mut at = self.tail + 1;
        if header & TIMED != 0 {
            if self.ring.word(at).load(Ordering::Relaxed) > now() {
                return false;
            }
            at += 1;
        }
        let length = (header as u32 as usize).min(MAX_FRAME);
        let start = self.ring.place(at);
        match self.ring.words.get(start..start + body(length)) {
            Some(words) => unpack(words, &mut self.scratch),
            None => {
                let (first, rest) = (&self.ring.words[start..], &self.ring.words);
                let (out, over) = self.scratch.split_at_mut(8 * first.len());
                unpack(first, out);
                unpack(&rest[..body(length) - first.len()], over);
            }
        }
        if !sink(&self.scratch[..length]) {
            return false;
        }
        *taken += 1;
        self.tail = at + body(length) as u64;
        true
    }

    /// Shows the sender what was taken.
    #[inline]
    fn free(&mut self) {
        if self.freed != self.tail {
            self.freed = self.tail;
            self.ring.tail.store(self.tail, PUBLISH);
        }
    }
}

/// Loads `words` into the start of `out`, eight bytes each.
#[inline(always)]
fn unpack(words: &[AtomicU64], out: &mut [u8]) {
    let (out, _) = out.as_chunks_mut::<8>();
    let ends = (words.first_chunk::<BLOCK>(), words.last_chunk::<BLOCK>());
    match (ends, out.get_mut(..words.len())) {
        // The shortest frames: two blocks, which may share words.
        ((Some(first), Some(last)), Some(out)) if words.len() <= 2 * BLOCK => {
            if let Some(to) = out.first_chunk_mut::<BLOCK>() {
                copy_out(first, to);
            }
            if let Some(to) = out.last_chunk_mut::<BLOCK>() {
                copy_out(last, to);
            }
        }
        _ => copy_out(words, out),
    }
}

#[inline(always)]
fn copy_out(words: &[AtomicU64], to: &mut [[u8; 8]]) {
    for (word, chunk) in words.iter().zip(to) {
        *chunk = word.load(Ordering::Relaxed).to_le_bytes();
    }
}
