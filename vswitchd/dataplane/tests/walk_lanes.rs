//! Lanes: what they are told who forward settled flows in the walk's stead.

use dataplane::conntrack::{Direction, FlowId};
use dataplane::{Arrives, Bandwidth, GATEWAY_MAC, Lane};
use packet::transport::TcpFlags;
use packet::{FlowKey, Protocol, build};
use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::house::*;

mod lifetime;
mod relayed;

const ACK: TcpFlags = TcpFlags::ACK;
const BOTH: [Direction; 2] = [Direction::Original, Direction::Reply];

/// A house with one worker a node, which notes busy flows.
fn house() -> House {
    let mut house = House::build(&walk_through(), 1);
    for node in &mut house.nodes {
        node.workers[0].note_busy_flows(1000);
    }
    house
}

/// One datagram from port 4000 of `from` to port 53 of `to`.
fn asks(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    build::udp(from, to, 4000, 53, b"question")
}

fn answers(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    build::udp(from, to, 53, 4000, b"answer")
}

type Noted = Vec<(FlowId, Direction)>;

/// What minikube-m02 has noted since the last call.
fn noted(house: &mut House) -> Noted {
    house.nodes[M02].workers[0].take_busy().collect()
}

/// A datagram each way, `times` times, and what was noted in the meantime.
fn talk(house: &mut House, client: Ipv4Addr, server: Ipv4Addr, times: usize) -> Noted {
    for _ in 0..times {
        house
            .pod_sends(client, &asks(client, server))
            .only_at_pod(server);
        house
            .pod_sends(server, &answers(server, client))
            .only_at_pod(client);
    }
    noted(house)
}

/// The flow of both directions noted.
#[track_caller]
fn only_flow(noted: &Noted) -> FlowId {
    let &[(id, Direction::Original), (other, Direction::Reply)] = noted.as_slice() else {
        panic!("{noted:?}");
    };
    assert_eq!(id, other);
    id
}

fn lane(house: &House, id: FlowId, direction: Direction) -> Option<Lane> {
    let node = &house.nodes[M02];
    let lane = node.workers[0].lane(&node.world, id, direction);
    let may_go_on = node.workers[0].may_go_on(&node.world, id, direction);
    assert_eq!(lane.is_some(), may_go_on);
    lane
}

/// Which directions have a lane, original first.
fn has_lanes(house: &House, id: FlowId) -> [bool; 2] {
    BOTH.map(|direction| lane(house, id, direction).is_some())
}

fn number(lane: u16) -> Option<NonZeroU16> {
    NonZeroU16::new(lane)
}

fn set_lanes(house: &mut House, id: FlowId, lanes: [u16; 2]) {
    for (direction, lane) in BOTH.into_iter().zip(lanes) {
        house.nodes[M02].workers[0].set_lane(id, direction, number(lane));
    }
}

/// Packets and bytes of the one flow of minikube-m02.
fn counts(house: &House) -> ([u64; 2], [u64; 2]) {
    let flows = house.nodes[M02].workers[0].flows(house.now, 9);
    assert_eq!(flows.len(), 1);
    (flows[0].0.packets, flows[0].0.bytes)
}

#[test]
fn a_direction_is_noted_at_its_64th_packet_and_every_64_after_it() {
    let mut house = house();
    assert_eq!(talk(&mut house, NGINX, CLIENT, 63), []);
    let first = talk(&mut house, NGINX, CLIENT, 1);
    only_flow(&first);
    assert_eq!(talk(&mut house, NGINX, CLIENT, 63), []);
    assert_eq!(talk(&mut house, NGINX, CLIENT, 1), first);
}

#[test]
fn nothing_is_noted_unless_somebody_wants_to_know() {
    let mut house = House::build(&walk_through(), 1);
    assert_eq!(talk(&mut house, NGINX, CLIENT, 200), []);
}

#[test]
fn a_direction_with_a_lane_is_not_noted_and_the_other_is() {
    let mut house = house();
    let id = only_flow(&talk(&mut house, NGINX, CLIENT, 64));
    set_lanes(&mut house, id, [5, 0]);
    assert_eq!(house.nodes[M02].workers[0].lanes(id), [number(5), None]);
    let noted = talk(&mut house, NGINX, CLIENT, 64);
    assert_eq!(noted, [(id, Direction::Reply)]);
    set_lanes(&mut house, id, [0, 0]);
    only_flow(&talk(&mut house, NGINX, CLIENT, 64));
}

#[test]
fn no_more_than_256_directions_are_noted_at_a_time() {
    let mut house = house();
    for port in 0..300 {
        let ask = build::udp(NGINX, CLIENT, port, 53, b"");
        for _ in 0..64 {
            house.pod_sends(NGINX, &ask).only_at_pod(CLIENT);
        }
    }
    assert_eq!(noted(&mut house).len(), 256);
}

#[test]
fn between_two_pods_of_a_node_each_direction_is_described_as_it_is_dressed() {
    let mut house = house();
    let id = only_flow(&talk(&mut house, NGINX, CLIENT, 64));
    let node = &house.nodes[M02];
    for (direction, from, to, ports) in [
        (Direction::Original, NGINX, CLIENT, (4000, 53)),
        (Direction::Reply, CLIENT, NGINX, (53, 4000)),
    ] {
        let expected = Lane {
            key: FlowKey {
                src: from,
                dst: to,
                src_port: ports.0,
                dst_port: ports.1,
                protocol: Protocol::UDP,
            },
            arrived_by: node.port_of(from),
            arrives: Arrives::Plain {
                link: link(pod_mac(from), GATEWAY_MAC),
            },
            to: node.port_of(to),
            link: link(GATEWAY_MAC, pod_mac(to)),
            mtu_bytes: 1480,
        };
        assert_eq!(lane(&house, id, direction), Some(expected));
    }
}

#[test]
fn from_a_tunnel_there_is_a_lane_and_into_it_there_is_none() {
    let mut house = house();
    let id = only_flow(&talk(&mut house, NGINX_MANUAL, NGINX, 64));
    let lane = lane(&house, id, Direction::Original).unwrap();
    let [local, remote] = [M02, M03].map(|node| walk_through()[node].address);
    assert_eq!(lane.arrives, Arrives::Tunnel { local, remote });
    assert_eq!(lane.arrived_by, UPLINK_PORT);
    assert_eq!(lane.to, house.nodes[M02].port_of(NGINX));
    assert_eq!(has_lanes(&house, id), [true, false]);
}

#[test]
fn without_a_tunnel_there_is_no_lane_from_another_node() {
    let mut house = house();
    for index in [M02, M03] {
        house.edit(index, |node| {
            for peer in &mut node.peers {
                peer.plain_blocks = std::mem::take(&mut peer.tunneled_blocks);
            }
        });
    }
    let id = only_flow(&talk(&mut house, NGINX_MANUAL, NGINX, 64));
    assert_eq!(has_lanes(&house, id), [false, false]);
}

#[test]
fn from_and_to_the_host_there_is_no_lane() {
    let mut house = house();
    let host = walk_through()[M02].address;
    for _ in 0..64 {
        house.host_sends(M02, &asks(host, NGINX)).only_at_pod(NGINX);
        let answer = answers(NGINX, host);
        house.pod_sends(NGINX, &answer).only_at_host(M02);
    }
    let id = only_flow(&noted(&mut house));
    assert_eq!(has_lanes(&house, id), [false, false]);
}

#[test]
fn where_bandwidth_is_limited_there_is_no_lane() {
    let limit = || Some(Arc::new(Bandwidth::new(1 << 40, 1 << 40)));
    for (of_egress, expected) in [(true, [false, true]), (false, [true, false])] {
        let mut house = house();
        house.edit(M02, |node| {
            let nginx = &mut node.workloads[0];
            assert_eq!(nginx.address, NGINX);
            match of_egress {
                true => nginx.egress_limit = limit(),
                false => nginx.ingress_limit = limit(),
            }
        });
        let id = only_flow(&talk(&mut house, NGINX, CLIENT, 64));
        assert_eq!(has_lanes(&house, id), expected);
    }
}

#[test]
fn a_new_generation_gives_no_lane_until_the_walk_has_decided_in_it() {
    let mut house = house();
    let id = only_flow(&talk(&mut house, NGINX, CLIENT, 64));
    house.policy("");
    assert_eq!(has_lanes(&house, id), [false, false]);
    house
        .pod_sends(NGINX, &asks(NGINX, CLIENT))
        .only_at_pod(CLIENT);
    assert_eq!(has_lanes(&house, id), [true, false]);
    house
        .pod_sends(CLIENT, &answers(CLIENT, NGINX))
        .only_at_pod(NGINX);
    assert_eq!(has_lanes(&house, id), [true, true]);
}

#[test]
fn a_flow_that_is_denied_has_no_lane_until_it_is_allowed_again() {
    let mut house = house();
    let id = only_flow(&talk(&mut house, NGINX, CLIENT, 64));
    house.policy(&deny_all("Ingress"));
    for _ in 0..2 {
        house.pod_sends(NGINX, &asks(NGINX, CLIENT));
        assert_eq!(has_lanes(&house, id), [false, false]);
    }
    house.policy("");
    talk(&mut house, NGINX, CLIENT, 1);
    assert_eq!(has_lanes(&house, id), [true, true]);
}

#[test]
fn a_udp_flow_without_an_answer_has_a_lane_one_way() {
    let mut house = house();
    for _ in 0..64 {
        house
            .pod_sends(NGINX, &asks(NGINX, CLIENT))
            .only_at_pod(CLIENT);
    }
    let (id, direction) = noted(&mut house)[0];
    assert_eq!(direction, Direction::Original);
    assert_eq!(has_lanes(&house, id), [true, false]);
}

/// A segment of the connection from NGINX to CLIENT.
fn segment(house: &mut House, direction: Direction, flags: TcpFlags) {
    let (from, to, ports) = match direction {
        Direction::Original => (NGINX, CLIENT, (4000, 80)),
        Direction::Reply => (CLIENT, NGINX, (80, 4000)),
    };
    let packet = build::tcp(from, to, ports.0, ports.1, flags, 0, b"");
    house.pod_sends(from, &packet).only_at_pod(to);
}

/// NGINX and CLIENT talk by TCP, both directions noted.
fn connected(house: &mut House) -> FlowId {
    for _ in 0..70 {
        segment(house, Direction::Original, ACK);
        segment(house, Direction::Reply, ACK);
    }
    only_flow(&noted(house))
}

#[test]
fn a_connection_has_lanes_from_its_handshake_to_its_last_fin() {
    let flags = |a: TcpFlags, b: TcpFlags| TcpFlags(a.0 | b.0);
    let mut house = house();
    let id = connected(&mut house);
    assert_eq!(has_lanes(&house, id), [true, true]);
    // What follows takes the same place in the table.
    segment(&mut house, Direction::Original, TcpFlags::RST);
    let syn_ack = flags(TcpFlags::SYN, ACK);
    let fin_ack = flags(TcpFlags::FIN, ACK);
    for (direction, flags, expected) in [
        (Direction::Reply, ACK, [false, false]),
        (Direction::Original, TcpFlags::SYN, [false, false]),
        (Direction::Reply, syn_ack, [false, false]),
        (Direction::Original, ACK, [true, true]),
        (Direction::Original, fin_ack, [true, true]),
        (Direction::Reply, ACK, [true, true]),
        (Direction::Reply, fin_ack, [false, false]),
        (Direction::Original, ACK, [false, false]),
    ] {
        segment(&mut house, direction, flags);
        assert_eq!(has_lanes(&house, id), expected, "after {flags:?}");
    }
}
