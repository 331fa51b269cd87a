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
    /// Vectors of MSI-X that nobody listened to when they were told, one bit each.
    pending: Vec<AtomicU64>,
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
            if kind == Kind::Msix && slot.is_some() && self.take_pending(vector) {
                slot.iter().for_each(Eventfd::raise);
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

    fn take_pending(&self, vector: usize) -> bool {
        let bit = 1 << (vector % 64);
        let word = self.pending.get(vector / 64);
        word.is_some_and(|bits| bits.fetch_and(!bit, Ordering::AcqRel) & bit != 0)
    }

    /// Nothing is pending any more, as after a reset.
    pub(super) fn forget(&self) {
        self.told.store(false, Ordering::Release);
        self.pending.iter().for_each(|bits| bits.store(0, Ordering::Release));
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
        let slots = match lines.mode {
            InterruptMode::Intx => return,
            InterruptMode::Msi { .. } => &lines.msi,
            InterruptMode::Msix { .. } => &lines.msix,
        };
        match (slots.get(vector), self.pending.get(vector / 64)) {
            (Some(Some(fd)), _) => fd.raise(),
            (Some(None), Some(bits)) if matches!(lines.mode, InterruptMode::Msix { .. }) => {
                bits.fetch_or(1 << (vector % 64), Ordering::AcqRel);
            }
            _ => {}
        }
    }
}
