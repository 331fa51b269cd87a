//! The socket that clients connect to.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};

use crate::error::{Error, Result};

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 8;

/// A listening socket with a name. Dropping it removes the name.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the name.
    node: (u64, u64),
}

fn io(path: &Path, source: io::Error) -> Error {
    Error::Io { what: "listen on".to_owned(), path: Some(path.to_owned()), source }
}

impl Socket {
    /// Listens on `path`, for this user alone. What a dead server has left there is removed.
    ///
    /// # Errors
    /// [`Error::State`] when a server is alive there, or something else than a socket has that
    /// name; [`Error::Io`] when the kernel refuses.
    pub(super) fn listen(path: &Path) -> Result<Self> {
        let address = SocketAddrUnix::new(path).map_err(|_| {
            let why = format!(
                "{} is too long for a socket, which may have 107 bytes; choose a shorter path",
                path.display()
            );
            Error::State { why }
        })?;
        let bound = match Self::bind(&address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Self::clear(path)?;
                Self::bind(&address)
            }
            other => other,
        };
        let listener = UnixListener::from(bound.map_err(|e| io(path, e))?);
        let node = node(path).map_err(|e| io(path, e))?;
        let socket = Self { listener, path: path.to_owned(), node };
        socket.listener.set_nonblocking(true).map_err(|e| io(path, e))?;
        listen(&socket.listener, BACKLOG).map_err(|e| io(path, e.into()))?;
        Ok(socket)
    }

    fn bind(address: &SocketAddrUnix) -> io::Result<OwnedFd> {
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // The name gets the socket's mode, so it never had another.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        bind(&socket, address)?;
        Ok(socket)
    }

    /// Removes a name that nobody listens at.
    fn clear(path: &Path) -> Result<()> {
        let about = std::fs::symlink_metadata(path).map_err(|e| io(path, e))?;
        if !about.file_type().is_socket() {
            let why = format!(
                "{} is there and is no socket; choose another path, or remove it",
                path.display()
            );
            return Err(Error::State { why });
        }
        match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(|e| io(path, e))
            }
            Ok(_) => {
                let why = format!(
                    "{} is served by another process; stop that one, or choose another path",
                    path.display()
                );
                Err(Error::State { why })
            }
            Err(error) => Err(io(path, error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn node(path: &Path) -> io::Result<(u64, u64)> {
    let about = std::fs::symlink_metadata(path)?;
    Ok((about.dev(), about.ino()))
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Another server's by now, when it was removed meanwhile.
        if node(&self.path).is_ok_and(|node| node == self.node) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
