//! pktgen: sends packets as fast as asked, and checks what arrives.

#[path = "../common/mod.rs"]
mod common;

mod check;
mod engine;
mod pace;
mod range;
mod replay;
mod template;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use barewire::port::{MacAddr, Queues};
use clap::{Parser, ValueEnum};

use check::Checker;
use common::ladder::Topology;
use common::options::{OutputOptions, PortOptions};
use common::pulse::{self, End, Job, Seat};
use common::report::{NUMBERS, Reporter};
use common::rest::Rest;
use common::session::{Need, Session};
use common::{EXIT_CODES, Failure, Interrupt, units};
use engine::{Judge, Lane, RxSide, Source, TxSide, both, receive, send};
use pace::{Pacer, Rate, parse_rate};
use replay::{Comparer, Cursor, Recording};
use template::{FrameOptions, Generator, Template};

/// One end of a cable between two software NICs.
const DEFAULT_PORT: &str = "sim:82599?wire=cable:pktgen";
/// Seconds that a run in mode loop takes when nothing else ends it.
const DEFAULT_SECS: f64 = 10.0;
/// Where frames go when nobody says.
const SOMEBODY: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x02]);

/// Sends packets on one port, receives them on another, and checks every one.
///
/// Without ports it makes two software NICs with a cable between them, so it runs anywhere: no
/// hardware, no root, no hugepages. TX and RX are PCI addresses (0000:03:00.0) or software NICs
/// (sim:82599?wire=...). With only TX, the same port receives: for a loopback.
///
/// Each packet is UDP in IPv4 and carries its stream (one per transmit queue), its sequence
/// number and a check. The receiver compares every byte, and tells lost, duplicate, reordered
/// and corrupt packets apart. With --pcap, the frames of a capture are sent as they are instead,
/// and compared with the file.
#[derive(Debug, Parser)]
#[command(name = "pktgen", after_long_help = after_help())]
struct Cli {
    /// Port that transmits [default: a software NIC]
    tx: Option<String>,
    /// Port that receives [default: TX; without TX: a software NIC at the other end of the cable]
    rx: Option<String>,
    /// loop: send on TX, check on RX; txonly, rxonly: the ports given do only that
    #[arg(long, value_enum, default_value_t = Mode::Loop)]
    mode: Mode,
    /// Packets to send (rxonly: to receive), per port
    #[arg(long, short = 'n', value_name = "N", value_parser = units::parse_count)]
    count: Option<u64>,
    /// How long to send [default: until --count or --pcap is done; else 10 in mode loop, and until
    /// Ctrl-C in the others]
    #[arg(long, short = 't', value_name = "SECS", value_parser = units::parse_secs)]
    secs: Option<f64>,
    /// max, 1Mpps, 2.5Gbit/s (on the wire, with preamble and gap) or 50% (of the link's speed)
    #[arg(long, short, default_value = "max", value_parser = parse_rate)]
    rate: Rate,
    /// Queues each way, each transmit queue with its own stream; --txq and --rxq override
    #[arg(long, value_name = "N", default_value_t = 1)]
    queues: u16,
    /// 1: one thread does everything, in turns; 2: one sends and one receives, or with txonly and
    /// rxonly one for each port [default: 2, or 1 on a single core]
    #[arg(long, value_name = "1|2", value_parser = clap::value_parser!(u16).range(1..=2))]
    threads: Option<u16>,
    #[command(flatten)]
    frames: FrameOptions,
    #[command(flatten)]
    replay: ReplayOptions,
    #[command(flatten)]
    ports: PortOptions,
    #[command(flatten)]
    output: OutputOptions,
}

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Replay")]
struct ReplayOptions {
    /// Send the frames of this capture (classic pcap, Ethernet) instead
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "size", "src_mac", "dst_mac", "src_ip", "dst_ip", "src_port", "dst_port", "vlan",
        "unnumbered",
    ])]
    pcap: Option<PathBuf>,
    /// Play it so often; 0: until --secs, --count or Ctrl-C
    #[arg(long = "loop", value_name = "N", default_value_t = 1, requires = "pcap")]
    rounds: u64,
    /// When frames go: at --rate, or as they were recorded
    #[arg(long, value_enum, default_value_t = Pace::Max, requires = "pcap")]
    pace: Pace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Loop,
    Txonly,
    Rxonly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pace {
    Max,
    Recorded,
}

fn after_help() -> String {
    format!(
        "\
In the source tree, write `cargo run --release --example pktgen --` for `pktgen`.

Examples, of which the first three need no hardware:
  pktgen --secs 5 --json
      64-byte frames over a cable as fast as it goes; the last line is a JSON summary
  pktgen --size imix --rate 50% --src-ip 10.0.0.0/24 --queues 4
      mixed sizes at half the line rate, 256 flows, four queues
  pktgen 'sim:82599?wire=loopback' --count 1M --size 64-1518
      a million frames of every size, received by the port that sends them
  pktgen 0000:03:00.0 0000:03:00.1 --mode txonly --threads 1 --unnumbered
      real ports, both only sending, in one thread, the same frame until Ctrl-C

{NUMBERS}
  application.good, lost, duplicate, reordered and corrupt are the receiver's findings; corrupt
  and duplicate count as errors, and reordered too unless the packets of a stream are of
  several flows and queues.

Between a TX and an RX port, pause frames are on and a full receive ring holds frames up, so
that nothing is lost however slow the receiver is; --flow-control off --drop-when-full yes shows
what it cannot keep up with.

{EXIT_CODES}"
    )
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    common::run("pktgen", || pktgen(&cli))
}

fn pktgen(cli: &Cli) -> Result<(), Failure> {
    let recording = match &cli.replay.pcap {
        Some(path) => Some(Arc::new(Recording::read(path)?)),
        None => None,
    };
    let names = port_names(cli)?;
    let need = need(cli, recording.as_deref(), names.len())?;
    let interrupt = Interrupt::catch()?;
    let (mut session, queues) = Session::open(&names, &cli.ports, &need)?;
    let topology = if cli.mode == Mode::Loop { Topology::Closed } else { Topology::Open };
    let mut reporter = Reporter::new("pktgen", &cli.output, topology);
    let endless = cli.count.is_none() && (recording.is_none() || cli.replay.rounds == 0);
    let secs = cli.secs.or((endless && cli.mode == Mode::Loop).then_some(DEFAULT_SECS));
    let jobs = plan(cli, &mut session, queues, recording.as_ref())?;
    let end = End { interrupt: &interrupt, secs };
    let mut outcome = pulse::run(jobs, &cli.ports.cpu, &mut session, &mut reporter, &end);
    if cli.mode == Mode::Loop {
        outcome.fail_if_stuck(&session);
    }
    outcome.finish(&mut session, &mut reporter)
}

/// The ports to open, as the mode has it.
fn port_names(cli: &Cli) -> Result<Vec<&str>, Failure> {
    let given: Vec<&str> = [&cli.tx, &cli.rx].into_iter().flatten().map(String::as_str).collect();
    match (cli.mode, given.len()) {
        (Mode::Loop, 0) => Ok(vec![DEFAULT_PORT; 2]),
        (Mode::Txonly | Mode::Rxonly, 0) => {
            let why = "--mode txonly and rxonly need a port, e.g. 'sim:82599?wire=sink'";
            Err(Failure::refused(why))
        }
        _ => Ok(given),
    }
}

fn need(cli: &Cli, recording: Option<&Recording>, ports: usize) -> Result<Need, Failure> {
    if recording.is_some() && cli.ports.txq.unwrap_or(cli.queues) > 1 {
        return Err(Failure::refused("--pcap keeps the order of frames, so it sends on one queue"));
    }
    if cli.frames.unnumbered && cli.mode != Mode::Txonly {
        let why = "--unnumbered is for --mode txonly: a receiver knows frames by their numbers";
        return Err(Failure::refused(why));
    }
    if let Some(r) = recording.filter(|r| r.cut > 0) {
        tracing::warn!("{} of {} frames were cut when captured; sent as they are", r.cut, r.frames);
    }
    if recording.is_none() {
        // Whether sizes and tag go together, before anything is opened.
        Template::new(&cli.frames, 0, SOMEBODY, SOMEBODY).map_err(Failure::refused)?;
    }
    let longest = recording
        .map_or(cli.frames.size.largest(), |r| u16::try_from(r.longest).unwrap_or(u16::MAX));
    Ok(Need {
        frame: longest,
        workers: if cli.mode == Mode::Loop { threads(cli) } else { ports as u16 },
        rxq: cli.queues,
        txq: cli.queues,
        lossless: cli.mode == Mode::Loop,
    })
}

/// What each thread does.
fn plan(
    cli: &Cli,
    session: &mut Session,
    queues: Vec<Queues>,
    recording: Option<&Arc<Recording>>,
) -> Result<Vec<Job<'static>>, Failure> {
    let idle = &cli.ports.idle;
    let burst = usize::from(cli.ports.burst);
    let mut queues = queues.into_iter();
    if cli.mode == Mode::Rxonly {
        let count = cli.count;
        let side = |(port, q): (usize, Queues)| {
            let judge =
                if recording.is_some() { Judge::Count } else { Judge::Stamps(Checker::guessing()) };
            (port, RxSide::new(port, q.rx, burst, session.pool.cache(), judge, false, false))
        };
        let sides = queues.enumerate().map(side).collect();
        return each(cli, session, sides, move |seat, sides| receive(seat, sides, false, count));
    }
    if cli.mode == Mode::Txonly {
        let side = |(port, q): (usize, Queues)| {
            let (tx, _) = tx_side(cli, session, (port, SOMEBODY), q.tx, q.rx, recording)?;
            Ok((port, tx))
        };
        let sides = queues.enumerate().map(side).collect::<Result<_, Failure>>()?;
        return each(cli, session, sides, |seat, sides| send(seat, sides, false));
    }
    let Some(mut first) = queues.next() else { return Ok(Vec::new()) };
    let one = queues.len() == 0;
    let (rx_port, rx_queues, aside) = match queues.next() {
        Some(second) => (1, second.rx, std::mem::take(&mut first.rx)),
        None => (0, std::mem::take(&mut first.rx), Vec::new()),
    };
    let dst = session.ports[rx_port].port.mac();
    let (tx, templates) = tx_side(cli, session, (0, dst), first.tx, aside, recording)?;
    let in_order = rx_queues.len() == 1 || templates.iter().all(|t| t.one_flow());
    let judge = match recording {
        Some(r) => {
            let cursor = Cursor::new(Arc::clone(r), rounds(cli))?;
            Judge::Recording(Box::new(Comparer::new(cursor)))
        }
        None => Judge::Stamps(Checker::knowing(templates)),
    };
    let cache = session.pool.cache();
    let rx = RxSide::new(rx_port, rx_queues, burst, cache, judge, in_order, cli.tx.is_none());
    if threads(cli) == 1 {
        let rest = Rest::new(idle, session, &[0, 1])?;
        return Ok(vec![job(move |seat| both(seat.resting(rest), tx, rx))]);
    }
    // A port that sends and receives has one interrupt, which is the receiver's.
    let tx_rest = Rest::new(idle, session, if one { &[] } else { &[0] })?;
    let rx_rest = Rest::new(idle, session, &[rx_port])?;
    Ok(vec![
        job(move |seat| send(seat.resting(tx_rest), vec![tx], true)),
        job(move |seat| receive(seat.resting(rx_rest), vec![rx], true, None)),
    ])
}

/// Jobs for ports that all do the same: one for all of them, or one for each.
fn each<S: Send + 'static>(
    cli: &Cli,
    session: &mut Session,
    sides: Vec<(usize, S)>,
    work: impl Fn(Seat<'_>, Vec<S>) + Copy + Send + 'static,
) -> Result<Vec<Job<'static>>, Failure> {
    let mut teams: Vec<(Vec<usize>, Vec<S>)> = Vec::new();
    for (port, side) in sides {
        match teams.last_mut().filter(|_| threads(cli) == 1) {
            Some((ports, team)) => {
                ports.push(port);
                team.push(side);
            }
            None => teams.push((vec![port], vec![side])),
        }
    }
    let one = |(ports, team): (Vec<usize>, Vec<S>)| {
        let rest = Rest::new(&cli.ports.idle, session, &ports)?;
        Ok(job(move |seat| work(seat.resting(rest), team)))
    };
    teams.into_iter().map(one).collect()
}

fn job(work: impl FnOnce(Seat<'_>) + Send + 'static) -> Job<'static> {
    Box::new(work)
}

fn threads(cli: &Cli) -> u16 {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    cli.threads.unwrap_or_else(|| if cores() > 1 { 2 } else { 1 })
}

fn rounds(cli: &Cli) -> Option<u64> {
    (cli.replay.rounds > 0).then_some(cli.replay.rounds)
}

fn tx_side(
    cli: &Cli,
    session: &Session,
    (port, dst): (usize, MacAddr),
    tx: Vec<barewire::TxQueue>,
    aside: Vec<barewire::RxQueue>,
    recording: Option<&Arc<Recording>>,
) -> Result<(TxSide, Vec<Arc<Template>>), Failure> {
    let burst = usize::from(cli.ports.burst);
    let src = session.ports[port].port.mac();
    let mut lanes = Vec::new();
    let mut templates = Vec::new();
    for (i, queue) in tx.into_iter().enumerate() {
        let source = match recording {
            Some(r) => Source::Replay {
                cursor: Cursor::new(Arc::clone(r), rounds(cli))?,
                recorded_pace: cli.replay.pace == Pace::Recorded,
                taken: 0,
            },
            None => {
                let template = Template::new(&cli.frames, i as u16, src, dst);
                let template = Arc::new(template.map_err(Failure::refused)?);
                templates.push(Arc::clone(&template));
                Source::Made(Generator::new(template))
            }
        };
        lanes.push(Lane::new(queue, source, burst));
    }
    let pacer = Pacer::new(cli.rate, session.line_rate(port));
    let cache = session.pool.cache();
    Ok((TxSide::new(port, lanes, aside, cache, pacer, cli.count), templates))
}
