//! The event trace: the last register writes, doorbells and descriptors, for a post-mortem.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::fault::QueueId;
use super::regs::Map;
use crate::mmio::RegMeta;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Software read a register.
    Read {
        /// BAR offset.
        offset: u32,
        /// What it got.
        value: u32,
    },
    /// Software wrote a register; tails included.
    Write {
        /// BAR offset.
        offset: u32,
        /// What it wrote.
        value: u32,
    },
    /// The model used up a descriptor.
    Descriptor {
        /// Of this queue.
        queue: QueueId,
        /// At this index.
        index: u32,
        /// The buffer's device address.
        address: u64,
        /// Bytes moved.
        len: u32,
    },
    /// Bus mastering was switched.
    BusMaster(bool),
}

/// An event and when it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traced {
    /// On the device's clock.
    pub at: Duration,
    /// What.
    pub event: Event,
    /// The register, when it was one and the chip's table knows it.
    pub(super) register: Option<&'static RegMeta>,
}

impl fmt::Display for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>14.6} us  ", self.at.as_nanos() as f64 / 1e3)?;
        let name = |offset: u32| {
            let Some(meta) = self.register else { return format!("{offset:#07x}") };
            if meta.count > 1 {
                format!("{}[{}]", meta.name, (offset - meta.offset) / meta.stride.max(1))
            } else {
                meta.name.to_owned()
            }
        };
        match self.event {
            Event::Read { offset, value } => write!(f, "read  {} = {value:#010x}", name(offset)),
            Event::Write { offset, value } => write!(f, "write {} = {value:#010x}", name(offset)),
            Event::Descriptor { queue, index, address, len } => {
                write!(f, "{queue}, descriptor {index}: {len} bytes at {address:#x}")
            }
            Event::BusMaster(on) => write!(f, "bus mastering {}", if on { "on" } else { "off" }),
        }
    }
}

/// The last events, oldest first.
#[derive(Debug)]
pub(super) struct Trace {
    events: VecDeque<Traced>,
    most: usize,
    map: &'static Map,
}

impl Trace {
    pub(super) fn new(most: usize, map: &'static Map) -> Self {
        Self { events: VecDeque::with_capacity(most.min(1 << 16)), most, map }
    }

    pub(super) fn push(&mut self, at: Duration, event: Event) {
        if self.most == 0 {
            return;
        }
        if self.events.len() >= self.most {
            self.events.pop_front();
        }
        let register = match event {
            Event::Read { offset, .. } | Event::Write { offset, .. } => self.map.meta(offset),
            _ => None,
        };
        self.events.push_back(Traced { at, event, register });
    }

    pub(super) fn events(&self) -> Vec<Traced> {
        self.events.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::chip::{Chip, I82599};
    use super::*;

    #[test]
    fn keeps_the_last_and_names_registers() {
        let mut trace = Trace::new(2, I82599.map());
        for n in 0..5u32 {
            trace.push(Duration::ZERO, Event::Write { offset: 0x1018 + 0x40 * n, value: n });
        }
        let text: Vec<_> = trace.events().iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 2);
        assert!(text[1].ends_with("write RDT[4] = 0x00000004"), "{text:?}");
        Trace::new(0, I82599.map()).push(Duration::ZERO, Event::BusMaster(true));
    }
}
