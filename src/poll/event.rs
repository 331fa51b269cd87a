//! The system calls behind sleeping: waiting for files, and an event to wake with.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::error::{Error, Result};

/// Longest single wait: what is longer is cut.
pub(crate) const LONGEST: Duration = Duration::from_secs(3600);

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// One of the files is readable, or has an error to tell.
    Event,
    /// The time is up.
    Timeout,
    /// A signal was handled in this thread.
    Signal,
}

/// Sleeps until one of `sources` is readable or has an error to tell, for at most `timeout` and
/// never longer than an hour. The kernel may be late by its timer slack, 50 us by default.
///
/// # Errors
/// [`Error::Io`] when the kernel refuses.
pub fn wait<T: AsFd>(sources: &[T], timeout: Duration) -> Result<Woken> {
    // Few at most: one a port.
    let mut fds: Vec<_> = sources.iter().map(|s| pollfd(s.as_fd())).collect();
    match ppoll(&mut fds, timeout) {
        Ok(0) => Ok(Woken::Timeout),
        Ok(_) => Ok(Woken::Event),
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(Woken::Signal),
        Err(source) => {
            Err(Error::Io { what: "wait for an interrupt".to_owned(), path: None, source })
        }
    }
}

/// What [`ppoll`] is to wait for.
pub(crate) fn pollfd(fd: BorrowedFd<'_>) -> libc::pollfd {
    libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }
}

/// Waits for one of `fds` for at most `timeout`, cut to [`LONGEST`]. How many have something to
/// tell, which they hold then.
pub(crate) fn ppoll(fds: &mut [libc::pollfd], timeout: Duration) -> io::Result<usize> {
    let timeout = timeout.min(LONGEST);
    let mut until = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    until.tv_sec = libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX);
    until.tv_nsec = timeout.subsec_nanos() as _;
    let count = fds.len() as libc::nfds_t;
    // SAFETY: the array is live and as long as `count` says, the time is live, and no mask means
    // that the thread's own stays.
    let ready = unsafe { libc::ppoll(fds.as_mut_ptr(), count, &until, std::ptr::null()) };
    usize::try_from(ready).map_err(|_| io::Error::last_os_error())
}

/// An event that one thread raises and another waits for (`eventfd`).
#[derive(Debug)]
pub(crate) struct Event {
    file: File,
}

impl Event {
    /// An event that has not happened.
    ///
    /// # Errors
    /// [`Error::Io`] when the process has no file descriptor left.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            let source = io::Error::last_os_error();
            return Err(Error::Io { what: "make an event".to_owned(), path: None, source });
        }
        // SAFETY: a new descriptor, which nobody else has.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { file: File::from(fd) })
    }

    /// Lets it happen. It stays so until it is taken.
    pub(crate) fn raise(&self) {
        // Fails only when it was raised 2^64 - 2 times and never taken: it has happened then.
        let _full = (&self.file).write(&1u64.to_ne_bytes());
    }

    /// Whether it has happened; it has not any more afterwards.
    pub(crate) fn take(&self) -> bool {
        (&self.file).read(&mut [0; 8]).is_ok()
    }
}

impl AsFd for Event {
    /// Readable once it has happened.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn an_event_stays_until_it_is_taken() {
        let event = Event::new().unwrap();
        assert!(!event.take());
        assert_eq!(wait(&[&event], Duration::ZERO).unwrap(), Woken::Timeout);
        event.raise();
        event.raise();
        assert_eq!(wait(&[&event], Duration::from_secs(9)).unwrap(), Woken::Event);
        assert!(event.take() && !event.take());
    }

    #[test]
    fn any_of_several_wakes_from_another_thread() {
        let (a, b) = (Event::new().unwrap(), Event::new().unwrap());
        let start = Instant::now();
        std::thread::scope(|s| {
            s.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                b.raise();
            });
            assert_eq!(wait(&[&a, &b], Duration::from_secs(60)).unwrap(), Woken::Event);
        });
        assert!(start.elapsed() < Duration::from_secs(30));
        assert!(!a.take() && b.take());
    }

    #[test]
    fn times_are_kept_to_the_microsecond_and_beyond_a_second() {
        for millis in [0, 1, 30] {
            let start = Instant::now();
            let time = Duration::from_millis(millis);
            assert_eq!(wait::<Event>(&[], time).unwrap(), Woken::Timeout);
            assert!(start.elapsed() >= time);
        }
        let (event, start) = (Event::new().unwrap(), Instant::now());
        event.raise();
        // Longer than the kernel's types hold.
        assert_eq!(wait(&[&event], Duration::MAX).unwrap(), Woken::Event);
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
