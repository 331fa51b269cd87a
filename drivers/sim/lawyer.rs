//! The spec lawyer: records where a driver breaks the datasheet's order. Nothing here changes
//! what the model does.

use std::fmt;

use super::chip::Chip;
use super::common;
use super::regs::{Map, RegFile};
use super::setup::{CONTROL, ENABLE, LENGTH, QueueReg};

/// A rule of the datasheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// A tail is written only after the queue's ENABLE reads back as one (4.6.7, 4.6.8).
    TailBeforeEnable,
    /// A receive tail is written only after RCTL.RXEN is set (82576 datasheet 4.5.9).
    TailBeforeReceive,
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
    /// The register's name.
    pub name: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, offset, value, name } = self;
        write!(f, "{rule:?}: {name} ({offset:#07x}) = {value:#010x}")
    }
}

/// Most breaches kept; a broken driver repeats itself.
const KEPT: usize = 1000;

/// What was recorded.
#[derive(Debug)]
pub(super) struct Lawyer {
    found: Vec<Violation>,
    map: &'static Map,
}

impl Lawyer {
    pub(super) fn new(map: &'static Map) -> Self {
        Self { found: Vec::new(), map }
    }

    pub(super) fn found(&self) -> Vec<Violation> {
        self.found.clone()
    }

    pub(super) fn record(&mut self, rule: Rule, offset: u32, value: u32) {
        if self.found.len() < KEPT {
            let name = self.map.meta(offset).map_or("?", |m| m.name);
            self.found.push(Violation { rule, offset, value, name });
        }
    }

    /// Looks at a write that is about to happen.
    pub(super) fn write(&mut self, chip: &dyn Chip, regs: &RegFile, offset: u32, value: u32) {
        if common::in_reset(regs) && offset != common::CTRL {
            self.record(Rule::WriteDuringReset, offset, value);
        }
        if let Some((block, register)) = chip.queue_block(offset) {
            self.queue_write(regs, block, register, offset, value);
        }
        chip.judge(self, regs, offset, value);
        let strict = chip.strict();
        let Some(meta) = self.map.meta(offset).filter(|m| strict.contains(&m.name)) else { return };
        let known = meta.fields.iter().fold(0, |mask, field| mask | field.mask());
        // The DCA registers' oddity is in the table: a bit that reads one and is written zero.
        if (value ^ meta.reset) & !known != 0 {
            self.record(Rule::ReservedBits, offset, value);
        }
    }

    fn queue_write(
        &mut self,
        regs: &RegFile,
        block: u32,
        register: QueueReg,
        offset: u32,
        value: u32,
    ) {
        let enabled = regs.peek(block + CONTROL) & ENABLE != 0;
        let descriptors = regs.peek(block + LENGTH) / 16;
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
            QueueReg::Control if value & ENABLE != 0 && descriptors == 0 => {
                self.record(Rule::EnabledWithoutRing, offset, value);
            }
            _ => {}
        }
    }
}
