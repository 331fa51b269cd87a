use clap::Parser;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use super::*;
use crate::check::{Checker, Findings};
use barewire::Mempool;
use barewire::pool::PoolConfig;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    frames: FrameOptions,
}

const SRC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const DST: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

fn template(args: &[&str], stream: u16) -> Template {
    let options = Cli::parse_from([&["test"], args].concat()).frames;
    Template::new(&options, stream, SRC, DST).unwrap()
}

/// The first `n` frames of a stream.
fn frames(args: &[&str], stream: u16, n: usize) -> (Arc<Template>, Vec<Vec<u8>>) {
    let template = Arc::new(template(args, stream));
    let mut generator = Generator::new(Arc::clone(&template));
    let pool = Mempool::new(&PoolConfig { count: 64, ..PoolConfig::default() }).unwrap();
    let (mut cache, mut batch) = (pool.cache(), Batch::new(32));
    if n <= 32 && template.image.len() <= 2048 {
        // As pktgen does it, by batches.
        cache.alloc_batch(&mut batch, n);
        generator.make_all(&mut batch);
        return (template, batch.iter().map(|p| p.data().to_vec()).collect());
    }
    let make = |_| {
        let mut bytes = vec![0xee; usize::from(generator.next_len())];
        generator.write(&mut bytes);
        bytes
    };
    let made = (0..n).map(make).collect();
    (template, made)
}

/// Checks a frame with an independent parser; gives (src ip, dst ip, src port, dst port).
fn parse(frame: &[u8]) -> ([u8; 4], [u8; 4], u16, u16) {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let Some(NetSlice::Ipv4(ip)) = packet.net else { panic!("no IPv4") };
    let header = ip.header().to_header();
    assert_eq!(header.calc_header_checksum(), header.header_checksum);
    let link = if packet.link_exts.is_empty() { 14 } else { 18 };
    assert_eq!(usize::from(header.total_len), frame.len() - link);
    let Some(TransportSlice::Udp(udp)) = packet.transport else { panic!("no UDP") };
    assert_eq!(usize::from(udp.length()), frame.len() - link - 20);
    assert_eq!(udp.checksum(), 0);
    (header.source, header.destination, udp.source_port(), udp.destination_port())
}

#[test]
fn the_smallest_frame_is_valid_and_verifies() {
    let (t, made) = frames(&[], 3, 2);
    assert_eq!(made[0].len(), 60);
    assert_eq!(parse(&made[0]), ([198, 18, 0, 1], [198, 18, 0, 2], 49155, 9));
    assert_eq!(made[0][..12], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    for (seq, frame) in made.iter().enumerate() {
        assert!(t.verify(frame));
        assert_eq!(read_stamp(frame), Reading::Good(Stamp { stream: 3, seq: seq as u64 }));
    }
}

#[test]
fn every_size_and_tag_is_valid() {
    for args in [
        &["--size", "imix"][..],
        &["--size", "68-300", "--vlan", "5"],
        &["--size", "64-80", "--src-ip", "10.0.0.0/8", "--dst-port", "1-9"],
        &["--size", "9018", "--dst-ip", "1.2.3.4-1.2.3.9"],
    ] {
        let (t, made) = frames(args, 1, 300);
        for (seq, frame) in made.iter().enumerate() {
            parse(frame);
            assert!(t.verify(frame), "{args:?} {seq}");
            assert_eq!(read_stamp(frame), Reading::Good(Stamp { stream: 1, seq: seq as u64 }));
        }
    }
}

#[test]
fn unnumbered_frames_are_all_alike_and_nobodys() {
    for args in [&["--unnumbered"][..], &["--unnumbered", "--size", "200", "--vlan", "5"]] {
        let (_, made) = frames(args, 1, 20);
        parse(&made[0]);
        assert!(made.iter().all(|frame| *frame == made[0]), "{args:?}");
        assert_eq!(read_stamp(&made[0]), Reading::Foreign);
        let (_, numbered) = frames(&args[1..], 1, 1);
        assert_eq!(made[0][..42], numbered[0][..42], "{args:?}");
    }
}

#[test]
fn fields_step_from_packet_to_packet() {
    let (t, made) = frames(&["--src-ip", "10.0.0.1-10.0.0.2", "--dst-port", "5-7"], 0, 4);
    assert!(!t.one_flow());
    let seen: Vec<_> = made.iter().map(|f| parse(f)).map(|p| (p.0[3], p.3)).collect();
    assert_eq!(seen, [(1, 5), (2, 6), (1, 7), (2, 5)]);
}

#[test]
fn any_changed_byte_is_noticed() {
    for args in [&["--size", "80"][..], &["--size", "100", "--vlan", "7"], &[]] {
        let (t, made) = frames(args, 0, 1);
        let found = |frame: &[u8]| {
            let mut checker = Checker::knowing(vec![Arc::clone(&t)]);
            checker.packet(frame);
            checker.findings()
        };
        assert_eq!(found(&made[0]), Findings { good: 1, ..Findings::default() });
        for i in 0..made[0].len() {
            for bit in 0..8 {
                let mut bad = made[0].clone();
                bad[i] ^= 1 << bit;
                let f = found(&bad);
                assert_eq!((f.good, f.corrupt + f.foreign), (0, 1), "{args:?} byte {i}");
            }
        }
    }
}

#[test]
fn short_and_strange_frames_are_foreign_or_damaged() {
    let (t, made) = frames(&[], 0, 1);
    for n in 0..60 {
        assert_ne!(read_stamp(&made[0][..n]), Reading::Good(Stamp { stream: 0, seq: 0 }));
        assert!(!t.verify(&made[0][..n]));
    }
    let longer = [&made[0][..], &[0; 4]].concat();
    assert_eq!(read_stamp(&longer), Reading::Damaged);
    assert!(!t.verify(&longer));
    assert_eq!(read_stamp(&[0; 60]), Reading::Foreign);
}

#[test]
fn sizes_out_of_range_are_refused() {
    for bad in ["63", "9019", "0", "", "-", "100-64", "x", "64-99999"] {
        assert!(parse_sizes(bad).is_err(), "{bad}");
    }
    let options = Cli::parse_from(["test", "--vlan", "1"]).frames;
    assert!(Template::new(&options, 0, SRC, DST).unwrap_err().contains("68 to 9018"));
}
