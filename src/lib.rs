//! Barewire: a userspace poll-mode driver for Intel ixgbe (82599, X520, X540, X550) and igb (82576,
//! 82580, I350, I210) NICs that also runs, is tested and is measured with no NIC at all.
//!
//! Open a [`Port`] by PCI address or as a software NIC, start it with a packet-buffer pool, and
//! get its queues by value: each can be moved to its own thread. Packets ([`Mbuf`]) own their
//! buffers and move in [`Batch`]es.
//!
//! Two software 82599s and a cable between them, a burst from one to the other:
//!
//! ```
//! use barewire::{Batch, Mempool, Port, PortConfig, pool::PoolConfig};
//!
//! let pool = Mempool::new(&PoolConfig { count: 2048, ..PoolConfig::default() })?;
//! let mut cache = pool.cache();
//! let mut left = Port::open("sim:82599?wire=cable:front-page")?;
//! let mut right = Port::open("sim:82599?wire=cable:front-page")?;
//! let mut tx = left.start(&PortConfig::default(), &pool)?.tx.remove(0);
//! let mut rx = right.start(&PortConfig::default(), &pool)?.rx.remove(0);
//!
//! let mut batch = Batch::new(32);
//! cache.alloc_batch(&mut batch, 32);
//! for packet in batch.iter_mut() {
//!     packet.append(&[0xff; 12])?; // to everybody, from nobody in particular
//!     packet.append(&[0x88, 0xb5])?; // the experimental EtherType
//!     packet.append(&[0; 46])?;
//! }
//! while !batch.is_empty() {
//!     tx.tx_burst(&mut cache, &mut batch);
//! }
//! let mut received = Batch::new(32);
//! for _ in 0..1000 {
//!     rx.rx_burst(&mut cache, &mut received);
//! }
//! assert_eq!(received.len(), 32);
//! assert!(received.iter().all(|p| p.data()[12..14] == [0x88, 0xb5]));
//! # Ok::<(), barewire::Error>(())
//! ```
//!
//! The same program runs on hardware with two PCI addresses. `docs/architecture.md` in the
//! repository shows how it is built, `docs/soundness.md` why the safe API is safe.

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
