//! The PCI function, without socket and messages.

use std::os::fd::AsFd;

use rustix::fs::{MemfdFlags, memfd_create};

use super::*;
use crate::drivers::sim::{Drive, Model, SimConfig};
use crate::poll::Event;

const COMMAND: u64 = 4;

fn function(chip: Model) -> Function {
    let config = SimConfig { chip, drive: Drive::Step, ..SimConfig::default() };
    let function = Function::new(SimNic::new(&config).unwrap());
    function.nic.step_until_idle(50);
    function
}

fn config(f: &Function, at: u64) -> u16 {
    let mut bytes = [0; 2];
    f.read(CONFIG, at, &mut bytes);
    u16::from_le_bytes(bytes)
}

fn set(f: &mut Function, at: u64, value: u16) {
    f.write(CONFIG, at, &value.to_le_bytes());
}

fn register(f: &Function, at: u64) -> u32 {
    let mut bytes = [0; 4];
    f.read(0, at, &mut bytes);
    u32::from_le_bytes(bytes)
}

fn file(event: &Event) -> File {
    event.as_fd().try_clone_to_owned().unwrap().into()
}

fn errno(result: io::Result<()>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

#[test]
fn bars_answer_while_memory_is_enabled_and_the_function_awake() {
    for chip in Model::ALL {
        let mut f = function(chip);
        let msix = u32::from(f.identity().bars.msix());
        let seen = |f: &Function| {
            let mut table = [0; 4];
            f.read(msix, 12, &mut table);
            (register(f, 8), u32::from_le_bytes(table))
        };
        assert_eq!(seen(&f), (u32::MAX, u32::MAX), "{chip:?}");
        set(&mut f, COMMAND, 2);
        let awake = seen(&f);
        assert!(awake.0 != u32::MAX && awake.1 == 1, "{chip:?}: {awake:x?}, vectors are masked");
        f.write(msix, 12, &[0; 4]);
        assert_eq!(seen(&f).1, 0);
        set(&mut f, 0x44, 3);
        assert_eq!(seen(&f), (u32::MAX, u32::MAX), "{chip:?} asleep");
        set(&mut f, 0x44, 0);
        assert_eq!(config(&f, COMMAND), 0, "waking resets");
        set(&mut f, COMMAND, 2);
        assert_eq!(seen(&f).1, 1);
    }
}

#[test]
fn registers_are_read_as_words_and_written_whole() {
    let mut f = function(Model::I82599);
    set(&mut f, COMMAND, 2);
    // RDBAL and RDBAH of queue 0.
    f.write(0, 0x1000, &[0x80, 1, 2, 3, 4, 5, 6, 7]);
    let mut seen = [0; 8];
    for (offset, len) in [(0, 8), (1, 6), (3, 2), (5, 3), (7, 1)] {
        f.read(0, 0x1000 + offset as u64, &mut seen[..len]);
        assert_eq!(seen[..len], [0x80, 1, 2, 3, 4, 5, 6, 7][offset..offset + len]);
    }
    f.write(0, 0x1001, &[0xff; 3]);
    f.write(0, 0x1002, &[0xff; 4]);
    assert_eq!((register(&f, 0x1000), register(&f, 0x1004)), (0x0302_0180, 0x0706_0504));
    f.write(0, 0x1002, &[0, 0, 9, 9, 9, 9]);
    assert_eq!((register(&f, 0x1000), register(&f, 0x1004)), (0x0302_0180, 0x0909_0909));
    let end = u64::from(f.identity().registers);
    for offset in [end, end - 2, 1 << 32, u64::MAX - 8] {
        f.read(0, offset, &mut seen);
        f.write(0, offset, &seen);
        assert_eq!(seen[2..], [0xff; 6], "{offset:#x}");
    }
    for region in [1, 2, 3, 5, 6, 8] {
        f.write(region, 0, &[0; 8]);
        f.read(region, 0, &mut seen);
        assert_eq!(seen, [0xff; 8], "region {region}");
    }
}

#[test]
fn the_mode_is_what_the_guest_enables_or_the_client_connects() {
    let mut f = function(Model::X540);
    let vectors = f.identity().vectors;
    let event = Event::new().unwrap();
    assert_eq!(f.mode, InterruptMode::Intx);
    set(&mut f, 0x52, 1);
    assert_eq!(f.mode, InterruptMode::Msi { vectors: 1 });
    set(&mut f, 0x72, 1 << 15);
    assert_eq!(f.mode, InterruptMode::Msix { vectors }, "MSI-X wins");
    set(&mut f, 0x72, 0);
    set(&mut f, 0x52, 0);
    assert_eq!(f.mode, InterruptMode::Intx);
    f.interrupts(2, TRIGGER | DATA_EVENTFD, 3, 1, vec![file(&event)]).unwrap();
    assert_eq!(f.mode, InterruptMode::Msix { vectors });
    // What the client has connected stays so in a reset.
    set(&mut f, 0xa8, 1 << 15);
    assert_eq!(f.mode, InterruptMode::Msix { vectors });
    f.interrupts(2, TRIGGER | DATA_NONE, 3, 1, vec![]).unwrap();
    assert!(event.take(), "still connected");
    f.interrupts(2, TRIGGER | DATA_NONE, 0, 0, vec![]).unwrap();
    assert_eq!(f.mode, InterruptMode::Intx);
}

#[test]
fn interrupts_that_there_are_not_are_refused() {
    for chip in Model::ALL {
        let mut f = function(chip);
        let vectors = u32::from(f.identity().vectors);
        let what = TRIGGER | DATA_NONE;
        for (index, start, count) in [
            (5, 0, 1),
            (2, vectors, 1),
            (2, 0, vectors + 1),
            (2, u32::MAX, 1),
            (1, 1, 1),
            (0, 0, 2),
        ] {
            let refused = f.interrupts(index, what, start, count, vec![]);
            assert_eq!(errno(refused), Some(libc::EINVAL), "{index} {start} {count}");
        }
        f.interrupts(2, what, 0, vectors, vec![]).unwrap();
        for (flags, why) in [
            (MASK | DATA_NONE, libc::ENOTSUP),
            (UNMASK | DATA_EVENTFD, libc::ENOTSUP),
            (DATA_NONE, libc::EINVAL),
            (MASK | UNMASK | DATA_NONE, libc::EINVAL),
        ] {
            assert_eq!(errno(f.interrupts(2, flags, 0, 1, vec![])), Some(why), "{flags:#x}");
        }
    }
}

#[test]
fn the_line_reaches_the_client_unless_somebody_masks_it() {
    let mut f = function(Model::I82599);
    let event = Event::new().unwrap();
    set(&mut f, COMMAND, 2);
    // EIMS, EICS: it is asserted with nobody there.
    f.write(0, 0x880, &[1, 0, 0, 0]);
    f.write(0, 0x808, &[1, 0, 0, 0]);
    assert_eq!(config(&f, 6) & 8, 8, "PCI status");
    f.interrupts(0, TRIGGER | DATA_EVENTFD, 0, 1, vec![file(&event)]).unwrap();
    assert!(event.take(), "told again to the one who comes");
    set(&mut f, COMMAND, 2 | 1 << 10);
    f.interrupts(0, UNMASK | DATA_NONE, 0, 1, vec![]).unwrap();
    assert!(!event.take(), "disabled by the guest");
    f.interrupts(0, MASK | DATA_NONE, 0, 1, vec![]).unwrap();
    set(&mut f, COMMAND, 2);
    assert!(!event.take(), "masked by the client");
    f.interrupts(0, UNMASK | DATA_NONE, 0, 1, vec![]).unwrap();
    assert!(event.take());
    // EIMC: the cause is gone, and the client still holds the line up.
    f.write(0, 0x888, &[1, 0, 0, 0]);
    assert_eq!(config(&f, 6) & 8, 8, "whose line it is");
    f.interrupts(0, UNMASK | DATA_NONE, 0, 1, vec![]).unwrap();
    assert_eq!(config(&f, 6) & 8, 0);
}

#[test]
fn what_was_lent_is_let_go() {
    let mut f = function(Model::I350);
    let memory = File::from(memfd_create("guest", MemfdFlags::CLOEXEC).unwrap());
    memory.set_len(0x2000).unwrap();
    let both = DmaMapFlags::READ | DmaMapFlags::WRITE;
    f.dma_map(both, 0, 0x1000, 0x2000, Some(memory.try_clone().unwrap())).unwrap();
    let again = f.dma_map(both, 0, 0x2000, 0x1000, Some(memory.try_clone().unwrap()));
    assert_eq!(errno(again), Some(libc::EEXIST));
    assert_eq!((f.take_refused(), f.take_refused()), (Some(libc::EEXIST), None));
    let weak = Arc::downgrade(&f.fds);
    set(&mut f, COMMAND, 6);
    f.detach();
    assert_eq!((config(&f, COMMAND), weak.strong_count()), (0, 0));
    let gone = f.dma_unmap(DmaUnmapFlags::empty(), 0x1000, 0x2000);
    assert_eq!(errno(gone), Some(libc::ENOENT));
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let inode = format!(" {} ", std::os::unix::fs::MetadataExt::ino(&memory.metadata().unwrap()));
    assert!(!maps.lines().any(|l| l.contains("memfd:guest") && l.contains(&inode)));
    f.attach();
    f.dma_map(both, 0, 0x1000, 0x2000, Some(memory)).unwrap();
}
