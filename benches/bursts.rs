//! What a burst of 32 costs in time, by path: with descriptors in the processor's caches (hot), and
//! with those that the NIC wrote only in memory (dram), as after DMA that goes past the caches. The
//! NIC's part is not timed.
//!
//! Times on a machine that does other things are good for ratios within one run; what can be
//! compared between days is `scripts/instructions`.

#[allow(dead_code)]
#[path = "rig/mod.rs"]
mod rig;

use std::time::Duration;

use barewire::port::DataPath;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use rig::{Bench, RigConfig, UNCLOCKED, Work};

const BURST: usize = 32;

fn bench(c: &mut Criterion) {
    let (pool, _) = rig::pool();
    for work in [Work::Rx, Work::Tx, Work::Io, Work::Macswap, Work::Worker, Work::Doorbell] {
        let mut g = c.benchmark_group(work.name());
        let elements = if work.has_path() { BURST } else { 1 };
        g.throughput(Throughput::Elements(elements as u64));
        let all = DataPath::supported();
        let paths = all.filter(|p| work.has_path() || *p == DataPath::Scalar);
        for (path, flush) in paths.flat_map(|path| [(path, false), (path, true)]) {
            let name = match (work.has_path(), flush) {
                (true, false) => format!("{path}, hot"),
                (true, true) => format!("{path}, dram"),
                (false, false) => "one".to_owned(),
                (false, true) => continue,
            };
            let cfg = RigConfig { path: Some(path), flush, ..RigConfig::default() };
            let mut bench = Bench::new(&pool, work, BURST, cfg);
            g.bench_function(name, |b| {
                b.iter_custom(|n| {
                    let bursts = usize::try_from(n).unwrap_or(usize::MAX);
                    let each = bench.time(bursts, UNCLOCKED);
                    Duration::from_secs_f64(each.as_secs_f64() * n as f64)
                });
            });
        }
        g.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = bench
}
criterion_main!(benches);
