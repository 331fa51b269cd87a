//! Nameless files. The descriptor stays open as long as the mapping, and the pages live until
//! both are gone, so a dying process gives them back only when its descriptors are closed.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};

use super::hugepages::Hugepages;
use super::{Mapping, Traits, advise, failed, file, node};
use crate::error::Result;
use crate::mem::CHUNK;

struct Memfd {
    _map: MmapRaw,
    _file: File,
}

fn create(flags: libc::c_uint) -> io::Result<File> {
    // Systems may insist that such files are not executable, and old kernels do not know the flag.
    for extra in [libc::MFD_NOEXEC_SEAL, 0] {
        let flags = flags | extra | libc::MFD_CLOEXEC;
        // SAFETY: the name is a C string and the flags take no pointers.
        let fd = unsafe { libc::memfd_create(c"barewire".as_ptr(), flags) };
        if fd >= 0 {
            // SAFETY: the descriptor is new and nobody else knows it.
            return Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }));
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
    }
    Err(io::Error::from_raw_os_error(libc::EINVAL))
}

pub(super) fn map_huge(len: usize, node: Option<u32>) -> Result<Mapping> {
    let pages = Hugepages::system();
    pages.require(len, node)?;
    let file = create(libc::MFD_HUGETLB | libc::MFD_HUGE_2MB)
        .map_err(|e| failed("make a file for hugepages of", len, e))?;
    let map = file::fill_and_map(&file, len, node, &pages)?;
    let ptr = file::chunk_aligned(&map, len)?;
    let traits =
        Traits { kind: "huge memfd", huge: true, stable: true, held_by: Some(file.as_raw_fd()) };
    Ok(Mapping { ptr, len, traits, _owner: Box::new(Memfd { _map: map, _file: file }) })
}

/// Ordinary pages. The file is one chunk longer than asked for, so that a chunk-aligned part of
/// the mapping exists; only that part gets pages.
pub(super) fn map(len: usize, node: Option<u32>) -> Result<Mapping> {
    let fail = |e| failed("allocate shared memory of", len, e);
    let too_long = || fail(io::ErrorKind::OutOfMemory.into());
    let total = len.checked_add(CHUNK).ok_or_else(too_long)?;
    let file = create(0).map_err(fail)?;
    file.set_len(total as u64).map_err(fail)?;
    let map = MmapOptions::new().len(total).map_raw(&file).map_err(fail)?;
    let skip = map.as_mut_ptr().align_offset(CHUNK);
    // `align_offset` of bytes is below CHUNK on every platform that can map memory.
    let ptr = NonNull::new(map.as_mut_ptr().wrapping_add(skip))
        .filter(|_| skip < CHUNK)
        .ok_or_else(too_long)?;
    let _policy = node::prefer(node)?;
    advise::withhold(ptr.as_ptr(), len).map_err(fail)?;
    advise::prefer_huge(ptr.as_ptr(), len);
    // In the file first: a full tmpfs or memory cgroup is an error there, not a signal later.
    file::allocate(&file, skip, len).map_err(fail)?;
    file::populate_allocated(ptr.as_ptr(), len).map_err(fail)?;
    let traits = Traits { kind: "memfd", huge: false, stable: false, held_by: None };
    Ok(Mapping { ptr, len, traits, _owner: Box::new(Memfd { _map: map, _file: file }) })
}
