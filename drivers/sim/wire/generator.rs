//! Not built yet.

use super::{Options, Wire, WireContext};
use crate::error::{Error, Result};

/// Opens one.
pub(super) fn open(options: &Options, _ctx: &WireContext<'_>) -> Result<Box<dyn Wire>> {
    Err(Error::config("wire generator", options.name(), "not built yet"))
}
