//! `scripts/bind` and `scripts/hugepages`, with busybox and a real sysfs.

use std::fs;

use crate::guest::{Guest, Nic, free_pages, run, sh};
use crate::{Boot, Test, test};

pub(crate) const TESTS: &[Test] = &[
    test("binding::bind_takes_a_nic_and_gives_it_back", there_and_back),
    test("binding::bind_takes_interface_names_and_several_nics", by_name),
    test("binding::a_dry_run_changes_nothing", dry_run),
    test("binding::an_address_or_route_is_refused", addresses),
    test("binding::a_bridge_bond_or_vlan_is_refused", uppers),
    test("binding::an_ssh_session_is_refused", ssh),
    test("binding::virtual_functions_are_refused", virtual_functions),
    test("binding::an_interface_in_another_namespace_is_refused", namespace),
    test("binding::a_running_program_is_refused", running),
    test("binding::force_overrides_and_says_so", force),
    test("binding::a_failure_is_undone", undone),
    test("binding::identity_opens_the_iommu_and_closes_it_again", identity).boot(Boot::Iommu),
    test("binding::lockdown_is_refused_before_anything_changes", locked_down).boot(Boot::Lockdown),
    test("binding::hugepages_reserves_releases_and_mounts", hugepages),
];

/// Runs the script; it must end with this exit code. Gives what it printed.
#[track_caller]
fn bind(args: &str, code: i32) -> String {
    let (_, text) = sh(&format!("bw-bind {args}; echo exit $?"));
    let end = format!("exit {code}\n");
    match text.strip_suffix(&end) {
        Some(rest) => rest.to_owned(),
        None => panic!("bind {args}: {text}"),
    }
}

/// What is refused: exit code 2, a text that says all of this, and nothing changed.
#[track_caller]
fn refused(nic: &Nic, args: &str, says: &[&str]) {
    let driver = nic.driver();
    let text = bind(&format!("uio {} {args}", nic.0), 2);
    for part in says {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
    assert_eq!(nic.driver(), driver);
    assert_eq!(nic.text("driver_override"), "(null)");
}

/// The script's line on a NIC.
#[track_caller]
fn status(nic: &Nic) -> String {
    let text = bind("status", 0);
    match text.lines().find(|l| l.starts_with(&nic.0)) {
        Some(line) => line.to_owned(),
        None => panic!("{} is missing: {text}", nic.0),
    }
}

fn there_and_back(guest: &Guest) {
    let nic = &guest.nics[1];
    let interface = nic.interface();
    let line = status(nic);
    for part in ["8086:10c9", "82576", "igb", interface.as_str()] {
        assert!(line.contains(part), "'{part}' is not in: {line}");
    }
    bind(&format!("uio {}", nic.0), 0);
    assert_eq!(nic.driver().as_deref(), Some("uio_pci_generic"));
    // One device only: no new_id, which would take all of its kind.
    assert_eq!(guest.nics[0].driver().as_deref(), Some("igb"));
    assert!(status(nic).contains("uio_pci_generic"));
    drop(nic.open().unwrap());
    bind(&format!("uio {}", nic.0), 0);

    bind(&format!("kernel {}", nic.0), 0);
    assert_eq!(nic.driver().as_deref(), Some("igb"));
    assert_eq!(nic.text("driver_override"), "(null)");
    nic.interface();
    bind(&format!("kernel {}", nic.0), 0);
}

fn by_name(guest: &Guest) {
    let [a, b, ..] = &guest.nics[..] else { unreachable!() };
    bind(&format!("uio {} {}", a.interface(), &b.0["0000:".len()..]), 0);
    for nic in [a, b] {
        assert_eq!(nic.driver().as_deref(), Some("uio_pci_generic"));
    }
    bind(&format!("kernel {} {}", a.0, b.0), 0);
    for nic in [a, b] {
        assert_eq!(nic.driver().as_deref(), Some("igb"));
    }
    bind("uio nonesuch0", 2);
    bind("uio 0000:7f:00.0", 2);
}

fn dry_run(guest: &Guest) {
    let nic = &guest.nics[1];
    let text = bind(&format!("uio {} --dry-run", nic.0), 0);
    for part in ["driver_override", "unbind", "uio_pci_generic"] {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
    assert!(!text.contains("new_id"), "{text}");
    assert_eq!(nic.driver().as_deref(), Some("igb"));
    assert_eq!(nic.text("driver_override"), "(null)");
}

fn addresses(guest: &Guest) {
    let nic = &guest.nics[1];
    let i = &nic.interface();
    run(&format!("ip link set {i} up"));
    run(&format!("ip route add 198.51.100.0/24 dev {i}"));
    refused(nic, "", &[i, "IPv4 route"]);
    assert!(status(nic).contains("IPv4 route"));
    run(&format!("ip route del 198.51.100.0/24 dev {i}"));
    run(&format!("ip -6 route add 2001:db8::/64 dev {i}"));
    refused(nic, "", &[i, "IPv6 route"]);
    run(&format!("ip -6 route del 2001:db8::/64 dev {i}"));
    run(&format!("ip addr add 192.0.2.7/32 dev {i}"));
    refused(nic, "", &[i, "192.0.2.7"]);
    run(&format!("ip addr del 192.0.2.7/32 dev {i}"));
    // Up, and nothing else: a warning is enough.
    bind(&format!("uio {}", nic.0), 0);
}

fn uppers(guest: &Guest) {
    run("modprobe bridge; modprobe bonding max_bonds=0; modprobe 8021q");
    let [a, b, c, _] = &guest.nics[..] else { unreachable!() };
    run(&format!("brctl addbr br7 && brctl addif br7 {}", a.interface()));
    refused(a, "", &["bridge", "br7"]);
    run(&format!(
        "echo +bond7 > /sys/class/net/bonding_masters; ip link set {0} down; echo +{0} > /sys/class/net/bond7/bonding/slaves",
        b.interface()
    ));
    refused(b, "", &["bond", "bond7"]);
    run(&format!("ip link set {0} up; vconfig add {0} 7", c.interface()));
    refused(c, "", &["vlan", &format!("{}.7", c.interface())]);
    // One NIC in use, and none of them is touched.
    bind(&format!("uio {} {}", guest.nics[3].0, c.0), 2);
    assert_eq!(guest.nics[3].driver().as_deref(), Some("igb"));
    run(&format!(
        "ip link set br7 down; brctl delbr br7; echo -bond7 > /sys/class/net/bonding_masters; vconfig rem {}.7",
        c.interface()
    ));
    for nic in [a, b, c] {
        bind(&format!("uio {}", nic.0), 0);
    }
}

fn ssh(guest: &Guest) {
    let nic = &guest.nics[1];
    run(&format!("ip link set {0} up; ip addr add 192.0.2.7/24 dev {0}", nic.interface()));
    let (_, text) = sh(&format!(
        "SSH_CONNECTION='192.0.2.1 50000 192.0.2.7 22' bw-bind uio {}; echo exit $?",
        nic.0
    ));
    assert!(text.contains("SSH") && text.ends_with("exit 2\n"), "{text}");
    assert_eq!(nic.driver().as_deref(), Some("igb"));
    run(&format!("ip addr flush dev {}", nic.interface()));
}

fn virtual_functions(guest: &Guest) {
    let nic = &guest.nics[1];
    run(&format!("echo 2 > {}", nic.path("sriov_numvfs").display()));
    refused(nic, "", &["2 VF"]);
    run(&format!("echo 0 > {}", nic.path("sriov_numvfs").display()));
    bind(&format!("uio {}", nic.0), 0);
}

fn namespace(guest: &Guest) {
    let nic = &guest.nics[1];
    // The interface comes back when the namespace's last process is gone.
    let i = nic.interface();
    run(&format!(
        "unshare -n sleep 60 > /dev/null 2>&1 & for t in 1 2 3 4 5 6 7 8 9; do \
         sleep 0.2; ip link set {i} netns $! && [ ! -e /sys/class/net/{i} ] && exit 0; done; exit 1"
    ));
    refused(nic, "", &["namespace"]);
}

fn running(guest: &Guest) {
    let nic = &guest.nics[1];
    bind(&format!("uio {}", nic.0), 0);
    let device = nic.open().unwrap();
    let text = bind(&format!("kernel {}", nic.0), 2);
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    device.interrupt().unwrap();
    drop(device);
    bind(&format!("kernel {}", nic.0), 0);
}

fn force(guest: &Guest) {
    let nic = &guest.nics[1];
    let i = nic.interface();
    run(&format!("ip link set {i} up; ip addr add 192.0.2.7/24 dev {i}"));
    refused(nic, "", &["192.0.2.7"]);
    let text = bind(&format!("uio {} --force", nic.0), 0);
    assert!(text.contains("192.0.2.7"), "{text}");
    assert_eq!(nic.driver().as_deref(), Some("uio_pci_generic"));
}

/// The kernel takes the write and binds nothing, as when a probe fails.
fn undone(guest: &Guest) {
    let [a, b, ..] = &guest.nics[..] else { unreachable!() };
    let file = "/sys/bus/pci/drivers/uio_pci_generic/bind";
    fs::write("/tmp/swallow", "").unwrap();
    run(&format!("mount --bind /tmp/swallow {file}"));
    let text = bind(&format!("uio {} {}", a.0, b.0), 1);
    run(&format!("umount {file}"));
    assert!(text.contains("as before"), "{text}");
    for nic in [a, b] {
        assert_eq!(nic.driver().as_deref(), Some("igb"), "{text}");
        assert_eq!(nic.text("driver_override"), "(null)");
    }
    bind(&format!("uio {} {}", a.0, b.0), 0);
}

fn identity(guest: &Guest) {
    let nic = &guest.nics[1];
    let group = fs::read_link(nic.path("iommu_group")).unwrap();
    let kind =
        format!("/sys/kernel/iommu_groups/{}/type", group.file_name().unwrap().to_string_lossy());
    let before = fs::read_to_string(&kind).unwrap();
    assert_ne!(before.trim(), "identity");
    let text = bind(&format!("uio {}", nic.0), 0);
    assert!(text.contains("--identity"), "a warning: {text}");
    nic.open().unwrap_err();
    bind(&format!("uio {} --identity", nic.0), 0);
    assert_eq!(fs::read_to_string(&kind).unwrap().trim(), "identity");
    drop(nic.open().unwrap());
    bind(&format!("kernel {}", nic.0), 0);
    assert_eq!(fs::read_to_string(&kind).unwrap(), before);
    assert_eq!(nic.driver().as_deref(), Some("igb"));
}

fn locked_down(guest: &Guest) {
    refused(&guest.nics[1], "", &["Secure Boot", "vfio-pci"]);
}

fn hugepages(_: &Guest) {
    let before = free_pages();
    let total = |node: u32| {
        let dir = format!("/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB");
        fs::read_to_string(format!("{dir}/nr_hugepages")).unwrap().trim().parse::<usize>().unwrap()
    };
    let (zero, one) = (total(0), total(1));
    assert_eq!(before, zero + one);
    let shown = run("bw-hugepages show");
    assert!(shown.contains(&zero.to_string()) && shown.contains("/dev/hugepages"), "{shown}");
    run(&format!("bw-hugepages reserve {} --node 1", one + 3));
    assert_eq!((total(0), total(1)), (zero, one + 3));
    run("bw-hugepages release --node 1");
    assert_eq!((total(0), total(1)), (zero, one));
    // More than the node's memory: fewer were got, so they go back, and it says so.
    let (done, text) = sh("bw-hugepages reserve 4000 --node 1");
    assert!(!done && text.contains("4000"), "{text}");
    assert_eq!((total(0), total(1)), (zero, one));
    run("bw-hugepages mount /tmp/huge");
    assert!(fs::read_to_string("/proc/mounts").unwrap().contains(" /tmp/huge hugetlbfs "));
    run("bw-hugepages umount /tmp/huge");
    assert!(!fs::read_to_string("/proc/mounts").unwrap().contains("/tmp/huge"));
}
