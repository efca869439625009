//! `vswitchctl log`: what the daemon writes to its log, seen and changed while it runs.

use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use cni_shim::{Request, Response};

use super::{Daemon, say};

/// Arguments of `vswitchctl log`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A filter is a level (off, error, warn, info, debug, trace), or TARGET=LEVEL, several separated by commas.
It is in force until the daemon ends; the next one starts with `log.level` of its TOML.

Examples:
  vswitchctl log show
  vswitchctl log set debug
  vswitchctl log set info,vswitchd::control=debug")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print the filter in force.
    Show,
    /// Put another filter in force, at once.
    Set {
        /// Such as `info,vswitchd::control=debug`.
        filter: String,
    },
}

impl Args {
    pub(super) fn run(self, daemon: &Daemon) -> anyhow::Result<ExitCode> {
        let filter = match self.verb {
            Verb::Show => None,
            Verb::Set { filter } => Some(filter),
        };
        match daemon.ask(&Request::Log { filter })? {
            Response::Text { text } => say(&text)?,
            other => {
                bail!("expected a text, vswitchd answered {other:?}; is it of another version?")
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
