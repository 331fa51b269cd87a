//! Pause frames (3.7.7, 4.6.3.2, 8.2.3.3).

use super::ids::Family;
use super::regs::{FCCFG, FCRTH, FCRTL, FCRTV, FCTTV, MFLCN};
use super::wait::modify;
use crate::mmio::{Bar, Register};
use crate::port::FlowControl;

/// What is left free above the high-water mark (4.6.3.2).
const HEADROOM: u32 = 0x6000;

/// Pause time that is asked for, in slots of 512 bit times; repeated at half-time.
const PAUSE: u32 = 0x0680;

/// FCCFG.TFCE: 802.3x pause frames, no priority ones.
const LINK_PAUSE: u32 = 1;

/// Programs both directions. What the link partner negotiated is not consulted: the setting is
/// the application's.
pub(super) fn program<B: Bar>(bar: &B, family: Family, flow: FlowControl) {
    let send = matches!(flow, FlowControl::Tx | FlowControl::Full);
    let obey = matches!(flow, FlowControl::Rx | FlowControl::Full);
    let buffer = family.rx_buffer_kib() * 1024;
    let (low, high) = (buffer / 2, buffer - HEADROOM);
    for n in 0..FCTTV::META.count {
        let pause = if send { PAUSE } else { 0 };
        FCTTV::default().with(FCTTV::TTV_EVEN, pause).with(FCTTV::TTV_ODD, pause).write_at(bar, n);
    }
    for n in 0..FCRTL::META.count {
        FCRTL(0).write_at(bar, n);
        FCRTH(0).write_at(bar, n);
    }
    if send {
        FCRTL(low).with(FCRTL::XONE, 1).write(bar);
    }
    // RTH must be set even when no pause frame is sent (4.6.3.2).
    FCRTH(high).with(FCRTH::FCEN, send.into()).write(bar);
    FCRTV(if send { PAUSE / 2 } else { 0 }).write(bar);
    FCCFG(0).with(FCCFG::TFCE, if send { LINK_PAUSE } else { 0 }).write(bar);
    // Pause frames are consumed by the MAC, never handed to a queue.
    modify::<MFLCN, B>(bar, 0, |r| {
        r.with(MFLCN::PMCF, 0)
            .with(MFLCN::DPF, 1)
            .with(MFLCN::RPFCM, 0)
            .with(MFLCN::RFCE, obey.into())
    });
}
