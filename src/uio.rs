//! A NIC bound to `uio_pci_generic` or `igb_uio`, or to nothing.
//!
//! The kernel clears bus mastering when a `/dev/uioN` is closed: with `uio_pci_generic` at every
//! close, so that a second process that opens and closes the node stops the first one's DMA. So
//! the node is opened once and held for life, the owner is found out with a lock on `resource0`
//! instead, and [`Host::check`] notices when somebody did it all the same.
//!
//! When a process is killed, its descriptors are closed from the highest down, and memory files
//! must stay until the NIC is silenced. So the node's descriptor is moved up to 512 or above.
//!
//! A NIC bound to nothing is driven by its registers and config space alone. It has no interrupt,
//! and nobody silences it when its process is killed: its memory must outlive the process (files
//! in a hugetlbfs), and stays until the next owner of every such NIC has silenced it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::mem::PhysicalMap;
use crate::mmio::MappedBar;
use crate::pci::{Command, ConfigSpace, PciAddr, PciDevice};
use crate::poll::{LONGEST, pollfd, ppoll};
use crate::port::{Host, Line};

mod take;
#[cfg(test)]
pub(crate) mod tests;

use take::Roots;

/// The X550's INTx status bit does not work (Intel X550 specification update, and the reason why
/// vfio-pci hides the pin), so the kernel would take its interrupts for somebody else's.
const X550: (u16, u16) = (0x8086, 0x1563);

/// Which kernel driver is behind the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UioDriver {
    /// In every kernel; INTx only; no way to mask but config space.
    Generic,
    /// Out of tree; one vector of MSI-X, MSI or INTx; masked by writing to the node.
    IgbUio,
    /// None: registers and config space only. No interrupt, and nobody stops the NIC's DMA when
    /// its process is killed.
    Absent,
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
            UioDriver::Absent => "no driver",
        }
    }
}

/// Which node it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    number: u32,
    /// Of the node's directory in sysfs.
    birth: u64,
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
    /// The node; without a UIO driver, a file of our own that nothing ever happens on.
    node: File,
    driver: UioDriver,
    place: Option<Place>,
    ids: (u16, u16),
    has_intx: bool,
    /// Whether the node was free of errors when it was opened. One without an interrupt line
    /// never is.
    has_line: bool,
    /// Bus mastering as the driver set it.
    mastering: AtomicBool,
    /// How it was lost. For good: what has its place now is not ours.
    lost: OnceLock<String>,
    config: ConfigSpace,
    bar: MappedBar,
    dma: Arc<PhysicalMap>,
    device: PciDevice,
    /// `resource0`, locked. The mapping in `bar` keeps the lock too.
    _lock: File,
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
        let roots = Roots { sys: "/sys".into(), dev: "/dev".into(), proc: "/proc".into() };
        Self::open_in(&roots, addr, supports, PhysicalMap::new)
    }

    /// Its address.
    pub fn addr(&self) -> PciAddr {
        self.inner.device.addr()
    }

    /// Vendor and device id.
    pub fn ids(&self) -> (u16, u16) {
        self.inner.ids
    }

    /// The UIO driver that it is bound to, if any.
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
        let why = if inner.driver == UioDriver::Absent {
            "it is bound to no UIO driver that would hand its interrupts on; `scripts/bind uio` \
             binds it"
        } else if generic && inner.ids == X550 {
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
        let timeout = timeout.min(LONGEST);
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
            // Refused above.
            UioDriver::Absent => Ok(()),
        }
    }

    /// What an error of a node that used to work means.
    fn unbound(&self) -> Error {
        let inner = &*self.inner;
        inner.still_ours().err().unwrap_or_else(|| inner.lose("its UIO node died".to_owned()))
    }

    fn io(&self, what: &str, source: io::Error) -> Error {
        let number = self.inner.place.map(|p| p.number).unwrap_or_default();
        Error::io(what, format!("/dev/uio{number}"), source)
    }
}

impl Inner {
    /// Whether sysfs still shows the device, its driver and the node as they were. Once a kernel
    /// driver has the device, its config space and registers must be left alone.
    fn still_ours(&self) -> Result<()> {
        if let Some(how) = self.lost.get() {
            return Err(self.gone(how));
        }
        match self.loss()? {
            None => Ok(()),
            Some(how) => Err(self.lose(how)),
        }
    }

    fn loss(&self) -> Result<Option<String>> {
        let name = self.driver.name();
        if !self.device.exists() {
            return Ok(Some("it was removed".to_owned()));
        }
        let Some(place) = self.place else {
            return Ok(self.device.driver()?.map(|taker| format!("it was bound to {taker}")));
        };
        if self.device.driver()?.as_deref() != Some(name) {
            return Ok(Some(format!("it was unbound from {name}")));
        }
        // Bound again, perhaps even with the same number: our node stays dead.
        let same = self.device.uio()? == Some(place.number)
            && take::birth(&self.device, place.number).is_ok_and(|b| b == place.birth);
        Ok((!same || self.dead()).then(|| format!("it was unbound from {name} for a while")))
    }

    /// Lets go of a device that is no longer ours. The kernel would leave some mappings of its
    /// registers in place.
    fn lose(&self, how: String) -> Error {
        self.bar.sever();
        self.gone(self.lost.get_or_init(|| how))
    }

    /// Turns bus mastering off, unless the device is known to be another's by now. That it cannot
    /// be found out (no descriptor left to list a directory with) is no reason to let DMA go on.
    fn stop_dma(&self) -> Result<()> {
        if let Err(gone @ Error::Gone { .. }) = self.still_ours() {
            return Err(gone);
        }
        self.mastering.store(false, Ordering::Relaxed);
        self.config.set_bus_master(false)
    }

    /// Better no DMA than DMA into somebody else's memory.
    fn check_memory(&self) -> Result<()> {
        let Err(moved) = self.dma.verify() else { return Ok(()) };
        if let Err(error) = self.config.set_bus_master(false) {
            tracing::error!(addr = %self.device.addr(), %error, "cannot stop DMA to a moved page");
        }
        Err(moved)
    }

    /// Whether the node, which used to work, is in error.
    fn dead(&self) -> bool {
        self.lost.get().is_some()
            || self.has_line && in_error(poll(self.node.as_fd(), Duration::ZERO).unwrap_or(0))
    }

    fn gone(&self, how: &str) -> Error {
        Error::Gone { device: self.device.addr().to_string(), how: how.to_owned() }
    }
}

impl AsFd for UioDevice {
    /// For an event loop. Without an [`interrupt`](UioDevice::interrupt) to wait for, it is of no
    /// use. When it reports an error condition, [`wait`](UioDevice::wait) tells
    /// which; it would report it again at once.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.node.as_fd()
    }
}

impl Host for UioDevice {
    fn set_bus_master(&self, on: bool) -> Result<()> {
        let inner = &*self.inner;
        if !on {
            return inner.stop_dma();
        }
        inner.still_ours()?;
        inner.check_memory()?;
        inner.config.set_bus_master(true)?;
        inner.mastering.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let inner = &*self.inner;
        inner.still_ours()?;
        let command = inner.config.command()?;
        inner.check_memory()?;
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

    fn take(&self) -> Result<bool> {
        Ok(self.wait(Duration::ZERO)?.is_some())
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        match self.stop_dma() {
            // The kernel turns it off when it takes a device away.
            Ok(()) | Err(Error::Gone { .. }) => {}
            Err(error) => {
                tracing::error!(addr = %self.device.addr(), %error, "cannot turn bus mastering off");
            }
        }
    }
}

fn in_error(events: libc::c_short) -> bool {
    events & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0
}

/// What happened on `fd` within `timeout`; 0 when nothing did.
fn poll(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<libc::c_short> {
    let mut entry = pollfd(fd);
    ppoll(std::slice::from_mut(&mut entry), timeout)?;
    Ok(entry.revents)
}
