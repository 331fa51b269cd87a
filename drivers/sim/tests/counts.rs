//! Counters of a NIC that runs in the bursts of its own queues: it adds up now and then, but
//! nobody ever reads less than what has happened.

use super::super::{Drive, SimConfig, SimNic};
use crate::drivers::ixgbe::regs::{GPRC, GPTC, MPTC, QPTC};
use crate::mmio::{Bar, Register};
use crate::pool::{Batch, Mempool, PoolConfig};
use crate::port::PortConfig;

#[test]
fn counters_read_in_the_middle_of_traffic_are_exact() {
    let config =
        SimConfig { wire: "loopback".to_owned(), drive: Drive::Inline, ..SimConfig::default() };
    let nic = SimNic::new(&config).unwrap();
    let mut port = nic.open_port().unwrap();
    port.set_promiscuous(true).unwrap();
    let pool = Mempool::new(&PoolConfig { count: 4000, ..PoolConfig::default() }).unwrap();
    let mut queues = port.start(&PortConfig::default(), &pool).unwrap();
    let (mut cache, mut batch) = (pool.cache(), Batch::new(32));
    let bar = nic.bar();
    let read = |offset: u32| u64::from(bar.read32(offset));
    let (mut sent, mut multicast, mut received, mut counted) = (0, 0, 0, [0; 4]);
    for n in 0..500u64 {
        // Of two lengths, and some to a group.
        for i in 0..n % 32 + 1 {
            let mut packet = cache.alloc().unwrap();
            let group = u8::from(i % 5 == 0);
            packet.append(&[group; 60]).unwrap();
            packet.append(&[0; 40][..(n % 2 * 40) as usize]).unwrap();
            multicast += u64::from(group);
            batch.push(packet).unwrap();
        }
        sent += batch.len() as u64;
        while !batch.is_empty() {
            queues.tx[0].tx_burst(&mut cache, &mut batch);
        }
        received += queues.rx[0].rx_burst(&mut cache, &mut batch) as u64;
        cache.free_batch(&mut batch);
        // Not every time, so that a few steps' counts wait.
        if n % 7 == 0 {
            let now = [GPTC::META, MPTC::META, QPTC::META, GPRC::META].map(|m| read(m.offset));
            counted = std::array::from_fn(|at| counted[at] + now[at]);
            assert_eq!(counted, [sent, multicast, sent, received], "after {n}");
        }
        if n % 11 == 0 {
            let truth = nic.truth();
            assert_eq!((truth.sent, truth.delivered, truth.unexplained()), (sent, received, 0));
        }
    }
    assert!(received > 0);
}
