//! The calling thread's NUMA policy while memory is taken.

use std::io;
use std::marker::PhantomData;

use crate::error::{Error, Result};

/// Nodes that a policy can name here.
const MAX_NODES: usize = 1024;
const WORD: usize = libc::c_ulong::BITS as usize;
type Mask = [libc::c_ulong; MAX_NODES / WORD];

/// Restores the thread's policy on drop. Stays on its thread.
#[derive(Debug)]
pub(super) struct Policy {
    saved: Option<(libc::c_int, Mask)>,
    _thread: PhantomData<*const ()>,
}

/// Takes pages from `node` alone. Right for hugepages, where running out is an error.
pub(super) fn bind(node: Option<u32>) -> Result<Policy> {
    enter(node, libc::MPOL_BIND)
}

/// Takes pages from `node` first. Right for ordinary memory, where a bound process that runs out
/// would be killed.
pub(super) fn prefer(node: Option<u32>) -> Result<Policy> {
    enter(node, libc::MPOL_PREFERRED)
}

pub(super) fn no_such(node: u32) -> Error {
    Error::config("NUMA node", node, "one of those in /sys/devices/system/node, or none")
}

fn enter(node: Option<u32>, mode: libc::c_int) -> Result<Policy> {
    let none = Policy { saved: None, _thread: PhantomData };
    let Some(node) = node.filter(|_| !cfg!(miri)) else { return Ok(none) };
    let bit = node as usize;
    if bit >= MAX_NODES {
        return Err(no_such(node));
    }
    let saved = match get() {
        Ok(saved) => saved,
        Err(error) => return unavailable(node, &error).map(|()| none),
    };
    let mut mask: Mask = [0; MAX_NODES / WORD];
    mask[bit / WORD] |= 1 << (bit % WORD);
    match set(mode, &mask) {
        Ok(()) => Ok(Policy { saved: Some(saved), _thread: PhantomData }),
        Err(error) => unavailable(node, &error).map(|()| none),
    }
}

/// Containers often forbid policies, and small kernels have none; the memory then comes from
/// anywhere. A node that does not exist is the caller's mistake.
fn unavailable(node: u32, error: &io::Error) -> Result<()> {
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM) => {
            tracing::debug!(node, %error, "cannot choose the NUMA node");
            Ok(())
        }
        _ => Err(no_such(node)),
    }
}

fn get() -> io::Result<(libc::c_int, Mask)> {
    let mut mode: libc::c_int = 0;
    let mut mask: Mask = [0; MAX_NODES / WORD];
    // SAFETY: get_mempolicy writes one int and MAX_NODES bits, for which there is room; no
    // address is asked about.
    let result = unsafe {
        libc::syscall(
            libc::SYS_get_mempolicy,
            &raw mut mode,
            mask.as_mut_ptr(),
            MAX_NODES,
            std::ptr::null_mut::<libc::c_void>(),
            0,
        )
    };
    if result == 0 { Ok((mode, mask)) } else { Err(io::Error::last_os_error()) }
}

fn set(mode: libc::c_int, mask: &Mask) -> io::Result<()> {
    // The kernel looks at one bit fewer than it is told. MPOL_DEFAULT and MPOL_LOCAL come with an
    // empty mask.
    // SAFETY: set_mempolicy reads at most MAX_NODES bits of the mask.
    let result =
        unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask.as_ptr(), MAX_NODES + 1) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if let Some((mode, mask)) = &self.saved
            && let Err(error) = set(*mode, mask)
        {
            tracing::warn!(%error, "cannot restore the thread's NUMA policy");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The policy now, or nothing where the sandbox or kernel has no policies.
    fn now() -> Option<(libc::c_int, Mask)> {
        get().ok()
    }

    #[test]
    fn the_threads_policy_comes_back() {
        let Some(before) = now() else { return };
        {
            let policy = bind(Some(0)).unwrap();
            if policy.saved.is_some() {
                let (mode, mask) = now().unwrap();
                assert_eq!((mode, mask[0]), (libc::MPOL_BIND, 1));
                // And nested ones peel off one by one.
                drop(prefer(Some(0)).unwrap());
                assert_eq!(now().unwrap().0, libc::MPOL_BIND);
            }
        }
        assert_eq!(now().unwrap(), before);
    }

    #[test]
    fn no_node_changes_nothing() {
        let before = now();
        let policy = bind(None).unwrap();
        assert!(policy.saved.is_none());
        assert_eq!(now(), before);
    }

    #[test]
    fn absent_nodes_are_refused_and_leave_no_policy_behind() {
        let before = now();
        for node in [MAX_NODES as u32, u32::MAX] {
            assert!(matches!(bind(Some(node)), Err(Error::Config { what: "NUMA node", .. })));
        }
        // 1023 exists on no machine that runs this; without policies it is ignored.
        if before.is_some() {
            match bind(Some(1023)) {
                Err(Error::Config { what: "NUMA node", .. }) => {}
                Ok(policy) => assert!(policy.saved.is_none()),
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(now(), before);
    }
}
