//! A device that is taken from a running program, and what is left of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use barewire::Error;
use barewire::mmio::{Bar, Doorbell, MappedBar};
use barewire::port::Host;

use crate::guest::{GENERIC, Guest, Nic, comes_true, free_pages, kind, memory_files, put};
use crate::memory::owner;
use crate::{Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("lost::registers_that_the_kernel_revoked_read_all_ones", revoked),
    test("lost::a_device_bound_again_is_another_one", bound_again),
    test("lost::so_is_one_without_an_interrupt", function_bound_again).kernel().only_igb(),
    test("lost::a_removed_device_is_let_go", removed),
    test("lost::an_owner_that_is_killed_is_taken_over_while_it_dies", dying).limit(60),
    test("lost::a_tool_whose_nic_is_taken_says_so_and_ends", tool_loses_its_nic).limit(60),
    test("lost::a_tool_whose_nic_loses_bus_mastering_says_so_and_ends", tool_loses_the_bus),
];

const STATUS: u32 = 0x08;

/// The registers as another program sees them; no kernel driver may own them.
fn other_eyes(nic: &Nic) -> MappedBar {
    let file = fs::File::options().read(true).write(true).open(nic.path("resource0")).unwrap();
    MappedBar::new(memmap2::MmapRaw::map_raw(&file).unwrap(), "other").unwrap()
}

/// Nobody asks whether the device is still ours before the registers are touched, from two
/// threads.
fn revoked(guest: &Guest) {
    let nic = &guest.nics[1];
    nic.bind(GENERIC);
    let device = nic.open().unwrap();
    device.set_bus_master(true).unwrap();
    let bar = device.bar();
    let bells: Vec<_> = (0..2).map(|_| bar.doorbell(kind().scratch)).collect();
    assert_ne!(bar.read32(STATUS), u32::MAX);
    nic.unbind();
    nic.bind(kind().driver);
    std::thread::scope(|s| {
        for bell in &mut bells.into_iter() {
            s.spawn(move || (0..1000).for_each(|n| bell.ring(n)));
        }
    });
    assert_eq!(bar.read32(STATUS), u32::MAX);
    let command = nic.command();
    let gone = device.check().unwrap_err();
    assert!(matches!(gone, Error::Gone { .. }), "{gone}");
    assert!(gone.to_string().contains("unbound from uio_pci_generic"), "{gone}");
    drop((device, bar));
    assert_eq!(nic.command(), command);
    // It serves whoever has it now, and us again afterwards.
    nic.interface();
    nic.bind(GENERIC);
    assert_ne!(nic.open().unwrap().bar().read32(STATUS), u32::MAX);
}

fn is_another(nic: &Nic) {
    nic.bind(GENERIC);
    let device = nic.open().unwrap();
    let node = nic.node();
    let scratch = kind().scratch;
    let (bar, bell) = (device.bar(), device.bar().doorbell(scratch));
    bell.ring(1);
    nic.unbind();
    nic.bind(GENERIC);
    assert_eq!(nic.node(), node, "the same number");
    for _ in 0..2 {
        let gone = device.check().unwrap_err();
        assert!(gone.to_string().contains("for a while"), "{gone}");
    }
    let others = other_eyes(nic);
    let is = others.read32(scratch);
    bell.ring(!is);
    bar.write32(scratch, !is);
    assert_eq!((bar.read32(STATUS), others.read32(scratch)), (u32::MAX, is), "not ours to touch");
    drop(others);
    drop(device);
    drop((bar, bell));
    assert_ne!(nic.open().unwrap().bar().read32(STATUS), u32::MAX);
}

fn bound_again(guest: &Guest) {
    is_another(&guest.nics[1]);
}

/// Its node is in error all the time, so that does not tell.
fn function_bound_again(guest: &Guest) {
    let physical = &guest.nics[1];
    put(physical.path("sriov_numvfs"), "1").unwrap();
    let link = fs::read_link(physical.path("virtfn0")).unwrap();
    is_another(&Nic(link.file_name().unwrap().to_string_lossy().into_owned()));
}

fn removed(guest: &Guest) {
    let nic = &guest.nics[1];
    nic.bind(GENERIC);
    let device = nic.open().unwrap();
    device.set_bus_master(true).unwrap();
    put(nic.path("remove"), "1").unwrap();
    let gone = device.check().unwrap_err();
    assert!(gone.to_string().contains("was removed"), "{gone}");
    assert_eq!(device.bar().read32(STATUS), u32::MAX);
    assert!(matches!(device.set_bus_master(false), Err(Error::Gone { .. })));
    drop(device);
    put("/sys/bus/pci/rescan", "1").unwrap();
    assert!(Path::new("/sys/bus/pci/devices").join(&nic.0).exists());
}

/// Nobody waits for the dead; the next start does.
fn dying(guest: &Guest) {
    let nic = &guest.nics[1];
    nic.bind(GENERIC);
    let before = free_pages();
    let mut dead = Vec::new();
    for round in 0..20 {
        let mut child = owner(nic);
        child.kill().unwrap();
        let taken = comes_true(Duration::from_secs(5), || match nic.open() {
            Ok(device) => {
                assert!(!nic.mastering());
                assert_eq!((free_pages(), memory_files().len()), (before, 0), "round {round}");
                // Whatever closes late must not stop the new owner.
                device.set_bus_master(true).unwrap();
                device.check().unwrap();
                std::thread::sleep(Duration::from_millis(20));
                device.check().unwrap();
                true
            }
            Err(Error::Busy { .. }) => false,
            Err(other) => panic!("{other}"),
        });
        assert!(taken, "round {round}");
        dead.push(child);
    }
    dead.iter_mut().for_each(|child| drop(child.wait()));
}

/// What `pktgen` says at its end, from one NIC to the other, when `b` is meddled with meanwhile.
fn meddled(guest: &Guest, meddle: impl FnOnce(&Nic)) -> String {
    let [a, b, ..] = &guest.nics[..] else { unreachable!() };
    a.bind(GENERIC);
    b.bind(GENERIC);
    let child = Command::new("/bin/bw-pktgen")
        .args([&a.0, &b.0, "--secs", "100", "--rate", "20kpps", "--quiet"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(comes_true(Duration::from_secs(10), || a.mastering() && b.mastering()));
    std::thread::sleep(Duration::from_secs(2));
    let start = Instant::now();
    meddle(b);
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{}: {said}", out.status);
    assert!(start.elapsed() < Duration::from_secs(5), "{said}");
    assert!(!a.mastering(), "the other port is stopped in order");
    assert!(said.contains(&b.0), "{said}");
    said
}

fn tool_loses_its_nic(guest: &Guest) {
    let before = free_pages();
    for driver in ["", kind().driver] {
        let said = meddled(guest, |nic| {
            nic.unbind();
            if !driver.is_empty() {
                nic.bind(driver);
            }
        });
        assert!(said.contains("is gone") && said.contains("unbound"), "{said}");
        // Nobody could say whether it still wrote, so its memory is the next start's to free.
        assert!(!memory_files().is_empty());
        drop(guest.nics[0].open().unwrap());
        assert_eq!((free_pages(), memory_files().len()), (before, 0));
    }
    guest.nics[1].interface();
}

fn tool_loses_the_bus(guest: &Guest) {
    let before = free_pages();
    let said = meddled(guest, |nic| drop(fs::File::open(nic.node()).unwrap()));
    assert!(said.contains("bus mastering") && said.contains("stop that process"), "{said}");
    assert!(comes_true(Duration::from_secs(10), || free_pages() == before));
    assert_eq!(memory_files().len(), 0, "its end was orderly");
}
