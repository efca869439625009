//! The traps of Calico's policies: order, tiers, Pass and Log.

use crate::world::{OUTSIDE, World};

/// A GlobalNetworkPolicy about the pods of namespace x. `rules` is the rest of its spec.
fn gnp(name: &str, order: &str, rules: &str) -> String {
    format!(
        "---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n\
         metadata: {{name: {name}}}\nspec:\n  selector: projectcalico.org/namespace == 'x'\n  \
         {order}\n  {rules}\n"
    )
}

fn world(policies: &[String]) -> World {
    let mut world = World::new();
    for policy in policies {
        world.apply(policy);
    }
    world
}

const DENY_Y: &str = "ingress: [{action: Deny, source: {namespaceSelector: ns == 'y'}}]";
const ALLOW_ALL: &str = "podSelector: {}\ningress: [{}]";

#[test]
fn trap_calico_a_deny_below_order_1000_beats_any_kubernetes_allow() {
    for (order, allowed) in [
        ("order: 0", false),
        ("order: 999.5", false),
        ("order: 1000.5", true),
        ("", true),
    ] {
        let world = world(&[gnp("p", order, DENY_Y)]).policy(ALLOW_ALL);
        assert_eq!(world.allows("y/a", "x/a", "80/tcp"), allowed, "{order}");
        assert!(world.allows("z/a", "x/a", "80/tcp"), "{order}");
    }
}

#[test]
fn trap_calico_the_first_decision_ends_the_tier() {
    let allow = "ingress: [{action: Allow}]";
    let first = [gnp("b", "order: 1", DENY_Y), gnp("a", "order: 2", allow)];
    assert!(!world(&first).allows("y/a", "x/a", "80/tcp"));
    let second = [gnp("b", "order: 2", DENY_Y), gnp("a", "order: 1", allow)];
    assert!(world(&second).allows("y/a", "x/a", "80/tcp"));
}

#[test]
fn trap_calico_a_policy_that_only_logs_still_ends_in_the_tiers_drop() {
    let world = world(&[gnp("p", "", "ingress: [{action: Log}]")]);
    world.only_from("x/a", "80/tcp", &[]);
    assert!(!world.allows(OUTSIDE, "x/a", "icmp"));
    assert!(world.allows("y/a", "z/a", "80/tcp"));
}

#[test]
fn trap_calico_log_decides_nothing_before_the_rules_after_it() {
    let rules = "ingress: [{action: Log}, {action: Allow, source: {namespaceSelector: ns == 'y'}}]";
    world(&[gnp("p", "", rules)]).only_from("x/a", "80/tcp", &["y/a", "y/b", "y/c"]);
}

#[test]
fn trap_calico_the_end_of_a_tier_drops_per_direction() {
    let world = world(&[gnp("p", "", DENY_Y)]);
    // Ingress is isolated, although only y is denied by a rule; egress is not.
    world.only_from("x/a", "80/tcp", &[]);
    assert!(world.allows("x/a", "z/a", "80/tcp"));
    assert!(world.allows("x/a", OUTSIDE, "443/tcp"));
}

#[test]
fn trap_calico_pass_goes_to_the_next_tier_and_past_the_kubernetes_policies() {
    let tier = "---\napiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: first}\n\
                spec: {order: 10}\n";
    let pass = "ingress: [{action: Pass}]";
    // From a tier before it, to the default tier.
    let in_first = gnp("first.p", "tier: first", pass);
    let asked = world(&[tier.to_owned(), in_first]).policy("podSelector: {}");
    asked.only_from("x/a", "80/tcp", &[]);
    // In the default tier, past the NetworkPolicies behind it.
    let in_default = gnp("p", "order: 1", pass);
    let skipped = world(&[in_default]).policy("podSelector: {}");
    assert!(skipped.allows("y/a", "x/a", "80/tcp"));
}

#[test]
fn trap_calico_a_tier_nobody_has_defined_is_closed() {
    let rules = "ingress: [{action: Allow, source: {namespaceSelector: ns == 'y'}}]";
    let world = world(&[gnp("lost.p", "tier: lost", rules)]);
    world.only_from("x/a", "80/tcp", &["y/a", "y/b", "y/c"]);
}

#[test]
fn trap_calico_a_tiers_default_action_pass_leaves_the_rest_to_the_next() {
    let tier = |end: &str| {
        format!(
            "---\napiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {{name: first}}\n\
             spec: {{order: 10{end}}}\n"
        )
    };
    let policy = gnp("first.p", "tier: first", DENY_Y);
    let closed = world(&[tier(""), policy.clone()]);
    assert!(!closed.allows("z/a", "x/a", "80/tcp"));
    let open = world(&[tier(", defaultAction: Pass"), policy]);
    assert!(open.allows("z/a", "x/a", "80/tcp"));
    assert!(!open.allows("y/a", "x/a", "80/tcp"));
}
