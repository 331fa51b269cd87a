//! pktgen's loops from end to end, over a pipe.

use std::sync::Arc;

use barewire::Mempool;
use barewire::pool::PoolConfig;
use barewire::port::MacAddr;
use clap::Parser;

use crate::check::Checker;
use crate::common::counts::Snapshot;
use crate::common::pulse::Pulse;
use crate::engine::{Judge, Lane, RxSide, Source, TxSide, both, receive, send};
use crate::pace::{Pacer, Rate};
use crate::pipe::{Act, Mischief, pair};
use crate::template::{FrameOptions, Generator, Template};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    frames: FrameOptions,
}

/// Sends `count` packets over `streams` lanes; gives the final counts.
fn run(
    (threads, streams): (usize, u16),
    count: u64,
    room: usize,
    mischief: Mischief,
    rate: Rate,
) -> Snapshot {
    let pool = Mempool::new(&PoolConfig { count: 4096, ..PoolConfig::default() }).unwrap();
    let (mut lanes, mut queues, mut templates) = (Vec::new(), Vec::new(), Vec::new());
    for stream in 0..streams {
        let frames = Cli::parse_from(["test", "--size", "64-70"]).frames;
        let template = Template::new(&frames, stream, MacAddr([2; 6]), MacAddr([4; 6])).unwrap();
        let template = Arc::new(template);
        templates.push(Arc::clone(&template));
        let (tx, rx) = pair(room, mischief);
        lanes.push(Lane::new(tx, Source::Made(Generator::new(template)), 32));
        queues.push(rx);
    }
    let pacer = Pacer::new(rate, 1e10);
    let tx = TxSide::new(0, lanes, Vec::new(), pool.cache(), pacer, Some(count));
    let judge = Judge::Stamps(Checker::knowing(templates));
    let rx = RxSide::new(1, queues, 32, pool.cache(), judge, true, true);
    let pulse = Pulse::new(threads);
    if room == 0 {
        // Nothing will move: as if Ctrl-C had come already.
        pulse.stop();
    }
    std::thread::scope(|scope| {
        let seat = pulse.seat(0);
        if threads == 1 {
            scope.spawn(move || both(seat, tx, rx));
        } else {
            let other = pulse.seat(1);
            scope.spawn(move || send(seat, vec![tx], true));
            scope.spawn(move || receive(other, vec![rx], true, None));
        }
    });
    pulse.snapshot()
}

fn extra(snap: &Snapshot, name: &str) -> u64 {
    snap.extra.iter().find(|(n, _)| *n == name).unwrap().1
}

#[test]
fn everything_arrives_in_either_mode_and_at_any_pace() {
    for threads in [1, 2] {
        for rate in [Rate::Max, Rate::Packets(1e6)] {
            let s = run((threads, 2), 10_000, 64, |_| Act::Pass, rate);
            assert_eq!(s.ports[0].tx.packets, 10_000);
            assert_eq!((s.ports[0].generated, s.ports[0].offered), (10_000, 10_000));
            assert_eq!((s.ports[1].rx.packets, s.ports[1].consumed), (10_000, 10_000));
            assert_eq!((extra(&s, "good"), extra(&s, "lost"), s.faults), (10_000, 0, 0));
        }
    }
}

#[test]
fn every_kind_of_mischief_is_counted_exactly() {
    for threads in [1, 2] {
        let mischief = |n| match n {
            // The last is lost: no later packet shows the gap.
            100..110 | 4999 => Act::Lose,
            200..203 => Act::Double,
            300 | 310 => Act::Hold,
            400..405 => Act::Damage,
            _ => Act::Pass,
        };
        let s = run((threads, 1), 5000, 256, mischief, Rate::Max);
        assert_eq!(s.ports[0].tx.packets, 5000);
        assert_eq!(extra(&s, "duplicate"), 3);
        assert_eq!(extra(&s, "reordered"), 2);
        assert_eq!(extra(&s, "corrupt"), 5);
        assert_eq!(extra(&s, "lost"), 11 + 5);
        assert_eq!(extra(&s, "good"), 5000 - 16);
        assert_eq!(s.faults, 3 + 2 + 5);
    }
}

#[test]
fn a_transmit_ring_that_never_empties_ends_the_run_and_is_told() {
    let s = run((1, 2), 100, 0, |_| Act::Pass, Rate::Max);
    assert_eq!((s.ports[0].offered, s.ports[0].unsent, s.ports[0].tx.packets), (64, 64, 0));
    assert_eq!((extra(&s, "good"), extra(&s, "lost")), (0, 0));
}
