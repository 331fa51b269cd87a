//! Registers that answer what bring-up waits for, in plain memory. Tails are rung as on hardware:
//! one store to a mapped register.

use std::time::Duration;

use barewire::Result;
use barewire::mmio::{Bar, MappedBar, MappedDoorbell};
use memmap2::MmapMut;

/// 82599 register offsets that the rig reads back, transcribed from the datasheet.
const CTRL: u32 = 0x0;
const STATUS: u32 = 0x8;
pub(super) const RDBAL: u32 = 0x1000;
pub(super) const RDBAH: u32 = 0x1004;
pub(super) const RDT: u32 = 0x1018;
const RDRXCTL: u32 = 0x2f00;
const LINKS: u32 = 0x42a4;
const RAL: u32 = 0xa200;
const RAH: u32 = 0xa204;
pub(super) const TDBAL: u32 = 0x6000;
pub(super) const TDBAH: u32 = 0x6004;
pub(super) const TDT: u32 = 0x6018;
const EEC: u32 = 0x10010;
const EERD: u32 = 0x10014;

/// Bytes of BAR 0.
const LEN: usize = 0x2_0000;

/// A register space of plain memory.
#[derive(Debug, Clone)]
pub(crate) struct RigBar(MappedBar);

impl RigBar {
    pub(super) fn new() -> Result<Self> {
        let memory = MmapMut::map_anon(LEN).expect("128 KiB of memory");
        let bar = Self(MappedBar::new(memory.into(), "rig")?);
        for (reg, value) in [
            (EEC, 1 << 9 | 1 << 8),
            (RDRXCTL, 1 << 3),
            (LINKS, 1 << 30 | 0b11 << 28),
            (RAL, 0x0100_0002),
            (RAH, 1 << 31 | 0x0100),
        ] {
            bar.0.write32(reg, value);
        }
        Ok(bar)
    }

    /// The 64-bit value of two registers.
    pub(super) fn pair(&self, low: u32, high: u32) -> u64 {
        u64::from(self.read32(low)) | u64::from(self.read32(high)) << 32
    }
}

impl Bar for RigBar {
    type Bell = MappedDoorbell;
    const SOFTWARE: bool = false;
    fn read32(&self, offset: u32) -> u32 {
        self.0.read32(offset)
    }
    fn write32(&self, offset: u32, value: u32) {
        // Resets finish at once; DMA-done and the other constants stay.
        let value = match offset {
            CTRL => value & !(1 << 26 | 1 << 3),
            RDRXCTL => value | 1 << 3,
            // An EEPROM of zeros, but for the word that makes its sum 0xbaba.
            EERD if value >> 2 & 0x3fff == 0x3f => 0xbaba_0002,
            EERD => 2,
            STATUS | LINKS | EEC => return,
            _ => value,
        };
        self.0.write32(offset, value);
    }
    fn doorbell(&self, offset: u32) -> MappedDoorbell {
        self.0.doorbell(offset)
    }
    fn now(&self) -> Duration {
        self.0.now()
    }
    fn delay(&self, _: Duration) {}
    fn name(&self) -> &str {
        self.0.name()
    }
}
