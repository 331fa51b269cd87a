//! Private anonymous hugepages, from the crate hugepage-rs.
//!
//! The crate knows the default hugepage size only, panics when `/proc/meminfo` does not name one,
//! and returns null without a reason. So everything is checked first.

use std::alloc::Layout;
use std::io;
use std::ptr::NonNull;

use super::hugepages::Hugepages;
use super::{Mapping, Traits, advise, failed, node};
use crate::error::Result;
use crate::mem::CHUNK;

struct Anon {
    ptr: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the block belongs to this value alone.
unsafe impl Send for Anon {}
// SAFETY: nothing is reachable through a shared reference.
unsafe impl Sync for Anon {}

impl Drop for Anon {
    fn drop(&mut self) {
        // SAFETY: `ptr` came from `alloc` with this layout and is freed once.
        unsafe { hugepage_rs::dealloc(self.ptr.as_ptr(), self.layout) }
    }
}

pub(super) fn map(len: usize, node: Option<u32>) -> Result<Mapping> {
    let pages = Hugepages::system();
    pages.require_default_size()?;
    pages.require(len, node)?;
    let layout = Layout::from_size_align(len, CHUNK).map_err(|e| {
        failed("allocate hugepages for", len, io::Error::new(io::ErrorKind::InvalidInput, e))
    })?;
    let _policy = node::bind(node)?;
    // SAFETY: `len` is at least one chunk, so the layout is not empty.
    let raw = unsafe { hugepage_rs::alloc(layout) };
    let ptr = NonNull::new(raw)
        .ok_or_else(|| pages.refused("allocate", len, node, io::Error::last_os_error()))?;
    let owner = Box::new(Anon { ptr, layout });
    advise::withhold(ptr.as_ptr(), len).map_err(|e| failed("set up hugepages of", len, e))?;
    // Before Linux 5.14 there is no way to populate that fails cleanly: EINVAL is the answer.
    advise::populate(ptr.as_ptr(), len).map_err(|e| pages.refused("populate", len, node, e))?;
    let traits = Traits { kind: "anonymous hugepages", huge: true, stable: false, held_by: None };
    Ok(Mapping { ptr, len, traits, _owner: owner })
}
