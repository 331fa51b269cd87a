//! Trees of plain files stand in for `/sys`. What only a kernel does (write-protected bits,
//! lockdown's EPERM) is not here.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;
use crate::error::Error;

struct Tree {
    root: tempfile::TempDir,
}

impl Tree {
    fn new(config: &[u8]) -> Self {
        let tree = Self { root: tempfile::tempdir().unwrap() };
        fs::create_dir_all(tree.dir()).unwrap();
        fs::write(tree.dir().join("config"), config).unwrap();
        tree
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("bus/pci/devices/0000:03:00.0")
    }

    fn device(&self) -> PciDevice {
        PciDevice::find(self.root.path(), "03:00.0".parse().unwrap()).unwrap()
    }

    fn config(&self) -> ConfigSpace {
        self.device().config().unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir().join(name), text).unwrap();
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.dir().join("config")).unwrap()
    }
}

/// The header of an 82599: ids, Command, Status with capabilities, class, pin A.
fn header(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    bytes[..12]
        .copy_from_slice(&[0x86, 0x80, 0xfb, 0x10, 0x03, 0x01, 0x10, 0x00, 0x01, 0x00, 0x00, 0x02]);
    bytes[0x3d] = 1;
    bytes
}

#[test]
fn the_header_reads_little_endian() {
    let config = Tree::new(&header(256)).config();
    assert_eq!(config.ids().unwrap(), (0x8086, 0x10fb));
    assert_eq!(config.class().unwrap(), 0x02_0000);
    let command = config.command().unwrap();
    assert!(command.contains(Command::IO) && command.contains(Command::MEMORY));
    assert!(!command.contains(Command::BUS_MASTER) && !command.contains(Command::INTX_DISABLE));
    assert!(config.status().unwrap().contains(Status::CAPABILITIES));
    assert!(config.has_intx().unwrap());
    assert_eq!(config.read_u32(0).unwrap(), 0x10fb_8086);
}

#[test]
fn pins_that_do_not_exist_are_no_intx() {
    for (pin, has) in [(0, false), (1, true), (4, true), (5, false), (0xff, false)] {
        let mut bytes = header(64);
        bytes[0x3d] = pin;
        assert_eq!(Tree::new(&bytes).config().has_intx().unwrap(), has, "{pin}");
    }
}

#[test]
fn each_write_changes_only_its_bytes() {
    let tree = Tree::new(&header(256));
    let config = tree.config();
    let mut expected = header(256);
    config.write_u8(0x50, 0x11).unwrap();
    config.write_u16(0x52, 0x3322).unwrap();
    config.write_u32(0x54, 0x7766_5544).unwrap();
    expected[0x50] = 0x11;
    expected[0x52..0x58].copy_from_slice(&[0x22, 0x33, 0x44, 0x55, 0x66, 0x77]);
    assert_eq!(tree.bytes(), expected);
    assert_eq!(config.read_u16(0x52).unwrap(), 0x3322);
}

#[test]
fn bus_mastering_and_intx_do_not_disturb_each_other() {
    let tree = Tree::new(&header(256));
    let config = tree.config();
    config.set_bus_master(true).unwrap();
    config.set_intx_disabled(true).unwrap();
    assert_eq!(tree.bytes()[4..6], [0x07, 0x05]);
    config.set_bus_master(false).unwrap();
    assert_eq!(tree.bytes()[4..6], [0x03, 0x05]);
    config.set_intx_disabled(false).unwrap();
    assert_eq!(tree.bytes(), header(256));
}

#[test]
fn an_unprivileged_reader_is_told_so_behind_the_header() {
    let config = Tree::new(&header(64)).config();
    assert_eq!(config.read_u8(63).unwrap(), 0);
    for result in [config.read_u8(64).map(u32::from), config.read_u32(64), config.read_u32(0xfffc)]
    {
        assert!(matches!(result, Err(Error::Permission { .. })), "{result:?}");
    }
    // A read that begins in the header and ends behind it is a mistake of the caller.
    assert!(matches!(config.read_u32(62), Err(Error::Io { .. })));
    config.wait_quiet().unwrap();
}

#[test]
fn all_ones_mean_nobody_answers() {
    let config = Tree::new(&[0xff; 256]).config();
    assert!(matches!(config.ids(), Err(Error::Gone { .. })));
    assert!(matches!(config.command(), Err(Error::Gone { .. })));
    assert!(matches!(config.set_bus_master(true), Err(Error::Gone { .. })));
    assert!(matches!(config.set_intx_disabled(true), Err(Error::Gone { .. })));
    assert!(config.capabilities().unwrap().len() <= 48);
}

fn list(first: u8, entries: &[(u8, u8, u8)]) -> Vec<Capability> {
    let mut bytes = header(256);
    bytes[0x34] = first;
    for (at, id, next) in entries {
        bytes[usize::from(*at)] = *id;
        bytes[usize::from(*at) + 1] = *next;
    }
    Tree::new(&bytes).config().capabilities().unwrap()
}

#[test]
fn capabilities_are_listed_in_order() {
    let found =
        list(0x40, &[(0x40, 1, 0x50), (0x50, 5, 0x70), (0x70, 0x11, 0xa0), (0xa0, 0x10, 0)]);
    let found: Vec<_> = found.iter().map(|c| (c.id, c.offset)).collect();
    assert_eq!(
        found,
        [
            (Capability::POWER, 0x40),
            (Capability::MSI, 0x50),
            (Capability::MSI_X, 0x70),
            (Capability::EXPRESS, 0xa0)
        ]
    );
}

#[test]
fn lists_that_lead_astray_end() {
    assert_eq!(list(0, &[]), []);
    assert_eq!(list(0x3c, &[(0x3c, 1, 0x40)]).len(), 0, "into the header");
    assert_eq!(list(0x40, &[(0x40, 1, 0x40)]).len(), 1, "to itself");
    assert_eq!(list(0x40, &[(0x40, 1, 0x50), (0x50, 5, 0x40)]).len(), 2, "in a circle");
    assert_eq!(list(0x43, &[(0x40, 1, 0x53), (0x50, 5, 3)]).len(), 2, "reserved bits");
    assert_eq!(list(0xfc, &[(0xfc, 9, 0xfc)]).len(), 1, "at the very end");
    assert_eq!(list(0x40, &[(0x40, 0xff, 0x50), (0x50, 5, 0)]).len(), 0, "all ones");
    let every: Vec<_> = (0x40..=0xfcu8).step_by(4).map(|at| (at, 9, at.wrapping_add(4))).collect();
    assert_eq!(list(0x40, &every).len(), 48);
}

#[test]
fn no_list_without_the_status_bit() {
    let mut bytes = header(256);
    bytes[6] = 0;
    bytes[0x34] = 0x40;
    bytes[0x40] = 1;
    let config = Tree::new(&bytes).config();
    assert_eq!(config.capabilities().unwrap(), []);
    assert_eq!(config.capability(Capability::POWER).unwrap(), None);
}

#[test]
fn the_walk_ends_on_any_bytes() {
    let tree = Tree::new(&header(256));
    let config = tree.config();
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..500 {
        let mut bytes = [0; 256];
        random.fill(&mut bytes);
        // Long lists are rare unless most pointers lead to a few places.
        for at in (0x41..0x100).step_by(4) {
            bytes[at] = 0x40 | bytes[at] & 0x3c;
        }
        fs::write(tree.dir().join("config"), bytes).unwrap();
        let found = config.capabilities().unwrap();
        assert!(found.len() <= 48);
        assert!(found.iter().all(|c| c.offset >= 0x40 && c.offset.is_multiple_of(4)));
    }
}

#[test]
fn ids_nodes_and_bindings_are_read() {
    let tree = Tree::new(&header(64));
    let device = tree.device();
    assert!(device.exists());
    assert_eq!(device.addr().to_string(), "0000:03:00.0");
    assert_eq!(device.driver().unwrap(), None);
    symlink("../../elsewhere/ixgbe", tree.dir().join("driver")).unwrap();
    assert_eq!(device.driver().unwrap().as_deref(), Some("ixgbe"));
    tree.write("vendor", "0x8086\n");
    tree.write("device", "0x10fb\n");
    assert_eq!(device.ids().unwrap(), (0x8086, 0x10fb));
    for (text, node) in [("0\n", Some(0)), ("-1\n", None), ("x", None), ("99999999999", None)] {
        tree.write("numa_node", text);
        assert_eq!(device.numa_node(), node, "{text}");
    }
    for bad in ["", "8086", "0x18086", "0x+8", "0xg"] {
        tree.write("vendor", bad);
        let error = device.ids().unwrap_err().to_string();
        assert!(error.contains("16-bit"), "{error}");
    }
}

#[test]
fn bars_are_read_by_number() {
    let tree = Tree::new(&header(64));
    tree.write(
        "resource",
        "0x00000000fe000000 0x00000000fe01ffff 0x000000000014220c\n\
         0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
         0x000000000000e000 0x000000000000e01f 0x0000000000040101\n\
         0x20 0x1f 0x200\n\
         0x1 0x2\n\
         0x0 0xffffffffffffffff 0x200\n\
         0x1000 0x1fff 0x200\n",
    );
    let device = tree.device();
    let bar = device.resource(0).unwrap().unwrap();
    assert_eq!((bar.start, bar.size(), bar.is_memory()), (0xfe00_0000, 0x2_0000, true));
    assert_eq!(device.resource(1).unwrap(), None);
    assert!(!device.resource(2).unwrap().unwrap().is_memory());
    assert!(device.resource(3).is_err(), "ends before it starts");
    assert!(device.resource(4).is_err(), "no flags");
    assert_eq!(device.resource(5).unwrap().unwrap().size(), 0, "does not wrap into a panic");
    assert_eq!(device.resource(6).unwrap(), None, "the ROM is no BAR");
    fs::remove_file(tree.dir().join("resource")).unwrap();
    assert!(matches!(device.resource(0), Err(Error::Io { .. })));
}

#[test]
fn groups_are_identity_only_by_name() {
    let tree = Tree::new(&header(64));
    let device = tree.device();
    assert_eq!(device.iommu_group().unwrap(), None);
    symlink("../../../../kernel/iommu_groups/12", tree.dir().join("iommu_group")).unwrap();
    assert!(matches!(device.iommu_group(), Err(Error::Io { .. })), "the type cannot be read");
    let group = tree.root.path().join("kernel/iommu_groups/12");
    fs::create_dir_all(&group).unwrap();
    for (text, identity) in [("identity\n", true), ("DMA-FQ\n", false), ("", false)] {
        fs::write(group.join("type"), text).unwrap();
        let found = device.iommu_group().unwrap().unwrap();
        assert_eq!((found.number, found.is_identity()), (12, identity), "{text}");
    }
}

#[test]
fn the_node_number_is_found_among_other_entries() {
    let tree = Tree::new(&header(64));
    let device = tree.device();
    assert_eq!(device.uio().unwrap(), None);
    for name in ["uio", "uiox", "uio-1", "uio+1", "other", "uio99999999999"] {
        fs::create_dir_all(tree.dir().join("uio").join(name)).unwrap();
    }
    assert_eq!(device.uio().unwrap(), None);
    fs::create_dir_all(tree.dir().join("uio/uio12")).unwrap();
    assert_eq!(device.uio().unwrap(), Some(12));
}

#[test]
fn lockdown_is_what_stands_in_brackets() {
    let tree = Tree::new(&header(64));
    let device = tree.device();
    assert_eq!(device.locked_down(), None);
    let dir = tree.root.path().join("kernel/security");
    fs::create_dir_all(&dir).unwrap();
    for (text, locked) in [
        ("[none] integrity confidentiality\n", false),
        ("none [integrity] confidentiality\n", true),
        ("none integrity [confidentiality]\n", true),
    ] {
        fs::write(dir.join("lockdown"), text).unwrap();
        assert_eq!(device.locked_down(), Some(locked), "{text}");
    }
}

#[test]
fn what_keeps_config_space_from_being_written_is_named() {
    let tree = Tree::new(&header(64));
    let config = tree.config();
    let unwritten = |errno| config.unwritten(std::io::Error::from_raw_os_error(errno));
    let dir = tree.root.path().join("kernel/security");
    fs::create_dir_all(&dir).unwrap();
    // The file system that tells may not be mounted.
    for text in [None, Some("none [integrity] confidentiality\n")] {
        if let Some(text) = text {
            fs::write(dir.join("lockdown"), text).unwrap();
        }
        let error = unwritten(libc::EPERM);
        assert!(matches!(&error, Error::Lockdown { what } if what.contains("config")), "{error}");
        assert!(error.to_string().contains("vfio-pci"), "{error}");
        assert!(matches!(unwritten(libc::EACCES), Error::Permission { .. }));
    }
    fs::write(dir.join("lockdown"), "[none] integrity confidentiality\n").unwrap();
    assert!(matches!(unwritten(libc::EPERM), Error::Permission { .. }));
    for errno in [libc::ENODEV, libc::ENXIO, libc::EIO] {
        assert!(matches!(unwritten(errno), Error::Gone { .. }), "{errno}");
    }
    assert!(matches!(unwritten(libc::ENOSPC), Error::Io { .. }));
}

#[test]
fn an_absent_device_is_named() {
    let tree = Tree::new(&header(64));
    let missing = PciDevice::find(tree.root.path(), "04:00.0".parse().unwrap()).unwrap_err();
    assert!(matches!(missing, Error::NoDevice { addr } if addr == "0000:04:00.0"));
    let device = tree.device();
    fs::remove_dir_all(tree.dir()).unwrap();
    assert!(!device.exists());
    assert!(matches!(device.config(), Err(Error::NoDevice { .. })));
}
