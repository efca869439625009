//! `vswitchctl policy`: who may talk to whom, and why. One file per verb.
//!
//! The answers are the crate `policy`'s; here arguments are parsed, files read and answers printed.

mod diff;
mod eval;
mod explain;
mod lint;
mod matrix;
mod selector;
mod state;

use std::{net::IpAddr, process::ExitCode};

use clap::{Subcommand, ValueEnum};
use policy::{ask::FlowKind, matrix::Sample};

use super::{Daemon, is_broken_pipe, remark};

/// Nothing could be answered.
const TROUBLE: u8 = 2;

/// Arguments of `vswitchctl policy`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With -f these need neither daemon nor root: the state is read from manifests (Namespace, Pod, Node, \
ServiceAccount, and policies of Kubernetes, Calico and ClusterNetworkPolicy; multi-document or \
List; a directory stands for the *.yaml, *.yml and *.json in it, - for standard input). Without -f, \
eval, explain and matrix ask the daemon about the state in force.

Examples:
  vswitchctl policy explain shop/web shop/db --port 5432/tcp
  vswitchctl policy matrix -f state.yaml -f policies --port 80/tcp
  vswitchctl policy diff -f before -f after
  vswitchctl policy lint -f policies
  vswitchctl policy selector 'app==\"web\"' --labels app=web")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Answer probes, one JSON object a line: allow or deny, and which rule decides.
    Eval(eval::Args),
    /// Tell why a connection may or may not be opened, and what would have to change.
    Explain(explain::Args),
    /// Print the truth table of who may talk to whom.
    Matrix(matrix::Args),
    /// Print which pairs change verdict between two states.
    Diff(diff::Args),
    /// Ask a selector of Calico's language whether it matches some labels.
    Selector(selector::Args),
    /// Find rules that do not do what they seem to.
    Lint(lint::Args),
}

impl Args {
    pub(super) fn run(self, daemon: &Daemon) -> anyhow::Result<ExitCode> {
        let done = match self.verb {
            Verb::Eval(args) => args.run(daemon),
            Verb::Explain(args) => args.run(daemon),
            Verb::Matrix(args) => args.run(daemon),
            Verb::Diff(args) => args.run(),
            Verb::Selector(args) => args.run(),
            Verb::Lint(args) => args.run(),
        };
        match done {
            Err(error) if !is_broken_pipe(&error) => {
                remark(&format!("error: {error:#}"));
                Ok(TROUBLE.into())
            }
            done => done,
        }
    }
}

/// How a verb that tells of several things prints them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// `--port`, any number of times.
#[derive(Debug, clap::Args)]
struct Ports {
    /// Traffic to ask about: PORT/tcp, PORT/udp, PORT/sctp, icmp, icmp:TYPE/CODE, icmpv6 or
    /// protocol:NUMBER; may be repeated [default: every kind policies tell apart].
    #[arg(long = "port", value_name = "TRAFFIC")]
    ports: Vec<FlowKind>,
}

impl Ports {
    fn samples(&self) -> Vec<Sample> {
        self.ports.iter().copied().map(Sample::from).collect()
    }
}

/// `--outside`, any number of times.
#[derive(Debug, clap::Args)]
struct Outside {
    /// An address beside the pods, such as a client's on the Internet; may be repeated.
    #[arg(long = "outside", value_name = "ADDRESS")]
    addresses: Vec<IpAddr>,
}
