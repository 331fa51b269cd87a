//! The process-wide table of chunks. A slot is named by one `u32`, its chunk's id and its first
//! cache line within the chunk, so a packet handle needs no pointer to its pool.
//!
//! The line is in the lower half of a name. The upper half is twice the chunk's id: taken as it is,
//! it is the place of a chunk's entry in a table of pairs of words (see the vector paths).

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{CHUNK, LINE};
use crate::error::{Error, Result};
use crate::pool::PoolInner;

/// Cache lines per chunk.
pub(crate) const CHUNK_LINES: u32 = (CHUNK / LINE) as u32;

/// Where the chunk's id starts in a name.
const CHUNK_SHIFT: u32 = 17;

/// As many ids as a name can hold.
pub(crate) const NAMED_CHUNKS: usize = 1 << (u32::BITS - CHUNK_SHIFT);
const _: () = assert!(CHUNK_LINES <= 1 << (CHUNK_SHIFT - 1) && MAX_CHUNKS <= NAMED_CHUNKS);

/// Most chunks at a time: 16 GiB of packet buffers. Id 0 is never given out, so that no slot is
/// named 0.
pub(crate) const MAX_CHUNKS: usize = 8192;

/// What the packet path wants to know of a chunk.
struct Place {
    base: AtomicPtr<u8>,
    /// Where the room for data ends in its slots, in bytes.
    end: AtomicUsize,
}

// Both have an entry for whatever a name can tell; pages that no chunk needs are never touched.
static PLACES: [Place; NAMED_CHUNKS] =
    [const { Place { base: AtomicPtr::new(ptr::null_mut()), end: AtomicUsize::new(0) } };
        NAMED_CHUNKS];
static POOLS: [AtomicPtr<PoolInner>; NAMED_CHUNKS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; NAMED_CHUNKS];

/// Serialises giving out and taking back ids.
static IDS: Mutex<()> = Mutex::new(());

/// A run of chunk ids, given back on drop.
#[derive(Debug)]
pub(super) struct ChunkIds {
    pub(super) first: u32,
    pub(super) count: u32,
}

impl ChunkIds {
    /// Registers a mapping's chunks.
    pub(super) fn register(base: *mut u8, count: usize, end: usize) -> Result<Self> {
        let _guard = IDS.lock().unwrap_or_else(PoisonError::into_inner);
        let free = |i: &usize| PLACES[*i].base.load(Ordering::Relaxed).is_null();
        let mut first = 1;
        while first + count <= MAX_CHUNKS {
            match (first..first + count).rev().find(|i| !free(i)) {
                Some(taken) => first = taken + 1,
                None => {
                    for i in 0..count {
                        let at = base.wrapping_add(i * CHUNK);
                        PLACES[first + i].base.store(at, Ordering::Relaxed);
                        PLACES[first + i].end.store(end, Ordering::Relaxed);
                    }
                    return Ok(Self { first: first as u32, count: count as u32 });
                }
            }
        }
        Err(Error::config(
            "packet memory",
            format!("{} MiB more", count * 2),
            format!("{} MiB in all pools of one process", MAX_CHUNKS * 2),
        ))
    }
}

impl Drop for ChunkIds {
    fn drop(&mut self) {
        let _guard = IDS.lock().unwrap_or_else(PoisonError::into_inner);
        for i in self.first..self.first + self.count {
            POOLS[i as usize].store(ptr::null_mut(), Ordering::Relaxed);
            PLACES[i as usize].end.store(0, Ordering::Relaxed);
            PLACES[i as usize].base.store(ptr::null_mut(), Ordering::Relaxed);
        }
    }
}

/// The name of the slot that starts at a line of a chunk.
#[inline(always)]
pub(crate) const fn name(chunk: u32, line: u32) -> u32 {
    chunk << CHUNK_SHIFT | line
}

/// The id of a slot's chunk.
#[inline(always)]
pub(crate) const fn chunk_of(id: u32) -> u32 {
    id >> CHUNK_SHIFT
}

/// A slot's first line in its chunk.
#[inline(always)]
pub(crate) const fn line_of(id: u32) -> u32 {
    id & 0xffff
}

/// A slot's byte offset in its chunk.
#[inline(always)]
pub(crate) const fn bytes_of(id: u32) -> u64 {
    line_of(id) as u64 * LINE as u64
}

/// Where the chunk of slot `id` starts.
///
/// Relaxed is enough: whoever holds a slot received it through something that happened after the
/// chunk was registered.
#[inline(always)]
pub(crate) fn chunk_base(id: u32) -> *mut u8 {
    PLACES[chunk_of(id) as usize].base.load(Ordering::Relaxed)
}

/// Where the room for data ends in slot `id`, in bytes from its start.
#[inline(always)]
pub(crate) fn room_end(id: u32) -> usize {
    PLACES[chunk_of(id) as usize].end.load(Ordering::Relaxed)
}

/// The pool that the chunk of slot `id` belongs to.
#[inline(always)]
pub(crate) fn chunk_pool(id: u32) -> *mut PoolInner {
    POOLS[chunk_of(id) as usize].load(Ordering::Relaxed)
}

/// Names the pool of a run of chunks.
pub(crate) fn set_chunk_pool(first: u32, count: u32, pool: *mut PoolInner) {
    for i in first..first + count {
        POOLS[i as usize].store(pool, Ordering::Relaxed);
    }
}
