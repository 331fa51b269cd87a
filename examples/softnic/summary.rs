//! What a NIC counted, in words.

use std::fmt;

use barewire::drivers::sim::{Fault, Truth};

/// Faults that are told in full.
const SHOWN: usize = 3;

/// What happened to frames between two looks at a NIC, and the faults that it met.
#[derive(Debug)]
pub(crate) struct Summary {
    sent: u64,
    sent_bytes: u64,
    received: u64,
    received_bytes: u64,
    lost: Vec<(&'static str, u64)>,
    faults: Vec<String>,
}

impl Summary {
    pub(crate) fn of(now: &Truth, before: &Truth, faults: &[Fault]) -> Self {
        let lost = [
            ("no room in the FIFO", now.missed - before.missed),
            ("damaged", now.damaged - before.damaged),
            ("bad length", now.bad_length - before.bad_length),
            ("filtered", now.filtered - before.filtered),
            ("no descriptor", now.no_descriptor - before.no_descriptor),
            ("lost on the wire", now.lost_on_wire - before.lost_on_wire),
        ];
        Self {
            sent: now.sent - before.sent,
            sent_bytes: now.sent_bytes - before.sent_bytes,
            received: now.delivered - before.delivered,
            received_bytes: now.delivered_bytes - before.delivered_bytes,
            lost: lost.into_iter().filter(|(_, n)| *n > 0).collect(),
            faults: faults.iter().map(Fault::to_string).collect(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, sent_bytes, received, received_bytes, lost, faults } = self;
        write!(
            f,
            "sent {sent} frames ({sent_bytes} bytes), received {received} ({received_bytes} bytes)"
        )?;
        for (why, n) in lost {
            write!(f, ", {why} {n}")?;
        }
        match faults.as_slice() {
            [] => write!(f, ", no faults"),
            all => {
                write!(f, ", {} faults: {}", all.len(), all[..all.len().min(SHOWN)].join("; "))?;
                if all.len() > SHOWN { write!(f, "; ...") } else { Ok(()) }
            }
        }
    }
}
