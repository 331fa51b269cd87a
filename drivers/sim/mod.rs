//! Software NICs, register by register, so that everything here runs with no NIC at all: 82599, X540
//! and X550, 82576 and I350.
//!
//! The model knows the chips' register tables and descriptor layouts and nothing of the drivers. It
//! touches memory through one door only: its own address map, then the owner word of the buffer.
//! What a driver does wrong comes out as a [`Fault`] with queue, descriptor and address, and with
//! `lawyer=on` as a [`Violation`] of the datasheet's order.
//!
//! One engine moves the frames of all chips. It goes by plans, which a [chip](Model) decodes from
//! its registers when they change; so nothing on the packet path asks which chip it is.
//!
//! A software NIC is named by a string, `sim:82599?key=value&key=value`; other chips are `sim:x540`,
//! `sim:x550`, `sim:82576` and `sim:i350`:
//!
//! | key | values | default |
//! |---|---|---|
//! | `wire` | `none`, `loopback`, `sink`, `cable:NAME`, `tap:IFNAME`, `pcap:in=FILE,out=FILE`, `gen:...` | `none` |
//! | `mac` | the address in its EEPROM | one of its own |
//! | `drive` | `inline` (bursts run it), `thread` (one background thread), `step` (tests do) | `inline` |
//! | `seed` | of everything random | 1 |
//! | `faults` | `name[@probability],...`, see [`Inject`] | none |
//! | `lawyer` | `on`, `off` | `off` |
//! | `trace` | events kept | 0 |
//!
//! The line rate is the chip's, 10 or 1 Gbit/s, unless its wire is slower; a cable between both
//! kinds runs at 1 Gbit/s. The rate is what the link reports and what `gen:rate=line` sends at;
//! frames take time on a cable only when its `rate` says so.
//!
//! # What is modelled
//!
//! - Registers: every line of the chip's table with its access mode and reset value; resets,
//!   EEPROM autoload and reads, semaphores, master disable, queue enable and link training take
//!   their time, by the clock or by how often software looks. A register that is not in the table
//!   reads as zero and is logged once.
//! - 82599: the security blocks hold the paths still; DMATXCTL.TE, RXCTRL and HLREG0.
//! - 82599 adapter: an SFP+ module (10GBASE-SR and 1000BASE-SX) behind the bit-banged two-wire
//!   bus, with identity and diagnostics pages; its laser on a pin, without which there is no link,
//!   its presence on another, which interrupts; the PCS status registers; CTRL.RST leaves the link
//!   alone, LRST does not.
//! - 82599, 82576 and I350: a serial EEPROM that can be read and written bit by bit; what is
//!   written is loaded by the next reset.
//! - X540 and X550: the 10GBASE-T PHY on the MDIO bus, whose negotiation takes half a second, with
//!   rates from 100 Mbit/s up and low power; shadow RAM and flash; the semaphore in front of
//!   SW_FW_SYNC; commands to the firmware; of the X550 also 512 redirection entries.
//! - 82576: the PHY behind MDIC with its negotiation of half a second, CTRL.SLU without which the
//!   MAC has no link, queue 0 enabled after a reset, second addresses of registers, checksum
//!   verdicts as RXCSUM switches them, buffer sizes from RCTL when SRRCTL has none. The PHYs loop
//!   back, and have those of their own registers that stock drivers use; so has the I350, which
//!   also has its reset of the device.
//! - Receive: length, unicast, multicast-hash, broadcast and VLAN filters; RSS; IPv4, TCP, UDP and
//!   SCTP checksum checks; packet types; tag stripping; chains; drop-enable or waiting; CRC kept
//!   or stripped; MAC loopback.
//! - Choice of a receive queue: EtherType, SYN and 5-tuple filters; an 82599's Flow Director with
//!   its hashes, masks, commands, limits, counters and the reports in the write-back; pools are
//!   not compared.
//! - Receive-side coalescing, 82599: what may be coalesced and what ends it, contexts, limits,
//!   headers, counts and descriptor chains; a large packet is written when it is complete, at the
//!   latest when the wire has nothing more or its interrupt's interval is over.
//! - Transmit: advanced and legacy descriptors, chains, contexts, insertion of IPv4, TCP, UDP and
//!   SCTP checksums and VLAN tags, TCP and UDP segmentation, padding, completion by report-status or
//!   by writing the head, at once whatever the thresholds say.
//! - Interrupts: INTx, MSI and MSI-X, throttled by EITR; auto-clear and auto-mask; causes of
//!   queues (write-back of either direction), link, missed packets, TCP timer, and software.
//! - Flow control: what a wire tells of its far end's FIFO, and pause frames really received, which
//!   hold the transmitter for their time and are passed on or not.
//! - PTP: the clock by the device's, at the pace that TIMINCA gives it; stamps of packets sent and
//!   received, in registers and, of X550 and I350, in the buffer.
//! - Statistics: clear on read, stuck at the maximum, 36-bit and 64-bit pairs, queue maps. Like
//!   the chip, an 82599's GPRC counts what MPC counts, GPTC counts pause frames, and QBRC leaves a
//!   stripped CRC out; an 82576's GPRC counts what RQDPC counts.
//!
//! # What is not
//!
//! IPsec, and receive descriptors other than advanced one-buffer ones are reported as
//! [`FaultKind::NotModelled`]. Silently without effect are: low latency interrupts, descriptor
//! thresholds, header split, virtualisation, traffic classes, target times and pins of the PTP
//! clock, and wake-up. Of the 82599, PHYs on the MDIO bus; of the X540 and X550, alarms and
//! counters of the PHY; of the 82576 and I350, the PCS of fiber and SerDes variants, the rest of
//! the PHYs' own registers, energy-efficient Ethernet, DMA coalescing, collisions and half duplex,
//! and the size of the packet buffer (a cable's `fifo` is what frames wait in).

#![forbid(unsafe_code)]

mod bar;
mod chip;
mod common;
mod device;
mod drive;
mod eeprom;
mod engine;
mod fault;
mod flow;
mod iommu;
mod irq;
mod later;
mod lawyer;
mod memory;
mod nic;
mod packet;
mod port;
mod regs;
mod rss;
mod rx;
pub mod served;
mod setup;
mod sfp;
mod spec;
mod stats;
mod steer;
mod timesync;
mod trace;
mod tx;
pub mod wire;

#[cfg(test)]
mod tests;

pub use bar::{SimBar, SimDoorbell, SimHost};
pub use chip::{Family, Model};
pub use drive::Drive;
pub use fault::{Fault, FaultKind, FaultPlan, Inject, QueueId};
pub use iommu::SimIommu;
pub use irq::{InterruptMode, InterruptSink};
pub use lawyer::{Rule, Violation};
pub use memory::{GuestMemory, NotMapped};
pub use nic::SimNic;
pub use spec::SimConfig;
pub use stats::Truth;
pub use trace::{Event, Traced};

use crate::error::Result;
use crate::port::Port;

/// Opens a software NIC by its string.
///
/// # Errors
/// [`BadAddress`](crate::Error::BadAddress) or [`Config`](crate::Error::Config) for a bad string;
/// whatever opening its wire met.
pub fn open(spec: &str) -> Result<Port> {
    SimNic::new(&SimConfig::parse(spec)?)?.open_port()
}
