//! The SFP+ module in a NIC's cage: identity and diagnostics behind a two-wire bus (SFF-8472,
//! INF-8074i).

use std::fmt;

mod bus;
mod pages;

pub(super) use bus::{Bus, Targets};
use pages::Page;

/// Bus addresses of the module's two pages (SFF-8472 chapter 4): 0xA0 and 0xA2, shifted.
const IDENTITY: u8 = 0x50;
const DIAGNOSTICS: u8 = 0x51;

/// First and last byte of the diagnostics that belong to the user (SFF-8472 table 9-16).
const USER: std::ops::RangeInclusive<u8> = 120..=247;
/// Optional status and control (SFF-8472 table 9-11): rate select is software's, too.
const CONTROL: u8 = 110;
const SOFT_RATE: u8 = 1 << 3;

/// The light that passes the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Light {
    /// The laser is not switched off.
    pub(super) sent: bool,
    /// The far end's reaches the receiver.
    pub(super) received: bool,
}

/// A dual-rate 10GBASE-SR and 1000BASE-SX module.
pub(super) struct Module {
    identity: Page,
    diagnostics: Page,
    /// The page that is selected.
    selected: u8,
    /// The next byte written is an address within the page.
    addressing: bool,
    /// Address within the page of the next byte; one for both pages.
    at: u8,
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Module(at {:#04x} of {:#04x})", self.at, self.selected << 1)
    }
}

impl Module {
    /// A module with this serial number.
    pub(super) fn new(serial: &str) -> Self {
        let mut module = Self {
            identity: pages::identity(serial),
            diagnostics: pages::diagnostics(),
            selected: IDENTITY,
            addressing: false,
            at: 0,
        };
        module.see(Light { sent: true, received: true });
        module
    }

    /// Measures the light.
    pub(super) fn see(&mut self, light: Light) {
        pages::measure(&mut self.diagnostics, light);
    }
}

impl Targets for Module {
    fn select(&mut self, address: u8, read: bool) -> bool {
        self.selected = address;
        self.addressing = !read;
        matches!(address, IDENTITY | DIAGNOSTICS)
    }

    /// What may not be written is taken and forgotten.
    fn write(&mut self, byte: u8) -> bool {
        if std::mem::take(&mut self.addressing) {
            self.at = byte;
            return true;
        }
        let place = &mut self.diagnostics[usize::from(self.at)];
        if self.selected == DIAGNOSTICS {
            if USER.contains(&self.at) {
                *place = byte;
            } else if self.at == CONTROL {
                *place = *place & !SOFT_RATE | byte & SOFT_RATE;
            }
        }
        self.at = self.at.wrapping_add(1);
        true
    }

    fn read(&mut self) -> u8 {
        let page = if self.selected == DIAGNOSTICS { &self.diagnostics } else { &self.identity };
        let byte = page[usize::from(self.at)];
        self.at = self.at.wrapping_add(1);
        byte
    }
}

/// A cage with or without a module, on its bus.
#[derive(Debug)]
pub(super) struct Cage {
    bus: Bus,
    module: Option<Module>,
    /// The module is in.
    present: bool,
}

/// Nobody.
struct Empty;

impl Targets for Empty {
    fn select(&mut self, _address: u8, _read: bool) -> bool {
        false
    }

    fn write(&mut self, _byte: u8) -> bool {
        false
    }

    fn read(&mut self) -> u8 {
        0xff
    }
}

impl Cage {
    /// With its module in it. Without one there is no cage either.
    pub(super) fn new(module: Option<Module>) -> Self {
        Self { bus: Bus::default(), present: module.is_some(), module }
    }

    /// Puts the module in or takes it out, in whatever state the bus is. Whether that was done.
    pub(super) fn insert(&mut self, present: bool) -> bool {
        let done = self.module.is_some() && self.present != present;
        if done {
            self.bus = Bus::default();
            self.present = present;
        }
        done
    }

    /// Whether there is a module in it.
    pub(super) fn is_full(&self) -> bool {
        self.present
    }

    /// The levels of clock and data.
    pub(super) fn lines(&self) -> (bool, bool) {
        self.bus.lines()
    }

    /// Software drives clock and data: true lets go of a line.
    pub(super) fn drive(&mut self, clock: bool, data: bool) {
        match self.module.as_mut().filter(|_| self.present) {
            Some(module) => self.bus.drive(clock, data, module),
            None => self.bus.drive(clock, data, &mut Empty),
        }
    }

    /// The module measures the light.
    pub(super) fn see(&mut self, light: Light) {
        if let Some(module) = &mut self.module {
            module.see(light);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::bus::tests::Master;
    use super::*;

    /// Reads `n` bytes of the page at bus address `page` from `at` on.
    fn read(cage: &mut Cage, page: u8, at: u8, n: usize) -> Option<Vec<u8>> {
        let mut master = Master(|c, d| {
            cage.drive(c, d);
            cage.lines()
        });
        master.start();
        if !(master.send(page) && master.send(at)) {
            master.stop();
            return None;
        }
        master.start();
        assert!(master.send(page | 1));
        let bytes = (1..=n).map(|i| master.take(i < n)).collect();
        master.stop();
        Some(bytes)
    }

    fn write(cage: &mut Cage, page: u8, at: u8, bytes: &[u8]) {
        let mut master = Master(|c, d| {
            cage.drive(c, d);
            cage.lines()
        });
        master.start();
        assert!(master.send(page) && master.send(at) && bytes.iter().all(|b| master.send(*b)));
        master.stop();
    }

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |s, b| s.wrapping_add(*b))
    }

    fn cage() -> Cage {
        Cage::new(Some(Module::new("12345")))
    }

    #[test]
    fn what_the_identity_says() {
        let page = read(&mut cage(), 0xa0, 0, 256).unwrap();
        assert_eq!((page[0], page[1], page[2]), (3, 4, 7), "SFP, two-wire identity, LC");
        assert_eq!((page[3] & 0xf0, page[6]), (0x10, 0x01), "10GBASE-SR, 1000BASE-SX");
        assert_eq!(page[8] & 0x0c, 0, "no cable");
        assert_eq!(&page[20..36], b"Barewire        ");
        assert_eq!(&page[68..84], b"12345           ");
        assert_eq!(u16::from_be_bytes([page[60], page[61]]), 850);
        assert_eq!(page[63], sum(&page[..63]), "CC_BASE");
        assert_eq!(page[95], sum(&page[64..95]), "CC_EXT");
        assert_eq!(page[92] & 0x64, 0x60, "internally calibrated diagnostics, no address change");
    }

    #[test]
    fn what_the_diagnostics_say() {
        let mut cage = cage();
        let page = read(&mut cage, 0xa2, 0, 120).unwrap();
        assert_eq!(page[95], sum(&page[..95]), "CC_DMI");
        let word = |page: &[u8], at: usize| u16::from_be_bytes([page[at], page[at + 1]]);
        // Each measurement lies within its four thresholds.
        for (n, at) in (96..106).step_by(2).enumerate() {
            let signed = |at: usize| i32::from(word(&page, at) as i16);
            let plain = |at: usize| i32::from(word(&page, at));
            let value: &dyn Fn(usize) -> i32 = if n == 0 { &signed } else { &plain };
            let limits = [1, 3, 2, 0].map(|k| value(n * 8 + k * 2));
            assert!(limits.is_sorted(), "{limits:?}");
            assert!((limits[1]..limits[2]).contains(&value(at)), "{n}");
        }
        assert_eq!((page[110], word(&page, 112), word(&page, 116)), (0, 0, 0));
        cage.see(Light { sent: false, received: false });
        let page = read(&mut cage, 0xa2, 96, 24).unwrap();
        assert_eq!((word(&page, 4), word(&page, 6), word(&page, 8)), (0, 0, 0));
        assert_eq!(page[14], 0x82, "TX disabled, signal lost");
        assert_eq!((page[16] & 0x05, page[17] & 0x40), (0x05, 0x40), "alarms");
        cage.see(Light { sent: true, received: true });
        assert_eq!(read(&mut cage, 0xa2, 110, 1).unwrap(), [0]);
    }

    #[test]
    fn addresses_count_on_and_wrap() {
        let mut cage = cage();
        let page = read(&mut cage, 0xa0, 0, 256).unwrap();
        assert_eq!(read(&mut cage, 0xa0, 255, 2).unwrap(), [page[255], page[0]]);
    }

    #[test]
    fn only_the_users_bytes_can_be_written() {
        let mut cage = cage();
        let identity = read(&mut cage, 0xa0, 0, 256).unwrap();
        write(&mut cage, 0xa0, 0, &[0xff; 256]);
        assert_eq!(read(&mut cage, 0xa0, 0, 256).unwrap(), identity);
        let before = read(&mut cage, 0xa2, 0, 256).unwrap();
        write(&mut cage, 0xa2, 0, &[0x5a; 256]);
        let after = read(&mut cage, 0xa2, 0, 256).unwrap();
        for (at, (before, after)) in before.into_iter().zip(after).enumerate() {
            let expected = match at {
                110 => before | 0x08,
                120..=247 => 0x5a,
                _ => before,
            };
            assert_eq!(after, expected, "byte {at}");
        }
    }

    #[test]
    fn nobody_answers_in_an_empty_cage() {
        let mut cage = cage();
        assert!(read(&mut cage, 0xa4, 0, 1).is_none());
        assert!(cage.insert(false) && !cage.insert(false));
        assert!(read(&mut cage, 0xa0, 0, 1).is_none());
        assert!(cage.insert(true));
        assert!(read(&mut cage, 0xa0, 0, 1).is_some());
    }

    /// Whatever software does to the lines, the bus can be freed.
    #[test]
    fn any_sequence_of_levels_is_survived() {
        let mut cage = cage();
        let mut state = 0x2545_f491u32;
        for _ in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            cage.drive(state & 1 != 0, state & 2 != 0);
        }
        for _ in 0..9 {
            cage.drive(false, true);
            cage.drive(true, true);
        }
        assert_eq!(cage.lines(), (true, true));
        assert_eq!(read(&mut cage, 0xa0, 0, 1).unwrap(), [3]);
    }
}
