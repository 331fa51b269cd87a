//! What is printed: a live line a second on standard error, and the summary at the end, for
//! people or for machines, on standard output.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use barewire::port::{PathChoice, PortStats};
use serde_json::{Map, Value, json};

use super::Failure;
use super::counts::{PortCounts, Snapshot};
use super::ladder::{Drops, Topology, residuals};
use super::meter::Work;
use super::options::OutputOptions;
use super::rest::Slept;
use super::session::Session;
use super::units::{si, wire_gbps};

/// Explains the numbers, for `--help`.
pub(crate) const NUMBERS: &str = "\
Where the numbers come from:
  tx_packets, rx_packets and the bytes (without FCS) are counted by the queues in software.
  tx_pps and rx_pps are those divided by the time during which traffic was sent; Gbit/s is on
  the wire: per frame, 24 bytes of FCS, preamble and gap are added.
  drops are frames, by cause, in the order in which a frame meets them:
    tx_full        the transmit ring stayed full, the tool freed them
    tx_error       they can never be sent (longer than the port allows)
    tx_stuck       still in the transmit ring at the end
    wire           vanished between the ports: no NIC counted them, the receiver misses them
    crc, length    damaged on the wire; shorter or longer than allowed (NIC counters)
    fifo_missed    the receiver's FIFO was full (NIC counter MPC)
    filtered       no address filter wanted them
    no_descriptor  the receive ring was full (NIC counter QPRDC)
    rx_error, bad_descriptor   marked as damaged; a descriptor that made no sense
    unread         left in the receive ring at the end
    application    thrown away by the tool
  work says what a packet costs its worker: cycles are ticks of the time-stamp counter (TSC),
  whatever the core's own clock does, spent in turns that moved packets, with all that interrupts
  a worker, and with the model of a software NIC that its worker drives. A packet received and
  sent on is one packet; made and sent here and received here, it is two. packets_per_burst and
  full_bursts_percent (bursts of --burst packets) are of bursts that moved any; workers has the
  same for each of several. A line a second has that second's.
  path, by port, is the code that carries packets and, in brackets, why it is no faster one.
  idle, with --idle sleep, says how much of their time the workers slept, and what woke them.
  reconciles is true when, at every stage, what went in equals what came out and what was lost
  under one of these names; residuals says by how much it does not.";

/// Totals at one moment of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moment {
    /// Since the start.
    pub(crate) at: Duration,
    /// What the workers counted.
    pub(crate) counts: Snapshot,
}

impl Moment {
    fn sum(&self, f: impl Fn(&PortCounts) -> u64) -> u64 {
        self.counts.ports.iter().map(f).sum()
    }

    fn tx(&self) -> (u64, u64) {
        (self.sum(|c| c.tx.packets), self.sum(|c| c.tx.bytes))
    }

    fn rx(&self) -> (u64, u64) {
        (self.sum(|c| c.rx.packets), self.sum(|c| c.rx.bytes))
    }
}

/// Rates between two moments.
#[derive(Debug, Clone, Copy, Default)]
struct Rates {
    tx_pps: f64,
    rx_pps: f64,
    tx_gbps: f64,
    rx_gbps: f64,
}

impl Rates {
    fn between(from: &Moment, to: &Moment, seconds: f64) -> Self {
        let delta = |f: fn(&Moment) -> (u64, u64)| {
            let ((p0, b0), (p1, b1)) = (f(from), f(to));
            (p1.saturating_sub(p0) as f64, b1.saturating_sub(b0) as f64)
        };
        let ((tp, tb), (rp, rb)) = (delta(Moment::tx), delta(Moment::rx));
        let per = |n: f64| if seconds > 0.0 { n / seconds } else { 0.0 };
        Self {
            tx_pps: per(tp),
            rx_pps: per(rp),
            tx_gbps: wire_gbps(tp, tb, seconds),
            rx_gbps: wire_gbps(rp, rb, seconds),
        }
    }
}

/// Prints a run's progress and result.
#[derive(Debug)]
pub(crate) struct Reporter {
    tool: &'static str,
    options: OutputOptions,
    topology: Topology,
    last: Moment,
    drawn: bool,
}

impl Reporter {
    /// For a run that is about to start.
    pub(crate) fn new(tool: &'static str, options: &OutputOptions, topology: Topology) -> Self {
        let options = options.clone();
        Self { tool, options, topology, last: Moment::default(), drawn: false }
    }

    /// One second has passed.
    pub(crate) fn second(&mut self, now: &Moment, session: &Session) -> Result<(), Failure> {
        let seconds = now.at.saturating_sub(self.last.at).as_secs_f64();
        let rates = Rates::between(&self.last, now, seconds);
        if !self.options.quiet {
            self.live(now, rates, session);
        }
        if self.options.json_lines {
            let mut line = self.object(now, rates, session, now.at.as_secs_f64());
            line.insert("final".to_owned(), json!(false));
            line.insert("work".to_owned(), work_object(&self.last, now));
            print_line(&Value::Object(line).to_string())?;
        }
        self.last = now.clone();
        Ok(())
    }

    fn live(&mut self, now: &Moment, r: Rates, session: &Session) {
        let drops = Drops::new(&now.counts, &nics(session), self.topology);
        // What is under way is not lost yet.
        let lost = drops.total() - drops.tx_stuck - drops.unread;
        let mut line = format!(
            "{:4.0} s  tx {}pps {:.2} Gbit/s  rx {}pps {:.2} Gbit/s  drops {lost}",
            now.at.as_secs_f64(),
            si(r.tx_pps),
            r.tx_gbps,
            si(r.rx_pps),
            r.rx_gbps
        );
        for (cause, n) in drops.causes() {
            if n > 0 && !matches!(cause, "tx_stuck" | "unread") {
                line.push_str(&format!(" {cause} {n}"));
            }
        }
        for (name, n) in now.counts.extra.iter().filter(|(_, n)| *n > 0) {
            line.push_str(&format!("  {name} {n}"));
        }
        let work = now.counts.work.since(&self.last.counts.work);
        if let (Some(ticks), Some(fill)) = (work.ticks_per_packet(), work.fill()) {
            line.push_str(&format!("  {ticks:.1} cycles/packet, bursts of {fill:.1}"));
        }
        if let Some(slept) = &now.counts.slept {
            line.push_str(&format!("  asleep {:.0} %", slept.percent()));
        }
        line.push_str("  link");
        for p in &session.ports {
            let speed = f64::from(p.link.speed_mbps) / 1000.0;
            line.push_str(&if p.link.up { format!(" up {speed}G") } else { " DOWN".to_owned() });
        }
        let mut err = io::stderr().lock();
        // That standard error is gone is no reason to stop.
        let _ = if err.is_terminal() {
            self.drawn = true;
            write!(err, "\r\x1b[K{line}").and_then(|()| err.flush())
        } else {
            writeln!(err, "{line}")
        };
    }

    /// The end: `failure` says what broke, if anything did.
    pub(crate) fn summary(
        &mut self,
        end: &Moment,
        session: &Session,
        failure: Option<&str>,
    ) -> Result<(), Failure> {
        if self.drawn {
            let _ = writeln!(io::stderr());
        }
        let seconds = end.counts.active.unwrap_or(end.at).as_secs_f64();
        let rates = Rates::between(&Moment::default(), end, seconds);
        let mut object = self.object(end, rates, session, seconds);
        object.insert("final".to_owned(), json!(true));
        object.insert("work".to_owned(), work_object(&Moment::default(), end));
        let stages = residuals(&end.counts, &nics(session), self.topology);
        let stale = session.ports.iter().any(|p| p.stale);
        let reconciles = !stale && stages.iter().all(|r| r.frames == 0);
        object.insert("reconciles".to_owned(), json!(reconciles));
        object.insert("nic_counters_stale".to_owned(), json!(stale));
        let stages: Map<_, _> =
            stages.iter().map(|r| (r.stage.to_owned(), json!(r.frames as i64))).collect();
        object.insert("residuals".to_owned(), Value::Object(stages));
        object.insert("failure".to_owned(), json!(failure));
        if self.options.for_machines() {
            print_line(&Value::Object(object).to_string())
        } else {
            print_line(&human(self.tool, &object))
        }
    }

    fn object(
        &self,
        m: &Moment,
        rates: Rates,
        session: &Session,
        seconds: f64,
    ) -> Map<String, Value> {
        let nics = nics(session);
        let drops = Drops::new(&m.counts, &nics, self.topology);
        let ((tx_packets, tx_bytes), (rx_packets, rx_bytes)) = (m.tx(), m.rx());
        let quarantined = m.sum(|c| c.tx.quarantined);
        let errors = drops.tx_error
            + drops.crc
            + drops.length
            + drops.rx_error
            + drops.bad_descriptor
            + quarantined
            + m.counts.faults;
        let by_cause: Map<_, _> =
            drops.causes().iter().map(|(cause, n)| ((*cause).to_owned(), json!(n))).collect();
        let extra: Map<_, _> =
            m.counts.extra.iter().map(|(name, n)| ((*name).to_owned(), json!(n))).collect();
        let ports: Vec<_> =
            session.ports.iter().zip(&m.counts.ports).map(|(p, c)| port_object(p, c)).collect();
        let value = json!({
            "tool": self.tool,
            "seconds": round(seconds, 6),
            "tx_packets": tx_packets,
            "rx_packets": rx_packets,
            "tx_bytes": tx_bytes,
            "rx_bytes": rx_bytes,
            "tx_pps": round(rates.tx_pps, 1),
            "rx_pps": round(rates.rx_pps, 1),
            "tx_gbps": round(rates.tx_gbps, 4),
            "rx_gbps": round(rates.rx_gbps, 4),
            "errors": errors,
            "dropped": drops.total(),
            "drops": by_cause,
            "events": {
                "tx_ring_full": m.sum(|c| c.tx.ring_full),
                "pool_empty": m.sum(|c| c.rx.pool_empty),
                "quarantined_buffers": quarantined,
            },
            "application": extra,
            "idle": m.counts.slept.map(|s| idle_object(&s)),
            "ports": ports,
        });
        match value {
            Value::Object(object) => object,
            _ => Map::new(),
        }
    }
}

/// What the packets cost that were moved between two moments.
fn work_object(from: &Moment, to: &Moment) -> Value {
    let object = |work: &Work| {
        let rounded = |value: Option<f64>, digits| value.map(|v| round(v, digits));
        json!({
            "cycles": work.ticks,
            "packets": work.packets,
            "cycles_per_packet": rounded(work.ticks_per_packet(), 2),
            "bursts": work.bursts,
            "packets_per_burst": rounded(work.fill(), 2),
            "full_bursts_percent": rounded(work.full_percent(), 1),
        })
    };
    let before = from.counts.workers.iter().copied().chain(std::iter::repeat(Work::default()));
    let workers = to.counts.workers.iter().zip(before);
    let mut total = object(&to.counts.work.since(&from.counts.work));
    total["workers"] = workers.map(|(now, before)| object(&now.since(&before))).collect();
    total
}

fn path_object(path: Option<&PathChoice>) -> Value {
    path.map_or(
        Value::Null,
        |p| json!({ "name": p.path.name(), "text": p.to_string(), "why_no_faster": p.why }),
    )
}

fn idle_object(slept: &Slept) -> Value {
    let s = &slept.stats;
    json!({
        "asleep_percent": round(slept.percent(), 1),
        "asleep_seconds": round(s.asleep.as_secs_f64(), 6),
        "sleeps": s.sleeps,
        "naps": s.naps,
        "woken_by": {
            "interrupt": s.by_interrupt,
            "timeout": s.by_timeout,
            "signal": s.by_signal,
        },
    })
}

fn port_object(p: &super::session::OpenPort, c: &PortCounts) -> Value {
    let info = p.port.info();
    let nic = &p.stats;
    json!({
        "name": info.name,
        "driver": info.driver,
        "chip": info.chip,
        "mac": p.port.mac().to_string(),
        "link": { "up": p.link.up, "mbps": p.link.speed_mbps },
        "path": { "rx": path_object(p.rx_path.as_ref()), "tx": path_object(p.tx_path.as_ref()) },
        "queues": {
            "rx_packets": c.rx.packets,
            "rx_bytes": c.rx.bytes,
            "tx_packets": c.tx.packets,
            "tx_bytes": c.tx.bytes,
        },
        "nic": {
            "rx_packets": nic.rx_packets,
            "rx_bytes": nic.rx_bytes,
            "tx_packets": nic.tx_packets,
            "tx_bytes": nic.tx_bytes,
            "crc_errors": nic.rx_crc_errors,
            "length_errors": nic.rx_length_errors,
            "missed": nic.rx_missed,
            "no_descriptor": nic.rx_no_descriptor,
            "filtered": nic.rx_filtered,
            "pause_tx": nic.pause_tx,
            "pause_rx": nic.pause_rx,
            "saturated": nic.saturated,
        },
    })
}

fn nics(session: &Session) -> Vec<PortStats> {
    session.ports.iter().map(|p| p.stats.clone()).collect()
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

fn print_line(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// What packets cost, in total and by worker.
fn work_lines(text: &mut String, work: &Value) {
    let workers = work["workers"].as_array().map_or(&[][..], Vec::as_slice);
    let several = workers.len() > 1;
    let lines = workers.iter().take(if several { usize::MAX } else { 0 }).enumerate();
    let named = lines.map(|(i, worker)| (format!("  worker {i}: "), worker));
    for (name, w) in std::iter::once((String::new(), work)).chain(named) {
        let number = |key: &str| w[key].as_f64();
        if let (Some(cost), Some(fill), Some(full)) = (
            number("cycles_per_packet"),
            number("packets_per_burst"),
            number("full_bursts_percent"),
        ) {
            text.push_str(&format!(
                "  {name}{cost:.1} cycles (TSC ticks) per packet, bursts of {fill:.1} packets, \
                 {full:.1} % of them full\n"
            ));
        }
    }
}

/// The summary for people, from the object for machines, so that they cannot disagree.
fn human(tool: &str, o: &Map<String, Value>) -> String {
    let number = |key: &str| o.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    let count = |key: &str| o.get(key).and_then(Value::as_u64).unwrap_or(0);
    let mut text = format!("{tool}: {:.3} s\n", number("seconds"));
    for side in ["tx", "rx"] {
        text.push_str(&format!(
            "  {side}  {:>14} packets  {:>9}pps  {:>7.3} Gbit/s on the wire\n",
            count(&format!("{side}_packets")),
            si(number(&format!("{side}_pps"))),
            number(&format!("{side}_gbps")),
        ));
    }
    text.push_str(&format!("  errors {}, drops {}\n", count("errors"), count("dropped")));
    for key in ["drops", "application", "events"] {
        for (name, n) in o.get(key).and_then(Value::as_object).into_iter().flatten() {
            if n.as_u64() != Some(0) {
                text.push_str(&format!("    {name} {n}\n"));
            }
        }
    }
    if let Some(work) = o.get("work") {
        work_lines(&mut text, work);
    }
    if let Some(idle) = o.get("idle").filter(|idle| idle.is_object()) {
        text.push_str(&format!(
            "  asleep {:.1} %, woken {} times by packets and {} times by the clock\n",
            idle["asleep_percent"].as_f64().unwrap_or(0.0),
            idle["woken_by"]["interrupt"],
            idle["woken_by"]["timeout"],
        ));
    }
    for p in o.get("ports").and_then(Value::as_array).into_iter().flatten() {
        let up = p["link"]["up"].as_bool() == Some(true);
        text.push_str(&format!(
            "  {}  {}  {}  link {}\n",
            p["name"].as_str().unwrap_or_default(),
            p["chip"].as_str().unwrap_or_default(),
            p["mac"].as_str().unwrap_or_default(),
            if up { format!("{} Mbit/s", p["link"]["mbps"]) } else { "down".to_owned() },
        ));
        let path = |side: &str| p["path"][side]["text"].as_str().unwrap_or("none").to_owned();
        let (rx, tx) = (path("rx"), path("tx"));
        text.push_str(&match rx == tx {
            true => format!("    path {rx}\n"),
            false => format!("    path rx {rx}; tx {tx}\n"),
        });
    }
    if o.get("reconciles").and_then(Value::as_bool) == Some(true) {
        text.push_str("  every frame is accounted for");
    } else if o.get("nic_counters_stale").and_then(Value::as_bool) == Some(true) {
        text.push_str("  frames cannot be accounted for: a NIC's last counters could not be read");
    } else {
        text.push_str("  NOT every frame is accounted for; in minus out by stage:");
        for (stage, n) in o.get("residuals").and_then(Value::as_object).into_iter().flatten() {
            text.push_str(&format!(" {stage} {n}"));
        }
    }
    text
}
