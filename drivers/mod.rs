//! What knows a chip.

pub mod sim;
pub mod intel;

use crate::error::{Error, Result};
use crate::port::Port;

/// Opens a port by name.
///
/// # Errors
/// [`Error::BadAddress`].
pub fn open(name: &str) -> Result<Port> {
    Err(Error::BadAddress { given: name.to_owned(), why: "nothing is supported yet".to_owned() })
}
