//! Every mistake is an error with its place.

use super::{error, global, namespaced};
use crate::source::yaml::Problem;

/// Each spec has one error, at this field, whose sentence has this in it.
#[track_caller]
fn refused(policy: fn(&str) -> String, cases: &[(&str, &str, &str)]) {
    for (spec, field, said) in cases {
        let error = error(&policy(&format!("  {{{spec}}}\n")));
        assert_eq!(error.field, *field, "{spec}: {error}");
        assert!(error.problem.to_string().contains(said), "{spec}: {error}");
        assert_eq!(error.line, 5, "{error}");
    }
}

/// The same of a rule that stands alone in the ingress list of a global policy.
#[track_caller]
fn rule_refused(cases: &[(&str, &str, &str)]) {
    for (rule, field, said) in cases {
        let spec = format!("ingress: [{{action: Allow, {rule}}}]");
        refused(
            global,
            &[(&spec, &format!("spec.ingress[0].{field}"), said)],
        );
    }
}

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
fn bad_fields_of_a_rule_are_refused() {
    rule_refused(&[
        (
            "actoin: x",
            "actoin",
            "unknown field; accepted here: action, ipVersion",
        ),
        ("ipVersion: 5", "ipVersion", "4 or 6, found number 5"),
        ("ipVersion: '4'", "ipVersion", "a whole number"),
        (
            "protocol: tcp",
            "protocol",
            "TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number",
        ),
        ("protocol: 0", "protocol", "from 1 to 255"),
        ("protocol: 256", "protocol", "from 1 to 255"),
        ("notProtocol: any", "notProtocol", "from 1 to 255"),
        (
            "http: {methods: [GET]}",
            "http",
            "not supported: policy judges packets",
        ),
        ("metadata: {labels: {}}", "metadata.labels", "unknown field"),
        (
            "metadata: {annotations: {a: 1}}",
            "metadata.annotations.a",
            "text",
        ),
        (
            "source: {net: 10.0.0.0/8}",
            "source.net",
            "unknown field; accepted here: nets",
        ),
        (
            "source: {nets: [10.0.0.1/8]}",
            "source.nets[0]",
            "without bits beyond the prefix",
        ),
        (
            "source: {nets: [10.0.0.1]}",
            "source.nets[0]",
            "one address is 10.0.0.1/32",
        ),
        (
            "source: {notNets: [x]}",
            "source.notNets[0]",
            "an address block",
        ),
        (
            "source: {services: {name: web}}",
            "source.services",
            "not supported: policy sees the pods",
        ),
        (
            "source: {serviceAccounts: {name: a}}",
            "source.serviceAccounts.name",
            "unknown field",
        ),
        (
            "source: {serviceAccounts: {names: [A b]}}",
            "source.serviceAccounts.names[0]",
            "lower-case",
        ),
    ]);
    let error = error(&global("  egress: [{action: allow}]\n"));
    assert_eq!(
        error.to_string(),
        "c.yaml:5:21: spec.egress[0].action: expected Allow, Deny, Log or Pass, found \"allow\""
    );
}

#[test]
fn ports_are_checked_and_need_a_protocol_that_has_them() {
    let needed = "ports need protocol TCP, UDP or SCTP";
    rule_refused(&[
        ("source: {ports: [80]}", "source.ports", needed),
        (
            "destination: {notPorts: [80]}",
            "destination.notPorts",
            needed,
        ),
        (
            "protocol: ICMP, destination: {ports: [80]}",
            "destination.ports",
            needed,
        ),
        (
            "protocol: UDPLite, destination: {ports: [80]}",
            "destination.ports",
            needed,
        ),
        (
            "notProtocol: TCP, destination: {ports: [80]}",
            "destination.ports",
            needed,
        ),
    ]);
    for port in [
        "0",
        "65536",
        "-1",
        "'0'",
        "'0:1'",
        "'2:1'",
        "'1:65536'",
        "'1:'",
        "':1'",
        "'1:2:3'",
        "'+1'",
        "'1:+2'",
        "HTTP",
        "'a b'",
        "''",
        "sixteen-letters-x",
    ] {
        let rule = format!("protocol: TCP, destination: {{ports: [{port}]}}");
        rule_refused(&[(
            &rule,
            "destination.ports[0]",
            "a port from 1 to 65535, a range",
        )]);
    }
}

#[test]
fn icmp_is_checked_and_needs_its_protocol() {
    let needed = "icmp needs protocol ICMP or ICMPv6";
    let family = "ipVersion must be 4 in a rule that names ICMP, 6 in one that names ICMPv6";
    rule_refused(&[
        ("icmp: {type: 8}", "icmp", needed),
        ("protocol: TCP, icmp: {type: 8}", "icmp", needed),
        ("notProtocol: ICMP, icmp: {type: 8}", "icmp", needed),
        (
            "protocol: ICMP, icmp: {code: 1}",
            "icmp.code",
            "code needs type",
        ),
        ("notICMP: {code: 1}", "notICMP.code", "code needs type"),
        (
            "protocol: ICMP, icmp: {type: 255}",
            "icmp.type",
            "from 0 to 254",
        ),
        (
            "protocol: ICMP, icmp: {type: 3, code: 256}",
            "icmp.code",
            "from 0 to 255",
        ),
        (
            "protocol: ICMP, icmp: {kind: 3}",
            "icmp.kind",
            "unknown field",
        ),
        ("protocol: ICMP, ipVersion: 6", "ipVersion", family),
        ("protocol: ICMPv6, ipVersion: 4", "ipVersion", family),
        ("notProtocol: 58, ipVersion: 4", "ipVersion", family),
    ]);
}

#[test]
fn blocks_of_two_families_in_a_rule_are_refused() {
    let one = "blocks of one family in a rule";
    rule_refused(&[
        (
            "source: {nets: [10.0.0.0/8, '2001:db8::/32']}",
            "source.nets[1]",
            one,
        ),
        (
            "source: {nets: [10.0.0.0/8], notNets: ['::/0']}",
            "source.notNets[0]",
            one,
        ),
        (
            "source: {nets: [10.0.0.0/8]}, destination: {nets: ['::/0']}",
            "destination.nets[0]",
            one,
        ),
        (
            "ipVersion: 6, destination: {notNets: [10.0.0.0/8]}",
            "destination.notNets[0]",
            one,
        ),
    ]);
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
