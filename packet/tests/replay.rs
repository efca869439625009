//! Every file under `tests/corpus/<target>/` goes through the fuzz target of that name: seeds, and every crash ever found.

use std::fs;
use std::path::Path;

use packet::fuzzing::TARGETS;

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
            (0..bytes.len()).for_each(|len| target(&bytes[..len]));
            replayed += 1;
        }
        assert!(replayed > 0, "the corpus of {name} is empty");
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
