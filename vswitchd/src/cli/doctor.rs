//! `vswitchctl doctor`: what this host lacks, in sentences.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::ValueEnum;

use super::{say, to_json};
use crate::doctor::{self, Finding, Places};

/// Arguments of `vswitchctl doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Works without a running daemon, too. Exit status: 0 all is well, 1 warnings, 2 something is broken.

Examples:
  vswitchctl doctor
  vswitchctl doctor --passive               sends nothing
  vswitchctl doctor --config /etc/vswitchd/vswitchd.toml
  vswitchctl doctor -o json | jq '.[] | select(.level != \"ok\")'")]
pub(super) struct Args {
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// The daemon's TOML; without it, the uplink is detected.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the container runtime looks for network configurations.
    #[arg(long, value_name = "DIR", default_value = "/etc/cni/net.d")]
    cni_dir: PathBuf,
    /// Where libcni remembers which pod got which address.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/cni/results")]
    cni_cache: PathBuf,
    /// Send nothing: neither pings through the tunnel to other nodes nor ARP about this node's own address.
    #[arg(long)]
    passive: bool,
}

/// How `doctor` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl Args {
    pub(super) fn run(self, socket: &Path) -> anyhow::Result<ExitCode> {
        let places = Places {
            config: self.config,
            cni_dir: self.cni_dir,
            cni_cache: self.cni_cache,
            passive: self.passive,
        };
        let findings = doctor::report(Some(socket), &places);
        match self.output {
            Output::Table => say(&text(&findings))?,
            Output::Json => say(&to_json(&findings)?)?,
        }
        Ok(doctor::worst(&findings).exit_status().into())
    }
}

/// A line for each finding, and one more for advice where something is to be done.
fn text(findings: &[Finding]) -> String {
    let subjects = findings.iter().map(|finding| finding.subject.len());
    let width = subjects.max().unwrap_or_default();
    let lines = findings.iter().map(|finding| {
        let (level, subject) = (finding.level.as_str(), &finding.subject);
        let line = format!("{level:6}  {subject:width$}  {}", finding.found);
        match finding.advice.as_str() {
            "" => line,
            advice => format!("{line}\n{:6}  {:width$}  -> {advice}", "", ""),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn advice_stands_under_what_was_found() {
        let finding = |level, subject: &str, advice: &str| Finding {
            level,
            subject: subject.into(),
            found: "found".into(),
            advice: advice.into(),
        };
        let findings = [
            finding(Level::Ok, "uplink", ""),
            finding(Level::Broken, "nft", "install it"),
        ];
        assert_eq!(
            text(&findings),
            "ok      uplink  found\n\
             broken  nft     found\n                -> install it"
        );
    }
}
