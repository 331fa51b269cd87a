//! What a packet may cost.

use barewire::port::DataPath;

use crate::cells::{Row, Scaling};
use crate::rig::Work;

/// Instructions per packet at one burst size.
struct Limit {
    work: Work,
    batch: usize,
    /// On every vector path.
    vector: f64,
    /// What DPDK's vector path takes.
    dpdk: Option<f64>,
}

/// At a burst of 1, io may cost 1.6 times what it may at 32.
const LIMITS: [Limit; 5] = [
    Limit { work: Work::Io, batch: 32, vector: 45.0, dpdk: Some(92.0) },
    Limit { work: Work::Macswap, batch: 32, vector: 60.0, dpdk: Some(111.0) },
    Limit { work: Work::Tx, batch: 32, vector: 45.0, dpdk: Some(70.0) },
    Limit { work: Work::Rx, batch: 32, vector: 35.0, dpdk: Some(87.0) },
    Limit { work: Work::Io, batch: 1, vector: 1.6 * 45.0, dpdk: None },
];

/// Where a path falls short of its limit, and what it takes: no more than that. docs/performance.md
/// says why.
const SHORT: [(Work, usize, DataPath, f64); 13] = [
    (Work::Io, 32, DataPath::Sse41, 62.5),
    (Work::Io, 32, DataPath::Scalar, 79.0),
    (Work::Macswap, 32, DataPath::Avx2, 66.5),
    (Work::Macswap, 32, DataPath::Sse41, 87.0),
    (Work::Macswap, 32, DataPath::Scalar, 104.0),
    (Work::Tx, 32, DataPath::Avx2, 46.0),
    (Work::Tx, 32, DataPath::Sse41, 54.5),
    (Work::Rx, 32, DataPath::Sse41, 44.0),
    (Work::Rx, 32, DataPath::Scalar, 54.0),
    (Work::Io, 1, DataPath::Avx512, 188.0),
    (Work::Io, 1, DataPath::Avx2, 194.0),
    (Work::Io, 1, DataPath::Sse41, 206.0),
    (Work::Io, 1, DataPath::Scalar, 214.0),
];

/// The scalar path may take so many times as much.
const SCALAR: f64 = 1.5;

/// What two cores must do at least, when one does 1.
const TWO_CORES: f64 = 1.95;

impl Limit {
    fn of(&self, path: DataPath) -> f64 {
        if path == DataPath::Scalar { SCALAR * self.vector } else { self.vector }
    }
}

fn figure(rows: &[Row], work: Work, path: DataPath, batch: usize) -> Option<f64> {
    let row = rows.iter().find(|r| r.work == work && r.path == Some(path));
    row.and_then(|r| r.at(batch))
}

/// What a path may really take: its limit, or what is known to be more.
fn bound(limit: &Limit, path: DataPath) -> f64 {
    let known = SHORT
        .iter()
        .find(|(work, batch, of, _)| (*work, *batch, *of) == (limit.work, limit.batch, path));
    known.map_or(limit.of(path), |(.., most)| most.max(limit.of(path)))
}

/// Prints the limits beside the figures, and returns whether all are met that were before.
pub(crate) fn print(rows: &[Row], scaling: &[Scaling]) -> bool {
    let mut paths: Vec<_> = rows.iter().filter_map(|r| r.path).collect();
    paths.sort();
    paths.dedup();
    paths.reverse();
    let (mut missed, mut worse) = (0, 0);
    let mut mark = |bad: bool, known: bool| {
        missed += usize::from(bad);
        worse += usize::from(bad && !known);
        match (bad, known) {
            (false, _) => ' ',
            (true, true) => '-',
            (true, false) => '!',
        }
    };

    print!("{:22}{:>6}{:>8}", "limits", "DPDK", "vector");
    paths.iter().for_each(|p| print!("{:>9}", p.name()));
    println!("{:>9}", "(limit)");
    for limit in &LIMITS {
        let name = format!("{} at {}", limit.work.name(), limit.batch);
        let dpdk = limit.dpdk.map_or("-".to_owned(), |n| n.to_string());
        print!("{name:22}{dpdk:>6}{:>8}", format!("<={}", limit.vector));
        for path in &paths {
            let each = figure(rows, limit.work, *path, limit.batch).unwrap_or(f64::NAN);
            let bad = each.is_nan() || each > limit.of(*path);
            print!("{each:8.1}{}", mark(bad, each <= bound(limit, *path)));
        }
        println!("{:>8}", format!("<={}", SCALAR * limit.vector));
    }
    print!("{:22}{:>6}{:>8}", "io at 1 / io at 32", "", "");
    for path in &paths {
        let at = |n| figure(rows, Work::Io, *path, n).unwrap_or(f64::NAN);
        print!("{:7.2}x ", at(1) / at(32));
    }
    println!();
    for work in [Work::Io, Work::Pool] {
        let name = format!("{}, 2 threads / 1", work.name());
        print!("{name:22}{:>6}{:>8}", "", format!(">={TWO_CORES}"));
        let of = |path| scaling.iter().find(|s| s.work == work && s.path == path);
        // Nothing is known where only callgrind counts.
        let mut show = |s: &Scaling| print!("{:7.2}x{}", s.ratio, mark(s.ratio < TWO_CORES, false));
        paths.iter().filter_map(|p| of(Some(*p))).for_each(&mut show);
        of(None).into_iter().for_each(&mut show);
        println!();
    }
    println!(
        "{missed} limits missed, {worse} of them (!) for the first time or by more than known"
    );
    println!();
    worse == 0
}
