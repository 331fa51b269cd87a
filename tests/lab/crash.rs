//! What a driver's sudden death leaves: a silent NIC, and memory that nobody writes to.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use barewire::mem::{Backing, CHUNK, Mapping};
use barewire::pool::PoolConfig;
use barewire::{Batch, Mempool, Port, PortConfig};

use crate::guest::{
    AtEnd, GENERIC, Guest, Nic, comes_true, free_pages, has_link, kind, memory_files, put, reserve,
    run,
};
use crate::{Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("crash::killed_twenty_times_under_traffic", killed).limit(120),
    test("crash::the_canaries_of_that_test_do_notice_dma", control),
    test("crash::a_nic_left_running_is_silenced_at_the_next_start", left_running),
    test("crash::a_panic_stops_the_nic", panicked),
];

const SECOND: Duration = Duration::from_secs(1);
/// Frames that must arrive before a receiver says so.
const FEW: usize = 300;

/// Receives for ever, and says so once frames arrive. Then stops, panics, or goes on.
pub(crate) fn receive(args: &[String]) -> ExitCode {
    let pool = Mempool::new(&PoolConfig {
        count: 2048,
        backing: Backing::for_device(),
        ..PoolConfig::default()
    })
    .unwrap();
    let mut port = Port::open(&args[0]).unwrap();
    let mut queues = port.start(&PortConfig::default(), &pool).unwrap();
    let mut cache = pool.cache();
    let mut batch = Batch::new(32);
    let mut got = 0;
    loop {
        let n = queues.rx[0].rx_burst(&mut cache, &mut batch);
        cache.free_batch(&mut batch);
        let before = got;
        got += n;
        if before < FEW && got >= FEW {
            println!("receiving");
            match args.get(1).map(String::as_str) {
                Some("panic") => panic!("as the test asked for"),
                Some("stop") => break,
                _ => {}
            }
        }
    }
    port.stop().unwrap();
    ExitCode::SUCCESS
}

/// A receiver in its own process, which has received.
fn receiver(nic: &Nic, then: &str) -> Child {
    let mut child = Command::new("/bin/lab")
        .args(["receive", &nic.0, then])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "receiving\n");
    child
}

/// Sends to NIC 1 through Linux's driver on NIC 0, without a pause. While NIC 1 may not do DMA,
/// QEMU holds frames back, and they arrive as soon as it may.
fn flood<R>(guest: &Guest, then: impl FnOnce(&Nic) -> R) -> R {
    let [a, b, ..] = &guest.nics[..] else { unreachable!() };
    [a, b].iter().for_each(|n| n.bind(kind().driver));
    let mac = b.text(&format!("net/{}/address", b.interface()));
    b.bind(GENERIC);
    let i = a.interface();
    run(&format!("ip addr add 10.9.0.1/24 dev {i}; ip link set {i} up"));
    assert!(comes_true(10 * SECOND, || has_link(&i)), "{i} has no link");
    run(&format!("arp -s 10.9.0.2 {mac}"));
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        s.spawn(|| {
            let socket = UdpSocket::bind("10.9.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            while !stop.load(Ordering::Relaxed) {
                if socket.send_to(&[0x5a; 1400], "10.9.0.2:9").is_err() {
                    std::thread::sleep(SECOND / 1000);
                }
            }
        });
        let _stop = AtEnd(&stop);
        then(b)
    })
}

/// All free hugepages, filled with their own address. What takes that for descriptors is led to
/// the same pages.
struct Canaries {
    memory: Mapping,
    canary: u64,
}

impl Canaries {
    fn new() -> Self {
        let memory = Mapping::new(&Backing::HugeMemfd, free_pages() * CHUNK, None).unwrap();
        assert_eq!(free_pages(), 0);
        let canary = physical(memory.as_ptr().addr());
        let canaries = Self { memory, canary };
        for word in canaries.words() {
            // SAFETY: inside the mapping, which these canaries have for themselves.
            unsafe { word.write_volatile(canary) };
        }
        canaries
    }

    fn words(&self) -> impl Iterator<Item = *mut u64> {
        (0..self.memory.len() / 8).map(|i| self.memory.as_ptr().cast::<u64>().wrapping_add(i))
    }

    /// How many words are something else, after the NIC had its chance to write.
    fn dead(&self) -> usize {
        std::thread::sleep(SECOND / 5);
        // SAFETY: inside the mapping.
        self.words().filter(|word| unsafe { word.read_volatile() } != self.canary).count()
    }
}

/// Where a page of this process is (the kernel's admin-guide/mm/pagemap.rst: the frame's number is
/// in the lower 55 bits).
fn physical(address: usize) -> u64 {
    let mut entry = [0; 8];
    let map = std::fs::File::open("/proc/self/pagemap").unwrap();
    map.read_exact_at(&mut entry, address as u64 / 4096 * 8).unwrap();
    (u64::from_ne_bytes(entry) & ((1 << 55) - 1)) * 4096
}

/// What the next start does, without the start: the dead process's memory goes to others.
fn free_memory() {
    for file in memory_files() {
        std::fs::remove_file(file).unwrap();
    }
}

/// Turns bus mastering on behind everybody's back.
fn force_mastering(nic: &Nic) {
    let file = std::fs::OpenOptions::new().write(true).open(nic.path("config")).unwrap();
    let command = (nic.command() | 4).to_le_bytes();
    std::os::unix::fs::FileExt::write_all_at(&file, &command, 4).unwrap();
    assert!(nic.mastering());
}

fn killed(guest: &Guest) {
    reserve(0, 12).unwrap();
    reserve(1, 12).unwrap();
    let before = free_pages();
    flood(guest, |nic| {
        for round in 1..=20 {
            let mut child = receiver(nic, "");
            assert!(nic.mastering() && free_pages() < before, "round {round}");
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(!nic.mastering(), "round {round}: it can still do DMA");
            assert!(free_pages() < before, "round {round}: the memory went first");
            free_memory();
            assert_eq!(free_pages(), before, "round {round}");
            assert_eq!(Canaries::new().dead(), 0, "round {round}: freed memory was written to");
        }
        let mut child = receiver(nic, "stop");
        assert!(child.wait().unwrap().success());
        assert!(!nic.mastering());
    });
    assert_eq!((free_pages(), memory_files().len()), (before, 0));
}

/// Without the kernel's help the same canaries do not live: the test above can fail.
fn control(guest: &Guest) {
    reserve(0, 12).unwrap();
    reserve(1, 12).unwrap();
    flood(guest, |nic| {
        let mut child = receiver(nic, "");
        child.kill().unwrap();
        child.wait().unwrap();
        free_memory();
        let canaries = Canaries::new();
        assert_eq!(canaries.dead(), 0);
        force_mastering(nic);
        // A frame must come for that, which on a busy host may take its time.
        let dead = (0..50).map(|_| canaries.dead()).find(|dead| *dead > 0).unwrap_or(0);
        assert!(dead > 0, "the NIC had nothing to write in ten seconds");
        println!("{dead} words");
        // Silenced by whoever opens it next, before its memory is given back.
        drop(nic.open().unwrap());
        assert!(!nic.mastering());
    });
}

fn left_running(guest: &Guest) {
    let before = free_pages();
    flood(guest, |nic| {
        for _ in 0..3 {
            let mut child = receiver(nic, "");
            child.kill().unwrap();
            child.wait().unwrap();
            // As if somebody else held the node, so that the kernel did not turn it off: the NIC
            // goes on receiving, into the dead one's memory.
            force_mastering(nic);
            assert_eq!(memory_files().len(), 2, "rings and buffers");
            std::thread::sleep(SECOND / 10);

            let mut child = receiver(nic, "stop");
            assert!(child.wait().unwrap().success());
            assert_eq!((free_pages(), memory_files().len()), (before, 0));
        }
    });
}

fn panicked(guest: &Guest) {
    let before = free_pages();
    flood(guest, |nic| {
        let mut child = receiver(nic, "panic");
        assert_eq!(child.wait().unwrap().code(), Some(101));
        assert!(!nic.mastering());
        assert_eq!((free_pages(), memory_files().len()), (before, 0));
        // Stopped by ourselves, not by the kernel at the close: the receiver is off.
        nic.unbind();
        put("/sys/bus/pci/drivers_probe", &nic.0).unwrap();
    });
}
