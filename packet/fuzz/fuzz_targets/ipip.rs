//! libFuzzer's door to [`packet::fuzzing::ipip`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| packet::fuzzing::ipip(bytes));
