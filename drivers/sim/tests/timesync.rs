//! The clock of the precision time protocol and its transmit stamps, as software sees them.

use std::time::Duration;

use super::super::{Model, SimBar};
use super::rig::{Rig, udp};
use crate::drivers::igb::regs::ICR;
use crate::drivers::intel::TxDesc;
use crate::drivers::ixgbe::regs::{CTRL, EICR};
use crate::mmio::{Bar, Register};

/// Where the registers are that the tests use.
struct At {
    systim: [u32; 2],
    residue: u32,
    timinca: u32,
    timadj: [u32; 2],
    tsauxc: u32,
    tsynctxctl: u32,
    txstmp: [u32; 2],
}

const IXGBE: At = At {
    systim: [0x8c0c, 0x8c10],
    residue: 0x8c58,
    timinca: 0x8c14,
    timadj: [0x8c18, 0x8c1c],
    tsauxc: 0x8c20,
    tsynctxctl: 0x8c00,
    txstmp: [0x8c04, 0x8c08],
};

const IGB: At = At {
    systim: [0xb600, 0xb604],
    residue: 0xb6f8,
    timinca: 0xb608,
    timadj: [0xb60c, 0xb610],
    tsauxc: 0xb640,
    tsynctxctl: 0xb614,
    txstmp: [0xb618, 0xb61c],
};

/// Low half first, as the datasheet wants it.
fn pair(bar: &SimBar, [low, high]: [u32; 2]) -> u64 {
    let low = u64::from(bar.read32(low));
    u64::from(bar.read32(high)) << 32 | low
}

fn systim(rig: &Rig, at: &At) -> u64 {
    pair(&rig.bar, at.systim)
}

fn zero(rig: &Rig, at: &At) {
    for register in at.systim {
        rig.bar.write32(register, 0);
    }
}

#[test]
fn an_82599_adds_its_increment_every_so_many_periods_of_6_4_ns() {
    let rig = Rig::new();
    rig.nic.advance(Duration::from_secs(1));
    assert_eq!(systim(&rig, &IXGBE), 0, "TIMINCA is zero after a reset");
    rig.bar.write32(IXGBE.timinca, 1 << 24 | 5);
    zero(&rig, &IXGBE);
    rig.nic.advance(Duration::from_micros(64));
    assert_eq!(systim(&rig, &IXGBE), 5 * 10_000);
    rig.bar.write32(IXGBE.timinca, 10 << 24 | 0xff_ffff);
    rig.nic.advance(Duration::from_micros(64));
    assert_eq!(systim(&rig, &IXGBE), 50_000 + 0xff_ffff * 1_000);
    rig.bar.write32(IXGBE.timinca, 0);
    let stopped = systim(&rig, &IXGBE);
    rig.nic.advance(Duration::from_secs(1));
    assert_eq!(systim(&rig, &IXGBE), stopped);
    rig.bar.write32(CTRL::META.offset, CTRL::RST.mask());
    rig.nic.step_until_idle(50);
    assert_eq!(systim(&rig, &IXGBE), 0);
}

/// The numbers with which Linux makes nanoseconds by a shift: 6.4 ns in units of 2^-21 and 2^-28.
#[test]
fn a_stock_driver_s_cycle_counter_counts_nanoseconds() {
    for (model, at, timinca, shift) in [
        (Model::I82599, &IXGBE, 1 << 24 | 0x6666_6666 >> 7, 21),
        (Model::X540, &IXGBE, 0x6666_6666, 28),
        (Model::I82576, &IGB, 1 << 24 | 16 << 19, 19),
    ] {
        let rig = Rig::on(model, 0, |_| {});
        rig.bar.write32(at.timinca, timinca);
        zero(&rig, at);
        rig.nic.advance(Duration::from_secs(2));
        let nanos = systim(&rig, at) >> shift;
        assert!(2_000_000_000_u64.abs_diff(nanos) < 1_000, "{model:?}: {nanos}");
    }
}

#[test]
fn an_x550_counts_seconds_and_an_i350_forty_bits_of_nanoseconds() {
    for (model, at) in [(Model::X550, &IXGBE), (Model::I350, &IGB)] {
        let rig = Rig::on(model, 0, |_| {});
        rig.nic.advance(Duration::from_secs(1));
        assert_eq!(systim(&rig, at), 0, "off after a reset");
        rig.bar.write32(at.tsauxc, 0);
        rig.nic.advance(Duration::from_nanos(5_000_001_000));
        rig.bar.read32(at.residue);
        let want = if model == Model::X550 { 5 << 32 | 1_000 } else { 5_000_001_000 };
        assert_eq!(systim(&rig, at), want, "{model:?}");
        // A quarter of a nanosecond less every tick.
        rig.bar.write32(at.timinca, 1 << 31 | 1 << 30);
        zero(&rig, at);
        rig.nic.advance(Duration::from_secs(1));
        let want = if model == Model::X550 { 980_000_000 } else { 968_750_000 };
        assert_eq!(systim(&rig, at), want, "{model:?}");
        rig.bar.write32(at.tsauxc, 1 << 31);
        rig.nic.advance(Duration::from_secs(1));
        assert_eq!(systim(&rig, at), want, "{model:?}");
    }
}

#[test]
fn the_words_of_a_reading_are_of_one_moment() {
    let rig = Rig::new();
    rig.bar.write32(IXGBE.timinca, 1 << 24 | 1);
    rig.bar.write32(IXGBE.systim[1], 7);
    rig.bar.write32(IXGBE.systim[0], u32::MAX);
    assert_eq!(rig.bar.read32(IXGBE.systim[0]), u32::MAX);
    rig.nic.advance(Duration::from_nanos(64));
    assert_eq!(rig.bar.read32(IXGBE.systim[1]), 7, "as it was when the low word was read");
    assert_eq!(systim(&rig, &IXGBE), 8 << 32 | 9);

    let rig = Rig::on(Model::X550, 0, |_| {});
    rig.bar.write32(IXGBE.tsauxc, 0);
    rig.bar.write32(IXGBE.systim[0], 999_999_999);
    rig.bar.read32(IXGBE.residue);
    rig.nic.advance(Duration::from_micros(1));
    assert_eq!(systim(&rig, &IXGBE), 999_999_999, "as it was when the residue was read");
    assert_eq!(systim(&rig, &IXGBE), 1 << 32 | 999, "a later one without the residue is new");
}

#[test]
fn the_clock_is_put_forward_and_back() {
    let rig = Rig::new();
    rig.bar.write32(IXGBE.timadj[0], 5);
    assert_eq!(systim(&rig, &IXGBE), 0);
    rig.bar.write32(IXGBE.timadj[1], 1);
    assert_eq!(systim(&rig, &IXGBE), 1 << 32 | 5);
    rig.bar.write32(IXGBE.timadj[0], 6);
    rig.bar.write32(IXGBE.timadj[1], 1 << 31);
    assert_eq!(systim(&rig, &IXGBE), u64::from(u32::MAX));

    let rig = Rig::on(Model::X550, 0, |_| {});
    rig.bar.write32(IXGBE.systim[1], 2);
    rig.bar.write32(IXGBE.timadj[0], 1 << 31 | 1_000);
    assert_eq!(systim(&rig, &IXGBE), 1 << 32 | 999_999_000);
}

/// Sends a packet with the bit for a stamp.
fn send_stamped(rig: &mut Rig) {
    let frame = udp(None, 60);
    let (iova, m) = rig.buffer(&frame);
    let command = TxDesc::EOP | TxDesc::RS | 1 << 19;
    rig.descriptor(iova, TxDesc::data(frame.len() as u16, frame.len() as u32, command));
    assert_eq!(rig.send(), [frame]);
    rig.reclaim(m);
}

#[test]
fn a_packet_that_asks_for_it_gets_a_transmit_stamp_until_that_is_read() {
    for (model, at, timinca) in [
        (Model::I82599, &IXGBE, 1 << 24 | 1),
        (Model::X540, &IXGBE, 1),
        (Model::I82576, &IGB, 1 << 24 | 1),
    ] {
        let mut rig = Rig::on(model, 0, |_| {});
        rig.bar.write32(at.timinca, timinca);
        rig.nic.advance(Duration::from_secs(1));
        send_stamped(&mut rig);
        assert_eq!(rig.bar.read32(at.tsynctxctl), 0, "stamps are off");
        rig.bar.write32(at.tsynctxctl, 1 << 4 | 1);
        assert_eq!(rig.bar.read32(at.tsynctxctl), 1 << 4, "the valid bit is not software's");
        let before = systim(&rig, at);
        send_stamped(&mut rig);
        assert_eq!(rig.bar.read32(at.tsynctxctl), 1 << 4 | 1);
        rig.nic.advance(Duration::from_millis(1));
        send_stamped(&mut rig);
        let stamp = pair(&rig.bar, at.txstmp);
        assert!(stamp >= before && stamp < before + 50_000, "{model:?}: the first packet's");
        assert_eq!(rig.bar.read32(at.tsynctxctl), 1 << 4, "read");
        send_stamped(&mut rig);
        assert!(pair(&rig.bar, at.txstmp) > stamp + 50_000);
        // The plain path and packets that do not ask.
        let frame = udp(None, 60);
        let (iova, m) = rig.buffer(&frame);
        let command = TxDesc::EOP | TxDesc::RS;
        rig.descriptor(iova, TxDesc::data(frame.len() as u16, frame.len() as u32, command));
        rig.send();
        rig.reclaim(m);
        assert_eq!(rig.bar.read32(at.tsynctxctl), 1 << 4);
    }
}

#[test]
fn a_transmit_stamp_is_an_interrupt_cause_of_x550_and_i350() {
    for (model, at, [tsicr, tsim], [causes, cause]) in [
        (Model::X550, &IXGBE, [0x8c60, 0x8c68], [EICR::META.offset, 1 << 24]),
        (Model::I350, &IGB, [0xb66c, 0xb674], [ICR::META.offset, 1 << 19]),
    ] {
        let mut rig = Rig::on(model, 0, |_| {});
        rig.bar.write32(at.tsauxc, 0);
        rig.bar.write32(at.tsynctxctl, 1 << 4);
        rig.bar.read32(causes);
        send_stamped(&mut rig);
        assert_eq!(rig.bar.read32(causes) & cause, 0, "{model:?}: masked by TSIM");
        assert_eq!((rig.bar.read32(tsicr), rig.bar.read32(tsicr)), (2, 0));
        pair(&rig.bar, at.txstmp);
        rig.bar.write32(tsim, 2);
        send_stamped(&mut rig);
        assert_eq!(rig.bar.read32(causes) & cause, cause, "{model:?}");
        assert_eq!(rig.bar.read32(tsicr), 2);
    }
}
