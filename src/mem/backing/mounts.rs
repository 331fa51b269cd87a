//! Which hugetlbfs mounts could hold DMA memory.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::file;

/// The first mounted hugetlbfs of 2 MiB pages in which this process may create files.
pub(super) fn first_usable() -> Option<PathBuf> {
    let mounts = fs::read("/proc/mounts").ok()?;
    hugetlbfs(&mounts).into_iter().find(|dir| file::is_hugetlbfs(dir) && writable(dir))
}

fn writable(dir: &std::path::Path) -> bool {
    let Ok(path) = std::ffi::CString::new(dir.as_os_str().as_bytes()) else { return false };
    // SAFETY: `path` is a C string; the call only looks.
    unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) == 0 }
}

/// The mount points of type hugetlbfs in the text of `/proc/mounts` that are not read-only, in
/// order. Their page size is asked of the mount itself.
fn hugetlbfs(mounts: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in mounts.split(|b| *b == b'\n') {
        let mut fields = line.split(|b| *b == b' ');
        let (Some(_), Some(dir), Some(kind), Some(options)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let read_only = options.split(|b| *b == b',').any(|o| o == b"ro");
        if kind == b"hugetlbfs" && !read_only && !dir.is_empty() {
            found.push(PathBuf::from(OsString::from_vec(unescape(dir))));
        }
    }
    found
}

/// Undoes the kernel's escapes: a backslash and three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                after
            }
            _ => {
                out.push(*first);
                tail
            }
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn mounts_are_found_in_order_and_read_only_ones_left_out() {
        let text = b"proc /proc proc rw 0 0\n\
            hugetlbfs /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0\n\
            none /ro hugetlbfs ro,pagesize=2M 0 0\n\
            hugetlbfs\n\
            \n\
            tmpfs /dev/hugepages2 tmpfs rw 0 0\n\
            none /mnt/huge\\040pages\\134x hugetlbfs rw 0 0";
        let found = hugetlbfs(text);
        assert_eq!(found, [Path::new("/dev/hugepages"), Path::new("/mnt/huge pages\\x")]);
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        for text in ["\\", "\\04", "\\999", "a\\40", "\\400"] {
            assert_eq!(unescape(text.as_bytes()), text.as_bytes(), "{text}");
        }
    }

    #[test]
    fn ordinary_directories_are_no_hugetlbfs() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!file::is_hugetlbfs(dir.path()));
        assert!(writable(dir.path()));
        assert!(!writable(&dir.path().join("absent")));
        assert!(!writable(Path::new("a\0b")));
    }
}
