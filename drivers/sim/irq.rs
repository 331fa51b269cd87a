//! The interrupt line: INTx, as a kernel driver such as uio_pci_generic hands it on.
//!
//! It is asserted for as long as an unmasked cause is set (82599 datasheet 7.3.1.3.1, 82576
//! datasheet 7.3.3). When it is and the slot lets it through, an event is raised and the slot's
//! mask closes, as the kernel's handler does. Throttling (EITR) is not modelled, so a cause is
//! told at once; nor are messages (MSI, MSI-X).

use std::cell::Cell;
use std::fmt;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use super::device::Device;
use super::drive::Drive;
use super::regs::RegFile;
use crate::error::{Error, Result};
use crate::poll::Event;
use crate::port::Line;

/// Where the interrupts of a served NIC go.
///
/// Called with or without locks of the model held: it must neither block nor call the NIC.
pub trait InterruptSink: fmt::Debug + Send + Sync {
    /// INTx is asserted, and the slot lets it through. The slot's mask has closed.
    fn intx(&self);

    /// An MSI, by its number, or a vector of MSI-X.
    fn message(&self, vector: u16);
}

/// How the slot has enabled interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterruptMode {
    /// The line.
    Intx,
    /// So many messages.
    Msi {
        /// 1 to 32.
        vectors: u16,
    },
    /// So many vectors.
    Msix {
        /// 1 to 2,048.
        vectors: u16,
    },
}

/// The slot's end of the line.
#[derive(Debug, Default)]
pub(super) struct Pin {
    /// Made for the first who wants to wait.
    event: OnceLock<Arc<Event>>,
    /// Where a served NIC's interrupts go instead.
    sink: RwLock<Option<Arc<dyn InterruptSink>>>,
    served: AtomicBool,
    /// PCI Command bit 10.
    masked: AtomicBool,
}

impl Pin {
    /// Whoever waits wakes.
    fn raise(&self) {
        if let Some(event) = self.event.get() {
            event.raise();
        }
        if self.served.load(Ordering::Relaxed)
            && let Some(sink) = &*self.sink.read().unwrap_or_else(PoisonError::into_inner)
        {
            sink.intx();
        }
    }

    /// Whether anybody listens and is let through.
    fn is_open(&self) -> bool {
        let heard = self.event.get().is_some() || self.served.load(Ordering::Relaxed);
        heard && !self.masked.load(Ordering::Relaxed)
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
        if self.pin.is_open()
            && self.chip.asserts(&self.regs)
            && !self.pin.masked.swap(true, Ordering::AcqRel)
        {
            self.pin.raise();
        }
    }

    /// Where interrupts go from now on. When this returns, the old one hears nothing any more.
    pub(super) fn connect_interrupts(&self, sink: Option<Arc<dyn InterruptSink>>) {
        let mut slot = self.pin.sink.write().unwrap_or_else(PoisonError::into_inner);
        self.pin.served.store(sink.is_some(), Ordering::Relaxed);
        *slot = sink;
        drop(slot);
        self.drive_line();
    }

    /// The mode that the slot has enabled. Only the line is modelled.
    pub(super) fn set_interrupt_mode(&self, _mode: InterruptMode) {
        self.drive_line();
    }

    /// PCI Command bit 10, or the kernel's own mask.
    pub(super) fn mask_intx(&self, masked: bool) {
        self.pin.masked.store(masked, Ordering::Relaxed);
        self.drive_line();
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

impl fmt::Debug for SimLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        self.device.mask_intx(false);
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
