//! Advanced descriptor layouts, the same on both families (82599 datasheet 7.1.6 and 7.2.3.2,
//! 82576 datasheet 7.1.5 and 7.2.2).

/// Receive descriptor. Read format: word 0 packet buffer address, word 1 header buffer address.
/// Write-back format as below (82599 datasheet 7.1.6.2).
#[derive(Debug)]
pub struct RxDesc;

impl RxDesc {
    /// Word 1: descriptor done.
    pub const DD: u64 = 1 << 0;
    /// Word 1: end of packet.
    pub const EOP: u64 = 1 << 1;
    /// Word 1: the packet had a VLAN tag that matches, now in the tag field.
    pub const VP: u64 = 1 << 3;
    /// Word 1: UDP checksum checked.
    pub const UDPCS: u64 = 1 << 4;
    /// Word 1: TCP or UDP checksum checked.
    pub const L4CS: u64 = 1 << 5;
    /// Word 1: IPv4 checksum checked.
    pub const IPCS: u64 = 1 << 6;

    /// Length of the data in this buffer, in bytes.
    #[inline(always)]
    pub const fn length(w1: u64) -> u16 {
        (w1 >> 32) as u16
    }

    /// VLAN tag.
    #[inline(always)]
    pub const fn vlan(w1: u64) -> u16 {
        (w1 >> 48) as u16
    }

    /// RSS type: 0 when no hash was computed.
    #[inline(always)]
    pub const fn rss_type(w0: u64) -> u8 {
        (w0 & 0xf) as u8
    }

    /// RSS hash (with RXCSUM.PCSD).
    #[inline(always)]
    pub const fn rss_hash(w0: u64) -> u32 {
        (w0 >> 32) as u32
    }

    /// The packet-type bits IPV4, IPV4E, IPV6, IPV6E, TCP, UDP, SCTP, NFS.
    #[inline(always)]
    pub const fn packet_type(w0: u64) -> u8 {
        (w0 >> 4) as u8
    }
}

/// Transmit data descriptor. Word 0: buffer address (82599 datasheet 7.2.3.2.4).
#[derive(Debug)]
pub struct TxDesc;

impl TxDesc {
    /// Advanced data descriptor (DTYP 0011b at bit 20).
    pub const DATA: u64 = 0x3 << 20;
    /// End of packet.
    pub const EOP: u64 = 1 << 24;
    /// Insert the frame check sequence.
    pub const IFCS: u64 = 1 << 25;
    /// Report status: write DD back when done.
    pub const RS: u64 = 1 << 27;
    /// Descriptor extension: the descriptor is advanced.
    pub const DEXT: u64 = 1 << 29;
    /// Write-back: descriptor done (STA bit 0).
    pub const DD: u64 = 1 << 32;

    /// Word 1 of a data descriptor: `len` bytes here, `payload` bytes in the packet.
    #[inline(always)]
    pub const fn data(len: u16, payload: u32, command: u64) -> u64 {
        len as u64 | (payload as u64) << 46 | Self::DATA | Self::DEXT | Self::IFCS | command
    }
}
