//! forward: carries packets between two ports, both ways.

#[path = "../common/mod.rs"]
mod common;

mod carry;
mod edit;

use std::process::ExitCode;

use barewire::port::{MacAddr, Queues};
use clap::{Parser, ValueEnum};

use carry::{Carrier, Lane, Out, carry};

use common::ladder::Topology;
use common::options::{OutputOptions, PortOptions};
use common::pulse::{self, End, Job};
use common::report::{NUMBERS, Reporter};
use common::rest::Rest;
use common::session::{Need, Session};
use common::{EXIT_CODES, Failure, Interrupt, units};
use edit::{Edit, Free, Io, Set, Swap};

/// Carries packets between two ports, both ways.
///
/// What comes in on the first port goes out on the second, and the other way round; receive
/// queue N feeds transmit queue N. Ports are PCI addresses (0000:03:00.0) or software NICs
/// (sim:82599?wire=...). With --mode rxonly, packets are only received and counted, on one port
/// or two.
///
/// When a transmit ring is full, the packets left over are tried again --retries times and then
/// dropped and counted as tx_full, so that a slow port does not hold up the other direction.
/// With --hold they are kept instead, and nothing more is received in that direction until they
/// are gone: the receive ring fills up, and pause frames or drops at the NIC slow the sender.
#[derive(Debug, Parser)]
#[command(name = "forward", after_long_help = after_help())]
struct Cli {
    /// Two ports; with --mode rxonly, one or two
    #[arg(required = true, num_args = 1..=2, value_name = "PORT")]
    ports: Vec<String>,
    /// What is done to each packet on its way
    #[arg(long, value_enum, default_value_t = Mode::Io)]
    mode: Mode,
    /// Destination addresses for --mode mac: of what leaves on the first and the second port
    #[arg(long, value_name = "MAC,MAC", value_delimiter = ',')]
    dst_mac: Vec<MacAddr>,
    /// How often a full transmit ring is tried again before packets are dropped
    #[arg(long, value_name = "N", default_value_t = 16)]
    retries: u32,
    /// Keep packets until the transmit ring takes them; drop none
    #[arg(long, conflicts_with = "retries")]
    hold: bool,
    /// 1: one thread for both directions; 2: one for each
    #[arg(long, value_name = "1|2", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=2))]
    threads: u16,
    /// End after so many packets were received
    #[arg(long, short = 'n', value_name = "N", value_parser = units::parse_count)]
    count: Option<u64>,
    /// End after so long [default: at Ctrl-C]
    #[arg(long, short = 't', value_name = "SECS", value_parser = units::parse_secs)]
    secs: Option<f64>,
    #[command(flatten)]
    options: PortOptions,
    #[command(flatten)]
    output: OutputOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Nothing: packets are not even looked at
    Io,
    /// Source and destination address are swapped
    Macswap,
    /// Source becomes the sending port's address, destination as --dst-mac says
    Mac,
    /// Packets are received, counted and freed
    Rxonly,
}

fn after_help() -> String {
    format!(
        "\
In the source tree, write `cargo run --release --example forward --` for `forward`.

Examples, of which the first two need no hardware:
  forward 'sim:82599?wire=gen:rate=1m' 'sim:82599?wire=gen:rate=1m' --secs 5
      between two software NICs, a traffic generator on each: a million packets a second each way
  forward 'sim:82599?wire=tap:bw0' 'sim:82599?wire=tap:bw1'
      (as root) joins two Linux tap interfaces: ping through it from network namespaces
  forward 0000:03:00.0 0000:03:00.1 --mode macswap --json-lines
      real ports, one JSON object a second

{NUMBERS}

{EXIT_CODES}"
    )
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    common::run("forward", || forward(&cli))
}

fn forward(cli: &Cli) -> Result<(), Failure> {
    if cli.ports.len() < 2 && cli.mode != Mode::Rxonly {
        return Err(Failure::refused("two ports are needed; one is enough with --mode rxonly"));
    }
    match (cli.mode, cli.dst_mac.len()) {
        (Mode::Mac, 2) | (Mode::Io | Mode::Macswap | Mode::Rxonly, 0) => {}
        (Mode::Mac, _) => {
            let why = "--mode mac needs --dst-mac MAC,MAC: where packets go that leave on the \
                       first and on the second port";
            return Err(Failure::refused(why));
        }
        _ => return Err(Failure::refused("--dst-mac is for --mode mac")),
    }
    let interrupt = Interrupt::catch()?;
    let names: Vec<&str> = cli.ports.iter().map(String::as_str).collect();
    let need = Need { workers: cli.threads, ..Need::default() };
    let (mut session, queues) = Session::open(&names, &cli.options, &need)?;
    let mut reporter = Reporter::new("forward", &cli.output, Topology::Open);
    let jobs = plan(cli, &mut session, queues)?;
    let end = End { interrupt: &interrupt, secs: cli.secs };
    let outcome = pulse::run(jobs, &cli.options.cpu, &mut session, &mut reporter, &end);
    outcome.finish(&mut session, &mut reporter)
}

/// What the workers do, each with the queues of one direction or of both.
fn plan(
    cli: &Cli,
    session: &mut Session,
    queues: Vec<Queues>,
) -> Result<Vec<Job<'static>>, Failure> {
    match cli.mode {
        Mode::Io => jobs(cli, session, queues, |_, _| Io),
        Mode::Macswap => jobs(cli, session, queues, |_, _| Swap),
        Mode::Rxonly => jobs(cli, session, queues, |_, _| Free),
        Mode::Mac => jobs(cli, session, queues, |session, to| {
            let dst = cli.dst_mac.get(to).copied().unwrap_or_default();
            Set::new(dst, session.ports[to].port.mac())
        }),
    }
}

/// The same, for packets that leave on port `to` with `edit(to)` done to them.
fn jobs<E: Edit>(
    cli: &Cli,
    session: &mut Session,
    queues: Vec<Queues>,
    edit: impl Fn(&Session, usize) -> E,
) -> Result<Vec<Job<'static>>, Failure> {
    let ports = queues.len();
    let burst = usize::from(cli.options.burst);
    let (rx, tx): (Vec<_>, Vec<_>) = queues.into_iter().map(|q| (q.rx, q.tx)).unzip();
    // What port `from` receives leaves on the other one.
    let tx = tx.into_iter().rev().chain(std::iter::repeat_with(Vec::new));
    let mut teams: Vec<Carrier<E>> = Vec::new();
    for (from, (rx, tx)) in rx.into_iter().zip(tx).enumerate() {
        let to = if ports == 2 { 1 - from } else { from };
        if teams.is_empty() || cli.threads > 1 {
            teams.push(Carrier {
                lanes: Vec::new(),
                outs: Vec::new(),
                cache: session.pool.cache(),
                retries: (!cli.hold).then_some(cli.retries),
                received: 0,
                count: cli.count.unwrap_or(u64::MAX),
            });
        }
        let Some(team) = teams.last_mut() else { continue };
        let (first, outs) = (team.outs.len(), tx.len().max(1));
        for (i, rx) in rx.into_iter().enumerate() {
            team.lanes.push(Lane::new(rx, from, first + i % outs, edit(session, to), burst));
        }
        team.outs.extend(tx.into_iter().map(|tx| Out { tx, to }));
    }
    let job = |team: Carrier<E>| -> Result<Job<'static>, Failure> {
        // Only what a worker receives from wakes it; each port's queues are one worker's.
        let mut from: Vec<_> = team.lanes.iter().map(|l| l.from).collect();
        from.dedup();
        let rest = Rest::new(&cli.options.idle, session, &from)?;
        Ok(Box::new(move |seat| carry(seat.resting(rest), team)))
    };
    teams.into_iter().map(job).collect()
}
