//! A device's directory in sysfs (`/sys/bus/pci/devices/<address>`).
//!
//! Everything takes the root of the sysfs tree, so that a tree of plain files can stand in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{ConfigSpace, PciAddr};
use crate::error::{Error, Result};

/// `start end flags` of one BAR, from the `resource` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarResource {
    /// Physical address of its first byte.
    pub start: u64,
    /// Physical address of its last byte.
    pub end: u64,
    /// The kernel's IORESOURCE flags.
    pub flags: u64,
}

impl BarResource {
    const MEMORY: u64 = 0x200;

    /// Bytes. 0 when the BAR covers the whole address space, which none does.
    pub fn size(&self) -> u64 {
        self.end.wrapping_sub(self.start).wrapping_add(1)
    }

    /// Whether it is memory, not I/O ports.
    pub fn is_memory(&self) -> bool {
        self.flags & Self::MEMORY != 0
    }
}

/// The IOMMU group that a device is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IommuGroup {
    /// Its number.
    pub number: u32,
    /// Its domain type: `identity`, `DMA`, `DMA-FQ`, ...
    pub kind: String,
}

impl IommuGroup {
    /// Whether a physical address that the device uses arrives unchanged.
    pub fn is_identity(&self) -> bool {
        self.kind == "identity"
    }
}

/// A device that sysfs knows.
#[derive(Debug, Clone)]
pub struct PciDevice {
    addr: PciAddr,
    sys: PathBuf,
    dir: PathBuf,
}

impl PciDevice {
    /// The device at `addr`, as the tree at `sys` (normally `/sys`) shows it.
    ///
    /// # Errors
    /// [`Error::NoDevice`].
    pub fn find(sys: &Path, addr: PciAddr) -> Result<Self> {
        let dir = sys.join("bus/pci/devices").join(addr.to_string());
        if !dir.is_dir() {
            return Err(Error::NoDevice { addr: addr.to_string() });
        }
        Ok(Self { addr, sys: sys.to_owned(), dir })
    }

    /// Its address.
    pub fn addr(&self) -> PciAddr {
        self.addr
    }

    /// A file in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Whether it is still there.
    pub fn exists(&self) -> bool {
        self.dir.is_dir()
    }

    /// Opens its config space for reading and writing.
    ///
    /// # Errors
    /// [`Error::Permission`], [`Error::NoDevice`], [`Error::Io`].
    pub fn config(&self) -> Result<ConfigSpace> {
        ConfigSpace::open(self.path("config"), self.addr.to_string(), &self.sys)
    }

    /// Vendor and device id.
    ///
    /// # Errors
    /// [`Error::Io`] when they cannot be read.
    pub fn ids(&self) -> Result<(u16, u16)> {
        Ok((self.hex("vendor")?, self.hex("device")?))
    }

    fn hex(&self, name: &str) -> Result<u16> {
        let path = self.path(name);
        let text = fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?;
        let digits = text.trim();
        parse_hex(digits)
            .and_then(|v| u16::try_from(v).ok())
            .ok_or_else(|| nonsense(&path, digits, "a 16-bit hexadecimal number"))
    }

    /// The kernel driver that it is bound to.
    ///
    /// # Errors
    /// [`Error::Io`] when the link cannot be read.
    pub fn driver(&self) -> Result<Option<String>> {
        self.link_name("driver")
    }

    fn link_name(&self, name: &str) -> Result<Option<String>> {
        let path = self.path(name);
        match fs::read_link(&path) {
            Ok(to) => Ok(to.file_name().map(|n| n.to_string_lossy().into_owned())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read the link", path, e)),
        }
    }

    /// The NUMA node that it is attached to; `None` when the firmware does not say.
    pub fn numa_node(&self) -> Option<u32> {
        let text = fs::read_to_string(self.path("numa_node")).ok()?;
        u32::try_from(text.trim().parse::<i64>().ok()?).ok()
    }

    /// BAR number `bar`, 0 to 5; `None` when the device does not have it.
    ///
    /// # Errors
    /// [`Error::Io`] when the `resource` file cannot be read or understood.
    pub fn resource(&self, bar: usize) -> Result<Option<BarResource>> {
        let path = self.path("resource");
        let text = fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?;
        let Some(line) = text.lines().nth(bar).filter(|_| bar < 6) else { return Ok(None) };
        let mut words = line.split_whitespace().map(parse_hex);
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some(Some(0)), Some(Some(0)), Some(Some(_)), None) => Ok(None),
            (Some(Some(start)), Some(Some(end)), Some(Some(flags)), None) if start <= end => {
                Ok(Some(BarResource { start, end, flags }))
            }
            _ => Err(nonsense(&path, line, "three hexadecimal numbers, start, end and flags")),
        }
    }

    /// Its IOMMU group; `None` when no IOMMU is in its way.
    ///
    /// # Errors
    /// [`Error::Io`] when the group's type cannot be read.
    pub fn iommu_group(&self) -> Result<Option<IommuGroup>> {
        let Some(name) = self.link_name("iommu_group")? else { return Ok(None) };
        let path = self.path("iommu_group");
        let number =
            name.parse().map_err(|_| nonsense(&path, &name, "a link to a numbered group"))?;
        let path = self.sys.join("kernel/iommu_groups").join(&name).join("type");
        let kind = fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?;
        Ok(Some(IommuGroup { number, kind: kind.trim().to_owned() }))
    }

    /// The number N of its `/dev/uioN`; `None` when it has none.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory cannot be listed.
    pub fn uio(&self) -> Result<Option<u32>> {
        let path = self.path("uio");
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("list", path, e)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| Error::io("list", &path, e))?;
            let name = entry.file_name();
            let number = name
                .to_str()
                .and_then(|n| n.strip_prefix("uio"))
                .filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
            if let Some(n) = number.and_then(|n| n.parse().ok()) {
                return Ok(Some(n));
            }
        }
        Ok(None)
    }

    /// Whether kernel lockdown (Secure Boot) is on; `None` when the kernel does not tell.
    pub fn locked_down(&self) -> Option<bool> {
        locked_down(&self.sys)
    }
}

/// The file lists the levels, the active one in brackets.
pub(super) fn locked_down(sys: &Path) -> Option<bool> {
    let levels = fs::read_to_string(sys.join("kernel/security/lockdown")).ok()?;
    Some(levels.contains("[integrity]") || levels.contains("[confidentiality]"))
}

fn parse_hex(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u64::from_str_radix(digits, 16).ok())?
}

fn nonsense(path: &Path, found: &str, expected: &str) -> Error {
    let why = format!("found '{found}', expected {expected}");
    Error::io("understand", path, io::Error::new(io::ErrorKind::InvalidData, why))
}
