//! softnic: serves software NICs to virtual machines.

#[path = "../common/mod.rs"]
mod common;

mod summary;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use barewire::drivers::sim::served::{ClientEvent, SoftNic};
use barewire::drivers::sim::{Drive, FaultPlan, Model, SimConfig, SimNic};
use barewire::port::MacAddr;
use clap::Parser;

use common::{Failure, Interrupt};
use summary::{Counts, Summary};

/// How late a signal may be noticed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Serves software NICs to virtual machines, as PCI devices over vfio-user.
///
/// Each socket is one NIC. A virtual machine monitor with a vfio-user client (QEMU 10.1 and later:
/// -device vfio-user-pci) connects to it and shows it to its guest, whose own driver drives it.
/// The guest's memory must be shared: -object memory-backend-memfd,share=on. A socket serves one
/// client at a time; when a client leaves, however it does, its NIC is reset and waits for the
/// next. Only processes of the same user can connect.
#[derive(Debug, Parser)]
#[command(name = "softnic", after_long_help = AFTER_HELP)]
struct Cli {
    /// Serve a NIC on this socket; may be given several times
    #[arg(long, value_name = "PATH", required = true)]
    socket: Vec<PathBuf>,
    /// What its wire leads to; the n-th is for the n-th socket, a single one for all
    #[arg(long, value_name = "WIRE", default_values = ["none"])]
    wire: Vec<String>,
    /// Which chip it is: 82599, x540, x550, 82576 or i350; as with --wire
    #[arg(long, value_name = "CHIP", default_values = ["82599"], value_parser = parse_chip)]
    chip: Vec<Model>,
    /// The Ethernet address in its EEPROM, one for each socket [default: made up]
    #[arg(long, value_name = "MAC", value_parser = parse_mac)]
    mac: Vec<MacAddr>,
    /// Misbehaviours that it shows, such as late,flap@0.01; as with --wire
    #[arg(long, value_name = "NAME[@PROBABILITY],...")]
    faults: Vec<String>,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Keep the last N register accesses, descriptors and frames of each NIC, and print them when
    /// its client leaves
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1 << 20))]
    trace: u32,
    /// Say nothing about who comes and goes
    #[arg(long, short)]
    quiet: bool,
}

const AFTER_HELP: &str = "\
In the source tree, write `cargo run --release --features vfio-user --example softnic --` for
`softnic`.

Wires are those of software NICs: none, loopback, sink, cable:NAME, tap:IFNAME,
pcap:in=FILE,out=FILE, gen:rate=...

Examples:
  softnic --socket nic.sock --wire tap:bw0
      (as root) an 82599 whose far end is this machine's interface bw0, for
      qemu-system-x86_64 -machine q35 -m 512M
        -object memory-backend-memfd,id=mem,size=512M,share=on -numa node,memdev=mem
        -device pcie-root-port,id=rp0,chassis=1
        -device '{\"driver\":\"vfio-user-pci\",\"bus\":\"rp0\",\"socket\":{\"type\":\"unix\",\"path\":\"nic.sock\"}}' ...
  softnic --socket a.sock --socket b.sock --wire cable:lab --chip 82599 --chip x550
      two NICs with a cable between them, for one guest or for two

Exit codes:
  0  a clean end: Ctrl-C or SIGTERM (a second one ends at once); clients are sent away
  1  standard output failed while running
  2  bad input or a refusal (a socket that is served already, an unknown wire, no permission,
     ...); nothing was changed";

fn parse_chip(s: &str) -> Result<Model, String> {
    let known = || Model::ALL.map(Model::name).join(", ");
    Model::ALL.into_iter().find(|m| m.name() == s).ok_or_else(|| format!("chips are {}", known()))
}

fn parse_mac(s: &str) -> Result<MacAddr, String> {
    let mac: MacAddr = s.parse().map_err(|e: barewire::Error| e.to_string())?;
    if mac.is_station() { Ok(mac) } else { Err("an address of one station is needed".to_owned()) }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    common::run("softnic", || softnic(&cli))
}

/// What an option says about the n-th socket.
fn pick<'a, T>(
    option: &str,
    values: &'a [T],
    n: usize,
    sockets: usize,
) -> Result<Option<&'a T>, Failure> {
    match values.len() {
        0 => Ok(None),
        1 => Ok(values.first()),
        len if len == sockets => Ok(values.get(n)),
        len => Err(Failure::refused(format!(
            "{option} is given {len} times for {sockets} sockets; give it once for all, or once \
             for each"
        ))),
    }
}

/// The NIC behind the n-th socket.
fn configure(cli: &Cli, n: usize) -> Result<SimConfig, Failure> {
    let sockets = cli.socket.len();
    if cli.mac.len() == 1 && sockets > 1 {
        return Err(Failure::refused("--mac is given once for several sockets; give each its own"));
    }
    let mut config = SimConfig { drive: Drive::Served, seed: cli.seed, ..SimConfig::default() };
    if let Some(chip) = pick("--chip", &cli.chip, n, sockets)? {
        config.chip = *chip;
    }
    if let Some(wire) = pick("--wire", &cli.wire, n, sockets)? {
        config.wire.clone_from(wire);
    }
    if let Some(faults) = pick("--faults", &cli.faults, n, sockets)? {
        config.faults = FaultPlan::parse(faults)?;
    }
    config.mac = pick("--mac", &cli.mac, n, sockets)?.copied();
    config.trace = cli.trace as usize;
    config.name = format!("{} at {}", config.chip.name(), cli.socket[n].display());
    Ok(config)
}

/// A served NIC, and what it had counted when its client came.
struct Served {
    path: PathBuf,
    nic: SimNic,
    /// Until the end.
    softnic: Option<SoftNic>,
    before: Counts,
}

type Told = (usize, ClientEvent);

fn serve(path: &Path, config: &SimConfig, n: usize, tell: Sender<Told>) -> Result<Served, Failure> {
    let nic = SimNic::new(config)?;
    let softnic = SoftNic::serve(nic.clone(), path, move |event| {
        // Nobody listens any more after a failure.
        let _ = tell.send((n, event));
    })?;
    let path = path.to_owned();
    Ok(Served { path, nic, softnic: Some(softnic), before: Counts::default() })
}

fn softnic(cli: &Cli) -> Result<(), Failure> {
    let interrupt = Interrupt::catch()?;
    let configs =
        (0..cli.socket.len()).map(|n| configure(cli, n)).collect::<Result<Vec<_>, _>>()?;
    let (tell, told) = mpsc::channel();
    let mut served = Vec::with_capacity(configs.len());
    for (n, (path, config)) in cli.socket.iter().zip(&configs).enumerate() {
        served.push(serve(path, config, n, tell.clone())?);
    }
    let mut out = io::stdout();
    for nic in &served {
        writeln!(out, "listening on {}", nic.path.display())?;
    }
    out.flush()?;
    drop(tell);
    while !interrupt.came() {
        match told.recv_timeout(LOOK_EVERY) {
            Ok(told) => report(&mut served, told, cli.quiet)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    // Clients that are still there are sent away.
    served.iter_mut().for_each(|nic| drop(nic.softnic.take()));
    for told in told.iter() {
        report(&mut served, told, cli.quiet)?;
    }
    for nic in &served {
        let summary = Summary::of(&nic.nic, &Counts::default());
        writeln!(out, "{}: in all {summary}", nic.path.display())?;
    }
    Ok(out.flush()?)
}

/// Tells who comes and goes, and prints the trace of a client that has gone.
fn report(served: &mut [Served], (n, event): Told, quiet: bool) -> Result<(), Failure> {
    let Some(nic) = served.get_mut(n) else { return Ok(()) };
    let mut out = io::stdout().lock();
    let text = nic.describe(&event);
    if !quiet {
        writeln!(out, "{}: {text}", nic.path.display())?;
    }
    if matches!(event, ClientEvent::Left { .. }) {
        for traced in nic.nic.trace() {
            writeln!(out, "  {traced}")?;
        }
    }
    Ok(out.flush()?)
}

impl Served {
    fn describe(&mut self, event: &ClientEvent) -> String {
        let nic = &self.nic;
        match event {
            ClientEvent::Came { process } => {
                self.before = Counts::of(nic);
                let who = process.map_or(String::new(), |p| format!(", process {p}"));
                format!("a client has come{who}")
            }
            ClientEvent::TurnedAway => "another client was turned away".to_owned(),
            ClientEvent::Left { messages, why } => {
                let summary = Summary::of(nic, &self.before);
                let why = why.as_ref().map_or(String::new(), |why| format!(" ({why})"));
                format!("the client has left{why} after {messages} messages: {summary}")
            }
            _ => String::from("something else happened"),
        }
    }
}
