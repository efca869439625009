//! `eval`.

use std::fs;

use serde_json::{Value, json};

use crate::shop::*;

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
