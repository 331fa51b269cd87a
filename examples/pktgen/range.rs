//! Values that step from packet to packet: `A-B` on the command line.

use std::net::Ipv4Addr;
use std::str::FromStr;

use barewire::port::MacAddr;

/// First and last value; the value steps by one from packet to packet and starts over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Range {
    /// Always the same value.
    pub(crate) const fn fixed(value: u64) -> Self {
        Self { first: value, last: value }
    }

    /// Whether there is only one value.
    pub(crate) fn is_fixed(self) -> bool {
        self.first == self.last
    }

    /// The value after `value`.
    #[inline]
    pub(crate) fn after(self, value: u64) -> u64 {
        if value >= self.last { self.first } else { value + 1 }
    }

    fn parse<T>(s: &str, separator: char, what: &str, number: fn(T) -> u64) -> Result<Self, String>
    where
        T: FromStr,
    {
        let one = |part: &str| -> Result<u64, String> {
            part.trim().parse().map(number).map_err(|_| format!("'{part}' is not {what}"))
        };
        let (first, last) = s.split_once(separator).unwrap_or((s, s));
        let range = Self { first: one(first)?, last: one(last)? };
        if range.first > range.last {
            return Err(format!("'{s}' runs backwards"));
        }
        Ok(range)
    }
}

/// An Ethernet address as a number.
pub(crate) fn mac_number(mac: MacAddr) -> u64 {
    mac.0.iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// `02:00:00:00:00:01` or `02:00:00:00:00:01-02:00:00:00:00:ff`.
pub(crate) fn parse_macs(s: &str) -> Result<Range, String> {
    Range::parse(s, '-', "an Ethernet address such as 02:00:00:00:00:01", mac_number)
}

/// `198.18.0.1`, `198.18.0.1-198.18.0.99` or `198.18.0.0/24`.
pub(crate) fn parse_ips(s: &str) -> Result<Range, String> {
    if let Some((net, bits)) = s.split_once('/') {
        let net: Ipv4Addr = net.parse().map_err(|_| format!("'{net}' is not an IPv4 address"))?;
        let bits: u32 =
            bits.parse().ok().filter(|b| *b <= 32).ok_or("a prefix length is 0 to 32")?;
        let hosts = (1u64 << (32 - bits)) - 1;
        let first = u64::from(net.to_bits()) & !hosts;
        return Ok(Range { first, last: first | hosts });
    }
    Range::parse(s, '-', "an IPv4 address", |ip: Ipv4Addr| u64::from(ip.to_bits()))
}

/// `9` or `1000-2000`.
pub(crate) fn parse_ports(s: &str) -> Result<Range, String> {
    Range::parse(s, '-', "a port from 0 to 65535", |port: u16| u64::from(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_step_and_start_over() {
        let r = parse_ports("7-9").unwrap();
        assert_eq!([7, 8, 9].map(|v| r.after(v)), [8, 9, 7]);
        assert!(parse_ports("9").unwrap().is_fixed());
    }

    #[test]
    fn networks_cover_all_their_addresses() {
        let r = parse_ips("10.1.2.3/24").unwrap();
        assert_eq!((r.first, r.last), (0x0a01_0200, 0x0a01_02ff));
        let all = parse_ips("0.0.0.0/0").unwrap();
        assert_eq!((all.first, all.last), (0, 0xffff_ffff));
        assert!(parse_ips("10.0.0.1/32").unwrap().is_fixed());
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "-", "9-8", "70000", "1-2-3", "a"] {
            assert!(parse_ports(bad).is_err(), "{bad}");
        }
        for bad in ["10.0.0", "10.0.0.2-10.0.0.1", "10.0.0.1/33", "10.0.0.1/-1", "/"] {
            assert!(parse_ips(bad).is_err(), "{bad}");
        }
        for bad in ["02:00", "02:00:00:00:00:02-02:00:00:00:00:01", "x"] {
            assert!(parse_macs(bad).is_err(), "{bad}");
        }
    }
}
