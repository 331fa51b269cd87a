//! Each offload by itself off and on, with traffic after each; and filters that choose the queue.

use super::ethtool::value;
use super::{SECOND, Up, set, traffic};
use crate::far::{self, FAR, NEAR, number};
use crate::guest::{Guest, comes_true, run};
use crate::{Test, streams};

pub(crate) const TESTS: &[Test] = &[
    set("stock::each_offload_off_and_on", toggles).limit(140),
    set("stock::flow_director_steers_a_flow_to_a_queue", steering),
    set("stock::frames_with_wrong_checksums_are_counted_and_judged", wrong_sums),
];

/// As `-K` takes them and as `-k` shows them.
const TOGGLES: [(&str, &str); 9] = [
    ("rx", "rx-checksumming"),
    ("tx", "tx-checksum-ip-generic"),
    ("sg", "scatter-gather"),
    ("tso", "tcp-segmentation-offload"),
    ("gso", "generic-segmentation-offload"),
    ("gro", "generic-receive-offload"),
    ("rxvlan", "rx-vlan-offload"),
    ("txvlan", "tx-vlan-offload"),
    ("rxhash", "receive-hashing"),
];

/// A little of each: both ways, untagged and tagged. The far end looks at the checksums of what
/// the NIC sends.
#[track_caller]
fn traffic_is_right(what: &str, ends: &[&str]) {
    far::ask(&format!("capture host {FAR} or (vlan and host {})", far::FAR_VLAN));
    for to in ends {
        streams::both_ways(to, 1, 256 << 10);
        run(&format!("ping -c 3 -i 0.02 -s 1400 -q {to}"));
    }
    let seen = far::ask("captured");
    assert_eq!(number(&seen, "wrong"), 0, "{what}: {seen}");
    assert!(number(&seen, "right") > 100, "{what}: {seen}");
}

fn toggles(guest: &Guest) {
    let up = Up::new(guest);
    // A VLAN interface that does not want coalescing turns it off below.
    for state in ["off", "on"] {
        up.ethtool("-K", &format!("lro {state}"));
        up.link();
        assert_eq!(value(&up.ethtool("-k", ""), "large-receive-offload"), state);
        traffic_is_right(&format!("lro {state}"), &[FAR]);
    }
    run("modprobe 8021q");
    let vlan = format!("{}.{}", up.name, far::VLAN);
    run(&format!("ip link add link {} name {vlan} type vlan id {}", up.name, far::VLAN));
    run(&format!("ip addr add {}/24 dev {vlan}; ip link set {vlan} up", far::NEAR_VLAN));
    up.ping();
    let both = [FAR, far::FAR_VLAN];
    traffic_is_right("all on", &both);
    for (name, shown) in TOGGLES {
        for state in ["off", "on"] {
            up.ethtool("-K", &format!("{name} {state}"));
            up.link();
            let text = up.ethtool("-k", "");
            assert_eq!(value(&text, shown), state, "{name}: {text}");
            // What it is like when on was seen at first.
            if state == "off" {
                traffic_is_right(&format!("{name} {state}"), &both);
            }
        }
        // Others that went with it.
        up.ethtool("-K", "rx on tx on sg on tso on gso on gro on rxvlan on txvlan on");
        up.link();
    }
    traffic_is_right("all on again", &both);
}

/// How many of these frames each queue got, when as many as this have come or will not any more.
fn queues(up: &Up, port: u16, count: u64, expected: u64) -> [u64; 2] {
    let counts = || [0, 1].map(|q| up.counter(&format!("rx_queue_{q}_packets")));
    let before = counts();
    let came = || {
        let now = counts();
        [now[0] - before[0], now[1] - before[1]]
    };
    far::ask(&format!("frames {count} 200 {}", udp(&up.mac, port)));
    comes_true(5 * SECOND, || came().iter().sum::<u64>() >= expected);
    std::thread::sleep(SECOND / 4);
    came()
}

/// A UDP frame to this port, without a checksum of its own (RFC 768: 0 is none).
pub(crate) fn udp(mac: &str, port: u16) -> String {
    let [high, low] = port.to_be_bytes();
    let rest = [&[0x30, 0x39, high, low, 0, 26, 0, 0][..], &[0x5a; 18]].concat();
    ip(mac, 17, &rest)
}

/// A TCP segment that is to no connection's liking, with this much added to its checksum.
fn tcp(mac: &str, error: u16) -> String {
    let mut rest =
        vec![0x30, 0x39, 0x1f, 0x90, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0];
    rest.extend([0x5a; 26]);
    let pseudo = [address(FAR), address(NEAR), vec![0, 6, 0, rest.len() as u8]].concat();
    let sum = (!sum(&[pseudo, rest.clone()].concat())).wrapping_add(error);
    rest[16..18].copy_from_slice(&sum.to_be_bytes());
    ip(mac, 6, &rest)
}

fn address(text: &str) -> Vec<u8> {
    text.split('.').map(|b| b.parse().unwrap()).collect()
}

/// One's-complement sum of 16-bit words.
fn sum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// An IPv4 frame from the far end, in hexadecimal.
fn ip(mac: &str, protocol: u8, rest: &[u8]) -> String {
    let len = 20 + rest.len() as u8;
    let mut ip = vec![0x45, 0, 0, len, 0, 1, 0, 0, 64, protocol, 0, 0];
    ip.extend([address(FAR), address(NEAR)].concat());
    let sum = !sum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    ip.extend(rest);
    let ip: String = ip.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}0200000000420800{ip}", mac.replace(':', ""))
}

fn steering(guest: &Guest) {
    let up = Up::new(guest);
    up.ping();
    // Nobody listens, but each answer is the kernel's; not as many as to disturb.
    assert_eq!(queues(&up, 5000, 10, 10).iter().sum::<u64>(), 10);
    up.ethtool("-K", "ntuple on");
    up.link();
    for queue in [0, 1] {
        up.ethtool("-N", &format!("flow-type udp4 dst-port 5000 action {queue} loc 3"));
        let rules = up.ethtool("-n", "");
        let rule = &rules[rules.find("Filter: 3").unwrap_or_else(|| panic!("{rules}"))..];
        assert!(value(rule, "Dest port").starts_with("5000"), "{rules}");
        let came = queues(&up, 5000, 100, 100);
        assert!(came[queue] >= 100 && came[1 - queue] < 5, "to queue {queue}: {came:?}");
    }
    // A rule may also drop.
    up.ethtool("-N", "flow-type udp4 dst-port 5001 action -1 loc 4");
    assert_eq!(queues(&up, 5001, 50, 0), [0, 0]);
    up.ethtool("-N", "delete 4");
    assert_eq!(queues(&up, 5001, 50, 50).iter().sum::<u64>(), 50);
    up.ethtool("-N", "delete 3");
    assert!(up.ethtool("-n", "").contains("Total 0 rules"));
    up.works();
}

/// A segment with a wrong checksum comes up as it is; the NIC tells, and the driver counts. (It does
/// not believe an 82599 about UDP, for an erratum.)
fn wrong_sums(guest: &Guest) {
    let up = Up::new(guest);
    up.ping();
    let before = up.counter("rx_csum_offload_errors");
    let wrong = || up.counter("rx_csum_offload_errors") - before;
    far::ask(&format!("frames 10 500 {}", tcp(&up.mac, 0)));
    std::thread::sleep(SECOND / 2);
    assert_eq!(wrong(), 0);
    far::ask(&format!("frames 10 500 {}", tcp(&up.mac, 1)));
    comes_true(5 * SECOND, || wrong() >= 10);
    std::thread::sleep(SECOND / 4);
    assert_eq!(wrong(), 10);
    traffic::short();
}
