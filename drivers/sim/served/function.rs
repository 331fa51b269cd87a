//! The PCI function that a client sees: configuration space, BARs, DMA windows and interrupts,
//! and the software NIC behind them.
//!
//! Whatever a client or its guest writes leads to what hardware would do. Errors are for what no
//! guest can bring about: bad windows, bad eventfds.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, ServerBackend, ServerRegion};

use super::config_space::{self, ConfigSpace, MSIX_LEN, PENDING, PciIdentity, Slot};
use super::eventfds::{Eventfds, Kind};
use super::memory::{Allowed, Windows};
use crate::drivers::sim::SimNic;
use crate::drivers::sim::irq::InterruptMode;
use crate::mmio::Bar;
use crate::port::Host;

/// Regions of a PCI device (`linux/vfio.h`): six BARs, ROM, configuration space, VGA.
pub(super) const REGIONS: usize = 9;
const CONFIG: u32 = 7;
/// A region can be read and written.
const READ_WRITE: u32 = 0b11;

/// Flags of an interrupt: it has eventfds; can be masked; masks itself; has a fixed number.
const EVENTFD: u32 = 1;
const MASKABLE: u32 = 1 << 1;
const AUTOMASKED: u32 = 1 << 2;
const NORESIZE: u32 = 1 << 3;

/// What SET_IRQS says (`linux/vfio.h`): the kind of data, and what to do.
pub(super) const DATA_NONE: u32 = 1;
pub(super) const DATA_BOOL: u32 = 1 << 1;
pub(super) const DATA_EVENTFD: u32 = 1 << 2;
const MASK: u32 = 1 << 3;
const UNMASK: u32 = 1 << 4;
const TRIGGER: u32 = 1 << 5;

/// DMA_UNMAP: everything. QEMU sends Linux's flag, the crate documents another.
const UNMAP_ALL: u32 = 1 << 1 | 1 << 2;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Function {
    nic: SimNic,
    config: ConfigSpace,
    /// What was last done about the configuration.
    slot: Slot,
    mode: InterruptMode,
    /// The client masks INTx.
    masked: bool,
    windows: Windows,
    fds: Arc<Eventfds>,
    /// The MSI-X table. QEMU keeps its own; this is for a client that does not.
    table: Box<[u8]>,
    /// Why the last message was refused, since the crate does not say.
    refused: Option<i32>,
}

fn invalid() -> io::Error {
    io::Error::from_raw_os_error(libc::EINVAL)
}

impl Function {
    /// The function of a NIC that nobody uses.
    pub(super) fn new(nic: SimNic) -> Self {
        let identity = nic.pci_identity();
        let mut function = Self {
            config: ConfigSpace::new(identity, nic.mac()),
            slot: Slot::default(),
            mode: InterruptMode::Intx,
            masked: false,
            windows: Windows::default(),
            fds: Arc::new(Eventfds::new(1, identity.vectors)),
            table: Box::default(),
            refused: None,
            nic,
        };
        function.attach();
        function
    }

    fn identity(&self) -> &PciIdentity {
        self.config.identity()
    }

    /// Makes everything ready for a new client.
    pub(super) fn attach(&mut self) {
        self.fds = Arc::new(Eventfds::new(1, self.identity().vectors));
        self.windows = Windows::default();
        self.masked = false;
        self.nic.connect_interrupts(Some(self.fds.clone()));
        self.reset();
    }

    /// Takes everything back that a client has lent: when this returns, the NIC touches neither
    /// its memory nor its eventfds.
    pub(super) fn detach(&mut self) {
        // Switching it off cannot fail.
        let _ = self.nic.host().set_bus_master(false);
        self.nic.set_guest_memory(None);
        self.nic.connect_interrupts(None);
        self.windows = Windows::default();
        self.fds = Arc::new(Eventfds::new(1, self.identity().vectors));
        self.reset();
    }

    /// A reset of the function. What the client has connected stays connected.
    fn reset(&mut self) {
        self.config.reset();
        self.table = table(self.identity().vectors);
        self.fds.forget();
        self.nic.function_reset();
        self.slot = Slot::default();
        self.mode = InterruptMode::Intx;
        self.settle();
        self.drive_mask();
    }

    /// Does what the configuration space and the connected eventfds add up to.
    fn settle(&mut self) {
        let (before, now) = (self.slot, self.config.slot());
        self.slot = now;
        if before.power != 0 && now.power == 0 {
            // Coming back from sleep resets the function (82599 datasheet 5.2.5.1).
            return self.reset();
        }
        if before.master != now.master {
            // Fails for a NIC that was pulled, which does no DMA anyway.
            let _ = self.nic.host().set_bus_master(now.master);
            self.nic.kick();
        }
        // By what the guest has enabled. A client that does not pass that on connects eventfds.
        let vectors = self.identity().vectors;
        let mode = if now.msix || self.fds.any(Kind::Msix) {
            InterruptMode::Msix { vectors }
        } else if now.msi.is_some() || self.fds.any(Kind::Msi) {
            InterruptMode::Msi { vectors: now.msi.unwrap_or(1) }
        } else {
            InterruptMode::Intx
        };
        if self.mode != mode {
            self.mode = mode;
            self.fds.set_mode(mode);
            self.nic.set_interrupt_mode(mode);
        }
        if before.intx_disabled != now.intx_disabled {
            self.drive_mask();
        }
    }

    /// Lets INTx through if nobody masks it.
    fn drive_mask(&self) {
        let told = self.fds.told().load(Ordering::Acquire);
        self.nic.mask_intx(self.slot.intx_disabled || self.masked || told);
    }

    /// What the crate tells clients about regions.
    pub(super) fn regions(&self) -> Vec<ServerRegion> {
        (0u32..REGIONS as u32)
            .map(|index| {
                let mut region = ServerRegion {
                    region_info: Default::default(),
                    sparse_areas: vec![],
                    mmap_fd: None,
                };
                region.region_info.argsz = size_of_val(&region.region_info) as u32;
                region.region_info.index = index;
                region.region_info.size = self.region_len(index);
                if region.region_info.size > 0 {
                    region.region_info.flags = READ_WRITE;
                }
                region
            })
            .collect()
    }

    fn region_len(&self, region: u32) -> u64 {
        match region {
            0 => self.identity().registers.into(),
            CONFIG => config_space::LEN as u64,
            bar if bar == u32::from(self.identity().bars.msix()) => MSIX_LEN.into(),
            _ => 0,
        }
    }

    /// What the crate tells clients about interrupts.
    pub(super) fn irqs(&self) -> Vec<IrqInfo> {
        (0..)
            .zip(Kind::ALL)
            .map(|(index, kind)| {
                let flags = match kind {
                    Kind::Intx => EVENTFD | MASKABLE | AUTOMASKED,
                    _ => EVENTFD | NORESIZE,
                };
                IrqInfo { index, flags, count: self.count(kind) }
            })
            .collect()
    }

    fn count(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Msix => self.identity().vectors.into(),
            _ => 1,
        }
    }

    /// Why the last message was refused; asking forgets it.
    pub(super) fn take_refused(&mut self) -> Option<i32> {
        self.refused.take()
    }

    fn note<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            tracing::warn!(nic = self.nic.name(), %error, "refused the client's request");
            self.refused = Some(error.raw_os_error().unwrap_or(libc::EINVAL));
        }
        result
    }

    /// Reads a region as a bus does: what nobody answers for is all ones.
    pub(super) fn read(&self, region: u32, offset: u64, into: &mut [u8]) {
        match region {
            // A client that was told keeps the line up until it unmasks it, whatever becomes of the
            // cause meanwhile; a driver that shares the line must find whose it is.
            CONFIG => {
                let told = self.fds.told().load(Ordering::Acquire);
                self.config.read(offset, into, told || self.nic.asserts_intx());
            }
            0 if self.slot.memory => self.read_registers(offset, into),
            bar if bar == u32::from(self.identity().bars.msix()) && self.slot.memory => {
                for (byte, at) in into.iter_mut().zip(offset..) {
                    *byte = self.msix_byte(at);
                }
            }
            _ => into.fill(0xff),
        }
    }

    /// Writes a region as a bus does: what nobody answers for is lost.
    pub(super) fn write(&mut self, region: u32, offset: u64, from: &[u8]) {
        match region {
            CONFIG => {
                if self.config.write(offset, from) {
                    self.reset();
                } else {
                    self.settle();
                }
            }
            0 if self.slot.memory => self.write_registers(offset, from),
            bar if bar == u32::from(self.identity().bars.msix()) && self.slot.memory => {
                for (byte, at) in from.iter().zip(offset..) {
                    let at = usize::try_from(at).unwrap_or(usize::MAX);
                    if let Some(old) = self.table.get_mut(at) {
                        *old = *byte;
                    }
                }
            }
            _ => {}
        }
    }

    /// Registers are words: a read of part of one, or of several, reads each once.
    fn read_registers(&self, offset: u64, into: &mut [u8]) {
        let bar = self.nic.bar();
        let mut at = offset;
        let mut rest = into;
        while !rest.is_empty() {
            let within = (at % 4) as usize;
            let (now, later) = rest.split_at_mut(rest.len().min(4 - within));
            let word = match u32::try_from(at - within as u64) {
                Ok(register) => bar.read32(register).to_le_bytes(),
                Err(_) => [0xff; 4],
            };
            now.copy_from_slice(&word[within..within + now.len()]);
            at = at.wrapping_add(now.len() as u64);
            rest = later;
        }
    }

    /// Only whole words are written: what less does is not defined (82599 datasheet 8.1.1), and
    /// here it is nothing.
    fn write_registers(&self, offset: u64, from: &[u8]) {
        let bar = self.nic.bar();
        let skip = (offset.wrapping_neg() % 4) as usize;
        let first = offset.wrapping_add(skip as u64);
        let words = from.get(skip..).unwrap_or_default().chunks_exact(4);
        for (at, word) in (0u64..).step_by(4).zip(words) {
            let at = first.checked_add(at).and_then(|at| u32::try_from(at).ok());
            if let (Some(at), Ok(word)) = (at, <[u8; 4]>::try_from(word)) {
                bar.write32(at, u32::from_le_bytes(word));
            }
        }
        self.nic.kick();
    }

    /// The table, then nothing, then the pending bits.
    fn msix_byte(&self, at: u64) -> u8 {
        if at >= u64::from(MSIX_LEN) {
            return 0xff;
        }
        if let Some(byte) = self.table.get(at as usize) {
            return *byte;
        }
        let pending = at.checked_sub(u64::from(PENDING));
        pending.map_or(0, |at| {
            let word = self.fds.pending((at / 8) as usize);
            word.to_le_bytes()[(at % 8) as usize]
        })
    }

    fn change_windows(&mut self, windows: io::Result<Windows>) -> io::Result<()> {
        self.windows = self.note(windows)?;
        // Returns when the old windows are not used any more.
        self.nic.set_guest_memory(Some(Arc::new(self.windows.clone())));
        self.nic.kick();
        Ok(())
    }

    /// SET_IRQS, but for data of the kind bool.
    pub(super) fn interrupts(
        &mut self,
        index: u32,
        flags: u32,
        start: u32,
        count: u32,
        fds: Vec<File>,
    ) -> io::Result<()> {
        let kind = *Kind::ALL.get(index as usize).ok_or_else(invalid)?;
        let end = start.checked_add(count).filter(|end| *end <= self.count(kind));
        let end = end.ok_or_else(invalid)?;
        match (flags & !DATA_NONE & !DATA_EVENTFD, flags & (DATA_NONE | DATA_EVENTFD)) {
            (TRIGGER, DATA_NONE) if count == 0 && start == 0 => {
                let all = self.count(kind) as usize;
                self.connect(kind, 0, all, Vec::new())
            }
            (TRIGGER, DATA_NONE) => {
                (start..end).for_each(|vector| self.fds.tell(kind, vector as usize));
                Ok(())
            }
            (TRIGGER, DATA_EVENTFD) if fds.is_empty() || fds.len() == count as usize => {
                self.connect(kind, start as usize, count as usize, fds)
            }
            (MASK | UNMASK, DATA_NONE) if kind == Kind::Intx && count == 1 => {
                self.masked = flags & MASK != 0;
                if !self.masked {
                    self.fds.told().store(false, Ordering::Release);
                }
                self.drive_mask();
                Ok(())
            }
            (MASK | UNMASK, _) => Err(io::Error::from_raw_os_error(libc::ENOTSUP)),
            _ => Err(invalid()),
        }
    }

    fn connect(
        &mut self,
        kind: Kind,
        start: usize,
        count: usize,
        fds: Vec<File>,
    ) -> io::Result<()> {
        self.fds.connect(kind, start, count, fds)?;
        self.settle();
        if kind == Kind::Intx {
            // What was told before went nowhere.
            self.fds.told().store(false, Ordering::Release);
            self.drive_mask();
        }
        Ok(())
    }
}

/// An MSI-X table in which every vector is masked.
fn table(vectors: u16) -> Box<[u8]> {
    let entry = [0u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
    entry.repeat(vectors.into()).into_boxed_slice()
}

impl ServerBackend for Function {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        self.read(region, offset, data);
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write(region, offset, data);
        Ok(())
    }

    fn dma_map(
        &mut self,
        flags: DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        fd: Option<File>,
    ) -> io::Result<()> {
        let allowed = Allowed {
            read: flags.contains(DmaMapFlags::READ),
            write: flags.contains(DmaMapFlags::WRITE),
        };
        let windows = self.windows.map(address, size, allowed, fd.map(|fd| (fd, offset)));
        self.change_windows(windows)
    }

    fn dma_unmap(&mut self, flags: DmaUnmapFlags, address: u64, size: u64) -> io::Result<()> {
        let windows = if flags.bits() & UNMAP_ALL != 0 {
            Ok(Windows::default())
        } else {
            self.windows.unmap(address, size)
        };
        self.change_windows(windows)
    }

    fn reset(&mut self) -> io::Result<()> {
        Function::reset(self);
        Ok(())
    }

    fn set_irqs(
        &mut self,
        index: u32,
        flags: u32,
        start: u32,
        count: u32,
        fds: Vec<File>,
    ) -> io::Result<()> {
        let result = self.interrupts(index, flags, start, count, fds);
        self.note(result)
    }
}

#[cfg(test)]
mod tests;
