//! Systems and devices on which UIO cannot work, and what the user is told.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use barewire::Error;
use barewire::mmio::Bar;
use barewire::pci::PciDevice;

use crate::guest::{GENERIC, Guest, Nic, comes_true, kind, put};
use crate::{Boot, Test, test, traffic};

pub(crate) const TESTS: &[Test] = &[
    test("refusals::a_function_without_an_interrupt_is_polled", no_interrupt).kernel().only_igb(),
    test("refusals::a_kernel_driver_keeps_the_device", not_bound).kernel(),
    test("refusals::lockdown_is_named", lockdown).boot(Boot::Lockdown),
    test("refusals::a_translating_iommu_is_named_and_identity_helps", iommu).boot(Boot::Iommu),
];

const SECOND: Duration = Duration::from_secs(1);

/// A virtual function of the 82576 has no INTx pin.
fn no_interrupt(guest: &Guest) {
    let physical = &guest.nics[1];
    put(physical.path("sriov_numvfs"), "1").unwrap();
    let link = fs::read_link(physical.path("virtfn0")).unwrap();
    let virtual_function = Nic(link.file_name().unwrap().to_string_lossy().into_owned());
    assert_eq!(virtual_function.text("device"), "0x10ca");
    virtual_function.bind(GENERIC);
    let device = virtual_function.open().unwrap();
    let refused = device.interrupt().unwrap_err();
    assert!(matches!(refused, Error::NoInterrupt { .. }), "{refused}");
    assert!(refused.to_string().contains("use polling"), "{refused}");
    // The node is in error all the time; who waited on it would spin.
    let start = Instant::now();
    for result in [device.wait(SECOND).map(drop), device.rearm(), device.disarm()] {
        assert!(matches!(result, Err(Error::NoInterrupt { .. })), "{result:?}");
    }
    assert!(start.elapsed() < SECOND / 2);
    // Its registers are there (VTStatus, 82576 datasheet 8.27).
    assert_ne!(device.bar().read32(0x08), u32::MAX);
}

fn not_bound(guest: &Guest) {
    let nic = &guest.nics[1];
    let refused = nic.open().unwrap_err();
    let Error::NotBound { driver, .. } = &refused else { panic!("{refused}") };
    assert_eq!(driver, kind().driver);
    nic.unbind();
    // Without any it can be had, for polling.
    let device = nic.open().unwrap();
    assert!(matches!(device.interrupt(), Err(Error::NoInterrupt { .. })));
    assert!(!nic.mastering());
    drop(device);
    // The guard of last resort: a driver that owns the region keeps others from mapping it.
    nic.bind(kind().driver);
    let file = fs::OpenOptions::new().read(true).write(true).open(nic.path("resource0")).unwrap();
    let mapped = memmap2::MmapOptions::new().len(4096).map_raw(&file);
    assert_eq!(mapped.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    assert!(nic.mastering(), "the kernel's driver goes on");
    assert!(comes_true(10 * SECOND, || !nic.interface().is_empty()));
}

fn lockdown(guest: &Guest) {
    let nic = &guest.nics[1];
    nic.bind(GENERIC);
    let device = PciDevice::find(Path::new("/sys"), nic.addr()).unwrap();
    assert_eq!(device.locked_down(), Some(true));
    let written = device.config().unwrap().set_bus_master(true).unwrap_err();
    for refused in [nic.open().unwrap_err(), written] {
        assert!(matches!(refused, Error::Lockdown { .. }), "{refused}");
        let text = refused.to_string();
        assert!(text.contains("Secure Boot") && text.contains("vfio-pci"), "{text}");
    }
    assert!(!nic.mastering());
}

fn iommu(guest: &Guest) {
    let nic = &guest.nics[1];
    nic.bind(GENERIC);
    let refused = nic.open().unwrap_err();
    match &refused {
        Error::IommuTranslates { group, .. } => {
            assert!(kind_of(nic).contains(&format!("/{group}/")), "{refused}");
        }
        other => panic!("{other}"),
    }
    let text = refused.to_string();
    assert!(text.contains("identity") && text.contains("iommu=pt"), "{text}");
    assert!(!nic.mastering(), "refused before anything is touched");

    // What the message says, for both ends of a wire, and DMA works.
    assert!(text.contains(&kind_of(nic)), "{text}");
    for nic in &guest.nics[..2] {
        nic.unbind();
        put(kind_of(nic), "identity").unwrap();
        nic.bind(GENERIC);
    }
    traffic::some(guest);
    for nic in &guest.nics[..2] {
        nic.unbind();
        put(kind_of(nic), "auto").unwrap();
    }
}

/// The file that says how its IOMMU group is translated.
fn kind_of(nic: &Nic) -> String {
    let link = fs::read_link(nic.path("iommu_group")).expect("an IOMMU group");
    let group = link.file_name().unwrap().to_string_lossy().into_owned();
    format!("/sys/kernel/iommu_groups/{group}/type")
}
