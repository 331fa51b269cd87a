//! The model's one door to memory: whatever a register or a descriptor says is an address goes
//! through here, to the pools and rings of this process or to the memory of a guest.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::fault::FaultKind;
use super::iommu::{Place, Windows};
use crate::mem::{CHUNK, DmaTarget, RingBlock, SlotMem, TxClaim};

/// A DMA address that leads nowhere, or to memory that may not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotMapped;

/// Memory of another process, a guest's, that a served NIC reaches by DMA.
///
/// The guest changes it at any time, so nothing that was read once may be taken for granted.
pub trait GuestMemory: fmt::Debug + Send + Sync {
    /// Copies bytes from the guest.
    ///
    /// # Errors
    /// [`NotMapped`] when not all of them can be read.
    fn read(&self, iova: u64, into: &mut [u8]) -> Result<(), NotMapped>;

    /// Copies bytes to the guest. Four of them to a multiple of 4 are written as a whole.
    ///
    /// # Errors
    /// [`NotMapped`] when not all of them can be written.
    fn write(&self, iova: u64, from: &[u8]) -> Result<(), NotMapped>;

    /// Reads one little-endian word as a whole, with acquire order. `iova` is a multiple of 8.
    ///
    /// # Errors
    /// [`NotMapped`]
    fn load(&self, iova: u64) -> Result<u64, NotMapped>;

    /// Writes one such word, with release order.
    ///
    /// # Errors
    /// [`NotMapped`]
    fn store(&self, iova: u64, value: u64) -> Result<(), NotMapped>;
}

impl From<NotMapped> for FaultKind {
    fn from(_: NotMapped) -> Self {
        FaultKind::Unmapped
    }
}

/// Everything that a NIC can reach.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// This process's pools and rings.
    pub(super) windows: Windows,
    /// A guest's memory, where the windows have nothing.
    pub(super) guest: Option<Arc<dyn GuestMemory>>,
}

/// Bytes of a transmit buffer.
#[derive(Debug)]
pub(super) enum Bytes<'a> {
    /// In place.
    Lent(TxClaim<'a>),
    /// A copy, since a guest may change what it has handed over.
    Copied(&'a [u8]),
}

impl Deref for Bytes<'_> {
    type Target = [u8];
    #[inline(always)]
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Lent(claim) => claim,
            Bytes::Copied(bytes) => bytes,
        }
    }
}

/// Copies what is as long as `to`. The shortest frames, in two halves that may overlap, take fewer
/// instructions than a call that copies anything.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    const HALF: usize = 32;
    let short = (HALF..=2 * HALF).contains(&from.len()) && to.len() == from.len();
    if short && let (Some(head), Some(tail)) = (from.first_chunk::<HALF>(), from.last_chunk()) {
        if let Some(to) = to.first_chunk_mut() {
            *to = *head;
        }
        if let Some(to) = to.last_chunk_mut::<HALF>() {
            *to = *tail;
        }
    } else {
        to.copy_from_slice(from);
    }
}

impl Memory {
    /// A buffer in one of this process's pools.
    #[inline(always)]
    fn slot(&self, address: u64) -> Option<(&SlotMem, u32, u32)> {
        match self.windows.translate(address) {
            Some(Place { target: DmaTarget::Slots(mem), chunk, offset }) => {
                Some((mem, chunk, offset))
            }
            _ => None,
        }
    }

    /// A transmit buffer in one of this process's pools, if it is there and lent.
    #[inline(always)]
    pub(super) fn claim_tx(&self, address: u64, len: u32) -> Option<TxClaim<'_>> {
        let (mem, chunk, offset) = self.slot(address)?;
        mem.claim_tx(chunk, offset, len).ok()
    }

    /// The bytes of a transmit buffer; `copy` lends its room when they must be copied.
    pub(super) fn fetch<'a>(
        &'a self,
        address: u64,
        len: u32,
        copy: &'a mut Vec<u8>,
    ) -> Result<Bytes<'a>, FaultKind> {
        match self.windows.translate(address) {
            Some(Place { target: DmaTarget::Slots(mem), chunk, offset }) => {
                Ok(Bytes::Lent(mem.claim_tx(chunk, offset, len)?))
            }
            Some(_) => Err(FaultKind::WrongMemory),
            None => {
                let guest = self.guest.as_ref().ok_or(FaultKind::Unmapped)?;
                copy.clear();
                copy.resize(len as usize, 0);
                guest.read(address, copy)?;
                Ok(Bytes::Copied(copy))
            }
        }
    }

    /// Fills a receive buffer in one of this process's pools, for good. False: it is not there, or not lent,
    /// or has not `room` bytes; nothing was done.
    #[inline(always)]
    pub(super) fn fill_slot(&self, address: u64, room: u32, bytes: &[u8]) -> bool {
        let Some((mem, chunk, offset)) = self.slot(address) else { return false };
        let Ok(mut claim) = mem.claim_rx(chunk, offset, room) else { return false };
        let Some(to) = claim.get_mut(..bytes.len()) else { return false };
        copy(to, bytes);
        claim.finish();
        true
    }

    /// Fills a receive buffer that has `room` bytes, all of which must be there.
    pub(super) fn fill(&self, address: u64, room: u32, bytes: &[u8]) -> Result<(), FaultKind> {
        match self.windows.translate(address) {
            Some(Place { target: DmaTarget::Slots(mem), chunk, offset }) => {
                let mut claim = mem.claim_rx(chunk, offset, room)?;
                if let Some(to) = claim.get_mut(..bytes.len()) {
                    to.copy_from_slice(bytes);
                }
                Ok(())
            }
            Some(_) => Err(FaultKind::WrongMemory),
            None => Ok(self.guest.as_ref().ok_or(FaultKind::Unmapped)?.write(address, bytes)?),
        }
    }

    /// Writes a word of 32 bits, after everything that was written before. Of this process's own
    /// memory, to rings only.
    pub(super) fn put(&self, address: u64, value: u32) -> Result<(), FaultKind> {
        match self.windows.translate(address) {
            Some(Place { target: DmaTarget::Rings(block), chunk, offset }) => {
                let at = chunk as usize * CHUNK + offset as usize;
                let word = block.words().get(at / 8).ok_or(FaultKind::Unmapped)?;
                let shift = at % 8 / 4 * 32;
                let half = |old: u64| {
                    Some(old & !(u64::from(u32::MAX) << shift) | u64::from(value) << shift)
                };
                let _always = word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, half);
                Ok(())
            }
            Some(_) => Err(FaultKind::WrongMemory),
            None => {
                let guest = self.guest.as_ref().ok_or(FaultKind::Unmapped)?;
                fence(Ordering::Release);
                Ok(guest.write(address, &value.to_le_bytes())?)
            }
        }
    }

    /// The descriptor ring at `base`; `None` when nothing, or memory of another kind, is there.
    pub(super) fn ring(&self, base: u64, bytes: u32) -> Option<Ring> {
        let size = bytes / 16;
        let words = match self.windows.translate(base) {
            Some(Place { target: DmaTarget::Rings(block), chunk, offset })
                if bytes > 0 && offset as usize + bytes as usize <= CHUNK =>
            {
                let first = (chunk as usize * CHUNK + offset as usize) / 8;
                Words::Ours { block: block.clone(), first }
            }
            Some(_) => return None,
            None => {
                let memory = self.guest.clone()?;
                memory.load(base).ok()?;
                Words::Guest { memory, base }
            }
        };
        Some(Ring { words, size })
    }
}

/// A descriptor ring in memory: two words a descriptor.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    words: Words,
    /// In descriptors.
    pub(super) size: u32,
}

#[derive(Debug, Clone)]
enum Words {
    Ours {
        block: Arc<RingBlock>,
        /// First word in the block.
        first: usize,
    },
    Guest {
        memory: Arc<dyn GuestMemory>,
        base: u64,
    },
}

impl Ring {
    /// Descriptor `at`; `None` beyond the ring, or when its memory has gone.
    #[inline(always)]
    pub(super) fn get(&self, at: u32) -> Option<(u64, u64)> {
        if at >= self.size {
            return None;
        }
        match &self.words {
            Words::Ours { block, first } => {
                let [w0, w1] = block.words().get(first + 2 * at as usize..)?.first_chunk()?;
                Some((w0.load(Ordering::Relaxed), w1.load(Ordering::Relaxed)))
            }
            Words::Guest { memory, base } => {
                let address = base.checked_add(u64::from(at) * 16)?;
                Some((memory.load(address).ok()?, memory.load(address + 8).ok()?))
            }
        }
    }

    /// The words of descriptor `at`, in a ring of this process.
    #[inline(always)]
    pub(super) fn ours(&self, at: u32) -> Option<&[AtomicU64; 2]> {
        self.run(at, at + 1).first()
    }

    /// The same from `at` up to `end`; empty for a guest's.
    #[inline(always)]
    pub(super) fn run(&self, at: u32, end: u32) -> &[[AtomicU64; 2]] {
        match &self.words {
            Words::Ours { block, first } if end <= self.size => {
                let words = first + 2 * at as usize..first + 2 * end as usize;
                block.words().get(words).unwrap_or_default().as_chunks().0
            }
            _ => &[],
        }
    }

    /// Writes descriptor `at` back. Whoever sees the second word sees the first, and whatever was
    /// written to memory before. False: it could not be written.
    #[inline(always)]
    pub(super) fn put(&self, at: u32, w0: u64, w1: u64) -> bool {
        if at >= self.size {
            return false;
        }
        match &self.words {
            Words::Ours { block, first } => {
                let words = block.words().get(first + 2 * at as usize..);
                let Some([a, b]) = words.and_then(|w| w.first_chunk()) else { return false };
                a.store(w0, Ordering::Relaxed);
                b.store(w1, Ordering::Release);
                true
            }
            Words::Guest { memory, base } => {
                let Some(address) = base.checked_add(u64::from(at) * 16) else { return false };
                memory.store(address, w0).and_then(|()| memory.store(address + 8, w1)).is_ok()
            }
        }
    }

    /// The same for the second word alone.
    #[inline(always)]
    pub(super) fn put_second(&self, at: u32, w1: u64) -> bool {
        if at >= self.size {
            return false;
        }
        match &self.words {
            Words::Ours { block, first } => {
                let word = block.words().get(first + 2 * at as usize + 1);
                word.map(|w| w.store(w1, Ordering::Release)).is_some()
            }
            Words::Guest { memory, base } => {
                let address = base.checked_add(u64::from(at) * 16 + 8);
                address.is_some_and(|address| memory.store(address, w1).is_ok())
            }
        }
    }
}
