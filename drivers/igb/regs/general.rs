//! General control, packet buffers, NVM, PCIe, semaphores, DCA, wake-up (8.2, 8.3, 8.4, 8.6, 8.7,
//! 8.13, 8.15, 8.20).

crate::registers! {
    /// General control, NVM, PCIe and semaphore registers.
    pub table GENERAL;

    /// Device control: reset, PCIe master disable, link and pause modes, VLAN strip.
    CTRL @ 0x00000, Sc, reset 0x0010_0201, "8.2.1" {
        FD = 0, GIO_DIS = 2, LRST = 3, SLU = 6, ILOS = 7, SPEED = 8..=9, FRCSPD = 11, FRCDPLX = 12,
        SDP0_GPIEN = 16, SDP1_GPIEN = 17, SDP0_DATA = 18, SDP1_DATA = 19, ADVD3WUC = 20,
        SDP0_IODIR = 22, SDP1_IODIR = 23, RST = 26, RFCE = 27, TFCE = 28, VME = 30, PHY_RST = 31
    }
    /// CTRL, second place.
    CTRL_ALIAS @ 0x00004, Sc, reset 0x0010_0201, "8.2.1"
    /// Device status: link, port, requests pending.
    STATUS @ 0x00008, Ro, reset 0x8008_0481, "8.2.2" {
        FD = 0, LU = 1, LAN_ID = 2..=3, TXOFF = 4, SPEED = 6..=7, ASDV = 8..=9, PHYRA = 10,
        SKU_2500 = 12, SKU_2500_OVER = 13, NUM_VFS = 14..=17, IOV_MODE = 18, GIO_MASTER = 19, DEV_RST_SET = 20, PF_RST_DONE = 21,
        DMA_CLK_GATE = 31
    }
    /// Extended device control: link mode, driver loaded, pins.
    CTRL_EXT @ 0x00018, Rw, reset 0x0010_0000, "8.2.3" {
        SDP2_GPIEN = 2, SDP3_GPIEN = 3, SDP2_DATA = 6, SDP3_DATA = 7, SDP2_IODIR = 10,
        SDP3_IODIR = 11, ASDCHK = 12, EE_RST = 13, PFRSTD = 14, SPD_BYPS = 15, NS_DIS = 16,
        RO_DIS = 17, SERDES_LOW_POWER = 18, PHY_POWER_DOWN_EN = 20, LINK_MODE = 22..=23,
        EIAME = 24, I2C_ENABLED = 25, EXT_VLAN = 26, DRV_LOAD = 28
    }
    /// PHY register access: command and data.
    MDIC @ 0x00020, Rw, reset 0, "8.2.4" {
        DATA = 0..=15, REGADD = 16..=20, PHYADD = 21..=25, OP = 26..=27, READY = 28, INT_EN = 29,
        ERROR = 30, DEST = 31
    }
    /// SerDes analog access; loopback control.
    SERDESCTL @ 0x00024, Rw, reset 0, "8.2.5" { DATA = 0..=7, ADDRESS = 8..=15, DONE = 31 }
    /// Copper or fibre switch.
    CONNSW @ 0x00034, Rw, reset 0, "8.2.6" {
        AUTOSENSE_EN = 0, AUTOSENSE_CONF = 1, ENRGSRC = 2, SERDESD = 9, PHYSD = 10, PHY_PDN = 11
    }
    /// VLAN EtherTypes.
    VET @ 0x00038, Rw, reset 0x8100_8100, "8.2.7" { VET = 0..=15, VET_EXT = 16..=31 }
    /// LED control; defaults come from the NVM.
    LEDCTL @ 0x00E00, Rw, reset 0x0706_8302, "8.2.8" {
        LED0_MODE = 0..=3, GLOBAL_BLINK = 5, LED0_IVRT = 6, LED0_BLINK = 7, LED1_MODE = 8..=11,
        LED1_IVRT = 14, LED1_BLINK = 15, LED2_MODE = 16..=19, LED2_IVRT = 22, LED2_BLINK = 23,
        LED3_MODE = 24..=27, LED3_IVRT = 30, LED3_BLINK = 31
    }

    /// Receive packet buffer size in KiB.
    RXPBS @ 0x02404, Rw, reset 0x0000_0040, "8.3.1" { SIZE = 0..=6 }
    /// Transmit packet buffer size in KiB.
    TXPBS @ 0x03404, Rw, reset 0x0000_0028, "8.3.2" { SIZE = 0..=5 }
    /// Switch packet buffer size in KiB.
    SWPBS @ 0x03004, Rw, reset 0x0000_0014, "8.3.3" { SIZE = 0..=4 }

    /// EEPROM and flash control.
    EECD @ 0x00010, Rw, reset 0x0000_0010, "8.4.1" {
        SK = 0, CS = 1, DI = 2, DO = 3, FWE = 4..=5, REQ = 6, GNT = 7, PRES = 8, AUTO_RD = 9,
        ADDR_SIZE = 10, SIZE = 11..=14, FLASH_DETECTED = 19
    }
    /// EEPROM read: write START and ADDR, wait for DONE, take DATA.
    EERD @ 0x00014, Sc, reset 0, "8.4.2" { START = 0, DONE = 1, ADDR = 2..=15, DATA = 16..=31 }
    /// Flash access by bit-banging.
    FLA @ 0x0001C, Rw, reset 0, "8.4.3" {
        SCK = 0, CE = 1, SI = 2, SO = 3, REQ = 4, GNT = 5, BUSY = 30, ER = 31
    }
    /// Manageability EEPROM control; tells when each port's configuration is loaded.
    EEMNGCTL @ 0x01010, Rw, reset 0x8000_0000, "8.4" {
        CFG_DONE0 = 18, CFG_DONE1 = 19, CFG_DONE2 = 20, CFG_DONE3 = 21, DONE = 31
    }
    /// I2C access to an SFP module.
    I2CCMD @ 0x01028, Rw, reset 0, "8.17" {
        DATA = 0..=15, REGADD = 16..=23, PHYADD = 24..=26, OP = 27, RESET = 28, READY = 29, ERROR = 31
    }
    /// Flash opcodes.
    FLOP @ 0x0103C, Rw, reset 0, "8.4.4"

    /// PCIe control.
    GCR @ 0x05B00, Rw, reset 0x0005_0000, "8.6.1" {
        CMPL_TMOUT = 12..=15, CMPL_TMOUT_RESEND = 16, CAP_VER2 = 18
    }
    /// Function active and power state.
    FACTPS @ 0x05B30, Ro, reset 0, "8.6" {
        FUNC0_POWER = 0..=1, LAN0_VALID = 2, FUNC0_AUX_EN = 3, FUNC1_POWER = 6..=7, LAN1_VALID = 8,
        FUNC1_AUX_EN = 9, MNGCG = 29, LFS = 30, PM_STATE_CHANGED = 31
    }
    /// Revision of the MAC.
    MREVID @ 0x05B64, Ro, reset 0, "8.6" { REV = 0..=7 }

    /// Software semaphore. Reading SMBI as 0 takes it: reads have a side effect.
    SWSM @ 0x05B50, Rw, reset 0, "8.7.1" { SMBI = 0, SWESMBI = 1, WMNG = 2 }
    /// Firmware semaphore and state.
    FWSM @ 0x05B54, Rw, reset 0, "8.7.2" {
        FWSMBI = 0, FW_MODE = 1..=3, EEP_RELOAD_IND = 6, FW_VAL = 15, RESET_CNT = 16..=18,
        EXT_ERR_IND = 19..=24
    }
    /// Which shared resources software (low half) and firmware (high half) hold.
    SW_FW_SYNC @ 0x05B5C, Rw, reset 0, "8.7.3" {
        SW_EEP = 0, SW_PHY0 = 1, SW_PHY1 = 2, SW_MAC_CSR = 3, SW_PHY2 = 5, SW_PHY3 = 6, FW_EEP = 16,
        FW_PHY0 = 17, FW_PHY1 = 18, FW_MAC_CSR = 19, FW_PHY2 = 21, FW_PHY3 = 22
    }

    /// DCA requester id.
    DCA_ID @ 0x05B70, Ro, reset 0, "8.13" { FUNCTION = 0..=2, DEVICE = 3..=7, BUS = 8..=15 }
    /// DCA control.
    DCA_CTRL @ 0x05B74, Rw, reset 0x0000_0001, "8.13" { DIS = 0, MODE = 1..=4 }
    /// Free-running timer.
    FRTIMER @ 0x01048, Ro, reset 0, "8.15" { MICRO = 0..=9, MILLI = 10..=19, SECONDS = 20..=31 }
    /// TCP timer.
    TCPTIMER @ 0x0104C, Rw, reset 0, "8.15" {
        DURATION = 0..=7, KICKSTART = 8, COUNT_ENABLE = 9, COUNT_FINISH = 10, LOOP = 11
    }

    /// Wake-up control.
    WUC @ 0x05800, Rw, reset 0, "8.20" { APME = 0, PME_EN = 1, PME_STATUS = 2, APMPME = 3 }
    /// Wake-up filters.
    WUFC @ 0x05808, Rw, reset 0, "8.20" {
        LNKC = 0, MAG = 1, EX = 2, MC = 3, BC = 4, ARP = 5, IPV4 = 6, IPV6 = 7
    }
    /// Wake-up status.
    WUS @ 0x05810, W1c, reset 0, "8.20"
    /// Management control: what a BMC receives, and whether it forbids a PHY reset.
    MANC @ 0x05820, Rw, reset 0, "8.21" {
        SMBUS_EN = 0, ASF_EN = 1, RCV_TCO_EN = 17, BLK_PHY_RST_ON_IDE = 18, EN_MAC_ADDR_FILTER = 20,
        EN_BMC2OS = 28
    }
}
