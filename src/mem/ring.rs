//! Descriptor-ring memory: words that driver and device both access, always atomically.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::{Iova, Mapping};

/// One descriptor ring in a shared block. Cheap to clone.
///
/// # Invariants
/// The `count` descriptors from `first` on lie inside the block's mapping, are 128-byte aligned, and
/// that mapping is only ever accessed as `AtomicU64`.
#[derive(Debug, Clone)]
pub struct RingMem {
    /// At hand, for the packet path.
    first: NonNull<[AtomicU64; 2]>,
    count: usize,
    iova: Iova,
    /// Keeps them.
    block: Arc<RingBlock>,
}

// SAFETY: it is a shared reference to atomic words, with what keeps them.
unsafe impl Send for RingMem {}
// SAFETY: as for `Send`.
unsafe impl Sync for RingMem {}

/// A mapping that is only ever accessed as atomic words.
#[derive(Debug)]
pub struct RingBlock {
    mapping: Mapping,
}

impl RingBlock {
    pub(super) fn new(mapping: Mapping) -> Arc<Self> {
        Arc::new(Self { mapping })
    }

    /// All its words. The device's side of the ring: the software NIC reads and writes here.
    #[inline]
    pub fn words(&self) -> &[AtomicU64] {
        let ptr: *const AtomicU64 = self.mapping.as_ptr().cast();
        // SAFETY: the mapping is live, zeroed, chunk-aligned, and by construction only accessed
        // through this slice; `AtomicU64` allows shared mutation.
        unsafe { std::slice::from_raw_parts(ptr, self.mapping.len() / 8) }
    }

    /// The mapping's address and length, for translation to physical addresses.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}

impl RingMem {
    /// The `words` words of `block` from `first` on.
    pub(super) fn new(block: Arc<RingBlock>, first: usize, words: usize, iova: Iova) -> Self {
        let ring: &[AtomicU64] = &block.words()[first..first + words];
        let first = NonNull::from(ring).cast();
        Self { first, count: words / 2, iova, block }
    }

    /// The ring's descriptors, two words each.
    #[inline(always)]
    pub fn descriptors(&self) -> &[[AtomicU64; 2]] {
        // SAFETY: by the invariants of `RingMem`; an array has no padding.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }

    /// The block that it is a part of.
    pub fn block(&self) -> &Arc<RingBlock> {
        &self.block
    }

    /// Where the device finds it.
    pub fn iova(&self) -> Iova {
        self.iova
    }
}
