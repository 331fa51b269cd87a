//! The 10GBASE-T PHY inside X540 and X550, behind MSCA and MSRWD (IEEE 802.3 clauses 28, 45 and
//! 55; 82599 datasheet 8.2.3.22.11; the vendor's own registers as Intel's public drivers use
//! them).

use std::time::Duration;

use super::Variant;
use crate::drivers::ixgbe::regs::{LINKS, MSCA, MSRWD};
use crate::drivers::sim::common::QUICK;
use crate::drivers::sim::device::{Device, Link, Slow};
use crate::drivers::sim::later::{Effect, Takes};
use crate::mmio::Register;

mod lines;

use lines::{
    ADVERTISED, AN, CHIP, CONTROL, HAPPENED, LOW_POWER, Line, PARTNER, PARTNER_RATES, PCS, PHY_XS,
    PMA, PROVISION, RATE, STATUS, TEN_CONTROL, TEN_STATUS,
};

/// The PHY of the first port.
const ADDRESS: u32 = 0;
/// MSCA.OPCODE.
const SET_ADDRESS: u32 = 0;
const WRITE: u32 = 1;
const READ_AND_ADVANCE: u32 = 2;
const READ: u32 = 3;

/// What negotiation takes.
const NEGOTIATION: Takes = Takes { time: Duration::from_millis(500), reads: 8 };
/// How long a reset of the PHY shows.
const RESET_TIME: Duration = Duration::from_micros(300);

/// CONTROL: reset; negotiate, and do it anew.
const RESET: u16 = 1 << 15;
const NEGOTIATES: u16 = 1 << 12;
const RESTART: u16 = 1 << 9;
/// STATUS: link since the last look; of negotiation: complete, a page came, the partner can.
const LINK: u16 = 1 << 2;
const NEGOTIATED: u16 = 1 << 6 | 1 << 5 | 1;
/// PHY XS: all lanes are aligned.
const ALIGNED: u16 = 1 << 12;

/// Rates in Mbit/s, and which bit of which register offers them.
const OFFERS: [(u32, u16, u16); 5] = [
    (10_000, TEN_CONTROL, 1 << 12),
    (5_000, PROVISION, 1 << 11),
    (2_500, PROVISION, 1 << 10),
    (1_000, PROVISION, 1 << 15),
    (100, ADVERTISED, 1 << 8),
];

/// One PHY.
#[derive(Debug)]
pub(in crate::drivers::sim) struct Copper {
    variant: Variant,
    lines: Vec<Line>,
    /// Each device's address register.
    addresses: [u16; 32],
    /// What the devices' status registers remember of the link, by [`LATCHING`].
    links: [Link; LATCHING.len()],
    /// The link as HAPPENED last saw it.
    was_up: bool,
    /// Until when a reset shows.
    busy: Duration,
}

/// Devices whose status remembers a loss of the link.
const LATCHING: [u8; 4] = [PMA, PCS, PHY_XS, AN];

impl Copper {
    /// The PHY inside a chip.
    pub(super) fn new(variant: Variant) -> Self {
        Self {
            variant,
            lines: lines::all(variant),
            addresses: [0; 32],
            links: Default::default(),
            was_up: false,
            busy: Duration::ZERO,
        }
    }

    fn line(&mut self, device: u8, at: u16) -> Option<&mut Line> {
        self.lines.iter_mut().find(|l| (l.device, l.at) == (device, at))
    }

    fn value(&self, device: u8, at: u16) -> u16 {
        self.lines.iter().find(|l| (l.device, l.at) == (device, at)).map_or(0, |l| l.value)
    }

    /// Somebody wants it to rest.
    fn rests(&self) -> bool {
        [PMA, CHIP].iter().any(|device| self.value(*device, CONTROL) & LOW_POWER != 0)
    }

    fn negotiates(&self) -> bool {
        self.value(AN, CONTROL) & NEGOTIATES != 0
    }

    /// Rate of the link on a wire that is good for `wire` Mbit/s, whose other end offers all rates
    /// up to that. `None`: they have none in common.
    pub(super) fn rate(&self, wire: u32) -> Option<u32> {
        let more = self.variant == Variant::X550;
        let known = |rate: u32| more || !matches!(rate, 2_500 | 5_000);
        let offers = OFFERS.iter().filter(|(rate, ..)| *rate <= wire && known(*rate));
        if self.negotiates() {
            let mut both = offers.filter(|(_, at, bit)| self.value(AN, *at) & bit != 0);
            return both.next().map(|(rate, ..)| *rate);
        }
        // Forced: bits 13 and 6 of PMA control (45.2.1.1.3).
        let control = self.value(PMA, CONTROL);
        let forced = match (control >> 13 & 1, control >> 6 & 1) {
            (1, 1) => 10_000,
            (0, 1) => 1_000,
            _ => 100,
        };
        offers.map(|(rate, ..)| *rate).find(|rate| *rate == forced)
    }

    fn read(&mut self, device: u8, at: u16, seen: Seen) -> u16 {
        if !lines::is_there(device) {
            return 0xffff;
        }
        let up = seen.rate.is_some();
        if (device, at) == (AN, HAPPENED) {
            // Bit 0: the link has come or gone.
            return (std::mem::replace(&mut self.was_up, up) != up).into();
        }
        let value = self.value(device, at);
        if let Some(line) = self.line(device, at).filter(|l| l.once) {
            line.value = 0;
        }
        let latch = LATCHING.iter().position(|d| *d == device);
        let negotiated = up && self.negotiates();
        match (device, at) {
            (_, CONTROL) if seen.now < self.busy => value | RESET,
            (_, STATUS) => {
                let held = latch.and_then(|n| self.links.get_mut(n)).is_some_and(|l| l.look(up));
                let negotiated = if negotiated && device == AN { NEGOTIATED } else { 0 };
                value | negotiated | if held { LINK } else { 0 }
            }
            // Signal on all four pairs.
            (PMA, 10) if up => 0x001f,
            (PHY_XS, 24) if up => value | ALIGNED,
            // The partner offers symmetric pause, and every rate that the wire is good for.
            (AN, PARTNER) if negotiated => 0x5501,
            (AN, TEN_STATUS) if negotiated => {
                let offered = [(10_000, 1 << 11), (5_000, 1 << 6), (2_500, 1 << 5)];
                let receiver = if seen.rate == Some(10_000) { 0x3000 } else { 0 };
                receiver | bits(&offered, seen.wire)
            }
            (AN, PARTNER_RATES) if negotiated => {
                bits(&[(10_000, 1 << 11), (1_000, 1 << 15)], seen.wire)
            }
            (AN, RATE) => {
                let code = match seen.rate {
                    None => return 0,
                    Some(5_000) => 5,
                    Some(2_500) => 4,
                    Some(10_000..) => 3,
                    Some(1_000..) => 2,
                    Some(_) => 1,
                };
                // With full duplex.
                code << 1 | 1
            }
            _ => value,
        }
    }
}

/// The bits of the rates up to `wire`.
fn bits(offered: &[(u32, u16)], wire: u32) -> u16 {
    offered.iter().filter(|(rate, _)| *rate <= wire).fold(0, |all, (_, bit)| all | bit)
}

/// The line as the PHY sees it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// There is a link, and this is its rate.
    rate: Option<u32>,
    wire: u32,
    now: Duration,
}

fn see(d: &Device, copper: &Copper) -> Seen {
    let engine = d.engine();
    let (up, wire) = (engine.carrier(), engine.speed_mbps());
    drop(engine);
    let rate = if up { copper.rate(wire) } else { None };
    Seen { rate, wire, now: d.clock.now() }
}

/// MSCA: one frame on the MDIO bus, of clause 45.
pub(super) fn write_msca(d: &Device, slow: &mut Slow, msca: MSCA) {
    d.regs.set(0, msca);
    if !msca.has(MSCA::MDICMD) {
        return;
    }
    let answer = frame(d, slow, msca);
    if matches!(msca.get(MSCA::OPCODE), READ | READ_AND_ADVANCE) {
        d.regs.set(0, d.regs.get::<MSRWD>(0).with(MSRWD::RDDATA, answer.unwrap_or(0xffff).into()));
    }
    d.after(slow, QUICK, MSCA::META.offset, MSCA::MDICMD.mask(), 0, Effect::None);
}

/// What the PHY answers. `None`: nobody does.
fn frame(d: &Device, slow: &mut Slow, msca: MSCA) -> Option<u16> {
    let copper = slow.copper.as_mut()?;
    if msca.get(MSCA::PHYADD) != ADDRESS || msca.get(MSCA::STCODE) != 0 {
        return None;
    }
    let device = msca.get(MSCA::DEVADD) as u8;
    let address = copper.addresses.get_mut(usize::from(device))?;
    let at = *address;
    match msca.get(MSCA::OPCODE) {
        SET_ADDRESS => {
            *address = msca.get(MSCA::MDIADD) as u16;
            Some(0)
        }
        WRITE => {
            write(d, slow, device, at, d.regs.get::<MSRWD>(0).get(MSRWD::WRDATA) as u16);
            Some(0)
        }
        op => {
            if op == READ_AND_ADVANCE {
                *address = at.wrapping_add(1);
            }
            let seen = see(d, copper);
            Some(copper.read(device, at, seen))
        }
    }
}

fn write(d: &Device, slow: &mut Slow, device: u8, at: u16, value: u16) {
    let Some(copper) = &mut slow.copper else { return };
    let (rested, negotiated) = (copper.rests(), copper.negotiates());
    if let Some(line) = copper.line(device, at) {
        line.value = line.value & !line.writable | value & line.writable;
    }
    if at != CONTROL {
        return;
    }
    let reset = value & RESET != 0 && lines::is_there(device);
    if reset {
        *copper = Copper {
            addresses: copper.addresses,
            links: std::mem::take(&mut copper.links),
            was_up: copper.was_up,
            busy: d.clock.now() + RESET_TIME,
            ..Copper::new(copper.variant)
        };
    }
    let restarts = device == AN && value & RESTART != 0 && copper.negotiates();
    let forces = device == PMA && !copper.negotiates();
    let woken = copper.rests() != rested || copper.negotiates() != negotiated;
    if reset || restarts || forces || woken {
        negotiate(d, slow);
    }
}

/// As it is after power-on.
pub(super) fn power_on(d: &Device, slow: &mut Slow) {
    if let Some(copper) = &mut slow.copper {
        *copper = Copper::new(copper.variant);
    }
    negotiate(d, slow);
}

/// The link is negotiated anew, unless the PHY rests or has no rate in common with the other end.
pub(super) fn negotiate(d: &Device, slow: &mut Slow) {
    let mut engine = d.engine();
    engine.training = true;
    let wire = engine.speed_mbps();
    drop(engine);
    slow.later.retain(|l| l.effect != Effect::Trained);
    let able = slow.copper.as_ref().is_some_and(|c| !c.rests() && c.rate(wire).is_some());
    if able {
        d.after(slow, NEGOTIATION, LINKS::META.offset, 0, 0, Effect::Trained);
    }
}

/// LINKS as software sees it now: the MAC follows the PHY.
pub(super) fn read_links(d: &Device, slow: &mut Slow) -> LINKS {
    let engine = d.current_engine();
    let (up, wire) = (engine.link_up(), engine.speed_mbps());
    drop(engine);
    let rate = slow.copper.as_ref().and_then(|c| c.rate(wire)).unwrap_or(wire);
    let held = slow.link.look(up);
    let mut links = LINKS(0).with(LINKS::LINK_STATUS, held.into());
    if up {
        // The rates in between are odd ones of the two next to them.
        let (code, odd) = match rate {
            10_000.. => (3, 0),
            5_000.. => (1, 1),
            2_500.. => (3, 1),
            1_000.. => (2, 0),
            _ => (1, 0),
        };
        links = links.with(LINKS::LINK_UP, 1).with(LINKS::LINK_SPEED, code);
        links = links.with(LINKS::SPEED_NON_STD, odd);
    }
    d.regs.set(0, links);
    links
}
