//! `deny = reject`: what a denied sender is told, and what it is not.

use std::net::Ipv4Addr;
use std::time::Duration;

use dataplane::DropReason;
use dataplane::conntrack::State;
use packet::icmpv4::{self, Message};
use packet::transport::{TcpFlags, TcpHeader};
use packet::{Protocol, build, checksum};
use policy::Settings;
use policy::model::{Established, Reply};

use crate::house::*;

const SYN: TcpFlags = TcpFlags::SYN;
const ACK: TcpFlags = TcpFlags::ACK;
const RST: TcpFlags = TcpFlags::RST;
const RST_ACK: TcpFlags = TcpFlags(TcpFlags::RST.0 | TcpFlags::ACK.0);
const REJECT: &str = "vswitchd/deny: reject";
const SILENT: &str = "vswitchd/deny: drop";

/// A house that rejects what these policies deny.
fn house(policies: &str) -> House {
    let mut house = House::walk_through();
    house.settings = Settings {
        reply: Reply::Reject,
        ..Settings::default()
    };
    house.policy(policies);
    house
}

/// A SYN from port 4000 to port 80, with sequence number 7.
fn syn(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    build::tcp(from, to, 4000, 80, SYN, 7, b"")
}

/// The packet is a whole TCP segment without options or payload.
#[track_caller]
fn tcp(packet: &[u8]) -> TcpHeader {
    let ip = header(packet);
    assert_eq!((ip.protocol, ip.total_len), (Protocol::TCP, 40));
    assert!(checksum::verify_transport(packet, &ip));
    TcpHeader::parse(payload(packet)).unwrap()
}

/// The outcome is this one drop, and the reset of `syn(from, to)` at its sender.
#[track_caller]
fn is_reset(outcome: &Outcome, place: Place, from: Ipv4Addr, to: Ipv4Addr) {
    let packet = outcome.answer_at(place);
    let (ip, reset) = (header(&packet), tcp(&packet));
    assert_eq!((ip.src, ip.dst), (to, from));
    assert_eq!((reset.src_port, reset.dst_port), (80, 4000));
    assert_eq!((reset.seq, reset.ack, reset.flags), (0, 8, RST_ACK));
}

#[test]
fn a_denied_syn_is_counted_and_answered_with_a_reset_at_once() {
    for (direction, from, to, node, reason) in [
        ("Ingress", CLIENT, NGINX, M02, DropReason::PolicyIngress),
        ("Egress", CLIENT, NGINX, M02, DropReason::PolicyEgress),
        (
            "Ingress",
            NGINX_MANUAL,
            NGINX,
            M02,
            DropReason::PolicyIngress,
        ),
        ("Egress", NGINX_MANUAL, NGINX, M03, DropReason::PolicyEgress),
        ("Egress", NGINX, OUTSIDE, M02, DropReason::PolicyEgress),
    ] {
        let mut house = house(&deny_all(direction));
        let outcome = house.pod_sends(from, &syn(from, to));
        assert_eq!(outcome.dropped, [(node, reason)], "{direction} {from} {to}");
        is_reset(&outcome, Place::Pod(from), from, to);
        let sent = house.nodes[node].count(|counters| &counters.rejects_sent);
        assert_eq!(sent, 1);
    }
}

#[test]
fn what_the_host_forwards_is_answered_to_the_host() {
    let mut house = house(&deny_all("Ingress"));
    let outcome = house.host_sends(M02, &syn(OUTSIDE, NGINX));
    assert_eq!(outcome.dropped, [(M02, DropReason::PolicyIngress)]);
    is_reset(&outcome, Place::Host(M02), OUTSIDE, NGINX);
    let datagram = build::udp(OUTSIDE, NGINX, 4000, 53, b"");
    let error = house.host_sends(M02, &datagram).answer_at(Place::Host(M02));
    let ip = header(&error);
    assert_eq!((ip.src, ip.dst), (NGINX, OUTSIDE), "no address of the host");
}

/// The asking node knows the SYN; the reset is the reply to it, and ends it there.
#[test]
fn a_reset_passes_default_deny_at_the_asking_node_and_closes_its_flow() {
    let deny = manifest("deny", "{matchLabels: {app: nginx}}", "Ingress", "");
    let closed = manifest(
        "closed",
        "{matchLabels: {app: nginx-manual}}",
        "Ingress",
        "",
    );
    let mut house = house(&(deny + &closed));
    for _ in 0..2 {
        let outcome = house.pod_sends(NGINX_MANUAL, &syn(NGINX_MANUAL, NGINX));
        is_reset(&outcome, Place::Pod(NGINX_MANUAL), NGINX_MANUAL, NGINX);
        let states = |node: usize| -> Vec<State> {
            let workers = house.nodes[node].workers.iter();
            let flows = workers.flat_map(|local| local.flows(house.now, 100));
            flows.map(|(flow, _)| flow.state).collect()
        };
        assert_eq!((states(M03), states(M02)), (vec![State::Closed], vec![]));
    }
}

#[test]
fn all_but_tcp_is_told_that_it_is_administratively_prohibited() {
    let closed = deny_all("Ingress");
    for (from, hop) in [(CLIENT, 0), (NGINX_MANUAL, 1)] {
        let packets = [
            build::udp(from, NGINX, 4000, 53, b"question"),
            build::sctp(from, NGINX, 4000, 80, 0, (1, b"init")),
            build::icmp_echo(from, NGINX, 7, 1, b"ping"),
            build::ipv4(from, NGINX, Protocol(47), b"GRE packet"),
        ];
        for packet in packets {
            let mut house = house(&closed);
            let outcome = house.pod_sends(from, &packet);
            assert_eq!(outcome.dropped, [(M02, DropReason::PolicyIngress)]);
            let error = outcome.answer_at(Place::Pod(from));
            let ip = header(&error);
            let source = house.nodes[M02].description.tunnel_address;
            assert_eq!((ip.src, ip.dst, ip.ttl), (source, from, 64 - hop));
            assert!(icmpv4::verify_checksum(payload(&error)));
            let icmp = icmpv4::Header::parse(payload(&error)).unwrap();
            assert_eq!((icmp.kind, icmp.code), (3, 13));
            let quoted = &payload(&error)[icmpv4::HEADER_LEN..];
            assert_eq!(&quoted[20..], &packet[20..], "the quotation is whole");
        }
    }
}

#[test]
fn a_policys_annotation_overrides_the_setting_both_ways() {
    let mut rejects_by_default = house(&annotated(&deny_all("Ingress"), SILENT));
    rejects_by_default
        .pod_sends(CLIENT, &syn(CLIENT, NGINX))
        .died_of(M02, DropReason::PolicyIngress);
    let mut silent_by_default = House::walk_through();
    silent_by_default.policy(&annotated(&deny_all("Ingress"), REJECT));
    let outcome = silent_by_default.pod_sends(CLIENT, &syn(CLIENT, NGINX));
    is_reset(&outcome, Place::Pod(CLIENT), CLIENT, NGINX);
}

#[test]
fn a_reset_is_not_answered_and_neither_is_an_error_or_a_later_fragment() {
    let mut house = house("");
    let question = build::udp(NGINX, NGINX_MANUAL, 4000, 53, b"question");
    let arrived = house.pod_sends(NGINX, &question).only_at_pod(NGINX_MANUAL);
    house.policy(&(deny_all("Ingress") + &deny_all("Egress")));
    for flags in [RST, RST_ACK] {
        let reset = build::tcp(CLIENT, NGINX, 4000, 80, flags, 7, b"");
        house
            .pod_sends(CLIENT, &reset)
            .died_of(M02, DropReason::PolicyEgress);
    }
    let error = build::icmp_error(NGINX_MANUAL, Message::PortUnreachable, &arrived);
    house
        .pod_sends(NGINX_MANUAL, &error)
        .died_of(M03, DropReason::PolicyIngress);
    let large = build::with_header(&build::udp(CLIENT, NGINX, 4001, 53, &[0; 2000]), |ip| {
        ip.dont_fragment = false;
        ip.identification = 5;
    });
    let pieces = cut(&large, 1480);
    let first = house.pod_sends(CLIENT, &pieces[0]);
    assert_eq!(first.dropped, [(M02, DropReason::PolicyEgress)]);
    let told = first.answer_at(Place::Pod(CLIENT));
    assert_eq!(payload(&told)[..2], [3, 13]);
    let second = house.pod_sends(CLIENT, &pieces[1]);
    assert_eq!((second.dropped.len(), second.delivered.len()), (1, 0));
}

#[test]
fn a_connection_that_recheck_cuts_is_reset_toward_whoever_speaks() {
    let mut house = house("");
    let to_server = |flags, seq, ack| segment(NGINX_MANUAL, NGINX, (4000, 80), flags, seq, ack);
    let to_client = |flags, seq, ack| segment(NGINX, NGINX_MANUAL, (80, 4000), flags, seq, ack);
    house
        .pod_sends(NGINX_MANUAL, &to_server(SYN, 7, 0))
        .only_at_pod(NGINX);
    house
        .pod_sends(NGINX, &to_client(SYN | ACK, 100, 8))
        .only_at_pod(NGINX_MANUAL);
    house
        .pod_sends(NGINX_MANUAL, &to_server(ACK, 8, 101))
        .only_at_pod(NGINX);
    house.policy(&manifest(
        "deny",
        "{matchLabels: {app: nginx}}",
        "Ingress",
        "",
    ));
    for (speaker, packet, seq) in [
        (NGINX, to_client(ACK, 101, 8), 8),
        (NGINX_MANUAL, to_server(ACK, 8, 101), 101),
    ] {
        let outcome = house.pod_sends(speaker, &packet);
        assert_eq!(outcome.dropped, [(M02, DropReason::PolicyIngress)]);
        let reset = tcp(&outcome.answer_at(Place::Pod(speaker)));
        assert_eq!((reset.seq, reset.flags), (seq, RST));
    }
    assert_eq!(house.nodes[M02].count(|counters| &counters.flows_cut), 1);
}

fn segment(
    from: Ipv4Addr,
    to: Ipv4Addr,
    ports: (u16, u16),
    flags: TcpFlags,
    seq: u32,
    ack: u32,
) -> Vec<u8> {
    let mut packet = build::tcp(from, to, ports.0, ports.1, flags, seq, b"");
    packet[28..32].copy_from_slice(&ack.to_be_bytes());
    let ip = header(&packet);
    checksum::fill_transport(&mut packet, &ip);
    packet
}

#[test]
fn a_new_connection_beside_a_kept_one_is_reset() {
    let mut house = house("");
    house.settings.established = Established::Keep;
    house
        .pod_sends(CLIENT, &syn(CLIENT, NGINX))
        .only_at_pod(NGINX);
    house.policy(&deny_all("Ingress"));
    let more = build::tcp(CLIENT, NGINX, 4000, 80, ACK, 8, b"kept");
    house.pod_sends(CLIENT, &more).only_at_pod(NGINX);
    let outcome = house.pod_sends(CLIENT, &syn(CLIENT, NGINX));
    is_reset(&outcome, Place::Pod(CLIENT), CLIENT, NGINX);
}

#[test]
fn a_denied_super_segment_is_one_segment_to_its_reset() {
    let mut house = house(&deny_all("Ingress"));
    let bulk = build::tcp(NGINX, CLIENT, 4000, 80, SYN, 7, &[0; 20_000]);
    let frame = build::super_segment(&bulk, 1000);
    let outcome = house.pod_sends_offloaded(NGINX, frame);
    assert_eq!(outcome.dropped, [(M02, DropReason::PolicyIngress)]);
    let reset = tcp(&outcome.answer_at(Place::Pod(NGINX)));
    assert_eq!((reset.ack, reset.flags), (7 + 1 + 20_000, RST_ACK));
}

#[test]
fn rejections_are_rate_limited_a_port_and_leave_other_errors_their_share() {
    let mut house = House::build(&walk_through(), 1);
    house.settings.reply = Reply::Reject;
    house.policy(&deny_all("Ingress"));
    let told = |house: &mut House, pod, times| {
        let packet = syn(pod, NGINX);
        (0..times)
            .filter(|_| !house.pod_sends(pod, &packet).delivered.is_empty())
            .count()
    };
    assert_eq!(told(&mut house, CLIENT, 500), 100, "the burst");
    assert_eq!(told(&mut house, NGINX_MANUAL, 500), 100, "another port");
    house.sleep(Duration::from_millis(100));
    assert_eq!(told(&mut house, CLIENT, 50), 10, "100 a second");
    let node = &house.nodes[M02];
    let sent = node.count(|counters| &counters.rejects_sent);
    let limited = node.count(|counters| &counters.rejects_limited);
    assert_eq!((sent, sent + limited), (210, 1050));
    assert_eq!(node.dropped(DropReason::PolicyIngress), 1050);
    let dying = build::with_header(&build::udp(CLIENT, BUSYBOX, 1, 2, b"x"), |ip| ip.ttl = 1);
    let error = house
        .pod_sends(CLIENT, &dying)
        .answer_at(Place::Pod(CLIENT));
    assert_eq!(payload(&error)[..2], [11, 0]);
}
