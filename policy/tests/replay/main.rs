//! Every file of `tests/corpus` goes through what the fuzzer does: seeds, and inputs that once
//! broke something.

mod exercise;

use std::path::Path;

#[test]
fn the_whole_corpus_is_read_without_a_crash() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files = 0;
    for entry in corpus.read_dir().expect("the corpus is there") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("a readable file");
        exercise::manifest(&bytes);
        files += 1;
    }
    assert!(files >= 8, "only {files} files in {}", corpus.display());
}

#[test]
fn the_seeds_are_good_manifests() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for entry in corpus.read_dir().expect("the corpus is there") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if name.starts_with("good-") {
            let text = std::fs::read_to_string(&path).expect("a readable file");
            if let Err(errors) = policy::parse(&name, &text) {
                panic!("{}", errors[0]);
            }
        }
    }
}
