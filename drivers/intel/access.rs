//! How both families' drivers get at registers: changing them, noticing a vanished device,
//! switching many queues off at once.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::mmio::{Bar, Field, RegMeta, Register, wait_until};
use crate::port::RegValue;

/// Until a queue's ENABLE bit reads as written.
pub(crate) const QUEUE: Duration = Duration::from_millis(100);
/// Until a reset bit reads as zero again: microseconds, unless the device is a program that waits
/// for a processor.
const RESET: Duration = Duration::from_millis(500);
/// Between two looks at queues that are to stop, or at a device in reset.
const LOOK_EVERY: Duration = Duration::from_micros(10);

/// The device answered all ones.
pub(crate) fn gone<B: Bar>(bar: &B, how: impl Into<String>) -> Error {
    Error::Gone { device: bar.name().to_owned(), how: how.into() }
}

/// Notices a device that answers all ones. `R` is a register that never reads so: STATUS.
///
/// # Errors
/// [`Error::Gone`].
pub(crate) fn check_alive<R: Register, B: Bar>(bar: &B) -> Result<()> {
    if R::read(bar).raw() == u32::MAX {
        return Err(gone(bar, format!("register {} reads 0xffffffff", R::META.name)));
    }
    Ok(())
}

/// Reads, changes and writes back element `index` of a register.
pub(crate) fn modify<R: Register, B: Bar>(bar: &B, index: u32, change: impl FnOnce(R) -> R) {
    change(R::read_at(bar, index)).write_at(bar, index);
}

/// Sets `enable` in a queue's control register and waits until it reads back.
///
/// # Errors
/// [`Error::Gone`], [`Error::Timeout`].
pub(crate) fn enable_queue<R: Register, B: Bar>(bar: &B, n: u32, enable: Field) -> Result<()> {
    modify::<R, B>(bar, n, |r| r.with(enable, 1));
    wait_until::<R, B>(bar, n, QUEUE, |r| r.has(enable)).map(|_| ())
}

/// Clears `enable` in those of a control register's `offsets` that have it, then waits for all of
/// them together.
///
/// # Errors
/// [`Error::Gone`], [`Error::Timeout`].
pub(crate) fn disable_queues<R: Register, B: Bar>(
    bar: &B,
    offsets: impl Iterator<Item = u32>,
    enable: u32,
) -> Result<()> {
    let mut busy: Vec<u32> = Vec::new();
    for at in offsets {
        let raw = bar.read32(at);
        if raw == u32::MAX {
            return Err(gone(bar, format!("register {} reads 0xffffffff", R::META.name)));
        }
        if raw & enable != 0 {
            bar.write32(at, raw & !enable);
            busy.push(at);
        }
    }
    let start = bar.now();
    let mut last = 0;
    loop {
        let mut vanished = false;
        busy.retain(|at| {
            last = bar.read32(*at);
            vanished |= last == u32::MAX;
            last & enable != 0
        });
        if vanished {
            return Err(gone(bar, format!("register {} reads 0xffffffff", R::META.name)));
        }
        if busy.is_empty() {
            return Ok(());
        }
        let waited = bar.now().saturating_sub(start);
        if waited >= QUEUE {
            return Err(Error::Timeout { register: R::META.name, last, waited });
        }
        bar.delay(LOOK_EVERY);
    }
}

/// After a reset was written and a time of silence: waits until `bits` of its register read as
/// zero. A device that does not answer yet reads as all ones, which is no reason to give up before
/// the time is over.
///
/// # Errors
/// [`Error::Gone`], [`Error::Timeout`].
pub(crate) fn reset_done<R: Register, B: Bar>(bar: &B, bits: u32) -> Result<()> {
    let start = bar.now();
    loop {
        let value = R::read(bar).raw();
        if value & bits == 0 {
            return Ok(());
        }
        let waited = bar.now().saturating_sub(start);
        if waited >= RESET {
            if value == u32::MAX {
                return Err(gone(bar, "it does not answer after the reset"));
            }
            return Err(Error::Timeout { register: R::META.name, last: value, waited });
        }
        bar.delay(LOOK_EVERY);
    }
}

/// Reads every element of `registers`.
pub(crate) fn dump<B: Bar>(
    bar: &B,
    registers: impl Iterator<Item = &'static RegMeta>,
) -> Vec<RegValue> {
    registers
        .flat_map(|r| {
            (0..r.count).map(|index| {
                let offset = r.offset_of(index);
                RegValue { name: r.name, index, offset, value: bar.read32(offset) }
            })
        })
        .collect()
}
