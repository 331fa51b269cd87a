//! The filters that choose a receive queue, as the registers have them (82599 datasheet 8.2.3.7,
//! 8.2.3.22).

use crate::drivers::ixgbe::regs::{DAQF, SDPQF};
use crate::drivers::ixgbe::regs::{EICR, ETQF, ETQS, FDIRCTRL, FTQF, L34TIMIR, SAQF, SYNQF};
use crate::drivers::sim::common::QUICK;
use crate::drivers::sim::device::{Device, Slow};
use crate::drivers::sim::later::Effect;
use crate::drivers::sim::regs::RegFile;
use crate::drivers::sim::steer::{
    EtherFilter, Masks, Protocol, Settings, Steering, SynFilter, Tuple, TupleFilter, by_priority,
};
use crate::mmio::Register;

crate::registers! {
    /// Flow Director. Its registers have no side effects but those told in [`read`] and [`write`].
    pub(super) table DIRECTOR;

    /// A filter's IPv6 source, all but the last word.
    FDIRSIPV6[3; 4] @ 0x0EE0C, Rw, reset 0, "8.2.3.22"
    /// A filter's IPv4 source, or the last word of an IPv6 one, in network order.
    FDIRIPSA @ 0x0EE18, Rw, reset 0, "8.2.3.22"
    /// A filter's IPv4 destination.
    FDIRIPDA @ 0x0EE1C, Rw, reset 0, "8.2.3.22"
    /// A filter's ports.
    FDIRPORT @ 0x0EE20, Rw, reset 0, "8.2.3.22"
    /// A filter's VLAN tag and flexible bytes.
    FDIRVLAN @ 0x0EE24, Rw, reset 0, "8.2.3.22"
    /// A filter's hash, and its signature or index.
    FDIRHASH @ 0x0EE28, Rw, reset 0, "8.2.3.22"
    /// What to do with a filter, and what it does.
    FDIRCMD @ 0x0EE2C, Rw, reset 0, "8.2.3.22"
    /// Free and collided filters.
    FDIRFREE @ 0x0EE38, Ro, reset 0, "8.2.3.22"
    /// Mask of IPv4 destinations.
    FDIRDIP4M @ 0x0EE3C, Rw, reset 0, "8.2.3.22"
    /// Mask of IPv4 sources.
    FDIRSIP4M @ 0x0EE40, Rw, reset 0, "8.2.3.22"
    /// Mask of TCP ports.
    FDIRTCPM @ 0x0EE44, Rw, reset 0, "8.2.3.22"
    /// Mask of UDP ports.
    FDIRUDPM @ 0x0EE48, Rw, reset 0, "8.2.3.22"
    /// The longest list.
    FDIRLEN @ 0x0EE4C, Rc, reset 0, "8.2.3.22"
    /// Filters added and removed.
    FDIRUSTAT @ 0x0EE50, Rc, reset 0, "8.2.3.22"
    /// Filters that could not be added or removed.
    FDIRFSTAT @ 0x0EE54, Rc, reset 0, "8.2.3.22"
    /// Packets that matched a filter.
    FDIRMATCH @ 0x0EE58, Rc, reset 0, "8.2.3.22"
    /// Packets that could have.
    FDIRMISS @ 0x0EE5C, Rc, reset 0, "8.2.3.22"
    /// Key of the hash that finds a list.
    FDIRHKEY @ 0x0EE68, Rw, reset 0, "8.2.3.22"
    /// Key of the hash that is the signature.
    FDIRSKEY @ 0x0EE6C, Rw, reset 0, "8.2.3.22"
    /// What is not compared at all.
    FDIRM @ 0x0EE70, Rw, reset 0, "8.2.3.22"
    /// Mask of IPv6 addresses.
    FDIRIP6M @ 0x0EE74, Rw, reset 0, "8.2.3.22"
    /// Mask of SCTP ports.
    FDIRSCTPM @ 0x0EE78, Rw, reset 0, "8.2.3.22"
}

const CTRL: u32 = FDIRCTRL::META.offset;
const SIPV6: u32 = FDIRSIPV6::META.offset;
const CMD: u32 = FDIRCMD::META.offset;
const FREE: u32 = FDIRFREE::META.offset;
const LEN: u32 = FDIRLEN::META.offset;
const MISS: u32 = FDIRMISS::META.offset;
/// All of them.
const BLOCK: std::ops::Range<u32> = CTRL..FDIRSCTPM::META.offset + 4;

/// The station's own IPv6 address, from the wake-up filters (8.2.3.24).
const IP6AT: u32 = 0x5880;

/// FDIRM: what is not compared.
const M_VLANID: u32 = 1 << 0;
const M_VLANP: u32 = 1 << 1;
const M_L4P: u32 = 1 << 3;
const M_FLEX: u32 = 1 << 4;
const M_DIPV6: u32 = 1 << 5;

/// Registers of the table itself.
pub(super) fn read(d: &Device, offset: u32) -> Option<u32> {
    match offset {
        FREE => Some(d.engine().rx.director.room()),
        LEN..=MISS => Some(d.engine().rx.director.take_counter((offset - LEN) / 4)),
        _ if BLOCK.contains(&offset) => Some(d.regs.peek(offset)),
        _ => None,
    }
}

/// A write to one of Flow Director's registers. False: it is another's.
pub(super) fn write(d: &Device, slow: &mut Slow, offset: u32, value: u32) -> bool {
    match offset {
        _ if !BLOCK.contains(&offset) => return false,
        CTRL => {
            let done = FDIRCTRL::INIT_DONE.mask();
            let mut engine = d.engine();
            d.regs.poke(CTRL, value & !done);
            engine.rx.director.start(settings(&d.regs));
            d.changed();
            drop(engine);
            d.after(slow, QUICK, CTRL, 0, done, Effect::DataPath);
        }
        CMD => command(d, value),
        FREE | LEN..=MISS => {}
        _ => {
            d.regs.poke(offset, value);
            if offset > CMD {
                d.engine().rx.director.set(settings(&d.regs));
            }
        }
    }
    true
}

/// Carries a command out; it is done at once.
fn command(d: &Device, value: u32) {
    let regs = &d.regs;
    let words = |from: u32| std::array::from_fn(|n| regs.peek(from + 4 * n as u32).swap_bytes());
    let v6 = value >> 7 & 1 != 0;
    let mut flow = Tuple { source: words(SIPV6), ..Tuple::default() };
    if !v6 {
        flow.source = [regs.peek(FDIRIPSA::META.offset).swap_bytes(), 0, 0, 0];
        flow.destination[0] = regs.peek(FDIRIPDA::META.offset).swap_bytes();
    }
    let (ports, vlan) = (regs.peek(FDIRPORT::META.offset), regs.peek(FDIRVLAN::META.offset));
    flow.ports = [ports as u16, (ports >> 16) as u16];
    flow.vlan = vlan as u16 & 0xefff;
    flow.flex = ((vlan >> 16) as u16).swap_bytes();
    let answer = d.engine().rx.director.command(value, regs.peek(FDIRHASH::META.offset), flow);
    regs.poke(FDIRHASH::META.offset, answer.hash);
    regs.poke(CMD, answer.command);
    if let Some(flow) = answer.flow {
        show(regs, &flow);
    }
    if answer.nearly_full {
        d.change_causes(|regs| regs.change(EICR::META.offset, 0, EICR::FLOW_DIR.mask()));
    }
}

/// The flow of a filter that was asked for.
fn show(regs: &RegFile, flow: &Tuple) {
    if flow.kind & 4 != 0 {
        for (offset, word) in (SIPV6..).step_by(4).zip(flow.source) {
            regs.poke(offset, word.swap_bytes());
        }
    } else {
        regs.poke(FDIRIPSA::META.offset, flow.source[0].swap_bytes());
        regs.poke(FDIRIPDA::META.offset, flow.destination[0].swap_bytes());
    }
    let [source, destination] = flow.ports.map(u32::from);
    regs.poke(FDIRPORT::META.offset, destination << 16 | source);
    regs.poke(
        FDIRVLAN::META.offset,
        u32::from(flow.flex.swap_bytes()) << 16 | u32::from(flow.vlan),
    );
}

fn settings(regs: &RegFile) -> Settings {
    Settings {
        control: regs.peek(CTRL),
        keys: [regs.peek(FDIRHKEY::META.offset), regs.peek(FDIRSKEY::META.offset)],
        masks: masks(regs),
    }
}

/// In the registers a bit that is set is not compared.
fn masks(regs: &RegFile) -> Masks {
    let m = regs.peek(FDIRM::META.offset);
    let off = |bit: u32, mask: u16| if m & bit != 0 { 0 } else { mask };
    // The destination's mask is above the source's; each has its bits in the other order.
    let ports = |register: u32| {
        [register as u16, (register >> 16) as u16].map(|half| (!half).reverse_bits())
    };
    // One bit for each byte, the first byte's the lowest.
    let v6 = regs.peek(FDIRIP6M::META.offset);
    let words = |bits: u32| {
        std::array::from_fn(|word| {
            u32::from_be_bytes(std::array::from_fn(|byte| {
                if bits >> (4 * word + byte) & 1 != 0 { 0 } else { 0xff }
            }))
        })
    };
    let tcp = regs.peek(FDIRTCPM::META.offset);
    Masks {
        vlan: off(M_VLANID, 0x0fff) | off(M_VLANP, 0xe000),
        l4: m & M_L4P == 0,
        flex: m & M_FLEX == 0,
        v6_match: m & M_DIPV6 == 0,
        v4: [FDIRSIP4M::META, FDIRDIP4M::META].map(|meta| !regs.peek(meta.offset).swap_bytes()),
        v6: [words(v6), words(v6 >> 16)],
        // SCTP has a mask of its own only in the X550, and TCP's in the others.
        ports: [
            [0, 0],
            ports(regs.peek(FDIRUDPM::META.offset)),
            ports(tcp),
            ports(tcp | regs.peek(FDIRSCTPM::META.offset)),
        ],
    }
}

/// The filters in use, if any are.
pub(super) fn decode(regs: &RegFile) -> Steering {
    let fdir = regs.get::<FDIRCTRL>(0);
    Steering {
        ethertypes: (0..ETQF::META.count).filter_map(|n| ethertype(regs, n)).collect(),
        syn: syn(regs.get::<SYNQF>(0)),
        director: fdir.has(FDIRCTRL::INIT_DONE) && fdir.get(FDIRCTRL::PBALLOC) != 0,
        own: std::array::from_fn(|n| regs.peek(IP6AT + 4 * n as u32).swap_bytes()),
        tuples: by_priority((0..FTQF::META.count).filter_map(|n| tuple(regs, n))),
    }
}

fn ethertype(regs: &RegFile, n: u32) -> Option<EtherFilter> {
    let (filter, to) = (regs.get::<ETQF>(n), regs.get::<ETQS>(n));
    filter.has(ETQF::FILTER_EN).then(|| EtherFilter {
        number: n as u16,
        ethertype: filter.get(ETQF::ETYPE) as u16,
        priority: filter.has(ETQF::UP_EN).then(|| filter.get(ETQF::UP) as u8),
        queue: to.has(ETQS::QUEUE_EN).then(|| to.get(ETQS::RX_QUEUE) as u8),
    })
}

fn syn(filter: SYNQF) -> Option<SynFilter> {
    filter.has(SYNQF::QUEUE_ENABLE).then(|| SynFilter {
        queue: filter.get(SYNQF::RX_QUEUE) as u8,
        first: filter.has(SYNQF::SYNQFP),
    })
}

/// FTQF.PROTOCOL.
const PROTOCOLS: [Protocol; 4] =
    [Protocol::Is(6), Protocol::Is(17), Protocol::Is(132), Protocol::Other];

fn tuple(regs: &RegFile, n: u32) -> Option<TupleFilter> {
    let filter = regs.get::<FTQF>(n);
    if !filter.has(FTQF::QUEUE_ENABLE) {
        return None;
    }
    let [a, b, c, d] = regs.get::<SDPQF>(n).raw().to_le_bytes();
    let compared = |bit: u32| filter.get(FTQF::MASK) >> bit & 1 == 0;
    Some(TupleFilter {
        priority: filter.get(FTQF::PRIORITY) as u8,
        source: compared(0).then(|| regs.get::<SAQF>(n).raw().to_le_bytes()),
        destination: compared(1).then(|| regs.get::<DAQF>(n).raw().to_le_bytes()),
        source_port: compared(2).then_some([a, b]),
        destination_port: compared(3).then_some([c, d]),
        protocol: compared(4).then(|| PROTOCOLS[filter.get(FTQF::PROTOCOL) as usize & 3]),
        flags: 0,
        any_ip: false,
        queue: regs.get::<L34TIMIR>(n).get(L34TIMIR::RX_QUEUE) as u8,
    })
}
