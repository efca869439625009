//! `vswitchctl` as a process: what it prints where, and with which status it ends.

#![forbid(unsafe_code)]

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};

use cni_shim::{
    Request, Response,
    protocol::{from_line, to_line},
};
use serde_json::{Value, json};
use tempfile::TempDir;

fn vswitchctl(socket: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vswitchctl"));
    command
        .args(line.split_whitespace())
        .env("VSWITCHD_SOCKET", socket);
    command
}

fn run(socket: &Path, line: &str) -> Output {
    vswitchctl(socket, line).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

/// A daemon that answers one client with the same rows, whatever it asks.
fn daemon(rows: Value) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sock");
    let listener = UnixListener::bind(&path).unwrap();
    let rows: Vec<_> = rows.as_array().unwrap().clone();
    let rows = rows.iter().map(|row| row.as_object().unwrap().clone());
    let answer = Response::Table {
        rows: rows.collect(),
    };
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for line in BufReader::new(stream.try_clone().unwrap()).lines() {
            let Ok(Request::Show { .. }) = from_line(&line.unwrap()) else {
                panic!("not a show request");
            };
            // A client that needs no more has hung up.
            let _ = stream.write_all(to_line(&answer).unwrap().as_bytes());
        }
    });
    (directory, path)
}

fn drops(count: usize) -> Value {
    let row = |n| json!({"reason": format!("reason_{n}"), "count": count - n, "sentence": "Why."});
    (0..count).map(row).collect()
}

#[test]
fn a_table_goes_to_standard_output() {
    let (_directory, socket) = daemon(drops(2));
    let output = run(&socket, "show drops");
    assert!(output.status.success());
    assert_eq!(
        text(&output.stdout),
        "REASON     COUNT   SENTENCE\nreason_0   2       Why.\nreason_1   1       Why.\n"
    );
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn json_is_an_array_of_objects() {
    let (_directory, socket) = daemon(drops(2));
    let output = run(&socket, "show drops -o json");
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, drops(2));
}

#[test]
fn an_empty_table_is_a_remark_beside_an_empty_output() {
    let (_directory, socket) = daemon(json!([]));
    let output = run(&socket, "show endpoints");
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "");
    assert_eq!(text(&output.stderr), "no endpoints\n");
}

#[test]
fn without_a_daemon_there_is_one_sentence_and_status_1() {
    let output = run(Path::new("/nonexistent/sock"), "show routes");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("/nonexistent/sock"), "{said}");
    assert!(said.contains("vswitchd --config FILE"), "{said}");
}

#[test]
fn an_unknown_table_is_a_wrong_command_line() {
    let output = run(Path::new("/nonexistent/sock"), "show rutes");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("conntrack"));
}

#[test]
fn a_reader_that_hangs_up_early_is_not_complained_about() {
    let (_directory, socket) = daemon(drops(20_000));
    let mut child = vswitchctl(&socket, "show drops")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
fn the_doctors_status_is_that_of_its_worst_finding() {
    let nowhere = tempfile::tempdir().unwrap();
    let bridge = r#"{"name":"podman","type":"bridge"}"#;
    std::fs::write(nowhere.path().join("87-podman-bridge.conf"), bridge).unwrap();
    let line = format!(
        "doctor -o json --cni-dir {0} --cni-cache {0}",
        nowhere.path().display()
    );
    let output = run(&nowhere.path().join("sock"), &line);
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let about = |subject: &str| {
        let mut all = findings.as_array().unwrap().iter();
        all.find(|finding| finding["subject"] == subject)
            .unwrap()
            .clone()
    };
    assert_eq!(about("daemon")["level"], "broken");
    let cni = about("CNI configuration");
    assert_eq!(cni["level"], "broken");
    assert!(cni["found"].as_str().unwrap().contains("podman"), "{cni}");
    assert_eq!(output.status.code(), Some(2));
}
