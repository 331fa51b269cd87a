//! For the drivers' tests: a register file with just enough life for a driver to come up, a log of
//! all writes, and what can go wrong with either family. What a chip does by itself is a [`Model`].

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::mem::{Backing, CHUNK, DmaMap, DmaTarget, Iova, Mapping};
use crate::mmio::{Access, Bar, Doorbell, Field, RegMeta, Register};
use crate::pool::{Mempool, PoolConfig};
use crate::port::{Host, Line, MacAddr};

pub(crate) const MAC: MacAddr = MacAddr([0x02, 0x1b, 0x21, 1, 2, 3]);

/// One access, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Write(u32, u32),
    BusMaster(bool),
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trouble {
    /// All ones from this access on.
    pub(crate) gone_after: Option<u64>,
    /// All ones for this long after a reset.
    pub(crate) mute_after_reset: Duration,
    /// These bits of this offset never change from what they are.
    pub(crate) stuck: Option<(u32, u32)>,
    /// These bits of this offset read so, whatever was written.
    pub(crate) reads: Option<(u32, u32, u32)>,
    pub(crate) bus_master_stuck: bool,
}

/// What a chip does when it is reset, written and read.
pub(crate) trait Model: Debug + Default + Send + 'static {
    /// Every register there is.
    fn table() -> Vec<&'static RegMeta>;
    /// After all registers got their reset values.
    fn reset(&mut self, words: &mut Words);
    /// What somebody left running.
    fn left(&mut self, words: &mut Words);
    /// After a write took effect. True: the chip is to be reset.
    fn written(&mut self, words: &mut Words, trouble: &Trouble, offset: u32, value: u32) -> bool;
    /// After a read.
    fn was_read(&mut self, _words: &mut Words, _offset: u32) {}
    /// Whether a driver still holds what it must give back whenever it returns.
    fn held(&self, _words: &mut Words) -> bool {
        false
    }
}

/// Bytes of registers, of both families.
const BAR_LEN: u32 = 0x2_0000;

/// The register file.
#[derive(Debug)]
pub(crate) struct Words(Vec<u32>);

impl Words {
    pub(crate) fn at(&mut self, offset: u32) -> &mut u32 {
        &mut self.0[(offset / 4) as usize]
    }

    pub(crate) fn set<R: Register>(&mut self, value: R) {
        *self.at(R::META.offset) = value.raw();
    }

    pub(crate) fn get<R: Register>(&mut self) -> R {
        R::from_raw(*self.at(R::META.offset))
    }
}

#[derive(Debug)]
pub(crate) struct State<M> {
    words: Words,
    /// Which words clear when they are read.
    clears: Vec<bool>,
    pub(crate) log: Vec<Event>,
    /// Offsets of writes while it answered all ones.
    pub(crate) lost: Vec<u32>,
    now: Duration,
    mute_until: Duration,
    pub(crate) accesses: u64,
    pub(crate) trouble: Trouble,
    pub(crate) bus_master: bool,
    pub(crate) model: M,
}

#[derive(Debug)]
pub(crate) struct Fake<M>(Arc<Mutex<State<M>>>);

impl<M> Clone for Fake<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Model> Fake<M> {
    pub(crate) fn new() -> Self {
        let mut clears = vec![false; (BAR_LEN / 4) as usize];
        for r in M::table().iter().filter(|r| r.access == Access::Rc) {
            for n in 0..r.count {
                clears[(r.offset_of(n) / 4) as usize] = true;
            }
        }
        let mut state = State {
            words: Words(vec![0; clears.len()]),
            clears,
            log: Vec::new(),
            lost: Vec::new(),
            now: Duration::ZERO,
            mute_until: Duration::ZERO,
            accesses: 0,
            trouble: Trouble::default(),
            // Somebody left it running.
            bus_master: true,
            model: M::default(),
        };
        state.reset();
        state.model.left(&mut state.words);
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State<M>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Without being seen.
    pub(crate) fn poke(&self, at: u32, value: u32) {
        *self.state().words.at(at) = value;
    }

    pub(crate) fn peek<R: Register>(&self, n: u32) -> R {
        R::from_raw(*self.state().words.at(R::META.offset_of(n)))
    }

    pub(crate) fn trouble(&self, change: impl FnOnce(&mut Trouble)) {
        change(&mut self.state().trouble);
    }

    pub(crate) fn model(&self, change: impl FnOnce(&mut M)) {
        change(&mut self.state().model);
    }

    /// See [`Model::held`].
    pub(crate) fn held(&self) -> bool {
        let mut guard = self.state();
        let s = &mut *guard;
        s.model.held(&mut s.words)
    }

    pub(crate) fn log(&self) -> Vec<Event> {
        self.state().log.clone()
    }
}

impl<M: Model> State<M> {
    fn reset(&mut self) {
        for r in M::table() {
            for n in 0..r.count {
                *self.words.at(r.offset_of(n)) = r.reset;
            }
        }
        self.model.reset(&mut self.words);
    }

    fn all_ones(&mut self) -> bool {
        self.accesses += 1;
        self.trouble.gone_after.is_some_and(|n| self.accesses > n) || self.now < self.mute_until
    }

    fn write(&mut self, offset: u32, mut value: u32) {
        self.log.push(Event::Write(offset, value));
        if let Some((stuck, bits)) = self.trouble.stuck
            && stuck == offset
        {
            value = (value & !bits) | (*self.words.at(offset) & bits);
        }
        *self.words.at(offset) = value;
        if self.model.written(&mut self.words, &self.trouble, offset, value) {
            self.mute_until = self.now + self.trouble.mute_after_reset;
            self.reset();
        }
    }
}

impl<M: Model> Bar for Fake<M> {
    type Bell = Bell<M>;
    const SOFTWARE: bool = false;

    fn read32(&self, offset: u32) -> u32 {
        let mut guard = self.state();
        let s = &mut *guard;
        if offset >= BAR_LEN || s.all_ones() {
            return u32::MAX;
        }
        let value = *s.words.at(offset);
        if s.clears[(offset / 4) as usize] {
            *s.words.at(offset) = 0;
        }
        s.model.was_read(&mut s.words, offset);
        match s.trouble.reads {
            Some((at, mask, bits)) if at == offset => value & !mask | bits & mask,
            _ => value,
        }
    }

    fn write32(&self, offset: u32, value: u32) {
        let mut s = self.state();
        if s.all_ones() {
            s.lost.push(offset);
        } else if offset < BAR_LEN {
            s.write(offset, value);
        }
    }

    fn doorbell(&self, offset: u32) -> Bell<M> {
        Bell(self.clone(), offset)
    }

    fn now(&self) -> Duration {
        self.state().now
    }

    fn delay(&self, time: Duration) {
        self.state().now += time;
    }

    fn name(&self) -> &str {
        "fake"
    }
}

#[derive(Debug)]
pub(crate) struct Bell<M>(Fake<M>, u32);

impl<M: Model> Doorbell for Bell<M> {
    fn ring(&self, tail: u32) {
        self.0.write32(self.1, tail);
    }
}

#[derive(Debug)]
pub(crate) struct FakeHost<M>(pub(crate) Fake<M>);

impl<M: Model> Host for FakeHost<M> {
    fn set_bus_master(&self, on: bool) -> Result<()> {
        let mut s = self.0.state();
        if s.trouble.bus_master_stuck {
            return Err(Error::State { why: "bus mastering does not change".to_owned() });
        }
        s.bus_master = on;
        s.log.push(Event::BusMaster(on));
        Ok(())
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn line(&self) -> Result<Box<dyn Line>> {
        Err(Error::NoInterrupt { addr: "test".to_owned(), why: "this host has none".to_owned() })
    }

    fn numa_node(&self) -> Option<u32> {
        Some(1)
    }
}

/// Device addresses above 4 GiB, so that a lost upper half shows.
#[derive(Debug, Default)]
pub(crate) struct FarMap(Mutex<Vec<DmaTarget>>);

impl DmaMap for FarMap {
    fn map(&self, target: DmaTarget) -> Result<Vec<Iova>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = all.iter().map(|t| t.mapping().len() / CHUNK).sum::<usize>();
        let n = target.mapping().len() / CHUNK;
        all.push(target);
        Ok((first..first + n).map(|i| Iova(0x77_0000_0000 + (i * 2 * CHUNK) as u64)).collect())
    }

    fn ring_backing(&self) -> Backing {
        Backing::Heap
    }

    fn accepts(&self, _: &Mapping) -> Result<()> {
        Ok(())
    }
}

pub(crate) fn pool() -> Mempool {
    let cfg = PoolConfig { count: 1024, backing: Backing::Heap, ..PoolConfig::default() };
    Mempool::new(&cfg).unwrap()
}

/// Buffers that can be had.
pub(crate) fn free(pool: &Mempool) -> usize {
    let mut cache = pool.cache();
    let all: Vec<_> = std::iter::from_fn(|| cache.alloc()).collect();
    all.len()
}

/// Position of the first write to element `n` of `R` that satisfies `test`.
#[track_caller]
pub(crate) fn when<R: Register>(log: &[Event], n: u32, test: impl Fn(R) -> bool) -> usize {
    let offset = R::META.offset_of(n);
    log.iter()
        .position(|e| matches!(e, Event::Write(o, v) if *o == offset && test(R::from_raw(*v))))
        .unwrap_or_else(|| panic!("{}[{n}] was never written so", R::META.name))
}

#[track_caller]
pub(crate) fn sets<R: Register>(log: &[Event], n: u32, field: Field) -> usize {
    when::<R>(log, n, |r| r.has(field))
}

#[track_caller]
pub(crate) fn bus(log: &[Event], on: bool) -> usize {
    log.iter().position(|e| *e == Event::BusMaster(on)).expect("bus master was never set so")
}

#[track_caller]
pub(crate) fn ascending(steps: &[(&str, usize)]) {
    for pair in steps.windows(2) {
        assert!(pair[0].1 < pair[1].1, "{} comes after {}", pair[0].0, pair[1].0);
    }
}
