//! The receiver's side: which of the packets sent came, once, in order and undamaged.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::template::{Reading, SHORTEST, START, Stamp, Template, read_short, read_stamp};

/// Gaps remembered per stream, to tell late packets from second copies.
const GAPS: usize = 1 << 16;

/// What the checker found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Undamaged packets, each counted when it came first.
    pub(crate) good: u64,
    /// Sequence numbers skipped and not seen since.
    pub(crate) lost: u64,
    /// Second copies, and packets later than can be told apart from those.
    pub(crate) duplicate: u64,
    /// Packets that came after one with a higher sequence number.
    pub(crate) reordered: u64,
    /// Our packets with wrong bytes or length.
    pub(crate) corrupt: u64,
    /// Packets that pktgen did not make.
    pub(crate) foreign: u64,
}

/// One stream's state: which sequence numbers are missing.
#[derive(Debug, Default)]
struct Stream {
    /// The next sequence number in order. `None` until the first packet of a stream that may
    /// have been running for a while.
    next: Option<u64>,
    /// Missing numbers as ranges (first, last), ascending: the latest [`GAPS`].
    gaps: VecDeque<(u64, u64)>,
}

/// Checks packets as they come.
#[derive(Debug)]
pub(crate) struct Checker {
    streams: Vec<Stream>,
    /// What each stream's packets look like, when this process sends them.
    templates: Vec<Arc<Template>>,
    /// What each stream's packets begin with, when all are of the shortest kind.
    starts: Vec<[u8; START]>,
    found: Findings,
}

impl Checker {
    /// Knows the streams' templates: their packets start at 0 and are compared byte for byte.
    pub(crate) fn knowing(templates: Vec<Arc<Template>>) -> Self {
        let streams =
            templates.iter().map(|_| Stream { next: Some(0), ..Stream::default() }).collect();
        let starts = templates.iter().map_while(|t| t.short_start()).collect();
        Self { streams, templates, starts, found: Findings::default() }
    }

    /// For streams of another process, from whatever packet comes first.
    pub(crate) fn guessing() -> Self {
        Self {
            streams: Vec::new(),
            templates: Vec::new(),
            starts: Vec::new(),
            found: Findings::default(),
        }
    }

    /// What was found so far.
    pub(crate) fn findings(&self) -> Findings {
        self.found
    }

    /// Checks one packet.
    #[inline]
    pub(crate) fn packet(&mut self, frame: &[u8]) {
        if let Ok(short) = <&[u8; SHORTEST]>::try_from(frame)
            && let Some(stamp) = read_short(short)
            && let Some(start) = self.starts.get(usize::from(stamp.stream))
            && begins_with(short, start)
        {
            self.count(stamp);
        } else {
            self.packet_in_full(frame);
        }
    }

    fn packet_in_full(&mut self, frame: &[u8]) {
        match read_stamp(frame) {
            Reading::Good(stamp) => {
                let i = usize::from(stamp.stream);
                if !self.templates.is_empty() {
                    if !self.templates.get(i).is_some_and(|t| t.verify(frame)) {
                        self.found.corrupt += 1;
                        return;
                    }
                } else if i >= self.streams.len() {
                    self.streams.resize_with(i + 1, Stream::default);
                }
                self.count(stamp);
            }
            Reading::Damaged => self.found.corrupt += 1,
            Reading::Foreign => self.found.foreign += 1,
        }
    }

    #[inline(always)]
    fn count(&mut self, stamp: Stamp) {
        let Some(stream) = self.streams.get_mut(usize::from(stamp.stream)) else { return };
        if stream.next == Some(stamp.seq) {
            self.found.good += 1;
            stream.next = Some(stamp.seq + 1);
        } else {
            Self::out_of_order(stream, stamp.seq, &mut self.found);
        }
    }

    #[cold]
    fn out_of_order(stream: &mut Stream, seq: u64, found: &mut Findings) {
        let next = stream.next.unwrap_or(seq);
        if seq >= next {
            if seq > next {
                stream.missing(next, seq - 1);
                found.lost += seq - next;
            }
            found.good += 1;
            stream.next = Some(seq + 1);
        } else if stream.fill(seq) {
            found.good += 1;
            found.lost -= 1;
            found.reordered += 1;
        } else {
            found.duplicate += 1;
        }
    }

    /// No more will come: of each stream, so many were sent.
    pub(crate) fn finish(&mut self, sent: &[u64]) {
        for (stream, sent) in self.streams.iter_mut().zip(sent) {
            let next = stream.next.unwrap_or(0);
            if next < *sent {
                self.found.lost += sent - next;
                stream.missing(next, sent - 1);
                stream.next = Some(*sent);
            }
        }
    }
}

/// Whether a frame begins with these bytes. By words and without a branch in between, which
/// compiles to three vector comparisons; a plain comparison calls `memcmp`.
#[inline(always)]
fn begins_with(frame: &[u8; SHORTEST], start: &[u8; START]) -> bool {
    let (words, rest) = start.as_chunks::<8>();
    let (others, _) = frame.as_chunks::<8>();
    let mut differ = 0;
    for (a, b) in words.iter().zip(others) {
        differ |= u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b);
    }
    for (a, b) in rest.iter().zip(&frame[START - rest.len()..]) {
        differ |= u64::from(a ^ b);
    }
    differ == 0
}

impl Stream {
    fn missing(&mut self, first: u64, last: u64) {
        if self.gaps.len() == GAPS {
            self.gaps.pop_front();
        }
        self.gaps.push_back((first, last));
    }

    /// Takes a number out of the gaps. False when it was in none.
    fn fill(&mut self, seq: u64) -> bool {
        let i = self.gaps.partition_point(|(_, last)| *last < seq);
        let Some((first, last)) = self.gaps.get(i).copied() else { return false };
        if seq < first {
            return false;
        }
        match (seq == first, seq == last) {
            (true, true) => drop(self.gaps.remove(i)),
            (true, false) => self.gaps[i].0 = seq + 1,
            (false, true) => self.gaps[i].1 = seq - 1,
            (false, false) => {
                self.gaps[i].1 = seq - 1;
                self.gaps.insert(i + 1, (seq + 1, last));
                if self.gaps.len() > GAPS {
                    self.gaps.pop_front();
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// Feeds sequence numbers to one known stream, past the stamp.
    fn feed(seqs: &[u64], sent: u64) -> Findings {
        let mut c = Checker::guessing();
        c.streams.push(Stream { next: Some(0), ..Stream::default() });
        seqs.iter().for_each(|seq| c.count(Stamp { stream: 0, seq: *seq }));
        c.finish(&[sent]);
        c.found
    }

    #[test]
    fn losses_late_packets_and_copies_are_told_apart() {
        let f = feed(&[0, 1, 4, 3, 3, 5, 9], 12);
        // 2, 6, 7, 8, 10 and 11 never came; 3 came late and twice.
        assert_eq!((f.good, f.lost, f.reordered, f.duplicate), (6, 6, 1, 1));
    }

    #[test]
    fn a_stream_that_was_running_starts_with_its_first_packet() {
        let mut found = Findings::default();
        let mut stream = Stream::default();
        Checker::out_of_order(&mut stream, 1000, &mut found);
        assert_eq!((found.good, found.lost), (1, 0));
        Checker::out_of_order(&mut stream, 1002, &mut found);
        assert_eq!((found.good, found.lost), (2, 1));
    }

    proptest! {
        #[test]
        fn counts_agree_with_a_set(seqs in prop::collection::vec(0u64..200, 0..300)) {
            let unique: HashSet<_> = seqs.iter().copied().collect();
            let f = feed(&seqs, 200);
            prop_assert_eq!(f.good, unique.len() as u64);
            prop_assert_eq!(f.lost, 200 - unique.len() as u64);
            prop_assert_eq!(f.duplicate, (seqs.len() - unique.len()) as u64);
        }
    }
}
