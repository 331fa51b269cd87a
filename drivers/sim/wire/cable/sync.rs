//! The atomics that the ring is written against. `tests/loom_cable.rs` compiles the same ring with
//! loom's types, and with one deliberate weakening at a time, in place of this module.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};

/// Ordering of the stores that publish how far one side has come.
pub(super) const PUBLISH: Ordering = Ordering::Release;
/// Ordering of the loads that look at how far the other side has come.
pub(super) const CONSUME: Ordering = Ordering::Acquire;

/// Asks for the cache line of a word, which is written soon.
#[inline(always)]
pub(super) fn expect_store(word: &AtomicU64) {
    crate::arch::prefetch_write(word.as_ptr().cast());
}
