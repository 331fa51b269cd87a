//! What a killed process leaves behind: nothing, or, for a NIC's memory, a file that is removed
//! once the NIC is known to be quiet. The owner is this test program, run again.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use barewire::mem::{Backing, CHUNK, Mapping, clean_stale};

const ROLE: &str = "BAREWIRE_TEST_OWNER";
const CHUNKS: usize = 4;
/// Held while a test owns pages or counts the free ones: that count is the whole machine's.
static PAGES: Mutex<()> = Mutex::new(());

/// Owns memory until it is killed, when run by the other tests; passes otherwise.
#[test]
fn owner() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let backing = match role.as_str() {
        "auto" => Backing::Auto,
        "memfd" => Backing::HugeMemfd,
        dir => Backing::HugetlbFile { dir: PathBuf::from(dir) },
    };
    let mapping = Mapping::new(&backing, CHUNKS * CHUNK, None);
    println!("\nowner: {}", mapping.as_ref().map_or("none", Mapping::kind));
    std::io::stdout().flush().unwrap();
    // Until killed; ends by itself should the killer die first.
    std::thread::sleep(Duration::from_secs(60));
}

/// A process that owns memory, and what kind it got.
fn start(role: &str) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owner", "--nocapture"])
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let kind = stdout
        .lines()
        .map_while(Result::ok)
        .find_map(|l| l.strip_prefix("owner: ").map(str::to_owned))
        .expect("the owner says what it got");
    (child, kind)
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Free 2 MiB pages; nothing on kernels without any.
fn free_pages() -> Option<usize> {
    let path = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The kernel gives a dead process's files back a moment after its death is reported.
fn comes_true(what: impl Fn() -> bool) -> bool {
    (0..200).any(|_| {
        what() || {
            std::thread::sleep(Duration::from_millis(10));
            false
        }
    })
}

fn hugetlbfs() -> Option<PathBuf> {
    match Backing::for_device() {
        Backing::HugetlbFile { dir } => Some(dir),
        _ => None,
    }
}

fn files_of(dir: &Path, pid: u32) -> Vec<PathBuf> {
    let prefix = format!("barewire-{pid}-");
    fs::read_dir(dir)
        .unwrap()
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&prefix)))
        .collect()
}

#[test]
fn a_killed_software_nic_leaves_no_page_and_no_file() {
    let _alone = PAGES.lock().unwrap_or_else(PoisonError::into_inner);
    for role in ["auto", "memfd"] {
        let before = free_pages();
        let (mut owner, kind) = start(role);
        let pid = owner.id();
        if let Some(dir) = hugetlbfs() {
            assert_eq!(files_of(&dir, pid), Vec::<PathBuf>::new(), "{kind}");
        }
        kill(&mut owner);
        assert!(comes_true(|| free_pages() >= before), "{kind}: pages stay in use");
        for dir in hugetlbfs().into_iter().chain([std::env::temp_dir(), "/dev/shm".into()]) {
            if dir.is_dir() {
                assert_eq!(files_of(&dir, pid), Vec::<PathBuf>::new(), "{kind}");
            }
        }
    }
}

#[test]
fn a_killed_drivers_file_stays_until_it_is_cleaned() {
    // Without a hugetlbfs there is no such file; the unit tests go through its life in an
    // ordinary directory.
    let Some(dir) = hugetlbfs() else { return };
    let _alone = PAGES.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut owner, kind) = start(dir.to_str().unwrap());
    let pid = owner.id();
    if kind == "none" {
        kill(&mut owner);
        return;
    }
    assert_eq!(kind, "hugetlbfs file");
    clean_stale(&dir).unwrap();
    let files = files_of(&dir, pid);
    assert_eq!(files.len(), 1, "a living owner's file is not stale");
    let pages = fs::metadata(&files[0]).unwrap().len() as usize / CHUNK;
    assert_eq!(pages, CHUNKS);

    kill(&mut owner);
    assert_eq!(files_of(&dir, pid), files, "the NIC may be writing still");
    assert!(comes_true(|| {
        clean_stale(&dir).unwrap();
        files_of(&dir, pid).is_empty()
    }));
}
