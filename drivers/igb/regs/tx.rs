//! Transmit DMA registers (8.12, 8.13, 8.14).

crate::registers! {
    /// Transmit registers.
    pub table TX;

    /// Transmit control: enable, padding, collisions.
    TCTL @ 0x00400, Rw, reset 0xA404_00F8, "8.12.1" {
        TXEN = 1, PSP = 3, CT = 4..=11, COLD = 12..=21, SWXOFF = 22, RTLC = 24, NRTU = 25, RRTHRESH = 29..=30
    }
    /// Late-collision distance.
    TCTL_EXT @ 0x00404, Rw, reset 0x0001_0840, "8.12.2" { COLD = 10..=19 }
    /// Inter-packet gap.
    TIPG @ 0x00410, Rw, reset 0x0060_1008, "8.12.3" { IPGT = 0..=9, IPGR1 = 10..=19, IPGR = 20..=29 }
    /// Transmit DMA control.
    DTXCTL @ 0x03590, Rw, reset 0x0000_0044, "8.12" {
        LL_8023 = 2, VLAN_ADDED = 3, OOS_ENABLE = 4, MDP_EN = 5, SPOOF_INT = 6
    }
    /// TCP flags of the first and middle segments of a segmented packet.
    DTXTCPFLGL @ 0x0359C, Rw, reset 0x0FF6_0FF6, "8.12" { FIRST = 0..=11, MIDDLE = 16..=27 }
    /// TCP flags of the last segment.
    DTXTCPFLGH @ 0x035A0, Rw, reset 0x0000_0F7F, "8.12" { LAST = 0..=11 }
    /// Bytes that the DMA may have requested, in units of 256. The rest is reserved: keep it.
    DTXMXSZRQ @ 0x03540, Rw, reset 0x0000_0010, "8.12" { MAX_BYTES_NUM_REQ = 0..=11 }

    /// Ring base, low half. See [`ALIASES`](super::ALIASES) for queues 0 to 3.
    TDBAL[16; 0x40] @ 0x0E000, Rw, reset 0, "8.12"
    /// Ring base, high half.
    TDBAH[16; 0x40] @ 0x0E004, Rw, reset 0, "8.12"
    /// Ring length in bytes, a multiple of 128.
    TDLEN[16; 0x40] @ 0x0E008, Rw, reset 0, "8.12" { LEN = 0..=19 }
    /// Next descriptor that the NIC reads.
    TDH[16; 0x40] @ 0x0E010, Rw, reset 0, "8.12" { HEAD = 0..=15 }
    /// DCA and relaxed ordering.
    TXCTL[16; 0x40] @ 0x0E014, Rw, reset 0x0000_2A00, "8.13" {
        DESC_DCA = 5, DESC_RD_RO = 9, DESC_WB_RO = 11, DATA_RD_RO = 13, CPUID = 24..=31
    }
    /// One past the last descriptor that the NIC may read.
    TDT[16; 0x40] @ 0x0E018, Rw, reset 0, "8.12" { TAIL = 0..=15 }
    /// Prefetch, host and write-back thresholds, and queue enable. Queue 0 is enabled after a reset.
    TXDCTL[16; 0x40] @ 0x0E028, Rw, reset 0, "8.12" {
        PTHRESH = 0..=4, HTHRESH = 8..=12, WTHRESH = 16..=20, ENABLE = 25, SWFLUSH = 26, PRIORITY = 27
    }
    /// Head write-back address, low half.
    TDWBAL[16; 0x40] @ 0x0E038, Rw, reset 0, "8.12" { HEAD_WB_EN = 0, WB_ON_EITR = 1, HEAD_WB_LOW = 2..=31 }
    /// Head write-back address, high half.
    TDWBAH[16; 0x40] @ 0x0E03C, Rw, reset 0, "8.12"
    /// TDBAL, older place of queues 0 to 3.
    TDBAL_ALIAS[4; 0x100] @ 0x03800, Rw, reset 0, "8.12"
    /// TDBAH, older place of queues 0 to 3.
    TDBAH_ALIAS[4; 0x100] @ 0x03804, Rw, reset 0, "8.12"
    /// TDLEN, older place of queues 0 to 3.
    TDLEN_ALIAS[4; 0x100] @ 0x03808, Rw, reset 0, "8.12" { LEN = 0..=19 }
    /// TDH, older place of queues 0 to 3.
    TDH_ALIAS[4; 0x100] @ 0x03810, Rw, reset 0, "8.12" { HEAD = 0..=15 }
    /// TXCTL, older place of queues 0 to 3.
    TXCTL_ALIAS[4; 0x100] @ 0x03814, Rw, reset 0x0000_2A00, "8.13"
    /// TDT, older place of queues 0 to 3.
    TDT_ALIAS[4; 0x100] @ 0x03818, Rw, reset 0, "8.12" { TAIL = 0..=15 }
    /// TXDCTL, older place of queues 0 to 3.
    TXDCTL_ALIAS[4; 0x100] @ 0x03828, Rw, reset 0, "8.12"
    /// TDWBAL, older place of queues 0 to 3.
    TDWBAL_ALIAS[4; 0x100] @ 0x03838, Rw, reset 0, "8.12"
    /// TDWBAH, older place of queues 0 to 3.
    TDWBAH_ALIAS[4; 0x100] @ 0x0383C, Rw, reset 0, "8.12"

    /// Pools that may transmit.
    VFTE @ 0x00C90, Rw, reset 0x0000_00FF, "8.14" { VFTE = 0..=7 }
    /// Transmit switch between pools.
    DTXSWC @ 0x03500, Rw, reset 0, "8.14" { MAC_SPOOF = 0..=7, VLAN_SPOOF = 8..=15, LLE = 16..=23, LOOPBACK_EN = 31 }
    /// VLAN tag that each pool's packets get.
    VMVIR[8; 4] @ 0x03700, Rw, reset 0, "8.14" { PORT_VLAN = 0..=15, VLANA = 30..=31 }
}
