//! The tools on two 82599s that another process plays, natively: registers in a file that appears
//! as `resource0`, rings and buffers found by physical address in the tool's hugetlbfs files. See
//! `rig82599`. Needs root and some free hugepages; passes without having tried anything otherwise.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};

/// Hugepages of 2 MiB that a run takes at most.
const PAGES: usize = 12;
const FRAMES: u64 = 20_000;
const PORTS: [&str; 2] = ["0000:03:00.0", "0000:04:00.0"];
const INT: i32 = libc::SIGINT;
const TERM: i32 = libc::SIGTERM;

/// The tools' folder; see `tests/cli`.
fn tools() -> &'static PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        if let Some(dir) = std::env::var_os("BAREWIRE_TOOLS") {
            return PathBuf::from(dir);
        }
        let mut dir = std::env::current_exe().unwrap();
        assert!(dir.pop() && dir.pop(), "a test stands in target/<profile>/deps");
        let profile = match dir.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        }
        .to_owned();
        let built = Command::new(env!("CARGO"))
            .args(["build", "--examples", "--quiet", "--profile", &profile])
            .args(cfg!(feature = "vfio-user").then_some("--features=vfio-user"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success());
        dir.join("examples")
    })
}

fn possible() -> bool {
    // SAFETY: only asks.
    let root = unsafe { libc::geteuid() } == 0;
    let pool = "/sys/kernel/mm/hugepages/hugepages-2048kB";
    let count = |name: &str| -> usize {
        let text = std::fs::read_to_string(format!("{pool}/{name}")).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    };
    root && count("free_hugepages") >= PAGES + count("resv_hugepages")
}

/// A run of the rig: what it saw, what the tool summed up, and what the tool said.
struct Run {
    rig: Value,
    tool: Value,
    said: String,
}

fn play(rig: &[&str], program: &[&str]) -> Option<Run> {
    let tool = tools().join(program[0]);
    start(rig, &[&[tool.to_str().unwrap()], &program[1..]].concat())
}

/// One run at a time: a device that waits for its core is late.
fn start(rig: &[&str], program: &[&str]) -> Option<Run> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if !possible() {
        eprintln!("not tried: needs root and {PAGES} free hugepages");
        return None;
    }
    let output = Command::new(tools().join("rig82599"))
        .args(rig)
        .arg("--")
        .args(program)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines().rev();
    let mut next =
        || lines.next().map_or(Value::Null, |l| serde_json::from_str(l).unwrap_or_default());
    let rig = next();
    Some(Run { rig, tool: next(), said })
}

fn forward(rig: &[&str], mode: &str) -> Option<Run> {
    let way = ["--way", mode];
    let args = ["forward", PORTS[0], PORTS[1], "--mode", mode, "--burst", "32", "--rxd", "512"];
    let frames = FRAMES.to_string();
    let run = play(
        &[&way, &["--frames", &frames], rig].concat(),
        &[&args[..], &["--txd", "512", "--json", "-q"]].concat(),
    );
    run.inspect(|run| {
        let Run { rig, tool, said } = run;
        assert_eq!(tool["rx_packets"], 2 * FRAMES, "{rig} {tool} {said}");
        let sent = if mode == "rxonly" { 0 } else { FRAMES };
        assert_eq!(tool["tx_packets"], 2 * sent, "{rig} {tool}");
        for port in rig["ports"].as_array().unwrap() {
            assert_eq!(
                (&port["delivered"], &port["sent"]),
                (&json!(FRAMES), &json!(sent)),
                "{rig}"
            );
            // One at the start, and none for each few frames.
            assert!(port["rdt_writes"].as_u64().unwrap() <= 1 + FRAMES / 16, "{rig}");
        }
        assert_eq!(tool["drops"]["tx_full"], 0, "{tool}");
        clean_end(rig);
    })
}

/// In order, nothing odd, and nothing left behind.
fn clean_end(rig: &Value) {
    assert_eq!((&rig["exit_code"], &rig["memory_files"]), (&json!(0), &json!(0)), "{rig}");
    assert_eq!(rig["faults"], 0, "addresses that lead nowhere: {rig}");
    for port in rig["ports"].as_array().unwrap() {
        assert_eq!((&port["wrong"], &port["out_of_order"]), (&json!(0), &json!(0)), "{rig}");
        assert_eq!(port["bus_master"], false, "{rig}");
    }
}

#[test]
fn every_frame_leaves_in_order_and_untouched_on_the_other_port() {
    for signal in [INT, TERM] {
        let signal = signal.to_string();
        let rig = ["--driver", "uio_pci_generic", "--uio", "7", "--command", "2"];
        let Some(run) = forward(&[&rig[..], &["--signal", &signal]].concat(), "io") else { return };
        assert!(!run.said.contains("no UIO driver"), "{}", run.said);
    }
}

#[test]
fn registers_and_a_short_config_space_are_enough() {
    let Some(run) = forward(&["--bare", "--config", "64"], "macswap") else { return };
    assert!(run.said.contains("bound to no UIO driver: polling only"), "{}", run.said);
    assert!(run.said.contains("scripts/bind uio 0000:03:00.0"), "{}", run.said);
}

#[test]
fn frames_that_stay_are_counted_and_their_buffers_posted_again() {
    let rig = ["--bare", "--blank", "--signal", &TERM.to_string()];
    let Some(run) = forward(&rig, "rxonly") else { return };
    assert!(run.said.contains("no station address"), "{}", run.said);
}

#[test]
fn answers_may_be_late() {
    forward(&["--bare", "--delay", "900"], "io");
}

#[test]
fn igb_uio_with_bus_mastering_left_on() {
    forward(&["--driver", "igb_uio", "--uio", "0", "--command", "6"], "io");
}

#[test]
fn two_ports_can_send_only() {
    let program = ["pktgen", PORTS[0], PORTS[1], "--mode", "txonly", "--json", "-q"];
    let frames = FRAMES.to_string();
    let rig = ["--bare", "--way", "generate", "--frames", &frames];
    let Some(Run { rig, tool, .. }) = play(&rig, &program) else { return };
    clean_end(&rig);
    let sent: u64 = [0, 1].iter().map(|n| rig["ports"][n]["sent"].as_u64().unwrap()).sum();
    assert!(sent >= 2 * FRAMES, "{rig}");
    assert_eq!(tool["tx_packets"], sent, "{rig} {tool}");
}

#[test]
fn a_device_of_a_kernel_driver_is_left_alone() {
    let program = ["forward", PORTS[0], PORTS[1]];
    let rig = ["--driver", "ixgbe", "--command", "7"];
    let Some(Run { rig, said, .. }) = play(&rig, &program) else { return };
    assert_eq!((&rig["exit_code"], &rig["memory_files"]), (&json!(2), &json!(0)), "{rig} {said}");
    assert!(said.contains("kernel driver ixgbe") && said.contains("scripts/bind"), "{said}");
    for port in rig["ports"].as_array().unwrap() {
        assert_eq!((&port["resets"], &port["bus_master"]), (&json!(0), &json!(true)), "{rig}");
    }
}

/// Its devices go on; the next start silences both before it frees what they write to.
#[test]
fn what_a_killed_owner_left_is_cleaned_up_by_the_next() {
    let forward = tools().join("forward");
    let forward = format!("{} {} {}", forward.display(), PORTS[0], PORTS[1]);
    let count = "ls /dev/hugepages | wc -l";
    let script = format!(
        "timeout -s KILL 1 {forward} -q; echo \"left: $({count})\" >&2; exec {forward} -q --secs 0.3"
    );
    let endless = u64::MAX.to_string();
    let rig = ["--bare", "--frames", &endless, "--hollow"];
    let Some(Run { rig, said, .. }) = start(&rig, &["sh", "-c", &script]) else { return };
    assert!(said.contains("left: ") && !said.contains("left: 0"), "{said}");
    assert!(said.contains("memory files of killed processes stay"), "{said}");
    assert_eq!((&rig["exit_code"], &rig["memory_files"]), (&json!(0), &json!(0)), "{rig} {said}");
    for port in rig["ports"].as_array().unwrap() {
        assert_eq!(port["bus_master"], false, "{rig}");
    }
}
