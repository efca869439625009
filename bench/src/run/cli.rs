//! The command line of `vswitch-bench`.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use lab::binaries::Binaries;

use super::{
    agent::{self, Agent},
    compare::{self, Change},
    contender::{Contender, Peer, Topology},
    html, interrupt,
    place::Place,
    probe::{PROBES, Probe},
    progress::Progress,
    report::Report,
    session::{self, Plan},
    table,
    threshold::Threshold,
    world::{Materials, World},
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
struct Pair {
    /// The namespaces, first the client's, then the server's: names of `ip netns`, paths, or process ids.
    #[arg(long, required = true, num_args = 1, action = clap::ArgAction::Append)]
    netns: Vec<String>,
    /// The server's address, as the client must use it; absent, the first one in the second namespace.
    #[arg(long)]
    address: Option<Ipv4Addr>,
    #[command(flatten)]
    effort: Effort,
}

#[derive(Debug, Args)]
struct Effort {
    /// How often everything is measured; 5, quickly 3.
    #[arg(long)]
    rounds: Option<usize>,
    /// Length of one measurement; 3 s, quickly 0.3 s. iperf3 takes whole seconds.
    #[arg(long)]
    seconds: Option<f64>,
    /// Fewer rounds, shorter measurements.
    #[arg(long)]
    quick: bool,
    /// Which measurements; all.
    #[arg(long, value_delimiter = ',', value_parser = probe)]
    measure: Vec<Probe>,
    /// Write the report here, for `compare`.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report with pictures here.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
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

fn probe(word: &str) -> std::result::Result<Probe, String> {
    PROBES
        .into_iter()
        .find(|probe| probe.name() == word)
        .ok_or_else(|| {
            let names: Vec<&str> = PROBES.iter().map(|probe| probe.name()).collect();
            format!("expected one of {}", names.join(", "))
        })
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
        let report = session::run(&plan, &Materials { programs, baseline }, &Progress::new())?;
        self.effort.publish(&report)?;
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

impl Pair {
    fn carry_out(self) -> Result<ExitCode> {
        let [client, server] = self.netns.as_slice() else {
            bail!(
                "expected --netns twice, the client's and the server's; found {}",
                self.netns.len()
            );
        };
        let plan = self.effort.plan(Vec::new(), Vec::new())?;
        let (client, server) = (Place::of_user(client)?, Place::of_user(server)?);
        let address = match self.address {
            Some(address) => address,
            None => first_address(&server)?,
        };
        interrupt::watch().context("cannot listen for Ctrl-C")?;
        let world = World::of_user(client, server, address);
        let report = session::run_pair(&plan, world, &Progress::new())?;
        self.effort.publish(&report)?;
        let complete = report
            .chapters
            .iter()
            .all(|chapter| chapter.failures.is_empty());
        Ok(ExitCode::from(u8::from(!complete)))
    }
}

fn first_address(place: &Place) -> Result<Ipv4Addr> {
    let argv = ["ip", "-4", "-oneline", "address", "show", "scope", "global"];
    let output = place
        .command(&argv)
        .output()
        .context("cannot run `nsenter`")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text
        .split_whitespace()
        .skip_while(|word| *word != "inet")
        .nth(1);
    let address = words.and_then(|word| word.split('/').next()?.parse().ok());
    address.with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!(
            "no IPv4 address in the second namespace; --address says which to use {}",
            said.trim()
        )
    })
}

impl Effort {
    fn plan(&self, topologies: Vec<Topology>, peers: Vec<Peer>) -> Result<Plan> {
        let (rounds, seconds) = if self.quick { (3, 0.3) } else { (5, 3.0) };
        let (rounds, seconds) = (
            self.rounds.unwrap_or(rounds),
            self.seconds.unwrap_or(seconds),
        );
        if !(1..=100).contains(&rounds) || !(0.05..=60.0).contains(&seconds) {
            bail!("expected 1 to 100 rounds of 0.05 to 60 s, found {rounds} of {seconds} s");
        }
        let probes = if self.measure.is_empty() {
            PROBES.into()
        } else {
            self.measure.clone()
        };
        let uses_iperf = probes
            .iter()
            .any(|probe| matches!(probe, Probe::Tcp { .. }));
        if uses_iperf && lab::binaries::in_path("iperf3").is_none() {
            bail!("`iperf3` is not installed; install the package iperf3");
        }
        Ok(Plan {
            topologies,
            peers,
            probes,
            rounds,
            length: Duration::from_secs_f64(seconds),
        })
    }

    fn publish(&self, report: &Report) -> Result<()> {
        say(&table::of_report(report));
        if let Some(file) = &self.json {
            report.save(file)?;
        }
        if let Some(file) = &self.html {
            write(file, &html::page(report))?;
        }
        Ok(())
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

impl Compare {
    fn carry_out(self) -> Result<ExitCode> {
        let lines = compare::compare(&Report::load(&self.old)?, &Report::load(&self.new)?);
        if lines.is_empty() {
            bail!("the two reports have no figure in common");
        }
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
    use clap::CommandFactory;

    use super::*;

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
