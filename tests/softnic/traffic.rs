//! Frames through rings in a guest's memory.

use std::os::unix::fs::FileExt;

use barewire::drivers::sim::{FaultKind, Model};

use crate::client::{CONFIG, DMA_UNMAP, RESET, unmap};
use crate::guest::{FIRST, Guest, LEN, frame};
use crate::kit::{self, on_all};
use crate::served::{Served, until};

on_all! {
    frames_go_out_and_come_in_bytes_unchanged,
    every_reset_leaves_a_nic_that_can_be_driven_again,
    a_window_that_goes_away_is_a_fault_and_no_more,
    without_bus_mastering_nothing_moves,
}

fn frames_go_out_and_come_in_bytes_unchanged(chip: Model) {
    let served = Served::new(chip, "probe");
    let mut guest = served.guest();
    for n in 0..100usize {
        let out = frame(n as u64, 60 + n * 14);
        guest.transmit(&out);
        assert_eq!(served.nic.take_sent(), [out]);
        let inward = frame(!(n as u64), 60 + n * 13);
        served.nic.inject_frame(&inward);
        assert_eq!(guest.receive(), inward, "frame {n}");
    }
    assert_eq!(served.nic.faults(), []);
    assert_eq!(served.nic.truth().unexplained(), 0);
}

#[test]
fn a_loopback_gives_back_what_was_sent() {
    let served = Served::new(Model::I82599, "loopback");
    let mut guest = served.guest();
    for n in 0..200 {
        guest.transmit(&frame(n, 300));
        assert_eq!(guest.receive(), frame(n, 300));
    }
}

#[test]
fn two_guests_with_a_cable_between_their_nics() {
    let one = Served::new(Model::I82599, "cable:softnic-test");
    let other = Served::beside(&one, Model::X550, "cable:softnic-test");
    let (mut a, mut b) = (one.guest(), other.guest());
    for n in 0..100 {
        a.transmit(&frame(n, 100));
        b.transmit(&frame(!n, 1500));
        assert_eq!((b.receive(), a.receive()), (frame(n, 100), frame(!n, 1500)));
    }
}

/// Writes device control of the PCI Express capability.
fn function_level_reset(guest: &Guest) {
    let control = guest.client.config(0xa8, 2) as u16 | 1 << 15;
    guest.client.write(CONFIG, 0xa8, &control.to_le_bytes());
}

fn power_cycle(guest: &Guest) {
    guest.client.write(CONFIG, 0x44, &[3]);
    assert_eq!(guest.client.read32(0x8), u32::MAX, "asleep");
    guest.client.write(CONFIG, 0x44, &[0]);
}

fn device_reset(guest: &Guest) {
    assert_eq!(guest.client.call(RESET, &[], &[]), Ok(vec![]));
}

fn every_reset_leaves_a_nic_that_can_be_driven_again(chip: Model) {
    let served = Served::new(chip, "probe");
    let mut guest = served.guest();
    for (n, reset) in [function_level_reset, power_cycle, device_reset].into_iter().enumerate() {
        guest.passes_frames(&served.nic, n as u64);
        reset(&guest);
        assert_eq!(guest.client.config(4, 2), 0, "command register");
        guest.client.write(CONFIG, 4, &[2, 0]);
        let layout = guest.layout;
        for block in [layout.rx, layout.tx] {
            assert_eq!(guest.client.read32(block + 4), 0, "the ring's address");
        }
        guest.drive();
    }
    guest.passes_frames(&served.nic, 9);
}

fn a_window_that_goes_away_is_a_fault_and_no_more(chip: Model) {
    let served = Served::new(chip, "probe");
    let mut guest = served.guest();
    guest.passes_frames(&served.nic, 1);
    guest.client.call(DMA_UNMAP, &unmap(0, FIRST, LEN), &[]).expect("it was mapped");
    guest.queue(&frame(2, 100));
    until("a fault", || {
        served.nic.faults().iter().any(|f| f.what == FaultKind::Unmapped).then_some(())
    });
    assert_eq!(served.nic.take_sent(), Vec::<Vec<u8>>::new());
    // What the NIC cannot reach any more stays as the guest left it.
    guest.memory.write_all_at(&[0x5a; 0x2000], 0).expect("memory");
    served.nic.inject_frame(&frame(3, 100));
    served.nic.kick();
    guest.client.read32(8);
    let mut rings = [0; 0x2000];
    guest.memory.read_exact_at(&mut rings, 0).expect("memory");
    assert_eq!(rings, [0x5a; 0x2000]);

    guest.client.map(&guest.memory, 0, FIRST, LEN);
    device_reset(&guest);
    guest.drive();
    guest.passes_frames(&served.nic, 4);
}

fn without_bus_mastering_nothing_moves(chip: Model) {
    let served = Served::new(chip, "probe");
    let mut guest = served.guest();
    guest.client.write(CONFIG, 4, &[2, 0]);
    guest.queue(&frame(1, 100));
    guest.client.read32(8);
    assert_eq!(guest.load(0x1000 + 8) >> 32 & 1, 0, "not done");
    assert_eq!(served.nic.take_sent(), Vec::<Vec<u8>>::new());
}

#[test]
fn memory_that_is_cut_short_costs_the_guest_its_nic_and_nobody_else() {
    let served = Served::new(Model::X540, "probe");
    let mut guest = served.guest();
    guest.passes_frames(&served.nic, 1);
    guest.memory.set_len(0).expect("cut");
    guest.client.write32(guest.layout.tx + 0x18, 9);
    until("a fault", || (!served.nic.faults().is_empty()).then_some(()));
    assert_eq!(guest.client.config(0, 2), 0x8086, "it answers");
    drop(guest);
    served.left(0);
    served.guest().passes_frames(&served.nic, 2);
}
