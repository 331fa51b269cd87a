//! Software NICs as PCI devices of a virtual machine.

mod config_space;
#[cfg(feature = "vfio-user")]
mod crate_server;
#[cfg(feature = "vfio-user")]
mod eventfds;
#[cfg(feature = "vfio-user")]
mod function;
#[cfg(feature = "vfio-user")]
mod memory;
#[cfg(feature = "vfio-user")]
mod message;
#[cfg(feature = "vfio-user")]
mod server;
#[cfg(feature = "vfio-user")]
mod session;
#[cfg(feature = "vfio-user")]
mod socket;

pub use config_space::{BarLayout, ConfigSpace, PciIdentity, Slot};
#[cfg(feature = "vfio-user")]
pub use server::{ClientEvent, SoftNic};
