//! A VLAN interface for hosts whose kernel has none: frames with the tag go from one interface to a
//! tap interface without it, and back.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::raw::Raw;

/// Joins them for as long as this process lives.
pub(crate) fn join(interface: &'static str, tap: &str, id: u16) -> io::Result<()> {
    let tagged = Raw::tagged(interface, id)?;
    let plain = open_tap(tap)?;
    let mut to = plain.try_clone()?;
    std::thread::spawn(move || {
        let mut room = [0; 9100];
        loop {
            if let Ok(Some((len, _))) = tagged.receive(Duration::from_secs(60), &mut room) {
                let _ = to.write_all(&room[..len.min(room.len())]);
            }
        }
    });
    let (raw, mut from) = (Raw::open_to_send(interface)?, plain);
    std::thread::spawn(move || {
        let mut room = [0; 9100];
        while let Ok(len) = from.read(&mut room[4..]) {
            // The addresses move to make room for the tag.
            room.copy_within(4..16, 0);
            room[12..16].copy_from_slice(&[0x81, 0, (id >> 8) as u8, id as u8]);
            let _ = raw.send(&room[..len + 4]);
        }
    });
    Ok(())
}

/// The other end of a tap interface that there is.
fn open_tap(name: &str) -> io::Result<File> {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: a request of zeros is one.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()).take(libc::IFNAMSIZ - 1) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the request lives through the call.
    if unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}
