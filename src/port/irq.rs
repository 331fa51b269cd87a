//! Sleeping until a packet arrives: the receive interrupt of a started port.
//!
//! Three parties share it: the chip has causes and masks ([`Causes`]), the bus has a line to wait on
//! ([`Line`]), and the application holds the [`RxInterrupt`] that joins them. The order is what
//! keeps a wake-up from being lost: arm, **look at the rings again**, sleep, disarm, drain. A frame
//! that came before arming is found by the second look, one that came after it wakes the sleeper.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use super::Lifeline;
use crate::error::{Error, Result};

/// The bus side of an interrupt: something that becomes readable, and a mask.
pub trait Line: Send + fmt::Debug {
    /// Lets the next interrupt through.
    ///
    /// # Errors
    /// When the device is not ours any more.
    fn unmask(&self) -> Result<()>;

    /// Holds interrupts back.
    ///
    /// # Errors
    /// As [`unmask`](Self::unmask).
    fn mask(&self) -> Result<()>;

    /// Forgets the interrupts that came so far, and says whether there were any. Never blocks.
    ///
    /// # Errors
    /// As [`unmask`](Self::unmask).
    fn take(&self) -> Result<bool>;

    /// Becomes readable when an interrupt comes.
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
    /// Reads and clears what was raised; zero when nothing was.
    fn take(&self) -> u32;
}

/// The receive interrupt of a started port, for one worker to sleep on. It is one for all queues
/// of the port.
#[derive(Debug)]
pub struct RxInterrupt {
    line: Box<dyn Line>,
    causes: Box<dyn Causes>,
    life: Arc<Lifeline>,
}

impl RxInterrupt {
    pub(crate) fn new(line: Box<dyn Line>, causes: Box<dyn Causes>, life: Arc<Lifeline>) -> Self {
        causes.mask();
        Self { line, causes, life }
    }

    /// Whether the start that this belongs to has been stopped.
    fn alive(&self) -> Result<()> {
        if self.life.is_running() {
            return Ok(());
        }
        Err(Error::State {
            why: "the port of this interrupt was stopped; drop it and take that of the new start"
                .to_owned(),
        })
    }

    /// Lets the next received packet raise the interrupt. Look at the rings again before sleeping:
    /// what came before this raises nothing.
    ///
    /// # Errors
    /// [`Error::State`] after a stop, [`Error::Gone`] when the device is not ours any more.
    pub fn arm(&mut self) -> Result<()> {
        self.alive()?;
        // The cause first: with one pending, the line would fire at once.
        self.causes.take();
        self.line.take()?;
        self.causes.unmask();
        self.line.unmask()
    }

    /// Masks the interrupt and forgets what it raised. Says whether anything had come.
    ///
    /// # Errors
    /// As [`arm`](Self::arm).
    pub fn disarm(&mut self) -> Result<bool> {
        self.alive()?;
        self.causes.mask();
        let raised = self.causes.take() != 0;
        Ok(self.line.take()? || raised)
    }

    /// For a device that only moves when it is called: see [`Line::run`].
    pub fn run(&self) -> Option<Duration> {
        self.line.run()
    }
}

impl AsFd for RxInterrupt {
    /// Readable when an interrupt has come since it was armed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.fd()
    }
}

impl Drop for RxInterrupt {
    fn drop(&mut self) {
        if self.alive().is_ok() {
            self.causes.mask();
        }
    }
}
