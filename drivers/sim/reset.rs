//! Registers that do something: reset, EEPROM access, semaphores, master disable, queue enable
//! (82599 datasheet 4.2, 4.6.3, 5.2.5.3.2, 8.2.3).

use std::time::Duration;

use super::device::{Device, Slow, Takes};
use crate::drivers::ixgbe::regs::{
    AUTOC, CTRL, EEC, EEMNGCTL, EERD, EICR, EICS, EIMC, EIMC_EX, EIMS, EIMS_EX, FDIRCTRL, FRTIMER,
    GPIE, I2CCTL, LINKS, MSCA, MSRWD, RAH, RAL, RDRXCTL, RXDCTL, SECRXCTRL, SECRXSTAT, SECTXCTRL,
    SECTXSTAT, STATUS, SWSM,
};
use crate::mmio::Register;

/// A change of a register that takes effect after a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct Later {
    pub(super) offset: u32,
    pub(super) clear: u32,
    pub(super) set: u32,
    /// On the device's clock.
    pub(super) due: Duration,
    /// Reads of the register after which it is done all the same.
    pub(super) reads: u32,
    pub(super) effect: Effect,
}

/// What else changes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// The engine looks at its registers again.
    DataPath,
    /// The MAC address appears in receive address 0.
    Autoload,
    /// The link has trained.
    Trained,
}

const RESET: Takes = Takes { time: Duration::from_millis(1), reads: 3 };
const AUTOLOAD: Takes = Takes { time: Duration::from_millis(3), reads: 6 };
const DMA_INIT: Takes = Takes { time: Duration::from_millis(3), reads: 4 };
const EEPROM_READ: Takes = Takes { time: Duration::from_micros(20), reads: 2 };
const QUEUE: Takes = Takes { time: Duration::from_micros(50), reads: 3 };
const MASTER: Takes = Takes { time: Duration::from_micros(200), reads: 3 };
const SECURITY: Takes = Takes { time: Duration::from_micros(50), reads: 2 };
const TRAINING: Takes = Takes { time: Duration::from_millis(20), reads: 5 };

impl Device {
    fn after(
        &self,
        slow: &mut Slow,
        takes: Takes,
        offset: u32,
        clear: u32,
        set: u32,
        effect: Effect,
    ) {
        let due = self.clock.now() + takes.time;
        self.put_off(slow, Later { offset, clear, set, due, reads: takes.reads, effect });
    }

    /// Resets everything but the PCI configuration. CTRL keeps showing the bits in `ctrl` for a
    /// while.
    pub(super) fn reset(&self, slow: &mut Slow, ctrl: CTRL) {
        let mut engine = self.engine();
        slow.later.clear();
        engine.reset();
        self.regs.reset();
        let busy = CTRL::RST.mask() | CTRL::LRST.mask();
        self.regs.set(0, CTRL(ctrl.raw() & busy));
        let eec = self.regs.get::<EEC>(0).with(EEC::PRES, 1);
        self.regs.set(0, eec);
        engine.training = true;
        self.changed();
        drop(engine);
        self.after(slow, RESET, CTRL::META.offset, busy, 0, Effect::None);
        let set = EEC::AUTO_RD.mask();
        self.after(slow, AUTOLOAD, EEC::META.offset, 0, set, Effect::Autoload);
        let set = EEMNGCTL::CFG_DONE0.mask() | EEMNGCTL::CFG_DONE1.mask();
        self.after(slow, AUTOLOAD, EEMNGCTL::META.offset, 0, set, Effect::None);
        let set = RDRXCTL::DMAIDONE.mask();
        self.after(slow, DMA_INIT, RDRXCTL::META.offset, 0, set, Effect::None);
        self.train(slow);
    }

    /// The link is being negotiated.
    fn train(&self, slow: &mut Slow) {
        self.after(slow, TRAINING, LINKS::META.offset, 0, 0, Effect::Trained);
    }

    /// What autoload puts into receive address 0.
    pub(super) fn load_mac(&self, slow: &Slow) {
        let [a, b, c, d, e, f] = slow.eeprom.mac().0;
        self.regs.set(0, RAL(u32::from_le_bytes([a, b, c, d])));
        let high = u32::from(u16::from_le_bytes([e, f]));
        self.regs.set(0, RAH(high).with(RAH::AV, 1));
    }

    /// Registers whose value is not simply what is stored.
    pub(super) fn read_special(&self, slow: &mut Slow, offset: u32) -> Option<u32> {
        let is = |o: u32| offset == o;
        if is(SWSM::META.offset) {
            // Reading SMBI as zero takes it.
            let value = self.regs.get::<SWSM>(0);
            self.regs.set(0, value.with(SWSM::SMBI, 1));
            Some(value.raw())
        } else if is(EICR::META.offset) {
            let value = self.regs.peek(offset);
            if !self.regs.get::<GPIE>(0).has(GPIE::OCD) {
                self.regs.write(offset, value);
            }
            Some(value)
        } else if is(LINKS::META.offset) {
            Some(self.read_links(slow).raw())
        } else if is(FRTIMER::META.offset) {
            Some(self.clock.now().as_micros() as u32)
        } else if is(I2CCTL::META.offset) {
            // Nothing is plugged into the cage: both lines float high or follow our drivers.
            let value = self.regs.get::<I2CCTL>(0);
            let (clock, data) = (value.get(I2CCTL::CLK_OUT), value.get(I2CCTL::DATA_OUT));
            Some(value.with(I2CCTL::CLK_IN, clock).with(I2CCTL::DATA_IN, data).raw())
        } else {
            None
        }
    }

    /// Writes that do more than store. False: there is nothing special about the register.
    pub(super) fn write_special(&self, slow: &mut Slow, offset: u32, value: u32) -> bool {
        let is = |o: u32| offset == o;
        if is(CTRL::META.offset) {
            self.write_ctrl(slow, CTRL(value));
        } else if is(EERD::META.offset) {
            self.write_eerd(slow, EERD(value));
        } else if is(EEC::META.offset) {
            // Only the bit-banged pins and the request are software's; a request is granted.
            let own = 0x3f | EEC::REQ.mask();
            let old = self.regs.get::<EEC>(0);
            let new = EEC(old.raw() & !own | value & own);
            self.regs.set(0, new.with(EEC::GNT, new.get(EEC::REQ)));
        } else if is(SWSM::META.offset) {
            let (old, new) = (self.regs.get::<SWSM>(0), SWSM(value));
            // SMBI can be cleared but not set; the firmware of this NIC never objects to SWESMBI.
            let smbi = old.get(SWSM::SMBI) & new.get(SWSM::SMBI);
            self.regs.set(0, new.with(SWSM::SMBI, smbi));
        } else if is(EICS::META.offset) {
            let causes = self.regs.peek(EICR::META.offset) | value;
            self.regs.poke(EICR::META.offset, causes);
        } else if is(EIMC::META.offset) {
            self.regs.poke(EIMS::META.offset, self.regs.peek(EIMS::META.offset) & !value);
        } else if is(EIMS::META.offset) {
            self.regs.write(offset, value);
        } else if let Some(n) = (0..2).find(|n| is(EIMC_EX::META.offset_of(*n))) {
            let at = EIMS_EX::META.offset_of(n);
            self.regs.poke(at, self.regs.peek(at) & !value);
        } else if is(AUTOC::META.offset) {
            self.write_autoc(slow, AUTOC(value));
        } else if is(RDRXCTL::META.offset) {
            let done = self.regs.get::<RDRXCTL>(0).get(RDRXCTL::DMAIDONE);
            let _engine = self.engine();
            self.regs.set(0, RDRXCTL(value).with(RDRXCTL::DMAIDONE, done));
            self.changed();
        } else if is(SECRXCTRL::META.offset) {
            self.regs.poke(offset, value);
            let (stat, ready) = (SECRXSTAT::META.offset, SECRXSTAT::SECRX_RDY.mask());
            self.hold(slow, SECRXCTRL(value).has(SECRXCTRL::RX_DIS), stat, ready);
        } else if is(SECTXCTRL::META.offset) {
            self.regs.poke(offset, value);
            let (stat, ready) = (SECTXSTAT::META.offset, SECTXSTAT::SECTX_RDY.mask());
            self.hold(slow, SECTXCTRL(value).has(SECTXCTRL::TX_DIS), stat, ready);
        } else if is(MSCA::META.offset) {
            // No PHY answers on the MDIO bus.
            self.regs.poke(offset, value);
            self.regs.set(0, self.regs.get::<MSRWD>(0).with(MSRWD::RDDATA, 0xffff));
            self.after(slow, EEPROM_READ, offset, MSCA::MDICMD.mask(), 0, Effect::None);
        } else if is(FDIRCTRL::META.offset) {
            self.regs.poke(offset, value);
            let done = FDIRCTRL::INIT_DONE.mask();
            self.after(slow, EEPROM_READ, offset, 0, done, Effect::None);
        } else {
            return false;
        }
        true
    }

    fn write_ctrl(&self, slow: &mut Slow, ctrl: CTRL) {
        if ctrl.has(CTRL::RST) || ctrl.has(CTRL::LRST) {
            self.reset(slow, ctrl);
            return;
        }
        let busy = CTRL::RST.mask() | CTRL::LRST.mask();
        let old = self.regs.get::<CTRL>(0);
        self.regs.set(0, CTRL(old.raw() & busy | ctrl.raw() & !busy));
        let (status, master) = (STATUS::META.offset, STATUS::GIO_MASTER.mask());
        slow.later.retain(|l| l.offset != status);
        if ctrl.has(CTRL::GIO_DIS) {
            self.after(slow, MASTER, status, master, 0, Effect::DataPath);
        } else if self.regs.peek(status) & master == 0 {
            let _engine = self.engine();
            self.regs.poke(status, self.regs.peek(status) | master);
            self.changed();
        }
    }

    fn write_eerd(&self, slow: &mut Slow, eerd: EERD) {
        let asked = EERD(eerd.raw() & (EERD::START.mask() | EERD::ADDR.mask()));
        self.regs.set(0, asked);
        if asked.has(EERD::START) {
            let data = u32::from(slow.eeprom.word(asked.get(EERD::ADDR)));
            let set = EERD(0).with(EERD::DONE, 1).with(EERD::DATA, data).raw();
            let clear = EERD::START.mask();
            self.after(slow, EEPROM_READ, EERD::META.offset, clear, set, Effect::None);
        }
    }

    fn write_autoc(&self, slow: &mut Slow, autoc: AUTOC) {
        let mut engine = self.engine();
        self.regs.set(0, autoc);
        if autoc.has(AUTOC::RESTART_AN) {
            engine.training = true;
            drop(engine);
            let restart = AUTOC::RESTART_AN.mask();
            self.after(slow, EEPROM_READ, AUTOC::META.offset, restart, 0, Effect::None);
            self.train(slow);
        }
    }

    /// Holds a security block's path still, or lets it go.
    fn hold(&self, slow: &mut Slow, on: bool, stat: u32, ready: u32) {
        slow.later.retain(|l| l.offset != stat);
        if on {
            self.after(slow, SECURITY, stat, 0, ready, Effect::DataPath);
        } else {
            let _engine = self.engine();
            self.regs.poke(stat, self.regs.peek(stat) & !ready);
            self.changed();
        }
    }

    /// Heads are the device's while the queue is enabled.
    pub(super) fn write_head(&self, offset: u32, value: u32) {
        let control = self.regs.peek(offset - 0x10 + 0x28);
        if control & RXDCTL::ENABLE.mask() == 0 {
            self.regs.poke(offset, value & 0xffff);
        }
    }

    /// RXDCTL and TXDCTL: ENABLE shows when the queue has really started or stopped.
    pub(super) fn write_queue_control(&self, slow: &mut Slow, offset: u32, value: u32) {
        let (enable, flush) = (RXDCTL::ENABLE.mask(), RXDCTL::SWFLSH.mask());
        let engine = self.engine();
        let shown = self.regs.peek(offset) & enable;
        self.regs.poke(offset, value & !(enable | flush) | shown);
        self.changed();
        drop(engine);
        slow.later.retain(|l| l.offset != offset);
        if value & enable != shown {
            let set = value & enable;
            self.after(slow, QUEUE, offset, enable, set, Effect::DataPath);
        }
    }
}
