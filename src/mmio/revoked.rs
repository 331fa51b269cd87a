//! Register mappings that the kernel takes away.
//!
//! A kernel driver that claims a device again revokes the mappings of its `resourceN` files
//! (Linux 6.1 does, 5.10 did not): the next access, from whatever thread, is a SIGBUS. So ranges are
//! watched from the first mapping on: a fault inside one puts ordinary memory over the whole
//! range and marks it dead, and the access that faulted is repeated there. Writes then go nowhere
//! and [`MappedBar`](super::MappedBar) answers every read with all ones, as a removed device
//! does, so the driver reports it gone by its usual path.
//!
//! The memory that a guest lends (`mem::borrowed`) is watched the same way: whoever lent it can cut
//! the file short, or its file system can be full.
//!
//! Every other SIGBUS goes to whoever handled it before. A handler that is installed later and
//! does not chain takes this one out of service.
//!
//! The handler takes no lock and allocates nothing: it reads a fixed table and makes one system
//! call. Each entry is a sequence lock, so that an entry that changes hands while it is looked at
//! is never taken for a range that it does not hold; the entry of a range that somebody is
//! accessing does not change hands, since the access keeps the mapping alive.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering, fence};

use crate::mem::page_size;

/// Ranges that can be watched at a time: BARs, and the windows of guests' memory.
pub(super) const RANGES: usize = 1024;

/// What an entry is, in the low bits of its state; above them counts how often that changed.
const FREE: usize = 0;
const CHANGING: usize = 1;
const LIVE: usize = 2;
const KIND: usize = 3;
const STEP: usize = 4;

#[derive(Debug)]
struct Entry {
    state: AtomicUsize,
    start: AtomicUsize,
    end: AtomicUsize,
    dead: AtomicBool,
}

static TABLE: [Entry; RANGES] = [const {
    Entry {
        state: AtomicUsize::new(FREE),
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        dead: AtomicBool::new(false),
    }
}; RANGES];

impl Entry {
    /// Takes a free entry for `start..end`.
    fn take(&self, start: usize, end: usize) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        if state & KIND != FREE {
            return false;
        }
        let changing = state & !KIND | CHANGING;
        let taken =
            self.state.compare_exchange(state, changing, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            return false;
        }
        // Whoever sees the new bounds also sees that the state has changed.
        fence(Ordering::Release);
        self.start.store(start, Ordering::Relaxed);
        self.end.store(end, Ordering::Relaxed);
        self.dead.store(false, Ordering::Relaxed);
        self.state.store((state & !KIND).wrapping_add(STEP) | LIVE, Ordering::Release);
        true
    }

    /// Gives it back. Only its owner may.
    fn leave(&self) {
        let state = self.state.load(Ordering::Relaxed);
        self.state.store((state & !KIND).wrapping_add(STEP) | FREE, Ordering::Release);
    }

    /// Its bounds, if it is live and they hold `addr`.
    fn holds(&self, addr: usize) -> Option<(usize, usize)> {
        let before = self.state.load(Ordering::Acquire);
        let start = self.start.load(Ordering::Relaxed);
        let end = self.end.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        let stable = self.state.load(Ordering::Relaxed) == before && before & KIND == LIVE;
        (stable && (start..end).contains(&addr)).then_some((start, end))
    }

    /// Puts memory over `start..end`, its bounds. Reads are answered by `dead` alone, so no value
    /// that was written there is ever taken for the device's.
    fn sever(&self, start: usize, end: usize) -> bool {
        self.dead.store(true, Ordering::SeqCst);
        // SAFETY: the range is a mapping that its owner gave to be replaced at any time
        // (`Watch::new`), it is whole pages, and the owner has not let go of it: either it calls,
        // or an access to the range waits for this handler.
        let at = unsafe {
            libc::mmap(
                std::ptr::with_exposed_provenance_mut(start),
                end - start,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        at != libc::MAP_FAILED
    }
}

/// A watched range. To be dropped before the range is unmapped.
#[derive(Debug)]
pub(crate) struct Watch {
    entry: &'static Entry,
    start: usize,
    end: usize,
}

impl Watch {
    /// Watches the pages of `len` bytes at `at`. Nothing when the table is full.
    ///
    /// # Errors
    /// When the signal handler cannot be installed.
    ///
    /// # Safety
    /// Until the watch is dropped, these pages are one shared mapping of device registers (or
    /// what stands in for it, or memory that another process may change) that belongs to the
    /// caller, in which nobody holds a reference: it may be replaced by other memory at any time.
    pub(crate) unsafe fn new(at: *mut u8, len: usize) -> io::Result<Option<Self>> {
        install()?;
        let page = page_size();
        let start = at.expose_provenance() & !(page - 1);
        let end = (at.addr() + len).next_multiple_of(page);
        let entry = TABLE.iter().find(|e| e.take(start, end));
        Ok(entry.map(|entry| Self { entry, start, end }))
    }

    /// Whether the range has been replaced.
    #[inline(always)]
    pub(crate) fn is_dead(&self) -> bool {
        self.entry.dead.load(Ordering::Acquire)
    }

    /// Replaces it now. False when that failed: then reads count as dead, and writes still
    /// arrive.
    pub(super) fn sever(&self) -> bool {
        self.entry.sever(self.start, self.end)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.entry.leave();
    }
}

/// Who handled SIGBUS before.
struct Previous {
    handler: AtomicUsize,
    flags: AtomicI32,
}

static PREVIOUS: Previous =
    Previous { handler: AtomicUsize::new(libc::SIG_DFL), flags: AtomicI32::new(0) };

impl Previous {
    fn store(&self, action: &libc::sigaction) {
        self.flags.store(action.sa_flags, Ordering::Relaxed);
        self.handler.store(action.sa_sigaction, Ordering::Release);
    }
}

/// `sigaction(SIGBUS, new, old)`; the old one.
fn swap(new: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    // SAFETY: all zeros is a valid action.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `new` is null or an action whose handler may run at any time; `old` has room.
    match unsafe { libc::sigaction(libc::SIGBUS, new, &mut old) } {
        0 => Ok(old),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Installs the handler, once.
fn install() -> io::Result<()> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let result =
        *INSTALLED.get_or_init(|| hook().map_err(|e| e.raw_os_error().unwrap_or(libc::EINVAL)));
    result.map_err(io::Error::from_raw_os_error)
}

fn hook() -> io::Result<()> {
    // Known before the handler can run for the first time.
    let before = swap(None)?;
    PREVIOUS.store(&before);
    let mut action = before;
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_sigbus;
    action.sa_sigaction = handler as usize;
    // Signals that the previous handler wants held back stay so: it is called from this one.
    action.sa_flags = libc::SA_SIGINFO
        | libc::SA_ONSTACK
        | before.sa_flags & (libc::SA_RESTART | libc::SA_NODEFER);
    let replaced = swap(Some(&action))?;
    if replaced.sa_sigaction != before.sa_sigaction {
        PREVIOUS.store(&replaced);
    }
    Ok(())
}

extern "C" fn on_sigbus(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: always valid; the value belongs to this thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let saved = unsafe { *errno };
    // SAFETY: the kernel gives a handler with SA_SIGINFO a valid description.
    let about = unsafe { &*info };
    let code = about.si_code;
    // Only one that an access raised has an address; elsewhere a sender's id lies there.
    let survived = code > 0 && {
        // SAFETY: the kernel raised it for an access.
        let addr = unsafe { about.si_addr() }.addr();
        TABLE.iter().any(|e| e.holds(addr).is_some_and(|(start, end)| e.sever(start, end)))
    };
    if !survived {
        pass_on(signal, info, context, code);
    }
    // SAFETY: as above.
    unsafe { *errno = saved };
}

/// What would have happened without this handler.
fn pass_on(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
    code: libc::c_int,
) {
    let handler = PREVIOUS.handler.load(Ordering::Acquire);
    let flags = PREVIOUS.flags.load(Ordering::Relaxed);
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        // An access cannot be ignored, only a signal that somebody sent.
        if code > 0 || handler == libc::SIG_DFL {
            die(signal, code);
        }
        return;
    }
    if flags & libc::SA_RESETHAND != 0 {
        PREVIOUS.handler.store(libc::SIG_DFL, Ordering::Release);
    }
    if flags & libc::SA_SIGINFO != 0 {
        // SAFETY: a handler registered with SA_SIGINFO has this type.
        let handler = unsafe {
            std::mem::transmute::<
                usize,
                extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void),
            >(handler)
        };
        handler(signal, info, context);
    } else {
        // SAFETY: a handler registered without SA_SIGINFO has this type.
        let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler) };
        handler(signal);
    }
}

/// Lets the default action happen: an access repeats itself, a signal that was sent is sent
/// again. Both take effect when the handler returns.
fn die(signal: libc::c_int, code: libc::c_int) {
    // SAFETY: all zeros is the default action.
    let default: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a valid action, and the old one is not asked for.
    unsafe { libc::sigaction(signal, &default, std::ptr::null_mut()) };
    if code <= 0 {
        // SAFETY: raises a signal in this thread; allowed in a handler.
        unsafe { libc::raise(signal) };
    }
}
