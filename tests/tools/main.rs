//! Runs the unit tests that stand in the tools' own files: Cargo builds examples for `cargo test`
//! but does not test them.
#![allow(dead_code, unused_imports, reason = "the tools' main functions are not here")]

#[path = "../../examples/echo/answer.rs"]
mod answer;
#[path = "../../examples/pktgen/check.rs"]
mod check;
#[path = "../../examples/common/mod.rs"]
mod common;
#[path = "../../examples/forward/edit.rs"]
mod edit;
#[path = "../../examples/pktgen/engine.rs"]
mod engine;
#[path = "../../examples/pktgen/pace.rs"]
mod pace;
#[path = "../../examples/pktgen/range.rs"]
mod range;
#[path = "../../examples/pktgen/replay.rs"]
mod replay;
#[path = "../../examples/pktgen/template.rs"]
mod template;

mod pipe;
mod pktgen;
