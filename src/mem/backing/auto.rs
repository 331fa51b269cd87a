//! Hugepages when there are some, else ordinary memory.

use std::sync::Once;

use super::{Mapping, anon, heap};
use crate::error::Result;

static NOTICE: Once = Once::new();

pub(super) fn map(len: usize, node: Option<u32>) -> Result<Mapping> {
    anon::map(len, node).or_else(|why| {
        NOTICE.call_once(|| {
            tracing::warn!(
                %why,
                "the software NIC runs on ordinary memory; reserve 2 MiB hugepages for speed"
            );
        });
        heap::map(len, node)
    })
}
