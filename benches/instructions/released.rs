//! The figures of the last release, and how far we have come since.

use std::fmt::Write;
use std::path::PathBuf;

use barewire::port::DataPath;

use crate::cells::{BATCHES, Nic, Row};
use crate::rig::Work;

/// One kept line.
#[derive(Debug)]
struct Line {
    nic: String,
    work: String,
    path: String,
    each: Vec<f64>,
}

/// What benches/released.txt says.
#[derive(Debug)]
pub(crate) struct Release {
    version: String,
    lines: Vec<Line>,
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/released.txt")
}

impl Release {
    /// Writes the file anew.
    pub(crate) fn save(version: &str, rows: &[Row]) -> Result<(), String> {
        let mut text = format!(
            "# Instructions per packet by NIC, work, path and batch; see scripts/instructions.\n\
             release {version}\nbatch"
        );
        for n in BATCHES {
            let _ = write!(text, " {n}");
        }
        text.push('\n');
        for row in rows {
            let _ = write!(text, "{} {} {}", row.nic.name(), row.work.name(), row.path_name());
            for each in row.each {
                let _ = write!(text, " {each:.2}");
            }
            text.push('\n');
        }
        std::fs::write(file(), text).map_err(|e| format!("{}: {e}", file().display()))
    }

    pub(crate) fn read() -> Result<Self, String> {
        let name = file();
        let text =
            std::fs::read_to_string(&name).map_err(|e| format!("{}: {e}", name.display()))?;
        Self::parse(&text).ok_or_else(|| {
            format!("{}: not as --save writes it, or for other batches", name.display())
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.lines().filter(|l| !l.starts_with('#'));
        let version = rest.next()?.strip_prefix("release ")?.to_owned();
        let batches: Result<Vec<usize>, _> =
            rest.next()?.strip_prefix("batch ")?.split(' ').map(str::parse).collect();
        if batches.ok()? != BATCHES {
            return None;
        }
        let line = |l: &str| {
            let mut words = l.split(' ');
            let mut word = || words.next().map(str::to_owned);
            let (nic, work, path) = (word()?, word()?, word()?);
            let each: Result<Vec<f64>, _> = words.map(str::parse).collect();
            let each = each.ok().filter(|e| e.len() == BATCHES.len())?;
            Some(Line { nic, work, path, each })
        };
        let lines: Option<Vec<_>> = rest.map(line).collect();
        Some(Self { version, lines: lines? })
    }

    /// The figures for a row; of a path that the release had not, those of its scalar one.
    fn of(&self, row: &Row) -> Option<&Line> {
        let find = |path: &str| {
            self.lines
                .iter()
                .find(|l| l.nic == row.nic.name() && l.work == row.work.name() && l.path == path)
        };
        find(row.path_name()).or_else(|| find(DataPath::Scalar.name()))
    }

    /// Prints the change of every cell.
    pub(crate) fn compare(&self, rows: &[Row]) {
        println!("change since release {}, per cent", self.version);
        println!("(a path that it had not is compared with its scalar one)");
        print!("{:18}", "");
        BATCHES.iter().for_each(|n| print!("{n:>8}"));
        println!();
        let mut above: Option<(Nic, Work)> = None;
        for row in rows {
            if above.is_some_and(|(nic, _)| nic != row.nic) {
                println!("{}", row.nic);
            }
            let first = above != Some((row.nic, row.work));
            above = Some((row.nic, row.work));
            print!("{:10}{:8}", if first { row.work.name() } else { "" }, row.path_name());
            match self.of(row) {
                Some(then) => {
                    for (now, then) in row.each.iter().zip(&then.each) {
                        // The file has two digits behind the point.
                        if (now - then).abs() < 0.01 {
                            print!("{:>8}", "=");
                        } else {
                            print!("{:+8.1}", 100.0 * (now / then - 1.0));
                        }
                    }
                    println!();
                }
                None => println!("     (new)"),
            }
        }
        println!();
    }
}
