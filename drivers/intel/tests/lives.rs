//! What the drivers of both families owe their users, whatever the chip: told by the same tests,
//! which each family's own tests call.

use std::time::Duration;

use super::fake::{Fake, Model, Trouble, free, pool};
use crate::drivers::intel::{IntelPort, Silicon};
use crate::error::{Error, Result};
use crate::mmio::Bar;
use crate::pool::Mempool;
use crate::port::{Control, PortConfig, Queues};

/// A family under test.
pub(crate) trait Family {
    type Model: Model;
    type Chip: Silicon;
    /// BAR offset of STATUS.
    const STATUS: u32;
    /// How long all waits of a life may take together, on the device's clock.
    const PATIENCE: Duration;

    /// Opens its best-known chip.
    fn open(bar: &Fake<Self::Model>) -> Result<Nic<Self>>;
}

pub(crate) type Nic<F> = IntelPort<Fake<<F as Family>::Model>, <F as Family>::Chip>;

pub(crate) fn config() -> PortConfig {
    PortConfig { rx_queues: 2, tx_queues: 3, rxd: 64, txd: 128, ..PortConfig::default() }
}

/// A port started with [`config`]; the log begins with the start.
pub(crate) fn started<F: Family>(bar: &Fake<F::Model>) -> (Nic<F>, Queues) {
    let mut nic = F::open(bar).unwrap();
    bar.state().log.clear();
    let queues = nic.start(&config(), &pool()).unwrap();
    (nic, queues)
}

pub(crate) fn buffers_come_back_whichever_goes_first<F: Family>() {
    for queues_first in [true, false] {
        let bar = Fake::new();
        let pool = pool();
        let mut nic = F::open(&bar).unwrap();
        let queues = nic.start(&config(), &pool).unwrap();
        assert!(matches!(nic.start(&config(), &pool), Err(Error::State { .. })));
        if queues_first {
            drop(queues);
            nic.stop().unwrap();
        } else {
            nic.stop().unwrap();
            let again = nic.start(&config(), &pool).unwrap_err().to_string();
            assert!(again.contains("still alive"), "{again}");
            drop(queues);
        }
        assert_eq!(free(&pool), pool.capacity() as usize);
        // Stopping twice does nothing, and another start is possible.
        let before = bar.log().len();
        nic.stop().unwrap();
        assert_eq!(bar.log().len(), before);
        drop(nic.start(&config(), &pool).unwrap());
    }
}

pub(crate) fn memory_stays_reserved_when_dma_may_still_run<F: Family>() {
    let bar = Fake::new();
    let pool = pool();
    let mut nic = F::open(&bar).unwrap();
    let queues = nic.start(&config(), &pool).unwrap();
    bar.trouble(|t| {
        t.bus_master_stuck = true;
        t.stuck = Some((F::STATUS, 0));
    });
    assert!(matches!(nic.stop(), Err(Error::Timeout { register: "STATUS", .. })));
    drop(queues);
    assert_eq!(free(&pool), pool.capacity() as usize - 2 * 63);
    let why = nic.start(&config(), &pool).unwrap_err().to_string();
    assert!(why.contains("could not prove"), "{why}");
}

/// The bus of a device that was taken away cannot be switched off. That costs no memory which the
/// device was never given.
pub(crate) fn memory_that_dma_never_reached_comes_back<F: Family>() {
    let (bar, pool) = (Fake::new(), pool());
    let mut nic = F::open(&bar).unwrap();
    for _ in 0..2 {
        bar.trouble(|t| {
            t.bus_master_stuck = true;
            t.stuck = Some((F::STATUS, 0));
        });
        let refused = nic.start(&config(), &pool).unwrap_err().to_string();
        assert!(refused.contains("does not change"), "{refused}");
        assert_eq!(free(&pool), pool.capacity() as usize);
    }
    bar.trouble(|t| *t = Trouble::default());
    drop(nic.start(&config(), &pool).unwrap());
}

/// What reads as all ones is not written back to a device that may only be out of reach.
pub(crate) fn a_vanished_device_is_left_as_it_is<F: Family>() {
    /// Where both families have it.
    const CTRL_EXT: u32 = 0x18;
    let bar = Fake::new();
    let (mut nic, queues) = started::<F>(&bar);
    drop(queues);
    bar.trouble(|t| t.gone_after = Some(0));
    assert!(matches!(nic.stop(), Err(Error::Gone { .. })));
    let lost = bar.state().lost.clone();
    assert!(!lost.is_empty() && !lost.contains(&CTRL_EXT), "{lost:x?}");
    assert!(!bar.state().bus_master);
}

/// A device that vanishes at any access is reported as gone, and costs no buffer.
pub(crate) fn vanishing_is_reported<F: Family>(step: usize, unseen: u64) {
    let life = |bar: &Fake<F::Model>, pool: &Mempool| -> Result<()> {
        let mut nic = F::open(bar)?;
        let queues = nic.start(&config(), pool)?;
        nic.set_promiscuous(false)?;
        nic.stats()?;
        nic.link()?;
        drop(queues);
        nic.stop()
    };
    let (bar, pool) = (Fake::new(), pool());
    life(&bar, &pool).unwrap();
    // How many accesses a whole life takes.
    let total = bar.state().accesses;
    for n in (0..total).step_by(step) {
        let bar = Fake::new();
        bar.trouble(|t| t.gone_after = Some(n));
        match life(&bar, &pool) {
            Err(Error::Gone { .. }) => {}
            // The very end of a stop has nothing left to notice it with.
            Ok(()) if n + unseen > total => {}
            other => panic!("gone after {n} of {total}: {other:?}"),
        }
        assert!(bar.now() < F::PATIENCE, "gone after {n}: {:?}", bar.now());
    }
    assert_eq!(free(&pool), pool.capacity() as usize);
}

pub(crate) fn a_mute_device_is_given_time<F: Family>() {
    let bar = Fake::new();
    bar.trouble(|t| t.mute_after_reset = Duration::from_millis(20));
    drop(F::open(&bar).unwrap());
    bar.trouble(|t| t.mute_after_reset = Duration::from_secs(2));
    assert!(matches!(F::open(&bar), Err(Error::Gone { .. })));
}

/// A register that reads so for ever: name, offset, bits, value.
pub(crate) type Unanswered = (&'static str, u32, u32, u32);

/// An opening that gets no answer names the register, and leaves the bus off.
pub(crate) fn openings_end<F: Family>(registers: &[Unanswered]) {
    for (register, offset, bits, value) in registers {
        let bar = Fake::new();
        bar.trouble(|t| t.reads = Some((*offset, *bits, *value)));
        match F::open(&bar) {
            Err(Error::Timeout { register: r, waited, .. }) => {
                assert_eq!(r, *register);
                assert!(waited > Duration::ZERO && waited < F::PATIENCE, "{r}: {waited:?}");
            }
            other => panic!("{register}: {other:?}"),
        }
        assert!(bar.now() < F::PATIENCE, "{register}: {:?}", bar.now());
        assert!(!bar.state().bus_master, "{register}: it may do DMA");
        assert!(!bar.held(), "{register}: something was kept");
        // Nothing of it lasts.
        bar.trouble(|t| t.reads = None);
        drop(F::open(&bar).unwrap());
    }
}

/// A start that gets no answer names the register, and gives everything back.
pub(crate) fn starts_end<F: Family>(registers: &[Unanswered]) {
    for (register, offset, bits, value) in registers {
        let bar = Fake::new();
        let pool = pool();
        let mut nic = F::open(&bar).unwrap();
        bar.trouble(|t| t.reads = Some((*offset, *bits, *value)));
        match nic.start(&config(), &pool) {
            Err(Error::Timeout { register: r, .. }) => assert_eq!(r, *register),
            other => panic!("{register}: {other:?}"),
        }
        assert!(!bar.state().bus_master, "{register}: it may do DMA");
        assert!(!bar.held(), "{register}: something was kept");
        assert_eq!(free(&pool), pool.capacity() as usize);
        bar.trouble(|t| t.reads = None);
        drop(nic.start(&config(), &pool).unwrap());
    }
}
