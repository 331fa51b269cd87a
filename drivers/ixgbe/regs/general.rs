//! General control, EEPROM, semaphores, PCIe and interrupt registers (8.2.3.1, .2, .4, .5).

crate::registers! {
    /// General control, NVM, PCIe and interrupt registers.
    pub table GENERAL;

    /// Device control: both resets and the PCIe master disable.
    CTRL @ 0x00000, Sc, reset 0, "8.2.3.1.1" { GIO_DIS = 2, LRST = 3, RST = 26 }
    /// Device status.
    STATUS @ 0x00008, Ro, reset 0x0008_0000, "8.2.3.1.2" {
        LAN_ID = 2..=3, LINK_UP = 7, NUM_VFS = 10..=17, IOV_MODE = 18, GIO_MASTER = 19
    }
    /// Extended device control.
    CTRL_EXT @ 0x00018, Rw, reset 0, "8.2.3.1.3" {
        PFRSTD = 14, NS_DIS = 16, RO_DIS = 17, EXTENDED_VLAN = 26, DRV_LOAD = 28
    }
    /// Software-definable pins; with an SFP cage they carry module presence and laser control.
    ESDP @ 0x00020, Rw, reset 0, "8.2.3.1.4" {
        SDP_DATA = 0..=7, SDP_DIR = 8..=15, SDP0_NATIVE = 16, SDP1_NATIVE = 17
    }
    /// Bit-banged I2C bus to the SFP module.
    I2CCTL @ 0x00028, Rw, reset 0, "8.2.3.1.5" {
        CLK_IN = 0, CLK_OUT = 1, DATA_IN = 2, DATA_OUT = 3
    }
    /// Free-running timer.
    FRTIMER @ 0x00048, Ro, reset 0, "8.2.3.18"
    /// TCP timer.
    TCPTIMER @ 0x0004C, Rw, reset 0x0000_0100, "8.2.3.18" {
        DURATION = 0..=7, KICKSTART = 8, COUNT_ENABLE = 9, COUNT_FINISH = 10, LOOP = 11
    }
    /// LED control; defaults come from the EEPROM.
    LEDCTL @ 0x00200, Rw, reset 0x0584_8100, "8.2.3.1.6" {
        LED0_MODE = 0..=3, GLOBAL_BLINK = 5, LED0_IVRT = 6, LED0_BLINK = 7,
        LED1_MODE = 8..=11, LED1_IVRT = 14, LED1_BLINK = 15,
        LED2_MODE = 16..=19, LED2_IVRT = 22, LED2_BLINK = 23,
        LED3_MODE = 24..=27, LED3_IVRT = 30, LED3_BLINK = 31
    }
    /// Outer VLAN EtherType.
    EXVET @ 0x05078, Rw, reset 0x8100_0000, "8.2.3.1.7" { VET_EXT = 16..=31 }

    /// EEPROM and Flash control.
    EEC @ 0x10010, Rw, reset 0x0000_0010, "8.2.3.2.1" {
        SK = 0, CS = 1, DI = 2, DO = 3, FWE = 4..=5, REQ = 6, GNT = 7, PRES = 8, AUTO_RD = 9,
        ADDR_SIZE = 10, SIZE = 11..=14, PCI_ANA_DONE = 15, PCI_CORE_DONE = 16,
        PCI_GENERAL_DONE = 17, PCI_FUNC_DONE = 18, CORE_DONE = 19, CORE_CSR_DONE = 20,
        MAC_DONE = 21
    }
    /// EEPROM read: write START and ADDR, wait for DONE, take DATA.
    EERD @ 0x10014, Sc, reset 0, "8.2.3.2.2" { START = 0, DONE = 1, ADDR = 2..=15, DATA = 16..=31 }
    /// Flash access by bit-banging.
    FLA @ 0x1001C, Rw, reset 0, "8.2.3.2.3" {
        SCK = 0, CE = 1, SI = 2, SO = 3, REQ = 4, GNT = 5, LOCKED = 6, BUSY = 30, ER = 31
    }
    /// Manageability EEPROM control; tells when each port's configuration is loaded.
    EEMNGCTL @ 0x10110, Rw, reset 0, "8.2.3.2.4" { CFG_DONE0 = 18, CFG_DONE1 = 19, DONE = 31 }
    /// General receive control, loaded from the EEPROM.
    GRC @ 0x10200, Rw, reset 0, "8.2.3.2.10" { MNG_EN = 0, APME = 1 }
    /// Releases the shared SRAM to the EEPROM autoload.
    SRAMREL @ 0x10210, Rw, reset 0, "8.2.3.2" { LATCH_PORT0 = 0, LATCH_PORT1 = 1 }

    /// PCIe control.
    GCR @ 0x11000, Rw, reset 0, "8.2.3.4" { CMPL_TMOUT = 12..=15, CMPL_TMOUT_RESEND = 16, CAP_VER2 = 18 }
    /// PCIe control extended.
    GCR_EXT @ 0x11050, Rw, reset 0, "8.2.3.4.12" { VT_MODE = 0..=1, APBACD = 4, BUFFERS_CLEAR = 30, MSIX_EN = 31 }
    /// Function active and power state.
    FACTPS @ 0x10150, Ro, reset 0, "8.2.3.4" {
        FUNC0_POWER = 0..=1, LAN0_VALID = 2, FUNC0_AUX_EN = 3, FUNC1_POWER = 6..=7, LAN1_VALID = 8,
        FUNC1_AUX_EN = 9, MNGCG = 29, LFS = 30, PM_STATE_CHANGED = 31
    }
    /// Revision of the MAC.
    MREVID @ 0x11064, Ro, reset 0, "8.2.3.4" { REV = 0..=7 }
    /// Software semaphore. Reading SMBI as 0 takes it: reads have a side effect.
    SWSM @ 0x10140, Rw, reset 0, "8.2.3.4" { SMBI = 0, SWESMBI = 1, WMNG = 2 }
    /// Firmware semaphore and state.
    FWSM @ 0x10148, Rw, reset 0, "8.2.3.4.10" {
        FWSMBI = 0, FW_MODE = 1..=3, EEP_RELOAD_IND = 6, FW_VAL = 15, RESET_CNT = 16..=18,
        EXT_ERR_IND = 19..=24
    }
    /// Which shared resources software and firmware hold (GSSR).
    SW_FW_SYNC @ 0x10160, Rw, reset 0, "8.2.3.4" {
        SW_EEP = 0, SW_PHY0 = 1, SW_PHY1 = 2, SW_MAC_CSR = 3, SW_FLASH = 4, FW_EEP = 5, FW_PHY0 = 6,
        FW_PHY1 = 7, FW_MAC_CSR = 8, FW_FLASH = 9, REGSMP = 31
    }
    /// DCA requester id.
    DCA_ID @ 0x11070, Ro, reset 0, "8.2.3.11.3" { FUNCTION = 0..=2, DEVICE = 3..=7, BUS = 8..=15 }
    /// DCA control.
    DCA_CTRL @ 0x11074, Rw, reset 0x0000_0001, "8.2.3.11.4" { DIS = 0, MODE = 1..=4 }

    /// Interrupt causes. Reading clears (unless GPIE.OCD), writing ones clears those.
    EICR @ 0x00800, W1c, reset 0, "8.2.3.5.1" {
        RTXQ = 0..=15, FLOW_DIR = 16, RX_MISS = 17, PCI = 18, MAILBOX = 19, LSC = 20, LINKSEC = 21,
        MNG = 22, TS = 23, GPI_SDP0 = 24, GPI_SDP1 = 25, GPI_SDP2 = 26, GPI_SDP3 = 27, PBUR = 28,
        DHER = 29, TCP_TIMER = 30, OTHER = 31
    }
    /// Sets interrupt causes.
    EICS @ 0x00808, Wo, reset 0, "8.2.3.5.2"
    /// Enabled interrupts; writing ones enables those.
    EIMS @ 0x00880, W1s, reset 0, "8.2.3.5.3"
    /// Disables interrupts.
    EIMC @ 0x00888, Wo, reset 0, "8.2.3.5.4"
    /// Causes that clear themselves when their MSI-X message is sent.
    EIAC @ 0x00810, Rw, reset 0, "8.2.3.5.5" { RTXQ = 0..=15, TCP_TIMER = 30 }
    /// Interrupts that are masked when their message is sent.
    EIAM @ 0x00890, Rw, reset 0, "8.2.3.5.6"
    /// EICS for MSI-X vectors 0 to 63.
    EICS_EX[2; 4] @ 0x00A90, Wo, reset 0, "8.2.3.5.7"
    /// EIMS for MSI-X vectors 0 to 63.
    EIMS_EX[2; 4] @ 0x00AA0, W1s, reset 0, "8.2.3.5.8"
    /// EIMC for MSI-X vectors 0 to 63.
    EIMC_EX[2; 4] @ 0x00AB0, Wo, reset 0, "8.2.3.5.9"
    /// EIAM for MSI-X vectors 0 to 63.
    EIAM_EX[2; 4] @ 0x00AD0, Rw, reset 0, "8.2.3.5.10"
    /// Which EITR throttles each MSI-X vector 32 to 63.
    EITRSEL @ 0x00894, Rw, reset 0, "8.2.3.5.11"
    /// Interrupt throttle, vectors 0 to 23; the interval counts in units of 2 us at 10 Gb/s.
    EITR[24; 4] @ 0x00820, Rw, reset 0, "8.2.3.5.12" {
        ITR_INTERVAL = 3..=11, LLI_MODERATION = 15, LLI_CREDIT = 16..=20, ITR_COUNTER = 21..=27,
        CNT_WDIS = 31
    }
    /// Interrupt throttle, vectors 24 to 127.
    EITR_24[104; 4] @ 0x12300, Rw, reset 0, "8.2.3.5.12" {
        ITR_INTERVAL = 3..=11, LLI_MODERATION = 15, LLI_CREDIT = 16..=20, ITR_COUNTER = 21..=27,
        CNT_WDIS = 31
    }
    /// Interrupt vector of RX and TX queues 2n (bytes 0, 1) and 2n + 1 (bytes 2, 3).
    IVAR[64; 4] @ 0x00900, Rw, reset 0, "8.2.3.5" {
        ALLOC0 = 0..=5, VAL0 = 7, ALLOC1 = 8..=13, VAL1 = 15, ALLOC2 = 16..=21, VAL2 = 23,
        ALLOC3 = 24..=29, VAL3 = 31
    }
    /// Interrupt vectors of the TCP timer and of all other causes.
    IVAR_MISC @ 0x00A00, Rw, reset 0, "8.2.3.5" {
        ALLOC0 = 0..=6, VAL0 = 7, ALLOC1 = 8..=14, VAL1 = 15
    }
    /// General-purpose interrupt enable: the interrupt mode.
    GPIE @ 0x00898, Rw, reset 0, "8.2.3.5.18" {
        SDP0_GPIEN = 0, SDP1_GPIEN = 1, SDP2_GPIEN = 2, SDP3_GPIEN = 3, MULTIPLE_MSIX = 4, OCD = 5,
        EIMEN = 6, LLI_INTERVAL = 7..=10, RSC_DELAY = 11..=13, VT_MODE = 14..=15, EIAME = 30,
        PBA_SUPPORT = 31
    }
    /// Clears MSI-X pending bits.
    PBACL[8; 4] @ 0x110C0, W1c, reset 0, "8.2.3.6.3"

    /// Wake-up control.
    WUC @ 0x05800, Rw, reset 0, "8.2.3.24" { PME_EN = 1, PME_STATUS = 2, WKEN = 4 }
    /// Wake-up filters.
    WUFC @ 0x05808, Rw, reset 0, "8.2.3.24" {
        LNKC = 0, MAG = 1, EX = 2, MC = 3, BC = 4, ARP = 5, IPV4 = 6, IPV6 = 7, MNG = 8
    }
    /// Wake-up status.
    WUS @ 0x05810, W1c, reset 0, "8.2.3.24"
}
