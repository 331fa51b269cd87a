//! Flow control and the PCS (8.5, 8.18).

crate::registers! {
    /// Flow-control and PCS registers.
    pub table LINK;

    /// Pause frames' destination address, bytes 0 to 3.
    FCAL @ 0x00028, Rw, reset 0x00C2_8001, "8.5.1"
    /// Pause frames' destination address, bytes 4 and 5.
    FCAH @ 0x0002C, Rw, reset 0x0000_0100, "8.5.2" { ADDR = 0..=15 }
    /// Pause frames' EtherType.
    FCT @ 0x00030, Rw, reset 0x0000_8808, "8.5.3" { TYPE = 0..=15 }
    /// Pause time to send.
    FCTTV @ 0x00170, Rw, reset 0, "8.5.4" { TTV = 0..=15 }
    /// Receive buffer level in bytes at which XON is sent.
    FCRTL @ 0x02160, Rw, reset 0, "8.5.5" { RTL = 4..=15, XONE = 31 }
    /// FCRTL, older place.
    FCRTL_ALIAS @ 0x00168, Rw, reset 0, "8.5.5" { RTL = 4..=15, XONE = 31 }
    /// Receive buffer level in bytes at which XOFF is sent.
    FCRTH @ 0x02168, Rw, reset 0, "8.5.6" { RTH = 4..=15 }
    /// Pause refresh threshold.
    FCRTV @ 0x02460, Rw, reset 0, "8.5.7" { FC_REFRESH_TH = 0..=15 }

    /// PCS configuration; PCS_EN comes from the NVM.
    PCS_CFG @ 0x04200, Rw, reset 0x0000_0008, "8.18" { IGN_SD = 0, PCS_EN = 3, PCS_ISOLATE = 30, SRESET = 31 }
    /// PCS link control: auto-negotiation, forced link.
    PCS_LCTL @ 0x04208, Rw, reset 0x0000_000C, "8.18" {
        FLV = 0, FSV = 1..=2, FDV = 3, FSD = 4, FORCE_LINK = 5, LINK_LATCH_LOW = 6, FORCE_FC = 7,
        AN_ENABLE = 16, AN_RESTART = 17, AN_TIMEOUT_EN = 18, AN_SGMII_BYPASS = 19, AN_SGMII_TRIGGER = 20
    }
    /// PCS link status.
    PCS_LSTS @ 0x0420C, Ro, reset 0, "8.18" {
        LINK_OK = 0, SPEED = 1..=2, DUPLEX = 3, SYNC_OK = 4, AN_COMPLETE = 16, AN_PAGE_RX = 17,
        AN_TIMEDOUT = 18, AN_REMOTE_FAULT = 19, AN_ERROR = 20
    }
    /// PCS abilities to advertise.
    PCS_ANADV @ 0x04218, Rw, reset 0x0000_0020, "8.18" {
        FD = 5, HD = 6, PAUSE = 7, ASM_DIR = 8, RFLT = 12..=13, NEXT_PAGE = 15
    }
    /// PCS abilities of the partner.
    PCS_LPAB @ 0x0421C, Ro, reset 0, "8.18" { FD = 5, HD = 6, PAUSE = 7, ASM_DIR = 8, ACK = 14, NEXT_PAGE = 15 }
    /// PCS next page to send.
    PCS_NPTX @ 0x04220, Rw, reset 0, "8.18"
    /// PCS next page of the partner.
    PCS_LPABNP @ 0x04224, Ro, reset 0, "8.18"
}
