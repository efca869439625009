//! Flows of pods that are gone go, those of others stay.

use std::net::Ipv4Addr;
use std::time::Duration;

use dataplane::Generation;
use packet::build;
use packet::transport::TcpFlags;

use crate::house::*;

const SECOND: Duration = Duration::from_secs(1);
const ACK: TcpFlags = TcpFlags::ACK;

/// A connection that both ends have spoken on.
fn connect(house: &mut House, from: Ipv4Addr, to: Ipv4Addr, port: u16) {
    house.pod_sends(from, &build::tcp(from, to, port, 80, ACK, 0, b""));
    house.pod_sends(to, &build::tcp(to, from, 80, port, ACK, 0, b""));
}

/// The client's ports of what a node tracks.
fn tracked(house: &House, node: usize) -> Vec<u16> {
    let workers = house.nodes[node].workers.iter();
    let flows = workers.flat_map(|local| local.flows(house.now, 99));
    let mut ports: Vec<u16> = flows.map(|(flow, _)| flow.original().src_port).collect();
    ports.sort_unstable();
    ports
}

fn orphaned(house: &House) -> u64 {
    house.nodes[M02].count(|counters| &counters.flows_orphaned)
}

#[test]
fn connections_of_a_deleted_pod_are_forgotten_whichever_end_it_was() {
    let mut house = House::walk_through();
    connect(&mut house, NGINX, CLIENT, 1);
    connect(&mut house, CLIENT, NGINX, 2);
    connect(&mut house, NGINX_MANUAL, CLIENT, 3);
    connect(&mut house, CLIENT, NGINX_MANUAL, 4);
    connect(&mut house, NGINX, NGINX_MANUAL, 5);
    assert_eq!(tracked(&house, M02), [1, 2, 3, 4, 5]);
    house.edit(M02, |description| {
        description.workloads.retain(|pod| pod.address != CLIENT);
    });
    house.sleep(SECOND);
    assert_eq!(tracked(&house, M02), [5]);
    assert_eq!(orphaned(&house), 4);
    house.sleep(SECOND);
    assert_eq!(orphaned(&house), 4, "once");
}

#[test]
fn a_pod_that_took_over_a_port_does_not_keep_the_flows_of_the_one_before() {
    let mut house = House::walk_through();
    connect(&mut house, NGINX, CLIENT, 1);
    let next = Generation(house.nodes[M02].world.generation.0 + 1);
    house.edit(M02, |description| {
        let mut pods = description.workloads.iter_mut();
        let client = pods.find(|pod| pod.address == CLIENT).unwrap();
        client.address = Ipv4Addr::new(10, 244, 205, 250);
        client.since = next;
    });
    house.sleep(SECOND);
    assert!(tracked(&house, M02).is_empty());
}

#[test]
fn a_change_elsewhere_costs_no_flow() {
    let mut house = House::walk_through();
    connect(&mut house, NGINX, CLIENT, 1);
    house.policy("");
    house.edit(M02, |description| description.peers.clear());
    for _ in 0..10 {
        house.sleep(SECOND);
    }
    assert_eq!(tracked(&house, M02), [1]);
    assert_eq!(orphaned(&house), 0);
}
