//! The control side that both families share: who owns what, and the order of start and stop
//! (82599 datasheet 4.6.3; the 82576's 4.5 has the same order but for one step).
//!
//! A family implements [`Silicon`] for the lines of its device table; [`IntelPort`] is the driver.

use std::fmt::Debug;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

use super::counters::Counters;
use super::{Flavor, QueueSetup, RxRing, TxRing};
use crate::error::{Error, Result};
use crate::mem::{DmaMap, DmaSpace, Geometry, RingMem};
use crate::mmio::Bar;
use crate::pool::Mempool;
use crate::port::{
    Causes, Control, Host, Lifeline, LinkStatus, MacAddr, PathChoice, PortConfig, PortInfo,
    PortStats, Queues, RegValue, RxInterrupt, RxQueue, TxQueue,
};

/// How often a missing link is looked for.
const LINK_POLL: Duration = Duration::from_millis(10);

/// What is accepted besides the station's own frames and broadcasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accept {
    /// Every frame.
    pub promiscuous: bool,
    /// Every multicast frame.
    pub allmulticast: bool,
}

/// How a halt ended.
#[derive(Debug)]
pub struct Halt {
    /// The device confirmed that no request of its is pending.
    pub master_off: bool,
    /// The first step that failed; the later ones were carried out all the same.
    pub error: Option<Error>,
}

impl Halt {
    /// Before the first step.
    pub(crate) const fn new() -> Self {
        Self { master_off: false, error: None }
    }

    /// Keeps a step's error, if it is the first, and says whether the step succeeded.
    pub(crate) fn note(&mut self, result: Result<()>) -> bool {
        match result {
            Ok(()) => true,
            Err(e) => {
                self.error.get_or_insert(e);
                false
            }
        }
    }
}

/// What the shared control side asks of a chip. Every method is register accesses in the
/// datasheet's order and nothing else; ownership of memory and the order of the methods are
/// [`IntelPort`]'s.
pub trait Silicon: Debug + Sized + Sync + 'static {
    /// Where its descriptors differ.
    type Flavor: Flavor;
    /// Its interrupt registers.
    type Causes<B: Bar>: Causes + 'static;
    /// What the driver is called.
    const DRIVER: &'static str;
    /// Whether receive buffers may be posted (RDT) only after the receiver was opened.
    const OPEN_BEFORE_POSTING: bool;

    /// The device table's line for a PCI device.
    fn find(vendor: u16, device: u16) -> Option<&'static Self>;
    /// What the chip is called.
    fn name(&self) -> &'static str;
    /// Fills in what the chip can do.
    fn describe(&self, info: &mut PortInfo);
    /// Masks interrupts, stops reception, both kinds of queues, and then all bus traffic; every
    /// step is carried out, whatever happens to the earlier ones.
    fn halt<B: Bar>(&self, bar: &B) -> Halt;
    /// Resets the function and waits until it can be programmed; interrupts are masked then.
    /// `twice` is for a device that did not confirm the master disable.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Gone`], [`Error::Eeprom`].
    fn reset<B: Bar>(&self, bar: &B, twice: bool) -> Result<()>;
    /// Notices a device that answers all ones.
    ///
    /// # Errors
    /// [`Error::Gone`].
    fn check_alive<B: Bar>(&self, bar: &B) -> Result<()>;
    /// Refuses a spoilt EEPROM, and reads the station address, after a reset.
    ///
    /// # Errors
    /// [`Error::Eeprom`], [`Error::Timeout`], [`Error::Gone`].
    fn identify<B: Bar>(&self, bar: &B) -> Result<MacAddr>;
    /// Tells firmware whether a driver is at work, so that it keeps off, or takes over.
    fn claim<B: Bar>(&self, bar: &B, on: bool);

    /// Lets the link come up; does not wait for it.
    ///
    /// # Errors
    /// [`Error::Gone`], [`Error::Timeout`].
    fn link_set_up<B: Bar>(&self, bar: &B) -> Result<()>;
    /// Link state now.
    ///
    /// # Errors
    /// [`Error::Gone`].
    fn link<B: Bar>(&self, bar: &B) -> Result<LinkStatus>;
    /// Address and acceptance of a running port.
    fn refilter<B: Bar>(&self, bar: &B, mac: MacAddr, accept: Accept);

    /// Sets counters up and reads them away.
    fn counters_start<B: Bar>(&self, bar: &B);
    /// Adds what the counters say since the last time.
    ///
    /// # Errors
    /// [`Error::Gone`], and nothing was added.
    fn count<B: Bar>(&self, bar: &B, counters: &mut Counters) -> Result<()>;

    /// Everything of reception that belongs to no queue. The receiver stays off.
    fn rx_init<B: Bar>(&self, bar: &B, mac: MacAddr, cfg: &PortConfig);
    /// Programs one receive queue; it stays disabled.
    fn rx_queue_init<B: Bar>(
        &self,
        bar: &B,
        n: u32,
        ring: &RingMem,
        buffers: Geometry,
        cfg: &PortConfig,
    );
    /// Everything of transmission that belongs to no queue.
    fn tx_init<B: Bar>(&self, bar: &B, cfg: &PortConfig);
    /// Programs one transmit queue; it stays disabled.
    fn tx_queue_init<B: Bar>(&self, bar: &B, n: u32, ring: &RingMem);
    /// Maps every receive queue's interrupt to the one line there is; all stays masked.
    fn irq_init<B: Bar>(&self, bar: &B, cfg: &PortConfig);
    /// The interrupt registers.
    fn causes<B: Bar>(&self, bar: &B) -> Self::Causes<B>;

    /// Switches transmission on; before any queue is enabled.
    fn tx_enable<B: Bar>(&self, bar: &B);
    /// Enables one transmit queue and waits until it reads back; only then may TDT be written.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Gone`].
    fn tx_queue_enable<B: Bar>(&self, bar: &B, n: u32) -> Result<()>;
    /// Enables one receive queue and waits until it reads back; only then may RDT be written.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Gone`].
    fn rx_queue_enable<B: Bar>(&self, bar: &B, n: u32) -> Result<()>;
    /// Opens the receive path.
    fn rx_open<B: Bar>(&self, bar: &B);
    /// BAR offset of receive queue `n`'s RDT.
    fn rdt(n: u32) -> u32;
    /// BAR offset of transmit queue `n`'s TDT.
    fn tdt(n: u32) -> u32;

    /// The registers that can be read without side effects.
    fn registers<B: Bar>(&self, bar: &B) -> Vec<RegValue>;
}

/// One opened port.
#[derive(Debug)]
pub struct IntelPort<B: Bar, S: Silicon> {
    bar: B,
    host: Box<dyn Host>,
    dma: Arc<dyn DmaMap>,
    chip: &'static S,
    info: PortInfo,
    mac: MacAddr,
    accept: Accept,
    counters: Counters,
    /// Shared with the queues of the last start.
    life: Option<Arc<Lifeline>>,
    running: Option<Running>,
}

/// What the device may reach while it runs; freed only when it is known to be quiet.
#[derive(Debug)]
struct Running {
    rings: Vec<RingMem>,
    pool: Mempool,
    space: Arc<DmaSpace>,
    life: Arc<Lifeline>,
    /// Bus mastering was asked for since the device learned of this memory.
    exposed: bool,
}

impl<B: Bar, S: Silicon> IntelPort<B, S> {
    /// Identifies the controller, stops whatever it was doing, resets it and reads its address.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a device that is not in the family's table; [`Error::Gone`],
    /// [`Error::Timeout`] and [`Error::Eeprom`] when it does not come up.
    pub fn open(
        bar: B,
        host: Box<dyn Host>,
        dma: Arc<dyn DmaMap>,
        vendor: u16,
        device: u16,
    ) -> Result<Self> {
        let chip = S::find(vendor, device).ok_or_else(|| Error::Unsupported {
            addr: bar.name().to_owned(),
            vendor,
            device,
        })?;
        let mut info = PortInfo::new(bar.name(), S::DRIVER, chip.name());
        chip.describe(&mut info);
        info.numa_node = host.numa_node();
        let mut port = Self {
            bar,
            host,
            dma,
            chip,
            info,
            mac: MacAddr::default(),
            accept: Accept::default(),
            counters: Counters::default(),
            life: None,
            running: None,
        };
        port.quiesce()?;
        port.mac = chip.identify(&port.bar)?;
        Ok(port)
    }

    /// The device's registers.
    pub fn bar(&self) -> &B {
        &self.bar
    }

    /// Halts a device in an unknown state and resets it. Its DMA is off afterwards.
    fn quiesce(&self) -> Result<()> {
        let stopped = self.chip.halt(&self.bar);
        if let Some(e @ Error::Gone { .. }) = stopped.error {
            return Err(e);
        }
        if let Some(e) = &stopped.error {
            tracing::debug!(device = self.bar.name(), "while halting it: {e}");
        }
        self.host.set_bus_master(false)?;
        self.chip.reset(&self.bar, !stopped.master_off)
    }

    /// Writes address and acceptance through to a running device.
    fn refilter(&mut self) -> Result<()> {
        if self.running.is_some() {
            self.chip.check_alive(&self.bar)?;
            self.chip.refilter(&self.bar, self.mac, self.accept);
            self.chip.check_alive(&self.bar)?;
        }
        Ok(())
    }

    /// See [`Control::start`].
    fn bring_up(&mut self, cfg: &PortConfig, pool: &Mempool) -> Result<Queues> {
        if self.running.is_some() {
            return Err(Error::State { why: "the port runs already; stop it first".to_owned() });
        }
        if let Some(life) = &mut self.life {
            if life.is_running() {
                return Err(Error::State {
                    why: "an earlier stop could not prove that DMA had ended; restart the process"
                        .to_owned(),
                });
            }
            // Unlike a look at the count, this sees all that their threads did last.
            if Arc::get_mut(life).is_none() {
                return Err(Error::State {
                    why: "queues or the interrupt of an earlier start are still alive; drop them \
                          first"
                        .to_owned(),
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
        let exposed = false;
        self.running = Some(Running { rings, pool: pool.clone(), space, life, exposed });
        let result = self.program(cfg).and_then(|()| self.enable(cfg));
        if result.is_err()
            && let Err(e) = self.bring_down()
        {
            tracing::warn!(device = self.bar.name(), "after a failed start: {e}");
        }
        result
    }

    /// The numbered steps of 4.6.3, up to where DMA may begin.
    fn program(&self, cfg: &PortConfig) -> Result<()> {
        let Some(running) = &self.running else { return Err(stopped()) };
        let (bar, chip) = (&self.bar, self.chip);
        let (rx_rings, tx_rings) = running.rings.split_at(cfg.rx_queues.into());
        // 1. Disable interrupts, global reset, wait for EEPROM autoload and DMA initialisation.
        self.quiesce()?;
        chip.claim(bar, true);
        // 2. PHY and link; it comes up while the rest is programmed.
        chip.link_set_up(bar)?;
        // 3. Statistics.
        chip.counters_start(bar);
        // 4. Receive and transmit, everything still disabled, and interrupts, still masked.
        chip.rx_init(bar, self.mac, cfg);
        for (n, ring) in (0..).zip(rx_rings) {
            chip.rx_queue_init(bar, n, ring, running.pool.geometry(), cfg);
        }
        chip.tx_init(bar, cfg);
        for (n, ring) in (0..).zip(tx_rings) {
            chip.tx_queue_init(bar, n, ring);
        }
        chip.irq_init(bar, cfg);
        chip.check_alive(bar)
    }

    /// The numbered steps from there on.
    fn enable(&mut self, cfg: &PortConfig) -> Result<Queues> {
        // 5. DMA may begin, even if this fails half-way.
        if let Some(running) = &mut self.running {
            running.exposed = true;
        }
        self.host.set_bus_master(true)?;
        let Some(running) = &self.running else { return Err(stopped()) };
        let (bar, chip) = (&self.bar, self.chip);
        let (rx_rings, tx_rings) = running.rings.split_at(cfg.rx_queues.into());
        // 6. Transmit on, then its queues.
        chip.tx_enable(bar);
        let mut queues = Queues { rx: Vec::new(), tx: Vec::new() };
        for (n, ring) in (0..).zip(tx_rings) {
            chip.tx_queue_enable(bar, n)?;
            let setup = self.setup(running, ring, S::tdt(n), cfg)?;
            queues.tx.push(TxQueue::new(TxRing::<B, S::Flavor>::new(setup)?));
        }
        // 7. Receive queues: enabled and read back before buffers are posted (RDT); the receive
        //    path opens last of all where the chip lets it.
        if S::OPEN_BEFORE_POSTING {
            chip.rx_open(bar);
        }
        for (n, ring) in (0..).zip(rx_rings) {
            let setup = self.setup(running, ring, S::rdt(n), cfg)?;
            let mut rx = RxRing::<B, S::Flavor>::new(setup)?;
            chip.rx_queue_enable(bar, n)?;
            rx.fill()?;
            queues.rx.push(RxQueue::new(rx));
        }
        if !S::OPEN_BEFORE_POSTING {
            chip.rx_open(bar);
        }
        chip.check_alive(bar)?;
        // 8. Link.
        if !cfg.link_wait.is_zero() {
            let link = self.wait_for_link(cfg.link_wait)?;
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
    ) -> Result<QueueSetup<'a, B>> {
        Ok(QueueSetup {
            bar: &self.bar,
            ring: ring.clone(),
            tail,
            pool: &running.pool,
            space: &running.space,
            life: &running.life,
            max_frame: cfg.max_frame(),
            vlan_strip: cfg.vlan_strip,
            path: PathChoice::new(cfg.path)?,
        })
    }

    /// Waits for the link, at most `limit`; a link that stays down is no error.
    fn wait_for_link(&self, limit: Duration) -> Result<LinkStatus> {
        let start = self.bar.now();
        loop {
            let link = self.chip.link(&self.bar)?;
            if link.up || self.bar.now().saturating_sub(start) >= limit {
                return Ok(link);
            }
            self.bar.delay(LINK_POLL);
        }
    }

    /// See [`Control::stop`].
    fn bring_down(&mut self) -> Result<()> {
        let Some(running) = self.running.take() else { return Ok(()) };
        // Nobody unmasks an interrupt from here on.
        running.life.close();
        // Kept, whatever happens on the way (a panic in the bus's code included), until DMA is
        // known to have ended.
        let running = ManuallyDrop::new(running);
        // A device that the kernel took back is the kernel's: its registers are not ours to touch.
        let taken = self.host.check().err().filter(|e| matches!(e, Error::Gone { .. }));
        // 1. Mask, receiver off, queues off, master disable.
        let stopped = match taken {
            Some(gone) => Halt { master_off: false, error: Some(gone) },
            None => self.chip.halt(&self.bar),
        };
        // Of a device that does not answer, what is read and written back would be all ones.
        let there = !matches!(stopped.error, Some(Error::Gone { .. }));
        // Last look at the counters, before the reset clears them.
        let counted = if there { self.chip.count(&self.bar, &mut self.counters) } else { Ok(()) };
        // 2. The bus lets no request of its through any more.
        let bus = self.host.set_bus_master(false);
        // 3. Reset.
        let reset = if there { self.chip.reset(&self.bar, !stopped.master_off) } else { Ok(()) };
        if there {
            self.chip.claim(&self.bar, false);
        }
        // 4. Memory. Any proof will do: the device says that nothing is pending, or the bus cannot
        //    carry anything (and reading the bit back has pushed out what was under way), or it
        //    never could since the device learned of this memory.
        if stopped.master_off || bus.is_ok() || !running.exposed {
            running.life.quiet();
            drop(ManuallyDrop::into_inner(running));
        } else {
            tracing::error!(
                device = self.bar.name(),
                "DMA may still be running: its buffers and rings stay reserved for the life of \
                 this process"
            );
        }
        match stopped.error {
            // It did not confirm; it was cut off and reset for that (5.2.5.3.2).
            Some(e @ Error::Timeout { .. }) if bus.is_ok() && reset.is_ok() => {
                tracing::warn!(device = self.bar.name(), "stopped, but not by itself: {e}");
                counted
            }
            error => error.map_or(Ok(()), Err).and(bus).and(reset).and(counted),
        }
    }
}

/// The error of what only a running port can do.
fn stopped() -> Error {
    Error::State { why: "the port is stopped; start it first".to_owned() }
}

impl<B: Bar, S: Silicon> Control for IntelPort<B, S> {
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
            Some(running) => running.space.attach(pool.mem()),
            None => Err(Error::State {
                why: "start the port first; a stopped port reaches no memory".to_owned(),
            }),
        }
    }

    fn stop(&mut self) -> Result<()> {
        self.bring_down()
    }

    fn interrupt(&mut self) -> Result<RxInterrupt> {
        let Some(running) = &self.running else {
            return Err(Error::State {
                why: "start the port first; a stopped port raises no interrupt".to_owned(),
            });
        };
        let causes = Box::new(self.chip.causes(&self.bar));
        RxInterrupt::new(self.host.line()?, causes, running.life.clone())
    }

    fn link(&mut self) -> Result<LinkStatus> {
        self.chip.link(&self.bar)
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
            self.chip.count(&self.bar, &mut self.counters)?;
        }
        Ok(self.counters.report())
    }

    fn registers(&self) -> Vec<RegValue> {
        self.chip.registers(&self.bar)
    }
}

impl<B: Bar, S: Silicon> Drop for IntelPort<B, S> {
    fn drop(&mut self) {
        if let Err(e) = self.bring_down() {
            tracing::warn!(device = self.bar.name(), "stopping on drop: {e}");
        }
    }
}
