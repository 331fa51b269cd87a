//! The hardware [`Bar`]: registers mapped into this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use memmap2::MmapRaw;

use super::{Bar, Doorbell};
use crate::arch;
use crate::error::{Error, Result};

/// A mapped BAR. Cheap to clone; the mapping lives until the last clone and doorbell are gone.
#[derive(Debug, Clone)]
pub struct MappedBar {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    map: MmapRaw,
    name: String,
    opened: Instant,
}

impl MappedBar {
    /// Wraps a shared mapping of a whole BAR; `name` goes into messages.
    ///
    /// # Errors
    /// [`Error::Config`] when the mapping is not a whole number of 4-byte registers.
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
        Ok(Self { inner: Arc::new(Inner { map, name: name.into(), opened: Instant::now() }) })
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
        match self.addr(offset) {
            // SAFETY: `addr` checked bounds and alignment; `self` keeps the mapping alive.
            Some(a) => unsafe { arch::mmio_read32(a) },
            None => u32::MAX,
        }
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
