//! What knows a chip.

pub mod igb;
pub mod intel;
pub mod ixgbe;
pub mod sim;

use crate::error::Result;
use crate::pci::PciAddr;
use crate::port::{Control, Port};
use crate::uio::UioDevice;

/// What software NICs' names start with.
const SIM: &str = "sim:";

/// Opens a port by name: a PCI address such as `0000:03:00.0`, or a software NIC such as
/// `sim:82599`.
///
/// # Errors
/// [`Error::BadAddress`](crate::Error::BadAddress) when the name is neither; else whatever stands in the way.
pub fn open(name: &str) -> Result<Port> {
    if name.starts_with(SIM) {
        return sim::open(name);
    }
    let addr: PciAddr = name.parse()?;
    attach(UioDevice::open(addr, supports)?)
}

/// Whether a driver here knows the chip.
fn supports(vendor: u16, device: u16) -> bool {
    ixgbe::ids::find(vendor, device).is_some() || igb::ids::find(vendor, device).is_some()
}

/// Puts the driver for its chip on an opened device.
fn attach(device: UioDevice) -> Result<Port> {
    let (vendor, id) = device.ids();
    let (bar, dma) = (device.bar(), device.dma());
    let host = Box::new(device);
    let control: Box<dyn Control> = if igb::ids::find(vendor, id).is_some() {
        Box::new(igb::Igb::open(bar, host, dma, vendor, id)?)
    } else {
        Box::new(ixgbe::Ixgbe::open(bar, host, dma, vendor, id)?)
    };
    Ok(Port::from_control(control))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn names_that_are_no_port_are_refused_as_such() {
        for name in ["", "eth0", "03:00", "0000:03:00.9", "simulator", "Sim:82599"] {
            assert!(matches!(open(name), Err(Error::BadAddress { .. })), "{name}");
        }
    }

    #[test]
    fn chips_are_known_by_vendor_and_device() {
        assert!(supports(0x8086, 0x10fb) && supports(0x8086, 0x10c9));
        assert!(!supports(0x10fb, 0x8086) && !supports(0x8086, 0x1234));
    }

    /// Registers that keep what is written to them: a reset that never ends.
    #[test]
    fn a_chip_that_does_not_answer_is_given_back_silent() {
        let fake = crate::uio::tests::Fake::new("uio_pci_generic");
        let device = fake.open().unwrap();
        match attach(device) {
            Err(Error::Timeout { register: "CTRL", .. }) => {}
            other => panic!("{other:?}"),
        }
        let again = fake.open().unwrap();
        again.config().command().map(|c| assert_eq!(c.0 & 4, 0)).unwrap();
    }

    #[test]
    fn an_address_without_a_device_is_named() {
        match open("ffff:ff:1f.7") {
            Err(Error::NoDevice { addr }) => assert_eq!(addr, "ffff:ff:1f.7"),
            other => panic!("{other:?}"),
        }
    }
}
