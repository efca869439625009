//! The log of a running daemon: JSON line by line, and changed by `vswitchctl log`.

#![forbid(unsafe_code)]

mod netns_common;

use lab::Lab;
use netns_common::{M02, minikube, run, show, soon, text};
use serde_json::Value;

/// What the daemon has written, each line an object.
fn lines(lab: &Lab) -> Vec<Value> {
    let log = lab.daemon(M02).unwrap().read_log().unwrap();
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    log.lines().map(line).collect()
}

fn vswitchctl(lab: &Lab, words: &str) -> (bool, String) {
    let program = env!("CARGO_BIN_EXE_vswitchctl");
    let socket = lab::node::socket(M02);
    let output = run(lab, M02, &format!("{program} --socket {socket} {words}"));
    (output.status.success(), text(&output))
}

#[test]
fn json_lines_are_objects_and_the_filter_is_changed_while_the_daemon_runs() {
    let mut config = minikube("log-json");
    let keys: toml::Table = toml::from_str("format = \"json\"\nlevel = \"info\"").unwrap();
    config.daemon.insert("log".into(), keys.into());
    let lab = Lab::up(config).unwrap();
    let before = lines(&lab);
    assert!(before.len() >= 3, "{before:#?}");
    for line in &before {
        assert_eq!(line["level"], "INFO", "{line}");
        for key in ["timestamp", "target"] {
            assert!(line[key].is_string(), "{key} of {line}");
        }
        assert!(line["fields"]["message"].is_string(), "{line}");
    }
    let attached = |line: &&Value| line["fields"]["message"] == "attached";
    let nginx = before.iter().find(attached).unwrap();
    assert_eq!(nginx["fields"]["pod"], "nginx", "{nginx}");

    assert_eq!(vswitchctl(&lab, "log show"), (true, "info\n".into()));
    let (done, said) = vswitchctl(&lab, "log set info,vswitchd::control=loud");
    assert!(
        !done && said.contains("found \"vswitchd::control=loud\""),
        "{said}"
    );
    assert_eq!(vswitchctl(&lab, "log show"), (true, "info\n".into()));

    let filter = "off,vswitchd::admin=debug";
    let (done, said) = vswitchctl(&lab, &format!("log set {filter}"));
    assert!(done, "{said}");
    assert_eq!(said.trim(), filter);
    // A client that speaks and hangs up in the middle of the answer is a debug line of the socket.
    let script = format!(
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('{}'); s.sendall(b'\\xff\\n'); s.close()",
        lab::node::socket(M02)
    );
    let length = lines(&lab).len();
    soon("a debug line", || {
        netns_common::python(&lab, M02, &script);
        let all = lines(&lab);
        all[length..].iter().any(|line| line["level"] == "DEBUG")
    });
    let newer = &lines(&lab)[length..];
    let target = |line: &Value| line["target"].as_str().unwrap().to_owned();
    assert!(
        newer
            .iter()
            .all(|line| target(line).starts_with("vswitchd::admin"))
    );
    assert_eq!(show(&lab, M02, "status").len(), 1, "it serves on");
}
