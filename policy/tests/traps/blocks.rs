//! Traps 20 to 24: address blocks.

use policy::parse;

use crate::world::{OUTSIDE, World, address, policy_text};

fn ingress(peers: &str) -> World {
    World::new().policy(&format!(
        "podSelector: {{matchLabels: {{pod: a}}}}\ningress: [{{from: [{peers}]}}]"
    ))
}

#[test]
fn trap_20_a_service_address_is_just_an_outside_address() {
    let world = World::new().policy(
        "podSelector: {matchLabels: {pod: a}}\npolicyTypes: [Egress]\n\
         egress: [{to: [{namespaceSelector: {matchLabels: {ns: y}}}]}]",
    );
    // So a rule about pods does not mean their service: the data plane asks about the backend behind
    // the host's NAT, and about the service's address before it.
    assert!(!world.allows("x/a", "10.96.0.10", "80/tcp"));
    assert!(world.allows("x/a", "y/b", "80/tcp"));
}

#[test]
fn trap_21_a_block_matches_pods_as_well_as_outsiders() {
    let world = ingress("{ipBlock: {cidr: 10.244.2.0/24}}, {ipBlock: {cidr: 192.0.2.0/24}}");
    world.only_from("x/a", "80/tcp", &["y/a", "y/b", "y/c"]);
    assert!(world.allows(OUTSIDE, "x/a", "80/tcp"));
    assert!(!world.allows("198.51.100.1", "x/a", "80/tcp"));
}

#[test]
fn trap_21_the_widest_and_the_narrowest_block_work() {
    ingress("{ipBlock: {cidr: 10.244.2.2/32}}").only_from("x/a", "80/tcp", &["y/b"]);
    let all = ["x/b", "x/c", "y/a", "y/b", "y/c", "z/a", "z/b", "z/c"];
    ingress("{ipBlock: {cidr: 0.0.0.0/0}}").only_from("x/a", "80/tcp", &all);
}

#[test]
fn trap_22_except_carves_out_of_its_own_item_only() {
    let holed = "{ipBlock: {cidr: 10.244.0.0/16, except: [10.244.2.0/24]}}";
    let world = ingress(holed);
    world.only_from("x/a", "80/tcp", &["x/b", "x/c", "z/a", "z/b", "z/c"]);
    let world = ingress(&format!("{holed}, {{ipBlock: {{cidr: 10.244.2.2/32}}}}"));
    world.only_from("x/a", "80/tcp", &["x/b", "x/c", "y/b", "z/a", "z/b", "z/c"]);
    let world = ingress(&format!(
        "{holed}, {{namespaceSelector: {{matchLabels: {{ns: y}}}}}}"
    ));
    assert!(world.allows("y/a", "x/a", "80/tcp"));
    let other = "podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 10.244.2.0/30}}]}]";
    let world = ingress(holed).policy(other);
    assert!(world.allows("y/c", "x/a", "80/tcp"));
}

#[test]
fn trap_22_an_outer_block_survives_the_hole_of_an_inner_one() {
    let world = ingress(
        "{ipBlock: {cidr: 10.244.2.0/24, except: [10.244.2.2/32]}}, \
         {ipBlock: {cidr: 10.244.0.0/16}}",
    );
    assert!(world.allows("y/b", "x/a", "80/tcp"));
}

#[test]
fn trap_23_except_outside_of_the_block_is_refused() {
    for except in [
        "10.1.0.0/16",
        "10.244.0.0/16",
        "10.0.0.0/8",
        "2001:db8::/64",
    ] {
        let text = policy_text(
            "p",
            &format!(
                "ingress: [{{from: [{{ipBlock: {{cidr: 10.244.0.0/16, except: [\"{except}\"]}}}}]}}]"
            ),
        );
        let errors = parse("p.yaml", &text).expect_err(except);
        assert_eq!(errors[0].field, "spec.ingress[0].from[0].ipBlock.except[0]");
    }
}

#[test]
fn trap_24_a_block_of_one_family_never_matches_the_other() {
    let mut world = ingress("{ipBlock: {cidr: 0.0.0.0/0}}");
    world.change("x/a", |pod| pod.addresses.push(address("fd00::1")));
    assert!(!world.allows("2001:db8::9", "fd00::1", "80/tcp"));
    assert!(world.allows(OUTSIDE, "x/a", "80/tcp"));
    let mut world = ingress("{ipBlock: {cidr: \"::/0\", except: [\"2001:db8:1::/48\"]}}");
    world.change("x/a", |pod| pod.addresses.push(address("fd00::1")));
    assert!(world.allows("2001:db8::9", "fd00::1", "80/tcp"));
    assert!(!world.allows("2001:db8:1::9", "fd00::1", "80/tcp"));
    assert!(!world.allows(OUTSIDE, "x/a", "80/tcp"));
}
