//! The traps of ClusterNetworkPolicy: tiers around NetworkPolicy.

use crate::world::{OUTSIDE, World};

/// A ClusterNetworkPolicy about the pods of namespace x. `rules` is the rest of its spec.
fn cnp(name: &str, tier: &str, priority: u16, rules: &str) -> String {
    format!(
        "---\napiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n\
         metadata: {{name: {name}}}\nspec:\n  tier: {tier}\n  priority: {priority}\n  \
         subject: {{namespaces: {{matchLabels: {{ns: x}}}}}}\n  {rules}\n"
    )
}

/// An ingress rule about every pod of namespace y.
fn from_y(action: &str) -> String {
    format!("ingress: [{{action: {action}, from: [{{namespaces: {{matchLabels: {{ns: y}}}}}}]}}]")
}

fn world(policies: &[String]) -> World {
    let mut world = World::new();
    for policy in policies {
        world.apply(policy);
    }
    world
}

#[test]
fn trap_cnp_admin_decides_before_network_policy_and_baseline_after_it() {
    let deny_all = "podSelector: {matchLabels: {pod: a}}";
    let allow_all = "podSelector: {matchLabels: {pod: b}}\ningress: [{}]";
    for (admin, baseline, a, b, c) in [
        ("Accept", "Deny", true, true, true),
        ("Deny", "Accept", false, false, false),
        ("Pass", "Deny", false, true, false),
        ("Pass", "Accept", false, true, true),
        ("Pass", "Pass", false, true, true),
    ] {
        let world = world(&[
            cnp("guard", "Admin", 1, &from_y(admin)),
            cnp("default", "Baseline", 1, &from_y(baseline)),
        ])
        .policy(deny_all)
        .policy(allow_all);
        for (to, allowed) in [("x/a", a), ("x/b", b), ("x/c", c)] {
            assert_eq!(
                world.allows("y/a", to, "80/tcp"),
                allowed,
                "{admin}, {baseline}, {to}"
            );
        }
    }
}

#[test]
fn trap_cnp_network_policy_is_final_for_the_pods_it_selects() {
    // Nothing matches, and still the baseline's Accept is not asked.
    let world = world(&[cnp("open", "Baseline", 1, &from_y("Accept"))])
        .policy("podSelector: {matchLabels: {pod: a}}\ningress: [{ports: [{port: 81}]}]");
    assert!(!world.allows("y/a", "x/a", "80/tcp"));
    assert!(world.allows("y/a", "x/a", "81/tcp"));
    assert!(world.allows("y/a", "x/b", "80/tcp"));
}

#[test]
fn trap_cnp_the_lower_priority_is_first_and_pass_skips_the_rest_of_the_tier() {
    let deny = cnp("a-deny", "Admin", 10, &from_y("Deny"));
    let earlier = |action| cnp("z-earlier", "Admin", 9, &from_y(action));
    assert!(!world(std::slice::from_ref(&deny)).allows("y/a", "x/a", "80/tcp"));
    assert!(world(&[deny.clone(), earlier("Accept")]).allows("y/a", "x/a", "80/tcp"));
    assert!(world(&[deny.clone(), earlier("Pass")]).allows("y/a", "x/a", "80/tcp"));
    let later = cnp("a-later", "Admin", 11, &from_y("Accept"));
    assert!(!world(&[deny, later]).allows("y/a", "x/a", "80/tcp"));
}

#[test]
fn trap_cnp_equal_priorities_are_decided_by_name_every_time() {
    // The API leaves it open; whoever relies on it should at least see the same tomorrow.
    let policies = |first, second| {
        [
            cnp("a", "Admin", 5, &from_y(first)),
            cnp("b", "Admin", 5, &from_y(second)),
        ]
    };
    for (first, second, allowed) in [("Accept", "Deny", true), ("Deny", "Accept", false)] {
        let mut both = policies(first, second);
        assert_eq!(world(&both).allows("y/a", "x/a", "80/tcp"), allowed);
        both.reverse();
        assert_eq!(world(&both).allows("y/a", "x/a", "80/tcp"), allowed);
    }
}

#[test]
fn trap_cnp_rules_are_asked_in_order_up_to_the_twenty_fifth() {
    let rule = |action: &str, port: u16| {
        format!(
            "{{action: {action}, from: [{{namespaces: {{}}}}], \
             protocols: [{{tcp: {{destinationPort: {{number: {port}}}}}}}]}}"
        )
    };
    let mut rules: Vec<String> = (1..=23).map(|port| rule("Deny", port)).collect();
    rules.push(rule("Accept", 80));
    rules.push(rule("Deny", 80));
    let text = cnp("p", "Admin", 1, &format!("ingress: [{}]", rules.join(", ")));
    let allowing = world(&[text]);
    assert!(allowing.allows("y/a", "x/a", "80/tcp"));
    assert!(!allowing.allows("y/a", "x/a", "23/tcp"));
    rules.swap(23, 24);
    let text = cnp("p", "Admin", 1, &format!("ingress: [{}]", rules.join(", ")));
    assert!(!world(&[text]).allows("y/a", "x/a", "80/tcp"));
}

#[test]
fn trap_cnp_networks_match_pods_and_icmp_as_well_as_outsiders() {
    let rules = "egress: [{action: Deny, to: [{networks: [10.244.2.0/24, 192.0.2.0/24]}]}]";
    let world = world(&[cnp("p", "Admin", 1, rules)]);
    for traffic in ["80/tcp", "53/udp", "9003/sctp", "icmp", "gre"] {
        assert!(!world.allows("x/a", "y/b", traffic), "{traffic}");
        assert!(!world.allows("x/a", OUTSIDE, traffic), "{traffic}");
        assert!(world.allows("x/a", "z/b", traffic), "{traffic}");
    }
}

#[test]
fn trap_cnp_host_network_pods_are_neither_peers_nor_subjects() {
    let all = "ingress: [{action: Deny, from: [{namespaces: {}}]}]";
    let mut world = world(&[cnp("p", "Admin", 1, all)]);
    world.change("y/a", |pod| pod.host_network = true);
    assert!(world.allows("y/a", "x/a", "80/tcp"));
    assert!(!world.allows("y/b", "x/a", "80/tcp"));
    world.change("x/a", |pod| pod.host_network = true);
    assert!(world.allows("y/b", "x/a", "80/tcp"));
}

#[test]
fn trap_cnp_nodes_are_egress_peers_by_their_labels() {
    let rules = "egress: [{action: Deny, to: [{nodes: {matchLabels: {pool: edge}}}]}]";
    let mut world = world(&[cnp("p", "Admin", 1, rules)]);
    for (name, pool, address) in [("n1", "edge", "172.16.30.6"), ("n2", "core", "172.16.30.7")] {
        world.apply(&format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {{pool: {pool}}}}}, \
             status: {{addresses: [{{type: InternalIP, address: {address}}}]}}}}"
        ));
    }
    assert!(!world.allows("x/a", "172.16.30.6", "22/tcp"));
    assert!(world.allows("x/a", "172.16.30.7", "22/tcp"));
    world.apply("{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {pool: core}}}");
    assert!(world.allows("x/a", "172.16.30.6", "22/tcp"));
}

#[test]
fn trap_cnp_a_named_port_is_of_whichever_protocol_the_pod_says() {
    let rules = "ingress: [{action: Deny, from: [{namespaces: {}}], \
                 protocols: [{destinationNamedPort: http}, {destinationNamedPort: dns}]}]";
    let world = world(&[cnp("p", "Admin", 1, rules)]);
    for (traffic, allowed) in [
        ("80/tcp", false),
        ("53/udp", false),
        ("80/udp", true),
        ("53/tcp", true),
        ("icmp", true),
    ] {
        assert_eq!(world.allows("y/a", "x/a", traffic), allowed, "{traffic}");
    }
}

#[test]
fn trap_cnp_a_pod_reaches_itself_past_an_admins_deny() {
    let all = "ingress: [{action: Deny, from: [{namespaces: {}}]}]";
    let world = world(&[cnp("p", "Admin", 1, all)]);
    assert!(world.allows("x/a", "x/a", "80/tcp"));
    assert!(!world.allows("x/b", "x/a", "80/tcp"));
}
