//! Flow Director's registers (8.2.3.7), but for its control.

crate::registers! {
    /// Flow Director.
    pub(super) table FLOW;

    /// Source address of an IPv6 flow, its upper three words.
    FDIRSIPV6[3; 4] @ 0x0EE0C, Rw, reset 0, "8.2.3.7"
    /// Source address of an IPv4 flow, or the lowest word of an IPv6 one.
    FDIRIPSA @ 0x0EE18, Rw, reset 0, "8.2.3.7"
    /// Destination address of an IPv4 flow.
    FDIRIPDA @ 0x0EE1C, Rw, reset 0, "8.2.3.7"
    /// Ports of a flow.
    FDIRPORT @ 0x0EE20, Rw, reset 0, "8.2.3.7" { SOURCE = 0..=15, DESTINATION = 16..=31 }
    /// VLAN tag and flexible bytes of a flow.
    FDIRVLAN @ 0x0EE24, Rw, reset 0, "8.2.3.7" { VLAN = 0..=15, FLEX = 16..=31 }
    /// Hash of a flow, and its signature or index.
    FDIRHASH @ 0x0EE28, Rw, reset 0, "8.2.3.7" { HASH = 0..=14, BUCKET_VALID = 15, SIGNATURE = 16..=30 }
    /// What to do with a flow.
    FDIRCMD @ 0x0EE2C, Rw, reset 0, "8.2.3.7" {
        CMD = 0..=1, FILTER_VALID = 2, FILTER_UPDATE = 3, IPV6_DMATCH = 4, L4TYPE = 5..=6, IPV6 = 7,
        CLEARHT = 8, DROP = 9, INT = 10, LAST = 11, COLLISION = 12, QUEUE_EN = 15,
        RX_QUEUE = 16..=22, VT_POOL = 24..=29
    }
    /// Filters that there is room for, and that collided.
    FDIRFREE @ 0x0EE38, Ro, reset 0, "8.2.3.7" { FREE = 0..=14, COLL = 16..=30 }
    /// Which bits of an IPv4 destination are not compared.
    FDIRDIP4M @ 0x0EE3C, Rw, reset 0, "8.2.3.7"
    /// Which bits of an IPv4 source are not compared.
    FDIRSIP4M @ 0x0EE40, Rw, reset 0, "8.2.3.7"
    /// Which bits of TCP ports are not compared.
    FDIRTCPM @ 0x0EE44, Rw, reset 0, "8.2.3.7"
    /// Which bits of UDP ports are not compared.
    FDIRUDPM @ 0x0EE48, Rw, reset 0, "8.2.3.7"
    /// The longest list of filters of one hash.
    FDIRLEN @ 0x0EE4C, Rc, reset 0, "8.2.3.7"
    /// Filters added and removed.
    FDIRUSTAT @ 0x0EE50, Rc, reset 0, "8.2.3.7" { ADD = 0..=15, REMOVE = 16..=31 }
    /// Filters that could not be added or removed.
    FDIRFSTAT @ 0x0EE54, Rc, reset 0, "8.2.3.7" { FADD = 0..=7, FREMOVE = 8..=15 }
    /// Packets that matched a filter.
    FDIRMATCH @ 0x0EE58, Rc, reset 0, "8.2.3.7"
    /// Packets that matched none.
    FDIRMISS @ 0x0EE5C, Rc, reset 0, "8.2.3.7"
    /// Key of the buckets' hash.
    FDIRHKEY @ 0x0EE68, Rw, reset 0, "8.2.3.7"
    /// Key of the signatures' hash.
    FDIRSKEY @ 0x0EE6C, Rw, reset 0, "8.2.3.7"
    /// What is not compared at all.
    FDIRM @ 0x0EE70, Rw, reset 0, "8.2.3.7" {
        VLANID = 0, VLANP = 1, POOL = 2, L4P = 3, FLEX = 4, DIPV6 = 5
    }
    /// Which bytes of IPv6 addresses are not compared.
    FDIRIP6M @ 0x0EE74, Rw, reset 0, "8.2.3.7"
    /// Which bits of SCTP ports are not compared, in later chips.
    FDIRSCTPM @ 0x0EE78, Rw, reset 0, "8.2.3.7"
}
