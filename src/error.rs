//! One error type for the whole library. Every variant names the device, register or path that
//! failed, and its text ends with what to do next.

use std::{fmt, io, path::PathBuf, time::Duration};

/// The library's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong outside the packet path.
///
/// The packet path itself ([`rx_burst`](crate::RxQueue::rx_burst),
/// [`tx_burst`](crate::TxQueue::tx_burst)) returns counts and keeps per-queue counters instead.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A PCI address or software-NIC string does not parse.
    BadAddress {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: String,
    },
    /// No such PCI device.
    NoDevice {
        /// The address asked for, e.g. `0000:03:00.0`.
        addr: String,
    },
    /// The device exists but no driver here supports it.
    Unsupported {
        /// Its address.
        addr: String,
        /// PCI vendor id.
        vendor: u16,
        /// PCI device id.
        device: u16,
    },
    /// The device is bound to a kernel driver that is none of UIO's.
    NotBound {
        /// Its address.
        addr: String,
        /// That driver.
        driver: String,
    },
    /// Somebody owns the device: another process, or what is left of an earlier port of this one
    /// (queues and interrupts keep it, too).
    Busy {
        /// Its address.
        addr: String,
    },
    /// A privilege is missing.
    Permission {
        /// What was attempted, with its path.
        what: String,
        /// What to do about it.
        fix: String,
    },
    /// Kernel lockdown (Secure Boot) forbids the access.
    Lockdown {
        /// What was refused.
        what: String,
    },
    /// The IOMMU translates this device's addresses, so physical addresses would fault.
    IommuTranslates {
        /// Its address.
        addr: String,
        /// IOMMU group number.
        group: u32,
    },
    /// The device has no usable INTx interrupt.
    NoInterrupt {
        /// Its address.
        addr: String,
        /// Why not.
        why: String,
    },
    /// The device was unbound or removed (reads return all ones, or the kernel said EIO).
    Gone {
        /// Its address or name.
        device: String,
        /// How it was noticed.
        how: String,
    },
    /// Somebody switched bus mastering off while the port was running. Not repaired on the quiet:
    /// a busy device may hang when that happens, until it is reset. Stopping the port and
    /// starting it again does that.
    BusMasterLost {
        /// The device's address.
        addr: String,
    },
    /// Not enough hugepages.
    HugepagesExhausted {
        /// Pages needed.
        needed: u64,
        /// Pages free now.
        free: u64,
        /// Page size in bytes.
        size: u64,
        /// NUMA node, when one was asked for.
        node: Option<u32>,
    },
    /// Memory could not be had, locked, or translated.
    Memory {
        /// What was attempted.
        what: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// `/proc/self/pagemap` hides physical addresses from this process.
    NoPhysicalAddress,
    /// The kernel moved a page that a device may be writing to. Its DMA was stopped, and frames are
    /// lost until the port is stopped and started again.
    PageMoved {
        /// Virtual address of the page.
        vaddr: u64,
    },
    /// A register did not reach the awaited value in time.
    Timeout {
        /// The register's datasheet name.
        register: &'static str,
        /// The last value read.
        last: u32,
        /// How long it was polled.
        waited: Duration,
    },
    /// EEPROM content is unusable.
    Eeprom {
        /// The device.
        device: String,
        /// What is wrong.
        why: String,
    },
    /// A configuration value is outside what the chip or library allows.
    Config {
        /// The option's name.
        what: &'static str,
        /// What was asked for.
        given: String,
        /// What is allowed.
        allowed: String,
    },
    /// The port is in the wrong state for the call.
    State {
        /// What must be done first.
        why: String,
    },
    /// The software NIC met a fault: a DMA outside mapped memory, a protocol violation, ...
    Device {
        /// The device.
        device: String,
        /// What happened, with queue, descriptor and address where known.
        what: String,
    },
    /// A capture file is corrupt or unusable.
    Capture {
        /// The file.
        path: PathBuf,
        /// Byte offset of the trouble.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// A file or system call failed.
    Io {
        /// What was attempted.
        what: String,
        /// The path, when there is one.
        path: Option<PathBuf>,
        /// The operating system's reason.
        source: io::Error,
    },
}

impl Error {
    /// An [`Error::Io`] for `what` on `path`.
    pub fn io(what: impl Into<String>, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Error::Io { what: what.into(), path: Some(path.into()), source }
    }

    /// An [`Error::Config`].
    pub fn config(
        what: &'static str,
        given: impl fmt::Display,
        allowed: impl Into<String>,
    ) -> Self {
        Error::Config { what, given: given.to_string(), allowed: allowed.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::BadAddress { given, why } => write!(
                f,
                "'{given}' is not a port: {why}; give a PCI address such as 0000:03:00.0, or a \
                 software NIC such as sim:82599"
            ),
            Error::NoDevice { addr } => {
                write!(f, "no PCI device at {addr}; `lspci -D` lists the addresses of this machine")
            }
            Error::Unsupported { addr, vendor, device } => write!(
                f,
                "{addr} is {vendor:04x}:{device:04x}, which no driver here supports; see the \
                 support table in README.md"
            ),
            Error::NotBound { addr, driver } => write!(
                f,
                "{addr} is bound to the kernel driver {driver}; give it to uio_pci_generic first: \
                 `scripts/bind uio {addr}` (see docs/hardware.md)"
            ),
            Error::Busy { addr } => write!(
                f,
                "{addr} is in use by another process, or by a port, queue or interrupt of this one \
                 that was not dropped; end that first (a PCI device's lock is on its resource0 \
                 file)"
            ),
            Error::Permission { what, fix } => write!(f, "no permission to {what}; {fix}"),
            Error::Lockdown { what } => write!(
                f,
                "kernel lockdown (Secure Boot) forbids to {what}; use vfio-pci, or turn Secure \
                 Boot off"
            ),
            Error::IommuTranslates { addr, group } => write!(
                f,
                "the IOMMU translates addresses of {addr} (group {group}), so DMA through UIO \
                 would fault; bind it anew with `scripts/bind uio {addr} --identity` (with the \
                 device unbound, that writes `identity` to \
                 /sys/kernel/iommu_groups/{group}/type), or boot with iommu=pt"
            ),
            Error::NoInterrupt { addr, why } => {
                write!(f, "{addr} has no usable interrupt: {why}; use polling")
            }
            Error::Gone { device, how } => write!(
                f,
                "{device} is gone ({how}); check the card and the kernel log, then open the port \
                 again"
            ),
            Error::BusMasterLost { addr } => write!(
                f,
                "bus mastering of {addr} was switched off while it ran; some other process opened \
                 and closed its /dev/uio node: stop that process, then stop and start the port"
            ),
            Error::HugepagesExhausted { needed, free, size, node } => {
                write!(f, "{needed} hugepages of {} KiB needed", size / 1024)?;
                if let Some(n) = node {
                    write!(f, " on NUMA node {n}")?;
                }
                let dir = match node {
                    Some(n) => format!("/sys/devices/system/node/node{n}"),
                    None => "/sys/kernel/mm".to_owned(),
                };
                // The file holds how many there are, those in use included.
                let more = needed.saturating_sub(*free).max(1);
                let kib = size / 1024;
                write!(
                    f,
                    ", {free} free; reserve {more} more with \
                     `n={dir}/hugepages/hugepages-{kib}kB/nr_hugepages; \
                     echo $(($(cat $n) + {more})) > $n`"
                )
            }
            Error::Memory { what, source } => write!(
                f,
                "cannot {what}: {source}; check free memory, `ulimit -l` and the cgroup's limits"
            ),
            Error::NoPhysicalAddress => write!(
                f,
                "/proc/self/pagemap shows no physical addresses; run as root or grant \
                 CAP_SYS_ADMIN"
            ),
            Error::PageMoved { vaddr } => write!(
                f,
                "the kernel moved the DMA page at {vaddr:#x}, so DMA was stopped; stop the port and \
                 start it again, and keep off what moves pages: move_pages, memory hotplug, and 1 \
                 GiB pages that are not reserved at boot"
            ),
            Error::Timeout { register, last, waited } => write!(
                f,
                "register {register} stayed at {last:#010x} for {waited:?}; reset the device or \
                 power-cycle the machine, and report the register dump if it recurs"
            ),
            Error::Eeprom { device, why } => write!(
                f,
                "EEPROM of {device}: {why}; refusing to start with unreliable settings, \
                 reprogram it with the vendor's tool"
            ),
            Error::Config { what, given, allowed } => {
                write!(f, "{what} = {given} is not allowed; allowed: {allowed}")
            }
            Error::State { why } => write!(f, "{why}"),
            Error::Device { device, what } => write!(f, "{device}: {what}"),
            Error::Capture { path, offset, why } => write!(
                f,
                "{} at byte {offset}: {why}; record it again, or repair it with editcap",
                path.display()
            ),
            Error::Io { what, path: Some(p), source } => {
                write!(f, "cannot {what} {}: {source}", p.display())
            }
            Error::Io { what, path: None, source } => write!(f, "cannot {what}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Memory { source, .. } | Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_hugepages_are_asked_for_on_top_of_those_there_are() {
        let text = |needed, free, node| {
            Error::HugepagesExhausted { needed, free, size: 2 << 20, node }.to_string()
        };
        assert_eq!(
            text(7, 5, None),
            "7 hugepages of 2048 KiB needed, 5 free; reserve 2 more with \
             `n=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages; \
             echo $(($(cat $n) + 2)) > $n`"
        );
        assert!(text(7, 0, Some(1)).ends_with(
            " on NUMA node 1, 0 free; reserve 7 more with \
             `n=/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages; \
             echo $(($(cat $n) + 7)) > $n`"
        ));
        // The kernel can refuse although enough are free: those are promised to others.
        assert!(text(1, 1, None).contains("reserve 1 more"));
    }
}
