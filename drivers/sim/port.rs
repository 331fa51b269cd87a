//! A software NIC as a [`Port`]: the real driver on the model's registers, and what only a model
//! can do, running itself and telling what went wrong.

use std::sync::Arc;

use super::chip::Family;
use super::device::Device;
use super::drive::Drive;
use super::engine::{BATCH, Way};
use super::nic::SimNic;
use super::stats::Truth;
use crate::drivers::igb::Igb;
use crate::drivers::ixgbe::Ixgbe;
use crate::error::{Error, Result};
use crate::pool::{Batch, Mempool, PoolCache};
use crate::port::{
    Control, LinkStatus, MacAddr, PathChoice, Port, PortConfig, PortInfo, PortStats, QueueRx,
    QueueTx, Queues, RegValue, RxInterrupt, RxQueue, RxQueueStats, TxQueue, TxQueueStats,
};

/// Intel.
const VENDOR: u16 = 0x8086;

/// The port of a software NIC.
#[derive(Debug)]
struct SimPort {
    inner: Box<dyn Control>,
    nic: SimNic,
    /// Frames filtered before the last start.
    filtered: u64,
}

impl SimNic {
    /// Opens the driver on this NIC.
    ///
    /// # Errors
    /// What the driver's own open meets.
    pub fn open_port(&self) -> Result<Port> {
        let host = Box::new(self.host());
        let id = self.device().chip.pci_id();
        let (bar, dma) = (self.bar(), self.iommu());
        let inner: Box<dyn Control> = match self.device().model.family() {
            Family::Ixgbe => Box::new(Ixgbe::open(bar, host, dma, VENDOR, id)?),
            Family::Igb => Box::new(Igb::open(bar, host, dma, VENDOR, id)?),
        };
        Ok(Port::from_control(Box::new(SimPort { inner, nic: self.clone(), filtered: 0 })))
    }
}

impl SimPort {
    fn truth(&self) -> Truth {
        self.nic.truth()
    }
}

impl Control for SimPort {
    fn info(&self) -> &PortInfo {
        self.inner.info()
    }

    fn mac(&self) -> MacAddr {
        self.inner.mac()
    }

    fn set_mac(&mut self, mac: MacAddr) -> Result<()> {
        self.inner.set_mac(mac)
    }

    fn start(&mut self, cfg: &PortConfig, pool: &Mempool) -> Result<Queues> {
        self.filtered = self.truth().filtered;
        let queues = self.inner.start(cfg, pool)?;
        if self.nic.device().drive != Drive::Step {
            // The model takes up its configuration now, so that pause frames, say, work before
            // the first poll.
            self.nic.shared().try_step_way(Way::Rx, BATCH);
        }
        if self.nic.device().drive != Drive::Inline {
            return Ok(queues);
        }
        let device = self.nic.shared();
        let rx = |inner| RxQueue::new(InlineRx { inner, device: device.clone() });
        let tx = |inner| TxQueue::new(InlineTx { inner, device: device.clone() });
        Ok(Queues {
            rx: queues.rx.into_iter().map(rx).collect(),
            tx: queues.tx.into_iter().map(tx).collect(),
        })
    }

    fn attach(&mut self, pool: &Mempool) -> Result<()> {
        self.inner.attach(pool)
    }

    fn interrupt(&mut self) -> Result<RxInterrupt> {
        self.inner.interrupt()
    }

    fn stop(&mut self) -> Result<()> {
        self.inner.stop()
    }

    fn link(&mut self) -> Result<LinkStatus> {
        self.inner.link()
    }

    fn set_promiscuous(&mut self, on: bool) -> Result<()> {
        self.inner.set_promiscuous(on)
    }

    fn set_allmulticast(&mut self, on: bool) -> Result<()> {
        self.inner.set_allmulticast(on)
    }

    /// Each fault is reported once; the call after it gives the counters.
    fn stats(&mut self) -> Result<PortStats> {
        let fault = self.nic.device().engine().shared.log.take_unreported();
        if let Some((fault, others)) = fault {
            let more = if others > 0 { format!(" (and {others} more)") } else { String::new() };
            return Err(Error::Device {
                device: self.inner.info().name.clone(),
                what: format!("{fault}{more}"),
            });
        }
        let mut stats = self.inner.stats()?;
        stats.rx_filtered = self.truth().filtered - self.filtered;
        Ok(stats)
    }

    fn registers(&self) -> Vec<RegValue> {
        self.inner.registers()
    }
}

/// A receive queue whose bursts run the model.
#[derive(Debug)]
struct InlineRx {
    inner: RxQueue,
    device: Arc<Device>,
}

impl QueueRx for InlineRx {
    #[inline]
    fn rx_burst(&mut self, cache: &mut PoolCache, out: &mut Batch) -> usize {
        // As many as are taken at once: more would wait in the ring, and grow cold there.
        self.device.try_step_way(Way::Rx, out.room().clamp(1, BATCH));
        self.inner.rx_burst(cache, out)
    }

    fn stats(&self) -> RxQueueStats {
        self.inner.stats()
    }

    fn backlog(&self) -> usize {
        self.inner.backlog()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn path(&self) -> PathChoice {
        self.inner.path()
    }
}

/// A transmit queue whose bursts run the model.
#[derive(Debug)]
struct InlineTx {
    inner: TxQueue,
    device: Arc<Device>,
}

impl QueueTx for InlineTx {
    #[inline]
    fn tx_burst(&mut self, cache: &mut PoolCache, packets: &mut Batch) -> usize {
        let sent = self.inner.tx_burst(cache, packets);
        self.device.try_step_way(Way::Tx, BATCH);
        sent
    }

    fn reclaim(&mut self, cache: &mut PoolCache) -> usize {
        self.device.try_step_way(Way::Tx, BATCH);
        self.inner.reclaim(cache)
    }

    fn stats(&self) -> TxQueueStats {
        self.inner.stats()
    }

    fn in_flight(&self) -> usize {
        self.inner.in_flight()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn path(&self) -> PathChoice {
        self.inner.path()
    }
}
