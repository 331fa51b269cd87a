//! The thread that serves a software NIC to one client after another.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::crate_server::CrateServer;
use super::function::Function;
use super::session::{End, Session, peer, wait};
use super::socket::Socket;
use crate::drivers::sim::SimNic;
use crate::error::{Error, Result};
use crate::poll::{Event, LONGEST, pollfd};

/// What happens at a served NIC's socket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// A client has connected: its process.
    Came {
        /// Its process id, as far as this process can see it.
        process: Option<i32>,
    },
    /// A client was turned away: one is served at a time.
    TurnedAway,
    /// The client has gone, and the NIC is reset.
    Left {
        /// Messages that it sent.
        messages: u64,
        /// Why, when it did not just close its socket.
        why: Option<String>,
    },
}

/// A software NIC that is served on a socket: a PCI device for QEMU's `vfio-user-pci`. Dropping it
/// ends that and removes the socket.
pub struct SoftNic {
    nic: SimNic,
    path: PathBuf,
    stop: Arc<Event>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for SoftNic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SoftNic({:?} at {})", self.nic, self.path.display())
    }
}

impl SoftNic {
    /// Serves a NIC on the socket `path`, for this user's processes alone. Whoever connects gets
    /// it as after power-on; `tell` learns who comes and goes.
    ///
    /// The NIC should be of [`Drive::Served`](crate::drivers::sim::Drive::Served), else somebody
    /// has to step it.
    ///
    /// # Errors
    /// [`Error::State`] when another server is alive on that path, or something else has that
    /// name; [`Error::Io`] when the kernel refuses.
    pub fn serve(
        nic: SimNic,
        path: &Path,
        tell: impl FnMut(ClientEvent) + Send + 'static,
    ) -> Result<Self> {
        let socket = Socket::listen(path)?;
        let stop = Arc::new(Event::new()?);
        let function = Function::new(nic.clone());
        let inner = |source| {
            let what = "make a socket of one's own in the directory for temporary files".to_owned();
            Error::Io { what, path: Some(std::env::temp_dir()), source }
        };
        let server = CrateServer::new(&function).map_err(inner)?;
        let path = socket.path().to_owned();
        let mut serving =
            Serving { socket, stop: stop.clone(), function, server, tell: Box::new(tell) };
        let thread = std::thread::Builder::new()
            .name("barewire-vfio".to_owned())
            .spawn(move || serving.run())
            .map_err(|source| Error::Io {
                what: "start the thread that serves a NIC".to_owned(),
                path: None,
                source,
            })?;
        Ok(Self { nic, path, stop, thread: Some(thread) })
    }

    /// The NIC.
    pub fn nic(&self) -> &SimNic {
        &self.nic
    }

    /// Where it is served.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SoftNic {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(thread) = self.thread.take() {
            // It catches its panics.
            let _ = thread.join();
        }
    }
}

/// What the thread holds.
struct Serving {
    socket: Socket,
    stop: Arc<Event>,
    function: Function,
    server: CrateServer,
    tell: Box<dyn FnMut(ClientEvent) + Send>,
}

impl Serving {
    fn run(&mut self) {
        loop {
            let mut fds = [self.socket.listener.as_fd(), self.stop.as_fd()].map(pollfd);
            let waited = wait(&mut fds, LONGEST);
            if fds[1].revents != 0 {
                return;
            }
            let accepted = match waited {
                Ok(0) => continue,
                Ok(_) => self.socket.listener.accept(),
                Err(_) => Err(io::ErrorKind::Other.into()),
            };
            match accepted {
                Ok((stream, _)) => {
                    if self.serve(&stream) {
                        return;
                    }
                }
                // Mostly: no file descriptor to spare. The client waits.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a client yet");
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }

    /// Serves one client. Returns whether the server is to stop.
    fn serve(&mut self, stream: &UnixStream) -> bool {
        (self.tell)(ClientEvent::Came { process: peer(stream.as_fd()) });
        let mut messages = 0;
        let end = catch_unwind(AssertUnwindSafe(|| {
            self.function.attach();
            let mut refused = || (self.tell)(ClientEvent::TurnedAway);
            let mut session = Session {
                stream,
                listener: &self.socket.listener,
                stop: &self.stop,
                function: &mut self.function,
                server: &self.server,
                refused: &mut refused,
                messages: 0,
            };
            let end = session.run();
            messages = session.messages;
            end
        }));
        // Whatever happened: nothing of the client's is touched from here on.
        let cleared = catch_unwind(AssertUnwindSafe(|| self.function.detach()));
        let mut stopped = false;
        let mut why = match end {
            Ok(End::Closed) => None,
            Ok(End::Stopped) => {
                stopped = true;
                Some("the server stops".to_owned())
            }
            Ok(End::Broke(what)) => Some(format!("it {what}")),
            Ok(End::Failed(error)) => Some(format!("its socket failed: {error}")),
            Err(_) => Some("a mistake in the software NIC ended its session".to_owned()),
        };
        if cleared.is_err() {
            why = Some("a mistake in the software NIC kept it from being reset".to_owned());
        }
        if let Some(why) = &why {
            tracing::warn!(socket = %self.socket.path().display(), "a client left: {why}");
        }
        (self.tell)(ClientEvent::Left { messages, why });
        stopped
    }
}
