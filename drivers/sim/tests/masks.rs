//! Which bits of an 82599's registers can be written, and that they all have names (82599
//! datasheet 8.2.3).

use super::registers::nic;
use crate::drivers::ixgbe::regs::{
    FCRTH, FCRTL, FCTTV, MAXFRS, MTA, RAL, RAL_ALIAS, RDBAH, RDBAL, RDLEN, RDT, RXCTRL, RXDCTL,
    RXPBSIZE, SRRCTL, STATUS, TDBAH, TDBAL, TDLEN, TXDCTL, VLNCTRL,
};
use crate::drivers::sim::{Model, SimBar};
use crate::mmio::{Bar, RegMeta, Register};

const PATTERNS: [u32; 4] = [0x5a5a_5a5a, 0xa5a5_a5a5, 0, u32::MAX];

/// Writes patterns cut by `write` and expects those cut by `mask`, too; leaves things as they were.
fn patterns(bar: &SimBar, meta: &RegMeta, elements: u32, mask: u32, write: u32) {
    for offset in (0..elements).map(|n| meta.offset_of(n)) {
        for pattern in PATTERNS {
            let before = bar.read32(offset);
            bar.write32(offset, pattern & write);
            let found = bar.read32(offset);
            bar.write32(offset, before);
            assert_eq!(found, pattern & write & mask, "{} at {offset:#x}", meta.name);
        }
    }
}

/// What manufacturing and drivers' self-tests look at.
#[test]
fn patterns_come_back_as_far_as_bits_exist() {
    let bar = nic(Model::I82599).bar();
    let all = u32::MAX;
    patterns(&bar, &FCRTL::META, 8, 0x8007_fff0, 0x8007_fff0);
    patterns(&bar, &FCRTH::META, 8, 0x8007_fff0, 0x8007_fff0);
    patterns(&bar, &FCTTV::META, 4, all, all);
    patterns(&bar, &VLNCTRL::META, 1, 0x7000_ffff, all);
    patterns(&bar, &RDBAL::META, 64, 0xffff_ff80, all);
    patterns(&bar, &RDBAH::META, 64, all, all);
    patterns(&bar, &RDLEN::META, 64, 0x000f_ff80, all);
    for queue in 0..4 {
        RXDCTL(0).with(RXDCTL::ENABLE, 1).write_at(&bar, queue);
    }
    patterns(&bar, &RDT::META, 4, 0xffff, 0xffff);
    for queue in 0..4 {
        RXDCTL(0).write_at(&bar, queue);
    }
    patterns(&bar, &TDBAL::META, 128, 0xffff_ff80, all);
    patterns(&bar, &TDBAH::META, 128, all, all);
    patterns(&bar, &TDLEN::META, 128, 0x000f_ff80, all);
    patterns(&bar, &RXCTRL::META, 1, 1, all);
    for ral in [RAL::META, RAL_ALIAS::META] {
        patterns(&bar, &ral, 16, all, all);
        for n in 0..16 {
            let high = ral.offset_of(n) + 4;
            let before = bar.read32(high);
            bar.write32(high, all);
            assert_eq!(bar.read32(high), 0x8000_ffff);
            bar.write32(high, before);
        }
    }
    patterns(&bar, &MTA::META, 128, all, all);
    // The 82598's pause opcode.
    for pattern in PATTERNS {
        bar.write32(0x3008, pattern);
        assert_eq!(bar.read32(0x3008), pattern);
    }
}

#[test]
fn status_cannot_be_written() {
    let bar = nic(Model::I82599).bar();
    let before = STATUS::read(&bar);
    for pattern in PATTERNS {
        STATUS(pattern).write(&bar);
        assert_eq!(STATUS::read(&bar), before);
    }
}

#[test]
fn reserved_bits_keep_their_value() {
    let bar = nic(Model::I82599).bar();
    for (meta, bits) in [
        (RXDCTL::META, 0x4000_bfff),
        (TXDCTL::META, 0x007f_7f7f),
        (SRRCTL::META, 0x1fc0_3f1f),
        (MAXFRS::META, 0xffff_0000),
        (RXPBSIZE::META, 0x000f_fc00),
    ] {
        bar.write32(meta.offset, !(3 << 25));
        let found = bar.read32(meta.offset);
        assert_eq!(found & !(3 << 25), bits & !(3 << 25), "{}", meta.name);
        bar.write32(meta.offset, 0);
        assert_eq!(bar.read32(meta.offset), meta.reset & !bits, "{}", meta.name);
    }
}

#[test]
fn clearing_the_pcie_counters_is_soon_done() {
    let bar = nic(Model::I82599).bar();
    bar.write32(0x1_1010, 1 << 31 | 1 << 29);
    assert_eq!(bar.read32(0x1_1010), 1 << 31);
    assert_eq!(bar.read32(0x1_1020), 0);
}

/// Second addresses of tables.
#[test]
fn what_is_written_at_one_address_is_read_at_the_other() {
    let bar = nic(Model::I82599).bar();
    for (old, new, stride) in [
        (0x5400, 0xa200, 8),
        (0x5404, 0xa204, 8),
        (0x5480, 0xea00, 4),
        (0x2100, 0x1014, 0x40),
        (0x2200, 0x100c, 0x40),
    ] {
        let step = if stride == 0x40 { 4 } else { stride };
        for n in 0..16 {
            let bits = if old == 0x2200 { 0xff00_0000 } else { 0x0000_0402 };
            bar.write32(old + n * step, bits | n << 25);
            assert_eq!(bar.read32(new + n * stride), bar.read32(old + n * step), "{old:#x} {n}");
            assert_ne!(bar.read32(new + n * stride), 0);
        }
    }
    bar.write32(0xec80, 1);
    assert_eq!(bar.read32(0x5818), 1);
}
