//! What an 82599 adapter has around the chip: the SFP+ cage on I2CCTL and on the
//! software-definable pins, the EEPROM, no Flash (82599 datasheet 3.7.4.2, 8.2.3.1.4, 8.2.3.1.5,
//! 8.2.3.2).

use std::time::Duration;

use super::table::EEWR;
use crate::drivers::ixgbe::regs::{AUTOC2, ESDP, FLA, I2CCTL};
use crate::drivers::sim::device::{Device, Slow};
use crate::drivers::sim::irq::Cause;
use crate::drivers::sim::later::{Effect, Takes};
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

/// A word is written.
const EEPROM_WRITE: Takes = Takes { time: Duration::from_millis(2), reads: 3 };

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

/// ESDP: inputs are what they are at; of those only the cage's is ever high. Returns whether the
/// laser was switched on.
pub(super) fn write_pins(d: &Device, slow: &Slow, value: u32) -> bool {
    let old = d.regs.get::<ESDP>(0);
    let inputs = !(value >> DIRECTIONS) & PINS;
    let levels = if slow.cage.is_full() { PRESENT } else { 0 };
    let new = ESDP(value & !inputs | levels & inputs);
    let _engine = d.engine();
    d.regs.set(0, new);
    d.changed();
    lit(new) && !lit(old)
}

/// Puts a module in or takes it out. When the pin rises, that is an interrupt cause if GPIE says
/// so (8.2.3.5.1, 8.2.3.5.18).
pub(super) fn module_changed(d: &Device, present: bool) {
    let engine = d.engine();
    d.regs.change(ESDP::META.offset, PRESENT, if present { PRESENT } else { 0 });
    d.changed();
    drop(engine);
    let listens = d.regs.get::<ESDP>(0).raw() >> DIRECTIONS & PRESENT == 0;
    if present && listens {
        d.raise(Cause::Pin(PRESENT.trailing_zeros() as u8));
    }
}

/// FLA: the lines are software's, and a request is granted, but there is no Flash part: nobody
/// pulls its output down (8.2.3.2.3).
pub(super) fn write_flash(d: &Device, value: u32) {
    let lines = FLA::SCK.mask() | FLA::CE.mask() | FLA::SI.mask() | FLA::REQ.mask();
    let fla = FLA(value & lines).with(FLA::SO, 1);
    d.regs.set(0, fla.with(FLA::GNT, fla.get(FLA::REQ)));
}

/// EEWR: one word into the EEPROM.
pub(super) fn write_eewr(d: &Device, slow: &mut Slow, eewr: EEWR) {
    d.regs.set(0, eewr.with(EEWR::DONE, 0));
    if eewr.has(EEWR::START) {
        slow.eeprom.set_word(eewr.get(EEWR::ADDR), eewr.get(EEWR::DATA) as u16);
        let done = EEWR::DONE.mask();
        d.after(slow, EEPROM_WRITE, EEWR::META.offset, EEWR::START.mask(), done, Effect::None);
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
