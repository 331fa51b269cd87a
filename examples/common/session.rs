//! Opening, starting, watching and stopping a tool's ports.

use std::path::Path;
use std::time::{Duration, Instant};

use barewire::drivers::sim::SimConfig;
use barewire::error::{Error, Result};
use barewire::mem::Backing;
use barewire::pci::{PciAddr, PciDevice};
use barewire::poll::pin_to_core;
use barewire::pool::{DEFAULT_HEADROOM, PoolConfig};
use barewire::port::{LinkStatus, PathChoice, PortConfig, PortStats, Queues};
use barewire::{Mempool, Port, RxQueue, TxQueue};

use super::options::PortOptions;
use super::units::FCS;
use super::{Failure, Interrupt};

/// Buffers that one worker's cache keeps at most.
const CACHE: u32 = 256;
/// Ethernet header and two VLAN tags: what a frame is longer than the MTU at most.
const HEADERS: u16 = 14 + 8;

/// What a tool asks for beside the user's options.
#[derive(Debug, Clone)]
pub(crate) struct Need {
    /// Longest frame to send, without FCS.
    pub(crate) frame: u16,
    /// Workers, each with its own cache and batches.
    pub(crate) workers: u16,
    /// Receive queues per port, unless the user says.
    pub(crate) rxq: u16,
    /// Transmit queues per port, unless the user says.
    pub(crate) txq: u16,
    /// Whether a slow receiver holds up the sender instead of losing frames, unless the user says.
    pub(crate) lossless: bool,
}

impl Default for Need {
    fn default() -> Self {
        Self { frame: 1514, workers: 1, rxq: 1, txq: 1, lossless: false }
    }
}

/// One port of a session.
#[derive(Debug)]
pub(crate) struct OpenPort {
    pub(crate) port: Port,
    pub(crate) link: LinkStatus,
    pub(crate) stats: PortStats,
    /// Whether the last attempt to read `stats` failed.
    pub(crate) stale: bool,
    /// Which code carries what is received; all queues of a port have the same.
    pub(crate) rx_path: Option<PathChoice>,
    /// And what is sent.
    pub(crate) tx_path: Option<PathChoice>,
}

impl OpenPort {
    fn new(port: Port) -> Self {
        let (link, stats) = (LinkStatus::DOWN, PortStats::default());
        Self { port, link, stats, stale: false, rx_path: None, tx_path: None }
    }

    fn refresh(&mut self) -> Result<()> {
        // First: this asks whether the device is still ours, and knows best what is wrong.
        let fault = match self.port.stats() {
            Ok(stats) => {
                (self.stats, self.stale) = (stats, false);
                None
            }
            Err(fault) => {
                // What the device recorded is told once, and the counters can be read after it.
                match self.port.stats() {
                    Ok(stats) => (self.stats, self.stale) = (stats, false),
                    Err(_) => self.stale = true,
                }
                Some(fault)
            }
        };
        let link = self.port.link().map(|link| self.link = link);
        fault.map_or(link, Err)
    }
}

/// The ports of a tool, started, and the pool that all of them use.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) ports: Vec<OpenPort>,
    pub(crate) pool: Mempool,
    pub(crate) mtu: u16,
}

impl Session {
    /// Opens ports, checks everything, and only then starts them. Also gives their queues, port
    /// by port.
    pub(crate) fn open(
        names: &[&str],
        options: &PortOptions,
        need: &Need,
    ) -> Result<(Self, Vec<Queues>), Failure> {
        Self::open_with(names, options, need, || Ok(()))
    }

    /// The same, with something that must succeed after the checks and before the start.
    pub(crate) fn open_with(
        names: &[&str],
        options: &PortOptions,
        need: &Need,
        before_start: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(Self, Vec<Queues>), Failure> {
        let config = configure(options, need)?;
        check_cores(&options.cpu)?;
        // Opening one resets it, which a mistake in the next one's name must not.
        names.iter().try_for_each(|name| check_name(name))?;
        let mut ports = Vec::with_capacity(names.len());
        for name in names {
            let port = Port::open(name)?;
            let longest = u32::from(port.info().max_mtu) + u32::from(HEADERS);
            if u32::from(need.frame) > longest {
                let fcs = u32::from(FCS);
                let allowed =
                    format!("up to {} bytes with FCS on {}", longest + fcs, port.info().chip);
                return Err(too_long(need.frame, allowed).into());
            }
            config.check(port.info())?;
            ports.push(OpenPort::new(port));
        }
        let pool = pool_config(options, need, &config, &ports, backing(names));
        check_pool(&pool, &config, ports.len())?;
        let pool = Mempool::new(&pool)?;
        before_start()?;
        let mut queues = Vec::with_capacity(ports.len());
        for p in &mut ports {
            let started = p.port.start(&config, &pool)?;
            p.rx_path = started.rx.first().map(RxQueue::path);
            p.tx_path = started.tx.first().map(TxQueue::path);
            queues.push(started);
        }
        let mut session = Self { ports, pool, mtu: config.mtu };
        session.wait_for_link(Duration::from_secs_f64(options.link_wait))?;
        Ok((session, queues))
    }

    /// Waits until every port has link. That it does not come is told, and is not an error; nor is
    /// a signal, which ends the run that follows before it begins.
    fn wait_for_link(&mut self, limit: Duration) -> Result<(), Failure> {
        let start = Instant::now();
        loop {
            self.refresh()?;
            let Some(down) = self.ports.iter().find(|p| !p.link.up) else { return Ok(()) };
            if Interrupt::came_anywhere() {
                return Ok(());
            }
            if start.elapsed() >= limit {
                let name = &down.port.info().name;
                tracing::warn!("{name} has no link after {limit:?}; going on without");
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Reads every port's link and counters; where a device fails, the others are still read.
    pub(crate) fn refresh(&mut self) -> Result<()> {
        let mut first = Ok(());
        for p in &mut self.ports {
            let result = p.refresh();
            first = first.and(result);
        }
        first
    }

    /// Stops every port, whatever happens to one of them.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let mut first = Ok(());
        for p in &mut self.ports {
            let result = p.port.stop();
            first = first.and(result);
        }
        first
    }

    /// Speed of a port's link in bit/s; that of the fastest supported link when it is down.
    pub(crate) fn line_rate(&self, port: usize) -> f64 {
        match self.ports.get(port).map_or(0, |p| p.link.speed_mbps) {
            0 => 1e10,
            mbps => f64::from(mbps) * 1e6,
        }
    }
}

/// Refuses a name that is no port's, without touching any port.
fn check_name(name: &str) -> Result<()> {
    if is_software(name) {
        return SimConfig::parse(name).map(drop);
    }
    PciDevice::find(Path::new("/sys"), name.parse::<PciAddr>()?).map(drop)
}

fn is_software(name: &str) -> bool {
    name.starts_with("sim:")
}

/// Memory that all of these ports can use.
fn backing(names: &[&str]) -> Backing {
    if names.iter().all(|name| is_software(name)) { Backing::Auto } else { Backing::for_device() }
}

/// Tries the cores out, in a thread that ends.
fn check_cores(cores: &[usize]) -> Result<()> {
    let cores = cores.to_vec();
    std::thread::spawn(move || cores.into_iter().try_for_each(pin_to_core)).join().unwrap_or(Ok(()))
}

/// The one configuration that all of a tool's ports are started with.
fn configure(options: &PortOptions, need: &Need) -> Result<PortConfig, Error> {
    let needed = need.frame.saturating_sub(HEADERS).max(1500);
    let mtu = options.mtu.unwrap_or(needed);
    let rx_queues = options.rxq.unwrap_or(need.rxq);
    let config = PortConfig {
        rx_queues,
        tx_queues: options.txq.unwrap_or(need.txq),
        rxd: options.rxd,
        txd: options.txd,
        mtu,
        flow_control: match options.flow_control {
            Some(flow) => flow.into(),
            None if need.lossless => barewire::port::FlowControl::Full,
            None => barewire::port::FlowControl::Off,
        },
        // Frames that wait hold up those for other queues; with one queue there are none.
        drop_when_full: options.drop_when_full.unwrap_or(!need.lossless && rx_queues > 1),
        path: options.path.into(),
        // All ports are started before any is waited for: they may be each other's far end.
        link_wait: Duration::ZERO,
        ..PortConfig::default()
    };
    PathChoice::new(config.path)?;
    let most = u32::from(mtu) + u32::from(HEADERS);
    if u32::from(need.frame) > most {
        let allowed = format!("up to {} bytes with FCS at MTU {mtu}; raise --mtu", most + 4);
        return Err(too_long(need.frame, allowed));
    }
    Ok(config)
}

fn too_long(frame: u16, allowed: String) -> Error {
    Error::config("frame length", u32::from(frame) + u32::from(FCS), allowed)
}

/// Packets that a receive queue keeps for small bursts.
const STAGED: u32 = 32;

/// Buffers for a pool that never runs dry: every descriptor can hold one while every worker's
/// cache and batches, and what queues keep beside their rings, are full.
fn pool_size(options: &PortOptions, need: &Need, config: &PortConfig, ports: u32) -> u32 {
    let rings = u32::from(config.rx_queues) * (u32::from(config.rxd) + STAGED)
        + u32::from(config.tx_queues) * u32::from(config.txd);
    let worker = CACHE + 4 * u32::from(options.burst);
    rings * ports + worker * u32::from(need.workers) + CACHE
}

fn pool_config(
    options: &PortOptions,
    need: &Need,
    config: &PortConfig,
    ports: &[OpenPort],
    backing: Backing,
) -> PoolConfig {
    // A frame in one buffer, as far as buffers go; longer ones arrive as chains.
    let room = config.mtu.saturating_add(HEADERS).next_multiple_of(1024).clamp(2048, 15 * 1024);
    let count = pool_size(options, need, config, ports.len() as u32);
    PoolConfig {
        count: options.pool.unwrap_or(count),
        room,
        headroom: DEFAULT_HEADROOM,
        node: ports.iter().find_map(|p| p.port.info().numa_node),
        backing,
    }
}

/// Refuses a pool too small to fill the receive rings of all ports.
fn check_pool(pool: &PoolConfig, config: &PortConfig, ports: usize) -> Result<()> {
    // One descriptor of a full ring stays empty.
    let rings = u32::from(config.rx_queues) * ports as u32;
    let wanted = rings * u32::from(config.rxd.saturating_sub(1));
    if pool.count < wanted {
        let allowed =
            format!("at least {wanted} buffers, to fill {rings} receive rings of {}", config.rxd);
        return Err(Error::config("pool size", pool.count, allowed));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        ports: PortOptions,
    }

    fn options(args: &[&str]) -> PortOptions {
        Cli::parse_from([&["test"], args].concat()).ports
    }

    #[test]
    fn the_mtu_follows_the_frame_unless_given() {
        let jumbo = Need { frame: 9014, ..Need::default() };
        assert_eq!(configure(&options(&[]), &jumbo).unwrap().mtu, 8992);
        assert_eq!(configure(&options(&[]), &Need::default()).unwrap().mtu, 1500);
        let refused = configure(&options(&["--mtu", "1500"]), &jumbo).unwrap_err().to_string();
        assert!(refused.contains("frame length = 9018") && refused.contains("1526"), "{refused}");
    }

    #[test]
    fn lossless_is_a_default_that_the_user_overrides() {
        let need = Need { lossless: true, ..Need::default() };
        let c = configure(&options(&[]), &need).unwrap();
        assert_eq!(c.flow_control, barewire::port::FlowControl::Full);
        assert!(!c.drop_when_full);
        let args = ["--flow-control", "off", "--drop-when-full", "yes"];
        let c = configure(&options(&args), &need).unwrap();
        assert_eq!(c.flow_control, barewire::port::FlowControl::Off);
        assert!(c.drop_when_full);
    }

    #[test]
    fn the_pool_has_a_buffer_for_every_descriptor() {
        let options = options(&["--rxd", "4096", "--rxq", "4", "--txd", "64"]);
        let need = Need { workers: 2, ..Need::default() };
        let config = configure(&options, &need).unwrap();
        let held = 2 * (4 * 4096 + 64);
        assert!(pool_size(&options, &need, &config, 2) >= held + 2 * (256 + 4 * 32));
        let pool = pool_config(&options, &need, &config, &[], Backing::Auto);
        assert_eq!(pool.room, 2048);
    }

    #[test]
    fn a_pool_that_cannot_fill_the_rings_is_refused() {
        let config = PortConfig { rx_queues: 2, rxd: 512, ..PortConfig::default() };
        let pool = |count| PoolConfig { count, ..PoolConfig::default() };
        assert!(check_pool(&pool(2 * 2 * 511), &config, 2).is_ok());
        let refused = check_pool(&pool(2 * 2 * 511 - 1), &config, 2).unwrap_err().to_string();
        assert!(refused.contains("pool size = 2043") && refused.contains("2044"), "{refused}");
    }

    #[test]
    fn hardware_gets_memory_that_stays_where_it_is() {
        assert_eq!(backing(&["sim:82599", "sim:82599?wire=sink"]), Backing::Auto);
        for names in [&["0000:03:00.0"][..], &["sim:82599", "0000:03:00.0"]] {
            let config = configure(&options(&[]), &Need::default()).unwrap();
            let need = Need::default();
            let pool = pool_config(&options(&[]), &need, &config, &[], backing(names));
            assert_eq!(pool.backing, Backing::for_device(), "{names:?}");
            assert_ne!(pool.backing, Backing::Auto, "{names:?}");
        }
    }

    #[test]
    fn every_name_is_looked_at_before_any_port_is_opened() {
        // Opening the first would fail, for want of the file.
        let names = ["sim:82599?wire=pcap:in=/nonexistent", "eth0"];
        let failed = Session::open(&names, &options(&[]), &Need::default()).unwrap_err();
        assert!(format!("{failed:?}").contains("eth0"), "{failed:?}");
        for (name, why) in [
            ("sim:nonsense", "82599"),
            ("sim:82599?color=red", "color"),
            ("0000:ff:1f.7", "no PCI device"),
        ] {
            let refused = check_name(name).unwrap_err().to_string();
            assert!(refused.contains(why), "{name}: {refused}");
        }
    }

    #[test]
    fn one_receive_queue_waits_and_several_drop() {
        for (args, drops) in [
            (&[][..], false),
            (&["--rxq", "1"], false),
            (&["--rxq", "2"], true),
            (&["--rxq", "1", "--drop-when-full", "yes"], true),
            (&["--rxq", "2", "--drop-when-full", "no"], false),
        ] {
            let config = configure(&options(args), &Need::default()).unwrap();
            assert_eq!(config.drop_when_full, drops, "{args:?}");
        }
    }
}
