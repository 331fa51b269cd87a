//! The table against a second, separately written transcription, and against itself.

use super::*;
use crate::mmio::Register;

/// Name, offset of the first element, offset of the last, elements. Written from the public Linux
/// and DPDK headers, formula by formula, without looking at the table.
const GOLDEN: &[(&str, u32, u32, u32)] = &[
    // General.
    ("CTRL", 0x00000, 0x00000, 1),
    ("STATUS", 0x00008, 0x00008, 1),
    ("CTRL_EXT", 0x00018, 0x00018, 1),
    ("ESDP", 0x00020, 0x00020, 1),
    ("I2CCTL", 0x00028, 0x00028, 1),
    ("FRTIMER", 0x00048, 0x00048, 1),
    ("TCPTIMER", 0x0004c, 0x0004c, 1),
    ("LEDCTL", 0x00200, 0x00200, 1),
    ("EXVET", 0x05078, 0x05078, 1),
    ("EEC", 0x10010, 0x10010, 1),
    ("EERD", 0x10014, 0x10014, 1),
    ("FLA", 0x1001c, 0x1001c, 1),
    ("EEMNGCTL", 0x10110, 0x10110, 1),
    ("GRC", 0x10200, 0x10200, 1),
    ("SRAMREL", 0x10210, 0x10210, 1),
    ("GCR", 0x11000, 0x11000, 1),
    ("GCR_EXT", 0x11050, 0x11050, 1),
    ("FACTPS", 0x10150, 0x10150, 1),
    ("MREVID", 0x11064, 0x11064, 1),
    ("SWSM", 0x10140, 0x10140, 1),
    ("FWSM", 0x10148, 0x10148, 1),
    ("SW_FW_SYNC", 0x10160, 0x10160, 1),
    ("DCA_ID", 0x11070, 0x11070, 1),
    ("DCA_CTRL", 0x11074, 0x11074, 1),
    // Interrupts.
    ("EICR", 0x00800, 0x00800, 1),
    ("EICS", 0x00808, 0x00808, 1),
    ("EIAC", 0x00810, 0x00810, 1),
    ("EITR", 0x00820, 0x0087c, 24),
    ("EITR_24", 0x12300, 0x1249c, 104),
    ("EIMS", 0x00880, 0x00880, 1),
    ("EIMC", 0x00888, 0x00888, 1),
    ("EIAM", 0x00890, 0x00890, 1),
    ("EITRSEL", 0x00894, 0x00894, 1),
    ("GPIE", 0x00898, 0x00898, 1),
    ("IVAR", 0x00900, 0x009fc, 64),
    ("IVAR_MISC", 0x00a00, 0x00a00, 1),
    ("EICS_EX", 0x00a90, 0x00a94, 2),
    ("EIMS_EX", 0x00aa0, 0x00aa4, 2),
    ("EIMC_EX", 0x00ab0, 0x00ab4, 2),
    ("EIAM_EX", 0x00ad0, 0x00ad4, 2),
    ("PBACL", 0x110c0, 0x110dc, 8),
    ("WUC", 0x05800, 0x05800, 1),
    ("WUFC", 0x05808, 0x05808, 1),
    ("WUS", 0x05810, 0x05810, 1),
    // Flow control.
    ("FCTTV", 0x03200, 0x0320c, 4),
    ("FCRTL", 0x03220, 0x0323c, 8),
    ("FCRTH", 0x03260, 0x0327c, 8),
    ("FCRTV", 0x032a0, 0x032a0, 1),
    ("FCCFG", 0x03d00, 0x03d00, 1),
    ("TFCS", 0x0ce00, 0x0ce00, 1),
    // Receive.
    ("RDBAL", 0x01000, 0x01fc0, 64),
    ("RDBAH", 0x01004, 0x01fc4, 64),
    ("RDLEN", 0x01008, 0x01fc8, 64),
    ("DCA_RXCTRL", 0x0100c, 0x01fcc, 64),
    ("RDH", 0x01010, 0x01fd0, 64),
    ("SRRCTL", 0x01014, 0x01fd4, 64),
    ("RDT", 0x01018, 0x01fd8, 64),
    ("RXDCTL", 0x01028, 0x01fe8, 64),
    ("RSCCTL", 0x0102c, 0x01fec, 64),
    ("RDBAL_64", 0x0d000, 0x0dfc0, 64),
    ("RDBAH_64", 0x0d004, 0x0dfc4, 64),
    ("RDLEN_64", 0x0d008, 0x0dfc8, 64),
    ("DCA_RXCTRL_64", 0x0d00c, 0x0dfcc, 64),
    ("RDH_64", 0x0d010, 0x0dfd0, 64),
    ("SRRCTL_64", 0x0d014, 0x0dfd4, 64),
    ("RDT_64", 0x0d018, 0x0dfd8, 64),
    ("RXDCTL_64", 0x0d028, 0x0dfe8, 64),
    ("RSCCTL_64", 0x0d02c, 0x0dfec, 64),
    ("SRRCTL_ALIAS", 0x02100, 0x0213c, 16),
    ("DCA_RXCTRL_ALIAS", 0x02200, 0x0223c, 16),
    ("RDRXCTL", 0x02f00, 0x02f00, 1),
    ("PFQDE", 0x02f04, 0x02f04, 1),
    ("RXCTRL", 0x03000, 0x03000, 1),
    ("RSCDBU", 0x03028, 0x03028, 1),
    ("RXPBSIZE", 0x03c00, 0x03c1c, 8),
    ("RXCSUM", 0x05000, 0x05000, 1),
    ("RFCTL", 0x05008, 0x05008, 1),
    ("FCTRL", 0x05080, 0x05080, 1),
    ("VLNCTRL", 0x05088, 0x05088, 1),
    ("MCSTCTRL", 0x05090, 0x05090, 1),
    ("FCRXCTRL", 0x05100, 0x05100, 1),
    ("ETQF", 0x05128, 0x05144, 8),
    ("PFVTCTL", 0x051b0, 0x051b0, 1),
    ("PFVFRE", 0x051e0, 0x051e4, 2),
    ("MTA", 0x05200, 0x053fc, 128),
    ("RAL_ALIAS", 0x05400, 0x05478, 16),
    ("RAH_ALIAS", 0x05404, 0x0547c, 16),
    ("PSRTYPE_ALIAS", 0x05480, 0x054bc, 16),
    ("MRQC", 0x05818, 0x05818, 1),
    ("RETA", 0x05c00, 0x05c7c, 32),
    ("RSSRK", 0x05c80, 0x05ca4, 10),
    ("SECRXCTRL", 0x08d00, 0x08d00, 1),
    ("SECRXSTAT", 0x08d04, 0x08d04, 1),
    ("VFTA", 0x0a000, 0x0a1fc, 128),
    ("RAL", 0x0a200, 0x0a5f8, 128),
    ("RAH", 0x0a204, 0x0a5fc, 128),
    ("MPSAR", 0x0a600, 0x0a9fc, 256),
    ("SAQF", 0x0e000, 0x0e1fc, 128),
    ("DAQF", 0x0e200, 0x0e3fc, 128),
    ("SDPQF", 0x0e400, 0x0e5fc, 128),
    ("FTQF", 0x0e600, 0x0e7fc, 128),
    ("L34TIMIR", 0x0e800, 0x0e9fc, 128),
    ("PSRTYPE", 0x0ea00, 0x0eafc, 64),
    ("RETA_ALIAS", 0x0eb00, 0x0eb7c, 32),
    ("RSSRK_ALIAS", 0x0eb80, 0x0eba4, 10),
    ("ETQS", 0x0ec00, 0x0ec1c, 8),
    ("SYNQF", 0x0ec30, 0x0ec30, 1),
    ("RQTC", 0x0ec70, 0x0ec70, 1),
    ("MRQC_ALIAS", 0x0ec80, 0x0ec80, 1),
    ("FDIRCTRL", 0x0ee00, 0x0ee00, 1),
    ("PFVML2FLT", 0x0f000, 0x0f0fc, 64),
    ("PFVLVF", 0x0f100, 0x0f1fc, 64),
    ("PFVLVFB", 0x0f200, 0x0f3fc, 128),
    ("PFUTA", 0x0f400, 0x0f5fc, 128),
    // Transmit.
    ("DMATXCTL", 0x04a80, 0x04a80, 1),
    ("DTXTCPFLGL", 0x04a88, 0x04a88, 1),
    ("DTXTCPFLGH", 0x04a8c, 0x04a8c, 1),
    ("TXPBTHRESH", 0x04950, 0x0496c, 8),
    ("TDBAL", 0x06000, 0x07fc0, 128),
    ("TDBAH", 0x06004, 0x07fc4, 128),
    ("TDLEN", 0x06008, 0x07fc8, 128),
    ("DCA_TXCTRL", 0x0600c, 0x07fcc, 128),
    ("TDH", 0x06010, 0x07fd0, 128),
    ("TDT", 0x06018, 0x07fd8, 128),
    ("TXDCTL", 0x06028, 0x07fe8, 128),
    ("TDWBAL", 0x06038, 0x07ff8, 128),
    ("TDWBAH", 0x0603c, 0x07ffc, 128),
    ("DTXMXSZRQ", 0x08100, 0x08100, 1),
    ("PFVFTE", 0x08110, 0x08114, 2),
    ("MTQC", 0x08120, 0x08120, 1),
    ("PFDTXGSWC", 0x08220, 0x08220, 1),
    ("SECTXCTRL", 0x08800, 0x08800, 1),
    ("SECTXSTAT", 0x08804, 0x08804, 1),
    ("SECTXBUFFAF", 0x08808, 0x08808, 1),
    ("SECTXMINIFG", 0x08810, 0x08810, 1),
    ("TXPBSIZE", 0x0cc00, 0x0cc1c, 8),
    // Arbitration.
    ("RTRPT4C", 0x02140, 0x0215c, 8),
    ("RTRPCS", 0x02430, 0x02430, 1),
    ("RTRUP2TC", 0x03020, 0x03020, 1),
    ("RTTDCS", 0x04900, 0x04900, 1),
    ("RTTDQSEL", 0x04904, 0x04904, 1),
    ("RTTDT1C", 0x04908, 0x04908, 1),
    ("RTTDT2C", 0x04910, 0x0492c, 8),
    ("RTTBCNRM", 0x04980, 0x04980, 1),
    ("RTTBCNRC", 0x04984, 0x04984, 1),
    ("RTTUP2TC", 0x0c800, 0x0c800, 1),
    ("RTTPCS", 0x0cd00, 0x0cd00, 1),
    ("RTTPT2C", 0x0cd20, 0x0cd3c, 8),
    // MAC.
    ("PCS1GCFIG", 0x04200, 0x04200, 1),
    ("PCS1GLCTL", 0x04208, 0x04208, 1),
    ("PCS1GLSTA", 0x0420c, 0x0420c, 1),
    ("PCS1GANA", 0x04218, 0x04218, 1),
    ("PCS1GANLP", 0x0421c, 0x0421c, 1),
    ("HLREG0", 0x04240, 0x04240, 1),
    ("HLREG1", 0x04244, 0x04244, 1),
    ("PAP", 0x04248, 0x04248, 1),
    ("MSCA", 0x0425c, 0x0425c, 1),
    ("MSRWD", 0x04260, 0x04260, 1),
    ("MAXFRS", 0x04268, 0x04268, 1),
    ("PCSS1", 0x04288, 0x04288, 1),
    ("PCSS2", 0x0428c, 0x0428c, 1),
    ("XPCSS", 0x04290, 0x04290, 1),
    ("MFLCN", 0x04294, 0x04294, 1),
    ("SERDESC", 0x04298, 0x04298, 1),
    ("MACS", 0x0429c, 0x0429c, 1),
    ("AUTOC", 0x042a0, 0x042a0, 1),
    ("LINKS", 0x042a4, 0x042a4, 1),
    ("AUTOC2", 0x042a8, 0x042a8, 1),
    ("AUTOC3", 0x042ac, 0x042ac, 1),
    ("ANLP1", 0x042b0, 0x042b0, 1),
    ("ANLP2", 0x042b4, 0x042b4, 1),
    ("MMNGC", 0x042d0, 0x042d0, 1),
    ("ANLPNP1", 0x042d4, 0x042d4, 1),
    ("ANLPNP2", 0x042d8, 0x042d8, 1),
    ("KRPCSFC", 0x042e0, 0x042e0, 1),
    ("KRPCSS", 0x042e4, 0x042e4, 1),
    ("FECS1", 0x042e8, 0x042e8, 1),
    ("FECS2", 0x042ec, 0x042ec, 1),
    ("SGMIIC", 0x04314, 0x04314, 1),
    ("MPVC", 0x04318, 0x04318, 1),
    ("LINKS2", 0x04324, 0x04324, 1),
    ("MACC", 0x04330, 0x04330, 1),
    ("CORECTL", 0x14f00, 0x14f00, 1),
    // Statistics.
    ("CRCERRS", 0x04000, 0x04000, 1),
    ("ILLERRC", 0x04004, 0x04004, 1),
    ("ERRBC", 0x04008, 0x04008, 1),
    ("MSPDC", 0x04010, 0x04010, 1),
    ("MLFC", 0x04034, 0x04034, 1),
    ("MRFC", 0x04038, 0x04038, 1),
    ("RLEC", 0x04040, 0x04040, 1),
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
    ("RUC", 0x040a4, 0x040a4, 1),
    ("RFC", 0x040a8, 0x040a8, 1),
    ("ROC", 0x040ac, 0x040ac, 1),
    ("RJC", 0x040b0, 0x040b0, 1),
    ("MNGPRC", 0x040b4, 0x040b4, 1),
    ("MNGPDC", 0x040b8, 0x040b8, 1),
    ("TORL", 0x040c0, 0x040c0, 1),
    ("TORH", 0x040c4, 0x040c4, 1),
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
    ("XEC", 0x04120, 0x04120, 1),
    ("PXONRXCNT", 0x04140, 0x0415c, 8),
    ("PXOFFRXCNT", 0x04160, 0x0417c, 8),
    ("LXONRXCNT", 0x041a4, 0x041a4, 1),
    ("LXOFFRXCNT", 0x041a8, 0x041a8, 1),
    ("RXNFGPC", 0x041b0, 0x041b0, 1),
    ("RXNFGBCL", 0x041b4, 0x041b4, 1),
    ("RXNFGBCH", 0x041b8, 0x041b8, 1),
    ("PXON2OFFCNT", 0x03240, 0x0325c, 8),
    ("PXONTXC", 0x03f00, 0x03f1c, 8),
    ("PXOFFTXC", 0x03f20, 0x03f3c, 8),
    ("LXONTXC", 0x03f60, 0x03f60, 1),
    ("LXOFFTXC", 0x03f68, 0x03f68, 1),
    ("MPC", 0x03fa0, 0x03fbc, 8),
    ("RXDGPC", 0x02f50, 0x02f50, 1),
    ("RXDGBCL", 0x02f54, 0x02f54, 1),
    ("RXDGBCH", 0x02f58, 0x02f58, 1),
    ("TXDGPC", 0x087a0, 0x087a0, 1),
    ("TXDGBCL", 0x087a4, 0x087a4, 1),
    ("TXDGBCH", 0x087a8, 0x087a8, 1),
    ("RQSMR", 0x02300, 0x0237c, 32),
    ("TQSM", 0x08600, 0x0867c, 32),
    ("QPRC", 0x01030, 0x013f0, 16),
    ("QBRC_L", 0x01034, 0x013f4, 16),
    ("QBRC_H", 0x01038, 0x013f8, 16),
    ("QPRDC", 0x01430, 0x017f0, 16),
    ("QPTC", 0x06030, 0x063f0, 16),
    ("QPTC_ALIAS", 0x08680, 0x086bc, 16),
    ("QBTC_L", 0x08700, 0x08778, 16),
    ("QBTC_H", 0x08704, 0x0877c, 16),
    ("SSVPC", 0x08780, 0x08780, 1),
];

/// Single bits and fields from the same headers' mask definitions: the register, the field's
/// mask in place.
const GOLDEN_MASKS: &[(&str, &str, u32)] = &[
    ("CTRL", "GIO_DIS", 0x0000_0004),
    ("CTRL", "LRST", 0x0000_0008),
    ("CTRL", "RST", 0x0400_0000),
    ("STATUS", "LAN_ID", 0x0000_000c),
    ("STATUS", "GIO_MASTER", 0x0008_0000),
    ("CTRL_EXT", "PFRSTD", 0x0000_4000),
    ("CTRL_EXT", "NS_DIS", 0x0001_0000),
    ("CTRL_EXT", "RO_DIS", 0x0002_0000),
    ("CTRL_EXT", "DRV_LOAD", 0x1000_0000),
    ("EEC", "PRES", 0x0000_0100),
    ("EEC", "AUTO_RD", 0x0000_0200),
    ("EEC", "SIZE", 0x0000_7800),
    ("EERD", "START", 0x0000_0001),
    ("EERD", "DONE", 0x0000_0002),
    ("EICR", "LSC", 0x0010_0000),
    ("EICR", "RX_MISS", 0x0002_0000),
    ("EICR", "TCP_TIMER", 0x4000_0000),
    ("GPIE", "MULTIPLE_MSIX", 0x0000_0010),
    ("GPIE", "OCD", 0x0000_0020),
    ("GPIE", "EIMEN", 0x0000_0040),
    ("GPIE", "EIAME", 0x4000_0000),
    ("GPIE", "PBA_SUPPORT", 0x8000_0000),
    ("GCR_EXT", "BUFFERS_CLEAR", 0x4000_0000),
    ("SWSM", "SMBI", 0x0000_0001),
    ("SWSM", "SWESMBI", 0x0000_0002),
    ("FWSM", "FW_VAL", 0x0000_8000),
    ("RXCTRL", "RXEN", 0x0000_0001),
    ("RXDCTL", "ENABLE", 0x0200_0000),
    ("RXDCTL", "VME", 0x4000_0000),
    ("RXDCTL", "RLPML_EN", 0x0000_8000),
    ("RDRXCTL", "CRCSTRIP", 0x0000_0002),
    ("RDRXCTL", "DMAIDONE", 0x0000_0008),
    ("RDRXCTL", "RSCFRSTSIZE", 0x003e_0000),
    ("RDRXCTL", "RSCACKC", 0x0200_0000),
    ("RDRXCTL", "FCOE_WRFIX", 0x0400_0000),
    ("DCA_RXCTRL", "DESC_RD_RO", 0x0000_0200),
    ("DCA_RXCTRL", "DATA_WR_RO", 0x0000_2000),
    ("DCA_RXCTRL", "HEAD_WR_RO", 0x0000_8000),
    ("DCA_TXCTRL", "DESC_WB_RO", 0x0000_0800),
    ("DCA_TXCTRL", "DATA_RD_RO", 0x0000_2000),
    ("SRRCTL", "BSIZEPACKET", 0x0000_001f),
    ("SRRCTL", "BSIZEHEADER", 0x0000_3f00),
    ("SRRCTL", "DESCTYPE", 0x0e00_0000),
    ("SRRCTL", "DROP_EN", 0x1000_0000),
    ("FCTRL", "SBP", 0x0000_0002),
    ("FCTRL", "MPE", 0x0000_0100),
    ("FCTRL", "UPE", 0x0000_0200),
    ("FCTRL", "BAM", 0x0000_0400),
    ("VLNCTRL", "VFE", 0x4000_0000),
    ("RXCSUM", "PCSD", 0x0000_2000),
    ("RFCTL", "RSC_DIS", 0x0000_0020),
    ("RAH", "AV", 0x8000_0000),
    ("MRQC", "RSS_TCPIPV4", 0x0001_0000),
    ("MRQC", "RSS_IPV4", 0x0002_0000),
    ("MRQC", "RSS_IPV6", 0x0010_0000),
    ("MRQC", "RSS_TCPIPV6", 0x0020_0000),
    ("MRQC", "RSS_UDPIPV4", 0x0040_0000),
    ("MRQC", "RSS_UDPIPV6", 0x0080_0000),
    ("RXPBSIZE", "SIZE", 0x000f_fc00),
    ("SECRXCTRL", "RX_DIS", 0x0000_0002),
    ("SECRXSTAT", "SECRX_RDY", 0x0000_0001),
    ("SECTXCTRL", "TX_DIS", 0x0000_0002),
    ("TXDCTL", "ENABLE", 0x0200_0000),
    ("TXDCTL", "SWFLSH", 0x0400_0000),
    ("TXDCTL", "WTHRESH", 0x007f_0000),
    ("DMATXCTL", "TE", 0x0000_0001),
    ("RTTDCS", "ARBDIS", 0x0000_0040),
    ("FCCFG", "TFCE", 0x0000_0018),
    ("MFLCN", "DPF", 0x0000_0002),
    ("MFLCN", "RPFCM", 0x0000_0004),
    ("MFLCN", "RFCE", 0x0000_0008),
    ("FCRTL", "XONE", 0x8000_0000),
    ("FCRTH", "FCEN", 0x8000_0000),
    ("HLREG0", "TXCRCEN", 0x0000_0001),
    ("HLREG0", "RXCRCSTRP", 0x0000_0002),
    ("HLREG0", "JUMBOEN", 0x0000_0004),
    ("HLREG0", "TXPADEN", 0x0000_0400),
    ("HLREG0", "LPBK", 0x0000_8000),
    ("HLREG0", "RXLNGTHERREN", 0x0800_0000),
    ("MAXFRS", "MFS", 0xffff_0000),
    ("AUTOC", "FLU", 0x0000_0001),
    ("AUTOC", "RESTART_AN", 0x0000_1000),
    ("AUTOC", "LMS", 0x0000_e000),
    ("AUTOC", "PMA_PMD_10G", 0x0000_0180),
    ("AUTOC", "PMA_PMD_1G", 0x0000_0200),
    ("AUTOC", "KR_SUPPORT", 0x0001_0000),
    ("AUTOC", "PB", 0x3000_0000),
    ("AUTOC2", "PMA_PMD_10G_SERIAL", 0x0003_0000),
    ("LINKS", "LINK_SPEED", 0x3000_0000),
    ("LINKS", "LINK_UP", 0x4000_0000),
    ("LINKS", "AN_COMPLETE", 0x8000_0000),
    ("MACC", "FLU", 0x0000_0001),
    ("MSCA", "MDICMD", 0x4000_0000),
    ("MSCA", "PHYADD", 0x03e0_0000),
];

fn find(name: &str) -> &'static RegMeta {
    table().find(|r| r.name == name).unwrap_or_else(|| panic!("{name} is not in the table"))
}

#[test]
fn offsets_agree_with_a_second_transcription() {
    for (name, first, last, count) in GOLDEN {
        let r = find(name);
        assert_eq!(r.offset_of(0), *first, "{name}: first");
        assert_eq!(r.count, *count, "{name}: elements");
        assert_eq!(r.offset_of(count - 1), *last, "{name}: last");
    }
    for r in table() {
        assert!(GOLDEN.iter().any(|g| g.0 == r.name), "{} has no golden line", r.name);
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
    for r in table() {
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
    for r in table().chain(x550::X550) {
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
}

#[test]
fn receive_queues_past_63_are_found_in_the_second_block() {
    assert_eq!(rx_reg(&RDBAL::META, 0), 0x1000);
    assert_eq!(rx_reg(&RDT::META, 63), 0x1fd8);
    assert_eq!(rx_reg(&RDT::META, 64), RDT_64::META.offset_of(0));
    assert_eq!(rx_reg(&RSCCTL::META, 127), RSCCTL_64::META.offset_of(63));
    assert!(rx_reg(&RDT::META, 128) >= BAR_LEN);
    assert!(rx_reg(&QPRC::META, 64) >= BAR_LEN);
}

#[test]
fn the_dump_reads_nothing_that_a_read_changes() {
    for name in ["EICR", "SWSM", "QPRC", "GPRC", "EICS", "EIMC"] {
        assert!(!safe_to_read(find(name)), "{name}");
    }
    for name in ["CTRL", "STATUS", "LINKS", "RDH", "TDT", "EIMS", "MNGPRC"] {
        assert!(safe_to_read(find(name)), "{name}");
    }
}
