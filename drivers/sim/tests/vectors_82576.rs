//! Messages, vectors and throttles of the 82576 and its successors (82576 datasheet 7.3, 8.8), as
//! the slot sees them.

use std::sync::Arc;
use std::time::Duration;

use super::super::irq::Cause;
use super::super::{InterruptMode, Model};
use super::rig::{Rig, udp};
use super::vectors::{LINE, Told};
use crate::drivers::igb::regs::{
    CTRL, CTRL_EXT, EIAC, EIAM, EICR, EICS, EIMC, EIMS, EITR, GPIE, ICR, ICS, IMC, IMS, IVAR,
    IVAR_MISC, TCPTIMER,
};
use crate::drivers::sim::SimBar;
use crate::mmio::Register;

const MSIX: InterruptMode = InterruptMode::Msix { vectors: 25 };

/// Vectors of the two queues, and of other causes.
const RX: u16 = 1;
const TX: u16 = 24;
const OTHER: u16 = 0;

/// As stock drivers set it up.
fn like_napi(bar: &SimBar) {
    let gpie = GPIE(0).with(GPIE::NSICR, 1).with(GPIE::MULTIPLE_MSIX, 1);
    gpie.with(GPIE::EIAME, 1).with(GPIE::PBA_SUPPORT, 1).write(bar);
    IVAR(u32::from(0x80 | RX) | u32::from(0x80 | TX) << 8).write(bar);
    IVAR_MISC(u32::from(0x80 | OTHER) << 8).write(bar);
    let all = 1 << RX | 1 << TX | 1 << OTHER;
    EIAC(all).write(bar);
    EIAM(all).write(bar);
    EIMS(all).write(bar);
    IMS(ICR::LSC.mask() | ICR::DOUTSYNC.mask()).write(bar);
}

fn rig(model: Model, mode: InterruptMode, change: impl FnOnce(&SimBar)) -> (Rig, Arc<Told>) {
    let mut rig = Rig::on(model, 0, change);
    rig.post(20);
    rig.nic.advance(Duration::from_secs(1));
    rig.nic.step_until_idle(50);
    ICR(u32::MAX).write(&rig.bar);
    EICR(u32::MAX).write(&rig.bar);
    let told = Told::listen(&rig.nic, mode);
    (rig, told)
}

fn receive(rig: &mut Rig) {
    assert_eq!(rig.receive(&udp(None, 20)).len(), 1);
}

/// Sends a frame and asks for a report.
fn send(rig: &mut Rig) {
    let (address, m) = rig.buffer(&[0u8; 60]);
    // DEXT, DTYP data, RS, IFCS, EOP.
    rig.descriptor(address, 60 << 46 | 0x2b30_0000 | 60);
    assert_eq!(rig.send().len(), 1);
    rig.reclaim(m);
}

#[test]
fn queues_have_vectors_that_clear_and_mask_themselves() {
    for model in [Model::I82576, Model::I350] {
        let (mut rig, told) = rig(model, MSIX, like_napi);
        receive(&mut rig);
        assert_eq!(told.take(), [RX], "{model:?}");
        assert_eq!(EICS::read(&rig.bar).raw(), 0);
        assert_eq!(EIMS::read(&rig.bar).raw(), 1 << TX | 1 << OTHER);
        receive(&mut rig);
        send(&mut rig);
        assert_eq!(told.take(), [TX]);
        EIMS(1 << RX).write(&rig.bar);
        assert_eq!(told.take(), [RX], "a cause is pending when its mask goes");
        EIMS(1 << RX).write(&rig.bar);
        EICS(1 << RX | 1 << TX).write(&rig.bar);
        assert_eq!(told.take(), [RX], "rearmed; the other is masked");
        EIMC(1 << TX).write(&rig.bar);
        // The causes by kind were set all the same, and are not enabled.
        let icr = ICR::read(&rig.bar);
        assert!(icr.has(ICR::RXDW) && icr.has(ICR::TXDW) && !icr.has(ICR::INTA));
    }
}

#[test]
fn an_enabled_cause_of_icr_is_carried_on_to_the_vector_of_others() {
    for model in [Model::I82576, Model::I350] {
        let (rig, told) = rig(model, MSIX, like_napi);
        rig.nic.set_link(false);
        rig.nic.step();
        assert_eq!(told.take(), [OTHER]);
        let icr = ICR::read(&rig.bar);
        assert!(icr.has(ICR::LSC) && icr.has(ICR::INTA));
        ICS(ICR::LSC.mask()).write(&rig.bar);
        assert_eq!(told.take(), [0u16; 0], "masked by its message");
        EIMS(1 << OTHER).write(&rig.bar);
        assert_eq!(told.take(), [OTHER]);
        ICR::read(&rig.bar);
        EIMS(1 << OTHER).write(&rig.bar);
        ICS(ICR::RXDW.mask()).write(&rig.bar);
        assert_eq!(told.take(), [0u16; 0], "not enabled");
        IMS(ICR::RXDW.mask()).write(&rig.bar);
        assert_eq!(told.take(), [OTHER]);
    }
}

#[test]
fn the_throttle_holds_what_comes_too_soon() {
    let (rig, told) = rig(Model::I82576, MSIX, |bar| {
        like_napi(bar);
        EIAM(0).write(bar);
        // 100 units of 1 us; CNT_INGR leaves the counter alone.
        EITR(100 << 2 | 1 << 31).write_at(bar, RX.into());
    });
    let set = || EICS(1 << RX).write(&rig.bar);
    let start = rig.nic.now();
    set();
    set();
    assert_eq!(told.take(), [RX]);
    let eitr = EITR(100 << 2).with(EITR::MODERATION, 100 >> 3);
    assert_eq!(EITR::read_at(&rig.bar, RX.into()), eitr);
    while told.take().is_empty() {
        rig.nic.step();
    }
    assert_eq!(rig.nic.now() - start, Duration::from_micros(100));
    set();
    EITR(100 << 2).write_at(&rig.bar, RX.into());
    assert_eq!(told.take(), [RX], "the counter was written as zero");
}

#[test]
fn the_line_goes_by_both_cause_registers() {
    let (mut rig, told) = rig(Model::I82576, InterruptMode::Intx, |bar| {
        IVAR(0x83 | 0x84 << 8).write(bar);
    });
    receive(&mut rig);
    send(&mut rig);
    assert_eq!(told.take(), [0u16; 0]);
    IMS(ICR::TXDW.mask()).write(&rig.bar);
    assert_eq!(told.take(), [LINE]);
    assert!(ICR::read(&rig.bar).has(ICR::TXDW));
    assert!(!rig.nic.asserts_intx());
    // An enabled cause of ICR shows in EICR, too.
    assert_eq!(EICR::read(&rig.bar).raw(), 1 << 31 | 1 << 4 | 1 << 3);
    IMC(u32::MAX).write(&rig.bar);
    rig.nic.mask_intx(false);
    EIMS(1 << 3).write(&rig.bar);
    receive(&mut rig);
    assert_eq!(told.take(), [LINE]);
    // Reading clears, and masks what EIAM says.
    EIAM(1 << 3).write(&rig.bar);
    assert_eq!(EICR::read(&rig.bar).raw(), 1 << 3);
    assert_eq!((EIMS::read(&rig.bar).raw(), rig.nic.asserts_intx()), (0, false));
    EICS(1 << 3).write(&rig.bar);
    assert_eq!((EIMS::read(&rig.bar).raw(), rig.nic.asserts_intx()), (1 << 3, true));
}

#[test]
fn one_message_serves_all_causes() {
    let (mut rig, told) = rig(Model::I350, InterruptMode::Msi { vectors: 1 }, |bar| {
        IMS(ICR::RXDW.mask() | ICR::LSC.mask()).write(bar);
    });
    receive(&mut rig);
    receive(&mut rig);
    assert_eq!(told.take(), [0]);
    rig.nic.set_link(false);
    rig.nic.step();
    assert_eq!(told.take(), [0]);
    ICR::read(&rig.bar);
    rig.nic.set_link(true);
    rig.nic.advance(Duration::from_secs(1));
    rig.nic.step_until_idle(50);
    assert_eq!(told.take(), [0]);
}

#[test]
fn the_interrupt_test_of_stock_drivers_passes() {
    for (model, writable) in [(Model::I82576, 0x77d4_fbfd), (Model::I350, 0x77dc_fed5)] {
        for mode in [InterruptMode::Intx, InterruptMode::Msi { vectors: 1 }, MSIX] {
            let (rig, told) = rig(model, mode, |_| {});
            let bar = &rig.bar;
            let handle = || {
                let icr = if told.take().is_empty() { 0 } else { ICR::read(bar).raw() };
                rig.nic.mask_intx(false);
                icr
            };
            if mode == MSIX {
                // Vectors are off: there is one for all causes.
                IVAR_MISC(0x80 << 8).write(bar);
                EIMS(1).write(bar);
            }
            IMC(u32::MAX).write(bar);
            for mask in (0..31).map(|n| 1u32 << n).filter(|mask| writable & mask != 0) {
                ICR(u32::MAX).write(bar);
                IMC(mask).write(bar);
                ICS(mask).write(bar);
                assert_eq!(handle() & mask, 0, "{model:?} {mode:?} {mask:#x}");
                ICR(u32::MAX).write(bar);
                IMS(mask).write(bar);
                ICS(mask).write(bar);
                assert_eq!(handle() & mask, mask, "{model:?} {mode:?} {mask:#x}");
                ICR(u32::MAX).write(bar);
                IMC(!mask).write(bar);
                ICS(!mask).write(bar);
                assert_eq!(handle(), 0, "{model:?} {mode:?} {mask:#x}");
            }
        }
    }
}

#[test]
fn pins_and_missed_packets_are_causes() {
    let nic = Rig::on(Model::I82576, 0, |_| {}).nic.clone();
    let bar = nic.bar();
    let raised = |cause| {
        ICR::read(&bar);
        nic.device().raise(cause);
        ICR::read(&bar)
    };
    assert_eq!(raised(Cause::Pin(1)), ICR(0), "not enabled");
    CTRL::read(&bar).with(CTRL::SDP1_GPIEN, 1).write(&bar);
    CTRL_EXT::read(&bar).with(CTRL_EXT::SDP2_GPIEN, 1).write(&bar);
    assert_eq!(raised(Cause::Pin(1)), ICR(ICR::GPI_SDP1.mask()));
    assert_eq!(raised(Cause::Pin(2)), ICR(ICR::GPI_SDP2.mask()));
    assert_eq!(raised(Cause::Pin(3)), ICR(0));
    assert_eq!(raised(Cause::Missed), ICR(ICR::RXO.mask()));
}

#[test]
fn the_tcp_timer_raises_its_cause() {
    let nic = Rig::on(Model::I82576, 0, |_| {}).nic.clone();
    let bar = nic.bar();
    EICR::read(&bar);
    let kick = TCPTIMER(2).with(TCPTIMER::KICKSTART, 1).with(TCPTIMER::COUNT_ENABLE, 1);
    kick.write(&bar);
    nic.advance(Duration::from_millis(2));
    assert_eq!(EICR::read(&bar).raw(), EICR::TCP_TIMER.mask());
    nic.advance(Duration::from_millis(9));
    assert_eq!(EICR::read(&bar).raw(), 0, "once");
    ICR::read(&bar);
    let told = Told::listen(&nic, MSIX);
    like_napi(&bar);
    IVAR_MISC(0x80 | u32::from(RX)).write(&bar);
    kick.with(TCPTIMER::COUNT_FINISH, 1).write(&bar);
    assert_eq!(told.take(), [RX]);
}
