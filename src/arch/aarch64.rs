//! aarch64: outer-shareable barriers, because a device is outside the inner domain (the kernel's
//! `arch/arm64/include/asm/barrier.h`: dma_wmb is `dmb oshst`, dma_rmb is `dmb oshld`; here both
//! sides of a release are ordered).

use core::arch::asm;
use std::ops::Range;

use crate::pool::{CHAIN, Words};

/// Everything written before is visible to the device before anything written after.
#[inline(always)]
pub fn dma_release() {
    // `oshst` would order stores only, as the kernel does; a buffer that goes back to the NIC right
    // after it was read needs the reads ordered before the doorbell too.
    // SAFETY: a barrier instruction has no other effect; no `nomem`, so the compiler obeys it too.
    unsafe { asm!("dmb osh", options(nostack, preserves_flags)) }
}

/// Nothing read after is read before what was read before.
#[inline(always)]
pub fn dma_acquire() {
    // SAFETY: as in `dma_release`.
    unsafe { asm!("dmb oshld", options(nostack, preserves_flags)) }
}

/// As [`dma_acquire`], for code that has loaded the status word with `Ordering::Acquire`: that
/// orders within the inner domain only.
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
    let v: u32;
    // SAFETY: the caller vouches for the address.
    unsafe {
        asm!("ldr {v:w}, [{a}]", v = out(reg) v, a = in(reg) addr, options(nostack, preserves_flags))
    }
    dma_acquire();
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
        asm!("str {v:w}, [{a}]", a = in(reg) addr, v = in(reg) value, options(nostack, preserves_flags))
    }
}

/// Asks for the cache line of `p`; any address is allowed.
#[inline(always)]
pub fn prefetch(p: *const u8) {
    // SAFETY: PRFM is a hint and never faults.
    unsafe {
        asm!("prfm pldl1keep, [{a}]", a = in(reg) p, options(nostack, preserves_flags, readonly))
    }
}

/// The same, to write to it soon.
#[inline(always)]
pub fn prefetch_write(p: *const u8) {
    // SAFETY: PRFM is a hint and never faults.
    unsafe { asm!("prfm pstl1keep, [{a}]", a = in(reg) p, options(nostack, preserves_flags)) }
}

/// The virtual counter, in ticks of CNTFRQ_EL0.
#[inline(always)]
pub fn tsc() -> u64 {
    let v: u64;
    // SAFETY: CNTVCT_EL0 is readable from user space on Linux.
    unsafe { asm!("mrs {v}, cntvct_el0", v = out(reg) v, options(nostack, preserves_flags, nomem)) }
    v
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
