//! The model played by hand, register by register: what the driver of this crate never asks for,
//! and what it must never do.

mod board;
mod guest;
mod interrupts;
mod masks;
mod receive;
mod registers;
mod registers_82576;
mod registers_i350;
mod registers_x540;
mod rig;
mod segmentation;
mod traffic_82576;
mod transmit;
mod vectors;
mod vectors_82576;
