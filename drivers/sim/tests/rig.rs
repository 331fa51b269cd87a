//! A driver of a few lines, with one ring each way.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::setup::{BASE, BASE_HIGH, CONTROL, ENABLE, LENGTH, TAIL};
use super::super::{Drive, Family, Model, SimBar, SimConfig, SimNic};
use crate::drivers::igb::regs as igb;
use crate::drivers::ixgbe::regs::{
    CTRL_EXT, DMATXCTL, EEC, FCTRL, HLREG0, RDRXCTL, RXCTRL, SRRCTL,
};
use crate::mem::{DmaSpace, Lent, RingMem};
use crate::mmio::{Bar, Register};
use crate::pool::{Mbuf, Mempool, PoolCache, PoolConfig};
use crate::port::Host;

/// Descriptors of each ring.
pub(super) const SIZE: u16 = 64;
/// Registers are looked at so often before a wait is given up.
const PATIENCE: usize = 100;

pub(super) struct Rig {
    pub(super) nic: SimNic,
    pub(super) bar: SimBar,
    pub(super) space: Arc<DmaSpace>,
    pub(super) rx: RingMem,
    pub(super) tx: RingMem,
    pub(super) pool: Mempool,
    pub(super) cache: PoolCache,
    model: Model,
    /// Register blocks of the two queues.
    rx_block: u32,
    tx_block: u32,
    posted: Vec<Mbuf>,
    rx_tail: u32,
    tx_tail: u32,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(0, |_| {})
    }

    /// On receive queue `queue`, with registers changed before anything is enabled.
    pub(super) fn with(queue: u32, change: impl FnOnce(&SimBar)) -> Self {
        Self::on(Model::I82599, queue, change)
    }

    /// The same on any chip.
    pub(super) fn on(model: Model, queue: u32, change: impl FnOnce(&SimBar)) -> Self {
        let config = SimConfig {
            chip: model,
            wire: "probe".to_owned(),
            drive: Drive::Step,
            lawyer: true,
            ..SimConfig::default()
        };
        let nic = SimNic::new(&config).unwrap();
        let bar = nic.bar();
        let space = DmaSpace::new(nic.iommu());
        let mut rings = space.rings(&[SIZE, SIZE]).unwrap().into_iter();
        let (rx, tx) = (rings.next().unwrap(), rings.next().unwrap());
        let pool = Mempool::new(&PoolConfig { count: 500, ..PoolConfig::default() }).unwrap();
        space.attach(pool.mem()).unwrap();
        let cache = pool.cache();
        nic.host().set_bus_master(true).unwrap();
        let mut rig = Self {
            nic,
            bar,
            space,
            rx,
            tx,
            pool,
            cache,
            model,
            rx_block: model.chip().rx_block(queue),
            tx_block: model.chip().tx_block(0),
            posted: Vec::new(),
            rx_tail: 0,
            tx_tail: 0,
        };
        rig.program(change);
        rig
    }

    /// Resets the function, whatever state it is in, and programs it anew. Frames that the wire
    /// still had are dropped.
    pub(super) fn start_anew(&mut self, change: impl FnOnce(&SimBar)) {
        self.nic.function_reset();
        self.nic.step_until_idle(50);
        self.take_back();
        (self.rx_tail, self.tx_tail) = (0, 0);
        self.nic.host().set_bus_master(true).unwrap();
        self.program(change);
        self.nic.step_until_idle(10_000);
    }

    fn take_back(&mut self) {
        for m in self.posted.drain(..) {
            let _held = self.pool.mem().take_back(m.id(), Lent::Rx);
        }
    }

    fn program(&mut self, change: impl FnOnce(&SimBar)) {
        let bar = self.bar.clone();
        for (block, base) in [(self.rx_block, self.rx.iova().0), (self.tx_block, self.tx.iova().0)]
        {
            // Queue 0 of the 82576 is enabled after a reset.
            self.enable(block + CONTROL, false);
            bar.write32(block + BASE, base as u32);
            bar.write32(block + BASE_HIGH, (base >> 32) as u32);
            bar.write32(block + LENGTH, u32::from(SIZE) * 16);
        }
        match self.model.family() {
            Family::Ixgbe => self.program_82599(change),
            Family::Igb => self.program_82576(change),
        }
        // Link training.
        self.nic.step_until_idle(50);
    }

    fn program_82599(&self, change: impl FnOnce(&SimBar)) {
        let bar = &self.bar;
        assert!(EEC::read(bar).has(EEC::AUTO_RD));
        CTRL_EXT::read(bar).with(CTRL_EXT::DRV_LOAD, 1).write(bar);
        FCTRL(0).with(FCTRL::UPE, 1).with(FCTRL::MPE, 1).with(FCTRL::BAM, 1).write(bar);
        RDRXCTL::read(bar).with(RDRXCTL::CRCSTRIP, 1).write(bar);
        let srrctl = SRRCTL(2).with(SRRCTL::DESCTYPE, 1).with(SRRCTL::DROP_EN, 1);
        bar.write32(self.rx_block + 0x14, srrctl.raw());
        HLREG0::read(bar).with(HLREG0::JUMBOEN, 1).write(bar);
        change(bar);
        DMATXCTL::read(bar).with(DMATXCTL::TE, 1).write(bar);
        self.enable(self.rx_block + CONTROL, true);
        self.enable(self.tx_block + CONTROL, true);
        RXCTRL(0).with(RXCTRL::RXEN, 1).write(bar);
    }

    fn program_82576(&self, change: impl FnOnce(&SimBar)) {
        use igb::{CTRL, EECD, RCTL, RLPML, RXCSUM, SRRCTL, TCTL};
        let bar = &self.bar;
        assert!(EECD::read(bar).has(EECD::AUTO_RD));
        CTRL::read(bar).with(CTRL::SLU, 1).write(bar);
        let all = RCTL(0).with(RCTL::UPE, 1).with(RCTL::MPE, 1).with(RCTL::BAM, 1);
        all.with(RCTL::SECRC, 1).with(RCTL::LPE, 1).write(bar);
        RLPML(1518).write(bar);
        RXCSUM::read(bar).with(RXCSUM::PCSD, 1).write(bar);
        let srrctl = SRRCTL(2).with(SRRCTL::DESCTYPE, 1).with(SRRCTL::DROP_EN, 1);
        bar.write32(self.rx_block + 0x0c, srrctl.raw());
        change(bar);
        TCTL::read(bar).with(TCTL::TXEN, 1).write(bar);
        self.enable(self.rx_block + CONTROL, true);
        self.enable(self.tx_block + CONTROL, true);
        RCTL::read(bar).with(RCTL::RXEN, 1).write(bar);
    }

    fn enable(&self, control: u32, on: bool) {
        let want = if on { ENABLE } else { 0 };
        self.bar.write32(control, self.bar.read32(control) & !ENABLE | want);
        assert!((0..PATIENCE).any(|_| self.bar.read32(control) & ENABLE == want));
    }

    /// Posts `n` receive buffers.
    pub(super) fn post(&mut self, n: usize) {
        for _ in 0..n {
            let m = self.cache.alloc().unwrap();
            let at = self.rx_tail as usize;
            let iova = self.space.iova(m.id(), u32::from(m.offset())).unwrap();
            self.rx.descriptors()[at][0].store(iova, Ordering::Relaxed);
            self.rx.descriptors()[at][1].store(0, Ordering::Relaxed);
            self.pool.mem().lend(m.id(), Lent::Rx);
            self.posted.push(m);
            self.rx_tail = (self.rx_tail + 1) % u32::from(SIZE);
        }
        self.bar.write32(self.rx_block + TAIL, self.rx_tail);
    }

    /// Puts a frame on the wire and takes what became of it.
    pub(super) fn receive(&mut self, frame: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
        self.nic.inject_frame(frame);
        self.nic.step_until_idle(50);
        self.harvest()
    }

    /// What was received: both words and the bytes of each descriptor that was written back.
    pub(super) fn harvest(&mut self) -> Vec<(u64, u64, Vec<u8>)> {
        let before =
            (self.rx_tail as usize + usize::from(SIZE) - self.posted.len()) % usize::from(SIZE);
        let mut out = Vec::new();
        for i in 0..self.posted.len() {
            let at = (before + i) % usize::from(SIZE);
            let w1 = self.rx.descriptors()[at][1].load(Ordering::Acquire);
            if w1 & 1 == 0 {
                break;
            }
            let mut m = self.posted.remove(0);
            assert!(self.pool.mem().take_back(m.id(), Lent::Rx));
            m.set_len((w1 >> 32 & 0xffff) as usize).unwrap();
            out.push((self.rx.descriptors()[at][0].load(Ordering::Relaxed), w1, m.data().to_vec()));
        }
        out
    }

    /// Writes a transmit descriptor without ringing.
    pub(super) fn descriptor(&mut self, w0: u64, w1: u64) {
        let at = self.tx_tail as usize;
        self.tx.descriptors()[at][0].store(w0, Ordering::Relaxed);
        self.tx.descriptors()[at][1].store(w1, Ordering::Relaxed);
        self.tx_tail = (self.tx_tail + 1) % u32::from(SIZE);
    }

    /// A buffer with `bytes`, lent for transmission: its device address, and its handle.
    pub(super) fn buffer(&mut self, bytes: &[u8]) -> (u64, Mbuf) {
        let mut m = self.cache.alloc().unwrap();
        m.append(bytes).unwrap();
        let iova = self.space.iova(m.id(), u32::from(m.offset())).unwrap();
        self.pool.mem().lend(m.id(), Lent::Tx);
        (iova, m)
    }

    /// Rings, lets the model work, and takes what it sent.
    pub(super) fn send(&mut self) -> Vec<Vec<u8>> {
        self.bar.write32(self.tx_block + TAIL, self.tx_tail);
        self.nic.step_until_idle(50);
        self.nic.take_sent()
    }

    /// The buffer comes back.
    pub(super) fn reclaim(&mut self, m: Mbuf) {
        assert!(self.pool.mem().take_back(m.id(), Lent::Tx));
        self.cache.free(m);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.take_back();
    }
}

/// A UDP packet in IPv4, in a VLAN when `tag` says so.
pub(super) fn udp(tag: Option<u16>, payload: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .udp(1000, 2000)
        .write(&mut frame, &vec![0x5a; payload])
        .unwrap();
    if let Some(tag) = tag {
        let [a, b] = tag.to_be_bytes();
        frame.splice(12..12, [0x81, 0x00, a, b]);
    }
    frame
}
