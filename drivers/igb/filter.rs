//! Which frames are let in (7.1.1, 8.10, 8.11, 8.14).

use super::ids::Family;
use super::regs::later::{RAH_24, RAL_24};
use super::regs::{
    ETQF, FTQF, MTA, RAH, RAH_16, RAL, RAL_16, RCTL, SYNQF, UTA, VFTA, VLVF, VT_CTL,
};
use super::wait::modify;
use crate::drivers::intel::Accept;
use crate::mmio::{Bar, Register};
use crate::port::MacAddr;

/// How often each word of an I350's VLAN table is written: a write can get lost while frames come
/// in (I350 specification update).
const I350_WRITES: usize = 10;

fn zero<R: Register, B: Bar>(bar: &B, elements: std::ops::Range<u32>) {
    for n in elements {
        R::from_raw(0).write_at(bar, n);
    }
}

/// Empties every filter table: most have no defined content after power-up (4.5).
pub(super) fn clear_tables<B: Bar>(bar: &B, family: Family) {
    zero::<MTA, B>(bar, 0..MTA::META.count);
    let writes = if matches!(family, Family::I350 | Family::I354) { I350_WRITES } else { 1 };
    for _ in 0..writes {
        zero::<VFTA, B>(bar, 0..VFTA::META.count);
    }
    if family.pools() {
        zero::<UTA, B>(bar, 0..UTA::META.count);
        zero::<VLVF, B>(bar, 0..VLVF::META.count);
        VT_CTL(0).write(bar);
    }
    zero::<ETQF, B>(bar, 0..ETQF::META.count);
    zero::<FTQF, B>(bar, 0..FTQF::META.count);
    SYNQF(0).write(bar);
    // Receive address 0 stays: it is the station's.
    zero::<RAL, B>(bar, 1..RAL::META.count);
    zero::<RAH, B>(bar, 1..RAH::META.count);
    if family.receive_addresses() >= 24 {
        zero::<RAL_16, B>(bar, 0..RAL_16::META.count);
        zero::<RAH_16, B>(bar, 0..RAH_16::META.count);
    }
    if family.receive_addresses() >= 32 {
        zero::<RAL_24, B>(bar, 0..RAL_24::META.count);
        zero::<RAH_24, B>(bar, 0..RAH_24::META.count);
    }
    // Tagged frames pass whatever their VLAN.
    modify::<RCTL, B>(bar, 0, |r| r.with(RCTL::VFE, 0).with(RCTL::MO, 0));
}

/// Programs the station address and the acceptance mode, on a running port too: the address is
/// never valid while it is half written.
pub(super) fn program<B: Bar>(bar: &B, mac: MacAddr, accept: Accept) {
    let [a, b, c, d, e, f] = mac.0;
    let high = RAH(u32::from_le_bytes([e, f, 0, 0]));
    if RAL::read(bar).raw() != u32::from_le_bytes([a, b, c, d])
        || RAH::read(bar) != high.with(RAH::AV, 1)
    {
        RAH(0).write(bar);
        RAL(u32::from_le_bytes([a, b, c, d])).write(bar);
        high.with(RAH::AV, 1).write(bar);
    }
    let multicast = accept.promiscuous || accept.allmulticast;
    modify::<RCTL, B>(bar, 0, |r| {
        r.with(RCTL::SBP, 0)
            .with(RCTL::BAM, 1)
            .with(RCTL::UPE, accept.promiscuous.into())
            .with(RCTL::MPE, multicast.into())
    });
}
