use super::check::Counts;
use super::stamp::Reading;
use super::*;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::*;

const T0: Duration = Duration::ZERO;

fn generator(text: &str) -> Result<Generator> {
    let ctx = WireContext { nic: "test", seed: 0, virtual_time: true, mbps: 10_000 };
    build(&Options::parse(text)?, &ctx)
}

fn drain(wire: &mut dyn Wire, now: Duration, max: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    wire.recv(now, max, &mut |frame| {
        frames.push(frame.to_vec());
        true
    });
    frames
}

fn seq(frame: &[u8]) -> u64 {
    match stamp::read(frame) {
        Reading::Good { seq, .. } => seq,
        other => panic!("{other:?}"),
    }
}

#[test]
fn frames_are_udp_in_ipv4_with_right_lengths_and_checksum() {
    for size in [60, 61, 1514, 9014, 15_868] {
        let mut wire = generator(&format!("size={size},flows=3,dst=02:00:00:00:00:01")).unwrap();
        for (i, frame) in drain(&mut wire, T0, 7).into_iter().enumerate() {
            assert_eq!(frame.len(), size);
            let packet = SlicedPacket::from_ethernet(&frame).unwrap();
            let Some(NetSlice::Ipv4(ip)) = &packet.net else { panic!("not IPv4") };
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            assert_eq!(usize::from(header.total_len), size - 14);
            let Some(TransportSlice::Udp(udp)) = &packet.transport else { panic!("not UDP") };
            assert_eq!(usize::from(udp.length()), size - 34);
            assert_eq!(usize::from(udp.source_port()), 49_152 + i % 3);
            assert_eq!(frame[..6], [2, 0, 0, 0, 0, 1]);
            assert_eq!(seq(&frame), i as u64);
        }
    }
}

#[test]
fn count_frames_and_then_it_is_finished() {
    let mut wire = generator("count=10").unwrap();
    assert_eq!(drain(&mut wire, T0, 7).len(), 7);
    assert_eq!(wire.recv(T0, 7, &mut |_| false), 0);
    assert!(!wire.finished());
    let rest: Vec<u64> = drain(&mut wire, T0, 7).iter().map(|f| seq(f)).collect();
    assert_eq!(rest, [7, 8, 9]);
    assert!(wire.finished() && drain(&mut wire, T0, 7).is_empty());
    assert!(generator("count=0").unwrap().finished());
    let mut endless = generator("").unwrap();
    assert_eq!(drain(&mut endless, T0, 10_000).len(), 10_000);
    assert!(!endless.finished());
}

#[test]
fn without_stamps_all_frames_are_the_same() {
    let mut wire = generator("seq=off").unwrap();
    let frames = drain(&mut wire, T0, 2);
    assert_eq!(frames[0], frames[1]);
    assert_eq!(stamp::read(&frames[0]), Reading::Foreign);
}

#[test]
fn a_rate_is_kept_from_the_first_poll_on() {
    let mut wire = generator("rate=1k,count=100").unwrap();
    let at = |us| Duration::from_secs(9) + Duration::from_micros(us);
    assert_eq!(drain(&mut wire, at(0), 99).len(), 1);
    assert_eq!(drain(&mut wire, at(999), 99).len(), 0);
    assert_eq!(drain(&mut wire, at(1_000), 99).len(), 1);
    assert_eq!(drain(&mut wire, at(50_500), 10).len(), 10);
    assert_eq!(drain(&mut wire, at(50_500), 99).len(), 39);
    assert_eq!(drain(&mut wire, at(10_000_000), 99).len(), 49);
    assert!(wire.finished());
    assert_eq!(wire.take_missed(), 0);
}

#[test]
fn line_rate_is_14_88_million_small_frames_a_second() {
    let mut wire = generator("rate=line").unwrap();
    let mut frames = 0;
    for step in 0..=10_000 {
        // Every microsecond for 10 ms.
        frames += wire.recv(Duration::from_micros(step), 99, &mut |_| true);
    }
    assert_eq!(frames, 148_809 + 1);
}

#[test]
fn an_overflowing_fifo_loses_frames_and_their_numbers() {
    let mut wire = generator("rate=1m,size=1024").unwrap();
    assert_eq!(wire.recv(T0, 1, &mut |_| true), 1);
    // 512 frames fit; 1000 more came due.
    assert_eq!(wire.recv(Duration::from_millis(1), 9, &mut |_| false), 0);
    assert_eq!((wire.take_missed(), wire.take_missed()), (488, 0));
    let frames = drain(&mut wire, Duration::from_millis(1), 9_999);
    assert_eq!((frames.len(), seq(&frames[0])), (512, 489));
    assert_eq!(wire.take_pauses(), (0, 0));
}

#[test]
fn a_paused_generator_withholds_frames_and_loses_none() {
    let mut wire = generator("rate=1m,size=1024,count=3000").unwrap();
    wire.announce_pause(true);
    for ms in 0..3 {
        wire.recv(Duration::from_millis(ms), 9, &mut |_| false);
    }
    assert_eq!((wire.take_pauses(), wire.take_missed()), ((1, 0), 0));
    let frames = drain(&mut wire, Duration::from_millis(2), 9_999);
    assert_eq!((frames.len(), seq(&frames[0])), (512, 0));
    // And goes on at its rate.
    let frames = drain(&mut wire, Duration::from_micros(2_100), 9_999);
    assert_eq!((frames.len(), seq(&frames[0])), (100, 512));
    wire.recv(Duration::from_millis(9), 9, &mut |_| false);
    assert_eq!((wire.take_pauses(), wire.take_missed()), ((1, 0), 0));
}

#[test]
fn what_the_nic_sends_is_checked() {
    let mut wire = generator("").unwrap();
    let mut send = |stream, seq, damage: bool| {
        let mut frame = template(MacAddr([0xff; 6]), 100);
        frame[STAMP_AT..STAMP_AT + STAMP].copy_from_slice(&Stamp::new(stream, 100).bytes(seq));
        frame[STAMP_AT + 12] ^= u8::from(damage);
        assert_eq!(wire.send(&frame, T0, true), Sent::Yes);
    };
    for seq in [5, 6, 7, 10, 8, 11, 0, 1] {
        send(3, seq, false);
    }
    send(4, 0, false);
    send(4, 1, true);
    send(300, 0, false);
    assert_eq!(wire.send(&[0; 60], T0, true), Sent::Yes);
    let counts = Counts {
        frames: 12,
        bytes: 11 * 100 + 60,
        good: 7,
        gaps: 1,
        missing: 2,
        late: 1,
        damaged: 1,
        other: 2,
    };
    assert_eq!(wire.checker.counts, counts);
}

#[test]
fn a_frame_that_was_cut_or_tagged_on_the_way_is_known() {
    let mut frame = drain(&mut generator("size=80,stream=7").unwrap(), T0, 1).remove(0);
    assert_eq!(stamp::read(&frame), Reading::Good { stream: 7, seq: 0 });
    assert_eq!(stamp::read(&frame[..79]), Reading::Damaged);
    frame.splice(12..12, [0x81, 0, 0, 5]);
    // Longer by the tag, so not the length that was sent.
    assert_eq!(stamp::read(&frame), Reading::Damaged);
}

#[test]
fn pktgen_and_the_generator_agree_on_the_stamp() {
    // Magic, stream 1, length 60, number 2, and the check over them, worked out by hand from the
    // formula's definition.
    let mark = 0x6277_7067_0001_003cu64;
    let product = (mark ^ 2u64.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut expected = mark.to_be_bytes().to_vec();
    expected.extend(2u64.to_be_bytes());
    expected.extend(&product.to_be_bytes()[..2]);
    assert_eq!(Stamp::new(1, 60).bytes(2).to_vec(), expected);
}

#[test]
fn bad_options_are_named() {
    for (text, name) in [
        ("fast", "wire gen"),
        ("colour=blue", "wire gen"),
        ("size=59", "size"),
        ("size=15869", "size"),
        ("count=many", "count"),
        ("rate=0", "rate"),
        ("rate=", "rate"),
        ("rate=nan", "rate"),
        ("rate=2000m", "rate"),
        ("seq=yes", "seq"),
        ("flows=0", "flows"),
        ("flows=16385", "flows"),
        ("stream=65536", "stream"),
        ("dst=here", "dst"),
    ] {
        match generator(text) {
            Err(Error::Config { what, .. }) => assert_eq!(what, name, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(generator("size=15868,count=0,rate=1.5m,flows=16384,stream=65535,seq=on").is_ok());
}

proptest! {
    #[test]
    fn any_frame_can_be_checked(frame in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut wire = generator("").unwrap();
        wire.send(&frame, T0, false);
        prop_assert_eq!(wire.checker.counts.frames, 1);
    }

    #[test]
    fn any_options_are_judged(
        options in prop::collection::vec(
            (prop::sample::select(&["size", "count", "rate", "seq", "flows", "stream", "dst"][..]),
             prop_oneof!["[0-9]{1,20}[km]?", "\\PC{0,8}"]),
            0..5,
        ),
    ) {
        let text: Vec<_> = options.iter().map(|(k, v)| format!("{k}={v}")).collect();
        if let Ok(mut wire) = generator(&text.join(",")) {
            for now in [0, 1, u64::MAX] {
                wire.recv(Duration::from_nanos(now), 3, &mut |frame| frame.len() >= 60);
            }
        }
    }

    #[test]
    fn any_clock_will_do(
        times in prop::collection::vec(any::<u64>(), 1..20), rate in 1u64..=1_000_000_000,
        pause: bool, count in prop::option::of(any::<u64>()),
    ) {
        let count = count.map(|n| format!(",count={n}")).unwrap_or_default();
        let mut wire = generator(&format!("rate={rate}{count}")).unwrap();
        wire.announce_pause(pause);
        for time in times {
            let taken = wire.recv(Duration::from_nanos(time), 16, &mut |_| true);
            prop_assert!(taken <= 16);
        }
    }
}
