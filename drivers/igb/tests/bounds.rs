//! What a device that never answers makes of the driver: every wait ends, nothing is kept.

use super::*;

#[test]
fn buffers_come_back_after_stop_whichever_goes_first() {
    lives::buffers_come_back_whichever_goes_first::<E82576>();
}

#[test]
fn memory_stays_reserved_when_dma_may_still_run() {
    lives::memory_stays_reserved_when_dma_may_still_run::<E82576>();
}

#[test]
fn memory_that_dma_never_reached_comes_back() {
    lives::memory_that_dma_never_reached_comes_back::<E82576>();
}

#[test]
fn a_vanished_device_is_left_as_it_is() {
    lives::a_vanished_device_is_left_as_it_is::<E82576>();
}

#[test]
fn a_device_that_vanishes_at_any_access_is_reported_as_gone() {
    lives::vanishing_is_reported::<E82576>(53, 10);
}

#[test]
fn a_device_that_is_mute_after_its_reset_is_given_time() {
    lives::a_mute_device_is_given_time::<E82576>();
}

#[test]
fn an_opening_that_gets_no_answer_names_the_register() {
    let (rst, eep) = (CTRL::RST.mask(), SW_FW_SYNC::FW_EEP.mask());
    lives::openings_end::<E82576>(&[
        ("CTRL", CTRL::META.offset, rst, rst),
        ("EERD", EERD::META.offset, EERD::DONE.mask(), 0),
        ("SWSM", SWSM::META.offset, SWSM::SWESMBI.mask(), 0),
        ("SW_FW_SYNC", SW_FW_SYNC::META.offset, eep, eep),
    ]);
}

#[test]
fn a_start_that_gets_no_answer_names_the_register_and_gives_everything_back() {
    lives::starts_end::<E82576>(&[
        ("MDIC", MDIC::META.offset, MDIC::READY.mask(), 0),
        ("RXDCTL", RXDCTL::META.offset_of(1), RXDCTL::ENABLE.mask(), 0),
        ("TXDCTL", TXDCTL::META.offset_of(2), TXDCTL::ENABLE.mask(), 0),
    ]);
}

/// QEMU's 82576 says neither of the first two; see `reset`.
#[test]
fn what_some_boards_never_say_is_waited_for_and_passed_over() {
    for (device, offset, bits) in [
        (0x10C9, EECD::META.offset, EECD::AUTO_RD.mask()),
        (0x10C9, EEMNGCTL::META.offset, EEMNGCTL::CFG_DONE0.mask()),
        (0x150E, STATUS::META.offset, STATUS::PF_RST_DONE.mask()),
    ] {
        let bar = Fake::new();
        drop(open_as(&bar, device).unwrap());
        let answered = bar.now();
        bar.trouble(|t| t.reads = Some((offset, bits, 0)));
        let mut nic = open_as(&bar, device).unwrap();
        let unanswered = bar.now() - answered;
        assert!(unanswered >= answered + Duration::from_millis(10), "{offset:#x}: not waited for");
        drop(nic.start(&config(), &pool()).unwrap());
        assert!(bar.now() < <E82576 as lives::Family>::PATIENCE, "{offset:#x}: {:?}", bar.now());
    }
}

#[test]
fn semaphores_of_the_dead_are_taken() {
    let bar = Fake::new();
    // SMBI reads as taken by somebody who never gives it back.
    bar.poke(SWSM::META.offset, SWSM::SMBI.mask());
    bar.trouble(|t| t.reads = Some((SWSM::META.offset, SWSM::SMBI.mask(), SWSM::SMBI.mask())));
    drop(open(&bar).unwrap());
    bar.trouble(|t| t.reads = None);
    // A driver that was killed with the PHY in its hands; resets do not clear that.
    let mut nic = open(&bar).unwrap();
    let held = SW_FW_SYNC::SW_PHY0.mask();
    bar.trouble(|t| t.reads = Some((SW_FW_SYNC::META.offset, held, held)));
    let before = bar.now();
    drop(nic.start(&config(), &pool()).unwrap());
    assert!(bar.now() - before >= Duration::from_millis(500));
    assert_eq!(bar.peek::<SW_FW_SYNC>(0).raw() & held, 0);
    // Firmware's is not.
    nic.stop().unwrap();
    let held = SW_FW_SYNC::FW_PHY0.mask();
    bar.trouble(|t| t.reads = Some((SW_FW_SYNC::META.offset, held, held)));
    match nic.start(&config(), &pool()) {
        Err(Error::Timeout { register: "SW_FW_SYNC", .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unconfirmed_master_disable_is_reset_away_twice() {
    let bar = Fake::new();
    let (mut nic, queues) = started(&bar);
    bar.state().log.clear();
    bar.trouble(|t| t.stuck = Some((STATUS::META.offset, 0)));
    nic.stop().unwrap();
    let resets = |log: Vec<Event>| {
        log.iter().filter(|e| matches!(e, Event::Write(0, v) if v & CTRL::RST.mask() != 0)).count()
    };
    assert_eq!(resets(bar.log()), 2);
    // The bus was taken away, so the memory is free all the same.
    bar.trouble(|t| t.stuck = None);
    drop(queues);
    drop(nic.start(&config(), &pool()).unwrap());
}

#[test]
fn dropping_a_running_port_silences_it() {
    let bar = Fake::new();
    let pool = pool();
    let mut nic = open(&bar).unwrap();
    let queues = nic.start(&config(), &pool).unwrap();
    bar.state().log.clear();
    drop(nic);
    let log = bar.log();
    ascending(&[
        ("receive off", when::<RCTL>(&log, 0, |r| !r.has(RCTL::RXEN))),
        ("bus master off", bus(&log, false)),
        ("reset", sets::<CTRL>(&log, 0, CTRL::RST)),
    ]);
    for n in 0..2 {
        when::<RXDCTL>(&log, n, |r| !r.has(RXDCTL::ENABLE));
    }
    for n in 0..3 {
        when::<TXDCTL>(&log, n, |r| !r.has(TXDCTL::ENABLE));
    }
    drop(queues);
    assert_eq!(free(&pool), pool.capacity() as usize);
}
