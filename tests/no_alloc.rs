//! The packet path allocates nothing and makes no system call. This program runs itself again; the
//! child forbids itself all system calls but the one that ends it, and counts what it allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use barewire::port::DataPath;

#[allow(dead_code)]
#[path = "../benches/rig/mod.rs"]
mod rig;

use rig::{Bench, Work};

/// Counts the calling thread's allocations and frees; the harness has threads of its own.
struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    CALLS.set(CALLS.get() + 1);
}

// SAFETY: all work is the system allocator's; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, size) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count();
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROLE: &str = "BAREWIRE_TEST_NO_ALLOC";
const ROUNDS: usize = 1_000;
const BURST: usize = 32;
/// Bursts between which the NIC does nothing: more packets than a worker's cache has room for, so
/// that the pool's depot is visited too.
const BUNCH: usize = 10;

/// How the child ends.
const CLEAN: i32 = 0;
const ALLOCATED: i32 = 3;
const STUCK: i32 = 4;
const NO_SECCOMP: i32 = 5;

/// From here on any system call of this thread but `exit_group` kills the process. A filter, not
/// strict mode: that one ends single threads, and cannot be had inside a container's filter.
fn forbid_system_calls() -> bool {
    let op = |code: u32, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let mut program = [
        // The call's number is the first word of what a filter looks at.
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, libc::SYS_exit_group as u32),
        op(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
        op(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_KILL_PROCESS),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: a plain flag of this thread.
    let fixed = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the program is valid during the call, and the kernel copies it.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) };
    fixed == 0 && set == 0
}

fn leave(code: i32) -> ! {
    loop {
        // SAFETY: does not return.
        unsafe { libc::syscall(libc::SYS_exit_group, code) };
    }
}

/// What the other tests run; passes otherwise. The role is a work and a path, and what goes wrong
/// half way if something is to.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let [work, path, fault] = role.split(' ').collect::<Vec<_>>()[..] else { panic!("{role}") };
    let work = Work::ALL.into_iter().find(|w| w.name() == work).unwrap();
    let (pool, _) = rig::pool();
    let cfg = rig::RigConfig { path: Some(path.parse().unwrap()), ..rig::RigConfig::default() };
    let mut bench = Bench::new(&pool, work, BURST, cfg);
    let mut good = true;
    let mut round = || {
        bench.before(BUNCH);
        good &= (0..BUNCH).all(|_| work.burst()(&mut bench) == BURST);
        bench.after();
    };
    (0..64).for_each(|_| round());
    drop(black_box(Box::new(0u8)));
    if !forbid_system_calls() {
        leave(NO_SECCOMP);
    }
    let before = CALLS.get();
    for i in 0..ROUNDS {
        round();
        if i == ROUNDS / 2 {
            match fault {
                "allocate" => drop(black_box(Box::new(0u8))),
                "call" => drop(black_box(std::process::id())),
                _ => {}
            }
        }
    }
    let allocated = CALLS.get() != before;
    leave(match (good, allocated) {
        (false, _) => STUCK,
        (true, true) => ALLOCATED,
        (true, false) => CLEAN,
    });
}

fn run(work: Work, path: DataPath, fault: &str) -> ExitStatus {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(ROLE, format!("{} {path} {fault}", work.name()))
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_ne!(status.code(), Some(NO_SECCOMP), "this kernel has no seccomp filters");
    status
}

#[test]
fn bursts_allocate_nothing_and_make_no_system_call_on_any_path() {
    for (work, path) in
        Work::ALL.into_iter().flat_map(|w| DataPath::supported().map(move |path| (w, path)))
    {
        let status = run(work, path, "-");
        let name = work.name();
        assert_eq!(
            status.code(),
            Some(CLEAN),
            "{name} on {path}: {status}: {ALLOCATED} is an allocation, {STUCK} a stuck rig, \
             SIGSYS a system call"
        );
    }
}

/// Or the test above would show nothing.
#[test]
fn one_allocation_and_one_system_call_are_noticed() {
    let with = |fault| run(Work::Io, DataPath::Scalar, fault);
    assert_eq!(with("allocate").code(), Some(ALLOCATED));
    assert_eq!(with("call").signal(), Some(libc::SIGSYS));
}
