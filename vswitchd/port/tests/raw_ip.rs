//! The kernel answers IPIP with ICMP protocol-unreachable, and is silent while [`port::RawIp`] is held.
#![forbid(unsafe_code)]

mod common;

use std::net::Ipv4Addr;

use common::namespace::{self, Namespace};
use common::receive;
use packet::{Frame, Protocol, build, icmpv4, ipv4};
use port::{Filter, PacketConfig, PacketPort, PortIo, RawIp};

const HERE: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 7);
const THERE: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 6);

/// A veth pair from here, 172.16.30.7, to another namespace, 172.16.30.6.
fn underlay() -> Namespace {
    let other = Namespace::new();
    namespace::run(&format!(
        "ip link add eth0 type veth peer name eth0 netns {}",
        other.pid()
    ));
    let up = |address: &str| {
        namespace::run(&format!("ip addr add {address}/24 dev eth0"));
        namespace::run("ip link set eth0 up");
    };
    up("172.16.30.7");
    other.run(move || up("172.16.30.6"));
    namespace::running("eth0");
    other
}

fn watch() -> PacketPort {
    let filter = Filter::Everything;
    let config = PacketConfig {
        interface: "eth0",
        filter,
        behind_tc: false,
        fanout: None,
        qdisc_bypass: false,
        encapsulator: None,
        batch: 16,
    };
    PacketPort::open(&config).expect("a packet port")
}

/// The ICMP messages that arrive, up to and with the answer to an echo request sent now.
fn icmp_until_echo_reply(port: &mut PacketPort, sender: &RawIp) -> Vec<(u8, u8)> {
    sender
        .send(&build::icmp_echo(HERE, THERE, 1, 1, b"marker"), THERE)
        .expect("send the echo request");
    let mut seen = Vec::new();
    loop {
        for frame in receive(port, 1) {
            let Some((kind, code)) = icmp(&frame) else {
                continue;
            };
            seen.push((kind, code));
            if kind == icmpv4::ECHO_REPLY {
                return seen;
            }
        }
    }
}

fn icmp(frame: &Frame) -> Option<(u8, u8)> {
    let header = ipv4::Header::parse(frame.packet()).ok()?;
    let payload = &frame.packet()[header.header_len..];
    (header.protocol == Protocol::ICMP).then(|| (payload[0], payload[1]))
}

#[test]
fn no_protocol_unreachable_while_the_raw_socket_is_held_and_one_without_it() {
    namespace::alone(
        "no_protocol_unreachable_while_the_raw_socket_is_held_and_one_without_it",
        || {
            let other = underlay();
            let mut port = watch();
            let sender = RawIp::open().expect("a raw socket");
            let ipip = build::ipip(HERE, THERE, &build::icmp_echo(HERE, THERE, 2, 2, b"inner"));

            // Held first: the kernel sends at most one such error a second, so a silence after one would prove nothing.
            let held = other.run(|| RawIp::open().expect("a raw socket"));
            sender.send(&ipip, THERE).expect("send IPIP");
            assert_eq!(
                icmp_until_echo_reply(&mut port, &sender),
                [(icmpv4::ECHO_REPLY, 0)]
            );
            assert_eq!(other.run(|| namespace::snmp("Icmp", "OutDestUnreachs")), 0);

            drop(held);
            sender.send(&ipip, THERE).expect("send IPIP");
            assert_eq!(
                icmp_until_echo_reply(&mut port, &sender),
                [(icmpv4::UNREACHABLE, 2), (icmpv4::ECHO_REPLY, 0)]
            );
            assert_eq!(other.run(|| namespace::snmp("Icmp", "OutDestUnreachs")), 1);
        },
    );
}

#[test]
fn the_first_packet_to_an_unresolved_neighbour_arrives() {
    namespace::alone(
        "the_first_packet_to_an_unresolved_neighbour_arrives",
        || {
            let other = underlay();
            let mut port = other.run(watch);
            assert_eq!(
                namespace::run("ip neigh show dev eth0"),
                "",
                "nothing is resolved yet"
            );
            let ipip = build::ipip(HERE, THERE, &build::icmp_echo(HERE, THERE, 2, 2, b"inner"));
            let sender = RawIp::open().expect("a raw socket");
            sender.send(&ipip, THERE).expect("send IPIP");
            // ARP asks for the neighbour first; then comes what was waiting for it.
            let arrived = receive(&mut port, 2);
            let header = ipv4::Header::parse(arrived[1].packet()).expect("an IPv4 packet");
            assert_eq!(
                (header.src, header.dst, header.protocol),
                (HERE, THERE, Protocol::IPIP)
            );
            assert_eq!(header.payload(arrived[1].packet()), &ipip[20..]);
            assert_eq!(port.losses(), port::Losses::default());
        },
    );
}

#[test]
fn an_unroutable_packet_is_an_error() {
    namespace::alone("an_unroutable_packet_is_an_error", || {
        let sender = RawIp::open().expect("a raw socket");
        let error = sender
            .send(&build::ipip(HERE, THERE, &[0; 20]), THERE)
            .expect_err("no route");
        assert_eq!(error.raw_os_error(), Some(libc::ENETUNREACH), "{error}");
    });
}
