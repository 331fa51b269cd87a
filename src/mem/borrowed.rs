//! Memory that another process lends this one, as a file descriptor: a virtual machine's.
//!
//! The lender goes on using it and is not trusted. Three things follow.
//!
//! 1. Nobody makes a reference to its bytes. Every access is a copy through raw pointers or one
//!    atomic word, through `vm-memory`; what was copied is looked at, never the original.
//! 2. The lender can cut the file short, punch holes into it, or let its file system run full; the
//!    next access is a SIGBUS then. Sealing the file against shrinking would prevent the first
//!    alone, so the mapping is watched (`mmio::revoked`) whether the file is sealed or not: it is
//!    replaced by empty memory and counts as gone.
//! 3. A page fault must not wait for the lender. So only files in memory are taken, tmpfs and
//!    hugetlbfs; a file on FUSE would hang whoever touches it.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{Ordering, compiler_fence};

use vm_memory::mmap::MmapRegionError;
use vm_memory::{Bytes, FileOffset, MmapRegion, VolatileMemory, VolatileSlice};

use super::page_size;
use crate::mmio::Watch;

/// `f_type` of the file systems whose files are memory (`linux/magic.h`).
const TMPFS: u64 = 0x0102_1994;
const HUGETLBFS: u64 = 0x9584_58f6;

/// The memory has gone: its lender took it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TakenAway;

/// A window of lent memory.
///
/// Fields are dropped in this order: nobody watches what is unmapped.
#[derive(Debug)]
pub(crate) struct Borrowed {
    watch: Watch,
    map: MmapRegion,
    /// Where the window starts in the mapping, which is of whole pages of the file.
    skip: usize,
    len: usize,
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

impl Borrowed {
    /// Maps `len` bytes of a file from `offset` on, to be written when `writable`.
    ///
    /// # Errors
    /// When the file is no memory or too short, or the kernel refuses.
    pub(crate) fn map(file: File, offset: u64, len: u64, writable: bool) -> io::Result<Self> {
        let about = file.metadata()?;
        let system = rustix::fs::fstatfs(&file)?.f_type as u64;
        let grain = match system {
            TMPFS if about.is_file() => page_size() as u64,
            HUGETLBFS if about.is_file() && about.blksize().is_power_of_two() => about.blksize(),
            _ => return Err(refused("not a file in memory: tmpfs, memfd or hugetlbfs")),
        };
        let end = offset.checked_add(len).ok_or_else(|| refused("offset and size overflow"))?;
        if len == 0 || end > about.size() {
            return Err(refused("the window reaches beyond the end of its file"));
        }
        let start = offset & !(grain - 1);
        let too_large = || refused("the window is larger than an address space");
        let whole = end.checked_next_multiple_of(grain).ok_or_else(too_large)? - start;
        let size = usize::try_from(whole).map_err(|_| too_large())?;
        let prot = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        let map = MmapRegion::build(Some(FileOffset::new(file, start)), size, prot, flags)
            .map_err(|error| match error {
                MmapRegionError::Mmap(error) => error,
                other => io::Error::other(other),
            })?;
        // SAFETY: the mapping is shared, was just made, and belongs to the value made here, whose
        // watch goes first. It is accessed through volatile slices alone, which make no reference
        // but for the length of one atomic access, to a word that others may change anyway.
        let watch = unsafe { Watch::new(map.as_ptr(), size) }?
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSPC))?;
        let skip = (offset - start) as usize;
        Ok(Self { watch, map, skip, len: len as usize })
    }

    /// Its bytes in memory; nothing when they are not all in the window, or have gone: what lies
    /// there then is this process's own, and a guest could have it filled.
    fn slice(&self, at: u64, len: usize) -> Option<VolatileSlice<'_>> {
        if self.watch.is_dead() {
            return None;
        }
        let at = usize::try_from(at).ok()?;
        let end = at.checked_add(len)?;
        (end <= self.len).then(|| self.map.get_slice(self.skip + at, len).ok())?
    }

    /// What an access has come to. Asked afterwards: it may be the one that found the memory
    /// gone.
    fn judge<T>(&self, result: Option<T>) -> Result<T, TakenAway> {
        // What the handler found in the middle of the access is seen here: it ran in this thread,
        // so keeping the compiler from moving the access behind the question is enough.
        compiler_fence(Ordering::SeqCst);
        if self.watch.is_dead() {
            return Err(TakenAway);
        }
        result.ok_or(TakenAway)
    }

    pub(crate) fn read(&self, at: u64, into: &mut [u8]) -> Result<(), TakenAway> {
        let done = self.slice(at, into.len()).map(|from| from.copy_to(into));
        self.judge(done).map(drop)
    }

    /// Only for windows that were mapped writable. Four bytes to a multiple of 4 are written as a
    /// whole: a copy might do it by single bytes, as the source happens to lie, and a guest must
    /// not see half of a ring's head.
    pub(crate) fn write(&self, at: u64, from: &[u8]) -> Result<(), TakenAway> {
        let done = self.slice(at, from.len()).map(|to| match <[u8; 4]>::try_from(from) {
            Ok(w) if to.store(u32::from_ne_bytes(w), 0, Ordering::Release).is_ok() => {}
            _ => to.copy_from(from),
        });
        self.judge(done)
    }

    /// Reads the word at a multiple of 8, with acquire order.
    pub(crate) fn load(&self, at: u64) -> Result<u64, TakenAway> {
        let word = self.slice(at, 8).and_then(|s| s.load::<u64>(0, Ordering::Acquire).ok());
        self.judge(word).map(u64::from_le)
    }

    /// Writes such a word, with release order. Only for windows that were mapped writable.
    pub(crate) fn store(&self, at: u64, value: u64) -> Result<(), TakenAway> {
        let word = self.slice(at, 8);
        let done = word.and_then(|s| s.store(value.to_le(), 0, Ordering::Release).ok());
        self.judge(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, memfd_create};

    fn memory(len: u64) -> File {
        let file = File::from(memfd_create("lent", MemfdFlags::CLOEXEC).unwrap());
        file.set_len(len).unwrap();
        file
    }

    #[test]
    fn both_sides_see_what_the_other_writes() {
        use std::os::unix::fs::FileExt;
        let file = memory(0x4000);
        let lent = Borrowed::map(file.try_clone().unwrap(), 0x1000, 0x2000, true).unwrap();
        lent.write(0x10, b"from the device").unwrap();
        let mut seen = [0; 15];
        file.read_exact_at(&mut seen, 0x1010).unwrap();
        assert_eq!(&seen, b"from the device");
        file.write_all_at(&7u64.to_le_bytes(), 0x1ff8).unwrap();
        assert_eq!(lent.load(0xff8), Ok(7));
        lent.store(0x1ff8, 9).unwrap();
        let mut word = [0; 8];
        lent.read(0x1ff8, &mut word).unwrap();
        assert_eq!(u64::from_le_bytes(word), 9);
        assert_eq!(lent.read(0x1ff9, &mut word), Err(TakenAway), "beyond the window");
        assert_eq!(lent.read(u64::MAX, &mut word), Err(TakenAway));
        assert_eq!(lent.load(4), Err(TakenAway), "not a multiple of 8");
    }

    #[test]
    fn a_file_that_is_cut_short_costs_the_window_and_not_the_process() {
        let file = memory(0x4000);
        let cut = Borrowed::map(file.try_clone().unwrap(), 0, 0x4000, true).unwrap();
        let other = Borrowed::map(memory(0x1000), 0, 0x1000, true).unwrap();
        cut.write(0x3000, &[1; 64]).unwrap();
        file.set_len(0x1000).unwrap();
        let mut into = [0; 64];
        let read = cut.read(0x3000, &mut into);
        // Bytes that nobody wants are not read at all, once the compiler knows.
        std::hint::black_box(into);
        assert_eq!(read, Err(TakenAway));
        assert_eq!(cut.write(0x3000, &[1; 64]), Err(TakenAway));
        assert_eq!(cut.load(0x3000), Err(TakenAway));
        assert_eq!(cut.store(0, 1), Err(TakenAway), "the whole window went");
        assert_eq!(other.store(0, 1), Ok(()), "and no other");
    }

    #[test]
    fn what_is_gone_takes_no_memory_of_this_process() {
        let file = memory(0x4000);
        let cut = Borrowed::map(file.try_clone().unwrap(), 0, 0x4000, true).unwrap();
        file.set_len(0).unwrap();
        assert_eq!(cut.write(0x1000, &[1; 64]), Err(TakenAway));
        // The first access found it gone; whatever a guest names afterwards is left alone.
        assert_eq!(cut.write(0x2000, &[2; 64]), Err(TakenAway));
        assert_eq!(cut.store(0x3000, 3), Err(TakenAway));
        let mut beneath = [0xffu8; 0x2000];
        cut.map.get_slice(0x2000, 0x2000).unwrap().copy_to(&mut beneath[..]);
        assert!(beneath.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn four_bytes_are_written_as_one() {
        use std::sync::atomic::AtomicBool;
        let file = memory(0x1000);
        let [ours, theirs] =
            [(); 2].map(|()| Borrowed::map(file.try_clone().unwrap(), 0, 0x1000, true).unwrap());
        let over = AtomicBool::new(false);
        std::thread::scope(|s| {
            s.spawn(|| {
                // From odd addresses, which a plain copy does by single bytes.
                let from = [[0u8; 8], [0xff; 8]].concat();
                for _ in 0..500_000 {
                    ours.write(0x10, &from[1..5]).unwrap();
                    ours.write(0x10, &from[9..13]).unwrap();
                }
                over.store(true, Ordering::Relaxed);
            });
            let mut seen = std::collections::BTreeSet::new();
            while !over.load(Ordering::Relaxed) {
                seen.insert(theirs.load(0x10).unwrap());
            }
            assert!(seen.iter().all(|word| [0, 0xffff_ffff].contains(word)), "torn: {seen:x?}");
        });
    }

    #[test]
    fn what_is_not_memory_or_too_short_is_refused() {
        let file = memory(0x2000);
        for (offset, len) in [
            (0, 0),
            (0, 0x2001),
            (0x2000, 1),
            (u64::MAX, 1),
            (0x1000, u64::MAX),
            (1 << 63, 1 << 63),
        ] {
            let file = file.try_clone().unwrap();
            assert!(Borrowed::map(file, offset, len, true).is_err(), "{offset:#x} {len:#x}");
        }
        for path in ["/dev/zero", "/proc/self/maps", "/"] {
            let file = File::open(path).unwrap();
            assert!(Borrowed::map(file, 0, 0x1000, false).is_err(), "{path}");
        }
    }
}
