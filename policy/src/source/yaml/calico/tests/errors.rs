//! Every mistake is an error with its place.

use super::{error, global, namespaced, refused, rule_refused};
use crate::source::yaml::Problem;

#[test]
fn bad_fields_of_a_policy_are_refused() {
    refused(
        global,
        &[
            (
                "ordre: 1",
                "spec.ordre",
                "unknown field; accepted here: tier, order, selector",
            ),
            ("order: '1'", "spec.order", "a number, found \"1\""),
            ("order: .inf", "", "non-finite"),
            ("tier: Big_Tier", "spec.tier", "lower-case letters"),
            ("selector: 5", "spec.selector", "text"),
            (
                "types: [ingress]",
                "spec.types[0]",
                "Ingress or Egress, found \"ingress\"",
            ),
            ("types: [Egress, Egress]", "spec.types[1]", "each type once"),
            ("types: Ingress", "spec.types", "a list"),
            ("ingress: {}", "spec.ingress", "a list"),
            ("egress: [null]", "spec.egress[0]", "a value"),
            (
                "performanceHints: [Fast]",
                "spec.performanceHints[0]",
                "AssumeNeededOnEveryNode",
            ),
            ("applyOnForward: 1", "spec.applyOnForward", "true or false"),
            (
                "preDNAT: true, applyOnForward: true",
                "spec.preDNAT",
                "host endpoints",
            ),
            (
                "doNotTrack: true, applyOnForward: true",
                "spec.doNotTrack",
                "host endpoints",
            ),
            (
                "types: [Ingress], egress: [{}]",
                "spec.egress[0].action",
                "required, but missing",
            ),
        ],
    );
    refused(
        namespaced,
        &[
            (
                "namespaceSelector: all()",
                "spec.namespaceSelector",
                "unknown field",
            ),
            (
                "applyOnForward: true",
                "spec.applyOnForward",
                "unknown field",
            ),
            ("preDNAT: true", "spec.preDNAT", "unknown field"),
        ],
    );
}

#[test]
fn a_mistake_in_a_selector_names_the_field_and_the_column_in_the_expression() {
    let error = error(&global(
        "  ingress:\n  - action: Allow\n    source:\n      selector: app == web\n",
    ));
    assert_eq!(
        error.to_string(),
        "c.yaml:8:17: spec.ingress[0].source.selector: column 8 of the selector: expected a value \
         in quotes, found the word web"
    );
    let Problem::Selector(inner) = error.problem else {
        panic!("no mistake in a selector")
    };
    assert!(inner.pointed().starts_with("app == web\n       ^\n"));
}

#[test]
fn every_selector_field_is_read_as_calicos_language() {
    let said = "column 7 of the selector";
    refused(
        global,
        &[
            ("selector: a === 'b'", "spec.selector", "column 5"),
            ("selector: has(a) b", "spec.selector", "column 8"),
            (
                "namespaceSelector: has(a",
                "spec.namespaceSelector",
                "column 6",
            ),
            (
                "serviceAccountSelector: has(a)x",
                "spec.serviceAccountSelector",
                said,
            ),
        ],
    );
    rule_refused(&[
        ("source: {notSelector: has(a)x}", "source.notSelector", said),
        (
            "destination: {namespaceSelector: has(a)x}",
            "destination.namespaceSelector",
            said,
        ),
        (
            "source: {serviceAccounts: {selector: has(a)x}}",
            "source.serviceAccounts.selector",
            said,
        ),
    ]);
}

#[test]
fn global_is_refused_outside_of_a_rules_namespace_selector() {
    let said = "expected no global() here";
    refused(
        global,
        &[
            ("selector: global()", "spec.selector", said),
            (
                "namespaceSelector: global()",
                "spec.namespaceSelector",
                said,
            ),
            (
                "serviceAccountSelector: global()",
                "spec.serviceAccountSelector",
                said,
            ),
        ],
    );
    rule_refused(&[
        ("source: {selector: global()}", "source.selector", said),
        (
            "source: {notSelector: global()}",
            "source.notSelector",
            said,
        ),
        (
            "source: {namespaceSelector: global() && has(a)}",
            "source.namespaceSelector",
            said,
        ),
    ]);
}

#[test]
fn objects_are_refused_with_the_wrong_shape() {
    let v3 = |kind: &str, rest: &str| {
        error(&format!(
            "{{apiVersion: projectcalico.org/v3, kind: {kind}, {rest}}}\n"
        ))
        .to_string()
    };
    for (kind, rest, said) in [
        (
            "GlobalNetworkPolicy",
            "metadata: {name: a}",
            "spec: required, but missing",
        ),
        (
            "NetworkPolicy",
            "metadata: {name: a}, sepc: {}",
            "sepc: unknown field",
        ),
        (
            "NetworkPolicy",
            "metadata: {name: a, labls: {}}, spec: {}",
            "metadata.labls: unknown field",
        ),
        (
            "GlobalNetworkPolicy",
            "metadata: {name: a, namespace: x}, spec: {}",
            "metadata.namespace: objects of this kind are in no namespace",
        ),
        (
            "Tier",
            "metadata: {name: a.b}",
            "metadata.name: expected a tier's name",
        ),
        (
            "Tier",
            "metadata: {name: a, namespace: x}",
            "metadata.namespace: objects of this kind",
        ),
        (
            "Tier",
            "metadata: {name: a}, spec: {action: x}",
            "spec.action: unknown field",
        ),
        (
            "Tier",
            "metadata: {name: a}, spec: {order: x}",
            "spec.order: expected a number",
        ),
        (
            "Tier",
            "metadata: {name: a}, spec: {defaultAction: Allow}",
            "spec.defaultAction: expected Deny or Pass",
        ),
        (
            "Tier",
            "metadata: {name: default}, spec: {order: 5}",
            "spec: expected order 1000000 and defaultAction Deny for the built-in tier default",
        ),
        (
            "Tier",
            "metadata: {name: kube-admin}",
            "expected order 1000 and defaultAction Pass for the built-in tier kube-admin",
        ),
        (
            "NetworkSet",
            "metadata: {name: a}, spec: {net: []}",
            "spec.net: unknown field",
        ),
        (
            "NetworkSet",
            "metadata: {name: a}, spec: {nets: [a.b]}",
            "spec.nets[0]: expected an address, or a block",
        ),
        (
            "GlobalNetworkSet",
            "metadata: {name: a, labels: {projectcalico.org/namespace: x}}",
            "metadata: the label projectcalico.org/namespace is Calico's own",
        ),
        (
            "GlobalNetworkSet",
            "metadata: {name: a, annotations: {projectcalico.org/metadata: '{'}}",
            "metadata.annotations.projectcalico.org/metadata: expected metadata in JSON",
        ),
        (
            "NetworkPolicy",
            "metadata: {name: a, annotations: {vswitchd/deny: loudly}}, spec: {}",
            "metadata.annotations.vswitchd/deny: expected drop or reject",
        ),
        (
            "NetworkPolicy",
            "metadata: {name: a, annotations: {projectcalico.org/metadata: \
             '{\"annotations\": {\"vswitchd/dney\": \"drop\"}}'}}, spec: {}",
            "metadata.annotations.projectcalico.org/metadata: unknown field",
        ),
    ] {
        let shown = v3(kind, rest);
        assert!(
            shown.starts_with("c.yaml:1:") && shown.contains(said),
            "{kind}: {shown}"
        );
    }
}

#[test]
fn kinds_nothing_here_reads_are_unknown() {
    for kind in [
        "StagedNetworkPolicy",
        "StagedGlobalNetworkPolicy",
        "HostEndpoint",
        "Profile",
    ] {
        let error = error(&format!("apiVersion: projectcalico.org/v3\nkind: {kind}\n"));
        assert!(
            matches!(error.problem, Problem::UnknownKind { .. }),
            "{error}"
        );
        assert_eq!((error.line, error.field.as_str()), (2, "kind"));
        assert!(
            error
                .to_string()
                .contains("GlobalNetworkSet, found projectcalico.org/v3")
        );
    }
    let error = error("apiVersion: projectcalico.org/v1\nkind: Tier\n");
    assert!(
        matches!(error.problem, Problem::UnknownKind { .. }),
        "{error}"
    );
}
