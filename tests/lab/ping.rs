//! Pings that wait for late answers: `ping` gives up on the last ones as soon as twice the usual
//! time has passed.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// A socket for pings; the group must be allowed to have one.
pub(crate) fn socket() -> io::Result<UdpSocket> {
    // SAFETY: a system call without pointers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else knows it.
    Ok(UdpSocket::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Sends so many with this much in each, and says how many came back as they were and how many
/// milliseconds the slowest took. Waits five seconds for any.
pub(crate) fn ping(to: IpAddr, count: u16, size: usize, pause: Duration) -> io::Result<String> {
    let socket = socket()?;
    let to = SocketAddr::new(to, 0);
    // Type, code, checksum, identifier (both are the kernel's), sequence number.
    let request = |n: u16| {
        let [high, low] = n.to_be_bytes();
        let mut request = vec![8, 0, 0, 0, 0, 0, high, low];
        request.extend((0..size).map(|i| (i * 7 + usize::from(n)) as u8));
        request
    };
    let mut sent: Vec<Instant> = Vec::new();
    let (mut back, mut worst, mut answer) = (0, Duration::ZERO, vec![0; size + 64]);
    let mut last = Instant::now();
    while back < count && last.elapsed() < Duration::from_secs(5) {
        let due = last + pause;
        if sent.len() < usize::from(count) && Instant::now() >= due {
            last = Instant::now();
            sent.push(last);
            socket.send_to(&request(sent.len() as u16 - 1), to)?;
        }
        let wait = if sent.len() < usize::from(count) {
            (last + pause).saturating_duration_since(Instant::now())
        } else {
            Duration::from_millis(100)
        };
        socket.set_read_timeout(Some(wait.max(Duration::from_micros(100))))?;
        let Ok(len) = socket.recv(&mut answer) else { continue };
        let n = u16::from_be_bytes([answer[6], answer[7]]);
        let Some(start) = sent.get(usize::from(n)) else { continue };
        if answer[0] == 0 && answer[8..len] == request(n)[8..] {
            back += 1;
            worst = worst.max(start.elapsed());
        }
    }
    Ok(format!("sent {} back {back} worst {} ms", sent.len(), worst.as_millis()))
}
