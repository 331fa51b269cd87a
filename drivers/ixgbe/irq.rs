//! Interrupts (4.6.3.1, 8.2.3.5).

use super::regs::{EIAC, EIAM, EICR, EIMC, EIMC_EX, EIMS, EITR, GPIE, IVAR};
use crate::mmio::{Bar, Register};
use crate::port::Causes;

/// The EICR bit that every receive queue raises (8.2.3.5.1: RTxQ bit 0).
const RECEIVED: u32 = 1 << 0;
/// IVAR entry: valid, EICR bit 0 (8.2.3.5.16).
const TO_BIT_0: u32 = 0x80;

/// Masks every cause and forgets what was pending (4.6.3.1 steps 1 and 3: before and after the
/// reset).
pub(super) fn mask_all<B: Bar>(bar: &B) {
    // Bit 31 is reserved (8.2.3.5.4).
    EIMC(0x7fff_ffff).write(bar);
    for n in 0..2 {
        EIMC_EX(u32::MAX).write_at(bar, n);
    }
    EIAC(0).write(bar);
    EIAM(0).write(bar);
    // Reading clears.
    EICR::read(bar);
}

/// Leads every receive queue to one bit, for the one line or message that UIO gives (7.3.1.3.1:
/// without MSI-X all causes share it). Everything stays masked.
pub(super) fn init<B: Bar>(bar: &B, queues: u16) {
    // No multiple vectors, no auto-mask: whoever waits masks by hand.
    GPIE(0).write(bar);
    // Unthrottled: a sleeper wants the first packet, and masks until it sleeps again.
    EITR(0).write(bar);
    // An entry a direction for two queues; only receive entries are valid.
    for n in 0..u32::from(queues).div_ceil(2) {
        let second = if 2 * n + 1 < queues.into() { TO_BIT_0 << 16 } else { 0 };
        IVAR(TO_BIT_0 | second).write_at(bar, n);
    }
}

/// EIMS, EIMC and EICR as the one who waits for packets uses them.
#[derive(Debug)]
pub struct IxgbeCauses<B: Bar>(pub(super) B);

impl<B: Bar> Causes for IxgbeCauses<B> {
    fn unmask(&self) {
        EIMS(RECEIVED).write(&self.0);
    }

    fn mask(&self) {
        EIMC(RECEIVED).write(&self.0);
    }

    fn take(&self) -> u32 {
        EICR::read(&self.0).raw() & RECEIVED
    }
}
