//! libFuzzer's door to [`packet::fuzzing::coalesce`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| packet::fuzzing::coalesce(bytes));
