//! Semaphores with the firmware and with the drivers of the chip's other ports (4.7, 8.7).

use super::regs::{STATUS, SW_FW_SYNC, SWSM};
use super::wait;
use crate::error::{Error, Result};
use crate::mmio::{Bar, Field, Register};

/// Firmware's bit of a resource is this far above software's.
const FIRMWARE: u32 = 16;

/// A resource of SW_FW_SYNC that is ours until this is dropped.
#[derive(Debug)]
pub(super) struct Held<'a, B: Bar> {
    bar: &'a B,
    mask: u32,
}

impl<'a, B: Bar> Held<'a, B> {
    /// Takes the NVM.
    pub(super) fn nvm(bar: &'a B) -> Result<Self> {
        Self::take(bar, SW_FW_SYNC::SW_EEP.mask())
    }

    /// Takes this port's PHY.
    pub(super) fn phy(bar: &'a B) -> Result<Self> {
        const PHY: [Field; 4] =
            [SW_FW_SYNC::SW_PHY0, SW_FW_SYNC::SW_PHY1, SW_FW_SYNC::SW_PHY2, SW_FW_SYNC::SW_PHY3];
        let port = STATUS::read(bar).get(STATUS::LAN_ID) as usize;
        Self::take(bar, PHY[port & 3].mask())
    }

    /// A resource that only software holds when the time is over is taken all the same: its owner
    /// was killed, or it would have given it back. Firmware's is waited for in vain.
    fn take(bar: &'a B, mask: u32) -> Result<Self> {
        let start = bar.now();
        loop {
            lock(bar)?;
            let sync = SW_FW_SYNC::read(bar);
            let waited = bar.now().saturating_sub(start);
            let over = waited >= wait::RESOURCE;
            let firmware = sync.raw() & mask << FIRMWARE != 0;
            let software = sync.raw() & mask != 0;
            if !firmware && (!software || over) {
                if software {
                    tracing::warn!(device = bar.name(), mask, "taking a semaphore that was left");
                }
                SW_FW_SYNC(sync.raw() | mask).write(bar);
                unlock(bar);
                return Ok(Self { bar, mask });
            }
            unlock(bar);
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
        let sync = SW_FW_SYNC::read(self.bar);
        SW_FW_SYNC(sync.raw() & !self.mask).write(self.bar);
        unlock(self.bar);
    }
}

/// Takes both semaphores that guard SW_FW_SYNC itself (4.7.1): SMBI against other drivers, by a
/// read that finds it clear; SWESMBI against firmware, by a write that sticks.
fn lock<B: Bar>(bar: &B) -> Result<()> {
    let free = wait_for(bar, |_| {
        let swsm = SWSM::read(bar);
        (!swsm.has(SWSM::SMBI), swsm)
    })?;
    if let Err(last) = free {
        // Nobody keeps it for so long: its owner was killed.
        tracing::warn!(device = bar.name(), swsm = last.raw(), "taking SWSM.SMBI, which was left");
    }
    let ours = wait_for(bar, |_| {
        SWSM(SWSM::read(bar).raw()).with(SWSM::SWESMBI, 1).write(bar);
        let swsm = SWSM::read(bar);
        (swsm.has(SWSM::SWESMBI), swsm)
    })?;
    match ours {
        Ok(()) => Ok(()),
        Err(last) => {
            unlock(bar);
            let waited = wait::SEMAPHORE;
            Err(Error::Timeout { register: SWSM::META.name, last: last.raw(), waited })
        }
    }
}

/// Gives both back.
fn unlock<B: Bar>(bar: &B) {
    let swsm = SWSM::read(bar);
    swsm.with(SWSM::SMBI, 0).with(SWSM::SWESMBI, 0).write(bar);
}

/// Calls `look` until it says so, for at most the time of a semaphore; the last value otherwise.
fn wait_for<B: Bar>(
    bar: &B,
    mut look: impl FnMut(&B) -> (bool, SWSM),
) -> Result<std::result::Result<(), SWSM>> {
    let start = bar.now();
    loop {
        let (done, last) = look(bar);
        if last.raw() == u32::MAX {
            return Err(wait::gone(bar, "register SWSM reads 0xffffffff"));
        }
        if done {
            return Ok(Ok(()));
        }
        if bar.now().saturating_sub(start) >= wait::SEMAPHORE {
            return Ok(Err(last));
        }
        bar.delay(wait::SEMAPHORE_LOOK);
    }
}
