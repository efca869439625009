//! libFuzzer's door to [`packet::fuzzing::fragment`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| packet::fuzzing::fragment(bytes));
