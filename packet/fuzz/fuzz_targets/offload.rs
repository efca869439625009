//! libFuzzer's door to [`packet::fuzzing::offload`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| packet::fuzzing::offload(bytes));
