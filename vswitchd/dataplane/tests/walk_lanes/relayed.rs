//! A lane's description, followed to the letter, does what the walk does.

use dataplane::conntrack::{Direction, FlowId};
use dataplane::{Action, Arrives, GATEWAY_MAC, Lane, PortId, forward};
use packet::{Frame, Protocol, build, ipip, ipv4};
use proptest::prelude::*;

use super::*;

/// What the holder of a lane does to a frame that comes by its port, written
/// down from the lane's description; `None` where it leaves it to the walk.
fn relayed(lane: &Lane, frame: &Frame) -> Option<Frame> {
    let mut frame = frame.clone();
    if let Arrives::Tunnel { local, remote } = lane.arrives {
        let outer = ipv4::Header::parse(frame.packet()).ok()?;
        let inner = ipv4::Header::parse(outer.payload(frame.packet())).ok()?;
        let ends = (outer.protocol, outer.src, outer.dst);
        if ends != (Protocol::IPIP, remote, local) || outer.tos != inner.tos {
            return None;
        }
        frame.pull_packet(20);
    }
    if let Arrives::Plain { link } = lane.arrives
        && frame.link() != link
    {
        return None;
    }
    let header = ipv4::Header::parse(frame.packet()).ok()?;
    let key = FlowKey::read(frame.packet(), &header).ok()?;
    let fits = frame.wire_packet_len() <= lane.mtu_bytes.into();
    if key != lane.key || header.ttl <= 1 || header.has_options() || !fits {
        return None;
    }
    let mut packet = frame.packet().to_vec();
    packet[8] -= 1;
    ipv4::fill_checksum(&mut packet);
    frame.packet_mut().copy_from_slice(&packet);
    frame.set_link(&lane.link);
    Some(frame)
}

#[derive(Clone, Debug)]
struct Sent {
    is_tunneled: bool,
    is_reply: bool,
    is_tcp: bool,
    payload_len: usize,
    /// Payload bytes of a segment, if it is a super-segment.
    segment: Option<u16>,
    ttl: u8,
    tos: u8,
    /// Differs from the inner header's where it is not the same.
    outer_tos: u8,
}

prop_compose! {
    fn sent()(
        is_tunneled in any::<bool>(), is_reply in any::<bool>(), is_tcp in any::<bool>(),
        payload_len in prop_oneof![0usize..1600, 1600usize..30_000],
        // The walk refuses more than 2048 segments, a lane need not.
        segment in proptest::option::of(36u16..1500),
        ttl in prop_oneof![Just(64u8), any::<u8>()],
        tos in any::<u8>(), other_tos in proptest::option::weighted(0.2, any::<u8>()),
    ) -> Sent {
        let outer_tos = other_tos.unwrap_or(tos);
        Sent { is_tunneled, is_reply, is_tcp, payload_len, segment, ttl, tos, outer_tos }
    }
}

/// The frame, and the pods it is from and to.
fn frame_of(sent: &Sent) -> Frame {
    let peer = if sent.is_tunneled {
        NGINX_MANUAL
    } else {
        CLIENT
    };
    // The flow is the peer's in half of the cases; a reply goes to NGINX too.
    let ports = if sent.is_reply {
        (53, 4000)
    } else {
        (4000, 53)
    };
    let payload = vec![7; sent.payload_len];
    let packet = match sent.is_tcp {
        true => build::tcp(peer, NGINX, ports.0, ports.1, ACK, 0, &payload),
        false => build::udp(peer, NGINX, ports.0, ports.1, &payload),
    };
    let packet = build::with_header(&packet, |ip| (ip.ttl, ip.tos) = (sent.ttl, sent.tos));
    let mut frame = match sent.segment {
        Some(size) => build::super_segment(&packet, size),
        None => Frame::from_packet(&packet),
    };
    if !sent.is_tunneled {
        frame.set_link(&link(pod_mac(peer), GATEWAY_MAC));
        return frame;
    }
    let [m02, m03] = [M02, M03].map(|node| walk_through()[node].address);
    let (src, dst) = (m03, m02);
    let outer = ipip::Outer {
        src,
        dst,
        identification: 1,
    };
    ipip::encapsulate(&mut frame, outer);
    ipv4::set_tos(frame.ip_header_mut(), sent.outer_tos);
    frame.set_link(&link(node_mac(m03), node_mac(m02)));
    frame
}

/// A flow between NGINX and the frame's sender, settled both ways, of which the
/// frame is one more packet.
fn settled(sent: &Sent) -> (House, FlowId, Direction) {
    let mut house = house();
    let plain = Sent {
        payload_len: 8,
        segment: None,
        ttl: 64,
        tos: 0,
        outer_tos: 0,
        ..sent.clone()
    };
    let peer = if sent.is_tunneled {
        NGINX_MANUAL
    } else {
        CLIENT
    };
    let arrived_by = port_of(&house, sent);
    let ports = if sent.is_reply {
        (4000, 53)
    } else {
        (53, 4000)
    };
    let back = match sent.is_tcp {
        true => build::tcp(NGINX, peer, ports.0, ports.1, ACK, 0, b""),
        false => build::udp(NGINX, peer, ports.0, ports.1, b""),
    };
    for round in 0..64 {
        if round > 0 || !sent.is_reply {
            let outcome = house.put(M02, arrived_by, frame_of(&plain));
            outcome.only_at_pod(NGINX);
        }
        house.pod_sends(NGINX, &back).only_at_pod(peer);
    }
    house.put(M02, arrived_by, frame_of(&plain));
    let direction = BOTH[usize::from(sent.is_reply)];
    let noted = noted(&mut house);
    let (id, _) = noted
        .into_iter()
        .find(|(_, noted)| *noted == direction)
        .expect("64 packets of it");
    (house, id, direction)
}

fn port_of(house: &House, sent: &Sent) -> PortId {
    match sent.is_tunneled {
        true => UPLINK_PORT,
        false => house.nodes[M02].port_of(CLIENT),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Byte for byte, offload and counts included.
    #[test]
    fn whoever_does_as_described_does_what_the_walk_does(sent in sent()) {
        let (mut house, id, direction) = settled(&sent);
        let lane = lane(&house, id, direction).expect("a lane");
        prop_assert_eq!(lane.arrived_by, port_of(&house, &sent));
        let mut frame = frame_of(&sent);
        let relayed = relayed(&lane, &frame);
        let before = counts(&house);
        let (now, node) = (house.now, &mut house.nodes[M02]);
        let local = &mut node.workers[0];
        let action = forward(&node.world, local, now, lane.arrived_by, &mut frame);
        if let Some(relayed) = relayed {
            prop_assert_eq!(action, Action::Transmit(lane.to));
            prop_assert_eq!(frame.bytes(), relayed.bytes());
            prop_assert_eq!(frame.offload, relayed.offload);
            let after = counts(&house);
            let packet_len = relayed.packet_len() as u64;
            let at = direction as usize;
            prop_assert_eq!(after.0[at], before.0[at] + 1);
            prop_assert_eq!(after.1[at], before.1[at] + packet_len);
        } else {
            let is_tos = sent.is_tunneled && sent.tos != sent.outer_tos;
            prop_assert!(is_tos || action != Action::Transmit(lane.to));
        }
    }
}
