//! `vswitchctl policy lint`: what to look at again.

use std::process::ExitCode;

use anyhow::bail;
use policy::lint::{Finding, Level, lint};

use super::{
    Output,
    state::{State, loaded, texts},
};
use crate::cli::{remark, say, to_json};

/// Arguments of `vswitchctl policy lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Found are rules that can never match, selectors that select nothing, named ports no pod serves, rules \
an earlier rule leaves nothing to do, rules that policyTypes leaves out, tiers nobody defines; and, as \
a hint, closed egress without DNS. What depends on pods is left out when the state has none.

Exit status: 0 nothing was found but hints, 1 there are warnings, 2 trouble.

Examples:
  vswitchctl policy lint -f policies
  vswitchctl policy lint -f state.yaml -f policies -o json")]
pub(super) struct Args {
    #[command(flatten)]
    state: State,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if !self.state.is_given() {
            bail!("expected a state, -f STATE, found none");
        }
        let texts = texts(self.state.files())?;
        let findings = lint(&loaded(&texts)?, &texts);
        match self.output {
            Output::Json => say(&to_json(&findings)?)?,
            Output::Text if findings.is_empty() => remark("nothing found"),
            Output::Text => {
                let texts: Vec<String> = findings.iter().map(Finding::to_string).collect();
                say(&texts.join("\n"))?;
            }
        }
        let warns = |finding: &Finding| finding.level == Level::Warning;
        match findings.iter().any(warns) {
            true => Ok(ExitCode::FAILURE),
            false => Ok(ExitCode::SUCCESS),
        }
    }
}
