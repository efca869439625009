//! Stories of a small shop.

use super::{explain, overview};
use crate::ask::{FlowKind, Judge, Roster};
use crate::{Cluster, parse};

const SHOP: &str = r"
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: store}}}
- {apiVersion: v1, kind: Namespace, metadata: {name: lab, labels: {team: research}}}
- apiVersion: v1
  kind: Pod
  metadata: {name: web, namespace: shop, labels: {app: web}}
  spec: {nodeName: n1, serviceAccountName: web, containers: [{name: c}]}
  status: {phase: Running, podIPs: [{ip: 10.0.0.1}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: db, namespace: shop, labels: {app: db}}
  spec: {nodeName: n2, containers: [{name: c, ports: [{name: sql, containerPort: 5432}, {name: stat, containerPort: 9, protocol: UDP}]}]}
  status: {phase: Running, podIPs: [{ip: 10.0.0.2}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: job, namespace: shop, labels: {app: web}}
  status: {phase: Succeeded, podIPs: [{ip: 10.0.0.9}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: guest, namespace: lab}
  spec: {containers: [{name: c}]}
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: db, namespace: shop}
  spec:
    podSelector: {matchLabels: {app: db}}
    ingress:
    - from: [{podSelector: {matchLabels: {app: web}}}]
      ports: [{port: sql}]
    - from: [{namespaceSelector: {matchLabels: {team: audit}}, podSelector: {matchLabels: {role: auditor}}}]
      ports: [{port: 5432}]
    - from: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.128/25]}}]
      ports: [{port: stat}]
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: quiet, namespace: lab}
  spec: {podSelector: {}, policyTypes: [Egress]}
";

fn story(from: &str, to: &str, kind: &str) -> String {
    let mut cluster = Cluster::new();
    for object in parse("shop.yaml", SHOP).expect("good manifests") {
        cluster.apply(object);
    }
    let roster = Roster::new(cluster);
    let party = |name: &str| roster.party(name).expect("a party");
    let kind: FlowKind = kind.parse().expect("traffic");
    let explanation = explain(&roster, &party(from), &party(to), kind).expect("a family");
    explanation.to_string()
}

#[test]
fn an_allowed_flow_names_the_rule_that_allows_it() {
    assert_eq!(
        story("shop/web", "shop/db", "5432/tcp"),
        "\
shop/web -> shop/db 5432/tcp: allowed

from  shop/web, a pod at 10.0.0.1 on node n1
      labels: app=web
      namespace labels: team=store
      service account: web
to    shop/db, a pod at 10.0.0.2 on node n2
      labels: app=db
      namespace labels: team=store

Egress of shop/web: allowed. No policy selects it for egress.

Ingress of shop/db: allowed.
  tier default: selected by NetworkPolicy shop/db
    Rule 0 of NetworkPolicy shop/db decides: allow sql/tcp from pods of namespace shop with app == 'web'.
"
    );
}

#[test]
fn a_denied_flow_says_which_rules_came_close_and_what_they_miss() {
    let text = story("shop/web", "shop/db", "8080/tcp");
    assert!(
        text.contains("shop/web -> shop/db 8080/tcp: denied by the ingress policy of shop/db"),
        "{text}"
    );
    assert!(
        text.contains(
            "- rule 0 of NetworkPolicy shop/db (allow sql/tcp from pods of namespace shop with \
             app == 'web') would match if this were sql/tcp (5432 in shop/db) instead of 8080/tcp"
        ),
        "{text}"
    );
}

#[test]
fn what_the_peer_would_have_to_be_like_is_said_label_by_label() {
    let text = story("lab/guest", "shop/db", "5432/tcp");
    for part in [
        "denied by the egress policy of lab/guest and the ingress policy of shop/db",
        "lab/guest, a pod without an address yet",
        "They have no egress rules, and the tier ends in a deny.",
        "- no rule of theirs comes close: add an egress rule that allows 5432/tcp to shop/db",
        "would match if lab/guest were in namespace shop and had label app=web",
        "would match if lab/guest were in a namespace that had label team=audit and had label role=auditor",
        "stat/tcp (shop/db declares stat for UDP only) instead of 5432/tcp",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn an_outsider_is_told_which_addresses_a_rule_means() {
    let text = story("192.0.2.200", "shop/db", "9/tcp");
    assert!(
        text.contains("192.0.2.200, an address outside the cluster"),
        "{text}"
    );
    assert!(
        text.contains("192.0.2.200 had an address outside 192.0.2.128/25"),
        "{text}"
    );
    assert!(
        text.contains("Policy does not apply to it: it is outside the cluster."),
        "{text}"
    );
}

#[test]
fn a_pod_that_has_finished_is_an_address() {
    let text = story("shop/job", "shop/db", "5432/tcp");
    for part in [
        "shop/job, a pod that has finished, at 10.0.0.9: its labels do not count any more",
        "Policy does not apply to it: its pod has finished.",
        "denied by the ingress policy of shop/db",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_story_stays_short() {
    let text = story("lab/guest", "shop/db", "5432/tcp");
    assert!(text.lines().count() < 25, "{text}");
}

#[test]
fn without_a_port_every_way_of_deciding_has_a_line() {
    let mut cluster = Cluster::new();
    for object in parse("shop.yaml", SHOP).expect("good manifests") {
        cluster.apply(object);
    }
    let judge = Judge::new(cluster);
    let party = |name: &str| judge.roster().party(name).expect("a party");
    assert_eq!(
        overview(&judge, &party("shop/web"), &party("shop/db")),
        "\
shop/web -> shop/db
  allowed  5432/tcp
           egress: no policy selects; ingress: rule 0 of NetworkPolicy shop/db
  denied   other tcp, icmp
           egress: no policy selects; ingress: end of tier default, selected by NetworkPolicy shop/db
"
    );
}
