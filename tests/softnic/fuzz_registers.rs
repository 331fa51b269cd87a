//! What no guest should write: registers of any width and offset, rings that point anywhere, and
//! descriptors that were never one.

use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use barewire::drivers::sim::{Family, Model};
use barewire::drivers::{igb, ixgbe};
use barewire::mmio::RegMeta;
use fastrand::Rng;

use crate::client::{CONFIG, DMA_MAP, NO_REPLY, READ, REGION_READ, access, map, memory};
use crate::fuzz_socket::{Input, seeds};
use crate::guest::{Guest, LEN};
use crate::hostile::{
    APART, PACKET_COUNT, PACKETS, READ_ONLY, address, descriptor, packet, to_send, value,
};
use crate::kit::{self, on_all};
use crate::served::{Served, panics};

on_all! {
    fuzz_registers,
}

/// Bytes of a queue's register block.
const BLOCK: u32 = 0x40;

/// What is aimed at.
struct Target {
    /// Every register that the chip has a name for.
    named: Vec<u32>,
    /// The blocks of some queues.
    queues: Vec<u32>,
    registers: u32,
}

impl Target {
    fn of(chip: Model, guest: &Guest, registers: u32) -> Self {
        let table: Vec<_> = match chip.family() {
            Family::Ixgbe => ixgbe::regs::table().collect(),
            Family::Igb => igb::regs::table().collect(),
        };
        let all = |meta: &'static RegMeta| (0..meta.count).map(|n| meta.offset_of(n));
        let named = table.into_iter().flat_map(|meta| all(meta).take(4)).collect();
        let blocks = |first: u32| (0..4).map(move |n| first + n * BLOCK);
        let queues = blocks(guest.layout.rx).chain(blocks(guest.layout.tx)).collect();
        Self { named, queues, registers }
    }

    /// Where in BAR 0.
    fn offset(&self, rng: &mut Rng) -> u64 {
        let offset = match rng.u32(0..10) {
            0 => return rng.u64(..),
            1 | 2 => rng.u32(0..self.registers + 64),
            3..7 => self.named[rng.usize(0..self.named.len())],
            _ => self.queues[rng.usize(0..self.queues.len())] + rng.u32(0..BLOCK / 4) * 4,
        };
        u64::from(offset) + if rng.u32(0..16) == 0 { rng.u64(0..4) } else { 0 }
    }
}

/// Fills rings with descriptors, at the places that most rings are at.
fn scatter(rng: &mut Rng, guest: &Guest) {
    for _ in 0..4 {
        let bytes: Vec<u8> =
            (0..128).flat_map(|_| descriptor(rng)).flat_map(u64::to_le_bytes).collect();
        let at = if rng.bool() { rng.u64(0..2) << 12 } else { rng.u64(0..LEN - 0x1000) & !0x7f };
        guest.memory.write_all_at(&bytes, at).expect("memory");
    }
}

/// One access of any region.
fn poke(rng: &mut Rng, guest: &Guest, target: &Target) {
    const WIDTHS: [usize; 10] = [1, 2, 4, 4, 4, 4, 8, 8, 3, 24];
    let width = WIDTHS[rng.usize(0..WIDTHS.len())];
    let (region, offset) = match rng.u32(0..16) {
        0 => (CONFIG, rng.u64(0..4200)),
        // Commands, power, MSI, MSI-X and device control.
        1 => (CONFIG, [4, 0x44, 0x52, 0x72, 0xa8][rng.usize(0..5)] + rng.u64(0..2)),
        2 => (rng.u32(1..9), rng.u64(0..0x5000)),
        _ => (0, target.offset(rng)),
    };
    if rng.u32(0..4) == 0 {
        // The answers would be many: they are fetched with the last one.
        let body = access(region, offset, width as u32);
        guest.client.ask(REGION_READ, NO_REPLY, &body, &[]);
        return;
    }
    let bytes: Vec<u8> = (0..width.div_ceil(4)).flat_map(|_| value(rng).to_le_bytes()).collect();
    guest.client.post(region, offset, &bytes[..width]);
}

/// A whole ring, as a driver would set one up.
fn set_up_ring(rng: &mut Rng, guest: &Guest, target: &Target) {
    let block = target.queues[rng.usize(0..target.queues.len())];
    let ring = address(rng);
    for (register, value) in [
        (0x00, ring as u32),
        (0x04, (ring >> 32) as u32),
        (0x08, if rng.bool() { 0x800 } else { value(rng) }),
        (0x28, 1 << 25 | value(rng)),
        (0x10, if rng.bool() { 0 } else { value(rng) }),
        (0x18, if rng.bool() { rng.u32(0..128) } else { value(rng) }),
    ] {
        guest.client.write32(block + register, value);
    }
}

/// A burst of accesses with frames arriving meanwhile, to a NIC whose driver is at work.
fn burst(rng: &mut Rng, served: &Served, guest: &mut Guest, target: &Target) {
    // Every other one leaves the driver's rings alone, to get behind them.
    let rings = rng.bool();
    if rings {
        scatter(rng, guest);
    }
    served.nic.probe().limit(if rng.u32(0..4) == 0 { Some(rng.usize(0..8)) } else { None });
    for _ in 0..rng.u32(10..60) {
        match rng.u32(0..12) {
            0 | 1 => {
                let most = if rng.u32(0..8) == 0 { 16000 } else { 200 };
                served.nic.inject_frame(&packet(rng, most));
            }
            2 | 3 => guest.queue_any(&to_send(rng)),
            4 if rings => set_up_ring(rng, guest, target),
            5..9 if rings => poke(rng, guest, target),
            // Some feature that has a name.
            4..8 => {
                let offset = target.named[rng.usize(0..target.named.len())];
                let old = guest.client.read32(offset);
                guest.client.write32(offset, old ^ 1 << rng.u32(0..32));
            }
            _ => {}
        }
    }
    served.nic.kick();
    // Everything was done when this is answered.
    assert_eq!(guest.client.config(0, 2), 0x8086);
}

fn fuzz_registers(chip: Model) {
    let served = Served::new(chip, "probe");
    let mut guest = served.guest();
    let shown = memory(0x1_0000);
    let read_only = map(READ, 0, READ_ONLY, 0x1_0000);
    guest.client.call(DMA_MAP, &read_only, &[shown.as_fd()]).expect("a window");
    let target = Target::of(chip, &guest, served.nic.pci_identity().registers);
    for seed in seeds() {
        let failed = Input(seed);
        let mut rng = Rng::with_seed(seed);
        for n in 0..PACKET_COUNT {
            let packet = packet(&mut rng, APART as usize - 200);
            guest.memory.write_all_at(&packet, PACKETS + n * APART).expect("memory");
        }
        burst(&mut rng, &served, &mut guest, &target);
        served.nic.probe().limit(None);
        guest.client.write(CONFIG, 0xa9, &[0x80]);
        served.nic.take_sent();
        guest.drive();
        guest.passes_frames(&served.nic, seed);
        assert_eq!(panics(), 0, "a thread of the server panicked");
        drop(failed);
    }
}
