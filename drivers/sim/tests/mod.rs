//! The model played by hand, register by register: what the driver of this crate never asks for,
//! and what it must never do.

mod board;
mod flow;
mod guest;
mod interrupts;
mod masks;
mod receive;
mod registers;
mod registers_82576;
mod rig;
mod rsc;
mod segmentation;
mod stamps;
mod steer;
mod timesync;
mod traffic_82576;
mod transmit;
mod vectors;
mod vectors_82576;
