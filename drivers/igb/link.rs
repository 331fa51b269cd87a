//! Link set-up and state (3.5, 4.5, 8.2, 8.18).

use super::ids::Family;
use super::regs::later::PHPM;
use super::regs::{CONNSW, CTRL, CTRL_EXT, MANC, PCS_CFG, PCS_LCTL, PCS_LSTS, SERDESCTL, STATUS};
use super::wait::{gone, modify};
use super::{nvm, phy};
use crate::error::Result;
use crate::mmio::{Bar, Register};
use crate::port::LinkStatus;

/// CTRL.SPEED, PCS_LCTL.FSV: 1000 Mb/s.
const GIGABIT: u32 = 2;
/// SERDESCTL: register 4 to zero, analog loopback off; it survives resets (8.2.5).
const NO_LOOPBACK: u32 = 0x0400;

/// What CTRL_EXT.LINK_MODE says; it is loaded from the NVM (8.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The on-chip PHY.
    Copper,
    /// 1000BASE-KX: no negotiation that the PCS knows of.
    Kx,
    /// A PHY outside, which tells the PCS what it has negotiated.
    Sgmii,
    /// Fibre or backplane, negotiated by the PCS.
    Serdes,
}

fn mode<B: Bar>(bar: &B) -> Mode {
    match CTRL_EXT::read(bar).get(CTRL_EXT::LINK_MODE) {
        0 => Mode::Copper,
        1 => Mode::Kx,
        2 => Mode::Sgmii,
        _ => Mode::Serdes,
    }
}

/// Lets the link come up; does not wait for it.
///
/// # Errors
/// [`Error::Timeout`](crate::Error::Timeout), [`Error::Gone`](crate::Error::Gone).
pub(super) fn set_up<B: Bar>(bar: &B, family: Family) -> Result<()> {
    match mode(bar) {
        Mode::Copper => copper(bar, family),
        mode => pcs(bar, family, mode),
    }
}

fn copper<B: Bar>(bar: &B, family: Family) -> Result<()> {
    // 1. The last driver may have kept the link down (PHPM.GO_LINKD).
    if family.is_later() {
        modify::<PHPM, B>(bar, 0, |r| r.with(PHPM::GO_LINKD, 0));
    }
    // 2. The MAC follows the PHY: nothing forced.
    modify::<CTRL, B>(bar, 0, |r| {
        r.with(CTRL::SLU, 1).with(CTRL::LRST, 0).with(CTRL::FRCSPD, 0).with(CTRL::FRCDPLX, 0)
    });
    // 3. A link that is up is left alone, and so is one that a BMC owns.
    let kept = MANC::read(bar).has(MANC::BLK_PHY_RST_ON_IDE);
    if kept || status(bar, family)?.up {
        return Ok(());
    }
    phy::negotiate(bar, family)
}

fn pcs<B: Bar>(bar: &B, family: Family, mode: Mode) -> Result<()> {
    // 1. Loopback off, power to the module and its laser (SDP3), signal detection by energy.
    if family == Family::I82576 {
        SERDESCTL(NO_LOOPBACK).write(bar);
        modify::<CONNSW, B>(bar, 0, |r| r.with(CONNSW::ENRGSRC, 1));
    }
    modify::<CTRL_EXT, B>(bar, 0, |r| {
        r.with(CTRL_EXT::SDP3_DATA, 0).with(CTRL_EXT::I2C_ENABLED, 1)
    });
    modify::<PCS_CFG, B>(bar, 0, |r| r.with(PCS_CFG::PCS_EN, 1));
    // 2. The MAC: SGMII tells it the speed, everything else is 1000 Mb/s full duplex.
    let fixed = u32::from(mode != Mode::Sgmii);
    modify::<CTRL, B>(bar, 0, |r| {
        let r = r.with(CTRL::SLU, 1).with(CTRL::LRST, 0);
        let r = r.with(CTRL::FRCSPD, fixed).with(CTRL::FRCDPLX, fixed);
        let r = if fixed == 1 { r.with(CTRL::SPEED, GIGABIT).with(CTRL::FD, 1) } else { r };
        if family == Family::I82576 {
            r.with(CTRL::SDP0_DATA, 1).with(CTRL::SDP1_DATA, 1)
        } else {
            r
        }
    });
    // 3. A link that is up is left alone, and so is one that a BMC owns.
    if MANC::read(bar).has(MANC::BLK_PHY_RST_ON_IDE) || status(bar, family)?.up {
        return Ok(());
    }
    // 4. The PCS.
    let negotiate = match mode {
        Mode::Kx | Mode::Copper => false,
        Mode::Sgmii => true,
        Mode::Serdes => family != Family::I82576 || !nvm::forbids_pcs_negotiation(bar)?,
    };
    modify::<PCS_LCTL, B>(bar, 0, |r| {
        let r = r.with(PCS_LCTL::FLV, 0).with(PCS_LCTL::FORCE_LINK, 0);
        let r = if mode == Mode::Sgmii {
            r.with(PCS_LCTL::AN_TIMEOUT_EN, 0)
        } else {
            r.with(PCS_LCTL::FSV, GIGABIT).with(PCS_LCTL::FDV, 1)
        };
        r.with(PCS_LCTL::AN_ENABLE, negotiate.into())
            .with(PCS_LCTL::AN_RESTART, negotiate.into())
            .with(PCS_LCTL::FSD, (!negotiate).into())
            .with(PCS_LCTL::FORCE_FC, (!negotiate).into())
    });
    Ok(())
}

/// Link state now.
///
/// # Errors
/// [`Error::Gone`](crate::Error::Gone).
pub(super) fn status<B: Bar>(bar: &B, family: Family) -> Result<LinkStatus> {
    let status = STATUS::read(bar);
    if status.raw() == u32::MAX {
        return Err(gone(bar, "register STATUS reads 0xffffffff"));
    }
    // Without a PHY, STATUS says what was forced; the PCS says what there is.
    let (up, code, full_duplex) = if mode(bar) == Mode::Copper {
        (status.has(STATUS::LU), status.get(STATUS::SPEED), status.has(STATUS::FD))
    } else {
        let pcs = PCS_LSTS::read(bar);
        let up = pcs.has(PCS_LSTS::LINK_OK) && pcs.has(PCS_LSTS::SYNC_OK);
        (up, pcs.get(PCS_LSTS::SPEED), pcs.has(PCS_LSTS::DUPLEX))
    };
    if !up {
        return Ok(LinkStatus::DOWN);
    }
    let fast = family == Family::I354
        && status.has(STATUS::SKU_2500)
        && !status.has(STATUS::SKU_2500_OVER);
    let speed_mbps = match (code, fast) {
        (_, true) => 2_500,
        (0, _) => 10,
        (1, _) => 100,
        _ => 1_000,
    };
    Ok(LinkStatus { up: true, speed_mbps, full_duplex })
}
