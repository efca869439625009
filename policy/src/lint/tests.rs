//! One test a mistake: the mistake, and what is no mistake beside it.

use super::*;
use crate::source::yaml::load;

const WORLD: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- apiVersion: v1
  kind: Pod
  metadata: {name: web, namespace: shop, labels: {app: web}}
  spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}, {name: stat, containerPort: 9, protocol: UDP}]}]}
  status: {podIPs: [{ip: 10.0.0.1}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: db, namespace: shop, labels: {app: db}}
  spec: {containers: [{name: c}]}
  status: {podIPs: [{ip: 10.0.0.2}]}
";

fn findings_in(state: &str, policies: &str) -> Vec<Finding> {
    let text = |file: &str, text: &str| Text {
        file: file.to_owned(),
        text: text.to_owned(),
    };
    let texts = [text("state.yaml", state), text("policies.yaml", policies)];
    let loaded = load(&texts).unwrap_or_else(|errors| panic!("{errors:#?}"));
    lint(&loaded, &texts)
}

/// `field: what` of every finding.
fn findings(policies: &str) -> Vec<String> {
    let found = findings_in(WORLD, policies);
    found
        .into_iter()
        .map(|finding| format!("{}: {}", finding.field, finding.what))
        .collect()
}

/// A NetworkPolicy for the pod `web` with these fields of its spec.
fn policy(rest: &str) -> String {
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p, namespace: shop}}, \
         spec: {{podSelector: {{matchLabels: {{app: web}}}}, {rest}}}}}\n"
    )
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_good_policy_has_no_findings() {
    let good = "ingress: [{from: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: http}, {port: 80}]}]";
    assert_eq!(findings(&policy(good)), NOTHING);
}

#[test]
fn a_finding_says_where_what_why_and_what_to_do() {
    let found = findings_in(WORLD, &policy("ingress: [{ports: [{port: htpp}]}]"));
    assert_eq!(
        found[0].to_string(),
        "policies.yaml:1: warning: NetworkPolicy shop/p, spec.ingress[0].ports[0]: \
         shop/web does not declare tcp port \"htpp\"\n  \
         A port nobody serves matches nothing.\n  \
         -> declare the port in the pods' containers, or write its number"
    );
}

#[test]
fn a_named_port_must_be_served_by_a_destination_in_the_right_protocol() {
    let found = findings_in(WORLD, &policy("ingress: [{ports: [{port: stat}]}]"));
    assert!(found[0].advice.contains("another protocol"), "{found:?}");
    let egress = "policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: http}, {port: 53, protocol: UDP}]}]";
    assert_eq!(
        findings(&policy(egress)),
        ["spec.egress[0].ports[0]: shop/db does not declare tcp port \"http\""]
    );
    let to_web = "policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: http}, {port: 53, protocol: UDP}]}]";
    assert_eq!(findings(&policy(to_web)), NOTHING);
    let block = |cidr: &str| {
        let rule = format!(
            "{{to: [{{ipBlock: {{cidr: {cidr}}}}}], ports: [{{port: http}}, {{port: 53, protocol: UDP}}]}}"
        );
        findings(&policy(&format!("policyTypes: [Egress], egress: [{rule}]")))
    };
    let nobody = "spec.egress[0].ports[0]: no pod is at these addresses to serve tcp port \"http\"";
    assert_eq!(block("192.0.2.0/24"), [nobody]);
    assert_eq!(block("10.0.0.0/8"), NOTHING, "web is at one of them");
}

#[test]
fn a_selector_that_selects_nothing_is_found_in_subject_and_peers() {
    let nobody = policy("ingress: []").replace("app: web", "app: wbe");
    assert_eq!(
        findings(&nobody),
        ["spec.podSelector: selects no pod: there are no pods of namespace shop with app == 'wbe'"]
    );
    let peers = "ingress: [{from: [{podSelector: {matchLabels: {app: bd}}}, {namespaceSelector: {matchLabels: {team: x}}}]}]";
    assert_eq!(
        findings(&policy(peers)),
        [
            "spec.ingress[0].from[0]: selects nothing: there are no pods of namespace shop with app == 'bd'",
            "spec.ingress[0].from[1]: selects nothing: no namespace has labels that satisfy team == 'x'",
        ]
    );
}

#[test]
fn a_directory_of_policies_alone_is_not_scolded_for_missing_pods() {
    let found = findings_in("", &policy("ingress: [{ports: [{port: http}]}]"));
    assert_eq!(found, []);
}

#[test]
fn exceptions_that_leave_nothing_never_match() {
    let block =
        "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/9, 10.128.0.0/9]}}]}]";
    let found = findings(&policy(block));
    assert!(
        found.iter().any(|one| one.contains(
            "spec.ingress[0].from[0]: never matches: nothing is left of 10.0.0.0/8 without 10.0.0.0/9 and 10.128.0.0/9"
        )),
        "{found:?}"
    );
    let hole = "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]";
    assert_eq!(findings(&policy(hole)), NOTHING);
}

#[test]
fn conditions_that_exclude_each_other_never_match() {
    let selector =
        "{matchLabels: {app: db}, matchExpressions: [{key: app, operator: NotIn, values: [db]}]}";
    let found = findings(&policy(&format!(
        "ingress: [{{from: [{{podSelector: {selector}}}]}}]"
    )));
    assert!(
        found[0].contains("never matches: app == 'db' and app != 'db' exclude each other"),
        "{found:?}"
    );
}

#[test]
fn a_rule_that_an_earlier_one_covers_is_shadowed() {
    let twice = "ingress: [{ports: [{port: 1, endPort: 99}]}, {from: [{podSelector: {}}], ports: [{port: 80}]}]";
    assert_eq!(
        findings(&policy(twice)),
        ["spec.ingress[1]: never decides: spec.ingress[0] comes before it and covers all of it"]
    );
    let wider = "ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}, {ports: [{port: 1, endPort: 99}]}]";
    assert_eq!(findings(&policy(wider)), NOTHING);
    let two = policy("ingress: [{}]")
        + "---\n"
        + &policy("ingress: [{}]").replace("name: p,", "name: q,");
    assert_eq!(findings(&two), NOTHING, "NetworkPolicies add up");
}

#[test]
fn rules_that_the_list_of_types_leaves_out_have_no_effect() {
    let found = findings(&policy(
        "policyTypes: [Ingress], ingress: [{}], egress: [{}]",
    ));
    assert_eq!(
        found,
        ["spec.egress: has no effect: policyTypes leaves out Egress"]
    );
    let listed = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicyList, items: [{metadata: {name: l, namespace: shop}, \
                  spec: {podSelector: {}, policyTypes: [Egress], egress: [{}], ingress: [{}]}}]}";
    let found = findings_in(WORLD, listed);
    assert_eq!(found[0].object, "NetworkPolicy shop/l");
}

#[test]
fn closed_egress_without_names_is_a_hint_and_said_once() {
    let closed = policy("policyTypes: [Egress]").replace("{matchLabels: {app: web}}", "{}");
    let found = findings_in(WORLD, &closed);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].level, Level::Hint);
    assert!(found[0].what.contains("shop/db"), "{found:?}");
    let dns = "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: dns, namespace: shop}, \
               spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}]}}";
    assert_eq!(findings(&(closed + dns)), NOTHING);
}
