//! `vswitchctl capture` against a node's daemon, and tshark and capinfos to read what it writes.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use lab::Lab;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{show, soon, text};

/// Until a frame that has passed is in the file.
const WRITTEN: Duration = Duration::from_millis(100);

/// `vswitchctl`, from outside the lab, for a node's daemon.
pub(crate) fn vswitchctl(lab: &Lab, node: &str) -> Command {
    let socket = lab.sandbox().path(lab::node::socket(node));
    let mut command = Command::new(env!("CARGO_BIN_EXE_vswitchctl"));
    command.arg("--socket").arg(socket);
    command
}

/// A capture into a file.
pub(crate) struct Tap {
    child: Child,
    folder: tempfile::TempDir,
}

impl Tap {
    /// Starts `vswitchctl capture LINE -w FILE`, LINE split at blanks; returns when it looks.
    pub(crate) fn start(lab: &Lab, node: &str, line: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let before = show(lab, node, "taps").len();
        let child = vswitchctl(lab, node)
            .arg("capture")
            .args(line.split_whitespace())
            .arg("-w")
            .arg(folder.path().join("tap.pcapng"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        soon(&format!("capture {line} begins"), || {
            show(lab, node, "taps").len() > before
        });
        Self { child, folder }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// Ends it as Ctrl-C does; the file, and the summary.
    pub(crate) fn finish(self) -> (Recorded, String) {
        thread::sleep(WRITTEN);
        kill(self.pid(), Signal::SIGINT).unwrap();
        let output = self.child.wait_with_output().unwrap();
        let said = text(&output);
        assert!(output.status.success(), "{said}");
        (Recorded(self.folder), said)
    }
}

/// What was recorded.
pub(crate) struct Recorded(tempfile::TempDir);

impl Recorded {
    /// The file.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("tap.pcapng")
    }

    /// One line a packet, of these tshark fields with `|` between them. Neither tshark nor capinfos complains.
    pub(crate) fn fields(&self, fields: &[&str]) -> Vec<String> {
        fields_of(&self.path(), fields)
    }

    /// What capinfos says.
    pub(crate) fn capinfos(&self) -> String {
        let mut command = Command::new("capinfos");
        command.arg(self.path());
        run(command, "capinfos (Debian package wireshark-common)")
    }
}

/// [`Recorded::fields`] of any file.
pub(crate) fn fields_of(file: &std::path::Path, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields", "-E", "separator=|", "-r"]);
    command.arg(file);
    for field in fields {
        command.args(["-e", field]);
    }
    let said = run(command, "tshark (Debian package tshark)");
    said.lines().map(str::to_owned).collect()
}

/// Standard output of a program that must say nothing else.
fn run(mut command: Command, what: &str) -> String {
    let output = command
        .env("PATH", lab::binaries::system_path())
        .output()
        .unwrap_or_else(|error| panic!("{what}: {error}; install it"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<&str> = complaints
        .lines()
        .filter(|line| !line.contains("Running as user"))
        .collect();
    assert!(
        output.status.success() && complaints.is_empty(),
        "{what}: {complaints:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}
