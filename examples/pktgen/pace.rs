//! When the next packet may go.

use crate::common::units::{WIRE_OVERHEAD, parse_si};

/// How far behind the pacer catches up after a stall; what is beyond is not made up for.
const CATCH_UP_NS: f64 = 10e6;

/// `--rate`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rate {
    /// As fast as it goes.
    Max,
    /// Packets per second.
    Packets(f64),
    /// Bits per second on the wire: frame, FCS, preamble and gap.
    Bits(f64),
    /// Part of the link's speed, 1.0 being all of it.
    Line(f64),
}

/// `max`, `1Mpps`, `10Gbit/s` (or `Gbps`), `50%`.
pub(crate) fn parse_rate(s: &str) -> Result<Rate, String> {
    let bad = || "max, packets such as 1Mpps, bits such as 2.5Gbit/s, or 50%".to_owned();
    if s.eq_ignore_ascii_case("max") {
        return Ok(Rate::Max);
    }
    for unit in ["pps", "bit/s", "bps", "bit", "%"] {
        let Some(number) = s.strip_suffix(unit) else { continue };
        let value = parse_si(number).filter(|v| *v > 0.0).ok_or_else(bad)?;
        return match unit {
            "pps" => Ok(Rate::Packets(value)),
            "%" if value > 100.0 => Err("at most 100%".to_owned()),
            "%" => Ok(Rate::Line(value / 100.0)),
            _ => Ok(Rate::Bits(value)),
        };
    }
    Err(bad())
}

/// Says when packets are due, to hold a rate on average.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pacer {
    /// Nanoseconds that each packet takes.
    packet: f64,
    /// Nanoseconds that each byte on the wire takes.
    byte: f64,
    /// When the next packet is due, in nanoseconds since the start.
    next: f64,
}

impl Pacer {
    /// For a link of `line` bit/s; `None` when there is nothing to hold back.
    pub(crate) fn new(rate: Rate, line: f64) -> Option<Self> {
        let (packet, byte) = match rate {
            Rate::Max => return None,
            Rate::Packets(pps) => (1e9 / pps, 0.0),
            Rate::Bits(bits) => (0.0, 8e9 / bits),
            Rate::Line(part) => (0.0, 8e9 / (part * line)),
        };
        Some(Self { packet, byte, next: 0.0 })
    }

    /// To be called before each burst: forgets what cannot be caught up with.
    pub(crate) fn begin(&mut self, now_ns: u64) {
        self.next = self.next.max(now_ns as f64 - CATCH_UP_NS);
    }

    /// Whether a packet is due now.
    pub(crate) fn due(&self, now_ns: u64) -> bool {
        self.next <= now_ns as f64
    }

    /// How long until the next packet is due.
    pub(crate) fn wait_ns(&self, now_ns: u64) -> u64 {
        (self.next - now_ns as f64).max(0.0) as u64
    }

    /// Accounts for a packet of `len` bytes without FCS.
    pub(crate) fn charge(&mut self, len: u16) {
        self.next += self.packet + self.byte * (u64::from(len) + WIRE_OVERHEAD) as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of `len` bytes that go in a second when asked every `step` ns, 32 at a time.
    fn sent(rate: &str, len: u16, step: u64) -> u64 {
        let mut pacer = Pacer::new(parse_rate(rate).unwrap(), 1e10).unwrap();
        let mut sent = 0;
        for now in (0..1_000_000_000).step_by(step as usize) {
            pacer.begin(now);
            for _ in 0..32 {
                if !pacer.due(now) {
                    break;
                }
                pacer.charge(len);
                sent += 1;
            }
        }
        sent
    }

    #[test]
    fn rates_are_held_to_the_packet() {
        for (rate, len, packets) in [
            ("1Mpps", 60, 1_000_000),
            ("100pps", 1514, 100),
            ("10Gbit/s", 60, 14_880_953),
            ("50%", 60, 7_440_477),
            ("1Gbps", 1514, 81_275),
        ] {
            let n = sent(rate, len, 2000);
            assert!(n.abs_diff(packets) <= 32, "{rate}: {n}");
        }
    }

    #[test]
    fn a_stall_is_caught_up_with_within_bounds() {
        let mut pacer = Pacer::new(Rate::Packets(1e6), 1e10).unwrap();
        let now = 5_000_000_000;
        pacer.begin(now);
        let mut burst = 0;
        while pacer.due(now) {
            pacer.charge(60);
            burst += 1;
        }
        assert_eq!(burst, 10_001);
    }

    #[test]
    fn the_wait_is_what_is_left_until_a_packet_is_due() {
        let mut pacer = Pacer::new(Rate::Packets(1e3), 1e10).unwrap();
        assert_eq!(pacer.wait_ns(0), 0);
        pacer.charge(60);
        assert_eq!((pacer.wait_ns(0), pacer.wait_ns(400_000)), (1_000_000, 600_000));
        assert!(pacer.wait_ns(1_000_000) == 0 && pacer.due(1_000_000));
        assert_eq!(pacer.wait_ns(u64::MAX), 0);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "0pps", "-1pps", "10", "pps", "101%", "0%", "nan%", "1e400pps", "5furlongs"]
        {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_rate("max"), Ok(Rate::Max));
        assert_eq!(parse_rate("2.5Gbit/s"), Ok(Rate::Bits(2.5e9)));
    }
}
