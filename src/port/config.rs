//! What an application asks of a port.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Result};

/// A 48-bit Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// ff:ff:ff:ff:ff:ff
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether the group bit is set (broadcast included).
    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether one station can have this address: neither a group address nor all zeros.
    pub fn is_station(self) -> bool {
        !self.is_multicast() && self.0 != [0; 6]
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddr {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let bad = || Error::config("MAC address", s, "six hex bytes such as 02:00:00:00:00:01");
        let mut mac = [0u8; 6];
        let mut parts = s.split(':');
        for byte in &mut mac {
            let p = parts.next().filter(|p| p.len() == 2).ok_or_else(bad)?;
            *byte = u8::from_str_radix(p, 16).map_err(|_| bad())?;
        }
        if parts.next().is_some() { Err(bad()) } else { Ok(Self(mac)) }
    }
}

/// 802.3x pause frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlowControl {
    /// Neither sent nor obeyed: a slow receiver loses frames and never slows its peer.
    #[default]
    Off,
    /// Obeyed, not sent.
    Rx,
    /// Sent, not obeyed.
    Tx,
    /// Both.
    Full,
}

/// A symmetric Toeplitz key: both directions of a flow hash to the same queue. It repeats one
/// 16-bit pattern, so swapping source and destination does not change the hash.
pub const RSS_KEY_SYMMETRIC: [u8; 40] = {
    let mut key = [0u8; 40];
    let mut i = 0;
    while i < 40 {
        key[i] = if i % 2 == 0 { 0x6d } else { 0x5a };
        i += 1;
    }
    key
};

/// Receive-side scaling: which packets are hashed, with which key, onto which queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RssConfig {
    /// Toeplitz key, in the order the hash consumes it.
    pub key: [u8; 40],
    /// Redirection table: queue of hash value `i` modulo its length. Empty: the queues in turn.
    pub reta: Vec<u16>,
}

impl Default for RssConfig {
    fn default() -> Self {
        Self { key: RSS_KEY_SYMMETRIC, reta: Vec::new() }
    }
}

/// What to start a port with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortConfig {
    /// Receive queues, 1 to [`PortInfo::max_rx_queues`](super::PortInfo::max_rx_queues).
    pub rx_queues: u16,
    /// Transmit queues, 1 to [`PortInfo::max_tx_queues`](super::PortInfo::max_tx_queues).
    pub tx_queues: u16,
    /// Descriptors per receive ring: a multiple of 8 within
    /// [`PortInfo::ring_sizes`](super::PortInfo::ring_sizes).
    pub rxd: u16,
    /// Descriptors per transmit ring, likewise.
    pub txd: u16,
    /// Largest packet without Ethernet header and CRC, in bytes: 68 to
    /// [`PortInfo::max_mtu`](super::PortInfo::max_mtu). Packets longer than a buffer arrive as a
    /// chain.
    pub mtu: u16,
    /// Receive every frame, whatever its destination.
    pub promiscuous: bool,
    /// Receive every multicast frame.
    pub allmulticast: bool,
    /// Takes VLAN tags out of received packets and reports them with
    /// [`Mbuf::vlan`](crate::Mbuf::vlan). Otherwise they stay in the packet.
    pub vlan_strip: bool,
    /// Spreads packets over the receive queues; used with more than one.
    pub rss: RssConfig,
    /// Pause frames.
    pub flow_control: FlowControl,
    /// What a full receive ring does. True (the default): its frames are dropped and counted by
    /// queue, and the other queues go on. False: they wait in the NIC's FIFO, which holds up
    /// every queue, but lets flow control work.
    pub drop_when_full: bool,
    /// How long [`start`](super::Control::start) waits for link. With zero it does not wait; a
    /// link that does not come up in time is not an error, see
    /// [`link`](super::Control::link).
    pub link_wait: Duration,
    /// The code that carries packets: `None` takes the fastest that this processor can run.
    pub path: Option<super::DataPath>,
}

impl Default for PortConfig {
    fn default() -> Self {
        Self {
            rx_queues: 1,
            tx_queues: 1,
            rxd: 512,
            txd: 512,
            mtu: 1500,
            promiscuous: true,
            allmulticast: true,
            vlan_strip: false,
            rss: RssConfig::default(),
            flow_control: FlowControl::Off,
            drop_when_full: true,
            link_wait: Duration::from_secs(9),
            path: None,
        }
    }
}

impl PortConfig {
    /// The largest frame in bytes, without CRC: MTU, Ethernet header and two VLAN tags. An MTU
    /// beyond what any port takes gives the largest number, not a small one.
    pub fn max_frame(&self) -> u16 {
        self.mtu.saturating_add(14 + 8)
    }

    /// Checks every field against what the port can do.
    ///
    /// # Errors
    /// [`Error::Config`] names the field, what was given and what is allowed.
    pub fn check(&self, info: &super::PortInfo) -> Result<()> {
        let range = |what, given: u16, lo: u16, hi: u16| {
            if (lo..=hi).contains(&given) {
                Ok(())
            } else {
                Err(Error::config(what, given, format!("{lo} to {hi} on {}", info.chip)))
            }
        };
        range("receive queues", self.rx_queues, 1, info.max_rx_queues)?;
        range("transmit queues", self.tx_queues, 1, info.max_tx_queues)?;
        range("MTU", self.mtu, 68, info.max_mtu)?;
        let (lo, hi) = info.ring_sizes;
        for (what, n) in [("receive ring size", self.rxd), ("transmit ring size", self.txd)] {
            if !(lo..=hi).contains(&n) || !n.is_multiple_of(8) {
                let allowed = format!("a multiple of 8 from {lo} to {hi} on {}", info.chip);
                return Err(Error::config(what, n, allowed));
            }
        }
        super::PathChoice::new(self.path)?;
        if self.rss.reta.len() > usize::from(info.reta_size) {
            return Err(Error::config(
                "RSS table length",
                self.rss.reta.len(),
                format!("0 to {} on {}", info.reta_size, info.chip),
            ));
        }
        if let Some(q) = self.rss.reta.iter().find(|q| **q >= self.rx_queues) {
            return Err(Error::config(
                "RSS table entry",
                q,
                format!("a receive queue, 0 to {}", self.rx_queues - 1),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::PortInfo;

    #[test]
    fn mac_addresses_parse_and_print() {
        let m: MacAddr = "02:00:5e:Ab:00:01".parse().unwrap();
        assert_eq!(m.to_string(), "02:00:5e:ab:00:01");
        for bad in [
            "",
            "02:00",
            "02:00:00:00:00:00:00",
            "2:0:0:0:0:0",
            "02-00-00-00-00-01",
            "zz:00:00:00:00:01",
        ] {
            assert!(bad.parse::<MacAddr>().is_err(), "{bad}");
        }
        assert!(MacAddr::BROADCAST.is_multicast() && !MacAddr([0; 6]).is_station());
    }

    #[test]
    fn frame_lengths_do_not_wrap() {
        let frame = |mtu| PortConfig { mtu, ..PortConfig::default() }.max_frame();
        assert_eq!(frame(1500), 1522);
        assert_eq!(frame(65_513), u16::MAX);
        for mtu in [65_514, u16::MAX] {
            assert_eq!(frame(mtu), u16::MAX);
        }
    }

    #[test]
    fn configuration_is_refused_by_field() {
        let mut info = PortInfo::new("x", "ixgbe", "82599ES");
        info.max_rx_queues = 16;
        let bad = |f: &dyn Fn(&mut PortConfig)| {
            let mut c = PortConfig::default();
            f(&mut c);
            c.check(&info).expect_err("refused").to_string()
        };
        assert!(PortConfig::default().check(&info).is_ok());
        assert!(bad(&|c| c.rx_queues = 0).contains("receive queues = 0"));
        assert!(bad(&|c| c.rx_queues = 17).contains("1 to 16"));
        assert!(bad(&|c| c.rxd = 100).contains("receive ring size = 100"));
        assert!(bad(&|c| c.txd = 0).contains("multiple of 8"));
        assert!(bad(&|c| c.mtu = 67).contains("MTU = 67"));
        assert!(bad(&|c| c.rss.reta = vec![1]).contains("RSS table entry = 1"));
    }
}
