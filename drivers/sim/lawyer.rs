//! The spec lawyer: records where a driver breaks the datasheet's order. Nothing here changes
//! what the model does.

use std::fmt;

use super::fault::QueueId;
use super::regs::RegFile;
use super::setup::{QueueReg, queue_reg};
use crate::drivers::ixgbe::regs::{
    self, CTRL, DMATXCTL, HLREG0, MTQC, RDRXCTL, RTTDCS, RXCTRL, RXDCTL, TXDCTL,
};
use crate::mmio::Register;

/// A rule of the datasheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// A tail is written only after the queue's ENABLE reads back as one (4.6.7, 4.6.8).
    TailBeforeEnable,
    /// A tail stays below the ring's length (7.1.9, 7.2.3.3).
    TailBeyondRing,
    /// Base, length and head of a ring do not change while its queue is enabled (4.6.7.1).
    RingChangedLive,
    /// A ring's base is a multiple of 128 (8.2.3.8.1).
    MisalignedBase,
    /// A ring's length is a multiple of 128 bytes (8.2.3.8.3).
    MisalignedLength,
    /// A queue is enabled with a ring of no length.
    EnabledWithoutRing,
    /// DMATXCTL.TE is set before any transmit queue is enabled (4.6.8).
    TransmitDmaOff,
    /// HLREG0.RXCRCSTRP and RDRXCTL.CRCSTRIP agree when receiving starts (4.6.7).
    CrcStripMismatch,
    /// MTQC is written only while RTTDCS.ARBDIS is set (8.2.3.9.15).
    ArbiterRunning,
    /// Reserved bits keep their value (8.2.3).
    ReservedBits,
    /// Nothing is written while a reset is in progress (4.6.3.2).
    WriteDuringReset,
    /// A descriptor fetched by the device has zeros where the format says so (7.2.3.2).
    DescriptorFormat,
}

/// One breach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// Of this rule.
    pub rule: Rule,
    /// By a write to this register; for descriptors the queue's tail.
    pub offset: u32,
    /// The value written; for descriptors the index.
    pub value: u32,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = RegFile::meta(self.offset).map_or("?", |m| m.name);
        write!(f, "{:?}: {name} ({:#07x}) = {:#010x}", self.rule, self.offset, self.value)
    }
}

/// Registers whose reserved bits are all known to the table: bits outside fields keep their
/// reset value.
const STRICT: [&str; 14] = [
    "CTRL", "FCTRL", "MRQC", "RXCSUM", "HLREG0", "RXCTRL", "RDRXCTL", "DMATXCTL", "MTQC", "RDLEN",
    "TDLEN", "RXDCTL", "TXDCTL", "SRRCTL",
];

/// Most breaches kept; a broken driver repeats itself.
const KEPT: usize = 1000;

/// What was recorded.
#[derive(Debug, Default)]
pub(super) struct Lawyer {
    found: Vec<Violation>,
}

impl Lawyer {
    pub(super) fn found(&self) -> Vec<Violation> {
        self.found.clone()
    }

    pub(super) fn record(&mut self, rule: Rule, offset: u32, value: u32) {
        if self.found.len() < KEPT {
            self.found.push(Violation { rule, offset, value });
        }
    }

    /// Looks at a write that is about to happen.
    pub(super) fn write(&mut self, regs: &RegFile, offset: u32, value: u32) {
        if regs.get::<CTRL>(0).has(CTRL::RST) && offset != CTRL::META.offset {
            self.record(Rule::WriteDuringReset, offset, value);
        }
        if let Some((queue, register)) = queue_reg(offset) {
            self.queue_write(regs, queue, register, offset, value);
        }
        match offset {
            o if o == RXCTRL::META.offset && RXCTRL(value).has(RXCTRL::RXEN) => {
                let mac = regs.get::<HLREG0>(0).has(HLREG0::RXCRCSTRP);
                if mac != regs.get::<RDRXCTL>(0).has(RDRXCTL::CRCSTRIP) {
                    self.record(Rule::CrcStripMismatch, offset, value);
                }
            }
            o if o == MTQC::META.offset && !regs.get::<RTTDCS>(0).has(RTTDCS::ARBDIS) => {
                self.record(Rule::ArbiterRunning, offset, value);
            }
            _ => {}
        }
        let Some(meta) = RegFile::meta(offset).filter(|m| STRICT.contains(&m.name)) else { return };
        let known = meta.fields.iter().fold(0, |mask, field| mask | field.mask());
        // The DCA registers' oddity is in the table: a bit that reads one and is written zero.
        if (value ^ meta.reset) & !known != 0 {
            self.record(Rule::ReservedBits, offset, value);
        }
    }

    fn queue_write(
        &mut self,
        regs: &RegFile,
        queue: QueueId,
        register: QueueReg,
        offset: u32,
        value: u32,
    ) {
        let (control, length) = match queue {
            QueueId::Rx(q) => {
                (regs::rx_reg(&RXDCTL::META, q.into()), regs::rx_reg(&regs::RDLEN::META, q.into()))
            }
            QueueId::Tx(q) => {
                (TXDCTL::META.offset_of(q.into()), regs::TDLEN::META.offset_of(q.into()))
            }
        };
        let enabled = regs.peek(control) & RXDCTL::ENABLE.mask() != 0;
        let descriptors = regs.peek(length) / 16;
        match register {
            QueueReg::Tail => {
                if !enabled && value != 0 {
                    self.record(Rule::TailBeforeEnable, offset, value);
                }
                if value != 0 && value >= descriptors {
                    self.record(Rule::TailBeyondRing, offset, value);
                }
            }
            QueueReg::Base | QueueReg::BaseHigh | QueueReg::Length | QueueReg::Head if enabled => {
                self.record(Rule::RingChangedLive, offset, value);
            }
            QueueReg::Base if !value.is_multiple_of(128) => {
                self.record(Rule::MisalignedBase, offset, value);
            }
            QueueReg::Length if !value.is_multiple_of(128) => {
                self.record(Rule::MisalignedLength, offset, value);
            }
            QueueReg::Control if value & RXDCTL::ENABLE.mask() != 0 => {
                if descriptors == 0 {
                    self.record(Rule::EnabledWithoutRing, offset, value);
                }
                let transmit = matches!(queue, QueueId::Tx(_));
                if transmit && !regs.get::<DMATXCTL>(0).has(DMATXCTL::TE) {
                    self.record(Rule::TransmitDmaOff, offset, value);
                }
            }
            _ => {}
        }
    }
}
