//! Where a device sits: domain, bus, device, function.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A PCI address such as `0000:03:00.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddr {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

impl PciAddr {
    /// An address from its parts; `None` when `device` is above 31 or `function` above 7.
    pub fn new(domain: u32, bus: u8, device: u8, function: u8) -> Option<Self> {
        (device < 32 && function < 8).then_some(Self { domain, bus, device, function })
    }

    /// The domain, also called segment. Above 0xffff for devices behind Intel VMD.
    pub fn domain(&self) -> u32 {
        self.domain
    }

    /// The bus in its domain.
    pub fn bus(&self) -> u8 {
        self.bus
    }

    /// The device on its bus, 0 to 31.
    pub fn device(&self) -> u8 {
        self.device
    }

    /// The function of its device, 0 to 7.
    pub fn function(&self) -> u8 {
        self.function
    }
}

impl fmt::Display for PciAddr {
    /// As the kernel writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

impl FromStr for PciAddr {
    type Err = Error;

    /// Reads `domain:bus:device.function`, or the same without the domain, which then is 0.
    fn from_str(given: &str) -> Result<Self> {
        let bad = |why: &str| Error::BadAddress { given: given.to_owned(), why: why.to_owned() };
        if !given.is_empty() && !given.contains(['.', ':']) {
            return Err(bad(
                "it is no PCI address (`scripts/bind` shows those of network interfaces)",
            ));
        }
        let (rest, function) =
            given.rsplit_once('.').ok_or_else(|| bad("a PCI address has a '.' and a function"))?;
        let mut parts = rest.rsplit(':');
        let device = parts.next().unwrap_or_default();
        let bus = parts.next().ok_or_else(|| bad("a PCI address has a ':' after the bus"))?;
        let domain = parts.next();
        if parts.next().is_some() {
            return Err(bad("a PCI address has at most two ':'"));
        }
        let hex = |text: &str, most: usize, what: &str| {
            // from_str_radix would take a sign.
            (text.len() <= most && text.bytes().all(|b| b.is_ascii_hexdigit()))
                .then(|| u32::from_str_radix(text, 16).ok())
                .flatten()
                .ok_or_else(|| bad(&format!("the {what} is not a hexadecimal number")))
        };
        let domain = domain.map_or(Ok(0), |d| hex(d, 8, "domain"))?;
        let bus = hex(bus, 2, "bus")? as u8;
        let device = hex(device, 2, "device")? as u8;
        let function = hex(function, 1, "function")? as u8;
        Self::new(domain, bus, device, function)
            .ok_or_else(|| bad("devices go from 00 to 1f and functions from 0 to 7"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_print_alike() {
        for text in ["0000:03:00.0", "0000:ff:1f.7", "ffff:0a:1f.1", "10000:e1:00.0"] {
            assert_eq!(text.parse::<PciAddr>().unwrap().to_string(), text);
        }
        for (short, long) in
            [("03:00.0", "0000:03:00.0"), ("3:0.0", "0000:03:00.0"), ("0:AF:1F.3", "0000:af:1f.3")]
        {
            assert_eq!(short.parse::<PciAddr>().unwrap().to_string(), long);
        }
    }

    #[test]
    fn anything_else_says_what_is_wrong() {
        for (text, why) in [
            ("", "'.'"),
            ("eth0", "scripts/bind"),
            ("enp3s0f0", "scripts/bind"),
            ("03:00", "'.'"),
            ("0.0", "':'"),
            ("0000:03:20.0", "1f"),
            ("0000:03:00.8", "functions"),
            ("0000:03:00.10", "function is not"),
            ("0000:03:00.", "function is not"),
            ("0000:103:00.0", "bus is not"),
            ("0000::00.0", "bus is not"),
            (":03:00.0", "domain is not"),
            ("123456789:03:00.0", "domain is not"),
            ("0000:+3:00.0", "bus is not"),
            ("0000:03:-1.0", "device is not"),
            ("1:0000:03:00.0", "two ':'"),
            ("0000:03:00.0 ", "function is not"),
            (" 0000:03:00.0", "domain is not"),
            ("0000:0g:00.0", "bus is not"),
            ("0000:03:00.\u{663}", "function is not"),
            ("../../../etc.0", "':'"),
        ] {
            match text.parse::<PciAddr>() {
                Err(Error::BadAddress { given, why: told }) => {
                    assert_eq!(given, text);
                    assert!(told.contains(why), "{text}: {told}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn parts_out_of_range_make_no_address() {
        assert!(PciAddr::new(0, 0, 32, 0).is_none());
        assert!(PciAddr::new(0, 0, 0, 8).is_none());
        let a = PciAddr::new(0x10000, 0xff, 31, 7).unwrap();
        assert_eq!((a.domain(), a.bus(), a.device(), a.function()), (0x10000, 0xff, 31, 7));
    }

    proptest::proptest! {
        #[test]
        fn every_address_survives_printing(domain: u32, bus: u8, device in 0u8..32, function in 0u8..8) {
            let a = PciAddr::new(domain, bus, device, function).unwrap();
            proptest::prop_assert_eq!(a.to_string().parse::<PciAddr>().unwrap(), a);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = text.parse::<PciAddr>();
        }
    }
}
