//! The ring alone. (The loom test compiles `ring.rs` by itself, so they are not in there.)

use std::sync::Arc;

use super::ring::{Consumer, MAX_FRAME, Producer, Ring};
use proptest::prelude::*;

fn ends(words: usize) -> (Producer, Consumer) {
    let ring = Ring::new(words);
    (Producer::new(Arc::clone(&ring)), Consumer::new(ring))
}

#[test]
fn every_length_survives_at_every_place() {
    let (mut tx, mut rx) = ends(4096);
    let bytes: Vec<u8> = (0..MAX_FRAME).map(|i| (i * 7 + i / 256) as u8).collect();
    for length in (0..600).chain(MAX_FRAME - 20..=MAX_FRAME) {
        for timed in [None, Some(3)] {
            assert_eq!(tx.used(), 0);
            tx.push(&bytes[..length], timed);
            tx.publish();
            let mut seen = false;
            let taken = rx.take(|| 5, 2, &mut |frame| {
                seen = frame == &bytes[..length];
                true
            });
            assert!(taken == 1 && seen, "{length} bytes");
        }
    }
}

#[test]
fn a_frame_that_is_refused_or_not_due_stays() {
    let (mut tx, mut rx) = ends(4096);
    tx.push(&[1; 60], None);
    tx.publish();
    tx.push(&[2; 60], Some(100));
    tx.publish();
    tx.push(&[3; 60], None);
    tx.publish();
    assert_eq!(rx.take(|| 0, 9, &mut |_| false), 0);
    assert_eq!(rx.take(|| 99, 9, &mut |f| f[0] == 1), 1);
    assert_eq!(rx.take(|| 99, 9, &mut |_| panic!("not due")), 0);
    assert_eq!(rx.take(|| 100, 1, &mut |f| f[0] == 2), 1);
    assert_eq!(rx.take(|| 0, 9, &mut |f| f[0] == 3), 1);
    assert_eq!(tx.used(), 0);
}

#[test]
fn a_frame_refused_among_short_ones_comes_again_with_those_behind_it() {
    let (mut tx, mut rx) = ends(4096);
    for n in 0..40 {
        tx.push(&[n; 60], None);
    }
    tx.publish();
    let mut next = 0;
    for (refused, max) in [(5, 40), (16, 40), (20, 3), (40, 40)] {
        let before = next;
        let taken = rx.take(|| 0, max, &mut |frame| {
            assert_eq!(frame, [next; 60]);
            next += u8::from(next != refused);
            frame[0] != refused
        });
        assert_eq!(taken, max.min(usize::from(refused - before)));
    }
    assert_eq!((next, tx.used()), (40, 0));
}

#[test]
fn two_threads_lose_and_reorder_nothing() {
    // Small, so that both sides meet full and empty rings, and frames lie over the end.
    let (mut tx, mut rx) = ends(512);
    const FRAMES: u64 = 200_000;
    let sender = std::thread::spawn(move || {
        let mut frame = [0; 300];
        let mut sent = 0u64;
        while sent < FRAMES {
            let length = 60 + (sent * 31 % 240) as usize;
            if tx.used_at_most() + Producer::need(length, false) > 512
                && tx.used() + Producer::need(length, false) > 512
            {
                std::thread::yield_now();
                continue;
            }
            frame[..8].copy_from_slice(&sent.to_le_bytes());
            frame[length - 8..length].copy_from_slice(&(!sent).to_le_bytes());
            tx.push(&frame[..length], None);
            tx.publish();
            sent += 1;
        }
    });
    let mut next = 0u64;
    while next < FRAMES {
        let taken = rx.take(|| 0, 32, &mut |frame| {
            assert_eq!(frame.len(), 60 + (next * 31 % 240) as usize);
            assert_eq!(frame.first_chunk(), Some(&next.to_le_bytes()));
            assert_eq!(frame.last_chunk(), Some(&(!next).to_le_bytes()));
            next += 1;
            true
        });
        if taken == 0 {
            assert!(!sender.is_finished() || rx.look(), "the sender gave up");
            std::thread::yield_now();
        }
    }
    sender.join().unwrap();
    assert!(!rx.look());
}

proptest! {
    #[test]
    fn a_ring_is_a_queue(
        steps in prop::collection::vec((prop::bool::ANY, prop_oneof![0usize..900, 0usize..70], prop::option::weighted(0.3, 0u64..50)), 0..300),
    ) {
        let (mut tx, mut rx) = ends(256);
        let mut model = std::collections::VecDeque::new();
        for (now, (push, length, due)) in (1..).zip(steps) {
            let need = Producer::need(length, due.is_some());
            if push && tx.used() + need <= 256 {
                let frame: Vec<u8> = (0..length).map(|i| i as u8 ^ now as u8).collect();
                tx.push(&frame, due);
                tx.publish();
                model.push_back((frame, due));
            } else if !push {
                let mut wrong = false;
                let taken = rx.take(|| now, length % 5, &mut |frame| {
                    let expected = model.pop_front();
                    wrong |= expected.is_none_or(|(f, due)| f != frame || due > Some(now));
                    true
                });
                prop_assert!(!wrong && taken <= length % 5);
                if taken < length % 5 {
                    prop_assert!(model.front().is_none_or(|(_, due)| *due > Some(now)));
                }
            }
        }
    }
}
