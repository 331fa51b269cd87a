//! The string that names a software NIC: `sim:82599?wire=loopback&drive=step&seed=7`.

use crate::error::{Error, Result};
use crate::port::MacAddr;

use super::chip::Model;
use super::drive::Drive;
use super::fault::FaultPlan;

/// What a software NIC is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct SimConfig {
    /// What it is called in messages: the whole string.
    pub name: String,
    /// Which chip it is.
    pub chip: Model,
    /// Its wire, as [`wire::open`](super::wire::open) takes it.
    pub wire: String,
    /// The MAC address in its EEPROM; one of its own when `None`.
    pub mac: Option<MacAddr>,
    /// What makes it run.
    pub drive: Drive,
    /// Seed of everything random about it.
    pub seed: u64,
    /// The misbehaviours it shows.
    pub faults: FaultPlan,
    /// Whether breaches of the datasheet's order are recorded.
    pub lawyer: bool,
    /// How many events the trace keeps; 0 keeps none.
    pub trace: usize,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            name: "sim:82599".to_owned(),
            chip: Model::I82599,
            wire: "none".to_owned(),
            mac: None,
            drive: Drive::Inline,
            seed: 1,
            faults: FaultPlan::default(),
            lawyer: false,
            trace: 0,
        }
    }
}

const KEYS: &str = "wire, mac, drive, seed, faults, lawyer, trace";

impl SimConfig {
    /// Parses a whole string, `sim:` included.
    ///
    /// # Errors
    /// [`Error::BadAddress`] when it is no software NIC's; [`Error::Config`] for a bad key or
    /// value, naming those there are.
    pub fn parse(spec: &str) -> Result<Self> {
        let bad = |why: &str| Error::BadAddress { given: spec.to_owned(), why: why.to_owned() };
        let rest = spec.strip_prefix("sim:").ok_or_else(|| bad("it does not start with sim:"))?;
        let (chip, options) = rest.split_once('?').unwrap_or((rest, ""));
        if chip.is_empty() {
            return Err(bad("the chip is missing after sim:"));
        }
        let Some(model) = Model::ALL.into_iter().find(|m| m.name() == chip) else {
            let all = Model::ALL.map(Model::name).join(", ");
            return Err(Error::config("software NIC chip", chip, all));
        };
        let mut config = Self { name: spec.to_owned(), chip: model, ..Self::default() };
        let mut seen = Vec::new();
        for pair in options.split('&').filter(|p| !p.is_empty()) {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(Error::config("software NIC option", pair, "key=value, joined by &"));
            };
            if seen.contains(&key) {
                return Err(Error::config("software NIC option", pair, "each key once"));
            }
            seen.push(key);
            config.set(key, value)?;
        }
        Ok(config)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "wire" => value.clone_into(&mut self.wire),
            "mac" => {
                let mac: MacAddr = value.parse()?;
                if !mac.is_station() {
                    return Err(Error::config("mac", value, "an address of one station"));
                }
                self.mac = Some(mac);
            }
            "drive" => {
                self.drive = match value {
                    "inline" => Drive::Inline,
                    "thread" => Drive::Thread,
                    "step" => Drive::Step,
                    _ => return Err(Error::config("drive", value, "inline, thread, step")),
                }
            }
            "seed" => {
                self.seed = value
                    .parse()
                    .map_err(|_| Error::config("seed", value, "a whole number below 2^64"))?;
            }
            "faults" => self.faults = FaultPlan::parse(value)?,
            "lawyer" => {
                self.lawyer = match value {
                    "on" => true,
                    "off" => false,
                    _ => return Err(Error::config("lawyer", value, "on, off")),
                }
            }
            "trace" => {
                self.trace = value
                    .parse()
                    .ok()
                    .filter(|n| *n <= 1 << 20)
                    .ok_or_else(|| Error::config("trace", value, "0 to 1048576 events"))?;
            }
            _ => return Err(Error::config("software NIC option", key, KEYS)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::sim::Inject;

    #[test]
    fn a_full_string() {
        let spec = "sim:82599?wire=cable:a,rate=10g&mac=02:00:00:00:00:09&drive=step&seed=77\
                    &faults=late,flap@0.5&lawyer=on&trace=100";
        let c = SimConfig::parse(spec).unwrap();
        assert_eq!((c.name.as_str(), c.wire.as_str()), (spec, "cable:a,rate=10g"));
        assert_eq!(c.mac, Some(MacAddr([2, 0, 0, 0, 0, 9])));
        assert_eq!((c.drive, c.seed, c.lawyer, c.trace), (Drive::Step, 77, true, 100));
        assert!(c.faults.has(Inject::Late) && !c.faults.has(Inject::Damage));
        let plain = SimConfig::parse("sim:82599").unwrap();
        assert_eq!(plain, SimConfig::default());
        assert_eq!(SimConfig::parse("sim:82599?").unwrap().wire, "none");
        let other = SimConfig::parse("sim:82576?seed=3").unwrap();
        assert_eq!((other.chip, other.seed), (Model::I82576, 3));
    }

    #[test]
    fn refusals_name_the_key_and_what_is_allowed() {
        for (spec, needles) in [
            ("sim:", &["chip is missing"][..]),
            ("82599", &["does not start"]),
            ("sim:82575", &["82575", "82599, x540, x550, 82576, i350"]),
            ("sim:82599?speed=1", &["speed", "wire, mac, drive"]),
            ("sim:82599?wire", &["wire", "key=value"]),
            ("sim:82599?drive=fast", &["drive = fast", "inline, thread, step"]),
            ("sim:82599?seed=x", &["seed = x"]),
            ("sim:82599?seed=1&seed=2", &["seed=2", "each key once"]),
            ("sim:82599?mac=ff:ff:ff:ff:ff:ff", &["mac", "one station"]),
            ("sim:82599?mac=02", &["MAC address = 02"]),
            ("sim:82599?lawyer=maybe", &["lawyer = maybe", "on, off"]),
            ("sim:82599?faults=rain", &["rain", "late"]),
            ("sim:82599?trace=-1", &["trace = -1"]),
        ] {
            let text = SimConfig::parse(spec).unwrap_err().to_string();
            for needle in needles {
                assert!(text.contains(needle), "{spec}: {text}");
            }
        }
    }
}
