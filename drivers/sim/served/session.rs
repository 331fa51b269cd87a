//! One client's connection: whole messages in, one reply each out.
//!
//! The thread waits only where nobody can keep it: for the start of a message until the client
//! leaves or the server stops, and for the rest of one, or for room for a reply, until a deadline.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, recvmsg, send,
};

use super::crate_server::CrateServer;
use super::function::Function;
use super::message::{ACCESS, HEAD, Head, MAX_FDS, MAX_MESSAGE, Request, SET_IRQS};
use crate::poll::{Event, LONGEST, pollfd, ppoll};

/// How long the rest of a message may take, and a client may take to fetch a reply.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the server says to VERSION: minor version 0 of major version 0, and what it can take.
const CAPABILITIES: &str = "{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":65536}}\0";

/// Why a session is over.
#[derive(Debug)]
pub(super) enum End {
    /// The client closed its socket.
    Closed,
    /// The server is to stop.
    Stopped,
    /// The client broke the protocol: what it did.
    Broke(&'static str),
    /// The socket failed.
    Failed(io::Error),
}

impl From<Errno> for End {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::CONNRESET | Errno::PIPE => Self::Closed,
            errno => Self::Failed(errno.into()),
        }
    }
}

/// See the module's documentation.
pub(super) struct Session<'a> {
    pub(super) stream: &'a UnixStream,
    pub(super) listener: &'a UnixListener,
    pub(super) stop: &'a Event,
    pub(super) function: &'a mut Function,
    pub(super) server: &'a CrateServer,
    /// Called for each other client that was turned away.
    pub(super) refused: &'a mut dyn FnMut(),
    /// Messages so far.
    pub(super) messages: u64,
}

impl Session<'_> {
    /// Serves the client to its end.
    pub(super) fn run(&mut self) -> End {
        let mut message = vec![0; MAX_MESSAGE];
        let mut reply = Vec::with_capacity(MAX_MESSAGE);
        loop {
            if let Err(end) = self.one(&mut message, &mut reply) {
                return end;
            }
        }
    }

    /// Receives and answers one message.
    fn one(&mut self, message: &mut [u8], reply: &mut Vec<u8>) -> Result<(), End> {
        self.wait_for_message()?;
        let deadline = Instant::now() + PATIENCE;
        let mut fds = Vec::new();
        let mut raw = [0; HEAD];
        let mut lost = self.receive(&mut raw, &mut fds, deadline, true)?;
        let head = Head::parse(&raw);
        let size = head.size as usize;
        let Some(body) = message.get_mut(..size).and_then(|m| m.split_first_chunk_mut::<HEAD>())
        else {
            // Where the next message begins is anybody's guess.
            self.send(&head.refusal(libc::EINVAL))?;
            return Err(End::Broke("sent a message of no allowed size"));
        };
        *body.0 = raw;
        lost |= self.receive(body.1, &mut fds, deadline, false)?;
        self.messages += 1;
        if head.is_reply() {
            return Ok(());
        }
        let message = &message[..size];
        let request = if lost { Err(libc::EINVAL) } else { head.request(message, fds.len()) };
        reply.clear();
        let outcome = match request {
            // The protocol begins with the version, and has it once.
            Ok(request) if (request == Request::Version) != (self.messages == 1) => {
                Err(libc::EINVAL)
            }
            Ok(request) => self.answer(&head, request, message, &fds, reply),
            Err(errno) => Err(errno),
        };
        if let Err(errno) = outcome {
            tracing::debug!(command = head.command, errno, "refused a message");
            reply.clear();
            reply.extend_from_slice(&head.refusal(errno));
        }
        if self.messages == 1 && outcome.is_err() {
            self.send(reply)?;
            return Err(End::Broke("sent no version that is spoken here"));
        }
        if head.no_reply() { Ok(()) } else { self.send(reply) }
    }

    /// Puts the reply together, or gives the errno of a refusal.
    fn answer(
        &mut self,
        head: &Head,
        request: Request,
        message: &[u8],
        fds: &[OwnedFd],
        reply: &mut Vec<u8>,
    ) -> Result<(), i32> {
        match request {
            Request::Version => {
                reply.extend_from_slice(&head.reply(HEAD + 4 + CAPABILITIES.len()));
                reply.extend_from_slice(&[0; 4]);
                reply.extend_from_slice(CAPABILITIES.as_bytes());
            }
            Request::Read { region, offset, count } => {
                reply.extend_from_slice(&head.reply(ACCESS + count));
                reply.extend_from_slice(&message[HEAD..ACCESS]);
                reply.resize(ACCESS + count, 0);
                self.function.read(region, offset, &mut reply[ACCESS..]);
            }
            Request::Write { region, offset } => {
                self.function.write(region, offset, &message[ACCESS..]);
                reply.extend_from_slice(&head.reply(ACCESS));
                reply.extend_from_slice(&message[HEAD..ACCESS]);
            }
            Request::Bools { index, flags, start } => {
                let bools = message.get(SET_IRQS..).unwrap_or_default();
                for (_, vector) in bools.iter().zip(start..).filter(|(on, _)| **on != 0) {
                    let done = self.function.interrupts(index, flags, vector, 1, Vec::new());
                    done.map_err(|e| e.raw_os_error().unwrap_or(libc::EINVAL))?;
                }
                reply.extend_from_slice(&head.reply(HEAD));
            }
            Request::Crate => {
                self.function.take_refused();
                let answer = self.server.answer(self.function, message, fds);
                *reply = answer.map_err(|e| e.raw_os_error().unwrap_or(libc::EIO))?;
                let refused = self.function.take_refused();
                if Head::refuses_without_reason(reply) {
                    return Err(refused.unwrap_or(libc::EINVAL));
                }
            }
        }
        Ok(())
    }

    /// Waits for the first byte of a message; other clients are turned away meanwhile.
    fn wait_for_message(&mut self) -> Result<(), End> {
        loop {
            let mut fds =
                [self.stream.as_fd(), self.listener.as_fd(), self.stop.as_fd()].map(pollfd);
            wait(&mut fds, LONGEST)?;
            let [ours, others, stop] = fds.map(|fd| fd.revents != 0);
            if stop {
                return Err(End::Stopped);
            }
            // Whoever comes after this client has gone is served next, so it is asked again.
            if others && !self.has_hung_up() {
                self.turn_away();
            }
            if ours {
                return Ok(());
            }
        }
    }

    fn has_hung_up(&self) -> bool {
        let mut ours = [self.stream.as_fd()].map(pollfd);
        ours[0].events = 0;
        wait(&mut ours, Duration::ZERO).is_ok() && ours[0].revents & libc::POLLHUP != 0
    }

    fn turn_away(&mut self) {
        match self.listener.accept() {
            Ok(_) => (self.refused)(),
            // Without a file descriptor to spare, it is asked again and again.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(_) => {}
        }
    }

    /// Fills `into`. Returns whether file descriptors were lost on the way.
    fn receive(
        &self,
        mut into: &mut [u8],
        fds: &mut Vec<OwnedFd>,
        deadline: Instant,
        first: bool,
    ) -> Result<bool, End> {
        let mut lost = false;
        let whole = into.len();
        while !into.is_empty() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            let got = recvmsg(self.stream, &mut [IoSliceMut::new(into)], &mut control, flags);
            let got = match got {
                Ok(got) => got,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    self.wait_until(libc::POLLIN, deadline)?;
                    continue;
                }
                Err(errno) => return Err(errno.into()),
            };
            lost |= got.flags.contains(ReturnFlags::CTRUNC);
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(more) = message {
                    fds.extend(more);
                }
            }
            if fds.len() > MAX_FDS {
                return Err(End::Broke("sent more file descriptors than a message may have"));
            }
            if got.bytes == 0 {
                let nothing = first && into.len() == whole;
                return Err(if nothing { End::Closed } else { End::Broke("sent half a message") });
            }
            into = &mut into[got.bytes..];
        }
        Ok(lost)
    }

    fn send(&self, mut bytes: &[u8]) -> Result<(), End> {
        let deadline = Instant::now() + PATIENCE;
        while !bytes.is_empty() {
            match send(self.stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait_until(libc::POLLOUT, deadline)?,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Waits until the client's socket is ready for `events`.
    fn wait_until(&self, events: i16, deadline: Instant) -> Result<(), End> {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [self.stream.as_fd(), self.stop.as_fd()].map(pollfd);
        fds[0].events = events;
        let ready = wait(&mut fds, left)?;
        if fds[1].revents != 0 {
            return Err(End::Stopped);
        }
        if ready == 0 && left.is_zero() {
            let half = events == libc::POLLIN;
            let what = if half { "sent half a message" } else { "does not fetch its replies" };
            return Err(End::Broke(what));
        }
        Ok(())
    }
}

/// Waits for one of `fds`. A signal ends the wait early.
pub(super) fn wait(fds: &mut [libc::pollfd], most: Duration) -> Result<usize, End> {
    match ppoll(fds, most) {
        Ok(ready) => Ok(ready),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            // What they held before the wait says nothing.
            fds.iter_mut().for_each(|fd| fd.revents = 0);
            Ok(0)
        }
        Err(error) => Err(End::Failed(error)),
    }
}

/// The process at the other end of a socket.
pub(super) fn peer(stream: BorrowedFd<'_>) -> Option<i32> {
    rustix::net::sockopt::socket_peercred(stream).ok().map(|who| who.pid.as_raw_nonzero().get())
}
