//! What 82580, I350, I354, I210 and I211 have that the 82576 has not, or has elsewhere.

crate::registers! {
    /// Registers of the later chips; sections are those of the I350 datasheet.
    pub table LATER;

    /// Where MDIC goes: the on-chip PHY, or pins.
    MDICNFG @ 0x00E04, Rw, reset 0, "8.2.5" { PHYADD = 21..=25, COM_MDIO = 30, EXT_MDIO = 31 }
    /// PHY power management: GO_LINKD keeps the link down.
    PHPM @ 0x00E14, Rw, reset 0, "8.2" { SPD_EN = 0, D0_LPLU = 1, LPLU = 2, GO_LINKD = 5 }
    /// DMA coalescing: packets and descriptors wait on chip so that the bus can sleep.
    DMACR @ 0x02508, Rw, reset 0, "8.25" { DMAC_EN = 31 }
    /// EEMNGCTL of I210 and I211.
    EEMNGCTL_I21X @ 0x12030, Rw, reset 0, "8.4" { CFG_DONE0 = 18 }
    /// On-chip fuses of I210 and I211, as 32-bit words.
    INVM_DATA[64; 4] @ 0x12120, Ro, reset 0, "8.4"
    /// Receive address, bytes 0 to 3, of the I350's entries 24 to 31.
    RAL_24[8; 8] @ 0x05520, Rw, reset 0, "8.10"
    /// Receive address, bytes 4 and 5, of the I350's entries 24 to 31.
    RAH_24[8; 8] @ 0x05524, Rw, reset 0, "8.10" { ADDR = 0..=15, AV = 31 }
    /// CRC and VLAN strip by queue of the I350.
    DVMOLR[8; 0x40] @ 0x0C038, Rw, reset 0x8000_0000, "8.14" { HIDEVLAN = 29, STRVLAN = 30, STRCRC = 31 }
    /// How the transmit queues of an I210 take turns: MODE is time-aware.
    TQAVCTRL @ 0x03570, Rw, reset 0, "8.12" { MODE = 0 }
    /// Largest packet that the transmit DMA takes, in units of 64 bytes (I210).
    DTXMXPKTSZ @ 0x0355C, Rw, reset 0x0000_0098, "8.12" { MAX_TPKT_SIZE = 0..=8 }
}
