//! What `ethtool` reads and sets.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::Instant;

use super::offloads::udp;
use super::{SECOND, Up, set};
use crate::Test;
use crate::far::{self, FAR, NEAR};
use crate::guest::Guest;
use crate::streams::{self, Way};

pub(crate) const TESTS: &[Test] = &[
    set("stock::ethtool_offline_self_test", self_test),
    set("stock::ethtool_online_self_test", online),
    set("stock::ethtool_i_names_the_device", information),
    set("stock::ethtool_m_decodes_the_sfp", module),
    set("stock::ethtool_capital_s_counts_what_the_wire_saw", statistics),
    set("stock::ethtool_d_dumps_the_registers", registers),
    set("stock::ethtool_e_reads_an_eeprom_whose_checksum_is_right", eeprom),
    set("stock::ethtool_k_shows_the_offloads", features),
    set("stock::ethtool_x_shows_the_table_and_the_key", indirection),
    set("stock::ethtool_c_sets_the_interrupt_rate", coalescing),
    set("stock::ethtool_a_negotiates_pause_frames", pause),
    set("stock::ethtool_g_changes_the_rings", rings),
    set("stock::ethtool_p_blinks", blink),
    set("stock::ethtool_capital_t_shows_a_clock_that_runs", clock),
];

/// Asserts that a text has all of these parts.
#[track_caller]
pub(crate) fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no '{part}' in {text}");
    }
}

/// The rest of the line that starts with `name` and a colon.
#[track_caller]
pub(crate) fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let line =
        text.lines().find_map(|l| l.trim().strip_prefix(name)?.trim_start().strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no '{name}' in {text}")).trim()
}

pub(crate) fn self_test(guest: &Guest) {
    let up = Up::new(guest);
    up.ping();
    let text = up.ethtool("-t", "offline");
    has(&text, &["The test result is PASS"]);
    let results = text.lines().filter_map(|l| l.trim().rsplit_once([' ', '\t']));
    let tests: Vec<_> = results.filter(|(name, _)| name.contains("test")).collect();
    let passed = tests.iter().filter(|(_, result)| *result == "0").count();
    assert_eq!(passed, 5, "register, eeprom, interrupt, loopback and link: {text}");
    // It goes on as before.
    up.link();
    up.works();
}

fn online(guest: &Guest) {
    let up = Up::new(guest);
    has(&up.ethtool("-t", "online"), &["The test result is PASS"]);
    up.works();
}

fn information(guest: &Guest) {
    let up = Up::new(guest);
    let text = up.ethtool("-i", "");
    assert_eq!(value(&text, "driver"), "ixgbe");
    assert_eq!(value(&text, "bus-info"), guest.nics[0].0);
    // The EEPROM's: 0x followed by eight digits.
    assert!(value(&text, "firmware-version").starts_with("0x"), "{text}");
    for yes in ["supports-statistics", "supports-test", "supports-eeprom-access"] {
        assert_eq!(value(&text, yes), "yes");
    }
}

/// SFF-8472 by the numbers: 3 is an SFP, and it is one for 10 Gbit/s.
fn module(guest: &Guest) {
    let up = Up::new(guest);
    let text = up.ethtool("-m", "");
    assert!(value(&text, "Identifier").contains("0x03 (SFP)"), "{text}");
    assert!(text.contains("10G Ethernet") || text.contains("10G Base"), "{text}");
    for name in ["Vendor name", "Vendor PN", "Vendor SN", "Date code"] {
        assert!(!value(&text, name).is_empty(), "{text}");
    }
    // Both checksums, as SFF-8472 has them.
    let page = up.ethtool("-m", "hex on offset 0 length 96");
    let bytes = dump(&page);
    assert_eq!(bytes.len(), 96, "{page}");
    for (range, at) in [(0..63, 63), (64..95, 95)] {
        let sum = bytes[range].iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
        assert_eq!(sum, bytes[at], "byte {at}: {page}");
    }
}

/// The bytes of a dump: lines of an offset with a colon, and hexadecimal bytes.
pub(crate) fn dump(text: &str) -> Vec<u8> {
    let lines = text.lines().filter_map(|l| {
        let (offset, bytes) = l.trim().split_once(':')?;
        offset.starts_with("0x").then_some(bytes)
    });
    lines.flat_map(str::split_whitespace).filter_map(|b| u8::from_str_radix(b, 16).ok()).collect()
}

fn statistics(guest: &Guest) {
    let up = Up::new(guest);
    up.ping();
    let settle = || std::thread::sleep(SECOND / 5);
    settle();
    let names = ["rx_pkts_nic", "tx_pkts_nic", "rx_bytes_nic", "tx_bytes_nic"];
    let before = names.map(|n| up.counter(n));
    up.answers(NEAR, 100, 1000, 10);
    settle();
    let came: Vec<_> = names.iter().zip(before).map(|(n, b)| up.counter(n) - b).collect();
    // Frames of 1042 bytes and their checksum, and an ARP exchange perhaps.
    for frames in &came[..2] {
        assert!((100..=104).contains(frames), "{came:?}");
    }
    for bytes in &came[2..] {
        assert!((100 * 1046..=100 * 1046 + 4 * 64).contains(bytes), "{came:?}");
    }
    let text = up.ethtool("-S", "");
    for none in [
        "rx_crc_errors",
        "rx_missed_errors",
        "rx_length_errors",
        "rx_csum_offload_errors",
        "tx_timeout_count",
        "rx_no_dma_resources",
        "hw_rsc_aggregated",
    ] {
        assert_eq!(value(&text, none), "0", "{none}");
    }
    let queues: u64 = (0..2).map(|q| up.counter(&format!("rx_queue_{q}_packets"))).sum();
    assert_eq!(queues, up.counter("rx_packets"));
}

fn registers(guest: &Guest) {
    let up = Up::new(guest);
    let text = up.ethtool("-d", "");
    let link = text.lines().skip_while(|l| !l.contains("LINKS")).take(8).collect::<String>();
    has(&link, &["up", "10G"]);
    has(&text, &["CTRL", "STATUS", "RXCTRL", "FCTRL", "EERD", "IP4AT"]);
    // An 82599's status says nothing of a link in error: all ones is a NIC that is gone.
    let status = text.lines().find(|l| l.contains("STATUS")).unwrap();
    assert!(!status.contains("0xFFFFFFFF"), "{status}");
    assert!(!text.contains("unknown"), "{text}");
    up.works();
}

/// Words 0 to 3Fh and those of the sections they point to add up to BABAh.
fn eeprom(guest: &Guest) {
    let up = Up::new(guest);
    let text = up.ethtool("-e", "offset 0 length 4096");
    let bytes = dump(&text);
    assert_eq!(bytes.len(), 4096, "{text}");
    let word = |at: usize| u16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]]);
    let mut sum = (0..=0x3f).fold(0u16, |sum, at| sum.wrapping_add(word(at)));
    // Pointers at 3 to Eh; a section starts with its length. The firmware's, at Fh, has a sum of its
    // own.
    for at in 3..0xf {
        let section = usize::from(word(at));
        if section == 0 || section == 0xffff {
            continue;
        }
        let length = usize::from(word(section));
        if length == 0 || length == 0xffff {
            continue;
        }
        sum = (section + 1..=section + length).fold(sum, |sum, at| sum.wrapping_add(word(at)));
    }
    assert_eq!(sum, 0xbaba, "{text}");
    up.works();
}

fn features(guest: &Guest) {
    let up = Up::new(guest);
    let text = up.ethtool("-k", "");
    for on in [
        "rx-checksumming",
        "tx-checksumming",
        "scatter-gather",
        "tcp-segmentation-offload",
        "rx-vlan-offload",
        "tx-vlan-offload",
        "receive-hashing",
        "rx-vlan-filter",
        "generic-receive-offload",
    ] {
        assert_eq!(value(&text, on), "on", "{on}");
    }
    assert!(!value(&text, "large-receive-offload").contains("fixed"), "{text}");
    assert!(!value(&text, "ntuple-filters").contains("fixed"), "{text}");
}

fn indirection(guest: &Guest) {
    let up = Up::new(guest);
    let text = up.ethtool("-x", "");
    has(&text, &["2 RX ring(s)"]);
    let key =
        text.lines().skip_while(|l| !l.contains("RSS hash key")).nth(1).expect("a key").trim();
    assert_eq!(key.split(':').count(), 40, "{key}");
    // All to the second queue, and traffic follows; unless Flow Director sends it to where its
    // answers came from, which it does not while it has rules of the user's.
    up.ethtool("-K", "ntuple on");
    up.link();
    up.ethtool("-X", "weight 0 1");
    up.ping();
    let before = [0, 1].map(|q| up.counter(&format!("rx_queue_{q}_packets")));
    super::traffic::short();
    let came = [0, 1].map(|q: usize| up.counter(&format!("rx_queue_{q}_packets")) - before[q]);
    // What has no hash, such as ARP, still comes to the first.
    assert!(came[1] > 100 && came[0] < 10, "{came:?}");
    up.ethtool("-X", "default");
    let before = [0, 1].map(|q| up.counter(&format!("rx_queue_{q}_packets")));
    streams::transfer(FAR, Way::Back, 16, 256 << 10).unwrap();
    let came = [0, 1].map(|q: usize| up.counter(&format!("rx_queue_{q}_packets")) - before[q]);
    assert!(came.iter().all(|n| *n > 10), "{came:?}");
    let rings = up.ethtool("-n", "rx-flow-hash tcp4");
    has(&rings, &["IP SA", "IP DA", "L4 bytes 0 & 1", "L4 bytes 2 & 3"]);
}

/// Frames of one flow, more of them than a NIC may interrupt for that may every millisecond only.
fn coalescing(guest: &Guest) {
    let up = Up::new(guest);
    // Interrupts, and the milliseconds that they came in.
    let rate = |usecs: u32| {
        up.ethtool("-C", &format!("rx-usecs {usecs}"));
        let text = up.ethtool("-c", "");
        assert_eq!(value(&text, "rx-usecs"), usecs.to_string());
        up.ping();
        let all = || super::interrupts(&up).iter().map(|(_, n)| n).sum::<u64>();
        let (start, before) = (Instant::now(), all());
        far::ask(&format!("frames 2000 150 {}", udp(&up.mac, 9)));
        let (came, took) = (all() - before, start.elapsed().as_millis() as u64);
        println!("{came} interrupts in {took} ms at {usecs} us");
        (came, took)
    };
    let round = || {
        let ((slow, took), (fast, fast_took)) = (rate(1000), rate(10));
        // The clock's tick is 2 us; the other queue and the link have a few.
        assert!(slow < took * 5 / 4 + 20, "{slow} interrupts in {took} ms");
        fast * took > slow * fast_took * 3 / 2
    };
    // A busy host takes so many frames at once that it needs no more interrupts than that; a NIC that
    // does not heed the setting has as many each time.
    assert!((0..5).any(|_| round()), "as many interrupts at 10 us as at 1000 us");
    up.works();
}

fn pause(guest: &Guest) {
    let up = Up::new(guest);
    let text = up.ethtool("-a", "");
    assert_eq!((value(&text, "RX"), value(&text, "TX")), ("on", "on"), "{text}");
    for way in ["rx on tx off", "rx off tx off", "rx on tx on"] {
        up.ethtool("-A", &format!("autoneg off {way}"));
        up.link();
        let text = up.ethtool("-a", "");
        let is = format!("rx {} tx {}", value(&text, "RX"), value(&text, "TX"));
        assert_eq!(is, way, "{text}");
        up.works();
    }
}

fn rings(guest: &Guest) {
    let up = Up::new(guest);
    for n in [64, 4096, 512] {
        up.ethtool("-G", &format!("rx {n} tx {n}"));
        up.link();
        let text = up.ethtool("-g", "");
        let now = &text[text.find("Current").expect("settings")..];
        assert_eq!((value(now, "RX"), value(now, "TX")), (&*n.to_string(), &*n.to_string()));
        up.works();
        super::traffic::short();
    }
    up.ethtool("-L", "combined 1");
    up.link();
    up.works();
}

fn blink(guest: &Guest) {
    let up = Up::new(guest);
    up.ethtool("-p", "1");
    up.works();
}

/// The clock's own time, in nanoseconds.
fn ptp(clock: &File) -> i64 {
    // FD_TO_CLOCKID of linux/posix-timers.h.
    let id = (!clock.as_raw_fd() << 3) | 3;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is ours; the kernel checks the clock.
    let got = unsafe { libc::clock_gettime(id, &raw mut time) };
    assert_eq!(got, 0, "{}", std::io::Error::last_os_error());
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

fn clock(guest: &Guest) {
    let up = Up::new(guest);
    let text = up.ethtool("-T", "");
    has(
        &text,
        &["hardware-transmit", "hardware-receive", "hardware-raw-clock", "PTP Hardware Clock: 0"],
    );
    let clock = File::options().read(true).write(true).open("/dev/ptp0").expect("a clock");
    let (start, before) = (Instant::now(), ptp(&clock));
    std::thread::sleep(SECOND);
    let (ran, took) = (ptp(&clock) - before, start.elapsed().as_nanos() as i64);
    // A register read takes its time in a virtual machine.
    assert!((ran - took).abs() < took / 5, "the clock ran {ran} ns in {took} ns");
    up.works();
}
