//! What no client should send: random bytes, and messages that are almost right.

use std::fs::File;
use std::io::Read;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Instant;

use barewire::drivers::sim::Model;
use fastrand::Rng;

use crate::client::{
    CONFIG, Client, DATA_BOOL, DATA_EVENTFD, DATA_NONE, DEADLINE, DMA_MAP, DMA_UNMAP, GET_INFO,
    GET_IRQ_INFO, GET_REGION_INFO, MASK, REGION_READ, REGION_WRITE, RESET, SET_IRQS, TRIGGER,
    UNMASK, VERSION, access, longs, map, memory, message, send, unmap, version, words,
};
use crate::guest::{Guest, Layout};
use crate::hostile::{long, number};
use crate::served::{Served, panics, until};

/// How many inputs there are, and the seed of the first.
pub(crate) fn seeds() -> std::ops::Range<u64> {
    let setting = |name: &str, otherwise| match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}: no number")),
        Err(_) => otherwise,
    };
    let first = setting("BAREWIRE_FUZZ_SEED", 0);
    first..first + setting("BAREWIRE_FUZZ_COUNT", 1000)
}

/// Says which input it was, should the test fail.
pub(crate) struct Input(pub(crate) u64);

impl Drop for Input {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("BAREWIRE_FUZZ_SEED={} BAREWIRE_FUZZ_COUNT=1 repeats it", self.0);
        }
    }
}

/// Things to pass along: some are what the server asks for.
struct Things {
    files: Vec<OwnedFd>,
}

impl Things {
    fn new() -> Self {
        // SAFETY: takes numbers alone.
        let eventfd = || unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        // SAFETY: it was just made, and nobody else knows it.
        let eventfd = || unsafe { OwnedFd::from_raw_fd(eventfd()) };
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let (socket, _) = std::os::unix::net::UnixStream::pair().expect("sockets");
        let open = |path: &str| OwnedFd::from(File::open(path).expect("it is everywhere"));
        let files = vec![
            eventfd(),
            eventfd(),
            eventfd(),
            memory(0x1_0000).into(),
            memory(0x20_0000).into(),
            memory(0x1_0000).into(),
            memory(1).into(),
            memory(0).into(),
            reader.into(),
            writer.into(),
            socket.into(),
            open("/dev/null"),
            open("/dev/zero"),
            open("/proc/self/status"),
            open("/"),
            tempfile::tempfile().expect("a file").into(),
        ];
        Self { files }
    }

    /// Some of them; mostly `count`.
    fn pick(&self, rng: &mut Rng, count: usize, first: usize) -> Vec<BorrowedFd<'_>> {
        let count = match rng.u32(0..20) {
            0 => rng.usize(0..4),
            1 => rng.usize(0..40),
            _ => count,
        };
        let any = |rng: &mut Rng| match rng.u32(0..4) {
            0 => &self.files[rng.usize(0..self.files.len())],
            _ => &self.files[first + rng.usize(0..3)],
        };
        (0..count).map(|_| any(rng).as_fd()).collect()
    }
}

/// A message that is mostly what some client could send: the command and its body, and how many
/// file descriptors of which kind.
fn sensible(rng: &mut Rng) -> (u16, Vec<u8>, usize, usize) {
    let (mut count, mut first) = (0, 0);
    let address = |rng: &mut Rng| match rng.u32(0..3) {
        0 => long(rng),
        _ => rng.u64(0..16) << 12,
    };
    let (command, body) = match rng.u32(0..12) {
        0 => (VERSION, version()),
        1 | 2 => {
            (count, first) = (rng.usize(0..2), 3);
            let offset = if rng.bool() { 0 } else { long(rng) };
            (DMA_MAP, map(rng.u32(0..4), offset, address(rng), rng.u64(1..16) << 12))
        }
        3 => (DMA_UNMAP, unmap(rng.u32(0..8), address(rng), rng.u64(1..16) << 12)),
        4 => (GET_INFO, words(&[16, 0, 0, 0])),
        5 => (GET_REGION_INFO, [words(&[32, 0, rng.u32(0..10), 0]), longs(&[0, 0])].concat()),
        6 => (GET_IRQ_INFO, words(&[16, 0, rng.u32(0..6), 0])),
        7 | 8 => {
            let data = [DATA_NONE, DATA_BOOL, DATA_EVENTFD, 0, 7][rng.usize(0..5)];
            let what = [MASK, UNMASK, TRIGGER, TRIGGER, 0, 0x38][rng.usize(0..6)];
            let index = rng.u32(0..6);
            let start = if rng.bool() { 0 } else { number(rng) };
            let n = rng.u32(0..5);
            if data == DATA_EVENTFD {
                count = n as usize;
            }
            let bools = if data == DATA_BOOL { n as usize } else { 0 };
            let said = if rng.u32(0..4) == 0 { number(rng) } else { n };
            let mut body = words(&[20 + bools as u32, data | what, index, start, said]);
            body.extend((0..bools).map(|_| rng.u8(0..3)));
            (SET_IRQS, body)
        }
        9 => {
            let count = if rng.u32(0..4) == 0 { number(rng) } else { rng.u32(0..64) };
            (REGION_READ, access(rng.u32(0..10), long(rng), count))
        }
        10 => {
            let data: Vec<u8> = (0..rng.usize(0..40)).map(|_| rng.u8(..)).collect();
            let said = if rng.u32(0..4) == 0 { number(rng) } else { data.len() as u32 };
            (REGION_WRITE, [access(rng.u32(0..10), long(rng), said), data].concat())
        }
        _ => (if rng.bool() { RESET } else { rng.u16(..) }, vec![]),
    };
    (command, body, count, first)
}

/// Spoils some of a message: fields, size, flags, length.
fn spoil(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.u32(1..4) {
        let at = rng.usize(0..bytes.len().max(1));
        match rng.u32(0..7) {
            0 => bytes.truncate(at),
            1 => bytes.extend((0..rng.usize(0..40)).map(|_| 0x41)),
            2 if bytes.len() >= 16 => {
                let word = number(rng).to_ne_bytes();
                let at = 4 * rng.usize(0..4);
                bytes[at..at + 4].copy_from_slice(&word);
            }
            3 if bytes.len() >= 16 => {
                let size = bytes.len() as u32;
                bytes[4..8].copy_from_slice(&size.to_ne_bytes());
            }
            4 | 5 if at + 4 <= bytes.len() => {
                bytes[at..at + 4].copy_from_slice(&number(rng).to_ne_bytes());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = rng.u8(..);
                }
            }
        }
    }
}

/// Sends bytes, in pieces perhaps. Returns whether the server still listens.
fn push(rng: &mut Rng, client: &Client, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> bool {
    if bytes.is_empty() {
        return true;
    }
    let cut = if rng.u32(0..4) == 0 { rng.usize(1..=bytes.len()) } else { bytes.len() };
    send(&client.stream, &bytes[..cut], fds).is_ok()
        && (cut == bytes.len() || send(&client.stream, &bytes[cut..], &[]).is_ok())
}

/// Takes what has been answered.
fn drain(client: &Client) {
    client.stream.set_nonblocking(true).expect("a mode");
    let mut scrap = [0; 4096];
    while (&client.stream).read(&mut scrap).is_ok_and(|n| n > 0) {}
    client.stream.set_nonblocking(false).expect("a mode");
}

/// One client, and whatever it sends.
fn input(rng: &mut Rng, served: &Served, things: &Things) {
    let client = Client::connect(&served.path);
    if rng.u32(0..8) == 0 {
        let noise: Vec<u8> = (0..rng.usize(0..300)).map(|_| rng.u8(..)).collect();
        let fds = things.pick(rng, 0, 0);
        push(rng, &client, &noise, if noise.is_empty() { &[] } else { &fds });
        return;
    }
    let mut first = message(0, VERSION, 0, &version());
    if rng.u32(0..8) == 0 {
        spoil(rng, &mut first);
    }
    let mut listens = push(rng, &client, &first, &[]);
    // Another one in between, which is to be turned away.
    let other = (rng.u32(0..8) == 0).then(|| Client::connect(&served.path));
    if listens && rng.u32(0..4) == 0 {
        listens = take_memory_away(rng, &client, served);
    }
    for n in 0..rng.u16(1..16) {
        if !listens {
            break;
        }
        let (command, body, count, first) = sensible(rng);
        let fds = things.pick(rng, count, first);
        let flags = if rng.u32(0..6) == 0 { number(rng) } else { 0 };
        let mut bytes = message(n, command, flags, &body);
        if rng.bool() {
            spoil(rng, &mut bytes);
        }
        if let Some(other) = &other {
            let _gone = send(&other.stream, &bytes, &[]);
        }
        let fds = if bytes.is_empty() { &[][..] } else { &fds };
        listens = push(rng, &client, &bytes, fds);
        if rng.bool() {
            drain(&client);
        }
    }
    if rng.bool() {
        let _gone = client.stream.shutdown(Shutdown::Write);
    }
}

/// A guest whose memory is cut short while its NIC is at work in it. Returns whether the server
/// still listens.
fn take_memory_away(rng: &mut Rng, client: &Client, served: &Served) -> bool {
    let lent = memory(0x4000);
    let layout = Layout::of(served.nic.pci_identity().device);
    let mut bytes = Vec::new();
    let write = |region, offset, data: &[u8]| {
        let body = [&access(region, offset, data.len() as u32)[..], data].concat();
        message(9, REGION_WRITE, 1 << 4, &body)
    };
    bytes.extend(write(CONFIG, 4, &[6, 0]));
    for block in [layout.rx, layout.tx] {
        for (register, value) in [(0, 0x1000u32), (4, 0), (8, 0x1000), (0x28, 1 << 25)] {
            bytes.extend(write(0, u64::from(block + register), &value.to_le_bytes()));
        }
    }
    bytes.extend(write(0, u64::from(layout.tx) + 0x18, &[rng.u8(..), 0, 0, 0]));
    let window = message(8, DMA_MAP, 1 << 4, &map(3, 0, 0, 0x4000));
    let alive = send(&client.stream, &window, &[lent.as_fd()]).is_ok()
        && send(&client.stream, &bytes, &[]).is_ok();
    lent.set_len(rng.u64(0..0x4000)).expect("cut");
    alive
}

/// What this process holds: file descriptors, threads of the library, lent memory, kilobytes.
#[derive(Debug, PartialEq, Eq)]
struct Holdings {
    fds: usize,
    threads: usize,
    windows: usize,
}

fn holdings() -> Holdings {
    let list = |path: &str| std::fs::read_dir(path).expect("proc").flatten();
    let ours = |path: std::path::PathBuf| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("barewire"))
    };
    let maps = std::fs::read_to_string("/proc/self/maps").expect("proc");
    Holdings {
        fds: list("/proc/self/fd").count(),
        threads: list("/proc/self/task").filter(|t| ours(t.path())).count(),
        windows: maps.lines().filter(|line| line.contains("/memfd:")).count(),
    }
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Does what a client and its guest may expect to work.
fn works(served: &Served, mark: u64) {
    let start = Instant::now();
    let mut guest: Guest = served.guest();
    guest.passes_frames(&served.nic, mark);
    assert!(start.elapsed() < DEADLINE, "it took {:?}", start.elapsed());
}

#[test]
fn fuzz_socket() {
    let served = Served::alone(Model::I82599, "probe");
    let things = Things::new();
    let seeds = seeds();
    // Everything that is made once is there.
    works(&served, 0);
    let mut before = None;
    for seed in seeds {
        let failed = Input(seed);
        input(&mut Rng::with_seed(seed), &served, &things);
        works(&served, seed);
        assert_eq!(panics(), 0, "a thread of the server panicked");
        if before.is_none() {
            settled(&served);
            before = Some((holdings(), resident_kib()));
        }
        drop(failed);
    }
    settled(&served);
    let (before, kib) = before.expect("an input");
    assert_eq!(holdings(), before);
    let now = resident_kib();
    assert!(now < kib + 32 * 1024, "{kib} KiB have become {now}");
}

/// All clients have gone.
fn settled(served: &Served) {
    use barewire::drivers::sim::served::ClientEvent;
    until("all clients have gone", || {
        let events = served.events();
        matches!(events.last(), Some(ClientEvent::Left { .. })).then_some(())
    });
}
