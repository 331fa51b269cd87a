//! Reads capture files, trusting nothing in them.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::{
    ETHERNET, FILE_HEADER, MAGIC_MICROS, MAGIC_NANOS, MAX_RECORD, NANOS_PER_SECOND, RECORD_HEADER,
    VERSION,
};
use crate::error::{Error, Result};

/// What the buffer holds at first. It grows only for a frame that does not fit.
const BUFFER: usize = 64 * 1024;
/// Field of the link type that says how many 16-bit words of FCS end each frame, and its validity
/// bit (draft-ietf-opsawg-pcap, section 4).
const FCS_PRESENT: u32 = 1 << 26;
const FCS_WORDS_SHIFT: u32 = 28;

/// One captured frame. Its bytes live in the reader until the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Nanoseconds since 1970.
    pub ts_ns: u64,
    /// Length of the frame on the wire, without FCS; never less than what was captured.
    pub orig_len: u32,
    /// The captured bytes: all of the frame, or its start.
    pub data: &'a [u8],
}

/// Reads the frames of a capture file, oldest first.
pub struct Reader<R = File> {
    source: R,
    path: PathBuf,
    /// Bytes `start..end` are read and not yet handed out.
    pub(super) buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// File offset of `buffer[start]`.
    offset: u64,
    swapped: bool,
    /// Nanoseconds per unit of a time stamp's fraction.
    unit: u64,
    fcs: u32,
    snaplen: u32,
    /// What ended the reading early: every later call reports it again.
    broken: Option<(u64, String)>,
}

impl Reader {
    /// Opens a capture file and checks its header.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Capture`] when it is not an Ethernet
    /// capture in the classic pcap format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|e| Error::io("open the capture", path, e))?;
        Reader::new(file, path)
    }
}

impl<R: Read> Reader<R> {
    /// Reads a capture from any byte source; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn new(source: R, name: impl Into<PathBuf>) -> Result<Self> {
        let mut reader = Reader {
            source,
            path: name.into(),
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            offset: 0,
            swapped: false,
            unit: 1,
            fcs: 0,
            snaplen: 0,
            broken: None,
        };
        reader.file_header()?;
        Ok(reader)
    }

    /// The next frame, or `None` at the end of the file.
    ///
    /// # Errors
    /// [`Error::Capture`] when the file ends within a record or a record's header is impossible,
    /// [`Error::Io`] when it cannot be read. There is no way to find the next record after that, so
    /// each later call fails too.
    #[expect(clippy::should_implement_trait, reason = "a record borrows from its reader")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>> {
        if let Some((offset, why)) = &self.broken {
            return Err(self.capture(*offset, why.clone()));
        }
        let available = self.fill(RECORD_HEADER)?;
        if available == 0 {
            return Ok(None);
        }
        if available < RECORD_HEADER {
            let why = format!(
                "the file ends {available} bytes into the {RECORD_HEADER} bytes of a record header"
            );
            return Err(self.fail(self.offset, why));
        }
        let seconds = u64::from(self.word(0));
        let fraction = u64::from(self.word(4)) * self.unit;
        let captured = self.word(8);
        let on_wire = self.word(12).max(captured);
        if fraction >= NANOS_PER_SECOND {
            let why = format!("a time stamp's fraction is {fraction} ns, more than a second");
            return Err(self.fail(self.offset + 4, why));
        }
        let length = match usize::try_from(captured) {
            Ok(length) if length <= MAX_RECORD => length,
            _ => {
                let why = format!(
                    "a record claims {captured} bytes of one frame, more than the limit of \
                     {MAX_RECORD}"
                );
                return Err(self.fail(self.offset + 8, why));
            }
        };
        let available = self.fill(RECORD_HEADER + length)?;
        if available < RECORD_HEADER + length {
            let why = format!(
                "the file ends {} bytes into a frame of {length}",
                available.saturating_sub(RECORD_HEADER)
            );
            return Err(self.fail(self.offset, why));
        }
        let first = self.start + RECORD_HEADER;
        self.consume(RECORD_HEADER + length);

        // A capture with FCS: leave off as much of it as was captured.
        let orig_len = on_wire.saturating_sub(self.fcs);
        let data = &self.buffer[first..first + captured.min(orig_len) as usize];
        Ok(Some(Record { ts_ns: seconds * NANOS_PER_SECOND + fraction, orig_len, data }))
    }

    /// Byte offset in the file of the record that [`next`](Self::next) reads.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The longest part of a frame that the capture was made to keep, as its header has it.
    pub fn snaplen(&self) -> u32 {
        self.snaplen
    }

    fn file_header(&mut self) -> Result<()> {
        let available = self.fill(FILE_HEADER)?;
        if available >= 4 {
            (self.swapped, self.unit) = self.magic()?;
        }
        if available < FILE_HEADER {
            let why =
                format!("the file has {available} bytes, less than a capture's {FILE_HEADER}");
            return Err(self.capture(0, why));
        }
        let version = (self.half(4), self.half(6));
        if version != VERSION {
            let why = format!("format version {}.{}, only 2.4 is known", version.0, version.1);
            return Err(self.capture(4, why));
        }
        self.snaplen = self.word(16);
        let link = self.word(20);
        if link & 0xffff != ETHERNET {
            let why = format!("link type {} is not Ethernet (1)", link & 0xffff);
            return Err(self.capture(20, why));
        }
        if link & FCS_PRESENT != 0 {
            self.fcs = (link >> FCS_WORDS_SHIFT) * 2;
        }
        self.consume(FILE_HEADER);
        Ok(())
    }

    /// Byte order and unit of the time stamps, from the first word.
    fn magic(&self) -> Result<(bool, u64)> {
        let native = self.word(0);
        for (swapped, magic) in [(false, native), (true, native.swap_bytes())] {
            match magic {
                MAGIC_MICROS => return Ok((swapped, 1_000)),
                MAGIC_NANOS => return Ok((swapped, 1)),
                _ => {}
            }
        }
        let why = match self.buffer[..4] {
            [0x0a, 0x0d, 0x0d, 0x0a] => {
                "this is a pcapng file; convert it with `editcap -F nsecpcap`".to_owned()
            }
            [0x1f, 0x8b, ..] => "this is a gzip file; unpack it first".to_owned(),
            [0x28, 0xb5, 0x2f, 0xfd] => "this is a zstd file; unpack it first".to_owned(),
            _ => format!("this is no capture: it starts with {native:#010x}"),
        };
        Err(self.capture(0, why))
    }

    /// Reads on until `wanted` bytes lie in a row at `start` or the file ends; returns how many do.
    /// The caller has checked `wanted` against the limits.
    fn fill(&mut self, wanted: usize) -> Result<usize> {
        if self.end - self.start >= wanted {
            return Ok(self.end - self.start);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        while self.end < wanted {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(n) => self.end += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    let at = self.offset + self.end as u64;
                    self.broken = Some((at, format!("reading failed earlier: {e}")));
                    return Err(Error::io("read the capture", &self.path, e));
                }
            }
        }
        Ok(self.end)
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// The 32-bit word `at` bytes after `start`; the caller has filled that far.
    fn word(&self, at: usize) -> u32 {
        let at = self.start + at;
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.buffer[at..at + 4]);
        let word = u32::from_ne_bytes(bytes);
        if self.swapped { word.swap_bytes() } else { word }
    }

    fn half(&self, at: usize) -> u16 {
        let at = self.start + at;
        let half = u16::from_ne_bytes([self.buffer[at], self.buffer[at + 1]]);
        if self.swapped { half.swap_bytes() } else { half }
    }

    fn capture(&self, offset: u64, why: String) -> Error {
        Error::Capture { path: self.path.clone(), offset, why }
    }

    fn fail(&mut self, offset: u64, why: String) -> Error {
        self.broken = Some((offset, why.clone()));
        self.capture(offset, why)
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Goes back to the first frame, also after an error.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn rewind(&mut self) -> Result<()> {
        let first = FILE_HEADER as u64;
        self.source
            .seek(SeekFrom::Start(first))
            .map_err(|e| Error::io("rewind the capture", &self.path, e))?;
        (self.start, self.end, self.offset, self.broken) = (0, 0, first, None);
        Ok(())
    }
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("path", &self.path)
            .field("offset", &self.offset)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}
