//! Receive features beyond what the driver uses.

use super::super::packet::{crc32, crc32c};
use super::super::{FaultKind, Inject};
use super::rig::{Rig, udp};
use crate::drivers::intel::RxDesc;
use crate::drivers::ixgbe::regs::{
    FCTRL, HLREG0, MAXFRS, MCSTCTRL, MTA, PRC64, QPRDC, RAH, RAL, RDH, RXDCTL, SECRXCTRL,
    SECRXSTAT, VFTA, VLNCTRL,
};
use crate::mmio::Register;
use crate::port::Host;

#[test]
fn a_tag_is_stripped_and_reported() {
    let mut rig = Rig::with(0, |bar| RXDCTL(0).with(RXDCTL::VME, 1).write(bar));
    rig.post(4);
    let got = rig.receive(&udp(Some(0x2abc), 40));
    let [(_, w1, bytes)] = &got[..] else { panic!("{got:?}") };
    assert_eq!(*bytes, udp(None, 40));
    assert!(w1 & RxDesc::VP != 0);
    assert_eq!(RxDesc::vlan(*w1), 0x2abc);
    assert!(w1 & RxDesc::IPCS != 0 && w1 & RxDesc::L4CS != 0, "parsed behind the tag");
    let got = rig.receive(&udp(None, 40));
    assert!(got[0].1 & RxDesc::VP == 0);
}

#[test]
fn the_crc_is_kept_when_it_is_not_stripped() {
    let mut rig = Rig::with(0, |bar| {
        HLREG0::read(bar).with(HLREG0::RXCRCSTRP, 0).write(bar);
    });
    rig.post(2);
    let frame = udp(None, 60);
    let got = rig.receive(&frame);
    let (body, crc) = got[0].2.split_at(frame.len());
    assert_eq!((body, crc), (&frame[..], &crc32(&frame).to_le_bytes()[..]));
    assert_eq!(rig.nic.violations().len(), 1, "RDRXCTL.CRCSTRIP says otherwise");
}

#[test]
fn long_frames_fill_several_buffers() {
    let mut rig = Rig::with(0, |bar| MAXFRS(9018 << 16).write(bar));
    rig.post(8);
    let frame = udp(None, 5000);
    let got = rig.receive(&frame);
    let ends: Vec<_> = got.iter().map(|d| d.1 & RxDesc::EOP != 0).collect();
    assert_eq!(ends, [false, false, true]);
    assert_eq!(got.iter().map(|d| d.2.len()).collect::<Vec<_>>(), [2048, 2048, 946]);
    assert_eq!(got.concat_bytes(), frame);
    // 9,018 with CRC is the most; a tag may come on top.
    assert_eq!(rig.receive(&udp(None, 9014 - 42)).len(), 5);
    rig.post(8);
    assert_eq!(rig.receive(&udp(None, 9015 - 42)).len(), 0);
    assert_eq!(rig.receive(&udp(Some(1), 9014 - 42)).len(), 5);
    assert_eq!(rig.nic.truth().bad_length, 1);
}

trait Bytes {
    fn concat_bytes(&self) -> Vec<u8>;
}

impl Bytes for Vec<(u64, u64, Vec<u8>)> {
    fn concat_bytes(&self) -> Vec<u8> {
        self.iter().flat_map(|d| d.2.iter().copied()).collect()
    }
}

#[test]
fn address_filters() {
    let mut rig = Rig::with(0, |bar| {
        FCTRL(0).write(bar);
        RAL(u32::from_le_bytes([2, 1, 1, 1])).write_at(bar, 127);
        RAH(u32::from(u16::from_le_bytes([1, 7]))).with(RAH::AV, 1).write_at(bar, 127);
        // 01:00:5e:00:00:fb: with MO 0, bits 47:36 of the address: 0xfb00 >> 4.
        MTA(1 << (0xfb0 % 32)).write_at(bar, 0xfb0 / 32);
        MCSTCTRL(0).with(MCSTCTRL::MFE, 1).write(bar);
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
    FCTRL(0).with(FCTRL::BAM, 1).write(&rig.bar);
    let mut broadcast = udp(None, 30);
    broadcast[..6].fill(0xff);
    assert_eq!(rig.receive(&broadcast).len(), 1);
    assert_eq!(rig.nic.truth().filtered, 3);
}

#[test]
fn the_vlan_filter() {
    let mut rig = Rig::with(0, |bar| {
        VLNCTRL::read(bar).with(VLNCTRL::VFE, 1).write(bar);
        VFTA(1 << 3).write_at(bar, 2);
    });
    rig.post(4);
    assert_eq!(rig.receive(&udp(Some(67), 20)).len(), 1);
    assert_eq!(rig.receive(&udp(Some(68), 20)).len(), 0);
    assert_eq!(rig.receive(&udp(None, 40)).len(), 1, "untagged frames pass");
}

#[test]
fn damaged_frames_are_dropped_or_marked() {
    let mut rig = Rig::new();
    rig.post(4);
    rig.nic.inject(Inject::Damage, 1.0);
    assert_eq!(rig.receive(&udp(None, 20)).len(), 0);
    assert_eq!(rig.nic.truth().damaged, 1);
    FCTRL::read(&rig.bar).with(FCTRL::SBP, 1).write(&rig.bar);
    let got = rig.receive(&udp(None, 20));
    assert!(got[0].1 & 1 << 29 != 0, "RXE");
}

#[test]
fn wrong_checksums_are_told() {
    let mut rig = Rig::new();
    rig.post(4);
    let mut frame = udp(None, 20);
    frame[50] ^= 1;
    let w1 = rig.receive(&frame)[0].1;
    assert_eq!((w1 >> 30 & 1, w1 >> 31 & 1), (1, 0), "L4E");
    frame[22] ^= 1;
    assert_eq!(rig.receive(&frame)[0].1 >> 31 & 1, 1, "IPE");
}

#[test]
fn the_upper_queues_live_in_their_own_block() {
    // Queue 100 by name only: without RSS everything goes to queue 0, which is off.
    let mut rig = Rig::with(100, |_| {});
    rig.post(4);
    assert_eq!(rig.receive(&udp(None, 20)).len(), 0);
    assert_eq!(QPRDC::read_at(&rig.bar, 0).raw(), 1);
    assert_eq!(rig.nic.violations(), []);
}

#[test]
fn descriptors_run_out_and_the_head_says_where() {
    let mut rig = Rig::new();
    rig.post(2);
    for _ in 0..3 {
        rig.nic.inject_frame(&udp(None, 18));
    }
    rig.nic.step_until_idle(50);
    assert_eq!(RDH::read(&rig.bar).raw(), 2);
    assert_eq!(QPRDC::read_at(&rig.bar, 0).raw(), 1);
    assert_eq!(PRC64::read(&rig.bar).raw(), 3);
}

#[test]
fn a_buffer_that_was_not_lent_is_not_touched() {
    let mut rig = Rig::new();
    rig.post(1);
    let own = rig.cache.alloc().unwrap();
    let iova = rig.space.iova(own.id(), u32::from(own.offset())).unwrap();
    rig.rx.descriptors()[0][0].store(iova, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(rig.receive(&udp(None, 20)).len(), 0);
    let faults = rig.nic.faults();
    assert_eq!(faults.len(), 1);
    assert_eq!((&faults[0].what, faults[0].address), (&FaultKind::NotLent, Some(iova)));
    assert_eq!(faults[0].to_string().matches("receive queue 0, descriptor 0").count(), 1);
}

#[test]
fn a_buffer_shorter_than_srrctl_says_is_caught_before_it_is_overrun() {
    let mut rig = Rig::new();
    rig.post(1);
    let word = &rig.rx.descriptors()[0][0];
    let late = word.load(std::sync::atomic::Ordering::Relaxed) + 1024;
    word.store(late, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(rig.receive(&udp(None, 20)).len(), 0);
    assert_eq!(rig.nic.faults()[0].what, FaultKind::OutOfSlot);
}

#[test]
fn what_holds_receiving_holds_it() {
    let mut rig = Rig::new();
    rig.post(8);
    rig.nic.host().set_bus_master(false).unwrap();
    assert_eq!(rig.receive(&udp(None, 20)).len(), 0, "bus mastering is off");
    rig.nic.host().set_bus_master(true).unwrap();
    assert_eq!(rig.receive(&udp(None, 20)).len(), 2);
    SECRXCTRL(0).with(SECRXCTRL::RX_DIS, 1).write(&rig.bar);
    assert!((0..10).any(|_| SECRXSTAT::read(&rig.bar).has(SECRXSTAT::SECRX_RDY)));
    assert_eq!(rig.receive(&udp(None, 20)).len(), 0, "the security block holds");
    SECRXCTRL(0).write(&rig.bar);
    assert_eq!(rig.receive(&udp(None, 20)).len(), 2);
    rig.nic.set_link(false);
    assert_eq!(rig.receive(&udp(None, 20)).len(), 0, "no link");
    rig.nic.set_link(true);
    assert_eq!(rig.receive(&udp(None, 20)).len(), 2);
}

/// An SCTP packet in IPv4, with a right CRC or a wrong one.
pub(super) fn sctp(good: bool) -> Vec<u8> {
    let mut packet = vec![0, 80, 0, 90, 0, 0, 0, 1, 0, 0, 0, 0];
    packet.extend([5; 40]);
    let mut crc = crc32c(&packet);
    crc ^= u32::from(!good);
    packet[8..12].copy_from_slice(&crc.to_le_bytes());
    let mut frame = Vec::new();
    etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .write(&mut frame, 132.into(), &packet)
        .unwrap();
    frame
}

#[test]
fn sctp_packets_are_checked_too() {
    let mut rig = Rig::new();
    rig.post(2);
    for good in [true, false] {
        let (w0, w1, _) = rig.receive(&sctp(good)).remove(0);
        assert_eq!(RxDesc::packet_type(w0), 1 | 1 << 6);
        assert_eq!(w1 & (RxDesc::L4CS | RxDesc::UDPCS), RxDesc::L4CS);
        assert_eq!(w1 >> 30 & 1 == 0, good, "L4E");
    }
}
