use crate::model::{
    Action, End, EndOfTier, Established, Members, Namespaces, Order, Peers, Policy, PolicyKind,
    PortMatch, Reply, Rule, Selector, Tier, Traffic, TrafficSet,
};
use crate::verdict::protocol::{SCTP, TCP, UDP};
use crate::{Object, parse};

/// A policy with this spec, which begins on line 5.
fn text(spec: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n\
         metadata: {{name: p}}\nspec:\n{spec}\n"
    )
}

/// A spec with these rules, on the line after the subject's.
fn with_rules(rules: &str) -> String {
    text(&format!(
        "  {{tier: Admin, priority: 1, subject: {{namespaces: {{}}}},\n  {rules}}}"
    ))
}

fn policy(text: &str) -> Policy {
    match parse("p.yaml", text).expect("a good policy").as_slice() {
        [Object::Policy(policy)] => policy.clone(),
        other => panic!("one policy, not {other:?}"),
    }
}

fn egress(rule: &str) -> Rule {
    let policy = policy(&with_rules(&format!("egress: [{rule}]")));
    policy.egress.expect("egress rules").remove(0)
}

fn ends(rule: &Rule) -> &[End] {
    match &rule.peers {
        Peers::OneOf(ends) => ends,
        Peers::Any => panic!("listed peers"),
    }
}

#[track_caller]
fn refused(text: &str, line: u32, field: &str, piece: &str) {
    let errors = parse("p.yaml", text).expect_err(text);
    let error = &errors[0];
    let sentence = error.to_string();
    assert_eq!((error.line, error.field.as_str()), (line, field), "{text}");
    assert!(sentence.contains(piece), "{sentence:?} lacks {piece:?}");
    assert!(sentence.starts_with(&format!("p.yaml:{line}:")));
}

#[test]
fn tier_and_priority_become_a_built_in_tier_and_an_order() {
    for (word, tier) in [("Admin", "kube-admin"), ("Baseline", "kube-baseline")] {
        for priority in [0, 7, 1000] {
            let policy = policy(&text(&format!(
                "  {{tier: {word}, priority: {priority}, subject: {{namespaces: {{}}}}}}"
            )));
            assert_eq!(policy.tier, tier);
            assert_eq!(policy.order, Order(f64::from(priority)));
            let built_in = Tier::built_in().into_iter().find(|own| own.name == tier);
            assert_eq!(built_in.expect("built in").end, EndOfTier::Pass);
        }
    }
}

#[test]
fn the_key_has_no_namespace() {
    let policy = policy(&text(
        "  {tier: Admin, priority: 1, subject: {namespaces: {}}}",
    ));
    assert_eq!(policy.key.to_string(), "ClusterNetworkPolicy p");
    assert_eq!(policy.key.kind, PolicyKind::ClusterNetworkPolicy);
}

#[test]
fn a_subject_is_all_pods_of_namespaces_or_some_pods() {
    let subject = |subject: &str| {
        policy(&text(&format!(
            "  {{tier: Admin, priority: 1, subject: {subject}}}"
        )))
        .subject
    };
    let env = Selector::equals("env", "prod");
    let all = subject("{namespaces: {matchLabels: {env: prod}}}");
    assert_eq!(all.members, Members::Pods);
    assert_eq!(all.namespaces, Namespaces::Matching(env.clone()));
    assert!(all.labels.is_everything());
    let some = subject(
        "{pods: {namespaceSelector: {matchLabels: {env: prod}}, \
         podSelector: {matchLabels: {app: web}}}}",
    );
    assert_eq!(some.namespaces, Namespaces::Matching(env));
    assert_eq!(some.labels, Selector::equals("app", "web"));
    let anywhere = subject("{pods: {podSelector: {}}}");
    let everything = Namespaces::Matching(Selector::everything());
    assert_eq!(anywhere.namespaces, everything);
}

#[test]
fn a_direction_without_rules_is_left_alone() {
    let none = policy(&with_rules("ingress: []"));
    assert_eq!((none.ingress, none.egress), (None, None));
    let rule = "{action: Deny, from: [{namespaces: {}}]}";
    let one = policy(&with_rules(&format!("ingress: [{rule}]")));
    assert_eq!(one.ingress.map(|rules| rules.len()), Some(1));
    assert_eq!(one.egress, None);
}

#[test]
fn the_three_actions_and_the_name_are_kept() {
    let actions = [
        ("Accept", Action::Allow),
        ("Deny", Action::Deny),
        ("Pass", Action::Pass),
    ];
    for (word, action) in actions {
        let name = "n".repeat(100);
        let rule = egress(&format!(
            "{{name: {name}, action: {word}, to: [{{namespaces: {{}}}}]}}"
        ));
        assert_eq!((rule.action, rule.name), (action, Some(name)));
    }
    assert_eq!(egress("{action: Pass, to: [{namespaces: {}}]}").name, None);
}

#[test]
fn peers_are_pods_nodes_or_networks() {
    let rule = egress(
        "{action: Deny, to: [{namespaces: {matchLabels: {a: b}}}, {pods: {podSelector: {}}}, \
         {nodes: {matchLabels: {pool: edge}}}, {networks: [10.0.0.0/8, \"fd00::/8\"]}]}",
    );
    let ends = ends(&rule);
    let members = |end: &End| end.scope.as_ref().map(|scope| scope.members);
    assert_eq!(members(&ends[0]), Some(Members::Pods));
    assert_eq!(members(&ends[1]), Some(Members::Pods));
    let nodes = ends[2].scope.as_ref().expect("a scope");
    assert_eq!(nodes.members, Members::Nodes);
    assert_eq!(nodes.labels, Selector::equals("pool", "edge"));
    let nets: Vec<String> = ends[3]
        .nets
        .iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    assert_eq!(nets, ["10.0.0.0/8", "fd00::/8"]);
    assert_eq!(ends[3].scope, None);
}

#[test]
fn protocols_are_ports_ranges_and_names() {
    let rule = egress(
        "{action: Deny, to: [{namespaces: {}}], protocols: [\
         {tcp: {destinationPort: {number: 80}}}, \
         {udp: {destinationPort: {range: {start: 1, end: 65535}}}}, \
         {sctp: {destinationPort: {number: 9003}}}, {destinationNamedPort: http}]}",
    );
    let TrafficSet::OneOf(traffic) = rule.traffic else {
        panic!("listed traffic")
    };
    assert_eq!(traffic[0], Traffic::range(TCP, 80..=80));
    assert_eq!(traffic[1], Traffic::range(UDP, 1..=65535));
    assert_eq!(traffic[2], Traffic::range(SCTP, 9003..=9003));
    assert_eq!(traffic[3].protocol, None);
    let name = PortMatch::Named("http".to_owned());
    assert_eq!(traffic[3].destination.one_of, [name]);
    let all = egress("{action: Deny, to: [{namespaces: {}}]}");
    assert_eq!(all.traffic, TrafficSet::Any);
}

#[test]
fn our_annotations_are_read() {
    let spec = "  {tier: Admin, priority: 1, subject: {namespaces: {}}}";
    let noted = text(spec).replace(
        "{name: p}",
        "{name: p, annotations: {vswitchd/deny: reject, vswitchd/established: keep}}",
    );
    let policy = policy(&noted);
    assert_eq!(policy.deny, Some(Reply::Reject));
    assert_eq!(policy.established, Some(Established::Keep));
    let unknown = text(spec).replace("{name: p}", "{name: p, annotations: {vswitchd/den: drop}}");
    refused(
        &unknown,
        3,
        "metadata.annotations.vswitchd/den",
        "unknown field",
    );
}

#[test]
fn a_list_lends_its_kind_and_a_status_is_ignored() {
    let text = "
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicyList
items:
- metadata: {name: a}
  spec: {tier: Admin, priority: 1, subject: {namespaces: {}}}
  status: {conditions: [{type: Ready}]}
- metadata: {name: b}
  spec: {tier: Baseline, priority: 2, subject: {namespaces: {}}}
";
    let objects = parse("l.yaml", text).expect("a good list");
    let keys: Vec<String> = objects
        .iter()
        .map(|object| object.key().to_string())
        .collect();
    assert_eq!(keys, ["ClusterNetworkPolicy a", "ClusterNetworkPolicy b"]);
}

#[test]
fn other_versions_of_the_api_are_unknown() {
    let spec = "  {tier: Admin, priority: 1, subject: {namespaces: {}}}";
    let newer = text(spec).replace("v1alpha2", "v1beta1");
    refused(&newer, 2, "kind", "found policy.networking.k8s.io/v1beta1");
    let older = text(spec)
        .replace("v1alpha2", "v1alpha1")
        .replace("ClusterNetworkPolicy", "AdminNetworkPolicy");
    refused(&older, 2, "kind", "v1alpha2 ClusterNetworkPolicy");
}

#[test]
fn every_bad_value_of_a_spec_is_refused_at_its_field() {
    let good = "tier: Admin, priority: 1, subject: {namespaces: {}}";
    let cases = [
        (good.replace("Admin", "admin"), "tier", "Admin or Baseline"),
        (good.replace("tier: Admin, ", ""), "tier", "missing"),
        (good.replace("priority: 1, ", ""), "priority", "missing"),
        (good.replace('1', "-1"), "priority", "from 0 to 1000"),
        (good.replace('1', "1001"), "priority", "from 0 to 1000"),
        (good.replace('1', "\"1\""), "priority", "whole number"),
        (good.replace('1', "1.5"), "priority", "whole number"),
        (
            good.replace(", subject: {namespaces: {}}", ""),
            "subject",
            "missing",
        ),
        (
            good.replace("namespaces: {}", ""),
            "subject",
            "one of namespaces, pods",
        ),
        (
            good.replace("namespaces: {}", "namespaces: "),
            "subject",
            "one of namespaces, pods",
        ),
        (
            good.replace("namespaces: {}", "namespaces: {}, pods: {podSelector: {}}"),
            "subject.pods",
            "exactly one of namespaces, pods, found pods besides namespaces",
        ),
        (
            good.replace("namespaces: {}", "networks: []"),
            "subject.networks",
            "unknown field",
        ),
        (
            good.replace("namespaces: {}", "pods: {namespaceSelector: {}}"),
            "subject.pods.podSelector",
            "missing",
        ),
        (
            good.replace("namespaces: {}", "pods: {podSelector: {}, labels: {}}"),
            "subject.pods.labels",
            "unknown field",
        ),
        (
            good.replace("namespaces: {}", "namespaces: {app: web}"),
            "subject.namespaces.app",
            "unknown field",
        ),
        (format!("{good}, order: 1"), "order", "unknown field"),
    ];
    for (spec, field, piece) in cases {
        let spec = text(&format!("  {{{spec}}}"));
        refused(&spec, 5, &format!("spec.{field}"), piece);
    }
}

#[test]
fn a_policy_has_a_spec_and_no_namespace() {
    let spec = "  {tier: Admin, priority: 1, subject: {namespaces: {}}}";
    let named = text(spec).replace("{name: p}", "{name: p, namespace: shop}");
    refused(&named, 3, "metadata.namespace", "in no namespace");
    let bare = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n\
                metadata: {name: p}\n";
    refused(bare, 1, "spec", "missing");
    let extra = format!("{}rules: []\n", text(spec));
    refused(&extra, 6, "rules", "unknown field");
}

#[test]
fn every_bad_value_of_a_rule_is_refused_at_its_field() {
    let long = format!(
        "{{name: {}, action: Deny, to: [{{nodes: {{}}}}]}}",
        "n".repeat(101)
    );
    let cases = [
        ("{to: [{nodes: {}}]}", "action", "missing"),
        (
            "{action: Allow, to: [{nodes: {}}]}",
            "action",
            "Accept, Deny or Pass",
        ),
        (
            "{action: deny, to: [{nodes: {}}]}",
            "action",
            "Accept, Deny or Pass",
        ),
        (long.as_str(), "name", "at most 100 characters"),
        ("{action: Deny}", "to", "missing"),
        ("{action: Deny, to: []}", "to", "at least one"),
        ("{action: Deny, to: [null]}", "to[0]", "a value"),
        ("{action: Deny, to: [{}]}", "to[0]", "one of namespaces"),
        (
            "{action: Deny, to: [{namespaces: {}, nodes: {}}]}",
            "to[0].nodes",
            "exactly one of",
        ),
        (
            "{action: Deny, from: [{nodes: {}}]}",
            "from",
            "unknown field",
        ),
        (
            "{action: Deny, to: [{nodes: {}}], ports: []}",
            "ports",
            "unknown field",
        ),
        (
            "{action: Deny, to: [{service: {}}]}",
            "to[0].service",
            "unknown field",
        ),
        (
            "{action: Deny, to: [{networks: []}]}",
            "to[0].networks",
            "at least one",
        ),
        (
            "{action: Deny, to: [{networks: [10.0.0.1]}]}",
            "to[0].networks[0]",
            "address block",
        ),
        (
            "{action: Deny, to: [{networks: [10.0.0.0/8, 10.0.0.0/8]}]}",
            "to[0].networks[1]",
            "twice",
        ),
        (
            "{action: Accept, to: [{domainNames: [kubernetes.io]}]}",
            "to[0].domainNames",
            "not supported",
        ),
    ];
    for (rule, field, piece) in cases {
        let text = with_rules(&format!("egress: [{rule}]"));
        refused(&text, 6, &format!("spec.egress[0].{field}"), piece);
    }
}

#[test]
fn ingress_comes_from_pods_only() {
    for (peer, field) in [
        ("nodes: {}", "nodes"),
        ("networks: [10.0.0.0/8]", "networks"),
        ("domainNames: [a.b]", "domainNames"),
    ] {
        let text = with_rules(&format!("ingress: [{{action: Deny, from: [{{{peer}}}]}}]"));
        let field = format!("spec.ingress[0].from[0].{field}");
        refused(&text, 6, &field, "accepted here: namespaces, pods");
    }
    let to = with_rules("ingress: [{action: Deny, to: [{namespaces: {}}]}]");
    refused(&to, 6, "spec.ingress[0].to", "unknown field");
}

#[test]
fn every_bad_protocol_is_refused_at_its_field() {
    let cases = [
        ("", "", "at least one"),
        ("{}", "[0]", "one of tcp, udp, sctp"),
        ("{icmp: {}}", "[0].icmp", "unknown field"),
        (
            "{tcp: {destinationPort: {number: 1}}, udp: {destinationPort: {number: 1}}}",
            "[0].udp",
            "exactly one of",
        ),
        ("{tcp: {}}", "[0].tcp.destinationPort", "missing"),
        ("{tcp: {port: 80}}", "[0].tcp.port", "unknown field"),
        (
            "{tcp: {destinationPort: {}}}",
            "[0].tcp.destinationPort",
            "one of number, range",
        ),
        (
            "{tcp: {destinationPort: 80}}",
            "[0].tcp.destinationPort",
            "a map",
        ),
        (
            "{tcp: {destinationPort: {number: 0}}}",
            "[0].tcp.destinationPort.number",
            "1 to 65535",
        ),
        (
            "{sctp: {destinationPort: {number: 65536}}}",
            "[0].sctp.destinationPort.number",
            "1 to 65535",
        ),
        (
            "{udp: {destinationPort: {number: 1, range: {start: 1, end: 2}}}}",
            "[0].udp.destinationPort.range",
            "exactly one of number, range",
        ),
        (
            "{udp: {destinationPort: {range: {start: 5, end: 5}}}}",
            "[0].udp.destinationPort.range.end",
            "above start, which is 5",
        ),
        (
            "{udp: {destinationPort: {range: {start: 5}}}}",
            "[0].udp.destinationPort.range.end",
            "missing",
        ),
        (
            "{udp: {destinationPort: {range: {end: 5}}}}",
            "[0].udp.destinationPort.range.start",
            "missing",
        ),
        (
            "{udp: {destinationPort: {range: {start: 1, end: 5, step: 2}}}}",
            "[0].udp.destinationPort.range.step",
            "unknown field",
        ),
        (
            "{destinationNamedPort: HTTP}",
            "[0].destinationNamedPort",
            "a port name",
        ),
        (
            "{destinationNamedPort: 80}",
            "[0].destinationNamedPort",
            "quotes",
        ),
    ];
    for (protocol, field, piece) in cases {
        let text = with_rules(&format!(
            "ingress: [{{action: Deny, from: [{{namespaces: {{}}}}], protocols: [{protocol}]}}]"
        ));
        let field = format!("spec.ingress[0].protocols{field}");
        refused(&text, 6, &field, piece);
    }
}

#[test]
fn named_ports_are_ports_of_pods() {
    for peer in ["nodes: {}", "networks: [10.0.0.0/8]"] {
        let text = with_rules(&format!(
            "egress: [{{action: Deny, to: [{{namespaces: {{}}}}, {{{peer}}}], \
             protocols: [{{destinationNamedPort: http}}]}}]"
        ));
        let field = "spec.egress[0].protocols[0].destinationNamedPort";
        refused(&text, 6, field, "nodes and networks have no named ports");
    }
}

#[test]
fn no_list_is_longer_than_twenty_five() {
    let repeat = |item: &str, times| vec![item; times].join(", ");
    let rule = "{action: Deny, from: [{namespaces: {}}]}";
    let port = "{tcp: {destinationPort: {number: 1}}}";
    let lists = |times| {
        let nets: Vec<String> = (0..times).map(|n| format!("10.{n}.0.0/16")).collect();
        [
            (
                format!("ingress: [{}]", repeat(rule, times)),
                "ingress[25]".to_owned(),
            ),
            (
                format!(
                    "ingress: [{{action: Deny, from: [{}]}}]",
                    repeat("{namespaces: {}}", times)
                ),
                "ingress[0].from[25]".to_owned(),
            ),
            (
                format!(
                    "ingress: [{{action: Deny, from: [{{namespaces: {{}}}}], protocols: [{}]}}]",
                    repeat(port, times)
                ),
                "ingress[0].protocols[25]".to_owned(),
            ),
            (
                format!(
                    "egress: [{{action: Deny, to: [{{networks: [{}]}}]}}]",
                    nets.join(", ")
                ),
                "egress[0].to[0].networks[25]".to_owned(),
            ),
        ]
    };
    for (rules, _) in lists(25) {
        policy(&with_rules(&rules));
    }
    for (rules, field) in lists(26) {
        refused(
            &with_rules(&rules),
            6,
            &format!("spec.{field}"),
            "at most 25",
        );
    }
}
