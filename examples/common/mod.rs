//! What all the tools share: how they start and end, their common options, opening ports, and
//! the report with its loss ladder.
#![allow(dead_code, reason = "each tool uses its own part of this")]

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use barewire::Error;
use signal_hook::consts::{SIGINT, SIGTERM};
use tracing_subscriber::EnvFilter;

pub(crate) mod counts;
pub(crate) mod ladder;
pub(crate) mod meter;
pub(crate) mod options;
pub(crate) mod pulse;
pub(crate) mod report;
pub(crate) mod rest;
pub(crate) mod session;
pub(crate) mod units;

/// What every tool's `--help` ends with.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  a clean end: --secs or --count was reached, or Ctrl-C (a second Ctrl-C ends at once)
  1  a device or file failed while running; the reason and the counts so far are printed
  2  bad input or a refusal (unknown port, not allowed value, no permission, ...); nothing
     was changed";

/// Why a tool ends with something else than success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Bad input, or something stands in the way: exit code 2.
    Refused(String),
    /// A device or file failed while it was in use: exit code 1.
    Broke(String),
    /// Whoever read our output is gone: the end, and no failure.
    NoReader,
}

impl Failure {
    /// A refusal in the tool's own words.
    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }

    /// Whatever the library says once traffic runs.
    pub(crate) fn broke(error: impl fmt::Display) -> Self {
        Self::Broke(error.to_string())
    }
}

impl From<Error> for Failure {
    /// An error of the set-up phase: a failing device is not the user's mistake.
    fn from(error: Error) -> Self {
        match error {
            Error::Gone { .. }
            | Error::BusMasterLost { .. }
            | Error::Timeout { .. }
            | Error::Device { .. }
            | Error::PageMoved { .. } => Self::Broke(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    /// An error on standard output.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NoReader,
            _ => Self::Broke(format!("cannot write to standard output: {error}")),
        }
    }
}

/// Runs a tool and turns its outcome into an exit code, with the reason on standard error.
pub(crate) fn run(tool: &str, main: impl FnOnce() -> Result<(), Failure>) -> ExitCode {
    let wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned());
    // That crate tells of every message that a connection of its own was closed.
    let filter = EnvFilter::try_new(format!("vfio_user=warn,{wanted}"))
        .unwrap_or_else(|_| EnvFilter::new("warn"));
    // A second subscriber can only be ours: the tools' tests run several in one process.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .try_init();
    // A panic has been told by then, and what it dropped on its way here has stopped the ports.
    let result = catch_unwind(AssertUnwindSafe(main));
    let (why, code) = match result {
        Ok(Ok(()) | Err(Failure::NoReader)) => return ExitCode::SUCCESS,
        Ok(Err(Failure::Broke(why))) => (why, 1),
        Ok(Err(Failure::Refused(why))) => (why, 2),
        Err(_) => ("a mistake in this program ended it; the ports were stopped".to_owned(), 1),
    };
    let _ = writeln!(io::stderr(), "{tool}: {why}");
    ExitCode::from(code)
}

static CAUGHT: OnceLock<Interrupt> = OnceLock::new();

/// Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches the signals.
    pub(crate) fn catch() -> Result<Self, Failure> {
        let flag = Arc::new(AtomicBool::new(false));
        for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
            // In this order: the first handler sees the flag as earlier signals left it.
            signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&flag))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
                .map_err(|e| Failure::refused(format!("cannot catch signal {signal}: {e}")))?;
        }
        let caught = Self(flag);
        let _ = CAUGHT.set(caught.clone());
        Ok(caught)
    }

    /// Whether one came, for those who were not given what caught it.
    pub(crate) fn came_anywhere() -> bool {
        CAUGHT.get().is_some_and(Self::came)
    }

    /// Whether one came.
    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
