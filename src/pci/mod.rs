//! PCI devices as Linux shows them: addresses, config space, and the files below `/sys`.

mod addr;
mod capability;
mod config;
mod sysfs;
#[cfg(test)]
mod tests;

pub use addr::PciAddr;
pub use capability::Capability;
pub use config::{Command, ConfigSpace, Status};
pub use sysfs::{BarResource, IommuGroup, PciDevice};
