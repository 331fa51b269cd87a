//! The hardware [`Bar`]: registers mapped into this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use memmap2::MmapRaw;

use super::revoked::{RANGES, Watch};
use super::{Bar, Doorbell};
use crate::arch;
use crate::error::{Error, Result};

/// A mapped BAR. Cheap to clone; the mapping lives until the last clone and doorbell are gone.
///
/// When the kernel revokes the mapping because a driver of its own took the device back, accesses
/// do not end the process: from then on reads are all ones and writes go nowhere. A handler for
/// SIGBUS sees to that, installed with the first `MappedBar`. It passes every other SIGBUS on to
/// the handler that was there before; one that is installed later has to do the same.
#[derive(Debug, Clone)]
pub struct MappedBar {
    inner: Arc<Inner>,
}

/// Fields are dropped in this order: nobody watches what is unmapped.
#[derive(Debug)]
struct Inner {
    watch: Watch,
    map: MmapRaw,
    name: String,
    opened: Instant,
}

impl MappedBar {
    /// Wraps a shared mapping of a whole BAR; `name` goes into messages.
    ///
    /// # Errors
    /// [`Error::Config`] when the mapping is not a whole number of 4-byte registers, or too many
    /// BARs are mapped already; [`Error::Io`] when SIGBUS cannot be handled.
    pub fn new(map: MmapRaw, name: impl Into<String>) -> Result<Self> {
        if map.len() < 4
            || !map.as_ptr().addr().is_multiple_of(4)
            || !map.len().is_multiple_of(4)
            || map.len() > u32::MAX as usize
        {
            return Err(Error::config(
                "BAR length",
                map.len(),
                "a multiple of 4 bytes below 4 GiB",
            ));
        }
        // SAFETY: the mapping is ours and goes after the watch; all access to it is through the
        // raw pointers of this file.
        let watch = unsafe { Watch::new(map.as_mut_ptr(), map.len()) }
            .map_err(|source| Error::Io { what: "handle SIGBUS".into(), path: None, source })?
            .ok_or_else(|| {
                Error::config("BARs mapped at once", RANGES + 1, format!("up to {RANGES}"))
            })?;
        let (name, opened) = (name.into(), Instant::now());
        Ok(Self { inner: Arc::new(Inner { watch, map, name, opened }) })
    }

    /// Lets go of the device: from now on, in every clone and doorbell, reads are all ones and
    /// writes go nowhere. For a device that is no longer ours to touch.
    pub fn sever(&self) {
        if !self.inner.watch.sever() {
            tracing::error!(
                device = self.name(),
                "cannot unmap its registers; doorbells of this process still reach it"
            );
        }
    }

    #[inline(always)]
    fn addr(&self, offset: u32) -> Option<*mut u32> {
        let at = offset as usize;
        // `at` is a multiple of 4 and the length is too, so `at < len` leaves room for 4 bytes.
        (at < self.inner.map.len() && at.is_multiple_of(4))
            .then(|| self.inner.map.as_mut_ptr().wrapping_add(at).cast())
    }
}

impl Bar for MappedBar {
    type Bell = MappedDoorbell;
    const SOFTWARE: bool = false;

    #[inline]
    fn read32(&self, offset: u32) -> u32 {
        let Some(a) = self.addr(offset) else { return u32::MAX };
        // SAFETY: `addr` checked bounds and alignment; `self` keeps the mapping alive.
        let value = unsafe { arch::mmio_read32(a) };
        // Asked afterwards: this read may be the one that found the mapping revoked, and what it
        // returned then is not the device's.
        if self.inner.watch.is_dead() { u32::MAX } else { value }
    }

    #[inline]
    fn write32(&self, offset: u32, value: u32) {
        if let Some(a) = self.addr(offset) {
            // SAFETY: `addr` checked bounds and alignment; `self` keeps the mapping alive.
            unsafe { arch::mmio_write32(a, value) }
        }
    }

    fn doorbell(&self, offset: u32) -> MappedDoorbell {
        MappedDoorbell { addr: self.addr(offset), _bar: self.clone() }
    }

    fn now(&self) -> Duration {
        self.inner.opened.elapsed()
    }

    fn delay(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn name(&self) -> &str {
        &self.inner.name
    }
}

/// One mapped tail register.
///
/// # Invariants
/// `addr`, when there is one, is 4-byte aligned and inside the mapping that `_bar` keeps alive.
#[derive(Debug)]
pub struct MappedDoorbell {
    addr: Option<*mut u32>,
    _bar: MappedBar,
}

// SAFETY: the pointer is to device registers, which belong to no thread.
unsafe impl Send for MappedDoorbell {}

impl Doorbell for MappedDoorbell {
    #[inline(always)]
    fn ring(&self, tail: u32) {
        if let Some(a) = self.addr {
            // SAFETY: by the type's invariant.
            unsafe { arch::mmio_write32(a, tail) }
        }
    }
}
