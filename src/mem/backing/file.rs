//! Files in a hugetlbfs, and what backings made of files share.
//!
//! A file is named `barewire-<pid>-<start time>-<n>` and locked (`flock`) by its owner for as
//! long as the owner has it open or mapped. The lock, not the name, tells whether the owner
//! lives: it cannot be fooled by a pid that was given out again or belongs to another container.
//!
//! A free lock does not tell that the owner's NICs are quiet: a dying process closes its
//! descriptors one by one, and with more than a few hundred open a memory file may go before a
//! NIC's node. So an owner that is still on its way out is waited for.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memmap2::{MmapOptions, MmapRaw};

use super::hugepages::Hugepages;
use super::{Mapping, Traits, advise, failed, node};
use crate::error::{Error, Result};
use crate::mem::CHUNK;

const PREFIX: &str = "barewire-";
/// How often an interrupted call is repeated before it counts as failed.
const RETRIES: u32 = 100;
/// How many names are tried; each is lost only to another container's file of the same name, or
/// to a cleaner that came between creating and locking.
const NAMES: u32 = 64;

/// How long dying processes may take to close their descriptors, and how often one is looked at.
const DEATH: Duration = Duration::from_secs(2);
const DEATH_POLL: Duration = Duration::from_millis(2);

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A linked file, removed on drop.
struct Linked {
    path: PathBuf,
    file: File,
}

impl Drop for Linked {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the memory file");
        }
    }
}

/// Unmaps first, then unlinks, then closes and so unlocks.
struct HugetlbFile {
    _map: MmapRaw,
    _linked: Linked,
}

pub(super) fn map(dir: &Path, len: usize, node: Option<u32>) -> Result<Mapping> {
    if !is_hugetlbfs(dir) {
        return Err(Error::config(
            "hugetlbfs directory",
            dir.display(),
            "a directory in a hugetlbfs of 2 MiB pages (mount -t hugetlbfs -o pagesize=2M none DIR)",
        ));
    }
    let pages = Hugepages::system();
    pages.require(len, node)?;
    let linked = create(dir)?;
    let map = fill_and_map(&linked.file, len, node, &pages)?;
    let ptr = chunk_aligned(&map, len)?;
    let traits = Traits { kind: "hugetlbfs file", huge: true, stable: true, held_by: None };
    Ok(Mapping { ptr, len, traits, _owner: Box::new(HugetlbFile { _map: map, _linked: linked }) })
}

/// Removes the memory files that dead processes left in `dir`, and returns how many.
///
/// A killed process leaves its files on purpose: its NIC may have been writing. The kernel turns
/// the bus mastering of such a NIC off while the process dies, which is waited for; so call this
/// only when no device that such a process drove had it turned on again before it was reset.
/// Files of living processes and files of other names stay, and so do those of a process that is
/// still dying after two seconds, which are waited for once and not for each file.
///
/// # Errors
/// [`Error::Io`] when the directory cannot be read. A file that cannot be opened or removed is
/// skipped.
pub fn clean_stale(dir: &Path) -> Result<usize> {
    clean(dir, Path::new("/proc"), DEATH)
}

fn clean(dir: &Path, proc: &Path, patience: Duration) -> Result<usize> {
    let mut removed = 0;
    let until = Instant::now() + patience;
    let entries = fs::read_dir(dir).map_err(|e| Error::io("list", dir, e))?;
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("list", dir, e))?;
        let Some(owner) = Owner::of(&entry.file_name()) else { continue };
        match remove_if_stale(&entry.path(), || owner.ends_before(until, proc)) {
            Ok(true) => removed += 1,
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(path = %entry.path().display(), %error, "left a memory file");
            }
        }
    }
    Ok(removed)
}

/// Everybody removes a file of ours with its lock held, so `path` cannot come to name another
/// file between the check and the removal.
fn remove_if_stale(path: &Path, ended: impl FnOnce() -> bool) -> io::Result<bool> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || !try_lock(&file)? || file.metadata()?.nlink() == 0 {
        return Ok(false);
    }
    if !ended() {
        return Err(io::Error::other("its process is dying and has not closed everything yet"));
    }
    fs::remove_file(path)?;
    Ok(true)
}

/// Whose file it is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    pid: u32,
    born: u64,
}

impl Owner {
    fn of(name: &OsStr) -> Option<Self> {
        let mut parts = name.to_str()?.strip_prefix(PREFIX)?.split('-').map(|p| {
            // `parse` would take a sign.
            p.bytes().all(|b| b.is_ascii_digit()).then(|| p.parse::<u64>().ok()).flatten()
        });
        let (pid, born, _) = (parts.next()??, parts.next()??, parts.next()??);
        match (parts.next(), u32::try_from(pid)) {
            (None, Ok(pid)) => Some(Self { pid, born }),
            _ => None,
        }
    }

    /// Waits for its end. False when it is still on its way out at `until`.
    fn ends_before(self, until: Instant, proc: &Path) -> bool {
        let stat = proc.join(self.pid.to_string()).join("stat");
        // Gone, hidden, or another's pid: nothing to wait for.
        while fs::read_to_string(&stat).is_ok_and(|stat| is_dying(&stat, self.born)) {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(DEATH_POLL);
        }
        true
    }
}

/// Whether this stat file is that of a process that started at `born` and has begun to exit, but
/// may have descriptors left: it becomes a zombie (state Z) once those are closed, and its other
/// threads (field 20) may still be closing theirs then.
fn is_dying(stat: &str, born: u64) -> bool {
    /// PF_EXITING, in field 9.
    const EXITING: u64 = 4;
    let Some((_, after)) = stat.rsplit_once(')') else { return false };
    let field = |n: usize| after.split_ascii_whitespace().nth(n - 3);
    let number = |n| field(n).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
    if parse_start_time(stat) != Some(born) {
        return false;
    }
    match field(3) {
        Some("Z" | "X") => number(20) > 1,
        _ => number(9) & EXITING != 0,
    }
}

/// A new, empty, locked file in `dir`.
fn create(dir: &Path) -> Result<Linked> {
    let (pid, born) = (std::process::id(), start_time());
    let mut last = None;
    for _ in 0..NAMES {
        let n = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("{PREFIX}{pid}-{born}-{n}"));
        let file = match OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
        {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                last = Some((path, e));
                continue;
            }
            Err(e) => return Err(Error::io("create", path, e)),
        };
        match own(&file) {
            Ok(true) => return Ok(Linked { path, file }),
            Ok(false) => last = Some((path, io::ErrorKind::WouldBlock.into())),
            Err(e) => {
                drop(Linked { path: path.clone(), file });
                return Err(Error::io("lock", path, e));
            }
        }
    }
    let (path, e) = last.unwrap_or_else(|| (dir.to_owned(), io::ErrorKind::AlreadyExists.into()));
    Err(Error::io("create", path, e))
}

/// Locks a new file. False when a cleaner came in between and took it for a dead process's: then
/// it has the lock, or has removed the file already.
fn own(file: &File) -> io::Result<bool> {
    Ok(try_lock(file)? && file.metadata()?.nlink() > 0)
}

/// When this process started, in clock ticks since boot (field 22 of its stat file). 0 when
/// unknown: the name is then just less telling.
fn start_time() -> u64 {
    fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(parse_start_time).unwrap_or(0)
}

/// The command, field 2, may itself hold spaces and parentheses; the last one ends it.
fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(')')?;
    after.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Takes the file's lock (`flock`); false when somebody else has it. The lock goes with the last
/// descriptor or mapping that comes from this opening of the file.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: the call works on an open descriptor and touches no memory of ours.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        e if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
        e => Err(e),
    }
}

/// Whether `dir` is in a hugetlbfs of 2 MiB pages.
pub(super) fn is_hugetlbfs(dir: &Path) -> bool {
    let Ok(file) =
        OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NONBLOCK).open(dir)
    else {
        return false;
    };
    // SAFETY: all-zero bytes are a valid statfs.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and `stat` is ours to write.
    let result = unsafe { libc::fstatfs(file.as_raw_fd(), &mut stat) };
    // The width of these fields differs between platforms.
    #[allow(clippy::unnecessary_cast)]
    let matches =
        stat.f_type as u64 == libc::HUGETLBFS_MAGIC as u64 && stat.f_bsize as u64 == CHUNK as u64;
    result == 0 && matches
}

/// Puts `len` bytes of hugepages into an empty file of that page size and maps it.
pub(super) fn fill_and_map(
    file: &File,
    len: usize,
    node: Option<u32>,
    pages: &Hugepages,
) -> Result<MmapRaw> {
    let _policy = node::bind(node)?;
    file.set_len(len as u64).map_err(|e| pages.refused("take", len, node, e))?;
    allocate(file, 0, len).map_err(|e| pages.refused("take", len, node, e))?;
    let map = MmapOptions::new()
        .len(len)
        .map_raw(file)
        .map_err(|e| pages.refused("map", len, node, e))?;
    advise::withhold(map.as_mut_ptr(), len).map_err(|e| failed("set up hugepages of", len, e))?;
    populate_allocated(map.as_mut_ptr(), len)
        .map_err(|e| pages.refused("populate", len, node, e))?;
    Ok(map)
}

/// The start of a mapping of hugepages, which the kernel aligns to their size.
pub(super) fn chunk_aligned(map: &MmapRaw, len: usize) -> Result<NonNull<u8>> {
    NonNull::new(map.as_mut_ptr()).filter(|p| p.addr().get().is_multiple_of(CHUNK)).ok_or_else(
        || failed("align", len, io::Error::other("the kernel gave an unaligned mapping")),
    )
}

/// Gives `start..start + len` of the file its pages, one chunk at a call so that signals cannot
/// make it start over for ever.
pub(super) fn allocate(file: &File, start: usize, len: usize) -> io::Result<()> {
    let too_long = || io::Error::from(io::ErrorKind::FileTooLarge);
    for at in (0..len).step_by(CHUNK) {
        let offset = start.checked_add(at).ok_or_else(too_long)?;
        let offset = libc::off_t::try_from(offset).map_err(|_| too_long())?;
        let step = CHUNK.min(len - at) as libc::off_t;
        let mut tries = 0;
        // SAFETY: the call works on an open descriptor and touches no memory of ours.
        while unsafe { libc::fallocate(file.as_raw_fd(), 0, offset, step) } != 0 {
            let error = io::Error::last_os_error();
            tries += 1;
            if error.kind() != io::ErrorKind::Interrupted || tries == RETRIES {
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Maps in pages that the file already has. Without the advice that does so (before Linux 5.14)
/// a touch does the same, and cannot fail since the pages are there.
pub(super) fn populate_allocated(at: *mut u8, len: usize) -> io::Result<()> {
    match advise::populate(at, len) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
            for page in (0..len).step_by(4096) {
                // SAFETY: inside the new mapping of `len` bytes, which nobody else knows yet and
                // which is all zero.
                unsafe { at.wrapping_add(page).write_volatile(0) };
            }
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_are_ours() {
        for (name, pid, born) in [
            ("barewire-1-2-3", 1, 2),
            ("barewire-4294967295-18446744073709551615-0", u32::MAX, u64::MAX),
        ] {
            assert_eq!(Owner::of(OsStr::new(name)), Some(Owner { pid, born }), "{name}");
        }
        for name in [
            "",
            "barewire-",
            "barewire-1-2",
            "barewire-1-2-3-4",
            "barewire-1--3",
            "barewire-1-2-x",
            "xbarewire-1-2-3",
            "barewire-1-2-3 ",
            "barewire-+1-2-3",
            "barewire-4294967296-2-3",
            "barewire-1-18446744073709551616-3",
        ] {
            assert_eq!(Owner::of(OsStr::new(name)), None, "{name}");
        }
    }

    #[test]
    fn a_process_that_still_closes_its_descriptors_is_dying() {
        let stat = |state, flags, threads| {
            format!("7 (a) b) {state} 1 7 7 0 -1 {flags} 1 0 0 0 0 0 0 0 20 0 {threads} 0 4711 9")
        };
        let dying = |state, flags, threads| is_dying(&stat(state, flags, threads), 4711);
        assert!(!dying("R", 4194560, 1), "lives");
        assert!(!dying("S", 4194560, 9), "lives");
        assert!(dying("R", 4194564, 1) && dying("D", 4, 1) && dying("S", 4, 9));
        // The first thread is done, others are not.
        assert!(dying("Z", 4194564, 2));
        assert!(!dying("Z", 4194564, 1) && !dying("X", 4, 0), "nothing left to close");
        // Another process with that number.
        assert!(!is_dying(&stat("R", 4, 1), 4712));
        assert!(!is_dying("", 4711) && !is_dying("7 (x) R 1", 4711));
        // A child that was killed and that nobody has waited for has closed everything.
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let killed = Owner { pid: child.id(), born: parse_start_time(&stat).unwrap() };
        child.kill().unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        assert!(killed.ends_before(until, Path::new("/proc")));
        child.wait().unwrap();
        // This very process, which lives.
        let own = Owner { pid: std::process::id(), born: start_time() };
        assert!(own.ends_before(until, Path::new("/proc")));
    }

    #[test]
    fn start_times_survive_odd_command_names() {
        let stat = "7 (a) b) ) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 9 9";
        assert_eq!(parse_start_time(stat), Some(4711));
        assert_eq!(parse_start_time("7 (x) S 1 2"), None);
        assert_eq!(parse_start_time(""), None);
        assert_ne!(start_time(), 0);
    }

    // The life of a file does not depend on the file system, so an ordinary directory serves.

    #[test]
    fn a_living_owners_file_stays_and_a_dead_ones_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mine = create(dir.path()).unwrap();
        let dead = dir.path().join("barewire-1-1-1");
        fs::write(&dead, "").unwrap();
        let other = dir.path().join("somebody-elses");
        fs::write(&other, "").unwrap();
        assert_eq!(clean_stale(dir.path()).unwrap(), 1);
        assert!(mine.path.exists() && other.exists() && !dead.exists());
        assert_eq!(clean_stale(dir.path()).unwrap(), 0);
        // A recycled pid: the name is this process's own, but nobody holds the lock.
        let path = mine.path.clone();
        drop(mine);
        assert!(!path.exists());
        fs::write(&path, "").unwrap();
        assert_eq!(clean_stale(dir.path()).unwrap(), 1);
        assert!(!path.exists());
    }

    #[test]
    fn a_mapping_keeps_the_lock_after_its_descriptor_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let mine = create(dir.path()).unwrap();
        mine.file.set_len(4096).unwrap();
        let map = MmapRaw::map_raw(&mine.file).unwrap();
        let second = mine.file.try_clone().unwrap();
        let path = mine.path.clone();
        let keep = dir.path().join("barewire-0-0-0");
        fs::hard_link(&path, &keep).unwrap();
        drop(mine);
        drop(second);
        assert_eq!(clean_stale(dir.path()).unwrap(), 0);
        drop(map);
        assert_eq!(clean_stale(dir.path()).unwrap(), 1);
        assert!(!keep.exists());
    }

    #[test]
    fn files_of_a_process_that_does_not_finish_dying_stay_and_are_waited_for_once() {
        let (dir, proc) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let stat = proc.path().join("7/stat");
        fs::create_dir(proc.path().join("7")).unwrap();
        fs::write(&stat, "7 (x) D 1 7 7 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 4711 9").unwrap();
        for n in 0..8 {
            fs::write(dir.path().join(format!("barewire-7-4711-{n}")), "").unwrap();
        }
        let (start, patience) = (Instant::now(), Duration::from_millis(250));
        assert_eq!(clean(dir.path(), proc.path(), patience).unwrap(), 0);
        assert!((patience..6 * patience).contains(&start.elapsed()), "{:?}", start.elapsed());
        // Its last thread has gone.
        fs::write(&stat, "7 (x) Z 1 7 7 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 4711 9").unwrap();
        assert_eq!(clean(dir.path(), proc.path(), patience).unwrap(), 8);
    }

    #[test]
    fn links_and_directories_with_our_names_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, dir.path().join("barewire-1-1-1")).unwrap();
        fs::create_dir(dir.path().join("barewire-1-1-2")).unwrap();
        assert_eq!(clean_stale(dir.path()).unwrap(), 0);
        assert!(target.exists());
        assert!(dir.path().join("barewire-1-1-1").symlink_metadata().is_ok());
        assert!(dir.path().join("barewire-1-1-2").exists());
        assert!(matches!(clean_stale(&dir.path().join("absent")), Err(Error::Io { .. })));
    }

    #[test]
    fn files_are_private_locked_and_differ() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (create(dir.path()).unwrap(), create(dir.path()).unwrap());
        assert_ne!(a.path, b.path);
        let meta = a.file.metadata().unwrap();
        assert_eq!(meta.mode() & 0o777, 0o600);
        let rival = File::open(&a.path).unwrap();
        assert!(!try_lock(&rival).unwrap());
        // SAFETY: asks an open descriptor for its flags.
        let flags = unsafe { libc::fcntl(a.file.as_raw_fd(), libc::F_GETFD) };
        assert_ne!(flags & libc::FD_CLOEXEC, 0);
    }

    #[test]
    fn a_file_that_a_cleaner_got_hold_of_is_not_owned() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("barewire-1-1-1");
        let file = File::create_new(&path).unwrap();
        let cleaner = File::open(&path).unwrap();
        assert!(try_lock(&cleaner).unwrap());
        assert!(!own(&file).unwrap(), "locked by the cleaner");
        drop(cleaner);
        fs::remove_file(&path).unwrap();
        assert!(!own(&file).unwrap(), "removed by the cleaner");
    }

    #[test]
    fn cleaners_and_owners_never_lose_a_living_file() {
        let dir = tempfile::tempdir().unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|s| {
            let cleaner = s.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    clean_stale(dir.path()).unwrap();
                }
            });
            for _ in 0..500 {
                let linked = create(dir.path()).unwrap();
                assert_eq!(linked.file.metadata().unwrap().nlink(), 1);
                let at_path = fs::metadata(&linked.path).unwrap().ino();
                assert_eq!(at_path, linked.file.metadata().unwrap().ino());
            }
            stop.store(true, Ordering::Relaxed);
            cleaner.join().unwrap();
        });
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn allocating_beyond_what_files_can_hold_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        assert!(allocate(&file, usize::MAX - 5, 4096).is_err());
        assert!(allocate(&file, i64::MAX as usize, 4096).is_err());
    }
}
