//! rig82599: two 82599s that are not there, for a driver that does not know.
//!
//! Runs a program in a mount namespace where plain files stand for two PCI devices, and plays the
//! devices from outside of that program: registers in the files that it maps as `resource0`,
//! descriptors and buffers by physical address in its own files in a hugetlbfs. Nothing of the
//! driver is used here, so that both can be wrong in different ways only.
//!
//! What it does not have: interrupts, offloads, more than one queue, counters, a link that goes
//! down.

mod chip;
mod measure;
mod memory;
mod play;
mod rings;
mod stage;

use std::process::ExitCode;

use clap::Parser;

use rings::Way;

/// Plays two 82599s, 0000:03:00.0 and 0000:04:00.0, to PROGRAM, and prints what they saw as one
/// JSON object. Needs root and free hugepages of 2 MiB.
#[derive(Debug, Parser)]
struct Cli {
    /// What the program does with frames
    #[arg(long, value_enum, default_value_t = Way::Io)]
    way: Way,
    /// Frames to deliver on each port (generate: to be sent by both)
    #[arg(long, default_value_t = 100_000)]
    frames: u64,
    /// Frames that are under way at most, for each port
    #[arg(long, default_value_t = 256)]
    window: u64,
    /// Neither write nor read the frames themselves
    #[arg(long)]
    hollow: bool,
    /// Measure cycles instead: bursts of two sizes, in turns
    #[arg(long, value_parser = pair, value_name = "SMALL,LARGE")]
    bursts: Option<[usize; 2]>,
    /// Bursts of each size
    #[arg(long, default_value_t = 2000)]
    rounds: usize,
    /// Flush the descriptors from all caches before each burst, as if they came from memory
    #[arg(long)]
    dram: bool,
    /// How the program is told to end
    #[arg(long, default_value_t = libc::SIGINT)]
    signal: i32,
    /// Cores of the program and of the devices
    #[arg(long, value_parser = pair, default_value = "0,1")]
    cores: [usize; 2],
    /// Microseconds between a register's being written and the answer
    #[arg(long, default_value_t = 5)]
    delay: u64,
    /// The kernel driver that the devices seem to be bound to; none unless given
    #[arg(long)]
    driver: Option<String>,
    /// Number of the first device's UIO node; none unless given
    #[arg(long)]
    uio: Option<u32>,
    /// Bytes of config space
    #[arg(long, default_value_t = 4096)]
    config: u16,
    /// Command register at the start
    #[arg(long, default_value_t = 0)]
    command: u16,
    /// PCI device id
    #[arg(long, default_value_t = 0x10fb)]
    device: u16,
    /// No station addresses
    #[arg(long)]
    blank: bool,
    /// No files but vendor, device, class, config and resource0
    #[arg(long)]
    bare: bool,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    program: Vec<String>,
}

fn pair(text: &str) -> Result<[usize; 2], String> {
    let numbers = text.split(',').map(str::parse).collect::<Result<Vec<_>, _>>();
    numbers.ok().and_then(|n| n.try_into().ok()).ok_or_else(|| "two numbers".to_owned())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match play::run(&cli) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("rig82599: {error}");
            ExitCode::FAILURE
        }
    }
}
