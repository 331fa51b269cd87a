//! One contract for all backings. Those made of hugepages are held to it when pages are free;
//! otherwise they must say that none are.

use std::path::PathBuf;

use super::*;
use hugepages::Hugepages;

fn all() -> Vec<Backing> {
    let dir = mounts::first_usable().unwrap_or_else(|| PathBuf::from("/nonexistent"));
    vec![
        Backing::Auto,
        Backing::HugetlbFile { dir },
        Backing::HugeMemfd,
        Backing::HugeAnon,
        Backing::Memfd,
        Backing::Heap,
    ]
}

fn wants_pages(backing: &Backing) -> bool {
    matches!(backing, Backing::HugetlbFile { .. } | Backing::HugeMemfd | Backing::HugeAnon)
}

/// The mapping, or nothing when the machine has no hugepages to spare. Other tests take pages at
/// the same time, so only the kind of refusal can be checked.
fn take(backing: &Backing, len: usize, node: Option<u32>) -> Option<Mapping> {
    match Mapping::new(backing, len, node) {
        Ok(m) => Some(m),
        Err(Error::HugepagesExhausted { needed, size, .. }) if wants_pages(backing) => {
            assert_eq!(needed, len.max(1).div_ceil(CHUNK) as u64);
            assert_eq!(size, CHUNK as u64);
            None
        }
        // No hugetlbfs mounted, or a kernel without hugepages.
        Err(Error::Config { .. }) if wants_pages(backing) => None,
        Err(other) => panic!("{backing:?}: {other}"),
    }
}

#[test]
fn every_backing_gives_zeroed_chunk_aligned_writable_memory() {
    for backing in all() {
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1] {
            let Some(m) = take(&backing, len, None) else { continue };
            assert_eq!(m.len(), len.max(1).next_multiple_of(CHUNK), "{m:?}");
            assert!(m.as_ptr().addr().is_multiple_of(CHUNK), "{m:?}");
            assert!(!m.is_empty() && !m.kind().is_empty());
            // SAFETY: the mapping is live, zeroed, and this is the only reference into it.
            let bytes = unsafe { std::slice::from_raw_parts_mut(m.as_ptr(), m.len()) };
            assert!(bytes.iter().all(|b| *b == 0), "{m:?}");
            bytes.fill(0xA5);
            assert!(bytes.iter().all(|b| *b == 0xA5), "{m:?}");
        }
    }
}

#[test]
fn memory_given_back_comes_again_zeroed() {
    for backing in all() {
        for _ in 0..3 {
            let Some(m) = take(&backing, 2 * CHUNK, None) else { break };
            // SAFETY: the mapping is live, zeroed, and this is the only reference into it.
            let bytes = unsafe { std::slice::from_raw_parts_mut(m.as_ptr(), m.len()) };
            assert!(bytes.iter().all(|b| *b == 0), "{m:?}");
            bytes.fill(0xFF);
        }
    }
}

#[test]
fn each_backing_says_what_it_is() {
    let expected = |b: &Backing| match b {
        Backing::Auto => None,
        Backing::HugetlbFile { .. } => Some(("hugetlbfs file", true, true)),
        Backing::HugeMemfd => Some(("huge memfd", true, true)),
        Backing::HugeAnon => Some(("anonymous hugepages", true, false)),
        Backing::Memfd => Some(("memfd", false, false)),
        Backing::Heap => Some(("heap", false, false)),
    };
    for backing in all() {
        let Some(m) = take(&backing, 1, None) else { continue };
        let is = (m.kind(), m.is_huge(), m.is_stable());
        match expected(&backing) {
            Some(e) => assert_eq!(is, e),
            // Never memory that a file would keep alive after a kill.
            None => assert!(["heap", "anonymous hugepages"].contains(&m.kind()), "{is:?}"),
        }
    }
}

/// The flags that the kernel keeps for the mapping that holds `addr` (`VmFlags` in smaps).
fn vm_flags(addr: usize) -> Option<Vec<String>> {
    let smaps = std::fs::read_to_string("/proc/self/smaps").ok()?;
    let mut inside = false;
    for line in smaps.lines() {
        let range = line.split_once(' ').and_then(|(r, _)| r.split_once('-'));
        if let Some((Ok(a), Ok(b))) =
            range.map(|(a, b)| (usize::from_str_radix(a, 16), usize::from_str_radix(b, 16)))
        {
            inside = (a..b).contains(&addr);
        } else if inside && let Some(flags) = line.strip_prefix("VmFlags:") {
            return Some(flags.split_whitespace().map(str::to_owned).collect());
        }
    }
    None
}

#[test]
fn memory_is_kept_from_children_and_core_dumps() {
    for backing in all() {
        let Some(m) = take(&backing, 2 * CHUNK, None) else { continue };
        for at in [0, m.len() - 1] {
            let Some(flags) = vm_flags(m.as_ptr().addr() + at) else { continue };
            assert!(flags.iter().any(|f| f == "dc"), "{m:?} is copied on fork: {flags:?}");
            assert!(flags.iter().any(|f| f == "dd"), "{m:?} is dumped: {flags:?}");
            assert_eq!(m.is_huge(), flags.iter().any(|f| f == "ht"), "{m:?}: {flags:?}");
        }
    }
}

/// Which of the mapping's ordinary pages are in memory.
fn resident(m: &Mapping) -> bool {
    let mut there = vec![0u8; m.len() / 4096];
    // SAFETY: the mapping is live, and the vector has a byte for each of its smallest pages.
    let result = unsafe { libc::mincore(m.as_ptr().cast(), m.len(), there.as_mut_ptr()) };
    result == 0 && there.iter().all(|b| b & 1 == 1)
}

#[test]
fn every_page_is_there_at_once() {
    for backing in all() {
        let Some(m) = take(&backing, 3 * CHUNK, None) else { continue };
        assert!(resident(&m), "{m:?}");
    }
}

#[test]
fn a_node_is_honoured_or_refused_by_name() {
    for backing in all() {
        // Node 0 exists wherever there are nodes.
        take(&backing, CHUNK, Some(0));
        match Mapping::new(&backing, CHUNK, Some(4000)) {
            Err(Error::Config {
                what: "NUMA node" | "hugetlbfs directory" | "backing", ..
            }) => {}
            Err(Error::HugepagesExhausted { .. }) if wants_pages(&backing) => {}
            other => panic!("{backing:?}: {other:?}"),
        }
    }
}

#[test]
fn too_much_is_an_error_and_not_a_crash() {
    for backing in all() {
        for len in [usize::MAX, usize::MAX - CHUNK, isize::MAX as usize - CHUNK, 1 << 48] {
            let error = Mapping::new(&backing, len, None).map(|m| m.len()).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::Memory { .. } | Error::HugepagesExhausted { .. } | Error::Config { .. }
                ),
                "{backing:?} {len}: {error:?}"
            );
        }
    }
}

#[test]
fn a_refusal_takes_nothing() {
    for backing in all() {
        assert!(Mapping::new(&backing, 1 << 48, None).is_err());
    }
    if let Ok(free) = Hugepages::system().free() {
        let too_many = (free as usize).saturating_add(1 << 20) * CHUNK;
        let error = Mapping::new(&Backing::HugeMemfd, too_many, None).unwrap_err();
        assert!(matches!(error, Error::HugepagesExhausted { .. }), "{error:?}");
    }
}

#[test]
fn an_ordinary_directory_is_refused_with_the_mount_command() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("absent")] {
        let error = Mapping::new(&Backing::HugetlbFile { dir: path }, 1, None).unwrap_err();
        assert!(error.to_string().contains("mount -t hugetlbfs"), "{error}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_dropped_mapping_leaves_no_file() {
    let Some(dir) = mounts::first_usable() else { return };
    let mine = || {
        let prefix = format!("barewire-{}-", std::process::id());
        std::fs::read_dir(&dir)
            .unwrap()
            .filter_map(|e| e.unwrap().file_name().into_string().ok())
            .filter(|n| n.starts_with(&prefix))
            .collect::<Vec<_>>()
    };
    let Some(m) = take(&Backing::HugetlbFile { dir: dir.clone() }, CHUNK, None) else { return };
    let during = mine();
    assert!(!during.is_empty());
    // A cleaner finds its owner alive.
    clean_stale(&dir).unwrap();
    assert!(during.iter().all(|n| dir.join(n).exists()));
    drop(m);
    assert!(mine().len() < during.len() || mine() != during);
}

#[test]
fn chunk_rounding_never_wraps() {
    assert_eq!(whole_chunks(0).unwrap(), CHUNK);
    assert_eq!(whole_chunks(CHUNK + 1).unwrap(), 2 * CHUNK);
    for len in [usize::MAX, isize::MAX as usize, isize::MAX as usize - CHUNK + 2] {
        assert!(whole_chunks(len).is_err(), "{len}");
    }
}
