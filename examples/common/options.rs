//! Options that all tools have in common.

use barewire::port::{DataPath, FlowControl};
use clap::{Args, ValueEnum};

use super::units;

/// How ports are set up.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Ports")]
pub(crate) struct PortOptions {
    /// Packets handled at a time, 1 to 512
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) burst: u16,
    /// Descriptors per receive ring: a multiple of 8
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub(crate) rxd: u16,
    /// Descriptors per transmit ring: a multiple of 8
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub(crate) txd: u16,
    /// Receive queues per port; packets are spread over them by RSS
    #[arg(long, value_name = "N")]
    pub(crate) rxq: Option<u16>,
    /// Transmit queues per port
    #[arg(long, value_name = "N")]
    pub(crate) txq: Option<u16>,
    /// Largest packet without Ethernet header and FCS [default: 1500, or what the frames need]
    #[arg(long, value_name = "BYTES")]
    pub(crate) mtu: Option<u16>,
    /// Packet buffers in the pool [default: what rings, bursts and caches need]
    #[arg(long, value_name = "N")]
    pub(crate) pool: Option<u32>,
    /// A full receive ring drops its frames (yes), or holds them up in the NIC's FIFO (no)
    /// [default: no with one receive queue or in pktgen's loop mode, else yes]
    #[arg(long, value_name = "yes|no", value_parser = units::parse_yes_no)]
    pub(crate) drop_when_full: Option<bool>,
    /// Pause frames: off, obeyed (rx), sent (tx) or both (full)
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) flow_control: Option<Flow>,
    /// Code that carries packets between rings and application; all do the same
    #[arg(long, value_enum, value_name = "PATH", default_value_t = WantedPath::Auto)]
    pub(crate) path: WantedPath,
    /// Cores for the threads that poll, in turns, e.g. 2,3
    #[arg(long, value_name = "CORES", value_delimiter = ',')]
    pub(crate) cpu: Vec<usize>,
    /// How long to wait for link at the start
    #[arg(long, value_name = "SECS", default_value_t = 9.0, value_parser = link_wait)]
    pub(crate) link_wait: f64,
    #[command(flatten)]
    pub(crate) idle: IdleOptions,
}

/// What workers do while nothing comes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Idle")]
pub(crate) struct IdleOptions {
    /// What a worker does while nothing comes
    #[arg(long, value_enum, value_name = "HOW", default_value_t = IdlePolicy::Yield)]
    pub(crate) idle: IdlePolicy,
    /// Empty polls in a row before it yields or sleeps [default: 64 or 300]
    #[arg(long, value_name = "N")]
    pub(crate) idle_polls: Option<u32>,
    /// Longest sleep: how late the end of a run may be noticed
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) idle_timeout: u16,
}

/// `--idle`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IdlePolicy {
    /// Polls on
    Spin,
    /// Pauses the core for some tens of cycles between polls
    Pause,
    /// Lets other threads run now and then
    Yield,
    /// Sleeps until the NIC's interrupt says that a packet came
    Sleep,
}

/// `--flow-control`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Flow {
    Off,
    Rx,
    Tx,
    Full,
}

impl From<Flow> for FlowControl {
    fn from(flow: Flow) -> Self {
        match flow {
            Flow::Off => Self::Off,
            Flow::Rx => Self::Rx,
            Flow::Tx => Self::Tx,
            Flow::Full => Self::Full,
        }
    }
}

/// `--path`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WantedPath {
    /// The fastest that the processor and the port's offloads allow
    Auto,
    /// One descriptor at a time
    Scalar,
    /// Vectors of 128 bits
    #[value(name = "sse4.1")]
    Sse41,
    /// Vectors of 256 bits
    Avx2,
    /// Vectors of 512 bits
    Avx512,
}

impl From<WantedPath> for Option<DataPath> {
    fn from(path: WantedPath) -> Self {
        match path {
            WantedPath::Auto => None,
            WantedPath::Scalar => Some(DataPath::Scalar),
            WantedPath::Sse41 => Some(DataPath::Sse41),
            WantedPath::Avx2 => Some(DataPath::Avx2),
            WantedPath::Avx512 => Some(DataPath::Avx512),
        }
    }
}

fn link_wait(s: &str) -> Result<f64, String> {
    match s.parse::<f64>() {
        Ok(v) if (0.0..=3600.0).contains(&v) => Ok(v),
        _ => Err("seconds from 0 to 3600".to_owned()),
    }
}

/// What is printed, and where.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputOptions {
    /// Print the summary as one JSON object on the last line of standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Also print one JSON object a second ("final": false); implies --json
    #[arg(long)]
    pub(crate) json_lines: bool,
    /// No live line a second on standard error
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl OutputOptions {
    /// Whether the summary is for a machine.
    pub(crate) fn for_machines(&self) -> bool {
        self.json || self.json_lines
    }
}
