//! The software NIC's view of memory: device addresses that are nobody's pointers.
//!
//! Every chunk gets its own window, 4 MiB from the next and followed by a guard gap, in an order
//! that makes neighbouring chunks of one pool strangers for the device. Nothing is identity-mapped
//! and no window is given out twice, so an address that is wrong, stale or mixed up meets a hole.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::mem::{Backing, CHUNK, DmaMap, DmaTarget, Iova, Mapping};

/// Distance of two windows.
const WINDOW_SHIFT: u32 = 22;
/// Windows there are. A power of two.
const WINDOWS: usize = 1 << 14;
/// Device address of window 0: beyond 32 bits, so that a lost upper half is noticed.
const BASE: u64 = 0x52 << 32;
/// Odd, so that multiplying by it permutes the windows.
const SCATTER: usize = 0x2c1b;

/// One reachable target.
#[derive(Debug)]
struct Mapped {
    target: DmaTarget,
    iovas: Vec<Iova>,
}

impl Mapped {
    /// Whether anybody but this map still knows the memory.
    fn in_use(&self) -> bool {
        match &self.target {
            DmaTarget::Rings(b) => Arc::strong_count(b) > 1,
            DmaTarget::Slots(s) => Arc::strong_count(s) > 1,
        }
    }

    fn is(&self, other: &DmaTarget) -> bool {
        match (&self.target, other) {
            (DmaTarget::Rings(a), DmaTarget::Rings(b)) => Arc::ptr_eq(a, b),
            (DmaTarget::Slots(a), DmaTarget::Slots(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// What a window leads to.
#[derive(Debug, Clone)]
struct Entry {
    mapped: Arc<Mapped>,
    chunk: u32,
}

/// A translated device address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) target: &'a DmaTarget,
    /// Number of the chunk within the target.
    pub(super) chunk: u32,
    /// Bytes from the start of the chunk.
    pub(super) offset: u32,
}

/// A copy of the window table, which the engine translates with and which no lock guards.
#[derive(Debug, Default)]
pub(super) struct Windows {
    table: Vec<Option<Entry>>,
}

impl Windows {
    /// Where `iova` leads; `None` when that is nowhere.
    #[inline]
    pub(super) fn translate(&self, iova: u64) -> Option<Place<'_>> {
        let from_base = iova.wrapping_sub(BASE);
        let offset = (from_base & ((1 << WINDOW_SHIFT) - 1)) as u32;
        let entry = self.table.get((from_base >> WINDOW_SHIFT) as usize)?.as_ref()?;
        ((offset as usize) < CHUNK).then_some(Place {
            target: &entry.mapped.target,
            chunk: entry.chunk,
            offset,
        })
    }
}

#[derive(Debug, Default)]
struct State {
    live: Vec<Arc<Mapped>>,
    /// How many windows were ever given out.
    given: usize,
}

/// The software NIC's [`DmaMap`].
#[derive(Debug)]
pub struct SimIommu {
    state: Mutex<State>,
    /// Counts changes, so that the engine knows when its copy is stale.
    generation: AtomicU32,
    first: usize,
}

impl SimIommu {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        let first = (seed as usize).wrapping_mul(0x9e37) % WINDOWS;
        Arc::new(Self { state: Mutex::default(), generation: AtomicU32::new(1), first })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the changes of the map.
    #[inline]
    pub(super) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The table as it is now.
    pub(super) fn windows(&self) -> Windows {
        let state = self.state();
        let mut table = vec![None; WINDOWS];
        for mapped in &state.live {
            for (chunk, iova) in (0u32..).zip(&mapped.iovas) {
                let window = (iova.0 - BASE) >> WINDOW_SHIFT;
                table[window as usize] = Some(Entry { mapped: mapped.clone(), chunk });
            }
        }
        Windows { table }
    }

    /// Forgets targets that nobody else knows any more.
    fn sweep(state: &mut State) {
        state.live.retain(|m| m.in_use());
    }

    /// Takes the mapping away that holds `iova`, as an IOMMU does when the operating system
    /// unmaps memory behind a driver's back. Returns whether there was one.
    pub fn revoke(&self, iova: Iova) -> bool {
        let mut state = self.state();
        let holds =
            |m: &Mapped| m.iovas.iter().any(|start| iova.0.wrapping_sub(start.0) < CHUNK as u64);
        let before = state.live.len();
        state.live.retain(|m| !holds(m));
        let found = state.live.len() < before;
        drop(state);
        self.changed();
        found
    }

    /// Takes away all packet buffers, but leaves the rings.
    pub fn revoke_buffers(&self) {
        self.state().live.retain(|m| matches!(m.target, DmaTarget::Rings(_)));
        self.changed();
    }

    /// Chunks that the device can reach now.
    pub fn reachable(&self) -> usize {
        let mut state = self.state();
        Self::sweep(&mut state);
        state.live.iter().map(|m| m.iovas.len()).sum()
    }
}

impl DmaMap for SimIommu {
    fn map(&self, target: DmaTarget) -> Result<Vec<Iova>> {
        let mut state = self.state();
        Self::sweep(&mut state);
        if let Some(known) = state.live.iter().find(|m| m.is(&target)) {
            return Ok(known.iovas.clone());
        }
        let chunks = target.mapping().len() / CHUNK;
        if chunks > WINDOWS {
            return Err(Error::config(
                "memory of one software NIC",
                format!("{} MiB", target.mapping().len() >> 20),
                format!("{} MiB", (WINDOWS * CHUNK) >> 20),
            ));
        }
        let mut taken = vec![false; WINDOWS];
        for iova in state.live.iter().flat_map(|m| &m.iovas) {
            taken[((iova.0 - BASE) >> WINDOW_SHIFT) as usize] = true;
        }
        let mut iovas = Vec::with_capacity(chunks);
        // One lap over all windows: what is live stays where it is.
        for _ in 0..WINDOWS {
            if iovas.len() == chunks {
                break;
            }
            let window = (self.first + state.given.wrapping_mul(SCATTER)) % WINDOWS;
            state.given += 1;
            if !taken[window] {
                iovas.push(Iova(BASE + ((window as u64) << WINDOW_SHIFT)));
            }
        }
        if iovas.len() < chunks {
            return Err(Error::config(
                "memory of one software NIC",
                format!("{} MiB more", target.mapping().len() >> 20),
                format!("{} MiB in all", (WINDOWS * CHUNK) >> 20),
            ));
        }
        state.live.push(Arc::new(Mapped { target, iovas: iovas.clone() }));
        drop(state);
        self.changed();
        Ok(iovas)
    }

    fn ring_backing(&self) -> Backing {
        Backing::Auto
    }

    fn accepts(&self, _: &Mapping) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::DmaSpace;
    use crate::pool::{Mempool, PoolConfig};

    #[test]
    fn windows_are_scattered_guarded_and_never_identical_to_pointers() {
        let iommu = SimIommu::new(7);
        let pool = Mempool::new(&PoolConfig { count: 4000, ..PoolConfig::default() }).unwrap();
        let slots = DmaTarget::Slots(pool.mem().clone());
        let iovas = iommu.map(slots.clone()).unwrap();
        assert!(iovas.len() > 3);
        assert_eq!(iommu.map(slots).unwrap(), iovas, "mapping twice changes nothing");
        let windows = iommu.windows();
        for (n, iova) in iovas.iter().enumerate() {
            let pointer = pool.mem().mapping().as_ptr() as u64 + (n * CHUNK) as u64;
            assert_ne!(iova.0, pointer);
            assert!(iova.0 > u64::from(u32::MAX));
            for other in iovas.iter().filter(|o| *o != iova) {
                assert!(other.0.abs_diff(iova.0) >= 4 << 20);
            }
            let place = windows.translate(iova.0 + 77).unwrap();
            assert_eq!((place.chunk as usize, place.offset), (n, 77));
            assert!(windows.translate(iova.0 + CHUNK as u64 - 1).is_some());
            assert!(windows.translate(iova.0 + CHUNK as u64).is_none(), "guard gap");
            assert!(windows.translate(pointer).is_none());
        }
        assert!(windows.translate(0).is_none() && windows.translate(u64::MAX).is_none());
    }

    #[test]
    fn memory_that_nobody_knows_any_more_is_let_go() {
        let iommu = SimIommu::new(1);
        let space = DmaSpace::new(iommu.clone());
        let rings = space.rings(&[512, 512]).unwrap();
        assert_eq!(iommu.reachable(), 1);
        let first = rings[0].iova();
        drop(rings);
        assert_eq!(iommu.reachable(), 0);
        let again = space.rings(&[512]).unwrap();
        assert_ne!(again[0].iova(), first, "a stale address leads nowhere");
        assert!(iommu.windows().translate(first.0).is_none());
        assert!(iommu.revoke(again[0].iova()) && !iommu.revoke(again[0].iova()));
        assert!(iommu.windows().translate(again[0].iova().0).is_none());
    }
}
