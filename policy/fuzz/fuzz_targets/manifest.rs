//! Any bytes as a manifest: see `policy/tests/replay/exercise.rs`, which this shares with the
//! replay test. Run from `policy/`:
//! `cargo +nightly fuzz run manifest fuzz/corpus/manifest tests/corpus/manifest`. A crash becomes a
//! file in `policy/tests/corpus/manifest`, which the replay test then reads for good.
#![no_main]

#[path = "../../tests/replay/exercise.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| exercise::manifest(bytes));
