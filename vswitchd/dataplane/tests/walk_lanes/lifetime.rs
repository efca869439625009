//! Lanes come back from flows that go, and credit keeps flows.

use std::num::NonZeroU16;
use std::time::Duration;

use dataplane::conntrack::Direction;
use packet::transport::TcpFlags;

use super::*;

fn left(house: &mut House) -> Vec<u16> {
    let left = house.nodes[M02].workers[0].take_left();
    left.map(NonZeroU16::get).collect()
}

#[test]
fn lanes_come_back_when_their_flow_expires() {
    let mut house = house();
    let id = only_flow(&talk(&mut house, NGINX, CLIENT, 64));
    set_lanes(&mut house, id, [7, 8]);
    house.sleep(Duration::from_secs(119));
    assert!(left(&mut house).is_empty());
    house.sleep(Duration::from_secs(2));
    assert_eq!(left(&mut house), [7, 8]);
    assert!(left(&mut house).is_empty(), "once");
    assert_eq!(house.nodes[M02].workers[0].lanes(id), [None, None]);
    assert_eq!(has_lanes(&house, id), [false, false]);
    set_lanes(&mut house, id, [9, 9]);
    talk(&mut house, CLIENT, NGINX, 1);
    assert_eq!(house.nodes[M02].workers[0].lanes(id), [None, None]);
}

#[test]
fn lanes_come_back_when_their_flow_makes_room_for_another() {
    let mut house = house();
    house.nodes[M02].start(1, 1, house.now);
    house.nodes[M02].workers[0].note_busy_flows(4);
    let id = only_flow(&talk(&mut house, NGINX, CLIENT, 64));
    set_lanes(&mut house, id, [0, 3]);
    talk(&mut house, CLIENT, NGINX, 1);
    assert_eq!(left(&mut house), [3]);
    assert_eq!(house.nodes[M02].workers[0].lanes(id), [None, None]);
}

#[test]
fn lanes_come_back_when_a_pod_goes() {
    let mut house = house();
    let id = only_flow(&talk(&mut house, NGINX, CLIENT, 64));
    set_lanes(&mut house, id, [1, 2]);
    house.edit(M02, |node| {
        node.workloads.retain(|pod| pod.address == NGINX);
    });
    house.sleep(Duration::from_secs(1));
    assert_eq!(left(&mut house), [1, 2]);
}

#[test]
fn lanes_come_back_when_a_new_connection_takes_the_ports() {
    let mut house = house();
    let id = connected(&mut house);
    set_lanes(&mut house, id, [1, 2]);
    segment(&mut house, Direction::Original, TcpFlags::RST);
    assert!(left(&mut house).is_empty());
    segment(&mut house, Direction::Original, TcpFlags::SYN);
    assert_eq!(left(&mut house), [1, 2]);
    assert_eq!(house.nodes[M02].workers[0].lanes(id), [None, None]);
}

#[test]
fn what_was_relayed_is_counted_and_keeps_the_flow() {
    let mut house = house();
    let id = only_flow(&talk(&mut house, NGINX, CLIENT, 64));
    let (packets, bytes) = counts(&house);
    for _ in 0..3 {
        house.sleep(Duration::from_secs(100));
        let now = house.now;
        house.nodes[M02].workers[0].credit(now, id, Direction::Reply, 10, 5_000);
    }
    let (now_packets, now_bytes) = counts(&house);
    assert_eq!(now_packets, [packets[0], packets[1] + 30]);
    assert_eq!(now_bytes, [bytes[0], bytes[1] + 15_000]);
    // Nothing relayed keeps nothing.
    house.sleep(Duration::from_secs(100));
    let now = house.now;
    house.nodes[M02].workers[0].credit(now, id, Direction::Reply, 0, 0);
    house.sleep(Duration::from_secs(30));
    assert!(house.nodes[M02].workers[0].flows(house.now, 9).is_empty());
}

#[test]
fn credit_for_a_flow_that_went_disturbs_no_other() {
    let mut house = house();
    let id = only_flow(&talk(&mut house, NGINX, CLIENT, 64));
    house.sleep(Duration::from_secs(121));
    let now = house.now;
    house.nodes[M02].workers[0].credit(now, id, Direction::Reply, 1, 100);
    let flows = |house: &House| house.nodes[M02].workers[0].flows(house.now, 9).len();
    assert_eq!(flows(&house), 0);
    talk(&mut house, NGINX, CLIENT, 1);
    talk(&mut house, CLIENT, NGINX, 1);
    assert_eq!(flows(&house), 2);
    house.sleep(Duration::from_secs(121));
    assert_eq!(flows(&house), 0);
}

#[test]
fn a_flow_that_is_credited_expires_after_one_that_was_not() {
    let mut house = house();
    let older = only_flow(&talk(&mut house, NGINX, CLIENT, 64));
    house.sleep(Duration::from_secs(50));
    let younger = only_flow(&talk(&mut house, CLIENT, NGINX, 64));
    set_lanes(&mut house, older, [1, 0]);
    set_lanes(&mut house, younger, [2, 0]);
    house.sleep(Duration::from_secs(50));
    let now = house.now;
    house.nodes[M02].workers[0].credit(now, older, Direction::Original, 1, 40);
    house.sleep(Duration::from_secs(71));
    assert_eq!(left(&mut house), [2]);
    house.sleep(Duration::from_secs(50));
    assert_eq!(left(&mut house), [1]);
}
