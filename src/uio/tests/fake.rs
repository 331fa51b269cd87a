//! Devices made of plain files: a directory for `/sys`, a FIFO for `/dev/uioN`, sparse files for
//! registers and page map. What only a kernel can do (revoking, counting, masking) is not here.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, symlink};
use std::path::PathBuf;

use crate::error::Result;
use crate::mem::{Backing, PhysicalMap};
use crate::uio::UioDevice;
use crate::uio::take::Roots;

pub(super) const ADDR: &str = "0000:03:00.0";
pub(super) const BAR: u64 = 128 << 10;

/// A device made of files.
pub(crate) struct Fake {
    pub(super) root: tempfile::TempDir,
    pub(super) roots: Roots,
}

impl Fake {
    /// An 82599 bound to `driver`, bus mastering on as a crashed owner leaves it.
    pub(crate) fn new(driver: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots {
            sys: root.path().join("sys"),
            dev: root.path().join("dev"),
            proc: root.path().join("proc"),
        };
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

    pub(super) fn dir(&self) -> PathBuf {
        self.roots.sys.join("bus/pci/devices").join(ADDR)
    }

    pub(super) fn node(&self) -> PathBuf {
        self.roots.dev.join("uio3")
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.dir().join(name), text).unwrap();
    }

    pub(super) fn bind(&self, driver: &str) {
        let _ = fs::remove_file(self.dir().join("driver"));
        if !driver.is_empty() {
            symlink(format!("../../elsewhere/{driver}"), self.dir().join("driver")).unwrap();
        }
    }

    /// Another device of the kind, bus mastering on; returns its directory.
    pub(super) fn neighbour(&self, driver: &str) -> PathBuf {
        let dir = self.dir().with_file_name("0000:04:00.0");
        fs::create_dir_all(dir.join("uio/uio4")).unwrap();
        for name in ["vendor", "device", "config"] {
            fs::copy(self.dir().join(name), dir.join(name)).unwrap();
        }
        let config = OpenOptions::new().write(true).open(dir.join("config")).unwrap();
        config.write_all_at(&[0x07], 4).unwrap();
        File::create(dir.join("resource0")).unwrap().set_len(BAR).unwrap();
        if !driver.is_empty() {
            symlink(format!("../../elsewhere/{driver}"), dir.join("driver")).unwrap();
        }
        dir
    }

    /// Gives its node another number.
    pub(super) fn renumber(&self, from: &str, to: &str) {
        let dir = self.dir().join("uio");
        fs::rename(dir.join(from), dir.join(to)).unwrap();
    }

    /// Unbinds it and binds it again, and it gets the same number.
    pub(super) fn register_again(&self) {
        // The old one is kept so that its inode number is not given out again.
        self.renumber("uio3", "old");
        fs::create_dir(self.dir().join("uio/uio3")).unwrap();
    }

    /// What is in its registers, seen from the other side.
    pub(super) fn register(&self, offset: u64) -> u32 {
        let mut bytes = [0; 4];
        let file = File::open(self.dir().join("resource0")).unwrap();
        file.read_exact_at(&mut bytes, offset).unwrap();
        u32::from_le_bytes(bytes)
    }

    pub(super) fn group(&self, kind: &str) {
        let group = self.roots.sys.join("kernel/iommu_groups/7");
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("type"), kind).unwrap();
        symlink("../../../kernel/iommu_groups/7", self.dir().join("iommu_group")).unwrap();
    }

    pub(super) fn config(&self, offset: u64) -> u8 {
        let mut byte = [0];
        File::open(self.dir().join("config")).unwrap().read_exact_at(&mut byte, offset).unwrap();
        byte[0]
    }

    pub(super) fn set_config(&self, offset: u64, byte: u8) {
        let file = OpenOptions::new().write(true).open(self.dir().join("config")).unwrap();
        file.write_all_at(&[byte], offset).unwrap();
    }

    pub(crate) fn open(&self) -> Result<UioDevice> {
        self.open_with(PhysicalMap::over(tempfile::tempfile().unwrap(), Backing::Heap))
    }

    pub(super) fn open_with(&self, map: PhysicalMap) -> Result<UioDevice> {
        UioDevice::open_in(&self.roots, ADDR.parse().unwrap(), |v, _| v == 0x8086, |_| Ok(map))
    }

    /// How many descriptors and mappings of this process lead to its files.
    pub(super) fn held(&self) -> usize {
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
    pub(super) fn interrupt(&self, count: u32) {
        let mut fifo = OpenOptions::new().write(true).read(true).open(self.node()).unwrap();
        fifo.write_all(&count.to_ne_bytes()).unwrap();
    }
}

/// A terminal whose other side hangs up: its node then fails as that of an unbound device does,
/// POLLERR or POLLHUP and EIO.
pub(super) struct Terminal {
    pub(super) master: OwnedFd,
    pub(super) path: PathBuf,
}

impl Terminal {
    /// Nothing where there are no terminals.
    pub(super) fn new() -> Option<Self> {
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
