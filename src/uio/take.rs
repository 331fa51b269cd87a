//! Taking a device over: what is checked before anything is changed, and the order in which the
//! device is then silenced, mapped, opened and cleaned up after.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use memmap2::{MmapOptions, MmapRaw};

use super::{Inner, Place, UioDevice, UioDriver, in_error, poll};
use crate::error::{Error, Result};
use crate::mem::{Backing, DmaMap, PhysicalMap, clean_stale, try_lock};
use crate::mmio::MappedBar;
use crate::pci::{Command, ConfigSpace, PciAddr, PciDevice};

/// An owner that just closed the device can seem to hold it a little longer: a child that it
/// forked has copies of its descriptors until it runs another program.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Where the system's files are.
#[derive(Debug)]
pub(super) struct Roots {
    pub(super) sys: PathBuf,
    pub(super) dev: PathBuf,
    pub(super) proc: PathBuf,
}

impl UioDevice {
    pub(super) fn open_in(
        roots: &Roots,
        addr: PciAddr,
        supports: fn(u16, u16) -> bool,
        dma: impl FnOnce(Option<u32>) -> Result<PhysicalMap>,
    ) -> Result<Self> {
        // 1. Looking changes nothing.
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
        if let Some((number, pid)) = number.and_then(|n| Some((n, holder(&roots.proc, n)?))) {
            let addr = format!("{addr} (/dev/uio{number} is open in process {pid})");
            return Err(Error::Busy { addr });
        }
        let dma = Arc::new(dma(device.numa_node())?);
        let config = device.config()?;
        // 2. No DMA, whatever an earlier owner left running.
        silence(addr, &config, driver)?;
        let bar = map_registers(&device, &config, &lock)?;
        // 3. igb_uio turns bus mastering on when its node is opened, and rings of a crashed owner
        //    would come back to life: they are forgotten before.
        if driver == UioDriver::IgbUio {
            reset(&device);
        }
        let place = match number {
            Some(number) => Some(Place { number, birth: birth(&device, number)? }),
            None => None,
        };
        let node = raise(match place {
            Some(place) => open_node(roots, &device, place.number)?,
            None => no_node()?,
        });
        config.set_bus_master(false)?;
        if driver == UioDriver::IgbUio {
            config.wait_quiet()?;
        }
        // 4. Not earlier: a reset that failed, and step 3 has let DMA into such memory.
        clean(&dma, &roots.sys, addr, supports);
        match driver {
            UioDriver::Absent => {
                warn_absent(addr);
                dma.never_released();
            }
            // Closing anything else than the kernel's node stops no DMA.
            _ if !is_char_device(&node)? => dma.never_released(),
            _ => dma.released_after(node.as_raw_fd()),
        }
        let has_intx = config.has_intx()?;
        let has_line = !in_error(poll(node.as_fd(), Duration::ZERO).unwrap_or(0));
        let inner = Inner {
            node,
            driver,
            place,
            ids,
            has_intx,
            has_line,
            mastering: AtomicBool::new(false),
            lost: OnceLock::new(),
            config,
            bar,
            dma,
            device,
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

/// What tells this registration of the node from a later one with the same number.
pub(super) fn birth(device: &PciDevice, number: u32) -> Result<u64> {
    let path = device.path(&format!("uio/uio{number}"));
    // Sysfs gives every directory that it makes a number of its own.
    fs::metadata(&path).map(|m| m.ino()).map_err(|e| Error::io("look at", path, e))
}

/// The UIO driver that the device is bound to, and its node's number. A device that is bound to
/// nothing is nobody's, and can be had without.
fn bound(device: &PciDevice) -> Result<(UioDriver, Option<u32>)> {
    let addr = device.addr().to_string();
    let Some(name) = device.driver()? else { return Ok((UioDriver::Absent, None)) };
    let Some(driver) = UioDriver::from_name(&name) else {
        return Err(Error::NotBound { addr, driver: name });
    };
    match device.uio()? {
        Some(number) => Ok((driver, Some(number))),
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

/// A process that has the node open, although we have the lock: a driver that knows nothing of
/// it, whose DMA would be stopped, or somebody who looks, and whose close would stop ours. Only
/// root sees everybody's.
fn holder(proc: &Path, number: u32) -> Option<u32> {
    let node = format!("uio{number}");
    let processes = fs::read_dir(proc).ok()?.flatten();
    processes
        .filter_map(|p| p.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != std::process::id())
        .find(|pid| {
            let open = fs::read_dir(proc.join(pid.to_string()).join("fd"));
            open.is_ok_and(|mut fds| fds.any(|fd| fd.is_ok_and(|fd| leads_to(&fd.path(), &node))))
        })
}

/// Whether a descriptor's link leads to the node. By its name, since containers have it at other
/// paths; but sysfs has directories of that name, which anybody may be looking at.
fn leads_to(link: &Path, node: &str) -> bool {
    fs::read_link(link).is_ok_and(|to| to.file_name().is_some_and(|n| n == node))
        && fs::metadata(link).map_or(true, |m| m.file_type().is_char_device())
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
fn silence(addr: PciAddr, config: &ConfigSpace, driver: UioDriver) -> Result<()> {
    if !config.command()?.contains(Command::BUS_MASTER) {
        return Ok(());
    }
    // igb_uio turns it on when it is bound, so there it says nothing.
    if driver != UioDriver::IgbUio {
        tracing::warn!(
            %addr,
            "bus mastering was on and goes off; a program that drives this NIC without locking \
             its resource0 stops working now"
        );
    }
    config.set_bus_master(false)?;
    config.wait_quiet()
}

/// Removes the memory files of dead processes. What could write to them?
///
/// * This device: nobody else has it, and it has no bus mastering.
/// * Another device of the dead process: the kernel turned its bus mastering off when it closed
///   the node, and `clean_stale` waits for all of that to be over. The write that does so is
///   answered only after what the device wrote before (PCI Express Base Specification 3.0, 2.4.1:
///   a completion does not pass posted writes). Should a child of the dead process still have the
///   node open, then it has the file open too, and the file's lock is not free.
/// * That device, opened again by another process: with us as below, with no DMA before a reset.
///   A driver that skips the reset is outside of what we can keep safe.
/// * Another device of the dead process that had no node: nobody turned its bus mastering off, so
///   that is looked for.
fn clean(dma: &PhysicalMap, sys: &Path, ours: PciAddr, supports: fn(u16, u16) -> bool) {
    let Backing::HugetlbFile { dir } = dma.ring_backing() else { return };
    if let Some(addr) = orphan(sys, ours, supports) {
        tracing::warn!(
            %addr,
            dir = %dir.display(),
            "memory files of killed processes stay: this NIC has bus mastering on, and nobody owns \
             it; open it too, or give it back to its kernel driver"
        );
        return;
    }
    match clean_stale(&dir) {
        Ok(0) => {}
        Ok(files) => tracing::info!(files, dir = %dir.display(), "removed stale memory files"),
        Err(error) => tracing::warn!(%error, "cannot look for stale memory files"),
    }
}

/// A device that may do DMA although no process has it: left behind without a UIO driver, though
/// it may have been bound to one since. A living owner has silenced it when it took it over.
fn orphan(sys: &Path, ours: PciAddr, supports: fn(u16, u16) -> bool) -> Option<PciAddr> {
    let entries = fs::read_dir(sys.join("bus/pci/devices")).ok()?.flatten();
    let addrs = entries.filter_map(|e| e.file_name().to_str()?.parse::<PciAddr>().ok());
    addrs.filter(|addr| *addr != ours).find(|addr| {
        let Ok(device) = PciDevice::find(sys, *addr) else { return false };
        let ids = device.ids();
        // igb_uio turns bus mastering on when it is bound.
        let left = matches!(bound(&device), Ok((UioDriver::Absent | UioDriver::Generic, _)));
        let mastering = || device.config()?.command().map(|c| c.contains(Command::BUS_MASTER));
        ids.is_ok_and(|(vendor, id)| supports(vendor, id))
            && left
            && mastering().unwrap_or(false)
            && lock_now(&device)
    })
}

/// Whether nobody has the device's lock.
fn lock_now(device: &PciDevice) -> bool {
    let file = OpenOptions::new().read(true).write(true).open(device.path("resource0"));
    file.is_ok_and(|file| try_lock(&file).unwrap_or(false))
}

/// What is lost without a UIO driver, and what to do about it.
fn warn_absent(addr: PciAddr) {
    tracing::warn!(
        %addr,
        "bound to no UIO driver: polling only, for there is no interrupt; and should this process \
         be killed, the NIC goes on writing to its memory files, which stay until it is opened \
         again (or reset); `scripts/bind uio {addr}` gives it a driver that stops it then"
    );
}

/// Maps BAR 0 from the locked file, so that the lock lasts as long as somebody can reach the
/// registers.
fn map_registers(device: &PciDevice, config: &ConfigSpace, file: &File) -> Result<MappedBar> {
    let addr = device.addr().to_string();
    let path = device.path("resource0");
    let state = |why: String| Error::State { why };
    // The kernel makes `resource0` as long as the BAR, so `resource` is not needed for more.
    let bar = match device.resource(0) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        other => other?,
    };
    if bar.is_some_and(|r| !r.is_memory()) {
        return Err(state(format!(
            "{addr} has no memory at BAR 0; rescan the PCI bus, and read the kernel log"
        )));
    }
    config.enable_memory()?;
    let size = file.metadata().map_err(|e| Error::io("look at", &path, e))?.len();
    let size = usize::try_from(size).map_err(|_| state(format!("BAR 0 of {addr} is too big")))?;
    let map: MmapRaw = match MmapOptions::new().len(size).map_raw(file) {
        Ok(map) => map,
        Err(e) => return Err(unmapped(device, &path, e)),
    };
    MappedBar::new(map, addr)
}

pub(super) fn unmapped(device: &PciDevice, path: &Path, e: io::Error) -> Error {
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

/// Resets the function, if the kernel knows how.
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
        // A plain file is nobody's node.
        if !meta.is_file() && (!meta.file_type().is_char_device() || parse_dev(&text) != Some(is)) {
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

fn is_char_device(node: &File) -> Result<bool> {
    let meta = node.metadata().map_err(|e| Error::io("look at", "the UIO node", e))?;
    Ok(meta.file_type().is_char_device())
}

/// What stands in for a node: an event counter that nobody counts up.
fn no_node() -> Result<File> {
    // SAFETY: opens a new descriptor.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(Error::io("make", "an eventfd", io::Error::last_os_error()));
    }
    // SAFETY: the descriptor is new and nobody else knows it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
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
