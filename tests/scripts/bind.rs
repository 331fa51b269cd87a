//! `scripts/bind`: what it shows, what it refuses and why, what it writes, and that it undoes what
//! fails halfway.

use crate::machine::{A, B, Machine, on_each_shell};

/// One thing that a NIC can be in use for: what it is, how the machine comes to look like that,
/// what is said about it, and how many reasons it makes in all.
type Use = (&'static str, fn(&mut Machine), &'static str, usize);

const USES: &[Use] = &[
    (
        "an IPv4 route",
        |m| m.append("proc/net/route", "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\n"),
        "eth0 carries 1 IPv4 route",
        1,
    ),
    (
        "an IPv6 route",
        |m| route6(m, "20010db8000000000000000000000000"),
        "eth0 carries 1 IPv6 route",
        1,
    ),
    (
        "an IPv6 default route",
        |m| route6(m, "00000000000000000000000000000000"),
        "eth0 carries 1 IPv6 route",
        1,
    ),
    ("an IPv4 address", |m| m.ipv4("eth0", "198.51.100.7"), "eth0 has the address 198.51.100.7", 1),
    (
        "an IPv4 address that ifconfig tells",
        |m| {
            m.remove("sbin/ip");
            m.file("sbin/ifconfig", "#!/bin/sh\necho '  inet addr:198.51.100.8  Bcast:1.2.3.4'\n");
        },
        "eth0 has the address 198.51.100.8",
        1,
    ),
    (
        "an IPv4 address that is nobody's, with nothing to tell whose",
        |m| {
            m.remove("sbin/ip");
            m.append("proc/net/fib_trie", "     |-- 198.51.100.9\n        /32 host LOCAL\n");
        },
        "eth0 may have the address 198.51.100.9",
        1,
    ),
    (
        "an IPv6 address",
        |m| {
            m.append("proc/net/if_inet6", "20010db8000000000000000000000005 04 40 00 80     eth0\n")
        },
        "eth0 has the address 2001:0db8:0000:0000:0000:0000:0000:0005",
        1,
    ),
    (
        "a bridge, whose port it is",
        |m| {
            m.stack("eth0", "bridge", "br0");
            m.link("sys/class/net/eth0/master", "../br0");
        },
        "eth0 is a port of bridge br0",
        1,
    ),
    ("a VLAN", |m| m.stack("eth0", "vlan", "eth0.7"), "eth0 carries vlan eth0.7", 1),
    (
        "the SSH session of this shell",
        |m| m.env("SSH_CONNECTION", "fe80::1%eth0 50000 fe80::2%eth0 22"),
        "an SSH session comes in at fe80::2 on eth0",
        1,
    ),
    (
        "the SSH session above sudo",
        |m| {
            let parent = format!("proc/{}", std::process::id());
            m.write(&format!("{parent}/status"), "Name:\tsudo\nPPid:\t7\n");
            m.write(&format!("{parent}/environ"), "USER=root\0");
            m.write("proc/7/environ", "A=b\0SSH_CONNECTION=fe80::1%eth0 50000 fe80::2%eth0 22\0");
            m.write("proc/7/status", "PPid:\t1\n");
        },
        "an SSH session comes in at fe80::2 on eth0",
        1,
    ),
    (
        "somebody's SSH session over IPv6",
        |m| {
            m.append("proc/net/tcp6", "   0: 000080FE00000000FF000002010000FE:0016 000080FE00000000FF000002020000FE:C350 01\n")
        },
        "an SSH session comes in at fe80:0000:0000:0000:0200:00ff:fe00:0001 on eth0",
        // Of the three interfaces that share this address, one is the NIC's.
        1,
    ),
    (
        "an SSH session on another port over IPv4",
        |m| {
            m.ipv4("eth0", "198.51.100.7");
            m.env("SSH_CONNECTION", "198.51.100.1 50000 198.51.100.250 2222");
            m.append("proc/net/tcp", "   0: 076433C6:08AE 016433C6:C350 01\n");
        },
        "an SSH session comes in at 198.51.100.7 on eth0",
        2,
    ),
    (
        "an SSH session at the bond above",
        |m| {
            m.stack("eth0", "bond", "bond0");
            m.ipv4("bond0", "198.51.100.9");
            m.env("SSH_CONNECTION", "198.51.100.1 50000 198.51.100.9 22");
        },
        "an SSH session comes in at 198.51.100.9 on bond0",
        2,
    ),
    (
        "VFs",
        |m| m.write("sys/bus/pci/devices/0000:03:00.0/sriov_numvfs", "4\n"),
        "it has 4 VF(s)",
        1,
    ),
    (
        "another network namespace",
        |m| m.remove("sys/bus/pci/devices/0000:03:00.0/net/eth0"),
        "ixgbe has it without an interface here: that is in another network namespace",
        1,
    ),
    (
        "a namespace other than this shell's",
        |m| {
            let others = m.read("proc/net/dev").replace("eth0", "none");
            m.write("proc/net/dev", &others);
        },
        "eth0 is in another network namespace than this shell",
        1,
    ),
    (
        "lockdown",
        |m| m.write("sys/kernel/security/lockdown", "none [integrity] confidentiality\n"),
        "use --driver vfio-pci",
        1,
    ),
];

fn route6(m: &Machine, dest: &str) {
    let zero = "0".repeat(32);
    m.append(
        "proc/net/ipv6_route",
        &format!("{dest} 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001     eth0\n"),
    );
}

#[test]
fn each_use_is_refused_by_name_and_overridden_by_force() {
    for &(name, make, reason, lines) in USES {
        on_each_shell(|m| {
            make(m);
            let run = m.bind(&format!("uio {A}")).exits(2).says(reason);
            assert_eq!(run.errors("bind: refused: ").len(), lines, "{name}: {run:#?}");
            assert_eq!((m.log(), m.bound(A)), (Vec::new(), "ixgbe".to_owned()), "{name}");

            let run = m.bind(&format!("uio {A} --force")).exits(0).says(reason);
            assert_eq!(run.errors("bind: overridden: ").len(), lines, "{name}: {run:#?}");
            assert_eq!(m.bound(A), "uio_pci_generic", "{name}");
        });
    }
}

#[test]
fn a_driver_in_use_by_a_process_is_not_taken_from_it() {
    on_each_shell(|m| {
        m.bind("uio eth0").exits(0);
        let before = m.log();
        m.link("proc/4711/fd/9", "/dev/uio0");
        m.link("proc/4712/fd/9", "/dev/uio01");
        m.write("proc/4711/comm", "pktgen\n");
        let run = m.bind(&format!("kernel {A}")).exits(2).says("process 4711 (pktgen) has it open");
        assert_eq!(run.errors("bind: refused: ").len(), 1, "{run:#?}");
        assert_eq!(m.log(), before);
        m.bind("status").exits(0).says("process 4711 (pktgen) has it open");
        // Where it is already, there is nothing to do and nothing to refuse.
        m.bind(&format!("uio {A}")).exits(0).says("already");
        m.bind(&format!("kernel {A} --force")).exits(0).says("overridden");
        assert_eq!(m.bound(A), "ixgbe");
    });
}

#[test]
fn binding_there_and_back_writes_just_what_it_must() {
    for name in ["eth0", A, "03:00.0"] {
        on_each_shell(|m| {
            m.bind(&format!("uio {name}")).exits(0).says("has the driver uio_pci_generic now");
            assert_eq!(
                m.log(),
                [
                    format!("uio_pci_generic > /sys/bus/pci/devices/{A}/driver_override"),
                    format!("{A} > /sys/bus/pci/drivers/ixgbe/unbind"),
                    format!("{A} > /sys/bus/pci/drivers/uio_pci_generic/bind"),
                ]
            );
            assert_eq!((m.bound(A).as_str(), m.bound(B).as_str()), ("uio_pci_generic", "ixgbe"));
            m.bind(&format!("uio {A}")).exits(0).says("already");

            m.remove("log");
            m.bind(&format!("kernel {A}")).exits(0).says("interface eth0");
            assert_eq!(
                m.log(),
                [
                    format!(" > /sys/bus/pci/devices/{A}/driver_override"),
                    format!("{A} > /sys/bus/pci/drivers/uio_pci_generic/unbind"),
                    format!("{A} > /sys/bus/pci/drivers/ixgbe/bind"),
                ]
            );
            assert_eq!(m.bound(A), "ixgbe");
            assert!(!m.path(&format!("run/barewire/bind/{A}")).exists());
            m.bind(&format!("kernel {A}")).exits(0).says("already");
        });
    }
}

#[test]
fn without_a_record_the_kernel_chooses_the_driver() {
    on_each_shell(|m| {
        m.bind(&format!("uio {A}")).exits(0);
        m.remove("run");
        m.bind(&format!("kernel {A}")).exits(0);
        assert_eq!(m.log().last().unwrap(), &format!("{A} > /sys/bus/pci/drivers_probe"));
        assert_eq!(m.bound(A), "ixgbe");
    });
}

#[test]
fn the_first_record_outlives_a_change_between_user_drivers() {
    on_each_shell(|m| {
        m.driver("igb_uio");
        m.write(&format!("sys/bus/pci/devices/{A}/driver_override"), "ixgbe\n");
        m.bind(&format!("uio {A}")).exits(0);
        m.bind(&format!("uio {A} --driver igb_uio")).exits(0);
        assert_eq!(m.bound(A), "igb_uio");
        m.bind(&format!("kernel {A}")).exits(0);
        assert_eq!(m.bound(A), "ixgbe");
        assert_eq!(m.read(&format!("sys/bus/pci/devices/{A}/driver_override")), "ixgbe");
    });
}

#[test]
fn a_failure_at_any_step_puts_every_nic_back() {
    let bind = format!("{B} > /sys/bus/pci/drivers/uio_pci_generic/bind");
    let steps = [
        (
            "broken",
            format!("uio_pci_generic > /sys/bus/pci/devices/{B}/driver_override"),
            "Input/output error",
        ),
        ("broken", format!("{B} > /sys/bus/pci/drivers/ixgbe/unbind"), "Input/output error"),
        ("broken", bind.clone(), "Input/output error"),
        ("deaf", bind, "has no driver although the kernel accepted uio_pci_generic"),
    ];
    for (how, write, why) in steps {
        on_each_shell(|m| {
            m.write(how, &format!("{write}\n"));
            m.bind("uio eth0 eth1")
                .exits(1)
                .says(why)
                .says(&format!("{A} is as before, with driver ixgbe"))
                .says(&format!("{B} is as before, with driver ixgbe"));
            for nic in [A, B] {
                assert_eq!(m.bound(nic), "ixgbe", "{write}");
                assert_eq!(m.read(&format!("sys/bus/pci/devices/{nic}/driver_override")), "(null)");
                assert!(!m.path(&format!("run/barewire/bind/{nic}")).exists(), "{write}");
            }
            // And nothing stands in the way of the next attempt.
            m.remove(how);
            m.bind("uio eth0 eth1").exits(0);
        });
    }
}

/// Here dd is the real one, and what refuses the write is the kernel below this test.
#[test]
fn the_kernels_reason_is_passed_on() {
    on_each_shell(|m| {
        m.file("sbin/dd", "#!/bin/sh\nexec dd \"$@\"\n");
        let file = "sys/bus/pci/drivers/ixgbe/unbind";
        m.remove(file);
        m.bind(&format!("uio {A}")).exits(1).says(&format!("there is no /{file}"));
        m.link(file, "/dev/full");
        m.bind(&format!("uio {A}"))
            .exits(1)
            .says(&format!("cannot write '{A}' to /{file}: No space left on device"));
    });
}

#[test]
fn what_cannot_be_put_back_is_named() {
    on_each_shell(|m| {
        m.write(
            "broken",
            &format!("{A} > /sys/bus/pci/drivers/uio_pci_generic/bind\n{A} > /sys/bus/pci/drivers/ixgbe/bind\n"),
        );
        m.bind(&format!("uio {A}"))
            .exits(1)
            .says(&format!("{A} is NOT as before, with driver ixgbe: cannot write '{A}' to"));
        // The way back is still known.
        m.remove("broken");
        m.bind(&format!("kernel {A}")).exits(0);
        assert_eq!(m.bound(A), "ixgbe");
    });
}

#[test]
fn a_failed_way_back_leaves_the_nic_to_user_space() {
    on_each_shell(|m| {
        m.bind("uio eth0").exits(0);
        m.write("broken", &format!("{A} > /sys/bus/pci/drivers/ixgbe/bind\n"));
        m.bind(&format!("kernel {A}")).exits(1).says("is as before, with driver uio_pci_generic");
        assert_eq!(m.bound(A), "uio_pci_generic");
        m.remove("broken");
        m.bind(&format!("kernel {A}")).exits(0);
        assert_eq!(m.bound(A), "ixgbe");
    });
}

#[test]
fn a_nic_without_a_driver_is_left_without_one_when_binding_fails() {
    on_each_shell(|m| {
        m.remove(&format!("sys/bus/pci/devices/{A}/driver"));
        m.remove(&format!("sys/bus/pci/devices/{A}/net"));
        m.write("deaf", &format!("{A} > /sys/bus/pci/drivers/uio_pci_generic/bind\n"));
        m.bind(&format!("uio {A}")).exits(1).says("is as before, with driver none");
        assert_eq!(m.bound(A), "");
        m.remove("deaf");
        m.bind(&format!("uio {A}")).exits(0);
        m.bind(&format!("kernel {A}")).exits(0);
        assert_eq!(m.bound(A), "ixgbe");
    });
}

#[test]
fn all_nics_are_checked_before_the_first_is_touched() {
    on_each_shell(|m| {
        m.ipv4("eth1", "198.51.100.7");
        m.bind("uio eth0 eth1").exits(2).says(&format!("refused: {B}: eth1 has the address"));
        m.bind("uio eth0 eth7").exits(2).says("'eth7' is neither");
        assert_eq!(m.log(), Vec::<String>::new());
        // Twice the same NIC is once.
        m.bind(&format!("uio eth0 {A} 03:00.0")).exits(0);
        assert_eq!(m.log().len(), 3);
    });
}

#[test]
fn a_dry_run_prints_the_writes_and_does_none() {
    on_each_shell(|m| {
        m.group(A, 5, "DMA-FQ");
        let run = m.bind(&format!("uio {A} --identity --dry-run")).exits(0);
        let written: Vec<_> = run.out.lines().collect();
        assert_eq!(
            written,
            [
                format!("bind: would note in /run/barewire/bind/{A}: driver 'ixgbe'"),
                format!(
                    "bind: would write 'uio_pci_generic' to /sys/bus/pci/devices/{A}/driver_override"
                ),
                format!("bind: would write '{A}' to /sys/bus/pci/drivers/ixgbe/unbind"),
                "bind: would write 'identity' to /sys/kernel/iommu_groups/5/type".to_owned(),
                format!("bind: would write '{A}' to /sys/bus/pci/drivers/uio_pci_generic/bind"),
            ]
        );
        m.ipv4("eth0", "198.51.100.7");
        m.bind(&format!("uio {A} --dry-run")).exits(2).says("has the address");
        assert_eq!((m.log(), m.bound(A)), (Vec::new(), "ixgbe".to_owned()));
        assert!(!m.path("run").exists());
    });
}

#[test]
fn a_missing_module_is_loaded_or_named_with_the_remedy() {
    on_each_shell(|m| {
        m.bind("uio eth0 --driver igb_uio")
            .exits(1)
            .says("modprobe igb_uio failed")
            .says("dpdk-kmods-dkms");
        m.remove("sys/bus/pci/drivers/uio_pci_generic");
        m.bind("uio eth0").exits(1).says("modprobe uio_pci_generic failed: install the module");
        assert_eq!(m.log(), Vec::<String>::new());

        let drivers = m.path("sys/bus/pci/drivers");
        m.file(
            "sbin/modprobe",
            &format!(
                "#!/bin/sh\nmkdir '{0}'/$1 && touch '{0}'/$1/bind '{0}'/$1/unbind\n",
                drivers.display()
            ),
        );
        m.bind("uio eth0 --dry-run").exits(0).says("would run modprobe uio_pci_generic");
        assert!(!drivers.join("uio_pci_generic").exists());
        m.bind("uio eth0").exits(0);
        assert_eq!(m.bound(A), "uio_pci_generic");
    });
}

#[test]
fn a_translating_iommu_is_warned_of_and_switched_on_request() {
    on_each_shell(|m| {
        let kind = "sys/kernel/iommu_groups/5/type";
        m.group(A, 5, "DMA-FQ");
        m.bind(&format!("uio {A}"))
            .exits(0)
            .says("(group 5), so its DMA will fail; add --identity");
        m.bind("status").says("no DMA: the IOMMU translates (group 5)");
        // The kernel refuses a change while a driver is bound, so it takes another unbinding.
        let run = m.bind(&format!("uio {A} --identity")).exits(0);
        assert!(run.errors("bind: warning").is_empty(), "{run:#?}");
        assert_eq!((m.read(kind).as_str(), m.bound(A).as_str()), ("identity", "uio_pci_generic"));
        m.bind(&format!("uio {A} --identity")).exits(0).says("already");
        m.bind(&format!("kernel {A}")).exits(0);
        assert_eq!((m.read(kind).as_str(), m.bound(A).as_str()), ("DMA-FQ", "ixgbe"));

        // A group that does not let itself be switched: all as before.
        m.write("broken", "identity > /sys/kernel/iommu_groups/5/type\n");
        m.bind(&format!("uio {A} --identity")).exits(1).says("is as before, with driver ixgbe");
        assert_eq!((m.read(kind).as_str(), m.bound(A).as_str()), ("DMA-FQ", "ixgbe"));
        // One that was switched, and then the driver fails: the group goes back too.
        m.write("broken", &format!("{A} > /sys/bus/pci/drivers/uio_pci_generic/bind\n"));
        m.bind(&format!("uio {A} --identity")).exits(1).says("is as before, with driver ixgbe");
        assert_eq!((m.read(kind).as_str(), m.bound(A).as_str()), ("DMA-FQ", "ixgbe"));
    });
}

#[test]
fn vfio_needs_an_iommu_group_and_hears_of_its_neighbours() {
    on_each_shell(|m| {
        m.driver("vfio-pci");
        m.bind("uio eth0 --driver vfio-pci").exits(2).says("it has no IOMMU group");
        m.write("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
        m.group(A, 5, "DMA-FQ");
        let run = m.bind("uio eth0 --driver vfio-pci --dry-run").exits(0);
        assert!(run.errors("bind: warning").is_empty(), "{run:#?}");
        m.group(B, 5, "DMA-FQ");
        m.bind("uio eth0 --driver=vfio-pci").exits(0).says("other devices share IOMMU group 5");
        assert_eq!(m.bound(A), "vfio-pci");
        // A program that drives it has the group open.
        m.link("proc/88/fd/3", "/dev/vfio/5");
        m.bind(&format!("kernel {A}")).exits(2).says("process 88");
    });
}

#[test]
fn doubtful_nics_are_bound_with_a_warning() {
    on_each_shell(|m| {
        let run = m.bind("uio eth1 --dry-run").exits(0);
        assert!(run.errors("bind: warning").is_empty(), "{run:#?}");
        m.write("sys/class/net/eth1/flags", "0x1003\n");
        m.write(
            "proc/net/packet",
            "sk RefCnt Type Proto  Iface R Rmem User Inode\n0 3 3 0003 14 1 0 0 1\n",
        );
        m.bind("uio eth1")
            .exits(0)
            .says("warning: eth1 is up")
            .says("captures or sends raw packets on eth1");
        m.nic("0000:04:00.0", "8086:1563", "ixgbe", "eth2");
        m.bind("uio eth2").exits(0).says("is an X550, whose INTx does not work");
        m.nic("0000:05:00.0", "1af4:1041", "ixgbe", "eth3");
        m.bind("uio eth3").exits(0).says("is a 1af4:1041, which no driver of Barewire knows");
    });
}

#[test]
fn bad_input_is_refused() {
    on_each_shell(|m| {
        m.nic("0000:00:1f.2", "8086:2922", "ixgbe", "disk");
        m.write("sys/bus/pci/devices/0000:00:1f.2/class", "0x010601\n");
        m.link("sys/class/net/mgmt0/device", "../../nowhere");
        for (args, says) in [
            ("bound", "'bound' is none of"),
            ("uio", "which NIC?"),
            ("kernel", "which NIC?"),
            ("uio 0000:09:00.0", "'0000:09:00.0' is neither"),
            ("uio mgmt0", "'mgmt0' is neither"),
            ("uio ..", "'..' is neither"),
            ("uio ../../devices/x", "is neither"),
            ("uio --what eth0", "no option '--what'"),
            ("uio eth0 --driver", "--driver is one of"),
            ("uio eth0 --driver e1000", "--driver is one of"),
            ("uio 00:1f.2", "is no network NIC (class 0x010601)"),
            ("status eth0", "status takes no NIC"),
        ] {
            m.bind(args).exits(2).says(says);
        }
        assert_eq!(m.log(), Vec::<String>::new());
        for args in ["--help", "-h", "uio --help"] {
            let run = m.bind(args).exits(0).says("examples:");
            assert_eq!(run.err, "");
        }
        m.remove("sys/bus/pci/devices");
        m.bind("status").exits(2).says("is /sys mounted");
    });
}

#[test]
fn status_shows_each_nic_in_one_line() {
    on_each_shell(|m| {
        m.ipv4("eth0", "198.51.100.7");
        m.write("sys/class/net/eth0/carrier", "1\n");
        m.write("sys/class/net/eth0/speed", "10000\n");
        m.write("sys/class/net/eth1/carrier", "0\n");
        m.write(&format!("sys/bus/pci/devices/{B}/numa_node"), "1\n");
        m.driver("igb");
        m.nic("0000:04:00.0", "8086:10c9", "igb", "eth2");
        m.bind("uio eth2").exits(0);
        for args in ["", "status"] {
            let run = m.bind(args).exits(0);
            let lines: Vec<String> = run
                .out
                .lines()
                .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            assert_eq!(
                lines,
                [
                    "ADDRESS ID CHIP DRIVER NODE INTERFACE LINK IN USE",
                    "0000:03:00.0 8086:10fb 82599 ixgbe 0 eth0 up,10000 eth0 has the address 198.51.100.7",
                    "0000:03:00.1 8086:10fb 82599 ixgbe 1 eth1 no-carrier -",
                    "0000:04:00.0 8086:10c9 82576 uio_pci_generic 0 - - -",
                ]
            );
        }
    });
}

/// The script's list of chips is a copy; it has to follow the drivers'.
#[test]
fn the_chips_that_a_driver_knows_have_a_name_in_the_table() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let ids: Vec<String> = ["drivers/ixgbe/ids.rs", "drivers/igb/ids.rs"]
        .iter()
        .filter_map(|f| std::fs::read_to_string(here.join(f)).ok())
        .flat_map(|text| {
            let chips = text.lines().filter_map(|l| l.trim().strip_prefix("chip(0x"));
            chips.map(|l| l[..4].to_lowercase()).collect::<Vec<_>>()
        })
        .collect();
    assert!(ids.len() > 30, "{ids:?}");
    // Neighbours of supported ids, which the patterns must not catch.
    let others = ["10b6", "10ed", "1515", "1565", "15a8", "15c5", "15c9", "1520", "10ca", "1f42"];
    let m = Machine::new(&["sh"]);
    for (n, id) in ids.iter().map(String::as_str).chain(others).enumerate() {
        let addr = format!("0000:{:02x}:00.0", n + 0x10);
        m.nic(&addr, &format!("8086:{id}"), "ixgbe", &format!("x{n}"));
        // Unbound NICs are looked up faster.
        m.remove(&format!("sys/bus/pci/devices/{addr}/driver"));
        m.remove(&format!("sys/bus/pci/devices/{addr}/net"));
    }
    let table = m.bind("status").exits(0).out;
    for id in ids.iter().map(String::as_str).chain(others) {
        let row = table.lines().find(|l| l.contains(&format!("8086:{id}"))).unwrap();
        let named = row.split_whitespace().nth(2) != Some("-");
        assert_eq!(named, !others.contains(&id), "{row}");
    }
}
