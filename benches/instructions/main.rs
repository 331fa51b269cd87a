//! Instructions per packet of driver and pool, by path and burst size, beside what they may be and
//! what they were in the last release. `scripts/instructions` runs it; counts repeat exactly on
//! one build, whatever else the machine is doing, so a missed limit is a failure.
//!
//! Only the functions named `measured_*` are counted; what plays the NIC is outside of them. The
//! first table is for a NIC that is some packets behind the driver, as all are; the second for one
//! that has always done everything (see [`rig::Lag`]).

#[allow(dead_code)]
#[path = "../rig/mod.rs"]
mod rig;
#[cfg(target_arch = "x86_64")]
#[path = "../step/mod.rs"]
mod step;

mod callgrind;
mod cells;
mod limits;
#[cfg(target_arch = "x86_64")]
mod profile;
mod released;

use std::process::ExitCode;

use barewire::port::DataPath;
use clap::Parser;

use cells::{BATCHES, Counter, Nic, Row};
use released::Release;
use rig::Work;

/// Counts the instructions per packet of driver and pool.
///
/// Fails when a limit is missed.
#[derive(Debug, Parser)]
#[command(name = "instructions")]
struct Cli {
    /// Only these paths [default: all that the processor can run]
    #[arg(long, value_name = "PATH,PATH", value_delimiter = ',')]
    paths: Vec<DataPath>,
    /// Keep the figures as those of this release, in benches/released.txt
    #[arg(long, value_name = "VERSION")]
    save: Option<String>,
    /// Count some cells again under valgrind's callgrind, and fail when the two do not agree
    #[arg(long)]
    callgrind: bool,
    /// Print which lines the instructions of WORK at this path and batch come from, and end
    #[arg(long, value_name = "WORK", requires_all = ["path", "batch"])]
    profile: Option<String>,
    /// For --profile
    #[arg(long)]
    path: Option<DataPath>,
    /// For --profile
    #[arg(long)]
    batch: Option<usize>,
    /// For --profile: a NIC that has always done everything
    #[arg(long)]
    at_once: bool,
    /// What callgrind is to watch: the work, and how many packets
    #[arg(long, num_args = 2, hide = true)]
    cell: Option<Vec<String>>,
    /// `cargo bench` says so
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("instructions: {why}");
            ExitCode::from(2)
        }
    }
}

fn work(name: &str) -> Result<Work, String> {
    let known = Work::ALL.into_iter().find(|w| w.name() == name);
    known.ok_or_else(|| format!("no work is called {name}"))
}

/// Whether all is within its limits.
fn run(cli: &Cli) -> Result<bool, String> {
    let nic = if cli.at_once { Nic::AtOnce } else { Nic::Behind };
    if let (Some([name, packets]), Some(path), Some(n)) = (cli.cell.as_deref(), cli.path, cli.batch)
    {
        let packets = packets.parse().map_err(|e| format!("{packets}: {e}"))?;
        cells::run(work(name)?, path, nic, n, packets);
        return Ok(true);
    }
    if let (Some(name), Some(path), Some(n)) = (&cli.profile, cli.path, cli.batch) {
        #[cfg(target_arch = "x86_64")]
        return profile::print(work(name)?, path, nic, n).map(|()| true);
        #[cfg(not(target_arch = "x86_64"))]
        return Err(format!("{name} on {path} at {n}: only x86-64 can be stepped"));
    }
    let counter = Counter::new()?;
    let paths: Vec<_> = match &cli.paths[..] {
        [] => DataPath::supported().collect(),
        some => some.to_vec(),
    };
    let behind = cells::rows(&counter, &paths, Nic::Behind)?;
    let at_once = cells::rows(&counter, &paths, Nic::AtOnce)?;
    let two = cells::two_threads(&counter, &paths)?;

    println!(
        "instructions per packet of driver and pool, {counter}; rings of 512, frames of 60 bytes\n"
    );
    table(&behind, Nic::Behind);
    table(&at_once, Nic::AtOnce);
    let met = limits::print(&behind, &two);
    let all: Vec<Row> = behind.into_iter().chain(at_once).collect();
    match &cli.save {
        Some(version) => Release::save(version, &all)?,
        None => Release::read()?.compare(&all),
    }
    let agreed = !cli.callgrind || callgrind::agrees(&all)?;
    Ok(met && agreed)
}

fn table(rows: &[Row], nic: Nic) {
    print!("{nic}\n{:18}", "");
    BATCHES.iter().for_each(|n| print!("{n:>8}"));
    println!();
    for (i, row) in rows.iter().enumerate() {
        let first = i == 0 || rows[i - 1].work != row.work;
        print!("{:10}{:8}", if first { row.work.name() } else { "" }, row.path_name());
        row.each.iter().for_each(|each| print!("{each:8.1}"));
        println!("{}", if first { format!("   {}", row.work.what()) } else { String::new() });
    }
    println!();
}
