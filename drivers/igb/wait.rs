//! Bounds of every wait, and how a vanished device is noticed.

use std::time::Duration;

use super::regs::STATUS;
use crate::drivers::intel::access;
pub(super) use crate::drivers::intel::access::{gone, modify};
use crate::error::{Error, Result};
use crate::mmio::{Bar, Register, wait_until};

/// A milliseconds constant.
const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// No register may be touched for this long after a reset is written (8.2.1; I210: 3 ms).
pub(super) const AFTER_RESET: Duration = ms(3);
/// Until EECD.AUTO_RD.
pub(super) const AUTOLOAD: Duration = ms(20);
/// Until STATUS.PF_RST_DONE (82580 and later).
pub(super) const PF_RESET: Duration = ms(20);
/// Until EEMNGCTL.CFG_DONE; without manageability firmware it may never come.
pub(super) const MNG_CONFIG: Duration = ms(10);
/// What a queue's memory must stay for after its ENABLE bit has cleared.
pub(super) const QUEUE_DRAIN: Duration = Duration::from_micros(100);
/// Until STATUS shows that no request is pending after a master disable (5.2).
pub(super) const MASTER: Duration = ms(100);
/// Until MDIC.READY: a transfer takes 64 us at the slowest clock.
pub(super) const PHY_WORD: Duration = ms(10);
/// Until SWSM gives a semaphore: whoever has it needs a few register accesses only (4.7).
pub(super) const SEMAPHORE: Duration = ms(50);
/// Until SW_FW_SYNC gives a resource: firmware may keep one for a while.
pub(super) const RESOURCE: Duration = ms(500);
/// Between two looks at a semaphore.
pub(super) const SEMAPHORE_LOOK: Duration = Duration::from_micros(50);

/// Notices a device that answers all ones: STATUS never reads so.
///
/// # Errors
/// [`Error::Gone`].
pub(super) fn check_alive<B: Bar>(bar: &B) -> Result<()> {
    access::check_alive::<STATUS, B>(bar)
}

/// Waits for something that some boards never say, and that is not needed to go on.
///
/// # Errors
/// [`Error::Gone`].
pub(super) fn hope_for<R: Register, B: Bar>(
    bar: &B,
    limit: Duration,
    done: impl Fn(R) -> bool,
) -> Result<bool> {
    match wait_until::<R, B>(bar, 0, limit, done) {
        Ok(_) => Ok(true),
        Err(e @ Error::Timeout { .. }) => {
            tracing::debug!(device = bar.name(), "going on: {e}");
            Ok(false)
        }
        Err(e) => Err(e),
    }
}
