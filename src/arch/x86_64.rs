//! x86-64: stores reach other agents in program order (Intel SDM vol. 3A, 9.2), so both DMA
//! barriers only have to stop the compiler.

use core::arch::{asm, x86_64};
use std::ops::Range;

use crate::pool::{CHAIN, Words};

/// Everything written before is visible to the device before anything written after.
#[inline(always)]
pub fn dma_release() {
    // SAFETY: empty assembly; without `nomem` the compiler must assume that it accesses memory,
    // so it moves no access across it.
    unsafe { asm!("", options(nostack, preserves_flags)) }
}

/// Nothing read after is read before what was read before.
#[inline(always)]
pub fn dma_acquire() {
    // SAFETY: as in `dma_release`.
    unsafe { asm!("", options(nostack, preserves_flags)) }
}

/// As [`dma_acquire`], for code that has loaded the status word with `Ordering::Acquire`: that
/// already holds back the compiler, and the processor keeps loads in order.
#[inline(always)]
pub fn dma_acquire_loaded() {}

/// One 32-bit load from a device register.
///
/// # Safety
/// `addr` is 4-byte aligned and inside a live mapping of device registers.
#[inline(always)]
pub(crate) unsafe fn mmio_read32(addr: *const u32) -> u32 {
    let v: u32;
    // SAFETY: the caller vouches for the address. Assembly, because rustc may fold a volatile
    // read-modify-write into one instruction that a device register does not support.
    unsafe {
        asm!("mov {v:e}, dword ptr [{a}]", v = out(reg) v, a = in(reg) addr, options(nostack, preserves_flags))
    }
    v
}

/// One 32-bit store to a device register.
///
/// # Safety
/// As [`mmio_read32`].
#[inline(always)]
pub(crate) unsafe fn mmio_write32(addr: *mut u32, value: u32) {
    // SAFETY: the caller vouches for the address.
    unsafe {
        asm!("mov dword ptr [{a}], {v:e}", a = in(reg) addr, v = in(reg) value, options(nostack, preserves_flags))
    }
}

/// Asks for the cache line of `p`; any address is allowed.
#[inline(always)]
pub fn prefetch(p: *const u8) {
    // SAFETY: PREFETCHT0 never faults, whatever the address (Intel SDM vol. 2B).
    unsafe { x86_64::_mm_prefetch::<{ x86_64::_MM_HINT_T0 }>(p.cast()) }
}

/// The same, to write to it soon.
#[inline(always)]
pub fn prefetch_write(p: *const u8) {
    // SAFETY: PREFETCHW never faults, whatever the address, and is a NOP on 64-bit processors that
    // do not know it (Intel SDM vol. 2B).
    unsafe { asm!("prefetchw [{a}]", a = in(reg) p, options(nostack, preserves_flags)) }
}

/// The time-stamp counter, in ticks.
#[inline(always)]
pub fn tsc() -> u64 {
    // SAFETY: RDTSC is available to user space on Linux.
    unsafe { x86_64::_rdtsc() }
}

/// Tells the core that this is a spin loop.
#[inline(always)]
pub fn pause() {
    core::hint::spin_loop();
}

/// The names in four packet handles, if all are of this (not empty) range and none is a chain.
#[inline(always)]
pub(crate) fn plain_names(four: &[Words; 4], range: &Range<u32>) -> Option<[u32; 4]> {
    // SAFETY: every x86-64 processor has SSE2.
    unsafe { plain_names_sse2(four, range) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn plain_names_sse2(four: &[Words; 4], range: &Range<u32>) -> Option<[u32; 4]> {
    use x86_64::*;
    // SAFETY: a handle is 16 bytes to read.
    let load = |words: &Words| unsafe { _mm_loadu_si128(words.as_ptr().cast()) };
    let [a, b, c, d] = four.each_ref().map(load);
    // Names and lengths of two, then of four.
    let (ab, cd) = (_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
    let (names, sizes) = (_mm_unpacklo_epi64(ab, cd), _mm_unpackhi_epi64(ab, cd));
    // SSE2 compares signed numbers only, so the range is moved to start at the least of these.
    let from_least = _mm_sub_epi32(names, _mm_set1_epi32((range.start ^ 1 << 31) as i32));
    let last = (range.end - range.start - 1) ^ 1 << 31;
    let beyond = _mm_cmpgt_epi32(from_least, _mm_set1_epi32(last as i32));
    let odd = _mm_or_si128(beyond, _mm_and_si128(sizes, _mm_set1_epi32(CHAIN as i32)));
    // The chain bit is the highest of a byte.
    const { assert!(CHAIN == 1 << 15) };
    if _mm_movemask_epi8(odd) != 0 {
        return None;
    }
    let mut found = [0; 4];
    // SAFETY: `found` is 16 bytes to write.
    unsafe { _mm_storeu_si128(found.as_mut_ptr().cast(), names) };
    Some(found)
}
