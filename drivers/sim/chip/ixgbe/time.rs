//! The registers of the time synchronisation (82599 datasheet 8.2.3.26; those of the X550, from
//! Intel's public drivers).

use super::{Ixgbe, Variant};
use crate::drivers::ixgbe::regs::ETQF;
use crate::drivers::sim::regs::RegFile;
use crate::drivers::sim::timesync::{InPacket, Rate, Scale, StampRegs, Stamps, TimeRegs};
use crate::mmio::Register;

crate::registers! {
    /// Time synchronisation.
    pub(super) table TIME;

    /// Receive stamps: there is one (read-only), which packets get them, whether any does.
    TSYNCRXCTL @ 0x05188, Rw, reset 0, "8.2.3.26.1" { VALID = 0, TYPE = 1..=3, EN = 4, TSIP = 23 }
    /// Receive stamp, low half.
    RXSTMPL @ 0x051E8, Ro, reset 0, "8.2.3.26.2"
    /// Receive stamp, high half; reading it makes room for the next.
    RXSTMPH @ 0x051A4, Ro, reset 0, "8.2.3.26.3"
    /// Source of the packet with the receive stamp, its low half.
    RXSATRL @ 0x051A0, Ro, reset 0, "8.2.3.26.4"
    /// The rest of it, and the packet's sequence number.
    RXSATRH @ 0x051A8, Ro, reset 0, "8.2.3.26.5" { SOURCE = 0..=15, SEQUENCE = 16..=31 }
    /// Which messages get receive stamps, and their UDP port.
    RXMTRL @ 0x05120, Rw, reset 0, "8.2.3.26.6" { CTRLT = 0..=7, MSGT = 8..=15, UDPT = 16..=31 }
    /// Transmit stamps: there is one (read-only), whether any is taken.
    TSYNCTXCTL @ 0x08C00, Rw, reset 0, "8.2.3.26.7" { VALID = 0, EN = 4 }
    /// Transmit stamp, low half.
    TXSTMPL @ 0x08C04, Ro, reset 0, "8.2.3.26.8"
    /// Transmit stamp, high half; reading it makes room for the next.
    TXSTMPH @ 0x08C08, Ro, reset 0, "8.2.3.26.9"
    /// The time, low half. Reading it latches the high half.
    SYSTIML @ 0x08C0C, Rw, reset 0, "8.2.3.26.10"
    /// The time, high half.
    SYSTIMH @ 0x08C10, Rw, reset 0, "8.2.3.26.11"
    /// What is added to the time, and every how many of its clock's periods.
    TIMINCA @ 0x08C14, Rw, reset 0, "8.2.3.26.12" { INCVALUE = 0..=23, INCPERIOD = 24..=31 }
    /// What to put the clock forward by, low half.
    TIMADJL @ 0x08C18, Rw, reset 0, "8.2.3.26.13"
    /// What to put the clock forward by, or back, high half. Writing it does so.
    TIMADJH @ 0x08C1C, Rw, reset 0, "8.2.3.26.14" { TADJH = 0..=30, SIGN = 31 }
    /// Auxiliary functions: target times, clock output, stamps of pins.
    TSAUXC @ 0x08C20, Rw, reset 0, "8.2.3.26.15"
    /// Target times 0 and 1, low and high halves.
    TRGTTIM[4; 4] @ 0x08C24, Rw, reset 0, "8.2.3.26.16"
    /// Half a period of the clock output, low and high half.
    CLKTIM[2; 4] @ 0x08C34, Rw, reset 0, "8.2.3.26"
    /// Auxiliary stamps 0 and 1, low and high halves.
    AUXSTMP[4; 4] @ 0x08C3C, Ro, reset 0, "8.2.3.26.20"
}

/// What the X550 has in addition, and otherwise.
mod x550 {
    crate::registers! {
        /// Time synchronisation of the X550.
        pub(in crate::drivers::sim::chip::ixgbe) table TIME_X550;

        /// Fractions of the time in nanoseconds. Reading it latches the rest.
        SYSTIMR @ 0x08C58, Rw, reset 0, "8.2.3.26 (X550)"
        /// Causes: which of them happened. Cleared by reading.
        TSICR @ 0x08C60, W1c, reset 0, "8.2.3.26 (X550)" { TXTS = 1 }
        /// Which of the causes interrupt.
        TSIM @ 0x08C68, Rw, reset 0, "8.2.3.26 (X550)" { TXTS = 1 }
        /// Which functions the pins have.
        TSSDP @ 0x0003C, Rw, reset 0, "8.2.3.26 (X550)"
        /// Auxiliary functions; the clock is off after a reset.
        TSAUXC @ 0x08C20, Rw, reset 0x8000_0000, "8.2.3.26 (X550)" { DISABLE = 31 }
    }
}

pub(super) use x550::TIME_X550;

const SENT: StampRegs = StampRegs {
    control: TSYNCTXCTL::META.offset,
    low: TXSTMPL::META.offset,
    high: TXSTMPH::META.offset,
};
const RECEIVED: StampRegs = StampRegs {
    control: TSYNCRXCTL::META.offset,
    low: RXSTMPL::META.offset,
    high: RXSTMPH::META.offset,
};

/// A number that TIMINCA's increment is added to.
const PLAIN: TimeRegs = TimeRegs {
    scale: Scale::Plain,
    low: SYSTIML::META.offset,
    high: SYSTIMH::META.offset,
    residue: None,
    pace: &[TIMINCA::META.offset],
    adjust: &[TIMADJL::META.offset, TIMADJH::META.offset],
    causes: None,
    sent: SENT,
    received: RECEIVED,
    source: (RXSATRL::META.offset, RXSATRH::META.offset),
};

/// Seconds and nanoseconds.
const SECONDS: TimeRegs = TimeRegs {
    scale: Scale::Seconds,
    residue: Some(x550::SYSTIMR::META.offset),
    pace: &[TIMINCA::META.offset, x550::TSAUXC::META.offset],
    adjust: &[TIMADJL::META.offset],
    causes: Some((x550::TSICR::META.offset, x550::TSIM::META.offset)),
    ..PLAIN
};

/// Registers that hold what is written, and nothing comes of it.
pub(super) fn inert(variant: Variant) -> impl Iterator<Item = &'static str> {
    let auxiliary = (variant != Variant::X550).then_some("TSAUXC");
    ["TRGTTIM", "CLKTIM", "TSSDP"].into_iter().chain(auxiliary)
}

/// Where the registers are.
pub(super) fn registers(chip: &Ixgbe) -> &'static TimeRegs {
    if chip.variant == Variant::X550 { &SECONDS } else { &PLAIN }
}

/// Which packets get receive stamps (7.9.5).
pub(super) fn stamps(regs: &RegFile) -> Option<Stamps> {
    let messages = regs.get::<RXMTRL>(0);
    let types = regs.all::<ETQF>().map(ETQF).filter(|f| f.has(ETQF::FILTER_EN));
    let types = types.filter(|f| f.has(ETQF::TIMESTAMP)).map(|f| f.get(ETQF::ETYPE) as u16);
    let ports = std::iter::once((None, messages.get(RXMTRL::UDPT) as u16));
    Stamps::new(regs.get::<TSYNCRXCTL>(0).raw(), messages.raw(), types, ports)
}

/// Whether they are put into the buffer.
pub(super) fn in_packet(chip: &Ixgbe, regs: &RegFile) -> Option<InPacket> {
    let on = chip.variant == Variant::X550 && regs.get::<TSYNCRXCTL>(0).has(TSYNCRXCTL::TSIP);
    on.then_some(InPacket::Behind)
}

/// Of the MAC's clock at 10 Gbit/s, in picoseconds. It is ten times that at 1 Gbit/s.
const PERIOD: u64 = 6_400;
/// Of the clock of the X550, at any speed.
const PERIOD_X550: u64 = 12_500;

/// How fast the clock goes.
pub(super) fn rate(chip: &Ixgbe, regs: &RegFile, mbps: u32) -> Rate {
    let timinca = regs.get::<TIMINCA>(0);
    let period = match mbps {
        100 => PERIOD * 100,
        1_000 => PERIOD * 10,
        _ => PERIOD,
    };
    match chip.variant {
        Variant::I82599 => {
            let tick = period * u64::from(timinca.get(TIMINCA::INCPERIOD));
            Rate { tick, step: timinca.get(TIMINCA::INCVALUE).into() }
        }
        // 31 bits, every period.
        Variant::X540 => Rate { tick: period, step: (timinca.raw() & 0x7fff_ffff).into() },
        Variant::X550 if regs.get::<x550::TSAUXC>(0).has(x550::TSAUXC::DISABLE) => Rate::default(),
        Variant::X550 => Rate::nanoseconds(PERIOD_X550, timinca.raw()),
    }
}
