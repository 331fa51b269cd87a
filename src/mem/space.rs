//! A device's address space: which memory it can reach, and at which addresses.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::ring::RingBlock;
use super::{Backing, CHUNK, CHUNK_LINES, Iova, LINE, MAX_CHUNKS, Mapping, RingMem, SlotMem};
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
    /// See [`DmaMap::map`].
    pub fn attach(&self, mem: &Arc<SlotMem>) -> Result<()> {
        let mut attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        if attached.iter().any(|m| Arc::ptr_eq(m, mem)) {
            return Ok(());
        }
        self.map.accepts(mem.mapping())?;
        let iovas = self.map.map(DmaTarget::Slots(mem.clone()))?;
        for (i, iova) in iovas.iter().enumerate() {
            self.chunks[mem.first_chunk() as usize + i].store(iova.0, Ordering::Relaxed);
        }
        attached.push(mem.clone());
        Ok(())
    }

    /// The device address of byte `offset` of slot `id`; `None` when its pool is not attached.
    #[inline(always)]
    pub(crate) fn iova(&self, id: u32, offset: u32) -> Option<u64> {
        let base = self.chunks[(id / CHUNK_LINES) as usize % MAX_CHUNKS].load(Ordering::Relaxed);
        let at = (id % CHUNK_LINES) * LINE as u32 + offset;
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
    /// When memory cannot be had or mapped.
    pub fn rings(&self, lengths: &[u16]) -> Result<Vec<RingMem>> {
        let mut at = 0usize;
        let mut places = Vec::with_capacity(lengths.len());
        for n in lengths {
            let bytes = (usize::from(*n) * 16).next_multiple_of(128);
            if bytes > CHUNK {
                return Err(Error::config("ring size", n, "at most 131072 descriptors"));
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
        let iovas = self.map.map(DmaTarget::Rings(block.clone()))?;
        Ok(places
            .into_iter()
            .map(|(at, words)| {
                let iova = Iova(iovas[at / CHUNK].0 + (at % CHUNK) as u64);
                RingMem::new(block.clone(), at / 8, words, iova)
            })
            .collect())
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
