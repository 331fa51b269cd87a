//! The far end of the wire of NICs whose driver is not ours: this program on the host, in a network
//! namespace with a tap interface. Its kernel answers pings; `iperf3`, a sink and a source of a copy's
//! bytes and [`streams`](crate::streams) listen there. A test asks it for the rest over the guest's third serial port, whatever
//! becomes of the NIC meanwhile.
//!
//! A request is a line of a number and words. Each line of the answer starts with that number: with
//! a bar before text, and at the end `=ok` or `=failed`. So a test that is killed in the middle does
//! not confuse the next.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::raw::Raw;

/// The guest's address, and the far end's, on the wire and in a VLAN.
pub(crate) const NEAR: &str = "10.9.1.1";
pub(crate) const FAR: &str = "10.9.1.2";
pub(crate) const NEAR_VLAN: &str = "10.9.7.1";
pub(crate) const FAR_VLAN: &str = "10.9.7.2";
pub(crate) const VLAN: u16 = 7;
/// Where bytes go to, and come from.
pub(crate) const SINK: (&str, u16) = (FAR, 5001);
pub(crate) const SOURCE: (&str, u16) = (FAR, 5002);
/// How many bytes, which are the same at both ends.
pub(crate) const COPY: usize = 200 << 20;

/// The tap interface that is the wire, and the one that carries its VLAN.
const INTERFACE: &str = "bw0";
const TAGGED: &str = "vlan0";
const NODE: &str = "/dev/ttyS2";
const SECOND: Duration = Duration::from_secs(1);
/// What a request may take, and how long a copy may stand still.
const LIMIT: Duration = Duration::from_secs(60);

/// Whether this guest's NIC is on a wire to the host.
pub(crate) fn is_there() -> bool {
    matches!(crate::argument("lab.boot").as_str(), "stock" | "ethtool" | "intx" | "dpdk")
}

/// Asks the far end to do something that must succeed, and gives its answer.
#[track_caller]
pub(crate) fn ask(request: &str) -> String {
    match try_ask(request) {
        Ok(answer) => answer,
        Err(why) => panic!("far end, {request}: {why}"),
    }
}

fn try_ask(request: &str) -> Result<String, String> {
    // One reader for all of a process's requests: two would share out the answer.
    static PORT: OnceLock<(File, Mutex<Receiver<String>>)> = OnceLock::new();
    let (port, lines) = PORT.get_or_init(|| {
        let port = OpenOptions::new().read(true).write(true).open(NODE).expect("a serial port");
        (port.try_clone().expect("a serial port"), Mutex::new(lines_of(port)))
    });
    let lines = lines.lock().map_err(|e| e.to_string())?;
    let (mut port, number) = (port, fastrand::u32(..));
    port.write_all(format!("\n{number} {request}\n").as_bytes()).map_err(|e| e.to_string())?;
    let deadline = Instant::now() + LIMIT;
    let mut answer = String::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = lines.recv_timeout(left).map_err(|_| "no answer in time".to_owned())?;
        match line.strip_prefix(&number.to_string()) {
            Some("=ok") => return Ok(answer),
            Some("=failed") => return Err(answer),
            Some(text) if text.starts_with('|') => answer = answer + &text[1..] + "\n",
            _ => {}
        }
    }
}

/// Reads lines in a thread of its own, which lives as long as this process.
fn lines_of(from: impl Read + Send + 'static) -> Receiver<String> {
    let (to, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// A number in an answer, after this word.
#[track_caller]
pub(crate) fn number(answer: &str, word: &str) -> u64 {
    let mut words = answer.split_whitespace().skip_while(|w| *w != word);
    match words.nth(1).map(str::parse) {
        Some(Ok(n)) => n,
        _ => panic!("no {word} in: {answer}"),
    }
}

/// The bytes of a copy, the same at both ends.
pub(crate) fn bytes(mut to: impl Write) -> io::Result<()> {
    let mut rng = fastrand::Rng::with_seed(82_599);
    let mut chunk = vec![0; 1 << 20];
    for _ in 0..COPY / chunk.len() {
        rng.fill(&mut chunk);
        to.write_all(&chunk)?;
    }
    to.flush()
}

/// The SHA-256 of what is written by `what`.
pub(crate) fn sha256(what: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<String> {
    let mut sum = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let written = what(&mut sum.stdin.take().unwrap());
    let out = sum.wait_with_output()?;
    written?;
    Ok(String::from_utf8_lossy(&out.stdout).split_whitespace().next().unwrap_or("").to_owned())
}

/// The far end itself, on the host: takes a socket's path and a folder for files.
pub(crate) fn serve(args: &[String]) -> ExitCode {
    let [socket, folder] = args else { return ExitCode::from(2) };
    let listener = UnixListener::bind(socket).expect("a socket");
    crate::tagged::join(INTERFACE, TAGGED, VLAN).expect("a VLAN");
    std::thread::spawn(sink);
    std::thread::spawn(source);
    std::thread::spawn(|| crate::streams::listen("0.0.0.0").expect("a port"));
    let _iperf = Service::start(Command::new("iperf3").arg("-s").stdout(Stdio::null()));
    println!("ready");
    let (stream, _) = listener.accept().expect("the guest's serial port");
    let mut to = stream.try_clone().expect("a socket to write to");
    let mut far = Far { folder: folder.clone(), capture: None };
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let Some((number, request)) = line.split_once(' ') else { continue };
        let (text, end) = match far.answer(request) {
            Ok(text) => (text, "ok"),
            Err(why) => (why, "failed"),
        };
        let mut answer: String = text.lines().fold(String::new(), |mut all, line| {
            let _ = writeln!(all, "{number}|{line}");
            all
        });
        let _ = writeln!(answer, "{number}={end}");
        if to.write_all(answer.as_bytes()).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// Takes bytes and answers with their SHA-256.
fn sink() {
    let listener = TcpListener::bind(("0.0.0.0", SINK.1)).expect("a port");
    for mut stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let sum = sha256(|to| io::copy(&mut stream, to).map(drop)).unwrap_or_default();
            let _ = stream.write_all(sum.as_bytes());
        });
    }
}

fn source() {
    let listener = TcpListener::bind(("0.0.0.0", SOURCE.1)).expect("a port");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || bytes(stream));
    }
}

/// A process that ends with this one.
#[derive(Debug)]
struct Service(Child);

impl Service {
    fn start(command: &mut Command) -> Self {
        let dies_too = || {
            // SAFETY: a system call without pointers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            Ok(())
        };
        // SAFETY: between fork and exec there is one system call.
        let command = unsafe { command.pre_exec(dies_too) };
        Self(command.stdin(Stdio::null()).spawn().expect("a program"))
    }

    fn end(&mut self, signal: i32) {
        // SAFETY: a system call without pointers, on a child that was not waited for.
        unsafe { libc::kill(self.0.id() as i32, signal) };
        let _ = self.0.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end(libc::SIGKILL);
    }
}

struct Far {
    folder: String,
    capture: Option<Service>,
}

impl Far {
    fn answer(&mut self, request: &str) -> Result<String, String> {
        let words: Vec<_> = request.split_whitespace().collect();
        match &words[..] {
            ["ping", to, count, size, pause] => {
                let to = to.parse().map_err(|_| format!("{to} is no address"))?;
                let (count, size) = (parse(count)? as u16, parse(size)? as usize);
                let pause = Duration::from_millis(parse(pause)?);
                crate::ping::ping(to, count, size, pause).map_err(|e| e.to_string())
            }
            ["neighbour", address, mac] => {
                shell(&format!("ip neigh replace {address} lladdr {mac} dev {INTERFACE}"))
            }
            ["sum"] => sha256(|to| bytes(to)).map_err(|e| e.to_string()),
            ["frames", count, microseconds, hex] => {
                let (count, pause) = (parse(count)?, Duration::from_micros(parse(microseconds)?));
                self.frames(count, pause, hex).map_err(|e| e.to_string())
            }
            ["exchange", count, mac] => crate::raw::exchange(INTERFACE, parse(count)?, mac),
            ["counters"] => counters().map_err(|e| e.to_string()),
            ["tcp"] => fs::read_to_string("/proc/self/net/netstat").map_err(|e| e.to_string()),
            ["capture", filter @ ..] => self.capture(&filter.join(" ")),
            ["captured"] => self.captured().map_err(|e| e.to_string()),
            _ => Err(format!("no such request: {request}")),
        }
    }

    /// Sends a frame so many times.
    fn frames(&self, count: u64, pause: Duration, hex: &str) -> io::Result<String> {
        let digits: Vec<_> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
        let frame: Vec<_> = digits.chunks(2).map(|d| (d[0] << 4 | d[1]) as u8).collect();
        let raw = Raw::open(INTERFACE)?;
        for _ in 0..count {
            raw.send(&frame)?;
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
        Ok(String::new())
    }

    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// Starts to look at the checksums of what the guest sends.
    fn capture(&mut self, filter: &str) -> Result<String, String> {
        let (out, err) = (self.file("capture"), self.file("capture.err"));
        let open = |path: &str| File::create(path).map_err(|e| e.to_string());
        let mut command = Command::new("tcpdump");
        command.args([
            "-i",
            INTERFACE,
            "-Q",
            "in",
            "-n",
            "-vv",
            "-B",
            "262144",
            "-l",
            "--immediate-mode",
        ]);
        command.args(filter.split_whitespace()).stdout(open(&out)?).stderr(open(&err)?);
        self.capture = Some(Service::start(&mut command));
        let listening = || fs::read_to_string(&err).is_ok_and(|t| t.contains("listening on"));
        if crate::guest::comes_true(5 * SECOND, listening) {
            return Ok(String::new());
        }
        Err(fs::read_to_string(&err).unwrap_or_default())
    }

    /// Ends it, and gives what there was.
    fn captured(&mut self) -> io::Result<String> {
        let Some(mut capture) = self.capture.take() else { return Ok(String::new()) };
        // Until it has been through its buffer: it sleeps only when there is nothing in it. That its
        // file does not grow may also be for want of a processor.
        let sleeps = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", capture.0.id()));
            stat.is_ok_and(|s| s.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S')))
        };
        let written = || fs::metadata(self.file("capture")).map_or(0, |m| m.len());
        let idle = || {
            let before = written();
            let asleep = (0..10).all(|_| {
                std::thread::sleep(SECOND / 50);
                sleeps()
            });
            asleep && written() == before
        };
        crate::guest::comes_true(20 * SECOND, idle);
        capture.end(libc::SIGINT);
        let (mut right, mut wrong, mut examples) = (0, 0, String::new());
        for line in BufReader::new(File::open(self.file("capture"))?).lines() {
            let line = line?;
            let bad = ["incorrect", "bad cksum", "bad udp cksum", "wrong icmp cksum"];
            if bad.iter().any(|b| line.contains(b)) {
                wrong += 1;
                if wrong <= 5 {
                    let _ = writeln!(examples, "{line}");
                }
            } else if line.contains("(correct)") || line.contains("udp sum ok") {
                right += 1;
            }
        }
        let end = fs::read_to_string(self.file("capture.err"))?;
        Ok(format!("right {right} wrong {wrong}\n{examples}{end}"))
    }
}

fn parse(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("{word} is no number"))
}

fn shell(script: &str) -> Result<String, String> {
    let out = Command::new("sh").args(["-c", script]).output().map_err(|e| e.to_string())?;
    let text = [out.stdout, out.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    if out.status.success() { Ok(text) } else { Err(text) }
}

/// What the tap interface counted: its transmit side is what the NIC receives.
fn counters() -> io::Result<String> {
    let mut text = String::new();
    for name in ["rx_packets", "rx_bytes", "rx_dropped", "tx_packets", "tx_bytes", "tx_dropped"] {
        let path = format!("/sys/class/net/{INTERFACE}/statistics/{name}");
        let _ = writeln!(text, "{name} {}", fs::read_to_string(path)?.trim());
    }
    Ok(text)
}

/// Sends the bytes of a copy there, and gives the SHA-256 of what arrived.
pub(crate) fn send_copy() -> io::Result<String> {
    let mut stream = TcpStream::connect(SINK)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    bytes(&mut stream)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut sum = String::new();
    stream.read_to_string(&mut sum)?;
    Ok(sum)
}

/// Receives them from there, and gives the SHA-256 of what arrived.
pub(crate) fn receive_copy() -> io::Result<String> {
    let mut stream = TcpStream::connect(SOURCE)?;
    stream.set_read_timeout(Some(LIMIT))?;
    sha256(|to| io::copy(&mut stream, to).map(drop))
}
