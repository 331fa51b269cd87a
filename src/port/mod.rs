//! A port: one NIC, its configuration, its queues, its counters.
//!
//! A [`Port`] is the control side. [`Control::start`] hands the queues out **by value**: each
//! [`RxQueue`] and [`TxQueue`] can be moved to its own thread, and none can be used from two.

use std::fmt;

mod config;
mod host;
mod irq;
mod lifeline;
mod path;
mod queue;
mod stats;

pub use config::{FlowControl, MacAddr, PortConfig, RSS_KEY_SYMMETRIC, RssConfig};
pub use host::Host;
pub use irq::{Causes, Line, RxInterrupt};
pub(crate) use lifeline::Lifeline;
pub use path::{DataPath, PathChoice};
pub use queue::{QueueRx, QueueTx, RxQueue, TxQueue};
pub use stats::{PortStats, RxQueueStats, TxQueueStats};

use crate::error::Result;
use crate::pool::Mempool;

/// What a port is and what its chip can do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortInfo {
    /// PCI address or software-NIC string.
    pub name: String,
    /// Driver family: `ixgbe` or `igb`.
    pub driver: &'static str,
    /// Chip, e.g. `82599ES`.
    pub chip: &'static str,
    /// Most receive queues.
    pub max_rx_queues: u16,
    /// Most transmit queues.
    pub max_tx_queues: u16,
    /// Descriptors a ring may have: lowest and highest; always a multiple of 8.
    pub ring_sizes: (u16, u16),
    /// Largest MTU in bytes (without the Ethernet header and CRC).
    pub max_mtu: u16,
    /// Entries of the RSS redirection table.
    pub reta_size: u16,
    /// NUMA node the device is attached to, when known.
    pub numa_node: Option<u32>,
}

impl PortInfo {
    /// An empty description, for a driver to fill in.
    pub(crate) fn new(name: impl Into<String>, driver: &'static str, chip: &'static str) -> Self {
        Self {
            name: name.into(),
            driver,
            chip,
            max_rx_queues: 1,
            max_tx_queues: 1,
            ring_sizes: (64, 4096),
            max_mtu: 1500,
            reta_size: 128,
            numa_node: None,
        }
    }
}

/// Link state as the NIC sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkStatus {
    /// Whether frames can flow.
    pub up: bool,
    /// Speed in Mbit/s; 0 when down.
    pub speed_mbps: u32,
    /// Full duplex.
    pub full_duplex: bool,
}

impl LinkStatus {
    /// No link.
    pub const DOWN: Self = Self { up: false, speed_mbps: 0, full_duplex: false };
}

impl fmt::Display for LinkStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.up {
            return f.write_str("down");
        }
        let duplex = if self.full_duplex { "full" } else { "half" };
        if self.speed_mbps >= 1000 {
            write!(f, "up {} Gbit/s {duplex} duplex", f64::from(self.speed_mbps) / 1000.0)
        } else {
            write!(f, "up {} Mbit/s {duplex} duplex", self.speed_mbps)
        }
    }
}

/// One line of a register dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegValue {
    /// Datasheet name.
    pub name: &'static str,
    /// Element of an array register.
    pub index: u32,
    /// Byte offset in the BAR.
    pub offset: u32,
    /// What it read.
    pub value: u32,
}

/// The control side of a NIC driver. Applications use it through [`Port`].
pub trait Control: Send + fmt::Debug {
    /// What the port is.
    fn info(&self) -> &PortInfo;
    /// The MAC address in use.
    fn mac(&self) -> MacAddr;
    /// Replaces the MAC address that the receive filter accepts.
    ///
    /// # Errors
    /// [`Config`](crate::Error::Config) for a multicast or zero address.
    fn set_mac(&mut self, mac: MacAddr) -> Result<()>;
    /// Resets and programs the NIC and hands out its queues.
    ///
    /// # Errors
    /// [`State`](crate::Error::State) when it runs already or queues of an earlier start are
    /// still alive; any other when bring-up fails, and the NIC is then quiet.
    fn start(&mut self, cfg: &PortConfig, pool: &Mempool) -> Result<Queues>;
    /// Makes another pool's buffers sendable on this port.
    ///
    /// # Errors
    /// When the device cannot reach that memory.
    fn attach(&mut self, pool: &Mempool) -> Result<()>;
    /// Stops DMA and leaves the NIC quiet: mask, disable queues, master disable, bus mastering
    /// off, reset. Does nothing when stopped.
    ///
    /// # Errors
    /// When a step did not finish in time; all later steps are carried out all the same.
    fn stop(&mut self) -> Result<()>;
    /// The receive interrupt of a started port: one for all its queues, for one worker to sleep on.
    /// While it is alive there is no second one, and the port cannot be started again, as with the
    /// queues.
    ///
    /// # Errors
    /// [`State`](crate::Error::State) when stopped or when it is taken; [`NoInterrupt`](crate::Error::NoInterrupt) with
    /// the reason when there is none: use polling.
    fn interrupt(&mut self) -> Result<RxInterrupt>;
    /// Link state now.
    ///
    /// # Errors
    /// [`Gone`](crate::Error::Gone) when the device has vanished.
    fn link(&mut self) -> Result<LinkStatus>;
    /// Receives every frame, whatever its destination.
    ///
    /// # Errors
    /// [`Gone`](crate::Error::Gone) when the device has vanished.
    fn set_promiscuous(&mut self, on: bool) -> Result<()>;
    /// Receives every multicast frame.
    ///
    /// # Errors
    /// [`Gone`](crate::Error::Gone) when the device has vanished.
    fn set_allmulticast(&mut self, on: bool) -> Result<()>;
    /// Reads the hardware counters and adds them up since the start.
    ///
    /// # Errors
    /// [`Gone`](crate::Error::Gone) when the device has vanished; faults that the software NIC
    /// recorded come out here as [`Device`](crate::Error::Device).
    fn stats(&mut self) -> Result<PortStats>;
    /// Reads every register of the table that can be read without side effects.
    fn registers(&self) -> Vec<RegValue>;
}

/// The queues that a started port hands out.
#[derive(Debug)]
pub struct Queues {
    /// Receive queues, in order.
    pub rx: Vec<RxQueue>,
    /// Transmit queues, in order.
    pub tx: Vec<TxQueue>,
}

/// One NIC, opened.
///
/// Dropping a port stops it. Leaking one is sound: what DMA reaches is owned by the port.
#[derive(Debug)]
pub struct Port {
    control: Box<dyn Control>,
}

impl Port {
    /// Opens a NIC by PCI address (`0000:03:00.0`) or a software NIC by string
    /// (`sim:82599?wire=loopback`). See [`crate::drivers`] for the strings.
    ///
    /// # Errors
    /// Whatever stands in the way, with what to do about it. A NIC that is refused is untouched; one
    /// that fails to come up ([`Timeout`](crate::Error::Timeout), [`Eeprom`](crate::Error::Eeprom),
    /// [`Gone`](crate::Error::Gone)) was halted and does no DMA.
    pub fn open(name: &str) -> Result<Self> {
        crate::drivers::open(name)
    }

    /// Wraps a driver.
    pub fn from_control(control: Box<dyn Control>) -> Self {
        Self { control }
    }
}

impl std::ops::Deref for Port {
    type Target = dyn Control;
    fn deref(&self) -> &Self::Target {
        &*self.control
    }
}

impl std::ops::DerefMut for Port {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.control
    }
}
