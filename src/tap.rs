//! The Linux tap interface: an Ethernet interface of the kernel whose other end is a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread;

use crate::error::{Error, Result};

const TUN: &str = "/dev/net/tun";
/// Where `ip netns` keeps the namespaces it names.
const NAMESPACES: &str = "/run/netns";
/// Longest interface name, without the NUL that ends it.
const NAME_MAX: usize = libc::IFNAMSIZ - 1;

/// Which tap to open, and what to set on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TapConfig<'a> {
    /// The interface's name.
    pub(crate) name: &'a str,
    /// The network namespace it lives in, as `ip netns` names it, when not this process's own.
    pub(crate) netns: Option<&'a str>,
    /// Set it up.
    pub(crate) up: bool,
    /// Set its MTU.
    pub(crate) mtu: Option<u32>,
}

/// An open tap interface. It goes away with this, unless somebody made it persistent.
#[derive(Debug)]
pub(crate) struct Tap {
    file: File,
}

impl Tap {
    /// Attaches to the tap `config` names, or makes it when there is none.
    pub(crate) fn open(config: &TapConfig<'_>) -> Result<Self> {
        check_name(config.name)?;
        let Some(netns) = config.netns else {
            return Self::open_here(config);
        };
        let namespace = open_namespace(netns)?;
        // A namespace is per thread, so one that ends at once leaves the others where they are.
        // What it opened in there stays open.
        thread::scope(|scope| {
            let inside =
                thread::Builder::new().name(format!("netns {netns}")).spawn_scoped(scope, || {
                    enter(&namespace, netns)?;
                    Self::open_here(config)
                });
            let inside = inside.map_err(|source| Error::Io {
                what: format!("start a thread for the network namespace {netns}"),
                path: None,
                source,
            })?;
            inside.join().unwrap_or_else(|_| {
                Err(Error::State { why: format!("opening the tap in namespace {netns} panicked") })
            })
        })
    }

    fn open_here(config: &TapConfig<'_>) -> Result<Self> {
        let name = config.name;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(TUN)
            .map_err(|e| match e.raw_os_error() {
                Some(libc::EACCES | libc::EPERM) => Error::Permission {
                    what: format!("open {TUN}"),
                    fix: format!("run as root, or let your user read and write {TUN}"),
                },
                _ => Error::io("open (try `modprobe tun`, or pass it to the container)", TUN, e),
            })?;

        let mut attach = Request::new(name);
        attach.set_flags((libc::IFF_TAP | libc::IFF_NO_PI) as u16);
        ioctl(&file, libc::TUNSETIFF, &mut attach).map_err(|e| attach_error(name, e))?;
        // A tap that outlived some virtual machine may still hand out frames with checksums that
        // are not filled in, and frames longer than its MTU.
        no_offloads(&file).map_err(|e| tap_io("turn off the offloads of", name, e))?;

        if let Some(mtu) = config.mtu {
            let mut request = Request::new(name);
            request.set_number(mtu);
            configure(name, libc::SIOCSIFMTU, &mut request, &format!("set the MTU {mtu} of"))?;
        }
        if config.up {
            let mut request = Request::new(name);
            configure(name, libc::SIOCGIFFLAGS, &mut request, "read the flags of")?;
            request.set_flags(request.flags() | libc::IFF_UP as u16);
            configure(name, libc::SIOCSIFFLAGS, &mut request, "set up")?;
        }
        Ok(Self { file })
    }

    /// Reads one frame that the kernel sent out of the interface. A frame longer than `frame` is
    /// cut without notice. [`io::ErrorKind::WouldBlock`] when there is none.
    pub(crate) fn read(&self, frame: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(frame)
    }

    /// Hands the kernel one frame as if it had come in on the interface.
    pub(crate) fn write(&self, frame: &[u8]) -> io::Result<usize> {
        (&self.file).write(frame)
    }
}

impl AsFd for Tap {
    /// Readable when there is a frame to read.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether the kernel would take `name` as it is for an interface's; `%d` in one would be replaced.
fn check_name(name: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%');
    if name.is_empty()
        || name.len() > NAME_MAX
        || matches!(name, "." | "..")
        || !name.bytes().all(good)
    {
        let allowed = format!("1 to {NAME_MAX} printable characters other than / : %");
        return Err(Error::config("tap interface", name, allowed));
    }
    Ok(())
}

fn open_namespace(netns: &str) -> Result<File> {
    if netns.is_empty() || netns.contains(['/', '\0']) || matches!(netns, "." | "..") {
        return Err(Error::config("network namespace", netns, "a name that `ip netns` lists"));
    }
    let path = Path::new(NAMESPACES).join(netns);
    File::open(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::config(
            "network namespace",
            netns,
            format!("a name that `ip netns` lists; make this one with `ip netns add {netns}`"),
        ),
        io::ErrorKind::PermissionDenied => no_namespace(netns),
        _ => Error::io("open the network namespace", path, e),
    })
}

fn no_namespace(netns: &str) -> Error {
    Error::Permission {
        what: format!("enter the network namespace {netns}"),
        fix: "run as root (it takes CAP_SYS_ADMIN), or start the program inside with `ip netns \
              exec` and leave out the @ part"
            .to_owned(),
    }
}

/// Moves the calling thread into a namespace, for good.
fn enter(namespace: &File, netns: &str) -> Result<()> {
    // SAFETY: setns takes two integers, and the descriptor is open. It changes only what the
    // calling thread's later socket and tun operations refer to.
    let done = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    if done == 0 {
        return Ok(());
    }
    let e = io::Error::last_os_error();
    match e.raw_os_error() {
        Some(libc::EPERM) => Err(no_namespace(netns)),
        Some(libc::EINVAL) => Err(Error::config(
            "network namespace",
            netns,
            "a name that `ip netns` lists; this file is no network namespace",
        )),
        _ => Err(Error::io("enter the network namespace", namespace_path(netns), e)),
    }
}

fn namespace_path(netns: &str) -> PathBuf {
    Path::new(NAMESPACES).join(netns)
}

fn attach_error(name: &str, e: io::Error) -> Error {
    match e.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => Error::Permission {
            what: format!("use the tap interface {name}"),
            fix: format!(
                "run with CAP_NET_ADMIN, or make it for your user beforehand: `ip tuntap add mode \
                 tap user $USER name {name}`"
            ),
        },
        Some(libc::EBUSY) => Error::Busy { addr: format!("tap interface {name}") },
        Some(libc::EINVAL) => Error::config(
            "tap interface",
            name,
            "a new name, or a tap made without multi_queue; this interface exists and is none",
        ),
        _ => tap_io("attach to", name, e),
    }
}

fn tap_io(what: &str, name: &str, source: io::Error) -> Error {
    Error::Io { what: format!("{what} the tap interface {name}"), path: None, source }
}

/// An interface request (`struct ifreq`): a name, and a union of which only integers are used here.
/// All of it is always initialised.
#[repr(C, align(8))]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    value: [u8; 24],
}

const _: () = assert!(size_of::<Request>() >= size_of::<libc::ifreq>());
const _: () = assert!(align_of::<Request>() >= align_of::<libc::ifreq>());

impl Request {
    /// The caller has checked the name.
    fn new(name: &str) -> Self {
        let mut request = Self { name: [0; libc::IFNAMSIZ], value: [0; 24] };
        for (to, from) in request.name[..NAME_MAX].iter_mut().zip(name.bytes()) {
            *to = from;
        }
        request
    }

    fn flags(&self) -> u16 {
        u16::from_ne_bytes([self.value[0], self.value[1]])
    }

    fn set_flags(&mut self, flags: u16) {
        self.value[..2].copy_from_slice(&flags.to_ne_bytes());
    }

    fn set_number(&mut self, number: u32) {
        self.value[..4].copy_from_slice(&number.to_ne_bytes());
    }
}

/// Sets something on an interface of the calling thread's network namespace.
fn configure(name: &str, code: libc::Ioctl, request: &mut Request, what: &str) -> Result<()> {
    // Any socket will do, and this kind needs no address family to be there.
    let socket =
        UnixDatagram::unbound().map_err(|e| tap_io("open a socket to configure", name, e))?;
    ioctl(&socket, code, request).map_err(|e| match e.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => Error::Permission {
            what: format!("{what} the tap interface {name}"),
            fix: "run with CAP_NET_ADMIN, or have it set up beforehand with `ip link` and leave \
                  out the options up and mtu"
                .to_owned(),
        },
        _ => tap_io(what, name, e),
    })
}

/// Runs one of the requests that take a `struct ifreq`.
fn ioctl(on: &impl AsRawFd, code: libc::Ioctl, request: &mut Request) -> io::Result<()> {
    debug_assert!(
        [libc::TUNSETIFF, libc::SIOCSIFMTU, libc::SIOCGIFFLAGS, libc::SIOCSIFFLAGS].contains(&code)
    );
    let fd: RawFd = on.as_raw_fd();
    // SAFETY: the descriptor is open as long as `on` is borrowed. The codes above read and write no
    // more than a `struct ifreq`, which `Request` is at least as large and as aligned as, and they
    // keep no pointer to it.
    let done = unsafe { libc::ioctl(fd, code, &raw mut *request) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn no_offloads(file: &File) -> io::Result<()> {
    const NONE: libc::c_ulong = 0;
    // SAFETY: TUNSETOFFLOAD takes a set of flags by value, and the descriptor is open.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, NONE) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_kernel_would_change_or_refuse_are_refused_here() {
        for bad in ["", ".", "..", "a/b", "a b", "tap%d", "a:b", "sixteen-letters.", "tä", "a\n"] {
            assert!(
                matches!(check_name(bad), Err(Error::Config { what: "tap interface", .. })),
                "{bad:?}"
            );
        }
        for good in ["bw0", "fifteen-letters", "a.b", "x"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn namespaces_that_are_not_there_are_named() {
        for bad in ["", ".", "..", "../etc", "a/b", "no-such-namespace-here"] {
            let e = Tap::open(&TapConfig { name: "bw0", netns: Some(bad), ..TapConfig::default() })
                .unwrap_err();
            assert!(matches!(&e, Error::Config { what: "network namespace", .. }), "{bad:?}: {e}");
        }
    }

    #[test]
    fn what_the_kernel_says_becomes_advice() {
        let error = |code| attach_error("bw0", io::Error::from_raw_os_error(code));
        assert!(error(libc::EPERM).to_string().contains("ip tuntap add mode tap user"));
        assert!(matches!(error(libc::EBUSY), Error::Busy { .. }));
        assert!(matches!(error(libc::EINVAL), Error::Config { .. }));
        assert!(matches!(error(libc::ENOMEM), Error::Io { .. }));
    }

    #[test]
    fn a_request_is_a_struct_ifreq() {
        let mut request = Request::new("bw0");
        request.set_flags(0x1002);
        assert_eq!((&request.name[..4], request.flags()), (&b"bw0\0"[..], 0x1002));
        let full = Request::new("fifteen-letters");
        assert_eq!(full.name[NAME_MAX], 0);
    }
}
