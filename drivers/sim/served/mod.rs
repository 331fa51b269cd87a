//! Software NICs as PCI devices of a virtual machine, over vfio-user (feature `vfio-user`).
//!
//! `SoftNic::serve` listens on a socket; QEMU's `vfio-user-pci` (10.1 and later) connects, and its
//! guest has the NIC, for its own driver to find. What the guest writes to configuration space and
//! BARs goes to the model, DMA to windows of the guest's memory that the client passes as file
//! descriptors, interrupts to eventfds that it passes. Registers are never mapped into the guest:
//! reading some of them does something.
//!
//! A client is not trusted, nor is its guest. One thread a NIC serves one client at a time; when
//! the client has gone, the NIC is reset, and neither its memory nor its eventfds are touched any
//! more. The parts: [`ConfigSpace`], `function` (the PCI function), `memory` (DMA windows), `eventfds`
//! (interrupts), `message` (what is wrong with a message), `session` (one client's connection),
//! `crate_server` (the `vfio_user` crate), `socket` and `server`.
//!
//! # The crate and its defects
//!
//! The crate `vfio_user` 0.1.7 reads and answers the messages that set a device up. It trusts every
//! byte of its stream; so it gets none. A session receives whole messages, checks them, and hands
//! each to the crate on a connection of its own (see `crate_server`), in one thread: nothing can get
//! out of step, wait or grow. What a guest does all the time, reading and writing regions, a
//! session does itself, in the four system calls that it takes.
//!
//! | defect of the crate | here |
//! |---|---|
//! | allocates as many bytes as a client says | never sees an access; a message has 64 KiB at most |
//! | panics at a malformed VERSION, and at one without data | answered by the session |
//! | its VERSION reply takes one descriptor a message | the session's takes 16 |
//! | SET_IRQS with data of the kind bool leaves the data in the stream | done by the session, a vector at a time |
//! | unknown and unsupported commands leave their body in the stream | refused by the session: ENOTSUP |
//! | errors of the backend have errno 0 | the function keeps the errno, and the session puts it in |
//! | takes the first part of a head for the whole | the session reads to the end, for 5 seconds at most |
//! | answers a refused message that wants no reply | the session sends nothing then |
//! | descriptors that came with any message but the one that needs them | counted: EINVAL |
//! | serves one client and ends | the server goes on with the next; a second one is turned away |
//! | panics end the thread | caught; the client is sent away and the NIC reset |
//! | no DMA_READ and DMA_WRITE: memory must come as a file | remains: a window without one is known, and DMA to it is a fault |
//! | its client has `resettable` the wrong way round and waits for ever for the data of an error reply | remains; nothing here uses it |
//!
//! What remains of a client's means: one that takes the non-blocking mode of its own eventfd away,
//! and fills it in the moment between the check and the write, stops its own NIC until it reads.

mod config_space;
#[cfg(feature = "vfio-user")]
mod crate_server;
#[cfg(feature = "vfio-user")]
mod eventfds;
#[cfg(feature = "vfio-user")]
mod function;
#[cfg(feature = "vfio-user")]
mod memory;
#[cfg(feature = "vfio-user")]
mod message;
#[cfg(feature = "vfio-user")]
mod server;
#[cfg(feature = "vfio-user")]
mod session;
#[cfg(feature = "vfio-user")]
mod socket;

pub use config_space::{BarLayout, ConfigSpace, PciIdentity, Slot};
#[cfg(feature = "vfio-user")]
pub use server::{ClientEvent, SoftNic};
