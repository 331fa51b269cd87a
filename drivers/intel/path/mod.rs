//! The inner loops of the ring engine: descriptors into packet handles, packet handles into
//! descriptors, free buffers into descriptors.
//!
//! Each is written once for one descriptor at a time, which is the specification, and for several
//! at a time in 128, 256 and 512 bits. A ring takes one of them at its set-up. The vector loops do
//! whole groups of plain packets and leave the rest to the scalar one, so that what is special is
//! decided in one place; `tests/paths.rs` holds them to equal results, bit for bit.
//!
//! What they share is how little there is to do. A handle's words are a descriptor's words in
//! another order (see `Words`), so receiving is a shuffle of bytes. And a name's upper half is the
//! place of its chunk in a [`Table`], so that a transmit descriptor is a table entry plus products:
//!
//! | word | of the descriptor | table | name, offset and length |
//! |---|---|---|---|
//! | 0 | address | chunk's address | 64 line + offset |
//! | 1, low | command, length | command | length |
//! | 1, high | PAYLEN << 14 | 0 | 16384 length |
//!
//! which is one multiply-and-add of 16-bit words.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{RxDesc, TxDesc};
use crate::arch::dma_acquire_loaded;
use crate::mem::{Geometry, NAMED_CHUNKS, bytes_of};
use crate::pool::{Harvest, Post, STATUS_SHIFT, TYPES, Words};
use crate::port::{DataPath, PathChoice};

/// A type whose values exist only where the processor can run a module's loops, and which calls
/// them.
#[cfg(all(target_arch = "x86_64", not(miri)))]
macro_rules! witness {
    ($name:ident, $($feature:tt),+) => {
        /// A processor that can run these loops.
        #[derive(Debug, Clone, Copy)]
        pub(super) struct $name(());

        impl $name {
            pub(super) fn new() -> Option<Self> {
                ($(is_x86_feature_detected!($feature))&&+).then_some(Self(()))
            }

            /// As `Harvest::harvest`, in whole groups.
            #[inline(always)]
            pub(super) fn harvest(
                self,
                with: &RxWords,
                from: &[Desc],
                ids: &[u32],
                to: &mut [Words],
            ) -> (usize, u64) {
                let most = from.len().min(ids.len()).min(to.len());
                // SAFETY: `self` is there, so the processor can; there are so many of each.
                unsafe { harvest(with, from.as_ptr(), ids.as_ptr(), to.as_mut_ptr(), most) }
            }

            /// As `RxPath::refill`, in whole groups.
            #[inline(always)]
            pub(super) fn refill(self, table: &Table, ids: &[u32], to: &[Desc]) -> usize {
                let most = ids.len().min(to.len());
                // SAFETY: `self` is there, so the processor can; there are so many of each.
                unsafe { refill(table, ids.as_ptr(), to.as_ptr(), most) }
            }

            /// As `Post::post`, in whole groups.
            #[inline(always)]
            pub(super) fn post(
                self,
                with: &TxWords,
                table: &Table,
                from: &[Words],
                to: &[Desc],
                ids: &mut [u32],
            ) -> (usize, u64) {
                let most = from.len().min(to.len()).min(ids.len());
                let (from, to, ids) = (from.as_ptr(), to.as_ptr(), ids.as_mut_ptr());
                // SAFETY: `self` is there, so the processor can; there are so many of each.
                unsafe { post(with, table, from, to, ids, most) }
            }
        }
    };
}
#[cfg(all(target_arch = "x86_64", not(miri)))]
use witness;

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod avx2;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod avx512;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod sse41;

/// Two words that driver and device both access.
pub(crate) type Desc = [AtomicU64; 2];

/// Words of a table: a pair for each chunk that a name can tell.
const TABLE: usize = 2 * NAMED_CHUNKS + 2;

/// For each chunk a pair of words that a descriptor starts from, at twice the chunk's id.
///
/// Half a megabyte, of which a page or two is ever touched; and no index can miss it.
pub(crate) struct Table(Box<[u64; TABLE]>);

impl Table {
    /// A table of a run of chunks, each with its device address; `more` is added to that, and
    /// `command` is the second word.
    fn new(first: u32, chunks: &[u64], more: u64, command: u64) -> Self {
        // On the heap at once: it is too big for a stack, and this way the kernel zeroes it page
        // by page when it is touched.
        let words: Box<[u64]> = vec![0; TABLE].into();
        let mut table = Self(words.try_into().unwrap_or_else(|_| Box::new([0; TABLE])));
        for (chunk, base) in (first as usize..).zip(chunks) {
            table.0[2 * chunk] = base + more;
            table.0[2 * chunk + 1] = command;
        }
        table
    }

    /// Where the pair of the chunk that a name tells is.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    #[inline(always)]
    fn at(&self, name: &u32) -> *const u64 {
        let half: *const u16 = (&raw const *name).cast();
        // SAFETY: the upper half of a name, on a little-endian processor. Volatile, because the
        // compiler would rather take it out of a vector that it has loaded anyway, which takes
        // twice as many instructions.
        let half = unsafe { half.wrapping_add(1).read_volatile() };
        self.0.as_ptr().wrapping_add(usize::from(half))
    }
}

/// The pair of the chunk that a name tells.
#[inline(always)]
fn pair(table: &[u64; TABLE], id: u32) -> [u64; 2] {
    let at = (id >> 16) as usize;
    [table[at], table[at + 1]]
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Table")
    }
}

/// Which loops a ring takes. Each kind but the first is made only on a processor that can run it.
#[derive(Debug, Clone, Copy)]
enum Loops {
    Scalar,
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    Sse41(sse41::Sse41),
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    Avx2(avx2::Avx2),
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    Avx512(avx512::Avx512),
}

impl Loops {
    fn new(path: DataPath) -> Self {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            let vector = match path {
                DataPath::Scalar => None,
                DataPath::Sse41 => sse41::Sse41::new().map(Self::Sse41),
                DataPath::Avx2 => avx2::Avx2::new().map(Self::Avx2),
                DataPath::Avx512 => avx512::Avx512::new().map(Self::Avx512),
            };
            if let Some(vector) = vector {
                return vector;
            }
        }
        debug_assert_eq!(path, DataPath::Scalar);
        Self::Scalar
    }
}

/// Calls the same function of whichever loops there are; for scalar ones nothing was done.
macro_rules! vector {
    ($loops:expr, $f:ident($($arg:expr),*)) => {
        match $loops {
            Loops::Scalar => {
                // On other processors nothing else looks at these.
                $(let _ = &$arg;)*
                Default::default()
            }
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Loops::Sse41(v) => v.$f($($arg),*),
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Loops::Avx2(v) => v.$f($($arg),*),
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            Loops::Avx512(v) => v.$f($($arg),*),
        }
    };
}

/// Where the bytes of a handle come from in a descriptor; 0x80 is a zero.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const RX_ORDER: Words = [0x8080_8080, 0x0f0e_0d0c, 0x0706_0504, 0x0908_0100];
/// Where the factors of a descriptor come from in a handle.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const TX_ORDER: Words = [0x0f0e_0100, 0x8080_8080, 0x8080_0504, 0x8080_0504];

/// A group of `N` from `at` on.
///
/// # Safety
/// They are there, for as long as the reference is.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
unsafe fn group<'a, T, const N: usize>(of: *const T, at: usize) -> &'a [T; N] {
    // SAFETY: the caller vouches for them.
    unsafe { &*of.wrapping_add(at).cast() }
}

/// The same, to change.
///
/// # Safety
/// As for [`group`], and nobody else has them.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
unsafe fn group_mut<'a, T, const N: usize>(of: *mut T, at: usize) -> &'a mut [T; N] {
    // SAFETY: the caller vouches for them.
    unsafe { &mut *of.wrapping_add(at).cast() }
}

/// Fewer descriptors than this are not worth a call.
const GROUP: usize = 4;

/// How a ring's receive descriptors are read and written.
#[derive(Debug)]
pub(crate) struct RxPath {
    loops: Loops,
    choice: PathChoice,
    words: RxWords,
    table: Table,
    /// For one at a time: [`RxWords::look`] and [`RxWords::bias`] of the status word.
    look: u64,
    plain: u64,
    room: u64,
    kept: u32,
    start: u32,
}

/// What receive loops calculate with, as the four words of a descriptor or a handle.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
pub(super) struct RxWords {
    /// The bits of a descriptor that say whether it is plain: status and errors, and the length.
    look: Words,
    /// Added to these: for a plain one status and errors come to 0, and the length to one less.
    bias: Words,
    /// Then none is greater than here.
    limit: Words,
    /// The bits that a handle keeps of types (low half) and status (high half).
    keep: Words,
    /// Factors that bring both to their places.
    scale: Words,
    /// The headroom, where a handle has its offset.
    start: Words,
}

/// What of an enabled ring the loops must know.
#[derive(Debug, Clone)]
pub(crate) struct RxSetup<'a> {
    /// Status and error bits of any descriptor that is not plain but done and a packet's end.
    pub(crate) special: u64,
    /// Status bits that the handle keeps.
    pub(crate) kept: u64,
    /// The buffers.
    pub(crate) geometry: Geometry,
    /// The pool's first chunk, and the device address of each.
    pub(crate) first_chunk: u32,
    pub(crate) chunks: &'a [u64],
}

impl RxPath {
    pub(crate) fn new(choice: PathChoice, setup: &RxSetup<'_>) -> Self {
        let plain = RxDesc::DD | RxDesc::EOP;
        let look = setup.special | plain;
        let (room, headroom) = (u32::from(setup.geometry.room()), setup.geometry.headroom());
        let start = u32::from(headroom) << 16;
        let kept = setup.kept as u32;
        Self {
            loops: Loops::new(choice.path),
            choice,
            words: RxWords {
                look: [0, 0, look as u32, 0xffff],
                bias: [0, 0, (plain as u32).wrapping_neg(), u32::MAX],
                limit: [0, 0, 0, room - 1],
                keep: [0, 0, 0, TYPES | kept << 16],
                scale: [0, 0, 0, 1 | 1 << (STATUS_SHIFT + 16)],
                start: [0, 0, 0, start],
            },
            table: Table::new(setup.first_chunk, setup.chunks, u64::from(headroom), 0),
            look: look | 0xffff << 32,
            plain: plain | 1 << 32,
            room: u64::from(room),
            kept,
            start,
        }
    }

    pub(crate) fn choice(&self) -> &PathChoice {
        &self.choice
    }

    /// Writes descriptors that give the device these buffers, which are of the ring's pool. The
    /// slices are equally long.
    #[inline(always)]
    pub(crate) fn refill(&self, ids: &[u32], descriptors: &[Desc]) {
        let n = ids.len().min(descriptors.len());
        let (ids, descriptors) = (&ids[..n], &descriptors[..n]);
        let done: usize = vector!(self.loops, refill(&self.table, ids, descriptors));
        if done == n {
            return;
        }
        let table = &*self.table.0;
        for (id, d) in ids[done..].iter().zip(&descriptors[done..]) {
            let [base, _] = pair(table, *id);
            d[0].store(base.wrapping_add(bytes_of(*id)), Ordering::Relaxed);
            d[1].store(0, Ordering::Relaxed);
        }
    }
}

// SAFETY: the loop below writes what it is to, and so do the vector loops, before they count a
// descriptor.
unsafe impl Harvest<Desc> for RxPath {
    #[inline(always)]
    fn harvest(
        &self,
        descriptors: &[Desc],
        ids: &[u32],
        places: &mut [Words],
        most: usize,
    ) -> (usize, u64) {
        let (mut n, mut bytes) = (0, 0);
        let most = descriptors.len().min(ids.len()).min(places.len()).min(most);
        let (descriptors, ids, places) = (&descriptors[..most], &ids[..most], &mut places[..most]);
        // With less than a group done, the vector loops would only find that out.
        let done = |d: &Desc| d[1].load(Ordering::Relaxed) & RxDesc::DD != 0;
        if most >= GROUP && done(&descriptors[GROUP - 1]) {
            (n, bytes) = vector!(self.loops, harvest(&self.words, descriptors, ids, places));
            if n > 0 {
                dma_acquire_loaded();
            }
            if n == most {
                return (n, bytes);
            }
        }
        // At hand: the compiler cannot know that nothing written below changes them.
        let (look, plain, room, kept, start) =
            (self.look, self.plain, self.room, self.kept, self.start);
        let mut less = 0;
        let mut one = |d: &Desc, id: u32, place: &mut Words| {
            let w1 = d[1].load(Ordering::Acquire);
            // The lower half is 0 for a plain one, the upper half its length less one.
            let over = (w1 & look).wrapping_sub(plain).rotate_left(32);
            if over >= room {
                return false;
            }
            less += over;
            dma_acquire_loaded();
            let w0 = d[0].load(Ordering::Relaxed);
            let info = (w0 as u32 & TYPES) + ((w1 as u32 & kept) << STATUS_SHIFT) + start;
            *place = [id, (w1 >> 32) as u32, (w0 >> 32) as u32, info];
            true
        };
        let before = n;
        let (descriptors, ids, places) = (&descriptors[n..], &ids[n..], &mut places[n..]);
        let (fours, rest) = descriptors.as_chunks::<4>();
        let (four_ids, rest_ids) = ids.as_chunks::<4>();
        let (four_places, rest_places) = places.as_chunks_mut::<4>();
        'all: {
            for ((d, ids), places) in fours.iter().zip(four_ids).zip(four_places) {
                for i in 0..4 {
                    if !one(&d[i], ids[i], &mut places[i]) {
                        n += i;
                        break 'all;
                    }
                }
                n += 4;
            }
            for ((d, id), place) in rest.iter().zip(rest_ids).zip(rest_places) {
                if !one(d, *id, place) {
                    break;
                }
                n += 1;
            }
        }
        bytes += less + (n - before) as u64;
        (n, bytes)
    }
}

/// The shortest packet the hardware takes, before padding (82599 datasheet 7.2.1.2.1: 17 bytes
/// with padding enabled; fewer may hang the transmit unit).
pub(super) const SHORTEST: u16 = 17;

/// How a ring's transmit descriptors are written.
#[derive(Debug)]
pub(crate) struct TxPath {
    loops: Loops,
    choice: PathChoice,
    words: TxWords,
    table: Table,
}

/// What transmit loops calculate with, as the four words of a handle or a descriptor.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
pub(super) struct TxWords {
    /// The bits of a handle that say whether it can be sent as it is: name, and length with the
    /// chain bit.
    look: Words,
    /// Added to these: the first name of the pool comes to 0, and the shortest length.
    bias: Words,
    /// Then none is greater than here.
    limit: Words,
    /// Factors: see the module's documentation.
    scale: Words,
}

impl TxPath {
    /// For packets in a pool's run of chunks, each with its device address, of at most `max_frame`
    /// bytes.
    pub(crate) fn new(
        choice: PathChoice,
        first_chunk: u32,
        chunks: &[u64],
        max_frame: u16,
    ) -> Self {
        let first = crate::mem::name(first_chunk, 0);
        let span = crate::mem::name(chunks.len() as u32, 0);
        let longest = max_frame.clamp(SHORTEST, 0x7fff) - SHORTEST;
        Self {
            loops: Loops::new(choice.path),
            choice,
            words: TxWords {
                look: [u32::MAX, 0xffff, 0, 0],
                bias: [first.wrapping_neg(), u32::from(SHORTEST).wrapping_neg(), 0, 0],
                limit: [span - 1, u32::from(longest), 0, 0],
                scale: [64 | 1 << 16, 0, 1, 1 << 14],
            },
            table: Table::new(first_chunk, chunks, 0, TxDesc::data(0, 0, TxDesc::EOP)),
        }
    }

    pub(crate) fn choice(&self) -> &PathChoice {
        &self.choice
    }
}

/// Fills a descriptor for a packet if that can be sent as it is, and returns its bytes.
#[inline(always)]
fn post_one(words: &TxWords, table: &[u64; TABLE], packet: &Words, d: &Desc) -> Option<u64> {
    let [id, size, _, info] = *packet;
    let len = size & 0xffff;
    let [base, command] = pair(table, id);
    // A chunk of another pool has no command.
    if command == 0 || len.wrapping_add(words.bias[1]) > words.limit[1] {
        return None;
    }
    let at = base.wrapping_add(bytes_of(id)).wrapping_add(u64::from(info >> 16));
    d[0].store(at, Ordering::Relaxed);
    d[1].store(command + u64::from(len) * (1 | 1 << 46), Ordering::Relaxed);
    Some(u64::from(len))
}

// SAFETY: the loop below writes what it is to, and so do the vector loops, before they count a
// packet; a chain has no length that either takes.
unsafe impl Post<Desc> for TxPath {
    #[inline(always)]
    fn post_one(&self, packet: &Words, descriptor: &Desc) -> Option<u64> {
        post_one(&self.words, &self.table.0, packet, descriptor)
    }

    #[inline(always)]
    fn post(
        &self,
        packets: &[Words],
        descriptors: &[Desc],
        ids: &mut [u32],
        most: usize,
    ) -> (usize, u64) {
        let (mut n, mut bytes) = (0, 0);
        let most = packets.len().min(descriptors.len()).min(ids.len()).min(most);
        let (packets, descriptors, ids) =
            (&packets[..most], &descriptors[..most], &mut ids[..most]);
        if most >= GROUP {
            let (words, table) = (&self.words, &self.table);
            (n, bytes) = vector!(self.loops, post(words, table, packets, descriptors, ids));
            if n == most {
                return (n, bytes);
            }
        }
        let (words, table) = (self.words, &*self.table.0);
        let (packets, descriptors, ids) = (&packets[n..], &descriptors[n..], &mut ids[n..]);
        let (fours, rest) = packets.as_chunks::<4>();
        let (four_descriptors, rest_descriptors) = descriptors.as_chunks::<4>();
        let (four_ids, rest_ids) = ids.as_chunks_mut::<4>();
        let mut one = |packet: &Words, d: &Desc, id: &mut u32| {
            let packet = *packet;
            let len = post_one(&words, table, &packet, d);
            *id = packet[0];
            bytes += len.unwrap_or(0);
            len.is_some()
        };
        'all: {
            for ((p, d), ids) in fours.iter().zip(four_descriptors).zip(four_ids) {
                for i in 0..4 {
                    if !one(&p[i], &d[i], &mut ids[i]) {
                        n += i;
                        break 'all;
                    }
                }
                n += 4;
            }
            for ((p, d), id) in rest.iter().zip(rest_descriptors).zip(rest_ids) {
                if !one(p, d, id) {
                    break;
                }
                n += 1;
            }
        }
        (n, bytes)
    }
}

/// How many the vector loops take by themselves: what they leave, the scalar ones do, and nothing
/// but time would show a loop that takes nothing.
#[cfg(test)]
impl RxPath {
    pub(crate) fn harvested(&self, from: &[Desc], ids: &[u32], to: &mut [Words]) -> usize {
        let (n, _): (usize, u64) = vector!(self.loops, harvest(&self.words, from, ids, to));
        n
    }

    pub(crate) fn refilled(&self, ids: &[u32], to: &[Desc]) -> usize {
        vector!(self.loops, refill(&self.table, ids, to))
    }
}

#[cfg(test)]
impl TxPath {
    pub(crate) fn posted(&self, from: &[Words], to: &[Desc], ids: &mut [u32]) -> usize {
        let (words, table) = (&self.words, &self.table);
        let (n, _): (usize, u64) = vector!(self.loops, post(words, table, from, to, ids));
        n
    }
}
