//! A port whose NIC is played by the bench: registers that answer what bring-up waits for, and
//! descriptors completed by hand. The driver runs its hardware path (`Bar::SOFTWARE` is false),
//! so what is measured is what a real NIC would be served with, and nothing of a model.
//!
//! The rig moves only between two bursts, so what a burst finds is decided by [`Lag`].

mod bar;
mod work;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bar::{RDBAH, RDBAL, RDT, RigBar, TDBAH, TDBAL, TDT};
use barewire::drivers::ixgbe::Ixgbe;
use barewire::mem::{Backing, CHUNK, DmaMap, DmaTarget, Iova, Mapping};
use barewire::mmio::Bar;
use barewire::pool::PoolConfig;
use barewire::port::{Control, DataPath, FlowControl, Host, Line};
use barewire::{Error, Mempool, PoolCache, PortConfig, Result, RxQueue, TxQueue};

#[allow(unused_imports)]
pub(crate) use work::{Bench, UNCLOCKED, Work};

/// How far the NIC is from the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lag {
    /// Received frames come into the ring in groups of at least so many.
    pub(crate) group: usize,
    /// A sent packet is reported when so many more have been posted behind it.
    pub(crate) behind: usize,
}

impl Lag {
    /// A NIC under load. It has always received a few more frames than one small burst takes
    /// (at 14.88 Mpps, 32 frames are what comes in 2.2 us), and a packet is reported sent 64
    /// packets later: fetching its descriptor and its data over PCIe, sending it and writing the
    /// descriptor back take 2 us at least, and it is not the first in the NIC's queue.
    pub(crate) const NIC: Self = Self { group: 32, behind: 64 };

    /// A NIC that is done between two bursts, whatever it was given. No hardware is that fast; a
    /// driver that asks for a report when none is under way asks with every small burst here.
    pub(crate) const NONE: Self = Self { group: 1, behind: 0 };
}

/// What a rig is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RigConfig {
    /// Descriptors of each ring.
    pub(crate) ring: u16,
    /// The path to force; the fastest by default.
    pub(crate) path: Option<DataPath>,
    pub(crate) lag: Lag,
    /// Descriptors that the NIC wrote are flushed to memory, as with DMA that goes past the
    /// caches.
    pub(crate) flush: bool,
}

impl Default for RigConfig {
    fn default() -> Self {
        Self { ring: 512, path: None, lag: Lag::NIC, flush: false }
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
    cfg: RigConfig,
    size: usize,
    rx_done: usize,
    /// Frames in the receive ring that no call of [`deliver`](Self::deliver) has asked for.
    ahead: usize,
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
    pub(crate) fn new(pool: &Mempool, cfg: RigConfig) -> Self {
        let bar = RigBar::new().expect("the rig's registers can be mapped");
        let map = Arc::new(RigMap::default());
        let mut port = Ixgbe::open(bar.clone(), Box::new(RigHost), map.clone(), 0x8086, 0x10fb)
            .expect("the rig answers all that bring-up waits for");
        let port_cfg = PortConfig {
            rxd: cfg.ring,
            txd: cfg.ring,
            flow_control: FlowControl::Off,
            path: cfg.path,
            ..PortConfig::default()
        };
        let mut queues = port.start(&port_cfg, pool).expect("the rig starts");
        let (rx, tx) = (queues.rx.remove(0), queues.tx.remove(0));
        let size = usize::from(cfg.ring);
        Self { rx, tx, bar, map, cfg, size, rx_done: 0, ahead: 0, tx_done: 0, _port: port }
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

    /// Sees to it that the next bursts find `n` more good frames of 60 bytes, or a few more than
    /// that.
    pub(crate) fn deliver(&mut self, n: usize) {
        while self.ahead < n {
            self.receive(self.cfg.lag.group.max(1));
        }
        self.ahead -= n;
    }

    fn receive(&mut self, n: usize) {
        let (from, size) = (self.rx_done, self.size);
        let tail = self.bar.read32(RDT) as usize;
        let posted = (tail + size - from) % size;
        assert!(n <= posted, "{n} frames for {posted} descriptors");
        self.ring(self.bar.pair(RDBAL, RDBAH), |words| {
            for i in (from..from + n).map(|i| i % size) {
                words[2 * i].store(0, Ordering::Relaxed);
                words[2 * i + 1].store(0x3 | 60 << 32, Ordering::Release);
                if self.cfg.flush {
                    flush(&words[2 * i]);
                }
            }
        });
        self.rx_done = (from + n) % size;
        self.ahead += n;
    }

    /// Sends what was posted, but for the newest few, and reports it done where that was asked
    /// for. Returns how many it sent.
    pub(crate) fn transmit(&mut self) -> usize {
        let (from, size) = (self.tx_done, self.size);
        let tail = self.bar.read32(TDT) as usize;
        let n = ((tail + size - from) % size).saturating_sub(self.cfg.lag.behind);
        self.ring(self.bar.pair(TDBAL, TDBAH), |words| {
            for i in (from..from + n).map(|i| i % size) {
                if words[2 * i + 1].load(Ordering::Relaxed) & 1 << 27 != 0 {
                    words[2 * i + 1].store(1 << 32, Ordering::Release);
                    if self.cfg.flush {
                        flush(&words[2 * i]);
                    }
                }
            }
        });
        self.tx_done = (from + n) % size;
        n
    }

    /// Another handle to the transmit tail.
    pub(crate) fn bell(&self) -> <RigBar as Bar>::Bell {
        self.bar.doorbell(TDT)
    }
}

/// Writes the line of `word` back to memory and forgets it.
#[cfg(target_arch = "x86_64")]
fn flush(word: &AtomicU64) {
    // SAFETY: a reference is a valid address; the instruction changes no value. It is ordered
    // with older stores to the line (Intel SDM vol. 2A, CLFLUSH).
    unsafe { std::arch::x86_64::_mm_clflush(std::ptr::from_ref(word).cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
fn flush(_: &AtomicU64) {}
