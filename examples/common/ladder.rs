//! The loss ladder: where every frame that did not arrive was lost, and whether the counters of
//! the tool, the queues and the NICs agree about it.

use barewire::port::PortStats;

use super::counts::{PortCounts, Snapshot};

/// What is at the other end of the ports' wires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topology {
    /// Only ports of this tool: what one sends, another one receives or loses.
    Closed,
    /// Others, of which the tool knows nothing.
    Open,
}

/// Frames lost, by cause, in the order in which a frame meets them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Drops {
    /// Freed by the tool, because the transmit ring stayed full.
    pub(crate) tx_full: u64,
    /// Freed by the transmit queue: they can never be sent.
    pub(crate) tx_error: u64,
    /// In a transmit ring at the end, and not sent as far as the NIC knows.
    pub(crate) tx_stuck: u64,
    /// Vanished between the tool's ports: no NIC counted them, and the sequence numbers tell the
    /// same.
    pub(crate) wire: u64,
    /// Damaged on the wire (CRC or symbol errors).
    pub(crate) crc: u64,
    /// Too short, too long, or with a length field that lies.
    pub(crate) length: u64,
    /// No room in the receiver's FIFO.
    pub(crate) fifo_missed: u64,
    /// Passed no address filter.
    pub(crate) filtered: u64,
    /// No free receive descriptor.
    pub(crate) no_descriptor: u64,
    /// Marked as damaged by the NIC, dropped by the driver.
    pub(crate) rx_error: u64,
    /// Dropped by the driver because their descriptors made no sense.
    pub(crate) bad_descriptor: u64,
    /// In a receive ring at the end, never taken.
    pub(crate) unread: u64,
    /// Dropped by the tool.
    pub(crate) application: u64,
}

impl Drops {
    /// Adds up what the ports count.
    pub(crate) fn new(counts: &Snapshot, nics: &[PortStats], topology: Topology) -> Self {
        let mut d = Self::default();
        for (c, nic) in counts.ports.iter().zip(nics) {
            d.tx_full += c.unsent;
            d.tx_error += c.tx.errors;
            d.tx_stuck += stuck(c, nic);
            d.crc += nic.rx_crc_errors;
            d.length += nic.rx_length_errors;
            d.fifo_missed += nic.rx_missed;
            d.filtered += nic.rx_filtered;
            d.no_descriptor += nic.rx_no_descriptor;
            d.rx_error += c.rx.errors;
            d.bad_descriptor += c.rx.bad_descriptors;
            d.unread += c.backlog;
            d.application += c.dropped;
        }
        match topology {
            // The far end goes on sending after the last poll.
            Topology::Open => d.unread += u64::try_from(behind(counts, nics)).unwrap_or(0),
            Topology::Closed => {
                let gone = u64::try_from(vanished(nics)).unwrap_or(0);
                let after_queue = d.total() - d.tx_full - d.tx_error - d.application;
                if counts.missing == Some(after_queue + gone) {
                    d.wire = gone;
                }
            }
        }
        d
    }

    /// Every cause with its count.
    pub(crate) fn causes(&self) -> [(&'static str, u64); 13] {
        [
            ("tx_full", self.tx_full),
            ("tx_error", self.tx_error),
            ("tx_stuck", self.tx_stuck),
            ("wire", self.wire),
            ("crc", self.crc),
            ("length", self.length),
            ("fifo_missed", self.fifo_missed),
            ("filtered", self.filtered),
            ("no_descriptor", self.no_descriptor),
            ("rx_error", self.rx_error),
            ("bad_descriptor", self.bad_descriptor),
            ("unread", self.unread),
            ("application", self.application),
        ]
    }

    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        self.causes().iter().map(|(_, n)| n).sum()
    }
}

/// One law of conservation: what went in at a stage, less what came out or was lost there under
/// a name. Zero when the counters agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Residual {
    /// The stage.
    pub(crate) stage: &'static str,
    /// In minus out minus named losses.
    pub(crate) frames: i128,
}

/// Packets that the queues took and the NIC did not send. Not the queues' own number: a NIC
/// reports completions by the dozen, so the last packets sent stay in flight to the queue.
pub(crate) fn stuck(counts: &PortCounts, nic: &PortStats) -> u64 {
    counts.tx.packets.saturating_sub(nic.tx_packets).min(counts.in_flight)
}

/// What one port sent and no other one received or counted as lost.
fn vanished(nics: &[PortStats]) -> i128 {
    let arrived = |n: &PortStats| {
        n.rx_packets
            + n.rx_crc_errors
            + n.rx_length_errors
            + n.rx_missed
            + n.rx_filtered
            + n.rx_no_descriptor
    };
    nics.iter().map(|n| i128::from(n.tx_packets) - i128::from(arrived(n))).sum()
}

/// What the NICs delivered and the queues know nothing of.
fn behind(counts: &Snapshot, nics: &[PortStats]) -> i128 {
    let delivered: i128 = nics.iter().map(|n| i128::from(n.rx_packets)).sum();
    let known = |c: &PortCounts| c.rx.packets + c.rx.errors + c.rx.bad_descriptors + c.backlog;
    delivered - counts.ports.iter().map(|c| i128::from(known(c))).sum::<i128>()
}

/// Holds every stage's counters against each other. All are zero when each frame is accounted
/// for; only meaningful when nothing is moving.
pub(crate) fn residuals(
    counts: &Snapshot,
    nics: &[PortStats],
    topology: Topology,
) -> Vec<Residual> {
    let sum = |f: &dyn Fn(&PortCounts) -> u64| -> i128 {
        counts.ports.iter().map(|c| i128::from(f(c))).sum()
    };
    let nic =
        |f: &dyn Fn(&PortStats) -> u64| -> i128 { nics.iter().map(|n| i128::from(f(n))).sum() };
    let received = sum(&|c| c.rx.packets);
    let offered = sum(&|c| c.offered);
    let queued = sum(&|c| c.tx.packets);
    let sent = nic(&|n| n.tx_packets);
    let left: i128 = counts.ports.iter().zip(nics).map(|(c, n)| i128::from(stuck(c, n))).sum();
    let mut stages = vec![
        // What the tool made or received, it sent, used or dropped.
        ("tool", sum(&|c| c.generated) + received - sum(&|c| c.consumed + c.dropped) - offered),
        // What it meant to send, the queues took, or it was freed.
        ("tx_queue", offered - queued - sum(&|c| c.tx.errors + c.unsent)),
        // What the queues took, the NIC sent, or it is still there.
        ("tx_nic", queued - sent - left),
    ];
    if topology == Topology::Closed {
        let named = i128::from(Drops::new(counts, nics, topology).wire);
        stages.push(("wire", vanished(nics) - named));
    }
    // What the NIC wrote to memory, the queues handed out or dropped. On an open wire, what came
    // after the last poll is unread.
    let behind = behind(counts, nics);
    stages.push(("rx_queue", if topology == Topology::Open { behind.min(0) } else { behind }));
    stages.into_iter().map(|(stage, frames)| Residual { stage, frames }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed_loop() -> (Snapshot, [PortStats; 2]) {
        let mut s = Snapshot::default();
        let mut nics = [PortStats::default(), PortStats::default()];
        s.ports[0].generated = 100;
        s.ports[0].offered = 100;
        s.ports[0].unsent = 5;
        s.ports[0].tx.errors = 1;
        s.ports[0].tx.packets = 94;
        s.ports[0].in_flight = 2;
        nics[0].tx_packets = 92;
        nics[1].rx_crc_errors = 3;
        nics[1].rx_missed = 4;
        nics[1].rx_no_descriptor = 5;
        nics[1].rx_packets = 80;
        s.ports[1].rx.errors = 1;
        s.ports[1].backlog = 2;
        s.ports[1].rx.packets = 77;
        s.ports[1].consumed = 77;
        (s, nics)
    }

    #[test]
    fn a_closed_loop_reconciles_when_every_loss_has_a_name() {
        let (s, nics) = closed_loop();
        for r in residuals(&s, &nics, Topology::Closed) {
            assert_eq!(r.frames, 0, "{}", r.stage);
        }
        let drops = Drops::new(&s, &nics, Topology::Closed);
        assert_eq!(drops.total(), 100 - 77);
        assert_eq!((drops.tx_full, drops.crc, drops.unread), (5, 3, 2));
    }

    #[test]
    fn on_an_open_wire_what_came_after_the_last_poll_is_unread() {
        let (s, mut nics) = closed_loop();
        nics[1].rx_packets += 7;
        assert_eq!(Drops::new(&s, &nics, Topology::Open).unread, 2 + 7);
        assert!(residuals(&s, &nics, Topology::Open).iter().all(|r| r.frames == 0));
        nics[1].rx_packets -= 8;
        let off = residuals(&s, &nics, Topology::Open);
        assert!(off.contains(&Residual { stage: "rx_queue", frames: -1 }));
    }

    #[test]
    fn what_vanished_on_the_wire_has_a_name_when_the_sequence_numbers_agree() {
        let (mut s, mut nics) = closed_loop();
        nics[1].rx_missed -= 4;
        let named = 2 + 3 + 5 + 1 + 2;
        s.missing = Some(named + 4);
        assert_eq!(Drops::new(&s, &nics, Topology::Closed).wire, 4);
        assert!(residuals(&s, &nics, Topology::Closed).iter().all(|r| r.frames == 0));
        s.missing = Some(named + 3);
        assert_eq!(Drops::new(&s, &nics, Topology::Closed).wire, 0);
        let off = residuals(&s, &nics, Topology::Closed);
        assert!(off.contains(&Residual { stage: "wire", frames: 4 }));
    }

    /// A stage, and how to take a frame away there.
    type Theft = (&'static str, fn(&mut Snapshot, &mut [PortStats; 2]));

    #[test]
    fn a_frame_missing_at_any_stage_is_noticed_there() {
        let thefts: [Theft; 5] = [
            ("tool", |s, _| s.ports[1].consumed -= 1),
            ("tx_queue", |s, _| s.ports[0].unsent -= 1),
            ("tx_nic", |s, _| s.ports[0].in_flight -= 1),
            ("wire", |_, n| n[1].rx_missed -= 1),
            ("rx_queue", |s, _| s.ports[1].backlog -= 1),
        ];
        for (stage, steal) in thefts {
            let (mut s, mut nics) = closed_loop();
            steal(&mut s, &mut nics);
            let off: Vec<_> = residuals(&s, &nics, Topology::Closed)
                .into_iter()
                .filter(|r| r.frames != 0)
                .collect();
            assert_eq!(off, [Residual { stage, frames: 1 }]);
        }
    }
}
