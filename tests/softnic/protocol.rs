//! What the server says, and what a guest finds in its slot.

use std::os::fd::AsFd;

use barewire::drivers::sim::{Family, Model};

use crate::client::{
    CONFIG, Client, DATA_BOOL, DATA_EVENTFD, DATA_NONE, DMA_MAP, DMA_UNMAP, GET_INFO, GET_IRQ_INFO,
    GET_REGION_INFO, INTX, MASK, MSIX, NO_REPLY, REGION_READ, REGION_WRITE, RESET, SET_IRQS,
    TRIGGER, VERSION, access, longs, map, memory, unmap, version, words,
};
use crate::guest::wait_for_eeprom;
use crate::kit::{self, on_all};
use crate::served::Served;

on_all! {
    the_device_is_what_the_chip_is,
    capabilities_can_be_walked,
    registers_answer_at_every_width,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn the_device_is_what_the_chip_is(chip: Model) {
    let served = Served::new(chip, "none");
    let client = served.client();
    let info = client.call(GET_INFO, &words(&[16, 0, 0, 0]), &[]).expect("info");
    // PCI, and it can be reset; nine regions, five kinds of interrupts.
    assert_eq!(info, words(&[16, 0b11, 9, 5]));

    let id = served.nic.pci_identity();
    let mut sizes = Vec::new();
    for index in 0..9 {
        let body = [words(&[32, 0, index, 0]), longs(&[0, 0])].concat();
        let region = client.call(GET_REGION_INFO, &body, &[]).expect("a region");
        assert_eq!((region.len(), word(&region, 8)), (32, index));
        let size = long(&region, 16);
        // Read and write; registers must not be mapped.
        assert_eq!(word(&region, 4), if size > 0 { 3 } else { 0 });
        sizes.push(size);
    }
    let mut want = [u64::from(id.registers), 0, 0, 0, 0, 0, 0, 4096, 0];
    want[usize::from(id.bars.msix())] = 0x4000;
    assert_eq!(sizes, want);

    let counts = [0, 1, 2, 3, 4].map(|index| {
        let irq = client.call(GET_IRQ_INFO, &words(&[16, 0, index, 0]), &[]).expect("an interrupt");
        assert_eq!((irq.len(), word(&irq, 8), word(&irq, 4) & 1), (16, index, 1), "eventfds");
        word(&irq, 12)
    });
    assert_eq!(counts, [1, 1, id.vectors.into(), 1, 1]);
    assert_eq!(client.config(0, 4), u64::from(id.device) << 16 | 0x8086);
}

fn capabilities_can_be_walked(chip: Model) {
    let served = Served::new(chip, "none");
    let client = served.client();
    assert_ne!(client.config(6, 2) & 0x10, 0, "there is a list");
    let (mut at, mut found) = (client.config(0x34, 1), Vec::new());
    while at != 0 {
        assert!(found.len() < 48, "a loop: {found:x?}");
        found.push((client.config(at, 1), at));
        at = client.config(at + 1, 1);
    }
    // Power management, MSI, MSI-X, PCI Express.
    assert_eq!(found, [(1, 0x40), (5, 0x50), (0x11, 0x70), (0x10, 0xa0)]);
    let id = served.nic.pci_identity();
    assert_eq!(client.config(0x72, 2) & 0x7ff, u64::from(id.vectors) - 1);
    assert_eq!(client.config(0x74, 4) & 7, u64::from(id.bars.msix()));
    let (mut at, mut found) = (0x100u64, Vec::new());
    while at != 0 {
        assert!(found.len() < 960, "a loop: {found:x?}");
        let head = client.config(at, 4);
        found.push(head & 0xffff);
        at = head >> 20;
    }
    // Error reporting, serial number.
    assert_eq!(found, [1, 3]);
    // The size of BAR 0.
    client.write(CONFIG, 0x10, &[0xff; 4]);
    let bar = client.config(0x10, 4) as u32;
    assert_eq!((bar & !0xf).wrapping_neg(), id.registers);
    // The whole of it at once is the same as its parts.
    let all = client.read(CONFIG, 0, 4096);
    let parts: Vec<u8> = (0..4096).step_by(8).flat_map(|at| client.read(CONFIG, at, 8)).collect();
    assert_eq!(all, parts);
}

fn registers_answer_at_every_width(chip: Model) {
    let served = Served::new(chip, "none");
    let client = served.client();
    let at = 0x5400;
    assert_eq!(client.read32(at), u32::MAX, "memory is not enabled");
    client.write(CONFIG, 4, &[2, 0]);
    wait_for_eeprom(&client, chip.family() == Family::Ixgbe);
    // RAL0 and RAH0 of all chips (the 82599 has them as aliases).
    let mac = served.nic.mac().0;
    let valid = 0x8000_0000u32;
    let high = u32::from(u16::from_le_bytes([mac[4], mac[5]])) | valid;
    let low = u32::from_le_bytes([mac[0], mac[1], mac[2], mac[3]]);
    assert_eq!((client.read32(at), client.read32(at + 4)), (low, high));
    let both = [low.to_le_bytes(), high.to_le_bytes()].concat();
    for (from, to) in [(0, 1), (3, 4), (0, 2), (2, 4), (1, 3), (0, 4), (0, 8), (3, 7), (0, 3)] {
        let part = client.read(0, u64::from(at) + from as u64, (to - from) as u32);
        assert_eq!(part, both[from..to], "bytes {from} to {to}");
    }
    // Words are written whole, or not at all.
    for (offset, bytes) in [(0, &[1][..]), (1, &[1; 2]), (0, &[1; 2]), (2, &[1; 4]), (1, &[1; 3])] {
        client.write(0, u64::from(at) + offset, bytes);
        assert_eq!(client.read32(at), low, "{} bytes at {offset}", bytes.len());
    }
    client.write(0, at.into(), &[2, 4, 6, 8, 10, 12, 0, 0]);
    assert_eq!((client.read32(at), client.read32(at + 4) & 0xffff), (0x0806_0402, 0x0c0a));
    client.write(0, at.into(), &both[..4]);
    assert_eq!(client.read32(at), low);
    // Beyond the end, and where there is no BAR: all ones, and writes are lost.
    let end = u64::from(served.nic.pci_identity().registers);
    for (region, offset) in [(0, end), (0, u64::MAX - 8), (1, 0), (6, 0), (8, 4)] {
        assert_eq!(client.read(region, offset, 8), [0xff; 8], "{region} {offset:#x}");
        client.write(region, offset, &[0; 8]);
    }
    assert_eq!(client.read(0, end - 4, 8)[4..], [0xff; 4], "across the end");
    for region in 0..9 {
        assert_eq!(client.read(region, u64::MAX, 0), [0u8; 0]);
    }
    // The most that one message may carry.
    assert_eq!(client.read(0, 0, 65536).len(), 65536);
}

#[test]
fn the_version_is_said_first_and_once() {
    let served = Served::new(Model::I82599, "none");
    let client = Client::connect(&served.path);
    let reply = client.call(VERSION, &version(), &[]).expect("a version");
    let text = std::str::from_utf8(&reply[4..]).expect("text");
    let json: serde_json::Value =
        serde_json::from_str(text.strip_suffix('\0').expect("it ends with a zero")).expect("JSON");
    assert_eq!(json["capabilities"]["max_data_xfer_size"], 65536);
    assert_eq!(json["capabilities"]["max_msg_fds"], 16);
    assert_eq!(client.call(VERSION, &version(), &[]), Err(libc::EINVAL), "once");
    assert_eq!(client.config(0, 2), 0x8086, "it goes on");
    drop(client);
    assert_eq!(served.left(0), None);

    // A version that nobody speaks, none at all, and one that is cut off.
    for (n, body) in
        [vec![1, 0, 0, 0], vec![], vec![0; 3], b"\0\0\0\0{}".to_vec()].into_iter().enumerate()
    {
        let client = Client::connect(&served.path);
        assert_eq!(client.call(VERSION, &body, &[]), Err(libc::EINVAL), "{body:?}");
        drop(client);
        assert!(served.left(n + 1).is_some());
    }
    let client = Client::connect(&served.path);
    assert!(client.call(GET_INFO, &words(&[16, 0, 0, 0]), &[]).is_err(), "not first");
}

#[test]
fn what_is_wrong_is_refused_with_a_reason_and_changes_nothing() {
    let served = Served::new(Model::X550, "none");
    let client = served.client();
    let lent = memory(0x4000);
    let fd = [lent.as_fd()];
    client.map(&lent, 0, 0x10_0000, 0x2000);
    let irqs = |flags, index, start, count, data: &[u8]| {
        [&words(&[20 + data.len() as u32, flags, index, start, count])[..], data].concat()
    };
    let too_many = 1 + u32::from(served.nic.pci_identity().vectors);
    let cases = [
        (DMA_MAP, map(3, 0, 0x10_1000, 0x2000), &fd[..], libc::EEXIST),
        (DMA_MAP, map(3, 0, 0xf_f000, 0x4000), &fd, libc::EEXIST),
        (DMA_MAP, map(3, 0, 0x20_0000, 0x5000), &fd, libc::EINVAL),
        (DMA_MAP, map(3, 0x4000, 0x20_0000, 0x1000), &fd, libc::EINVAL),
        (DMA_MAP, map(3, 0, 0x20_0000, 0), &fd, libc::EINVAL),
        (DMA_MAP, map(3, 0, 0x20_0800, 0x1000), &fd, libc::EINVAL),
        (DMA_MAP, map(3, 0, !0xfff, 0x2000), &fd, libc::EINVAL),
        (DMA_MAP, map(0, 0, 0x20_0000, 0x1000), &fd, libc::EINVAL),
        (DMA_MAP, words(&[32, 3]), &[], libc::EINVAL),
        (DMA_MAP, map(3, 0, 0x20_0000, 0x1000), &[lent.as_fd(); 2], libc::EINVAL),
        (DMA_UNMAP, unmap(0, 0x10_0000, 0x1000), &[], libc::ENOENT),
        (DMA_UNMAP, unmap(0, 0x20_0000, 0x1000), &[], libc::ENOENT),
        (GET_INFO, words(&[8, 0, 0, 0]), &[], libc::EINVAL),
        (GET_INFO, words(&[16, 0]), &[], libc::EINVAL),
        (GET_INFO, words(&[16, 0, 0, 0]), &fd, libc::EINVAL),
        (GET_REGION_INFO, [words(&[32, 0, 9, 0]), longs(&[0, 0])].concat(), &[], libc::EINVAL),
        (GET_IRQ_INFO, words(&[16, 0, 5, 0]), &[], libc::EINVAL),
        (SET_IRQS, irqs(TRIGGER | DATA_NONE, 5, 0, 1, &[]), &[], libc::EINVAL),
        (SET_IRQS, irqs(TRIGGER | DATA_NONE, MSIX, 0, too_many, &[]), &[], libc::EINVAL),
        (SET_IRQS, irqs(TRIGGER | DATA_NONE, MSIX, u32::MAX, 2, &[]), &[], libc::EINVAL),
        (SET_IRQS, irqs(TRIGGER | DATA_EVENTFD, MSIX, 0, 2, &[]), &fd, libc::EINVAL),
        // No eventfd.
        (SET_IRQS, irqs(TRIGGER | DATA_EVENTFD, MSIX, 0, 1, &[]), &fd, libc::EINVAL),
        (SET_IRQS, irqs(TRIGGER | DATA_BOOL, MSIX, 0, 3, &[1, 1]), &[], libc::EINVAL),
        (SET_IRQS, irqs(TRIGGER | DATA_BOOL, MSIX, 0, 2, &[1, 1, 1]), &[], libc::EINVAL),
        (SET_IRQS, irqs(TRIGGER | DATA_BOOL, MSIX, 0, u32::MAX, &[1]), &[], libc::EINVAL),
        (SET_IRQS, irqs(TRIGGER | DATA_BOOL, MSIX, u32::MAX, 1, &[1]), &[], libc::EINVAL),
        (SET_IRQS, irqs(TRIGGER | DATA_BOOL | DATA_NONE, INTX, 0, 1, &[1]), &[], libc::EINVAL),
        (SET_IRQS, irqs(MASK | DATA_NONE, MSIX, 0, 1, &[]), &[], libc::ENOTSUP),
        (SET_IRQS, irqs(MASK | TRIGGER | DATA_NONE, INTX, 0, 1, &[]), &[], libc::EINVAL),
        (REGION_READ, access(9, 0, 4), &[], libc::EINVAL),
        (REGION_READ, access(0, 0, u32::MAX), &[], libc::EINVAL),
        (REGION_READ, access(4, u64::MAX, 1), &[], libc::EINVAL),
        (REGION_READ, access(0, u64::MAX - 2, 4), &[], libc::EINVAL),
        (REGION_WRITE, [access(4, u64::MAX, 4), vec![0; 4]].concat(), &[], libc::EINVAL),
        (REGION_READ, access(0, 0, 65537), &[], libc::EINVAL),
        (REGION_READ, access(0, 0, 4), &fd, libc::EINVAL),
        (REGION_WRITE, access(7, 0, 4), &[], libc::EINVAL),
        (REGION_WRITE, [access(7, 0, u32::MAX), vec![0; 4]].concat(), &[], libc::EINVAL),
        (RESET, vec![0; 4], &[], libc::EINVAL),
        // Not for a device to answer, and unknown.
        (11, access(0, 0, 4), &[], libc::ENOTSUP),
        (14, vec![], &[], libc::ENOTSUP),
        (0, vec![], &[], libc::ENOTSUP),
        (u16::MAX, vec![7; 100], &fd, libc::ENOTSUP),
    ];
    for (n, (command, body, fds, errno)) in cases.into_iter().enumerate() {
        assert_eq!(client.call(command, &body, fds), Err(errno), "case {n}: {body:x?}");
        // Without a reply, there is none to get out of step with.
        client.ask(command, NO_REPLY, &body, fds);
        assert_eq!(client.config(0, 2), 0x8086, "case {n}");
    }
    client.call(DMA_UNMAP, &unmap(0, 0x10_0000, 0x2000), &[]).expect("still there");
}

#[test]
fn windows_open_and_close_as_often_as_a_guests_firmware_likes() {
    let served = Served::new(Model::I82576, "none");
    let client = served.client();
    let lent = memory(0x10_0000);
    for round in 0..50u64 {
        let (address, size) = ((round % 7) << 32, (1 + round % 5) << 12);
        client.map(&lent, round << 12, address, size);
        // One that only the client can reach, one to be read alone.
        client.call(DMA_MAP, &map(3, 0, 1 << 40, 0x1000), &[]).expect("a window");
        let read = map(1, 0, 1 << 41, 0x1000);
        client.call(DMA_MAP, &read, &[lent.as_fd()]).expect("a window");
        if round % 2 == 0 {
            // VFIO_DMA_UNMAP_FLAG_ALL
            client.call(DMA_UNMAP, &unmap(2, 0, 0), &[]).expect("all of them");
        } else {
            for (address, size) in [(1 << 41, 0x1000), (address, size), (1 << 40, 0x1000)] {
                client.call(DMA_UNMAP, &unmap(0, address, size), &[]).expect("a window");
            }
        }
    }
}
