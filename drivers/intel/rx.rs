//! The receive ring.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::path::{RxPath, RxSetup};
use super::{Flavor, QueueSetup, RxDesc, stride};
use crate::arch::{dma_acquire, dma_release};
use crate::error::{Error, Result};
use crate::mem::{Geometry, RingMem};
use crate::mmio::{Bar, Doorbell};
use crate::pool::{
    Batch, FLAG_IP_ERROR, FLAG_L4_CHECKED, FLAG_L4_ERROR, Mbuf, Mempool, PoolCache, RxMeta,
    STATUS_SHIFT, SlotFifo, TYPES,
};
use crate::port::{Lifeline, PathChoice, QueueRx, RxQueueStats};

/// A receive queue: descriptors, the slots behind them, and the tail register.
#[derive(Debug)]
pub struct RxRing<B: Bar, F: Flavor> {
    ring: RingMem,
    tail: B::Bell,
    slots: SlotFifo,
    pool: Mempool,
    geometry: Geometry,
    path: RxPath,
    stride: usize,
    max_frame: u16,
    /// Status bits that the handle keeps.
    kept: u64,
    partial: Partial,
    /// Packets taken from the ring for an application that takes fewer than [`FEW`] at a time.
    staged: Batch,
    stats: RxQueueStats,
    life: Arc<Lifeline>,
    flavor: PhantomData<F>,
}

/// For batches with room for fewer packets than this the ring is harvested in advance: what a burst
/// costs beside its packets is then shared by [`STAGED`] of them.
const FEW: usize = 8;
const STAGED: usize = 32;

/// A packet whose last descriptor has not come yet.
#[derive(Debug)]
enum Partial {
    None,
    Chain(Mbuf),
    /// What is left of a packet that was given up: skip to its end.
    Skip,
}

impl<B: Bar, F: Flavor> RxRing<B, F> {
    /// An empty ring; nothing is posted before [`fill`](Self::fill).
    pub(crate) fn new(setup: QueueSetup<'_, B>) -> Result<Self> {
        let size = setup.ring.descriptors().len();
        let geometry = setup.pool.geometry();
        // The NIC sets VP for every tagged frame, but only a tag that was taken out is in the tag
        // field.
        let kept = RxDesc::L4CS | RxDesc::IPCS | if setup.vlan_strip { RxDesc::VP } else { 0 };
        let path = RxSetup {
            special: F::RX_DAMAGED | 0b11 << F::RX_CHECKSUM_ERRORS,
            kept,
            geometry,
            first_chunk: setup.pool.mem().first_chunk(),
            chunks: &setup.chunks()?,
        };
        Ok(Self {
            tail: setup.bar.doorbell(setup.tail),
            ring: setup.ring,
            slots: SlotFifo::new(size),
            pool: setup.pool.clone(),
            geometry,
            path: RxPath::new(setup.path, &path),
            stride: stride(size),
            max_frame: setup.max_frame,
            kept,
            partial: Partial::None,
            staged: Batch::new(STAGED),
            stats: RxQueueStats::default(),
            life: setup.life.clone(),
            flavor: PhantomData,
        })
    }

    /// Posts buffers until the ring is full and writes the tail. The queue must be enabled
    /// (82599 datasheet 4.6.7: RDT only after RXDCTL.ENABLE reads back as one).
    ///
    /// # Errors
    /// [`Error::Config`] when the pool has too few buffers; those taken stay posted.
    pub(crate) fn fill(&mut self) -> Result<()> {
        let pool = self.pool.clone();
        let mut cache = pool.cache();
        self.refill(&mut cache);
        let (have, want) = (self.slots.len(), self.full());
        if have < want {
            return Err(Error::config(
                "pool size",
                pool.capacity(),
                format!("enough for all rings at once: this ring got {have} of {want} buffers"),
            ));
        }
        Ok(())
    }

    /// Most descriptors that may be posted: the tail must never catch up with the head.
    fn full(&self) -> usize {
        self.ring.descriptors().len() - 1
    }

    /// Posts buffers while there is room and a supply, then rings once.
    #[inline(always)]
    fn refill(&mut self, cache: &mut PoolCache) {
        let before = self.slots.len();
        while self.slots.len() < self.full() {
            let want = self.full() - self.slots.len();
            let at = self.slots.tail();
            let got = self.slots.fill_run(cache, want);
            if got == 0 {
                break;
            }
            let run = at..at + got;
            self.path.refill(self.slots.peek_run(run.clone()), &self.ring.descriptors()[run]);
            if B::SOFTWARE {
                self.slots.lend_rx(at..at + got);
            }
        }
        if self.slots.len() > before {
            dma_release();
            self.tail.ring(self.slots.tail() as u32);
        }
    }

    #[cold]
    fn refill_from_depot(&mut self) {
        let pool = self.pool.clone();
        self.refill(&mut pool.cache());
    }

    /// A burst for little room.
    #[inline(never)]
    fn rx_few(&mut self, cache: &mut PoolCache, out: &mut Batch) -> usize {
        let n = out.take_few(&mut self.staged);
        if out.room() == 0 { n } else { n + self.rx_staged(cache, out) }
    }

    #[inline(never)]
    fn rx_staged(&mut self, cache: &mut PoolCache, out: &mut Batch) -> usize {
        self.stage(cache);
        out.take_few(&mut self.staged)
    }

    /// Harvests in advance.
    fn stage(&mut self, cache: &mut PoolCache) {
        let mut staged = std::mem::replace(&mut self.staged, Batch::new(0));
        staged.compact();
        self.collect(cache, &mut staged);
        self.staged = staged;
    }

    #[inline(never)]
    fn rx_many(&mut self, cache: &mut PoolCache, out: &mut Batch) -> usize {
        out.compact();
        let before = out.len();
        if !self.staged.is_empty() {
            out.append(&mut self.staged);
        }
        self.collect(cache, out);
        out.len() - before
    }

    /// Takes what the NIC has written back, as far as there is room in `out`, and posts buffers in
    /// place of what was taken.
    #[inline(always)]
    fn collect(&mut self, cache: &mut PoolCache, out: &mut Batch) {
        while out.room() > 0 && self.slots.len() > 0 {
            if matches!(self.partial, Partial::None) {
                let descriptors = self.ring.descriptors();
                let run = self.slots.receive_run(B::SOFTWARE, out, descriptors, &self.path);
                self.stats.packets += run.arrived as u64;
                self.stats.bytes += run.bytes;
                self.stats.bad_descriptors += (run.gone - run.arrived) as u64;
                if run.gone > 0 {
                    continue;
                }
            }
            // The next one is not done, or not plain.
            let status = self.ring.descriptors()[self.slots.head()][1].load(Ordering::Relaxed);
            if status & RxDesc::DD == 0 {
                break;
            }
            self.harvest_one(out);
        }
        if self.full() - self.slots.len() >= self.stride {
            if *cache.pool() == self.pool {
                self.refill(cache);
            } else {
                self.refill_from_depot();
            }
            if self.full() - self.slots.len() >= self.stride {
                self.stats.pool_empty += 1;
            }
        }
    }

    /// Handles one done descriptor of any kind.
    #[cold]
    fn harvest_one(&mut self, out: &mut Batch) {
        let at = self.slots.head();
        let d = &self.ring.descriptors()[at];
        let w1 = d[1].load(Ordering::Acquire);
        dma_acquire();
        let meta = meta::<F>(d[0].load(Ordering::Relaxed), w1, self.kept);
        let end = w1 & RxDesc::EOP != 0;
        let Some(segment) = self.slots.receive_one(self.geometry, B::SOFTWARE, meta) else {
            // The device says done and is still at the buffer.
            self.stats.bad_descriptors += 1;
            self.partial = if end { Partial::None } else { Partial::Skip };
            return;
        };
        // The NIC fills each buffer but a packet's last, which bounds the length of a chain.
        let (len, room) = (RxDesc::length(w1), self.geometry.room());
        let sane = if end { (1..=room).contains(&len) } else { len == room };
        let damaged = w1 & F::RX_DAMAGED != 0;
        let packet = match std::mem::replace(&mut self.partial, Partial::None) {
            Partial::Skip => {
                if !end {
                    self.partial = Partial::Skip;
                }
                return;
            }
            Partial::None => segment,
            Partial::Chain(mut chain) => {
                chain.chain(segment);
                chain
            }
        };
        let len = packet.total_len();
        if !sane || len > usize::from(self.max_frame) {
            self.stats.bad_descriptors += 1;
            if !end {
                self.partial = Partial::Skip;
            }
        } else if !end {
            self.partial = Partial::Chain(packet);
        } else if damaged {
            self.stats.errors += 1;
        } else {
            let mut packet = packet;
            packet.set_meta(meta);
            self.stats.packets += 1;
            self.stats.bytes += len as u64;
            out.push_within(packet);
        }
    }
}

/// What the write-back of any packet says, as the packet handle keeps it.
fn meta<F: Flavor>(w0: u64, w1: u64, kept: u64) -> RxMeta {
    let mut info = w0 as u32 & TYPES | ((w1 & kept) as u32) << STATUS_SHIFT;
    let errors = w1 >> F::RX_CHECKSUM_ERRORS;
    if errors & 0b01 != 0 {
        info |= FLAG_L4_ERROR;
        if F::UDP_ERROR_UNRELIABLE && w1 & RxDesc::UDPCS != 0 {
            info &= !FLAG_L4_CHECKED;
        }
    }
    if errors & 0b10 != 0 {
        info |= FLAG_IP_ERROR;
    }
    RxMeta { size: (w1 >> 32) as u32, rss: (w0 >> 32) as u32, info }
}

impl<B: Bar, F: Flavor> QueueRx for RxRing<B, F> {
    #[inline]
    fn rx_burst(&mut self, cache: &mut PoolCache, out: &mut Batch) -> usize {
        if out.room() < FEW { self.rx_few(cache, out) } else { self.rx_many(cache, out) }
    }

    fn stats(&self) -> RxQueueStats {
        // What nobody has taken yet was not received yet.
        let bytes = |m: &Mbuf| m.total_len() as u64;
        RxQueueStats {
            packets: self.stats.packets - self.staged.len() as u64,
            bytes: self.stats.bytes - self.staged.iter().map(bytes).sum::<u64>(),
            ..self.stats
        }
    }

    fn backlog(&self) -> usize {
        let descriptors = self.ring.descriptors();
        let waits = |i: &usize| {
            let at = (self.slots.head() + i) % descriptors.len();
            descriptors[at][1].load(Ordering::Relaxed) & RxDesc::DD != 0
        };
        self.staged.len() + (0..self.slots.len()).take_while(waits).count()
    }

    fn size(&self) -> usize {
        self.ring.descriptors().len()
    }

    fn path(&self) -> PathChoice {
        self.path.choice().clone()
    }
}

impl<B: Bar, F: Flavor> Drop for RxRing<B, F> {
    fn drop(&mut self) {
        self.life.surrender(std::mem::replace(&mut self.slots, SlotFifo::new(0)));
    }
}
