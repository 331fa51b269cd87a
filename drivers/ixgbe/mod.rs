//! The driver for the Intel 82599, X520, X540 and X550 10 GbE controllers.
//!
//! Section numbers are those of the "82599 10 GbE Controller Datasheet"; X540 and X550 keep its
//! programming model and differ where [`regs`] and the device table say so.
//!
//! This folder is what the chip wants, step by step. Who owns what, and when each step is taken, is
//! [`IntelPort`]'s; the packet path is the ring engine's ([`intel`](super::intel)).
#![forbid(unsafe_code)]

mod eeprom;
mod filter;
mod flow;
pub mod ids;
mod irq;
mod link;
mod phy;
pub mod regs;
mod reset;
mod rx_init;
mod stats;
mod tx_init;
mod wait;

#[cfg(test)]
mod tests;

use self::ids::Chip;
pub use self::irq::IxgbeCauses;
use super::intel::access::dump;
use super::intel::rss::RETA_SIZE;
use super::intel::{Accept, Counters, Flavor, Halt, IntelPort, Silicon};
use crate::error::Result;
use crate::mem::{Geometry, RingMem};
use crate::mmio::{Bar, Register};
use crate::port::{LinkStatus, MacAddr, PortConfig, PortInfo, RegValue};

/// Longest MTU: frames of 9,728 bytes with two VLAN tags and CRC, what all these chips are
/// validated for.
const MAX_MTU: u16 = 9728 - 14 - 8 - 4;

/// Where ixgbe descriptors differ from igb ones.
#[derive(Debug)]
pub struct IxgbeFlavor;

impl Flavor for IxgbeFlavor {
    /// RXE, bit 29 (7.1.6.2).
    const RX_DAMAGED: u64 = 1 << 29;
    /// L4E and IPE, bits 30 and 31.
    const RX_CHECKSUM_ERRORS: u32 = 30;
    const UDP_ERROR_UNRELIABLE: bool = true;
}

/// One opened port.
pub type Ixgbe<B> = IntelPort<B, Chip>;

impl Silicon for Chip {
    type Flavor = IxgbeFlavor;
    type Causes<B: Bar> = IxgbeCauses<B>;
    const DRIVER: &'static str = "ixgbe";
    const OPEN_BEFORE_POSTING: bool = false;

    fn find(vendor: u16, device: u16) -> Option<&'static Self> {
        ids::find(vendor, device)
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn describe(&self, info: &mut PortInfo) {
        info.max_rx_queues = rx_init::MAX_QUEUES;
        info.max_tx_queues = tx_init::MAX_QUEUES;
        info.max_mtu = MAX_MTU;
        info.reta_size = RETA_SIZE;
    }

    fn halt<B: Bar>(&self, bar: &B) -> Halt {
        reset::halt(bar)
    }

    fn reset<B: Bar>(&self, bar: &B, twice: bool) -> Result<()> {
        reset::reset(bar, self.family, twice)
    }

    fn check_alive<B: Bar>(&self, bar: &B) -> Result<()> {
        wait::check_alive(bar)
    }

    fn identify<B: Bar>(&self, bar: &B) -> Result<MacAddr> {
        eeprom::verify(bar, self.family)?;
        eeprom::mac(bar)
    }

    fn claim<B: Bar>(&self, bar: &B, on: bool) {
        reset::claim(bar, on);
    }

    fn link_set_up<B: Bar>(&self, bar: &B) -> Result<()> {
        link::set_up(bar, self)
    }

    fn link<B: Bar>(&self, bar: &B) -> Result<LinkStatus> {
        link::status(bar, self)
    }

    fn refilter<B: Bar>(&self, bar: &B, mac: MacAddr, accept: Accept) {
        filter::reprogram(bar, mac, accept);
    }

    fn counters_start<B: Bar>(&self, bar: &B) {
        stats::map_queues(bar);
        stats::clear(bar);
    }

    fn count<B: Bar>(&self, bar: &B, counters: &mut Counters) -> Result<()> {
        stats::count(bar, counters)
    }

    fn rx_init<B: Bar>(&self, bar: &B, mac: MacAddr, cfg: &PortConfig) {
        rx_init::port(bar, self.family, mac, cfg);
    }

    fn rx_queue_init<B: Bar>(
        &self,
        bar: &B,
        n: u32,
        ring: &RingMem,
        buffers: Geometry,
        cfg: &PortConfig,
    ) {
        rx_init::queue(bar, n, ring, buffers, cfg);
    }

    fn tx_init<B: Bar>(&self, bar: &B, _cfg: &PortConfig) {
        tx_init::port(bar);
    }

    fn tx_queue_init<B: Bar>(&self, bar: &B, n: u32, ring: &RingMem) {
        tx_init::queue(bar, n, ring);
    }

    fn irq_init<B: Bar>(&self, bar: &B, cfg: &PortConfig) {
        irq::init(bar, cfg.rx_queues);
    }

    fn causes<B: Bar>(&self, bar: &B) -> IxgbeCauses<B> {
        IxgbeCauses(bar.clone())
    }

    fn tx_enable<B: Bar>(&self, bar: &B) {
        tx_init::enable(bar);
    }

    fn tx_queue_enable<B: Bar>(&self, bar: &B, n: u32) -> Result<()> {
        tx_init::enable_queue(bar, n)
    }

    fn rx_queue_enable<B: Bar>(&self, bar: &B, n: u32) -> Result<()> {
        rx_init::enable_queue(bar, n)
    }

    fn rx_open<B: Bar>(&self, bar: &B) {
        rx_init::enable(bar);
    }

    fn rdt(n: u32) -> u32 {
        regs::RDT::META.offset_of(n)
    }

    fn tdt(n: u32) -> u32 {
        regs::TDT::META.offset_of(n)
    }

    fn registers<B: Bar>(&self, bar: &B) -> Vec<RegValue> {
        dump(bar, regs::table().filter(|r| regs::safe_to_read(r)))
    }
}
