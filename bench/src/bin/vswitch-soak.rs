//! Everything at once, for minutes, and every packet accounted for: see [`vswitch_bench::soak`].
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    vswitch_bench::soak::cli::main()
}
