//! Numbers with units, read from the command line and printed.

/// Bytes that a frame takes on the wire beside those of the frame without FCS: FCS 4, preamble
/// and start delimiter 8, gap 12.
pub(crate) const WIRE_OVERHEAD: u64 = 24;
/// Bytes of the frame check sequence, which the NIC adds and strips.
pub(crate) const FCS: u16 = 4;

/// `1234567.0` as `1.235 M`.
pub(crate) fn si(value: f64) -> String {
    for (unit, size) in [("G", 1e9), ("M", 1e6), ("k", 1e3)] {
        if value >= size {
            return format!("{:.3} {unit}", value / size);
        }
    }
    format!("{value:.0} ")
}

/// Gbit/s on the wire of `packets` packets with `bytes` bytes without FCS in `seconds`.
pub(crate) fn wire_gbps(packets: f64, bytes: f64, seconds: f64) -> f64 {
    if seconds <= 0.0 {
        return 0.0;
    }
    (bytes + packets * WIRE_OVERHEAD as f64) * 8.0 / seconds / 1e9
}

/// A number with an optional k, M or G.
pub(crate) fn parse_si(s: &str) -> Option<f64> {
    let s = s.trim();
    let (digits, factor) = match s.char_indices().next_back()? {
        (i, 'k' | 'K') => (&s[..i], 1e3),
        (i, 'M' | 'm') => (&s[..i], 1e6),
        (i, 'G' | 'g') => (&s[..i], 1e9),
        _ => (s, 1.0),
    };
    let value: f64 = digits.trim().parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some(value * factor)
}

/// A count such as `1000` or `10M`.
pub(crate) fn parse_count(s: &str) -> Result<u64, String> {
    match parse_si(s) {
        Some(v) if v.fract() == 0.0 && (1.0..=1e18).contains(&v) => Ok(v as u64),
        _ => Err("a whole number from 1, such as 1000 or 10M".to_owned()),
    }
}

/// Seconds, from a millisecond to ten years.
pub(crate) fn parse_secs(s: &str) -> Result<f64, String> {
    match s.trim_end_matches('s').parse::<f64>() {
        Ok(v) if (0.001..=3.2e8).contains(&v) => Ok(v),
        _ => Err("seconds from 0.001, such as 10 or 0.5".to_owned()),
    }
}

/// `yes` or `no`.
pub(crate) fn parse_yes_no(s: &str) -> Result<bool, String> {
    match s {
        "yes" | "on" | "true" => Ok(true),
        "no" | "off" | "false" => Ok(false),
        _ => Err("yes or no".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_take_suffixes_and_refuse_nonsense() {
        assert_eq!(parse_count("10M"), Ok(10_000_000));
        assert_eq!(parse_count("1.5k"), Ok(1500));
        for bad in ["", "0", "-1", "1.5", "M", "1e30", "ten", "nan", "inf", "é"] {
            assert!(parse_count(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn seconds_are_positive_and_bounded() {
        assert_eq!(parse_secs("0.5"), Ok(0.5));
        assert_eq!(parse_secs("10s"), Ok(10.0));
        for bad in ["0", "-3", "nan", "inf", "1e99", ""] {
            assert!(parse_secs(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn line_rate_of_minimum_frames_is_ten_gigabits() {
        let rate = wire_gbps(14_880_952.38, 14_880_952.38 * 60.0, 1.0);
        assert!((rate - 10.0).abs() < 1e-6, "{rate}");
        assert_eq!(wire_gbps(1.0, 60.0, 0.0), 0.0);
    }

    #[test]
    fn large_numbers_get_a_unit() {
        assert_eq!(si(14_880_952.0), "14.881 M");
        assert_eq!(si(999.0), "999 ");
    }
}
