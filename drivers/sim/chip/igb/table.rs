//! Registers that the driver has no use for: what stock drivers and their dumps look at besides.

use super::Variant;
use crate::drivers::sim::regs::Notes;
use crate::mmio::{Access, RegMeta};

crate::registers! {
    /// Those of both chips; sections are those of the 82576's datasheet.
    pub(super) table REST;

    /// Packet buffer allocation of earlier chips; storage.
    PBA @ 0x01000, Rw, reset 0, "8.3"
    /// Packet buffer size of earlier chips; storage.
    PBS @ 0x01008, Rw, reset 0, "8.3"
    /// Head of the transmit FIFO.
    TDFH @ 0x03410, Rw, reset 0, "8.22"
    /// Tail of the transmit FIFO.
    TDFT @ 0x03418, Rw, reset 0, "8.22"
    /// Saved head of the transmit FIFO.
    TDFHS @ 0x03420, Rw, reset 0, "8.22"
    /// Packets in the transmit FIFO.
    TDFPC @ 0x03430, Rw, reset 0, "8.22"
    /// Sequence errors.
    SEC @ 0x04038, Rc, reset 0, "8.19"
    /// Interrupts by the absolute receive timer of earlier chips.
    ICRXATC @ 0x04108, Rc, reset 0, "8.19"
    /// Interrupts by the transmit timer of earlier chips.
    ICTXPTC @ 0x0410C, Rc, reset 0, "8.19"
    /// Interrupts by the absolute transmit timer of earlier chips.
    ICTXATC @ 0x04110, Rc, reset 0, "8.19"
    /// Interrupts by the transmit threshold of earlier chips.
    ICTXQMTC @ 0x0411C, Rc, reset 0, "8.19"
    /// Which addresses wake-up goes by.
    IPAV @ 0x05838, Rw, reset 0, "8.20"
    /// IPv4 addresses for wake-up.
    IP4AT[4; 8] @ 0x05840, Rw, reset 0, "8.20"
    /// IPv6 address for wake-up.
    IP6AT[4; 4] @ 0x05880, Rw, reset 0, "8.20"
    /// Length of the packet that woke the host.
    WUPL @ 0x05900, Ro, reset 0, "8.20"
    /// That packet.
    WUPM[32; 4] @ 0x05A00, Ro, reset 0, "8.20"
    /// Lengths of flexible filters.
    FFLT[4; 8] @ 0x05F00, Rw, reset 0, "8.20"
    /// Masks of flexible filters.
    FFMT[128; 8] @ 0x09000, Rw, reset 0, "8.20"
    /// Values of flexible filters.
    FFVT[128; 8] @ 0x09800, Rw, reset 0, "8.20"
    /// What went wrong with a virtual machine last.
    LVMMC @ 0x03548, Rc, reset 0, "8.14"
    /// Virtual functions' interrupts.
    IOVTCL @ 0x05BBC, Rw, reset 0, "8.14"
}

crate::registers! {
    /// Those of the I350; sections are those of its datasheet.
    pub(super) table REST_I350;

    /// Transmit switch between pools.
    TXSWC @ 0x05ACC, Rw, reset 0, "8.14"
    /// Transmit buffer fill at which coalescing ends.
    DMCTXTH @ 0x03550, Rw, reset 0, "8.25"
    /// When coalescing may enter a low-power state.
    DMCTLX @ 0x02514, Rw, reset 0, "8.25"
    /// Receive rate at which coalescing ends.
    DMCRTRH @ 0x05DD0, Rw, reset 0, "8.25"
    /// Receive rate now.
    DMCCNT @ 0x05DD4, Ro, reset 0, "8.25"
    /// Receive buffer level at which flow control counts while packets are coalesced.
    FCRTC @ 0x02170, Rw, reset 0, "8.25" { RTH_COAL = 4..=17 }
    /// Odds and ends of PCIe.
    PCIEMISC @ 0x05BB8, Rw, reset 0, "8.6" { LX_DECISION = 7 }
    /// What the PHY offers of energy-efficient Ethernet.
    IPCNFG @ 0x00E38, Rw, reset 0, "8.24" { EEE_100M_AN = 2, EEE_1G_AN = 3 }
    /// Energy-efficient Ethernet: low-power idle, and whether it was negotiated.
    EEER @ 0x00E30, Rw, reset 0, "8.24" { TX_LPI_EN = 16, RX_LPI_EN = 17, LPI_FC = 18, EEE_NEG = 29 }
    /// Times of energy-efficient Ethernet.
    EEE_SU @ 0x00E34, Rw, reset 0, "8.24" { LPI_CLK_STP = 23 }
    /// Two-wire bus by bit-banging.
    I2CPARAMS @ 0x0102C, Rw, reset 0, "8.17" {
        BB_EN = 8, CLK_OUT = 9, DATA_OUT = 10, DATA_OE_N = 11, DATA_IN = 12, CLK_OE_N = 13, CLK_IN = 14
    }
    /// Temperature of the chip in degrees Celsius.
    THMJT @ 0x08100, Ro, reset 0x0000_002D, "8.26" { TEMP = 0..=8 }
    /// Low, middle and high threshold of the temperature.
    THLOWTC @ 0x08104, Rw, reset 0x0000_0050, "8.26"
    /// The middle one.
    THMIDTC @ 0x08108, Rw, reset 0x0000_005A, "8.26"
    /// The high one.
    THHIGHTC @ 0x0810C, Rw, reset 0x0000_006E, "8.26"
    /// Which thresholds were passed.
    THSTAT @ 0x08110, Ro, reset 0, "8.26" { LOW_EVENT = 0, MID_EVENT = 1, HIGH_EVENT = 2, PWR_DOWN = 3, LINK_THROTTLE = 4 }
}

/// All that a chip has of them.
pub(super) fn rest(variant: Variant) -> impl Iterator<Item = &'static RegMeta> {
    REST.iter().chain(REST_I350.iter().filter(move |_| variant == Variant::I350))
}

/// But for the two-wire bus they hold what is written, and nothing comes of it.
pub(super) fn notes(variant: Variant) -> Notes {
    let inert = rest(variant).filter(|meta| meta.access == Access::Rw && meta.name != "I2CPARAMS");
    Notes { storage: inert.map(|meta| meta.name).collect(), ..Notes::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::igb::regs;

    /// Neither here nor in the driver's table, and all inside the BAR.
    #[test]
    fn no_register_is_there_twice() {
        let all = regs::table().chain(rest(Variant::I350));
        let all = all.chain(Variant::I350.more());
        let mut at: Vec<_> =
            all.flat_map(|meta| (0..meta.count).map(|n| (meta.offset_of(n), meta.name))).collect();
        at.sort_unstable();
        let twice: Vec<_> = at.windows(2).filter(|w| w[0].0 == w[1].0).collect();
        assert!(twice.is_empty(), "{twice:x?}");
        assert!(at.iter().all(|(at, _)| *at < regs::BAR_LEN && at.is_multiple_of(4)));
    }
}
