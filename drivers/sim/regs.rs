//! The register file: storage and access modes, from the chip's table.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::mmio::{Access, RegMeta, Register};

/// Low and high half of a counter that is wider than a register.
pub(super) type Pair = (&'static RegMeta, &'static RegMeta);

/// What a chip's table says about each word of its BAR. Made once for each chip.
pub(super) struct Map {
    /// Bytes of the BAR.
    pub(super) len: u32,
    /// By word: index into `lines` plus one; 0 where the table has nothing.
    line: Box<[u16]>,
    /// By word: where its value lives; differs for second addresses of a register.
    home: Box<[u16]>,
    lines: Vec<&'static RegMeta>,
    /// By line: the bits that software can write.
    writable: Vec<u32>,
    /// By line: what is written has no effect.
    storage: Vec<bool>,
    pairs: &'static [Pair],
    /// Largest value of a pair; it sticks there.
    wide_max: u64,
}

/// What is known of registers beyond a table's lines.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Bits that software can write.
    pub(super) writable: Vec<(&'static str, u32)>,
    /// Registers where those are all fields that the table names.
    pub(super) strict: &'static [&'static str],
    /// Registers that keep what is written, and nothing comes of it.
    pub(super) storage: Vec<&'static str>,
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Map({} lines)", self.lines.len())
    }
}

impl Map {
    /// The map of a table. Element `n` of an alias is element `n` of what it stands for.
    pub(super) fn new(
        len: u32,
        table: impl Iterator<Item = &'static RegMeta>,
        aliases: &[(&str, &str)],
        pairs: &'static [Pair],
        wide_max: u64,
    ) -> Self {
        let lines: Vec<_> = table.collect();
        let size = (len / 4) as usize;
        let mut line = vec![0u16; size].into_boxed_slice();
        let mut home: Box<[u16]> = (0..size).map(|w| w as u16).collect();
        let words = |m: &'static RegMeta| (0..m.count).map(|n| (m.offset_of(n) / 4) as usize);
        for (n, meta) in (1u16..).zip(&lines) {
            for word in words(meta).filter(|w| *w < size) {
                line[word] = n;
            }
        }
        // A later line takes an earlier one's place.
        let find = |name: &str| lines.iter().rev().copied().find(|m| m.name == name);
        for (alias, target) in aliases {
            let (Some(alias), Some(target)) = (find(alias), find(target)) else { continue };
            for (from, to) in words(alias).zip(words(target)) {
                home[from] = to as u16;
            }
        }
        let (writable, storage) = (vec![u32::MAX; lines.len()], vec![false; lines.len()]);
        Self { len, line, home, lines, writable, storage, pairs, wide_max }
    }

    /// The same map, minding the notes.
    pub(super) fn noting(mut self, notes: &Notes) -> Self {
        for (n, meta) in self.lines.iter().enumerate() {
            let listed = notes.writable.iter().find(|(name, _)| *name == meta.name);
            self.writable[n] = match listed {
                Some((_, bits)) => *bits,
                None if notes.strict.contains(&meta.name) => {
                    meta.fields.iter().fold(0, |bits, field| bits | field.mask())
                }
                None => u32::MAX,
            };
            self.storage[n] = notes.storage.contains(&meta.name);
        }
        self
    }

    fn line_of(&self, offset: u32) -> Option<usize> {
        usize::from(*self.line.get((offset / 4) as usize)?).checked_sub(1)
    }

    /// The bits of the register at `offset` that software can write.
    fn writable(&self, offset: u32) -> u32 {
        self.line_of(offset).map_or(u32::MAX, |n| self.writable[n])
    }

    /// The register at `offset`, if what is written there has no effect.
    pub(super) fn without_effect(&self, offset: u32) -> Option<&'static RegMeta> {
        let n = self.line_of(offset)?;
        self.storage[n].then_some(self.lines[n])
    }

    /// The table's line for a BAR offset.
    pub(super) fn meta(&self, offset: u32) -> Option<&'static RegMeta> {
        self.lines.get(self.line_of(offset)?).copied()
    }

    /// Offset at which the register at `offset` is stored, for those with two addresses.
    pub(super) fn home(&self, offset: u32) -> u32 {
        self.home.get((offset / 4) as usize).map_or(offset, |w| u32::from(*w) * 4)
    }
}

/// One such counter.
#[derive(Debug, Default)]
struct Wide {
    value: AtomicU64,
    /// What the last read of the low half saw: reading the high half takes that much away, so
    /// that nothing counted in between is lost.
    seen: AtomicU64,
    /// The low half was read since. If not, the high half takes everything away.
    latched: AtomicBool,
}

/// The registers of one NIC.
#[derive(Debug)]
pub(super) struct RegFile {
    pub(super) map: &'static Map,
    words: Box<[AtomicU32]>,
    /// Pair counters, `MAX_PAIRS` for each line of `map.pairs`.
    wide: Box<[Wide]>,
}

/// Most elements of a pair's array.
const MAX_PAIRS: usize = 16;

impl RegFile {
    pub(super) fn new(map: &'static Map) -> Self {
        let words = (0..map.len / 4).map(|_| AtomicU32::new(0)).collect();
        let wide = (0..map.pairs.len() * MAX_PAIRS).map(|_| Wide::default()).collect();
        let file = Self { map, words, wide };
        file.reset();
        file
    }

    /// Every register as after a reset.
    pub(super) fn reset(&self) {
        for meta in &self.map.lines {
            for n in 0..meta.count {
                if let Some(word) = self.words.get((meta.offset_of(n) / 4) as usize) {
                    word.store(meta.reset, Ordering::Relaxed);
                }
            }
        }
        for wide in &self.wide {
            wide.value.store(0, Ordering::Relaxed);
            wide.latched.store(false, Ordering::Relaxed);
        }
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

    /// Clears and sets bits of the stored value, whatever the access mode.
    pub(super) fn change(&self, offset: u32, clear: u32, set: u32) {
        if let Some(word) = self.word(offset) {
            let change = |old: u32| Some(old & !clear | set);
            let _always = word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, change);
        }
    }

    /// Element `n` of a register, without side effects.
    #[inline]
    pub(super) fn get<R: Register>(&self, n: u32) -> R {
        R::from_raw(self.peek(R::META.offset_of(n)))
    }

    /// All elements of a register, without side effects.
    pub(super) fn all<R: Register>(&self) -> impl Iterator<Item = u32> {
        (0..R::META.count).map(|n| self.peek(R::META.offset_of(n)))
    }

    /// Replaces element `n` of a register.
    #[inline]
    pub(super) fn set<R: Register>(&self, n: u32, value: R) {
        self.poke(R::META.offset_of(n), value.raw());
    }

    /// Reads as software does. `offset` is a home offset inside the BAR.
    pub(super) fn read(&self, offset: u32) -> u32 {
        let Some(meta) = self.map.meta(offset) else { return 0 };
        if let Some((wide, high)) = self.wide(offset) {
            return if high {
                let seen = wide.seen.load(Ordering::Relaxed);
                if wide.latched.swap(false, Ordering::Relaxed) {
                    wide.value.fetch_sub(seen, Ordering::Relaxed);
                    return (seen >> 32) as u32;
                }
                (wide.value.swap(0, Ordering::Relaxed) >> 32) as u32
            } else {
                let value = wide.value.load(Ordering::Relaxed);
                wide.seen.store(value, Ordering::Relaxed);
                wide.latched.store(true, Ordering::Relaxed);
                value as u32
            };
        }
        match (meta.access, self.word(offset)) {
            (Access::Wo, _) | (_, None) => 0,
            (Access::Rc, Some(word)) => word.swap(0, Ordering::AcqRel),
            (_, Some(word)) => word.load(Ordering::Acquire),
        }
    }

    /// What a write of `value` leaves in the register at `offset`, were it a plain one: bits that
    /// software cannot write stay.
    pub(super) fn merge(&self, offset: u32, value: u32) -> u32 {
        let writable = self.map.writable(offset);
        if writable == u32::MAX { value } else { value & writable | self.peek(offset) & !writable }
    }

    /// Writes as software does. `offset` is a home offset inside the BAR.
    pub(super) fn write(&self, offset: u32, value: u32) {
        let (Some(meta), Some(word)) = (self.map.meta(offset), self.word(offset)) else { return };
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
        for (i, (low, high)) in self.map.pairs.iter().enumerate() {
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
        self.count_to::<R>(n, by, u32::MAX);
    }

    /// The same for a counter that sticks at `max`.
    pub(super) fn count_to<R: Register>(&self, n: u32, by: u64, max: u32) {
        self.count_at(R::META.offset_of(n), by, max);
    }

    /// Adds to the counter `R` and to those that follow it word by word.
    pub(super) fn count_row<R: Register, const N: usize>(&self, by: [u64; N]) {
        for (offset, by) in (R::META.offset..).step_by(4).zip(by) {
            self.count_at(offset, by, u32::MAX);
        }
    }

    fn count_at(&self, offset: u32, by: u64, max: u32) {
        let Some(word) = self.word(offset).filter(|_| by > 0) else { return };
        let by = u32::try_from(by).unwrap_or(u32::MAX);
        let add = |old: u32| Some(old.saturating_add(by).min(max));
        let _always = word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, add);
    }

    /// Adds to the pair counter whose low half is element `n` of `R`.
    pub(super) fn count_wide<R: Register>(&self, n: u32, by: u64) {
        let pair = self.map.pairs.iter().position(|(low, _)| low.offset == R::META.offset);
        let wide = pair.and_then(|i| self.wide.get(i * MAX_PAIRS + n as usize));
        let Some(wide) = wide.filter(|_| by > 0) else { return };
        let add = |old: u64| Some(old.saturating_add(by).min(self.map.wide_max));
        let _always = wide.value.fetch_update(Ordering::AcqRel, Ordering::Relaxed, add);
    }
}

#[cfg(test)]
mod tests {
    use super::super::chip::{Chip, I82599};
    use super::*;
    use crate::drivers::ixgbe::regs::{
        self, CRCERRS, CTRL, EICR, EIMS, GORCH, GORCL, GPRC, LINKS, MAXFRS, QBRC_H, QBRC_L,
    };

    fn offset<R: Register>(_: R) -> u32 {
        R::META.offset
    }

    #[test]
    fn access_modes() {
        let f = RegFile::new(I82599.map());
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
        let f = RegFile::new(I82599.map());
        f.count::<GPRC>(0, 7);
        f.write(offset(GPRC(0)), 99);
        assert_eq!((f.read(offset(GPRC(0))), f.read(offset(GPRC(0)))), (7, 0));
        f.count::<CRCERRS>(0, u64::from(u32::MAX) - 1);
        f.count::<CRCERRS>(0, 5);
        assert_eq!(f.read(offset(CRCERRS(0))), u32::MAX);
    }

    #[test]
    fn pairs_hold_36_bits_and_lose_nothing_between_the_halves() {
        let f = RegFile::new(I82599.map());
        let (low, high) = (offset(GORCL(0)), offset(GORCH(0)));
        f.count_wide::<GORCL>(0, (3 << 32) + 17);
        assert_eq!(f.read(low), 17);
        f.count_wide::<GORCL>(0, 1000);
        assert_eq!(f.read(high), 3);
        assert_eq!((f.read(low), f.read(high)), (1000, 0));
        assert_eq!((f.read(low), f.read(high)), (0, 0));
        f.count_wide::<GORCL>(0, (5 << 32) + 1);
        assert_eq!((f.read(high), f.read(low)), (5, 0), "the high half alone takes both");
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
        let map = I82599.map();
        assert_eq!(map.home(MRQC_ALIAS::META.offset), MRQC::META.offset);
        assert_eq!(map.home(RAL_ALIAS::META.offset_of(15)), RAL::META.offset_of(15));
        assert_eq!(map.home(RAL::META.offset), RAL::META.offset);
    }
}
