//! Sleeping until a packet arrives: the receive interrupt of a started port.
//!
//! Three parties share it: the chip has causes and masks ([`Causes`]), the bus has a line to wait on
//! ([`Line`]), and the application holds the [`RxInterrupt`] that joins them. The order is what
//! keeps a wake-up from being lost: arm, **look at the rings again**, sleep, disarm, drain. A frame
//! that came before arming is found by the second look, one that came after it wakes the sleeper.
//! [`Sleeper`](crate::poll::Sleeper) keeps the order; `src/poll/tests.rs` goes through every
//! interleaving of it with the arrival of packets.
//!
//! # Invariants
//!
//! 1. Between [`disarm`](RxInterrupt::disarm) and [`arm`](RxInterrupt::arm) no cause is unmasked, so
//!    a busy worker costs the kernel no interrupts.
//! 2. The mask of the causes is the last gate that arming opens. What opens earlier (the line) can
//!    wake in vain but never be the wake-up that counts, and no event is forgotten after it.
//! 3. Arming leaves no cause set. Messages are sent only when a cause newly rises (QEMU's 82576 is
//!    so with INTx too), and a bit left over would swallow the next packet's. So causes are cleared
//!    before they are unmasked, lest every arming fire, and after it too: the cause of a packet
//!    that was taken from the ring already can come late.
//! 4. A port has one `RxInterrupt` at a time: two sleepers would clear each other's causes and
//!    read each other's events.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use super::Lifeline;
use crate::error::{Error, Result};

/// The bus side of an interrupt: something that becomes readable, and a gate. Nobody shuts the gate
/// but the kernel's handler, since [`Causes`] are masked whenever nobody sleeps.
///
/// `uio_pci_generic` masks INTx by itself when it fires, and the line stays asserted while a cause
/// is; `igb_uio` masks nothing with MSI-X, and keeps a message that came while it was masked. Both
/// are fine.
pub trait Line: Send + fmt::Debug {
    /// Lets the next interrupt through.
    ///
    /// # Errors
    /// [`Gone`](Error::Gone) when the device is not ours any more.
    fn unmask(&self) -> Result<()>;

    /// Forgets the interrupts that came so far, and says whether there were any. Never blocks.
    ///
    /// # Errors
    /// As [`unmask`](Self::unmask). Whoever finds [`fd`](Self::fd) in an error state learns the
    /// reason here.
    fn take(&self) -> Result<bool>;

    /// Becomes readable when an interrupt comes, and when the device goes.
    fn fd(&self) -> BorrowedFd<'_>;

    /// For a device that only moves when it is called, as some software NICs do: moves it, and says
    /// for how long at most its caller may sleep before it calls again.
    fn run(&self) -> Option<Duration> {
        None
    }
}

/// The chip side of an interrupt. Each is a write or read of one or two registers.
pub trait Causes: Send + fmt::Debug {
    /// Lets received packets of every queue raise the interrupt.
    fn unmask(&self);
    /// No cause raises it.
    fn mask(&self);
    /// Reads and clears what was raised, whether masked or not, and changes no mask; zero when
    /// nothing was. Being a read, it also sees to it that writes before it have reached the chip,
    /// and that the descriptors of what it clears are visible afterwards.
    fn take(&self) -> u32;
}

/// The receive interrupt of a started port, for one worker to sleep on. It is one for all queues
/// of the port, and there is one at a time.
///
/// Give it to a [`Worker`](crate::poll::Worker) or [`Sleeper`](crate::poll::Sleeper), or sleep on it
/// yourself: it is a file descriptor ([`AsFd`], [`AsRawFd`]), so any event loop or async runtime
/// can wait for it. This is the order in which nothing is lost:
///
/// ```
/// use std::time::Duration;
/// use barewire::{Batch, Mempool, Port, PortConfig, poll, pool::PoolConfig};
///
/// let pool = Mempool::new(&PoolConfig { count: 2048, ..PoolConfig::default() })?;
/// let mut cache = pool.cache();
/// let mut port = Port::open("sim:82599?wire=gen:rate=1000,count=20&drive=thread")?;
/// let mut rx = port.start(&PortConfig::default(), &pool)?.rx.remove(0);
/// let mut interrupt = port.interrupt()?;
///
/// let (mut batch, mut received) = (Batch::new(32), 0);
/// while received < 20 {
///     interrupt.arm()?;
///     if rx.rx_burst(&mut cache, &mut batch) == 0 {
///         // In an async task: `AsyncFd::readable(..).await`, then `clear_ready()`.
///         poll::wait(&[&interrupt], Duration::from_millis(100))?;
///     }
///     interrupt.disarm()?;
///     // Drain until nothing comes any more, then arm again.
///     while rx.rx_burst(&mut cache, &mut batch) > 0 {}
///     received += batch.len();
///     cache.free_batch(&mut batch);
/// }
/// # Ok::<(), barewire::Error>(())
/// ```
///
/// A software NIC with `drive=inline`, the default, moves only when it is called: with one of
/// those, call [`run`](Self::run) before sleeping and sleep no longer than it says.
#[derive(Debug)]
pub struct RxInterrupt {
    line: Box<dyn Line>,
    causes: Box<dyn Causes>,
    life: Arc<Lifeline>,
}

impl RxInterrupt {
    /// The interrupt of one start. Only with the port running.
    pub(crate) fn new(
        line: Box<dyn Line>,
        causes: Box<dyn Causes>,
        life: Arc<Lifeline>,
    ) -> Result<Self> {
        if !life.claim_interrupt() {
            return Err(Error::State {
                why: "the port's interrupt is taken, and there is one for all its queues; drop \
                      that one first, or let its holder wake the others"
                    .to_owned(),
            });
        }
        causes.mask();
        Ok(Self { line, causes, life })
    }

    /// Lets the next received packet raise the interrupt. Look at the rings again before sleeping:
    /// what came before this need not raise anything.
    ///
    /// # Errors
    /// [`Error::State`] after a stop, [`Error::Gone`] when the device is not ours any more.
    pub fn arm(&mut self) -> Result<()> {
        self.while_open(|line, causes| {
            // 1. Events of the past. Also tells whether the device is still ours to touch.
            line.take()?;
            // 2. What is raised already would be no news.
            causes.take();
            // 3. The line, while no cause can reach it: opening it is no interrupt by itself.
            line.unmask()?;
            // 4. From here on a packet wakes.
            causes.unmask();
            // 5. What was raised since step 2 might be no news either. Its packet is in the ring,
            //    for the caller's second look.
            causes.take();
            Ok(())
        })
    }

    /// Masks the interrupt and forgets what it raised. Says whether anything had come. What comes
    /// at the same time may leave the file readable until it is armed again.
    ///
    /// # Errors
    /// As [`arm`](Self::arm).
    pub fn disarm(&mut self) -> Result<bool> {
        self.while_open(|line, causes| {
            // First: of a device that is gone, the registers are not ours to touch.
            let came = line.take()?;
            causes.mask();
            Ok(causes.take() != 0 || came)
        })
    }

    /// For a device that only moves when it is called: see [`Line::run`].
    pub fn run(&self) -> Option<Duration> {
        self.line.run()
    }

    /// A stop in another thread waits for the end of `f`, so that its registers stay as it left
    /// them.
    fn while_open<T>(&self, f: impl FnOnce(&dyn Line, &dyn Causes) -> Result<T>) -> Result<T> {
        let stopped = || {
            Err(Error::State {
                why: "the port of this interrupt was stopped; drop it and take that of the new \
                      start"
                    .to_owned(),
            })
        };
        self.life.while_open(|| f(&*self.line, &*self.causes)).unwrap_or_else(stopped)
    }
}

impl AsFd for RxInterrupt {
    /// Readable when an interrupt has come since it was armed. In an error state when the device is
    /// gone, at once and for ever: [`disarm`](RxInterrupt::disarm) says why.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.fd()
    }
}

impl AsRawFd for RxInterrupt {
    fn as_raw_fd(&self) -> RawFd {
        self.line.fd().as_raw_fd()
    }
}

impl Drop for RxInterrupt {
    fn drop(&mut self) {
        // After a stop there is nothing left to mask, and nothing may be touched of a device that
        // is gone.
        let _stopped = self.life.while_open(|| self.line.take().map(|_| self.causes.mask()));
        self.life.release_interrupt();
    }
}
