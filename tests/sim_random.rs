//! Seeded random runs of the driver on the stepped software NIC, faults on, on every path that this
//! processor has: whatever the device and the application do, no buffer is lost and none has two
//! owners, and all paths do the same.
//!
//! Two owners would show at once: in the owner words (a fault `NotLent`, or a debug assertion), or
//! as bytes that change under a packet.

mod kit;

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::thread;

use barewire::drivers::sim::{Drive, FaultPlan, Inject, Model, SimConfig, SimNic};
use barewire::pool::PoolConfig;
use barewire::port::{DataPath, Port, PortConfig, Queues};
use barewire::{Batch, Error, Mbuf, Mempool, PoolCache};
use kit::on_both;

on_both! {
    no_buffer_is_lost_or_owned_twice,
    packets_of_a_queue_stay_in_order,
    a_seed_means_the_same_run_on_every_path,
}

/// Runs of one test, on each path.
const RUNS: u64 = if cfg!(debug_assertions) { 300 } else { 10_000 };
/// Operations of one run.
const OPERATIONS: usize = 60;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }
    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}

/// Bytes that a packet's number and length determine.
fn pattern(n: u32, len: usize) -> impl Iterator<Item = u8> {
    let head = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5];
    let number = n.to_be_bytes();
    (0..len).map(move |i| match i {
        0..14 => head[i],
        14..18 => number[i - 14],
        _ => (i as u32).wrapping_mul(167).wrapping_add(n.wrapping_mul(31)) as u8,
    })
}

/// Whether the packet is one that was sent, whole.
fn intact(packet: &Mbuf) -> bool {
    let bytes: Vec<u8> = packet.segments().flatten().copied().collect();
    let Some(number) = bytes.get(14..18) else { return false };
    let n = u32::from_be_bytes(number.try_into().expect("four bytes"));
    pattern(n, bytes.len()).eq(bytes.iter().copied())
}

fn number(packet: &Mbuf) -> u32 {
    u32::from_be_bytes(packet.data()[14..18].try_into().expect("four bytes"))
}

/// Adds a packet, with what the device said about it.
fn digest(before: u64, packet: &Mbuf) -> u64 {
    let mut hasher = DefaultHasher::new();
    before.hash(&mut hasher);
    packet.segments().for_each(|s| s.hash(&mut hasher));
    (packet.rss_hash(), packet.vlan(), packet.packet_type().0).hash(&mut hasher);
    let checksums = [packet.ip_checksum(), packet.l4_checksum()];
    checksums.map(|c| c as u8).hash(&mut hasher);
    hasher.finish()
}

/// One run's application.
struct App {
    nic: SimNic,
    port: Port,
    pool: Mempool,
    cache: PoolCache,
    queues: Option<Queues>,
    /// Packets that the application keeps for a while.
    kept: VecDeque<Mbuf>,
    out: Batch,
    sent: u32,
    /// Number of the last packet that came, by queue.
    last: Vec<Option<u32>>,
    lies: bool,
    path: DataPath,
    /// Of all that came, in order.
    digest: u64,
}

impl App {
    fn new(chip: Model, seed: u64, pool: Mempool, path: DataPath) -> Self {
        let mut dice = Dice(seed);
        let mut faults = FaultPlan::default();
        for inject in Inject::all() {
            // A card that is pulled ends the run, so that one is rarer.
            let one_in = if inject == Inject::Removal { 20 } else { 3 };
            if dice.chance(one_in) {
                faults.set(inject, 1.0 / (1 + dice.below(100)) as f64);
            }
        }
        let lies = [Inject::Length, Inject::NoEop].iter().any(|i| faults.has(*i));
        let nic = SimNic::new(&SimConfig {
            chip,
            wire: "loopback".to_owned(),
            drive: Drive::Step,
            seed,
            faults,
            ..SimConfig::default()
        })
        .expect("a software NIC");
        let port = nic.open_port().expect("open");
        let cache = pool.cache();
        let out = Batch::new(16);
        let kept = VecDeque::new();
        let last = Vec::new();
        Self {
            nic,
            port,
            pool,
            cache,
            queues: None,
            kept,
            out,
            sent: 0,
            last,
            lies,
            path,
            digest: 0,
        }
    }

    fn start(&mut self, dice: &mut Dice) -> Result<(), Error> {
        let rx_queues = 1 + dice.below(2) as u16;
        let cfg = PortConfig {
            rx_queues,
            tx_queues: 1 + dice.below(2) as u16,
            rxd: 64,
            txd: 64,
            mtu: if dice.chance(2) { 1500 } else { 6000 },
            drop_when_full: dice.chance(2),
            link_wait: std::time::Duration::ZERO,
            path: Some(self.path),
            ..PortConfig::default()
        };
        self.queues = Some(self.port.start(&cfg, &self.pool)?);
        self.last = vec![None; rx_queues.into()];
        Ok(())
    }

    fn build(&mut self, dice: &mut Dice) -> Option<Mbuf> {
        let longest = if dice.chance(4) { 5000 } else { 600 };
        let len = 60 + dice.below(longest);
        let bytes: Vec<u8> = pattern(self.sent, len).collect();
        let mut packet = self.cache.alloc()?;
        let mut parts = bytes.chunks(700 + dice.below(1300));
        packet.append(parts.next()?).expect("it fits");
        for part in parts {
            let mut more = self.cache.alloc()?;
            more.append(part).expect("it fits");
            packet.chain(more);
        }
        self.sent += 1;
        Some(packet)
    }

    fn send(&mut self, dice: &mut Dice) {
        for _ in 0..dice.below(8) {
            if self.out.room() == 0 {
                break;
            }
            // Forwarding what came is as good as sending what is new.
            let packet = match self.kept.pop_front() {
                Some(p) if dice.chance(3) => Some(p),
                Some(p) => {
                    self.kept.push_back(p);
                    self.build(dice)
                }
                None => self.build(dice),
            };
            match packet {
                Some(p) => self.out.push(p).expect("there is room"),
                None => break,
            }
        }
        let Some(q) = &mut self.queues else { return };
        let n = dice.below(q.tx.len());
        q.tx[n].tx_burst(&mut self.cache, &mut self.out);
        if dice.chance(4) {
            q.tx[n].reclaim(&mut self.cache);
        }
    }

    fn receive(&mut self, dice: &mut Dice) {
        let Some(q) = &mut self.queues else { return };
        let n = dice.below(q.rx.len());
        let mut back = Batch::new(1 + dice.below(32));
        q.rx[n].rx_burst(&mut self.cache, &mut back);
        while let Some(packet) = back.pop() {
            self.digest = digest(self.digest, &packet);
            if !self.lies {
                assert!(intact(&packet), "a packet was changed on its way");
            }
            if self.kept.len() < 40 {
                self.kept.push_back(packet);
            }
        }
    }

    fn run(&mut self, seed: u64) -> Result<(), Error> {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9));
        self.start(&mut dice)?;
        for _ in 0..OPERATIONS {
            match dice.below(12) {
                0..4 => self.send(&mut dice),
                4..7 => self.receive(&mut dice),
                7..10 => {
                    self.nic.step();
                }
                10 => match self.port.stats() {
                    Ok(_) | Err(Error::Device { .. }) => {}
                    Err(e) => return Err(e),
                },
                _ => match dice.below(8) {
                    // Queues may go before the port stops, and after.
                    0 => self.queues = None,
                    1 | 2 => {
                        let stopped = self.port.stop();
                        self.queues = None;
                        stopped?;
                        self.start(&mut dice)?;
                    }
                    3 => self.kept.clear(),
                    4 => self.nic.set_link(dice.chance(2)),
                    5 => self.cache = self.pool.cache(),
                    _ => {}
                },
            }
        }
        self.port.stop()
    }
}

/// All buffers are there again, each once.
fn audit(pool: &Mempool, seed: u64) {
    let mut cache = pool.cache();
    let count = pool.capacity() as usize;
    let mut all = Batch::new(count + 1);
    assert_eq!(cache.alloc_batch(&mut all, count), count, "seed {seed}: buffers were lost");
    let mut places: Vec<_> = all.iter().map(Mbuf::as_ptr).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), count, "seed {seed}: a buffer has two owners");
    assert!(cache.alloc().is_none(), "seed {seed}: a buffer too many");
}

fn no_buffer_is_lost_or_owned_twice(chip: Model) {
    // Each path in a thread of its own.
    thread::scope(|s| {
        DataPath::supported().for_each(|path| drop(s.spawn(move || runs(chip, path))))
    });
}

fn runs(chip: Model, path: DataPath) {
    // One pool for all: what one run loses, the next ones miss.
    let pool = Mempool::new(&PoolConfig { count: 600, ..PoolConfig::default() }).expect("a pool");
    let mut gone = 0;
    for seed in 0..RUNS {
        let mut app = App::new(chip, seed, pool.clone(), path);
        match app.run(seed) {
            Ok(()) => {}
            Err(Error::Gone { .. }) => gone += 1,
            Err(e) => panic!("{path}, seed {seed}: {e}"),
        }
        assert_eq!(app.nic.truth().unexplained(), 0, "{path}, seed {seed}");
        drop(app);
        audit(&pool, seed);
    }
    assert!(gone > 0 && gone < RUNS / 4, "{gone} of {RUNS} runs ended with the card pulled");
}

fn packets_of_a_queue_stay_in_order(chip: Model) {
    let paths: Vec<DataPath> = DataPath::supported().collect();
    for seed in 0..RUNS / 10 {
        let mut dice = Dice(seed);
        let path = paths[seed as usize % paths.len()];
        let pool =
            Mempool::new(&PoolConfig { count: 600, ..PoolConfig::default() }).expect("a pool");
        let mut app = App::new(chip, 0, pool, path);
        app.nic = SimNic::new(&SimConfig {
            chip,
            wire: "loopback".to_owned(),
            drive: Drive::Step,
            seed,
            faults: FaultPlan::parse("late,overrun,damage,flap").expect("faults"),
            ..SimConfig::default()
        })
        .expect("a software NIC");
        app.port = app.nic.open_port().expect("open");
        app.start(&mut dice).expect("start");
        let mut last = None;
        for _ in 0..OPERATIONS {
            app.send(&mut dice);
            app.nic.step();
            let q = app.queues.as_mut().expect("started");
            let mut back = Batch::new(32);
            // Everything sent from one queue, unhashed, arrives on queue 0.
            q.tx.truncate(1);
            q.rx[0].rx_burst(&mut app.cache, &mut back);
            for packet in back.iter() {
                let n = number(packet);
                assert!(last.is_none_or(|l| n > l), "seed {seed}: {n} after {last:?}");
                last = Some(n);
            }
        }
        assert!(last.is_some(), "seed {seed}");
    }
}

fn a_seed_means_the_same_run_on_every_path(chip: Model) {
    let record = |seed, path| {
        let pool =
            Mempool::new(&PoolConfig { count: 600, ..PoolConfig::default() }).expect("a pool");
        let mut app = App::new(chip, seed, pool, path);
        let end = app.run(seed).map_err(|e| std::mem::discriminant(&e));
        (app.nic.truth(), app.nic.faults(), app.sent, app.digest, end)
    };
    for seed in 0..40 {
        let scalar = record(seed, DataPath::Scalar);
        for path in DataPath::supported() {
            assert_eq!(record(seed, path), scalar, "{path}, seed {seed}");
        }
    }
}
