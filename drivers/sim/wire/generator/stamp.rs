//! What makes a generated frame known again: the same stamp as pktgen's.
//!
//! ```text
//! magic 4 | stream 2 | frame length without FCS 2 | sequence number 8 | check 2
//! ```

/// First bytes of a stamp: "bwpg".
const MAGIC: u32 = 0x6277_7067;
/// Bytes of a stamp.
pub(super) const STAMP: usize = 18;
/// Where it begins: behind Ethernet, IPv4 and UDP.
pub(super) const STAMP_AT: usize = 14 + 20 + 8;
/// And with a VLAN tag in front.
const TAGGED_AT: usize = STAMP_AT + 4;

/// The stamp of one stream's frames.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    /// Its first eight bytes: magic, stream and length.
    mark: u64,
}

impl Stamp {
    pub(super) fn new(stream: u16, length: u16) -> Self {
        Self { mark: u64::from(MAGIC) << 32 | u64::from(stream) << 16 | u64::from(length) }
    }

    /// The stamp with a sequence number.
    #[inline]
    pub(super) fn bytes(&self, seq: u64) -> [u8; STAMP] {
        let mut bytes = [0; STAMP];
        bytes[..8].copy_from_slice(&self.mark.to_be_bytes());
        bytes[8..16].copy_from_slice(&seq.to_be_bytes());
        bytes[16..].copy_from_slice(&check(self.mark, seq).to_be_bytes());
        bytes
    }
}

/// Sixteen bits that depend on everything else in a stamp.
#[inline]
fn check(mark: u64, seq: u64) -> u16 {
    ((mark ^ seq.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Number `seq` of a stream.
    Good { stream: u16, seq: u64 },
    /// Stamped, but its length or the stamp is not what was sent.
    Damaged,
    /// Not stamped.
    Foreign,
}

/// Looks for a frame's stamp.
#[inline]
pub(super) fn read(frame: &[u8]) -> Reading {
    let at = if frame.get(12..14) == Some(&[0x81, 0x00]) { TAGGED_AT } else { STAMP_AT };
    let Some(bytes) = frame.get(at..).and_then(<[u8]>::first_chunk::<STAMP>) else {
        return Reading::Foreign;
    };
    let [m0, m1, m2, m3, m4, m5, m6, m7, s0, s1, s2, s3, s4, s5, s6, s7, c0, c1] = *bytes;
    let mark = u64::from_be_bytes([m0, m1, m2, m3, m4, m5, m6, m7]);
    let seq = u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
    if mark >> 32 != u64::from(MAGIC) {
        return Reading::Foreign;
    }
    let length = usize::from(mark as u16);
    if length != frame.len() || u16::from_be_bytes([c0, c1]) != check(mark, seq) {
        return Reading::Damaged;
    }
    Reading::Good { stream: (mark >> 16) as u16, seq }
}
