//! Linux's own driver on our software NIC, which is in another process, and the host's network
//! stack at the far end.

pub(crate) mod ethtool;
pub(crate) mod offloads;
pub(crate) mod traffic;

use std::fs;
use std::time::Duration;

use crate::far::{self, FAR, NEAR};
use crate::guest::{Guest, comes_true, has_link, kind, lateness, put, run, sh};
use crate::{Boot, Test};

/// A test for the guest with that driver.
const fn test(name: &'static str, run: fn(&Guest)) -> Test {
    crate::test(name, run).boot(Boot::Stock).kernel()
}

/// A test for the guest of what can be set.
const fn set(name: &'static str, run: fn(&Guest)) -> Test {
    test(name, run).boot(Boot::Ethtool)
}

/// A test for the guest without message interrupts.
const fn intx(name: &'static str, run: fn(&Guest)) -> Test {
    crate::test(name, run).boot(Boot::Intx).kernel()
}

pub(crate) const TESTS: &[Test] = &[
    test("stock::probes_without_a_warning", probes),
    test("stock::link_up_at_10_gbit", link),
    test("stock::message_interrupts_one_for_each_queue", message_interrupts),
    test("stock::no_interrupt_is_lost", prompt),
    test("stock::jumbo_frames", jumbo),
    test("stock::vlan_interface", vlan),
    test("stock::promiscuous_or_not", promiscuous),
    test("stock::multicast_groups", multicast),
    test("stock::down_and_up_twenty_times", down_and_up).limit(120),
    test("stock::out_and_in_again_twenty_times", out_and_in).limit(120),
    test("stock::reset_by_sysfs", reset),
];

pub(crate) const INTX_TESTS: &[Test] = &[
    intx("intx::probes_without_a_warning", probes),
    intx("intx::link_up_at_10_gbit", link),
    intx("intx::one_line_interrupt", line_interrupt),
    intx("intx::no_interrupt_is_lost", prompt),
    intx("intx::ethtool_offline_self_test", ethtool::self_test),
    intx("intx::down_and_up_five_times", down_and_up_shortly),
    intx("intx::streams_both_ways", traffic::streams).limit(120),
];

const SECOND: Duration = Duration::from_secs(1);

/// The interface, up, with its address.
pub(crate) struct Up {
    pub(crate) name: String,
    pub(crate) mac: String,
}

impl Up {
    #[track_caller]
    pub(crate) fn new(guest: &Guest) -> Self {
        let name = guest.nics[0].interface();
        let mac = guest.nics[0].text(&format!("net/{name}/address"));
        run("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
        run(&format!("ip addr add {NEAR}/24 dev {name} && ip link set {name} up"));
        let up = Self { name, mac };
        up.link();
        up
    }

    /// Waits for the link.
    #[track_caller]
    pub(crate) fn link(&self) {
        assert!(comes_true(15 * SECOND, || has_link(&self.name)), "{} has no link", self.name);
    }

    /// Pings the far end, which must answer each time.
    #[track_caller]
    pub(crate) fn ping(&self) {
        // A first one may wait for the address.
        let answered = || sh(&format!("ping -c 1 -W 1 {FAR}")).0;
        assert!(comes_true(10 * SECOND, answered), "no answer from {FAR}");
        let text = run(&format!("ping -c 5 -i 0.02 -s 1472 -q {FAR}"));
        assert!(text.contains("5 packets received, 0% packet loss"), "{text}");
    }

    /// Pings both ways and sends some TCP both ways.
    #[track_caller]
    pub(crate) fn works(&self) {
        self.ping();
        self.answers(NEAR, 5, 1400, 20);
    }

    /// It answers so many pings of the far end, of this size, so many milliseconds apart. Gives how
    /// many milliseconds the slowest took.
    #[track_caller]
    pub(crate) fn answers(&self, address: &str, count: u64, size: u32, pause: u32) -> u64 {
        let counts = || {
            let nic = self.ethtool("-S", "");
            let some: Vec<_> = nic.lines().filter(|l| !l.ends_with(": 0")).map(str::trim).collect();
            far::ask("counters").replace('\n', ", ") + &some.join(", ")
        };
        let before = counts();
        let text = far::ask(&format!("ping {address} {count} {size} {pause}"));
        let back = far::number(&text, "back");
        assert_eq!(back, count, "{text}\nbefore: {before}\nafter: {}", counts());
        far::number(&text, "worst")
    }

    /// Runs ethtool on it: option and its arguments.
    #[track_caller]
    pub(crate) fn ethtool(&self, option: &str, rest: &str) -> String {
        run(&format!("ethtool {option} {} {rest}", self.name))
    }

    /// A counter of `ethtool -S`.
    #[track_caller]
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let text = self.ethtool("-S", "");
        let line = text.lines().find_map(|l| l.trim().strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().parse().expect("a number")
    }
}

/// What the kernel said about the driver, with its level.
fn said() -> Vec<(u8, String)> {
    let text = run("dmesg -r");
    let lines = text.lines().filter(|l| l.contains(kind().driver)).map(|l| {
        let (level, text) = l.trim_start_matches('<').split_once('>').expect("a level");
        (level.parse::<u8>().expect("a level") & 7, text.to_owned())
    });
    lines.collect()
}

/// Level 4 is a warning; less is worse.
fn probes(guest: &Guest) {
    guest.nics[0].unbind();
    let before = said().len();
    guest.to_kernel();
    let new = said().split_off(before);
    assert!(new.iter().any(|(_, l)| l.contains("Network Connection")), "{new:#?}");
    // Not a word of what it found: MAC type 2 is the 82599.
    assert!(new.iter().any(|(_, l)| l.contains("MAC: 2")), "{new:#?}");
    let mac =
        new.iter().find_map(|(_, l)| l.split_whitespace().find(|w| w.matches(':').count() == 5));
    assert_eq!(
        mac,
        Some(&*guest.nics[0].text(&format!("net/{}/address", guest.nics[0].interface())))
    );
    // From the boot on.
    let mut warnings: Vec<_> = said().into_iter().filter(|(level, _)| *level <= 4).collect();
    if crate::argument("lab.boot") == "intx" {
        // Of what the kernel does not let it have.
        let refused =
            ["Failed to allocate MSI", "Disabling SR-IOV support", "Disabling RSS support"];
        warnings.retain(|(_, line)| !refused.iter().any(|r| line.contains(r)));
    }
    assert!(warnings.is_empty(), "{warnings:#?}");
}

fn link(guest: &Guest) {
    let up = Up::new(guest);
    let text = up.ethtool("", "");
    for part in ["Speed: 10000Mb/s", "Duplex: Full", "Link detected: yes"] {
        assert!(text.contains(part), "no '{part}' in {text}");
    }
    let last = said().pop().expect("a line").1;
    assert!(last.contains("NIC Link is Up 10 Gbps"), "{last}");
    up.works();
}

/// The lines of the interface in /proc/interrupts, and how often those came.
fn interrupts(up: &Up) -> Vec<(String, u64)> {
    let text = fs::read_to_string("/proc/interrupts").unwrap();
    let count = |line: &str| -> u64 {
        line.split_whitespace().skip(1).map_while(|w| w.parse::<u64>().ok()).sum()
    };
    let lines = text.lines().filter(|l| l.contains(&up.name));
    lines.map(|l| (l.to_owned(), count(l))).collect()
}

fn message_interrupts(guest: &Guest) {
    let up = Up::new(guest);
    up.ping();
    let before = interrupts(&up);
    // One for each queue pair, as many as CPUs, and one for the rest.
    assert_eq!(before.len(), 3, "{before:#?}");
    assert!(before.iter().all(|(l, _)| l.contains("MSI")), "{before:#?}");
    far::ask(&format!("ping {NEAR} 50 100 10"));
    let came: u64 = interrupts(&up).iter().zip(&before).map(|((_, a), (_, b))| a - b).sum();
    assert!((20..1000).contains(&came), "{came} interrupts for 50 pings");
}

fn line_interrupt(guest: &Guest) {
    let up = Up::new(guest);
    up.ping();
    let before = interrupts(&up);
    assert_eq!(before.len(), 1, "{before:#?}");
    assert!(before[0].0.contains("IO-APIC"), "{before:#?}");
    far::ask(&format!("ping {NEAR} 50 100 10"));
    let came = interrupts(&up)[0].1 - before[0].1;
    assert!((20..1000).contains(&came), "{came} interrupts for 50 pings");
}

/// The driver looks every two seconds whether it missed one; so no answer may take that long, but for
/// what a busy host takes longer for: it may have to wait for it in each process on the way.
fn prompt(guest: &Guest) {
    let up = Up::new(guest);
    up.ping();
    for pause in [20, 3] {
        let (worst, late) = lateness(|| up.answers(NEAR, 300, 100, pause));
        let late = late.last().unwrap().as_millis() as u64;
        println!("{worst} ms; a sleep ended {late} ms late");
        assert!(worst < 1000 + 4 * late, "{worst} ms; a sleep ended {late} ms late");
    }
}

fn jumbo(guest: &Guest) {
    let up = Up::new(guest);
    up.ping();
    run(&format!("ip link set {} mtu 9000", up.name));
    up.link();
    up.ping();
    let before = far::number(&far::ask("counters"), "rx_packets");
    let text = run(&format!("ping -c 20 -i 0.02 -s 8972 -q {FAR}"));
    assert!(text.contains("20 packets received, 0% packet loss"), "{text}");
    up.answers(NEAR, 20, 8972, 20);
    // In one piece each; a neighbour may be asked for once more.
    let frames = far::number(&far::ask("counters"), "rx_packets") - before;
    assert!((40..=44).contains(&frames), "{frames} frames for 40 pings");
    traffic::short();
}

fn vlan(guest: &Guest) {
    let up = Up::new(guest);
    run("modprobe 8021q");
    let name = format!("{}.{}", up.name, far::VLAN);
    run(&format!("ip link add link {} name {name} type vlan id {}", up.name, far::VLAN));
    run(&format!("ip addr add {}/24 dev {name}; ip link set {name} up", far::NEAR_VLAN));
    let answered = || sh(&format!("ping -c 1 -W 1 {}", far::FAR_VLAN)).0;
    assert!(comes_true(10 * SECOND, answered), "no answer in the VLAN");
    let text = run(&format!("ping -c 20 -i 0.02 -s 1472 -q {}", far::FAR_VLAN));
    assert!(text.contains("20 packets received, 0% packet loss"), "{text}");
    up.answers(far::NEAR_VLAN, 20, 1472, 20);
    up.works();
    run(&format!("ip link del {name}"));
    up.works();
}

/// How many of ten frames to this address come up to a packet socket. All have, or never will, when
/// one to everybody comes that was sent after them: the first queue takes both, in order.
#[track_caller]
fn lets_in(up: &Up, to: &str) -> usize {
    let raw = crate::raw::Raw::open(&up.name).unwrap();
    let frame = |to: &str, byte: &str| {
        format!("{}02000000004288b5{}", to.replace(':', ""), byte.repeat(100))
    };
    far::ask(&format!("frames 10 1000 {}", frame(to, "5a")));
    far::ask(&format!("frames 1 0 {}", frame("ff:ff:ff:ff:ff:ff", "a5")));
    let mut room = [0; 2048];
    let mut came = 0;
    while let Some((len, _)) = raw.receive(10 * SECOND, &mut room).unwrap() {
        match (len, &room[12..15]) {
            (114, [0x88, 0xb5, 0x5a]) => came += 1,
            (114, [0x88, 0xb5, 0xa5]) => return came,
            _ => {}
        }
    }
    panic!("the last frame did not come");
}

const OTHER: &str = "02:00:00:00:00:77";

fn promiscuous(guest: &Guest) {
    let up = Up::new(guest);
    up.ping();
    assert_eq!(lets_in(&up, &up.mac), 10);
    assert_eq!(lets_in(&up, OTHER), 0);
    run(&format!("ip link set {} promisc on", up.name));
    assert_eq!(lets_in(&up, OTHER), 10);
    up.works();
    run(&format!("ip link set {} promisc off", up.name));
    assert_eq!(lets_in(&up, OTHER), 0);
    up.works();
}

fn multicast(guest: &Guest) {
    const GROUP: &str = "01:00:5e:01:02:03";
    let up = Up::new(guest);
    up.ping();
    assert_eq!(lets_in(&up, GROUP), 0);
    assert_eq!(lets_in(&up, "ff:ff:ff:ff:ff:ff"), 10);
    // Joins 224.1.2.3, as long as the socket lives.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.join_multicast_v4(&[224, 1, 2, 3].into(), &NEAR.parse().unwrap()).unwrap();
    assert_eq!(lets_in(&up, GROUP), 10);
    drop(socket);
    assert_eq!(lets_in(&up, GROUP), 0);
    run(&format!("ifconfig {} allmulti", up.name));
    assert_eq!(lets_in(&up, GROUP), 10);
}

fn flap(guest: &Guest, times: u32) {
    let up = Up::new(guest);
    up.ping();
    for _ in 0..times {
        run(&format!("ip link set {} down", up.name));
        run(&format!("ip link set {} up", up.name));
        up.link();
        up.ping();
    }
    up.works();
}

fn down_and_up(guest: &Guest) {
    flap(guest, 20);
}

fn down_and_up_shortly(guest: &Guest) {
    flap(guest, 5);
}

fn out_and_in(guest: &Guest) {
    let driver = kind().driver;
    for _ in 0..20 {
        run(&format!("rmmod {driver}"));
        assert_eq!(guest.nics[0].driver(), None);
        run(&format!("modprobe {driver}"));
        let there = comes_true(5 * SECOND, || guest.nics[0].path("net").exists());
        assert!(there, "{:#?}", said().last_chunk::<3>());
        Up::new(guest).works();
    }
}

fn reset(guest: &Guest) {
    let nic = &guest.nics[0];
    let methods = nic.text("reset_method");
    assert!(methods.split_whitespace().any(|m| m == "flr"), "{methods}");
    let up = Up::new(guest);
    up.ping();
    // Linux's driver is not told, so not while it is at work.
    run(&format!("ip link set {} down", up.name));
    put(nic.path("reset"), "1").unwrap();
    run(&format!("ip link set {} up", up.name));
    up.link();
    up.works();
    // And with no driver at all.
    nic.unbind();
    put(nic.path("reset"), "1").unwrap();
    guest.to_kernel();
    Up::new(guest).works();
}
