//! What the UIO backend relies on, and what it makes of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use barewire::Error;
use barewire::mmio::Bar;
use barewire::port::Host;
use barewire::uio::UioDevice;

use crate::guest::{Causes, GENERIC, Guest, Nic, comes_true, kind};
use crate::{Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("uio::the_node_reads_four_bytes_and_takes_no_write", reads_and_writes),
    test("uio::an_interrupt_wakes_and_the_cause_is_cleared_first", interrupt),
    test("uio::a_second_open_and_close_is_noticed", second_close),
    test("uio::an_unbound_device_is_left_alone", unbound),
    test("uio::a_second_owner_is_refused", second_owner),
];

const STATUS: u32 = 0x08;
const SECOND: Duration = Duration::from_secs(1);

fn node(nic: &Nic) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(nic.node())
        .unwrap()
}

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

fn reads_and_writes(guest: &Guest) {
    let nic = &guest.nics[1];
    nic.bind(GENERIC);
    let mut node = node(nic);
    for size in [0, 1, 2, 8] {
        // Not through `read` for 0 bytes, which std would not pass on.
        let mut bytes = [0u8; 8];
        // SAFETY: the buffer is longer than `size`.
        let n = unsafe { libc::read(node.as_raw_fd(), bytes.as_mut_ptr().cast(), size) };
        assert_eq!((n, io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EINVAL)));
    }
    assert_eq!(errno(node.read(&mut [0; 4])), libc::EAGAIN);
    assert_eq!(errno(node.write(&[1, 0, 0, 0])), libc::ENOSYS);
    for size in [1, 8] {
        assert_eq!(errno(node.write(&[0; 8][..size])), libc::EINVAL);
    }
}

/// A device with its interrupt causes cleared and one of them unmasked.
fn armed(nic: &Nic) -> UioDevice {
    nic.bind(GENERIC);
    let device = nic.open().unwrap();
    let (bar, Causes { read, unmask, mask, one, .. }) = (device.bar(), &kind().causes);
    bar.write32(*mask, u32::MAX);
    bar.read32(*read);
    device.rearm().unwrap();
    assert_eq!(device.wait(Duration::ZERO).unwrap(), None);
    bar.write32(*unmask, *one);
    device
}

fn interrupt(guest: &Guest) {
    let nic = &guest.nics[1];
    let device = armed(nic);
    let (bar, Causes { read, set, mask, one, .. }) = (device.bar(), &kind().causes);
    let disabled = || nic.command() & 0x400 != 0;
    assert!(!disabled());

    bar.write32(*set, *one);
    let first = device.wait(SECOND).unwrap().expect("an interrupt");
    assert!(disabled(), "the kernel masks it when it comes");
    assert_eq!(device.wait(SECOND / 10).unwrap(), None, "and it comes once");

    // The wrong order: let it through while the cause is there, and it comes again.
    device.rearm().unwrap();
    assert_eq!(device.wait(SECOND).unwrap(), Some(first.wrapping_add(1)));
    assert!(disabled());

    // The right one.
    assert_ne!(bar.read32(*read) & one, 0);
    device.rearm().unwrap();
    assert_eq!(device.wait(SECOND / 10).unwrap(), None);
    assert!(!disabled());

    // Held back, it waits.
    device.disarm().unwrap();
    bar.write32(*set, *one);
    assert_eq!(device.wait(SECOND / 10).unwrap(), None);
    device.rearm().unwrap();
    assert_eq!(device.wait(SECOND).unwrap(), Some(first.wrapping_add(2)));
    bar.write32(*mask, u32::MAX);
}

fn second_close(guest: &Guest) {
    let nic = &guest.nics[1];
    nic.bind(GENERIC);
    let device = nic.open().unwrap();
    device.set_bus_master(true).unwrap();
    device.check().unwrap();
    assert!(nic.mastering());
    drop(File::open(nic.node()).unwrap());
    assert!(!nic.mastering(), "uio_pci_generic turns it off at any close");
    let noticed = device.check().unwrap_err();
    assert!(matches!(noticed, Error::BusMasterLost { .. }), "{noticed}");
    assert!(noticed.to_string().contains("opened and closed"), "{noticed}");
    // And put right.
    device.set_bus_master(true).unwrap();
    device.check().unwrap();
    drop(device);
    assert!(!nic.mastering());
}

fn unbound(guest: &Guest) {
    let nic = &guest.nics[1];
    let device = armed(nic);
    device.set_bus_master(true).unwrap();
    assert_ne!(device.bar().read32(STATUS), u32::MAX);
    let waiter = std::thread::scope(|s| {
        let waiting = s.spawn(|| {
            let start = Instant::now();
            (device.wait(10 * SECOND), start.elapsed())
        });
        std::thread::sleep(SECOND / 5);
        nic.unbind();
        waiting.join().unwrap()
    });
    let gone = waiter.0.unwrap_err();
    assert!(matches!(gone, Error::Gone { .. }), "{gone}");
    assert!(gone.to_string().contains("unbound from uio_pci_generic"), "{gone}");
    assert!(waiter.1 < 5 * SECOND, "a sleeper is woken");
    // It stays so, and nothing of it reaches the device any more.
    for result in [device.check(), device.rearm(), device.set_bus_master(true)] {
        assert!(matches!(result, Err(Error::Gone { .. })), "{result:?}");
    }
    assert!(matches!(device.wait(SECOND), Err(Error::Gone { .. })));

    nic.bind(kind().driver);
    let before = nic.command();
    assert!(matches!(device.check(), Err(Error::Gone { .. })));
    drop(device);
    assert_eq!(nic.command(), before, "the kernel's driver has it now");
    nic.interface();
    assert!(comes_true(10 * SECOND, || nic.driver().as_deref() == Some(kind().driver)));
}

fn second_owner(guest: &Guest) {
    let nic = &guest.nics[1];
    nic.bind(GENERIC);
    let device = nic.open().unwrap();
    device.set_bus_master(true).unwrap();
    // Locks are per open file, so this process will do for another.
    let refused = nic.open().unwrap_err();
    assert!(matches!(refused, Error::Busy { .. }), "{refused}");
    assert!(nic.mastering(), "asking must not stop the owner");
    device.check().unwrap();
    drop(device);
    drop(nic.open().unwrap());
}
