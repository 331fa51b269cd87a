//! The PHY on the other end of MDIC, at address 1 (82576 datasheet 3.5.8, 8.2.4; the registers
//! are those of IEEE 802.3, clauses 22 and 28).

use std::time::Duration;

use super::vendor::{self, Vendor};
use super::{Igb, Variant};
use crate::drivers::igb::regs::{MDIC, STATUS};
use crate::drivers::sim::device::{Device, Slow};
use crate::drivers::sim::later::{Effect, Takes};
use crate::mmio::Register;

/// The internal PHY's address.
const ADDRESS: u32 = 1;
/// MDIC.OP.
const WRITE: u32 = 1;
const READ: u32 = 2;

/// A frame of 64 bits at 2.5 MHz, and what surrounds it.
const MDIO: Takes = Takes { time: Duration::from_micros(50), reads: 3 };
/// What negotiation takes, as in QEMU.
const AUTONEG: Takes = Takes { time: Duration::from_millis(500), reads: 8 };
/// How long a reset of the PHY shows.
const RESET_TIME: Duration = Duration::from_micros(300);

// Registers.
const BMCR: usize = 0;
const BMSR: usize = 1;
const ANAR: usize = 4;
const ANLPAR: usize = 5;
const ANER: usize = 6;
const GIGABIT_CONTROL: usize = 9;
const GIGABIT_STATUS: usize = 10;

// BMCR.
const RESET: u16 = 1 << 15;
const LOOPBACK: u16 = 1 << 14;
const AUTONEG_ON: u16 = 1 << 12;
const POWER_DOWN: u16 = 1 << 11;
const RESTART: u16 = 1 << 9;
/// Bits that are kept: loopback, speed, negotiation, power, isolation, duplex.
const KEPT: u16 = 0x7d40;

// BMSR.
const LINK: u16 = 1 << 2;
const COMPLETE: u16 = 1 << 5;

/// ANAR and ANLPAR: 100BASE-TX full duplex.
const FAST: u16 = 1 << 8;
/// 1000BASE-T control: advertise full duplex; and the partner's full duplex in its status.
const GIGABIT: u16 = 1 << 9;
const PARTNER_GIGABIT: u16 = 1 << 11;

/// Values after a reset: negotiation on; 10, 100 and 1000 Mbit/s and both kinds of pause offered.
const AFTER_RESET: [(usize, u16); 7] = [
    (BMCR, 0x1140),
    (BMSR, 0x7949),
    (ANAR, 0x0de1),
    (ANER, 0x0064),
    (7, 0x2001),
    (GIGABIT_CONTROL, 0x0300),
    // Extended status: 1000BASE-T, both duplexes.
    (15, 0x3000),
];

/// Registers that software cannot write.
const READ_ONLY: [usize; 8] = [BMSR, 2, 3, ANLPAR, ANER, 8, GIGABIT_STATUS, 15];

/// One PHY.
#[derive(Debug)]
pub(in crate::drivers::sim) struct Phy {
    regs: [u16; vendor::FIRST],
    vendor: Vendor,
    /// Until when BMCR.RESET shows.
    busy: Duration,
}

impl Default for Phy {
    fn default() -> Self {
        Self::new(Variant::I82576)
    }
}

impl Phy {
    /// The PHY inside a chip.
    pub(super) fn new(variant: Variant) -> Self {
        let mut regs = [0; vendor::FIRST];
        for (at, value) in AFTER_RESET {
            regs[at] = value;
        }
        (regs[2], regs[3]) = match variant {
            Variant::I82576 => (0x02a8, 0x0391),
            Variant::I350 => (0x0154, 0x03b1),
        };
        Self { regs, vendor: Vendor::new(variant), busy: Duration::ZERO }
    }

    /// Rate of the link on a wire that is good for `wire` Mbit/s.
    pub(super) fn speed(&self, wire: u32) -> u32 {
        let negotiates = self.regs[BMCR] & AUTONEG_ON != 0;
        let (gigabit, fast) = if negotiates {
            (self.regs[GIGABIT_CONTROL] & GIGABIT != 0, self.regs[ANAR] & FAST != 0)
        } else {
            // Forced: bits 6 and 13 of BMCR.
            (self.regs[BMCR] & 1 << 6 != 0, self.regs[BMCR] & 1 << 13 != 0)
        };
        match wire {
            1000.. if gigabit => 1000,
            100.. if fast => 100,
            _ => 10,
        }
    }

    fn read(&self, at: usize, link: Link, now: Duration) -> u16 {
        let Some(value) = self.regs.get(at).copied() else {
            return self.vendor.read(at, link.up.then(|| self.speed(link.wire)));
        };
        let negotiated = link.up && self.regs[BMCR] & AUTONEG_ON != 0;
        match at {
            BMCR if now < self.busy => value | RESET,
            BMSR => {
                let complete = if negotiated { COMPLETE } else { 0 };
                value | complete | if link.held { LINK } else { 0 }
            }
            // What the far end offers: all that the wire is good for, and symmetric pause.
            ANLPAR if negotiated => 0x45e1,
            GIGABIT_STATUS if negotiated && link.wire >= 1000 => 0x3000 | PARTNER_GIGABIT,
            _ => value,
        }
    }
}

/// The link as the PHY sees it.
#[derive(Debug, Clone, Copy)]
struct Link {
    up: bool,
    /// And it was up all the time since the last look.
    held: bool,
    wire: u32,
}

/// A read or write of a PHY register.
pub(super) fn write_mdic(chip: &Igb, d: &Device, slow: &mut Slow, mdic: MDIC) {
    let shown = mdic.with(MDIC::READY, 0).with(MDIC::ERROR, 0);
    d.regs.set(0, shown);
    let at = mdic.get(MDIC::REGADD) as usize;
    let done = MDIC(0).with(MDIC::READY, 1);
    let (clear, set) = match mdic.get(MDIC::OP) {
        // Nobody else is on the bus. The I350 goes by MDICNFG instead (8.2.5).
        _ if chip.variant == Variant::I82576 && mdic.get(MDIC::PHYADD) != ADDRESS => {
            (0, done.with(MDIC::ERROR, 1))
        }
        WRITE => {
            write(chip, d, slow, at, mdic.get(MDIC::DATA) as u16);
            (0, done)
        }
        READ => {
            let value = read(d, slow, at);
            (MDIC::DATA.mask(), done.with(MDIC::DATA, value.into()))
        }
        _ => (0, done.with(MDIC::ERROR, 1)),
    };
    d.after(slow, MDIO, MDIC::META.offset, clear, set.raw(), Effect::None);
}

fn read(d: &Device, slow: &mut Slow, at: usize) -> u16 {
    let engine = d.engine();
    let (up, wire) = (engine.carrier(), engine.speed_mbps());
    drop(engine);
    // Only reading BMSR shows a loss in between, and forgets it.
    let held = at == BMSR && slow.link.look(up);
    slow.phy.read(at, Link { up, held, wire }, d.clock.now())
}

fn write(chip: &Igb, d: &Device, slow: &mut Slow, at: usize, value: u16) {
    if at == BMCR {
        write_bmcr(chip, d, slow, value);
    } else if at >= vendor::FIRST {
        slow.phy.vendor.write(at, value);
    } else if !READ_ONLY.contains(&at)
        && let Some(register) = slow.phy.regs.get_mut(at)
    {
        *register = value;
    }
}

fn write_bmcr(chip: &Igb, d: &Device, slow: &mut Slow, value: u16) {
    if value & RESET != 0 {
        reset(chip, d, slow);
        return;
    }
    let old = std::mem::replace(&mut slow.phy.regs[BMCR], value & KEPT);
    loops(d, value & LOOPBACK != 0 && value & POWER_DOWN == 0);
    let starts = |bit: u16| old & bit == 0 && value & bit != 0;
    if value & POWER_DOWN != 0 {
        slow.later.retain(|l| l.effect != Effect::Trained);
        d.engine().training = true;
    } else if old & POWER_DOWN != 0
        || starts(AUTONEG_ON)
        || value & RESTART != 0 && value & AUTONEG_ON != 0
    {
        negotiate(d, slow);
    }
}

/// The PHY sends what it gets from the MAC back to it, or lets it go.
fn loops(d: &Device, on: bool) {
    let mut engine = d.engine();
    if std::mem::replace(&mut engine.phy_loops, on) != on {
        d.changed();
    }
}

/// There is a partner again: a PHY that negotiates does so.
pub(super) fn plugged_in(d: &Device, slow: &mut Slow) {
    let control = slow.phy.regs[BMCR];
    if control & AUTONEG_ON != 0 && control & POWER_DOWN == 0 {
        negotiate(d, slow);
    }
}

/// Every register as after a reset, and the link is negotiated anew.
pub(super) fn reset(chip: &Igb, d: &Device, slow: &mut Slow) {
    slow.phy = Phy { busy: d.clock.now() + RESET_TIME, ..Phy::new(chip.variant) };
    loops(d, false);
    negotiate(d, slow);
}

/// The same by the slot's reset, which is over when software comes back.
pub(super) fn power_on(chip: &Igb, d: &Device, slow: &mut Slow) {
    slow.phy = Phy::new(chip.variant);
    loops(d, false);
    negotiate(d, slow);
}

/// The link is being negotiated.
fn negotiate(d: &Device, slow: &mut Slow) {
    d.engine().training = true;
    d.after(slow, AUTONEG, STATUS::META.offset, 0, 0, Effect::Trained);
}
