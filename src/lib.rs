//! Barewire: a userspace poll-mode driver for Intel 10 GbE and 1 GbE NICs.

pub mod arch;
#[path = "../drivers/mod.rs"]
pub mod drivers;
pub mod error;
pub mod mem;
pub mod mmio;
pub mod pcap;
pub mod pci;
pub mod poll;
pub mod pool;
pub mod port;
pub(crate) mod tap;
pub mod uio;

pub use error::{Error, Result};
pub use pool::{Batch, Mbuf, Mempool, PoolCache};
pub use port::{Port, PortConfig, RxQueue, TxQueue};
