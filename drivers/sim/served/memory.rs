//! The windows of a guest's memory that a client has opened for DMA.
//!
//! A table is never changed: the client's messages make another, and the NIC is given that. So
//! the engine looks addresses up without a lock, and a window is unmapped when the last table
//! that holds it goes.

use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::drivers::sim::memory::{GuestMemory, NotMapped};
use crate::mem::Borrowed;

/// Windows that a client can have open at a time. A virtual machine has some dozens.
const WINDOWS: usize = 256;
/// Windows are made of pages of this size.
const PAGE: u64 = 4096;

/// What the NIC may do in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) read: bool,
    pub(super) write: bool,
}

#[derive(Debug)]
struct Window {
    start: u64,
    len: u64,
    allowed: Allowed,
    /// `None` for what the client can reach and this process cannot, such as a ROM.
    memory: Option<Borrowed>,
}

impl Window {
    /// One past its last byte. Does not overflow, as `map` has checked.
    fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// All windows, by address. None overlap.
#[derive(Debug, Default, Clone)]
pub(super) struct Windows {
    all: Vec<Arc<Window>>,
}

fn refusal(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

impl Windows {
    /// With one window more.
    ///
    /// # Errors
    /// EINVAL for what is misaligned, overflows, or cannot be mapped, EEXIST for what overlaps,
    /// ENOSPC when there are too many.
    pub(super) fn map(
        &self,
        start: u64,
        len: u64,
        allowed: Allowed,
        file: Option<(File, u64)>,
    ) -> io::Result<Self> {
        let end = start.checked_add(len).filter(|_| len > 0);
        let offset = file.as_ref().map_or(0, |(_, offset)| *offset);
        let aligned = [start, len, offset].iter().all(|n| n.is_multiple_of(PAGE));
        let Some(end) = end.filter(|_| aligned && (allowed.read || allowed.write)) else {
            return Err(refusal(libc::EINVAL));
        };
        if self.all.len() >= WINDOWS {
            return Err(refusal(libc::ENOSPC));
        }
        let at = self.all.partition_point(|w| w.end() <= start);
        if self.all.get(at).is_some_and(|w| w.start < end) {
            return Err(refusal(libc::EEXIST));
        }
        let map = |(file, offset)| Borrowed::map(file, offset, len, allowed.write);
        let memory = file.map(map).transpose()?;
        let mut all = self.all.clone();
        all.insert(at, Arc::new(Window { start, len, allowed, memory }));
        Ok(Self { all })
    }

    /// Without one window, which must be given as it was opened.
    ///
    /// # Errors
    /// ENOENT when there is no such window.
    pub(super) fn unmap(&self, start: u64, len: u64) -> io::Result<Self> {
        let at = self.all.iter().position(|w| (w.start, w.len) == (start, len));
        let mut all = self.all.clone();
        all.remove(at.ok_or_else(|| refusal(libc::ENOENT))?);
        Ok(Self { all })
    }

    /// The window of an address, and how far into it that is.
    #[inline]
    fn find(&self, iova: u64) -> Result<(&Window, u64), NotMapped> {
        let after = self.all.partition_point(|w| w.start <= iova);
        let window = after.checked_sub(1).and_then(|at| self.all.get(at)).ok_or(NotMapped)?;
        let at = iova - window.start;
        if at < window.len { Ok((window, at)) } else { Err(NotMapped) }
    }

    /// The readable, or writable, memory at an address; and how many bytes of it follow.
    #[inline]
    fn reach(&self, iova: u64, write: bool) -> Result<(&Borrowed, u64, u64), NotMapped> {
        let (window, at) = self.find(iova)?;
        let allowed = if write { window.allowed.write } else { window.allowed.read };
        let memory = window.memory.as_ref().filter(|_| allowed).ok_or(NotMapped)?;
        Ok((memory, at, window.len - at))
    }
}

/// Bytes that can be moved at once: to the end of the window.
fn step(left: usize, room: u64) -> usize {
    usize::try_from(room).map_or(left, |room| room.min(left))
}

impl GuestMemory for Windows {
    fn read(&self, mut iova: u64, mut into: &mut [u8]) -> Result<(), NotMapped> {
        while !into.is_empty() {
            let (memory, at, room) = self.reach(iova, false)?;
            let (now, later) = into.split_at_mut(step(into.len(), room));
            memory.read(at, now).map_err(|_| NotMapped)?;
            iova = iova.wrapping_add(now.len() as u64);
            into = later;
        }
        Ok(())
    }

    fn write(&self, mut iova: u64, mut from: &[u8]) -> Result<(), NotMapped> {
        while !from.is_empty() {
            let (memory, at, room) = self.reach(iova, true)?;
            let (now, later) = from.split_at(step(from.len(), room));
            memory.write(at, now).map_err(|_| NotMapped)?;
            iova = iova.wrapping_add(now.len() as u64);
            from = later;
        }
        Ok(())
    }

    fn load(&self, iova: u64) -> Result<u64, NotMapped> {
        let (memory, at, _) = self.reach(iova, false)?;
        memory.load(at).map_err(|_| NotMapped)
    }

    fn store(&self, iova: u64, value: u64) -> Result<(), NotMapped> {
        let (memory, at, _) = self.reach(iova, true)?;
        memory.store(at, value).map_err(|_| NotMapped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, memfd_create};

    const BOTH: Allowed = Allowed { read: true, write: true };
    const READ: Allowed = Allowed { read: true, write: false };

    fn memory(len: u64) -> File {
        let file = File::from(memfd_create("guest", MemfdFlags::CLOEXEC).unwrap());
        file.set_len(len).unwrap();
        file
    }

    fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
        result.unwrap_err().raw_os_error().unwrap_or(0)
    }

    #[test]
    fn accesses_go_through_neighbouring_windows_and_stop_at_holes() {
        let file = memory(0x4000);
        let part = |offset| Some((file.try_clone().unwrap(), offset));
        let t = Windows::default().map(0x10_0000, 0x1000, BOTH, part(0x3000)).unwrap();
        let t = t.map(0x10_1000, 0x2000, BOTH, part(0)).unwrap();
        let sent: Vec<u8> = (0..0x1800).map(|n| n as u8).collect();
        t.write(0x10_0800, &sent).unwrap();
        let mut back = vec![0; sent.len()];
        t.read(0x10_0800, &mut back).unwrap();
        assert_eq!(back, sent);
        assert_eq!(t.load(0x10_1000), Ok(u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7])));
        for (iova, len) in [(0x10_2fff, 2), (0xf_ffff, 2), (0, 1), (u64::MAX, 1), (u64::MAX - 3, 8)]
        {
            assert_eq!(t.read(iova, &mut vec![0; len]), Err(NotMapped), "{iova:#x}");
            assert_eq!(t.write(iova, &vec![0; len]), Err(NotMapped), "{iova:#x}");
        }
        assert_eq!(t.load(0x10_3000), Err(NotMapped));
        assert_eq!(t.load(0x10_1004), Err(NotMapped), "not a multiple of 8");
    }

    #[test]
    fn a_window_gives_what_it_allows() {
        let t = Windows::default();
        let t = t.map(0x1000, 0x1000, READ, Some((memory(0x1000), 0))).unwrap();
        let t =
            t.map(0x2000, 0x1000, Allowed { read: false, write: true }, Some((memory(0x1000), 0)));
        let t = t.unwrap().map(0x3000, 0x1000, BOTH, None).unwrap();
        assert_eq!((t.load(0x1000), t.store(0x1000, 1)), (Ok(0), Err(NotMapped)));
        assert_eq!((t.load(0x2000), t.store(0x2000, 1)), (Err(NotMapped), Ok(())));
        assert_eq!((t.load(0x3000), t.store(0x3000, 1)), (Err(NotMapped), Err(NotMapped)));
        assert_eq!(t.write(0x1ffc, &[0; 8]), Err(NotMapped));
    }

    #[test]
    fn what_overlaps_overflows_or_is_misaligned_is_refused() {
        let t = Windows::default().map(0x2000, 0x2000, BOTH, None).unwrap();
        for (start, len) in [(0x2000, 0x2000), (0x1000, 0x2000), (0x3000, 0x1000), (0, 1 << 40)] {
            assert_eq!(errno(t.map(start, len, BOTH, None)), libc::EEXIST, "{start:#x} {len:#x}");
        }
        for (start, len) in [
            (0x10_0000, 0),
            (0x10_0800, 0x1000),
            (0x10_0000, 0x800),
            (!0xfff, 0x1000),
            (0x1000, !0xfff),
        ] {
            assert_eq!(errno(t.map(start, len, BOTH, None)), libc::EINVAL, "{start:#x} {len:#x}");
        }
        let none = Allowed { read: false, write: false };
        assert_eq!(errno(t.map(0x10_0000, 0x1000, none, None)), libc::EINVAL);
        assert!(t.map(0x10_0000, 0x1000, BOTH, Some((memory(0x1000), 0x1000))).is_err());
        assert!(t.map(0x10_0000, 0x1000, BOTH, Some((memory(0x2000), 0x800))).is_err());
        assert!(
            t.map(0x4000, 0x1000, BOTH, None).is_ok() && t.map(0x1000, 0x1000, BOTH, None).is_ok()
        );
        assert_eq!(errno(t.unmap(0x2000, 0x1000)), libc::ENOENT);
        assert_eq!(t.unmap(0x2000, 0x2000).unwrap().all.len(), 0);
        let mut many = Windows::default();
        for n in 0..WINDOWS as u64 {
            many = many.map(n * PAGE, PAGE, BOTH, None).unwrap();
        }
        assert_eq!(errno(many.map(1 << 40, PAGE, BOTH, None)), libc::ENOSPC);
    }
}
