//! Interrupt causes, masks and vectors (82599 datasheet 7.3.1, 7.3.4, 8.2.3.5).
//!
//! With vectors (GPIE.Multiple_MSIX) the 16 queue bits of EICR are vectors 0 to 15; vectors 16 to
//! 63 have bits in the extended registers only. The lower halves of EIMS_EX(0) and its like are
//! the lower halves of EIMS and its like, and are stored there.

use std::time::Duration;

use super::{Ixgbe, Variant};
use crate::drivers::ixgbe::regs::{
    EIAC, EIAM, EIAM_EX, EICR, EICS, EICS_EX, EIMC, EIMC_EX, EIMS, EIMS_EX, EITR, EITR_24, EITRSEL,
    GPIE, IVAR, IVAR_MISC, TCPTIMER, TX_QUEUES,
};
use crate::drivers::sim::chip::{Chip, allotted, queues_in};
use crate::drivers::sim::device::Device;
use crate::drivers::sim::irq::{Cause, OTHER, Route, Signals};
use crate::drivers::sim::regs::RegFile;
use crate::drivers::sim::timesync::tell_sent;
use crate::mmio::Register;

/// EICR: queues or vectors.
const QUEUES: u32 = 0xffff;
/// EICR: what is neither a queue's cause nor the TCP timer's.
const OTHERS: u32 = 0x3fff_0000;
/// EICR of the X550: time synchronisation.
const TIMESYNC: u32 = 1 << 24;
/// Bit 31 is reserved.
const CAUSES: u32 = 0x7fff_ffff;

/// Vectors there are, and causes in their place without them.
const VECTORS: u32 = 64;
const SHARED: u32 = 16;

/// A unit of EITR's interval and counter, on a link of 1 Gbit/s and more.
const UNIT: Duration = Duration::from_micros(2);
/// The counter's bits that EITR shows are all but the lowest two.
const COUNTER_SHIFT: u32 = 2;

/// What there is of by vector: EICR, EIMS and EIAM, and their extended registers.
#[derive(Debug, Clone, Copy)]
struct ByVector {
    /// Bits 0 to 15, and what is no vector.
    plain: u32,
    /// Bits 16 to 31, bits 32 to 63.
    extended: [u32; 2],
}

const fn by_vector<R: Register, X: Register>() -> ByVector {
    let (plain, extended) = (R::META.offset, X::META.offset);
    ByVector { plain, extended: [extended, extended + X::META.stride] }
}

const CAUSE: ByVector = by_vector::<EICR, EICS_EX>();
const MASK: ByVector = by_vector::<EIMS, EIMS_EX>();
const AUTO_MASK: ByVector = by_vector::<EIAM, EIAM_EX>();

impl ByVector {
    fn get(self, regs: &RegFile) -> u64 {
        let plain = regs.peek(self.plain) & QUEUES;
        let [low, high] = self.extended.map(|at| regs.peek(at));
        u64::from(high) << 32 | u64::from(low & !QUEUES | plain)
    }

    fn change(self, regs: &RegFile, clear: u64, set: u64) {
        let low = |bits: u64| bits as u32 & QUEUES;
        let middle = |bits: u64| bits as u32 & !QUEUES;
        let high = |bits: u64| (bits >> 32) as u32;
        regs.change(self.plain, low(clear), low(set));
        // Nearly all that ever happens is in the first word.
        if (clear | set) >> 16 != 0 {
            regs.change(self.extended[0], middle(clear), middle(set));
            regs.change(self.extended[1], high(clear), high(set));
        }
    }

    /// One of the extended registers.
    fn word(self, regs: &RegFile, n: u32) -> u32 {
        (self.get(regs) >> (32 * n)) as u32
    }
}

fn vectored(regs: &RegFile) -> bool {
    regs.get::<GPIE>(0).has(GPIE::MULTIPLE_MSIX)
}

/// The cause of a pin, if GPIE enables it: SDP 0 has the first of four bits, from the X540 on the
/// second (8.2.3.5.1, 8.2.3.5.18; X540 datasheet 8.2.4.5).
fn pin(variant: Variant, gpie: GPIE, n: u8) -> u32 {
    let first = if variant == Variant::I82599 { 0 } else { 1 };
    let bit = 1u32.checked_shl(first + u32::from(n)).unwrap_or(0) & 0xf;
    (gpie.raw() & bit) << EICR::GPI_SDP0.mask().trailing_zeros()
}

impl Signals for Ixgbe {
    fn raise(&self, regs: &RegFile, cause: Cause) {
        let bits = match cause {
            Cause::Link => EICR::LSC.mask(),
            Cause::Missed => EICR::RX_MISS.mask(),
            Cause::Timer => EICR::TCP_TIMER.mask(),
            Cause::Stamp if tell_sent(regs, self.time()) => TIMESYNC,
            Cause::Stamp => 0,
            Cause::Pin(n) => pin(self.variant, regs.get::<GPIE>(0), n),
        };
        regs.change(EICR::META.offset, 0, bits);
    }

    /// By IVAR; an entry that is not valid leads nowhere (8.2.3.5.16).
    fn written_back(&self, regs: &RegFile, rx: u128, tx: u128) {
        let vectors = if vectored(regs) { VECTORS } else { SHARED };
        let entry = |q: u32, byte: u32| {
            let byte = regs.get::<IVAR>(q / 2).raw() >> (q % 2 * 16 + byte * 8);
            allotted(byte, vectors).map_or(0, |vector| 1 << vector)
        };
        let causes = queues_in(rx).fold(0, |all, q| all | entry(q, 0));
        let causes = queues_in(tx).fold(causes, |all, q| all | entry(q, 1));
        CAUSE.change(regs, 0, causes);
    }

    fn tx_told(&self, regs: &RegFile) -> u128 {
        let valid = |q: &u32| regs.get::<IVAR>(q / 2).raw() >> (q % 2 * 16 + 8) & 0x80 != 0;
        (0..TX_QUEUES).filter(valid).fold(0, |all, q| all | 1 << q)
    }

    fn active(&self, regs: &RegFile) -> u128 {
        let plain = regs.get::<EICR>(0).raw() & regs.get::<EIMS>(0).raw() & CAUSES;
        let others = u128::from(plain & !QUEUES) << OTHER;
        if vectored(regs) {
            u128::from(CAUSE.get(regs) & MASK.get(regs)) | others
        } else {
            u128::from(plain & QUEUES) | others
        }
    }

    fn vectored(&self, regs: &RegFile) -> bool {
        vectored(regs)
    }

    /// 8.2.3.5.17: entry 0 is the TCP timer's, entry 1 that of the other causes.
    fn routes(&self, regs: &RegFile) -> [Route; 2] {
        let entries = regs.get::<IVAR_MISC>(0).raw();
        [(EICR::TCP_TIMER.mask(), entries), (OTHERS, entries >> 8)]
            .map(|(causes, entry)| (u128::from(causes) << OTHER, allotted(entry, VECTORS)))
    }

    /// Vectors from 32 may be given to the EITRs of virtual functions, which nobody has here
    /// (8.2.3.5.11).
    fn throttle(&self, regs: &RegFile, vector: u8) -> Duration {
        let given_away = regs.get::<EITRSEL>(0).raw();
        if vector.checked_sub(32).is_some_and(|n| given_away >> (n % 32) & 1 != 0) {
            return Duration::ZERO;
        }
        let eitr = match u32::from(vector) {
            n @ 0..24 => regs.get::<EITR>(n),
            n => EITR(regs.get::<EITR_24>(n - 24).raw()),
        };
        UNIT * eitr.get(EITR::ITR_INTERVAL)
    }

    /// Clears what EIAC names, and vectors from 16 in any case (7.3.1.4); masks what EIAM names if
    /// GPIE.EIAME says so (7.3.1.5).
    fn sent(&self, regs: &RegFile, causes: u128) {
        let vectors = causes as u64;
        let others = (causes >> OTHER) as u32;
        let auto_clear = regs.get::<EIAC>(0).raw();
        let clears = u64::from(auto_clear & QUEUES) | !u64::from(QUEUES);
        CAUSE.change(regs, vectors & clears, 0);
        let timer = others & auto_clear & EICR::TCP_TIMER.mask();
        if timer != 0 {
            regs.change(EICR::META.offset, timer, 0);
        }
        if regs.get::<GPIE>(0).has(GPIE::EIAME) {
            MASK.change(regs, vectors & AUTO_MASK.get(regs), 0);
            let masks = others & regs.get::<EIAM>(0).raw();
            if masks != 0 {
                regs.change(EIMS::META.offset, masks, 0);
            }
        }
    }
}

/// Reading clears, but for the queues' causes and the TCP timer's if GPIE.OCD says so
/// (8.2.3.5.18). Without vectors it masks what EIAM says, of what it clears (7.3.1.5).
fn read_eicr(d: &Device) -> u32 {
    d.change_causes(|regs| {
        let value = regs.get::<EICR>(0).raw();
        let gpie = regs.get::<GPIE>(0);
        let clears = if gpie.has(GPIE::OCD) { OTHERS } else { u32::MAX };
        if !gpie.has(GPIE::MULTIPLE_MSIX) {
            regs.change(EIMS::META.offset, regs.get::<EIAM>(0).raw() & clears, 0);
        }
        regs.change(EICR::META.offset, value & clears, 0);
        value
    })
}

/// Causes that are cleared by hand; without vectors EIAM masks them, too (7.3.1.5).
fn write_eicr(d: &Device, value: u32) {
    d.change_causes(|regs| {
        if !vectored(regs) {
            regs.change(EIMS::META.offset, regs.get::<EIAM>(0).raw() & value, 0);
        }
        regs.change(EICR::META.offset, value, 0);
    });
}

/// Causes that are set by hand. Without vectors EIAM unmasks them, too (7.3.1.5); GPIE.EIMEN makes
/// them urgent (8.2.3.5.18).
fn set_causes(d: &Device, plain: u32, vectors: u64) {
    let urgent = d.regs.get::<GPIE>(0).has(GPIE::EIMEN);
    d.change_causes_urgently(urgent, |regs| {
        if !vectored(regs) {
            let unmasks = (plain & CAUSES | vectors as u32 & QUEUES) & regs.get::<EIAM>(0).raw();
            regs.change(EIMS::META.offset, 0, unmasks);
        }
        regs.change(EICR::META.offset, 0, plain & CAUSES);
        CAUSE.change(regs, 0, vectors);
    });
}

/// The vector whose throttle is at an offset; those above are of virtual functions.
fn throttled(offset: u32) -> Option<u32> {
    let within = |first: u32, count: u32| {
        let from = offset.checked_sub(first)? / 4;
        (from < count).then_some(from)
    };
    let second = || within(EITR_24::META.offset, EITR_24::META.count).map(|n| n + 24);
    within(EITR::META.offset, EITR::META.count).or_else(second)
}

/// The counter goes on counting down, and CNT_WDIS is not stored (8.2.3.5.12).
fn read_eitr(d: &Device, offset: u32, vector: u32) -> u32 {
    let left = d.throttle_left(vector as u8).as_nanos().div_ceil(UNIT.as_nanos());
    let eitr = EITR(d.regs.peek(offset)).with(EITR::CNT_WDIS, 0);
    eitr.with(EITR::ITR_COUNTER, (left >> COUNTER_SHIFT) as u32 & 0x7f).raw()
}

fn write_eitr(d: &Device, offset: u32, vector: u32, value: EITR) {
    let counter = value.get(EITR::ITR_COUNTER) << COUNTER_SHIFT;
    let kept = value.has(EITR::CNT_WDIS) || vector >= VECTORS;
    let holds = (!kept).then(|| (vector as u8, UNIT * counter));
    let stored = value.with(EITR::CNT_WDIS, 0).with(EITR::ITR_COUNTER, 0);
    d.set_throttle(offset, stored.raw(), holds);
}

/// Reads that do more than show what is stored.
pub(super) fn read(d: &Device, offset: u32) -> Option<u32> {
    let is = |o: u32| offset == o;
    let extended = |x: &ByVector| (0..2).find(|n| offset == x.extended[*n as usize]);
    Some(if is(EICR::META.offset) {
        read_eicr(d)
    } else if is(EICS::META.offset) {
        // The causes, and nothing is cleared.
        d.regs.peek(EICR::META.offset)
    } else if let Some(vector) = throttled(offset) {
        read_eitr(d, offset, vector)
    } else if let Some(n) = extended(&CAUSE) {
        CAUSE.word(&d.regs, n)
    } else if let Some(n) = extended(&MASK) {
        MASK.word(&d.regs, n)
    } else if let Some(n) = extended(&AUTO_MASK) {
        AUTO_MASK.word(&d.regs, n)
    } else {
        return None;
    })
}

/// Writes to causes, masks and what governs them. False: it is none of them.
pub(super) fn write(d: &Device, offset: u32, value: u32) -> bool {
    let is = |o: u32| offset == o;
    let extended = |first: u32| (0..2u32).find(|n| offset == first + 4 * n);
    let vectors = |n: u32| u64::from(value) << (32 * n);
    if is(EICR::META.offset) {
        write_eicr(d, value);
    } else if is(EICS::META.offset) {
        set_causes(d, value, 0);
    } else if is(EIMS::META.offset) {
        d.change_causes(|regs| regs.change(EIMS::META.offset, 0, value));
    } else if is(EIMC::META.offset) {
        d.change_causes(|regs| regs.change(EIMS::META.offset, value, 0));
    } else if let Some(n) = extended(EICS_EX::META.offset) {
        set_causes(d, 0, vectors(n));
    } else if let Some(n) = extended(EIMS_EX::META.offset) {
        d.change_causes(|regs| MASK.change(regs, 0, vectors(n)));
    } else if let Some(n) = extended(EIMC_EX::META.offset) {
        d.change_causes(|regs| MASK.change(regs, vectors(n), 0));
    } else if let Some(n) = extended(EIAM_EX::META.offset) {
        d.change_causes(|regs| AUTO_MASK.change(regs, 0xffff_ffff << (32 * n), vectors(n)));
    } else if [EIAM::META.offset, EIAC::META.offset, GPIE::META.offset].contains(&offset) {
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
