//! Any bytes as a selector of Calico's language: see `policy/tests/replay/exercise.rs`. Run from
//! `policy/`: `cargo +nightly fuzz run selector fuzz/corpus/selector tests/corpus/selector`. A
//! crash becomes a file in `policy/tests/corpus/selector`, which the replay test then reads for
//! good.
#![no_main]

#[path = "../../tests/replay/exercise.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| exercise::selector(bytes));
