//! What an 82599 does by itself, as far as a driver needs it to come up.

use super::super::regs::*;
use crate::drivers::intel::tests::fake::{self, MAC, Model, Trouble, Words};
use crate::mmio::{RegMeta, Register};
use crate::port::MacAddr;

pub(super) type Fake = fake::Fake<Chip82599>;

#[derive(Debug, Default)]
pub(super) struct Chip82599 {
    pub(super) no_link: bool,
    pub(super) bad_eeprom: bool,
    pub(super) no_eeprom: bool,
    /// What the EEPROM has instead of [`MAC`].
    pub(super) address: Option<MacAddr>,
    /// EEC is where the X553 has it.
    pub(super) moved_eec: bool,
    /// The PHY's address, the register that is addressed, and its vendor's control register.
    pub(super) phy: u32,
    mdio: u32,
    pub(super) phy_control: u32,
    /// What no reset clears: who holds what, and a forced link.
    pub(super) sync: u32,
    pub(super) macc: u32,
    /// RTTDQSEL-addressed registers that were written as zero.
    pub(super) cleared_credits: Vec<u32>,
}

const fn at<R: Register>() -> u32 {
    R::META.offset
}

impl Model for Chip82599 {
    fn table() -> Vec<&'static RegMeta> {
        table().collect()
    }

    fn reset(&mut self, words: &mut Words) {
        let eec = EEC::default().with(EEC::AUTO_RD, 1);
        let eec = eec.with(EEC::PRES, u32::from(!self.no_eeprom));
        if self.moved_eec {
            words.set(x550::EEC_A(eec.raw()));
        } else {
            words.set(eec);
        }
        words.set(EEMNGCTL::default().with(EEMNGCTL::CFG_DONE0, 1));
        let rdrxctl: RDRXCTL = words.get();
        words.set(rdrxctl.with(RDRXCTL::DMAIDONE, 1));
        let [a, b, c, d, e, f] = self.address.unwrap_or(MAC).0;
        words.set(RAL_ALIAS(u32::from_le_bytes([a, b, c, d])));
        words.set(RAH_ALIAS(u32::from_le_bytes([e, f, 0, 0x80])));
        if !self.no_link {
            words.set(LINKS(0).with(LINKS::LINK_UP, 1).with(LINKS::LINK_SPEED, 3));
        }
        words.set(SW_FW_SYNC(self.sync));
        words.set(MACC(self.macc));
        // What the driver must keep.
        words.set(DTXMXSZRQ(0xabc0_0010));
    }

    fn left(&mut self, words: &mut Words) {
        *words.at(RXDCTL::META.offset_of(3)) = RXDCTL::ENABLE.mask();
        *words.at(TXDCTL::META.offset_of(100)) = TXDCTL::ENABLE.mask();
        *words.at(rx_reg(&RXDCTL::META, 100)) = RXDCTL::ENABLE.mask();
    }

    fn written(&mut self, words: &mut Words, trouble: &Trouble, offset: u32, value: u32) -> bool {
        if offset == at::<CTRL>() {
            let ctrl = CTRL(value);
            if ctrl.has(CTRL::RST) || ctrl.has(CTRL::LRST) {
                return true;
            }
            if ctrl.has(CTRL::GIO_DIS) && trouble.stuck.is_none_or(|s| s.0 != at::<STATUS>()) {
                let status: STATUS = words.get();
                words.set(status.with(STATUS::GIO_MASTER, 0));
            }
        } else if offset == at::<SECRXCTRL>() {
            let held = SECRXCTRL(value).get(SECRXCTRL::RX_DIS);
            words.set(SECRXSTAT(0).with(SECRXSTAT::SECRX_RDY, held));
        } else if offset == at::<EERD>() {
            let word = eeprom(EERD(value).get(EERD::ADDR), self.bad_eeprom);
            words.set(EERD(value).with(EERD::DONE, 1).with(EERD::DATA, word));
        } else if offset == at::<MSCA>() {
            self.frame(words, MSCA(value));
        } else if offset == at::<RTTDT1C>() && value == 0 {
            let selected: RTTDQSEL = words.get();
            self.cleared_credits.push(selected.raw());
        }
        false
    }
}

impl Chip82599 {
    /// A frame on the MDIO bus. Only whoever holds the PHY may send one.
    fn frame(&mut self, words: &mut Words, msca: MSCA) {
        let sync: SW_FW_SYNC = words.get();
        assert!(sync.has(SW_FW_SYNC::SW_PHY0) && !sync.has(SW_FW_SYNC::REGSMP), "{sync:?}");
        let at = (msca.get(MSCA::DEVADD), self.mdio);
        let answers = msca.get(MSCA::PHYADD) == self.phy;
        match msca.get(MSCA::OPCODE) {
            0 => self.mdio = msca.get(MSCA::MDIADD),
            1 if answers && at == (30, 0) => {
                self.phy_control = words.get::<MSRWD>().get(MSRWD::WRDATA);
            }
            _ => {
                let value = match at {
                    _ if !answers => 0xffff,
                    (1, 2) => 0x0154,
                    (30, 0) => self.phy_control,
                    _ => 0,
                };
                words.set(MSRWD(0).with(MSRWD::RDDATA, value));
            }
        }
        words.set(msca.with(MSCA::MDICMD, 0));
    }
}

/// One section of two words; the checksum word makes up for it.
fn eeprom(address: u32, bad: bool) -> u32 {
    const SECTION: u32 = 0x50;
    let body = [0x1234u32, 0xfff0];
    let sum = SECTION + body.iter().sum::<u32>() + 11 * 0xffff;
    match address {
        0x3f => 0xbaba_u32.wrapping_sub(sum).wrapping_add(bad.into()) & 0xffff,
        0x05 => SECTION,
        0x03..=0x0e => 0xffff,
        SECTION => 2,
        0x51 | 0x52 => body[(address - 0x51) as usize],
        _ => 0,
    }
}
