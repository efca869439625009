//! `vswitchctl man`: manual pages out of the same help texts.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::CommandFactory;

use super::Cli;

/// Arguments of `vswitchctl man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vswitchctl man /usr/local/share/man/man1
  vswitchctl man . && man ./vswitchctl-show.1")]
pub(super) struct Args {
    /// Directory to write to; it is made if it is not there.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let shown = self.directory.display();
        fs::create_dir_all(&self.directory).with_context(|| format!("cannot make {shown}"))?;
        clap_mangen::generate_to(Cli::command(), &self.directory)
            .with_context(|| format!("cannot write manual pages to {shown}"))?;
        Ok(ExitCode::SUCCESS)
    }
}
