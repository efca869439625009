//! Every file under `tests/corpus/<target>/` goes through the fuzz target of that name (seeds, and
//! every crash ever found): as it is, cut at every length, and with each byte changed.

#[path = "../fuzz/exercise.rs"]
mod exercise;

use std::fs;
use std::path::Path;

use exercise::plugin::{environment, failure, version};
use exercise::{TARGETS, Target};

/// Bytes of a file that are cut and changed one by one; a crash that the fuzzer found may be long.
const MAX_CHANGED_BYTES: usize = 1500;

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the harness shows it only when a target panics: the name of the file"
)]
fn no_file_of_the_corpus_breaks_its_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for (name, target) in TARGETS {
        let files = fs::read_dir(corpus.join(name))
            .unwrap_or_else(|error| panic!("corpus of {name}: {error}"));
        let mut replayed = 0;
        for file in files {
            let path = file.expect("a corpus file").path();
            let bytes = fs::read(&path).expect("a readable corpus file");
            println!("replaying {}", path.display());
            target(&bytes);
            let changes = 0..bytes.len().min(MAX_CHANGED_BYTES);
            changes.clone().for_each(|len| target(&bytes[..len]));
            changes.for_each(|at| mutate(target, &bytes, at));
            replayed += 1;
        }
        assert!(replayed > 0, "the corpus of {name} is empty");
    }
}

/// The target with one byte changed: in what it says, and in what the text's structure is.
fn mutate(target: Target, bytes: &[u8], at: usize) {
    let mut bytes = bytes.to_vec();
    for changed in [bytes[at] ^ 1, bytes[at] ^ 0x20, bytes[at] ^ 0x80, b'"', 0] {
        bytes[at] = changed;
        target(&bytes);
    }
}

#[test]
fn every_corpus_folder_has_a_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for folder in fs::read_dir(corpus).expect("a corpus") {
        let name = folder.expect("a corpus folder").file_name();
        assert!(
            TARGETS.iter().any(|(target, _)| name == *target),
            "{name:?}"
        );
    }
}
