//! Replay of a corpus; the crates that have fuzz targets share this file.
//!
//! Every file under `tests/corpus/<target>/` goes through the fuzz target of that name (seeds, and
//! every crash ever found): as it is, cut at every length, and with each byte changed.

use std::fs;
use std::path::{Path, PathBuf};

/// A target's name and what it does with bytes.
type Named = (&'static str, fn(&[u8]));

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// Replays the corpus of each target. Of a file, the first `max_changed` bytes are cut at and
/// changed, each into all that `changes` makes of it.
#[expect(
    clippy::print_stdout,
    reason = "the harness shows it only when a target panics: the name of the file"
)]
pub(crate) fn replay<const N: usize>(
    targets: &[Named],
    max_changed: usize,
    changes: fn(u8) -> [u8; N],
) {
    for (name, target) in targets {
        let files = fs::read_dir(corpus().join(name))
            .unwrap_or_else(|error| panic!("corpus of {name}: {error}"));
        let mut replayed = 0;
        for file in files {
            let path = file.expect("a corpus file").path();
            let bytes = fs::read(&path).expect("a readable corpus file");
            println!("replaying {}", path.display());
            target(&bytes);
            let changed = 0..bytes.len().min(max_changed);
            changed.clone().for_each(|len| target(&bytes[..len]));
            for at in changed {
                let mut bytes = bytes.clone();
                for change in changes(bytes[at]) {
                    bytes[at] = change;
                    target(&bytes);
                }
            }
            replayed += 1;
        }
        assert!(replayed > 0, "the corpus of {name} is empty");
    }
}

/// A folder without a target would never be replayed.
pub(crate) fn every_folder_has_a_target(targets: &[Named]) {
    for folder in fs::read_dir(corpus()).expect("a corpus") {
        let name = folder.expect("a corpus folder").file_name();
        let known = targets.iter().any(|(target, _)| name == *target);
        assert!(known, "{name:?}");
    }
}
