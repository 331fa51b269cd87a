//! Streams and copies through Linux's driver, and what the far end says of them.

use std::net::UdpSocket;

use serde_json::Value;

use super::{Up, set};
use crate::Test;
use crate::far::{self, FAR, number};
use crate::guest::{Guest, run};

pub(crate) const TESTS: &[Test] = &[
    set("stock::streams_both_ways_lose_nothing", streams).limit(120),
    set("stock::a_copy_of_200_megabytes_there_is_equal", copy_there).limit(120),
    set("stock::a_copy_of_200_megabytes_back_is_equal", copy_back).limit(120),
    set("stock::the_far_end_sees_right_checksums_only", checksums).limit(120),
];

/// One run of iperf3 and what it says at the end.
#[track_caller]
fn iperf(options: &str) -> Value {
    let text = run(&format!("iperf3 -c {FAR} -J {options}"));
    let said: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert!(said["error"].is_null(), "{text}");
    said["end"].clone()
}

/// Two streams each way.
#[track_caller]
pub(crate) fn short(_: &Up) {
    for way in ["", "-R"] {
        // What was sent last is still under way at the end, up to the sockets' buffers.
        let end = iperf(&format!("-P 2 -n 16M {way}"));
        let bytes = end["sum_received"]["bytes"].as_u64().unwrap();
        assert!(bytes > 3_000_000, "{bytes} bytes {way}: {end}");
    }
}

/// Frames that came and went, by the NIC's own count and the far end's.
#[derive(Debug, Clone, Copy)]
struct Frames {
    nic: [u64; 2],
    far: [u64; 2],
    /// What either says that it dropped.
    dropped: u64,
}

impl Frames {
    fn now(up: &Up) -> Self {
        let far = far::ask("counters");
        let drops = ["rx_missed_errors", "rx_no_dma_resources", "rx_csum_offload_errors"];
        Self {
            nic: ["tx_pkts_nic", "rx_pkts_nic"].map(|c| up.counter(c)),
            far: ["rx_packets", "tx_packets"].map(|c| number(&far, c)),
            dropped: drops.map(|c| up.counter(c)).iter().sum::<u64>() + number(&far, "tx_dropped"),
        }
    }
}

/// Turns on what there is.
fn all_offloads(up: &Up) {
    up.ethtool("-K", "rx on tx on sg on tso on gso on gro on lro on rxhash on");
}

/// Eight streams each way. What is sent again was lost or overtaken, or thought lost because a busy
/// host was late: no frame may be missing but those that somebody says he dropped, and only a few
/// may be late.
pub(crate) fn streams(guest: &Guest) {
    let up = Up::new(guest);
    all_offloads(&up);
    // While there are no rules of the user's, the driver has Flow Director send a flow after the
    // process that answers it; what comes to the new queue then overtakes what is in the old one.
    up.ethtool("-K", "ntuple on");
    up.link();
    up.ping();
    for way in ["", "-R"] {
        std::thread::sleep(super::SECOND / 2);
        let before = Frames::now(&up);
        let end = iperf(&format!("-P 8 -t 3 {way}"));
        std::thread::sleep(super::SECOND / 2);
        let after = Frames::now(&up);
        let again = end["sum_sent"]["retransmits"].as_u64().expect("a number");
        let bits = end["sum_received"]["bits_per_second"].as_f64().unwrap();
        let dropped = after.dropped - before.dropped;
        println!("{way}: {:.0} Mbit/s, {again} sent again, {dropped} dropped", bits / 1e6);
        let moved = |at: [u64; 2], was: [u64; 2]| [at[0] - was[0], at[1] - was[1]];
        let (nic, far) = (moved(after.nic, before.nic), moved(after.far, before.far));
        assert_eq!(nic[0], far[0], "frames sent and arrived");
        assert!(far[1] - nic[1] <= dropped, "{} sent, {} arrived, {dropped}", far[1], nic[1]);
        let most = dropped + (far[0] + far[1]) / 5000;
        assert!(again <= most, "{again} sent again, {dropped} dropped");
        assert!(end["sum_received"]["bytes"].as_u64().unwrap() > 1_875_000, "{end}");
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

/// A megabyte of them, to nobody. Not by iperf3: on a busy host its server may reset the connection
/// by which the client learns how such a run ended.
fn datagrams(to: &str) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    for n in 0..1048 {
        socket.send_to(&[n as u8; 1000], (to, 9)).unwrap();
        if n % 32 == 31 {
            std::thread::sleep(super::SECOND / 100);
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
        run(&format!("iperf3 -c {to} -n 4M -P 2"));
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
