//! What is done to each packet on its way.

use barewire::Batch;
use barewire::port::MacAddr;

/// Bytes of an Ethernet header: destination, source, type.
const HEADER: usize = 14;

/// One way to treat packets. The worker is made for each, so that it asks nothing on the way.
pub(crate) trait Edit: Send + 'static {
    /// Whether packets are freed instead of sent on.
    const FREES: bool = false;

    /// Changes the packets.
    fn apply(&self, batch: &mut Batch);
}

/// Nothing: packets are not even looked at.
#[derive(Debug)]
pub(crate) struct Io;

impl Edit for Io {
    #[inline(always)]
    fn apply(&self, _: &mut Batch) {}
}

/// Packets end here.
#[derive(Debug)]
pub(crate) struct Free;

impl Edit for Free {
    const FREES: bool = true;

    #[inline(always)]
    fn apply(&self, _: &mut Batch) {}
}

/// Source and destination address are swapped.
#[derive(Debug)]
pub(crate) struct Swap;

impl Edit for Swap {
    #[inline(always)]
    fn apply(&self, batch: &mut Batch) {
        each_header(batch, swap);
    }
}

/// Both addresses are set.
#[derive(Debug)]
pub(crate) struct Set([u8; 12]);

impl Set {
    pub(crate) fn new(dst: MacAddr, src: MacAddr) -> Self {
        let (mut addresses, MacAddr(dst), MacAddr(src)) = ([0; 12], dst, src);
        addresses[..6].copy_from_slice(&dst);
        addresses[6..].copy_from_slice(&src);
        Self(addresses)
    }
}

impl Edit for Set {
    #[inline(always)]
    fn apply(&self, batch: &mut Batch) {
        each_header(batch, |header| header[..12].copy_from_slice(&self.0));
    }
}

/// Changes the Ethernet header of every packet that has one.
#[inline(always)]
fn each_header(batch: &mut Batch, change: impl Fn(&mut [u8; HEADER])) {
    for packet in batch.iter_mut() {
        if packet.len() >= HEADER
            && let Some(header) = packet.data_mut().first_chunk_mut()
        {
            change(header);
        }
    }
}

/// Three loads and three stores of whole words: the source comes with the type, which is written
/// over where it does not belong.
#[inline(always)]
fn swap(header: &mut [u8; HEADER]) {
    let [d0, d1, d2, d3, d4, d5, rest @ ..] = *header;
    let source_and_type: [u8; 8] = rest;
    header[..8].copy_from_slice(&source_and_type);
    header[6..10].copy_from_slice(&[d0, d1, d2, d3]);
    header[10..12].copy_from_slice(&[d4, d5]);
}

#[cfg(test)]
mod tests {
    use barewire::Mempool;
    use barewire::pool::PoolConfig;

    use super::*;

    /// What becomes of packets of these lengths, each byte of which is its place.
    fn edited(edit: &impl Edit, lengths: &[usize]) -> Vec<Vec<u8>> {
        let pool = Mempool::new(&PoolConfig { count: 64, ..PoolConfig::default() }).unwrap();
        let (mut cache, mut batch) = (pool.cache(), Batch::new(lengths.len()));
        for len in lengths {
            let mut packet = cache.alloc().unwrap();
            packet.append(&(0..*len).map(|i| i as u8).collect::<Vec<_>>()).unwrap();
            batch.push(packet).unwrap();
        }
        edit.apply(&mut batch);
        batch.iter().map(|m| m.data().to_vec()).collect()
    }

    const PLAIN: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    #[test]
    fn a_swap_exchanges_the_addresses_and_nothing_else() {
        let swapped = [6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 12, 13, 14, 15];
        let made = edited(&Swap, &[16, 13, 0, 14]);
        assert_eq!(made, [&swapped[..], &PLAIN[..13], &[], &swapped[..14]]);
    }

    #[test]
    fn addresses_are_set_destination_first() {
        let set = Set::new(MacAddr([0xd; 6]), MacAddr([0x5; 6]));
        let made = edited(&set, &[16, 13]);
        assert_eq!(made[0], [&[0xd; 6][..], &[0x5; 6], &PLAIN[12..]].concat());
        assert_eq!(made[1], PLAIN[..13]);
    }

    #[test]
    fn what_is_only_carried_stays_as_it_is() {
        assert_eq!(edited(&Io, &[16]), [PLAIN]);
        assert_eq!(edited(&Free, &[16]), [PLAIN]);
    }
}
