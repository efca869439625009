//! Protocols, ports, ICMP and address families.

use super::world::{OUTSIDE, OUTSIDE_V6, World};

/// Of this traffic from outside to x/db, what a global policy with this one allow rule lets in.
#[track_caller]
fn let_in(rule: &str, traffic: &[&'static str], expected: &[&str]) {
    let world = World::global(&format!("ingress: [{{action: Allow, {rule}}}]"));
    let mut passed = traffic.to_vec();
    passed.retain(|traffic| world.allows(OUTSIDE, "x/db", traffic));
    assert_eq!(passed, expected, "{rule}");
}

const MIXED: [&str; 6] = ["80/tcp", "8080/tcp", "80/udp", "80/sctp", "gre", "icmp 8"];

#[test]
fn a_protocol_is_a_name_or_a_number() {
    let_in("protocol: TCP", &MIXED, &["80/tcp", "8080/tcp"]);
    let_in("protocol: UDP", &MIXED, &["80/udp"]);
    let_in("protocol: 47", &MIXED, &["gre"]);
    let_in("protocol: ICMP", &MIXED, &["icmp 8"]);
    let_in("protocol: 132", &MIXED, &["80/sctp"]);
}

#[test]
fn not_protocol_is_every_other_one() {
    let others = ["80/udp", "80/sctp", "gre", "icmp 8"];
    let_in("notProtocol: TCP", &MIXED, &others);
    let_in(
        "notProtocol: 47",
        &MIXED,
        &["80/tcp", "8080/tcp", "80/udp", "80/sctp", "icmp 8"],
    );
    let_in("protocol: TCP, notProtocol: TCP", &MIXED, &[]);
}

const PORTS: [&str; 6] = ["79/tcp", "80/tcp", "85/tcp", "90/tcp", "91/tcp", "85/udp"];

#[test]
fn ports_are_numbers_and_ranges() {
    let in_range = ["80/tcp", "85/tcp", "90/tcp"];
    let_in(
        "protocol: TCP, destination: {ports: ['80:90']}",
        &PORTS,
        &in_range,
    );
    let_in(
        "protocol: TCP, destination: {ports: [79, '91']}",
        &PORTS,
        &["79/tcp", "91/tcp"],
    );
}

#[test]
fn not_ports_leave_ports_out() {
    let others = ["79/tcp", "91/tcp"];
    let_in(
        "protocol: TCP, destination: {notPorts: ['80:90']}",
        &PORTS,
        &others,
    );
    let both = "protocol: TCP, destination: {ports: ['80:90'], notPorts: [85]}";
    let_in(both, &PORTS, &["80/tcp", "90/tcp"]);
}

#[test]
fn source_ports_are_the_senders() {
    let traffic = ["1023>80/tcp", "1024>80/tcp", "40000>80/tcp"];
    let_in(
        "protocol: TCP, source: {ports: ['1:1023']}",
        &traffic,
        &["1023>80/tcp"],
    );
    let high = ["1024>80/tcp", "40000>80/tcp"];
    let_in(
        "protocol: TCP, source: {notPorts: ['1:1023']}",
        &traffic,
        &high,
    );
}

#[test]
fn a_named_port_is_the_destination_pods() {
    let world =
        World::global("ingress: [{action: Allow, protocol: TCP, destination: {ports: [http]}}]");
    assert!(world.allows(OUTSIDE, "x/web", "80/tcp"));
    assert!(!world.allows(OUTSIDE, "x/web", "8080/tcp"));
    assert!(world.allows(OUTSIDE, "x/db", "8080/tcp"));
    assert!(!world.allows(OUTSIDE, "x/db", "80/tcp"));

    let world = World::global(
        "selector: app == 'job', egress: [{action: Allow, protocol: TCP, \
         destination: {ports: [http]}}]",
    );
    world.only_to("y/job", "80/tcp", &["x/web", "y/web"]);
    world.only_to("y/job", "8080/tcp", &["x/db"]);
}

#[test]
fn a_named_port_that_is_left_out_is_the_destination_pods_too() {
    let world =
        World::global("ingress: [{action: Allow, protocol: TCP, destination: {notPorts: [http]}}]");
    assert!(!world.allows(OUTSIDE, "x/web", "80/tcp"));
    assert!(world.allows(OUTSIDE, "x/web", "8080/tcp"));
    assert!(world.allows(OUTSIDE, "x/db", "80/tcp"));
}

#[test]
fn a_named_port_of_another_protocol_is_no_port() {
    let rule = "protocol: UDP, destination: {ports: [http]}";
    let_in(rule, &["8080/udp", "8080/tcp", "80/udp"], &[]);
}

const ICMP: [&str; 5] = ["icmp 8", "icmp 0", "icmp 3.4", "icmp 3.1", "80/tcp"];

#[test]
fn icmp_is_told_by_type_and_code() {
    let_in("protocol: ICMP, icmp: {type: 8}", &ICMP, &["icmp 8"]);
    let_in(
        "protocol: ICMP, icmp: {type: 3}",
        &ICMP,
        &["icmp 3.4", "icmp 3.1"],
    );
    let_in(
        "protocol: ICMP, icmp: {type: 3, code: 4}",
        &ICMP,
        &["icmp 3.4"],
    );
}

#[test]
fn not_icmp_leaves_messages_out() {
    let rest = ["icmp 0", "icmp 3.4", "icmp 3.1"];
    let_in("protocol: ICMP, notICMP: {type: 8}", &ICMP, &rest);
    let one = ["icmp 8", "icmp 0", "icmp 3.1"];
    let_in("protocol: ICMP, notICMP: {type: 3, code: 4}", &ICMP, &one);
    let_in(
        "protocol: ICMP, icmp: {type: 3}, notICMP: {type: 3, code: 4}",
        &ICMP,
        &["icmp 3.1"],
    );
}

#[test]
fn icmpv6_is_another_protocol() {
    let both = ["icmp 8", "icmp 128 v6"];
    let_in("protocol: ICMP", &both, &["icmp 8"]);
    let_in(
        "protocol: ICMPv6, icmp: {type: 128}",
        &both,
        &["icmp 128 v6"],
    );
}

#[test]
fn ip_version_limits_a_rule_to_a_family() {
    let both = ["80/tcp", "80/tcp6"];
    let_in("protocol: TCP", &both, &both);
    let_in("ipVersion: 4", &both, &["80/tcp"]);
    let_in("ipVersion: 6", &both, &["80/tcp6"]);
    let_in(
        "ipVersion: 4, source: {notNets: [10.0.0.0/8]}",
        &both,
        &["80/tcp"],
    );
    let_in(
        "ipVersion: 6, source: {nets: ['2001:db8::/32']}",
        &both,
        &["80/tcp6"],
    );
    let_in("ipVersion: 6, source: {nets: ['fd00::/8']}", &both, &[]);
    let_in(
        "ipVersion: 4, source: {notSelector: all()}",
        &both,
        &["80/tcp"],
    );
}

#[test]
fn blocks_of_one_family_never_hold_the_other() {
    let both = ["80/tcp", "80/tcp6"];
    let_in("source: {nets: [0.0.0.0/0]}", &both, &["80/tcp"]);
    let_in("source: {nets: ['::/0']}", &both, &["80/tcp6"]);
    let world = World::global("egress: [{action: Allow, ipVersion: 6}]");
    assert!(world.allows("x/db", OUTSIDE_V6, "80/tcp6"));
    assert!(!world.allows("x/db", OUTSIDE, "80/tcp"));
}

#[test]
fn blocks_left_out_leave_out_the_other_family() {
    let both = ["80/tcp", "80/tcp6"];
    let_in("source: {notNets: [10.0.0.0/8]}", &both, &["80/tcp"]);
    let_in("source: {notNets: ['fd00::/8']}", &both, &["80/tcp6"]);
    let_in("source: {notNets: [0.0.0.0/0]}", &both, &[]);
    let_in("source: {notNets: ['::/0']}", &both, &[]);
    // At the other end, too: x/db, which is at 10.0.0.0/8 and at fd00::/8.
    let_in("destination: {notNets: [192.0.2.0/24]}", &both, &["80/tcp"]);
    let_in("destination: {notNets: [10.0.0.0/8]}", &both, &[]);
    let_in(
        "destination: {notNets: ['2001:db8::/32']}",
        &both,
        &["80/tcp6"],
    );
}
