//! `explain`, `matrix` and `diff`.

use std::fs;

use serde_json::{Value, json};

use crate::shop::*;

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
