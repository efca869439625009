//! tcpdump on an interface: what passed there, one line a frame.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use lab::Lab;

/// Until a frame that has passed is a line.
const PRINTED: Duration = Duration::from_millis(150);

/// A capture that runs: a tap inside the lab, and tcpdump outside that reads it.
pub(crate) struct Capture {
    tap: Child,
    reader: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Capture {
    /// Starts one; returns when it listens.
    pub(crate) fn start(lab: &Lab, target: &str, interface: &str, filter: &str) -> Self {
        let mut tap = lab.tap(target, interface).unwrap();
        let mut tap = tap
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reader = Command::new("tcpdump")
            .args(["-l", "-n", "-e", "-v", "-r", "-", filter])
            .env("PATH", lab::binaries::system_path())
            .stdin(tap.stdout.take().unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut words = BufReader::new(reader.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        // The tap writes the file's header when its socket is open.
        let reads = words.any(|line| line.contains("reading from file"));
        assert!(reads, "tcpdump of {target} {interface}: {filter}");
        thread::spawn(move || words.for_each(drop));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (frames, output) = (Arc::clone(&lines), reader.stdout.take().unwrap());
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                note(&mut frames.lock().unwrap(), line);
            }
        });
        Self { tap, reader, lines }
    }

    /// The frames so far.
    pub(crate) fn frames(&self) -> Vec<String> {
        thread::sleep(PRINTED);
        self.lines.lock().unwrap().clone()
    }
}

/// With `-v` a frame's later lines are indented.
fn note(frames: &mut Vec<String>, line: String) {
    match frames.last_mut() {
        Some(frame) if line.starts_with(char::is_whitespace) => frame.push_str(&line),
        _ => frames.push(line),
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        for child in [&mut self.tap, &mut self.reader] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
