//! The kernel's choice of a fan-out member is `packet::flow::fanout_hash` modulo the number of members, so both
//! directions of a flow meet at one worker whatever they travel in.
#![forbid(unsafe_code)]

mod common;

use std::net::Ipv4Addr;

use common::{frames, namespace, receive_waiting, send_all};
use packet::flow::{fanout_hash, symmetric_hash};
use packet::transport::TcpFlags;
use packet::{EtherType, Frame, MacAddr, Protocol, build};
use port::{Fanout, Filter, Link, PacketConfig, PacketPort, PortIo};

const MEMBERS: u16 = 3;

fn open(interface: &str, fanout: Option<Fanout>) -> PacketPort {
    let config = PacketConfig {
        interface,
        filter: Filter::Everything,
        behind_tc: false,
        fanout,
        qdisc_bypass: false,
        encapsulator: None,
        batch: 64,
    };
    PacketPort::open(&config).expect("a packet port")
}

fn open_members(interface: &str, group: u16) -> Vec<PacketPort> {
    (0..MEMBERS)
        .map(|_| {
            open(
                interface,
                Some(Fanout {
                    group,
                    members: MEMBERS,
                }),
            )
        })
        .collect()
}

/// Sends the packets, one at a time, and returns the member that received each.
fn chosen(sender: &mut PacketPort, members: &mut [PacketPort], packets: &[Vec<u8>]) -> Vec<usize> {
    let mut members_chosen = Vec::new();
    for packet in packets {
        let frame = frames::on(Link::Ethernet, Frame::from_packet(packet));
        send_all(sender, std::slice::from_ref(&frame));
        let got: Vec<usize> = (0..members.len())
            .flat_map(|member| {
                receive_waiting(&mut members[member])
                    .into_iter()
                    .map(move |f| (member, f))
            })
            .inspect(|(_, received)| assert_eq!(received.packet(), frame.packet()))
            .map(|(member, _)| member)
            .collect();
        assert_eq!(
            got.len(),
            1,
            "each frame has exactly one receiver: {packet:02x?}"
        );
        members_chosen.extend(got);
    }
    members_chosen
}

/// Packets of flow `n`, in the direction `forth` or back.
fn flow(n: u16, forth: bool) -> Vec<Vec<u8>> {
    let pod = Ipv4Addr::new(10, 244, (n >> 6) as u8, 193 ^ (n & 0x3f) as u8);
    let (a, b) = (
        (pod, 30_000 + n.wrapping_mul(7)),
        (frames::OTHER_POD, 53 + n % 5),
    );
    let ((src, sport), (dst, dport)) = if forth { (a, b) } else { (b, a) };
    let flags = TcpFlags::ACK;
    vec![
        build::udp(src, dst, sport, dport, b"question"),
        build::tcp(src, dst, sport, dport, flags, 1, b"stream"),
        build::sctp(src, dst, sport, dport, 9, (0, b"chunk")),
        build::icmp_echo(src, dst, n, 1, b"ping"),
        build::ipv4(src, dst, Protocol(47), &[0, 0, 8, 0, 1, 2, 3, 4]),
    ]
}

/// In IPIP, between nodes that have nothing to do with the flow's hash.
fn tunnelled(packets: &[Vec<u8>], forth: bool) -> Vec<Vec<u8>> {
    let (src, dst) = if forth {
        (frames::NODE, frames::OTHER_NODE)
    } else {
        (frames::OTHER_NODE, frames::NODE)
    };
    packets
        .iter()
        .map(|packet| build::ipip(src, dst, packet))
        .collect()
}

fn with_options(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    // Router alert, RFC 2113: the kernel does not care, and the header is 24 bytes long.
    packets
        .iter()
        .map(|packet| build::with_options(packet, &[148, 4, 0, 0]))
        .collect()
}

#[test]
fn both_directions_of_every_flow_meet_at_the_member_the_hash_names() {
    namespace::alone(
        "both_directions_of_every_flow_meet_at_the_member_the_hash_names",
        || {
            namespace::veth("outside", "inside");
            let mut sender = open("outside", None);
            let mut members = open_members("inside", 11);
            let mut load = [0; MEMBERS as usize];
            for n in 0..60 {
                let [forth, back] = [flow(n, true), flow(n, false)];
                let expected: Vec<usize> = forth
                    .iter()
                    .map(|p| (fanout_hash(p) % u32::from(MEMBERS)) as usize)
                    .collect();
                expected.iter().for_each(|&member| load[member] += 1);
                let variants = [
                    ("forth", forth.clone()),
                    ("back", back.clone()),
                    ("forth in IPIP", tunnelled(&forth, true)),
                    ("back in IPIP", tunnelled(&back, false)),
                    ("with options", with_options(&forth)),
                    (
                        "with options in IPIP",
                        tunnelled(&with_options(&back), false),
                    ),
                    (
                        "in IPIP with options",
                        with_options(&tunnelled(&forth, true)),
                    ),
                ];
                for (what, packets) in variants {
                    assert_eq!(
                        chosen(&mut sender, &mut members, &packets),
                        expected,
                        "flow {n} {what}"
                    );
                }
            }
            assert!(
                load.iter().all(|&flows| flows > 60),
                "300 flows are spread: {load:?}"
            );
        },
    );
}

#[test]
fn fragments_are_hashed_by_their_addresses_alone() {
    namespace::alone("fragments_are_hashed_by_their_addresses_alone", || {
        namespace::veth("outside", "inside");
        let mut sender = open("outside", None);
        let mut members = open_members("inside", 12);
        for n in 0..40 {
            for packet in flow(n, n % 2 == 0) {
                let first = build::with_header(&packet, |header| header.more_fragments = true);
                let last =
                    build::with_header(&packet, |header| header.fragment_offset_bytes = 1480);
                let header = packet::ipv4::Header::parse(&packet).expect("a packet");
                let hash = symmetric_hash(header.src.to_bits(), header.dst.to_bits(), 0);
                let member = (hash % u32::from(MEMBERS)) as usize;
                let plain = [first, last];
                let inside = tunnelled(&plain, true);
                assert_eq!(
                    chosen(&mut sender, &mut members, &plain),
                    [member; 2],
                    "plain fragments"
                );
                assert_eq!(
                    chosen(&mut sender, &mut members, &inside),
                    [member; 2],
                    "fragments in IPIP"
                );
                for packet in plain.iter().chain(&inside) {
                    assert_eq!(fanout_hash(packet), hash);
                }
            }
        }
    });
}

#[test]
fn fragments_of_an_ipip_packet_stay_together() {
    namespace::alone("fragments_of_an_ipip_packet_stay_together", || {
        namespace::veth("outside", "inside");
        let mut sender = open("outside", None);
        let mut members = open_members("inside", 13);
        let hash = symmetric_hash(frames::NODE.to_bits(), frames::OTHER_NODE.to_bits(), 0);
        let member = (hash % u32::from(MEMBERS)) as usize;
        for n in 0..20 {
            for packet in tunnelled(&flow(n, true), true) {
                let first = build::with_header(&packet, |header| header.more_fragments = true);
                let last =
                    build::with_header(&packet, |header| header.fragment_offset_bytes = 1480);
                assert_eq!(
                    chosen(&mut sender, &mut members, &[first, last]),
                    [member; 2]
                );
            }
        }
    });
}

#[test]
fn what_is_not_ipv4_goes_to_the_first_member() {
    namespace::alone("what_is_not_ipv4_goes_to_the_first_member", || {
        namespace::veth("outside", "inside");
        let mut sender = open("outside", None);
        let mut members = open_members("inside", 14);
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        let arp = build::arp_request(mac, frames::POD, Ipv4Addr::new(169, 254, 1, 1));
        let six = build::ethernet_of(mac, MacAddr::BROADCAST, EtherType::IPV6, &[0x60; 60]);
        let short = build::ethernet(mac, MacAddr::BROADCAST, &[0x45, 0, 0, 20]);
        send_all(
            &mut sender,
            &[arp, six, short].map(|bytes| Frame::from_ethernet(&bytes)),
        );
        assert_eq!(common::receive(&mut members[0], 3).len(), 3);
    });
}

#[test]
fn members_keep_their_numbers_when_the_interface_goes_down_and_up() {
    namespace::alone(
        "members_keep_their_numbers_when_the_interface_goes_down_and_up",
        || {
            namespace::veth("outside", "inside");
            let mut sender = open("outside", None);
            let mut members = open_members("inside", 15);
            let packets: Vec<Vec<u8>> = (0..30).map(|n| flow(n, true).remove(0)).collect();
            let before = chosen(&mut sender, &mut members, &packets);
            namespace::run("ip link set inside down");
            for member in &mut members {
                let error = member
                    .rx_batch(&mut [Frame::new()])
                    .expect_err("told that the interface is down");
                assert_eq!(error.raw_os_error(), Some(libc::ENETDOWN), "{error}");
                assert_eq!(member.rx_batch(&mut [Frame::new()]).expect("told once"), 0);
            }
            namespace::run("ip link set inside up");
            namespace::running("outside");
            // The sender's carrier went away with its peer; it is told, and told once.
            let _ = sender.rx_batch(&mut [Frame::new()]);
            assert_eq!(chosen(&mut sender, &mut members, &packets), before);
        },
    );
}
