//! libFuzzer's door to [`packet::fuzzing::segment`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| packet::fuzzing::segment(bytes));
