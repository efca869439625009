//! Flows: replies, related errors, pick-up after a restart, a full table.

use std::time::Duration;

use dataplane::conntrack::State;
use dataplane::{DropReason, Generation};
use packet::icmpv4::Message;
use packet::transport::TcpFlags;
use packet::{build, ipv4};

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
        .from_pod(NGINX_MANUAL, &to_server(SYN))
        .only_at_pod(NGINX);
    house
        .from_pod(NGINX, &to_client(SYN_ACK))
        .only_at_pod(NGINX_MANUAL);
    house
        .from_pod(NGINX_MANUAL, &to_server(ACK))
        .only_at_pod(NGINX);
    for node in [M02, M03] {
        assert_eq!(states(&house, node), [State::Established]);
    }
    // A connection the other way is another matter.
    let other_way = build::tcp(NGINX, NGINX_MANUAL, 5000, 80, SYN, 0, b"");
    house
        .from_pod(NGINX, &other_way)
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
    house.from_pod(NGINX_MANUAL, &ping).only_at_pod(NGINX);
    let same_id = build::icmp_echo(NGINX, NGINX_MANUAL, 7, 1, b"");
    house
        .from_pod(NGINX, &same_id)
        .died_of(M03, DropReason::PolicyIngress);
    let pong = build::icmp_echo_reply(NGINX, NGINX_MANUAL, 7, 1, b"");
    house.from_pod(NGINX, &pong).only_at_pod(NGINX_MANUAL);
    let unasked = build::icmp_echo_reply(NGINX, NGINX_MANUAL, 8, 1, b"");
    house
        .from_pod(NGINX, &unasked)
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
    let arrived = house.from_pod(NGINX_MANUAL, &question).only_at_pod(NGINX);
    for message in [
        Message::PortUnreachable,
        Message::ProtocolUnreachable,
        Message::HostUnreachable,
    ] {
        let error = build::icmp_error(NGINX, message, &arrived);
        let related = house.from_pod(NGINX, &error).only_at_pod(NGINX_MANUAL);
        assert_eq!(payload(&related), payload(&error));
        assert_eq!(header(&related).ttl, 62);
    }
}

#[test]
fn an_error_about_no_flow_is_unrelated() {
    let mut house = House::walk_through();
    let question = build::udp(NGINX_MANUAL, NGINX, 4000, 53, b"question");
    house.from_pod(NGINX_MANUAL, &question).only_at_pod(NGINX);
    let never_sent = [
        build::udp(NGINX_MANUAL, NGINX, 4001, 53, b"question"),
        build::tcp(NGINX_MANUAL, NGINX, 4000, 53, SYN, 0, b""),
        build::udp(NGINX_MANUAL, CLIENT, 4000, 53, b"question"),
    ];
    for quoted in never_sent {
        let error = build::icmp_error(NGINX, Message::PortUnreachable, &quoted);
        house
            .from_pod(NGINX, &error)
            .died_of(M02, DropReason::IcmpUnrelated);
    }
    // About the right flow, but not to the one who sent the packet.
    let error = build::icmp_error(NGINX, Message::PortUnreachable, &question);
    let astray = build::with_header(&error, |ip| ip.dst = BUSYBOX);
    house
        .from_pod(NGINX, &astray)
        .died_of(M02, DropReason::IcmpUnrelated);
}

#[test]
fn a_quotation_too_short_to_name_a_flow_is_unrelated() {
    let mut house = House::walk_through();
    let question = build::udp(NGINX_MANUAL, NGINX, 4000, 53, b"question");
    house.from_pod(NGINX_MANUAL, &question).only_at_pod(NGINX);
    for quoted in 0..24 {
        let icmp = Message::PortUnreachable.header();
        let error = build::icmp(NGINX, NGINX_MANUAL, icmp, &question[..quoted]);
        house
            .from_pod(NGINX, &error)
            .died_of(M02, DropReason::IcmpUnrelated);
    }
}

#[test]
fn a_tightened_policy_cuts_what_it_denies_and_others_do_not_notice() {
    let mut house = House::walk_through();
    let other = build::udp(CLIENT, NGINX_MANUAL, 1, 53, b"");
    let other_reply = build::udp(NGINX_MANUAL, CLIENT, 53, 1, b"");
    house
        .from_pod(NGINX_MANUAL, &to_server(SYN))
        .only_at_pod(NGINX);
    house
        .from_pod(NGINX, &to_client(SYN_ACK))
        .only_at_pod(NGINX_MANUAL);
    house.from_pod(CLIENT, &other).only_at_pod(NGINX_MANUAL);

    house.policy(&manifest(
        "deny-nginx",
        "{matchLabels: {app: nginx}}",
        "Ingress",
        "",
    ));
    house
        .from_pod(NGINX_MANUAL, &to_server(ACK))
        .died_of(M02, DropReason::PolicyIngress);
    assert_eq!(house.nodes[M02].count(|counters| &counters.flows_cut), 1);
    house
        .from_pod(NGINX_MANUAL, &other_reply)
        .only_at_pod(CLIENT);
    house.from_pod(CLIENT, &other).only_at_pod(NGINX_MANUAL);
    assert_eq!(house.nodes[M02].count(|counters| &counters.flows_cut), 1);

    house.policy("");
    house
        .from_pod(NGINX_MANUAL, &to_server(ACK))
        .only_at_pod(NGINX);
}

#[test]
fn the_reply_of_a_flow_that_is_now_denied_is_cut_too() {
    let mut house = House::walk_through();
    house
        .from_pod(NGINX_MANUAL, &to_server(SYN))
        .only_at_pod(NGINX);
    house.policy(&manifest(
        "deny-nginx",
        "{matchLabels: {app: nginx}}",
        "Ingress",
        "",
    ));
    house
        .from_pod(NGINX, &to_client(SYN_ACK))
        .died_of(M02, DropReason::PolicyIngress);
}

#[test]
fn a_reply_follows_its_flow_after_the_other_direction_is_tightened() {
    let mut house = House::walk_through();
    house
        .from_pod(NGINX_MANUAL, &to_server(SYN))
        .only_at_pod(NGINX);
    house.policy(&manifest(
        "deny-manual",
        "{matchLabels: {app: nginx-manual}}",
        "Ingress",
        "",
    ));
    house
        .from_pod(NGINX, &to_client(SYN_ACK))
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
            .from_pod(NGINX_MANUAL, &to_server(SYN))
            .only_at_pod(NGINX);
        house
            .from_pod(NGINX, &to_client(SYN_ACK))
            .only_at_pod(NGINX_MANUAL);
        house.restart(M02);
        house.restart(M03);
        match first_to_speak {
            NGINX => house
                .from_pod(NGINX, &to_client(ACK))
                .only_at_pod(NGINX_MANUAL),
            _ => house
                .from_pod(NGINX_MANUAL, &to_server(ACK))
                .only_at_pod(NGINX),
        };
        house
            .from_pod(NGINX, &to_client(ACK))
            .only_at_pod(NGINX_MANUAL);
        house
            .from_pod(NGINX_MANUAL, &to_server(ACK))
            .only_at_pod(NGINX);
        assert_eq!(states(&house, M02), [State::Established]);
    }
}

#[test]
fn long_after_the_start_only_the_direction_seen_counts() {
    let mut house = House::walk_through();
    house.policy(&manifest(
        "deny-manual",
        "{matchLabels: {app: nginx-manual}}",
        "Ingress",
        "",
    ));
    house.restart(M02);
    house.restart(M03);
    house.sleep(PICK_UP);
    house
        .from_pod(NGINX, &to_client(ACK))
        .died_of(M03, DropReason::PolicyIngress);
    // A SYN is nobody's middle, not even right after the start.
    house.restart(M03);
    house
        .from_pod(NGINX, &to_client(SYN))
        .died_of(M03, DropReason::PolicyIngress);
}

#[test]
fn a_full_table_evicts_the_oldest_unreplied_flow_and_counts_it() {
    let mut house = House::walk_through();
    house.nodes[M02].start(1, 2, house.now);
    let asks = |port| build::udp(NGINX, CLIENT, port, 53, b"");
    for port in [1, 2, 3] {
        house.from_pod(NGINX, &asks(port)).only_at_pod(CLIENT);
        house.sleep(Duration::from_secs(1));
    }
    let node = &house.nodes[M02];
    assert_eq!(node.count(|counters| &counters.flows_evicted), 1);
    assert_eq!(node.count(|counters| &counters.flows), 2);
    let mut left: Vec<u16> = node.workers[0]
        .flows(house.now, 9)
        .iter()
        .map(|(flow, _)| flow.original().src_port)
        .collect();
    left.sort_unstable();
    assert_eq!(left, [2, 3]);
}

#[test]
fn a_table_full_of_open_connections_refuses_newcomers_and_keeps_them() {
    let mut house = House::walk_through();
    house.nodes[M02].start(1, 2, house.now);
    let open = |port| build::tcp(NGINX, CLIENT, port, 80, ACK, 0, b"");
    for port in [1, 2] {
        house.from_pod(NGINX, &open(port)).only_at_pod(CLIENT);
    }
    house
        .from_pod(NGINX, &open(3))
        .died_of(M02, DropReason::ConntrackFull);
    for port in [1, 2] {
        house.from_pod(NGINX, &open(port)).only_at_pod(CLIENT);
    }
}

#[test]
fn idle_flows_expire_and_are_counted() {
    let mut house = House::walk_through();
    house
        .from_pod(NGINX, &build::udp(NGINX, CLIENT, 1, 53, b""))
        .only_at_pod(CLIENT);
    assert_eq!(
        house.nodes[M02].count(|counters| &counters.flows_created),
        1
    );
    house.sleep(Duration::from_secs(31));
    assert_eq!(
        house.nodes[M02].count(|counters| &counters.flows_expired),
        1
    );
    assert_eq!(house.nodes[M02].count(|counters| &counters.flows), 0);
}

#[test]
fn a_new_connection_on_the_ports_of_a_closed_one_is_judged_anew() {
    let mut house = House::walk_through();
    let allowed = |flags| build::tcp(NGINX, CLIENT, 1, 80, flags, 0, b"");
    house.from_pod(NGINX, &allowed(SYN)).only_at_pod(CLIENT);
    house
        .from_pod(NGINX, &allowed(TcpFlags::RST))
        .only_at_pod(CLIENT);
    house.from_pod(NGINX, &allowed(SYN)).only_at_pod(CLIENT);
    assert_eq!(
        house.nodes[M02].count(|counters| &counters.flows_created),
        2
    );
    assert_eq!(states(&house, M02), [State::SynSent]);
}

#[test]
fn fragments_follow_their_first() {
    let mut house = House::walk_through();
    let packet = build::with_header(
        &build::udp(NGINX_MANUAL, NGINX, 4000, 53, &[3; 3000]),
        |ip| {
            ip.dont_fragment = false;
            ip.identification = 99;
        },
    );
    let pieces = cut(&packet, 1480);
    let arrived: Vec<_> = pieces
        .iter()
        .map(|piece| house.from_pod(NGINX_MANUAL, piece).only_at_pod(NGINX))
        .collect();
    assert_eq!(
        reassemble(&arrived),
        build::with_header(&packet, |ip| ip.ttl = 62)
    );

    house.policy(&deny_all("Ingress"));
    let outcome = house.from_pod(NGINX_MANUAL, &pieces[0]);
    outcome.died_of(M02, DropReason::PolicyIngress);
    for piece in &pieces[1..] {
        let outcome = house.from_pod(NGINX_MANUAL, piece);
        assert_eq!(outcome.delivered.len(), 0, "{outcome:?}");
    }
    // Before their first, none pass.
    house.policy("");
    let early = build::with_header(&pieces[1], |ip| ip.identification = 100);
    house
        .from_pod(NGINX_MANUAL, &early)
        .died_of(M03, DropReason::FragmentWithoutFirst);
}

#[test]
fn a_fragment_that_would_overwrite_a_tcp_header_is_refused() {
    let mut house = House::walk_through();
    let packet = build::tcp(NGINX, CLIENT, 1, 80, ACK, 0, &[0; 64]);
    let overlapping = [&packet[..20], &packet[28..60]].concat();
    let overlapping = build::with_header(&overlapping, |ip| {
        ip.dont_fragment = false;
        ip.fragment_offset_bytes = 8;
        ip.total_len = ipv4::HEADER_LEN + 32;
    });
    house
        .from_pod(NGINX, &overlapping)
        .died_of(M02, DropReason::FragmentTiny);
}

/// Kubernetes gives the address of a deleted pod to the next one.
#[test]
fn a_pod_that_reuses_an_address_inherits_no_flow() {
    let mut house = House::walk_through();
    let question = build::udp(NGINX_MANUAL, NGINX, 4000, 53, b"");
    let answer = build::udp(NGINX, NGINX_MANUAL, 53, 4000, b"");
    house.from_pod(NGINX_MANUAL, &question).only_at_pod(NGINX);
    house.policy(&deny_all("Egress"));
    house.policy("");
    house.policy(&manifest(
        "mute",
        "{matchLabels: {app: nginx}}",
        "Egress",
        "",
    ));
    house.from_pod(NGINX, &answer).only_at_pod(NGINX_MANUAL);
    let next = Generation(house.nodes[M02].world.generation.0 + 1);
    house.edit(M02, |description| description.workloads[0].since = next);
    let error = build::icmp_error(NGINX, Message::PortUnreachable, &question);
    house
        .from_pod(NGINX, &error)
        .died_of(M02, DropReason::IcmpUnrelated);
    house
        .from_pod(NGINX, &answer)
        .died_of(M02, DropReason::PolicyEgress);
}
