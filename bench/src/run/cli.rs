//! The command line of `vswitch-bench`.

mod effort;
mod pair;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use lab::binaries::Binaries;

use self::{effort::Effort, pair::Pair};
use super::{
    agent::{self, Agent},
    compare::{self, Change},
    contender::{Contender, Peer, Topology},
    interrupt,
    progress::Progress,
    report::Report,
    session,
    threshold::Threshold,
    world::Materials,
};

/// Measures vswitchd against what else could connect two pods, in namespaces of its own.
#[derive(Debug, Parser)]
#[command(name = "vswitch-bench", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build worlds, measure them in turn, say how they compare.
    Run(Run),
    /// Measure between two namespaces of yours, whatever connects them.
    Pair(Pair),
    /// Set a newer report against an older one.
    Compare(Compare),
    /// A generator, sink or forwarder, as the bench starts it inside a namespace.
    #[command(hide = true, subcommand)]
    Agent(Agent),
}

#[derive(Debug, Args)]
struct Run {
    /// Where the pods are: same-node, two-node, two-node-wire (no TSO on the underlay), or all.
    #[arg(long, value_delimiter = ',', default_value = "all", value_parser = topologies)]
    topology: Vec<Topologies>,
    /// Whom to measure against.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Peer::ALL)]
    against: Vec<Peer>,
    /// The folder with `vswitchd`, `vswitchctl` and `vswitch`; absent, that of this program, then PATH.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// A folder with another build of the three, measured as the peer `baseline`.
    #[arg(long)]
    baseline_bin_dir: Option<PathBuf>,
    #[command(flatten)]
    effort: Effort,
    /// Fail unless a ratio is so, such as same-node/kernel/tcp1>=0.95; may be repeated.
    #[arg(long, value_name = "TOPOLOGY/PEER/METRIC>=RATIO")]
    threshold: Vec<Threshold>,
    /// A file of thresholds, one a line.
    #[arg(long, value_name = "FILE")]
    thresholds: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Compare {
    /// The older report.
    old: PathBuf,
    /// The newer one.
    new: PathBuf,
    /// Fail when a ratio to a peer is worse and the spreads do not overlap.
    #[arg(long)]
    fail_on_worse: bool,
}

/// What one word behind `--topology` stands for.
#[derive(Clone, Debug)]
struct Topologies(Vec<Topology>);

fn topologies(word: &str) -> std::result::Result<Topologies, String> {
    if word == "all" {
        return Ok(Topologies(Topology::ALL.into()));
    }
    Topology::from_str(word, false)
        .map(|one| Topologies(vec![one]))
        .map_err(|_| "expected same-node, two-node, two-node-wire or all".into())
}

/// Does what was asked for. The exit status is 1 when a threshold is missed or a comparison fails, 2 for errors.
#[must_use]
pub fn main() -> ExitCode {
    match Cli::parse().command.carry_out() {
        Ok(status) => status,
        Err(error) => {
            complain(&format!("vswitch-bench: {error:#}"));
            ExitCode::from(2)
        }
    }
}

impl Command {
    fn carry_out(self) -> Result<ExitCode> {
        match self {
            Self::Run(run) => run.carry_out(),
            Self::Pair(pair) => pair.carry_out(),
            Self::Compare(compare) => compare.carry_out(),
            Self::Agent(agent) => agent::run(agent)
                .map(|()| ExitCode::SUCCESS)
                .map_err(Into::into),
        }
    }
}

impl Run {
    fn carry_out(self) -> Result<ExitCode> {
        let mut thresholds = self.threshold.clone();
        if let Some(file) = &self.thresholds {
            thresholds.extend(Threshold::load(file)?);
        }
        let mut topologies: Vec<Topology> = self
            .topology
            .iter()
            .flat_map(|some| some.0.clone())
            .collect();
        topologies.sort();
        topologies.dedup();
        let plan = self.effort.plan(topologies, self.against.clone())?;
        let programs = self
            .bin_dir
            .as_deref()
            .map_or_else(Binaries::find, Binaries::in_folder)?;
        let baseline = self
            .baseline_bin_dir
            .as_deref()
            .map(Binaries::in_folder)
            .transpose()?;
        interrupt::watch().context("cannot listen for Ctrl-C")?;
        let mut report = plan.empty_report();
        let materials = Materials { programs, baseline };
        let outcome = session::run(&plan, &materials, &Progress::new(), &mut report);
        self.effort.publish(&report)?;
        outcome?;
        Ok(judge(&thresholds, &report))
    }
}

/// 1 when a threshold is missed, or when vswitchd itself could not be measured somewhere.
fn judge(thresholds: &[Threshold], report: &Report) -> ExitCode {
    let outcomes: Vec<_> = thresholds
        .iter()
        .map(|threshold| threshold.judge(report))
        .collect();
    outcomes
        .iter()
        .for_each(|outcome| say(&outcome.to_string()));
    let subject = Contender::Vswitchd.name();
    let failed = report
        .chapters
        .iter()
        .flat_map(|chapter| &chapter.failures)
        .any(|one| one.contender == subject);
    ExitCode::from(u8::from(
        failed || !outcomes.iter().all(|outcome| outcome.holds()),
    ))
}

impl Compare {
    fn carry_out(self) -> Result<ExitCode> {
        let (old, new) = (Report::load(&self.old)?, Report::load(&self.new)?);
        let lines = compare::compare(&old, &new);
        if lines.is_empty() {
            bail!("the two reports have no figure in common");
        }
        say(&compare::conditions("old", &old));
        say(&compare::conditions("new", &new));
        say(&compare::table(&lines));
        let worse = lines
            .iter()
            .any(|line| line.peer.is_some() && line.change == Change::Worse);
        Ok(ExitCode::from(u8::from(self.fail_on_worse && worse)))
    }
}

#[expect(
    clippy::print_stdout,
    reason = "this is what the command was asked for"
)]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "errors go there")]
fn complain(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory;

    use super::*;
    use crate::run::session::Plan;

    fn plan(words: &str) -> Result<Plan> {
        let cli = Cli::try_parse_from(
            ["vswitch-bench", "run"]
                .into_iter()
                .chain(words.split_whitespace()),
        )?;
        let Command::Run(run) = cli.command else {
            bail!("not `run`")
        };
        run.effort.plan(
            run.topology
                .iter()
                .flat_map(|some| some.0.clone())
                .collect(),
            run.against,
        )
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_quick_run_is_shorter_and_still_takes_other_words() {
        let words = "--quick --rounds 1 --topology same-node --against kernel --measure udp64,tcp-rr-one-core";
        let plan = plan(words).unwrap();
        assert_eq!((plan.rounds, plan.length), (1, Duration::from_millis(300)));
        assert_eq!(plan.topologies, [Topology::SameNode]);
        assert_eq!(plan.probes.len(), 2);
    }

    #[test]
    fn a_run_has_bounds() {
        assert!(plan("--rounds 0 --measure udp64").is_err());
        assert!(plan("--seconds 3600 --measure udp64").is_err());
        assert!(plan("--topology moon").is_err());
        assert!(plan("--measure speed").is_err());
    }
}
