//! libFuzzer's door to `exercise::protocol`.

#![no_main]

#[path = "../exercise.rs"]
mod exercise;

use exercise::plugin::{environment, failure, version};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| exercise::protocol(bytes));
