//! forward: carries packets between two ports, both ways.

#[path = "common/mod.rs"]
mod common;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use barewire::port::{MacAddr, Queues};
use barewire::{Batch, PoolCache, RxQueue, TxQueue};
use clap::{Parser, ValueEnum};

use common::ladder::Topology;
use common::options::{OutputOptions, PortOptions};
use common::pulse::{self, Beat, End, Job, PortCounts, Seat, Snapshot};
use common::report::{NUMBERS, Reporter};
use common::rest::Rest;
use common::session::{Need, Session};
use common::{EXIT_CODES, Failure, Interrupt, units};

/// At the end, what is in the transmit rings gets so long to leave.
const DRAIN: Duration = Duration::from_millis(500);
/// NICs report completions in groups, so fewer packets than this stay in flight for ever.
const REPORTED: usize = 32;

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

fn plan(
    cli: &Cli,
    session: &mut Session,
    queues: Vec<Queues>,
) -> Result<Vec<Job<'static>>, Failure> {
    let ports = queues.len();
    let (rx, tx): (Vec<_>, Vec<_>) = queues.into_iter().map(|q| (q.rx, q.tx)).unzip();
    let mut ways = Vec::new();
    // What port `from` receives leaves on the other one.
    let tx = tx.into_iter().rev().chain(std::iter::repeat_with(Vec::new));
    for (from, (rx, tx)) in rx.into_iter().zip(tx).enumerate() {
        let to = if ports == 2 { 1 - from } else { from };
        let edit = match cli.mode {
            Mode::Io => Edit::Nothing,
            Mode::Macswap => Edit::Swap,
            Mode::Mac => {
                let dst = cli.dst_mac.get(to).copied().unwrap_or_default();
                Edit::Set { dst, src: session.ports[to].port.mac() }
            }
            Mode::Rxonly => Edit::Free,
        };
        ways.push(Way::new(from, to, rx, tx, edit, cli));
    }
    let count = cli.count;
    let teams: Vec<Vec<Way>> = match cli.threads {
        1 => vec![ways],
        _ => ways.into_iter().map(|w| vec![w]).collect(),
    };
    let job = |ways: Vec<Way>| -> Result<Job<'static>, Failure> {
        // Only what a worker receives from wakes it; each port's queues are one worker's.
        let from: Vec<_> = ways.iter().map(|w| w.from).collect();
        let rest = Rest::new(&cli.options.idle, session, &from)?;
        let cache = session.pool.cache();
        Ok(Box::new(move |seat| carry(seat.resting(rest), ways, cache, count)))
    };
    teams.into_iter().map(job).collect()
}

/// What is done to each packet.
#[derive(Debug, Clone, Copy)]
enum Edit {
    Nothing,
    Swap,
    Set { dst: MacAddr, src: MacAddr },
    Free,
}

impl Edit {
    fn apply(self, batch: &mut Batch) {
        for packet in batch.iter_mut() {
            let Some(addresses) = packet.data_mut().first_chunk_mut::<12>() else { continue };
            match self {
                Self::Nothing | Self::Free => return,
                Self::Swap => addresses.rotate_left(6),
                Self::Set { dst, src } => {
                    addresses[..6].copy_from_slice(&dst.0);
                    addresses[6..].copy_from_slice(&src.0);
                }
            }
        }
    }
}

/// A receive queue and where its packets go.
#[derive(Debug)]
struct Lane {
    rx: RxQueue,
    /// Index of the transmit queue.
    to: usize,
    batch: Batch,
}

/// One direction.
#[derive(Debug)]
struct Way {
    from: usize,
    to: usize,
    lanes: Vec<Lane>,
    tx: Vec<TxQueue>,
    edit: Edit,
    retries: u32,
    hold: bool,
    received: u64,
    offered: u64,
    unsent: u64,
    consumed: u64,
}

impl Way {
    fn new(
        from: usize,
        to: usize,
        rx: Vec<RxQueue>,
        tx: Vec<TxQueue>,
        edit: Edit,
        cli: &Cli,
    ) -> Self {
        let outs = tx.len().max(1);
        let burst = usize::from(cli.options.burst);
        let lane = |(i, rx)| Lane { rx, to: i % outs, batch: Batch::new(burst) };
        Self {
            from,
            to,
            lanes: rx.into_iter().enumerate().map(lane).collect(),
            tx,
            edit,
            retries: cli.retries,
            hold: cli.hold,
            received: 0,
            offered: 0,
            unsent: 0,
            consumed: 0,
        }
    }

    /// Carries a burst of each queue. Returns how many packets moved.
    #[inline]
    fn turn(&mut self, cache: &mut PoolCache) -> usize {
        let mut moved = 0;
        for lane in &mut self.lanes {
            if lane.batch.is_empty() {
                let n = lane.rx.rx_burst(cache, &mut lane.batch);
                if n == 0 {
                    continue;
                }
                moved += n;
                self.received += n as u64;
                let Some(_) = self.tx.get(lane.to).filter(|_| !matches!(self.edit, Edit::Free))
                else {
                    self.consumed += n as u64;
                    cache.free_batch(&mut lane.batch);
                    continue;
                };
                self.offered += n as u64;
                if !matches!(self.edit, Edit::Nothing) {
                    self.edit.apply(&mut lane.batch);
                }
            }
            let Some(tx) = self.tx.get_mut(lane.to) else { continue };
            moved += tx.tx_burst(cache, &mut lane.batch);
            if lane.batch.is_empty() || self.hold {
                continue;
            }
            for _ in 0..self.retries {
                std::hint::spin_loop();
                tx.tx_burst(cache, &mut lane.batch);
                if lane.batch.is_empty() {
                    break;
                }
            }
            self.unsent += lane.batch.len() as u64;
            cache.free_batch(&mut lane.batch);
        }
        moved
    }

    /// Lets the NIC send: for a device that moves only when it is called, and to free buffers.
    fn kick(&mut self, cache: &mut PoolCache) -> usize {
        let mut moved = 0;
        for lane in &mut self.lanes {
            if let Some(tx) = self.tx.get_mut(lane.to) {
                moved += tx.tx_burst(cache, &mut lane.batch);
            }
        }
        moved + self.tx.iter_mut().map(|tx| tx.reclaim(cache)).sum::<usize>()
    }

    /// Whether it holds packets that the transmit ring has not taken yet.
    fn holds(&self) -> bool {
        self.lanes.iter().any(|l| !l.batch.is_empty())
    }

    fn busy(&self) -> bool {
        self.holds() || self.tx.iter().any(|t| t.in_flight() >= REPORTED)
    }

    fn give_up(&mut self, cache: &mut PoolCache) {
        for lane in &mut self.lanes {
            self.unsent += lane.batch.len() as u64;
            cache.free_batch(&mut lane.batch);
        }
    }

    fn counts(&self) -> Snapshot {
        let mut from = PortCounts { consumed: self.consumed, ..PortCounts::default() };
        self.lanes.iter().for_each(|l| from.add_rx(&l.rx));
        let mut to =
            PortCounts { offered: self.offered, unsent: self.unsent, ..PortCounts::default() };
        self.tx.iter().for_each(|t| to.add_tx(t));
        let mut snap = Snapshot::default();
        snap.ports[self.from] = from;
        let mut there = Snapshot::default();
        there.ports[self.to] = to;
        snap.add(&there);
        snap
    }
}

fn carry(mut seat: Seat<'_>, mut ways: Vec<Way>, mut cache: PoolCache, count: Option<u64>) {
    let start = Instant::now();
    let counts = |ways: &[Way], active| {
        let mut snap = Snapshot { active, ..Snapshot::default() };
        ways.iter().for_each(|w| snap.add(&w.counts()));
        snap
    };
    let mut idle_turns = 0u32;
    let mut beat = Beat::Go;
    while beat == Beat::Go {
        beat = seat.beat(|| counts(&ways, None));
        let moved: usize = ways.iter_mut().map(|w| w.turn(&mut cache)).sum();
        let patience = || if ways.iter().any(Way::holds) { Duration::ZERO } else { Duration::MAX };
        seat.turned(moved, patience, || counts(&ways, None));
        idle_turns = if moved == 0 { idle_turns.wrapping_add(1) } else { 0 };
        if idle_turns % 64 == 1 {
            // Nothing comes in: see to what has not gone out.
            for way in &mut ways {
                way.kick(&mut cache);
            }
        }
        if count.is_some_and(|n| ways.iter().map(|w| w.received).sum::<u64>() >= n) {
            break;
        }
    }
    let active = start.elapsed();
    let mut last_move = Instant::now();
    while beat != Beat::Abort && ways.iter().any(Way::busy) && last_move.elapsed() < DRAIN {
        let moved: usize = ways.iter_mut().map(|w| w.kick(&mut cache)).sum();
        if moved > 0 {
            last_move = Instant::now();
        }
        beat = seat.beat(|| counts(&ways, None));
        seat.moved(moved);
    }
    ways.iter_mut().for_each(|w| w.give_up(&mut cache));
    seat.publish(counts(&ways, Some(active)));
}
