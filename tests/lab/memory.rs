//! Hugepages: what there are, where they are, and what becomes of them.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use barewire::Error;
use barewire::mem::{Backing, CHUNK, DmaSpace, Mapping, PhysicalMap};
use barewire::port::Host;

use crate::guest::{GENERIC, Guest, Nic, comes_true, free_pages, kind, memory_files, put, reserve};
use crate::{Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("memory::an_empty_pool_is_named", empty_pool),
    test("memory::a_node_without_pages_is_named_and_nobody_dies", wrong_node),
    test("memory::without_privilege_there_are_no_physical_addresses", unprivileged),
    test("memory::privileges_can_be_dropped_after_the_open", dropped_privileges),
    test("memory::a_page_that_moves_stops_dma", moved_page),
    test("memory::a_killed_owner_is_silent_and_its_memory_stays_until_the_next_start", killed),
    test("memory::a_clean_end_leaves_no_page_behind", clean_end),
];

const NOBODY: u32 = 1000;
const SECOND: Duration = Duration::from_secs(1);

fn backings() -> [Backing; 2] {
    let file = Backing::for_device();
    assert!(matches!(&file, Backing::HugetlbFile { .. }), "{file:?}");
    [file, Backing::HugeMemfd]
}

fn empty_pool(_: &Guest) {
    reserve(0, 0).unwrap();
    reserve(1, 0).unwrap();
    for backing in backings() {
        let refused = Mapping::new(&backing, 3 * CHUNK, None).unwrap_err();
        match &refused {
            Error::HugepagesExhausted { needed: 3, free: 0, .. } => {}
            other => panic!("{backing:?}: {other}"),
        }
        assert!(refused.to_string().contains("reserve 3 more"), "{refused}");
    }
    // And its advice is good.
    let (done, text) = crate::guest::sh(
        "n=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages; echo $(($(cat $n) + 3)) > $n",
    );
    assert!(done, "{text}");
    for backing in backings() {
        drop(Mapping::new(&backing, 3 * CHUNK, None).unwrap());
    }
    assert_eq!(memory_files(), Vec::<std::path::PathBuf>::new());
}

/// The kernel promises pages of any node at the mapping, and kills who touches one that the node
/// asked for does not have.
fn wrong_node(_: &Guest) {
    reserve(1, 0).unwrap();
    let before = free_pages();
    for backing in backings() {
        let refused = Mapping::new(&backing, 2 * CHUNK, Some(1)).unwrap_err();
        match &refused {
            Error::HugepagesExhausted { node: Some(1), free: 0, .. } => {}
            other => panic!("{backing:?}: {other}"),
        }
        assert_eq!(free_pages(), before, "{backing:?}");
        let there = Mapping::new(&backing, 2 * CHUNK, Some(0)).unwrap();
        touch(&there);
    }
    // Too few on the node, with enough elsewhere.
    reserve(1, 1).unwrap();
    for backing in backings() {
        let refused = Mapping::new(&backing, 2 * CHUNK, Some(1)).unwrap_err();
        assert!(matches!(refused, Error::HugepagesExhausted { node: Some(1), .. }), "{refused}");
        touch(&Mapping::new(&backing, CHUNK, Some(1)).unwrap());
    }
    assert_eq!(memory_files(), Vec::<std::path::PathBuf>::new());
}

/// Writes to every page.
fn touch(mapping: &Mapping) {
    for at in (0..mapping.len()).step_by(4096) {
        // SAFETY: inside the mapping, which nobody else uses.
        unsafe { mapping.as_ptr().wrapping_add(at).write_volatile(1) };
    }
}

fn become_nobody() {
    // SAFETY: a system call without pointers.
    let gid = unsafe { libc::setgid(NOBODY) };
    // SAFETY: a system call without pointers.
    let uid = unsafe { libc::setuid(NOBODY) };
    assert_eq!((gid, uid), (0, 0));
}

fn give_to_nobody(nic: &Nic) {
    for path in [nic.path("config"), nic.path("resource0"), nic.node()] {
        std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn unprivileged(guest: &Guest) {
    let nic = &guest.nics[1];
    nic.bind(GENERIC);
    give_to_nobody(nic);
    become_nobody();
    for refused in [PhysicalMap::new(None).unwrap_err(), nic.open().unwrap_err()] {
        assert!(matches!(refused, Error::NoPhysicalAddress), "{refused}");
        assert!(refused.to_string().contains("CAP_SYS_ADMIN"), "{refused}");
    }
}

fn dropped_privileges(guest: &Guest) {
    let nic = &guest.nics[1];
    nic.bind(GENERIC);
    let device = nic.open().unwrap();
    let space = DmaSpace::new(device.dma());
    let rings = space.rings(&[512]).unwrap();
    become_nobody();
    assert!(matches!(PhysicalMap::new(None), Err(Error::NoPhysicalAddress)));
    // What was opened before goes on working: addresses, config space, interrupt.
    assert_ne!(rings[0].iova().0, 0);
    device.set_bus_master(true).unwrap();
    device.check().unwrap();
    device.rearm().unwrap();
    device.set_bus_master(false).unwrap();
    assert!(!nic.mastering());
}

/// Moves the page at `vaddr` of a process (0: this one) to node `to`, as an administrator or memory hotplug can; or moves
/// nothing without one. Returns the node that it is on.
pub(crate) fn node_of(pid: i32, vaddr: usize, to: Option<i32>) -> i32 {
    let pages = [vaddr];
    let nodes = to.map(|n| [n]);
    let mut status = [i32::MIN];
    const MPOL_MF_MOVE_ALL: i32 = 4;
    // SAFETY: three arrays of one element each, as the count says, or no array of nodes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            pid,
            1usize,
            pages.as_ptr(),
            nodes.as_ref().map_or(std::ptr::null(), |n| n.as_ptr()),
            status.as_mut_ptr(),
            if to.is_some() { MPOL_MF_MOVE_ALL } else { 0 },
        )
    };
    assert!(result >= 0, "{}", std::io::Error::last_os_error());
    status[0]
}

fn moved_page(guest: &Guest) {
    let nic = &guest.nics[1];
    nic.bind(GENERIC);
    let device = nic.open().unwrap();
    let rings = DmaSpace::new(device.dma()).rings(&[512, 512]).unwrap();
    device.set_bus_master(true).unwrap();
    device.check().unwrap();
    let at = rings[0].descriptors().as_ptr().addr();
    let other = 1 - node_of(0, at, None);
    assert_eq!(node_of(0, at, Some(other)), other);
    let stopped = device.check().unwrap_err();
    assert!(matches!(stopped, Error::PageMoved { .. }), "{stopped}");
    assert!(stopped.to_string().contains("DMA was stopped"), "{stopped}");
    assert!(!nic.mastering(), "no DMA into a page that may be somebody else's");
}

/// Owns a device and memory until killed, or until its input ends.
pub(crate) fn own(addr: &str) -> ExitCode {
    let nic = Nic(addr.to_owned());
    let device = nic.open().unwrap();
    let rings = DmaSpace::new(device.dma()).rings(&[4096; 40]).unwrap();
    device.set_bus_master(true).unwrap();
    println!("owned");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    device.set_bus_master(false).unwrap();
    drop(rings);
    ExitCode::SUCCESS
}

/// Starts such an owner.
pub(crate) fn owner(nic: &Nic) -> Child {
    let mut child = Command::new("/proc/self/exe")
        .args(["own", &nic.0])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "owned\n");
    child
}

fn killed(guest: &Guest) {
    let nic = &guest.nics[1];
    nic.bind(GENERIC);
    let before = free_pages();
    let mut child = owner(nic);
    assert!(nic.mastering());
    let used = before - free_pages();
    assert!(used >= 2, "{used}");
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    assert!(!nic.mastering(), "off by the time its death is reported");
    assert_eq!(free_pages(), before - used, "not given to others before the NIC is known quiet");
    assert_eq!(memory_files().len(), 1);
    let device = nic.open().unwrap();
    assert_eq!((free_pages(), memory_files().len()), (before, 0), "the next start cleans up");
    drop(device);
}

fn clean_end(guest: &Guest) {
    let nic = &guest.nics[1];
    nic.bind(GENERIC);
    let before = free_pages();
    let mut child = owner(nic);
    assert!(free_pages() < before);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(!nic.mastering());
    assert!(comes_true(10 * SECOND, || free_pages() == before), "{} of {before}", free_pages());
    assert_eq!(memory_files(), Vec::<std::path::PathBuf>::new());
    // Nothing is left on the NIC either.
    nic.bind(kind().driver);
    put(nic.path("enable"), "1").unwrap_err();
}
