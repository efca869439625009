//! How much is measured, and where the report goes: options that `run` and `pair` share.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::say;
use crate::run::{
    contender::{Peer, Topology},
    html,
    probe::{PROBES, Probe},
    report::Report,
    session::Plan,
    table,
};

#[derive(Debug, Args)]
pub(super) struct Effort {
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

fn probe(word: &str) -> std::result::Result<Probe, String> {
    PROBES
        .into_iter()
        .find(|probe| probe.name() == word)
        .ok_or_else(|| {
            let names: Vec<&str> = PROBES.iter().map(|probe| probe.name()).collect();
            format!("expected one of {}", names.join(", "))
        })
}

impl Effort {
    /// # Errors
    /// The numbers are out of bounds, or a program is missing.
    pub(super) fn plan(&self, topologies: Vec<Topology>, peers: Vec<Peer>) -> Result<Plan> {
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

    /// Prints the report and writes the files that were asked for, if anything was measured.
    pub(super) fn publish(&self, report: &Report) -> Result<()> {
        if report
            .chapters
            .iter()
            .all(|chapter| chapter.rows.is_empty())
        {
            return Ok(());
        }
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
