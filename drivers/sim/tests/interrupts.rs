//! Causes, masks and the line, as software finds them.

use std::time::Duration;

use super::super::common::{CTRL, RST};
use super::super::{Model, SimBar};
use super::rig::{Rig, udp};
use crate::drivers::igb::regs as igb;
use crate::drivers::ixgbe::regs::{EIAM, EICR, EICS, EIMC, EIMS, GPIE, IVAR};
use crate::error::Error;
use crate::mmio::{Bar, Register};
use crate::poll::{Woken, wait};
use crate::port::{Host, Line};

/// Receive queue 2 leads to cause 5.
fn rig_82599() -> Rig {
    let mut rig = Rig::with(2, |bar| IVAR(0x85).write_at(bar, 1));
    // What is not hashed goes to queue 0, so the line needs RSS; one entry for all does it.
    steer(&rig.bar, 2);
    rig.post(20);
    // The link has come up.
    assert!(EICR::read(&rig.bar).has(EICR::LSC));
    rig
}

/// Leads everything that is hashed to one queue.
fn steer(bar: &SimBar, queue: u32) {
    use crate::drivers::ixgbe::regs::{MRQC, RETA};
    for n in 0..RETA::META.count {
        RETA(queue * 0x0101_0101).write_at(bar, n);
    }
    MRQC(1).with(MRQC::RSS_IPV4, 1).write(bar);
}

fn receive(rig: &mut Rig) {
    assert_eq!(rig.receive(&udp(None, 20)).len(), 1);
}

/// Whether the line's file says that an interrupt came.
fn fired(line: &dyn Line) -> bool {
    wait(&[line.fd()], Duration::ZERO).unwrap() == Woken::Event
}

#[test]
fn the_line_fires_once_and_again_if_the_cause_is_still_there() {
    let mut rig = rig_82599();
    let line = rig.nic.host().line().unwrap();
    receive(&mut rig);
    assert!(!fired(&*line), "masked");
    assert_eq!(EICR::read(&rig.bar), EICR(1 << 5));
    receive(&mut rig);
    EIMS(1 << 5).write(&rig.bar);
    assert!(fired(&*line) && line.take().unwrap(), "unmasked with a cause pending");
    receive(&mut rig);
    assert!(!fired(&*line), "the slot has masked it");
    line.unmask().unwrap();
    assert!(line.take().unwrap(), "the cause was not cleared");
    EICR::read(&rig.bar);
    line.unmask().unwrap();
    assert!(!fired(&*line));
    receive(&mut rig);
    assert!(fired(&*line));
}

#[test]
fn an_entry_that_is_not_valid_leads_nowhere() {
    let mut rig = rig_82599();
    for entry in [0x05, 0x00, 0x85 << 8, 0x90] {
        IVAR(entry).write_at(&rig.bar, 1);
        receive(&mut rig);
        assert_eq!(EICR::read(&rig.bar), EICR(0), "{entry:#x}");
    }
    IVAR(0x8f).write_at(&rig.bar, 1);
    receive(&mut rig);
    assert_eq!(EICR::read(&rig.bar), EICR(1 << 15));
}

#[test]
fn causes_can_be_set_and_masked_by_reading() {
    let rig = rig_82599();
    let line = rig.nic.host().line().unwrap();
    EIMS(0x41).write(&rig.bar);
    EICS(0x40).write(&rig.bar);
    assert!(line.take().unwrap());
    EIAM(0x40).write(&rig.bar);
    assert_eq!(EICR::read(&rig.bar), EICR(0x40));
    assert_eq!(EIMS::read(&rig.bar), EIMS(0x01), "masked by the read");
    line.unmask().unwrap();
    EIAM(0).write(&rig.bar);
    EICS(0x40).write(&rig.bar);
    assert!(!fired(&*line));
    EIAM(0x40).write(&rig.bar);
    EICS(0x40).write(&rig.bar);
    assert!(line.take().unwrap(), "unmasked by the write");
    // With MSI-X, reading masks nothing.
    GPIE(0).with(GPIE::MULTIPLE_MSIX, 1).write(&rig.bar);
    EIMS(0x40).write(&rig.bar);
    EICR::read(&rig.bar);
    assert_eq!(EIMS::read(&rig.bar), EIMS(0x41));
    EIMC(0x41).write(&rig.bar);
    assert_eq!(EIMS::read(&rig.bar), EIMS(0));
}

#[test]
fn the_82576_has_one_cause_for_all_its_queues() {
    use igb::{EICR, ICR, ICS, IMC, IMS, IVAR};
    let mut rig = Rig::on(Model::I82576, 0, |bar| IVAR(0x83).write(bar));
    rig.post(20);
    let line = rig.nic.host().line().unwrap();
    ICR::read(&rig.bar);
    receive(&mut rig);
    assert!(!fired(&*line));
    assert_eq!(EICR::read(&rig.bar), EICR(1 << 3));
    assert!(ICR::read(&rig.bar).has(ICR::RXDW) && !ICR::read(&rig.bar).has(ICR::RXDW));
    IMS(0).with(IMS::RXDW, 1).write(&rig.bar);
    receive(&mut rig);
    assert!(line.take().unwrap());
    let seen = ICR::read(&rig.bar);
    assert!(seen.has(ICR::RXDW) && seen.has(ICR::INTA));
    line.unmask().unwrap();
    IMC(ICR::RXDW.mask()).write(&rig.bar);
    receive(&mut rig);
    assert!(!fired(&*line));
    ICR::read(&rig.bar);
    IMS(ICR::RXDW.mask()).write(&rig.bar);
    assert!(!fired(&*line));
    ICS(ICR::RXDW.mask()).write(&rig.bar);
    assert!(fired(&*line));
}

#[test]
fn a_reset_lets_go_of_the_line_and_a_removal_wakes() {
    let mut rig = rig_82599();
    let line = rig.nic.host().line().unwrap();
    EIMS(1 << 5).write(&rig.bar);
    receive(&mut rig);
    assert!(line.take().unwrap());
    rig.bar.write32(CTRL, RST);
    line.unmask().unwrap();
    assert!(!fired(&*line), "a reset clears causes and masks");
    rig.nic.unplug();
    assert!(fired(&*line) && fired(&*line));
    for result in [line.take().map(drop), line.unmask()] {
        assert!(matches!(result, Err(Error::Gone { .. })));
    }
}
