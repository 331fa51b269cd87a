//! What an 82599 adapter has around the chip: the SFP+ cage on I2CCTL and on the
//! software-definable pins (82599 datasheet 3.7.4.2, 8.2.3.1.4, 8.2.3.1.5).

use crate::drivers::ixgbe::regs::{AUTOC2, ESDP, I2CCTL};
use crate::drivers::sim::device::{Device, Slow};
use crate::drivers::sim::irq::Cause;
use crate::drivers::sim::regs::RegFile;
use crate::drivers::sim::sfp::{Light, Module};
use crate::mmio::Register;
use crate::port::MacAddr;

/// SDP2, an input: there is a module in the cage.
const PRESENT: u32 = 1 << 2;
/// SDP3, an output: the laser is off.
const LASER_OFF: u32 = 1 << 3;
/// Directions as the EEPROM loads them: laser and rate select are outputs.
const OUTPUTS: u32 = LASER_OFF | 1 << 5;

/// Data and direction of eight pins.
const PINS: u32 = 0xff;
const DIRECTIONS: u32 = 8;

/// The module of an adapter with this address, from which it has its serial number.
pub(super) fn module(mac: MacAddr) -> Module {
    let [.., d, e, f] = mac.0;
    Module::new(&format!("BW{d:02X}{e:02X}{f:02X}"))
}

/// After a reset: the EEPROM's directions, and what the pins are at.
pub(super) fn reset(d: &Device, present: bool) {
    let level = if present { PRESENT } else { 0 };
    d.regs.set(0, ESDP(OUTPUTS << DIRECTIONS | level));
    d.regs.set(0, I2CCTL(0).with(I2CCTL::CLK_OUT, 1).with(I2CCTL::DATA_OUT, 1));
}

/// Whether light leaves the module: it is there, and its laser is not held off.
fn lit(esdp: ESDP) -> bool {
    let (data, outputs) = (esdp.raw() & PINS, esdp.raw() >> DIRECTIONS & PINS);
    let off = data & outputs & LASER_OFF != 0;
    data & PRESENT != 0 && !off
}

/// Whether the MAC can have a link through the module.
pub(super) fn linked(regs: &RegFile) -> bool {
    lit(regs.get::<ESDP>(0)) && !regs.get::<AUTOC2>(0).has(AUTOC2::LINK_DISABLE)
}

/// ESDP: inputs are what they are at. Returns whether the laser was switched on.
pub(super) fn write_pins(d: &Device, value: u32) -> bool {
    let old = d.regs.get::<ESDP>(0);
    let inputs = !(value >> DIRECTIONS) & PINS;
    let new = ESDP(value & !inputs | old.raw() & inputs);
    let _engine = d.engine();
    d.regs.set(0, new);
    d.changed();
    lit(new) && !lit(old)
}

/// Puts a module in or takes it out.
pub(super) fn module_changed(d: &Device, present: bool) {
    let engine = d.engine();
    d.regs.change(ESDP::META.offset, PRESENT, if present { PRESENT } else { 0 });
    d.changed();
    drop(engine);
    if present {
        d.raise(Cause::Pin(PRESENT.trailing_zeros() as u8));
    }
}

/// I2CCTL as it is: what software drives, and the levels of both lines.
pub(super) fn read_bus(d: &Device, slow: &Slow) -> u32 {
    let (clock, data) = slow.cage.lines();
    let value = d.regs.get::<I2CCTL>(0).with(I2CCTL::CLK_IN, clock.into());
    value.with(I2CCTL::DATA_IN, data.into()).raw()
}

/// Software drives the lines.
pub(super) fn write_bus(d: &Device, slow: &mut Slow, value: u32) {
    let value = I2CCTL(value & (I2CCTL::CLK_OUT.mask() | I2CCTL::DATA_OUT.mask()));
    d.regs.set(0, value);
    // Between transfers the module measures.
    let idle = value.has(I2CCTL::CLK_OUT) && value.has(I2CCTL::DATA_OUT);
    if idle {
        let received = d.engine().carrier();
        slow.cage.see(Light { sent: lit(d.regs.get::<ESDP>(0)), received });
    }
    slow.cage.drive(value.has(I2CCTL::CLK_OUT), value.has(I2CCTL::DATA_OUT));
}
