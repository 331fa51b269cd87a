//! The ring engine against descriptors played by hand, laid out independently of `desc.rs`.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::error::Result;
use crate::mem::{Backing, CHUNK, DmaMap, DmaTarget, Iova, Mapping};
use crate::mmio::Doorbell;
use crate::pool::{Batch, Checksum, Mbuf, PoolCache, PoolConfig};
use crate::port::{PathChoice, QueueRx, QueueTx};

#[derive(Debug)]
struct Flavor82599;
impl Flavor for Flavor82599 {
    const RX_DAMAGED: u64 = 1 << 29;
    const RX_CHECKSUM_ERRORS: u32 = 30;
    const UDP_ERROR_UNRELIABLE: bool = true;
}

pub(crate) mod fake;
pub(crate) mod golden;
pub(crate) mod lives;
mod ordering;
mod paths;
mod random;

/// What happens when a tail is written, from and to where.
type Watch = Box<dyn FnMut(usize, usize) + Send>;

/// A register space that only remembers what was written to its tails.
#[derive(Clone, Default)]
struct Tails(Arc<TailState>);

#[derive(Default)]
struct TailState {
    tail: AtomicU32,
    log: Mutex<Vec<u32>>,
    watch: Mutex<Option<Watch>>,
}

impl std::fmt::Debug for Tails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tail at {}", self.read32(0))
    }
}

impl Doorbell for Tails {
    fn ring(&self, tail: u32) {
        let before = self.0.tail.swap(tail, Ordering::Relaxed);
        self.0.log.lock().unwrap().push(tail);
        if let Some(watch) = &mut *self.0.watch.lock().unwrap() {
            watch(before as usize, tail as usize);
        }
    }
}

impl Bar for Tails {
    type Bell = Tails;
    const SOFTWARE: bool = false;
    fn read32(&self, _: u32) -> u32 {
        self.0.tail.load(Ordering::Relaxed)
    }
    fn write32(&self, _: u32, _: u32) {}
    fn doorbell(&self, _: u32) -> Tails {
        self.clone()
    }
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn delay(&self, _: Duration) {}
    fn name(&self) -> &str {
        "tails"
    }
}

/// Device addresses far from virtual ones; chunks are two chunks apart.
#[derive(Debug, Default)]
struct FarMap(Mutex<Vec<DmaTarget>>);

const FAR: u64 = 0x40_0000_0000;

impl DmaMap for FarMap {
    fn map(&self, target: DmaTarget) -> Result<Vec<Iova>> {
        let n = target.mapping().len() / CHUNK;
        let mut all = self.0.lock().unwrap();
        let first = all.iter().map(|t| t.mapping().len() / CHUNK).sum::<usize>() as u64;
        all.push(target);
        Ok((0..n as u64).map(|i| Iova(FAR + (first + i) * 2 * CHUNK as u64)).collect())
    }
    fn ring_backing(&self) -> Backing {
        Backing::Heap
    }
    fn accepts(&self, _: &Mapping) -> Result<()> {
        Ok(())
    }
}

struct Rig {
    bar: Tails,
    pool: Mempool,
    cache: PoolCache,
    space: Arc<DmaSpace>,
    life: Arc<Lifeline>,
    ring: RingMem,
}

fn pool(count: u32) -> Mempool {
    Mempool::new(&PoolConfig { count, backing: Backing::Heap, ..PoolConfig::default() }).unwrap()
}

impl Rig {
    fn new(size: u16) -> Self {
        let pool = pool(1);
        let space = DmaSpace::new(Arc::new(FarMap::default()));
        space.attach(pool.mem()).unwrap();
        let ring = space.rings(&[size]).unwrap().remove(0);
        let cache = pool.cache();
        let life = Lifeline::running();
        Rig { bar: Tails::default(), pool, cache, space, life, ring }
    }

    fn setup(&self, max_frame: u16) -> QueueSetup<'_, Tails> {
        QueueSetup {
            bar: &self.bar,
            ring: self.ring.clone(),
            tail: 0,
            pool: &self.pool,
            space: &self.space,
            life: &self.life,
            max_frame,
            vlan_strip: true,
            path: PathChoice::new(None).unwrap(),
        }
    }

    fn rx(&self, max_frame: u16) -> RxRing<Tails, Flavor82599> {
        let mut q = RxRing::new(self.setup(max_frame)).unwrap();
        q.fill().unwrap();
        q
    }

    fn tx(&self) -> TxRing<Tails, Flavor82599> {
        TxRing::new(self.setup(1522)).unwrap()
    }

    fn tail(&self) -> usize {
        self.bar.read32(0) as usize
    }

    fn rings(&self) -> usize {
        self.bar.0.log.lock().unwrap().len()
    }

    fn word(&self, i: usize) -> u64 {
        self.ring.descriptors()[i / 2][i % 2].load(Ordering::Relaxed)
    }

    fn write_back(&self, at: usize, w0: u64, w1: u64) {
        self.ring.descriptors()[at][0].store(w0, Ordering::Relaxed);
        self.ring.descriptors()[at][1].store(w1, Ordering::Release);
    }

    /// A good one-buffer packet of `len` bytes.
    fn good(&self, at: usize, len: u16) {
        self.write_back(at, 0, 0x3 | u64::from(len) << 32);
    }

    fn packet(&mut self, len: usize) -> Mbuf {
        let mut m = self.cache.alloc().unwrap();
        m.set_len(len).unwrap();
        m
    }

    fn packets(&mut self, n: usize) -> Batch {
        let mut b = Batch::new(n);
        for _ in 0..n {
            let m = self.packet(60);
            b.push(m).unwrap();
        }
        b
    }
}

/// After the queues are gone and the device is quiet, every buffer must be back.
fn all_back(rig: Rig) {
    let Rig { pool, cache, life, .. } = rig;
    drop(cache);
    life.quiet();
    let mut cache = pool.cache();
    let n = std::iter::from_fn(|| cache.alloc()).inspect(|_| {}).collect::<Vec<_>>().len();
    assert_eq!(n, pool.capacity() as usize);
}

#[test]
fn rx_posts_all_but_one_descriptor_then_the_tail() {
    let rig = Rig::new(64);
    let q = rig.rx(1522);
    assert_eq!((rig.tail(), rig.rings()), (63, 1));
    for i in 0..63 {
        let addr = rig.word(2 * i);
        assert_eq!(addr % 64, 0);
        assert!((FAR..FAR + CHUNK as u64).contains(&addr), "{addr:#x}");
        assert_eq!(rig.word(2 * i + 1), 0);
    }
    assert_eq!(rig.word(126), 0);
    drop(q);
    all_back(rig);
}

#[test]
fn rx_write_back_vectors() {
    let mut rig = Rig::new(64);
    let mut q = rig.rx(1522);
    // RSS type 1 (IPv4 TCP), packet type IPv4|TCP = 0x11, hash 0xcafef00d; DD|EOP|VP|L4CS|IPCS,
    // 1,000 bytes, tag 0x2064.
    rig.write_back(0, 0xcafe_f00d_0000_0111, 0x2064_03e8_0000_006b);
    // UDP over IPv4 with an L4 error: DD|EOP|UDPCS|L4CS|IPCS, L4E (bit 30), 60 bytes.
    rig.write_back(1, 0x0000_0000_0000_0210, 0x0000_003c_4000_0073);
    // TCP, both wrong: L4E 30, IPE 31.
    rig.write_back(2, 0x0000_0000_0000_0110, 0x0000_003c_c000_0063);
    let mut out = Batch::new(8);
    assert_eq!(q.rx_burst(&mut rig.cache, &mut out), 3);
    let m: Vec<&Mbuf> = out.iter().collect();
    assert_eq!((m[0].len(), m[0].rss_hash(), m[0].vlan()), (1000, Some(0xcafe_f00d), Some(0x2064)));
    assert!(m[0].packet_type().is_ipv4() && m[0].packet_type().is_tcp());
    assert_eq!((m[0].ip_checksum(), m[0].l4_checksum()), (Checksum::Good, Checksum::Good));
    assert_eq!((m[1].ip_checksum(), m[1].l4_checksum()), (Checksum::Good, Checksum::Unknown));
    assert_eq!((m[1].rss_hash(), m[1].vlan()), (None, None));
    assert!(m[1].packet_type().is_udp());
    assert_eq!((m[2].ip_checksum(), m[2].l4_checksum()), (Checksum::Bad, Checksum::Bad));
}

#[test]
fn rx_joins_descriptors_into_a_chain_and_takes_the_last_ones_verdict() {
    let mut rig = Rig::new(64);
    let mut q = rig.rx(9022);
    rig.good(0, 60);
    for i in 1..5 {
        rig.write_back(i, 0, 0x1 | 2048 << 32);
    }
    let mut out = Batch::new(8);
    assert_eq!(q.rx_burst(&mut rig.cache, &mut out), 1, "the chain is not complete");
    rig.write_back(5, 7 << 32 | 1, 0x3 | 808 << 32);
    rig.good(6, 61);
    assert_eq!(q.rx_burst(&mut rig.cache, &mut out), 2);
    let m: Vec<&Mbuf> = out.iter().collect();
    assert_eq!((m[1].total_len(), m[1].segments().count()), (9000, 5));
    assert_eq!(m[1].rss_hash(), Some(7));
    assert_eq!(m[2].len(), 61);
    assert_eq!(q.stats().bytes, 60 + 9000 + 61);
    drop((out, q));
    all_back(rig);
}

#[test]
fn rx_survives_what_a_broken_device_writes() {
    let mut rig = Rig::new(64);
    let mut q = rig.rx(4000);
    rig.good(0, 0); // no bytes
    rig.good(1, 2049); // more than the buffer
    rig.good(2, u16::MAX);
    rig.write_back(3, 0, 0x3 | 1 << 29 | 60 << 32); // damaged
    for i in 4..8 {
        rig.write_back(i, 0, 0x1 | 2048 << 32); // longer than any frame
    }
    rig.good(8, 60); // that one's end
    rig.good(9, 64);
    let mut out = Batch::new(32);
    assert_eq!(q.rx_burst(&mut rig.cache, &mut out), 1);
    assert_eq!(out.first().unwrap().len(), 64);
    let s = q.stats();
    assert_eq!((s.packets, s.bytes, s.errors, s.bad_descriptors), (1, 64, 1, 4));
    drop((out, q));
    all_back(rig);
}

#[test]
fn rx_refills_in_strides_and_wraps() {
    let mut rig = Rig::new(128);
    let mut q = rig.rx(1522);
    let mut out = Batch::new(32);
    let mut next = 0;
    for round in 0..100 {
        for i in 0..32 {
            rig.good((next + i) % 128, 60 + (i as u16));
        }
        assert_eq!(q.backlog(), 32, "round {round}");
        assert_eq!(q.rx_burst(&mut rig.cache, &mut out), 32);
        assert!(out.iter().enumerate().all(|(i, m)| m.len() == 60 + i));
        rig.cache.free_batch(&mut out);
        next = (next + 32) % 128;
        assert_eq!(rig.tail(), (next + 127) % 128);
        assert_eq!(rig.word(2 * ((next + 126) % 128) + 1), 0, "a posted descriptor is not done");
    }
    assert_eq!(rig.rings(), 101, "one tail write a refill");
    drop((out, q));
    all_back(rig);
}

#[test]
fn rx_counts_an_empty_pool_and_recovers() {
    let mut rig = Rig::new(64);
    let mut q = rig.rx(1522);
    let mut hoard: Vec<Mbuf> = std::iter::from_fn(|| rig.cache.alloc()).collect();
    let mut out = Batch::new(64);
    (0..63).for_each(|i| rig.good(i, 60));
    assert_eq!(q.rx_burst(&mut rig.cache, &mut out), 63);
    assert!(q.stats().pool_empty > 0);
    assert_eq!(q.rx_burst(&mut rig.cache, &mut out), 0);
    hoard.drain(..).for_each(|m| rig.cache.free(m));
    assert_eq!(q.rx_burst(&mut rig.cache, &mut out), 0);
    assert_eq!(rig.tail(), (63 + 63) % 64);
    drop((out, q));
    all_back(rig);
}

#[test]
fn tx_descriptor_vector() {
    let mut rig = Rig::new(64);
    let mut q = rig.tx();
    let mut b = rig.packets(1);
    let mut own = rig.pool.cache();
    let cache = &mut own;
    assert_eq!(q.tx_burst(cache, &mut b), 1);
    // DTALEN 60, DTYP 3, EOP|IFCS|RS|DEXT (nothing else is under way), PAYLEN 60 at bit 46.
    assert_eq!(rig.word(1), 0x000f_0000_2b30_003c);
    assert!((FAR..FAR + CHUNK as u64).contains(&rig.word(0)));
    assert_eq!((rig.tail(), rig.rings()), (1, 1));
    assert_eq!(q.tx_burst(cache, &mut b), 0);
    assert_eq!(rig.rings(), 1, "an empty burst does not ring");
    drop((q, own));
    all_back(rig);
}

#[test]
fn tx_reports_every_stride_and_reclaims_what_is_done() {
    let mut rig = Rig::new(128);
    let mut q = rig.tx();
    let mut b = rig.packets(127);
    let mut own = rig.pool.cache();
    let cache = &mut own;
    assert_eq!(q.tx_burst(cache, &mut b), 127);
    let marked: Vec<usize> = (0..127).filter(|i| rig.word(2 * i + 1) & 1 << 27 != 0).collect();
    assert_eq!(marked, [31, 63, 95]);
    let mut more = rig.packets(40);
    assert_eq!(q.tx_burst(cache, &mut more), 0);
    assert_eq!((more.len(), q.stats().ring_full), (40, 1));
    // The second report comes late: only the first run is taken back.
    rig.ring.descriptors()[31][1].store(1 << 32, Ordering::Release);
    assert_eq!(q.tx_burst(cache, &mut more), 32);
    assert_eq!((more.len(), q.in_flight()), (8, 127));
    for i in [63, 95] {
        rig.ring.descriptors()[i][1].store(1 << 32, Ordering::Release);
    }
    assert_eq!(q.reclaim(cache), 64);
    assert_eq!(q.tx_burst(cache, &mut more), 8);
    drop((q, more, own));
    all_back(rig);
}

#[test]
fn tx_sends_chains_as_one_packet() {
    let mut rig = Rig::new(64);
    let mut q: TxRing<Tails, Flavor82599> = TxRing::new(rig.setup(9022)).unwrap();
    let mut b = Batch::new(4);
    b.push(rig.packet(60)).unwrap();
    let mut chain = rig.packet(2048);
    chain.chain(rig.packet(2000));
    chain.chain(rig.packet(100));
    b.push(chain).unwrap();
    b.push(rig.packet(61)).unwrap();
    assert_eq!(q.tx_burst(&mut rig.cache, &mut b), 3);
    assert_eq!((rig.tail(), rig.rings(), q.in_flight()), (5, 1, 5));
    let cmd = |i: usize| rig.word(2 * i + 1) >> 24 & 0xff;
    assert_eq!([cmd(0), cmd(1), cmd(2), cmd(3), cmd(4)], [0x23, 0x22, 0x22, 0x23, 0x2b]);
    assert_eq!(rig.word(3) >> 46, 4148);
    assert_eq!(q.stats().bytes, 60 + 4148 + 61);
    drop((q, b));
    all_back(rig);
}

#[test]
fn tx_frees_and_counts_what_can_never_be_sent() {
    let mut rig = Rig::new(64);
    let mut q = rig.tx();
    let stranger = pool(1);
    let mut b = Batch::new(8);
    let mut foreign = stranger.cache().alloc().unwrap();
    foreign.set_len(60).unwrap();
    b.push(foreign).unwrap(); // not attached
    b.push(rig.packet(16)).unwrap(); // too short
    b.push(rig.packet(1523)).unwrap(); // too long
    let mut empty_tail = rig.packet(60);
    empty_tail.chain(rig.packet(0));
    b.push(empty_tail).unwrap(); // a segment of no bytes
    b.push(rig.packet(60)).unwrap();
    assert_eq!(q.tx_burst(&mut rig.cache, &mut b), 5);
    assert_eq!((q.stats().errors, q.stats().packets, rig.tail()), (4, 1, 1));
    drop((q, b));
    all_back(rig);
}

#[test]
fn tx_returns_buffers_of_two_pools_to_each() {
    let mut rig = Rig::new(64);
    let guest = pool(1);
    rig.space.attach(guest.mem()).unwrap();
    let mut q = rig.tx();
    let mut theirs = guest.cache();
    for round in 0..64 {
        let mut b = Batch::new(2);
        b.push(rig.packet(60)).unwrap();
        let mut g = theirs.alloc().unwrap();
        g.set_len(60).unwrap();
        b.push(g).unwrap();
        let at = rig.tail();
        assert_eq!(q.tx_burst(&mut rig.cache, &mut b), 2, "round {round}");
        for i in [at, (at + 1) % 64] {
            if rig.word(2 * i + 1) & 1 << 27 != 0 {
                rig.ring.descriptors()[i][1].store(1 << 32, Ordering::Release);
            }
        }
        q.reclaim(&mut rig.cache);
    }
    drop((q, theirs));
    rig.life.quiet();
    let mut cache = guest.cache();
    let n = std::iter::from_fn(|| cache.alloc()).collect::<Vec<_>>().len();
    assert_eq!(n, guest.capacity() as usize);
    drop(cache);
    all_back(rig);
}

#[test]
fn a_queue_dropped_while_the_device_runs_keeps_its_buffers_out_of_circulation() {
    let rig = Rig::new(64);
    let q = rig.rx(1522);
    drop(q);
    let mut cache = rig.pool.cache();
    let free = std::iter::from_fn(|| cache.alloc()).collect::<Vec<_>>().len();
    assert_eq!(free, rig.pool.capacity() as usize - 63);
    drop(cache);
    all_back(rig);
}

#[test]
fn tx_refuses_a_chain_that_could_block_the_ring_for_ever() {
    let mut rig = Rig::new(64);
    let mut q: TxRing<Tails, Flavor82599> = TxRing::new(rig.setup(9022)).unwrap();
    let long = |rig: &mut Rig, n: usize| {
        let mut chain = rig.packet(60);
        (1..n).for_each(|_| chain.chain(rig.packet(60)));
        chain
    };
    let mut b = Batch::new(3);
    b.push(rig.packet(60)).unwrap();
    b.push(long(&mut rig, 39)).unwrap();
    b.push(long(&mut rig, 38)).unwrap();
    assert_eq!(q.tx_burst(&mut rig.cache, &mut b), 3);
    assert_eq!((q.stats().errors, q.stats().packets, q.in_flight()), (1, 2, 39));
    drop((q, b));
    all_back(rig);
}

#[test]
fn tx_reports_at_once_on_a_quiet_queue() {
    let mut rig = Rig::new(64);
    let mut q = rig.tx();
    for round in 0..200 {
        let mut b = rig.packets(1);
        let at = rig.tail();
        assert_eq!(q.tx_burst(&mut rig.cache, &mut b), 1);
        let word = &rig.ring.descriptors()[at][1];
        assert_ne!(word.load(Ordering::Relaxed) & 1 << 27, 0, "round {round}");
        word.store(1 << 32, Ordering::Release);
        assert_eq!(q.reclaim(&mut rig.cache), 1);
    }
    drop(q);
    all_back(rig);
}

#[test]
fn rx_bounds_a_chain_of_scraps() {
    let mut rig = Rig::new(64);
    let mut q = rig.rx(9022);
    for i in 0..40 {
        rig.write_back(i, 0, 0x1 | 1 << 32); // one byte, not the end
    }
    rig.good(40, 60); // its end
    rig.good(41, 64);
    let mut out = Batch::new(8);
    assert_eq!(q.rx_burst(&mut rig.cache, &mut out), 1);
    assert_eq!((out.first().unwrap().len(), q.stats().bad_descriptors), (64, 1));
    drop((out, q));
    all_back(rig);
}
