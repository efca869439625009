//! Every file of `tests/corpus` goes through what the fuzzer does: seeds, and inputs that once
//! broke something. A folder for each target.

mod exercise;

use std::fs;
use std::path::Path;

/// The files of a target's folder, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(target);
    let entries = folder.read_dir().expect("the corpus is there");
    let files: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, fs::read(&path).expect("a readable file"))
        })
        .collect();
    assert!(
        files.len() >= 10,
        "only {} files in {}",
        files.len(),
        folder.display()
    );
    files
}

/// The texts of a target whose names say they are good, or bad.
fn texts(target: &str, prefix: &str) -> Vec<(String, String)> {
    let named = corpus(target)
        .into_iter()
        .filter(|(name, _)| name.starts_with(prefix));
    named
        .map(|(name, bytes)| (name, String::from_utf8(bytes).expect("text")))
        .collect()
}

#[test]
fn the_whole_corpus_is_read_without_a_crash() {
    for (_, bytes) in corpus("manifest") {
        exercise::manifest(&bytes);
    }
    for (_, bytes) in corpus("selector") {
        exercise::selector(&bytes);
    }
}

#[test]
fn the_good_manifests_are_good() {
    for (name, text) in texts("manifest", "good-") {
        if let Err(errors) = policy::parse(&name, &text) {
            panic!("{}", errors[0]);
        }
    }
}

#[test]
fn the_good_selectors_are_good_and_the_bad_ones_bad() {
    use policy::source::selector::{parse, parse_namespace_selector};
    for (name, text) in texts("selector", "good-") {
        if let Err(error) = parse(&text) {
            panic!("{name}: {}", error.pointed());
        }
    }
    for (name, text) in texts("selector", "bad-") {
        let either = parse(&text).and(parse_namespace_selector(&text));
        assert!(either.is_err(), "{name}");
    }
}
