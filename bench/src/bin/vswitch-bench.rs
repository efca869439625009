//! Measures vswitchd against what else could connect two pods: see [`vswitch_bench::run`].
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    vswitch_bench::run::cli::main()
}
