//! Receive filters, RSS, receive DMA and virtualisation registers (8.10, 8.11, 8.13, 8.14).

crate::registers! {
    /// Receive registers.
    pub table RX;

    /// Receive control: enable, which frames pass the address filter, long frames, CRC strip.
    RCTL @ 0x00100, Rw, reset 0, "8.10.1" {
        RXEN = 1, SBP = 2, UPE = 3, MPE = 4, LPE = 5, LBM = 6..=7, MO = 12..=13, BAM = 15, BSIZE = 16..=17,
        VFE = 18, CFIEN = 19, CFI = 20, PSP = 21, DPF = 22, PMCF = 23, SECRC = 26
    }
    /// Header-split types, by pool.
    PSRTYPE[8; 4] @ 0x05480, Rw, reset 0, "8.10.3"
    /// Receive checksums: PCSD puts the RSS hash where the packet checksum would be.
    RXCSUM @ 0x05000, Rw, reset 0x0000_0300, "8.10" {
        PCSS = 0..=7, IPOFL = 8, TUOFL = 9, CRCOFL = 11, IPPCSE = 12, PCSD = 13
    }
    /// Largest frame received with RCTL.LPE, CRC included.
    RLPML @ 0x05004, Rw, reset 0x0000_2600, "8.10" { RLPML = 0..=13 }
    /// Receive filter control.
    RFCTL @ 0x05008, Rw, reset 0, "8.10" {
        ISCSI_DIS = 0, ISCSI_DWC = 1..=5, NFSW_DIS = 6, NFSR_DIS = 7, NFS_VER = 8..=9, IPV6_DIS = 10,
        IPV6_XSUM_DIS = 11, IPFRSP_DIS = 14, IPV6_EX_DIS = 16, NEW_IPV6_EXT_DIS = 17, LEF = 18, SYNQFP = 19
    }
    /// Multicast hash table, 4,096 bits.
    MTA[128; 4] @ 0x05200, Rw, reset 0, "8.10"
    /// MTA, older place.
    MTA_ALIAS[128; 4] @ 0x00200, Rw, reset 0, "8.10"
    /// Receive address, bytes 0 to 3 in ascending order. Element 0 is loaded from the NVM.
    RAL[16; 8] @ 0x05400, Rw, reset 0, "8.10"
    /// Receive address, bytes 4 and 5, its pools, and whether the entry is valid.
    RAH[16; 8] @ 0x05404, Rw, reset 0, "8.10" { ADDR = 0..=15, ASEL = 16..=17, POOL = 18..=25, AV = 31 }
    /// RAL, older place.
    RAL_ALIAS[16; 8] @ 0x00040, Rw, reset 0, "8.10"
    /// RAH, older place.
    RAH_ALIAS[16; 8] @ 0x00044, Rw, reset 0, "8.10" { ADDR = 0..=15, ASEL = 16..=17, POOL = 18..=25, AV = 31 }
    /// RAL of entries 16 to 23.
    RAL_16[8; 8] @ 0x054E0, Rw, reset 0, "8.10"
    /// RAH of entries 16 to 23.
    RAH_16[8; 8] @ 0x054E4, Rw, reset 0, "8.10" { ADDR = 0..=15, ASEL = 16..=17, POOL = 18..=25, AV = 31 }
    /// VLAN filter table, 4,096 bits.
    VFTA[128; 4] @ 0x05600, Rw, reset 0, "8.10"
    /// VFTA, older place.
    VFTA_ALIAS[128; 4] @ 0x00600, Rw, reset 0, "8.10"
    /// Unicast hash table, for virtual machines.
    UTA[128; 4] @ 0x0A000, Wo, reset 0, "8.14"
    /// Multiple receive queues: mode and which packets are hashed.
    MRQC @ 0x05818, Rw, reset 0, "8.10" {
        MRQE = 0..=2, DEF_Q = 3..=5, RSS_TCPIPV4 = 16, RSS_IPV4 = 17, RSS_IPV6_EX_TCP = 18, RSS_IPV6_EX = 19,
        RSS_IPV6 = 20, RSS_TCPIPV6 = 21, RSS_UDPIPV4 = 22, RSS_UDPIPV6 = 23, RSS_IPV6_EX_UDP = 24
    }
    /// RSS redirection table: four entries a register, four bits used of each.
    RETA[32; 4] @ 0x05C00, Rw, reset 0, "8.10" { ENTRY0 = 0..=3, ENTRY1 = 8..=11, ENTRY2 = 16..=19, ENTRY3 = 24..=27 }
    /// RSS key, 40 bytes, first byte in the low bits of element 0.
    RSSRK[10; 4] @ 0x05C80, Rw, reset 0, "8.10"

    /// EtherType filter.
    ETQF[8; 4] @ 0x05CB0, Rw, reset 0, "8.11" {
        ETYPE = 0..=15, RX_QUEUE = 16..=19, FILTER_EN = 26, IMM_INT = 29, TIMESTAMP = 30, QUEUE_EN = 31
    }
    /// Source address of a 5-tuple filter.
    SAQF[8; 4] @ 0x05980, Rw, reset 0, "8.11"
    /// Destination address of a 5-tuple filter.
    DAQF[8; 4] @ 0x059A0, Rw, reset 0, "8.11"
    /// Ports of a 5-tuple filter.
    SPQF[8; 4] @ 0x059C0, Rw, reset 0, "8.11" { SRC_PORT = 0..=15, DST_PORT = 16..=31 }
    /// 5-tuple filter.
    FTQF[8; 4] @ 0x059E0, Rw, reset 0, "8.11" {
        PROTOCOL = 0..=7, QUEUE_EN = 8, VF_BP = 15, RX_QUEUE = 16..=19, TIMESTAMP = 27, MASK = 28..=31
    }
    /// TCP SYN filter.
    SYNQF @ 0x055FC, Rw, reset 0, "8.11" { QUEUE_EN = 0, RX_QUEUE = 1..=4 }
    /// Immediate interrupt by destination port.
    IMIR[8; 4] @ 0x05A80, Rw, reset 0, "8.11" { PORT = 0..=15, EN = 16, PORT_BP = 17, PRIORITY = 29..=31 }
    /// Immediate interrupt by size and TCP flags.
    IMIREXT[8; 4] @ 0x05AA0, Rw, reset 0, "8.11" { SIZE_THRESH = 0..=11, SIZE_BP = 12, CTRL_BIT = 13..=18, CTRL_BIT_BP = 19 }
    /// Immediate interrupt by VLAN priority.
    IMIRVP @ 0x05AC0, Rw, reset 0, "8.11" { VLAN_PRI = 0..=2, VLAN_PRI_EN = 3 }

    /// Ring base, low half. See [`ALIASES`](super::ALIASES) for queues 0 to 3.
    RDBAL[16; 0x40] @ 0x0C000, Rw, reset 0, "8.10.5"
    /// Ring base, high half.
    RDBAH[16; 0x40] @ 0x0C004, Rw, reset 0, "8.10.6"
    /// Ring length in bytes, a multiple of 128.
    RDLEN[16; 0x40] @ 0x0C008, Rw, reset 0, "8.10.7" { LEN = 0..=19 }
    /// Buffer sizes, descriptor type, and what a full ring does.
    SRRCTL[16; 0x40] @ 0x0C00C, Rw, reset 0x0000_0400, "8.10.2" {
        BSIZEPACKET = 0..=6, BSIZEHEADER = 8..=13, RDMTS = 20..=24, DESCTYPE = 25..=27, TIMESTAMP = 30, DROP_EN = 31
    }
    /// Next descriptor that the NIC fills.
    RDH[16; 0x40] @ 0x0C010, Rw, reset 0, "8.10.8" { HEAD = 0..=15 }
    /// DCA and relaxed ordering.
    RXCTL[16; 0x40] @ 0x0C014, Rw, reset 0x0000_A200, "8.13" {
        DESC_DCA = 5, HEAD_DCA = 6, DATA_DCA = 7, DESC_RD_RO = 9, DESC_WB_RO = 11, DATA_WR_RO = 13, HEAD_WR_RO = 15, CPUID = 24..=31
    }
    /// One past the last descriptor that the NIC may fill.
    RDT[16; 0x40] @ 0x0C018, Rw, reset 0, "8.10.9" { TAIL = 0..=15 }
    /// Prefetch, host and write-back thresholds, and queue enable. Queue 0 is enabled after a reset.
    RXDCTL[16; 0x40] @ 0x0C028, Rw, reset 0x0001_0000, "8.10.10" {
        PTHRESH = 0..=4, HTHRESH = 8..=12, WTHRESH = 16..=20, ENABLE = 25, SWFLUSH = 26
    }
    /// Frames dropped for want of a descriptor, by queue: 12 bits.
    RQDPC[16; 0x40] @ 0x0C030, Rc, reset 0, "8.10.11" { COUNT = 0..=11 }
    /// RDBAL, older place of queues 0 to 3.
    RDBAL_ALIAS[4; 0x100] @ 0x02800, Rw, reset 0, "8.10.5"
    /// RDBAH, older place of queues 0 to 3.
    RDBAH_ALIAS[4; 0x100] @ 0x02804, Rw, reset 0, "8.10.6"
    /// RDLEN, older place of queues 0 to 3.
    RDLEN_ALIAS[4; 0x100] @ 0x02808, Rw, reset 0, "8.10.7" { LEN = 0..=19 }
    /// SRRCTL, older place of queues 0 to 3.
    SRRCTL_ALIAS[4; 0x100] @ 0x0280C, Rw, reset 0x0000_0400, "8.10.2"
    /// RDH, older place of queues 0 to 3.
    RDH_ALIAS[4; 0x100] @ 0x02810, Rw, reset 0, "8.10.8" { HEAD = 0..=15 }
    /// RXCTL, older place of queues 0 to 3.
    RXCTL_ALIAS[4; 0x100] @ 0x02814, Rw, reset 0x0000_A200, "8.13"
    /// RDT, older place of queues 0 to 3.
    RDT_ALIAS[4; 0x100] @ 0x02818, Rw, reset 0, "8.10.9" { TAIL = 0..=15 }
    /// RXDCTL, older place of queues 0 to 3.
    RXDCTL_ALIAS[4; 0x100] @ 0x02828, Rw, reset 0x0001_0000, "8.10.10"
    /// RQDPC, older place of queues 0 to 3.
    RQDPC_ALIAS[4; 0x100] @ 0x02830, Rc, reset 0, "8.10.11"

    /// Virtualisation control.
    VT_CTL @ 0x0581C, Rw, reset 0, "8.14" { DEF_PL = 7..=9, IGNORE_MAC = 28, DIS_DEF_PL = 29, RPL_EN = 30 }
    /// Drop enable by queue, for virtual machines.
    QDE @ 0x02408, Rw, reset 0, "8.14" { QDE = 0..=15 }
    /// Pools that may receive.
    VFRE @ 0x00C8C, Rw, reset 0x0000_00FF, "8.14" { VFRE = 0..=7 }
    /// Pool receive control.
    VMOLR[8; 4] @ 0x05AD0, Rw, reset 0x8000_2600, "8.14" {
        RLPML = 0..=13, LPE = 16, RSSE = 17, AUPE = 24, ROMPE = 25, ROPE = 26, BAM = 27, MPME = 28,
        STRVLAN = 30, STRCRC = 31
    }
    /// Offloads of replicated packets.
    RPLOLR @ 0x05AF0, Rw, reset 0x8000_0000, "8.14" { STRVLAN = 30, STRCRC = 31 }
    /// VLAN pool filter.
    VLVF[32; 4] @ 0x05D00, Rw, reset 0, "8.14" { VLAN_ID = 0..=11, POOL = 12..=19, LVLAN = 20, VI_EN = 31 }
}
