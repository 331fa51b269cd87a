//! vfio-user messages: their heads, and what is wrong with them (QEMU, `docs/interop/vfio-user.rst`).

use super::function::{DATA_BOOL, DATA_EVENTFD, DATA_NONE, REGIONS};

/// Bytes of a head.
pub(super) const HEAD: usize = 16;
/// Bytes of the head and fixed part of region accesses.
pub(super) const ACCESS: usize = 32;
/// Bytes of the head and fixed part of SET_IRQS.
pub(super) const SET_IRQS: usize = 36;
/// Most bytes that one region access moves: what the server says to the client.
pub(super) const MAX_DATA: usize = 64 << 10;
/// Most bytes of a message.
pub(super) const MAX_MESSAGE: usize = ACCESS + MAX_DATA;
/// Most file descriptors of a message.
pub(super) const MAX_FDS: usize = 16;

/// Flags of a head: the type, and that no reply is wanted.
const TYPE: u32 = 0xf;
const REPLY: u32 = 1;
const NO_REPLY: u32 = 1 << 4;
const ERROR: u32 = 1 << 5;

/// Kinds of interrupts.
const IRQS: u32 = 5;

/// The head of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) id: u16,
    pub(super) command: u16,
    /// Of the whole message.
    pub(super) size: u32,
    flags: u32,
}

/// What is done about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Answered by the session.
    Version,
    Read {
        region: u32,
        offset: u64,
        count: usize,
    },
    Write {
        region: u32,
        offset: u64,
    },
    /// SET_IRQS with a byte for each vector.
    Bools {
        index: u32,
        flags: u32,
        start: u32,
    },
    /// Left to the crate.
    Crate,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes)
}

impl Head {
    pub(super) fn parse(bytes: &[u8; HEAD]) -> Self {
        Self {
            id: u16_at(bytes, 0),
            command: u16_at(bytes, 2),
            size: u32_at(bytes, 4),
            flags: u32_at(bytes, 8),
        }
    }

    /// The client does not want a reply.
    pub(super) fn no_reply(&self) -> bool {
        self.flags & NO_REPLY != 0
    }

    /// A reply, which nobody here has asked for.
    pub(super) fn is_reply(&self) -> bool {
        self.flags & TYPE == REPLY
    }

    /// The head of the reply to it, which has `size` bytes in all.
    pub(super) fn reply(&self, size: usize) -> [u8; HEAD] {
        self.answer(size, REPLY, 0)
    }

    /// The reply that says why not.
    pub(super) fn refusal(&self, errno: i32) -> [u8; HEAD] {
        self.answer(HEAD, REPLY | ERROR, errno.unsigned_abs())
    }

    fn answer(&self, size: usize, flags: u32, error: u32) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..2].copy_from_slice(&self.id.to_ne_bytes());
        head[2..4].copy_from_slice(&self.command.to_ne_bytes());
        head[4..8].copy_from_slice(&(size as u32).to_ne_bytes());
        head[8..12].copy_from_slice(&flags.to_ne_bytes());
        head[12..].copy_from_slice(&error.to_ne_bytes());
        head
    }

    /// Whether a reply of the crate's is a refusal without a reason.
    pub(super) fn refuses_without_reason(reply: &[u8]) -> bool {
        u32_at(reply, 8) & ERROR != 0 && u32_at(reply, 12) == 0
    }

    /// What a whole message asks for, or the errno that answers it. What passes is what the crate
    /// handles as it should.
    pub(super) fn request(&self, message: &[u8], fds: usize) -> Result<Request, i32> {
        let exactly = |size: usize| if message.len() == size { Ok(()) } else { Err(libc::EINVAL) };
        let argsz = |least: usize| {
            if u32_at(message, 16) as usize >= least { Ok(()) } else { Err(libc::EINVAL) }
        };
        let below = |at: usize, most: u32| {
            if u32_at(message, at) < most { Ok(()) } else { Err(libc::EINVAL) }
        };
        let no_fds = |most: usize| if fds <= most { Ok(()) } else { Err(libc::EINVAL) };
        if self.flags & TYPE != 0 {
            return Err(libc::EINVAL);
        }
        match self.command {
            // VERSION: major 0 of the protocol, and a string that ends with a zero, or none.
            1 => {
                no_fds(0)?;
                let data = message.get(HEAD + 4..).ok_or(libc::EINVAL)?;
                let text = data.strip_suffix(&[0]).or(data.is_empty().then_some(data));
                let text = text.and_then(|text| std::str::from_utf8(text).ok());
                if text.is_none_or(|t| t.contains('\0')) || u16_at(message, HEAD) != 0 {
                    return Err(libc::EINVAL);
                }
                Ok(Request::Version)
            }
            // DMA_MAP
            2 => exactly(48).and(argsz(32)).and(no_fds(1)).map(|()| Request::Crate),
            // DMA_UNMAP
            3 => exactly(40).and(argsz(24)).and(no_fds(0)).map(|()| Request::Crate),
            // DEVICE_GET_INFO, DEVICE_GET_REGION_INFO, DEVICE_GET_IRQ_INFO. Without a reply there is
            // nothing that they do.
            4 | 5 | 7 if self.no_reply() => Err(libc::EINVAL),
            4 => exactly(32).and(argsz(16)).and(no_fds(0)).map(|()| Request::Crate),
            5 => {
                let index = below(24, REGIONS as u32);
                exactly(48).and(argsz(32)).and(index).and(no_fds(0)).map(|()| Request::Crate)
            }
            7 => {
                let index = below(24, IRQS);
                exactly(32).and(argsz(16)).and(index).and(no_fds(0)).map(|()| Request::Crate)
            }
            8 => self.set_irqs(message, fds),
            // REGION_READ and REGION_WRITE
            9 | 10 => {
                no_fds(0)?;
                let (offset, region) = (u64_at(message, 16), u32_at(message, 24));
                let count = u32_at(message, 28) as usize;
                if region as usize >= REGIONS || count > MAX_DATA {
                    return Err(libc::EINVAL);
                }
                if self.command == 9 {
                    exactly(ACCESS)?;
                    return Ok(Request::Read { region, offset, count });
                }
                exactly(ACCESS + count)?;
                Ok(Request::Write { region, offset })
            }
            // DEVICE_RESET
            13 => exactly(HEAD).and(no_fds(0)).map(|()| Request::Crate),
            _ => Err(libc::ENOTSUP),
        }
    }

    fn set_irqs(&self, message: &[u8], fds: usize) -> Result<Request, i32> {
        let data = message.get(SET_IRQS..).ok_or(libc::EINVAL)?;
        let [flags, index, start, count] = [20, 24, 28, 32].map(|at| u32_at(message, at));
        if u32_at(message, 16) < 20 || index >= IRQS {
            return Err(libc::EINVAL);
        }
        let data_is = flags & (DATA_NONE | DATA_BOOL | DATA_EVENTFD);
        match data_is {
            DATA_NONE if data.is_empty() && fds == 0 => Ok(Request::Crate),
            DATA_EVENTFD if data.is_empty() && (fds == 0 || fds == count as usize) => {
                Ok(Request::Crate)
            }
            DATA_BOOL if data.len() == count as usize && fds == 0 => {
                Ok(Request::Bools { index, flags: flags & !DATA_BOOL | DATA_NONE, start })
            }
            _ => Err(libc::EINVAL),
        }
    }
}
