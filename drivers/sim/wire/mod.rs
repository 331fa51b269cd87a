//! What a software NIC's port is plugged into.
//!
//! A wire carries frames without their CRC. It never blocks: a frame that cannot go now waits on
//! the sender or is lost and counted, as on copper.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::time::Duration;

mod basic;
mod cable;
mod generator;
mod options;
mod pcap;
mod probe;
mod tap;

pub use basic::{Loopback, NoWire, Sink};
pub use options::Options;
pub use probe::{Probe, ProbeWire};

use crate::error::{Error, Result};

/// What became of a frame that was offered to a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way.
    Yes,
    /// Taken off the sender but lost: on the wire, or at the far FIFO. The wire counts it.
    Lost,
    /// Back-pressure: keep it and try later.
    Wait,
}

/// A medium that one software NIC sends to and receives from.
///
/// `now` is the time since some fixed point on the NIC's clock: real in inline and thread mode,
/// virtual in step mode.
pub trait Wire: Send + fmt::Debug {
    /// Offers one frame without CRC. With `obey_pause` this NIC honours pause frames, and a full
    /// far end answers [`Sent::Wait`] instead of [`Sent::Lost`].
    fn send(&mut self, frame: &[u8], now: Duration, obey_pause: bool) -> Sent;

    /// Whether it makes a difference what `now` is. If not, it may be told zero.
    fn minds_time(&self) -> bool {
        true
    }

    /// With true, frames sent from now on may be held back until it is called with false: a NIC
    /// brackets a batch with it. A cable between two processors is twice as fast for it, because
    /// the receiver does not read cache lines that the sender is still filling.
    fn cork(&mut self, _on: bool) {}
    /// Hands frames that have arrived to `sink`, oldest first, until none is due, `max` were
    /// taken, or `sink` returns false (that frame stays). Returns how many were taken.
    fn recv(&mut self, now: Duration, max: usize, sink: &mut dyn FnMut(&[u8]) -> bool) -> usize;

    /// Whether there is a carrier.
    fn link_up(&self) -> bool {
        true
    }

    /// The most that this wire is good for, in Mbit/s; the NIC may be slower.
    fn speed_mbps(&self) -> u32 {
        10_000
    }

    /// This NIC sends pause frames when its FIFO is nearly full (FCCFG.TFCE), or stops doing so.
    fn announce_pause(&mut self, _on: bool) {}

    /// Frames lost because this NIC's FIFO (for a cable: the incoming ring) was full, since the
    /// last call. The NIC adds them to MPC.
    fn take_missed(&mut self) -> u64 {
        0
    }

    /// Pause episodes since the last call: how often we paused the peer, and the peer us.
    fn take_pauses(&mut self) -> (u64, u64) {
        (0, 0)
    }

    /// What becomes readable when frames arrive, if there is such a thing.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// A failure that makes the wire useless from now on (tap gone, disk full). It is reported
    /// once, through the NIC's fault list.
    fn take_error(&mut self) -> Option<Error> {
        None
    }

    /// No more frames will ever come (a capture at its end), so tools may stop.
    fn finished(&self) -> bool {
        false
    }
}

/// What a wire may need to know about the NIC that opens it.
#[derive(Debug, Clone)]
pub struct WireContext<'a> {
    /// The NIC's name, for messages.
    pub nic: &'a str,
    /// Seed for everything random on this wire.
    pub seed: u64,
    /// Whether the NIC runs on a virtual clock (step mode).
    pub virtual_time: bool,
    /// The NIC's line rate in Mbit/s.
    pub mbps: u32,
}

/// The values of `wire=`, for messages.
pub(super) const KINDS: &str = "none, loopback, sink, cable:NAME, tap:IFNAME, \
                                pcap:in=FILE,out=FILE, gen:key=value";

/// Opens the wire that a `wire=` value names.
///
/// # Errors
/// [`Error::Config`] for a value that makes no sense, with the ones that do; whatever opening the
/// tap or file met.
pub fn open(value: &str, ctx: &WireContext<'_>) -> Result<Box<dyn Wire>> {
    let (kind, rest) = value.split_once(':').unwrap_or((value, ""));
    let options = Options::parse(rest)?;
    match kind {
        "none" => options.only("wire none", &[]).map(|()| Box::new(NoWire) as _),
        "loopback" => options.only("wire loopback", &[]).map(|()| Box::new(Loopback::new()) as _),
        "sink" => options.only("wire sink", &[]).map(|()| Box::new(Sink::default()) as _),
        "cable" => cable::open(&options, ctx),
        "tap" => tap::open(&options, ctx),
        "pcap" => pcap::open(&options, ctx),
        "gen" => generator::open(&options, ctx),
        _ => Err(Error::config("wire", value, KINDS)),
    }
}
