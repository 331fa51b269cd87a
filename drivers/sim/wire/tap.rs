//! `tap:IFNAME[@NETNS][,up=on][,mtu=1500]`: the other end of the wire is a network interface of
//! this machine's kernel, so the kernel's whole network stack can talk to the software NIC.
//!
//! An existing tap is used, and one made here goes away with the NIC. Addresses are the user's
//! business (`ip address add`), and so is setting the interface up, unless `up=on` asks for it.
//! With `@NETNS` the interface is in the network namespace of that name, while the program stays
//! in its own; so one program can stand between two namespaces.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::{Options, Sent, Wire, WireContext};
use crate::error::{Error, Result};
use crate::tap::{Tap, TapConfig};

/// The longest frame handed to the NIC; an 82599 takes 15.5 KiB.
const MAX_FRAME: usize = 16 * 1024;
/// The shortest frame on a wire, without FCS. The kernel leaves padding to its NICs.
const MIN_FRAME: usize = 60;
/// How many longer ones are skipped at a time.
const MAX_SKIPPED: usize = 64;
/// Bytes of an Ethernet header, the least that the kernel takes for a frame.
const HEADER: usize = 14;

/// The kernel on the other end.
struct TapWire {
    name: String,
    tap: Tap,
    /// The frame read last. One byte more than the longest frame, to tell longer ones.
    frame: Box<[u8]>,
    /// Its length while it waits for the NIC to take it.
    held: Option<usize>,
    counts: Counts,
    error: Option<Error>,
    gone: bool,
}

#[derive(Debug, Default)]
struct Counts {
    /// Frames that the kernel did not take.
    lost: u64,
    /// Frames from the kernel that are longer than any frame of the NIC.
    too_long: u64,
}

impl fmt::Debug for TapWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TapWire")
            .field("name", &self.name)
            .field("counts", &self.counts)
            .field("gone", &self.gone)
            .finish_non_exhaustive()
    }
}

/// Opens the interface.
pub(super) fn open(options: &Options, _ctx: &WireContext<'_>) -> Result<Box<dyn Wire>> {
    options.only("wire tap", &["up", "mtu"])?;
    let (name, netns) = match options.name().split_once('@') {
        Some((name, netns)) => (name, Some(netns)),
        None => (options.name(), None),
    };
    let up = match options.get("up") {
        None | Some("off") => false,
        Some("on") => true,
        Some(other) => return Err(Error::config("up", other, "on, off")),
    };
    let mtu = match options.number("mtu", 0)? {
        0 if options.get("mtu").is_none() => None,
        mtu => match u32::try_from(mtu) {
            Ok(mtu) if (68..=MAX_FRAME - HEADER - 4).contains(&(mtu as usize)) => Some(mtu),
            _ => return Err(Error::config("mtu", mtu, "68 to 16366")),
        },
    };
    let tap = Tap::open(&TapConfig { name, netns, up, mtu })?;
    Ok(Box::new(TapWire {
        name: options.name().to_owned(),
        tap,
        frame: vec![0; MAX_FRAME + 1].into_boxed_slice(),
        held: None,
        counts: Counts::default(),
        error: None,
        gone: false,
    }))
}

/// What a failed system call on the tap means.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// Nothing to read, or no room to write just now.
    NotNow,
    /// The interface is down, or the kernel does not want this frame.
    Frame,
    /// The interface was deleted.
    Gone,
}

fn judge(e: &io::Error) -> Trouble {
    match e.raw_os_error() {
        Some(libc::EAGAIN | libc::EINTR | libc::ENOBUFS | libc::ENOMEM) => Trouble::NotNow,
        // The kernel detaches the file from an interface that is deleted.
        Some(libc::EBADFD | libc::EBADF | libc::ENODEV) => Trouble::Gone,
        _ => Trouble::Frame,
    }
}

impl TapWire {
    fn lose(&mut self, e: &io::Error) {
        if !self.gone {
            self.gone = true;
            let device = format!("tap interface {}", self.name);
            self.error = Some(Error::Gone { device, how: format!("the kernel says: {e}") });
        }
    }

    /// The next frame from the kernel, if there is one.
    fn read(&mut self) -> Option<usize> {
        for _ in 0..MAX_SKIPPED {
            match self.tap.read(&mut self.frame) {
                Ok(0) => return None,
                Ok(length) if length > MAX_FRAME => self.counts.too_long += 1,
                Ok(length) if length < MIN_FRAME => {
                    self.frame[length..MIN_FRAME].fill(0);
                    return Some(MIN_FRAME);
                }
                Ok(length) => return Some(length),
                Err(e) => {
                    if judge(&e) == Trouble::Gone {
                        self.lose(&e);
                    }
                    return None;
                }
            }
        }
        None
    }
}

impl Wire for TapWire {
    fn send(&mut self, frame: &[u8], _now: Duration, obey_pause: bool) -> Sent {
        if self.gone {
            return Sent::Wait;
        }
        match self.tap.write(frame) {
            Ok(_) => return Sent::Yes,
            Err(e) => match judge(&e) {
                Trouble::NotNow if obey_pause => return Sent::Wait,
                Trouble::NotNow | Trouble::Frame => {}
                Trouble::Gone => self.lose(&e),
            },
        }
        self.counts.lost += 1;
        Sent::Lost
    }

    fn recv(&mut self, _now: Duration, max: usize, sink: &mut dyn FnMut(&[u8]) -> bool) -> usize {
        let mut taken = 0;
        while taken < max && !self.gone {
            let Some(length) = self.held.take().or_else(|| self.read()) else { break };
            if !sink(&self.frame[..length]) {
                self.held = Some(length);
                break;
            }
            taken += 1;
        }
        taken
    }

    fn minds_time(&self) -> bool {
        false
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.tap.as_fd())
    }

    fn link_up(&self) -> bool {
        !self.gone
    }

    fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    fn finished(&self) -> bool {
        self.gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Instant;

    const CTX: WireContext<'_> =
        WireContext { nic: "test", seed: 0, virtual_time: false, mbps: 10_000 };

    fn open_text(text: &str) -> Result<Box<dyn Wire>> {
        open(&Options::parse(text)?, &CTX)
    }

    fn ip(arguments: &[&str]) -> bool {
        Command::new("ip").args(arguments).output().is_ok_and(|out| out.status.success())
    }

    /// A network namespace that goes away with this.
    struct Namespace(String);

    impl Namespace {
        /// `None` when this process may not make one.
        fn new() -> Option<Self> {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("bwtest-{}-{next}", std::process::id());
            ip(&["netns", "add", &name]).then_some(Self(name))
        }

        fn ip(&self, arguments: &[&str]) {
            let all = [&["-n", &self.0], arguments].concat();
            assert!(ip(&all), "ip {all:?} failed");
        }
    }

    impl Drop for Namespace {
        fn drop(&mut self) {
            ip(&["netns", "del", &self.0]);
        }
    }

    /// A namespace in which a tap can be opened; otherwise checks that the refusal says what to do.
    fn place() -> Option<Namespace> {
        let Some(namespace) = Namespace::new() else {
            // Not even a namespace: then a tap can only be had if the machine is set up for it.
            match open_text("bwtest-none") {
                Err(Error::Permission { fix, .. }) => assert!(!fix.is_empty()),
                Err(Error::Io { path: Some(path), .. }) => {
                    assert_eq!(path.to_str(), Some("/dev/net/tun"));
                }
                Err(e) => panic!("{e}"),
                Ok(_) => {}
            }
            return None;
        };
        match open_text(&format!("probe@{}", namespace.0)) {
            Ok(_) => Some(namespace),
            Err(Error::Permission { .. } | Error::Io { .. }) => None,
            Err(e) => panic!("{e}"),
        }
    }

    /// Takes frames until `wanted` finds what it looks for; the kernel takes its time.
    fn wait_for(wire: &mut dyn Wire, mut wanted: impl FnMut(&[u8]) -> bool) -> bool {
        let start = Instant::now();
        let mut found = false;
        while !found && start.elapsed() < Duration::from_secs(10) {
            if wire.recv(Duration::ZERO, 32, &mut |frame| {
                found |= wanted(frame);
                true
            }) == 0
            {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        found
    }

    const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
    const OUR_IP: [u8; 4] = [10, 9, 9, 2];
    const KERNEL_IP: [u8; 4] = [10, 9, 9, 1];

    fn who_has_the_kernel() -> Vec<u8> {
        let mut frame = [&[0xff; 6][..], &OUR_MAC, &[0x08, 0x06]].concat();
        frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend(OUR_MAC);
        frame.extend(OUR_IP);
        frame.extend([0; 6]);
        frame.extend(KERNEL_IP);
        frame.resize(60, 0);
        frame
    }

    fn is_answer(frame: &[u8]) -> bool {
        frame.len() == MIN_FRAME
            && frame[..6] == OUR_MAC
            && frame[12..14] == [8, 6]
            && frame[20..22] == [0, 2]
            && frame[28..32] == KERNEL_IP
    }

    #[test]
    fn the_kernel_answers_through_a_tap_in_another_namespace() {
        let Some(namespace) = place() else { return };
        let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let mut wire = open_text(&format!("bw0@{},up=on,mtu=9000", namespace.0)).unwrap();
        assert_eq!(std::fs::read_link("/proc/thread-self/ns/net").unwrap(), own);
        namespace.ip(&["address", "add", "10.9.9.1/24", "dev", "bw0"]);
        assert_eq!(wire.send(&who_has_the_kernel(), Duration::ZERO, false), Sent::Yes);
        assert!(wait_for(&mut *wire, is_answer), "no ARP reply");
        // A refused frame stays at the front.
        assert_eq!(wire.send(&who_has_the_kernel(), Duration::ZERO, false), Sent::Yes);
        let mut refused = None;
        let start = Instant::now();
        while refused.is_none() && start.elapsed() < Duration::from_secs(10) {
            wire.recv(Duration::ZERO, 1, &mut |frame| {
                refused = Some(frame.to_vec());
                false
            });
        }
        let mut again = None;
        wire.recv(Duration::ZERO, 1, &mut |frame| {
            again = Some(frame.to_vec());
            true
        });
        assert!(refused.is_some() && refused == again);
        assert!(wire.link_up() && wire.take_error().is_none());
    }

    #[test]
    fn a_tap_that_is_down_loses_frames_and_is_no_error() {
        let Some(namespace) = place() else { return };
        let mut wire = open_text(&format!("bw0@{}", namespace.0)).unwrap();
        assert_eq!(wire.send(&[0; 60], Duration::ZERO, false), Sent::Lost);
        assert_eq!(wire.recv(Duration::ZERO, 9, &mut |_| true), 0);
        assert!(wire.link_up() && wire.take_error().is_none());
        namespace.ip(&["link", "set", "bw0", "up"]);
        assert_eq!(wire.send(&who_has_the_kernel(), Duration::ZERO, false), Sent::Yes);
        // Less than an Ethernet header.
        assert_eq!(wire.send(&[0; 13], Duration::ZERO, false), Sent::Lost);
    }

    #[test]
    fn a_deleted_tap_is_reported_once() {
        let Some(namespace) = place() else { return };
        let mut wire = open_text(&format!("bw0@{},up=on", namespace.0)).unwrap();
        namespace.ip(&["link", "del", "bw0"]);
        for _ in 0..3 {
            assert_eq!(wire.recv(Duration::ZERO, usize::MAX, &mut |_| true), 0);
        }
        assert!(matches!(wire.take_error(), Some(Error::Gone { .. })));
        assert!(wire.take_error().is_none() && !wire.link_up() && wire.finished());
        assert_eq!(wire.send(&[0; 60], Duration::ZERO, false), Sent::Wait);
    }

    #[test]
    fn frames_that_no_nic_takes_are_left_out_whole() {
        let Some(namespace) = place() else { return };
        let mut wire = open_text(&format!("bw0@{},up=on", namespace.0)).unwrap();
        namespace.ip(&["link", "set", "bw0", "mtu", "40000"]);
        namespace.ip(&["address", "add", "10.9.9.1/24", "dev", "bw0"]);
        // The kernel knows us, so that it sends without asking.
        namespace.ip(&[
            "neighbour",
            "add",
            "10.9.9.2",
            "lladdr",
            "02:00:00:00:00:09",
            "dev",
            "bw0",
        ]);
        // One write to bash's /dev/udp is one datagram.
        let udp = |size: &str| {
            let script = format!("dd if=/dev/zero bs={size} count=1 >/dev/udp/10.9.9.2/9");
            let all = ["netns", "exec", &namespace.0, "bash", "-c", &script];
            assert!(ip(&all), "cannot send a datagram of {size} bytes");
        };
        udp("20000");
        udp("100");
        let mut lengths = Vec::new();
        let found = wait_for(&mut *wire, |frame| {
            // The kernel may say things of its own, before and after.
            let ours = frame[..6] == OUR_MAC;
            lengths.extend(ours.then_some(frame.len()));
            ours
        });
        assert!(found && lengths == [142], "{lengths:?}");
        let text = format!("{wire:?}");
        assert!(text.contains("too_long: 1"), "{text}");
    }

    #[test]
    fn two_owners_of_one_tap_are_one_too_many() {
        let Some(namespace) = place() else { return };
        let text = format!("bw0@{}", namespace.0);
        let wire = open_text(&text).unwrap();
        assert!(matches!(open_text(&text), Err(Error::Busy { .. })));
        drop(wire);
        // It went away with its owner; a persistent one is taken over.
        namespace.ip(&["tuntap", "add", "mode", "tap", "name", "bw0"]);
        drop(open_text(&text).unwrap());
        drop(open_text(&text).unwrap());
        namespace.ip(&["link", "show", "bw0"]);
        // Other interfaces are no taps.
        let other = open_text(&format!("lo@{}", namespace.0));
        assert!(matches!(other, Err(Error::Config { .. })), "{other:?}");
    }

    #[test]
    fn bad_options_are_named() {
        for (text, name) in [
            ("", "tap interface"),
            ("much-too-long-a-name", "tap interface"),
            ("bw0,colour=blue", "wire tap"),
            ("bw0,up=yes", "up"),
            ("bw0,mtu=67", "mtu"),
            ("bw0,mtu=0", "mtu"),
            ("bw0,mtu=65000", "mtu"),
            ("bw0,mtu=4294967296", "mtu"),
            ("bw0@", "network namespace"),
            ("bw0@no-such-namespace", "network namespace"),
        ] {
            match open_text(text) {
                Err(Error::Config { what, .. }) => assert_eq!(what, name, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn failures_are_told_apart() {
        let judge = |code| judge(&io::Error::from_raw_os_error(code));
        assert_eq!(judge(libc::EAGAIN), Trouble::NotNow);
        assert_eq!(judge(libc::EIO), Trouble::Frame);
        assert_eq!(judge(libc::EBADFD), Trouble::Gone);
    }
}
