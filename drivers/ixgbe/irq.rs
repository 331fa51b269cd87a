//! Interrupts (4.6.3.1, 8.2.3.5).

use super::regs::{EIAC, EIAM, EICR, EIMC, EIMC_EX};
use crate::mmio::{Bar, Register};

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
