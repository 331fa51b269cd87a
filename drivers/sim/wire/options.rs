//! The part of a wire string behind its kind: `NAME,key=value,...`.

use std::time::Duration;

use crate::error::{Error, Result};

/// A wire's name and options, parsed but not judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    name: String,
    pairs: Vec<(String, String)>,
}

impl Options {
    /// Splits `NAME,key=value,...`; the name may be missing.
    ///
    /// # Errors
    /// [`Error::Config`] for an empty part, a second name, or a key given twice.
    pub fn parse(text: &str) -> Result<Self> {
        let mut options = Self::default();
        if text.is_empty() {
            return Ok(options);
        }
        for (i, part) in text.split(',').enumerate() {
            match part.split_once('=') {
                Some((key, _)) if options.get(key).is_some() => {
                    return Err(Error::config("wire option", part, "each key once"));
                }
                Some((key, value)) if !key.is_empty() => {
                    options.pairs.push((key.to_owned(), value.to_owned()));
                }
                None if i == 0 && !part.is_empty() => options.name = part.to_owned(),
                _ => {
                    return Err(Error::config("wire option", part, "NAME,key=value,key=value"));
                }
            }
        }
        Ok(options)
    }

    /// The name before the first comma; empty when there is none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// All pairs, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Refuses keys that `what` does not have.
    ///
    /// # Errors
    /// [`Error::Config`] naming the key and the allowed ones.
    pub fn only(&self, what: &'static str, keys: &[&str]) -> Result<()> {
        match self.pairs.iter().find(|(k, _)| !keys.contains(&k.as_str())) {
            Some((key, _)) if keys.is_empty() => Err(Error::config(what, key, "no options")),
            Some((key, _)) => Err(Error::config(what, key, keys.join(", "))),
            None => Ok(()),
        }
    }

    /// A whole number, or `default` when the key is absent.
    ///
    /// # Errors
    /// [`Error::Config`] naming `key`.
    pub fn number(&self, key: &'static str, default: u64) -> Result<u64> {
        match self.get(key) {
            None => Ok(default),
            Some(v) => v.parse().map_err(|_| Error::config(key, v, "a whole number")),
        }
    }

    /// A probability from 0 to 1, or 0 when the key is absent.
    ///
    /// # Errors
    /// [`Error::Config`] naming `key`.
    pub fn probability(&self, key: &'static str) -> Result<f64> {
        match self.get(key) {
            None => Ok(0.0),
            Some(v) => v
                .parse()
                .ok()
                .filter(|p| (0.0..=1.0).contains(p))
                .ok_or_else(|| Error::config(key, v, "a number from 0 to 1")),
        }
    }

    /// A duration such as `500ns`, `5us`, `1.5ms` or `2s`, or zero when the key is absent.
    ///
    /// # Errors
    /// [`Error::Config`] naming `key`.
    pub fn duration(&self, key: &'static str) -> Result<Duration> {
        let Some(v) = self.get(key) else { return Ok(Duration::ZERO) };
        let bad = || Error::config(key, v, "a time up to 3600s such as 500ns, 5us, 1.5ms or 2s");
        let digits = v.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &v[digits.len()..] {
            "ns" => 1e-9,
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            _ => return Err(bad()),
        };
        let seconds = digits.parse::<f64>().map_err(|_| bad())? * unit;
        if (0.0..=3600.0).contains(&seconds) {
            Ok(Duration::from_secs_f64(seconds))
        } else {
            Err(bad())
        }
    }

    /// A bit rate such as `10g`, `2.5g`, `100m` or `64k`, in bits a second; `None` when the key is
    /// absent.
    ///
    /// # Errors
    /// [`Error::Config`] naming `key`.
    pub fn rate(&self, key: &'static str) -> Result<Option<u64>> {
        let Some(v) = self.get(key) else { return Ok(None) };
        let bad = || Error::config(key, v, "bits a second such as 10g, 2.5g, 100m or 64k");
        let digits = v.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match v[digits.len()..].to_ascii_lowercase().as_str() {
            "" => 1.0,
            "k" => 1e3,
            "m" => 1e6,
            "g" => 1e9,
            _ => return Err(bad()),
        };
        let bits = digits.parse::<f64>().map_err(|_| bad())? * unit;
        if (1.0..=1e12).contains(&bits) { Ok(Some(bits as u64)) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_parse_or_name_the_key() {
        let o = Options::parse("a,rate=2.5g,delay=1.5ms,loss=0.25,n=7").unwrap();
        assert_eq!((o.name(), o.get("n"), o.get("x")), ("a", Some("7"), None));
        assert_eq!(o.rate("rate").unwrap(), Some(2_500_000_000));
        assert_eq!(o.duration("delay").unwrap(), Duration::from_micros(1500));
        assert_eq!(o.probability("loss").unwrap(), 0.25);
        assert_eq!((o.number("n", 1).unwrap(), o.number("m", 1).unwrap()), (7, 1));
        assert!(o.only("w", &["rate", "delay", "loss", "n"]).is_ok());
        let text = o.only("w", &["rate", "delay"]).unwrap_err().to_string();
        assert!(text.contains("loss") && text.contains("rate, delay"), "{text}");
        for bad in ["a,,b", "a,b", ",", "x=1,x=2", "=1"] {
            assert!(Options::parse(bad).is_err(), "{bad}");
        }
        for bad in ["rate=9q", "rate=-1", "rate=", "rate=nan", "rate=inf"] {
            assert!(Options::parse(bad).unwrap().rate("rate").is_err(), "{bad}");
        }
        for bad in ["delay=5", "delay=us", "delay=-1s", "delay=1e99s", "delay=nans"] {
            assert!(Options::parse(bad).unwrap().duration("delay").is_err(), "{bad}");
        }
        assert!(Options::parse("loss=1.5").unwrap().probability("loss").is_err());
    }
}
