//! The same count by callgrind, which knows other things about a processor than we do.

use std::process::Command;

use barewire::port::DataPath;

use crate::cells::{Nic, Row, in_parallel};
use crate::rig::Work;

/// Packets of the longer run; the other one has half as many.
const PACKETS: usize = 1 << 14;
/// By how much the two may differ. Valgrind shows the C library another processor, so its copies
/// are others.
const TOLERANCE: f64 = 0.02;

/// Instructions per packet: the slope between two runs, so that the start does not count.
pub(crate) fn count(work: Work, path: DataPath, nic: Nic, n: usize) -> Result<f64, String> {
    let more = collected(work, path, nic, n, PACKETS)?;
    let less = collected(work, path, nic, n, PACKETS / 2)?;
    Ok(more.saturating_sub(less) as f64 / (PACKETS / 2) as f64)
}

/// Instructions inside the measured function.
fn collected(
    work: Work,
    path: DataPath,
    nic: Nic,
    n: usize,
    packets: usize,
) -> Result<u64, String> {
    let exe = std::env::current_exe().map_err(|e| e.to_string())?;
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*measured_*")
        .arg(exe)
        .args(["--cell", work.name(), &packets.to_string()])
        .args(["--path", path.name(), "--batch", &n.to_string()])
        .args((nic == Nic::AtOnce).then_some("--at-once"))
        .output()
        .map_err(|e| format!("valgrind is needed (Debian: apt-get install valgrind): {e}"))?;
    let text = String::from_utf8_lossy(&run.stderr);
    let count = text.lines().find(|l| l.contains("Collected")).and_then(|line| {
        line.split_whitespace().last()?.parse().ok().filter(|_| run.status.success())
    });
    count.ok_or_else(|| format!("callgrind of {} on {path} failed:\n{text}", work.name()))
}

/// Counts batches of 32 again, on the paths that valgrind can run, and says whether both agree.
pub(crate) fn agrees(rows: &[Row]) -> Result<bool, String> {
    let mine: Vec<_> = rows
        .iter()
        .filter(|r| r.nic == Nic::Behind && r.path != Some(DataPath::Avx512))
        .filter_map(|r| r.at(32).map(|each| (r, each)))
        .collect();
    let theirs = in_parallel(mine.len(), |i| {
        let row = mine[i].0;
        count(row.work, row.path.unwrap_or(DataPath::Scalar), row.nic, 32)
    });
    println!("batch 32{:10}{:>8}{:>11}", "", "steps", "callgrind");
    let mut all = true;
    for ((row, each), theirs) in mine.iter().zip(theirs) {
        let theirs = theirs?;
        let near = (each - theirs).abs() <= TOLERANCE * theirs;
        all &= near;
        let bad = if near { "" } else { " !" };
        println!("{:10}{:8}{each:8.1}{theirs:11.1}{bad}", row.work.name(), row.path_name());
    }
    if !all {
        println!("the two do not agree (!)");
    }
    Ok(all)
}
