//! The registers of the PHYs beyond the sixteen of IEEE 802.3, as Intel's public drivers use them:
//! an 82576's have pages, an I350's lead to a memory behind two of them.

use super::Variant;

/// The first of them.
pub(super) const FIRST: usize = 16;
/// The 82576's page, in the bits that no register number has.
const PAGE_SELECT: usize = 31;
const PAGE: u16 = 0xffe0;

/// State of the 82576's port: rate, link, full duplex.
const PORT_STATUS: u16 = 0x11;
/// State of the I350's: rate.
const STATUS_2: u16 = 26;

/// Page and register, value after a reset, bits that software can write.
type Line = (u16, u16, u16);

/// The 82576's: configuration, state and control of the port, health of the link, FIFO, channel
/// quality, power; polarity of the pairs; and the gain of each pair's receiver, from which drivers
/// tell the length of the cable.
const PAGED: [Line; 12] = [
    (0x0010, 0x0000, 0xffff),
    (PORT_STATUS, 0x0000, 0x0000),
    (0x0012, 0x1000, 0xffff),
    (0x0013, 0x0000, 0x0000),
    (0x0014, 0x0000, 0xffff),
    (0x0018, 0x0000, 0x0000),
    (0x0019, 0x0000, 0xffff),
    (0x00B4, 0x0000, 0x0000),
    (0x11B1, 0x1000, 0x0000),
    (0x12B1, 0x1000, 0x0000),
    (0x14B1, 0x1000, 0x0000),
    (0x18B1, 0x1000, 0x0000),
];

/// The I350's: address in the memory, of which nothing is modelled (it reads as zero); control,
/// loopback, configuration, and in the last the length of the cable in metres.
const FLAT: [Line; 11] = [
    (16, 0x0000, 0xffff),
    (17, 0x0000, 0x0000),
    (18, 0x0400, 0xffff),
    (19, 0x0001, 0xffff),
    (20, 0x0000, 0xffff),
    (22, 0x0000, 0xffff),
    (23, 0x0000, 0xffff),
    (24, 0x0000, 0xffff),
    (25, 0x0000, 0x0000),
    (STATUS_2, 0x0000, 0x0000),
    (31, 10 << 2, 0x0000),
];

/// One PHY's.
#[derive(Debug)]
pub(super) struct Vendor {
    paged: bool,
    page: u16,
    lines: Vec<Line>,
}

impl Vendor {
    pub(super) fn new(variant: Variant) -> Self {
        let paged = variant == Variant::I82576;
        let lines = if paged { PAGED.to_vec() } else { FLAT.to_vec() };
        Self { paged, page: 0, lines }
    }

    fn address(&self, at: usize) -> u16 {
        at as u16 | if self.paged { self.page & PAGE } else { 0 }
    }

    /// Register `at`; `rate` is the link's in Mbit/s, if there is one.
    pub(super) fn read(&self, at: usize, rate: Option<u32>) -> u16 {
        if self.paged && at == PAGE_SELECT {
            return self.page;
        }
        let address = self.address(at);
        let steps = match rate {
            None => 0,
            Some(1000..) => 3,
            Some(100..) => 2,
            Some(_) => 1,
        };
        match address {
            PORT_STATUS if self.paged && steps > 0 => steps << 14 | 0x0600,
            STATUS_2 if !self.paged && steps > 0 => (steps - 1) << 8,
            _ => self.lines.iter().find(|l| l.0 == address).map_or(0, |l| l.1),
        }
    }

    pub(super) fn write(&mut self, at: usize, value: u16) {
        if self.paged && at == PAGE_SELECT {
            self.page = value;
            return;
        }
        let address = self.address(at);
        if let Some((_, held, writable)) = self.lines.iter_mut().find(|l| l.0 == address) {
            *held = *held & !*writable | value & *writable;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_82576_has_pages() {
        let mut v = Vendor::new(Variant::I82576);
        // The register's own number is part of what drivers write as page.
        v.write(31, 0x0019);
        v.write(0x19, 6);
        v.write(31, 0x12B1);
        assert_eq!((v.read(31, None), v.read(0x11, None)), (0x12B1, 0x1000));
        v.write(0x11, 0);
        assert_eq!(v.read(0x11, Some(1000)), 0x1000, "read-only");
        assert_eq!(v.read(0x19, None), 0, "another page");
        v.write(31, 0x0011);
        assert_eq!((v.read(0x11, None), v.read(0x11, Some(1000))), (0, 0xC600));
        assert_eq!(v.read(0x11, Some(10)) >> 14, 1);
        assert_eq!(v.read(0x19, None), 6);
    }

    #[test]
    fn an_i350_has_none() {
        let mut v = Vendor::new(Variant::I350);
        v.write(31, 0x12B1);
        assert_eq!(v.read(31, None) >> 2 & 0xff, 10, "metres");
        v.write(19, 0x8041);
        assert_eq!(v.read(19, None), 0x8041);
        let rates = [None, Some(10), Some(100), Some(1000)];
        assert_eq!(rates.map(|r| v.read(26, r) & 0x0300), [0, 0, 0x0100, 0x0200]);
    }
}
