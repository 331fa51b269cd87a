//! Physical addresses, for a NIC behind UIO with no IOMMU in between.
//!
//! `/proc/self/pagemap` holds one 64-bit entry for each page of the process: bit 63 says that the
//! page is present, bits 0 to 54 are its frame number. The kernel shows frame number 0 to
//! processes without CAP_SYS_ADMIN, and decides by who opened the file, so privileges can be
//! dropped once a [`PhysicalMap`] exists.
//!
//! Nothing stops the kernel from moving a hugepage (memory hotplug, `move_pages`, on new kernels
//! also making 1 GiB pages), and a moved page means that the NIC writes into somebody else's
//! memory. [`PhysicalMap::verify`] looks; a running driver calls it now and then.

use std::fs::File;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::ring::RingBlock;
use super::{Backing, CHUNK, DmaMap, DmaTarget, Iova, Mapping, SlotMem, page_size};
use crate::error::{Error, Result};

const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;
const ENTRY: usize = 8;

/// No descriptor: a device that goes on when its owner is killed.
const NEVER: RawFd = -1;

/// The [`DmaMap`] of a device that sees physical addresses.
///
/// There is no mapping in the device's way that could be undone, so this keeps no memory alive:
/// the driver holds what it gave to the device until the device is quiet.
#[derive(Debug)]
pub struct PhysicalMap {
    pagemap: File,
    page: usize,
    rings: Backing,
    node: Option<u32>,
    /// The descriptor whose closing stops the device; [`NEVER`] when none does.
    device: AtomicI32,
    known: Mutex<Vec<Known>>,
}

/// Memory whose addresses were given out, and what they were.
#[derive(Debug)]
struct Known {
    target: WeakTarget,
    chunks: Vec<Iova>,
}

#[derive(Debug)]
enum WeakTarget {
    Rings(Weak<RingBlock>),
    Slots(Weak<SlotMem>),
}

impl WeakTarget {
    fn of(target: &DmaTarget) -> Self {
        match target {
            DmaTarget::Rings(b) => WeakTarget::Rings(Arc::downgrade(b)),
            DmaTarget::Slots(s) => WeakTarget::Slots(Arc::downgrade(s)),
        }
    }

    /// Whether both are the same memory.
    fn is(&self, target: &DmaTarget) -> bool {
        match (self, target) {
            (WeakTarget::Rings(a), DmaTarget::Rings(b)) => a.as_ptr() == Arc::as_ptr(b),
            (WeakTarget::Slots(a), DmaTarget::Slots(b)) => a.as_ptr() == Arc::as_ptr(b),
            _ => false,
        }
    }

    fn upgrade(&self) -> Option<DmaTarget> {
        match self {
            WeakTarget::Rings(b) => b.upgrade().map(DmaTarget::Rings),
            WeakTarget::Slots(s) => s.upgrade().map(DmaTarget::Slots),
        }
    }
}

impl PhysicalMap {
    /// Opens this process's page map and makes sure that it shows addresses. The device is
    /// attached to NUMA node `node`, when that is known.
    ///
    /// # Errors
    /// [`Error::NoPhysicalAddress`] without the privilege to see them; [`Error::Io`] when the
    /// page map cannot be opened.
    pub fn new(node: Option<u32>) -> Result<Self> {
        let path = Path::new("/proc/self/pagemap");
        let pagemap = File::open(path).map_err(|e| match e.kind() {
            io::ErrorKind::PermissionDenied => Error::NoPhysicalAddress,
            _ => Error::io("open", path, e),
        })?;
        let map = Self { node, ..Self::over(pagemap, Backing::for_device()) };
        // Some page that is surely there: one that was just written to.
        let probe = std::hint::black_box(Box::new(1u64));
        let mut entry = [0; ENTRY];
        map.read(std::ptr::from_ref(&*probe).addr(), &mut entry)?;
        frame(u64::from_ne_bytes(entry), std::ptr::from_ref(&*probe).addr())?;
        Ok(map)
    }

    /// A map that reads `pagemap` and takes rings from `rings`.
    pub(crate) fn over(pagemap: File, rings: Backing) -> Self {
        Self {
            pagemap,
            page: page_size(),
            rings,
            node: None,
            device: AtomicI32::new(i32::MAX),
            known: Mutex::default(),
        }
    }

    /// Says which descriptor stops the device when it is closed. Nameless files are to be closed
    /// after it, and a dying process closes its highest descriptor first.
    pub(crate) fn released_after(&self, device: RawFd) {
        self.device.store(device, Ordering::Relaxed);
    }

    /// Says that nothing stops the device when its owner is killed. Only memory that outlives a
    /// process will do.
    pub(crate) fn never_released(&self) {
        self.device.store(NEVER, Ordering::Relaxed);
    }

    /// Whether every page whose address was given out is still where it was.
    ///
    /// # Errors
    /// [`Error::PageMoved`]: stop DMA at once, the device may be writing to a page that is no
    /// longer ours. [`Error::Memory`] when the page map cannot be read.
    pub fn verify(&self) -> Result<()> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|k| k.target.upgrade().is_some());
        for k in known.iter() {
            let Some(target) = k.target.upgrade() else { continue };
            let start = target.mapping().as_ptr().addr();
            for (i, was) in k.chunks.iter().enumerate() {
                // A hugepage moves as a whole, so its first page tells.
                let vaddr = start + i * CHUNK;
                let mut entry = [0; ENTRY];
                self.read(vaddr, &mut entry)?;
                let entry = u64::from_ne_bytes(entry);
                let now = (entry & FRAME).wrapping_mul(self.page as u64);
                if entry & PRESENT == 0 || now != was.0 {
                    return Err(Error::PageMoved { vaddr: vaddr as u64 });
                }
            }
        }
        Ok(())
    }

    /// The physical address of the chunk at `vaddr`, once all its pages are seen to be in a row.
    fn chunk(&self, vaddr: usize) -> Result<Iova> {
        let mut raw = vec![0; CHUNK / self.page * ENTRY];
        self.read(vaddr, &mut raw)?;
        let entries = raw.chunks_exact(ENTRY).map(|e| {
            let mut bytes = [0; ENTRY];
            bytes.copy_from_slice(e);
            u64::from_ne_bytes(bytes)
        });
        in_a_row(entries, vaddr, self.page)
    }

    /// The entries from the one of the page at `vaddr`.
    fn read(&self, vaddr: usize, into: &mut [u8]) -> Result<()> {
        let offset = (vaddr / self.page * ENTRY) as u64;
        self.pagemap.read_exact_at(into, offset).map_err(|e| untranslated(vaddr, e))
    }
}

impl DmaMap for PhysicalMap {
    fn map(&self, target: DmaTarget) -> Result<Vec<Iova>> {
        let mapping = target.mapping();
        let start = mapping.as_ptr().addr();
        let chunks = (0..mapping.len())
            .step_by(CHUNK)
            .map(|at| self.chunk(start + at))
            .collect::<Result<Vec<_>>>()?;
        let known = Known { target: WeakTarget::of(&target), chunks: chunks.clone() };
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|k| !k.target.is(&target) && k.target.upgrade().is_some());
        all.push(known);
        Ok(chunks)
    }

    /// A page that the device was told to forget may move.
    fn unmap(&self, target: &DmaTarget) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|k| !k.target.is(target));
    }

    fn ring_backing(&self) -> Backing {
        self.rings.clone()
    }

    fn node(&self) -> Option<u32> {
        self.node
    }

    fn accepts(&self, mapping: &Mapping) -> Result<()> {
        outlives(mapping.held_by(), self.device.load(Ordering::Relaxed))?;
        if mapping.is_stable() {
            return Ok(());
        }
        let why = if mapping.is_huge() {
            "private hugepages are freed before a killed process's NIC is stopped"
        } else {
            "the kernel moves ordinary pages while the NIC writes to them"
        };
        Err(Error::config(
            "memory for a NIC behind UIO",
            mapping.kind(),
            format!(
                "Backing::for_device(), that is Backing::HugetlbFile or Backing::HugeMemfd; {why}"
            ),
        ))
    }
}

/// Whether a dying process closes `device` before the descriptor that holds memory.
fn outlives(memory: Option<RawFd>, device: RawFd) -> Result<()> {
    match memory {
        Some(_) if device == NEVER => Err(Error::config(
            "memory for a NIC without UIO driver",
            "a nameless file",
            "a file in a hugetlbfs (mount -t hugetlbfs -o pagesize=2M none /dev/hugepages), which \
             stays when this process is killed and its NIC goes on; or bind the NIC with \
             scripts/bind",
        )),
        Some(fd) if fd > device => Err(Error::config(
            "descriptor of memory for a NIC behind UIO",
            fd,
            format!(
                "one below {device}, the NIC's, or the memory of a killed process would be freed \
                 before its NIC is stopped; open ports before other files, raise `ulimit -n`, or \
                 mount a hugetlbfs (mount -t hugetlbfs -o pagesize=2M none /dev/hugepages)"
            ),
        )),
        _ => Ok(()),
    }
}

/// The frame number in a page-map entry.
fn frame(entry: u64, vaddr: usize) -> Result<u64> {
    if entry & PRESENT == 0 {
        return Err(untranslated(vaddr, io::Error::other("the page is not in memory")));
    }
    match entry & FRAME {
        0 => Err(Error::NoPhysicalAddress),
        n => Ok(n),
    }
}

/// The address of the first page, when the pages follow each other from a chunk boundary on.
fn in_a_row(entries: impl Iterator<Item = u64>, vaddr: usize, page: usize) -> Result<Iova> {
    let mut first = None;
    for (i, entry) in entries.enumerate() {
        let n = frame(entry, vaddr + i * page)?;
        let head = *first.get_or_insert(n);
        if n != head + i as u64 {
            return Err(untranslated(vaddr, io::Error::other("its pages are not in a row")));
        }
    }
    first
        .and_then(|n| n.checked_mul(page as u64))
        .filter(|at| at.is_multiple_of(CHUNK as u64))
        .map(Iova)
        .ok_or_else(|| untranslated(vaddr, io::Error::other("it is not a whole hugepage")))
}

fn untranslated(vaddr: usize, source: io::Error) -> Error {
    Error::Memory { what: format!("find the physical address of {vaddr:#x}"), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::DmaSpace;

    fn entries(head: u64) -> Vec<u64> {
        (0..512).map(|i| PRESENT | (head + i)).collect()
    }

    fn run(entries: Vec<u64>) -> Result<Iova> {
        in_a_row(entries.into_iter(), 0x7000_0000_0000, 4096)
    }

    #[test]
    fn a_hugepage_translates_to_its_first_frame() {
        assert_eq!(run(entries(512)).unwrap(), Iova(2 << 20));
        // The other bits of an entry are not part of the address.
        let flags = 0b1110_0001_1000_0000 << 48;
        let busy = entries(0x4_0000).into_iter().map(|e| e | flags).collect();
        assert_eq!(run(busy).unwrap(), Iova(0x4000_0000));
        let top = entries((1 << 52) - 512);
        assert_eq!(run(top).unwrap(), Iova(0u64.wrapping_sub(2 << 20)));
    }

    #[test]
    fn hidden_frames_are_a_missing_privilege() {
        let hidden = vec![0x8180_0000_0000_0000; 512];
        assert!(matches!(run(hidden), Err(Error::NoPhysicalAddress)));
    }

    #[test]
    fn absent_scattered_and_misaligned_pages_are_refused() {
        let mut absent = entries(512);
        absent[200] = 0x0080_0000_0000_0000;
        let mut scattered = entries(512);
        scattered[511] += 1;
        let mut swapped = entries(512);
        swapped.swap(3, 4);
        for bad in [absent, scattered, swapped, entries(513), vec![], entries(1 << 53)] {
            assert!(matches!(run(bad), Err(Error::Memory { .. })));
        }
    }

    /// A page map in a file: sparse, and as long as the address space makes it.
    fn fixture() -> PhysicalMap {
        PhysicalMap::over(tempfile::tempfile().unwrap(), Backing::Heap)
    }

    fn put(map: &PhysicalMap, vaddr: usize, physical: u64) {
        let pages = CHUNK / map.page;
        let first = physical / map.page as u64;
        let raw: Vec<u8> =
            (0..pages as u64).flat_map(|i| (PRESENT | (first + i)).to_ne_bytes()).collect();
        map.pagemap.write_all_at(&raw, (vaddr / map.page * ENTRY) as u64).unwrap();
    }

    fn block(chunks: usize) -> Arc<RingBlock> {
        RingBlock::new(Mapping::new(&Backing::Heap, chunks * CHUNK, None).unwrap())
    }

    #[test]
    fn each_chunk_has_its_own_address_and_a_move_is_noticed() {
        let map = fixture();
        let block = block(2);
        let at = block.mapping().as_ptr().addr();
        put(&map, at, 0x1_2340_0000);
        put(&map, at + CHUNK, 0x0020_0000);
        let iovas = map.map(DmaTarget::Rings(block.clone())).unwrap();
        assert_eq!(iovas, [Iova(0x1_2340_0000), Iova(0x0020_0000)]);
        map.verify().unwrap();

        put(&map, at + CHUNK, 0x0040_0000);
        match map.verify() {
            Err(Error::PageMoved { vaddr }) => assert_eq!(vaddr, (at + CHUNK) as u64),
            other => panic!("{other:?}"),
        }
        // Memory that is gone cannot have moved.
        drop(block);
        map.verify().unwrap();
        assert!(map.known.lock().unwrap().is_empty());
    }

    #[test]
    fn memory_that_the_device_has_forgotten_may_move() {
        let map = fixture();
        let (kept, forgotten) = (block(1), block(1));
        for (block, physical) in [(&kept, 0x0020_0000), (&forgotten, 0x0040_0000)] {
            put(&map, block.mapping().as_ptr().addr(), physical);
            map.map(DmaTarget::Rings(block.clone())).unwrap();
        }
        map.unmap(&DmaTarget::Rings(forgotten.clone()));
        put(&map, forgotten.mapping().as_ptr().addr(), 0x0060_0000);
        map.verify().unwrap();
        put(&map, kept.mapping().as_ptr().addr(), 0x0080_0000);
        assert!(matches!(map.verify(), Err(Error::PageMoved { .. })));
    }

    #[test]
    fn a_page_that_vanished_counts_as_moved() {
        let map = fixture();
        let block = block(1);
        let at = block.mapping().as_ptr().addr();
        put(&map, at, 0x0020_0000);
        map.map(DmaTarget::Rings(block.clone())).unwrap();
        let frame = 0x0020_0000 / map.page as u64;
        for vanished in [0, frame] {
            let entry = (at / map.page * ENTRY) as u64;
            map.pagemap.write_all_at(&u64::to_ne_bytes(vanished), entry).unwrap();
            assert!(matches!(map.verify(), Err(Error::PageMoved { .. })));
        }
    }

    #[test]
    fn a_page_map_that_ends_early_is_an_error() {
        let map = fixture();
        let block = block(1);
        let at = block.mapping().as_ptr().addr();
        assert!(matches!(map.map(DmaTarget::Rings(block.clone())), Err(Error::Memory { .. })));
        map.pagemap.set_len((at / map.page * ENTRY) as u64 + 12).unwrap();
        assert!(matches!(map.map(DmaTarget::Rings(block)), Err(Error::Memory { .. })));
        assert!(map.known.lock().unwrap().is_empty());
    }

    #[test]
    fn the_map_keeps_no_memory_alive() {
        let map = fixture();
        for _ in 0..3 {
            let block = block(1);
            put(&map, block.mapping().as_ptr().addr(), 0x0020_0000);
            map.map(DmaTarget::Rings(block.clone())).unwrap();
            assert_eq!(Arc::strong_count(&block), 1);
        }
        assert!(map.known.lock().unwrap().len() <= 1);
    }

    #[test]
    fn memory_mapped_again_is_known_once() {
        let map = fixture();
        let block = block(1);
        let at = block.mapping().as_ptr().addr();
        for physical in [0x0020_0000, 0x0040_0000] {
            put(&map, at, physical);
            let iovas = map.map(DmaTarget::Rings(block.clone())).unwrap();
            assert_eq!(iovas, [Iova(physical)]);
            map.verify().unwrap();
            assert_eq!(map.known.lock().unwrap().len(), 1);
        }
    }

    #[test]
    fn memory_that_moves_or_dies_early_is_refused_before_use() {
        let map = Arc::new(fixture());
        let heap = Mapping::new(&Backing::Heap, 1, None).unwrap();
        let error = map.accepts(&heap).unwrap_err().to_string();
        assert!(error.contains("heap") && error.contains("for_device"), "{error}");
        // And so through a device's address space.
        assert!(matches!(DmaSpace::new(map).rings(&[64]), Err(Error::Config { .. })));
    }

    #[test]
    fn nameless_memory_is_closed_after_its_nic_or_refused() {
        outlives(Some(9), 512).unwrap();
        outlives(None, 3).unwrap();
        let error = outlives(Some(513), 512).unwrap_err().to_string();
        assert!(error.contains("513") && error.contains("mount -t hugetlbfs"), "{error}");
        // Until a device says what its descriptor is, any will do.
        let map = fixture();
        assert_eq!(map.device.load(Ordering::Relaxed), RawFd::MAX);
        map.released_after(512);
        if let Ok(mapping) = Mapping::new(&Backing::HugeMemfd, 1, None) {
            map.accepts(&mapping).unwrap();
            assert!(mapping.held_by().is_some_and(|fd| fd < 512));
            map.released_after(mapping.held_by().unwrap() - 1);
            assert!(matches!(map.accepts(&mapping), Err(Error::Config { .. })));
        }
    }

    #[test]
    fn this_process_sees_addresses_or_is_told_why_not() {
        let map = match PhysicalMap::new(None) {
            Ok(map) => map,
            Err(Error::NoPhysicalAddress) => return,
            Err(other) => panic!("{other}"),
        };
        let mapping = match Mapping::new(&Backing::HugeMemfd, 2 * CHUNK, None) {
            Ok(m) => m,
            Err(Error::HugepagesExhausted { .. } | Error::Config { .. }) => return,
            Err(other) => panic!("{other}"),
        };
        map.accepts(&mapping).unwrap();
        let iovas = map.map(DmaTarget::Rings(RingBlock::new(mapping))).unwrap();
        assert_eq!(iovas.len(), 2);
        assert_ne!(iovas[0], iovas[1]);
        map.verify().unwrap();
    }
}
