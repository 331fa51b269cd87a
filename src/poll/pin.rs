//! Keeping a thread on a core.

use std::io;

use crate::error::{Error, Result};

/// Keeps the calling thread on one core (`sched_setaffinity`).
///
/// # Errors
/// [`Error::Config`] when there is no such core, or this process may not use it.
pub fn pin_to_core(core: usize) -> Result<()> {
    let refuse = |e: io::Error| Error::config("core", core, format!("an online core ({e})"));
    // SAFETY: all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if core >= 8 * size_of_val(&set) {
        return Err(refuse(io::ErrorKind::InvalidInput.into()));
    }
    // SAFETY: the index was checked against the size of the set.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the set is a live cpu_set_t of the size given; 0 is the calling thread.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) } {
        0 => Ok(()),
        _ => Err(refuse(io::Error::last_os_error())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinning_answers_for_cores_that_are_not_there() {
        std::thread::spawn(|| {
            assert!(pin_to_core(usize::MAX).is_err());
            assert!(pin_to_core(1023).unwrap_err().to_string().contains("core = 1023"));
        })
        .join()
        .unwrap();
    }
}
