//! LinkSec, IPsec and time synchronisation registers (8.2.3.13, .14, .26).

crate::registers! {
    /// LinkSec and IPsec: strapped off in this model.
    pub(super) table SECURE;

    /// LinkSec: transmit capabilities.
    LSECTXCAP @ 0x08A00, Ro, reset 0, "8.2.3.13.1"
    /// LinkSec: receive capabilities.
    LSECRXCAP @ 0x08F00, Ro, reset 0, "8.2.3.13.2"
    /// LinkSec: transmit control.
    LSECTXCTRL @ 0x08A04, Rw, reset 0, "8.2.3.13.3"
    /// LinkSec: transmit channel, low half.
    LSECTXSCL @ 0x08A08, Rw, reset 0, "8.2.3.13.5"
    /// LinkSec: transmit channel, high half.
    LSECTXSCH @ 0x08A0C, Rw, reset 0, "8.2.3.13.6"
    /// LinkSec: transmit association.
    LSECTXSA @ 0x08A10, Rw, reset 0, "8.2.3.13.7"
    /// LinkSec: packet numbers of the associations.
    LSECTXPN[2; 4] @ 0x08A14, Rw, reset 0, "8.2.3.13.8"
    /// LinkSec: key 0.
    LSECTXKEY0[4; 4] @ 0x08A1C, Wo, reset 0, "8.2.3.13.10"
    /// LinkSec: key 1.
    LSECTXKEY1[4; 4] @ 0x08A2C, Wo, reset 0, "8.2.3.13.11"
    /// LinkSec: counters of what was sent.
    LSECTXCNT[5; 4] @ 0x08A3C, Rc, reset 0, "8.2.3.13"
    /// LinkSec: receive control.
    LSECRXCTRL @ 0x08F04, Rw, reset 0, "8.2.3.13.4"
    /// LinkSec: receive channel, low half.
    LSECRXSCL @ 0x08F08, Rw, reset 0, "8.2.3.13.12"
    /// LinkSec: receive channel, high half.
    LSECRXSCH @ 0x08F0C, Rw, reset 0, "8.2.3.13.13"
    /// LinkSec: receive associations.
    LSECRXSA[2; 4] @ 0x08F10, Rw, reset 0, "8.2.3.13.14"
    /// LinkSec: packet numbers of the receive associations.
    LSECRXPN[2; 4] @ 0x08F18, Rw, reset 0, "8.2.3.13.15"
    /// LinkSec: keys of the receive associations.
    LSECRXKEY[8; 4] @ 0x08F20, Wo, reset 0, "8.2.3.13.16"
    /// LinkSec: counters of what was received.
    LSECRXCNT[17; 4] @ 0x08F40, Rc, reset 0, "8.2.3.13"

    /// IPsec: which transmit entry is accessed.
    IPSTXIDX @ 0x08900, Rw, reset 0, "8.2.3.14.1"
    /// IPsec: salt to send with.
    IPSTXSALT @ 0x08904, Rw, reset 0, "8.2.3.14.3"
    /// IPsec: key to send with.
    IPSTXKEY[4; 4] @ 0x08908, Rw, reset 0, "8.2.3.14.2"
    /// IPsec: which receive entry is accessed.
    IPSRXIDX @ 0x08E00, Rw, reset 0, "8.2.3.14.4"
    /// IPsec: addresses.
    IPSRXIPADDR[4; 4] @ 0x08E04, Rw, reset 0, "8.2.3.14.5"
    /// IPsec: index of the association.
    IPSRXSPI @ 0x08E14, Rw, reset 0, "8.2.3.14.6"
    /// IPsec: address of the association.
    IPSRXIPIDX @ 0x08E18, Rw, reset 0, "8.2.3.14.7"
    /// IPsec: key to receive with.
    IPSRXKEY[4; 4] @ 0x08E1C, Rw, reset 0, "8.2.3.14.8"
    /// IPsec: salt to receive with.
    IPSRXSALT @ 0x08E2C, Rw, reset 0, "8.2.3.14.9"
    /// IPsec: mode of the association.
    IPSRXMOD @ 0x08E30, Rw, reset 0, "8.2.3.14.10"
}
