//! The handle that tests hold beside the port.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use super::bar::{SimBar, SimHost};
use super::chip::Model;
use super::device::Device;
use super::drive::{self, Drive};
use super::fault::{Fault, Inject};
use super::iommu::SimIommu;
use super::irq::{InterruptMode, InterruptSink};
use super::lawyer::Violation;
use super::memory::GuestMemory;
use super::served::PciIdentity;
use super::spec::SimConfig;
use super::stats::Truth;
use super::trace::Traced;
use super::wire::{self, Probe, Wire, WireContext};
use crate::error::{Error, Result};
use crate::port::MacAddr;

/// One software NIC. Clones name the same one; it exists until the last handle, register handle
/// and doorbell are gone.
#[derive(Clone)]
pub struct SimNic {
    device: Arc<Device>,
    probe: Probe,
}

impl fmt::Debug for SimNic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimNic({:?})", self.device)
    }
}

/// What one step of a stepped NIC takes on its clock.
const STEP: Duration = Duration::from_micros(1);

/// An address of this process's own, locally administered, that shows the chip.
fn own_mac(chip: Model) -> MacAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    match chip {
        Model::I82599 => MacAddr([0x02, 0x82, 0x59, 0x90, high, low]),
        Model::X540 => MacAddr([0x02, 0x00, 0x54, 0x00, high, low]),
        Model::X550 => MacAddr([0x02, 0x00, 0x55, 0x00, high, low]),
        Model::I82576 => MacAddr([0x02, 0x82, 0x57, 0x60, high, low]),
        Model::I350 => MacAddr([0x02, 0x00, 0x35, 0x00, high, low]),
    }
}

impl SimNic {
    /// A NIC, powered on and idle, on the wire that `config` names. The wire `probe` leads to
    /// [`inject_frame`](Self::inject_frame) and [`take_sent`](Self::take_sent).
    ///
    /// # Errors
    /// Whatever opening the wire met.
    pub fn new(config: &SimConfig) -> Result<Self> {
        let probe = Probe::default();
        let wire = if config.wire == "probe" {
            Box::new(probe.wire())
        } else {
            let virtual_time = config.drive == Drive::Step;
            let mbps = config.chip.chip().mbps();
            let ctx = WireContext { nic: &config.name, seed: config.seed, virtual_time, mbps };
            wire::open(&config.wire, &ctx)?
        };
        let mac = config.mac.unwrap_or_else(|| own_mac(config.chip));
        let device = Device::new(config, mac, wire);
        if matches!(config.drive, Drive::Thread | Drive::Served) {
            drive::adopt(&device).map_err(|source| Error::Io {
                what: "start the thread that runs software NICs".to_owned(),
                path: None,
                source,
            })?;
        }
        Ok(Self { device, probe })
    }

    /// Its registers.
    pub fn bar(&self) -> SimBar {
        SimBar(self.device.clone())
    }

    /// The slot it sits in.
    pub fn host(&self) -> SimHost {
        SimHost(self.device.clone())
    }

    /// Its view of memory.
    pub fn iommu(&self) -> Arc<SimIommu> {
        self.device.iommu.clone()
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    pub(super) fn shared(&self) -> Arc<Device> {
        self.device.clone()
    }

    /// Lets it reach a guest's memory, wherever this process's own pools and rings are not. When
    /// this returns, the memory of before is not used any more.
    pub fn set_guest_memory(&self, memory: Option<Arc<dyn GuestMemory>>) {
        self.device.set_guest_memory(memory);
    }

    /// Sends its interrupts to `sink`. When this returns, the sink of before hears nothing more.
    pub fn connect_interrupts(&self, sink: Option<Arc<dyn InterruptSink>>) {
        self.device.connect_interrupts(sink);
    }

    /// Which kind of interrupt the slot has enabled.
    pub fn set_interrupt_mode(&self, mode: InterruptMode) {
        self.device.set_interrupt_mode(mode);
    }

    /// Masks the line in the slot, or lets it through: then it is told again if it is asserted.
    pub fn mask_intx(&self, masked: bool) {
        self.device.mask_intx(masked);
    }

    /// Whether INTx is asserted, masked or not: what PCI Status bit 3 shows.
    pub fn asserts_intx(&self) -> bool {
        self.device.asserts_intx()
    }

    /// What it says of itself on the PCI bus.
    pub fn pci_identity(&self) -> PciIdentity {
        let chip = self.device.chip;
        PciIdentity::of(self.device.model, chip.pci_id(), chip.map().len)
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.device.name
    }

    /// The address in its EEPROM.
    pub fn mac(&self) -> MacAddr {
        self.device.slow().eeprom.mac()
    }

    /// A function level reset: everything is as after power-on, and the slot enables nothing.
    pub fn function_reset(&self) {
        self.device.function_reset();
    }

    /// Lets it look at what software has just written, and wakes the thread that runs it.
    pub fn kick(&self) {
        self.device.kick();
    }

    /// Moves at most one batch each way and lets a microsecond pass on a stepped NIC's clock.
    /// Returns whether anything moved.
    pub fn step(&self) -> bool {
        if self.device.drive == Drive::Step {
            self.device.clock.advance(STEP);
        }
        self.device.try_step()
    }

    /// Steps until nothing has moved for a while, or `most` steps were made. Returns how many.
    pub fn step_until_idle(&self, most: usize) -> usize {
        let mut idle = 0;
        for n in 0..most {
            idle = if self.step() { 0 } else { idle + 1 };
            if idle == 16 {
                return n + 1;
            }
        }
        most
    }

    /// Time on its clock.
    pub fn now(&self) -> Duration {
        self.device.clock.now()
    }

    /// Lets time pass on its clock.
    pub fn advance(&self, by: Duration) {
        self.device.clock.advance(by);
    }

    /// Every fault found so far; of many, the first thousand.
    pub fn faults(&self) -> Vec<Fault> {
        self.device.engine().shared.log.all()
    }

    /// How many faults there were so far.
    pub fn faults_met(&self) -> u64 {
        self.device.engine().shared.log.met
    }

    /// Every breach of the datasheet's order so far; empty without `lawyer=on`.
    pub fn violations(&self) -> Vec<Violation> {
        self.device.violations()
    }

    /// The last events; empty without `trace=N`.
    pub fn trace(&self) -> Vec<Traced> {
        self.device.traced()
    }

    /// Makes a misbehaviour strike with this probability from now on; 0 ends it.
    pub fn inject(&self, inject: Inject, probability: f64) {
        self.device.engine().shared.chaos.set(inject, probability);
    }

    /// Pulls the card: every read is all ones from now on, and no DMA happens any more.
    pub fn unplug(&self) {
        self.device.unplug();
    }

    /// Plugs the cable in or out.
    pub fn set_link(&self, up: bool) {
        self.device.plug(up);
    }

    /// Puts an SFP+ module into the cage or takes it out, where the board has a cage.
    pub fn set_module(&self, present: bool) {
        self.device.plug_module(present);
    }

    /// Clears PCI bus mastering behind the driver's back.
    pub fn lose_bus_master(&self) {
        self.device.lose_bus_master();
    }

    /// Spoils a word of the EEPROM.
    pub fn corrupt_eeprom(&self, word: u32) {
        self.device.slow().eeprom.corrupt(word);
    }

    /// Puts another wire in place of the present one.
    pub fn attach(&self, wire: Box<dyn Wire>) {
        self.device.engine().wire = wire;
    }

    /// The far end of the wire `probe`.
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Puts a frame on the wire `probe`, towards the NIC.
    pub fn inject_frame(&self, frame: &[u8]) {
        self.probe.inject(frame);
    }

    /// What the NIC has put on the wire `probe` since the last call.
    pub fn take_sent(&self) -> Vec<Vec<u8>> {
        self.probe.take_sent()
    }

    /// What really happened to every frame.
    pub fn truth(&self) -> Truth {
        self.device.engine().shared.truth
    }
}
