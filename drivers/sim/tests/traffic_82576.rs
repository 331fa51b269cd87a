//! Traffic on the 82576 beyond what the driver uses: where it differs from the 82599.

use super::super::packet::{crc32, vlan_tag};
use super::super::{Inject, Model};
use super::receive::sctp;
use super::rig::{Rig, udp};
use crate::drivers::igb::regs::{
    CTRL, DAQF, ETQF, FTQF, GORCH, GORCL, GPRC, GPTC, HGPTC, IMIR, IMIREXT, MRQC, MTA, PRC64, RAH,
    RAH_16, RAL_16, RCTL, RDH, RETA, RLPML, RNBC, RPTHC, RQDPC, RSSRK, RXCSUM, SAQF, SPQF, SRRCTL,
    SYNQF, TCTL, TOTL, VET, VFTA,
};
use crate::drivers::intel::{RxDesc, TxDesc};
use crate::drivers::sim::SimBar;
use crate::mmio::Register;

fn rig(change: impl FnOnce(&SimBar)) -> Rig {
    Rig::on(Model::I82576, 0, change)
}

fn set_rctl(bar: &SimBar, change: impl FnOnce(RCTL) -> RCTL) {
    change(RCTL::read(bar)).write(bar);
}

#[test]
fn tags_are_stripped_for_all_queues_at_once() {
    let mut rig = rig(|bar| CTRL::read(bar).with(CTRL::VME, 1).write(bar));
    rig.post(2);
    let got = rig.receive(&udp(Some(0x2abc), 40));
    let [(_, w1, bytes)] = &got[..] else { panic!("{got:?}") };
    assert_eq!((bytes, RxDesc::vlan(*w1)), (&udp(None, 40), 0x2abc));
    assert!(w1 & RxDesc::VP != 0 && w1 & RxDesc::L4CS != 0);
    CTRL::read(&rig.bar).with(CTRL::VME, 0).write(&rig.bar);
    assert_eq!(rig.receive(&udp(Some(7), 40))[0].2, udp(Some(7), 40));
    assert_eq!((rig.nic.faults(), rig.nic.violations()), (vec![], vec![]));
}

#[test]
fn errors_stand_elsewhere_than_on_the_82599() {
    let mut rig = rig(|_| {});
    rig.post(6);
    let errors = |got: Vec<(u64, u64, Vec<u8>)>| (got[0].1 >> 29) as u32 & 7;
    let mut frame = udp(None, 20);
    assert_eq!(errors(rig.receive(&frame)), 0);
    frame[50] ^= 1;
    assert_eq!(errors(rig.receive(&frame)), 1, "L4E");
    frame[22] ^= 1;
    assert_eq!(errors(rig.receive(&frame)) & 2, 2, "IPE");
    RXCSUM::read(&rig.bar).with(RXCSUM::IPOFL, 0).with(RXCSUM::TUOFL, 0).write(&rig.bar);
    let got = rig.receive(&frame);
    let checked = RxDesc::IPCS | RxDesc::L4CS | RxDesc::UDPCS;
    assert_eq!(got[0].1 & checked, 0, "nothing is checked");
    assert_eq!(errors(got), 0);
    rig.nic.inject(Inject::Damage, 1.0);
    assert_eq!(rig.receive(&udp(None, 20)).len(), 0);
    set_rctl(&rig.bar, |r| r.with(RCTL::SBP, 1));
    assert_eq!(errors(rig.receive(&udp(None, 20))), 4, "RXE");
}

#[test]
fn long_frames_go_by_rlpml_and_buffers_by_rctl() {
    let mut rig = rig(|bar| {
        RLPML(9018).write(bar);
        SRRCTL(0).with(SRRCTL::DESCTYPE, 1).with(SRRCTL::DROP_EN, 1).write(bar);
        set_rctl(bar, |r| r.with(RCTL::BSIZE, 1));
    });
    rig.post(20);
    let frame = udp(None, 9014 - 42);
    let got = rig.receive(&frame);
    assert_eq!(
        got.iter().map(|d| d.2.len()).collect::<Vec<_>>(),
        [vec![1024; 8], vec![822]].concat()
    );
    assert_eq!(got.iter().flat_map(|d| d.2.clone()).collect::<Vec<_>>(), frame);
    assert_eq!(rig.receive(&udp(Some(1), 9014 - 42)).len(), 0, "RLPML counts the tag");
    set_rctl(&rig.bar, |r| r.with(RCTL::LPE, 0));
    assert_eq!(rig.receive(&udp(None, 1515 - 42)).len(), 0);
    assert_eq!(rig.receive(&udp(Some(1), 1514 - 42)).len(), 2);
    assert_eq!(rig.nic.truth().bad_length, 2);
}

#[test]
fn the_crc_is_kept_when_it_is_not_stripped() {
    let mut rig = rig(|bar| set_rctl(bar, |r| r.with(RCTL::SECRC, 0)));
    rig.post(2);
    let frame = udp(None, 60);
    let got = rig.receive(&frame);
    let (body, crc) = got[0].2.split_at(frame.len());
    assert_eq!((body, crc), (&frame[..], &crc32(&frame).to_le_bytes()[..]));
}

#[test]
fn address_and_vlan_filters() {
    let mut rig = rig(|bar| {
        set_rctl(bar, |r| r.with(RCTL::UPE, 0).with(RCTL::MPE, 0).with(RCTL::BAM, 0));
        RAH(0).write(bar);
        RAL_16(u32::from_le_bytes([2, 1, 1, 1])).write_at(bar, 7);
        RAH_16(u32::from(u16::from_le_bytes([1, 7]))).with(RAH_16::AV, 1).write_at(bar, 7);
        // 01:00:5e:00:00:fb: with MO 0, bits 47:36 of the address: 0xfb00 >> 4.
        MTA(1 << (0xfb0 % 32)).write_at(bar, 0xfb0 / 32);
    });
    rig.post(20);
    let mut to = |mac: [u8; 6]| {
        let mut frame = udp(None, 30);
        frame[..6].copy_from_slice(&mac);
        rig.receive(&frame).first().map(|d| d.1 & 1 << 7 != 0)
    };
    assert_eq!(to([2, 1, 1, 1, 1, 7]), Some(false));
    assert_eq!(to([2, 1, 1, 1, 1, 8]), None);
    assert_eq!(to([1, 0, 0x5e, 0, 0, 0xfb]), Some(true), "inexact");
    assert_eq!(to([1, 0, 0x5e, 0, 0, 0xfc]), None);
    assert_eq!(to([0xff; 6]), None, "BAM is off");
    set_rctl(&rig.bar, |r| r.with(RCTL::UPE, 1).with(RCTL::VFE, 1));
    VFTA(1 << 3).write_at(&rig.bar, 2);
    assert_eq!(rig.receive(&udp(Some(67), 20)).len(), 1);
    assert_eq!(rig.receive(&udp(Some(68), 20)).len(), 0);
    assert_eq!(rig.nic.truth().filtered, 4);
}

#[test]
fn rss_reaches_all_sixteen_queues() {
    let mut rig = Rig::on(Model::I82576, 15, |bar| {
        for n in 0..32 {
            RETA(0x0f0f_0f0f).write_at(bar, n);
        }
        for n in 0..10 {
            RSSRK(0x5a6d_0000 + n).write_at(bar, n);
        }
        MRQC(0).with(MRQC::MRQE, 2).with(MRQC::RSS_UDPIPV4, 1).write(bar);
    });
    rig.post(2);
    let got = rig.receive(&udp(None, 20));
    assert_eq!((got.len(), RxDesc::rss_type(got[0].0)), (1, 7));
    assert_ne!(RxDesc::rss_hash(got[0].0), 0);
    // Without RSS everything goes to queue 0, which a reset has enabled. It has no descriptors,
    // so frames wait there, or with DROP_EN are dropped.
    MRQC(0).write(&rig.bar);
    assert_eq!(rig.receive(&udp(None, 20)).len(), 0);
    assert_eq!((RQDPC::read(&rig.bar).raw(), rig.nic.probe().waiting()), (0, 1));
    SRRCTL(0).with(SRRCTL::DROP_EN, 1).write(&rig.bar);
    rig.nic.step_until_idle(50);
    assert_eq!((RQDPC::read(&rig.bar).raw(), rig.nic.probe().waiting()), (1, 0));
}

#[test]
fn counters_tell_what_came_what_was_dropped_and_what_went() {
    let mut rig = rig(|_| {});
    rig.post(2);
    for _ in 0..3 {
        rig.nic.inject_frame(&udp(None, 18));
    }
    rig.nic.step_until_idle(50);
    let (iova, m) = rig.buffer(&udp(None, 58));
    rig.descriptor(iova, TxDesc::data(100, 100, TxDesc::EOP | TxDesc::RS));
    assert_eq!(rig.send(), [udp(None, 58)]);
    rig.reclaim(m);
    let bar = &rig.bar;
    assert_eq!((RDH::read(bar).raw(), PRC64::read(bar).raw()), (2, 3));
    assert_eq!((GPRC::read(bar).raw(), RPTHC::read(bar).raw()), (3, 2));
    assert_eq!((GORCL::read(bar).raw(), GORCH::read(bar).raw()), (192, 0));
    assert_eq!(GORCL::read(bar).raw(), 0, "the high half clears both");
    assert_eq!((RNBC::read(bar).raw(), RQDPC::read(bar).raw()), (1, 1));
    assert_eq!((GPTC::read(bar).raw(), HGPTC::read(bar).raw()), (1, 1));
    assert_eq!((TOTL::read(bar).raw(), GPRC::read(bar).raw()), (104, 0));
}

#[test]
fn the_mac_loops_back_inside() {
    let mut rig = rig(|_| {});
    rig.post(4);
    set_rctl(&rig.bar, |r| r.with(RCTL::LBM, 1));
    rig.nic.set_link(false);
    let frame = udp(None, 100);
    let (iova, m) = rig.buffer(&frame);
    let len = frame.len() as u16;
    rig.descriptor(iova, TxDesc::data(len, len.into(), TxDesc::EOP | TxDesc::RS));
    assert_eq!(rig.send(), [[0u8; 0]; 0], "nothing on the wire");
    assert_eq!(rig.harvest()[0].2, frame);
    rig.reclaim(m);
}

#[test]
fn sending_goes_by_tctl_and_vet() {
    let mut rig = rig(|bar| VET(0x9100).write(bar));
    let frame = udp(None, 60);
    let (iova, m) = rig.buffer(&frame);
    let context = TxDesc::DEXT | 2 << 20;
    let vle = 1 << 30;
    TCTL::read(&rig.bar).with(TCTL::TXEN, 0).write(&rig.bar);
    rig.descriptor(0x123 << 16 | 14 << 9, context);
    let len = frame.len() as u16;
    rig.descriptor(iova, TxDesc::data(len, len.into(), TxDesc::EOP | TxDesc::RS | vle));
    assert!(rig.send().is_empty());
    TCTL::read(&rig.bar).with(TCTL::TXEN, 1).write(&rig.bar);
    let sent = rig.send().remove(0);
    assert_eq!((&sent[12..16], vlan_tag(&sent)), (&[0x91, 0x00, 0x01, 0x23][..], None));
    rig.reclaim(m);
}

#[test]
fn queues_are_chosen_by_filters() {
    let to = |queue| FTQF(0).with(FTQF::QUEUE_EN, 1).with(FTQF::RX_QUEUE, queue);
    let network = |port: u16| u32::from(port.to_be());
    let mut rig = Rig::on(Model::I82576, 9, |bar| {
        // What is led nowhere goes to queue 0 and is dropped there.
        SRRCTL::read(bar).with(SRRCTL::DROP_EN, 1).write(bar);
        ETQF(0x88cc)
            .with(ETQF::FILTER_EN, 1)
            .with(ETQF::QUEUE_EN, 1)
            .with(ETQF::RX_QUEUE, 9)
            .write_at(bar, 2);
        // UDP from port 1000 at 10.0.0.1 to port 2000 at 10.0.0.2, as `udp` makes it.
        SAQF(u32::from_le_bytes([10, 0, 0, 1])).write_at(bar, 7);
        DAQF(u32::from_le_bytes([10, 0, 0, 2])).write_at(bar, 7);
        SPQF(network(1000)).write_at(bar, 7);
        IMIR(network(2000)).write_at(bar, 7);
        IMIREXT(0).with(IMIREXT::CTRL_BIT_BP, 1).write_at(bar, 7);
        to(9).with(FTQF::PROTOCOL, 17).write_at(bar, 7);
    });
    rig.post(10);
    let mut lldp = vec![0; 60];
    lldp[12..14].copy_from_slice(&[0x88, 0xcc]);
    assert_eq!(rig.receive(&lldp)[0].0 >> 4 & 0x1fff, 1 << 11 | 2);
    assert_eq!(rig.receive(&udp(None, 30)).len(), 1);
    for changed in [27, 31, 35, 37] {
        let mut other = udp(None, 30);
        other[changed] ^= 1;
        assert_eq!(rig.receive(&other).len(), 0, "byte {changed}");
    }
    // By the destination port alone, of a higher priority, elsewhere.
    to(3).with(FTQF::MASK, 0xf).write_at(&rig.bar, 0);
    IMIR(network(2000)).with(IMIR::PRIORITY, 1).write_at(&rig.bar, 0);
    IMIREXT(0).with(IMIREXT::CTRL_BIT_BP, 1).write_at(&rig.bar, 0);
    assert_eq!(rig.receive(&udp(None, 30)).len(), 0);
    // Only of TCP packets with SYN, then.
    IMIREXT(0).with(IMIREXT::CTRL_BIT, 1 << 4).write_at(&rig.bar, 0);
    assert_eq!(rig.receive(&udp(None, 30)).len(), 1);
    SYNQF(0).with(SYNQF::QUEUE_EN, 1).with(SYNQF::RX_QUEUE, 9).write(&rig.bar);
    let mut syn = Vec::new();
    etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv6([1; 16], [2; 16], 64)
        .tcp(1, 2, 3, 4)
        .syn()
        .write(&mut syn, &[])
        .unwrap();
    assert_eq!(rig.receive(&syn).len(), 1);
}

#[test]
fn the_crc_of_sctp_is_checked_when_rxcsum_says_so() {
    let mut rig = rig(|_| {});
    rig.post(4);
    assert_eq!(rig.receive(&sctp(false))[0].1 & RxDesc::L4CS, 0);
    RXCSUM::read(&rig.bar).with(RXCSUM::CRCOFL, 1).write(&rig.bar);
    let w1 = rig.receive(&sctp(false))[0].1;
    assert_eq!((w1 & RxDesc::L4CS, w1 >> 29 & 1), (RxDesc::L4CS, 1));
    assert_eq!(rig.receive(&sctp(true))[0].1 >> 29 & 1, 0);
}
