//! A vfio-user client of a few lines (QEMU, `docs/interop/vfio-user.rst`).

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// How long any answer may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Commands.
pub(crate) const VERSION: u16 = 1;
pub(crate) const DMA_MAP: u16 = 2;
pub(crate) const DMA_UNMAP: u16 = 3;
pub(crate) const GET_INFO: u16 = 4;
pub(crate) const GET_REGION_INFO: u16 = 5;
pub(crate) const GET_IRQ_INFO: u16 = 7;
pub(crate) const SET_IRQS: u16 = 8;
pub(crate) const REGION_READ: u16 = 9;
pub(crate) const REGION_WRITE: u16 = 10;
pub(crate) const RESET: u16 = 13;

/// The region of configuration space.
pub(crate) const CONFIG: u32 = 7;

/// Flags of a head: no reply is wanted; the reply is a refusal.
pub(crate) const NO_REPLY: u32 = 1 << 4;
const ERROR: u32 = 1 << 5;

/// What SET_IRQS says (`linux/vfio.h`).
pub(crate) const DATA_NONE: u32 = 1;
pub(crate) const DATA_BOOL: u32 = 1 << 1;
pub(crate) const DATA_EVENTFD: u32 = 1 << 2;
pub(crate) const MASK: u32 = 1 << 3;
pub(crate) const UNMASK: u32 = 1 << 4;
pub(crate) const TRIGGER: u32 = 1 << 5;

/// Kinds of interrupts.
pub(crate) const INTX: u32 = 0;
pub(crate) const MSI: u32 = 1;
pub(crate) const MSIX: u32 = 2;

/// A window is readable; writable.
pub(crate) const READ: u32 = 1;
pub(crate) const WRITE: u32 = 2;

/// Words one after another.
pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_ne_bytes()).collect()
}

/// Words of 64 bits one after another.
pub(crate) fn longs(longs: &[u64]) -> Vec<u8> {
    longs.iter().flat_map(|w| w.to_ne_bytes()).collect()
}

/// A whole message.
pub(crate) fn message(id: u16, command: u16, flags: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = [id.to_ne_bytes(), command.to_ne_bytes()].concat();
    bytes.extend(words(&[16 + body.len() as u32, flags, 0]));
    bytes.extend(body);
    bytes
}

/// The body of DMA_MAP.
pub(crate) fn map(flags: u32, offset: u64, address: u64, size: u64) -> Vec<u8> {
    [words(&[32, flags]), longs(&[offset, address, size])].concat()
}

/// The body of DMA_UNMAP.
pub(crate) fn unmap(flags: u32, address: u64, size: u64) -> Vec<u8> {
    [words(&[24, flags]), longs(&[address, size])].concat()
}

/// The body of a read, and the start of that of a write.
pub(crate) fn access(region: u32, offset: u64, count: u32) -> Vec<u8> {
    [longs(&[offset]), words(&[region, count])].concat()
}

/// The body of VERSION.
pub(crate) fn version() -> Vec<u8> {
    let text = b"{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576}}\0";
    [&[0; 4][..], text].concat()
}

/// Memory that can be lent.
pub(crate) fn memory(len: u64) -> File {
    let file = File::from(memfd_create("guest", MemfdFlags::CLOEXEC).expect("a memfd"));
    file.set_len(len).expect("a length");
    file
}

/// Sends bytes, and file descriptors with the first of them.
pub(crate) fn send(stream: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(fds)));
    let sent = sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    (&*stream).write_all(&bytes[sent..])
}

/// One connection. Panics when the server does not do what it must.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: UnixStream,
    next: Cell<u16>,
}

impl Client {
    /// A connection on which nothing was said.
    pub(crate) fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("a server");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
        Self { stream, next: Cell::new(1) }
    }

    /// A connection that is ready to use.
    pub(crate) fn open(path: &Path) -> Self {
        let client = Self::connect(path);
        let reply = client.call(VERSION, &version(), &[]).expect("a version");
        assert_eq!(reply[..2], [0, 0], "major version");
        client
    }

    /// Sends a request; the id that its reply will have.
    pub(crate) fn ask(&self, command: u16, flags: u32, body: &[u8], fds: &[BorrowedFd<'_>]) -> u16 {
        let id = self.next.replace(self.next.get().wrapping_add(1));
        send(&self.stream, &message(id, command, flags, body), fds).expect("it is listening");
        id
    }

    /// Waits for a reply: its body, or the errno of the refusal.
    pub(crate) fn reply(&self, id: u16, command: u16) -> Result<Vec<u8>, i32> {
        let mut head = [0; 16];
        (&self.stream).read_exact(&mut head).expect("a reply in time");
        let word = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().expect("four"));
        let half = |at: usize| u16::from_ne_bytes(head[at..at + 2].try_into().expect("two"));
        assert_eq!((half(0), half(2)), (id, command), "the reply to another message");
        assert_eq!(word(8) & 0xf, 1, "it is a reply");
        let size = word(4) as usize;
        assert!((16..=16 + (1 << 20)).contains(&size), "{size} bytes");
        let mut body = vec![0; size - 16];
        (&self.stream).read_exact(&mut body).expect("the whole reply in time");
        if word(8) & ERROR == 0 {
            return Ok(body);
        }
        assert!((1..4096).contains(&word(12)), "errno {}", word(12));
        Err(word(12) as i32)
    }

    /// One request and its reply.
    pub(crate) fn call(
        &self,
        command: u16,
        body: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<Vec<u8>, i32> {
        let id = self.ask(command, 0, body, fds);
        self.reply(id, command)
    }

    pub(crate) fn read(&self, region: u32, offset: u64, count: u32) -> Vec<u8> {
        let body = access(region, offset, count);
        let reply = self.call(REGION_READ, &body, &[]).expect("a read");
        assert_eq!(reply[..16], body, "the reply repeats the request");
        assert_eq!(reply.len(), 16 + count as usize);
        reply[16..].to_vec()
    }

    pub(crate) fn write(&self, region: u32, offset: u64, bytes: &[u8]) {
        let body = [&access(region, offset, bytes.len() as u32)[..], bytes].concat();
        let reply = self.call(REGION_WRITE, &body, &[]).expect("a write");
        assert_eq!(reply, body[..16], "the reply repeats the request");
    }

    /// A write that wants no reply.
    pub(crate) fn post(&self, region: u32, offset: u64, bytes: &[u8]) {
        let body = [&access(region, offset, bytes.len() as u32)[..], bytes].concat();
        self.ask(REGION_WRITE, NO_REPLY, &body, &[]);
    }

    /// Reads a register of BAR 0.
    pub(crate) fn read32(&self, offset: u32) -> u32 {
        let bytes = self.read(0, offset.into(), 4);
        u32::from_le_bytes(bytes.try_into().expect("four bytes"))
    }

    /// Writes one.
    pub(crate) fn write32(&self, offset: u32, value: u32) {
        self.post(0, offset.into(), &value.to_le_bytes());
    }

    /// Reads up to eight bytes of configuration space.
    pub(crate) fn config(&self, offset: u64, count: u32) -> u64 {
        let mut bytes = [0; 8];
        bytes[..count as usize].copy_from_slice(&self.read(CONFIG, offset, count));
        u64::from_le_bytes(bytes)
    }

    pub(crate) fn map(&self, memory: &File, offset: u64, address: u64, size: u64) {
        let body = map(READ | WRITE, offset, address, size);
        self.call(DMA_MAP, &body, &[memory.as_fd()]).expect("a window");
    }

    /// SET_IRQS.
    pub(crate) fn irqs(
        &self,
        flags: u32,
        [index, start, count]: [u32; 3],
        data: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), i32> {
        let head = words(&[20 + data.len() as u32, flags, index, start, count]);
        let body = [&head[..], data].concat();
        self.call(SET_IRQS, &body, fds).map(|reply| assert!(reply.is_empty()))
    }
}
