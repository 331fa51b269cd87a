//! A software 82599.

#![forbid(unsafe_code)]

pub mod wire;
