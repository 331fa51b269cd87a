//! Memory that a device may reach: where the bytes come from ([`Backing`]), how the device
//! addresses them ([`DmaMap`]), and who may touch them when.
//!
//! Everything is cut into chunks of 2 MiB, the size of a hugepage. A chunk is contiguous for the
//! device; two neighbouring chunks need not be.

mod backing;
#[cfg(feature = "vfio-user")]
mod borrowed;
mod chunk;
mod physical;
mod ring;
mod slots;
mod space;

pub(crate) use backing::try_lock;
pub use backing::{Backing, Mapping, clean_stale};
#[cfg(feature = "vfio-user")]
pub(crate) use borrowed::Borrowed;
pub(crate) use chunk::{
    CHUNK_LINES, MAX_CHUNKS, NAMED_CHUNKS, bytes_of, chunk_base, chunk_of, chunk_pool, line_of,
    name, room_end, set_chunk_pool,
};
pub use physical::PhysicalMap;
pub use ring::{RingBlock, RingMem};
pub(crate) use slots::Lent;
pub use slots::{ClaimError, Geometry, RxClaim, SlotMem, TxClaim};
pub use space::{DmaMap, DmaSpace, DmaTarget};

/// Bytes per chunk: one 2 MiB hugepage.
pub const CHUNK: usize = 2 << 20;

/// Bytes per cache line, the unit of slot addresses.
pub const LINE: usize = 64;

/// An address as the device sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Iova(pub u64);

/// Bytes per page.
pub(crate) fn page_size() -> usize {
    // SAFETY: the call has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).ok().filter(|s| s.is_power_of_two() && *s <= CHUNK).unwrap_or(4096)
}
