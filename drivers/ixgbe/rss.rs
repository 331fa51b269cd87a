//! Spreading packets over receive queues (7.1.2.8, 8.2.3.7.12 to .15).

use super::regs::{MRQC, RETA, RSSRK};
use crate::mmio::{Bar, Register};
use crate::port::RssConfig;

/// MRQC.MRQE: RSS, neither DCB nor virtualisation.
const RSS_ONLY: u32 = 1;

/// Entries of the redirection table.
pub(super) const RETA_SIZE: u16 = 128;

/// Queues that a redirection entry can name: four bits (8.2.3.7.15).
pub(super) const MAX_QUEUES: u16 = 16;

/// Programs RSS for `queues` receive queues; with one, hashing is off and all goes to queue 0.
pub(super) fn program<B: Bar>(bar: &B, rss: &RssConfig, queues: u16) {
    if queues <= 1 {
        MRQC(0).write(bar);
        return;
    }
    for (n, key) in (0..).zip(rss.key.chunks_exact(4)) {
        let word = key.iter().rev().fold(0, |w, byte| (w << 8) | u32::from(*byte));
        RSSRK(word).write_at(bar, n);
    }
    for n in 0..RETA::META.count {
        let entry = |i: u32| queue_of(rss, queues, n * 4 + i);
        RETA::default()
            .with(RETA::ENTRY0, entry(0))
            .with(RETA::ENTRY1, entry(1))
            .with(RETA::ENTRY2, entry(2))
            .with(RETA::ENTRY3, entry(3))
            .write_at(bar, n);
    }
    MRQC::default()
        .with(MRQC::MRQE, RSS_ONLY)
        .with(MRQC::RSS_IPV4, 1)
        .with(MRQC::RSS_TCPIPV4, 1)
        .with(MRQC::RSS_UDPIPV4, 1)
        .with(MRQC::RSS_IPV6, 1)
        .with(MRQC::RSS_TCPIPV6, 1)
        .with(MRQC::RSS_UDPIPV6, 1)
        .write(bar);
}

/// Queue of redirection entry `entry`.
fn queue_of(rss: &RssConfig, queues: u16, entry: u32) -> u32 {
    let entry = entry as usize;
    match rss.reta.get(entry % rss.reta.len().max(1)) {
        Some(queue) => u32::from(*queue),
        None => (entry % usize::from(queues)) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_go_round_the_queues_or_follow_the_table() {
        let mut rss = RssConfig::default();
        let all: Vec<_> = (0..8).map(|i| queue_of(&rss, 3, i)).collect();
        assert_eq!(all, [0, 1, 2, 0, 1, 2, 0, 1]);
        rss.reta = vec![2, 2, 1];
        let all: Vec<_> = (0..7).map(|i| queue_of(&rss, 3, i)).collect();
        assert_eq!(all, [2, 2, 1, 2, 2, 1, 2]);
    }
}
