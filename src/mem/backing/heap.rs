//! Ordinary memory, for the software NIC on machines without hugepages.

use std::alloc::{Layout, alloc, dealloc};
use std::io;
use std::ptr::NonNull;

use super::{Mapping, Traits, advise, failed, node};
use crate::error::Result;
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
        // The allocator may hand these pages to somebody who relies on fork.
        advise::release(self.ptr.as_ptr(), self.layout.size());
        // SAFETY: `ptr` came from `alloc` with this layout and is freed once.
        unsafe { dealloc(self.ptr.as_ptr(), self.layout) }
    }
}

pub(super) fn map(len: usize, node: Option<u32>) -> Result<Mapping> {
    let fail = |source| failed("allocate", len, source);
    let layout = Layout::from_size_align(len, CHUNK)
        .map_err(|e| fail(io::Error::new(io::ErrorKind::InvalidInput, e)))?;
    let _policy = node::prefer(node)?;
    // SAFETY: `len` is at least one chunk, so the layout is not empty.
    let ptr = NonNull::new(unsafe { alloc(layout) })
        .ok_or_else(|| fail(io::ErrorKind::OutOfMemory.into()))?;
    let owner = Box::new(Heap { ptr, layout });
    advise::withhold(ptr.as_ptr(), len).map_err(fail)?;
    advise::prefer_huge(ptr.as_ptr(), len);
    // Also what puts every page in place.
    // SAFETY: the block is `len` bytes, and nobody else knows it yet.
    unsafe { ptr.as_ptr().write_bytes(0, len) };
    let traits = Traits { kind: "heap", huge: false, stable: false, held_by: None };
    Ok(Mapping { ptr, len, traits, _owner: owner })
}
