//! Counters. Together they form the loss ladder: what the wire brought, and where each frame that
//! did not reach the application was lost.

/// What one receive queue counted in software since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RxQueueStats {
    /// Packets handed to the application.
    pub packets: u64,
    /// Their bytes, without CRC.
    pub bytes: u64,
    /// Packets that the NIC marked as damaged, dropped here.
    pub errors: u64,
    /// Packets dropped because their descriptors made no sense (zero length, a chain that never
    /// ended, a length beyond the buffer): a broken device.
    pub bad_descriptors: u64,
    /// Times that the ring could not be refilled because the pool was empty.
    pub pool_empty: u64,
}

/// What one transmit queue counted in software since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TxQueueStats {
    /// Packets given to the NIC.
    pub packets: u64,
    /// Their bytes, without CRC.
    pub bytes: u64,
    /// Packets freed because they can never be sent.
    pub errors: u64,
    /// Bursts that found the ring full and left packets with the caller.
    pub ring_full: u64,
    /// Buffers that a broken device completed without being done with them; they are kept out of
    /// use.
    pub quarantined: u64,
}

/// What the NIC's own counters say, added up since the start of the port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortStats {
    /// Good frames received by the MAC and delivered to a queue.
    pub rx_packets: u64,
    /// Their bytes, without CRC.
    pub rx_bytes: u64,
    /// Good frames sent.
    pub tx_packets: u64,
    /// Their bytes, without CRC.
    pub tx_bytes: u64,
    /// Frames with CRC or symbol errors, or a wrong length: damaged on the wire.
    pub rx_crc_errors: u64,
    /// Frames shorter or longer than allowed, or with a length field that lies.
    pub rx_length_errors: u64,
    /// Good frames that the receive FIFO had no room for (MPC).
    pub rx_missed: u64,
    /// Good frames that found no free descriptor, dropped by queue (QPRDC and its kin).
    pub rx_no_descriptor: u64,
    /// Good frames that passed no address filter. Counted by the software NIC only; a real one
    /// does not tell.
    pub rx_filtered: u64,
    /// Pause frames sent and received.
    pub pause_tx: u64,
    /// Pause frames received.
    pub pause_rx: u64,
    /// Names of hardware counters that reached their maximum between two reads, so that the sums
    /// above are lower bounds. Poll more often than every four minutes.
    pub saturated: Vec<&'static str>,
}
