//! Interrupts: eventfds of the client's, told and masked.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use barewire::drivers::sim::{Family, Model};

use crate::client::{
    CONFIG, Client, DATA_BOOL, DATA_EVENTFD, DATA_NONE, INTX, MASK, MSI, MSIX, TRIGGER, UNMASK,
};
use crate::guest::{Guest, frame};
use crate::kit::{self, on_all};
use crate::served::{Served, until};

on_all! {
    a_vector_of_msix_fires,
    a_vector_without_an_eventfd_is_told_when_it_gets_one,
    msi_fires,
    intx_fires_once_until_it_is_unmasked,
    the_command_register_disables_intx,
}

#[derive(Debug)]
struct Eventfd(File);

impl Eventfd {
    fn new() -> Self {
        // SAFETY: takes numbers alone.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        assert!(fd >= 0, "an eventfd");
        // SAFETY: it was just made, and nobody else knows it.
        Self(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// How often it was raised since the last call.
    fn take(&self) -> u64 {
        let mut count = [0; 8];
        (&self.0).read_exact(&mut count).map_or(0, |()| u64::from_ne_bytes(count))
    }

    fn waits(&self) {
        until("an interrupt", || (self.take() > 0).then_some(()));
    }
}

/// A chip's interrupt registers, and what a test needs of them.
struct Registers {
    /// Cause, cause set, mask set, mask clear.
    icr: u32,
    ics: u32,
    ims: u32,
    imc: u32,
    family: Family,
}

fn registers(chip: Model) -> Registers {
    match chip.family() {
        // EICR, EICS, EIMS, EIMC (82599 datasheet 8.2.3.5)
        Family::Ixgbe => {
            Registers { icr: 0x800, ics: 0x808, ims: 0x880, imc: 0x888, family: Family::Ixgbe }
        }
        // ICR, ICS, IMS, IMC (82576 datasheet 8.8)
        Family::Igb => {
            Registers { icr: 0x1500, ics: 0x1504, ims: 0x1508, imc: 0x150c, family: Family::Igb }
        }
    }
}

impl Registers {
    /// A cause of no particular meaning to any of the tests: queue 0's on the 82599, "receiver
    /// descriptor written back" on the 82576.
    fn cause(&self) -> u32 {
        match self.family {
            Family::Ixgbe => 1,
            Family::Igb => 1 << 7,
        }
    }

    /// No vector has a cause any more: EICR.
    fn clear_vectors(&self, client: &Client) {
        client.write32(if self.family == Family::Igb { 0x1580 } else { 0x800 }, u32::MAX);
    }

    /// Sets up vector `n` for software's own triggers with MSI-X. Returns what triggers it: the
    /// register and the bit.
    fn vector(&self, client: &Client, n: u32) -> (u32, u32) {
        match self.family {
            Family::Ixgbe => {
                // GPIE: multiple vectors, EIAME, PBA support (8.2.3.5.18).
                client.write32(0x898, 1 << 4 | 1 << 30 | 1 << 31);
                client.write32(0x880, 1 << n);
                (0x808, 1 << n)
            }
            Family::Igb => {
                client.write32(0x1514, 1 << 4 | 1 << 30 | 1 << 31);
                // EIMS, EICS (8.8.3, 8.8.4)
                client.write32(0x1524, 1 << n);
                (0x1520, 1 << n)
            }
        }
    }
}

fn client(served: &Served) -> Client {
    let client = served.client();
    client.write(CONFIG, 4, &[6, 0]);
    client
}

fn connect(client: &Client, kind: u32, start: u32, fds: &[&Eventfd]) {
    let fds: Vec<_> = fds.iter().map(|fd| fd.0.as_fd()).collect();
    let count = fds.len() as u32;
    client.irqs(TRIGGER | DATA_EVENTFD, [kind, start, count], &[], &fds).expect("eventfds");
}

fn a_vector_of_msix_fires(chip: Model) {
    let served = Served::new(chip, "none");
    let client = client(&served);
    client.write(CONFIG, 0x73, &[0x80]);
    let fds = [Eventfd::new(), Eventfd::new(), Eventfd::new()];
    connect(&client, MSIX, 0, &fds.each_ref());
    let (trigger, bit) = registers(chip).vector(&client, 2);
    for _ in 0..3 {
        client.write32(trigger, bit);
        fds[2].waits();
        registers(chip).clear_vectors(&client);
    }
    // What the client triggers itself.
    client.irqs(TRIGGER | DATA_NONE, [MSIX, 0, 2], &[], &[]).expect("a trigger");
    client.irqs(TRIGGER | DATA_BOOL, [MSIX, 0, 3], &[0, 1, 1], &[]).expect("a trigger");
    assert_eq!([fds[0].take(), fds[1].take(), fds[2].take()], [1, 2, 1]);
    // Disconnected: nothing comes any more.
    client.irqs(TRIGGER | DATA_NONE, [MSIX, 0, 0], &[], &[]).expect("a disconnection");
    client.write32(trigger, bit);
    client.read32(8);
    assert_eq!(fds[2].take(), 0);
}

fn a_vector_without_an_eventfd_is_told_when_it_gets_one(chip: Model) {
    let served = Served::new(chip, "none");
    let client = client(&served);
    client.write(CONFIG, 0x73, &[0x80]);
    let (none, late) = (Eventfd::new(), Eventfd::new());
    connect(&client, MSIX, 0, &[&none]);
    let (trigger, bit) = registers(chip).vector(&client, 1);
    client.write32(trigger, bit);
    let msix = served.nic.pci_identity().bars.msix().into();
    assert_eq!(client.read(msix, 0x2000, 8), 2u64.to_le_bytes(), "pending");
    connect(&client, MSIX, 1, &[&late]);
    assert_eq!((none.take(), late.take()), (0, 1));
    assert_eq!(client.read(msix, 0x2000, 8), [0; 8]);
    // A reset forgets.
    client.irqs(TRIGGER | DATA_EVENTFD, [MSIX, 1, 1], &[], &[]).expect("a disconnection");
    registers(chip).clear_vectors(&client);
    client.write32(trigger, bit);
    assert_eq!(client.read(msix, 0x2000, 8), 2u64.to_le_bytes(), "pending");
    client.write(CONFIG, 0xa9, &[0x80]);
    connect(&client, MSIX, 1, &[&late]);
    assert_eq!(late.take(), 0);
}

fn msi_fires(chip: Model) {
    let served = Served::new(chip, "none");
    let client = client(&served);
    let r = registers(chip);
    client.write(CONFIG, 0x52, &[1]);
    let fd = Eventfd::new();
    connect(&client, MSI, 0, &[&fd]);
    client.write32(r.ims, r.cause());
    for _ in 0..3 {
        client.write32(r.ics, r.cause());
        fd.waits();
        client.read32(r.icr);
        client.write32(r.icr, u32::MAX);
        client.read32(8);
        assert_eq!(fd.take(), 0, "one each");
        client.write32(r.ims, r.cause());
    }
    client.write32(r.imc, u32::MAX);
    client.write32(r.ics, r.cause());
    client.read32(8);
    assert_eq!(fd.take(), 0, "masked in the chip");
}

/// Makes the line fall.
fn acknowledge(client: &Client, r: &Registers) {
    client.write32(r.imc, u32::MAX);
    client.write32(r.icr, u32::MAX);
    client.read32(r.icr);
    client.write32(r.ims, r.cause());
}

fn intx_fires_once_until_it_is_unmasked(chip: Model) {
    let served = Served::new(chip, "none");
    let client = client(&served);
    let r = registers(chip);
    let fd = Eventfd::new();
    connect(&client, INTX, 0, &[&fd]);
    let unmask = || client.irqs(UNMASK | DATA_NONE, [INTX, 0, 1], &[], &[]).expect("unmasked");
    client.write32(r.ims, r.cause());
    assert_eq!(client.config(6, 2) & 8, 0, "PCI status: not asserted");
    client.write32(r.ics, r.cause());
    fd.waits();
    assert_ne!(client.config(6, 2) & 8, 0, "PCI status: asserted");
    // It has masked itself.
    client.write32(r.ics, r.cause());
    client.read32(8);
    assert_eq!(fd.take(), 0);
    // Nobody has served it: it is told again.
    unmask();
    fd.waits();
    acknowledge(&client, &r);
    // For the client, which has raised it in the guest, it is up until it says that it is not.
    assert_ne!(client.config(6, 2) & 8, 0, "PCI status: still asserted");
    unmask();
    client.read32(8);
    assert_eq!(fd.take(), 0, "it is served");
    assert_eq!(client.config(6, 2) & 8, 0, "PCI status: the line has fallen");
    client.write32(r.ics, r.cause());
    fd.waits();
    acknowledge(&client, &r);
    unmask();
    // Masked by the client, by either kind of data.
    for (flags, data) in [(DATA_NONE, &[][..]), (DATA_BOOL, &[1])] {
        client.irqs(MASK | flags, [INTX, 0, 1], data, &[]).expect("masked");
        client.write32(r.ics, r.cause());
        client.read32(8);
        assert_eq!(fd.take(), 0, "masked");
        client.irqs(UNMASK | flags, [INTX, 0, 1], data, &[]).expect("unmasked");
        fd.waits();
        acknowledge(&client, &r);
        unmask();
    }
}

/// As `uio_pci_generic` does: it looks at the status, and masks by the command register.
fn the_command_register_disables_intx(chip: Model) {
    let served = Served::new(chip, "none");
    let client = client(&served);
    let r = registers(chip);
    let fd = Eventfd::new();
    connect(&client, INTX, 0, &[&fd]);
    client.write32(r.ims, r.cause());
    client.write32(r.ics, r.cause());
    fd.waits();
    client.write(CONFIG, 4, &[6, 4]);
    assert_ne!(client.config(6, 2) & 8, 0, "the status shows it all the same");
    client.irqs(UNMASK | DATA_NONE, [INTX, 0, 1], &[], &[]).expect("unmasked");
    client.read32(8);
    assert_eq!(fd.take(), 0, "disabled");
    client.write(CONFIG, 4, &[6, 0]);
    fd.waits();
    acknowledge(&client, &r);
    client.irqs(UNMASK | DATA_NONE, [INTX, 0, 1], &[], &[]).expect("unmasked");
    assert_eq!(client.config(6, 2) & 8, 0, "PCI status: the line has fallen");
}

#[test]
fn a_received_frame_fires_its_vector() {
    let served = Served::new(Model::I82599, "probe");
    let mut guest: Guest = served.guest();
    let client = &guest.client;
    client.write(CONFIG, 0x73, &[0x80]);
    let fds = [Eventfd::new(), Eventfd::new()];
    connect(client, MSIX, 0, &fds.each_ref());
    client.write32(0x898, 1 << 4 | 1 << 30 | 1 << 31);
    // IVAR: receive queue 0 has vector 1 (82599 datasheet 8.2.3.5.16).
    client.write32(0x900, 0x81);
    // EIAC, EIMS
    client.write32(0x810, 2);
    client.write32(0x880, 2);
    assert_eq!(client.read32(0x880), 2, "all of it has arrived");
    for n in 0..5 {
        served.nic.inject_frame(&frame(n, 100));
        served.nic.kick();
        fds[1].waits();
        assert_eq!(guest.receive(), frame(n, 100));
    }
    assert_eq!(fds[0].take(), 0);
}
