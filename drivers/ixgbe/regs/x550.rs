//! Registers that X540 and X550 have elsewhere or in addition (Intel's public drivers).

crate::registers! {
    /// What X540 and X550 add to or move in the 82599's table.
    pub table X550;

    /// EEPROM control of the X550EM_a (X553).
    EEC_A @ 0x15FF8, Rw, reset 0, "8.2.3.2.1 (X550EM_a)" { PRES = 8, AUTO_RD = 9 }
    /// Software semaphore of the X550EM_a.
    SWSM_A @ 0x15F70, Rw, reset 0, "8.2.3.4 (X550EM_a)" { SMBI = 0, SWESMBI = 1 }
    /// Firmware semaphore of the X550EM_a.
    FWSM_A @ 0x15F74, Rw, reset 0, "8.2.3.4 (X550EM_a)" { FW_MODE = 1..=3, FW_VAL = 15 }
    /// Shared-resource semaphore of the X550EM_a.
    SW_FW_SYNC_A @ 0x15F78, Rw, reset 0, "8.2.3.4 (X550EM_a)" { REGSMP = 31 }
    /// RSS redirection entries 128 to 511 of the X550.
    ERETA[96; 4] @ 0x0EE80, Rw, reset 0, "8.2.3.7.15 (X550)"
    /// UDP ports of tunnels.
    VXLANCTRL @ 0x0507C, Rw, reset 0, "8.2.3.7 (X550)" { VXLAN = 0..=15, GENEVE = 16..=31 }
    /// Frames that the BMC sent to the host.
    B2OSPC @ 0x041C0, Rc, reset 0, "8.2.3.23 (X540)"
    /// Frames of the BMC that the host received.
    B2OGPRC @ 0x02F90, Rc, reset 0, "8.2.3.23 (X540)"
    /// Frames of the host that the BMC received.
    O2BGPTC @ 0x041C4, Rc, reset 0, "8.2.3.23 (X540)"
    /// Frames that the host sent to the BMC.
    O2BSPC @ 0x087B0, Rc, reset 0, "8.2.3.23 (X540)"
    /// Memory of the host interface, which commands to the firmware and its answers are in.
    FLEX_MNG[448; 4] @ 0x15800, Rw, reset 0, "8.2.3.26 (X540)"
    /// Control of the host interface: C tells the firmware of a command and clears when it is done.
    HICR @ 0x15F00, Sc, reset 0x0000_0001, "8.2.3.26 (X540)" {
        EN = 0, C = 1, SV = 2, FWR_EN = 6, FWR = 7
    }
    /// What has happened to the firmware.
    FWSTS @ 0x15F0C, W1c, reset 0, "8.2.3.26 (X540)" { FWRI = 9 }
}
