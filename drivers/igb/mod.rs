//! The driver for the Intel 82576, 82580, I350, I354, I210 and I211 1 GbE controllers.
#![forbid(unsafe_code)]

pub mod ids;
pub mod regs;
