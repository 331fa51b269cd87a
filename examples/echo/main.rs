//! echo: answers ARP and ICMP echo requests for one IPv4 address.

#[path = "../common/mod.rs"]
mod common;

mod answer;

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use barewire::port::MacAddr;
use barewire::{Batch, PoolCache, RxQueue, TxQueue};
use clap::Parser;

use answer::{Answer, Me, answer};
use common::counts::{PortCounts, Snapshot};
use common::ladder::Topology;
use common::meter::{Fill, Turn};
use common::options::{OutputOptions, PortOptions};
use common::pulse::{self, Beat, End, Seat};
use common::report::{NUMBERS, Reporter};
use common::rest::Rest;
use common::session::{Need, Session};
use common::{EXIT_CODES, Failure, Interrupt, units};

/// At the end, answers in the transmit ring get so long to leave.
const DRAIN: Duration = Duration::from_millis(500);
/// NICs report completions in groups, so fewer packets than this stay in flight for ever.
const REPORTED: usize = 64;

/// Answers ARP and ICMP echo (ping) for one IPv4 address.
///
/// PORT is a PCI address (0000:03:00.0) or a software NIC (sim:82599?wire=...). Requests are
/// checked (lengths, checksums), turned into their answers in place, and sent from the port they
/// came in on. Everything else, fragments and broken packets included, is dropped silently and
/// counted. One answer at most is sent for a request, never to a broadcast or multicast
/// address.
#[derive(Debug, Parser)]
#[command(name = "echo", after_long_help = after_help())]
struct Cli {
    /// Port to answer on
    port: String,
    /// The IPv4 address to answer for; /N is accepted and has no effect
    #[arg(long, value_name = "IP[/N]", value_parser = parse_ip)]
    ip: Ipv4Addr,
    /// The Ethernet address to answer with [default: the port's]
    #[arg(long, value_name = "MAC")]
    mac: Option<MacAddr>,
    /// End after so many answers
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

fn parse_ip(s: &str) -> Result<Ipv4Addr, String> {
    let (ip, bits) = s.split_once('/').unwrap_or((s, "32"));
    let ip: Ipv4Addr = ip.parse().map_err(|_| format!("'{ip}' is not an IPv4 address"))?;
    if !bits.parse::<u8>().is_ok_and(|b| b <= 32) {
        return Err("a prefix length is 0 to 32".to_owned());
    }
    if ip.is_broadcast() || ip.is_multicast() || ip.is_unspecified() {
        return Err(format!("{ip} is not the address of one host"));
    }
    Ok(ip)
}

fn after_help() -> String {
    format!(
        "\
In the source tree, write `cargo run --release --example echo --` for `echo`.

Examples; the first needs no hardware:
  echo 'sim:82599?wire=gen:rate=1000' --ip 10.0.0.2 --secs 1
      shows that it runs: what arrives is for others and is ignored
  echo 'sim:82599?wire=tap:bw0' --ip 10.0.0.2/24
      (as root) then: ip addr add 10.0.0.1/24 dev bw0; ip link set bw0 up; ping 10.0.0.2
  echo 0000:03:00.0 --ip 192.168.7.9 --json-lines
      on a real port, one JSON object a second

{NUMBERS}
  application.arp and icmp count the answers, refused what was for us and broken or not
  answerable, other what was not for us.

{EXIT_CODES}"
    )
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    common::run("echo", || echo(&cli))
}

fn echo(cli: &Cli) -> Result<(), Failure> {
    if cli.mac.is_some_and(|m| !m.is_station()) {
        return Err(Failure::refused("--mac must be the address of one station"));
    }
    let interrupt = Interrupt::catch()?;
    let (mut session, mut queues) = Session::open(&[&cli.port], &cli.options, &Need::default())?;
    let Some(q) = queues.pop() else { return Ok(()) };
    let mac = cli.mac.unwrap_or_else(|| session.ports[0].port.mac());
    let mut reporter = Reporter::new("echo", &cli.output, Topology::Open);
    let burst = usize::from(cli.options.burst);
    let host = Host {
        me: Me { mac, ip: cli.ip },
        rx: q.rx,
        tx: q.tx,
        batch: Batch::new(burst),
        fill: Fill::new(burst),
        cache: session.pool.cache(),
        done: Done::default(),
    };
    let count = cli.count.unwrap_or(u64::MAX);
    let end = End { interrupt: &interrupt, secs: cli.secs };
    let rest = Rest::new(&cli.options.idle, &mut session, &[0])?;
    let job: pulse::Job<'_> = Box::new(move |seat| serve(seat.resting(rest), host, count));
    let outcome = pulse::run(vec![job], &cli.options.cpu, &mut session, &mut reporter, &end);
    outcome.finish(&mut session, &mut reporter)
}

/// What was done with the packets.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    arp: u64,
    icmp: u64,
    refused: u64,
    other: u64,
    unsent: u64,
}

/// The answering host.
#[derive(Debug)]
struct Host {
    me: Me,
    rx: Vec<RxQueue>,
    tx: Vec<TxQueue>,
    batch: Batch,
    fill: Fill,
    cache: PoolCache,
    done: Done,
}

impl Host {
    fn turn(&mut self) -> Turn {
        let Self { me, rx, tx, batch, fill, cache, done } = self;
        let mut turn = Turn::Nothing;
        let outs = tx.len().max(1);
        for (i, rx) in rx.iter_mut().enumerate() {
            let n = rx.rx_burst(cache, batch);
            if n == 0 {
                continue;
            }
            fill.burst(n, &mut turn);
            batch.retain_mut(|packet| {
                // Longer than a buffer, so no request that fits into one frame.
                let verdict =
                    if packet.is_chain() { Answer::Refused } else { answer(packet.data_mut(), me) };
                match verdict {
                    Answer::Arp(len) | Answer::Icmp(len) => {
                        let fits = packet.set_len(len).is_ok();
                        match verdict {
                            Answer::Arp(_) => done.arp += 1,
                            _ => done.icmp += 1,
                        }
                        fits
                    }
                    Answer::Refused => {
                        done.refused += 1;
                        false
                    }
                    Answer::NotForUs => {
                        done.other += 1;
                        false
                    }
                }
            });
            if let Some(tx) = tx.get_mut(i % outs) {
                tx.tx_burst(cache, batch);
            }
            // Whoever asked asks again.
            done.unsent += batch.len() as u64;
            cache.free_batch(batch);
        }
        turn
    }

    /// Lets a device that moves only when it is called send, and takes buffers back.
    fn kick(&mut self) {
        for tx in &mut self.tx {
            tx.tx_burst(&mut self.cache, &mut self.batch);
            tx.reclaim(&mut self.cache);
        }
    }

    fn busy(&self) -> bool {
        self.tx.iter().any(|t| t.in_flight() >= REPORTED)
    }

    fn answered(&self) -> u64 {
        self.done.arp + self.done.icmp
    }

    fn counts(&self, active: Option<Duration>) -> Snapshot {
        let d = self.done;
        let mut port = PortCounts {
            offered: self.answered(),
            unsent: d.unsent,
            // That others' traffic is ignored is no loss.
            consumed: d.other,
            dropped: d.refused,
            ..PortCounts::default()
        };
        self.rx.iter().for_each(|q| port.add_rx(q));
        self.tx.iter().for_each(|q| port.add_tx(q));
        let mut snap = Snapshot { active, ..Snapshot::default() };
        snap.ports[0] = port;
        snap.extra =
            vec![("arp", d.arp), ("icmp", d.icmp), ("refused", d.refused), ("other", d.other)];
        snap.work = self.fill.work();
        snap
    }
}

fn serve(mut seat: Seat<'_>, mut host: Host, count: u64) {
    let start = Instant::now();
    let mut idle = 0u32;
    let mut beat = Beat::Go;
    while beat == Beat::Go && host.answered() < count {
        beat = seat.beat(|| host.counts(None));
        let turn = host.turn();
        seat.turned(turn, || Duration::MAX, || host.counts(None));
        idle = if turn == Turn::Nothing { idle.wrapping_add(1) } else { 0 };
        if idle % 64 == 1 {
            host.kick();
        }
    }
    let active = start.elapsed();
    let drain = Instant::now();
    while beat != Beat::Abort && host.busy() && drain.elapsed() < DRAIN {
        host.kick();
        beat = seat.beat(|| host.counts(None));
    }
    seat.publish(host.counts(Some(active)));
}
