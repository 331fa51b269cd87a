//! `igb_uio`, built from Debian's source: another owner of bus mastering, another way to mask.

use std::fs::{self, File};
use std::time::Duration;

use barewire::Error;
use barewire::mmio::Bar;
use barewire::port::Host;
use barewire::uio::UioDriver;

use crate::guest::{Causes, Guest, Nic, kind, sh};
use crate::{Boot, Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("igb_uio::one_vector_is_waited_on_and_unmasked_by_writing", interrupt),
    test("igb_uio::all_memory_bars_are_mapped", maps),
    test("igb_uio::bus_mastering_is_ours_from_open_to_close", mastering),
    test("igb_uio::an_unsigned_module_is_refused_under_lockdown", lockdown).boot(Boot::Lockdown),
];

const IGB_UIO: &str = "igb_uio";
const SECOND: Duration = Duration::from_secs(1);

/// A NIC bound to it.
fn bound(guest: &Guest) -> &Nic {
    let (done, text) = sh("modprobe igb_uio");
    assert!(done, "{text}");
    let nic = &guest.nics[1];
    nic.bind(IGB_UIO);
    nic
}

/// The line of a UIO device's interrupt in /proc/interrupts.
fn line() -> Option<String> {
    let text = fs::read_to_string("/proc/interrupts").unwrap();
    text.lines().find(|l| l.contains(IGB_UIO)).map(str::to_owned)
}

fn interrupt(guest: &Guest) {
    let nic = bound(guest);
    assert_eq!(line(), None, "the vector comes with the open");
    let device = nic.open().unwrap();
    assert_eq!(device.driver(), UioDriver::IgbUio);
    device.interrupt().unwrap();
    let vector = line().expect("a vector");
    assert!(vector.contains("MSI"), "{vector}");
    // Message interrupts are the device's own writes to memory.
    device.set_bus_master(true).unwrap();

    let (bar, Causes { read, set, unmask, mask, one }) = (device.bar(), &kind().causes);
    bar.write32(*mask, u32::MAX);
    bar.read32(*read);
    device.rearm().unwrap();
    bar.write32(*unmask, *one);
    assert_eq!(device.wait(SECOND / 10).unwrap(), None);
    bar.write32(*set, *one);
    let first = device.wait(SECOND).unwrap().expect("an interrupt");
    assert_ne!(bar.read32(*read) & one, 0);

    // A cause that is raised while the vector is masked waits there.
    device.disarm().unwrap();
    bar.write32(*set, *one);
    assert_eq!(device.wait(SECOND / 10).unwrap(), None);
    device.rearm().unwrap();
    assert_eq!(device.wait(SECOND).unwrap(), Some(first.wrapping_add(1)));
    bar.write32(*mask, u32::MAX);
    drop(device);
    assert_eq!(line(), None, "the vector goes with the last close");
}

fn maps(guest: &Guest) {
    let nic = bound(guest);
    let dir = nic.path("uio").join(nic.node().file_name().unwrap()).join("maps");
    let resources = nic.text("resource");
    let mut found = Vec::new();
    for entry in fs::read_dir(&dir).unwrap() {
        let map = entry.unwrap().path();
        let read = |name| fs::read_to_string(map.join(name)).unwrap().trim().to_owned();
        let name = read("name");
        let bar: usize = name.strip_prefix("BAR").expect(&name).parse().unwrap();
        let line = resources.lines().nth(bar).unwrap();
        assert!(line.starts_with(&read("addr")), "{name} at {} is not {line}", read("addr"));
        found.push(bar);
    }
    found.sort_unstable();
    assert_eq!(found, kind().bars);
    // What a NIC behind it is driven through is the same file as with uio_pci_generic.
    let device = nic.open().unwrap();
    assert_ne!(device.bar().read32(0x08), u32::MAX);
}

fn mastering(guest: &Guest) {
    let nic = bound(guest);
    assert!(nic.mastering(), "it turns it on when it is bound");
    let device = nic.open().unwrap();
    assert!(!nic.mastering(), "and we turn it off until there is something to do");
    device.set_bus_master(true).unwrap();
    drop(File::open(nic.node()).unwrap());
    assert!(nic.mastering(), "a second open and close changes nothing");
    device.check().unwrap();
    assert!(matches!(nic.open(), Err(Error::Busy { .. })));
    drop(device);
    assert!(!nic.mastering());
    nic.bind(kind().driver);
}

fn lockdown(_: &Guest) {
    let (done, text) = sh("modprobe igb_uio");
    assert!(!done, "{text}");
}
