//! General, NVM, PCIe, mailbox, manageability and wake-up registers (8.2.3.1, .2, .4, .24 to
//! .27).

crate::registers! {
    /// Towards the host and around the chip.
    pub(in crate::drivers::sim::chip::ixgbe) table HOST;

    /// Causes of mailbox interrupts: messages (even) and acknowledgements (odd) of 16 VFs each.
    PFMBICR[4; 4] @ 0x00710, W1c, reset 0, "8.2.3.27"
    /// Which VFs' mailboxes may interrupt.
    PFMBIMR[2; 4] @ 0x00720, Rw, reset 0, "8.2.3.27"
    /// Resets of VFs 0 to 31.
    PFVFLRE0 @ 0x00600, Ro, reset 0, "8.2.3.27"
    /// Resets of VFs 32 to 63.
    PFVFLRE1 @ 0x001C0, Ro, reset 0, "8.2.3.27"
    /// Clears what PFVFLRE0 and PFVFLRE1 show.
    PFVFLREC[2; 4] @ 0x00700, W1c, reset 0, "8.2.3.27"

    /// EEPROM write: address and data, like EERD.
    EEWR @ 0x10018, Sc, reset 0x0000_0002, "8.2.3.2" { START = 0, DONE = 1, ADDR = 2..=15, DATA = 16..=31 }
    /// The manageability's EEPROM data.
    EEMNGDATA @ 0x10114, Ro, reset 0, "8.2.3.2.5"
    /// The manageability's Flash control.
    FLMNGCTL @ 0x10118, Ro, reset 0, "8.2.3.2.6"
    /// The manageability's Flash data.
    FLMNGDATA @ 0x1011C, Ro, reset 0, "8.2.3.2.7"
    /// The manageability's Flash counter.
    FLMNGCNT @ 0x10120, Ro, reset 0, "8.2.3.2"
    /// Operation codes of the Flash part.
    FLOP @ 0x1013C, Rw, reset 0, "8.2.3.2.8"
    /// Vital product data, as loaded.
    VPDDIAG0 @ 0x10204, Ro, reset 0, "8.2.3.2"
    /// Vital product data, as loaded.
    VPDDIAG1 @ 0x10208, Ro, reset 0, "8.2.3.2"

    /// PCIe timer value.
    GTV @ 0x11004, Rw, reset 0, "8.2.3.4"
    /// Function and tag of a request.
    FUNCTAG @ 0x11008, Ro, reset 0, "8.2.3.4"
    /// PCIe latency timer.
    GLT @ 0x1100C, Rw, reset 0, "8.2.3.4"
    /// PCIe statistic control 1 to 4.
    GSCL_1[4; 4] @ 0x11010, Rw, reset 0, "8.2.3.4.2"
    /// PCIe statistic counters.
    GSCN_0[4; 4] @ 0x11020, Ro, reset 0, "8.2.3.4.4"
    /// PCIe statistic control 5 to 8.
    GSCL_5[4; 4] @ 0x11030, Rw, reset 0, "8.2.3.4.3"
    /// Address of a PCIe PHY register.
    PHYADR @ 0x11040, Rw, reset 0, "8.2.3.4"
    /// Data of a PCIe PHY register.
    PHYDAT @ 0x11044, Rw, reset 0, "8.2.3.4"
    /// PCIe PHY control.
    PHYCTL @ 0x11048, Rw, reset 0, "8.2.3.4"
    /// MSI-X pending bits of vectors 0 to 31, second place.
    PBACLR @ 0x11068, W1c, reset 0, "8.2.3.6.3"
    /// PCIe error counters.
    PCIEECCCTL @ 0x1106C, Rw, reset 0, "8.2.3.4"
    /// Configuration space access: address.
    CIAA @ 0x11088, Rw, reset 0, "8.2.3.4"
    /// Configuration space access: data.
    CIAD @ 0x1108C, Rw, reset 0, "8.2.3.4"
    /// PCIe diagnosis.
    PCIE_DIAG[8; 4] @ 0x11090, Ro, reset 0, "8.2.3.4"
    /// Causes of PCIe interrupts, each cleared by a one.
    PICAUSE @ 0x110B0, W1c, reset 0, "8.2.3.4" { CA = 0, UA = 1, BE = 2, TO = 3, BMEF = 4 }
    /// Debug queue.
    CDQ_MBR @ 0x110B4, Rw, reset 0, "8.2.3.4"
    /// Which PCIe causes interrupt.
    PIENA @ 0x110B8, Rw, reset 0, "8.2.3.4"
    /// Spare.
    PCIESPARE @ 0x110BC, Rw, reset 0, "8.2.3.4"
    /// PCIe ECC status.
    ECC_STATUS @ 0x110E0, Ro, reset 0, "8.2.3.4"
    /// Miscellaneous PCIe.
    MISC_REG @ 0x110F0, Rw, reset 0, "8.2.3.4"
    /// Sizes of the BARs, from the EEPROM.
    BAR_CTRL @ 0x110F4, Ro, reset 0, "8.2.3.4"
    /// PCIe ECC control.
    ECC_CTRL[2; 4] @ 0x11100, Rw, reset 0, "8.2.3.4"

    /// Mailboxes of the PF, one a VF.
    PFMAILBOX[64; 4] @ 0x04B00, Rw, reset 0, "8.2.3.27"
    /// Memory of the mailboxes, 16 words each.
    PFMBMEM[1024; 4] @ 0x13000, Rw, reset 0, "8.2.3.27"

    /// Wake-up: which IP addresses are valid.
    IPAV @ 0x05838, Rw, reset 0, "8.2.3.24.3"
    /// Wake-up: IPv4 addresses, every other word.
    IP4AT[4; 8] @ 0x05840, Rw, reset 0, "8.2.3.24.4"
    /// Wake-up: an IPv6 address.
    IP6AT[4; 4] @ 0x05880, Rw, reset 0, "8.2.3.24.5"
    /// Length of the packet that woke the system.
    WUPL @ 0x05900, Ro, reset 0, "8.2.3.24.6"
    /// The packet that woke the system.
    WUPM[32; 4] @ 0x05A00, Ro, reset 0, "8.2.3.24.7"
    /// Flexible wake-up filters.
    FHFT[256; 4] @ 0x09000, Rw, reset 0, "8.2.3.24.8"
    /// More of them.
    FHFT_EXT[128; 4] @ 0x09800, Rw, reset 0, "8.2.3.24.8"

    /// Manageability: VLAN tags.
    MAVTV[8; 4] @ 0x05010, Ro, reset 0, "8.2.3.25.1"
    /// Manageability: UDP and TCP ports.
    MFUTP[8; 4] @ 0x05030, Ro, reset 0, "8.2.3.25.2"
    /// Manageability: EtherTypes.
    METF[4; 4] @ 0x05190, Ro, reset 0, "8.2.3.25.3"
    /// Manageability control: none is at work here.
    MANC @ 0x05820, Ro, reset 0, "8.2.3.25.4" { RCV_TCO_EN = 17 }
    /// Manageability: which filters are valid.
    MFVAL @ 0x05824, Ro, reset 0, "8.2.3.25.5"
    /// Manageability: what goes to the host, too.
    MANC2H @ 0x05860, Ro, reset 0, "8.2.3.25.6"
    /// Manageability: decisions.
    MDEF[8; 4] @ 0x05890, Ro, reset 0, "8.2.3.25.7"
    /// Manageability: more decisions.
    MDEF_EXT[8; 4] @ 0x05160, Ro, reset 0, "8.2.3.25.8"
    /// Manageability: IP addresses.
    MIPAF[16; 4] @ 0x058B0, Ro, reset 0, "8.2.3.25.10"
    /// Manageability: MAC addresses, low halves.
    MMAL[4; 8] @ 0x05910, Ro, reset 0, "8.2.3.25.11"
    /// Manageability: MAC addresses, high halves.
    MMAH[4; 8] @ 0x05914, Ro, reset 0, "8.2.3.25.12"
    /// Manageability: a flexible filter.
    FTFT[256; 4] @ 0x09400, Ro, reset 0, "8.2.3.25.13"
    /// LinkSec: who owns it.
    LSWFW @ 0x15014, Ro, reset 0, "8.2.3.25.14"
    /// Commands to the firmware: it takes none here.
    HICR @ 0x15F00, Ro, reset 0, "8.2.3.25" { EN = 0, C = 1, SV = 2 }
    /// Firmware's status.
    FWSTS @ 0x15F0C, Ro, reset 0, "8.2.3.25"
    /// Memory for commands to the firmware.
    FLEX_MNG[448; 4] @ 0x15800, Ro, reset 0, "8.2.3.25"
}
