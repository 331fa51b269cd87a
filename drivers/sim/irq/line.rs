//! The line as its waiter in this process sees it.

use std::cell::Cell;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use crate::drivers::sim::device::Device;
use crate::drivers::sim::drive::Drive;
use crate::error::{Error, Result};
use crate::poll::Event;
use crate::port::Line;

/// Shortest and longest sleep between two calls of a NIC that moves only when it is called.
const NAPS: (Duration, Duration) = (Duration::from_micros(10), Duration::from_millis(1));

/// See the module's documentation.
pub(in crate::drivers::sim) struct SimLine {
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
    pub(in crate::drivers::sim) fn new(device: Arc<Device>) -> Result<Self> {
        let event = device.line_event()?;
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
