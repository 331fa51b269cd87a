//! MAC, link, MDIO and flow-control registers (8.2.3.3, 8.2.3.22).

crate::registers! {
    /// MAC, link and flow-control registers.
    pub table MAC;

    /// Pause time to send, two classes a register.
    FCTTV[4; 4] @ 0x03200, Rw, reset 0, "8.2.3.3.2" { TTV_EVEN = 0..=15, TTV_ODD = 16..=31 }
    /// Receive buffer level in bytes at which XON is sent.
    FCRTL[8; 4] @ 0x03220, Rw, reset 0, "8.2.3.3.3" { RTL = 5..=18, XONE = 31 }
    /// Receive buffer level in bytes at which XOFF is sent.
    FCRTH[8; 4] @ 0x03260, Rw, reset 0, "8.2.3.3.4" { RTH = 5..=18, FCEN = 31 }
    /// Pause refresh threshold.
    FCRTV @ 0x032A0, Rw, reset 0, "8.2.3.3.5" { FC_REFRESH_TH = 0..=15 }
    /// Whether a pause frame holds transmission now.
    TFCS @ 0x0CE00, Ro, reset 0x0000_0001, "8.2.3.3.6" { TC_XON = 0..=7 }
    /// Whether pause frames are sent: 1 = link, 2 = by priority.
    FCCFG @ 0x03D00, Rw, reset 0, "8.2.3.3.7" { TFCE = 3..=4 }

    /// 1 Gb/s PCS configuration.
    PCS1GCFIG @ 0x04200, Rw, reset 0, "8.2.3.22"
    /// 1 Gb/s PCS link control.
    PCS1GLCTL @ 0x04208, Rw, reset 0, "8.2.3.22" { FLV = 0, FORCE_LINK = 5, LINK_LATCH_LOW = 6, AN_TIMEOUT_EN = 18, AN_ENABLE = 16, AN_RESTART = 17 }
    /// 1 Gb/s PCS link status.
    PCS1GLSTA @ 0x0420C, Ro, reset 0, "8.2.3.22" { LINK_OK = 0, SYNC_OK = 4, AN_COMPLETE = 16, AN_PAGE_RX = 17, AN_TIMEDOUT = 18, AN_REMOTE_FAULT = 19, AN_ERROR = 20 }
    /// 1 Gb/s abilities to advertise.
    PCS1GANA @ 0x04218, Rw, reset 0, "8.2.3.22" { SYM_PAUSE = 7, ASM_PAUSE = 8 }
    /// 1 Gb/s abilities of the partner.
    PCS1GANLP @ 0x0421C, Ro, reset 0, "8.2.3.22"
    /// MAC control: CRC, padding, jumbo frames, loopback.
    HLREG0 @ 0x04240, Rw, reset 0x0801_2C0B, "8.2.3.22.8" {
        TXCRCEN = 0, RXCRCSTRP = 1, JUMBOEN = 2, TXPADEN = 10, LPBK = 15, MDCSPD = 16, CONTMDC = 17,
        PREPEND = 20..=23, RXLNGTHERREN = 27, RXPADSTRIPEN = 28
    }
    /// MAC status.
    HLREG1 @ 0x04244, Ro, reset 0, "8.2.3.22.9"
    /// Pause time and pace.
    PAP @ 0x04248, Rw, reset 0x0000_FFFF, "8.2.3.22.10" { TXPAUSECNT = 0..=15, PACE = 16..=19 }
    /// MDIO command.
    MSCA @ 0x0425C, Sc, reset 0, "8.2.3.22.11" {
        MDIADD = 0..=15, DEVADD = 16..=20, PHYADD = 21..=25, OPCODE = 26..=27, STCODE = 28..=29, MDICMD = 30, MDIINPROGEN = 31
    }
    /// MDIO data.
    MSRWD @ 0x04260, Rw, reset 0, "8.2.3.22.12" { WRDATA = 0..=15, RDDATA = 16..=31 }
    /// Largest frame received with JUMBOEN, CRC included.
    MAXFRS @ 0x04268, Rw, reset 0x05EE_0000, "8.2.3.22.13" { MFS = 16..=31 }
    /// 10 Gb/s PCS status 1.
    PCSS1 @ 0x04288, Ro, reset 0, "8.2.3.22"
    /// 10 Gb/s PCS status 2.
    PCSS2 @ 0x0428C, Ro, reset 0, "8.2.3.22"
    /// XAUI PCS status.
    XPCSS @ 0x04290, Ro, reset 0, "8.2.3.22"
    /// Receive flow control: pass or discard pause frames, obey them.
    MFLCN @ 0x04294, Rw, reset 0, "8.2.3.22.34" { PMCF = 0, DPF = 1, RPFCM = 2, RFCE = 3 }
    /// SerDes control.
    SERDESC @ 0x04298, Rw, reset 0, "8.2.3.22"
    /// MAC and SerDes FIFO status.
    MACS @ 0x0429C, Ro, reset 0, "8.2.3.22"
    /// Link mode and auto-negotiation; defaults come from the EEPROM.
    AUTOC @ 0x042A0, Sc, reset 0xC09C_6004, "8.2.3.22.19" {
        FLU = 0, ANACK2 = 1, ANSF = 2..=6, PMA_PMD_10G = 7..=8, PMA_PMD_1G = 9, D10GMP = 10, RATD = 11,
        RESTART_AN = 12, LMS = 13..=15, KR_SUPPORT = 16, FECR = 17, FECA = 18, ANRXAT = 19..=22,
        ANRXDM = 23, ANRXLM = 24, ANPDT = 25..=26, RF = 27, PB = 28..=29, KX_SUPPORT = 30..=31
    }
    /// Link status. LINK_STATUS latches a loss of link until it is read.
    LINKS @ 0x042A4, Ro, reset 0, "8.2.3.22" {
        KX_SIG_DET = 0, FEC_SIGNAL_DET = 1, FEC_BLOCK_LOCK = 2, KR_HI_BERR = 3, KR_PCS_BLOCK_LOCK = 4,
        AN_NEXT_PAGE = 5, AN_PAGE = 6, LINK_STATUS = 7, KX4_SIG_DET = 8..=11, KR_SIG_DET = 12,
        LANE_SYNC_10G = 13..=16, ALIGN_10G = 17, SYNC_1G = 18, KX_AN_IDLE = 19, AN_1G_EN = 20,
        PCS_1G_EN = 21, XGXS_EN = 22, MAC_TX_MODE = 23..=24, MAC_RX_MODE = 25..=26, SPEED_NON_STD = 27,
        LINK_SPEED = 28..=29, LINK_UP = 30, AN_COMPLETE = 31
    }
    /// Link mode, 10 Gb/s serial part.
    AUTOC2 @ 0x042A8, Rw, reset 0x000A_0000, "8.2.3.22" { PMA_PMD_10G_SERIAL = 16..=17, LINK_DISABLE_D3 = 28, LINK_DISABLE = 30 }
    /// Auto-negotiation page to send.
    AUTOC3 @ 0x042AC, Rw, reset 0x0000_8004, "8.2.3.22"
    /// Auto-negotiation link partner page 1.
    ANLP1 @ 0x042B0, Ro, reset 0, "8.2.3.22" { SYM_PAUSE = 10, ASM_PAUSE = 11, AN_STATE = 16..=19 }
    /// Auto-negotiation link partner page 2.
    ANLP2 @ 0x042B4, Ro, reset 0, "8.2.3.22"
    /// Manageability may forbid a link reset.
    MMNGC @ 0x042D0, Ro, reset 0, "8.2.3.22" { MNG_VETO = 0 }
    /// Link partner's next page, low half.
    ANLPNP1 @ 0x042D4, Ro, reset 0, "8.2.3.22"
    /// Link partner's next page, high half.
    ANLPNP2 @ 0x042D8, Ro, reset 0, "8.2.3.22"
    /// 10GBASE-KR PCS control.
    KRPCSFC @ 0x042E0, Rw, reset 0, "8.2.3.22"
    /// 10GBASE-KR PCS status.
    KRPCSS @ 0x042E4, Ro, reset 0, "8.2.3.22"
    /// FEC status 1.
    FECS1 @ 0x042E8, Rc, reset 0, "8.2.3.22"
    /// FEC status 2.
    FECS2 @ 0x042EC, Rc, reset 0, "8.2.3.22"
    /// SGMII control.
    SGMIIC @ 0x04314, Rw, reset 0, "8.2.3.22"
    /// Media-presence and link vetoes.
    MPVC @ 0x04318, Rw, reset 0, "8.2.3.22"
    /// Link status 2.
    LINKS2 @ 0x04324, Ro, reset 0, "8.2.3.22" { AN_SUPPORTED = 6 }
    /// MAC control: force link up and speed.
    MACC @ 0x04330, Rw, reset 0, "8.2.3.22" { FLU = 0, FSV = 16..=17, FS = 18 }
    /// Writes an analog register of the SerDes.
    CORECTL @ 0x14F00, Rw, reset 0, "8.2.3.22" { DATA = 0..=7, ADDRESS = 8..=15, LATCH = 16 }
}
