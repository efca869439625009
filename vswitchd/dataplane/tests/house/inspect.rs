//! What must hold for every frame that leaves a switch, in whatever test.

use dataplane::{Description, GATEWAY_MAC, PortId};
use packet::{EtherType, Frame, Protocol, arp, ethernet, ipv4};

/// Looks at a frame that is about to leave by `port`.
///
/// # Panics
/// When it is malformed, dressed for another port, or larger than the port's MTU.
#[track_caller]
pub fn leaving(node: &Description, port: PortId, frame: &Frame) {
    if port == node.host_port {
        assert!(frame.link().is_empty(), "a link header on the TUN device");
        ipv4_within(frame, node.host_mtu_bytes);
        return;
    }
    let link = ethernet::Header::parse(frame.link()).expect("a link header");
    match node.uplink.as_ref().filter(|uplink| uplink.port == port) {
        Some(uplink) => {
            assert_eq!(link.src, uplink.mac);
            let outer = ipv4_within(frame, uplink.mtu_bytes);
            if outer.protocol == Protocol::IPIP {
                assert_eq!((outer.ttl, outer.dont_fragment), (64, true));
                assert_eq!(outer.src, node.address);
                let inner = ipv4::Header::parse(outer.payload(frame.packet()));
                assert_ne!(inner.expect("an inner packet").protocol, Protocol::IPIP);
            }
        }
        None => {
            let mut workloads = node.workloads.iter();
            let workload = workloads
                .find(|workload| workload.port == port)
                .expect("a known port");
            assert_eq!((link.src, link.dst), (GATEWAY_MAC, workload.mac));
            match link.ethertype {
                EtherType::ARP => drop(arp::Packet::parse(frame.packet()).expect("an ARP packet")),
                EtherType::IPV4 => drop(ipv4_within(frame, workload.mtu_bytes)),
                other => panic!("ethertype {other:?} toward a pod"),
            }
        }
    }
}

#[track_caller]
fn ipv4_within(frame: &Frame, mtu_bytes: u16) -> ipv4::Header {
    let header = ipv4::Header::parse(frame.packet()).expect("a valid IPv4 packet");
    assert_eq!(
        header.total_len,
        frame.packet_len(),
        "bytes behind the packet"
    );
    assert!(
        frame.wire_packet_len() <= mtu_bytes.into(),
        "{} bytes leave by a port with an MTU of {mtu_bytes}",
        frame.wire_packet_len()
    );
    header
}
