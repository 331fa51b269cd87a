//! Software NICs on their sockets, as a virtual machine monitor and its guest see them: with a
//! client and a guest driver of the tests' own, written from the protocol's specification and
//! the datasheets.
//!
//! `BAREWIRE_FUZZ_COUNT` and `BAREWIRE_FUZZ_SEED` make the `fuzz_` tests longer and others.

#[path = "../kit/mod.rs"]
mod kit;

mod client;
mod fuzz_registers;
mod fuzz_socket;
mod guest;
mod hostile;
mod interrupts;
mod lifecycle;
mod protocol;
mod served;
mod traffic;
