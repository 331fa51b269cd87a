use super::*;

const T0: Duration = Duration::ZERO;

fn open_text(text: &str, virtual_time: bool) -> Result<Box<dyn Wire>> {
    let ctx = WireContext { nic: "test", seed: 0, virtual_time, mbps: 10_000 };
    open(&Options::parse(text)?, &ctx)
}

fn capture(dir: &Path, frames: &[(u64, &[u8])]) -> PathBuf {
    let path = dir.join("in.pcap");
    let mut writer = Writer::create(&path, 200).unwrap();
    for (ts, frame) in frames {
        writer.write(*ts, frame).unwrap();
    }
    writer.finish().unwrap();
    path
}

fn drain(wire: &mut dyn Wire, now: Duration, max: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    wire.recv(now, max, &mut |frame| {
        frames.push(frame.to_vec());
        true
    });
    frames
}

#[test]
fn frames_come_as_fast_as_they_are_taken_and_then_it_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let file = capture(dir.path(), &[(5_000, &[1; 60]), (900_000, &[2; 100]), (1_000, &[3; 61])]);
    let mut wire = open_text(&format!("in={}", file.display()), true).unwrap();
    assert_eq!(wire.recv(T0, 9, &mut |_| false), 0);
    assert_eq!(drain(&mut *wire, T0, 2), [vec![1; 60], vec![2; 100]]);
    assert!(!wire.finished());
    assert_eq!(drain(&mut *wire, T0, 2), [vec![3; 61]]);
    assert!(wire.finished() && wire.take_error().is_none());
    assert_eq!(wire.recv(T0, 9, &mut |_| true), 0);
    // Without a recording, what is sent is swallowed.
    assert_eq!(wire.send(&[0; 60], T0, false), Sent::Yes);
}

#[test]
fn short_frames_are_padded_and_cut_ones_keep_their_length() {
    let dir = tempfile::tempdir().unwrap();
    let file = capture(dir.path(), &[(0, &[9; 300]), (0, &[1; 42]), (0, &[]), (0, &[8; 60])]);
    let mut wire = open_text(&format!("in={}", file.display()), true).unwrap();
    let frames = drain(&mut *wire, T0, 9);
    assert_eq!(frames[0], [[9; 200].as_slice(), &[0; 100]].concat());
    assert_eq!(frames[1], [[1; 42].as_slice(), &[0; 18]].concat());
    assert_eq!(frames[2..], [vec![0; 60], vec![8; 60]]);
}

#[test]
fn recorded_pace_counts_from_the_first_poll_and_loops_on() {
    let dir = tempfile::tempdir().unwrap();
    let second = 1_000_000_000;
    // The third is stamped before the second, which happens between the queues of a NIC.
    let file = capture(
        dir.path(),
        &[(7 * second, &[1; 60]), (7 * second + 200, &[2; 60]), (7 * second + 100, &[3; 60])],
    );
    let text = format!("in={},pace=recorded,loop=2", file.display());
    let mut wire = open_text(&text, true).unwrap();
    let at = |ns| Duration::from_secs(50) + Duration::from_nanos(ns);
    assert_eq!(drain(&mut *wire, at(0), 9), [[1; 60]]);
    assert!(drain(&mut *wire, at(199), 9).is_empty());
    assert_eq!(drain(&mut *wire, at(200), 9), [[2; 60], [3; 60]]);
    // 200 ns for two gaps, so the next round begins 100 ns after the last frame.
    assert!(drain(&mut *wire, at(299), 9).is_empty());
    assert_eq!(drain(&mut *wire, at(300), 9), [[1; 60]]);
    assert!(!wire.finished());
    assert_eq!(drain(&mut *wire, at(10_000), 9), [[2; 60], [3; 60]]);
    drain(&mut *wire, at(10_000), 9);
    assert!(wire.finished());
}

#[test]
fn looping_plays_as_often_as_asked_or_on_and_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = capture(dir.path(), &[(0, &[1; 60]), (1, &[2; 60])]);
    for (plays, frames) in [(1, 2), (2, 4), (100, 200)] {
        let mut wire = open_text(&format!("in={},loop={plays}", file.display()), true).unwrap();
        assert_eq!(drain(&mut *wire, T0, 1_000).len(), frames);
        assert!(wire.finished());
    }
    let mut wire = open_text(&format!("in={},loop=0", file.display()), true).unwrap();
    assert_eq!(drain(&mut *wire, T0, 10_001).len(), 10_001);
    assert!(!wire.finished());
}

#[test]
fn an_empty_capture_ends_at_once_however_often_it_is_played() {
    let dir = tempfile::tempdir().unwrap();
    let file = capture(dir.path(), &[]);
    for plays in [0, 1, u64::MAX] {
        let mut wire = open_text(&format!("in={},loop={plays}", file.display()), true).unwrap();
        assert_eq!(drain(&mut *wire, T0, 9).len(), 0);
        assert!(wire.finished() && wire.take_error().is_none());
    }
}

#[test]
fn frames_longer_than_any_nics_are_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let giant = vec![7; MAX_FRAME + 1];
    let mut frames: Vec<(u64, &[u8])> = vec![(0, &giant); 200];
    frames.push((0, &[1; 60]));
    let file = capture(dir.path(), &frames);
    let mut wire = open_text(&format!("in={}", file.display()), true).unwrap();
    let got: Vec<_> = (0..10).flat_map(|_| drain(&mut *wire, T0, 9)).collect();
    assert_eq!(got, [[1; 60]]);
    assert!(wire.finished());
    // Nothing but giants, without end: there is an end.
    let file = capture(dir.path(), &frames[..200]);
    let mut wire = open_text(&format!("in={},loop=0", file.display()), true).unwrap();
    assert!((0..10).all(|_| drain(&mut *wire, T0, 9).is_empty()));
    assert!(wire.finished());
}

#[test]
fn a_damaged_capture_is_played_up_to_the_damage() {
    let dir = tempfile::tempdir().unwrap();
    let file = capture(dir.path(), &[(0, &[1; 60]), (1, &[2; 60])]);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    for plays in [1, 0] {
        let mut wire = open_text(&format!("in={},loop={plays}", file.display()), true).unwrap();
        assert_eq!(drain(&mut *wire, T0, 9), [[1; 60]]);
        assert!(matches!(wire.take_error(), Some(Error::Capture { offset: 100, .. })));
        assert!(drain(&mut *wire, T0, 9).is_empty());
        assert!(wire.finished() && wire.take_error().is_none());
    }
}

#[test]
fn what_is_sent_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.pcap");
    let text = format!("out={}", out.display());
    let mut wire = open_text(&text, true).unwrap();
    assert_eq!(wire.send(&[1; 60], Duration::from_nanos(3), false), Sent::Yes);
    assert_eq!(wire.send(&[2; 9000], Duration::from_nanos(1_000_000_007), false), Sent::Yes);
    assert!(!wire.finished());
    drop(wire);
    let mut reader = Reader::open(&out).unwrap();
    let r = reader.next().unwrap().unwrap();
    assert_eq!((r.ts_ns, r.data), (3, &[1; 60][..]));
    let r = reader.next().unwrap().unwrap();
    assert_eq!((r.ts_ns, r.orig_len, r.data), (1_000_000_007, 9000, &[2; 9000][..]));
    assert!(reader.next().unwrap().is_none());

    // By the wall clock, in the distance of the NIC's times.
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut wire = open_text(&text, false).unwrap();
    wire.send(&[1; 60], Duration::from_secs(5), false);
    wire.send(&[1; 60], Duration::from_secs(5) + Duration::from_nanos(77), false);
    drop(wire);
    let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut reader = Reader::open(&out).unwrap();
    let first = reader.next().unwrap().unwrap().ts_ns;
    assert!((before..=after).contains(&first));
    assert_eq!(reader.next().unwrap().unwrap().ts_ns, first + 77);
}

#[test]
fn a_file_is_replaced_when_the_nic_runs_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.pcap");
    let text = format!("out={}", out.display());
    let precious = [b'p'; 500];
    fs::write(&out, precious).unwrap();
    drop(open_text(&text, true).unwrap());
    assert_eq!(fs::read(&out).unwrap(), precious);

    // Polled, but nothing sent: a valid capture without frames.
    let mut wire = open_text(&text, true).unwrap();
    wire.recv(T0, 9, &mut |_| true);
    drop(wire);
    assert_eq!(fs::metadata(&out).unwrap().len(), 24);
    assert!(Reader::open(&out).unwrap().next().unwrap().is_none());

    fs::write(&out, precious).unwrap();
    let mut wire = open_text(&text, true).unwrap();
    wire.send(&[1; 60], T0, false);
    drop(wire);
    assert_eq!(fs::metadata(&out).unwrap().len(), 24 + 16 + 60);
    // Neither a pipe nor a device can be emptied.
    let mut wire = open_text("out=/dev/null", true).unwrap();
    assert_eq!(wire.send(&[1; 60], T0, false), Sent::Yes);
}

#[test]
fn a_watched_recording_is_written_out_in_between() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.pcap");
    let mut wire = open_text(&format!("out={}", out.display()), true).unwrap();
    wire.send(&[1; 60], T0, false);
    wire.recv(Duration::from_millis(999), 9, &mut |_| true);
    assert_eq!(fs::metadata(&out).unwrap().len(), 24);
    wire.recv(Duration::from_millis(1000), 9, &mut |_| true);
    assert_eq!(fs::metadata(&out).unwrap().len(), 24 + 16 + 60);
}

#[test]
fn a_full_disk_is_reported_once_and_frames_are_lost_from_then_on() {
    let disk: Box<dyn Write + Send> = Box::new(SmallDisk(24));
    let mut wire = PcapWire {
        replay: None,
        record: Some(Record {
            output: Output::Begun(Writer::new(disk, "small disk", SNAPLEN).unwrap()),
            clock: Stamps::Virtual,
            flushed: T0,
            dirty: false,
            failed: false,
        }),
        error: None,
    };
    let lost = (0..10_000).find(|_| wire.send(&[0; 1514], T0, false) == Sent::Lost);
    assert!(lost.is_some());
    assert!(matches!(wire.take_error(), Some(Error::Io { .. })));
    assert_eq!(wire.send(&[0; 60], T0, false), Sent::Lost);
    wire.recv(Duration::from_secs(9), 9, &mut |_| true);
    assert!(wire.take_error().is_none());
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

#[test]
fn files_that_cannot_be_used_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().display();
    assert!(matches!(open_text(&format!("in={here}/none"), true), Err(Error::Io { .. })));
    assert!(matches!(
        open_text(&format!("in={here}"), true),
        Err(Error::Config { what: "in", .. })
    ));
    assert!(matches!(open_text("in=/dev/zero", true), Err(Error::Config { what: "in", .. })));
    assert!(matches!(open_text(&format!("out={here}/no/dir"), true), Err(Error::Io { .. })));
    // That a disk is full shows when something is written, which opening does not.
    let mut wire = open_text("out=/dev/full", true).unwrap();
    assert_eq!(wire.send(&[1; 60], T0, false), Sent::Lost);
    assert!(matches!(wire.take_error(), Some(Error::Io { .. })));
    fs::write(dir.path().join("text"), "hello").unwrap();
    assert!(matches!(open_text(&format!("in={here}/text"), true), Err(Error::Capture { .. })));

    // The recording must not overwrite the input, by whatever name.
    let file = capture(dir.path(), &[(0, &[1; 60])]);
    let before = fs::read(&file).unwrap();
    let link = dir.path().join("link.pcap");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for out in [&file, &link] {
        let text = format!("in={},out={}", file.display(), out.display());
        assert!(matches!(open_text(&text, true), Err(Error::Config { what: "out", .. })));
    }
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn bad_options_are_named() {
    for (text, name) in [
        ("", "wire pcap"),
        ("file.pcap", "wire pcap"),
        ("loop=2", "wire pcap"),
        ("in=x,speed=2", "wire pcap"),
        ("in=x,loop=often", "loop"),
        ("in=x,pace=fast", "pace"),
    ] {
        match open_text(text, true) {
            Err(Error::Config { what, .. }) => assert_eq!(what, name, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}
