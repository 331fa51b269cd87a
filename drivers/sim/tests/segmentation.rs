//! Segmentation through the rings: contexts, descriptors, the wire, counters.

use std::sync::atomic::Ordering;

use etherparse::PacketBuilder;

use super::super::packet::{Check, checksum, parse, vlan_tag};
use super::super::{FaultKind, Model};
use super::rig::Rig;
use crate::drivers::igb::regs::{GPTC as GPTC_IGB, TSCTC};
use crate::drivers::intel::TxDesc;
use crate::drivers::ixgbe::regs::{GOTCH, GOTCL, GPTC, QPTC, TDH};
use crate::mmio::Register;
use crate::pool::Mbuf;

const HEADER: usize = 54;
const TSE: u64 = 1 << 31;
const VLE: u64 = 1 << 30;
const IXSM: u64 = 1 << 40;
const TXSM: u64 = 1 << 41;

/// Header and payload of a TCP packet in IPv4, as a driver hands it over for segmentation.
fn packet(payload: usize) -> (Vec<u8>, Vec<u8>) {
    let mut header = Vec::new();
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(1000, 2000, 7, 512)
        .write(&mut header, &[])
        .unwrap();
    header[16..18].fill(0);
    header[24..26].fill(0);
    let mut pseudo = header[26..34].to_vec();
    pseudo.extend([0, 6]);
    let seed = checksum(&pseudo).map(|b| !b);
    header[50..52].copy_from_slice(&seed);
    (header, (0..payload).map(|n| (n * 7 + n / 256) as u8).collect())
}

/// Posts a context and the packet: the header in a descriptor of its own, the rest in pieces.
fn post(rig: &mut Rig, mss: u64, payload: usize, more: u64) -> (Vec<u8>, Vec<Mbuf>) {
    let (header, data) = packet(payload);
    let tcp4 = TxDesc::DEXT | 2 << 20 | 1 << 10 | 1 << 11;
    rig.descriptor(0x123 << 16 | 14 << 9 | 20, tcp4 | 20 << 40 | mss << 48);
    let command = TSE | TXSM | IXSM | more;
    let (iova, m) = rig.buffer(&header);
    rig.descriptor(iova, TxDesc::data(HEADER as u16, payload as u32, command));
    let mut kept = vec![m];
    let count = data.chunks(1500).count();
    for (n, piece) in data.chunks(1500).enumerate() {
        let (iova, m) = rig.buffer(piece);
        let end = if n + 1 == count { TxDesc::EOP | TxDesc::RS } else { 0 };
        rig.descriptor(iova, TxDesc::data(piece.len() as u16, payload as u32, command | end));
        kept.push(m);
    }
    (data, kept)
}

/// Checks that frames are good and in order, and puts their payload together.
fn joined(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut all = Vec::new();
    for (n, frame) in (0u16..).zip(frames) {
        let p = parse(frame);
        assert_eq!((p.ip, p.transport), (Check::Good, Check::Good));
        assert_eq!(frame[p.l3 + 4..p.l3 + 6], n.to_be_bytes(), "identification");
        let seq = u32::from_be_bytes(*frame[p.l4 + 4..].first_chunk().unwrap());
        assert_eq!(seq as usize, 7 + all.len());
        all.extend(&frame[p.l4 + 20..]);
    }
    all
}

#[test]
fn a_large_packet_goes_as_frames_that_count_each() {
    for model in Model::ALL {
        let mut rig = Rig::on(model, 0, |_| {});
        let (data, kept) = post(&mut rig, 1400, 20_000, 0);
        let sent = rig.send();
        assert_eq!(sent.len(), 20_000usize.div_ceil(1400), "{model:?}");
        assert!(joined(&sent) == data);
        let octets: usize = sent.iter().map(|f| f.len() + 4).sum();
        assert_eq!(rig.nic.truth().sent, 15);
        assert_eq!(rig.nic.truth().sent_bytes as usize, octets - 60);
        if matches!(model, Model::I82576 | Model::I350) {
            assert_eq!((GPTC_IGB::read(&rig.bar).raw(), TSCTC::read(&rig.bar).raw()), (15, 1));
        } else {
            assert_eq!((GPTC::read(&rig.bar).raw(), QPTC::read(&rig.bar).raw()), (15, 15));
            assert_eq!(GOTCL::read(&rig.bar).raw() as usize, octets);
            assert_eq!(GOTCH::read(&rig.bar).raw(), 0);
        }
        let last = kept.len();
        assert_ne!(rig.tx.descriptors()[last][1].load(Ordering::Acquire) & TxDesc::DD, 0);
        kept.into_iter().for_each(|m| rig.reclaim(m));
        assert_eq!((rig.nic.faults(), rig.nic.violations()), (vec![], vec![]), "{model:?}");
    }
}

#[test]
fn a_full_wire_holds_the_rest_and_nothing_goes_twice() {
    let mut rig = Rig::new();
    let (data, kept) = post(&mut rig, 1000, 20_000, VLE);
    let mut all = Vec::new();
    for n in [7, 0, 1, 6] {
        rig.nic.probe().limit(Some(n));
        let sent = rig.send();
        assert_eq!(sent.len(), n);
        all.extend(sent);
        // Its descriptors are not used up before all of it has gone.
        assert_eq!(TDH::read(&rig.bar).raw(), 1);
    }
    rig.nic.probe().limit(None);
    all.extend(rig.send());
    assert_eq!(all.len(), 20);
    assert!(all.iter().all(|f| vlan_tag(f) == Some(0x123)));
    assert!(joined(&all) == data);
    assert_eq!(TDH::read(&rig.bar).raw(), 1 + kept.len() as u32);
    kept.into_iter().for_each(|m| rig.reclaim(m));
    // The contexts are still there for the next packet.
    let (header, data) = packet(3000);
    let whole = [header, data].concat();
    let (iova, m) = rig.buffer(&whole[..2000]);
    let command = TSE | TXSM | IXSM;
    rig.descriptor(iova, TxDesc::data(2000, 3000, command));
    let (iova, other) = rig.buffer(&whole[2000..]);
    let end = TxDesc::EOP | TxDesc::RS;
    rig.descriptor(iova, TxDesc::data(1054, 3000, command | end));
    assert_eq!(joined(&rig.send()), whole[HEADER..]);
    rig.reclaim(m);
    rig.reclaim(other);
    assert_eq!(rig.nic.faults(), []);
}

#[test]
fn many_small_segments_take_many_steps() {
    let mut rig = Rig::new();
    let (data, kept) = post(&mut rig, 1, 3000, 0);
    rig.nic.probe().take_sent();
    let sent = rig.send();
    assert!(sent.len() >= 1000, "{}", sent.len());
    let mut all = sent;
    while all.len() < 3000 {
        let more = rig.send();
        assert!(!more.is_empty());
        all.extend(more);
    }
    assert!(all.iter().all(|f| f.len() == 60));
    let bytes: Vec<u8> = all.iter().map(|f| f[HEADER]).collect();
    assert_eq!(bytes, data);
    kept.into_iter().for_each(|m| rig.reclaim(m));
}

#[test]
fn what_cannot_be_segmented_stops_the_queue() {
    let ipv4 = 1 << 10;
    let tcp = 1 << 11;
    let size = 20 << 40;
    let lengths = 14 << 9 | 20;
    let asks = TSE | TXSM | IXSM;
    let cases: [(&str, u64, u64, u64, u64); 7] = [
        ("MSS", lengths, ipv4 | tcp | size, asks, 0),
        ("longer", lengths, ipv4 | tcp | size | 0xffff << 48, asks, 0),
        ("neither", lengths, ipv4 | 2 << 11 | size | 100 << 48, asks, 0),
        ("too small", 0, ipv4 | tcp | size | 100 << 48, asks, 0),
        ("TXSM", lengths, ipv4 | tcp | size | 100 << 48, TSE, 0),
        ("IFCS", lengths, ipv4 | tcp | size | 100 << 48, asks, TxDesc::IFCS),
        ("IPsec", lengths, ipv4 | tcp | size | 100 << 48, asks | 1 << 42, 0),
    ];
    for (why, w0, w1, command, flip) in cases {
        let mut rig = Rig::new();
        let (header, data) = packet(16_000);
        rig.descriptor(w0, TxDesc::DEXT | 2 << 20 | w1);
        let mut kept = Vec::new();
        let whole = [header, data].concat();
        let count = whole.chunks(1600).count();
        for (n, piece) in whole.chunks(1600).enumerate() {
            let (iova, m) = rig.buffer(piece);
            let end = if n + 1 == count { TxDesc::EOP } else { 0 };
            let data = TxDesc::data(piece.len() as u16, 16_000, command | end);
            rig.descriptor(iova, data ^ flip);
            kept.push(m);
        }
        assert!(rig.send().is_empty(), "{why}");
        let faults = rig.nic.faults();
        assert_eq!(faults.len(), 1, "{why}");
        assert!(faults[0].to_string().contains(why), "{}", faults[0]);
        assert!(matches!(
            faults[0].what,
            FaultKind::BadDescriptor(_) | FaultKind::NotModelled("IPsec")
        ));
        kept.into_iter().for_each(|m| rig.reclaim(m));
    }
}
