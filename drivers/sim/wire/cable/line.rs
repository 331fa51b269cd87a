//! One direction of a cable as a physical line: how fast, how long, how lossy.

use std::time::Duration;

/// What each frame takes on the line besides its bytes: preamble with start delimiter 8, FCS 4,
/// inter-frame gap 12 (IEEE 802.3, clauses 3 and 4).
const OVERHEAD: u64 = 24;
/// What the sending NIC holds between its descriptors and the line: the 82599's transmit packet
/// buffer (82599 datasheet, section 3.7.7.3). Without it the line would idle between two steps of
/// the NIC's model.
const BACKLOG: u64 = 160 * 1024;
/// What a line without a rate is taken to carry when its memory is sized.
const DEFAULT_RATE: u64 = 10_000_000_000;
const NANOS: u64 = 1_000_000_000;

/// Bytes that may be on the way at once.
pub(super) fn flying(rate: Option<u64>, delay: Duration) -> u64 {
    let bit_nanos = u128::from(rate.unwrap_or(DEFAULT_RATE)).saturating_mul(delay.as_nanos());
    let bits = bit_nanos / u128::from(NANOS);
    let backlog = if rate.is_some() { BACKLOG } else { 0 };
    u64::try_from(bits / 8).unwrap_or(u64::MAX).saturating_add(backlog)
}

/// The sender's view of the line.
#[derive(Debug)]
pub(super) struct Line {
    /// Bits a second.
    rate: Option<u64>,
    delay: u64,
    /// Until when the line carries what it was given, and what to add to that in units of
    /// 1 ns / `rate`.
    free_at: u64,
    fraction: u64,
    /// How long the frames of a full [`BACKLOG`] take.
    backlog: u64,
    /// A frame is lost when a random number is not above this.
    loss: Option<u64>,
    random: u64,
}

impl Line {
    /// An idle line that loses frames with the probability `loss`.
    pub(super) fn new(rate: Option<u64>, delay: Duration, loss: f64, seed: u64) -> Self {
        let backlog = rate.map_or(0, |rate| {
            let nanos = u128::from(BACKLOG * 8) * u128::from(NANOS) / u128::from(rate.max(1));
            u64::try_from(nanos).unwrap_or(u64::MAX)
        });
        Self {
            rate,
            delay: u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX),
            free_at: 0,
            fraction: 0,
            backlog,
            // A float to integer cast saturates, so 1.0 becomes all ones.
            loss: (loss > 0.0).then_some((loss * 2f64.powi(64)) as u64),
            random: seed,
        }
    }

    /// Whether frames need a time at which they are due.
    #[inline]
    pub(super) fn timed(&self) -> bool {
        self.rate.is_some() || self.delay > 0
    }

    /// Whether any frame may be late or lost.
    #[inline]
    pub(super) fn minds(&self) -> bool {
        self.timed() || self.loss.is_some()
    }

    /// Whether the sender's packet buffer is full at `now`.
    #[inline]
    pub(super) fn busy(&self, now: u64) -> bool {
        self.rate.is_some() && self.free_at.saturating_sub(now) >= self.backlog
    }

    /// Puts a frame on the line behind all earlier ones; returns when its last bit arrives.
    #[inline]
    pub(super) fn schedule(&mut self, length: usize, now: u64) -> u64 {
        let Some(rate) = self.rate else { return now.saturating_add(self.delay) };
        if self.free_at < now {
            self.free_at = now;
            self.fraction = 0;
        }
        // At most (16 KiB + 24) * 8 * 10^9 and a remainder below 10^12.
        let time = (length as u64 + OVERHEAD) * 8 * NANOS + self.fraction;
        self.free_at = self.free_at.saturating_add(time / rate);
        self.fraction = time % rate;
        self.free_at.saturating_add(self.delay)
    }

    /// Whether the line loses the next frame.
    #[inline]
    pub(super) fn loses(&mut self) -> bool {
        let Some(loss) = self.loss else { return false };
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) <= loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_gigabit_carries_14_88_million_small_frames_a_second() {
        let mut line = Line::new(Some(10_000_000_000), Duration::ZERO, 0.0, 0);
        let mut last = 0;
        for _ in 0..14_880_952 {
            last = line.schedule(60, 0);
        }
        assert!((999_999_900..=1_000_000_000).contains(&last), "{last}");
    }

    #[test]
    fn an_idle_line_starts_at_once_and_a_busy_one_queues() {
        let mut line = Line::new(Some(1_000_000_000), Duration::from_micros(5), 0.0, 0);
        // 84 bytes at 8 ns each, and the cable's length.
        assert_eq!(line.schedule(60, 1_000), 1_000 + 672 + 5_000);
        assert_eq!(line.schedule(60, 1_000), 1_000 + 2 * 672 + 5_000);
        assert_eq!(line.schedule(60, 50_000), 50_000 + 672 + 5_000);
        assert!(!line.busy(50_000));
        while !line.busy(50_000) {
            line.schedule(1514, 50_000);
        }
        assert!(line.busy(50_000 + 1_000) && !line.busy(50_000 + 13_000));
    }

    #[test]
    fn odd_rates_keep_their_fractions() {
        let mut line = Line::new(Some(3), Duration::ZERO, 0.0, 0);
        let last = (0..1_000).map(|_| line.schedule(60, 0)).last();
        assert_eq!(last, Some(1_000 * 84 * 8 * NANOS / 3));
    }

    #[test]
    fn loss_is_as_likely_as_asked_and_repeats_with_its_seed() {
        let lost = |p, seed| {
            let mut line = Line::new(None, Duration::ZERO, p, seed);
            (0..100_000).filter(|_| line.loses()).count()
        };
        assert_eq!(lost(0.0, 1), 0);
        assert_eq!(lost(1.0, 1), 100_000);
        assert!((9_500..10_500).contains(&lost(0.1, 1)));
        assert_eq!(lost(0.1, 2), lost(0.1, 2));
        assert_ne!(lost(0.1, 1), lost(0.1, 2));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut line = Line::new(Some(1), Duration::MAX, 0.5, u64::MAX);
        for _ in 0..3 {
            line.schedule(16 * 1024, u64::MAX - 5);
        }
        assert!(flying(Some(1_000_000_000_000), Duration::MAX) == u64::MAX);
    }
}
