//! libFuzzer's door to [`packet::fuzzing::frame_walk`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| packet::fuzzing::frame_walk(bytes));
