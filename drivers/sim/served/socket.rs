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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn why<T: std::fmt::Debug>(result: Result<T>) -> String {
        match result.unwrap_err() {
            Error::State { why } => why,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_dead_servers_name_is_taken_and_a_living_ones_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let socket = Socket::listen(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(why(Socket::listen(&path)).contains("served by another process"));
        assert_eq!(socket.path(), path);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "precious").unwrap();
        // Not even what a link leads to, be that a socket or nothing.
        std::os::unix::fs::symlink(dir.path().join("nothing"), &link).unwrap();
        for path in [&file, &link, &dir.path().to_owned()] {
            assert!(why(Socket::listen(path)).contains("is no socket"), "{}", path.display());
        }
        assert_eq!(std::fs::read(&file).unwrap(), b"precious");
        assert!(std::fs::symlink_metadata(&link).is_ok());
        let long = dir.path().join("n".repeat(108));
        assert!(why(Socket::listen(&long)).contains("too long"));
        let nowhere = dir.path().join("none").join("s");
        assert!(matches!(Socket::listen(&nowhere), Err(Error::Io { .. })));
    }

    #[test]
    fn a_name_that_is_somebody_elses_by_now_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let first = Socket::listen(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = Socket::listen(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }
}
