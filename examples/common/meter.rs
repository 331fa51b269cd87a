//! What a worker's work costs: ticks of the time-stamp counter per packet, and how full bursts are.
//!
//! The counter is read at the end of turns that found less than a full burst, so never at full
//! load. What passes between two readings counts as work if packets moved meanwhile, or as idling;
//! an empty turn right after a full burst is the one that is taken for work.

use barewire::arch::tsc;

/// What a turn of a worker's loop moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// No packet.
    #[default]
    Nothing,
    /// Less than a full burst.
    Some,
    /// A full burst, so that the next turn will find more.
    Full,
}

impl From<usize> for Turn {
    fn from(packets: usize) -> Self {
        if packets > 0 { Self::Some } else { Self::Nothing }
    }
}

/// A worker's work so far, or that of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Of the time-stamp counter, in turns that moved packets.
    pub(crate) ticks: u64,
    /// Packets in the bursts.
    pub(crate) packets: u64,
    /// Bursts that moved packets.
    pub(crate) bursts: u64,
    /// Those of them that were full.
    pub(crate) full: u64,
}

impl Work {
    /// Adds another's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.ticks += other.ticks;
        self.packets += other.packets;
        self.bursts += other.bursts;
        self.full += other.full;
    }

    /// What was done after `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            ticks: self.ticks.saturating_sub(earlier.ticks),
            packets: self.packets.saturating_sub(earlier.packets),
            bursts: self.bursts.saturating_sub(earlier.bursts),
            full: self.full.saturating_sub(earlier.full),
        }
    }

    /// What a packet costs.
    pub(crate) fn ticks_per_packet(&self) -> Option<f64> {
        ratio(self.ticks, self.packets)
    }

    /// How many packets a burst has.
    pub(crate) fn fill(&self) -> Option<f64> {
        ratio(self.packets, self.bursts)
    }

    /// How many of a hundred bursts are full.
    pub(crate) fn full_percent(&self) -> Option<f64> {
        ratio(100 * self.full, self.bursts)
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Counts a queue's bursts. A full one costs two additions, at any size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fill {
    size: usize,
    /// Packets in all bursts.
    pub(crate) packets: u64,
    full: u64,
    part: u64,
}

impl Fill {
    /// For bursts of up to `size` packets.
    pub(crate) fn new(size: usize) -> Self {
        Self { size, packets: 0, full: 0, part: 0 }
    }

    /// Counts a burst of `n` packets and says what it means for the turn.
    #[inline(always)]
    pub(crate) fn burst(&mut self, n: usize, turn: &mut Turn) {
        self.packets += n as u64;
        if n == self.size {
            self.full += 1;
            *turn = Turn::Full;
        } else {
            *turn = self.part(n, *turn);
        }
    }

    #[cold]
    fn part(&mut self, n: usize, turn: Turn) -> Turn {
        self.part += u64::from(n > 0);
        turn.max(n.into())
    }

    /// The bursts, as work whose ticks somebody else counts.
    pub(crate) fn work(&self) -> Work {
        let (full, bursts) = (self.full, self.full + self.part);
        Work { ticks: 0, packets: self.packets, bursts, full }
    }
}

/// Tells the time that a worker works from the time that it waits.
#[derive(Debug)]
pub(crate) struct Meter {
    /// When the counter was read last.
    last: u64,
    /// Whether packets have moved since.
    unread: bool,
    ticks: u64,
}

impl Meter {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self { last: tsc(), unread: false, ticks: 0 }
    }

    /// A turn has moved packets.
    #[inline(always)]
    pub(crate) fn worked(&mut self, turn: Turn) {
        self.unread = true;
        if turn != Turn::Full {
            self.read(tsc());
        }
    }

    /// A turn has moved nothing, and its end, if packets were moved before, was at `now`.
    pub(crate) fn idle(&mut self, now: impl FnOnce() -> u64) {
        if self.unread {
            self.read(now());
        }
    }

    /// Whatever was done since the last turn was no work.
    pub(crate) fn resume(&mut self, now: u64) {
        self.last = now;
    }

    fn read(&mut self, now: u64) {
        // Another core's counter may be behind.
        self.ticks += now.saturating_sub(self.last);
        self.last = now;
        self.unread = false;
    }

    /// Ticks of all the work so far.
    pub(crate) fn ticks(&mut self) -> u64 {
        self.idle(tsc);
        self.ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_are_counted_by_size() {
        let mut fill = Fill::new(32);
        assert_eq!(fill.work(), Work::default());
        assert_eq!(fill.work().fill(), None);
        let mut turn = |n| {
            let mut turn = Turn::Nothing;
            fill.burst(n, &mut turn);
            turn
        };
        assert_eq!(
            [32, 0, 31, 1].map(&mut turn),
            [Turn::Full, Turn::Nothing, Turn::Some, Turn::Some]
        );
        let mut turn = Turn::Full;
        fill.burst(0, &mut turn);
        assert_eq!(turn, Turn::Full, "of several queues the fullest counts");
        assert_eq!(fill.work(), Work { ticks: 0, packets: 64, bursts: 3, full: 1 });
        let work = Work { ticks: 640, ..fill.work() };
        assert_eq!(work.ticks_per_packet(), Some(10.0));
        assert_eq!(work.fill(), Some(64.0 / 3.0));
        assert_eq!(work.full_percent(), Some(100.0 / 3.0));
    }

    #[test]
    fn work_is_added_and_subtracted() {
        let work = Work { ticks: 1, packets: 2, bursts: 3, full: 4 };
        let mut sum = work;
        sum.add(&work);
        assert_eq!(sum, Work { ticks: 2, packets: 4, bursts: 6, full: 8 });
        assert_eq!(sum.since(&work), work);
        assert_eq!(work.since(&sum), Work::default());
    }

    #[test]
    fn only_time_in_which_packets_moved_is_work() {
        let mut m = Meter::start();
        m.last = 100;
        // Two full bursts, whose end nobody reads, and an empty turn right after.
        m.worked(Turn::Full);
        m.worked(Turn::Full);
        m.idle(|| 350);
        m.resume(1000);
        assert_eq!(m.ticks, 250);
        // Then nothing.
        m.idle(|| panic!("there is nothing to read"));
        m.resume(2000);
        assert_eq!((m.ticks(), m.last), (250, 2000));
        // The supervisor asks in the middle of full bursts.
        m.worked(Turn::Full);
        let now = m.last;
        assert!(m.ticks() > 250 && m.last > now && !m.unread);
    }

    #[test]
    fn a_turn_with_less_than_a_full_burst_ends_its_work_itself() {
        let mut m = Meter::start();
        let start = m.last;
        m.worked(Turn::Some);
        assert_eq!((m.ticks, m.unread), (m.last - start, false));
        m.resume(u64::MAX);
        m.worked(Turn::Some);
        assert_eq!((m.ticks, m.last < u64::MAX), (m.ticks, true), "a counter that is behind");
    }
}
