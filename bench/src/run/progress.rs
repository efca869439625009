//! How far the run is: a bar on a terminal, a line a topology elsewhere; all on standard error.

#![expect(clippy::print_stderr, reason = "telling is what this file is for")]

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

use super::{
    contender::{Contender, Topology},
    probe::Probe,
};

const BAR: &str = "{prefix:13} [{bar:30}] {pos}/{len}  {elapsed} of about {duration}  {msg}";

/// The bar.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    on_terminal: bool,
}

impl Progress {
    /// Nothing is shown yet.
    #[must_use]
    pub fn new() -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self {
            bar,
            on_terminal: stderr().is_terminal(),
        }
    }

    /// A world is being built.
    pub fn building(&self, topology: Topology, contender: Contender) {
        self.bar.set_prefix(topology.name());
        self.bar
            .set_message(format!("building {}", contender.name()));
        self.bar.tick();
    }

    /// So many measurements are to come.
    pub fn begin(&self, topology: &str, measurements: usize) {
        if !self.on_terminal {
            eprintln!("{topology}: {measurements} measurements");
        }
        self.bar.reset();
        self.bar.set_prefix(topology.to_owned());
        self.bar.set_length(measurements as u64);
    }

    /// One begins.
    pub fn step(&self, round: usize, rounds: usize, contender: Contender, probe: Probe) {
        let (name, probe) = (contender.name(), probe.name());
        self.bar
            .set_message(format!("round {} of {rounds}: {name} {probe}", round + 1));
        self.bar.inc(1);
    }

    /// The topology is done.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
