//! What no guest should write: registers of any width and offset, rings that point anywhere, and
//! descriptors that were never one.

use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use barewire::drivers::sim::{Family, Model};
use barewire::drivers::{igb, ixgbe};
use barewire::mmio::RegMeta;
use fastrand::Rng;

use crate::client::{CONFIG, DMA_MAP, NO_REPLY, READ, REGION_READ, access, map, memory};
use crate::fuzz_socket::{Input, hostile, seeds};
use crate::guest::{FIRST, Guest, LEN};
use crate::kit::{self, on_all};
use crate::served::{Served, panics};

on_all! {
    fuzz_registers,
}

/// A window that the NIC may only read.
const READ_ONLY: u64 = FIRST + LEN + 0x10_0000;
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

/// A device address: mostly one that leads somewhere, or almost.
fn address(rng: &mut Rng) -> u64 {
    match rng.u32(0..10) {
        0..5 => FIRST + rng.u64(0..LEN) & !0x7f,
        5 => FIRST + rng.u64(0..LEN),
        // Across the end, and before the beginning.
        6 => FIRST + LEN - rng.u64(0..0x1000),
        7 => FIRST - rng.u64(0..0x1000),
        8 => READ_ONLY + rng.u64(0..0x1_1000),
        _ => rng.u64(..),
    }
}

fn value(rng: &mut Rng) -> u32 {
    match rng.u32(0..5) {
        0 => rng.u32(..),
        1 => address(rng) as u32,
        2 => (FIRST >> 32) as u32,
        // Lengths, tails, and the bit that enables queues.
        3 => [0x200, 0x80, 0x1000, 8, 31, 1 << 25, 1 << 25 | 0xffff, 0xf_ff80][rng.usize(0..8)],
        _ => hostile(rng),
    }
}

/// A descriptor, or what could be taken for one (82599 datasheet 7.1.6, 7.2.3).
fn descriptor(rng: &mut Rng) -> [u64; 2] {
    let len = match rng.u32(0..4) {
        0 => rng.u64(0..0x1_0000),
        _ => rng.u64(0..2000),
    };
    // Commands: end of packet, FCS, segmentation, status, advanced, VLAN.
    let commands = u64::from(rng.u8(..)) << 24;
    match rng.u32(0..6) {
        0 => [rng.u64(..), rng.u64(..)],
        // Advanced data; the payload length may be a lie.
        1 | 2 => {
            let said = if rng.bool() { len } else { rng.u64(0..0x4_0000) };
            let options = u64::from(rng.u8(..)) << 38;
            [
                address(rng),
                said << 46 | options & 0x3fc0_0000_0000 | commands | 1 << 29 | 3 << 20 | len,
            ]
        }
        // Context: lengths of headers, MSS, kinds.
        3 => {
            let sizes = u64::from(rng.u32(..)) << 32;
            [rng.u64(..), sizes | 1 << 29 | 2 << 20 | u64::from(rng.u32(..)) & 0xf_ffff]
        }
        // Legacy.
        4 => [address(rng), commands & !(1 << 29) | u64::from(rng.u32(..)) << 32 | len],
        // To receive into.
        _ => [address(rng), if rng.bool() { 0 } else { address(rng) }],
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

/// A frame from the wire: headers that mean something, or none.
fn arriving(rng: &mut Rng) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1];
    for _ in 0..rng.u32(0..3) {
        frame.extend([[0x81, 0, 0, 5], [0x88, 0xa8, 0, 1]][rng.usize(0..2)]);
    }
    // IPv4, IPv6, PTP, LLDP, something else; TCP, UDP, SCTP, fragments, extensions inside.
    let kinds = [[0x08, 0x00], [0x86, 0xdd], [0x88, 0xf7], [0x88, 0xcc], [0x88, 0xb5]];
    frame.extend(kinds[rng.usize(0..kinds.len())]);
    frame.extend([[0x45, 0], [0x60, 0], [0x4f, 0], [0x40, 0]][rng.usize(0..4)]);
    frame.extend((0..7).map(|_| rng.u8(..)));
    frame.push([6, 17, 132, 0, 43, 44, 4][rng.usize(0..7)]);
    let most = if rng.u32(0..8) == 0 { 16000 } else { 200 };
    let len = rng.usize(0..most);
    frame.resize(frame.len().max(len), rng.u8(..));
    frame.truncate(frame.len().min(len.max(rng.usize(0..64))));
    frame
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

/// A burst of accesses with frames arriving meanwhile.
fn burst(rng: &mut Rng, served: &Served, guest: &Guest, target: &Target) {
    scatter(rng, guest);
    served.nic.probe().limit(if rng.bool() { None } else { Some(rng.usize(0..8)) });
    for _ in 0..rng.u32(10..60) {
        match rng.u32(0..12) {
            0 => served.nic.inject_frame(&arriving(rng)),
            1 => {
                // A whole ring, as a driver would set one up.
                let block = target.queues[rng.usize(0..target.queues.len())];
                let ring = address(rng);
                let len = if rng.bool() { 0x800 } else { value(rng) };
                for (register, value) in [
                    (0x00, ring as u32),
                    (0x04, (ring >> 32) as u32),
                    (0x08, len),
                    (0x28, 1 << 25 | value(rng)),
                    (0x10, if rng.bool() { 0 } else { value(rng) }),
                    (0x18, if rng.bool() { rng.u32(0..128) } else { value(rng) }),
                ] {
                    guest.client.write32(block + register, value);
                }
            }
            _ => poke(rng, guest, target),
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
        burst(&mut rng, &served, &guest, &target);
        served.nic.probe().limit(None);
        guest.client.write(CONFIG, 0xa9, &[0x80]);
        served.nic.take_sent();
        guest.drive();
        guest.passes_frames(&served.nic, seed);
        assert_eq!(panics(), 0, "a thread of the server panicked");
        drop(failed);
    }
}
