//! The register file: storage and access modes, from the chip's table.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::drivers::ixgbe::regs;
use crate::mmio::{Access, RegMeta, Register};

/// 32-bit words of the BAR.
pub(super) const WORDS: usize = (regs::BAR_LEN / 4) as usize;

/// What the table says about each word of the BAR.
struct Map {
    /// By word: index into `lines` plus one; 0 where the table has nothing.
    line: Box<[u16]>,
    /// By word: where its value lives; differs for second addresses of a register.
    home: Box<[u16]>,
    lines: Vec<&'static RegMeta>,
}

fn map() -> &'static Map {
    static MAP: OnceLock<Map> = OnceLock::new();
    MAP.get_or_init(|| {
        let lines: Vec<_> = regs::table().collect();
        let mut line = vec![0u16; WORDS].into_boxed_slice();
        let mut home: Box<[u16]> = (0..WORDS).map(|w| w as u16).collect();
        let words = |m: &'static RegMeta| (0..m.count).map(|n| (m.offset_of(n) / 4) as usize);
        for (n, meta) in (1u16..).zip(&lines) {
            for word in words(meta).filter(|w| *w < WORDS) {
                line[word] = n;
            }
        }
        let find = |name: &str| lines.iter().copied().find(|m| m.name == name);
        for (alias, target) in regs::ALIASES {
            let (Some(alias), Some(target)) = (find(alias), find(target)) else { continue };
            for (from, to) in words(alias).zip(words(target)) {
                home[from] = to as u16;
            }
        }
        Map { line, home, lines }
    })
}

/// Byte counters of 36 bits in a pair of registers: offsets of the low halves, how many, and the
/// distances of two pairs and of a pair's halves.
const PAIRS: [(&RegMeta, &RegMeta); 8] = [
    (&regs::GORCL::META, &regs::GORCH::META),
    (&regs::GOTCL::META, &regs::GOTCH::META),
    (&regs::TORL::META, &regs::TORH::META),
    (&regs::RXNFGBCL::META, &regs::RXNFGBCH::META),
    (&regs::RXDGBCL::META, &regs::RXDGBCH::META),
    (&regs::TXDGBCL::META, &regs::TXDGBCH::META),
    (&regs::QBRC_L::META, &regs::QBRC_H::META),
    (&regs::QBTC_L::META, &regs::QBTC_H::META),
];

/// Largest value of a 36-bit counter; it sticks there.
const WIDE_MAX: u64 = (1 << 36) - 1;

/// One 36-bit counter.
#[derive(Debug, Default)]
struct Wide {
    value: AtomicU64,
    /// What the last read of the low half saw: reading the high half takes that much away, so
    /// that nothing counted in between is lost.
    seen: AtomicU64,
}

/// The registers of one NIC.
#[derive(Debug)]
pub(super) struct RegFile {
    words: Box<[AtomicU32]>,
    /// Pair counters, `MAX_PAIRS` for each line of [`PAIRS`].
    wide: Box<[Wide]>,
}

/// Most elements of a pair's array.
const MAX_PAIRS: usize = 16;

impl RegFile {
    pub(super) fn new() -> Self {
        let words = (0..WORDS).map(|_| AtomicU32::new(0)).collect();
        let wide = (0..PAIRS.len() * MAX_PAIRS).map(|_| Wide::default()).collect();
        let file = Self { words, wide };
        file.reset();
        file
    }

    /// Every register as after a reset.
    pub(super) fn reset(&self) {
        for meta in &map().lines {
            for n in 0..meta.count {
                if let Some(word) = self.words.get((meta.offset_of(n) / 4) as usize) {
                    word.store(meta.reset, Ordering::Relaxed);
                }
            }
        }
        for wide in &self.wide {
            wide.value.store(0, Ordering::Relaxed);
            wide.seen.store(0, Ordering::Relaxed);
        }
    }

    /// The table's line for a BAR offset.
    pub(super) fn meta(offset: u32) -> Option<&'static RegMeta> {
        let n = *map().line.get((offset / 4) as usize)?;
        map().lines.get(usize::from(n).checked_sub(1)?).copied()
    }

    /// Offset at which the register at `offset` is stored, for those with two addresses.
    pub(super) fn home(offset: u32) -> u32 {
        map().home.get((offset / 4) as usize).map_or(offset, |w| u32::from(*w) * 4)
    }

    /// The word itself, for tails and heads.
    #[inline(always)]
    pub(super) fn word(&self, offset: u32) -> Option<&AtomicU32> {
        self.words.get((offset / 4) as usize)
    }

    /// The stored value, without side effects; 0 outside the BAR.
    #[inline]
    pub(super) fn peek(&self, offset: u32) -> u32 {
        self.word(offset).map_or(0, |w| w.load(Ordering::Acquire))
    }

    /// Replaces the stored value, whatever the access mode.
    #[inline]
    pub(super) fn poke(&self, offset: u32, value: u32) {
        if let Some(word) = self.word(offset) {
            word.store(value, Ordering::Release);
        }
    }

    /// Element `n` of a register, without side effects.
    #[inline]
    pub(super) fn get<R: Register>(&self, n: u32) -> R {
        R::from_raw(self.peek(R::META.offset_of(n)))
    }

    /// Replaces element `n` of a register.
    #[inline]
    pub(super) fn set<R: Register>(&self, n: u32, value: R) {
        self.poke(R::META.offset_of(n), value.raw());
    }

    /// Reads as software does. `offset` is a home offset inside the BAR.
    pub(super) fn read(&self, offset: u32) -> u32 {
        let Some(meta) = Self::meta(offset) else { return 0 };
        if let Some((wide, high)) = self.wide(offset) {
            return if high {
                let seen = wide.seen.swap(0, Ordering::Relaxed);
                wide.value.fetch_sub(seen, Ordering::Relaxed);
                (seen >> 32) as u32
            } else {
                let value = wide.value.load(Ordering::Relaxed);
                wide.seen.store(value, Ordering::Relaxed);
                value as u32
            };
        }
        match (meta.access, self.word(offset)) {
            (Access::Wo, _) | (_, None) => 0,
            (Access::Rc, Some(word)) => word.swap(0, Ordering::AcqRel),
            (_, Some(word)) => word.load(Ordering::Acquire),
        }
    }

    /// Writes as software does. `offset` is a home offset inside the BAR.
    pub(super) fn write(&self, offset: u32, value: u32) {
        let (Some(meta), Some(word)) = (Self::meta(offset), self.word(offset)) else { return };
        match meta.access {
            Access::Ro | Access::Rc | Access::Wo => {}
            Access::Rw | Access::Sc => word.store(value, Ordering::Release),
            Access::W1c => {
                word.fetch_and(!value, Ordering::AcqRel);
            }
            Access::W1s => {
                word.fetch_or(value, Ordering::AcqRel);
            }
        }
    }

    /// The pair counter behind an offset, and whether it is the high half.
    fn wide(&self, offset: u32) -> Option<(&Wide, bool)> {
        for (i, (low, high)) in PAIRS.iter().enumerate() {
            for (meta, is_high) in [(low, false), (high, true)] {
                let Some(from) = offset.checked_sub(meta.offset) else { continue };
                let n = from.checked_div(meta.stride).unwrap_or(0);
                if meta.offset_of(n) == offset {
                    return Some((self.wide.get(i * MAX_PAIRS + n as usize)?, is_high));
                }
            }
        }
        None
    }

    /// Adds to element `n` of a counter, which sticks at its maximum.
    pub(super) fn count<R: Register>(&self, n: u32, by: u64) {
        let Some(word) = self.word(R::META.offset_of(n)).filter(|_| by > 0) else { return };
        let by = u32::try_from(by).unwrap_or(u32::MAX);
        let add = |old: u32| Some(old.saturating_add(by));
        let _always = word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, add);
    }

    /// Adds to the 36-bit counter whose low half is element `n` of `R`.
    pub(super) fn count_wide<R: Register>(&self, n: u32, by: u64) {
        let pair = PAIRS.iter().position(|(low, _)| low.offset == R::META.offset);
        let wide = pair.and_then(|i| self.wide.get(i * MAX_PAIRS + n as usize));
        let Some(wide) = wide.filter(|_| by > 0) else { return };
        let add = |old: u64| Some(old.saturating_add(by).min(WIDE_MAX));
        let _always = wide.value.fetch_update(Ordering::AcqRel, Ordering::Relaxed, add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regs::{CRCERRS, CTRL, EICR, EIMS, GORCH, GORCL, GPRC, LINKS, MAXFRS, QBRC_H, QBRC_L};

    fn offset<R: Register>(_: R) -> u32 {
        R::META.offset
    }

    #[test]
    fn access_modes() {
        let f = RegFile::new();
        let max = offset(MAXFRS(0));
        assert_eq!(f.read(max), MAXFRS::META.reset);
        f.write(max, 0x2400_0000);
        assert_eq!(f.read(max), 0x2400_0000);
        f.poke(offset(LINKS(0)), 5);
        f.write(offset(LINKS(0)), 9);
        assert_eq!(f.read(offset(LINKS(0))), 5, "read-only");
        f.poke(offset(EICR(0)), 0b111);
        f.write(offset(EICR(0)), 0b010);
        assert_eq!(f.peek(offset(EICR(0))), 0b101, "write one to clear");
        f.write(offset(EIMS(0)), 0b1);
        f.write(offset(EIMS(0)), 0b10);
        assert_eq!(f.peek(offset(EIMS(0))), 0b11, "write one to set");
        f.write(offset(CTRL(0)), 4);
        f.reset();
        assert_eq!(f.peek(offset(CTRL(0))), CTRL::META.reset);
        assert_eq!(f.read(0x1fff8), 0, "not in the table");
    }

    #[test]
    fn counters_clear_on_read_and_stick() {
        let f = RegFile::new();
        f.count::<GPRC>(0, 7);
        f.write(offset(GPRC(0)), 99);
        assert_eq!((f.read(offset(GPRC(0))), f.read(offset(GPRC(0)))), (7, 0));
        f.count::<CRCERRS>(0, u64::from(u32::MAX) - 1);
        f.count::<CRCERRS>(0, 5);
        assert_eq!(f.read(offset(CRCERRS(0))), u32::MAX);
    }

    #[test]
    fn pairs_hold_36_bits_and_lose_nothing_between_the_halves() {
        let f = RegFile::new();
        let (low, high) = (offset(GORCL(0)), offset(GORCH(0)));
        f.count_wide::<GORCL>(0, (3 << 32) + 17);
        assert_eq!(f.read(low), 17);
        f.count_wide::<GORCL>(0, 1000);
        assert_eq!(f.read(high), 3);
        assert_eq!((f.read(low), f.read(high)), (1000, 0));
        assert_eq!((f.read(low), f.read(high)), (0, 0));
        f.count_wide::<GORCL>(0, u64::MAX);
        f.count_wide::<GORCL>(0, 1);
        assert_eq!((f.read(low), f.read(high)), (u32::MAX, 15));
        f.count_wide::<QBRC_L>(15, 9);
        assert_eq!(f.read(QBRC_L::META.offset_of(15)), 9);
        assert_eq!(f.read(QBRC_H::META.offset_of(15)), 0);
        assert_eq!(f.read(QBRC_L::META.offset_of(14)), 0);
    }

    #[test]
    fn second_addresses_are_the_same_register() {
        use regs::{MRQC, MRQC_ALIAS, RAL, RAL_ALIAS};
        assert_eq!(RegFile::home(MRQC_ALIAS::META.offset), MRQC::META.offset);
        assert_eq!(RegFile::home(RAL_ALIAS::META.offset_of(15)), RAL::META.offset_of(15));
        assert_eq!(RegFile::home(RAL::META.offset), RAL::META.offset);
    }
}
