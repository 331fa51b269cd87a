//! What is at each address inside the PHY: manageable device, register, value after a reset, and
//! which bits software can write.

use super::Variant;

/// Manageable devices (IEEE 802.3 table 45-1).
pub(super) const PMA: u8 = 1;
pub(super) const PCS: u8 = 3;
pub(super) const PHY_XS: u8 = 4;
pub(super) const AN: u8 = 7;
const CLAUSE_22: u8 = 29;
/// Vendor's own: the whole chip, and the DSP.
pub(super) const CHIP: u8 = 30;
const DSP: u8 = 31;
const DEVICES: [u8; 7] = [PMA, PCS, PHY_XS, AN, CLAUSE_22, CHIP, DSP];

/// Registers that every device has: control, status, status 2.
pub(super) const CONTROL: u16 = 0;
pub(super) const STATUS: u16 = 1;
const ID: [u16; 2] = [2, 3];
const PRESENT: [u16; 2] = [5, 6];
const STATUS_2: u16 = 8;
/// Status 2: somebody answers.
const RESPONDS: u16 = 0x8000;

// Auto-negotiation.
pub(super) const ADVERTISED: u16 = 16;
pub(super) const PARTNER: u16 = 19;
pub(super) const TEN_CONTROL: u16 = 32;
pub(super) const TEN_STATUS: u16 = 33;
/// The vendor's: 1, 2.5 and 5 Gbit/s; the rate that came out; what has happened; the partner.
pub(super) const PROVISION: u16 = 0xC400;
pub(super) const RATE: u16 = 0xC800;
pub(super) const HAPPENED: u16 = 0xCC01;
pub(super) const PARTNER_RATES: u16 = 0xE820;

/// PMA and PCS: speed in the control register's bits 13, 6 and 5:2; 10 Gbit/s.
const TEN: u16 = 0x2040;
const SPEED: u16 = 0x207c;
/// Control: low power, loopback.
pub(super) const LOW_POWER: u16 = 1 << 11;
const PMA_LOOPBACK: u16 = 1;
const PCS_LOOPBACK: u16 = 1 << 14;

/// One register.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) device: u8,
    pub(super) at: u16,
    pub(super) value: u16,
    pub(super) writable: u16,
    /// Reading clears it.
    pub(super) once: bool,
}

fn line(device: u8, at: u16, value: u16, writable: u16) -> Line {
    Line { device, at, value, writable, once: false }
}

/// All of them, in order.
pub(super) fn all(variant: Variant) -> Vec<Line> {
    let more = variant == Variant::X550;
    let id = [0x0154, if more { 0x0221 } else { 0x0200 }];
    let mut lines = Vec::new();
    for device in DEVICES {
        lines.extend([line(device, ID[0], id[0], 0), line(device, ID[1], id[1], 0)]);
        // By number: 1, 3, 4, 7 and 29, 30, 31.
        lines.extend([line(device, PRESENT[0], 0x009a, 0), line(device, PRESENT[1], 0xe000, 0)]);
        if device != PMA && device != PCS {
            lines.push(line(device, STATUS_2, RESPONDS, 0));
        }
    }
    lines.extend([
        line(PMA, CONTROL, TEN, LOW_POWER | SPEED | PMA_LOOPBACK),
        // Low power is possible.
        line(PMA, STATUS, 0x0002, 0),
        // Speeds: 100 Mbit/s, 1 and 10 Gbit/s; 2.5 and 5 Gbit/s.
        line(PMA, 4, if more { 0x6031 } else { 0x0031 }, 0),
        // 10GBASE-T.
        line(PMA, 7, 0x0009, 0x003f),
        // Loopback, transmit disable and extended abilities.
        line(PMA, STATUS_2, RESPONDS | 0x0301, 0),
        line(PMA, 9, 0, 0x001f),
        line(PMA, 10, 0, 0),
        // 10GBASE-T, 1000BASE-T, 100BASE-TX; 2.5GBASE-T and 5GBASE-T.
        line(PMA, 11, if more { 0x40a4 } else { 0x00a4 }, 0),
        // The PHY's reset is over.
        Line { once: true, ..line(PMA, 0xCC02, 0x0003, 0) },
        line(PCS, CONTROL, TEN, LOW_POWER | SPEED | PCS_LOOPBACK),
        line(PCS, STATUS, 0x0002, 0),
        line(PCS, 4, 0x0001, 0),
        line(PCS, 7, 0x0003, 0x0003),
        line(PCS, STATUS_2, RESPONDS | 0x0008, 0),
        // Frames with a wrong CRC-8, and LDPC errors, low and high half.
        line(PCS, 0xE810, 0, 0),
        line(PCS, 0xE811, 0, 0),
        line(PCS, 0xE820, 0, 0),
        line(PCS, 0xE821, 0, 0),
        line(PHY_XS, CONTROL, TEN, LOW_POWER | SPEED | PCS_LOOPBACK),
        line(PHY_XS, STATUS, 0x0002, 0),
        line(PHY_XS, 24, 0x0c0f, 0),
        // Negotiation is on, with extended pages.
        line(AN, CONTROL, 0x3000, 0x3000),
        line(AN, STATUS, 0x0008, 0),
        // Extended pages, both kinds of pause, 100 Mbit/s full duplex.
        line(AN, ADVERTISED, 0x1d01, 0x9fff),
        line(AN, PARTNER, 0, 0),
        line(AN, TEN_CONTROL, 0x1001, 0xf181),
        line(AN, TEN_STATUS, 0, 0),
        line(AN, 60, 0, 0x000e),
        line(AN, 61, 0, 0),
        line(AN, PROVISION, if more { 0x8c00 } else { 0x8000 }, 0xffff),
        line(AN, RATE, 0, 0),
        Line { once: true, ..line(AN, 0xCC00, 0, 0) },
        Line { once: true, ..line(AN, HAPPENED, 0, 0) },
        line(AN, PARTNER_RATES, 0, 0),
        line(CHIP, CONTROL, 0, LOW_POWER),
        line(CHIP, STATUS, 0, 0),
        // LEDs.
        line(CHIP, 0xC430, 0, 0xffff),
        line(CHIP, 0xC431, 0, 0xffff),
        line(CHIP, 0xC432, 0, 0xffff),
        // Alarms and faults, and which of them interrupt: never any.
        line(CHIP, 0xC850, 0, 0),
        Line { once: true, ..line(CHIP, 0xCC00, 0, 0) },
        line(CHIP, 0xD400, 0, 0xffff),
        line(CHIP, 0xFC00, 0, 0),
        line(CHIP, 0xFC01, 0, 0),
        line(CHIP, 0xFF00, 0, 0xffff),
        line(CHIP, 0xFF01, 0, 0xffff),
    ]);
    lines
}

/// Whether anybody answers at the address of a device.
pub(super) fn is_there(device: u8) -> bool {
    DEVICES.contains(&device)
}
