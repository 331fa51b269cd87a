//! The software NIC as a driver sees it: [`Bar`], [`Doorbell`] and [`Host`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::device::Device;
use super::drive::Drive;
use super::irq::SimLine;
use super::trace::Event;
use crate::error::{Error, Result};
use crate::mmio::{Bar, Doorbell};
use crate::port::{Host, Line};

/// The registers of a software NIC. Cheap to clone.
#[derive(Clone)]
pub struct SimBar(pub(super) Arc<Device>);

impl fmt::Debug for SimBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimBar({})", self.0.name)
    }
}

impl Bar for SimBar {
    type Bell = SimDoorbell;
    const SOFTWARE: bool = true;

    fn read32(&self, offset: u32) -> u32 {
        self.0.read(offset)
    }

    fn write32(&self, offset: u32, value: u32) {
        self.0.write(offset, value);
    }

    fn doorbell(&self, offset: u32) -> SimDoorbell {
        SimDoorbell { device: self.0.clone(), offset: self.0.regs.map.home(offset) }
    }

    fn now(&self) -> Duration {
        self.0.clock.now()
    }

    /// Costs no real time: the device's clock is put forward.
    fn delay(&self, time: Duration) {
        self.0.clock.advance(time);
        if self.0.drive != Drive::Step {
            std::thread::yield_now();
        }
    }

    fn name(&self) -> &str {
        &self.0.name
    }
}

/// One tail register of a software NIC.
pub struct SimDoorbell {
    device: Arc<Device>,
    offset: u32,
}

impl fmt::Debug for SimDoorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimDoorbell({}, {:#x})", self.device.name, self.offset)
    }
}

impl Doorbell for SimDoorbell {
    #[inline(always)]
    fn ring(&self, tail: u32) {
        self.device.ring(self.offset, tail);
    }
}

/// The slot that a software NIC sits in.
#[derive(Clone)]
pub struct SimHost(pub(super) Arc<Device>);

impl fmt::Debug for SimHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimHost({})", self.0.name)
    }
}

impl SimHost {
    fn gone(&self) -> Error {
        Error::Gone { device: self.0.name.clone(), how: "the software NIC was removed".to_owned() }
    }
}

impl Host for SimHost {
    fn set_bus_master(&self, on: bool) -> Result<()> {
        // An empty slot does no DMA, so switching it off succeeds.
        if on && self.0.is_gone() {
            return Err(self.gone());
        }
        self.0.set_bus_master(on);
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.0.is_gone() {
            return Err(self.gone());
        }
        let engine = self.0.engine();
        if engine.master_lost {
            return Err(Error::BusMasterLost { addr: self.0.name.clone() });
        }
        Ok(())
    }

    fn line(&self) -> Result<Box<dyn Line>> {
        Ok(Box::new(SimLine::new(self.0.clone())?))
    }

    fn numa_node(&self) -> Option<u32> {
        None
    }
}

impl Device {
    /// PCI Command bit 2. When this returns after `false`, no DMA is going on.
    pub(super) fn set_bus_master(&self, on: bool) {
        self.note(Event::BusMaster(on));
        let mut engine = self.engine();
        engine.bus_master = on;
        engine.master_lost = false;
    }

    /// Somebody else clears the bit, as closing a second /dev/uio does.
    pub(super) fn lose_bus_master(&self) {
        self.note(Event::BusMaster(false));
        let mut engine = self.engine();
        engine.master_lost = engine.bus_master;
        engine.bus_master = false;
    }
}
