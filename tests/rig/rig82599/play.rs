//! A run from the program's start to its end.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use memmap2::{MmapOptions, MmapRaw};
use serde_json::{Value, json};

use crate::chip::{Chip, RDT, TDT};
use crate::memory::Memory;
use crate::rings::{Held, Port, Way};
use crate::{Cli, measure, stage};

/// Command.BUS_MASTER, in byte 4 of config space.
const BUS_MASTER: u8 = 1 << 2;
/// How long the program may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// Turns of the loop between two looks at anything but tails.
const LOOK_EVERY: u32 = 16;
/// Turns between two looks at whether the program lives.
const LIFE_EVERY: u32 = 1 << 14;
/// Frames that are delivered at a time.
const BURST: usize = 32;

/// Both devices.
pub(crate) struct Rig {
    pub(crate) chips: [Chip; 2],
    pub(crate) ports: [Port; 2],
    pub(crate) memory: Memory,
    configs: [MmapRaw; 2],
    turns: u32,
}

pub(crate) fn run(cli: &Cli) -> io::Result<Value> {
    stage::set(cli)?;
    stage::pin(0, cli.cores[1])?;
    let delay = Duration::from_micros(cli.delay);
    let mac = |n| if cli.blank { [0; 6] } else { [0x02, 0x10, 0xfb, 0, 0, n] };
    let mut rig = Rig {
        chips: [
            Chip::new(&stage::open(0, "resource0")?, mac(0), delay)?,
            Chip::new(&stage::open(1, "resource0")?, mac(1), delay)?,
        ],
        ports: Default::default(),
        memory: Memory::new(Path::new(stage::HUGEPAGES))?,
        configs: [config(&stage::open(0, "config")?)?, config(&stage::open(1, "config")?)?],
        turns: 0,
    };
    let mut child = stage::start(&cli.program, cli.cores[0])?;
    stage::hurry()?;
    let mut cycles = None;
    let played = match cli.bursts {
        None => rig.play(cli, &mut child),
        Some(sizes) => measure::run(&mut rig, cli, sizes, &mut child).map(|c| {
            cycles = Some(c);
            None
        }),
    };
    if played.is_err() {
        child.kill()?;
    }
    let status = match played? {
        Some(early) => early,
        None => rig.end(cli, &mut child)?,
    };
    let mut report = rig.report(status);
    report["cycles"] = json!(cycles);
    Ok(report)
}

fn config(file: &File) -> io::Result<MmapRaw> {
    MmapOptions::new().len(64).map_raw(file)
}

impl Rig {
    /// Until every frame went its way. Some status: the program ended by itself.
    fn play(&mut self, cli: &Cli, child: &mut Child) -> io::Result<Option<ExitStatus>> {
        let mut moved = Instant::now();
        loop {
            if self.pass(cli) > 0 {
                moved = Instant::now();
            }
            if self.done(cli) {
                return Ok(None);
            }
            if self.turns.is_multiple_of(LIFE_EVERY) {
                if let Some(status) = child.try_wait()? {
                    return Ok(Some(status));
                }
                if moved.elapsed() > PATIENCE {
                    return Err(io::Error::other(format!("nothing moves: {}", self.counts())));
                }
            }
        }
    }

    /// Registers, now and then.
    pub(crate) fn look(&mut self) {
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(LOOK_EVERY) {
            let now = Instant::now();
            for n in 0..2 {
                self.chips[n].look(now);
                self.ports[n].look(&self.chips[n], &mut self.memory);
            }
        }
    }

    /// Lets frames through both ports. Returns how many moved.
    fn pass(&mut self, cli: &Cli) -> usize {
        self.look();
        let mut moved = 0;
        for n in 0..2 {
            self.ports[n].tails(&self.chips[n]);
            if !self.master(n) {
                continue;
            }
            let (seen, out) = (self.ports[n].seen, self.ports[1 - n].seen.sent);
            if cli.way != Way::Generate {
                let mut most = (cli.frames - seen.delivered).min(BURST as u64);
                if cli.way.forwards() {
                    most = most.min(cli.window.saturating_sub(seen.delivered - out));
                }
                let touch = !cli.hollow;
                let (port, chip) = (&mut self.ports[n], &self.chips[n]);
                moved += port.deliver(chip, &mut self.memory, most as usize, cli.way, touch);
            }
            moved += self.send(n, cli, usize::MAX);
        }
        moved
    }

    fn send(&mut self, n: usize, cli: &Cli, most: usize) -> usize {
        let [a, b] = &mut self.ports;
        let (port, other) = if n == 0 { (a, b) } else { (b, a) };
        let filled = &mut other.filled;
        port.send(&self.chips[n], &mut self.memory, filled, most, cli.way, !cli.hollow)
    }

    /// Plays until both ports take `frames` more, and can send.
    pub(crate) fn await_rings(
        &mut self,
        child: &mut Child,
        patience: Duration,
        frames: usize,
    ) -> io::Result<()> {
        let start = Instant::now();
        loop {
            self.look();
            let ready = |n: usize| {
                let port = &self.ports[n];
                self.master(n) && port.tx.is_some() && port.rx.is_some() && port.room() >= frames
            };
            if ready(0) && ready(1) {
                return Ok(());
            }
            (0..2).for_each(|n| self.ports[n].tails(&self.chips[n]));
            if start.elapsed() > patience || self.turns == 0 && child.try_wait()?.is_some() {
                return Err(io::Error::other("the ports are not started"));
            }
        }
    }

    /// Both ports' RDT and TDT.
    pub(crate) fn tails(&self) -> [(u32, u32); 2] {
        [0, 1].map(|n| (self.chips[n].get(RDT), self.chips[n].get(TDT)))
    }

    /// Sends what the last burst left on port `n` and prepares the next: all of it is there but
    /// its first word.
    pub(crate) fn prepare(&mut self, n: usize, cli: &Cli, size: usize) -> Option<Held> {
        self.ports[n].tails(&self.chips[n]);
        let generate = cli.way == Way::Generate;
        let before = self.ports[n].tx?;
        let sent = self.send(n, cli, if generate { size } else { usize::MAX });
        if generate {
            // The first of these that reports completion.
            let ring = before.descriptors;
            let done = |i: &usize| {
                let word = &ring[before.after(before.head, *i)][1];
                word.load(std::sync::atomic::Ordering::Relaxed) == crate::rings::SENT
            };
            let first = (0..sent).find(done)?;
            return Some(Held::back(&ring[before.after(before.head, first)]));
        }
        let ring = self.ports[n].rx?;
        let (port, chip) = (&mut self.ports[n], &self.chips[n]);
        let delivered = port.deliver(chip, &mut self.memory, size, cli.way, !cli.hollow);
        (delivered == size).then(|| Held::back(&ring.descriptors[ring.head]))
    }

    fn master(&self, n: usize) -> bool {
        let at = self.configs[n].as_ptr().wrapping_add(4);
        // SAFETY: inside the mapping of 64 bytes.
        let command = unsafe { at.read_volatile() };
        command & BUS_MASTER != 0
    }

    fn done(&self, cli: &Cli) -> bool {
        self.ports.iter().all(|p| match cli.way {
            Way::Generate => p.seen.sent >= cli.frames,
            // All were taken when there is room for a whole ring again.
            Way::Rxonly => p.seen.delivered == cli.frames && self.read(p),
            _ => p.seen.delivered == cli.frames && p.filled.is_empty(),
        })
    }

    /// Whether the driver has read all that was delivered, as far as can be seen.
    fn read(&self, port: &Port) -> bool {
        port.rx.is_some_and(|ring| {
            let last = ring.after(ring.head, ring.descriptors.len() - BURST * 4);
            let done = |d: &[std::sync::atomic::AtomicU64; 2]| {
                d[1].load(std::sync::atomic::Ordering::Relaxed) & 1 != 0
            };
            !done(&ring.descriptors[last])
        })
    }

    /// Tells the program to end, and is a device to it until it has.
    fn end(&mut self, cli: &Cli, child: &mut Child) -> io::Result<ExitStatus> {
        // SAFETY: a child that has not been waited for.
        unsafe { libc::kill(child.id() as i32, cli.signal) };
        let start = Instant::now();
        loop {
            self.look();
            if self.turns.is_multiple_of(LIFE_EVERY) {
                if let Some(status) = child.try_wait()? {
                    return Ok(status);
                }
                if start.elapsed() > PATIENCE {
                    child.kill()?;
                    return Err(io::Error::other("the program does not end"));
                }
            }
            for n in 0..2 {
                self.ports[n].tails(&self.chips[n]);
                if self.master(n) {
                    self.send(n, cli, usize::MAX);
                }
            }
        }
    }

    pub(crate) fn counts(&self) -> Value {
        let port = |n: usize| {
            let seen = self.ports[n].seen;
            json!({
                "delivered": seen.delivered,
                "sent": seen.sent,
                "rdt_writes": seen.rdt_writes,
                "tdt_writes": seen.tdt_writes,
                "out_of_order": seen.out_of_order,
                "wrong": seen.wrong,
                "resets": self.chips[n].resets,
                "bus_master": self.master(n),
            })
        };
        json!({ "ports": [port(0), port(1)], "faults": self.memory.faults })
    }

    fn report(&self, status: ExitStatus) -> Value {
        let mut report = self.counts();
        report["exit_code"] = json!(status.code());
        report["killed_by"] = json!(status.signal());
        report["memory_files"] = json!(stage::memory_files());
        report
    }
}
