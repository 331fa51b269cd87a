//! Capture files in the classic pcap format, which tcpdump and Wireshark read and write.
//!
//! [`Reader`] takes files of either byte order with microsecond or nanosecond time stamps and
//! hands out nanoseconds. [`Writer`] writes nanoseconds in the byte order of this machine. Only
//! Ethernet captures are understood, and pcapng is not.
//!
//! A capture file may come from anybody, so the reader trusts nothing in it: no length in a file
//! makes it allocate more than [`MAX_RECORD`] bytes and a little, and whatever is wrong is reported
//! as [`Error::Capture`](crate::Error::Capture) with the byte offset of the trouble.
//!
//! ```
//! use barewire::pcap::{Reader, Writer};
//!
//! # fn main() -> barewire::Result<()> {
//! # let dir = tempfile::tempdir().map_err(|e| barewire::Error::io("create", "/tmp", e))?;
//! # let path = dir.path().join("one.pcap");
//! let mut writer = Writer::create(&path, 65_535)?;
//! writer.write(1_700_000_000_000_000_001, &[0xff; 60])?;
//! writer.finish()?;
//!
//! let mut reader = Reader::open(&path)?;
//! while let Some(record) = reader.next()? {
//!     println!("{} ns: {} bytes", record.ts_ns, record.data.len());
//! }
//! # Ok(())
//! # }
//! ```

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Reader, Record};
pub use write::Writer;

/// The most bytes of one frame that a capture may hold: what libpcap allows for Ethernet.
pub const MAX_RECORD: usize = 256 * 1024;

/// Bytes of the header at the start of a file.
const FILE_HEADER: usize = 24;
/// Bytes of the header before each frame.
const RECORD_HEADER: usize = 16;
/// First word of a file with microsecond stamps, in the byte order of the machine that wrote it.
const MAGIC_MICROS: u32 = 0xa1b2_c3d4;
/// First word of a file with nanosecond stamps.
const MAGIC_NANOS: u32 = 0xa1b2_3c4d;
/// The only version of the format in use.
const VERSION: (u16, u16) = (2, 4);
/// Link-layer type of Ethernet.
const ETHERNET: u32 = 1;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
