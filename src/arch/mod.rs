//! What differs by processor: DMA barriers, MMIO instructions, prefetch, the time-stamp counter.
//!
//! The four ordering rules of the data path (docs/architecture.md, section 5) are spelled with
//! [`dma_release`] and [`dma_acquire`] only.

#[cfg_attr(all(target_arch = "x86_64", not(miri)), path = "x86_64.rs")]
#[cfg_attr(all(target_arch = "aarch64", not(miri)), path = "aarch64.rs")]
#[cfg_attr(
    any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))),
    path = "portable.rs"
)]
// Tests get their barriers from `counted`.
#[cfg_attr(test, allow(unreachable_pub))]
mod imp;

#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(crate) mod vector;

#[cfg(test)]
mod counted;

#[cfg(test)]
pub(crate) use counted::barriers;
#[cfg(test)]
pub use counted::{dma_acquire, dma_acquire_loaded, dma_release};
#[cfg(not(test))]
pub use imp::{dma_acquire, dma_acquire_loaded, dma_release};
pub(crate) use imp::{mmio_read32, mmio_write32, plain_names};
pub use imp::{pause, prefetch, prefetch_write, tsc};
