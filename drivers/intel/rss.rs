//! Spreading packets over receive queues: the registers have the same layout on both families
//! (82599 datasheet 7.1.2.8 and 8.2.3.7.12 to .15, 82576 datasheet 7.1.2.8 and 8.10).

use crate::mmio::{Bar, Register};
use crate::port::RssConfig;

/// Entries of the redirection table, RETA: four a register, a byte each.
pub(crate) const RETA_SIZE: u16 = 128;

/// MRQC bits 16 to 23: hash IPv4 and IPv6, by themselves and with TCP and UDP; headers with
/// extensions are not told apart.
const HASHED: u32 = 0x00f3_0000;

/// Programs RSS for `queues` receive queues; with one, hashing is off and all goes to queue 0.
/// `mode` is what MRQC.MRQE wants for RSS alone.
pub(crate) fn program<Mrqc: Register, Reta: Register, Rssrk: Register, B: Bar>(
    bar: &B,
    rss: &RssConfig,
    queues: u16,
    mode: u32,
) {
    if queues <= 1 {
        Mrqc::from_raw(0).write(bar);
        return;
    }
    for (n, key) in (0..).zip(rss.key.chunks_exact(4)) {
        let word = key.iter().rev().fold(0, |w, byte| (w << 8) | u32::from(*byte));
        Rssrk::from_raw(word).write_at(bar, n);
    }
    for n in 0..Reta::META.count {
        let word = (0..4).rev().fold(0, |w, i| (w << 8) | queue_of(rss, queues, n * 4 + i));
        Reta::from_raw(word).write_at(bar, n);
    }
    Mrqc::from_raw(HASHED | mode).write(bar);
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
