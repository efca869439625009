//! `vswitchctl show`: one of the daemon's tables.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{
    ValueEnum,
    builder::{PossibleValue, PossibleValuesParser},
};
use cni_shim::{Request, Response};

use super::{Daemon, draw, remark, say, to_json, watch};
use crate::show::{self, Row, Table};

/// Arguments of `vswitchctl show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vswitchctl show routes                    in the words of `ip route`
  vswitchctl show nodes -o wide             with next hop, MAC and path MTU
  vswitchctl show drops                     what was dropped, and why
  vswitchctl show drops -o wide             every reason there is
  vswitchctl show drops --by-pod            whose frames
  vswitchctl show drops --by-pod --watch    what is dropped now, and how fast
  vswitchctl show conntrack --limit 20
  vswitchctl show endpoints -o json | jq -r '.[].address'")]
pub(super) struct Args {
    /// The table.
    #[arg(value_parser = tables())]
    what: String,
    /// table: the main columns; wide: all columns and rows; json: an array of objects.
    #[arg(short, long, value_enum, hide_possible_values = true, default_value_t = Output::Table)]
    output: Output,
    /// At most so many rows.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Of `drops`: by pod, from it or toward it; the same as `show pod-drops`.
    #[arg(long)]
    by_pod: bool,
    /// Of drops and counters: after the table, each second what rose and how fast, until Ctrl-C.
    #[arg(long)]
    watch: bool,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// The main columns.
    Table,
    /// All columns and rows.
    Wide,
    /// An array of objects.
    Json,
}

fn tables() -> PossibleValuesParser {
    let value = |table: &&Table| PossibleValue::new(table.name).help(table.about);
    PossibleValuesParser::new(show::TABLES.iter().map(value))
}

impl Args {
    pub(super) fn run(self, daemon: &Daemon) -> anyhow::Result<ExitCode> {
        let name = self.table()?;
        let table = show::find(name).context("an unknown table")?;
        let keys = self.watched(name)?;
        let rows = ask(daemon, name, self.limit)?;
        self.print(table, &rows)?;
        if table.name == "conntrack" && self.limit.is_none() && rows.len() == LIMIT {
            remark(&format!("the first {LIMIT}; --limit N shows more"));
        }
        if let Some(keys) = keys {
            let as_json = self.output == Output::Json;
            watch::watch(keys, as_json, &rows, || ask(daemon, name, self.limit))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn table(&self) -> anyhow::Result<&str> {
        match (self.what.as_str(), self.by_pod) {
            ("drops", true) => Ok("pod-drops"),
            ("pod-drops", true) => Ok(&self.what),
            (other, true) => bail!("--by-pod is for `show drops`, not for `show {other}`"),
            (what, false) => Ok(what),
        }
    }

    /// The columns that say what a row of the table is about; `None` = it is not to be watched.
    fn watched(&self, table: &str) -> anyhow::Result<Option<&'static [&'static str]>> {
        match (self.watch, table) {
            (false, _) => Ok(None),
            (true, "drops") => Ok(Some(&["reason"])),
            (true, "pod-drops") => Ok(Some(&["pod", "way", "reason"])),
            (true, "counters") => Ok(Some(&["counter"])),
            (true, other) => bail!("--watch is for drops, pod-drops and counters, not for {other}"),
        }
    }

    fn print(&self, table: &Table, rows: &[Row]) -> anyhow::Result<()> {
        let text = match self.output {
            Output::Table => draw::narrow(table, rows),
            Output::Wide => draw::wide(table, rows),
            Output::Json => return say(&to_json(&rows)?),
        };
        match text {
            Some(text) => say(&text),
            None => {
                remark(&format!("no {}", table.name));
                Ok(())
            }
        }
    }
}

fn ask(daemon: &Daemon, what: &str, limit: Option<usize>) -> anyhow::Result<Vec<Row>> {
    let what = what.to_owned();
    match daemon.ask(&Request::Show { what, limit })? {
        Response::Table { rows } => Ok(rows),
        answer => {
            bail!("expected a table, vswitchd answered {answer:?}; is it of another version?")
        }
    }
}

const LIMIT: usize = show::DEFAULT_CONNTRACK_LIMIT;
