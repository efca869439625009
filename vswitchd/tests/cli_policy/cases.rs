//! The hand-written cases of the crate `policy`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::shop::*;

pub(crate) fn directory() -> PathBuf {
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
