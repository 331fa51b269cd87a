//! A two-wire bus that software clocks bit by bit, from the targets' side (I2C as SFF-8472
//! chapter 4 and INF-8074i annex B use it).
//!
//! Both lines are open drain: each is high unless somebody pulls it low. Targets only ever pull
//! the data line; none of them stretches the clock.

/// What answers on the bus.
pub(in crate::drivers::sim) trait Targets {
    /// A target is addressed (upper seven bits), to be read or to be written. Whether there is one.
    fn select(&mut self, address: u8, read: bool) -> bool;

    /// A byte for the target that is selected. Whether it takes it.
    fn write(&mut self, byte: u8) -> bool;

    /// The next byte of the target that is selected.
    fn read(&mut self) -> u8;
}

/// What a byte that is being received means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Address,
    Data,
}

/// What the targets do with the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing until the next start condition.
    Idle,
    /// `count` bits of a byte have come.
    Receive { kind: Kind, byte: u8, count: u8 },
    /// The data line is held low for the ninth clock; then a byte is received or sent.
    Acknowledge { send: bool },
    /// `left` bits of `byte` are still to be sent, the one on the line included.
    Send { byte: u8, left: u8 },
    /// The ninth clock of a byte that was sent: software says whether it wants more.
    Answer { more: bool },
}

/// The lines, and what the targets make of them.
#[derive(Debug)]
pub(in crate::drivers::sim) struct Bus {
    /// As software drives them: true lets go.
    clock: bool,
    data: bool,
    /// The targets pull the data line.
    pulled: bool,
    phase: Phase,
}

impl Default for Bus {
    fn default() -> Self {
        Self { clock: true, data: true, pulled: false, phase: Phase::Idle }
    }
}

impl Bus {
    /// The levels of the clock and data lines.
    pub(in crate::drivers::sim) fn lines(&self) -> (bool, bool) {
        (self.clock, self.data && !self.pulled)
    }

    /// Software drives the lines. When both change at once the data line does while the clock is
    /// low, so that this is neither a start nor a stop condition.
    pub(in crate::drivers::sim) fn drive(&mut self, clock: bool, data: bool, on: &mut dyn Targets) {
        if self.clock && !clock {
            self.clock = false;
            self.falling(on);
        }
        let before = self.lines().1;
        self.data = data;
        let after = self.lines().1;
        if self.clock && before != after {
            self.pulled = false;
            self.phase = if after {
                // Stop condition.
                Phase::Idle
            } else {
                // Start condition, the first or a repeated one.
                Phase::Receive { kind: Kind::Address, byte: 0, count: 0 }
            };
        }
        if !self.clock && clock {
            self.clock = true;
            self.rising();
        }
    }

    /// Bits are taken when the clock rises.
    fn rising(&mut self) {
        let level = self.lines().1;
        match &mut self.phase {
            Phase::Receive { byte, count, .. } if *count < 8 => {
                *byte = *byte << 1 | u8::from(level);
                *count += 1;
            }
            Phase::Answer { more } => *more = !level,
            _ => {}
        }
    }

    /// Bits are put on the line when the clock has fallen.
    fn falling(&mut self, on: &mut dyn Targets) {
        self.phase = match self.phase {
            Phase::Receive { kind, byte, count: 8 } => {
                let (taken, send) = match kind {
                    Kind::Address => (on.select(byte >> 1, byte & 1 != 0), byte & 1 != 0),
                    Kind::Data => (on.write(byte), false),
                };
                self.pulled = taken;
                if taken { Phase::Acknowledge { send } } else { Phase::Idle }
            }
            Phase::Acknowledge { send: false } => {
                self.pulled = false;
                Phase::Receive { kind: Kind::Data, byte: 0, count: 0 }
            }
            Phase::Acknowledge { send: true } | Phase::Answer { more: true } => {
                let byte = on.read();
                self.put(byte, 8)
            }
            Phase::Send { byte, left } => self.put(byte << 1, left - 1),
            Phase::Answer { more: false } => Phase::Idle,
            phase @ (Phase::Idle | Phase::Receive { .. }) => phase,
        };
    }

    /// Puts the top bit of `byte` on the line, or lets go of it when all eight were sent.
    fn put(&mut self, byte: u8, left: u8) -> Phase {
        self.pulled = left > 0 && byte & 0x80 == 0;
        if left > 0 { Phase::Send { byte, left } } else { Phase::Answer { more: false } }
    }
}

#[cfg(test)]
pub(in crate::drivers::sim) mod tests {
    use super::*;

    /// A driver of the lines, as any textbook has it.
    pub(in crate::drivers::sim) struct Master<F: FnMut(bool, bool) -> (bool, bool)>(
        pub(in crate::drivers::sim) F,
    );

    impl<F: FnMut(bool, bool) -> (bool, bool)> Master<F> {
        pub(in crate::drivers::sim) fn start(&mut self) {
            (self.0)(false, true);
            assert_eq!((self.0)(true, true), (true, true), "the bus is free");
            (self.0)(true, false);
            (self.0)(false, false);
        }

        pub(in crate::drivers::sim) fn stop(&mut self) {
            (self.0)(false, false);
            (self.0)(true, false);
            assert_eq!((self.0)(true, true), (true, true));
        }

        fn bit(&mut self, level: bool) -> bool {
            (self.0)(false, level);
            let (clock, data) = (self.0)(true, level);
            assert!(clock);
            (self.0)(false, level);
            data
        }

        /// Whether it was acknowledged.
        pub(in crate::drivers::sim) fn send(&mut self, byte: u8) -> bool {
            for n in (0..8).rev() {
                let level = byte >> n & 1 != 0;
                assert_eq!(self.bit(level), level);
            }
            !self.bit(true)
        }

        pub(in crate::drivers::sim) fn take(&mut self, more: bool) -> u8 {
            let byte = (0..8).fold(0, |byte, _| byte << 1 | u8::from(self.bit(true)));
            assert_eq!(self.bit(!more), !more);
            byte
        }
    }

    /// One target at 0x29 that remembers what it is told and counts when it is read.
    #[derive(Debug, Default)]
    struct Counter {
        heard: Vec<u8>,
        next: u8,
    }

    impl Targets for Counter {
        fn select(&mut self, address: u8, _read: bool) -> bool {
            address == 0x29
        }

        fn write(&mut self, byte: u8) -> bool {
            self.heard.push(byte);
            byte != 0xee
        }

        fn read(&mut self) -> u8 {
            self.next = self.next.wrapping_add(0x41);
            self.next
        }
    }

    #[test]
    fn bytes_both_ways() {
        let (mut bus, mut target) = (Bus::default(), Counter::default());
        let mut master = Master(|c, d| {
            bus.drive(c, d, &mut target);
            bus.lines()
        });
        master.start();
        assert!(master.send(0x52));
        assert!(master.send(0xa5));
        assert!(!master.send(0xee), "not acknowledged");
        assert!(!master.send(0x11), "and nobody listens any more");
        master.start();
        assert!(master.send(0x53));
        assert_eq!((master.take(true), master.take(true), master.take(false)), (0x41, 0x82, 0xc3));
        assert_eq!(master.take(false), 0xff, "nobody drives the line after a NACK");
        master.stop();
        assert_eq!(target.heard, [0xa5, 0xee]);
    }

    #[test]
    fn nobody_at_another_address() {
        let (mut bus, mut target) = (Bus::default(), Counter::default());
        let mut master = Master(|c, d| {
            bus.drive(c, d, &mut target);
            bus.lines()
        });
        master.start();
        assert!(!master.send(0x50));
        master.stop();
        assert!(target.heard.is_empty());
    }

    /// Software that lost count in the middle of a byte frees the bus with nine clocks.
    #[test]
    fn nine_clocks_free_the_data_line() {
        for bits in 0..9 {
            let (mut bus, mut target) =
                (Bus::default(), Counter { next: 0xbf, ..Counter::default() });
            let mut master = Master(|c, d| {
                bus.drive(c, d, &mut target);
                bus.lines()
            });
            master.start();
            assert!(master.send(0x53));
            for _ in 0..bits {
                master.bit(true);
            }
            for _ in 0..9 {
                master.bit(true);
            }
            master.start();
            master.stop();
            master.start();
            assert!(master.send(0x52), "after {bits} bits");
        }
    }

    /// A change of both lines at once is no condition, in whatever state.
    #[test]
    fn both_lines_at_once() {
        let (mut bus, mut target) = (Bus::default(), Counter::default());
        bus.drive(false, false, &mut target);
        assert_eq!(bus.phase, Phase::Idle);
        bus.drive(true, true, &mut target);
        assert_eq!(bus.phase, Phase::Idle);
    }
}
