//! The copper PHY over MDIC (3.5.2, 8.2.4; registers of IEEE 802.3 clause 22).

use super::ids::Family;
use super::regs::MDIC;
use super::sync::Held;
use super::wait;
use crate::error::Result;
use crate::mmio::{Bar, Register, wait_until};

/// Address of the on-chip PHY. 82580 and later take it from MDICNFG and ignore this one.
const ADDRESS: u32 = 1;

const OP_WRITE: u32 = 1;
const OP_READ: u32 = 2;

/// Basic mode control.
const BMCR: u32 = 0;
const BMCR_RESTART: u16 = 1 << 9;
const BMCR_ISOLATE: u16 = 1 << 10;
const BMCR_POWER_DOWN: u16 = 1 << 11;
const BMCR_NEGOTIATE: u16 = 1 << 12;
const BMCR_LOOPBACK: u16 = 1 << 14;
const BMCR_RESET: u16 = 1 << 15;
/// Basic mode status; a lost link is remembered until it is read.
const BMSR: u32 = 1;
const BMSR_LINK: u16 = 1 << 2;
const BMSR_NEGOTIATED: u16 = 1 << 5;
/// Page select of the I210's PHY.
const I21X_PAGE: u32 = 22;

/// Lets the PHY negotiate, unless it has a negotiated link already.
///
/// # Errors
/// [`Error::Timeout`](crate::Error::Timeout), [`Error::Gone`](crate::Error::Gone).
pub(super) fn negotiate<B: Bar>(bar: &B, family: Family) -> Result<()> {
    let _ours = Held::phy(bar)?;
    if family.is_i21x() {
        write(bar, I21X_PAGE, 0)?;
    }
    read(bar, BMSR)?;
    let up = read(bar, BMSR)?.is_some_and(|s| s & BMSR_LINK != 0 && s & BMSR_NEGOTIATED != 0);
    let Some(control) = read(bar, BMCR)? else {
        tracing::warn!(device = bar.name(), "the PHY does not answer; its link is left as it is");
        return Ok(());
    };
    let off = BMCR_ISOLATE | BMCR_POWER_DOWN | BMCR_LOOPBACK;
    let ready = control & (off | BMCR_NEGOTIATE) == BMCR_NEGOTIATE;
    if up && ready {
        return Ok(());
    }
    let control = control & !(off | BMCR_RESET) | BMCR_NEGOTIATE | BMCR_RESTART;
    write(bar, BMCR, control)
}

/// One register; none when the PHY did not answer (MDIC.ERROR).
fn read<B: Bar>(bar: &B, register: u32) -> Result<Option<u16>> {
    command(bar, MDIC::default().with(MDIC::OP, OP_READ), register)
}

fn write<B: Bar>(bar: &B, register: u32, value: u16) -> Result<()> {
    let mdic = MDIC::default().with(MDIC::OP, OP_WRITE).with(MDIC::DATA, value.into());
    if command(bar, mdic, register)?.is_none() {
        tracing::warn!(device = bar.name(), register, "the PHY refused a write");
    }
    Ok(())
}

fn command<B: Bar>(bar: &B, mdic: MDIC, register: u32) -> Result<Option<u16>> {
    mdic.with(MDIC::REGADD, register).with(MDIC::PHYADD, ADDRESS).write(bar);
    let done = wait_until::<MDIC, B>(bar, 0, wait::PHY_WORD, |r| r.has(MDIC::READY))?;
    Ok((!done.has(MDIC::ERROR)).then(|| done.get(MDIC::DATA) as u16))
}
