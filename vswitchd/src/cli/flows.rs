//! `vswitchctl flows`: who talks to whom.

pub(super) mod line;

use std::{process::ExitCode, thread, time::Duration};

use anyhow::bail;
use clap::ValueEnum;
use cni_shim::{Request, Response};
use serde_json::Value;

use super::{Daemon, draw, remark, say, to_json};
use crate::show::Row;

/// Between two questions while following.
const PAUSE: Duration = Duration::from_millis(300);
/// Records of one answer while following.
const PAGE: usize = 1_000;
/// Records, or flows, shown when nobody says how many.
const DEFAULT_LIMIT: usize = 50;

/// Arguments of `vswitchctl flows`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vswitchctl flows                              the last 50 records
  vswitchctl flows --follow --verdict deny      what policy denies, as it happens
  vswitchctl flows --pod shop/web --limit 200
  vswitchctl flows --active                     the flows of this moment, fastest first
  vswitchctl flows --follow -o json | jq -r .policy

A record is `begin`, `end` or `deny`. Packets that are denied have a record at once, and then one for
as many as [flow_log] aggregate_seconds brings.")]
pub(super) struct Args {
    /// Go on with what happens from now on, until Ctrl-C.
    #[arg(short, long, conflicts_with_all = ["active", "limit"])]
    follow: bool,
    /// The flows of this moment, those first that send most; works without a flow log.
    #[arg(long, conflicts_with_all = ["since", "verdict", "labels"])]
    active: bool,
    /// Of this pod at either end: namespace/pod, pod or an address.
    #[arg(long, value_name = "POD")]
    pod: Option<String>,
    /// Allowed or denied ones only.
    #[arg(long, value_enum)]
    verdict: Option<Verdict>,
    /// Records after this number (`seq` of -o json).
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
    /// With the labels that the pods have now (in -o json).
    #[arg(long)]
    labels: bool,
    /// At most so many [default: 50].
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// table: a line each; json: an array of objects, with --follow an object a line.
    #[arg(short, long, value_enum, hide_possible_values = true, default_value_t = Output::Table)]
    output: Output,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A line each.
    Table,
    /// Objects.
    Json,
}

/// What policy said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Verdict {
    /// It was allowed.
    Allow,
    /// It was denied.
    Deny,
}

/// An answer of the flow log.
struct Page {
    rows: Vec<Row>,
    next: u64,
    lost: u64,
    unlogged: u64,
}

impl Args {
    pub(super) fn run(self, daemon: &Daemon) -> anyhow::Result<ExitCode> {
        if self.active {
            return self.show_active(daemon);
        }
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        let page = self.ask(daemon, self.since, limit)?;
        tell_of_losses(&page, 0);
        if !self.follow {
            self.show(&page.rows)?;
            return Ok(ExitCode::SUCCESS);
        }
        self.follow_from(daemon, page)
    }

    fn follow_from(&self, daemon: &Daemon, mut page: Page) -> anyhow::Result<ExitCode> {
        loop {
            for row in &page.rows {
                say(&match self.output {
                    Output::Table => line::of(row),
                    Output::Json => Value::Object(row.clone()).to_string(),
                })?;
            }
            // A full page may have more behind it.
            if page.rows.len() < PAGE {
                thread::sleep(PAUSE);
            }
            let unlogged = page.unlogged;
            page = self.ask(daemon, Some(page.next), PAGE)?;
            tell_of_losses(&page, unlogged);
        }
    }

    fn show(&self, rows: &[Row]) -> anyhow::Result<()> {
        match self.output {
            Output::Json => say(&to_json(&rows)?),
            Output::Table if rows.is_empty() => {
                remark("no flows");
                Ok(())
            }
            Output::Table => rows.iter().try_for_each(|row| say(&line::of(row))),
        }
    }

    fn show_active(&self, daemon: &Daemon) -> anyhow::Result<ExitCode> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        let pod = self.pod.clone();
        let rows = match daemon.ask(&Request::ActiveFlows { limit, pod })? {
            Response::Table { rows } => rows,
            answer => {
                bail!("expected flows, vswitchd answered {answer:?}; is it of another version?")
            }
        };
        match self.output {
            Output::Json => say(&to_json(&rows)?)?,
            Output::Table if rows.is_empty() => remark("no flows"),
            Output::Table => {
                let shown: Vec<Row> = rows.iter().map(line::active).collect();
                let shown: Vec<&Row> = shown.iter().collect();
                say(&draw::columns(&line::ACTIVE, &shown))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn ask(&self, daemon: &Daemon, after: Option<u64>, limit: usize) -> anyhow::Result<Page> {
        let verdict = self.verdict.map(|verdict| match verdict {
            Verdict::Allow => "allow".into(),
            Verdict::Deny => "deny".into(),
        });
        let request = Request::Flows {
            after,
            limit: Some(limit),
            pod: self.pod.clone(),
            verdict,
            labels: self.labels,
        };
        match daemon.ask(&request)? {
            Response::Flows {
                rows,
                next,
                lost,
                unlogged,
            } => Ok(Page {
                rows,
                next,
                lost,
                unlogged,
            }),
            answer => {
                bail!("expected flows, vswitchd answered {answer:?}; is it of another version?")
            }
        }
    }
}

/// Says what is missing, once.
fn tell_of_losses(page: &Page, unlogged_before: u64) {
    if page.lost > 0 {
        remark(&format!(
            "{} records came and went before they were asked for",
            page.lost
        ));
    }
    if page.unlogged > unlogged_before {
        let lost = page.unlogged - unlogged_before;
        remark(&format!(
            "{lost} events found no room on their way to the log"
        ));
    }
}
