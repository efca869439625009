//! Every error says where it is and what belongs there.

use super::*;
use crate::model::{Kind, ObjectKey, Phase};

/// The only error of a text, as line, column, field and the whole sentence.
#[track_caller]
fn error(text: &str) -> ManifestError {
    let mut errors = parse("p.yaml", text).expect_err("the manifest is bad");
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

/// A policy with this spec, which begins on line 5.
fn policy(spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec:\n{spec}"
    )
}

#[test]
fn an_unknown_field_is_named_with_its_place_and_the_known_ones() {
    let error = error(&policy("  ingress:\n  - form:\n    - podSelector: {}\n"));
    assert_eq!((error.line, error.column), (6, 5));
    assert_eq!(
        error.to_string(),
        "p.yaml:6:5: spec.ingress[0].form: unknown field; accepted here: from, ports"
    );
}

#[test]
fn places_count_from_the_top_of_the_text_in_later_documents() {
    let text = format!(
        "# one\n---\n{}---\n{}",
        policy("  {}\n"),
        policy("  podSelectr: {}\n")
    );
    let error = error(&text);
    assert_eq!((error.line, error.column), (13, 3));
    assert_eq!(error.field, "spec.podSelectr");
}

#[test]
fn every_bad_value_of_a_policy_is_refused_at_its_field() {
    let cases = [
        (
            "  policyTypes: [ingress]",
            "spec.policyTypes[0]",
            "Ingress or Egress",
        ),
        (
            "  policyTypes: [Ingress, Egress, Ingress]",
            "spec.policyTypes[2]",
            "at most two",
        ),
        ("  ingress: {}", "spec.ingress", "a list"),
        ("  ingress: [null]", "spec.ingress[0]", "a value"),
        (
            "  ingress: [{from: [null]}]",
            "spec.ingress[0].from[0]",
            "a value",
        ),
        (
            "  ingress: [{from: [{}]}]",
            "spec.ingress[0].from[0]",
            "one of podSelector",
        ),
        (
            "  ingress: [{to: []}]",
            "spec.ingress[0].to",
            "unknown field",
        ),
        (
            "  egress: [{from: []}]",
            "spec.egress[0].from",
            "unknown field",
        ),
        (
            "  ingress: [{ports: [{port: 0}]}]",
            "spec.ingress[0].ports[0].port",
            "1 to 65535",
        ),
        (
            "  ingress: [{ports: [{port: 65536}]}]",
            "spec.ingress[0].ports[0].port",
            "1 to 65535",
        ),
        (
            "  ingress: [{ports: [{port: \"80\"}]}]",
            "spec.ingress[0].ports[0].port",
            "quotes",
        ),
        (
            "  ingress: [{ports: [{port: 8.5}]}]",
            "spec.ingress[0].ports[0].port",
            "whole number",
        ),
        (
            "  ingress: [{ports: [{protocol: tcp}]}]",
            "spec.ingress[0].ports[0].protocol",
            "TCP, UDP",
        ),
        (
            "  ingress: [{ports: [{protocol: ICMP}]}]",
            "spec.ingress[0].ports[0].protocol",
            "SCTP",
        ),
        (
            "  ingress: [{ports: [{port: 80, endPort: 79}]}]",
            "spec.ingress[0].ports[0].endPort",
            "at least port 80",
        ),
        (
            "  ingress: [{ports: [{port: http, endPort: 90}]}]",
            "spec.ingress[0].ports[0].endPort",
            "a number",
        ),
        (
            "  ingress: [{ports: [{endPort: 90}]}]",
            "spec.ingress[0].ports[0].endPort",
            "needs port",
        ),
        (
            "  podSelector: {matchLabels: {\"a b\": c}}",
            "spec.podSelector.matchLabels.a b",
            "label key",
        ),
        (
            "  podSelector: {matchLabels: {a: \"c d\"}}",
            "spec.podSelector.matchLabels.a",
            "label value",
        ),
        (
            "  podSelector: {matchLabels: {a: true}}",
            "spec.podSelector.matchLabels.a",
            "quotes",
        ),
        (
            "  podSelector: {matchLabels: {a: 1}}",
            "spec.podSelector.matchLabels.a",
            "quotes",
        ),
        (
            "  podSelector: {app: web}",
            "spec.podSelector.app",
            "unknown field",
        ),
        (
            "  podSelector: {matchExpressions: [{key: a, operator: in}]}",
            "spec.podSelector.matchExpressions[0].operator",
            "In, NotIn",
        ),
        (
            "  podSelector: {matchExpressions: [{key: a, operator: In}]}",
            "spec.podSelector.matchExpressions[0].operator",
            "at least one",
        ),
        (
            "  podSelector: {matchExpressions: [{key: a, operator: In, values: []}]}",
            "spec.podSelector.matchExpressions[0].values",
            "at least one",
        ),
        (
            "  podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}",
            "spec.podSelector.matchExpressions[0].values",
            "no values",
        ),
        (
            "  podSelector: {matchExpressions: [{operator: Exists}]}",
            "spec.podSelector.matchExpressions[0].key",
            "missing",
        ),
        (
            "  ingress: [{from: [{ipBlock: {cidr: 10.0.0.1}}]}]",
            "spec.ingress[0].from[0].ipBlock.cidr",
            "address block",
        ),
        (
            "  ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}]",
            "spec.ingress[0].from[0].ipBlock.cidr",
            "address block",
        ),
        (
            "  ingress: [{from: [{ipBlock: {}}]}]",
            "spec.ingress[0].from[0].ipBlock.cidr",
            "missing",
        ),
        (
            "  ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]",
            "spec.ingress[0].from[0].ipBlock",
            "exclude",
        ),
    ];
    for (spec, field, piece) in cases {
        let error = error(&policy(spec));
        assert_eq!((error.line, error.field.as_str()), (5, field), "{spec}");
        assert!(
            error.to_string().contains(piece),
            "{error} should contain {piece:?}"
        );
    }
}

#[test]
fn a_rule_list_left_out_by_policy_types_is_still_checked() {
    let error = error(&policy("  policyTypes: [Ingress]\n  egress: [{too: []}]\n"));
    assert_eq!(error.field, "spec.egress[0].too");
}

#[test]
fn an_unknown_kind_is_told_which_are_accepted() {
    let error = error("apiVersion: networking.k8s.io/v1beta1\nkind: NetworkPolicy\n");
    assert_eq!(
        error.to_string(),
        format!(
            "p.yaml:2:7: kind: expected {}, found networking.k8s.io/v1beta1 NetworkPolicy",
            error::ACCEPTED_KINDS
        )
    );
}

#[test]
fn text_that_is_no_yaml_is_reported_with_line_and_column() {
    let error = error("kind: Pod\nmetadata: [\n");
    assert!(matches!(error.problem, Problem::Syntax(_)), "{error}");
    assert!(error.line >= 2, "{error}");
    assert!(error.column >= 1, "{error}");
}

#[test]
fn a_key_written_twice_is_an_error() {
    let error = error(&policy("  ingress: []\n  ingress: [{}]\n"));
    assert_eq!(error.line, 6, "{error}");
}

#[test]
fn every_bad_object_of_a_text_is_reported() {
    let text = "kind: Pod\n---\napiVersion: v1\nkind: Pod\n---\n[]\n---\n\
                {apiVersion: v1, kind: Namespace, metadata: {name: ok}}\n";
    let errors = parse("p.yaml", text).expect_err("three bad objects");
    let found: Vec<_> = errors
        .iter()
        .map(|error| (error.line, error.field.as_str()))
        .collect();
    assert_eq!(found, [(1, "apiVersion"), (3, "metadata"), (6, "")]);
}

#[test]
fn lists_are_opened_and_typed_ones_lend_their_kind() {
    let text = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: x}}
- apiVersion: v1
  kind: PodList
  metadata: {resourceVersion: \"7\"}
  items:
  - {metadata: {name: a, namespace: x}}
---
{\"apiVersion\": \"v1\", \"kind\": \"NodeList\", \"items\": [{\"metadata\": {\"name\": \"n\"}}]}
";
    let objects = parse("l.yaml", text).expect("good lists");
    let keys: Vec<String> = objects
        .iter()
        .map(|object| object.key().to_string())
        .collect();
    assert_eq!(keys, ["Namespace x", "Pod x/a", "Node n"]);
}

#[test]
fn an_error_inside_a_list_names_the_item() {
    let error = error("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pd\n");
    assert_eq!(
        (error.line, error.column, error.field.as_str()),
        (5, 9, "items[0].kind")
    );
}

#[test]
fn a_pod_as_the_cluster_shows_it_is_read() {
    let text = "
apiVersion: v1
kind: Pod
metadata:
  name: web-0
  namespace: shop
  labels: {app: web}
  annotations: {cni.projectcalico.org/podIP: 10.244.1.5/32}
  creationTimestamp: \"2026-08-01T10:00:00Z\"
  deletionTimestamp: \"2026-08-01T11:00:00Z\"
spec:
  nodeName: minikube
  serviceAccountName: web
  containers:
  - image: web
    ports: [{name: http, containerPort: 8080}, {containerPort: 9, protocol: UDP}]
status:
  phase: Running
  podIP: 10.244.1.5
  podIPs: [{ip: 10.244.1.5}, {ip: \"fd00::5\"}]
";
    let [Object::Pod(pod)] = &parse("p.yaml", text).expect("a good pod")[..] else {
        panic!("one pod")
    };
    assert_eq!(pod.addresses.len(), 2);
    assert_eq!(pod.named_ports.len(), 1);
    assert!(pod.terminating && !pod.host_network);
    assert_eq!(
        (pod.node.as_deref(), pod.phase),
        (Some("minikube"), Phase::Alive)
    );
}

#[test]
fn calicos_annotation_gives_and_takes_the_address() {
    let pod = |metadata: &str| {
        let text = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: a, {metadata}}}, \
             spec: {{nodeName: n}}}}"
        );
        let mut objects = parse("p.yaml", &text).expect("a good pod");
        let Some(Object::Pod(pod)) = objects.pop() else {
            panic!("one pod")
        };
        pod.addresses
    };
    let noted = "annotations: {cni.projectcalico.org/podIP: 10.244.1.5/32}";
    assert_eq!(
        pod(noted),
        ["10.244.1.5"
            .parse::<std::net::IpAddr>()
            .expect("an address")]
    );
    let gone = "deletionTimestamp: now, annotations: {cni.projectcalico.org/podIP: \"\"}";
    assert!(pod(gone).is_empty());
    for block in ["10.0.0.0/8", "2001:db8::/32", "nobody"] {
        let noted = format!("annotations: {{cni.projectcalico.org/podIP: '{block}'}}");
        assert!(pod(&noted).is_empty(), "{block}");
    }
}

#[test]
fn a_directory_is_read_in_order_and_every_error_collected() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).expect("written");
    };
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: x}}\n";
    write("10-ns.yaml", namespace);
    write(
        "20-node.json",
        "{\"apiVersion\": \"v1\", \"kind\": \"Node\", \"metadata\": {\"name\": \"n\"}}",
    );
    write(".hidden.yaml", "not: [an object");
    write("notes.txt", "nothing");
    write("empty.yml", "# nothing\n---\n");
    let cluster = load_dir(directory.path()).expect("a good directory");
    assert_eq!((cluster.namespaces().len(), cluster.nodes().len()), (1, 1));

    write("30-again.yaml", namespace);
    write("40-bad.yml", "kind: Pod\n");
    let errors = load_dir(directory.path()).expect_err("two bad files");
    let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert!(shown[0].contains("30-again.yaml:1:1: Namespace x was already defined at "));
    assert!(shown[0].ends_with("10-ns.yaml:1"), "{}", shown[0]);
    assert!(shown[1].contains("40-bad.yml:1:1: apiVersion: required, but missing"));
}

#[test]
fn a_directory_that_is_not_there_is_an_error_that_names_it() {
    let errors = load_dir(std::path::Path::new("/nonexistent/policy")).expect_err("no directory");
    assert!(
        errors[0]
            .to_string()
            .starts_with("/nonexistent/policy: cannot be read: ")
    );
}

#[test]
fn removing_an_object_takes_it_away_once() {
    let mut cluster = crate::Cluster::new();
    for object in parse("p.yaml", &policy("  {}")).expect("a good policy") {
        let key = object.key();
        cluster.apply(object);
        assert!(cluster.remove(&key));
        assert!(!cluster.remove(&key));
    }
    let pod = ObjectKey {
        kind: Kind::Pod,
        namespace: Some("x".into()),
        name: "a".into(),
    };
    assert!(!cluster.remove(&pod));
}

#[test]
fn what_kubectl_reads_as_a_boolean_is_no_text_unless_it_is_quoted() {
    let labelled = |value: &str| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: x, labels: {{a: {value}}}}}\n")
    };
    for value in ["on", "off", "Yes", "no", "true"] {
        let error = error(&labelled(value));
        assert_eq!((error.line, error.column), (3, 33), "{value}");
        assert_eq!(error.field, "metadata.labels.a");
        let said = error.to_string();
        assert!(
            said.contains("expected text (put it in quotes), found boolean "),
            "{said}"
        );
    }
    let key = error(&labelled("x").replace("{a:", "{on:"));
    let said = key.to_string();
    assert!(
        said.contains("expected a name (put on in quotes), found boolean true"),
        "{said}"
    );
    assert_eq!((key.line, key.column), (3, 30), "{said}");
    for value in ["'on'", "\"off\"", "y", "n", "oN", "none"] {
        assert!(parse("a.yaml", &labelled(value)).is_ok(), "{value}");
    }
    assert!(parse("a.yaml", &labelled("x").replace("{a:", "{'on':")).is_ok());
    let block = labelled("").replace(
        "{name: x, labels: {a: }}",
        "\n  name: x\n  labels:\n    a: |-\n      on",
    );
    assert!(parse("a.yaml", &block).is_ok(), "{block}");
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {hostNetwork: yes}}";
    let [Object::Pod(pod)] = &parse("a.yaml", pod).expect("as kubectl reads it")[..] else {
        panic!("one pod")
    };
    assert!(pod.host_network);
}

#[test]
fn an_empty_namespace_is_none_as_the_api_server_has_it() {
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: ''}}";
    let [Object::Pod(pod)] = &parse("a.yaml", pod).expect("a good pod")[..] else {
        panic!("one pod")
    };
    assert_eq!(pod.namespace, "default");
    let global = "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, \
                  metadata: {name: s, namespace: ''}}";
    assert!(parse("a.yaml", global).is_ok());
}
