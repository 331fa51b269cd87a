//! What the program under test sees: a mount namespace with files where the kernel would have the
//! two devices, and a hugetlbfs.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::ptr;

use crate::Cli;
use crate::chip::BAR;

/// The devices' addresses.
pub(crate) const PORTS: [&str; 2] = ["0000:03:00.0", "0000:04:00.0"];
const DEVICES: &str = "/sys/bus/pci/devices";
pub(crate) const HUGEPAGES: &str = "/dev/hugepages";
/// What programs want to find in `/dev`.
const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Leaves the machine's mounts, and makes those of the rig.
pub(crate) fn set(cli: &Cli) -> io::Result<()> {
    // SAFETY: concerns this process, which has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(io::Error::last_os_error());
    }
    mount("none", "/", "", libc::MS_REC | libc::MS_PRIVATE, "")?;
    // Others' hugepages would be found before ours.
    for line in fs::read_to_string("/proc/mounts")?.lines() {
        let mut words = line.split(' ').skip(1);
        if let (Some(at), Some("hugetlbfs")) = (words.next(), words.next()) {
            let at = CString::new(at)?;
            // SAFETY: a C string that lives across the call.
            unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) };
        }
    }
    dev(cli)?;
    fs::create_dir(HUGEPAGES)?;
    mount("none", HUGEPAGES, "hugetlbfs", 0, "pagesize=2M")?;
    mount("none", DEVICES, "tmpfs", 0, "")?;
    // Where DPDK finds the config space of a node's device.
    if let Some(first) = cli.uio {
        mount("none", "/sys/class", "tmpfs", 0, "")?;
        for (n, addr) in PORTS.iter().enumerate() {
            let dir = format!("/sys/class/uio/uio{}", first as usize + n);
            fs::create_dir_all(&dir)?;
            symlink(Path::new(DEVICES).join(addr), dir + "/device")?;
        }
    }
    PORTS
        .iter()
        .enumerate()
        .try_for_each(|(n, addr)| device(cli, n, &Path::new(DEVICES).join(addr)))
}

/// A `/dev` of our own, since nothing may appear in everybody's.
fn dev(cli: &Cli) -> io::Result<()> {
    let old = tempfile::tempdir()?;
    let old_path = old.path().to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    mount("/dev", old_path, "", libc::MS_BIND | libc::MS_REC, "")?;
    mount("none", "/dev", "tmpfs", 0, "")?;
    for node in NODES {
        let (from, to) = (old.path().join(node), Path::new("/dev").join(node));
        if from.exists() {
            File::create(&to)?;
            mount(&from.to_string_lossy(), &to.to_string_lossy(), "", libc::MS_BIND, "")?;
        }
    }
    let at = CString::new(old_path)?;
    // SAFETY: a C string that lives across the call.
    unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) };
    for n in cli.uio.iter().flat_map(|first| [*first, first + 1]) {
        File::create(format!("/dev/uio{n}"))?;
    }
    Ok(())
}

fn device(cli: &Cli, n: usize, dir: &Path) -> io::Result<()> {
    fs::create_dir(dir)?;
    let write = |name: &str, text: &str| fs::write(dir.join(name), text);
    write("vendor", "0x8086\n")?;
    write("device", &format!("{:#06x}\n", cli.device))?;
    write("class", "0x020000\n")?;
    let mut config = vec![0; usize::from(cli.config)];
    config[..4].copy_from_slice(&[0x86, 0x80, cli.device as u8, (cli.device >> 8) as u8]);
    config[4..6].copy_from_slice(&cli.command.to_le_bytes());
    config[0x0b] = 0x02;
    fs::write(dir.join("config"), config)?;
    File::create(dir.join("resource0"))?.set_len(BAR as u64)?;
    if !cli.bare {
        let start = 0xfe00_0000 + n * BAR;
        let rest = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n".repeat(12);
        let first = format!("{start:#018x} {:#018x} 0x000000000014220c\n", start + BAR - 1);
        write("resource", &(first + &rest))?;
        write("numa_node", "-1\n")?;
        write("subsystem_vendor", "0x8086\n")?;
        write("subsystem_device", "0x0003\n")?;
    }
    if let Some(driver) = &cli.driver {
        symlink(format!("../../drivers/{driver}"), dir.join("driver"))?;
    }
    if let Some(first) = cli.uio {
        fs::create_dir_all(dir.join(format!("uio/uio{}", first as usize + n)))?;
    }
    Ok(())
}

/// The driver's view of a device.
pub(crate) fn open(port: usize, name: &str) -> io::Result<File> {
    let path: PathBuf = [DEVICES, PORTS[port], name].iter().collect();
    OpenOptions::new().read(true).write(true).open(path)
}

/// Memory files that are left.
pub(crate) fn memory_files() -> usize {
    fs::read_dir(HUGEPAGES).map_or(0, Iterator::count)
}

/// Starts the program under test on its core.
pub(crate) fn start(command: &[String], core: usize) -> io::Result<Child> {
    let mut program = Command::new(&command[0]);
    program.args(&command[1..]);
    // SAFETY: one system call.
    unsafe { program.pre_exec(move || pin(0, core)) };
    program.spawn()
}

/// Lets nothing but the kernel take this process's core away: a device is never late.
pub(crate) fn hurry() -> io::Result<()> {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameters are ours.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &priority) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Binds a process (0: this one) to a core.
pub(crate) fn pin(pid: i32, core: usize) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: checks the index itself.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the set is ours and its size is given.
    match unsafe { libc::sched_setaffinity(pid, size_of_val(&set), &set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn mount(from: &str, to: &str, kind: &str, flags: libc::c_ulong, data: &str) -> io::Result<()> {
    let c = |s: &str| CString::new(s).map_err(io::Error::other);
    let (from, to, kind, data) = (c(from)?, c(to)?, c(kind)?, c(data)?);
    let data = if data.is_empty() { ptr::null() } else { data.as_ptr().cast() };
    // SAFETY: C strings that live across the call.
    match unsafe { libc::mount(from.as_ptr(), to.as_ptr(), kind.as_ptr(), flags, data) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
