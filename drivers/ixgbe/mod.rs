//! The driver for the Intel 82599, X520, X540 and X550 10 GbE controllers.
//!
//! Section numbers are those of the "82599 10 GbE Controller Datasheet"; X540 and X550 keep its
//! programming model and differ where [`regs`] and the device table say so.
//!
//! [`Ixgbe`] is the control side. The packet path is the ring engine's
//! ([`intel`](super::intel)); this driver gives it its rings and registers.
#![forbid(unsafe_code)]

use std::sync::Arc;

mod bring_up;
mod eeprom;
mod filter;
mod flow;
pub mod ids;
mod irq;
mod link;
pub mod regs;
mod reset;
mod rss;
mod rx_init;
mod stats;
mod tx_init;
mod wait;

#[cfg(test)]
mod tests;

use self::bring_up::Running;
use self::filter::Accept;
use self::ids::Chip;
use self::stats::Counters;
use super::intel::Flavor;
use crate::error::{Error, Result};
use crate::mem::DmaMap;
use crate::mmio::Bar;
use crate::pool::Mempool;
use crate::port::{
    Control, Host, Lifeline, LinkStatus, MacAddr, PortConfig, PortInfo, PortStats, Queues, RegValue,
};

/// Longest MTU: frames of 9,728 bytes with two VLAN tags and CRC, what all these chips are
/// validated for.
const MAX_MTU: u16 = 9728 - 14 - 8 - 4;

/// Where ixgbe descriptors differ from igb ones.
#[derive(Debug)]
pub struct IxgbeFlavor;

impl Flavor for IxgbeFlavor {
    /// RXE, bit 29 (7.1.6.2).
    const RX_DAMAGED: u64 = 1 << 29;
    /// L4E and IPE, bits 30 and 31.
    const RX_CHECKSUM_ERRORS: u32 = 30;
    const UDP_ERROR_UNRELIABLE: bool = true;
}

/// One opened port.
#[derive(Debug)]
pub struct Ixgbe<B: Bar> {
    bar: B,
    host: Box<dyn Host>,
    dma: Arc<dyn DmaMap>,
    chip: &'static Chip,
    info: PortInfo,
    mac: MacAddr,
    accept: Accept,
    counters: Counters,
    /// Shared with the queues of the last start.
    life: Option<Arc<Lifeline>>,
    running: Option<Running>,
}

impl<B: Bar> Ixgbe<B> {
    /// Identifies the controller, stops whatever it was doing, resets it and reads its address.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a device that is not in [`ids::CHIPS`]; [`Error::Gone`],
    /// [`Error::Timeout`] and [`Error::Eeprom`] when it does not come up.
    pub fn open(
        bar: B,
        host: Box<dyn Host>,
        dma: Arc<dyn DmaMap>,
        vendor: u16,
        device: u16,
    ) -> Result<Self> {
        let chip = ids::find(vendor, device).ok_or_else(|| Error::Unsupported {
            addr: bar.name().to_owned(),
            vendor,
            device,
        })?;
        let mut info = PortInfo::new(bar.name(), "ixgbe", chip.name);
        info.max_rx_queues = rss::MAX_QUEUES;
        info.max_tx_queues = tx_init::MAX_QUEUES;
        info.max_mtu = MAX_MTU;
        info.reta_size = rss::RETA_SIZE;
        info.numa_node = host.numa_node();
        bring_up::quiesce(&bar, &*host, chip)?;
        eeprom::verify(&bar, chip.family)?;
        let mac = eeprom::mac(&bar)?;
        Ok(Self {
            bar,
            host,
            dma,
            chip,
            info,
            mac,
            accept: Accept::default(),
            counters: Counters::default(),
            life: None,
            running: None,
        })
    }

    /// The device's registers.
    pub fn bar(&self) -> &B {
        &self.bar
    }

    /// Writes address and acceptance through to a running device.
    fn refilter(&mut self) -> Result<()> {
        if self.running.is_some() {
            wait::check_alive(&self.bar)?;
            filter::reprogram(&self.bar, self.mac, self.accept);
            wait::check_alive(&self.bar)?;
        }
        Ok(())
    }
}

impl<B: Bar> Control for Ixgbe<B> {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    fn mac(&self) -> MacAddr {
        self.mac
    }

    fn set_mac(&mut self, mac: MacAddr) -> Result<()> {
        if !mac.is_station() {
            return Err(Error::config("MAC address", mac, "a unicast address that is not zero"));
        }
        self.mac = mac;
        self.refilter()
    }

    fn start(&mut self, cfg: &PortConfig, pool: &Mempool) -> Result<Queues> {
        self.bring_up(cfg, pool)
    }

    fn attach(&mut self, pool: &Mempool) -> Result<()> {
        match &self.running {
            Some(running) => running.attach(pool),
            None => Err(Error::State {
                why: "start the port first; a stopped port reaches no memory".to_owned(),
            }),
        }
    }

    fn stop(&mut self) -> Result<()> {
        self.bring_down()
    }

    fn link(&mut self) -> Result<LinkStatus> {
        link::status(&self.bar, self.chip)
    }

    fn set_promiscuous(&mut self, on: bool) -> Result<()> {
        self.accept.promiscuous = on;
        self.refilter()
    }

    fn set_allmulticast(&mut self, on: bool) -> Result<()> {
        self.accept.allmulticast = on;
        self.refilter()
    }

    fn stats(&mut self) -> Result<PortStats> {
        if self.running.is_some() {
            self.host.check()?;
            self.counters.update(&self.bar)?;
        }
        Ok(self.counters.report())
    }

    fn registers(&self) -> Vec<RegValue> {
        let safe = regs::table().filter(|r| regs::safe_to_read(r));
        safe.flat_map(|r| {
            (0..r.count).map(|index| {
                let offset = r.offset_of(index);
                RegValue { name: r.name, index, offset, value: self.bar.read32(offset) }
            })
        })
        .collect()
    }
}

impl<B: Bar> Drop for Ixgbe<B> {
    fn drop(&mut self) {
        if let Err(e) = self.bring_down() {
            tracing::warn!(device = self.bar.name(), "stopping on drop: {e}");
        }
    }
}
