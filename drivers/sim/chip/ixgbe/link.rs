//! The link as LINKS shows it (82599 datasheet 8.2.3.22.17).

use crate::drivers::ixgbe::regs::{AUTOC2, LINKS};
use crate::drivers::sim::device::{Device, Slow};
use crate::mmio::Register;

/// LINKS as software sees it now.
pub(super) fn read_links(d: &Device, slow: &mut Slow) -> LINKS {
    let engine = d.engine();
    let disabled = d.regs.get::<AUTOC2>(0).has(AUTOC2::LINK_DISABLE);
    let up = engine.link_up() && !disabled;
    let speed = engine.speed_mbps();
    drop(engine);
    let held = slow.link.look(up);
    let code = match speed {
        10_000.. => 3,
        1_000.. => 2,
        _ => 1,
    };
    let mut links = LINKS(0);
    if up {
        links = links.with(LINKS::LINK_UP, 1).with(LINKS::LINK_SPEED, code);
        if code == 3 {
            links = links
                .with(LINKS::KR_PCS_BLOCK_LOCK, 1)
                .with(LINKS::ALIGN_10G, 1)
                .with(LINKS::MAC_TX_MODE, 3)
                .with(LINKS::MAC_RX_MODE, 3);
        }
    }
    links = links.with(LINKS::LINK_STATUS, held.into());
    d.regs.set(0, links);
    links
}
