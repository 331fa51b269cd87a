//! The owning packet handle.

use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering;

use super::{PoolInner, Slot};
use crate::error::{Error, Result};
use crate::mem::{bytes_of, chunk_base, chunk_pool, room_end};

/// A handle as plain words, which the ring engine and its vector code read and write:
///
/// | word | high half | low half |
/// |---|---|---|
/// | 0 | the slot's name | |
/// | 1 | VLAN tag | bit 15: a chain; below: length |
/// | 2 | RSS hash | |
/// | 3 | offset of the data | flags, packet type, RSS type |
///
/// The last half word takes the receive descriptor's RSS type (bits 0 to 3) and packet type (4 to
/// 10) as they are, and its status bits VP, L4CS and IPCS, shifted by [`STATUS_SHIFT`].
pub(crate) type Words = [u32; 4];

/// How far the status bits of a receive descriptor are shifted: VP is bit 3 there.
pub(crate) const STATUS_SHIFT: u32 = 9;
/// RSS type and packet type, as in a receive descriptor; the type bit NFS makes room for a flag.
pub(crate) const TYPES: u32 = 0x7ff;
pub(crate) const FLAG_IP_ERROR: u32 = 1 << 11;
const FLAG_VLAN: u32 = 1 << 12;
pub(crate) const FLAG_L4_ERROR: u32 = 1 << 13;
pub(crate) const FLAG_L4_CHECKED: u32 = 1 << 14;
const FLAG_IP_CHECKED: u32 = 1 << 15;
const RSS_TYPE: u32 = 0xf;
/// In the word of the length: the slot's link names a further segment. So a chain's length is
/// never that of one plain packet.
pub(crate) const CHAIN: u32 = 1 << 15;

/// Byte range that a slot's data may lie in ends here; see [`SlotMem::link`] for the packing.
///
/// [`SlotMem::link`]: crate::mem::SlotMem::link
#[derive(Clone, Copy)]
struct Link {
    id: u32,
    len: u16,
    offset: u16,
}

impl Link {
    const NONE: u64 = 0;

    fn pack(self) -> u64 {
        u64::from(self.id) | u64::from(self.len) << 32 | u64::from(self.offset) << 48
    }

    fn unpack(raw: u64) -> Option<Self> {
        let id = raw as u32;
        (id != 0).then_some(Self { id, len: (raw >> 32) as u16, offset: (raw >> 48) as u16 })
    }
}

/// What a receive descriptor says about a packet: words 1 to 3 of [`Words`], the offset zero.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RxMeta {
    pub(crate) size: u32,
    pub(crate) rss: u32,
    pub(crate) info: u32,
}

impl RxMeta {
    /// The length in bytes.
    #[inline(always)]
    pub(crate) fn len(self) -> u16 {
        self.size as u16
    }

    /// A received segment in slot `id`, as words.
    #[inline(always)]
    pub(crate) fn words(self, id: u32, offset: u16) -> Words {
        [id, self.size, self.rss, self.info | u32::from(offset) << 16]
    }
}

/// What the NIC found out about a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Not looked at, or not decidable.
    Unknown,
    /// Right.
    Good,
    /// Wrong.
    Bad,
}

/// The headers that the NIC recognised: the packet-type bits IPV4 to SCTP of the receive
/// descriptor (82599 datasheet 7.1.6.2; same bits on igb).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PacketType(pub u8);

impl PacketType {
    /// IPv4 header.
    pub fn is_ipv4(self) -> bool {
        self.0 & 0x03 != 0
    }
    /// IPv6 header.
    pub fn is_ipv6(self) -> bool {
        self.0 & 0x0c != 0
    }
    /// TCP header.
    pub fn is_tcp(self) -> bool {
        self.0 & 0x10 != 0
    }
    /// UDP header.
    pub fn is_udp(self) -> bool {
        self.0 & 0x20 != 0
    }
    /// SCTP header.
    pub fn is_sctp(self) -> bool {
        self.0 & 0x40 != 0
    }
}

/// One packet: the only holder of its buffer, or of its chain of buffers.
///
/// Sixteen bytes, moved by value, not `Copy`, and its metadata never lies in memory that a device
/// can write. Dropping it frees the buffer, from any thread.
///
/// # Invariants
/// `slot` is owned by this handle, as are the slots of the chain that starts at its link when
/// `CHAIN` is set. `offset + len` is at most the slot's stride.
#[repr(C)]
pub struct Mbuf {
    slot: ManuallyDrop<Slot>,
    /// VLAN tag, chain bit, length.
    size: u32,
    rss: u32,
    /// Offset, flags, types.
    info: u32,
}

const _: () = assert!(size_of::<Mbuf>() == 16 && size_of::<Option<Mbuf>>() == 16);
const _: () = assert!(align_of::<Mbuf>() == align_of::<Words>());

impl fmt::Debug for Mbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mbuf")
            .field("slot", &self.slot.id())
            .field("len", &self.total_len())
            .field("segments", &self.segments().count())
            .finish()
    }
}

impl Mbuf {
    /// A fresh packet in slot `id`, as words.
    #[inline(always)]
    pub(super) fn fresh_words(id: u32, len: u16, headroom: u16) -> Words {
        RxMeta { size: u32::from(len), ..RxMeta::default() }.words(id, headroom)
    }

    #[inline(always)]
    pub(super) fn empty(slot: Slot, headroom: u16) -> Self {
        Self::segment(slot, 0, headroom)
    }

    /// A segment that nothing is known about but where it lies.
    #[inline(always)]
    fn segment(slot: Slot, len: u16, offset: u16) -> Self {
        let info = u32::from(offset) << 16;
        Self { slot: ManuallyDrop::new(slot), size: u32::from(len), rss: 0, info }
    }

    /// A received segment that starts at `offset`.
    ///
    /// # Safety
    /// `offset + meta.len()` is at most the slot's stride, and `meta` is no chain's.
    #[inline(always)]
    pub(super) unsafe fn received(slot: Slot, offset: u16, meta: RxMeta) -> Self {
        let info = meta.info | u32::from(offset) << 16;
        Self { slot: ManuallyDrop::new(slot), size: meta.size, rss: meta.rss, info }
    }

    /// Lets go of the packet: whoever has the words owns its slots.
    #[inline(always)]
    pub(super) fn into_words(self) -> Words {
        let this = ManuallyDrop::new(self);
        [this.slot.id(), this.size, this.rss, this.info]
    }

    /// Packets as words.
    #[inline(always)]
    pub(super) fn words(packets: &[Mbuf]) -> &[Words] {
        let packets: *const [Mbuf] = packets;
        // SAFETY: `Mbuf` is four words in order (`repr(C)`), and looking owns nothing.
        unsafe { &*(packets as *const [Words]) }
    }

    #[inline(always)]
    fn set_size(&mut self, len: usize) {
        self.size = self.size & !0x7fff | len as u32;
    }

    #[inline(always)]
    fn set_offset(&mut self, offset: usize) {
        self.info = self.info & 0xffff | (offset as u32) << 16;
    }

    #[inline(always)]
    fn set_chain(&mut self, on: bool) {
        self.size = if on { self.size | CHAIN } else { self.size & !CHAIN };
    }

    #[inline(always)]
    fn has(&self, flag: u32) -> bool {
        self.info & flag != 0
    }

    /// Takes over what a chain's last descriptor says about the whole packet.
    pub(crate) fn set_meta(&mut self, meta: RxMeta) {
        self.size = self.size & 0xffff | meta.size & !0xffff;
        self.rss = meta.rss;
        self.info = self.info & !0xffff | meta.info;
    }

    #[inline(always)]
    fn at(id: u32, offset: u16) -> *mut u8 {
        chunk_base(id).wrapping_add(bytes_of(id) as usize + usize::from(offset))
    }

    /// Address of the first byte, to prefetch.
    #[inline(always)]
    pub fn as_ptr(&self) -> *const u8 {
        Self::at(self.slot.id(), self.offset())
    }

    /// The first segment's bytes (all of them, unless [`is_chain`](Self::is_chain)).
    #[inline(always)]
    pub fn data(&self) -> &[u8] {
        // SAFETY: the handle owns the slot, whose memory is initialised and live, and `offset +
        // len` stays within it.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.len()) }
    }

    /// The first segment's bytes, to change.
    #[inline(always)]
    pub fn data_mut(&mut self) -> &mut [u8] {
        let at = Self::at(self.slot.id(), self.offset());
        // SAFETY: as in `data`; the borrow is exclusive, and so is the handle's hold on the slot.
        unsafe { std::slice::from_raw_parts_mut(at, self.len()) }
    }

    /// Bytes in the first segment.
    #[inline(always)]
    pub fn len(&self) -> usize {
        (self.size & 0x7fff) as usize
    }

    /// Whether the first segment has no bytes.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that can be put in front.
    pub fn headroom(&self) -> usize {
        usize::from(self.offset())
    }

    /// Bytes that can be appended to the first segment.
    #[inline]
    pub fn tailroom(&self) -> usize {
        room_end(self.id()) - usize::from(self.offset()) - self.len()
    }

    /// Makes the packet `len` bytes long; bytes that come in at the end keep whatever the buffer
    /// held.
    ///
    /// # Errors
    /// [`Error::Config`] when `len` does not fit into the buffer, or the packet is a chain.
    #[inline]
    pub fn set_len(&mut self, len: usize) -> Result<()> {
        if usize::from(self.offset()).saturating_add(len) > room_end(self.id()) || self.is_chain() {
            return Err(self.no_room("packet length", len));
        }
        self.set_size(len);
        Ok(())
    }

    /// Adds `bytes` at the end.
    ///
    /// # Errors
    /// As [`set_len`](Self::set_len).
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let old = self.len();
        self.set_len(old + bytes.len())?;
        self.data_mut()[old..].copy_from_slice(bytes);
        Ok(())
    }

    /// Adds `n` bytes in front, which keep whatever the buffer held, for a header.
    ///
    /// # Errors
    /// [`Error::Config`] when the headroom is smaller than `n`.
    pub fn prepend(&mut self, n: usize) -> Result<&mut [u8]> {
        if n > self.headroom() {
            return Err(Error::config("bytes in front", n, format!("0 to {}", self.headroom())));
        }
        self.set_size(self.len() + n);
        self.set_offset(self.headroom() - n);
        Ok(&mut self.data_mut()[..n])
    }

    /// Removes `n` bytes from the front of the first segment.
    ///
    /// # Errors
    /// [`Error::Config`] when it has fewer.
    pub fn trim_front(&mut self, n: usize) -> Result<()> {
        if n > self.len() {
            return Err(Error::config("bytes to remove", n, format!("0 to {}", self.len())));
        }
        self.set_size(self.len() - n);
        self.set_offset(self.headroom() + n);
        Ok(())
    }

    #[cold]
    fn no_room(&self, what: &'static str, given: usize) -> Error {
        let most = self.len() + self.tailroom();
        Error::config(what, given, format!("0 to {most} in one buffer; chain buffers for more"))
    }

    /// The RSS hash, when the NIC computed one.
    #[inline]
    pub fn rss_hash(&self) -> Option<u32> {
        self.has(RSS_TYPE).then_some(self.rss)
    }

    /// The VLAN tag that the NIC took out of the frame (priority, CFI, id), when it did.
    #[inline]
    pub fn vlan(&self) -> Option<u16> {
        self.has(FLAG_VLAN).then_some((self.size >> 16) as u16)
    }

    /// The headers that the NIC recognised.
    #[inline]
    pub fn packet_type(&self) -> PacketType {
        PacketType((self.info >> 4 & 0x7f) as u8)
    }

    /// The NIC's verdict on the IPv4 header checksum.
    #[inline]
    pub fn ip_checksum(&self) -> Checksum {
        self.verdict(FLAG_IP_CHECKED, FLAG_IP_ERROR)
    }

    /// The NIC's verdict on the TCP, UDP or SCTP checksum.
    #[inline]
    pub fn l4_checksum(&self) -> Checksum {
        self.verdict(FLAG_L4_CHECKED, FLAG_L4_ERROR)
    }

    fn verdict(&self, checked: u32, error: u32) -> Checksum {
        match (self.has(checked), self.has(error)) {
            (false, _) => Checksum::Unknown,
            (true, false) => Checksum::Good,
            (true, true) => Checksum::Bad,
        }
    }

    /// Whether the packet has more than one segment.
    #[inline(always)]
    pub fn is_chain(&self) -> bool {
        self.size & CHAIN != 0
    }

    fn next_link(&self, id: u32) -> Option<Link> {
        Link::unpack(Self::pool_of(id).mem.link(id).load(Ordering::Relaxed))
    }

    /// The pool of one of this packet's slots.
    fn pool_of<'a>(id: u32) -> &'a PoolInner {
        // SAFETY: only called with the ids of slots that a live handle owns, for less long than
        // that handle lives; a slot's existence keeps its pool alive.
        unsafe { &*chunk_pool(id) }
    }

    /// Every segment's bytes, in order.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let mut next =
            Some(Link { id: self.slot.id(), len: self.len() as u16, offset: self.offset() });
        let mut chained = self.is_chain();
        std::iter::from_fn(move || {
            let seg = next.take()?;
            if chained {
                next = self.next_link(seg.id);
                chained = next.is_some();
            }
            let at = Self::at(seg.id, seg.offset);
            // SAFETY: the chain's slots are owned by this handle; lengths were checked when each
            // segment was made.
            Some(unsafe { std::slice::from_raw_parts(at.cast_const(), usize::from(seg.len)) })
        })
    }

    /// Shows `f` each segment's (name, offset, length) until it answers false; answers whether it
    /// never did.
    pub(crate) fn each_segment(&self, mut f: impl FnMut(u32, u16, u16) -> bool) -> bool {
        let mut next =
            Some(Link { id: self.slot.id(), len: self.len() as u16, offset: self.offset() });
        let mut chained = self.is_chain();
        while let Some(seg) = next.take() {
            if !f(seg.id, seg.offset, seg.len) {
                return false;
            }
            if chained {
                next = self.next_link(seg.id);
                chained = next.is_some();
            }
        }
        true
    }

    /// Bytes in all segments.
    pub fn total_len(&self) -> usize {
        if self.is_chain() { self.segments().map(<[u8]>::len).sum() } else { self.len() }
    }

    /// Adds another packet's segments at the end of this one. Walks the chain, so building a
    /// chain of `n` takes `n * n / 2` steps; chains are short.
    pub fn chain(&mut self, tail: Mbuf) {
        let mut last = self.slot.id();
        if self.is_chain() {
            while let Some(l) = self.next_link(last) {
                last = l.id;
            }
        }
        let tail = ManuallyDrop::new(tail);
        let id = tail.slot.id();
        if !tail.is_chain() {
            Self::pool_of(id).mem.link(id).store(Link::NONE, Ordering::Relaxed);
        }
        let link = Link { id, len: tail.len() as u16, offset: tail.offset() };
        Self::pool_of(last).mem.link(last).store(link.pack(), Ordering::Relaxed);
        self.set_chain(true);
    }

    /// The buffer's name, to compute device addresses with.
    #[inline(always)]
    pub(crate) fn id(&self) -> u32 {
        self.slot.id()
    }

    /// Where the data starts in the slot.
    #[inline(always)]
    pub(crate) fn offset(&self) -> u16 {
        (self.info >> 16) as u16
    }

    /// Takes an unchained packet apart into its slot.
    #[inline(always)]
    pub(crate) fn into_slot(self) -> Slot {
        debug_assert!(!self.is_chain());
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped, so the slot is taken out once.
        unsafe { ManuallyDrop::take(&mut this.slot) }
    }

    /// Takes the first segment off a chain: (that segment alone, the rest).
    pub(crate) fn split_first(mut self) -> (Mbuf, Option<Mbuf>) {
        if !self.is_chain() {
            return (self, None);
        }
        let rest = self.next_link(self.slot.id()).map(|l| {
            let more = self.next_link(l.id).is_some();
            // SAFETY: the name was owned by the chain, which lets go of it here.
            let slot = unsafe { Slot::from_raw(l.id) };
            let mut rest = Self::segment(slot, l.len, l.offset);
            rest.set_chain(more);
            rest
        });
        self.set_chain(false);
        (self, rest)
    }

    /// Hands every slot to `f`.
    #[inline(always)]
    pub(super) fn each_slot(self, mut f: impl FnMut(Slot)) {
        if self.is_chain() {
            self.each_chained(f);
        } else {
            f(self.into_slot());
        }
    }

    #[cold]
    fn each_chained(self, mut f: impl FnMut(Slot)) {
        let mut next = Some(self);
        while let Some(m) = next {
            let (first, rest) = m.split_first();
            f(first.into_slot());
            next = rest;
        }
    }
}

impl Drop for Mbuf {
    fn drop(&mut self) {
        // SAFETY: `drop` runs once, and the copy it works on is what gets taken apart.
        let copy = unsafe { std::ptr::read(self) };
        copy.each_slot(Slot::free);
    }
}
