//! What register dumps and stock drivers look at: all of it has a name, and looking changes
//! nothing (offsets from Intel's public drivers).

use std::collections::BTreeSet;

use super::registers::{asked, nic};
use crate::drivers::ixgbe::regs::{
    EICR, EICS, EIMS, FRTIMER, LINKS, RAH, SWSM, SYNQF, TCPTIMER, TDBAL, TDWBAL,
};
use crate::drivers::sim::Model;
use crate::mmio::{Bar, Register};

/// First offset, how many, and how far apart.
type Run = (u32, u32, u32);

/// What `ethtool -d` has stock Linux read from an 82599: registers that the 82598 had, too.
const DUMP: &[Run] = &[
    // General and NVM.
    (0x0_0000, 1, 0),
    (0x0_0008, 1, 0),
    (0x0_0018, 1, 0),
    (0x0_0020, 2, 0x08),
    (0x0_0048, 2, 0x04),
    (0x0_0200, 1, 0),
    (0x1_0010, 2, 0x04),
    (0x1_001c, 1, 0),
    (0x1_0110, 5, 0x04),
    (0x1_013c, 1, 0),
    (0x1_0200, 1, 0),
    // Interrupts.
    (0x0_0808, 2, 0x08),
    (0x0_0820, 1, 0),
    (0x0_0880, 4, 0x08),
    (0x0_0900, 1, 0),
    (0x0_2000, 1, 0),
    (0x1_1068, 1, 0),
    // Flow control.
    (0x0_3008, 1, 0),
    (0x0_3200, 4, 0x04),
    (0x0_3220, 8, 0x04),
    (0x0_3260, 8, 0x04),
    (0x0_32a0, 1, 0),
    (0x0_ce00, 1, 0),
    // Receive.
    (0x0_1000, 64, 0x40),
    (0x0_1004, 64, 0x40),
    (0x0_1008, 64, 0x40),
    (0x0_1010, 64, 0x40),
    (0x0_1018, 64, 0x40),
    (0x0_1028, 64, 0x40),
    (0x0_2100, 16, 0x04),
    (0x0_2200, 16, 0x04),
    (0x0_2f00, 1, 0),
    (0x0_3000, 1, 0),
    (0x0_3c00, 8, 0x04),
    (0x0_3d04, 1, 0),
    (0x0_5000, 2, 0x08),
    (0x0_5080, 3, 0x08),
    (0x0_5400, 32, 0x04),
    (0x0_5480, 1, 0),
    (0x0_5818, 2, 0x04),
    (0x0_5a80, 17, 0x04),
    // Transmit.
    (0x0_6000, 32, 0x40),
    (0x0_6004, 32, 0x40),
    (0x0_6008, 32, 0x40),
    (0x0_6010, 32, 0x40),
    (0x0_6018, 32, 0x40),
    (0x0_6028, 32, 0x40),
    (0x0_6038, 32, 0x40),
    (0x0_603c, 32, 0x40),
    (0x0_7200, 16, 0x04),
    (0x0_7e00, 1, 0),
    (0x0_cb00, 1, 0),
    (0x0_cc00, 8, 0x04),
    (0x0_cd10, 1, 0),
    // Wake-up.
    (0x0_5800, 3, 0x08),
    (0x0_5838, 2, 0x08),
    (0x0_5880, 1, 0),
    (0x0_5900, 1, 0),
    (0x0_5a00, 1, 0),
    (0x0_9000, 1, 0),
    // Arbiters.
    (0x0_2140, 16, 0x04),
    (0x0_2430, 1, 0),
    (0x0_3020, 1, 0),
    (0x0_3d00, 1, 0),
    (0x0_4900, 1, 0),
    (0x0_4910, 16, 0x04),
    (0x0_4980, 1, 0),
    (0x0_498c, 1, 0),
    (0x0_4a90, 1, 0),
    (0x0_82e0, 4, 0x04),
    (0x0_8b00, 1, 0),
    (0x0_c800, 1, 0),
    (0x0_cd00, 1, 0),
    (0x0_cd20, 16, 0x04),
    // MAC and link.
    (0x0_4200, 1, 0),
    (0x0_4208, 8, 0x04),
    (0x0_4240, 12, 0x04),
    (0x0_4288, 13, 0x04),
    (0x0_42c0, 4, 0x04),
    (0x0_4800, 1, 0),
    // Diagnosis.
    (0x0_2c00, 9, 0x04),
    (0x0_2f08, 1, 0),
    (0x0_2f10, 5, 0x04),
    (0x0_3300, 1, 0),
    (0x0_3600, 1, 0),
    (0x0_3610, 4, 0x04),
    (0x0_50a4, 1, 0),
    (0x0_7c00, 9, 0x04),
    (0x0_7f08, 1, 0),
    (0x0_7f10, 5, 0x04),
    (0x0_c300, 1, 0),
    (0x0_c600, 1, 0),
    (0x0_c610, 4, 0x04),
    (0x1_106c, 1, 0),
    (0x1_1090, 8, 0x04),
    // Security.
    (0x0_8800, 3, 0x04),
    (0x0_8810, 1, 0),
    (0x0_8d00, 2, 0x04),
];

/// What else stock Linux and DPDK touch, from probing an 82599 to its removal, and the driver of
/// this crate does not: Flow Director, time, pools and mailboxes, FCoE, LinkSec and IPsec.
const BEYOND: &[Run] = &[
    (0x0_01c0, 1, 0),
    (0x0_0600, 1, 0),
    (0x0_0700, 2, 0x04),
    (0x0_0710, 6, 0x04),
    (0x0_2410, 7, 0x04),
    (0x0_3190, 1, 0),
    (0x0_4328, 2, 0x04),
    (0x0_4b00, 64, 0x04),
    (0x0_5108, 1, 0),
    (0x0_5110, 1, 0),
    (0x0_5118, 1, 0),
    (0x0_5120, 1, 0),
    (0x0_5158, 1, 0),
    (0x0_5180, 3, 0x04),
    (0x0_51a0, 3, 0x04),
    (0x0_51d8, 1, 0),
    (0x0_51e8, 1, 0),
    (0x0_51f8, 1, 0),
    (0x0_8000, 64, 0x04),
    (0x0_8200, 8, 0x04),
    (0x0_8784, 2, 0x04),
    (0x0_8790, 2, 0x04),
    (0x0_8900, 6, 0x04),
    (0x0_8a00, 20, 0x04),
    (0x0_8c00, 19, 0x04),
    (0x0_8e00, 13, 0x04),
    (0x0_8f00, 33, 0x04),
    (0x0_9000, 256, 0x04),
    (0x0_9800, 128, 0x04),
    (0x0_cf90, 1, 0),
    (0x0_ec90, 1, 0),
    (0x0_ed00, 1, 0),
    (0x0_ed10, 8, 0x04),
    (0x0_ee00, 1, 0),
    (0x0_ee0c, 9, 0x04),
    (0x0_ee38, 10, 0x04),
    (0x0_ee68, 5, 0x04),
    (0x0_f600, 20, 0x04),
    (0x1_1010, 12, 0x04),
    (0x1_1088, 2, 0x04),
    (0x1_10b0, 3, 0x04),
    (0x1_3000, 1024, 0x04),
    (0x1_5014, 1, 0),
    (0x1_5800, 448, 0x04),
    (0x1_5f00, 1, 0),
    (0x1_5f0c, 1, 0),
];

fn offsets(runs: &[Run]) -> BTreeSet<u32> {
    let run = |&(first, count, stride): &Run| (0..count).map(move |n| first + n * stride);
    runs.iter().flat_map(run).collect()
}

#[test]
fn everything_that_drivers_look_at_has_a_name() {
    let map = Model::I82599.chip().map();
    let dump = offsets(DUMP);
    assert_eq!(dump.len(), 986);
    for offset in dump.union(&offsets(BEYOND)) {
        assert!(map.meta(*offset).is_some(), "{offset:#x}");
    }
}

#[test]
fn a_dump_changes_nothing() {
    let nic = nic(Model::I82599);
    let bar = nic.bar();
    assert!(asked(|| LINKS::read(&bar).has(LINKS::LINK_UP)) < 100);
    nic.step();
    EICR(u32::MAX).write(&bar);
    EICS(0x0010_0005).write(&bar);
    EIMS(0x0030_000f).write(&bar);
    TDBAL(0x1234_5680).write_at(&bar, 7);
    TDWBAL(0x8001).write_at(&bar, 7);
    SYNQF(3).write(&bar);
    let regs = &nic.device().regs;
    let all = || -> Vec<u32> { (0..regs.map.len).step_by(4).map(|at| regs.peek(at)).collect() };
    let read = || -> Vec<u32> { offsets(DUMP).iter().map(|at| bar.read32(*at)).collect() };
    let (before, first) = (all(), read());
    let (after, second) = (all(), read());
    assert_eq!(before, after);
    for ((offset, first), second) in offsets(DUMP).iter().zip(first).zip(second) {
        let ticks = [FRTIMER::META.offset, TCPTIMER::META.offset].contains(offset);
        assert!(ticks || first == second, "{offset:#x}");
    }
    // Some of what is to be seen in it.
    assert_eq!(bar.read32(0x5404), RAH::read(&bar).raw());
    assert_eq!((EIMS::read(&bar).raw(), EICR::read(&bar).raw()), (0x0030_000f, 0x0010_0005));
    assert!(!SWSM::read(&bar).has(SWSM::SMBI), "nobody has taken the semaphore");
}
