//! What a driver asks of the bus that its device sits on.

use std::fmt;

use super::Line;
use crate::error::Result;

/// The bus side of a device: UIO's PCI config space on hardware, the model for the software NIC.
pub trait Host: Send + fmt::Debug {
    /// Lets the device do DMA, or stops it from doing any (PCI Command bit 2).
    ///
    /// # Errors
    /// When the config space cannot be written, or the bit does not read back.
    fn set_bus_master(&self, on: bool) -> Result<()>;

    /// Whether the device is still there and still ours: bound, bus mastering as it was set, and
    /// the memory that it was given where it was.
    ///
    /// # Errors
    /// [`Gone`](crate::Error::Gone), for good; [`BusMasterLost`](crate::Error::BusMasterLost)
    /// until the port is stopped; [`PageMoved`](crate::Error::PageMoved), with DMA off already.
    fn check(&self) -> Result<()>;

    /// The line that carries the device's interrupt.
    ///
    /// # Errors
    /// [`NoInterrupt`](crate::Error::NoInterrupt) with the reason why there is none.
    fn line(&self) -> Result<Box<dyn Line>>;

    /// NUMA node that the device is attached to, when known.
    fn numa_node(&self) -> Option<u32>;
}
