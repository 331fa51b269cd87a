//! What is the 82599's own on its software NIC.

mod kit;

use barewire::Batch;
use barewire::drivers::sim::{Inject, Model, Rule, SimNic};
use barewire::port::PortConfig;
use kit::{fill, numbered, pool, start};

fn nic(wire: &str) -> SimNic {
    kit::nic(Model::I82599, wire, |_| {})
}

#[test]
fn the_mac_loops_back_inside_with_no_cable_in() {
    use barewire::drivers::ixgbe::regs::HLREG0;
    use barewire::mmio::Register;
    let nic = nic("none");
    let mut port = nic.open_port().expect("open");
    let pool = pool(1024);
    let mut q = port.start(&PortConfig::default(), &pool).expect("start");
    assert!(!port.link().expect("link").up);
    HLREG0::read(&nic.bar()).with(HLREG0::LPBK, 1).write(&nic.bar());
    nic.step();
    assert!(port.link().expect("link").up);
    let mut cache = pool.cache();
    let (mut out, mut back) = (Batch::new(1), Batch::new(1));
    out.push(fill(&mut cache, &numbered(3, 300)).expect("a buffer")).expect("room");
    q.tx[0].tx_burst(&mut cache, &mut out);
    nic.step_until_idle(50);
    assert_eq!(q.rx[0].rx_burst(&mut cache, &mut back), 1);
    assert_eq!(back.first().expect("one").data(), numbered(3, 300));
}

#[test]
fn a_queue_that_a_fault_stopped_starts_anew_when_it_is_enabled_again() {
    use barewire::drivers::ixgbe::regs::{RDH, RDT, RXDCTL};
    use barewire::mmio::Register;
    let nic = nic("probe");
    let mut port = nic.open_port().expect("open");
    let pool = pool(1024);
    let mut q = start(&mut port, &PortConfig::default(), &pool);
    nic.inject(Inject::Stray, 1.0);
    nic.inject_frame(&numbered(0, 64));
    nic.step_until_idle(50);
    nic.inject(Inject::Stray, 0.0);
    nic.inject_frame(&numbered(1, 64));
    nic.step_until_idle(50);
    assert_eq!((nic.truth().delivered, nic.faults().len()), (0, 1));
    let bar = nic.bar();
    let (tail, control) = (RDT::read(&bar), RXDCTL::read(&bar));
    control.with(RXDCTL::ENABLE, 0).write(&bar);
    let waits = (0..10).take_while(|_| RXDCTL::read(&bar).has(RXDCTL::ENABLE)).count();
    assert!((1..10).contains(&waits), "it takes a while, but not for ever: {waits}");
    RDH(0).write(&bar);
    control.write(&bar);
    while !RXDCTL::read(&bar).has(RXDCTL::ENABLE) {}
    tail.write(&bar);
    nic.inject_frame(&numbered(2, 64));
    nic.step_until_idle(50);
    let (mut cache, mut back) = (pool.cache(), Batch::new(1));
    assert_eq!(q.rx[0].rx_burst(&mut cache, &mut back), 1);
    assert_eq!(back.first().expect("one").data(), numbered(2, 64));
}

#[test]
fn the_lawyer_objects() {
    use barewire::drivers::ixgbe::regs::{RDT, TXDCTL};
    use barewire::mmio::Register;
    let nic = nic("none");
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
