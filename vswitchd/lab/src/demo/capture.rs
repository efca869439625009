//! A tap inside the lab and a tcpdump outside that reads it, while something else happens.

use std::{
    io::{self, BufRead, BufReader, Read},
    process::{Child, ChildStderr, Command, Stdio},
};

use crate::binaries::system_path;

/// Longest a capture may wait for its packets.
const SECONDS: &str = "10";

/// Both ends; the tap ends with this value.
#[derive(Debug)]
pub(super) struct Capture {
    tap: Child,
    reader: Child,
    stderr: BufReader<ChildStderr>,
}

impl Capture {
    /// Starts a tap and, on its output, a reader.
    pub(super) fn start(mut tap: Command, reader: &str) -> io::Result<Self> {
        let mut tap = tap.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let frames = tap.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let reader = Command::new("timeout")
            .arg(SECONDS)
            .args(reader.split(' '))
            .env("PATH", system_path())
            .stdin(frames)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut reader = reader.inspect_err(|_| end(&mut tap))?;
        let stderr = reader.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            tap,
            reader,
            stderr: BufReader::new(stderr),
        })
    }

    /// Waits until the reader says so on standard error; if it never does, what it said instead.
    pub(super) fn wait_for(&mut self, words: &str) -> Result<(), String> {
        let mut said = String::new();
        let mut line = String::new();
        while self.stderr.read_line(&mut line).unwrap_or(0) > 0 {
            if line.contains(words) {
                return Ok(());
            }
            said += &line;
            line.clear();
        }
        Err(said.trim().into())
    }

    /// Waits for the reader's end; returns its standard output.
    pub(super) fn finish(mut self) -> io::Result<String> {
        let mut text = String::new();
        if let Some(mut stdout) = self.reader.stdout.take() {
            stdout.read_to_string(&mut text)?;
        }
        self.reader.wait()?;
        Ok(text)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        end(&mut self.reader);
        end(&mut self.tap);
    }
}

fn end(child: &mut Child) {
    // One that has ended already is as good.
    let _ = child.kill();
    let _ = child.wait();
}
