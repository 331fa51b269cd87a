//! What an igb does by itself, as far as a driver needs it to come up.

use super::super::regs::later::{EEMNGCTL_I21X, LATER};
use super::super::regs::*;
use crate::drivers::intel::tests::fake::{self, MAC, Model, Trouble, Words};
use crate::mmio::{RegMeta, Register};

pub(super) type Fake = fake::Fake<Chip82576>;

#[derive(Debug, Default)]
pub(super) struct Chip82576 {
    /// The PHY finds no partner.
    pub(super) no_link: bool,
    /// The PHY had its link before the driver came.
    pub(super) linked: bool,
    pub(super) bad_nvm: bool,
    pub(super) no_nvm: bool,
    /// I210 without flash: EERD answers nothing.
    pub(super) no_flash: bool,
    /// Word 3 of the NVM.
    pub(super) compatibility: u32,
    /// CTRL_EXT.LINK_MODE, from the NVM.
    pub(super) link_mode: u32,
    /// STATUS.LAN_ID.
    pub(super) port: u32,
    /// The PHY has a negotiated link, which the MAC has not noticed yet.
    pub(super) phy_up: bool,
    /// BMSR was read before.
    loss_read: bool,
    /// BMCR, if it is not what a driver leaves behind that powers the PHY down.
    pub(super) bmcr: Option<u32>,
    /// The PHY says nothing but errors.
    pub(super) phy_error: bool,
    /// Whoever had SWSM.SMBI is dead.
    pub(super) smbi_left: bool,
    /// BMCR and what else was written to the PHY: register, value.
    pub(super) phy_writes: Vec<(u32, u32)>,
    /// Registers whose semaphore was not held when MDIC was written.
    pub(super) unguarded: u32,
}

const fn at<R: Register>() -> u32 {
    R::META.offset
}

impl Model for Chip82576 {
    fn table() -> Vec<&'static RegMeta> {
        table().chain(LATER).collect()
    }

    fn reset(&mut self, words: &mut Words) {
        let present = u32::from(!self.no_nvm);
        let eecd = EECD::default().with(EECD::AUTO_RD, 1).with(EECD::PRES, present);
        words.set(eecd.with(EECD::FLASH_DETECTED, u32::from(!self.no_flash)));
        words.set(EEMNGCTL(0x003c_0000));
        words.set(EEMNGCTL_I21X::default().with(EEMNGCTL_I21X::CFG_DONE0, 1));
        let status = STATUS(STATUS::META.reset).with(STATUS::PF_RST_DONE, 1);
        words.set(
            status
                .with(STATUS::LAN_ID, self.port)
                .with(STATUS::SPEED, 2)
                .with(STATUS::LU, (self.linked && !self.no_link).into()),
        );
        words.set(CTRL_EXT(CTRL_EXT::META.reset).with(CTRL_EXT::LINK_MODE, self.link_mode));
        let [a, b, c, d, e, f] = MAC.0;
        words.set(RAL(u32::from_le_bytes([a, b, c, d])));
        words.set(RAH(u32::from_le_bytes([e, f, 0, 0x80])));
        // Every reset enables queue 0.
        *words.at(RXDCTL::META.offset_of(0)) |= RXDCTL::ENABLE.mask();
        *words.at(TXDCTL::META.offset_of(0)) |= TXDCTL::ENABLE.mask();
    }

    fn left(&mut self, words: &mut Words) {
        *words.at(RXDCTL::META.offset_of(3)) = RXDCTL::ENABLE.mask();
        *words.at(TXDCTL::META.offset_of(1)) = TXDCTL::ENABLE.mask();
        words.set(RCTL::default().with(RCTL::RXEN, 1));
        words.set(SWSM::default().with(SWSM::SMBI, self.smbi_left.into()));
    }

    fn written(&mut self, words: &mut Words, trouble: &Trouble, offset: u32, value: u32) -> bool {
        if offset == at::<CTRL>() {
            let ctrl = CTRL(value);
            if ctrl.has(CTRL::RST) {
                return true;
            }
            if ctrl.has(CTRL::GIO_DIS) && trouble.stuck.is_none_or(|s| s.0 != at::<STATUS>()) {
                let status: STATUS = words.get();
                words.set(status.with(STATUS::GIO_MASTER, 0));
            }
        } else if offset == at::<EERD>() && !self.no_flash {
            let word = self.nvm(EERD(value).get(EERD::ADDR));
            words.set(EERD(value).with(EERD::DONE, 1).with(EERD::DATA, word));
        } else if offset == at::<MDIC>() {
            let sync: SW_FW_SYNC = words.get();
            let held = [SW_FW_SYNC::SW_PHY0, SW_FW_SYNC::SW_PHY1, SW_FW_SYNC::SW_PHY2]
                .get(self.port as usize)
                .is_some_and(|bit| sync.has(*bit));
            self.unguarded += u32::from(!held);
            let done = self.phy(MDIC(value), words);
            words.set(done.with(MDIC::READY, 1).with(MDIC::ERROR, self.phy_error.into()));
        } else if offset == at::<PCS_LCTL>() && !self.no_link {
            words.set(PCS_LSTS(0).with(PCS_LSTS::LINK_OK, 1).with(PCS_LSTS::SYNC_OK, 1));
            let pcs: PCS_LSTS = words.get();
            words.set(pcs.with(PCS_LSTS::SPEED, 2).with(PCS_LSTS::DUPLEX, 1));
        }
        false
    }

    /// A semaphore.
    fn held(&self, words: &mut Words) -> bool {
        let (swsm, sync): (SWSM, SW_FW_SYNC) = (words.get(), words.get());
        swsm.has(SWSM::SMBI) || swsm.has(SWSM::SWESMBI) || sync.raw() & 0xffff != 0
    }

    /// Reading SMBI takes it.
    fn was_read(&mut self, words: &mut Words, offset: u32) {
        if offset == at::<SWSM>() {
            let swsm: SWSM = words.get();
            words.set(swsm.with(SWSM::SMBI, 1));
        }
    }
}

impl Chip82576 {
    /// Sections of zeros, whose last word makes up for word 3.
    fn nvm(&self, address: u32) -> u32 {
        let compatibility = if address < 0x40 { self.compatibility } else { 0 };
        let sum = 0xbaba_u32.wrapping_sub(compatibility) & 0xffff;
        match address {
            0x03 => self.compatibility,
            0x3f => (sum + u32::from(self.bad_nvm)) & 0xffff,
            0xbf | 0xff => 0xbaba,
            // The fourth port's is spoilt.
            0x13f => 0xbabb,
            _ => 0,
        }
    }

    /// A PHY that links up as soon as it is told to negotiate.
    fn phy(&mut self, mdic: MDIC, words: &mut Words) -> MDIC {
        let register = mdic.get(MDIC::REGADD);
        if mdic.get(MDIC::OP) == 1 {
            self.phy_writes.push((register, mdic.get(MDIC::DATA)));
            if register == 0 && !self.no_link {
                let status: STATUS = words.get();
                words.set(status.with(STATUS::LU, 1).with(STATUS::FD, 1));
            }
            return mdic;
        }
        // As the last driver left it: powered down, and offering 10 Mb/s only.
        let value = match register {
            0 => self.bmcr.unwrap_or(0x1940),
            // A loss of link is remembered until it is read.
            1 if self.phy_up && std::mem::replace(&mut self.loss_read, true) => 0x796d,
            4 => 0x0c61,
            9 => 0,
            _ => 0x7949,
        };
        mdic.with(MDIC::DATA, value)
    }
}
