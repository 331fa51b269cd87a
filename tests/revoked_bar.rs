//! A register mapping that the kernel revokes. A file that is cut short stands in for the BAR:
//! an access behind its end raises the same signal. What must end a process runs in a child: this
//! test program, run again.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use barewire::error::Error;
use barewire::mmio::{Bar, Doorbell, MappedBar};
use memmap2::MmapRaw;

const ROLE: &str = "BAREWIRE_TEST_SIGBUS";
const LEN: u32 = 128 << 10;

/// A BAR made of a file, and the file.
fn bar(name: &str) -> (MappedBar, File) {
    let file = tempfile::tempfile().unwrap();
    file.set_len(LEN.into()).unwrap();
    (MappedBar::new(MmapRaw::map_raw(&file).unwrap(), name).unwrap(), file)
}

#[test]
fn a_revoked_bar_reads_all_ones_and_swallows_writes() {
    let (bar, file) = bar("a");
    let bell = bar.doorbell(8);
    bar.write32(0, 0x1234_5678);
    bell.ring(7);
    assert_eq!((bar.read32(0), bar.read32(8)), (0x1234_5678, 7));
    file.set_len(0).unwrap();
    // By a write first: the page that it gets must not come back as what the device says.
    bell.ring(9);
    bar.write32(0, 0x8765_4321);
    for offset in (0..LEN).step_by(4) {
        assert_eq!(bar.read32(offset), u32::MAX, "{offset:#x}");
    }
    // For good, even if the file is there again.
    file.set_len(LEN.into()).unwrap();
    assert_eq!(bar.clone().read32(0), u32::MAX);
    drop(bar);
    bell.ring(11);
}

#[test]
fn a_read_that_finds_it_revoked_is_all_ones_already() {
    let (bar, file) = bar("a");
    file.set_len(4096).unwrap();
    assert_eq!(bar.read32(0), 0);
    assert_eq!(bar.read32(64 << 10), u32::MAX);
    assert_eq!(bar.read32(0), u32::MAX, "one register is as dead as the next");
}

#[test]
fn a_severed_bar_lets_go_of_its_file() {
    let (bar, file) = bar("a");
    bar.write32(4, 5);
    let (clone, bell) = (bar.clone(), bar.doorbell(4));
    bar.sever();
    clone.write32(4, 6);
    bell.ring(7);
    assert_eq!((bar.read32(4), clone.read32(4)), (u32::MAX, u32::MAX));
    let mut bytes = [0; 4];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 4).unwrap();
    assert_eq!(u32::from_le_bytes(bytes), 5);
}

#[test]
fn bars_die_one_by_one_and_their_places_are_used_again() {
    for round in 0..20 {
        let bars: Vec<_> = (0..32).map(|i| bar(&format!("{i}"))).collect();
        for (i, (bar, file)) in bars.iter().enumerate() {
            bar.write32(16, i as u32);
            if i % 2 == round % 2 {
                file.set_len(0).unwrap();
            }
        }
        for (i, (bar, _)) in bars.iter().enumerate() {
            let expected = if i % 2 == round % 2 { u32::MAX } else { i as u32 };
            assert_eq!(bar.read32(16), expected, "{i}");
        }
    }
}

#[test]
fn more_bars_than_can_be_watched_are_refused() {
    // In a process of its own: other tests need places.
    assert_eq!(run("many").code(), Some(0));
}

fn many() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(4096).unwrap();
    let new = || MappedBar::new(MmapRaw::map_raw(&file).unwrap(), "x");
    let bars: Vec<_> = (0..1024).map(|_| new().unwrap()).collect();
    assert!(matches!(new(), Err(Error::Config { what: "BARs mapped at once", .. })));
    file.set_len(0).unwrap();
    assert!(bars.iter().all(|b| b.read32(0) == u32::MAX));
    drop(bars);
    file.set_len(4096).unwrap();
    assert_eq!(new().unwrap().read32(0), 0);
}

/// Threads open, lose and close BARs while others read theirs: nobody's death is taken for
/// another's.
#[test]
fn deaths_while_others_come_and_go_hit_the_right_one() {
    let stop = AtomicBool::new(false);
    let (stays, _file) = bar("stays");
    stays.write32(0, 42);
    let rounds = AtomicU32::new(0);
    std::thread::scope(|s| {
        for t in 0..3 {
            let (stop, rounds) = (&stop, &rounds);
            s.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let (mine, file) = bar("mine");
                    mine.write32(0, t);
                    assert_eq!(mine.read32(0), t);
                    file.set_len(0).unwrap();
                    let readers: Vec<_> = (0..2)
                        .map(|_| mine.clone())
                        .map(|b| s.spawn(move || b.read32(4)))
                        .collect();
                    for r in readers {
                        assert_eq!(r.join().unwrap(), u32::MAX);
                    }
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while rounds.load(Ordering::Relaxed) < 300 {
            assert_eq!(stays.read32(0), 42);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Runs this program again in a role.
fn run(role: &str) -> std::process::ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

/// Does what its role says when run by the other tests; passes otherwise.
#[test]
fn child() {
    // A core dump of each would be a nuisance.
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let Ok(role) = std::env::var(ROLE) else { return };
    // SAFETY: a valid limit.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
    match role.as_str() {
        "many" => many(),
        "elsewhere" => {
            let _bar = bar("a");
            fault_elsewhere();
        }
        "chain" => {
            handle(libc::SA_SIGINFO, info_handler as *const () as usize);
            let (bar, file) = bar("a");
            file.set_len(0).unwrap();
            assert_eq!(bar.read32(0), u32::MAX);
            fault_elsewhere();
        }
        "chain-plain" => {
            handle(0, plain_handler as *const () as usize);
            let _bar = bar("a");
            fault_elsewhere();
        }
        "ignored" => {
            handle(0, libc::SIG_IGN);
            let _bar = bar("a");
            send();
        }
        "ignored-access" => {
            handle(0, libc::SIG_IGN);
            let _bar = bar("a");
            fault_elsewhere();
        }
        "sent" => {
            handle(0, libc::SIG_DFL);
            let _bar = bar("a");
            send();
        }
        "closed" => {
            // The place of a BAR that is gone is nobody's.
            let (bar, file) = bar("a");
            file.set_len(0).unwrap();
            let map = MmapRaw::map_raw(&file);
            drop(bar);
            drop(map);
            fault_elsewhere();
        }
        _ => panic!("{role}"),
    }
}

/// Reads from a mapping that is no BAR and whose file was cut short.
fn fault_elsewhere() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(LEN.into()).unwrap();
    let map = MmapRaw::map_raw(&file).unwrap();
    file.set_len(0).unwrap();
    // SAFETY: inside the mapping; the signal that this raises is the test.
    unsafe { map.as_ptr().read_volatile() };
    panic!("the access went through");
}

fn send() {
    // SAFETY: raises a signal in this thread.
    assert_eq!(unsafe { libc::raise(libc::SIGBUS) }, 0);
}

fn handle(flags: libc::c_int, handler: usize) {
    // SAFETY: all zeros is a valid action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_flags = flags;
    action.sa_sigaction = handler;
    // SAFETY: the action is valid and its handler only ends the process.
    assert_eq!(unsafe { libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()) }, 0);
}

extern "C" fn plain_handler(signal: libc::c_int) {
    // SAFETY: ends the process.
    unsafe { libc::_exit(if signal == libc::SIGBUS { 43 } else { 1 }) }
}

extern "C" fn info_handler(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel's, passed on.
    let info = unsafe { &*info };
    let right = signal == libc::SIGBUS && info.si_signo == signal && info.si_code > 0;
    // SAFETY: ends the process.
    unsafe { libc::_exit(if right { 42 } else { 1 }) }
}

#[test]
fn other_faults_still_end_the_process() {
    for role in ["elsewhere", "closed", "ignored-access", "sent"] {
        assert_eq!(run(role).signal(), Some(libc::SIGBUS), "{role}");
    }
}

#[test]
fn the_handler_that_was_there_before_gets_them() {
    assert_eq!(run("chain").code(), Some(42));
    assert_eq!(run("chain-plain").code(), Some(43));
    assert_eq!(run("ignored").code(), Some(0));
}
