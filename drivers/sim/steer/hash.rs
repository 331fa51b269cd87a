//! The hash of Flow Director (82599 datasheet 7.1.2.7.4).
//!
//! Its input is a ring of 336 bits: the VLAN tag, the packet's kind and pool, the addresses, the
//! ports and the flexible bytes, in words of 16 bits. Bit `n % 32` of the key, where it is set,
//! adds the 16 bits of the ring that start at bit `n`, for `n` from 1 to 351. Since the key's bits
//! come round every 32, words that are a multiple of 32 bits apart can be added up first.

/// What is hashed of a packet, or programmed in a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::drivers::sim) struct Tuple {
    /// 1:0 UDP, TCP or SCTP as 1 to 3; bit 2: IPv6. The pool would be above.
    pub(in crate::drivers::sim) kind: u8,
    /// The tag without its bit 12; 0 without a tag.
    pub(in crate::drivers::sim) vlan: u16,
    /// An IPv4 address is the first word.
    pub(in crate::drivers::sim) source: [u32; 4],
    pub(in crate::drivers::sim) destination: [u32; 4],
    pub(in crate::drivers::sim) ports: [u16; 2],
    /// The flexible bytes, the first one in the high byte.
    pub(in crate::drivers::sim) flex: u16,
}

impl Tuple {
    /// Its hash with `key`.
    pub(in crate::drivers::sim) fn hash(&self, key: u32) -> u16 {
        let flow = u32::from(self.kind) << 16 | u32::from(self.vlan);
        let addresses = self.source.iter().chain(&self.destination).fold(0, |sum, w| sum ^ w);
        let [source, destination] = self.ports.map(u32::from);
        let rest = addresses ^ source << 16 ^ destination ^ u32::from(self.flex) << 16;
        // Two words of the ring from an odd word on, and from an even one. The ring has an odd
        // number of words, so the first two come by in both places.
        let odd = rest ^ flow ^ flow >> 16;
        let even = rest.rotate_left(16) ^ flow ^ flow << 16;
        let mut sum = 0;
        let mut bits = key;
        while bits != 0 {
            let bit = bits.trailing_zeros();
            bits &= bits - 1;
            sum ^= match bit {
                // Of the ring's first word only what comes round again counts: n starts at 1.
                0 => rest.rotate_left(16),
                1..16 => even >> bit,
                _ => odd >> (bit - 16),
            };
        }
        sum as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys that Linux programs.
    const BUCKET: u32 = 0x3dad_14e2;
    const SIGNATURE: u32 = 0x174d_3614;

    /// Bit by bit, as the module's documentation says.
    fn slowly(t: &Tuple, key: u32) -> u16 {
        let mut words = vec![t.vlan, u16::from(t.kind)];
        for w in t.source.iter().chain(&t.destination) {
            words.extend([(w >> 16) as u16, *w as u16]);
        }
        words.extend([t.ports[0], t.ports[1], t.flex]);
        let bit = |n: usize| words[n / 16 % words.len()] >> (n % 16) & 1;
        (1..352)
            .filter(|n| key >> (n % 32) & 1 != 0)
            .fold(0, |sum, n| sum ^ (0..16).fold(0, |window, i| window | bit(n + i) << i))
    }

    fn random(seed: &mut u64) -> u32 {
        *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (*seed >> 32) as u32
    }

    #[test]
    fn the_folded_hash_is_the_bitwise_one() {
        let mut seed = 7;
        for n in 0..2000u32 {
            let mut r = || random(&mut seed);
            let t = Tuple {
                kind: (r() & 7) as u8,
                vlan: r() as u16 & 0xefff,
                source: [r(), r(), r(), r()],
                destination: [r(), r(), r(), r()],
                ports: [r() as u16, r() as u16],
                flex: r() as u16,
            };
            let key = if n % 2 == 0 { r() } else { BUCKET };
            assert_eq!(t.hash(key), slowly(&t, key), "{t:?} {key:#x}");
        }
    }

    #[test]
    fn hashes_that_linux_programs() {
        // Kind, tag, source, destination, ports, flexible bytes; bucket and signature, as the
        // driver's own arithmetic has them. The last one has all of its addresses folded.
        let vectors = [
            (2, 0x0000, 0x0a00_0002, 0x0a00_0001, [5001, 40000], 0x0800, 0xe8f8, 0x732c),
            (2, 0x2064, 0xc0a8_0164, 0xc0a8_0101, [22, 51234], 0x8100, 0x391d, 0x7f81),
            (1, 0x0000, 0xac10_0a01, 0xe000_00fb, [5353, 5353], 0x0000, 0x0d19, 0xe007),
            (6, 0x0000, 0x006d_6402, 0xfe80_0001, [80, 33000], 0x86dd, 0x8016, 0x7d59),
        ];
        for (kind, vlan, source, destination, ports, flex, bucket, signature) in vectors {
            let (source, destination) = ([source, 0, 0, 0], [destination, 0, 0, 0]);
            let t = Tuple { kind, vlan, source, destination, ports, flex };
            assert_eq!((t.hash(BUCKET), t.hash(SIGNATURE)), (bucket, signature));
        }
    }
}
