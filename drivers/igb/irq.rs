//! Interrupts (4.5, 7.3, 8.8).

use super::ids::Family;
use super::regs::{EIAC, EIAM, EICR, EIMC, EITR, GPIE, IAM, ICR, IMC, IMS, IVAR, IVAR_MISC};
use crate::mmio::{Bar, Register};
use crate::port::Causes;

/// IVAR entry: valid, EICR bit 0 (8.8.13).
const TO_BIT_0: u32 = 0x80;

/// Masks every cause and forgets what was pending (4.5: before and after the reset).
pub(super) fn mask_all<B: Bar>(bar: &B) {
    IMC(u32::MAX).write(bar);
    EIMC(u32::MAX).write(bar);
    EIAC(0).write(bar);
    EIAM(0).write(bar);
    IAM(0).write(bar);
    // Reading clears, with everything masked.
    ICR::read(bar);
    EICR::read(bar);
}

/// Prepares the one line or message that UIO gives (7.3.1): without MSI-X every received packet
/// raises ICR.RXDW, whichever its queue. Everything stays masked.
pub(super) fn init<B: Bar>(bar: &B, family: Family, queues: u16) {
    // No multiple vectors, no auto-mask: whoever waits masks by hand. Every read of ICR clears it:
    // otherwise only one that finds an interrupt does (8.8.15), which a message need not show.
    GPIE(0).with(GPIE::NSICR, 1).write(bar);
    // Unthrottled, and descriptors are written back at once (7.1.4.4): a sleeper wants the first
    // packet, and masks until it sleeps again.
    EITR(0).write(bar);
    // Receive queues also show in EICR bit 0, which is where EITR 0 looks.
    let mut ivar = [0u32; 8];
    for queue in 0..u32::from(queues) {
        let (register, byte) = ivar_of(family, queue);
        ivar[register as usize] |= TO_BIT_0 << (8 * byte);
    }
    let registers = usize::from(family.queues() / 2);
    for (n, entries) in (0..).zip(&ivar[..registers]) {
        IVAR(*entries).write_at(bar, n);
    }
    IVAR_MISC(0).write(bar);
}

/// Register and byte of a receive queue's IVAR entry: the 82576 has queues `n` and `n + 8` in one
/// register (8.8.13), later chips `2n` and `2n + 1`.
const fn ivar_of(family: Family, queue: u32) -> (u32, u32) {
    match family {
        Family::I82576 => (queue % 8, queue / 8 * 2),
        _ => (queue / 2, queue % 2 * 2),
    }
}

/// IMS, IMC and ICR as the one who waits for packets uses them.
#[derive(Debug)]
pub struct IgbCauses<B: Bar>(pub(super) B);

impl<B: Bar> Causes for IgbCauses<B> {
    fn unmask(&self) {
        IMS::default().with(IMS::RXDW, 1).write(&self.0);
    }

    fn mask(&self) {
        IMC(u32::MAX).write(&self.0);
    }

    fn take(&self) -> u32 {
        ICR::read(&self.0).raw() & ICR::RXDW.mask()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_find_their_vector_entry() {
        let all = |family, queues: &[u32]| -> Vec<_> {
            queues.iter().map(|q| ivar_of(family, *q)).collect()
        };
        assert_eq!(
            all(Family::I82576, &[0, 1, 7, 8, 15]),
            [(0, 0), (1, 0), (7, 0), (0, 2), (7, 2)]
        );
        assert_eq!(all(Family::I350, &[0, 1, 2, 7]), [(0, 0), (0, 2), (1, 0), (3, 2)]);
    }
}
