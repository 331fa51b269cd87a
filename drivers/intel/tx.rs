//! The transmit ring.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::path::{SHORTEST, TxPath};
use super::{Flavor, QueueSetup, TxDesc, stride};
use crate::arch::{dma_acquire, dma_release};
use crate::error::Result;
use crate::mem::{DmaSpace, RingMem};
use crate::mmio::{Bar, Doorbell};
use crate::pool::{Batch, Mbuf, Mempool, PoolCache, SlotFifo};
use crate::port::{Lifeline, PathChoice, QueueTx, TxQueueStats};

/// Most descriptors of one packet (82599 datasheet 7.2.1.1: 40, of which WTHRESH, zero here, and
/// two are not to be used; igb takes as many).
const MOST_SEGMENTS: usize = 38;

/// A transmit queue: descriptors, the slots behind them, and the tail register.
#[derive(Debug)]
pub struct TxRing<B: Bar, F: Flavor> {
    ring: RingMem,
    tail: B::Bell,
    slots: SlotFifo,
    space: Arc<DmaSpace>,
    /// The pool whose buffers are posted and go back in bulk.
    home: Mempool,
    path: TxPath,
    /// Entries at the queue's front up to which one of another pool may lie.
    mixed: usize,
    /// Indices of descriptors that will report completion, oldest first.
    marks: Marks,
    /// Descriptors posted since the newest mark, but for those of the `quick` way.
    unmarked: usize,
    /// Packets that may still be posted one at a time before the queue must be seen to, and how
    /// many that were when it was.
    quick: usize,
    granted: usize,
    stride: usize,
    max_frame: u16,
    stats: TxQueueStats,
    /// Dropped after `space`: whoever waits for the end of all queues maps the pool anew then.
    life: Arc<Lifeline>,
    flavor: PhantomData<F>,
}

/// A queue of indices of descriptors, with room for one of each.
#[derive(Debug)]
struct Marks {
    /// A power of two of places.
    at: Box<[u32]>,
    /// Both count on and on; places are taken in turn.
    head: usize,
    tail: usize,
}

impl Marks {
    fn new(descriptors: usize) -> Self {
        let at = vec![0; descriptors.next_power_of_two()].into_boxed_slice();
        Self { at, head: 0, tail: 0 }
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.tail.wrapping_sub(self.head)
    }

    #[inline(always)]
    fn place(&self, n: usize) -> usize {
        n & (self.at.len() - 1)
    }

    #[inline(always)]
    fn push(&mut self, at: usize) {
        let place = self.place(self.tail);
        self.at[place] = at as u32;
        self.tail = self.tail.wrapping_add(1);
    }

    #[inline(always)]
    fn first(&self) -> Option<usize> {
        (self.len() > 0).then(|| self.at[self.place(self.head)] as usize)
    }

    #[inline(always)]
    fn pop(&mut self) {
        self.head = self.head.wrapping_add(1);
    }
}

impl<B: Bar, F: Flavor> TxRing<B, F> {
    /// An empty ring.
    pub(crate) fn new(setup: QueueSetup<'_, B>) -> Result<Self> {
        let size = setup.ring.descriptors().len();
        let first_chunk = setup.pool.mem().first_chunk();
        Ok(Self {
            tail: setup.bar.doorbell(setup.tail),
            slots: SlotFifo::new(size),
            space: setup.space.clone(),
            home: setup.pool.clone(),
            path: TxPath::new(setup.path.clone(), first_chunk, &setup.chunks()?, setup.max_frame),
            mixed: 0,
            marks: Marks::new(size),
            unmarked: 0,
            quick: 0,
            granted: 0,
            stride: stride(size),
            max_frame: setup.max_frame,
            stats: TxQueueStats::default(),
            life: setup.life.clone(),
            ring: setup.ring,
            flavor: PhantomData,
        })
    }

    fn capacity(&self) -> usize {
        self.ring.descriptors().len() - 1
    }

    /// Descriptors that can be posted: the tail must never catch up with the head.
    fn room(&self) -> usize {
        self.capacity() - self.slots.len()
    }

    /// Takes back what the NIC has reported done, at least as many as are wanted and a stride, if
    /// there are.
    #[inline(always)]
    fn harvest(&mut self, cache: &mut PoolCache, wanted: usize) -> usize {
        let before = self.slots.len();
        // No more than the cache can hand out again soon: what is too much for it goes to the
        // depot, which other cores want as well.
        let enough = self.stride.max(wanted);
        while before - self.slots.len() < enough
            && let Some(at) = self.marks.first()
        {
            let status = self.ring.descriptors()[at][1].load(Ordering::Acquire);
            if status & TxDesc::DD == 0 {
                break;
            }
            dma_acquire();
            let head = self.slots.head();
            let n = if at >= head { at - head } else { at + self.capacity() + 1 - head } + 1;
            self.marks.pop();
            if !B::SOFTWARE && self.mixed == 0 && *cache.pool() == self.home {
                self.slots.drain_to(cache, n);
            } else {
                let lost = self.slots.drain_each(cache, n, B::SOFTWARE);
                self.stats.quarantined += lost as u64;
            }
            self.mixed = self.mixed.saturating_sub(n);
        }
        before - self.slots.len()
    }

    /// Posts a run of unchained packets of the home pool. Stops at the ring's end, a full ring, and
    /// any other packet.
    #[inline(always)]
    fn post_run(&mut self, packets: &mut Batch) -> usize {
        let at = self.slots.tail();
        let descriptors = self.ring.descriptors();
        let (sent, bytes) = self.slots.send_run(B::SOFTWARE, packets, descriptors, &self.path);
        self.stats.packets += sent as u64;
        self.stats.bytes += bytes;
        let mut reported = 0;
        while self.unmarked + sent - reported >= self.stride {
            reported += self.stride - self.unmarked;
            self.mark(at + reported - 1);
        }
        self.unmarked += sent - reported;
        sent
    }

    /// Has the NIC report when a posted descriptor, the end of a packet, is done.
    #[inline(always)]
    fn mark(&mut self, at: usize) {
        let command = &self.ring.descriptors()[at][1];
        command.store(command.load(Ordering::Relaxed) | TxDesc::RS, Ordering::Relaxed);
        self.marks.push(at);
        self.unmarked = 0;
    }

    /// Whether the packet can be sent at all, on an empty ring.
    fn sendable(&self, packet: &Mbuf) -> bool {
        let len = packet.total_len();
        let mut segments = 0;
        let each = packet.each_segment(|id, offset, len| {
            segments += 1;
            len > 0 && self.space.iova(id, u32::from(offset)).is_some()
        });
        // Up to a stride of descriptors may never be reported done before more is sent: that is no
        // room to count on.
        let most = MOST_SEGMENTS.min(self.capacity() + 1 - self.stride);
        each && segments <= most
            && (usize::from(SHORTEST)..=usize::from(self.max_frame)).contains(&len)
    }

    /// Handles the first packet, which [`post_run`](Self::post_run) would not. False: the ring is
    /// too full for it now.
    #[cold]
    fn post_one(&mut self, packets: &mut Batch) -> bool {
        let Some(packet) = packets.first() else { return false };
        if !self.sendable(packet) {
            self.stats.errors += 1;
            drop(packets.pop());
            return true;
        }
        let (segments, payload) = (packet.segments().count(), packet.total_len());
        if segments > self.room() {
            return false;
        }
        let mut next = packets.pop();
        while let Some(m) = next {
            let (first, rest) = m.split_first();
            let at = self.slots.tail();
            self.unmarked += 1;
            let mut command = 0;
            if rest.is_none() {
                command |= TxDesc::EOP;
                // Reports only come with the end of a packet.
                if self.unmarked >= self.stride {
                    command |= TxDesc::RS;
                    self.marks.push(at);
                    self.unmarked = 0;
                }
            }
            let (id, offset, len) = (first.id(), u32::from(first.offset()), first.len() as u16);
            let iova = self.space.iova(id, offset).unwrap_or_default();
            let d = &self.ring.descriptors()[at];
            d[0].store(iova, Ordering::Relaxed);
            d[1].store(TxDesc::data(len, payload as u32, command), Ordering::Relaxed);
            // There is room, so nothing comes back.
            let _full = self.slots.push_lent(first.into_slot(), B::SOFTWARE);
            next = rest;
        }
        self.mixed = self.slots.len();
        self.stats.packets += 1;
        self.stats.bytes += payload as u64;
        true
    }
}

impl<B: Bar, F: Flavor> TxRing<B, F> {
    /// With no report under way, asks for one at the end of the burst, so that a queue with little
    /// traffic gets its buffers back without waiting for a whole stride.
    #[inline]
    fn mark_if_quiet(&mut self) {
        if self.unmarked > 0 && self.marks.len() == 0 {
            let tail = self.slots.tail();
            self.mark(if tail == 0 { self.capacity() } else { tail - 1 });
        }
    }

    /// Counts in what was posted the quick way.
    #[inline]
    fn settle(&mut self) {
        if self.granted > 0 {
            let n = self.granted - self.quick;
            self.unmarked += n;
            self.stats.packets += n as u64;
            (self.granted, self.quick) = (0, 0);
        }
    }

    /// One packet, of which up to a stride can go before a report is to be asked for or looked at:
    /// nothing but its descriptor and the tail.
    #[inline(never)]
    fn tx_quick(&mut self, cache: &mut PoolCache, packets: &mut Batch) -> usize {
        let descriptors = self.ring.descriptors();
        let sent = self.slots.send_one(B::SOFTWARE, packets, descriptors, &self.path);
        let Some(bytes) = sent else { return self.tx_many(cache, packets) };
        self.quick -= 1;
        self.stats.bytes += bytes;
        dma_release();
        self.tail.ring(self.slots.tail() as u32);
        1
    }

    /// A burst of any kind.
    #[inline(never)]
    fn tx_many(&mut self, cache: &mut PoolCache, packets: &mut Batch) -> usize {
        let offered = packets.len();
        self.settle();
        // Early enough that buffers go round while they are still in the processor's cache, late
        // enough not to wait for a report that the NIC has just been asked for.
        let busy = self.slots.len() >= 2 * self.stride || self.room() < offered;
        if busy || self.marks.len() == 1 {
            self.harvest(cache, offered);
        }
        let before = self.slots.tail();
        while !packets.is_empty() {
            if self.room() == 0 {
                break;
            }
            if self.post_run(packets) == 0 && !self.post_one(packets) {
                break;
            }
        }
        if self.slots.tail() != before {
            self.mark_if_quiet();
            dma_release();
            self.tail.ring(self.slots.tail() as u32);
        }
        if !packets.is_empty() {
            self.stats.ring_full += 1;
        }
        if offered == 1 && self.marks.len() > 0 {
            // These may stay unreported until more are sent, so they are few beside the pool.
            let few = self.home.capacity() as usize / 8;
            self.granted = self.room().min(self.stride - 1 - self.unmarked).min(few);
            self.quick = self.granted;
        }
        offered - packets.len()
    }
}

impl<B: Bar, F: Flavor> QueueTx for TxRing<B, F> {
    #[inline]
    fn tx_burst(&mut self, cache: &mut PoolCache, packets: &mut Batch) -> usize {
        if packets.len() == 1 && self.quick > 0 {
            self.tx_quick(cache, packets)
        } else {
            self.tx_many(cache, packets)
        }
    }

    fn reclaim(&mut self, cache: &mut PoolCache) -> usize {
        self.settle();
        self.harvest(cache, usize::MAX)
    }

    fn stats(&self) -> TxQueueStats {
        let quick = (self.granted - self.quick) as u64;
        TxQueueStats { packets: self.stats.packets + quick, ..self.stats }
    }

    fn in_flight(&self) -> usize {
        self.slots.len()
    }

    fn size(&self) -> usize {
        self.ring.descriptors().len()
    }

    fn path(&self) -> PathChoice {
        self.path.choice().clone()
    }
}

impl<B: Bar, F: Flavor> Drop for TxRing<B, F> {
    fn drop(&mut self) {
        self.life.surrender(std::mem::replace(&mut self.slots, SlotFifo::new(0)));
    }
}
