//! The corpus goes through the fuzz targets: see the shared `corpus` module.

#[path = "../../packet/tests/common/corpus.rs"]
mod corpus;
#[path = "../fuzz/exercise.rs"]
mod exercise;

use exercise::TARGETS;

/// Bytes of a file that are cut and changed one by one; a crash that the fuzzer found may be long.
const MAX_CHANGED_BYTES: usize = 1500;

/// Changes in what a text says, and in what its structure is.
fn changes(byte: u8) -> [u8; 5] {
    [byte ^ 1, byte ^ 0x20, byte ^ 0x80, b'"', 0]
}

#[test]
fn no_file_of_the_corpus_breaks_its_target() {
    corpus::replay(&TARGETS, MAX_CHANGED_BYTES, changes);
}

#[test]
fn every_corpus_folder_has_a_target() {
    corpus::every_folder_has_a_target(&TARGETS);
}
