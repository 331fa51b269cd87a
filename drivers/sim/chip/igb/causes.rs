//! Interrupt causes, masks and vectors (82576 datasheet 7.3, 8.8).
//!
//! ICR has the causes by kind, EICR by queue, or by vector if there are some (GPIE.Multiple_MSIX).
//! An enabled cause of ICR shows in EICR as "other", with vectors as the vector that IVAR_MISC
//! gives it (7.3.1).

use std::time::Duration;

use super::Igb;
use crate::drivers::igb::regs::{
    CTRL, CTRL_EXT, EIAC, EIAM, EICR, EICS, EIMC, EIMS, EITR, GPIE, IAM, ICR, ICS, IMC, IMS, IVAR,
    IVAR_MISC, TCPTIMER,
};
use crate::drivers::sim::chip::{Chip, allotted, queues_in};
use crate::drivers::sim::device::Device;
use crate::drivers::sim::irq::{Cause, OTHER, Route, Signals};
use crate::drivers::sim::regs::RegFile;
use crate::drivers::sim::timesync::tell_sent;
use crate::mmio::Register;

/// Vectors there are, and causes in their place without them.
const VECTORS: u32 = 25;
const SHARED: u32 = 16;

/// A unit of EITR's interval and counter.
const UNIT: Duration = Duration::from_micros(1);
/// The counter's bits that EITR shows are all but the lowest three.
const COUNTER_SHIFT: u32 = 3;

fn vectored(regs: &RegFile) -> bool {
    regs.get::<GPIE>(0).has(GPIE::MULTIPLE_MSIX)
}

/// Whether EIAM goes by reads and writes of EICR and EICS, not by messages (8.8.15).
fn masks_by_access(regs: &RegFile) -> bool {
    !regs.get::<GPIE>(0).has(GPIE::EIAME)
}

/// The causes, and whether an enabled one is among them.
fn causes(regs: &RegFile) -> ICR {
    let causes = regs.get::<ICR>(0).with(ICR::INTA, 0);
    let enabled = causes.raw() & regs.get::<IMS>(0).raw() != 0;
    causes.with(ICR::INTA, enabled.into())
}

/// The cause of a pin, if it is enabled: pins 0 and 1 in CTRL, 2 and 3 in CTRL_EXT (8.2.1, 8.2.3).
fn pin(regs: &RegFile, n: u8) -> u32 {
    let [low, high] = [regs.get::<CTRL>(0).raw() >> 16 & 3, regs.get::<CTRL_EXT>(0).raw() & 0xc];
    let enabled = (low | high) & 1u32.checked_shl(n.into()).unwrap_or(0);
    enabled << ICR::GPI_SDP0.mask().trailing_zeros()
}

impl Signals for Igb {
    fn raise(&self, regs: &RegFile, cause: Cause) {
        let bits = match cause {
            Cause::Link => ICR::LSC.mask(),
            Cause::Missed => ICR::RXO.mask(),
            Cause::Stamp if tell_sent(regs, self.time()) => ICR::TS.mask(),
            Cause::Stamp => 0,
            Cause::Pin(n) => pin(regs, n),
            Cause::Timer if vectored(regs) => {
                let vector = allotted(regs.get::<IVAR_MISC>(0).raw(), VECTORS);
                regs.change(EICR::META.offset, 0, vector.map_or(0, |v| 1 << v));
                return;
            }
            Cause::Timer => {
                regs.change(EICR::META.offset, 0, EICR::TCP_TIMER.mask());
                return;
            }
        };
        regs.change(ICR::META.offset, 0, bits);
    }

    /// RXDW and TXDW for any queue, and by IVAR the queue's own extended cause (7.3.2; 8.8.13).
    fn written_back(&self, regs: &RegFile, rx: u128, tx: u128) {
        let vectors = if vectored(regs) { VECTORS } else { SHARED };
        let entry = |q: u32, byte: u32| {
            let (register, bit) = self.variant.ivar(q);
            let byte = regs.get::<IVAR>(register).raw() >> (bit + byte * 8);
            allotted(byte, vectors).map_or(0, |vector| 1 << vector)
        };
        let extended = queues_in(rx).fold(0, |all, q| all | entry(q, 0));
        let extended = queues_in(tx).fold(extended, |all, q| all | entry(q, 1));
        let rxdw = if rx != 0 { ICR::RXDW.mask() } else { 0 };
        let txdw = if tx != 0 { ICR::TXDW.mask() } else { 0 };
        regs.change(EICR::META.offset, 0, extended);
        regs.change(ICR::META.offset, 0, rxdw | txdw);
    }

    /// TXDW is set whatever IVAR says.
    fn tx_told(&self, _: &RegFile) -> u128 {
        u128::MAX
    }

    /// Bits from 0 are those of EICR, bits from [`OTHER`] those of ICR.
    fn active(&self, regs: &RegFile) -> u128 {
        let plain = causes(regs).with(ICR::INTA, 0).raw() & regs.get::<IMS>(0).raw();
        let extended = regs.get::<EICR>(0).raw() & regs.get::<EIMS>(0).raw();
        let exist = if vectored(regs) { (1 << VECTORS) - 1 } else { u32::MAX };
        u128::from(plain) << OTHER | u128::from(extended & exist)
    }

    fn latch(&self, regs: &RegFile, rising: u128) -> bool {
        if rising >> OTHER == 0 {
            return false;
        }
        let bit = if vectored(regs) {
            allotted(regs.get::<IVAR_MISC>(0).raw() >> 8, VECTORS).map_or(0, |v| 1 << v)
        } else {
            EICR::OTHER.mask()
        };
        regs.change(EICR::META.offset, 0, bit);
        true
    }

    fn vectored(&self, regs: &RegFile) -> bool {
        vectored(regs)
    }

    /// They have been carried on to EICR.
    fn routes(&self, _: &RegFile) -> [Route; 2] {
        [(0, None); 2]
    }

    fn throttle(&self, regs: &RegFile, vector: u8) -> Duration {
        UNIT * regs.get::<EITR>(u32::from(vector).min(VECTORS - 1)).get(EITR::INTERVAL)
    }

    /// EIAC clears, and EIAM masks if GPIE.EIAME says so (8.8.5, 8.8.6).
    fn sent(&self, regs: &RegFile, causes: u128) {
        let vectors = causes as u32;
        regs.change(EICR::META.offset, vectors & regs.get::<EIAC>(0).raw(), 0);
        if !masks_by_access(regs) {
            regs.change(EIMS::META.offset, vectors & regs.get::<EIAM>(0).raw(), 0);
        }
    }
}

/// IAM: causes that are masked when ICR is read or written, if there was an interrupt.
fn auto_mask(regs: &RegFile, seen: ICR) {
    if regs.get::<GPIE>(0).has(GPIE::NSICR) || seen.has(ICR::INTA) {
        regs.change(IMS::META.offset, regs.get::<IAM>(0).raw(), 0);
    }
}

/// Reading clears if there was an interrupt, if nothing is enabled, or if GPIE.NSICR says so in any
/// case (7.3.4.4, 8.8.15). With one vector or with many.
fn read_icr(regs: &RegFile) -> u32 {
    let value = causes(regs);
    let always = regs.get::<GPIE>(0).has(GPIE::NSICR);
    let masked = regs.get::<IMS>(0).raw() == 0;
    if always || masked || value.has(ICR::INTA) {
        regs.change(ICR::META.offset, value.raw(), 0);
    }
    auto_mask(regs, value);
    value.raw()
}

/// With vectors of their own, causes are cleared by hand or by their message (8.8.15). EIAM masks
/// what is read (8.8.6).
fn read_eicr(regs: &RegFile) -> u32 {
    let value = regs.get::<EICR>(0).raw();
    if masks_by_access(regs) {
        regs.change(EIMS::META.offset, regs.get::<EIAM>(0).raw(), 0);
    }
    if !vectored(regs) {
        regs.change(EICR::META.offset, value, 0);
    }
    value
}

/// Reads that do more than show.
pub(super) fn read(d: &Device, offset: u32) -> Option<u32> {
    let is = |o: u32| offset == o;
    Some(if is(ICR::META.offset) {
        d.change_causes(read_icr)
    } else if is(EICR::META.offset) {
        d.change_causes(read_eicr)
    } else if is(ICS::META.offset) {
        // The causes, and nothing is cleared.
        causes(&d.regs).raw()
    } else if is(EICS::META.offset) {
        d.regs.peek(EICR::META.offset)
    } else if is(IMC::META.offset) {
        // Reading the place that clears the mask shows the mask (8.8.10).
        d.regs.peek(IMS::META.offset)
    } else if let Some(vector) = throttled(offset) {
        read_eitr(d, offset, vector)
    } else {
        return None;
    })
}

/// The vector whose throttle is at an offset.
fn throttled(offset: u32) -> Option<u8> {
    let n = offset.checked_sub(EITR::META.offset)? / 4;
    (n < VECTORS).then_some(n as u8)
}

/// The counter goes on counting down, and CNT_INGR is not stored (8.8.12).
fn read_eitr(d: &Device, offset: u32, vector: u8) -> u32 {
    let left = d.throttle_left(vector).as_nanos().div_ceil(UNIT.as_nanos());
    let eitr = EITR(d.regs.peek(offset)).with(EITR::CNT_INGR, 0);
    eitr.with(EITR::MODERATION, (left >> COUNTER_SHIFT) as u32 & 0x3ff).raw()
}

fn write_eitr(d: &Device, offset: u32, vector: u8, value: EITR) {
    let counter = value.get(EITR::MODERATION) << COUNTER_SHIFT;
    let holds = (!value.has(EITR::CNT_INGR)).then(|| (vector, UNIT * counter));
    let stored = value.with(EITR::CNT_INGR, 0).with(EITR::MODERATION, 0);
    d.set_throttle(offset, stored.raw(), holds);
}

/// EICR and EICS: EIAM masks what is cleared and unmasks what is set (8.8.6).
fn change_extended(regs: &RegFile, clear: u32, set: u32) {
    if masks_by_access(regs) {
        let auto = regs.get::<EIAM>(0).raw();
        regs.change(EIMS::META.offset, auto & clear, auto & set);
    }
    regs.change(EICR::META.offset, clear, set);
}

/// Writes to them. False: it is none of them.
pub(super) fn write(d: &Device, offset: u32, value: u32) -> bool {
    let is = |o: u32| offset == o;
    let change = |at: u32, clear: u32, set: u32| {
        d.change_causes(|regs| regs.change(at, clear, set));
    };
    if is(ICR::META.offset) {
        d.change_causes(|regs| {
            auto_mask(regs, causes(regs));
            regs.change(ICR::META.offset, value, 0);
        });
    } else if is(ICS::META.offset) {
        change(ICR::META.offset, 0, value & !ICR::INTA.mask());
    } else if is(IMS::META.offset) {
        change(IMS::META.offset, 0, value);
    } else if is(IMC::META.offset) {
        change(IMS::META.offset, value, 0);
    } else if is(EICR::META.offset) {
        d.change_causes(|regs| change_extended(regs, value, 0));
    } else if is(EICS::META.offset) {
        d.change_causes(|regs| change_extended(regs, 0, value));
    } else if is(EIMS::META.offset) {
        change(EIMS::META.offset, 0, value);
    } else if is(EIMC::META.offset) {
        change(EIMS::META.offset, value, 0);
    } else if [IAM::META.offset, EIAC::META.offset, EIAM::META.offset, GPIE::META.offset]
        .contains(&offset)
    {
        d.change_causes(|regs| regs.write(offset, value));
    } else if let Some(vector) = throttled(offset) {
        write_eitr(d, offset, vector, EITR(value));
    } else if is(TCPTIMER::META.offset) {
        d.write_tcp_timer(offset, value);
    } else {
        return false;
    }
    true
}
