//! Pause frames (3.5.5, 8.5).

use super::ids::Family;
use super::regs::{CTRL, FCAH, FCAL, FCRTH, FCRTL, FCRTV, FCT, FCTTV, RCTL, RXPBS};
use super::wait::modify;
use crate::mmio::{Bar, Register};
use crate::port::{FlowControl, PortConfig};

/// Pause time that is asked for, in slots of 512 bit times; repeated at half-time.
const PAUSE: u32 = 0x0680;

/// FCRTH counts in units of 16 bytes and has 16 bits on the smallest chip (8.5.6).
const HIGHEST: u32 = 0xfff0;

/// KiB of receive buffer by RXPBS of an 82580 or I350 (their 8.3.1).
const LATER_KIB: [u32; 11] = [36, 72, 144, 1, 2, 4, 8, 16, 35, 70, 140];
/// KiB of an I210's after a reset.
const I21X_KIB: u32 = 34;

/// Programs both directions. What the link partner negotiated is not consulted: the setting is
/// the application's.
pub(super) fn program<B: Bar>(bar: &B, family: Family, cfg: &PortConfig) {
    let send = matches!(cfg.flow_control, FlowControl::Tx | FlowControl::Full);
    let obey = matches!(cfg.flow_control, FlowControl::Rx | FlowControl::Full);
    // 1. What a pause frame looks like (802.3 annex 31B).
    FCAL(FCAL::META.reset).write(bar);
    FCAH(FCAH::META.reset).write(bar);
    FCT(FCT::META.reset).write(bar);
    // 2. When it is sent. What may come all the same: one of the longest frames that hold up the
    //    pause frame here, one that the partner has begun, and what cable and PHYs hold, for which
    //    two short frames are too little.
    let buffer = buffer_kib(family, RXPBS::read(bar)) * 1024;
    let under_way = (2 * u32::from(cfg.max_frame())).max(buffer / 10);
    let high = buffer.saturating_sub(under_way).min(HIGHEST) & HIGHEST;
    let (low, high) = if send { (high / 2, high) } else { (0, 0) };
    FCTTV(if send { PAUSE } else { 0 }).write(bar);
    FCRTL(low & HIGHEST).with(FCRTL::XONE, send.into()).write(bar);
    FCRTH(high).write(bar);
    FCRTV(if send { PAUSE / 2 } else { 0 }).write(bar);
    modify::<CTRL, B>(bar, 0, |r| r.with(CTRL::RFCE, obey.into()).with(CTRL::TFCE, send.into()));
    // 3. Pause frames are consumed by the MAC, never handed to a queue.
    modify::<RCTL, B>(bar, 0, |r| r.with(RCTL::PMCF, 0).with(RCTL::DPF, 1));
}

/// KiB of receive packet buffer.
fn buffer_kib(family: Family, size: RXPBS) -> u32 {
    match family {
        Family::I82576 => size.get(RXPBS::SIZE),
        Family::I210 | Family::I211 => I21X_KIB,
        Family::I82580 | Family::I350 | Family::I354 => {
            LATER_KIB.get((size.raw() & 0xf) as usize).copied().unwrap_or(LATER_KIB[0])
        }
    }
}
