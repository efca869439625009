//! Questions to the daemon.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::Output,
    thread,
};

use cni_shim::{
    Request, Response,
    protocol::{from_line, to_line},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shop::*;

/// A daemon that answers one request, and what it was asked.
fn daemon(answer: Response) -> (TempDir, PathBuf, thread::JoinHandle<Request>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sock");
    let listener = UnixListener::bind(&path).unwrap();
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap())
            .read_line(&mut line)
            .unwrap();
        stream
            .write_all(to_line(&answer).unwrap().as_bytes())
            .unwrap();
        from_line(&line).unwrap()
    });
    (directory, path, asked)
}

fn live(socket: &Path, arguments: &[&str]) -> Output {
    let mut command = command(Path::new("/"), arguments);
    command.env("VSWITCHD_SOCKET", socket).output().unwrap()
}

fn rows(rows: &Value) -> Response {
    let rows = rows.as_array().unwrap().iter();
    let rows = rows.map(|row| row.as_object().unwrap().clone()).collect();
    Response::Table { rows }
}

#[test]
fn without_a_state_the_daemon_is_asked_to_explain() {
    let text_of = |text: &str| Response::Text { text: text.into() };
    let (_directory, socket, asked) = daemon(text_of("the story"));
    let output = live(&socket, &["explain", "a/b", "c/d", "--port", "53/udp"]);
    assert_status(&output, 0);
    assert_eq!(text(&output.stdout), "the story\n");
    let expected = Request::Explain {
        from: "a/b".into(),
        to: "c/d".into(),
        traffic: Some("53/udp".into()),
    };
    assert_eq!(asked.join().unwrap(), expected);
}

#[test]
fn without_a_state_the_daemon_is_asked_for_tables_and_answers() {
    let grid = json!([{"traffic": ["80/tcp"], "groups": [["a/b"], ["c/d"]], "cells": [["allowed", "both"], ["egress", "allowed"]]}]);
    let (_directory, socket, asked) = daemon(rows(&grid));
    let output = live(
        &socket,
        &[
            "matrix",
            "-n",
            "a",
            "--port",
            "80/tcp",
            "--outside",
            "192.0.2.1",
        ],
    );
    assert_status(&output, 0);
    assert!(text(&output.stdout).contains("1  a/b  \\ x"), "{output:?}");
    let expected = Request::Matrix {
        namespaces: vec!["a".into()],
        traffic: vec!["80/tcp".into()],
        addresses: vec!["192.0.2.1".parse().unwrap()],
    };
    assert_eq!(asked.join().unwrap(), expected);

    let answer = json!([{"id": "p1", "line": 1, "error": "expected x, found y"}, {"id": 2, "line": 3, "error": "expected x, found y"}]);
    let (directory, socket, asked) = daemon(rows(&answer));
    let probes = directory.path().join("probes");
    fs::write(&probes, PROBES).unwrap();
    let output = live(&socket, &["eval", "--probes", probes.to_str().unwrap()]);
    assert_status(&output, 1);
    assert_eq!(answers(&output), answer.as_array().unwrap().clone());
    let Request::Eval { first_line, lines } = asked.join().unwrap() else {
        panic!("another request");
    };
    assert_eq!((first_line, lines.len(), lines[1].as_str()), (1, 3, ""));
}

#[test]
fn without_a_daemon_there_is_one_sentence_and_status_2() {
    let shop = shop();
    for line in [
        &["matrix"][..],
        &["explain", "a/b", "c/d"],
        &["eval", "--probes", "probes.jsonl"],
    ] {
        let output = run(shop.path(), line);
        assert_status(&output, 2);
        let said = text(&output.stderr);
        assert!(said.contains("vswitchd does not answer at"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_refusal_of_the_daemon_is_said() {
    let refusal = Response::Error {
        code: 2,
        message: "3000 ends and 2 kinds of traffic are too many".into(),
        details: String::new(),
    };
    let (_directory, socket, _asked) = daemon(refusal);
    let output = live(&socket, &["matrix"]);
    assert_status(&output, 2);
    assert!(text(&output.stderr).contains("refuses: 3000 ends"));
}
