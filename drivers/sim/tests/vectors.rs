//! Messages, vectors, throttles and the TCP timer of the 82599 family (82599 datasheet 7.3,
//! 8.2.3.5), as the slot sees them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::irq::Cause;
use super::super::{InterruptMode, InterruptSink, Model, SimBar, SimNic};
use super::rig::{Rig, udp};
use crate::drivers::ixgbe::regs::{
    EIAC, EIAM, EIAM_EX, EICR, EICS, EICS_EX, EIMC, EIMC_EX, EIMS, EIMS_EX, EITR, EITR_24, EITRSEL,
    GPIE, IVAR, IVAR_MISC, TCPTIMER,
};
use crate::mmio::{Bar, Register};

/// Everything that is told: vectors, and the line as `LINE`.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Vec<u16>>);

pub(super) const LINE: u16 = u16::MAX;

impl InterruptSink for Told {
    fn intx(&self) {
        self.message(LINE);
    }

    fn message(&self, vector: u16) {
        self.0.lock().unwrap().push(vector);
    }
}

impl Told {
    pub(super) fn listen(nic: &SimNic, mode: InterruptMode) -> Arc<Self> {
        let told = Arc::new(Self::default());
        nic.connect_interrupts(Some(told.clone()));
        nic.set_interrupt_mode(mode);
        told
    }

    /// What was told since the last call.
    pub(super) fn take(&self) -> Vec<u16> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

const MSIX: InterruptMode = InterruptMode::Msix { vectors: 64 };
const MSI: InterruptMode = InterruptMode::Msi { vectors: 1 };

/// GPIE as with many vectors: auto-mask on sending, and only other causes clear on reading.
fn many() -> GPIE {
    let gpie = GPIE(0).with(GPIE::MULTIPLE_MSIX, 1).with(GPIE::EIAME, 1);
    gpie.with(GPIE::OCD, 1).with(GPIE::PBA_SUPPORT, 1)
}

/// One receive queue, number 2, and transmit queue 0, with a sink.
fn rig(mode: InterruptMode, change: impl FnOnce(&SimBar)) -> (Rig, Arc<Told>) {
    let mut rig = Rig::with(2, change);
    for n in 0..32 {
        rig.bar.write32(0x5c00 + 4 * n, 0x0202_0202);
    }
    // Hashed by IPv4, so that the table leads to queue 2.
    rig.bar.write32(0x5818, 1 | 1 << 17);
    rig.post(30);
    EICR(u32::MAX).write(&rig.bar);
    let told = Told::listen(&rig.nic, mode);
    (rig, told)
}

fn receive(rig: &mut Rig) {
    assert_eq!(rig.receive(&udp(None, 20)).len(), 1);
}

/// As stock drivers set it up: receive queue 2 to vector 1, transmit queue 0 to vector 20, other
/// causes to vector 3.
fn like_napi(bar: &SimBar) {
    many().write(bar);
    EIAM_EX(u32::MAX).write_at(bar, 0);
    EIAM_EX(u32::MAX).write_at(bar, 1);
    IVAR(0x81).write_at(bar, 1);
    IVAR(0x94 << 8).write_at(bar, 0);
    IVAR_MISC(0x83 << 8).write(bar);
    EIAC(0x4000_ffff).write(bar);
    EIMS(0x7fff_0000).write(bar);
    EIMS_EX(u32::MAX).write_at(bar, 0);
    EIMS_EX(u32::MAX).write_at(bar, 1);
}

#[test]
fn a_vector_is_sent_once_and_again_after_it_is_unmasked() {
    let (mut rig, told) = rig(MSIX, like_napi);
    receive(&mut rig);
    assert_eq!(told.take(), [1]);
    assert_eq!(EICS::read(&rig.bar).raw(), 0, "auto-clear");
    assert_eq!(EIMS::read(&rig.bar).raw() & 0xffff, 0xfffd, "auto-mask");
    receive(&mut rig);
    assert_eq!((told.take(), EICS::read(&rig.bar).raw()), (vec![], 1 << 1), "masked");
    EIMS_EX(1 << 1).write_at(&rig.bar, 0);
    assert_eq!(told.take(), [1], "a cause is pending when its mask goes");
    EIMS_EX(1 << 1).write_at(&rig.bar, 0);
    assert_eq!(told.take(), [0u16; 0], "none is pending");
    receive(&mut rig);
    assert_eq!(told.take(), [1]);
}

#[test]
fn transmit_queues_have_causes_of_their_own_and_vectors_from_16_clear_always() {
    let (mut rig, told) = rig(MSIX, |bar| {
        like_napi(bar);
        EIAC(0).write(bar);
    });
    let frame = [0u8; 60];
    let (address, m) = rig.buffer(&frame);
    // DEXT, DTYP data, RS, IFCS, EOP.
    rig.descriptor(address, 60 << 46 | 0x2b30_0000 | 60);
    assert_eq!(rig.send().len(), 1);
    assert_eq!(told.take(), [20]);
    assert_eq!(EICS_EX::read_at(&rig.bar, 0).raw(), 0, "no EIAC for vectors from 16");
    assert_eq!(EIMS_EX::read_at(&rig.bar, 0).raw(), !(1 << 20));
    // Without report-status nothing is written back.
    rig.reclaim(m);
    EIMS_EX(1 << 20).write_at(&rig.bar, 0);
    let (address, m) = rig.buffer(&frame);
    rig.descriptor(address, 60 << 46 | 0x2330_0000 | 60);
    assert_eq!(rig.send().len(), 1);
    assert_eq!(told.take(), [0u16; 0]);
    rig.reclaim(m);
    receive(&mut rig);
    assert_eq!((told.take(), EICS::read(&rig.bar).raw()), (vec![1], 1 << 1), "EIAC is off");
    receive(&mut rig);
    EIMS_EX(1 << 1).write_at(&rig.bar, 0);
    assert_eq!(told.take(), [1], "it was masked and was never cleared");
}

#[test]
fn other_causes_have_a_vector_and_are_cleared_by_hand() {
    let (rig, told) = rig(MSIX, like_napi);
    rig.nic.set_link(false);
    rig.nic.step();
    assert_eq!(told.take(), [3]);
    assert_eq!(EICS::read(&rig.bar).raw(), EICR::LSC.mask());
    rig.nic.set_link(true);
    rig.nic.step();
    assert_eq!(told.take(), [0u16; 0], "it is set already");
    EIMC(EICR::LSC.mask()).write(&rig.bar);
    EICR(EICR::LSC.mask()).write(&rig.bar);
    rig.nic.set_link(false);
    rig.nic.step();
    assert_eq!(told.take(), [0u16; 0], "masked");
    EIMS(EICR::LSC.mask()).write(&rig.bar);
    assert_eq!(told.take(), [3]);
    // A second cause behind the same vector is told, though the first was not cleared.
    EICS(EICR::RX_MISS.mask()).write(&rig.bar);
    assert_eq!(told.take(), [3]);
    // Reading clears these, and leaves vectors alone.
    EIMC_EX(1).write_at(&rig.bar, 0);
    EICS_EX(1).write_at(&rig.bar, 0);
    assert_eq!(EICR::read(&rig.bar).raw(), EICR::LSC.mask() | EICR::RX_MISS.mask() | 1);
    assert_eq!(EICR::read(&rig.bar).raw(), 1);
    IVAR_MISC(0x03 << 8).write(&rig.bar);
    EICS(EICR::LSC.mask()).write(&rig.bar);
    assert_eq!(told.take(), [0u16; 0], "the entry is not valid");
}

#[test]
fn software_sets_causes_of_all_vectors() {
    let (rig, told) = rig(MSIX, like_napi);
    EICS_EX(1 << 31 | 1 << 16 | 1 << 2).write_at(&rig.bar, 0);
    assert_eq!(told.take(), [2, 16, 31]);
    EICS_EX(1 << 31 | 1).write_at(&rig.bar, 1);
    assert_eq!(told.take(), [32, 63]);
    assert_eq!(EIMS_EX::read_at(&rig.bar, 0).raw(), !(1 << 31 | 1 << 16 | 1 << 2));
    assert_eq!(EIMS_EX::read_at(&rig.bar, 1).raw(), !(1 << 31 | 1));
    // Both addresses of the lower half are the same bits.
    EIMS(1 << 2).write(&rig.bar);
    assert_eq!(EIMS_EX::read_at(&rig.bar, 0).raw(), !(1 << 31 | 1 << 16));
    EIMC_EX(1 << 2 | 1 << 17).write_at(&rig.bar, 0);
    assert_eq!(EIMS::read(&rig.bar).raw() & 0xffff, 0xfffb);
    EIAM_EX(0x0003_0003).write_at(&rig.bar, 0);
    assert_eq!((EIAM::read(&rig.bar).raw(), EIAM_EX::read_at(&rig.bar, 0).raw()), (3, 0x0003_0003));
    // With vectors, setting a cause unmasks nothing.
    EICS(1 << 2).write(&rig.bar);
    assert_eq!(told.take(), [0u16; 0]);
    // Beyond the table that the slot has enabled.
    rig.nic.set_interrupt_mode(InterruptMode::Msix { vectors: 4 });
    told.take();
    EICS_EX(1 << 3 | 1 << 4).write_at(&rig.bar, 0);
    assert_eq!(told.take(), [3]);
}

#[test]
fn the_throttle_holds_what_comes_too_soon() {
    let (mut rig, told) = rig(MSIX, |bar| {
        like_napi(bar);
        EIAM_EX(0).write_at(bar, 0);
        // 100 units of 2 us; CNT_WDIS leaves the counter alone.
        EITR(100 << 3 | 1 << 31).write_at(bar, 1);
    });
    let start = rig.nic.now();
    EICS_EX(1 << 1).write_at(&rig.bar, 0);
    assert_eq!(told.take(), [1], "the first goes at once");
    let us = Duration::from_micros;
    assert_eq!(EITR::read_at(&rig.bar, 1), EITR(100 << 3).with(EITR::ITR_COUNTER, 100 >> 2));
    rig.nic.advance(us(60));
    EICS_EX(1 << 1).write_at(&rig.bar, 0);
    assert_eq!(told.take(), [0u16; 0]);
    assert_eq!(rig.nic.device().irq.next_due(rig.nic.now()), Some(us(140)));
    assert_eq!(EITR::read_at(&rig.bar, 1).get(EITR::ITR_COUNTER), 70 >> 2);
    rig.nic.advance(us(139));
    rig.nic.device().try_step();
    assert_eq!(told.take(), [0u16; 0]);
    rig.nic.step();
    assert_eq!((rig.nic.now() - start, told.take()), (us(200), vec![1]), "to the microsecond");
    assert_eq!(rig.nic.device().irq.next_due(rig.nic.now()), None);
    // What is cleared by then is not told.
    EICS_EX(1 << 1).write_at(&rig.bar, 0);
    EICR(1 << 1).write(&rig.bar);
    rig.nic.advance(us(500));
    rig.nic.step();
    assert_eq!(told.take(), [0u16; 0]);
    // After a long quiet nothing is held.
    receive(&mut rig);
    assert_eq!(told.take(), [1]);
}

#[test]
fn writing_the_counter_lets_the_throttle_go() {
    let (rig, told) = rig(MSIX, |bar| {
        like_napi(bar);
        EIAM_EX(0).write_at(bar, 0);
        EITR(0xff8).write_at(bar, 1);
        EITR_24(0xff8).write_at(bar, 36 - 24);
    });
    let set = || EICS_EX(1 << 1).write_at(&rig.bar, 0);
    set();
    set();
    EITR(0xff8 | 1 << 31).write_at(&rig.bar, 1);
    assert_eq!(told.take(), [1], "CNT_WDIS keeps the counter");
    EITR(0xff8).write_at(&rig.bar, 1);
    assert_eq!(told.take(), [1], "the counter was written as zero");
    EITR(0xff8).with(EITR::ITR_COUNTER, 5).write_at(&rig.bar, 1);
    set();
    rig.nic.advance(Duration::from_micros(39));
    rig.nic.device().try_step();
    assert_eq!(told.take(), [0u16; 0]);
    rig.nic.step();
    assert_eq!(told.take(), [1], "20 units");
    // Vector 36 by its own EITR, unless that was given away.
    let high = || EICS_EX(1 << 4).write_at(&rig.bar, 1);
    high();
    EIMS_EX(1 << 4).write_at(&rig.bar, 1);
    high();
    assert_eq!(told.take(), [36]);
    EICR(0).write(&rig.bar);
    EITRSEL(1 << 4).write(&rig.bar);
    rig.nic.advance(Duration::from_millis(2));
    rig.nic.step();
    assert_eq!(told.take(), [36]);
    for _ in 0..2 {
        EIMS_EX(1 << 4).write_at(&rig.bar, 1);
        high();
        assert_eq!(told.take(), [36]);
    }
}

#[test]
fn a_cause_set_by_software_waits_unless_eimen_makes_it_urgent() {
    let (rig, told) = rig(MSIX, |bar| {
        like_napi(bar);
        EIAM_EX(0).write_at(bar, 0);
        EITR(0xff8).write_at(bar, 1);
    });
    let set = || EICS_EX(1 << 1).write_at(&rig.bar, 0);
    set();
    set();
    assert_eq!(told.take(), [1]);
    many().with(GPIE::EIMEN, 1).write(&rig.bar);
    EICR(1 << 1).write(&rig.bar);
    set();
    assert_eq!(told.take(), [1]);
}

#[test]
fn one_message_serves_all_causes() {
    for mode in [MSI, InterruptMode::Msix { vectors: 64 }] {
        let (mut rig, told) = rig(mode, |bar| {
            EIAM(0xffff).write(bar);
            IVAR(0x85).write_at(bar, 1);
        });
        EIMS(0x7fff_ffff).write(&rig.bar);
        receive(&mut rig);
        assert_eq!(told.take(), [0], "{mode:?}");
        receive(&mut rig);
        assert_eq!(told.take(), [0u16; 0], "the cause is still set");
        assert_eq!(EICR::read(&rig.bar).raw(), 1 << 5, "nothing clears by itself");
        assert_eq!(EIMS::read(&rig.bar).raw(), 0x7fff_0000, "masked by reading");
        receive(&mut rig);
        assert_eq!(told.take(), [0u16; 0]);
        EIMS(0xffff).write(&rig.bar);
        assert_eq!(told.take(), [0]);
        rig.nic.set_link(false);
        rig.nic.step();
        assert_eq!(told.take(), [0], "another cause");
        EICR(1 << 5).write(&rig.bar);
        assert_eq!(EIMS::read(&rig.bar).raw(), 0x7fff_ffdf, "masked by clearing");
        EICS(1 << 5).write(&rig.bar);
        assert_eq!((told.take(), EIMS::read(&rig.bar).raw()), (vec![0], 0x7fff_ffff));
    }
}

#[test]
fn the_line_stays_until_its_causes_are_gone() {
    let (mut rig, told) = rig(InterruptMode::Intx, |bar| {
        IVAR(0x85).write_at(bar, 1);
        EIMS(0x7fff_ffff).write(bar);
        EITR(50 << 3).write(bar);
    });
    assert!(!rig.nic.asserts_intx());
    receive(&mut rig);
    assert!(told.take() == [LINE] && rig.nic.asserts_intx());
    receive(&mut rig);
    assert_eq!(told.take(), [0u16; 0], "the slot has masked it");
    rig.nic.mask_intx(false);
    assert_eq!(told.take(), [LINE]);
    EICR::read(&rig.bar);
    assert!(!rig.nic.asserts_intx());
    rig.nic.mask_intx(false);
    assert_eq!(told.take(), [0u16; 0]);
    // EITR 0 throttles it.
    receive(&mut rig);
    assert!(told.take().is_empty() && !rig.nic.asserts_intx());
    rig.nic.advance(Duration::from_micros(100));
    rig.nic.step();
    assert!(told.take() == [LINE] && rig.nic.asserts_intx());
}

#[test]
fn the_interrupt_test_of_stock_drivers_passes() {
    for mode in [MSI, InterruptMode::Intx] {
        let nic = Rig::new().nic.clone();
        let bar = nic.bar();
        let told = Told::listen(&nic, mode);
        EICR::read(&bar);
        let handle = || {
            let icr = if told.take().is_empty() { 0 } else { EICR::read(&bar).raw() };
            nic.mask_intx(false);
            icr
        };
        EIMC(u32::MAX).write(&bar);
        for mask in (0..10).map(|n| 1 << n) {
            EIMC(!mask & 0x7fff).write(&bar);
            EICS(!mask & 0x7fff).write(&bar);
            assert_eq!(handle() & mask, 0);
            EIMS(mask).write(&bar);
            EICS(mask).write(&bar);
            assert_ne!(handle() & mask, 0);
            EIMC(!mask & 0x7fff).write(&bar);
            EICS(!mask & 0x7fff).write(&bar);
            assert_eq!(handle(), 0);
        }
    }
}

#[test]
fn what_is_pending_is_told_to_whoever_comes_to_hear() {
    let (mut rig, told) = rig(MSIX, like_napi);
    rig.nic.connect_interrupts(None);
    receive(&mut rig);
    assert_eq!(told.take(), [0u16; 0]);
    rig.nic.connect_interrupts(Some(told.clone()));
    assert_eq!(told.take(), [1]);
    // A reset forgets everything but what the slot has enabled.
    EICS_EX(1 << 2).write_at(&rig.bar, 0);
    rig.bar.write32(0, 1 << 26);
    assert_eq!(told.take(), [2]);
    rig.nic.step_until_idle(50);
    EICR(u32::MAX).write(&rig.bar);
    like_napi(&rig.bar);
    EICS_EX(1 << 2).write_at(&rig.bar, 0);
    assert_eq!(told.take(), [2]);
    rig.nic.function_reset();
    rig.nic.step_until_idle(50);
    EIMS(1).write(&rig.bar);
    EICS(1).write(&rig.bar);
    assert_eq!(told.take(), [LINE], "the slot is back at the line");
}

#[test]
fn a_module_that_comes_is_a_cause_if_its_pin_is_enabled() {
    let (rig, told) = rig(MSIX, like_napi);
    let plug = || {
        rig.nic.set_module(false);
        rig.nic.set_module(true);
        told.take()
    };
    assert_eq!((plug(), EICS::read(&rig.bar).raw() & !EICR::LSC.mask()), (vec![], 0));
    many().with(GPIE::SDP2_GPIEN, 1).write(&rig.bar);
    assert_eq!(plug(), [3]);
    assert!(EICR::read(&rig.bar).has(EICR::GPI_SDP2));
    // From the X540 on the pins begin one bit later.
    let nic = Rig::on(Model::X540, 0, |_| {}).nic.clone();
    EICR::read(&nic.bar());
    GPIE(0b0010).write(&nic.bar());
    nic.device().raise(Cause::Pin(1));
    nic.device().raise(Cause::Pin(0));
    assert_eq!(EICR::read(&nic.bar()).raw(), 0x0200_0000);
}

#[test]
fn the_tcp_timer_raises_its_cause() {
    for model in [Model::I82599, Model::X540, Model::X550] {
        let nic = Rig::on(model, 0, |_| {}).nic.clone();
        let bar = nic.bar();
        EICR::read(&bar);
        let kick = TCPTIMER(3).with(TCPTIMER::KICKSTART, 1).with(TCPTIMER::COUNT_ENABLE, 1);
        kick.with(TCPTIMER::LOOP, 1).write(&bar);
        assert!(!TCPTIMER::read(&bar).has(TCPTIMER::KICKSTART));
        for _ in 0..3 {
            nic.advance(Duration::from_millis(3) - Duration::from_micros(1));
            assert_eq!(EICR::read(&bar), EICR(0));
            nic.advance(Duration::from_micros(1));
            // Software that polls sees it, too, though nobody hears it and nothing steps.
            assert_eq!(EICR::read(&bar), EICR(EICR::TCP_TIMER.mask()));
        }
        // By its own vector, and it clears itself if EIAC says so.
        let told = Told::listen(&nic, MSIX);
        many().write(&bar);
        IVAR_MISC(0x87).write(&bar);
        EIMS(EICR::TCP_TIMER.mask()).write(&bar);
        for (auto_clear, left) in [(EIAC(0), EICR::TCP_TIMER.mask()), (EIAC(1 << 30), 0)] {
            EICR(u32::MAX).write(&bar);
            auto_clear.write(&bar);
            nic.advance(Duration::from_millis(3));
            nic.step();
            assert_eq!((told.take(), EICS::read(&bar).raw()), (vec![7], left));
        }
    }
}
