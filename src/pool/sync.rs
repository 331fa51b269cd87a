//! The atomics that the lock-free code is written against. The loom tests compile the same files
//! with loom's types, and with one deliberate weakening at a time, in place of this module.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What one push or pop adds to the tag of a stack's head, so that a head which was popped and
/// pushed again never compares equal to the old one (the ABA problem).
pub(crate) const TAG_STEP: u64 = 1;
/// Ordering of the compare-exchange that publishes a node.
pub(crate) const PUBLISH: Ordering = Ordering::Release;
/// Ordering of the loads that take a node over.
pub(crate) const CONSUME: Ordering = Ordering::Acquire;
/// Slots per magazine of the pool's depot.
pub(crate) const MAGAZINE: usize = 64;
