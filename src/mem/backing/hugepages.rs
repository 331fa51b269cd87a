//! The system's stock of 2 MiB hugepages, and who may still take some.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::mem::CHUNK;

/// `/proc/meminfo` and the directories below `/sys` that count hugepages.
#[derive(Debug)]
pub(super) struct Hugepages {
    sys: PathBuf,
    meminfo: PathBuf,
}

impl Hugepages {
    pub(super) fn system() -> Self {
        Self::at("/sys", "/proc/meminfo")
    }

    /// The same, from other files: for tests.
    pub(super) fn at(sys: impl Into<PathBuf>, meminfo: impl Into<PathBuf>) -> Self {
        Self { sys: sys.into(), meminfo: meminfo.into() }
    }

    /// Fails unless `len` bytes of hugepages are there for the taking.
    pub(super) fn require(&self, len: usize, node: Option<u32>) -> Result<()> {
        let needed = (len / CHUNK) as u64;
        let short =
            |free, node| Error::HugepagesExhausted { needed, free, size: CHUNK as u64, node };
        let free = self.free()?;
        if free < needed {
            return Err(short(free, None));
        }
        if let Some(n) = node
            && let Some(free) = self.free_on(n)?
            && free < needed
        {
            return Err(short(free, node));
        }
        Ok(())
    }

    /// Pages that can still be had, system-wide: free ones that no mapping has reserved, and
    /// those that the kernel may make on demand.
    pub(super) fn free(&self) -> Result<u64> {
        let dir = self.sys.join("kernel/mm/hugepages/hugepages-2048kB");
        let free = match read_count(&dir.join("free_hugepages"))? {
            Some(n) => n,
            None => {
                return Err(Error::config(
                    "backing",
                    "hugepages of 2 MiB",
                    "heap or memfd: this kernel has no hugepages of that size",
                ));
            }
        };
        let reserved = read_count(&dir.join("resv_hugepages"))?.unwrap_or(0);
        let allowed = read_count(&dir.join("nr_overcommit_hugepages"))?.unwrap_or(0);
        let surplus = read_count(&dir.join("surplus_hugepages"))?.unwrap_or(0);
        Ok(free.saturating_sub(reserved).saturating_add(allowed.saturating_sub(surplus)))
    }

    /// Free pages of one NUMA node; `None` when the kernel does not count by node.
    fn free_on(&self, node: u32) -> Result<Option<u64>> {
        let nodes = self.sys.join("devices/system/node");
        if !nodes.is_dir() {
            return Ok(None);
        }
        let dir = nodes.join(format!("node{node}"));
        if !dir.is_dir() {
            return Err(super::node::no_such(node));
        }
        let dir = dir.join("hugepages/hugepages-2048kB");
        let Some(free) = read_count(&dir.join("free_hugepages"))? else { return Ok(None) };
        let on_demand = self.sys.join("kernel/mm/hugepages/hugepages-2048kB");
        let allowed = read_count(&on_demand.join("nr_overcommit_hugepages"))?.unwrap_or(0);
        let surplus = read_count(&on_demand.join("surplus_hugepages"))?.unwrap_or(0);
        Ok(Some(free.saturating_add(allowed.saturating_sub(surplus))))
    }

    /// Fails unless 2 MiB is the size that the kernel gives when none is named.
    pub(super) fn require_default_size(&self) -> Result<()> {
        let text = fs::read_to_string(&self.meminfo)
            .map_err(|e| Error::io("read the hugepage size from", &self.meminfo, e))?;
        match default_size(&text) {
            Some(size) if size == CHUNK as u64 => Ok(()),
            found => Err(Error::config(
                "default hugepage size",
                found.map_or("none".to_owned(), |s| format!("{} KiB", s >> 10)),
                "2048 KiB (boot with default_hugepagesz=2M), or another backing",
            )),
        }
    }

    /// The error for a refusal by the kernel after all checks: somebody was faster, or a limit
    /// that no counter shows.
    pub(super) fn refused(
        &self,
        what: &str,
        len: usize,
        node: Option<u32>,
        source: io::Error,
    ) -> Error {
        match source.raw_os_error() {
            Some(libc::ENOMEM | libc::ENOSPC | libc::EFAULT) => Error::HugepagesExhausted {
                needed: (len / CHUNK) as u64,
                free: self.free().unwrap_or(0),
                size: CHUNK as u64,
                node,
            },
            _ => super::failed(&format!("{what} hugepages for"), len, source),
        }
    }
}

/// A decimal number in a file; `None` when there is no such file.
fn read_count(path: &Path) -> Result<Option<u64>> {
    let text = match fs::read_to_string(path) {
        Ok(t) => t,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read the hugepage count", path, e)),
    };
    text.trim().parse().map(Some).map_err(|e| {
        Error::io("read the hugepage count", path, io::Error::new(io::ErrorKind::InvalidData, e))
    })
}

/// The default hugepage size in bytes, read as strictly as hugepage-rs reads it: what this
/// accepts cannot make that crate panic.
fn default_size(meminfo: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|l| l.strip_prefix("Hugepagesize:"))?;
    let mut words = rest.split_whitespace();
    let size: u64 = words.next()?.parse().ok()?;
    match words.next() {
        Some("kB") => size.checked_mul(1024),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(free: &str, reserved: &str, node0: Option<&str>) -> (tempfile::TempDir, Hugepages) {
        let root = tempfile::tempdir().unwrap();
        let pool = root.path().join("kernel/mm/hugepages/hugepages-2048kB");
        fs::create_dir_all(&pool).unwrap();
        fs::write(pool.join("free_hugepages"), free).unwrap();
        fs::write(pool.join("resv_hugepages"), reserved).unwrap();
        if let Some(free) = node0 {
            let dir = root.path().join("devices/system/node/node0/hugepages/hugepages-2048kB");
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("free_hugepages"), free).unwrap();
        }
        let meminfo = root.path().join("meminfo");
        fs::write(&meminfo, "MemTotal: 1 kB\nHugepagesize:       2048 kB\n").unwrap();
        let pages = Hugepages::at(root.path(), meminfo);
        (root, pages)
    }

    #[test]
    fn reserved_pages_are_not_free() {
        let (_root, pages) = fixture("10\n", "4\n", None);
        assert_eq!(pages.free().unwrap(), 6);
        assert!(pages.require(6 * CHUNK, None).is_ok());
        let error = pages.require(7 * CHUNK, None).unwrap_err();
        assert!(
            matches!(
                error,
                Error::HugepagesExhausted { needed: 7, free: 6, size: 2_097_152, node: None }
            ),
            "{error:?}"
        );
    }

    #[test]
    fn pages_on_demand_count_until_they_are_used_up() {
        let (root, pages) = fixture("0", "0", None);
        let pool = root.path().join("kernel/mm/hugepages/hugepages-2048kB");
        fs::write(pool.join("nr_overcommit_hugepages"), "5").unwrap();
        fs::write(pool.join("surplus_hugepages"), "3").unwrap();
        assert_eq!(pages.free().unwrap(), 2);
        fs::write(pool.join("surplus_hugepages"), "9").unwrap();
        assert_eq!(pages.free().unwrap(), 0);
    }

    #[test]
    fn a_full_node_is_named_even_when_others_have_pages() {
        let (_root, pages) = fixture("10", "0", Some("1"));
        assert!(pages.require(CHUNK, Some(0)).is_ok());
        let error = pages.require(2 * CHUNK, Some(0)).unwrap_err();
        assert!(
            matches!(error, Error::HugepagesExhausted { needed: 2, free: 1, node: Some(0), .. }),
            "{error:?}"
        );
        let error = pages.require(CHUNK, Some(3)).unwrap_err();
        assert!(matches!(error, Error::Config { what: "NUMA node", .. }), "{error:?}");
    }

    #[test]
    fn a_kernel_without_counts_by_node_has_just_one() {
        let (_root, pages) = fixture("10", "0", None);
        assert!(pages.require(CHUNK, Some(3)).is_ok());
    }

    #[test]
    fn a_kernel_without_2_mib_pages_is_told_apart_from_an_empty_stock() {
        let root = tempfile::tempdir().unwrap();
        let pages = Hugepages::at(root.path(), root.path().join("meminfo"));
        assert!(matches!(pages.require(CHUNK, None), Err(Error::Config { .. })));
        assert!(matches!(pages.require_default_size(), Err(Error::Io { .. })));
    }

    #[test]
    fn nonsense_counts_are_errors() {
        for bad in ["", "many", "-1", "99999999999999999999999", "1 2"] {
            let (_root, pages) = fixture(bad, "0", None);
            assert!(matches!(pages.free(), Err(Error::Io { .. })), "{bad:?}");
        }
    }

    #[test]
    fn default_sizes_that_hugepage_rs_would_panic_on_are_refused() {
        assert_eq!(default_size("A: 1\nHugepagesize:    2048 kB\n"), Some(2 << 20));
        assert_eq!(default_size("Hugepagesize: 1048576 kB"), Some(1 << 30));
        for bad in [
            "",
            "MemTotal: 1 kB",
            "Hugepagesize:",
            "Hugepagesize: x kB",
            "Hugepagesize: 2 MB",
            "Hugepagesize: 99999999999999999999 kB",
            "Hugepagesize: 18446744073709551615 kB",
            " Hugepagesize: 2048 kB",
        ] {
            assert_eq!(default_size(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_2_mib_defaults_serve() {
        let (root, pages) = fixture("1", "0", None);
        assert!(pages.require_default_size().is_ok());
        fs::write(root.path().join("meminfo"), "Hugepagesize: 524288 kB\n").unwrap();
        let error = pages.require_default_size().unwrap_err();
        assert!(error.to_string().contains("524288 KiB"), "{error}");
    }

    #[test]
    fn refusals_that_mean_no_page_say_so() {
        let (_root, pages) = fixture("3", "0", None);
        for errno in [libc::ENOMEM, libc::ENOSPC, libc::EFAULT] {
            let e = pages.refused("take", 4 * CHUNK, Some(1), io::Error::from_raw_os_error(errno));
            assert!(
                matches!(e, Error::HugepagesExhausted { needed: 4, free: 3, node: Some(1), .. }),
                "{e:?}"
            );
        }
        let e = pages.refused("take", CHUNK, None, io::Error::from_raw_os_error(libc::EPERM));
        assert!(matches!(e, Error::Memory { .. }), "{e:?}");
    }
}
