//! Where the counters of a step go (82576 datasheet 8.19).

use crate::drivers::igb::regs::{
    BPRC, BPTC, CRCERRS, FCRTL, FCRUC, GORCL, GOTCL, GPRC, GPTC, HGORCL, HGOTCL, HGPTC, MPC, MPRC,
    MPTC, PRC64, PTC64, RFC, RJC, RLEC, RNBC, ROC, RPTHC, RQDPC, RUC, TORL, TOTL, TPR, TPT, TSCTC,
    XOFFRXC, XOFFTXC, XONRXC, XONTXC,
};
use crate::drivers::sim::regs::RegFile;
use crate::drivers::sim::stats::Tally;
use crate::mmio::Register;

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
    regs.count::<RFC>(0, tally.fragments.frames);
    regs.count::<RJC>(0, tally.jabbers.frames);
    // Every frame of a wrong length is in this one, whatever else has counted it.
    let odd = [tally.short, tally.long, tally.fragments, tally.jabbers];
    regs.count::<RLEC>(0, odd.iter().map(|count| count.frames).sum());
    regs.count::<MPC>(0, tally.missed);
    // A pause ends with a frame of its own when FCRTL says so.
    let xoff = tally.pauses.0;
    let xon = if regs.get::<FCRTL>(0).has(FCRTL::XONE) { xoff } else { 0 };
    regs.count::<XOFFTXC>(0, xoff);
    regs.count::<XONTXC>(0, xon);
    regs.count::<XOFFRXC>(0, tally.pauses.1 + tally.heard.xoff);
    regs.count::<XONRXC>(0, tally.heard.xon);
    regs.count::<FCRUC>(0, tally.heard.unknown);
    let rx = &tally.rx;
    // Behind the packet buffer: what MPC counts is not in it, what RQDPC counts is.
    regs.count::<GPRC>(0, rx.frames);
    regs.count_wide::<GORCL>(0, rx.octets);
    regs.count::<MPRC>(0, rx.multicast);
    regs.count::<BPRC>(0, rx.broadcast);
    // Up to 64, 127, 255, 511, 1023 bytes, and longer.
    regs.count_row::<PRC64, _>(rx.bins);
    let tx = &tally.tx;
    regs.count::<GPTC>(0, tx.frames);
    regs.count_wide::<GOTCL>(0, tx.octets);
    // The pause frames that the MAC makes up are in these: 64 bytes each.
    regs.count::<TPT>(0, tx.frames + xoff + xon);
    regs.count_wide::<TOTL>(0, tx.octets + (xoff + xon) * 64);
    regs.count::<HGPTC>(0, tx.frames);
    regs.count_wide::<HGOTCL>(0, tx.octets);
    regs.count::<MPTC>(0, tx.multicast);
    regs.count::<BPTC>(0, tx.broadcast);
    regs.count::<TSCTC>(0, tally.segmented);
    // Up to 64, 127, 255, 511, 1023 bytes, and longer.
    regs.count_row::<PTC64, _>(tx.bins);
    for (n, r, _) in tally.slots() {
        regs.count_to::<RQDPC>(n, r.dropped, RQDPC_MAX);
        regs.count::<RNBC>(0, r.dropped);
        regs.count::<RPTHC>(0, r.frames);
        regs.count_wide::<HGORCL>(0, r.octets);
    }
}
