//! libFuzzer's door to [`packet::fuzzing::filter`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| packet::fuzzing::filter(bytes));
