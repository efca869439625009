//! The command line of `vswitch-soak`.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use lab::binaries::Binaries;

use super::{
    agent::{self, Agent},
    session::{self, Plan},
};
use crate::run::{interrupt, world};

/// Runs two nodes under everything at once and accounts for every packet: exit status 1 when something is wrong.
#[derive(Debug, Parser)]
#[command(name = "vswitch-soak", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// How long, in minutes.
    #[arg(long, conflicts_with = "seconds")]
    minutes: Option<u64>,
    /// How long, in seconds [default: 30].
    #[arg(long)]
    seconds: Option<u64>,
    /// Worker threads of each daemon [default: as the daemon chooses].
    #[arg(long)]
    workers: Option<usize>,
    /// Paced datagrams a second on each of four ways, below what the machine can do beside all else.
    #[arg(long, default_value_t = 500)]
    datagram_rate: u64,
    /// Short connections a second on each of three ways.
    #[arg(long, default_value_t = 40)]
    connection_rate: u64,
    /// Datagrams that the overload sends at once, every second.
    #[arg(long, default_value_t = 30_000)]
    burst: u64,
    /// Write what was found as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The folder with `vswitchd`, `vswitchctl` and `vswitch`; absent, that of this program, then PATH.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A sender or receiver, as the soak starts it inside a pod.
    #[command(hide = true, subcommand)]
    Agent(Agent),
}

/// Soaks. The exit status is 1 when a rule is broken, 2 for errors.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().carry_out() {
        Ok(status) => status,
        Err(error) => {
            complain(&format!("vswitch-soak: {error:#}"));
            ExitCode::from(2)
        }
    }
}

impl Cli {
    fn carry_out(self) -> Result<ExitCode> {
        if let Some(Command::Agent(agent)) = self.command {
            agent::run(agent)?;
            return Ok(ExitCode::SUCCESS);
        }
        let programs = self
            .bin_dir
            .as_deref()
            .map_or_else(Binaries::find, Binaries::in_folder)?;
        interrupt::watch().context("cannot listen for Ctrl-C")?;
        world::sweep();
        let summary = session::run(&self.plan(), &programs, complain)?;
        if let Some(file) = &self.json {
            let text = serde_json::to_string_pretty(&summary)?;
            fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        say(&summary.to_string());
        Ok(ExitCode::from(u8::from(!summary.violations.is_empty())))
    }

    fn plan(&self) -> Plan {
        let minutes = self.minutes.map(|minutes| 60 * minutes);
        Plan {
            seconds: minutes.or(self.seconds).unwrap_or(30).max(5),
            workers: self.workers,
            datagram_rate: self.datagram_rate.max(1),
            connection_rate: self.connection_rate.max(1),
            burst: self.burst,
        }
    }
}

#[expect(
    clippy::print_stdout,
    reason = "this is what the command was asked for"
)]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "progress and errors go there")]
fn complain(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(["vswitch-soak", "--minutes", "10"]).unwrap();
        assert_eq!(cli.plan().seconds, 600);
        assert!(Cli::try_parse_from(["vswitch-soak", "--minutes", "1", "--seconds", "1"]).is_err());
    }
}
