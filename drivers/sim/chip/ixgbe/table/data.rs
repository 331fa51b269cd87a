//! Receive, transmit, virtualisation, FCoE and MAC registers (8.2.3.3, .7 to .10, .21 to .23,
//! .27), and places where the 82598 had others, which dumps still look at.

crate::registers! {
    /// On and beside the data path.
    pub(super) table DATA;

    /// The 82598's flow-control opcode; storage.
    PFCTOP @ 0x03008, Rw, reset 0x0001_8808, "8.2.3.3.1"
    /// Multicast address of pause frames, low half.
    FCADBUL @ 0x03210, Rw, reset 0, "8.2.3.3"
    /// Multicast address of pause frames, high half.
    FCADBUH @ 0x03214, Rw, reset 0, "8.2.3.3"
    /// The address that pause frames go to, low half.
    FCAMACL @ 0x04328, Rw, reset 0x00C2_8001, "8.2.3.22"
    /// The address that pause frames go to, high half.
    FCAMACH @ 0x0432C, Rw, reset 0x0000_0100, "8.2.3.22"
    /// The 82598's drop enable, one bit a queue; storage.
    DROPEN @ 0x03D04, Rw, reset 0, "8.2.3.8"
    /// Receive arbiter.
    STARCTRL @ 0x03024, Rw, reset 0, "8.2.3.8"
    /// Wrap of the receive memory.
    RXMEMWRAP @ 0x03190, Ro, reset 0, "8.2.3.8"
    /// ECC of the receive DMA.
    DRECCCTL @ 0x02F08, Rw, reset 0, "8.2.3.8"
    /// Receive DMA: state of interrupts.
    RIC_DW[4; 4] @ 0x02F10, Ro, reset 0, "8.2.3.8"
    /// Debug of the receive DMA.
    RDDCC @ 0x02F20, Rw, reset 0, "8.2.3.8"
    /// Receive DMA: memory access, address.
    RDMAM @ 0x02F30, Rw, reset 0, "8.2.3.8"
    /// Receive DMA: memory access, data.
    RDMAD @ 0x02F34, Rw, reset 0, "8.2.3.8"
    /// Receive DMA: statistics.
    RDSTAT[8; 4] @ 0x02C00, Ro, reset 0, "8.2.3.8"
    /// Receive DMA: control of the statistics.
    RDSTATCTL @ 0x02C20, Ro, reset 0, "8.2.3.8"
    /// Wrong behaviour of VFs, received.
    WQBR_RX[4; 4] @ 0x02FB0, Rc, reset 0, "8.2.3.27"
    /// Priorities of the 82598's packet buffers.
    RUPPBMR @ 0x050A0, Ro, reset 0, "8.2.3.7"
    /// Receive filters: validity.
    RFVAL @ 0x050A4, Ro, reset 0, "8.2.3.7"
    /// FCoE: filter, low half.
    PFFLPL @ 0x050B0, Rw, reset 0, "8.2.3.27"
    /// FCoE: filter, high half.
    PFFLPH @ 0x050B4, Rw, reset 0, "8.2.3.27"
    /// The 82598's immediate interrupts; storage.
    IMIR[8; 4] @ 0x05A80, Rw, reset 0, "8.2.3.5"
    /// More of them.
    IMIREXT[8; 4] @ 0x05AA0, Rw, reset 0, "8.2.3.5"
    /// Immediate interrupts by VLAN priority.
    IMIRVP @ 0x05AC0, Rw, reset 0, "8.2.3.5.14"
    /// The 82598's VMDq control; storage.
    VMD_CTL @ 0x0581C, Rw, reset 0, "8.2.3.27"
    /// Low-latency interrupts for long packets.
    LLITHRESH @ 0x0EC90, Rw, reset 0, "8.2.3.5.15"
    /// State of the receive packet buffers' pointers.
    RXWRPTR[8; 4] @ 0x03100, Ro, reset 0, "8.2.3.8"
    /// How much of the receive packet buffers is used.
    RXUSED[8; 4] @ 0x03120, Ro, reset 0, "8.2.3.8"
    /// State of the receive packet buffers' pointers.
    RXRDPTR[8; 4] @ 0x03140, Ro, reset 0, "8.2.3.8"
    /// State of the receive packet buffers' pointers.
    RXRDWRPTR[8; 4] @ 0x03160, Ro, reset 0, "8.2.3.8"
    /// ECC of the receive packet buffers.
    PBRXECC @ 0x03300, Rw, reset 0, "8.2.3.8"
    /// Access to the receive packet buffers.
    RXBUFCTRL @ 0x03600, Ro, reset 0, "8.2.3.8"
    /// Access to the receive packet buffers: data.
    RXBUFDATA[4; 4] @ 0x03610, Ro, reset 0, "8.2.3.8"
    /// ECC of the receive descriptors' buffer.
    RXDBUECC @ 0x03F70, Rw, reset 0, "8.2.3.8"
    /// Error status of the receive descriptors' buffer.
    RXDBUEST @ 0x03F74, W1c, reset 0, "8.2.3.8"

    /// Anti-spoofing, eight pools a register.
    PFVFSPOOF[8; 4] @ 0x08200, Rw, reset 0, "8.2.3.27"
    /// VLAN insertion by pool.
    PFVMVIR[64; 4] @ 0x08000, Rw, reset 0, "8.2.3.27"
    /// Wrong behaviour of VFs, sent.
    WQBR_TX[4; 4] @ 0x08130, Rc, reset 0, "8.2.3.27"
    /// Transmit DMA: state of interrupts.
    TIC_DW2[4; 4] @ 0x082B0, Ro, reset 0, "8.2.3.9"
    /// Transmit descriptors' interrupts.
    TXDESCIC @ 0x082CC, Rw, reset 0, "8.2.3.9"
    /// Queues of strict priority with low latency.
    TXLLQ[4; 4] @ 0x082E0, Rw, reset 0, "8.2.3.10"
    /// Transmit DMA: memory pointer.
    TDHMPN2 @ 0x082FC, Ro, reset 0, "8.2.3.9"
    /// Pools whose spoofed frames are counted.
    VMECM[2; 4] @ 0x08790, Rw, reset 0, "8.2.3.27"
    /// Descriptor-plane credits, state.
    RTTDT2S[8; 4] @ 0x04930, Ro, reset 0, "8.2.3.10"
    /// Credits of the selected queue, state.
    RTTDT1S @ 0x0490C, Ro, reset 0, "8.2.3.10.15"
    /// Congestion: rate drift.
    RTTBCNRD @ 0x0498C, Rw, reset 0, "8.2.3.10.18"
    /// ECC of the descriptor plane.
    RTTDTECC @ 0x04990, Rw, reset 0, "8.2.3.10"
    /// Congestion: tag.
    RTTQCNTG @ 0x04A90, Rw, reset 0, "8.2.3.10"
    /// Congestion: control.
    RTTQCNCR @ 0x08B00, Rw, reset 0, "8.2.3.10"
    /// Receive packet-plane credits, state.
    RTRPT4S[8; 4] @ 0x02160, Ro, reset 0, "8.2.3.10.7"
    /// Transmit packet-plane credits, state.
    RTTPT2S[8; 4] @ 0x0CD40, Ro, reset 0, "8.2.3.10.11"
    /// Packet buffers of the manageability.
    MNGTXMAP @ 0x0CD10, Rw, reset 0, "8.2.3.9.14"
    /// The 82598's gap between frames.
    TIPG @ 0x0CB00, Rw, reset 0, "8.2.3.9"
    /// Loopback drops between pools.
    LBDRPEN @ 0x0CA00, Rw, reset 0, "8.2.3.27"
    /// State of the transmit packet buffers' pointers.
    TXWRPTR[8; 4] @ 0x0C100, Ro, reset 0, "8.2.3.9"
    /// How much of the transmit packet buffers is used.
    TXUSED[8; 4] @ 0x0C120, Ro, reset 0, "8.2.3.9"
    /// State of the transmit packet buffers' pointers.
    TXRDPTR[8; 4] @ 0x0C140, Ro, reset 0, "8.2.3.9"
    /// State of the transmit packet buffers' pointers.
    TXRDWRPTR[8; 4] @ 0x0C160, Ro, reset 0, "8.2.3.9"
    /// ECC of the transmit packet buffers.
    PBTXECC @ 0x0C300, Rw, reset 0, "8.2.3.9"
    /// Access to the transmit packet buffers.
    TXBUFCTRL @ 0x0C600, Ro, reset 0, "8.2.3.9"
    /// Access to the transmit packet buffers: data.
    TXBUFDATA[4; 4] @ 0x0C610, Ro, reset 0, "8.2.3.9"
    /// ECC of the transmit descriptors' buffer.
    TXDBUECC @ 0x0CF70, Rw, reset 0, "8.2.3.9"
    /// Error status of the transmit descriptors' buffer.
    TXDBUEST @ 0x0CF74, W1c, reset 0, "8.2.3.9"
    /// Management frames sent.
    MNGPTC @ 0x0CF90, Ro, reset 0, "8.2.3.23"

    /// Which VLAN or pool a mirror rule is for.
    PFVMTXSW[2; 4] @ 0x05180, Rw, reset 0, "8.2.3.27"
    /// Mirror rules.
    PFMRCTL[4; 4] @ 0x0F600, Rw, reset 0, "8.2.3.27"
    /// VLANs of the mirror rules.
    PFMRVLAN[8; 4] @ 0x0F610, Rw, reset 0, "8.2.3.27"
    /// Pools of the mirror rules.
    PFMRVM[8; 4] @ 0x0F630, Rw, reset 0, "8.2.3.27"
    /// Memory of the filters has had an error.
    RXFECCERR0 @ 0x051B8, W1c, reset 0, "8.2.3.7"

    /// FCoE: user descriptor pointer, low half.
    FCPTRL @ 0x02410, Rw, reset 0, "8.2.3.21"
    /// FCoE: user descriptor pointer, high half.
    FCPTRH @ 0x02414, Rw, reset 0, "8.2.3.21"
    /// FCoE: buffers.
    FCBUFF @ 0x02418, Rw, reset 0, "8.2.3.21"
    /// FCoE: packets dropped.
    FCOERPDC @ 0x0241C, Rc, reset 0, "8.2.3.23"
    /// FCoE: access to the contexts.
    FCDMARW @ 0x02420, Rw, reset 0, "8.2.3.21"
    /// FCoE: last errors.
    FCLAST @ 0x02424, Rc, reset 0, "8.2.3.23"
    /// FCoE: packets received.
    FCOEPRC @ 0x02428, Rc, reset 0, "8.2.3.23"
    /// FCoE: words received.
    FCOEDWRC @ 0x0242C, Rc, reset 0, "8.2.3.23"
    /// FCoE: contexts that are invalid.
    FCINVST[8; 4] @ 0x03FC0, Ro, reset 0, "8.2.3.21"
    /// FCoE: end of frame, sent.
    TEOFF @ 0x04A94, Rw, reset 0, "8.2.3.21"
    /// FCoE: start of frame, sent.
    TSOFF @ 0x04A98, Rw, reset 0, "8.2.3.21"
    /// FCoE: filter context.
    FCFLT @ 0x05108, Rw, reset 0, "8.2.3.21"
    /// FCoE: access to the filter contexts.
    FCFLTRW @ 0x05110, Rw, reset 0, "8.2.3.21"
    /// FCoE: frames with a bad CRC of their own.
    FCCRC @ 0x05118, Rc, reset 0, "8.2.3.23"
    /// FCoE: end of frame, received.
    REOFF @ 0x05158, Rw, reset 0, "8.2.3.21"
    /// FCoE: offset parameter.
    FCPARAM @ 0x051D8, Rw, reset 0, "8.2.3.21"
    /// FCoE: start of frame, received.
    RSOFF @ 0x051F8, Rw, reset 0, "8.2.3.21"
    /// FCoE: redirection control.
    FCRECTL @ 0x0ED00, Rw, reset 0, "8.2.3.21"
    /// FCoE: redirection table.
    FCRETA[8; 4] @ 0x0ED10, Rw, reset 0, "8.2.3.21"
    /// FCoE: packets sent.
    FCOEPTC @ 0x08784, Rc, reset 0, "8.2.3.23"
    /// FCoE: words sent.
    FCOEDWTC @ 0x08788, Rc, reset 0, "8.2.3.23"

    /// 1 Gb/s PCS debug.
    PCS1GDBG0 @ 0x04210, Ro, reset 0, "8.2.3.22"
    /// 1 Gb/s PCS debug.
    PCS1GDBG1 @ 0x04214, Ro, reset 0, "8.2.3.22"
    /// 1 Gb/s next page to send.
    PCS1GANNP @ 0x04220, Rw, reset 0, "8.2.3.22"
    /// 1 Gb/s next page of the partner.
    PCS1GANLPNP @ 0x04224, Ro, reset 0, "8.2.3.22"
    /// The 82598's MAC address and auto-scan registers, reserved here.
    MACA[4; 4] @ 0x0424C, Ro, reset 0, "8.2.3.22"
    /// The 82598's MAC address filter, reserved here.
    MLADD @ 0x04264, Ro, reset 0, "8.2.3.22"
    /// The 82598's test register, reserved here.
    TREG @ 0x0426C, Ro, reset 0, "8.2.3.22"
    /// Frames of the test generator, reserved here.
    MDFTC1 @ 0x042B8, Rw, reset 0, "8.2.3.22"
    /// The same.
    MDFTC2 @ 0x042C0, Rw, reset 0, "8.2.3.22"
    /// The same.
    MDFTFIFO1 @ 0x042C4, Rw, reset 0, "8.2.3.22"
    /// The same.
    MDFTFIFO2 @ 0x042C8, Rw, reset 0, "8.2.3.22"
    /// The same.
    MDFTS @ 0x042CC, Ro, reset 0, "8.2.3.22"
    /// The 82598's analog registers, reserved here.
    ATLASCTL @ 0x04800, Rw, reset 0, "8.2.3.22"
}
