//! Tests on a real kernel: of our driver with QEMU's model of the 82576 and with our own of the
//! 82599, of that model with Linux's and DPDK's drivers, and of our models of the other chips with
//! Linux's and ours. `scripts/vm-lab` builds this program, boots a guest and runs it there; on any
//! other machine it refuses.
//!
//! Each test is a run of this program by itself, so that one that crashes or hangs is that test's
//! failure and nothing else's. A test fails by panicking. Before each, what the last one left is
//! taken away: processes, drivers, memory files.

mod binding;
mod chips;
mod crash;
mod dpdk;
mod far;
mod guest;
mod igb_uio;
mod interrupt;
mod lost;
mod memory;
mod offloads;
mod ping;
mod raw;
mod refusals;
mod stock;
mod streams;
mod tagged;
mod tools;
mod traffic;
mod uio;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use guest::Guest;

/// What kind of guest a test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Boot {
    /// Nothing in the way.
    Main,
    /// The same, a second time, for the scripts and tools: two guests are done sooner than one.
    Tools,
    /// An IOMMU that translates.
    Iommu,
    /// Kernel lockdown, as under Secure Boot.
    Lockdown,
    /// One NIC, on a wire to the host, for Linux's driver.
    Stock,
    /// The same, a second time, for ethtool, offloads and streams.
    Ethtool,
    /// The same without message interrupts.
    Intx,
    /// One NIC, on a wire to the host, for DPDK's driver.
    Dpdk,
    /// Our other chips, two on each wire.
    Chips,
}

/// One test.
#[derive(Debug, Clone, Copy)]
struct Test {
    name: &'static str,
    boot: Boot,
    /// Seconds.
    limit: u64,
    /// Whether the NICs have their kernel driver at the start; else some have none.
    kernel: bool,
    /// Whether it needs what only QEMU's 82576 has.
    only_igb: bool,
    run: fn(&Guest),
}

/// A test for the main guest, with the usual time limit.
const fn test(name: &'static str, run: fn(&Guest)) -> Test {
    Test { name, boot: Boot::Main, limit: 60, kernel: false, only_igb: false, run }
}

impl Test {
    const fn boot(self, boot: Boot) -> Self {
        Self { boot, ..self }
    }

    const fn kernel(self) -> Self {
        Self { kernel: true, ..self }
    }

    const fn only_igb(self) -> Self {
        Self { only_igb: true, ..self }
    }

    const fn limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }
}

fn all() -> impl Iterator<Item = &'static Test> {
    [
        uio::TESTS,
        lost::TESTS,
        memory::TESTS,
        refusals::TESTS,
        binding::TESTS,
        igb_uio::TESTS,
        traffic::TESTS,
        offloads::TESTS,
        tools::TESTS,
        interrupt::TESTS,
        crash::TESTS,
        stock::TESTS,
        stock::ethtool::TESTS,
        stock::offloads::TESTS,
        stock::traffic::TESTS,
        stock::INTX_TESTS,
        chips::TESTS,
        dpdk::TESTS,
    ]
    .into_iter()
    .flatten()
    .filter(|t| !t.only_igb || guest::kind().driver == "igb")
}

/// What the kernel's command line says after `name=`.
fn argument(name: &str) -> String {
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    line.split_whitespace()
        .find_map(|w| w.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or_default()
        .to_owned()
}

fn main() -> ExitCode {
    let boot = match argument("lab.boot").as_str() {
        "main" => Boot::Main,
        "tools" => Boot::Tools,
        "iommu" => Boot::Iommu,
        "lockdown" => Boot::Lockdown,
        "stock" => Boot::Stock,
        "ethtool" => Boot::Ethtool,
        "intx" => Boot::Intx,
        "dpdk" => Boot::Dpdk,
        "chips" => Boot::Chips,
        _ if std::env::args().nth(1).as_deref() == Some("far") => {
            return far::serve(&std::env::args().skip(2).collect::<Vec<_>>());
        }
        _ => {
            eprintln!("this is not a guest of scripts/vm-lab, which runs these tests");
            return ExitCode::from(2);
        }
    };
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        None => everything(boot),
        Some("--exact") => {
            let name = args.next().unwrap_or_default();
            let Some(test) = all().find(|t| t.name == name) else { return ExitCode::from(2) };
            let guest = Guest::find();
            if test.kernel {
                guest.to_kernel();
            }
            (test.run)(&guest);
            ExitCode::SUCCESS
        }
        // Helper processes of tests.
        Some("own") => memory::own(&args.next().unwrap_or_default()),
        Some("pings") => tools::pings(&args.collect::<Vec<_>>()),
        Some("serve") => tools::serve(&args.collect::<Vec<_>>()),
        Some("send") => tools::send(&args.collect::<Vec<_>>()),
        Some("listen") => streams::listener(&args.collect::<Vec<_>>()),
        Some("streams") => streams::client(&args.collect::<Vec<_>>()),
        Some("receive") => crash::receive(&args.collect::<Vec<_>>()),
        Some(role) => {
            eprintln!("no such role: {role}");
            ExitCode::from(2)
        }
    }
}

/// Runs the tests one after the other and reports on standard output.
fn everything(boot: Boot) -> ExitCode {
    let (only, from) = (argument("lab.only"), argument("lab.from"));
    let tests: Vec<_> = all()
        .filter(|t| t.boot == boot && t.name.contains(only.as_str()))
        .skip_while(|t| !from.is_empty() && t.name != from)
        .collect();
    for name in tests.iter().map(|t| t.name).chain([KERNEL_LOG]) {
        println!("plan {name}");
    }
    for t in tests {
        eprintln!("== {}", t.name);
        if let Err(why) = guest::restore() {
            println!("test {} ... FAILED (0.0 s)\n| cannot restore the guest: {why}", t.name);
            continue;
        }
        let start = Instant::now();
        let result = alone(t);
        let secs = start.elapsed().as_secs_f64();
        match result {
            Ok(()) => println!("test {} ... ok ({secs:.1} s)", t.name),
            Err(output) => {
                println!("test {} ... FAILED ({secs:.1} s)", t.name);
                let lines: Vec<_> = output.lines().collect();
                for line in &lines[lines.len().saturating_sub(30)..] {
                    println!("| {line}");
                }
            }
        }
    }
    match complaints() {
        lines if lines.is_empty() => println!("test {KERNEL_LOG} ... ok (0.0 s)"),
        lines => {
            println!("test {KERNEL_LOG} ... FAILED (0.0 s)");
            lines.iter().take(20).for_each(|l| println!("| {l}"));
        }
    }
    println!("end");
    let _ = std::io::stdout().flush();
    ExitCode::SUCCESS
}

/// What a kernel says whose memory was written to by a NIC, or whose interrupt nobody wanted.
const COMPLAINTS: [&str; 9] = [
    "BUG:",
    "WARNING: ",
    "Oops",
    "general protection",
    "Bad page",
    "nobody cared",
    "list_add corruption",
    "DMAR: [DMA",
    "Machine check",
];

/// The last test of every guest.
const KERNEL_LOG: &str = "log::the_kernel_has_nothing_to_complain_about";

fn complaints() -> Vec<String> {
    let (read, text) = guest::sh("dmesg");
    if !read || text.is_empty() {
        return vec![format!("dmesg failed: {text}")];
    }
    let bad = |l: &&str| COMPLAINTS.iter().any(|c| l.contains(c));
    text.lines().filter(bad).map(str::to_owned).collect()
}

/// Runs one test in a process of its own, and gives its output if it fails.
fn alone(test: &Test) -> Result<(), String> {
    let path = "/tmp/output";
    let output = fs::File::create(path).map_err(|e| e.to_string())?;
    let both = output.try_clone().map_err(|e| e.to_string())?;
    let mut child = Command::new("/proc/self/exe")
        .args(["--exact", test.name])
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(both)
        .process_group(0)
        .spawn()
        .map_err(|e| e.to_string())?;
    let deadline = Instant::now() + Duration::from_secs(test.limit);
    let why = loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break None,
            Ok(Some(status)) => break Some(status.to_string()),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) => break Some(format!("not done after {} s", test.limit)),
            Err(e) => break Some(e.to_string()),
        }
    };
    // Its own children too.
    guest::kill_all();
    let _ = child.wait();
    let mut text = String::new();
    let _ = fs::File::open(path).and_then(|mut f| f.read_to_string(&mut text));
    eprint!("{text}");
    match why {
        None => Ok(()),
        Some(why) => Err(format!("{text}\n{why}")),
    }
}
