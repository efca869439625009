//! `vswitchctl lab demo`: the walk-through, played on real interfaces and checked fact by fact.
//!
//! Each command is shown with its real output; every fact of the walk-through in it is checked here. The two labs are made
//! from the example configs, under names of their own, and go down with the demo however it ends.

mod capture;
mod narrator;
mod three_nodes;
mod two_nodes;

use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use self::{
    capture::Capture,
    narrator::{Narrator, one_spaced},
};
use crate::{
    config::Config,
    error::{Error, Result, io_error},
    lab::Lab,
};

/// Longest a change of policy may take to show.
const LIVE_WITHIN: Duration = Duration::from_secs(5);

/// Plays the whole demo; the exit status tells whether every fact held.
#[must_use]
pub fn run() -> ExitCode {
    let mut narrator = Narrator::new();
    let played = three_nodes::play(&mut narrator).and_then(|()| two_nodes::play(&mut narrator));
    if let Err(error) = &played {
        narrator.failure(&error.to_string());
    }
    if narrator.conclude() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A lab on stage: what it is asked is told, and so is what it answers.
struct Stage<'a> {
    lab: Lab,
    narrator: &'a mut Narrator,
}

impl<'a> Stage<'a> {
    fn set(narrator: &'a mut Narrator, file: &str, text: &str) -> Result<Self> {
        let mut config = Config::parse(file, text)?;
        narrator.command("", &format!("vswitchctl lab up -f {file}"));
        config.name = format!("demo-{}", config.name);
        let start = Instant::now();
        let lab = Lab::up_with(config, |step| narrator.output(step))?;
        narrator.output(&format!("up in {:.1} s", start.elapsed().as_secs_f64()));
        Ok(Self { lab, narrator })
    }

    /// Runs a command in a place, shows both, returns what it wrote to standard output.
    fn run(&mut self, place: &str, command: &str) -> Result<String> {
        self.narrator.command(place, command);
        let argv: Vec<&str> = command.split(' ').collect();
        let output = self.lab.exec(place, &argv)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        self.narrator.output(&text);
        self.narrator
            .output(&String::from_utf8_lossy(&output.stderr));
        Ok(text)
    }

    /// Checks that some line of an output has these words in a row.
    fn fact(&mut self, claim: &str, words: &str, output: &str) {
        let holds = output.lines().any(|line| one_spaced(line).contains(words));
        self.narrator
            .check(claim, holds, &format!("a line with `{words}`"), output);
    }

    /// Checks that a ping loses nothing, or everything, once the daemons had a moment to learn of a change.
    fn ping(&mut self, from: &str, to: &str, reaches: bool) -> Result<String> {
        self.settle(from, to, reaches)?;
        let output = self.run(from, &format!("ping -c 3 -i 0.2 -W 1 {to}"))?;
        let (claim, words) = if reaches {
            (format!("{from} reaches {to}"), ", 0% packet loss")
        } else {
            (format!("{from} does not reach {to}"), ", 100% packet loss")
        };
        self.fact(&claim, words, &output);
        Ok(output)
    }

    fn settle(&self, from: &str, to: &str, reaches: bool) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < LIVE_WITHIN {
            let output = self.lab.exec(from, &["ping", "-c", "1", "-W", "0.3", to])?;
            if output.status.success() == reaches {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Shows `count` packets of a place's eth0 that match a filter, while another place pings; returns the lines.
    fn capture(
        &mut self,
        place: &str,
        filter: &str,
        count: usize,
        from: &str,
        to: &str,
    ) -> Result<String> {
        let reader = format!("tcpdump -n -l -c {count} -r - {filter}");
        let mut capture = Capture::start(self.lab.tap(place, "eth0")?, &reader)
            .map_err(io_error("cannot run", "tcpdump"))?;
        capture
            .wait_for("reading from")
            .map_err(|said| Error::Requirement(format!("tcpdump does not run: {said}")))?;
        self.run(from, &format!("ping -c 1 -W 2 {to}"))?;
        self.narrator
            .command("", &format!("vswitchctl lab tap {place} | {reader}"));
        let text = capture
            .finish()
            .map_err(io_error("cannot read from", "tcpdump"))?;
        self.narrator.output(&text);
        Ok(text)
    }
}
