//! Frames from a capture file: sent in order, byte for byte, and compared at the receiver.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use barewire::error::{Error, Result};
use barewire::pcap::Reader;

use crate::check::Findings;
use crate::template::SHORTEST;

/// Files with more bytes of frames than this are read again and again instead of kept in memory.
const KEEP: usize = 64 << 20;
/// Frames that the receiver looks ahead to find its place after a loss.
const LOOK_AHEAD: usize = 256;

/// A capture file, read through once, so that what is wrong with it is known before anything is
/// sent.
#[derive(Debug)]
pub(crate) struct Recording {
    path: PathBuf,
    /// Frames as (end in `bytes`, time stamp), when the file is small enough to keep.
    index: Option<Vec<(u32, u64)>>,
    bytes: Vec<u8>,
    /// Frames in the file.
    pub(crate) frames: u64,
    /// Length of the longest.
    pub(crate) longest: usize,
    /// Frames of which the capture kept only the start.
    pub(crate) cut: u64,
    first_ts: u64,
    last_ts: u64,
}

impl Recording {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read to its end, or has no frames.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::read_keeping(path, KEEP)
    }

    fn read_keeping(path: &Path, keep: usize) -> Result<Self> {
        let mut reader = Reader::open(path)?;
        let mut r = Self {
            path: path.to_owned(),
            index: Some(Vec::new()),
            bytes: Vec::new(),
            frames: 0,
            longest: 0,
            cut: 0,
            first_ts: 0,
            last_ts: 0,
        };
        while let Some(record) = reader.next()? {
            if r.frames == 0 {
                r.first_ts = record.ts_ns;
            }
            r.last_ts = r.last_ts.max(record.ts_ns);
            r.frames += 1;
            r.longest = r.longest.max(record.data.len());
            r.cut += u64::from(record.orig_len as usize > record.data.len());
            if r.bytes.len() + record.data.len() > keep {
                r.index = None;
                r.bytes = Vec::new();
            }
            if let Some(index) = &mut r.index {
                r.bytes.extend_from_slice(record.data);
                index.push((r.bytes.len() as u32, record.ts_ns));
            }
        }
        if r.frames == 0 {
            let why = "the capture has no frames to send".to_owned();
            return Err(Error::Capture { path: r.path, offset: reader.offset(), why });
        }
        Ok(r)
    }

    fn kept(&self, i: u64) -> Option<(u64, &[u8])> {
        let index = self.index.as_ref()?;
        let i = usize::try_from(i).ok()?;
        let (end, ts) = *index.get(i)?;
        let start = i.checked_sub(1).and_then(|before| index.get(before)).map_or(0, |e| e.0);
        Some((ts, &self.bytes[start as usize..end as usize]))
    }
}

/// A place in a recording that is played a number of times.
#[derive(Debug)]
pub(crate) struct Cursor {
    recording: Arc<Recording>,
    /// The next frame's number in the file.
    at: u64,
    /// How often the file was played to its end.
    rounds: u64,
    /// How often to play it; `None` for ever.
    limit: Option<u64>,
    /// For recordings that are not kept in memory: the file and its current frame.
    reader: Option<Reader>,
    frame: Vec<u8>,
    ts: u64,
}

impl Cursor {
    /// At the first frame.
    ///
    /// # Errors
    /// When the file cannot be read any more.
    pub(crate) fn new(recording: Arc<Recording>, limit: Option<u64>) -> Result<Self> {
        let mut cursor =
            Self { recording, at: 0, rounds: 0, limit, reader: None, frame: Vec::new(), ts: 0 };
        if cursor.recording.index.is_none() {
            cursor.reader = Some(Reader::open(&cursor.recording.path)?);
            cursor.read()?;
        }
        Ok(cursor)
    }

    /// Whether all was played.
    pub(crate) fn finished(&self) -> bool {
        self.limit.is_some_and(|n| self.rounds >= n)
    }

    /// The frame to send next.
    #[inline]
    pub(crate) fn frame(&self) -> Option<&[u8]> {
        if self.finished() {
            return None;
        }
        match &self.reader {
            Some(_) => Some(&self.frame),
            None => self.recording.kept(self.at).map(|(_, frame)| frame),
        }
    }

    /// When it is due, in nanoseconds after the first frame of the first round. A frame that was
    /// recorded out of order is due at once.
    pub(crate) fn due_ns(&self) -> u64 {
        let r = &*self.recording;
        let ts = match &self.reader {
            Some(_) => self.ts,
            None => r.kept(self.at).map_or(0, |(ts, _)| ts),
        };
        let round = r.last_ts.saturating_sub(r.first_ts);
        self.rounds.saturating_mul(round).saturating_add(ts.saturating_sub(r.first_ts))
    }

    /// Goes on to the next frame.
    ///
    /// # Errors
    /// When the file changed or cannot be read any more.
    pub(crate) fn advance(&mut self) -> Result<()> {
        self.at += 1;
        if self.at == self.recording.frames {
            self.at = 0;
            self.rounds += 1;
            if self.reader.is_some() && !self.finished() {
                self.reader = Some(Reader::open(&self.recording.path)?);
            }
        }
        if self.reader.is_some() && !self.finished() { self.read() } else { Ok(()) }
    }

    fn read(&mut self) -> Result<()> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let offset = reader.offset();
        match reader.next()? {
            Some(record) => {
                self.ts = record.ts_ns;
                self.frame.clear();
                self.frame.extend_from_slice(record.data);
                Ok(())
            }
            None => Err(Error::Capture {
                path: self.recording.path.clone(),
                offset,
                why: "the file became shorter while it was played".to_owned(),
            }),
        }
    }
}

/// Whether a received frame is the one sent. The NIC pads short frames with zeros.
fn same(received: &[u8], sent: &[u8]) -> bool {
    match received.split_at_checked(sent.len()) {
        Some((frame, [])) => frame == sent,
        Some((frame, pad)) => {
            frame == sent && received.len() == SHORTEST && pad.iter().all(|b| *b == 0)
        }
        None => false,
    }
}

/// Compares what arrives with the recording.
#[derive(Debug)]
pub(crate) struct Comparer {
    cursor: Cursor,
    /// Frames read ahead while looking for the place after a loss.
    ahead: VecDeque<Vec<u8>>,
    found: Findings,
}

impl Comparer {
    /// At the first frame.
    pub(crate) fn new(cursor: Cursor) -> Self {
        Self { cursor, ahead: VecDeque::new(), found: Findings::default() }
    }

    /// What was found so far.
    pub(crate) fn findings(&self) -> Findings {
        self.found
    }

    /// Compares one frame.
    ///
    /// # Errors
    /// When the recording cannot be read any more.
    pub(crate) fn packet(&mut self, received: &[u8]) -> Result<()> {
        if self.ahead.is_empty() {
            if self.cursor.frame().is_some_and(|sent| same(received, sent)) {
                self.found.good += 1;
                return self.cursor.advance();
            }
        } else if self.ahead.front().is_some_and(|sent| same(received, sent)) {
            self.found.good += 1;
            self.ahead.pop_front();
            return Ok(());
        }
        while self.ahead.len() < LOOK_AHEAD
            && let Some(frame) = self.cursor.frame()
        {
            self.ahead.push_back(frame.to_vec());
            self.cursor.advance()?;
        }
        match self.ahead.iter().position(|sent| same(received, sent)) {
            Some(skipped) => {
                self.ahead.drain(..=skipped);
                self.found.lost += skipped as u64;
                self.found.good += 1;
            }
            None => self.found.corrupt += 1,
        }
        Ok(())
    }

    /// No more will come: so many were sent.
    pub(crate) fn finish(&mut self, sent: u64) {
        let met = self.found.good + self.found.lost;
        self.found.lost += sent.saturating_sub(met);
    }
}

#[cfg(test)]
mod tests {
    use barewire::pcap::Writer;

    use super::*;

    fn recording(frames: &[Vec<u8>], keep: usize) -> (tempfile::TempDir, Arc<Recording>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pcap");
        let mut w = Writer::create(&path, 65535).unwrap();
        for (i, f) in frames.iter().enumerate() {
            w.write(1_000_000 + 1000 * i as u64, f).unwrap();
        }
        w.finish().unwrap();
        let r = Recording::read_keeping(&path, keep).unwrap();
        (dir, Arc::new(r))
    }

    fn sample() -> Vec<Vec<u8>> {
        (0..10u8).map(|i| vec![i; 60 + usize::from(i)]).collect()
    }

    #[test]
    fn frames_come_in_order_as_often_as_asked_from_memory_and_from_the_file() {
        for keep in [KEEP, 100] {
            let (_dir, r) = recording(&sample(), keep);
            assert_eq!((r.frames, r.longest, r.index.is_some()), (10, 69, keep == KEEP));
            let mut c = Cursor::new(r, Some(2)).unwrap();
            let mut due = Vec::new();
            for i in 0..20 {
                assert_eq!(c.frame(), Some(&sample()[i % 10][..]));
                due.push(c.due_ns());
                c.advance().unwrap();
            }
            assert!(c.finished() && c.frame().is_none());
            assert_eq!((due[0], due[9], due[10], due[19]), (0, 9000, 9000, 18_000));
        }
    }

    #[test]
    fn losses_and_damage_are_told_apart() {
        for keep in [KEEP, 100] {
            let (_dir, r) = recording(&sample(), keep);
            let mut c = Comparer::new(Cursor::new(r, Some(2)).unwrap());
            for i in [0, 1, 4, 5, 6, 7, 8, 9, 0, 1, 2] {
                c.packet(&sample()[i]).unwrap();
            }
            c.packet(&[0xff; 60]).unwrap();
            c.packet(&sample()[3]).unwrap();
            c.finish(20);
            let f = c.findings();
            assert_eq!((f.good, f.lost, f.corrupt), (12, 2 + 6, 1), "keep {keep}");
        }
    }

    #[test]
    fn padding_of_short_frames_is_not_damage() {
        let mut padded = vec![7; 42];
        padded.resize(60, 0);
        assert!(same(&padded, &[7; 42]));
        padded[59] = 1;
        assert!(!same(&padded, &[7; 42]));
        assert!(!same(&[7; 62], &[7; 61]) && !same(&[7; 41], &[7; 42]));
    }

    #[test]
    fn an_empty_recording_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pcap");
        Writer::create(&path, 100).unwrap().finish().unwrap();
        assert!(Recording::read(&path).unwrap_err().to_string().contains("no frames"));
    }
}
