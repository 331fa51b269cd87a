//! x86-64: stores reach other agents in program order (Intel SDM vol. 3A, 9.2), so both DMA
//! barriers only have to stop the compiler.

use core::arch::{asm, x86_64};

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
