//! capture: writes what a port receives to a capture file, or shows it.

#[path = "common/mod.rs"]
mod common;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use barewire::error::{Error, Result};
use barewire::pcap::{MAX_RECORD, Writer};
use barewire::{Batch, PoolCache, RxQueue, TxQueue};
use clap::Parser;
use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};

use common::counts::Snapshot;
use common::ladder::Topology;
use common::meter::{Fill, Turn};
use common::options::{OutputOptions, PortOptions};
use common::pulse::{self, Beat, End, Seat};
use common::report::{NUMBERS, Reporter};
use common::rest::Rest;
use common::session::{Need, Session};
use common::{EXIT_CODES, Failure, Interrupt, units};

/// Idle polls after which what is buffered goes to the file or the terminal.
const IDLE_FLUSH: u32 = 10_000;

/// Writes what a port receives to a capture file, or shows one line a packet.
///
/// PORT is a PCI address (0000:03:00.0) or a software NIC (sim:82599?wire=...). The port is
/// promiscuous and nothing is filtered. The file is a classic pcap with nanosecond time stamps,
/// for tcpdump, Wireshark and pktgen --pcap; frames are written as they came, without FCS. Time
/// stamps are taken in software, once for the packets that one poll finds.
#[derive(Debug, Parser)]
#[command(name = "capture", after_long_help = after_help())]
struct Cli {
    /// Port to listen on
    port: String,
    /// Write packets to this file, which is replaced
    #[arg(long, short, value_name = "FILE")]
    write: Option<PathBuf>,
    /// End after so many packets
    #[arg(long, short = 'n', visible_short_alias = 'c', value_name = "N", value_parser = units::parse_count)]
    count: Option<u64>,
    /// End after so long [default: at Ctrl-C]
    #[arg(long, short = 't', value_name = "SECS", value_parser = units::parse_secs)]
    secs: Option<f64>,
    /// Keep at most so many bytes of each packet
    #[arg(long, short, value_name = "BYTES", default_value_t = MAX_RECORD as u32, value_parser = clap::value_parser!(u32).range(14..=MAX_RECORD as i64))]
    snaplen: u32,
    #[command(flatten)]
    options: PortOptions,
    #[command(flatten)]
    output: OutputOptions,
}

fn after_help() -> String {
    format!(
        "\
In the source tree, write `cargo run --release --example capture --` for `capture`.

Examples; the first two need no hardware:
  capture 'sim:82599?wire=gen:rate=1000' --count 5
      shows five packets of a traffic generator
  capture 'sim:82599?wire=gen:rate=500k' -w a.pcap --secs 1
      records it for a second
  capture 'sim:82599?wire=tap:bw0' -w b.pcap --count 100
      (as root) what Linux sends to the tap interface bw0
  capture 0000:03:00.0 -w c.pcap --snaplen 128 --secs 60 --json
      a minute of a real port's traffic, the first 128 bytes of each packet

{NUMBERS}
  application.written and bytes_written are what went to the file; cut counts packets longer
  than --snaplen.

{EXIT_CODES}"
    )
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    common::run("capture", || capture(&cli))
}

fn capture(cli: &Cli) -> Result<(), Failure> {
    let interrupt = Interrupt::catch()?;
    let mut sink = Sink::Lines { text: String::new(), start: None };
    let mut file = None;
    let (mut session, mut queues) =
        Session::open_with(&[&cli.port], &cli.options, &Need::default(), || {
            // Not before the checks, and not emptied before the start: a refusal leaves an
            // existing file alone.
            file = cli.write.as_deref().map(open_file).transpose()?;
            Ok(())
        })?;
    if let (Some(file), Some(path)) = (file, &cli.write) {
        sink = Sink::File(Box::new(begin_capture(file, path, cli.snaplen)?));
    }
    let mut reporter = Reporter::new("capture", &cli.output, Topology::Open);
    let Some(q) = queues.pop() else { return Ok(()) };
    let burst = usize::from(cli.options.burst);
    let tap = Tap {
        rx: q.rx,
        _tx: q.tx,
        batch: Batch::new(burst),
        fill: Fill::new(burst),
        cache: session.pool.cache(),
        sink,
        snaplen: cli.snaplen as usize,
        count: cli.count.unwrap_or(u64::MAX),
        clock: Clock::new(),
        whole: Vec::new(),
        done: Done::default(),
    };
    let end = End { interrupt: &interrupt, secs: cli.secs };
    let rest = Rest::new(&cli.options.idle, &mut session, &[0])?;
    let job: pulse::Job<'_> = Box::new(move |seat| listen(seat.resting(rest), tap));
    let outcome = pulse::run(vec![job], &cli.options.cpu, &mut session, &mut reporter, &end);
    outcome.finish(&mut session, &mut reporter)
}

/// Opens a file for a capture and leaves what is in it.
fn open_file(path: &Path) -> Result<File> {
    let mut how = File::options();
    let file = how.write(true).create(true).truncate(false).open(path);
    file.map_err(|e| Error::io("create the capture", path, e))
}

/// Replaces what is in the file with an empty capture.
fn begin_capture(file: File, path: &Path, snaplen: u32) -> Result<Writer> {
    // Pipes and devices have no length.
    let regular = file.metadata().map(|about| about.is_file());
    regular
        .and_then(|regular| if regular { file.set_len(0) } else { Ok(()) })
        .map_err(|e| Error::io("empty the capture", path, e))?;
    Writer::new(file, path, snaplen)
}

/// Wall-clock time that never goes backwards: read once, then carried on by the steady clock.
#[derive(Debug)]
struct Clock {
    start: Instant,
    base_ns: u64,
}

impl Clock {
    fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { start: Instant::now(), base_ns: since.as_nanos() as u64 }
    }

    fn now_ns(&self) -> u64 {
        self.base_ns + self.start.elapsed().as_nanos() as u64
    }
}

/// Where packets go.
#[derive(Debug)]
enum Sink {
    File(Box<Writer>),
    Lines {
        text: String,
        /// Time stamp of the first packet: lines show times since then.
        start: Option<u64>,
    },
}

impl Sink {
    fn packet(&mut self, ts_ns: u64, frame: &[u8]) -> Result<(), Failure> {
        match self {
            Self::File(file) => file.write(ts_ns, frame).map_err(Failure::broke),
            Self::Lines { text, start } => {
                let since = ts_ns - *start.get_or_insert(ts_ns);
                let (secs, nanos) = (since / 1_000_000_000, since % 1_000_000_000);
                // Writing to a string does not fail.
                let _ = writeln!(text, "{secs:4}.{nanos:09}  {:5}  {}", frame.len(), line(frame));
                if text.len() > 1 << 16 { self.flush() } else { Ok(()) }
            }
        }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        match self {
            Self::File(file) => file.flush().map_err(Failure::broke),
            Self::Lines { text, .. } => {
                if text.is_empty() {
                    return Ok(());
                }
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())?;
                text.clear();
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::File(file) => file.finish().map_err(Failure::broke),
            mut lines @ Self::Lines { .. } => lines.flush(),
        }
    }
}

/// What was done with the packets.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    written: u64,
    bytes: u64,
    cut: u64,
    /// Beyond --count.
    beyond: u64,
}

/// The listening port.
#[derive(Debug)]
struct Tap {
    rx: Vec<RxQueue>,
    /// Kept alive with the port.
    _tx: Vec<TxQueue>,
    batch: Batch,
    fill: Fill,
    cache: PoolCache,
    sink: Sink,
    snaplen: usize,
    count: u64,
    clock: Clock,
    whole: Vec<u8>,
    done: Done,
}

impl Tap {
    fn turn(&mut self) -> Result<Turn, Failure> {
        let mut turn = Turn::Nothing;
        for rx in &mut self.rx {
            let n = rx.rx_burst(&mut self.cache, &mut self.batch);
            if n == 0 {
                continue;
            }
            self.fill.burst(n, &mut turn);
            let now = self.clock.now_ns();
            for packet in self.batch.iter() {
                if self.done.written == self.count {
                    self.done.beyond += 1;
                    continue;
                }
                let frame = if packet.is_chain() {
                    self.whole.clear();
                    packet.segments().for_each(|s| self.whole.extend_from_slice(s));
                    &self.whole[..]
                } else {
                    packet.data()
                };
                self.sink.packet(now, frame)?;
                self.done.written += 1;
                self.done.bytes += frame.len().min(self.snaplen) as u64;
                self.done.cut += u64::from(frame.len() > self.snaplen);
            }
            self.cache.free_batch(&mut self.batch);
        }
        Ok(turn)
    }

    fn counts(&self, active: Option<Duration>) -> Snapshot {
        let d = self.done;
        let mut snap = Snapshot { active, ..Snapshot::default() };
        let port = &mut snap.ports[0];
        self.rx.iter().for_each(|q| port.add_rx(q));
        port.consumed = d.written;
        // Also those that came before a write failed.
        port.dropped = port.rx.packets - d.written;
        snap.extra = vec![
            ("written", d.written),
            ("bytes_written", d.bytes),
            ("cut", d.cut),
            ("beyond_count", d.beyond),
        ];
        snap.work = self.fill.work();
        snap
    }
}

fn listen(mut seat: Seat<'_>, mut tap: Tap) {
    let start = Instant::now();
    let mut idle = 0;
    let mut result = Ok(());
    while seat.beat(|| tap.counts(None)) == Beat::Go && tap.done.written < tap.count {
        let turn = match tap.turn() {
            Ok(turn) => turn,
            Err(e) => {
                result = Err(e);
                break;
            }
        };
        idle = if turn == Turn::Nothing { idle + 1 } else { 0 };
        // Whoever looks at the file should not wait for the next packet.
        if (idle == IDLE_FLUSH || idle > 0 && seat.sleeps_next())
            && let Err(e) = tap.sink.flush()
        {
            result = Err(e);
            break;
        }
        seat.turned(turn, || Duration::MAX, || tap.counts(None));
    }
    let counts = tap.counts(Some(start.elapsed()));
    let end = tap.sink.finish();
    seat.publish(counts);
    match result.and(end) {
        Ok(()) | Err(Failure::NoReader) => {}
        Err(Failure::Broke(why) | Failure::Refused(why)) => seat.pulse.abort(why),
    }
}

/// One line about a frame.
fn line(frame: &[u8]) -> String {
    let Ok(packet) = LaxSlicedPacket::from_ethernet(frame) else {
        return "too short for Ethernet".to_owned();
    };
    let mut text = String::new();
    for id in packet.vlan_ids() {
        let _ = write!(text, "vlan {} ", id.value());
    }
    let (from, to) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let h = ip.header();
            (h.source_addr().to_string(), h.destination_addr().to_string())
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let h = ip.header();
            (format!("[{}]", h.source_addr()), format!("[{}]", h.destination_addr()))
        }
        Some(LaxNetSlice::Arp(arp)) => {
            let _ = write!(text, "ARP {} {:?}", address(arp.sender_hw_addr()), arp.operation());
            let _ = write!(text, " for {}", dotted(arp.target_protocol_addr()));
            return text;
        }
        None => (address(frame.get(6..12).unwrap_or(&[])), address(frame.get(..6).unwrap_or(&[]))),
    };
    let _ = match &packet.transport {
        Some(TransportSlice::Udp(u)) => {
            write!(text, "UDP {from}:{} > {to}:{}", u.source_port(), u.destination_port())
        }
        Some(TransportSlice::Tcp(t)) => {
            write!(text, "TCP {from}:{} > {to}:{}", t.source_port(), t.destination_port())
        }
        Some(TransportSlice::Icmpv4(i)) => {
            write!(text, "ICMP {from} > {to} type {} code {}", i.type_u8(), i.code_u8())
        }
        Some(TransportSlice::Icmpv6(i)) => {
            write!(text, "ICMPv6 {from} > {to} type {} code {}", i.type_u8(), i.code_u8())
        }
        _ if packet.net.is_some() => write!(text, "IP {from} > {to}"),
        _ => {
            let kind = frame.get(12..14).map_or(0, |t| u16::from_be_bytes([t[0], t[1]]));
            write!(text, "Ethernet {from} > {to} type {kind:#06x}")
        }
    };
    text
}

fn address(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":")
}

fn dotted(bytes: &[u8]) -> String {
    bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(".")
}
