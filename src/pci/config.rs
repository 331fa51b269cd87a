//! Config space through sysfs (`/sys/bus/pci/devices/<address>/config`).
//!
//! Command is changed one byte at a time: the kernel's INTx handler rewrites the whole word under
//! a lock of its own, and only ever changes its upper byte, so a byte written here never undoes
//! what the handler does.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Capability, sysfs};
use crate::error::{Error, Result};

const VENDOR: u16 = 0x00;
const DEVICE: u16 = 0x02;
const COMMAND: u16 = 0x04;
const COMMAND_HIGH: u16 = 0x05;
const STATUS: u16 = 0x06;
const CLASS: u16 = 0x08;
const INTERRUPT_PIN: u16 = 0x3d;
/// Bytes that every reader gets; the rest is for who opened with CAP_SYS_ADMIN.
const PUBLIC: u16 = 64;
/// Device Status in the PCI Express capability, and its Transactions Pending bit (PCI Express
/// Base Specification 3.0, 7.8.5).
const DEVICE_STATUS: u8 = 0x0a;
const TRANSACTIONS_PENDING: u16 = 1 << 5;

macro_rules! bits {
    ($(#[$doc:meta])* $name:ident { $($(#[$bit_doc:meta])* $bit:ident = $value:expr;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub u16);

        impl $name {
            $($(#[$bit_doc])* pub const $bit: Self = Self($value);)*

            /// Whether every bit of `other` is set.
            pub fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }
    };
}

bits! {
    /// The Command register (PCI Local Bus Specification 3.0, 6.2.2).
    Command {
        /// Answers in I/O space.
        IO = 1 << 0;
        /// Answers in memory space.
        MEMORY = 1 << 1;
        /// May start transfers of its own: DMA and message interrupts.
        BUS_MASTER = 1 << 2;
        /// Keeps its INTx pin quiet.
        INTX_DISABLE = 1 << 10;
    }
}

bits! {
    /// The Status register (PCI Local Bus Specification 3.0, 6.2.3).
    Status {
        /// An INTx interrupt is pending in the device.
        INTERRUPT = 1 << 3;
        /// There is a list of capabilities.
        CAPABILITIES = 1 << 4;
    }
}

/// An open config space. What the opener could read and write stays possible after privileges
/// are dropped.
#[derive(Debug)]
pub struct ConfigSpace {
    file: File,
    path: PathBuf,
    /// The device's address, for messages.
    name: String,
    /// The sysfs that tells about kernel lockdown.
    sys: PathBuf,
}

impl ConfigSpace {
    pub(super) fn open(path: PathBuf, name: String, sys: &Path) -> Result<Self> {
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => Ok(Self { file, path, name, sys: sys.to_owned() }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Error::NoDevice { addr: name }),
            Err(e) if denied(&e) => Err(Error::Permission {
                what: format!("write {}", path.display()),
                fix: "run as root, or let root give you that file".to_owned(),
            }),
            Err(e) => Err(Error::io("open", path, e)),
        }
    }

    fn read<const N: usize>(&self, offset: u16) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        match self.file.read_exact_at(&mut bytes, u64::from(offset)) {
            Ok(()) => Ok(bytes),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && offset >= PUBLIC => {
                Err(Error::Permission {
                    what: format!("read byte {offset:#x} of {}", self.path.display()),
                    fix: "open the device as root (CAP_SYS_ADMIN)".to_owned(),
                })
            }
            Err(e) => Err(self.gone_or("read", e)),
        }
    }

    fn write<const N: usize>(&self, offset: u16, bytes: [u8; N]) -> Result<()> {
        match self.file.write_at(&bytes, u64::from(offset)) {
            Ok(n) if n == N => Ok(()),
            Ok(_) => Err(self.gone_or("write", io::ErrorKind::WriteZero.into())),
            Err(e) => Err(self.unwritten(e)),
        }
    }

    pub(super) fn unwritten(&self, e: io::Error) -> Error {
        let what = format!("write {}", self.path.display());
        match e.raw_os_error() {
            // Only lockdown answers EPERM on an open file; where the kernel does not tell,
            // believe it.
            Some(libc::EPERM) if sysfs::locked_down(&self.sys) != Some(false) => {
                Error::Lockdown { what }
            }
            Some(libc::EPERM | libc::EACCES) => {
                Error::Permission { what, fix: "open the device as root".to_owned() }
            }
            _ => self.gone_or("write", e),
        }
    }

    fn gone_or(&self, what: &str, e: io::Error) -> Error {
        match e.raw_os_error() {
            Some(libc::ENODEV | libc::ENXIO | libc::EIO) => {
                self.gone(&format!("config space: {e}"))
            }
            _ => Error::io(what, &self.path, e),
        }
    }

    fn gone(&self, how: &str) -> Error {
        Error::Gone { device: self.name.clone(), how: how.to_owned() }
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// [`Error::Permission`] behind byte 63 when opened without CAP_SYS_ADMIN, [`Error::Gone`],
    /// [`Error::Io`].
    pub fn read_u8(&self, offset: u16) -> Result<u8> {
        self.read(offset).map(u8::from_le_bytes)
    }

    /// Reads two bytes.
    ///
    /// # Errors
    /// As [`read_u8`](Self::read_u8).
    pub fn read_u16(&self, offset: u16) -> Result<u16> {
        self.read(offset).map(u16::from_le_bytes)
    }

    /// Reads four bytes.
    ///
    /// # Errors
    /// As [`read_u8`](Self::read_u8).
    pub fn read_u32(&self, offset: u16) -> Result<u32> {
        self.read(offset).map(u32::from_le_bytes)
    }

    /// Writes one byte.
    ///
    /// # Errors
    /// [`Error::Lockdown`], [`Error::Permission`], [`Error::Gone`], [`Error::Io`].
    pub fn write_u8(&self, offset: u16, value: u8) -> Result<()> {
        self.write(offset, value.to_le_bytes())
    }

    /// Writes two bytes.
    ///
    /// # Errors
    /// As [`write_u8`](Self::write_u8).
    pub fn write_u16(&self, offset: u16, value: u16) -> Result<()> {
        self.write(offset, value.to_le_bytes())
    }

    /// Writes four bytes.
    ///
    /// # Errors
    /// As [`write_u8`](Self::write_u8).
    pub fn write_u32(&self, offset: u16, value: u32) -> Result<()> {
        self.write(offset, value.to_le_bytes())
    }

    /// Vendor and device id.
    ///
    /// # Errors
    /// [`Error::Gone`] when nothing answers; as [`read_u8`](Self::read_u8).
    pub fn ids(&self) -> Result<(u16, u16)> {
        match (self.read_u16(VENDOR)?, self.read_u16(DEVICE)?) {
            (0xffff, _) => Err(self.gone("config space reads all ones")),
            ids => Ok(ids),
        }
    }

    /// Class, subclass and programming interface, as one 24-bit number.
    ///
    /// # Errors
    /// As [`read_u8`](Self::read_u8).
    pub fn class(&self) -> Result<u32> {
        self.read_u32(CLASS).map(|v| v >> 8)
    }

    /// The Command register.
    ///
    /// # Errors
    /// [`Error::Gone`] when nothing answers; as [`read_u8`](Self::read_u8).
    pub fn command(&self) -> Result<Command> {
        match self.read_u16(COMMAND)? {
            0xffff => Err(self.gone("config space reads all ones")),
            v => Ok(Command(v)),
        }
    }

    /// The Status register.
    ///
    /// # Errors
    /// As [`read_u8`](Self::read_u8).
    pub fn status(&self) -> Result<Status> {
        self.read_u16(STATUS).map(Status)
    }

    /// Whether the device has an INTx pin.
    ///
    /// # Errors
    /// As [`read_u8`](Self::read_u8).
    pub fn has_intx(&self) -> Result<bool> {
        Ok(matches!(self.read_u8(INTERRUPT_PIN)?, 1..=4))
    }

    /// Lets the device do DMA, or stops it, and makes sure that it is so.
    ///
    /// # Errors
    /// [`Error::Device`] when the bit does not read back; [`Error::Gone`]; as
    /// [`write_u8`](Self::write_u8).
    pub fn set_bus_master(&self, on: bool) -> Result<()> {
        let bit = Command::BUS_MASTER.0 as u8;
        let is = self.command()?.0 as u8;
        let wanted = if on { is | bit } else { is & !bit };
        if wanted != is {
            self.write_u8(COMMAND, wanted)?;
        }
        if self.command()?.contains(Command::BUS_MASTER) == on {
            return Ok(());
        }
        Err(Error::Device {
            device: self.name.clone(),
            what: format!(
                "bus mastering did not turn {}; power-cycle the machine",
                if on { "on" } else { "off" }
            ),
        })
    }

    /// Makes the device answer to memory accesses, which a bound driver has seen to.
    ///
    /// # Errors
    /// [`Error::Device`] when the bit does not read back; [`Error::Gone`]; as
    /// [`write_u8`](Self::write_u8).
    pub fn enable_memory(&self) -> Result<()> {
        let command = self.command()?;
        if command.contains(Command::MEMORY) {
            return Ok(());
        }
        self.write_u8(COMMAND, (command.0 | Command::MEMORY.0) as u8)?;
        if self.command()?.contains(Command::MEMORY) {
            return Ok(());
        }
        Err(Error::Device {
            device: self.name.clone(),
            what: "it does not answer to memory accesses; rescan the PCI bus, and read the kernel \
                   log"
            .to_owned(),
        })
    }

    /// Keeps the INTx pin quiet, or lets it speak.
    ///
    /// # Errors
    /// As [`write_u8`](Self::write_u8).
    pub fn set_intx_disabled(&self, disabled: bool) -> Result<()> {
        let bit = (Command::INTX_DISABLE.0 >> 8) as u8;
        let is = (self.command()?.0 >> 8) as u8;
        let wanted = if disabled { is | bit } else { is & !bit };
        if wanted == is {
            return Ok(());
        }
        self.write_u8(COMMAND_HIGH, wanted)
    }

    /// Waits until the device has no transfers of its own under way, as far as it tells.
    ///
    /// # Errors
    /// [`Error::Device`] when some are still pending after 100 ms; as [`read_u8`](Self::read_u8).
    pub fn wait_quiet(&self) -> Result<()> {
        const STEP: Duration = Duration::from_millis(1);
        let express = match self.capability(Capability::EXPRESS) {
            Ok(found) => found,
            // Cannot be seen without CAP_SYS_ADMIN.
            Err(Error::Permission { .. }) => None,
            Err(other) => return Err(other),
        };
        let Some(express) = express else {
            // Longer than a root complex may hold a completion back in practice.
            std::thread::sleep(10 * STEP);
            return Ok(());
        };
        let at = u16::from(express.offset) + u16::from(DEVICE_STATUS);
        for _ in 0..100 {
            match self.read_u16(at)? {
                0xffff => return Err(self.gone("config space reads all ones")),
                v if v & TRANSACTIONS_PENDING == 0 => return Ok(()),
                _ => std::thread::sleep(STEP),
            }
        }
        Err(Error::Device {
            device: self.name.clone(),
            what: "DMA is still under way 100 ms after bus mastering was turned off; power-cycle \
                   the machine"
                .to_owned(),
        })
    }
}

/// EPERM and EACCES.
fn denied(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::PermissionDenied
}
