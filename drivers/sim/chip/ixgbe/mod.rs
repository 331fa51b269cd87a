//! The 82599 and what grew out of it: X540 and X550.

use std::sync::OnceLock;

use super::Chip;
use crate::drivers::ixgbe::regs::{
    self, DMATXCTL, HLREG0, MLFC, MTQC, RAL, RDBAL, RDRXCTL, RQSMR, RTTDCS, RXCTRL, STATUS, TDBAL,
    TQSM,
};
use crate::drivers::sim::device::{Device, Slow};
use crate::drivers::sim::eeprom::Eeprom;
use crate::drivers::sim::fault::QueueId;
use crate::drivers::sim::lawyer::{Lawyer, Rule};
use crate::drivers::sim::memory::Memory;
use crate::drivers::sim::regs::{Map, Pair, RegFile};
use crate::drivers::sim::setup::{ENABLE, Mac, QueueReg, RxPlan, TxPlan};
use crate::drivers::sim::sfp::Cage;
use crate::drivers::sim::stats::Tally;
use crate::drivers::sim::timesync::{Rate, TimeRegs};
use crate::mmio::Register;
use crate::port::MacAddr;

mod board;
mod copper;
mod count;
mod flash;
mod hostif;
mod irq;
mod link;
mod nvm;
mod pcs;
mod plan;
mod serdes;
mod special;
mod steer;
mod table;
mod time;
mod variant;
mod x540;

pub(in crate::drivers::sim) use copper::Copper;
pub(super) use variant::{Ixgbe, Variant};

/// The 82599ES with an SFP+ cage.
pub(in crate::drivers::sim) static I82599: Ixgbe = Ixgbe::new(Variant::I82599);
/// The X540-AT2, whose PHY is on chip.
pub(in crate::drivers::sim) static X540: Ixgbe = Ixgbe::new(Variant::X540);
/// The X550-AT2, whose PHY is on chip and whose EEPROM the firmware keeps.
pub(in crate::drivers::sim) static X550: Ixgbe = Ixgbe::new(Variant::X550);

/// Byte counters of 36 bits in a pair of registers.
const PAIRS: [Pair; 8] = [
    (&regs::GORCL::META, &regs::GORCH::META),
    (&regs::GOTCL::META, &regs::GOTCH::META),
    (&regs::TORL::META, &regs::TORH::META),
    (&regs::RXNFGBCL::META, &regs::RXNFGBCH::META),
    (&regs::RXDGBCL::META, &regs::RXDGBCH::META),
    (&regs::TXDGBCL::META, &regs::TXDGBCH::META),
    (&regs::QBRC_L::META, &regs::QBRC_H::META),
    (&regs::QBTC_L::META, &regs::QBTC_H::META),
];

/// The statistics slot of queue `n`, from RQSMR or TQSM.
fn slot<R: Register>(regs: &RegFile, n: u32) -> u8 {
    (regs.get::<R>(n / 4).raw() >> (n % 4 * 8) & 0xf) as u8
}

impl Chip for Ixgbe {
    fn map(&self) -> &'static Map {
        static MAPS: [OnceLock<Map>; Variant::COUNT] = [const { OnceLock::new() }; Variant::COUNT];
        MAPS[self.variant as usize].get_or_init(|| {
            let more = self.variant.more();
            let table = table::rest().chain(steer::DIRECTOR).chain(regs::table());
            let table = table.chain(time::TIME).chain(more);
            let aliases = [regs::ALIASES, table::ALIASES].concat();
            Map::new(regs::BAR_LEN, table, &aliases, &PAIRS, (1 << 36) - 1)
                .noting(&table::notes(self.variant))
        })
    }

    fn pci_id(&self) -> u16 {
        self.variant.pci_id()
    }

    fn eeprom(&self, mac: MacAddr) -> Eeprom {
        match self.variant {
            Variant::I82599 => nvm::eeprom(mac),
            variant => flash::image(variant, mac),
        }
    }

    fn cage(&self, mac: MacAddr) -> Cage {
        let module = self.variant.has_cage().then(|| board::module(mac));
        Cage::new(module)
    }

    fn copper(&self) -> Option<Copper> {
        (!self.variant.has_cage()).then(|| Copper::new(self.variant))
    }

    fn mbps(&self) -> u32 {
        10_000
    }

    fn queues(&self) -> u32 {
        regs::RX_QUEUES
    }

    fn rx_block(&self, queue: u32) -> u32 {
        regs::rx_reg(&RDBAL::META, queue)
    }

    fn tx_block(&self, queue: u32) -> u32 {
        TDBAL::META.offset_of(queue)
    }

    fn queue_of(&self, offset: u32) -> Option<QueueId> {
        Some(match offset {
            0x1000..0x2000 => QueueId::Rx(((offset - 0x1000) / 0x40) as u16),
            0xD000..0xE000 => QueueId::Rx(((offset - 0xD000) / 0x40) as u16 + 64),
            0x6000..0x8000 => QueueId::Tx(((offset - 0x6000) / 0x40) as u16),
            _ => return None,
        })
    }

    fn rx_slot(&self, regs: &RegFile, queue: u32) -> u8 {
        slot::<RQSMR>(regs, queue)
    }

    fn tx_slot(&self, regs: &RegFile, queue: u32) -> u8 {
        slot::<TQSM>(regs, queue)
    }

    fn reset(&self, device: &Device, slow: &mut Slow, ctrl: u32) {
        special::reset(self, device, slow, ctrl);
    }

    fn shared(&self, offset: u32) -> bool {
        special::SHARED.iter().any(|meta| meta.offset == offset)
    }

    fn station(&self) -> u32 {
        RAL::META.offset
    }

    fn read(&self, device: &Device, slow: &mut Slow, offset: u32) -> Option<u32> {
        special::read(self, device, slow, offset)
    }

    fn write(&self, device: &Device, slow: &mut Slow, offset: u32, value: u32) -> bool {
        special::write(self, device, slow, offset, value)
    }

    fn module_changed(&self, device: &Device, slow: &mut Slow) {
        board::module_changed(device, slow.cage.is_full());
        link::train(device, slow);
    }

    fn plugged_in(&self, device: &Device, slow: &mut Slow) {
        if slow.copper.is_some() {
            copper::negotiate(device, slow);
        }
    }

    fn mac(&self, regs: &RegFile) -> Mac {
        Mac {
            looped: regs.get::<HLREG0>(0).has(HLREG0::LPBK),
            master: regs.get::<STATUS>(0).has(STATUS::GIO_MASTER),
            linked: !self.variant.has_cage() || board::linked(regs) && link::possible(regs),
            forced: link::forced(regs),
        }
    }

    fn rx_plan(&self, regs: &RegFile, memory: &Memory, old: RxPlan) -> RxPlan {
        plan::rx(self, regs, memory, old)
    }

    fn tx_plan(&self, regs: &RegFile, memory: &Memory) -> TxPlan {
        plan::tx(self, regs, memory)
    }

    fn time(&self) -> &'static TimeRegs {
        time::registers(self)
    }

    fn pace(&self, regs: &RegFile, mbps: u32) -> Rate {
        time::rate(self, regs, mbps)
    }

    fn count(&self, regs: &RegFile, tally: &Tally) {
        count::count(regs, tally);
    }

    fn count_lost_link(&self, regs: &RegFile) {
        regs.count::<MLFC>(0, 1);
    }

    fn judge(&self, lawyer: &mut Lawyer, regs: &RegFile, offset: u32, value: u32) {
        match offset {
            o if o == RXCTRL::META.offset && RXCTRL(value).has(RXCTRL::RXEN) => {
                let mac = regs.get::<HLREG0>(0).has(HLREG0::RXCRCSTRP);
                if mac != regs.get::<RDRXCTL>(0).has(RDRXCTL::CRCSTRIP) {
                    lawyer.record(Rule::CrcStripMismatch, offset, value);
                }
            }
            o if o == MTQC::META.offset && !regs.get::<RTTDCS>(0).has(RTTDCS::ARBDIS) => {
                lawyer.record(Rule::ArbiterRunning, offset, value);
            }
            _ => {}
        }
        if let Some(QueueId::Tx(_)) = self.queue_of(offset)
            && let Some((_, QueueReg::Control)) = self.queue_block(offset)
            && value & ENABLE != 0
            && !regs.get::<DMATXCTL>(0).has(DMATXCTL::TE)
        {
            lawyer.record(Rule::TransmitDmaOff, offset, value);
        }
    }

    fn strict(&self) -> &'static [&'static str] {
        table::STRICT
    }
}
