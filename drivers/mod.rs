//! What knows a chip.

pub mod intel;
pub mod ixgbe;
pub mod sim;

use crate::error::{Error, Result};
use crate::pci::PciAddr;
use crate::port::Port;
use crate::uio::UioDevice;

/// What software NICs' names start with.
const SIM: &str = "sim:";

/// Opens a port by name: a PCI address such as `0000:03:00.0`, or a software NIC such as
/// `sim:82599`.
///
/// # Errors
/// [`Error::BadAddress`] when the name is neither; else whatever stands in the way.
pub fn open(name: &str) -> Result<Port> {
    if name.starts_with(SIM) {
        return Err(Error::BadAddress {
            given: name.to_owned(),
            why: "no software NIC is built in".to_owned(),
        });
    }
    let addr: PciAddr = name.parse()?;
    attach(UioDevice::open(addr, supports)?)
}

/// Whether a driver here knows the chip.
fn supports(vendor: u16, device: u16) -> bool {
    let _ = (vendor, device);
    false
}

/// Puts the driver for its chip on an opened device.
fn attach(device: UioDevice) -> Result<Port> {
    let (vendor, id) = device.ids();
    Err(Error::Unsupported { addr: device.addr().to_string(), vendor, device: id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_port_are_refused_as_such() {
        for name in ["", "eth0", "03:00", "0000:03:00.9", "simulator", "Sim:82599"] {
            assert!(matches!(open(name), Err(Error::BadAddress { .. })), "{name}");
        }
    }

    #[test]
    fn an_address_without_a_device_is_named() {
        match open("ffff:ff:1f.7") {
            Err(Error::NoDevice { addr }) => assert_eq!(addr, "ffff:ff:1f.7"),
            other => panic!("{other:?}"),
        }
    }
}
