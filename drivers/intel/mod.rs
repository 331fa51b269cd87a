//! What ixgbe and igb share: descriptor layouts, the ring engine, and the control side of a port.
//!
//! Receive harvests runs of plain descriptors (done, the whole packet, undamaged, a length that
//! fits) in one tight loop; what is not plain goes one by one through a slow path. Transmit posts
//! runs of plain packets, asks for a completion report every 64 descriptors and rings the doorbell
//! once per burst.

use std::fmt::Debug;
use std::sync::Arc;

pub(crate) mod access;
mod control;
mod counters;
mod desc;
pub(crate) mod nvm;
mod path;
pub(crate) mod rss;
mod rx;
mod tx;

#[cfg(test)]
pub(crate) mod tests;

pub use control::{Accept, Halt, IntelPort, Silicon};
pub use counters::Counters;
pub(crate) use counters::Sums;
pub use desc::{RxDesc, TxDesc};
pub use rx::RxRing;
pub use tx::TxRing;

use crate::error::{Error, Result};
use crate::mem::{DmaSpace, RingMem};
use crate::mmio::Bar;
use crate::pool::Mempool;
use crate::port::{Lifeline, PathChoice};

/// Where the families differ in what the ring engine looks at.
pub trait Flavor: Debug + Send + Sync + 'static {
    /// Receive status word: the MAC found the frame damaged.
    const RX_DAMAGED: u64;
    /// Receive status word: lowest bit of the pair (L4 error, IP error).
    const RX_CHECKSUM_ERRORS: u32;
    /// Whether a UDP checksum error may be a lie, because the chip calls UDP's "no checksum" (a
    /// zero field) wrong (82599 specification update, erratum 44).
    const UDP_ERROR_UNRELIABLE: bool;
}

/// What a ring is made from.
#[derive(Debug)]
pub(crate) struct QueueSetup<'a, B: Bar> {
    /// The device.
    pub(crate) bar: &'a B,
    /// The descriptors.
    pub(crate) ring: RingMem,
    /// BAR offset of RDT or TDT.
    pub(crate) tail: u32,
    /// The pool that receive buffers come from.
    pub(crate) pool: &'a Mempool,
    /// The device's view of memory; `pool` is attached to it.
    pub(crate) space: &'a Arc<DmaSpace>,
    /// Who keeps the buffers when the queue goes away first.
    pub(crate) life: &'a Arc<Lifeline>,
    /// Longest frame without CRC, in bytes.
    pub(crate) max_frame: u16,
    /// VLAN tags are taken out of received frames.
    pub(crate) vlan_strip: bool,
    /// The code that carries packets.
    pub(crate) path: PathChoice,
}

impl<B: Bar> QueueSetup<'_, B> {
    /// The device address of each of the pool's chunks.
    fn chunks(&self) -> Result<Box<[u64]>> {
        let mem = self.pool.mem();
        let chunks = mem.first_chunk()..mem.first_chunk() + mem.chunks();
        let mapped: Option<Box<[u64]>> = chunks.map(|c| self.space.chunk(c)).collect();
        mapped.ok_or_else(|| Error::State {
            why: "the pool must be attached to the port before its queues are made".to_owned(),
        })
    }
}

/// Descriptors between two completion reports, two tail writes of a refill, two refills.
pub(crate) const STRIDE: usize = 64;

/// A smaller stride for rings that are too short for [`STRIDE`].
fn stride(size: usize) -> usize {
    STRIDE.min(size / 4).max(1)
}
