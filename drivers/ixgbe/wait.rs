//! Bounds of every wait, and how a vanished device is noticed.

use std::time::Duration;

use super::regs::STATUS;
use crate::drivers::intel::access;
pub(super) use crate::drivers::intel::access::{gone, modify};
use crate::error::Result;
use crate::mmio::Bar;

/// A milliseconds constant.
const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// No register may be touched for this long after a reset is written (8.2.3.1.1).
pub(super) const AFTER_RESET: Duration = ms(1);
/// Settling time after the reset (4.6.3.2).
pub(super) const SETTLE: Duration = ms(10);
/// Until EEC.AUTO_RD.
pub(super) const AUTOLOAD: Duration = ms(1000);
/// Until RDRXCTL.DMAIDONE.
pub(super) const DMA_INIT: Duration = ms(1000);
/// Until EEMNGCTL.CFG_DONE; without manageability firmware it may never come.
pub(super) const MNG_CONFIG: Duration = ms(10);
/// What a queue's memory must stay for after its ENABLE bit has cleared (4.6.7.1.2).
pub(super) const QUEUE_DRAIN: Duration = Duration::from_micros(100);
/// Until STATUS shows that no request is pending after a master disable (5.2.5.3.2).
pub(super) const MASTER: Duration = ms(100);
/// How long GCR_EXT.BUFFERS_CLEAR stays set (5.2.5.3.2; specification update, clarification 9).
pub(super) const FLUSH: Duration = Duration::from_micros(20);
/// Between two consecutive resets: more than 1 us (5.2.5.3.2).
pub(super) const BETWEEN_RESETS: Duration = Duration::from_micros(10);
/// Until SECRXSTAT.SECRX_RDY.
pub(super) const RX_HOLD: Duration = ms(10);

/// Until MSCA.MDICMD clears: a transfer takes some tens of microseconds.
pub(super) const MDIO: Duration = ms(10);
/// Until a semaphore is free: whoever has it needs a few register accesses only.
pub(super) const SEMAPHORE: Duration = ms(50);
/// Until SW_FW_SYNC gives a resource: firmware may keep one for a while.
pub(super) const RESOURCE: Duration = ms(500);
/// Between two looks at a semaphore.
pub(super) const SEMAPHORE_LOOK: Duration = Duration::from_micros(50);

/// Notices a device that answers all ones: STATUS never reads so.
///
/// # Errors
/// [`Error::Gone`](crate::Error::Gone).
pub(super) fn check_alive<B: Bar>(bar: &B) -> Result<()> {
    access::check_alive::<STATUS, B>(bar)
}
