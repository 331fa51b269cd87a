//! The driver for the Intel 82576, 82580, I350, I354, I210 and I211 1 GbE controllers.
//!
//! Section numbers are those of the "82576EB Gigabit Ethernet Controller Datasheet"; the later
//! chips keep its programming model and differ where [`regs::later`] and the device table say so. A
//! chapter stands for its sections where only the chapter is certain.
//!
//! This folder is what the chip wants, step by step. Who owns what, and when each step is taken, is
//! [`IntelPort`]'s; the packet path is the ring engine's ([`intel`](super::intel)).
//!
//! Ports with a copper PHY are negotiated over MDIC. On fibre, SerDes and SGMII ports the on-chip
//! PCS is programmed; a PHY outside the chip is left as it configures itself.
//!
//! # What is not done
//!
//! Only the 82576 was ever run, as a software NIC and as QEMU's model; the other chips follow public
//! headers and datasheets. Left alone are: PHYs and SFP modules outside the chip, energy-efficient
//! Ethernet, alternate station addresses in the NVM, and the erratum of an I210 without flash whose
//! clock does not settle at power-up (its cure needs a power cycle through configuration space). The
//! tag of a frame that a BMC inside an I350 or I354 sends to the host stands in the other byte order.
//! What a BMC receives and sends through the port is among the MAC's counters.
#![forbid(unsafe_code)]

mod filter;
mod flow;
pub mod ids;
mod irq;
mod link;
mod nvm;
mod phy;
pub mod regs;
mod reset;
mod rx_init;
mod stats;
mod sync;
mod tx_init;
mod wait;

#[cfg(test)]
mod tests;

use self::ids::Chip;
pub use self::irq::IgbCauses;
use super::intel::access::dump;
use super::intel::rss::RETA_SIZE;
use super::intel::{Accept, Counters, Flavor, Halt, IntelPort, Silicon};
use crate::error::Result;
use crate::mem::{Geometry, RingMem};
use crate::mmio::{Bar, Register};
use crate::port::{LinkStatus, MacAddr, PortConfig, PortInfo, RegValue};

/// Longest MTU: frames of 9,728 bytes (RLPML's reset value, 8.10) with two VLAN tags and CRC.
const MAX_MTU: u16 = 9728 - 14 - 8 - 4;

/// Where igb descriptors differ from ixgbe ones.
#[derive(Debug)]
pub struct IgbFlavor;

impl Flavor for IgbFlavor {
    /// RXE, bit 31 (7.1.5.2).
    const RX_DAMAGED: u64 = 1 << 31;
    /// L4E and IPE, bits 29 and 30.
    const RX_CHECKSUM_ERRORS: u32 = 29;
    const UDP_ERROR_UNRELIABLE: bool = false;
}

/// One opened port.
pub type Igb<B> = IntelPort<B, Chip>;

impl Silicon for Chip {
    type Flavor = IgbFlavor;
    type Causes<B: Bar> = IgbCauses<B>;
    const DRIVER: &'static str = "igb";
    const OPEN_BEFORE_POSTING: bool = true;

    fn find(vendor: u16, device: u16) -> Option<&'static Self> {
        ids::find(vendor, device)
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn describe(&self, info: &mut PortInfo) {
        info.max_rx_queues = self.family.queues();
        info.max_tx_queues = self.family.queues();
        info.max_mtu = MAX_MTU;
        info.reta_size = RETA_SIZE;
    }

    fn halt<B: Bar>(&self, bar: &B) -> Halt {
        reset::halt(bar, self.family)
    }

    fn reset<B: Bar>(&self, bar: &B, twice: bool) -> Result<()> {
        reset::reset(bar, self.family, twice)
    }

    fn check_alive<B: Bar>(&self, bar: &B) -> Result<()> {
        wait::check_alive(bar)
    }

    fn identify<B: Bar>(&self, bar: &B) -> Result<MacAddr> {
        nvm::verify(bar, self.family)?;
        nvm::mac(bar)
    }

    fn claim<B: Bar>(&self, bar: &B, on: bool) {
        reset::claim(bar, on);
    }

    fn link_set_up<B: Bar>(&self, bar: &B) -> Result<()> {
        link::set_up(bar, self.family)
    }

    fn link<B: Bar>(&self, bar: &B) -> Result<LinkStatus> {
        link::status(bar, self.family)
    }

    fn refilter<B: Bar>(&self, bar: &B, mac: MacAddr, accept: Accept) {
        filter::program(bar, mac, accept);
    }

    fn counters_start<B: Bar>(&self, bar: &B) {
        stats::clear(bar, self.family);
    }

    fn count<B: Bar>(&self, bar: &B, counters: &mut Counters) -> Result<()> {
        stats::count(bar, self.family, counters)
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
        rx_init::queue(bar, self.family, n, ring, buffers, cfg);
    }

    fn tx_init<B: Bar>(&self, bar: &B, _cfg: &PortConfig) {
        tx_init::port(bar);
    }

    fn tx_queue_init<B: Bar>(&self, bar: &B, n: u32, ring: &RingMem) {
        tx_init::queue(bar, n, ring);
    }

    fn irq_init<B: Bar>(&self, bar: &B, cfg: &PortConfig) {
        irq::init(bar, self.family, cfg.rx_queues);
    }

    fn causes<B: Bar>(&self, bar: &B) -> IgbCauses<B> {
        IgbCauses(bar.clone())
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
        let later = regs::later::LATER.iter().filter(|r| self.family.has(r));
        dump(bar, regs::table().chain(later).filter(|r| regs::safe_to_read(r)))
    }
}
