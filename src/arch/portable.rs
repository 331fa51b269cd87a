//! Any other processor, and Miri: atomic fences, volatile accesses, no prefetch. Enough for the
//! software NIC; real hardware has only been thought through on x86-64 and aarch64.

use core::sync::atomic::{Ordering, fence};
use std::ops::Range;

use crate::pool::{CHAIN, Words};

/// Everything written before is visible to the device before anything written after.
#[inline(always)]
pub fn dma_release() {
    fence(Ordering::SeqCst);
}

/// Nothing read after is read before what was read before.
#[inline(always)]
pub fn dma_acquire() {
    fence(Ordering::SeqCst);
}

/// As [`dma_acquire`], for code that has loaded the status word with `Ordering::Acquire`.
#[inline(always)]
pub fn dma_acquire_loaded() {
    dma_acquire();
}

/// One 32-bit load from a device register.
///
/// # Safety
/// `addr` is 4-byte aligned and inside a live mapping of device registers.
#[inline(always)]
pub(crate) unsafe fn mmio_read32(addr: *const u32) -> u32 {
    // SAFETY: the caller vouches for the address.
    unsafe { addr.read_volatile() }
}

/// One 32-bit store to a device register.
///
/// # Safety
/// As [`mmio_read32`].
#[inline(always)]
pub(crate) unsafe fn mmio_write32(addr: *mut u32, value: u32) {
    // SAFETY: the caller vouches for the address.
    unsafe { addr.write_volatile(value) }
}

/// A hint that this port ignores.
#[inline(always)]
pub fn prefetch(_p: *const u8) {}

/// Another one.
#[inline(always)]
pub fn prefetch_write(_p: *const u8) {}

/// Nanoseconds of the monotonic clock, in place of a cycle counter.
pub fn tsc() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Tells the core that this is a spin loop.
#[inline(always)]
pub fn pause() {
    core::hint::spin_loop();
}

/// The names in four packet handles, if all are of this (not empty) range and none is a chain.
#[inline(always)]
pub(crate) fn plain_names(four: &[Words; 4], range: &Range<u32>) -> Option<[u32; 4]> {
    let plain = |[name, size, ..]: &Words| range.contains(name) && size & CHAIN == 0;
    four.iter().all(plain).then(|| four.map(|words| words[0]))
}
