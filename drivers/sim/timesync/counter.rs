//! How the clock counts: a number that grows by a fixed step every tick.

use std::time::Duration;

/// What a fraction of a nanosecond is counted in: 2^-32 ns.
const FRACTION: u32 = 32;
const BILLION: u128 = 1_000_000_000;

/// What the registers show of the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::drivers::sim) enum Scale {
    /// All 64 bits of a number without a unit.
    Plain,
    /// Nanoseconds in 40 bits, and their fraction.
    Nanoseconds,
    /// Seconds, nanoseconds, and their fraction.
    Seconds,
}

/// A word of the count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::drivers::sim) enum Word {
    /// SYSTIMR.
    Residue,
    /// SYSTIML.
    Low,
    /// SYSTIMH.
    High,
}

impl Scale {
    /// A word of `count`.
    pub(super) fn word(self, count: u128, word: Word) -> u32 {
        let nanos = count >> FRACTION;
        let word = match (self, word) {
            (Self::Plain, Word::Residue) => 0,
            (Self::Plain, Word::Low) | (_, Word::Residue) => count,
            (Self::Plain, Word::High) => count >> 32,
            (Self::Nanoseconds, Word::Low) => nanos,
            (Self::Nanoseconds, Word::High) => nanos >> 32 & 0xff,
            (Self::Seconds, Word::Low) => nanos % BILLION,
            (Self::Seconds, Word::High) => nanos / BILLION,
        };
        word as u32
    }

    /// The count of which these are residue, low and high word.
    fn count(self, [residue, low, high]: [u32; 3]) -> u128 {
        let [residue, low, high] = [residue, low, high].map(u128::from);
        match self {
            Self::Plain => high << 32 | low,
            Self::Nanoseconds => (high & 0xff) << 64 | low << FRACTION | residue,
            // Software may write more than a billion nanoseconds.
            Self::Seconds => (high * BILLION + low) << FRACTION | residue,
        }
    }

    /// `count` with one of its words replaced.
    pub(super) fn with(self, count: u128, word: Word, value: u32) -> u128 {
        let mut words = [Word::Residue, Word::Low, Word::High].map(|w| self.word(count, w));
        words[word as usize] = value;
        self.count(words)
    }

    /// A span of time that software gives as low and high word.
    pub(super) fn span(self, low: u32, high: u32) -> u128 {
        self.count([0, low, high])
    }
}

/// How fast it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::drivers::sim) struct Rate {
    /// Picoseconds from tick to tick; 0: it stands still.
    pub(in crate::drivers::sim) tick: u64,
    /// What each of them adds.
    pub(in crate::drivers::sim) step: u64,
}

impl Rate {
    /// Nanoseconds every `tick`, and `more` of their fractions, as a sign in bit 31 and a number.
    pub(in crate::drivers::sim) fn nanoseconds(tick: u64, more: u32) -> Self {
        // In u128 for any tick; the chips' are all below 2^14 ps, the result below 2^37.
        let nominal = ((u128::from(tick) << FRACTION) / 1000) as u64;
        let more_by = u64::from(more & 0x7fff_ffff);
        let step = if more >> 31 == 0 {
            nominal.saturating_add(more_by)
        } else {
            nominal.saturating_sub(more_by)
        };
        Self { tick, step }
    }

    /// How much is added in `time`.
    fn over(self, time: Duration) -> u128 {
        let picos = time.as_nanos().saturating_mul(1000);
        let ticks = picos.checked_div(self.tick.into()).unwrap_or(0);
        ticks.wrapping_mul(self.step.into())
    }
}

/// The number itself.
#[derive(Debug, Default)]
pub(super) struct Counter {
    /// Its value at `since`.
    base: u128,
    since: Duration,
    rate: Rate,
}

impl Counter {
    /// Its value at `now`.
    pub(super) fn at(&self, now: Duration) -> u128 {
        self.base.wrapping_add(self.rate.over(now.saturating_sub(self.since)))
    }

    /// Sets its value.
    pub(super) fn set(&mut self, now: Duration, value: u128) {
        (self.base, self.since) = (value, now);
    }

    /// Goes at another rate from now on.
    pub(super) fn pace(&mut self, now: Duration, rate: Rate) {
        if self.rate != rate {
            self.set(now, self.at(now));
            self.rate = rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn nanos(n: u64) -> Duration {
        Duration::from_nanos(n)
    }

    #[test]
    fn it_grows_by_the_step_every_tick() {
        let mut counter = Counter::default();
        counter.pace(nanos(100), Rate { tick: 6400, step: 10 });
        assert_eq!(counter.at(nanos(106)), 0);
        assert_eq!(counter.at(nanos(107)), 10);
        assert_eq!(counter.at(nanos(100 + 64)), 100);
        counter.pace(nanos(164), Rate { tick: 16_000, step: 1 });
        assert_eq!(counter.at(nanos(164 + 32)), 102);
        counter.pace(nanos(196), Rate::default());
        assert_eq!(counter.at(Duration::MAX), 102, "it stands still");
    }

    #[test]
    fn nanoseconds_go_a_little_faster_or_slower() {
        let second = nanos(1_000_000_000);
        for (tick, more, want) in [
            (12_500, 0, 1_000_000_000),
            (8_000, 0, 1_000_000_000),
            // 2^30 / 2^32 ns, a quarter, added to 8 ns.
            (8_000, 1 << 30, 1_031_250_000),
            (12_500, 1 << 31 | 1 << 30, 980_000_000),
        ] {
            let mut counter = Counter::default();
            counter.pace(Duration::ZERO, Rate::nanoseconds(tick, more));
            assert_eq!(counter.at(second) >> FRACTION, want, "{tick} {more:#x}");
        }
    }

    #[test]
    fn words_are_what_the_scale_says() {
        let count = Scale::Seconds.count([7, 5, 3]);
        assert_eq!(count >> FRACTION, 3_000_000_005);
        let words = |scale: Scale, count| {
            [Word::High, Word::Low, Word::Residue].map(|word| scale.word(count, word))
        };
        assert_eq!(words(Scale::Seconds, count), [3, 5, 7]);
        let forty = Scale::Nanoseconds.count([1, 2, 0x1_03]);
        assert_eq!(words(Scale::Nanoseconds, forty), [3, 2, 1], "only 40 bits");
        assert_eq!(words(Scale::Plain, 9 << 32 | 8), [9, 8, 0]);
        // More than a billion nanoseconds carry into the seconds.
        assert_eq!(
            words(Scale::Seconds, Scale::Seconds.with(count, Word::Low, u32::MAX)),
            [7, 294_967_295, 7]
        );
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut counter = Counter::default();
        counter.pace(Duration::ZERO, Rate { tick: 1, step: u64::MAX });
        counter.set(Duration::MAX, u128::MAX);
        let _any = counter.at(Duration::ZERO);
        counter.set(Duration::ZERO, u128::MAX);
        let _any = counter.at(Duration::MAX);
        let most = [u32::MAX; 3];
        for scale in [Scale::Plain, Scale::Nanoseconds, Scale::Seconds] {
            let _any = scale.word(scale.count(most), Word::High);
        }
    }
}
