//! A NIC whose rings and buffers are in the memory of a guest.

use std::sync::{Arc, Mutex};

use super::super::setup::{BASE, BASE_HIGH, TAIL};
use super::super::{FaultKind, GuestMemory, Model, NotMapped};
use super::rig::{Rig, udp};
use crate::drivers::intel::{RxDesc, TxDesc};
use crate::mmio::Bar;

/// Where the guest's memory is for the NIC.
const FIRST: u64 = 0x1234_5000;
const LEN: usize = 0x4_0000;
const RX_RING: u64 = FIRST;
const TX_RING: u64 = FIRST + 0x1000;
const BUFFERS: u64 = FIRST + 0x1_0000;

#[derive(Debug)]
struct Guest(Mutex<Vec<u8>>);

impl Guest {
    fn range(iova: u64, len: usize) -> Result<std::ops::Range<usize>, NotMapped> {
        let start = iova.checked_sub(FIRST).ok_or(NotMapped)? as usize;
        let end = start.checked_add(len).filter(|end| *end <= LEN).ok_or(NotMapped)?;
        Ok(start..end)
    }

    fn put(&self, iova: u64, words: [u64; 2]) {
        for (n, word) in (0..).zip(words) {
            self.store(iova + 8 * n, word).unwrap();
        }
    }

    fn get(&self, iova: u64) -> [u64; 2] {
        [0, 8].map(|n| self.load(iova + n).unwrap())
    }
}

impl GuestMemory for Guest {
    fn read(&self, iova: u64, into: &mut [u8]) -> Result<(), NotMapped> {
        into.copy_from_slice(&self.0.lock().unwrap()[Self::range(iova, into.len())?]);
        Ok(())
    }

    fn write(&self, iova: u64, from: &[u8]) -> Result<(), NotMapped> {
        self.0.lock().unwrap()[Self::range(iova, from.len())?].copy_from_slice(from);
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

/// A NIC with its rings there, and the register blocks of its queues.
fn guest(model: Model) -> (Rig, Arc<Guest>, [u32; 2]) {
    let blocks = [model.chip().rx_block(0), model.chip().tx_block(0)];
    let rig = Rig::on(model, 0, |bar| {
        for (block, ring) in blocks.into_iter().zip([RX_RING, TX_RING]) {
            bar.write32(block + BASE, ring as u32);
            bar.write32(block + BASE_HIGH, (ring >> 32) as u32);
        }
    });
    let guest = Arc::new(Guest(Mutex::new(vec![0; LEN])));
    rig.nic.set_guest_memory(Some(guest.clone()));
    (rig, guest, blocks)
}

#[test]
fn frames_go_to_and_from_a_guest() {
    for model in Model::ALL {
        let (rig, guest, [rx, tx]) = guest(model);
        let frame = udp(None, 700);
        for n in 0..4u64 {
            guest.put(RX_RING + 16 * n, [BUFFERS + 2048 * n, 0]);
            // In two pieces, of which the second begins at an odd address.
            let at = BUFFERS + 0x1_0001 + 2048 * n;
            guest.write(at, &frame).unwrap();
            let whole = frame.len() as u32;
            guest.put(TX_RING + 32 * n, [at, TxDesc::data(100, whole, 0)]);
            let more = TxDesc::data(frame.len() as u16 - 100, whole, TxDesc::EOP | TxDesc::RS);
            guest.put(TX_RING + 32 * n + 16, [at + 100, more]);
        }
        rig.bar.write32(tx + TAIL, 8);
        rig.bar.write32(rx + TAIL, 4);
        for _ in 0..3 {
            rig.nic.inject_frame(&frame);
        }
        rig.nic.step_until_idle(100);
        assert_eq!(rig.nic.take_sent(), vec![frame.clone(); 4], "{model:?}");
        for n in 0..4 {
            let [_, done] = guest.get(TX_RING + 32 * n + 16);
            assert_ne!(done & TxDesc::DD, 0);
            let [_, status] = guest.get(RX_RING + 16 * n);
            if n == 3 {
                assert_eq!(status, 0, "nothing came");
                continue;
            }
            assert_eq!(status & (RxDesc::DD | RxDesc::EOP), RxDesc::DD | RxDesc::EOP);
            assert_eq!(status >> 32 & 0xffff, frame.len() as u64);
            let mut stored = vec![0; frame.len()];
            guest.read(BUFFERS + 2048 * n, &mut stored).unwrap();
            assert_eq!(stored, frame);
        }
        assert_eq!(rig.nic.faults(), []);
    }
}

#[test]
fn what_is_not_mapped_is_a_fault_and_memory_that_was_taken_away_is_let_go() {
    for model in Model::ALL {
        let (rig, guest, [rx, tx]) = guest(model);
        let outside = FIRST + LEN as u64 - 100;
        guest.put(TX_RING, [outside, TxDesc::data(101, 101, TxDesc::EOP | TxDesc::RS)]);
        rig.bar.write32(tx + TAIL, 1);
        rig.nic.step_until_idle(100);
        guest.put(RX_RING, [outside, 0]);
        rig.bar.write32(rx + TAIL, 1);
        rig.nic.inject_frame(&udp(None, 700));
        rig.nic.step_until_idle(100);
        let faults = rig.nic.faults();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults.iter().all(|f| f.what == FaultKind::Unmapped && f.address == Some(outside)));
        assert!(rig.nic.take_sent().is_empty());

        let watch = Arc::downgrade(&guest);
        drop(guest);
        rig.nic.set_guest_memory(None);
        assert_eq!(watch.strong_count(), 0, "a ring still knows it");
    }
}
