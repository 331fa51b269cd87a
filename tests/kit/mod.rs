//! What the tests on software NICs share.
#![allow(dead_code, unused_imports, unused_macros, reason = "every test file uses its part")]

use barewire::drivers::sim::{Drive, Model, SimConfig, SimNic};
use barewire::pool::PoolConfig;
use barewire::port::{Port, PortConfig, Queues};
use barewire::{Batch, Mempool, PoolCache};

/// Each of these runs on each chip.
macro_rules! on_both {
    ($($test:ident,)*) => {
        mod i82599 {
            $(#[test] fn $test() { super::$test(barewire::drivers::sim::Model::I82599) })*
        }
        mod i82576 {
            $(#[test] fn $test() { super::$test(barewire::drivers::sim::Model::I82576) })*
        }
    };
}

pub(crate) use on_both;

/// Each of these runs on every model.
macro_rules! on_all {
    ($($test:ident,)*) => {
        kit::on_all!(@ [I82599 X540 X550 I82576 I350] [$($test)*]);
    };
    (@ [$($model:ident)*] $tests:tt) => {
        $(kit::on_all!(@one $model $tests);)*

        #[test]
        fn no_model_is_forgotten() {
            assert_eq!([$(barewire::drivers::sim::Model::$model),*], barewire::drivers::sim::Model::ALL);
        }
    };
    (@one $model:ident [$($test:ident)*]) => {
        #[allow(non_snake_case, reason = "the model's name")]
        mod $model {
            $(#[test] fn $test() { super::$test(barewire::drivers::sim::Model::$model) })*
        }
    };
}

pub(crate) use on_all;

/// A stepped NIC with the spec lawyer at work.
pub(crate) fn nic(chip: Model, wire: &str, change: impl FnOnce(&mut SimConfig)) -> SimNic {
    let mut config = SimConfig {
        name: format!("sim:{}", chip.name()),
        chip,
        wire: wire.to_owned(),
        drive: Drive::Step,
        lawyer: true,
        trace: 200,
        ..SimConfig::default()
    };
    change(&mut config);
    SimNic::new(&config).expect("a software NIC")
}

pub(crate) fn pool(count: u32) -> Mempool {
    Mempool::new(&PoolConfig { count, ..PoolConfig::default() }).expect("a pool")
}

pub(crate) fn start(port: &mut Port, cfg: &PortConfig, pool: &Mempool) -> Queues {
    let queues = port.start(cfg, pool).expect("start");
    assert!(port.link().expect("link").up);
    queues
}

/// A generator of our own, so that a run repeats.
pub(crate) struct Lcg(pub(crate) u64);

impl Lcg {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }
}

/// A frame with a number in it, and bytes that depend on it.
pub(crate) fn numbered(n: u32, len: usize) -> Vec<u8> {
    let mut frame = vec![0u8; len];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame[14..18].copy_from_slice(&n.to_be_bytes());
    for (i, b) in frame.iter_mut().enumerate().skip(18) {
        *b = (i as u32).wrapping_mul(31).wrapping_add(n) as u8;
    }
    frame
}

pub(crate) fn fill(cache: &mut PoolCache, frame: &[u8]) -> Option<barewire::Mbuf> {
    let mut packet = cache.alloc()?;
    packet.append(frame).expect("it fits");
    Some(packet)
}

pub(crate) fn bytes(packet: &barewire::Mbuf) -> Vec<u8> {
    packet.segments().flatten().copied().collect()
}

pub(crate) fn udp(src: u16, dst: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1])
        .ipv4([10, 0, 0, 7], [10, 1, 0, 1], 64)
        .udp(src, dst)
        .write(&mut frame, &[7; 30])
        .expect("a packet");
    frame
}

/// All slots of `pool` can be had again.
pub(crate) fn whole(pool: &Mempool) {
    let mut cache = pool.cache();
    let mut all = Batch::new(pool.capacity() as usize + 1);
    assert_eq!(cache.alloc_batch(&mut all, pool.capacity() as usize), pool.capacity() as usize);
}
