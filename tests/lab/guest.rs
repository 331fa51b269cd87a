//! The guest: its NICs, its drivers, its files, and how to put all of it back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use barewire::pci::PciAddr;
use barewire::uio::UioDevice;

pub(crate) const GENERIC: &str = "uio_pci_generic";
const DEVICES: &str = "/sys/bus/pci/devices";
const DRIVERS: &str = "/sys/bus/pci/drivers";
/// Hugepages of 2 MiB on node 0 and node 1.
const PAGES: [usize; 2] = [128, 32];

/// What NICs a lab has.
#[derive(Debug)]
pub(crate) struct Kind {
    /// What people call the chip.
    pub(crate) chip: &'static str,
    /// Linux's driver.
    pub(crate) driver: &'static str,
    /// Whether it has virtual functions.
    pub(crate) has_vfs: bool,
    pub(crate) causes: Causes,
    /// The last receive address's register, which no driver uses.
    pub(crate) scratch: u32,
    /// Memory BARs, as `igb_uio` maps them.
    pub(crate) bars: &'static [usize],
}

/// Interrupt registers, and a cause that raises INTx.
#[derive(Debug)]
pub(crate) struct Causes {
    pub(crate) read: u32,
    pub(crate) set: u32,
    pub(crate) unmask: u32,
    pub(crate) mask: u32,
    pub(crate) one: u32,
}

/// QEMU's 82576. Of its interrupt registers (datasheet 8.8), only the older ones raise INTx: ICR,
/// ICS, IMS and IMC, with RXDW. RAL(15) is in 8.10.15. Memory at BARs 0 and 1 (32 bits) and 3 (64
/// bits, MSI-X); BAR 2 is I/O ports.
const IGB: Kind = Kind {
    chip: "82576",
    driver: "igb",
    has_vfs: true,
    causes: Causes { read: 0xc0, set: 0xc8, unmask: 0xd0, mask: 0xd8, one: 1 << 7 },
    scratch: 0x5478,
    bars: &[0, 1, 3],
};

/// Our 82599: EICR, EICS, EIMS and EIMC with RTxQ 0 (datasheet 8.2.3.5); RAL(127) is in
/// 8.2.3.7.8. Memory at BARs 0 and 4 (64 bits each).
const IXGBE: Kind = Kind {
    chip: "82599",
    driver: "ixgbe",
    has_vfs: false,
    causes: Causes { read: 0x800, set: 0x808, unmask: 0x880, mask: 0x888, one: 1 },
    scratch: 0xa5f8,
    bars: &[0, 4],
};

/// All NICs that a guest may have: Intel's device ID, Linux's driver, Mbit/s.
const KNOWN: [(&str, &str, u32); 5] = [
    ("0x10fb", "ixgbe", 10_000),
    ("0x1528", "ixgbe", 10_000),
    ("0x1563", "ixgbe", 10_000),
    ("0x10c9", "igb", 1000),
    ("0x1521", "igb", 1000),
];

/// Of the lab this is a guest of.
pub(crate) fn kind() -> &'static Kind {
    if crate::argument("lab.nic") == IXGBE.driver { &IXGBE } else { &IGB }
}

/// The NICs, by address: the first two are on one wire, the other two on another; or, where
/// drivers that are not ours are tested with an 82599, one that is on a wire to the host.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) nics: Vec<Nic>,
}

/// One PCI function.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nic(pub(crate) String);

impl Guest {
    pub(crate) fn find() -> Self {
        let mut nics: Vec<_> = fs::read_dir(DEVICES)
            .expect("a PCI bus")
            .map(|e| Nic(e.unwrap().file_name().to_string_lossy().into_owned()))
            .filter(|n| n.text("vendor") == "0x8086" && n.known().is_some())
            .collect();
        nics.sort();
        assert_eq!(nics.len(), if crate::far::is_there() { 1 } else { 4 }, "{nics:?}");
        Self { nics }
    }

    /// Gives all NICs their kernel driver, as after a boot.
    pub(crate) fn to_kernel(&self) {
        for nic in self.nics.iter().filter(|n| n.driver().is_none()) {
            put("/sys/bus/pci/drivers_probe", &nic.0).expect("drivers_probe");
            let said = || sh("dmesg | tail -n 5").1;
            assert_eq!(nic.driver().as_deref(), Some(nic.kernel_driver()), "{}", said());
        }
    }
}

impl Nic {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        Path::new(DEVICES).join(&self.0).join(name)
    }

    /// What one of its files says, without the newline.
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default().trim().to_owned()
    }

    pub(crate) fn addr(&self) -> PciAddr {
        self.0.parse().expect("sysfs names are addresses")
    }

    pub(crate) fn driver(&self) -> Option<String> {
        let to = fs::read_link(self.path("driver")).ok()?;
        Some(to.file_name()?.to_string_lossy().into_owned())
    }

    fn known(&self) -> Option<(&'static str, u32)> {
        let device = self.text("device");
        KNOWN.iter().find(|(id, ..)| *id == device).map(|(_, driver, mbps)| (*driver, *mbps))
    }

    /// Linux's driver for it.
    pub(crate) fn kernel_driver(&self) -> &'static str {
        self.known().expect("a NIC that is known").0
    }

    pub(crate) fn mbps(&self) -> u32 {
        self.known().expect("a NIC that is known").1
    }

    /// Takes its driver away.
    pub(crate) fn unbind(&self) {
        if let Some(driver) = self.driver() {
            put(Path::new(DRIVERS).join(driver).join("unbind"), &self.0).expect("unbind");
        }
    }

    /// Gives it this driver.
    pub(crate) fn bind(&self, driver: &str) {
        if self.driver().as_deref() == Some(driver) {
            return;
        }
        self.unbind();
        put(self.path("driver_override"), driver).expect("driver_override");
        put("/sys/bus/pci/drivers_probe", &self.0).expect("drivers_probe");
        assert_eq!(self.driver().as_deref(), Some(driver), "{} was not bound", self.0);
    }

    /// Takes it away from who left it in use: afterwards it has no driver, or its kernel driver
    /// with an interface that nobody touched.
    fn restore(&self) -> io::Result<()> {
        let kernels = self.driver().as_deref() == Some(self.kernel_driver());
        if kernels && kind().has_vfs && self.text("sriov_numvfs") != "0" {
            put(self.path("sriov_numvfs"), "0")?;
        }
        let overridden = self.text("driver_override") != "(null)";
        if kernels && !overridden && self.is_untouched() {
            return Ok(());
        }
        if let Some(driver) = self.driver() {
            put(Path::new(DRIVERS).join(driver).join("unbind"), &self.0)?;
        }
        put(self.path("driver_override"), "\n")
    }

    /// Whether its interface is here, down, and nothing is stacked on it.
    fn is_untouched(&self) -> bool {
        let Ok(mut entries) = fs::read_dir(self.path("net")) else { return false };
        let Some(Ok(interface)) = entries.next() else { return false };
        let flags = fs::read_to_string(interface.path().join("flags")).unwrap_or_default();
        let Ok(mut files) = fs::read_dir(interface.path()) else { return false };
        let stacked = files.any(|f| f.unwrap().file_name().to_string_lossy().starts_with("upper_"));
        let up = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or(1) & 1;
        up == 0 && !stacked
    }

    /// Its network interface, while the kernel's driver has it.
    pub(crate) fn interface(&self) -> String {
        let mut entries = fs::read_dir(self.path("net")).expect("a network interface");
        entries.next().unwrap().unwrap().file_name().to_string_lossy().into_owned()
    }

    /// `/dev/uioN`
    pub(crate) fn node(&self) -> PathBuf {
        let mut entries = fs::read_dir(self.path("uio")).expect("a UIO node");
        Path::new("/dev").join(entries.next().unwrap().unwrap().file_name())
    }

    /// The Command register, as any process sees it.
    pub(crate) fn command(&self) -> u16 {
        let config = fs::read(self.path("config")).expect("config space");
        u16::from_le_bytes([config[4], config[5]])
    }

    pub(crate) fn mastering(&self) -> bool {
        self.command() & 4 != 0
    }

    /// Opens it the way the drivers do.
    pub(crate) fn open(&self) -> barewire::Result<UioDevice> {
        UioDevice::open(self.addr(), |vendor, _| vendor == 0x8086)
    }
}

/// Writes a file that exists.
pub(crate) fn put(path: impl AsRef<Path>, text: &str) -> io::Result<()> {
    use std::io::Write;
    fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// Waits until `what` is true, and whether it came true in time. What takes long to see is looked at
/// less often: a guest that runs a shell all the time has no time for what it waits for.
pub(crate) fn comes_true(limit: Duration, what: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let start = Instant::now();
        if what() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        let pause = 3 * start.elapsed();
        std::thread::sleep(pause.clamp(Duration::from_millis(2), Duration::from_millis(100)));
    }
}

/// Says at the end of its scope that it is over, also where a panic ends it.
pub(crate) struct AtEnd<'a>(pub(crate) &'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// How much too late short sleeps ended while `what` ran, from the least on: nothing but a busy host
/// makes them so.
pub(crate) fn lateness<R>(what: impl FnOnce() -> R) -> (R, Vec<Duration>) {
    let done = AtomicBool::new(false);
    std::thread::scope(|s| {
        let sleeps = s.spawn(|| {
            let (nap, mut late) = (Duration::from_millis(2), Vec::new());
            while !done.load(Ordering::Acquire) {
                let start = Instant::now();
                std::thread::sleep(nap);
                late.push(start.elapsed().saturating_sub(nap));
            }
            late.sort_unstable();
            late
        });
        let at_end = AtEnd(&done);
        let result = what();
        drop(at_end);
        (result, sleeps.join().unwrap())
    })
}

/// Whether an interface in this namespace has a link. Its file cannot be read while it is down.
pub(crate) fn has_link(interface: &str) -> bool {
    let carrier = fs::read_to_string(format!("/sys/class/net/{interface}/carrier"));
    carrier.is_ok_and(|c| c.trim() == "1")
}

/// Runs a command and gives whether it succeeded, and what it printed.
pub(crate) fn sh(script: &str) -> (bool, String) {
    let script = format!("exec 2>&1; {script}");
    let out = Command::new("/bin/busybox").args(["sh", "-c", &script]).output().expect("a shell");
    (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Ends every process but this and the first.
pub(crate) fn kill_all() {
    // SAFETY: a system call without pointers; in the guest, all processes are the tests'.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

fn pool(node: usize, what: &str) -> PathBuf {
    format!("/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/{what}").into()
}

/// How many 2 MiB pages a node has.
pub(crate) fn reserve(node: usize, pages: usize) -> Result<(), String> {
    put(pool(node, "nr_hugepages"), &pages.to_string()).map_err(|e| format!("hugepages: {e}"))?;
    let got = fs::read_to_string(pool(node, "nr_hugepages")).unwrap_or_default();
    if got.trim() == pages.to_string() {
        return Ok(());
    }
    Err(format!("{} of {pages} hugepages on node {node}", got.trim()))
}

/// How many of them nobody uses, on both nodes.
pub(crate) fn free_pages() -> usize {
    let free = |node| fs::read_to_string(pool(node, "free_hugepages")).unwrap();
    (0..PAGES.len()).map(|node| free(node).trim().parse::<usize>().unwrap()).sum()
}

/// The memory files of drivers, living or dead.
pub(crate) fn memory_files() -> Vec<PathBuf> {
    let entries = fs::read_dir("/dev/hugepages").expect("a hugetlbfs");
    entries.map(|e| e.unwrap().path()).collect()
}

/// The state that the guest booted in, but for NICs that have no driver.
pub(crate) fn restore() -> Result<(), String> {
    kill_all();
    let guest = Guest::find();
    for i in ["br7", "bond7"].iter().filter(|i| Path::new("/sys/class/net").join(i).exists()) {
        sh(&format!("ip link del {i}"));
    }
    guest.nics.iter().try_for_each(Nic::restore).map_err(|e| format!("the NICs: {e}"))?;
    for entry in fs::read_dir("/dev/hugepages").map_err(|e| e.to_string())?.flatten() {
        let _ = fs::remove_file(entry.path());
    }
    for (node, pages) in PAGES.iter().enumerate() {
        reserve(node, *pages)?;
    }
    Ok(())
}

/// Runs a command that must succeed.
#[track_caller]
pub(crate) fn run(script: &str) -> String {
    let (done, text) = sh(script);
    assert!(done, "{script}: {text}");
    text
}

/// A network namespace with one NIC's interface in it, under the kernel's driver.
#[derive(Debug)]
pub(crate) struct Netns {
    holder: Child,
    pub(crate) interface: String,
}

impl Netns {
    /// Moves the NIC's interface there, with this address, and waits for its link.
    pub(crate) fn new(nic: &Nic, address: &str) -> Self {
        nic.bind(nic.kernel_driver());
        let interface = nic.interface();
        let holder = Command::new("/bin/busybox")
            .args(["unshare", "-n", "sleep", "1000"])
            .spawn()
            .expect("a namespace");
        let space = Self { holder, interface };
        let (i, pid) = (&space.interface, space.holder.id());
        let gone =
            || sh(&format!("ip link set {i} netns {pid}")).0 && !nic.path("net").join(i).exists();
        assert!(comes_true(Duration::from_secs(5), gone), "{i} stays in this namespace");
        space.run(&format!(
            "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; ip link set lo up; \
             echo 0 0 > /proc/sys/net/ipv4/ping_group_range; \
             ip addr add {address} dev {i} && ip link set {i} up"
        ));
        space.link();
        space
    }

    /// Waits for its link.
    #[track_caller]
    pub(crate) fn link(&self) {
        let i = &self.interface;
        let up = || self.sh(&format!("ip link show {i}")).1.contains("LOWER_UP");
        assert!(comes_true(Duration::from_secs(10), up), "{i} has no link");
    }

    /// The command line that runs a script there.
    fn enter(&self, script: &str) -> Command {
        let mut command = Command::new("/bin/busybox");
        let pid = self.holder.id().to_string();
        command.args(["nsenter", "-t", &pid, "-n", "sh", "-c", &format!("exec 2>&1; {script}")]);
        command
    }

    pub(crate) fn sh(&self, script: &str) -> (bool, String) {
        let out = self.enter(script).output().expect("a shell");
        (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned())
    }

    #[track_caller]
    pub(crate) fn run(&self, script: &str) -> String {
        let (done, text) = self.sh(script);
        assert!(done, "{script}: {text}");
        text
    }

    pub(crate) fn start(&self, script: &str) -> Child {
        self.enter(script).stdin(Stdio::null()).spawn().expect("a shell")
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
