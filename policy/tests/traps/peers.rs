//! Traps 5 to 11 and 27 to 28: who a rule means.

use crate::world::{OUTSIDE, World, policy_text};

const ALL: [&str; 8] = ["x/b", "x/c", "y/a", "y/b", "y/c", "z/a", "z/b", "z/c"];

/// A world in which x/a is protected by one ingress rule.
fn ingress(rule: &str) -> World {
    World::new().policy(&format!(
        "podSelector: {{matchLabels: {{pod: a}}}}\ningress: [{rule}]"
    ))
}

#[test]
fn trap_05_from_that_is_missing_or_empty_means_everyone() {
    for rule in [
        "{from: []}",
        "{from: }",
        "{ports: [{port: 80}]}",
        "{from: [], ports: []}",
    ] {
        let world = ingress(rule);
        world.only_from("x/a", "80/tcp", &ALL);
        assert!(world.allows(OUTSIDE, "x/a", "80/tcp"), "{rule}");
    }
}

#[test]
fn trap_06_an_empty_ports_list_means_every_port() {
    let world = ingress("{ports: []}");
    for traffic in ["1/tcp", "65535/udp", "9003/sctp", "icmp"] {
        world.only_from("x/a", traffic, &ALL);
    }
}

#[test]
fn trap_07_items_are_alternatives_but_from_and_ports_must_both_match() {
    let world = ingress(
        "{from: [{podSelector: {matchLabels: {pod: b}}}, {podSelector: {matchLabels: {pod: c}}}], \
         ports: [{port: 80}, {port: 81}]}",
    );
    for traffic in ["80/tcp", "81/tcp"] {
        world.only_from("x/a", traffic, &["x/b", "x/c"]);
    }
    world.only_from("x/a", "82/tcp", &[]);
}

#[test]
fn trap_08_both_selectors_in_one_item_must_match_and_two_items_are_alternatives() {
    let one = "{from: [{namespaceSelector: {matchLabels: {ns: y}}, \
               podSelector: {matchLabels: {pod: b}}}]}";
    ingress(one).only_from("x/a", "80/tcp", &["y/b"]);
    let two = "{from: [{namespaceSelector: {matchLabels: {ns: y}}}, \
               {podSelector: {matchLabels: {pod: b}}}]}";
    ingress(two).only_from("x/a", "80/tcp", &["x/b", "y/a", "y/b", "y/c"]);
}

#[test]
fn trap_09_a_pod_selector_alone_means_the_policys_own_namespace() {
    let own = ["x/b", "x/c"];
    ingress("{from: [{podSelector: {}}]}").only_from("x/a", "80/tcp", &own);
    ingress("{from: [{podSelector: {matchLabels: {pod: b}}}]}").only_from(
        "x/a",
        "80/tcp",
        &["x/b"],
    );
}

#[test]
fn trap_10_an_empty_namespace_selector_means_every_namespace() {
    let world = ingress("{from: [{namespaceSelector: {}}]}");
    world.only_from("x/a", "80/tcp", &ALL);
    assert!(!world.allows(OUTSIDE, "x/a", "80/tcp"));
}

#[test]
fn trap_11_selectors_match_neither_host_network_pods_nor_outsiders() {
    let mut world = ingress("{from: [{namespaceSelector: {}, podSelector: {}}]}");
    world.change("y/a", |pod| pod.host_network = true);
    assert!(!world.allows("y/a", "x/a", "80/tcp"));
    assert!(!world.allows(OUTSIDE, "x/a", "80/tcp"));
    assert!(world.allows("y/b", "x/a", "80/tcp"));
}

#[test]
fn trap_11_policies_do_not_isolate_host_network_pods() {
    let mut world = World::new().policy("podSelector: {}\npolicyTypes: [Ingress, Egress]");
    world.change("x/a", |pod| pod.host_network = true);
    assert!(world.allows("y/a", "x/a", "80/tcp"));
}

#[test]
fn trap_27_expressions_follow_the_api_and_negated_ones_match_absent_keys() {
    let expression = |text: &str| {
        ingress(&format!(
            "{{from: [{{podSelector: {{matchExpressions: [{text}]}}}}]}}"
        ))
    };
    let cases = [
        (
            "{key: pod, operator: In, values: [b, c]}",
            &["x/b", "x/c"][..],
        ),
        ("{key: pod, operator: NotIn, values: [c]}", &["x/b"]),
        ("{key: pod, operator: Exists}", &["x/b", "x/c"]),
        ("{key: pod, operator: DoesNotExist}", &[]),
        (
            "{key: tier, operator: NotIn, values: [db]}",
            &["x/b", "x/c"],
        ),
        ("{key: tier, operator: DoesNotExist}", &["x/b", "x/c"]),
        ("{key: tier, operator: In, values: [db]}", &[]),
        ("{key: tier, operator: Exists, values: []}", &[]),
        (
            "{key: pod, operator: Exists}, {key: pod, operator: NotIn, values: [b]}",
            &["x/c"],
        ),
    ];
    for (text, expected) in cases {
        expression(text).only_from("x/a", "80/tcp", expected);
    }
}

#[test]
fn trap_28_every_namespace_has_its_name_as_a_label() {
    let from = |name: &str| {
        format!(
            "{{from: [{{namespaceSelector: \
             {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}}}]}}"
        )
    };
    ingress(&from("y")).only_from("x/a", "80/tcp", &["y/a", "y/b", "y/c"]);
    // Nobody can take it away or change it.
    let mut world = ingress(&from("y"));
    world.apply(
        "{apiVersion: v1, kind: Namespace, \
         metadata: {name: z, labels: {kubernetes.io/metadata.name: y}}}",
    );
    world.only_from("x/a", "80/tcp", &["y/a", "y/b", "y/c"]);
}

#[test]
fn a_policy_reaches_only_pods_of_its_own_namespace() {
    let mut world = World::new();
    world.apply(&policy_text("deny", "podSelector: {}"));
    world.only_from(
        "y/a",
        "80/tcp",
        &["x/a", "x/b", "x/c", "y/b", "y/c", "z/a", "z/b", "z/c"],
    );
}
