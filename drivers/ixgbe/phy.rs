//! The 10GBASE-T PHY inside X540 and X550, over MDIO (8.2.3.22.11; IEEE 802.3 clause 45), and the
//! semaphores in front of it (X540 datasheet, software and firmware synchronization).

use super::ids::Family;
use super::regs::{MSCA, MSRWD, STATUS, SW_FW_SYNC, SWSM};
use super::wait::{self, gone};
use crate::error::{Error, Result};
use crate::mmio::{Bar, Register, wait_until};

/// MSCA.OPCODE of clause 45.
const SET_ADDRESS: u32 = 0;
const WRITE: u32 = 1;
const READ: u32 = 3;

/// The device of the PHY's vendor, and its control register.
const VENDOR: u32 = 30;
const CONTROL: u32 = 0;
const LOW_POWER: u16 = 1 << 11;
/// The PMA and its identifier, which any PHY has.
const PMA: u32 = 1;
const IDENTIFIER: u32 = 2;

/// Firmware's bit of a resource is this far above software's.
const FIRMWARE: u32 = 5;

/// Wakes a PHY that sleeps: Linux's driver puts it to sleep when an interface goes down, and no
/// reset of ours reaches it. Its firmware does the rest. The PHYs of other chips are left alone.
///
/// # Errors
/// [`Error::Gone`]. A PHY that cannot be asked is left as it is.
pub(super) fn wake<B: Bar>(bar: &B, family: Family) -> Result<()> {
    if !matches!(family, Family::X540 | Family::X550) {
        return Ok(());
    }
    match try_wake(bar) {
        Err(e @ Error::Gone { .. }) => Err(e),
        Err(e) => {
            tracing::warn!(device = bar.name(), "the PHY is left as it is: {e}");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn try_wake<B: Bar>(bar: &B) -> Result<()> {
    let _ours = Held::take(bar)?;
    for phy in 0..32 {
        if matches!(read(bar, phy, PMA, IDENTIFIER)?, 0 | 0xffff) {
            continue;
        }
        let control = read(bar, phy, VENDOR, CONTROL)?;
        if control & LOW_POWER != 0 {
            tracing::debug!(device = bar.name(), "waking the PHY");
            write(bar, phy, VENDOR, CONTROL, control & !LOW_POWER)?;
        }
        return Ok(());
    }
    tracing::warn!(device = bar.name(), "no PHY answers; its link is left as it is");
    Ok(())
}

fn read<B: Bar>(bar: &B, phy: u32, device: u32, register: u32) -> Result<u16> {
    frame(bar, phy, device, register, SET_ADDRESS)?;
    frame(bar, phy, device, register, READ)?;
    Ok(MSRWD::read(bar).get(MSRWD::RDDATA) as u16)
}

fn write<B: Bar>(bar: &B, phy: u32, device: u32, register: u32, value: u16) -> Result<()> {
    frame(bar, phy, device, register, SET_ADDRESS)?;
    MSRWD::default().with(MSRWD::WRDATA, value.into()).write(bar);
    frame(bar, phy, device, register, WRITE)
}

fn frame<B: Bar>(bar: &B, phy: u32, device: u32, register: u32, opcode: u32) -> Result<()> {
    MSCA::default()
        .with(MSCA::MDIADD, register)
        .with(MSCA::DEVADD, device)
        .with(MSCA::PHYADD, phy)
        .with(MSCA::OPCODE, opcode)
        .with(MSCA::MDICMD, 1)
        .write(bar);
    wait_until::<MSCA, B>(bar, 0, wait::MDIO, |r| !r.has(MSCA::MDICMD)).map(|_| ())
}

/// This port's PHY, which is ours until this is dropped.
#[derive(Debug)]
struct Held<'a, B: Bar> {
    bar: &'a B,
    mask: u32,
}

impl<'a, B: Bar> Held<'a, B> {
    /// A PHY that only software holds when the time is over is taken all the same: its owner was
    /// killed, or it would have given it back. Firmware's is waited for in vain.
    fn take(bar: &'a B) -> Result<Self> {
        let port = STATUS::read(bar).get(STATUS::LAN_ID) & 1;
        let mask = [SW_FW_SYNC::SW_PHY0, SW_FW_SYNC::SW_PHY1][port as usize].mask();
        let start = bar.now();
        loop {
            let sync = lock(bar)?;
            let waited = bar.now().saturating_sub(start);
            let over = waited >= wait::RESOURCE;
            let firmware = sync.raw() & mask << FIRMWARE != 0;
            let software = sync.raw() & mask != 0;
            if !firmware && (!software || over) {
                unlock(bar, |sync| sync | mask);
                return Ok(Self { bar, mask });
            }
            unlock(bar, |sync| sync);
            if over {
                let (register, last) = (SW_FW_SYNC::META.name, sync.raw());
                return Err(Error::Timeout { register, last, waited });
            }
            bar.delay(wait::SEMAPHORE_LOOK);
        }
    }
}

impl<B: Bar> Drop for Held<'_, B> {
    fn drop(&mut self) {
        if let Err(e) = lock(self.bar) {
            tracing::debug!(device = self.bar.name(), "giving a semaphore back: {e}");
        }
        unlock(self.bar, |sync| sync & !self.mask);
    }
}

/// Takes both semaphores that guard SW_FW_SYNC, by reads that find them clear: SWSM.SMBI against
/// other drivers, REGSMP against firmware. Who keeps one for so long was killed.
fn lock<B: Bar>(bar: &B) -> Result<SW_FW_SYNC> {
    if !wait_for(bar, || SWSM::read(bar).has(SWSM::SMBI)) {
        tracing::warn!(device = bar.name(), "taking SWSM.SMBI, which was left");
    }
    let mut sync = SW_FW_SYNC::default();
    let free = wait_for(bar, || {
        sync = SW_FW_SYNC::read(bar);
        sync.has(SW_FW_SYNC::REGSMP)
    });
    if sync.raw() == u32::MAX {
        return Err(gone(bar, "register SW_FW_SYNC reads 0xffffffff"));
    }
    if !free {
        tracing::warn!(device = bar.name(), "taking SW_FW_SYNC.REGSMP, which was left");
    }
    Ok(sync)
}

/// Changes SW_FW_SYNC and gives both back.
fn unlock<B: Bar>(bar: &B, change: impl FnOnce(u32) -> u32) {
    let sync = SW_FW_SYNC(change(SW_FW_SYNC::read(bar).raw()));
    sync.with(SW_FW_SYNC::REGSMP, 0).write(bar);
    wait::modify::<SWSM, B>(bar, 0, |r| r.with(SWSM::SMBI, 0));
}

/// Looks until it is free, for at most the time of a semaphore, and says whether it came free.
fn wait_for<B: Bar>(bar: &B, mut taken: impl FnMut() -> bool) -> bool {
    let start = bar.now();
    while taken() {
        if bar.now().saturating_sub(start) >= wait::SEMAPHORE {
            return false;
        }
        bar.delay(wait::SEMAPHORE_LOOK);
    }
    true
}
