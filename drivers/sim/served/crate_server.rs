//! The `vfio_user` crate's server, one message at a time.
//!
//! The crate takes a listening socket, serves whoever connects until the connection ends, and
//! trusts every byte. So each message gets a connection of its own: a whole, checked message goes
//! in, the sending side is closed, the crate answers it and finds the end, and the reply is what
//! has arrived. All of it happens in this thread. The crate can neither wait for anything nor take
//! the rest of a message for another one.

use std::fs::File;
use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use vfio_user::Server;

use super::function::Function;
use super::message::MAX_FDS;

/// See the module's documentation.
pub(super) struct CrateServer {
    server: Server,
    /// The private socket's file, by which it is connected to.
    door: PathBuf,
    _door: File,
}

impl CrateServer {
    /// A server for a function. Its socket's name in the file system is gone when this returns.
    ///
    /// # Errors
    /// When there is no room for the socket in the directory for temporary files.
    pub(super) fn new(function: &Function) -> io::Result<Self> {
        let dir = PrivateDir::new()?;
        let path = dir.0.join("s");
        let listener = UnixListener::bind(&path)?;
        let door = File::options().read(true).custom_flags(libc::O_PATH).open(&path)?;
        drop(dir);
        Ok(Self {
            server: Server::from_owned_fd(
                OwnedFd::from(listener),
                true,
                function.irqs(),
                function.regions(),
            ),
            door: PathBuf::from(format!("/proc/self/fd/{}", door.as_raw_fd())),
            _door: door,
        })
    }

    /// Has the crate answer a message, which must be whole and checked. The reply is empty when
    /// none was asked for.
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub(super) fn answer(
        &self,
        function: &mut Function,
        message: &[u8],
        fds: &[OwnedFd],
    ) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.door)?;
        // Should a message not fit, waiting would be for ever.
        stream.set_nonblocking(true)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let lent: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        if !lent.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&lent)) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let sent = sendmsg(&stream, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL)?;
        stream.shutdown(Shutdown::Write)?;
        let outcome = self.server.run(function);
        if sent < message.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        if let Err(error) = outcome {
            tracing::debug!(%error, "the vfio_user crate gave up");
        }
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply)?;
        Ok(reply)
    }
}

/// A directory that no other user can look into, removed with what is in it.
struct PrivateDir(PathBuf);

impl PrivateDir {
    fn new() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut builder = std::fs::DirBuilder::new();
        builder.mode(0o700);
        for _ in 0..1000 {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("barewire-{}-{n}", std::process::id());
            let path = Path::new(&std::env::temp_dir()).join(name);
            match builder.create(&path) {
                Ok(()) => return Ok(Self(path)),
                // What an earlier process of this number has left, or somebody puts in the way.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0.join("s"));
        let _ = std::fs::remove_dir(&self.0);
    }
}
