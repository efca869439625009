//! `vswitchctl`: see [`vswitchd::cli`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    vswitchd::cli::main()
}
