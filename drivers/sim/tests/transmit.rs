//! Transmit features beyond what the driver uses, and descriptors that break the format.

use std::sync::atomic::Ordering;

use super::super::packet::{Check, parse, vlan_tag};
use super::super::{FaultKind, Model, Rule};
use super::rig::{Rig, SIZE, udp};
use crate::drivers::intel::TxDesc;
use crate::drivers::ixgbe::regs::{
    AUTOC, CTRL, DMATXCTL, GPTC, HLREG0, LINKS, STATUS, TDH, TXDCTL,
};
use crate::mmio::{Bar, Register};

const EOP: u64 = TxDesc::EOP;
const RS: u64 = TxDesc::RS;

/// One frame in one plain descriptor.
fn plain(rig: &mut Rig, frame: &[u8], more: u64) -> crate::pool::Mbuf {
    let (iova, m) = rig.buffer(frame);
    rig.descriptor(iova, TxDesc::data(frame.len() as u16, frame.len() as u32, EOP | more));
    m
}

#[test]
fn dd_comes_with_rs_only_and_the_head_moves() {
    let mut rig = Rig::new();
    let frame = udp(None, 100);
    let kept: Vec<_> =
        (0..5).map(|n| plain(&mut rig, &frame, if n == 3 { RS } else { 0 })).collect();
    assert_eq!(rig.send(), vec![frame; 5]);
    let done: Vec<_> = (0..5)
        .map(|n| rig.tx.descriptors()[n][1].load(Ordering::Acquire) & TxDesc::DD != 0)
        .collect();
    assert_eq!(done, [false, false, false, true, false]);
    assert_eq!(TDH::read(&rig.bar).raw(), 5);
    assert_eq!(GPTC::read(&rig.bar).raw(), 5);
    kept.into_iter().for_each(|m| rig.reclaim(m));
    assert_eq!(rig.nic.violations(), []);
}

#[test]
fn heads_are_written_back_instead_of_descriptors() {
    for model in Model::ALL {
        let mut rig = Rig::on(model, 0, |_| {});
        // The last descriptor of the receive ring, which is not used, in its second half word.
        let place = usize::from(SIZE) - 1;
        let at = rig.rx.iova().0 + 16 * place as u64 + 4;
        let block = model.chip().tx_block(0);
        rig.bar.write32(block + 0x3c, (at >> 32) as u32);
        rig.bar.write32(block + 0x38, at as u32 | 1);
        rig.rx.descriptors()[place][0].store(0x1111_2222, Ordering::Relaxed);
        let head = |rig: &Rig| rig.rx.descriptors()[place][0].load(Ordering::Acquire);
        let frame = udp(None, 100);
        for n in 1..=70u64 {
            let m = plain(&mut rig, &frame, if n % 2 == 0 { RS } else { 0 });
            assert_eq!(rig.send().len(), 1);
            rig.reclaim(m);
            let want = (n & !1) % u64::from(SIZE);
            assert_eq!(head(&rig), want << 32 | 0x1111_2222, "{model:?}, {n}");
            let word = &rig.tx.descriptors()[(n as usize - 1) % usize::from(SIZE)][1];
            assert_ne!(word.load(Ordering::Acquire), TxDesc::DD, "descriptors stay as they are");
        }
        assert_eq!(rig.nic.faults(), []);
        rig.bar.write32(block + 0x3c, 0x7777);
        let m = plain(&mut rig, &frame, RS);
        rig.send();
        assert_eq!(rig.nic.faults()[0].what, FaultKind::Unmapped);
        rig.reclaim(m);
    }
}

#[test]
fn short_packets_are_padded() {
    let mut rig = Rig::new();
    let m = plain(&mut rig, &[7; 20], RS);
    let mut want = vec![7; 20];
    want.resize(60, 0);
    assert_eq!(rig.send(), [want]);
    rig.reclaim(m);
    let m = plain(&mut rig, &[7; 16], RS);
    assert!(rig.send().is_empty());
    assert!(matches!(rig.nic.faults()[0].what, FaultKind::BadDescriptor(_)));
    rig.reclaim(m);
}

#[test]
fn a_packet_goes_when_all_of_it_is_posted() {
    let mut rig = Rig::new();
    let frame = udp(None, 900);
    let (a, ma) = rig.buffer(&frame[..500]);
    let (b, mb) = rig.buffer(&frame[500..]);
    let whole = frame.len() as u32;
    rig.descriptor(a, TxDesc::data(500, whole, 0));
    assert!(rig.send().is_empty());
    assert_eq!(TDH::read(&rig.bar).raw(), 0);
    rig.descriptor(b, TxDesc::data((frame.len() - 500) as u16, whole, EOP | RS));
    assert_eq!(rig.send(), [frame]);
    rig.reclaim(ma);
    rig.reclaim(mb);
}

#[test]
fn contexts_bring_checksums_and_tags() {
    let mut rig = Rig::new();
    let want = udp(None, 77);
    let mut frame = want.clone();
    frame[24..26].fill(0);
    // The pseudo-header's sum, by hand.
    let length = (frame.len() - 34) as u32;
    let sum: u32 = frame[26..34].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let sum = sum + 17 + length;
    let folded = ((sum & 0xffff) + (sum >> 16)) as u16;
    frame[40..42].copy_from_slice(&folded.to_be_bytes());
    let context = TxDesc::DEXT | 2 << 20 | 1 << 36 | 1 << 10;
    rig.descriptor(0x123 << 16 | 14 << 9 | 20, context);
    let offloads = 1 << 40 | 1 << 41 | 1 << 39 | 1 << 36 | 1 << 30;
    let m = plain(&mut rig, &frame, RS | offloads);
    let mut sent = rig.send();
    let frame = &mut sent[0];
    assert_eq!(vlan_tag(frame), Some(0x123));
    assert_eq!((parse(frame).ip, parse(frame).transport), (Check::Good, Check::Good));
    frame.drain(12..16);
    assert_eq!(*frame, want);
    rig.reclaim(m);
    assert_eq!((rig.nic.faults(), rig.nic.violations()), (vec![], vec![]));
}

#[test]
fn legacy_descriptors_work_too() {
    let mut rig = Rig::new();
    let frame = udp(None, 40);
    let (iova, m) = rig.buffer(&frame);
    let tag = 0x456u64 << 48;
    rig.descriptor(iova, frame.len() as u64 | EOP | RS | TxDesc::IFCS | 1 << 30 | tag);
    assert_eq!(rig.send(), [udp(Some(0x456), 40)]);
    rig.reclaim(m);
}

#[test]
fn what_is_wrong_is_said_and_stops_the_queue() {
    let cases: [(&str, u64, u64); 6] = [
        ("never programmed", 0, 1 << 41),
        ("never programmed", 0, 1 << 31),
        ("IPsec", 0, 1 << 42),
        ("PAYLEN", 0, 1 << 46),
        ("DTYP", 5 << 20 ^ 3 << 20, 0),
        ("IFCS", TxDesc::IFCS, 0),
    ];
    for (why, flip, more) in cases {
        let mut rig = Rig::new();
        let frame = udp(None, 100);
        let (iova, m) = rig.buffer(&frame);
        let data = TxDesc::data(frame.len() as u16, frame.len() as u32, EOP | RS);
        rig.descriptor(iova, (data ^ flip) | more);
        assert!(rig.send().is_empty(), "{why}");
        let faults = rig.nic.faults();
        assert_eq!(faults.len(), 1, "{why}");
        assert!(faults[0].to_string().contains(why), "{}", faults[0]);
        let next = plain(&mut rig, &frame, RS);
        assert!(rig.send().is_empty(), "the queue has stopped");
        rig.reclaim(m);
        rig.reclaim(next);
    }
}

#[test]
fn stray_addresses_are_refused_with_their_place() {
    let mut rig = Rig::new();
    let frame = udp(None, 100);
    let len = frame.len() as u16;
    let ring = rig.tx.iova().0;
    for (what, address) in [(FaultKind::Unmapped, 0x1000), (FaultKind::WrongMemory, ring)] {
        let mut rig = Rig::new();
        rig.descriptor(address, TxDesc::data(len, len.into(), EOP));
        assert!(rig.send().is_empty());
        let fault = rig.nic.faults().remove(0);
        assert_eq!((fault.descriptor, fault.address), (Some(0), Some(address)));
        assert!(fault.what == what || fault.what == FaultKind::Unmapped, "{fault}");
    }
    let (iova, m) = rig.buffer(&frame);
    rig.reclaim(m);
    rig.descriptor(iova, TxDesc::data(len, len.into(), EOP));
    assert!(rig.send().is_empty());
    assert_eq!(rig.nic.faults()[0].what, FaultKind::NotLent);
}

#[test]
fn master_disable_stops_dma_before_it_shows() {
    let mut rig = Rig::new();
    let frame = udp(None, 100);
    CTRL(0).with(CTRL::GIO_DIS, 1).write(&rig.bar);
    let reads = (0..100).take_while(|_| STATUS::read(&rig.bar).has(STATUS::GIO_MASTER)).count();
    assert!((1..100).contains(&reads), "{reads}");
    let m = plain(&mut rig, &frame, RS);
    assert!(rig.send().is_empty());
    CTRL(0).write(&rig.bar);
    assert_eq!(rig.send(), [frame]);
    rig.reclaim(m);
}

#[test]
fn the_transmitter_needs_its_enables() {
    let mut rig = Rig::new();
    let frame = udp(None, 100);
    let m = plain(&mut rig, &frame, RS);
    DMATXCTL::read(&rig.bar).with(DMATXCTL::TE, 0).write(&rig.bar);
    assert!(rig.send().is_empty());
    DMATXCTL::read(&rig.bar).with(DMATXCTL::TE, 1).write(&rig.bar);
    assert_eq!(rig.send().len(), 1);
    rig.reclaim(m);
    TXDCTL::read(&rig.bar).with(TXDCTL::ENABLE, 0).write(&rig.bar);
    while TXDCTL::read(&rig.bar).has(TXDCTL::ENABLE) {}
    let m = plain(&mut rig, &frame, RS);
    assert!(rig.send().is_empty());
    rig.reclaim(m);
    assert!(rig.nic.violations().iter().any(|v| v.rule == Rule::TailBeforeEnable));
}

#[test]
fn a_full_wire_holds_frames_and_loses_none() {
    let mut rig = Rig::new();
    let frame = udp(None, 100);
    rig.nic.probe().limit(Some(2));
    let kept: Vec<_> = (0..6).map(|_| plain(&mut rig, &frame, RS)).collect();
    assert_eq!(rig.send().len(), 2);
    rig.nic.probe().limit(None);
    assert_eq!(rig.send().len(), 4);
    kept.into_iter().for_each(|m| rig.reclaim(m));
}

/// What `ethtool -t` does: the link is forced and frames turn round in the MAC, with a cable or
/// without, and right after a reset.
#[test]
fn frames_turn_round_in_the_mac_whatever_the_link() {
    let mut rig = Rig::with(0, |bar| {
        HLREG0::read(bar).with(HLREG0::LPBK, 1).write(bar);
        AUTOC::read(bar).with(AUTOC::FLU, 1).with(AUTOC::RESTART_AN, 1).write(bar);
    });
    assert!(LINKS::read(&rig.bar).has(LINKS::LINK_UP));
    rig.nic.set_link(false);
    rig.post(60);
    let mut frame = vec![0xff; 512];
    frame.resize(1024, 0xaa);
    let kept: Vec<_> = (0..60).map(|_| plain(&mut rig, &frame, RS)).collect();
    assert!(rig.send().is_empty(), "nothing on the wire");
    let got = rig.harvest();
    assert_eq!(got.len(), 60);
    assert!(got.iter().all(|(_, _, bytes)| *bytes == frame));
    kept.into_iter().for_each(|m| rig.reclaim(m));
    assert_eq!(rig.nic.faults(), []);
}
