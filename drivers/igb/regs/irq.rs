//! Interrupt registers (8.8, 8.9).

crate::registers! {
    /// Interrupt registers.
    pub table IRQ;

    /// Interrupt causes. Reading clears (see 7.3.4.4 for when not), writing ones clears those.
    ICR @ 0x000C0, W1c, reset 0, "8.8.7" {
        TXDW = 0, LSC = 2, RXDMT0 = 4, MACSEC = 5, RXO = 6, RXDW = 7, VMMB = 8, GPI_SDP0 = 11,
        GPI_SDP1 = 12, GPI_SDP2 = 13, GPI_SDP3 = 14, PTRAP = 15, MNG = 18, TS = 19, OMED = 20,
        FER = 22, NFER = 23, CSRTO = 24, SCE = 25, SW_WD = 26, DOUTSYNC = 28, DRSTA = 30, INTA = 31
    }
    /// Sets interrupt causes.
    ICS @ 0x000C8, Wo, reset 0, "8.8.8"
    /// Enabled causes; writing ones enables those.
    IMS @ 0x000D0, W1s, reset 0, "8.8.9" {
        TXDW = 0, LSC = 2, RXDMT0 = 4, RXO = 6, RXDW = 7, VMMB = 8, TS = 19, DOUTSYNC = 28, DRSTA = 30
    }
    /// Disables causes.
    IMC @ 0x000D8, Wo, reset 0, "8.8.10"
    /// Causes that are masked when ICR is read.
    IAM @ 0x000E0, Rw, reset 0, "8.8.11"
    /// ICR, newer place.
    ICR_ALIAS @ 0x01500, W1c, reset 0, "8.8.7"
    /// ICS, newer place.
    ICS_ALIAS @ 0x01504, Wo, reset 0, "8.8.8"
    /// IMS, newer place.
    IMS_ALIAS @ 0x01508, W1s, reset 0, "8.8.9"
    /// IMC, newer place.
    IMC_ALIAS @ 0x0150C, Wo, reset 0, "8.8.10"
    /// IAM, newer place.
    IAM_ALIAS @ 0x01510, Rw, reset 0, "8.8.11"

    /// Extended causes: by queue or vector.
    EICR @ 0x01580, W1c, reset 0, "8.8.1" { RTXQ = 0..=15, TCP_TIMER = 30, OTHER = 31 }
    /// Sets extended causes.
    EICS @ 0x01520, Wo, reset 0, "8.8.2"
    /// Enabled extended causes; writing ones enables those.
    EIMS @ 0x01524, W1s, reset 0, "8.8.3" { RTXQ = 0..=15, TCP_TIMER = 30, OTHER = 31 }
    /// Disables extended causes.
    EIMC @ 0x01528, Wo, reset 0, "8.8.4"
    /// Extended causes that clear themselves when their MSI-X message is sent.
    EIAC @ 0x0152C, Rw, reset 0, "8.8.5"
    /// Extended causes that are masked when their message is sent.
    EIAM @ 0x01530, Rw, reset 0, "8.8.6"
    /// Interrupt throttle, by vector; the interval counts in units of 1 us.
    EITR[25; 4] @ 0x01680, Rw, reset 0, "8.8.12" {
        INTERVAL = 2..=14, LLI_EN = 15, LL_COUNTER = 16..=20, MODERATION = 21..=30, CNT_INGR = 31
    }
    /// Interrupt vectors of receive and transmit queues `n` (bytes 0, 1) and `n + 8` (bytes 2, 3).
    IVAR[8; 4] @ 0x01700, Rw, reset 0, "8.8.13" {
        ALLOC0 = 0..=4, VAL0 = 7, ALLOC1 = 8..=12, VAL1 = 15, ALLOC2 = 16..=20, VAL2 = 23,
        ALLOC3 = 24..=28, VAL3 = 31
    }
    /// Interrupt vectors of the TCP timer and of all other causes.
    IVAR_MISC @ 0x01740, Rw, reset 0, "8.8.14" {
        ALLOC0 = 0..=4, VAL0 = 7, ALLOC1 = 8..=12, VAL1 = 15
    }
    /// General-purpose interrupt enable: the interrupt mode.
    GPIE @ 0x01514, Rw, reset 0, "8.8.15" {
        NSICR = 0, MULTIPLE_MSIX = 4, LLI_INTERVAL = 7..=11, EIAME = 30, PBA_SUPPORT = 31
    }
    /// Clears MSI-X pending bits.
    PBACL @ 0x05B68, W1c, reset 0, "8.9" { PENBIT = 0..=24 }
}
