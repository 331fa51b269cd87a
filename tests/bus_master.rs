//! Somebody switches a running port's bus mastering off: the port says so until it is stopped, and
//! works again after the next start.

use barewire::drivers::sim::{Drive, SimConfig, SimNic};
use barewire::pool::PoolConfig;
use barewire::port::{Port, PortConfig};
use barewire::{Batch, Error, Mempool};

/// Sends a frame through a port that loops, and gives how many come back.
fn one_around(
    nic: &SimNic,
    port: &mut Port,
    pool: &Mempool,
    meddle: impl FnOnce(&mut Port),
) -> usize {
    let mut queues = port.start(&PortConfig::default(), pool).expect("start");
    meddle(port);
    let mut cache = pool.cache();
    let mut packet = cache.alloc().expect("a buffer");
    packet.append(&[0xff; 12]).expect("room");
    packet.append(&[0x88, 0xb5]).expect("room");
    packet.append(&[0; 46]).expect("room");
    let mut out = Batch::new(1);
    out.push(packet).expect("room");
    queues.tx[0].tx_burst(&mut cache, &mut out);
    nic.step_until_idle(50);
    let mut back = Batch::new(32);
    queues.rx[0].rx_burst(&mut cache, &mut back)
}

#[test]
fn lost_bus_mastering_is_reported_and_a_restart_repairs_it() {
    let config =
        SimConfig { wire: "loopback".to_owned(), drive: Drive::Step, ..SimConfig::default() };
    let nic = SimNic::new(&config).expect("a software NIC");
    let mut port = nic.open_port().expect("open");
    let pool = Mempool::new(&PoolConfig { count: 2048, ..PoolConfig::default() }).expect("a pool");

    let came = one_around(&nic, &mut port, &pool, |port| {
        nic.lose_bus_master();
        for _ in 0..2 {
            let told = port.stats();
            assert!(matches!(told, Err(Error::BusMasterLost { .. })), "until it is repaired");
        }
    });
    assert_eq!(came, 0);
    port.stop().expect("stop");
    let mut cache = pool.cache();
    let all: Vec<_> = std::iter::from_fn(|| cache.alloc()).collect();
    assert_eq!(all.len(), pool.capacity() as usize, "every buffer came back");
    drop((all, cache));

    assert_eq!(one_around(&nic, &mut port, &pool, |_| ()), 1);
    // The model recorded what was due while it could do no DMA, and tells once.
    let _ = port.stats();
    port.stats().expect("repaired");
}
