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
                // Nothing goes on at the beginning of a region behind its end.
                let end = offset.checked_add(count as u64);
                if region as usize >= REGIONS || count > MAX_DATA || end.is_none() {
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
        if u32_at(message, 16) < 20 || index >= IRQS || start.checked_add(count).is_none() {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_ne_bytes()).collect()
    }

    /// A whole message, and its head.
    fn message(command: u16, flags: u32, body: &[u8]) -> (Head, Vec<u8>) {
        let size = (HEAD + body.len()) as u32;
        let head = [&[7, 0][..], &command.to_ne_bytes(), &words(&[size, flags, 0])].concat();
        let parsed = Head::parse(&head[..].try_into().unwrap());
        (parsed, [&head[..], body].concat())
    }

    fn request(command: u16, body: &[u8], fds: usize) -> Result<Request, i32> {
        let (head, message) = message(command, 0, body);
        head.request(&message, fds)
    }

    /// One of each command that is right, with as many file descriptors as it may have.
    fn right() -> Vec<(u16, Vec<u8>, usize, Request)> {
        let access =
            |count: u32, data: usize| [words(&[0x10, 0, 7, count]), vec![0; data]].concat();
        let irqs = |flags: u32, count: u32, data: usize| {
            [words(&[20, flags, 2, 1, count]), vec![1; data]].concat()
        };
        vec![
            (1, b"\0\0\0\0{}\0".to_vec(), 0, Request::Version),
            (2, words(&[32, 3, 0, 0, 0, 0, 0x1000, 0]), 1, Request::Crate),
            (3, words(&[24, 0, 0, 0, 0x1000, 0]), 0, Request::Crate),
            (4, words(&[16, 0, 0, 0]), 0, Request::Crate),
            (5, words(&[32, 0, 8, 0, 0, 0, 0, 0]), 0, Request::Crate),
            (7, words(&[16, 0, 4, 0]), 0, Request::Crate),
            (8, irqs(DATA_NONE | 1 << 5, 3, 0), 0, Request::Crate),
            (8, irqs(DATA_EVENTFD | 1 << 5, 3, 0), 3, Request::Crate),
            (
                8,
                irqs(DATA_BOOL | 1 << 5, 3, 3),
                0,
                Request::Bools { index: 2, flags: DATA_NONE | 1 << 5, start: 1 },
            ),
            (9, access(4, 0), 0, Request::Read { region: 7, offset: 0x10, count: 4 }),
            (10, access(4, 4), 0, Request::Write { region: 7, offset: 0x10 }),
            (13, vec![], 0, Request::Crate),
        ]
    }

    #[test]
    fn what_is_right_passes_and_no_other_length_or_count_of_files_does() {
        for (command, body, fds, want) in right() {
            assert_eq!(request(command, &body, fds), Ok(want), "{command}");
            assert_eq!(request(command, &body, MAX_FDS), Err(libc::EINVAL), "{command}");
            for cut in 0..body.len() {
                // A version may be without text.
                if command != 1 || cut != 4 {
                    assert!(request(command, &body[..cut], fds).is_err(), "{command} {cut}");
                }
            }
            let longer = [&body[..], &[1]].concat();
            assert!(request(command, &longer, fds).is_err(), "{command}");
        }
    }

    #[test]
    fn hostile_numbers_are_refused() {
        let sized = |at: usize, value: u32| {
            right().into_iter().filter_map(move |(command, mut body, fds, _)| {
                body.get_mut(at..at + 4)?.copy_from_slice(&value.to_ne_bytes());
                Some((command, body, fds))
            })
        };
        // argsz is too small; region, interrupt or count are none.
        for (command, body, fds) in sized(0, 8).filter(|(c, ..)| (2..9).contains(c)) {
            assert_eq!(request(command, &body, fds), Err(libc::EINVAL), "{command}");
        }
        for (command, body, fds) in sized(8, u32::MAX).filter(|(c, ..)| (5..11).contains(c)) {
            assert_eq!(request(command, &body, fds), Err(libc::EINVAL), "{command}");
        }
        for (command, body, fds) in sized(12, u32::MAX).filter(|(c, ..)| (8..11).contains(c)) {
            assert_eq!(request(command, &body, fds), Err(libc::EINVAL), "{command}");
        }
        // An access across the end of everything.
        for command in [9, 10] {
            let body = words(&[u32::MAX, u32::MAX, 0, 1]);
            assert_eq!(request(command, &body, 0), Err(libc::EINVAL));
        }
        let all_data = request(8, &words(&[20, 7 | 1 << 5, 0, 0, 0]), 0);
        assert_eq!(all_data, Err(libc::EINVAL), "three kinds of data at once");
    }

    #[test]
    fn versions_that_are_no_versions_are_refused() {
        for body in [&b"\x01\0\0\0{}\0"[..], b"\0\0\0\0{}", b"\0\0\0\0{\0}\0", b"\0\0\0\0\xff\0"] {
            assert_eq!(request(1, body, 0), Err(libc::EINVAL), "{body:?}");
        }
        assert_eq!(request(1, b"\0\0\x01\0", 0), Ok(Request::Version), "any minor version");
    }

    #[test]
    fn what_nobody_asked_for_is_known_as_such() {
        for command in [0, 6, 11, 12, 14, 15, u16::MAX] {
            assert_eq!(request(command, &[], 0), Err(libc::ENOTSUP), "{command}");
        }
        let (head, message) = message(4, REPLY, &words(&[16, 0, 0, 0]));
        assert!(head.is_reply());
        assert_eq!(head.request(&message, 0), Err(libc::EINVAL));
    }

    #[test]
    fn replies_name_their_message_and_refusals_their_reason() {
        let (head, _) = message(9, NO_REPLY, &[]);
        assert!(head.no_reply() && !head.is_reply());
        let reply = head.reply(ACCESS);
        assert_eq!(reply[..], [&[7, 0, 9, 0][..], &words(&[32, 1, 0])].concat());
        assert!(!Head::refuses_without_reason(&reply));
        let refusal = head.refusal(libc::ENOENT);
        assert_eq!(refusal[..], [&[7, 0, 9, 0][..], &words(&[16, 1 | 1 << 5, 2])].concat());
        assert!(!Head::refuses_without_reason(&refusal));
        assert!(Head::refuses_without_reason(&head.refusal(0)));
        assert!(!Head::refuses_without_reason(&[]), "there is none");
    }
}
