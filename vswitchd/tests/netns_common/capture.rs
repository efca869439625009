//! tcpdump on an interface: what passed there, one line a frame.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use lab::Lab;

/// Until a frame that has passed is a line.
const PRINTED: Duration = Duration::from_millis(150);

/// A capture that runs.
pub(crate) struct Capture {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Capture {
    /// Starts one; returns when it listens.
    pub(crate) fn start(lab: &Lab, target: &str, interface: &str, filter: &str) -> Self {
        let argv = "tcpdump -l -n -e -v --immediate-mode -i"
            .split(' ')
            .chain([interface, filter]);
        let mut command = lab.command(target, &argv.collect::<Vec<_>>()).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut complaints = BufReader::new(child.stderr.take().unwrap()).lines();
        let listens = complaints
            .by_ref()
            .any(|line| line.is_ok_and(|line| line.contains("listening on")));
        assert!(listens, "tcpdump on {target} {interface}: {filter}");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (frames, output) = (Arc::clone(&lines), child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                note(&mut frames.lock().unwrap(), line);
            }
        });
        thread::spawn(move || complaints.for_each(drop));
        Self { child, lines }
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
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
