//! The interrupt line: INTx, as a kernel driver such as uio_pci_generic hands it on.
//!
//! It is asserted for as long as an unmasked cause is set (82599 datasheet 7.3.1.3.1, 82576
//! datasheet 7.3.3). When it is and the slot lets it through, an event is raised and the slot's
//! mask closes, as the kernel's handler does. Throttling (EITR) is not modelled, so a cause is
//! told at once; nor are messages (MSI, MSI-X).

use std::cell::Cell;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

use super::device::Device;
use super::drive::Drive;
use super::regs::RegFile;
use crate::error::{Error, Result};
use crate::poll::Event;
use crate::port::Line;

/// The slot's end of the line.
#[derive(Debug, Default)]
pub(super) struct Pin {
    /// Made for the first who wants to wait.
    event: OnceLock<Arc<Event>>,
    /// PCI Command bit 10.
    masked: AtomicBool,
}

impl Pin {
    /// Whoever waits wakes.
    fn raise(&self) {
        if let Some(event) = self.event.get() {
            event.raise();
        }
    }
}

impl Device {
    /// Changes interrupt causes or masks. Every such change goes through here, software's and the
    /// model's own, with or without the engine locked.
    pub(super) fn change_causes(&self, change: impl FnOnce(&RegFile)) {
        change(&self.regs);
        self.drive_line();
    }

    /// Hands the line on if it is asserted and let through.
    fn drive_line(&self) {
        // One thread sets a cause and looks at the masks, another opens a mask and looks at the
        // causes: at least one of them must see both.
        fence(Ordering::SeqCst);
        let open = || self.pin.event.get().is_some() && !self.pin.masked.load(Ordering::Relaxed);
        if open() && self.chip.asserts(&self.regs) && !self.pin.masked.swap(true, Ordering::AcqRel)
        {
            self.pin.raise();
        }
    }

    /// No register answers any more, and whoever waits for an interrupt learns it.
    pub(super) fn vanish(&self) {
        self.gone.store(true, Ordering::Release);
        self.pin.raise();
    }
}

/// Shortest and longest sleep between two calls of a NIC that moves only when it is called.
const NAPS: (Duration, Duration) = (Duration::from_micros(10), Duration::from_millis(1));

/// The line as its waiter sees it.
pub(super) struct SimLine {
    device: Arc<Device>,
    event: Arc<Event>,
    /// Grows while nothing moves.
    nap: Cell<Duration>,
}

impl std::fmt::Debug for SimLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimLine({})", self.device.name)
    }
}

impl SimLine {
    pub(super) fn new(device: Arc<Device>) -> Result<Self> {
        let event = match device.pin.event.get() {
            Some(event) => Arc::clone(event),
            None => {
                let new = Arc::new(Event::new()?);
                Arc::clone(device.pin.event.get_or_init(|| new))
            }
        };
        Ok(Self { device, event, nap: Cell::new(NAPS.0) })
    }

    fn check(&self) -> Result<()> {
        if self.device.is_gone() {
            let how = "the software NIC was removed".to_owned();
            return Err(Error::Gone { device: self.device.name.clone(), how });
        }
        Ok(())
    }
}

impl Line for SimLine {
    fn unmask(&self) -> Result<()> {
        self.check()?;
        self.device.pin.masked.store(false, Ordering::Relaxed);
        self.device.drive_line();
        Ok(())
    }

    fn take(&self) -> Result<bool> {
        // The event stays raised then, as a dead device's file stays readable.
        self.check()?;
        Ok(self.event.take())
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    fn run(&self) -> Option<Duration> {
        if self.device.drive != Drive::Inline {
            return None;
        }
        let (least, most) = NAPS;
        let nap = if self.device.try_step() { least } else { (self.nap.get() * 2).min(most) };
        self.nap.set(nap);
        Some(nap)
    }
}
