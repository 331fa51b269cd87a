//! A device that is taken away, stops answering, loses bus mastering, or whose memory moves.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::sync::Arc;
use std::time::Duration;

use super::fake::{ADDR, Fake, Terminal};
use crate::error::Error;
use crate::mem::{Backing, PhysicalMap};
use crate::mmio::{Bar, Doorbell};
use crate::port::Host;

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
fn unbinding_and_removal_are_noticed_and_final() {
    type Lose = fn(&Fake);
    let cases: [(&str, Lose, Lose); 5] = [
        ("unbound from uio_pci_generic", |f| f.bind("ixgbe"), |f| f.bind("uio_pci_generic")),
        ("unbound from uio_pci_generic", |f| f.bind(""), |f| f.bind("uio_pci_generic")),
        ("for a while", |f| f.renumber("uio3", "uio4"), |f| f.renumber("uio4", "uio3")),
        ("for a while", Fake::register_again, |_| ()),
        (
            "removed",
            |f| fs::rename(f.dir(), f.dir().with_extension("1")).unwrap(),
            |f| fs::rename(f.dir().with_extension("1"), f.dir()).unwrap(),
        ),
    ];
    for (named, lose, undo) in cases {
        let fake = Fake::new("uio_pci_generic");
        let device = fake.open().unwrap();
        device.set_bus_master(true).unwrap();
        let (bar, bell) = (device.bar(), device.bar().doorbell(0x18));
        bar.write32(0x18, 1);
        lose(&fake);
        for again in [false, true] {
            let gone = |r| matches!(r, Err(Error::Gone { device, how }) if device == ADDR && how.contains(named));
            assert!(gone(device.check()), "{named} {again}");
            assert!(gone(device.set_bus_master(false)), "{named} {again}");
            assert!(gone(device.set_bus_master(true)), "{named} {again}");
            // What comes back is another registration: the node stays dead.
            if !again {
                undo(&fake);
            }
        }
        bell.ring(2);
        bar.write32(0x18, 3);
        assert_eq!(bar.read32(0x18), u32::MAX, "{named}");
        assert_eq!(fake.register(0x18), 1, "{named}: nothing reaches the device any more");
        drop(device);
        assert_eq!(fake.config(4), 0x07, "{named}: not ours to change");
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
fn dma_is_stopped_even_when_it_cannot_be_seen_whose_the_device_is() {
    let fake = Fake::new("uio_pci_generic");
    for last in [false, true] {
        let device = fake.open().unwrap();
        device.set_bus_master(true).unwrap();
        // What stands in for having no descriptor left.
        fs::rename(fake.dir().join("uio"), fake.dir().join("hidden")).unwrap();
        fake.write("uio", "");
        assert!(matches!(device.check(), Err(Error::Io { .. })));
        assert!(matches!(device.set_bus_master(true), Err(Error::Io { .. })));
        assert_eq!(fake.config(4), 0x07);
        if last {
            drop(device);
            assert_eq!(fake.config(4), 0x03);
            return;
        }
        device.set_bus_master(false).unwrap();
        assert_eq!(fake.config(4), 0x03);
        fs::remove_file(fake.dir().join("uio")).unwrap();
        fs::rename(fake.dir().join("hidden"), fake.dir().join("uio")).unwrap();
        device.check().unwrap();
    }
}

#[test]
fn a_moved_page_stops_dma() {
    use crate::mem::{CHUNK, DmaMap, DmaTarget, Geometry, SlotMem};

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
    // What the error's text says to do: another start tells the device the new address.
    assert!(device.check().unwrap_err().to_string().contains("start it again"));
    device.set_bus_master(false).unwrap();
    device.dma().map(DmaTarget::Slots(memory.clone())).unwrap();
    device.set_bus_master(true).unwrap();
    device.check().unwrap();
    assert_eq!(fake.config(4), 0x07);
}

#[test]
fn dma_never_starts_to_a_page_that_moved() {
    use crate::mem::{CHUNK, DmaMap, DmaTarget, Geometry, SlotMem, page_size};

    let memory = SlotMem::new(Geometry::new(128, 2048).unwrap(), 1, &Backing::Heap, None).unwrap();
    let first = (memory.mapping().as_ptr().addr() / page_size() * 8) as u64;
    let pagemap = tempfile::tempfile().unwrap();
    for page in 0..(CHUNK / page_size()) as u64 {
        pagemap.write_all_at(&(1 << 63 | (512 + page)).to_ne_bytes(), first + page * 8).unwrap();
    }
    let fake = Fake::new("uio_pci_generic");
    let map = PhysicalMap::over(pagemap.try_clone().unwrap(), Backing::Heap);
    let device = fake.open_with(map).unwrap();
    device.dma().map(DmaTarget::Slots(memory.clone())).unwrap();
    pagemap.write_all_at(&(1u64 << 63 | 99).to_ne_bytes(), first).unwrap();
    let refused = device.set_bus_master(true).unwrap_err();
    assert!(matches!(refused, Error::PageMoved { .. }), "{refused}");
    assert_eq!(fake.config(4), 0x03);
    // Turning it off never depends on memory.
    device.set_bus_master(false).unwrap();
    // Memory that is no longer used does not matter.
    drop(memory);
    device.set_bus_master(true).unwrap();
}

#[test]
fn a_revoked_mapping_reads_as_a_device_that_is_gone() {
    let fake = Fake::new("uio_pci_generic");
    let device = fake.open().unwrap();
    let (bar, bell) = (device.bar(), device.bar().doorbell(0x18));
    // The kernel does the same when another driver claims the device.
    fs::File::options().write(true).open(fake.dir().join("resource0")).unwrap().set_len(0).unwrap();
    bell.ring(1);
    assert_eq!(bar.read32(0x18), u32::MAX);
    fake.bind("ixgbe");
    assert!(matches!(device.check(), Err(Error::Gone { .. })));
}
