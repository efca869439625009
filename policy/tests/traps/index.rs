//! Every number has its test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How many traps are numbered.
const TRAPS: u32 = 40;

/// The source files whose tests claim numbers.
fn sources() -> Vec<PathBuf> {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let here = fs::read_dir(crate_dir.join("tests/traps")).expect("the directory of traps");
    let mut files: Vec<PathBuf> = here.map(|entry| entry.expect("an entry").path()).collect();
    files.push(crate_dir.join("../vswitchd/dataplane/tests/traps.rs"));
    files
}

/// The number in `fn trap_16_a_named_port_is()`, if the line before makes it a test.
fn claimed(before: &str, line: &str) -> Option<u32> {
    let name = line.strip_prefix("fn trap_")?;
    let number = name.get(..2)?.parse().ok()?;
    let is_test = before == "#[test]" && name[2..].starts_with('_');
    is_test.then_some(number)
}

#[test]
fn every_number_is_claimed_by_a_test() {
    let mut claims = BTreeSet::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let lines: Vec<&str> = text.lines().collect();
        claims.extend(lines.windows(2).filter_map(|two| claimed(two[0], two[1])));
    }
    let missing: Vec<u32> = (1..=TRAPS).filter(|n| !claims.contains(n)).collect();
    assert!(missing.is_empty(), "no test claims {missing:?}");
    let unknown: Vec<_> = claims.iter().filter(|n| **n < 1 || **n > TRAPS).collect();
    assert!(unknown.is_empty(), "there is no trap {unknown:?}");
}
