//! Keeps the direction of dependencies: the core knows no driver, drivers know no model, and the
//! model knows tables and layouts only.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(under: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(under)];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no sources under {under}");
    found
}

/// Lines of code (no comments) under `under` that contain `word`, but for files named in `except`.
fn lines_with(under: &str, word: &str, except: &[&str]) -> Vec<String> {
    let mut hits = Vec::new();
    for file in sources(under) {
        if except.iter().any(|e| file.ends_with(e)) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("UTF-8");
        let code = text.lines().enumerate().filter(|(_, l)| !l.trim_start().starts_with("//"));
        for (n, line) in code.filter(|(_, l)| l.contains(word)) {
            hits.push(format!("{}:{}: {}", file.display(), n + 1, line.trim()));
        }
    }
    hits
}

const NONE: Vec<String> = Vec::new();

/// What the model may know of a family: its registers.
#[test]
fn the_model_knows_tables_and_no_driver() {
    for family in ["ixgbe", "igb"] {
        let all = format!("drivers::{family}::");
        let tables = format!("drivers::{family}::regs");
        // port.rs opens the driver on the model.
        let hits: Vec<_> = lines_with("drivers/sim", &all, &["port.rs"])
            .into_iter()
            .filter(|l| !l.contains(&tables))
            .collect();
        assert_eq!(hits, NONE);
    }
}

#[test]
fn the_core_names_no_driver() {
    // lib.rs mounts the drivers; Port::open is the one door to them.
    let except = ["src/lib.rs", "src/port/mod.rs"];
    assert_eq!(lines_with("src", "drivers", &except), NONE);
}

#[test]
fn drivers_name_no_model() {
    for family in ["drivers/intel", "drivers/ixgbe", "drivers/igb"] {
        let hits: Vec<_> =
            lines_with(family, "sim::", &[]).into_iter().filter(|l| !l.contains("tests")).collect();
        assert_eq!(hits, NONE);
    }
}

#[test]
fn drivers_and_the_model_hold_no_unsafe_code_but_vector_loops() {
    for folder in ["drivers/ixgbe", "drivers/igb", "drivers/sim"] {
        let text =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("mod.rs"))
                .expect("mod.rs");
        assert!(text.contains("#![forbid(unsafe_code)]"), "{folder}");
    }
    // Its vector loops.
    let may = "drivers/intel/path/";
    let hits: Vec<_> = lines_with("drivers/intel", "unsafe", &[])
        .into_iter()
        .filter(|l| !l.contains(may))
        .collect();
    assert_eq!(hits, NONE);
}

/// What instructions do is argued in one place.
#[test]
fn assembly_stands_in_arch_only() {
    let hits: Vec<_> = ["src", "drivers", "examples"]
        .iter()
        .flat_map(|folder| lines_with(folder, "asm!", &[]))
        .filter(|l| !l.contains("src/arch/"))
        .collect();
    assert_eq!(hits, NONE);
}

/// As docs/soundness.md says.
#[test]
fn unsafe_code_stands_where_it_may() {
    let may =
        ["src/arch/", "src/mem/", "src/pool/", "src/mmio/", "src/uio/", "src/tap.rs", "src/poll/"];
    let hits: Vec<_> = [lines_with("src", "unsafe", &[]), lines_with("examples", "unsafe", &[])]
        .concat()
        .into_iter()
        .filter(|l| !may.iter().any(|place| l.contains(place)))
        .collect();
    assert_eq!(hits, NONE);
}
