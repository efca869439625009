//! Network sets: addresses that have labels.

use super::world::{OUTSIDE, World};

/// A policy for x/db, with sets: `near` in x has 192.0.2.0/24, `far` in y 198.51.100.0/24, and
/// the global `wide` 203.0.113.0/24. All have the label `kind: partner`.
fn world(kind: &str, source: &str) -> World {
    let metadata = match kind {
        "NetworkPolicy" => "name: p, namespace: x",
        _ => "name: p",
    };
    let labels = "labels: {kind: partner}";
    World::new()
        .and(
            "NetworkSet",
            &format!("name: near, namespace: x, {labels}"),
            "nets: [192.0.2.0/24]",
        )
        .and(
            "NetworkSet",
            &format!("name: far, namespace: y, {labels}"),
            "nets: [198.51.100.0/24]",
        )
        .and(
            "GlobalNetworkSet",
            &format!("name: wide, {labels}"),
            "nets: [203.0.113.0/24]",
        )
        .and(
            kind,
            metadata,
            &format!("selector: app == 'db', ingress: [{{action: Allow, source: {source}}}]"),
        )
}

/// Whether an address of near, far, wide and of no set at all reaches x/db.
fn reached(kind: &str, source: &str) -> [bool; 4] {
    let world = world(kind, source);
    ["192.0.2.7", "198.51.100.7", "203.0.113.7", "9.9.9.9"]
        .map(|from| world.allows(from, "x/db", "80/tcp"))
}

#[test]
fn a_global_policy_means_sets_everywhere() {
    let reached = |source| reached("GlobalNetworkPolicy", source);
    assert_eq!(
        reached("{selector: kind == 'partner'}"),
        [true, true, true, false]
    );
    assert_eq!(reached("{selector: all()}"), [true, true, true, false]);
    let inside = "{selector: kind == 'partner', namespaceSelector: all()}";
    assert_eq!(reached(inside), [true, true, false, false]);
    let outside = "{selector: kind == 'partner', namespaceSelector: global()}";
    assert_eq!(reached(outside), [false, false, true, false]);
    let prod = "{namespaceSelector: env == 'prod'}";
    assert_eq!(reached(prod), [true, false, false, false]);
}

#[test]
fn a_namespaced_policy_means_sets_of_its_namespace_unless_it_says_which() {
    let reached = |source| reached("NetworkPolicy", source);
    assert_eq!(
        reached("{selector: kind == 'partner'}"),
        [true, false, false, false]
    );
    let test = "{selector: kind == 'partner', namespaceSelector: env == 'test'}";
    assert_eq!(reached(test), [false, true, false, false]);
    let global = "{selector: kind == 'partner', namespaceSelector: global()}";
    assert_eq!(reached(global), [false, false, true, false]);
}

#[test]
fn a_namespace_selector_that_asks_for_no_label_holds_outside_of_namespaces() {
    let source = "{selector: kind == 'partner', namespaceSelector: env != 'prod'}";
    assert_eq!(
        reached("GlobalNetworkPolicy", source),
        [false, true, true, false]
    );
}

#[test]
fn not_selector_leaves_sets_out_too() {
    let source = "{notSelector: kind == 'partner'}";
    assert_eq!(
        reached("GlobalNetworkPolicy", source),
        [false, false, false, true]
    );
}

#[test]
fn a_set_that_has_pods_in_it_means_them() {
    let world = World::global(
        "selector: app == 'db', ingress: [\
         {action: Allow, source: {selector: kind == 'pods'}}]",
    )
    .and(
        "GlobalNetworkSet",
        "name: s, labels: {kind: pods}",
        "nets: [10.0.2.0/24]",
    );
    world.only_from("x/db", "80/tcp", &["y/web", "y/job"]);
}

#[test]
fn a_set_selects_destinations() {
    let world = World::namespaced(
        "selector: app == 'db', egress: [{action: Allow, protocol: TCP, \
         destination: {selector: kind == 'out', ports: [443]}}]",
    )
    .and(
        "NetworkSet",
        "name: s, namespace: x, labels: {kind: out}",
        "nets: [192.0.2.9]",
    );
    world.only_to("x/db", "443/tcp", &[OUTSIDE]);
    world.only_to("x/db", "80/tcp", &[]);
    assert!(!world.allows("x/db", "192.0.2.10", "443/tcp"));
}
