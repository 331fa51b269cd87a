//! Devices that are bound to nothing.

use super::*;
use crate::mem::{DmaMap, Mapping, PhysicalMap};
use crate::port::Host;

/// An unbound device, silent, in a directory with nothing but what any device has.
fn unbound() -> Fake {
    let fake = Fake::new("");
    fs::remove_dir_all(fake.dir().join("uio")).unwrap();
    fake.set_config(4, 0x03);
    fake
}

#[test]
fn an_unbound_device_is_polled() {
    let fake = unbound();
    for name in ["resource", "numa_node"] {
        fs::remove_file(fake.dir().join(name)).unwrap();
    }
    let config = fs::read(fake.dir().join("config")).unwrap();
    fs::write(fake.dir().join("config"), &config[..64]).unwrap();
    let device = fake.open().unwrap();
    assert_eq!(device.driver(), UioDriver::Absent);
    assert_eq!(device.numa_node(), None);
    device.bar().write32(0x8, 7);
    assert_eq!(fake.register(8), 7);
    device.set_bus_master(true).unwrap();
    device.check().unwrap();
    assert_eq!(fake.config(4), 0x07);
    let why = device.interrupt().unwrap_err().to_string();
    assert!(why.contains("scripts/bind uio") && why.contains("use polling"), "{why}");
    for result in [device.wait(Duration::MAX).map(|_| ()), device.rearm(), device.disarm()] {
        assert!(matches!(result, Err(Error::NoInterrupt { .. })));
    }
    assert_eq!(poll(device.as_fd(), Duration::ZERO).unwrap(), 0, "nothing ever happens on it");
    assert!(matches!(fake.open(), Err(Error::Busy { .. })));
    drop(device);
    assert_eq!(fake.config(4), 0x03);
    assert_eq!(fake.held(), 0);
}

#[test]
fn what_may_be_left_running_is_silenced() {
    let fake = unbound();
    fake.set_config(4, 0x07);
    drop(fake.open().unwrap());
    assert_eq!(fake.config(4), 0x03);
    fake.group("DMA\n");
    assert!(matches!(fake.open(), Err(Error::IommuTranslates { .. })));
}

#[test]
fn a_driver_that_takes_it_is_noticed() {
    let fake = unbound();
    let device = fake.open().unwrap();
    device.set_bus_master(true).unwrap();
    fake.bind("ixgbe");
    let gone = device.check().unwrap_err();
    assert!(matches!(&gone, Error::Gone { how, .. } if how.contains("ixgbe")), "{gone}");
    drop(device);
    assert_eq!(fake.config(4), 0x07, "that driver's bus mastering");
}

#[test]
fn its_memory_must_outlive_a_killed_process() {
    let fake = unbound();
    let device = fake.open().unwrap();
    let dma = device.dma();
    // Where there are hugepages.
    if let Ok(mapping) = Mapping::new(&Backing::HugeMemfd, 1, None) {
        let refused = dma.accepts(&mapping).unwrap_err().to_string();
        assert!(refused.contains("hugetlbfs") && refused.contains("scripts/bind"), "{refused}");
    }
    let nameless = Mapping::new(&Backing::Memfd, 1, None).unwrap();
    assert!(dma.accepts(&nameless).is_err());
}

/// Nobody silenced the other device of a killed process, which may have been bound since.
#[test]
fn memory_of_dead_owners_stays_while_another_device_may_write_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let stale = dir.path().join("barewire-1-1-1");
    fs::write(&stale, "").unwrap();
    let map = || {
        let rings = Backing::HugetlbFile { dir: dir.path().to_owned() };
        PhysicalMap::over(tempfile::tempfile().unwrap(), rings)
    };
    let fake = unbound();
    for driver in ["", "uio_pci_generic"] {
        let other = fake.neighbour(driver);
        drop(fake.open_with(map()).unwrap());
        assert!(stale.exists(), "{driver}");
        // A living owner has silenced it, and needs bus mastering for itself.
        let file = File::options().read(true).write(true).open(other.join("resource0")).unwrap();
        assert!(crate::mem::try_lock(&file).unwrap());
        drop(fake.open_with(map()).unwrap());
        assert!(!stale.exists(), "{driver}");
        fs::write(&stale, "").unwrap();
        drop(file);
        fs::remove_dir_all(other).unwrap();
    }
    for driver in ["ixgbe", "igb_uio"] {
        let other = fake.neighbour(driver);
        drop(fake.open_with(map()).unwrap());
        assert!(!stale.exists(), "{driver}");
        fs::write(&stale, "").unwrap();
        fs::remove_dir_all(other).unwrap();
    }
}
