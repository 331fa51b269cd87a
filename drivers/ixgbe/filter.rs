//! Which frames are let in (4.6.7, 7.1.1.1, 8.2.3.7).

use super::regs::{
    ETQF, ETQS, FCTRL, FTQF, MCSTCTRL, MPSAR, MTA, PFUTA, PFVLVF, PFVLVFB, PFVTCTL, RAH, RAH_ALIAS,
    RAL, RAL_ALIAS, RXCTRL, SYNQF, VFTA, VLNCTRL,
};
use super::reset::set_receive;
use super::wait::modify;
use crate::drivers::intel::Accept;
use crate::mmio::{Bar, Register};
use crate::port::MacAddr;

/// Empties every filter table: most have no defined content after a reset (4.6.7).
pub(super) fn clear_tables<B: Bar>(bar: &B) {
    fn zero<R: Register, B: Bar>(bar: &B) {
        for n in 0..R::META.count {
            R::from_raw(0).write_at(bar, n);
        }
    }
    zero::<MTA, B>(bar);
    zero::<VFTA, B>(bar);
    zero::<PFUTA, B>(bar);
    zero::<PFVLVF, B>(bar);
    zero::<PFVLVFB, B>(bar);
    zero::<MPSAR, B>(bar);
    zero::<FTQF, B>(bar);
    zero::<ETQF, B>(bar);
    zero::<ETQS, B>(bar);
    zero::<SYNQF, B>(bar);
    // Receive address 0 stays: it is the station's.
    for n in 1..RAH::META.count {
        RAL(0).write_at(bar, n);
        RAH(0).write_at(bar, n);
    }
    MCSTCTRL(0).write(bar);
    PFVTCTL(0).write(bar);
    // Tagged frames pass whatever their VLAN.
    modify::<VLNCTRL, B>(bar, 0, |r| r.with(VLNCTRL::VFE, 0));
}

/// Programs the station address and the acceptance mode; the receiver must be off.
pub(super) fn program<B: Bar>(bar: &B, mac: MacAddr, accept: Accept) {
    let [a, b, c, d, e, f] = mac.0;
    RAL_ALIAS(u32::from_le_bytes([a, b, c, d])).write(bar);
    RAH_ALIAS(u32::from_le_bytes([e, f, 0, 0])).with(RAH::AV, 1).write(bar);
    let multicast = accept.promiscuous || accept.allmulticast;
    modify::<FCTRL, B>(bar, 0, |r| {
        r.with(FCTRL::SBP, 0)
            .with(FCTRL::BAM, 1)
            .with(FCTRL::UPE, accept.promiscuous.into())
            .with(FCTRL::MPE, multicast.into())
    });
}

/// [`program`] on a running port: the receiver is off meanwhile (8.2.3.7.1), for microseconds.
pub(super) fn reprogram<B: Bar>(bar: &B, mac: MacAddr, accept: Accept) {
    let on = RXCTRL::read(bar).has(RXCTRL::RXEN);
    if on {
        set_receive(bar, false);
    }
    program(bar, mac, accept);
    if on {
        set_receive(bar, true);
    }
}
