//! Where a served NIC's interrupts go: eventfds of the client.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::drivers::sim::irq::{InterruptMode, InterruptSink};
use crate::poll::{pollfd, ppoll};

/// An eventfd that the client waits for.
#[derive(Debug)]
struct Eventfd(File);

impl Eventfd {
    /// Takes nothing else: a write to a pipe, a terminal or a file may block, or destroy something.
    fn new(file: File) -> io::Result<Self> {
        let name = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        if name.as_os_str() != "anon_inode:[eventfd]" {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        fcntl_setfl(&file, fcntl_getfl(&file)? | OFlags::NONBLOCK)?;
        Ok(Self(file))
    }

    /// Whoever waits wakes.
    fn raise(&self) {
        // A full one has been raised, and nobody has looked since. Asked first, since the client
        // can take the non-blocking mode away again.
        let mut fds =
            [libc::pollfd { events: libc::POLLOUT, ..pollfd(std::os::fd::AsFd::as_fd(&self.0)) }];
        if ppoll(&mut fds, std::time::Duration::ZERO).is_ok_and(|ready| ready > 0) {
            let _full = (&self.0).write(&1u64.to_ne_bytes());
        }
    }
}

/// Eventfds by index.
#[derive(Debug)]
struct Lines {
    intx: Option<Eventfd>,
    msi: Vec<Option<Eventfd>>,
    msix: Vec<Option<Eventfd>>,
    /// Those for errors and for requests to let go, which are never raised.
    _kept: [Option<Eventfd>; 2],
    mode: InterruptMode,
}

/// All of a client's eventfds.
#[derive(Debug)]
pub(super) struct Eventfds {
    lines: RwLock<Lines>,
    /// INTx was told, and has not been unmasked since.
    told: AtomicBool,
    /// Vectors of MSI-X that nobody listened to when they were told, one bit each. A client
    /// enables messages in configuration space before it passes eventfds for them.
    pending: Vec<AtomicU64>,
    /// The same of MSI.
    msi_pending: AtomicU64,
}

/// The kinds of interrupts, by their numbers in `linux/vfio.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Intx,
    Msi,
    Msix,
    Error,
    Request,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::Intx, Self::Msi, Self::Msix, Self::Error, Self::Request];
}

impl Eventfds {
    /// For so many vectors of MSI and of MSI-X.
    pub(super) fn new(msi: u16, msix: u16) -> Self {
        let none = |n: u16| (0..n).map(|_| None).collect();
        let mode = InterruptMode::Intx;
        let lines =
            Lines { intx: None, msi: none(msi), msix: none(msix), _kept: [None, None], mode };
        Self {
            lines: RwLock::new(lines),
            told: AtomicBool::new(false),
            pending: (0..msix.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            msi_pending: AtomicU64::new(0),
        }
    }

    fn change(&self) -> RwLockWriteGuard<'_, Lines> {
        self.lines.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client listens to any of a kind.
    pub(super) fn any(&self, kind: Kind) -> bool {
        let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
        lines.slots(kind).iter().any(Option::is_some)
    }

    /// The mode that messages are told in.
    pub(super) fn set_mode(&self, mode: InterruptMode) {
        self.change().mode = mode;
    }

    /// Connects vectors from `start` on, or disconnects `count` when there are no files. A
    /// vector that was told meanwhile is told again.
    ///
    /// # Errors
    /// EINVAL for what is no eventfd, or no vector; nothing has changed then.
    pub(super) fn connect(
        &self,
        kind: Kind,
        start: usize,
        count: usize,
        files: Vec<File>,
    ) -> io::Result<()> {
        let fds = files.into_iter().map(Eventfd::new).collect::<io::Result<Vec<_>>>()?;
        let mut fds = fds.into_iter();
        let mut lines = self.change();
        let end = start.saturating_add(count);
        let slots = lines.slots_mut(kind).get_mut(start..end);
        let slots = slots.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        for (vector, slot) in (start..).zip(slots) {
            *slot = fds.next();
            if let Some(fd) = slot
                && self.take_pending(kind, vector)
            {
                fd.raise();
            }
        }
        Ok(())
    }

    /// Tells a vector as if the NIC had.
    pub(super) fn tell(&self, kind: Kind, vector: usize) {
        let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(Some(fd)) = lines.slots(kind).get(vector) {
            fd.raise();
        }
    }

    /// INTx was told, and has not been unmasked since.
    pub(super) fn told(&self) -> &AtomicBool {
        &self.told
    }

    /// 64 pending bits of MSI-X.
    pub(super) fn pending(&self, word: usize) -> u64 {
        self.pending.get(word).map_or(0, |bits| bits.load(Ordering::Relaxed))
    }

    fn waiting(&self, kind: Kind, vector: usize) -> Option<(&AtomicU64, u64)> {
        let word = match kind {
            Kind::Msi => (vector < 64).then_some(&self.msi_pending),
            Kind::Msix => self.pending.get(vector / 64),
            _ => None,
        };
        word.map(|word| (word, 1 << (vector % 64)))
    }

    fn take_pending(&self, kind: Kind, vector: usize) -> bool {
        let waiting = self.waiting(kind, vector);
        waiting.is_some_and(|(word, bit)| word.fetch_and(!bit, Ordering::AcqRel) & bit != 0)
    }

    /// Nothing is pending any more, as after a reset.
    pub(super) fn forget(&self) {
        self.told.store(false, Ordering::Release);
        let words = self.pending.iter().chain([&self.msi_pending]);
        words.for_each(|word| word.store(0, Ordering::Release));
    }
}

impl Lines {
    fn slots(&self, kind: Kind) -> &[Option<Eventfd>] {
        match kind {
            Kind::Intx => std::slice::from_ref(&self.intx),
            Kind::Msi => &self.msi,
            Kind::Msix => &self.msix,
            Kind::Error => &self._kept[..1],
            Kind::Request => &self._kept[1..],
        }
    }

    fn slots_mut(&mut self, kind: Kind) -> &mut [Option<Eventfd>] {
        match kind {
            Kind::Intx => std::slice::from_mut(&mut self.intx),
            Kind::Msi => &mut self.msi,
            Kind::Msix => &mut self.msix,
            Kind::Error => &mut self._kept[..1],
            Kind::Request => &mut self._kept[1..],
        }
    }
}

impl InterruptSink for Eventfds {
    fn intx(&self) {
        self.told.store(true, Ordering::Release);
        self.tell(Kind::Intx, 0);
    }

    fn message(&self, vector: u16) {
        let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
        let vector = usize::from(vector);
        let kind = match lines.mode {
            InterruptMode::Intx => return,
            InterruptMode::Msi { .. } => Kind::Msi,
            InterruptMode::Msix { .. } => Kind::Msix,
        };
        match lines.slots(kind).get(vector) {
            Some(Some(fd)) => fd.raise(),
            Some(None) => {
                if let Some((word, bit)) = self.waiting(kind, vector) {
                    word.fetch_or(bit, Ordering::AcqRel);
                }
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::poll::Event;

    fn file(event: &Event) -> File {
        event.as_fd().try_clone_to_owned().unwrap().into()
    }

    fn errno(result: io::Result<()>) -> Option<i32> {
        result.unwrap_err().raw_os_error()
    }

    #[test]
    fn a_message_goes_to_the_eventfd_of_its_vector_in_the_mode_that_is_on() {
        let fds = Eventfds::new(1, 70);
        let [msi, msix, line] = [(); 3].map(|()| Event::new().unwrap());
        fds.connect(Kind::Msi, 0, 1, vec![file(&msi)]).unwrap();
        fds.connect(Kind::Msix, 69, 1, vec![file(&msix)]).unwrap();
        fds.connect(Kind::Intx, 0, 1, vec![file(&line)]).unwrap();
        fds.message(69);
        fds.message(0);
        assert!(!msi.take() && !msix.take() && !line.take(), "the line is on");
        fds.intx();
        assert!(line.take() && fds.told().load(Ordering::Relaxed));
        fds.set_mode(InterruptMode::Msi { vectors: 1 });
        fds.message(0);
        fds.message(69);
        assert!(msi.take() && !msix.take());
        fds.set_mode(InterruptMode::Msix { vectors: 70 });
        fds.message(69);
        fds.message(u16::MAX);
        assert!(!msi.take() && msix.take());
        assert!(fds.any(Kind::Msix) && !fds.any(Kind::Error));
        fds.connect(Kind::Msix, 0, 70, vec![]).unwrap();
        fds.message(69);
        assert!(!msix.take() && !fds.any(Kind::Msix), "disconnected");
    }

    #[test]
    fn what_was_told_to_nobody_is_told_to_whoever_comes_unless_a_reset_came_first() {
        for (kind, mode, vector) in [
            (Kind::Msi, InterruptMode::Msi { vectors: 1 }, 0),
            (Kind::Msix, InterruptMode::Msix { vectors: 70 }, 66),
        ] {
            let fds = Eventfds::new(1, 70);
            let event = Event::new().unwrap();
            let connect = || fds.connect(kind, vector, 1, vec![file(&event)]).unwrap();
            fds.set_mode(mode);
            fds.message(vector as u16);
            fds.message(vector as u16);
            connect();
            assert!(event.take(), "{kind:?}");
            connect();
            assert!(!event.take(), "{kind:?}: once");
            fds.connect(kind, vector, 1, vec![]).unwrap();
            fds.message(vector as u16);
            assert_eq!(fds.pending(1), if kind == Kind::Msix { 1 << 2 } else { 0 });
            fds.forget();
            connect();
            assert!(!event.take(), "{kind:?}: forgotten");
        }
    }

    #[test]
    fn only_eventfds_are_taken_and_only_for_vectors_that_there_are() {
        let fds = Eventfds::new(1, 10);
        let good = Event::new().unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let others: [File; 4] = [
            File::from(std::os::fd::OwnedFd::from(reader)),
            File::from(std::os::fd::OwnedFd::from(writer)),
            File::open("/dev/null").unwrap(),
            File::open("/").unwrap(),
        ];
        for other in others {
            let refused = fds.connect(Kind::Msix, 0, 2, vec![file(&good), other]);
            assert_eq!(errno(refused), Some(libc::EINVAL));
        }
        assert!(!fds.any(Kind::Msix), "nothing has changed");
        for (kind, start, count) in [
            (Kind::Msix, 10, 1),
            (Kind::Msix, 9, 2),
            (Kind::Msi, usize::MAX, 2),
            (Kind::Intx, 1, 1),
        ] {
            let refused = fds.connect(kind, start, count, vec![file(&good)]);
            assert_eq!(errno(refused), Some(libc::EINVAL), "{kind:?} {start}");
        }
        fds.tell(Kind::Msix, usize::MAX);
    }

    #[test]
    fn a_full_eventfd_keeps_nobody() {
        let fds = Eventfds::new(1, 1);
        let event = Event::new().unwrap();
        fds.connect(Kind::Msix, 0, 1, vec![file(&event)]).unwrap();
        (&file(&event)).write_all(&(u64::MAX - 1).to_ne_bytes()).unwrap();
        fds.tell(Kind::Msix, 0);
        // Not even when the client has made it a blocking one again.
        let blocking = file(&event);
        fcntl_setfl(&blocking, fcntl_getfl(&blocking).unwrap() & !OFlags::NONBLOCK).unwrap();
        fds.tell(Kind::Msix, 0);
        assert!(event.take());
    }
}
