//! Start and stop: the order in which everything else happens (4.6.3).

use std::mem::ManuallyDrop;
use std::sync::Arc;

use super::filter::Accept;
use super::ids::Chip;
use super::reset::{Halt, claim, halt, reset};
use super::stats::{self, Counters};
use super::wait::check_alive;
use super::{Ixgbe, IxgbeFlavor, link, regs, rx_init, tx_init};
use crate::drivers::intel::{QueueSetup, RxRing, TxRing};
use crate::error::{Error, Result};
use crate::mem::{DmaSpace, RingMem};
use crate::mmio::{Bar, Register};
use crate::pool::Mempool;
use crate::port::{Host, Lifeline, PortConfig, Queues, RxQueue, TxQueue};

/// What the device may reach while it runs; freed only when it is known to be quiet.
#[derive(Debug)]
pub(super) struct Running {
    rings: Vec<RingMem>,
    pool: Mempool,
    space: Arc<DmaSpace>,
    life: Arc<Lifeline>,
}

impl Running {
    pub(super) fn attach(&self, pool: &Mempool) -> Result<()> {
        self.space.attach(pool.mem())
    }
}

/// Halts a device in an unknown state and resets it. Its DMA is off afterwards.
///
/// # Errors
/// When it cannot be brought to a known state.
pub(super) fn quiesce<B: Bar>(bar: &B, host: &dyn Host, chip: &Chip) -> Result<()> {
    let stopped = halt(bar);
    if let Some(e @ Error::Gone { .. }) = stopped.error {
        return Err(e);
    }
    if let Some(e) = &stopped.error {
        tracing::debug!(device = bar.name(), "while halting it: {e}");
    }
    host.set_bus_master(false)?;
    reset(bar, chip.family, !stopped.master_off)
}

impl<B: Bar> Ixgbe<B> {
    /// See [`Control::start`](crate::port::Control::start).
    pub(super) fn bring_up(&mut self, cfg: &PortConfig, pool: &Mempool) -> Result<Queues> {
        if self.running.is_some() {
            return Err(Error::State { why: "the port runs already; stop it first".to_owned() });
        }
        if let Some(life) = &self.life {
            if life.is_running() {
                return Err(Error::State {
                    why: "an earlier stop could not prove that DMA had ended; restart the process"
                        .to_owned(),
                });
            }
            if Arc::strong_count(life) > 1 {
                return Err(Error::State {
                    why: "queues of an earlier start are still alive; drop them first".to_owned(),
                });
            }
        }
        cfg.check(&self.info)?;
        let wanted = u64::from(cfg.rx_queues) * (u64::from(cfg.rxd) - 1);
        if u64::from(pool.capacity()) < wanted {
            let allowed = format!(
                "at least {wanted} buffers, to fill {} receive rings of {}",
                cfg.rx_queues, cfg.rxd
            );
            return Err(Error::config("pool size", pool.capacity(), allowed));
        }
        let space = DmaSpace::new(self.dma.clone());
        space.attach(pool.mem())?;
        let lengths: Vec<u16> = std::iter::repeat_n(cfg.rxd, cfg.rx_queues.into())
            .chain(std::iter::repeat_n(cfg.txd, cfg.tx_queues.into()))
            .collect();
        let rings = space.rings(&lengths)?;
        let life = Lifeline::running();
        self.accept = Accept { promiscuous: cfg.promiscuous, allmulticast: cfg.allmulticast };
        self.counters = Counters::default();
        self.life = Some(life.clone());
        // From here on memory is given back by `bring_down` only.
        self.running = Some(Running { rings, pool: pool.clone(), space, life });
        let result = self.program(cfg);
        if result.is_err()
            && let Err(e) = self.bring_down()
        {
            tracing::warn!(device = self.bar.name(), "after a failed start: {e}");
        }
        result
    }

    /// The numbered steps of 4.6.3.
    fn program(&self, cfg: &PortConfig) -> Result<Queues> {
        let Some(running) = &self.running else {
            return Err(Error::State { why: "the port is stopped; start it first".to_owned() });
        };
        let bar = &self.bar;
        let (rx_rings, tx_rings) = running.rings.split_at(cfg.rx_queues.into());
        // 1. Disable interrupts, global reset, wait for EEPROM autoload and DMA initialisation.
        quiesce(bar, &*self.host, self.chip)?;
        claim(bar, true);
        // 2. PHY and link; it comes up while the rest is programmed.
        link::set_up(bar, self.chip)?;
        // 3. Statistics.
        stats::map_queues(bar);
        stats::clear(bar);
        // 4. Receive (4.6.7) and transmit (4.6.8), everything still disabled.
        rx_init::port(bar, self.chip.family, self.mac, cfg);
        for (n, ring) in (0..).zip(rx_rings) {
            rx_init::queue(bar, n, ring, running.pool.geometry(), cfg);
        }
        tx_init::port(bar);
        for (n, ring) in (0..).zip(tx_rings) {
            tx_init::queue(bar, n, ring);
        }
        check_alive(bar)?;
        // 5. DMA may begin.
        self.host.set_bus_master(true)?;
        // 6. Transmit on, then its queues.
        tx_init::enable(bar);
        let mut queues = Queues { rx: Vec::new(), tx: Vec::new() };
        for (n, ring) in (0..).zip(tx_rings) {
            tx_init::enable_queue(bar, n)?;
            let setup = self.setup(running, ring, regs::TDT::META.offset_of(n), cfg);
            queues.tx.push(TxQueue::new(TxRing::<B, IxgbeFlavor>::new(setup)?));
        }
        // 7. Receive queues: enabled and read back before buffers are posted (RDT).
        for (n, ring) in (0..).zip(rx_rings) {
            let setup = self.setup(running, ring, regs::RDT::META.offset_of(n), cfg);
            let mut rx = RxRing::<B, IxgbeFlavor>::new(setup)?;
            rx_init::enable_queue(bar, n)?;
            rx.fill()?;
            queues.rx.push(RxQueue::new(rx));
        }
        // 8. Receive path open, last of all.
        rx_init::enable(bar);
        check_alive(bar)?;
        // 9. Link.
        if !cfg.link_wait.is_zero() {
            let link = link::wait(bar, self.chip, cfg.link_wait)?;
            tracing::info!(device = bar.name(), "link is {link}");
        }
        Ok(queues)
    }

    fn setup<'a>(
        &'a self,
        running: &'a Running,
        ring: &RingMem,
        tail: u32,
        cfg: &PortConfig,
    ) -> QueueSetup<'a, B> {
        QueueSetup {
            bar: &self.bar,
            ring: ring.clone(),
            tail,
            pool: &running.pool,
            space: &running.space,
            life: &running.life,
            max_frame: cfg.max_frame(),
            vlan_strip: cfg.vlan_strip,
        }
    }

    /// See [`Control::stop`](crate::port::Control::stop).
    pub(super) fn bring_down(&mut self) -> Result<()> {
        let Some(running) = self.running.take() else { return Ok(()) };
        // Kept, whatever happens on the way (a panic in the bus's code included), until DMA is
        // known to have ended.
        let running = ManuallyDrop::new(running);
        // A device that the kernel took back is the kernel's: its registers are not ours to touch.
        let taken = self.host.check().err().filter(|e| matches!(e, Error::Gone { .. }));
        let ours = taken.is_none();
        // 1. Mask, receiver off, queues off, master disable.
        let stopped = match taken {
            Some(gone) => Halt { master_off: false, error: Some(gone) },
            None => halt(&self.bar),
        };
        // Last look at the counters, before the reset clears them.
        let counted = if ours { self.counters.update(&self.bar) } else { Ok(()) };
        // 2. The bus lets no request of its through any more.
        let bus = self.host.set_bus_master(false);
        // 3. Reset.
        let reset = match &stopped.error {
            Some(Error::Gone { .. }) => Ok(()),
            _ => reset(&self.bar, self.chip.family, !stopped.master_off),
        };
        if ours {
            claim(&self.bar, false);
        }
        // 4. Memory. Either proof will do: the device says that nothing is pending, or the bus
        //    cannot carry anything (and reading the bit back has pushed out what was under way).
        if stopped.master_off || bus.is_ok() {
            running.life.quiet();
            drop(ManuallyDrop::into_inner(running));
        } else {
            tracing::error!(
                device = self.bar.name(),
                "DMA may still be running: its buffers and rings stay reserved for the life of \
                 this process"
            );
        }
        stopped.error.map_or(Ok(()), Err).and(bus).and(reset).and(counted)
    }
}
