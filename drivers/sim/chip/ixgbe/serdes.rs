//! The analog registers of the SerDes, of one byte each, behind CORECTL (82599 datasheet
//! 8.2.3.22; what is in them, only the EEPROM's images know).

use super::nvm;
use crate::drivers::ixgbe::regs::CORECTL;
use crate::drivers::sim::device::{Device, Slow};
use crate::mmio::Register;

/// A reset of the link loads them from the EEPROM.
pub(super) fn reset(slow: &mut Slow) {
    slow.analog.fill(0);
    for word in nvm::analog(&slow.eeprom) {
        let [value, address] = word.to_le_bytes();
        slow.analog[usize::from(address)] = value;
    }
}

/// CORECTL: the register that was chosen last.
pub(super) fn read(d: &Device, slow: &Slow) -> CORECTL {
    let corectl = d.regs.get::<CORECTL>(0);
    let value = slow.analog[corectl.get(CORECTL::ADDRESS) as usize];
    corectl.with(CORECTL::DATA, value.into())
}

/// CORECTL: writes a register, or with LATCH chooses one to be read.
pub(super) fn write(d: &Device, slow: &mut Slow, corectl: CORECTL) {
    if !corectl.has(CORECTL::LATCH) {
        slow.analog[corectl.get(CORECTL::ADDRESS) as usize] = corectl.get(CORECTL::DATA) as u8;
    }
    d.regs.set(0, CORECTL(0).with(CORECTL::ADDRESS, corectl.get(CORECTL::ADDRESS)));
}
