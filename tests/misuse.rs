//! Programs that ixy.rs or DPDK would accept, or could not reject, and that must not compile here.
//!
//! Each file of `tests/misuse` names in its last line the error code that the compiler must give;
//! `none` is the control, which must compile. Codes, unlike messages, do not change from compiler
//! to compiler.

use std::path::Path;
use std::process::Command;

/// The library that this test was built beside, as `cargo` names it.
fn library() -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--lib", "--offline", "--message-format=json"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let out = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout)
        .lines()
        .filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok())
        .filter(|m| m["target"]["name"] == "barewire")
        .filter_map(|m| m["filenames"].as_array().cloned())
        .flatten()
        .filter_map(|f| f.as_str().map(str::to_owned))
        .find(|f| f.ends_with(".rlib"))
        .expect("cargo names the library")
}

/// The error codes that the compiler gives for a file.
fn errors(library: &str, file: &Path) -> Vec<String> {
    let deps = Path::new(library).parent().expect("a folder").join("deps");
    let out = tempfile::tempdir().expect("a temporary folder");
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let run = Command::new(rustc)
        .args(["--edition", "2024", "--emit", "metadata", "--error-format", "json"])
        .arg("--extern")
        .arg(format!("barewire={library}"))
        .arg("-L")
        .arg(format!("dependency={}", deps.display()))
        .arg("--out-dir")
        .arg(out.path())
        .arg(file)
        .output()
        .expect("rustc runs");
    String::from_utf8_lossy(&run.stderr)
        .lines()
        .filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok())
        .filter(|m| m["level"] == "error")
        .filter_map(|m| m["code"]["code"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn misuse_does_not_compile() {
    let library = library();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/misuse");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let file = entry.expect("readable").path();
        let text = std::fs::read_to_string(&file).expect("readable");
        let wanted =
            text.lines().last().and_then(|l| l.strip_prefix("// error: ")).expect("a code");
        let wanted: Vec<&str> = if wanted == "none" { vec![] } else { vec![wanted] };
        assert_eq!(errors(&library, &file), wanted, "{}", file.display());
        seen += 1;
    }
    assert!(seen >= 6, "only {seen} files");
}
