//! Checks what a NIC sends.

use super::stamp::{self, Reading};

/// Streams that are followed, by their numbers.
const STREAMS: usize = 256;

/// Counts what the NIC sends, and follows the sequence numbers of stamped frames.
pub(super) struct Checker {
    /// The number each stream should go on with.
    next: Box<[Option<u64>]>,
    pub(super) counts: Counts,
}

/// What became of the frames.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// In sequence.
    pub(super) good: u64,
    /// How often numbers were left out, and how many of them.
    pub(super) gaps: u64,
    pub(super) missing: u64,
    /// Numbers that had been passed already: out of order, or twice.
    pub(super) late: u64,
    pub(super) damaged: u64,
    /// Without a stamp, or of a stream that is not followed.
    pub(super) other: u64,
}

impl Checker {
    pub(super) fn new() -> Self {
        Self { next: vec![None; STREAMS].into_boxed_slice(), counts: Counts::default() }
    }

    #[inline]
    pub(super) fn check(&mut self, frame: &[u8]) {
        let counts = &mut self.counts;
        counts.frames += 1;
        counts.bytes += frame.len() as u64;
        let (stream, seq) = match stamp::read(frame) {
            Reading::Good { stream, seq } => (stream, seq),
            Reading::Damaged => {
                counts.damaged += 1;
                return;
            }
            Reading::Foreign => {
                counts.other += 1;
                return;
            }
        };
        let Some(next) = self.next.get_mut(usize::from(stream)) else {
            counts.other += 1;
            return;
        };
        // A stream may have begun before this was watching, and 0 begins it anew.
        match *next {
            Some(next) if seq > next => {
                counts.gaps += 1;
                counts.missing = counts.missing.saturating_add(seq - next);
            }
            Some(next) if seq < next && seq != 0 => {
                counts.late += 1;
                return;
            }
            _ => counts.good += 1,
        }
        *next = Some(seq.wrapping_add(1));
    }

    /// Logs what was found.
    pub(super) fn report(&self, nic: &str) {
        let counts = &self.counts;
        if counts.gaps + counts.late + counts.damaged > 0 {
            tracing::warn!("{nic} sent frames out of sequence or damaged: {counts:?}");
        } else if counts.frames > 0 {
            tracing::info!("{nic} sent: {counts:?}");
        }
    }
}
