//! Differences between two states of a small cluster.

use super::*;
use crate::ask::{FlowKind, Judge};
use crate::{Cluster, parse};

const PODS: [&str; 4] = ["web-0", "web-1", "db", "guest"];

fn judge(pods: &[&str], policies: &str) -> Judge {
    let pod = |name: &&str| {
        let app = name.trim_end_matches("-0").trim_end_matches("-1");
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: shop, labels: {{app: {app}}}}}, \
             spec: {{containers: [{{name: c}}]}}}}\n---\n"
        )
    };
    let text: String = pods.iter().map(pod).collect();
    let mut cluster = Cluster::new();
    for object in parse("t.yaml", &(text + policies)).expect("good manifests") {
        cluster.apply(object);
    }
    Judge::new(cluster)
}

fn policy(ingress: &str) -> String {
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: db, namespace: shop}}, \
         spec: {{podSelector: {{matchLabels: {{app: db}}}}, ingress: {ingress}}}}}"
    )
}

const WEB: &str = "[{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]";

#[test]
fn the_same_state_has_no_difference() {
    let state = || judge(&PODS, &policy(WEB));
    let diff = diff(&state(), &state(), &Question::default()).unwrap();
    assert_eq!(diff.changes, []);
    assert_eq!(
        diff.to_string(),
        "no verdict changes among 5 ends and 3 kinds of traffic\n"
    );
}

#[test]
fn pairs_that_change_alike_are_told_once_with_who_decides() {
    let (before, after) = (judge(&PODS, &policy(WEB)), judge(&PODS, &policy("[]")));
    let diff = diff(&before, &after, &Question::default()).unwrap();
    assert_eq!(
        diff.to_string(),
        "\
1 change of verdicts among 5 ends and 3 kinds of traffic

now denied: 5432/tcp
  from    shop/web-0, shop/web-1
  to      shop/db
  before  allowed by ingress (rule 0 of NetworkPolicy shop/db)
  after   denied by ingress (end of tier default, selected by NetworkPolicy shop/db)
"
    );
}

#[test]
fn a_policy_that_goes_frees_everybody_for_all_traffic() {
    let (before, after) = (judge(&PODS, &policy("[]")), judge(&PODS, ""));
    let diff = diff(&before, &after, &Question::default()).unwrap();
    let [change] = diff.changes.as_slice() else {
        panic!("{diff}");
    };
    assert_eq!(change.traffic, ["other tcp", "icmp"]);
    assert_eq!(
        change.from,
        ["shop/guest", "shop/web-0", "shop/web-1", "203.0.113.1"]
    );
    assert_eq!(change.to, ["shop/db"]);
    assert!(change.after.allowed);
}

#[test]
fn outsiders_of_blocks_either_state_names_are_compared() {
    let block = |cidr: &str| policy(&format!("[{{from: [{{ipBlock: {{cidr: {cidr}}}}}]}}]"));
    let (before, after) = (block("192.0.2.0/24"), block("192.0.2.0/25"));
    let diff = diff(
        &judge(&PODS, &before),
        &judge(&PODS, &after),
        &Question::default(),
    )
    .unwrap();
    let from: Vec<_> = diff
        .changes
        .iter()
        .flat_map(|change| &change.from)
        .collect();
    assert_eq!(from, ["192.0.2.254"]);
}

#[test]
fn only_the_traffic_asked_for_is_compared() {
    let question = Question {
        traffic: vec![FlowKind::port(6, 80).into()],
        ..Question::default()
    };
    let (before, after) = (judge(&PODS, &policy(WEB)), judge(&PODS, &policy("[]")));
    assert_eq!(diff(&before, &after, &question).unwrap().changes, []);
}

#[test]
fn pods_of_one_state_only_are_named_and_not_compared() {
    let (before, after) = (judge(&PODS[..3], ""), judge(&PODS[1..], ""));
    let diff = diff(&before, &after, &Question::default()).unwrap();
    assert_eq!(diff.only_before, ["shop/web-0"]);
    assert_eq!(diff.only_after, ["shop/guest"]);
    assert!(
        diff.to_string()
            .contains("only in the old state, not compared: shop/web-0")
    );
}
