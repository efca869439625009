//! What a packet port promises beyond the conformance suite: tags, filters, cutting, counting, and interfaces that go.
#![forbid(unsafe_code)]

mod common;

use std::net::Ipv4Addr;
use std::slice;

use common::{frames, namespace, receive, receive_waiting, send_all};
use packet::ipip::{self, Outer};
use packet::offload::{Checksum, GsoKind};
use packet::{EtherType, Frame, MacAddr, Protocol, build, checksum, ethernet, icmpv4, ipv4};
use port::{Error, Filter, Link, PacketConfig, PacketPort, PortIo};

fn open(interface: &str, filter: Filter) -> PacketPort {
    let config = PacketConfig {
        interface,
        filter,
        behind_tc: false,
        fanout: None,
        qdisc_bypass: true,
        encapsulator: None,
        batch: 64,
    };
    PacketPort::open(&config).expect("a packet port")
}

fn veth_ports() -> [PacketPort; 2] {
    namespace::veth("left", "right");
    [
        open("left", Filter::Everything),
        open("right", Filter::Everything),
    ]
}

fn encapsulated(mut frame: Frame) -> Frame {
    ipip::encapsulate(
        &mut frame,
        Outer {
            src: frames::NODE,
            dst: frames::OTHER_NODE,
            identification: 0x1234,
        },
    );
    frames::on(Link::Ethernet, frame)
}

/// The L4 payload of every received segment, each checked: headers' checksums, lengths, and the L4 checksum once
/// the device's part of it is done.
fn payloads(received: Vec<Frame>, l4_len: usize) -> Vec<Vec<u8>> {
    let check = |mut frame: Frame| {
        assert_eq!(frame.offload.gso, None);
        frame.finish_checksum();
        let outer = ipv4::Header::parse(frame.packet()).expect("a good outer header");
        assert_eq!(
            (outer.protocol, outer.total_len),
            (Protocol::IPIP, frame.packet_len())
        );
        let packet = outer.payload(frame.packet());
        let inner = ipv4::Header::parse(packet).expect("a good inner header");
        let l4 = inner.payload(packet);
        let pseudo = checksum::pseudo_header(inner.src, inner.dst, inner.protocol, l4.len());
        assert_eq!(pseudo.bytes(l4).checksum(), 0, "the L4 checksum is good");
        l4[l4_len..].to_vec()
    };
    received.into_iter().map(check).collect()
}

#[test]
fn a_tcp_super_segment_in_ipip_arrives_as_its_segments() {
    namespace::alone(
        "a_tcp_super_segment_in_ipip_arrives_as_its_segments",
        || {
            let [mut left, mut right] = veth_ports();
            let packet = frames::tcp_packet(60_000);
            let small = frames::on(Link::Ethernet, frames::udp(1, 40));
            let cut = encapsulated(build::super_segment(&packet, 1440));
            assert_eq!(
                left.tx_batch(&[small.clone(), cut, small.clone()])
                    .expect("send"),
                3
            );
            let mut received = receive(&mut right, 2 + 60_000_usize.div_ceil(1440));
            assert_eq!(
                received.remove(0).bytes(),
                small.bytes(),
                "in order: before ..."
            );
            assert_eq!(
                received.pop().expect("the last").bytes(),
                small.bytes(),
                "... and after"
            );
            let payloads = payloads(received, 20);
            assert!(payloads[..41].iter().all(|payload| payload.len() == 1440));
            assert_eq!(
                payloads.concat(),
                &packet[40..],
                "the stream is whole and in order"
            );
            assert_eq!(left.losses().segments, 0);
        },
    );
}

#[test]
fn a_udp_super_segment_in_ipip_arrives_as_its_segments() {
    namespace::alone(
        "a_udp_super_segment_in_ipip_arrives_as_its_segments",
        || {
            let [mut left, mut right] = veth_ports();
            let frame = frames::udp(5, 10_000);
            let packet = frame.packet().to_vec();
            send_all(
                &mut left,
                &[encapsulated(build::super_segment(&packet, 1200))],
            );
            let payloads = payloads(receive(&mut right, 9), 8);
            assert_eq!(payloads.concat(), &packet[28..]);
            assert_eq!(payloads.len(), 9);
        },
    );
}

#[test]
fn a_plain_udp_super_segment_crosses_whole_or_is_cut() {
    namespace::alone("a_plain_udp_super_segment_crosses_whole_or_is_cut", || {
        let [mut left, mut right] = veth_ports();
        let whole = frames::on(
            Link::Ethernet,
            build::super_segment(frames::udp(5, 10_000).packet(), 1200),
        );
        send_all(&mut left, slice::from_ref(&whole));
        let received = receive(&mut right, 1);
        match received[0].offload.gso {
            Some(gso) => assert_eq!((gso.kind, &received[0]), (GsoKind::UdpL4, &whole)),
            // A kernel before 6.2: the port has learned and cut it.
            None => assert_eq!(received[0].packet_len(), 1228),
        }
    });
}

#[test]
fn super_segments_in_ipip_wait_for_a_slow_device_and_lose_nothing() {
    let name = "super_segments_in_ipip_wait_for_a_slow_device_and_lose_nothing";
    namespace::alone(name, || {
        namespace::veth("left", "right");
        namespace::run("tc qdisc add dev left root tbf rate 60mbit burst 70000 limit 100000000");
        let config = PacketConfig {
            interface: "left",
            filter: Filter::Everything,
            behind_tc: false,
            fanout: None,
            qdisc_bypass: false,
            encapsulator: None,
            batch: 16,
        };
        let mut left = PacketPort::open(&config).expect("a packet port");
        let mut right = open("right", Filter::Everything);
        let frame = encapsulated(build::super_segment(&frames::tcp_packet(60_000), 1440));
        let (mut taken, mut full, mut arrived) = (0, 0, 0);
        while taken < 100 {
            match left.tx_batch(slice::from_ref(&frame)).expect("send") {
                0 => full += 1,
                more => taken += more,
            }
            arrived += receive_waiting_count(&mut right);
        }
        while arrived < 100 * 42 {
            assert!(
                common::wait(&right, common::PATIENCE),
                "{arrived} segments arrived"
            );
            arrived += receive_waiting_count(&mut right);
        }
        assert!(full > 0, "the device was full at times");
        assert_eq!(
            (arrived, left.losses().segments, right.kernel_drops()),
            (100 * 42, 0, 0)
        );
    });
}

#[test]
fn a_tagged_frame_arrives_with_its_tag() {
    namespace::alone("a_tagged_frame_arrives_with_its_tag", || {
        let [mut left, mut right] = veth_ports();
        let inner = frames::on(Link::Ethernet, frames::udp(1, 40));
        let mut tagged = inner.bytes()[..12].to_vec();
        tagged.extend([0x81, 0x00, 0x20, 0x07]);
        tagged.extend(&inner.bytes()[12..]);
        send_all(&mut left, &[Frame::from_ethernet(&tagged), inner.clone()]);
        let received = receive(&mut right, 2);
        assert_eq!(received[0].bytes(), tagged);
        let header = ethernet::Header::parse(received[0].bytes()).expect("a header");
        assert_eq!(header.ethertype, EtherType::VLAN);
        assert_eq!(received[1].bytes(), inner.bytes());
    });
}

/// Ethernet frames to `mac`: what an uplink may see, and whether it is ours.
fn underlay_traffic(mac: MacAddr) -> Vec<(&'static str, Vec<u8>, bool)> {
    let src = MacAddr([2, 0, 0, 0, 0, 9]);
    let to_us = |packet: &[u8]| build::ethernet(src, mac, packet);
    let (node, peer) = (frames::NODE, frames::OTHER_NODE);
    let echo = build::icmp_echo(frames::POD, frames::OTHER_POD, 1, 1, b"ping");
    let tunnelled = build::ipip(peer, node, &echo);
    let too_big = icmpv4::Message::FragmentationNeeded { next_hop_mtu: 1400 };
    let about =
        |message, packet: &[u8]| build::icmp_error(Ipv4Addr::new(172, 16, 30, 1), message, packet);
    let udp = build::udp(peer, node, 1, 2, b"host's own");
    let mut tagged = to_us(&tunnelled);
    tagged.splice(12..12, [0x81, 0, 0, 5]);
    vec![
        ("IPIP", to_us(&tunnelled), true),
        (
            "IPIP with options",
            to_us(&build::with_options(&tunnelled, &[148, 4, 0, 0])),
            true,
        ),
        (
            "fragmentation needed about IPIP",
            to_us(&about(too_big, &tunnelled)),
            true,
        ),
        (
            "host unreachable about IPIP",
            to_us(&about(icmpv4::Message::HostUnreachable, &tunnelled)),
            false,
        ),
        (
            "fragmentation needed about the host's own",
            to_us(&about(too_big, &udp)),
            false,
        ),
        ("the host's own", to_us(&udp), false),
        (
            "an echo request",
            to_us(&build::icmp_echo(peer, node, 1, 1, b"ping")),
            false,
        ),
        (
            "IPIP to another MAC",
            build::ethernet(src, MacAddr([2, 0, 0, 0, 0, 7]), &tunnelled),
            false,
        ),
        ("tagged IPIP", tagged, false),
        ("ARP", build::arp_request(src, peer, node), false),
    ]
}

fn mac_of(interface: &str) -> MacAddr {
    let text = namespace::run(&format!("ip -o link show {interface}"));
    let mut words = text
        .split_whitespace()
        .skip_while(|word| *word != "link/ether");
    words
        .nth(1)
        .expect("a MAC address")
        .parse()
        .expect("a MAC address")
}

#[test]
fn an_uplink_sees_ipip_and_fragmentation_needed_about_it_and_nothing_else() {
    namespace::alone(
        "an_uplink_sees_ipip_and_fragmentation_needed_about_it_and_nothing_else",
        || {
            let [mut left, mut right] = veth_ports();
            let mut uplink = open("right", Filter::Uplink);
            for (what, bytes, ours) in underlay_traffic(mac_of("right")) {
                send_all(&mut left, &[Frame::from_ethernet(&bytes)]);
                assert_eq!(receive(&mut right, 1).len(), 1, "{what} is on the wire");
                let seen = receive_waiting(&mut uplink);
                assert_eq!(seen.len(), usize::from(ours), "{what}");
                assert!(seen.iter().all(|frame| frame.bytes() == bytes), "{what}");
            }
        },
    );
}

#[test]
fn an_uplink_receives_fragmented_ipip_in_one_piece() {
    namespace::alone("an_uplink_receives_fragmented_ipip_in_one_piece", || {
        let [mut left, _right] = veth_ports();
        let mut uplink = open("right", Filter::Uplink);
        let inner = frames::udp(3, 2000);
        let packet = build::with_header(
            &build::ipip(frames::OTHER_NODE, frames::NODE, inner.packet()),
            |header| {
                header.dont_fragment = false;
                header.identification = 99;
            },
        );
        let (src, dst) = (MacAddr([2, 0, 0, 0, 0, 9]), mac_of("right"));
        let fragment = |from: usize, to: usize, more| {
            let header = build::with_header(&packet[..20], |header| {
                header.more_fragments = more;
                header.fragment_offset_bytes = from as u16;
                header.total_len = 20 + to - from;
            });
            let bytes = [header.as_slice(), &packet[20 + from..20 + to]].concat();
            Frame::from_ethernet(&build::ethernet(src, dst, &bytes))
        };
        let end = packet.len() - 20;
        send_all(
            &mut left,
            &[fragment(1400, end, false), fragment(0, 1400, true)],
        );
        let received = receive(&mut uplink, 1);
        let header = ipv4::Header::parse(received[0].packet()).expect("a packet");
        assert!(!header.is_fragment());
        assert_eq!(header.payload(received[0].packet()), inner.packet());
    });
}

#[test]
fn an_uplink_without_encapsulation_also_sees_packets_to_its_blocks() {
    namespace::alone(
        "an_uplink_without_encapsulation_also_sees_packets_to_its_blocks",
        || {
            let [mut left, _right] = veth_ports();
            let block = vec![
                (Ipv4Addr::new(10, 244, 151, 0), 26),
                (Ipv4Addr::new(10, 9, 0, 0), 16),
            ];
            let mut uplink = open("right", Filter::UplinkPlain { block });
            let mac = mac_of("right");
            let mut traffic = underlay_traffic(mac);
            let src = MacAddr([2, 0, 0, 0, 0, 9]);
            for (to, ours) in [
                ("10.244.151.1", true),
                ("10.244.151.64", false),
                ("10.9.255.255", true),
                ("10.10.0.0", false),
            ] {
                let udp = build::udp(frames::POD, to.parse().expect("an address"), 1, 2, b"plain");
                traffic.push((to, build::ethernet(src, mac, &udp), ours));
            }
            let echo = build::icmp_echo(frames::POD, frames::OTHER_POD, 1, 1, b"ping");
            traffic.push((
                "an echo request to a pod",
                build::ethernet(src, mac, &echo),
                true,
            ));
            for (what, bytes, ours) in traffic {
                send_all(&mut left, &[Frame::from_ethernet(&bytes)]);
                assert_eq!(
                    receive_waiting(&mut uplink).len(),
                    usize::from(ours),
                    "{what}"
                );
            }
        },
    );
}

#[test]
fn frames_sent_by_the_host_are_not_received() {
    namespace::alone("frames_sent_by_the_host_are_not_received", || {
        let [mut left, mut right] = veth_ports();
        let mut bystander = open("left", Filter::Everything);
        let member = port::Fanout {
            group: 3,
            members: 1,
        };
        let config = PacketConfig {
            interface: "left",
            filter: Filter::Everything,
            behind_tc: false,
            fanout: Some(member),
            qdisc_bypass: false,
            encapsulator: None,
            batch: 8,
        };
        let mut in_fanout = PacketPort::open(&config).expect("a packet port");
        let mut through_the_stack = PacketPort::open(&PacketConfig {
            fanout: None,
            ..config
        })
        .expect("a packet port");
        let frame = frames::on(Link::Ethernet, frames::udp(1, 40));
        send_all(&mut left, slice::from_ref(&frame));
        send_all(&mut through_the_stack, slice::from_ref(&frame));
        assert_eq!(receive(&mut right, 2).len(), 2);
        for port in [
            &mut left,
            &mut bystander,
            &mut in_fanout,
            &mut through_the_stack,
        ] {
            assert_eq!(receive_waiting(port), []);
        }
    });
}

/// What a port behind tc does not hear, another one does: together every frame once. The tag of a VLAN that the host does
/// not have is lost behind tc, so such a frame is heard twice where no program refuses it.
#[test]
fn behind_tc_ipv4_is_heard_and_by_another_port_all_else() {
    namespace::alone(
        "behind_tc_ipv4_is_heard_and_by_another_port_all_else",
        || {
            namespace::veth("left", "right");
            let mut left = open("left", Filter::Everything);
            let ipv4 = frames::on(Link::Ethernet, frames::udp(1, 40));
            let [mut arp, mut ipv6] = [ipv4.bytes().to_vec(), ipv4.bytes().to_vec()];
            arp[12..14].copy_from_slice(&[0x08, 0x06]);
            ipv6[12..14].copy_from_slice(&[0x86, 0xdd]);
            let tagged = [&ipv4.bytes()[..12], &[0x81, 0, 0, 5], &ipv4.bytes()[12..]].concat();
            let behind = PacketConfig {
                interface: "right",
                filter: Filter::Everything,
                behind_tc: true,
                fanout: Some(port::Fanout {
                    group: 1,
                    members: 1,
                }),
                qdisc_bypass: false,
                encapsulator: None,
                batch: 8,
            };
            let mut behind = PacketPort::open(&behind).expect("a packet port");
            let mut beside = open("right", Filter::NotIpv4);
            let others = [arp, ipv6, tagged.clone()].map(|bytes| Frame::from_ethernet(&bytes));
            send_all(&mut left, slice::from_ref(&ipv4));
            send_all(&mut left, &others);
            let heard = receive(&mut beside, 3);
            assert!(
                heard
                    .iter()
                    .map(Frame::bytes)
                    .eq(others.iter().map(Frame::bytes))
            );
            let heard = receive(&mut behind, 2);
            assert_eq!(heard[0].bytes(), ipv4.bytes());
            assert_eq!(heard[1].bytes(), ipv4.bytes(), "it has lost its tag");
            // What they send themselves, neither hears.
            send_all(&mut behind, slice::from_ref(&ipv4));
            assert_eq!(receive(&mut left, 1)[0].bytes(), ipv4.bytes());
            assert_eq!(receive_waiting(&mut behind), []);
            assert_eq!(receive_waiting(&mut beside), []);
        },
    );
}

#[test]
fn what_the_kernel_drops_for_want_of_room_is_counted() {
    namespace::alone("what_the_kernel_drops_for_want_of_room_is_counted", || {
        let [mut left, mut right] = veth_ports();
        let frame = frames::on(
            Link::Ethernet,
            build::super_segment(&frames::tcp_packet(60_000), 1440),
        );
        let batch = vec![frame; 50];
        for _ in 0..20 {
            send_all(&mut left, &batch);
        }
        let received = receive_waiting_count(&mut right);
        // Only the machine's own root may pass net.core.rmem_max.
        let least = if namespace::in_user_namespace() {
            1
        } else {
            180
        };
        assert!(
            received >= least,
            "expected a burst of {least} to fit, found {received}"
        );
        assert_eq!(right.kernel_drops() + received, 1000);
        assert_eq!(right.kernel_drops() + received, 1000, "the count stays");
    });
}

fn receive_waiting_count(port: &mut PacketPort) -> u64 {
    let mut frames: Vec<Frame> = (0..8).map(|_| Frame::new()).collect();
    let mut count = 0;
    loop {
        match port.rx_batch(&mut frames).expect("receive") {
            0 => return count,
            more => count += more as u64,
        }
    }
}

#[test]
fn a_port_survives_its_interface_going_down_and_says_when_it_is_gone() {
    namespace::alone(
        "a_port_survives_its_interface_going_down_and_says_when_it_is_gone",
        || {
            let [mut left, mut right] = veth_ports();
            let frame = frames::on(Link::Ethernet, frames::udp(1, 40));
            namespace::run("ip link set left down");
            let errno =
                |result: std::io::Result<usize>| result.expect_err("an error").raw_os_error();
            assert_eq!(
                errno(left.rx_batch(&mut [Frame::new()])),
                Some(libc::ENETDOWN)
            );
            assert_eq!(left.rx_batch(&mut [Frame::new()]).expect("told once"), 0);
            assert_eq!(
                errno(left.tx_batch(slice::from_ref(&frame))),
                Some(libc::ENETDOWN)
            );
            namespace::run("ip link set left up");
            namespace::running("left");
            send_all(&mut left, slice::from_ref(&frame));
            assert_eq!(receive(&mut right, 1)[0].bytes(), frame.bytes());
            namespace::run("ip link del left");
            assert_eq!(
                errno(left.rx_batch(&mut [Frame::new()])),
                Some(libc::ENETDOWN)
            );
            assert_eq!(
                errno(left.tx_batch(slice::from_ref(&frame))),
                Some(libc::ENXIO)
            );
            assert!(left.refresh_mtu().is_err());
        },
    );
}

#[test]
fn a_changed_mtu_is_seen_when_asked_for() {
    namespace::alone("a_changed_mtu_is_seen_when_asked_for", || {
        let [mut left, _right] = veth_ports();
        namespace::run("ip link set left mtu 9000");
        assert_eq!(left.mtu_bytes(), 1500);
        assert_eq!(left.refresh_mtu().expect("the MTU"), 9000);
        assert_eq!(left.mtu_bytes(), 9000);
    });
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let config = PacketConfig {
        interface: "nosuch0",
        filter: Filter::Everything,
        behind_tc: false,
        fanout: None,
        qdisc_bypass: false,
        encapsulator: None,
        batch: 1,
    };
    let error = PacketPort::open(&config).err().expect("an error");
    assert!(matches!(error, Error::Interface { .. }));
    assert_eq!(
        error.to_string(),
        "interface nosuch0: No such device (os error 19)"
    );
}

#[test]
fn a_frame_with_a_partial_checksum_in_ipip_keeps_it_partial() {
    namespace::alone(
        "a_frame_with_a_partial_checksum_in_ipip_keeps_it_partial",
        || {
            let [mut left, mut right] = veth_ports();
            let frame = encapsulated(build::with_partial_checksum(&frames::tcp_packet(500)));
            send_all(&mut left, slice::from_ref(&frame));
            let received = receive(&mut right, 1);
            assert_eq!(
                received[0].offload.checksum,
                Checksum::Partial {
                    start: 40,
                    offset: 16
                }
            );
            assert_eq!(received, [frame]);
        },
    );
}
