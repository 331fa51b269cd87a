//! The packet-buffer pool: [`Mempool`], the per-worker [`PoolCache`], the owning packet handle
//! [`Mbuf`] and the [`Batch`] of them.
//!
//! A slot is named by a `u32`. At any time each name is held exactly once: by the depot, a cache,
//! a ring, or a packet handle. Nothing counts references; dropping a handle puts the name back,
//! from any thread.
//!
//! ```
//! use barewire::{Mempool, pool::PoolConfig};
//! let pool = Mempool::new(&PoolConfig { count: 256, ..PoolConfig::default() })?;
//! let mut cache = pool.cache();
//! let mut packet = cache.alloc().expect("a fresh pool has free buffers");
//! packet.append(b"hello").expect("it fits");
//! assert_eq!(packet.data(), b"hello");
//! std::thread::spawn(move || drop(packet)).join().unwrap();
//! # Ok::<(), barewire::Error>(())
//! ```

use std::fmt;
use std::num::NonZeroU32;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

mod batch;
mod cache;
mod depot;
mod fifo;
mod mbuf;
mod sync;

pub use batch::Batch;
pub use cache::PoolCache;
pub(crate) use fifo::{Harvest, Post, SlotFifo};
pub(crate) use mbuf::CHAIN;
pub use mbuf::{Checksum, Mbuf, PacketType};
pub(crate) use mbuf::{
    FLAG_IP_ERROR, FLAG_L4_CHECKED, FLAG_L4_ERROR, RxMeta, STATUS_SHIFT, TYPES, Words,
};

use crate::error::{Error, Result};
use crate::mem::{Backing, Geometry, SlotMem, chunk_pool, set_chunk_pool};
/// Slots that a depot moves at a time.
pub(crate) use depot::MAG as MAGAZINE;
use depot::{Depot, MAG};

/// Data room that suits MTUs up to 1,500 in one buffer.
pub const DEFAULT_ROOM: u16 = 2048;
/// Bytes kept free before a packet's data, for headers that are put in front.
pub const DEFAULT_HEADROOM: u16 = 128;

/// What one live handle (pool, cache) weighs in the balance, against 1 for a slot.
const HANDLE: i64 = 1 << 40;

/// How a pool is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolConfig {
    /// Packet buffers, 1 to 4,194,304; rounded up to fill the last 2 MiB chunk.
    pub count: u32,
    /// Bytes of data per buffer: whole KiB, 2 to 15.
    pub room: u16,
    /// Bytes before the data: a multiple of 64, at most 1,024.
    pub headroom: u16,
    /// Where the memory comes from.
    pub backing: Backing,
    /// NUMA node to take it from, when the backing can choose.
    pub node: Option<u32>,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            count: 4096,
            room: DEFAULT_ROOM,
            headroom: DEFAULT_HEADROOM,
            backing: Backing::Auto,
            node: None,
        }
    }
}

/// The sole name of one packet buffer. Whoever has it may touch the buffer's bytes.
///
/// # Invariants
/// No two `Slot`s of one value exist, and while one does, its pool and memory do.
#[derive(Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Slot(NonZeroU32);

impl Slot {
    /// # Safety
    /// The caller owns the name `id` (it came from [`into_raw`](Self::into_raw) or the depot) and
    /// gives it up here.
    #[inline(always)]
    unsafe fn from_raw(id: u32) -> Self {
        debug_assert_ne!(id, 0);
        // SAFETY: chunk 0 is never given out, so no slot is named 0.
        Self(unsafe { NonZeroU32::new_unchecked(id) })
    }

    #[inline(always)]
    fn into_raw(self) -> u32 {
        self.0.get()
    }

    #[inline(always)]
    pub(crate) fn id(&self) -> u32 {
        self.0.get()
    }

    /// Puts the name back where it belongs, from any thread. Slow: one compare-exchange a slot.
    fn free(self) {
        let id = self.into_raw();
        let pool = chunk_pool(id);
        // SAFETY: the slot's existence keeps its pool alive until `give_back` has counted it.
        unsafe { PoolInner::give_back(pool, id) }
    }
}

/// The shared part of a pool.
///
/// # Invariants
/// 1. `balance` is `HANDLE` for each live handle plus one for each slot that is outside the depot,
///    less what caches have not reported. Whoever takes it to zero frees the pool.
/// 2. A cache is a handle, and leaves far less than `HANDLE` unreported; so the balance of a pool
///    with a live handle is positive.
/// 3. The balance never overflows: a pool has at most 2^22 slots, and cloning handles without end
///    aborts the process, as it does for `Arc`.
#[derive(Debug)]
pub(crate) struct PoolInner {
    mem: Arc<SlotMem>,
    depot: Depot,
    balance: AtomicI64,
    capacity: u32,
}

impl PoolInner {
    /// Adds `delta` to the balance and frees the pool when that was the last of it.
    ///
    /// # Safety
    /// `this` is live, and the caller owns what it takes out of the balance; it does not use
    /// `this` afterwards.
    unsafe fn settle(this: *const PoolInner, delta: i64) {
        // SAFETY: live, by contract. AcqRel as in `Arc`: what each holder did happens before the
        // free.
        let left = unsafe { &*this }.balance.fetch_add(delta, Ordering::AcqRel) + delta;
        if left == 0 {
            // SAFETY: no handle and no slot is left, so nobody can reach the pool any more; it
            // came from `Box::into_raw`.
            drop(unsafe { Box::from_raw(this.cast_mut()) });
        }
    }

    /// Returns one slot to the depot.
    ///
    /// # Safety
    /// `this` is live and `id` is one of its slots, owned by the caller.
    unsafe fn give_back(this: *const PoolInner, id: u32) {
        {
            // SAFETY: live, by contract.
            let pool = unsafe { &*this };
            pool.mem.note_freed(id);
            pool.depot.put(id, pool.mem.index(id));
        }
        // SAFETY: the slot's own 1 is what is taken out.
        unsafe { Self::settle(this, -1) }
    }
}

/// A pool of packet buffers. Clones name the same pool; it is freed when the last clone, cache,
/// queue and packet are gone.
pub struct Mempool {
    inner: NonNull<PoolInner>,
}

// SAFETY: the shared part is made of atomics and immutable fields.
unsafe impl Send for Mempool {}
// SAFETY: as for `Send`.
unsafe impl Sync for Mempool {}

impl fmt::Debug for Mempool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mempool({} slots, {:?})", self.capacity(), self.inner().mem.mapping())
    }
}

impl Clone for Mempool {
    fn clone(&self) -> Self {
        if self.inner().balance.fetch_add(HANDLE, Ordering::Relaxed) > i64::MAX / 2 {
            // Four million handles were leaked; one more round and the count would wrap.
            std::process::abort();
        }
        Self { inner: self.inner }
    }
}

impl Drop for Mempool {
    fn drop(&mut self) {
        // SAFETY: this handle's own weight is what is taken out.
        unsafe { PoolInner::settle(self.inner.as_ptr(), -HANDLE) }
    }
}

impl PartialEq for Mempool {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Mempool {
    /// Makes a pool.
    ///
    /// # Errors
    /// [`Error::Config`] for a size out of range; [`Error::HugepagesExhausted`] or
    /// [`Error::Memory`] when the backing has not enough.
    pub fn new(cfg: &PoolConfig) -> Result<Self> {
        if !(1..=4 << 20).contains(&cfg.count) {
            return Err(Error::config("pool size", cfg.count, "1 to 4194304 buffers"));
        }
        let geometry = Geometry::new(cfg.headroom, cfg.room)?;
        let mem = SlotMem::new(geometry, cfg.count, &cfg.backing, cfg.node)?;
        let capacity = mem.chunks() * geometry.per_chunk();
        let depot = Depot::new(capacity as usize, mem.index_len());
        let ids: Vec<u32> = (0..capacity).map(|n| mem.id(n)).collect();
        // Magazines of neighbours within a chunk, because their owner words share a cache line.
        for chunk in ids.chunks(geometry.per_chunk() as usize).rev() {
            let (mags, rest) = chunk.as_chunks::<MAG>();
            for id in rest {
                depot.put(*id, mem.index(*id));
            }
            for mag in mags.iter().rev() {
                let stored = depot.put_magazine(mag);
                debug_assert!(stored, "a new depot has room for every magazine");
            }
        }
        let (first, chunks) = (mem.first_chunk(), mem.chunks());
        let balance = AtomicI64::new(HANDLE);
        let inner = Box::into_raw(Box::new(PoolInner { mem, depot, balance, capacity }));
        set_chunk_pool(first, chunks, inner);
        // SAFETY: `Box::into_raw` never returns null.
        Ok(Self { inner: unsafe { NonNull::new_unchecked(inner) } })
    }

    #[inline(always)]
    fn inner(&self) -> &PoolInner {
        // SAFETY: this handle's weight in the balance keeps the shared part alive.
        unsafe { self.inner.as_ref() }
    }

    /// A cache for one worker. Cheap; make one per thread.
    pub fn cache(&self) -> PoolCache {
        PoolCache::new(self.clone())
    }

    /// Number of buffers.
    pub fn capacity(&self) -> u32 {
        self.inner().capacity
    }

    /// Slot layout.
    pub fn geometry(&self) -> Geometry {
        self.inner().mem.geometry()
    }

    /// What the buffers are made of, for messages.
    pub fn backing(&self) -> &'static str {
        self.inner().mem.mapping().kind()
    }

    /// The buffers' memory.
    pub(crate) fn mem(&self) -> &Arc<SlotMem> {
        &self.inner().mem
    }

    fn depot(&self) -> &Depot {
        &self.inner().depot
    }

    /// See [`SlotMem::note_taken`].
    #[inline(always)]
    fn note_taken(&self, id: u32) {
        if cfg!(debug_assertions) {
            self.mem().note_taken(id);
        }
    }

    /// See [`SlotMem::note_freed`].
    #[inline(always)]
    fn note_freed(&self, id: u32) {
        if cfg!(debug_assertions) {
            self.mem().note_freed(id);
        }
    }

    /// Reports that the balance of slots outside the depot changed by `delta`.
    fn report(&self, delta: i64) {
        self.inner().balance.fetch_add(delta, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
