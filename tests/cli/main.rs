//! The tools as their users meet them: transcripts of help and refusals, runs to their end, and
//! what they do when something breaks.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

mod runs;
#[cfg(feature = "vfio-user")]
mod softnic;

/// The tools' folder: what `BAREWIRE_TOOLS` names (for who cannot call cargo); else builds them
/// with the profile that this test was built with.
fn tools() -> &'static PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        if let Some(dir) = std::env::var_os("BAREWIRE_TOOLS") {
            let dir = PathBuf::from(dir);
            assert!(dir.join("pktgen").is_file(), "BAREWIRE_TOOLS={}: no tools", dir.display());
            return dir;
        }
        // target/<profile>/deps/cli-<hash>
        let mut dir = std::env::current_exe().unwrap();
        assert!(dir.pop() && dir.pop(), "a test stands in target/<profile>/deps");
        let profile = match dir.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        }
        .to_owned();
        // Does nothing after `cargo test`, but `cargo test --test cli` does not build examples.
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

/// Starts a tool with its output piped.
fn start(tool: &str, args: &[&str]) -> Child {
    Command::new(tools().join(tool))
        .args(args)
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for a tool's end, a minute at most. What it prints must fit into its pipes.
fn end(mut child: Child) -> (ExitStatus, String, String) {
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("it did not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut text = [String::new(), String::new()];
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut text[0]).unwrap();
    }
    if let Some(mut err) = child.stderr.take() {
        err.read_to_string(&mut text[1]).unwrap();
    }
    let [out, err] = text;
    (status, out, err)
}

fn run(tool: &str, args: &[&str]) -> (ExitStatus, String, String) {
    end(start(tool, args))
}

/// Runs a tool that must refuse; gives what it says.
fn refused(tool: &str, args: &[&str]) -> String {
    let (status, out, said) = run(tool, args);
    assert_eq!(status.code(), Some(2), "{tool} {args:?}: {said}");
    assert!(out.is_empty(), "{tool} {args:?} printed to standard output");
    said
}

#[test]
fn help_and_refusals_read_as_written_down() {
    let cases = trycmd::TestCases::new();
    for tool in ["pktgen", "forward", "capture", "echo"] {
        cases.register_bin(tool, tools().join(tool));
    }
    cases.case("tests/cli/*.trycmd");
}

#[test]
fn a_refusal_leaves_files_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let path = file.to_str().unwrap();
    let port = format!("sim:82599?wire=pcap:out={path}");
    for (tool, args) in [
        ("forward", &[&*port, "0000:ff:1f.7"][..]),
        ("forward", &[&*port, "sim:82599", "--pool", "100"]),
        ("pktgen", &[&*port, "--mode", "txonly", "--queues", "0"]),
        ("pktgen", &[&*port, "sim:82599?wire=nonsense"]),
        ("capture", &["sim:82599", "-w", path, "--rxd", "4096", "--pool", "100"]),
        ("capture", &["sim:82599", "-w", path, "--rxq", "99"]),
    ] {
        let said = refused(tool, args);
        let after = std::fs::read(&file).unwrap();
        assert_eq!(after, b"precious", "{tool} {args:?}: {said}");
    }
}

/// On a machine with PCI devices that nobody's driver here is for.
#[test]
fn devices_that_are_not_ours_are_refused() {
    let Ok(devices) = std::fs::read_dir("/sys/bus/pci/devices") else { return };
    let vendor = |dir: &std::path::Path| std::fs::read_to_string(dir.join("vendor"));
    // Intel's may be ones that would be opened.
    let foreign = devices
        .filter_map(|e| e.ok().map(|e| e.path()))
        .find(|dir| vendor(dir).is_ok_and(|v| v.trim() != "0x8086"));
    let Some(foreign) = foreign else { return };
    let address = foreign.file_name().unwrap().to_str().unwrap();
    for (tool, args) in [
        ("capture", &[address][..]),
        ("echo", &[address, "--ip", "10.0.0.2"]),
        ("forward", &["sim:82599", address]),
        ("pktgen", &[address, "--mode", "txonly"]),
    ] {
        let said = refused(tool, args);
        let told = said.contains(address) && said.contains("no driver here supports");
        assert!(told, "{tool}: {said}");
    }
}

#[test]
fn captures_that_are_no_captures_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let header = [
        &0xa1b2_c3d4u32.to_le_bytes()[..],
        &[2, 0, 4, 0],
        &[0; 8],
        &65535u32.to_le_bytes(),
        &1u32.to_le_bytes(),
    ]
    .concat();
    let record = |len: u32| [&[0; 8][..], &len.to_le_bytes(), &len.to_le_bytes()].concat();
    for (name, bytes) in [
        ("empty", vec![]),
        ("text", b"this is not a capture, but long enough for its header".to_vec()),
        ("no-frames", header.clone()),
        ("cut-header", header[..20].to_vec()),
        ("cut-record", [&header[..], &record(60), &[0; 59]].concat()),
        ("huge-record", [&header[..], &record(0x7fff_ffff), &[0; 59]].concat()),
    ] {
        let path = file(name, &bytes);
        let said = refused("pktgen", &["--pcap", &path]);
        assert!(said.starts_with("pktgen: ") && said.contains(&path), "{name}: {said}");
    }
    let said = refused("pktgen", &["--pcap", dir.path().join("none").to_str().unwrap()]);
    assert!(said.contains("No such file"), "{said}");
}
