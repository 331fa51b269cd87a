//! Streams and copies through Linux's driver, and what the far end says of them.

use std::net::UdpSocket;

use serde_json::Value;

use super::ethtool::value;
use super::{SECOND, Up, set};
use crate::Test;
use crate::far::{self, FAR, number};
use crate::guest::{Guest, run, sh};
use crate::streams::{self, Way};

pub(crate) const TESTS: &[Test] = &[
    set("stock::streams_both_ways_lose_nothing", streams).limit(120),
    set("stock::a_copy_of_200_megabytes_there_is_equal", copy_there).limit(120),
    set("stock::a_copy_of_200_megabytes_back_is_equal", copy_back).limit(120),
    set("stock::the_far_end_sees_right_checksums_only", checksums).limit(120),
];

/// One run of iperf3 and what it says at the end; `None` if it lost its own control connection.
///
/// Its client and server agree on the end of a run over a connection of their own, and under load
/// the server's kernel was seen to reset that: it does where a server closes before it has read
/// all. That says nothing of the NIC, which neither makes nor changes segments: what it carried is
/// compared byte for byte by `streams` and the copies, where a reset is a failure.
fn try_iperf(options: &str) -> Option<Value> {
    // It ends without success when it has an error to tell.
    let (_, text) = sh(&format!("iperf3 -c {FAR} -J {options}"));
    let said: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    match said["error"].as_str() {
        None => Some(said["end"].clone()),
        Some(why) if why.contains("control message") || why.contains("control socket") => {
            println!("iperf3 {options}: {why}");
            None
        }
        Some(why) => panic!("{why}: {text}"),
    }
}

/// Some bytes on two connections, each way.
#[track_caller]
pub(crate) fn short() {
    streams::both_ways(FAR, 2, 2 << 20);
}

/// Frames that came and went, by the NIC's own count and the far end's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frames {
    nic: [u64; 2],
    far: [u64; 2],
    /// What either says that it dropped.
    dropped: u64,
}

impl Frames {
    /// Once none are under way any more.
    #[track_caller]
    fn settled(up: &Up) -> Self {
        let mut last = Self::now(up);
        for _ in 0..50 {
            std::thread::sleep(SECOND / 5);
            let now = Self::now(up);
            if now == last {
                return now;
            }
            last = now;
        }
        panic!("frames come and go without an end: {last:?}");
    }

    fn now(up: &Up) -> Self {
        let (far, nic) = (far::ask("counters"), up.ethtool("-S", ""));
        let of = |name: &str| value(&nic, name).parse::<u64>().expect("a number");
        let drops = ["rx_missed_errors", "rx_no_dma_resources", "rx_csum_offload_errors"];
        Self {
            nic: ["tx_pkts_nic", "rx_pkts_nic"].map(of),
            far: ["rx_packets", "tx_packets"].map(|c| number(&far, c)),
            dropped: drops.map(of).iter().sum::<u64>() + number(&far, "tx_dropped"),
        }
    }
}

/// What both ends' TCP counted in /proc/net/netstat: this one's and the far one's.
#[derive(Debug)]
struct Tcp([String; 2]);

impl Tcp {
    fn now() -> Self {
        Self([std::fs::read_to_string("/proc/net/netstat").unwrap(), far::ask("tcp")])
    }

    /// A counter at one end: a line has the names, the next one the numbers.
    #[track_caller]
    fn of(&self, end: usize, name: &str) -> u64 {
        let mut lines = self.0[end].lines().filter(|l| l.starts_with("TcpExt:"));
        let (names, numbers) = (lines.next().unwrap(), lines.next().unwrap());
        let at = names.split(' ').position(|n| n == name).unwrap_or_else(|| panic!("{names}"));
        numbers.split(' ').nth(at).unwrap().parse().expect("a number")
    }
}

/// Turns on what there is.
fn all_offloads(up: &Up) {
    up.ethtool("-K", "rx on tx on sg on tso on gso on gro on lro on rxhash on");
}

/// Eight streams each way. What is sent again was lost or overtaken, or thought lost because a busy
/// host was late. No frame may be missing but those that somebody says he dropped, and without
/// such only a few may be overtaken. What was sent again though it had come is what the receiver
/// says that it had twice (RFC 2883).
pub(crate) fn streams(guest: &Guest) {
    let up = Up::new(guest);
    all_offloads(&up);
    // While there are no rules of the user's, the driver has Flow Director send a flow after the
    // process that answers it; what comes to the new queue then overtakes what is in the old one.
    up.ethtool("-K", "ntuple on");
    up.link();
    up.ping();
    for (way, [from, to]) in [("", [0, 1]), ("-R", [1, 0])] {
        let run = || {
            let (before, tcp) = (Frames::settled(&up), Tcp::now());
            try_iperf(&format!("-P 8 -t 2 {way}")).map(|end| (before, tcp, end))
        };
        // Once more only for the reason that is told there.
        let once_more = || {
            println!("once more");
            std::thread::sleep(2 * SECOND);
            run()
        };
        let (before, tcp, end) = run().or_else(once_more).expect("iperf3 came to its end");
        let (after, tcp_after) = (Frames::settled(&up), Tcp::now());
        let [late, overtaken] = [(from, "TCPDSACKRecvSegs"), (to, "TCPOFOQueue")]
            .map(|(end, name)| tcp_after.of(end, name) - tcp.of(end, name));
        let again = end["sum_sent"]["retransmits"].as_u64().expect("a number");
        let bits = end["sum_received"]["bits_per_second"].as_f64().unwrap();
        let dropped = after.dropped - before.dropped;
        println!(
            "{way}: {:.0} Mbit/s, {again} sent again, {dropped} dropped, {late} had come, \
             {overtaken} overtaken",
            bits / 1e6
        );
        let moved = |at: [u64; 2], was: [u64; 2]| [at[0] - was[0], at[1] - was[1]];
        let (nic, far) = (moved(after.nic, before.nic), moved(after.far, before.far));
        assert_eq!(nic[0], far[0], "frames sent and arrived");
        assert!(far[1] - nic[1] <= dropped, "{} sent, {} arrived, {dropped}", far[1], nic[1]);
        let few = (far[0] + far[1]) / 5000;
        let unexplained = again.saturating_sub(dropped + late);
        assert!(unexplained <= few, "{again} sent again, {dropped} dropped, {late} had come");
        assert!(dropped > 0 || overtaken <= few, "{overtaken} of {far:?} overtaken");
        assert!(end["sum_received"]["bytes"].as_u64().unwrap() > 1_250_000, "{end}");
    }
}

fn copy_there(guest: &Guest) {
    let up = Up::new(guest);
    all_offloads(&up);
    up.ping();
    let before = number(&far::ask("counters"), "rx_bytes");
    assert_eq!(far::send_copy().unwrap(), far::ask("sum").trim());
    let bytes = number(&far::ask("counters"), "rx_bytes") - before;
    assert!(bytes >= far::COPY as u64, "{bytes}");
}

fn copy_back(guest: &Guest) {
    let up = Up::new(guest);
    all_offloads(&up);
    up.ping();
    let before = up.counter("hw_rsc_aggregated");
    assert_eq!(far::receive_copy().unwrap(), far::ask("sum").trim());
    let joined = up.counter("hw_rsc_aggregated") - before;
    println!("{joined} frames joined");
    assert!(joined > 1000, "receive side coalescing joined {joined} frames");
}

/// A megabyte of them, to nobody.
fn datagrams(to: &str) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    for n in 0..1048 {
        socket.send_to(&[n as u8; 1000], (to, 9)).unwrap();
        if n % 32 == 31 {
            std::thread::sleep(SECOND / 100);
        }
    }
}

/// TCP in pieces that the NIC cut, UDP and ICMP, with and without a tag.
fn checksums(guest: &Guest) {
    let up = Up::new(guest);
    all_offloads(&up);
    run("modprobe 8021q");
    let vlan = format!("{}.{}", up.name, far::VLAN);
    run(&format!("ip link add link {} name {vlan} type vlan id {}", up.name, far::VLAN));
    run(&format!("ip addr add {}/24 dev {vlan}; ip link set {vlan} up", far::NEAR_VLAN));
    up.ping();
    for to in [FAR, far::FAR_VLAN] {
        let tagged = if to == FAR { "" } else { "vlan and " };
        far::ask(&format!("capture {tagged}ip and host {to}"));
        let before = number(&far::ask("counters"), "rx_packets");
        streams::transfer(to, Way::There, 2, 1 << 20).unwrap();
        datagrams(to);
        run(&format!("ping -c 5 -i 0.02 -q {to}"));
        let came = number(&far::ask("counters"), "rx_packets") - before;
        let seen = far::ask("captured");
        println!("{to}: {}", seen.lines().next().unwrap_or_default());
        assert_eq!(number(&seen, "wrong"), 0, "{seen}");
        // All of them, but for what asks for addresses.
        assert!(came > 1500 && number(&seen, "right") + 10 > came, "{came} came: {seen}");
    }
}
