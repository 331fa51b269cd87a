//! The tools at work on software NICs.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use barewire::pcap::{Reader, Writer};
use serde_json::Value;

use crate::{end, run, start};

/// Runs a tool that must succeed; gives its summary.
fn summary(tool: &str, args: &[&str]) -> Value {
    let (status, out, said) = run(tool, args);
    assert!(status.success(), "{tool} {args:?}: {status} {said}");
    last_line(&out)
}

fn last_line(text: &str) -> Value {
    serde_json::from_str(text.lines().last().expect("a summary line")).unwrap()
}

/// Whether every packet sent was received and accounted for.
fn assert_clean(s: &Value, packets: u64) {
    assert_eq!((&s["tx_packets"], &s["rx_packets"]), (&packets.into(), &packets.into()), "{s}");
    assert_eq!((&s["tx_bytes"], &s["errors"]), (&s["rx_bytes"], &0.into()), "{s}");
    assert_eq!((&s["dropped"], &s["reconciles"]), (&0.into(), &true.into()), "{s}");
    assert_eq!(s["application"]["good"], packets, "{s}");
    assert!(s["tx_pps"].as_f64().unwrap() > 0.0 && s["rx_pps"].as_f64().unwrap() > 0.0, "{s}");
    assert!(s["drops"].as_object().unwrap().values().all(|n| *n == 0), "{s}");
}

fn write_capture(path: &Path, frames: &[Vec<u8>]) {
    let mut w = Writer::create(path, 65535).unwrap();
    for (i, f) in frames.iter().enumerate() {
        w.write(1_700_000_000_000_000_000 + 1000 * i as u64, f).unwrap();
    }
    w.finish().unwrap();
}

fn read_capture(path: &Path) -> Vec<Vec<u8>> {
    let mut r = Reader::open(path).unwrap();
    let mut frames = Vec::new();
    while let Some(record) = r.next().unwrap() {
        frames.push(record.data.to_vec());
    }
    frames
}

/// Frames of many lengths, to station 02:00:00:00:00:02, with different bytes.
fn sample() -> Vec<Vec<u8>> {
    let mut rng = fastrand::Rng::with_seed(7);
    let frame = |_| {
        let len = rng.usize(60..=1514);
        let mut f: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
        f[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
        f[12..14].copy_from_slice(&[0x88, 0xb5]);
        f
    };
    (0..200).map(frame).collect()
}

#[test]
fn pktgen_loses_nothing_between_two_software_nics() {
    for extra in [
        &[][..],
        &["--threads", "2"],
        &["--size", "64-9018"],
        &["--size", "imix", "--burst", "7"],
        &["--size", "68-99", "--vlan", "5"],
        &["--queues", "4", "--src-ip", "10.0.0.0/24", "--dst-port", "1-99"],
        &["--rxd", "64", "--txd", "64", "--burst", "512"],
        &["--rate", "500kpps"],
    ] {
        let args = [&["--count", "20000", "--json"], extra].concat();
        assert_clean(&summary("pktgen", &args), 20_000);
    }
}

#[test]
fn pktgen_hears_itself_over_a_loopback() {
    let args = ["sim:82599?wire=loopback", "-n", "10k", "--json", "-q"];
    assert_clean(&summary("pktgen", &args), 10_000);
}

#[test]
fn pktgen_and_the_generator_on_the_wire_check_each_other() {
    let name = "sim:82599?wire=gen:count=5000,seq=on";
    let args = [name, "--mode", "rxonly", "-n", "5000", "--json", "-q", "--drop-when-full", "no"];
    let s = summary("pktgen", &args);
    assert_eq!((&s["application"]["good"], &s["application"]["lost"]), (&5000.into(), &0.into()));
    let args = ["sim:82599?wire=sink", "--mode", "txonly", "-n", "5000", "--json", "-q"];
    let s = summary("pktgen", &args);
    assert_eq!((&s["tx_packets"], &s["reconciles"]), (&5000.into(), &true.into()), "{s}");
}

/// --count is for each port.
#[test]
fn pktgen_sends_and_receives_on_two_ports_in_one_thread_or_two() {
    for (threads, workers) in [("1", 1), ("2", 2)] {
        let args = ["-n", "5000", "--threads", threads, "--json", "-q", "--mode"];
        let ports = ["sim:82599?wire=sink"; 2];
        let s = summary("pktgen", &[&ports[..], &args[..], &["txonly"]].concat());
        assert_eq!((&s["tx_packets"], &s["reconciles"]), (&10_000.into(), &true.into()), "{s}");
        assert_eq!(s["work"]["workers"].as_array().unwrap().len(), workers, "{s}");
        let ports = ["sim:82599?wire=gen:count=5000,seq=on"; 2];
        let more = ["rxonly", "--drop-when-full", "no"];
        let s = summary("pktgen", &[&ports[..], &args[..], &more].concat());
        assert_eq!((&s["application"]["good"], &s["errors"]), (&10_000.into(), &0.into()), "{s}");
        assert_eq!(s["work"]["workers"].as_array().unwrap().len(), workers, "{s}");
    }
}

/// What a tool says its packets cost; checks that it adds up.
fn work(s: &Value) -> (u64, f64) {
    let work = &s["work"];
    let number = |w: &Value, key: &str| w[key].as_f64().unwrap_or_else(|| panic!("{key}: {w}"));
    let workers = work["workers"].as_array().unwrap();
    for key in ["cycles", "packets", "bursts"] {
        let sum: u64 = workers.iter().map(|w| w[key].as_u64().unwrap()).sum();
        assert_eq!(work[key], sum, "{key}: {work}");
    }
    for w in std::iter::once(work).chain(workers) {
        let (cycles, packets) = (number(w, "cycles"), number(w, "packets"));
        assert!((number(w, "cycles_per_packet") - cycles / packets).abs() < 0.01, "{w}");
        let fill = number(w, "packets_per_burst");
        assert!((fill - packets / number(w, "bursts")).abs() < 0.01 && fill >= 1.0, "{w}");
        assert!((0.0..=100.0).contains(&number(w, "full_bursts_percent")), "{w}");
        assert!(cycles > 0.0, "{w}");
    }
    (work["packets"].as_u64().unwrap(), number(work, "packets_per_burst"))
}

#[test]
fn the_summary_tells_what_packets_cost_and_how_full_bursts_are() {
    let port = "sim:82599?wire=gen";
    let args = [port, port, "-n", "6400", "--json", "-q"];
    for (threads, workers) in [("1", 1), ("2", 2)] {
        let s = summary("forward", &[&args[..], &["--threads", threads, "--burst", "8"]].concat());
        assert_eq!(s["work"]["workers"].as_array().unwrap().len(), workers, "{s}");
        let (packets, fill) = work(&s);
        assert_eq!(s["rx_packets"], packets, "a packet received and sent on is one: {s}");
        assert!(fill <= 8.0, "{s}");
    }
    let slow = "sim:82599?wire=gen:rate=1000,count=50";
    let (packets, fill) =
        work(&summary("capture", &[slow, "-n", "50", "-w", "/dev/null", "--json"]));
    assert!(packets == 50 && fill < 2.0);
    let s = summary("pktgen", &["-n", "1000", "--threads", "1", "--json", "-q"]);
    assert_eq!(work(&s).0, 2000, "sent and received: {s}");
    let (status, text, _) = run("forward", &args[..4]);
    assert!(status.success());
    assert!(text.contains("cycles (TSC ticks) per packet, bursts of ") && text.contains("path "));
    // Nothing came, so there is nothing to divide by.
    let s = summary("forward", &[slow, slow, "--mode", "rxonly", "--secs", "0.001", "--json"]);
    assert!(s["work"]["bursts"] != 0 || s["work"]["cycles_per_packet"].is_null(), "{s}");
}

#[test]
fn the_path_is_the_one_that_was_asked_for_or_refused() {
    use barewire::port::DataPath;
    let best = DataPath::supported().next().unwrap();
    let args =
        |path| ["sim:82599?wire=gen", "--mode", "rxonly", "-n", "999", "--json", "--path", path];
    for path in [DataPath::Scalar, DataPath::Sse41, DataPath::Avx2, DataPath::Avx512] {
        if !path.is_supported() {
            let said = crate::refused("forward", &args(path.name()));
            assert!(said.contains(&format!("data path = {path} is not allowed")), "{said}");
            continue;
        }
        let s = summary("forward", &args(path.name()));
        let told = &s["ports"][0]["path"];
        assert_eq!(
            (&told["rx"]["name"], &told["tx"]["name"]),
            (&path.name().into(), &path.name().into())
        );
        let why = if path == DataPath::Avx512 { Value::Null } else { "as configured".into() };
        assert_eq!(told["rx"]["why_no_faster"], why, "{s}");
    }
    let s = summary("forward", &args("auto"));
    assert_eq!(s["ports"][0]["path"]["rx"]["name"], best.name(), "{s}");
}

#[test]
fn workers_sleep_while_nothing_comes_and_lose_nothing() {
    let awake = summary("pktgen", &["--count", "300", "--json", "-q"]);
    assert!(awake["idle"].is_null(), "{awake}");
    for extra in [
        &["--threads", "1"][..],
        &["--threads", "2"],
        &["sim:82599?wire=loopback"],
        &["sim:82599?wire=cable:a&drive=thread", "sim:82599?wire=cable:a&drive=thread"],
    ] {
        let args = ["--count", "300", "--rate", "500pps", "--idle", "sleep", "--json", "-q"];
        let s = summary("pktgen", &[extra, &args].concat());
        assert_clean(&s, 300);
        let idle = &s["idle"];
        assert!(idle["asleep_percent"].as_f64().unwrap() > 20.0, "{extra:?}: {idle}");
        assert!(idle["sleeps"].as_u64().unwrap() > 10, "{extra:?}: {idle}");
    }
    let port = "sim:82599?wire=gen:rate=200,count=100";
    for threads in ["1", "2"] {
        let args = ["--threads", threads, "--idle", "sleep", "--secs", "1.5", "--json", "-q"];
        let s = summary("forward", &[&[port, port], &args[..]].concat());
        assert_eq!((&s["tx_packets"], &s["reconciles"]), (&200.into(), &true.into()), "{s}");
        assert!(s["idle"]["asleep_percent"].as_f64().unwrap() > 40.0, "{s}");
        assert!(s["idle"]["woken_by"]["interrupt"].as_u64().unwrap() > 20, "{s}");
    }
}

/// With --hold, packets that are kept for a full ring are no reason to sleep: nothing would wake
/// their worker but the clock.
#[test]
fn what_is_held_for_a_full_ring_is_not_slept_on() {
    let ports = ["sim:82599?wire=gen:count=20000", "sim:82599?wire=sink&drive=thread"];
    let args = ["--hold", "--txd", "64", "--idle", "sleep", "--idle-polls", "1"];
    let more = ["--idle-timeout", "10000", "-n", "20000", "--secs", "40", "--json", "-q"];
    let s = summary("forward", &[&ports[..], &args, &more].concat());
    assert_eq!((&s["tx_packets"], &s["reconciles"]), (&20_000.into(), &true.into()), "{s}");
    assert_eq!(s["idle"]["woken_by"]["timeout"], 0, "{s}");
}

/// Whoever reads along sees the packets before the next one comes.
#[test]
fn a_capture_is_written_out_before_its_worker_sleeps() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("early");
    let file = path.to_str().unwrap();
    let port = "sim:82599?wire=gen:rate=1000,count=3";
    let args = [port, "-w", file, "--idle", "sleep", "--idle-timeout", "10000", "--secs", "50"];
    let mut child = start("capture", &args);
    let began = Instant::now();
    let written = || {
        Reader::open(&path)
            .ok()
            .is_some_and(|mut r| (0..3).all(|_| matches!(r.next(), Ok(Some(_)))))
    };
    while !written() {
        assert!(began.elapsed() < Duration::from_secs(40), "nothing is in the file");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_line_a_second_is_right_while_the_worker_sleeps() {
    let port = "sim:82599?wire=gen:rate=1000,count=50";
    let args = [port, "--idle", "sleep", "--idle-timeout", "3000", "--secs", "2", "--json-lines"];
    let (status, out, said) = run("capture", &[&args[..], &["-q", "-w", "/dev/null"]].concat());
    assert!(status.success(), "{said}");
    let first: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!((&first["final"], &first["rx_packets"]), (&false.into(), &50.into()), "{first}");
}

#[test]
fn a_sleeping_tool_ends_when_its_device_is_removed() {
    let port = "sim:82599?wire=gen:rate=200&faults=removal@0.1";
    let args = [port, "--idle", "sleep", "--idle-polls", "10", "--json", "-q"];
    for tool in ["capture", "echo"] {
        let extra: &[&str] = if tool == "echo" { &["--ip", "10.0.0.2"] } else { &[] };
        let (status, out, said) = run(tool, &[&args[..], extra].concat());
        assert_eq!(status.code(), Some(1), "{tool}: {said}");
        assert!(said.contains("is gone"), "{tool}: {said}");
        let failure = last_line(out.lines().last().unwrap())["failure"].clone();
        assert!(failure.as_str().unwrap().contains("is gone"), "{tool}: {failure}");
    }
}

#[test]
fn one_object_a_second_and_the_summary_last() {
    let args = ["--secs", "2.5", "--rate", "1kpps", "--json-lines", "-q"];
    let (status, out, _) = run("pktgen", &args);
    assert!(status.success());
    let lines: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(lines.len() >= 2, "{lines:?}");
    let (last, seconds) = lines.split_last().unwrap();
    assert!(seconds.iter().all(|l| l["final"] == false && l["drops"].is_object()));
    assert_eq!((&last["final"], &last["reconciles"]), (&true.into(), &true.into()));
}

#[test]
fn a_capture_is_replayed_forwarded_and_captured_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let frames = sample();
    write_capture(&path("a"), &frames);
    let (a, b) = (path("a").display().to_string(), path("b").display().to_string());

    let s = summary("pktgen", &["--pcap", &a, "--loop", "3", "--json", "-q"]);
    assert_clean(&s, 600);

    let port = format!("sim:82599?wire=pcap:out={b}");
    summary("pktgen", &[&port, "--mode", "txonly", "--pcap", &a, "--json", "-q"]);
    assert!(read_capture(&path("b")) == frames, "pktgen sent something else");

    let port = format!("sim:82599?wire=pcap:in={a}");
    let out = path("c").display().to_string();
    let s = summary("capture", &[&port, "-w", &out, "-n", "200", "--json", "-q"]);
    assert_eq!(s["application"]["written"], 200, "{s}");
    assert!(read_capture(&path("c")) == frames, "capture wrote something else");

    for (mode, file) in [("io", "d"), ("macswap", "e"), ("mac", "f")] {
        let there = format!("sim:82599?wire=pcap:out={}", path(file).display());
        let mut args = vec![&*port, &there, "--mode", mode, "-n", "200", "--json", "-q"];
        if mode == "mac" {
            args.extend(["--dst-mac", "02:00:00:00:00:aa,02:00:00:00:00:bb"]);
        }
        let s = summary("forward", &args);
        assert_eq!((&s["tx_packets"], &s["reconciles"]), (&200.into(), &true.into()), "{s}");
        let mut expected = frames.clone();
        for f in &mut expected {
            match mode {
                "macswap" => f[..12].rotate_left(6),
                "mac" => {
                    f[..6].copy_from_slice(&[2, 0, 0, 0, 0, 0xbb]);
                    let own = s["ports"][1]["mac"].as_str().unwrap();
                    let own: barewire::port::MacAddr = own.parse().unwrap();
                    f[6..12].copy_from_slice(&own.0);
                }
                _ => {}
            }
        }
        assert!(read_capture(&path(file)) == expected, "forward --mode {mode}");
    }
}

#[test]
fn capture_shows_a_line_a_packet_and_cuts_at_the_snap_length() {
    let name = "sim:82599?wire=gen:count=10,rate=1000";
    let (status, text, _) = run("capture", &[name, "-n", "5", "-q"]);
    assert!(status.success());
    assert_eq!(text.lines().filter(|l| l.contains("UDP ")).count(), 5, "{text}");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    let args = [name, "-n", "5", "-s", "20", "-q", "--json", "-w", file.to_str().unwrap()];
    let s = summary("capture", &args);
    assert_eq!(
        (&s["application"]["cut"], &s["application"]["bytes_written"]),
        (&5.into(), &100.into())
    );
    assert!(read_capture(&file).iter().all(|f| f.len() == 20));
}

fn wall_clock_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

#[test]
fn captures_time_stamps_are_the_wall_clocks_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    let args = ["-n", "100", "-q", "--json", "-w", file.to_str().unwrap()];
    let before = wall_clock_ns();
    summary("capture", &[&["sim:82599?wire=gen:rate=10000"], &args[..]].concat());
    let after = wall_clock_ns();
    let mut r = Reader::open(&file).unwrap();
    let (mut last, mut stamps) = (before, 0);
    while let Some(record) = r.next().unwrap() {
        assert!((last..=after).contains(&record.ts_ns), "{last} {} {after}", record.ts_ns);
        last = record.ts_ns;
        stamps += 1;
    }
    assert_eq!(stamps, 100);
}

#[test]
fn echo_answers_what_it_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (asked, answered) = (dir.path().join("a"), dir.path().join("b"));
    let mut arp = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 7, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
    arp.extend([2, 0, 0, 0, 0, 7, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    let mut ping = Vec::new();
    etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 7], [2, 0, 0, 0, 0, 9])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .icmpv4_echo_request(1, 2)
        .write(&mut ping, &[0x5a; 1400])
        .unwrap();
    arp.resize(60, 0);
    write_capture(&asked, &[arp, ping, vec![0; 60]]);
    let port = format!("sim:82599?wire=pcap:in={},out={}", asked.display(), answered.display());
    let args = [&*port, "--ip", "10.0.0.2/24", "--mac", "02:00:00:00:00:09", "-n", "2", "--json"];
    let s = summary("echo", &args);
    assert_eq!(
        (&s["application"]["arp"], &s["application"]["icmp"]),
        (&1.into(), &1.into()),
        "{s}"
    );
    assert_eq!((&s["tx_packets"], &s["reconciles"]), (&2.into(), &true.into()), "{s}");
    let replies = read_capture(&answered);
    assert_eq!(replies[0][20..22], [0, 2], "an ARP reply");
    assert_eq!(replies[0][22..28], [2, 0, 0, 0, 0, 9]);
    let icmp = etherparse::SlicedPacket::from_ethernet(&replies[1]).unwrap();
    let Some(etherparse::TransportSlice::Icmpv4(icmp)) = icmp.transport else { panic!("no ICMP") };
    assert_eq!((icmp.type_u8(), icmp.payload()), (0, &[0x5a; 1400][..]));
}

fn signal(child: &std::process::Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

#[test]
fn a_signal_ends_every_tool_in_order() {
    let generator = "sim:82599?wire=gen:rate=1000";
    let (port, sink) = ("sim:82599?wire=gen:rate=50000", "sim:82599?wire=sink");
    for (name, tool, args) in [
        ("INT", "pktgen", &["--json-lines", "--secs", "600"][..]),
        ("TERM", "pktgen", &["--json-lines", "--threads", "2", "--secs", "600"]),
        ("INT", "forward", &[generator, generator, "--json-lines"]),
        ("TERM", "forward", &[port, port, "--mode", "macswap", "--burst", "32", "--json-lines"]),
        ("INT", "forward", &[port, port, "--mode", "rxonly", "--rxd", "512", "--json-lines"]),
        ("TERM", "pktgen", &[sink, sink, "--mode", "txonly", "--threads", "1", "--json-lines"]),
        ("INT", "pktgen", &[sink, sink, "--mode", "txonly", "--unnumbered", "--json-lines"]),
        ("INT", "pktgen", &[port, port, "--mode", "rxonly", "--threads", "1", "--json-lines"]),
        ("INT", "capture", &[generator, "-w", "/dev/null", "--json-lines"]),
        ("INT", "echo", &[generator, "--ip", "10.0.0.2", "--json-lines"]),
    ] {
        let mut child = start(tool, args);
        // Its first line of output says that it runs.
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        signal(&child, name);
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        let (status, _, said) = end(child);
        assert!(status.success(), "{tool} after SIG{name}: {status} {said}");
        let s = last_line(&rest);
        assert_eq!((&s["final"], &s["reconciles"]), (&true.into(), &true.into()), "{tool}: {s}");
    }
}

#[test]
fn a_signal_also_ends_the_wait_for_link() {
    // Nobody holds the other end of the cable.
    let args = ["sim:82599?wire=cable:lonely", "-w", "/dev/null", "--link-wait", "600", "--json"];
    let child = start("capture", &args);
    std::thread::sleep(std::time::Duration::from_millis(500));
    signal(&child, "TERM");
    let (status, out, said) = end(child);
    assert!(status.success(), "{status} {said}");
    assert_eq!(last_line(&out)["final"], true, "stopped in order");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for args in [&["--json-lines", "--secs", "600"][..], &["--secs", "0.1"]] {
        let mut child = start("pktgen", args);
        drop(child.stdout.take());
        let (status, _, said) = end(child);
        assert!(status.success(), "{status} {said}");
    }
}

#[test]
fn a_device_that_breaks_ends_the_run_with_reason_and_counts() {
    let (good, reason) = ("sim:82599?wire=cable:x", [("removal", "gone"), ("stray", "DMA")]);
    for (fault, why) in reason {
        for threads in ["1", "2"] {
            let bad = format!("{good}&faults={fault}@0.001");
            let args = [good, &bad, "--secs", "60", "--json", "--threads", threads, "-q"];
            let (status, out, said) = run("pktgen", &args);
            assert_eq!(status.code(), Some(1), "{said}");
            assert!(said.contains("pktgen: sim:82599") && said.contains(why), "{said}");
            let s = last_line(&out);
            assert!(s["failure"].as_str().unwrap().contains(why), "{s}");
            assert!(s["tx_packets"].as_u64().unwrap() > 0, "{s}");
        }
        let bad = format!("sim:82599?wire=gen:rate=10000&faults={fault}@0.001");
        for (tool, more) in [
            ("forward", &["sim:82599?wire=sink"][..]),
            ("capture", &["-w", "/dev/null"]),
            ("echo", &["--ip", "10.0.0.2"]),
        ] {
            let args = [&[&*bad, "--secs", "60", "--json", "-q"], more].concat();
            let (status, out, said) = run(tool, &args);
            assert_eq!(status.code(), Some(1), "{tool}: {said}");
            assert!(said.contains(&format!("{tool}: {bad}")) && said.contains(why), "{said}");
            let s = last_line(&out);
            assert!(s["failure"].as_str().unwrap().contains(why), "{s}");
            assert!(s["rx_packets"].as_u64().unwrap() > 0, "{s}");
            assert!(s["seconds"].as_f64().unwrap() < 60.0, "{s}");
        }
    }
}

#[test]
fn packets_that_never_leave_are_a_failure() {
    let stuck = "sim:82599?wire=cable:x&faults=stucktx@0.01";
    let args = [stuck, "sim:82599?wire=cable:x", "--secs", "1", "--json", "-q"];
    let (status, out, said) = run("pktgen", &args);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("stayed in the transmit ring"), "{said}");
    let s = last_line(&out);
    assert!(s["drops"]["tx_stuck"].as_u64().unwrap() > 0 && s["reconciles"] == true, "{s}");
}
