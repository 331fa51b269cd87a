//! What the pool costs: bursts of 32 through a worker's cache, on one thread and on two at a time.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use barewire::mem::Backing;
use barewire::pool::PoolConfig;
use barewire::{Batch, Mempool};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const BURST: usize = 32;

fn pool() -> Mempool {
    let cfg = PoolConfig { count: 8192, backing: Backing::Auto, ..PoolConfig::default() };
    Mempool::new(&cfg).expect("memory for 8,192 buffers")
}

/// `rounds` times: take a burst, give it back.
fn work(pool: &Mempool, rounds: u64) -> Duration {
    let mut cache = pool.cache();
    let mut batch = Batch::new(BURST);
    let start = Instant::now();
    for _ in 0..rounds {
        cache.alloc_batch(&mut batch, BURST);
        cache.free_batch(std::hint::black_box(&mut batch));
    }
    start.elapsed()
}

/// The same, but every burst goes through the shared depot.
fn depot_work(pool: &Mempool, rounds: u64) -> Duration {
    let mut batch = Batch::new(256);
    let start = Instant::now();
    for _ in 0..rounds {
        let mut cache = pool.cache();
        cache.alloc_batch(&mut batch, 256);
        cache.free_batch(std::hint::black_box(&mut batch));
    }
    start.elapsed()
}

fn two_threads(pool: &Mempool, rounds: u64) -> Duration {
    let barrier = Barrier::new(2);
    std::thread::scope(|s| {
        let other = s.spawn(|| {
            barrier.wait();
            work(pool, rounds)
        });
        barrier.wait();
        work(pool, rounds).max(other.join().expect("no panic"))
    })
}

fn bench(c: &mut Criterion) {
    let pool = pool();
    let mut g = c.benchmark_group("pool");
    g.throughput(Throughput::Elements(BURST as u64));
    g.bench_function("burst of 32, one thread", |b| b.iter_custom(|n| work(&pool, n)));
    g.bench_function("burst of 32, each of two threads", |b| {
        b.iter_custom(|n| two_threads(&pool, n));
    });
    g.throughput(Throughput::Elements(256));
    g.bench_function("256 through the depot", |b| b.iter_custom(|n| depot_work(&pool, n)));
    g.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
