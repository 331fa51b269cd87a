//! Places where the 82598 had registers and this chip has none of its own: what reads them finds
//! zeros. Most dumps do (Intel's public drivers).

crate::registers! {
    /// The 82598's.
    pub(super) table EARLY;

    /// MSI-X pending bits; they have a BAR of their own since.
    MSIXPBA @ 0x02000, Ro, reset 0, "8.2.3.6"
    /// DCA of transmit queues 0 to 15.
    DCA_TXCTRL_98[16; 4] @ 0x07200, Ro, reset 0, "8.2.3.11"
    /// Transmit DMA: statistics.
    TDSTAT[8; 4] @ 0x07C00, Ro, reset 0, "8.2.3.9"
    /// Transmit DMA: control of the statistics.
    TDSTATCTL @ 0x07C20, Ro, reset 0, "8.2.3.9"
    /// Transmit DMA: memory pointer.
    TDHMPN @ 0x07F08, Ro, reset 0, "8.2.3.9"
    /// Transmit DMA: state of interrupts.
    TIC_DW[4; 4] @ 0x07F10, Ro, reset 0, "8.2.3.9"
    /// Debug of the transmit DMA.
    TDPROBE @ 0x07F20, Ro, reset 0, "8.2.3.9"
    /// Priority XON frames received.
    PXONRXC[8; 4] @ 0x0CF00, Ro, reset 0, "8.2.3.23"
    /// Priority XOFF frames received.
    PXOFFRXC[8; 4] @ 0x0CF20, Ro, reset 0, "8.2.3.23"
    /// Link XON frames received.
    LXONRXC @ 0x0CF60, Ro, reset 0, "8.2.3.23"
    /// Link XOFF frames received.
    LXOFFRXC @ 0x0CF68, Ro, reset 0, "8.2.3.23"
}
