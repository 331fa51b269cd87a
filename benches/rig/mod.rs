//! A port whose NIC is played by the bench: registers that answer what bring-up waits for, and
//! descriptors completed by hand. The driver runs its hardware path (`Bar::SOFTWARE` is false),
//! so what is measured is what a real NIC would be served with, and nothing of a model.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use barewire::drivers::ixgbe::Ixgbe;
use barewire::mem::{Backing, CHUNK, DmaMap, DmaTarget, Iova, Mapping};
use barewire::mmio::{Bar, Doorbell};
use barewire::pool::PoolConfig;
use barewire::port::{Control, FlowControl, Host, Line};
use barewire::{Error, Mempool, PoolCache, PortConfig, Result, RxQueue, TxQueue};

/// 82599 register offsets that the rig reads back, transcribed from the datasheet.
const CTRL: usize = 0x0;
const STATUS: usize = 0x8;
const RDBAL: usize = 0x1000;
const RDBAH: usize = 0x1004;
const RDT: usize = 0x1018;
const RDRXCTL: usize = 0x2f00;
const LINKS: usize = 0x42a4;
const RAL: usize = 0xa200;
const RAH: usize = 0xa204;
const TDBAL: usize = 0x6000;
const TDBAH: usize = 0x6004;
const TDT: usize = 0x6018;
const EEC: usize = 0x10010;
const EERD: usize = 0x10014;

/// A register space of plain memory.
#[derive(Debug, Clone)]
pub(crate) struct RigBar(Arc<Vec<AtomicU32>>, Instant);

/// One tail register of it.
#[derive(Debug)]
pub(crate) struct RigBell(RigBar, usize);

impl Doorbell for RigBell {
    #[inline(always)]
    fn ring(&self, tail: u32) {
        self.0.0[self.1].store(tail, Ordering::Relaxed);
    }
}

impl RigBar {
    fn new() -> Self {
        let bar = Self(Arc::new((0..0x8000).map(|_| AtomicU32::new(0)).collect()), Instant::now());
        for (reg, value) in [
            (EEC, 1 << 9 | 1 << 8),
            (RDRXCTL, 1 << 3),
            (LINKS, 1 << 30 | 0b11 << 28),
            (RAL, 0x0100_0002),
            (RAH, 1 << 31 | 0x0100),
        ] {
            bar.set(reg, value);
        }
        bar
    }
    fn set(&self, reg: usize, value: u32) {
        self.0[reg / 4].store(value, Ordering::Relaxed);
    }
    fn get(&self, reg: usize) -> u32 {
        self.0[reg / 4].load(Ordering::Relaxed)
    }
    fn pair(&self, low: usize, high: usize) -> u64 {
        u64::from(self.get(low)) | u64::from(self.get(high)) << 32
    }
}

impl Bar for RigBar {
    type Bell = RigBell;
    const SOFTWARE: bool = false;
    fn read32(&self, offset: u32) -> u32 {
        self.0.get(offset as usize / 4).map_or(u32::MAX, |r| r.load(Ordering::Relaxed))
    }
    fn write32(&self, offset: u32, value: u32) {
        // Resets finish at once; DMA-done and the other constants stay.
        let value = match offset as usize {
            CTRL => value & !(1 << 26 | 1 << 3),
            RDRXCTL => value | 1 << 3,
            // An EEPROM of zeros, but for the word that makes its sum 0xbaba.
            EERD if value >> 2 & 0x3fff == 0x3f => 0xbaba_0002,
            EERD => 2,
            STATUS | LINKS | EEC => return,
            _ => value,
        };
        if let Some(r) = self.0.get(offset as usize / 4) {
            r.store(value, Ordering::Relaxed);
        }
    }
    fn doorbell(&self, offset: u32) -> RigBell {
        RigBell(self.clone(), offset as usize / 4)
    }
    fn now(&self) -> Duration {
        self.1.elapsed()
    }
    fn delay(&self, _: Duration) {}
    fn name(&self) -> &str {
        "rig"
    }
}

#[derive(Debug)]
struct RigHost;
impl Host for RigHost {
    fn set_bus_master(&self, _: bool) -> Result<()> {
        Ok(())
    }
    fn check(&self) -> Result<()> {
        Ok(())
    }
    fn line(&self) -> Result<Box<dyn Line>> {
        Err(Error::NoInterrupt { addr: "test".to_owned(), why: "this host has none".to_owned() })
    }

    fn numa_node(&self) -> Option<u32> {
        None
    }
}

/// Gives each target its own stretch of device addresses and remembers what is where.
#[derive(Debug, Default)]
struct RigMap(Mutex<Vec<(u64, DmaTarget)>>);

const FIRST: u64 = 1 << 32;

impl DmaMap for RigMap {
    fn map(&self, target: DmaTarget) -> Result<Vec<Iova>> {
        let chunks = target.mapping().len() / CHUNK;
        let mut all = self.0.lock().expect("no panic");
        let at = FIRST + all.iter().map(|(_, t)| t.mapping().len() as u64).sum::<u64>();
        all.push((at, target));
        Ok((0..chunks).map(|i| Iova(at + (i * CHUNK) as u64)).collect())
    }
    fn ring_backing(&self) -> Backing {
        Backing::Auto
    }
    fn accepts(&self, _: &Mapping) -> Result<()> {
        Ok(())
    }
}

/// A started port and the device side of its one queue pair.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) rx: RxQueue,
    pub(crate) tx: TxQueue,
    bar: RigBar,
    map: Arc<RigMap>,
    size: usize,
    rx_done: usize,
    tx_done: usize,
    /// Stops the port when the rig goes.
    _port: Ixgbe<RigBar>,
}

/// The pool that all rigs of a bench share, and a worker's cache of it.
pub(crate) fn pool() -> (Mempool, PoolCache) {
    let cfg = PoolConfig { count: 4096, ..PoolConfig::default() };
    let pool = Mempool::new(&cfg).expect("memory for 4,096 buffers");
    let cache = pool.cache();
    (pool, cache)
}

impl Rig {
    pub(crate) fn new(pool: &Mempool, ring: u16) -> Self {
        let bar = RigBar::new();
        let map = Arc::new(RigMap::default());
        let mut port = Ixgbe::open(bar.clone(), Box::new(RigHost), map.clone(), 0x8086, 0x10fb)
            .expect("the rig answers all that bring-up waits for");
        let cfg = PortConfig {
            rxd: ring,
            txd: ring,
            flow_control: FlowControl::Off,
            ..PortConfig::default()
        };
        let mut queues = port.start(&cfg, pool).expect("the rig starts");
        let (rx, tx) = (queues.rx.remove(0), queues.tx.remove(0));
        let size = usize::from(ring);
        Self { rx, tx, bar, map, size, rx_done: 0, tx_done: 0, _port: port }
    }

    fn ring(&self, address: u64, f: impl FnOnce(&[AtomicU64])) {
        let all = self.map.0.lock().expect("no panic");
        for (at, target) in all.iter() {
            if let DmaTarget::Rings(block) = target
                && (*at..*at + block.mapping().len() as u64).contains(&address)
            {
                let first = (address - at) as usize / 8;
                return f(&block.words()[first..first + 2 * self.size]);
            }
        }
        panic!("no ring at {address:#x}");
    }

    /// Receives `n` good frames of 60 bytes.
    pub(crate) fn deliver(&mut self, n: usize) {
        let (from, size) = (self.rx_done, self.size);
        let tail = self.bar.get(RDT) as usize;
        let posted = (tail + size - from) % size;
        assert!(n <= posted, "{n} frames for {posted} descriptors");
        self.ring(self.bar.pair(RDBAL, RDBAH), |words| {
            for i in (from..from + n).map(|i| i % size) {
                words[2 * i].store(0, Ordering::Relaxed);
                words[2 * i + 1].store(0x3 | 60 << 32, Ordering::Release);
            }
        });
        self.rx_done = (from + n) % size;
    }

    /// Sends what was posted and reports it done where that was asked for.
    pub(crate) fn transmit(&mut self) -> usize {
        let (from, size) = (self.tx_done, self.size);
        let tail = self.bar.get(TDT) as usize;
        let n = (tail + size - from) % size;
        self.ring(self.bar.pair(TDBAL, TDBAH), |words| {
            for i in (from..from + n).map(|i| i % size) {
                if words[2 * i + 1].load(Ordering::Relaxed) & 1 << 27 != 0 {
                    words[2 * i + 1].store(1 << 32, Ordering::Release);
                }
            }
        });
        self.tx_done = tail;
        n
    }
}
