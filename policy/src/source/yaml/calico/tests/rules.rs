//! Rules, field by field.

use ipnet::IpNet;

use super::{global, ingress, labels, matching, named, namespaced, rule};
use crate::model::{
    Action, End, Icmp, Members, Namespaces, Peers, PortCondition, PortMatch, Rule, Scope, Traffic,
    TrafficSet,
};

fn members(namespaces: Namespaces, text: &str) -> Scope {
    Scope {
        members: Members::PodsAndSets,
        namespaces,
        labels: labels(text),
    }
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts
        .iter()
        .map(|text| text.parse().expect("a block"))
        .collect()
}

/// The condition on the peer.
#[track_caller]
fn peer(rule: Rule) -> End {
    match rule.peers {
        Peers::OneOf(mut ends) if ends.len() == 1 => ends.remove(0),
        other => panic!("not one peer: {other:?}"),
    }
}

#[track_caller]
fn traffic(rule: Rule) -> Traffic {
    match rule.traffic {
        TrafficSet::OneOf(mut traffic) if traffic.len() == 1 => traffic.remove(0),
        other => panic!("not one kind of traffic: {other:?}"),
    }
}

#[test]
fn every_action_is_read() {
    for (text, action) in [
        ("Allow", Action::Allow),
        ("Deny", Action::Deny),
        ("Log", Action::Log),
        ("Pass", Action::Pass),
    ] {
        let read = rule(&global(&format!("  ingress: [{{action: {text}}}]\n")));
        assert_eq!(read, Rule::any(action));
    }
}

#[test]
fn of_an_ingress_rule_the_source_is_the_peer_and_the_destination_the_subject() {
    let ends = "source: {nets: [10.0.0.0/8]}, destination: {nets: [10.1.0.0/16]}";
    let source = End {
        nets: Some(nets(&["10.0.0.0/8"])),
        ..End::default()
    };
    let destination = End {
        nets: Some(nets(&["10.1.0.0/16"])),
        ..End::default()
    };
    let read = ingress(ends);
    assert_eq!(read.subject, Some(destination.clone()));
    assert_eq!(read.peers, Peers::OneOf(vec![source.clone()]));

    let read = rule(&global(&format!("  egress: [{{action: Allow, {ends}}}]\n")));
    assert_eq!(read.subject, Some(source));
    assert_eq!(read.peers, Peers::OneOf(vec![destination]));
}

#[test]
fn an_end_without_conditions_is_anybody() {
    for source in [
        "{}",
        "{nets: [], ports: [], selector: '', serviceAccounts: {}}",
    ] {
        let read = ingress(&format!("source: {source}, destination: {{notNets: []}}"));
        assert_eq!(read, Rule::any(Action::Allow), "{source}");
    }
}

#[test]
fn nets_and_not_nets_are_conditions_on_the_address() {
    let read = peer(ingress(
        "source: {nets: [10.0.0.0/8, 10.9.0.1/32], notNets: [10.1.0.0/16]}",
    ));
    assert_eq!(read.nets, Some(nets(&["10.0.0.0/8", "10.9.0.1/32"])));
    assert_eq!(read.not_nets, nets(&["10.1.0.0/16"]));
    assert_eq!((read.scope, read.not_scope), (None, None));
}

#[test]
fn selectors_of_a_global_policy_mean_pods_and_sets_everywhere() {
    let read = peer(ingress("source: {selector: a == 'b'}"));
    assert_eq!(
        read.scope,
        Some(members(Namespaces::Everywhere, "a == 'b'"))
    );
    let read = peer(ingress(
        "source: {selector: a == 'b', namespaceSelector: has(env)}",
    ));
    assert_eq!(read.scope, Some(members(matching("has(env)"), "a == 'b'")));
    let read = peer(ingress("source: {namespaceSelector: global()}"));
    assert_eq!(read.scope, Some(members(matching("global()"), "")));
}

#[test]
fn selectors_of_a_namespaced_policy_mean_its_namespace_unless_they_say_which() {
    let of = |source: &str| {
        peer(rule(&namespaced(&format!(
            "  ingress: [{{action: Allow, source: {source}}}]\n"
        ))))
    };
    assert_eq!(
        of("{selector: has(a)}").scope,
        Some(members(named("x"), "has(a)"))
    );
    let read = of("{selector: has(a), namespaceSelector: all()}");
    assert_eq!(read.scope, Some(members(matching("all()"), "has(a)")));
    let read = of("{nets: [10.0.0.0/8]}");
    assert_eq!(read.scope, None);
}

#[test]
fn not_selector_excludes_everywhere_but_limits_a_namespaced_policy_to_its_namespace() {
    let excluded = Some(members(Namespaces::Everywhere, "has(a)"));
    let read = peer(ingress("source: {notSelector: has(a)}"));
    assert_eq!((read.scope, read.not_scope), (None, excluded.clone()));

    let read = peer(ingress(
        "source: {notSelector: has(a), namespaceSelector: has(env)}",
    ));
    assert_eq!(read.scope, Some(members(matching("has(env)"), "")));
    assert_eq!(read.not_scope, excluded);

    let text = namespaced("  ingress: [{action: Allow, source: {notSelector: has(a)}}]\n");
    let read = peer(rule(&text));
    assert_eq!(read.scope, Some(members(named("x"), "")));
    assert_eq!(read.not_scope, excluded);
}

#[test]
fn service_accounts_are_chosen_by_name_and_by_label() {
    let names = "projectcalico.org/serviceaccount in {'api', 'web'}";
    let read = peer(ingress("source: {serviceAccounts: {names: [web, api]}}"));
    assert_eq!(read.scope, Some(members(Namespaces::Everywhere, names)));
    let read = peer(ingress(
        "source: {serviceAccounts: {selector: role == 'db'}}",
    ));
    assert_eq!(
        read.scope,
        Some(members(Namespaces::Everywhere, "pcsa.role == 'db'"))
    );

    let source = "{selector: has(a), serviceAccounts: {names: [api, web], selector: has(b)}}";
    let rules = format!("  ingress: [{{action: Allow, source: {source}}}]\n");
    let read = peer(rule(&namespaced(&rules)));
    let both = format!("(has(pcsa.b) && {names}) && has(a)");
    assert_eq!(read.scope, Some(members(named("x"), &both)));
}

#[test]
fn every_protocol_is_read_by_name_and_by_number() {
    for (text, number) in [
        ("TCP", 6),
        ("UDP", 17),
        ("ICMP", 1),
        ("ICMPv6", 58),
        ("SCTP", 132),
        ("UDPLite", 136),
        ("47", 47),
        ("'47'", 47),
        ("255", 255),
    ] {
        let read = traffic(ingress(&format!("protocol: {text}")));
        assert_eq!(read, Traffic::protocol(number));
        let read = traffic(ingress(&format!("notProtocol: {text}")));
        assert_eq!((read.protocol, read.not_protocol), (None, Some(number)));
    }
}

#[test]
fn ports_are_numbers_ranges_and_names_of_either_end() {
    let range = |first, last| PortMatch::Range(first..=last);
    let read = traffic(ingress(
        "protocol: TCP, source: {ports: [1024:65535], notPorts: [2000]}, \
         destination: {ports: [80, '443', '8000:8080', http], notPorts: ['8001:8002', admin]}",
    ));
    let source = PortCondition {
        one_of: vec![range(1024, 65535)],
        none_of: vec![range(2000, 2000)],
    };
    let http = PortMatch::Named("http".to_owned());
    let admin = PortMatch::Named("admin".to_owned());
    let destination = PortCondition {
        one_of: vec![range(80, 80), range(443, 443), range(8000, 8080), http],
        none_of: vec![range(8001, 8002), admin],
    };
    assert_eq!((read.source, read.destination), (source, destination));
    assert_eq!(read.protocol, Some(6));
}

#[test]
fn icmp_is_a_type_and_perhaps_a_code() {
    let icmp = |kind, code| Some(Icmp { kind, code });
    let read = traffic(ingress(
        "protocol: ICMP, icmp: {type: 3, code: 4}, notICMP: {type: 8}",
    ));
    assert_eq!(
        (read.icmp, read.not_icmp),
        (icmp(3, Some(4)), icmp(8, None))
    );
    let read = traffic(ingress("protocol: 58, icmp: {type: 128}, ipVersion: 6"));
    assert_eq!((read.protocol, read.icmp), (Some(58), icmp(128, None)));
    assert_eq!(
        traffic(ingress("protocol: ICMP, icmp: {}")),
        Traffic::protocol(1)
    );
}

#[test]
fn ip_version_limits_the_peer_to_a_family_unless_its_nets_do() {
    let every = |text: &str| End {
        nets: Some(nets(&[text])),
        ..End::default()
    };
    assert_eq!(peer(ingress("ipVersion: 4")), every("0.0.0.0/0"));
    assert_eq!(peer(ingress("ipVersion: 6")), every("::/0"));
    let read = ingress("ipVersion: 4, source: {nets: [10.0.0.0/8]}");
    assert_eq!(peer(read), every("10.0.0.0/8"));
    let read = peer(ingress(
        "ipVersion: 4, source: {selector: has(a), notNets: [10.0.0.0/8]}",
    ));
    assert_eq!(
        (read.nets, read.not_nets),
        (Some(nets(&["0.0.0.0/0"])), nets(&["10.0.0.0/8"]))
    );
    assert!(read.scope.is_some());
}
