//! The tools, with PCI addresses, and Linux's own driver and network stack at the far end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use barewire::pcap::{Reader, Writer};
use serde_json::Value;

use crate::guest::{GENERIC, Guest, Netns, Nic, comes_true, free_pages, kind, memory_files, run};
use crate::memory::node_of;
use crate::{Boot, Test};

/// A test for the guest of scripts and tools.
const fn test(name: &'static str, run: fn(&Guest)) -> Test {
    crate::test(name, run).boot(Boot::Tools)
}

pub(crate) const TESTS: &[Test] = &[
    test("tools::a_nic_of_the_kernels_is_refused_with_exit_code_2", refused).kernel(),
    test("tools::pktgen_sends_from_one_nic_to_the_other", pktgen),
    test("tools::pktgen_through_forward", through_forward),
    test("tools::a_capture_of_a_replayed_file_is_that_file", replay),
    test("tools::signals_end_them_in_order", signals),
    test("tools::one_that_sleeps_wakes_when_its_nic_is_taken_away", taken_away),
    test("tools::a_second_one_on_a_nic_is_refused_and_harms_nothing", second),
    test("tools::a_page_that_moves_ends_it", moved_page),
    test("kernel::arp_and_ping_of_every_size_to_echo", ping).kernel().limit(60),
    test("kernel::twenty_megabytes_of_tcp_through_forward", tcp).limit(90),
];

const SECOND: Duration = Duration::from_secs(1);

/// A tool at work.
#[derive(Debug)]
pub(crate) struct Tool {
    child: Child,
    name: String,
    out: PathBuf,
    err: PathBuf,
}

impl Tool {
    pub(crate) fn start(name: &str, args: &[&str]) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let file = |what: &str| PathBuf::from(format!("/tmp/{name}-{n}.{what}"));
        let (out, err) = (file("out"), file("err"));
        let child = Command::new(format!("/bin/bw-{name}"))
            .args(args)
            .args(["--json", "--quiet"])
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap();
        Self { child, name: format!("{name} {args:?}"), out, err }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn said(&self) -> String {
        let read = |p: &Path| fs::read_to_string(p).unwrap_or_default();
        format!("{}: {}{}", self.name, read(&self.err), read(&self.out))
    }

    /// Waits for its end.
    #[track_caller]
    fn code(&mut self) -> i32 {
        let deadline = Instant::now() + 25 * SECOND;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or_else(|| panic!("{status}: {}", self.said()));
            }
            assert!(Instant::now() < deadline, "does not end: {}", self.said());
            std::thread::sleep(SECOND / 100);
        }
    }

    /// Waits for a good end, and gives the summary.
    #[track_caller]
    pub(crate) fn summary(mut self) -> Value {
        let code = self.code();
        assert_eq!(code, 0, "{}", self.said());
        let out = fs::read_to_string(&self.out).unwrap();
        let last = out.lines().last().unwrap_or_else(|| panic!("no summary: {}", self.said()));
        serde_json::from_str(last).unwrap()
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: a system call without pointers, on a child that was not waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Ends it the way Ctrl-C does.
    #[track_caller]
    pub(crate) fn stop(self) -> Value {
        self.signal(libc::SIGINT);
        self.summary()
    }
}

/// Whether every packet was received as it was sent, and all are accounted for.
#[track_caller]
pub(crate) fn assert_clean(s: &Value, packets: u64) {
    assert_eq!((&s["tx_packets"], &s["rx_packets"]), (&packets.into(), &packets.into()), "{s}");
    assert_eq!((&s["tx_bytes"], &s["errors"]), (&s["rx_bytes"], &0.into()), "{s}");
    assert_eq!((&s["dropped"], &s["reconciles"]), (&0.into(), &true.into()), "{s}");
    assert_eq!(s["application"]["good"], packets, "{s}");
}

fn refused(guest: &Guest) {
    let nic = &guest.nics[1];
    for (name, args) in [
        ("capture", &[nic.0.as_str()][..]),
        ("echo", &[&nic.0, "--ip", "10.9.0.2"]),
        ("forward", &[&guest.nics[2].0, &nic.0]),
        ("pktgen", &[&nic.0, &guest.nics[0].0]),
    ] {
        let mut tool = Tool::start(name, args);
        assert_eq!(tool.code(), 2, "{}", tool.said());
        let why = format!("bound to the kernel driver {}", kind().driver);
        assert!(tool.said().contains(&why), "{}", tool.said());
    }
    let kernels = |n: &Nic| n.driver().as_deref() == Some(kind().driver);
    assert!(guest.nics.iter().all(|n| kernels(n) && n.mastering()));
}

fn pktgen(guest: &Guest) {
    let [a, b, ..] = &guest.nics[..] else { unreachable!() };
    a.bind(GENERIC);
    b.bind(GENERIC);
    for extra in [
        &["--size", "64", "--threads", "1"][..],
        &["--size", "64-1518", "--queues", "4", "--src-ip", "10.0.0.0/24", "--threads", "1"],
        &["--size", "64-9018", "--threads", "1"],
        &["--size", "64-1518", "--rate", "5kpps", "--rxd", "4096", "--threads", "2"],
    ] {
        // QEMU's receiver loses what it has no room for and counts nothing. One thread that sends
        // and receives in turns leaves room; two need a rate that outlasts a busy host's pauses.
        let args = [&[&a.0, &b.0, "--count", "20000"], extra].concat();
        assert_clean(&Tool::start("pktgen", &args).summary(), 20_000);
    }
    assert_eq!(memory_files(), Vec::<PathBuf>::new());
}

fn through_forward(guest: &Guest) {
    let [a, b, c, d] = &guest.nics[..] else { unreachable!() };
    guest.nics.iter().for_each(|n| n.bind(GENERIC));
    let forward = Tool::start("forward", &[&b.0, &c.0, "--rxd", "4096"]);
    assert!(comes_true(10 * SECOND, || b.mastering() && c.mastering()), "{}", forward.said());
    std::thread::sleep(SECOND);
    let size = ["--size", "64-1518", "--rxd", "4096"];
    let args = [&[&a.0, &d.0, "--count", "10000", "--rate", "5kpps"][..], &size].concat();
    assert_clean(&Tool::start("pktgen", &args).summary(), 10_000);
    let s = forward.stop();
    assert_eq!((&s["rx_packets"], &s["tx_packets"]), (&10_000.into(), &10_000.into()), "{s}");
    assert_eq!(
        (&s["errors"], &s["dropped"], &s["reconciles"]),
        (&0.into(), &0.into(), &true.into())
    );
    assert!(guest.nics.iter().all(|n| !n.mastering()));
}

fn replay(guest: &Guest) {
    let [a, b, ..] = &guest.nics[..] else { unreachable!() };
    a.bind(GENERIC);
    b.bind(GENERIC);
    let mut rng = fastrand::Rng::with_seed(11);
    let frames: Vec<Vec<u8>> = (0..500)
        .map(|_| {
            let len = rng.usize(60..=1514);
            let mut f: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
            f[..14].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
            f
        })
        .collect();
    let mut w = Writer::create(Path::new("/tmp/record.pcap"), 65535).unwrap();
    for (i, f) in frames.iter().enumerate() {
        w.write(1_700_000_000_000_000_000 + 1000 * i as u64, f).unwrap();
    }
    w.finish().unwrap();
    let capture = Tool::start("capture", &[&b.0, "-w", "/tmp/got.pcap", "-n", "500", "-t", "20"]);
    assert!(comes_true(10 * SECOND, || b.mastering()), "{}", capture.said());
    std::thread::sleep(SECOND);
    let args = ["--pcap", "/tmp/record.pcap", &a.0, "--mode", "txonly", "--rate", "5kpps"];
    let sent = Tool::start("pktgen", &args).summary();
    assert_eq!(sent["tx_packets"], 500, "{sent}");
    let s = capture.summary();
    assert_eq!(s["rx_packets"], 500, "{s}");
    let mut got = Reader::open(Path::new("/tmp/got.pcap")).unwrap();
    for (i, f) in frames.iter().enumerate() {
        let record = got.next().unwrap().expect("a record");
        assert!(record.data == f.as_slice(), "frame {i} differs");
    }
    assert!(got.next().unwrap().is_none());
}

fn signals(guest: &Guest) {
    let [_, b, c, _] = &guest.nics[..] else { unreachable!() };
    b.bind(GENERIC);
    c.bind(GENERIC);
    let before = free_pages();
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let forward = Tool::start("forward", &[&b.0, &c.0]);
        assert!(comes_true(10 * SECOND, || b.mastering() && c.mastering()), "{}", forward.said());
        assert!(free_pages() < before);
        forward.signal(signal);
        forward.summary();
        assert!(!b.mastering() && !c.mastering());
        assert_eq!((free_pages(), memory_files().len()), (before, 0));
    }
}

fn taken_away(guest: &Guest) {
    let [_, b, c, _] = &guest.nics[..] else { unreachable!() };
    b.bind(GENERIC);
    c.bind(GENERIC);
    let args = [&b.0, &c.0, "--idle", "sleep", "--idle-timeout", "10000"];
    let mut forward = Tool::start("forward", &args);
    assert!(comes_true(10 * SECOND, || b.mastering() && c.mastering()), "{}", forward.said());
    std::thread::sleep(SECOND);
    c.unbind();
    let start = Instant::now();
    assert_eq!(forward.code(), 1, "{}", forward.said());
    assert!(start.elapsed() < 3 * SECOND);
    let said = forward.said();
    assert!(said.contains(&format!("{} is gone", c.0)) && said.contains("unbound"), "{said}");
    assert!(!b.mastering(), "the other one was stopped in order");
}

fn second(guest: &Guest) {
    let [_, b, c, d] = &guest.nics[..] else { unreachable!() };
    [b, c, d].iter().for_each(|n| n.bind(GENERIC));
    let first = Tool::start("forward", &[&b.0, &c.0]);
    assert!(comes_true(10 * SECOND, || b.mastering() && c.mastering()), "{}", first.said());
    let mut second = Tool::start("forward", &[&d.0, &c.0]);
    assert_eq!(second.code(), 2, "{}", second.said());
    assert!(second.said().contains("in use by another process"), "{}", second.said());
    assert!(b.mastering() && c.mastering() && !d.mastering());
    std::thread::sleep(2 * SECOND);
    first.stop();
}

/// Whoever moves a page under a NIC's DMA, the tool stops that DMA within its next look.
fn moved_page(guest: &Guest) {
    let [_, b, c, _] = &guest.nics[..] else { unreachable!() };
    b.bind(GENERIC);
    c.bind(GENERIC);
    let mut forward = Tool::start("forward", &[&b.0, &c.0]);
    assert!(comes_true(10 * SECOND, || b.mastering() && c.mastering()), "{}", forward.said());
    std::thread::sleep(SECOND);
    let maps = fs::read_to_string(format!("/proc/{}/maps", forward.pid())).unwrap();
    let line = maps.lines().find(|l| l.contains("/dev/hugepages/barewire")).expect("its memory");
    let at = usize::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
    let pid = forward.pid() as i32;
    let other = 1 - node_of(pid, at, None);
    // The kernel gives up when the page is busy for a moment.
    assert!(comes_true(10 * SECOND, || node_of(pid, at, Some(other)) == other));
    assert_eq!(forward.code(), 1, "{}", forward.said());
    assert!(forward.said().contains("the kernel moved the DMA page"), "{}", forward.said());
    assert!(!b.mastering() && !c.mastering());
}

/// Linux's driver on NIC 0 and `echo` on NIC 1.
fn ping(guest: &Guest) {
    let [a, b, ..] = &guest.nics[..] else { unreachable!() };
    let mac = fs::read_to_string(b.path("net").join(b.interface()).join("address")).unwrap();
    b.bind(GENERIC);
    let echo = Tool::start("echo", &[&b.0, "--ip", "10.9.0.2/24"]);
    let space = Netns::new(a, "10.9.0.1/24");
    let answered = || space.sh("ping -c 1 -W 1 10.9.0.2").0;
    assert!(comes_true(10 * SECOND, answered), "{}", echo.said());
    let neighbours = space.run("cat /proc/net/arp");
    assert!(neighbours.contains(mac.trim()), "{neighbours}");
    let text = space.run("lab pings 10.9.0.2 56 1472");
    println!("{}", text.trim());
    let text = space.run("ping -c 20 -i 0.05 -s 1472 -q 10.9.0.2");
    assert!(text.contains("20 packets received, 0% packet loss"), "{text}");
    let s = echo.stop();
    let answers = s["tx_packets"].as_u64().unwrap();
    assert!(answers >= 1472 - 56 + 1 + 20, "{s}");
    assert_eq!(s["reconciles"], true, "{s}");
    // QEMU lets Linux send its ARP request unpadded, and counts it as short when it takes it.
    let short = if kind().driver == "igb" { s["application"]["arp"].clone() } else { 0.into() };
    assert_eq!((&s["errors"], &s["application"]["refused"]), (&short, &0.into()));
}

/// One ping of each size from `args`; each must come back, byte for byte. The
/// helper of `ping`, in a namespace.
pub(crate) fn pings(args: &[String]) -> ExitCode {
    let to: std::net::SocketAddr = format!("{}:0", args[0]).parse().unwrap();
    let (first, last): (usize, usize) = (args[1].parse().unwrap(), args[2].parse().unwrap());
    let socket = crate::ping::socket().unwrap();
    socket.set_read_timeout(Some(3 * SECOND)).unwrap();
    let mut slowest = Duration::ZERO;
    for size in first..=last {
        let mut request = vec![8, 0, 0, 0, 0, 0, (size >> 8) as u8, size as u8];
        request.extend((0..size).map(|i| (i * 7 + size) as u8));
        let start = Instant::now();
        socket.send_to(&request, to).unwrap();
        let mut answer = vec![0; 2000];
        let n = socket.recv(&mut answer).unwrap_or_else(|e| panic!("size {size}: {e}"));
        slowest = slowest.max(start.elapsed());
        assert_eq!((answer[0], n), (0, request.len()), "size {size}");
        assert!(answer[6..n] == request[6..], "size {size}: other bytes came back");
    }
    println!("{} pings answered, the slowest after {slowest:?}", last - first + 1);
    ExitCode::SUCCESS
}

/// Linux's driver at both ends, each in its own namespace, and `forward` in between.
fn tcp(guest: &Guest) {
    let [a, b, c, d] = &guest.nics[..] else { unreachable!() };
    b.bind(GENERIC);
    c.bind(GENERIC);
    let forward = Tool::start("forward", &[&b.0, &c.0]);
    let near = Netns::new(a, "10.9.0.1/24");
    let far = Netns::new(d, "10.9.0.2/24");
    let answered = || near.sh("ping -c 1 -W 1 10.9.0.2").0;
    assert!(comes_true(10 * SECOND, answered), "{}", forward.said());

    run("dd if=/dev/urandom of=/tmp/sent bs=1M count=20 2>/dev/null");
    for (from, to, at) in [(&near, &far, "10.9.0.2:5001"), (&far, &near, "10.9.0.1:5001")] {
        let mut server = to.start(&format!("lab serve {at} /tmp/got"));
        assert!(comes_true(5 * SECOND, || to.run("netstat -ltn").contains(":5001")));
        let start = Instant::now();
        from.run(&format!("lab send {at} /tmp/sent"));
        assert!(server.wait().unwrap().success());
        println!("20 MB to {at} in {:.1} s", start.elapsed().as_secs_f64());
        let sum = |file| run(&format!("sha256sum < {file}"));
        assert_eq!(sum("/tmp/sent"), sum("/tmp/got"));
    }
    let s = forward.stop();
    assert_eq!(s["reconciles"], true, "{s}");
    assert!(s["rx_packets"].as_u64().unwrap() > 2 * 20 * 1024 * 1024 / 1514, "{s}");
}

/// Takes one connection and writes what comes into a file; the helper of `tcp`.
pub(crate) fn serve(args: &[String]) -> ExitCode {
    let listener = std::net::TcpListener::bind(&args[0]).unwrap();
    let (mut from, _) = listener.accept().unwrap();
    std::io::copy(&mut from, &mut File::create(&args[1]).unwrap()).unwrap();
    ExitCode::SUCCESS
}

/// Sends a file, and waits until the other end has it all.
pub(crate) fn send(args: &[String]) -> ExitCode {
    let mut to = std::net::TcpStream::connect(&args[0]).unwrap();
    std::io::copy(&mut File::open(&args[1]).unwrap(), &mut to).unwrap();
    to.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(std::io::Read::read(&mut to, &mut [0]).unwrap(), 0);
    ExitCode::SUCCESS
}
