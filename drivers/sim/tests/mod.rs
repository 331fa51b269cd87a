//! The model played by hand, register by register: what the driver of this crate never asks for,
//! and what it must never do.

mod board;
mod counts;
mod dump;
mod flow;
mod guest;
mod hostile;
mod interrupts;
mod masks;
mod nvm;
mod receive;
mod registers;
mod registers_82576;
mod registers_i350;
mod registers_x540;
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
