//! The TCP timer: counts milliseconds down and raises its cause (82599 datasheet 8.2.3.18, 82576
//! datasheet 8.15). Both families have the register in the same form.

use std::time::Duration;

/// TCPTIMER: milliseconds.
const DURATION: u32 = 0xff;
/// Counting starts at the duration.
const KICKSTART: u32 = 1 << 8;
/// It counts; else it holds.
const COUNT_ENABLE: u32 = 1 << 9;
/// The cause is raised at once, and the count is over.
const COUNT_FINISH: u32 = 1 << 10;
/// At zero it starts again.
const LOOP: u32 = 1 << 11;
/// What reads as zero.
const ONCE: u32 = KICKSTART | COUNT_FINISH;

/// Where the count stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    /// At zero.
    Over,
    /// It will be zero then.
    Runs(Duration),
    /// So much is left.
    Held(Duration),
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct TcpTimer {
    duration: Duration,
    looped: bool,
    count: Count,
}

impl Default for TcpTimer {
    fn default() -> Self {
        Self { duration: Duration::ZERO, looped: false, count: Count::Over }
    }
}

impl TcpTimer {
    /// Software has written the register. Returns what it stores, and whether the cause is raised.
    pub(super) fn write(&mut self, value: u32, now: Duration) -> (u32, bool) {
        self.duration = Duration::from_millis((value & DURATION).into());
        self.looped = value & LOOP != 0;
        let left = match self.count {
            _ if value & KICKSTART != 0 => self.duration,
            Count::Over => Duration::ZERO,
            Count::Runs(end) => end.saturating_sub(now),
            Count::Held(left) => left,
        };
        let finished = value & COUNT_FINISH != 0;
        let left = if !finished {
            left
        } else if self.looped {
            self.duration
        } else {
            Duration::ZERO
        };
        self.count = match left {
            Duration::ZERO => Count::Over,
            left if value & COUNT_ENABLE != 0 => Count::Runs(now + left),
            left => Count::Held(left),
        };
        (value & !ONCE, finished)
    }

    /// Whether it has reached zero since the last call; how often does not matter.
    pub(super) fn expire(&mut self, now: Duration) -> bool {
        let Count::Runs(end) = self.count else { return false };
        if now < end {
            return false;
        }
        self.count = match (now - end).as_nanos().checked_rem(self.duration.as_nanos()) {
            Some(since) if self.looped => {
                let since = Duration::from_nanos(since as u64);
                Count::Runs(now + self.duration - since)
            }
            _ => Count::Over,
        };
        true
    }

    /// When it will be zero.
    pub(super) fn due(&self) -> Option<Duration> {
        match self.count {
            Count::Runs(end) => Some(end),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_counts_once_unless_it_loops() {
        let mut timer = TcpTimer::default();
        assert_eq!(timer.write(5 | COUNT_ENABLE, Duration::ZERO), (5 | COUNT_ENABLE, false));
        assert_eq!(timer.due(), None, "not kicked");
        assert_eq!(timer.write(5 | KICKSTART | COUNT_ENABLE, MS), (5 | COUNT_ENABLE, false));
        assert!(!timer.expire(5 * MS) && timer.expire(6 * MS) && !timer.expire(60 * MS));
        timer.write(5 | KICKSTART | COUNT_ENABLE | LOOP, 100 * MS);
        assert!(timer.expire(105 * MS) && !timer.expire(109 * MS));
        // Late, and more than once: the beat is kept.
        assert!(timer.expire(123 * MS) && !timer.expire(124 * MS) && timer.expire(125 * MS));
    }

    #[test]
    fn it_can_be_held_and_finished() {
        let mut timer = TcpTimer::default();
        timer.write(10 | KICKSTART | COUNT_ENABLE, Duration::ZERO);
        timer.write(10, 4 * MS);
        assert!(!timer.expire(100 * MS), "held");
        timer.write(10 | COUNT_ENABLE, 100 * MS);
        assert_eq!(timer.due(), Some(106 * MS));
        assert!(timer.write(10 | COUNT_ENABLE | COUNT_FINISH, 101 * MS).1);
        assert_eq!(timer.due(), None);
        timer.write(10 | COUNT_ENABLE | COUNT_FINISH | LOOP, 101 * MS);
        assert_eq!(timer.due(), Some(111 * MS));
        timer.write(KICKSTART | COUNT_ENABLE | LOOP, 101 * MS);
        assert_eq!(timer.due(), None, "no time at all");
    }
}
