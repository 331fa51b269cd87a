//! TCP whose every byte is known: so many bytes there or back on each of several connections at
//! once, compared as they arrive. Who waits for a connection, for bytes or for room waits so long
//! and no longer: what stalls is an error that says where, and never a hang.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Where it listens.
pub(crate) const PORT: u16 = 5003;
/// As long as nothing may happen. A segment that a busy host loses a few times is sent again after
/// seconds.
const STALL: Duration = Duration::from_secs(20);

/// Which end sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    There,
    Back,
}

/// What a connection is for. It is the first that its client sends.
#[derive(Debug, Clone, Copy)]
struct Plan {
    way: Way,
    /// Which bytes: connections that run at once have different ones.
    stream: u32,
    bytes: u64,
}

impl Plan {
    const LEN: usize = 13;

    fn to_bytes(self) -> [u8; Self::LEN] {
        let mut all = [0; Self::LEN];
        all[0] = u8::from(self.way == Way::Back);
        all[1..5].copy_from_slice(&self.stream.to_be_bytes());
        all[5..].copy_from_slice(&self.bytes.to_be_bytes());
        all
    }

    fn from_bytes(all: [u8; Self::LEN]) -> Self {
        let [way, a, b, c, d, rest @ ..] = all;
        Self {
            way: if way == 0 { Way::There } else { Way::Back },
            stream: u32::from_be_bytes([a, b, c, d]),
            bytes: u64::from_be_bytes(rest),
        }
    }

    /// Some of the bytes from number `at` on, at least one. They repeat after a prime number of
    /// bytes, so that no segment passes for another one.
    fn piece(self, at: u64) -> &'static [u8] {
        const BLOCK: usize = 65_521;
        static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
        let block = BYTES.get_or_init(|| {
            let mut block = vec![0; BLOCK];
            fastrand::Rng::with_seed(10).fill(&mut block);
            block
        });
        let from = (u64::from(self.stream) * 7919 + at) % BLOCK as u64;
        let piece = &block[from as usize..];
        &piece[..piece.len().min((self.bytes - at) as usize)]
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.way == Way::There { "there" } else { "back" };
        write!(f, "stream {} {way}", self.stream)
    }
}

/// What went wrong, and how far it had come.
fn told(plan: Plan, what: &str, done: u64, why: &io::Error) -> String {
    let why = match why.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("nothing for {} s", STALL.as_secs())
        }
        _ => why.to_string(),
    };
    format!("{plan}: {what} {done} of {} bytes, then {why}", plan.bytes)
}

fn set_limits(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(STALL))?;
    stream.set_write_timeout(Some(STALL))
}

/// Sends all of them, and that it was all.
fn send(stream: &mut TcpStream, plan: Plan) -> Result<(), String> {
    let mut sent = 0;
    while sent < plan.bytes {
        match stream.write(plan.piece(sent)) {
            Ok(n) => sent += n as u64,
            Err(e) => return Err(told(plan, "sent", sent, &e)),
        }
    }
    stream.shutdown(Shutdown::Write).map_err(|e| told(plan, "sent", sent, &e))
}

/// Takes all that comes, which must be them.
fn receive(stream: &mut TcpStream, plan: Plan) -> Result<(), String> {
    let (mut got, mut differs) = (0, None);
    let mut room = vec![0; 1 << 16];
    loop {
        let n = match stream.read(&mut room) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) => return Err(told(plan, "received", got, &e)),
        };
        let mut rest = &room[..n];
        while !rest.is_empty() {
            if got == plan.bytes {
                return Err(format!("{plan}: more than {got} bytes came"));
            }
            let right = plan.piece(got);
            let len = right.len().min(rest.len());
            if differs.is_none() && rest[..len] != right[..len] {
                differs = rest.iter().zip(right).position(|(a, b)| a != b).map(|i| got + i as u64);
            }
            got += len as u64;
            rest = &rest[len..];
        }
    }
    match differs {
        Some(at) => Err(format!("{plan}: byte {at} of {} is another one", plan.bytes)),
        None if got < plan.bytes => Err(format!("{plan}: only {got} of {} bytes came", plan.bytes)),
        None => Ok(()),
    }
}

/// One connection at the end that was connected to. It says what became of bytes that came.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    set_limits(&stream)?;
    let mut plan = [0; Plan::LEN];
    stream.read_exact(&mut plan)?;
    let plan = Plan::from_bytes(plan);
    match plan.way {
        Way::There => {
            let said = receive(&mut stream, plan).err().unwrap_or_else(|| "right".to_owned());
            stream.write_all(said.as_bytes())
        }
        Way::Back => {
            send(&mut stream, plan).map_err(io::Error::other)?;
            // The other end closes first, when it has all.
            stream.read(&mut [0]).map(drop)
        }
    }
}

/// One connection at the end that connects.
fn request(to: SocketAddr, plan: Plan) -> Result<(), String> {
    let fail = |e: io::Error| told(plan, "asked for", 0, &e);
    let mut stream = TcpStream::connect_timeout(&to, STALL).map_err(fail)?;
    set_limits(&stream).map_err(fail)?;
    stream.write_all(&plan.to_bytes()).map_err(fail)?;
    match plan.way {
        Way::There => {
            send(&mut stream, plan)?;
            let mut said = String::new();
            stream.read_to_string(&mut said).map_err(|e| told(plan, "sent", plan.bytes, &e))?;
            if said == "right" { Ok(()) } else { Err(format!("{plan}: the other end: {said}")) }
        }
        Way::Back => receive(&mut stream, plan),
    }
}

/// Listens at an address, for ever.
pub(crate) fn listen(address: &str) -> io::Result<()> {
    for stream in TcpListener::bind((address, PORT))?.incoming().flatten() {
        std::thread::spawn(move || {
            if let Err(e) = answer(stream) {
                eprintln!("streams: {e}");
            }
        });
    }
    Ok(())
}

/// Moves so many bytes on each of so many connections to who listens there.
pub(crate) fn transfer(to: &str, way: Way, streams: u32, bytes: u64) -> Result<(), String> {
    let to = SocketAddr::new(to.parse().map_err(|e| format!("{to}: {e}"))?, PORT);
    std::thread::scope(|s| {
        let each = |stream| s.spawn(move || request(to, Plan { way, stream, bytes }));
        let all: Vec<_> = (0..streams).map(each).collect();
        let ends = all.into_iter().map(|t| t.join().expect("no panic there"));
        let failed: Vec<_> = ends.filter_map(Result::err).collect();
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    })
}

/// The same one way and then the other.
#[track_caller]
pub(crate) fn both_ways(to: &str, streams: u32, bytes: u64) {
    for way in [Way::There, Way::Back] {
        if let Err(why) = transfer(to, way, streams, bytes) {
            panic!("{to}: {why}");
        }
    }
}

/// `listen` as a helper process in a namespace.
pub(crate) fn listener(args: &[String]) -> ExitCode {
    listen(&args[0]).expect("a port");
    ExitCode::SUCCESS
}

/// `both_ways` as a helper process in a namespace: address, connections, bytes on each.
pub(crate) fn client(args: &[String]) -> ExitCode {
    let (streams, bytes) = (args[1].parse().unwrap(), args[2].parse().unwrap());
    let start = Instant::now();
    both_ways(&args[0], streams, bytes);
    let megabytes = u64::from(streams) * bytes / 1_000_000;
    println!("{megabytes} MB each way with {} in {:.1?}", args[0], start.elapsed());
    ExitCode::SUCCESS
}
