//! Pause frames that are really received: what they hold, what counts, what reaches the host.

use std::time::Duration;

use super::super::{Model, SimBar};
use super::rig::{Rig, udp};
use crate::drivers::igb::regs::{CTRL, FCRUC, RCTL, XOFFRXC, XONRXC};
use crate::drivers::intel::TxDesc;
use crate::drivers::ixgbe::regs::{
    LXOFFRXCNT, LXONRXCNT, MFLCN, MLFC, PXOFFRXCNT, PXONRXCNT, RFC, RJC, TFCS, TPR,
};
use crate::mmio::{Bar, Register};
use crate::pool::Mbuf;

const GROUP: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 1];

fn control(to: [u8; 6], opcode: u16, words: &[u16]) -> Vec<u8> {
    let mut frame = [to, [2, 0, 0, 0, 0, 1]].concat();
    frame.extend([0x88, 0x08]);
    for word in [opcode].iter().chain(words) {
        frame.extend(word.to_be_bytes());
    }
    frame.resize(60, 0);
    frame
}

fn pause(quanta: u16) -> Vec<u8> {
    control(GROUP, 1, &[quanta])
}

fn read<R: Register>(bar: &SimBar) -> u32 {
    bar.read32(R::META.offset)
}

/// Posts a frame for sending, without ringing.
fn queue(rig: &mut Rig) -> Mbuf {
    let (iova, m) = rig.buffer(&udp(None, 60));
    let len = udp(None, 60).len();
    rig.descriptor(iova, TxDesc::data(len as u16, len as u32, TxDesc::EOP | TxDesc::RS));
    m
}

/// Steps of a microsecond until a frame is sent.
fn until_sent(rig: &mut Rig) -> usize {
    assert_eq!(rig.send(), [[0u8; 0]; 0], "it is held");
    (1..20_000)
        .find(|_| {
            rig.nic.step();
            !rig.nic.take_sent().is_empty()
        })
        .unwrap()
}

#[test]
fn a_pause_holds_the_transmitter_for_its_quanta_at_the_link_s_speed() {
    // 512 bits: 51.2 ns at 10 Gbit/s, 512 ns at 1 Gbit/s.
    for (model, quanta, micros) in [(Model::I82599, 10_000, 512), (Model::I82576, 1_000, 512)] {
        let mut rig = Rig::on(model, 0, |bar| {
            if model == Model::I82576 {
                CTRL::read(bar).with(CTRL::RFCE, 1).write(bar);
            } else {
                MFLCN(0).with(MFLCN::RFCE, 1).write(bar);
            }
        });
        rig.post(4);
        rig.nic.inject_frame(&pause(quanta));
        rig.nic.step();
        let first = queue(&mut rig);
        // `send` itself waits for 16 idle steps.
        let waited = until_sent(&mut rig) + 16;
        assert!((micros - 3..=micros + 3).contains(&waited), "{model:?}: {waited}");

        rig.nic.inject_frame(&pause(u16::MAX));
        rig.nic.step();
        let second = queue(&mut rig);
        assert_eq!(rig.send(), [[0u8; 0]; 0]);
        if model == Model::I82599 {
            assert_eq!(read::<TFCS>(&rig.bar), 0);
        }
        rig.nic.inject_frame(&pause(0));
        assert_eq!(rig.send().len(), 1, "XON ends it");
        rig.reclaim(first);
        rig.reclaim(second);
        let counts = match model {
            Model::I82599 => [read::<LXOFFRXCNT>(&rig.bar), read::<LXONRXCNT>(&rig.bar)],
            _ => [read::<XOFFRXC>(&rig.bar), read::<XONRXC>(&rig.bar)],
        };
        assert_eq!(counts, [2, 1], "{model:?}");
        if model == Model::I82599 {
            assert_eq!(read::<TFCS>(&rig.bar), 1);
            assert_eq!(read::<TPR>(&rig.bar), 3);
        }
    }
}

#[test]
fn a_pause_that_is_not_obeyed_is_counted_and_reaches_the_host() {
    let mut rig = Rig::new();
    rig.post(8);
    let got = rig.receive(&pause(u16::MAX));
    assert_eq!(got.len(), 1);
    let first = queue(&mut rig);
    assert_eq!(rig.send().len(), 1);
    assert_eq!(read::<LXOFFRXCNT>(&rig.bar), 1);
    // Dropping them needs that they are obeyed.
    MFLCN(0).with(MFLCN::DPF, 1).write(&rig.bar);
    assert_eq!(rig.receive(&pause(u16::MAX)).len(), 1);
    MFLCN(0).with(MFLCN::DPF, 1).with(MFLCN::RFCE, 1).write(&rig.bar);
    assert_eq!(rig.receive(&pause(9)).len(), 0);
    MFLCN(0).with(MFLCN::RFCE, 1).write(&rig.bar);
    assert_eq!(rig.receive(&pause(u16::MAX)).len(), 1);
    assert_eq!(read::<LXOFFRXCNT>(&rig.bar), 3);
    // Switching it off lets go at once.
    MFLCN(0).write(&rig.bar);
    let second = queue(&mut rig);
    assert_eq!(rig.send().len(), 1);
    rig.reclaim(first);
    rig.reclaim(second);
}

#[test]
fn other_control_frames_reach_the_host_only_if_software_asks_for_them() {
    let mut rig = Rig::new();
    rig.post(8);
    MFLCN(0).with(MFLCN::RFCE, 1).write(&rig.bar);
    let others = [control(GROUP, 2, &[9]), control([2, 0, 0, 0, 0, 0x77], 1, &[9])];
    for frame in &others {
        assert_eq!(rig.receive(frame).len(), 0);
    }
    MFLCN(0).with(MFLCN::PMCF, 1).write(&rig.bar);
    for frame in &others {
        assert_eq!(rig.receive(frame).len(), 1);
    }
    assert_eq!(read::<LXOFFRXCNT>(&rig.bar), 0);

    let mut rig = Rig::on(Model::I82576, 0, |_| {});
    rig.post(8);
    assert_eq!(rig.receive(&others[0]).len(), 0);
    assert_eq!(read::<FCRUC>(&rig.bar), 1);
    RCTL::read(&rig.bar).with(RCTL::PMCF, 1).with(RCTL::DPF, 1).write(&rig.bar);
    assert_eq!(rig.receive(&others[0]).len(), 1);
    assert_eq!(rig.receive(&pause(9)).len(), 0);
    assert_eq!(read::<XOFFRXC>(&rig.bar), 1);
}

#[test]
fn pauses_of_classes_are_counted_by_class() {
    let mut rig = Rig::with(0, |bar| MFLCN(0).with(MFLCN::RPFCM, 1).write(bar));
    rig.post(8);
    // Classes 0 and 3 named, 3 with no time; class 5 has a time and is not named.
    rig.receive(&control(GROUP, 0x0101, &[0b1001, 7, 0, 0, 0, 0, 7]));
    rig.receive(&control(GROUP, 0x0101, &[0b1000, 7, 0, 0, 0]));
    let counts =
        |meta: crate::mmio::RegMeta| [0, 3, 5].map(|class| rig.bar.read32(meta.offset_of(class)));
    assert_eq!(counts(PXOFFRXCNT::META), [1, 0, 0]);
    assert_eq!(counts(PXONRXCNT::META), [0, 2, 0]);
    assert_eq!((read::<LXOFFRXCNT>(&rig.bar), read::<LXONRXCNT>(&rig.bar)), (1, 1));
}

#[test]
fn a_pause_that_waits_for_a_descriptor_counts_once() {
    let mut rig = Rig::new();
    let srrctl = Model::I82599.chip().rx_block(0) + 0x14;
    rig.bar.write32(srrctl, rig.bar.read32(srrctl) & !(1 << 28));
    MFLCN(0).with(MFLCN::RFCE, 1).write(&rig.bar);
    assert_eq!(rig.receive(&pause(9)).len(), 0);
    assert_eq!(rig.nic.step_until_idle(50), 16);
    rig.post(2);
    rig.nic.step_until_idle(50);
    assert_eq!(rig.harvest().len(), 1);
    assert_eq!(rig.receive(&pause(9)).len(), 1);
    assert_eq!(read::<LXOFFRXCNT>(&rig.bar), 2);
}

#[test]
fn a_reset_lets_the_transmitter_go() {
    let mut rig = Rig::with(0, |bar| MFLCN(0).with(MFLCN::RFCE, 1).write(bar));
    rig.post(2);
    rig.receive(&pause(u16::MAX));
    assert_eq!(read::<TFCS>(&rig.bar), 0);
    rig.nic.function_reset();
    rig.nic.advance(Duration::from_micros(1));
    assert_eq!(read::<TFCS>(&rig.bar), 1);
}

#[test]
fn damaged_frames_of_a_wrong_length_count_apart_and_a_lost_link_counts() {
    let mut rig = Rig::new();
    rig.post(8);
    rig.nic.inject(super::super::Inject::Damage, 1.0);
    for len in [40, 60, 15_000] {
        rig.receive(&vec![0xff; len]);
    }
    let crc = crate::drivers::ixgbe::regs::CRCERRS::META.offset;
    let counts = [read::<RFC>(&rig.bar), rig.bar.read32(crc), read::<RJC>(&rig.bar)];
    assert_eq!(counts, [1, 1, 1]);
    assert_eq!(rig.nic.truth().damaged, 3);
    read::<MLFC>(&rig.bar);
    rig.nic.set_link(false);
    rig.nic.step_until_idle(20);
    rig.nic.set_link(true);
    rig.nic.step_until_idle(20);
    assert_eq!(read::<MLFC>(&rig.bar), 1);
}
