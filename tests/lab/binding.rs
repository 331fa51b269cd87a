//! `scripts/bind` and `scripts/hugepages`, with busybox and a real sysfs.

use std::fs;

use crate::guest::{Guest, Nic, free_pages, kind, run, sh};
use crate::{Boot, Test};

/// A test for the guest of scripts and tools.
const fn test(name: &'static str, run: fn(&Guest)) -> Test {
    crate::test(name, run).boot(Boot::Tools).limit(90)
}

// The scripts do not care which chip it is: most are tested with one of them only.
pub(crate) const TESTS: &[Test] = &[
    test("binding::bind_takes_nics_by_address_and_interface_and_gives_them_back", there_and_back)
        .kernel(),
    test("binding::a_dry_run_changes_nothing", dry_run).kernel(),
    test("binding::addresses_routes_and_ssh_are_refused", addresses).kernel().only_igb(),
    test("binding::bridges_bonds_vlans_and_virtual_functions_are_refused", uppers)
        .kernel()
        .only_igb(),
    test("binding::an_interface_in_another_namespace_is_refused", namespace).kernel().only_igb(),
    test("binding::a_running_program_is_refused", running).kernel(),
    test("binding::force_overrides_and_says_so", force).kernel().only_igb(),
    test("binding::a_failure_is_undone", undone).kernel().only_igb(),
    test("binding::identity_opens_the_iommu_and_closes_it_again", identity)
        .kernel()
        .boot(Boot::Iommu),
    test("binding::lockdown_is_refused_before_anything_changes", locked_down)
        .kernel()
        .boot(Boot::Lockdown),
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

/// What is refused: exit code 2, for each NIC a line that says so with all of these words, and
/// nothing changed.
#[track_caller]
fn refused(environment: &str, nics: &[(&Nic, &[&str])]) {
    let names: Vec<_> = nics.iter().map(|(n, _)| n.0.as_str()).collect();
    let drivers: Vec<_> = nics.iter().map(|(n, _)| n.driver()).collect();
    let command = format!("{environment} bw-bind uio {}; echo exit $?", names.join(" "));
    let (_, text) = sh(&command);
    assert!(text.ends_with("exit 2\n"), "{text}");
    for (nic, words) in nics {
        let says = |l: &&str| l.contains(&nic.0) && words.iter().all(|w| l.contains(w));
        assert!(text.lines().any(|l| says(&l)), "no line has {} and {words:?}: {text}", nic.0);
        assert_eq!(nic.text("driver_override"), "(null)");
    }
    assert_eq!(nics.iter().map(|(n, _)| n.driver()).collect::<Vec<_>>(), drivers);
}

/// The script's lines on NICs.
#[track_caller]
fn status(nics: &[&Nic]) -> Vec<String> {
    let text = bind("status", 0);
    let line = |nic: &&Nic| match text.lines().find(|l| l.starts_with(&nic.0)) {
        Some(line) => line.to_owned(),
        None => panic!("{} is missing: {text}", nic.0),
    };
    nics.iter().map(line).collect()
}

fn there_and_back(guest: &Guest) {
    let [a, b, c, _] = &guest.nics[..] else { unreachable!() };
    let (interface, short) = (a.interface(), &b.0["0000:".len()..]);
    bind(&format!("uio {interface} {short}"), 0);
    assert!([a, b].iter().all(|n| n.driver().as_deref() == Some("uio_pci_generic")));
    // No new_id, which would take all of their kind.
    assert_eq!(c.driver().as_deref(), Some(kind().driver));
    let lines = status(&[a, c]);
    for (line, driver) in lines.iter().zip(["uio_pci_generic", kind().driver]) {
        assert!(["8086:10", kind().chip, driver].iter().all(|w| line.contains(w)), "{line}");
    }
    assert!(lines[1].contains(&c.interface()), "{}", lines[1]);
    drop(a.open().unwrap());

    bind(&format!("kernel {} {}", a.0, b.0), 0);
    for nic in [a, b] {
        assert_eq!(nic.driver().as_deref(), Some(kind().driver));
        assert_eq!(nic.text("driver_override"), "(null)");
        nic.interface();
    }
    bind("uio nonesuch0", 2);
}

fn dry_run(guest: &Guest) {
    let nic = &guest.nics[1];
    let text = bind(&format!("uio {} --dry-run", nic.0), 0);
    for part in ["driver_override", "unbind", "uio_pci_generic"] {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
    assert!(!text.contains("new_id"), "{text}");
    assert_eq!(nic.driver().as_deref(), Some(kind().driver));
    assert_eq!(nic.text("driver_override"), "(null)");
}

fn addresses(guest: &Guest) {
    let [a, b, c, d] = &guest.nics[..] else { unreachable!() };
    let names = guest.nics.iter().map(Nic::interface).collect::<Vec<_>>();
    let [i, j, k, l] = &names[..] else { unreachable!() };
    for name in &names {
        run(&format!("ip link set {name} up"));
    }
    run(&format!("ip route add 198.51.100.0/24 dev {i}"));
    run(&format!("ip -6 route add 2001:db8::/64 dev {j}"));
    run(&format!("ip addr add 192.0.2.7/32 dev {k}; ip addr add 192.0.2.8/32 dev {l}"));
    refused(
        "SSH_CONNECTION='203.0.113.1 50000 192.0.2.8 22'",
        &[
            (a, &[i, "IPv4 route"]),
            (b, &[j, "IPv6 route"]),
            (c, &[k, "192.0.2.7"]),
            (d, &["SSH", "192.0.2.8", l]),
        ],
    );
    let lines = status(&[a, c]);
    assert!(lines[0].contains("IPv4 route") && lines[1].contains("192.0.2.7"), "{lines:?}");
    // One that is up, and nothing else, is taken; but not together with one that is in use.
    run(&format!("ip route del 198.51.100.0/24 dev {i}"));
    bind(&format!("uio {} {}", a.0, c.0), 2);
    assert_eq!(a.driver().as_deref(), Some(kind().driver));
    bind(&format!("uio {}", a.0), 0);
}

fn uppers(guest: &Guest) {
    run("modprobe bridge; modprobe bonding max_bonds=0; modprobe 8021q");
    let [a, b, c, d] = &guest.nics[..] else { unreachable!() };
    let vlan = format!("{}.7", c.interface());
    run(&format!("brctl addbr br7 && brctl addif br7 {}", a.interface()));
    run(&format!(
        "echo +bond7 > /sys/class/net/bonding_masters; ip link set {0} down; \
         echo +{0} > /sys/class/net/bond7/bonding/slaves",
        b.interface()
    ));
    run(&format!("ip link set {0} up; vconfig add {0} 7", c.interface()));
    let (bridge, bond, vlans) = (["bridge", "br7"], ["bond", "bond7"], ["vlan", &vlan]);
    let mut uppers: Vec<(&Nic, &[&str])> = vec![(a, &bridge), (b, &bond), (c, &vlans)];
    let vfs = d.path("sriov_numvfs");
    if kind().has_vfs {
        run(&format!("echo 2 > {}", vfs.display()));
        uppers.push((d, &["2 VF"]));
    }
    refused("", &uppers);
    run("ip link set br7 down; brctl delbr br7; echo -bond7 > /sys/class/net/bonding_masters");
    run(&format!("vconfig rem {vlan}"));
    if kind().has_vfs {
        run(&format!("echo 0 > {}", vfs.display()));
    }
    bind(&format!("uio {}", b.0), 0);
    assert_eq!(b.driver().as_deref(), Some("uio_pci_generic"));
}

fn namespace(guest: &Guest) {
    let nic = &guest.nics[1];
    // The interface comes back when the namespace's last process is gone.
    let i = nic.interface();
    run(&format!(
        "unshare -n sleep 60 > /dev/null 2>&1 & for t in 1 2 3 4 5 6 7 8 9; do \
         sleep 0.2; ip link set {i} netns $! && [ ! -e /sys/class/net/{i} ] && exit 0; done; exit 1"
    ));
    refused("", &[(nic, &["namespace"])]);
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
        assert_eq!(nic.driver().as_deref(), Some(kind().driver), "{text}");
        assert_eq!(nic.text("driver_override"), "(null)");
    }
    bind(&format!("uio {} {}", a.0, b.0), 0);
}

fn identity(guest: &Guest) {
    let nic = &guest.nics[1];
    let group = fs::read_link(nic.path("iommu_group")).unwrap();
    let file =
        format!("/sys/kernel/iommu_groups/{}/type", group.file_name().unwrap().to_string_lossy());
    let before = fs::read_to_string(&file).unwrap();
    assert_ne!(before.trim(), "identity");
    let text = bind(&format!("uio {}", nic.0), 0);
    assert!(text.contains("--identity"), "a warning: {text}");
    nic.open().unwrap_err();
    bind(&format!("uio {} --identity", nic.0), 0);
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), "identity");
    drop(nic.open().unwrap());
    bind(&format!("kernel {}", nic.0), 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    assert_eq!(nic.driver().as_deref(), Some(kind().driver));
}

fn locked_down(guest: &Guest) {
    refused("", &[(&guest.nics[1], &["Secure Boot", "vfio-pci"])]);
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
