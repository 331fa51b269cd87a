//! The link as AUTOC and its relatives set it up and LINKS shows it (82599 datasheet 3.7.4,
//! 8.2.3.22.17 to 8.2.3.22.24).

use std::time::Duration;

use crate::drivers::ixgbe::regs::{ANLP1, AUTOC, LINKS, MACC};
use crate::drivers::sim::common::QUICK;
use crate::drivers::sim::device::{Device, Slow};
use crate::drivers::sim::later::{Effect, Takes};
use crate::drivers::sim::regs::RegFile;
use crate::mmio::Register;

const TRAINING: Takes = Takes { time: Duration::from_millis(20), reads: 5 };

/// What AUTOC.LMS makes of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// 10 Gbit/s without negotiation.
    Ten,
    /// 1 Gbit/s, negotiated or not.
    One,
    /// Backplane negotiation, to which no module answers.
    Backplane,
}

/// AUTOC.LMS: 1 Gbit/s with the negotiation of clause 37.
const ONE_NEGOTIATED: u32 = 2;

fn mode(regs: &RegFile) -> Mode {
    match regs.get::<AUTOC>(0).get(AUTOC::LMS) {
        1 | 3 => Mode::Ten,
        0 | 2 | 5 => Mode::One,
        _ => Mode::Backplane,
    }
}

/// Whether the mode is one in which a link can come.
pub(super) fn possible(regs: &RegFile) -> bool {
    mode(regs) != Mode::Backplane
}

/// Whether the MAC is to say that there is a link whatever the SerDes sees (8.2.3.22.19,
/// 8.2.3.22.35).
pub(super) fn forced(regs: &RegFile) -> bool {
    regs.get::<AUTOC>(0).has(AUTOC::FLU) || regs.get::<MACC>(0).has(MACC::FLU)
}

/// Whether a link of 1 Gbit/s is negotiated.
pub(super) fn negotiates(regs: &RegFile) -> bool {
    regs.get::<AUTOC>(0).get(AUTOC::LMS) == ONE_NEGOTIATED
}

/// The link's speed in Mbit/s, if there is a link.
pub(super) fn speed(d: &Device) -> Option<u32> {
    let engine = d.current_engine();
    let (up, most) = (engine.link_up(), engine.speed_mbps());
    drop(engine);
    let macc = d.regs.get::<MACC>(0);
    let speed = match (mode(&d.regs), macc.get(MACC::FSV)) {
        (_, 3) if macc.has(MACC::FS) => 10_000,
        (_, 2) if macc.has(MACC::FS) => 1_000,
        (_, _) if macc.has(MACC::FS) => 100,
        (Mode::One, _) => most.min(1_000),
        (Mode::Ten | Mode::Backplane, _) => most,
    };
    up.then_some(speed)
}

/// The link is being negotiated.
pub(super) fn train(d: &Device, slow: &mut Slow) {
    d.engine().training = true;
    d.after(slow, TRAINING, LINKS::META.offset, 0, 0, Effect::Trained);
}

/// LINKS as software sees it now.
pub(super) fn read_links(d: &Device, slow: &mut Slow) -> LINKS {
    let speed = speed(d);
    let up = speed.is_some();
    let held = slow.link.look(up);
    let code = match speed.unwrap_or_default() {
        10_000.. => 3,
        1_000.. => 2,
        _ => 1,
    };
    let mut links = LINKS(0);
    if up {
        links = links.with(LINKS::LINK_UP, 1).with(LINKS::LINK_SPEED, code);
        if code == 3 {
            links = links
                .with(LINKS::KR_PCS_BLOCK_LOCK, 1)
                .with(LINKS::ALIGN_10G, 1)
                .with(LINKS::MAC_TX_MODE, 3)
                .with(LINKS::MAC_RX_MODE, 3);
        } else {
            links = links.with(LINKS::SYNC_1G, 1).with(LINKS::PCS_1G_EN, 1);
        }
    }
    links = links.with(LINKS::LINK_STATUS, held.into());
    d.regs.set(0, links);
    links
}

/// AUTOC: Restart_AN starts the link again; the arbitration state leaves 0 soon after.
pub(super) fn write_autoc(d: &Device, slow: &mut Slow, autoc: AUTOC) {
    let engine = d.engine();
    d.regs.set(0, autoc);
    d.changed();
    drop(engine);
    if autoc.has(AUTOC::RESTART_AN) {
        let restart = AUTOC::RESTART_AN.mask();
        d.after(slow, QUICK, AUTOC::META.offset, restart, 0, Effect::None);
        d.regs.set(0, ANLP1(0));
        let state = ANLP1(0).with(ANLP1::AN_STATE, 1).raw();
        d.after(slow, QUICK, ANLP1::META.offset, 0, state, Effect::None);
        train(d, slow);
    }
}
