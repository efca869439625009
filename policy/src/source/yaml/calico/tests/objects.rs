//! Tiers, network sets, service accounts and lists.

use super::object;
use crate::model::{EndOfTier, Kind, Labels, NetworkSet, Object, Order, Tier};
use crate::source::yaml::parse;

fn tier(name: &str, spec: &str) -> Tier {
    let text = format!(
        "{{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {{name: {name}}}, {spec}}}"
    );
    match object(&text) {
        Object::Tier(tier) => tier,
        other => panic!("no tier: {other:?}"),
    }
}

fn set(text: &str) -> NetworkSet {
    match object(text) {
        Object::NetworkSet(set) => set,
        other => panic!("no set: {other:?}"),
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

#[test]
fn a_tier_has_an_order_and_an_end() {
    let expected = |order, end| Tier {
        name: "security".to_owned(),
        order,
        end,
    };
    let read = tier("security", "spec: {order: 100.5, defaultAction: Pass}");
    assert_eq!(read, expected(Order(100.5), EndOfTier::Pass));
    let read = tier("security", "spec: {order: 7}, status: {conditions: []}");
    assert_eq!(read, expected(Order(7.0), EndOfTier::Deny));
    assert_eq!(
        tier("security", "spec:"),
        expected(Order::LAST, EndOfTier::Deny)
    );
}

#[test]
fn the_built_in_tiers_can_be_written_down() {
    let read = [
        tier("kube-admin", "spec: {order: 1000, defaultAction: Pass}"),
        tier("default", "spec: {order: 1000000}"),
        tier(
            "kube-baseline",
            "spec: {order: 10000000, defaultAction: Pass}",
        ),
    ];
    assert_eq!(read, Tier::built_in());
}

#[test]
fn sets_have_labels_and_blocks() {
    let read = set("{apiVersion: projectcalico.org/v3, kind: NetworkSet, \
                    metadata: {name: s, namespace: x, labels: {role: db}}, \
                    spec: {nets: [10.1.2.3/8, 192.0.2.1, '2001:db8::/32', '2001:db8::1']}}");
    assert_eq!(read.key().to_string(), "NetworkSet x/s");
    assert_eq!(read.labels, labels(&[("role", "db")]));
    let nets: Vec<String> = read.nets.iter().map(ToString::to_string).collect();
    assert_eq!(
        nets,
        [
            "10.0.0.0/8",
            "192.0.2.1/32",
            "2001:db8::/32",
            "2001:db8::1/128"
        ]
    );

    let read = set(
        "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, \
                    metadata: {name: s}}",
    );
    assert_eq!(read.key().to_string(), "GlobalNetworkSet s");
    assert_eq!((read.labels, read.nets), (Labels::new(), Vec::new()));
}

#[test]
fn labels_of_a_stored_set_stand_in_calicos_annotation() {
    let read = set(r#"
apiVersion: crd.projectcalico.org/v1
kind: GlobalNetworkSet
metadata:
  name: s
  labels: {projectcalico.org/tier: a, role: own}
  annotations:
    projectcalico.org/metadata: '{"labels": {"role": "db", "site": "w"}, "uid": "1"}'
"#);
    let expected = [
        ("projectcalico.org/tier", "a"),
        ("role", "own"),
        ("site", "w"),
    ];
    assert_eq!(read.labels, labels(&expected));
}

#[test]
fn calicos_annotation_is_json_and_of_bounded_size() {
    let with = |text: &str| {
        let text = serde_json::to_string(text).expect("text");
        format!(
            "{{apiVersion: crd.projectcalico.org/v1, kind: GlobalNetworkSet, metadata: \
             {{name: s, annotations: {{projectcalico.org/metadata: {text}}}}}}}"
        )
    };
    let padded = |size: usize| format!("{{\"uid\": \"{}\"}}", "x".repeat(size));
    set(&with(&padded(200 << 10)));
    // In YAML, each of few aliases may stand for ever so much.
    let bomb = "a: &a [x]\nb: &b [*a, *a]\nlabels: {}\n";
    for bad in [
        "{labels: {role: db}}",
        bomb,
        "{} {}",
        &padded(256 << 10),
        &"[".repeat(1000),
    ] {
        let errors = parse("s.yaml", &with(bad)).expect_err("no such metadata");
        let said = errors[0].to_string();
        assert!(said.contains("metadata in JSON, as Calico writes it here, at most 256 KiB"));
        assert!(said.len() < 500, "{said}");
    }
}

#[test]
fn a_service_account_has_labels() {
    let text = "{apiVersion: v1, kind: ServiceAccount, secrets: [{name: s}], \
                metadata: {name: web, namespace: x, labels: {role: front}, odd: 1}}";
    let expected = Object::ServiceAccount {
        namespace: "x".to_owned(),
        name: "web".to_owned(),
        labels: labels(&[("role", "front")]),
    };
    assert_eq!(object(text), expected);
    assert_eq!(expected.key().kind, Kind::ServiceAccount);
}

#[test]
fn lists_need_not_repeat_the_kind_of_their_items() {
    let item = "{metadata: {name: a}, spec: {}}";
    let list = |version: &str, kind: &str| {
        let text = format!("{{apiVersion: {version}, kind: {kind}List, items: [{item}]}}");
        let objects = parse("l.yaml", &text).expect("a good list");
        objects[0].key().to_string()
    };
    for version in ["projectcalico.org/v3", "crd.projectcalico.org/v1"] {
        assert_eq!(
            list(version, "NetworkPolicy"),
            "CalicoNetworkPolicy default/a"
        );
        assert_eq!(
            list(version, "GlobalNetworkPolicy"),
            "GlobalNetworkPolicy a"
        );
        assert_eq!(list(version, "Tier"), "Tier a");
        assert_eq!(list(version, "NetworkSet"), "NetworkSet default/a");
        assert_eq!(list(version, "GlobalNetworkSet"), "GlobalNetworkSet a");
    }
    assert_eq!(list("v1", "ServiceAccount"), "ServiceAccount default/a");
}
