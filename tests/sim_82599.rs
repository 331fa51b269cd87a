//! What is the 82599's own on its software NIC.

mod kit;

use barewire::drivers::ixgbe::regs::{RDT, TXDCTL};
use barewire::drivers::sim::{Model, Rule};
use barewire::mmio::Register;

#[test]
fn the_lawyer_objects() {
    let nic = kit::nic(Model::I82599, "none", |_| {});
    let bar = nic.bar();
    RDT(5).write(&bar);
    TXDCTL(1 << 25).write(&bar);
    let rules: Vec<_> = nic.violations().iter().map(|v| v.rule).collect();
    for rule in [
        Rule::TailBeforeEnable,
        Rule::TailBeyondRing,
        Rule::EnabledWithoutRing,
        Rule::TransmitDmaOff,
    ] {
        assert!(rules.contains(&rule), "{rule:?} in {rules:?}");
    }
    assert!(nic.trace().iter().any(|e| e.to_string().contains("write RDT[0] = 0x00000005")));
}
