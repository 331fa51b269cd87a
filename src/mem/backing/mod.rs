//! Where DMA memory comes from.

use std::fmt;
use std::ptr::NonNull;

use super::CHUNK;
use crate::error::Result;

mod heap;

/// A source of memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Backing {
    /// Hugepages when some are free, else the heap with one notice.
    #[default]
    Auto,
    /// Ordinary memory; only the software NIC can use it.
    Heap,
}

/// A zeroed block of memory, a whole number of chunks, aligned to a chunk.
///
/// # Invariants
/// `ptr..ptr + len` stays mapped, readable and writable until `_owner` is dropped, and nothing
/// else hands out references into it.
pub struct Mapping {
    ptr: NonNull<u8>,
    len: usize,
    kind: &'static str,
    _owner: Box<dyn Send + Sync>,
}

// SAFETY: the memory belongs to the mapping and not to a thread; all access goes through types
// that settle who may touch which part.
unsafe impl Send for Mapping {}
// SAFETY: as for `Send`; a shared `Mapping` gives out addresses only.
unsafe impl Sync for Mapping {}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapping({} MiB of {})", self.len >> 20, self.kind)
    }
}

impl Mapping {
    /// At least `len` zeroed bytes from `backing`, on NUMA node `node` when one is given and the
    /// backing can choose.
    ///
    /// # Errors
    /// [`HugepagesExhausted`](crate::Error::HugepagesExhausted) or
    /// [`Memory`](crate::Error::Memory).
    pub fn new(backing: &Backing, len: usize, node: Option<u32>) -> Result<Self> {
        let _ = node;
        let len = len.max(1).next_multiple_of(CHUNK);
        match backing {
            Backing::Auto | Backing::Heap => heap::map(len),
        }
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true: a mapping has at least one chunk.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// What it is made of, for messages.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Where it starts.
    pub fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }
}
