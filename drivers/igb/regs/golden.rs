//! The table against a second, separately written transcription, and against itself.

use super::later::LATER;
use super::*;
use crate::mmio::Register;

/// Name, offset of the first element, offset of the last, elements. Written from the public Linux,
/// DPDK and QEMU headers, formula by formula, without looking at the table.
const GOLDEN: &[(&str, u32, u32, u32)] = &[
    // General.
    ("CTRL", 0x00000, 0x00000, 1),
    ("CTRL_ALIAS", 0x00004, 0x00004, 1),
    ("STATUS", 0x00008, 0x00008, 1),
    ("EECD", 0x00010, 0x00010, 1),
    ("EERD", 0x00014, 0x00014, 1),
    ("CTRL_EXT", 0x00018, 0x00018, 1),
    ("FLA", 0x0001c, 0x0001c, 1),
    ("MDIC", 0x00020, 0x00020, 1),
    ("SERDESCTL", 0x00024, 0x00024, 1),
    ("FCAL", 0x00028, 0x00028, 1),
    ("FCAH", 0x0002c, 0x0002c, 1),
    ("FCT", 0x00030, 0x00030, 1),
    ("CONNSW", 0x00034, 0x00034, 1),
    ("VET", 0x00038, 0x00038, 1),
    ("LEDCTL", 0x00e00, 0x00e00, 1),
    ("EEMNGCTL", 0x01010, 0x01010, 1),
    ("I2CCMD", 0x01028, 0x01028, 1),
    ("FLOP", 0x0103c, 0x0103c, 1),
    ("FRTIMER", 0x01048, 0x01048, 1),
    ("TCPTIMER", 0x0104c, 0x0104c, 1),
    ("RXPBS", 0x02404, 0x02404, 1),
    ("TXPBS", 0x03404, 0x03404, 1),
    ("SWPBS", 0x03004, 0x03004, 1),
    ("GCR", 0x05b00, 0x05b00, 1),
    ("FACTPS", 0x05b30, 0x05b30, 1),
    ("SWSM", 0x05b50, 0x05b50, 1),
    ("FWSM", 0x05b54, 0x05b54, 1),
    ("SW_FW_SYNC", 0x05b5c, 0x05b5c, 1),
    ("MREVID", 0x05b64, 0x05b64, 1),
    ("DCA_ID", 0x05b70, 0x05b70, 1),
    ("DCA_CTRL", 0x05b74, 0x05b74, 1),
    ("WUC", 0x05800, 0x05800, 1),
    ("WUFC", 0x05808, 0x05808, 1),
    ("WUS", 0x05810, 0x05810, 1),
    ("MANC", 0x05820, 0x05820, 1),
    // Interrupts, with the older and the newer places of the 8254x causes.
    ("ICR", 0x000c0, 0x000c0, 1),
    ("ICS", 0x000c8, 0x000c8, 1),
    ("IMS", 0x000d0, 0x000d0, 1),
    ("IMC", 0x000d8, 0x000d8, 1),
    ("IAM", 0x000e0, 0x000e0, 1),
    ("ICR_ALIAS", 0x01500, 0x01500, 1),
    ("ICS_ALIAS", 0x01504, 0x01504, 1),
    ("IMS_ALIAS", 0x01508, 0x01508, 1),
    ("IMC_ALIAS", 0x0150c, 0x0150c, 1),
    ("IAM_ALIAS", 0x01510, 0x01510, 1),
    ("GPIE", 0x01514, 0x01514, 1),
    ("EICS", 0x01520, 0x01520, 1),
    ("EIMS", 0x01524, 0x01524, 1),
    ("EIMC", 0x01528, 0x01528, 1),
    ("EIAC", 0x0152c, 0x0152c, 1),
    ("EIAM", 0x01530, 0x01530, 1),
    ("EICR", 0x01580, 0x01580, 1),
    ("EITR", 0x01680, 0x016e0, 25),
    ("IVAR", 0x01700, 0x0171c, 8),
    ("IVAR_MISC", 0x01740, 0x01740, 1),
    ("PBACL", 0x05b68, 0x05b68, 1),
    // Flow control and PCS.
    ("FCTTV", 0x00170, 0x00170, 1),
    ("FCRTL", 0x02160, 0x02160, 1),
    ("FCRTL_ALIAS", 0x00168, 0x00168, 1),
    ("FCRTH", 0x02168, 0x02168, 1),
    ("FCRTV", 0x02460, 0x02460, 1),
    ("PCS_CFG", 0x04200, 0x04200, 1),
    ("PCS_LCTL", 0x04208, 0x04208, 1),
    ("PCS_LSTS", 0x0420c, 0x0420c, 1),
    ("PCS_ANADV", 0x04218, 0x04218, 1),
    ("PCS_LPAB", 0x0421c, 0x0421c, 1),
    ("PCS_NPTX", 0x04220, 0x04220, 1),
    ("PCS_LPABNP", 0x04224, 0x04224, 1),
    // Receive.
    ("RCTL", 0x00100, 0x00100, 1),
    ("RXCSUM", 0x05000, 0x05000, 1),
    ("RLPML", 0x05004, 0x05004, 1),
    ("RFCTL", 0x05008, 0x05008, 1),
    ("MTA", 0x05200, 0x053fc, 128),
    ("MTA_ALIAS", 0x00200, 0x003fc, 128),
    ("RAL", 0x05400, 0x05478, 16),
    ("RAH", 0x05404, 0x0547c, 16),
    ("RAL_ALIAS", 0x00040, 0x000b8, 16),
    ("RAH_ALIAS", 0x00044, 0x000bc, 16),
    ("RAL_16", 0x054e0, 0x05518, 8),
    ("RAH_16", 0x054e4, 0x0551c, 8),
    ("PSRTYPE", 0x05480, 0x0549c, 8),
    ("VFTA", 0x05600, 0x057fc, 128),
    ("VFTA_ALIAS", 0x00600, 0x007fc, 128),
    ("UTA", 0x0a000, 0x0a1fc, 128),
    ("MRQC", 0x05818, 0x05818, 1),
    ("RETA", 0x05c00, 0x05c7c, 32),
    ("RSSRK", 0x05c80, 0x05ca4, 10),
    ("ETQF", 0x05cb0, 0x05ccc, 8),
    ("SAQF", 0x05980, 0x0599c, 8),
    ("DAQF", 0x059a0, 0x059bc, 8),
    ("SPQF", 0x059c0, 0x059dc, 8),
    ("FTQF", 0x059e0, 0x059fc, 8),
    ("SYNQF", 0x055fc, 0x055fc, 1),
    ("IMIR", 0x05a80, 0x05a9c, 8),
    ("IMIREXT", 0x05aa0, 0x05abc, 8),
    ("IMIRVP", 0x05ac0, 0x05ac0, 1),
    ("RDBAL", 0x0c000, 0x0c3c0, 16),
    ("RDBAH", 0x0c004, 0x0c3c4, 16),
    ("RDLEN", 0x0c008, 0x0c3c8, 16),
    ("SRRCTL", 0x0c00c, 0x0c3cc, 16),
    ("RDH", 0x0c010, 0x0c3d0, 16),
    ("RXCTL", 0x0c014, 0x0c3d4, 16),
    ("RDT", 0x0c018, 0x0c3d8, 16),
    ("RXDCTL", 0x0c028, 0x0c3e8, 16),
    ("RQDPC", 0x0c030, 0x0c3f0, 16),
    ("RDBAL_ALIAS", 0x02800, 0x02b00, 4),
    ("RDBAH_ALIAS", 0x02804, 0x02b04, 4),
    ("RDLEN_ALIAS", 0x02808, 0x02b08, 4),
    ("SRRCTL_ALIAS", 0x0280c, 0x02b0c, 4),
    ("RDH_ALIAS", 0x02810, 0x02b10, 4),
    ("RXCTL_ALIAS", 0x02814, 0x02b14, 4),
    ("RDT_ALIAS", 0x02818, 0x02b18, 4),
    ("RXDCTL_ALIAS", 0x02828, 0x02b28, 4),
    ("RQDPC_ALIAS", 0x02830, 0x02b30, 4),
    ("VT_CTL", 0x0581c, 0x0581c, 1),
    ("QDE", 0x02408, 0x02408, 1),
    ("VFRE", 0x00c8c, 0x00c8c, 1),
    ("VMOLR", 0x05ad0, 0x05aec, 8),
    ("RPLOLR", 0x05af0, 0x05af0, 1),
    ("VLVF", 0x05d00, 0x05d7c, 32),
    // Transmit.
    ("TCTL", 0x00400, 0x00400, 1),
    ("TCTL_EXT", 0x00404, 0x00404, 1),
    ("TIPG", 0x00410, 0x00410, 1),
    ("DTXCTL", 0x03590, 0x03590, 1),
    ("DTXTCPFLGL", 0x0359c, 0x0359c, 1),
    ("DTXTCPFLGH", 0x035a0, 0x035a0, 1),
    ("DTXMXSZRQ", 0x03540, 0x03540, 1),
    ("TDBAL", 0x0e000, 0x0e3c0, 16),
    ("TDBAH", 0x0e004, 0x0e3c4, 16),
    ("TDLEN", 0x0e008, 0x0e3c8, 16),
    ("TDH", 0x0e010, 0x0e3d0, 16),
    ("TXCTL", 0x0e014, 0x0e3d4, 16),
    ("TDT", 0x0e018, 0x0e3d8, 16),
    ("TXDCTL", 0x0e028, 0x0e3e8, 16),
    ("TDWBAL", 0x0e038, 0x0e3f8, 16),
    ("TDWBAH", 0x0e03c, 0x0e3fc, 16),
    ("TDBAL_ALIAS", 0x03800, 0x03b00, 4),
    ("TDBAH_ALIAS", 0x03804, 0x03b04, 4),
    ("TDLEN_ALIAS", 0x03808, 0x03b08, 4),
    ("TDH_ALIAS", 0x03810, 0x03b10, 4),
    ("TXCTL_ALIAS", 0x03814, 0x03b14, 4),
    ("TDT_ALIAS", 0x03818, 0x03b18, 4),
    ("TXDCTL_ALIAS", 0x03828, 0x03b28, 4),
    ("TDWBAL_ALIAS", 0x03838, 0x03b38, 4),
    ("TDWBAH_ALIAS", 0x0383c, 0x03b3c, 4),
    ("VFTE", 0x00c90, 0x00c90, 1),
    ("DTXSWC", 0x03500, 0x03500, 1),
    ("VMVIR", 0x03700, 0x0371c, 8),
    // Statistics.
    ("CRCERRS", 0x04000, 0x04000, 1),
    ("ALGNERRC", 0x04004, 0x04004, 1),
    ("SYMERRS", 0x04008, 0x04008, 1),
    ("RXERRC", 0x0400c, 0x0400c, 1),
    ("MPC", 0x04010, 0x04010, 1),
    ("SCC", 0x04014, 0x04014, 1),
    ("ECOL", 0x04018, 0x04018, 1),
    ("MCC", 0x0401c, 0x0401c, 1),
    ("LATECOL", 0x04020, 0x04020, 1),
    ("COLC", 0x04028, 0x04028, 1),
    ("CBTMPC", 0x0402c, 0x0402c, 1),
    ("DC", 0x04030, 0x04030, 1),
    ("TNCRS", 0x04034, 0x04034, 1),
    ("HTDPMC", 0x0403c, 0x0403c, 1),
    ("RLEC", 0x04040, 0x04040, 1),
    ("XONRXC", 0x04048, 0x04048, 1),
    ("XONTXC", 0x0404c, 0x0404c, 1),
    ("XOFFRXC", 0x04050, 0x04050, 1),
    ("XOFFTXC", 0x04054, 0x04054, 1),
    ("FCRUC", 0x04058, 0x04058, 1),
    ("PRC64", 0x0405c, 0x0405c, 1),
    ("PRC127", 0x04060, 0x04060, 1),
    ("PRC255", 0x04064, 0x04064, 1),
    ("PRC511", 0x04068, 0x04068, 1),
    ("PRC1023", 0x0406c, 0x0406c, 1),
    ("PRC1522", 0x04070, 0x04070, 1),
    ("GPRC", 0x04074, 0x04074, 1),
    ("BPRC", 0x04078, 0x04078, 1),
    ("MPRC", 0x0407c, 0x0407c, 1),
    ("GPTC", 0x04080, 0x04080, 1),
    ("GORCL", 0x04088, 0x04088, 1),
    ("GORCH", 0x0408c, 0x0408c, 1),
    ("GOTCL", 0x04090, 0x04090, 1),
    ("GOTCH", 0x04094, 0x04094, 1),
    ("RNBC", 0x040a0, 0x040a0, 1),
    ("RUC", 0x040a4, 0x040a4, 1),
    ("RFC", 0x040a8, 0x040a8, 1),
    ("ROC", 0x040ac, 0x040ac, 1),
    ("RJC", 0x040b0, 0x040b0, 1),
    ("MNGPRC", 0x040b4, 0x040b4, 1),
    ("MNGPDC", 0x040b8, 0x040b8, 1),
    ("MNGPTC", 0x040bc, 0x040bc, 1),
    ("TORL", 0x040c0, 0x040c0, 1),
    ("TORH", 0x040c4, 0x040c4, 1),
    ("TOTL", 0x040c8, 0x040c8, 1),
    ("TOTH", 0x040cc, 0x040cc, 1),
    ("TPR", 0x040d0, 0x040d0, 1),
    ("TPT", 0x040d4, 0x040d4, 1),
    ("PTC64", 0x040d8, 0x040d8, 1),
    ("PTC127", 0x040dc, 0x040dc, 1),
    ("PTC255", 0x040e0, 0x040e0, 1),
    ("PTC511", 0x040e4, 0x040e4, 1),
    ("PTC1023", 0x040e8, 0x040e8, 1),
    ("PTC1522", 0x040ec, 0x040ec, 1),
    ("MPTC", 0x040f0, 0x040f0, 1),
    ("BPTC", 0x040f4, 0x040f4, 1),
    ("TSCTC", 0x040f8, 0x040f8, 1),
    ("CBRMPC", 0x040fc, 0x040fc, 1),
    ("IAC", 0x04100, 0x04100, 1),
    ("RPTHC", 0x04104, 0x04104, 1),
    ("HGPTC", 0x04118, 0x04118, 1),
    ("RXDMTC", 0x04120, 0x04120, 1),
    ("HTCBDPC", 0x04124, 0x04124, 1),
    ("HGORCL", 0x04128, 0x04128, 1),
    ("HGORCH", 0x0412c, 0x0412c, 1),
    ("HGOTCL", 0x04130, 0x04130, 1),
    ("HGOTCH", 0x04134, 0x04134, 1),
    ("LENERRS", 0x04138, 0x04138, 1),
    ("SCVPC", 0x04228, 0x04228, 1),
    ("PVFGPRC", 0x10010, 0x10710, 8),
    ("PVFGPTC", 0x10014, 0x10714, 8),
    ("PVFGORC", 0x10018, 0x10718, 8),
    ("PVFGOTC", 0x10034, 0x10734, 8),
    ("PVFMPRC", 0x1003c, 0x1073c, 8),
];

/// The same for what later chips add.
const GOLDEN_LATER: &[(&str, u32, u32, u32)] = &[
    ("MDICNFG", 0x00e04, 0x00e04, 1),
    ("PHPM", 0x00e14, 0x00e14, 1),
    ("EEMNGCTL_I21X", 0x12030, 0x12030, 1),
    ("INVM_DATA", 0x12120, 0x1221c, 64),
    ("RAL_24", 0x05520, 0x05558, 8),
    ("RAH_24", 0x05524, 0x0555c, 8),
    ("DVMOLR", 0x0c038, 0x0c1f8, 8),
    ("DTXMXPKTSZ", 0x0355c, 0x0355c, 1),
];

/// Register, field, mask; from the same headers.
const GOLDEN_MASKS: &[(&str, &str, u32)] = &[
    ("CTRL", "FD", 0x0000_0001),
    ("CTRL", "GIO_DIS", 0x0000_0004),
    ("CTRL", "LRST", 0x0000_0008),
    ("CTRL", "SLU", 0x0000_0040),
    ("CTRL", "SPEED", 0x0000_0300),
    ("CTRL", "FRCSPD", 0x0000_0800),
    ("CTRL", "FRCDPLX", 0x0000_1000),
    ("CTRL", "SDP0_DATA", 0x0004_0000),
    ("CTRL", "SDP1_DATA", 0x0008_0000),
    ("CTRL", "SDP0_IODIR", 0x0040_0000),
    ("CTRL", "RST", 0x0400_0000),
    ("CTRL", "RFCE", 0x0800_0000),
    ("CTRL", "TFCE", 0x1000_0000),
    ("CTRL", "VME", 0x4000_0000),
    ("CTRL", "PHY_RST", 0x8000_0000),
    ("STATUS", "FD", 0x0000_0001),
    ("STATUS", "LU", 0x0000_0002),
    ("STATUS", "LAN_ID", 0x0000_000c),
    ("STATUS", "TXOFF", 0x0000_0010),
    ("STATUS", "SPEED", 0x0000_00c0),
    ("STATUS", "SKU_2500", 0x0000_1000),
    ("STATUS", "SKU_2500_OVER", 0x0000_2000),
    ("STATUS", "IOV_MODE", 0x0004_0000),
    ("STATUS", "GIO_MASTER", 0x0008_0000),
    ("STATUS", "DEV_RST_SET", 0x0010_0000),
    ("STATUS", "PF_RST_DONE", 0x0020_0000),
    ("CTRL_EXT", "SDP3_DATA", 0x0000_0080),
    ("CTRL_EXT", "SDP3_IODIR", 0x0000_0800),
    ("CTRL_EXT", "PFRSTD", 0x0000_4000),
    ("CTRL_EXT", "LINK_MODE", 0x00c0_0000),
    ("CTRL_EXT", "EIAME", 0x0100_0000),
    ("CTRL_EXT", "I2C_ENABLED", 0x0200_0000),
    ("CTRL_EXT", "EXT_VLAN", 0x0400_0000),
    ("CTRL_EXT", "DRV_LOAD", 0x1000_0000),
    ("MDIC", "DATA", 0x0000_ffff),
    ("MDIC", "REGADD", 0x001f_0000),
    ("MDIC", "PHYADD", 0x03e0_0000),
    ("MDIC", "OP", 0x0c00_0000),
    ("MDIC", "READY", 0x1000_0000),
    ("MDIC", "ERROR", 0x4000_0000),
    ("MDIC", "DEST", 0x8000_0000),
    ("CONNSW", "ENRGSRC", 0x0000_0004),
    ("EECD", "REQ", 0x0000_0040),
    ("EECD", "GNT", 0x0000_0080),
    ("EECD", "PRES", 0x0000_0100),
    ("EECD", "AUTO_RD", 0x0000_0200),
    ("EECD", "SIZE", 0x0000_7800),
    ("EECD", "FLASH_DETECTED", 0x0008_0000),
    ("EERD", "START", 0x0000_0001),
    ("EERD", "DONE", 0x0000_0002),
    ("EERD", "ADDR", 0x0000_fffc),
    ("EERD", "DATA", 0xffff_0000),
    ("EEMNGCTL", "CFG_DONE0", 0x0004_0000),
    ("EEMNGCTL", "CFG_DONE1", 0x0008_0000),
    ("EEMNGCTL", "CFG_DONE2", 0x0010_0000),
    ("EEMNGCTL", "CFG_DONE3", 0x0020_0000),
    ("GCR", "CMPL_TMOUT", 0x0000_f000),
    ("GCR", "CMPL_TMOUT_RESEND", 0x0001_0000),
    ("GCR", "CAP_VER2", 0x0004_0000),
    ("SWSM", "SMBI", 0x0000_0001),
    ("SWSM", "SWESMBI", 0x0000_0002),
    ("FWSM", "FW_MODE", 0x0000_000e),
    ("SW_FW_SYNC", "SW_EEP", 0x0000_0001),
    ("SW_FW_SYNC", "SW_PHY0", 0x0000_0002),
    ("SW_FW_SYNC", "SW_PHY1", 0x0000_0004),
    ("SW_FW_SYNC", "SW_PHY2", 0x0000_0020),
    ("SW_FW_SYNC", "SW_PHY3", 0x0000_0040),
    ("SW_FW_SYNC", "FW_PHY0", 0x0002_0000),
    ("MANC", "RCV_TCO_EN", 0x0002_0000),
    ("MANC", "BLK_PHY_RST_ON_IDE", 0x0004_0000),
    ("ICR", "TXDW", 0x0000_0001),
    ("ICR", "LSC", 0x0000_0004),
    ("ICR", "RXDMT0", 0x0000_0010),
    ("ICR", "RXO", 0x0000_0040),
    ("ICR", "RXDW", 0x0000_0080),
    ("ICR", "DOUTSYNC", 0x1000_0000),
    ("ICR", "DRSTA", 0x4000_0000),
    ("ICR", "INTA", 0x8000_0000),
    ("EICR", "OTHER", 0x8000_0000),
    ("GPIE", "NSICR", 0x0000_0001),
    ("GPIE", "MULTIPLE_MSIX", 0x0000_0010),
    ("GPIE", "EIAME", 0x4000_0000),
    ("GPIE", "PBA_SUPPORT", 0x8000_0000),
    ("IVAR", "VAL0", 0x0000_0080),
    ("IVAR", "VAL2", 0x0080_0000),
    ("EITR", "INTERVAL", 0x0000_7ffc),
    ("EITR", "CNT_INGR", 0x8000_0000),
    ("FCRTL", "XONE", 0x8000_0000),
    ("PCS_CFG", "PCS_EN", 0x0000_0008),
    ("PCS_LCTL", "FLV", 0x0000_0001),
    ("PCS_LCTL", "FSV", 0x0000_0006),
    ("PCS_LCTL", "FDV", 0x0000_0008),
    ("PCS_LCTL", "FSD", 0x0000_0010),
    ("PCS_LCTL", "FORCE_LINK", 0x0000_0020),
    ("PCS_LCTL", "FORCE_FC", 0x0000_0080),
    ("PCS_LCTL", "AN_ENABLE", 0x0001_0000),
    ("PCS_LCTL", "AN_RESTART", 0x0002_0000),
    ("PCS_LCTL", "AN_TIMEOUT_EN", 0x0004_0000),
    ("PCS_LSTS", "LINK_OK", 0x0000_0001),
    ("PCS_LSTS", "SPEED", 0x0000_0006),
    ("PCS_LSTS", "DUPLEX", 0x0000_0008),
    ("PCS_LSTS", "SYNC_OK", 0x0000_0010),
    ("PCS_LSTS", "AN_COMPLETE", 0x0001_0000),
    ("PCS_ANADV", "PAUSE", 0x0000_0080),
    ("PCS_ANADV", "ASM_DIR", 0x0000_0100),
    ("RCTL", "RXEN", 0x0000_0002),
    ("RCTL", "SBP", 0x0000_0004),
    ("RCTL", "UPE", 0x0000_0008),
    ("RCTL", "MPE", 0x0000_0010),
    ("RCTL", "LPE", 0x0000_0020),
    ("RCTL", "LBM", 0x0000_00c0),
    ("RCTL", "BAM", 0x0000_8000),
    ("RCTL", "BSIZE", 0x0003_0000),
    ("RCTL", "VFE", 0x0004_0000),
    ("RCTL", "CFIEN", 0x0008_0000),
    ("RCTL", "DPF", 0x0040_0000),
    ("RCTL", "PMCF", 0x0080_0000),
    ("RCTL", "SECRC", 0x0400_0000),
    ("RXCSUM", "IPOFL", 0x0000_0100),
    ("RXCSUM", "TUOFL", 0x0000_0200),
    ("RXCSUM", "CRCOFL", 0x0000_0800),
    ("RXCSUM", "PCSD", 0x0000_2000),
    ("RFCTL", "IPV6_EX_DIS", 0x0001_0000),
    ("RFCTL", "LEF", 0x0004_0000),
    ("RAH", "AV", 0x8000_0000),
    ("RAH", "POOL", 0x03fc_0000),
    ("MRQC", "RSS_TCPIPV4", 0x0001_0000),
    ("MRQC", "RSS_IPV4", 0x0002_0000),
    ("MRQC", "RSS_IPV6_EX_TCP", 0x0004_0000),
    ("MRQC", "RSS_IPV6", 0x0010_0000),
    ("MRQC", "RSS_TCPIPV6", 0x0020_0000),
    ("MRQC", "RSS_UDPIPV4", 0x0040_0000),
    ("MRQC", "RSS_UDPIPV6", 0x0080_0000),
    ("MRQC", "RSS_IPV6_EX_UDP", 0x0100_0000),
    ("SRRCTL", "BSIZEPACKET", 0x0000_007f),
    ("SRRCTL", "BSIZEHEADER", 0x0000_3f00),
    ("SRRCTL", "DESCTYPE", 0x0e00_0000),
    ("SRRCTL", "TIMESTAMP", 0x4000_0000),
    ("SRRCTL", "DROP_EN", 0x8000_0000),
    ("RXDCTL", "ENABLE", 0x0200_0000),
    ("RQDPC", "COUNT", 0x0000_0fff),
    ("RXCTL", "DESC_DCA", 0x0000_0020),
    ("RXCTL", "DESC_RD_RO", 0x0000_0200),
    ("RXCTL", "CPUID", 0xff00_0000),
    ("ETQF", "FILTER_EN", 0x0400_0000),
    ("ETQF", "QUEUE_EN", 0x8000_0000),
    ("FTQF", "VF_BP", 0x0000_8000),
    ("FTQF", "MASK", 0xf000_0000),
    ("VT_CTL", "DEF_PL", 0x0000_0380),
    ("VT_CTL", "RPL_EN", 0x4000_0000),
    ("VMOLR", "RLPML", 0x0000_3fff),
    ("VMOLR", "LPE", 0x0001_0000),
    ("VMOLR", "STRVLAN", 0x4000_0000),
    ("VMOLR", "STRCRC", 0x8000_0000),
    ("RPLOLR", "STRCRC", 0x8000_0000),
    ("VLVF", "VI_EN", 0x8000_0000),
    ("TCTL", "TXEN", 0x0000_0002),
    ("TCTL", "PSP", 0x0000_0008),
    ("TCTL", "CT", 0x0000_0ff0),
    ("TCTL", "COLD", 0x003f_f000),
    ("TCTL", "RTLC", 0x0100_0000),
    ("TXDCTL", "ENABLE", 0x0200_0000),
    ("TXCTL", "DESC_RD_RO", 0x0000_0200),
    ("TXCTL", "DESC_WB_RO", 0x0000_0800),
    ("TXCTL", "DATA_RD_RO", 0x0000_2000),
    ("DTXCTL", "SPOOF_INT", 0x0000_0040),
    ("DTXSWC", "LOOPBACK_EN", 0x8000_0000),
    ("MDICNFG", "PHYADD", 0x03e0_0000),
    ("MDICNFG", "COM_MDIO", 0x4000_0000),
    ("MDICNFG", "EXT_MDIO", 0x8000_0000),
    ("PHPM", "GO_LINKD", 0x0000_0020),
    ("DVMOLR", "STRCRC", 0x8000_0000),
];

fn all() -> impl Iterator<Item = &'static RegMeta> {
    table().chain(LATER)
}

fn find(name: &str) -> &'static RegMeta {
    all().find(|r| r.name == name).unwrap_or_else(|| panic!("{name} is not in the table"))
}

#[test]
fn offsets_agree_with_a_second_transcription() {
    for (name, first, last, count) in GOLDEN.iter().chain(GOLDEN_LATER) {
        let r = find(name);
        assert_eq!(r.offset_of(0), *first, "{name}: first");
        assert_eq!(r.count, *count, "{name}: elements");
        assert_eq!(r.offset_of(count - 1), *last, "{name}: last");
    }
    for r in all() {
        let golden = GOLDEN.iter().chain(GOLDEN_LATER);
        assert_eq!(golden.filter(|g| g.0 == r.name).count(), 1, "{}'s golden lines", r.name);
    }
    assert_eq!(GOLDEN.len(), table().count(), "a register is listed twice");
}

#[test]
fn masks_agree_with_a_second_transcription() {
    for (register, field, mask) in GOLDEN_MASKS {
        let f = find(register).fields.iter().find(|f| f.name == *field);
        let f = f.unwrap_or_else(|| panic!("{register}.{field} is missing"));
        assert_eq!(f.mask(), *mask, "{register}.{field}");
    }
}

#[test]
fn no_two_registers_share_an_offset() {
    let mut owner = std::collections::HashMap::new();
    for r in all() {
        for i in 0..r.count {
            let at = r.offset_of(i);
            assert!(at.is_multiple_of(4) && at < BAR_LEN, "{}[{i}] at {at:#x}", r.name);
            if let Some(other) = owner.insert(at, r.name) {
                panic!("{}[{i}] and {other} are both at {at:#x}", r.name);
            }
        }
    }
}

#[test]
fn fields_fit_and_do_not_overlap() {
    for r in all() {
        let mut seen = 0;
        for f in r.fields {
            assert!(f.lo <= f.hi && f.hi < 32, "{}.{}", r.name, f.name);
            assert_eq!(seen & f.mask(), 0, "{}.{} overlaps another field", r.name, f.name);
            seen |= f.mask();
        }
    }
}

#[test]
fn aliases_name_two_arrays_of_which_the_first_is_no_longer() {
    for (alias, real) in ALIASES {
        let (a, r) = (find(alias), find(real));
        assert!(a.count <= r.count && a.access == r.access && a.reset == r.reset, "{alias}");
    }
    let named = table().filter(|r| r.name.ends_with("_ALIAS")).count();
    assert_eq!(named, ALIASES.len());
}

#[test]
fn every_queue_of_the_largest_chip_has_its_registers() {
    for r in [RDBAL::META, RDT::META, RXDCTL::META, RQDPC::META, TDBAL::META, TXDCTL::META] {
        assert_eq!(r.count, QUEUES, "{}", r.name);
    }
    assert!(RDT::META.offset_of(QUEUES) >= BAR_LEN);
}

#[test]
fn the_dump_reads_nothing_that_a_read_changes() {
    for name in ["ICR", "EICR", "ICR_ALIAS", "SWSM", "RQDPC", "GPRC", "EICS", "IMC", "UTA"] {
        assert!(!safe_to_read(find(name)), "{name}");
    }
    for name in ["CTRL", "STATUS", "PCS_LSTS", "RDH", "TDT", "IMS", "PVFGPRC"] {
        assert!(safe_to_read(find(name)), "{name}");
    }
}
