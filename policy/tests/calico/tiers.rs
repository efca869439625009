//! Order, tiers, and what the actions do.

use super::world::{OUTSIDE, World};

const DENY_ALL: &str = "ingress: [{action: Deny}]";
const ALLOW_ALL: &str = "ingress: [{action: Allow}]";

#[test]
fn a_policy_with_lower_order_is_asked_first() {
    for (first, second, expected) in [(DENY_ALL, ALLOW_ALL, false), (ALLOW_ALL, DENY_ALL, true)] {
        let world = World::new()
            .and_global("second", &format!("order: 20, {second}"))
            .and_global("first", &format!("order: 10, {first}"));
        assert_eq!(world.allows("y/web", "x/web", "80/tcp"), expected);
    }
}

#[test]
fn a_policy_without_order_comes_last() {
    let world = World::new()
        .and_global("a", DENY_ALL)
        .and_global("b", &format!("order: 100000, {ALLOW_ALL}"));
    assert!(world.allows("y/web", "x/web", "80/tcp"));
}

#[test]
fn a_global_deny_below_order_1000_beats_a_kubernetes_allow() {
    let allow = "podSelector: {}, ingress: [{}]";
    let deny = "selector: app == 'web', ingress: [{action: Deny}]";
    let world = World::global(&format!("order: 999, {deny}")).and_kubernetes(allow);
    world.only_from("x/web", "80/tcp", &[]);
    world.only_from("x/db", "80/tcp", &["x/web", "y/web", "y/job", OUTSIDE]);
    let world = World::global(&format!("order: 1001, {deny}")).and_kubernetes(allow);
    world.only_from("x/web", "80/tcp", &["x/db", "y/web", "y/job", OUTSIDE]);
}

#[test]
fn a_tier_with_lower_order_is_asked_first_and_decides() {
    let world = |order| {
        World::new()
            .and("Tier", "name: security", &format!("order: {order}"))
            .and_global("default", ALLOW_ALL)
            .and_global("s", &format!("tier: security, {DENY_ALL}"))
    };
    assert!(!world("10").allows("y/web", "x/web", "80/tcp"));
    assert!(world("2000000").allows("y/web", "x/web", "80/tcp"));
}

#[test]
fn pass_skips_the_rest_of_the_tier() {
    let world = World::new()
        .and("Tier", "name: security", "order: 10")
        .and_global(
            "s",
            "tier: security, order: 1, ingress: [\
             {action: Pass, source: {selector: app == 'web'}}]",
        )
        .and_global("t", "tier: security, order: 2, ingress: [{action: Deny}]")
        .and_global("d", "ingress: [{action: Allow, protocol: TCP}]");
    world.only_from("x/db", "80/tcp", &["x/web", "y/web"]);
    world.only_from("x/db", "80/udp", &[]);
}

#[test]
fn when_every_tier_passes_the_flow_may_begin() {
    let world = World::global("ingress: [{action: Pass}]");
    world.only_from("x/db", "80/tcp", &["x/web", "y/web", "y/job", OUTSIDE]);
}

#[test]
fn a_tier_in_which_no_rule_matches_ends_in_its_default_action() {
    let nobody = "tier: security, ingress: [{action: Allow, source: {selector: app == 'none'}}]";
    let world = |end: &str| {
        World::new()
            .and(
                "Tier",
                "name: security",
                &format!("order: 10, defaultAction: {end}"),
            )
            .and_global("s", nobody)
    };
    world("Deny").only_from("x/db", "80/tcp", &[]);
    world("Pass").only_from("x/db", "80/tcp", &["x/web", "y/web", "y/job", OUTSIDE]);
}

#[test]
fn a_tier_whose_policies_select_others_is_not_there() {
    let world = World::new()
        .and("Tier", "name: security", "order: 10")
        .and_global("s", "tier: security, selector: app == 'db', ingress: []");
    world.only_from("x/db", "80/tcp", &[]);
    world.only_from("x/web", "80/tcp", &["x/db", "y/web", "y/job", OUTSIDE]);
}

/// projectcalico/calico#3801.
#[test]
fn log_decides_nothing_so_a_policy_that_only_logs_ends_in_the_tiers_deny() {
    let world = World::namespaced("selector: app == 'db', ingress: [{action: Log}]");
    world.only_from("x/db", "80/tcp", &[]);
    let world = World::namespaced("ingress: [{action: Log}, {action: Allow, protocol: TCP}]");
    world.only_from("x/db", "80/tcp", &["x/web", "y/web", "y/job", OUTSIDE]);
    world.only_from("x/db", "80/udp", &[]);
}

#[test]
fn rules_are_asked_in_order() {
    let web = "source: {selector: app == 'web'}";
    let world = World::global(&format!(
        "ingress: [{{action: Allow, {web}, protocol: TCP}}, {{action: Deny, {web}}}, \
         {{action: Allow}}]"
    ));
    world.only_from("x/db", "80/tcp", &["x/web", "y/web", "y/job", OUTSIDE]);
    world.only_from("x/db", "80/udp", &["y/job", OUTSIDE]);
}

#[test]
fn types_left_out_police_only_the_directions_that_have_rules() {
    let ingress = World::namespaced("selector: app == 'db'");
    ingress.only_from("x/db", "80/tcp", &[]);
    ingress.only_to("x/db", "80/tcp", &["x/web", "y/web", "y/job", OUTSIDE]);

    let egress = World::namespaced("selector: app == 'db', egress: [{action: Deny}]");
    egress.only_from("x/db", "80/tcp", &["x/web", "y/web", "y/job", OUTSIDE]);
    egress.only_to("x/db", "80/tcp", &[]);

    let both = "selector: app == 'db', ingress: [{action: Allow}], egress: [{action: Deny}]";
    let both = World::namespaced(both);
    both.only_from("x/db", "80/tcp", &["x/web", "y/web", "y/job", OUTSIDE]);
    both.only_to("x/db", "80/tcp", &[]);

    let only = "selector: app == 'db', types: [Ingress], ingress: [{action: Allow}], \
                egress: [{action: Deny}]";
    let only = World::namespaced(only);
    only.only_to("x/db", "80/tcp", &["x/web", "y/web", "y/job", OUTSIDE]);
}

#[test]
fn the_two_ends_are_judged_apart() {
    let world = World::global("selector: app == 'web', egress: [{action: Deny}]");
    world.only_from("x/db", "80/tcp", &["y/job", OUTSIDE]);
}
