//! The shared stock of free slots: two tagged stacks of magazines (full and empty ones, 64 slots
//! each) and one of single slots. Lock-free; one compare-exchange moves 64 slots.
//!
//! This file compiles against the `sync` beside it, which the loom tests replace.

use super::sync::{AtomicU32, AtomicU64, CONSUME, Ordering, PUBLISH, TAG_STEP};

/// Slots per magazine.
pub(crate) const MAG: usize = super::sync::MAGAZINE;

/// A Treiber stack of small indices. The links live outside, so one set of links can serve
/// several stacks that share their nodes.
#[derive(Debug)]
struct Stack {
    /// Tag in the upper half, index + 1 in the lower; lower half 0 means empty.
    head: AtomicU64,
}

impl Stack {
    fn new() -> Self {
        Self { head: AtomicU64::new(0) }
    }

    fn push(&self, links: &[AtomicU32], node: u32) {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            links[node as usize].store(head as u32, Ordering::Relaxed);
            let new = ((head >> 32).wrapping_add(TAG_STEP) << 32) | u64::from(node + 1);
            match self.head.compare_exchange_weak(head, new, PUBLISH, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    fn pop(&self, links: &[AtomicU32]) -> Option<u32> {
        let mut head = self.head.load(CONSUME);
        loop {
            let node = (head as u32).checked_sub(1)?;
            let next = links[node as usize].load(Ordering::Relaxed);
            let new = ((head >> 32).wrapping_add(TAG_STEP) << 32) | u64::from(next);
            match self.head.compare_exchange_weak(head, new, CONSUME, CONSUME) {
                Ok(_) => return Some(node),
                Err(now) => head = now,
            }
        }
    }
}

/// The stock. Slots are named by `u32`s whose meaning is the caller's; `index` of a slot is its
/// place among the single links.
#[derive(Debug)]
pub(crate) struct Depot {
    full: Stack,
    empty: Stack,
    singles: Stack,
    mag_links: Box<[AtomicU32]>,
    mags: Box<[[AtomicU32; MAG]]>,
    single_links: Box<[AtomicU32]>,
    single_ids: Box<[AtomicU32]>,
}

fn zeros(n: usize) -> Box<[AtomicU32]> {
    (0..n).map(|_| AtomicU32::new(0)).collect()
}

impl Depot {
    /// An empty depot that can hold `slots` slots whose indices are below `indices`.
    pub(crate) fn new(slots: usize, indices: usize) -> Self {
        let mags = slots.div_ceil(MAG).max(1);
        let depot = Self {
            full: Stack::new(),
            empty: Stack::new(),
            singles: Stack::new(),
            mag_links: zeros(mags),
            mags: (0..mags).map(|_| std::array::from_fn(|_| AtomicU32::new(0))).collect(),
            single_links: zeros(indices),
            single_ids: zeros(indices),
        };
        for m in 0..mags {
            depot.empty.push(&depot.mag_links, m as u32);
        }
        depot
    }

    /// Stores a full magazine's worth. False when no empty magazine is at hand (one is always on
    /// its way back then): the caller stores them singly.
    pub(crate) fn put_magazine(&self, slots: &[u32; MAG]) -> bool {
        let Some(m) = self.empty.pop(&self.mag_links) else { return false };
        for (cell, slot) in self.mags[m as usize].iter().zip(slots) {
            cell.store(*slot, Ordering::Relaxed);
        }
        self.full.push(&self.mag_links, m);
        true
    }

    /// Takes a full magazine's worth.
    pub(crate) fn take_magazine(&self, slots: &mut [u32; MAG]) -> bool {
        let Some(m) = self.full.pop(&self.mag_links) else { return false };
        for (cell, slot) in self.mags[m as usize].iter().zip(slots) {
            *slot = cell.load(Ordering::Relaxed);
        }
        self.empty.push(&self.mag_links, m);
        true
    }

    /// Stores one slot.
    pub(crate) fn put(&self, slot: u32, index: usize) {
        self.single_ids[index].store(slot, Ordering::Relaxed);
        self.singles.push(&self.single_links, index as u32);
    }

    /// Takes one singly stored slot.
    pub(crate) fn take(&self) -> Option<u32> {
        let index = self.singles.pop(&self.single_links)?;
        Some(self.single_ids[index as usize].load(Ordering::Relaxed))
    }
}
