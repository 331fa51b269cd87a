//! What is measured: one function a burst, on two ports of one pool.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use barewire::mmio::{Bar, Doorbell};
use barewire::{Batch, Mempool, PoolCache};

use super::bar::RigBar;
use super::{Rig, RigConfig};

/// What a worker does with a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Receive on one port, send on the other; packets are not touched.
    Io,
    /// The same with the addresses swapped.
    Macswap,
    /// Allocate, write 4 bytes, send.
    Tx,
    /// Receive and free.
    Rx,
    /// A turn of a forwarder's loop: as `Io`, and what is around it.
    Worker,
    /// Allocate and free, no NIC.
    Pool,
    /// Write one tail register.
    Doorbell,
}

/// One burst. Returns how many packets it moved. A plain function with one argument, so that it
/// can be stepped, and found by its name in callgrind's output.
pub(crate) type Burst = extern "C" fn(&mut Bench) -> usize;

impl Work {
    pub(crate) const ALL: [Self; 7] =
        [Self::Io, Self::Macswap, Self::Tx, Self::Rx, Self::Worker, Self::Pool, Self::Doorbell];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Macswap => "macswap",
            Self::Tx => "tx",
            Self::Rx => "rx",
            Self::Worker => "worker",
            Self::Pool => "pool",
            Self::Doorbell => "doorbell",
        }
    }

    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Io => "receive on one port, send on the other, packet untouched",
            Self::Macswap => "the same with the addresses swapped",
            Self::Tx => "allocate, write 4 bytes, send",
            Self::Rx => "receive and free",
            Self::Worker => "io in a loop that can be stopped and polls the way back, idle, too",
            Self::Pool => "allocate and free, no NIC",
            Self::Doorbell => "one tail write a burst",
        }
    }

    /// Whether it has anything to do with descriptors.
    pub(crate) const fn has_path(self) -> bool {
        !matches!(self, Self::Pool | Self::Doorbell)
    }

    pub(crate) const fn burst(self) -> Burst {
        match self {
            Self::Io => measured_io,
            Self::Macswap => measured_macswap,
            Self::Tx => measured_tx,
            Self::Rx => measured_rx,
            Self::Worker => measured_worker,
            Self::Pool => measured_pool,
            Self::Doorbell => measured_doorbell,
        }
    }

    const fn receives(self) -> bool {
        matches!(self, Self::Io | Self::Macswap | Self::Rx | Self::Worker)
    }
}

/// A worker with a port to receive on and one to send on.
#[derive(Debug)]
pub(crate) struct Bench {
    a: Rig,
    b: Rig,
    cache: PoolCache,
    batch: Batch,
    /// Packets of a burst.
    n: usize,
    bell: <RigBar as Bar>::Bell,
    stop: AtomicBool,
    work: Work,
}

/// Packets between two looks at the clock, each of which takes as long as a few of them. The NIC
/// moves as much at once, so it is not more than a worker's cache has room for.
pub(crate) const UNCLOCKED: usize = 128;

impl Bench {
    pub(crate) fn new(pool: &Mempool, work: Work, n: usize, cfg: RigConfig) -> Self {
        let (a, b) = (Rig::new(pool, cfg), Rig::new(pool, cfg));
        let bell = b.bell();
        let (cache, batch, stop) = (pool.cache(), Batch::new(n), AtomicBool::new(false));
        Self { a, b, cache, batch, n, bell, stop, work }
    }

    /// The NIC's part before `bursts` of them.
    pub(crate) fn before(&mut self, bursts: usize) {
        if self.work.receives() {
            self.a.deliver(self.n * bursts);
        }
    }

    /// The NIC's part afterwards.
    pub(crate) fn after(&mut self) {
        self.b.transmit();
    }

    /// One burst with the NIC's part, through `run`, which is to call the function.
    ///
    /// # Panics
    /// When not every packet gets through: then the rig is at fault, and nothing was measured.
    pub(crate) fn turn(&mut self, run: impl FnOnce(Burst, &mut Self) -> usize) {
        self.before(1);
        let got = run(self.work.burst(), self);
        assert_eq!(got, self.n, "{}: every packet must get through", self.work.name());
        self.after();
    }

    /// At least so many bursts, the NIC moving after each `bunch` of packets. Returns how long a
    /// burst takes without the NIC's part: the median, for others use this machine too.
    ///
    /// # Panics
    /// As [`turn`](Self::turn).
    pub(crate) fn time(&mut self, bursts: usize, bunch: usize) -> Duration {
        let (f, group) = (self.work.burst(), (bunch / self.n).max(1));
        let looking = median((0..256).map(|_| Instant::now().elapsed()));
        let each = median((0..bursts.div_ceil(group)).map(|_| {
            self.before(group);
            let start = Instant::now();
            let got: usize = (0..group).map(|_| f(self)).sum();
            let took = start.elapsed();
            assert_eq!(got, group * self.n, "{}: all must get through", self.work.name());
            self.after();
            took
        }));
        each.saturating_sub(looking) / group as u32
    }

    /// So many turns, each measured function called as it is.
    pub(crate) fn turns(&mut self, n: usize) {
        for _ in 0..n {
            self.turn(|f, bench| f(bench));
        }
    }
}

fn median(all: impl Iterator<Item = Duration>) -> Duration {
    let mut all: Vec<_> = all.collect();
    let middle = all.len() / 2;
    *all.select_nth_unstable(middle).1
}

#[inline(never)]
extern "C" fn measured_io(w: &mut Bench) -> usize {
    w.a.rx.rx_burst(&mut w.cache, &mut w.batch);
    w.b.tx.tx_burst(&mut w.cache, &mut w.batch)
}

#[inline(never)]
extern "C" fn measured_macswap(w: &mut Bench) -> usize {
    w.a.rx.rx_burst(&mut w.cache, &mut w.batch);
    for m in w.batch.iter_mut() {
        if let Some(addresses) = m.data_mut().first_chunk_mut::<12>() {
            let (dst, src) = addresses.split_at_mut(6);
            dst.swap_with_slice(src);
        }
    }
    w.b.tx.tx_burst(&mut w.cache, &mut w.batch)
}

#[inline(never)]
extern "C" fn measured_tx(w: &mut Bench) -> usize {
    w.cache.alloc_batch(&mut w.batch, w.n);
    for m in w.batch.iter_mut() {
        if m.set_len(60).is_ok()
            && let Some(first) = m.data_mut().first_chunk_mut::<4>()
        {
            *first = 1u32.to_ne_bytes();
        }
    }
    w.b.tx.tx_burst(&mut w.cache, &mut w.batch)
}

#[inline(never)]
extern "C" fn measured_rx(w: &mut Bench) -> usize {
    let n = w.a.rx.rx_burst(&mut w.cache, &mut w.batch);
    w.cache.free_batch(&mut w.batch);
    n
}

#[inline(never)]
extern "C" fn measured_worker(w: &mut Bench) -> usize {
    if w.stop.load(Ordering::Relaxed) {
        return 0;
    }
    let (a, b) = (&mut w.a, &mut w.b);
    let mut sent = 0;
    for (rx, tx) in [(&mut a.rx, &mut b.tx), (&mut b.rx, &mut a.tx)] {
        if rx.rx_burst(&mut w.cache, &mut w.batch) == 0 {
            continue;
        }
        sent += tx.tx_burst(&mut w.cache, &mut w.batch);
        if !w.batch.is_empty() {
            w.cache.free_batch(&mut w.batch);
        }
    }
    sent
}

#[inline(never)]
extern "C" fn measured_pool(w: &mut Bench) -> usize {
    w.cache.alloc_batch(&mut w.batch, w.n);
    w.cache.free_batch(&mut w.batch);
    w.n
}

#[inline(never)]
extern "C" fn measured_doorbell(w: &mut Bench) -> usize {
    // The tail where it is: nothing is posted.
    w.bell.ring(0);
    w.n
}
