//! The PCI configuration space of a software NIC: header, capabilities, and what software may
//! change of it (82599 datasheet 9, 82576 datasheet 9; PCI Express base specification 7).
//!
//! Capabilities are where the chips have them, since drivers do not look for them all: power
//! management at 0x40, MSI at 0x50, MSI-X at 0x70, PCI Express at 0xA0; extended, error reporting
//! at 0x100 and the serial number at 0x140. There is no I/O BAR, no expansion ROM, no VPD and no
//! SR-IOV, as on an adapter whose EEPROM switches them off.

use crate::drivers::sim::Model;
use crate::port::MacAddr;

/// Bytes of a PCI Express function's configuration space.
pub(super) const LEN: usize = 4096;

const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const BARS: usize = 0x10;
const PM: usize = 0x40;
const MSI: usize = 0x50;
const MSIX: usize = 0x70;
const EXPRESS: usize = 0xa0;
const AER: usize = 0x100;
const SERIAL: usize = 0x140;

/// Command register.
const MEMORY: u16 = 1 << 1;
const MASTER: u16 = 1 << 2;
const INTX_DISABLE: u16 = 1 << 10;
/// Status register: the line is asserted; there is a list of capabilities.
const INTX_STATUS: u8 = 1 << 3;
const CAPABILITIES: u16 = 1 << 4;
/// Device control: function level reset.
const INITIATE_FLR: u16 = 1 << 15;
/// Message control of MSI and of MSI-X.
const MSI_ENABLE: u16 = 1;
const MSIX_ENABLE: u16 = 1 << 15;
const MSIX_MASK: u16 = 1 << 14;

/// Bytes of the BAR with the MSI-X table, and where the pending bits are in it (82599 datasheet
/// 9.3.8.2, 82576 datasheet 9.5.3).
pub(super) const MSIX_LEN: u32 = 0x4000;
pub(super) const PENDING: u32 = 0x2000;

/// What a chip's slot holds, as it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PciIdentity {
    /// Device id; the vendor is Intel.
    pub device: u16,
    /// Subsystem id; its vendor is Intel, too.
    pub subsystem: u16,
    /// Revision id.
    pub revision: u8,
    /// Its BARs.
    pub bars: BarLayout,
    /// Bytes of the BAR with its registers. A power of two.
    pub registers: u32,
    /// Vectors of MSI-X.
    pub vectors: u16,
    /// Link speed (1: 2.5 GT/s, 2: 5 GT/s, 3: 8 GT/s).
    pub speed: u8,
    /// Lanes.
    pub lanes: u8,
}

/// How a chip's BARs are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarLayout {
    /// Registers in BAR 0 and MSI-X in BAR 4, both of 64 bits and prefetchable.
    Wide,
    /// Registers in BAR 0 and MSI-X in BAR 3, both of 32 bits.
    Narrow,
}

impl BarLayout {
    /// The BAR that holds table and pending bits of MSI-X.
    pub fn msix(self) -> u8 {
        match self {
            Self::Wide => 4,
            Self::Narrow => 3,
        }
    }

    /// The low bits of its BARs: 64 bits, prefetchable.
    fn flags(self) -> u32 {
        match self {
            Self::Wide => 0b1100,
            Self::Narrow => 0,
        }
    }
}

impl PciIdentity {
    /// What the model of a chip shows. `registers` are the bytes of its registers.
    pub(in crate::drivers::sim) fn of(model: Model, device: u16, registers: u32) -> Self {
        // The adapter with one port, whose function 0 stands alone.
        let (subsystem, bars, vectors, speed, lanes) = match model {
            // X520-1
            Model::I82599 => (0x0006, BarLayout::Wide, 64, 2, 8),
            // X540-T1
            Model::X540 => (0x0002, BarLayout::Wide, 64, 2, 8),
            // X550-T
            Model::X550 => (0x0001, BarLayout::Wide, 64, 3, 4),
            // Gigabit ET
            Model::I82576 => (0xa03c, BarLayout::Narrow, 10, 1, 4),
            // I350-T2
            Model::I350 => (0x0002, BarLayout::Narrow, 10, 2, 4),
        };
        let registers = registers.next_power_of_two();
        Self { device, subsystem, revision: 1, bars, registers, vectors, speed, lanes }
    }
}

/// What the slot has made of a function: how software has set it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slot {
    /// Its BARs answer: memory is enabled, and it is not asleep.
    pub memory: bool,
    /// It may start transactions of its own.
    pub master: bool,
    /// INTx is disabled.
    pub intx_disabled: bool,
    /// MSI is enabled, with so many messages.
    pub msi: Option<u16>,
    /// MSI-X is enabled.
    pub msix: bool,
    /// Power state, 0 to 3.
    pub power: u8,
}

/// The configuration space of one function.
#[derive(Clone)]
pub struct ConfigSpace {
    identity: PciIdentity,
    mac: MacAddr,
    bytes: Box<[u8; LEN]>,
    /// Bits that a write replaces, and those that a one in it clears.
    writable: Box<[u8; LEN]>,
    clearable: Box<[u8; LEN]>,
}

impl std::fmt::Debug for ConfigSpace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConfigSpace({:04x}, {:?})", self.identity.device, self.slot())
    }
}

impl ConfigSpace {
    /// As after power-on.
    pub fn new(identity: PciIdentity, mac: MacAddr) -> Self {
        let zero = || Box::new([0; LEN]);
        let mut space = Self { identity, mac, bytes: zero(), writable: zero(), clearable: zero() };
        space.header();
        space.capabilities();
        space.extended();
        space
    }

    /// As after a reset of the function.
    pub fn reset(&mut self) {
        *self = Self::new(self.identity, self.mac);
    }

    /// What it was made for.
    pub fn identity(&self) -> &PciIdentity {
        &self.identity
    }

    /// How software has set the function up.
    pub fn slot(&self) -> Slot {
        let command = self.get16(COMMAND);
        let msi = self.get16(MSI + 2);
        let power = self.bytes[PM + 4] & 3;
        Slot {
            memory: command & MEMORY != 0 && power == 0,
            master: command & MASTER != 0 && power == 0,
            intx_disabled: command & INTX_DISABLE != 0,
            msi: (msi & MSI_ENABLE != 0).then_some(1 << (msi >> 4 & 7).min(msi >> 1 & 7).min(5)),
            msix: self.get16(MSIX + 2) & MSIX_ENABLE != 0,
            power,
        }
    }

    /// Reads bytes; beyond the end, and for what is not there, all ones and zeros in that order.
    /// `intx` is whether the line is asserted.
    pub fn read(&self, offset: u64, into: &mut [u8], intx: bool) {
        into.fill(0xff);
        let Some(from) = usize::try_from(offset).ok().and_then(|o| self.bytes.get(o..)) else {
            return;
        };
        for (at, (to, byte)) in (offset..).zip(into.iter_mut().zip(from)) {
            *to = *byte | if at == STATUS as u64 && intx { INTX_STATUS } else { 0 };
        }
    }

    /// Writes bytes. Returns whether that asks for a function level reset, which is left to the
    /// caller.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let Ok(start) = usize::try_from(offset) else { return false };
        for (at, new) in (start..LEN).zip(bytes) {
            let (keep, clear) = (!self.writable[at], self.clearable[at]);
            let old = self.bytes[at];
            self.bytes[at] = (old & keep | new & !keep) & !(new & clear);
        }
        // The bit reads as zero.
        let flr = self.get16(EXPRESS + 8) & INITIATE_FLR != 0;
        self.bytes[EXPRESS + 9] &= !((INITIATE_FLR >> 8) as u8);
        flr
    }

    fn get16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    fn set16(&mut self, at: usize, value: u16, writable: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
        self.writable[at..at + 2].copy_from_slice(&writable.to_le_bytes());
    }

    fn set32(&mut self, at: usize, value: u32, writable: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        self.writable[at..at + 4].copy_from_slice(&writable.to_le_bytes());
    }

    /// Bits of a 16-bit register that a one clears.
    fn clear16(&mut self, at: usize, ones: u16) {
        self.clearable[at..at + 2].copy_from_slice(&ones.to_le_bytes());
    }

    fn clear32(&mut self, at: usize, ones: u32) {
        self.clearable[at..at + 4].copy_from_slice(&ones.to_le_bytes());
    }

    /// The header of type 0 (82599 datasheet 9.3).
    fn header(&mut self) {
        let PciIdentity { device, subsystem, revision, bars, registers, .. } = self.identity;
        self.set16(0x00, 0x8086, 0);
        self.set16(0x02, device, 0);
        // I/O, memory, master, parity response, SERR, INTx disable.
        self.set16(COMMAND, 0, 0x0547);
        self.set16(STATUS, CAPABILITIES, 0);
        // The errors that it remembers.
        self.clear16(STATUS, 0xf900);
        // Class: Ethernet controller.
        self.set32(0x08, 0x0200_0000 | u32::from(revision), 0);
        // Cache line size.
        self.set16(0x0c, 0, 0x00ff);
        for (bar, len) in [(0, registers), (bars.msix(), MSIX_LEN)] {
            let at = BARS + usize::from(bar) * 4;
            self.set32(at, bars.flags(), !(len - 1));
            if bars == BarLayout::Wide {
                self.set32(at + 4, 0, u32::MAX);
            }
        }
        self.set16(0x2c, 0x8086, 0);
        self.set16(0x2e, subsystem, 0);
        self.bytes[0x34] = PM as u8;
        // Interrupt line, and pin A.
        self.set16(0x3c, 0x0100, 0x00ff);
    }

    /// The list of capabilities (82599 datasheet 9.3.7 to 9.3.10).
    fn capabilities(&mut self) {
        let PciIdentity { bars, vectors, speed, lanes, .. } = self.identity;
        // Power management, version 1.2: PME from D0 and D3hot, device-specific initialisation.
        self.set16(PM, cap(0x01, MSI), 0);
        self.set16(PM + 2, 0x4823, 0);
        // Power state, PME enable, data select; PME status.
        self.set16(PM + 4, 0, 0x1f03);
        self.clear16(PM + 4, 1 << 15);

        // MSI: one message, 64-bit address, a mask for each.
        self.set16(MSI, cap(0x05, MSIX), 0);
        self.set16(MSI + 2, 0x0180, 0x0071);
        self.set32(MSI + 4, 0, !3);
        self.set32(MSI + 8, 0, u32::MAX);
        self.set16(MSI + 12, 0, u16::MAX);
        self.set32(MSI + 16, 0, 1);

        self.set16(MSIX, cap(0x11, EXPRESS), 0);
        self.set16(MSIX + 2, vectors - 1, MSIX_ENABLE | MSIX_MASK);
        self.set32(MSIX + 4, u32::from(bars.msix()), 0);
        self.set32(MSIX + 8, PENDING | u32::from(bars.msix()), 0);

        // PCI Express, version 2: an endpoint, the last of the list.
        self.set16(EXPRESS, cap(0x10, 0), 0);
        self.set16(EXPRESS + 2, 0x0002, 0);
        // Payloads of 512 bytes, acceptable latencies, role-based errors, FLR.
        self.set32(EXPRESS + 4, 0x1000_8cc2, 0);
        // Relaxed ordering and no-snoop allowed, reads of 512 bytes.
        self.set16(EXPRESS + 8, 0x2810, 0xfcff);
        self.clear16(EXPRESS + 10, 0x000f);
        let link = u16::from(speed) | u16::from(lanes) << 4;
        // L0s.
        self.set32(EXPRESS + 12, 0x0400 | u32::from(link), 0);
        // Active state power management, read completion boundary, common clock, extended sync.
        self.set16(EXPRESS + 16, 0, 0x00cb);
        // The slot's clock is used.
        self.set16(EXPRESS + 18, 1 << 12 | link, 0);
        // Completion timeouts of all ranges, or none.
        self.set32(EXPRESS + 0x24, 0x1f, 0);
        self.set16(EXPRESS + 0x28, 0, 0x001f);
        // Link speeds that it knows, a bit each: all up to its own.
        self.set32(EXPRESS + 0x2c, (2 << speed) - 2, 0);
        // Target link speed.
        self.set16(EXPRESS + 0x30, u16::from(speed), 0x000f);
    }

    /// Extended capabilities (82599 datasheet 9.4).
    fn extended(&mut self) {
        self.set32(AER, extended(0x0001, SERIAL), 0);
        // Uncorrectable errors: status, mask, severity.
        self.clear32(AER + 0x04, 0x001f_f010);
        self.set32(AER + 0x08, 0, 0x001f_f010);
        self.set32(AER + 0x0c, 0x0006_2030, 0x001f_f010);
        // Correctable ones: status, mask.
        self.clear32(AER + 0x10, 0x31c1);
        self.set32(AER + 0x14, 0x2000, 0x31c1);

        let [a, b, c, d, e, f] = self.mac.0;
        self.set32(SERIAL, extended(0x0003, 0), 0);
        // An EUI-64 made of the MAC address.
        self.set32(SERIAL + 4, u32::from_be_bytes([0xff, d, e, f]), 0);
        self.set32(SERIAL + 8, u32::from_be_bytes([a, b, c, 0xff]), 0);
    }
}

/// The head of a capability: id, and where the next one is.
fn cap(id: u8, next: usize) -> u16 {
    u16::from_le_bytes([id, next as u8])
}

/// The head of an extended capability of version 1.
fn extended(id: u16, next: usize) -> u32 {
    u32::from(id) | 1 << 16 | (next as u32) << 20
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([0x02, 0x11, 0x22, 0x33, 0x44, 0x55]);

    fn space(model: Model) -> ConfigSpace {
        ConfigSpace::new(PciIdentity::of(model, model.chip().pci_id(), 0x2_0000), MAC)
    }

    fn get<const N: usize>(space: &ConfigSpace, at: u64) -> u64 {
        let mut bytes = [0; 8];
        space.read(at, &mut bytes[..N], false);
        u64::from_le_bytes(bytes)
    }

    fn put32(space: &mut ConfigSpace, at: u64, value: u32) -> bool {
        space.write(at, &value.to_le_bytes())
    }

    /// Without them a kernel does not know what 8 GT/s are.
    #[test]
    fn the_link_knows_its_own_speed_and_those_below() {
        for (model, speeds) in
            [(Model::I82576, 0b0010_u64), (Model::X540, 0b0110), (Model::X550, 0b1110)]
        {
            let s = space(model);
            assert_eq!(get::<4>(&s, 0xa0 + 0x2c), speeds, "{model:?}");
            assert_eq!(get::<4>(&s, 0xa0 + 12) & 0xf, u64::from(speeds.ilog2()));
        }
    }

    #[test]
    fn the_header_says_what_it_is() {
        for (model, id) in [
            (Model::I82599, 0x10fb_8086),
            (Model::X540, 0x1528_8086),
            (Model::X550, 0x1563_8086),
            (Model::I82576, 0x10c9_8086),
            (Model::I350, 0x1521_8086),
        ] {
            let s = space(model);
            assert_eq!(get::<4>(&s, 0), id, "{model:?}");
            assert_eq!(get::<4>(&s, 8) >> 8, 0x02_0000, "Ethernet");
            assert_eq!(get::<1>(&s, 0x0e), 0, "header type 0, one function");
            assert_eq!(get::<1>(&s, 0x3d), 1, "pin A");
            assert_eq!(get::<4>(&s, 0x30), 0, "no ROM");
            assert_eq!(s.slot(), Slot::default());
        }
    }

    #[test]
    fn capabilities_are_where_the_chip_has_them() {
        for model in Model::ALL {
            let s = space(model);
            assert_ne!(get::<2>(&s, 6) & 0x10, 0);
            let mut found = Vec::new();
            let mut at = get::<1>(&s, 0x34);
            while at != 0 {
                found.push((get::<1>(&s, at), at));
                at = get::<1>(&s, at + 1);
            }
            assert_eq!(found, [(1, 0x40), (5, 0x50), (0x11, 0x70), (0x10, 0xa0)], "{model:?}");
            let mut at = 0x100;
            let mut found = Vec::new();
            while at != 0 {
                let head = get::<4>(&s, at);
                found.push((head & 0xffff, at));
                at = head >> 20;
            }
            assert_eq!(found, [(1, 0x100), (3, 0x140)]);
            assert_eq!(get::<8>(&s, 0x144), 0x0211_22ff_ff33_4455);
        }
        let table = |model| (get::<2>(&space(model), 0x72), get::<8>(&space(model), 0x74));
        assert_eq!(table(Model::I82599), (63, 0x2004_0000_0004));
        assert_eq!(table(Model::I82576), (9, 0x2003_0000_0003));
        assert_eq!(get::<2>(&space(Model::I82599), 0xb2) & 0x3ff, 0x082, "5 GT/s x8");
    }

    #[test]
    fn bars_answer_the_size_probe() {
        let sizes = |model| {
            let mut s = space(model);
            for bar in 0..6 {
                put32(&mut s, 0x10 + bar * 4, u32::MAX);
            }
            [0, 1, 2, 3, 4, 5].map(|bar| get::<4>(&s, 0x10 + bar * 4) as u32)
        };
        assert_eq!(sizes(Model::I82599), [0xfffe_000c, u32::MAX, 0, 0, 0xffff_c00c, u32::MAX]);
        assert_eq!(sizes(Model::I82576), [0xfffe_0000, 0, 0, 0xffff_c000, 0, 0]);
    }

    #[test]
    fn read_only_bits_stay_and_status_bits_clear_by_ones() {
        for model in Model::ALL {
            let mut s = space(model);
            let before = s.clone();
            s.write(0, &[0xff; LEN]);
            for (at, len) in
                [(0, 4), (6, 6), (0x2c, 8), (0x34, 8), (0x42, 2), (0xa2, 6), (0x100, 4)]
            {
                let bytes = |s: &ConfigSpace| s.bytes[at..at + len].to_vec();
                assert_eq!(bytes(&s), bytes(&before), "{model:?} {at:#x}");
            }
            assert_eq!(s.get16(COMMAND), 0x0547);
            assert_eq!(get::<2>(&s, 0x72) & 0x7ff, get::<2>(&before, 0x72), "table size");
            s.reset();
            assert_eq!((s.bytes, s.writable), (before.bytes, before.writable));
        }
        let mut s = space(Model::I82599);
        s.bytes[STATUS + 1] = 0xf9;
        s.write(STATUS as u64, &[0, 0x41]);
        assert_eq!(s.bytes[STATUS + 1], 0xb8);
    }

    #[test]
    fn the_slot_is_what_software_wrote() {
        let mut s = space(Model::I82599);
        s.write(4, &[0x06, 0x04]);
        let on = Slot { memory: true, master: true, intx_disabled: true, ..Slot::default() };
        assert_eq!(s.slot(), on);
        s.write(0x52, &[0x81, 0x01]);
        s.write(0x73, &[0x80]);
        assert_eq!(s.slot(), Slot { msi: Some(1), msix: true, ..on });
        s.write(0x44, &[3]);
        let asleep = s.slot();
        assert_eq!((asleep.power, asleep.memory, asleep.master), (3, false, false));
    }

    #[test]
    fn a_function_level_reset_is_asked_for_once() {
        let mut s = space(Model::X540);
        assert!(!s.write(0xa8, &[0x10, 0x28]));
        assert!(s.write(0xa8, &[0x10, 0xa8]));
        assert_eq!(get::<2>(&s, 0xa8), 0x2810, "the bit reads as zero");
        assert!(!s.write(0xaa, &[0xff, 0xff]));
        assert!(s.write(0xa9, &[0x80]), "written as a byte");
    }

    #[test]
    fn any_width_and_any_offset() {
        let mut s = space(Model::I82599);
        assert_eq!(get::<8>(&s, 0xffc), 0xffff_ffff_0000_0000, "the end");
        assert_eq!(get::<8>(&s, 0x1000), u64::MAX);
        assert_eq!(get::<8>(&s, u64::MAX), u64::MAX);
        assert_eq!(get::<2>(&s, 1), 0xfb80, "across two registers");
        for offset in [0xffc, 0x1000, u64::MAX, 1 << 40] {
            assert!(!s.write(offset, &[0xff; 8]));
        }
        let mut status = [0; 4];
        s.read(4, &mut status, true);
        assert_eq!(status, [0, 0, 0x18, 0], "the line is asserted");
    }
}
