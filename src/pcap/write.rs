//! Writes capture files with nanosecond time stamps.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{
    ETHERNET, FILE_HEADER, MAGIC_NANOS, MAX_RECORD, NANOS_PER_SECOND, RECORD_HEADER, VERSION,
};
use crate::error::{Error, Result};

/// Frames are collected until this many bytes are due.
const BUFFER: usize = 256 * 1024;

/// Writes frames to a capture file.
///
/// Frames are buffered; [`finish`](Self::finish) writes the rest and reports whether all of it
/// reached the operating system. Dropping the writer does the same but cannot report.
pub struct Writer<W: Write = File> {
    sink: W,
    path: PathBuf,
    buffer: Vec<u8>,
    snaplen: u32,
    /// Set by the first failure, after which nothing more is written: a capture with a hole in a
    /// record cannot be read past it.
    failed: Option<ErrorKind>,
}

impl Writer {
    /// Creates a capture file, replacing any that exists, and keeps at most `snaplen` bytes of
    /// each frame.
    ///
    /// # Errors
    /// [`Error::Config`] for a `snaplen` of 0 or beyond [`MAX_RECORD`], [`Error::Io`] when the file
    /// cannot be made or its header not be written.
    pub fn create(path: impl AsRef<Path>, snaplen: u32) -> Result<Self> {
        let path = path.as_ref();
        check_snaplen(snaplen)?;
        let file = File::create(path).map_err(|e| Error::io("create the capture", path, e))?;
        Writer::new(file, path, snaplen)
    }
}

impl<W: Write> Writer<W> {
    /// Writes a capture to any byte sink; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Writer::create`].
    pub fn new(sink: W, name: impl Into<PathBuf>, snaplen: u32) -> Result<Self> {
        check_snaplen(snaplen)?;
        let mut buffer = Vec::with_capacity(BUFFER + RECORD_HEADER + MAX_RECORD.min(16 * 1024));
        buffer.extend_from_slice(&file_header(snaplen));
        let mut writer = Writer { sink, path: name.into(), buffer, snaplen, failed: None };
        // At once, so that a full disk shows before any frame is lost to it.
        writer.flush()?;
        Ok(writer)
    }

    /// Adds a frame, with its time in nanoseconds since 1970.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written, which every later call repeats;
    /// [`Error::Config`] for a time after the year 2106, which the format cannot express.
    pub fn write(&mut self, ts_ns: u64, frame: &[u8]) -> Result<()> {
        let Ok(seconds) = u32::try_from(ts_ns / NANOS_PER_SECOND) else {
            return Err(Error::config("time stamp", ts_ns, "up to 2^32 seconds after 1970"));
        };
        let nanos = (ts_ns % NANOS_PER_SECOND) as u32;
        let on_wire = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let captured = on_wire.min(self.snaplen);
        if let Some(kind) = self.failed {
            return Err(self.again(kind));
        }

        let mut header = [0; RECORD_HEADER];
        for (field, value) in header.chunks_exact_mut(4).zip([seconds, nanos, captured, on_wire]) {
            field.copy_from_slice(&value.to_ne_bytes());
        }
        self.buffer.extend_from_slice(&header);
        self.buffer.extend_from_slice(&frame[..captured as usize]);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Hands everything buffered to the operating system.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn flush(&mut self) -> Result<()> {
        if let Some(kind) = self.failed {
            return Err(self.again(kind));
        }
        let written = self.sink.write_all(&self.buffer).and_then(|()| self.sink.flush());
        self.buffer.clear();
        written.map_err(|e| {
            self.failed = Some(e.kind());
            Error::io("write the capture", &self.path, e)
        })
    }

    /// Writes the rest and closes the file.
    ///
    /// # Errors
    /// [`Error::Io`] when anything written since the file was created did not reach the operating
    /// system. The frames before the failure can still be read.
    pub fn finish(mut self) -> Result<()> {
        self.flush()
        // `drop` then finds an empty buffer.
    }

    fn again(&self, kind: ErrorKind) -> Error {
        let source = io::Error::new(kind, format!("an earlier write failed: {kind}"));
        Error::io("write the capture", &self.path, source)
    }
}

impl<W: Write> Drop for Writer<W> {
    fn drop(&mut self) {
        if !self.buffer.is_empty()
            && let Err(e) = self.flush()
        {
            tracing::error!("the end of a capture was lost: {e}");
        }
    }
}

impl<W: Write> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("path", &self.path)
            .field("buffered", &self.buffer.len())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

fn check_snaplen(snaplen: u32) -> Result<()> {
    if snaplen == 0 || snaplen as usize > MAX_RECORD {
        return Err(Error::config("snaplen", snaplen, format!("1 to {MAX_RECORD} bytes")));
    }
    Ok(())
}

fn file_header(snaplen: u32) -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[0..4].copy_from_slice(&MAGIC_NANOS.to_ne_bytes());
    header[4..6].copy_from_slice(&VERSION.0.to_ne_bytes());
    header[6..8].copy_from_slice(&VERSION.1.to_ne_bytes());
    // Bytes 8..16: time zone and accuracy, always zero.
    header[16..20].copy_from_slice(&snaplen.to_ne_bytes());
    header[20..24].copy_from_slice(&ETHERNET.to_ne_bytes());
    header
}
