//! The burst interface. Applications hold boxed queues: one indirect call per burst.

use std::fmt;

use super::{PathChoice, RxQueueStats, TxQueueStats};
use crate::pool::{Batch, PoolCache};

/// What a driver implements for a receive queue.
pub trait QueueRx: Send + fmt::Debug {
    /// See [`RxQueue::rx_burst`].
    fn rx_burst(&mut self, cache: &mut PoolCache, out: &mut Batch) -> usize;
    /// Counters since the start.
    fn stats(&self) -> RxQueueStats;
    /// Received descriptors that wait to be taken, at most the ring size.
    fn backlog(&self) -> usize;
    /// Ring size in descriptors.
    fn size(&self) -> usize;
    /// See [`RxQueue::path`].
    fn path(&self) -> PathChoice;
}

/// What a driver implements for a transmit queue.
pub trait QueueTx: Send + fmt::Debug {
    /// See [`TxQueue::tx_burst`].
    fn tx_burst(&mut self, cache: &mut PoolCache, packets: &mut Batch) -> usize;
    /// See [`TxQueue::reclaim`].
    fn reclaim(&mut self, cache: &mut PoolCache) -> usize;
    /// Counters since the start.
    fn stats(&self) -> TxQueueStats;
    /// Descriptors that hold a packet which the driver has not taken back yet.
    fn in_flight(&self) -> usize;
    /// Ring size in descriptors.
    fn size(&self) -> usize;
    /// See [`TxQueue::path`].
    fn path(&self) -> PathChoice;
}

/// A receive queue. Movable to another thread, usable from one at a time.
#[derive(Debug)]
pub struct RxQueue(pub(crate) Box<dyn QueueRx>);

/// A transmit queue. Movable to another thread, usable from one at a time.
#[derive(Debug)]
pub struct TxQueue(pub(crate) Box<dyn QueueTx>);

impl RxQueue {
    /// Wraps a driver's queue.
    pub fn new(queue: impl QueueRx + 'static) -> Self {
        Self(Box::new(queue))
    }

    /// Takes received packets until `out` is full or none is left, and returns how many came.
    ///
    /// Free buffers for the ring come from `cache`, which should belong to the pool that the port
    /// was started with; another pool's cache is left alone and the shared depot used instead, at
    /// the price of a temporary cache. With the right cache it never blocks, allocates, or makes a
    /// system call.
    #[inline]
    pub fn rx_burst(&mut self, cache: &mut PoolCache, out: &mut Batch) -> usize {
        self.0.rx_burst(cache, out)
    }

    /// Counters since the start.
    pub fn stats(&self) -> RxQueueStats {
        self.0.stats()
    }

    /// Received descriptors that wait to be taken.
    pub fn backlog(&self) -> usize {
        self.0.backlog()
    }

    /// Ring size in descriptors.
    pub fn size(&self) -> usize {
        self.0.size()
    }

    /// Which code carries its packets.
    pub fn path(&self) -> PathChoice {
        self.0.path()
    }
}

impl TxQueue {
    /// Wraps a driver's queue.
    pub fn new(queue: impl QueueTx + 'static) -> Self {
        Self(Box::new(queue))
    }

    /// Sends packets from the front of `packets` until it is empty or the ring is full, and
    /// returns how many were taken. Those left over stay in `packets`, in order, for the caller
    /// to try again or drop.
    ///
    /// A packet that can never be sent (shorter than 17 bytes, longer than the port's largest
    /// frame, more than 38 segments, memory of a pool that is not attached) is taken, freed, and counted in
    /// [`TxQueueStats::errors`]. Buffers of sent packets go to `cache`.
    /// Never blocks, allocates, or makes a system call.
    #[inline]
    pub fn tx_burst(&mut self, cache: &mut PoolCache, packets: &mut Batch) -> usize {
        self.0.tx_burst(cache, packets)
    }

    /// Takes back the buffers of packets that the NIC has reported sent, and returns how many
    /// descriptors were freed. [`tx_burst`](Self::tx_burst) does this by itself. At
    /// any time up to 63 sent packets may stay [`in_flight`](Self::in_flight) until more are sent,
    /// because reports are asked for every 64 descriptors; so do not wait for zero, and have that
    /// many more buffers in the pool.
    pub fn reclaim(&mut self, cache: &mut PoolCache) -> usize {
        self.0.reclaim(cache)
    }

    /// Counters since the start.
    pub fn stats(&self) -> TxQueueStats {
        self.0.stats()
    }

    /// Descriptors whose packet has not been taken back yet.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight()
    }

    /// Ring size in descriptors.
    pub fn size(&self) -> usize {
        self.0.size()
    }

    /// Which code carries its packets.
    pub fn path(&self) -> PathChoice {
        self.0.path()
    }
}
