//! Statistics registers (8.2.3.23). They clear on read and stick at their maximum.

crate::registers! {
    /// Statistics registers and the queue-to-counter maps.
    pub table STATS;

    /// Frames with a CRC error.
    CRCERRS @ 0x04000, Rc, reset 0, "8.2.3.23"
    /// Frames with an illegal symbol.
    ILLERRC @ 0x04004, Rc, reset 0, "8.2.3.23"
    /// Error bytes.
    ERRBC @ 0x04008, Rc, reset 0, "8.2.3.23"
    /// MAC short packets discarded.
    MSPDC @ 0x04010, Rc, reset 0, "8.2.3.23"
    /// Frames that found no room in a receive packet buffer.
    MPC[8; 4] @ 0x03FA0, Rc, reset 0, "8.2.3.23"
    /// Local faults.
    MLFC @ 0x04034, Rc, reset 0, "8.2.3.23"
    /// Remote faults.
    MRFC @ 0x04038, Rc, reset 0, "8.2.3.23"
    /// Frames whose length field lies.
    RLEC @ 0x04040, Rc, reset 0, "8.2.3.23"
    /// Link XON frames sent.
    LXONTXC @ 0x03F60, Rc, reset 0, "8.2.3.23"
    /// Link XON frames received.
    LXONRXCNT @ 0x041A4, Rc, reset 0, "8.2.3.23"
    /// Link XOFF frames sent.
    LXOFFTXC @ 0x03F68, Rc, reset 0, "8.2.3.23"
    /// Link XOFF frames received.
    LXOFFRXCNT @ 0x041A8, Rc, reset 0, "8.2.3.23"
    /// Priority XON frames sent.
    PXONTXC[8; 4] @ 0x03F00, Rc, reset 0, "8.2.3.23"
    /// Priority XOFF frames sent.
    PXOFFTXC[8; 4] @ 0x03F20, Rc, reset 0, "8.2.3.23"
    /// Priority XON frames received.
    PXONRXCNT[8; 4] @ 0x04140, Rc, reset 0, "8.2.3.23"
    /// Priority XOFF frames received.
    PXOFFRXCNT[8; 4] @ 0x04160, Rc, reset 0, "8.2.3.23"
    /// Priority XON to XOFF transitions.
    PXON2OFFCNT[8; 4] @ 0x03240, Rc, reset 0, "8.2.3.23"
    /// Good frames of 64 bytes received.
    PRC64 @ 0x0405C, Rc, reset 0, "8.2.3.23"
    /// Good frames of 65 to 127 bytes received.
    PRC127 @ 0x04060, Rc, reset 0, "8.2.3.23"
    /// Good frames of 128 to 255 bytes received.
    PRC255 @ 0x04064, Rc, reset 0, "8.2.3.23"
    /// Good frames of 256 to 511 bytes received.
    PRC511 @ 0x04068, Rc, reset 0, "8.2.3.23"
    /// Good frames of 512 to 1,023 bytes received.
    PRC1023 @ 0x0406C, Rc, reset 0, "8.2.3.23"
    /// Good frames of 1,024 bytes to the maximum received.
    PRC1522 @ 0x04070, Rc, reset 0, "8.2.3.23"
    /// Good frames received; counts those that MPC counts too.
    GPRC @ 0x04074, Rc, reset 0, "8.2.3.23"
    /// Broadcast frames received.
    BPRC @ 0x04078, Rc, reset 0, "8.2.3.23"
    /// Multicast frames received.
    MPRC @ 0x0407C, Rc, reset 0, "8.2.3.23"
    /// Good frames sent.
    GPTC @ 0x04080, Rc, reset 0, "8.2.3.23"
    /// Good bytes received, low 32 of 36 bits. Read before GORCH, which clears the pair.
    GORCL @ 0x04088, Rc, reset 0, "8.2.3.23"
    /// Good bytes received, high 4 bits.
    GORCH @ 0x0408C, Rc, reset 0, "8.2.3.23" { CNT_H = 0..=3 }
    /// Good bytes sent, low 32 of 36 bits.
    GOTCL @ 0x04090, Rc, reset 0, "8.2.3.23"
    /// Good bytes sent, high 4 bits.
    GOTCH @ 0x04094, Rc, reset 0, "8.2.3.23" { CNT_H = 0..=3 }
    /// Frames shorter than 64 bytes with good CRC.
    RUC @ 0x040A4, Rc, reset 0, "8.2.3.23"
    /// Frames shorter than 64 bytes with bad CRC.
    RFC @ 0x040A8, Rc, reset 0, "8.2.3.23"
    /// Frames longer than the maximum with good CRC.
    ROC @ 0x040AC, Rc, reset 0, "8.2.3.23"
    /// Frames longer than the maximum with bad CRC.
    RJC @ 0x040B0, Rc, reset 0, "8.2.3.23"
    /// Management frames received.
    MNGPRC @ 0x040B4, Ro, reset 0, "8.2.3.23"
    /// Management frames dropped.
    MNGPDC @ 0x040B8, Ro, reset 0, "8.2.3.23"
    /// All bytes received, low 32 of 36 bits.
    TORL @ 0x040C0, Rc, reset 0, "8.2.3.23"
    /// All bytes received, high 4 bits.
    TORH @ 0x040C4, Rc, reset 0, "8.2.3.23" { CNT_H = 0..=3 }
    /// All frames received.
    TPR @ 0x040D0, Rc, reset 0, "8.2.3.23"
    /// All frames sent.
    TPT @ 0x040D4, Rc, reset 0, "8.2.3.23"
    /// Frames of 64 bytes sent.
    PTC64 @ 0x040D8, Rc, reset 0, "8.2.3.23"
    /// Frames of 65 to 127 bytes sent.
    PTC127 @ 0x040DC, Rc, reset 0, "8.2.3.23"
    /// Frames of 128 to 255 bytes sent.
    PTC255 @ 0x040E0, Rc, reset 0, "8.2.3.23"
    /// Frames of 256 to 511 bytes sent.
    PTC511 @ 0x040E4, Rc, reset 0, "8.2.3.23"
    /// Frames of 512 to 1,023 bytes sent.
    PTC1023 @ 0x040E8, Rc, reset 0, "8.2.3.23"
    /// Frames of 1,024 bytes to the maximum sent.
    PTC1522 @ 0x040EC, Rc, reset 0, "8.2.3.23"
    /// Multicast frames sent.
    MPTC @ 0x040F0, Rc, reset 0, "8.2.3.23"
    /// Broadcast frames sent.
    BPTC @ 0x040F4, Rc, reset 0, "8.2.3.23"
    /// Checksum errors in received packets.
    XEC @ 0x04120, Rc, reset 0, "8.2.3.23"
    /// Good frames received before any filter.
    RXNFGPC @ 0x041B0, Rc, reset 0, "8.2.3.23"
    /// Their bytes, low 32 of 36 bits.
    RXNFGBCL @ 0x041B4, Rc, reset 0, "8.2.3.23"
    /// Their bytes, high 4 bits.
    RXNFGBCH @ 0x041B8, Rc, reset 0, "8.2.3.23" { CNT_H = 0..=3 }
    /// Good frames that the receive DMA stored or dropped for want of a descriptor.
    RXDGPC @ 0x02F50, Rc, reset 0, "8.2.3.23"
    /// Their bytes, low 32 of 36 bits.
    RXDGBCL @ 0x02F54, Rc, reset 0, "8.2.3.23"
    /// Their bytes, high 4 bits.
    RXDGBCH @ 0x02F58, Rc, reset 0, "8.2.3.23" { CNT_H = 0..=3 }
    /// Good frames that the transmit DMA fetched.
    TXDGPC @ 0x087A0, Rc, reset 0, "8.2.3.23"
    /// Their bytes, low 32 of 36 bits.
    TXDGBCL @ 0x087A4, Rc, reset 0, "8.2.3.23"
    /// Their bytes, high 4 bits.
    TXDGBCH @ 0x087A8, Rc, reset 0, "8.2.3.23" { CNT_H = 0..=3 }
    /// Which counter slot each receive queue counts into: four queues a register.
    RQSMR[32; 4] @ 0x02300, Rw, reset 0, "8.2.3.23" { MAP0 = 0..=3, MAP1 = 8..=11, MAP2 = 16..=19, MAP3 = 24..=27 }
    /// Which counter slot each transmit queue counts into: four queues a register.
    TQSM[32; 4] @ 0x08600, Rw, reset 0, "8.2.3.23" { MAP0 = 0..=3, MAP1 = 8..=11, MAP2 = 16..=19, MAP3 = 24..=27 }
    /// Frames received, by counter slot.
    QPRC[16; 0x40] @ 0x01030, Rc, reset 0, "8.2.3.23"
    /// Bytes received, low half, by counter slot.
    QBRC_L[16; 0x40] @ 0x01034, Rc, reset 0, "8.2.3.23"
    /// Bytes received, high 4 bits, by counter slot.
    QBRC_H[16; 0x40] @ 0x01038, Rc, reset 0, "8.2.3.23" { CNT_H = 0..=3 }
    /// Frames dropped for want of a descriptor, by counter slot.
    QPRDC[16; 0x40] @ 0x01430, Rc, reset 0, "8.2.3.23"
    /// Frames sent, by counter slot.
    QPTC[16; 0x40] @ 0x06030, Rc, reset 0, "8.2.3.23"
    /// QPTC, second place.
    QPTC_ALIAS[16; 4] @ 0x08680, Rc, reset 0, "8.2.3.23"
    /// Bytes sent, low half, by counter slot.
    QBTC_L[16; 8] @ 0x08700, Rc, reset 0, "8.2.3.23"
    /// Bytes sent, high 4 bits, by counter slot.
    QBTC_H[16; 8] @ 0x08704, Rc, reset 0, "8.2.3.23" { CNT_H = 0..=3 }
    /// Frames dropped because the source address was spoofed.
    SSVPC @ 0x08780, Rc, reset 0, "8.2.3.23"
}
