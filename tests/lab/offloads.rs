//! What one NIC of ours lets in and says of a frame, sent by another: filters, VLAN tags, RSS,
//! lengths and checksums, judged by a model of the chip that nobody here wrote.

use std::time::{Duration, Instant};

use barewire::mem::Backing;
use barewire::pool::{Checksum, PoolConfig};
use barewire::port::{MacAddr, Queues, RSS_KEY_SYMMETRIC, RssConfig};
use barewire::{Batch, Mempool, Port, PortConfig};

use crate::guest::{GENERIC, Guest, kind};
use crate::{Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("offloads::addresses_decide_what_comes_in", addresses),
    test("offloads::vlan_tags_are_taken_out_or_left", vlan_tags),
    test("offloads::the_hash_and_the_table_decide_the_queue", spreading),
    test("offloads::frames_beyond_the_mtu_stay_out", lengths),
    test("offloads::checksums_are_judged", checksums),
];

const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x77]);
const GROUP: MacAddr = MacAddr([1, 0, 0x5e, 0, 0, 5]);

/// A frame as it arrived.
#[derive(Debug)]
struct Came {
    queue: usize,
    data: Vec<u8>,
    vlan: Option<u16>,
    hash: Option<u32>,
    sums: [Checksum; 2],
}

/// Two NICs of ours, the first of which sends and the second receives.
struct Pair {
    ports: [Port; 2],
    queues: [Queues; 2],
    pool: Mempool,
}

impl Pair {
    fn new(guest: &Guest, config: PortConfig) -> Self {
        let [a, b, ..] = &guest.nics[..] else { unreachable!() };
        a.bind(GENERIC);
        b.bind(GENERIC);
        let pool = PoolConfig { count: 8192, backing: Backing::for_device(), ..Default::default() };
        let pool = Mempool::new(&pool).unwrap();
        let mut ports = [&a.0, &b.0].map(|n| Port::open(n).unwrap());
        let sender = PortConfig { mtu: 1600, ..PortConfig::default() };
        let [one, two] = &mut ports;
        let queues = [one.start(&sender, &pool).unwrap(), two.start(&config, &pool).unwrap()];
        Self { ports, queues, pool }
    }

    /// Sends frames, and gives those that came before a broadcast that is sent last.
    fn carry(&mut self, frames: &[Vec<u8>]) -> Vec<Came> {
        let [Queues { tx, .. }, Queues { rx, .. }] = &mut self.queues;
        let mut cache = self.pool.cache();
        let mark = ethernet(MacAddr::BROADCAST, &[0x88, 0xb5], b"the last one");
        let mut batch = Batch::new(frames.len() + 1);
        for frame in frames.iter().chain([&mark]) {
            let mut packet = cache.alloc().unwrap();
            packet.append(frame).unwrap();
            batch.push(packet).unwrap();
        }
        while !batch.is_empty() {
            tx[0].tx_burst(&mut cache, &mut batch);
        }
        let (mut came, mut received) = (Vec::new(), Batch::new(64));
        let start = Instant::now();
        let mut rounds_after_mark = 0;
        while rounds_after_mark < 2 {
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "the last frame never came: {came:?}"
            );
            let mut marked = rounds_after_mark > 0;
            for (queue, rx) in rx.iter_mut().enumerate() {
                rx.rx_burst(&mut cache, &mut received);
                while let Some(p) = received.pop() {
                    if p.data() == mark {
                        marked = true;
                        continue;
                    }
                    came.push(Came {
                        queue,
                        data: p.data().to_vec(),
                        vlan: p.vlan(),
                        hash: p.rss_hash(),
                        sums: [p.ip_checksum(), p.l4_checksum()],
                    });
                }
            }
            rounds_after_mark += u32::from(marked);
        }
        came
    }

    /// Whether a frame for an address comes in.
    fn lets_in(&mut self, to: MacAddr) -> bool {
        let frame = ethernet(to, &[0x88, 0xb5], b"let me in");
        let came = self.carry(std::slice::from_ref(&frame));
        assert!(came.iter().all(|c| c.data == frame), "{came:?}");
        assert!(came.len() <= 1, "{came:?}");
        !came.is_empty()
    }
}

/// A frame of at least 60 bytes; `kind` is the EtherType, with VLAN tags in front of it.
fn ethernet(to: MacAddr, kind: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut frame = to.0.to_vec();
    frame.extend([2, 0, 0, 0, 0, 0x55]);
    frame.extend(kind);
    frame.extend(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// One's-complement sum of 16-bit words.
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Addresses and ports of a UDP flow, in the order in which they are hashed.
type Flow = [u8; 12];

fn flow(n: u8) -> Flow {
    [10, 1, n, 1, 10, 2, 0, n, 4, n, 0x1f, 0x90]
}

/// A UDP packet with right checksums.
fn udp(flow: Flow, payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    ip[2..4].copy_from_slice(&(20 + len).to_be_bytes());
    ip.extend(&flow[..8]);
    let check = !sum(&ip);
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    let mut pseudo = flow[..8].to_vec();
    pseudo.extend([0, 17]);
    pseudo.extend(len.to_be_bytes());
    let mut udp = flow[8..].to_vec();
    udp.extend(len.to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(payload);
    let check = !sum(&[pseudo, udp.clone()].concat());
    udp[6..8].copy_from_slice(&check.to_be_bytes());
    [ip, udp].concat()
}

/// The Toeplitz hash: the key's 32 bits from each set bit's place on, all exclusive-ored.
fn toeplitz(key: &[u8; 40], input: &[u8]) -> u32 {
    let bit = |bytes: &[u8], n: usize| bytes[n / 8] >> (7 - n % 8) & 1;
    let window = |at: usize| (at..at + 32).fold(0, |w, n| w << 1 | u32::from(bit(key, n)));
    (0..input.len() * 8).filter(|n| bit(input, *n) == 1).fold(0, |hash, n| hash ^ window(n))
}

fn addresses(guest: &Guest) {
    let narrow = PortConfig { promiscuous: false, allmulticast: false, ..PortConfig::default() };
    let mut pair = Pair::new(guest, narrow);
    let own = pair.ports[1].mac();
    let all = [own, OTHER, GROUP, MacAddr::BROADCAST];
    let see = |pair: &mut Pair, wanted: [bool; 4], what: &str| {
        assert_eq!(all.map(|to| pair.lets_in(to)), wanted, "{what}");
    };
    see(&mut pair, [true, false, false, true], "its own and broadcasts");
    pair.ports[1].set_allmulticast(true).unwrap();
    see(&mut pair, [true, false, true, true], "and every multicast");
    pair.ports[1].set_promiscuous(true).unwrap();
    see(&mut pair, [true; 4], "everything");
    pair.ports[1].set_promiscuous(false).unwrap();
    pair.ports[1].set_allmulticast(false).unwrap();
    pair.ports[1].set_mac(OTHER).unwrap();
    see(&mut pair, [false, true, false, true], "its new address");
}

fn vlan_tags(guest: &Guest) {
    let tagged = ethernet(OTHER, &[0x81, 0, 0x60, 0x2a, 0x88, 0xb5], b"tagged");
    let plain = ethernet(OTHER, &[0x88, 0xb5], b"plain, and long enough to need no padding at all");
    let without = [&tagged[..12], &tagged[16..]].concat();
    for strip in [true, false] {
        let mut pair = Pair::new(guest, PortConfig { vlan_strip: strip, ..PortConfig::default() });
        let came = pair.carry(&[tagged.clone(), plain.clone()]);
        assert_eq!(came.len(), 2, "{came:?}");
        let (data, vlan) = if strip { (&without, Some(0x602a)) } else { (&tagged, None) };
        assert_eq!((&came[0].data, came[0].vlan), (data, vlan));
        assert_eq!((&came[1].data, came[1].vlan), (&plain, None));
    }
}

fn spreading(guest: &Guest) {
    let key: [u8; 40] = std::array::from_fn(|i| (i as u8).wrapping_mul(37).wrapping_add(11));
    let odd = RssConfig { key, reta: vec![3, 1, 1, 2, 0, 3, 2] };
    for rss in [odd, RssConfig { key: RSS_KEY_SYMMETRIC, reta: Vec::new() }] {
        let config = PortConfig { rx_queues: 4, rss: rss.clone(), ..PortConfig::default() };
        let mut pair = Pair::new(guest, config);
        let packets: Vec<_> =
            (0..64).map(|n| ethernet(OTHER, &[8, 0], &udp(flow(n), b"x"))).collect();
        let came = pair.carry(&packets);
        assert_eq!(came.len(), packets.len());
        for frame in came {
            let hash = toeplitz(&rss.key, &frame.data[26..38]);
            assert_eq!(frame.hash, Some(hash), "{:02x?}", &frame.data[26..38]);
            let entry = hash as usize % 128;
            let queue = match &rss.reta[..] {
                [] => entry % 4,
                table => usize::from(table[entry % table.len()]),
            };
            assert_eq!(frame.queue, queue, "hash {hash:#x}");
        }
        // What is no IP packet is not spread.
        let came = pair.carry(&[ethernet(OTHER, &[0x88, 0xb5], b"no hash")]);
        assert_eq!(came[0].queue, 0);
    }
}

fn lengths(guest: &Guest) {
    let mut pair = Pair::new(guest, PortConfig { mtu: 1000, ..PortConfig::default() });
    // Room for two VLAN tags, whatever the frame.
    let sizes = [60, 1000 + 14, 1000 + 14 + 8, 1000 + 14 + 8 + 1, 1500];
    let frames = sizes.map(|n| ethernet(OTHER, &[0x88, 0xb5], &vec![7; n - 14]));
    let came: Vec<_> = pair.carry(&frames).iter().map(|c| c.data.len()).collect();
    assert_eq!(came, sizes[..3]);
}

fn checksums(guest: &Guest) {
    let good = ethernet(OTHER, &[8, 0], &udp(flow(1), b"right in all that is summed up"));
    let (mut bad_ip, mut bad_udp) = (good.clone(), good.clone());
    bad_ip[24] ^= 1;
    bad_udp[60] ^= 1;
    let mut pair = Pair::new(guest, PortConfig::default());
    let came = pair.carry(&[good, bad_ip, bad_udp, ethernet(OTHER, &[0x88, 0xb5], b"nothing")]);
    let sums: Vec<_> = came.iter().map(|c| c.sums).collect();
    assert_eq!(sums[0], [Checksum::Good; 2]);
    assert_eq!(sums[1][0], Checksum::Bad);
    // An 82599 is not believed about UDP: to one without a checksum it says the same (erratum).
    let bad = if kind().chip == "82599" { Checksum::Unknown } else { Checksum::Bad };
    assert_eq!(sums[2], [Checksum::Good, bad]);
    assert_eq!(sums[3], [Checksum::Unknown; 2]);
}
