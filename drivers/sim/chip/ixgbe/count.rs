//! Where the counters of a step go (82599 datasheet 8.2.3.23).

use crate::drivers::ixgbe::regs::{
    BPRC, BPTC, CRCERRS, FCRTL, GORCL, GOTCL, GPRC, GPTC, LXOFFRXCNT, LXOFFTXC, LXONRXCNT, LXONTXC,
    MPC, MPRC, MPTC, PRC64, PTC64, PTC127, PXOFFRXCNT, PXONRXCNT, QBRC_L, QBTC_L, QPRC, QPRDC,
    QPTC, RFC, RJC, ROC, RUC, RXDGBCL, RXDGPC, RXNFGBCL, RXNFGPC, TORL, TPR, TPT, TXDGBCL, TXDGPC,
    XEC,
};
use crate::drivers::sim::regs::RegFile;
use crate::drivers::sim::stats::Tally;
use crate::mmio::Register;

/// Adds what a step has counted to the statistics registers.
pub(super) fn count(regs: &RegFile, tally: &Tally) {
    let (good, total) = (tally.received(false), tally.received(true));
    regs.count::<TPR>(0, total.0);
    regs.count_wide::<TORL>(0, total.1);
    regs.count::<RXNFGPC>(0, good.0 + tally.missed);
    regs.count_wide::<RXNFGBCL>(0, good.1);
    regs.count::<CRCERRS>(0, tally.damaged.frames + tally.delivered_bad);
    regs.count::<RUC>(0, tally.short.frames);
    regs.count::<ROC>(0, tally.long.frames);
    regs.count::<RFC>(0, tally.fragments.frames);
    regs.count::<RJC>(0, tally.jabbers.frames);
    regs.count::<MPC>(0, tally.missed);
    regs.count::<XEC>(0, tally.checksum_errors);
    // A pause ends with a frame of its own when FCRTL says so.
    let xoff = tally.pauses.0;
    let xon = if regs.get::<FCRTL>(0).has(FCRTL::XONE) { xoff } else { 0 };
    regs.count::<LXOFFTXC>(0, xoff);
    regs.count::<LXONTXC>(0, xon);
    regs.count::<LXOFFRXCNT>(0, tally.pauses.1 + tally.heard.xoff);
    regs.count::<LXONRXCNT>(0, tally.heard.xon);
    regs.count_row::<PXOFFRXCNT, _>(tally.heard.class_xoff);
    regs.count_row::<PXONRXCNT, _>(tally.heard.class_xon);
    let rx = &tally.rx;
    // GPRC counts in front of the packet buffer: what MPC counts is in it.
    regs.count::<GPRC>(0, rx.frames + tally.missed);
    regs.count_wide::<GORCL>(0, rx.octets);
    regs.count::<RXDGPC>(0, rx.frames);
    regs.count_wide::<RXDGBCL>(0, rx.octets);
    regs.count::<MPRC>(0, rx.multicast);
    regs.count::<BPRC>(0, rx.broadcast);
    // Up to 64, 127, 255, 511, 1023 bytes, and longer.
    regs.count_row::<PRC64, _>(rx.bins);
    let tx = &tally.tx;
    // The pause frames that the MAC makes up are in these: multicast, 64 bytes each.
    let pauses = xoff + xon;
    regs.count::<GPTC>(0, tx.frames + pauses);
    regs.count_wide::<GOTCL>(0, tx.octets + pauses * 64);
    regs.count::<TPT>(0, tx.frames + pauses);
    regs.count::<MPTC>(0, tx.multicast + pauses);
    regs.count::<TXDGPC>(0, tx.frames);
    regs.count_wide::<TXDGBCL>(0, tx.octets);
    regs.count::<BPTC>(0, tx.broadcast);
    // Up to 64, 127, 255, 511, 1023 bytes, and longer.
    let [smallest, more @ ..] = tx.bins;
    regs.count::<PTC64>(0, smallest + pauses);
    regs.count_row::<PTC127, _>(more);
    for (n, r, t) in tally.slots() {
        regs.count::<QPRC>(n, r.frames);
        regs.count_wide::<QBRC_L>(n, r.octets);
        regs.count::<QPRDC>(n, r.dropped);
        regs.count::<QPTC>(n, t.frames);
        regs.count_wide::<QBTC_L>(n, t.octets);
    }
}
