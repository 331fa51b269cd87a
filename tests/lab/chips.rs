//! Our models of the other chips, on two wires: an X540 and an X550, an 82576 and an I350. Linux's
//! drivers at both ends, each in its own namespace; then ours.

use std::time::{Duration, Instant};

use crate::guest::{GENERIC, Guest, Netns, Nic, comes_true, run, sh};
use crate::stock::ethtool::{dump, has, value};
use crate::tools::{Tool, assert_clean};
use crate::{Boot, Test, streams, traffic};

const SECOND: Duration = Duration::from_secs(1);

/// A test for the guest with those chips.
const fn test(name: &'static str, run: fn(&Guest)) -> Test {
    crate::test(name, run).boot(Boot::Chips)
}

pub(crate) const TESTS: &[Test] = &[
    test("chips::every_chip_probes_without_a_warning", probes).kernel(),
    test("chips::links_at_its_rate", rates).kernel(),
    test("chips::carries_pings_and_streams", carries).kernel().limit(120),
    test("chips::tools_read_it", tools).kernel(),
    test("chips::down_up_and_out_and_in", again).kernel().limit(90),
    test("chips::passes_its_offline_self_test", self_tests).kernel().limit(140),
    test("chips::our_driver_moves_frames_between_x540_and_x550", ours_10g).kernel(),
    test("chips::our_driver_moves_frames_between_82576_and_i350", ours_1g).kernel(),
];

const NAMES: [&str; 4] = ["X540", "X550", "82576", "I350"];

/// Two of them under Linux's drivers, up, on one wire.
struct Wire<'a> {
    nics: &'a [Nic],
    ends: [Netns; 2],
    addresses: [String; 2],
}

/// Both wires.
fn wires(guest: &Guest) -> [Wire<'_>; 2] {
    let [a, b] = [0, 1].map(|n| {
        let addresses = [1, 2].map(|end| format!("10.9.{n}.{end}"));
        let nics = &guest.nics[2 * n..][..2];
        let end = |i: usize| Netns::new(&nics[i], &format!("{}/24", addresses[i]));
        Wire { nics, ends: [end(0), end(1)], addresses: addresses.clone() }
    });
    a.works();
    b.works();
    [a, b]
}

impl Wire<'_> {
    /// Waits for the link, and pings.
    #[track_caller]
    fn works(&self) {
        let [near, far] = &self.ends;
        near.link();
        far.link();
        let to = &self.addresses[1];
        assert!(comes_true(10 * SECOND, || near.sh(&format!("ping -c 1 -W 1 {to}")).0), "{to}");
        self.pings(1472);
    }

    /// Pings with this much each way.
    #[track_caller]
    fn pings(&self, size: usize) {
        for (end, to) in self.ends.iter().zip(self.addresses.iter().rev()) {
            let text = end.run(&format!("ping -c 10 -i 0.02 -s {size} -q {to}"));
            assert!(text.contains("10 packets received, 0% packet loss"), "{to}: {text}");
        }
    }

    /// Two of this many bytes each way; the second end listens.
    #[track_caller]
    fn streams(&self, bytes: u64) {
        let [near, far] = &self.ends;
        let at = &self.addresses[1];
        let mut server = far.start(&format!("exec lab listen {at}"));
        let listens = || far.run("netstat -ltn").contains(&format!(":{}", streams::PORT));
        assert!(comes_true(5 * SECOND, listens), "{at}");
        println!("{}", near.run(&format!("lab streams {at} 2 {bytes}")).trim());
        let _ = server.kill();
        let _ = server.wait();
    }

    /// Sets it at both ends.
    #[track_caller]
    fn mtu(&self, mtu: u16) {
        for end in &self.ends {
            end.run(&format!("ip link set {} mtu {mtu}", end.interface));
        }
        self.works();
    }

    /// Runs ethtool at both ends: option and its arguments.
    #[track_caller]
    fn ethtool(&self, option: &str, rest: &str) -> [String; 2] {
        self.ends.each_ref().map(|e| e.run(&format!("ethtool {option} {} {rest}", e.interface)))
    }
}

/// What the kernel said about a NIC, with its level.
fn said(nic: &Nic) -> Vec<(u8, String)> {
    let text = run("dmesg -r");
    let lines = text.lines().filter(|l| l.contains(&nic.0)).map(|l| {
        let (level, text) = l.trim_start_matches('<').split_once('>').expect("a level");
        (level.parse::<u8>().expect("a level") & 7, text.to_owned())
    });
    lines.collect()
}

/// Level 4 is a warning; less is worse.
fn probes(guest: &Guest) {
    // MAC types 3 and 4 are X540 and X550.
    let found = [
        "MAC: 3, PHY: 0, PBA No: BW0540-001",
        "MAC: 4, PHY: 0, PBA No: BW0550-001",
        "PBA No: BW2576-001",
        "PBA No: BW0350-001",
    ];
    for ((nic, name), found) in guest.nics.iter().zip(NAMES).zip(found) {
        nic.unbind();
        let before = said(nic).len();
        guest.to_kernel();
        let all = said(nic);
        let new: Vec<_> = all[before..].iter().map(|(_, line)| line.as_str()).collect();
        assert!(new.iter().any(|l| l.contains("Network Connection")), "{name}: {new:#?}");
        assert!(new.iter().any(|l| l.contains(found)), "{name}: {new:#?}");
        let mac = nic.text(&format!("net/{}/address", nic.interface()));
        assert!(new.iter().any(|l| l.contains(&mac)), "{name}: no {mac} in {new:#?}");
        // From the boot on.
        let warnings: Vec<_> = all.iter().filter(|(level, _)| *level <= 4).collect();
        assert!(warnings.is_empty(), "{name}: {warnings:#?}");
    }
}

fn rates(guest: &Guest) {
    let mut names = NAMES.iter();
    for wire in wires(guest) {
        for (nic, text) in wire.nics.iter().zip(wire.ethtool("", "")) {
            let name = names.next().unwrap();
            assert_eq!(value(&text, "Speed"), format!("{}Mb/s", nic.mbps()), "{name}: {text}");
            has(&text, &["Duplex: Full", "Auto-negotiation: on", "Link detected: yes"]);
            let rate = if nic.mbps() == 1000 { "1000 Mbps Full Duplex" } else { "10 Gbps" };
            let up = |(_, line): &(u8, String)| line.contains(&format!("NIC Link is Up {rate}"));
            assert!(said(nic).iter().any(up), "{name}: {:#?}", said(nic));
        }
    }
}

fn carries(guest: &Guest) {
    let [a, b] = wires(guest);
    std::thread::scope(|s| {
        let other = s.spawn(|| carry(&b));
        carry(&a);
        other.join().expect("the second wire");
    });
}

fn carry(wire: &Wire<'_>) {
    let [near, _] = &wire.ends;
    println!("{}", near.run(&format!("lab pings {} 0 1472", wire.addresses[1])).trim());
    wire.streams(4 << 20);
    wire.mtu(9000);
    let before = wire.ethtool("-S", "").map(|text| frames(&text));
    wire.pings(8972);
    let after = wire.ethtool("-S", "").map(|text| frames(&text));
    // In one piece each: ten and ten answers, and perhaps who has which address.
    for (was, is) in before.iter().zip(after) {
        assert!((20..=24).contains(&(is - was)), "{} frames", is - was);
    }
    wire.streams(2 << 20);
    wire.mtu(1500);
}

/// How many frames came, by the driver's count of its queues.
#[track_caller]
fn frames(statistics: &str) -> u64 {
    let queue = |n| statistics.contains(&format!("rx_queue_{n}_packets:"));
    let count = |n| value(statistics, &format!("rx_queue_{n}_packets")).parse::<u64>().unwrap();
    (0..).take_while(|n| queue(*n)).map(count).sum()
}

/// The same by the chip's own. (Where the driver has no other it is that.)
#[track_caller]
fn frames_on_wire(statistics: &str) -> u64 {
    let nic = statistics.contains("rx_pkts_nic:");
    value(statistics, if nic { "rx_pkts_nic" } else { "rx_packets" }).parse().expect("a number")
}

fn tools(guest: &Guest) {
    for wire in wires(guest) {
        let each = || wire.nics.iter().enumerate();
        let information = wire.ethtool("-i", "");
        for (i, nic) in each() {
            let text = &information[i];
            assert_eq!(value(text, "driver"), nic.kernel_driver());
            assert_eq!(value(text, "bus-info"), nic.0);
            assert!(!value(text, "firmware-version").is_empty(), "{text}");
            for yes in ["supports-statistics", "supports-test", "supports-eeprom-access"] {
                assert_eq!(value(text, yes), "yes", "{text}");
            }
        }
        let eeproms = wire.ethtool("-e", "offset 0 length 2048").map(|text| dump(&text));
        let registers = wire.ethtool("-d", "");
        let macs = wire.ends.each_ref().map(|end| {
            let text = end.run(&format!("ip link show {}", end.interface));
            text.split_whitespace().skip_while(|w| *w != "link/ether").nth(1).unwrap().to_owned()
        });
        for (i, nic) in each() {
            let (bytes, text) = (&eeproms[i], &registers[i]);
            assert_eq!(bytes.len(), 2048);
            let mac: Vec<_> =
                macs[i].split(':').map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
            assert!(bytes.windows(6).any(|w| w == mac), "{mac:x?} is not in the EEPROM of {nic:?}");
            let link = if nic.mbps() == 1000 {
                // Words 0 to 3Fh add up to BABAh; the bigger ones follow pointers from there.
                let words = bytes[..128].chunks(2).map(|w| u16::from_le_bytes([w[0], w[1]]));
                assert_eq!(words.fold(0, u16::wrapping_add), 0xbaba, "{nic:?}");
                ["STATUS", "link config", "1000Mb/s"]
            } else {
                ["LINKS", "up", "10G"]
            };
            has(text, &link);
            assert!(!text.contains("unknown"), "{text}");
        }
        for text in wire.ethtool("-a", "") {
            for on in ["Autonegotiate", "RX", "TX"] {
                assert_eq!(value(&text, on), "on", "{text}");
            }
        }
        for text in wire.ethtool("-T", "") {
            has(&text, &["hardware-transmit", "hardware-receive", "hardware-raw-clock"]);
            let clock = value(&text, "PTP Hardware Clock").parse::<u32>();
            assert!(clock.is_ok(), "{text}");
        }
        let before = wire.ethtool("-S", "").map(|text| frames_on_wire(&text));
        wire.pings(1000);
        // What the chip saw is counted a little later.
        std::thread::sleep(SECOND / 5);
        let statistics = wire.ethtool("-S", "");
        for (text, before) in statistics.iter().zip(before) {
            let came = frames_on_wire(text) - before;
            assert!((20..=24).contains(&came), "{came} frames for 20: {text}");
            for line in text.lines().map(str::trim) {
                let bad =
                    ["errors", "dropped", "timeout", "no_dma"].iter().any(|b| line.contains(b));
                assert!(!bad || line.ends_with(": 0"), "{line}: {text}");
            }
        }
    }
}

fn again(guest: &Guest) {
    let both = wires(guest);
    for _ in 0..2 {
        for wire in &both {
            // One end, then the other.
            for end in &wire.ends {
                end.run(&format!("ip link set {0} down; ip link set {0} up", end.interface));
            }
        }
        both.iter().for_each(Wire::works);
    }
    drop(both);
    for _ in 0..2 {
        run("rmmod ixgbe; rmmod igb");
        assert!(guest.nics.iter().all(|n| n.driver().is_none()));
        run("modprobe ixgbe; modprobe igb");
        let there = || guest.nics.iter().all(|n| n.path("net").exists());
        assert!(comes_true(10 * SECOND, there), "{}", sh("dmesg | tail -n 20").1);
        // Pings at once.
        wires(guest);
    }
}

/// Each chip's, while its neighbour is up. Linux's `igb` has none for an I350 that takes it off the
/// network (it says so in its log): there the set is the one for running NICs.
fn self_tests(guest: &Guest) {
    let mut names = NAMES.iter();
    for wire in wires(guest) {
        for end in &wire.ends {
            wire.works();
            let name = names.next().unwrap();
            let start = Instant::now();
            let out = format!("/tmp/{name}.test");
            let ethtool = format!("exec ethtool -t {} offline > {out}", end.interface);
            let mut child = end.start(&ethtool);
            // At its end igb sleeps for four seconds, for switches that are slow to see a link:
            // any signal ends that.
            while child.try_wait().unwrap().is_none() {
                std::thread::sleep(SECOND / 10);
                for signal in [libc::SIGSTOP, libc::SIGCONT] {
                    // SAFETY: a system call without pointers, on a child that was waited for only
                    // if it is not there any more: its number is not another's so soon.
                    unsafe { libc::kill(child.id() as i32, signal) };
                }
            }
            println!("{name}: {:.1} s", start.elapsed().as_secs_f64());
            let text = std::fs::read_to_string(out).unwrap();
            has(&text, &["The test result is PASS"]);
            let results = text.lines().filter_map(|l| l.trim().rsplit_once([' ', '\t']));
            let tests: Vec<_> = results.filter(|(name, _)| name.contains("test")).collect();
            let passed = tests.iter().filter(|(_, result)| *result == "0").count();
            assert_eq!(passed, 5, "{name}: register, eeprom, interrupt, loopback, link: {text}");
        }
        // They go on as before.
        wire.works();
    }
}

/// Ours at both ends, after Linux's, which puts a PHY to sleep when its interface goes down: frames
/// of all sizes byte for byte, then the tools' count.
fn ours(nics: &[Nic]) {
    let [a, b] = nics else { unreachable!() };
    for nic in nics {
        let name = nic.interface();
        run(&format!("ip link set {name} up; ip link set {name} down"));
    }
    traffic::some(&Guest { nics: nics.to_vec() });
    assert!(nics.iter().all(|n| n.driver().as_deref() == Some(GENERIC)));
    for (from, to) in [(a, b), (b, a)] {
        let args = [&from.0, &to.0, "--count", "5000", "--size", "64-9018", "--threads", "1"];
        assert_clean(&Tool::start("pktgen", &args).summary(), 5000);
    }
}

fn ours_10g(guest: &Guest) {
    ours(&guest.nics[..2]);
}

fn ours_1g(guest: &Guest) {
    ours(&guest.nics[2..]);
}
