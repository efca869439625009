//! What becomes of flows that a new policy denies: cut, or kept while new ones are refused.

use std::net::Ipv4Addr;

use dataplane::conntrack::State;
use dataplane::{DropReason, Generation};
use packet::transport::TcpFlags;
use packet::{Frame, build, icmpv4};
use policy::Settings;
use policy::model::Established;

use crate::house::*;

const SYN: TcpFlags = TcpFlags::SYN;
const SYN_ACK: TcpFlags = TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0);
const ACK: TcpFlags = TcpFlags::ACK;
const KEEP: &str = "vswitchd/established: keep";
const RECHECK: &str = "vswitchd/established: recheck";

fn house(established: Established) -> House {
    let mut house = House::walk_through();
    house.settings = Settings {
        established,
        ..Settings::default()
    };
    house
}

/// A segment of the connection that `client` has with port 80 of `server`.
fn segment(from: Ipv4Addr, to: Ipv4Addr, to_server: bool, flags: TcpFlags) -> Vec<u8> {
    let (src, dst) = if to_server { (4000, 80) } else { (80, 4000) };
    build::tcp(from, to, src, dst, flags, 0, b"")
}

fn connect(house: &mut House, client: Ipv4Addr, server: Ipv4Addr) {
    for flags in [SYN, SYN_ACK, ACK] {
        let to_server = flags != SYN_ACK;
        let (from, to) = if to_server {
            (client, server)
        } else {
            (server, client)
        };
        house
            .pod_sends(from, &segment(from, to, to_server, flags))
            .only_at_pod(to);
    }
}

/// Data passes both ways.
#[track_caller]
fn talks(house: &mut House, client: Ipv4Addr, server: Ipv4Addr) {
    house
        .pod_sends(client, &segment(client, server, true, ACK))
        .only_at_pod(server);
    house
        .pod_sends(server, &segment(server, client, false, ACK))
        .only_at_pod(client);
}

/// Data passes neither way.
#[track_caller]
fn is_cut(house: &mut House, client: Ipv4Addr, server: Ipv4Addr, node: usize, reason: DropReason) {
    house
        .pod_sends(client, &segment(client, server, true, ACK))
        .died_of(node, reason);
    house
        .pod_sends(server, &segment(server, client, false, ACK))
        .died_of(node, reason);
}

fn kept(house: &House, node: usize) -> (u64, u64) {
    let node = &house.nodes[node];
    (
        node.count(|counters| &counters.flows_kept),
        node.count(|counters| &counters.flows_cut),
    )
}

#[test]
fn a_kept_connection_goes_on_both_ways_and_a_new_one_is_refused() {
    for (client, server, direction, node, reason) in [
        (
            NGINX_MANUAL,
            NGINX,
            "Ingress",
            M02,
            DropReason::PolicyIngress,
        ),
        (NGINX_MANUAL, NGINX, "Egress", M03, DropReason::PolicyEgress),
        (CLIENT, NGINX, "Ingress", M02, DropReason::PolicyIngress),
        (CLIENT, NGINX, "Egress", M02, DropReason::PolicyEgress),
    ] {
        let mut house = house(Established::Keep);
        connect(&mut house, client, server);
        house.policy(&deny_all(direction));
        talks(&mut house, client, server);
        assert_eq!(kept(&house, node), (1, 0), "{direction}");
        let another = build::tcp(client, server, 4001, 80, SYN, 0, b"");
        house.pod_sends(client, &another).died_of(node, reason);
        let stray = build::tcp(client, server, 4001, 80, ACK, 0, b"");
        house.pod_sends(client, &stray).died_of(node, reason);
        talks(&mut house, client, server);
    }
}

#[test]
fn a_syn_on_the_ports_of_a_kept_connection_is_a_new_one_and_refused() {
    let mut house = house(Established::Keep);
    connect(&mut house, NGINX_MANUAL, NGINX);
    house.policy(&deny_all("Ingress"));
    for _ in 0..2 {
        house
            .pod_sends(NGINX_MANUAL, &segment(NGINX_MANUAL, NGINX, true, SYN))
            .died_of(M02, DropReason::PolicyIngress);
        // Somebody's SYN does not end the connection either.
        talks(&mut house, NGINX_MANUAL, NGINX);
    }
    let reset = segment(NGINX_MANUAL, NGINX, true, TcpFlags::RST);
    house.pod_sends(NGINX_MANUAL, &reset).only_at_pod(NGINX);
    house
        .pod_sends(NGINX_MANUAL, &segment(NGINX_MANUAL, NGINX, true, SYN))
        .died_of(M02, DropReason::PolicyIngress);
}

#[test]
fn a_syn_the_other_way_on_the_ports_of_a_kept_connection_is_judged_too() {
    let mut house = house(Established::Keep);
    connect(&mut house, NGINX_MANUAL, NGINX);
    house.policy(&(deny_all("Ingress") + &deny_all("Egress")));
    house
        .pod_sends(NGINX, &segment(NGINX, NGINX_MANUAL, false, SYN))
        .died_of(M02, DropReason::PolicyEgress);
    talks(&mut house, NGINX_MANUAL, NGINX);
}

#[test]
fn a_kept_udp_flow_goes_on_both_ways_and_a_new_one_is_refused() {
    let mut house = house(Established::Keep);
    let question = |port| build::udp(NGINX_MANUAL, NGINX, port, 53, b"");
    let answer = build::udp(NGINX, NGINX_MANUAL, 53, 4000, b"");
    house
        .pod_sends(NGINX_MANUAL, &question(4000))
        .only_at_pod(NGINX);
    house.policy(&(deny_all("Ingress") + &deny_all("Egress")));
    for _ in 0..2 {
        house.pod_sends(NGINX, &answer).only_at_pod(NGINX_MANUAL);
        house
            .pod_sends(NGINX_MANUAL, &question(4000))
            .only_at_pod(NGINX);
    }
    house
        .pod_sends(NGINX_MANUAL, &question(4001))
        .died_of(M03, DropReason::PolicyEgress);
    // Forgotten is forgotten: after its timeout it would be a new flow.
    house.sleep(std::time::Duration::from_secs(121));
    house
        .pod_sends(NGINX_MANUAL, &question(4000))
        .died_of(M03, DropReason::PolicyEgress);
}

#[test]
fn the_policy_that_decides_overrides_the_setting_both_ways() {
    let mut keeps_by_default = house(Established::Keep);
    connect(&mut keeps_by_default, NGINX_MANUAL, NGINX);
    keeps_by_default.policy(&annotated(&deny_all("Ingress"), RECHECK));
    let reason = DropReason::PolicyIngress;
    is_cut(&mut keeps_by_default, NGINX_MANUAL, NGINX, M02, reason);
    assert_eq!(kept(&keeps_by_default, M02), (0, 1));

    let mut cuts_by_default = house(Established::Recheck);
    connect(&mut cuts_by_default, NGINX_MANUAL, NGINX);
    cuts_by_default.policy(&annotated(&deny_all("Ingress"), KEEP));
    talks(&mut cuts_by_default, NGINX_MANUAL, NGINX);
    assert_eq!(kept(&cuts_by_default, M02), (1, 0));
}

#[test]
fn an_end_that_keeps_does_not_outweigh_the_one_that_cuts() {
    for (egress, ingress, reason) in [
        (KEEP, RECHECK, DropReason::PolicyIngress),
        (RECHECK, KEEP, DropReason::PolicyEgress),
    ] {
        let mut house = house(Established::Recheck);
        connect(&mut house, CLIENT, NGINX);
        let policies =
            annotated(&deny_all("Egress"), egress) + &annotated(&deny_all("Ingress"), ingress);
        house.policy(&policies);
        is_cut(&mut house, CLIENT, NGINX, M02, reason);
    }
}

#[test]
fn a_flow_that_was_cut_is_not_revived_by_a_policy_that_keeps() {
    let mut house = house(Established::Recheck);
    connect(&mut house, NGINX_MANUAL, NGINX);
    let reason = DropReason::PolicyIngress;
    house.policy(&deny_all("Ingress"));
    is_cut(&mut house, NGINX_MANUAL, NGINX, M02, reason);
    house.policy(&annotated(&deny_all("Ingress"), KEEP));
    is_cut(&mut house, NGINX_MANUAL, NGINX, M02, reason);
    house.policy("");
    talks(&mut house, NGINX_MANUAL, NGINX);
}

#[test]
fn a_kept_flow_is_cut_when_a_later_policy_says_so() {
    let mut house = house(Established::Keep);
    connect(&mut house, NGINX_MANUAL, NGINX);
    for _ in 0..3 {
        house.policy(&deny_all("Ingress"));
        talks(&mut house, NGINX_MANUAL, NGINX);
    }
    assert_eq!(kept(&house, M02), (1, 0), "counted once");
    house.policy(&annotated(&deny_all("Ingress"), RECHECK));
    is_cut(
        &mut house,
        NGINX_MANUAL,
        NGINX,
        M02,
        DropReason::PolicyIngress,
    );
    assert_eq!(kept(&house, M02), (1, 1));
}

#[test]
fn a_flow_of_a_pod_that_is_gone_is_not_kept_for_the_next_with_its_address() {
    let mut house = house(Established::Keep);
    connect(&mut house, NGINX_MANUAL, NGINX);
    house.policy(&deny_all("Ingress"));
    talks(&mut house, NGINX_MANUAL, NGINX);
    let next = Generation(house.nodes[M02].world.generation.0 + 1);
    house.edit(M02, |description| description.workloads[0].since = next);
    house
        .pod_sends(NGINX_MANUAL, &segment(NGINX_MANUAL, NGINX, true, ACK))
        .died_of(M02, DropReason::PolicyIngress);
}

#[test]
fn a_pod_that_policy_no_longer_knows_keeps_nothing() {
    let mut house = house(Established::Keep);
    connect(&mut house, NGINX_MANUAL, NGINX);
    let nobody = policy::Compiler::new(policy::Subjects::All, house.settings).table();
    house.nodes[M02].publish(std::sync::Arc::new(nobody));
    is_cut(
        &mut house,
        NGINX_MANUAL,
        NGINX,
        M02,
        DropReason::PolicyIngress,
    );
}

#[test]
fn the_super_segments_of_a_kept_connection_pass_whole() {
    let mut house = house(Established::Keep);
    connect(&mut house, CLIENT, NGINX);
    house.policy(&deny_all("Ingress"));
    let bulk = build::tcp(CLIENT, NGINX, 4000, 80, ACK, 1, &[7; 20_000]);
    let frame: Frame = build::super_segment(&bulk, 1000);
    let outcome = house.pod_sends_offloaded(CLIENT, frame);
    assert_eq!(outcome.at(Place::Pod(NGINX)).len(), 20);
    assert_eq!(outcome.dropped, []);
}

/// Protects the server, and only it: nothing keeps the server from sending.
fn server_is_closed() -> String {
    manifest("closed", "{matchLabels: {app: nginx}}", "Ingress", "")
}

/// A connection to NGINX that its policy has cut.
fn cut_connection() -> House {
    let mut house = house(Established::Recheck);
    connect(&mut house, NGINX_MANUAL, NGINX);
    house.policy(&server_is_closed());
    stays_cut(&mut house);
    house
}

#[track_caller]
fn stays_cut(house: &mut House) {
    is_cut(house, NGINX_MANUAL, NGINX, M02, DropReason::PolicyIngress);
}

#[test]
fn a_syn_on_the_ports_of_a_cut_connection_does_not_revive_it() {
    let mut house = cut_connection();
    for _ in 0..2 {
        house
            .pod_sends(NGINX_MANUAL, &segment(NGINX_MANUAL, NGINX, true, SYN))
            .died_of(M02, DropReason::PolicyIngress);
        // The server retransmits.
        house
            .pod_sends(NGINX, &segment(NGINX, NGINX_MANUAL, false, ACK))
            .died_of(M02, DropReason::PolicyIngress);
    }
    stays_cut(&mut house);
    // A connection of the server's own is another matter, and a new one.
    house
        .pod_sends(NGINX, &segment(NGINX, NGINX_MANUAL, false, SYN))
        .only_at_pod(NGINX_MANUAL);
    house
        .pod_sends(NGINX_MANUAL, &segment(NGINX_MANUAL, NGINX, true, SYN_ACK))
        .only_at_pod(NGINX);
}

#[test]
fn a_cut_connection_stays_cut_however_far_its_end_had_come() {
    for flags in [TcpFlags::RST, TcpFlags(TcpFlags::FIN.0 | ACK.0)] {
        let mut house = house(Established::Recheck);
        connect(&mut house, NGINX_MANUAL, NGINX);
        // One that the server ignores: outside its window.
        house
            .pod_sends(NGINX_MANUAL, &segment(NGINX_MANUAL, NGINX, true, flags))
            .only_at_pod(NGINX);
        talks(&mut house, NGINX_MANUAL, NGINX);
        house.policy(&server_is_closed());
        house
            .pod_sends(NGINX_MANUAL, &segment(NGINX_MANUAL, NGINX, true, SYN))
            .died_of(M02, DropReason::PolicyIngress);
        for seconds in [0, 11, 121, 1_000] {
            house.sleep(std::time::Duration::from_secs(seconds));
            house
                .pod_sends(NGINX, &segment(NGINX, NGINX_MANUAL, false, ACK))
                .died_of(M02, DropReason::PolicyIngress);
            stays_cut(&mut house);
        }
    }
}

#[test]
fn a_connection_cut_before_a_restart_is_not_revived_long_after_it() {
    let mut house = cut_connection();
    house.restart(M02);
    house.sleep(PICK_UP);
    for flags in [ACK, SYN_ACK, TcpFlags::RST] {
        house
            .pod_sends(NGINX, &segment(NGINX, NGINX_MANUAL, false, flags))
            .died_of(M02, DropReason::PolicyIngress);
        house
            .pod_sends(NGINX_MANUAL, &segment(NGINX_MANUAL, NGINX, true, flags))
            .died_of(M02, DropReason::PolicyIngress);
    }
}

#[test]
fn a_cut_udp_flow_stays_cut_while_anybody_tries_it() {
    let mut house = house(Established::Recheck);
    let question = build::udp(NGINX_MANUAL, NGINX, 4000, 53, b"");
    let answer = build::udp(NGINX, NGINX_MANUAL, 53, 4000, b"");
    house.pod_sends(NGINX_MANUAL, &question).only_at_pod(NGINX);
    house.pod_sends(NGINX, &answer).only_at_pod(NGINX_MANUAL);
    house.policy(&server_is_closed());
    for packet in [&question, &answer] {
        for _ in 0..20 {
            let from = if packet == &question {
                NGINX_MANUAL
            } else {
                NGINX
            };
            house
                .pod_sends(from, packet)
                .died_of(M02, DropReason::PolicyIngress);
            house.sleep(std::time::Duration::from_secs(100));
        }
    }
    // Forgotten is forgotten: what the server sends now is a flow of its own.
    house.sleep(std::time::Duration::from_secs(300));
    house.pod_sends(NGINX, &answer).only_at_pod(NGINX_MANUAL);
}

#[test]
fn a_cut_connection_makes_room_and_is_forgotten_soon() {
    let mut house = house(Established::Recheck);
    for node in &mut house.nodes {
        node.start(1, 1, house.now);
    }
    connect(&mut house, NGINX_MANUAL, NGINX);
    let another = build::udp(CLIENT, NGINX, 4001, 53, b"");
    house
        .pod_sends(CLIENT, &another)
        .died_of(M02, DropReason::ConntrackFull);
    house.policy(&annotated(&server_is_closed(), RECHECK));
    stays_cut(&mut house);
    assert_eq!(house.nodes[M02].workers[0].flows(house.now, 9).len(), 1);
    house.sleep(std::time::Duration::from_secs(300));
    assert_eq!(house.nodes[M02].workers[0].flows(house.now, 9).len(), 0);

    house.policy("");
    connect(&mut house, NGINX_MANUAL, NGINX);
    house.policy(&server_is_closed());
    stays_cut(&mut house);
    let own = build::udp(NGINX, CLIENT, 4001, 53, b"");
    house.pod_sends(NGINX, &own).only_at_pod(CLIENT);
    stays_cut(&mut house);
}

#[test]
fn a_cut_connection_that_policy_allows_again_is_as_it_was() {
    let mut house = cut_connection();
    house.policy(&manifest(
        "deny-manual",
        "{matchLabels: {app: nginx-manual}}",
        "Ingress",
        "",
    ));
    // The answer of an established connection, though its receiver takes no new ones.
    house
        .pod_sends(NGINX, &segment(NGINX, NGINX_MANUAL, false, ACK))
        .only_at_pod(NGINX_MANUAL);
    talks(&mut house, NGINX_MANUAL, NGINX);
    let flows = house.nodes[M02].workers.iter();
    let flows: Vec<_> = flows.flat_map(|local| local.flows(house.now, 9)).collect();
    assert_eq!(flows[0].0.state, State::Established);
}

#[test]
fn a_query_is_judged_again_by_the_code_it_had() {
    let ping = |code| {
        let header = icmpv4::Header {
            kind: icmpv4::ECHO,
            code,
            rest: [0, 7, 0, code],
        };
        build::icmp(NGINX_MANUAL, NGINX, header, b"")
    };
    let mut house = house(Established::Recheck);
    house.pod_sends(NGINX_MANUAL, &ping(1)).only_at_pod(NGINX);
    let plain_pings = "---\n\
         apiVersion: projectcalico.org/v3\n\
         kind: NetworkPolicy\n\
         metadata: {name: pings, namespace: default}\n\
         spec:\n\
         \x20 selector: app == 'nginx'\n\
         \x20 ingress: [{action: Allow, protocol: ICMP, icmp: {type: 8, code: 0}}]\n";
    house.policy(plain_pings);
    house
        .pod_sends(NGINX_MANUAL, &ping(1))
        .died_of(M02, DropReason::PolicyIngress);
}
