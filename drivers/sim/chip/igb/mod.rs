//! The 82576 and what grew out of it: the I350.

use std::sync::OnceLock;

use super::Chip;
use crate::drivers::igb::regs::{
    self, CTRL, EERD, MDIC, RAL, RCTL, RDBAL, STATUS, SW_FW_SYNC, SWSM, TCTL, TDBAL, later::PHPM,
};
use crate::drivers::sim::device::{Device, Slow};
use crate::drivers::sim::eeprom::Eeprom;
use crate::drivers::sim::fault::QueueId;
use crate::drivers::sim::lawyer::{Lawyer, Rule};
use crate::drivers::sim::memory::Memory;
use crate::drivers::sim::regs::{Map, Pair, RegFile};
use crate::drivers::sim::setup::{CONTROL, ENABLE, Mac, QueueReg, RxPlan, TxPlan};
use crate::drivers::sim::stats::Tally;
use crate::drivers::sim::timesync::{Rate, TimeRegs};
use crate::mmio::{Field, Register};
use crate::port::MacAddr;

mod causes;
mod count;
mod nvm;
mod phy;
mod plan;
mod special;
mod steer;
mod table;
mod time;
mod variant;
mod vendor;

pub(in crate::drivers::sim) use phy::Phy;
pub(super) use variant::{Igb, Variant};

/// The 82576 with copper ports.
pub(in crate::drivers::sim) static I82576: Igb = Igb::new(Variant::I82576);
/// The I350 with copper ports.
pub(in crate::drivers::sim) static I350: Igb = Igb::new(Variant::I350);

/// Byte counters of 64 bits in a pair of registers.
const PAIRS: [Pair; 6] = [
    (&regs::GORCL::META, &regs::GORCH::META),
    (&regs::GOTCL::META, &regs::GOTCH::META),
    (&regs::TORL::META, &regs::TORH::META),
    (&regs::TOTL::META, &regs::TOTH::META),
    (&regs::HGORCL::META, &regs::HGORCH::META),
    (&regs::HGOTCL::META, &regs::HGOTCH::META),
];

/// RCTL.LBM: the MAC's transmitter leads to its receiver.
const LOOPED: u32 = 1;

impl Chip for Igb {
    fn map(&self) -> &'static Map {
        static MAPS: [OnceLock<Map>; Variant::COUNT] = [const { OnceLock::new() }; Variant::COUNT];
        MAPS[self.variant as usize].get_or_init(|| {
            let more = self.variant.more();
            let table = table::rest(self.variant).chain(regs::table()).chain(time::TIME);
            let table = table.chain(more);
            Map::new(regs::BAR_LEN, table, regs::ALIASES, &PAIRS, u64::MAX)
                .noting(&table::notes(self.variant))
        })
    }

    fn pci_id(&self) -> u16 {
        self.variant.pci_id()
    }

    fn eeprom(&self, mac: MacAddr) -> Eeprom {
        nvm::image(self.variant, mac)
    }

    fn phy(&self) -> Phy {
        Phy::new(self.variant)
    }

    fn mbps(&self) -> u32 {
        1_000
    }

    fn queues(&self) -> u32 {
        self.variant.queues()
    }

    fn rx_block(&self, queue: u32) -> u32 {
        RDBAL::META.offset_of(queue)
    }

    fn tx_block(&self, queue: u32) -> u32 {
        TDBAL::META.offset_of(queue)
    }

    fn queue_of(&self, offset: u32) -> Option<QueueId> {
        let (queue, n) = match offset {
            0xC000..0xC400 => (QueueId::Rx as fn(u16) -> QueueId, (offset - 0xC000) / 0x40),
            0xE000..0xE400 => (QueueId::Tx as fn(u16) -> QueueId, (offset - 0xE000) / 0x40),
            _ => return None,
        };
        (n < self.queues()).then(|| queue(n as u16))
    }

    /// 8.10.9, 8.10.10, 8.12. Not the I350, whose tails drivers test with the queues off.
    fn deaf_queues(&self) -> bool {
        self.variant == Variant::I82576
    }

    fn rx_slot(&self, _: &RegFile, queue: u32) -> u8 {
        queue as u8
    }

    fn tx_slot(&self, _: &RegFile, queue: u32) -> u8 {
        queue as u8
    }

    fn reset(&self, device: &Device, slow: &mut Slow, ctrl: u32) {
        special::reset(self, device, slow, ctrl);
    }

    fn shared(&self, offset: u32) -> bool {
        special::SHARED.contains(&offset)
    }

    fn station(&self) -> u32 {
        RAL::META.offset
    }

    fn read(&self, device: &Device, slow: &mut Slow, offset: u32) -> Option<u32> {
        special::read(self, device, slow, offset).or_else(|| device.read_time(offset))
    }

    fn write(&self, device: &Device, slow: &mut Slow, offset: u32, value: u32) -> bool {
        special::write(self, device, slow, offset, value)
            || causes::write(device, offset, value)
            || device.write_time(offset, value)
    }

    fn plugged_in(&self, device: &Device, slow: &mut Slow) {
        phy::plugged_in(device, slow);
    }

    fn mac(&self, regs: &RegFile) -> Mac {
        Mac {
            looped: regs.get::<RCTL>(0).get(RCTL::LBM) == LOOPED,
            master: regs.get::<STATUS>(0).has(STATUS::GIO_MASTER),
            // Without "set link up" the MAC takes no notice of the PHY's link (8.2.1).
            // The I350 can also be told to leave it (PHPM).
            linked: regs.get::<CTRL>(0).has(CTRL::SLU)
                && !(self.variant == Variant::I350 && regs.get::<PHPM>(0).has(PHPM::GO_LINKD)),
            forced: false,
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

    fn pace(&self, regs: &RegFile, _mbps: u32) -> Rate {
        time::rate(self, regs)
    }

    fn count(&self, regs: &RegFile, tally: &Tally) {
        count::count(regs, tally);
    }

    fn judge(&self, lawyer: &mut Lawyer, regs: &RegFile, offset: u32, value: u32) {
        if let Some(rule) = breach(self, regs, offset, value) {
            lawyer.record(rule, offset, value);
        }
    }

    fn strict(&self) -> &'static [&'static str] {
        &["CTRL", "RCTL", "MRQC", "RXCSUM", "TCTL", "RDLEN", "TDLEN", "RXDCTL", "TXDCTL", "SRRCTL"]
    }
}

/// The rule that a write breaks.
fn breach(chip: &Igb, regs: &RegFile, offset: u32, value: u32) -> Option<Rule> {
    let is = |o: u32| offset == o;
    let owns = |resource: Field| regs.get::<SW_FW_SYNC>(0).has(resource);
    let enabled = |block: &dyn Fn(u32) -> u32| {
        (0..chip.queues()).any(|q| regs.peek(block(q) + CONTROL) & ENABLE != 0)
    };
    let receives = regs.get::<RCTL>(0).has(RCTL::RXEN);
    let breaks = if is(RCTL::META.offset) {
        let off = receives && !RCTL(value).has(RCTL::RXEN);
        return (off && enabled(&|q| chip.rx_block(q))).then_some(Rule::PathOffBeforeQueues);
    } else if is(TCTL::META.offset) {
        let off = regs.get::<TCTL>(0).has(TCTL::TXEN) && !TCTL(value).has(TCTL::TXEN);
        return (off && enabled(&|q| chip.tx_block(q))).then_some(Rule::PathOffBeforeQueues);
    } else if is(MDIC::META.offset) {
        !owns(SW_FW_SYNC::SW_PHY0)
    } else if is(EERD::META.offset) {
        !owns(SW_FW_SYNC::SW_EEP)
    } else if is(SW_FW_SYNC::META.offset) {
        !regs.get::<SWSM>(0).has(SWSM::SWESMBI)
    } else {
        let tail = matches!(chip.queue_block(offset), Some((_, QueueReg::Tail)));
        let receive = matches!(chip.queue_of(offset), Some(QueueId::Rx(_)));
        let early = tail && receive && value != 0 && !receives;
        return early.then_some(Rule::TailBeforeReceive);
    };
    breaks.then_some(Rule::NotOwned)
}
