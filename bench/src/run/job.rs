//! A program that runs in a [`Place`] for a bounded time and is ended with its value.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;

use super::{
    error::{Error, Result, io_error},
    interrupt,
    place::Place,
};

/// How often a wait looks whether the bench was interrupted.
const LOOK: Duration = Duration::from_millis(50);

/// How long a server may take to end by itself.
const ENDED_WITHIN: Duration = Duration::from_millis(500);

/// A running program. Dropped, it is killed.
#[derive(Debug)]
pub struct Job {
    command: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    complaints: Option<JoinHandle<String>>,
}

impl Job {
    /// Starts it in a session of its own, as a container's programs are in one.
    ///
    /// Between sessions the kernel shares out the CPUs (`sched_autogroup`, sched(7)). Were all loads in one, those that wake
    /// each other thousands of times a second would keep whatever is outside it off the CPUs for seconds, `ksoftirqd`
    /// and the switches included (Linux 6.18; `bench/README.md`, "Pitfalls").
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(place: &Place, argv: &[&str]) -> Result<Self> {
        let in_session: Vec<&str> = ["setsid"].into_iter().chain(argv.iter().copied()).collect();
        let mut command = place.command(&in_session);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(io_error("cannot run `nsenter`"))?;
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                let mut read = BufReader::new(stdout)
                    .lines()
                    .map_while(std::result::Result::ok);
                read.all(|line| sender.send(line).is_ok())
            });
        }
        let complaints = child.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut said = String::new();
                let _ = stderr.read_to_string(&mut said);
                said
            })
        });
        Ok(Self {
            command: argv.join(" "),
            stdin: child.stdin.take(),
            child,
            lines,
            complaints,
        })
    }

    /// Starts an agent of this program.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn agent(place: &Place, arguments: &[&str]) -> Result<Self> {
        let own =
            std::env::current_exe().map_err(io_error("cannot find the bench's own program"))?;
        let own = own.to_string_lossy();
        let argv: Vec<&str> = [&*own, "agent"]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        Self::start(place, &argv)
    }

    /// Runs an agent that writes one JSON object.
    ///
    /// # Errors
    /// It fails, is late, or writes something else.
    pub fn ask_agent<T: DeserializeOwned>(
        place: &Place,
        arguments: &[&str],
        within: Duration,
    ) -> Result<T> {
        let mut job = Self::agent(place, arguments)?;
        job.stdin = None;
        let line = job.line(within)?;
        job.parse(&line)
    }

    /// Starts an agent that serves, and waits until it does.
    ///
    /// # Errors
    /// It does not.
    pub fn server(place: &Place, arguments: &[&str]) -> Result<Self> {
        let mut job = Self::agent(place, arguments)?;
        job.wait_for("ready")?;
        Ok(job)
    }

    /// Waits for a line with this word.
    ///
    /// # Errors
    /// The program ends without, or takes more than 10 s.
    pub fn wait_for(&mut self, word: &str) -> Result<()> {
        while !self.line(Duration::from_secs(10))?.contains(word) {}
        Ok(())
    }

    /// One line to its standard input, one from its output.
    ///
    /// # Errors
    /// As [`Job::ask_agent`].
    pub fn ask<T: DeserializeOwned>(&mut self) -> Result<T> {
        if let Some(stdin) = &mut self.stdin {
            stdin
                .write_all(b"\n")
                .map_err(io_error(format!("cannot speak to `{}`", self.command)))?;
        }
        let line = self.line(Duration::from_secs(5))?;
        self.parse(&line)
    }

    /// All that it writes until it ends.
    ///
    /// # Errors
    /// It fails or is late.
    pub fn output(mut self, within: Duration) -> Result<String> {
        self.stdin = None;
        let end = Instant::now() + within;
        let mut text = String::new();
        while let Some(line) = self.next_line(end, within)? {
            text.push_str(&line);
            text.push('\n');
        }
        match self.child.wait() {
            Ok(status) if status.success() => Ok(text),
            _ => Err(self.failed(&text)),
        }
    }

    fn line(&mut self, within: Duration) -> Result<String> {
        match self.next_line(Instant::now() + within, within)? {
            Some(line) => Ok(line),
            None => Err(self.failed("")),
        }
    }

    fn next_line(&mut self, end: Instant, within: Duration) -> Result<Option<String>> {
        loop {
            match self.lines.recv_timeout(LOOK) {
                Ok(line) => return Ok(Some(line)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => interrupt::check()?,
            }
            if Instant::now() > end {
                let command = self.command.clone();
                return Err(Error::Late { command, within });
            }
        }
    }

    fn parse<T: DeserializeOwned>(&self, line: &str) -> Result<T> {
        serde_json::from_str(line).map_err(|error| Error::Unexpected {
            place: self.command.clone(),
            expected: format!("a JSON object ({error})"),
            found: line.into(),
        })
    }

    fn failed(&mut self, written: &str) -> Error {
        if let Err(interrupted) = interrupt::check() {
            return interrupted;
        }
        let status = self
            .child
            .wait()
            .map_or_else(|error| error.to_string(), |s| s.to_string());
        let complaints = self.complaints.take().and_then(|thread| thread.join().ok());
        let complaints = complaints.filter(|said| !said.trim().is_empty());
        let said = complaints.unwrap_or_else(|| written.into());
        let start = said.char_indices().rev().nth(500).map_or(0, |(at, _)| at);
        Error::Failed {
            command: self.command.clone(),
            status,
            said: said[start..].trim().into(),
        }
    }
}

impl Drop for Job {
    /// A server ends with its standard input, and its port is free when it has; whatever does not is killed.
    fn drop(&mut self) {
        if self.stdin.take().is_some() {
            let end = Instant::now() + ENDED_WITHIN;
            while Instant::now() < end {
                if let Ok(Some(_)) = self.child.try_wait() {
                    return;
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
