//! The driver against a register file that logs.
