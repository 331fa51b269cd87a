//! Instructions per packet of driver and pool, counted by callgrind: the table that
//! `cargo bench --bench instructions` prints. Counts repeat exactly on one build, whatever else
//! the machine is doing.
//!
//! The bench starts itself under valgrind once for each cell and counts only inside the functions
//! named `measured_*`; what plays the NIC is outside of them.

mod rig;

use std::process::{Command, ExitCode};

use barewire::{Batch, PoolCache};
use rig::Rig;

const BATCHES: [usize; 6] = [1, 4, 8, 32, 64, 256];
const WORKS: [(&str, &str); 5] = [
    ("io", "io-forward: receive on one port, send on the other, packet untouched"),
    ("macswap", "forward with the addresses swapped"),
    ("tx", "allocate, write 4 bytes, send"),
    ("rx", "receive and free"),
    ("pool", "allocate and free, no NIC"),
];
/// What io-forward at batch 32 may cost; counts repeat, so this is no timed test.
const LIMIT: f64 = 120.0;
const PACKETS: usize = 1 << 16;

#[inline(never)]
fn measured_io(a: &mut Rig, b: &mut Rig, cache: &mut PoolCache, batch: &mut Batch) -> usize {
    a.rx.rx_burst(cache, batch);
    b.tx.tx_burst(cache, batch)
}

#[inline(never)]
fn measured_macswap(a: &mut Rig, b: &mut Rig, cache: &mut PoolCache, batch: &mut Batch) -> usize {
    a.rx.rx_burst(cache, batch);
    for m in batch.iter_mut() {
        if let Some((dst, rest)) = m.data_mut().split_first_chunk_mut::<6>()
            && let Some(src) = rest.first_chunk_mut::<6>()
        {
            std::mem::swap(dst, src);
        }
    }
    b.tx.tx_burst(cache, batch)
}

#[inline(never)]
fn measured_tx(b: &mut Rig, cache: &mut PoolCache, batch: &mut Batch, n: usize) -> usize {
    cache.alloc_batch_sized(batch, n, 60).expect("a buffer has room for it");
    for m in batch.iter_mut() {
        if let Some(first) = m.data_mut().first_chunk_mut::<4>() {
            *first = 1u32.to_ne_bytes();
        }
    }
    b.tx.tx_burst(cache, batch)
}

#[inline(never)]
fn measured_rx(a: &mut Rig, cache: &mut PoolCache, batch: &mut Batch) -> usize {
    let n = a.rx.rx_burst(cache, batch);
    cache.free_batch(batch);
    n
}

#[inline(never)]
fn measured_pool(cache: &mut PoolCache, batch: &mut Batch, n: usize) -> usize {
    cache.alloc_batch(batch, n);
    cache.free_batch(batch);
    n
}

/// One cell of the table, in the process that valgrind watches.
fn cell(work: &str, n: usize) {
    let (pool, mut cache) = rig::pool();
    let (mut a, mut b) = (Rig::new(&pool, 512), Rig::new(&pool, 512));
    let mut batch = Batch::new(n);
    let mut done = 0;
    while done < PACKETS {
        let got = match work {
            "io" | "macswap" | "rx" => {
                a.deliver(n);
                match work {
                    "io" => measured_io(&mut a, &mut b, &mut cache, &mut batch),
                    "macswap" => measured_macswap(&mut a, &mut b, &mut cache, &mut batch),
                    _ => measured_rx(&mut a, &mut cache, &mut batch),
                }
            }
            "tx" => measured_tx(&mut b, &mut cache, &mut batch, n),
            _ => measured_pool(&mut cache, &mut batch, n),
        };
        b.transmit();
        assert_eq!(got, n, "{work}: every packet must get through");
        done += n;
    }
}

/// Instructions inside the measured functions, as callgrind reports them.
fn count(work: &str, n: usize) -> Option<u64> {
    let exe = std::env::current_exe().ok()?;
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*measured_*")
        .arg(exe)
        .args(["--cell", work, &n.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&run.stderr);
    if !run.status.success() {
        eprintln!("{text}");
        return None;
    }
    let line = text.lines().find(|l| l.contains("Collected"))?;
    line.split_whitespace().last()?.parse().ok()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    if let [_, flag, work, n] = args.as_slice()
        && flag == "--cell"
    {
        cell(work, n.parse().unwrap_or(32));
        return ExitCode::SUCCESS;
    }
    println!("instructions per packet, driver and pool, scalar path (callgrind)\n");
    print!("{:10}", "batch");
    BATCHES.iter().for_each(|n| print!("{n:>8}"));
    println!();
    let mut over = false;
    for (work, what) in WORKS {
        print!("{work:10}");
        for n in BATCHES {
            match count(work, n) {
                Some(total) => {
                    let packets = PACKETS.div_ceil(n) * n;
                    let each = total as f64 / packets as f64;
                    print!("{each:8.1}");
                    over |= work == "io" && n == 32 && each >= LIMIT;
                }
                None => {
                    eprintln!(
                        "instructions: valgrind is needed (Debian: apt-get install valgrind)"
                    );
                    return ExitCode::from(2);
                }
            }
        }
        println!("   {what}");
    }
    if over {
        eprintln!("io at batch 32 must stay below {LIMIT}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
