//! Which code carries a queue's packets.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A way to read and write descriptors. All do the same, bit for bit; the scalar one is the
/// specification of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DataPath {
    /// One descriptor at a time; on every processor.
    Scalar,
    /// Four at a time in 128-bit registers.
    Sse41,
    /// Four at a time in 256-bit registers.
    Avx2,
    /// Eight at a time in 512-bit registers.
    Avx512,
}

impl DataPath {
    const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Sse41, Self::Scalar];

    /// Those that this processor can run, fastest first. Scalar is always among them.
    pub fn supported() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|path| path.is_supported())
    }

    /// Whether this processor can run it.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    pub fn is_supported(self) -> bool {
        match self {
            Self::Scalar => true,
            Self::Sse41 => is_x86_feature_detected!("sse4.1") && is_x86_feature_detected!("ssse3"),
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            Self::Avx512 => {
                Self::Avx2.is_supported()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
            }
        }
    }

    /// Whether this processor can run it.
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    pub fn is_supported(self) -> bool {
        self == Self::Scalar
    }

    /// What it is called in options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Sse41 => "sse4.1",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for DataPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DataPath {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|path| path.name() == s);
        known.ok_or_else(|| Error::config("data path", s, "scalar, sse4.1, avx2 or avx512"))
    }
}

/// The path that a queue took at its start, and why not a faster one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathChoice {
    /// The path.
    pub path: DataPath,
    /// Why not the fastest that there is; `None` when it is that.
    pub why: Option<String>,
}

impl PathChoice {
    /// The fastest that this processor can run, or the one that was asked for.
    ///
    /// # Errors
    /// [`Error::Config`] when the processor cannot run what was asked for.
    pub fn new(wanted: Option<DataPath>) -> Result<Self> {
        let [best, ..] = DataPath::ALL;
        let Some(path) = wanted else {
            let path = DataPath::supported().next().unwrap_or(DataPath::Scalar);
            let why = (path < best).then(|| format!("this processor has no {best}"));
            return Ok(Self { path, why });
        };
        if !path.is_supported() {
            let names: Vec<_> = DataPath::supported().map(DataPath::name).collect();
            let allowed = format!("{}: what this processor can run", names.join(", "));
            return Err(Error::config("data path", path, allowed));
        }
        let why = (path < best).then(|| "as configured".to_owned());
        Ok(Self { path, why })
    }

    /// What queues that are not a driver's ring say.
    pub fn scalar(why: impl Into<String>) -> Self {
        Self { path: DataPath::Scalar, why: Some(why.into()) }
    }
}

impl fmt::Display for PathChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path {
            DataPath::Scalar => f.write_str("scalar")?,
            DataPath::Sse41 => f.write_str("vector: SSE4.1, no offloads")?,
            DataPath::Avx2 => f.write_str("vector: AVX2, no offloads")?,
            DataPath::Avx512 => f.write_str("vector: AVX-512, no offloads")?,
        }
        match &self.why {
            Some(why) => write!(f, " ({why})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for path in DataPath::ALL {
            assert_eq!(path.to_string().parse::<DataPath>().unwrap(), path);
        }
        let e = "avx3".parse::<DataPath>().unwrap_err().to_string();
        assert!(e.contains("avx3") && e.contains("sse4.1"), "{e}");
    }

    #[test]
    fn the_fastest_is_chosen_unless_another_is_asked_for() {
        let auto = PathChoice::new(None).unwrap();
        assert_eq!(Some(auto.path), DataPath::supported().next());
        assert_eq!(auto.why.is_none(), auto.path == DataPath::ALL[0]);
        let scalar = PathChoice::new(Some(DataPath::Scalar)).unwrap();
        assert_eq!(scalar.to_string(), "scalar (as configured)");
        for path in DataPath::ALL {
            assert_eq!(PathChoice::new(Some(path)).is_ok(), path.is_supported());
        }
    }
}
