use std::io::{self, Cursor, Write};

use proptest::prelude::*;

use super::*;
use crate::error::Error;

/// One frame: nanoseconds since 1970, length on the wire, captured bytes.
type Frame = (u64, u32, Vec<u8>);

/// A capture in any of the four forms, made without the code under test.
fn capture(big: bool, nanos: bool, link: u32, frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();
    let w32 = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let w16 = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    out.extend(w32(if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 }));
    out.extend(w16(2));
    out.extend(w16(4));
    out.extend([0; 8]);
    out.extend(w32(65_535));
    out.extend(w32(link));
    for (ts, orig, data) in frames {
        out.extend(w32((ts / 1_000_000_000) as u32));
        out.extend(w32((ts % 1_000_000_000) as u32 / if nanos { 1 } else { 1_000 }));
        out.extend(w32(data.len() as u32));
        out.extend(w32(*orig));
        out.extend(data);
    }
    out
}

fn read_all(bytes: &[u8]) -> (Vec<Frame>, Result<(), Error>) {
    let mut frames = Vec::new();
    let mut reader = match Reader::new(bytes, "test.pcap") {
        Ok(reader) => reader,
        Err(e) => return (frames, Err(e)),
    };
    loop {
        match reader.next() {
            Ok(Some(r)) => frames.push((r.ts_ns, r.orig_len, r.data.to_vec())),
            Ok(None) => return (frames, Ok(())),
            Err(e) => return (frames, Err(e)),
        }
    }
}

fn offset_of(e: &Error) -> u64 {
    match e {
        Error::Capture { offset, .. } => *offset,
        other => panic!("not a capture error: {other}"),
    }
}

fn some_frames() -> Vec<Frame> {
    vec![
        (1_700_000_000_123_456_000, 60, (0..60).collect()),
        (1_700_000_000_123_457_000, 1514, vec![7; 96]),
        (4_294_967_295_999_999_000, 0, vec![]),
        (0, 14, vec![0xff; 14]),
    ]
}

#[test]
fn all_four_forms_read_the_same() {
    for (big, nanos) in [(false, false), (false, true), (true, false), (true, true)] {
        let (frames, end) = read_all(&capture(big, nanos, 1, &some_frames()));
        assert_eq!(frames, some_frames(), "big {big} nanos {nanos}");
        assert!(end.is_ok());
    }
}

#[test]
fn a_cut_at_any_byte_is_reported_where_the_record_starts() {
    let frames = some_frames();
    let whole = capture(true, true, 1, &frames);
    let mut boundaries = vec![24];
    for (_, _, data) in &frames {
        boundaries.push(boundaries[boundaries.len() - 1] + 16 + data.len());
    }
    assert_eq!(boundaries.last(), Some(&whole.len()));
    for cut in 0..=whole.len() {
        let (read, end) = read_all(&whole[..cut]);
        let Some(complete) = boundaries.iter().rposition(|b| *b <= cut) else {
            assert_eq!(offset_of(&end.unwrap_err()), 0, "cut at {cut}");
            continue;
        };
        assert_eq!(read, frames[..complete], "cut at {cut}");
        if boundaries[complete] == cut {
            assert!(end.is_ok(), "cut at {cut}");
        } else {
            assert_eq!(offset_of(&end.unwrap_err()), boundaries[complete] as u64, "cut at {cut}");
        }
    }
}

#[test]
fn errors_repeat_and_name_the_file() {
    let mut bytes = capture(false, true, 1, &some_frames());
    bytes.truncate(50);
    let mut reader = Reader::new(&bytes[..], "cut.pcap").unwrap();
    let first = reader.next().unwrap_err().to_string();
    assert!(first.contains("cut.pcap at byte 24"), "{first}");
    assert_eq!(reader.next().unwrap_err().to_string(), first);
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let why = |start: &[u8]| {
        let mut bytes = start.to_vec();
        bytes.resize(40, 0);
        read_all(&bytes).1.unwrap_err().to_string()
    };
    assert!(why(&[0x0a, 0x0d, 0x0d, 0x0a]).contains("pcapng"));
    assert!(why(&[0x1f, 0x8b, 8, 0]).contains("gzip"));
    assert!(why(&[0x28, 0xb5, 0x2f, 0xfd]).contains("zstd"));
    assert!(why(b"GIF89a").contains("no capture"));
    assert!(why(&[]).contains("no capture"));
    assert!(read_all(&[]).1.unwrap_err().to_string().contains("0 bytes"));
    // A text file shorter than a header is told as what it is, too.
    assert!(read_all(b"hello").1.unwrap_err().to_string().contains("no capture"));

    let raw_ip = capture(false, true, 101, &[]);
    let e = read_all(&raw_ip).1.unwrap_err();
    assert_eq!(offset_of(&e), 20);
    assert!(e.to_string().contains("link type 101"));

    let mut old = capture(false, true, 1, &[]);
    old[6] = 2;
    assert_eq!(offset_of(&read_all(&old).1.unwrap_err()), 4);
}

#[test]
fn impossible_record_headers_are_refused_without_allocating() {
    let huge = |length: u32, fraction: u32| {
        let mut bytes = capture(false, true, 1, &[]);
        for word in [1, fraction, length, length] {
            bytes.extend(word.to_le_bytes());
        }
        let mut reader = Reader::new(&bytes[..], "huge.pcap").unwrap();
        let e = reader.next().unwrap_err();
        assert!(reader.buffer.len() <= MAX_RECORD + RECORD_HEADER);
        offset_of(&e)
    };
    assert_eq!(huge(u32::MAX, 0), 32);
    assert_eq!(huge(MAX_RECORD as u32 + 1, 0), 32);
    assert_eq!(huge(MAX_RECORD as u32, 0), 24, "allowed, but cut off");
    assert_eq!(huge(0, 1_000_000_000), 28);
}

#[test]
fn the_largest_record_reads() {
    let frames = vec![(5, MAX_RECORD as u32, vec![3; MAX_RECORD]), (6, 60, vec![4; 60])];
    let (read, end) = read_all(&capture(false, true, 1, &frames));
    assert!(read == frames && end.is_ok());
}

#[test]
fn frame_check_sequences_are_left_off() {
    // Two 16-bit words of FCS; the first frame whole, the second cut within the FCS, the third
    // before it.
    let link = 1 | 1 << 26 | 2 << 28;
    let frames =
        [(1, 64, vec![1; 64]), (2, 64, vec![2; 62]), (3, 64, vec![3; 20]), (4, 2, vec![4; 2])];
    let (read, end) = read_all(&capture(false, true, link, &frames));
    assert!(end.is_ok());
    let expected =
        [(1, 60, vec![1; 60]), (2, 60, vec![2; 60]), (3, 60, vec![3; 20]), (4, 0, vec![])];
    assert_eq!(read, expected);
}

#[test]
fn a_length_on_the_wire_below_the_captured_one_is_raised() {
    let (read, end) = read_all(&capture(false, true, 1, &[(1, 10, vec![1; 60])]));
    assert!(end.is_ok());
    assert_eq!(read, [(1, 60, vec![1; 60])]);
}

#[test]
fn a_file_round_trips_and_is_cut_to_snaplen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pcap");
    let mut writer = Writer::create(&path, 64).unwrap();
    writer.write(1_000_000_001, &[1; 60]).unwrap();
    writer.write(2_999_999_999, &[2; 1514]).unwrap();
    writer.finish().unwrap();
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(reader.snaplen(), 64);
    let r = reader.next().unwrap().unwrap();
    assert_eq!((r.ts_ns, r.orig_len, r.data), (1_000_000_001, 60, &[1; 60][..]));
    let r = reader.next().unwrap().unwrap();
    assert_eq!((r.ts_ns, r.orig_len, r.data), (2_999_999_999, 1514, &[2; 64][..]));
    assert_eq!(reader.offset(), 24 + 16 + 60 + 16 + 64);
    assert!(reader.next().unwrap().is_none());
    assert!(reader.next().unwrap().is_none());
}

#[test]
fn dropping_a_writer_writes_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pcap");
    let mut writer = Writer::create(&path, 65_535).unwrap();
    writer.write(1, &[1; 60]).unwrap();
    drop(writer);
    assert_eq!(read_all(&std::fs::read(path).unwrap()).0.len(), 1);
}

#[test]
fn limits_of_the_writer() {
    for snaplen in [0, MAX_RECORD as u32 + 1, u32::MAX] {
        assert!(matches!(
            Writer::new(Vec::new(), "v", snaplen),
            Err(Error::Config { what: "snaplen", .. })
        ));
    }
    let mut writer = Writer::new(io::sink(), "v", 100).unwrap();
    let last = (u64::from(u32::MAX) + 1) * NANOS_PER_SECOND - 1;
    writer.write(last, &[]).unwrap();
    assert!(matches!(writer.write(last + 1, &[]), Err(Error::Config { .. })));
    writer.write(0, &[]).unwrap();
}

#[test]
fn rewinding_starts_over_even_after_an_error() {
    let mut bytes = capture(false, false, 1, &some_frames());
    bytes.pop();
    let mut reader = Reader::new(Cursor::new(&bytes), "again").unwrap();
    for _ in 0..3 {
        let mut frames = 0;
        while let Ok(Some(_)) = reader.next() {
            frames += 1;
        }
        assert!(frames == 3 && reader.next().is_err());
        reader.rewind().unwrap();
        assert_eq!(reader.offset(), 24);
    }
}

#[test]
fn missing_files_and_directories_are_io_errors() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(dir.path().join("none")), Err(Error::Io { .. })));
    assert!(matches!(Reader::open(dir.path()), Err(Error::Io { .. })));
    assert!(matches!(Writer::create(dir.path(), 64), Err(Error::Io { .. })));
}

/// A disk with room for so many bytes.
struct SmallDisk(usize);

impl Write for SmallDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 && !bytes.is_empty() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn storage_full(e: &Error) -> bool {
    matches!(e, Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
}

#[test]
fn a_full_disk_is_reported_at_once_and_again() {
    assert!(storage_full(&Writer::new(SmallDisk(10), "d", 64).unwrap_err()));

    let mut writer = Writer::new(SmallDisk(24), "d", 65_535).unwrap();
    let first = (0..10_000).find_map(|_| writer.write(0, &[0; 1514]).err()).unwrap();
    assert!(storage_full(&first));
    assert!(storage_full(&writer.write(0, &[]).unwrap_err()));
    assert!(storage_full(&writer.flush().unwrap_err()));
    assert!(storage_full(&writer.finish().unwrap_err()));

    // A failure that only the end of the file meets must not pass for success.
    let mut writer = Writer::new(SmallDisk(24), "d", 65_535).unwrap();
    writer.write(0, &[0; 60]).unwrap();
    assert!(storage_full(&writer.finish().unwrap_err()));
}

#[cfg(target_os = "linux")]
#[test]
fn dev_full_is_a_full_disk() {
    assert!(storage_full(&Writer::create("/dev/full", 64).unwrap_err()));
}

/// Gives a few bytes at a time and then fails.
struct Flaky<'a>(Cursor<&'a [u8]>, bool);

impl io::Read for Flaky<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::Error::from(io::ErrorKind::Interrupted));
        }
        let n = out.len().min(3);
        match self.0.read(&mut out[..n])? {
            0 => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
            n => Ok(n),
        }
    }
}

#[test]
fn short_reads_interruptions_and_errors_of_the_source() {
    let bytes = capture(true, false, 1, &some_frames());
    let mut reader = Reader::new(Flaky(Cursor::new(&bytes), false), "flaky").unwrap();
    for (ts, orig, data) in some_frames() {
        let r = reader.next().unwrap().unwrap();
        assert_eq!((r.ts_ns, r.orig_len, r.data), (ts, orig, &data[..]));
    }
    assert!(matches!(reader.next(), Err(Error::Io { .. })));
    assert!(matches!(reader.next(), Err(Error::Capture { .. })));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = read_all(&bytes);
    }

    #[test]
    fn random_records_never_panic(
        big: bool, nanos: bool, link in prop_oneof![Just(1u32), any::<u32>()],
        tail in prop::collection::vec(any::<u8>(), 0..2_000),
    ) {
        let mut bytes = capture(big, nanos, link, &[]);
        bytes.extend(&tail);
        let (frames, end) = read_all(&bytes);
        let read: usize = frames.iter().map(|(_, _, data)| 16 + data.len()).sum();
        prop_assert!(read <= tail.len());
        if let Err(e) = end {
            prop_assert!(offset_of(&e) <= bytes.len() as u64);
        }
    }

    #[test]
    fn small_damage_never_panics(
        at in any::<prop::sample::Index>(), value: u8, cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = capture(false, true, 1, &some_frames());
        let at = at.index(bytes.len());
        bytes[at] = value;
        bytes.truncate(cut.index(bytes.len() + 1));
        let _ = read_all(&bytes);
    }

    #[test]
    fn what_is_written_is_read(
        snaplen in 1u32..3_000,
        frames in prop::collection::vec(
            (0..=u64::from(u32::MAX) * NANOS_PER_SECOND, prop::collection::vec(any::<u8>(), 0..2_000)),
            0..40,
        ),
    ) {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, "v", snaplen).unwrap();
        for (ts, data) in &frames {
            writer.write(*ts, data).unwrap();
        }
        writer.finish().unwrap();
        let (read, end) = read_all(&bytes);
        prop_assert!(end.is_ok());
        prop_assert_eq!(read.len(), frames.len());
        for ((ts, orig, data), (sent_ts, sent)) in read.iter().zip(&frames) {
            prop_assert_eq!(ts, sent_ts);
            prop_assert_eq!(*orig as usize, sent.len());
            prop_assert_eq!(&data[..], &sent[..sent.len().min(snaplen as usize)]);
        }
    }
}
