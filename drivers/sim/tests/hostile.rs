//! Software that writes anything anywhere.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::rig::{Rig, SIZE, udp};
use crate::drivers::intel::TxDesc;
use crate::drivers::sim::fault::Random;
use crate::drivers::sim::setup::{BASE, BASE_HIGH, TAIL};
use crate::drivers::sim::{GuestMemory, Inject, Model, NotMapped};
use crate::mmio::Bar;

/// Register accesses on each chip.
const ACCESSES: usize = 200_000;

/// A value: mostly bits that mean something somewhere.
fn value(random: &mut Random) -> u32 {
    match random.below(8) {
        0 => 0,
        1 => u32::MAX,
        2 => 1 << random.below(32),
        3 => random.next() & random.next(),
        4 => random.next() | random.next(),
        5 => random.below(0x1_0000),
        _ => random.next(),
    }
}

/// An offset of a register, or now and then just any.
fn offset(random: &mut Random, named: &[u32], queues: &[u32], len: u32) -> u32 {
    match random.below(16) {
        0 => random.next(),
        1 | 2 => random.below(len / 4) * 4,
        3..=6 => queues[random.below(queues.len() as u32) as usize] + random.below(16) * 4,
        _ => named[random.below(named.len() as u32) as usize],
    }
}

/// Memory at every address, with anything in it.
#[derive(Debug)]
struct Everywhere(Mutex<Vec<u8>>);

/// Its size; addresses count on at its beginning.
const LEN: usize = 1 << 16;

/// Second words of descriptors: a context; TSE in one of data.
const CONTEXT: u64 = TxDesc::DEXT | 2 << 20;
const SEGMENTED: u64 = 1 << 31;

impl Everywhere {
    fn new(random: &mut Random) -> Self {
        let bytes = (0..LEN / 16).map(|_| {
            let any = u64::from(random.next()) << 32 | u64::from(random.next());
            let (length, bits) = (random.below(1_500), u64::from(random.next() & random.next()));
            // Data and contexts, in order or not, and whatever.
            let second = match random.below(8) {
                0 => any.rotate_left(17),
                1 => u64::from(length) | bits & 0xff0f_0000 | TxDesc::EOP,
                2 => TxDesc::data(length as u16, random.below(9_000), bits & 0xef00_0000),
                3 => CONTEXT | u64::from(length) << 48 | any & 0xff00_ffff,
                4 => SEGMENTED | TxDesc::data(length as u16, length / 2, TxDesc::EOP),
                _ => TxDesc::data(length as u16, length, TxDesc::EOP | TxDesc::RS),
            };
            [any, second].map(u64::to_le_bytes)
        });
        Self(Mutex::new(bytes.flatten().flatten().collect()))
    }

    fn each(&self, iova: u64, mut what: impl FnMut(&mut u8) -> bool) {
        let mut bytes = self.0.lock().unwrap();
        let from = iova as usize % LEN;
        let mut n = 0;
        while what(&mut bytes[(from + n) % LEN]) {
            n += 1;
        }
    }
}

impl GuestMemory for Everywhere {
    fn read(&self, iova: u64, into: &mut [u8]) -> Result<(), NotMapped> {
        let mut into = into.iter_mut();
        self.each(iova, |byte| into.next().map(|to| *to = *byte).is_some());
        Ok(())
    }

    fn write(&self, iova: u64, from: &[u8]) -> Result<(), NotMapped> {
        let mut from = from.iter();
        self.each(iova, |byte| from.next().map(|from| *byte = *from).is_some());
        Ok(())
    }

    fn load(&self, iova: u64) -> Result<u64, NotMapped> {
        let mut bytes = [0; 8];
        self.read(iova, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn store(&self, iova: u64, value: u64) -> Result<(), NotMapped> {
        self.write(iova, &value.to_le_bytes())
    }
}

/// Accesses between two times that the NIC is put to work.
const SPELL: usize = 1_000;

/// Puts the NIC to work on rings that are anywhere, with anything in them.
fn put_to_work(rig: &mut Rig, model: Model, random: &mut Random) {
    rig.nic.set_link(true);
    rig.nic.set_module(true);
    rig.nic.set_guest_memory(Some(Arc::new(Everywhere::new(random))));
    let blocks = [model.chip().rx_block(0), model.chip().tx_block(0)];
    let bases = blocks.map(|_| random.next() & !0x7f);
    rig.start_anew(|bar| {
        for (block, base) in blocks.into_iter().zip(bases) {
            bar.write32(block + BASE, base);
            // Where none of this process's own memory is.
            bar.write32(block + BASE_HIGH, 0xff);
        }
    });
    for _ in 0..20 {
        for block in blocks {
            rig.bar.write32(block + TAIL, random.below(SIZE.into()));
        }
        rig.nic.inject_frame(&udp(None, random.below(1_400) as usize));
        rig.nic.step();
        rig.nic.take_sent();
    }
}

/// Reads and writes registers, and lets things happen in between.
fn assault(rig: &mut Rig, model: Model, random: &mut Random) {
    let (chip, map) = (model.chip(), model.chip().map());
    let named: Vec<u32> = (0..map.len).step_by(4).filter(|at| map.meta(*at).is_some()).collect();
    let queues: Vec<u32> =
        (0..chip.queues().min(8)).flat_map(|q| [chip.rx_block(q), chip.tx_block(q)]).collect();
    for n in 0..ACCESSES {
        if n % SPELL == 0 {
            put_to_work(rig, model, random);
        }
        let at = offset(random, &named, &queues, map.len);
        if random.below(4) == 0 {
            rig.bar.read32(at);
        } else {
            rig.bar.write32(at, value(random));
        }
        match random.below(64) {
            0 => rig.nic.advance(Duration::from_micros(random.below(5_000).into())),
            1 => rig.nic.inject_frame(&udp(None, random.below(1_400) as usize)),
            2 => rig.nic.set_link(random.below(4) != 0),
            3 => rig.nic.set_module(random.below(4) != 0),
            4..=12 => drop(rig.nic.step()),
            _ => {}
        }
    }
}

/// Whatever was written: nothing panics or hangs, and after a reset the NIC works.
fn survives(model: Model, seed: u64) {
    let mut random = Random::new(seed);
    let mut rig = Rig::on(model, 0, |_| {});
    rig.post(16);
    for inject in Inject::all().filter(|inject| *inject != Inject::Removal) {
        rig.nic.inject(inject, 0.01);
    }
    assault(&mut rig, model, &mut random);
    // Not all of it was in vain.
    let truth = rig.nic.truth();
    assert!(truth.delivered > 1_000 && !rig.nic.faults().is_empty(), "{truth:?}");
    for inject in Inject::all() {
        rig.nic.inject(inject, 0.0);
    }
    rig.nic.set_link(true);
    rig.nic.set_module(true);
    rig.nic.set_guest_memory(None);
    rig.start_anew(|_| {});
    rig.nic.take_sent();
    rig.post(1);
    let frame = udp(None, 300);
    let received = rig.receive(&frame);
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].2, frame);
    let (at, buffer) = rig.buffer(&frame);
    let end = TxDesc::EOP | TxDesc::RS;
    rig.descriptor(at, TxDesc::data(frame.len() as u16, frame.len() as u32, end));
    assert_eq!(rig.send(), [frame]);
    rig.reclaim(buffer);
}

#[test]
fn an_82599_survives_anything() {
    survives(Model::I82599, 0x5eed_0001);
}

#[test]
fn an_x540_survives_anything() {
    survives(Model::X540, 0x5eed_0002);
}

#[test]
fn an_x550_survives_anything() {
    survives(Model::X550, 0x5eed_0003);
}

#[test]
fn an_82576_survives_anything() {
    survives(Model::I82576, 0x5eed_0004);
}

#[test]
fn an_i350_survives_anything() {
    survives(Model::I350, 0x5eed_0005);
}
