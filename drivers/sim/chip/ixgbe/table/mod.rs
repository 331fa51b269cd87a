//! What the model knows of the chip's registers beyond the driver's table: the rest of the
//! datasheet's chapter 8.2.3, which bits can be written, and what is only storage here.

use super::time;
use super::variant::Variant;
use crate::drivers::sim::regs::{Notes, RegFile};
use crate::drivers::sim::setup::address;
use crate::mmio::RegMeta;

mod data;
mod early;
mod flow;
mod host;
mod secure;

pub(super) use host::{EEWR, GSCL_1};

/// Registers that the driver has no use for. What the driver's table has, too, is that one's.
pub(super) fn rest() -> impl Iterator<Item = &'static RegMeta> {
    [early::EARLY, host::HOST, data::DATA, flow::FLOW, secure::SECURE].into_iter().flatten()
}

/// Where pause frames are sent to.
pub(super) fn pause_address(regs: &RegFile) -> [u8; 6] {
    address(regs.get::<data::FCAMACL>(0).0, regs.get::<data::FCAMACH>(0).0)
}

/// Second addresses that are not in the driver's table.
pub(super) const ALIASES: &[(&str, &str)] = &[("PBACLR", "PBACL")];

/// Bits that software can write; the others keep what they have. Those of the strict registers
/// are their fields.
const WRITABLE: &[(&str, u32)] = &[
    // Stock drivers' register tests find bit 4 of both thresholds writable.
    ("FCRTL", 0x8007_fff0),
    ("FCRTH", 0x8007_fff0),
    ("FCRTV", 0x0000_ffff),
    ("FCCFG", 0x0000_0018),
    ("PAP", 0x000f_ffff),
    ("MAXFRS", 0xffff_0000),
    ("VLNCTRL", 0x7000_ffff),
    ("MCSTCTRL", 0x0000_0007),
    ("RAH", 0x8000_ffff),
    ("RDBAL", 0xffff_ff80),
    ("RDBAL_64", 0xffff_ff80),
    ("RDLEN", 0x000f_ff80),
    ("RDLEN_64", 0x000f_ff80),
    ("RXDCTL_64", 0x4600_bfff),
    ("SRRCTL_64", 0x1fc0_3f1f),
    ("RSCCTL", 0x0000_000d),
    ("RSCCTL_64", 0x0000_000d),
    ("RSCDBU", 0x0000_00ff),
    ("DCA_RXCTRL", 0xff00_bae0),
    ("DCA_RXCTRL_64", 0xff00_bae0),
    ("RXPBSIZE", 0x000f_fc00),
    ("TDBAL", 0xffff_ff80),
    ("TDLEN", 0x000f_ff80),
    ("TDWBAL", 0xffff_fffd),
    ("DCA_TXCTRL", 0xff00_2a20),
    ("DTXMXSZRQ", 0x0000_0fff),
    ("DTXTCPFLGL", 0x0fff_0fff),
    ("DTXTCPFLGH", 0x0000_0fff),
    ("TXPBSIZE", 0x000f_fc00),
    ("TXPBTHRESH", 0x0000_03ff),
    ("RTTDQSEL", 0x0000_007f),
    ("RTTDT1C", 0x0000_3fff),
    ("RTTBCNRC", 0x80ff_ffff),
    ("LEDCTL", 0xcfcf_cfef),
    ("EXVET", 0xffff_0000),
    ("DCA_CTRL", 0x0000_001f),
    ("CTRL_EXT", 0x1403_0000),
    ("GRC", 0x0000_0003),
    // The firmware's.
    ("FWSM", 0),
    ("EEMNGCTL", 0),
];

/// Registers of which the reserved bits are all known.
pub(super) const STRICT: &[&str] = &[
    "CTRL", "FCTRL", "MRQC", "RXCSUM", "HLREG0", "RXCTRL", "RDRXCTL", "DMATXCTL", "MTQC", "RDLEN",
    "TDLEN", "RXDCTL", "TXDCTL", "SRRCTL",
];

/// Registers of the driver's table that hold what is written, and nothing comes of it.
const STORAGE: &[&str] = &[
    "GCR_EXT",
    "SRAMREL",
    "DCA_CTRL",
    "DCA_RXCTRL",
    "DCA_RXCTRL_64",
    "DCA_TXCTRL",
    "WUC",
    "WUFC",
    "RQTC",
    "FCRXCTRL",
    "PFQDE",
    "PFVTCTL",
    "PFVML2FLT",
    "PFVLVF",
    "PFVLVFB",
    "PFDTXGSWC",
    "RTRPCS",
    "RTTPCS",
    "RTRUP2TC",
    "RTTUP2TC",
    "RTRPT4C",
    "RTTDT2C",
    "RTTPT2C",
    "RTTDT1C",
    "RTTBCNRC",
    "RTTBCNRM",
];

/// Registers of the rest that do mean something.
const WORKING: &[&str] = &["EEWR", "PFCTOP", "FCAMACL", "FCAMACH", "PBACLR"];

/// Everything that is said above about a chip's registers.
pub(super) fn notes(variant: Variant) -> Notes {
    let mut notes =
        Notes { writable: WRITABLE.to_vec(), strict: STRICT, storage: STORAGE.to_vec() };
    if variant == Variant::I82599 {
        // Later chips have more resources, and a semaphore, in it.
        notes.writable.push(("SW_FW_SYNC", 0x0000_03ff));
    }
    if variant != Variant::X550 {
        // X550's entries have six bits, and more of them elsewhere.
        notes.writable.push(("RETA", 0x0f0f_0f0f));
    }
    let own: Vec<_> = variant.more().map(|meta| meta.name).collect();
    let works = |meta: &RegMeta| {
        WORKING.contains(&meta.name)
            || own.contains(&meta.name)
            || flow::FLOW.iter().any(|flow| flow.name == meta.name)
    };
    let inert = rest().filter(|meta| !works(meta)).map(|meta| meta.name);
    notes.storage.extend(inert);
    notes.storage.extend(time::inert(variant));
    notes
}
