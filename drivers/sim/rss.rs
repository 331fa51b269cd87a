//! Receive-side scaling: the Toeplitz hash (82599 datasheet 7.1.2.8.1).

use std::fmt;

/// Longest input: two IPv6 addresses and two ports.
const INPUT: usize = 36;

/// One key's hash, as a table of what each value of each input byte contributes.
pub(super) struct Toeplitz {
    key: [u8; 40],
    table: Box<[[u32; 256]]>,
}

impl fmt::Debug for Toeplitz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Toeplitz({:02x?})", self.key)
    }
}

impl Toeplitz {
    pub(super) fn new(key: [u8; 40]) -> Self {
        let mut table = vec![[0u32; 256]; INPUT].into_boxed_slice();
        for (i, row) in table.iter_mut().enumerate() {
            // The five key bytes that the eight bits of input byte `i` are matched against.
            let window = key[i..i + 5].iter().fold(0u64, |w, b| w << 8 | u64::from(*b));
            for (value, sum) in row.iter_mut().enumerate() {
                for bit in 0..8 {
                    if value & (0x80 >> bit) != 0 {
                        *sum ^= (window >> (8 - bit)) as u32;
                    }
                }
            }
        }
        Self { key, table }
    }

    /// The key it was made from.
    pub(super) fn key(&self) -> &[u8; 40] {
        &self.key
    }

    /// Continues a hash: `input` follows `at` bytes that gave `hash`.
    #[inline]
    pub(super) fn update(&self, hash: u32, at: usize, input: &[u8]) -> u32 {
        let rows = self.table.get(at..).unwrap_or_default();
        rows.iter().zip(input).fold(hash, |h, (row, b)| h ^ row[usize::from(*b)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    /// The verification suite that Microsoft publishes for RSS, with its key.
    const KEY: [u8; 40] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f,
        0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
        0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    #[test]
    fn published_vectors() {
        let t = Toeplitz::new(KEY);
        // Source, destination, their ports; hash of the addresses alone, and with the ports.
        let v4 = [
            ("66.9.149.187", 2794u16, "161.142.100.80", 1766u16, 0x323e8fc2u32, 0x51ccc178u32),
            ("199.92.111.2", 14230, "65.69.140.83", 4739, 0xd718262a, 0xc626b0ea),
            ("24.19.198.95", 12898, "12.22.207.184", 38024, 0xd2d0a5de, 0x5c2b394a),
            ("38.27.205.30", 48228, "209.142.163.6", 2217, 0x82989176, 0xafc7327f),
            ("153.39.163.191", 44251, "202.188.127.2", 1303, 0x5d1809c5, 0x10e828a2),
        ];
        for (src, sport, dst, dport, two, four) in v4 {
            let mut input = src.parse::<Ipv4Addr>().unwrap().octets().to_vec();
            input.extend(dst.parse::<Ipv4Addr>().unwrap().octets());
            let h = t.update(0, 0, &input);
            assert_eq!(h, two, "{src}");
            let ports = [sport.to_be_bytes(), dport.to_be_bytes()].concat();
            assert_eq!(t.update(h, 8, &ports), four, "{src}");
        }
        let v6 = [
            (
                "3ffe:2501:200:1fff::7",
                2794u16,
                "3ffe:2501:200:3::1",
                1766u16,
                0x2cc18cd5u32,
                0x40207d3du32,
            ),
            ("3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0x0f0c461c, 0xdde51bbf),
            (
                "3ffe:1900:4545:3:200:f8ff:fe21:67cf",
                44251,
                "fe80::200:f8ff:fe21:67cf",
                38024,
                0x4b61e985,
                0x02d1feef,
            ),
        ];
        for (src, sport, dst, dport, two, four) in v6 {
            let mut input = src.parse::<Ipv6Addr>().unwrap().octets().to_vec();
            input.extend(dst.parse::<Ipv6Addr>().unwrap().octets());
            let h = t.update(0, 0, &input);
            assert_eq!(h, two, "{src}");
            let ports = [sport.to_be_bytes(), dport.to_be_bytes()].concat();
            assert_eq!(t.update(h, 32, &ports), four, "{src}");
        }
    }

    #[test]
    fn the_symmetric_key_hashes_both_directions_alike() {
        let t = Toeplitz::new(crate::port::RSS_KEY_SYMMETRIC);
        let (a, b) = ([10, 0, 0, 1], [192, 168, 3, 9]);
        let there = t.update(t.update(0, 0, &[a, b].concat()), 8, &[0, 80, 0x12, 0x34]);
        let back = t.update(t.update(0, 0, &[b, a].concat()), 8, &[0x12, 0x34, 0, 80]);
        assert_eq!(there, back);
        assert_ne!(there, 0);
    }
}
