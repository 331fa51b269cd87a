//! Random scripts on random rings: whatever a device delivers and completes, and an application
//! receives, sends and drops, no buffer is ever in two places, and every one is back in its pool
//! exactly once in the end.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::pool::PacketType;
use crate::port::{DataPath, RxQueueStats, TxQueueStats};

/// What the device writes into receive descriptors.
#[derive(Debug, Clone, Copy)]
enum Frame {
    Good(u16),
    /// Good, in so many full buffers and a last one of so many bytes.
    Long(u16, u16),
    Damaged,
    /// One descriptor that says a length that cannot be.
    Absurd(u16),
}

/// What the application offers to send.
#[derive(Debug, Clone, Copy)]
enum Packet {
    Plain(u16),
    /// So many segments of so many bytes.
    Chain(u16, u16),
    /// The oldest that was received and is still held.
    Forwarded,
    /// From a second pool that is attached.
    Guest,
    /// From a pool that the device does not reach.
    Stranger,
}

#[derive(Debug, Clone)]
enum Step {
    Deliver(Vec<Frame>),
    /// Into a batch with so much room; then keep the packets, or free them.
    Receive(usize, bool),
    Send(Vec<Packet>),
    /// The device is done with so many of the posted descriptors.
    Complete(usize),
    /// The device is done up to this many reports, and with nothing behind them.
    Report(usize),
    Reclaim,
    /// Frees what the application holds, this many packets.
    Forget(usize),
    DropRx,
    DropTx,
}

const LONGEST: u16 = 9022;

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        6 => (1..=2048u16).prop_map(Frame::Good),
        2 => (1..=5u16, 1..=2048u16).prop_map(|(n, last)| Frame::Long(n, last)),
        1 => Just(Frame::Damaged),
        1 => prop_oneof![Just(0), 2049..=u16::MAX].prop_map(Frame::Absurd),
    ]
}

fn packet() -> impl Strategy<Value = Packet> {
    prop_oneof![
        // Some too short to be sent.
        6 => (10..=2048u16).prop_map(Packet::Plain),
        // Some too long, some of segments without bytes.
        2 => (2..=70u16, 0..=200u16).prop_map(|(n, len)| Packet::Chain(n, len)),
        2 => Just(Packet::Forwarded),
        1 => Just(Packet::Guest),
        1 => Just(Packet::Stranger),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(frame(), 1..80).prop_map(Step::Deliver),
        8 => (1..=64usize, any::<bool>()).prop_map(|(room, keep)| Step::Receive(room, keep)),
        8 => prop::collection::vec(packet(), 1..64).prop_map(Step::Send),
        8 => (0..=200usize).prop_map(Step::Complete),
        8 => (1..=3usize).prop_map(Step::Report),
        3 => Just(Step::Reclaim),
        4 => (1..=100usize).prop_map(Step::Forget),
        1 => Just(Step::DropRx),
        1 => Just(Step::DropTx),
    ]
}

/// A port of two rings, with the device's side of it.
struct Pair {
    pools: [Mempool; 3],
    caches: [PoolCache; 3],
    space: Arc<DmaSpace>,
    life: Arc<Lifeline>,
    bars: [Tails; 2],
    rings: [RingMem; 2],
    /// Where the device is in each ring.
    heads: [usize; 2],
    rx: Option<RxRing<Tails, Flavor82599>>,
    tx: Option<TxRing<Tails, Flavor82599>>,
    held: VecDeque<Mbuf>,
    /// Lengths of the good frames that are to come out.
    expected: VecDeque<usize>,
    /// Frames so far, which is what the next one's metadata come from.
    frames: u64,
}

/// What must be equal on all paths after each step: all descriptors, tails, statistics, and of each
/// packet that the application holds the length, segments and all that the device said about it.
#[derive(Debug, PartialEq)]
struct Seen {
    descriptors: [Vec<[u64; 2]>; 2],
    tails: [u32; 2],
    rx: Option<(RxQueueStats, usize)>,
    tx: Option<(TxQueueStats, usize)>,
    held: Vec<PacketSeen>,
}

type PacketSeen = (Vec<usize>, Option<u32>, Option<u16>, PacketType, [Checksum; 2]);

impl Pair {
    fn new(sizes: [u16; 2], path: DataPath) -> Self {
        let pools = [pool(1), pool(1), pool(1)];
        let space = DmaSpace::new(Arc::new(FarMap::default()));
        space.attach(pools[0].mem()).unwrap();
        space.attach(pools[1].mem()).unwrap();
        let rings: [RingMem; 2] = space.rings(&sizes).unwrap().try_into().unwrap();
        let bars = [Tails::default(), Tails::default()];
        let life = Lifeline::running();
        let setup = |i: usize| QueueSetup {
            bar: &bars[i],
            ring: rings[i].clone(),
            tail: 0,
            pool: &pools[0],
            space: &space,
            life: &life,
            max_frame: LONGEST,
            vlan_strip: true,
            path: PathChoice::new(Some(path)).unwrap(),
        };
        let mut rx = RxRing::new(setup(0)).unwrap();
        rx.fill().unwrap();
        let tx = Some(TxRing::new(setup(1)).unwrap());
        let caches = [pools[0].cache(), pools[1].cache(), pools[2].cache()];
        let (held, expected) = (VecDeque::new(), VecDeque::new());
        Self {
            pools,
            caches,
            space,
            life,
            bars,
            rings,
            heads: [0; 2],
            rx: Some(rx),
            tx,
            held,
            expected,
            frames: 0,
        }
    }

    /// Descriptors that are the device's.
    fn posted(&self, i: usize) -> usize {
        let size = self.rings[i].descriptors().len();
        (self.bars[i].read32(0) as usize + size - self.heads[i]) % size
    }

    fn write_back(&mut self, i: usize, about: u64, status: u64) {
        let d = &self.rings[i].descriptors()[self.heads[i]];
        d[0].store(about, Ordering::Relaxed);
        d[1].store(status, Ordering::Release);
        self.heads[i] = (self.heads[i] + 1) % self.rings[i].descriptors().len();
    }

    fn deliver(&mut self, frame: Frame) {
        let (full, last, flags) = match frame {
            Frame::Good(len) => (0, len, 0),
            Frame::Long(full, last) => (full, last, 0),
            Frame::Damaged => (0, 60, 1 << 29),
            Frame::Absurd(len) => (0, len, 0),
        };
        if self.posted(0) <= usize::from(full) {
            return;
        }
        for _ in 0..full {
            self.write_back(0, 0, 0x1 | 2048 << 32);
        }
        self.frames += 1;
        let any = self.frames.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // A tag, which checksums were looked at, and seldom one that is wrong.
        let wrong = if any.is_multiple_of(16) { any & 0b11 << 30 } else { 0 };
        let about = any & (0xffff << 48 | 0xfc) | wrong;
        self.write_back(0, any.rotate_left(32), about | 0x3 | flags | u64::from(last) << 32);
        let len = usize::from(full) * 2048 + usize::from(last);
        if matches!(frame, Frame::Good(_) | Frame::Long(..)) && len <= usize::from(LONGEST) {
            self.expected.push_back(len);
        }
    }

    fn receive(&mut self, room: usize, keep: bool) {
        let Some(rx) = &mut self.rx else { return };
        let mut out = Batch::new(room);
        let n = rx.rx_burst(&mut self.caches[0], &mut out);
        assert_eq!(n, out.len());
        while let Some(m) = out.pop() {
            assert_eq!(Some(m.total_len()), self.expected.pop_front());
            if keep {
                self.held.push_back(m);
            } else {
                self.caches[0].free(m);
            }
        }
    }

    fn make(&mut self, packet: Packet) -> Option<Mbuf> {
        let fresh = |cache: &mut PoolCache, len: u16| {
            let mut m = cache.alloc()?;
            m.set_len(len.into()).unwrap();
            Some(m)
        };
        match packet {
            Packet::Plain(len) => fresh(&mut self.caches[0], len),
            Packet::Chain(n, len) => {
                let mut m = fresh(&mut self.caches[0], len)?;
                for i in 1..n {
                    // Some of another pool.
                    m.chain(fresh(&mut self.caches[usize::from(i % 5 == 3)], len)?);
                }
                Some(m)
            }
            Packet::Forwarded => self.held.pop_front(),
            Packet::Guest => fresh(&mut self.caches[1], 60),
            Packet::Stranger => fresh(&mut self.caches[2], 60),
        }
    }

    /// The device is done with one packet descriptor, and says so where that was asked for.
    fn complete(&mut self) -> bool {
        let command = self.rings[1].descriptors()[self.heads[1]][1].load(Ordering::Relaxed);
        let report = command & 1 << 27 != 0;
        self.write_back(1, 0, u64::from(report) << 32);
        report
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Deliver(frames) => frames.into_iter().for_each(|f| self.deliver(f)),
            Step::Receive(room, keep) => self.receive(room, keep),
            Step::Send(packets) => {
                let mut b = Batch::new(packets.len());
                for p in packets {
                    if let Some(m) = self.make(p) {
                        b.push(m).unwrap();
                    }
                }
                if let Some(tx) = &mut self.tx {
                    let offered = b.len();
                    let n = tx.tx_burst(&mut self.caches[0], &mut b);
                    assert_eq!(n + b.len(), offered);
                }
                // What was not taken goes back by two ways.
                if b.len().is_multiple_of(2) {
                    self.caches[0].free_batch(&mut b);
                }
            }
            Step::Complete(n) => {
                for _ in 0..n.min(self.posted(1)) {
                    self.complete();
                }
            }
            Step::Report(n) => {
                let mut left = n;
                while left > 0 && self.posted(1) > 0 {
                    left -= usize::from(self.complete());
                }
            }
            Step::Reclaim => {
                if let Some(tx) = &mut self.tx {
                    tx.reclaim(&mut self.caches[1]);
                }
            }
            Step::Forget(n) => drop(self.held.drain(..n.min(self.held.len()))),
            Step::DropRx => drop(self.rx.take()),
            Step::DropTx => drop(self.tx.take()),
        }
    }

    /// No buffer is in two of these places: descriptors that are the device's, packets that the
    /// application holds. Nobody moves a packet's start here, so an address names its buffer.
    fn check(&self) {
        let mut places: Vec<u64> = self
            .held
            .iter()
            .filter(|m| !m.is_chain())
            .filter_map(|m| self.space.iova(m.id(), m.offset().into()))
            .collect();
        for i in 0..2 {
            let descriptors = self.rings[i].descriptors();
            let posted = self.heads[i]..self.heads[i] + self.posted(i);
            let address =
                |at: usize| descriptors[at % descriptors.len()][0].load(Ordering::Relaxed);
            places.extend(posted.map(address));
        }
        let n = places.len();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), n, "a buffer is in two places");
    }

    fn seen(&self) -> Seen {
        let packet = |m: &Mbuf| {
            let segments = m.segments().map(<[u8]>::len).collect();
            let checksums = [m.ip_checksum(), m.l4_checksum()];
            (segments, m.rss_hash(), m.vlan(), m.packet_type(), checksums)
        };
        let words = |ring: &RingMem| {
            let word = |w: &AtomicU64| w.load(Ordering::Relaxed);
            ring.descriptors().iter().map(|d| d.each_ref().map(word)).collect()
        };
        Seen {
            descriptors: self.rings.each_ref().map(words),
            tails: self.bars.each_ref().map(|bar| bar.read32(0)),
            rx: self.rx.as_ref().map(|q| (q.stats(), q.backlog())),
            tx: self.tx.as_ref().map(|q| (q.stats(), q.in_flight())),
            held: self.held.iter().map(packet).collect(),
        }
    }

    /// Ends everything, in one of several orders, and counts.
    fn end(self, quiet_first: bool) {
        let Pair { pools, caches, life, rx, tx, held, .. } = self;
        if quiet_first {
            life.quiet();
            drop((held, rx, tx, caches));
        } else {
            drop((caches, tx, rx));
            life.quiet();
            drop(held);
        }
        for pool in pools {
            let mut cache = pool.cache();
            let all: Vec<Mbuf> = std::iter::from_fn(|| cache.alloc()).collect();
            let mut ids: Vec<u32> = all.iter().map(Mbuf::id).collect();
            assert_eq!(ids.len(), pool.capacity() as usize, "buffers lost, or there twice");
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), pool.capacity() as usize, "buffers are there twice");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 128 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_buffer_comes_back_exactly_once_and_all_paths_do_the_same(
        rx in 8..=64u16,
        tx in 8..=64u16,
        script in prop::collection::vec(step(), 1..120),
        quiet_first in any::<bool>(),
    ) {
        let sizes = [rx * 8, tx * 8];
        let mut all: Vec<(DataPath, Pair)> =
            DataPath::supported().map(|path| (path, Pair::new(sizes, path))).collect();
        for step in script {
            let mut wanted = None;
            for (path, pair) in &mut all {
                pair.run(step.clone());
                pair.check();
                let seen = pair.seen();
                let Some(wanted) = &wanted else {
                    wanted = Some(seen);
                    continue;
                };
                prop_assert!(seen == *wanted, "{path} after {step:?}:\n{seen:?}\n{wanted:?}");
            }
        }
        all.into_iter().for_each(|(_, pair)| pair.end(quiet_first));
    }
}
