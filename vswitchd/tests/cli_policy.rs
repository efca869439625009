//! `vswitchctl policy` as a process: every verb, its errors and its exit status; and every case of
//! `policy/tests/cases` through `policy eval`.

#![forbid(unsafe_code)]

use std::{
    fs,
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

const STATE: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- apiVersion: v1
  kind: Pod
  metadata: {name: web, namespace: shop, labels: {app: web}}
  spec: {containers: [{name: c}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: db, namespace: shop, labels: {app: db}}
  spec: {containers: [{name: c, ports: [{name: sql, containerPort: 5432}]}]}
  status: {phase: Running, podIPs: [{ip: 10.0.0.2}]}
";

const POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: sql}]
";

const PROBES: &str = r#"{"id":"p1","from":"shop/web","to":"shop/db","protocol":"TCP","port":5432}

{"id":2,"from":"203.0.113.7","to":"shop/db","protocol":"tcp","port":5432}
"#;

/// A directory with `state.yaml`, `policies/db.yaml` and `probes.jsonl`.
fn shop() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("state.yaml"), STATE).unwrap();
    fs::create_dir(path.join("policies")).unwrap();
    fs::write(path.join("policies/db.yaml"), POLICY).unwrap();
    fs::write(path.join("probes.jsonl"), PROBES).unwrap();
    directory
}

/// `vswitchctl policy` with these arguments, in this directory. No daemon is there.
fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vswitchctl"));
    command
        .arg("policy")
        .args(arguments)
        .current_dir(directory)
        .env("VSWITCHD_SOCKET", directory.join("nobody"));
    command
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    command(directory, arguments).output().unwrap()
}

fn fed(directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = command(directory, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[track_caller]
fn assert_status(output: &Output, status: i32) {
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{out}\n{error}");
}

fn answers(output: &Output) -> Vec<Value> {
    let lines = text(&output.stdout).lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

const EVAL: [&str; 7] = [
    "eval",
    "-f",
    "state.yaml",
    "-f",
    "policies",
    "--probes",
    "probes.jsonl",
];

#[test]
fn eval_answers_a_line_for_each_probe_with_stable_keys() {
    let shop = shop();
    let output = run(shop.path(), &[&EVAL[..], &["--output", "jsonl"]].concat());
    assert_status(&output, 0);
    assert_eq!(
        text(&output.stdout),
        concat!(
            r#"{"id":"p1","verdict":"allow","egress":{"verdict":"allow","reason":"no policy selects"},"ingress":{"verdict":"allow","reason":"rule","policy":"NetworkPolicy shop/db","tier":"default","rule":0}}"#,
            "\n",
            r#"{"id":2,"verdict":"deny","egress":{"verdict":"allow","reason":"not policed","because":"outside the cluster"},"ingress":{"verdict":"deny","reason":"end of tier","tier":"default","selectedBy":["NetworkPolicy shop/db"]}}"#,
            "\n"
        )
    );
}

#[test]
fn eval_answers_bad_probes_in_their_place_and_ends_with_1() {
    let shop = shop();
    let probes = format!(
        "not json\n{PROBES}{{\"id\":3,\"from\":\"shop/x\",\"to\":\"shop/db\",\"protocol\":\"ICMP\"}}\n"
    );
    fs::write(shop.path().join("probes.jsonl"), probes).unwrap();
    let output = run(shop.path(), &EVAL);
    assert_status(&output, 1);
    let answers = answers(&output);
    let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, [&Value::Null, &json!("p1"), &json!(2), &json!(3)]);
    assert_eq!(answers[0]["line"], 1);
    assert_eq!(answers[3]["line"], 5, "blank lines count");
    let error = answers[3]["error"].as_str().unwrap();
    assert!(
        error.starts_with("from: expected a pod of the state, found \"shop/x\""),
        "{error}"
    );
}

#[test]
fn eval_with_a_bad_state_gives_no_answer_all_errors_and_2() {
    let shop = shop();
    let bad = POLICY.replace("podSelector: {matchLabels: {app: db}}", "podSelectr: {}");
    fs::write(shop.path().join("policies/bad.yaml"), &bad).unwrap();
    fs::write(
        shop.path().join("policies/worse.yaml"),
        "kind: Pot\napiVersion: v1\n",
    )
    .unwrap();
    let output = run(shop.path(), &EVAL);
    assert_status(&output, 2);
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    assert!(said.contains("policies/bad.yaml:6:"), "{said}");
    assert!(said.contains("policies/worse.yaml:1:"), "{said}");
    assert!(said.contains("found these 2 errors"), "{said}");
}

#[test]
fn eval_finds_an_object_that_stands_in_two_files() {
    let shop = shop();
    let line = [
        "eval",
        "-f",
        "policies",
        "-f",
        "policies/db.yaml",
        "--probes",
        "probes.jsonl",
    ];
    let output = run(shop.path(), &line);
    assert_status(&output, 2);
    let said = text(&output.stderr);
    assert!(
        said.contains("NetworkPolicy shop/db was already defined at policies/db.yaml:2"),
        "{said}"
    );
}

#[test]
fn eval_reads_files_as_windows_editors_leave_them() {
    let shop = shop();
    for name in ["state.yaml", "policies/db.yaml", "probes.jsonl"] {
        let path = shop.path().join(name);
        let plain = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("\u{feff}{}", plain.replace('\n', "\r\n"))).unwrap();
    }
    let output = run(shop.path(), &EVAL);
    assert_status(&output, 0);
    assert_eq!(answers(&output).len(), 2);
}

#[test]
fn eval_reads_state_or_probes_from_standard_input_but_not_both() {
    let shop = shop();
    let probes = [
        "eval",
        "-f",
        "state.yaml",
        "-f",
        "policies",
        "--probes",
        "-",
    ];
    let output = fed(shop.path(), &probes, PROBES);
    assert_status(&output, 0);
    assert_eq!(answers(&output).len(), 2);
    let state = [
        "eval",
        "-f",
        "-",
        "-f",
        "policies",
        "--probes",
        "probes.jsonl",
    ];
    let output = fed(shop.path(), &state, STATE);
    assert_status(&output, 0);
    let both = ["eval", "-f", "-", "--probes", "-"];
    assert_status(&fed(shop.path(), &both, ""), 2);
    let missing = ["eval", "-f", "state.yaml", "--probes", "missing"];
    assert_status(&run(shop.path(), &missing), 2);
}

#[test]
fn eval_prints_a_table_for_people() {
    let shop = shop();
    let output = run(shop.path(), &[&EVAL[..], &["-o", "table"]].concat());
    assert_status(&output, 0);
    assert_eq!(
        text(&output.stdout),
        "\
ID   FROM          TO        TRAFFIC    VERDICT   EGRESS                             INGRESS
p1   shop/web      shop/db   5432/tcp   allow     no policy selects                  rule 0 of NetworkPolicy shop/db
2    203.0.113.7   shop/db   5432/tcp   deny      not policed: outside the cluster   end of tier default, selected by NetworkPolicy shop/db
"
    );
}

#[test]
fn eval_of_ten_thousand_probes_is_quick() {
    let shop = shop();
    let mut policies = String::new();
    for n in 0..300 {
        let policy = POLICY.replace("name: db,", &format!("name: db-{n},"));
        policies.push_str("---\n");
        policies.push_str(&policy.replace("app: web", &format!("app: web-{n}")));
    }
    fs::write(shop.path().join("policies/many.yaml"), policies).unwrap();
    let probe = |n: u32| {
        let port = n % 60_000 + 1;
        format!(
            "{{\"id\":{n},\"from\":\"shop/web\",\"to\":\"shop/db\",\"protocol\":\"TCP\",\"port\":{port}}}\n"
        )
    };
    let probes: String = (0..10_000).map(probe).collect();
    fs::write(shop.path().join("probes.jsonl"), probes).unwrap();
    let began = std::time::Instant::now();
    let output = run(shop.path(), &EVAL);
    let took = began.elapsed();
    assert_status(&output, 0);
    let answers = answers(&output);
    assert_eq!(answers.len(), 10_000);
    let allowed = answers.iter().filter(|answer| answer["verdict"] == "allow");
    assert_eq!(allowed.count(), 1);
    // Unoptimised, on a busy machine; an answer that scanned the policies would take minutes.
    assert!(took.as_secs() < 20, "{took:?}");
}

#[test]
fn explain_tells_the_story_of_a_denial() {
    let shop = shop();
    let state = ["-f", "state.yaml", "-f", "policies"];
    let line = [
        &["explain", "shop/web", "shop/db", "--port", "8080/tcp"],
        &state[..],
    ]
    .concat();
    let output = run(shop.path(), &line);
    assert_status(&output, 0);
    let story = text(&output.stdout);
    for part in [
        "shop/web -> shop/db 8080/tcp: denied by the ingress policy of shop/db",
        "shop/web, a pod without an address yet",
        "tier default: selected by NetworkPolicy shop/db",
        "would match if this were sql/tcp (5432 in shop/db) instead of 8080/tcp",
    ] {
        assert!(story.contains(part), "{part}\n{story}");
    }
    let overview = run(
        shop.path(),
        &[&["explain", "shop/web", "shop/db"], &state[..]].concat(),
    );
    let story = text(&overview.stdout);
    assert!(story.contains("allowed  5432/tcp"), "{story}");
    assert!(story.contains("denied   other tcp, icmp"), "{story}");
}

#[test]
fn explain_of_an_unknown_end_or_strange_traffic_ends_with_2() {
    let shop = shop();
    let nobody = run(
        shop.path(),
        &["explain", "shop/x", "shop/db", "-f", "state.yaml"],
    );
    assert_status(&nobody, 2);
    assert!(text(&nobody.stderr).contains("in its namespace: db, web"));
    let traffic = [
        "explain",
        "shop/web",
        "shop/db",
        "--port",
        "80",
        "-f",
        "state.yaml",
    ];
    let output = run(shop.path(), &traffic);
    assert_status(&output, 2);
    assert!(text(&output.stderr).contains("expected PORT/tcp"));
}

#[test]
fn matrix_prints_a_table_and_json() {
    let shop = shop();
    let line = [
        "matrix",
        "-f",
        "state.yaml",
        "-f",
        "policies",
        "--port",
        "5432/tcp",
        "--outside",
        "203.0.113.7",
    ];
    let output = run(shop.path(), &line);
    assert_status(&output, 0);
    assert_eq!(
        text(&output.stdout),
        "\
5432/tcp: who (row) may open a connection to whom (column)

                1 2 3
1  shop/db      \\ + +
2  shop/web     + \\ +
3  203.0.113.7  i + \\

+ may   i the other's ingress policy denies   \\ itself
"
    );
    let output = run(shop.path(), &[&line[..], &["-o", "json"]].concat());
    let records: Value = serde_json::from_slice(&output.stdout).unwrap();
    let denied: Vec<&Value> = records
        .as_array()
        .unwrap()
        .iter()
        .filter(|record| record["verdict"] == "deny")
        .collect();
    assert_eq!(
        denied,
        [
            &json!({"traffic": ["5432/tcp"], "from": ["203.0.113.7"], "to": ["shop/db"], "verdict": "deny", "denied_by": ["ingress"]})
        ]
    );
}

#[test]
fn matrix_without_a_port_has_a_table_for_what_policies_tell_apart() {
    let shop = shop();
    let output = run(
        shop.path(),
        &["matrix", "-f", "state.yaml", "-f", "policies", "-n", "shop"],
    );
    assert_status(&output, 0);
    let tables = text(&output.stdout);
    assert!(tables.contains("5432/tcp: who"), "{tables}");
    assert!(tables.contains("other tcp and icmp: who"), "{tables}");
}

#[test]
fn diff_ends_with_0_1_or_2_as_diff_does() {
    let shop = shop();
    let path = shop.path();
    fs::create_dir(path.join("old")).unwrap();
    fs::create_dir(path.join("new")).unwrap();
    for side in ["old", "new"] {
        fs::write(path.join(side).join("state.yaml"), STATE).unwrap();
    }
    fs::write(path.join("old/db.yaml"), POLICY).unwrap();
    let line = ["diff", "-f", "old", "-f", "new"];
    let output = run(path, &line);
    assert_status(&output, 1);
    let said = text(&output.stdout);
    assert!(
        said.contains(
            "now allowed: 5432/tcp, other tcp, icmp\n  from    203.0.113.1\n  to      shop/db"
        ),
        "{said}"
    );
    assert!(
        said.contains(
            "  before  denied by ingress (end of tier default, selected by NetworkPolicy shop/db)"
        ),
        "{said}"
    );
    assert!(
        said.contains("  after   allowed by ingress (no policy selects)"),
        "{said}"
    );
    let json = run(path, &[&line[..], &["-o", "json"]].concat());
    let changes: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(
        changes["changes"].as_array().unwrap().len() >= 2,
        "{changes}"
    );
    let one_port = [&line[..], &["--port", "5432/tcp"]].concat();
    assert_status(&run(path, &one_port), 1);
    fs::write(path.join("new/db.yaml"), POLICY).unwrap();
    let same = run(path, &line);
    assert_status(&same, 0);
    assert!(text(&same.stdout).starts_with("no verdict changes"));
    assert_status(&run(path, &["diff", "-f", "old"]), 2);
    assert_status(&run(path, &["diff", "-f", "old", "-f", "missing"]), 2);
}

#[test]
fn selector_prints_true_or_false_and_points_at_a_mistake() {
    let shop = shop();
    for (expression, answer) in [
        ("app == 'web' && has(tier)", "true\n"),
        ("app not in {'web'}", "false\n"),
        ("", "true\n"),
    ] {
        let output = run(
            shop.path(),
            &["selector", expression, "--labels", "app=web,tier=front"],
        );
        assert_status(&output, 0);
        assert_eq!(text(&output.stdout), answer, "{expression}");
    }
    let wrong = run(
        shop.path(),
        &["selector", "app == web", "--labels", "app=web"],
    );
    assert_status(&wrong, 2);
    assert_eq!(text(&wrong.stdout), "");
    let said = text(&wrong.stderr);
    assert!(
        said.contains("app == web\n       ^\nexpected a value in quotes"),
        "{said}"
    );
    let labels = run(shop.path(), &["selector", "all()", "--labels", "app"]);
    assert_status(&labels, 2);
    assert!(text(&labels.stderr).contains("expected KEY=VALUE, found \"app\""));
}

#[test]
fn lint_ends_with_0_1_or_2() {
    let shop = shop();
    let path = shop.path();
    let line = ["lint", "-f", "state.yaml", "-f", "policies"];
    let clean = run(path, &line);
    assert_status(&clean, 0);
    assert_eq!(text(&clean.stdout), "");
    let bad = POLICY
        .replace("port: sql", "port: sqll")
        .replace("name: db,", "name: bad,");
    fs::write(path.join("policies/bad.yaml"), bad).unwrap();
    let found = run(path, &line);
    assert_status(&found, 1);
    let said = text(&found.stdout);
    assert!(
        said.starts_with("policies/bad.yaml:2: warning: NetworkPolicy shop/bad, spec.ingress[0].ports[0]: shop/db does not declare tcp port \"sqll\""),
        "{said}"
    );
    let json = run(path, &[&line[..], &["-o", "json"]].concat());
    let findings: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(findings[0]["field"], "spec.ingress[0].ports[0]");
    assert_eq!(findings[0]["level"], "warning");
    fs::write(path.join("policies/bad.yaml"), "kind: Pot\n").unwrap();
    assert_status(&run(path, &line), 2);
    assert_status(&run(path, &["lint"]), 2);
}

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

/// The commands of the README's section and what it says they print.
fn readme() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(path).unwrap();
    let section = text.split("\n## ").find(|part| part.starts_with("Ask it"));
    let section = section.expect("a section about policy");
    let block = section.split("```console\n").nth(1).unwrap();
    let block = block.split("```").next().unwrap();
    let parts = block.split("$ ").filter(|part| !part.is_empty());
    let example = |part: &str| {
        // A command ends with its line, unless that ends with a pipe.
        let end = part
            .match_indices('\n')
            .find(|(at, _)| !part[..*at].ends_with('|'));
        let (command, printed) = part.split_at(end.unwrap().0 + 1);
        (command.to_owned(), printed.to_owned())
    };
    parts.map(example).collect()
}

#[test]
fn the_readme_shows_what_is_printed() {
    let examples = readme();
    assert!(examples.len() >= 3, "{examples:?}");
    let binary = Path::new(env!("CARGO_BIN_EXE_vswitchctl"));
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
    for (command, printed) in examples {
        let output = Command::new("sh")
            .args(["-c", &command])
            .current_dir(cases::directory())
            .env("PATH", &path)
            .output()
            .unwrap();
        assert_eq!(text(&output.stdout), printed, "{command}");
    }
}

/// The hand-written cases of the crate `policy`.
mod cases {
    use super::*;

    pub(super) fn directory() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/cases")
    }

    /// A line of a table: the probe, and what must be answered.
    struct Line {
        number: usize,
        probe: Value,
        verdict: String,
        egress: String,
        ingress: String,
    }

    fn line(number: usize, text: &str) -> Option<Line> {
        let text = text.split('#').next().unwrap_or_default();
        let columns: Vec<&str> = text.split_whitespace().collect();
        let [from, to, traffic, verdict, rest @ ..] = columns.as_slice() else {
            assert!(columns.is_empty(), "line {number}: {text}");
            return None;
        };
        let mut probe = json!({"id": number, "from": from, "to": to});
        match traffic.split_once('/') {
            Some((port, protocol)) if !traffic.contains(':') => {
                probe["protocol"] = protocol.into();
                probe["port"] = port.parse::<u16>().unwrap().into();
            }
            _ => {
                let (name, message) = traffic.split_once(':').unwrap_or((traffic, ""));
                probe["protocol"] = name.into();
                if let Some((kind, code)) = message.split_once('/') {
                    probe["icmpType"] = kind.parse::<u8>().unwrap().into();
                    probe["icmpCode"] = code.parse::<u8>().unwrap().into();
                }
            }
        }
        let decider = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
        Some(Line {
            number,
            probe,
            verdict: (*verdict).to_owned(),
            egress: decider(0),
            ingress: decider(1),
        })
    }

    /// Half an answer in the words of the tables.
    fn word(half: &Value) -> String {
        match half["reason"].as_str().unwrap_or_default() {
            "rule" => {
                let policy = half["policy"].as_str().unwrap_or_default();
                let name = policy.split_once(' ').map_or(policy, |(_, name)| name);
                format!("{name}[{}]", half["rule"])
            }
            "end of tier" => format!("end:{}", half["tier"].as_str().unwrap_or_default()),
            "no policy selects" => "none".to_owned(),
            "no policy decides" => "passed".to_owned(),
            "not policed" => "outside".to_owned(),
            "own node" => "host".to_owned(),
            "own traffic" => "itself".to_owned(),
            "neighbour discovery" => "discovery".to_owned(),
            other => format!("strange: {other}"),
        }
    }

    /// What is wrong with a case.
    fn mistakes(case: &Path) -> Vec<String> {
        let directory = directory();
        let table = fs::read_to_string(case.with_extension("table")).unwrap();
        let lines: Vec<Line> = (1..)
            .zip(table.lines())
            .filter_map(|(number, text)| line(number, text))
            .collect();
        let probes: String = lines
            .iter()
            .map(|line| format!("{}\n", line.probe))
            .collect();
        let case = case.to_str().unwrap();
        let arguments = [
            "eval",
            "-f",
            "world.yaml",
            "-f",
            "houses.yaml",
            "-f",
            case,
            "--probes",
            "-",
        ];
        let output = fed(&directory, &arguments, &probes);
        let found = answers(&output);
        if found.len() != lines.len() || output.status.code() != Some(0) {
            return vec![format!(
                "{case}: {}{}",
                text(&output.stdout),
                text(&output.stderr)
            )];
        }
        let wrong = lines.iter().zip(&found).filter_map(|(line, answer)| {
            let expects = |expected: &str, found: &str| expected.is_empty() || expected == found;
            let right = answer["verdict"] == *line.verdict
                && expects(&line.egress, &word(&answer["egress"]))
                && expects(&line.ingress, &word(&answer["ingress"]));
            (!right).then(|| format!("{case}, line {} of the table: {answer}", line.number))
        });
        wrong.collect()
    }

    #[test]
    fn eval_says_what_every_hand_written_table_says() {
        let mut tables: Vec<PathBuf> = fs::read_dir(directory())
            .expect("policy/tests/cases is there")
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|own| own == "table"))
            .collect();
        tables.sort();
        assert!(tables.len() >= 30, "{} cases", tables.len());
        let mistakes: Vec<String> = tables
            .iter()
            .flat_map(|table| mistakes(&table.with_extension("yaml")))
            .collect();
        assert!(mistakes.is_empty(), "{mistakes:#?}");
    }
}
