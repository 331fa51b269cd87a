//! Devices made of plain files: a directory for `/sys`, a FIFO for `/dev/uioN`, sparse files for
//! registers and page map. What only a kernel can do (revoking, counting, masking) is not here.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};

use super::*;
use crate::mmio::Bar;

const ADDR: &str = "0000:03:00.0";
const BAR: u64 = 128 << 10;

/// A device made of files.
pub(crate) struct Fake {
    root: tempfile::TempDir,
    roots: Roots,
}

impl Fake {
    /// An 82599 bound to `driver`, bus mastering on as a crashed owner leaves it.
    pub(crate) fn new(driver: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots { sys: root.path().join("sys"), dev: root.path().join("dev") };
        let fake = Self { root, roots };
        fs::create_dir_all(fake.dir().join("uio/uio3")).unwrap();
        fs::create_dir_all(&fake.roots.dev).unwrap();
        fake.write("vendor", "0x8086\n");
        fake.write("device", "0x10fb\n");
        fake.write("numa_node", "1\n");
        fake.bind(driver);
        let mut config = vec![0u8; 256];
        config[..4].copy_from_slice(&[0x86, 0x80, 0xfb, 0x10]);
        config[4] = 0x07;
        config[6] = 0x10;
        config[0x34] = 0xa0;
        config[0x3d] = 1;
        config[0xa0..0xa2].copy_from_slice(&[0x10, 0]);
        fs::write(fake.dir().join("config"), config).unwrap();
        fake.write(
            "resource",
            &format!(
                "0x00000000fe000000 {:#018x} 0x000000000014220c\n{}",
                0xfe00_0000u64 + BAR - 1,
                "0x0000000000000000 0x0000000000000000 0x0000000000000000\n".repeat(12)
            ),
        );
        File::create(fake.dir().join("resource0")).unwrap().set_len(BAR).unwrap();
        let path = CString::new(fake.node().as_os_str().as_bytes()).unwrap();
        // SAFETY: makes a FIFO at a path that is a C string.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        fake
    }

    fn dir(&self) -> PathBuf {
        self.roots.sys.join("bus/pci/devices").join(ADDR)
    }

    fn node(&self) -> PathBuf {
        self.roots.dev.join("uio3")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir().join(name), text).unwrap();
    }

    fn bind(&self, driver: &str) {
        let _ = fs::remove_file(self.dir().join("driver"));
        if !driver.is_empty() {
            symlink(format!("../../elsewhere/{driver}"), self.dir().join("driver")).unwrap();
        }
    }

    fn group(&self, kind: &str) {
        let group = self.roots.sys.join("kernel/iommu_groups/7");
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("type"), kind).unwrap();
        symlink("../../../kernel/iommu_groups/7", self.dir().join("iommu_group")).unwrap();
    }

    fn config(&self, offset: u64) -> u8 {
        let mut byte = [0];
        File::open(self.dir().join("config")).unwrap().read_exact_at(&mut byte, offset).unwrap();
        byte[0]
    }

    fn set_config(&self, offset: u64, byte: u8) {
        let file = OpenOptions::new().write(true).open(self.dir().join("config")).unwrap();
        file.write_all_at(&[byte], offset).unwrap();
    }

    pub(crate) fn open(&self) -> Result<UioDevice> {
        self.open_with(PhysicalMap::over(tempfile::tempfile().unwrap(), Backing::Heap))
    }

    fn open_with(&self, map: PhysicalMap) -> Result<UioDevice> {
        UioDevice::open_in(&self.roots, ADDR.parse().unwrap(), |v, _| v == 0x8086, |_| Ok(map))
    }

    /// How many descriptors and mappings of this process lead to its files.
    fn held(&self) -> usize {
        let root = self.root.path();
        let descriptors = fs::read_dir("/proc/self/fd").unwrap();
        let open = descriptors
            .filter_map(|e| fs::read_link(e.unwrap().path()).ok())
            .filter(|to| to.starts_with(root))
            .count();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        open + maps.lines().filter(|l| l.contains(root.to_str().unwrap())).count()
    }

    /// Interrupts it: puts a counter value where the kernel would.
    fn interrupt(&self, count: u32) {
        let mut fifo = OpenOptions::new().write(true).read(true).open(self.node()).unwrap();
        fifo.write_all(&count.to_ne_bytes()).unwrap();
    }
}

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
    assert!(matches!(fake.open(), Err(Error::Busy { .. })), "somebody can still ring doorbells");
    drop(bar);
    // The node once, config, resource0 and its mapping.
    let device = fake.open().unwrap();
    assert_eq!(fake.held(), 4);
    drop(device);
    assert_eq!(fake.held(), 0);
}

#[test]
fn what_stands_in_the_way_is_named_in_order() {
    let fake = Fake::new("");
    assert!(matches!(fake.open(), Err(Error::NotBound { driver: None, .. })));
    for driver in ["ixgbe", "vfio-pci"] {
        fake.bind(driver);
        let error = fake.open().unwrap_err();
        assert!(matches!(error, Error::NotBound { driver: Some(d), .. } if d == driver));
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
    let cases: [(&str, Spoil); 6] = [
        ("resource0", |f| fs::remove_file(f.dir().join("resource0")).unwrap()),
        ("UIO node", |f| fs::remove_dir(f.dir().join("uio/uio3")).unwrap()),
        ("uio3", |f| fs::remove_file(f.node()).unwrap()),
        ("no memory at BAR 0", |f| f.write("resource", "0xe000 0xe01f 0x40101\n")),
        ("bytes where BAR 0 has", |f| f.write("resource", "0x1000 0x1fff 0x40200\n")),
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
fn a_device_that_answers_all_ones_is_gone() {
    let fake = Fake::new("uio_pci_generic");
    let device = fake.open().unwrap();
    fs::write(fake.dir().join("config"), [0xff; 256]).unwrap();
    assert!(matches!(device.check(), Err(Error::Gone { .. })));
    assert!(matches!(device.set_bus_master(true), Err(Error::Gone { .. })));
    drop(device);
    assert_eq!(fake.config(4), 0xff, "nothing is written to it");
    assert!(matches!(fake.open(), Err(Error::Gone { .. })));
}

#[test]
fn memory_decoding_must_be_on() {
    let fake = Fake::new("uio_pci_generic");
    fake.set_config(4, 0);
    let error = fake.open().unwrap_err().to_string();
    assert!(error.contains("does not answer"), "{error}");
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
fn lost_bus_mastering_is_noticed_only_while_it_should_be_on() {
    let fake = Fake::new("uio_pci_generic");
    let device = fake.open().unwrap();
    device.check().unwrap();
    device.set_bus_master(true).unwrap();
    assert_eq!(fake.config(4), 0x07);
    device.check().unwrap();
    fake.set_config(4, 0x03);
    assert!(matches!(device.check(), Err(Error::BusMasterLost { addr }) if addr == ADDR));
    device.set_bus_master(false).unwrap();
    device.check().unwrap();
}

#[test]
fn unbinding_and_removal_are_noticed() {
    let fake = Fake::new("uio_pci_generic");
    let device = fake.open().unwrap();
    fake.bind("ixgbe");
    assert!(matches!(device.check(), Err(Error::Gone { how, .. }) if how.contains("unbound")));
    fake.bind("uio_pci_generic");
    device.check().unwrap();
    fs::rename(fake.dir().join("uio/uio3"), fake.dir().join("uio/uio4")).unwrap();
    assert!(matches!(device.check(), Err(Error::Gone { .. })));
    fs::remove_dir_all(fake.dir()).unwrap();
    assert!(matches!(device.check(), Err(Error::Gone { how, .. }) if how.contains("removed")));
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

/// A terminal whose other side hangs up: its node then fails as that of an unbound device does,
/// POLLERR or POLLHUP and EIO.
struct Terminal {
    master: OwnedFd,
    path: PathBuf,
}

impl Terminal {
    /// Nothing where there are no terminals.
    fn new() -> Option<Self> {
        // SAFETY: opens a new descriptor.
        let fd = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
        if fd < 0 {
            return None;
        }
        // SAFETY: the descriptor is new and nobody else knows it.
        let master = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut name = [0 as libc::c_char; 64];
        // SAFETY: works on an open descriptor.
        let unlocked = unsafe { libc::unlockpt(fd) } == 0;
        // SAFETY: the buffer is ours and its length is given.
        let named = unsafe { libc::ptsname_r(fd, name.as_mut_ptr(), name.len()) } == 0;
        // SAFETY: the call above ended the name with a zero.
        let path = unsafe { std::ffi::CStr::from_ptr(name.as_ptr()) }.to_str().ok()?.into();
        (unlocked && named).then_some(Self { master, path })
    }
}

#[test]
fn a_node_that_dies_means_the_device_was_unbound() {
    let Some(terminal) = Terminal::new() else { return };
    let fake = Fake::new("uio_pci_generic");
    fs::remove_file(fake.node()).unwrap();
    symlink(&terminal.path, fake.node()).unwrap();
    let device = fake.open().unwrap();
    device.set_bus_master(true).unwrap();
    device.check().unwrap();
    assert_eq!(device.wait(Duration::ZERO).unwrap(), None);

    drop(terminal.master);
    // Sysfs looks as before, as when it was bound again and got the same number.
    assert!(matches!(device.wait(Duration::MAX), Err(Error::Gone { .. })));
    assert!(matches!(device.check(), Err(Error::Gone { .. })));
    assert!(matches!(device.set_bus_master(false), Err(Error::Gone { .. })));
    assert!(matches!(device.disarm(), Err(Error::Gone { .. })));
    assert_eq!(fake.config(5) & 0x04, 0, "not ours to mask any more");
    drop(device);
    assert_eq!(fake.config(4), 0x07, "not ours to change any more");
}

#[test]
fn a_node_without_an_interrupt_line_is_never_waited_on() {
    for driver in ["uio_pci_generic", "igb_uio"] {
        let Some(terminal) = Terminal::new() else { return };
        let fake = Fake::new(driver);
        fs::remove_file(fake.node()).unwrap();
        symlink(&terminal.path, fake.node()).unwrap();
        let mut device = fake.open().unwrap();
        // Such a node is in error from the start.
        Arc::get_mut(&mut device.inner).unwrap().has_line = false;
        drop(terminal.master);
        assert!(matches!(device.wait(Duration::MAX), Err(Error::NoInterrupt { .. })));
        device.set_bus_master(true).unwrap();
        device.check().unwrap();
    }
}

#[test]
fn a_device_that_a_kernel_driver_took_over_is_left_alone() {
    let fake = Fake::new("uio_pci_generic");
    let device = fake.open().unwrap();
    device.set_bus_master(true).unwrap();
    fake.bind("ixgbe");
    assert!(matches!(device.set_bus_master(false), Err(Error::Gone { .. })));
    assert!(matches!(device.wait(Duration::ZERO), Ok(None)));
    drop(device);
    assert_eq!(fake.config(4), 0x07, "the kernel's driver needs its bus mastering");
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
fn a_moved_page_stops_dma() {
    use crate::mem::{CHUNK, DmaTarget, Geometry, SlotMem};

    let memory = SlotMem::new(Geometry::new(128, 2048).unwrap(), 1, &Backing::Heap, None).unwrap();
    let vaddr = memory.mapping().as_ptr().addr();
    // SAFETY: the call has no preconditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    let pagemap = tempfile::tempfile().unwrap();
    let place = |frame: u64| {
        let entries: Vec<u8> = (0..(CHUNK / page) as u64)
            .flat_map(|i| (1 << 63 | (frame + i)).to_ne_bytes())
            .collect();
        pagemap.write_all_at(&entries, (vaddr / page * 8) as u64).unwrap();
    };
    let fake = Fake::new("uio_pci_generic");
    let map = PhysicalMap::over(pagemap.try_clone().unwrap(), Backing::Heap);
    let device = fake.open_with(map).unwrap();
    place(512);
    device.dma().map(DmaTarget::Slots(memory.clone())).unwrap();
    device.set_bus_master(true).unwrap();
    device.check().unwrap();

    place(1024);
    for _ in 0..2 {
        let moved = device.check();
        assert!(matches!(moved, Err(Error::PageMoved { vaddr: v }) if v == vaddr as u64));
        assert_eq!(fake.config(4), 0x03);
    }
}

#[test]
fn what_keeps_the_registers_from_being_mapped_is_named() {
    let fake = Fake::new("uio_pci_generic");
    let device = PciDevice::find(&fake.roots.sys, ADDR.parse().unwrap()).unwrap();
    let path = fake.dir().join("resource0");
    let unmapped = |errno| unmapped(&device, &path, io::Error::from_raw_os_error(errno));
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
