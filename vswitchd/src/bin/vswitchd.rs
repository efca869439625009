//! `vswitchd`: the daemon of one node.

#![forbid(unsafe_code)]

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::Parser;
use vswitchd::{app, config};

/// The pod network of one node, in user space.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  vswitchd --config /etc/vswitchd/vswitchd.toml
  vswitchd --check-config /etc/vswitchd/vswitchd.toml"
)]
struct Arguments {
    /// The node's file.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/vswitchd/vswitchd.toml"
    )]
    config: PathBuf,
    /// Say whether a file is right, and end.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    check_config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let checking = arguments.check_config.is_some();
    let file = arguments.check_config.unwrap_or(arguments.config);
    let config = match config::load(&file) {
        Ok(config) => config,
        Err(errors) => return fail(&errors.to_string()),
    };
    if checking {
        // Whether anybody reads it does not change the answer.
        let _ = writeln!(std::io::stdout(), "{}: ok", file.display());
        return ExitCode::SUCCESS;
    }
    match app::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("vswitchd: {error:#}")),
    }
}

fn fail(message: &str) -> ExitCode {
    // With standard error closed there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::FAILURE
}
