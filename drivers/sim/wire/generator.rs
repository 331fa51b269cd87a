//! `gen:[size=60][,count=N][,rate=PPS][,seq=on][,flows=1][,stream=0][,dst=MAC]`: a traffic
//! generator and checker in place of another NIC.
//!
//! It sends the NIC UDP datagrams in IPv4, and takes and checks whatever the NIC sends.
//!
//! - `size`: bytes of each frame without FCS.
//! - `count`: how many frames; without end by default.
//! - `rate`: frames a second, such as `1000`, `500k` or `1.5m`, or `line` for what 10 Gb/s
//!   Ethernet carries. Frames that come due while the NIC takes none wait in a FIFO of 512 KiB, as
//!   in an 82599; beyond that they are lost and counted as missed, or with flow control not sent.
//!   By default frames come as fast as they are taken.
//! - `seq`: whether frames carry a stamp with a sequence number, the same as pktgen's, so that
//!   either can check what the other sent.
//! - `flows`: how many UDP source ports the frames take turns with, to reach all RSS queues.
//! - `stream`: number of the stream in the stamps.
//! - `dst`: destination address; broadcast by default, which every NIC takes.
//!
//! What the checker found is logged when the NIC is closed.

use std::fmt;
use std::time::Duration;

use super::{Options, Sent, Wire, WireContext};
use crate::error::{Error, Result};
use crate::port::MacAddr;

mod check;
mod stamp;

use check::Checker;
use stamp::{STAMP, STAMP_AT, Stamp};

/// Frame sizes without FCS: up to what an 82599 takes (15.5 KiB with FCS).
const SIZES: std::ops::RangeInclusive<u64> = 60..=15_868;
/// The receiving NIC's packet buffer (82599 datasheet, section 3.7.7.3).
const FIFO: u64 = 512 * 1024;
/// What a frame takes on the line besides its bytes: preamble 8, FCS 4, gap 12.
const OVERHEAD: u64 = 24;
/// UDP source ports of the flows start here, at the first dynamic one.
const FIRST_PORT: u16 = 49_152;
const MAX_FLOWS: u64 = 16_384;
/// First byte of the UDP header, behind Ethernet and IPv4.
const UDP_AT: usize = 34;
const NANOS: u64 = 1_000_000_000;

struct Generator {
    frame: Box<[u8]>,
    stamp: Option<Stamp>,
    flows: u64,
    /// Number of the next frame: how many were taken or lost.
    next: u64,
    count: Option<u64>,
    pace: Option<Pace>,
    checker: Checker,
    nic: String,
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator")
            .field("next", &self.next)
            .field("count", &self.count)
            .field("pace", &self.pace)
            .field("checked", &self.checker.counts)
            .finish_non_exhaustive()
    }
}

/// Opens one.
pub(super) fn open(options: &Options, ctx: &WireContext<'_>) -> Result<Box<dyn Wire>> {
    Ok(Box::new(build(options, ctx)?))
}

fn build(options: &Options, ctx: &WireContext<'_>) -> Result<Generator> {
    let keys = ["size", "count", "rate", "seq", "flows", "stream", "dst"];
    options.only("wire gen", &keys)?;
    if !options.name().is_empty() {
        return Err(Error::config("wire gen", options.name(), keys.join(", ")));
    }
    let size = options.number("size", *SIZES.start())?;
    if !SIZES.contains(&size) {
        let allowed = format!("{} to {} bytes without FCS", SIZES.start(), SIZES.end());
        return Err(Error::config("size", size, allowed));
    }
    let count = options.get("count").map(|_| options.number("count", 0)).transpose()?;
    let pace = options.get("rate").map(|rate| Pace::parse(rate, size, ctx.mbps)).transpose()?;
    let flows = options.number("flows", 1)?;
    if !(1..=MAX_FLOWS).contains(&flows) {
        return Err(Error::config("flows", flows, format!("1 to {MAX_FLOWS}")));
    }
    let stream = options.number("stream", 0)?;
    let stream = u16::try_from(stream)
        .map_err(|_| Error::config("stream", stream, format!("0 to {}", u16::MAX)))?;
    let stamp = match options.get("seq") {
        None | Some("on") => Some(Stamp::new(stream, size as u16)),
        Some("off") => None,
        Some(other) => return Err(Error::config("seq", other, "on, off")),
    };
    let dst = match options.get("dst") {
        None => MacAddr([0xff; 6]),
        Some(text) => text
            .parse()
            .map_err(|_| Error::config("dst", text, "a MAC address such as 02:00:00:00:00:01"))?,
    };
    Ok(Generator {
        frame: template(dst, size as usize),
        stamp,
        flows,
        next: 0,
        count,
        pace,
        checker: Checker::new(),
        nic: ctx.nic.to_owned(),
    })
}

/// The frame without its stamp. The UDP checksum stays 0, "not computed" (RFC 768).
fn template(dst: MacAddr, size: usize) -> Box<[u8]> {
    let mut frame = vec![0; size];
    frame[..6].copy_from_slice(&dst.0);
    frame[6..12].copy_from_slice(&[0x02, 0, 0, 0, 0x67, 0x65]);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    let ip_length = (size - 14) as u16;
    let ip = &mut frame[14..UDP_AT];
    ip[..2].copy_from_slice(&[0x45, 0]);
    ip[2..4].copy_from_slice(&ip_length.to_be_bytes());
    // Do not fragment, 64 hops, UDP; the addresses are for benchmarks (RFC 2544).
    ip[6..10].copy_from_slice(&[0x40, 0, 64, 17]);
    ip[12..20].copy_from_slice(&[198, 18, 0, 1, 198, 18, 0, 2]);
    let sum: u32 = ip.as_chunks::<2>().0.iter().map(|w| u32::from(u16::from_be_bytes(*w))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    ip[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    let udp = &mut frame[UDP_AT..];
    udp[..2].copy_from_slice(&FIRST_PORT.to_be_bytes());
    // The discard service.
    udp[2..4].copy_from_slice(&9u16.to_be_bytes());
    udp[4..6].copy_from_slice(&(ip_length - 20).to_be_bytes());
    frame.into_boxed_slice()
}

impl Generator {
    /// Numbers the frame.
    fn mark(&mut self) {
        if self.flows > 1 {
            let port = FIRST_PORT + (self.next % self.flows) as u16;
            self.frame[UDP_AT..UDP_AT + 2].copy_from_slice(&port.to_be_bytes());
        }
        if let Some(stamp) = &self.stamp {
            self.frame[STAMP_AT..STAMP_AT + STAMP].copy_from_slice(&stamp.bytes(self.next));
        }
    }
}

impl Wire for Generator {
    fn send(&mut self, frame: &[u8], _now: Duration, _obey_pause: bool) -> Sent {
        self.checker.check(frame);
        Sent::Yes
    }

    fn recv(&mut self, now: Duration, max: usize, sink: &mut dyn FnMut(&[u8]) -> bool) -> usize {
        let left = self.count.map_or(u64::MAX, |count| count - self.next);
        let mut waiting = left;
        if let Some(pace) = &mut self.pace {
            let fifo = (FIFO / self.frame.len() as u64).max(1);
            waiting = pace.waiting(now, self.next, left);
            if waiting > fifo {
                self.next += pace.overflow(waiting - fifo);
                waiting = fifo;
            } else {
                pace.relieved = true;
            }
        }
        let mut taken = 0;
        while taken < max && (taken as u64) < waiting {
            self.mark();
            if !sink(&self.frame) {
                break;
            }
            self.next += 1;
            taken += 1;
        }
        taken
    }

    fn announce_pause(&mut self, on: bool) {
        if let Some(pace) = &mut self.pace {
            pace.obeys = on;
        }
    }

    fn take_missed(&mut self) -> u64 {
        self.pace.as_mut().map_or(0, |pace| std::mem::take(&mut pace.missed))
    }

    fn take_pauses(&mut self) -> (u64, u64) {
        (self.pace.as_mut().map_or(0, |pace| std::mem::take(&mut pace.pauses)), 0)
    }

    fn finished(&self) -> bool {
        self.count == Some(self.next)
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.checker.report(&self.nic);
    }
}

/// When frames come due.
#[derive(Debug)]
struct Pace {
    /// Frames per nanosecond, as a fraction.
    frames: u64,
    nanos: u64,
    /// When the first one was.
    start: Option<Duration>,
    /// Frames that never came because the NIC paused us.
    withheld: u64,
    /// The NIC's pause frames are obeyed.
    obeys: bool,
    /// The FIFO was below its limit since the last pause frame.
    relieved: bool,
    missed: u64,
    pauses: u64,
}

impl Pace {
    fn parse(rate: &str, size: u64, mbps: u32) -> Result<Self> {
        let (frames, nanos) = if rate == "line" {
            // Mbit/s are bits a microsecond.
            (u64::from(mbps), 8 * (size + OVERHEAD) * 1000)
        } else {
            let bad = || {
                let allowed = "frames a second up to 1e9 such as 1000, 500k or 1.5m, or line";
                Error::config("rate", rate, allowed)
            };
            let (digits, unit) = match rate.as_bytes().last() {
                Some(b'k' | b'K') => (&rate[..rate.len() - 1], 1e3),
                Some(b'm' | b'M') => (&rate[..rate.len() - 1], 1e6),
                _ => (rate, 1.0),
            };
            let frames = digits.parse::<f64>().map_err(|_| bad())? * unit;
            if !(1.0..=1e9).contains(&frames) {
                return Err(bad());
            }
            (frames as u64, NANOS)
        };
        Ok(Self {
            frames,
            nanos,
            start: None,
            withheld: 0,
            obeys: false,
            relieved: true,
            missed: 0,
            pauses: 0,
        })
    }

    /// Of the `left` frames from number `next` on, how many are due at `now`. The first one is due
    /// at once.
    fn waiting(&mut self, now: Duration, next: u64, left: u64) -> u64 {
        let start = *self.start.get_or_insert(now);
        let elapsed = u64::try_from(now.saturating_sub(start).as_nanos()).unwrap_or(u64::MAX);
        let due = u128::from(elapsed) * u128::from(self.frames) / u128::from(self.nanos) + 1;
        let due = u64::try_from(due).unwrap_or(u64::MAX);
        due.saturating_sub(self.withheld.saturating_add(next)).min(left)
    }

    /// The FIFO overflows by so many frames: returns how many of them are lost.
    fn overflow(&mut self, frames: u64) -> u64 {
        if !self.obeys {
            self.missed += frames;
            return frames;
        }
        self.withheld = self.withheld.saturating_add(frames);
        self.pauses += u64::from(std::mem::take(&mut self.relieved));
        0
    }
}

#[cfg(test)]
mod tests;
