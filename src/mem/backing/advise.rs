//! What the kernel is told about DMA memory.

use std::io;

/// How often an interrupted call is repeated before it counts as failed.
const RETRIES: u32 = 100;

fn madvise(at: *mut u8, len: usize, advice: libc::c_int) -> io::Result<()> {
    if cfg!(miri) {
        return Ok(());
    }
    for _ in 0..RETRIES {
        // SAFETY: every advice used in this file leaves the contents of the caller's own memory
        // as they are; a wrong range is an error.
        if unsafe { libc::madvise(at.cast(), len, advice) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if !matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN)) {
            return Err(error);
        }
    }
    Err(io::ErrorKind::Interrupted.into())
}

/// Keeps the memory out of forked children, where a copy on write would move the pages from under
/// the device, and out of core dumps.
pub(super) fn withhold(at: *mut u8, len: usize) -> io::Result<()> {
    madvise(at, len, libc::MADV_DONTFORK)?;
    madvise(at, len, libc::MADV_DONTDUMP)
}

/// Undoes [`withhold`].
pub(super) fn release(at: *mut u8, len: usize) {
    for advice in [libc::MADV_DOFORK, libc::MADV_DODUMP] {
        if let Err(error) = madvise(at, len, advice) {
            tracing::debug!(%error, advice, "madvise refused");
        }
    }
}

/// Asks for transparent hugepages; a wish, not a need.
pub(super) fn prefer_huge(at: *mut u8, len: usize) {
    if let Err(error) = madvise(at, len, libc::MADV_HUGEPAGE) {
        tracing::debug!(%error, "no transparent hugepages");
    }
}

/// Puts every page in place now. A page that cannot be had is an error here, where a plain touch
/// would be a SIGBUS.
///
/// # Errors
/// `EFAULT` when a page cannot be had, `EINVAL` on kernels before 5.14.
pub(super) fn populate(at: *mut u8, len: usize) -> io::Result<()> {
    madvise(at, len, libc::MADV_POPULATE_WRITE)
}
