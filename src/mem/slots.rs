//! Packet-buffer memory: slots of one size, none across a chunk, each with an owner word.
//!
//! On hardware nothing but the driver's care keeps the CPU off a buffer that the NIC writes. The
//! software NIC could race with safe code in the same process, so it must win a slot's owner word
//! before it touches the slot, and the driver must win it back.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::chunk::{ChunkIds, chunk_base};
use super::{Backing, CHUNK, CHUNK_LINES, LINE, Mapping, bytes_of, chunk_of, line_of, name};
use crossbeam_utils::CachePadded;

use crate::error::{Error, Result};

/// Owner-word values. `HOST` covers free slots and slots that the application holds.
const HOST: u8 = 0;
const RX: u8 = 1;
const TX: u8 = 2;
const RX_CLAIMED: u8 = 3;
const TX_CLAIMED: u8 = 4;
/// The device was lent the slot and has done with it: it cannot claim it again, and only the driver
/// that lent it changes the word any more.
const RX_DONE: u8 = 6;
const TX_DONE: u8 = 7;
/// Debug builds tell free slots from those in use.
const FREE: u8 = if cfg!(debug_assertions) { 5 } else { HOST };
/// What debug builds fill freed buffers with.
const POISON: u8 = 0xdb;

/// Entries of side tables for each chunk: the shortest stride is 33 lines, so no chunk has more
/// slots, and a group of [`GROUP`] slots never spans two chunks.
const CHUNK_ENTRIES: u32 = 1024;

/// Owner words that share a cache line: those of neighbouring slots, which the pool's depot keeps
/// together in one magazine, so that two threads rarely write to one line.
const GROUP: usize = crate::pool::MAGAZINE;

/// Which way a slot is lent to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lent {
    /// To be written.
    Rx,
    /// To be read.
    Tx,
}

/// How slots are laid out.
///
/// The NIC takes receive-buffer sizes in KiB (SRRCTL.BSIZEPACKET, 82599 datasheet 8.2.3.8.7), so
/// the room behind the headroom is a whole number of KiB and no receive can overrun a slot. The
/// stride is an odd number of cache lines, which spreads the slots' first lines over all cache
/// sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    headroom: u16,
    room: u16,
    stride_lines: u32,
    per_chunk: u32,
}

impl Geometry {
    /// Slots with `headroom` bytes (a multiple of 64, at most 1,024) before `room` bytes of data
    /// (whole KiB, 2 to 15).
    ///
    /// # Errors
    /// [`Error::Config`] when either is out of range.
    pub fn new(headroom: u16, room: u16) -> Result<Self> {
        if !headroom.is_multiple_of(LINE as u16) || headroom > 1024 {
            return Err(Error::config("headroom", headroom, "a multiple of 64 from 0 to 1024"));
        }
        if !room.is_multiple_of(1024) || !(2048..=15 * 1024).contains(&room) {
            return Err(Error::config("data room", room, "a multiple of 1024 from 2048 to 15360"));
        }
        let lines = u32::from(headroom + room) / LINE as u32;
        let stride_lines = lines | 1;
        Ok(Self { headroom, room, stride_lines, per_chunk: CHUNK_LINES / stride_lines })
    }

    /// Bytes before the data of a fresh packet.
    pub fn headroom(&self) -> u16 {
        self.headroom
    }

    /// Bytes of data that a fresh packet can hold, and the receive-buffer size.
    pub fn room(&self) -> u16 {
        self.room
    }

    /// Bytes from slot to slot.
    pub fn stride(&self) -> usize {
        self.stride_lines as usize * LINE
    }

    /// Slots in one chunk.
    pub fn per_chunk(&self) -> u32 {
        self.per_chunk
    }
}

/// Why a device may not touch a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimError {
    /// The bytes lie in no slot, or run out of one.
    OutOfSlot,
    /// The slot is not lent to a device in that direction.
    NotLent,
}

/// The packet buffers of one pool.
///
/// # Invariants
/// 1. Slot `i` of chunk `c` covers `stride` bytes inside that chunk; slots do not overlap.
/// 2. A slot's bytes are accessed by the holder of its name (a `Slot` of the pool) while its owner
///    word is `HOST`, and by the holder of a claim while it is `*_CLAIMED`. A slot lent to
///    hardware is accessed by nobody on the CPU.
#[derive(Debug)]
pub struct SlotMem {
    mapping: Mapping,
    ids: ChunkIds,
    geometry: Geometry,
    /// Reciprocal of the stride: `line * recip >> 32 == line / stride_lines` for a chunk's lines.
    recip: u64,
    owner: Box<[CachePadded<[AtomicU8; GROUP]>]>,
    links: Box<[AtomicU64]>,
}

impl SlotMem {
    /// Memory for at least `count` slots.
    pub(crate) fn new(
        geometry: Geometry,
        count: u32,
        backing: &Backing,
        node: Option<u32>,
    ) -> Result<Arc<Self>> {
        let chunks = count.div_ceil(geometry.per_chunk) as usize;
        let mapping = Mapping::new(backing, chunks * CHUNK, node)?;
        let end = usize::from(geometry.headroom + geometry.room);
        let ids = ChunkIds::register(mapping.as_ptr(), chunks, end)?;
        let entries = chunks * CHUNK_ENTRIES as usize;
        let free = || CachePadded::new([const { AtomicU8::new(FREE) }; GROUP]);
        Ok(Arc::new(Self {
            mapping,
            ids,
            geometry,
            recip: (1u64 << 32).div_ceil(u64::from(geometry.stride_lines)),
            owner: (0..entries / GROUP).map(|_| free()).collect(),
            links: (0..entries).map(|_| AtomicU64::new(0)).collect(),
        }))
    }

    /// The memory behind it.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Slot layout.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Id of the first chunk.
    pub(crate) fn first_chunk(&self) -> u32 {
        self.ids.first
    }

    /// Number of chunks.
    pub(crate) fn chunks(&self) -> u32 {
        self.ids.count
    }

    /// The id of slot number `n`, counting through the chunks.
    pub(crate) fn id(&self, n: u32) -> u32 {
        let (chunk, within) = (n / self.geometry.per_chunk, n % self.geometry.per_chunk);
        name(self.ids.first + chunk, within * self.geometry.stride_lines)
    }

    /// The number, within its chunk, of the slot that a line belongs to.
    #[inline(always)]
    fn number(&self, line: u32) -> u32 {
        ((u64::from(line) * self.recip) >> 32) as u32
    }

    #[inline(always)]
    fn owner_word(&self, index: usize) -> &AtomicU8 {
        &self.owner[index / GROUP][index % GROUP]
    }

    /// The slot's place in the side tables; distinct for distinct slots.
    #[inline(always)]
    pub(crate) fn index(&self, id: u32) -> usize {
        let (chunk, line) = (chunk_of(id) - self.ids.first, line_of(id));
        (chunk * CHUNK_ENTRIES + self.number(line)) as usize
    }

    /// How many entries side tables indexed by [`index`](Self::index) need.
    pub(crate) fn index_len(&self) -> usize {
        self.links.len()
    }

    /// The chain link of a slot; only the slot's holder reads or writes it.
    #[inline]
    pub(crate) fn link(&self, id: u32) -> &AtomicU64 {
        &self.links[self.index(id)]
    }

    /// A slot leaves the free ones. Debug builds check that it was one.
    #[inline(always)]
    pub(crate) fn note_taken(&self, id: u32) {
        if cfg!(debug_assertions) {
            let was = self.owner_word(self.index(id)).swap(HOST, Ordering::AcqRel);
            debug_assert_eq!(was, FREE, "slot {id:#x} was given out twice");
        }
    }

    /// A slot joins the free ones; the caller still owns it. Debug builds check that nobody else
    /// has it and poison its bytes.
    #[inline(always)]
    pub(crate) fn note_freed(&self, id: u32) {
        if cfg!(debug_assertions) {
            let at = chunk_base(id).wrapping_add(bytes_of(id) as usize);
            // SAFETY: the caller owns the slot, so nobody else touches these bytes.
            unsafe { std::ptr::write_bytes(at, POISON, self.geometry.stride()) };
            let was = self.owner_word(self.index(id)).swap(FREE, Ordering::AcqRel);
            debug_assert_eq!(was, HOST, "slot {id:#x} was freed while lent or free");
        }
    }

    /// Lends a slot to a software device. The caller gives up access until [`take_back`].
    ///
    /// [`take_back`]: Self::take_back
    #[inline(always)]
    pub(crate) fn lend(&self, id: u32, to: Lent) {
        let state = if to == Lent::Rx { RX } else { TX };
        self.owner_word(self.index(id)).store(state, Ordering::Release);
    }

    /// Takes a lent slot back. False when the device is still at it or it was not lent that way:
    /// the caller must then keep off it.
    #[inline(always)]
    #[must_use]
    pub(crate) fn take_back(&self, id: u32, from: Lent) -> bool {
        let (lent, done) = if from == Lent::Rx { (RX, RX_DONE) } else { (TX, TX_DONE) };
        let word = self.owner_word(self.index(id));
        if word.load(Ordering::Acquire) == done {
            // Nobody else changes it, so there is no need to compare once more.
            word.store(HOST, Ordering::Relaxed);
            return true;
        }
        Self::take_from(word, lent)
    }

    /// Takes a slot back that the device may claim at any moment.
    #[cold]
    fn take_from(word: &AtomicU8, lent: u8) -> bool {
        word.compare_exchange(lent, HOST, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Takes a slot back from a device that is known to be quiet, whatever it was lent for. False
    /// when the device is at it all the same: the caller must then keep off it.
    #[must_use]
    pub(crate) fn take_back_any(&self, id: u32) -> bool {
        let word = self.owner_word(self.index(id));
        let mut now = word.load(Ordering::Relaxed);
        while matches!(now, HOST | RX | TX | RX_DONE | TX_DONE) {
            match word.compare_exchange(now, HOST, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(changed) => now = changed,
            }
        }
        false
    }

    /// Bounds and owner-word index of `len` bytes at `offset` of chunk number `chunk`.
    #[inline]
    fn locate(&self, chunk: u32, offset: u32, len: u32) -> Result<usize, ClaimError> {
        let slot = self.number(offset / LINE as u32);
        let start = slot * self.geometry.stride_lines * LINE as u32;
        let within = offset.wrapping_sub(start);
        let fits = chunk < self.ids.count
            && slot < self.geometry.per_chunk
            && u64::from(within) + u64::from(len) <= self.geometry.stride() as u64;
        if !fits {
            return Err(ClaimError::OutOfSlot);
        }
        Ok((chunk * CHUNK_ENTRIES + slot) as usize)
    }

    #[inline]
    fn claim(&self, word: usize, from: u8, to: u8) -> Result<(), ClaimError> {
        self.owner_word(word)
            .compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed)
            .map(drop)
            .map_err(|_| ClaimError::NotLent)
    }

    /// The software device's way to read a transmit buffer: `len` bytes at byte `offset` of chunk
    /// number `chunk` of this memory.
    ///
    /// # Errors
    /// See [`ClaimError`]; nothing was touched.
    #[inline]
    pub fn claim_tx(&self, chunk: u32, offset: u32, len: u32) -> Result<TxClaim<'_>, ClaimError> {
        let word = self.locate(chunk, offset, len)?;
        self.claim(word, TX, TX_CLAIMED)?;
        let at = self.mapping.as_ptr().wrapping_add(chunk as usize * CHUNK + offset as usize);
        // SAFETY: `locate` keeps the range inside one slot of the live, initialised mapping, and
        // the owner word, now TX_CLAIMED, keeps everyone else off that slot until the claim is
        // dropped (invariant 2).
        let bytes = unsafe { std::slice::from_raw_parts(at, len as usize) };
        Ok(TxClaim { owner: self.owner_word(word), bytes })
    }

    /// The software device's way to write a receive buffer.
    ///
    /// # Errors
    /// See [`ClaimError`]; nothing was touched.
    #[inline]
    pub fn claim_rx(&self, chunk: u32, offset: u32, len: u32) -> Result<RxClaim<'_>, ClaimError> {
        let word = self.locate(chunk, offset, len)?;
        self.claim(word, RX, RX_CLAIMED)?;
        let at = self.mapping.as_ptr().wrapping_add(chunk as usize * CHUNK + offset as usize);
        // SAFETY: as in `claim_tx`; RX_CLAIMED is held by this claim alone, so the reference is
        // unique.
        let bytes = unsafe { std::slice::from_raw_parts_mut(at, len as usize) };
        Ok(RxClaim { owner: self.owner_word(word), bytes })
    }
}

/// A transmit buffer that a software device is reading.
#[derive(Debug)]
pub struct TxClaim<'a> {
    owner: &'a AtomicU8,
    bytes: &'a [u8],
}

impl std::ops::Deref for TxClaim<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl Drop for TxClaim<'_> {
    /// It may be claimed again.
    fn drop(&mut self) {
        self.owner.store(TX, Ordering::Release);
    }
}

impl TxClaim<'_> {
    /// The device has read all that it will ever read of the buffer.
    #[inline(always)]
    pub fn finish(self) {
        ManuallyDrop::new(self).owner.store(TX_DONE, Ordering::Release);
    }
}

/// A receive buffer that a software device is writing.
#[derive(Debug)]
pub struct RxClaim<'a> {
    owner: &'a AtomicU8,
    bytes: &'a mut [u8],
}

impl std::ops::Deref for RxClaim<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl std::ops::DerefMut for RxClaim<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes
    }
}

impl RxClaim<'_> {
    /// The device has written all that it will ever write to the buffer.
    #[inline(always)]
    pub fn finish(self) {
        ManuallyDrop::new(self).owner.store(RX_DONE, Ordering::Release);
    }
}

impl Drop for RxClaim<'_> {
    /// It may be claimed again.
    fn drop(&mut self) {
        self.owner.store(RX, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_has_done_with_is_nobody_s_to_claim() {
        let geometry = Geometry::new(128, 2048).unwrap();
        let mem = SlotMem::new(geometry, 4, &Backing::Heap, None).unwrap();
        let id = mem.id(2);
        let offset = id % CHUNK_LINES * LINE as u32;
        let not_lent = Some(ClaimError::NotLent);
        mem.note_taken(id);

        mem.lend(id, Lent::Tx);
        assert_eq!(mem.claim_rx(0, offset, 60).err(), not_lent, "lent the other way");
        drop(mem.claim_tx(0, offset, 60).unwrap());
        let claim = mem.claim_tx(0, offset, 60).unwrap();
        assert!(!mem.take_back(id, Lent::Tx) && !mem.take_back_any(id), "it is being read");
        claim.finish();
        assert_eq!(mem.claim_tx(0, offset, 60).err(), not_lent);
        assert!(!mem.take_back(id, Lent::Rx), "lent the other way");
        assert!(mem.take_back(id, Lent::Tx) && !mem.take_back(id, Lent::Tx));
        assert_eq!(mem.claim_tx(0, offset, 60).err(), not_lent);

        mem.lend(id, Lent::Rx);
        let mut claim = mem.claim_rx(0, offset, 60).unwrap();
        claim.fill(7);
        assert!(!mem.take_back(id, Lent::Rx) && !mem.take_back_any(id), "it is being written");
        claim.finish();
        assert_eq!(mem.claim_rx(0, offset, 60).err(), not_lent);
        assert!(mem.take_back_any(id));

        // One that the device never came to.
        mem.lend(id, Lent::Rx);
        assert!(mem.take_back(id, Lent::Rx));
        assert_eq!(mem.claim_rx(0, offset, 60).err(), not_lent);
        mem.note_freed(id);
    }
}
