//! For tests: counts the calling thread's DMA barriers. On x86-64 they are no instructions, so
//! that a missing one would show nowhere else.

use std::cell::Cell;

use super::imp;

thread_local! {
    static COUNTS: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Releases and acquires of this thread so far.
pub(crate) fn barriers() -> (u64, u64) {
    COUNTS.get()
}

/// As the processor's own.
#[inline(always)]
pub fn dma_release() {
    let (releases, acquires) = COUNTS.get();
    COUNTS.set((releases + 1, acquires));
    imp::dma_release();
}

/// As the processor's own.
#[inline(always)]
pub fn dma_acquire() {
    let (releases, acquires) = COUNTS.get();
    COUNTS.set((releases, acquires + 1));
    imp::dma_acquire();
}

/// As the processor's own; counts as an acquire.
#[inline(always)]
pub fn dma_acquire_loaded() {
    let (releases, acquires) = COUNTS.get();
    COUNTS.set((releases, acquires + 1));
    imp::dma_acquire_loaded();
}
