//! DPDK's driver and its testpmd, as Debian packages them, on our software NIC, and a generator at
//! the far end.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::far::{self, NEAR, number};
use crate::guest::{GENERIC, Guest, comes_true};
use crate::{Boot, Test};

/// A test for the guest with that driver.
const fn test(name: &'static str, run: fn(&Guest)) -> Test {
    crate::test(name, run).boot(Boot::Dpdk).limit(90)
}

pub(crate) const TESTS: &[Test] = &[
    test("dpdk::testpmd_starts_with_its_vector_path", vector),
    test("dpdk::testpmd_starts_with_its_full_path", full),
    test("dpdk::icmpecho_answers_every_ping", icmpecho),
    test("dpdk::macswap_forwards_with_counts_equal", macswap),
    test("dpdk::xstats_agree_with_what_was_sent", xstats),
    test("dpdk::four_queues_share_by_rss", four_queues),
    test("dpdk::it_starts_and_stops_again_and_again", restarts),
];

const SECOND: Duration = Duration::from_secs(1);
/// Where the drivers' log goes, which would come in between.
const LOG: &str = "/tmp/testpmd.log";

/// How it may receive and send.
#[derive(Debug, Clone, Copy)]
struct Path {
    options: &'static str,
    /// What the driver's log says of it.
    says: [&'static str; 2],
}

/// Four descriptors at a time with SSE, no offloads.
const VECTOR: Path =
    Path { options: "--tx-offloads=0", says: ["Vector rx enabled", "Vector tx enabled"] };
/// One at a time, with offloads.
const FULL: Path = Path {
    options: "--rxfreet=16 --enable-rx-cksum --tx-offloads=0x802e",
    says: [
        "Rx Burst Bulk Alloc Preconditions are not satisfied",
        "Using full-featured tx code path",
    ],
};

/// A running testpmd, at its prompt.
struct Testpmd {
    child: Child,
    terminal: File,
    said: Arc<Mutex<String>>,
}

impl Testpmd {
    /// Starts it with a forwarding mode.
    #[track_caller]
    fn start(guest: &Guest, mode: &str, options: &str) -> Self {
        let nic = &guest.nics[0];
        nic.bind(GENERIC);
        // On a pipe it would keep back what it says.
        let (mut ours, mut its) = (0, 0);
        let none = std::ptr::null_mut();
        // SAFETY: both descriptors are ours to be set; no name and no settings.
        let opened =
            unsafe { libc::openpty(&raw mut ours, &raw mut its, none, none.cast(), none.cast()) };
        assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: both are new and nobody else knows them.
        let terminal = File::from(unsafe { OwnedFd::from_raw_fd(ours) });
        // SAFETY: likewise.
        let its = unsafe { OwnedFd::from_raw_fd(its) };
        let arguments = format!(
            "-l 0,1 -n 1 -m 128 --no-telemetry --log-level=pmd.net.ixgbe.init:debug -a {} -- \
             -i --nb-cores=1 --total-num-mbufs=8192 --forward-mode={mode} {options}",
            nic.0
        );
        let child = Command::new("dpdk-testpmd")
            .args(arguments.split_whitespace())
            .stdin(its.try_clone().unwrap())
            .stdout(its)
            .stderr(File::create(LOG).unwrap())
            .spawn()
            .expect("dpdk-testpmd");
        let said = Arc::new(Mutex::new(String::new()));
        let (mut from, to) = (terminal.try_clone().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            let mut room = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut room) {
                to.lock().unwrap().push_str(&String::from_utf8_lossy(&room[..n]));
            }
        });
        let mut testpmd = Self { child, terminal, said };
        let ended = |child: &mut Child| child.try_wait().unwrap().is_some();
        let start = Instant::now();
        while !testpmd.is_at_prompt(0) {
            let late = start.elapsed() > 30 * SECOND;
            assert!(!late && !ended(&mut testpmd.child), "no prompt: {}", testpmd.all_said());
            std::thread::sleep(SECOND / 100);
        }
        testpmd
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// The same with what its drivers logged.
    fn all_said(&self) -> String {
        std::fs::read_to_string(LOG).unwrap_or_default() + &self.said()
    }

    /// Whether it has asked for a command after the first `from` bytes of what it said and a line.
    /// News of the link may come after that.
    fn is_at_prompt(&self, from: usize) -> bool {
        self.said()[from..].split_once('\n').is_some_and(|(_, rest)| rest.contains("testpmd> "))
    }

    /// Gives a command, and what it said to that.
    #[track_caller]
    fn ask(&mut self, command: &str) -> String {
        let from = self.said().len();
        self.terminal.write_all(format!("{command}\n").as_bytes()).unwrap();
        // It repeats the command first.
        let done = || self.is_at_prompt(from);
        assert!(comes_true(10 * SECOND, done), "{command}: {}", self.all_said());
        self.said()[from..].to_owned()
    }

    /// Waits for the link.
    #[track_caller]
    fn link(&mut self) -> String {
        let start = Instant::now();
        loop {
            let text = self.ask("show port info 0");
            if text.contains("Link status: up") {
                assert!(text.contains("Link speed: 10 Gbps"), "{text}");
                return text;
            }
            assert!(start.elapsed() < 10 * SECOND, "no link: {text}");
            std::thread::sleep(SECOND / 5);
        }
    }

    #[track_caller]
    fn quit(mut self) -> String {
        self.terminal.write_all(b"quit\n").unwrap();
        let ended = comes_true(15 * SECOND, || self.said().contains("Bye..."));
        assert!(ended, "{}", self.said());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.all_said());
        self.all_said()
    }
}

impl Drop for Testpmd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The numbers of `show port xstats`.
#[track_caller]
fn xstat(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|l| l.trim().strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().parse().expect("a number")
}

#[track_caller]
fn starts(guest: &Guest, path: Path) {
    let mut testpmd = Testpmd::start(guest, "io", path.options);
    let info = testpmd.link();
    assert!(info.contains("Driver name: net_ixgbe"), "{info}");
    let said = testpmd.all_said();
    for part in path.says {
        assert!(said.contains(part), "no '{part}' in {said}");
    }
    testpmd.ask("start");
    testpmd.ask("stop");
    let said = testpmd.quit();
    for bad in ["rror", "failed"] {
        // It also shows how errors are handled.
        let line = said.lines().find(|l| l.contains(bad) && !l.contains("error handling"));
        assert!(line.is_none(), "{}: {said}", line.unwrap());
    }
}

fn vector(guest: &Guest) {
    starts(guest, VECTOR);
}

fn full(guest: &Guest) {
    starts(guest, FULL);
}

/// The NIC's address, as testpmd shows it.
#[track_caller]
fn mac(info: &str) -> String {
    let line = info.lines().find_map(|l| l.trim().strip_prefix("MAC address: "));
    line.unwrap_or_else(|| panic!("{info}")).trim().to_owned()
}

fn icmpecho(guest: &Guest) {
    for path in [VECTOR, FULL] {
        let mut testpmd = Testpmd::start(guest, "icmpecho", path.options);
        let mac = mac(&testpmd.link());
        testpmd.ask("start");
        // It answers ARP for any address.
        far::ask(&format!("neighbour {NEAR} {mac}"));
        for size in [56, 1472] {
            let text = far::ask(&format!("ping {NEAR} 100 {size} 5"));
            assert_eq!(number(&text, "back"), 100, "{text}");
        }
        testpmd.ask("stop");
        testpmd.quit();
    }
}

const FRAMES: u64 = 10_000;

fn macswap(guest: &Guest) {
    for path in [VECTOR, FULL] {
        let mut testpmd = Testpmd::start(guest, "macswap", path.options);
        let mac = mac(&testpmd.link());
        testpmd.ask("set promisc 0 off");
        testpmd.ask("start");
        let seen = far::ask(&format!("exchange {FRAMES} {mac}"));
        println!("{seen}");
        let counts = ["sent", "back", "wrong"].map(|w| number(&seen, w));
        assert_eq!(counts, [FRAMES, FRAMES, 0]);
        let text = testpmd.ask("show port stats 0");
        let of = |name: &str| number(&text, &format!("{name}:"));
        // It also forwards what else may come.
        for name in ["RX-packets", "TX-packets"] {
            assert!((FRAMES..FRAMES + 5).contains(&of(name)), "{text}");
        }
        assert_eq!((of("RX-missed"), of("RX-errors"), of("TX-errors")), (0, 0, 0), "{text}");
        testpmd.ask("stop");
        testpmd.quit();
    }
}

fn xstats(guest: &Guest) {
    let mut testpmd = Testpmd::start(guest, "macswap", VECTOR.options);
    let mac = mac(&testpmd.link());
    testpmd.ask("set promisc 0 off");
    testpmd.ask("start");
    testpmd.ask("clear port xstats 0");
    let seen = far::ask(&format!("exchange {FRAMES} {mac}"));
    let bytes = number(&seen, "bytes");
    let text = testpmd.ask("show port xstats 0");
    let all = |name: &str| xstat(&text, name);
    assert_eq!([all("rx_good_packets"), all("tx_good_packets")], [FRAMES; 2], "{text}");
    // The NIC counts the frame's checksum, DPDK takes it off again.
    assert_eq!([all("rx_good_bytes"), all("tx_good_bytes")], [bytes; 2], "{text}");
    assert_eq!([all("rx_q0_packets"), all("tx_q0_packets")], [FRAMES; 2], "{text}");
    for way in ["rx", "tx"] {
        let bins: u64 =
            ["64", "65_to_127", "128_to_255", "256_to_511", "512_to_1023", "1024_to_max"]
                .iter()
                .map(|size| all(&format!("{way}_size_{size}_packets")))
                .sum();
        assert_eq!(bins, FRAMES, "{text}");
    }
    // Sizes of 60 to 1514 bytes without the checksum, each as often.
    let share = all("rx_size_1024_to_max_packets") * 100 / FRAMES;
    assert!(share.abs_diff(100 * (1514 - 1020 + 1) / (1514 - 60 + 1)) <= 1, "{share}: {text}");
    for none in
        ["rx_missed_errors", "rx_crc_errors", "rx_errors", "tx_errors", "rx_total_missed_packets"]
    {
        assert_eq!(all(none), 0, "{none}");
    }
    testpmd.ask("stop");
    testpmd.quit();
}

/// Many flows over four queues each way.
fn four_queues(guest: &Guest) {
    let options = "--rxq=4 --txq=4 --rss-udp --tx-offloads=0";
    let mut testpmd = Testpmd::start(guest, "macswap", options);
    let mac = mac(&testpmd.link());
    testpmd.ask("set promisc 0 off");
    // Else the NIC counts all queues as one.
    for queue in 0..4 {
        testpmd.ask(&format!("set stat_qmap rx 0 {queue} {queue}"));
    }
    testpmd.ask("start");
    testpmd.ask("clear port xstats 0");
    for flow in 0..64 {
        far::ask(&format!("frames 5 0 {}", crate::stock::offloads::udp(&mac, 6000 + flow)));
    }
    std::thread::sleep(SECOND / 2);
    let text = testpmd.ask("show port xstats 0");
    let queues: Vec<_> = (0..4).map(|q| xstat(&text, &format!("rx_q{q}_packets"))).collect();
    assert_eq!(queues.iter().sum::<u64>(), 64 * 5, "{queues:?}");
    assert!(queues.iter().all(|n| *n >= 20), "{queues:?}");
    testpmd.ask("stop");
    testpmd.quit();
}

fn restarts(guest: &Guest) {
    let mut testpmd = Testpmd::start(guest, "macswap", VECTOR.options);
    for _ in 0..3 {
        let mac = mac(&testpmd.link());
        testpmd.ask("start");
        let seen = far::ask(&format!("exchange 500 {mac}"));
        assert_eq!(number(&seen, "back"), 500, "{seen}");
        testpmd.ask("stop");
        testpmd.ask("port stop 0");
        testpmd.ask("port start 0");
    }
    testpmd.quit();
}
