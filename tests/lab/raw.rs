//! Ethernet frames through an interface of the kernel's, as they are.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// A packet socket on one interface.
#[derive(Debug)]
pub(crate) struct Raw(OwnedFd);

impl Raw {
    /// Sees every frame that comes and goes.
    pub(crate) fn open(interface: &str) -> io::Result<Self> {
        Self::bound(interface, libc::ETH_P_ALL as u16, &[])
    }

    /// Sees none.
    pub(crate) fn open_to_send(interface: &str) -> io::Result<Self> {
        Self::bound(interface, 0, &[])
    }

    /// Sees those that came with this VLAN's tag, without the tag.
    pub(crate) fn tagged(interface: &str, id: u16) -> io::Result<Self> {
        // Linux's linux/filter.h: the tag's place among what is known of a packet.
        const TAG: u32 = (-0x1000_i32 + 44) as u32;
        let instruction = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
        let filter = [
            instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, TAG),
            instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, 0xfff),
            instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, id.into()),
            instruction(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
            instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        ];
        Self::bound(interface, libc::ETH_P_ALL as u16, &filter)
    }

    fn bound(interface: &str, kind: u16, filter: &[libc::sock_filter]) -> io::Result<Self> {
        let path = format!("/sys/class/net/{interface}/ifindex");
        let index = std::fs::read_to_string(path)?.trim().parse::<i32>();
        // SAFETY: a system call without pointers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else knows it.
        let socket = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        if !filter.is_empty() {
            // The kernel copies the program.
            let program =
                libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
            socket.set(libc::SO_ATTACH_FILTER, &program)?;
        }
        socket.set(libc::SO_RCVBUFFORCE, &(64 << 20_i32))?;
        // SAFETY: an address of zeros is one.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = kind.to_be();
        address.sll_ifindex = index.map_err(|_| io::ErrorKind::InvalidData)?;
        let len = size_of_val(&address) as libc::socklen_t;
        let to = (&raw const address).cast();
        // SAFETY: the address is as long as said.
        if unsafe { libc::bind(fd, to, len) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(socket)
    }

    fn set<T>(&self, option: i32, value: &T) -> io::Result<()> {
        let (at, len) = ((&raw const *value).cast(), size_of::<T>() as libc::socklen_t);
        // SAFETY: the value is as long as said, and of the option's type.
        let done =
            unsafe { libc::setsockopt(self.0.as_raw_fd(), libc::SOL_SOCKET, option, at, len) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        loop {
            // SAFETY: the frame is as long as said.
            let n =
                unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
            if n == frame.len() as isize {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::ENOBUFS) {
                return Err(error);
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// A frame that came, and whether this machine sent it itself; `None` if there is none for so
    /// long.
    pub(crate) fn receive(
        &self,
        wait: Duration,
        into: &mut [u8],
    ) -> io::Result<Option<(usize, bool)>> {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one descriptor, as said.
        if unsafe { libc::poll(&raw mut poll, 1, wait.as_millis() as i32) } <= 0 {
            return Ok(None);
        }
        // SAFETY: an address of zeros is one.
        let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        let mut len = size_of_val(&from) as libc::socklen_t;
        let (at, room) = (into.as_mut_ptr().cast(), into.len());
        let from_at = (&raw mut from).cast();
        // SAFETY: the buffer and the address are as long as said.
        let n = unsafe {
            libc::recvfrom(self.0.as_raw_fd(), at, room, libc::MSG_TRUNC, from_at, &raw mut len)
        };
        if n < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Some((n as usize, from.sll_pkttype == libc::PACKET_OUTGOING)))
    }
}

const KIND: [u8; 2] = [0x88, 0xb5];
const SIZES: std::ops::RangeInclusive<usize> = 60..=1514;
/// Frames under way: fewer than a ring has descriptors.
const WINDOW: usize = 64;

/// Frame `n`, after its addresses: the length, the number and bytes that follow from it.
fn body(n: usize) -> Vec<u8> {
    let count = SIZES.end() - SIZES.start() + 1;
    let len = SIZES.start() + n * 7 % count;
    let mut body = KIND.to_vec();
    body.extend((n as u32).to_be_bytes());
    body.extend((body.len()..len - 12).map(|i| (i * 13 + n * 5) as u8));
    body
}

/// Sends so many frames of all sizes to `mac`, whose owner sends each back with its addresses
/// exchanged, and gives how many came back right and how many bytes both were.
pub(crate) fn exchange(interface: &str, count: u64, mac: &str) -> Result<String, String> {
    let fail = |e: io::Error| e.to_string();
    let raw = Raw::open(interface).map_err(fail)?;
    let to: Vec<u8> = mac.split(':').filter_map(|b| u8::from_str_radix(b, 16).ok()).collect();
    let own = [2, 0, 0, 0, 0, 0x42];
    let (mut sent, mut bytes, mut under_way) = (0, 0, HashSet::new());
    let (mut back, mut wrong) = (0, 0);
    let mut frame = vec![0; 2048];
    let mut last = Instant::now();
    while back < count && last.elapsed() < Duration::from_secs(3) {
        while sent < count && under_way.len() < WINDOW {
            let frame = [&to[..], &own, &body(sent as usize)].concat();
            raw.send(&frame).map_err(fail)?;
            bytes += frame.len();
            under_way.insert(sent as usize);
            sent += 1;
        }
        let Some((len, own_frame)) =
            raw.receive(Duration::from_millis(100), &mut frame).map_err(fail)?
        else {
            continue;
        };
        if own_frame || len < 60 || frame[12..14] != KIND {
            continue;
        }
        let n = u32::from_be_bytes(frame[14..18].try_into().unwrap()) as usize;
        if !under_way.remove(&n) || frame[..len] != [&own, &to[..], &body(n)].concat() {
            wrong += 1;
            continue;
        }
        back += 1;
        last = Instant::now();
    }
    Ok(format!("sent {sent} bytes {bytes} back {back} wrong {wrong}"))
}
