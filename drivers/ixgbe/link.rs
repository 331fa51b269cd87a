//! Link set-up and state (4.6.4, 8.2.3.22).

use super::ids::{Chip, Family, Media};
use super::phy;
use super::regs::{AUTOC, ESDP, LINKS, MACC, MMNGC};
use super::wait::{gone, modify};
use crate::error::Result;
use crate::mmio::{Bar, Register};
use crate::port::LinkStatus;

/// SDP3 switches the laser of an SFP+ module off when high, where the board drives it.
const SDP3: u32 = 1 << 3;

/// Lets the link come up; does not wait for it.
///
/// The EEPROM has loaded AUTOC with the board's link mode (4.6.4.2), so the mode is kept and only
/// a negotiation, or for a serial link a new lock, is asked for; not even that when the link is
/// up already.
///
/// # Errors
/// [`Error::Gone`](crate::Error::Gone).
pub(super) fn set_up<B: Bar>(bar: &B, chip: &Chip) -> Result<()> {
    // 1. Laser on, if the pin is an output.
    if chip.media == Media::Fiber {
        let esdp = ESDP::read(bar);
        if esdp.get(ESDP::SDP_DIR) & SDP3 != 0 && esdp.get(ESDP::SDP_DATA) & SDP3 != 0 {
            esdp.with(ESDP::SDP_DATA, esdp.get(ESDP::SDP_DATA) & !SDP3).write(bar);
        }
    }
    // 2. A PHY awake, and the MAC to believe it: our reset leaves the link's registers alone.
    if chip.media == Media::Phy {
        phy::wake(bar, chip.family)?;
        if MACC::read(bar).has(MACC::FLU) {
            modify::<MACC, B>(bar, 0, |r| r.with(MACC::FLU, 0));
        }
    }
    // 3. A link that is up is left alone, and so is one that a PHY's firmware or a BMC owns.
    if status(bar, chip)?.up || chip.media == Media::Phy || MMNGC::read(bar).has(MMNGC::MNG_VETO) {
        return Ok(());
    }
    // 4. Restart (4.6.4.2, AUTOC.Restart_AN); not forced up.
    modify::<AUTOC, B>(bar, 0, |r| r.with(AUTOC::FLU, 0).with(AUTOC::RESTART_AN, 1));
    Ok(())
}

/// Link state now. LINKS is read twice, because it remembers a loss since the last read.
///
/// # Errors
/// [`Error::Gone`](crate::Error::Gone).
pub(super) fn status<B: Bar>(bar: &B, chip: &Chip) -> Result<LinkStatus> {
    LINKS::read(bar);
    let links = LINKS::read(bar);
    if links.raw() == u32::MAX {
        return Err(gone(bar, "register LINKS reads 0xffffffff"));
    }
    if !links.has(LINKS::LINK_UP) {
        return Ok(LinkStatus::DOWN);
    }
    let odd = chip.family != Family::I82599 && links.has(LINKS::SPEED_NON_STD);
    let speed_mbps = match (links.get(LINKS::LINK_SPEED), odd) {
        (3, false) => 10_000,
        (3, true) => 2_500,
        (2, _) => 1_000,
        (1, false) => 100,
        (1, true) => 5_000,
        _ => 10,
    };
    Ok(LinkStatus { up: true, speed_mbps, full_duplex: true })
}
