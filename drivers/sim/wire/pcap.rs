//! `pcap:in=FILE[,out=FILE][,loop=N][,pace=recorded|max]`: receives what a capture holds and
//! records what is sent. Either file may be left out.
//!
//! - `in`: frames come in the file's order. As a sending NIC would, it fills short ones up to 60
//!   bytes; what a capture cut off the end of a frame comes as zeros.
//! - `pace`: `max` (default), as fast as they are taken; or `recorded`, at their distances in time.
//! - `loop`: how often the file is played, 0 for without end; 1 by default.
//! - `out`: stamped by the wall clock, or on a stepped NIC by its own clock alone, so that a run
//!   can be repeated to the byte. Replaced once the NIC runs, not when it is opened; complete once
//!   the NIC is closed, and never more than about a second behind.
//!
//! The files' names cannot hold a comma.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Options, Sent, Wire, WireContext};
use crate::error::{Error, Result};
use crate::pcap::{Reader, Writer};

#[cfg(test)]
mod tests;

/// The longest frame replayed; an 82599 takes 15.5 KiB.
const MAX_FRAME: usize = 16 * 1024;
/// The shortest frame on a wire, without FCS.
const MIN_FRAME: usize = 60;
/// How many longer ones are skipped at a time.
const MAX_SKIPPED: usize = 64;
/// A capture up to this size that is played more than once is kept in memory.
const IN_MEMORY: u64 = 64 * 1024 * 1024;
/// What the recording keeps of each frame: all of it.
const SNAPLEN: u32 = 65_535;
/// How long a recorded frame may wait to be written out.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// A capture to receive from, one to send to, or both.
#[derive(Debug)]
struct PcapWire {
    replay: Option<Replay>,
    record: Option<Record>,
    error: Option<Error>,
}

/// Opens the files.
pub(super) fn open(options: &Options, ctx: &WireContext<'_>) -> Result<Box<dyn Wire>> {
    options.only("wire pcap", &["in", "out", "loop", "pace"])?;
    if !options.name().is_empty() {
        return Err(Error::config("wire pcap", options.name(), "in=FILE,out=FILE"));
    }
    let (input, output) = (options.get("in"), options.get("out"));
    if input.or(output).is_none() {
        return Err(Error::config("wire pcap", "neither in nor out", "in=FILE,out=FILE"));
    }
    let recorded_pace = match options.get("pace") {
        None | Some("max") => false,
        Some("recorded") => true,
        Some(other) => return Err(Error::config("pace", other, "recorded, max")),
    };
    let plays = options.number("loop", 1)?;
    // The input first: nothing may be overwritten for a command that makes no sense.
    let replay = input.map(|path| Replay::open(path.as_ref(), plays, recorded_pace)).transpose()?;
    if let (Some(input), Some(output)) = (input, output)
        && same_file(input.as_ref(), output.as_ref())
    {
        return Err(Error::config("out", output, "another file than in"));
    }
    let record = output.map(|path| Record::open(path.as_ref(), ctx.virtual_time)).transpose()?;
    Ok(Box::new(PcapWire { replay, record, error: None }))
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

impl PcapWire {
    /// Only the first error counts: the later ones follow from it.
    fn fail(error: &mut Option<Error>, e: Error) {
        error.get_or_insert(e);
    }
}

impl Wire for PcapWire {
    fn send(&mut self, frame: &[u8], now: Duration, _obey_pause: bool) -> Sent {
        let Some(record) = &mut self.record else { return Sent::Yes };
        if record.failed {
            return Sent::Lost;
        }
        if let Err(e) = record.write(frame, now) {
            record.failed = true;
            Self::fail(&mut self.error, e);
            return Sent::Lost;
        }
        Sent::Yes
    }

    fn recv(&mut self, now: Duration, max: usize, sink: &mut dyn FnMut(&[u8]) -> bool) -> usize {
        if let Some(record) = &mut self.record
            && let Err(e) = record.keep_up(now)
        {
            record.failed = true;
            Self::fail(&mut self.error, e);
        }
        let Some(replay) = &mut self.replay else { return 0 };
        let mut taken = 0;
        while taken < max {
            match replay.frame(now) {
                Ok(Some(frame)) if sink(frame) => {
                    replay.held = None;
                    taken += 1;
                }
                Ok(_) => break,
                Err(e) => {
                    Self::fail(&mut self.error, e);
                    break;
                }
            }
        }
        taken
    }

    fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    fn finished(&self) -> bool {
        self.replay.as_ref().is_some_and(|replay| replay.done)
    }
}

/// Where a capture is read from.
enum Source {
    File(File),
    Memory(Cursor<Vec<u8>>),
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::File(file) => file.read(out),
            Source::Memory(bytes) => bytes.read(out),
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Source::File(file) => file.seek(to),
            Source::Memory(bytes) => bytes.seek(to),
        }
    }
}

/// The receiving side.
struct Replay {
    reader: Reader<Source>,
    /// Times still to play the file, this one included; `None` for without end.
    plays: Option<u64>,
    recorded_pace: bool,
    /// The frame read last, with its length while the NIC has not taken it and when it is due.
    frame: Box<[u8]>,
    held: Option<usize>,
    due: Duration,
    /// The NIC's time that belongs to the file's first frame in this round.
    start: Option<Duration>,
    first_ns: u64,
    /// How far after the first frame the last one was, and how many there were.
    span: Duration,
    frames: u64,
    too_long: u64,
    done: bool,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("reader", &self.reader)
            .field("plays", &self.plays)
            .field("frames", &self.frames)
            .field("too_long", &self.too_long)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl Replay {
    fn open(path: &Path, plays: u64, recorded_pace: bool) -> Result<Self> {
        let about = fs::metadata(path).map_err(|e| Error::io("open the capture", path, e))?;
        if !about.is_file() {
            // Opening or reading a pipe could wait, and a wire never does.
            return Err(Error::config("in", path.display(), "a regular file"));
        }
        let mut file = File::open(path).map_err(|e| Error::io("open the capture", path, e))?;
        let source = if plays != 1 && about.len() <= IN_MEMORY {
            let mut bytes = Vec::new();
            (&mut file)
                .take(IN_MEMORY)
                .read_to_end(&mut bytes)
                .map_err(|e| Error::io("read the capture", path, e))?;
            Source::Memory(Cursor::new(bytes))
        } else {
            Source::File(file)
        };
        Ok(Self {
            reader: Reader::new(source, path)?,
            plays: (plays > 0).then_some(plays),
            recorded_pace,
            frame: vec![0; MAX_FRAME].into_boxed_slice(),
            held: None,
            due: Duration::ZERO,
            start: None,
            first_ns: 0,
            span: Duration::ZERO,
            frames: 0,
            too_long: 0,
            done: false,
        })
    }

    /// The next frame, if it is due. It stays the next one until `held` is cleared.
    fn frame(&mut self, now: Duration) -> Result<Option<&[u8]>> {
        if self.held.is_none() && !self.done {
            let read = self.read(now);
            self.done |= read.is_err();
            read?;
        }
        Ok(match self.held {
            Some(length) if !self.recorded_pace || self.due <= now => Some(&self.frame[..length]),
            _ => None,
        })
    }

    fn read(&mut self, now: Duration) -> Result<()> {
        for _ in 0..MAX_SKIPPED {
            let Some(record) = self.reader.next()? else {
                self.rewind()?;
                if self.done {
                    return Ok(());
                }
                continue;
            };
            if self.frames == 0 {
                self.first_ns = record.ts_ns;
            }
            self.frames += 1;
            let since = Duration::from_nanos(record.ts_ns.saturating_sub(self.first_ns));
            self.span = self.span.max(since);
            let length = (record.orig_len as usize).max(MIN_FRAME);
            if length > MAX_FRAME {
                self.too_long += 1;
                continue;
            }
            let captured = record.data.len();
            self.frame[..captured].copy_from_slice(record.data);
            self.frame[captured..length].fill(0);
            self.due = self.start.get_or_insert(now).saturating_add(since);
            self.held = Some(length);
            return Ok(());
        }
        Ok(())
    }

    /// At the end of the file: begins the next round, as long after the last frame as the frames
    /// are apart on average, or ends.
    fn rewind(&mut self) -> Result<()> {
        if let Some(plays) = &mut self.plays {
            *plays -= 1;
        }
        // A file without frames that can be played would never get anywhere.
        if self.plays == Some(0) || self.frames == self.too_long {
            self.done = true;
            return Ok(());
        }
        let gap = self.span.as_nanos() / u128::from((self.frames - 1).max(1));
        let round = self.span + Duration::from_nanos(u64::try_from(gap).unwrap_or(u64::MAX));
        self.start = self.start.map(|start| start.saturating_add(round));
        (self.span, self.frames, self.too_long) = (Duration::ZERO, 0, 0);
        self.reader.rewind()
    }
}

/// The sending side.
#[derive(Debug)]
struct Record {
    output: Output,
    clock: Stamps,
    /// When it was last written out, and whether anything came since.
    flushed: Duration,
    dirty: bool,
    failed: bool,
}

/// The file that is recorded to.
#[derive(Debug)]
enum Output {
    /// As it was found: the NIC has not run, and may never, if its user is refused something.
    Found { file: File, path: PathBuf },
    /// A capture.
    Begun(Writer<Box<dyn Write + Send>>),
}

impl Output {
    fn open(path: &Path) -> Result<Self> {
        let mut how = File::options();
        let file = how.write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|e| Error::io("create the capture", path, e))?;
        Ok(Output::Found { file, path: path.to_owned() })
    }

    /// What to write to; the first call makes the file an empty capture.
    fn writer(&mut self) -> Result<&mut Writer<Box<dyn Write + Send>>> {
        match self {
            Output::Begun(writer) => Ok(writer),
            Output::Found { file, path } => {
                *self = Output::Begun(Self::begin(file, path)?);
                self.writer()
            }
        }
    }

    fn begin(file: &File, path: &Path) -> Result<Writer<Box<dyn Write + Send>>> {
        let empty = || {
            // Pipes and devices have no length.
            if file.metadata()?.is_file() {
                file.set_len(0)?;
            }
            file.try_clone()
        };
        let file = empty().map_err(|e| Error::io("empty the capture", path, e))?;
        Writer::new(Box::new(file) as _, path, SNAPLEN)
    }
}

/// Turns a NIC's time into time since 1970.
#[derive(Debug)]
enum Stamps {
    /// The NIC's virtual time.
    Virtual,
    /// The wall clock, not read yet.
    Unset,
    /// What to add to the NIC's time.
    Wall(i128),
}

impl Stamps {
    fn stamp(&mut self, now: Duration) -> u64 {
        let now = now.as_nanos() as i128;
        if let Stamps::Unset = self {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            *self = Stamps::Wall(wall.as_nanos() as i128 - now);
        }
        let ahead = if let Stamps::Wall(ahead) = self { *ahead } else { 0 };
        u64::try_from(now + ahead).unwrap_or(0)
    }
}

impl Record {
    fn open(path: &Path, virtual_time: bool) -> Result<Self> {
        let clock = if virtual_time { Stamps::Virtual } else { Stamps::Unset };
        let output = Output::open(path)?;
        Ok(Self { output, clock, flushed: Duration::ZERO, dirty: false, failed: false })
    }

    fn write(&mut self, frame: &[u8], now: Duration) -> Result<()> {
        self.dirty = true;
        self.output.writer()?.write(self.clock.stamp(now), frame)
    }

    /// Called while the NIC runs: lets somebody who watches the file see what is in it.
    fn keep_up(&mut self, now: Duration) -> Result<()> {
        if self.failed {
            return Ok(());
        }
        let writer = self.output.writer()?;
        if !self.dirty || now.saturating_sub(self.flushed) < FLUSH_EVERY {
            return Ok(());
        }
        (self.flushed, self.dirty) = (now, false);
        writer.flush()
    }
}
