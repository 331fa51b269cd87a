//! `cable:NAME[,rate=10g][,delay=5us][,loss=0.01][,fifo=524288]`: a cable between two software
//! NICs of one process, which plug into it by giving the same name.
//!
//! The options of an end apply to what that end sends, so a symmetric cable has them at both ends.
//!
//! - `rate`: frames take their time on the wire, with preamble, FCS and inter-frame gap. Without
//!   it the cable is as fast as the machine.
//! - `delay`: propagation, on top of that.
//! - `loss`: how likely each frame is to vanish, decided by the NIC's seed.
//! - `fifo`: bytes of the receiving NIC's packet buffer, 512 KiB as the 82599's. It is what a
//!   receiver that does not keep up loses frames from, and what pause frames protect.
//!
//! An end is free again when its NIC is closed, and then the other end has no link until somebody
//! else plugs in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use super::{Options, Sent, Wire, WireContext};
use crate::error::{Error, Result};

mod line;
mod ring;
#[cfg(test)]
mod ring_tests;
mod sync;
#[cfg(test)]
mod tests;

use line::Line;
use ring::{Consumer, MAX_FRAME, Producer, Ring};

/// The 82599's receive packet buffer (82599 datasheet, section 3.7.7.3).
const FIFO: u64 = 512 * 1024;
/// Smallest FIFO: still holds two of the longest frames.
const FIFO_MIN: u64 = 64 * 1024;
/// Most bytes that one direction may hold, on the wire and in the FIFO.
const MEMORY_MAX: u64 = 64 * 1024 * 1024;
/// How far, in words, a busy receiver stays behind the sender: 64 of the shortest frames. Closer,
/// its processor fetches ahead the very cache lines that the sender is about to write, and both
/// run at half the speed.
const DISTANCE: u64 = 576;
/// For how many polls it does so.
const PATIENCE: u32 = 64;

/// Every cable with an end plugged in.
static CABLES: Mutex<BTreeMap<String, Arc<Cable>>> = Mutex::new(BTreeMap::new());

/// What the two ends share.
#[derive(Debug, Default)]
struct Cable {
    seats: [CachePadded<Seat>; 2],
    /// Somebody who sent with rate or delay was plugged in: such frames may be on their way.
    timed: AtomicBool,
}

/// One end of a cable, whether somebody is plugged in or not. Everything but the counters changes
/// only with [`CABLES`] locked; nothing in here is written for each frame.
#[derive(Debug, Default)]
struct Seat {
    /// Counts coming and going, so it is odd while somebody is plugged in.
    moves: AtomicU64,
    /// The direction that this end sends on. It outlives this end's user: what was sent is still
    /// on its way.
    ring: Mutex<Option<Arc<Ring>>>,
    mbps: AtomicU32,
    /// Whether the clock of this end's NIC is virtual, and whether it sends with rate or delay.
    stepped: AtomicBool,
    timed: AtomicBool,
    /// Whether this end sends pause frames.
    pauses: AtomicBool,
    /// Pause frames sent by this end because its FIFO filled; the sender sees that happen.
    paused_peer: AtomicU64,
    /// Frames lost at this end because its FIFO was full.
    missed: AtomicU64,
}

impl Seat {
    fn taken(&self) -> bool {
        self.moves.load(Ordering::Acquire) % 2 == 1
    }

    fn ring(&self) -> Option<Arc<Ring>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How full the far FIFO may get, in 64-bit words of the ring, which also holds what is on the way.
#[derive(Debug)]
struct Marks {
    /// Below this the far end lets a paused sender go on.
    low: usize,
    /// Above this the far end sends a pause frame.
    high: usize,
    /// Beyond this it loses frames.
    full: usize,
}

/// One end, as a NIC holds it.
#[derive(Debug)]
struct End {
    name: String,
    cable: Arc<Cable>,
    /// Which of the two seats.
    side: usize,
    out: Producer,
    line: Line,
    marks: Marks,
    /// What the far end sends; `None` until somebody is there.
    incoming: Option<Consumer>,
    /// The far seat's `moves` when `incoming` was taken.
    seen: u64,
    /// The far end has told us to pause, and how often it did since that was last asked.
    paused: bool,
    pauses: u64,
    /// Frames that vanished on the wire.
    lost: u64,
    /// Whether to keep a distance at all: not where every step counts.
    patient: bool,
    /// For how many more polls to let frames gather before they are taken.
    patience: u32,
    /// Frames are shown to the far end together, by `cork(false)`.
    corked: bool,
    /// Words of frames that nothing stands against, as found when the batch began.
    clear: usize,
}

/// Plugs in.
pub(super) fn open(options: &Options, ctx: &WireContext<'_>) -> Result<Box<dyn Wire>> {
    Ok(Box::new(plug(options, ctx)?))
}

fn plug(options: &Options, ctx: &WireContext<'_>) -> Result<End> {
    options.only("wire cable", &["rate", "delay", "loss", "fifo"])?;
    let name = options.name();
    if name.is_empty() {
        return Err(Error::config("wire cable", "no name", "cable:NAME,key=value"));
    }
    let rate = options.rate("rate")?;
    let delay = options.duration("delay")?;
    let loss = options.probability("loss")?;
    let fifo = options.number("fifo", FIFO)?;
    if !(FIFO_MIN..=MEMORY_MAX).contains(&fifo) {
        return Err(Error::config("fifo", fifo, format!("{FIFO_MIN} to {MEMORY_MAX} bytes")));
    }
    let flying = line::flying(rate, delay);
    if flying.saturating_add(fifo) > MEMORY_MAX {
        let given = format!("{delay:?}, {flying} bytes on the way");
        return Err(Error::config("delay", given, format!("up to {MEMORY_MAX} bytes with fifo")));
    }
    let words = |bytes: u64| (bytes / 8) as usize;
    let full = words(flying + fifo);
    let marks = Marks { low: full - words(fifo / 2), high: full - words(fifo / 4), full };
    let timed = rate.is_some() || !delay.is_zero();

    let mut cables = CABLES.lock().unwrap_or_else(PoisonError::into_inner);
    let cable = cables.get(name).cloned().unwrap_or_default();
    let Some(side) = cable.seats.iter().position(|seat| !seat.taken()) else {
        let allowed = "one name for two NICs; both ends of this cable are plugged in, so close one \
                       or choose another name";
        return Err(Error::config("wire cable", name, allowed));
    };
    let (seat, far) = (&cable.seats[side], &cable.seats[1 - side]);
    if far.taken()
        && far.stepped.load(Ordering::Relaxed) != ctx.virtual_time
        && (timed || far.timed.load(Ordering::Relaxed))
    {
        let allowed = "rate and delay only between two NICs of the same kind of clock: both with \
                       drive=step or none";
        return Err(Error::config("wire cable", name, allowed));
    }

    // Whoever had this seat before may have left frames that the far end is yet to see.
    let ring = seat.ring().filter(|ring| ring.fits(full)).unwrap_or_else(|| Ring::new(full));
    *seat.ring.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&ring));
    let mbps = rate.map_or(ctx.mbps, |r| u32::try_from(r / 1_000_000).unwrap_or(u32::MAX));
    seat.mbps.store(mbps.max(1), Ordering::Relaxed);
    seat.stepped.store(ctx.virtual_time, Ordering::Relaxed);
    seat.timed.store(timed, Ordering::Relaxed);
    if timed {
        cable.timed.store(true, Ordering::Relaxed);
    }
    seat.pauses.store(false, Ordering::Relaxed);
    seat.paused_peer.store(0, Ordering::Relaxed);
    seat.missed.store(0, Ordering::Relaxed);

    // But what was sent to them is not for us.
    let incoming = far.ring().map(|ring| {
        let mut incoming = Consumer::new(ring);
        incoming.discard();
        incoming
    });
    let seen = far.moves.load(Ordering::Acquire);
    seat.moves.fetch_add(1, Ordering::AcqRel);
    cables.insert(name.to_owned(), Arc::clone(&cable));
    Ok(End {
        name: name.to_owned(),
        side,
        out: Producer::new(ring),
        line: Line::new(rate, delay, loss, ctx.seed ^ side as u64),
        marks,
        incoming,
        seen,
        paused: false,
        pauses: 0,
        lost: 0,
        patient: !ctx.virtual_time,
        patience: 0,
        corked: false,
        clear: 0,
        cable,
    })
}

impl Drop for End {
    fn drop(&mut self) {
        let mut cables = CABLES.lock().unwrap_or_else(PoisonError::into_inner);
        self.seat().moves.fetch_add(1, Ordering::AcqRel);
        if !self.far().taken() {
            cables.remove(&self.name);
        }
    }
}

impl End {
    fn seat(&self) -> &Seat {
        &self.cable.seats[self.side]
    }

    fn far(&self) -> &Seat {
        &self.cable.seats[1 - self.side]
    }

    /// Whether the far end asks us to wait, or has no room, for a frame of `need` words.
    #[cold]
    fn congested(&mut self, need: usize, obey_pause: bool) -> Option<Sent> {
        let used = self.out.used();
        let pauses = self.far().pauses.load(Ordering::Relaxed);
        if self.paused && (used <= self.marks.low || !pauses) {
            self.paused = false;
        }
        if !self.paused && pauses && used + need > self.marks.high {
            self.paused = true;
            self.pauses += u64::from(obey_pause);
            self.far().paused_peer.fetch_add(1, Ordering::Relaxed);
        }
        if self.paused && obey_pause {
            return Some(Sent::Wait);
        }
        if used + need > self.marks.full {
            self.far().missed.fetch_add(1, Ordering::Relaxed);
            return Some(Sent::Lost);
        }
        None
    }

    /// Offers a frame when anything may be in its way.
    #[inline(never)]
    fn send_minding(&mut self, frame: &[u8], now: Duration, obey_pause: bool) -> Sent {
        if !self.far().taken() {
            return Sent::Wait;
        }
        if frame.len() > MAX_FRAME {
            self.lost += 1;
            return Sent::Lost;
        }
        let timed = self.line.timed();
        let now = if timed { nanos(now) } else { 0 };
        if timed && self.line.busy(now) {
            return Sent::Wait;
        }
        let need = Producer::need(frame.len(), timed);
        let mut full = None;
        if self.paused || self.out.used_at_most() + need > self.marks.high {
            full = self.congested(need, obey_pause);
            if full == Some(Sent::Wait) {
                return Sent::Wait;
            }
        }
        let due = timed.then(|| self.line.schedule(frame.len(), now));
        if self.line.loses() {
            self.lost += 1;
            return Sent::Lost;
        }
        if let Some(lost) = full {
            return lost;
        }
        self.out.push(frame, due);
        if !self.corked {
            self.out.publish();
        }
        Sent::Yes
    }

    /// How many words of frames go without a look at the far end.
    fn clear_words(&self) -> usize {
        let words = self.marks.high.saturating_sub(self.out.used_at_most());
        // So that no frame longer than the longest goes unseen.
        words.min(Producer::need(MAX_FRAME, false))
    }

    /// Nothing has come: if somebody else has the far end now, listens to what they send on.
    #[cold]
    fn listen(&mut self) {
        let moves = self.far().moves.load(Ordering::Acquire);
        if moves == self.seen {
            return;
        }
        // Whoever left may have sent something since the last look, but cannot any more.
        if self.incoming.as_mut().is_some_and(Consumer::look) {
            return;
        }
        self.seen = moves;
        if let Some(ring) = self.far().ring()
            && !self.incoming.as_ref().is_some_and(|incoming| incoming.is_of(&ring))
        {
            self.incoming = Some(Consumer::new(ring));
        }
    }
}

impl Wire for End {
    #[inline]
    fn send(&mut self, frame: &[u8], now: Duration, obey_pause: bool) -> Sent {
        // What is beyond the longest frame is more than is ever clear.
        let need = Producer::need(frame.len(), false);
        if let Some(rest) = self.clear.checked_sub(need) {
            self.clear = rest;
            self.out.push(frame, None);
            return Sent::Yes;
        }
        self.send_minding(frame, now, obey_pause)
    }

    fn recv(&mut self, now: Duration, max: usize, sink: &mut dyn FnMut(&[u8]) -> bool) -> usize {
        if !self.incoming.as_mut().is_some_and(Consumer::look) {
            self.listen();
        }
        let Some(incoming) = &mut self.incoming else { return 0 };
        if self.patience > 0 && incoming.waiting(DISTANCE) < DISTANCE {
            self.patience -= 1;
            return 0;
        }
        let taken = incoming.take(|| nanos(now), max, sink);
        // After a full batch more is surely on its way.
        let busy = taken == max && self.patient;
        self.patience = if busy { PATIENCE } else { 0 };
        taken
    }

    fn minds_time(&self) -> bool {
        self.cable.timed.load(Ordering::Relaxed)
    }

    fn link_up(&self) -> bool {
        self.far().taken()
    }

    fn speed_mbps(&self) -> u32 {
        let own = self.seat().mbps.load(Ordering::Relaxed);
        if self.far().taken() { own.min(self.far().mbps.load(Ordering::Relaxed)) } else { own }
    }

    fn cork(&mut self, on: bool) {
        self.corked = on;
        let simple = on && !self.line.minds() && !self.paused && self.far().taken();
        self.clear = if simple { self.clear_words() } else { 0 };
        if !on {
            self.out.publish();
        }
    }

    fn announce_pause(&mut self, on: bool) {
        self.seat().pauses.store(on, Ordering::Relaxed);
    }

    fn take_missed(&mut self) -> u64 {
        take(&self.seat().missed)
    }

    fn take_pauses(&mut self) -> (u64, u64) {
        (take(&self.seat().paused_peer), std::mem::take(&mut self.pauses))
    }
}

/// Takes what a counter has, which is nearly always nothing.
fn take(counter: &AtomicU64) -> u64 {
    if counter.load(Ordering::Relaxed) == 0 { 0 } else { counter.swap(0, Ordering::Relaxed) }
}

/// All NICs with a real clock tell their wires the same time, and stepped ones are stepped alike, so
/// the sender's time is the receiver's.
fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(time.subsec_nanos()))
}
