//! Where the counters of a step go (82576 datasheet 8.19).

use crate::drivers::igb::regs::{
    BPRC, BPTC, CRCERRS, GORCL, GOTCL, GPRC, GPTC, HGORCL, HGOTCL, HGPTC, MPC, MPRC, MPTC, PRC64,
    PRC127, PRC255, PRC511, PRC1023, PRC1522, PTC64, PTC127, PTC255, PTC511, PTC1023, PTC1522,
    RNBC, ROC, RPTHC, RQDPC, RUC, TORL, TOTL, TPR, TPT, XOFFRXC, XOFFTXC,
};
use crate::drivers::sim::regs::RegFile;
use crate::drivers::sim::stats::Tally;

/// RQDPC has 12 bits and sticks there.
const RQDPC_MAX: u32 = 0xfff;

/// Adds what a step has counted to the statistics registers.
pub(super) fn count(regs: &RegFile, tally: &Tally) {
    let total = tally.received(true);
    regs.count::<TPR>(0, total.0);
    regs.count_wide::<TORL>(0, total.1);
    regs.count::<CRCERRS>(0, tally.damaged.frames + tally.delivered_bad);
    regs.count::<RUC>(0, tally.short.frames);
    regs.count::<ROC>(0, tally.long.frames);
    regs.count::<MPC>(0, tally.missed);
    regs.count::<XOFFTXC>(0, tally.pauses.0);
    regs.count::<XOFFRXC>(0, tally.pauses.1);
    let rx = &tally.rx;
    // Behind the packet buffer: what MPC counts is not in it, what RQDPC counts is.
    regs.count::<GPRC>(0, rx.frames);
    regs.count_wide::<GORCL>(0, rx.octets);
    regs.count::<MPRC>(0, rx.multicast);
    regs.count::<BPRC>(0, rx.broadcast);
    regs.count::<PRC64>(0, rx.bins[0]);
    regs.count::<PRC127>(0, rx.bins[1]);
    regs.count::<PRC255>(0, rx.bins[2]);
    regs.count::<PRC511>(0, rx.bins[3]);
    regs.count::<PRC1023>(0, rx.bins[4]);
    regs.count::<PRC1522>(0, rx.bins[5]);
    let tx = &tally.tx;
    regs.count::<GPTC>(0, tx.frames);
    regs.count_wide::<GOTCL>(0, tx.octets);
    // The pause frames that the MAC makes up are in these: 64 bytes each.
    regs.count::<TPT>(0, tx.frames + tally.pauses.0);
    regs.count_wide::<TOTL>(0, tx.octets + tally.pauses.0 * 64);
    regs.count::<HGPTC>(0, tx.frames);
    regs.count_wide::<HGOTCL>(0, tx.octets);
    regs.count::<MPTC>(0, tx.multicast);
    regs.count::<BPTC>(0, tx.broadcast);
    regs.count::<PTC64>(0, tx.bins[0]);
    regs.count::<PTC127>(0, tx.bins[1]);
    regs.count::<PTC255>(0, tx.bins[2]);
    regs.count::<PTC511>(0, tx.bins[3]);
    regs.count::<PTC1023>(0, tx.bins[4]);
    regs.count::<PTC1522>(0, tx.bins[5]);
    for (n, r, _) in tally.slots() {
        regs.count_to::<RQDPC>(n, r.dropped, RQDPC_MAX);
        regs.count::<RNBC>(0, r.dropped);
        regs.count::<RPTHC>(0, r.frames);
        regs.count_wide::<HGORCL>(0, r.octets);
    }
}
