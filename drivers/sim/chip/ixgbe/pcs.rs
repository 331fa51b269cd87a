//! What the PCS blocks behind an SFP+ cage say of the link: those of 1 Gbit/s and of 10 Gbit/s
//! (82599 datasheet 8.2.3.22; IEEE 802.3 clauses 37 and 45).

use super::link;
use crate::drivers::ixgbe::regs::{PCS1GANLP, PCS1GLSTA, PCSS1, PCSS2};
use crate::drivers::sim::device::Device;
use crate::mmio::Register;

/// What the partner can do: full duplex, symmetric pauses; and it has seen what this side can.
const PARTNER: u32 = 1 << 5 | 1 << 7 | 1 << 14;
/// PCSS1: there is a link.
const RECEIVES: u32 = 1 << 2;
/// PCSS2: there is such a PCS; it can do 10GBASE-R; it receives nothing.
const PRESENT: u32 = 0b10 << 14 | 1 << 0;
const RECEIVE_FAULT: u32 = 1 << 10;

/// See [`Chip::read`](super::Chip::read).
pub(super) fn read(d: &Device, offset: u32) -> Option<u32> {
    let is = |o: u32| offset == o;
    let at = |speed: u32| link::speed(d) == Some(speed);
    Some(if is(PCS1GLSTA::META.offset) {
        let up = u32::from(at(1_000));
        let done = up & u32::from(link::negotiates(&d.regs));
        PCS1GLSTA(0)
            .with(PCS1GLSTA::LINK_OK, up)
            .with(PCS1GLSTA::SYNC_OK, up)
            .with(PCS1GLSTA::AN_COMPLETE, done)
            .with(PCS1GLSTA::AN_PAGE_RX, done)
            .raw()
    } else if is(PCS1GANLP::META.offset) {
        if at(1_000) && link::negotiates(&d.regs) { PARTNER } else { 0 }
    } else if is(PCSS1::META.offset) {
        if at(10_000) { RECEIVES } else { 0 }
    } else if is(PCSS2::META.offset) {
        PRESENT | if at(10_000) { 0 } else { RECEIVE_FAULT }
    } else {
        return None;
    })
}
