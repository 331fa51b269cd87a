//! A NIC bound to `uio_pci_generic` or `igb_uio`.
//!
//! The kernel clears bus mastering when a `/dev/uioN` is closed: with `uio_pci_generic` at every
//! close, so that a second process that opens and closes the node stops the first one's DMA. So
//! the node is opened once and held for life, the owner is found out with a lock on `resource0`
//! instead, and [`Host::check`] notices when somebody did it all the same.
//!
//! When a process is killed, its descriptors are closed from the highest down, and memory files
//! must stay until the NIC is silenced. So the node's descriptor is moved up to 512 or above.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use memmap2::{MmapOptions, MmapRaw};

use crate::error::{Error, Result};
use crate::mem::{Backing, DmaMap, PhysicalMap, clean_stale, try_lock};
use crate::mmio::MappedBar;
use crate::pci::{Command, ConfigSpace, PciAddr, PciDevice};
use crate::port::{Host, Line};

#[cfg(test)]
pub(crate) mod tests;

/// Longest single wait for an interrupt.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The X550's INTx status bit does not work (Intel X550 specification update, and the reason why
/// vfio-pci hides the pin), so the kernel would take its interrupts for somebody else's.
const X550: (u16, u16) = (0x8086, 0x1563);

/// An owner that just closed the device can seem to hold it a little longer: a child that it
/// forked has copies of its descriptors until it runs another program.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Which kernel driver is behind the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UioDriver {
    /// In every kernel; INTx only; no way to mask but config space.
    Generic,
    /// Out of tree; one vector of MSI-X, MSI or INTx; masked by writing to the node.
    IgbUio,
}

impl UioDriver {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "uio_pci_generic" => Some(UioDriver::Generic),
            "igb_uio" => Some(UioDriver::IgbUio),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            UioDriver::Generic => "uio_pci_generic",
            UioDriver::IgbUio => "igb_uio",
        }
    }
}

/// An opened device: its registers, its interrupt, its config space. Cheap to clone.
///
/// The device belongs to this process until every clone, and every clone of its
/// [`bar`](UioDevice::bar), is gone. With the last clone of the device its bus mastering goes off.
#[derive(Debug, Clone)]
pub struct UioDevice {
    inner: Arc<Inner>,
}

/// Fields are dropped in this order: the node before the memory that its device could reach.
#[derive(Debug)]
struct Inner {
    node: File,
    driver: UioDriver,
    number: u32,
    ids: (u16, u16),
    has_intx: bool,
    /// Whether the node was free of errors when it was opened. One without an interrupt line
    /// never is.
    has_line: bool,
    /// Bus mastering as the driver set it.
    mastering: AtomicBool,
    config: ConfigSpace,
    bar: MappedBar,
    dma: Arc<PhysicalMap>,
    device: PciDevice,
    /// `resource0`, locked. The mapping in `bar` keeps the lock too.
    _lock: File,
}

/// Where the system's files are.
#[derive(Debug)]
struct Roots {
    sys: PathBuf,
    dev: PathBuf,
}

impl UioDevice {
    /// Takes the device at `addr` over, if `supports` its vendor and device id. Leaves it unable
    /// to do DMA; it still has to be reset.
    ///
    /// Then also removes memory files that killed processes left behind, since nothing can be
    /// writing to them any more.
    ///
    /// # Errors
    /// In this order: [`Error::NoDevice`], [`Error::Unsupported`], [`Error::NotBound`],
    /// [`Error::IommuTranslates`], [`Error::Busy`], [`Error::NoPhysicalAddress`],
    /// [`Error::Permission`], [`Error::Lockdown`], [`Error::State`], [`Error::Memory`];
    /// [`Error::Io`] for anything unforeseen.
    pub fn open(addr: PciAddr, supports: fn(u16, u16) -> bool) -> Result<Self> {
        let roots = Roots { sys: "/sys".into(), dev: "/dev".into() };
        Self::open_in(&roots, addr, supports, PhysicalMap::new)
    }

    fn open_in(
        roots: &Roots,
        addr: PciAddr,
        supports: fn(u16, u16) -> bool,
        dma: impl FnOnce(Option<u32>) -> Result<PhysicalMap>,
    ) -> Result<Self> {
        let device = PciDevice::find(&roots.sys, addr)?;
        let ids = device.ids()?;
        if !supports(ids.0, ids.1) {
            return Err(Error::Unsupported {
                addr: addr.to_string(),
                vendor: ids.0,
                device: ids.1,
            });
        }
        let (driver, number) = bound(&device)?;
        if let Some(group) = device.iommu_group()?
            && !group.is_identity()
        {
            return Err(Error::IommuTranslates { addr: addr.to_string(), group: group.number });
        }
        let lock = lock(&device)?;
        let dma = Arc::new(dma(device.numa_node())?);
        let config = device.config()?;
        silence(addr, &config)?;
        clean(&dma);
        let bar = map_registers(&device, &config, &lock)?;
        if driver == UioDriver::IgbUio {
            reset(&device);
        }
        let node = raise(open_node(roots, &device, number)?);
        // igb_uio turned it on at this open.
        config.set_bus_master(false)?;
        let has_intx = config.has_intx()?;
        let has_line = !in_error(poll(node.as_fd(), Duration::ZERO).unwrap_or(0));
        let mastering = AtomicBool::new(false);
        let inner = Inner {
            node,
            driver,
            number,
            ids,
            has_intx,
            has_line,
            mastering,
            config,
            bar,
            dma,
            device,
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Its address.
    pub fn addr(&self) -> PciAddr {
        self.inner.device.addr()
    }

    /// Vendor and device id.
    pub fn ids(&self) -> (u16, u16) {
        self.inner.ids
    }

    /// The kernel driver that it is bound to.
    pub fn driver(&self) -> UioDriver {
        self.inner.driver
    }

    /// Its registers (BAR 0).
    pub fn bar(&self) -> MappedBar {
        self.inner.bar.clone()
    }

    /// How it sees memory.
    pub fn dma(&self) -> Arc<PhysicalMap> {
        self.inner.dma.clone()
    }

    /// Its config space.
    pub fn config(&self) -> &ConfigSpace {
        &self.inner.config
    }

    /// Whether there is an interrupt to wait for.
    ///
    /// # Errors
    /// [`Error::NoInterrupt`] with the reason why there is none.
    pub fn interrupt(&self) -> Result<()> {
        let inner = &*self.inner;
        let generic = inner.driver == UioDriver::Generic;
        let why = if generic && inner.ids == X550 {
            "the X550's INTx status bit does not work (erratum), and uio_pci_generic has INTx only"
        } else if generic && !inner.has_intx {
            "the function has no INTx pin, and uio_pci_generic has INTx only"
        } else if !inner.has_line {
            "the kernel gave it no interrupt line"
        } else {
            return Ok(());
        };
        Err(Error::NoInterrupt { addr: self.addr().to_string(), why: why.to_owned() })
    }

    /// Waits for an interrupt that came since the last wait, for at most `timeout` and never
    /// longer than an hour. Returns how many came since the device was bound, modulo 2^32, or
    /// nothing when the time is up.
    ///
    /// The kernel masked the interrupt when it came (with `igb_uio` and message interrupts it did
    /// not). Next: clear the cause in the device, then [`rearm`](Self::rearm).
    ///
    /// # Errors
    /// [`Error::NoInterrupt`] and [`Error::Gone`]: never wait again, use polling.
    pub fn wait(&self, timeout: Duration) -> Result<Option<u32>> {
        self.interrupt()?;
        let start = Instant::now();
        let timeout = timeout.min(LONGEST_WAIT);
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            match poll(self.as_fd(), left) {
                Ok(events) if in_error(events) => return Err(self.unbound()),
                Ok(events) if events & libc::POLLIN != 0 => match self.take_event() {
                    Ok(Some(count)) => return Ok(Some(count)),
                    // Another thread was faster.
                    Ok(None) => {}
                    Err(e) => return Err(e),
                },
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.io("wait for an interrupt on", e)),
            }
            if start.elapsed() >= timeout {
                return Ok(None);
            }
        }
    }

    /// Reads the event counter; the kernel refuses anything but exactly 4 bytes.
    fn take_event(&self) -> Result<Option<u32>> {
        let mut count = [0; 4];
        match (&self.inner.node).read(&mut count) {
            Ok(4) => Ok(Some(u32::from_ne_bytes(count))),
            Ok(_) => Err(self.io("read", io::ErrorKind::UnexpectedEof.into())),
            Err(e) => match e.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR) => Ok(None),
                Some(libc::EIO) => Err(self.unbound()),
                _ => Err(self.io("read", e)),
            },
        }
    }

    /// Lets the next interrupt through. The cause of the last one must have been cleared in the
    /// device before, or it comes again at once.
    ///
    /// # Errors
    /// [`Error::Gone`], [`Error::NoInterrupt`], [`Error::Lockdown`], [`Error::Io`].
    pub fn rearm(&self) -> Result<()> {
        self.mask(false)
    }

    /// Holds interrupts back.
    ///
    /// # Errors
    /// As [`rearm`](Self::rearm).
    pub fn disarm(&self) -> Result<()> {
        self.mask(true)
    }

    fn mask(&self, masked: bool) -> Result<()> {
        self.interrupt()?;
        match self.inner.driver {
            // Its config space answers whoever is bound to it now; the dead node tells.
            UioDriver::Generic if self.inner.dead() => Err(self.unbound()),
            UioDriver::Generic => self.inner.config.set_intx_disabled(masked),
            UioDriver::IgbUio => {
                let unmask = u32::from(!masked).to_ne_bytes();
                match (&self.inner.node).write(&unmask) {
                    Ok(4) => Ok(()),
                    Ok(_) => Err(self.io("write", io::ErrorKind::WriteZero.into())),
                    // EINVAL is what a node whose device was unbound answers.
                    Err(e) if matches!(e.raw_os_error(), Some(libc::EIO | libc::EINVAL)) => {
                        Err(self.unbound())
                    }
                    Err(e) => Err(self.io("write", e)),
                }
            }
        }
    }

    /// What an error of a node that used to work means.
    fn unbound(&self) -> Error {
        self.inner.still_ours().err().unwrap_or_else(|| self.inner.gone("its UIO node died"))
    }

    fn io(&self, what: &str, source: io::Error) -> Error {
        Error::io(what, format!("/dev/uio{}", self.inner.number), source)
    }
}

impl Inner {
    /// Whether sysfs still shows the device, its driver and the node as they were. Once a kernel
    /// driver has the device, its config space must be left alone.
    fn still_ours(&self) -> Result<()> {
        let name = self.driver.name();
        if !self.device.exists() {
            return Err(self.gone("it was removed"));
        }
        if self.device.driver()?.as_deref() != Some(name) {
            return Err(self.gone(&format!("it was unbound from {name}")));
        }
        // Bound again, perhaps even with the same number: our node stays dead.
        if self.device.uio()? != Some(self.number) || self.dead() {
            return Err(self.gone(&format!("it was unbound from {name} for a while")));
        }
        Ok(())
    }

    /// Whether the node, which used to work, is in error.
    fn dead(&self) -> bool {
        self.has_line && in_error(poll(self.node.as_fd(), Duration::ZERO).unwrap_or(0))
    }

    fn gone(&self, how: &str) -> Error {
        Error::Gone { device: self.device.addr().to_string(), how: how.to_owned() }
    }
}

impl AsFd for UioDevice {
    /// For an event loop. When it reports an error condition, [`wait`](UioDevice::wait) tells
    /// which; it would report it again at once.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.node.as_fd()
    }
}

impl Host for UioDevice {
    fn set_bus_master(&self, on: bool) -> Result<()> {
        let inner = &*self.inner;
        inner.still_ours()?;
        if !on {
            inner.mastering.store(false, Ordering::Relaxed);
        }
        inner.config.set_bus_master(on)?;
        inner.mastering.store(on, Ordering::Relaxed);
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let inner = &*self.inner;
        inner.still_ours()?;
        let command = inner.config.command()?;
        if let Err(moved) = inner.dma.verify() {
            // Better no DMA than DMA into somebody else's memory.
            inner.config.set_bus_master(false)?;
            return Err(moved);
        }
        if inner.mastering.load(Ordering::Relaxed) && !command.contains(Command::BUS_MASTER) {
            return Err(Error::BusMasterLost { addr: self.addr().to_string() });
        }
        Ok(())
    }

    fn line(&self) -> Result<Box<dyn Line>> {
        self.interrupt()?;
        Ok(Box::new(self.clone()))
    }

    fn numa_node(&self) -> Option<u32> {
        self.inner.device.numa_node()
    }
}

impl Line for UioDevice {
    fn unmask(&self) -> Result<()> {
        self.rearm()
    }

    fn mask(&self) -> Result<()> {
        self.disarm()
    }

    fn take(&self) -> Result<bool> {
        Ok(self.wait(Duration::ZERO)?.is_some())
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        match self.still_ours().and_then(|()| self.config.set_bus_master(false)) {
            // The kernel turns it off when it takes a device away.
            Ok(()) | Err(Error::Gone { .. }) => {}
            Err(error) => {
                tracing::error!(addr = %self.device.addr(), %error, "cannot turn bus mastering off");
            }
        }
    }
}

/// The UIO driver that the device is bound to, and its node's number.
fn bound(device: &PciDevice) -> Result<(UioDriver, u32)> {
    let addr = device.addr().to_string();
    let name = device.driver()?;
    let Some(driver) = name.as_deref().and_then(UioDriver::from_name) else {
        return Err(Error::NotBound { addr, driver: name });
    };
    match device.uio()? {
        Some(number) => Ok((driver, number)),
        None => Err(Error::State {
            why: format!(
                "{addr} is bound to {} but has no UIO node; unbind and bind it again, and read \
                 the kernel log",
                driver.name()
            ),
        }),
    }
}

/// Opens and locks `resource0`. Opening `/dev/uioN` to find out would stop the owner's DMA.
fn lock(device: &PciDevice) -> Result<File> {
    let path = device.path("resource0");
    let file = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(e) => return Err(refused("open", &path, e)),
    };
    for _ in 0..LOCK_TRIES {
        match try_lock(&file) {
            Ok(true) => return Ok(file),
            Ok(false) => std::thread::sleep(LOCK_PAUSE),
            Err(e) => return Err(Error::io("lock", path, e)),
        }
    }
    Err(Error::Busy { addr: device.addr().to_string() })
}

fn refused(what: &str, path: &Path, e: io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::PermissionDenied => Error::Permission {
            what: format!("{what} {}", path.display()),
            fix: "run as root, or let root give you that file".to_owned(),
        },
        _ => Error::io(what, path, e),
    }
}

/// Stops whatever an earlier owner left running.
fn silence(addr: PciAddr, config: &ConfigSpace) -> Result<()> {
    if !config.command()?.contains(Command::BUS_MASTER) {
        return Ok(());
    }
    tracing::warn!(
        %addr,
        "bus mastering was on and goes off; a program that drives this NIC without locking its \
         resource0 stops working now"
    );
    config.set_bus_master(false)?;
    config.wait_quiet()
}

/// Nobody has the device open but us, and it can do no DMA; and a file whose lock is free belongs
/// to a process all of whose descriptors are closed, which silenced its devices too.
fn clean(dma: &PhysicalMap) {
    let Backing::HugetlbFile { dir } = dma.ring_backing() else { return };
    match clean_stale(&dir) {
        Ok(0) => {}
        Ok(files) => tracing::info!(files, dir = %dir.display(), "removed stale memory files"),
        Err(error) => tracing::warn!(%error, "cannot look for stale memory files"),
    }
}

/// Maps BAR 0 from the locked file, so that the lock lasts as long as somebody can reach the
/// registers.
fn map_registers(device: &PciDevice, config: &ConfigSpace, file: &File) -> Result<MappedBar> {
    let addr = device.addr().to_string();
    let path = device.path("resource0");
    let state = |why: String| Error::State { why };
    let bar = device.resource(0)?.filter(|r| r.is_memory()).ok_or_else(|| {
        state(format!("{addr} has no memory at BAR 0; rescan the PCI bus, and read the kernel log"))
    })?;
    if !config.command()?.contains(Command::MEMORY) {
        return Err(state(format!(
            "{addr} does not answer to memory accesses; unbind and bind it again"
        )));
    }
    let size = file.metadata().map_err(|e| Error::io("look at", &path, e))?.len();
    if size != bar.size() {
        return Err(state(format!(
            "{} has {size} bytes where BAR 0 has {}; the device changed, try again",
            path.display(),
            bar.size()
        )));
    }
    let size = usize::try_from(size).map_err(|_| state(format!("BAR 0 of {addr} is too big")))?;
    let map: MmapRaw = match MmapOptions::new().len(size).map_raw(file) {
        Ok(map) => map,
        Err(e) => return Err(unmapped(device, &path, e)),
    };
    MappedBar::new(map, addr)
}

fn unmapped(device: &PciDevice, path: &Path, e: io::Error) -> Error {
    let what = format!("map {}", path.display());
    match e.raw_os_error() {
        // With strict device memory the kernel's owner of the region comes first.
        Some(libc::EINVAL) => Error::State {
            why: format!(
                "{} belongs to a kernel driver still, which keeps its registers from being \
                 mapped; unbind that driver",
                device.addr()
            ),
        },
        // Only lockdown answers EPERM here; where the kernel does not tell, believe it.
        Some(libc::ENOMEM) => Error::Memory { what, source: e },
        Some(libc::EPERM) if device.locked_down() != Some(false) => Error::Lockdown { what },
        _ => refused("map", path, e),
    }
}

/// Resets the function. `igb_uio` turns bus mastering on when its node is opened, and rings of a
/// crashed owner would come back to life.
fn reset(device: &PciDevice) {
    let path = device.path("reset");
    match OpenOptions::new().write(true).open(&path).and_then(|mut f| f.write_all(b"1")) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            tracing::debug!(addr = %device.addr(), "the function has no reset");
        }
        Err(error) => tracing::warn!(path = %path.display(), %error, "cannot reset the function"),
    }
}

/// Opens `/dev/uioN`, having made sure that it is this device's: closing another's would stop its
/// owner's DMA.
fn open_node(roots: &Roots, device: &PciDevice, number: u32) -> Result<File> {
    let path = roots.dev.join(format!("uio{number}"));
    if let Ok(text) = fs::read_to_string(device.path(&format!("uio/uio{number}/dev"))) {
        let meta = fs::metadata(&path).map_err(|e| Error::io("look at", &path, e))?;
        let is = (libc::major(meta.rdev()), libc::minor(meta.rdev()));
        if !meta.file_type().is_char_device() || parse_dev(&text) != Some(is) {
            let why = format!("it is not the character device {}", text.trim());
            return Err(Error::io("use", path, io::Error::other(why)));
        }
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(&path)
        .map_err(|e| refused("open", &path, e))
}

/// `major:minor`.
fn parse_dev(text: &str) -> Option<(libc::c_uint, libc::c_uint)> {
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Moves the descriptor above those of memory files, as far as the limit on descriptors allows.
fn raise(file: File) -> File {
    for least in [512, 256, 128, 64] {
        // SAFETY: the call works on an open descriptor and touches no memory of ours.
        let fd = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) };
        if fd >= 0 {
            // The node's file stays open through the copy, so this close releases nothing.
            // SAFETY: the descriptor is new and nobody else knows it.
            return File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
    file
}

fn in_error(events: libc::c_short) -> bool {
    events & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0
}

/// What happened on `fd` within `timeout`; 0 when nothing did.
fn poll(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<libc::c_short> {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let time = libc::timespec {
        // At most LONGEST_WAIT.
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    };
    // SAFETY: one entry, a valid time, and no signal mask.
    match unsafe { libc::ppoll(&mut entry, 1, &time, std::ptr::null()) } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(0),
        _ => Ok(entry.revents),
    }
}
