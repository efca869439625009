//! `selector` and `lint`.

use std::fs;

use serde_json::Value;

use crate::shop::*;

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
