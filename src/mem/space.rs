//! A device's address space: which memory it can reach, and at which addresses.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::ring::RingBlock;
use super::{Backing, CHUNK, Iova, MAX_CHUNKS, Mapping, RingMem, SlotMem, bytes_of, chunk_of};
use crate::error::{Error, Result};

/// What is made reachable for a device.
#[derive(Debug, Clone)]
pub enum DmaTarget {
    /// Descriptor rings.
    Rings(Arc<RingBlock>),
    /// Packet buffers.
    Slots(Arc<SlotMem>),
}

impl DmaTarget {
    /// The memory behind it.
    pub fn mapping(&self) -> &Mapping {
        match self {
            DmaTarget::Rings(b) => b.mapping(),
            DmaTarget::Slots(s) => s.mapping(),
        }
    }
}

/// How a device sees memory: physical addresses, an IOMMU, or the software NIC's own map.
pub trait DmaMap: Send + Sync + fmt::Debug {
    /// Makes `target` reachable and returns the device address of each of its chunks. The driver
    /// keeps `target` alive for as long as the device may reach it.
    ///
    /// # Errors
    /// When the memory cannot be translated or mapped.
    fn map(&self, target: DmaTarget) -> Result<Vec<Iova>>;

    /// The device is quiet, or has been told to forget `target`: whatever happens to that memory
    /// no longer matters to it.
    fn unmap(&self, target: &DmaTarget) {
        let _nothing_to_undo = target;
    }

    /// Where descriptor rings for this device should come from.
    fn ring_backing(&self) -> Backing;

    /// NUMA node that the device is attached to, when known: where its rings should be.
    fn node(&self) -> Option<u32> {
        None
    }

    /// Refuses backings that this device cannot reach, before memory is taken.
    ///
    /// # Errors
    /// [`Error::Config`] naming the backings that do work.
    fn accepts(&self, mapping: &Mapping) -> Result<()>;
}

/// One device's view of memory. The driver keeps it for as long as the device may do DMA.
#[derive(Debug)]
pub struct DmaSpace {
    map: Arc<dyn DmaMap>,
    /// Device address of each chunk, by chunk id; 0 where nothing is mapped.
    chunks: Box<[AtomicU64]>,
    attached: Mutex<Vec<Arc<SlotMem>>>,
}

impl DmaSpace {
    /// An empty space.
    pub fn new(map: Arc<dyn DmaMap>) -> Arc<Self> {
        let chunks = (0..MAX_CHUNKS).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { map, chunks, attached: Mutex::default() })
    }

    /// Makes a pool's buffers reachable. Attaching the same memory twice changes nothing.
    ///
    /// # Errors
    /// See [`DmaMap::map`]; [`Error::Config`] when the map gives another number of addresses than
    /// the memory has chunks.
    pub fn attach(&self, mem: &Arc<SlotMem>) -> Result<()> {
        let mut attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        if attached.iter().any(|m| Arc::ptr_eq(m, mem)) {
            return Ok(());
        }
        self.map.accepts(mem.mapping())?;
        let iovas = self.map(DmaTarget::Slots(mem.clone()))?;
        for (i, iova) in iovas.iter().enumerate() {
            self.chunks[mem.first_chunk() as usize + i].store(iova.0, Ordering::Relaxed);
        }
        attached.push(mem.clone());
        Ok(())
    }

    /// The device address of byte `offset` of slot `id`; `None` when its pool is not attached.
    #[inline(always)]
    pub(crate) fn iova(&self, id: u32, offset: u32) -> Option<u64> {
        let base = self.chunks[chunk_of(id) as usize % MAX_CHUNKS].load(Ordering::Relaxed);
        let at = bytes_of(id) as u32 + offset;
        (base != 0).then(|| base + u64::from(at))
    }

    /// The device address of chunk number `chunk`; `None` when it is not mapped.
    pub(crate) fn chunk(&self, chunk: u32) -> Option<u64> {
        let base = self.chunks.get(chunk as usize)?.load(Ordering::Relaxed);
        (base != 0).then_some(base)
    }

    /// Zeroed rings of the given lengths (in descriptors of 16 bytes), packed into as few chunks
    /// as they need, each contiguous for the device and aligned to 128 bytes.
    ///
    /// # Errors
    /// [`Error::Config`] for a ring of no descriptors, and when the map gives another number of
    /// addresses than there are chunks; else when memory cannot be had or mapped.
    pub fn rings(&self, lengths: &[u16]) -> Result<Vec<RingMem>> {
        let mut at = 0usize;
        let mut places = Vec::with_capacity(lengths.len());
        for n in lengths {
            let bytes = (usize::from(*n) * 16).next_multiple_of(128);
            if bytes == 0 {
                return Err(Error::config("ring size", n, "1 to 65535 descriptors"));
            }
            if at / CHUNK != (at + bytes - 1) / CHUNK {
                at = at.next_multiple_of(CHUNK);
            }
            places.push((at, usize::from(*n) * 2));
            at += bytes;
        }
        let mapping = self.near(at)?;
        self.map.accepts(&mapping)?;
        let block = RingBlock::new(mapping);
        let iovas = self.map(DmaTarget::Rings(block.clone()))?;
        Ok(places
            .into_iter()
            .map(|(at, words)| {
                let iova = Iova(iovas[at / CHUNK].0 + (at % CHUNK) as u64);
                RingMem::new(block.clone(), at / 8, words, iova)
            })
            .collect())
    }

    /// Maps `target` and makes sure that each of its chunks got an address.
    fn map(&self, target: DmaTarget) -> Result<Vec<Iova>> {
        let chunks = target.mapping().len() / CHUNK;
        let iovas = self.map.map(target)?;
        if iovas.len() != chunks {
            let allowed = format!("{chunks}, one for each 2 MiB of the memory to map");
            return Err(Error::config("addresses from the DMA map", iovas.len(), allowed));
        }
        Ok(iovas)
    }

    /// Memory for rings: on the device's node if that can be, else anywhere.
    fn near(&self, len: usize) -> Result<Mapping> {
        let backing = self.map.ring_backing();
        match (Mapping::new(&backing, len, self.map.node()), self.map.node()) {
            (Err(why), Some(node)) => {
                tracing::warn!(%why, node, "descriptor rings may be far from the device");
                Mapping::new(&backing, len, None)
            }
            (result, _) => result,
        }
    }
}

impl Drop for DmaSpace {
    fn drop(&mut self) {
        // Rings are known for as long as they exist; pools live on.
        let attached = self.attached.get_mut().unwrap_or_else(PoisonError::into_inner);
        for mem in attached.drain(..) {
            self.map.unmap(&DmaTarget::Slots(mem));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{Mempool, PoolConfig};

    /// Gives each chunk an address, four chunks apart, but leaves out as many as it says.
    #[derive(Debug, Default)]
    struct Gaps {
        missing: usize,
        calls: Mutex<Vec<usize>>,
        unmapped: Mutex<Vec<usize>>,
    }

    const FIRST: u64 = 0x50_0000_0000;

    impl DmaMap for Gaps {
        fn map(&self, target: DmaTarget) -> Result<Vec<Iova>> {
            let n = target.mapping().len() / CHUNK;
            self.calls.lock().unwrap().push(n);
            let each = (0..n as u64).map(|i| Iova(FIRST + i * 4 * CHUNK as u64));
            Ok(each.skip(self.missing).collect())
        }
        fn unmap(&self, target: &DmaTarget) {
            self.unmapped.lock().unwrap().push(target.mapping().as_ptr().addr());
        }
        fn ring_backing(&self) -> Backing {
            Backing::Heap
        }
        fn accepts(&self, _: &Mapping) -> Result<()> {
            Ok(())
        }
    }

    fn space(missing: usize) -> (Arc<Gaps>, Arc<DmaSpace>) {
        let map = Arc::new(Gaps { missing, ..Gaps::default() });
        (map.clone(), DmaSpace::new(map))
    }

    /// Each ring has its own zeroed memory, inside one chunk, where its address says.
    fn sound(rings: &[RingMem], lengths: &[u16]) {
        assert_eq!(rings.len(), lengths.len());
        for (i, (ring, n)) in rings.iter().zip(lengths).enumerate() {
            assert_eq!(ring.descriptors().len(), usize::from(*n), "ring {i}");
            let at = ring.iova().0 - FIRST;
            assert_eq!(at % 128, 0, "ring {i}");
            let within = at as usize % CHUNK;
            assert!(within + usize::from(*n) * 16 <= CHUNK, "ring {i} at {at:#x}");
            let virt = ring.descriptors().as_ptr() as usize % CHUNK;
            assert_eq!(virt, within, "ring {i}");
            for d in ring.descriptors().iter().flatten() {
                assert_eq!(d.swap(1 + i as u64, Ordering::Relaxed), 0, "ring {i} is not alone");
            }
        }
    }

    #[test]
    fn rings_of_one_port_share_a_chunk() {
        let (map, space) = space(0);
        let rings = space.rings(&[512; 80]).unwrap();
        sound(&rings, &[512; 80]);
        assert_eq!(*map.calls.lock().unwrap(), [1], "one mapping of one chunk");
        for (i, ring) in rings.iter().enumerate() {
            assert_eq!(ring.iova(), Iova(FIRST + 8192 * i as u64));
        }
    }

    #[test]
    fn no_ring_crosses_a_chunk() {
        // Three of 640 KiB fit into a chunk; the small ones fill up what is left.
        let lengths: Vec<u16> = [40_960, 40_960, 40_960, 40_960, 8, 65_535, 9, 40_960].repeat(2);
        let (map, space) = space(0);
        sound(&space.rings(&lengths).unwrap(), &lengths);
        let chunks = map.calls.lock().unwrap().iter().sum::<usize>();
        assert!((5..=7).contains(&chunks), "{chunks}");
    }

    #[test]
    fn a_ring_of_nothing_is_refused() {
        let (map, space) = space(0);
        for lengths in [&[0][..], &[64, 0, 64]] {
            let why = space.rings(lengths).unwrap_err();
            assert!(matches!(why, Error::Config { what: "ring size", .. }), "{why}");
        }
        assert_eq!(*map.calls.lock().unwrap(), [0; 0]);
    }

    fn pool() -> Mempool {
        let config = PoolConfig { count: 1024, backing: Backing::Heap, ..PoolConfig::default() };
        Mempool::new(&config).unwrap()
    }

    #[test]
    fn pools_are_unmapped_with_the_space() {
        let (map, space) = space(0);
        let pools = [pool(), pool()];
        for pool in pools.iter().chain(&pools) {
            space.attach(pool.mem()).unwrap();
        }
        assert!(map.unmapped.lock().unwrap().is_empty());
        drop(space);
        let starts = pools.each_ref().map(|p| p.mem().mapping().as_ptr().addr());
        assert_eq!(*map.unmapped.lock().unwrap(), starts);
    }

    #[test]
    fn a_map_that_leaves_chunks_out_is_refused() {
        let pool = pool();
        assert!(pool.mem().chunks() > 1);
        for missing in [1, 2] {
            let (_, space) = space(missing);
            for result in [space.rings(&[4096; 40]).map(|_| ()), space.attach(pool.mem())] {
                let why = result.unwrap_err();
                let expected = "addresses from the DMA map";
                assert!(matches!(why, Error::Config { what, .. } if what == expected));
            }
            let ids = pool.mem().first_chunk()..pool.mem().first_chunk() + pool.mem().chunks();
            assert!(ids.into_iter().all(|c| space.chunk(c).is_none()), "half a pool is reachable");
        }
    }
}
