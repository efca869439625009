//! `vswitchctl show`: one of the daemon's tables.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{
    ValueEnum,
    builder::{PossibleValue, PossibleValuesParser},
};
use cni_shim::{Request, Response};

use super::{Daemon, draw, remark, say, to_json};
use crate::show::{self, Row, Table};

/// Arguments of `vswitchctl show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vswitchctl show routes                    in the words of `ip route`
  vswitchctl show nodes -o wide             with next hop, MAC and path MTU
  vswitchctl show drops                     what was dropped, and why
  vswitchctl show drops -o wide             every reason there is
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
        let table = show::find(&self.what).context("an unknown table")?;
        let answer = daemon.ask(&Request::Show {
            what: self.what.clone(),
            limit: self.limit,
        })?;
        let Response::Table { rows } = answer else {
            bail!("expected a table, vswitchd answered {answer:?}; is it of another version?");
        };
        self.print(table, &rows)?;
        if table.name == "conntrack" && self.limit.is_none() && rows.len() == LIMIT {
            remark(&format!("the first {LIMIT}; --limit N shows more"));
        }
        Ok(ExitCode::SUCCESS)
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

const LIMIT: usize = show::DEFAULT_CONNTRACK_LIMIT;
