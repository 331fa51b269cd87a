//! What can go wrong: faults that the model finds (a stray DMA is one), and the ones it commits
//! itself, seeded and switched by name.

use std::fmt;

use crate::error::{Error, Result};
use crate::mem::ClaimError;

/// A queue, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueId {
    /// A receive queue.
    Rx(u16),
    /// A transmit queue.
    Tx(u16),
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueId::Rx(q) => write!(f, "receive queue {q}"),
            QueueId::Tx(q) => write!(f, "transmit queue {q}"),
        }
    }
}

/// What the model found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// An address that no mapping covers.
    Unmapped,
    /// A descriptor ring where packet buffers are, or the other way round.
    WrongMemory,
    /// The bytes run out of their buffer.
    OutOfSlot,
    /// The buffer was not lent to the device that way.
    NotLent,
    /// A descriptor that breaks the format.
    BadDescriptor(&'static str),
    /// Something that the chip can do and this model cannot.
    NotModelled(&'static str),
    /// DMA was due while bus mastering was off.
    BusMasterOff,
    /// The wire failed.
    Wire(String),
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultKind::Unmapped => f.write_str("DMA to an address that is not mapped"),
            FaultKind::WrongMemory => f.write_str("DMA to memory of the wrong kind"),
            FaultKind::OutOfSlot => f.write_str("DMA beyond the end of a buffer"),
            FaultKind::NotLent => f.write_str("DMA to a buffer that was not given to the device"),
            FaultKind::BadDescriptor(why) => write!(f, "bad descriptor: {why}"),
            FaultKind::NotModelled(what) => write!(f, "{what} is not modelled"),
            FaultKind::BusMasterOff => f.write_str("DMA while bus mastering is off"),
            FaultKind::Wire(why) => write!(f, "wire failed: {why}"),
        }
    }
}

impl From<ClaimError> for FaultKind {
    fn from(e: ClaimError) -> Self {
        match e {
            ClaimError::OutOfSlot => FaultKind::OutOfSlot,
            ClaimError::NotLent => FaultKind::NotLent,
        }
    }
}

/// One fault. The queue it names has stopped, as a real one does after a failed DMA, until it is
/// disabled and enabled again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The queue at work.
    pub queue: Option<QueueId>,
    /// The descriptor at work.
    pub descriptor: Option<u32>,
    /// The device address.
    pub address: Option<u64>,
    /// What happened.
    pub what: FaultKind,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if let Some(q) = self.queue {
            write!(f, ", {q}")?;
        }
        if let Some(d) = self.descriptor {
            write!(f, ", descriptor {d}")?;
        }
        if let Some(a) = self.address {
            write!(f, ", address {a:#x}")?;
        }
        Ok(())
    }
}

/// A misbehaviour that the model can be told to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Inject {
    /// Write-backs of both directions are held and come in bursts.
    Late,
    /// Frames are lost in the receive FIFO (counted in MPC).
    Overrun,
    /// Frames arrive with a wrong CRC: dropped and counted, or delivered when FCTRL.SBP is set.
    Damage,
    /// Damaged frames are delivered with the RXE bit though FCTRL.SBP is clear.
    Rxe,
    /// Write-backs bear a length of zero or beyond the buffer.
    Length,
    /// Chains that never end: the EOP bit is missing.
    NoEop,
    /// The link goes down for some steps.
    Flap,
    /// A transmit queue stops fetching.
    StuckTx,
    /// A transmit descriptor is reported done while the model is still at its buffer's bytes.
    EarlyDone,
    /// A receive buffer's address is garbled on its way, so that the DMA misses.
    Stray,
    /// The card is pulled: every read is all ones from then on.
    Removal,
}

/// Names, variants and how often each strikes by default, per event.
const INJECTS: [(&str, Inject, f64); 11] = [
    ("late", Inject::Late, 0.5),
    ("overrun", Inject::Overrun, 0.01),
    ("damage", Inject::Damage, 0.01),
    ("rxe", Inject::Rxe, 0.01),
    ("length", Inject::Length, 0.01),
    ("noeop", Inject::NoEop, 0.001),
    ("flap", Inject::Flap, 0.001),
    ("stucktx", Inject::StuckTx, 0.0001),
    ("earlydone", Inject::EarlyDone, 0.01),
    ("stray", Inject::Stray, 0.0001),
    ("removal", Inject::Removal, 0.00001),
];

impl Inject {
    /// Its name in a spec string.
    pub fn name(self) -> &'static str {
        INJECTS.iter().find(|(_, i, _)| *i == self).map_or("", |(n, _, _)| n)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Inject> {
        INJECTS.iter().map(|(_, i, _)| *i)
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// Which misbehaviours are on, and how often each strikes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FaultPlan {
    /// Thresholds of a 32-bit random number, by [`Inject`].
    odds: [u32; INJECTS.len()],
}

impl FaultPlan {
    /// Parses `name[@probability],...`.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown name or a number that is no probability.
    pub fn parse(text: &str) -> Result<Self> {
        let mut plan = Self::default();
        for part in text.split(',').filter(|p| !p.is_empty()) {
            let (name, odds) = part.split_once('@').unwrap_or((part, ""));
            let Some((_, inject, default)) = INJECTS.iter().find(|(n, _, _)| *n == name) else {
                let names: Vec<_> = INJECTS.iter().map(|(n, _, _)| *n).collect();
                return Err(Error::config("faults", name, names.join(", ")));
            };
            let odds = match odds {
                "" => *default,
                text => text
                    .parse()
                    .ok()
                    .filter(|p| (0.0..=1.0).contains(p))
                    .ok_or_else(|| Error::config("faults", part, "name@number from 0 to 1"))?,
            };
            plan.set(*inject, odds);
        }
        Ok(plan)
    }

    /// Makes `inject` strike with this probability at each event it applies to; 0 is off.
    pub fn set(&mut self, inject: Inject, probability: f64) {
        self.odds[inject.index()] =
            (probability.clamp(0.0, 1.0) * f64::from(u32::MAX)).round() as u32;
    }

    /// Whether any is on.
    pub fn any(&self) -> bool {
        self.odds != [0; INJECTS.len()]
    }

    /// Whether `inject` is on at all.
    pub fn has(&self, inject: Inject) -> bool {
        self.odds[inject.index()] != 0
    }

    /// Throws the dice for `inject`.
    #[inline]
    pub(super) fn strikes(&self, inject: Inject, random: &mut Random) -> bool {
        let odds = self.odds[inject.index()];
        odds != 0 && random.next() <= odds
    }
}

/// A small generator of our own (xorshift64*), so that a seed means the same run for ever.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        // One round of SplitMix64 spreads small seeds and never yields the fixed point 0 twice.
        let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((z ^ z >> 31) | 1)
    }

    /// 32 random bits.
    #[inline]
    pub(super) fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// A number below `n` (which is not 0).
    #[inline]
    pub(super) fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(n)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_parse_by_name_and_rate() {
        let plan = FaultPlan::parse("late@1,overrun").unwrap();
        let mut random = Random::new(3);
        assert!((0..100).all(|_| plan.strikes(Inject::Late, &mut random)));
        let hits = (0..100_000).filter(|_| plan.strikes(Inject::Overrun, &mut random)).count();
        assert!((800..1200).contains(&hits), "{hits}");
        assert!(!plan.strikes(Inject::Flap, &mut random) && !plan.has(Inject::Flap));
        assert!(FaultPlan::parse("").unwrap() == FaultPlan::default() && plan.any());
        let text = FaultPlan::parse("sunspots").unwrap_err().to_string();
        assert!(text.contains("sunspots") && text.contains("overrun"), "{text}");
        assert!(FaultPlan::parse("late@2").is_err() && FaultPlan::parse("late@x").is_err());
        for (name, inject, _) in INJECTS {
            assert_eq!(inject.name(), name);
        }
        assert_eq!(
            Inject::all().map(Inject::index).collect::<Vec<_>>(),
            (0..11).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_seed_means_the_same_run() {
        let draw = |seed| {
            let mut r = Random::new(seed);
            (0..8).map(|_| r.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(5), draw(5));
        assert_ne!(draw(5), draw(6));
        assert_ne!(draw(0), vec![0; 8]);
    }
}
