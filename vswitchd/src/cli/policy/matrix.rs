//! `vswitchctl policy matrix`: the truth table of who may talk to whom.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::ValueEnum;
use cni_shim::{Request, Response};
use policy::{
    ask::Judge,
    matrix::{Ends, Grid, Record, Samples, matrix},
};
use serde_json::Value;

use super::{Outside, Ports, state::State};
use crate::{
    cli::{Daemon, say, to_json},
    show::Row,
};

/// Arguments of `vswitchctl policy matrix`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Pods that nobody can tell apart share a row and a column. Without --port there is a table for every \
kind of traffic that policies tell apart: a port for each stretch they name, one for all others, and \
ping; kinds with the same table share one.

JSON is an array of {traffic, from, to, verdict, denied_by}; from and to are lists of ends, of which \
the same is true. Where to is from, different ones of them are meant.

Exit status: 0 a table was printed, 2 none could be.

Examples:
  vswitchctl policy matrix --port 80/tcp
  vswitchctl policy matrix -f state.yaml -f policies -n shop -n payments --port 80/tcp --port 53/udp
  vswitchctl policy matrix -f state.yaml --outside 203.0.113.7
  vswitchctl policy matrix -f state.yaml --port 80/tcp -o json | jq '.[] | select(.verdict == \"deny\")'")]
pub(super) struct Args {
    #[command(flatten)]
    state: State,
    /// Only pods of this namespace; may be repeated.
    #[arg(short, long = "namespace", value_name = "NAME")]
    namespaces: Vec<String>,
    #[command(flatten)]
    ports: Ports,
    #[command(flatten)]
    outside: Outside,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// How `matrix` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl Args {
    pub(super) fn run(self, daemon: &Daemon) -> anyhow::Result<ExitCode> {
        let grids = match self.state.is_given() {
            true => self.made()?,
            false => self.asked(daemon)?,
        };
        let text = match self.output {
            Output::Table => {
                let texts: Vec<String> = grids.iter().map(Grid::to_string).collect();
                texts.join("\n\n").trim_end().to_owned()
            }
            Output::Json => {
                let records: Vec<Record> = grids.iter().flat_map(Grid::records).collect();
                to_json(&records)?
            }
        };
        say(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn made(&self) -> anyhow::Result<Vec<Grid>> {
        let judge = Judge::new(self.state.cluster()?);
        let mut samples = self.ports.samples();
        if samples.is_empty() {
            samples = Samples::of(&[judge.roster()]).traffic;
        }
        let who = Ends {
            namespaces: self.namespaces.clone(),
            addresses: self.outside.addresses.clone(),
            nodes: false,
        };
        Ok(matrix(&judge, &who, &samples)?)
    }

    fn asked(&self, daemon: &Daemon) -> anyhow::Result<Vec<Grid>> {
        let response = daemon.ask(&Request::Matrix {
            namespaces: self.namespaces.clone(),
            traffic: self.ports.ports.iter().map(ToString::to_string).collect(),
            addresses: self.outside.addresses.clone(),
        })?;
        let Response::Table { rows } = response else {
            bail!("expected a table, vswitchd answered {response:?}; is it of another version?");
        };
        let grid = |row: Row| serde_json::from_value(Value::Object(row));
        let grids: Result<Vec<Grid>, _> = rows.into_iter().map(grid).collect();
        grids.context("vswitchd's answer; is it of another version?")
    }
}
