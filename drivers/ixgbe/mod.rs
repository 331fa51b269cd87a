//! The driver for the Intel 82599, X520, X540 and X550 10 GbE controllers.
//!
//! Section numbers are those of the "82599 10 GbE Controller Datasheet"; X540 and X550 keep its
//! programming model and differ where [`regs`] and the device table say so.
#![forbid(unsafe_code)]

pub mod regs;
