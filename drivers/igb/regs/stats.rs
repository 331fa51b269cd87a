//! Statistics registers (8.19). They clear on read and stick at their maximum.

crate::registers! {
    /// Statistics registers.
    pub table STATS;

    /// Frames with a CRC error.
    CRCERRS @ 0x04000, Rc, reset 0, "8.19"
    /// Frames that did not end on a byte boundary (10 and 100 Mb/s).
    ALGNERRC @ 0x04004, Rc, reset 0, "8.19"
    /// Symbol errors; not frames.
    SYMERRS @ 0x04008, Rc, reset 0, "8.19"
    /// Frames during which the PHY signalled an error.
    RXERRC @ 0x0400C, Rc, reset 0, "8.19"
    /// Frames that found no room in the receive packet buffer.
    MPC @ 0x04010, Rc, reset 0, "8.19"
    /// Frames sent after one collision.
    SCC @ 0x04014, Rc, reset 0, "8.19"
    /// Frames given up after too many collisions.
    ECOL @ 0x04018, Rc, reset 0, "8.19"
    /// Frames sent after several collisions.
    MCC @ 0x0401C, Rc, reset 0, "8.19"
    /// Late collisions.
    LATECOL @ 0x04020, Rc, reset 0, "8.19"
    /// Collisions.
    COLC @ 0x04028, Rc, reset 0, "8.19"
    /// Transmit packets of virtual machines that met the storm control.
    CBTMPC @ 0x0402C, Rc, reset 0, "8.19"
    /// Transmissions put off because the line was busy.
    DC @ 0x04030, Rc, reset 0, "8.19"
    /// Transmissions without carrier.
    TNCRS @ 0x04034, Rc, reset 0, "8.19"
    /// Host frames that the MAC dropped instead of sending.
    HTDPMC @ 0x0403C, Rc, reset 0, "8.19"
    /// Frames of a wrong length: all that RUC, RFC, ROC and RJC count.
    RLEC @ 0x04040, Rc, reset 0, "8.19"
    /// XON frames received.
    XONRXC @ 0x04048, Rc, reset 0, "8.19"
    /// XON frames sent.
    XONTXC @ 0x0404C, Rc, reset 0, "8.19"
    /// XOFF frames received.
    XOFFRXC @ 0x04050, Rc, reset 0, "8.19"
    /// XOFF frames sent.
    XOFFTXC @ 0x04054, Rc, reset 0, "8.19"
    /// Flow-control frames received that are of no known kind.
    FCRUC @ 0x04058, Rc, reset 0, "8.19"
    /// Good frames of 64 bytes received.
    PRC64 @ 0x0405C, Rc, reset 0, "8.19"
    /// Good frames of 65 to 127 bytes received.
    PRC127 @ 0x04060, Rc, reset 0, "8.19"
    /// Good frames of 128 to 255 bytes received.
    PRC255 @ 0x04064, Rc, reset 0, "8.19"
    /// Good frames of 256 to 511 bytes received.
    PRC511 @ 0x04068, Rc, reset 0, "8.19"
    /// Good frames of 512 to 1,023 bytes received.
    PRC1023 @ 0x0406C, Rc, reset 0, "8.19"
    /// Good frames of 1,024 bytes to the maximum received.
    PRC1522 @ 0x04070, Rc, reset 0, "8.19"
    /// Good frames that passed the filters; counts those that RQDPC counts too.
    GPRC @ 0x04074, Rc, reset 0, "8.19"
    /// Broadcast frames received.
    BPRC @ 0x04078, Rc, reset 0, "8.19"
    /// Multicast frames received.
    MPRC @ 0x0407C, Rc, reset 0, "8.19"
    /// Good frames sent, without pause frames.
    GPTC @ 0x04080, Rc, reset 0, "8.19"
    /// Good bytes received, low 32 of 64 bits. Read before GORCH, which clears the pair.
    GORCL @ 0x04088, Rc, reset 0, "8.19"
    /// Good bytes received, high 32 bits.
    GORCH @ 0x0408C, Rc, reset 0, "8.19"
    /// Good bytes sent, low 32 of 64 bits.
    GOTCL @ 0x04090, Rc, reset 0, "8.19"
    /// Good bytes sent, high 32 bits.
    GOTCH @ 0x04094, Rc, reset 0, "8.19"
    /// Times that a frame found no descriptor; it waits, or RQDPC counts it.
    RNBC @ 0x040A0, Rc, reset 0, "8.19"
    /// Frames shorter than 64 bytes with good CRC.
    RUC @ 0x040A4, Rc, reset 0, "8.19"
    /// Frames shorter than 64 bytes with bad CRC.
    RFC @ 0x040A8, Rc, reset 0, "8.19"
    /// Frames longer than the maximum with good CRC.
    ROC @ 0x040AC, Rc, reset 0, "8.19"
    /// Frames longer than the maximum with bad CRC.
    RJC @ 0x040B0, Rc, reset 0, "8.19"
    /// Management frames received.
    MNGPRC @ 0x040B4, Rc, reset 0, "8.19"
    /// Management frames dropped.
    MNGPDC @ 0x040B8, Rc, reset 0, "8.19"
    /// Management frames sent.
    MNGPTC @ 0x040BC, Rc, reset 0, "8.19"
    /// All bytes received, low 32 of 64 bits.
    TORL @ 0x040C0, Rc, reset 0, "8.19"
    /// All bytes received, high 32 bits.
    TORH @ 0x040C4, Rc, reset 0, "8.19"
    /// All bytes sent, low 32 of 64 bits.
    TOTL @ 0x040C8, Rc, reset 0, "8.19"
    /// All bytes sent, high 32 bits.
    TOTH @ 0x040CC, Rc, reset 0, "8.19"
    /// All frames received.
    TPR @ 0x040D0, Rc, reset 0, "8.19"
    /// All frames sent.
    TPT @ 0x040D4, Rc, reset 0, "8.19"
    /// Frames of 64 bytes sent.
    PTC64 @ 0x040D8, Rc, reset 0, "8.19"
    /// Frames of 65 to 127 bytes sent.
    PTC127 @ 0x040DC, Rc, reset 0, "8.19"
    /// Frames of 128 to 255 bytes sent.
    PTC255 @ 0x040E0, Rc, reset 0, "8.19"
    /// Frames of 256 to 511 bytes sent.
    PTC511 @ 0x040E4, Rc, reset 0, "8.19"
    /// Frames of 512 to 1,023 bytes sent.
    PTC1023 @ 0x040E8, Rc, reset 0, "8.19"
    /// Frames of 1,024 bytes to the maximum sent.
    PTC1522 @ 0x040EC, Rc, reset 0, "8.19"
    /// Multicast frames sent.
    MPTC @ 0x040F0, Rc, reset 0, "8.19"
    /// Broadcast frames sent.
    BPTC @ 0x040F4, Rc, reset 0, "8.19"
    /// Packets segmented for TCP.
    TSCTC @ 0x040F8, Rc, reset 0, "8.19"
    /// Received packets of virtual machines that met the storm control.
    CBRMPC @ 0x040FC, Rc, reset 0, "8.19"
    /// Interrupts asserted.
    IAC @ 0x04100, Rc, reset 0, "8.19"
    /// Frames handed to the host.
    RPTHC @ 0x04104, Rc, reset 0, "8.19"
    /// Good frames that the host sent.
    HGPTC @ 0x04118, Rc, reset 0, "8.19"
    /// Times that a ring fell below its minimum threshold.
    RXDMTC @ 0x04120, Rc, reset 0, "8.19"
    /// Host frames that the storm control dropped.
    HTCBDPC @ 0x04124, Rc, reset 0, "8.19"
    /// Good bytes handed to the host, low 32 of 64 bits.
    HGORCL @ 0x04128, Rc, reset 0, "8.19"
    /// Good bytes handed to the host, high 32 bits.
    HGORCH @ 0x0412C, Rc, reset 0, "8.19"
    /// Good bytes that the host sent, low 32 of 64 bits.
    HGOTCL @ 0x04130, Rc, reset 0, "8.19"
    /// Good bytes that the host sent, high 32 bits.
    HGOTCH @ 0x04134, Rc, reset 0, "8.19"
    /// Frames with a length error.
    LENERRS @ 0x04138, Rc, reset 0, "8.19"
    /// Frames with SerDes or SGMII code violations.
    SCVPC @ 0x04228, Rc, reset 0, "8.19"

    /// Good frames received, by pool.
    PVFGPRC[8; 0x100] @ 0x10010, Ro, reset 0, "8.26"
    /// Good frames sent, by pool.
    PVFGPTC[8; 0x100] @ 0x10014, Ro, reset 0, "8.26"
    /// Good bytes received, by pool.
    PVFGORC[8; 0x100] @ 0x10018, Ro, reset 0, "8.26"
    /// Good bytes sent, by pool.
    PVFGOTC[8; 0x100] @ 0x10034, Ro, reset 0, "8.26"
    /// Multicast frames received, by pool.
    PVFMPRC[8; 0x100] @ 0x1003C, Ro, reset 0, "8.26"
}
