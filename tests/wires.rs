//! The drivers and the software NICs on every kind of wire, end to end.

mod kit;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use barewire::drivers::sim::{Model, SimNic};
use barewire::pcap::{Reader, Writer};
use barewire::port::{FlowControl, Port, PortConfig, Queues};
use barewire::{Batch, Mempool, PoolCache};
use kit::{on_both, pool};

on_both! {
    a_slow_receiver_without_flow_control_misses_frames_and_counts_them,
    flow_control_holds_the_sender_back_and_nothing_is_missed,
    a_capture_goes_through_a_nic_and_comes_out_the_same,
    a_generator_reaches_every_queue_with_every_frame,
}

fn stepped(chip: Model, wire: &str) -> (SimNic, Port) {
    let nic = kit::nic(chip, wire, |_| {});
    let port = nic.open_port().expect("open");
    (nic, port)
}

fn frame(n: u32, length: usize) -> Vec<u8> {
    let mut frame = vec![n as u8; length];
    frame[..6].copy_from_slice(&[0xff; 6]);
    frame[6..14].copy_from_slice(&[2, 0, 0, 0, 0, 9, 0x88, 0xb5]);
    frame[14..18].copy_from_slice(&n.to_be_bytes());
    frame
}

fn number(frame: &[u8]) -> u32 {
    u32::from_be_bytes([frame[14], frame[15], frame[16], frame[17]])
}

fn top_up(out: &mut Batch, cache: &mut PoolCache, next: &mut u32, end: u32, length: usize) {
    while out.room() > 0 && *next < end {
        let Some(mut packet) = cache.alloc() else { break };
        packet.append(&frame(*next, length)).expect("it fits");
        out.push(packet).expect("room");
        *next += 1;
    }
}

/// Frames wait in the FIFO for a descriptor.
fn patient() -> PortConfig {
    PortConfig { drop_when_full: false, ..PortConfig::default() }
}

const FRAMES: u32 = 2_000;

/// Sends [`FRAMES`] over a cable to a receiver that runs far too seldom. Returns the numbers that
/// arrived.
fn overrun(chip: Model, name: &str, flow_control: FlowControl) -> (Vec<u32>, Port, Port) {
    let wire = format!("cable:{name}-{},fifo=65536", chip.name());
    let ((nic_a, mut a), (nic_b, mut b)) = (stepped(chip, &wire), stepped(chip, &wire));
    let cfg = PortConfig { flow_control, ..patient() };
    let pool = pool(4096);
    let mut qb = b.start(&cfg, &pool).expect("start");
    let mut qa = a.start(&cfg, &pool).expect("start");
    assert!(a.link().expect("link").up && b.link().expect("link").up);
    let mut cache = pool.cache();
    let (mut out, mut back) = (Batch::new(64), Batch::new(64));
    let (mut next, mut came) = (0, Vec::new());
    for round in 0..1_000_000 {
        top_up(&mut out, &mut cache, &mut next, FRAMES, 1_000);
        qa.tx[0].tx_burst(&mut cache, &mut out);
        nic_a.step();
        if round % 20 == 0 {
            nic_b.step();
        }
        qb.rx[0].rx_burst(&mut cache, &mut back);
        came.extend(back.iter().map(|packet| number(packet.data())));
        back.clear();
        let idle = next == FRAMES && out.is_empty() && qa.tx[0].reclaim(&mut cache) == 0;
        if idle && qa.tx[0].in_flight() < 64 && nic_a.truth().sent == u64::from(FRAMES) {
            break;
        }
    }
    for _ in 0..100 {
        nic_b.step();
        qb.rx[0].rx_burst(&mut cache, &mut back);
        came.extend(back.iter().map(|packet| number(packet.data())));
        back.clear();
    }
    assert_eq!((nic_a.faults(), nic_b.faults()), (vec![], vec![]));
    (came, a, b)
}

fn a_slow_receiver_without_flow_control_misses_frames_and_counts_them(chip: Model) {
    let (came, mut a, mut b) = overrun(chip, "overrun", FlowControl::Off);
    let (sent, received) = (a.stats().expect("stats"), b.stats().expect("stats"));
    assert_eq!(sent.tx_packets, u64::from(FRAMES));
    assert!(received.rx_missed > 0, "nothing was missed, so this tests nothing");
    assert_eq!(came.len() as u64 + received.rx_missed, u64::from(FRAMES));
    assert!(came.is_sorted_by(|x, y| x < y));
    assert_eq!((sent.pause_rx, received.pause_tx), (0, 0));
}

fn flow_control_holds_the_sender_back_and_nothing_is_missed(chip: Model) {
    let (came, mut a, mut b) = overrun(chip, "pause", FlowControl::Full);
    let (sent, received) = (a.stats().expect("stats"), b.stats().expect("stats"));
    assert_eq!(received.rx_missed, 0);
    assert!(came == (0..FRAMES).collect::<Vec<_>>(), "{} came", came.len());
    assert!(sent.pause_rx > 0 && received.pause_tx > 0, "{sent:?} {received:?}");
}

#[test]
fn two_threads_each_run_one_end_of_a_cable() {
    const FRAMES: u32 = 20_000;
    let spec = "sim:82599?wire=cable:two-threads";
    let (mut a, mut b) = (Port::open(spec).expect("open"), Port::open(spec).expect("open"));
    let cfg = PortConfig { flow_control: FlowControl::Full, ..patient() };
    let pool = pool(8192);
    let mut qb = b.start(&cfg, &pool).expect("start");
    let mut qa = a.start(&cfg, &pool).expect("start");
    assert!(a.link().expect("link").up && b.link().expect("link").up);
    let done = std::sync::atomic::AtomicBool::new(false);
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut came, mut wrong) = (0, false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut cache = pool.cache();
            let (mut out, mut next) = (Batch::new(32), 0);
            while !done.load(std::sync::atomic::Ordering::Relaxed) && Instant::now() < deadline {
                top_up(&mut out, &mut cache, &mut next, FRAMES, 200);
                if qa.tx[0].tx_burst(&mut cache, &mut out) == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let (mut cache, mut back) = (pool.cache(), Batch::new(32));
        while came < FRAMES && !wrong && Instant::now() < deadline {
            if qb.rx[0].rx_burst(&mut cache, &mut back) == 0 {
                std::thread::yield_now();
            }
            wrong |= back.iter().zip(came..).any(|(packet, n)| packet.data() != frame(n, 200));
            came += back.len() as u32;
            back.clear();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!((came, wrong), (FRAMES, false));
}

fn records(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = Reader::open(path).expect("a capture");
    let mut frames = Vec::new();
    while let Some(record) = reader.next().expect("a whole capture") {
        frames.push(record.data.to_vec());
    }
    frames
}

/// Forwards what `port` receives back out of it until its wire is silent.
fn reflect(nic: &SimNic, q: &mut Queues, pool: &Mempool) -> usize {
    let (mut cache, mut batch, mut silent, mut seen) = (pool.cache(), Batch::new(64), 0, 0);
    for _ in 0..100_000 {
        nic.step();
        for (rx, tx) in q.rx.iter_mut().zip(&mut q.tx) {
            let came = rx.rx_burst(&mut cache, &mut batch);
            seen += came;
            silent = if came == 0 { silent + 1 } else { 0 };
            for _ in 0..1_000 {
                tx.tx_burst(&mut cache, &mut batch);
                nic.step();
                if batch.is_empty() {
                    break;
                }
            }
        }
        if silent > 100 {
            break;
        }
    }
    seen
}

fn a_capture_goes_through_a_nic_and_comes_out_the_same(chip: Model) {
    let dir = tempfile::tempdir().expect("a directory");
    let (input, output) = (dir.path().join("in.pcap"), dir.path().join("out.pcap"));
    let mut writer = Writer::create(&input, 65_535).expect("create");
    let frames: Vec<_> = (0..1_000u32).map(|n| frame(n, 60 + n as usize % 1_400)).collect();
    for (at, frame) in frames.iter().enumerate() {
        writer.write(at as u64 * 1_000, frame).expect("write");
    }
    writer.finish().expect("finish");
    for pace in ["max", "recorded"] {
        let wire = format!("pcap:in={},out={},pace={pace}", input.display(), output.display());
        let (nic, mut port) = stepped(chip, &wire);
        let pool = pool(2048);
        let mut q = port.start(&patient(), &pool).expect("start");
        assert_eq!(reflect(&nic, &mut q, &pool), frames.len(), "{pace}");
        assert_eq!((nic.faults(), nic.violations()), (vec![], vec![]));
        port.stop().expect("stop");
        drop((q, port, nic));
        assert!(records(&output) == frames, "{pace}");
    }
}

#[test]
fn a_damaged_capture_becomes_a_fault_of_the_nic() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("in.pcap");
    let mut writer = Writer::create(&path, 65_535).expect("create");
    for n in 0..3 {
        writer.write(0, &frame(n, 100)).expect("write");
    }
    writer.finish().expect("finish");
    let bytes = std::fs::read(&path).expect("read");
    std::fs::write(&path, &bytes[..bytes.len() - 10]).expect("write");
    let (nic, mut port) = stepped(Model::I82599, &format!("pcap:in={}", path.display()));
    let pool = pool(2048);
    let mut q = port.start(&PortConfig::default(), &pool).expect("start");
    assert_eq!(reflect(&nic, &mut q, &pool), 2);
    let faults: Vec<_> = nic.faults().iter().map(ToString::to_string).collect();
    assert!(faults.len() == 1 && faults[0].contains("at byte 256"), "{faults:?}");
}

fn a_generator_reaches_every_queue_with_every_frame(chip: Model) {
    let (nic, mut port) = stepped(chip, "gen:count=5000,flows=64,size=128");
    let cfg = PortConfig { rx_queues: 4, tx_queues: 4, ..PortConfig::default() };
    let pool = pool(8192);
    let mut q = port.start(&cfg, &pool).expect("start");
    let (mut cache, mut back) = (pool.cache(), Batch::new(64));
    let (mut seen, mut per_queue) = (vec![0u8; 5_000], [0u32; 4]);
    for _ in 0..10_000 {
        nic.step();
        for (rx, count) in q.rx.iter_mut().zip(&mut per_queue) {
            rx.rx_burst(&mut cache, &mut back);
            for packet in back.iter() {
                assert_eq!(packet.len(), 128);
                // The stamp's sequence number, behind Ethernet, IPv4, UDP, and eight bytes.
                let seq = packet.data()[50..58].try_into().expect("eight bytes");
                seen[u64::from_be_bytes(seq) as usize] += 1;
                *count += 1;
            }
            back.clear();
        }
    }
    assert!(seen.iter().all(|n| *n == 1));
    assert!(per_queue.iter().all(|n| *n > 200), "{per_queue:?}");
}

/// Two network namespaces that go away with this.
struct Namespaces([String; 2]);

fn ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).output().is_ok_and(|out| out.status.success())
}

impl Namespaces {
    /// `None` when this process may not make them.
    fn new() -> Option<Self> {
        let names = ["a", "b"].map(|side| format!("bwwires-{}-{side}", std::process::id()));
        let made = Self(names);
        made.0.iter().all(|name| ip(&["netns", "add", name])).then_some(made)
    }

    /// This test program, running one of the tests below inside.
    fn run(&self, side: usize, test: &str) -> Child {
        Command::new("ip")
            .args(["netns", "exec", &self.0[side]])
            .arg(std::env::current_exe().expect("this program"))
            .args(["--exact", test, "--nocapture"])
            .env(ROLE, test)
            .stdout(Stdio::null())
            .spawn()
            .expect("a process inside")
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            ip(&["netns", "del", name]);
        }
    }
}

/// Set for the processes inside the namespaces: they run these two, which otherwise do nothing.
const ROLE: &str = "BAREWIRE_WIRES_ROLE";
const SERVER: &str = "10.77.0.2:7777";
const BYTES: usize = 4 << 20;

fn content() -> Vec<u8> {
    (0..BYTES as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn is_role(role: &str) -> bool {
    std::env::var(ROLE).is_ok_and(|set| set == role)
}

#[test]
fn tcp_server_inside() {
    if !is_role("tcp_server_inside") {
        return;
    }
    let listener = TcpListener::bind(SERVER).expect("bind");
    let (mut peer, _) = listener.accept().expect("accept");
    let mut got = Vec::new();
    peer.read_to_end(&mut got).expect("read");
    let same = got == content();
    peer.write_all(if same { b"same" } else { b"diff" }).expect("answer");
}

#[test]
fn tcp_client_inside() {
    if !is_role("tcp_client_inside") {
        return;
    }
    // The server and the forwarder start at the same time as this.
    let connected = (0..200).find_map(|_| {
        let address = SERVER.parse().expect("an address");
        let connected = TcpStream::connect_timeout(&address, Duration::from_secs(1));
        if connected.is_err() {
            std::thread::sleep(Duration::from_millis(50));
        }
        connected.ok()
    });
    let mut peer = connected.expect("a connection");
    peer.write_all(&content()).expect("write");
    peer.shutdown(Shutdown::Write).expect("shut down");
    let mut answer = String::new();
    peer.read_to_string(&mut answer).expect("read");
    assert_eq!(answer, "same");
}

/// Two kernels' TCP, each behind a tap and a software NIC, one of each kind, with this process forwarding between
/// the two NICs: nothing arrives unless checksums, lengths and order are right.
#[test]
fn tcp_between_two_namespaces_is_forwarded_unharmed() {
    let Some(spaces) = Namespaces::new() else { return };
    let open = |side: usize| {
        let (chip, space) = (["82599", "82576"][side], &spaces.0[side]);
        Port::open(&format!("sim:{chip}?wire=tap:bw0@{space},up=on"))
    };
    let Ok(mut a) = open(0) else { return };
    let mut b = open(1).expect("the second as the first");
    for (name, address) in spaces.0.iter().zip(["10.77.0.1/24", "10.77.0.2/24"]) {
        assert!(ip(&["-n", name, "address", "add", address, "dev", "bw0"]));
    }
    let pool = pool(4096);
    let cfg = PortConfig { promiscuous: true, ..PortConfig::default() };
    let mut qa = a.start(&cfg, &pool).expect("start");
    let mut qb = b.start(&cfg, &pool).expect("start");
    let mut server = spaces.run(1, "tcp_server_inside");
    let mut client = spaces.run(0, "tcp_client_inside");

    let mut cache = pool.cache();
    let (mut to_a, mut to_b) = (Batch::new(32), Batch::new(32));
    let deadline = Instant::now() + Duration::from_secs(60);
    let finished = loop {
        for _ in 0..1_000 {
            qa.rx[0].rx_burst(&mut cache, &mut to_b);
            qb.tx[0].tx_burst(&mut cache, &mut to_b);
            qb.rx[0].rx_burst(&mut cache, &mut to_a);
            qa.tx[0].tx_burst(&mut cache, &mut to_a);
        }
        if let Some(status) = client.try_wait().expect("wait") {
            break Some(status);
        }
        if Instant::now() > deadline {
            break None;
        }
    };
    for child in [&mut client, &mut server] {
        let _ = child.kill();
        let _ = child.wait();
    }
    assert!(finished.is_some_and(|status| status.success()), "{finished:?}");
    let (a, b) = (a.stats().expect("stats"), b.stats().expect("stats"));
    assert!(a.rx_bytes > BYTES as u64 && b.tx_bytes > BYTES as u64, "{a:?} {b:?}");
}
