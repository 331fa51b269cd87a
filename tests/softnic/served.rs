//! A NIC on a socket of its own, and what happened there.

use std::any::Any;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, RwLock};
use std::time::Instant;

use barewire::drivers::sim::served::{ClientEvent, SoftNic};
use barewire::drivers::sim::{Drive, Model, SimConfig, SimNic};
use tempfile::TempDir;

use crate::client::{Client, DEADLINE};
use crate::guest::Guest;

/// Tests that count what the whole process holds run alone.
static TURN: RwLock<()> = RwLock::new(());

/// Panics of threads that serve or run NICs. The server catches its own, and goes on.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// See the module's documentation.
pub(crate) struct Served {
    pub(crate) nic: SimNic,
    pub(crate) path: PathBuf,
    events: Arc<Mutex<Vec<ClientEvent>>>,
    softnic: Option<SoftNic>,
    _dir: TempDir,
    /// Until everything else is gone.
    _turn: Box<dyn Any>,
}

impl Served {
    pub(crate) fn new(model: Model, wire: &str) -> Self {
        Self::with(model, wire, Box::new(TURN.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// With no other test at work.
    pub(crate) fn alone(model: Model, wire: &str) -> Self {
        Self::with(model, wire, Box::new(TURN.write().unwrap_or_else(PoisonError::into_inner)))
    }

    /// One more of the same test.
    pub(crate) fn beside(_first: &Self, model: Model, wire: &str) -> Self {
        Self::with(model, wire, Box::new(()))
    }

    fn with(model: Model, wire: &str, turn: Box<dyn Any>) -> Self {
        watch_panics();
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("nic.sock");
        let nic = SimNic::new(&SimConfig {
            name: format!("{} of a test", model.name()),
            chip: model,
            wire: wire.to_owned(),
            drive: Drive::Served,
            ..SimConfig::default()
        });
        let nic = nic.expect("a NIC");
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = events.clone();
        let tell = move |event| heard.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        let softnic = SoftNic::serve(nic.clone(), &path, tell).expect("it can be served");
        Self { nic, path, events, softnic: Some(softnic), _dir: dir, _turn: turn }
    }

    pub(crate) fn client(&self) -> Client {
        Client::open(&self.path)
    }

    /// A client whose guest has a driver at work.
    pub(crate) fn guest(&self) -> Guest {
        Guest::start(self.client(), self.nic.pci_identity().device)
    }

    pub(crate) fn events(&self) -> Vec<ClientEvent> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the client left that is the `n`-th to do so.
    pub(crate) fn left(&self, n: usize) -> Option<String> {
        let gone = |event: &ClientEvent| match event {
            ClientEvent::Left { why, .. } => Some(why.clone()),
            _ => None,
        };
        until("the client has left", || self.events().iter().filter_map(gone).nth(n))
    }

    /// Ends the serving.
    pub(crate) fn stop(&mut self) {
        self.softnic = None;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.softnic = None;
        if !std::thread::panicking() {
            assert_eq!(panics(), 0, "a thread of the server panicked");
        }
    }
}

/// Waits until something is there.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

/// Panics so far in threads that the library has made.
pub(crate) fn panics() -> usize {
    PANICS.load(Ordering::Relaxed)
}

fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            if thread.name().is_some_and(|name| name.starts_with("barewire-")) {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            before(info);
        }));
    });
}
