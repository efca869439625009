//! Every mistake in a rule is an error with its place.

use super::{error, global, rule_refused};

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
