//! The driver's memory, as a device finds it: by physical address, in the files that the driver
//! has in a hugetlbfs.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use memmap2::{MmapOptions, MmapRaw};

const PAGE: usize = 2 << 20;
/// Entries of the table in front of the map.
const NEAR: usize = 64;

/// Hugepages by their frame.
pub(crate) struct Memory {
    dir: PathBuf,
    pagemap: File,
    files: HashMap<u64, MmapRaw>,
    pages: HashMap<u64, usize>,
    near: [(u64, usize); NEAR],
    /// Addresses that led nowhere.
    pub(crate) faults: u64,
}

impl Memory {
    pub(crate) fn new(dir: &Path) -> std::io::Result<Self> {
        Ok(Self {
            dir: dir.to_owned(),
            pagemap: File::open("/proc/self/pagemap")?,
            files: HashMap::new(),
            pages: HashMap::new(),
            near: [(u64::MAX, 0); NEAR],
            faults: 0,
        })
    }

    /// Maps files that appeared since the last time.
    pub(crate) fn scan(&mut self) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let Ok(file) = OpenOptions::new().read(true).write(true).open(entry?.path()) else {
                continue;
            };
            let meta = file.metadata()?;
            if meta.len() == 0 || self.files.contains_key(&meta.ino()) {
                continue;
            }
            let len = meta.len() as usize;
            let map = MmapOptions::new().len(len).map_raw(&file)?;
            for at in (0..len).step_by(PAGE) {
                let here = map.as_ptr().wrapping_add(at);
                // SAFETY: inside the mapping; the driver has given the file all its pages.
                let _present = unsafe { here.read_volatile() };
                let mut entry = [0; 8];
                self.pagemap.read_exact_at(&mut entry, (here.addr() / 4096 * 8) as u64)?;
                let frame = u64::from_ne_bytes(entry) & ((1 << 55) - 1);
                self.pages.insert(frame * 4096 / PAGE as u64, here.addr());
            }
            self.files.insert(meta.ino(), map);
        }
        Ok(())
    }

    /// Where `len` bytes at a physical address are.
    #[inline]
    fn at(&mut self, physical: u64, len: usize) -> Option<*mut u8> {
        let (page, within) = (physical / PAGE as u64, physical as usize % PAGE);
        if within + len > PAGE {
            self.faults += 1;
            return None;
        }
        let slot = page as usize % NEAR;
        if self.near[slot].0 != page {
            if !self.pages.contains_key(&page) {
                self.scan().ok()?;
            }
            let Some(start) = self.pages.get(&page) else {
                self.faults += 1;
                return None;
            };
            self.near[slot] = (page, *start);
        }
        Some((self.near[slot].1 + within) as *mut u8)
    }

    /// A descriptor ring.
    pub(crate) fn ring(
        &mut self,
        physical: u64,
        descriptors: usize,
    ) -> Option<&'static [[AtomicU64; 2]]> {
        let at = self.at(physical, descriptors * 16)?.cast();
        // SAFETY: inside a mapping that lasts as long as this process; both sides access it by
        // atomics only, and rings are aligned to 128 bytes.
        Some(unsafe { std::slice::from_raw_parts(at, descriptors) })
    }

    /// Writes a frame.
    #[inline]
    pub(crate) fn write(&mut self, physical: u64, frame: &[u8]) {
        if let Some(to) = self.at(physical, frame.len()) {
            // SAFETY: inside a mapping; the driver gave the buffer to the device.
            unsafe { std::ptr::copy_nonoverlapping(frame.as_ptr(), to, frame.len()) };
        }
    }

    /// Reads a frame.
    #[inline]
    pub(crate) fn read(&mut self, physical: u64, into: &mut [u8]) {
        if let Some(from) = self.at(physical, into.len()) {
            // SAFETY: inside a mapping; the driver gave the buffer to the device.
            unsafe { std::ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len()) };
        }
    }
}
