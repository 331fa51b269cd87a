//! What a device that never answers, and an application that just goes, make of the driver.

use super::*;

#[test]
fn dropping_a_running_port_silences_it() {
    let bar = Fake::new();
    let pool = pool();
    let mut nic = open(&bar).unwrap();
    let queues = nic.start(&config(), &pool).unwrap();
    assert!(bar.state().bus_master);
    bar.state().log.clear();
    drop(nic);
    let log = bar.log();
    ascending(&[
        ("mask", when::<EIMC>(&log, 0, |_| true)),
        ("receive off", when::<RXCTRL>(&log, 0, |r| !r.has(RXCTRL::RXEN))),
        ("receive queue off", when::<RXDCTL>(&log, 1, |r| !r.has(RXDCTL::ENABLE))),
        ("transmit queue off", when::<TXDCTL>(&log, 2, |r| !r.has(TXDCTL::ENABLE))),
        ("master disable", sets::<CTRL>(&log, 0, CTRL::GIO_DIS)),
        ("bus master off", bus(&log, false)),
        ("reset", sets::<CTRL>(&log, 0, CTRL::RST)),
    ]);
    assert!(!log.contains(&Event::BusMaster(true)) && !bar.state().bus_master);
    // All of them, not only those that the list above names.
    for n in 0..2 {
        when::<RXDCTL>(&log, n, |r| !r.has(RXDCTL::ENABLE));
    }
    for n in 0..3 {
        when::<TXDCTL>(&log, n, |r| !r.has(TXDCTL::ENABLE));
    }
    // The queues outlive their port, and give back what they hold.
    drop(queues);
    assert_eq!(free(&pool), pool.capacity() as usize);
}

/// The longest that all waits of an opening may take together, on the device's clock.
const PATIENCE: Duration = Duration::from_secs(3);

#[test]
fn an_opening_that_gets_no_answer_names_the_register() {
    let never = |offset, bits| (offset, bits, 0);
    let always = |offset, bits| (offset, bits, bits);
    for (register, reads) in [
        ("CTRL", always(CTRL::META.offset, CTRL::RST.mask())),
        ("EEC", never(EEC::META.offset, EEC::AUTO_RD.mask())),
        ("RDRXCTL", never(RDRXCTL::META.offset, RDRXCTL::DMAIDONE.mask())),
        ("EERD", never(EERD::META.offset, EERD::DONE.mask())),
    ] {
        let bar = Fake::new();
        bar.trouble(|t| t.reads = Some(reads));
        match open(&bar) {
            Err(Error::Timeout { register: r, waited, .. }) => {
                assert_eq!(r, register);
                assert!(waited > Duration::ZERO && waited < PATIENCE, "{r}: {waited:?}");
            }
            other => panic!("{register}: {other:?}"),
        }
        assert!(bar.now() < PATIENCE, "{register}: {:?}", bar.now());
        assert!(!bar.state().bus_master, "{register}: it may do DMA");
        // Nothing of it lasts.
        bar.trouble(|t| t.reads = None);
        drop(open(&bar).unwrap());
    }
}

#[test]
fn a_start_that_gets_no_answer_names_the_register_and_gives_everything_back() {
    for (register, offset, bits) in [
        ("EEC", EEC::META.offset, EEC::AUTO_RD.mask()),
        ("RDRXCTL", RDRXCTL::META.offset, RDRXCTL::DMAIDONE.mask()),
    ] {
        let bar = Fake::new();
        let pool = pool();
        let mut nic = open(&bar).unwrap();
        bar.trouble(|t| t.reads = Some((offset, bits, 0)));
        match nic.start(&config(), &pool) {
            Err(Error::Timeout { register: r, .. }) => assert_eq!(r, register),
            other => panic!("{register}: {other:?}"),
        }
        assert!(!bar.state().bus_master);
        assert_eq!(free(&pool), pool.capacity() as usize);
        bar.trouble(|t| t.reads = None);
        drop(nic.start(&config(), &pool).unwrap());
    }
}

/// Neither is a reason to give up: see `hold_receive` and step 5 of `reset`.
#[test]
fn a_receive_path_that_reports_no_drain_and_absent_firmware_are_waited_for_and_passed_over() {
    for (offset, bits) in [
        (SECRXSTAT::META.offset, SECRXSTAT::SECRX_RDY.mask()),
        (EEMNGCTL::META.offset, EEMNGCTL::CFG_DONE0.mask()),
    ] {
        let bar = Fake::new();
        bar.trouble(|t| t.reads = Some((offset, bits, 0)));
        let (mut nic, _queues) = started(&bar);
        assert!(bar.now() < PATIENCE, "{offset:#x}: {:?}", bar.now());
        let log = bar.log();
        // The receive path is not left held.
        assert!(bar.peek::<RXCTRL>(0).has(RXCTRL::RXEN));
        assert!(!bar.peek::<SECRXCTRL>(0).has(SECRXCTRL::RX_DIS));
        ascending(&[
            ("held", sets::<SECRXCTRL>(&log, 0, SECRXCTRL::RX_DIS)),
            ("receive on", sets::<RXCTRL>(&log, 0, RXCTRL::RXEN)),
        ]);
        nic.stop().unwrap();
    }
}
