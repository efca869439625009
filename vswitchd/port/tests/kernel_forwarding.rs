//! The host's kernel must not forward a second copy of a pod's frame. It need not be told: the pod addresses its
//! frames to ee:ee:ee:ee:ee:ee, which is not the MAC of the veth's host end, so the kernel's IP layer ignores them.
#![forbid(unsafe_code)]

mod common;

use std::net::Ipv4Addr;
use std::time::Duration;

use common::namespace::{self, Namespace, snmp};
use common::{receive, receive_waiting, wait};
use packet::{Frame, MacAddr, Protocol, ethernet, ipv4};
use port::{Filter, PacketConfig, PacketPort};

const GATEWAY_MAC: &str = "ee:ee:ee:ee:ee:ee";

/// A pod as Calico wires it, whose host end routes to another pod, with forwarding on.
fn pod() -> Namespace {
    let pod = Namespace::new();
    namespace::run(&format!(
        "ip link add cali0 type veth peer name eth0 netns {}",
        pod.pid()
    ));
    namespace::run("ip link set cali0 up");
    namespace::run("ip route add 10.244.205.193/32 dev cali0");
    // Where a forwarded copy would go: a device whose neighbour needs no resolution.
    namespace::veth("cali1", "peer1");
    namespace::run("ip route add 10.244.205.194/32 dev cali1");
    namespace::run("ip neigh add 10.244.205.194 lladdr 02:00:00:00:00:09 dev cali1");
    namespace::sysctl("net/ipv4/ip_forward", "1");
    pod.run(|| {
        namespace::run("ip addr add 10.244.205.193/32 dev eth0");
        namespace::run("ip link set eth0 up");
        namespace::run("ip route add 169.254.1.1 dev eth0 scope link");
        namespace::run("ip route add default via 169.254.1.1 dev eth0");
    });
    namespace::running("cali0");
    pod
}

fn set_gateway(pod: &Namespace, mac: String) {
    pod.run(move || {
        namespace::run(&format!(
            "ip neigh replace 169.254.1.1 lladdr {mac} dev eth0"
        ))
    });
}

/// The pod sends `count` datagrams to the other pod.
fn send_from(pod: &Namespace, count: usize) {
    pod.run(move || {
        let socket = std::net::UdpSocket::bind("10.244.205.193:4000").expect("a socket");
        for _ in 0..count {
            socket.send_to(b"hello", "10.244.205.194:53").expect("send");
        }
    });
}

fn watch(interface: &str) -> PacketPort {
    let filter = Filter::Everything;
    let config = PacketConfig {
        interface,
        filter,
        behind_tc: false,
        fanout: None,
        qdisc_bypass: false,
        encapsulator: None,
        batch: 16,
    };
    PacketPort::open(&config).expect("a packet port")
}

fn is_datagram(frame: &Frame) -> bool {
    ipv4::Header::parse(frame.packet()).is_ok_and(|header| {
        header.protocol == Protocol::UDP && header.dst == Ipv4Addr::new(10, 244, 205, 194)
    })
}

#[test]
fn the_kernel_forwards_no_copy_of_a_frame_to_the_gateway_mac() {
    namespace::alone(
        "the_kernel_forwards_no_copy_of_a_frame_to_the_gateway_mac",
        || {
            let pod = pod();
            set_gateway(&pod, GATEWAY_MAC.to_owned());
            let mut port = watch("cali0");
            let mut beyond = watch("peer1");

            send_from(&pod, 20);
            let frames = receive(&mut port, 20);
            assert!(frames.iter().all(is_datagram));
            let gateway: MacAddr = GATEWAY_MAC.parse().expect("a MAC");
            assert!(
                frames
                    .iter()
                    .all(|f| ethernet::Header::parse(f.bytes()).is_ok_and(|h| h.dst == gateway))
            );
            assert!(
                !wait(&beyond, Duration::from_millis(200)),
                "no copy comes out at the other pod"
            );
            assert_eq!(
                (snmp("Ip", "InReceives"), snmp("Ip", "ForwDatagrams")),
                (0, 0)
            );

            // The proof that the counters and the path would show it: the same to the interface's own MAC.
            set_gateway(&pod, mac_of("cali0"));
            send_from(&pod, 20);
            assert_eq!(
                receive(&mut beyond, 20)
                    .iter()
                    .filter(|f| is_datagram(f))
                    .count(),
                20
            );
            assert_eq!(
                (snmp("Ip", "InReceives"), snmp("Ip", "ForwDatagrams")),
                (20, 20)
            );
            assert_eq!(receive_waiting(&mut port).len(), 20);
        },
    );
}

/// sysfs may show another namespace; ip(8) asks the right one.
fn mac_of(interface: &str) -> String {
    let text = namespace::run(&format!("ip -o link show {interface}"));
    let mut words = text
        .split_whitespace()
        .skip_while(|word| *word != "link/ether");
    words.nth(1).expect("a MAC address").to_owned()
}
