//! Traps 29 to 32, 35 and 39: who is an endpoint, and when.

use policy::model::Phase;
use policy::{Direction, Flow, RuleRef, compile, protocol};

use crate::world::{OUTSIDE, World, address, pod};

/// A world in which x/a takes traffic from pods labelled `pod: b` of namespace y only.
fn guarded() -> World {
    World::new().policy(
        "podSelector: {matchLabels: {pod: a}}\n\
         ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}, \
         podSelector: {matchLabels: {pod: b}}}]}]",
    )
}

#[test]
fn trap_29_a_changed_pod_label_counts_at_once() {
    let mut world = guarded();
    world.only_from("x/a", "80/tcp", &["y/b"]);
    world.change("y/c", |pod| {
        drop(pod.labels.insert("pod".to_owned(), "b".to_owned()));
    });
    world.change("y/b", |pod| pod.labels.clear());
    world.only_from("x/a", "80/tcp", &["y/c"]);
}

#[test]
fn trap_29_a_changed_namespace_label_counts_at_once() {
    let mut world = guarded();
    world.apply("{apiVersion: v1, kind: Namespace, metadata: {name: z, labels: {ns: y}}}");
    world.apply("{apiVersion: v1, kind: Namespace, metadata: {name: y}}");
    world.only_from("x/a", "80/tcp", &["z/b"]);
}

#[test]
fn trap_29_a_reused_address_inherits_nothing() {
    let mut world = guarded();
    world.change("y/b", |pod| {
        pod.phase = Phase::Finished;
        pod.created = Some("2026-08-01T10:00:00Z".to_owned());
    });
    world
        .cluster
        .apply(policy::Object::Pod(pod("z", "new", "10.244.2.2")));
    assert!(!world.allows("10.244.2.2", "x/a", "80/tcp"));
}

#[test]
fn trap_29_between_two_claims_the_staying_then_the_younger_pod_wins() {
    let mut world = guarded();
    let mut young = pod("z", "new", "10.244.2.2");
    young.created = Some("2026-08-01T10:00:05Z".to_owned());
    world.change("y/b", |pod| {
        pod.created = Some("2026-08-01T10:00:00Z".to_owned());
    });
    world.cluster.apply(policy::Object::Pod(young.clone()));
    assert!(!world.allows("10.244.2.2", "x/a", "80/tcp"));
    young.terminating = true;
    world.cluster.apply(policy::Object::Pod(young));
    assert!(world.allows("10.244.2.2", "x/a", "80/tcp"));
}

#[test]
fn trap_29_the_address_cni_attached_wins_over_the_reported_one() {
    let mut world = guarded();
    // z/c sits on the address that y/b's stale object still reports.
    world.cluster.set_workload("z", "c", address("10.244.2.2"));
    assert!(!world.allows("10.244.2.2", "x/a", "80/tcp"));
    // y/b itself was attached elsewhere.
    world.cluster.set_workload("y", "b", address("10.244.2.77"));
    assert!(world.allows("10.244.2.77", "x/a", "80/tcp"));
    assert!(world.cluster.remove_workload("z", "c"));
    assert!(!world.allows("10.244.2.2", "x/a", "80/tcp"));
}

/// A pod of a tenant, whose annotation says that it has this address.
fn annotated(metadata: &str, spec: &str, address: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: tenant, namespace: z, {metadata}, \
         annotations: {{cni.projectcalico.org/podIP: '{address}/32'}}}}, spec: {{{spec}}}}}"
    )
}

const YOUNG: &str = "creationTimestamp: '2027-01-01T00:00:00Z'";

#[test]
fn trap_29_an_annotation_takes_no_address_from_the_pod_that_reports_it() {
    let mut world = guarded();
    world.apply(&annotated(YOUNG, "nodeName: n1", "10.244.2.2"));
    world.only_from("x/a", "80/tcp", &["y/b"]);
    world.change("y/b", |pod| pod.terminating = true);
    world.only_from("x/a", "80/tcp", &["y/b"]);
    // Nor by way of an attachment of the tenant's, which is of an address of its own.
    let own = "2001:db8::9".parse().expect("an address");
    world.cluster.set_workload("z", "tenant", own);
    world.only_from("x/a", "80/tcp", &["y/b"]);
}

#[test]
fn trap_29_an_annotation_makes_no_outsider_a_pod_before_the_pod_is_on_a_node() {
    let mut world = World::new().policy(
        "podSelector: {}\npolicyTypes: [Egress]\negress: [{to: [{namespaceSelector: {}}]}]",
    );
    let outsider = "203.0.113.5";
    assert!(!world.allows("x/a", outsider, "80/tcp"));
    for spec in ["", "nodeName: ''", "nodeName: n1, hostNetwork: true"] {
        world.apply(&annotated(YOUNG, spec, outsider));
        assert!(!world.allows("x/a", outsider, "80/tcp"), "{spec}");
    }
    // On a node it is what Calico takes it for: the address that the kubelet will report.
    world.apply(&annotated(YOUNG, "nodeName: n1", outsider));
    assert!(world.allows("x/a", outsider, "80/tcp"));
}

#[test]
fn trap_30_a_finished_pod_loses_its_identity() {
    let mut world = guarded();
    world.change("y/b", |pod| pod.phase = Phase::Finished);
    world.only_from("x/a", "80/tcp", &[]);
    assert!(!compile(&world.cluster).knows(address("y/b")));
}

#[test]
fn trap_30_a_terminating_pod_keeps_its_identity() {
    let mut world = guarded();
    world.change("y/b", |pod| pod.terminating = true);
    world.change("x/a", |pod| pod.terminating = true);
    world.only_from("x/a", "80/tcp", &["y/b"]);
}

#[test]
fn trap_31_addresses_of_nodes_are_outside() {
    // Traffic of the own node is known by the port it came by, and never asked about here.
    let world = guarded();
    assert!(!world.allows("172.16.30.6", "x/a", "80/tcp"));
}

#[test]
fn trap_32_a_pod_may_always_reach_itself() {
    let world = World::new().policy("podSelector: {}\npolicyTypes: [Ingress, Egress]");
    assert!(world.allows("x/a", "x/a", "80/tcp"));
    assert!(!world.allows("x/a", "x/b", "80/tcp"));
}

#[test]
fn trap_35_an_endpoint_nobody_knows_is_denied() {
    let table = compile(&World::new().cluster);
    let flow = Flow {
        subject: address("10.244.9.9"),
        peer: address("x/a"),
        protocol: protocol::TCP,
        src_port: 40_000,
        dst_port: 80,
        icmp: None,
    };
    for direction in [Direction::Ingress, Direction::Egress] {
        let verdict = table.verdict(direction, &flow);
        assert!(!verdict.allowed);
        assert_eq!(verdict.rule, RuleRef::UNKNOWN_ENDPOINT);
        assert_eq!(table.describe(verdict.rule).to_string(), "unknown endpoint");
    }
}

#[test]
fn trap_35_a_pod_only_cni_knows_is_isolated_by_its_namespaces_policies() {
    let mut world = World::new().policy("podSelector: {}\npolicyTypes: [Ingress]");
    world
        .cluster
        .set_workload("x", "new", address("10.244.1.9"));
    assert!(!world.allows("y/a", "10.244.1.9", "80/tcp"));
    // It has no labels yet; when the object comes it has, even if that reports no address.
    let mut world = world.policy("podSelector: {matchLabels: {app: web}}\ningress: [{}]");
    assert!(!world.allows("y/a", "10.244.1.9", "80/tcp"));
    world.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: new, namespace: x, labels: {app: web}}}",
    );
    assert!(world.allows("y/a", "10.244.1.9", "80/tcp"));
}

#[test]
fn trap_35_a_container_that_is_no_pod_is_an_outsider_no_policy_selects() {
    let everybody = "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, \
                     metadata: {name: all}, spec: {selector: all(), types: [Ingress, Egress]}}";
    let container = "10.244.1.9";
    let attach = |mut world: World| {
        world.cluster.set_workload("", "c0ffee", address(container));
        world
    };
    let mut world = attach(World::new());
    world.apply(everybody);
    assert!(world.allows(container, OUTSIDE, "80/tcp"));
    assert!(world.allows(OUTSIDE, container, "80/tcp"));
    for (peers, allowed) in [
        ("namespaceSelector: {}", false),
        (
            "namespaceSelector: {matchExpressions: [{key: ns, operator: DoesNotExist}]}",
            false,
        ),
        ("podSelector: {}", false),
        ("ipBlock: {cidr: 10.244.1.0/24}", true),
    ] {
        let world = attach(World::new().policy(&format!(
            "podSelector: {{}}\ningress: [{{from: [{{{peers}}}]}}]\negress: [{{to: [{{{peers}}}]}}]"
        )));
        assert_eq!(world.allows(container, "x/a", "80/tcp"), allowed, "{peers}");
        assert_eq!(world.allows("x/a", container, "80/tcp"), allowed, "{peers}");
    }
    for (source, allowed) in [
        ("selector: all()", false),
        ("selector: '!has(pod)'", false),
        ("notSelector: all()", true),
        ("namespaceSelector: global()", false),
    ] {
        let mut world = attach(World::new());
        world.apply(&format!(
            "{{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {{name: g}}, \
             spec: {{selector: has(pod), ingress: [{{action: Allow, source: {{{source}}}}}]}}}}"
        ));
        assert_eq!(
            world.allows(container, "x/a", "80/tcp"),
            allowed,
            "{source}"
        );
    }
}

#[test]
fn trap_39_ipv6_neighbour_discovery_cannot_be_denied() {
    let mut world = World::new().policy("podSelector: {}\npolicyTypes: [Ingress, Egress]");
    world.change("x/a", |pod| pod.addresses.push(address("fd00::1")));
    let table = compile(&world.cluster);
    let ask = |kind| {
        let flow = Flow {
            subject: address("fd00::1"),
            peer: address("fd00::2"),
            protocol: protocol::ICMPV6,
            src_port: 0,
            dst_port: 0,
            icmp: Some((kind, 0)),
        };
        table.verdict(Direction::Egress, &flow)
    };
    for kind in [133, 135, 136] {
        assert_eq!(ask(kind).rule, RuleRef::NEIGHBOUR_DISCOVERY, "type {kind}");
    }
    // Echo request, router advertisement, redirect.
    for kind in [128, 134, 137] {
        assert!(!ask(kind).allowed, "type {kind}");
    }
}
