//! Where DMA memory comes from.
//!
//! | backing | survives `kill -9` of its owner | a NIC behind UIO may use it |
//! |---|---|---|
//! | [`Backing::HugetlbFile`] | yes, until [`clean_stale`] | yes |
//! | [`Backing::HugeMemfd`] | until the process's descriptors are closed | yes |
//! | [`Backing::HugeAnon`] | no: freed before the NIC is silenced | no |
//! | [`Backing::Memfd`], [`Backing::Heap`] | no | no: pages move |
//!
//! The kernel frees a dying process's memory before it closes its descriptors, and only the last
//! close of `/dev/uioN` stops the NIC. In between, memory that is only mapped already belongs to
//! somebody else while the NIC still writes to it; memory behind an open descriptor or a linked
//! file does not.

use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::Once;

use super::CHUNK;
use crate::error::{Error, Result};

mod advise;
mod anon;
mod auto;
mod file;
mod heap;
mod hugepages;
mod memfd;
mod mounts;
mod node;
#[cfg(test)]
mod tests;

pub use file::clean_stale;
pub(crate) use file::try_lock;

static NOTICE: Once = Once::new();

/// A source of memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Backing {
    /// [`HugeAnon`](Backing::HugeAnon) when enough 2 MiB pages are free, else
    /// [`Heap`](Backing::Heap) with one notice per process. For the software NIC.
    #[default]
    Auto,
    /// A file in a hugetlbfs of 2 MiB pages. It stays linked until the [`Mapping`] is dropped, so
    /// its pages outlive a killed process; [`clean_stale`] removes what such a process left.
    HugetlbFile {
        /// Where the hugetlbfs is mounted, or a directory in it.
        dir: PathBuf,
    },
    /// A nameless file of 2 MiB hugepages, kept open.
    HugeMemfd,
    /// Private anonymous hugepages. They are gone with the process, whatever ends it.
    HugeAnon,
    /// A nameless file of ordinary pages, kept open.
    Memfd,
    /// Ordinary memory; only the software NIC can use it.
    Heap,
}

impl Backing {
    /// What a NIC behind UIO should use: a file in the first writable hugetlbfs of 2 MiB pages
    /// that is mounted, else [`Backing::HugeMemfd`] with one notice per process.
    pub fn for_device() -> Self {
        if let Some(dir) = mounts::first_usable() {
            return Backing::HugetlbFile { dir };
        }
        NOTICE.call_once(|| {
            tracing::warn!(
                "no hugetlbfs of 2 MiB pages is mounted that this process may write to, so memory \
                 of the NIC is safe in a crash only by the order in which the kernel closes files; \
                 mkdir -p /dev/hugepages && mount -t hugetlbfs -o pagesize=2M none /dev/hugepages"
            );
        });
        Backing::HugeMemfd
    }
}

/// What can be said about a kind of memory.
#[derive(Debug, Clone, Copy)]
struct Traits {
    kind: &'static str,
    huge: bool,
    stable: bool,
    /// The descriptor that keeps the pages when their process dies.
    held_by: Option<RawFd>,
}

/// A zeroed block of memory, a whole number of chunks, aligned to a chunk.
///
/// # Invariants
/// `ptr..ptr + len` stays mapped, readable and writable until `_owner` is dropped, and nothing
/// else hands out references into it.
pub struct Mapping {
    ptr: NonNull<u8>,
    len: usize,
    traits: Traits,
    _owner: Box<dyn Send + Sync>,
}

// SAFETY: the memory belongs to the mapping and not to a thread; all access goes through types
// that settle who may touch which part.
unsafe impl Send for Mapping {}
// SAFETY: as for `Send`; a shared `Mapping` gives out addresses only.
unsafe impl Sync for Mapping {}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapping({} MiB of {})", self.len >> 20, self.traits.kind)
    }
}

impl Mapping {
    /// At least `len` zeroed bytes from `backing`, on NUMA node `node` when one is given and the
    /// system lets this process choose. Every page is there when this returns: touching the
    /// memory later cannot fail.
    ///
    /// # Errors
    /// [`HugepagesExhausted`](Error::HugepagesExhausted), [`Memory`](Error::Memory),
    /// [`Config`](Error::Config) for a node or directory that cannot serve, or
    /// [`Io`](Error::Io).
    pub fn new(backing: &Backing, len: usize, node: Option<u32>) -> Result<Self> {
        let len = whole_chunks(len)?;
        match backing {
            Backing::Auto => auto::map(len, node),
            Backing::HugetlbFile { dir } => file::map(dir, len, node),
            Backing::HugeMemfd => memfd::map_huge(len, node),
            Backing::HugeAnon => anon::map(len, node),
            Backing::Memfd => memfd::map(len, node),
            Backing::Heap => heap::map(len, node),
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
        self.traits.kind
    }

    /// Whether it is made of hugepages, so that each chunk is contiguous in physical memory.
    pub fn is_huge(&self) -> bool {
        self.traits.huge
    }

    /// Whether its physical addresses can be given to a device: hugepages that are not copied on
    /// write and are not freed before the device is silenced.
    pub fn is_stable(&self) -> bool {
        self.traits.stable
    }

    /// The descriptor that alone keeps its pages from being freed while a process dies.
    pub(crate) fn held_by(&self) -> Option<RawFd> {
        self.traits.held_by
    }

    /// Where it starts.
    pub fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }
}

fn whole_chunks(len: usize) -> Result<usize> {
    len.max(1).checked_next_multiple_of(CHUNK).filter(|l| isize::try_from(*l).is_ok()).ok_or_else(
        || Error::Memory {
            what: format!("allocate {len} bytes"),
            source: io::ErrorKind::OutOfMemory.into(),
        },
    )
}

/// The error for a failed `what` on `len` bytes, from the operating system's last error.
fn failed(what: &str, len: usize, source: io::Error) -> Error {
    Error::Memory { what: format!("{what} {} MiB", len >> 20), source }
}
