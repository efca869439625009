//! `vswitchctl completions`: the completion script of a shell.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, say};

/// Arguments of `vswitchctl completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vswitchctl completions bash > /etc/bash_completion.d/vswitchctl
  vswitchctl completions zsh > /usr/share/zsh/site-functions/_vswitchctl
  vswitchctl completions fish > ~/.config/fish/completions/vswitchctl.fish")]
pub(super) struct Args {
    /// Which shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        say(&script(self.shell))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// In memory first: the generator panics when its writer fails.
pub(super) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    let mut command = Cli::command();
    clap_complete::generate(shell, &mut command, "vswitchctl", &mut script);
    String::from_utf8_lossy(&script).trim_end().to_owned()
}
