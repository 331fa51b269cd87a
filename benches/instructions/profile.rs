//! Where the instructions are.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::process::{Command, Stdio};

use barewire::port::DataPath;

use crate::cells::{Nic, TURN, WARM_UP, bench};
use crate::rig::Work;
use crate::step::Stepper;

/// Lines that are worth printing, in instructions per packet.
const LEAST: f64 = 0.05;

/// Where our lines are.
const HOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/");
/// Prints how many instructions per packet each line of the source stands for.
pub(crate) fn print(work: Work, path: DataPath, nic: Nic, n: usize) -> Result<(), String> {
    let stepper = Stepper::new()?;
    let (_pool, mut bench) = bench(work, path, nic, n);
    bench.turns(WARM_UP / n);
    let mut by_address = HashMap::new();
    for _ in 0..TURN / n {
        bench.turn(|f, bench| stepper.trace(f, bench, 1 << 20, &mut by_address));
    }
    let by_line = lines(&by_address)?;
    let total: u64 = by_address.values().sum();
    let each = |count: u64| count as f64 / TURN as f64;
    let mut text = format!(
        "{} on {path}, bursts of {n}, {nic}: {:.1} instructions per packet\n",
        work.name(),
        each(total)
    );
    let mut by_file: BTreeMap<&str, u64> = BTreeMap::new();
    for (line, count) in &by_line {
        *by_file.entry(line.rsplit_once(':').map_or(&line[..], |(file, _)| file)).or_default() +=
            count;
    }
    let lines = by_line.iter().map(|(line, count)| (&line[..], *count));
    for sorted in [by_file.into_iter().collect::<Vec<_>>(), lines.collect()] {
        let mut sorted = sorted;
        sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        text.push('\n');
        for (place, count) in sorted.into_iter().filter(|(_, count)| each(*count) >= LEAST) {
            text.push_str(&format!("{:8.2}  {place}\n", each(count)));
        }
    }
    // Nobody may want to read it to its end.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

/// Where this program was loaded, and where its mapping ends.
fn loaded() -> Option<(u64, u64)> {
    let exe = std::env::current_exe().ok()?;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mine = maps.lines().filter(|l| l.ends_with(&*exe.to_string_lossy()));
    let range = |l: &str| {
        let (from, to) = l.split_once(' ')?.0.split_once('-')?;
        Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?))
    };
    let all: Vec<_> = mine.filter_map(range).collect();
    Some((all.first()?.0, all.last()?.1))
}

/// Counts by line of the innermost function that is this package's.
fn lines(by_address: &HashMap<u64, u64>) -> Result<BTreeMap<String, u64>, String> {
    let (base, end) = loaded().ok_or("/proc/self/maps does not name this program")?;
    let exe = std::env::current_exe().map_err(|e| e.to_string())?;
    let needed = |e| format!("addr2line is needed (Debian: apt-get install binutils): {e}");
    let mut child = Command::new("addr2line")
        .args(["-a", "-i", "-e"])
        .arg(exe)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(needed)?;
    let mut by_line = BTreeMap::new();
    let mut asked = Vec::new();
    for (at, count) in by_address {
        if (base..end).contains(at) {
            asked.push((at - base, *count));
        } else {
            *by_line.entry("another library".to_owned()).or_default() += count;
        }
    }
    let questions: String = asked.iter().map(|(at, _)| format!("{at:#x}\n")).collect();
    // From a thread: the answers may fill their pipe before all is asked.
    let mut stdin = child.stdin.take().ok_or("addr2line has no input")?;
    let asking = std::thread::spawn(move || stdin.write_all(questions.as_bytes()));
    let answers = child.wait_with_output().map_err(needed)?;
    asking.join().map_err(|_| "a panic")?.map_err(needed)?;
    let counts: HashMap<u64, u64> = asked.into_iter().collect();
    let text = String::from_utf8_lossy(&answers.stdout);
    let mut current = (0, Vec::new());
    let mut settle = |(count, places): &(u64, Vec<String>)| {
        // drivers/ is mounted from src/.
        let ours = places.iter().find_map(|place| place.strip_prefix(HOME));
        let ours = ours.map(|place| place.replace("src/../", ""));
        let name = ours.or_else(|| places.first().cloned());
        *by_line.entry(name.unwrap_or("?".to_owned())).or_default() += count;
    };
    // An address, then a place for each level of inlining, innermost first.
    for line in text.lines() {
        if let Some(at) = line.strip_prefix("0x") {
            if current.0 > 0 {
                settle(&current);
            }
            let count = u64::from_str_radix(at, 16).ok().and_then(|at| counts.get(&at)).copied();
            current = (count.unwrap_or(0), Vec::new());
        } else {
            current.1.push(line.split(" (disc").next().unwrap_or(line).to_owned());
        }
    }
    settle(&current);
    Ok(by_line)
}
