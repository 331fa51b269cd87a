//! The model played by hand, register by register: what the driver of this crate never asks for,
//! and what it must never do.

mod board;
mod dump;
mod guest;
mod hostile;
mod interrupts;
mod masks;
mod nvm;
mod receive;
mod registers;
mod registers_82576;
mod rig;
mod segmentation;
mod traffic_82576;
mod transmit;
