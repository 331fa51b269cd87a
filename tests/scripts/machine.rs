//! A machine in a directory: as much of `/sys`, `/proc` and `/run` as the scripts read, and in
//! `sbin/` a stand-in for each command that would reach past it. `kernel` gives writes the effects
//! that they have in sysfs.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) const A: &str = "0000:03:00.0";
pub(crate) const B: &str = "0000:03:00.1";

pub(crate) struct Machine {
    dir: TempDir,
    shell: &'static [&'static str],
    env: Vec<(String, String)>,
}

/// What a script did.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The clone: where the test runs, which is a copy of where it was built if that is root's alone.
pub(crate) fn here() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into()).into()
}

/// Runs a test on a fresh machine for every shell that this machine has.
pub(crate) fn on_each_shell(test: impl Fn(&mut Machine)) {
    test(&mut Machine::new(&["sh"]));
    if Command::new("busybox").arg("true").status().is_ok_and(|s| s.success()) {
        test(&mut Machine::new(&["busybox", "sh"]));
    }
}

impl Machine {
    /// Two 82599 ports with the interfaces eth0 and eth1, neither in use, and `mgmt0`, the way to
    /// the network.
    pub(crate) fn new(shell: &'static [&'static str]) -> Self {
        let m = Machine { dir: tempfile::tempdir().unwrap(), shell, env: Vec::new() };
        m.write("sys/bus/pci/drivers_probe", "");
        for driver in ["ixgbe", "uio_pci_generic"] {
            m.driver(driver);
        }
        m.write("proc/net/dev", "Inter-|   Receive\n face |bytes\n    lo: 0\n");
        // As on a machine with an interface that is in use, and two that are merely up.
        m.write(
            "proc/net/route",
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
             mgmt0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n\
             mgmt0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n",
        );
        m.write(
            "proc/net/fib_trie",
            "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n     \
             |-- 192.0.2.2\n        /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n",
        );
        m.write("proc/net/tcp", "  sl  local_address rem_address   st\n");
        // A server that waits for its first client is no session.
        m.write(
            "proc/net/tcp6",
            "  sl  local_address rem_address   st\n   \
             0: 000080FE00000000FF000002010000FE:0016 00000000000000000000000000000000:0000 0A\n",
        );
        for file in ["ipv6_route", "if_inet6", "packet"] {
            m.write(&format!("proc/net/{file}"), "");
        }
        m.nic(A, "8086:10fb", "ixgbe", "eth0");
        m.nic(B, "8086:10fb", "ixgbe", "eth1");
        m.interface("mgmt0");
        m.file("sbin/dd", &fs::read_to_string(here().join("tests/scripts/kernel")).unwrap());
        // What `ip -4 -o addr show dev X` prints stands in ipv4/X.
        m.write("ipv4/none", "");
        m.file(
            "sbin/ip",
            &format!("#!/bin/sh\ncat '{}/'\"$6\" 2>/dev/null\nexit 0\n", m.path("ipv4").display()),
        );
        m
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn append(&self, path: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(path)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Writes a command.
    pub(crate) fn file(&self, path: &str, text: &str) {
        self.write(path, text);
        fs::set_permissions(self.path(path), Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn link(&self, path: &str, to: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(to, path).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.path(path);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default().trim_end().to_owned()
    }

    pub(crate) fn env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn driver(&self, name: &str) {
        self.write(&format!("sys/bus/pci/drivers/{name}/bind"), "");
        self.write(&format!("sys/bus/pci/drivers/{name}/unbind"), "");
    }

    /// A network NIC whose kernel driver is `driver`, bound, with an interface.
    pub(crate) fn nic(&self, addr: &str, id: &str, driver: &str, interface: &str) {
        let dir = format!("sys/devices/pci0000:00/{addr}");
        let (vendor, device) = id.split_once(':').unwrap();
        for (file, text) in [
            ("vendor", format!("0x{vendor}\n").as_str()),
            ("device", &format!("0x{device}\n")),
            ("class", "0x020000\n"),
            ("numa_node", "0\n"),
            ("driver_override", "(null)\n"),
            ("sriov_numvfs", "0\n"),
            ("modalias", &format!("pci:v0000{vendor}d0000{device}\n")),
            (".kernel_driver", &format!("{driver}\n")),
        ] {
            self.write(&format!("{dir}/{file}"), text);
        }
        self.link(
            &format!("sys/bus/pci/devices/{addr}"),
            &format!("../../../devices/pci0000:00/{addr}"),
        );
        self.link(&format!("{dir}/driver"), &format!("../../../bus/pci/drivers/{driver}"));
        self.interface(interface);
        fs::create_dir_all(self.path(&format!("{dir}/net/{interface}"))).unwrap();
        self.link(
            &format!("sys/class/net/{interface}/device"),
            &format!("../../../devices/pci0000:00/{addr}"),
        );
    }

    /// An interface that is up to nothing: not up, without an address but for the link-local one.
    pub(crate) fn interface(&self, name: &str) {
        self.write(&format!("sys/class/net/{name}/flags"), "0x1002\n");
        self.write(&format!("sys/class/net/{name}/ifindex"), &format!("{}\n", 10 + name.len()));
        self.append("proc/net/dev", &format!("{name:>6}: 0 0\n"));
        let (zero, local) = ("0".repeat(32), "fe80000000000000020000fffe000001");
        for (dest, len, flags) in [
            ("fe800000000000000000000000000000", "40", "00000001"),
            ("fe800000000000000000000000000000", "80", "80300001"),
            (local, "80", "80200001"),
            ("ff000000000000000000000000000000", "08", "00000001"),
        ] {
            self.append(
                "proc/net/ipv6_route",
                &format!(
                    "{dest} {len} {zero} 00 {zero} 00000100 00000001 00000000 {flags} {name:>8}\n"
                ),
            );
        }
        self.append("proc/net/if_inet6", &format!("{local} 04 40 20 80 {name:>8}\n"));
    }

    /// Puts the IPv4 address on an interface, as `ip` tells it.
    pub(crate) fn ipv4(&self, interface: &str, address: &str) {
        let line = format!(
            "4: {interface}    inet {address}/24 brd 192.0.2.255 scope global {interface}\n"
        );
        self.write(&format!("ipv4/{interface}"), &line);
    }

    /// Stacks `upper`, a `kind`, on an interface.
    pub(crate) fn stack(&self, interface: &str, kind: &str, upper: &str) {
        self.interface(upper);
        self.write(
            &format!("sys/class/net/{upper}/uevent"),
            &format!("DEVTYPE={kind}\nINTERFACE={upper}\n"),
        );
        self.link(&format!("sys/class/net/{interface}/upper_{upper}"), &format!("../{upper}"));
    }

    /// Puts the NIC into an IOMMU group.
    pub(crate) fn group(&self, addr: &str, group: u32, kind: &str) {
        let dir = format!("sys/kernel/iommu_groups/{group}");
        self.write(&format!("{dir}/type"), &format!("{kind}\n"));
        self.link(
            &format!("{dir}/devices/{addr}"),
            &format!("../../../../devices/pci0000:00/{addr}"),
        );
        self.link(
            &format!("sys/devices/pci0000:00/{addr}/iommu_group"),
            &format!("../../../kernel/iommu_groups/{group}"),
        );
    }

    /// A pool of 2 MiB pages on a NUMA node: how many there are, are free, and can be at most.
    /// That of node 0 is the machine's too.
    pub(crate) fn pool(&self, node: u32, total: u32, free: u32, most: u32) {
        let dir = format!("sys/devices/system/node/node{node}/hugepages/hugepages-2048kB");
        for (file, n) in [
            ("nr_hugepages", total),
            ("free_hugepages", free),
            ("surplus_hugepages", 0),
            (".most", most),
        ] {
            self.write(&format!("{dir}/{file}"), &format!("{n}\n"));
        }
        if node == 0 {
            self.link(
                "sys/kernel/mm/hugepages/hugepages-2048kB",
                &self.path(&dir).display().to_string(),
            );
        }
    }

    /// The driver the NIC has, or nothing.
    pub(crate) fn bound(&self, addr: &str) -> String {
        fs::read_link(self.path(&format!("sys/bus/pci/devices/{addr}/driver")))
            .map(|l| l.file_name().unwrap().to_str().unwrap().to_owned())
            .unwrap_or_default()
    }

    /// What was written so far, a line each: the value, and the file's path.
    pub(crate) fn log(&self) -> Vec<String> {
        self.read("log").lines().map(str::to_owned).collect()
    }

    pub(crate) fn run(&self, script: &str, args: &str) -> Run {
        let mut command = Command::new(self.shell[0]);
        command
            // What is relative must not be taken from here: from the root, most of it would exist.
            .current_dir("/")
            .args(&self.shell[1..])
            .arg(here().join("scripts").join(script))
            .args(args.split_whitespace())
            .env_remove("SSH_CONNECTION")
            .env("BAREWIRE_SYSROOT", self.dir.path())
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while child.try_wait().unwrap().is_none() {
            assert!(
                Instant::now() < deadline,
                "{script} {args} does not end, process {}",
                child.id()
            );
            sleep(Duration::from_millis(2));
        }
        let output = child.wait_with_output().unwrap();
        Run {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub(crate) fn bind(&self, args: &str) -> Run {
        self.run("bind", args)
    }
}

impl Run {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// Asserts that it said something, on whichever stream.
    #[track_caller]
    pub(crate) fn says(self, what: &str) -> Self {
        assert!(self.out.contains(what) || self.err.contains(what), "no {what:?} in {self:#?}");
        self
    }

    /// The lines of standard output, with one space where there are several.
    pub(crate) fn rows(&self) -> Vec<String> {
        let squeeze = |l: &str| l.split_whitespace().collect::<Vec<_>>().join(" ");
        self.out.lines().map(squeeze).collect()
    }

    /// The lines of standard error that start with `start`.
    pub(crate) fn errors(&self, start: &str) -> Vec<&str> {
        self.err.lines().filter(|l| l.starts_with(start)).collect()
    }
}
