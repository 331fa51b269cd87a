//! Two NICs of ours on one wire: every byte of every frame is checked, both ways at once.
//!
//! QEMU's receiver loses frames without counting them when its rings are full, and an 82599 has
//! only so much room for frames that no ring has taken yet; so a sender stays at most a window
//! ahead of what arrived.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use barewire::mem::Backing;
use barewire::pool::PoolConfig;
use barewire::port::{MacAddr, Queues};
use barewire::{Batch, Mbuf, Mempool, Port, PortConfig};

use crate::guest::{GENERIC, Guest, Nic};
use crate::{Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("traffic::a_million_frames_of_all_sizes_both_ways_over_four_queues", million).limit(120),
    test("traffic::jumbo_frames_as_chains", jumbo_chains),
    test("traffic::jumbo_frames_in_one_buffer", jumbo_buffers),
    test("traffic::all_receive_queues_get_their_share", all_queues),
    test("traffic::a_port_starts_and_stops_again_and_again", restarts),
];

/// Descriptors under way in one direction: fewer than one receive ring has.
const WINDOW: u32 = 400;
const BURST: usize = 32;
/// Bytes under way in one direction when another burst may be sent: with that burst, less than an
/// 82599's packet buffer of 512 KiB.
const ROOM: usize = 128 << 10;
const FLOWS: u32 = 64;
/// Ethernet, IPv4, UDP.
const HEADERS: usize = 42;
const LONGEST: usize = 9014;

/// What to send each way.
#[derive(Debug, Clone)]
struct Plan {
    frames: u32,
    sizes: std::ops::RangeInclusive<usize>,
    queues: u16,
    mtu: u16,
    room: u16,
}

impl Plan {
    /// Of frame `n`: goes through all sizes, with a step that has no factor in common with their
    /// number.
    fn len(&self, n: u32) -> usize {
        let count = self.sizes.end() - self.sizes.start() + 1;
        self.sizes.start() + (n as usize * 7) % count
    }
}

/// Makes frame number `n` of a direction, the same at both ends. Its flow decides the queues.
#[derive(Debug)]
struct Maker {
    plan: Plan,
    from: MacAddr,
    to: MacAddr,
    bytes: Vec<u8>,
    frame: Vec<u8>,
}

impl Maker {
    fn new(plan: &Plan, from: MacAddr, to: MacAddr) -> Self {
        let mut rng = fastrand::Rng::with_seed(u64::from(from.0[5]) + 1);
        let bytes = (0..LONGEST + 65_536).map(|_| rng.u8(..)).collect();
        Self { plan: plan.clone(), from, to, bytes, frame: vec![0; LONGEST] }
    }

    /// Runs of a burst share a flow, so that they can go out on one queue.
    fn flow(n: u32) -> u32 {
        n / BURST as u32 % FLOWS
    }

    fn make(&mut self, n: u32) -> &[u8] {
        let len = self.plan.len(n);
        let flow = Self::flow(n) as u8;
        let f = &mut self.frame[..len];
        f[..6].copy_from_slice(&self.to.0);
        f[6..12].copy_from_slice(&self.from.0);
        f[12..14].copy_from_slice(&[8, 0]);
        let ip = (len - 14) as u16;
        f[14..24].copy_from_slice(&[0x45, 0, (ip >> 8) as u8, ip as u8, 0, 0, 0, 0, 64, 17]);
        f[24..34].copy_from_slice(&[0, 0, 10, 1, flow, 1, 10, 2, 0, flow]);
        let sum: u32 = f[14..34].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        f[24..26].copy_from_slice(&sum.to_be_bytes());
        f[34..42].copy_from_slice(&[4, flow, 0, 9, 0, 0, 0, 0]);
        f[38..40].copy_from_slice(&(ip - 20).to_be_bytes());
        let at = n as usize * 31 % 65_536;
        f[HEADERS..].copy_from_slice(&self.bytes[at..at + len - HEADERS]);
        f[HEADERS..HEADERS + 4].copy_from_slice(&n.to_be_bytes());
        f
    }
}

/// What one side saw.
#[derive(Debug)]
struct Seen {
    have: Vec<bool>,
    /// The last frame of each flow, and the queue that the flow came in on.
    flows: Vec<Option<(u32, usize)>>,
    queues: Vec<u32>,
    chains: u32,
    /// A chain's bytes in one piece.
    gathered: Vec<u8>,
}

impl Seen {
    fn new(plan: &Plan, queues: usize) -> Self {
        Self {
            have: vec![false; plan.frames as usize],
            flows: vec![None; FLOWS as usize],
            queues: vec![0; queues],
            chains: 0,
            gathered: Vec::new(),
        }
    }

    /// Checks one frame against what was sent.
    fn check(&mut self, packet: &Mbuf, maker: &mut Maker, queue: usize) {
        let data = if packet.is_chain() {
            self.chains += 1;
            self.gathered.clear();
            packet.segments().for_each(|s| self.gathered.extend_from_slice(s));
            &self.gathered[..]
        } else {
            packet.data()
        };
        assert!(data.len() >= HEADERS + 4, "a frame of {} bytes", data.len());
        let n = u32::from_be_bytes(data[HEADERS..HEADERS + 4].try_into().unwrap());
        assert!(n < maker.plan.frames, "frame {n} was never sent");
        let expected = maker.make(n);
        if data != expected {
            let at = data.iter().zip(expected).position(|(a, b)| a != b);
            panic!("frame {n}: {} bytes of {}, byte {at:?} differs", data.len(), expected.len());
        }
        assert!(!std::mem::replace(&mut self.have[n as usize], true), "frame {n} came twice");
        if let Some((last, on)) = self.flows[Maker::flow(n) as usize].replace((n, queue)) {
            assert!(last < n, "frame {n} came after {last} of its flow");
            assert_eq!(on, queue, "frame {n} came in on another queue than its flow");
        }
        self.queues[queue] += 1;
    }
}

/// A frame in as many buffers as it needs.
fn packet(cache: &mut barewire::PoolCache, frame: &[u8], room: usize) -> Option<Mbuf> {
    let mut parts = frame.chunks(room);
    let mut first = cache.alloc()?;
    first.append(parts.next()?).unwrap();
    for part in parts {
        let mut more = cache.alloc()?;
        more.append(part).unwrap();
        first.chain(more);
    }
    Some(first)
}

/// How many frames arrived, by direction.
type Arrived = [AtomicU32; 2];

/// One port's thread: sends direction `way` and receives the other.
fn side(
    way: usize,
    queues: Queues,
    pool: &Mempool,
    (mut out, mut back): (Maker, Maker),
    arrived: &Arrived,
) -> Seen {
    let Queues { mut rx, mut tx } = queues;
    let plan = out.plan.clone();
    let mut seen = Seen::new(&plan, rx.len());
    let mut cache = pool.cache();
    let (mut sending, mut received) = (Batch::new(BURST), Batch::new(BURST));
    let (mut sent, mut got) = (0, 0);
    let window = (WINDOW / plan.sizes.end().div_ceil(usize::from(plan.room)) as u32)
        .min((ROOM / plan.sizes.end()) as u32);
    let mut last = Instant::now();
    while sent < plan.frames || got < plan.frames || !sending.is_empty() {
        let mut did = 0;
        let most = plan.frames.min(arrived[way].load(Ordering::Acquire) + window);
        if sending.is_empty() && sent < most {
            while sending.room() > 0 && sent < most {
                let frame = out.make(sent);
                let Some(p) = packet(&mut cache, frame, usize::from(plan.room)) else { break };
                sending.push(p).unwrap();
                sent += 1;
                if sent.is_multiple_of(BURST as u32) {
                    break;
                }
            }
        }
        if !sending.is_empty() {
            // All of a batch are of one flow.
            let queue = Maker::flow(sent - 1) as usize % tx.len();
            did += tx[queue].tx_burst(&mut cache, &mut sending);
        }
        for (i, queue) in rx.iter_mut().enumerate() {
            let n = queue.rx_burst(&mut cache, &mut received);
            for p in received.iter() {
                seen.check(p, &mut back, i);
            }
            cache.free_batch(&mut received);
            got += n as u32;
            did += n;
        }
        arrived[1 - way].store(got, Ordering::Release);
        if did > 0 {
            last = Instant::now();
        } else {
            assert!(
                last.elapsed() < Duration::from_secs(5),
                "way {way}: nothing for 5 s; sent {sent}, received {got} of {}",
                plan.frames
            );
            std::thread::yield_now();
        }
    }
    assert!(seen.have.iter().all(|h| *h));
    seen
}

/// Opens and starts both ports on a pool of their own.
fn start(names: [&str; 2], plan: &Plan) -> ([Port; 2], [Queues; 2], Mempool) {
    let pool = Mempool::new(&PoolConfig {
        count: 2 * u32::from(plan.queues) * 1024 + 4096,
        room: plan.room,
        backing: Backing::for_device(),
        ..PoolConfig::default()
    })
    .unwrap();
    let config = PortConfig {
        rx_queues: plan.queues,
        tx_queues: plan.queues,
        mtu: plan.mtu,
        promiscuous: false,
        ..PortConfig::default()
    };
    let mut ports = names.map(|n| Port::open(n).unwrap());
    let queues = ports.each_mut().map(|p| p.start(&config, &pool).unwrap());
    for (port, name) in ports.iter_mut().zip(names) {
        let (link, nic) = (port.link().unwrap(), Nic(name.to_owned()));
        assert!(link.up && link.speed_mbps == nic.mbps(), "{link}");
    }
    (ports, queues, pool)
}

/// Carries out a plan both ways and gives what the two sides saw.
fn both_ways(names: [&str; 2], plan: &Plan) -> [Seen; 2] {
    let (mut ports, queues, pool) = start(names, plan);
    let macs = ports.each_ref().map(|p| p.mac());
    let arrived = Arrived::default();
    let start = Instant::now();
    let seen = std::thread::scope(|s| {
        let [a, b] = queues;
        let maker = |way: usize| Maker::new(plan, macs[way], macs[1 - way]);
        let (pool, arrived) = (&pool, &arrived);
        let a = s.spawn(move || side(0, a, pool, (maker(0), maker(1)), arrived));
        let b = s.spawn(move || side(1, b, pool, (maker(1), maker(0)), arrived));
        [a, b].map(|t| t.join().expect("a side failed"))
    });
    let secs = start.elapsed().as_secs_f64();
    let bytes: u64 = (0..plan.frames).map(|n| plan.len(n) as u64).sum();
    println!("{} frames, {} MB each way in {secs:.1} s", plan.frames, bytes / 1_000_000);
    for port in &mut ports {
        let stats = port.stats().unwrap();
        let frames = u64::from(plan.frames);
        assert_eq!((stats.tx_packets, stats.rx_packets), (frames, frames), "{stats:?}");
        assert_eq!((stats.tx_bytes, stats.rx_bytes), (bytes, bytes), "{stats:?}");
        let lost = stats.rx_crc_errors + stats.rx_length_errors + stats.rx_missed;
        assert_eq!(lost + stats.rx_no_descriptor, 0, "{stats:?}");
        port.stop().unwrap();
    }
    seen
}

/// Whether frames get through at all: a few of all sizes both ways.
pub(crate) fn some(guest: &Guest) {
    back_to_back(guest, &Plan { frames: 2_000, ..ORDINARY });
}

fn back_to_back(guest: &Guest, plan: &Plan) -> [Seen; 2] {
    let [a, b, ..] = &guest.nics[..] else { unreachable!() };
    a.bind(GENERIC);
    b.bind(GENERIC);
    both_ways([&a.0, &b.0], plan)
}

const ORDINARY: Plan = Plan { frames: 500_000, sizes: 60..=1514, queues: 4, mtu: 1500, room: 2048 };

fn million(guest: &Guest) {
    for seen in back_to_back(guest, &ORDINARY) {
        println!("by queue: {:?}", seen.queues);
        assert!(seen.queues.iter().all(|n| *n > 0), "RSS leaves a queue out: {:?}", seen.queues);
        assert_eq!(seen.chains, 0);
    }
}

fn jumbo_chains(guest: &Guest) {
    let plan = Plan { frames: 20_000, sizes: 60..=LONGEST, queues: 2, mtu: 9000, room: 2048 };
    for seen in back_to_back(guest, &plan) {
        assert!(seen.chains > plan.frames / 2, "{} chains", seen.chains);
    }
}

fn jumbo_buffers(guest: &Guest) {
    let plan = Plan { frames: 20_000, sizes: 60..=LONGEST, queues: 1, mtu: 9000, room: 9216 };
    for seen in back_to_back(guest, &plan) {
        assert_eq!(seen.chains, 0);
    }
}

fn all_queues(guest: &Guest) {
    let [a, b, ..] = &guest.nics[..] else { unreachable!() };
    a.bind(GENERIC);
    let queues = Port::open(&a.0).unwrap().info().max_rx_queues;
    b.bind(GENERIC);
    let seen = both_ways([&a.0, &b.0], &Plan { frames: 20_000, queues, ..ORDINARY });
    for seen in seen {
        println!("by queue: {:?}", seen.queues);
        // 64 flows: some queue may have none by chance, half of them may not.
        let used = seen.queues.iter().filter(|n| **n > 0).count();
        assert!(used > usize::from(queues) / 2, "{:?}", seen.queues);
    }
}

fn restarts(guest: &Guest) {
    let [a, b, ..] = &guest.nics[..] else { unreachable!() };
    a.bind(GENERIC);
    b.bind(GENERIC);
    let before = crate::guest::free_pages();
    for queues in [1, 4, 2] {
        both_ways([&a.0, &b.0], &Plan { frames: 1_000, queues, ..ORDINARY });
        assert!(!a.mastering() && !b.mastering());
        assert_eq!(crate::guest::memory_files(), Vec::<std::path::PathBuf>::new());
        assert_eq!(crate::guest::free_pages(), before);
    }
}
