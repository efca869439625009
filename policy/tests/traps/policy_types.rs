//! Traps 1 to 4: which directions a policy isolates. Traps 25 and 26: several policies.

use crate::world::{OUTSIDE, World};

const ALL: [&str; 8] = ["x/b", "x/c", "y/a", "y/b", "y/c", "z/a", "z/b", "z/c"];

#[test]
fn trap_01_without_policy_types_egress_is_isolated_only_by_egress_rules() {
    let world = World::new().policy("podSelector: {matchLabels: {pod: a}}");
    world.only_from("x/a", "80/tcp", &[]);
    world.only_to("x/a", "80/tcp", &ALL);

    let world = World::new().policy("podSelector: {matchLabels: {pod: a}}\negress: []");
    world.only_to("x/a", "80/tcp", &ALL);

    let world = World::new()
        .policy("podSelector: {matchLabels: {pod: a}}\negress: [{to: [{podSelector: {}}]}]");
    world.only_from("x/a", "80/tcp", &[]);
    world.only_to("x/a", "80/tcp", &["x/b", "x/c"]);
}

#[test]
fn trap_02_egress_rules_are_ignored_when_policy_types_is_ingress() {
    let world = World::new().policy(
        "podSelector: {matchLabels: {pod: a}}\npolicyTypes: [Ingress]\n\
         egress: [{to: [{podSelector: {}}]}]",
    );
    world.only_to("x/a", "80/tcp", &ALL);
    world.only_from("x/a", "80/tcp", &[]);
}

#[test]
fn trap_03_type_egress_without_rules_denies_all_egress_and_no_ingress() {
    let world = World::new().policy("podSelector: {matchLabels: {pod: a}}\npolicyTypes: [Egress]");
    world.only_to("x/a", "80/tcp", &[]);
    world.only_from("x/a", "80/tcp", &ALL);
    assert!(!world.allows("x/a", OUTSIDE, "443/tcp"));
    assert!(world.allows(OUTSIDE, "x/a", "443/tcp"));
}

#[test]
fn trap_04_no_rules_deny_and_one_empty_rule_allows_everything() {
    for none in ["ingress: []", "ingress:", "policyTypes: [Ingress]"] {
        let world = World::new().policy(&format!("podSelector: {{}}\n{none}"));
        world.only_from("x/a", "80/tcp", &[]);
        assert!(!world.allows(OUTSIDE, "x/a", "icmp"));
    }
    let world = World::new().policy("podSelector: {}\ningress: [{}]");
    for traffic in ["80/tcp", "53/udp", "9003/sctp", "icmp", "gre"] {
        world.only_from("x/a", traffic, &ALL);
        assert!(world.allows(OUTSIDE, "x/a", traffic), "{traffic}");
    }
}

#[test]
fn trap_25_policies_add_up_and_never_subtract() {
    let from = |ns: &str| {
        format!(
            "podSelector: {{matchLabels: {{pod: a}}}}\n\
             ingress: [{{from: [{{namespaceSelector: {{matchLabels: {{ns: {ns}}}}}}}]}}]"
        )
    };
    let both = World::new().policy(&from("y")).policy(&from("z"));
    let other_order = World::new().policy(&from("z")).policy(&from("y"));
    for world in [both, other_order] {
        world.only_from("x/a", "80/tcp", &["y/a", "y/b", "y/c", "z/a", "z/b", "z/c"]);
    }
}

#[test]
fn trap_26_allow_all_beats_deny_all_but_not_the_sources_egress() {
    let world = World::new()
        .policy("podSelector: {}\npolicyTypes: [Ingress]")
        .policy("podSelector: {}\ningress: [{}]");
    world.only_from("x/a", "80/tcp", &ALL);
    let world = world.policy("podSelector: {matchLabels: {pod: b}}\npolicyTypes: [Egress]");
    world.only_from("x/a", "80/tcp", &ALL[1..]);
}

#[test]
fn a_policy_without_spec_selects_every_pod_and_denies_ingress() {
    let mut world = World::new();
    world.apply(
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: n, namespace: x}}",
    );
    world.only_from("x/b", "80/tcp", &[]);
    assert!(world.allows("x/b", "y/a", "80/tcp"));
}
