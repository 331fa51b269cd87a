//! What a device that never answers, and an application that just goes, make of the driver.

use super::*;

#[test]
fn buffers_come_back_after_stop_whichever_goes_first() {
    lives::buffers_come_back_whichever_goes_first::<X520>();
}

#[test]
fn memory_stays_reserved_when_dma_may_still_run() {
    lives::memory_stays_reserved_when_dma_may_still_run::<X520>();
}

#[test]
fn memory_that_dma_never_reached_comes_back() {
    lives::memory_that_dma_never_reached_comes_back::<X520>();
}

#[test]
fn a_vanished_device_is_left_as_it_is() {
    lives::a_vanished_device_is_left_as_it_is::<X520>();
}

#[test]
fn a_device_that_vanishes_at_any_access_is_reported_as_gone() {
    lives::vanishing_is_reported::<X520>(211, 200);
}

#[test]
fn a_device_that_is_mute_after_its_reset_is_given_time() {
    lives::a_mute_device_is_given_time::<X520>();
}

#[test]
fn an_opening_that_gets_no_answer_names_the_register() {
    let rst = CTRL::RST.mask();
    lives::openings_end::<X520>(&[
        ("CTRL", CTRL::META.offset, rst, rst),
        ("EEC", EEC::META.offset, EEC::AUTO_RD.mask(), 0),
        ("RDRXCTL", RDRXCTL::META.offset, RDRXCTL::DMAIDONE.mask(), 0),
        ("EERD", EERD::META.offset, EERD::DONE.mask(), 0),
    ]);
}

#[test]
fn a_start_that_gets_no_answer_names_the_register_and_gives_everything_back() {
    lives::starts_end::<X520>(&[
        ("EEC", EEC::META.offset, EEC::AUTO_RD.mask(), 0),
        ("RDRXCTL", RDRXCTL::META.offset, RDRXCTL::DMAIDONE.mask(), 0),
        ("RXDCTL", RXDCTL::META.offset_of(1), RXDCTL::ENABLE.mask(), 0),
        ("TXDCTL", TXDCTL::META.offset_of(2), TXDCTL::ENABLE.mask(), 0),
    ]);
}

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
        assert!(bar.now() < <X520 as lives::Family>::PATIENCE, "{offset:#x}: {:?}", bar.now());
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
