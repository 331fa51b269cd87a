//! Which received packets get a stamp, and where it goes: into the registers, or into the buffer
//! with the packet (82599 datasheet 7.9.5 and 7.9.6; I350 datasheet 7.1.8).

use super::super::engine::Shared;
use super::super::packet::{Parsed, ptype};
use super::{ENABLED, VALID, stamp};

/// Distances in a message of the precision time protocol, any version (IEEE 1588).
const KIND: usize = 0;
const VERSION: usize = 1;
const SOURCE: std::ops::Range<usize> = 22..28;
const SEQUENCE: std::ops::Range<usize> = 30..32;
const CONTROL: usize = 32;
/// All of the header that is looked at.
const HEADER: usize = 34;
/// A UDP header's length; it begins with the ports.
const UDP: usize = 8;

/// TSYNCRXCTL.TYPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kinds {
    /// Version 2 in Ethernet: one kind of message, and peer delay.
    Ethernet,
    /// Version 1 in UDP: one kind of message.
    Udp,
    /// Version 2 in either.
    Either,
    /// Every packet, whatever it is. Nothing tells which one the registers are of.
    All,
    /// Event messages of version 2, in either.
    Events,
}

/// Bits of the write-back.
const TSIP: u64 = 1 << 15;
const TS: u64 = 1 << 16;

/// Where stamps are put in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::drivers::sim) enum InPacket {
    /// In the second half of a header of 16 bytes in front.
    Front,
    /// In 8 bytes behind.
    Behind,
}

/// Stamps as the registers say.
#[derive(Debug, Clone)]
pub(in crate::drivers::sim) struct Stamps {
    kinds: Kinds,
    /// Kind of message of version 2, control field of version 1.
    message: u8,
    control: u8,
    /// EtherTypes of the protocol, and UDP ports: perhaps where from, and where to.
    types: Vec<u16>,
    ports: Vec<(Option<u16>, u16)>,
}

impl Stamps {
    /// From TSYNCRXCTL and from the register with the kinds of messages, which begins the same on
    /// all chips; `None` when there are no stamps.
    pub(in crate::drivers::sim) fn new(
        control: u32,
        messages: u32,
        types: impl Iterator<Item = u16>,
        ports: impl Iterator<Item = (Option<u16>, u16)>,
    ) -> Option<Self> {
        let kinds = match control >> 1 & 7 {
            0 => Kinds::Ethernet,
            1 => Kinds::Udp,
            2 => Kinds::Either,
            4 => Kinds::All,
            5 => Kinds::Events,
            _ => return None,
        };
        (control & ENABLED != 0).then_some(Self {
            kinds,
            control: messages as u8,
            message: (messages >> 8) as u8 & 0xf,
            types: types.collect(),
            ports: ports.collect(),
        })
    }

    /// The message in a frame, if it is one of those that get stamps.
    fn message<'a>(&self, frame: &'a [u8], tagged: bool, parsed: &Parsed) -> Option<&'a [u8]> {
        let start = if tagged { 16 } else { 12 };
        let word = |at: usize| frame.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
        let udp = parsed.ptype & ptype::UDP != 0 && !parsed.fragment;
        let ethernet = !udp && word(start).is_some_and(|t| self.types.contains(&t));
        let port = |from: Option<u16>, to| {
            from.is_none_or(|from| word(parsed.l4) == Some(from)) && word(parsed.l4 + 2) == Some(to)
        };
        let at = if ethernet && self.kinds != Kinds::Udp {
            start + 2
        } else if udp && self.kinds != Kinds::Ethernet && self.ports.iter().any(|p| port(p.0, p.1))
        {
            parsed.l4 + UDP
        } else {
            return None;
        };
        let message = frame.get(at..)?.get(..HEADER)?;
        let (version, kind) = (message[VERSION] & 0xf, message[KIND] & 0xf);
        let wanted = match self.kinds {
            // Version 1 has its number in two bytes.
            Kinds::Udp => version == 1 && message[CONTROL] == self.control,
            Kinds::Events => version == 2 && kind < 8,
            _ => version == 2 && (kind == self.message || kind == 2 || kind == 3),
        };
        wanted.then_some(message)
    }
}

/// What a frame gets.
#[derive(Debug, Clone, Copy)]
pub(in crate::drivers::sim) struct Stamped {
    /// Bits of the write-back.
    pub(in crate::drivers::sim) status: u64,
    /// Where in the buffer.
    pub(in crate::drivers::sim) inside: Option<InPacket>,
    /// What RXSATRL and RXSATRH will tell.
    attributes: Option<(u32, u32)>,
}

impl Shared {
    /// What a frame that passed the filters gets; nothing is changed yet.
    #[cold]
    pub(in crate::drivers::sim) fn stamp_for(
        &self,
        stamps: &Stamps,
        inside: Option<InPacket>,
        frame: &[u8],
        tagged: bool,
        parsed: &Parsed,
    ) -> Option<Stamped> {
        if stamps.kinds == Kinds::All {
            let status = if inside.is_some() { TSIP } else { 0 };
            return Some(Stamped { status, inside, attributes: None });
        }
        let message = stamps.message(frame, tagged, parsed)?;
        let taken = self.regs.peek(self.chip.time().received.control) & VALID != 0;
        let status = match inside {
            Some(_) => TSIP,
            None if taken => return None,
            None => TS,
        };
        let little = |bytes: &[u8]| bytes.iter().rev().fold(0, |all, b| all << 8 | u32::from(*b));
        let source = &message[SOURCE];
        let high = little(&source[4..]) | little(&message[SEQUENCE]) << 16;
        let attributes = Some((little(&source[..4]), high));
        Some(Stamped { status, inside, attributes })
    }

    /// The frame has been taken: the registers get its stamp.
    #[cold]
    pub(in crate::drivers::sim) fn stamp_received(&mut self, stamped: Stamped) {
        let at = self.chip.time();
        if stamped.inside.is_some() {
            return;
        }
        let Some((low, high)) = stamped.attributes else {
            // Of any packet: the registers are not locked.
            let (low, high) = self.time.now(at.scale);
            self.regs.poke(at.received.low, low);
            self.regs.poke(at.received.high, high);
            return;
        };
        if stamp(&self.regs, &self.time, at.scale, at.received) {
            self.regs.poke(at.source.0, low);
            self.regs.poke(at.source.1, high);
        }
    }

    /// Adds a stamp to the bytes that go into the buffer: SYSTIML and SYSTIMH.
    #[cold]
    pub(in crate::drivers::sim) fn stamp_inside(&self, at: InPacket, bytes: &mut Vec<u8>) {
        let (low, high) = self.time.now(self.chip.time().scale);
        let stamp = u64::from(high) << 32 | u64::from(low);
        match at {
            InPacket::Front => {
                bytes.splice(0..0, (u128::from(stamp) << 64).to_le_bytes());
            }
            InPacket::Behind => bytes.extend(stamp.to_le_bytes()),
        }
    }
}
