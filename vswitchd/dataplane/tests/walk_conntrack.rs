//! Flows: replies, related errors, tightened policy, pick-up after a restart.

use dataplane::conntrack::State;
use dataplane::{DropReason, Generation};
use packet::build;
use packet::icmpv4::Message;
use packet::transport::TcpFlags;

use crate::house::*;

const SYN: TcpFlags = TcpFlags::SYN;
const SYN_ACK: TcpFlags = TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0);
const ACK: TcpFlags = TcpFlags::ACK;

fn to_client(flags: TcpFlags) -> Vec<u8> {
    build::tcp(NGINX, NGINX_MANUAL, 80, 4000, flags, 0, b"")
}

fn to_server(flags: TcpFlags) -> Vec<u8> {
    build::tcp(NGINX_MANUAL, NGINX, 4000, 80, flags, 0, b"")
}

fn states(house: &House, node: usize) -> Vec<State> {
    let workers = house.nodes[node].workers.iter();
    workers
        .flat_map(|local| local.flows(house.now, 100))
        .map(|(flow, _)| flow.state)
        .collect()
}

#[test]
fn replies_pass_default_deny_ingress_at_the_source() {
    let mut house = House::walk_through();
    let only_nginx = manifest(
        "allow-nginx",
        "{matchLabels: {app: nginx}}",
        "Ingress",
        "ingress: [{}]",
    );
    house.policy(&(deny_all("Ingress") + &only_nginx));
    house
        .pod_sends(NGINX_MANUAL, &to_server(SYN))
        .only_at_pod(NGINX);
    house
        .pod_sends(NGINX, &to_client(SYN_ACK))
        .only_at_pod(NGINX_MANUAL);
    house
        .pod_sends(NGINX_MANUAL, &to_server(ACK))
        .only_at_pod(NGINX);
    for node in [M02, M03] {
        assert_eq!(states(&house, node), [State::Established]);
    }
    // A connection the other way is another matter.
    let other_way = build::tcp(NGINX, NGINX_MANUAL, 5000, 80, SYN, 0, b"");
    house
        .pod_sends(NGINX, &other_way)
        .died_of(M03, DropReason::PolicyIngress);
}

#[test]
fn an_echo_reply_is_a_reply_and_an_echo_request_the_other_way_is_not() {
    let mut house = House::walk_through();
    house.policy(&manifest(
        "deny-manual",
        "{matchLabels: {app: nginx-manual}}",
        "Ingress",
        "",
    ));
    let ping = build::icmp_echo(NGINX_MANUAL, NGINX, 7, 1, b"");
    house.pod_sends(NGINX_MANUAL, &ping).only_at_pod(NGINX);
    let same_id = build::icmp_echo(NGINX, NGINX_MANUAL, 7, 1, b"");
    house
        .pod_sends(NGINX, &same_id)
        .died_of(M03, DropReason::PolicyIngress);
    let pong = build::icmp_echo_reply(NGINX, NGINX_MANUAL, 7, 1, b"");
    house.pod_sends(NGINX, &pong).only_at_pod(NGINX_MANUAL);
    let unasked = build::icmp_echo_reply(NGINX, NGINX_MANUAL, 8, 1, b"");
    house
        .pod_sends(NGINX, &unasked)
        .died_of(M02, DropReason::IcmpUnrelated);
}

#[test]
fn a_related_error_passes_default_deny_with_its_quotation_intact() {
    let mut house = House::walk_through();
    house.policy(&manifest(
        "deny-manual",
        "{matchLabels: {app: nginx-manual}}",
        "Ingress",
        "",
    ));
    let question = build::udp(NGINX_MANUAL, NGINX, 4000, 53, b"question");
    let arrived = house.pod_sends(NGINX_MANUAL, &question).only_at_pod(NGINX);
    for message in [
        Message::PortUnreachable,
        Message::ProtocolUnreachable,
        Message::HostUnreachable,
    ] {
        let error = build::icmp_error(NGINX, message, &arrived);
        let related = house.pod_sends(NGINX, &error).only_at_pod(NGINX_MANUAL);
        assert_eq!(payload(&related), payload(&error));
        assert_eq!(header(&related).ttl, 62);
    }
}

#[test]
fn an_error_about_no_flow_is_unrelated() {
    let mut house = House::walk_through();
    let question = build::udp(NGINX_MANUAL, NGINX, 4000, 53, b"question");
    house.pod_sends(NGINX_MANUAL, &question).only_at_pod(NGINX);
    let never_sent = [
        build::udp(NGINX_MANUAL, NGINX, 4001, 53, b"question"),
        build::tcp(NGINX_MANUAL, NGINX, 4000, 53, SYN, 0, b""),
        build::udp(NGINX_MANUAL, CLIENT, 4000, 53, b"question"),
    ];
    for quoted in never_sent {
        let error = build::icmp_error(NGINX, Message::PortUnreachable, &quoted);
        house
            .pod_sends(NGINX, &error)
            .died_of(M02, DropReason::IcmpUnrelated);
    }
    // About the right flow, but not to the one who sent the packet.
    let error = build::icmp_error(NGINX, Message::PortUnreachable, &question);
    let astray = build::with_header(&error, |ip| ip.dst = BUSYBOX);
    house
        .pod_sends(NGINX, &astray)
        .died_of(M02, DropReason::IcmpUnrelated);
}

#[test]
fn a_quotation_too_short_to_name_a_flow_is_unrelated() {
    let mut house = House::walk_through();
    let question = build::udp(NGINX_MANUAL, NGINX, 4000, 53, b"question");
    house.pod_sends(NGINX_MANUAL, &question).only_at_pod(NGINX);
    for quoted in 0..24 {
        let icmp = Message::PortUnreachable.header();
        let error = build::icmp(NGINX, NGINX_MANUAL, icmp, &question[..quoted]);
        house
            .pod_sends(NGINX, &error)
            .died_of(M02, DropReason::IcmpUnrelated);
    }
}

#[test]
fn a_tightened_policy_cuts_what_it_denies_and_others_do_not_notice() {
    let mut house = House::walk_through();
    let other = build::udp(CLIENT, NGINX_MANUAL, 1, 53, b"");
    let other_reply = build::udp(NGINX_MANUAL, CLIENT, 53, 1, b"");
    house
        .pod_sends(NGINX_MANUAL, &to_server(SYN))
        .only_at_pod(NGINX);
    house
        .pod_sends(NGINX, &to_client(SYN_ACK))
        .only_at_pod(NGINX_MANUAL);
    house.pod_sends(CLIENT, &other).only_at_pod(NGINX_MANUAL);

    house.policy(&manifest(
        "deny-nginx",
        "{matchLabels: {app: nginx}}",
        "Ingress",
        "",
    ));
    house
        .pod_sends(NGINX_MANUAL, &to_server(ACK))
        .died_of(M02, DropReason::PolicyIngress);
    assert_eq!(house.nodes[M02].count(|counters| &counters.flows_cut), 1);
    house
        .pod_sends(NGINX_MANUAL, &other_reply)
        .only_at_pod(CLIENT);
    house.pod_sends(CLIENT, &other).only_at_pod(NGINX_MANUAL);
    assert_eq!(house.nodes[M02].count(|counters| &counters.flows_cut), 1);

    // The server talks on, but does not begin the flow anew from its side.
    house
        .pod_sends(NGINX, &to_client(ACK))
        .died_of(M02, DropReason::PolicyIngress);
    house
        .pod_sends(NGINX_MANUAL, &to_server(ACK))
        .died_of(M02, DropReason::PolicyIngress);

    house.policy("");
    house
        .pod_sends(NGINX_MANUAL, &to_server(ACK))
        .only_at_pod(NGINX);
}

#[test]
fn the_reply_of_a_flow_that_is_now_denied_is_cut_too() {
    let mut house = House::walk_through();
    house
        .pod_sends(NGINX_MANUAL, &to_server(SYN))
        .only_at_pod(NGINX);
    house.policy(&manifest(
        "deny-nginx",
        "{matchLabels: {app: nginx}}",
        "Ingress",
        "",
    ));
    house
        .pod_sends(NGINX, &to_client(SYN_ACK))
        .died_of(M02, DropReason::PolicyIngress);
}

#[test]
fn a_reply_follows_its_flow_after_the_other_direction_is_tightened() {
    let mut house = House::walk_through();
    house
        .pod_sends(NGINX_MANUAL, &to_server(SYN))
        .only_at_pod(NGINX);
    house.policy(&manifest(
        "deny-manual",
        "{matchLabels: {app: nginx-manual}}",
        "Ingress",
        "",
    ));
    house
        .pod_sends(NGINX, &to_client(SYN_ACK))
        .only_at_pod(NGINX_MANUAL);
}

#[test]
fn a_connection_is_picked_up_from_either_end_after_a_restart() {
    for first_to_speak in [NGINX_MANUAL, NGINX] {
        let mut house = House::walk_through();
        house.policy(&manifest(
            "deny-manual",
            "{matchLabels: {app: nginx-manual}}",
            "Ingress",
            "",
        ));
        house
            .pod_sends(NGINX_MANUAL, &to_server(SYN))
            .only_at_pod(NGINX);
        house
            .pod_sends(NGINX, &to_client(SYN_ACK))
            .only_at_pod(NGINX_MANUAL);
        house.restart(M02);
        house.restart(M03);
        match first_to_speak {
            NGINX => house
                .pod_sends(NGINX, &to_client(ACK))
                .only_at_pod(NGINX_MANUAL),
            _ => house
                .pod_sends(NGINX_MANUAL, &to_server(ACK))
                .only_at_pod(NGINX),
        };
        house
            .pod_sends(NGINX, &to_client(ACK))
            .only_at_pod(NGINX_MANUAL);
        house
            .pod_sends(NGINX_MANUAL, &to_server(ACK))
            .only_at_pod(NGINX);
        assert_eq!(states(&house, M02), [State::Established]);
    }
}

#[test]
fn a_reply_that_speaks_first_after_a_restart_goes_to_the_node_that_began() {
    let mut house = House::walk_through();
    house.policy(&manifest(
        "silent",
        "{matchLabels: {app: nginx}}",
        "Egress",
        "",
    ));
    house.restart(M02);
    house
        .pod_sends(NGINX, &to_client(ACK))
        .only_at_pod(NGINX_MANUAL);
    house
        .pod_sends(NGINX_MANUAL, &to_server(ACK))
        .only_at_pod(NGINX);
}

#[test]
fn who_repeats_himself_to_a_pod_that_is_gone_begins_nothing() {
    let mut house = House::walk_through();
    house.policy(&manifest(
        "silent",
        "{matchLabels: {app: client}}",
        "Egress",
        "",
    ));
    house.edit(M02, |description| {
        description.workloads.retain(|pod| pod.address != NGINX);
    });
    house.restart(M02);
    house
        .pod_sends(NGINX_MANUAL, &to_server(ACK))
        .died_of(M02, DropReason::NoWorkload);
    house
        .pod_sends(CLIENT, &build::tcp(CLIENT, NGINX, 1, 80, ACK, 0, b""))
        .died_of(M02, DropReason::PolicyEgress);
    assert!(states(&house, M02).is_empty());
}

/// Which end began a connection cannot be told from a segment of its middle.
#[test]
fn long_after_the_start_a_connection_from_the_middle_must_be_allowed_from_either_end() {
    let mut house = House::walk_through();
    let deny_manual = manifest(
        "deny-manual",
        "{matchLabels: {app: nginx-manual}}",
        "Ingress",
        "",
    );
    house.policy(&deny_manual);
    house.restart(M02);
    house.restart(M03);
    house.sleep(PICK_UP);
    house
        .pod_sends(NGINX, &to_client(ACK))
        .died_of(M03, DropReason::PolicyIngress);
    house
        .pod_sends(NGINX_MANUAL, &to_server(ACK))
        .died_of(M03, DropReason::PolicyIngress);
    house.policy("");
    house
        .pod_sends(NGINX, &to_client(ACK))
        .only_at_pod(NGINX_MANUAL);
    house.policy(&deny_manual);
    // A SYN is nobody's middle, not even right after the start.
    house.restart(M03);
    house
        .pod_sends(NGINX, &to_client(SYN))
        .died_of(M03, DropReason::PolicyIngress);
}

#[test]
fn a_new_connection_on_the_ports_of_a_closed_one_is_judged_anew() {
    let mut house = House::walk_through();
    let allowed = |flags| build::tcp(NGINX, CLIENT, 1, 80, flags, 0, b"");
    house.pod_sends(NGINX, &allowed(SYN)).only_at_pod(CLIENT);
    house
        .pod_sends(NGINX, &allowed(TcpFlags::RST))
        .only_at_pod(CLIENT);
    house.pod_sends(NGINX, &allowed(SYN)).only_at_pod(CLIENT);
    assert_eq!(
        house.nodes[M02].count(|counters| &counters.flows_created),
        2
    );
    assert_eq!(states(&house, M02), [State::SynSent]);
}

/// Kubernetes gives the address of a deleted pod to the next one.
#[test]
fn a_pod_that_reuses_an_address_inherits_no_flow() {
    let mut house = House::walk_through();
    let question = build::udp(NGINX_MANUAL, NGINX, 4000, 53, b"");
    let answer = build::udp(NGINX, NGINX_MANUAL, 53, 4000, b"");
    house.pod_sends(NGINX_MANUAL, &question).only_at_pod(NGINX);
    house.policy(&deny_all("Egress"));
    house.policy("");
    house.policy(&manifest(
        "mute",
        "{matchLabels: {app: nginx}}",
        "Egress",
        "",
    ));
    house.pod_sends(NGINX, &answer).only_at_pod(NGINX_MANUAL);
    let next = Generation(house.nodes[M02].world.generation.0 + 1);
    house.edit(M02, |description| description.workloads[0].since = next);
    let error = build::icmp_error(NGINX, Message::PortUnreachable, &question);
    house
        .pod_sends(NGINX, &error)
        .died_of(M02, DropReason::IcmpUnrelated);
    house
        .pod_sends(NGINX, &answer)
        .died_of(M02, DropReason::PolicyEgress);
}
