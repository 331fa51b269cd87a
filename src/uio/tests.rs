//! Against devices made of plain files; see [`fake`].

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};

use super::*;
use crate::mem::Backing;
use crate::mmio::Bar;

mod fake;
mod lost;
mod unbound;

pub(crate) use fake::Fake;
use fake::{ADDR, BAR};

#[test]
fn an_opened_device_is_silent_mapped_and_held_high() {
    let fake = Fake::new("uio_pci_generic");
    let device = fake.open().unwrap();
    assert_eq!(fake.config(4), 0x03, "bus mastering off, the rest as it was");
    assert_eq!(device.addr().to_string(), ADDR);
    assert_eq!(device.ids(), (0x8086, 0x10fb));
    assert_eq!(device.driver(), UioDriver::Generic);
    assert_eq!(device.numa_node(), Some(1));
    assert!(device.as_fd().as_raw_fd() >= 64);
    device.check().unwrap();

    let bar = device.bar();
    bar.write32(0x8, 0xdead_beef);
    assert_eq!(bar.read32(0x8), 0xdead_beef);
    assert_eq!(bar.read32(BAR as u32), u32::MAX);
    let mut bytes = [0; 4];
    let file = File::open(fake.dir().join("resource0")).unwrap();
    file.read_exact_at(&mut bytes, 8).unwrap();
    assert_eq!(u32::from_le_bytes(bytes), 0xdead_beef, "the mapping is shared");
}

#[test]
fn descriptors_do_not_reach_children() {
    let fake = Fake::new("uio_pci_generic");
    let device = fake.open().unwrap();
    for fd in [device.as_fd().as_raw_fd(), device.inner._lock.as_raw_fd()] {
        // SAFETY: asks an open descriptor for its flags.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        assert_ne!(flags & libc::FD_CLOEXEC, 0);
    }
}

#[test]
fn a_second_owner_is_refused_until_the_last_handle_is_gone() {
    let fake = Fake::new("uio_pci_generic");
    let first = fake.open().unwrap();
    first.set_bus_master(true).unwrap();
    assert!(matches!(fake.open(), Err(Error::Busy { addr }) if addr == ADDR));
    assert_eq!(fake.config(4), 0x07, "and does not disturb the first");
    let clone = first.clone();
    drop(first);
    assert_eq!(fake.config(4), 0x07);
    let bar = clone.bar();
    drop(clone);
    assert_eq!(fake.config(4), 0x03, "bus mastering goes off with the last device handle");
    let busy = fake.open().unwrap_err();
    assert!(matches!(busy, Error::Busy { .. }), "somebody can still ring doorbells");
    assert!(busy.to_string().contains("of this one"), "{busy}");
    drop(bar);
    // The node once, config, resource0 and its mapping.
    let device = fake.open().unwrap();
    assert_eq!(fake.held(), 4);
    drop(device);
    assert_eq!(fake.held(), 0);
}

#[test]
fn an_owner_that_knows_nothing_of_the_lock_is_refused_too() {
    let fake = Fake::new("uio_pci_generic");
    let open_in = |pid: u32, fd: u32, to: &str| {
        let fds = fake.roots.proc.join(pid.to_string()).join("fd");
        fs::create_dir_all(&fds).unwrap();
        symlink(to, fds.join(fd.to_string())).unwrap();
    };
    // Other nodes, ourselves, and what is no process.
    open_in(70, 3, "/dev/uio33");
    open_in(70, 4, "socket:[3]");
    // The node's directory in sysfs.
    open_in(70, 5, fake.dir().join("uio/uio3").to_str().unwrap());
    open_in(std::process::id(), 3, "/dev/uio3");
    fs::create_dir_all(fake.roots.proc.join("self/fd")).unwrap();
    symlink("/dev/uio3", fake.roots.proc.join("self/fd/3")).unwrap();
    fake.open().unwrap();
    fake.set_config(4, 0x07);
    open_in(71, 9, "/dev/uio3");
    let error = fake.open().unwrap_err();
    assert!(matches!(&error, Error::Busy { addr } if addr.starts_with(ADDR)), "{error}");
    assert!(error.to_string().contains("process 71"), "{error}");
    assert_eq!(fake.config(4), 0x07, "and it is not disturbed");
}

#[test]
fn what_stands_in_the_way_is_named_in_order() {
    let fake = Fake::new("");
    for driver in ["ixgbe", "vfio-pci"] {
        fake.bind(driver);
        let error = fake.open().unwrap_err();
        assert!(matches!(&error, Error::NotBound { driver: d, .. } if d == driver));
    }
    fake.write("vendor", "0x1af4\n");
    assert!(matches!(fake.open(), Err(Error::Unsupported { vendor: 0x1af4, device: 0x10fb, .. })));
    fs::remove_dir_all(fake.dir()).unwrap();
    assert!(matches!(fake.open(), Err(Error::NoDevice { addr }) if addr == ADDR));
    assert!(fake.root.path().exists());
}

#[test]
fn a_translating_iommu_is_refused_before_anything_is_touched() {
    for kind in ["DMA\n", "DMA-FQ\n", "blocked\n", "unmanaged\n", ""] {
        let fake = Fake::new("uio_pci_generic");
        fake.group(kind);
        assert!(matches!(fake.open(), Err(Error::IommuTranslates { group: 7, .. })), "{kind}");
        assert_eq!(fake.config(4), 0x07);
    }
    let fake = Fake::new("uio_pci_generic");
    fake.group("identity\n");
    fake.open().unwrap();
}

#[test]
fn missing_or_wrong_files_are_errors_that_name_them() {
    type Spoil = fn(&Fake);
    let cases: [(&str, Spoil); 5] = [
        ("resource0", |f| fs::remove_file(f.dir().join("resource0")).unwrap()),
        ("UIO node", |f| fs::remove_dir(f.dir().join("uio/uio3")).unwrap()),
        ("uio3", |f| fs::remove_file(f.node()).unwrap()),
        ("no memory at BAR 0", |f| f.write("resource", "0xe000 0xe01f 0x40101\n")),
        ("three hexadecimal", |f| f.write("resource", "0x1000 0xfff 0x40200\n")),
    ];
    for (named, spoil) in cases {
        let fake = Fake::new("uio_pci_generic");
        spoil(&fake);
        let error = fake.open().unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
        assert_eq!(fake.held(), 0, "{named}: nothing stays open, mapped or locked");
    }
}

#[test]
fn memory_decoding_is_switched_on_if_that_can_be() {
    let fake = Fake::new("uio_pci_generic");
    fake.set_config(4, 0);
    drop(fake.open().unwrap());
    assert_eq!(fake.config(4), 0x02);
    fs::remove_file(fake.dir().join("config")).unwrap();
    symlink("/dev/zero", fake.dir().join("config")).unwrap();
    let error = fake.open().unwrap_err().to_string();
    assert!(error.contains("does not answer"), "{error}");
}

#[test]
fn the_registers_are_all_that_resource0_has() {
    let fake = Fake::new("uio_pci_generic");
    for resource in [None, Some(""), Some("0x1000 0x1fff 0x40200\n")] {
        match resource {
            Some(text) => fake.write("resource", text),
            None => fs::remove_file(fake.dir().join("resource")).unwrap(),
        }
        let bar = fake.open().unwrap().bar();
        assert_eq!(bar.read32(BAR as u32 - 4), 0);
        assert_eq!(bar.read32(BAR as u32), u32::MAX);
    }
}

#[test]
fn dma_that_will_not_end_keeps_the_device_closed() {
    let fake = Fake::new("uio_pci_generic");
    fake.set_config(0xa0 + 0xa, 0x20);
    assert!(matches!(fake.open(), Err(Error::Device { .. })));
    // With bus mastering off there is nothing to wait for.
    fake.set_config(4, 0x03);
    fake.open().unwrap();
}

#[test]
fn a_wait_returns_the_count_once() {
    let fake = Fake::new("uio_pci_generic");
    let device = fake.open().unwrap();
    assert_eq!(device.wait(Duration::ZERO).unwrap(), None);
    fake.interrupt(41);
    assert_eq!(device.wait(Duration::MAX).unwrap(), Some(41));
    assert_eq!(device.wait(Duration::from_millis(1)).unwrap(), None);
    fake.interrupt(u32::MAX);
    assert_eq!(device.wait(Duration::ZERO).unwrap(), Some(u32::MAX));
}

#[test]
fn a_waiting_thread_is_woken() {
    let fake = Fake::new("uio_pci_generic");
    let device = fake.open().unwrap();
    let waiter = device.clone();
    let waiting = std::thread::spawn(move || waiter.wait(Duration::from_secs(600)));
    fake.interrupt(7);
    assert_eq!(waiting.join().unwrap().unwrap(), Some(7));
}

#[test]
fn signals_do_not_end_a_wait() {
    use std::os::unix::thread::JoinHandleExt;

    let fake = Fake::new("uio_pci_generic");
    let device = fake.open().unwrap();
    let seen = Arc::new(AtomicBool::new(false));
    let hook = signal_hook::flag::register(libc::SIGUSR2, seen.clone()).unwrap();
    let waiter = device.clone();
    let waiting = std::thread::spawn(move || waiter.wait(Duration::from_secs(600)));
    for _ in 0..100 {
        // SAFETY: the thread has not been joined, so its handle is valid.
        assert_eq!(unsafe { libc::pthread_kill(waiting.as_pthread_t(), libc::SIGUSR2) }, 0);
        std::thread::yield_now();
    }
    fake.interrupt(9);
    assert_eq!(waiting.join().unwrap().unwrap(), Some(9));
    assert!(seen.load(Ordering::Relaxed));
    signal_hook::low_level::unregister(hook);
}

#[test]
fn rearming_changes_one_bit_of_one_byte() {
    let fake = Fake::new("uio_pci_generic");
    let device = fake.open().unwrap();
    device.set_bus_master(true).unwrap();
    fake.set_config(5, 0x05);
    device.rearm().unwrap();
    assert_eq!((fake.config(4), fake.config(5)), (0x07, 0x01));
    device.disarm().unwrap();
    assert_eq!((fake.config(4), fake.config(5)), (0x07, 0x05));
}

#[test]
fn igb_uio_is_rearmed_through_its_node_and_reset_before_it_is_opened() {
    let fake = Fake::new("igb_uio");
    fake.write("reset", "");
    let device = fake.open().unwrap();
    assert_eq!(fs::read(fake.dir().join("reset")).unwrap(), b"1");
    assert_eq!(device.driver(), UioDriver::IgbUio);
    device.rearm().unwrap();
    assert_eq!(device.wait(Duration::ZERO).unwrap(), Some(1));
    device.disarm().unwrap();
    assert_eq!(device.wait(Duration::ZERO).unwrap(), Some(0));
    assert_eq!(fake.config(5), 0, "config space stays out of it");
}

#[test]
fn dma_is_off_and_the_device_reset_before_the_node_is_opened() {
    let fake = Fake::new("igb_uio");
    fake.write("reset", "");
    fs::remove_file(fake.node()).unwrap();
    assert!(matches!(fake.open(), Err(Error::Io { .. })));
    assert_eq!(fake.config(4), 0x03);
    assert_eq!(fs::read(fake.dir().join("reset")).unwrap(), b"1");
    // uio_pci_generic does not turn it on, so there a reset can wait for the driver's own.
    let fake = Fake::new("uio_pci_generic");
    fake.write("reset", "");
    fake.open().unwrap();
    assert_eq!(fs::read(fake.dir().join("reset")).unwrap(), b"");
}

#[test]
fn memory_of_dead_owners_goes_only_when_the_device_is_open_and_silent() {
    type Spoil = fn(&Fake);
    let cases: [(&str, Spoil); 4] = [
        ("its addresses are translated", |f| f.group("DMA\n")),
        ("still under way", |f| f.set_config(0xaa, 0x20)),
        ("the registers cannot be mapped", |f| f.write("resource", "0xe000 0xe01f 0x40101\n")),
        ("the node cannot be opened", |f| fs::remove_file(f.node()).unwrap()),
    ];
    for driver in ["uio_pci_generic", "igb_uio"] {
        let dir = tempfile::tempdir().unwrap();
        let stale = dir.path().join("barewire-1-1-1");
        fs::write(&stale, "").unwrap();
        let map = || {
            let rings = Backing::HugetlbFile { dir: dir.path().to_owned() };
            PhysicalMap::over(tempfile::tempfile().unwrap(), rings)
        };
        for (why, spoil) in cases {
            let fake = Fake::new(driver);
            spoil(&fake);
            assert!(fake.open_with(map()).is_err(), "{driver}: {why}");
            assert!(stale.exists(), "{driver}: {why}");
        }
        let device = Fake::new(driver).open_with(map()).unwrap();
        assert!(!stale.exists(), "{driver}");
        drop(device);
    }
}

#[test]
fn devices_without_a_working_pin_poll() {
    let fake = Fake::new("uio_pci_generic");
    fake.set_config(0x3d, 0);
    let device = fake.open().unwrap();
    for result in [device.wait(Duration::MAX).map(|_| ()), device.rearm(), device.disarm()] {
        assert!(matches!(result, Err(Error::NoInterrupt { .. })));
    }
    drop(device);

    let fake = Fake::new("uio_pci_generic");
    fake.write("device", "0x1563\n");
    let error = fake.open().unwrap().wait(Duration::MAX).unwrap_err().to_string();
    assert!(error.contains("X550") && error.contains("polling"), "{error}");
    // With message interrupts the erratum does not matter.
    fake.bind("igb_uio");
    assert_eq!(fake.open().unwrap().wait(Duration::ZERO).unwrap(), None);
}

#[test]
fn another_devices_node_is_never_opened() {
    let fake = Fake::new("uio_pci_generic");
    fake.write("uio/uio3/dev", "244:3\n");
    let error = fake.open().unwrap_err().to_string();
    assert!(error.contains("244:3"), "{error}");
    fs::remove_file(fake.node()).unwrap();
    symlink("/dev/null", fake.node()).unwrap();
    assert!(fake.open().is_err());
    fake.write("uio/uio3/dev", "1:3\n");
    fake.open().unwrap();
}

#[test]
fn what_keeps_the_registers_from_being_mapped_is_named() {
    let fake = Fake::new("uio_pci_generic");
    let device = PciDevice::find(&fake.roots.sys, ADDR.parse().unwrap()).unwrap();
    let path = fake.dir().join("resource0");
    let unmapped = |errno| take::unmapped(&device, &path, io::Error::from_raw_os_error(errno));
    let lockdown = |text: Option<&str>| {
        let dir = fake.roots.sys.join("kernel/security");
        fs::create_dir_all(&dir).unwrap();
        match text {
            Some(text) => fs::write(dir.join("lockdown"), text).unwrap(),
            None => drop(fs::remove_file(dir.join("lockdown"))),
        }
    };
    for text in [None, Some("[none] integrity confidentiality\n")] {
        lockdown(text);
        let error = unmapped(libc::EINVAL);
        let named = matches!(&error, Error::State { why }
            if why.contains(ADDR) && why.contains("kernel driver") && why.contains("unbind"));
        assert!(named, "{error}");
        let error = unmapped(libc::ENOMEM);
        let named = matches!(&error, Error::Memory { what, .. } if what.contains("resource0"));
        assert!(named, "{error}");
        let error = unmapped(libc::EACCES);
        let named = matches!(&error, Error::Permission { what, .. } if what.contains("resource0"));
        assert!(named, "{error}");
        let error = unmapped(libc::ENODEV);
        assert!(matches!(error, Error::Io { path: Some(p), .. } if p == path));
    }
    for text in [None, Some("none [integrity] confidentiality\n"), Some("none [confidentiality]")] {
        lockdown(text);
        let error = unmapped(libc::EPERM);
        let named = matches!(&error, Error::Lockdown { what } if what.contains("resource0"));
        assert!(named, "{text:?}: {error}");
    }
    lockdown(Some("[none] integrity confidentiality\n"));
    assert!(matches!(unmapped(libc::EPERM), Error::Permission { .. }));
}

/// Takes from this thread what lets root ignore file modes.
fn obey_file_modes() {
    const CAP_DAC_OVERRIDE: u32 = 1;
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = [VERSION_3, 0];
    // Effective, permitted and inheritable, low halves and then high halves.
    let mut sets = [0u32; 6];
    // SAFETY: both have the sizes that version 3 asks for; 0 is this thread.
    let got = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) };
    assert_eq!(got, 0);
    sets[0] &= !(1 << CAP_DAC_OVERRIDE);
    // SAFETY: as above.
    let set = unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr()) };
    assert_eq!(set, 0);
}

#[test]
fn a_device_that_may_not_be_opened_says_which_file_to_get() {
    for (name, mode) in [("resource0", 0o000), ("resource0", 0o444), ("uio3", 0o400)] {
        let fake = Fake::new("uio_pci_generic");
        let path = if name == "uio3" { fake.node() } else { fake.dir().join(name) };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        std::thread::scope(|s| {
            s.spawn(|| {
                obey_file_modes();
                let error = fake.open().unwrap_err();
                let named = matches!(&error, Error::Permission { what, fix }
                    if what.contains(name) && fix.contains("root"));
                assert!(named, "{name} {mode:o}: {error}");
            });
        });
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        drop(fake.open().unwrap());
    }
}
