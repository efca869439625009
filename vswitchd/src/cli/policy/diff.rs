//! `vswitchctl policy diff`: which pairs change verdict.

use std::{path::PathBuf, process::ExitCode};

use anyhow::bail;
use policy::{
    ask::Judge,
    diff::{Question, diff},
};

use super::{
    Output, Outside, Ports,
    state::{State, loaded, texts},
};
use crate::cli::{say, to_json};

/// Arguments of `vswitchctl policy diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Compared are the pods that are in both states, an outsider of every address block that policies of \
either state tell apart and, where policies name nodes, the nodes; for every kind of traffic that \
policies tell apart, unless --port says which.

Exit status, as of diff(1): 0 no verdict changes, 1 some do, 2 trouble.

Examples:
  vswitchctl policy diff -f before -f after
  vswitchctl policy diff -f before.yaml -f after.yaml --port 443/tcp -o json")]
pub(super) struct Args {
    #[command(flatten)]
    state: State,
    #[command(flatten)]
    ports: Ports,
    #[command(flatten)]
    outside: Outside,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let [before, after] = self.state.files() else {
            let found = self.state.files().len();
            bail!("expected two states, -f OLD -f NEW, found {found}");
        };
        if before.as_os_str() == "-" && after.as_os_str() == "-" {
            bail!("expected standard input (-) once, found it twice");
        }
        let question = Question {
            traffic: self.ports.samples(),
            addresses: self.outside.addresses,
        };
        let diff = diff(&judge(before)?, &judge(after)?, &question)?;
        match self.output {
            Output::Text => say(diff.to_string().trim_end())?,
            Output::Json => say(&to_json(&diff)?)?,
        }
        match diff.changes.is_empty() {
            true => Ok(ExitCode::SUCCESS),
            false => Ok(ExitCode::FAILURE),
        }
    }
}

fn judge(file: &PathBuf) -> anyhow::Result<Judge> {
    let texts = texts(std::slice::from_ref(file))?;
    Ok(Judge::new(loaded(&texts)?.cluster))
}
