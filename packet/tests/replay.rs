//! The corpus goes through the fuzz targets: see the shared `corpus` module.

#[path = "common/corpus.rs"]
mod corpus;

use packet::fuzzing::TARGETS;

/// Changes that a length, a count or a kind would notice; a debug build sees arithmetic overflow, too.
fn changes(byte: u8) -> [u8; 6] {
    [0, 0x7f, 0xff, byte ^ 1, byte.wrapping_add(1), byte ^ 0x80]
}

#[test]
fn no_file_of_the_corpus_breaks_its_target() {
    corpus::replay(&TARGETS, usize::MAX, changes);
}

#[test]
fn every_corpus_folder_has_a_target() {
    corpus::every_folder_has_a_target(&TARGETS);
}
