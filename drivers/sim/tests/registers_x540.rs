//! What X540 and X550 have otherwise than the 82599: the PHY on the MDIO bus, the flash, the host
//! interface.

use std::time::Duration;

use super::registers::{asked, nic};
use super::rig::{Rig, udp};
use crate::drivers::ixgbe::regs::x550::{ERETA, FLEX_MNG, HICR};
use crate::drivers::ixgbe::regs::{
    AUTOC, CTRL, EEC, EERD, EICR, FWSM, HLREG0, LINKS, MACC, MRQC, MSCA, MSRWD, RSSRK, RXCSUM,
    RXCTRL, RXPBSIZE, SW_FW_SYNC, SWSM,
};
use crate::drivers::sim::{Model, SimBar};
use crate::mmio::{Bar, Register};

const BOTH: [Model; 2] = [Model::X540, Model::X550];

const PMA: u32 = 1;
const AN: u32 = 7;
const CHIP: u32 = 30;

/// One frame on the bus, to the PHY at `phy`.
fn frame(bar: &SimBar, phy: u32, device: u32, op: u32, at: u32) {
    let msca = MSCA(0).with(MSCA::MDIADD, at).with(MSCA::DEVADD, device).with(MSCA::PHYADD, phy);
    msca.with(MSCA::OPCODE, op).with(MSCA::MDICMD, 1).write(bar);
    assert!((1..100).contains(&asked(|| !MSCA::read(bar).has(MSCA::MDICMD))));
}

fn read_of(bar: &SimBar, phy: u32, device: u32, at: u32) -> u16 {
    frame(bar, phy, device, 0, at);
    frame(bar, phy, device, 3, at);
    MSRWD::read(bar).get(MSRWD::RDDATA) as u16
}

fn read(bar: &SimBar, device: u32, at: u32) -> u16 {
    read_of(bar, 0, device, at)
}

fn write(bar: &SimBar, device: u32, at: u32, value: u16) {
    MSRWD(value.into()).write(bar);
    frame(bar, 0, device, 0, at);
    frame(bar, 0, device, 1, at);
}

fn up(bar: &SimBar) -> bool {
    LINKS::read(bar).has(LINKS::LINK_UP)
}

/// LINKS' speed code, and whether it is one of the odd rates.
fn speed(bar: &SimBar) -> (u32, bool) {
    let links = LINKS::read(bar);
    (links.get(LINKS::LINK_SPEED), links.has(LINKS::SPEED_NON_STD))
}

#[test]
fn the_phy_answers_by_clause_45() {
    for (model, id) in [(Model::X540, 0x0200_u16), (Model::X550, 0x0221)] {
        let bar = nic(model).bar();
        assert_eq!((read(&bar, PMA, 2), read(&bar, PMA, 3)), (0x0154, id));
        // Each device that the two words name responds, and no other does.
        let devices = u32::from(read(&bar, PMA, 5)) | u32::from(read(&bar, PMA, 6)) << 16;
        for device in 0..32 {
            let responds = read(&bar, device, 8) & 0xc000 == 0x8000;
            assert_eq!(responds, devices >> device & 1 != 0, "{device}");
        }
        assert_eq!(read(&bar, PMA, 4) & 0x31, 0x31, "10 and 1 Gbit/s, 100 Mbit/s");
        assert_eq!(read(&bar, PMA, 11) & 0xa4, 0xa4);
        assert_eq!(read_of(&bar, 1, PMA, 2), 0xffff, "nobody at another address");
        write(&bar, PMA, 2, 7);
        assert_eq!(read(&bar, PMA, 2), 0x0154, "read-only");
        // Clause 22: it does not listen.
        MSCA(0).with(MSCA::STCODE, 1).with(MSCA::OPCODE, 2).with(MSCA::MDICMD, 1).write(&bar);
        assert_eq!(MSRWD::read(&bar).get(MSRWD::RDDATA), 0xffff);
        // Each device has an address of its own, which a read can advance.
        frame(&bar, 0, PMA, 0, 2);
        frame(&bar, 0, AN, 0, 16);
        frame(&bar, 0, PMA, 2, 0);
        assert_eq!(MSRWD::read(&bar).get(MSRWD::RDDATA), 0x0154);
        frame(&bar, 0, PMA, 3, 0);
        assert_eq!(MSRWD::read(&bar).get(MSRWD::RDDATA), u32::from(id));
    }
}

/// Negotiates anew.
fn restart(bar: &SimBar) {
    write(bar, AN, 0, 0x3200);
    assert_eq!(read(bar, AN, 0), 0x3000, "restart clears itself");
    assert!(!up(bar));
    bar.delay(Duration::from_secs(1));
}

#[test]
fn the_best_common_rate_is_negotiated() {
    for model in BOTH {
        let bar = nic(model).bar();
        assert!(up(&bar) && speed(&bar) == (3, false));
        read(&bar, AN, 1);
        assert_eq!(read(&bar, AN, 1) & 0x65, 0x65, "link, complete, page, able partner");
        assert_eq!(read(&bar, AN, 19) & 0x0d00, 0x0500, "symmetric pause, 100 Mbit/s");
        assert_eq!(read(&bar, AN, 33) & 0x3800, 0x3800, "both receivers, 10 Gbit/s");
        assert_eq!(read(&bar, AN, 0xC800) & 7, 7, "10 Gbit/s full duplex");
        // Without 10 Gbit/s.
        write(&bar, AN, 32, 0);
        assert!(up(&bar), "until it is negotiated again");
        restart(&bar);
        // 5 Gbit/s and 2.5 Gbit/s are odd ones of 100 Mbit/s and 10 Gbit/s.
        let more = model == Model::X550;
        assert_eq!(speed(&bar), if more { (1, true) } else { (2, false) });
        write(&bar, AN, 0xC400, 0x8400);
        restart(&bar);
        assert_eq!(speed(&bar), if more { (3, true) } else { (2, false) });
        write(&bar, AN, 0xC400, 0);
        restart(&bar);
        assert_eq!((speed(&bar), read(&bar, AN, 0xC800) & 7), ((1, false), 3));
        // Nothing in common.
        write(&bar, AN, 16, 1);
        restart(&bar);
        assert!(!up(&bar));
        assert_eq!((read(&bar, AN, 0xC800), read(&bar, AN, 19)), (0, 0));
        // A reset of any device's puts all back.
        write(&bar, 4, 0, 1 << 15);
        assert_eq!(read(&bar, 4, 0) >> 15, 1);
        bar.delay(Duration::from_millis(1));
        assert_eq!(read(&bar, 4, 0) >> 15, 0);
        assert!(!up(&bar) && asked(|| up(&bar)) < 100);
        assert_eq!(speed(&bar), (3, false));
        // AUTOC is none of its business.
        AUTOC::read(&bar).with(AUTOC::RESTART_AN, 1).write(&bar);
        assert!(up(&bar) && !AUTOC::read(&bar).has(AUTOC::RESTART_AN));
    }
}

#[test]
fn low_power_and_a_pulled_cable_end_the_link_and_a_reset_of_the_mac_does_not() {
    let nic = nic(Model::X540);
    let bar = nic.bar();
    CTRL(0).with(CTRL::RST, 1).write(&bar);
    assert!(asked(|| !CTRL::read(&bar).has(CTRL::RST)) < 100);
    assert!(up(&bar));
    assert_eq!(RXPBSIZE::read(&bar).get(RXPBSIZE::SIZE), 384);
    assert!(FWSM::read(&bar).has(FWSM::FW_VAL));
    read(&bar, AN, 1);
    read(&bar, AN, 0xCC01);
    write(&bar, CHIP, 0, 1 << 11);
    bar.delay(Duration::from_secs(2));
    assert!(!up(&bar));
    write(&bar, CHIP, 0, 0);
    bar.delay(Duration::from_millis(400));
    assert!(!up(&bar));
    bar.delay(Duration::from_millis(100));
    assert!(up(&bar));
    nic.step();
    EICR::read(&bar);
    nic.set_link(false);
    nic.step();
    assert!(EICR::read(&bar).has(EICR::LSC) && !up(&bar));
    assert_eq!((read(&bar, AN, 0xCC01), read(&bar, AN, 0xCC01)), (1, 0), "it has gone");
    assert_eq!(read(&bar, AN, 1) & 4, 0);
    nic.set_link(true);
    bar.delay(Duration::from_secs(1));
    assert_eq!(read(&bar, AN, 1) & 4, 0, "it was lost");
    assert_eq!(read(&bar, AN, 1) & 4, 4);
}

#[test]
fn the_mac_loops_back_while_the_phy_rests() {
    let mut rig = Rig::on(Model::X540, 0, |_| {});
    rig.post(4);
    write(&rig.bar, CHIP, 0, 1 << 11);
    HLREG0::read(&rig.bar).with(HLREG0::LPBK, 1).write(&rig.bar);
    MACC(0).with(MACC::FLU, 1).write(&rig.bar);
    let frame = udp(None, 64);
    let (iova, m) = rig.buffer(&frame);
    // Legacy: end of packet, insert CRC, report status.
    rig.descriptor(iova, frame.len() as u64 | 0xb << 24);
    rig.send();
    assert_eq!(rig.harvest().len(), 1);
    rig.reclaim(m);
}

#[test]
fn the_semaphore_of_sw_fw_sync_is_taken_by_reading() {
    for model in BOTH {
        let bar = nic(model).bar();
        assert!(!SW_FW_SYNC::read(&bar).has(SW_FW_SYNC::REGSMP), "ours");
        assert!(SW_FW_SYNC::read(&bar).has(SW_FW_SYNC::REGSMP), "taken");
        let owned = SW_FW_SYNC(0).with(SW_FW_SYNC::SW_EEP, 1);
        owned.with(SW_FW_SYNC::REGSMP, 1).write(&bar);
        // A reset leaves it alone, and it can be given back while that goes on.
        CTRL(0).with(CTRL::RST, 1).write(&bar);
        SW_FW_SYNC(0).write(&bar);
        assert_eq!(SW_FW_SYNC::read(&bar).raw(), 0);
        owned.with(SW_FW_SYNC::REGSMP, 1).write(&bar);
        assert!(asked(|| !CTRL::read(&bar).has(CTRL::RST)) < 100);
        assert_eq!(SW_FW_SYNC::read(&bar).raw(), 1 << 31 | 1);
        owned.write(&bar);
        assert_eq!(SW_FW_SYNC::read(&bar).raw(), 1);
        SW_FW_SYNC(0).write(&bar);
        SW_FW_SYNC(0).with(SW_FW_SYNC::REGSMP, 1).write(&bar);
        assert_eq!(SW_FW_SYNC::read(&bar).raw(), 0, "it cannot be set by writing");
        assert!(!SWSM::read(&bar).has(SWSM::SMBI));
    }
}

fn word(bar: &SimBar, at: u32) -> u16 {
    EERD(0).with(EERD::START, 1).with(EERD::ADDR, at).write(bar);
    assert!(asked(|| EERD::read(bar).has(EERD::DONE)) < 100);
    EERD::read(bar).get(EERD::DATA) as u16
}

const EEWR: u32 = 0x10018;
const FLUDONE: u32 = 1 << 26;
const FLUP: u32 = 1 << 23;

#[test]
fn words_are_written_to_the_shadow_ram_and_then_to_the_flash() {
    let bar = nic(Model::X540).bar();
    let done = || EEC::read(&bar).raw() & FLUDONE != 0;
    assert!(done() && EEC::read(&bar).has(EEC::PRES) && EEC::read(&bar).has(EEC::AUTO_RD));
    assert_eq!(64 << EEC::read(&bar).get(EEC::SIZE), 0x1000, "words");
    assert_eq!(word(&bar, u32::from(word(&bar, 9)) + 1), 0x0302, "the address");
    // EEWR: start, done, address and data are where EERD has them.
    let write = |at: u32, word: u32| {
        bar.write32(EEWR, EERD(1).with(EERD::ADDR, at).with(EERD::DATA, word).raw());
        let done = || EERD(bar.read32(EEWR)).has(EERD::DONE);
        assert!(!done() && asked(done) < 100);
    };
    write(0x3e0, 0xcafe);
    assert_eq!(word(&bar, 0x3e0), 0xcafe);
    EEC(EEC::read(&bar).raw() | FLUP).write(&bar);
    assert!(!done());
    assert!((1..100).contains(&asked(done)));
    assert_eq!(EEC::read(&bar).raw() & FLUP, 0);
    assert!(EEC::read(&bar).has(EEC::PRES));
    // Beyond its end there is nothing.
    write(0x3fff, 0xcafe);
    assert_eq!(word(&bar, 0x3fff), 0xffff);
}

/// Sends a command; whether there is a valid status, and the answer's first two bytes of status
/// and length.
fn command(bar: &SimBar, words: &[u32]) -> Option<(u8, u16)> {
    assert!(HICR::read(bar).has(HICR::EN));
    for (n, word) in (0..).zip(words) {
        FLEX_MNG(*word).write_at(bar, n);
    }
    HICR::read(bar).with(HICR::C, 1).write(bar);
    assert!((1..100).contains(&asked(|| !HICR::read(bar).has(HICR::C))));
    let [command, low, high, _] = FLEX_MNG::read(bar).raw().to_le_bytes();
    assert_eq!(u32::from(command), words[0] & 0xff);
    let length = u16::from(low) | u16::from(high >> 5) << 8;
    HICR::read(bar).has(HICR::SV).then_some((high & 0x1f, length))
}

/// A command's first word, by its four bytes.
fn header(command: u8, high: u8, low: u8, checksum: u8) -> u32 {
    u32::from_le_bytes([command, high, low, checksum])
}

#[test]
fn an_x550s_firmware_reads_and_writes_the_shadow_ram() {
    let bar = nic(Model::X550).bar();
    let read = |at: u32, n: u16| {
        let words = [header(0x31, 0, 6, 0xff), (at * 2).swap_bytes(), (n * 2).swap_bytes().into()];
        assert_eq!(command(&bar, &words), Some((1, n * 2)));
        let word = |i: u32| (FLEX_MNG::read_at(&bar, 3 + i / 2).raw() >> (i % 2 * 16)) as u16;
        (0..n.into()).map(word).collect::<Vec<_>>()
    };
    let core = u32::from(read(9, 1)[0]);
    assert_eq!(read(core, 4), [3, 0x0302, 0x0504, 0x0706]);
    assert_eq!(read(core + 1, 1), [0x0302]);
    let words = [header(0x33, 0, 10, 0xff), (0x3e0 * 2u32).swap_bytes(), 0x0200, 0xcafe];
    assert_eq!(command(&bar, &words), Some((1, 0)));
    assert_eq!(read(0x3df, 3)[1], 0xcafe);
    assert_eq!(word(&bar, 0x3e0), 0xcafe, "EERD sees the same");
    assert_eq!(command(&bar, &[header(0x36, 0, 0, 0xff)]), Some((1, 0)));
    // Nothing is there, and no more is read than fits.
    assert_eq!(read(0xfff, 2)[1], 0xffff);
    let words = [header(0x31, 0, 6, 0xff), u32::MAX, 0xffff];
    assert_eq!(command(&bar, &words), Some((1, (448 - 3) * 4)));
    let words = [header(0x33, 0, 10, 0xff), u32::MAX, 0x0200, 0xcafe];
    assert_ne!(command(&bar, &words).map(|(status, _)| status), Some(1));
}

#[test]
fn the_firmware_takes_the_drivers_version_if_its_checksum_is_right() {
    for model in BOTH {
        let bar = nic(model).bar();
        let mut bytes = [0xdd, 5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0];
        let bad = bytes.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap()));
        assert_ne!(command(&bar, &bad.collect::<Vec<_>>()).map(|(s, _)| s), Some(1));
        bytes[3] = bytes.iter().fold(0u8, |left, b| left.wrapping_sub(*b));
        let good = bytes.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap()));
        assert_eq!(command(&bar, &good.collect::<Vec<_>>()), Some((1, 0)));
        // It does not know everything.
        assert_eq!(command(&bar, &[header(0x77, 0, 0, 0xff)]), None);
    }
    assert_eq!(command(&nic(Model::X540).bar(), &[header(0x31, 0, 6, 0xff), 0, 0x0200]), None);
}

#[test]
fn an_x550s_firmware_stops_reception() {
    let mut rig = Rig::on(Model::X550, 0, |_| {});
    rig.post(4);
    assert_eq!(rig.receive(&udp(None, 20)).len(), 1);
    assert_eq!(command(&rig.bar, &[header(0xde, 1, 0, 0xff), 0]), Some((1, 0)));
    assert!(!RXCTRL::read(&rig.bar).has(RXCTRL::RXEN));
    assert_eq!(rig.receive(&udp(None, 20)).len(), 0);
}

/// For several keys: the hash of one packet, if it came to queue 5, to which only what lies behind
/// RETA's 128 entries leads.
fn behind_the_first_128(model: Model) -> Vec<Option<u64>> {
    let mut rig = Rig::on(model, 5, |bar| {
        MRQC(0).with(MRQC::MRQE, 1).with(MRQC::RSS_IPV4, 1).write(bar);
        RXCSUM(0).with(RXCSUM::PCSD, 1).write(bar);
        for n in 0..ERETA::META.count {
            ERETA(0x0505_0505).write_at(bar, n);
        }
    });
    rig.post(16);
    let mut hash = |key: u32| {
        for n in 0..RSSRK::META.count {
            RSSRK(key.wrapping_mul(0x9e37_79b9).rotate_left(n * 7)).write_at(&rig.bar, n);
        }
        rig.receive(&udp(None, 20)).first().map(|(w0, ..)| w0 >> 32)
    };
    (1..17).map(&mut hash).collect()
}

#[test]
fn an_x550_spreads_over_512_entries() {
    let seen = behind_the_first_128(Model::X550);
    assert!(seen.iter().flatten().all(|hash| hash % 512 >= 128), "{seen:x?}");
    assert!((8..16).contains(&seen.iter().flatten().count()), "{seen:x?}");
    assert!(behind_the_first_128(Model::X540).iter().all(Option::is_none));
}
