//! Registers of the I350 that the driver has no use for; sections are those of its datasheet.

crate::registers! {
    /// What stock drivers look at besides.
    pub(super) table REST;

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
