//! Receive filters, RSS, receive DMA and receive security registers (8.2.3.7, .8, .11, .12).

crate::registers! {
    /// Receive registers.
    pub table RX;

    /// Which frames pass the address filter at all.
    FCTRL @ 0x05080, Rw, reset 0, "8.2.3.7.1" { SBP = 1, MPE = 8, UPE = 9, BAM = 10 }
    /// VLAN EtherType and filter.
    VLNCTRL @ 0x05088, Rw, reset 0x0000_8100, "8.2.3.7.2" { VET = 0..=15, CFI = 28, CFIEN = 29, VFE = 30 }
    /// Multicast hash filter: which address bits (MO) and whether (MFE).
    MCSTCTRL @ 0x05090, Rw, reset 0, "8.2.3.7.3" { MO = 0..=1, MFE = 2 }
    /// Header-split types and RSS queues, by pool.
    PSRTYPE[64; 4] @ 0x0EA00, Rw, reset 0, "8.2.3.7.4" {
        PSR_TCPHDR = 4, PSR_UDPHDR = 5, PSR_IPV4HDR = 8, PSR_IPV6HDR = 9, PSR_L2HDR = 12, RQPL = 29..=31
    }
    /// PSRTYPE, older place of elements 0 to 15.
    PSRTYPE_ALIAS[16; 4] @ 0x05480, Rw, reset 0, "8.2.3.7.4"
    /// Receive checksums: PCSD puts the RSS hash where the packet checksum would be.
    RXCSUM @ 0x05000, Rw, reset 0, "8.2.3.7.5" { IPPCSE = 12, PCSD = 13 }
    /// Receive filter control.
    RFCTL @ 0x05008, Rw, reset 0, "8.2.3.7.6" {
        ISCSI_DIS = 0, ISCSI_DWC = 1..=4, RSC_DIS = 5, NFSW_DIS = 6, NFSR_DIS = 7, NFS_VER = 8..=9,
        IPV6_DIS = 10, IPV6_XSUM_DIS = 11, IPFRSP_DIS = 14, IPV6_EX_DIS = 16, NEW_IPV6_EXT_DIS = 17
    }
    /// Multicast hash table, 4,096 bits.
    MTA[128; 4] @ 0x05200, Rw, reset 0, "8.2.3.7.7"
    /// Receive address, bytes 0 to 3 in ascending order. Element 0 is loaded from the EEPROM.
    RAL[128; 8] @ 0x0A200, Rw, reset 0, "8.2.3.7.8"
    /// Receive address, bytes 4 and 5, and whether the entry is valid.
    RAH[128; 8] @ 0x0A204, Rw, reset 0, "8.2.3.7.9" { ADDR = 0..=15, AV = 31 }
    /// RAL, older place of elements 0 to 15.
    RAL_ALIAS[16; 8] @ 0x05400, Rw, reset 0, "8.2.3.7.8"
    /// RAH, older place of elements 0 to 15.
    RAH_ALIAS[16; 8] @ 0x05404, Rw, reset 0, "8.2.3.7.9" { ADDR = 0..=15, AV = 31 }
    /// Pools 0 to 31 (even elements) and 32 to 63 (odd) that each receive address belongs to.
    MPSAR[256; 4] @ 0x0A600, Rw, reset 0, "8.2.3.7.10"
    /// VLAN filter table, 4,096 bits.
    VFTA[128; 4] @ 0x0A000, Rw, reset 0, "8.2.3.7.11"
    /// Multiple receive queues: mode and which packets are hashed.
    MRQC @ 0x05818, Rw, reset 0, "8.2.3.7.12" {
        MRQE = 0..=3, RSS_TCPIPV4 = 16, RSS_IPV4 = 17, RSS_IPV6_EX_TCP = 18, RSS_IPV6_EX = 19,
        RSS_IPV6 = 20, RSS_TCPIPV6 = 21, RSS_UDPIPV4 = 22, RSS_UDPIPV6 = 23, RSS_IPV6_EX_UDP = 24
    }
    /// MRQC, second place.
    MRQC_ALIAS @ 0x0EC80, Rw, reset 0, "8.2.3.7.12"
    /// RSS queues per traffic class.
    RQTC @ 0x0EC70, Rw, reset 0x7777_7777, "8.2.3.7.13"
    /// RSS key, 40 bytes, first byte in the low bits of element 0.
    RSSRK[10; 4] @ 0x05C80, Rw, reset 0, "8.2.3.7.14"
    /// RSSRK, second place.
    RSSRK_ALIAS[10; 4] @ 0x0EB80, Rw, reset 0, "8.2.3.7.14"
    /// RSS redirection table: four entries a register, four bits used of each.
    RETA[32; 4] @ 0x05C00, Rw, reset 0, "8.2.3.7.15" { ENTRY0 = 0..=3, ENTRY1 = 8..=11, ENTRY2 = 16..=19, ENTRY3 = 24..=27 }
    /// RETA, second place.
    RETA_ALIAS[32; 4] @ 0x0EB00, Rw, reset 0, "8.2.3.7.15"
    /// Source address of a 5-tuple filter.
    SAQF[128; 4] @ 0x0E000, Rw, reset 0, "8.2.3.7.16"
    /// Destination address of a 5-tuple filter.
    DAQF[128; 4] @ 0x0E200, Rw, reset 0, "8.2.3.7.17"
    /// Ports of a 5-tuple filter.
    SDPQF[128; 4] @ 0x0E400, Rw, reset 0, "8.2.3.7.18" { SRC_PORT = 0..=15, DST_PORT = 16..=31 }
    /// 5-tuple filter.
    FTQF[128; 4] @ 0x0E600, Rw, reset 0, "8.2.3.7.19" { PROTOCOL = 0..=1, PRIORITY = 2..=4, POOL = 8..=13, MASK = 25..=29, POOL_MASK = 30, QUEUE_ENABLE = 31 }
    /// Where a 5-tuple filter sends its packets.
    L34TIMIR[128; 4] @ 0x0E800, Rw, reset 0, "8.2.3.5.13" { SIZE_BP = 12, LLI = 20, RX_QUEUE = 21..=27 }
    /// TCP SYN filter.
    SYNQF @ 0x0EC30, Rw, reset 0, "8.2.3.7.20" { QUEUE_ENABLE = 0, RX_QUEUE = 1..=7, SYNQFP = 31 }
    /// EtherType filter.
    ETQF[8; 4] @ 0x05128, Rw, reset 0, "8.2.3.7.21" {
        ETYPE = 0..=15, UP = 16..=18, UP_EN = 19, POOL = 20..=25, POOL_EN = 26, FCOE = 27, TIMESTAMP = 30, FILTER_EN = 31
    }
    /// Queue of an EtherType filter.
    ETQS[8; 4] @ 0x0EC00, Rw, reset 0, "8.2.3.7.22" { RX_QUEUE = 16..=22, LLI = 29, QUEUE_EN = 31 }
    /// Flow Director.
    FDIRCTRL @ 0x0EE00, Rw, reset 0, "8.2.3.7" {
        PBALLOC = 0..=1, INIT_DONE = 3, PERFECT_MATCH = 4, REPORT_STATUS = 5, REPORT_STATUS_ALWAYS = 7,
        DROP_Q = 8..=14, FLEX_OFFSET = 16..=20, MAX_LENGTH = 24..=27, FULL_THRESH = 28..=31
    }
    /// FCoE receive control.
    FCRXCTRL @ 0x05100, Rw, reset 0, "8.2.3.21"

    /// Ring base, low half. Queues 0 to 63; see [`rx_reg`](super::rx_reg).
    RDBAL[64; 0x40] @ 0x01000, Rw, reset 0, "8.2.3.8.1"
    /// Ring base, high half.
    RDBAH[64; 0x40] @ 0x01004, Rw, reset 0, "8.2.3.8.2"
    /// Ring length in bytes, a multiple of 128.
    RDLEN[64; 0x40] @ 0x01008, Rw, reset 0, "8.2.3.8.3" { LEN = 0..=19 }
    /// DCA and relaxed ordering. Bit 12 reads 1 after reset and must be written 0.
    DCA_RXCTRL[64; 0x40] @ 0x0100C, Rw, reset 0x0000_B200, "8.2.3.11.1" {
        DESC_DCA = 5, HEAD_DCA = 6, DATA_DCA = 7, DESC_RD_RO = 9, DESC_WB_RO = 11, RESERVED12 = 12, DATA_WR_RO = 13, HEAD_WR_RO = 15, CPUID = 24..=31
    }
    /// Next descriptor that the NIC fills.
    RDH[64; 0x40] @ 0x01010, Rw, reset 0, "8.2.3.8.4" { HEAD = 0..=15 }
    /// Buffer sizes, descriptor type, and what a full ring does.
    SRRCTL[64; 0x40] @ 0x01014, Rw, reset 0x0000_0402, "8.2.3.8.7" {
        BSIZEPACKET = 0..=4, BSIZEHEADER = 8..=13, RDMTS = 22..=24, DESCTYPE = 25..=27, DROP_EN = 28
    }
    /// One past the last descriptor that the NIC may fill.
    RDT[64; 0x40] @ 0x01018, Rw, reset 0, "8.2.3.8.5" { TAIL = 0..=15 }
    /// Queue enable.
    RXDCTL[64; 0x40] @ 0x01028, Rw, reset 0, "8.2.3.8.6" { RLPML = 0..=13, RLPML_EN = 15, ENABLE = 25, SWFLSH = 26, VME = 30 }
    /// Receive-side coalescing.
    RSCCTL[64; 0x40] @ 0x0102C, Rw, reset 0, "8.2.3.8.13" { RSCEN = 0, MAXDESC = 2..=3 }
    /// RDBAL of queues 64 to 127.
    RDBAL_64[64; 0x40] @ 0x0D000, Rw, reset 0, "8.2.3.8.1"
    /// RDBAH of queues 64 to 127.
    RDBAH_64[64; 0x40] @ 0x0D004, Rw, reset 0, "8.2.3.8.2"
    /// RDLEN of queues 64 to 127.
    RDLEN_64[64; 0x40] @ 0x0D008, Rw, reset 0, "8.2.3.8.3"
    /// DCA_RXCTRL of queues 64 to 127.
    DCA_RXCTRL_64[64; 0x40] @ 0x0D00C, Rw, reset 0x0000_B200, "8.2.3.11.1"
    /// RDH of queues 64 to 127.
    RDH_64[64; 0x40] @ 0x0D010, Rw, reset 0, "8.2.3.8.4"
    /// SRRCTL of queues 64 to 127.
    SRRCTL_64[64; 0x40] @ 0x0D014, Rw, reset 0x0000_0402, "8.2.3.8.7"
    /// RDT of queues 64 to 127.
    RDT_64[64; 0x40] @ 0x0D018, Rw, reset 0, "8.2.3.8.5"
    /// RXDCTL of queues 64 to 127.
    RXDCTL_64[64; 0x40] @ 0x0D028, Rw, reset 0, "8.2.3.8.6"
    /// RSCCTL of queues 64 to 127.
    RSCCTL_64[64; 0x40] @ 0x0D02C, Rw, reset 0, "8.2.3.8.13"
    /// SRRCTL, older place of queues 0 to 15.
    SRRCTL_ALIAS[16; 4] @ 0x02100, Rw, reset 0x0000_0402, "8.2.3.8.7"
    /// DCA_RXCTRL, older place of queues 0 to 15.
    DCA_RXCTRL_ALIAS[16; 4] @ 0x02200, Rw, reset 0x0000_B200, "8.2.3.11.1"

    /// Receive DMA control; CRCSTRIP must agree with HLREG0.RXCRCSTRP.
    RDRXCTL @ 0x02F00, Rw, reset 0x0010_8800, "8.2.3.8.8" {
        CRCSTRIP = 1, DMAIDONE = 3, RSCFRSTSIZE = 17..=21, RSCLLIDIS = 23, RSCACKC = 25, FCOE_WRFIX = 26
    }
    /// Drop enable by queue, for virtual functions.
    PFQDE @ 0x02F04, Rw, reset 0, "8.2.3.27" { QDE = 0, QUEUE_IDX = 8..=14, WE = 16, RE = 17 }
    /// Receive packet buffer sizes in KiB; after reset all 512 KiB are buffer 0's.
    RXPBSIZE[8; 4] @ 0x03C00, Rw, reset 0x0008_0000, "8.2.3.8.9" { SIZE = 10..=19 }
    /// Receive enable.
    RXCTRL @ 0x03000, Rw, reset 0, "8.2.3.8.10" { RXEN = 0 }
    /// Coalescing of small packets and acknowledgements.
    RSCDBU @ 0x03028, Rw, reset 0x0000_0020, "8.2.3.8" { RSCSMALDIS = 0..=6, RSCACKDIS = 7 }

    /// Receive security; RX_DIS holds the receive path still.
    SECRXCTRL @ 0x08D00, Rw, reset 0x0000_0001, "8.2.3.12.5" { SECRX_DIS = 0, RX_DIS = 1 }
    /// Whether the receive path stands still.
    SECRXSTAT @ 0x08D04, Ro, reset 0, "8.2.3.12.6" { SECRX_RDY = 0, SECRX_OFF_DIS = 1, ECC_RXERR = 2 }

    /// Virtualisation control.
    PFVTCTL @ 0x051B0, Rw, reset 0, "8.2.3.27" { VT_ENA = 0, DEF_PL = 7..=12, DIS_DEF_PL = 29, RPL_EN = 30 }
    /// Pools that may receive.
    PFVFRE[2; 4] @ 0x051E0, Rw, reset 0, "8.2.3.27"
    /// Pool receive control.
    PFVML2FLT[64; 4] @ 0x0F000, Rw, reset 0, "8.2.3.27" { UPE = 22, VPE = 23, AUPE = 24, ROMPE = 25, ROPE = 26, BAM = 27, MPE = 28 }
    /// VLAN pool filter.
    PFVLVF[64; 4] @ 0x0F100, Rw, reset 0, "8.2.3.27" { VLAN_ID = 0..=11, VI_EN = 31 }
    /// Pools of a VLAN pool filter.
    PFVLVFB[128; 4] @ 0x0F200, Rw, reset 0, "8.2.3.27"
    /// Unicast hash table.
    PFUTA[128; 4] @ 0x0F400, Rw, reset 0, "8.2.3.27"
}
