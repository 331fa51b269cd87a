use super::*;
use proptest::prelude::*;

fn plug_with(text: &str, virtual_time: bool) -> Result<End> {
    let ctx = WireContext { nic: "test", seed: 7, virtual_time, mbps: 10_000 };
    plug(&Options::parse(text)?, &ctx)
}

/// Two ends; every test names its own cable.
fn pair(text: &str) -> (End, End) {
    (plug_with(text, true).unwrap(), plug_with(text, true).unwrap())
}

const T0: Duration = Duration::ZERO;

fn drain(end: &mut End, now: Duration) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    end.recv(now, usize::MAX, &mut |frame| {
        frames.push(frame.to_vec());
        true
    });
    frames
}

/// Sends until the wire says otherwise; returns how many went and what it said.
fn fill(end: &mut End, frame: &[u8], obey: bool) -> (u64, Sent) {
    for sent in 0..1_000_000 {
        match end.send(frame, T0, obey) {
            Sent::Yes => {}
            other => return (sent, other),
        }
    }
    panic!("the cable never fills");
}

#[test]
fn both_directions_carry_frames_in_order() {
    let (mut a, mut b) = pair("order");
    for i in 0..100u8 {
        assert_eq!(a.send(&[i; 60], T0, false), Sent::Yes);
        assert_eq!(b.send(&[!i; 61], T0, false), Sent::Yes);
    }
    let at_b: Vec<_> = (0..100u8).map(|i| vec![i; 60]).collect();
    let at_a: Vec<_> = (0..100u8).map(|i| vec![!i; 61]).collect();
    assert_eq!(drain(&mut b, T0), at_b);
    assert_eq!(drain(&mut a, T0), at_a);
}

#[test]
fn no_link_until_both_ends_are_plugged_in() {
    let mut a = plug_with("link", false).unwrap();
    assert!(!a.link_up());
    assert_eq!(a.send(&[0; 60], T0, false), Sent::Wait);
    assert_eq!(a.recv(T0, 9, &mut |_| true), 0);
    let b = plug_with("link", false).unwrap();
    assert!(a.link_up() && b.link_up());
    assert!(matches!(plug_with("link", false), Err(Error::Config { .. })));
    drop(b);
    assert!(!a.link_up());
    let _b = plug_with("link", false).unwrap();
    assert!(a.link_up());
}

#[test]
fn a_new_neighbour_gets_nothing_old_and_the_old_ones_frames_still_arrive() {
    let (mut a, mut b) = pair("rejoin");
    a.send(&[1; 60], T0, false);
    b.send(&[2; 60], T0, false);
    drop(b);
    assert_eq!(a.send(&[3; 60], T0, false), Sent::Wait);
    let mut b = plug_with("rejoin", true).unwrap();
    b.send(&[4; 60], T0, false);
    assert!(drain(&mut b, T0).is_empty());
    a.send(&[5; 60], T0, false);
    assert_eq!(drain(&mut b, T0), [[5; 60]]);
    let mut at_a = drain(&mut a, T0);
    at_a.extend(drain(&mut a, T0));
    assert_eq!(at_a, [[2; 60], [4; 60]]);
    // The other side leaves and comes back, too.
    drop(a);
    let mut a = plug_with("rejoin", true).unwrap();
    b.send(&[6; 60], T0, false);
    a.send(&[7; 60], T0, false);
    assert_eq!(drain(&mut a, T0), [[6; 60]]);
    assert_eq!(drain(&mut b, T0), [[7; 60]]);
}

#[test]
fn the_last_end_takes_the_cable_away() {
    let (a, b) = pair("gone");
    let weak = Arc::downgrade(&a.cable);
    drop(a);
    assert!(CABLES.lock().unwrap().contains_key("gone"));
    drop(b);
    assert!(!CABLES.lock().unwrap().contains_key("gone"));
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_full_fifo_loses_frames_and_the_receiver_counts_them() {
    let (mut a, mut b) = pair("full,fifo=65536");
    // With pause obeyed but not announced, nothing holds the sender back.
    let (sent, end) = fill(&mut a, &[0; 1000], true);
    assert_eq!((sent, end), (65_536 / 1008, Sent::Lost));
    assert_eq!(a.send(&[0; 1000], T0, false), Sent::Lost);
    assert_eq!((b.take_missed(), b.take_missed(), a.take_missed()), (2, 0, 0));
    assert_eq!((a.take_pauses(), b.take_pauses()), ((0, 0), (0, 0)));
    assert_eq!(drain(&mut b, T0).len() as u64, sent);
    assert_eq!(a.send(&[0; 1000], T0, false), Sent::Yes);
}

#[test]
fn pause_frames_hold_an_obedient_sender_between_the_marks() {
    let (mut a, mut b) = pair("pause,fifo=65536");
    b.announce_pause(true);
    let (sent, end) = fill(&mut a, &[0; 1000], true);
    assert_eq!((sent, end), (65_536 * 3 / 4 / 1008, Sent::Wait));
    // Not until half of the FIFO is free.
    assert_eq!(b.recv(T0, 10, &mut |_| true), 10);
    assert_eq!(a.send(&[0; 1000], T0, true), Sent::Wait);
    assert_eq!((a.take_pauses(), b.take_pauses()), ((0, 1), (1, 0)));
    assert_eq!(b.recv(T0, 10, &mut |_| true), 10);
    let (more, end) = fill(&mut a, &[0; 1000], true);
    assert_eq!((more, end), (20, Sent::Wait));
    assert_eq!((a.take_pauses(), b.take_pauses()), ((0, 1), (1, 0)));
    assert_eq!((b.take_missed(), a.lost), (0, 0));
    // Withdrawing the announcement frees the sender, and then frames are lost.
    b.announce_pause(false);
    let (rest, end) = fill(&mut a, &[0; 1000], true);
    assert_eq!((sent - 20 + more + rest, end), (65_536 / 1008, Sent::Lost));
}

#[test]
fn a_sender_that_ignores_pause_overruns_the_receiver() {
    let (mut a, mut b) = pair("ignore,fifo=65536");
    b.announce_pause(true);
    let (sent, end) = fill(&mut a, &[0; 1000], false);
    assert_eq!((sent, end), (65_536 / 1008, Sent::Lost));
    assert_eq!((a.take_pauses(), b.take_pauses()), ((0, 0), (1, 0)));
    assert_eq!(b.take_missed(), 1);
}

#[test]
fn rate_and_delay_decide_when_a_frame_arrives() {
    let (mut a, mut b) = pair("timed,rate=1g,delay=5us");
    assert_eq!((a.speed_mbps(), b.speed_mbps()), (1_000, 1_000));
    a.send(&[1; 60], T0, false);
    a.send(&[2; 60], T0, false);
    let at = Duration::from_nanos;
    assert!(drain(&mut b, at(5_671)).is_empty());
    assert_eq!(drain(&mut b, at(5_672)), [[1; 60]]);
    assert!(drain(&mut b, at(6_343)).is_empty());
    assert_eq!(drain(&mut b, at(6_344)), [[2; 60]]);
    // The sender's packet buffer takes 160 KiB, then the line has to move first.
    let (sent, end) = fill(&mut a, &[0; 1000], false);
    assert_eq!((sent, end), (160, Sent::Wait));
    assert_eq!(a.send(&[0; 1000], at(2_000_000), false), Sent::Yes);
    assert_eq!((drain(&mut b, at(3_000_000)).len(), b.take_missed()), (161, 0));
}

#[test]
fn one_slow_end_sets_the_speed_of_the_link() {
    let a = plug_with("speed", true).unwrap();
    assert_eq!(a.speed_mbps(), 10_000);
    let b = plug_with("speed,rate=100m", true).unwrap();
    assert_eq!((a.speed_mbps(), b.speed_mbps()), (100, 100));
    drop(b);
    assert_eq!(a.speed_mbps(), 10_000);
}

#[test]
fn lossy_cables_lose_on_the_way_and_not_in_the_fifo() {
    let (mut a, mut b) = pair("lossy,loss=0.25");
    let lost = (0..4_000).filter(|_| a.send(&[0; 60], T0, true) == Sent::Lost).count();
    assert!((900..1_100).contains(&lost), "{lost}");
    assert_eq!((drain(&mut b, T0).len() + lost, a.lost), (4_000, lost as u64));
    assert_eq!(b.take_missed(), 0);
}

#[test]
fn stepped_and_real_time_do_not_mix_when_time_matters() {
    let _a = plug_with("mix,delay=1us", true).unwrap();
    assert!(plug_with("mix", false).is_err());
    let _b = plug_with("mix", true).unwrap();
    let _c = plug_with("mix2", false).unwrap();
    assert!(plug_with("mix2,rate=1g", true).is_err());
    let _d = plug_with("mix2", true).unwrap();
}

#[test]
fn bad_options_are_named() {
    let what = |text: &str| match plug_with(text, false) {
        Err(Error::Config { what, .. }) => what,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(what(""), "wire cable");
    assert_eq!(what("bad,colour=blue"), "wire cable");
    assert_eq!(what("bad,loss=2"), "loss");
    assert_eq!(what("bad,rate=fast"), "rate");
    assert_eq!(what("bad,fifo=100"), "fifo");
    assert_eq!(what("bad,delay=1s,rate=100g"), "delay");
    assert!(!CABLES.lock().unwrap().contains_key("bad"));
}

#[test]
fn messages_show_no_ring_content() {
    let (mut a, b) = pair("debug");
    a.send(&[0; 60], T0, false);
    assert!(format!("{a:?}{b:?}").len() < 4_000);
}

#[test]
fn frames_beyond_any_nics_limit_are_lost() {
    let (mut a, mut b) = pair("giant");
    assert_eq!(a.send(&[1; MAX_FRAME], T0, false), Sent::Yes);
    assert_eq!(a.send(&[1; MAX_FRAME + 1], T0, false), Sent::Lost);
    assert_eq!(drain(&mut b, T0).len(), 1);
}

/// Frames for the two-thread test; enough that both sides meet every state of the ring.
const FRAMES: u64 = if cfg!(debug_assertions) { 500_000 } else { 5_000_000 };

#[test]
fn two_threads_lose_and_reorder_nothing() {
    let (mut a, mut b) = pair("threads,fifo=65536");
    b.announce_pause(true);
    std::thread::scope(|scope| {
        let sender = scope.spawn(move || {
            let mut frame = [0; 60];
            let (mut sent, mut waits) = (0u64, 0u64);
            while sent < FRAMES {
                frame[..8].copy_from_slice(&sent.to_le_bytes());
                match a.send(&frame, T0, true) {
                    Sent::Yes => sent += 1,
                    Sent::Lost => panic!("lost at {sent}"),
                    Sent::Wait if !a.link_up() => return a,
                    Sent::Wait => {
                        waits += 1;
                        std::thread::yield_now();
                    }
                }
            }
            let (_, paused) = a.take_pauses();
            assert!(paused <= waits);
            // Kept, so that the link stays up until everything is taken.
            a
        });
        let mut next = 0u64;
        while next < FRAMES {
            let taken = b.recv(T0, 32, &mut |frame| {
                assert_eq!((frame.len(), frame.first_chunk()), (60, Some(&next.to_le_bytes())));
                next += 1;
                true
            });
            if taken == 0 {
                std::thread::yield_now();
            }
        }
        drop(sender.join().unwrap());
    });
    assert_eq!(b.take_missed(), 0);
    assert!(!b.link_up());
}

proptest! {
    /// Whatever the options, opening answers and two ends carry what they accept.
    #[test]
    fn any_options_are_judged(
        options in prop::collection::vec(
            (prop::sample::select(&["rate", "delay", "loss", "fifo", "x"][..]),
             prop_oneof!["[0-9]{1,9}(\\.[0-9])?(ns|us|ms|s|k|m|g|)", "\\PC{0,6}"]),
            0..4,
        ),
    ) {
        let mut text = "options".to_owned();
        for (key, value) in options {
            // A large delay or FIFO takes as much memory, and this runs many times.
            if value.len() > 5 && matches!(key, "fifo" | "delay") {
                continue;
            }
            text += &format!(",{key}={value}");
        }
        if let Ok(mut a) = plug_with(&text, true) {
            let mut b = plug_with(&text, true).unwrap();
            let sent = a.send(&[1; 60], T0, false);
            let got = drain(&mut b, Duration::from_secs(1 << 40));
            prop_assert_eq!(got.len(), usize::from(sent == Sent::Yes));
        }
    }
}
