//! Descriptor-ring memory: words that driver and device both access, always atomically.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::{Iova, Mapping};

/// One descriptor ring in a shared block. Cheap to clone.
///
/// # Invariants
/// `first..first + words` lies inside the mapping, is 128-byte aligned, and the mapping is only
/// ever accessed as `AtomicU64`.
#[derive(Debug, Clone)]
pub struct RingMem {
    block: Arc<RingBlock>,
    /// In 64-bit words.
    first: usize,
    words: usize,
    iova: Iova,
}

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
    pub(super) fn new(block: Arc<RingBlock>, first: usize, words: usize, iova: Iova) -> Self {
        debug_assert!(first + words <= block.mapping.len() / 8);
        Self { block, first, words, iova }
    }

    /// The ring's descriptors, two words each.
    #[inline(always)]
    pub fn descriptors(&self) -> &[[AtomicU64; 2]] {
        let ptr: *const AtomicU64 = self.block.mapping.as_ptr().cast();
        // SAFETY: by the invariants of `RingMem` and `RingBlock`; an array has no padding.
        unsafe { std::slice::from_raw_parts(ptr.wrapping_add(self.first).cast(), self.words / 2) }
    }

    /// Where the device finds it.
    pub fn iova(&self) -> Iova {
        self.iova
    }
}
