//! Transmit DMA, packet-buffer arbitration and transmit security registers (8.2.3.9 to .12).

crate::registers! {
    /// Transmit registers.
    pub table TX;

    /// Bytes that the DMA may have requested per buffer. Bits 12 and up are reserved: keep them.
    DTXMXSZRQ @ 0x08100, Rw, reset 0x0000_0010, "8.2.3.9.1" { MAX_BYTES_NUM_REQ = 0..=11 }
    /// Transmit DMA control; TE comes before any queue's ENABLE.
    DMATXCTL @ 0x04A80, Rw, reset 0x8100_0000, "8.2.3.9.2" { TE = 0, NS = 1, GDV = 3, MDP_EN = 5, MBINTEN = 6, VT = 16..=31 }
    /// TCP flags of the first and middle segments of a segmented packet.
    DTXTCPFLGL @ 0x04A88, Rw, reset 0x0FF6_0FF6, "8.2.3.9.3" { FIRST = 0..=11, MIDDLE = 16..=27 }
    /// TCP flags of the last segment.
    DTXTCPFLGH @ 0x04A8C, Rw, reset 0x0000_0F7F, "8.2.3.9.4" { LAST = 0..=11 }
    /// Ring base, low half.
    TDBAL[128; 0x40] @ 0x06000, Rw, reset 0, "8.2.3.9.5"
    /// Ring base, high half.
    TDBAH[128; 0x40] @ 0x06004, Rw, reset 0, "8.2.3.9.6"
    /// Ring length in bytes, a multiple of 128.
    TDLEN[128; 0x40] @ 0x06008, Rw, reset 0, "8.2.3.9.7" { LEN = 0..=19 }
    /// DCA and relaxed ordering.
    DCA_TXCTRL[128; 0x40] @ 0x0600C, Rw, reset 0x0000_2A00, "8.2.3.11.2" {
        DESC_DCA = 5, DESC_RD_RO = 9, DESC_WB_RO = 11, DATA_RD_RO = 13, CPUID = 24..=31
    }
    /// Next descriptor that the NIC reads.
    TDH[128; 0x40] @ 0x06010, Rw, reset 0, "8.2.3.9.8" { HEAD = 0..=15 }
    /// One past the last descriptor that the NIC may read.
    TDT[128; 0x40] @ 0x06018, Rw, reset 0, "8.2.3.9.9" { TAIL = 0..=15 }
    /// Prefetch, host and write-back thresholds, and queue enable.
    TXDCTL[128; 0x40] @ 0x06028, Rw, reset 0, "8.2.3.9.10" {
        PTHRESH = 0..=6, HTHRESH = 8..=14, WTHRESH = 16..=22, ENABLE = 25, SWFLSH = 26
    }
    /// Head write-back address, low half.
    TDWBAL[128; 0x40] @ 0x06038, Rw, reset 0, "8.2.3.9.11" { HEAD_WB_EN = 0, HEAD_WB_LOW = 2..=31 }
    /// Head write-back address, high half.
    TDWBAH[128; 0x40] @ 0x0603C, Rw, reset 0, "8.2.3.9.12"
    /// Transmit packet buffer sizes in KiB; after reset all 160 KiB are buffer 0's.
    TXPBSIZE[8; 4] @ 0x0CC00, Rw, reset 0x0002_8000, "8.2.3.9.13" { SIZE = 10..=19 }
    /// Transmit queue mode; writable only while RTTDCS.ARBDIS is set.
    MTQC @ 0x08120, Rw, reset 0, "8.2.3.9.15" { RT_ENA = 0, VT_ENA = 1, NUM_TC_OR_Q = 2..=3 }
    /// Fill level in KiB above which a transmit packet buffer takes no further packet.
    TXPBTHRESH[8; 4] @ 0x04950, Rw, reset 0x0000_0096, "8.2.3.9.16" { THRESH = 0..=9 }
    /// Pools that may transmit.
    PFVFTE[2; 4] @ 0x08110, Rw, reset 0, "8.2.3.27"
    /// Transmit switch between pools.
    PFDTXGSWC @ 0x08220, Rw, reset 0, "8.2.3.27" { LBE = 0 }

    /// Receive packet-plane arbiter.
    RTRPCS @ 0x02430, Rw, reset 0, "8.2.3.10.1" { RRM = 1, RAC = 2, ARBDIS = 6 }
    /// Transmit descriptor-plane arbiter.
    RTTDCS @ 0x04900, Rw, reset 0x00C0_0000, "8.2.3.10.2" { TDPAC = 0, VMPAC = 1, TDRM = 4, ARBDIS = 6, BDPM = 22, BPBFSM = 23 }
    /// Transmit packet-plane arbiter.
    RTTPCS @ 0x0CD00, Rw, reset 0x8900_0000, "8.2.3.10.3" { TPPAC = 5, ARBDIS = 6, TPRM = 8, ARBD = 22..=31 }
    /// Receive user priority to traffic class.
    RTRUP2TC @ 0x03020, Rw, reset 0, "8.2.3.10.4"
    /// Transmit user priority to traffic class.
    RTTUP2TC @ 0x0C800, Rw, reset 0, "8.2.3.10.5"
    /// Receive packet-plane credits.
    RTRPT4C[8; 4] @ 0x02140, Rw, reset 0, "8.2.3.10.6"
    /// Transmit descriptor-plane class credits.
    RTTDT2C[8; 4] @ 0x04910, Rw, reset 0, "8.2.3.10.9"
    /// Transmit packet-plane class credits.
    RTTPT2C[8; 4] @ 0x0CD20, Rw, reset 0, "8.2.3.10.10"
    /// Selects the queue that RTTDT1C and RTTBCNRC address.
    RTTDQSEL @ 0x04904, Rw, reset 0, "8.2.3.10.13" { TXDQ_IDX = 0..=6 }
    /// Transmit descriptor-plane credits of the selected queue.
    RTTDT1C @ 0x04908, Rw, reset 0, "8.2.3.10.14" { CRQ = 0..=13 }
    /// Rate limit of the selected queue.
    RTTBCNRC @ 0x04984, Rw, reset 0, "8.2.3.10.16" { RF_DEC = 0..=13, RF_INT = 14..=23, RS_ENA = 31 }
    /// Memory of the rate limiter, shared by all queues.
    RTTBCNRM @ 0x04980, Rw, reset 0, "8.2.3.10" { MMW_SIZE = 0..=9 }

    /// Transmit security.
    SECTXCTRL @ 0x08800, Rw, reset 0x0000_0001, "8.2.3.12.1" { SECTX_DIS = 0, TX_DIS = 1, STORE_FORWARD = 2 }
    /// Whether the transmit path stands still.
    SECTXSTAT @ 0x08804, Ro, reset 0, "8.2.3.12.2" { SECTX_RDY = 0, SECTX_OFF_DIS = 1, ECC_TXERR = 2 }
    /// Security buffer almost-full threshold.
    SECTXBUFFAF @ 0x08808, Rw, reset 0x0000_0250, "8.2.3.12.3"
    /// Minimum gap between frames for security.
    SECTXMINIFG @ 0x08810, Rw, reset 0x0000_1001, "8.2.3.12.4"
}
