//! `scripts/hugepages`: what it shows, and that it adds and takes away just what it says.

use crate::machine::{Machine, on_each_shell};

const NODE0: &str = "sys/devices/system/node/node0/hugepages/hugepages-2048kB";
const NODE1: &str = "sys/devices/system/node/node1/hugepages/hugepages-2048kB";
const ALL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";

/// Pages on node 0 (all of them, free ones).
fn pages(m: &Machine) -> (String, String) {
    (m.read(&format!("{NODE0}/nr_hugepages")), m.read(&format!("{NODE0}/free_hugepages")))
}

#[test]
fn reserve_adds_what_is_missing_and_release_takes_it_away() {
    on_each_shell(|m| {
        m.pool(0, 10, 4, 1000);
        m.run("hugepages", "reserve 64")
            .exits(0)
            .says("64 pages of 2M are free: 60 more than before")
            .says("vm.nr_hugepages = 70");
        assert_eq!(pages(m), ("70".into(), "64".into()));
        assert_eq!(m.log(), [format!("70 > {ALL}")]);
        m.run("hugepages", "reserve 64").exits(0).says("64 pages of 2M are free already");
        m.run("hugepages", "reserve 65").exits(0).says("1 more than before");
        m.run("hugepages", "release").exits(0).says("released 61 pages");
        assert_eq!(pages(m), ("10".into(), "4".into()));
        m.run("hugepages", "release").exits(2).says("added no pages");
        assert_eq!(m.log().len(), 3);
    });
}

#[test]
fn promised_pages_are_not_free() {
    on_each_shell(|m| {
        m.pool(0, 10, 10, 1000);
        m.write(&format!("{NODE0}/resv_hugepages"), "7\n");
        m.run("hugepages", "reserve 10").exits(0).says("7 more than before");
        assert_eq!(pages(m).0, "17");
    });
}

#[test]
fn fewer_than_asked_for_is_an_error_and_given_back() {
    on_each_shell(|m| {
        m.pool(0, 10, 4, 30);
        m.write("proc/meminfo", "MemTotal: 9 kB\nMemFree:  2097152 kB\n");
        m.run("hugepages", "reserve 64")
            .exits(1)
            .says("60 more pages of 2M were needed, the kernel found 20; gave them back")
            .says("2048 MiB of memory are free")
            .says("compact_memory")
            .says("vm.nr_hugepages = 64");
        assert_eq!(pages(m), ("10".into(), "4".into()));
        m.run("hugepages", "release").exits(2);

        m.run("hugepages", "reserve 64 --keep").exits(1).says("found 20; kept them");
        assert_eq!(pages(m), ("30".into(), "24".into()));
        m.run("hugepages", "release").exits(0).says("released 20 pages");
    });
}

#[test]
fn pages_in_use_are_not_released_but_remembered() {
    on_each_shell(|m| {
        m.pool(0, 0, 0, 1000);
        m.run("hugepages", "reserve 8").exits(0);
        m.write(&format!("{NODE0}/free_hugepages"), "3\n");
        m.run("hugepages", "release").exits(1).says("released 3 of 8 pages: the others are in use");
        assert_eq!(m.log().last().unwrap(), &format!("5 > {ALL}"));
        m.write(&format!("{NODE0}/free_hugepages"), "5\n");
        m.run("hugepages", "release").exits(0).says("released 5 pages");
        assert_eq!(pages(m).0, "0");
    });
}

#[test]
fn a_node_has_its_own_pool_and_its_own_record() {
    on_each_shell(|m| {
        m.pool(0, 0, 0, 1000);
        m.pool(1, 2, 2, 1000);
        m.run("hugepages", "reserve 8 --node 1")
            .exits(0)
            .says("8 pages of 2M are free on node 1: 6 more than before")
            .says("hugepagesz=2M hugepages=1:8");
        assert_eq!(m.log(), [format!("8 > /{NODE1}/nr_hugepages")]);
        m.run("hugepages", "release").exits(2);
        m.run("hugepages", "release --node=1").exits(0).says("released 6 pages of 2M on node 1");
        assert_eq!(m.read(&format!("{NODE1}/nr_hugepages")), "2");
    });
}

#[test]
fn gigabyte_pages_are_reserved_with_a_warning() {
    on_each_shell(|m| {
        m.run("hugepages", "reserve 1 --size 1G").exits(2).says("has no pages of 1G");
        let dir = "sys/kernel/mm/hugepages/hugepages-1048576kB";
        for (file, n) in [("nr_hugepages", 0), ("free_hugepages", 0), (".most", 9)] {
            m.write(&format!("{dir}/{file}"), &format!("{n}\n"));
        }
        m.run("hugepages", "reserve 1 --size 1G")
            .exits(0)
            .says("move 2M pages")
            .says("hugepagesz=1G hugepages=1");
        assert_eq!(m.read(&format!("{dir}/nr_hugepages")), "1");
    });
}

#[test]
fn mount_and_umount_do_it_once() {
    on_each_shell(|m| {
        // What they were called with stands in `mounts`, and the mount in /proc/mounts.
        let (calls, mounts, root) = (m.path("calls"), m.path("proc/mounts"), m.path(""));
        let (calls, mounts) = (calls.display(), mounts.display());
        let root = root.display().to_string();
        let root = root.trim_end_matches('/');
        m.write("proc/mounts", "proc /proc proc rw 0 0\n");
        m.file(
            "sbin/mount",
            &format!("#!/bin/sh\necho mount $* >> '{calls}'\necho none ${{6#'{root}'}} hugetlbfs rw,pagesize=2M 0 0 >> '{mounts}'\n"),
        );
        m.file(
            "sbin/umount",
            &format!("#!/bin/sh\necho umount $* >> '{calls}'\nsed -i /hugetlbfs/d '{mounts}'\n"),
        );
        m.run("hugepages", "umount").exits(2).says("no hugetlbfs is mounted on /dev/hugepages");
        m.run("hugepages", "mount --dry-run")
            .exits(0)
            .says("would mount hugetlbfs with pages of 2M on /dev/hugepages");
        m.run("hugepages", "mount")
            .exits(0)
            .says("mounted hugetlbfs with pages of 2M on /dev/hugepages");
        m.run("hugepages", "mount").exits(0).says("already");
        m.run("hugepages", "mount /mnt/huge").exits(0);

        m.write("dev/hugepages/barewire-1-2-3", "");
        m.run("hugepages", "umount")
            .exits(2)
            .says("in use: /dev/hugepages/barewire-1-2-3")
            .says("may still write");
        m.run("hugepages", "show").exits(0).says("file /dev/hugepages/barewire-1-2-3");
        m.run("hugepages", "umount --dry-run --force")
            .exits(0)
            .says("would unmount /dev/hugepages");
        assert!(!m.read("calls").contains("umount"));
        m.run("hugepages", "umount --force").exits(0).says("unmounted /dev/hugepages");
        assert_eq!(
            m.read("calls").replace(root, ""),
            "mount -t hugetlbfs -o pagesize=2M,mode=0700 none /dev/hugepages\n\
             mount -t hugetlbfs -o pagesize=2M,mode=0700 none /mnt/huge\n\
             umount /dev/hugepages"
        );
        m.file("sbin/mount", "#!/bin/sh\necho mount: no such device >&2\nexit 1\n");
        m.run("hugepages", "mount").exits(1).says("no such device").says("/proc/filesystems");
    });
}

#[test]
fn show_lists_pools_mounts_and_users() {
    on_each_shell(|m| {
        m.pool(0, 10, 4, 1000);
        m.pool(1, 3, 3, 1000);
        m.write("proc/mounts", "none /dev/hugepages hugetlbfs rw,pagesize=2M 0 0\n");
        m.write("proc/31/status", "Name:\tpktgen\nPid:\t31\nHugetlbPages:\t   12288 kB\n");
        m.write("proc/32/status", "Name:\tsleep\nPid:\t32\nHugetlbPages:\t       0 kB\n");
        for args in ["", "show"] {
            let run = m.run("hugepages", args).exits(0);
            let lines: Vec<String> = run
                .out
                .lines()
                .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            assert_eq!(
                lines,
                [
                    "NODE SIZE TOTAL FREE SURPLUS",
                    "0 2M 10 4 0",
                    "1 2M 3 3 0",
                    "",
                    "MOUNTED",
                    "/dev/hugepages rw,pagesize=2M",
                    "USED BY",
                    "process 31 (pktgen): 12 MiB",
                ]
            );
        }
        // A kernel without NUMA has but one pool.
        m.remove("sys/kernel/mm/hugepages/hugepages-2048kB");
        m.remove("sys/devices/system/node");
        m.write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "7\n");
        let run = m.run("hugepages", "show").exits(0);
        let row: Vec<_> = run.out.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["-", "2M", "7", "0", "0"]);
    });
}

#[test]
fn a_dry_run_writes_nothing() {
    on_each_shell(|m| {
        m.pool(0, 10, 4, 1000);
        m.run("hugepages", "reserve 64 --dry-run")
            .exits(0)
            .says(&format!("would write '70' to {ALL}"));
        m.run("hugepages", "reserve 8").exits(0);
        m.run("hugepages", "release --dry-run")
            .exits(0)
            .says(&format!("would write '10' to {ALL}"));
        assert_eq!(m.log().len(), 1);
        m.run("hugepages", "release").exits(0).says("released 4 pages");
    });
}

#[test]
fn bad_input_is_refused() {
    on_each_shell(|m| {
        m.pool(0, 10, 4, 1000);
        for (args, says) in [
            ("grow", "'grow' is none of"),
            ("reserve", "reserve how many"),
            ("reserve 0", "reserve how many"),
            ("reserve -3", "no option '-3'"),
            ("reserve 3x", "reserve how many"),
            ("reserve 99999999999", "reserve how many"),
            ("reserve 3 4", "'4' is a second"),
            ("reserve 3 --size 4M", "--size is 2M or 1G"),
            ("reserve 3 --size", "--size needs a value"),
            ("reserve 3 --node 7", "no NUMA node '7'"),
            ("reserve 3 --node x", "no NUMA node 'x'"),
            ("release 3", "release takes no argument"),
            ("show 3", "show takes no argument"),
            ("mount huge", "give the full path"),
        ] {
            m.run("hugepages", args).exits(2).says(says);
        }
        assert_eq!(m.log(), Vec::<String>::new());
        let run = m.run("hugepages", "--help").exits(0).says("examples:");
        assert_eq!(run.err, "");
        m.write("broken", &format!("20 > {ALL}\n"));
        m.run("hugepages", "reserve 14")
            .exits(1)
            .says("cannot write '20'")
            .says("Input/output error");
    });
}
