//! The walk allocates nothing per packet.

use std::num::NonZeroU16;

use allocation_counter::measure;
use dataplane::{Action, DropReason, GATEWAY_MAC, Notebook, PortId, Punt};
use packet::icmpv4::Message;
use packet::transport::TcpFlags;
use packet::{Frame, build};

use crate::house::*;

/// Walks copies of `frame` by `port` of minikube-m02, each edited, and says
/// what became of the last. `count` allocations are accepted: none.
#[track_caller]
fn walks_without_allocating(
    house: &mut House,
    port: PortId,
    original: &Frame,
    times: u32,
    mut edit: impl FnMut(u32, &mut Frame),
) -> Action {
    let mut frame = Frame::new();
    let mut last = Action::Drop(DropReason::NoPort);
    let now = house.now;
    let node = &mut house.nodes[M02];
    let mut run = |times: std::ops::Range<u32>| {
        for number in times {
            frame.copy_from(original);
            edit(number, &mut frame);
            last = node.walk(now, port, &mut frame).1;
        }
    };
    run(0..2); // what is allocated once: a port's rate limiter
    let info = measure(|| run(2..times));
    assert_eq!(info.count_total, 0, "{info:?}");
    last
}

fn from_nginx(packet: &[u8]) -> Frame {
    Frame::from_ethernet(&build::ethernet(pod_mac(NGINX), GATEWAY_MAC, packet))
}

fn nginx_port(house: &House) -> PortId {
    house.nodes[M02].port_of(NGINX)
}

fn same(_: u32, _: &mut Frame) {}

/// Gives every frame a source port of its own. The checksum does not matter.
fn new_flow(number: u32, frame: &mut Frame) {
    let at = frame.bytes().len() - frame.packet_len() + 20;
    frame.bytes_mut()[at..at + 2].copy_from_slice(&(number as u16).to_be_bytes());
}

#[test]
fn an_established_flow_allocates_nothing_either_way() {
    let mut house = House::walk_through();
    let port = nginx_port(&house);
    let out = from_nginx(&build::tcp(
        NGINX,
        NGINX_MANUAL,
        1,
        80,
        TcpFlags::ACK,
        0,
        &[0; 1000],
    ));
    let action = walks_without_allocating(&mut house, port, &out, 1000, same);
    assert_eq!(action, Action::Transmit(UPLINK_PORT), "encapsulated");
    let [m02, m03] = [M02, M03].map(|node| walk_through()[node].address);
    let back = build::tcp(NGINX_MANUAL, NGINX, 80, 1, TcpFlags::ACK, 0, &[0; 1000]);
    let back = build::ethernet(node_mac(m03), node_mac(m02), &build::ipip(m03, m02, &back));
    let back = Frame::from_ethernet(&back);
    let action = walks_without_allocating(&mut house, UPLINK_PORT, &back, 1000, same);
    assert_eq!(action, Action::Transmit(port), "decapsulated");
}

#[test]
fn new_flows_allocate_nothing_not_even_when_the_table_is_full() {
    let mut house = House::walk_through();
    house.nodes[M02].start(3, 512, house.now);
    let port = nginx_port(&house);
    let question = from_nginx(&build::udp(NGINX, CLIENT, 1, 53, b"question"));
    walks_without_allocating(&mut house, port, &question, 10_000, new_flow);
    assert!(house.nodes[M02].count(|counters| &counters.flows_evicted) > 8_000);
}

#[test]
fn new_generations_are_judged_without_allocating() {
    let mut house = House::walk_through();
    let port = nginx_port(&house);
    let syn = from_nginx(&build::tcp(NGINX, CLIENT, 1, 80, TcpFlags::SYN, 0, b""));
    walks_without_allocating(&mut house, port, &syn, 10, same);
    house.policy(&(deny_all("Ingress") + &allow_all_ingress()));
    let mut frame = syn.clone();
    let (now, node) = (house.now, &mut house.nodes[M02]);
    let info = measure(|| {
        node.walk(now, port, &mut frame);
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn noting_busy_flows_allocates_nothing_not_even_when_nobody_takes_them() {
    let mut house = House::walk_through();
    for local in &mut house.nodes[M02].workers {
        local.note_busy_flows(1);
    }
    let port = nginx_port(&house);
    let question = from_nginx(&build::udp(NGINX, CLIENT, 1, 53, b"question"));
    walks_without_allocating(&mut house, port, &question, 64 * 300, same);
    let workers = house.nodes[M02].workers.iter_mut();
    let noted = workers.map(|local| local.take_busy().count());
    assert_eq!(noted.sum::<usize>(), 256);
}

#[test]
fn flows_that_leave_their_lanes_allocate_nothing() {
    let mut house = House::walk_through();
    house.nodes[M02].start(1, 1, house.now);
    house.nodes[M02].workers[0].note_busy_flows(500);
    let port = nginx_port(&house);
    let question = from_nginx(&build::udp(NGINX, CLIENT, 1, 53, b"question"));
    walks_without_allocating(&mut house, port, &question, 64, same);
    let local = &mut house.nodes[M02].workers[0];
    // The table's only place, whosever it is.
    let (id, direction) = local.take_busy().next().unwrap();
    let mut lane = 0;
    let mut frame = question.clone();
    let (now, node) = (house.now, &mut house.nodes[M02]);
    let info = measure(|| {
        for number in 1..=500 {
            lane += 1;
            node.workers[0].set_lane(id, direction, NonZeroU16::new(lane));
            frame.copy_from(&question);
            new_flow(number, &mut frame);
            node.walk(now, port, &mut frame);
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
    assert_eq!(node.workers[0].take_left().count(), 499);
}

#[test]
fn arp_allocates_nothing() {
    let mut house = House::walk_through();
    let port = nginx_port(&house);
    let request = Frame::from_ethernet(&build::arp_request(pod_mac(NGINX), NGINX, CLIENT));
    let action = walks_without_allocating(&mut house, port, &request, 100, same);
    assert_eq!(action, Action::Transmit(port));
}

#[test]
fn drops_and_their_icmp_errors_allocate_nothing() {
    let mut house = House::walk_through();
    house.policy(&manifest(
        "deny",
        "{matchLabels: {app: client}}",
        "Ingress",
        "",
    ));
    let port = nginx_port(&house);
    let udp = build::udp(NGINX, NGINX_MANUAL, 1, 2, &[0; 1400]);
    let dying = [
        build::with_header(&udp, |ip| ip.ttl = 1),
        build::udp(NGINX, NGINX_MANUAL, 1, 2, &[0; 1453]),
        build::udp(NGINX, [10, 244, 7, 7].into(), 1, 2, b"no route"),
        build::udp(NGINX, CLIENT, 1, 2, b"denied"),
        build::udp(CLIENT, NGINX, 1, 2, b"spoofed"),
        build::with_options(&udp, &[131, 3, 4]),
        build::icmp_error(NGINX, Message::PortUnreachable, &udp[..100]),
    ];
    for packet in dying {
        walks_without_allocating(&mut house, port, &from_nginx(&packet), 300, same);
    }
}

#[test]
fn rejections_allocate_nothing() {
    let mut house = House::walk_through();
    house.settings.reply = policy::model::Reply::Reject;
    house.policy(&deny_all("Egress"));
    let port = nginx_port(&house);
    let syn = build::tcp(NGINX, NGINX_MANUAL, 1, 80, TcpFlags::SYN, 0, b"");
    for packet in [syn, build::udp(NGINX, CLIENT, 1, 2, b"denied")] {
        walks_without_allocating(&mut house, port, &from_nginx(&packet), 300, same);
    }
    let node = &house.nodes[M02];
    let sent = node.count(|counters| &counters.rejects_sent);
    let limited = node.count(|counters| &counters.rejects_limited);
    assert!(sent > 0 && limited > 0 && sent + limited == 600);
}

#[test]
fn fragments_allocate_nothing() {
    let mut house = House::walk_through();
    let port = nginx_port(&house);
    let packet = build::with_header(&build::udp(NGINX, CLIENT, 1, 53, &[0; 800]), |ip| {
        (ip.more_fragments, ip.dont_fragment) = (true, false);
    });
    let renumber = |number: u32, frame: &mut Frame| {
        packet::ipv4::set_identification(frame.packet_mut(), number as u16);
    };
    walks_without_allocating(&mut house, port, &from_nginx(&packet), 20_000, renumber);
}

#[test]
fn what_is_too_big_is_left_to_the_slow_path_without_allocating() {
    let mut house = House::walk_through();
    let port = nginx_port(&house);
    let packet = build::with_header(&build::udp(NGINX, NGINX_MANUAL, 1, 53, &[0; 1453]), |ip| {
        ip.dont_fragment = false;
    });
    let action = walks_without_allocating(&mut house, port, &from_nginx(&packet), 100, same);
    assert!(matches!(action, Action::Punt(Punt::Cut(_))), "{action:?}");
}

#[test]
fn a_walk_that_is_written_down_allocates_nothing_once_the_notebook_is_warm() {
    let mut house = House::walk_through();
    let port = nginx_port(&house);
    let packets = [
        build::tcp(NGINX, NGINX_MANUAL, 1, 80, TcpFlags::SYN, 0, &[0; 1000]),
        build::udp(NGINX, [10, 244, 7, 7].into(), 1, 2, b"no route"),
        build::udp(CLIENT, NGINX, 1, 2, b"spoofed"),
    ];
    let originals = packets.map(|packet| from_nginx(&packet));
    let mut notebook = Notebook::new(128);
    let mut frame = Frame::new();
    let (now, node) = (house.now, &mut house.nodes[M02]);
    let mut round = || {
        for original in &originals {
            frame.copy_from(original);
            let worker = node.fan_out(port, &frame);
            let local = &mut node.workers[worker];
            dataplane::observe(&node.world, local, now, port, &mut frame, &mut notebook);
        }
    };
    round();
    let info = measure(|| (0..300).for_each(|_| round()));
    assert_eq!(info.count_total, 0, "{info:?}");
    assert_eq!(notebook.refused(), Some(DropReason::SpoofedSource));
}
