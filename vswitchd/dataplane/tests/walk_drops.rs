//! Each row of the table of drop reasons has a frame that dies of it.

use dataplane::{DropReason, GATEWAY_MAC};
use packet::frame::Frame;
use packet::icmpv4::Message;
use packet::offload::{Checksum, Offload};
use packet::transport::TcpFlags;
use packet::{EtherType, MacAddr, Protocol, build, ipip, ipv4};

use crate::house::*;

/// How a row is shown.
enum Proof {
    /// By a frame in this house.
    Frame(fn(&mut House) -> Outcome),
    /// Only a worker or a device can drop for this reason; tested there.
    AtTheWorker,
}
use Proof::{AtTheWorker, Frame as Dies};

/// Exhaustive, so that a new row does not compile until it is shown.
fn proof(reason: DropReason) -> Proof {
    match reason {
        DropReason::Truncated => Dies(|h| h.pod_sends_ethernet(NGINX, &[0; 13])),
        DropReason::Vlan => Dies(|h| of_ethertype(h, EtherType::VLAN)),
        DropReason::Ipv6 => Dies(|h| of_ethertype(h, EtherType::IPV6)),
        DropReason::EtherType => Dies(|h| of_ethertype(h, EtherType(0x88cc))),
        DropReason::Ipv4Malformed => Dies(|h| edited(h, |packet| packet[0] = 0x55)),
        DropReason::Ipv4Checksum => Dies(|h| edited(h, |packet| packet[10] ^= 1)),
        DropReason::SourceRoute => Dies(source_route),
        DropReason::OffloadForged => Dies(offload_forged),
        DropReason::OtherMac => Dies(|h| to_mac(h, pod_mac(CLIENT), &udp())),
        DropReason::Multicast => {
            Dies(|h| to_mac(h, MacAddr([1, 0, 0x5e, 0, 0, 1]), &to([224, 0, 0, 1])))
        }
        DropReason::Broadcast => Dies(|h| to_mac(h, MacAddr::BROADCAST, &to([255; 4]))),
        DropReason::Martian => Dies(|h| h.pod_sends(NGINX, &to([127, 0, 0, 1]))),
        DropReason::ArpMalformed => Dies(|h| of_ethertype(h, EtherType::ARP)),
        DropReason::ArpSpoofed => {
            Dies(|h| arp(h, build::arp_request(pod_mac(NGINX), CLIENT, NGINX_MANUAL)))
        }
        DropReason::ArpProbe => {
            Dies(|h| arp(h, build::arp_request(pod_mac(NGINX), [0; 4].into(), NGINX)))
        }
        DropReason::ArpReply => Dies(|h| {
            arp(
                h,
                build::arp_reply((pod_mac(NGINX), NGINX), (GATEWAY_MAC, CLIENT)),
            )
        }),
        DropReason::UplinkNotTunnel => {
            Dies(|h| h.on_uplink(M02, &build::udp(OUTSIDE, node(M02), 1, 2, b"x")))
        }
        DropReason::DecapNotForUs => Dies(|h| {
            h.on_uplink(
                M02,
                &build::ipip(node(M03), [172, 16, 30, 99].into(), &inbound()),
            )
        }),
        DropReason::DecapUnknownNode => Dies(|h| {
            h.on_uplink(
                M02,
                &build::ipip([172, 16, 30, 99].into(), node(M02), &inbound()),
            )
        }),
        DropReason::DecapMalformed => Dies(|h| h.tunneled(M03, M02, &inbound()[..19])),
        DropReason::DecapNested => {
            Dies(|h| h.tunneled(M03, M02, &build::ipip(NGINX_MANUAL, NGINX, &inbound())))
        }
        DropReason::DecapSource => Dies(|h| h.tunneled(MINIKUBE, M02, &inbound())),
        DropReason::DecapEcn => Dies(decap_ecn),
        DropReason::ReassemblyFailed => Dies(reassembly_failed),
        DropReason::PathMtuForged => Dies(path_mtu_forged),
        DropReason::SpoofedMac => Dies(|h| {
            h.pod_sends_ethernet(
                NGINX,
                &build::ethernet(pod_mac(CLIENT), GATEWAY_MAC, &udp()),
            )
        }),
        DropReason::SpoofedSource => {
            Dies(|h| h.pod_sends(NGINX, &build::udp(CLIENT, NGINX_MANUAL, 1, 2, b"x")))
        }
        DropReason::WorkloadIpip => {
            Dies(|h| h.pod_sends(NGINX, &build::ipip(NGINX, node(M03), &udp())))
        }
        DropReason::WorkloadVxlan => {
            Dies(|h| h.pod_sends(NGINX, &build::udp(NGINX, node(M03), 1, 4789, b"x")))
        }
        DropReason::HostSpoofed => {
            Dies(|h| h.host_sends(M02, &build::udp(NGINX_MANUAL, NGINX, 1, 53, b"")))
        }
        DropReason::HostEcho => Dies(host_echo),
        DropReason::FragmentTiny => Dies(|h| h.pod_sends(NGINX, &fragment_of(&udp(), 0, 4))),
        DropReason::FragmentWithoutFirst => {
            Dies(|h| h.pod_sends(NGINX, &fragment_of(&udp(), 8, 8)))
        }
        DropReason::TcpFlags => Dies(|h| {
            h.pod_sends(
                NGINX,
                &build::tcp(
                    NGINX,
                    NGINX_MANUAL,
                    1,
                    2,
                    TcpFlags::SYN | TcpFlags::FIN,
                    0,
                    b"",
                ),
            )
        }),
        DropReason::IcmpUnrelated => Dies(|h| {
            h.pod_sends(
                NGINX,
                &build::icmp_error(NGINX, Message::PortUnreachable, &inbound()),
            )
        }),
        DropReason::ConntrackFull => Dies(conntrack_full),
        DropReason::PolicyEgress => Dies(|h| denied(h, "Egress")),
        DropReason::PolicyIngress => Dies(|h| denied(h, "Ingress")),
        DropReason::NoWorkload => Dies(|h| h.pod_sends(NGINX, &to([10, 244, 205, 250]))),
        DropReason::NoRoute => Dies(|h| h.pod_sends(NGINX, &to([10, 244, 7, 7]))),
        DropReason::GatewayAddress => Dies(|h| h.pod_sends(NGINX, &to([169, 254, 1, 1]))),
        DropReason::NoPort => {
            Dies(|h| h.put(M02, dataplane::PortId(77), Frame::from_packet(&udp())))
        }
        DropReason::TtlExceeded => {
            Dies(|h| h.pod_sends(NGINX, &build::with_header(&udp(), |ip| ip.ttl = 1)))
        }
        DropReason::FragmentationNeeded => {
            Dies(|h| h.pod_sends(NGINX, &build::udp(NGINX, NGINX_MANUAL, 1, 2, &[0; 1453])))
        }
        DropReason::FragmentFailed => Dies(|h| too_big_to_cut(h, 27, usize::MAX)),
        DropReason::NoBuffer => Dies(|h| too_big_to_cut(h, 100, 3)),
        DropReason::UnresolvedNextHop => Dies(unresolved_plain_peer),
        DropReason::BandwidthExceeded => AtTheWorker,
        DropReason::DeviceFull => AtTheWorker,
        DropReason::KernelQueueFull => AtTheWorker,
        DropReason::DeviceError => AtTheWorker,
        DropReason::HandOffFull => AtTheWorker,
    }
}

/// Where the reasons that only a worker can give are shown.
const WORKER_TESTS: &str = concat!(
    include_str!("../../src/worker/thread/tests.rs"),
    include_str!("../../src/worker/outbox/tests.rs")
);

#[test]
fn every_drop_reason_has_a_frame_that_dies_of_it() {
    for row in DropReason::TABLE {
        let dies = match proof(row.reason) {
            Dies(dies) => dies,
            AtTheWorker => {
                let name = format!("DropReason::{:?}", row.reason);
                assert!(WORKER_TESTS.contains(&name), "no worker test shows {name}");
                continue;
            }
        };
        let mut house = House::walk_through();
        let outcome = dies(&mut house);
        let [(node, reason)] = outcome.dropped[..] else {
            panic!("{}: expected one drop, found {outcome:?}", row.label);
        };
        assert_eq!(reason, row.reason, "{outcome:?}");
        assert_eq!(house.nodes[node].dropped(reason), 1);
    }
}

#[test]
fn the_row_says_whether_the_sender_is_told() {
    for row in DropReason::TABLE {
        let Dies(dies) = proof(row.reason) else {
            continue;
        };
        let mut house = House::walk_through();
        house.settings.reply = policy::model::Reply::Reject;
        let outcome = dies(&mut house);
        // What has no port to answer by is not answered, whatever the row says.
        let told = format!("{:?}", row.answer) != "Silence" && row.reason != DropReason::NoPort;
        let errors = outcome.at(Place::Pod(NGINX));
        let errors = errors
            .iter()
            .filter(|packet| header(packet).protocol == Protocol::ICMP);
        assert_eq!(
            errors.count(),
            usize::from(told),
            "{}: {outcome:?}",
            row.label
        );
    }
}

fn udp() -> Vec<u8> {
    build::udp(NGINX, NGINX_MANUAL, 4000, 80, &[0; 64])
}

fn inbound() -> Vec<u8> {
    build::udp(
        NGINX_MANUAL,
        NGINX,
        4000,
        80,
        b"a datagram of the other node's pod",
    )
}

fn to(destination: [u8; 4]) -> Vec<u8> {
    build::udp(NGINX, destination.into(), 4000, 80, b"x")
}

fn node(index: usize) -> std::net::Ipv4Addr {
    walk_through()[index].address
}

fn arp(house: &mut House, frame: Vec<u8>) -> Outcome {
    house.pod_sends_ethernet(NGINX, &frame)
}

fn to_mac(house: &mut House, dst: MacAddr, packet: &[u8]) -> Outcome {
    house.pod_sends_ethernet(NGINX, &build::ethernet(pod_mac(NGINX), dst, packet))
}

fn of_ethertype(house: &mut House, ethertype: EtherType) -> Outcome {
    let frame = build::ethernet_of(pod_mac(NGINX), GATEWAY_MAC, ethertype, &udp());
    house.pod_sends_ethernet(NGINX, &frame)
}

fn edited(house: &mut House, edit: fn(&mut Vec<u8>)) -> Outcome {
    let mut packet = udp();
    edit(&mut packet);
    house.pod_sends(NGINX, &packet)
}

fn source_route(house: &mut House) -> Outcome {
    house.pod_sends(
        NGINX,
        &build::with_options(&udp(), &[131, 7, 4, 8, 8, 8, 8]),
    )
}

/// The device is asked to write a checksum over the destination address.
fn offload_forged(house: &mut House) -> Outcome {
    let mut frame = Frame::from_packet(&udp());
    let checksum = Checksum::Partial {
        start: 0,
        offset: 16,
    };
    frame.offload = Offload {
        checksum,
        gso: None,
    };
    house.pod_sends_offloaded(NGINX, frame)
}

fn decap_ecn(house: &mut House) -> Outcome {
    let packet = build::ipip(node(M03), node(M02), &inbound());
    house.on_uplink(M02, &build::with_header(&packet, |outer| outer.tos = 0b11))
}

/// A first fragment whose length is no multiple of 8.
fn reassembly_failed(house: &mut House) -> Outcome {
    let packet = build::ipip(node(M03), node(M02), &inbound());
    house.on_uplink(
        M02,
        &build::with_header(&packet[..50], |outer| {
            outer.more_fragments = true;
            outer.total_len = 50;
        }),
    )
}

fn path_mtu_forged(house: &mut House) -> Outcome {
    let never_sent = build::udp(node(M02), node(M03), 1, 2, b"x");
    let message = Message::FragmentationNeeded { next_hop_mtu: 1400 };
    house.on_uplink(M02, &build::icmp_error(ROUTER, message, &never_sent))
}

/// The kernel forwards what the uplink port has taken already.
fn host_echo(house: &mut House) -> Outcome {
    house.edit(M02, |description| {
        for peer in &mut description.peers {
            peer.plain_blocks = std::mem::take(&mut peer.tunneled_blocks);
        }
    });
    house.host_sends(M02, &inbound())
}

/// `len` bytes of the packet's payload, from `offset` on, as a fragment.
fn fragment_of(packet: &[u8], offset: u16, len: usize) -> Vec<u8> {
    let from = ipv4::HEADER_LEN + usize::from(offset);
    let bytes = [&packet[..ipv4::HEADER_LEN], &packet[from..from + len]].concat();
    build::with_header(&bytes, |ip| {
        ip.dont_fragment = false;
        ip.more_fragments = true;
        ip.fragment_offset_bytes = offset;
        ip.total_len = ipv4::HEADER_LEN + len;
    })
}

/// Only tunnel packets can be given to the kernel: plain ones would come back.
fn unresolved_plain_peer(house: &mut House) -> Outcome {
    house.edit(M02, |description| {
        for peer in &mut description.peers {
            peer.plain_blocks = std::mem::take(&mut peer.tunneled_blocks);
            peer.next_hop_mac = None;
        }
    });
    house.pod_sends(NGINX, &udp())
}

fn conntrack_full(house: &mut House) -> Outcome {
    house.nodes[M02].start(1, 1, house.now);
    let open = build::tcp(NGINX, CLIENT, 1, 80, TcpFlags::ACK, 0, b"");
    house.pod_sends(NGINX, &open).only_at_pod(CLIENT);
    let answer = build::tcp(CLIENT, NGINX, 80, 1, TcpFlags::ACK, 0, b"");
    house.pod_sends(CLIENT, &answer).only_at_pod(NGINX);
    house.pod_sends(
        NGINX,
        &build::tcp(NGINX, CLIENT, 2, 80, TcpFlags::SYN, 0, b""),
    )
}

fn denied(house: &mut House, direction: &str) -> Outcome {
    house.policy(&deny_all(direction));
    house.pod_sends(NGINX, &udp())
}

/// A packet without DF toward a pod behind a link that carries `mtu` bytes,
/// with so many spare frames for its pieces.
fn too_big_to_cut(house: &mut House, mtu: u16, spare: usize) -> Outcome {
    house.spare_frames = spare;
    house.edit(M02, |description| {
        let mut peers = description.peers.iter_mut();
        let peer = peers.find(|peer| peer.name == "minikube-m03").unwrap();
        peer.path_mtu_bytes = Some(mtu + ipip::OVERHEAD as u16);
    });
    house.underlay.loss = Some(Box::new(|_| true));
    let packet = build::udp(NGINX, NGINX_MANUAL, 1, 2, &[0; 400]);
    house.pod_sends(
        NGINX,
        &build::with_header(&packet, |ip| ip.dont_fragment = false),
    )
}
