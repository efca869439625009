//! What holds for every frame, however it looks.

use std::net::Ipv4Addr;

use dataplane::{DropReason, PortId};
use packet::offload::{Checksum, Gso, GsoKind, Offload};
use packet::transport::TcpFlags;
use packet::{Frame, Protocol, build};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::house::*;

/// Each walk ended in exactly one way, and every drop is in a counter.
fn adds_up(house: &House, outcome: &Outcome) {
    let answered: u64 = house
        .nodes
        .iter()
        .map(|node| node.count(|c| &c.icmp_sent))
        .sum();
    let counted: u64 = house
        .nodes
        .iter()
        .flat_map(|node| DropReason::TABLE.iter().map(|row| node.dropped(row.reason)))
        .sum();
    assert_eq!(counted as usize, outcome.dropped.len());
    assert!(answered as usize <= outcome.dropped.len() + outcome.events.len());
    let arp: u64 = house
        .nodes
        .iter()
        .map(|node| node.count(|c| &c.arp_answered))
        .sum();
    assert!(arp as usize <= outcome.delivered.len());
    assert!(outcome.walks <= 4, "{outcome:?}");
}

prop_compose! {
    fn offload()(
        checksum in 0u8..3, start in 0u16..200, offset in 0u16..40,
        gso in 0u8..5, size in 1u16..3000, ecn in any::<bool>(),
    ) -> Offload {
        let checksum = match checksum {
            0 => Checksum::None,
            1 => Checksum::Valid,
            _ => Checksum::Partial { start, offset },
        };
        let kind = match gso {
            0 => Some(GsoKind::Tcp4),
            1 => Some(GsoKind::UdpL4),
            2 => Some(GsoKind::Other(size as u8)),
            _ => None,
        };
        Offload { checksum, gso: kind.map(|kind| Gso { kind, size, ecn }) }
    }
}

/// Edits of a frame: single bytes and the length.
#[derive(Clone, Debug)]
struct Mutation {
    bytes: Vec<(usize, u8)>,
    len: Option<usize>,
    mend_checksum: bool,
    offload: Option<Offload>,
}

prop_compose! {
    fn mutation()(
        bytes in vec((0usize..200, any::<u8>()), 0..4),
        len in proptest::option::weighted(0.3, 0usize..220),
        mend_checksum in any::<bool>(),
        offload in proptest::option::weighted(0.3, offload()),
    ) -> Mutation {
        Mutation { bytes, len, mend_checksum, offload }
    }
}

fn mutated(ethernet: bool, bytes: &[u8], mutation: &Mutation) -> Frame {
    let mut bytes = bytes.to_vec();
    for (at, value) in &mutation.bytes {
        let at = at % bytes.len();
        bytes[at] = *value;
    }
    let link_len = if ethernet { 14 } else { 0 };
    if mutation.mend_checksum && bytes.len() > link_len + 20 {
        packet::ipv4::fill_checksum(&mut bytes[link_len..]);
    }
    if let Some(len) = mutation.len {
        bytes.resize(len, 0xa5);
    }
    let mut frame = match ethernet {
        true => Frame::from_ethernet(&bytes),
        false => Frame::from_packet(&bytes),
    };
    frame.offload = mutation.offload.unwrap_or_default();
    frame
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// That what leaves is well-formed is checked by the house itself.
    #[test]
    fn random_bytes_into_any_port_are_dropped_or_walk(
        port in 0u16..6, bytes in vec(any::<u8>(), 0..300), offload in offload(),
    ) {
        let mut house = House::walk_through();
        let mut frame = match PortId(port) {
            HOST_PORT => Frame::from_packet(&bytes),
            _ => Frame::from_ethernet(&bytes),
        };
        frame.offload = offload;
        let outcome = house.put(M02, PortId(port), frame);
        adds_up(&house, &outcome);
    }

    #[test]
    fn mutated_frames_are_dropped_or_walk(
        (port, ethernet, bytes) in select(valid_frames()), mutation in mutation(),
    ) {
        let mut house = House::walk_through();
        let outcome = house.put(M02, port, mutated(ethernet, &bytes, &mutation));
        adds_up(&house, &outcome);
    }

    /// The same house sees many, so that what one left behind meets the next.
    #[test]
    fn a_stream_of_mutated_frames_harms_nobody(
        stream in vec((select(valid_frames()), mutation()), 1..40),
    ) {
        let mut house = House::walk_through();
        for ((port, ethernet, bytes), mutation) in stream {
            house.put(M02, port, mutated(ethernet, &bytes, &mutation));
            house.sleep(std::time::Duration::from_secs(1));
        }
        let ping = build::icmp_echo(NGINX_MANUAL, CLIENT, 77, 1, b"still alive?");
        house.pod_sends(NGINX_MANUAL, &ping).only_at_pod(CLIENT);
    }
}

/// Where a packet may come from.
fn source() -> impl Strategy<Value = Ipv4Addr> {
    select(vec![NGINX, CLIENT, NGINX_MANUAL, BUSYBOX])
}

/// Where it may go: pods, unused addresses, hosts, the outside.
fn destination() -> impl Strategy<Value = Ipv4Addr> {
    let m02 = &walk_through()[M02];
    let known = vec![
        NGINX,
        CLIENT,
        NGINX_MANUAL,
        BUSYBOX,
        OUTSIDE,
        ROUTER,
        m02.address,
        m02.block,
        Ipv4Addr::new(10, 244, 205, 250),
        Ipv4Addr::new(10, 244, 3, 3),
    ];
    prop_oneof![4 => select(known), 1 => any::<u32>().prop_map(Ipv4Addr::from)]
}

fn policies() -> Vec<String> {
    let web = "ingress: [{ports: [{port: 80}, {protocol: UDP, port: 53}]}]";
    vec![
        String::new(),
        deny_all("Ingress"),
        deny_all("Egress"),
        manifest("web", "{matchLabels: {app: nginx}}", "Ingress", web),
        deny_all("Ingress") + &allow_all_ingress(),
    ]
}

prop_compose! {
    fn packet()(
        src in source(), dst in destination(), is_tcp in any::<bool>(),
        sport in any::<u16>(), dport in select(vec![53u16, 80, 443, 4789, 65_535]),
        len in 0usize..3000, ttl in 0u8..=255, tos in any::<u8>(), dont_fragment in any::<bool>(),
    ) -> (Ipv4Addr, Ipv4Addr, Vec<u8>) {
        let payload = vec![0x42; len];
        let packet = match is_tcp {
            true => build::tcp(src, dst, sport, dport, TcpFlags::SYN, 1, &payload),
            false => build::udp(src, dst, sport, dport, &payload),
        };
        let packet = build::with_header(&packet, |ip| {
            (ip.ttl, ip.tos, ip.dont_fragment, ip.identification) = (ttl, tos, dont_fragment, 9);
        });
        (src, dst, packet)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_valid_packet_is_dropped_for_a_reason_or_arrives_once_and_unchanged(
        (src, dst, packet) in packet(), policy in select(policies()), workers in 1u16..5,
    ) {
        let mut house = House::build(&walk_through(), workers);
        house.policy(&policy);
        let outcome = house.pod_sends(src, &packet);
        adds_up(&house, &outcome);
        if !outcome.dropped.is_empty() {
            // Each of its fragments died. Nothing, or one ICMP error, to the sender.
            prop_assert!(outcome.delivered.len() <= 1, "{:?}", outcome);
            for error in outcome.at(Place::Pod(src)) {
                prop_assert_eq!(header(&error).protocol, Protocol::ICMP);
            }
            prop_assert!(outcome.delivered.iter().all(|d| d.place == Place::Pod(src)));
            return Ok(());
        }
        let pods = [NGINX, CLIENT, NGINX_MANUAL, BUSYBOX];
        let remote_host = dst == walk_through()[M02].block && house.node_of(src) != M02;
        let (place, hops) = match pods.contains(&dst) {
            true if house.node_of(src) == house.node_of(dst) => (Place::Pod(dst), 1),
            true => (Place::Pod(dst), 2),
            // A tunnel address lies behind the tunnel; the kernel there is the end.
            false if remote_host => (Place::Host(M02), 1),
            false => (Place::Host(house.node_of(src)), 0),
        };
        prop_assert_eq!(outcome.delivered.iter().filter(|d| d.place != place).count(), 0);
        let arrived = match outcome.cut {
            0 => outcome.only_at(place),
            _ => reassemble(&outcome.at(place)),
        };
        prop_assert_eq!(arrived, build::with_header(&packet, |ip| ip.ttl -= hops));
    }
}
