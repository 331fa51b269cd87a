//! The registers of the time synchronisation (82576 datasheet 8.16, I350 datasheet 8.15).

use super::{Igb, Variant};
use crate::drivers::igb::regs::{ETQF, FTQF, IMIR, SPQF};
use crate::drivers::sim::regs::RegFile;
use crate::drivers::sim::timesync::{Rate, Scale, StampRegs, Stamps, TimeRegs};
use crate::mmio::Register;

crate::registers! {
    /// Time synchronisation.
    pub(super) table TIME;

    /// The time, low half. Reading it latches the high half.
    SYSTIML @ 0x0B600, Rw, reset 0, "8.16"
    /// The time, high half.
    SYSTIMH @ 0x0B604, Rw, reset 0, "8.16"
    /// What is added to the time, and every how many of its clock's periods.
    TIMINCA @ 0x0B608, Rw, reset 0, "8.16" { INCVALUE = 0..=23, INCPERIOD = 24..=31 }
    /// What to put the clock forward by, low half.
    TIMADJL @ 0x0B60C, Rw, reset 0, "8.16"
    /// What to put the clock forward by, or back, high half. Writing it does so.
    TIMADJH @ 0x0B610, Rw, reset 0, "8.16" { TADJH = 0..=30, SIGN = 31 }
    /// Transmit stamps: there is one (read-only), whether any is taken.
    TSYNCTXCTL @ 0x0B614, Rw, reset 0, "8.16" { VALID = 0, EN = 4 }
    /// Transmit stamp, low half.
    TXSTMPL @ 0x0B618, Ro, reset 0, "8.16"
    /// Transmit stamp, high half; reading it makes room for the next.
    TXSTMPH @ 0x0B61C, Ro, reset 0, "8.16"
    /// Receive stamps: there is one (read-only), which packets get them, whether any does.
    TSYNCRXCTL @ 0x0B620, Rw, reset 0, "8.16" { VALID = 0, TYPE = 1..=3, EN = 4 }
    /// Receive stamp, low half.
    RXSTMPL @ 0x0B624, Ro, reset 0, "8.16"
    /// Receive stamp, high half; reading it makes room for the next.
    RXSTMPH @ 0x0B628, Ro, reset 0, "8.16"
    /// Source of the packet with the receive stamp, its low half.
    RXSATRL @ 0x0B62C, Ro, reset 0, "8.16"
    /// The rest of it, and the packet's sequence number.
    RXSATRH @ 0x0B630, Ro, reset 0, "8.16" { SOURCE = 0..=15, SEQUENCE = 16..=31 }
    /// Which messages get receive stamps.
    TSYNCRXCFG @ 0x05F50, Rw, reset 0, "8.16" { CTRLT = 0..=7, MSGT = 8..=15 }
    /// Auxiliary functions: target times, clock output, stamps of pins.
    TSAUXC @ 0x0B640, Rw, reset 0, "8.16"
    /// Target times 0 and 1, low and high halves.
    TRGTTIM[4; 4] @ 0x0B644, Rw, reset 0, "8.16"
    /// Half a period of the clock outputs.
    FREQOUT[2; 4] @ 0x0B654, Rw, reset 0, "8.16"
    /// Auxiliary stamps 0 and 1, low and high halves.
    AUXSTMP[4; 4] @ 0x0B65C, Ro, reset 0, "8.16"
    /// Which functions the pins have.
    TSSDP @ 0x0003C, Rw, reset 0, "8.16"
}

/// What the I350 has in addition, and otherwise.
mod i350 {
    crate::registers! {
        /// Time synchronisation of the I350.
        pub(in crate::drivers::sim::chip::igb) table TIME_I350;

        /// Fractions of the time in nanoseconds. Reading it latches the rest.
        SYSTIMR @ 0x0B6F8, Rw, reset 0, "8.15 (I350)"
        /// Causes: which of them happened. Cleared by reading.
        TSICR @ 0x0B66C, W1c, reset 0, "8.15 (I350)" { TXTS = 1 }
        /// Which of the causes interrupt.
        TSIM @ 0x0B674, Rw, reset 0, "8.15 (I350)" { TXTS = 1 }
        /// Auxiliary functions; the clock is off after a reset.
        TSAUXC @ 0x0B640, Rw, reset 0x8000_0000, "8.15 (I350)" { DISABLE = 31 }
    }
}

pub(super) use i350::TIME_I350;

/// A number that TIMINCA's increment is added to.
const PLAIN: TimeRegs = TimeRegs {
    scale: Scale::Plain,
    low: SYSTIML::META.offset,
    high: SYSTIMH::META.offset,
    residue: None,
    pace: &[TIMINCA::META.offset],
    adjust: &[TIMADJL::META.offset, TIMADJH::META.offset],
    causes: None,
    sent: StampRegs {
        control: TSYNCTXCTL::META.offset,
        low: TXSTMPL::META.offset,
        high: TXSTMPH::META.offset,
    },
    received: StampRegs {
        control: TSYNCRXCTL::META.offset,
        low: RXSTMPL::META.offset,
        high: RXSTMPH::META.offset,
    },
    source: (RXSATRL::META.offset, RXSATRH::META.offset),
};

/// Nanoseconds.
const NANOSECONDS: TimeRegs = TimeRegs {
    scale: Scale::Nanoseconds,
    residue: Some(i350::SYSTIMR::META.offset),
    pace: &[TIMINCA::META.offset, i350::TSAUXC::META.offset],
    causes: Some((i350::TSICR::META.offset, i350::TSIM::META.offset)),
    ..PLAIN
};

/// Where the registers are.
pub(super) fn registers(chip: &Igb) -> &'static TimeRegs {
    if chip.variant == Variant::I350 { &NANOSECONDS } else { &PLAIN }
}

/// FTQF: UDP; no match of the protocol, no match of the source port.
const UDP: u32 = 17;
const NO_PROTOCOL: u32 = 1;
const NO_SOURCE: u32 = 8;

/// Which packets get receive stamps. Registers have ports in network order.
pub(super) fn stamps(regs: &RegFile) -> Option<Stamps> {
    let types = regs.all::<ETQF>().map(ETQF).filter(|f| f.has(ETQF::FILTER_EN));
    let types = types.filter(|f| f.has(ETQF::TIMESTAMP)).map(|f| f.get(ETQF::ETYPE) as u16);
    let port = |n: u32| (n as u16).swap_bytes();
    let ports = (0..FTQF::META.count).filter_map(|n| {
        let (filter, to) = (regs.get::<FTQF>(n), regs.get::<IMIR>(n));
        let mask = filter.get(FTQF::MASK);
        let udp = mask & NO_PROTOCOL != 0 || filter.get(FTQF::PROTOCOL) == UDP;
        let from = (mask & NO_SOURCE == 0).then(|| port(regs.get::<SPQF>(n).get(SPQF::SRC_PORT)));
        let on = filter.has(FTQF::TIMESTAMP) && udp && !to.has(IMIR::PORT_BP);
        on.then(|| (from, port(to.get(IMIR::PORT))))
    });
    let control = regs.get::<TSYNCRXCTL>(0).raw();
    Stamps::new(control, regs.get::<TSYNCRXCFG>(0).raw(), types, ports)
}

/// Of the clock of the 82576, at any speed, in picoseconds.
const PERIOD: u64 = 16_000;
/// The same of the I350.
const PERIOD_I350: u64 = 8_000;

/// How fast the clock goes.
pub(super) fn rate(chip: &Igb, regs: &RegFile) -> Rate {
    let timinca = regs.get::<TIMINCA>(0);
    match chip.variant {
        Variant::I82576 => {
            let tick = PERIOD * u64::from(timinca.get(TIMINCA::INCPERIOD));
            Rate { tick, step: timinca.get(TIMINCA::INCVALUE).into() }
        }
        Variant::I350 if regs.get::<i350::TSAUXC>(0).has(i350::TSAUXC::DISABLE) => Rate::default(),
        Variant::I350 => Rate::nanoseconds(PERIOD_I350, timinca.raw()),
    }
}
