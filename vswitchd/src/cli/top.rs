//! `vswitchctl top`: what the switch does at this moment.

mod measure;
mod screen;

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::ValueEnum;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
};

use super::{Daemon, say, to_json};
use measure::{Measurement, Order, Sample};

/// Arguments of `vswitchctl top`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Keys: b, f, d, n sort by bits, frames, drops, name; space pauses; q quits.

Examples:
  vswitchctl top
  vswitchctl top --interval 5
  vswitchctl top --once -o json | jq '.workers'")]
pub(super) struct Args {
    /// Seconds between two measurements, 1 to 60.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    interval: u64,
    /// Measure once, over one interval, and print it.
    #[arg(long)]
    once: bool,
    /// Of --once: table or json.
    #[arg(short, long, value_enum, default_value_t = Output::Table, requires = "once")]
    output: Output,
}

/// How one measurement is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// As the screen.
    Table,
    /// An object.
    Json,
}

/// The width and height in which `--once` is drawn.
const PAPER: (u16, u16) = (100, 48);

impl Args {
    pub(super) fn run(self, daemon: &Daemon) -> anyhow::Result<ExitCode> {
        let interval = Duration::from_secs(self.interval);
        if self.once {
            return self.print(daemon, interval);
        }
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            bail!(
                "top needs a terminal to draw on; `vswitchctl top --once` prints one measurement"
            );
        }
        // Whoever does not answer is to be told of before the screen is taken.
        let first = Sample::take(daemon)?;
        let mut terminal = ratatui::try_init()?;
        let ended = Top::new(first, interval).run(&mut terminal, daemon);
        ratatui::restore();
        ended.map(|()| ExitCode::SUCCESS)
    }

    fn print(&self, daemon: &Daemon, interval: Duration) -> anyhow::Result<ExitCode> {
        let first = Sample::take(daemon)?;
        thread::sleep(interval);
        let mut measurement = Measurement::between(&first, &Sample::take(daemon)?);
        measurement.sort(Order::Bits);
        match self.output {
            Output::Json => say(&to_json(&measurement)?)?,
            Output::Table => say(&screen::text(&measurement, PAPER))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The screen's state.
struct Top {
    before: Sample,
    shown: Measurement,
    order: Order,
    paused: bool,
    /// Why there is no newer measurement.
    trouble: Option<String>,
    interval: Duration,
    due: Instant,
}

impl Top {
    /// The first measurement comes sooner than the others.
    fn new(first: Sample, interval: Duration) -> Self {
        Self {
            shown: Measurement::between(&first, &first),
            before: first,
            order: Order::Bits,
            paused: false,
            trouble: None,
            interval,
            due: Instant::now() + Duration::from_millis(500),
        }
    }

    fn run(mut self, terminal: &mut DefaultTerminal, daemon: &Daemon) -> anyhow::Result<()> {
        loop {
            terminal.draw(|frame| screen::draw(frame, &self.shown, &self.footer()))?;
            if event::poll(self.due.saturating_duration_since(Instant::now()))? {
                match event::read()? {
                    Event::Key(key) if key.kind == KeyEventKind::Press && self.takes(key) => {
                        return Ok(());
                    }
                    _ => {} // a key was taken; a resize is drawn at once
                }
            }
            if Instant::now() >= self.due {
                self.due = Instant::now() + self.interval;
                if !self.paused {
                    self.measure(daemon);
                }
            }
        }
    }

    /// True when the key ends it.
    fn takes(&mut self, key: KeyEvent) -> bool {
        let order = match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
            KeyCode::Char('q') | KeyCode::Esc => return true,
            KeyCode::Char('b') => Order::Bits,
            KeyCode::Char('f') => Order::Frames,
            KeyCode::Char('d') => Order::Drops,
            KeyCode::Char('n') => Order::Name,
            KeyCode::Char(' ') => {
                self.paused = !self.paused;
                self.order
            }
            _ => self.order,
        };
        self.order = order;
        self.shown.sort(order);
        false
    }

    /// A daemon that does not answer may be back the next time.
    fn measure(&mut self, daemon: &Daemon) {
        match Sample::take(daemon) {
            Ok(now) => {
                self.shown = Measurement::between(&self.before, &now);
                self.shown.sort(self.order);
                self.before = now;
                self.trouble = None;
            }
            Err(error) => self.trouble = Some(format!("{error:#}")),
        }
    }

    fn footer(&self) -> String {
        match (&self.trouble, self.paused) {
            (Some(trouble), _) => trouble.clone(),
            (None, true) => "paused: space goes on, q quits".into(),
            (None, false) => format!(
                "by {}: b bits, f frames, d drops, n name   space pause   q quit",
                self.order.word()
            ),
        }
    }
}
