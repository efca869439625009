//! Traps 12 to 19 and 37: which traffic a rule means.

use policy::protocol;

use crate::world::{OUTSIDE, World, named};

/// A world in which x/a takes only the traffic of one `ports` list.
fn ingress(ports: &str) -> World {
    World::new().policy(&format!(
        "podSelector: {{matchLabels: {{pod: a}}}}\ningress: [{{ports: [{ports}]}}]"
    ))
}

/// A world in which x/a sends only the traffic of one `ports` list.
fn egress(ports: &str) -> World {
    World::new().policy(&format!(
        "podSelector: {{matchLabels: {{pod: a}}}}\npolicyTypes: [Egress]\n\
         egress: [{{ports: [{ports}]}}]"
    ))
}

#[track_caller]
fn takes(world: &World, good: &[&str], bad: &[&str]) {
    for traffic in good {
        assert!(world.allows("y/b", "x/a", traffic), "{traffic} should pass");
    }
    for traffic in bad {
        assert!(
            !world.allows("y/b", "x/a", traffic),
            "{traffic} should not pass"
        );
    }
}

#[test]
fn trap_12_a_port_without_protocol_means_tcp_only() {
    takes(
        &ingress("{port: 80}"),
        &["80/tcp"],
        &["80/udp", "80/sctp", "81/tcp", "icmp"],
    );
    takes(&ingress("{}"), &["80/tcp", "1/tcp"], &["80/udp", "icmp"]);
}

#[test]
fn trap_13_a_protocol_without_port_means_every_port_of_it() {
    takes(
        &ingress("{protocol: UDP}"),
        &["1/udp", "65535/udp"],
        &["1/tcp", "icmp"],
    );
}

#[test]
fn trap_14_any_ports_list_denies_icmp() {
    let all = "{protocol: TCP}, {protocol: UDP}, {protocol: SCTP}";
    takes(
        &ingress(all),
        &["80/tcp", "80/udp", "80/sctp"],
        &["icmp", "gre"],
    );
}

#[test]
fn trap_15_end_port_is_inclusive() {
    for (protocol, word) in [("TCP", "tcp"), ("UDP", "udp"), ("SCTP", "sctp")] {
        let world = ingress(&format!("{{protocol: {protocol}, port: 53, endPort: 80}}"));
        for (port, passes) in [(52, false), (53, true), (66, true), (80, true), (81, false)] {
            let traffic = format!("{port}/{word}");
            assert_eq!(world.allows("y/b", "x/a", &traffic), passes, "{traffic}");
        }
    }
    takes(
        &ingress("{port: 7, endPort: 7}"),
        &["7/tcp"],
        &["6/tcp", "8/tcp"],
    );
    takes(
        &ingress("{port: 1, endPort: 65535}"),
        &["1/tcp", "65535/tcp"],
        &["0/tcp"],
    );
}

#[test]
fn trap_16_a_named_port_is_the_destination_pods_own_number() {
    let mut world = World::new()
        .policy("podSelector: {}\ningress: [{ports: [{port: http}]}]")
        .policy(
            "podSelector: {matchLabels: {pod: a}}\npolicyTypes: [Egress]\n\
             egress: [{ports: [{port: http}]}]",
        );
    world.change("x/b", |pod| {
        pod.named_ports = [named("http", protocol::TCP, 8080)].into();
    });
    world.change("y/b", |pod| {
        pod.named_ports = [named("http", protocol::TCP, 9090)].into();
    });
    // Ingress: x/b calls 8080 http, x/c calls 80 http.
    assert!(world.allows("z/a", "x/b", "8080/tcp"));
    assert!(!world.allows("z/a", "x/b", "80/tcp"));
    assert!(world.allows("z/a", "x/c", "80/tcp"));
    assert!(!world.allows("z/a", "x/c", "8080/tcp"));
    // Egress: the destination's numbers count, not the source's.
    assert!(world.allows("x/a", "y/b", "9090/tcp"));
    assert!(!world.allows("x/a", "y/b", "80/tcp"));
    assert!(world.allows("x/a", "y/c", "80/tcp"));
    assert!(!world.allows("x/a", OUTSIDE, "80/tcp"));
}

#[test]
fn trap_16_a_named_port_and_an_address_block_meet_at_the_pod_behind_the_address() {
    let world = World::new().policy(
        "podSelector: {matchLabels: {pod: a}}\npolicyTypes: [Egress]\n\
         egress: [{to: [{ipBlock: {cidr: 10.244.2.0/24}}], ports: [{port: http}]}]",
    );
    assert!(world.allows("x/a", "y/b", "80/tcp"));
    assert!(!world.allows("x/a", "y/b", "81/tcp"));
    assert!(!world.allows("x/a", "10.244.2.99", "80/tcp"));
}

#[test]
fn trap_17_a_named_port_nobody_serves_allows_nothing() {
    let none = ["80/tcp", "53/tcp", "53/udp", "80/udp", "icmp"];
    takes(&ingress("{port: metrics}"), &[], &none);
    // `dns` is UDP in the pod.
    takes(&ingress("{port: dns}"), &[], &none);
    takes(
        &ingress("{port: dns, protocol: UDP}"),
        &["53/udp"],
        &["53/tcp", "80/tcp"],
    );
    let world = egress("{port: metrics}");
    assert!(!world.allows("x/a", "y/b", "80/tcp"));
}

#[test]
fn trap_18_ports_of_init_and_sidecar_containers_count() {
    let mut world = ingress("{port: admin}, {port: init}");
    world.apply(
        "
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: x, labels: {pod: a}}
spec:
  initContainers:
  - {name: s, restartPolicy: Always, ports: [{name: init, containerPort: 7001}]}
  containers:
  - {name: m, ports: [{name: http, containerPort: 80}]}
  - {name: n, ports: [{name: admin, containerPort: 7002, protocol: TCP}]}
status: {podIP: 10.244.1.1}
",
    );
    takes(&world, &["7001/tcp", "7002/tcp"], &["80/tcp"]);
}

#[test]
fn trap_19_only_the_destination_port_counts() {
    // It is the one after destination NAT, the targetPort.
    let world = egress("{port: 8080}");
    assert!(world.allows("x/a", "y/b", "8080/tcp"));
    assert!(!world.allows("x/a", "y/b", "80/tcp"));
    assert!(!world.allows("x/a", "y/b", "8080->80/tcp"));
}

#[test]
fn trap_37_sctp_is_matched_on_its_own() {
    let world = ingress("{protocol: SCTP, port: 9003}");
    takes(
        &world,
        &["9003/sctp"],
        &["9003/tcp", "9003/udp", "9005/sctp"],
    );
}
