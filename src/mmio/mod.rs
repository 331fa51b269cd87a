//! Register access: the [`Bar`] that drivers are generic over, the detached [`Doorbell`], typed
//! registers, and bounded waiting.

use std::fmt::Debug;
use std::time::Duration;

mod mapped;
mod register;
mod revoked;

pub use mapped::{MappedBar, MappedDoorbell};
pub use register::{Access, Field, RegMeta, Register};
#[cfg(feature = "vfio-user")]
pub(crate) use revoked::Watch;

use crate::error::{Error, Result};

/// A device's register space (BAR 0): memory-mapped on hardware, a model in the software NIC.
///
/// Offsets are in bytes from the start of the BAR and are multiples of 4. An offset outside the
/// BAR reads as all ones and swallows writes, as a missing device does.
pub trait Bar: Clone + Debug + Send + Sync + 'static {
    /// The detached write-only handle to one tail register.
    type Bell: Doorbell;

    /// True when the device behind is software that shares this process's memory. The data path
    /// then moves every buffer through its owner word, so that not even a wrong descriptor makes
    /// the model touch memory that somebody else uses. Hardware builds carry none of it.
    const SOFTWARE: bool;

    /// Reads one register; reading may have side effects.
    fn read32(&self, offset: u32) -> u32;

    /// Writes one register.
    fn write32(&self, offset: u32, value: u32);

    /// A handle that writes just the register at `offset`.
    fn doorbell(&self, offset: u32) -> Self::Bell;

    /// Time on the device's clock since some fixed point. The stepped software NIC has a virtual
    /// clock, so that waiting costs no real time there.
    fn now(&self) -> Duration;

    /// Lets `time` pass on the device's clock.
    fn delay(&self, time: Duration);

    /// What to call the device in messages: its PCI address or software-NIC string.
    fn name(&self) -> &str;
}

/// Writes one tail register (RDT or TDT) and nothing else.
pub trait Doorbell: Debug + Send + 'static {
    /// Publishes a new tail. The caller has ordered its descriptor writes before this with
    /// [`dma_release`](crate::arch::dma_release).
    fn ring(&self, tail: u32);
}

/// How often a waited-for register is read.
const POLL_EVERY: Duration = Duration::from_micros(10);

/// Reads `R` (element `index`) until `done` says so, for at most `limit` on the device's clock.
///
/// # Errors
/// [`Error::Timeout`] with the register's name and last value; [`Error::Gone`] when the device
/// answers all ones.
pub fn wait_until<R: Register, B: Bar>(
    bar: &B,
    index: u32,
    limit: Duration,
    done: impl Fn(R) -> bool,
) -> Result<R> {
    let start = bar.now();
    loop {
        let raw = bar.read32(R::META.offset_of(index));
        if raw == u32::MAX {
            return Err(Error::Gone {
                device: bar.name().to_owned(),
                how: format!("register {} reads 0xffffffff", R::META.name),
            });
        }
        let value = R::from_raw(raw);
        if done(value) {
            return Ok(value);
        }
        let waited = bar.now().saturating_sub(start);
        if waited >= limit {
            return Err(Error::Timeout { register: R::META.name, last: raw, waited });
        }
        bar.delay(POLL_EVERY);
    }
}
