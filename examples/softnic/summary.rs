//! What a NIC counted, in words.

use std::fmt;

use barewire::drivers::sim::{Fault, SimNic, Truth};

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
    met: u64,
    /// Some of them, if they were kept.
    faults: Vec<String>,
}

/// What a NIC has counted at some time.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    truth: Truth,
    /// Faults, and how many of them are kept.
    met: u64,
    kept: usize,
}

impl Counts {
    pub(crate) fn of(nic: &SimNic) -> Self {
        Self { truth: nic.truth(), met: nic.faults_met(), kept: nic.faults().len() }
    }
}

impl Summary {
    /// Since `before`.
    pub(crate) fn of(nic: &SimNic, before: &Counts) -> Self {
        let (now, met, faults) = (nic.truth(), nic.faults_met() - before.met, nic.faults());
        let new = faults.get(before.kept..).unwrap_or_default();
        let before = &before.truth;
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
            met,
            faults: new.iter().take(SHOWN).map(Fault::to_string).collect(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, sent_bytes, received, received_bytes, lost, met, faults } = self;
        write!(
            f,
            "sent {sent} frames ({sent_bytes} bytes), received {received} ({received_bytes} bytes)"
        )?;
        for (why, n) in lost {
            write!(f, ", {why} {n}")?;
        }
        match (met, faults.as_slice()) {
            (0, _) => write!(f, ", no faults"),
            (_, []) => write!(f, ", {met} faults"),
            (_, some) => {
                write!(f, ", {met} faults: {}", some.join("; "))?;
                if *met > some.len() as u64 { write!(f, "; ...") } else { Ok(()) }
            }
        }
    }
}
