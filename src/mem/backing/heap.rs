//! Ordinary memory, for the software NIC on machines without hugepages.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io;
use std::ptr::NonNull;

use super::Mapping;
use crate::error::{Error, Result};
use crate::mem::CHUNK;

struct Heap {
    ptr: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the block belongs to this value alone.
unsafe impl Send for Heap {}
// SAFETY: nothing is reachable through a shared reference.
unsafe impl Sync for Heap {}

impl Drop for Heap {
    fn drop(&mut self) {
        // SAFETY: `ptr` came from `alloc_zeroed` with this layout and is freed once.
        unsafe { dealloc(self.ptr.as_ptr(), self.layout) }
    }
}

pub(super) fn map(len: usize) -> Result<Mapping> {
    let fail = |source| Error::Memory { what: format!("allocate {} MiB", len >> 20), source };
    let layout = Layout::from_size_align(len, CHUNK)
        .map_err(|e| fail(io::Error::new(io::ErrorKind::InvalidInput, e)))?;
    // SAFETY: `len` is at least one chunk, so the layout is not empty.
    let ptr = NonNull::new(unsafe { alloc_zeroed(layout) })
        .ok_or_else(|| fail(io::ErrorKind::OutOfMemory.into()))?;
    let owner = Box::new(Heap { ptr, layout });
    Ok(Mapping { ptr, len, kind: "heap", _owner: owner })
}
